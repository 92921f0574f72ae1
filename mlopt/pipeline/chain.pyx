"""Stages one behind the other over one buffer: a record through all of them in one C call."""
cimport numpy as cnp
from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_AsDouble, PyFloat_CheckExact
from libc.stdint cimport int64_t
from libc.string cimport memcpy

import numpy as np

from mlopt._kernels.core cimport current_table
from mlopt._kernels.dispatch cimport mlopt_kernels
from mlopt.concurrent.histogram cimport mlopt_clock_now
from mlopt.pipeline.links cimport DONE, FAILED, ExtractorLink, Link, Outcome

from mlopt.memory import empty_aligned
from mlopt.pipeline.links import links_of

cnp.import_array()


cdef class Chain:
    """Stages bound to one aligned buffer, in which each reads where the one before wrote.

    Parameters
    ----------
    stages : sequence
        Extractors, scalers, models, functions.
    inputs : int
        Numbers of a record.
    dtype : dtype
        Their type.
    timed : bool
        Whether `times` says how long each stage took of the last record; 20 ns a stage.
    wanted : dtype or None
        The type that what follows takes.
    """

    def __init__(self, stages, inputs, dtype, bint timed=False, wanted=None):
        cdef Link link
        cdef Py_ssize_t at = 0, place
        self.links = links_of(stages, inputs, dtype, wanted)
        if len(self.links) > MOST_LINKS:
            raise ValueError(f"stages: at most {MOST_LINKS} fit one chain, with conversions, not {len(self.links)}")
        self.count = len(self.links)
        self.timed = timed
        self.times = np.zeros(max(self.count, 1), np.int64)
        self.inputs, self.input_type = inputs, dtype
        places = [(inputs, dtype)] + [(link.outputs, link.output_type) for link in self.links]
        self.outputs, self.output_type = places[self.count]
        spans = []
        for count, kind in places:
            spans.append((at, count, kind))
            at += (count * kind.itemsize + 63) // 64 * 64
        self.buffer = empty_aligned(at, np.uint8)
        self.buffer[:] = 0
        for i, (place, count, kind) in enumerate(spans):
            self.place[i] = <char *>cnp.PyArray_DATA(self.buffer) + place
        place, count, kind = spans[0]
        self.x = self.buffer[place:place + count * kind.itemsize].view(kind)
        place, count, kind = spans[self.count]
        self.out = self.buffer[place:place + count * kind.itemsize].view(kind)
        for i, link in enumerate(self.links):
            self.link[i] = <void *>link
            if link.own_output != NULL and i + 1 < self.count:  # what keeps its output itself is read there
                self.place[i + 1] = link.own_output
        if self.count and isinstance(self.links[0], ExtractorLink) and not timed:
            self.extractor = self.links[0]
        self.out_view = self.out[:]
        self.out_view.flags.writeable = False

    cdef Outcome run(self, const mlopt_kernels *table, const void *x, void *out) noexcept nogil:
        return self.run_from(0, table, x, out)

    cdef Outcome run_from(self, int first, const mlopt_kernels *table, const void *x, void *out) noexcept nogil:
        cdef Outcome outcome = DONE
        cdef int64_t now, before = mlopt_clock_now() if self.timed else 0
        cdef int64_t *times = <int64_t *>cnp.PyArray_DATA(self.times)
        cdef void *behind
        cdef int i
        if out == NULL:
            out = self.place[self.count]
        if first == self.count:
            memcpy(out, x, cnp.PyArray_NBYTES(self.out))
        for i in range(first, self.count):
            behind = out if i + 1 == self.count else self.place[i + 1]
            outcome = (<Link>self.link[i]).run(table, x, behind)
            if outcome != DONE:
                self.failed = i
                return outcome
            x = behind
            if self.timed:
                now = mlopt_clock_now()
                times[i] = now - before
                before = now
        return DONE

    cdef tuple failure(self, const void *x):
        cdef Link link = self.links[self.failed]
        return link.name, link.reason(x if self.failed == 0 else self.place[self.failed])

    def push(self, tuple values):
        """One record of numbers through all stages: its outcome; the output is in `out`."""
        self.write(values, self.place[0])
        return self.run(current_table(), self.place[0], NULL)

    def record(self, tuple values, cnp.ndarray out not None):
        """Write a record of numbers to an array of the input's type, C-contiguous."""
        self.write(values, cnp.PyArray_DATA(out))

    cdef int write(self, tuple values, void *x) except -1:
        cdef Py_ssize_t i
        if len(values) != self.inputs:
            raise TypeError(f"a record has {self.inputs} numbers, not {len(values)}")
        if self.input_type.itemsize == 8:
            for i in range(self.inputs):
                (<double *>x)[i] = as_double(values[i])
        else:
            for i in range(self.inputs):
                (<float *>x)[i] = <float>as_double(values[i])
        return 0

    def output(self):
        """The last record's output: a read-only view of always the same place."""
        return self.out_view

    def output_of(self, Py_ssize_t i):
        """An array over the place where link i leaves its output."""
        cdef Link link = self.links[i]
        cdef cnp.npy_intp shape = link.outputs
        array = cnp.PyArray_SimpleNewFromData(1, &shape, link.output_type.num, self.place[i + 1])
        cnp.set_array_base(array, self)
        return array

    def run_rows(self, cnp.ndarray rows, cnp.ndarray out):
        """Rows of a table through all stages until one has no output or fails; a later call goes on behind that one.

        Parameters
        ----------
        rows : ndarray of shape (n, inputs), of the input's type
            Each row contiguous and on a boundary of its type.
        out : ndarray of shape (at least n, outputs), of the output's type, likewise
            Row i gets the output of row i.

        Returns
        -------
        done : int
            How many rows have their output.
        outcome : int
            Of the row after those; 0 where there is none.
        """
        cdef const mlopt_kernels *table = current_table()
        cdef Py_ssize_t i = 0, count = rows.shape[0], stride = rows.strides[0], out_stride = out.strides[0]
        cdef const char *x = <const char *>cnp.PyArray_DATA(rows)
        cdef char *target = <char *>cnp.PyArray_DATA(out)
        cdef Outcome outcome = DONE
        with nogil:
            while i < count:
                if self.extractor is not None and self.ahead == self.ahead_end:
                    self.ahead = 0
                    self.ahead_end = self.extractor.run_ahead(table, x + i * stride, stride, count - i)
                if self.ahead < self.ahead_end:
                    self.ahead += 1
                    outcome = self.run_from(1, table, self.extractor.row(self.ahead - 1), target + i * out_stride)
                else:
                    outcome = self.run(table, x + i * stride, target + i * out_stride)
                if outcome != DONE:
                    break
                i += 1
        if outcome == FAILED:
            memcpy(self.place[0], x + i * stride, cnp.PyArray_NBYTES(self.x))  # for its reason
        return i, outcome

    def why(self):
        """(stage, reason, exception or None) of the record that failed just now."""
        return *self.failure(self.place[0]), self.error()

    cdef object error(self):
        cdef Link link = self.links[self.failed]
        error, link.error = link.error, None
        return error

    def get_state(self):
        """What the stages remember, one entry a link."""
        return [link.get_state() for link in self.links]

    def set_state(self, states):
        """Back to what :meth:`get_state` returned."""
        for link, state in zip(self.links, states, strict=True):
            link.set_state(state)


cdef inline double as_double(x) except? -1.0:
    return PyFloat_AS_DOUBLE(x) if PyFloat_CheckExact(x) else PyFloat_AsDouble(x)
