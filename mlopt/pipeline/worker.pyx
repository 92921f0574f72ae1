"""The loop of a stage of its own: records from a queue through a chain into the next queue, without the GIL."""
cimport numpy as cnp
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.string cimport memcpy

from mlopt._kernels.core cimport current_table_nogil
from mlopt.concurrent.ring cimport *
from mlopt.concurrent.spsc cimport SPSCQueue
from mlopt.pipeline.chain cimport Chain
from mlopt.pipeline.links cimport DONE, FAILED

from mlopt.pipeline.records import HEADER

cnp.import_array()

cdef enum:
    END = 3             # behind the outcomes, as in records.py
    VALUES = 64         # HEADER there
    SLICE = 50_000_000  # nanoseconds of waiting before looking around

cdef struct record:  # record_type of records.py
    int64_t number
    int64_t time
    int32_t status
    int32_t stage
    int32_t length

assert HEADER == VALUES


cdef class Worker:
    """One group of stages between two queues.

    Parameters
    ----------
    source, target : SPSCQueue
        Of the bytes of records (records.py) of the chain's input and output.
    chain : Chain
        The stages.
    stage : int
        Which group it is, for failures.
    stop : ndarray of int64, shape (1,)
        Somebody sets it to another number than 0 where the worker is to leave after the record it is at.

    Notes
    -----
    `source` may be a queue whose producer drops; `target` is one whose producer waits.
    """
    cdef SPSCQueue source, target
    cdef Chain chain
    cdef int32_t stage
    cdef cnp.ndarray stop
    cdef int64_t *stopping
    cdef int64_t text            # bytes of a reason that the target's records hold
    cdef object checkpoint
    cdef int64_t checkpoint_every
    cdef int64_t held, consumed  # records acquired and not released; acquired since the beginning
    cdef bint passed             # the end went into the target already
    cdef object failure          # of a checkpoint
    cdef readonly dict errors    # number of a record -> the exception that failed it, until who reports it takes it

    def __init__(self, SPSCQueue source not None, SPSCQueue target not None, Chain chain not None, stage, stop):
        self.source, self.target, self.chain, self.stage = source, target, chain, stage
        self.stop = stop
        self.stopping = <int64_t *>cnp.PyArray_DATA(self.stop)
        self.text = target.shape[0] - HEADER
        self.errors = {}
        self.held = 0

    def run(self, int64_t run, int64_t last=-1, checkpoint=None, int64_t checkpoint_every=1, idle=None):
        """Work until the end of a run passes by, or `stop` is set.

        Parameters
        ----------
        run : int
            The run whose end is waited for; ends of others are passed over.
        last : int
            The last record that a former worker published: those up to it are computed, and not published.
        checkpoint : callable, optional
            ``checkpoint(consumed)`` keeps the stages' state; records are released only then, every
            `checkpoint_every` of them, and where the worker leaves.  Where it raises, so does this.
        idle : callable, optional
            Called now and then while waiting; where it returns True, the worker leaves.

        Returns
        -------
        bool
            Whether the end came by.
        """
        cdef bint ended = False, leave = False
        self.checkpoint, self.checkpoint_every = checkpoint, checkpoint_every
        self.failure = None
        self.held = 0
        self.source.claim(False)
        self.target.claim(True)
        self.consumed = mlopt_ring_released(self.source.ring)
        self.passed = self.has_passed(run)
        while not ended and not leave:
            with nogil:
                ended = self.work(run, last)
            if self.failure is not None:
                raise self.failure
            leave = not ended and (self.stopping[0] != 0 or (idle is not None and idle()))
            useless = mlopt_queue_damaged(self.source.ring) or mlopt_ring_closed(self.source.ring)
            if useless and not ended and not leave:
                raise RuntimeError("a queue between stages was damaged or closed")  # waiting would not wait
        self.settle()
        return ended

    cdef const record *last_record(self):
        """The last that went into the target, by whoever; NULL where there was none.

        Its slot is written again only after another one was published: a queue has two at least.
        """
        cdef uint64_t published = mlopt_ring_published(self.target.ring)
        if published == 0:
            return NULL
        return <const record *>mlopt_ring_slot(self.target.ring, (published - 1) % self.target.ring.capacity)

    def last_published(self):
        """The number of the last record that went into the target, by whoever; -1 where there was none."""
        cdef const record *last = self.last_record()
        return -1 if last == NULL else last.number

    cdef bint has_passed(self, int64_t run):
        """Whether a worker that died had passed the end on: it comes again, unless that one had released it as well."""
        cdef const record *last = self.last_record()
        return last != NULL and last.status == END and last.stage == run

    def skip(self, int64_t consumed):
        """Pass over the records that a checkpoint has seen, at the beginning."""
        self.source.claim(False)
        while mlopt_ring_released(self.source.ring) < <uint64_t>consumed:
            if mlopt_queue_try_acquire(self.source.ring) == NULL:
                raise RuntimeError("a checkpoint has seen more records than there are")
            mlopt_queue_release(self.source.ring, 1)

    cdef int settle(self) except -1:
        """Lets go of what was acquired, after a checkpoint."""
        if self.held:
            if self.checkpoint is not None:
                self.checkpoint(self.consumed)
            mlopt_queue_release(self.source.ring, self.held)
            self.held = 0
        return 0

    cdef bint settle_now(self) noexcept with gil:
        try:
            self.settle()
            return True
        except BaseException as error:
            self.failure = error
            return False

    cdef bint work(self, int64_t run, int64_t last) noexcept nogil:
        """Records while there are some; whether the end came by.  Returns after a while without any, or without room.

        A record is taken only once there is room behind it: one that was taken cannot be put back.
        """
        cdef mlopt_ring *source = self.source.ring
        cdef mlopt_ring *target = self.target.ring
        cdef const record *given
        cdef record *made
        cdef bint is_end, waited = False
        while self.stopping[0] == 0:
            made = <record *>mlopt_queue_try_reserve(target)
            if made == NULL:
                if waited:
                    return False
                waited = True
                mlopt_queue_await_space(target, SLICE)
                continue
            given = <const record *>mlopt_queue_try_acquire(source)
            if given == NULL:
                if self.passed:  # whoever passed it on died before it could say so
                    return True
                if waited:
                    return False
                waited = True
                mlopt_queue_await_records(source, SLICE)
                continue
            waited = False
            is_end = given.status == END and given.stage == run
            if given.status == END:
                if is_end and not self.passed:
                    memcpy(made, given, sizeof(record))
                    mlopt_queue_publish(target, 1)
            elif given.number > last:
                self.make(given, made)
                mlopt_queue_publish(target, 1)
            elif given.status == DONE:
                self.chain.run(current_table_nogil(), <const char *>given + VALUES, NULL)
            self.held += 1
            self.consumed += 1
            if is_end:
                return True
            if self.checkpoint is None:
                mlopt_queue_release(source, 1)
                self.held = 0
            elif self.held >= self.checkpoint_every and not self.settle_now():
                return False
        return False

    cdef void make(self, const record *given, record *made) noexcept nogil:
        """A record for the target: the stages' output, or what it was already that has none."""
        memcpy(made, given, sizeof(record))
        if given.status == DONE:
            made.status = self.chain.run(current_table_nogil(), <const char *>given + VALUES, <char *>made + VALUES)
            if made.status == FAILED:
                made.stage = self.stage
                self.explain(made, <const char *>given + VALUES)
        elif given.status == FAILED:
            made.length = <int32_t>min(<int64_t>given.length, self.text)  # the source's records may be larger
            memcpy(<char *>made + VALUES, <const char *>given + VALUES, made.length)

    cdef void explain(self, record *made, const void *x) noexcept with gil:
        """Writes the reason of a failure in place of the values."""
        cdef bytes text
        made.length = 0  # not what lay there, should the reason fail
        name, reason = self.chain.failure(x)
        text = f"{name}\0{reason}".encode(errors="replace")[:self.text]
        made.length = <int32_t>len(text)
        memcpy(<char *>made + VALUES, <const char *>text, made.length)
        error = self.chain.error()
        if error is not None and self.checkpoint is None:  # a process cannot hand it over
            self.errors[made.number] = error
