"""Strassen's product: how many steps pay, workspace, threads, stacks; _kernels/strassen has the recursion."""
import operator
import os

import numpy as np

cimport numpy as cnp

from mlopt._kernels.core cimport current_table, slab_acquire, slab_release, table_of
from mlopt._kernels.dispatch cimport (
    mlopt_gemm_job_f32,
    mlopt_gemm_job_f64,
    mlopt_kernels,
    mlopt_matrix_f32,
    mlopt_matrix_f64,
)
from mlopt._kernels.threads cimport team_run, team_size
from mlopt.linalg.gemm cimport run_f32, run_f64
from mlopt.linalg.operands cimport fits, folded, overlap
from mlopt.memory.aligned cimport aligned_array

from mlopt._kernels.core import cpu_report
from mlopt.linalg.scaling import scaled_operands, unscale

cnp.import_array()


cdef extern from "strassen/recursion.h" nogil:
    enum:
        MLOPT_STRASSEN_LEVELS
    ctypedef void mlopt_strassen_spread(int, void (*)(int, void *) noexcept nogil, void *) noexcept
    ctypedef struct mlopt_strassen_f32:
        const mlopt_kernels *table
        int (*product)(void *, mlopt_gemm_job_f32 *) noexcept nogil
        void *context
        mlopt_strassen_spread *spread
        int threads
        size_t stream_bytes
    ctypedef struct mlopt_strassen_f64:
        const mlopt_kernels *table
        int (*product)(void *, mlopt_gemm_job_f64 *) noexcept nogil
        void *context
        mlopt_strassen_spread *spread
        int threads
        size_t stream_bytes
    int mlopt_strassen_multiply_f32(const mlopt_strassen_f32 *, const mlopt_gemm_job_f32 *, int, void *)
    int mlopt_strassen_multiply_f64(const mlopt_strassen_f64 *, const mlopt_gemm_job_f64 *, int, void *)
    int mlopt_strassen_levels(size_t m, size_t n, size_t k, int most, size_t cutoff)
    size_t mlopt_strassen_workspace_bytes(size_t element_bytes, size_t m, size_t n, size_t k, int levels)


# The measured rule: the smallest side of a product from which one, two and three steps are taken.  Against the
# same ordinary product (Zen 4, one thread, rows contiguous), for 1, 2 and 3 steps:
#     float64   1024: 1.06    1280: 1.09    2048: 1.12 1.20    4096: 1.05 1.23 1.24    8192: 3 steps 1.33
#     float32   1024: 1.05    1280: 1.08    2048: 1.13 1.19    4096: 1.11 1.26 1.34    8192: 3 steps 1.40
# With two threads, 1280 lost 6 %, 1536 gained 4 to 8 % and 2048 with two steps 1 to 4 %; the rule does not look at
# threads, or results would depend on them.  MLOPT_STRASSEN_SIZES="one,two,three" sets the sizes for both types.
SIZES = {np.dtype(np.float32): (1536, 2048, 4096), np.dtype(np.float64): (1536, 2048, 4096)}
# Products with a side of at most this many are not split unless `cutoff` or `levels` says so.
SMALLEST = 64


cdef initialise():
    text = os.environ.get("MLOPT_STRASSEN_SIZES", "")
    if not text:
        return
    try:
        sizes = tuple([int(word) for word in text.split(",")])
    except ValueError:
        sizes = ()
    if len(sizes) != MLOPT_STRASSEN_LEVELS or not 2 <= sizes[0] <= sizes[1] <= sizes[2]:
        raise ImportError(f"MLOPT_STRASSEN_SIZES={text!r} must be three numbers 'one,two,three', at least 2 and none "
                          "less than the one before")
    for dtype in SIZES:
        SIZES[dtype] = sizes


initialise()


def levels_for(m, n, k, dtype):
    """How many steps of the recursion pay for a product of m x k by k x n: 0 to 3."""
    smallest = min(m, n, k)
    return sum([smallest >= size for size in SIZES[np.dtype(dtype)]])


cdef object checked(name, value, most):
    """An argument as an integer, or None."""
    if value is None:
        return None
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer or None, not {type(value).__name__}") from None
    if not 1 <= number <= most:
        raise ValueError(f"{name} must be between 1 and {most}, not {number}")
    return number


cdef int steps(size_t m, size_t n, size_t k, dtype, bint asked, levels, cutoff) except -1:
    if not asked:
        return levels_for(m, n, k, dtype)
    if levels is None and cutoff is None:
        return mlopt_strassen_levels(m, n, k, max(1, levels_for(m, n, k, dtype)), SMALLEST)
    return mlopt_strassen_levels(m, n, k, MLOPT_STRASSEN_LEVELS if levels is None else levels,
                                 SMALLEST if cutoff is None else cutoff)


# What the recursion's products need.
cdef struct team:
    const mlopt_kernels *table
    int threads


cdef int product_f32(void *context, mlopt_gemm_job_f32 *job) noexcept nogil:
    return run_f32((<team *>context).table, job, (<team *>context).threads)


cdef int product_f64(void *context, mlopt_gemm_job_f64 *job) noexcept nogil:
    return run_f64((<team *>context).table, job, (<team *>context).threads)


cdef void spread(int count, void (*work)(int, void *) noexcept nogil, void *argument) noexcept nogil:
    team_run(count, work, argument)


# Sums of this size and more are written past the caches, which keep the operands of the next product instead: from
# an eighth of the last cache on it was faster (two and three steps at 4096, Zen 4 with 32 MiB).
cdef size_t stream_bytes = (cpu_report()["l3_bytes"] or 32 << 20) // 8


# C = A B for three matrices of one type; workspace as recursion.h says.
cdef int multiply_in(void *workspace, const mlopt_kernels *table, cnp.ndarray a, cnp.ndarray b, cnp.ndarray c,
                     int levels, int threads) except -1:
    cdef ptrdiff_t size = cnp.PyArray_ITEMSIZE(c)
    cdef size_t m = cnp.PyArray_DIM(a, 0), k = cnp.PyArray_DIM(a, 1), n = cnp.PyArray_DIM(b, 1)
    cdef mlopt_gemm_job_f32 job_f32
    cdef mlopt_gemm_job_f64 job_f64
    cdef mlopt_strassen_f32 how_f32
    cdef mlopt_strassen_f64 how_f64
    cdef team members
    cdef int status
    members.table, members.threads = table, threads
    if size == 8:
        job_f64 = mlopt_gemm_job_f64(
            m, n, k, <double *>cnp.PyArray_DATA(a), cnp.PyArray_STRIDE(a, 0) // 8, cnp.PyArray_STRIDE(a, 1) // 8,
            <double *>cnp.PyArray_DATA(b), cnp.PyArray_STRIDE(b, 0) // 8, cnp.PyArray_STRIDE(b, 1) // 8,
            <double *>cnp.PyArray_DATA(c), cnp.PyArray_STRIDE(c, 0) // 8, cnp.PyArray_STRIDE(c, 1) // 8, 0, NULL, NULL,
            NULL, 0, 0)
        how_f64 = mlopt_strassen_f64(table, product_f64, &members, spread, threads, stream_bytes)
        with nogil:
            status = mlopt_strassen_multiply_f64(&how_f64, &job_f64, levels, workspace)
    else:
        job_f32 = mlopt_gemm_job_f32(
            m, n, k, <float *>cnp.PyArray_DATA(a), cnp.PyArray_STRIDE(a, 0) // 4, cnp.PyArray_STRIDE(a, 1) // 4,
            <float *>cnp.PyArray_DATA(b), cnp.PyArray_STRIDE(b, 0) // 4, cnp.PyArray_STRIDE(b, 1) // 4,
            <float *>cnp.PyArray_DATA(c), cnp.PyArray_STRIDE(c, 0) // 4, cnp.PyArray_STRIDE(c, 1) // 4, 0, NULL, NULL,
            NULL, 0, 0)
        how_f32 = mlopt_strassen_f32(table, product_f32, &members, spread, threads, stream_bytes)
        with nogil:
            status = mlopt_strassen_multiply_f32(&how_f32, &job_f32, levels, workspace)
    if status != 0:
        raise MemoryError("no memory for the workspace of a matrix product")
    return 0


# The same with workspace from the pool.
cdef int multiply(const mlopt_kernels *table, cnp.ndarray a, cnp.ndarray b, cnp.ndarray c, int levels,
                  int threads) except -1:
    cdef void *workspace = slab_acquire(mlopt_strassen_workspace_bytes(
        cnp.PyArray_ITEMSIZE(c), cnp.PyArray_DIM(a, 0), cnp.PyArray_DIM(b, 1), cnp.PyArray_DIM(a, 1), levels))
    if workspace == NULL:
        raise MemoryError("no memory for the workspace of a matrix product")
    try:
        return multiply_in(workspace, table, a, b, c, levels, threads)
    finally:
        slab_release(workspace)


cdef object operand(x, dtype):
    """An operand as the kernels can take it."""
    if x.dtype == dtype and fits(x):
        return x
    return np.array(x, dtype, order="C")


cdef bint unit_stride(x):
    """Whether vectors can run along the rows or columns of the matrices."""
    return x.strides[x.ndim - 1] == x.itemsize or x.strides[x.ndim - 2] == x.itemsize


cdef object stack_of(x):
    """The dimensions before those of the matrices."""
    return x.shape[:x.ndim - 2]


cdef bint plain_real(x):
    return cnp.PyArray_CheckExact(x) and x.ndim >= 2 and x.dtype.newbyteorder("=") in SIZES


def product(a, b, out, bint asked, num_threads, levels, cutoff, rescale):
    """The product where Strassen's form applies, else None: the ordinary product decides about everything else.

    `asked`: by name, so that every product with all sides above 64 is split; else the measured rule holds.
    """
    for name, value, default in (("levels", levels, None), ("cutoff", cutoff, None), ("rescale", rescale, False)):
        if not asked and value is not default:
            raise ValueError(f"{name}={value!r} is for method='strassen'; expected {default} for another")
    if not isinstance(rescale, (bool, np.bool_)):
        raise TypeError(f"rescale must be True or False, not {type(rescale).__name__}")
    levels, cutoff = checked("levels", levels, MLOPT_STRASSEN_LEVELS), checked("cutoff", cutoff, 1 << 40)
    if not cnp.PyArray_CheckExact(a) and isinstance(a, (list, tuple)):
        a = np.asarray(a)
    if not cnp.PyArray_CheckExact(b) and isinstance(b, (list, tuple)):
        b = np.asarray(b)
    if not plain_real(a) or not plain_real(b):
        return None
    cdef size_t m = a.shape[a.ndim - 2], k = a.shape[a.ndim - 1], n = b.shape[b.ndim - 1]
    dtype = np.promote_types(a.dtype, b.dtype)
    cdef int count = steps(m, n, k, dtype, asked, levels, cutoff)
    if count == 0 or b.shape[b.ndim - 2] != k:
        return None
    try:
        batch = np.broadcast_shapes(stack_of(a), stack_of(b))
    except ValueError:
        return None
    shape = (*batch, m, n)
    if out is not None and (not cnp.PyArray_CheckExact(out) or out.shape != shape or out.dtype != dtype
                            or not out.flags.writeable or not fits(out) or folded(out)):
        return None
    if not asked and not (unit_stride(a) and unit_stride(b) and (out is None or unit_stride(out))):
        return None  # sums of one element after the other: nobody has measured that they pay
    cdef const mlopt_kernels *table = current_table()
    cdef int threads = team_size() if num_threads is None else num_threads
    a, b = operand(a, dtype), operand(b, dtype)
    cdef cnp.npy_intp dims[64]
    for i, length in enumerate(shape):
        dims[i] = length
    result = out
    if out is None or overlap(out, a) or overlap(out, b):
        result = aligned_array(len(shape), dims, dtype.num, False)
    left, right = np.broadcast_to(a, (*batch, m, k)), np.broadcast_to(b, (*batch, k, n))
    for index in np.ndindex(batch):
        if rescale:
            x, y, exponents = scaled_operands(left[index], right[index])
            multiply(table, x, y, result[index], count, threads)
            unscale(result[index], *exponents)
        else:
            multiply(table, left[index], right[index], result[index], count, threads)
    if out is not None and result is not out:
        out[...] = result
        return out
    return result


def matrix_sum(str name, str tier, cnp.ndarray x not None, cnp.ndarray y not None, cnp.ndarray z not None,
               bint stream=False):
    """A kernel matrix_add or matrix_subtract of one tier on arrays of any strides; nothing is checked. For tests."""
    cdef const mlopt_kernels *table = table_of(tier)
    cdef size_t rows = z.shape[0], columns = z.shape[1]
    cdef mlopt_matrix_f32 s[3]
    cdef mlopt_matrix_f64 d[3]
    for i, array in enumerate((x, y, z)):
        address, row, column = array.ctypes.data, array.strides[0] // z.itemsize, array.strides[1] // z.itemsize
        s[i].at, s[i].row, s[i].column = <float *><size_t>address, row, column
        d[i].at, d[i].row, d[i].column = <double *><size_t>address, row, column
    if z.itemsize == 8:
        (table.matrix_add_f64 if name == "matrix_add" else table.matrix_subtract_f64)(
            rows, columns, &d[0], &d[1], &d[2], stream)
    else:
        (table.matrix_add_f32 if name == "matrix_add" else table.matrix_subtract_f32)(
            rows, columns, &s[0], &s[1], &s[2], stream)


def winograd_result(str tier, quadrants, products):
    """The kernel winograd_result of one tier on arrays of any strides; nothing is checked. For tests."""
    cdef const mlopt_kernels *table = table_of(tier)
    rows, columns = quadrants[0].shape
    cdef mlopt_matrix_f32 s[7]
    cdef mlopt_matrix_f64 d[7]
    cdef ptrdiff_t size = quadrants[0].itemsize
    for i, array in enumerate((*quadrants, *products)):
        address, row, column = array.ctypes.data, array.strides[0] // size, array.strides[1] // size
        s[i].at, s[i].row, s[i].column = <float *><size_t>address, row, column
        d[i].at, d[i].row, d[i].column = <double *><size_t>address, row, column
    if size == 8:
        table.winograd_result_f64(rows, columns, &d[0], &d[4])
    else:
        table.winograd_result_f32(rows, columns, &s[0], &s[4])


def multiply_within(cnp.ndarray workspace not None, cnp.ndarray a not None, cnp.ndarray b not None,
                    cnp.ndarray c not None, int levels, int threads=1):
    """C = A B with this workspace, 64-byte aligned; nothing is checked. For tests."""
    multiply_in(cnp.PyArray_DATA(workspace), current_table(), a, b, c, levels, threads)


def workspace_bytes(m, n, k, dtype, levels):
    """Bytes that a product takes from the slab pool beside what its ordinary products take."""
    return mlopt_strassen_workspace_bytes(np.dtype(dtype).itemsize, m, n, k, levels)
