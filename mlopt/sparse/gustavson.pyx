"""Products of two matrices in compressed rows, and transposition."""
import numpy as np

cimport numpy as cnp
from libc.stdint cimport INT32_MAX, int32_t, int64_t
from libc.string cimport memmove

from mlopt._kernels.threads cimport team_run
from mlopt.memory.aligned cimport aligned_array
from mlopt.memory.pool cimport Block, new_block
from mlopt.sparse.calls cimport (
    mlopt_call_spgemm,
    mlopt_column,
    mlopt_row_start,
    mlopt_spgemm_scratch_bytes,
    mlopt_sparse_types,
)
from mlopt.sparse.compressed cimport CANONICAL, CompressedRows, mlopt_csr
from mlopt.sparse.plan cimport plan_of
from mlopt.sparse.products cimport parts_of, types_of, widened

from mlopt.sparse.rows import merge_duplicates, sort

cnp.import_array()

# A multiplication takes as long as so many of a dense product.
cdef double PRODUCT_WORK = 200
# Elements that the result may have at most, from which rows are computed in blocks: memory for that many is reserved.
cdef size_t RESERVED = <size_t>1 << 26
# Shares of what was reserved: a result with less is copied, so that it does not keep the rest.  (What is reserved and
# not written to takes no memory, where the block is a new one.)
cdef double KEPT_SHARE = 0.4

ctypedef fused index_t:
    int32_t
    int64_t

ctypedef fused value_t:
    float
    double


# The rows of a product from `first` on, in parts.
cdef struct product:
    mlopt_sparse_types types
    const mlopt_csr *a
    const mlopt_csr *b
    const size_t *most     # rows + 1: how many elements the rows before may have at most
    size_t first, last, parts
    size_t *ends           # of every row, counted from its part's first element
    char *indices
    char *values
    size_t index_bytes, element_bytes
    char *scratch
    size_t scratch_bytes


# For each row, how many elements the result can have before it.
cdef void bound_rows(const mlopt_csr *a, const mlopt_csr *b, bint is_long, size_t *most) noexcept nogil:
    cdef size_t i, k, column, count
    most[0] = 0
    for i in range(a.rows):
        count = 0
        for k in range(mlopt_row_start(a, is_long, i), mlopt_row_start(a, is_long, i + 1)):
            column = mlopt_column(a, is_long, k)
            count += mlopt_row_start(b, is_long, column + 1) - mlopt_row_start(b, is_long, column)
        most[i + 1] = most[i] + min(count, b.columns)


# The first row of a part of rows [first, last), by the elements they may have.
cdef size_t share(const size_t *most, size_t first, size_t last, size_t part, size_t parts) noexcept nogil:
    cdef size_t wanted = most[first] + <size_t>(<double>(most[last] - most[first]) * part / parts)
    cdef size_t low = first, high = last, middle
    if part == parts:
        return last
    while low < high:
        middle = low + (high - low) // 2
        if most[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low


cdef void product_part(int part, void *argument) noexcept nogil:
    cdef product *p = <product *>argument
    cdef size_t first = share(p.most, p.first, p.last, part, p.parts)
    cdef size_t last = share(p.most, p.first, p.last, part + 1, p.parts)
    cdef size_t place = p.most[first] - p.most[p.first]
    mlopt_call_spgemm(&p.types, p.a, first, last, p.b, p.scratch + part * p.scratch_bytes, p.ends + first,
                      p.indices + place * p.index_bytes, p.values + place * p.element_bytes)


# Parts move down to where the one before ends; ends are counted from the block's first element then.  Returns how
# many elements the block has.
cdef size_t join_parts(product *p) noexcept nogil:
    cdef size_t part, first, last, place, count, row, total = 0
    for part in range(p.parts):
        first, last = share(p.most, p.first, p.last, part, p.parts), share(p.most, p.first, p.last, part + 1, p.parts)
        if first == last:
            continue
        place, count = p.most[first] - p.most[p.first], p.ends[last - 1]
        if place != total:
            memmove(p.indices + total * p.index_bytes, p.indices + place * p.index_bytes, count * p.index_bytes)
            memmove(p.values + total * p.element_bytes, p.values + place * p.element_bytes, count * p.element_bytes)
        for row in range(first, last):
            p.ends[row] += total
        total += count
    return total


# Whether no row has a column twice; it is remembered.
cdef bint distinct(CompressedRows a) except -1:
    cdef size_t row, k, column
    cdef bint is_long = cnp.PyArray_ITEMSIZE(a.indices) == 8, found = True
    cdef int64_t *seen
    plan = plan_of(a)
    if plan.distinct < 0 and a.ordering() == CANONICAL:
        plan.distinct = 1
    if plan.distinct < 0:
        last_row = np.full(a.view.columns, -1, np.int64)
        seen = <int64_t *>cnp.PyArray_DATA(last_row)
        with nogil:
            for row in range(a.view.rows):
                for k in range(mlopt_row_start(&a.view, is_long, row), mlopt_row_start(&a.view, is_long, row + 1)):
                    column = mlopt_column(&a.view, is_long, k)
                    if seen[column] == <int64_t>row:
                        found = False
                    seen[column] = <int64_t>row
        plan.distinct = found
    return plan.distinct


# The same matrix with other arrays.
cdef CompressedRows of_arrays(data, indices, indptr, size_t columns, int order):
    cdef CompressedRows result = CompressedRows()
    result.take(data, indices, indptr, columns, order)
    return result


cdef CompressedRows with_long_indices(CompressedRows a):
    if cnp.PyArray_ITEMSIZE(a.indices) == 8:
        return a
    return of_arrays(a.data, a.indices.astype(np.int64), a.indptr.astype(np.int64), a.view.columns, a.order)


def matmul_sparse(CompressedRows a not None, CompressedRows b not None, num_threads=None):
    """The product of two sparse matrices.

    Parameters
    ----------
    a, b : CompressedRows
        m rows and k columns; k rows and n columns.
    num_threads : int, optional
        At most so many threads.

    Returns
    -------
    data, indices, indptr : ndarray
        The product by compressed rows, without duplicates, the columns of a row in no particular order; 64-bit
        indices where one of the operands has them or the product needs them. Elements that sum to 0 are kept.

    Raises
    ------
    ValueError
        If shapes do not fit.
    MemoryError
        If there is no memory for the product or for a dense row and a list of its columns for each thread.

    Notes
    -----
    O(multiplications + rows of `a` + n) operations (Gustavson 1978).
    """
    cdef product p
    cdef CompressedRows left = a, right = b
    cdef int type_num
    cdef size_t first, last, count
    cdef cnp.npy_intp length
    if left.view.columns != right.view.rows:
        raise ValueError(f"b has {right.view.rows} rows; expected {left.view.columns}, the columns of a")
    if cnp.PyArray_TYPE(left.data) != cnp.PyArray_TYPE(right.data):
        left, right = widened_both(left, right)
    if cnp.PyArray_ITEMSIZE(left.indices) != cnp.PyArray_ITEMSIZE(right.indices):
        left, right = with_long_indices(left), with_long_indices(right)
    if not distinct(right):
        data, indices = sort(right.data, right.indices, right.indptr)
        data, indices, indptr = merge_duplicates(data, indices, right.indptr)
        right = of_arrays(data, indices, indptr, right.view.columns, CANONICAL)
    p.types = types_of(right)
    type_num, p.element_bytes = cnp.PyArray_TYPE(left.data), cnp.PyArray_ITEMSIZE(left.data)
    p.index_bytes = cnp.PyArray_ITEMSIZE(left.indices)
    p.a, p.b = &left.view, &right.view
    cdef size_t rows = left.view.rows
    cdef Block bounds = new_block((rows + 1) * sizeof(size_t), False)
    cdef Block ends = new_block((rows + 1) * sizeof(size_t), False)
    p.most, p.ends = <size_t *>bounds.data, <size_t *>ends.data
    with nogil:
        bound_rows(p.a, p.b, p.types.is_long, <size_t *>p.most)
    p.scratch_bytes = mlopt_spgemm_scratch_bytes(p.element_bytes, right.view.columns)
    p.parts = parts_of(<double>p.most[rows] * PRODUCT_WORK, num_threads)
    cdef Block scratch = new_block(p.scratch_bytes * p.parts, False)
    p.scratch = <char *>scratch.data
    blocks, counts = [], []
    first = 0
    while first < rows or not blocks:
        last = first
        while last < rows and (last == first or p.most[last + 1] - p.most[first] <= RESERVED):
            last += 1
        p.first, p.last = first, last
        length = p.most[last] - p.most[first]
        indices = aligned_array(1, &length, cnp.NPY_INT64 if p.index_bytes == 8 else cnp.NPY_INT32, False)
        data = aligned_array(1, &length, type_num, False)
        p.indices, p.values = <char *>cnp.PyArray_DATA(indices), <char *>cnp.PyArray_DATA(data)
        with nogil:
            if p.parts > 1:
                team_run(<int>p.parts, product_part, &p)
            else:
                product_part(0, &p)
            count = join_parts(&p)
        data, indices = data[:count], indices[:count]
        if last < rows or blocks or count < KEPT_SHARE * length:
            data, indices = data.copy(), indices.copy()
        blocks.append((data, indices))
        counts.append((first, last, count))
        first = last
        if rows == 0:
            break
    data, indices = blocks[0]
    if len(blocks) > 1:
        data, indices = np.concatenate([block[0] for block in blocks]), np.concatenate([block[1] for block in blocks])
    total = sum([block[2] for block in counts])
    if total > INT32_MAX:
        indices = indices.astype(np.int64)
    indptr = np.zeros(rows + 1, indices.dtype)
    as_numbers = np.asarray(<cnp.npy_intp[:rows]><cnp.npy_intp *>p.ends) if rows else None
    before = 0
    for first, last, count in counts:
        if last > first:
            np.add(as_numbers[first:last], before, out=indptr[first + 1:last + 1], casting="unsafe")
        before += count
    return data, indices, indptr


cdef tuple widened_both(CompressedRows a, CompressedRows b):
    return (a if cnp.PyArray_TYPE(a.data) == cnp.NPY_DOUBLE else widened(a),
            b if cnp.PyArray_TYPE(b.data) == cnp.NPY_DOUBLE else widened(b))


cdef void transpose_into(size_t rows, size_t columns, const index_t *indptr, const index_t *indices,
                         const value_t *data, index_t *to_indptr, index_t *to_indices, value_t *to_data) noexcept nogil:
    cdef size_t i, k
    cdef index_t place, here, total = 0
    for i in range(columns + 1):
        to_indptr[i] = 0
    for k in range(<size_t>indptr[rows]):
        to_indptr[indices[k]] += 1
    for i in range(columns):
        here = to_indptr[i]
        to_indptr[i] = total
        total += here
    for i in range(rows):
        for k in range(<size_t>indptr[i], <size_t>indptr[i + 1]):
            place = to_indptr[indices[k]]
            to_indices[place] = <index_t>i
            to_data[place] = data[k]
            to_indptr[indices[k]] = place + 1
    for i in range(columns, 0, -1):
        to_indptr[i] = to_indptr[i - 1]
    to_indptr[0] = 0


def transpose_arrays(CompressedRows a not None):
    """The transpose of a sparse matrix by compressed rows: a counting sort.

    Parameters
    ----------
    a : CompressedRows
        m rows, n columns.

    Returns
    -------
    data, indices, indptr : ndarray
        Of n rows, each with rising columns; elements that `a` has twice follow each other.

    Notes
    -----
    O(m + n + elements) operations; the elements of all columns are written at the same time, which leaves the caches
    where there are many.
    """
    cdef size_t rows = a.view.rows, columns = a.view.columns
    cdef cnp.npy_intp count = cnp.PyArray_DIM(a.data, 0), length = columns + 1
    cdef int index_type = cnp.PyArray_TYPE(a.indices)
    cdef cnp.ndarray indptr, indices = aligned_array(1, &count, index_type, False)
    cdef cnp.ndarray data = aligned_array(1, &count, cnp.PyArray_TYPE(a.data), False)
    if cnp.PyArray_ITEMSIZE(a.indices) == 4 and rows > <size_t>INT32_MAX:
        return transpose_arrays(with_long_indices(a))
    indptr = aligned_array(1, &length, index_type, False)
    cdef const void *from_indptr = a.view.indptr
    cdef const void *from_indices = a.view.indices
    cdef const void *values = a.view.values
    cdef void *to_indptr = cnp.PyArray_DATA(indptr)
    cdef void *to_indices = cnp.PyArray_DATA(indices)
    cdef void *to_data = cnp.PyArray_DATA(data)
    cdef bint is_long = cnp.PyArray_ITEMSIZE(a.indices) == 8, is_f64 = cnp.PyArray_TYPE(a.data) == cnp.NPY_DOUBLE
    with nogil:
        if is_long and is_f64:
            transpose_into[int64_t, double](rows, columns, <int64_t *>from_indptr, <int64_t *>from_indices,
                                            <double *>values, <int64_t *>to_indptr, <int64_t *>to_indices,
                                            <double *>to_data)
        elif is_long:
            transpose_into[int64_t, float](rows, columns, <int64_t *>from_indptr, <int64_t *>from_indices,
                                           <float *>values, <int64_t *>to_indptr, <int64_t *>to_indices,
                                           <float *>to_data)
        elif is_f64:
            transpose_into[int32_t, double](rows, columns, <int32_t *>from_indptr, <int32_t *>from_indices,
                                            <double *>values, <int32_t *>to_indptr, <int32_t *>to_indices,
                                            <double *>to_data)
        else:
            transpose_into[int32_t, float](rows, columns, <int32_t *>from_indptr, <int32_t *>from_indices,
                                           <float *>values, <int32_t *>to_indptr, <int32_t *>to_indices,
                                           <float *>to_data)
    return data, indices, indptr


__all__ = ["matmul_sparse", "transpose_arrays"]
