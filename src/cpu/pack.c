/* pack.c - weights into the order the kernels read them, once, when a model opens: [tile][slab][unit][nr] 32-bit words, a word
 * being one fp32 weight, the bf16 pair (k, k + 1) of a column, or four of its bytes (int8: column_steps). Columns past n and units past
 * the last are zero, so kernels know no remainders. With AMX a tile of 32 columns and 16 units is two blocks [16 columns][16 units]: the A operand of a tile
 * multiplication as it lies. */
#include "cpu.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static size_t word_index(const struct kernels *kr, size_t units, int tile, size_t unit, int column)
{
    if (kr->amx)
        return (((size_t)tile * units / 16 + unit / 16) * 2 + (size_t)(column / 16)) * 256 + (size_t)(column % 16) * 16 + unit % 16;
    return ((size_t)tile * units + unit) * (size_t)kr->nr + (size_t)column;
}

static uint32_t weight_word(const float *row, size_t unit, enum precision precision, float step)
{
    uint32_t word = 0;
    if (precision == PRECISION_FP32)
        memcpy(&word, &row[unit], sizeof word);
    else if (precision == PRECISION_BF16)
        word = bf16_bits(row[2 * unit]) | bf16_bits(row[2 * unit + 1]) << 16;
    else
        for (size_t i = 0; i < 4; i++)
            word |= (uint32_t)(uint8_t)(int8_t)lrintf(row[4 * unit + i] / step) << (8 * i);
    return word;
}

/* Symmetric: -127 .. 127. What column n's integers count in, and their sum. */
static void column_steps(struct packed *out, int n, const float *row, size_t columns)
{
    float largest = 0, poison = 0; /* NaN where a weight is not finite, and so is then the column's step */
    for (size_t k = 0; k < columns; k++) {
        largest = fabsf(row[k]) > largest ? fabsf(row[k]) : largest;
        poison += row[k] * 0;
    }
    const float step = (largest > 1e-30f ? largest / 127 : 1) + poison;
    int32_t sum = 0;
    for (size_t k = 0; k < columns; k++)
        sum += (int32_t)lrintf(row[k] / step);
    out->step[n] = step;
    out->sum[n] = sum;
}

/* Rows of one tile and slab, [nr][stride], to their words. */
static void pack_tile(const struct packed *out, const struct kernels *kr, const float *rows, size_t stride, size_t all_units, int tile,
                      size_t first_unit, size_t units)
{
    for (size_t u = 0; u < units; u++)
        for (int c = 0; c < kr->nr; c++)
            out->w[word_index(kr, all_units, tile, first_unit + u, c)] =
                weight_word(rows + (size_t)c * stride, u, kr->precision, out->step ? out->step[tile * kr->nr + c] : 0);
}

bool pack_weights(struct packed *out, struct arena *a, const struct kernels *kr, int n, int slabs, int columns, weight_row_fn row,
                  const void *context, const float *bias)
{
    const bool integers = kr->precision == PRECISION_INT8;
    const int unit = integers ? 4 : kr->precision == PRECISION_BF16 ? 2 : 1, align = kr->unit_align;
    const int units = ((columns + unit - 1) / unit + align - 1) / align * align, tiles = (n + kr->nr - 1) / kr->nr;
    const size_t all = (size_t)slabs * (size_t)units, stride = (size_t)units * (size_t)unit;
    *out = (struct packed){.n = n, .slabs = slabs, .units = units, .tiles = tiles};
    out->w = arena_alloc(a, (size_t)tiles * all * (size_t)kr->nr * sizeof *out->w);
    out->bias = arena_alloc(a, (size_t)tiles * (size_t)kr->nr * sizeof *out->bias);
    if (integers) { /* of one slab: more would need steps of their own */
        out->step = arena_alloc(a, (size_t)tiles * (size_t)kr->nr * sizeof *out->step);
        out->sum = arena_alloc(a, (size_t)tiles * (size_t)kr->nr * sizeof *out->sum);
    }
    float *rows = calloc((size_t)kr->nr * stride, sizeof *rows);
    if (!out->w || !out->bias || !rows || (integers && (!out->step || !out->sum))) {
        free(rows);
        return false;
    }
    for (int o = 0; bias && o < n; o++)
        out->bias[o] = bias[o];
    for (int tile = 0; tile < tiles; tile++)
        for (int s = 0; s < slabs; s++) {
            for (int c = 0; c < kr->nr; c++) {
                if (tile * kr->nr + c < n)
                    row(context, tile * kr->nr + c, s, rows + (size_t)c * stride);
                else
                    memset(rows + (size_t)c * stride, 0, stride * sizeof *rows);
                if (integers)
                    column_steps(out, tile * kr->nr + c, rows + (size_t)c * stride, stride);
            }
            pack_tile(out, kr, rows, stride, all, tile, (size_t)s * (size_t)units, (size_t)units);
        }
    free(rows);
    return true;
}
