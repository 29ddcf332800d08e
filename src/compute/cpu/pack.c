/* SPDX-License-Identifier: MIT */
/* pack.c - weights into the order the kernels read them, once, when a model opens: [tile][slab][unit][nr] 32-bit words, a word
 * being one fp32 weight, the bf16 pair (k, k + 1) of a column, or four of its bytes (int8_words); with wide_weights two words for four of them,
 * the even two of 16 bits and then the odd two, [unit][2][nr]. With
 * unit_pairs two units of a column lie side by side, [unit / 2][nr][2]. Columns past n and units past
 * the last are zero, so kernels know no remainders. With AMX a tile of 32 columns and 16 units is two blocks [16 columns][16 units]: the
 * A operand of a tile multiplication as it lies. */
#include "compute/cpu/cpu.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static size_t word_index(const struct kernels *kr, size_t units, int tile, size_t unit, int column)
{
    if (kr->amx)
        return (((size_t)tile * units / 16 + unit / 16) * 2 + (size_t)(column / 16)) * 256 + (size_t)(column % 16) * 16 +
               unit % 16;
    return ((size_t)tile * units + unit) * (size_t)kr->nr + (size_t)column;
}

/* ---- a column's numbers to its words, [units * unit] to [units]: without branches, so that the compiler makes vectors of them ---- */

static uint32_t bits_of(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

/* bf16_bits in the high half. */
static uint32_t bf16_high(float f)
{
    const uint32_t u = bits_of(f), nan = (int32_t)(u & 0x7fffffff) > 0x7f800000 ? UINT32_MAX : 0;
    return (nan & (u | 0x400000)) | (~nan & (u + 0x7fff + (u >> 16 & 1)));
}

static void bf16_words(uint32_t *words, const float *row, size_t units)
{
    for (size_t u = 0; u < units; u++)
        words[u] = bf16_high(row[2 * u]) >> 16 | (bf16_high(row[2 * u + 1]) & 0xffff0000u);
}

/* Symmetric: -127 .. 127. *step is what the integers count in, NaN where a weight is not finite; *sum is theirs. */
static void int8_words(uint32_t *words, const float *row, size_t units, float *step, int32_t *sum)
{
    const float magic = 12582912; /* 1.5 * 2^23: adding it rounds to an integer, which then is the low bits */
    float largest = 0, poison = 0;
    uint32_t total = 0;
    for (size_t k = 0; k < 4 * units; k++) {
        largest = fabsf(row[k]) > largest ? fabsf(row[k]) : largest;
        poison += row[k] * 0;
    }
    largest = largest > 1e-30f ? largest : 127;
    const float per_step = 127 / largest;
    for (size_t u = 0; u < units; u++) {
        uint32_t n[4];
        for (size_t i = 0; i < 4; i++)
            n[i] = bits_of(row[4 * u + i] * per_step + magic) - bits_of(magic);
        words[u] = (n[0] & 255) | (n[1] & 255) << 8 | (n[2] & 255) << 16 | n[3] << 24;
        total += n[0] + n[1] + n[2] + n[3];
    }
    *step = largest / 127 + poison;
    *sum = (int32_t)total;
}

/* ---- a tile of columns ---- */

static void column_words(uint32_t *words, const struct packed *out, const struct kernels *kr, int n, float *numbers)
{
    const size_t units = (size_t)out->units;
    if (kr->precision == PRECISION_INT8)
        int8_words(words, numbers, units, &out->step[n], &out->sum[n]);
    else if (kr->precision == PRECISION_BF16)
        bf16_words(words, numbers, units);
    else
        memcpy(words, numbers, units * sizeof *words);
}

static inline void interleave(uint32_t *to, const uint32_t *words, size_t units, size_t nr)
{
    for (size_t u = 0; u < units; u++)
        for (size_t c = 0; c < nr; c++)
            to[u * nr + c] = words[c * units + u];
}

/* Likewise of bytes, each widened to 16 bits: the even two of a word, then the odd two. */
static inline void interleave_wide(uint32_t *to, const uint32_t *words, size_t units, size_t nr)
{
    for (size_t u = 0; u < units; u++)
        for (size_t c = 0; c < nr; c++) {
            const int32_t w = (int32_t)words[c * units + u];
            to[2 * u * nr + c] = ((uint32_t)(int8_t)w & 0xffff) | ((uint32_t)(int8_t)(w >> 16) << 16);
            to[(2 * u + 1) * nr + c] = ((uint32_t)(int8_t)(w >> 8) & 0xffff) | ((uint32_t)(w >> 24) << 16);
        }
}

/* Two units of a column side by side; units are even. */
static inline void interleave_pairs(uint32_t *to, const uint32_t *words, size_t units, size_t nr)
{
    for (size_t u = 0; u < units; u++)
        for (size_t c = 0; c < nr; c++)
            to[(u / 2 * nr + c) * 2 + u % 2] = words[c * units + u];
}

/* Words [nr][units] of one tile and slab to their places. */
static void place_tile(const struct packed *out, const struct kernels *kr, const uint32_t *words, int tile, int slab)
{
    const size_t units = (size_t)out->units, all = units * (size_t)out->slabs, first = units * (size_t)slab;
    if (kr->amx)
        for (int c = 0; c < kr->nr; c++)
            for (size_t u = 0; u < units; u++)
                out->w[word_index(kr, all, tile, first + u, c)] = words[(size_t)c * units + u];
    else if (kr->unit_pairs)
        interleave_pairs(out->w + word_index(kr, all, tile, first, 0), words, units, (size_t)kr->nr);
    else if (kr->wide_weights)
        interleave_wide(out->w + 2 * word_index(kr, all, tile, first, 0), words, units, (size_t)kr->nr);
    else if (kr->nr == 8)
        interleave(out->w + word_index(kr, all, tile, first, 0), words, units, 8); /* a constant becomes a transpose of vectors */
    else
        interleave(out->w + word_index(kr, all, tile, first, 0), words, units, (size_t)kr->nr);
}

bool pack_weights(struct packed *out, struct arena *a, const struct kernels *kr, int n, int slabs, int columns, weight_row_fn row,
                  const void *context, const float *bias)
{
    const bool integers = kr->precision == PRECISION_INT8;
    const int unit = integers ? 4 : kr->precision == PRECISION_BF16 ? 2 : 1, align = kr->unit_align;
    const int units = ((columns + unit - 1) / unit + align - 1) / align * align, tiles = (n + kr->nr - 1) / kr->nr;
    *out = (struct packed){.n = n, .slabs = slabs, .units = units, .tiles = tiles};
    out->w = arena_alloc(a, (size_t)tiles * (size_t)slabs * (size_t)units * (size_t)kr->nr * (kr->wide_weights ? 2 : 1) *
                                sizeof *out->w);
    out->bias = arena_alloc(a, (size_t)tiles * (size_t)kr->nr * sizeof *out->bias);
    if (integers) { /* of one slab: more would need steps of their own */
        out->step = arena_alloc(a, (size_t)tiles * (size_t)kr->nr * sizeof *out->step);
        out->sum = arena_alloc(a, (size_t)tiles * (size_t)kr->nr * sizeof *out->sum);
    }
    float *numbers = calloc((size_t)units * (size_t)unit, sizeof *numbers); /* zero past `columns` */
    uint32_t *words = malloc((size_t)kr->nr * (size_t)units * sizeof *words);
    const bool ok = out->w && out->bias && numbers && words && (!integers || (out->step && out->sum));
    for (int o = 0; ok && bias && o < n; o++)
        out->bias[o] = bias[o];
    for (int tile = 0; ok && tile < tiles; tile++)
        for (int s = 0; s < slabs; s++) {
            for (int c = 0; c < kr->nr; c++) {
                const int column = tile * kr->nr + c;
                if (column < n)
                    row(context, column, s, numbers);
                else
                    memset(numbers, 0, (size_t)columns * sizeof *numbers);
                column_words(words + (size_t)c * (size_t)units, out, kr, column, numbers);
            }
            place_tile(out, kr, words, tile, s);
        }
    free(numbers);
    free(words);
    return ok;
}
