from hypothesis import given
from hypothesis import strategies as st

from mlopt.soak.ledger import Ledger


def test_whole_and_in_order():
    ledger = Ledger()
    for number in range(1000):
        ledger.take(number)
    ledger.close(1000)
    assert ledger.received == 1000
    assert set(ledger.counters().values()) == {0}


@given(st.permutations(range(12)), st.sets(st.integers(0, 11)), st.lists(st.integers(0, 11), max_size=4))
def test_against_sets(order, dropped, repeated):
    ledger = Ledger(lambda number: number % 4 != 1)
    came = [number for number in order if number not in dropped and number % 4 != 1]
    for number in came:
        ledger.take(number)
    again = [number for number in repeated if number in came]
    for number in again:
        ledger.take(number)
    ledger.close(12)
    highest, late = -1, 0
    for number in came:
        late += number < highest
        highest = max(highest, number)
    due = {number for number in range(12) if number % 4 != 1}
    assert ledger.lost == len(due - set(came))
    assert ledger.duplicated == len(again)
    assert ledger.out_of_order == late
    assert ledger.received == len(came)


def test_unexpected():
    ledger = Ledger(lambda number: number != 2)
    for number in range(4):
        ledger.take(number)
    assert (ledger.received, ledger.unexpected) == (3, 1)


def test_memory_is_bounded():
    ledger = Ledger()
    ledger.take(3 * Ledger.REMEMBERED)
    assert ledger.lost == 3 * Ledger.REMEMBERED
    assert len(ledger._missing) == Ledger.REMEMBERED
