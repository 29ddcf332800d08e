/* vmath.h - 2^x and GELU on vectors, once for every instruction set (include a simd_*.h first).
 *
 * Minimax fits in the relative error, found by iteratively reweighted least squares; tests/test_cpu_math.c walks the whole range
 * of both. LOW_PRECISION versions are for results that are rounded to bf16 (relative 2^-9 = 2e-3) at once. */
#ifndef LIMBER_VMATH_H
#define LIMBER_VMATH_H

/* p = p * x + c */
#define HORNER(p, x, c) p = vf_fma(p, x, vf_set1(c))

/* 2^x for x <= 126; below -125 the result stays 2^-125 (2.4e-38: nothing beside the 1 that every softmax row contains).
 * Relative error 1.2e-7; LOW_PRECISION 1.1e-4. NaN gives NaN. */
ALWAYS_INLINE vf v_exp2(vf x)
{
    x = vf_max(vf_set1(-125), x);
    vf r = vf_round(x), f = vf_sub(x, r), p;
    if (LOW_PRECISION) {
        p = vf_set1(0.0550089218f);
        HORNER(p, f, 0.242210969f);
        HORNER(p, f, 0.693282902f);
    } else {
        p = vf_set1(0.00015353362f);
        HORNER(p, f, 0.0013398875f);
        HORNER(p, f, 0.00961843692f);
        HORNER(p, f, 0.0555033237f);
        HORNER(p, f, 0.240226477f);
        HORNER(p, f, 0.693147182f);
    }
    HORNER(p, f, 1.f);
    return vf_exp2i(p, r);
}

/* x * Phi(x) = max(x, 0) - |x| Phi(-|x|), Phi(-z) = exp(-z^2/2) t Q(t), t = 1 / (1 + p z / sqrt 2).
 * The form keeps the negative tail, which 0.5 x (1 + erf(x / sqrt 2)) loses to cancellation from x = -4 on: it falls to -3e-37
 * and stays there. Absolute error 1.2e-7 |x| at most, and 3e-6 relative down to x = -10; LOW_PRECISION: 2e-4 relative.
 * +-inf give inf and -3e-37, NaN gives NaN. */
ALWAYS_INLINE vf v_gelu(vf x)
{
    vf z = vf_min(vf_set1(14), vf_abs(x)); /* NaN stays: the second operand is taken */
    vf e = v_exp2(vf_mul(vf_mul(z, z), vf_set1(-0.72134752f)));
    vf q, t;
    if (LOW_PRECISION) {
        t = vf_rcp(vf_fma(z, vf_set1(0.36769553f), vf_set1(1))); /* 0.52 / sqrt 2 */
        q = vf_set1(-0.0901420042f);
        HORNER(q, t, 0.214342162f);
        HORNER(q, t, 0.0726506859f);
        HORNER(q, t, 0.157238707f);
        HORNER(q, t, 0.145929411f);
    } else {
        t = vf_rcp(vf_fma(z, vf_set1(0.29698485f), vf_set1(1))); /* 0.42 / sqrt 2 */
        q = vf_set1(0.0355559401f);
        HORNER(q, t, -0.161991224f);
        HORNER(q, t, 0.223601818f);
        HORNER(q, t, -0.068327345f);
        HORNER(q, t, 0.136028185f);
        HORNER(q, t, 0.0968484432f);
        HORNER(q, t, 0.119877689f);
        HORNER(q, t, 0.118406415f);
    }
    vf h = vf_mul(vf_mul(z, e), vf_mul(t, q));
    return vf_sub(vf_max(vf_set1(0), x), h);
}

#endif
