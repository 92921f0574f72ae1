# New arrays for results: 64-byte aligned, without a detour through Python.
cimport numpy as cnp


cdef inline cnp.ndarray new_array(int ndim, cnp.npy_intp *shape, int type_num, size_t element_bytes):
    cdef cnp.npy_intp bytes = element_bytes
    cdef int i
    for i in range(ndim):
        if shape[i] != 0 and bytes > ((<size_t>-1) >> 2) // <size_t>shape[i]:
            raise MemoryError("the result is too large")
        bytes *= shape[i]
    bytes += 64
    owner = cnp.PyArray_SimpleNew(1, &bytes, cnp.NPY_UINT8)
    cdef size_t address = <size_t>cnp.PyArray_DATA(<cnp.ndarray>owner)
    array = cnp.PyArray_New(cnp.ndarray, ndim, shape, type_num, NULL, <void *>((address + 63) & ~<size_t>63), 0,
                            cnp.NPY_ARRAY_CARRAY, <object>NULL)
    cnp.set_array_base(array, owner)
    return array
