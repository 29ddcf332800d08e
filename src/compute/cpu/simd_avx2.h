/* SPDX-License-Identifier: MIT */
/* simd_avx2.h - the vector operations of simd_scalar.h with AVX2 and FMA, 8 floats. With LIMBER_SIMD_INT8 set, operands are four bytes,
 * unsigned of tokens and signed of weights, and vo_mac is vpdpbusd of AVX-VNNI: 32 products into 8 sums of 32 bits, exactly.
 *
 * Without AVX-VNNI the product is vpmaddwd, of 16-bit numbers: two into one sum. vpmaddubsw takes the bytes as they are, and adds two products
 * of up to 255 * 127 into 16 bits, which hold half of that. So a unit's four columns are multiplied as the even two and the odd two
 * (vo_half), which a mask and a shift make of the tokens' bytes; weights are 16 bits wide in memory, the even two of a unit's columns and
 * then the odd two (pack.c). Every sum is the integer that vpdpbusd finds. */
#ifndef LIMBER_SIMD_H
#define LIMBER_SIMD_H

#include <immintrin.h>

#include "compute/cpu/cpu.h"

#define VW 8
#define VPL (LANES / VW)
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 32")

typedef __m256 vf;

ALWAYS_INLINE vf vf_load(const float *p)
{
    return _mm256_load_ps(p);
}
ALWAYS_INLINE void vf_store(float *p, vf a)
{
    _mm256_store_ps(p, a);
}
ALWAYS_INLINE vf vf_set1(float a)
{
    return _mm256_set1_ps(a);
}
ALWAYS_INLINE vf vf_add(vf a, vf b)
{
    return _mm256_add_ps(a, b);
}
ALWAYS_INLINE vf vf_sub(vf a, vf b)
{
    return _mm256_sub_ps(a, b);
}
ALWAYS_INLINE vf vf_mul(vf a, vf b)
{
    return _mm256_mul_ps(a, b);
}
ALWAYS_INLINE vf vf_div(vf a, vf b)
{
    return _mm256_div_ps(a, b);
}
ALWAYS_INLINE vf vf_fma(vf a, vf b, vf c)
{
    return _mm256_fmadd_ps(a, b, c);
}
ALWAYS_INLINE vf vf_max(vf a, vf b)
{
    return _mm256_max_ps(a, b);
}
ALWAYS_INLINE vf vf_min(vf a, vf b)
{
    return _mm256_min_ps(a, b);
}
ALWAYS_INLINE vf vf_abs(vf a)
{
    return _mm256_and_ps(a, _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff)));
}
ALWAYS_INLINE vf vf_sqrt(vf a)
{
    return _mm256_sqrt_ps(a);
}
ALWAYS_INLINE vf vf_round(vf a)
{
    return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
ALWAYS_INLINE vf vf_exp2i(vf p, vf r)
{
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), _mm256_slli_epi32(_mm256_cvtps_epi32(r), 23)));
}
ALWAYS_INLINE vf vf_keep_ne(vf a, vf b, vf x)
{
    return _mm256_and_ps(_mm256_cmp_ps(a, b, _CMP_NEQ_UQ), x);
}

#if defined(LIMBER_SIMD_INT8)

#define UNIT 4
#define LOW_PRECISION 1
#include "compute/cpu/simd_integers.h"
typedef __m256i vo;

ALWAYS_INLINE vi vi_nearest(vf a)
{
    return (vi)_mm256_cvtps_epi32(a);
}
ALWAYS_INLINE vi vi_min(vi a, vi b)
{
    return (vi)_mm256_min_epi32((__m256i)a, (__m256i)b);
}
ALWAYS_INLINE vo vo_load(const uint32_t *p)
{
    return _mm256_load_si256((const __m256i *)(const void *)p);
}
ALWAYS_INLINE vo vo_set1(const uint32_t *p)
{
    return _mm256_set1_epi32((int)*p);
}
#ifdef LIMBER_SIMD_INT8_HALVES
#define UNIT_HALVES 2
ALWAYS_INLINE vo vo_half(vo a, const int odd)
{
    return odd ? _mm256_srli_epi16(a, 8) : _mm256_and_si256(a, _mm256_set1_epi16(255));
}
ALWAYS_INLINE vi vo_mac(vi acc, vo w, vo a)
{
    acc += (vi)_mm256_madd_epi16(a, w);
    __asm__("" : "+x"(acc)); /* gcc 12 would make all products before it adds any, and spill */
    return acc;
}
#else
ALWAYS_INLINE vi vo_mac(vi acc, vo w, vo a)
{
    return (vi)_mm256_dpbusd_avx_epi32((__m256i)acc, a, w);
}
#endif

#else

#define UNIT 1
#define LOW_PRECISION 0
typedef __m256 vo;

ALWAYS_INLINE vo vo_load(const uint32_t *p)
{
    return _mm256_load_ps((const float *)(const void *)p);
}
ALWAYS_INLINE vo vo_set1(const uint32_t *p)
{
    return _mm256_broadcast_ss((const float *)(const void *)p);
}
ALWAYS_INLINE vf vo_mac(vf acc, vo w, vo a)
{
    return _mm256_fmadd_ps(w, a, acc);
}

#include "compute/cpu/simd_fp32_lines.h"
#endif
#endif
