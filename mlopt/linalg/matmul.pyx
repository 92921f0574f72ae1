"""The matrix product, with NumPy's semantics."""
import numpy as np

cimport cython
cimport numpy as cnp

from mlopt._kernels.core cimport current_table
from mlopt._kernels.dispatch cimport mlopt_gemm_job_f32, mlopt_gemm_job_f64, mlopt_kernels
from mlopt._kernels.flags cimport strassen_allowed
from mlopt._kernels.threads cimport gemm_threads, team_run, team_size
from mlopt.linalg.bf16 cimport bf16_product, is_bfloat16
from mlopt.linalg.gemm cimport run_f32, run_f64
from mlopt.linalg.operands cimport checked_threads, fits, folded, overlap
from mlopt.linalg.packed cimport PackedMatrix, packed_product
from mlopt.memory.aligned cimport aligned_array

from mlopt.linalg.strassen import product as strassen_product
from mlopt.sparse.detection import detected_product, sparse_product

cnp.import_array()

# Multiplications from which the GIL is released: below, the product is over before another thread wakes.
cdef double RELEASE_WORK = 32 * 32 * 32
# Below this many, the number of threads is not even asked for.
cdef double THREADS_WORK = 64 * 64 * 64


# One matrix of a stack, or the only one.
cdef struct matrix:
    char *at
    ptrdiff_t row     # bytes
    ptrdiff_t column


cdef int run(const mlopt_kernels *table, int type_num, size_t m, size_t n, size_t k, matrix a, matrix b, matrix c,
             int threads, bint accumulate=False) noexcept nogil:
    cdef mlopt_gemm_job_f32 job_f32
    cdef mlopt_gemm_job_f64 job_f64
    if type_num == cnp.NPY_DOUBLE:
        job_f64.m, job_f64.n, job_f64.k = m, n, k
        job_f64.a, job_f64.a_row, job_f64.a_column = <double *>a.at, a.row // 8, a.column // 8
        job_f64.b, job_f64.b_row, job_f64.b_column = <double *>b.at, b.row // 8, b.column // 8
        job_f64.c, job_f64.c_row, job_f64.c_column = <double *>c.at, c.row // 8, c.column // 8
        job_f64.accumulate = accumulate
        job_f64.packed = NULL
        return run_f64(table, &job_f64, threads)
    job_f32.m, job_f32.n, job_f32.k = m, n, k
    job_f32.a, job_f32.a_row, job_f32.a_column = <float *>a.at, a.row // 4, a.column // 4
    job_f32.b, job_f32.b_row, job_f32.b_column = <float *>b.at, b.row // 4, b.column // 4
    job_f32.c, job_f32.c_row, job_f32.c_column = <float *>c.at, c.row // 4, c.column // 4
    job_f32.accumulate = accumulate
    job_f32.packed = NULL
    return run_f32(table, &job_f32, threads)


cdef int compute(int type_num, size_t m, size_t n, size_t k, matrix a, matrix b, matrix c, threads,
                 bint accumulate=False) except -1:
    cdef const mlopt_kernels *table = current_table()
    cdef double work = <double>m * <double>n * <double>k
    cdef int status, count = 1
    if threads is not None:
        count = threads
    elif work >= THREADS_WORK:
        count = team_size()
    if work < RELEASE_WORK:
        status = run(table, type_num, m, n, k, a, b, c, count, accumulate)
    else:
        with nogil:
            status = run(table, type_num, m, n, k, a, b, c, count, accumulate)
    if status != 0:
        raise MemoryError("no memory for the workspace of a matrix product")
    return 0


cdef matrix as_row(cnp.ndarray x) noexcept:
    cdef matrix result
    result.at = cnp.PyArray_BYTES(x)
    result.row = cnp.PyArray_STRIDE(x, 0) if cnp.PyArray_NDIM(x) == 2 else 0
    result.column = cnp.PyArray_STRIDE(x, cnp.PyArray_NDIM(x) - 1)
    return result


# The product of vectors and matrices of one type without any conversion; None where that is not what these are.
cdef object plain(cnp.ndarray a, cnp.ndarray b, object out, object threads):
    cdef int a_ndim = cnp.PyArray_NDIM(a), b_ndim = cnp.PyArray_NDIM(b), ndim = a_ndim + b_ndim - 2
    cdef int type_num = cnp.PyArray_TYPE(a)
    cdef cnp.npy_intp shape[2]
    cdef size_t m = 1, n = 1, k = cnp.PyArray_DIM(a, a_ndim - 1)
    cdef matrix left, right, product
    cdef cnp.ndarray result
    if <size_t>cnp.PyArray_DIM(b, 0) != k or not fits(a) or not fits(b):
        return None
    left = as_row(a)
    right = as_row(b)
    if a_ndim == 2:
        m = shape[0] = cnp.PyArray_DIM(a, 0)
    if b_ndim == 2:
        n = shape[ndim - 1] = cnp.PyArray_DIM(b, 1)
    else:
        right.row, right.column = right.column, 0
    if out is None:
        result = aligned_array(ndim, shape, type_num, False)
    else:
        if not cnp.PyArray_CheckExact(out):
            return None
        result = <cnp.ndarray>out
        if (cnp.PyArray_NDIM(result) != ndim or cnp.PyArray_TYPE(result) != type_num or cnp.PyArray_DIM(result, 0) !=
                shape[0] or (ndim == 2 and cnp.PyArray_DIM(result, 1) != shape[1]) or not fits(result)
                or not cnp.PyArray_ISWRITEABLE(result) or folded(result) or overlap(result, a) or overlap(result, b)):
            return None
    product = as_row(result)
    if b_ndim == 1:
        product.row, product.column = product.column, 0
    compute(type_num, m, n, k, left, right, product, threads)
    return result


cdef bint foreign(x):
    """Whether an operand has rules of its own: a subclass of ndarray, or another array type."""
    return not cnp.PyArray_CheckExact(x) and hasattr(x, "__array_ufunc__") and not np.isscalar(x)


# A stack of products: pointers to the first matrices, and how far it is to the next along each dimension.
cdef struct stack:
    const mlopt_kernels *table
    int type_num, levels, parts, threads
    size_t m, n, k, count
    matrix a, b, c
    cnp.npy_intp shape[64]
    ptrdiff_t a_step[64]
    ptrdiff_t b_step[64]
    ptrdiff_t c_step[64]
    int status  # of any part that failed


# The products of one part of the stack, an equal share.
cdef void stack_part(int part, void *argument) noexcept nogil:
    cdef stack *s = <stack *>argument
    cdef size_t at = s.count * part // s.parts, end = s.count * (part + 1) // s.parts, rest
    cdef cnp.npy_intp index
    cdef matrix a, b, c
    cdef int level
    while at < end:
        a, b, c = s.a, s.b, s.c
        rest = at
        for level in range(s.levels - 1, -1, -1):
            index = rest % s.shape[level]
            rest //= s.shape[level]
            a.at += index * s.a_step[level]
            b.at += index * s.b_step[level]
            c.at += index * s.c_step[level]
        if run(s.table, s.type_num, s.m, s.n, s.k, a, b, c, s.threads) != 0:
            s.status = -1
        at += 1


# Every matrix of a stack.  The operands have `ndim` dimensions, of which the last two are the matrices'.
cdef int stacked(cnp.ndarray a, cnp.ndarray b, cnp.ndarray c, threads) except -1:
    cdef int ndim = cnp.PyArray_NDIM(c), level, count = team_size() if threads is None else threads
    cdef stack s
    s.table, s.type_num, s.levels = current_table(), cnp.PyArray_TYPE(c), ndim - 2
    s.parts, s.threads, s.status = 1, 1, 0
    s.m, s.n, s.k, s.count = cnp.PyArray_DIM(c, ndim - 2), cnp.PyArray_DIM(c, ndim - 1), cnp.PyArray_DIM(a, ndim - 1), 1
    if cnp.PyArray_SIZE(c) == 0:
        return 0
    s.a.at, s.a.row, s.a.column = cnp.PyArray_BYTES(a), a.strides[ndim - 2], a.strides[ndim - 1]
    s.b.at, s.b.row, s.b.column = cnp.PyArray_BYTES(b), b.strides[ndim - 2], b.strides[ndim - 1]
    s.c.at, s.c.row, s.c.column = cnp.PyArray_BYTES(c), c.strides[ndim - 2], c.strides[ndim - 1]
    for level in range(ndim - 2):
        s.shape[level] = cnp.PyArray_DIM(c, level)
        s.count *= s.shape[level]
        s.a_step[level] = cnp.PyArray_STRIDE(a, level)
        s.b_step[level] = cnp.PyArray_STRIDE(b, level)
        s.c_step[level] = cnp.PyArray_STRIDE(c, level)
    # threads take whole matrices where there are enough, else each matrix is shared
    if <size_t>count <= s.count:
        s.parts = gemm_threads(<double>s.m * s.n * s.k * s.count, count)
    else:
        s.threads = count
    with nogil:
        if s.parts > 1:
            team_run(s.parts, stack_part, &s)
        else:
            stack_part(0, &s)
    if s.status != 0:
        raise MemoryError("no memory for the workspace of a matrix product")
    return 0


cdef bint one_matrix(x):
    """Whether the rows of all matrices of a stack follow each other at one stride."""
    return all(x.strides[i] == x.strides[i + 1] * x.shape[i + 1] for i in range(x.ndim - 2))


@cython.wraparound(True)
cdef object as_rows(x):
    """The matrices of a stack below each other, as a view."""
    rows = int(np.prod(x.shape[:-1]))
    return np.lib.stride_tricks.as_strided(x, (rows, x.shape[-1]), x.strides[-2:])


@cython.wraparound(True)
cdef object general(a, b, out, threads):
    if isinstance(a, PackedMatrix):
        raise TypeError("a is a PackedMatrix; expected an array: only the right operand can be packed")
    if isinstance(b, PackedMatrix):
        return packed_product(a, b, out, threads)
    if foreign(a) or foreign(b) or (out is not None and not cnp.PyArray_CheckExact(out)):
        return np.matmul(a, b, out=out)
    a, b = np.asarray(a), np.asarray(b)
    if is_bfloat16(a) and is_bfloat16(b):
        product = bf16_product(a, b, out, threads)
        return np.matmul(a, b, out=out) if product is None else product
    real = (np.dtype(np.float32), np.dtype(np.float64))
    native_a, native_b = a.dtype.newbyteorder("="), b.dtype.newbyteorder("=")
    if native_a not in real or native_b not in real or a.ndim == 0 or b.ndim == 0:
        return np.matmul(a, b, out=out)
    dtype = real[1] if native_a == real[1] or native_b == real[1] else real[0]
    row, column = a.ndim == 1, b.ndim == 1  # a vector is a row on the left, a column on the right
    left = a[None, :] if row else a
    right = b[:, None] if column else b
    if left.shape[-1] != right.shape[-2]:
        return np.matmul(a, b, out=out)  # NumPy's error
    try:
        batch = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    except ValueError:
        return np.matmul(a, b, out=out)
    shape = batch + (() if row else left.shape[-2:-1]) + (() if column else right.shape[-1:])
    if out is not None and (out.shape != shape or out.dtype != dtype or not out.flags.writeable or not fits(out)
                            or folded(out)):
        return np.matmul(a, b, out=out)
    left, right = (x if x.dtype == dtype and fits(x) else np.array(x, dtype, order="C") for x in (left, right))
    cdef cnp.npy_intp dims[64]
    for i, length in enumerate(shape):
        dims[i] = length
    result = out
    if out is None or overlap(out, left) or overlap(out, right):
        result = aligned_array(len(shape), dims, dtype.num, False)
    product = result
    if row:
        product = product[..., None, :] if not column else product[..., None]
    if column:
        product = product[..., None]
    if right.ndim == 2 and not row and one_matrix(left) and one_matrix(product):
        left, product = as_rows(left), as_rows(product)
    left = np.broadcast_to(left, product.shape[:-2] + left.shape[-2:])
    right = np.broadcast_to(right, product.shape[:-2] + right.shape[-2:])
    stacked(left, right, product, threads)
    if out is None:
        return result[()]
    if result is not out:
        out[...] = result
    return out


# Elements of an operand below which "auto" does not look at the flag that allows Strassen's product.
cdef Py_ssize_t STRASSEN_ELEMENTS = 256 * 256


cdef bint large(x) noexcept:
    return cnp.PyArray_CheckExact(x) and cnp.PyArray_SIZE(x) >= STRASSEN_ELEMENTS


def add_product(cnp.ndarray a not None, cnp.ndarray b not None, cnp.ndarray out not None, num_threads=None):
    """Add a product of matrices to an array: ``out += a @ b``, without a temporary.

    Parameters
    ----------
    a, b, out : ndarray, shapes (m, k), (k, n) and (m, n)
        All float32 or all float64; `out` shares no memory with the others.
    num_threads : int, optional
        At most so many threads.

    Returns
    -------
    ndarray
        `out`.

    Raises
    ------
    ValueError
        If shapes or types do not fit, or `out` cannot take the result.
    """
    cdef int type_num = cnp.PyArray_TYPE(out)
    if not (a.ndim == b.ndim == out.ndim == 2) or a.shape[1] != b.shape[0] or (a.shape[0], b.shape[1]) != (
            out.shape[0], out.shape[1]):
        raise ValueError(f"a, b and out have shapes {(<object>a).shape}, {(<object>b).shape} and "
                         f"{(<object>out).shape}; expected (m, k), (k, n) and (m, n)")
    if not (cnp.PyArray_TYPE(a) == cnp.PyArray_TYPE(b) == type_num) or type_num not in (cnp.NPY_FLOAT, cnp.NPY_DOUBLE):
        raise ValueError(f"a, b and out have types {a.dtype}, {b.dtype} and {out.dtype}; expected one type, float32 or "
                         "float64")
    if cnp.PyArray_SIZE(out) == 0:
        return out
    if not (fits(a) and fits(b) and fits(out) and cnp.PyArray_ISWRITEABLE(out)) or folded(out) or overlap(
            out, a) or overlap(out, b):
        raise ValueError("out is read-only or overlaps, or an array is not aligned; expected writable memory of its "
                         "own")
    compute(type_num, a.shape[0], b.shape[1], a.shape[1], as_row(a), as_row(b), as_row(out), num_threads, True)
    return out


# Multiplications of a product of matrices from which "auto" looks for zeros.
cdef double DETECTION_WORK = 1 << 25


cdef bint worth_a_look(cnp.ndarray a, cnp.ndarray b) noexcept:
    return (cnp.PyArray_NDIM(a) == 2 and cnp.PyArray_NDIM(b) == 2 and
            <double>cnp.PyArray_SIZE(a) * cnp.PyArray_DIM(b, 1) >= DETECTION_WORK)


def matmul(a, b, /, out=None, *, method="auto", num_threads=None, levels=None, cutoff=None, rescale=False):
    """Matrix product of two arrays.

    Vectors, matrices and stacks of matrices as in :func:`numpy.matmul`. Products of float32 and
    float64 (and of the two, in float64) are computed by this library's kernels, and so are those of two arrays of
    ``ml_dtypes.bfloat16``; every other type, and every array that is not a plain ndarray, goes to NumPy's function.
    Sparse operands are multiplied as such.

    Parameters
    ----------
    a, b : array_like
        The operands; not scalars. `b` may be a :class:`mlopt.linalg.PackedMatrix`. Either may be a sparse matrix: a
        :class:`mlopt.sparse.csr_array` or :class:`mlopt.sparse.csc_array`, or one of SciPy's.
    out : ndarray, optional
        Where to store the result: writable, of the result's shape and dtype; for operands of bfloat16 also
        float32. It may overlap `a` and `b`; the result is as if it did not, at the cost of a copy.
    method : {"auto", "gemm", "strassen", "sparse"}, optional
        How to compute: ``"gemm"`` is the blocked product with the ordinary error bound. ``"strassen"`` is faster
        for large matrices, with a weaker bound, and spreads NaN and infinity; matrices with a side of at most 64
        are left to the blocked product. ``"sparse"`` multiplies by the elements of the sparser operand that are not
        0, and by those alone. ``"auto"`` is the blocked product, but the sparse one where an operand is found to have
        so few elements that are not 0 that it pays, and the other to be finite; inside ``mlopt.flags(strassen=True)``
        it takes Strassen's where that was measured to be faster.
    num_threads : int, optional
        At most so many threads, whatever :func:`mlopt.set_num_threads` says. A small product uses fewer.
    levels : int, optional
        For ``"strassen"``: at most so many steps of the recursion, 1 to 3; as many as were measured to pay by
        default, and at least one.
    cutoff : int, optional
        For ``"strassen"``: a product with a side of at most this is not split any more. 64 where only `levels` is
        given; where only `cutoff` is given, `levels` is 3.
    rescale : bool, optional
        For ``"strassen"``: scale copies of the operands by powers of two, so that its error bound holds with the
        magnitudes of each row of `a` and column of `b` in place of those of the whole matrices.

    Returns
    -------
    ndarray, scalar or csr_array
        The product, `out` if that was given; a scalar for two vectors, a sparse array for two sparse operands.

    Raises
    ------
    ValueError
        If shapes do not fit, `method` is not known or not in this version, an argument is out of its range, or one
        for ``"strassen"`` is given to another method.
    TypeError
        If `out` cannot hold the result's type, or `num_threads`, `levels` or `cutoff` is not an integer.
    MemoryError
        If there is no memory for the workspace.

    See Also
    --------
    mlopt.dot : Scalar product of two vectors.
    mlopt.linalg.PackedMatrix : A right operand that is used again and again.
    mlopt.flags : Let ``"auto"`` take Strassen's product.
    mlopt.sparse.csr_array : Sparse matrices.

    Notes
    -----
    Each element of the result is within ``k * eps * sum(abs(a[i, :] * b[:, j]))`` of the exact one. NaN
    and infinities propagate as in a triple loop. The result does not depend on the number of threads.

    Products of bfloat16 are added up in float32, within the same bound with float32's ``eps``, and rounded once to
    bfloat16, the result's type, unless `out` is float32; denormal numbers may count as 0. (NumPy has no product of
    its own for bfloat16 and returns float32.)

    The sparse product leaves out what is multiplied by 0. With ``method="sparse"``, and for operands that are sparse,
    a NaN or an infinity of the other operand therefore only meets the elements that are there. ``"auto"`` looks at a
    sample of the elements of large matrices, and takes the sparse product only where all elements of the other operand
    are finite, so that nothing changes but rounding, within the bound, and the sign of zeros; the look takes less than
    2 % of the product's time.

    With ``method="strassen"`` the bound is normwise: with `d` steps, the largest error is at most about
    ``(k / 2**d)**2 * 18**d * eps / 2 * abs(a).max() * abs(b).max()``; in practice it about doubles with each step. A
    NaN or an infinity in row `i` of `a` may spread to every element of the rows that are a multiple of
    ``m // 2**d`` away from it, one in column `j` of `b` likewise. See the user guide.

    Examples
    --------
    >>> import numpy as np, mlopt
    >>> mlopt.matmul(np.eye(2), np.array([[1.0, 2.0], [3.0, 4.0]]))
    array([[1., 2.],
           [3., 4.]])
    """
    cdef bint asked = False
    if method != "auto" and method != "gemm":
        asked = method == "strassen"
        if method != "sparse" and not asked:
            raise ValueError(f"method={method!r} is not a method; expected 'auto', 'gemm', 'strassen' or 'sparse'")
    if num_threads is not None:
        num_threads = checked_threads(num_threads)
    if method == "sparse" or not (cnp.PyArray_CheckExact(a) and cnp.PyArray_CheckExact(b)):
        result = sparse_product(a, b, out, num_threads, method)
        if result is not None:
            return result
    if asked or levels is not None or cutoff is not None or rescale is not False or (
            method == "auto" and large(a) and large(b) and strassen_allowed()):
        result = strassen_product(a, b, out, asked, num_threads, levels, cutoff, rescale)
        if result is not None:
            return result
    cdef int type_num
    if cnp.PyArray_CheckExact(a) and cnp.PyArray_CheckExact(b):
        type_num = cnp.PyArray_TYPE(<cnp.ndarray>a)
        if ((type_num == cnp.NPY_DOUBLE or type_num == cnp.NPY_FLOAT) and type_num == cnp.PyArray_TYPE(<cnp.ndarray>b)
                and 1 <= cnp.PyArray_NDIM(<cnp.ndarray>a) <= 2 and 1 <= cnp.PyArray_NDIM(<cnp.ndarray>b) <= 2
                and cnp.PyArray_NDIM(<cnp.ndarray>a) + cnp.PyArray_NDIM(<cnp.ndarray>b) > 2):
            if method == "auto" and worth_a_look(<cnp.ndarray>a, <cnp.ndarray>b):
                result = detected_product(a, b, out, num_threads)
                if result is not None:
                    return result
            result = plain(<cnp.ndarray>a, <cnp.ndarray>b, out, num_threads)
            if result is not None:
                return result
    return general(a, b, out, num_threads)


__all__ = ["matmul"]
