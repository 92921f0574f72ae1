"""dot, axpy and matmul for Cython modules: typed memoryviews of float and double, without the GIL."""
from cython cimport floating

from mlopt._kernels.core cimport current_table_nogil
from mlopt._kernels.dispatch cimport mlopt_gemm_job_f32, mlopt_gemm_job_f64, mlopt_kernels
from mlopt.linalg.gemm cimport run_f32, run_f64


cdef int differ(const char *what, Py_ssize_t expected, Py_ssize_t found) except -1 nogil:
    with gil:
        raise ValueError(f"{what.decode()} must be {expected}, not {found}")


cdef double dot(const floating[::1] x, const floating[::1] y) except? -1 nogil:
    cdef const mlopt_kernels *table = current_table_nogil()
    cdef Py_ssize_t n = x.shape[0]
    if y.shape[0] != n:
        differ(b"the length of y", n, y.shape[0])
    if n == 0:
        return 0
    if floating is float:
        return table.dot_f32(n, &x[0], &y[0])
    else:
        return table.dot_f64(n, &x[0], &y[0])


cdef int axpy(floating alpha, const floating[::1] x, floating[::1] y) except -1 nogil:
    cdef const mlopt_kernels *table = current_table_nogil()
    cdef Py_ssize_t n = x.shape[0]
    if y.shape[0] != n:
        differ(b"the length of y", n, y.shape[0])
    if n == 0:
        return 0
    if floating is float:
        table.axpy_f32(n, alpha, &x[0], &y[0])
    else:
        table.axpy_f64(n, alpha, &x[0], &y[0])
    return 0


cdef int matmul(const floating[:, :] a, const floating[:, :] b, floating[:, :] out) except -1 nogil:
    cdef const mlopt_kernels *table = current_table_nogil()
    cdef Py_ssize_t size = sizeof(floating)
    cdef mlopt_gemm_job_f32 job_f32
    cdef mlopt_gemm_job_f64 job_f64
    cdef int status
    if b.shape[0] != a.shape[1]:
        differ(b"the rows of b", a.shape[1], b.shape[0])
    if out.shape[0] != a.shape[0]:
        differ(b"the rows of out", a.shape[0], out.shape[0])
    if out.shape[1] != b.shape[1]:
        differ(b"the columns of out", b.shape[1], out.shape[1])
    if out.shape[0] == 0 or out.shape[1] == 0:
        return 0
    if floating is float:
        job_f32.m, job_f32.n, job_f32.k = a.shape[0], b.shape[1], a.shape[1]
        job_f32.a, job_f32.a_row, job_f32.a_column = &a[0, 0], a.strides[0] // size, a.strides[1] // size
        job_f32.b, job_f32.b_row, job_f32.b_column = &b[0, 0], b.strides[0] // size, b.strides[1] // size
        job_f32.c, job_f32.c_row, job_f32.c_column = &out[0, 0], out.strides[0] // size, out.strides[1] // size
        job_f32.accumulate = 0
        status = run_f32(table, &job_f32, 1)
    else:
        job_f64.m, job_f64.n, job_f64.k = a.shape[0], b.shape[1], a.shape[1]
        job_f64.a, job_f64.a_row, job_f64.a_column = &a[0, 0], a.strides[0] // size, a.strides[1] // size
        job_f64.b, job_f64.b_row, job_f64.b_column = &b[0, 0], b.strides[0] // size, b.strides[1] // size
        job_f64.c, job_f64.c_row, job_f64.c_column = &out[0, 0], out.strides[0] // size, out.strides[1] // size
        job_f64.accumulate = 0
        status = run_f64(table, &job_f64, 1)
    if status != 0:
        with gil:
            raise MemoryError("no memory for the workspace of a matrix product")
    return 0
