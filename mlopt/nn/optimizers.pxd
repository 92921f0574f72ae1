# Parameter objects of the optimisers; the moments belong to the model that is trained.


cdef class Optimizer:
    cdef double rates[5]  # in the order the kernels take them
    cdef int vectors      # moment vectors a model keeps for it


cdef class SGD(Optimizer):
    pass


cdef class AdamW(Optimizer):
    pass
