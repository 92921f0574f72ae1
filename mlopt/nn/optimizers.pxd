# Parameter objects of the optimisers; the moments belong to the model that is trained.


cdef class Optimizer:
    cdef double rates[5]    # in the order the kernels take them
    cdef int vectors        # moment vectors a model keeps for it
    cdef double most        # clip_norm, or 0
    cdef object schedule    # of the learning rate, or None
    cdef int prepare(self, long long step) except -1


cdef class SGD(Optimizer):
    pass


cdef class AdamW(Optimizer):
    pass
