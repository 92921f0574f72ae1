"""Every interleaving of the steps that migrate one entry of a map, as lockfree/map.h states them.

Threads are generators that yield one atomic operation at a time. What a thread does next follows from what it has seen,
so that a state is the shared words and what every thread saw; all states are visited. The words behave as if they
were sequentially consistent: orderings are ThreadSanitizer's part (tests/c/map_stress.c).

Beside the words goes what the map should hold. The swap that decides a change must find exactly that value; a
call that changes nothing must return something that the map held between its begin and its end.
"""

import itertools

import pytest

EMPTY, CLOSED, KEY = "empty", "closed", "key"
REMOVED, MOVED, DROPPED = "removed", "moved", "dropped"
ABSENT, ELSEWHERE = None, "elsewhere"


def is_frozen(word):
    return isinstance(word, tuple)


class Model:
    """The protocol, with one step left out where `broken` names it."""

    def __init__(self, broken=None):
        self.broken = broken

    def read_value(self, table):
        """(value word, value)."""
        while True:
            word = yield "load", (table, "value")
            if word in (MOVED, DROPPED):
                return word, ELSEWHERE
            if word in (EMPTY, REMOVED):
                return word, ABSENT
            if not is_frozen(word):
                return word, word
            value = yield "load", ("cell", word[1])
            if self.broken == "cell is not checked" or (yield "load", (table, "value")) == word:
                return word, value

    def copy_entry(self, thread):
        key = yield "load", ("old", "key")
        if key == EMPTY:
            key = yield "swap", ("old", "key"), EMPTY, CLOSED
            if key == EMPTY:
                return
        if key == CLOSED:
            return
        while True:
            word, value = yield from self.read_value("old")
            if value is ELSEWHERE:
                return
            if value is ABSENT:
                if (yield "swap", ("old", "value"), word, DROPPED) == word:
                    return
                continue
            if not is_frozen(word) and self.broken != "value is not frozen":
                yield "store", ("cell", thread), value
                frozen = ("frozen", thread)
                if (yield "swap", ("old", "value"), word, frozen) != word:
                    continue
                word = frozen
            yield "swap", ("new", "key"), EMPTY, KEY
            if self.broken == "late copy is stored":
                yield "store", ("new", "value"), value
            else:
                yield "swap", ("new", "value"), EMPTY, value
            if (yield "swap", ("old", "value"), word, MOVED) == word or self.broken != "value is not frozen":
                return

    def migrate(self, thread):
        yield "swap", "next", False, True
        yield from self.copy_entry(thread)
        yield "swap", "root", "old", "new"

    def read(self, thread):
        yield ("begin",)
        table = yield "load", "root"
        while True:
            key = yield "load", (table, "key")
            if key == EMPTY:
                yield "end", ABSENT
                return
            if key == KEY:
                _, value = yield from self.read_value(table)
                if value is not ELSEWHERE:
                    yield "end", value
                    return
            table = "new"

    def change(self, thread, decide):
        """`decide` gives the new value for an old one, ABSENT to remove, "keep" to change nothing."""
        yield ("begin",)
        table = yield "load", "root"
        while True:
            key = yield "load", (table, "key")
            migrating = table == "old" and (yield "load", "next")
            if key == EMPTY and not migrating:
                if decide(ABSENT) == "keep":
                    yield "end", ABSENT
                    return
                key = yield "swap", (table, "key"), EMPTY, KEY
                if key != EMPTY:
                    continue
            elif migrating:
                if key == EMPTY and self.broken == "key is not closed":
                    table = "new"
                    continue
                if key != CLOSED:
                    yield from self.copy_entry(thread)
                if key == EMPTY and (yield "load", ("old", "key")) != CLOSED:
                    continue
                table = "new"
                continue
            result = yield from self.change_value(table, decide)
            if result == "done":
                return
            table = "new" if result == "follow" else table

    def change_value(self, table, decide):
        while True:
            word, value = yield from self.read_value(table)
            if value is ELSEWHERE:
                return "follow"
            after = decide(value)
            if after == "keep":
                yield "end", value
                return "done"
            if is_frozen(word):
                return "follow" if self.broken == "frozen is followed" else "again"
            stored = REMOVED if after is ABSENT else after
            if (yield "swap", (table, "value"), word, stored, (value, after)) == word:
                return "done"


class Violation(Exception):
    """The map did not do what a map does."""


def perform(operation, thread, words, held, since):
    """The result of an operation, and the words, what the map holds, and what it held since each call began."""
    kind = operation[0]
    if kind == "load":
        return words.get(operation[1], 0), words, held, since
    if kind == "begin":
        return None, words, held, since | {thread: frozenset([held])}
    if kind == "end":
        if operation[1] not in since[thread]:
            raise Violation(f"returned {operation[1]}, while the map held {set(since[thread])}")
        return None, words, held, {t: seen for t, seen in since.items() if t != thread}
    place, new = operation[1], operation[-1] if kind == "store" else operation[3]
    seen = words.get(place, 0)
    if kind == "swap" and seen != operation[2]:
        return seen, words, held, since
    if len(operation) == 5:
        before, after = operation[4]
        if before != held:
            raise Violation(f"changed {before}, while the map held {held}")
        held = after
        since = {t: values | {held} for t, values in since.items()}
    return seen, words | {place: new}, held, since


def replay(run, observed):
    """What a thread is about to do, None at its end, and where it is: its frames with their variables."""
    try:
        operation = next(run)
        for result in observed:
            operation = run.send(result)
    except StopIteration:
        return None, ()
    place, frame_owner = [], run  # the outermost stays referred to, or all of them would be closed
    while frame_owner is not None:
        frame = frame_owner.gi_frame
        variables = [item for item in frame.f_locals.items() if item[0] not in ("self", "model", "decide")]
        place.append((frame.f_lasti, *variables))
        frame_owner = frame_owner.gi_yieldfrom
    return operation, tuple(place)


def explore(model, programs, key, value):
    """Visit every state; returns how many there are."""
    words = {("old", "key"): key, ("old", "value"): value, ("new", "key"): EMPTY, ("new", "value"): EMPTY,
             "root": "old", "next": False}  # fmt: skip
    pending = [(words, ((),) * len(programs), value if isinstance(value, int) else ABSENT, {})]
    visited, replayed = set(), {}
    while pending:
        words, observed, held, since = pending.pop()
        for thread, program in enumerate(programs):
            if (thread, observed[thread]) not in replayed:
                replayed[thread, observed[thread]] = replay(program(model, thread), observed[thread])
        threads = [replayed[thread, seen] for thread, seen in enumerate(observed)]
        places = tuple(place for _, place in threads)
        state = (frozenset(words.items()), places, held, frozenset(since.items()))
        if state in visited:
            continue
        visited.add(state)
        for thread, (operation, _) in enumerate(threads):
            if operation is not None:
                result, *after = perform(operation, thread, words, held, since)
                seen = (*observed[thread], result)
                pending.append((after[0], (*observed[:thread], seen, *observed[thread + 1 :]), *after[1:]))
        if all(operation is None for operation, _ in threads):
            check_end(words, held)
    return len(visited)


def check_end(words, held):
    """The words at the end say what the map holds."""
    table = "new" if words["root"] == "new" or words["old", "value"] in (MOVED, DROPPED) else "old"
    if words[table, "key"] == CLOSED:
        table = "new"
    value = words[table, "value"] if words[table, "key"] == KEY else EMPTY
    if (ABSENT if value in (EMPTY, REMOVED) else value) != held:
        raise Violation(f"at the end the map has {value} instead of {held}")


def put(number):
    return lambda model, thread: model.change(thread, lambda value: number)


def add(model, thread):
    return model.change(thread, lambda value: (value or 0) + 1)


def remove(model, thread):
    return model.change(thread, lambda value: "keep" if value is ABSENT else ABSENT)


def insert(model, thread):
    return model.change(thread, lambda value: 5 if value is ABSENT else "keep")


def put_twice(model, thread):
    """Away from the first value and back to it: what compares equal is not what was."""
    yield from model.change(thread, lambda value: 2)
    yield from model.change(thread, lambda value: 1)


migrate, read = Model.migrate, Model.read
STARTS = {"there": (KEY, 1), "removed": (KEY, REMOVED), "claimed": (KEY, EMPTY), "free": (EMPTY, EMPTY)}
CHANGES = {"put": put(2), "add": add, "remove": remove, "insert": insert}


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("other", [read, migrate])
def test_a_change_during_a_migration(start, change, other):
    assert explore(Model(), [migrate, CHANGES[change], other], *STARTS[start]) > 200


@pytest.mark.slow
@pytest.mark.parametrize("start", ["there", "free"])
@pytest.mark.parametrize(
    "changes", list(itertools.combinations_with_replacement(CHANGES, 2)), ids=lambda changes: "-".join(changes)
)
def test_two_changes_during_a_migration(start, changes):
    assert explore(Model(), [migrate, *(CHANGES[change] for change in changes)], *STARTS[start]) > 500


@pytest.mark.slow
def test_values_that_come_back():
    assert explore(Model(), [migrate, migrate, put_twice], *STARTS["there"]) > 10_000


def copy_two(model, thread):
    """The cell is used again, for the value of another entry."""
    yield "swap", "next", False, True
    yield from model.copy_entry(thread)
    yield "store", ("cell", thread), 99


@pytest.mark.parametrize(
    ("broken", "start", "programs"),
    [
        ("cell is not checked", "there", [copy_two, read]),
        ("value is not frozen", "there", [migrate, put(2)]),
        ("late copy is stored", "there", [migrate, migrate, put(2)]),
        ("key is not closed", "free", [migrate, add, add]),
        ("frozen is followed", "there", [migrate, put(2)]),
    ],
)
def test_a_step_left_out_is_found(broken, start, programs):
    explore(Model(), programs, *STARTS[start])
    with pytest.raises(Violation):
        explore(Model(broken), programs, *STARTS[start])
