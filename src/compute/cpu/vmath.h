/* SPDX-License-Identifier: MIT */
/* vmath.h - 2^x and GELU on vectors, once for every instruction set (include a simd_*.h first).
 *
 * Minimax fits in the relative error, found by iteratively reweighted least squares; tests/compute/test_cpu_math.c walks the whole range
 * of both. LOW_PRECISION versions are for results that are rounded to bf16 (relative 2^-9 = 2e-3) at once. */
#ifndef LIMBER_VMATH_H
#define LIMBER_VMATH_H

#define V_EACH 8

/* p = p * x + c */
#define HORNER(p, x, c) p = vf_fma(p, x, vf_set1(c))

/* 2^x of `n` <= V_EACH vectors, step by step for all: a step waits 4 cycles for the one before, and as many as a scheduler holds of the
 * next vector's are then of no use in it.
 *
 * 2^x for x <= 126; below -125 the result stays 2^-125 (2.4e-38: nothing beside the 1 that every softmax row contains).
 * Relative error 1.2e-7; LOW_PRECISION 1.1e-4. NaN gives NaN. */
ALWAYS_INLINE void v_exp2_each(vf *y, const vf *x, const int n)
{
    static const float low[] = {0.0550089218f, 0.242210969f, 0.693282902f, 1}, /* from the highest power down */
        full[] = {0.00015353362f, 0.0013398875f, 0.00961843692f, 0.0555033237f, 0.240226477f, 0.693147182f, 1};
    const float *const c = LOW_PRECISION ? low : full;
    const int terms = LOW_PRECISION ? 4 : 7;
    vf r[V_EACH], f[V_EACH];
    UNROLL
    for (int i = 0; i < n; i++)
        f[i] = vf_max(vf_set1(-125), x[i]);
    UNROLL
    for (int i = 0; i < n; i++)
        r[i] = vf_round(f[i]);
    UNROLL
    for (int i = 0; i < n; i++)
        f[i] = vf_sub(f[i], r[i]);
    UNROLL
    for (int i = 0; i < n; i++)
        y[i] = vf_set1(c[0]);
    UNROLL
    for (int k = 1; k < terms; k++)
        UNROLL
    for (int i = 0; i < n; i++)
        y[i] = vf_fma(y[i], f[i], vf_set1(c[k]));
    UNROLL
    for (int i = 0; i < n; i++)
        y[i] = vf_exp2i(y[i], r[i]);
}
ALWAYS_INLINE vf v_exp2(vf x)
{
    vf y;
    v_exp2_each(&y, &x, 1);
    return y;
}

/* GELU, x Phi(x).
 *
 * Full: max(x, 0) - |x| Phi(-|x|) with Phi(-z) = exp(-z^2/2) t Q(t), t = 1 / (1 + p z / sqrt 2). The form keeps the negative
 * tail, which 0.5 x (1 + erf(x / sqrt 2)) loses to cancellation from x = -4 on. Absolute error 3e-7 |x| at most, and 6e-6
 * relative down to x = -10; below -14 it is -3e-37 or less. +inf gives inf, -inf about 0.
 *
 * LOW_PRECISION: x (1/2 + y P(y^2)) with y = x held within +-4.25, where P is made to end at exactly 1/2 / y. Absolute error
 * 6e-5 (the true tail beyond -4.25 is that small) + 2e-6 |x|, and 6e-4 relative above x = -2: below bf16's 2e-3. 14 instructions
 * instead of 27; fc1 with it runs at 0.95 of fc1 without (the full form: 0.86).
 *
 * NaN gives NaN; LOW_PRECISION also for -inf, as 0.5 x (1 + erf) does. */
ALWAYS_INLINE vf v_gelu(vf x)
{
#if LOW_PRECISION
    vf y = vf_min(vf_set1(4.25f), vf_max(vf_set1(-4.25f), x)), t = vf_mul(y, y), p = vf_set1(6.76080372e-11f);
    HORNER(p, t, -6.3322485e-09f);
    HORNER(p, t, 2.60816989e-07f);
    HORNER(p, t, -6.29694523e-06f);
    HORNER(p, t, 0.000100876357f);
    HORNER(p, t, -0.00115744909f);
    HORNER(p, t, 0.0099960519f);
    HORNER(p, t, -0.0666726083f);
    HORNER(p, t, 0.399114162f);
    return vf_fma(vf_mul(x, y), p, vf_mul(x, vf_set1(0.5f)));
#else
    vf z = vf_min(vf_set1(14), vf_abs(x)); /* NaN stays: the second operand is taken */
    vf e = v_exp2(vf_mul(vf_mul(z, z), vf_set1(-0.72134752f)));
    vf t = vf_div(vf_set1(1), vf_fma(z, vf_set1(0.29698485f), vf_set1(1))); /* p / sqrt 2, p = 0.42 */
    vf q = vf_set1(0.0355559401f);
    HORNER(q, t, -0.161991224f);
    HORNER(q, t, 0.223601818f);
    HORNER(q, t, -0.068327345f);
    HORNER(q, t, 0.136028185f);
    HORNER(q, t, 0.0968484432f);
    HORNER(q, t, 0.119877689f);
    HORNER(q, t, 0.118406415f);
    return vf_sub(vf_max(vf_set1(0), x), vf_mul(vf_mul(z, e), vf_mul(t, q)));
#endif
}

#endif
