"""Products of dense matrices where a sparse pattern has elements: the gradient of a sparse factor."""
import numpy as np

cimport numpy as cnp

from mlopt._kernels.threads cimport team_run
from mlopt.linalg.operands cimport fits
from mlopt.memory.aligned cimport aligned_array
from mlopt.sparse.calls cimport mlopt_call_sampled, mlopt_share_rows, mlopt_sparse_types
from mlopt.sparse.compressed cimport CompressedRows, mlopt_csr
from mlopt.sparse.products cimport parts_of, row_step, types_of, with_rows

cnp.import_array()

# A multiplication takes as long as so many of a blocked dense product.
cdef double SAMPLED_WORK = 8


cdef struct product:
    mlopt_sparse_types types
    const mlopt_csr *pattern
    size_t parts, length
    const void *u
    size_t u_row
    const void *v
    size_t v_row
    void *out


cdef void sampled_part(int part, void *argument) noexcept nogil:
    cdef product *p = <product *>argument
    cdef size_t first = mlopt_share_rows(p.pattern, p.types.is_long, part, p.parts)
    cdef size_t last = mlopt_share_rows(p.pattern, p.types.is_long, part + 1, p.parts)
    mlopt_call_sampled(&p.types, p.pattern, first, last, p.length, p.u, p.u_row, p.v, p.v_row, p.out)


cdef cnp.ndarray factor(x, name, cnp.dtype dtype):
    result = np.asarray(x)
    if result.dtype.kind not in "biuf":
        raise TypeError(f"{name} has elements of type {result.dtype}; expected real numbers")
    if result.ndim != 2:
        raise ValueError(f"{name} has {result.ndim} dimensions; expected a matrix")
    if result.dtype != dtype or not result.dtype.isnative or not fits(result):
        result = np.array(result, dtype, order="K")
    return result


def sampled_values(a, b, CompressedRows pattern not None, num_threads=None):
    """The elements of ``a @ b`` where a sparse matrix has elements, in its order; see ``sampled_matmul``.

    Parameters
    ----------
    a, b : array_like, shapes (m, k) and (k, n)
        Real numbers, of any strides.
    pattern : CompressedRows
        m rows and n columns; its type is the result's.
    num_threads : int, optional
        At most so many threads.

    Returns
    -------
    ndarray, shape (elements of pattern,)
        The products.
    """
    cdef cnp.ndarray left = factor(a, "a", pattern.data.dtype), right = factor(b, "b", pattern.data.dtype).T, out
    cdef product p
    cdef cnp.npy_intp count = cnp.PyArray_DIM(pattern.data, 0)
    cdef double work
    if cnp.PyArray_DIM(left, 0) != <cnp.npy_intp>pattern.view.rows:
        raise ValueError(f"a has {left.shape[0]} rows; expected {pattern.view.rows}, those of pattern")
    if cnp.PyArray_DIM(right, 0) != <cnp.npy_intp>pattern.view.columns:
        raise ValueError(f"b has {right.shape[0]} columns; expected {pattern.view.columns}, those of pattern")
    if cnp.PyArray_DIM(left, 1) != cnp.PyArray_DIM(right, 1):
        raise ValueError(f"b has {right.shape[1]} rows; expected {left.shape[1]}, the columns of a")
    p.types, p.pattern, p.length = types_of(pattern), &pattern.view, cnp.PyArray_DIM(left, 1)
    left, right = with_rows(left, &p.types), with_rows(right, &p.types)
    out = aligned_array(1, &count, cnp.PyArray_TYPE(pattern.data), False)
    p.u, p.u_row, p.v, p.v_row = cnp.PyArray_DATA(left), row_step(left), cnp.PyArray_DATA(right), row_step(right)
    p.out = cnp.PyArray_DATA(out)
    work = <double>count * p.length * SAMPLED_WORK
    p.parts = parts_of(work, num_threads)
    with nogil:
        if p.parts > 1:
            team_run(<int>p.parts, sampled_part, &p)
        else:
            sampled_part(0, &p)
    return out


__all__ = ["sampled_values"]
