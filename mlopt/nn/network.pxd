# The C side of a network (network.h), declared for Cython.
from mlopt._kernels.dispatch cimport mlopt_gemm_blocks, mlopt_kernels


cdef extern from "signatures.h" nogil:
    ctypedef enum mlopt_activation:
        MLOPT_IDENTITY
        MLOPT_RELU
        MLOPT_TANH
        MLOPT_SIGMOID
        MLOPT_GELU
        MLOPT_SILU


cdef extern from "network.h" nogil:
    ctypedef enum mlopt_loss:
        MLOPT_MSE
        MLOPT_CROSS_ENTROPY
        MLOPT_BINARY_CROSS_ENTROPY
    ctypedef enum mlopt_link:
        MLOPT_LINK_NONE
        MLOPT_LINK_SOFTMAX
        MLOPT_LINK_SIGMOID
    ctypedef struct mlopt_layer:
        size_t inputs
        size_t outputs
        size_t row
        size_t weights
        size_t bias
        size_t z
        size_t out
        mlopt_activation activation
    ctypedef struct mlopt_network:
        const mlopt_layer *layers
        size_t count
        mlopt_loss loss
        mlopt_link link
        size_t deltas[2]
        size_t targets
        size_t sample
    ctypedef struct mlopt_workspace:
        void *samples
        size_t capacity
        void *product
        const mlopt_gemm_blocks *blocks
    bint mlopt_keeps_sums(mlopt_activation)
    size_t mlopt_network_product_bytes(const mlopt_network *, const mlopt_gemm_blocks *, size_t, size_t)

    void mlopt_network_predict_f32(const mlopt_kernels *, const mlopt_network *, const float *, size_t, const float *,
                                   const mlopt_workspace *, float *)
    void mlopt_network_predict_f64(const mlopt_kernels *, const mlopt_network *, const double *, size_t,
                                   const double *, const mlopt_workspace *, double *)
    double mlopt_network_loss_f32(const mlopt_kernels *, const mlopt_network *, const float *, size_t, const float *,
                                  const float *, size_t, const mlopt_workspace *)
    double mlopt_network_loss_f64(const mlopt_kernels *, const mlopt_network *, const double *, size_t,
                                  const double *, const double *, size_t, const mlopt_workspace *)
    double mlopt_network_gradient_f32(const mlopt_kernels *, const mlopt_network *, const float *, size_t,
                                      const float *, const float *, size_t, const mlopt_workspace *, float *)
    double mlopt_network_gradient_f64(const mlopt_kernels *, const mlopt_network *, const double *, size_t,
                                      const double *, const double *, size_t, const mlopt_workspace *, double *)
    void mlopt_network_adamw_f32(const mlopt_kernels *, size_t, const double *, double, const float *, float *,
                                 float *)
    void mlopt_network_adamw_f64(const mlopt_kernels *, size_t, const double *, double, const double *, double *,
                                 double *)
    void mlopt_network_sgd_f32(const mlopt_kernels *, size_t, const double *, const float *, float *, float *)
    void mlopt_network_sgd_f64(const mlopt_kernels *, size_t, const double *, const double *, double *, double *)
