"""Queues from one producer to one consumer: what comes out is what went in, in order, between threads and processes."""

import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mlopt.concurrent import PeerDied, QueueClosed, SPSCQueue

SECONDS = 30  # no wait that works takes so long
BAR = np.dtype([("time", "i8"), ("price", "f4", (3,)), ("side", "u1")])
needs_list = pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="the system does not list its shared memory")


def segment(name):
    return f"/dev/shm/mlopt-{name}"


@pytest.fixture
def name(request):
    chosen = re.sub(r"[^A-Za-z0-9]", "-", f"test-{request.node.name}")[:100] + f"-{os.getpid()}"
    yield chosen
    if os.path.exists(segment(chosen)):
        os.unlink(segment(chosen))


@pytest.fixture
def thread():
    """Starts threads, and sees that they end and that none failed."""
    started, errors = [], []

    def start(work):
        def run():
            try:
                work()
            except BaseException as error:
                errors.append(error)

        started.append(threading.Thread(target=run, daemon=True))
        started[-1].start()
        return started[-1]

    yield start
    for one in started:
        one.join(SECONDS)
        assert not one.is_alive()
    if errors:
        raise errors[0]


PROLOGUE = """
import os, signal, sys, time
import numpy as np
from mlopt.concurrent import PeerDied, QueueClosed, SPSCQueue
"""


@pytest.fixture
def process():
    """Starts Python processes with a script and arguments, and sees that they end."""
    started = []

    def start(script, *arguments):
        child = subprocess.Popen(
            [sys.executable, "-c", PROLOGUE + script, *map(str, arguments)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        started.append(child)
        return child

    yield start
    for child in started:
        child.kill()
        child.communicate(timeout=SECONDS)


def ended(child):
    out, err = child.communicate(timeout=SECONDS)
    assert child.returncode == 0, err
    return out


def wait_until(condition):
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.001)


# ----------------------------------------------------------------------------------------------
# Records


@pytest.mark.parametrize("dtype", ["f8", "f4", "i2", "u1", ">i4", "c16", "S5", "M8[ns]", BAR, "?"], ids=str)
@pytest.mark.parametrize("shape", [(), 1, 3, (2, 5), (7, 9, 2)], ids=str)
def test_what_is_put_is_got(shape, dtype):
    queue = SPSCQueue(shape, dtype, capacity=3)
    assert queue.shape == ((shape,) if isinstance(shape, int) else shape)
    assert (queue.dtype, queue.capacity, queue.name) == (np.dtype(dtype), 3, None)
    nbytes = queue.dtype.itemsize * 16 * int(np.prod(shape))
    records = np.random.default_rng(0).integers(0, 2, nbytes, np.uint8).view(queue.dtype).reshape(16, *queue.shape)
    for i in range(16):
        record = records[i, ...]
        queue.put(record)
        out = np.zeros(queue.shape, dtype)
        assert queue.get(out) is out
        assert out.tobytes() == record.tobytes()
        view = queue.reserve()
        view[...] = record
        queue.publish()
        assert queue.acquire().tobytes() == record.tobytes()
        queue.release()
        queue.put(view)
        assert np.array_equal(queue.get(), record)


def test_dtype_with_a_shape():
    queue = SPSCQueue(2, np.dtype(("f4", (3,))))
    assert (queue.shape, queue.dtype) == ((2, 3), np.dtype("f4"))


def test_views_are_in_place_and_the_same_each_time_round():
    queue = SPSCQueue(5, capacity=2)
    first = queue.reserve()
    assert queue.reserve() is first
    assert first.ctypes.data % 64 == 0
    first[:] = 1
    queue.publish()
    second = queue.reserve()
    assert second is not first
    queue.publish()
    assert queue.acquire() is first
    queue.release()
    assert queue.reserve() is first


def test_views_outlive_the_queue():
    queue = SPSCQueue(3)
    queue.put([1, 2, 3])
    view = queue.acquire()
    queue.close()
    del queue
    assert view.tolist() == [1, 2, 3]
    view[:] = 4


@pytest.mark.parametrize("shape", [(), 3, 8, 50], ids=str)
def test_many(shape):
    queue = SPSCQueue(shape, capacity=5)
    records = np.random.default_rng(1).normal(size=(3, *queue.shape))
    for _ in range(7):  # the ring begins anew at every place
        queue.put_many(records)
        out = np.empty((4, *queue.shape))
        assert queue.get_many(out) == 3
        assert (out[:3] == records).all()
    view = queue.reserve_many(99)
    taken = len(view)
    assert 1 <= taken <= 5
    view[:] = 7
    queue.publish(taken)
    got = queue.acquire_many(99)
    assert len(got) == taken
    assert (got == 7).all()
    with pytest.raises(ValueError, match=f"at most the {taken} records that are held"):
        queue.release(taken + 1)
    queue.release(taken)


def test_casts_as_numpy_does():
    queue = SPSCQueue(2, "f4")
    queue.put(np.array([1.5, 2.5]))
    queue.put(np.arange(4)[::2])
    queue.put([3, 4])
    assert queue.get(np.empty(2)).tolist() == [1.5, 2.5]
    assert queue.get().tolist() == [0, 2]
    out = np.zeros(4)[::2]
    assert queue.get(out).tolist() == [3, 4]
    structured = SPSCQueue((), BAR)
    structured.put((1, (2, 3, 4), 5))
    assert structured.get()["price"].tolist() == [2, 3, 4]


def test_several_may_be_held():
    queue = SPSCQueue((), "i8", capacity=4)
    queue.put_many(range(4))
    a, b, c = queue.acquire(), queue.acquire(), queue.acquire()
    queue.release()
    queue.put(4)
    assert not queue.try_put(5)
    assert (int(b), int(c)) == (1, 2)
    assert int(a) == 4  # released: the producer has written there
    with pytest.raises(ValueError, match="2 records are held"):
        queue.get()
    queue.release(2)
    assert [int(queue.get()), int(queue.get())] == [3, 4]


# ----------------------------------------------------------------------------------------------
# Full, empty, closed


def test_full_and_empty():
    queue = SPSCQueue((), "i8", capacity=2)
    assert queue.try_acquire() is None
    with pytest.raises(TimeoutError, match="empty"):
        queue.acquire(timeout=0)
    with pytest.raises(TimeoutError, match="empty"):
        queue.get(timeout=0.01)
    queue.put_many([1, 2])
    assert queue.try_reserve() is None
    assert queue.try_put(3) is False
    with pytest.raises(TimeoutError, match="full"):
        queue.put(3, timeout=0)
    with pytest.raises(TimeoutError, match="full"):
        queue.reserve(timeout=0.01)
    assert len(queue) == 2
    queue.get()
    with pytest.raises(TimeoutError) as caught:
        queue.put_many([3, 4, 5], timeout=0.01)
    assert caught.value.done == 1
    assert (queue.published, queue.released, queue.dropped) == (3, 1, 0)


def test_close_drains():
    queue = SPSCQueue((), "i8")
    queue.put_many([1, 2])
    assert not queue.closed
    queue.close()
    queue.close()
    assert queue.closed
    for refused in (lambda: queue.put(3), lambda: queue.reserve(), lambda: queue.try_put(3), queue.try_reserve):
        with pytest.raises(QueueClosed):
            refused()
    assert [int(record) for record in queue] == [1, 2]
    for refused in (queue.get, queue.try_acquire, lambda: queue.acquire_many(3), lambda: queue.acquire(0)):
        with pytest.raises(QueueClosed, match="everything was read"):
            refused()


def test_loop_goes_on_after_a_break():
    queue = SPSCQueue((), "i8")
    queue.put_many(range(4))
    queue.close()
    for record in queue:
        if record == 1:
            break
    assert [int(record) for record in queue] == [2, 3]
    assert queue.released == 4


def test_consumer_closes(name):
    with SPSCQueue(1, name=name) as producer:
        consumer = SPSCQueue.attach(name)
        producer.put([1])
        assert consumer.get().tolist() == [1]
        consumer.close()
        with pytest.raises(QueueClosed):
            producer.put([2])
        with pytest.raises(QueueClosed):
            consumer.get()


@pytest.mark.parametrize("waits", ["producer", "consumer"])
def test_close_wakes(thread, waits):
    queue = SPSCQueue(1, capacity=1)
    raised = []
    if waits == "producer":
        queue.put([1])

    def wait():
        with pytest.raises(QueueClosed):
            queue.put([2]) if waits == "producer" else queue.get()
        raised.append(True)

    waiting = thread(wait)
    queue.close()
    waiting.join(SECONDS)
    assert raised


# ----------------------------------------------------------------------------------------------
# Threads and processes


@pytest.mark.parametrize("capacity", [1, 2, 3, 64])
def test_threads(thread, capacity):
    queue = SPSCQueue(9, "i8", capacity=capacity)
    count = 3000

    def produce():
        rng = np.random.default_rng(capacity)
        done = 0
        while done < count:
            many = int(rng.integers(0, 5))
            if many == 0:
                queue.put(np.full(9, done))
                done += 1
            else:
                view = queue.reserve_many(min(many, count - done))
                view[:] = np.arange(done, done + len(view))[:, None]
                queue.publish(len(view))
                done += len(view)
        queue.close()

    thread(produce)
    for expected, record in enumerate(queue):
        assert (record == expected).all()
    assert queue.released == count


@pytest.mark.no_emulator
def test_processes(process, name):
    count = 20_000
    queue = SPSCQueue(50, capacity=64, name=name)
    child = process(
        """
queue = SPSCQueue.attach(sys.argv[1])
record = np.empty(50)
for i in range(int(sys.argv[2])):
    record[:] = i
    queue.put(record)
queue.close()
""",
        name, count,
    )  # fmt: skip
    for expected, record in enumerate(queue):
        assert (record == expected).all()
    assert queue.released == count
    ended(child)


@pytest.mark.no_emulator
def test_pickled_to_a_process(process, name):
    queue = SPSCQueue((2, 3), BAR, name=name)
    child = process(
        "import pickle\nqueue = pickle.loads(bytes.fromhex(sys.argv[1]))\n"
        "print(queue.shape, queue.dtype, queue.capacity)\nqueue.reserve()[:] = (1, (2, 3, 4), 5)\nqueue.publish()",
        pickle.dumps(queue).hex(),
    )
    assert (queue.acquire(SECONDS)["price"] == [2, 3, 4]).all()
    assert ended(child).split("\n")[0] == f"{(2, 3)} {BAR} 1024"
    with pytest.raises(TypeError, match="give it one"):
        pickle.dumps(SPSCQueue(3))


KILLED_PRODUCER = """
queue = SPSCQueue.attach(sys.argv[1])
for i in range(3):
    queue.put([i])
queue.reserve()[0] = 99  # never published
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.no_emulator
def test_killed_producer_is_missed_and_replaced(process, name):
    queue = SPSCQueue(1, name=name)
    child = process(KILLED_PRODUCER, name)
    wait_until(lambda: queue.published == 3)
    assert [queue.get(timeout=SECONDS)[0] for _ in range(3)] == [0, 1, 2]
    with pytest.raises(PeerDied, match=f"the producer, process {child.pid}, ended") as caught:
        queue.get(timeout=SECONDS)  # a zombie at first: dead all the same
    assert (caught.value.role, caught.value.pid) == ("producer", child.pid)
    again = process(KILLED_PRODUCER.replace("range(3)", "range(3, 5)"), name)
    wait_until(lambda: queue.published == 5)
    assert [queue.get()[0] for _ in range(2)] == [3, 4]
    with pytest.raises(PeerDied, match=str(again.pid)):
        queue.acquire()


@pytest.mark.no_emulator
def test_killed_consumer_is_missed_and_its_unreleased_records_are_read_again(process, name):
    queue = SPSCQueue(1, capacity=4, name=name)
    child = process(
        "queue = SPSCQueue.attach(sys.argv[1])\n"
        "for i in range(3): print(queue.acquire()[0], flush=True)\n"
        "queue.release()\nprint('released', flush=True)\nos.kill(os.getpid(), signal.SIGKILL)",
        name,
    )
    queue.put_many(np.arange(4.0)[:, None])
    assert [child.stdout.readline() for _ in range(4)] == ["0.0\n", "1.0\n", "2.0\n", "released\n"]
    child.wait(SECONDS)
    queue.put([4.0])
    with pytest.raises(PeerDied, match="consumer") as caught:
        queue.put([5.0])
    assert (caught.value.role, caught.value.pid) == ("consumer", child.pid)
    other = SPSCQueue.attach(name)
    assert [other.get()[0] for _ in range(4)] == [1, 2, 3, 4]
    queue.put([5.0])
    assert other.get()[0] == 5


@pytest.mark.no_emulator
def test_process_that_ends_without_closing_is_missed(process, name):
    queue = SPSCQueue(1, name=name)
    child = process("queue = SPSCQueue.attach(sys.argv[1])\nqueue.put([1])\nif sys.argv[2] == 'left': del queue",
                    name, "left")  # fmt: skip
    assert queue.get(timeout=SECONDS)[0] == 1
    with pytest.raises(PeerDied):
        queue.get(timeout=SECONDS)
    ended(child)


def test_role_is_exclusive_until_left(name):
    one = SPSCQueue(1, name=name)
    two = SPSCQueue.attach(name)
    one.put([1])
    with pytest.raises(RuntimeError, match="has a producer already: an object of this process"):
        two.put([2])
    one.detach()
    with pytest.raises(ValueError, match="detached"):
        one.put([3])
    two.put([2])
    assert [two.get()[0], two.get()[0]] == [1, 2]


def test_role_is_left_by_collection(name):
    one = SPSCQueue(1, name=name)
    two = SPSCQueue.attach(name)
    two.put([1])
    two.put([2])
    reader = SPSCQueue.attach(name)
    assert reader.acquire()[0] == 1
    del two, reader
    one.put([3])
    assert [one.get()[0] for _ in range(3)] == [1, 2, 3]


@pytest.mark.no_emulator
def test_control_c_ends_a_wait(process):
    child = process(
        "import signal\nqueue = SPSCQueue(1)\n"
        "try:\n    print('waits', flush=True)\n    queue.get()\n"
        "except KeyboardInterrupt:\n    signal.signal(signal.SIGINT, signal.SIG_IGN)\n    print('interrupted')"
    )
    assert child.stdout.readline() == "waits\n"
    while child.poll() is None:  # it may not have begun to wait yet; any signal after that must end it
        child.send_signal(signal.SIGINT)
        try:
            child.wait(0.2)
        except subprocess.TimeoutExpired:
            continue
    assert "interrupted" in child.communicate(timeout=SECONDS)[0]


@pytest.mark.no_emulator
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@needs_list
def test_forked_child_unlinks_nothing_and_has_no_role(process, name):
    child = process(
        """
queue = SPSCQueue(1, name=sys.argv[1])
queue.put([1])
number = os.fork()
if number == 0:
    try:
        queue.put([2])
    except RuntimeError as error:
        print(error, flush=True)
    assert queue.get()[0] == 1
    del queue
    sys.exit()
assert os.waitpid(number, 0)[1] == 0
print(os.path.exists("/dev/shm/mlopt-" + sys.argv[1]), flush=True)
queue.close()
print(os.path.exists("/dev/shm/mlopt-" + sys.argv[1]), flush=True)
""",
        name,
    )
    assert re.fullmatch(rf"the queue has a producer already: process {child.pid}\nTrue\nFalse\n", ended(child))


# ----------------------------------------------------------------------------------------------
# Names and what lies under them


@needs_list
def test_segment_is_private_and_ends_with_the_queue(name):
    queue = SPSCQueue(1, name=name)
    assert os.stat(segment(name)).st_mode & 0o777 == 0o600
    queue.put([1])
    queue.close()
    assert os.path.exists(segment(name))  # nobody has read what is there
    assert SPSCQueue.attach(name).get()[0] == 1
    del queue
    assert not os.path.exists(segment(name))
    with SPSCQueue(1, name=name):
        assert os.path.exists(segment(name))
    assert not os.path.exists(segment(name))


def test_name_in_use(name):
    with SPSCQueue(1, name=name) as queue:
        with pytest.raises(FileExistsError):
            SPSCQueue(2, name=name)
        assert SPSCQueue.attach(name).shape == queue.shape == (1,)


@needs_list
@pytest.mark.no_emulator
def test_leftovers(process, name):
    script = "queue = SPSCQueue(3, name=sys.argv[1])\nqueue.put([1, 2, 3])\nos.kill(os.getpid(), signal.SIGKILL)"
    process(script, name).wait(SECONDS)
    assert os.path.exists(segment(name))
    with SPSCQueue(2, name=name) as queue:
        assert (queue.shape, len(queue)) == ((2,), 0)
        assert name not in SPSCQueue.clean_up()
        assert os.path.exists(segment(name))
    process(script, name).wait(SECONDS)
    assert name in SPSCQueue.clean_up()
    assert not os.path.exists(segment(name))
    with pytest.raises(FileNotFoundError):
        SPSCQueue.attach(name)


@needs_list
@pytest.mark.no_emulator
def test_exit_unlinks(process, name):
    ended(process("queue = SPSCQueue(3, name=sys.argv[1])\nqueue.put([1, 2, 3])\nqueue.close()", name))
    assert not os.path.exists(segment(name))


@needs_list
def test_attach_waits_for_a_complete_queue(name, thread):
    with pytest.raises(FileNotFoundError):
        SPSCQueue.attach(name, timeout=0.01)
    made = []

    def make():
        made.append(SPSCQueue(4, name=name))

    thread(make)
    assert SPSCQueue.attach(name, timeout=SECONDS).shape == (4,)


@needs_list
def test_attach_refuses_what_others_may_read(name):
    with SPSCQueue(1, name=name):
        os.chmod(segment(name), 0o644)
        with pytest.raises(PermissionError, match="0o644"):
            SPSCQueue.attach(name)


@needs_list
def test_attach_follows_no_link(name, tmp_path):
    queue = SPSCQueue(1, name=f"{name}-other")
    os.symlink(segment(queue.name), segment(name))
    try:
        with pytest.raises(OSError):
            SPSCQueue.attach(name)
        with pytest.raises(FileExistsError):
            SPSCQueue(1, name=name)
    finally:
        os.unlink(segment(name))


def damaged(name, offset, value):
    """A queue's file with 8 bytes of its header replaced."""
    with SPSCQueue(3, "f4", capacity=7, name=name), open(segment(name), "rb") as file:
        content = bytearray(file.read())
    content[offset : offset + len(value)] = value
    return bytes(content)


def u64(value):
    return value.to_bytes(8, "little")


@needs_list
@pytest.mark.parametrize(
    ("offset", "value"),
    [(0, u64(1)), (8, u64(99)), (16, u64(64)), (16, u64(2**63)), (24, u64(0)), (24, u64(2**64 - 1)), (24, u64(24)),
     (40, u64(0)), (40, u64(2**63)), (40, u64(2**60)), (40, u64(8)), (48, u64(2**64 - 64)), (48, u64(0)),
     (48, u64(2**20)), (56, u64(0)), (56, u64(2**64 - 1)),
     (768, b"((-3"), (768, b"[[[[["), (768, b"((3,), '|O'"), (768, b"((7,), '<f4')")],
)  # fmt: skip
def test_hostile_header_is_refused(name, offset, value):
    content = damaged(name, offset, value)
    with open(segment(name), "xb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
        file.write(content)
    with pytest.raises(ValueError, match=r"not a queue|damaged|does not say"):
        SPSCQueue.attach(name)


@needs_list
@pytest.mark.parametrize("offset", [128, 256], ids=["published", "released"])
@pytest.mark.parametrize("value", [2**63, 8, 2**64 - 1], ids=str)
def test_hostile_positions_are_refused(name, offset, value):
    made = SPSCQueue(3, "f4", capacity=7, name=name)
    queue = SPSCQueue.attach(name)
    if offset == 128:
        assert queue.try_acquire() is None
    else:
        assert queue.try_reserve() is not None
        queue.publish()
        queue.put_many(np.zeros((6, 3)))
    with open(segment(name), "r+b") as file:
        file.seek(offset)
        file.write(u64(value))
    with pytest.raises(RuntimeError, match="damaged"):
        queue.acquire(SECONDS) if offset == 128 else queue.reserve(SECONDS)
    queue.detach()
    assert made.capacity == 7
    with pytest.raises(RuntimeError, match="damaged"):
        SPSCQueue.attach(name).put([1, 2, 3])


@needs_list
def test_truncated_segments_are_refused(name):
    content = damaged(name, 0, b"")
    for size in (0, 1, 767, 768, len(content) - 1):
        with open(segment(name), "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write(content[:size])
        with pytest.raises((ValueError, FileNotFoundError)):
            SPSCQueue.attach(name)


@needs_list
@pytest.mark.no_emulator
@pytest.mark.parametrize("overflow", ["block", "drop_oldest"])
def test_nothing_written_by_others_reaches_foreign_memory(process, name, overflow):
    """Random words in all that is shared before the records: errors, wrong records, but no crash, no hang."""
    child = process(
        """
rng = np.random.default_rng(0)
name, overflow = sys.argv[1:]
refused = 0
for turn in range(300):
    made = SPSCQueue(2, "i8", capacity=5, name=name, overflow=overflow)
    queue = SPSCQueue.attach(name)
    made.put_many(np.zeros((3, 2), "i8"))
    queue.try_acquire()
    words = np.memmap("/dev/shm/mlopt-" + name, "u4", "r+")
    for _ in range(int(rng.integers(1, 4))):
        values = [0, 1, 2**31, 2**32 - 1, int(rng.integers(2**32)), int(rng.integers(16))]
        words[int(rng.integers(128 // 4, min(len(words), 1000 // 4)))] = values[int(rng.integers(len(values)))]
    for _ in range(30):
        for call in (lambda: made.try_put([1, 2]), queue.try_acquire, queue.release, lambda: len(queue),
                     lambda: queue.acquire_many(4, 0)[:], lambda: made.reserve_many(3, 0)[:], lambda: queue.dropped):
            try:
                call()
            except (RuntimeError, ValueError, TimeoutError, QueueClosed):
                refused += 1
    del words, call
    made.detach()
    del made, queue
print("refused", refused)
""",
        name, overflow,
    )  # fmt: skip
    assert int(ended(child).split()[1]) > 0


# ----------------------------------------------------------------------------------------------
# Wrong arguments


@pytest.mark.parametrize(
    ("arguments", "keywords", "error", "message"),
    [
        ((3, object), {}, TypeError, "dtype must be without Python objects"),
        ((3, [("a", "O")]), {}, TypeError, "dtype must be without Python objects"),
        ((3, "S0"), {}, ValueError, "at least one byte"),
        ((0,), {}, ValueError, "at least one byte"),
        (((2, -1),), {}, ValueError, "at least one byte"),
        ((1.5,), {}, TypeError, "shape must be"),
        (("ab",), {}, TypeError, "shape must be"),
        ((2**40, "f8", 2**40), {}, ValueError, "too large"),
        ((3,), {"capacity": 0}, ValueError, "capacity must be at least 1 "),
        ((3,), {"capacity": 2.0}, TypeError, "capacity must be an int, not float"),
        ((3,), {"capacity": 2**46}, ValueError, "capacity"),
        ((3,), {"overflow": "explode"}, ValueError, "overflow must be .*, not 'explode'"),
        ((3,), {"name": ""}, ValueError, "name must be"),
        ((3,), {"name": "a/b"}, ValueError, "name must be"),
        ((3,), {"name": "x" * 201}, ValueError, "name must be"),
        ((3,), {"name": b"x"}, TypeError, "name must be a str, not bytes"),
    ],
)
def test_wrong_arguments(arguments, keywords, error, message):
    with pytest.raises(error, match=message):
        SPSCQueue(*arguments, **keywords)


def test_misuse():
    queue = SPSCQueue(3, "f4", capacity=2)
    with pytest.raises(ValueError, match="at most the 0 records that are reserved, not 1"):
        queue.publish()
    with pytest.raises(ValueError, match="at most the 0 records that are held, not 1"):
        queue.release()
    queue.reserve()
    for n in (0, -1, 2):
        with pytest.raises(ValueError, match=f"n must be at least 1 and at most the 1 .*, not {n}"):
            queue.publish(n)
    for call in (queue.reserve_many, queue.acquire_many):
        with pytest.raises(ValueError, match="n must be at least 1, not 0"):
            call(0)
    for record in ([1, 2], [[1, 2, 3]], 5, np.zeros(4, "f4")):
        with pytest.raises(ValueError, match=r"record must have shape \(3,\), not"):
            queue.put(record)
    with pytest.raises(TypeError, match="record must be of float32"):
        queue.put(np.zeros(3, complex))
    with pytest.raises(ValueError, match="record cannot be made an array of float32"):
        queue.put(["a", "b", "c"])
    with pytest.raises(ValueError, match=r"records must have shape \(n, 3\), not \(3,\)"):
        queue.put_many([1, 2, 3])
    for timeout in (-1, float("nan")):
        with pytest.raises(ValueError, match="timeout must be at least 0"):
            queue.put([1, 2, 3], timeout)
    with pytest.raises(TypeError, match="timeout must be a number of seconds or None, not str"):
        queue.get(timeout="1")
    assert queue.published == 0
    queue.put([1, 2, 3])
    for out, error in ((np.zeros(4), ValueError), (np.zeros(3, int), TypeError), ([0, 0, 0], TypeError)):
        with pytest.raises(error, match="out must"):
            queue.get(out)
    fixed = np.zeros(3, "f4")
    fixed.flags.writeable = False
    with pytest.raises(ValueError, match="out must be writeable"):
        queue.get(fixed)
    with pytest.raises(ValueError, match="room for at least one"):
        queue.get_many(np.zeros((0, 3)))
    assert queue.released == 0
    assert queue.get().tolist() == [1, 2, 3]


def test_never_initialised():
    queue = SPSCQueue.__new__(SPSCQueue)
    for call in (queue.reserve, queue.acquire, queue.publish, queue.release, queue.get, lambda: queue.put(1)):
        with pytest.raises((ValueError, TypeError, AttributeError)):
            call()
    for name in ("capacity", "name", "published", "released", "dropped", "overflow", "closed", "__len__"):
        with pytest.raises(ValueError, match="not initialised"):
            _ = getattr(queue, name)()
    queue.close()
    queue.detach()


# ----------------------------------------------------------------------------------------------
# Dropping the oldest


def test_oldest_is_dropped():
    queue = SPSCQueue((), "i8", capacity=3, overflow="drop_oldest")
    assert (queue.overflow, SPSCQueue(1).overflow) == ("drop_oldest", "block")
    queue.put_many(range(5))
    assert (len(queue), queue.published, queue.released, queue.dropped) == (3, 5, 0, 2)
    held = [queue.acquire(), queue.acquire()]
    queue.put_many(range(5, 11))  # what is held stays as it is
    assert [int(record) for record in held] == [2, 3]
    assert (len(queue), queue.dropped) == (5, 6)  # 2 held, 3 waiting
    assert int(queue.acquire()) == 8
    assert queue.try_acquire() is None  # as many as the capacity are held
    queue.release(3)
    assert queue.try_put(11)
    queue.close()
    assert [int(record) for record in queue] == [9, 10, 11]
    assert (queue.published, queue.released, queue.dropped, len(queue)) == (12, 6, 6, 0)


@pytest.mark.parametrize("capacity", [1, 2, 5])
def test_dropping_beside_a_model(capacity):
    rng = np.random.default_rng(capacity)
    queue = SPSCQueue(2, "i8", capacity=capacity, overflow="drop_oldest")
    waiting, held, dropped, number = deque(), deque(), 0, 0
    for _ in range(3000):
        action = rng.integers(4)
        if action <= 1:
            queue.reserve()[:] = number, -number
            queue.publish()
            waiting.append(number)
            number += 1
            if len(waiting) > capacity:
                waiting.popleft()
                dropped += 1
        elif action == 2:
            view = queue.try_acquire()
            assert (view is None) == (not waiting or len(held) == capacity)
            if view is not None:
                held.append((waiting.popleft(), view))
        elif held:
            n = int(rng.integers(1, len(held) + 1))
            queue.release(n)
            for _ in range(n):
                held.popleft()
        assert all(view.tolist() == [k, -k] for k, view in held)
        assert (queue.dropped, len(queue)) == (dropped, len(held) + len(waiting))


def test_slow_consumer_of_a_thread_that_never_waits(thread):
    queue = SPSCQueue(9, "i8", capacity=4, overflow="drop_oldest")

    def produce():
        for i in range(20_000):
            queue.put(np.full(9, i))
        queue.close()

    thread(produce)
    last, count = -1, 0
    for record in queue:
        assert (record == record[0]).all()
        assert record[0] > last
        last, count = record[0], count + 1
    assert last == 19_999
    assert count + queue.dropped == 20_000 == queue.published


@pytest.mark.no_emulator
def test_killed_while_dropping(process, name):
    """Whichever store a killed producer or consumer was at, the successor finds every slot and every count."""
    queue = SPSCQueue((), "i8", capacity=4, name=name, overflow="drop_oldest")
    producer = """
queue = SPSCQueue.attach(sys.argv[1])
number = queue.published
record = np.array(0)
print('goes', flush=True)
while True:
    record[()] = number
    queue.put(record)
    number += 1
"""
    consumer = """
queue = SPSCQueue.attach(sys.argv[1])
print('goes', flush=True)
while True:
    first = queue.acquire_many(3)
    queue.release(len(first))
"""
    rng = np.random.default_rng(3)
    for turn in range(8):
        children = [process(producer, name)] + ([process(consumer, name)] if turn % 2 else [])
        for child in children:
            assert child.stdout.readline() == "goes\n"
        before = queue.published
        wait_until(lambda before=before: queue.published > before + 1000)
        time.sleep(rng.uniform(0, 0.002))
        for child in children:
            child.kill()
            child.wait(SECONDS)
        other = SPSCQueue.attach(name)
        seen = []
        while (view := other.try_acquire()) is not None:
            seen.append(int(view))
            other.release()
        assert seen == sorted(set(seen))
        # what waited, one less where it had just been dropped; a consumer may have read it, or held 3
        assert (0 if turn % 2 else 3) <= len(seen) <= (7 if turn % 2 else 4)
        assert not seen or seen[-1] == other.published - 1
        assert other.published == other.released + other.dropped
        del view, other


# ----------------------------------------------------------------------------------------------
# Any order of calls


class Machine(RuleBasedStateMachine):
    """A queue beside a deque: what is published and not released, and how much of it is held."""

    def __init__(self):
        super().__init__()
        self.capacity = 5
        self.queue = SPSCQueue(2, "i8", capacity=self.capacity)
        self.model = deque()
        self.held = 0
        self.next = 0

    def record(self):
        self.next += 1
        return [self.next, -self.next]

    @rule()
    def put(self):
        full = len(self.model) == self.capacity
        record = self.record()
        assert self.queue.try_put(record) is not full
        if not full:
            self.model.append(record)

    @rule(n=st.integers(1, 7), part=st.integers(1, 7))
    def reserve_many(self, n, part):
        if len(self.model) == self.capacity:
            with pytest.raises(TimeoutError):
                self.queue.reserve_many(n, timeout=0)
            return
        view = self.queue.reserve_many(n, timeout=0)
        assert 1 <= len(view) <= min(n, self.capacity - len(self.model))
        records = [self.record() for _ in view]
        view[:] = records
        part = min(part, len(view))
        self.queue.publish(part)
        self.model.extend(records[:part])

    @rule()
    def acquire(self):
        view = self.queue.try_acquire()
        if self.held == len(self.model):
            assert view is None
        else:
            assert view.tolist() == self.model[self.held]
            self.held += 1

    @rule(n=st.integers(1, 7))
    def acquire_many(self, n):
        if self.held == len(self.model):
            with pytest.raises(TimeoutError):
                self.queue.acquire_many(n, timeout=0)
            return
        view = self.queue.acquire_many(n, timeout=0)
        assert 1 <= len(view) <= n
        assert view.tolist() == [self.model[self.held + i] for i in range(len(view))]
        self.held += len(view)

    @precondition(lambda self: self.held > 0)
    @rule(data=st.data())
    def release(self, data):
        n = data.draw(st.integers(1, self.held))
        self.queue.release(n)
        self.held -= n
        for _ in range(n):
            self.model.popleft()

    @precondition(lambda self: self.held == 0)
    @rule(n=st.integers(1, 7))
    def get_many(self, n):
        out = np.zeros((n, 2), "i8")
        if not self.model:
            with pytest.raises(TimeoutError):
                self.queue.get_many(out, timeout=0)
            return
        assert self.queue.get_many(out, timeout=0) == min(n, len(self.model))
        for row in out[: min(n, len(self.model))].tolist():
            assert row == self.model.popleft()

    @invariant()
    def counts(self):
        assert len(self.queue) == len(self.model)
        assert self.queue.published - self.queue.released == len(self.model)


Machine.TestCase.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
TestAnyOrder = Machine.TestCase
