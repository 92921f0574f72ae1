from libc.stdint cimport int64_t


cdef extern from "lockfree/clock.h" nogil:
    int64_t mlopt_clock_now()


cdef extern from "lockfree/histogram.h" nogil:
    enum:
        MLOPT_HISTOGRAM_MIN_BITS
        MLOPT_HISTOGRAM_MAX_BITS
    ctypedef struct mlopt_histogram:
        int bits
    ctypedef struct mlopt_histogram_summary:
        int64_t count
        int64_t smallest
        int64_t largest
        double total
    mlopt_histogram *mlopt_histogram_new(int, void *(*)(size_t) noexcept nogil, void (*)(void *) noexcept nogil)
    void mlopt_histogram_delete(mlopt_histogram *)
    size_t mlopt_histogram_cell_count(int)
    size_t mlopt_histogram_cell_of(int, int64_t)
    int64_t mlopt_histogram_cell_start(int, size_t, int64_t *)
    void mlopt_histogram_record(mlopt_histogram *, unsigned, int64_t, int64_t)
    void mlopt_histogram_add(mlopt_histogram *, unsigned, size_t, int64_t, int64_t, double, int64_t)
    void mlopt_histogram_clear(mlopt_histogram *, unsigned)
    void mlopt_histogram_summarise(const mlopt_histogram *, mlopt_histogram_summary *)
    void mlopt_histogram_read(const mlopt_histogram *, int64_t *, mlopt_histogram_summary *)
    size_t mlopt_histogram_cell_at(const int64_t *, int64_t)


cdef class Histogram:
    cdef mlopt_histogram *data
    cdef void record_value(self, int64_t value) noexcept nogil  # a negative value counts as 0; wait-free
    cdef int64_t record_time_since(self, int64_t start) noexcept nogil  # record_since without the GIL
    cdef object read(self, mlopt_histogram_summary *summary)
    cdef mlopt_histogram_summary summary_of_values(self, str what) except *
    cdef int add_cells(self, cells, counts, mlopt_histogram_summary *summary) except -1
    cdef int restore(self, cells, counts, int64_t count, smallest, largest, double total) except -1
