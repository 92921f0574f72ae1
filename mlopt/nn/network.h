/* A chain of dense layers over the kernels of a table: forward, gradient, optimiser step.
 *
 * All parameters stand in one flat vector, layer after layer: the weights (inputs, outputs), the biases and, where a
 * layer normalises its sums, the gains and shifts; each begins on a cache line, and what lies between is 0 and stays 0.
 * Gradients and the optimiser's moments have the same layout, so that a step is one kernel call.
 *
 * A layer: sums x w + bias; layer normalisation of the sums, if any; the activation; in training, dropout.
 *
 * There are three forms of each function: f32 and f64, and bf16, in which all numbers are float32 and the products of a
 * batch round their operands to bfloat16 and add up in float32 (bf16/bf16.h).
 *
 * The functions here allocate nothing, call no Python and check nothing. */
#ifndef MLOPT_NN_NETWORK_H
#define MLOPT_NN_NETWORK_H

#include "bf16/bf16.h"
#include "dispatch.h"
#include "gemm/gemm.h"

#include <math.h>
#include <string.h>

typedef enum mlopt_loss { MLOPT_MSE, MLOPT_CROSS_ENTROPY, MLOPT_BINARY_CROSS_ENTROPY, MLOPT_HUBER } mlopt_loss;
/* What turns the last layer's result into a prediction; losses that take logits skip it. */
typedef enum mlopt_link { MLOPT_LINK_NONE, MLOPT_LINK_SOFTMAX, MLOPT_LINK_SIGMOID } mlopt_link;

#define MLOPT_LAYER_NORM_EPS 1e-5

/* Offsets are in elements: of parameters in the flat vector, of activations in one sample's share of
 * the workspace (times the capacity: where the array of all samples begins). */
typedef struct mlopt_layer {
    size_t inputs, outputs;
    size_t row;                /* elements from row to row of activations */
    size_t weights, bias;      /* in the flat vector, and where the layer normalises */
    size_t gain, shift;        /* these */
    size_t z, out;             /* in the workspace; z is out where only the output is needed later */
    size_t normed, deviations; /* in the workspace, where the layer normalises */
    size_t dropped;            /* in the workspace: out after dropout; out where there is none */
    double dropout;
    int normalises;
    mlopt_activation activation;
} mlopt_layer;

/* What is to be made small, and what a prediction is. */
typedef struct mlopt_objective {
    size_t outputs;
    mlopt_loss loss;
    mlopt_link link;
    double huber_threshold;
} mlopt_objective;

typedef struct mlopt_network {
    const mlopt_layer *layers;
    size_t count;
    int plain;        /* no layer normalises */
    size_t deltas[2]; /* in the workspace: two arrays for gradients of activations, taken in turn */
    size_t sample;    /* elements of workspace per sample */
} mlopt_network;

/* How to run something `count` times, on as many threads. */
typedef struct mlopt_crew {
    int size;
    void (*run)(int count, void (*work)(int i, void *argument), void *argument);
} mlopt_crew;

/* Scratch memory of one call at a time. */
typedef struct mlopt_workspace {
    void *samples; /* mlopt_network.sample elements for each of `capacity` samples */
    size_t capacity;
    char *product;        /* product_bytes for each of the crew */
    size_t product_bytes; /* mlopt_network_product_bytes for as many samples */
    const mlopt_gemm_blocks *blocks;
    mlopt_crew crew;
} mlopt_workspace;

/* Where the part of one of a crew begins, of rows or columns: at a multiple of the unit, and no part but an empty one
 * is smaller.  What is computed of a row or a column does not depend on the part that it is in, so that the result does
 * not depend on the size of the crew: a product takes the same way for a unit as for more (gemm/gemm.h). */
static inline size_t mlopt_part_begin(size_t whole, size_t unit, int i, int count)
{
    return i == count ? whole : whole / unit * (size_t)i / (size_t)count * unit;
}

static inline void mlopt_crew_run(const mlopt_crew *crew, void (*work)(int i, void *argument), void *argument)
{
    if (crew->size > 1)
        crew->run(crew->size, work, argument);
    else
        work(0, argument);
}

/* What a batch is trained on. */
typedef struct mlopt_targets {
    const void *values;  /* rows of the outputs */
    size_t row;          /* elements from row to row */
    const void *weights; /* one a row, or NULL: all 1 */
    double total;        /* the sum of the weights */
} mlopt_targets;

/* The derivative of gelu and silu needs what went in, that of the others only what came out. */
static inline int mlopt_keeps_sums(mlopt_activation activation)
{
    return activation == MLOPT_GELU || activation == MLOPT_SILU;
}

/* The most that the products of one layer need in bfloat16, forward and back. */
static inline size_t mlopt_short_product_bytes(const mlopt_gemm_blocks *blocks, size_t rows, size_t inputs,
                                               size_t outputs)
{
    const size_t forward = mlopt_bf16_workspace_bytes(blocks, rows, outputs, inputs, 0);
    const size_t weights = mlopt_bf16_workspace_bytes(blocks, inputs, outputs, rows, 0);
    const size_t back = mlopt_bf16_workspace_bytes(blocks, rows, inputs, outputs, 0);
    return mlopt_gemm_most(mlopt_gemm_most(forward, weights), back);
}

/* The most that the products of one layer need, forward and back. */
static inline size_t mlopt_product_bytes(const mlopt_gemm_blocks *blocks, size_t element_bytes, size_t rows,
                                         size_t inputs, size_t outputs)
{
    const size_t forward = mlopt_gemm_workspace_bytes(blocks, element_bytes, rows, outputs, inputs);
    const size_t weights = mlopt_gemm_workspace_bytes(blocks, element_bytes, inputs, outputs, rows);
    const size_t back = mlopt_gemm_workspace_bytes(blocks, element_bytes, rows, inputs, outputs);
    return mlopt_gemm_most(mlopt_gemm_most(forward, weights), back);
}

/* The most that any matrix product of a step with so many samples needs. */
static inline size_t mlopt_network_product_bytes(const mlopt_network *network, const mlopt_gemm_blocks *blocks,
                                                 size_t element_bytes, size_t rows)
{
    size_t most = 0;
    for (size_t i = 0; i < network->count; i++) {
        const mlopt_layer *const l = network->layers + i;
        most = mlopt_gemm_most(most, mlopt_product_bytes(blocks, element_bytes, rows, l->inputs, l->outputs));
    }
    return most;
}

/* The same in bfloat16. */
static inline size_t mlopt_network_short_bytes(const mlopt_network *network, const mlopt_gemm_blocks *blocks,
                                               size_t rows)
{
    size_t most = 0;
    for (size_t i = 0; i < network->count; i++)
        most = mlopt_gemm_most(
            most, mlopt_short_product_bytes(blocks, rows, network->layers[i].inputs, network->layers[i].outputs));
    return most;
}

/* The key of the dropout in one layer of one step. */
static inline uint64_t mlopt_dropout_key(uint64_t seed, uint64_t step, uint64_t layer)
{
    uint64_t h = seed + 0x9e3779b97f4a7c15u * ((step << 32) + layer + 1);
    h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9u;
    h = (h ^ h >> 27) * 0x94d049bb133111ebu;
    return h ^ h >> 31;
}

#define NN_JOIN_(a, b) a##b
#define NN_JOIN(a, b) NN_JOIN_(a, b)
#define CALL(kernel) table->NN_JOIN(kernel##_, MLOPT_REAL)
#define NETWORK(name) NN_JOIN(mlopt_network_##name##_, MLOPT_FORM)
/* Where the workspace holds the array of all samples that has this offset. */
#define AT(offset) ((T *)workspace->samples + (offset) * workspace->capacity)

#define T float
#define MLOPT_REAL f32
#define MLOPT_FORM f32
#define MLOPT_SHORT 0
#include "objective_body.h"
#include "network_body.h"
#include "update_body.h"
#undef MLOPT_FORM
#undef MLOPT_SHORT

#define MLOPT_FORM bf16
#define MLOPT_SHORT 1
#include "objective_body.h"
#include "network_body.h"
#undef T
#undef MLOPT_REAL
#undef MLOPT_FORM
#undef MLOPT_SHORT

#define T double
#define MLOPT_REAL f64
#define MLOPT_FORM f64
#define MLOPT_SHORT 0
#include "objective_body.h"
#include "network_body.h"
#include "update_body.h"
#undef T
#undef MLOPT_REAL
#undef MLOPT_FORM
#undef MLOPT_SHORT

#undef AT
#undef CALL
#undef NETWORK

#endif
