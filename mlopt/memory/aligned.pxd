cimport numpy as cnp

# A C-contiguous array of the slab pool, 64-byte aligned; the type is one of NumPy's numbers
# (NPY_FLOAT32, ...) and holds no objects.  Overflowing sizes raise ValueError, no memory MemoryError.
cdef cnp.ndarray aligned_array(int ndim, const cnp.npy_intp *shape, int type_number, bint zeroed)

# The general form: any alignment that is a power of two, rows padded to whole cache lines on request.
cdef cnp.ndarray aligned_array_of(int ndim, const cnp.npy_intp *shape, cnp.dtype dtype, size_t align, bint pad_rows,
                                  bint zeroed)

# What an array of a shape and a type looks like: at most 64 dimensions; TypeError and ValueError as empty_aligned's.
cdef cnp.dtype parse_layout(object shape, object dtype, cnp.npy_intp *dims, int *ndim)
