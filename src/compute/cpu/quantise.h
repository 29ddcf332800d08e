/* SPDX-License-Identifier: MIT */
/* quantise.h - the operands of an 8-bit linear layer: each token's columns on a grid of 256 steps of its own,
 *
 *     q = round(x / step) + zero,  0 <= q <= 255,  step = (max - min) / 255,  zero = round(-min / step)
 *
 * with min <= 0 <= max, so that 0 is on the grid. Per token, because a few tokens of a Vision Transformer are many times larger
 * than the rest; with a zero point, because after GELU nearly everything is above -0.17.
 *
 *     in    lines of fp32 or of bf16 pairs, as layernorm, attention and fc1 left them
 *     out   [panel][units][16][4] u8, then a line of steps (fp32) and a line of zero points (int32), less TOKEN_OFFSET (simd_integers.h)
 *
 * Lines are read twice (96 KB a panel of 3072 bf16 columns, from L2). A NaN or an infinity among a token's columns makes its step NaN,
 * and so its results. Floor: the cost of one pass over the operand; 2 to 5 % of the linear layer that follows. */
#ifndef LIMBER_QUANTISE_H
#define LIMBER_QUANTISE_H

/* Columns 4 u .. 4 u + 3 of vector v of the line. */
ALWAYS_INLINE void quantise_columns(vf x[4], const uint32_t *panel, int u, int v, const bool paired)
{
    const uint32_t *lines = panel + v * VW;
    if (!paired) {
        for (int i = 0; i < 4; i++)
            x[i] = vf_load((const float *)(const void *)lines + (size_t)(4 * u + i) * LANES);
        return;
    }
    for (int i = 0; i < 2; i++) {
        const vi pair = vi_load(lines + (size_t)(2 * u + i) * LANES);
        x[2 * i] = (vf)(pair << 16);
        x[2 * i + 1] = (vf)(pair & (int32_t)0xffff0000);
    }
}

ALWAYS_INLINE void quantise_vector(const struct quantise *q, int panel, int v, const bool paired)
{
    const uint32_t *x = q->x + (size_t)panel * q->x_stride;
    uint32_t *y = q->y + (size_t)panel * q->y_stride + v * VW;
    vf low[4], high[4], poison[4], column[4];
    for (int i = 0; i < 4; i++)
        low[i] = high[i] = poison[i] = vf_set1(0);
    for (int u = 0; u < q->units; u++) {
        quantise_columns(column, x, u, v, paired);
        for (int i = 0; i < 4; i++) {
            low[i] = vf_min(low[i], column[i]);
            high[i] = vf_max(high[i], column[i]);
            poison[i] = vf_fma(column[i], vf_set1(0), poison[i]); /* NaN where x is not finite */
        }
    }
    const vf min = vf_min(vf_min(low[0], low[1]), vf_min(low[2], low[3]));
    const vf max = vf_max(vf_max(high[0], high[1]), vf_max(high[2], high[3]));
    const vf range = vf_max(vf_set1(1e-30f), vf_sub(max, min)); /* a token of zeros */
    const vf per_step = vf_div(vf_set1(255), range);
    const vi zero = vi_nearest(vf_mul(vf_sub(vf_set1(0), min), per_step));
    for (int u = 0; u < q->units; u++) {
        vi word = vi_set1(0);
        quantise_columns(column, x, u, v, paired);
        for (int i = 0; i < 4; i++) /* min rounds to -zero exactly; max may round to 256 - zero */
            word |= vi_min(vi_set1(255), vi_nearest(vf_mul(column[i], per_step)) + zero) << (8 * i);
        vi_store(y + (size_t)u * LANES, word ^ vi_set1(TOKEN_OFFSET ? (int32_t)0x80808080 : 0));
    }
    y += (size_t)q->all_units * LANES;
    vf_store((float *)(void *)y,
             vf_add(vf_mul(range, vf_set1(1.f / 255)), vf_add(vf_add(poison[0], poison[1]), vf_add(poison[2], poison[3]))));
    vi_store(y + LANES, zero - TOKEN_OFFSET);
}

ALWAYS_INLINE void quantise_panel(const struct quantise *q, int panel, const bool paired)
{
    for (int v = 0; v < VPL; v++)
        quantise_vector(q, panel, v, paired);
}

static void quantise(const struct quantise *q, int panel0, int panel1)
{
    for (int p = panel0; p < panel1; p++) {
        if (q->paired)
            quantise_panel(q, p, true);
        else
            quantise_panel(q, p, false);
    }
}

#endif
