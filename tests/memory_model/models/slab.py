"""The slab pool's stacks, after ``slab_stacks.h`` and ``slab.c`` of ``mlopt/_kernels/memory``, with their names.

A head is the pair (tag, record number).  Each record has a chunk of its own, so that each can be published late.
"""

from ..explorer import Program
from ..operations import (
    acq_rel,
    acquire,
    compare_exchange,
    exchange,
    load,
    read,
    relaxed,
    release,
    store,
    write,
)

FREE, IN_USE = "free", "in use"
HEAD, RECORD_COUNT = "free_blocks", "record_count"


def record_of(number, fresh):
    if number in fresh:  # of the others' chunks every thread knows
        chunk = yield load(("chunks", number), relaxed)
        assert chunk, f"the chunk of record {number} is not to be seen"
        yield read(("chunk", number, chunk))


def push(number, fresh, orders):
    head = yield load(HEAD, orders("push: load", acquire))
    while True:
        below = head[1]
        depth = 0
        if below:
            yield from record_of(below, fresh)
            depth = yield load(("depth", below), relaxed)
        yield store(("below", number), below, relaxed)
        yield store(("depth", number), depth + 1, relaxed)
        new_head = head[0], number
        swapped, head = yield compare_exchange(
            HEAD, head, new_head, orders("push: swap", release), orders("push: failed swap", acquire)
        )
        if swapped:
            return


def pop(fresh, orders):
    head = yield load(HEAD, orders("pop: load", acquire))
    while True:
        if head[1] == 0:
            return 0
        yield from record_of(head[1], fresh)
        below = yield load(("below", head[1]), relaxed)
        new_head = head[0] + orders.keeps("pop: tag"), below
        swapped, head = yield compare_exchange(
            HEAD, head, new_head, orders("pop: swap", acquire), orders("pop: failed swap", acquire)
        )
        if swapped:
            return head[1]


def pop_all(orders):
    head = yield load(HEAD, orders("pop_all: load", acquire))
    while True:
        if head[1] == 0:
            return 0
        new_head = head[0] + orders.keeps("pop_all: tag"), 0
        swapped, head = yield compare_exchange(
            HEAD, head, new_head, orders("pop_all: swap", acquire), orders("pop_all: failed swap", acquire)
        )
        if swapped:
            return head[1]


def depth_of(fresh, orders):
    top = yield load(HEAD, orders("depth_of: load", acquire))
    if top[1]:
        yield from record_of(top[1], fresh)
        yield load(("depth", top[1]), relaxed)


def new_record(me, fresh, orders):
    number = yield load(RECORD_COUNT, relaxed)
    while True:
        if number > max(fresh):
            return 0
        slot = "chunks", number
        known = yield load(slot, orders("new_record: load of chunk", acquire))
        if not known:
            yield write(("chunk", number, me), "zeros")
            _, known = yield compare_exchange(
                slot,
                None,
                me,
                orders("new_record: publish chunk", acq_rel),
                orders("new_record: failed publish", acquire),
            )
        counted, number = yield compare_exchange(
            RECORD_COUNT, number, number + 1, orders("new_record: count", acq_rel), relaxed
        )
        if counted:
            return number


def acquire_block(number, me, fresh):
    """What mlopt_slab_acquire does with a record, and its caller with the block."""
    yield from record_of(number, fresh)
    yield store(("state", number), IN_USE, relaxed)
    yield write(("block", number), me)


def release_block(number, me, fresh, orders):
    found = yield read(("block", number))
    assert found == me, f"{found} wrote to the block of {me}"
    state = yield exchange(("state", number), FREE, relaxed)
    assert state == IN_USE, "released a block twice"
    yield from push(number, fresh, orders)


def walk(memory):
    """The records of the free list, from the top."""
    numbers, number = [], memory[HEAD][1]
    while number:
        assert number not in numbers, "the free list is a circle"
        numbers.append(number)
        number = memory["below", number]
    return numbers


def program(threads, free, fresh=()):
    """The pool with these records in its free list, the last on top, and room for the fresh ones."""
    atomics = {HEAD: (0, free[-1] if free else 0)}
    for depth, number in enumerate(free, 1):
        atomics["below", number] = free[depth - 2] if depth > 1 else 0
        atomics["depth", number] = depth
        atomics["state", number] = FREE
    for number in fresh:
        atomics.update({("below", number): 0, ("depth", number): 0, ("state", number): FREE, ("chunks", number): None})
    if fresh:
        atomics[RECORD_COUNT] = min(fresh)
    data = {("block", number): None for number in (*free, *fresh)}
    data.update({("chunk", number, me): None for number in fresh for me in range(1, len(threads) + 1)})

    def final(returned, memory):
        held = [number for numbers in returned if numbers for number in numbers]
        listed = walk(memory)
        born = range(min(fresh), memory[RECORD_COUNT]) if fresh else ()
        assert sorted(listed + held) == sorted((*free, *born)), f"free {listed}, in use {held}"
        for depth, number in enumerate(reversed(listed), 1):
            assert memory["depth", number] == depth, f"depth of {number} is {memory['depth', number]}, not {depth}"

    return Program(threads, atomics, data, final)


def taking(me, orders, takes=2):
    """A thread that takes, takes again, and gives back what it took first."""

    def thread():
        held = ()
        for _ in range(takes):
            number = yield from pop((), orders)
            if number:
                yield from acquire_block(number, me, ())
                held = (*held, number)
        if held:
            yield from release_block(held[0], me, (), orders)
        return held[1:]

    return thread


def recycling(orders):
    """A head that one has seen leaves and comes back."""
    return program([taking(1, orders), taking(2, orders)], (1, 2, 3))


def contending(orders):
    """Three at a time."""
    return program([taking(1, orders), taking(2, orders, 1), taking(3, orders, 1)], (1, 2))


def trimming(orders):
    """One empties the list while another takes and gives back, and uses what it emptied again."""

    def trim():
        number, gone = (yield from pop_all(orders)), ()
        while number:
            below = yield load(("below", number), relaxed)
            yield write(("block", number), "given back")  # system_free
            gone, number = (*gone, number), below
        if gone:  # attach finds it in free_records, where this thread put it
            yield from acquire_block(gone[0], 1, ())
            yield from release_block(gone[0], 1, (), orders)
        return gone[1:]

    return program([trim, taking(2, orders, 1)], (1, 2))


def growing(orders, watched=False):
    """Records that are made while others look for them."""
    fresh = 1, 2

    def user(me):
        def thread():
            number = yield from pop(fresh, orders)
            if not number:
                number = yield from new_record(me, fresh, orders)
            if number:
                yield from acquire_block(number, me, fresh)
                yield from depth_of(fresh, orders)
                yield from release_block(number, me, fresh, orders)

        return thread

    def statistics():
        count = yield load(RECORD_COUNT, orders("stats: count", acquire))
        number = 1
        while number < count:
            yield from record_of(number, fresh)
            yield load(("state", number), relaxed)
            number += 1

    return program([user(1), statistics if watched else user(2)], (), fresh)


def counting(orders):
    """Statistics are read off the records while they are made."""
    return growing(orders, watched=True)


SOURCES = "mlopt/_kernels/memory/slab_stacks.h", "mlopt/_kernels/memory/slab.c"
C_CODE = {
    "record_of": "load relaxed",
    "push": "load acquire; load relaxed; store relaxed; store relaxed; compare_exchange_weak release acquire",
    "pop": "load acquire; load relaxed; compare_exchange_weak acquire acquire",
    "pop_all": "load acquire; compare_exchange_weak acquire acquire",
    "depth_of": "load acquire; load relaxed",
    "new_record": "load relaxed; load acquire; compare_exchange_strong acq_rel acquire; "
    "compare_exchange_weak acq_rel relaxed",
}
SCENARIOS = recycling, trimming, growing, counting
LARGE = (contending,)
ONE_IS_ENOUGH = "what the swap reads was acquired by the load before it, or by the swap that failed: either is enough"
NOTHING_READ = "it reads nothing that the thread has not acquired before"
STRONGER_THAN_NEEDED = {
    ("pop: swap", relaxed): "the head that it takes off was acquired when `below` was looked up",
    ("pop_all: load", relaxed): ONE_IS_ENOUGH,
    ("pop_all: failed swap", relaxed): ONE_IS_ENOUGH,
    ("pop_all: swap", relaxed): ONE_IS_ENOUGH,
    ("new_record: publish chunk", release): NOTHING_READ,
    ("new_record: count", release): NOTHING_READ,
}
TOGETHER = (
    (("pop_all: load", relaxed), ("pop_all: swap", relaxed)),
    (("pop_all: failed swap", relaxed), ("pop_all: swap", relaxed)),
)
