# What the products ask of their arguments.
cimport numpy as cnp

# Whether the kernels can take the array as it is: aligned elements of the machine's byte order, whole strides.
cdef bint fits(cnp.ndarray x) noexcept

# Whether two arrays may have memory in common.
cdef bint overlap(cnp.ndarray x, cnp.ndarray y) noexcept

# Whether two elements of an output may share a place (then NumPy's rules for that hold, not ours).
cdef bint folded(cnp.ndarray x) noexcept

# num_threads as an int.
cdef object checked_threads(num_threads)
