"""The array pool: shards, and those who wait, after ``mlopt/_kernels/memory/array_pool.c``, whose names it has.

A head is the pair (tag, slot), slots count from 1.  Left out: slots that were never used, growing, trimming, closing,
statistics, time-outs.
"""

from ..explorer import Program
from ..operations import (
    acq_rel,
    acquire,
    compare_exchange,
    exchange,
    fetch_add,
    futex_wait,
    futex_wake,
    load,
    read,
    relaxed,
    seq_cst,
    store,
    write,
)

SHARD_COUNT, WAITERS, EVENT = "shard_count", "waiters", "event"
FREE, IN_USE = "free", "in use"


def push(shard, slot, orders):
    head = yield load(("head", shard), orders("push: load", acquire))
    while True:
        below = head[1]
        depth = 0
        if below:
            depth = yield load(("depth", below), relaxed)
        yield store(("below", slot), below, relaxed)
        yield store(("depth", slot), depth + 1, relaxed)
        new_head = head[0], slot
        swapped, head = yield compare_exchange(
            ("head", shard),
            head,
            new_head,
            orders("push: swap", seq_cst, acquire, relaxed),
            orders("push: failed swap", acquire),
        )
        if swapped:
            return


def pop(shard, orders):
    head = yield load(("head", shard), orders("pop: load", seq_cst, relaxed))
    while True:
        if head[1] == 0:
            return 0
        below = yield load(("below", head[1]), relaxed)
        new_head = head[0] + orders.keeps("pop: tag"), below
        swapped, head = yield compare_exchange(
            ("head", shard), head, new_head, orders("pop: swap", acquire), orders("pop: failed swap", acquire)
        )
        if swapped:
            return head[1]


def move_to(number, slot, orders):
    yield write(("shard", slot), number)
    count = yield load(SHARD_COUNT, relaxed)
    while count <= number:
        counted, count = yield compare_exchange(
            SHARD_COUNT, count, number + 1, orders("move_to: count", seq_cst, relaxed), relaxed
        )
        if counted:
            return


def find_free(home, orders):
    while True:
        heads = ()
        count = yield load(SHARD_COUNT, orders("find_free: count", seq_cst, relaxed))
        i = 0
        while i < count:
            number = (home + i) % count
            head = yield load(("head", number), orders("find_free: head", seq_cst, relaxed))
            if head[1] == 0:
                heads = (*heads, head)
                i += 1
                continue
            slot = yield from pop(number, orders)
            if slot:
                if number != home:
                    yield from move_to(home, slot, orders)
                return slot
        if orders.keeps("find_free: second look"):
            again = yield load(SHARD_COUNT, orders("find_free: count again", seq_cst, relaxed))
            same = again == count
            i = 0
            while i < count:
                head = yield load(("head", (home + i) % count), orders("find_free: head again", seq_cst, relaxed))
                same = same and head == heads[i]
                i += 1
            if not same:
                continue
        return 0


def acquire_slot(home, orders):
    """mlopt_array_pool_acquire, of a pool that does not grow."""
    slot = yield from pop(home, orders)
    if not slot:
        slot = yield from find_free(home, orders)
    return slot


def take(slot, me):
    yield store(("state", slot), IN_USE, relaxed)
    yield write(("data", slot), me)


def acquire_waiting(home, orders):
    yield fetch_add(WAITERS, 1, orders("acquire_waiting: waiters", seq_cst, relaxed))
    while True:
        event = yield load(EVENT, orders("acquire_waiting: event", seq_cst, relaxed))
        slot = yield from find_free(home, orders)
        if slot:
            break
        yield futex_wait(EVENT, event)
    yield fetch_add(WAITERS, -1, orders("acquire_waiting: leaves", seq_cst, relaxed))
    return slot


def give_back(slot, me, orders):
    found = yield read(("data", slot))
    assert found == me, f"{found} wrote to the slot of {me}"
    state = yield exchange(("state", slot), FREE, relaxed)
    assert state == IN_USE, "released twice"
    shard = yield read(("shard", slot))
    yield from push(shard, slot, orders)


def wake(orders):
    waiters = yield load(WAITERS, orders("give_back: waiters", seq_cst, relaxed))
    if waiters > 0:
        yield fetch_add(EVENT, 1, orders("wake_one: event", seq_cst, relaxed))
        yield futex_wake(EVENT, 1)


def program(threads, free, held=(), count=1):
    """A pool of two shards with these free slots in each; the held ones are thread 1's, and go back to shard 1."""
    atomics = {SHARD_COUNT: count, WAITERS: 0, EVENT: 0}
    data = {}
    for shard, slots in enumerate(free):
        atomics["head", shard] = 0, slots[-1] if slots else 0
        for depth, slot in enumerate(slots, 1):
            atomics.update({("below", slot): slots[depth - 2] if depth > 1 else 0, ("depth", slot): depth})
            atomics["state", slot] = FREE
            data.update({("data", slot): None, ("shard", slot): shard})
    for slot in held:
        atomics.update({("below", slot): 0, ("depth", slot): 0, ("state", slot): IN_USE})
        data.update({("data", slot): 1, ("shard", slot): 1})

    def final(returned, memory):
        listed = []
        for shard in range(2):
            slot = memory["head", shard][1]
            while slot:
                assert slot not in listed, f"slot {slot} is free twice"
                assert memory["shard", slot] == shard, f"slot {slot} of shard {memory['shard', slot]} is in {shard}"
                listed.append(slot)
                below = memory["below", slot]
                depth = memory["depth", below] if below else 0
                assert memory["depth", slot] == depth + 1, f"depth of {slot} is {memory['depth', slot]}"
                slot = below
        kept = [slot for slot in returned if slot]
        everything = sorted([*free[0], *free[1], *held])
        assert sorted(listed + kept) == everything, f"of {everything}, {listed} are free and {kept} in use"

    return Program(threads, atomics, data, final)


def never_empty(orders):
    """There is a free slot all the time, in one shard or the other: nobody may be told that there is none."""

    def one():
        yield from give_back(2, 1, orders)
        slot = yield from acquire_slot(0, orders)
        assert slot, "no slot, but one was free all the time"
        yield from take(slot, 1)
        return slot

    def two():
        slot = yield from acquire_slot(1, orders)
        assert slot, "no slot, but one was free all the time"
        yield from take(slot, 2)
        return slot

    return program([one, two], ((1,), ()), (2,), 2)


def recycling(orders):
    """A head that one has seen leaves and comes back."""

    def user(me):
        def thread():
            first = yield from pop(0, orders)
            if first:
                yield from take(first, me)
            second = yield from pop(0, orders)
            if second:
                yield from take(second, me)
            if first:
                yield from give_back(first, me, orders)
            return second

        return thread

    return program([user(1), user(2)], ((1, 2, 3), ()))


def waiting(orders):
    """More threads than slots: they wait for each other, and nobody sleeps for ever."""

    def user(me, home):
        def thread():
            slot = yield from acquire_slot(home, orders)
            if not slot:
                slot = yield from acquire_waiting(home, orders)
            yield from take(slot, me)
            yield from give_back(slot, me, orders)
            yield from wake(orders)

        return thread

    return program([user(1, 0), user(2, 1)], ((1,), ()))


def two_waiting(orders):
    """One is woken, and wakes the other."""

    def holder():
        yield from give_back(1, 1, orders)
        yield from wake(orders)

    def user(me):
        def thread():
            slot = yield from acquire_waiting(1, orders)
            yield from take(slot, me)
            yield from give_back(slot, me, orders)
            yield from wake(orders)

        return thread

    return program([holder, user(2), user(3)], ((), ()), (1,), 2)


SOURCES = "mlopt/_kernels/memory/array_pool.c", "mlopt/_kernels/memory/array_pool_stacks.h"
C_CODE = {
    "push": "load acquire; load relaxed; store relaxed; store relaxed; compare_exchange_weak seq_cst acquire",
    "pop": "load seq_cst; load relaxed; compare_exchange_weak acquire acquire",
    "take": "load relaxed; store relaxed",
    "wake_one": "fetch_add seq_cst",
    "mlopt_array_pool_give_back": "load seq_cst",
}
SCENARIOS = recycling, never_empty, waiting
LARGE = (two_waiting,)
LOOKS_AGAIN = "find_free loads it with seq_cst again, before it says that there is none"
NOT_ASLEEP = (
    "who saw an old value is not put to sleep; a new one is seen together with an empty shard only if it is empty"
)
STRONGER_THAN_NEEDED = {
    ("pop: load", acq_rel): LOOKS_AGAIN,
    ("pop: swap", relaxed): "the head that it takes off was acquired when `below` was looked up",
    ("find_free: head", acq_rel): LOOKS_AGAIN,
    ("find_free: head", relaxed): LOOKS_AGAIN,
    ("find_free: count", acq_rel): LOOKS_AGAIN,
    ("find_free: count", relaxed): LOOKS_AGAIN,
    ("find_free: count again", acq_rel): "it was loaded with seq_cst before the heads",
    ("find_free: count again", relaxed): "it was loaded with seq_cst before the heads",
    ("acquire_waiting: event", acq_rel): NOT_ASLEEP,
    ("acquire_waiting: event", relaxed): NOT_ASLEEP,
    ("wake_one: event", acq_rel): NOT_ASLEEP,
    ("wake_one: event", relaxed): NOT_ASLEEP,
    ("acquire_waiting: leaves", acq_rel): "who does not see it yet wakes for nothing",
    ("acquire_waiting: leaves", relaxed): "who does not see it yet wakes for nothing",
}
TOGETHER = ((("find_free: count", acq_rel), ("find_free: count again", acq_rel)),)
