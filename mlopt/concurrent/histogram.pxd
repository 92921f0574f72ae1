from libc.stdint cimport int64_t


cdef extern from "lockfree/clock.h" nogil:
    int64_t mlopt_clock_now()


cdef extern from "lockfree/histogram.h" nogil:
    enum:
        MLOPT_HISTOGRAM_MIN_BITS
        MLOPT_HISTOGRAM_MAX_BITS
    ctypedef struct mlopt_histogram:
        int bits
        int64_t count
        int64_t smallest
        int64_t largest
        double total
        int64_t *cells
    size_t mlopt_histogram_cell_count(int)
    void mlopt_histogram_clear(mlopt_histogram *)
    size_t mlopt_histogram_cell_of(int, int64_t)
    int64_t mlopt_histogram_cell_start(int, size_t, int64_t *)
    void mlopt_histogram_record(mlopt_histogram *, int64_t, int64_t)
    size_t mlopt_histogram_cell_at(const mlopt_histogram *, int64_t)


cdef class Histogram:
    cdef mlopt_histogram data
    cdef object storage  # owns data.cells
    cdef int require_values(self, str what) except -1
    cdef int restore(self, cells, counts, int64_t count, smallest, largest, double total) except -1
