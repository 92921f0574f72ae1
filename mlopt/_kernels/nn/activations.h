/* Activations of one vector and their derivatives, for one element type (see simd/real.h). */

/* relu and no activation at all: a floor of 0 and of -infinity; a NaN stays one */
MLOPT_INLINE V F(at_least)(V z, V floor) { return F(max)(floor, z); }

MLOPT_INLINE V F(activate)(V z, mlopt_activation activation)
{
    switch (activation) {
    case MLOPT_RELU:
        return F(relu)(z);
    case MLOPT_TANH:
        return F(tanh)(z);
    case MLOPT_SIGMOID:
        return F(sigmoid)(z);
    case MLOPT_GELU:
        return F(gelu)(z);
    case MLOPT_SILU:
        return F(silu)(z);
    default:
        return z;
    }
}

/* Phi(x) + x phi(x) */
MLOPT_INLINE V F(gelu_slope)(V x)
{
    const V magnitude = F(at_most)(F(abs)(x), F(PHI_ZERO)), one = F(set1)(1);
    const V e = F(exp_minus_square)(magnitude, (T)0.5);
    const V scaled = F(mul)(magnitude, F(set1)((T)0.70710678118654752));
    const V tail = F(mul)(F(mul)(e, F(erfcx)(scaled)), F(set1)((T)0.5));
    const V cumulative = F(select)(F(lt)(x, F(zero)()), tail, F(sub)(one, tail));
    const V density = F(mul)(e, F(set1)((T)0.39894228040143268));
    return F(fma)(F(copysign)(magnitude, x), density, cumulative);
}

/* s + x s (1 - s), s = sigmoid(x); where |x| is so large that s is 0 or 1, so is this */
MLOPT_INLINE V F(silu_slope)(V x)
{
    const V s = F(sigmoid)(x), one = F(set1)(1);
    const V near = F(copysign)(F(at_most)(F(abs)(x), F(EXP_NORMAL)), x);
    return F(fma)(F(mul)(near, s), F(sub)(one, s), s);
}

/* delta f'(saved); saved is the output, for gelu and silu the input */
MLOPT_INLINE V F(slope)(V delta, V saved, mlopt_activation activation)
{
    const V one = F(set1)(1);
    switch (activation) {
    case MLOPT_RELU:
        return F(select)(F(le)(saved, F(zero)()), F(zero)(), delta);
    case MLOPT_TANH:
        return F(mul)(delta, F(fnma)(saved, saved, one));
    case MLOPT_SIGMOID:
        return F(mul)(delta, F(mul)(saved, F(sub)(one, saved)));
    case MLOPT_GELU:
        return F(mul)(delta, F(gelu_slope)(saved));
    case MLOPT_SILU:
        return F(mul)(delta, F(silu_slope)(saved));
    default:
        return delta;
    }
}

/* A whole vector, or as much as is left; lanes behind the end hold 0, which nothing here objects to. */
MLOPT_INLINE V F(load_left)(const T *p, size_t left) { return left < LANES ? F(load_first)(p, left) : F(load)(p); }

MLOPT_INLINE void F(store_left)(T *p, size_t left, V v)
{
    if (left < LANES)
        F(store_first)(p, left, v);
    else
        F(store)(p, v);
}
