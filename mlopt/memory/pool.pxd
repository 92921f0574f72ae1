cdef class Block:
    cdef void *data


# A block as an object that gives it back when it is collected; MemoryError when there is none.
cdef Block new_block(size_t nbytes, bint zeroed)
