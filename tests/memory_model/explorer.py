"""Explores every execution of a small concurrent program under the release/acquire part of the C11 memory model.

A program is a handful of threads, written as generators that yield operations and are sent their results::

    def producer():
        yield write("record", 7)
        yield store("published", 1, release)

    def consumer():
        if (yield load("published", acquire)):
            return (yield read("record"))

    result = explore(Program([producer, consumer], atomics={"published": 0}, data={"record": 0}))
    assert result.violation is None and result.outcomes == {(None, None), (None, 7)}

The model is the operational one with views (Kang, Hur, Lahav, Vafeiadis, Dreyer, "A promising semantics for
relaxed-memory concurrency", POPL 2017, without its promises), which allows the executions of RC11 (Lahav, Vafeiadis,
Kang, Hur, Dreyer, "Repairing sequential consistency in C/C++11", PLDI 2017) as far as they are covered here:

- An atomic location has a history of messages in modification order.  A thread has a view: for each location the
  oldest message that it may still read.  A load reads *any* message that is not older.  A store goes anywhere behind
  the message of the view, not only to the end, but never between a read-modify-write and the message that it read.
- A release store puts the view of its thread into the message; an acquire load joins it to the view of its own.
  Read-modify-writes hand the view of what they read on (release sequences as in C++20: plain stores do not).
- Fences: a release fence's view is put into later relaxed stores, an acquire fence joins what earlier relaxed loads
  saw, a seq_cst fence is both, and joins and updates one view that all such fences share.
- A ``light`` fence is the compiler's alone; a ``heavy`` one is membarrier(2) and a seq_cst fence: towards light ones
  it is full, whichever way round they happen (Goldblatt, "Asymmetric fences", WG21 P1202).
- A seq_cst access sees what the ones before it, in the order in which they are executed, stored in the location.
  (So x86 and ARMv8 have it, and C11.  RC11 lets that order contradict happens-before, for Power's sake.)
- Plain data must not race: a read that does not see the last write, or a write that does not see the last write and
  all reads since, is reported.
- ``futex_wait`` compares and blocks in one step.  What it reads is as weak as any load, except that it sees what a
  waker saw whose ``futex_wake`` came before: that much the kernel's lock around both gives.  Neither orders anything
  else.  There are no time-outs and no spurious returns, so that a lost wake-up is a deadlock, and is reported.

Not covered: load buffering (relaxed loads that read what is stored later in program order on the ground that the other
thread's does, too), consume, mixed sizes, spurious failure of a weak compare-and-swap (its loop reads again all the
same), and the progress of loops: a program must end, or come back to a state that it was in.

States are hashed.  Messages that no thread can read any more are forgotten and the rest renumbered, so that a loop that
waits comes back to the same state.  A thread's state is where its generators stand and their local variables: these
must be hashable, and a ``yield`` must not stand inside an expression whose other half has been evaluated already.
"""

from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from .operations import relaxed, seq_cst
from .state import Automaton, FencesMet, Found, Message, State, Step, Thread, View


@dataclass
class Program:
    threads: list[Thread]
    atomics: dict[Hashable, Any]
    data: dict[Hashable, Any] = field(default_factory=dict)
    final: Callable[[tuple, dict], None] = lambda returned, memory: None  # asserts what must hold when all have ended


@dataclass
class Violation:
    what: str
    trace: list[str]

    def __str__(self):
        return "\n".join([self.what, *(f"  {line}" for line in self.trace)])


@dataclass
class Result:
    states: int
    outcomes: set[tuple]  # what the threads returned
    violation: Violation | None


class Explorer:
    def __init__(self, program: Program):
        self.program = program
        self.atomics = {name: index for index, name in enumerate(program.atomics)}
        self.data = {name: index for index, name in enumerate(program.data)}
        self.automata = [Automaton(thread) for thread in program.threads]
        self.nothing: View = (0,) * len(self.atomics), 0
        self.fenced = False

    def bits(self, index, thread):
        """Of a datum: its last write, all threads' last reads, this thread's."""
        first = index * (len(self.automata) + 1)
        return 1 << first, ((1 << len(self.automata)) - 1) << (first + 1), 1 << (first + 1 + thread)

    def first(self):
        count, nothing = len(self.automata), (self.nothing,) * len(self.automata)
        starts = [automaton.start for automaton in self.automata]
        memory = tuple((Message(value, self.nothing, False),) for value in self.program.atomics.values())
        values = tuple(self.program.data.values())
        fences = (self.nothing,) * 3
        return Step(
            self,
            State(tuple(starts), (-1,) * count, nothing, nothing, nothing, memory, values, 0, fences, self.nothing),
        )

    def steps(self, state):
        """For each thing that can happen next: a function that does it to a Step."""
        for thread, position in enumerate(state.positions):
            operation = self.automata[thread].operations[position]
            if operation[0] != "done" and state.asleep[thread] < 0:
                yield from getattr(self, operation[0])(state, thread, operation)

    def end(self, state):
        """What the threads returned, where none can go on."""
        ends = [
            automaton.operations[position] for automaton, position in zip(self.automata, state.positions, strict=True)
        ]
        asleep = [thread for thread, where in enumerate(state.asleep) if where >= 0]
        if asleep:
            raise Found(f"threads {asleep} sleep, and nobody will wake them")
        returned = tuple(value for _, value in ends)
        memory = {name: state.memory[index][-1].value for name, index in self.atomics.items()}
        memory.update(zip(self.data, state.values, strict=True))
        try:
            self.program.final(returned, memory)
        except AssertionError as error:
            raise Found(f"in the end: {error}") from None
        return returned

    def oldest(self, state, thread, location, order):
        """The first message that may be read."""
        oldest = state.current[thread][0][location]
        return max(oldest, state.fences[0][0][location]) if order == seq_cst else oldest

    def load(self, state, thread, operation):
        location = self.atomics[operation[1]]
        for number in range(self.oldest(state, thread, location, operation[2]), len(state.memory[location])):
            yield self.reading(thread, operation, location, number, operation[2], state.memory[location][number].value)

    def reading(self, thread, operation, location, number, order, result):
        def happens(step):
            step.events.append((thread, operation, result))
            step.see(thread, location, number, order)
            step.advance(thread, result)

        return happens

    def store(self, state, thread, operation):
        _, name, value, order = operation
        location = self.atomics[name]
        history = state.memory[location]
        for number in range(self.oldest(state, thread, location, order) + 1, len(history) + 1):
            if number == len(history) or not history[number].continues:
                yield self.storing(thread, operation, location, number, value, order)

    def storing(self, thread, operation, location, number, value, order):
        def happens(step):
            place = (
                "" if number == len(step.memory[location]) else "before " + repr(step.memory[location][number].value)
            )
            step.events.append((thread, operation, place or None))
            step.add(thread, location, number, value, order)
            step.advance(thread, None)

        return happens

    def changing(self, state, thread, operation, order, change):
        """A read-modify-write of any message that no other has changed."""
        location = self.atomics[operation[1]]
        history = state.memory[location]
        for number in range(self.oldest(state, thread, location, order), len(history)):
            if number + 1 == len(history) or not history[number + 1].continues:
                value, result = change(history[number].value)
                if result is not None:
                    yield self.updating(thread, operation, location, number, order, value, result)

    def updating(self, thread, operation, location, number, order, value, result):
        def happens(step):
            step.events.append((thread, operation, result))
            step.see(thread, location, number, order)
            step.add(thread, location, number + 1, value, order, continued=number)
            step.advance(thread, result)

        return happens

    def exchange(self, state, thread, operation):
        return self.changing(state, thread, operation, operation[3], lambda old: (operation[2], old))

    def fetch_add(self, state, thread, operation):
        return self.changing(state, thread, operation, operation[3], lambda old: (old + operation[2], old))

    def fetch_or(self, state, thread, operation):
        return self.changing(state, thread, operation, operation[3], lambda old: (old | operation[2], old))

    def compare_exchange(self, state, thread, operation):
        _, name, expected, desired, success, failure = operation
        yield from self.changing(
            state, thread, operation, success, lambda old: (desired, (True, old) if old == expected else None)
        )
        location = self.atomics[name]
        for number in range(self.oldest(state, thread, location, failure), len(state.memory[location])):
            value = state.memory[location][number].value
            if value != expected:
                yield self.reading(thread, operation, location, number, failure, (False, value))

    def fence(self, state, thread, operation):
        def happens(step):
            step.advance(thread, step.fence(thread, operation))

        yield happens

    def futex_wait(self, state, thread, operation):
        _, name, expected = operation
        location = self.atomics[name]
        oldest = max(self.oldest(state, thread, location, relaxed), state.woken[0][location])
        found = {message.value == expected for message in state.memory[location][oldest:]}
        for sleeps in sorted(found):

            def happens(step, sleeps=sleeps):
                step.events.append((thread, operation, "sleeps" if sleeps else "has changed"))
                if sleeps:
                    step.asleep[thread] = location
                else:
                    step.advance(thread, False)

            yield happens

    def futex_wake(self, state, thread, operation):
        _, name, count = operation
        location = self.atomics[name]
        sleepers = [sleeper for sleeper, where in enumerate(state.asleep) if where == location]
        for woken in combinations(sleepers, min(count, len(sleepers))):

            def happens(step, woken=woken):
                step.events.append((thread, operation, f"wakes {list(woken)}"))
                numbers, _ = step.woken
                number = max(numbers[location], self.oldest(state, thread, location, relaxed))
                step.woken = (*numbers[:location], number, *numbers[location + 1 :]), 0
                step.advance(thread, len(woken))
                for sleeper in woken:
                    step.asleep[sleeper] = -1
                    step.advance(sleeper, True)

            yield happens


def until_death(life, operations):
    """For a thread to ``yield from``: what a generator does, but no more than so many operations."""
    result = None
    while operations:
        try:
            operation = life.send(result)
        except StopIteration:
            return
        operations -= 1
        result = yield operation
    life.close()


def explain(parents, state, events):
    """One line for each operation that led here."""
    lines = []
    while True:
        for thread, (kind, *arguments), result in reversed(events):
            shown = ", ".join(str(argument) for argument in arguments if argument is not None)
            lines.append(f"{thread}: {kind}({shown})" + (f" -> {result}" if result is not None else ""))
        if state is None:
            return lines[::-1]
        state, events = parents[state]


def explore(program: Program, *, shortest=False, states=500_000) -> Result:
    """Goes through all executions, depth first, up to the first violation; ``shortest`` goes breadth first.

    Raises :class:`RuntimeError` when there are more states than allowed: an unbounded loop, usually.
    """
    explorer = Explorer(program)
    try:
        return _explore(explorer, shortest, states)
    except FencesMet:
        explorer.fenced = True
        return _explore(explorer, shortest, states)


def _explore(explorer, shortest, limit):
    parents, outcomes, before = {}, set(), None
    step = explorer.first()
    try:
        for thread, automaton in enumerate(explorer.automata):
            step.settle(thread, automaton.start)
        state = step.finished()
        parents[state] = None, tuple(step.events)
        waiting = deque([state])
        while waiting:
            before = state = waiting.popleft() if shortest else waiting.pop()
            moved = False
            for happens in explorer.steps(state):
                moved = True
                step = Step(explorer, state)
                happens(step)
                after = step.finished()
                if after not in parents:
                    parents[after] = state, tuple(step.events)
                    waiting.append(after)
            if len(parents) > limit:
                raise RuntimeError(f"more than {limit} states")
            if not moved:
                step.events = []
                outcomes.add(explorer.end(state))
    except Found as found:
        return Result(len(parents), outcomes, Violation(str(found), explain(parents, before, step.events)))
    return Result(len(parents), outcomes, None)
