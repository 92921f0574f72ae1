# Numbers in Python objects that several threads look at: flags, counts, owners.
cdef extern from "lockfree/atomics.h" nogil:
    bint mlopt_flag_get(const bint *flag)
    void mlopt_flag_set(bint *flag, bint value)
    bint mlopt_flag_take(bint *flag)
    size_t mlopt_count_get(const size_t *count)
    size_t mlopt_count_add(size_t *count, size_t n)
    unsigned long mlopt_owner_get(const unsigned long *owner)
    bint mlopt_owner_take(unsigned long *owner, unsigned long thread)
