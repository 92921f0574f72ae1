# The C side of sparse products, declared for Cython.
from libc.stdint cimport int32_t, int64_t

from mlopt._kernels.dispatch cimport mlopt_kernels
from mlopt.sparse.compressed cimport mlopt_csr


cdef extern from "calls.h" nogil:
    ctypedef struct mlopt_sell:
        size_t rows
        size_t slices
        const size_t *start
    ctypedef struct mlopt_sparse_types:
        const mlopt_kernels *table
        bint is_f64
        bint is_long
    void mlopt_call_spmv(const mlopt_sparse_types *, const mlopt_csr *, size_t first, size_t last, const void *x,
                         void *y)
    void mlopt_call_spmv_transposed(const mlopt_sparse_types *, const mlopt_csr *, size_t first, size_t last,
                                    const void *x, void *y)
    void mlopt_call_spmm(const mlopt_sparse_types *, const mlopt_csr *, size_t first, size_t last, size_t n,
                         const void *b, size_t b_row, void *c, size_t c_row)
    void mlopt_call_spmm_transposed(const mlopt_sparse_types *, const mlopt_csr *, size_t first, size_t last, size_t n,
                                    const void *b, size_t b_row, void *c, size_t c_row)
    void mlopt_call_sampled(const mlopt_sparse_types *, const mlopt_csr *, size_t first, size_t last, size_t length,
                            const void *u, size_t u_row, const void *v, size_t v_row, void *out)
    size_t mlopt_call_spgemm(const mlopt_sparse_types *, const mlopt_csr *, size_t first, size_t last,
                             const mlopt_csr *b, void *scratch, size_t *ends, void *indices, void *values)
    void mlopt_call_sell(const mlopt_sparse_types *, const mlopt_sell *, size_t first, size_t last, const void *x,
                         void *y)
    void mlopt_call_transpose(const mlopt_sparse_types *, size_t rows, size_t columns, const void *x, size_t x_row,
                              void *out, size_t out_row)
    size_t mlopt_call_count_nonzero(const mlopt_sparse_types *, size_t n, const void *x)
    size_t mlopt_call_count_nonfinite(const mlopt_sparse_types *, size_t n, const void *x)
    size_t mlopt_call_store_nonzero(const mlopt_sparse_types *, size_t n, const void *x, int32_t *columns,
                                    void *values)
    size_t mlopt_row_start(const mlopt_csr *, bint is_long, size_t i)
    size_t mlopt_column(const mlopt_csr *, bint is_long, size_t k)
    size_t mlopt_share_rows(const mlopt_csr *, bint is_long, size_t part, size_t parts)
    size_t mlopt_share_slices(const mlopt_sell *, size_t part, size_t parts)
    size_t mlopt_spgemm_scratch_bytes(size_t element_bytes, size_t columns)
    # slices.h
    void mlopt_slices_count(const mlopt_csr *, int index_bytes, size_t *rows, size_t *elements)
    size_t mlopt_slices_bytes(size_t rows, size_t elements, size_t element_bytes)
    mlopt_sell mlopt_slices_make(const mlopt_csr *, int index_bytes, size_t element_bytes, size_t rows,
                                 size_t elements, void *block, int64_t *long_rows)
