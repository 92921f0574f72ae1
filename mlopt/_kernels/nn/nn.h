/* Contract of the nn family: layers of one sample, chains of them, epilogues of a batch, cells of an LSTM, losses,
 * optimisers.
 *
 * The bodies are activations.h, dense.h, packed.h, batch.h, norm.h, cells.h, losses.h and updates.h (over simd/),
 * compiled once per vector tier and element type by nn.c; reference/nn_body.h is the scalar form.
 *
 * Layout
 *   A layer's weights w are (inputs, outputs), a row per input, w_row >= outputs elements from row to row; other
 *   matrices likewise, with a distance of their own.  Every operand is used up to its length, rows up to their columns,
 *   and no further: there is no padding, and what lies between rows is neither read nor written.  Operands are aligned
 *   to their type.  They do not overlap, but where it is said below that one may be another; it then begins where the
 *   other does, and has its distance between rows.
 *
 * One sample
 *   dense           z = x w + bias, out = f(z).  z may be out.
 *   dense_backward  out[i] = f'(saved[i]) sum_j w[i, j] delta[j]
 *   outer           out[i, j] = x[i] delta[j], one rounding
 *
 * A chain of layers for one sample, from weights that are packed once and used many times
 *   packed_plan  lays `count` layers out as steps; returns their number, and in packed_length the elements of packed.
 *                With steps NULL nothing else is written: call it twice.  Weights may lie across, w_column elements
 *                from output to output; bias may be NULL for 0.  Steps point into packed and to the layers' z and out,
 *                which must stay where they are; later changes of w and bias are not seen.
 *   packed_run   all steps, on the tier that planned them: reads x, writes the last layer's result to out, and leaves
 *                what the way back needs: of every layer but the last the outputs at its out, and of all whose z is not
 *                its out the sums at z.  Up to `room` elements at z may be written, those behind the outputs with
 *                anything.  x, out and the layers' memory may not overlap, but that out may be the last layer's.
 *
 * A batch; rows of samples, a multiple z_row ... of elements apart
 *   bias_activation      z += bias, out = f(z).  z may be out.
 *   activation_backward  delta *= f'(saved), sums[j] = sum over the rows of the new delta.
 *                        Of a single row, sums may be delta.
 *   f'(saved) takes what is cheapest: the activation's output for identity, relu, tanh and sigmoid, the
 *   sums z before it for gelu and silu.  The derivative of relu at 0 is 0.
 *   layer_norm           of every row of z + bias: normed = (row - mean) inverse, inverse_deviations[i] = inverse =
 *                        1 / sqrt(mean of (row - mean)^2 + eps); z = gain normed
 *   layer_norm_backward  delta, the gradient of gain normed, becomes that of z + bias: (d - mean(d) - normed
 *                        mean(d normed)) inverse, d = gain delta.  gain_sums[j] = sum over the rows of delta normed,
 *                        bias_sums[j] = sum over the rows of the new delta.
 *   dropout              out = 0 where a hash of key, row and column is below rate, else x / (1 - rate), 0 <= rate < 1.
 *                        Bit by bit the same on every tier; the same key drops the same elements.  out may be x.
 *
 * A time step of an LSTM; gates in the order input i, forget f, value g, output o, 4 hidden elements a row; before,
 * cells and delta_cells are rows of hidden elements without gaps
 *   lstm_cell           gates += bias, then i, f, o = sigmoid, g = tanh of them; cells = f before + i g;
 *                       out = o tanh(cells), and out_too, unless NULL, the same.  cells may be before.
 *   lstm_cell_backward  gates, before and cells as lstm_cell left them.  The gradient of out is delta + delta_too, each
 *                       0 where NULL; that of cells comes in in delta_cells, which becomes that of before;
 *                       delta_gates becomes that of the sums.  delta_gates may be gates.
 *
 * Losses; the return value is the sum over everything, to be divided by the caller
 *   mse                   (output - target)^2
 *   huber                 with d = |output - target|: d^2 / 2 up to the threshold, threshold (d - threshold / 2) above
 *   cross_entropy         sum_j target_j (logsumexp(output) - output_j), output the logits of a row
 *   binary_cross_entropy  max(o, 0) - o t + log(1 + exp(-|o|)), output o the logits
 *   delta, unless NULL, is scale times the gradient: output - target for mse (the 2 belongs to scale), that cut to
 *   +-threshold for huber, softmax(output) sum(target) - target, sigmoid(output) - target.  It may be output.
 *
 * Optimisers; one pass over flat vectors, definitions as in torch.optim
 *   adamw  parameter *= decay; first += (gradient - first) beta1_rest; second = beta2 second +
 *          beta2_rest gradient^2; parameter -= step first / (sqrt(second) root_correction + eps)
 *          On the vector tiers a first moment below the normal range becomes 0; so do the second moment,
 *          and gradients whose square is below it, unless eps is so small that they would be seen.
 *   sgd    g = gradient + weight_decay parameter; velocity = momentum velocity + g; parameter -= lr velocity, or with
 *          nesterov != 0 lr (g + momentum velocity).  velocity NULL: parameter -= lr g.
 *   Elements that are 0 in all vectors stay 0 (eps > 0).
 *
 * Accuracy (checked in tests/kernels), in eps of the type
 *   Within (8 + terms / 4) eps of the sum of the absolute terms for dense, dense_backward, the sums of
 *   activation_backward, layer normalisation and the losses; the reference tier adds one by one: 8 + terms.
 *   Activations, derivatives and gates within 8 eps of their argument's magnitude plus 1; cells and optimisers within
 *   8 eps of the magnitudes that enter; outer is rounded once.
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
