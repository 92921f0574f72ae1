/* Optimiser steps over flat vectors, for one element type. */

#ifndef MLOPT_LEAST_ROOT
#define MLOPT_LEAST_ROOT
#define f32_LEAST_ROOT 0x1p-63f /* its square is the least normal number */
#define f64_LEAST_ROOT 0x1p-511
#define f32_NEGLIGIBLE_ROOT 0x1p-40f /* an eps beside which that root vanishes */
#define f64_NEGLIGIBLE_ROOT 0x1p-455
#endif

/* x, or 0 where it is smaller than the limit.  What has decayed below the normal range moves no parameter,
 * but computing with it is many times slower. */
MLOPT_INLINE V F(unless_tiny)(V x, V limit) { return F(select)(F(lt)(F(abs)(x), limit), F(zero)(), x); }

MLOPT_INLINE void F(adamw_vector)(size_t left, const RATES(adamw) *r, const T *gradient, T *first, T *second,
                                  T *parameter)
{
    const V least = F(set1)(F(MIN_NORMAL));
    /* sqrt(second) below the root of the least normal number counts for nothing beside any eps but the tiniest */
    const V least_root = F(set1)(r->eps > F(NEGLIGIBLE_ROOT) ? F(LEAST_ROOT) : 0);
    const V least_second = F(mul)(least_root, least_root);
    const V g = F(load_left)(gradient, left), root = F(unless_tiny)(g, least_root);
    V m = F(load_left)(first, left), v = F(load_left)(second, left), p = F(load_left)(parameter, left);
    m = F(unless_tiny)(F(fma)(F(sub)(g, m), F(set1)(r->beta1_rest), m), least);
    v = F(fma)(F(mul)(root, root), F(set1)(r->beta2_rest), F(mul)(v, F(set1)(r->beta2)));
    v = F(unless_tiny)(v, least_second);
    p = F(mul)(p, F(set1)(r->decay));
    const V size = F(fma)(F(sqrt)(v), F(set1)(r->root_correction), F(set1)(r->eps));
    p = F(fnma)(F(set1)(r->step), F(div)(m, size), p);
    F(store_left)(first, left, m);
    F(store_left)(second, left, v);
    F(store_left)(parameter, left, p);
}

void K(adamw)(size_t n, const RATES(adamw) *rates, const T *gradient, T *first, T *second, T *parameter)
{
    const RATES(adamw) r = *rates;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        F(adamw_vector)(LANES, &r, gradient + i, first + i, second + i, parameter + i);
    if (i < n)
        F(adamw_vector)(n - i, &r, gradient + i, first + i, second + i, parameter + i);
}

MLOPT_INLINE void F(sgd_vector)(size_t left, const RATES(sgd) *r, const T *gradient, T *velocity, T *parameter)
{
    const int nesterov = r->nesterov != 0;
    V p = F(load_left)(parameter, left);
    V step = F(fma)(p, F(set1)(r->weight_decay), F(load_left)(gradient, left));
    if (velocity) {
        const V changed = F(fma)(F(load_left)(velocity, left), F(set1)(r->momentum), step);
        F(store_left)(velocity, left, changed);
        step = nesterov ? F(fma)(changed, F(set1)(r->momentum), step) : changed;
    }
    F(store_left)(parameter, left, F(fnma)(F(set1)(r->lr), step, p));
}

void K(sgd)(size_t n, const RATES(sgd) *rates, const T *gradient, T *velocity, T *parameter)
{
    const RATES(sgd) r = *rates;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        F(sgd_vector)(LANES, &r, gradient + i, velocity ? velocity + i : NULL, parameter + i);
    if (i < n)
        F(sgd_vector)(n - i, &r, gradient + i, velocity ? velocity + i : NULL, parameter + i);
}
