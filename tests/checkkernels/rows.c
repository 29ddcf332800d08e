/* SPDX-License-Identifier: MIT */
/* rows.c - layernorm and quantise, which go down the columns of each token. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkkernels.h"

/* ---- layernorm: within 12 roundings of the size of what is added, also where all columns share a large offset ---- */

struct norm {
    struct layernorm l;
    float *x;
    uint32_t *y;
    int panels;
};

static void norm_make(struct check *c, struct norm *n, int panels, int dim)
{
    n->panels = panels;
    n->l = (struct layernorm){.dim = dim,
                              .eps = draw(c, 0, 1) ? 1e-12f : 1e-6f,
                              .kind = draw(c, 0, 1) ? OUT_OPERAND : OUT_FP32,
                              .x_stride = (size_t)(dim + draw(c, 0, 2)) * LANES,
                              .y_stride = (size_t)((dim + 1) / 2 * 2 + draw(c, 0, 2)) * LANES};
    float *gain = room(c, (size_t)dim * sizeof *gain), *bias = room(c, (size_t)dim * sizeof *bias);
    n->x = room(c, (size_t)panels * n->l.x_stride * sizeof *n->x);
    n->y = room(c, (size_t)panels * n->l.y_stride * sizeof *n->y);
    for (int i = 0; i < dim; i++) {
        gain[i] = draw_float(c, 2);
        bias[i] = draw_float(c, 1);
    }
    for (int t = 0; t < panels * LANES; t++) {
        const float offset = draw(c, 0, 3) ? draw_float(c, 2) : draw_float(c, 1000), scale = draw(c, 0, 7) ? 1 : 0;
        for (int i = 0; i < dim; i++) /* a row of one value now and then */
            n->x[(size_t)(t / LANES) * n->l.x_stride + (size_t)(i * LANES + t % LANES)] = offset + scale * draw_float(c, 3);
    }
    n->l.x = n->x, n->l.y = n->y, n->l.gain = gain, n->l.bias = bias;
}

static void norm_compare(struct check *c, const struct norm *n, int panel0, int panel1)
{
    const struct layernorm *l = &n->l;
    const bool paired = is_bf16(c->set->kernels) && l->kind == OUT_OPERAND;
    for (int t = panel0 * LANES; t < panel1 * LANES; t++) {
        const float *x = n->x + (size_t)(t / LANES) * l->x_stride + (size_t)(t % LANES);
        double mean = 0, variance = 0;
        for (int i = 0; i < l->dim; i++)
            mean += x[i * LANES];
        mean /= l->dim;
        for (int i = 0; i < l->dim; i++)
            variance += (x[i * LANES] - mean) * (x[i * LANES] - mean);
        const double scale = 1 / sqrt(variance / l->dim + (double)l->eps);
        for (int i = 0; i < l->dim; i++) {
            const double e = (x[i * LANES] - mean) * scale, want = e * l->gain[i] + l->bias[i];
            /* a row of one value: what is left of the mean, divided by sqrt(eps) */
            const double left = 0x1p-46 * fabs(mean) * scale;
            double allowed = 0x1p-24 * 12 * (fabs((double)l->gain[i]) * (fabs(e) + 1 + left * 0x1p24) + fabs((double)l->bias[i]));
            allowed += paired ? bf16_rounding(fabs(want) + allowed) : 0;
            const float got = operand_get(n->y + (size_t)(t / LANES) * l->y_stride, paired, i, t % LANES);
            if (!expect(c, (double)got, want, allowed, "column, token", i, t))
                return;
        }
    }
}

static void norm_untouched(struct check *c, const struct norm *n, int panel0, int panel1)
{
    const size_t words =
        (size_t)((n->l.dim + 1) / 2 * 2) * LANES / (is_bf16(c->set->kernels) && n->l.kind == OUT_OPERAND ? 2 : 1);
    for (int p = 0; p < n->panels; p++)
        for (size_t i = p < panel0 || p >= panel1 ? 0 : words; i < n->l.y_stride; i++)
            if (n->y[(size_t)p * n->l.y_stride + i] != UNTOUCHED) {
                fail(c, "wrote word %zu of panel %d, which is not its own", i, p);
                return;
            }
}

static void layernorm_check(struct check *c)
{
    for (int i = 0; i < 24; i++) {
        struct norm n;
        const int panels = draw(c, 1, 4), dim = draw(c, 1, i % 3 ? 60 : 800), panel0 = draw(c, 0, panels - 1);
        const int panel1 = draw(c, panel0 + 1, panels);
        norm_make(c, &n, panels, dim);
        snprintf(c->at, sizeof c->at, "%d columns, eps %g, out kind %d, panels %d..%d of %d", dim, (double)n.l.eps, (int)n.l.kind,
                 panel0, panel1, panels);
        c->set->kernels->layernorm(&n.l, panel0, panel1);
        norm_compare(c, &n, panel0, panel1);
        norm_untouched(c, &n, panel0, panel1);
        rooms_leave(c);
    }
}

static struct {
    const struct kernels *k;
    struct norm n;
    struct quantise q;
} timed_rows;
static void layernorm_call(void *context)
{
    (void)context;
    timed_rows.k->layernorm(&timed_rows.n.l, 0, timed_rows.n.panels);
}
static void layernorm_time(struct check *c, struct timed *t)
{
    timed_rows.k = c->set->kernels;
    norm_make(c, &timed_rows.n, 12, 768);
    timed_rows.n.l.kind = OUT_OPERAND;
    *t = (struct timed){layernorm_call, NULL, 0};
}
static bool has_layernorm(const struct kernels *k)
{
    return k->layernorm != NULL;
}
const struct kernel kernel_layernorm = {"layernorm", has_layernorm, layernorm_check, layernorm_time};

/* ---- quantise: the bits of quantise.h's formulas ---- */

static uint32_t *quantise_make(struct check *c, struct quantise *q, int panels, int columns, int align)
{
    const int units = (columns + 3) / 4;
    const bool paired = draw(c, 0, 1);
    *q = (struct quantise){.paired = paired, .units = units, .all_units = (units + align - 1) / align * align};
    q->x_stride = (size_t)(units * 4 / (paired ? 2 : 1) + draw(c, 0, 2)) * LANES;
    q->y_stride = (size_t)(q->all_units + 2 + draw(c, 0, 2)) * LANES;
    uint32_t *x = room(c, (size_t)panels * q->x_stride * sizeof *x), *y = room(c, (size_t)panels * q->y_stride * sizeof *y);
    for (int t = 0; t < panels * LANES; t++) {
        const int kind = draw(c, 0, 9); /* rows of zeros, of one sign, and ones that are not finite, too */
        const float largest = draw(c, 0, 3) ? 3 : 300;
        const int bad = draw(c, 0, columns - 1);
        for (int i = 0; i < units * 4; i++) {
            float v = i >= columns || kind == 0 ? 0 : draw_float(c, largest);
            v = kind == 1 ? fabsf(v) : kind == 2 ? -fabsf(v) : kind == 3 && i == bad ? (bad % 2 ? NAN : INFINITY) : v;
            operand_set(x + (size_t)(t / LANES) * q->x_stride, paired, i, t % LANES, v);
        }
    }
    q->x = x, q->y = y;
    return y;
}

static bool quantise_token(struct check *c, const struct quantise *q, const uint32_t *y, int t)
{
    const uint32_t *x = q->x + (size_t)(t / LANES) * q->x_stride, *line = y + (size_t)(t / LANES) * q->y_stride + t % LANES;
    float min = 0, max = 0, got;
    bool finite = true;
    for (int i = 0; i < q->units * 4; i++) {
        const float v = operand_get(x, q->paired, i, t % LANES);
        finite = finite && isfinite(v);
        min = v < min ? v : min;
        max = v > max ? v : max;
    }
    memcpy(&got, line + q->all_units * LANES, sizeof got);
    if (!finite) { /* whatever the integers are, the step makes every result NaN */
        c->results++;
        if (!isnan(got))
            fail(c, "token %d is not finite, and its step is %g", t, (double)got);
        return isnan(got);
    }
    const float range = max - min > 1e-30f ? max - min : 1e-30f, per_step = 255 / range;
    const int zero = (int)nearbyintf((0 - min) * per_step), offset = c->set->kernels->token_offset;
    if (!expect(c, (double)got, (double)(range * (1.f / 255)), 0, "step, token", 0, t) ||
        !expect(c, (int32_t)line[(q->all_units + 1) * LANES], zero - offset, 0, "zero point, token", 0, t))
        return false;
    for (int i = 0; i < q->units * 4; i++) {
        const int n = (int)nearbyintf(operand_get(x, q->paired, i, t % LANES) * per_step) + zero;
        if (!expect(c, (double)(line[i / 4 * LANES] >> (i % 4 * 8) & 255), ((n > 255 ? 255 : n) - offset) & 255, 0,
                    "column, token", i, t))
            return false;
    }
    return true;
}

static void quantise_check(struct check *c)
{
    for (int i = 0; i < 24; i++) {
        struct quantise q;
        const int panels = draw(c, 1, 4), columns = draw(c, 1, i % 3 ? 60 : 1500), panel0 = draw(c, 0, panels - 1);
        const int panel1 = draw(c, panel0 + 1, panels);
        uint32_t *y = quantise_make(c, &q, panels, columns, c->set->kernels->unit_align);
        snprintf(c->at, sizeof c->at, "%d columns of %s, panels %d..%d of %d", columns, q.paired ? "bf16" : "fp32", panel0,
                 panel1, panels);
        c->set->kernels->quantise(&q, panel0, panel1);
        for (int t = panel0 * LANES; t < panel1 * LANES && quantise_token(c, &q, y, t); t++)
            continue;
        for (size_t w = 0; w < (size_t)panels * q.y_stride; w++) {
            const int p = (int)(w / q.y_stride), line = (int)(w % q.y_stride) / LANES;
            const bool own = p >= panel0 && p < panel1 && (line < q.units || line == q.all_units || line == q.all_units + 1);
            if (!own && y[w] != UNTOUCHED) {
                fail(c, "wrote line %d of panel %d, which is not its own", line, p);
                break;
            }
        }
        rooms_leave(c);
    }
}

static void quantise_call(void *context)
{
    (void)context;
    timed_rows.k->quantise(&timed_rows.q, 0, 12);
}
static void quantise_time(struct check *c, struct timed *t)
{
    timed_rows.k = c->set->kernels;
    quantise_make(c, &timed_rows.q, 12, 768, c->set->kernels->unit_align);
    *t = (struct timed){quantise_call, NULL, 0};
}
static bool has_quantise(const struct kernels *k)
{
    return k->quantise != NULL;
}
const struct kernel kernel_quantise = {"quantise", has_quantise, quantise_check, quantise_time};
