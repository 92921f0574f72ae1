/* Losses of rows of outputs, and what makes predictions of them, for the element type T. */

/* Predictions from what the last layer put out, in place. */
static inline void NETWORK(apply_link)(const mlopt_kernels *table, const mlopt_objective *objective, size_t rows,
                                       T *out)
{
    const size_t outputs = objective->outputs;
    if (objective->link == MLOPT_LINK_SOFTMAX)
        for (size_t i = 0; i < rows; i++)
            CALL(softmax)(outputs, out + i * outputs, out + i * outputs);
    else if (objective->link == MLOPT_LINK_SIGMOID)
        CALL(sigmoid)(rows * outputs, out, out);
}

/* The loss of some rows; delta, unless NULL, becomes `scale` times its gradient. */
static inline double NETWORK(loss_of_rows)(const mlopt_kernels *table, const mlopt_objective *objective, size_t rows,
                                           const T *output, size_t output_row, const T *target, size_t target_row,
                                           double scale, T *delta, size_t delta_row)
{
    const size_t outputs = objective->outputs;
    switch (objective->loss) {
    case MLOPT_CROSS_ENTROPY:
        return CALL(cross_entropy)(rows, outputs, output, output_row, target, target_row, (T)scale, delta, delta_row);
    case MLOPT_BINARY_CROSS_ENTROPY:
        return CALL(binary_cross_entropy)(rows, outputs, output, output_row, target, target_row, (T)scale, delta,
                                          delta_row);
    case MLOPT_HUBER:
        return CALL(huber)(rows, outputs, output, output_row, target, target_row, (T)objective->huber_threshold,
                           (T)scale, delta, delta_row);
    default:
        return CALL(mse)(rows, outputs, output, output_row, target, target_row, (T)(2 * scale), delta, delta_row);
    }
}

/* The weighted mean loss of results that forward left; delta, unless NULL, becomes its gradient. */
static inline double NETWORK(loss_of)(const mlopt_kernels *table, const mlopt_objective *objective, size_t rows,
                                      const T *output, size_t output_row, const mlopt_targets *targets, T *delta,
                                      size_t delta_row)
{
    const size_t outputs = objective->outputs, row = targets->row;
    const double terms = objective->loss == MLOPT_CROSS_ENTROPY ? targets->total : targets->total * (double)outputs;
    const T *const values = targets->values, *const weights = targets->weights;
    if (!weights)
        return NETWORK(loss_of_rows)(table, objective, rows, output, output_row, values, row, 1 / terms, delta,
                                     delta_row) /
               terms;
    double sum = 0;
    for (size_t i = 0; i < rows; i++) {
        const double weight = (double)weights[i];
        sum +=
            weight * NETWORK(loss_of_rows)(table, objective, 1, output + i * output_row, output_row, values + i * row,
                                           row, weight / terms, delta ? delta + i * delta_row : NULL, delta_row);
    }
    return sum / terms;
}
