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

typedef int32_t va
    __attribute__((vector_size(64), may_alias)); /* not __m512i: gcc 12 keeps an array of those in memory as well */

ALWAYS_INLINE va va_zero(void)
{
    return (va)_mm512_setzero_si512();
}
ALWAYS_INLINE va va_load(const float *c)
{
    return *(const va *)(const void *)c;
}
ALWAYS_INLINE void va_store(float *c, va a)
{
    *(va *)(void *)c = a;
}
ALWAYS_INLINE vf sum_value(const struct gemm *g, const float *c, int v, int column, int panel)
{
    const uint32_t *steps = g->steps + (size_t)panel * g->a_stride;
    const __m512i zero = _mm512_load_si512((const void *)(steps + LANES)), w_sum = _mm512_set1_epi32(g->w_sum[column]);
    const __m512i sum = _mm512_sub_epi32((__m512i)va_load(c + v * VW), _mm512_mullo_epi32(zero, w_sum));
    const vf step = vf_load((const float *)(const void *)steps);
    return vf_mul(_mm512_cvtepi32_ps(sum), vf_mul(step, vf_set1(g->w_step[column])));
}

#endif
#endif
