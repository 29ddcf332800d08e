/* SPDX-License-Identifier: MIT */
/* simd_neon.h - the vector operations of simd_scalar.h with Advanced SIMD of 64-bit ARM, 4 floats. Operation by operation they are those
 * of simd_avx2.h, so the results have the same bits (scripts/cross_check.sh compares).
 *
 * With LIMBER_SIMD_BF16 set, operands are bf16 pairs and a product is bfdot (FEAT_BF16), which rounds in its own way; with
 * LIMBER_SIMD_INT8 they are four signed bytes, and a product is sdot (FEAT_DotProd): 16 products into 4 sums of 32 bits, exactly.
 *
 * Multiplications take their weight from a lane of a vector (by element) and not from a broadcast: a broadcasting load (ld1r)
 * takes a turn of the multiplying pipes on Cortex-A76 and Neoverse N1 (Arm's optimisation guides), a plain one does not. */
#ifndef LIMBER_SIMD_H
#define LIMBER_SIMD_H

#include <arm_neon.h>

#include "compute/cpu/cpu.h"

#define VW 4
#define VPL (LANES / VW)
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 32")

typedef float32x4_t vf;

ALWAYS_INLINE vf vf_load(const float *p)
{
    return vld1q_f32(p);
}
ALWAYS_INLINE void vf_store(float *p, vf a)
{
    vst1q_f32(p, a);
}
ALWAYS_INLINE vf vf_set1(float a)
{
    return vdupq_n_f32(a);
}
ALWAYS_INLINE vf vf_add(vf a, vf b)
{
    return vaddq_f32(a, b);
}
ALWAYS_INLINE vf vf_sub(vf a, vf b)
{
    return vsubq_f32(a, b);
}
ALWAYS_INLINE vf vf_mul(vf a, vf b)
{
    return vmulq_f32(a, b);
}
ALWAYS_INLINE vf vf_div(vf a, vf b)
{
    return vdivq_f32(a, b);
}
ALWAYS_INLINE vf vf_fma(vf a, vf b, vf c)
{
    return vfmaq_f32(c, a, b);
}
ALWAYS_INLINE vf vf_max(vf a, vf b)
{
    return vbslq_f32(vcgtq_f32(a, b), a, b);
}
ALWAYS_INLINE vf vf_min(vf a, vf b)
{
    return vbslq_f32(vcltq_f32(a, b), a, b);
}
ALWAYS_INLINE vf vf_abs(vf a)
{
    return vabsq_f32(a);
}
ALWAYS_INLINE vf vf_sqrt(vf a)
{
    return vsqrtq_f32(a);
}
ALWAYS_INLINE vf vf_round(vf a)
{
    return vrndnq_f32(a);
}
ALWAYS_INLINE vf vf_exp2i(vf p, vf r)
{
    return vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(p), vshlq_n_s32(vcvtq_s32_f32(r), 23)));
}
ALWAYS_INLINE vf vf_keep_ne(vf a, vf b, vf x)
{
    return vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(x), vceqq_f32(a, b)));
}

#if defined(LIMBER_SIMD_INT8)

#define UNIT 4
#define LOW_PRECISION 1
#define TOKEN_OFFSET 128
#include "compute/cpu/simd_integers.h"
typedef int8x16_t vo;
typedef vi vp; /* what products are summed in */
#define VO_OF_WORDS vreinterpretq_s8_u32
#define DOT_LANE(acc, a, w, lane) (vi) vdotq_laneq_s32((int32x4_t)(acc), a, w, lane)

ALWAYS_INLINE vi vi_nearest(vf a)
{
    return (vi)vcvtnq_s32_f32(a);
}
ALWAYS_INLINE vi vi_min(vi a, vi b)
{
    return (vi)vminq_s32((int32x4_t)a, (int32x4_t)b);
}
ALWAYS_INLINE vi vo_mac(vi acc, vo w, vo a)
{
    return (vi)vdotq_s32((int32x4_t)acc, a, w);
}

#elif defined(LIMBER_SIMD_BF16)

#define UNIT 2
#define LOW_PRECISION 1
typedef bfloat16x8_t vo;
typedef vf vp;
#define VO_OF_WORDS vreinterpretq_bf16_u32
#define DOT_LANE(acc, a, w, lane) vbfdotq_laneq_f32(acc, a, w, lane)

ALWAYS_INLINE vf vo_mac(vf acc, vo w, vo a)
{
    return vbfdotq_f32(acc, w, a);
}
ALWAYS_INLINE uint16x8_t bf16_two(vf low, vf high)
{
    return vreinterpretq_u16_bf16(vcvtq_high_bf16_f32(vcvtq_low_bf16_f32(low), high));
}
/* VW pairs: token t's numbers of a and of b side by side. */
ALWAYS_INLINE void pair_store(uint32_t *p, vf a, vf b)
{
    const uint16x8_t ab = bf16_two(a, b);
    vst1q_u32(p, vreinterpretq_u32_u16(vzip1q_u16(ab, vextq_u16(ab, ab, 4))));
}
ALWAYS_INLINE void operand_pair(uint32_t *lines, int c, const vf *a, const vf *b)
{
    UNROLL
    for (int v = 0; v < VPL; v++)
        pair_store(lines + (size_t)c / 2 * LANES + v * VW, a[v], b[v]);
}
ALWAYS_INLINE void operand_split(uint32_t *lines, int c, const vf *a, const vf *b)
{
    uint32_t *line = lines + (size_t)c / 2 * LANES;
    UNROLL
    for (int v = 0; v < VPL; v += 2) {
        vst1q_u32(line + v * VW / 2, vreinterpretq_u32_u16(bf16_two(a[v], a[v + 1])));
        vst1q_u32(line + LANES / 2 + v * VW / 2, vreinterpretq_u32_u16(bf16_two(b[v], b[v + 1])));
    }
}

#else

#define UNIT 1
#define LOW_PRECISION 0
typedef float32x4_t vo;
typedef vf vp;
#define VO_OF_WORDS vreinterpretq_f32_u32
#define DOT_LANE(acc, a, w, lane) vfmaq_laneq_f32(acc, a, w, lane)

ALWAYS_INLINE vf vo_mac(vf acc, vo w, vo a)
{
    return vfmaq_f32(acc, w, a);
}
#include "compute/cpu/simd_fp32_lines.h"

#endif

ALWAYS_INLINE vo vo_load(const uint32_t *p)
{
    return VO_OF_WORDS(vld1q_u32(p));
}
ALWAYS_INLINE vo vo_set1(const uint32_t *p)
{
    return VO_OF_WORDS(vld1q_dup_u32(p));
}

/* By lanes: WEIGHTS_A_VECTOR weights that lie side by side, and a multiplication by one of them. */
#define WEIGHTS_A_VECTOR 4
typedef vo vw;
ALWAYS_INLINE vw vw_load(const uint32_t *p)
{
    return vo_load(p);
}
ALWAYS_INLINE vw vw_load_half(const uint32_t *p)
{
    return VO_OF_WORDS(vcombine_u32(vld1_u32(p), vdup_n_u32(0)));
}
/* `lane` is a constant once loops are unrolled. */
ALWAYS_INLINE vp vw_mac(vp acc, vw w, const int lane, vo a)
{
    switch (lane) {
    case 0:
        return DOT_LANE(acc, a, w, 0);
    case 1:
        return DOT_LANE(acc, a, w, 1);
    case 2:
        return DOT_LANE(acc, a, w, 2);
    default:
        return DOT_LANE(acc, a, w, 3);
    }
}

#endif
