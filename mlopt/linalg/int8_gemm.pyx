"""The product kernel of bytes with workspace and threads; and on any tier with any blocks, for tests and benchmarks."""
import numpy as np

cimport numpy as cnp
from libc.stdint cimport int8_t, int32_t

from mlopt._kernels.core cimport default_blocks, slab_acquire, slab_release, table_of
from mlopt._kernels.dispatch cimport (
    MLOPT_INT8_TO_F32,
    MLOPT_INT8_TO_S8,
    MLOPT_INT8_TO_S32,
    MLOPT_INT8_TO_U8,
    mlopt_gemm_blocks,
    mlopt_int8_job,
    mlopt_int8_kind,
    mlopt_int8_packed_bytes,
    mlopt_int8_workspace_bytes,
    mlopt_kernels,
)
from mlopt._kernels.threads cimport gemm_panels, int8_split
from mlopt.memory.aligned cimport aligned_array

cnp.import_array()

# In the order of mlopt_activation.
ACTIVATIONS = ("identity", "relu", "tanh", "sigmoid", "gelu", "silu")
cdef object INT32 = np.dtype(np.int32)
cdef object FLOAT32 = np.dtype(np.float32)


cdef int run_int8(const mlopt_kernels *table, mlopt_int8_job *job, int threads) noexcept nogil:
    # bytes are four times as fast as floats, which the limits of threads are for
    cdef int panels = gemm_panels(job.m, job.n, job.k // 4, threads) if threads > 1 else 1
    cdef size_t longer = (job.m if job.m > job.n else job.n) // 96
    if <size_t>panels > longer:
        panels = <int>longer if longer > 0 else 1
    job.blocks = default_blocks(1)
    cdef size_t bytes = mlopt_int8_workspace_bytes(job.blocks, job.result.kind, job.m, job.n, job.k)
    bytes = (bytes + 63) // 64 * 64
    job.workspace = slab_acquire(bytes * panels)
    if job.workspace == NULL:
        return -1
    if panels == 1:
        table.gemm_s8(job)
    else:
        int8_split(table.gemm_s8, job, panels, bytes)
    slab_release(job.workspace)
    return 0


cdef int kind_of(cnp.dtype dtype) noexcept:
    """A mlopt_int8_kind, or -1."""
    if not cnp.PyDataType_ISNOTSWAPPED(dtype):
        return -1
    if dtype.type_num == cnp.NPY_FLOAT32:
        return MLOPT_INT8_TO_F32
    if dtype.type_num == cnp.NPY_UINT8:
        return MLOPT_INT8_TO_U8
    if dtype.type_num == cnp.NPY_INT8:
        return MLOPT_INT8_TO_S8
    # int and long are types of their own where they have one size
    return MLOPT_INT8_TO_S32 if dtype.kind == c"i" and dtype.itemsize == 4 else -1


cdef bint is_bytes(cnp.ndarray x) noexcept:
    return cnp.PyArray_TYPE(x) == cnp.NPY_UINT8 or cnp.PyArray_TYPE(x) == cnp.NPY_INT8


cdef class Int8Product:
    """One tier's product of bytes with any blocks and panels, for tests and benchmarks.

    Shapes and strides are those of the arrays; that they and the types fit together is checked, nothing else is.

    Parameters
    ----------
    a, b : ndarray of uint8 or int8
        Two-dimensional, of any strides.
    c : ndarray of int32, float32, uint8 or int8
        Two-dimensional, its rows contiguous.
    tier : str
        One of ``available_tiers()``.
    a_zero, b_zero : ndarray of int32, optional
        Zero points: one, or one for every row of `a` or column of `b`.
    bias : ndarray of int32, optional
        One for every column.
    scale : ndarray of float32, optional
        One, or one for every column; needed unless `c` is of int32.
    shift : ndarray of float32, optional
        One for every column.
    activation : str, optional
        One of ``ACTIVATIONS``.
    out_multiplier : float, optional
        What 8-bit results are multiplied with.
    out_zero : int, optional
        What is added to them.
    a_padded : bool, optional
        Whether rows of `a` may be read up to a multiple of 4.
    blocks : tuple of int, optional
        ``(mc, kc, nc)``; those of the process by default.
    workspace : ndarray, optional
        64-byte aligned bytes, as many as ``workspace_bytes`` for each panel; its own by default.
    packed : ndarray of int8, optional
        As many as ``packed_bytes``: `b` is packed into it here, not in every call.
    panels : int, optional
        How many panels threads compute; `workspace` is its own then.
    """
    cdef const mlopt_kernels *table
    cdef mlopt_gemm_blocks blocks
    cdef mlopt_int8_job job
    cdef readonly size_t workspace_bytes
    cdef readonly size_t packed_bytes
    cdef int panels
    cdef tuple operands

    def __init__(self, cnp.ndarray a not None, cnp.ndarray b not None, cnp.ndarray c not None, str tier, *,
                 cnp.ndarray a_zero=None, cnp.ndarray b_zero=None, cnp.ndarray bias=None, cnp.ndarray scale=None,
                 cnp.ndarray shift=None, activation="identity", float out_multiplier=1, int out_zero=0,
                 bint a_padded=False, blocks=None, cnp.ndarray workspace=None, cnp.ndarray packed=None, int panels=1):
        self.table = table_of(tier)
        if blocks is None:
            self.blocks = default_blocks(1)[0]
        else:
            self.blocks.mc, self.blocks.kc, self.blocks.nc = blocks
        cdef mlopt_int8_job *job = &self.job
        if not is_bytes(a) or not is_bytes(b):
            raise TypeError("a and b must be arrays of uint8 or int8")
        job.m, job.k, job.n = a.shape[0], a.shape[1], b.shape[1]
        if (b.shape[0], c.shape[0], c.shape[1]) != (job.k, job.m, job.n):
            raise ValueError("a, b and c do not fit together")
        if kind_of(c.dtype) < 0:
            raise TypeError(f"c must be an array of int32, float32, uint8 or int8, got {c.dtype}")
        job.result.kind = <mlopt_int8_kind>kind_of(c.dtype)
        job.a, job.a_row, job.a_column = cnp.PyArray_DATA(a), a.strides[0], a.strides[1]
        job.b, job.b_row, job.b_column = cnp.PyArray_DATA(b), b.strides[0], b.strides[1]
        job.c, job.c_row = cnp.PyArray_DATA(c), c.strides[0] // c.itemsize
        job.a_signed, job.b_signed = cnp.PyArray_TYPE(a) == cnp.NPY_INT8, cnp.PyArray_TYPE(b) == cnp.NPY_INT8
        job.a_padded = a_padded
        job.a_zero = <int32_t *>data_or_null(a_zero, INT32)
        job.b_zero = <int32_t *>data_or_null(b_zero, INT32)
        job.a_zero_step = a_zero is not None and a_zero.size > 1
        job.b_zero_step = b_zero is not None and b_zero.size > 1
        job.result.bias = <int32_t *>data_or_null(bias, INT32)
        job.result.scale = <float *>data_or_null(scale, FLOAT32)
        job.result.scale_step = scale is not None and scale.size > 1
        job.result.shift = <float *>data_or_null(shift, FLOAT32)
        job.result.activation = ACTIVATIONS.index(activation)
        job.result.out_multiplier, job.result.out_zero = out_multiplier, out_zero
        job.blocks = &self.blocks
        self.workspace_bytes = mlopt_int8_workspace_bytes(job.blocks, job.result.kind, job.m, job.n, job.k)
        self.panels = panels
        cdef cnp.npy_intp length = (self.workspace_bytes + 63) // 64 * 64 * panels
        if workspace is None:
            workspace = aligned_array(1, &length, cnp.NPY_UINT8, False)
        job.workspace = cnp.PyArray_DATA(workspace)
        job.packed_columns = self.table.gemm_pack_s8(job.k, job.n, NULL, 0, 0, job.b_signed, NULL)
        self.packed_bytes = mlopt_int8_packed_bytes(job.k, job.packed_columns)
        job.packed, job.packed_first = NULL, 0
        if packed is not None:
            self.table.gemm_pack_s8(job.k, job.n, job.b, job.b_row, job.b_column, job.b_signed,
                                    <int8_t *>cnp.PyArray_DATA(packed))
            job.packed, job.b = <int8_t *>cnp.PyArray_DATA(packed), NULL
        self.operands = a, b, c, a_zero, b_zero, bias, scale, shift, workspace, packed

    def __call__(self):
        """Compute once, without the GIL."""
        with nogil:
            if self.panels == 1:
                self.table.gemm_s8(&self.job)
            else:
                int8_split(self.table.gemm_s8, &self.job, self.panels, (self.workspace_bytes + 63) // 64 * 64)


cdef void *data_or_null(cnp.ndarray x, object dtype) except? NULL:
    if x is None:
        return NULL
    if x.dtype != dtype or not x.flags.c_contiguous:
        raise TypeError(f"expected a contiguous array of {dtype}, got one of {x.dtype}")
    return cnp.PyArray_DATA(x)
