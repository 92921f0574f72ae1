/* A multilayer perceptron over the kernels of a table: forward, gradient, optimiser step.
 *
 * All parameters stand in one flat vector, layer after layer: the weights (inputs, outputs) with rows
 * padded to whole cache lines, then the biases padded likewise.  Gradients and the optimiser's moments
 * have the same layout, so that a step is one kernel call.  Padding is 0 everywhere and stays 0.
 *
 * The functions here allocate nothing, call no Python and check nothing. */
#ifndef MLOPT_NN_NETWORK_H
#define MLOPT_NN_NETWORK_H

#include "dispatch.h"
#include "gemm/gemm.h"

#include <math.h>
#include <string.h>

typedef enum mlopt_loss { MLOPT_MSE, MLOPT_CROSS_ENTROPY, MLOPT_BINARY_CROSS_ENTROPY } mlopt_loss;
/* What turns the last layer's result into a prediction; losses that take logits skip it. */
typedef enum mlopt_link { MLOPT_LINK_NONE, MLOPT_LINK_SOFTMAX, MLOPT_LINK_SIGMOID } mlopt_link;

/* Offsets are in elements: of parameters in the flat vector, of activations in one sample's share of
 * the workspace (times the capacity: where the array of all samples begins). */
typedef struct mlopt_layer {
    size_t inputs, outputs;
    size_t row;           /* elements from row to row of weights and activations */
    size_t weights, bias; /* in the flat vector */
    size_t z, out;        /* in the workspace; z is out where only the output is needed later */
    mlopt_activation activation;
} mlopt_layer;

typedef struct mlopt_network {
    const mlopt_layer *layers;
    size_t count;
    mlopt_loss loss;
    mlopt_link link;
    size_t deltas[2]; /* in the workspace: two arrays for gradients of activations, taken in turn */
    size_t targets;   /* in the workspace: one-hot rows of the last layer's row length */
    size_t sample;    /* elements of workspace per sample */
} mlopt_network;

/* Scratch memory of one call at a time. */
typedef struct mlopt_workspace {
    void *samples; /* mlopt_network.sample elements for each of `capacity` samples */
    size_t capacity;
    void *product; /* mlopt_network_product_bytes for as many samples */
    const mlopt_gemm_blocks *blocks;
} mlopt_workspace;

/* The derivative of gelu and silu needs what went in, that of the others only what came out. */
static inline int mlopt_keeps_sums(mlopt_activation activation)
{
    return activation == MLOPT_GELU || activation == MLOPT_SILU;
}

/* The most that any matrix product of a step with so many samples needs; a single sample needs none. */
static inline size_t mlopt_network_product_bytes(const mlopt_network *network, const mlopt_gemm_blocks *blocks,
                                                 size_t element_bytes, size_t rows)
{
    size_t most = 0;
    for (const mlopt_layer *l = network->layers; rows > 1 && l < network->layers + network->count; l++) {
        const size_t bytes[3] = {
            mlopt_gemm_workspace_bytes(blocks, element_bytes, rows, l->outputs, l->inputs),
            mlopt_gemm_workspace_bytes(blocks, element_bytes, l->inputs, l->outputs, rows),
            mlopt_gemm_workspace_bytes(blocks, element_bytes, rows, l->inputs, l->outputs),
        };
        for (int i = 0; i < 3; i++)
            most = bytes[i] > most ? bytes[i] : most;
    }
    return most;
}

#define NN_JOIN_(a, b) a##b
#define NN_JOIN(a, b) NN_JOIN_(a, b)
#define CALL(kernel) table->NN_JOIN(kernel##_, MLOPT_REAL)
#define NETWORK(name) NN_JOIN(mlopt_network_##name##_, MLOPT_REAL)
/* Where the workspace holds the array of all samples that has this offset. */
#define AT(offset) ((T *)workspace->samples + (offset) * workspace->capacity)

#define T float
#define MLOPT_REAL f32
#include "network_body.h"
#undef T
#undef MLOPT_REAL

#define T double
#define MLOPT_REAL f64
#include "network_body.h"
#undef T
#undef MLOPT_REAL

#undef AT
#undef CALL
#undef NETWORK

#endif
