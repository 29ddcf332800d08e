/* SPDX-License-Identifier: MIT */
/* simd_avx512.h - the vector operations of simd_scalar.h with AVX-512 (F, BW, DQ, VL), 16 floats: a vector is a line.
 * With LIMBER_SIMD_BF16 set, operands are bf16 pairs and vo_mac is vdpbf16ps (AVX512_BF16): 32 products an instruction, summed
 * into 16 fp32 lanes; it rounds to nearest even and takes denormals for zero. With LIMBER_SIMD_INT8 set they are four bytes, unsigned
 * of tokens and signed of weights, and vo_mac is vpdpbusd (AVX512_VNNI): 64 products into 16 sums of 32 bits, exactly. */
#ifndef LIMBER_SIMD_H
#define LIMBER_SIMD_H

#include <immintrin.h>

#include "compute/cpu/cpu.h"

#define VW 16
#define VPL (LANES / VW)
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 32")

typedef __m512 vf;

ALWAYS_INLINE vf vf_load(const float *p)
{
    return _mm512_load_ps(p);
}
ALWAYS_INLINE void vf_store(float *p, vf a)
{
    _mm512_store_ps(p, a);
}
ALWAYS_INLINE vf vf_set1(float a)
{
    return _mm512_set1_ps(a);
}
ALWAYS_INLINE vf vf_add(vf a, vf b)
{
    return _mm512_add_ps(a, b);
}
ALWAYS_INLINE vf vf_sub(vf a, vf b)
{
    return _mm512_sub_ps(a, b);
}
ALWAYS_INLINE vf vf_mul(vf a, vf b)
{
    return _mm512_mul_ps(a, b);
}
ALWAYS_INLINE vf vf_div(vf a, vf b)
{
    return _mm512_div_ps(a, b);
}
ALWAYS_INLINE vf vf_fma(vf a, vf b, vf c)
{
    return _mm512_fmadd_ps(a, b, c);
}
ALWAYS_INLINE vf vf_max(vf a, vf b)
{
    return _mm512_max_ps(a, b);
}
ALWAYS_INLINE vf vf_min(vf a, vf b)
{
    return _mm512_min_ps(a, b);
}
ALWAYS_INLINE vf vf_abs(vf a)
{
    return _mm512_abs_ps(a);
}
ALWAYS_INLINE vf vf_sqrt(vf a)
{
    return _mm512_sqrt_ps(a);
}
ALWAYS_INLINE vf vf_round(vf a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
ALWAYS_INLINE vf vf_exp2i(vf p, vf r)
{
    return _mm512_scalef_ps(p, r);
}
ALWAYS_INLINE vf vf_keep_ne(vf a, vf b, vf x)
{
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(a, b, _CMP_NEQ_UQ), x);
}

#if defined(LIMBER_SIMD_INT8)

#define UNIT 4
#define LOW_PRECISION 1
ALWAYS_INLINE __m512i bf16_round_masked(vf x)
{
    const __m512i bits = _mm512_castps_si512(x), odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i up = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    const __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
    return _mm512_mask_mov_epi32(up, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), quiet);
}
#define BF16_ROUND(x) (vu) bf16_round_masked(x) /* a mask register: fc1 with GELU 2 % faster than by the compiler's vectors */
#include "compute/cpu/simd_integers.h"
typedef __m512i vo;

ALWAYS_INLINE vi vi_nearest(vf a)
{
    return (vi)_mm512_cvtps_epi32(a);
}
ALWAYS_INLINE vi vi_min(vi a, vi b)
{
    return (vi)_mm512_min_epi32((__m512i)a, (__m512i)b);
}

ALWAYS_INLINE vo vo_load(const uint32_t *p)
{
    return _mm512_load_si512((const void *)p);
}
ALWAYS_INLINE vo vo_set1(const uint32_t *p)
{
    return _mm512_set1_epi32((int)*p);
}
#ifdef __AVX512VNNI__
ALWAYS_INLINE vi vo_mac(vi acc, vo w, vo a)
{
    return (vi)_mm512_dpbusd_epi32((__m512i)acc, a, w);
}
#endif

#elif defined(LIMBER_SIMD_BF16)

#define UNIT 2
#define LOW_PRECISION 1
typedef __m512bh vo;

ALWAYS_INLINE vo vo_load(const uint32_t *p)
{
    return (__m512bh)_mm512_load_si512((const void *)p);
}
ALWAYS_INLINE vo vo_set1(const uint32_t *p)
{
    return (__m512bh)_mm512_set1_epi32((int)*p);
}
ALWAYS_INLINE vf vo_mac(vf acc, vo w, vo a)
{
    return _mm512_dpbf16_ps(acc, w, a);
}
/* VW pairs: token t's numbers of a and of b side by side. */
ALWAYS_INLINE void pair_store(uint32_t *p, vf a, vf b)
{
    const __m512i zip = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4,
                                         19, 3, 18, 2, 17, 1, 16, 0);
    _mm512_store_si512((void *)p, _mm512_permutexvar_epi16(zip, (__m512i)_mm512_cvtne2ps_pbh(b, a)));
}
ALWAYS_INLINE void operand_pair(uint32_t *lines, int c, const vf *a, const vf *b)
{
    pair_store(lines + (size_t)c / 2 * LANES, *a, *b);
}
ALWAYS_INLINE void operand_split(uint32_t *lines, int c, const vf *a, const vf *b)
{
    _mm512_store_si512((void *)(lines + (size_t)c / 2 * LANES), (__m512i)_mm512_cvtne2ps_pbh(*b, *a));
}

#else

#define UNIT 1
#define LOW_PRECISION 0
typedef __m512 vo;

ALWAYS_INLINE vo vo_load(const uint32_t *p)
{
    return _mm512_load_ps((const float *)(const void *)p);
}
ALWAYS_INLINE vo vo_set1(const uint32_t *p)
{
    float f; /* a word to who packed it */
    __builtin_memcpy(&f, p, sizeof f);
    return _mm512_set1_ps(f);
}
ALWAYS_INLINE vf vo_mac(vf acc, vo w, vo a)
{
    return _mm512_fmadd_ps(w, a, acc);
}

#include "compute/cpu/simd_fp32_lines.h"
#endif
#endif
