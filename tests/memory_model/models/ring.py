"""The ring and its bells, after ``mlopt/_kernels/lockfree/ring.h`` and ``futex.h``, whose names it has.

What one side keeps for itself is a tuple here.  Left out: several records at a time to one reserve, roles and
deaths, damaged positions (asserted not to be), spinning before sleep, and the time-outs of sleep.
"""

from dataclasses import dataclass
from typing import NamedTuple

from ..explorer import Program
from ..operations import (
    acq_rel,
    acquire,
    exchange,
    fence,
    fetch_or,
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
from ..weakening import Orders

PUBLISHED, RELEASED, CLOSED_BITS = "published", "released", "closed"
CONSUMER_SLEEPS, PRODUCER_SLEEPS = "consumer_sleeps", "producer_sleeps"
READY, NOT_YET, CLOSED = "ready", "not yet", "closed"
NO_MORE, NO_READER = 1, 2


@dataclass(frozen=True, eq=False)
class Ring:
    orders: Orders
    capacity: int
    registered: bool = True  # with membarrier
    wanted: int = 0  # free records before a sleeping producer is woken: capacity / 4 in the C code


class Producer(NamedTuple):
    position: int = 0
    seen: int = 0


class Consumer(NamedTuple):
    position: int = 0
    released: int = 0
    seen: int = 0


def light_fence(ring, registered):
    if ring.orders.keeps("ring: light fence"):
        yield fence(light if registered else seq_cst)


def heavy_fence(ring):
    if ring.orders.keeps("await: heavy fence"):
        yield fence(ring.orders("await: heavy fence", heavy) if ring.registered else seq_cst)


def bell_wake(ring, bell):
    rung = yield exchange(bell, 0, ring.orders("wake: exchange", acq_rel, relaxed))
    if rung:
        yield futex_wake(bell, 2)


def bell_ring(ring, bell, registered):
    yield from light_fence(ring, registered)
    sleeps = yield load(bell, relaxed)
    if sleeps:
        yield from bell_wake(ring, bell)


def close(ring, bits):
    yield fetch_or(CLOSED_BITS, bits, ring.orders("close: or", release))
    yield from bell_ring(ring, CONSUMER_SLEEPS, False)
    yield from bell_ring(ring, PRODUCER_SLEEPS, False)


def free(ring, producer, want):
    used = producer.position - producer.seen
    if ring.capacity - used < want:
        released = yield load(RELEASED, ring.orders("free: released", acquire))
        used = producer.position - released
        assert used <= ring.capacity, "damaged"
        producer = producer._replace(seen=released)
    return producer, ring.capacity - used


def publish(ring, producer, count):
    producer = producer._replace(position=producer.position + count)
    yield store(PUBLISHED, producer.position, ring.orders("publish: published", release))
    yield from bell_ring(ring, CONSUMER_SLEEPS, ring.registered)
    return producer


def readable(ring, consumer, want):
    count = consumer.seen - consumer.position
    if count < want:
        published = yield load(PUBLISHED, ring.orders("readable: published", acquire))
        assert published - consumer.released <= ring.capacity, "damaged"
        consumer = consumer._replace(seen=published)
        count = published - consumer.position
    return consumer, count


def try_acquire(ring, consumer):
    """The consumer, and how many records it got: 0 or 1."""
    consumer, count = yield from readable(ring, consumer, 1)
    if count == 0:
        if ring.orders.keeps("try_acquire: wake the producer"):
            yield from bell_ring(ring, PRODUCER_SLEEPS, ring.registered)
        return consumer, 0
    return consumer._replace(position=consumer.position + 1), 1


def give_back(ring, consumer, count):
    """mlopt_ring_release."""
    consumer = consumer._replace(released=consumer.released + count)
    yield store(RELEASED, consumer.released, ring.orders("release: released", release))
    yield from light_fence(ring, ring.registered)
    sleeps = yield load(PRODUCER_SLEEPS, relaxed)
    if sleeps:
        published = yield load(PUBLISHED, relaxed)
        if published - consumer.released <= ring.capacity - ring.wanted:
            yield from bell_wake(ring, PRODUCER_SLEEPS)
    return consumer


def producer_state(ring, producer):
    released = yield load(RELEASED, ring.orders("producer_state: released", acquire))
    closed = yield load(CLOSED_BITS, ring.orders("producer_state: closed", acquire))
    if closed:
        return CLOSED
    return READY if producer.position - released < ring.capacity else NOT_YET


def consumer_state(ring, consumer):
    closed = yield load(CLOSED_BITS, ring.orders("consumer_state: closed", acquire))
    published = yield load(PUBLISHED, ring.orders("consumer_state: published", acquire))
    if closed & NO_READER:
        return CLOSED
    if published != consumer.position:
        return READY
    return CLOSED if closed else NOT_YET


def wait(ring, state, side, bell):
    """mlopt_ring_await."""
    found = yield from state(ring, side)
    if found != NOT_YET:
        return found
    yield store(bell, 1, relaxed)
    yield from heavy_fence(ring)
    if ring.orders.keeps("await: second look"):
        found = yield from state(ring, side)
    if found == NOT_YET:
        yield futex_wait(bell, 1)
        found = yield from state(ring, side)
    yield store(bell, 0, relaxed)
    return found


def reserve(ring, producer):
    """Waits for a free record; the producer, or None where the consumer has closed its side."""
    producer, room = yield from free(ring, producer, 1)
    while not room:
        found = yield from wait(ring, producer_state, producer, PRODUCER_SLEEPS)
        if found == CLOSED:
            return None
        producer, room = yield from free(ring, producer, 1)
    return producer


def acquire_record(ring, consumer):
    """Waits for a record; the consumer, or None where there will be none."""
    consumer, count = yield from try_acquire(ring, consumer)
    while not count:
        found = yield from wait(ring, consumer_state, consumer, CONSUMER_SLEEPS)
        if found == CLOSED:
            return None
        consumer, count = yield from try_acquire(ring, consumer)
    return consumer


def put(ring, producer):
    producer = yield from reserve(ring, producer)
    if producer is not None:
        yield write(("record", producer.position % ring.capacity), producer.position)
        producer = yield from publish(ring, producer, 1)
    return producer


def get(ring, consumer):
    """Acquires a record and reads it."""
    consumer = yield from acquire_record(ring, consumer)
    if consumer is not None:
        position = consumer.position - 1
        record = yield read(("record", position % ring.capacity))
        assert record == position, f"read record {record} in the place of {position}"
    return consumer


def program(ring, producer, consumer):
    bells = {CONSUMER_SLEEPS: 0, PRODUCER_SLEEPS: 0}
    slots = {("record", slot): None for slot in range(ring.capacity)}
    return Program([producer, consumer], {PUBLISHED: 0, RELEASED: 0, CLOSED_BITS: 0, **bells}, slots)


def passing(orders, capacity=2, records=3, registered=True, wanted=0):
    """Records go through one at a time; whoever can do nothing sleeps."""
    ring = Ring(orders, capacity, registered, wanted)

    def producer():
        side = Producer()
        while side.position < records:
            side = yield from put(ring, side)

    def consumer():
        side = Consumer()
        while side.position < records:
            side = yield from get(ring, side)
            side = yield from give_back(ring, side, 1)

    return program(ring, producer, consumer)


def unregistered(orders):
    """Without membarrier both fences are seq_cst."""
    return passing(orders, capacity=1, records=2, registered=False)


def waking_late(orders):
    """A sleeping producer is woken when two records are free, or the consumer finds none."""
    return passing(orders, capacity=2, records=4, wanted=2)


def holding(orders):
    """The consumer holds a record while it waits for the next, and reads it until it releases it.

    It never releases enough that the producer would be woken for the room.
    """
    ring = Ring(orders, 2, wanted=2)

    def producer():
        side = Producer()
        while side.position < 3:
            side = yield from put(ring, side)

    def consumer():
        side = yield from get(ring, Consumer())
        while side.position < 3:
            side = yield from get(ring, side)
            yield read(("record", side.released % ring.capacity))
            side = yield from give_back(ring, side, 1)

    return program(ring, producer, consumer)


def closing(orders):
    """The consumer reads all that was published before the producer closed, and then learns that there is no more."""
    ring = Ring(orders, 1)

    def producer():
        yield from put(ring, Producer())
        yield from close(ring, NO_MORE)

    def consumer():
        side = Consumer()
        while side is not None:
            count = side.position
            side = yield from get(ring, side)
            if side is not None:
                side = yield from give_back(ring, side, 1)
        assert count == 1, f"the queue ended after {count} records"

    return program(ring, producer, consumer)


def closing_the_other_side(orders):
    """A producer that sleeps before a full ring learns that the consumer has gone."""
    ring = Ring(orders, 1)

    def producer():
        side = Producer()
        while side is not None:
            side = yield from put(ring, side)

    def consumer():
        yield from get(ring, Consumer())
        yield from close(ring, NO_READER)

    return program(ring, producer, consumer)


SOURCES = "mlopt/_kernels/lockfree/ring.h", "mlopt/_kernels/lockfree/futex.h"
C_CODE = {
    "mlopt_bell_wake": "exchange acq_rel",
    "mlopt_bell_ring": "load relaxed",
    "mlopt_ring_close": "fetch_or release",
    "mlopt_ring_closed": "load acquire",
    "mlopt_ring_free": "load acquire",
    "mlopt_ring_publish": "store release",
    "mlopt_ring_readable": "load acquire",
    "mlopt_ring_release": "store release; load relaxed; load relaxed",
    "mlopt_ring_producer_state": "load acquire",
    "mlopt_ring_consumer_state": "load acquire",
    "mlopt_ring_await": "store relaxed; store relaxed",
}
SCENARIOS = unregistered, closing_the_other_side, holding, closing
LARGE = passing, waking_late
ONLY_A_HINT = "a hint: free and readable load the position again, with acquire, before a record is touched"
STRONGER_THAN_NEEDED = {
    ("producer_state: released", relaxed): ONLY_A_HINT,
    ("consumer_state: published", relaxed): ONLY_A_HINT,
    ("producer_state: closed", relaxed): "nothing is read after it",
    ("wake: exchange", acquire): "the fence before it orders it behind the change; who wakes too early looks again",
    ("wake: exchange", release): "nothing is read after it",
    ("wake: exchange", relaxed): "both together",
}
TOGETHER = ()
