from libc.stdint cimport int64_t, uint64_t


cdef extern from "lockfree/thread_index.h" nogil:
    enum:
        MLOPT_THREAD_INDICES
    void mlopt_thread_index_initialise()
    unsigned mlopt_thread_index()
    unsigned mlopt_thread_index_count()


cdef extern from "lockfree/cells.h" nogil:
    ctypedef struct mlopt_cells:
        pass
    mlopt_cells *mlopt_cells_new(void *(*)(size_t) noexcept nogil, void (*)(void *) noexcept nogil)
    void mlopt_cells_delete(mlopt_cells *)
    void mlopt_cells_add(mlopt_cells *, unsigned, uint64_t)
    uint64_t mlopt_cells_sum(const mlopt_cells *)


cdef extern from "lockfree/gauge.h" nogil:
    ctypedef struct mlopt_gauge:
        pass
    void mlopt_gauge_set(mlopt_gauge *, double)
    double mlopt_gauge_get(const mlopt_gauge *)
    void mlopt_gauge_add(mlopt_gauge *, double)


# The calling thread's index in this process (lockfree/thread_index.h): the table of indices is this module's, and
# whatever has a cell per thread asks here, never its own copy of thread_index.c.
cdef unsigned thread_index() noexcept nogil


cdef class Metric:
    cdef readonly str name
    cdef readonly str help
    cdef dict label_values
    cdef int describe(self, name, help, labels) except -1
    cdef str described(self)


cdef class Counter(Metric):
    cdef mlopt_cells *cells
    cdef void add(self, int64_t n) noexcept nogil  # n >= 0; wait-free
    cdef uint64_t total(self) noexcept nogil


cdef class Gauge(Metric):
    cdef mlopt_gauge *word
    cdef object function
    cdef int require_own(self, str what) except -1
    cdef void store(self, double value) noexcept nogil  # of a gauge without a function
    cdef void change(self, double amount) noexcept nogil
    cdef double load(self) noexcept nogil
