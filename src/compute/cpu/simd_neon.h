/* simd_neon.h - the vector operations of simd_scalar.h with Advanced SIMD of 64-bit ARM, 4 floats. Operation by operation they are those
 * of simd_avx2.h, so the results have the same bits (scripts/cross_check.sh compares).
 *
 * Multiplications take their weight from a lane of a vector (fmla by element) and not from a broadcast: a broadcasting load (ld1r)
 * takes a turn of the multiplying pipes on Cortex-A76 and Neoverse N1 (Arm's optimisation guides), a plain one does not. */
#ifndef LIMBER_SIMD_H
#define LIMBER_SIMD_H

#include <arm_neon.h>

#include "compute/cpu/cpu.h"

#define VW 4
#define VPL (LANES / VW)
#define UNIT 1
#define LOW_PRECISION 0
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 32")

typedef float32x4_t vf;
typedef float32x4_t vo;

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
ALWAYS_INLINE vo vo_load(const uint32_t *p)
{
    return vld1q_f32((const float *)(const void *)p);
}
ALWAYS_INLINE vo vo_set1(const uint32_t *p)
{
    return vld1q_dup_f32((const float *)(const void *)p);
}
ALWAYS_INLINE vf vo_mac(vf acc, vo w, vo a)
{
    return vfmaq_f32(acc, w, a);
}

/* By lanes: WEIGHTS_A_VECTOR weights that lie side by side, and a multiplication by one of them. */
#define WEIGHTS_A_VECTOR 4
typedef float32x4_t vw;
ALWAYS_INLINE vw vw_load(const uint32_t *p)
{
    return vld1q_f32((const float *)(const void *)p);
}
ALWAYS_INLINE vw vw_load_half(const uint32_t *p)
{
    return vcombine_f32(vld1_f32((const float *)(const void *)p), vdup_n_f32(0));
}
/* `lane` is a constant once loops are unrolled; without optimisation a loop over four would still be right. */
ALWAYS_INLINE vf vw_mac(vf acc, vw w, const int lane, vo a)
{
    switch (lane) {
    case 0:
        return vfmaq_laneq_f32(acc, a, w, 0);
    case 1:
        return vfmaq_laneq_f32(acc, a, w, 1);
    case 2:
        return vfmaq_laneq_f32(acc, a, w, 2);
    default:
        return vfmaq_laneq_f32(acc, a, w, 3);
    }
}

#include "compute/cpu/simd_fp32_lines.h"
#endif
