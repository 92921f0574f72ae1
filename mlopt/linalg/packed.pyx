"""Matrices packed once, for products with many others."""
import numpy as np

cimport cython
cimport numpy as cnp

from mlopt._kernels.core cimport current_table, default_blocks
from mlopt._kernels.dispatch cimport mlopt_gemm_job_f32, mlopt_gemm_job_f64, mlopt_kernels
from mlopt._kernels.threads cimport team_size
from mlopt.linalg.gemm cimport run_f32, run_f64
from mlopt.linalg.operands cimport fits, folded, overlap
from mlopt.memory.aligned cimport aligned_array

cnp.import_array()


cdef class PackedMatrix:
    """The right operand of matrix products, packed once.

    A product copies its right operand into panels that its kernel reads front to back. A matrix that many
    others are multiplied with, such as the weights of a layer, can be packed beforehand: products with few
    rows, whose time the packing is most of, gain most.

    Parameters
    ----------
    b : array_like, shape (k, n)
        The matrix, of any strides. It is copied.
    dtype : {float32, float64}, optional
        The type to hold it in; that of `b` where it is float32 or float64, else float64.

    Attributes
    ----------
    shape : tuple of int
        ``(k, n)``.
    dtype : dtype
        float32 or float64.

    Raises
    ------
    ValueError
        If `b` does not have two dimensions.
    TypeError
        If `dtype` is neither float32 nor float64, or `b` has complex numbers or objects.

    See Also
    --------
    mlopt.matmul : Takes it as its second operand; ``a @ packed`` is the same.

    Notes
    -----
    The result of a product is within the same bound as with the matrix itself; its last bits may differ, because
    small and narrow matrices are otherwise multiplied in another order. A matrix that was packed by one tier is
    packed again, once, by the first product on another. It takes the memory of `b`, its columns rounded up
    to a multiple of a tile's (at most 64).

    Examples
    --------
    >>> import numpy as np, mlopt
    >>> weights = mlopt.linalg.PackedMatrix(np.array([[1.0, 2.0], [3.0, 4.0]]))
    >>> np.eye(2) @ weights
    array([[1., 2.],
           [3., 4.]])
    >>> np.asarray(weights)
    array([[1., 2.],
           [3., 4.]])
    """
    __array_ufunc__ = None  # so that ndarray @ packed is __rmatmul__

    def __init__(self, b, dtype=None):
        given = np.asarray(b)
        if given.ndim != 2:
            raise ValueError(f"b has {given.ndim} dimensions; expected 2")
        if dtype is None:
            dtype = given.dtype.newbyteorder("=") if given.dtype.kind == "f" and given.itemsize <= 8 else np.float64
            dtype = np.float32 if np.dtype(dtype).itemsize < 4 else dtype
        dtype = np.dtype(dtype)
        if dtype != np.float32 and dtype != np.float64:
            raise TypeError(f"dtype is {dtype}; expected float32 or float64")
        if not np.can_cast(given.dtype, dtype, "same_kind"):
            raise TypeError(f"b has elements of type {given.dtype}; expected real numbers")
        if given.dtype != dtype or not fits(given):
            given = np.array(given, dtype)
        self.shape = given.shape
        self.dtype = dtype
        self.pack(current_table(), given)

    cdef int pack(self, const mlopt_kernels *table, cnp.ndarray b) except -1:
        cdef size_t k = cnp.PyArray_DIM(b, 0), n = cnp.PyArray_DIM(b, 1), columns
        cdef ptrdiff_t size = cnp.PyArray_ITEMSIZE(b)
        cdef ptrdiff_t row = cnp.PyArray_STRIDE(b, 0) // size, column = cnp.PyArray_STRIDE(b, 1) // size
        cdef const void *source = cnp.PyArray_DATA(b)
        cdef cnp.npy_intp length
        cdef cnp.ndarray data
        cdef bint is_f64 = size == 8
        if is_f64:
            columns = table.gemm_pack_f64(default_blocks(8), k, n, NULL, 0, 0, NULL)
        else:
            columns = table.gemm_pack_f32(default_blocks(4), k, n, NULL, 0, 0, NULL)
        length = k * columns
        data = aligned_array(1, &length, cnp.NPY_DOUBLE if is_f64 else cnp.NPY_FLOAT, False)
        with nogil:
            if is_f64:
                table.gemm_pack_f64(default_blocks(8), k, n, <const double *>source, row, column,
                                    <double *>cnp.PyArray_DATA(data))
            else:
                table.gemm_pack_f32(default_blocks(4), k, n, <const float *>source, row, column,
                                    <float *>cnp.PyArray_DATA(data))
        with cython.critical_section(self):
            self.table, self.data, self.columns = table, data, columns
        return 0

    cdef cnp.ndarray form(self, const mlopt_kernels **table, size_t *columns):
        # the packed form with what goes with it, kept: another thread may exchange it from here on
        with cython.critical_section(self):
            table[0], columns[0] = self.table, self.columns
            return self.data

    cdef cnp.ndarray form_for(self, const mlopt_kernels *table, size_t *columns):
        cdef const mlopt_kernels *has
        cdef cnp.ndarray data = self.form(&has, columns)
        while table != has:  # again where another thread came in between with its tier
            self.pack(table, self.unpacked())
            data = self.form(&has, columns)
        return data

    cdef cnp.ndarray unpacked(self):
        cdef const mlopt_kernels *table
        cdef size_t columns
        cdef cnp.ndarray data = self.form(&table, &columns)
        cdef cnp.npy_intp shape[2]
        shape[0], shape[1] = self.shape
        cdef bint is_f64 = self.dtype.itemsize == 8
        cdef cnp.ndarray b = aligned_array(2, shape, cnp.NPY_DOUBLE if is_f64 else cnp.NPY_FLOAT, False)
        if is_f64:
            table.gemm_unpack_f64(default_blocks(8), shape[0], shape[1], <double *>cnp.PyArray_DATA(data),
                                  <double *>cnp.PyArray_DATA(b))
        else:
            table.gemm_unpack_f32(default_blocks(4), shape[0], shape[1], <float *>cnp.PyArray_DATA(data),
                                  <float *>cnp.PyArray_DATA(b))
        return b

    @property
    def ndim(self):
        """2."""
        return 2

    @property
    def size(self):
        """The number of elements."""
        return self.shape[0] * self.shape[1]

    @property
    def nbytes(self):
        """The bytes that the packed form takes."""
        cdef const mlopt_kernels *table
        cdef size_t columns
        return self.form(&table, &columns).nbytes

    def __array__(self, dtype=None, copy=None):
        """The matrix as an array: always a copy."""
        if copy is False:
            raise ValueError("a PackedMatrix cannot become an array without a copy")
        return self.unpacked() if dtype is None else self.unpacked().astype(dtype, copy=False)

    def __rmatmul__(self, a):
        """The product ``a @ self``."""
        return packed_product(a, self, None, None)

    def __matmul__(self, other):
        return NotImplemented

    def __reduce__(self):
        return PackedMatrix, (self.unpacked(),)

    def __repr__(self):
        return f"<PackedMatrix {self.shape[0]} x {self.shape[1]}, {self.dtype}>"


cdef int multiply(PackedMatrix b, cnp.ndarray a, cnp.ndarray c, int threads) except -1:
    """c = a b, all of two dimensions."""
    cdef const mlopt_kernels *table = current_table()
    cdef size_t columns = 0
    cdef cnp.ndarray data = b.form_for(table, &columns)
    cdef mlopt_gemm_job_f32 job_f32
    cdef mlopt_gemm_job_f64 job_f64
    cdef size_t m = cnp.PyArray_DIM(c, 0), n = cnp.PyArray_DIM(c, 1), k = cnp.PyArray_DIM(a, 1)
    cdef ptrdiff_t size = cnp.PyArray_ITEMSIZE(c)
    cdef ptrdiff_t a_row = cnp.PyArray_STRIDE(a, 0) // size, a_column = cnp.PyArray_STRIDE(a, 1) // size
    cdef ptrdiff_t c_row = cnp.PyArray_STRIDE(c, 0) // size, c_column = cnp.PyArray_STRIDE(c, 1) // size
    cdef int status
    if size == 8:
        job_f64 = mlopt_gemm_job_f64(m, n, k, <double *>cnp.PyArray_DATA(a), a_row, a_column,
                                     <double *>cnp.PyArray_DATA(data), 0, 1, <double *>cnp.PyArray_DATA(c),
                                     c_row, c_column, 0, NULL, NULL, <double *>cnp.PyArray_DATA(data), columns, 0)
        with nogil:
            status = run_f64(table, &job_f64, threads)
    else:
        job_f32 = mlopt_gemm_job_f32(m, n, k, <float *>cnp.PyArray_DATA(a), a_row, a_column,
                                     <float *>cnp.PyArray_DATA(data), 0, 1, <float *>cnp.PyArray_DATA(c),
                                     c_row, c_column, 0, NULL, NULL, <float *>cnp.PyArray_DATA(data), columns, 0)
        with nogil:
            status = run_f32(table, &job_f32, threads)
    if status != 0:
        raise MemoryError("no memory for the workspace of a matrix product")
    return 0


cdef object packed_product(a, PackedMatrix b, out, threads):
    cdef cnp.npy_intp dims[2]
    left = np.asarray(a)
    if left.ndim == 0:
        raise ValueError("a has no dimensions; expected at least one")
    if left.shape[left.ndim - 1] != b.shape[0]:
        raise ValueError(f"a has shape {left.shape}: its last dimension does not match the {b.shape[0]} rows of b, "
                         f"a PackedMatrix of shape {b.shape}")
    if left.dtype != b.dtype:
        if not np.can_cast(left.dtype, b.dtype, "safe"):
            raise TypeError(f"a has elements of type {left.dtype}, which b, a PackedMatrix of {b.dtype}, cannot take: "
                            f"convert a, or pack b as {np.result_type(left, b.dtype)}")
        left = left.astype(b.dtype)
    shape = left.shape[:left.ndim - 1] + (b.shape[1],)
    if out is not None:
        if not isinstance(out, np.ndarray) or out.dtype != b.dtype:
            kind = f"an array of {out.dtype}" if isinstance(out, np.ndarray) else type(out).__name__
            raise TypeError(f"out is {kind}; expected an array of {b.dtype}")
        if out.shape != shape:
            raise ValueError(f"out has shape {out.shape}; expected {shape}")
        if not out.flags.writeable:
            raise ValueError("out is read-only; expected an array to write to")
    dims[0], dims[1] = left.size // b.shape[0] if b.shape[0] else int(np.prod(left.shape[:left.ndim - 1])), b.shape[1]
    rows = left.reshape(dims[0], b.shape[0])
    if not fits(rows):
        rows = np.array(rows, b.dtype)
    result = None
    if out is not None and type(out) is np.ndarray and fits(out) and not folded(out) and not overlap(out, rows):
        as_matrix = out.reshape(dims[0], b.shape[1])
        if out.size == 0 or np.may_share_memory(as_matrix, out):
            result = as_matrix
    cdef int count = team_size() if threads is None else threads
    if result is None:
        result = aligned_array(2, dims, cnp.NPY_DOUBLE if b.dtype.itemsize == 8 else cnp.NPY_FLOAT, False)
        multiply(b, rows, result, count)
        if out is None:
            return result.reshape(shape)
        out[...] = result.reshape(shape)
        return out
    multiply(b, rows, result, count)
    return out


__all__ = ["PackedMatrix"]
