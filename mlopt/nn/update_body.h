/* Penalty, clipping and optimisers for the element type T, over flat vectors. */

/* gradient += l2 weights; the penalty l2/2 sum of squares */
static inline double NETWORK(penalty)(const mlopt_kernels *table, size_t n, double l2, const T *weights, T *gradient)
{
    CALL(axpy)(n, (T)l2, weights, gradient);
    return l2 / 2 * (double)CALL(dot)(n, weights, weights);
}

/* The Euclidean norm becomes `most` where it is larger; returns the norm before. */
static inline double NETWORK(clip)(const mlopt_kernels *table, size_t n, double most, T *gradient)
{
    const double norm = sqrt((double)CALL(dot)(n, gradient, gradient));
    if (norm > most)
        CALL(scale)(n, (T)(most / norm), gradient, gradient);
    return norm;
}

/* Step number t (from 1) of AdamW; moments: first then second, n elements each. */
static inline void NETWORK(adamw)(const mlopt_kernels *table, size_t n, const double *rates, double t,
                                  const T *gradient, T *moments, T *parameters)
{
    const double lr = rates[0], beta1 = rates[1], beta2 = rates[2], eps = rates[3], weight_decay = rates[4];
    const NN_JOIN(mlopt_adamw_rates_, MLOPT_REAL) step = {
        .decay = (T)(1 - lr * weight_decay),
        .beta1_rest = (T)(1 - beta1),
        .beta2 = (T)beta2,
        .beta2_rest = (T)(1 - beta2),
        .step = (T)(lr / (1 - pow(beta1, t))),
        .root_correction = (T)(1 / sqrt(1 - pow(beta2, t))),
        .eps = (T)eps,
    };
    CALL(adamw)(n, &step, gradient, moments, moments + n, parameters);
}

static inline void NETWORK(sgd)(const mlopt_kernels *table, size_t n, const double *rates, const T *gradient,
                                T *velocity, T *parameters)
{
    const NN_JOIN(mlopt_sgd_rates_, MLOPT_REAL) step = {
        .lr = (T)rates[0],
        .momentum = (T)rates[1],
        .weight_decay = (T)rates[2],
        .nesterov = (T)rates[3],
    };
    CALL(sgd)(n, &step, gradient, rates[1] != 0 ? velocity : NULL, parameters);
}
