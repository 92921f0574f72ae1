"""A state of a program under the memory model, and the steps from one to the next; see ``explorer``."""

from collections.abc import Callable, Generator, Hashable
from typing import Any, NamedTuple

from .operations import ACQUIRES, RELEASES, heavy, light, seq_cst

Thread = Callable[[], Generator[tuple, Any, Any]]
View = tuple[tuple[int, ...], int]  # the message of each location; the bits of the accesses to data that are seen


class Found(Exception):
    """A violation."""


class FencesMet(Exception):
    """The views that fences need were not kept so far."""


class Message(NamedTuple):
    value: Any
    view: View
    continues: bool  # a read-modify-write of the message before it


class State(NamedTuple):
    positions: tuple[int, ...]  # of the threads, in their automata
    asleep: tuple[int, ...]  # the location that a thread waits at, or -1
    current: tuple[View, ...]
    acquired: tuple[View, ...]  # what an acquire fence would add
    released: tuple[View, ...]  # what a release fence left
    memory: tuple[tuple[Message, ...], ...]
    values: tuple  # of the data
    accesses: int  # to data, that not every thread has seen
    fences: tuple[View, View, View]  # that were passed: seq_cst, heavy, light
    woken: View  # of futex_wake


def standing(generator):
    """Where a generator stands, and those it waits for, and their local variables."""
    key = []
    while generator is not None:
        frame = generator.gi_frame
        if frame is None:
            break
        variables = sorted(frame.f_locals.items(), key=lambda item: item[0])
        key.append(
            (
                frame.f_code,
                frame.f_lasti,
                tuple((name, standing(value) if isinstance(value, Generator) else value) for name, value in variables),
            )
        )
        generator = generator.gi_yieldfrom
    return tuple(key)


class Automaton:
    """A thread's generator, run once from each of its states on and for each result."""

    def __init__(self, thread: Thread):
        self.thread = thread
        self.numbers: dict[Hashable, int] = {}
        self.operations: list[tuple] = []
        self.results: list[tuple] = []  # that lead to the state
        self.known: dict[tuple[int, Any], int] = {}
        self.start = self._run(())

    def _run(self, results):
        generator, key, operation = self.thread(), (), None
        try:
            operation = generator.send(None)
            for result in results:
                operation = generator.send(result)
            key = standing(generator)
        except StopIteration as stop:
            operation = ("done", stop.value)
        except AssertionError as error:
            operation = ("failed", str(error) or "an assertion failed")
        state = (operation, *key)
        if state not in self.numbers:
            self.numbers[state] = len(self.operations)
            self.operations.append(operation)
            self.results.append(results)
        return self.numbers[state]

    def after(self, position, result):
        key = position, result
        if key not in self.known:
            self.known[key] = self._run((*self.results[position], result))
        return self.known[key]


def join(one: View, other: View) -> View:
    if one is other:
        return one
    return tuple(map(max, one[0], other[0])), one[1] | other[1]


class Step:
    """A state that is being changed into the next."""

    def __init__(self, explorer, state):
        self.explorer = explorer
        self.events = []
        (positions, asleep, current, acquired, released, memory, values, self.accesses, self.fences, self.woken) = state
        self.positions, self.asleep, self.current = list(positions), list(asleep), list(current)
        self.acquired, self.released = list(acquired), list(released)
        self.memory, self.values = list(memory), list(values)

    def every_view(self, change):
        """Changes all views; they are shared much, hence the memory of what was changed to what."""
        known = {None: None}

        def changed(view):
            if view not in known:
                known[view] = change(*view)
            return known[view]

        self.current = [changed(view) for view in self.current]
        self.acquired = [changed(view) for view in self.acquired]
        self.released = [changed(view) for view in self.released]
        self.memory = [
            tuple(Message(message.value, changed(message.view), message.continues) for message in history)
            for history in self.memory
        ]
        self.fences, self.woken = tuple(changed(view) for view in self.fences), changed(self.woken)

    def see(self, thread, location, number, order):
        view = self.memory[location][number].view
        old, seen = self.current[thread]
        now = (*old[:location], number, *old[location + 1 :]), seen
        if order in ACQUIRES:
            now = join(now, view)
        self.current[thread] = now
        if self.explorer.fenced:
            self.acquired[thread] = join(self.acquired[thread], join(now, view))

    def add(self, thread, location, number, value, order, continued=None):
        """Puts a message at this place of the history."""
        history = self.memory[location]
        if number < len(history):

            def later(numbers, seen):
                if numbers[location] < number:
                    return numbers, seen
                return (*numbers[:location], numbers[location] + 1, *numbers[location + 1 :]), seen

            self.every_view(later)
            history = self.memory[location]
        old, seen = self.current[thread]
        now = self.current[thread] = (*old[:location], number, *old[location + 1 :]), seen
        if self.explorer.fenced:
            self.acquired[thread] = join(self.acquired[thread], now)
        if order == seq_cst:  # those to come see it
            (numbers, seen), heavies, lights = self.fences
            self.fences = ((*numbers[:location], number, *numbers[location + 1 :]), seen), heavies, lights
        view = now if order in RELEASES else self.released[thread]
        if view is not now:  # whoever reads the message sees it
            view = (*view[0][:location], number, *view[0][location + 1 :]), view[1]
        if continued is not None:
            view = join(view, self.memory[location][continued].view)
        message = Message(value, view, continued is not None)
        self.memory[location] = (*history[:number], message, *history[number:])

    def advance(self, thread, result):
        """Takes the result, and whatever concerns this thread alone: accesses to data, too, since where they are in the
        interleaving has no influence on whether they race."""
        automaton = self.explorer.automata[thread]
        self.settle(thread, automaton.after(self.positions[thread], result))

    def settle(self, thread, position):
        automaton = self.explorer.automata[thread]
        while True:
            operation = automaton.operations[position]
            self.positions[thread] = position
            kind = operation[0]
            if kind == "read":
                result = self.read(thread, operation)
            elif kind == "write":
                result = self.write(thread, operation)
            elif kind == "fence" and operation[2] not in (seq_cst, heavy, light):
                result = self.fence(thread, operation)
            elif kind == "failed":
                raise Found(f"thread {thread}: {operation[1]}")
            else:
                return
            position = automaton.after(position, result)

    def access(self, thread, bit, forgotten):
        keep = ~(bit | forgotten)
        self.every_view(lambda numbers, seen: (numbers, seen & keep))
        numbers, seen = self.current[thread]
        self.current[thread] = numbers, seen | bit
        if self.explorer.fenced:
            numbers, seen = self.acquired[thread]
            self.acquired[thread] = numbers, seen | bit
        self.accesses = self.accesses & ~forgotten | bit

    def read(self, thread, operation):
        index = self.explorer.data[operation[1]]
        writes, _, own = self.explorer.bits(index, thread)
        value = self.values[index]
        self.events.append((thread, operation, value))
        if self.accesses & writes & ~self.current[thread][1]:
            raise Found(f"data race: thread {thread} reads {operation[1]!r} without seeing the last write")
        self.access(thread, own, 0)
        return value

    def write(self, thread, operation):
        index = self.explorer.data[operation[1]]
        writes, reads, _ = self.explorer.bits(index, thread)
        self.events.append((thread, operation, None))
        if self.accesses & (writes | reads) & ~self.current[thread][1]:
            raise Found(f"data race: thread {thread} writes {operation[1]!r} without seeing every access before")
        self.access(thread, writes, reads)
        self.values[index] = operation[2]

    def fence(self, thread, operation):
        if not self.explorer.fenced:
            raise FencesMet
        order = operation[2]
        self.events.append((thread, operation, None))
        full, heavies, lights = self.fences
        if order == light:  # what came before a heavy fence is seen behind it, and the other way round
            self.current[thread] = join(self.current[thread], heavies)
            self.acquired[thread] = join(self.acquired[thread], heavies)
            self.fences = full, heavies, join(lights, self.current[thread])
            return
        if order in ACQUIRES or order == heavy:
            self.current[thread] = self.acquired[thread]
        if order in (seq_cst, heavy):
            full = join(self.current[thread], full)
            if order == heavy:
                full = heavies = join(full, join(heavies, lights))
            self.fences = full, heavies, lights
            self.current[thread] = self.acquired[thread] = full
        if order in RELEASES or order == heavy:
            self.released[thread] = self.current[thread]

    def finished(self):
        """The state, without what nobody can tell any more."""
        operations = [automaton.operations for automaton in self.explorer.automata]
        for thread, position in enumerate(self.positions):
            if operations[thread][position][0] == "done" and self.current[thread] is not None:
                self.current[thread] = self.acquired[thread] = self.released[thread] = None
        living = [view for view in self.current if view is not None]
        if living:
            oldest = tuple(map(min, *(view[0] for view in living))) if len(living) > 1 else living[0][0]
            seen = self.accesses
            for view in living:
                seen &= view[1]
        else:
            oldest, seen = tuple(len(history) - 1 for history in self.memory), self.accesses
        if seen or any(oldest):
            self.forget(oldest, self.accesses & ~seen)
        return State(
            tuple(self.positions),
            tuple(self.asleep),
            tuple(self.current),
            tuple(self.acquired),
            tuple(self.released),
            tuple(self.memory),
            tuple(self.values),
            self.accesses,
            self.fences,
            self.woken,
        )

    def forget(self, oldest, accesses):
        nothing = self.explorer.nothing
        known = {None: None, nothing: nothing}

        def older(view):
            if view not in known:
                known[view] = (
                    tuple([a - b if a > b else 0 for a, b in zip(view[0], oldest, strict=True)]),
                    view[1] & accesses,
                )
            return known[view]

        self.memory = [
            tuple(
                [
                    Message(message.value, older(message.view), message.continues and i > 0)
                    for i, message in enumerate(history[old:] if old else history)
                ]
            )
            for old, history in zip(oldest, self.memory, strict=True)
        ]
        self.accesses = accesses
        self.current = [older(view) for view in self.current]
        self.acquired = [older(view) for view in self.acquired]
        self.released = [older(view) for view in self.released]
        self.fences, self.woken = tuple([older(view) for view in self.fences]), older(self.woken)
