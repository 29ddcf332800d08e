/* SPDX-License-Identifier: MIT */
/* simd_scalar.h - the vector operations in plain C with the compiler's 4-wide vectors: SSE2, NEON or whatever the target has.
 * Also the list of what every simd_*.h provides:
 *
 *   vf        VW floats; a line of LANES tokens is VPL of them     vf_load .. vf_sqrt   lane by lane, fma may round twice
 *   vf_max, vf_min (a, b)   b where either is NaN                  vf_round   to the nearest integer, |x| < 2^22
 *   vf_exp2i (p, r)   p * 2^r, r an integer, -125 <= r <= 126      vf_keep_ne (a, b, x)   x where a != b, else 0
 *   vo        a line's worth of operand, vo_load; vo_set1 one unit of weights in every lane; vo_mac acc += w * a
 *   WEIGHTS_A_VECTOR, vw_load, vw_load_half, vw_mac   where a product can take its weight from a lane (simd_neon.h)
 *   pair_store (p, a, b)   UNIT 2: VW pairs
 *   operand_pair (lines, c, a, b)   columns c and c + 1 of a panel of operands; operand_split likewise for V (OUT_QKV)
 *   UNIT      columns in a unit: 1 fp32, 2 bf16                     LOW_PRECISION   exp and GELU may be as good as bf16 */
#ifndef LIMBER_SIMD_H
#define LIMBER_SIMD_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "compute/cpu/cpu.h"

#define VW 4
#define VPL (LANES / VW)
#define UNIT 1
#define LOW_PRECISION 0
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 32")

typedef float vf __attribute__((vector_size(16)));
typedef int32_t vi __attribute__((vector_size(16)));
typedef vf vo;
/* In memory the same bits are floats to one file and words to another, which moves lines without asking what they hold: a load
 * or a store may not assume, and link-time optimisation would, that only float accesses meet it. The intrinsics' types of the
 * other instruction sets are declared like this by the compiler. */
typedef float vf_memory __attribute__((vector_size(16), may_alias));

ALWAYS_INLINE vf vf_load(const float *p)
{
    return *(const vf_memory *)p;
}
ALWAYS_INLINE void vf_store(float *p, vf a)
{
    *(vf_memory *)p = a;
}
ALWAYS_INLINE vf vf_set1(float a)
{
    return (vf){a, a, a, a};
}
ALWAYS_INLINE vf vf_add(vf a, vf b)
{
    return a + b;
}
ALWAYS_INLINE vf vf_sub(vf a, vf b)
{
    return a - b;
}
ALWAYS_INLINE vf vf_mul(vf a, vf b)
{
    return a * b;
}
ALWAYS_INLINE vf vf_div(vf a, vf b)
{
    return a / b;
}
ALWAYS_INLINE vf vf_fma(vf a, vf b, vf c)
{
    return a * b + c;
}
ALWAYS_INLINE vf vf_pick(vi mask, vf a, vf b)
{
    return (vf)(((vi)a & mask) | ((vi)b & ~mask));
}
ALWAYS_INLINE vf vf_max(vf a, vf b)
{
    return vf_pick(a > b, a, b);
}
ALWAYS_INLINE vf vf_min(vf a, vf b)
{
    return vf_pick(a < b, a, b);
}
ALWAYS_INLINE vf vf_abs(vf a)
{
    return (vf)((vi)a & 0x7fffffff);
}
ALWAYS_INLINE vf vf_sqrt(vf a)
{
    return (vf){sqrtf(a[0]), sqrtf(a[1]), sqrtf(a[2]), sqrtf(a[3])};
}
ALWAYS_INLINE vf vf_round(vf a)
{
    const vf magic = vf_set1(12582912.f); /* 1.5 * 2^23: adding it leaves no fraction bits */
    return (a + magic) - magic;
}
ALWAYS_INLINE vf vf_exp2i(vf p, vf r)
{
    const vf magic = vf_set1(12582912.f);
    return (vf)((vi)p + ((vi)(r + magic) << 23)); /* the low bits of r + magic are r */
}
ALWAYS_INLINE vf vf_keep_ne(vf a, vf b, vf x)
{
    return (vf)((vi)x & (a != b));
}
ALWAYS_INLINE vo vo_load(const uint32_t *p)
{
    return *(const vf_memory *)(const void *)p;
}
ALWAYS_INLINE vo vo_set1(const uint32_t *p)
{
    float f;
    memcpy(&f, p, sizeof f);
    return vf_set1(f);
}
ALWAYS_INLINE vf vo_mac(vf acc, vo w, vo a)
{
    return vf_fma(w, a, acc);
}

#include "compute/cpu/simd_fp32_lines.h"
#endif
