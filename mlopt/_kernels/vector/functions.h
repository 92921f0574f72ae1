/* Elementary functions of one vector, for one element type (see simd/real.h). */

MLOPT_INLINE V F(horner)(V x, const T *coefficients, int count)
{
    V sum = F(set1)(coefficients[count - 1]);
    MLOPT_UNROLL_FULLY
    for (int i = count - 2; i >= 0; i--)
        sum = F(fma)(sum, x, F(set1)(coefficients[i]));
    return sum;
}
#define POLY(x, name) F(horner)(x, F(name), MLOPT_COUNT(F(name)))

/* min(x, limit) that keeps a NaN and, unlike the processor's minimum, raises no flag for it */
MLOPT_INLINE V F(at_most)(V x, T limit) { return F(select)(F(lt)(F(set1)(limit), x), F(set1)(limit), x); }

MLOPT_INLINE V F(copysign)(V magnitude, V sign)
{
    const I sign_bit = F(as_int)(F(set1)((T)-0.0));
    return F(from_int)(F(int_or)(F(as_int)(F(abs)(magnitude)), F(int_and)(F(as_int)(sign), sign_bit)));
}

/* exp(r) for |r| <= ln(2)/2 */
MLOPT_INLINE V F(exp_reduced)(V r) { return F(add)(F(fma)(F(mul)(r, r), POLY(r, exp_poly), r), F(set1)(1)); }

/* r = x - n ln 2 */
MLOPT_INLINE V F(exp_remainder)(V x, V n)
{
    return F(fnma)(n, F(set1)(F(LN2_LOW)), F(fnma)(n, F(set1)(F(LN2_HIGH)), x));
}

/* |x| <= EXP_NORMAL or NaN */
MLOPT_INLINE V F(exp_normal)(V x)
{
    const V rounder = F(set1)(F(ROUNDER));
    const V shifted = F(fma)(x, F(set1)((T)1.4426950408889634), rounder);
    const V power = F(exp_reduced)(F(exp_remainder)(x, F(sub)(shifted, rounder)));
    return F(from_int)(F(int_add)(F(as_int)(power), F(int_left)(F(as_int)(shifted))));
}

/* 2^n for a rounded number n in the normal range of exponents */
MLOPT_INLINE V F(power_of_two)(V n)
{
    const I biased = F(int_add)(F(as_int)(F(add)(n, F(set1)(F(ROUNDER)))), F(int_set1)(F(BIAS)));
    return F(from_int)(F(int_left)(biased));
}

/* every x: overflow and underflow scaled in two steps, infinities and NaN kept from raising flags */
static __attribute__((noinline, unused)) V F(exp_any)(V x)
{
    const M finite = F(lt)(F(abs)(x), F(set1)((T)INFINITY));
    const V rounder = F(set1)(F(ROUNDER));
    V y = F(select)(finite, x, F(zero)());
    y = F(max)(F(set1)(F(EXP_LOW)), F(min)(F(set1)(F(EXP_HIGH)), y));
    const V n = F(sub)(F(fma)(y, F(set1)((T)1.4426950408889634), rounder), rounder);
    const V half = F(sub)(F(add)(F(mul)(n, F(set1)((T)0.5)), rounder), rounder);
    const V power = F(exp_reduced)(F(exp_remainder)(y, n));
    const V scaled = F(mul)(F(mul)(power, F(power_of_two)(half)), F(power_of_two)(F(sub)(n, half)));
    return F(select)(finite, scaled, F(select)(F(lt)(x, F(zero)()), F(zero)(), x));
}

MLOPT_INLINE V F(exp)(V x)
{
    const M normal = F(le)(F(abs)(x), F(set1)(F(EXP_NORMAL)));
    if (__builtin_expect(F(bits)(normal) != (1u << (LANES - 1) << 1) - 1, 0))
        return F(exp_any)(x);
    return F(exp_normal)(x);
}

/* x normal, positive, finite; its logarithm, plus k_offset ln 2 if there is an offset */
MLOPT_INLINE V F(log_normal)(V x, const V *k_offset)
{
    const I bias = F(int_left)(F(int_set1)(F(BIAS)));
    const I bits = F(as_int)(x);
    const I above = F(int_add)(F(int_sub)(bits, F(as_int)(F(set1)((T)0.70710678118654752))), bias);
    const I biased = F(int_right)(above); /* k + BIAS, k the exponent of x / sqrt(1/2) */
    const V m = F(from_int)(F(int_add)(F(int_sub)(bits, F(int_left)(biased)), bias));
    const V two = F(set1)(F(TWO_TO_MANTISSA));
    V k = F(sub)(F(from_int)(F(int_or)(biased, F(as_int)(two))), F(set1)(F(TWO_TO_MANTISSA) + F(BIAS)));
    if (k_offset)
        k = F(add)(k, *k_offset);

    const V f = F(sub)(m, F(set1)(1));
    const V s = F(div)(f, F(add)(f, F(set1)(2)));
    const V z = F(mul)(s, s);
    const V series = F(mul)(z, POLY(z, log_poly));
    const V half_square = F(mul)(F(mul)(f, f), F(set1)((T)0.5));
    const V correction = F(fma)(s, F(add)(half_square, series), F(mul)(k, F(set1)(F(LN2_LOW))));
    return F(sub)(F(mul)(k, F(set1)(F(LN2_HIGH))), F(sub)(F(sub)(half_square, correction), f));
}

static __attribute__((noinline, unused)) V F(log_any)(V x)
{
    const V infinity = F(set1)((T)INFINITY);
    const M negative = F(lt)(x, F(zero)()), is_zero = F(eq)(x, F(zero)());
    const M plain = F(mask_and)(F(lt)(F(zero)(), x), F(lt)(x, infinity));
    const M tiny = F(lt)(x, F(set1)(F(MIN_NORMAL)));
    if (F(any)(negative))
        feraiseexcept(FE_INVALID);
    if (F(any)(is_zero))
        feraiseexcept(FE_DIVBYZERO);
    V y = F(select)(plain, x, F(set1)(1));
    y = F(select)(F(mask_and)(tiny, plain), F(mul)(y, F(set1)(F(TWO_TO_MANTISSA))), y);
    const V offset = F(select)(F(mask_and)(tiny, plain), F(set1)((T)(IS_F32 ? -23 : -52)), F(zero)());
    V result = F(select)(plain, F(LOG_NORMAL)(y, &offset), x); /* NaN and inf are themselves */
    result = F(select)(negative, F(set1)((T)NAN), result);
    return F(select)(is_zero, F(neg)(infinity), result);
}

MLOPT_INLINE V F(log)(V x)
{
    const M plain = F(mask_and)(F(le)(F(set1)(F(MIN_NORMAL)), x), F(lt)(x, F(set1)((T)INFINITY)));
    if (__builtin_expect(F(bits)(plain) != (1u << (LANES - 1) << 1) - 1, 0))
        return F(log_any)(x);
    return F(LOG_NORMAL)(x, NULL);
}

/* tanh|x| = e / (e + 2) with e = exp(2|x|) - 1 = (2^n - 1) + 2^n (exp(r) - 1), a sum of two parts: the second holds
 * what rounding the first left, so that nothing is lost down to the smallest x */
MLOPT_INLINE V F(tanh_quotient)(V x)
{
    const V one = F(set1)(1), two = F(set1)(2), rounder = F(set1)(F(ROUNDER));
    const V magnitude = F(at_most)(F(abs)(x), F(TANH_ONE));
    const V y = F(add)(magnitude, magnitude);
    const V shifted = F(fma)(y, F(set1)((T)1.4426950408889634), rounder);
    const V r = F(exp_remainder)(y, F(sub)(shifted, rounder));
    const V curve = F(mul)(F(mul)(r, r), POLY(r, exp_poly));
    const V scale = F(from_int)(F(int_add)(F(as_int)(one), F(int_left)(F(as_int)(shifted))));
    const V whole = F(sub)(scale, one), part = F(add)(r, curve), part_low = F(sub)(curve, F(sub)(part, r));
    const V grown = F(mul)(scale, part), e = F(add)(whole, grown);
    const V low = F(fma)(scale, part_low, F(sub)(grown, F(sub)(e, whole)));
    const V divisor = F(add)(e, two), lost = F(add)(F(sub)(e, F(sub)(divisor, two)), low);
    const V first = F(div)(e, divisor);
    const V inverse = F(mul)(F(sub)(one, first), F(set1)((T)0.5)); /* 1 - e / (e + 2) = 2 / (e + 2) */
    /* near 1 there is nothing to mend, and no digits left in the inverse */
    const V mended = F(fma)(F(fnma)(first, lost, low), inverse, first);
    return F(copysign)(F(select)(F(lt)(e, F(set1)(4096)), mended, first), x);
}

MLOPT_INLINE V F(tanh)(V x) { return F(TANH)(x); }

/* e / (1 + e), e = exp(y), -EXP_NORMAL <= y <= 0: a quotient of some digits, and one step of Newton's for what is left
 * of e when the quotient times 1 + e is taken from it, in which neither sum needs to be rounded */
MLOPT_INLINE V F(sigmoid_tail)(V y)
{
    const V one = F(set1)(1), rounder = F(set1)(F(ROUNDER));
    const V shifted = F(fma)(y, F(set1)((T)1.4426950408889634), rounder);
    const V r = F(exp_remainder)(y, F(sub)(shifted, rounder));
    const V part = F(fma)(F(mul)(r, r), POLY(r, exp_poly), r);
    const V scale = F(from_int)(F(int_add)(F(as_int)(one), F(int_left)(F(as_int)(shifted))));
    const V e = F(fma)(scale, part, scale), inverse = F(inverse)(F(add)(one, e));
    const V quotient = F(mul)(e, inverse);
    const V left = F(fnma)(quotient, e, F(fma)(scale, part, F(sub)(scale, quotient)));
    return F(fma)(left, inverse, quotient);
}

/* every x: beyond EXP_NORMAL the tail is exp(-|x|) */
static __attribute__((noinline, unused)) V F(sigmoid_any)(V x)
{
    const V y = F(neg)(F(abs)(x));
    const M normal = F(le)(F(set1)(-F(EXP_NORMAL)), y);
    const V near = F(sigmoid_tail)(F(select)(normal, y, F(zero)()));
    const V tail = F(select)(normal, near, F(exp_any)(y));
    return F(select)(F(lt)(x, F(zero)()), tail, F(sub)(F(set1)(1), tail));
}

/* the tail, and 1 minus the tail where x >= 0 */
MLOPT_INLINE V F(sigmoid)(V x)
{
    const V y = F(neg)(F(abs)(x));
    const M normal = F(le)(F(set1)(-F(EXP_NORMAL)), y);
    if (__builtin_expect(F(bits)(normal) != (1u << (LANES - 1) << 1) - 1, 0))
        return F(sigmoid_any)(x);
    const V tail = F(sigmoid_tail)(y);
    return F(select)(F(lt)(x, F(zero)()), tail, F(sub)(F(set1)(1), tail));
}

/* exp(-scale z^2) (1 + tiny correction for the rounding of z^2); z in a range where it is normal or 0 */
MLOPT_INLINE V F(exp_minus_square)(V z, T scale)
{
    const V square = F(mul)(z, z);
    const V rest = F(fma_exact)(z, z, F(neg)(square));
    const V e = F(exp)(F(mul)(square, F(set1)(-scale)));
    return F(fnma)(F(mul)(rest, F(set1)(scale)), e, e);
}

/* exp(z^2) erfc(z), z >= 0 */
MLOPT_INLINE V F(erfcx)(V z)
{
    const V shift = F(set1)(F(ERFCX_SHIFT)), one = F(set1)(1);
    const V t = F(div)(F(sub)(z, shift), F(add)(z, shift));
    return F(div)(POLY(t, erfcx_poly), F(add)(one, F(add)(z, z)));
}

MLOPT_INLINE V F(erf)(V x)
{
    const V one = F(set1)(1), magnitude = F(abs)(x);
    const V near = F(at_most)(magnitude, 1);
    const V small = F(fma)(near, POLY(F(mul)(near, near), erf_poly), near);
    const V far = F(at_most)(magnitude, F(ERF_ONE));
    const V large = F(fnma)(F(exp_minus_square)(far, 1), F(erfcx)(far), one);
    return F(copysign)(F(select)(F(lt)(one, magnitude), large, small), x);
}

/* x Phi(x), Phi the normal distribution: the exact form, not the tanh approximation */
MLOPT_INLINE V F(gelu)(V x)
{
    const V magnitude = F(at_most)(F(abs)(x), F(PHI_ZERO));
    const V scaled = F(mul)(magnitude, F(set1)((T)0.70710678118654752));
    const V tail = F(mul)(F(mul)(F(exp_minus_square)(magnitude, (T)0.5), F(erfcx)(scaled)), F(set1)((T)0.5));
    return F(mul)(x, F(select)(F(lt)(x, F(zero)()), tail, F(sub)(F(set1)(1), tail)));
}

MLOPT_INLINE V F(silu)(V x) { return F(mul)(x, F(sigmoid)(x)); }

MLOPT_INLINE V F(relu)(V x) { return F(select)(F(lt)(x, F(zero)()), F(zero)(), x); }
