# The C side of LSTMs (lstm.h), declared for Cython.
from libc.stdint cimport uint64_t

from mlopt._kernels.dispatch cimport mlopt_gemm_blocks, mlopt_kernels
from mlopt.nn.network cimport mlopt_network, mlopt_objective, mlopt_targets, mlopt_workspace


cdef extern from "lstm.h" nogil:
    ctypedef struct mlopt_lstm_layer:
        size_t inputs
        size_t hidden
        size_t width
        size_t weights
        size_t bias
        size_t joined
        size_t gates
        size_t cells
        double dropout
    ctypedef struct mlopt_lstm:
        const mlopt_lstm_layer *layers
        size_t count
        size_t inputs
        size_t hidden
        mlopt_network head
        size_t tops
        size_t light
        size_t full
        size_t deltas
        size_t widest
        size_t truncate
    ctypedef struct mlopt_lstm_workspace:
        mlopt_workspace at
        void *series
        void *carried
        void *packed
        size_t rows
        size_t steps
        bint every
    size_t mlopt_lstm_carried_elements(const mlopt_lstm *, size_t, size_t, int)
    size_t mlopt_lstm_packed_elements(const mlopt_lstm *)
    size_t mlopt_lstm_short_elements(const mlopt_lstm *, size_t, size_t, int)
    size_t mlopt_lstm_short_packed_elements(const mlopt_lstm *)
    size_t mlopt_lstm_short_bytes(const mlopt_lstm *, const mlopt_gemm_blocks *, size_t)
    size_t mlopt_lstm_product_bytes(const mlopt_lstm *, const mlopt_gemm_blocks *, size_t, size_t)

    void mlopt_lstm_predict_f32(const mlopt_kernels *, const mlopt_lstm *, const mlopt_objective *, const float *,
                                const float *, const mlopt_lstm_workspace *, float *)
    void mlopt_lstm_predict_bf16(const mlopt_kernels *, const mlopt_lstm *, const mlopt_objective *, const float *,
                                 const float *, const mlopt_lstm_workspace *, float *)
    void mlopt_lstm_predict_f64(const mlopt_kernels *, const mlopt_lstm *, const mlopt_objective *, const double *,
                                const double *, const mlopt_lstm_workspace *, double *)
    double mlopt_lstm_loss_f32(const mlopt_kernels *, const mlopt_lstm *, const mlopt_objective *, const float *,
                               const float *, const mlopt_targets *, const mlopt_lstm_workspace *)
    double mlopt_lstm_loss_bf16(const mlopt_kernels *, const mlopt_lstm *, const mlopt_objective *, const float *,
                                const float *, const mlopt_targets *, const mlopt_lstm_workspace *)
    double mlopt_lstm_loss_f64(const mlopt_kernels *, const mlopt_lstm *, const mlopt_objective *, const double *,
                               const double *, const mlopt_targets *, const mlopt_lstm_workspace *)
    double mlopt_lstm_gradient_f32(const mlopt_kernels *, const mlopt_lstm *, const mlopt_objective *, const float *,
                                   const float *, const mlopt_targets *, const uint64_t *,
                                   const mlopt_lstm_workspace *, float *)
    double mlopt_lstm_gradient_bf16(const mlopt_kernels *, const mlopt_lstm *, const mlopt_objective *, const float *,
                                    const float *, const mlopt_targets *, const uint64_t *,
                                    const mlopt_lstm_workspace *, float *)
    double mlopt_lstm_gradient_f64(const mlopt_kernels *, const mlopt_lstm *, const mlopt_objective *, const double *,
                                   const double *, const mlopt_targets *, const uint64_t *,
                                   const mlopt_lstm_workspace *, double *)
