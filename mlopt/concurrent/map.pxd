from libc.stdint cimport int64_t, uint64_t


cdef extern from "lockfree/map.h" nogil:
    enum:
        MLOPT_MAP_NO_MEMORY
        MLOPT_MAP_OTHER_KEYS
    const uint64_t MLOPT_MAP_MAX_CAPACITY
    ctypedef struct mlopt_map:
        pass
    ctypedef enum mlopt_map_keys:
        MLOPT_MAP_INT64
        MLOPT_MAP_BYTES
    ctypedef struct mlopt_map_key:
        const void *data
        size_t bytes
        int64_t number
    ctypedef struct mlopt_map_walk:
        uint64_t bound


# Methods without the GIL, for any number of threads.  A result below 0 says that nothing was done: MLOPT_MAP_NO_MEMORY
# (a new key, or the first call of a thread), or MLOPT_MAP_OTHER_KEYS where the map's keys are of the other type.
# Pointers for what comes out may be NULL, but for those of find; keys of bytes may not, even where they are empty.
cdef class ConcurrentMap:
    cdef mlopt_map *map

    # 1 and the value, or 0
    cdef int find_int64(self, int64_t key, int64_t *value) noexcept nogil
    cdef int find_bytes(self, const void *key, size_t size, int64_t *value) noexcept nogil
    # stores; 1 where the key is new, 0 where it was there: its value is in `previous`
    cdef int put_int64(self, int64_t key, int64_t value, int64_t *previous) noexcept nogil
    cdef int put_bytes(self, const void *key, size_t size, int64_t value, int64_t *previous) noexcept nogil
    # stores where the key is new: 1; 0 where it was there: its value, which stays, is in `present`
    cdef int insert_int64(self, int64_t key, int64_t value, int64_t *present) noexcept nogil
    cdef int insert_bytes(self, const void *key, size_t size, int64_t value, int64_t *present) noexcept nogil
    # compare and swap; 1 where the value was `expected`, 0 where nothing changed
    cdef int update_int64_if(self, int64_t key, int64_t expected, int64_t value) noexcept nogil
    cdef int update_bytes_if(self, const void *key, size_t size, int64_t expected, int64_t value) noexcept nogil
    # adds, modulo 2**64; 1 where the key is new, 0 where it was there
    cdef int add_int64(self, int64_t key, int64_t delta, int64_t *sum) noexcept nogil
    cdef int add_bytes(self, const void *key, size_t size, int64_t delta, int64_t *sum) noexcept nogil
    # 1 where the key was there: its value is in `previous`
    cdef int remove_int64(self, int64_t key, int64_t *previous) noexcept nogil
    cdef int remove_bytes(self, const void *key, size_t size, int64_t *previous) noexcept nogil
    # the values of many keys; how many were there
    cdef int64_t find_many(self, const int64_t *keys, size_t count, int64_t missing, int64_t *values) noexcept nogil

    cdef int parse(self, object key, mlopt_map_key *parsed) except -1
    cdef int get_value(self, object key, int64_t *value) except -1
    cdef list walk_all(self, bint with_keys, bint with_values)
