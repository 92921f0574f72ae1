"""Products of matrices in compressed rows with dense vectors and matrices."""
import numpy as np

cimport cython
cimport numpy as cnp
from libc.stdint cimport INT32_MAX, int64_t
from libc.string cimport memset

from mlopt._kernels.core cimport current_table
from mlopt._kernels.threads cimport gemm_threads, team_run, team_size
from mlopt.linalg.operands cimport checked_threads, fits, overlap
from mlopt.memory.aligned cimport aligned_array
from mlopt.sparse.calls cimport (
    mlopt_call_sell,
    mlopt_call_sell_transposed,
    mlopt_call_spmm,
    mlopt_call_spmm_transposed,
    mlopt_call_spmv,
    mlopt_call_spmv_transposed,
    mlopt_call_transpose,
    mlopt_row_start,
    mlopt_sell,
    mlopt_share_rows,
    mlopt_share_slices,
    mlopt_sparse_types,
)
from mlopt.sparse.compressed cimport CompressedRows, mlopt_csr
from mlopt.sparse.plan cimport Plan, plan_of

cnp.import_array()

# An element of the matrix times one of a vector takes as long as so many multiplications of a dense product, which
# is what the limits of threads are in; with a row of several vectors, so many each.
cdef double VECTOR_WORK = 32
cdef double MATRIX_WORK = 8
# Multiplications from which the GIL is released.
cdef double RELEASE_WORK = 4096


# A product, and how many parts it is cut into.
cdef struct product:
    mlopt_sparse_types types
    const mlopt_csr *a
    const mlopt_sell *sliced  # NULL: by compressed rows
    const int64_t *apart      # rows that are not in slices
    size_t apart_count
    size_t parts
    size_t n                  # columns of the dense operand
    const char *b
    size_t b_row              # elements
    char *c
    size_t c_row
    size_t element_bytes


# How many parts so much work is worth.
cdef size_t parts_of(double work, threads) except? 0:
    cdef int count = 0
    if threads is not None:
        count = checked_threads(threads)
    if work < 64 * 64 * 64:
        return 1
    return gemm_threads(work, team_size() if threads is None else count)


cdef void run(product *p, void (*part)(int, void *) noexcept nogil, double work) noexcept:
    if work < RELEASE_WORK:
        part(0, p)
        return
    with nogil:
        if p.parts > 1:
            team_run(<int>p.parts, part, p)
        else:
            part(0, p)


# Every thread takes the rows apart whose first element lies in its share of their elements.
cdef void long_part(size_t part, product *p) noexcept nogil:
    cdef size_t i, row, before = 0, all_of_them = 0
    for i in range(p.apart_count):
        all_of_them += row_length(p, p.apart[i])
    for i in range(p.apart_count):
        row = p.apart[i]
        if before * p.parts // all_of_them == part:
            mlopt_call_spmv(&p.types, p.a, row, row + 1, p.b, p.c)
        before += row_length(p, row)


cdef size_t row_length(product *p, size_t row) noexcept nogil:
    return mlopt_row_start(p.a, p.types.is_long, row + 1) - mlopt_row_start(p.a, p.types.is_long, row)


cdef void vector_part(int part, void *argument) noexcept nogil:
    cdef product *p = <product *>argument
    cdef size_t first, last
    if p.sliced != NULL:
        first, last = mlopt_share_slices(p.sliced, part, p.parts), mlopt_share_slices(p.sliced, part + 1, p.parts)
        mlopt_call_sell(&p.types, p.sliced, first, last, p.b, p.c)
        long_part(part, p)
        return
    first = mlopt_share_rows(p.a, p.types.is_long, part, p.parts)
    last = mlopt_share_rows(p.a, p.types.is_long, part + 1, p.parts)
    mlopt_call_spmv(&p.types, p.a, first, last, p.b, p.c)


cdef void matrix_part(int part, void *argument) noexcept nogil:
    cdef product *p = <product *>argument
    cdef size_t first = mlopt_share_rows(p.a, p.types.is_long, part, p.parts)
    cdef size_t last = mlopt_share_rows(p.a, p.types.is_long, part + 1, p.parts)
    mlopt_call_spmm(&p.types, p.a, first, last, p.n, p.b, p.b_row, p.c, p.c_row)


# Elements of a row of C that a thread of a transposed product takes, whole lines.
cdef size_t columns_before(product *p, size_t part) noexcept nogil:
    cdef size_t line = 64 // p.element_bytes, lines = (p.n + line - 1) // line
    return min(p.n, lines * part // p.parts * line)


# Threads of a transposed product share the columns of B: all would write to the same rows of C.
cdef void transposed_part(int part, void *argument) noexcept nogil:
    cdef product *p = <product *>argument
    cdef size_t first = columns_before(p, part), n = columns_before(p, part + 1) - first, row
    cdef size_t at = first * p.element_bytes
    for row in range(p.a.columns):
        memset(p.c + row * p.c_row * p.element_bytes + at, 0, n * p.element_bytes)
    if n > 0:
        mlopt_call_spmm_transposed(&p.types, p.a, 0, p.a.rows, n, p.b + at, p.b_row, p.c + at, p.c_row)


cdef void transposed_vector(int part, void *argument) noexcept nogil:
    cdef product *p = <product *>argument
    cdef size_t i, row
    memset(p.c, 0, p.a.columns * p.element_bytes)
    if p.sliced == NULL:
        mlopt_call_spmv_transposed(&p.types, p.a, 0, p.a.rows, p.b, p.c)
        return
    mlopt_call_sell_transposed(&p.types, p.sliced, 0, p.sliced.slices, p.b, p.c)
    for i in range(p.apart_count):
        row = p.apart[i]
        mlopt_call_spmv_transposed(&p.types, p.a, row, row + 1, p.b, p.c)


cdef mlopt_sparse_types types_of(CompressedRows a) except *:
    cdef mlopt_sparse_types types
    if a.view.columns > INT32_MAX:
        raise ValueError(f"a has {a.view.columns} columns; expected fewer than 2**31 for a product")
    types.table = current_table()
    types.is_f64 = cnp.PyArray_TYPE(a.data) == cnp.NPY_DOUBLE
    types.is_long = cnp.PyArray_ITEMSIZE(a.indices) == 8
    return types


# The same matrix in float64, which is remembered.
cdef CompressedRows widened(CompressedRows a):
    cdef Plan plan = plan_of(a)
    if plan.wide is None:
        wide = CompressedRows()
        (<CompressedRows>wide).take(a.data.astype(np.float64), a.indices, a.indptr, a.view.columns, a.order)
        with cython.critical_section(plan):
            if plan.wide is None:  # of several threads one brings it, and it stays
                plan.wide = wide
    return plan.wide


cdef object REAL = (np.dtype(np.float32), np.dtype(np.float64))


# The dense operand as the kernels take it, and the matrix in the type of the result.
cdef tuple operands(CompressedRows a, b, name):
    cdef cnp.ndarray dense
    if cnp.PyArray_CheckExact(b) and cnp.PyArray_TYPE(b) == cnp.PyArray_TYPE(a.data) and fits(b):
        return a, b
    dense = np.asarray(b)
    if dense.dtype.kind not in "biuf":
        raise TypeError(f"{name} has elements of type {dense.dtype}; expected real numbers")
    dtype = np.result_type(a.data.dtype, dense.dtype)
    if dtype not in REAL:
        dtype = REAL[1]
    if dtype != a.data.dtype:
        a = widened(a)
    if dense.dtype != dtype or not dense.dtype.isnative or not fits(dense):
        dense = np.array(dense, dtype, order="K")
    return a, dense


# An array for the result, or the caller's `out` where it can take it as it is.
cdef cnp.ndarray result_array(int ndim, cnp.npy_intp rows, cnp.npy_intp columns, int type_num, cnp.ndarray b, out,
                              CompressedRows a=None):
    cdef cnp.npy_intp shape[2]
    cdef cnp.ndarray given
    shape[0], shape[1] = rows, columns
    if out is None:
        return aligned_array(ndim, shape, type_num, False)
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be an ndarray, not {type(out).__name__}")
    given = <cnp.ndarray>out
    expected = (rows, columns)[:ndim]
    if out.shape != expected or cnp.PyArray_TYPE(given) != type_num or not cnp.PyArray_ISWRITEABLE(given):
        raise ValueError(f"out is a {'writable' if out.flags.writeable else 'read-only'} {out.dtype} array of shape "
                         f"{out.shape}; expected a writable {REAL[type_num == cnp.NPY_DOUBLE]} array of shape "
                         f"{expected}")
    if (cnp.PyArray_IS_C_CONTIGUOUS(given) and fits(given) and not overlap(given, b)
            and (a is None or not overlap(given, a.data))):
        return given
    return aligned_array(ndim, shape, type_num, False)


cdef object finished(cnp.ndarray result, out):
    if out is None or result is out:
        return result
    out[...] = result
    return out


# Rows of a matrix that the kernels can walk along: elements side by side, rows at a distance that is not negative.
cdef bint has_rows(cnp.ndarray x) noexcept:
    cdef cnp.npy_intp itemsize = cnp.PyArray_ITEMSIZE(x)
    return ((cnp.PyArray_STRIDE(x, 1) == itemsize or cnp.PyArray_DIM(x, 1) == 1)
            and (cnp.PyArray_STRIDE(x, 0) >= cnp.PyArray_DIM(x, 1) * itemsize or cnp.PyArray_DIM(x, 0) == 1))


# The same elements with such rows; of a matrix by columns, transposed in blocks.
cdef cnp.ndarray with_rows(cnp.ndarray x, mlopt_sparse_types *types):
    cdef cnp.ndarray copy
    cdef cnp.npy_intp itemsize = cnp.PyArray_ITEMSIZE(x), rows = cnp.PyArray_DIM(x, 0), columns = cnp.PyArray_DIM(x, 1)
    cdef size_t step
    if has_rows(x):
        return x
    if cnp.PyArray_STRIDE(x, 0) != itemsize or cnp.PyArray_STRIDE(x, 1) < rows * itemsize:
        return np.ascontiguousarray(x)
    copy = aligned_array(2, cnp.PyArray_DIMS(x), cnp.PyArray_TYPE(x), False)
    step = cnp.PyArray_STRIDE(x, 1) // itemsize
    with nogil:
        mlopt_call_transpose(types, columns, rows, cnp.PyArray_DATA(x), step, cnp.PyArray_DATA(copy), columns)
    return copy


cdef cnp.npy_intp check_shape(cnp.ndarray b, cnp.npy_intp rows, name) except -1:
    if cnp.PyArray_NDIM(b) not in (1, 2):
        raise ValueError(f"{name} has {cnp.PyArray_NDIM(b)} dimensions; expected a vector or a matrix")
    if cnp.PyArray_DIM(b, 0) != rows:
        raise ValueError(f"{name} has shape {(<object>b).shape}; expected {rows} rows, to match the sparse matrix")
    return 0


# Elements from one row to the next.
cdef size_t row_step(cnp.ndarray x) noexcept:
    if cnp.PyArray_DIM(x, 0) == 1:
        return cnp.PyArray_DIM(x, 1)
    return cnp.PyArray_STRIDE(x, 0) // cnp.PyArray_ITEMSIZE(x)


# The sliced form, where there is one.
cdef int take_slices(CompressedRows a, product *p) except -1:
    cdef Plan plan = plan_of(a)
    if plan.use_slices(a):
        p.sliced = &plan.sliced
        p.apart, p.apart_count = <const int64_t *>cnp.PyArray_DATA(plan.long_rows), cnp.PyArray_DIM(plan.long_rows, 0)
    return 0


cdef int multiply_vector(CompressedRows a, product *p, cnp.ndarray x, cnp.ndarray y, double elements,
                         num_threads, bint transposed) except -1:
    if not cnp.PyArray_IS_C_CONTIGUOUS(x):
        x = np.ascontiguousarray(x)
    p.b, p.c = <char *>cnp.PyArray_DATA(x), <char *>cnp.PyArray_DATA(y)
    take_slices(a, p)
    p.parts = parts_of(elements * VECTOR_WORK, num_threads)
    if transposed:
        p.parts = 1  # all threads would write to the same elements
    run(p, transposed_vector if transposed else vector_part, elements)
    return 0


cdef int multiply_matrix(product *p, cnp.ndarray b, cnp.ndarray c, double elements, num_threads,
                         bint transposed) except -1:
    cdef double work = elements * p.n * MATRIX_WORK
    b = with_rows(b, &p.types)
    p.b, p.b_row = <char *>cnp.PyArray_DATA(b), row_step(b)
    p.c, p.c_row = <char *>cnp.PyArray_DATA(c), p.n
    p.parts = parts_of(work, num_threads)
    if transposed:
        p.parts = min(p.parts, max(<size_t>1, (p.n * p.element_bytes + 63) // 64))
    run(p, transposed_part if transposed else matrix_part, work)
    return 0


# a @ b, or a.T @ b.  A matrix of one column is a vector: the bits are the same.
cdef object multiply(CompressedRows a, b, out, num_threads, bint transposed):
    cdef cnp.ndarray dense, result
    cdef product p
    cdef double elements
    a, b = operands(a, b, "b")
    dense = <cnp.ndarray>b
    check_shape(dense, a.view.rows if transposed else a.view.columns, "b")
    p.types, p.a, p.sliced = types_of(a), &a.view, NULL
    p.element_bytes = cnp.PyArray_ITEMSIZE(dense)
    p.n = cnp.PyArray_DIM(dense, 1) if cnp.PyArray_NDIM(dense) == 2 else 1
    result = result_array(cnp.PyArray_NDIM(dense), a.view.columns if transposed else a.view.rows, p.n,
                          cnp.PyArray_TYPE(dense), dense, out, a)
    elements = <double>cnp.PyArray_DIM(a.data, 0)
    if p.n == 1:
        multiply_vector(a, &p, dense, result, elements, num_threads, transposed)
    else:
        multiply_matrix(&p, dense, result, elements, num_threads, transposed)
    return finished(result, out)


def matmul(CompressedRows a not None, b, out=None, num_threads=None):
    """The product of a sparse matrix and a dense vector or matrix.

    Parameters
    ----------
    a : CompressedRows
        m rows, k columns.
    b : array_like, shape (k,) or (k, n)
        Real numbers, of any strides.
    out : ndarray, optional
        Where to store the result: writable, of its shape and type.
    num_threads : int, optional
        At most so many threads.

    Returns
    -------
    ndarray, shape (m,) or (m, n)
        In the wider type of the two, `out` if that was given.

    Raises
    ------
    ValueError
        If shapes do not fit.
    TypeError
        If `b` has other than real numbers.
    """
    return multiply(a, b, out, num_threads, False)


def matmul_transposed(CompressedRows a not None, b, out=None, num_threads=None):
    """The product of a transposed sparse matrix and a dense vector or matrix, without transposing it.

    Parameters
    ----------
    a : CompressedRows
        k rows, m columns.
    b : array_like, shape (k,) or (k, n)
        Real numbers, of any strides.
    out : ndarray, optional
        Where to store the result: writable, of its shape and type.
    num_threads : int, optional
        At most so many threads; a vector takes one.

    Returns
    -------
    ndarray, shape (m,) or (m, n)
        In the wider type of the two, `out` if that was given.

    Raises
    ------
    ValueError
        If shapes do not fit.
    TypeError
        If `b` has other than real numbers.
    """
    return multiply(a, b, out, num_threads, True)


def transposed_copy(cnp.ndarray x not None, out=None):
    """The transpose of a matrix, with rows of its own.

    Parameters
    ----------
    x : ndarray, shape (m, n)
        float32 or float64, C-contiguous.
    out : ndarray, optional
        Where to store it: writable, of its shape and type; it may overlap nothing that `x` was made of.

    Returns
    -------
    ndarray, shape (n, m)
        `out` if that was given.

    Raises
    ------
    ValueError
        If `out` cannot hold it.
    """
    cdef mlopt_sparse_types types
    cdef cnp.ndarray result
    cdef cnp.npy_intp rows = cnp.PyArray_DIM(x, 0), columns = cnp.PyArray_DIM(x, 1)
    types.table, types.is_f64, types.is_long = current_table(), cnp.PyArray_TYPE(x) == cnp.NPY_DOUBLE, False
    result = result_array(2, columns, rows, cnp.PyArray_TYPE(x), x, out)
    with nogil:
        mlopt_call_transpose(&types, rows, columns, cnp.PyArray_DATA(x), columns, cnp.PyArray_DATA(result), rows)
    return finished(result, out)


__all__ = ["matmul", "matmul_transposed", "transposed_copy"]
