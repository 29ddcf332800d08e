/* SPDX-License-Identifier: MIT */
/* sums.h - what a tile of gemm.h or gemm_amx.h adds up in, and how a finished sum becomes a number: fp32 as it is, or exact 32-bit
 * integers of quantised operands (quantise.h) that get their steps back,
 *
 *     sum_u w a  =  w_step[n] * step[t] * (sum - zero[t] * w_sum[n])
 *
 * with w_sum[n] the sum of column n's integers. 3072 products of 255 * 127 are 1e8: no sum of a model here leaves 31 bits. */
#ifndef LIMBER_SUMS_H
#define LIMBER_SUMS_H

#ifndef LIMBER_SIMD_INT8

typedef vf va;

ALWAYS_INLINE va va_zero(void)
{
    return vf_set1(0);
}
ALWAYS_INLINE va va_load(const float *c)
{
    return vf_load(c);
}
ALWAYS_INLINE void va_store(float *c, va a)
{
    vf_store(c, a);
}
/* Vector v of the line of sums at c: result column `column` of a panel. */
ALWAYS_INLINE vf sum_value(const struct gemm *g, const float *c, int v, int column, int panel)
{
    (void)g, (void)column, (void)panel;
    return vf_load(c + v * VW);
}

#else

typedef vi va; /* not __m512i: gcc 12 keeps an array of those in memory as well */

ALWAYS_INLINE va va_zero(void)
{
    return vi_set1(0);
}
ALWAYS_INLINE va va_load(const float *c)
{
    return vi_load(c);
}
ALWAYS_INLINE void va_store(float *c, va a)
{
    vi_store(c, a);
}
ALWAYS_INLINE vf sum_value(const struct gemm *g, const float *c, int v, int column, int panel)
{
    const uint32_t *steps = g->steps + (size_t)panel * g->a_stride + v * VW;
    /* Unsigned: a column or a token that is no number has any integers and may wrap; its step makes the result NaN. */
    const vi sum = (vi)((vu)va_load(c + v * VW) - (vu)vi_load(steps + LANES) * (vu)vi_set1(g->w_sum[column]));
    const vf step = vf_load((const float *)(const void *)steps);
    return vf_mul(vf_of_integers(sum), vf_mul(step, vf_set1(g->w_step[column])));
}

#endif
#endif
