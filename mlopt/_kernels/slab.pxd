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
    size_t mlopt_slab_usable(void *block)
    void mlopt_slab_stats(mlopt_slab_statistics *statistics)
    size_t mlopt_slab_trim()
    uint64_t mlopt_slab_fail_every(uint32_t period)
