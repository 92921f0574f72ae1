"""Products of compressed rows."""
import numpy as np

cimport numpy as cnp
from libc.stdint cimport int32_t, int64_t

from mlopt.sparse.compressed cimport CompressedRows

cnp.import_array()

ctypedef fused value_t:
    float
    double

ctypedef fused index_t:
    int32_t
    int64_t


def multiply(const value_t[::1] data, const index_t[::1] indices, const index_t[::1] indptr,
             const value_t[:, :] b, value_t[:, :] out, bint transposed):
    cdef Py_ssize_t i, j, k
    for i in range(indptr.shape[0] - 1):
        for k in range(indptr[i], indptr[i + 1]):
            for j in range(b.shape[1]):
                if transposed:
                    out[indices[k], j] += data[k] * b[i, j]
                else:
                    out[i, j] += data[k] * b[indices[k], j]


def product(CompressedRows a, b, out, bint transposed):
    right = np.asarray(b)
    if right.ndim not in (1, 2):
        raise ValueError(f"b has {right.ndim} dimensions; expected 1 or 2")
    rows, inner = (a.shape[1], a.shape[0]) if transposed else a.shape
    if right.shape[0] != inner:
        raise ValueError(f"b has shape {right.shape}: its first dimension does not match the {inner} columns of a, "
                         f"a sparse array of shape {(rows, inner)}")
    if right.dtype.kind not in "biuf":
        raise TypeError(f"b has elements of type {right.dtype}; expected real numbers")
    dtype = np.result_type(a.data, right)
    if dtype not in (np.float32, np.float64):
        raise TypeError(f"b has elements of type {right.dtype}; expected float32 or float64")
    result = np.zeros((rows, *right.shape[1:]), dtype)
    matrix = result if right.ndim == 2 else result[:, None]
    right = right if right.ndim == 2 else right[:, None]
    multiply(np.ascontiguousarray(a.data, dtype), a.indices, a.indptr, np.array(right, dtype), matrix, transposed)
    if out is None:
        return result
    out[...] = result
    return out


def matmul(CompressedRows a, b, out=None, num_threads=None):
    """a @ b for a dense b."""
    return product(a, b, out, False)


def matmul_transposed(CompressedRows a, b, out=None, num_threads=None):
    """a.T @ b for a dense b."""
    return product(a, b, out, True)


def transpose(const value_t[::1] data, const index_t[::1] indices, const index_t[::1] indptr, Py_ssize_t columns):
    cdef Py_ssize_t i, k, at
    starts = np.concatenate([[0], np.cumsum(np.bincount(indices, minlength=columns))]).astype(np.asarray(indptr).dtype)
    next_place = starts.copy()
    new_data, new_indices = np.empty_like(data), np.empty_like(indices)
    cdef index_t[::1] places = next_place, rows = new_indices
    cdef value_t[::1] values = new_data
    for i in range(indptr.shape[0] - 1):
        for k in range(indptr[i], indptr[i + 1]):
            at = places[indices[k]]
            places[indices[k]] += 1
            values[at], rows[at] = data[k], i
    return new_data, new_indices, starts


def transpose_arrays(CompressedRows a):
    """(data, indices, indptr) of the rows of a.T, sorted."""
    return transpose(a.data, a.indices, a.indptr, a.shape[1])


def matmul_sparse(CompressedRows a, CompressedRows b):
    """(data, indices, indptr) of a @ b."""
    data, indices, indptr = [], [], [0]
    for i in range(a.shape[0]):
        row = {}
        for k in range(a.indptr[i], a.indptr[i + 1]):
            j = a.indices[k]
            for m in range(b.indptr[j], b.indptr[j + 1]):
                row[b.indices[m]] = row.get(b.indices[m], a.data.dtype.type(0)) + a.data[k] * b.data[m]
        indices += sorted(row)
        data += [row[j] for j in sorted(row)]
        indptr.append(len(indices))
    return np.array(data, a.data.dtype), np.array(indices, a.indices.dtype), np.array(indptr, a.indptr.dtype)


__all__ = ["matmul", "matmul_sparse", "matmul_transposed", "transpose_arrays"]
