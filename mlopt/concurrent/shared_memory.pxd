from mlopt.memory.pool cimport Block


# Memory that holds a ring: a block of the slab pool, or a named segment that processes share.
cdef class Memory:
    cdef void *address
    cdef size_t nbytes
    cdef bint is_mapped
    cdef Block block  # the owner of what is not shared
    cdef readonly str name
    cdef object creator  # the process that made the segment and unlinks it, None for others
    cdef object identity  # device and inode of the segment
    cdef int unlink(self) except -1


cdef Memory private_memory(size_t nbytes)
cdef Memory create_segment(str name, size_t nbytes)
cdef Memory open_segment(str name)
