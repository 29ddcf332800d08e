/* SPDX-License-Identifier: MIT */
/* gemm_blocks.h - gemm.h's loop with ARM's products of blocks (smmla of FEAT_I8MM, bfmmla of FEAT_BF16): two rows of 8 bytes by two rows of
 * 8 bytes into 2 x 2 sums, twice the multiply-adds of sdot and bfdot.
 *
 *     a row of weights   8 bytes of a column, two of its units side by side: pack.c, `unit_pairs`
 *     a row of tokens    8 bytes of a token: a unit from each of two lines, which zip brings together, two tokens a vector
 *     sums               [columns n, n + 1][tokens t, t + 1]; they part into lines when they are stored
 *
 * A tile of 6 columns and 16 tokens: 24 sums + 3 + 2 + 2 of 32 registers; for two units 24 products, 8 + 3 loads and 8 zips, where sdot has 48
 * products and 12 loads.
 *
 * Included before gemm.h, after simd_neon.h and GEMM_NR; BLOCK_MAC(sums, weights, tokens) is the instruction, VB the type of its operands' vector
 * and VB_OF_WORDS makes it of uint32x4_t. Slabs are padded to even units (unit_align). */
#ifndef LIMBER_GEMM_BLOCKS_H
#define LIMBER_GEMM_BLOCKS_H

#include "compute/cpu/sums.h"

#define GEMM_LOOP

/* Tokens t, t + 1 of columns n, n + 1 of c[NR][16]. */
ALWAYS_INLINE va block_load(const float *c, int n, int t)
{
    const float *line = c + 2 * n * LANES + 2 * t;
    return (va)vcombine_f32(vld1_f32(line), vld1_f32(line + LANES));
}
ALWAYS_INLINE void block_store(float *c, int n, int t, va sums)
{
    float *line = c + 2 * n * LANES + 2 * t;
    vst1_f32(line, vget_low_f32((float32x4_t)sums));
    vst1_f32(line + LANES, vget_high_f32((float32x4_t)sums));
}

ALWAYS_INLINE void gemm_loop(float *c, const uint32_t *a, size_t a_stride, const uint32_t *w, int units, bool add,
                             const char *ahead, size_t ahead_step, const int panels)
{
    va acc[GEMM_NR / 2][LANES / 2];
    (void)a_stride, (void)panels; /* one panel */
    UNROLL
    for (int n = 0; n < GEMM_NR / 2; n++)
        UNROLL
    for (int t = 0; t < LANES / 2; t++)
        acc[n][t] = add ? block_load(c, n, t) : va_zero();
    for (int u = 0; u < units; u += 2, a += 2 * LANES, w += 2 * GEMM_NR, ahead += 2 * ahead_step) {
        VB b[GEMM_NR / 2];
        __builtin_prefetch(ahead, 0, 2);
        UNROLL
        for (int n = 0; n < GEMM_NR / 2; n++)
            b[n] = VB_OF_WORDS(vld1q_u32(w + 4 * n));
        UNROLL
        for (int t = 0; t < LANES / 2; t += 2) {
            const uint32x4_t even = vld1q_u32(a + 2 * t), odd = vld1q_u32(a + LANES + 2 * t);
            const VB x = VB_OF_WORDS(vzip1q_u32(even, odd)), y = VB_OF_WORDS(vzip2q_u32(even, odd));
            __asm__("" ::: "memory"); /* gcc 12 would load all tokens first, and spill sums */
            UNROLL
            for (int n = 0; n < GEMM_NR / 2; n++) {
                acc[n][t] = BLOCK_MAC(acc[n][t], b[n], x);
                acc[n][t + 1] = BLOCK_MAC(acc[n][t + 1], b[n], y);
            }
        }
    }
    UNROLL
    for (int n = 0; n < GEMM_NR / 2; n++)
        UNROLL
    for (int t = 0; t < LANES / 2; t++)
        block_store(c, n, t, acc[n][t]);
}

#endif
