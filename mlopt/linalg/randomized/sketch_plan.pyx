"""Random numbers, and random matrices that are applied without being formed: what sketches.py is made of."""
import numpy as np

cimport numpy as cnp
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from mlopt._kernels.core cimport current_table, slab_acquire, slab_release
from mlopt._kernels.dispatch cimport mlopt_kernels
from mlopt._kernels.threads cimport gemm_threads, team_run, team_size
from mlopt.linalg.operands cimport fits

cnp.import_array()


cdef extern from "sketch_plan.h" nogil:
    ctypedef struct mlopt_sketch_plan:
        size_t n
        size_t columns
        size_t block
        const void *weights
        const int32_t *places
        const int32_t *indices
        const int64_t *bounds
    size_t mlopt_sketch_chunk(const mlopt_sketch_plan *)
    size_t mlopt_sketch_together(size_t element_bytes, ptrdiff_t a_row, ptrdiff_t a_column)
    size_t mlopt_sketch_workspace_elements(const mlopt_sketch_plan *, size_t together)
    void mlopt_sketch_signs(uint64_t key, size_t n, double size, void *weights, size_t element_bytes)
    void mlopt_sketch_order(uint64_t key, size_t n, size_t chunk, int32_t *places)
    void mlopt_sketch_places(uint64_t key, uint64_t total, size_t count, uint64_t *places, uint8_t *seen)
    void mlopt_srht_lists(size_t n, size_t columns, size_t block, size_t chunk, const uint64_t *places,
                          int32_t *indices, int64_t *bounds)
    void mlopt_sparse_sign_lists(uint64_t key, size_t n, size_t columns, size_t zeta, size_t chunk, uint32_t *targets,
                                 int64_t *next, int32_t *indices, int64_t *bounds)
    void mlopt_sketch_rows_f32(const mlopt_kernels *, const mlopt_sketch_plan *, size_t together, size_t rows,
                               const float *a, ptrdiff_t a_row, ptrdiff_t a_column, float *out, ptrdiff_t out_row,
                               float *workspace)
    void mlopt_sketch_rows_f64(const mlopt_kernels *, const mlopt_sketch_plan *, size_t together, size_t rows,
                               const double *a, ptrdiff_t a_row, ptrdiff_t a_column, double *out, ptrdiff_t out_row,
                               double *workspace)


# What a normal number, and an element of A in a plan, cost as multiplications of a matrix product: for the threads.
cdef double NORMAL_WORK = 24
cdef double ELEMENT_WORK = 8
# Numbers below which one thread fills an array without giving up the GIL.
cdef size_t RELEASE_NUMBERS = 4096


cdef struct numbers:
    const mlopt_kernels *table
    uint64_t key
    uint64_t first
    size_t n
    int parts
    bint is_f64
    char *out


# Shares begin where blocks of the stream do, or the blocks at their ends would be computed twice.
cdef void fill_part(int part, void *argument) noexcept nogil:
    cdef numbers *job = <numbers *>argument
    cdef size_t blocks = job.n // 64, begin = blocks * part // job.parts * 64
    cdef size_t end = job.n if part == job.parts - 1 else blocks * (part + 1) // job.parts * 64
    if job.is_f64:
        job.table.random_normal_f64(job.key, job.first + begin, end - begin, <double *>job.out + begin)
    else:
        job.table.random_normal_f32(job.key, job.first + begin, end - begin, <float *>job.out + begin)


def fill_normal(cnp.ndarray out, uint64_t key, uint64_t first=0, threads=None):
    """Fill a contiguous array of float32 or float64 with numbers `first` on of a stream of normal numbers."""
    cdef numbers job
    if not cnp.PyArray_ISCARRAY(out) or cnp.PyArray_TYPE(out) not in (cnp.NPY_FLOAT, cnp.NPY_DOUBLE):
        raise TypeError("out must be a writable C-contiguous array of float32 or float64")
    job.table, job.key, job.first, job.n = current_table(), key, first, cnp.PyArray_SIZE(out)
    job.is_f64, job.out, job.parts = cnp.PyArray_TYPE(out) == cnp.NPY_DOUBLE, cnp.PyArray_BYTES(out), 1
    if job.n < RELEASE_NUMBERS:
        fill_part(0, &job)
        return
    job.parts = gemm_threads(NORMAL_WORK * job.n, team_size() if threads is None else threads)
    with nogil:
        if job.parts > 1:
            team_run(job.parts, fill_part, &job)
        else:
            fill_part(0, &job)


cdef struct application:
    const mlopt_kernels *table
    const mlopt_sketch_plan *plan
    size_t m
    size_t together
    const char *a
    ptrdiff_t a_row      # elements
    ptrdiff_t a_column
    char *out
    ptrdiff_t out_row
    int parts
    size_t element_bytes
    char *workspace
    size_t workspace_bytes


cdef void apply_part(int part, void *argument) noexcept nogil:
    cdef application *job = <application *>argument
    cdef size_t panels = (job.m + job.together - 1) // job.together
    cdef size_t i = panels * part // job.parts * job.together
    cdef size_t end = min(job.m, panels * (part + 1) // job.parts * job.together), rows
    cdef char *workspace = job.workspace + part * job.workspace_bytes
    while i < end:
        rows = min(job.together, end - i)
        if job.element_bytes == 8:
            mlopt_sketch_rows_f64(job.table, job.plan, job.together, rows,
                                  <const double *>job.a + <ptrdiff_t>i * job.a_row,
                                  job.a_row, job.a_column, <double *>job.out + <ptrdiff_t>i * job.out_row, job.out_row,
                                  <double *>workspace)
        else:
            mlopt_sketch_rows_f32(job.table, job.plan, job.together, rows,
                                  <const float *>job.a + <ptrdiff_t>i * job.a_row,
                                  job.a_row, job.a_column, <float *>job.out + <ptrdiff_t>i * job.out_row, job.out_row,
                                  <float *>workspace)
        i += rows


cdef class SketchPlan:
    """A random matrix Omega as lists of signed columns (sketch_plan.h), to be applied to dense matrices.

    Parameters
    ----------
    kind : {"sparse-sign", "srht"}
    n, columns : int
        The shape of Omega; `columns` is at least 1.
    key : int
        64 bits that choose the matrix.
    dtype : dtype
        float32 or float64.
    """
    cdef mlopt_sketch_plan plan
    cdef int type_number
    cdef readonly object dtype
    cdef object arrays

    def __init__(self, kind, size_t n, size_t columns, uint64_t key, dtype):
        if n >= 1 << 31:
            raise ValueError(f"a must have less than 2**31 columns, not {n}")
        self.dtype = np.dtype(dtype)
        self.type_number = self.dtype.num
        self.plan.n, self.plan.columns, self.plan.block = n, columns, 1
        if kind == "srht":
            while self.plan.block < columns:
                self.plan.block *= 2
            self.srht(key)
        else:
            self.sparse_sign(key, min(columns, 8))

    cdef int keep(self, cnp.ndarray weights, cnp.ndarray indices, cnp.ndarray bounds, places=None) except -1:
        self.arrays = weights, indices, bounds, places
        self.plan.places = NULL if places is None else <int32_t *>cnp.PyArray_DATA(<cnp.ndarray>places)
        self.plan.weights = cnp.PyArray_DATA(weights)
        self.plan.indices = <int32_t *>cnp.PyArray_DATA(indices)
        self.plan.bounds = <int64_t *>cnp.PyArray_DATA(bounds)
        return 0

    cdef size_t chunks(self):
        return (self.plan.n + mlopt_sketch_chunk(&self.plan) - 1) // mlopt_sketch_chunk(&self.plan)

    cdef int srht(self, uint64_t key) except -1:
        cdef size_t n = self.plan.n, columns = self.plan.columns, block = self.plan.block
        cdef size_t blocks = (n + block - 1) // block
        cdef uint64_t total = block
        while total < n:
            total *= 2
        cdef cnp.ndarray weights = np.empty(n, self.dtype)
        cdef cnp.ndarray places = np.empty(columns, np.uint64), seen = np.zeros((total + 7) // 8, np.uint8)
        cdef cnp.ndarray indices = np.empty(columns * blocks, np.int32)
        cdef cnp.ndarray bounds = np.empty(self.chunks() * (2 * columns + 1), np.int64)
        cdef cnp.ndarray order = np.empty(n, np.int32)
        mlopt_sketch_order(key, n, mlopt_sketch_chunk(&self.plan), <int32_t *>cnp.PyArray_DATA(order))
        mlopt_sketch_signs(key, n, columns**-0.5, cnp.PyArray_DATA(weights), self.dtype.itemsize)
        mlopt_sketch_places(key, total, columns, <uint64_t *>cnp.PyArray_DATA(places),
                            <uint8_t *>cnp.PyArray_DATA(seen))
        mlopt_srht_lists(n, columns, block, mlopt_sketch_chunk(&self.plan), <uint64_t *>cnp.PyArray_DATA(places),
                         <int32_t *>cnp.PyArray_DATA(indices), <int64_t *>cnp.PyArray_DATA(bounds))
        return self.keep(weights, indices, bounds, order)

    cdef int sparse_sign(self, uint64_t key, size_t zeta) except -1:
        cdef size_t n = self.plan.n, columns = self.plan.columns
        cdef cnp.ndarray weights = np.full(n, zeta**-0.5, self.dtype)
        cdef cnp.ndarray targets = np.empty(min(n, mlopt_sketch_chunk(&self.plan)) * zeta, np.uint32)
        cdef cnp.ndarray counts = np.empty(2 * columns, np.int64)
        cdef cnp.ndarray indices = np.empty(n * zeta, np.int32)
        cdef cnp.ndarray bounds = np.empty(self.chunks() * (2 * columns + 1), np.int64)
        mlopt_sparse_sign_lists(key, n, columns, zeta, mlopt_sketch_chunk(&self.plan),
                                <uint32_t *>cnp.PyArray_DATA(targets), <int64_t *>cnp.PyArray_DATA(counts),
                                <int32_t *>cnp.PyArray_DATA(indices), <int64_t *>cnp.PyArray_DATA(bounds))
        return self.keep(weights, indices, bounds)

    def dense(self):
        """Omega as a matrix, for a plan without transform ("sparse-sign")."""
        if self.plan.block != 1:
            raise ValueError("a plan of 'srht' has no matrix; expected one of 'sparse-sign'")
        weights, indices, bounds, _ = self.arrays
        omega = np.zeros((self.plan.n, self.plan.columns), self.dtype)
        counts = np.diff(bounds.reshape(self.chunks(), 2 * self.plan.columns + 1)).ravel()
        target = np.repeat(np.arange(len(counts)), counts)
        chunk, target = np.divmod(target, 2 * self.plan.columns)
        rows = indices + chunk * <int64_t>mlopt_sketch_chunk(&self.plan)
        omega[rows, target // 2] = np.where(target % 2, -weights[rows], weights[rows])
        return omega

    def apply(self, cnp.ndarray a, cnp.ndarray out, threads=None):
        """out = a Omega, for matrices of the plan's dtype; `out` has contiguous rows and no memory in common with `a`.

        Raises
        ------
        MemoryError
            If there is no memory for the workspace.
        """
        cdef ptrdiff_t size = self.dtype.itemsize
        cdef application job
        cdef size_t n = self.plan.n, m
        if (cnp.PyArray_NDIM(a) != 2 or cnp.PyArray_TYPE(a) != self.type_number or not fits(a)
                or <size_t>cnp.PyArray_DIM(a, 1) != n):
            raise ValueError(f"a must be an aligned matrix of {n} columns of {self.dtype}")
        m = cnp.PyArray_DIM(a, 0)
        if (cnp.PyArray_NDIM(out) != 2 or cnp.PyArray_TYPE(out) != self.type_number or not fits(out)
                or <size_t>cnp.PyArray_DIM(out, 0) != m or <size_t>cnp.PyArray_DIM(out, 1) != self.plan.columns
                or not cnp.PyArray_ISWRITEABLE(out) or cnp.PyArray_STRIDE(out, 1) != size):
            raise ValueError(f"out must be a writable matrix of shape {(m, self.plan.columns)} and {self.dtype} with "
                             "contiguous rows")
        if m == 0:
            return
        if n == 0:
            out[...] = 0
            return
        job.table, job.plan, job.m, job.element_bytes = current_table(), &self.plan, m, size
        job.a, job.out = cnp.PyArray_BYTES(a), cnp.PyArray_BYTES(out)
        job.a_row, job.a_column = cnp.PyArray_STRIDE(a, 0) // size, cnp.PyArray_STRIDE(a, 1) // size
        job.out_row = cnp.PyArray_STRIDE(out, 0) // size
        job.together = mlopt_sketch_together(size, job.a_row, job.a_column)
        job.parts = gemm_threads(ELEMENT_WORK * m * n, team_size() if threads is None else threads)
        job.parts = max(1, min(job.parts, <int>min((m + job.together - 1) // job.together, <size_t>1024)))
        job.workspace_bytes = (mlopt_sketch_workspace_elements(&self.plan, job.together) * size + 63) // 64 * 64
        job.workspace = <char *>slab_acquire(job.workspace_bytes * job.parts)
        if job.workspace == NULL:
            raise MemoryError("no memory for the workspace of a sketch")
        with nogil:
            if job.parts > 1:
                team_run(job.parts, apply_part, &job)
            else:
                apply_part(0, &job)
            slab_release(job.workspace)


__all__ = ["SketchPlan", "fill_normal"]
