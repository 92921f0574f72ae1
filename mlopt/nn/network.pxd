# The C side of networks (network.h), declared for Cython.
from libc.stdint cimport uint64_t

from mlopt._kernels.dispatch cimport (
    MLOPT_GELU,
    MLOPT_IDENTITY,
    MLOPT_RELU,
    MLOPT_SIGMOID,
    MLOPT_SILU,
    MLOPT_TANH,
    mlopt_activation,
    mlopt_gemm_blocks,
    mlopt_kernels,
)


cdef extern from "network.h" nogil:
    ctypedef enum mlopt_loss:
        MLOPT_MSE
        MLOPT_CROSS_ENTROPY
        MLOPT_BINARY_CROSS_ENTROPY
        MLOPT_HUBER
    ctypedef enum mlopt_link:
        MLOPT_LINK_NONE
        MLOPT_LINK_SOFTMAX
        MLOPT_LINK_SIGMOID
    ctypedef struct mlopt_objective:
        size_t outputs
        mlopt_loss loss
        mlopt_link link
        double huber_threshold
    ctypedef struct mlopt_layer:
        size_t inputs
        size_t outputs
        size_t row
        size_t weights
        size_t bias
        size_t gain
        size_t shift
        size_t z
        size_t out
        size_t normed
        size_t deviations
        size_t dropped
        double dropout
        bint normalises
        mlopt_activation activation
    ctypedef struct mlopt_network:
        const mlopt_layer *layers
        size_t count
        bint plain
        size_t deltas[2]
        size_t sample
    ctypedef struct mlopt_crew:
        int size
        void (*run)(int count, void (*work)(int i, void *argument) noexcept nogil, void *argument) noexcept nogil
    ctypedef struct mlopt_workspace:
        void *samples
        size_t capacity
        char *product
        size_t product_bytes
        const mlopt_gemm_blocks *blocks
        mlopt_crew crew
    ctypedef struct mlopt_targets:
        const void *values
        size_t row
        const void *weights
        double total
    bint mlopt_keeps_sums(mlopt_activation)
    size_t mlopt_network_product_bytes(const mlopt_network *, const mlopt_gemm_blocks *, size_t, size_t)
    size_t mlopt_network_short_bytes(const mlopt_network *, const mlopt_gemm_blocks *, size_t)

    void mlopt_network_apply_link_f32(const mlopt_kernels *, const mlopt_objective *, size_t, float *)
    void mlopt_network_apply_link_f64(const mlopt_kernels *, const mlopt_objective *, size_t, double *)
    void mlopt_network_predict_f32(const mlopt_kernels *, const mlopt_network *, const mlopt_objective *,
                                   const float *, size_t, const float *, size_t, const mlopt_workspace *, float *)
    void mlopt_network_predict_bf16(const mlopt_kernels *, const mlopt_network *, const mlopt_objective *,
                                    const float *, size_t, const float *, size_t, const mlopt_workspace *, float *)
    void mlopt_network_predict_f64(const mlopt_kernels *, const mlopt_network *, const mlopt_objective *,
                                   const double *, size_t, const double *, size_t, const mlopt_workspace *, double *)
    double mlopt_network_loss_f32(const mlopt_kernels *, const mlopt_network *, const mlopt_objective *,
                                  const float *, size_t, const float *, size_t, const mlopt_targets *,
                                  const mlopt_workspace *)
    double mlopt_network_loss_bf16(const mlopt_kernels *, const mlopt_network *, const mlopt_objective *,
                                   const float *, size_t, const float *, size_t, const mlopt_targets *,
                                   const mlopt_workspace *)
    double mlopt_network_loss_f64(const mlopt_kernels *, const mlopt_network *, const mlopt_objective *,
                                  const double *, size_t, const double *, size_t, const mlopt_targets *,
                                  const mlopt_workspace *)
    double mlopt_network_gradient_f32(const mlopt_kernels *, const mlopt_network *, const mlopt_objective *,
                                      const float *, size_t, const float *, size_t, const mlopt_targets *,
                                      const uint64_t *, const mlopt_workspace *, float *)
    double mlopt_network_gradient_bf16(const mlopt_kernels *, const mlopt_network *, const mlopt_objective *,
                                       const float *, size_t, const float *, size_t, const mlopt_targets *,
                                       const uint64_t *, const mlopt_workspace *, float *)
    double mlopt_network_gradient_f64(const mlopt_kernels *, const mlopt_network *, const mlopt_objective *,
                                      const double *, size_t, const double *, size_t, const mlopt_targets *,
                                      const uint64_t *, const mlopt_workspace *, double *)
    double mlopt_network_penalty_f32(const mlopt_kernels *, size_t, double, const float *, float *)
    double mlopt_network_penalty_f64(const mlopt_kernels *, size_t, double, const double *, double *)
    double mlopt_network_clip_f32(const mlopt_kernels *, size_t, double, float *)
    double mlopt_network_clip_f64(const mlopt_kernels *, size_t, double, double *)
    void mlopt_network_adamw_f32(const mlopt_kernels *, size_t, const double *, double, const float *, float *,
                                 float *)
    void mlopt_network_adamw_f64(const mlopt_kernels *, size_t, const double *, double, const double *, double *,
                                 double *)
    void mlopt_network_sgd_f32(const mlopt_kernels *, size_t, const double *, const float *, float *, float *)
    void mlopt_network_sgd_f64(const mlopt_kernels *, size_t, const double *, const double *, double *, double *)
