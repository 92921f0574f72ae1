/* Contract of the nn family: layers of one sample, epilogues of a batch, losses, optimisers.
 *
 * The bodies are activations.h, dense.h, batch.h, losses.h and updates.h (over simd/), compiled once
 * per vector tier and element type by nn.c; reference/nn.c is the scalar form.
 *
 * Layout
 *   A layer's weights w are (inputs, outputs), a row per input, w_row elements from row to row.  w_row
 *   is a multiple of a cache line (64 bytes), and that many elements may be read from every row and from
 *   bias; those behind `outputs` are the padding and hold 0.  outer writes its rows with the padding,
 *   as 0 whatever the factors are.  All other operands are used up to their length and no further.
 *
 * One sample
 *   dense           z = x w + bias, out = f(z).  z may be out; otherwise they may not overlap.
 *   dense_backward  out[i] = f'(saved[i]) sum_j w[i, j] delta[j]
 *   outer           out[i, j] = x[i] delta[j], one rounding
 *
 * A batch; rows of samples, a multiple z_row ... of elements apart
 *   bias_activation      z += bias, out = f(z).  z may be out.
 *   activation_backward  delta *= f'(saved), sums[j] = sum over the rows of the new delta.
 *                        Of a single row, sums may be delta.
 *   f'(saved) takes what is cheapest: the activation's output for identity, relu, tanh and sigmoid, the
 *   sums z before it for gelu and silu.  The derivative of relu at 0 is 0.
 *
 * Losses; the return value is the sum over everything, to be divided by the caller
 *   mse                   (output - target)^2
 *   cross_entropy         sum_j target_j (logsumexp(output) - output_j), output the logits of a row
 *   binary_cross_entropy  max(o, 0) - o t + log(1 + exp(-|o|)), output o the logits
 *   delta, unless NULL, is scale times the gradient: output - target for mse (the 2 belongs to scale),
 *   softmax(output) sum(target) - target, sigmoid(output) - target.  It may be output.
 *
 * Optimisers; one pass over flat vectors, definitions as in torch.optim
 *   adamw  parameter *= decay; first += (gradient - first) beta1_rest; second = beta2 second +
 *          beta2_rest gradient^2; parameter -= step first / (sqrt(second) root_correction + eps)
 *          On the vector tiers a first moment below the normal range becomes 0; so do the second moment,
 *          and gradients whose square is below it, unless eps is so small that they would be seen.
 *   sgd    velocity = momentum velocity + gradient + weight_decay parameter; parameter -= lr velocity.
 *          velocity NULL: no momentum.
 *   Elements that are 0 in all vectors stay 0 (eps > 0).
 *
 * Accuracy (checked in tests/kernels), in eps of the type
 *   Within (8 + terms / 4) eps of the sum of the absolute terms for dense, dense_backward, the sums of
 *   activation_backward and the losses; the reference tier adds one by one: 8 + terms.  Activations and
 *   derivatives within 8 eps of their argument's magnitude plus 1; optimisers within 8 eps of the
 *   magnitudes that enter; outer is rounded once.
 */
#ifndef MLOPT_NN_H
#define MLOPT_NN_H

#include "../simd/simd.h"

/* The struct of an optimiser's numbers. */
#define RATES(optimiser) MLOPT_JOIN3(mlopt_##optimiser##_rates, _, MLOPT_REAL)

/* The body once per activation, each with a constant. */
#define EACH_ACTIVATION(BODY)                                                                                          \
    switch (activation) {                                                                                              \
    case MLOPT_IDENTITY:                                                                                               \
        BODY(MLOPT_IDENTITY) break;                                                                                    \
    case MLOPT_RELU:                                                                                                   \
        BODY(MLOPT_RELU) break;                                                                                        \
    case MLOPT_TANH:                                                                                                   \
        BODY(MLOPT_TANH) break;                                                                                        \
    case MLOPT_SIGMOID:                                                                                                \
        BODY(MLOPT_SIGMOID) break;                                                                                     \
    case MLOPT_GELU:                                                                                                   \
        BODY(MLOPT_GELU) break;                                                                                        \
    case MLOPT_SILU:                                                                                                   \
        BODY(MLOPT_SILU) break;                                                                                        \
    }

/* One line of ones: its first n elements tell the lanes before an end from those behind it. */
static const float f32_ones[16] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
static const double f64_ones[8] = {1, 1, 1, 1, 1, 1, 1, 1};

static inline size_t mlopt_least(size_t a, size_t b) { return a < b ? a : b; }

#endif
