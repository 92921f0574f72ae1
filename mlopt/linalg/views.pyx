"""dot, axpy and matmul for Cython modules: typed memoryviews of float and double, without the GIL."""
from mlopt._kernels.core cimport current_table_nogil
from mlopt._kernels.dispatch cimport mlopt_gemm_job_f32, mlopt_gemm_job_f64
from mlopt.linalg.gemm cimport run_f32, run_f64


cdef int differ(const char *what, Py_ssize_t expected, Py_ssize_t found) except -1 nogil:
    with gil:
        raise ValueError(f"{what.decode()} must be {expected}, not {found}")


cdef int mixed() except -1 nogil:
    with gil:
        raise TypeError("the operands must have one element type, float or double")


cdef int product_f32(size_t m, size_t n, size_t k, const float *a, ptrdiff_t a_row, ptrdiff_t a_column,
                     const float *b, ptrdiff_t b_row, ptrdiff_t b_column,
                     float *c, ptrdiff_t c_row, ptrdiff_t c_column) except -1 nogil:
    cdef mlopt_gemm_job_f32 job
    job.m, job.n, job.k = m, n, k
    job.a, job.a_row, job.a_column = a, a_row // <ptrdiff_t>sizeof(float), a_column // <ptrdiff_t>sizeof(float)
    job.b, job.b_row, job.b_column = b, b_row // <ptrdiff_t>sizeof(float), b_column // <ptrdiff_t>sizeof(float)
    job.c, job.c_row, job.c_column = c, c_row // <ptrdiff_t>sizeof(float), c_column // <ptrdiff_t>sizeof(float)
    job.accumulate = 0
    job.packed = NULL
    if run_f32(current_table_nogil(), &job, 1) != 0:
        with gil:
            raise MemoryError("no memory for the workspace of a matrix product")
    return 0


cdef int product_f64(size_t m, size_t n, size_t k, const double *a, ptrdiff_t a_row, ptrdiff_t a_column,
                     const double *b, ptrdiff_t b_row, ptrdiff_t b_column,
                     double *c, ptrdiff_t c_row, ptrdiff_t c_column) except -1 nogil:
    cdef mlopt_gemm_job_f64 job
    job.m, job.n, job.k = m, n, k
    job.a, job.a_row, job.a_column = a, a_row // <ptrdiff_t>sizeof(double), a_column // <ptrdiff_t>sizeof(double)
    job.b, job.b_row, job.b_column = b, b_row // <ptrdiff_t>sizeof(double), b_column // <ptrdiff_t>sizeof(double)
    job.c, job.c_row, job.c_column = c, c_row // <ptrdiff_t>sizeof(double), c_column // <ptrdiff_t>sizeof(double)
    job.accumulate = 0
    job.packed = NULL
    if run_f64(current_table_nogil(), &job, 1) != 0:
        with gil:
            raise MemoryError("no memory for the workspace of a matrix product")
    return 0


# For choices at compile time: the views of floats.
ctypedef fused float_vector:
    const float[:]
    const float[::1]

ctypedef fused float_matrix:
    const float[:, :]
    const float[:, ::1]


cdef double dot(left_vector x, right_vector y) except? -1 nogil:
    cdef Py_ssize_t n = x.shape[0]
    cdef float sum_f32
    cdef double sum_f64
    if y.shape[0] != n:
        differ(b"the length of y", n, y.shape[0])
    if n == 0:
        return 0
    if left_vector in float_vector and right_vector in float_vector:
        if x.strides[0] == sizeof(float) and y.strides[0] == sizeof(float):
            return current_table_nogil().dot_f32(n, &x[0], &y[0])
        product_f32(1, 1, n, &x[0], 0, x.strides[0], &y[0], y.strides[0], 0, &sum_f32, 0, 0)
        return sum_f32
    elif left_vector not in float_vector and right_vector not in float_vector:
        if x.strides[0] == sizeof(double) and y.strides[0] == sizeof(double):
            return current_table_nogil().dot_f64(n, &x[0], &y[0])
        product_f64(1, 1, n, &x[0], 0, x.strides[0], &y[0], y.strides[0], 0, &sum_f64, 0, 0)
        return sum_f64
    else:
        return mixed()


cdef int axpy(double alpha, left_vector x, out_vector y) except -1 nogil:
    cdef Py_ssize_t i, n = x.shape[0]
    if y.shape[0] != n:
        differ(b"the length of y", n, y.shape[0])
    if n == 0:
        return 0
    if left_vector in float_vector and out_vector in float_vector:
        if x.strides[0] == sizeof(float) and y.strides[0] == sizeof(float):
            current_table_nogil().axpy_f32(n, <float>alpha, &x[0], &y[0])
        else:
            for i in range(n):
                y[i] += <float>alpha * x[i]
    elif left_vector not in float_vector and out_vector not in float_vector:
        if x.strides[0] == sizeof(double) and y.strides[0] == sizeof(double):
            current_table_nogil().axpy_f64(n, alpha, &x[0], &y[0])
        else:
            for i in range(n):
                y[i] += alpha * x[i]
    else:
        mixed()
    return 0


cdef int matmul(left_matrix a, right_matrix b, out_matrix out) except -1 nogil:
    if b.shape[0] != a.shape[1]:
        differ(b"the rows of b", a.shape[1], b.shape[0])
    if out.shape[0] != a.shape[0]:
        differ(b"the rows of out", a.shape[0], out.shape[0])
    if out.shape[1] != b.shape[1]:
        differ(b"the columns of out", b.shape[1], out.shape[1])
    if out.shape[0] == 0 or out.shape[1] == 0:
        return 0
    if left_matrix in float_matrix and right_matrix in float_matrix and out_matrix in float_matrix:
        return product_f32(a.shape[0], b.shape[1], a.shape[1], &a[0, 0], a.strides[0], a.strides[1],
                           &b[0, 0], b.strides[0], b.strides[1], &out[0, 0], out.strides[0], out.strides[1])
    elif left_matrix not in float_matrix and right_matrix not in float_matrix and out_matrix not in float_matrix:
        return product_f64(a.shape[0], b.shape[1], a.shape[1], &a[0, 0], a.strides[0], a.strides[1],
                           &b[0, 0], b.strides[0], b.strides[1], &out[0, 0], out.strides[0], out.strides[1])
    else:
        return mixed()
