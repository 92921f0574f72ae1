"""The ring that drops the oldest, after ``mlopt/_kernels/lockfree/ring_overwrite.h``, whose names it has.

What one side keeps for itself is a tuple here; a head is (count, the producer's bit, the consumer's bit), an intent
(position, number, flip).  A process that dies is a side that stops after so many operations; its successor is the same
thread, since the death of a process orders what it did before what is done by whoever sees that it is dead.  Left out:
bells and sleep (those of ``ring``), several records at a time, and damaged positions (asserted not to be).
"""

from dataclasses import dataclass
from typing import NamedTuple

from ..explorer import Program, until_death
from ..operations import acq_rel, acquire, compare_exchange, load, read, relaxed, release, store, write
from ..weakening import Orders

PUBLISHED, RELEASED, HEAD, SPARE, REUSED, TAKEN = "published", "released", "head", "spare", "reused", "taken"
DROP_INTENT, TAKE_INTENT = "drop_intent", "take_intent"


class Head(NamedTuple):
    count: int
    producer: int
    consumer: int


class Intent(NamedTuple):
    position: int
    number: int
    flip: int


NO_INTENT = Intent(0, 0, 0)


@dataclass(frozen=True, eq=False)
class Ring:
    orders: Orders
    capacity: int = 1

    @property
    def slots(self):
        return 2 * self.capacity + 1


class Producer(NamedTuple):
    position: int = 0
    slot: int = 0
    reused: int = 0
    dropped_slot: int = -1


class Consumer(NamedTuple):
    position: int = 0
    taken: int = 0
    released: int = 0


def overwrite_taken(ring, head):
    intent = yield load(TAKE_INTENT, ring.orders("taken: intent", acquire))
    taken = yield load(TAKEN, ring.orders("taken: taken", acquire))
    done = intent.flip == head.consumer and intent.position == taken
    return taken + (intent.number if done and ring.orders.keeps("taken: what was meant to be") else 0)


def overwrite_dropped(ring):
    again = yield load(HEAD, ring.orders("dropped: head", acquire))
    while True:
        head = again
        taken = yield from overwrite_taken(ring, head)
        again = yield load(HEAD, ring.orders("dropped: head again", acquire))
        if again == head:
            return head.count - taken


# ---------------------------------------------------------------------------------------------
# Producer


def set_spare(ring, side, slot):
    yield store(SPARE, Intent(side.position, slot, 0), ring.orders("set_spare: spare", release))
    return side._replace(slot=slot)


def next_spare(ring, side):
    if side.dropped_slot >= 0:
        slot = side.dropped_slot
        return (yield from set_spare(ring, side._replace(dropped_slot=-1), slot))
    released = yield load(RELEASED, ring.orders("next_spare: released", acquire))
    slot = yield load(("log", side.reused % ring.slots), relaxed)
    free = released + ring.slots - 1 - side.reused
    assert 0 < free <= ring.slots, f"{free} slots are free"
    side = yield from set_spare(ring, side, slot)
    side = side._replace(reused=side.reused + 1)
    yield store(REUSED, side.reused, ring.orders("next_spare: reused", release))
    return side


def claim_producer(ring):
    head = yield load(HEAD, ring.orders("claim_producer: head", acquire))
    spare = yield load(SPARE, ring.orders("claim_producer: spare", acquire))
    drop = yield load(DROP_INTENT, ring.orders("claim_producer: drop", acquire))
    published = yield load(PUBLISHED, ring.orders("claim_producer: published", acquire))
    released = yield load(RELEASED, ring.orders("claim_producer: released", acquire))
    reused = yield load(REUSED, ring.orders("claim_producer: reused", acquire))
    has_spare = spare.position == published
    side = Producer(published, spare.number, reused)
    meant_for = published if has_spare else published - 1
    if (
        drop.flip == head.producer
        and drop != NO_INTENT
        and drop.position == meant_for
        and ring.orders.keeps("claim_producer: what was dropped")
    ):
        side = side._replace(dropped_slot=drop.number)
    if has_spare and released + ring.slots - 1 != reused:
        slot = yield load(("log", reused % ring.slots), relaxed)
        if slot == side.slot and ring.orders.keeps("claim_producer: count the spare"):
            side = side._replace(reused=reused + 1)
            yield store(REUSED, side.reused, ring.orders("claim_producer: count", release))
    if not has_spare:
        side = yield from next_spare(ring, side)
    return side


def make_room(ring, side):
    head = yield load(HEAD, ring.orders("make_room: head", acquire))
    while side.position - head.count >= ring.capacity:
        assert side.position - head.count == ring.capacity, "more wait than there is room for"
        assert side.dropped_slot < 0, "two were dropped for one"
        slot = yield load(("entry", head.count % ring.capacity), relaxed)
        new_head = Head(head.count + 1, 1 - head.producer, head.consumer)
        yield store(
            DROP_INTENT, Intent(side.position, slot, new_head.producer), ring.orders("make_room: intent", release)
        )
        success = ring.orders("make_room: swap", acq_rel)
        failure = ring.orders("make_room: failed swap", acquire)
        swapped, head = yield compare_exchange(HEAD, head, new_head, success, failure)
        if swapped:
            return side._replace(dropped_slot=slot)
    return side


def publish(ring, side):
    side = yield from make_room(ring, side)
    yield store(("entry", side.position % ring.capacity), side.slot, relaxed)
    side = side._replace(position=side.position + 1)
    yield store(PUBLISHED, side.position, ring.orders("publish: published", release))
    return (yield from next_spare(ring, side))


def produce(ring, side, records):
    """Publishes as many records as are missing; each says which it is."""
    while side.position < records:
        yield write(("record", side.slot), side.position)
        side = yield from publish(ring, side)
    return side


# ---------------------------------------------------------------------------------------------
# Consumer


def claim_consumer(ring):
    again = yield load(HEAD, ring.orders("claim_consumer: head", acquire))
    while True:
        head = again
        taken = yield from overwrite_taken(ring, head)
        again = yield load(HEAD, ring.orders("claim_consumer: head again", acquire))
        if again == head:
            break
    yield store(TAKEN, taken, ring.orders("claim_consumer: taken", release))
    released = yield load(RELEASED, ring.orders("claim_consumer: released", acquire))
    assert taken - released <= ring.capacity, "more is held than there is room for"
    return Consumer(released, taken, released)


def take(ring, side):
    """One record into the log, if one waits and there is room; the consumer, and how many."""
    if side.taken - side.released == ring.capacity:
        return side, 0
    head = yield load(HEAD, ring.orders("take: head", acquire))
    while True:
        published = yield load(PUBLISHED, ring.orders("take: published", acquire))
        waiting = published - head.count
        if waiting == 0:
            return side, 0
        slot = yield load(("entry", head.count % ring.capacity), relaxed)
        yield store(("log", (side.taken + ring.slots - 1) % ring.slots), slot, relaxed)
        new_head = Head(head.count + 1, head.producer, 1 - head.consumer)
        yield store(TAKE_INTENT, Intent(side.taken, 1, new_head.consumer), ring.orders("take: intent", release))
        if waiting > ring.capacity:  # the producer went on meanwhile
            seen = head
            head = yield load(HEAD, ring.orders("take: head after nonsense", acquire))
            assert head != seen, "damaged"
            continue
        swapped, head = yield compare_exchange(
            HEAD, head, new_head, ring.orders("take: swap", acq_rel), ring.orders("take: failed swap", acquire)
        )
        if swapped:
            side = side._replace(taken=side.taken + 1)
            yield store(TAKEN, side.taken, ring.orders("take: taken", release))
            return side, 1


def consume(ring, side, records, last):
    """Reads, and releases, until it has read the last record."""
    while last < records - 1:
        count = 1
        if side.position == side.taken:
            side, count = yield from take(ring, side)
        if count:
            slot = yield load(("log", (side.position + ring.slots - 1) % ring.slots), relaxed)
            side = side._replace(position=side.position + 1)
            record = yield read(("record", slot))
            assert record is not None, "a slot was read that nobody wrote"
            assert record > last, f"record {record} after {last}"
            last = record
            side = side._replace(released=side.released + 1)
            yield store(RELEASED, side.released, ring.orders("release: released", release))
    return side


# ---------------------------------------------------------------------------------------------
# Programs


def program(ring, threads, records):
    atomics = {PUBLISHED: 0, RELEASED: 0, HEAD: Head(0, 0, 0), SPARE: NO_INTENT, REUSED: 0, TAKEN: 0}
    atomics |= {DROP_INTENT: NO_INTENT, TAKE_INTENT: NO_INTENT}
    atomics |= {("entry", entry): 0 for entry in range(ring.capacity)}
    atomics |= {("log", slot): (slot + 1) % ring.slots for slot in range(ring.slots)}
    data = {("record", slot): None for slot in range(ring.slots)}

    def final(returned, memory):
        producer, consumer, *counted = returned
        dropped = memory[HEAD].count - memory[TAKEN]
        assert all(count <= dropped for count in counted), f"{counted} were dropped, but in the end only {dropped}"
        assert memory[PUBLISHED] == records
        assert memory[TAKEN] == consumer.taken
        assert records - memory[HEAD].count <= ring.capacity, "more wait than there is room for"
        everywhere = [producer.slot]
        everywhere += [memory["entry", at % ring.capacity] for at in range(memory[HEAD].count, records)]
        everywhere += [memory["log", at % ring.slots] for at in range(producer.reused, consumer.taken + ring.slots - 1)]
        assert sorted(everywhere) == list(range(ring.slots)), f"the slots are {everywhere}"

    return Program(threads, atomics, data, final)


def overtaking(orders, records=4):
    """The producer goes on whether the consumer comes along or not."""
    ring = Ring(orders)

    def producer():
        return (yield from produce(ring, Producer(), records))

    def consumer():
        return (yield from consume(ring, Consumer(), records, -1))

    return program(ring, [producer, consumer], records)


def with_room(orders):
    """Two wait, two are held."""
    ring = Ring(orders, 2)

    def producer():
        return (yield from produce(ring, Producer(), 4))

    def consumer():
        return (yield from consume(ring, Consumer(), 4, -1))

    return program(ring, [producer, consumer], 4)


def counting(orders):
    """Somebody asks how many were dropped."""
    ring = Ring(orders)

    def producer():
        return (yield from produce(ring, Producer(), 2))

    def consumer():
        side, tries = Consumer(), 2
        while tries:
            side, count = yield from take(ring, side)
            tries -= 1
            if count:
                side = side._replace(position=side.position + 1, released=side.released + 1)
                yield store(RELEASED, side.released, ring.orders("release: released", release))
        return side

    def asker():
        dropped = yield from overwrite_dropped(ring)
        assert dropped >= 0, f"{dropped} dropped"
        return dropped

    return program(ring, [producer, consumer, asker], 2)


def death_of_producer(operations):
    """The first producer dies after so many operations: nothing is lost but what it had not published."""

    def scenario(orders, records=3):
        ring = Ring(orders)

        def producer():
            yield from until_death(produce(ring, Producer(), records), operations)
            side = yield from claim_producer(ring)
            return (yield from produce(ring, side, records))

        def consumer():
            return (yield from consume(ring, Consumer(), records, -1))

        return program(ring, [producer, consumer], records)

    scenario.__name__ = f"producer_dies_after_{operations}"
    return scenario


def death_of_consumer(operations):
    """The first consumer dies after so many operations: what it had not released is read again."""

    def scenario(orders, records=3):
        ring = Ring(orders)

        def producer():
            return (yield from produce(ring, Producer(), records))

        def consumer():
            yield from until_death(consume(ring, Consumer(), records, -1), operations)
            side = yield from claim_consumer(ring)
            return (yield from consume(ring, side, records, -1))

        return program(ring, [producer, consumer], records)

    scenario.__name__ = f"consumer_dies_after_{operations}"
    return scenario


SOURCES = ("mlopt/_kernels/lockfree/ring_overwrite.h",)
C_CODE = {
    "mlopt_overwrite_taken": "load acquire; load acquire",
    "mlopt_overwrite_dropped": "load acquire; load acquire",
    "mlopt_overwrite_set_spare": "store release",
    "mlopt_overwrite_next_spare": "load acquire; load relaxed; store release",
    "mlopt_overwrite_claim_producer": "load acquire; load acquire; load acquire; load acquire; load acquire; "
    "load acquire; load relaxed; store release",
    "mlopt_overwrite_make_room": "load acquire; load relaxed; store release; compare_exchange_strong acq_rel acquire",
    "mlopt_overwrite_publish": "store relaxed; store release",
    "mlopt_overwrite_claim_consumer": "load acquire; load acquire; store release; load acquire",
    "mlopt_overwrite_take": "load acquire; load acquire; load relaxed; store relaxed; store release; load acquire; "
    "compare_exchange_strong acq_rel acquire; store release",
    "mlopt_overwrite_try_acquire_many": "load relaxed; load relaxed",
    "mlopt_overwrite_release": "store release",
}
SCENARIOS = [overtaking, with_room, counting, *map(death_of_producer, (7, 13)), death_of_consumer(9)]
LARGE = [*map(death_of_producer, range(3, 31)), *map(death_of_consumer, range(3, 20))]
ROLE = "who takes a role over sees what was done in it: the swap of the role, or the death, is between"
HEAD_COVERS = "a slot comes round only when a record taken later than its release is counted by head, read with acquire"
STRONGER_THAN_NEEDED = {
    ("next_spare: released", relaxed): HEAD_COVERS,
    ("release: released", relaxed): HEAD_COVERS,
    ("take: swap", release): "the same head was read with acquire before",
    ("make_room: swap", release): "the same head was read with acquire before",
    ("claim_producer: head", relaxed): ROLE,
    ("claim_producer: spare", relaxed): ROLE,
    ("claim_producer: drop", relaxed): ROLE,
    ("claim_producer: published", relaxed): ROLE,
    ("claim_producer: released", relaxed): ROLE,
    ("claim_producer: reused", relaxed): ROLE,
    ("claim_consumer: head", relaxed): ROLE,
    ("claim_consumer: head again", relaxed): ROLE,
    ("claim_consumer: released", relaxed): ROLE,
}
# A thread of the model sees its own stores in their order.  Of a process that is killed, a compiler that moved one
# before another could leave the second without the first.
NOT_SHOWN = {
    ("set_spare: spare", relaxed),
    ("next_spare: reused", relaxed),
    ("make_room: intent", relaxed),
    ("claim_producer: count", relaxed),
    ("claim_consumer: taken", relaxed),
}
TOGETHER = ()
