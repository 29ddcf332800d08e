/* pack.c - weights into the order the kernels read them, once, when a model opens: [tile][slab][unit][nr] 32-bit words, a word
 * being one fp32 weight or the bf16 pair (k, k + 1) of a column. Columns past n and units past the last are zero, so kernels
 * know no remainders. With AMX a tile of 32 columns and 16 units is two blocks [16 columns][16 units]: the A operand of a tile
 * multiplication as it lies. */
#include "cpu.h"

static size_t word_index(const struct kernels *kr, size_t units, int tile, size_t unit, int column)
{
    if (kr->amx)
        return (((size_t)tile * units / 16 + unit / 16) * 2 + (size_t)(column / 16)) * 256 + (size_t)(column % 16) * 16 + unit % 16;
    return ((size_t)tile * units + unit) * (size_t)kr->nr + (size_t)column;
}

bool pack_weights(struct packed *out, struct arena *a, const struct kernels *kr, int n, int slabs, int columns, weight_fn value,
                  const void *context, const float *bias)
{
    const int unit = kr->precision == PRECISION_BF16 ? 2 : 1, align = kr->unit_align;
    const int units = ((columns + unit - 1) / unit + align - 1) / align * align, tiles = (n + kr->nr - 1) / kr->nr;
    const size_t all = (size_t)slabs * (size_t)units;
    *out = (struct packed){.n = n, .slabs = slabs, .units = units, .tiles = tiles};
    out->w = arena_alloc(a, (size_t)tiles * all * (size_t)kr->nr * sizeof *out->w);
    out->bias = arena_alloc(a, (size_t)tiles * (size_t)kr->nr * sizeof *out->bias);
    if (!out->w || !out->bias)
        return false;
    for (int o = 0; o < n; o++) {
        out->bias[o] = bias ? bias[o] : 0;
        for (int s = 0; s < slabs; s++)
            for (int k = 0; k < columns; k += unit) {
                union {
                    float f;
                    uint32_t u;
                } word = {value(context, o, s, k)};
                if (unit == 2)
                    word.u = bf16_bits(word.f) | (k + 1 < columns ? bf16_bits(value(context, o, s, k + 1)) << 16 : 0);
                out->w[word_index(kr, all, o / kr->nr, (size_t)s * (size_t)units + (size_t)(k / unit), o % kr->nr)] = word.u;
            }
    }
    return true;
}
