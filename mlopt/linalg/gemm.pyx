"""The product kernel with workspace and threads; and on any tier with any blocks, for tests and benchmarks."""
cimport numpy as cnp

from mlopt._kernels.core cimport default_blocks, slab_acquire, slab_release, table_of
from mlopt._kernels.dispatch cimport (
    mlopt_gemm_blocks,
    mlopt_gemm_in_place,
    mlopt_gemm_job_f32,
    mlopt_gemm_job_f64,
    mlopt_gemm_workspace_bytes,
    mlopt_kernels,
)
from mlopt._kernels.threads cimport gemm_panels, gemm_split_f32, gemm_split_f64

cnp.import_array()


cdef const mlopt_gemm_blocks *blocks_f32 = default_blocks(4)
cdef const mlopt_gemm_blocks *blocks_f64 = default_blocks(8)


cdef int run_f32(const mlopt_kernels *table, mlopt_gemm_job_f32 *job, int threads) noexcept nogil:
    cdef int panels = gemm_panels(job.m, job.n, job.k, threads) if threads > 1 else 1
    job.blocks = blocks_f32
    job.workspace = NULL
    if panels == 1 and job.packed == NULL and mlopt_gemm_in_place(4, job.m, job.n, job.k, job.a_column,
                                                                  job.b_column, job.c_column):
        table.gemm_f32(job)
        return 0
    cdef size_t bytes = (mlopt_gemm_workspace_bytes(job.blocks, 4, job.m, job.n, job.k) + 63) // 64 * 64
    job.workspace = slab_acquire(bytes * panels)
    if job.workspace == NULL:
        return -1
    if panels == 1:
        table.gemm_f32(job)
    else:
        gemm_split_f32(table.gemm_f32, job, panels, bytes)
    slab_release(job.workspace)
    return 0


cdef int run_f64(const mlopt_kernels *table, mlopt_gemm_job_f64 *job, int threads) noexcept nogil:
    cdef int panels = gemm_panels(job.m, job.n, job.k, threads) if threads > 1 else 1
    job.blocks = blocks_f64
    job.workspace = NULL
    if panels == 1 and job.packed == NULL and mlopt_gemm_in_place(8, job.m, job.n, job.k, job.a_column,
                                                                  job.b_column, job.c_column):
        table.gemm_f64(job)
        return 0
    cdef size_t bytes = (mlopt_gemm_workspace_bytes(job.blocks, 8, job.m, job.n, job.k) + 63) // 64 * 64
    job.workspace = slab_acquire(bytes * panels)
    if job.workspace == NULL:
        return -1
    if panels == 1:
        table.gemm_f64(job)
    else:
        gemm_split_f64(table.gemm_f64, job, panels, bytes)
    slab_release(job.workspace)
    return 0


cdef class Product:
    """C = A B, or C += A B, with one tier's kernel.

    Shapes and strides are those of the arrays; nothing else is checked.

    Parameters
    ----------
    a, b, c : ndarray
        Two-dimensional, float32 or float64, of one type.
    tier : str
        One of ``available_tiers()``.
    accumulate : bool, optional
        Whether to add to `c`.
    blocks : tuple of int, optional
        ``(mc, kc, nc)``; those of the process by default.
    workspace : ndarray, optional
        64-byte aligned bytes, as many as ``Product.workspace_bytes``; its own by default.
    """
    cdef const mlopt_kernels *table
    cdef mlopt_gemm_blocks blocks
    cdef mlopt_gemm_job_f32 job_f32
    cdef mlopt_gemm_job_f64 job_f64
    cdef bint is_f64
    cdef readonly size_t workspace_bytes
    cdef object operands

    def __init__(self, cnp.ndarray a not None, cnp.ndarray b not None, cnp.ndarray c not None, str tier, *,
                 bint accumulate=False, blocks=None, workspace=None):
        import numpy as np
        self.table = table_of(tier)
        self.is_f64 = c.dtype == np.float64
        cdef ptrdiff_t size = c.itemsize
        if blocks is None:
            self.blocks = default_blocks(size)[0]
        else:
            self.blocks.mc, self.blocks.kc, self.blocks.nc = blocks
        cdef size_t m = a.shape[0], k = a.shape[1], n = b.shape[1]
        if not (a.dtype == b.dtype == c.dtype) or (b.shape[0], c.shape[0], c.shape[1]) != (k, m, n):
            raise ValueError("a, b and c do not fit together")
        self.workspace_bytes = mlopt_gemm_workspace_bytes(&self.blocks, size, m, n, k)
        if workspace is None:
            workspace = np.empty(self.workspace_bytes + 64, np.uint8)
            workspace = workspace[-workspace.ctypes.data % 64:]
        self.operands = a, b, c, workspace
        if self.is_f64:
            self.job_f64 = mlopt_gemm_job_f64(
                m, n, k, <double *>cnp.PyArray_DATA(a), a.strides[0] // size, a.strides[1] // size,
                <double *>cnp.PyArray_DATA(b), b.strides[0] // size, b.strides[1] // size,
                <double *>cnp.PyArray_DATA(c), c.strides[0] // size, c.strides[1] // size,
                accumulate, &self.blocks, cnp.PyArray_DATA(workspace), NULL, 0, 0)
        else:
            self.job_f32 = mlopt_gemm_job_f32(
                m, n, k, <float *>cnp.PyArray_DATA(a), a.strides[0] // size, a.strides[1] // size,
                <float *>cnp.PyArray_DATA(b), b.strides[0] // size, b.strides[1] // size,
                <float *>cnp.PyArray_DATA(c), c.strides[0] // size, c.strides[1] // size,
                accumulate, &self.blocks, cnp.PyArray_DATA(workspace), NULL, 0, 0)

    def __call__(self):
        """Compute once, on one thread, without the GIL."""
        with nogil:
            if self.is_f64:
                self.table.gemm_f64(&self.job_f64)
            else:
                self.table.gemm_f32(&self.job_f32)
