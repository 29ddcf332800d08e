/* SPDX-License-Identifier: MIT */
/* gemm.c - linear layers: every result of a random part of a random layer.
 *
 * In fp32 a result is one chain of additions in the order of the columns (cpu.h), so the loop below has its bits, with fmaf where the set
 * fuses; of bytes the sum is an integer, so that loop has its bits as well. GELU has the error vmath.h states. bf16 instructions add in an
 * order of their own: a result may be off by what n random roundings come to. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkkernels.h"

struct layer {
    struct gemm g;
    int panels, columns, unit;
    float *a[GEMM_MAX_SLABS]; /* [panels][columns][LANES]; bytes: the integers */
    float *w;                 /* [slabs][n][columns]; bytes: the integers */
    uint32_t *out;
    size_t out_words;
};

struct rows {
    const float *w;
    int columns, n;
};
static void weight_row(const void *context, int n, int slab, float *row)
{
    const struct rows *r = context;
    memcpy(row, r->w + ((size_t)slab * (size_t)r->n + (size_t)n) * (size_t)r->columns, (size_t)r->columns * sizeof *row);
}

static void *own(struct check *c, const void *data, size_t bytes)
{
    void *p = room(c, bytes);
    memcpy(p, data, bytes);
    return p;
}

/* Tokens of a panel of bytes: integers, steps and zero points. */
static void draw_bytes(struct check *c, struct layer *l, uint32_t *panel, float *numbers)
{
    for (int i = 0; i < l->columns; i++)
        for (int t = 0; t < LANES; t++)
            numbers[i * LANES + t] = (float)(draw(c, 0, 255) - c->set->kernels->token_offset);
    for (int u = 0; u < l->g.units; u++)
        for (int t = 0; t < LANES; t++) {
            uint32_t word = 0;
            for (int i = 0; i < 4; i++) /* what quantise leaves past the columns is no matter: weights are 0 there */
                word |= (uint32_t)(4 * u + i < l->columns ? (int)numbers[(4 * u + i) * LANES + t] & 255 : draw(c, 0, 255))
                        << (8 * i);
            panel[u * LANES + t] = word;
        }
    for (int t = 0; t < LANES; t++) {
        const float step = fabsf(draw_float(c, .02f)) + 1e-4f;
        memcpy(panel + l->g.units * LANES + t, &step, sizeof step);
        panel[(l->g.units + 1) * LANES + t] = (uint32_t)(draw(c, 0, 255) - c->set->kernels->token_offset);
    }
}

static void draw_numbers(struct check *c, struct layer *l, uint32_t *panel, float *numbers)
{
    const bool paired = l->unit == 2;
    for (int i = 0; i < l->g.units * l->unit; i++)
        for (int t = 0; t < LANES; t++) {
            const float x = i >= l->columns ? 1 : paired ? bf16_rounded(draw_float(c, 2)) : draw_float(c, 2);
            operand_set(panel, paired, i, t, x);
            if (i < l->columns)
                numbers[i * LANES + t] = x;
        }
}

/* A layer of this shape with everything but act, residual and kind. Floats of the loop below are malloc's, the kernel's from room. */
static void layer_make(struct check *c, struct layer *l, int panels, int slabs, int columns, int n)
{
    const struct kernels *k = c->set->kernels;
    const bool bytes = k->precision == PRECISION_INT8;
    struct arena arena = {0};
    struct packed p;
    *l = (struct layer){.panels = panels, .columns = columns, .unit = bytes ? 4 : is_bf16(k) ? 2 : 1};
    const size_t weights = (size_t)slabs * (size_t)n * (size_t)columns;
    float *bias = room(c, (size_t)n * sizeof *bias);
    l->w = malloc(weights * sizeof *l->w);
    for (size_t i = 0; i < weights; i++)
        l->w[i] = is_bf16(k) ? bf16_rounded(draw_float(c, 1)) : bytes ? (float)draw(c, -127, 127) : draw_float(c, 1);
    for (int i = 0; bytes && i < n; i++) /* so that a step is 1 and the integers are those drawn */
        l->w[(size_t)i * (size_t)columns] = draw(c, 0, 1) ? 127 : -127;
    for (int i = 0; i < n; i++)
        bias[i] = draw_float(c, 3);
    const struct rows rows = {l->w, columns, n};
    if (!pack_weights(&p, &arena, k, n, slabs, columns, weight_row, &rows, bias))
        abort();
    const size_t wide = (size_t)p.tiles * (size_t)k->nr;
    l->g = (struct gemm){.slabs = slabs,
                         .units = p.units,
                         .n = n,
                         .w = own(c, p.w, wide * (size_t)slabs * (size_t)p.units * (k->wide_weights ? 2 : 1) * sizeof *p.w),
                         .bias = own(c, p.bias, wide * sizeof *p.bias)};
    if (bytes) {
        float *step = own(c, p.step, wide * sizeof *step);
        for (int i = 0; i < n; i++)
            step[i] *= fabsf(draw_float(c, .01f)) + 1e-5f;
        l->g.w_step = step;
        l->g.w_sum = own(c, p.sum, wide * sizeof *p.sum);
    }
    l->g.a_stride = (size_t)(p.units + (bytes ? 2 : 0) + draw(c, 0, 2)) * LANES;
    for (int s = 0; s < slabs; s++) {
        uint32_t *a = room(c, (size_t)panels * l->g.a_stride * sizeof *a);
        l->a[s] = malloc((size_t)panels * (size_t)columns * LANES * sizeof **l->a);
        l->g.a[s] = a;
        for (int i = 0; i < panels; i++)
            (bytes ? draw_bytes : draw_numbers)(c, l, a + (size_t)i * l->g.a_stride,
                                                l->a[s] + (size_t)i * (size_t)columns * LANES);
    }
    l->g.steps = bytes ? l->g.a[0] + (size_t)p.units * LANES : NULL;
    l->g.out_stride = ((size_t)(n + 1) / 2 * 2 + (size_t)draw(c, 0, 2)) * LANES;
    l->out_words = (size_t)panels * l->g.out_stride;
    l->g.out = l->out = room(c, l->out_words * sizeof *l->out);
    arena_free(&arena);
}

static void layer_free(struct check *c, struct layer *l)
{
    for (int s = 0; s < l->g.slabs; s++)
        free(l->a[s]);
    free(l->w);
    rooms_leave(c);
}

/* What column n of token t of a panel sums up to, and the size of what was added. */
static float sum_of(const struct check *c, const struct layer *l, int panel, int n, int t, double *size)
{
    const size_t columns = (size_t)l->columns;
    float chain = 0;
    double exact = 0;
    int64_t integer = 0, w_sum = 0;
    *size = 0;
    for (int s = 0; s < l->g.slabs; s++) {
        const float *a = l->a[s] + (size_t)panel * columns * LANES + t;
        const float *w = l->w + ((size_t)s * (size_t)l->g.n + (size_t)n) * columns;
        for (size_t i = 0; i < columns; i++) {
            const float x = a[i * LANES];
            switch (l->unit) {
            case 4:
                integer += (int)x * (int)w[i];
                w_sum += (int)w[i];
                break;
            case 2:
                exact += (double)x * w[i];
                break;
            default:
                chain = c->set->fused ? fmaf(w[i], x, chain) : w[i] * x + chain;
            }
            *size += fabs((double)x * w[i]);
        }
    }
    if (l->unit != 4)
        return l->unit == 2 ? (float)exact : chain;
    const uint32_t *steps = l->g.steps + (size_t)panel * l->g.a_stride;
    float step;
    memcpy(&step, steps + t, sizeof step);
    *size *= step * l->g.w_step[n];
    return (float)(int32_t)(integer - (int32_t)steps[LANES + t] * w_sum) * (step * l->g.w_step[n]);
}

static float result_of(const struct layer *l, bool paired, int panel, int n, int t)
{
    const uint32_t *out = l->out + (size_t)panel * l->g.out_stride;
    if (paired && l->g.kind == OUT_QKV && n >= l->g.v_from) {
        uint16_t half;
        memcpy(&half, (const uint16_t *)(const void *)out + n * LANES + t, sizeof half);
        return bf16_value(half);
    }
    return operand_get(out, paired && l->g.kind != OUT_FP32, n, t);
}

static void layer_compare(struct check *c, const struct layer *l, int panel0, int panel1, int n0, int n1)
{
    const struct kernels *k = c->set->kernels;
    const bool low = k->precision != PRECISION_FP32, paired = low && l->g.kind != OUT_FP32;
    for (int p = panel0; p < panel1; p++)
        for (int n = n0; n < n1; n++)
            for (int t = 0; t < LANES; t++) {
                double size, allowed = 0;
                float x = sum_of(c, l, p, n, t, &size) + l->g.bias[n];
                if (is_bf16(k))
                    allowed = 0x1p-24 * (4 + 2 * sqrt((double)l->columns * l->g.slabs)) * (size + fabs((double)l->g.bias[n]));
                if (l->g.act == CPU_GELU) {
                    allowed = 1.2 * allowed + (low ? 6e-5 + 2e-6 * fabs((double)x) : 3e-7 * fabs((double)x));
                    x = (float)(x * 0.5 * erfc(-x * 0.70710678118654752440));
                    allowed += 0x1p-24 * fabs((double)x);
                } else if (l->g.act == CPU_RELU) {
                    x = x > 0 ? x : 0;
                }
                if (l->g.residual) {
                    const int from = l->g.residual_period ? p % l->g.residual_period : p;
                    x += l->g.residual[(size_t)from * l->g.residual_stride + (size_t)(n * LANES + t)];
                    allowed += allowed > 0 ? 0x1p-23 * fabs((double)x) : 0;
                }
                if (paired && allowed > 0)
                    allowed += bf16_rounding(fabs((double)x) + allowed);
                else if (paired)
                    x = bf16_rounded(x);
                if (!expect(c, (double)result_of(l, paired, p, n, t), (double)x, allowed, "column, token", n, p * LANES + t))
                    return;
            }
}

/* What the call was not asked for holds what it held. */
static void layer_untouched(struct check *c, const struct layer *l, int panel0, int panel1, int n0, int n1)
{
    const bool paired = c->set->kernels->precision != PRECISION_FP32 && l->g.kind != OUT_FP32;
    const size_t from = (size_t)n0 * LANES / (paired ? 2 : 1), to = (size_t)((n1 + 1) / 2 * 2) * LANES / (paired ? 2 : 1);
    for (size_t i = 0; i < l->out_words; i++) {
        const int p = (int)(i / l->g.out_stride);
        const size_t word = i % l->g.out_stride;
        if ((p < panel0 || p >= panel1 || word < from || word >= to) && l->out[i] != UNTOUCHED) {
            fail(c, "wrote word %zu of panel %d, which belongs to another call", word, p);
            return;
        }
    }
}

static void residual_make(struct check *c, struct layer *l)
{
    const int panels = l->g.residual_period ? l->g.residual_period : l->panels;
    l->g.residual_stride = ((size_t)l->g.n + 1) / 2 * 2 * LANES;
    float *r = room(c, (size_t)panels * l->g.residual_stride * sizeof *r);
    for (size_t i = 0; i < (size_t)panels * l->g.residual_stride; i++)
        r[i] = draw_float(c, 3);
    l->g.residual = r;
}

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

enum size { SMALL, LONG_SUM, WHOLE_CALL };

static void linear_case(struct check *c, enum cpu_activation act, enum size size)
{
    const struct kernels *k = c->set->kernels;
    struct layer l;
    const int unit = k->quantise ? 4 : is_bf16(k) ? 2 : 1;
    int panels = draw(c, 1, GEMM_MAX_PANELS), slabs = k->quantise || draw(c, 0, 2) ? 1 : draw(c, 2, GEMM_MAX_SLABS);
    int columns = draw(c, 1, 150), n = draw(c, 1, 4 * k->nr);
    if (size == LONG_SUM) { /* past 768 units sums rest in scratch (GEMM_KC); AMX rests at 128 */
        panels = draw(c, 1, 4);
        columns = draw(c, 760 * unit, 800 * unit);
        n = draw(c, 1, k->nr + 3);
    } else if (size == WHOLE_CALL) { /* what scratch is made for; slabs, so that all of it rests there */
        panels = GEMM_MAX_PANELS;
        slabs = k->quantise ? 1 : 2;
        columns = draw(c, 1, 10);
        n = GEMM_MAX_TILES * k->nr;
    }
    const int tiles = (n + k->nr - 1) / k->nr;
    layer_make(c, &l, panels, slabs, columns, n);
    l.g.act = act;
    l.g.kind = (enum out_kind)draw(c, OUT_FP32, OUT_QKV);
    l.g.v_from = l.g.kind == OUT_QKV ? draw(c, 0, n / 2) * 2 : 0;
    l.g.residual_period = draw(c, 0, 1) ? draw(c, 1, 3) : 0;
    if (draw(c, 0, 1))
        residual_make(c, &l);
    const bool all = size == WHOLE_CALL;
    const int panel0 = all ? 0 : draw(c, 0, panels - 1), panel1 = all ? panels : draw(c, panel0 + 1, panels),
              tile0 = all ? 0 : draw(c, 0, tiles - 1), tile1 = all ? tiles : draw(c, tile0 + 1, tiles);
    snprintf(c->at, sizeof c->at, "%d slabs of %d columns to %d%s%s, out kind %d, panels %d..%d of %d, tiles %d..%d", slabs,
             columns, n,
             act == CPU_GELU   ? ", GELU"
             : act == CPU_RELU ? ", ReLU"
                               : "",
             l.g.residual ? ", residual" : "", (int)l.g.kind, panel0, panel1, panels, tile0, tile1);
    k->gemm(&l.g, panel0, panel1, tile0, tile1, room(c, k->gemm_scratch()));
    layer_compare(c, &l, panel0, panel1, tile0 * k->nr, smaller(n, tile1 * k->nr));
    layer_untouched(c, &l, panel0, panel1, tile0 * k->nr, smaller(n, tile1 * k->nr));
    layer_free(c, &l);
}

static void linear_check(struct check *c)
{
    linear_case(c, CPU_NONE, WHOLE_CALL);
    for (int i = 0; i < 28; i++)
        linear_case(c, i % 3 ? CPU_NONE : CPU_RELU, i % 7 ? SMALL : LONG_SUM);
}
static void gelu_check(struct check *c)
{
    for (int i = 0; i < 12; i++)
        linear_case(c, CPU_GELU, i % 6 ? SMALL : LONG_SUM);
}
static bool has_linear(const struct kernels *k)
{
    return k->gemm != NULL;
}

/* ---- timed: the whole layer for 192 tokens, 768 to 768 and to 3,072 with GELU, in calls as large as the backend's ---- */

struct timed_layer {
    struct layer l;
    const struct kernels *k;
    void *scratch;
};
static void timed_call(void *context)
{
    struct timed_layer *t = context;
    const int tiles = (t->l.g.n + t->k->nr - 1) / t->k->nr;
    for (int tile = 0; tile < tiles; tile += GEMM_MAX_TILES)
        t->k->gemm(&t->l.g, 0, t->l.panels, tile, smaller(tiles, tile + GEMM_MAX_TILES), t->scratch);
}
static void time_layer(struct check *c, struct timed *out, int n, enum cpu_activation act)
{
    static struct timed_layer t;
    t.k = c->set->kernels;
    layer_make(c, &t.l, 12, 1, 768, n);
    free(t.l.a[0]);
    free(t.l.w);
    t.l.g.act = act;
    t.l.g.kind = act == CPU_GELU ? OUT_OPERAND : OUT_FP32;
    t.scratch = room(c, t.k->gemm_scratch());
    *out = (struct timed){timed_call, &t, 2. * 192 * 768 * n};
}
static void linear_time(struct check *c, struct timed *t)
{
    time_layer(c, t, 768, CPU_NONE);
}
static void gelu_time(struct check *c, struct timed *t)
{
    time_layer(c, t, 3072, CPU_GELU);
}

const struct kernel kernel_linear = {"linear", has_linear, linear_check, linear_time};
const struct kernel kernel_linear_gelu = {"linear, GELU", has_linear, gelu_check, gelu_time};
