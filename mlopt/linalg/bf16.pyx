"""Products of bfloat16: the kernel with workspace and threads; and on any tier, for tests and benchmarks."""
cimport numpy as cnp
from libc.stdint cimport uint16_t

import numpy as np

from mlopt._kernels.core cimport current_table, default_blocks, slab_acquire, slab_release, table_of
from mlopt._kernels.dispatch cimport (
    mlopt_bf16_packed_elements,
    mlopt_bf16_workspace_bytes,
    mlopt_gemm_blocks,
    mlopt_gemm_job_bf16,
    mlopt_kernels,
)
from mlopt._kernels.threads cimport gemm_panels, team_run, team_size
from mlopt.linalg.operands cimport fits, folded, overlap

cnp.import_array()

cdef const mlopt_gemm_blocks *blocks_f32 = default_blocks(4)
# Panels that threads compute start at multiples of this.
cdef size_t PANEL = 48


cdef bint is_bfloat16(x):
    if not cnp.PyArray_CheckExact(x):
        return False
    dtype = x.dtype
    return dtype.kind == "V" and dtype.itemsize == 2 and dtype.name == "bfloat16"


# A product in panels of rows or columns of C, whichever there are more of.
cdef struct split:
    const mlopt_kernels *table
    const mlopt_gemm_job_bf16 *job
    int panels
    size_t workspace_bytes


cdef void panel(int i, void *argument) noexcept nogil:
    cdef split *s = <split *>argument
    cdef mlopt_gemm_job_bf16 job = s.job[0]
    cdef size_t longer = max(job.m, job.n)
    cdef size_t units = longer // PANEL
    cdef size_t first = units * <size_t>i // <size_t>s.panels * PANEL
    cdef size_t end = longer if i + 1 == s.panels else units * <size_t>(i + 1) // <size_t>s.panels * PANEL
    cdef ptrdiff_t c_step
    if job.m > job.n:
        job.m = end - first
        job.a = <const char *>job.a + <ptrdiff_t>first * job.a_row * (2 if job.a_short else 4)
        c_step = job.c_row
    else:
        job.n = end - first
        if job.packed == NULL:
            job.b = <const char *>job.b + <ptrdiff_t>first * job.b_column * (2 if job.b_short else 4)
        job.packed_first += first
        c_step = job.c_column
    job.c = <char *>job.c + <ptrdiff_t>first * c_step * (2 if job.c_short else 4)
    job.workspace = <char *>job.workspace + <size_t>i * s.workspace_bytes
    s.table.gemm_bf16(&job, NULL)


cdef int run_bf16(const mlopt_kernels *table, mlopt_gemm_job_bf16 *job, int threads) noexcept nogil:
    cdef int panels = gemm_panels(job.m, job.n, job.k, threads) if threads > 1 else 1
    cdef split s
    job.blocks = blocks_f32
    cdef size_t bytes = (mlopt_bf16_workspace_bytes(job.blocks, job.m, job.n, job.k, True) + 63) // 64 * 64
    job.workspace = slab_acquire(bytes * panels)
    if job.workspace == NULL:
        return -1
    if panels == 1:
        table.gemm_bf16(job, NULL)
    else:
        s.table, s.job, s.panels, s.workspace_bytes = table, job, panels, bytes
        team_run(panels, panel, &s)
    slab_release(job.workspace)
    return 0


# One product of two matrices: uint16 that are bfloat16, and C either that or float32.
cdef int multiply(cnp.ndarray a, cnp.ndarray b, cnp.ndarray c, int threads) except -1:
    cdef ptrdiff_t c_size = cnp.PyArray_ITEMSIZE(c)
    cdef const mlopt_kernels *table = current_table()
    cdef int status
    cdef mlopt_gemm_job_bf16 job = mlopt_gemm_job_bf16(
        a.shape[0], b.shape[1], a.shape[1], cnp.PyArray_DATA(a), a.strides[0] // 2, a.strides[1] // 2,
        cnp.PyArray_DATA(b), b.strides[0] // 2, b.strides[1] // 2,
        cnp.PyArray_DATA(c), c.strides[0] // c_size, c.strides[1] // c_size,
        True, True, c_size == 2, False, NULL, NULL, NULL, 0, 0)
    with nogil:
        status = run_bf16(table, &job, threads)
    if status != 0:
        raise MemoryError("no memory for the workspace of a matrix product")
    return 0


cdef object bf16_product(a, b, out, threads):
    if a.ndim == 0 or b.ndim == 0:
        return None
    row, column = a.ndim == 1, b.ndim == 1  # a vector is a row on the left, a column on the right
    left = a[None, :] if row else a
    right = b[:, None] if column else b
    cdef int left_ndim = left.ndim, right_ndim = right.ndim
    if left.shape[left_ndim - 1] != right.shape[right_ndim - 2]:
        return None
    try:
        batch = np.broadcast_shapes(left.shape[:left_ndim - 2], right.shape[:right_ndim - 2])
    except ValueError:
        return None
    m, n = left.shape[left_ndim - 2], right.shape[right_ndim - 1]
    shape = batch + (() if row else (m,)) + (() if column else (n,))
    result = out
    if out is None:
        result = np.empty(shape, a.dtype)
    elif out.shape != shape or not (is_bfloat16(out) or out.dtype == np.float32) or not out.flags.writeable or (
            not fits(out) or folded(out)):
        return None
    elif overlap(out, a) or overlap(out, b):
        result = np.empty(shape, out.dtype)
    left, right = [x if fits(x) else x.copy() for x in (left, right)]
    left, right = left.view(np.uint16), right.view(np.uint16)
    product = result.view(np.uint16) if result.itemsize == 2 else result
    if row:
        product = product[..., None, :] if not column else product[..., None]
    if column:
        product = product[..., None]
    left = np.broadcast_to(left, (*batch, *left.shape[left_ndim - 2:]))
    right = np.broadcast_to(right, (*batch, *right.shape[right_ndim - 2:]))
    count = team_size() if threads is None else threads
    for index in np.ndindex(batch):
        multiply(left[index], right[index], product[index], count)
    if out is None:
        return result[()]
    if result is not out:
        out[...] = result
    return out


cdef class Product:
    """C = A B, or C += A B, with one tier's kernel: of float32 arrays, or of uint16 ones that hold bfloat16.

    Shapes and strides are those of the arrays; nothing else is checked.

    Parameters
    ----------
    a, b, c : ndarray
        Two-dimensional, each float32 or uint16.
    tier : str
        One of ``available_tiers()``.
    accumulate : bool, optional
        Whether to add to `c`.
    packed : bool, optional
        Whether `b` is packed once, here.
    blocks : tuple of int, optional
        ``(mc, kc, nc)``; those of the process by default.
    workspace : ndarray, optional
        64-byte aligned bytes, as many as ``Product.workspace_bytes``; its own by default.
    """
    cdef const mlopt_kernels *table
    cdef mlopt_gemm_blocks blocks
    cdef mlopt_gemm_job_bf16 job
    cdef readonly size_t workspace_bytes
    cdef object operands

    def __init__(self, cnp.ndarray a not None, cnp.ndarray b not None, cnp.ndarray c not None, str tier, *,
                 bint accumulate=False, bint packed=False, blocks=None, workspace=None):
        cdef size_t m = a.shape[0], k = a.shape[1], n = b.shape[1]
        self.table = table_of(tier)
        self.blocks = default_blocks(4)[0]
        if blocks is not None:
            self.blocks.mc, self.blocks.kc, self.blocks.nc = blocks
        if (b.shape[0], c.shape[0], c.shape[1]) != (k, m, n):
            raise ValueError("a, b and c do not fit together")
        for array in (a, b, c):
            if array.dtype not in (np.dtype(np.float32), np.dtype(np.uint16)):
                raise TypeError(f"a, b and c must be float32 or uint16, got {array.dtype}")
        self.workspace_bytes = mlopt_bf16_workspace_bytes(&self.blocks, m, n, k, True)
        if workspace is None:
            workspace = np.empty(self.workspace_bytes + 64, np.uint8)
            workspace = workspace[-workspace.ctypes.data % 64:]
        panels = np.zeros(mlopt_bf16_packed_elements(k, n) if packed else 0, np.uint16)
        self.operands = a, b, c, workspace, panels
        cdef ptrdiff_t a_size = a.itemsize, b_size = b.itemsize, c_size = c.itemsize
        self.job = mlopt_gemm_job_bf16(
            m, n, k, cnp.PyArray_DATA(a), a.strides[0] // a_size, a.strides[1] // a_size,
            cnp.PyArray_DATA(b), b.strides[0] // b_size, b.strides[1] // b_size,
            cnp.PyArray_DATA(c), c.strides[0] // c_size, c.strides[1] // c_size,
            a_size == 2, b_size == 2, c_size == 2, accumulate, &self.blocks, cnp.PyArray_DATA(workspace), NULL, 0, 0)
        if packed:
            self.job.packed = <const uint16_t *>cnp.PyArray_DATA(panels)
            self.job.packed_columns = self.table.gemm_pack_bf16(
                &self.blocks, k, n, self.job.b, self.job.b_short, self.job.b_row, self.job.b_column,
                <uint16_t *>cnp.PyArray_DATA(panels))

    def __call__(self):
        """Compute once, on one thread, without the GIL."""
        with nogil:
            self.table.gemm_bf16(&self.job, NULL)
