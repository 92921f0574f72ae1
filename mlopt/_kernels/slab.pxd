# The C side of the slab pool, declared for Cython; modules other than core call it through core.pxd.
from libc.stdint cimport uint32_t, uint64_t


cdef extern from "memory/slab.h" nogil:
    ctypedef struct mlopt_slab_statistics:
        size_t blocks_in_use
        size_t bytes_in_use
        size_t blocks_cached
        size_t bytes_cached
        size_t bytes_peak
        uint64_t hits
        uint64_t misses
        uint64_t returned

    void *mlopt_slab_acquire(size_t bytes)
    void *mlopt_slab_acquire_zeroed(size_t bytes)
    void mlopt_slab_release(void *block)
    void *mlopt_slab_malloc(void *context, size_t bytes) noexcept
    void mlopt_slab_free(void *context, void *block, size_t bytes) noexcept
    size_t mlopt_slab_usable(void *block)
    void mlopt_slab_stats(mlopt_slab_statistics *statistics)
    size_t mlopt_slab_trim()
    uint64_t mlopt_slab_fail_every(uint32_t period)


# What NumPy calls to allocate and to free.
ctypedef void *(*slab_malloc_function)(void *, size_t) noexcept nogil
ctypedef void (*slab_free_function)(void *, void *, size_t) noexcept nogil
