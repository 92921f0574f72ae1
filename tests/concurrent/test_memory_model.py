"""The explorer of the memory model is tried on programs whose allowed and forbidden outcomes are known."""

import pytest
from memory_model.explorer import Program, explore
from memory_model.operations import (
    acq_rel,
    acquire,
    compare_exchange,
    exchange,
    fence,
    fetch_add,
    futex_wait,
    futex_wake,
    heavy,
    light,
    load,
    read,
    relaxed,
    release,
    seq_cst,
    store,
    write,
)


def outcomes(*threads, data=None, **atomics):
    result = explore(Program(list(threads), atomics, data or {}))
    assert result.violation is None, result.violation
    return result.outcomes


def violation(*threads, data=None, **atomics):
    result = explore(Program(list(threads), atomics, data or {}), shortest=True)
    return result.violation and result.violation.what


def ends(*threads, **atomics):
    """What the atomics are when all have ended."""
    seen = set()
    result = explore(Program(list(threads), atomics, final=lambda _, memory: seen.add(tuple(memory.values()))))
    assert result.violation is None, result.violation
    return seen


def storing(*stores, order=release):
    def thread():
        for location, value in stores:
            yield store(location, value, order)

    return thread


def loading(*locations, order=acquire):
    def thread():
        seen = ()
        for location in locations:
            value = yield load(location, order)
            seen = (*seen, value)
        return seen

    return thread


@pytest.mark.parametrize("order", [release, relaxed])
def test_store_buffering_is_allowed_without_a_fence(order):
    def thread(own, other):
        def run():
            yield store(own, 1, order)
            return (yield load(other, acquire))

        return run

    assert outcomes(thread("x", "y"), thread("y", "x"), x=0, y=0) == {(0, 0), (0, 1), (1, 0), (1, 1)}


@pytest.mark.parametrize("stores", [release, seq_cst])
@pytest.mark.parametrize("loads", [acquire, seq_cst])
def test_seq_cst_accesses(stores, loads):
    """Neither store buffering nor disagreement about independent writes, where all four are seq_cst."""
    strong = stores == loads == seq_cst

    def thread(own, other):
        def run():
            yield store(own, 1, stores)
            return (yield load(other, loads))

        return run

    assert ((0, 0) in outcomes(thread("x", "y"), thread("y", "x"), x=0, y=0)) != strong
    readers = loading("x", "y", order=loads), loading("y", "x", order=loads)
    writers = storing(("x", 1), order=stores), storing(("y", 1), order=stores)
    assert ((None, None, (1, 0), (1, 0)) in outcomes(*writers, *readers, x=0, y=0)) != strong


@pytest.mark.parametrize(("order", "forbidden"), [(seq_cst, True), (acq_rel, False)])
def test_store_buffering_needs_a_seq_cst_fence(order, forbidden):
    def thread(own, other, kind):
        def run():
            yield store(own, 1, relaxed)
            yield fence(kind)
            return (yield load(other, relaxed))

        return run

    assert ((0, 0) in outcomes(thread("x", "y", order), thread("y", "x", order), x=0, y=0)) != forbidden
    # on both sides
    assert (0, 0) in outcomes(thread("x", "y", order), thread("y", "x", acq_rel), x=0, y=0)


@pytest.mark.parametrize("stores", [release, relaxed])
@pytest.mark.parametrize("loads", [acquire, relaxed])
def test_message_passing(stores, loads):
    seen = outcomes(storing(("x", 1), ("y", 1), order=stores), loading("y", "x", order=loads), x=0, y=0)
    assert ((None, (1, 0)) in seen) == ((stores, loads) != (release, acquire))
    assert {(None, (0, 0)), (None, (0, 1)), (None, (1, 1))} <= seen


@pytest.mark.parametrize("stores", [True, False])
@pytest.mark.parametrize("loads", [True, False])
def test_message_passing_by_fences(stores, loads):
    def sender():
        yield write("data", 7)
        if stores:
            yield fence(release)
        yield store("flag", 1, relaxed)

    def receiver():
        seen = yield load("flag", relaxed)
        if seen:
            if loads:
                yield fence(acquire)
            return (yield read("data"))

    found = violation(sender, receiver, data={"data": 0}, flag=0)
    if stores and loads:
        assert found is None
    else:
        assert found.startswith("data race")


def test_a_fence_after_the_store_publishes_nothing():
    def sender():
        yield write("data", 7)
        yield store("flag", 1, relaxed)
        yield fence(release)

    def receiver():
        seen = yield load("flag", acquire)
        if seen:
            yield read("data")

    assert violation(sender, receiver, data={"data": 0}, flag=0).startswith("data race")


@pytest.mark.parametrize("one", [heavy, light, seq_cst])
@pytest.mark.parametrize("other", [heavy, light, seq_cst])
def test_asymmetric_fences(one, other):
    """A heavy fence is full towards light ones; light ones are none towards each other, nor towards seq_cst fences."""

    def thread(own, other, order):
        def run():
            yield store(own, 1, relaxed)
            yield fence(order)
            return (yield load(other, relaxed))

        return run

    enough = {one, other} in ({heavy}, {heavy, light}, {heavy, seq_cst}, {seq_cst})
    assert ((0, 0) in outcomes(thread("x", "y", one), thread("y", "x", other), x=0, y=0)) != enough


def test_independent_reads_of_independent_writes_may_disagree():
    """Forbidden under sequential consistency, allowed to acquire loads; forbidden again by seq_cst fences."""
    threads = storing(("x", 1)), storing(("y", 1))
    disagreement = None, None, (1, 0), (1, 0)
    assert disagreement in outcomes(*threads, loading("x", "y"), loading("y", "x"), x=0, y=0)

    def fenced(first, second):
        def thread():
            one = yield load(first, acquire)
            yield fence(seq_cst)
            two = yield load(second, acquire)
            return one, two

        return thread

    seen = outcomes(*threads, fenced("x", "y"), fenced("y", "x"), x=0, y=0)
    assert disagreement not in seen
    assert (None, None, (1, 0), (0, 1)) in seen


def test_load_buffering_is_not_covered():
    def thread(first, second):
        def run():
            seen = yield load(first, relaxed)
            yield store(second, 1, relaxed)
            return seen

        return run

    assert (1, 1) not in outcomes(thread("x", "y"), thread("y", "x"), x=0, y=0)


def test_coherence():
    """Nobody sees a location go backwards, and all agree on the order of its values."""
    twice = loading("x", "x", order=relaxed)
    assert outcomes(storing(("x", 1), ("x", 2), order=relaxed), twice, x=0) == {
        (None, (one, two)) for one in range(3) for two in range(one, 3)
    }
    seen = outcomes(storing(("x", 1), order=relaxed), storing(("x", 2), order=relaxed), twice, twice, x=0)
    assert (None, None, (1, 2), (1, 2)) in seen
    assert (None, None, (2, 1), (2, 1)) in seen
    assert (None, None, (1, 2), (2, 1)) not in seen


def test_a_thread_reads_its_own_store_or_a_later_one():
    def thread():
        yield store("x", 1, relaxed)
        return (yield load("x", relaxed))

    assert outcomes(thread, storing(("x", 2)), x=0) == {(1, None), (2, None)}


def test_stores_go_to_the_middle_of_the_history():
    """2+2W: each location may keep the store of the thread that stored there first."""
    one, two = storing(("x", 1), ("y", 2)), storing(("y", 1), ("x", 2))
    assert ends(one, two, x=0, y=0) == {(1, 1), (1, 2), (2, 1), (2, 2)}


def test_a_store_does_not_part_a_read_modify_write_from_what_it_read():
    def adder():
        return (yield fetch_add("x", 10, relaxed))

    assert ends(adder, storing(("x", 1)), x=0) == {(1,), (11,)}
    assert ends(adder, adder, adder, x=0) == {(30,)}
    assert outcomes(adder, adder, x=0) == {(0, 10), (10, 0)}


@pytest.mark.parametrize("between", ["read-modify-write", "store"])
def test_release_sequences_go_on_through_read_modify_writes_alone(between):
    def sender():
        yield write("data", 7)
        yield store("flag", 1, release)
        if between == "store":
            yield store("flag", 2, relaxed)

    def middle():
        if between != "store":
            yield compare_exchange("flag", 1, 2, relaxed, relaxed)

    def receiver():
        seen = yield load("flag", acquire)
        if seen == 2:
            yield read("data")

    found = violation(sender, middle, receiver, data={"data": 0}, flag=0)
    if between == "store":
        assert found.startswith("data race")
    else:
        assert found is None


def test_a_compare_and_swap_may_fail_by_an_old_value():
    def swap():
        done, old = yield compare_exchange("x", 1, 5, relaxed, relaxed)
        return done, old

    assert outcomes(storing(("x", 1), ("x", 2)), swap, x=0) == {
        (None, (False, 0)),
        (None, (True, 1)),
        (None, (False, 2)),
    }


def test_only_one_swaps():
    def swap():
        done, _ = yield compare_exchange("x", 0, 1, acq_rel, acquire)
        return done

    assert outcomes(swap, swap, swap, x=0) == {(True, False, False), (False, True, False), (False, False, True)}


@pytest.mark.parametrize("order", [acquire, acq_rel, release, relaxed])
def test_a_lock_by_exchange(order):
    """Orders the data that it guards, or not: the store that unlocks releases, the exchange must acquire."""

    def thread():
        busy = yield exchange("lock", True, order)
        if not busy:
            value = yield read("data")
            yield write("data", value + 1)
            yield store("lock", False, release)
        return busy

    found = violation(thread, thread, data={"data": 0}, lock=False)
    assert (found is None) == (order in (acquire, acq_rel))


def test_races_on_plain_data():
    def writer():
        yield write("data", 1)

    def reader():
        yield read("data")

    assert violation(reader, reader, data={"data": 0}) is None
    assert violation(writer, reader, data={"data": 0}).startswith("data race")
    assert violation(writer, writer, data={"data": 0}).startswith("data race")


@pytest.mark.parametrize("order", [release, relaxed])
def test_a_write_waits_for_the_reads_before_it(order):
    def reader():
        yield read("data")
        yield store("done", 1, order)

    def writer():
        done = yield load("done", acquire)
        if done:
            yield write("data", 1)

    found = violation(reader, writer, data={"data": 0}, done=0)
    assert (found is None) == (order == release)


def test_a_loop_that_waits_comes_to_an_end():
    def waiter():
        value = 0
        while not value:
            value = yield load("x", acquire)
        return value

    assert outcomes(waiter, storing(("x", 1), ("x", 2)), x=0) == {(1, None), (2, None)}


@pytest.mark.parametrize(("wakes", "lost"), [(True, False), (False, True)])
def test_a_sleeper_that_nobody_wakes_is_found(wakes, lost):
    def sleeper():
        yield futex_wait("word", 0)

    def waker():
        yield store("word", 1, relaxed)
        if wakes:
            yield futex_wake("word", 1)

    found = violation(sleeper, waker, word=0)
    assert (found == "threads [0] sleep, and nobody will wake them") == lost


def test_one_is_woken_of_two():
    def sleeper():
        return (yield futex_wait("word", 0))

    def waker():
        return (yield futex_wake("word", 1))

    assert violation(sleeper, sleeper, waker, word=0) is not None


def test_a_failed_assertion_is_explained():
    def thread():
        value = yield load("x", acquire)
        assert value == 0, f"x is {value}"

    result = explore(Program([storing(("x", 1)), thread], {"x": 0}), shortest=True)
    assert result.violation.what.startswith("thread 1: x is 1")
    assert result.violation.trace == ["0: store(x, 1, release)", "1: load(x, acquire) -> 1"]


def test_a_loop_without_end_is_refused():
    def thread():
        while True:
            yield fetch_add("x", 1, relaxed)

    with pytest.raises(RuntimeError, match="more than 100 states"):
        explore(Program([thread], {"x": 0}), states=100)
