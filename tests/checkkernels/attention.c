/* SPDX-License-Identifier: MIT */
/* attention.c - fused attention of one head, its statistics and its weighted keys, against double sums over the same operands.
 *
 * How far a result may be off follows from where roundings happen: a score by those of its head_dim products, a weight by its score and
 * by what vmath.h states of 2^x (and of bf16, where the second product takes weights as such), a sum by its length: keys are summed
 * TILE at a time, and then the tiles; statistics in one go. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkkernels.h"

#define TILE 256

struct question {
    struct attention a;
    struct attention_stats stats;
    int panels;
    double off_by_summing; /* of a result, relatively */
    float *q, *k, *v;      /* [heads][tokens][head_dim] */
    uint32_t *out;
    size_t out_words, stats_floats;
};

/* How far a sum over so many may be off, relatively. */
static double off_by_summing(int terms)
{
    return 0x1p-24 * 2 * sqrt((double)terms);
}

static size_t at(const struct attention *a, int head, int token, int d)
{
    return ((size_t)head * (size_t)a->tokens + (size_t)token) * (size_t)a->head_dim + (size_t)d;
}

/* Columns of q, k and v where cpu.h says they lie; past the last token, finite rubbish. v is about `mean`. */
static void operands_make(struct check *c, struct question *x, float sharpness, float mean)
{
    const bool paired = is_bf16(c->set->kernels);
    struct attention *a = &x->a;
    const int dim = a->heads * a->head_dim;
    a->qkv_stride = (size_t)(3 * dim / (paired ? 2 : 1) + draw(c, 0, 2)) * LANES;
    uint32_t *qkv = room(c, (size_t)x->panels * a->qkv_stride * sizeof *qkv);
    float **parts[3] = {&x->q, &x->k, &x->v};
    for (int part = 0; part < 3; part++) {
        float *numbers = *parts[part] = malloc(at(a, a->heads, 0, 0) * sizeof *numbers);
        for (int t = 0; t < x->panels * LANES; t++)
            for (int i = 0; i < dim; i++) {
                const int column = part * dim + i;
                uint32_t *panel = qkv + (size_t)(t / LANES) * a->qkv_stride;
                float f = t < a->tokens ? draw_float(c, part < 2 ? sharpness : 3) + (part < 2 ? 0 : mean) : draw_float(c, 1e4f);
                f = paired ? bf16_rounded(f) : f;
                if (t < a->tokens)
                    numbers[at(a, i / a->head_dim, t, i % a->head_dim)] = f;
                if (paired && part == 2) {
                    const uint16_t half = (uint16_t)bf16_bits(f);
                    memcpy((uint16_t *)(void *)panel + column * LANES + t % LANES, &half, sizeof half);
                } else {
                    operand_set(panel, paired, column, t % LANES, f);
                }
            }
    }
    a->qkv = qkv;
}

static void question_make(struct check *c, struct question *x, int tokens, int heads, int head_dim, float sharpness, float mean)
{
    *x = (struct question){.panels = (tokens + LANES - 1) / LANES,
                           .off_by_summing = off_by_summing(tokens < TILE ? tokens : TILE) + off_by_summing(tokens / TILE),
                           .a = {.tokens = tokens, .heads = heads, .head_dim = head_dim, .grid_w = draw(c, 1, 20)}};
    operands_make(c, x, sharpness, mean);
    x->a.out_stride = (size_t)(heads * head_dim + draw(c, 0, 2)) * LANES;
    x->out_words = (size_t)x->panels * x->a.out_stride;
    x->a.out = x->out = room(c, x->out_words * sizeof *x->out);
}

static void question_stats(struct check *c, struct question *x, int classes)
{
    const struct attention *a = &x->a;
    const int people = 2;
    uint8_t *masks = room(c, (size_t)people * (size_t)a->tokens);
    for (int i = 0; i < people * a->tokens; i++)
        masks[i] = (uint8_t)draw(c, 0, 255);
    x->stats_floats = (size_t)people * (size_t)a->heads * (size_t)a->tokens * (size_t)(4 + classes);
    x->stats = (struct attention_stats){
        .classes = classes, .masks = masks, .include_self = draw(c, 0, 1), .out = room(c, x->stats_floats * sizeof(float))};
    x->a.person = draw(c, 0, people - 1);
    x->a.stats = &x->stats;
}

static void question_groups(struct check *c, struct question *x)
{
    float *log2s = room(c, (size_t)x->a.tokens * sizeof *log2s);
    for (int i = 0; i < x->a.tokens; i++)
        log2s[i] = log2f((float)draw(c, 1, 40));
    x->a.key_log2 = log2s;
}

static void question_free(struct check *c, struct question *x)
{
    free(x->q), free(x->k), free(x->v);
    rooms_leave(c);
}

/* The weights of a query, and how far, relatively, one may be off, before it is summed. */
static double weights_of(const struct check *c, const struct question *x, int head, int query, double *p)
{
    const struct attention *a = &x->a;
    const double scale = 1 / sqrt((double)a->head_dim);
    double largest = -INFINITY, sum = 0, size = 0, top = 0;
    for (int j = 0; j < a->tokens; j++) {
        double s = 0, absolute = 0;
        for (int d = 0; d < a->head_dim; d++) {
            const double product = (double)x->q[at(a, head, query, d)] * x->k[at(a, head, j, d)];
            s += product;
            absolute += fabs(product);
        }
        p[j] = s * scale;
        top = fmax(top, fabs(p[j]));
        size = fmax(size, absolute * scale);
        p[j] += a->key_log2 ? (double)a->key_log2[j] * 0.69314718055994531 : 0;
        largest = fmax(largest, p[j]);
    }
    for (int j = 0; j < a->tokens; j++)
        sum += p[j] = exp(p[j] - largest);
    for (int j = 0; j < a->tokens; j++)
        p[j] /= sum;
    const double score = 0x1p-24 * ((2 + sqrt((double)a->head_dim)) * size + 6 * top + 8);
    return score + 2 * (is_bf16(c->set->kernels) ? 1.2e-4 : 2e-7);
}

static bool values_agree(struct check *c, const struct question *x, int head, int query, const double *p, double off)
{
    const struct attention *a = &x->a;
    const bool paired = is_bf16(c->set->kernels);
    off += x->off_by_summing;
    for (int d = 0; d < a->head_dim; d++) {
        double want = 0, size = 0;
        for (int j = 0; j < a->tokens; j++) {
            want += p[j] * x->v[at(a, head, j, d)];
            size += fabs(p[j] * x->v[at(a, head, j, d)]);
        }
        const uint32_t *panel = x->out + (size_t)(query / LANES) * a->out_stride;
        const float got = operand_get(panel, paired, head * a->head_dim + d, query % LANES);
        double allowed = size * (off + (paired ? 0x1p-8 : 0)) + 0x1p-23 * fabs(want) + 1e-30; /* bf16: weights are rounded */
        allowed += paired ? bf16_rounding(fabs(want) + allowed) : 0;
        if (!expect(c, (double)got, want, allowed, "head's column, query", d, query))
            return false;
    }
    return true;
}

static bool stats_agree(struct check *c, const struct question *x, int head, int query, const double *p, double off)
{
    const struct attention *a = &x->a;
    const int classes = x->stats.classes, width = 4 + classes;
    const size_t row = ((size_t)a->person * (size_t)a->heads + (size_t)head) * (size_t)a->tokens + (size_t)query;
    double want[4 + ATTENTION_STATS_MAX_CLASSES] = {0};
    off += off_by_summing(a->tokens);
    for (int j = 0; j < a->tokens; j++) {
        if (j == query && !x->stats.include_self)
            continue;
        want[0] += p[j];
        want[1] += p[j] * p[j];
        want[2] += p[j] * hypot(query % a->grid_w - j % a->grid_w, query / a->grid_w - j / a->grid_w);
        want[3] += p[j] > 0 ? p[j] * log(p[j]) : 0;
        for (int i = 0; i < classes; i++)
            want[4 + i] += x->stats.masks[a->person * a->tokens + j] >> i & 1 ? p[j] : 0;
    }
    for (int i = 0; i < width; i++) {
        const double allowed = 2 * off * (fabs(want[i]) + (i == 3 ? want[0] : 0)) + 1e-30;
        if (!expect(c, (double)x->stats.out[row * (size_t)width + (size_t)i], want[i], allowed, "statistic, query", i, query))
            return false;
    }
    return true;
}

static void untouched(struct check *c, const struct question *x, int head, int panel0, int panels)
{
    const struct attention *a = &x->a;
    const size_t words = (size_t)a->head_dim * LANES / (is_bf16(c->set->kernels) ? 2 : 1), from = (size_t)head * words;
    for (size_t i = 0; i < x->out_words; i++) {
        const int p = (int)(i / a->out_stride);
        const size_t word = i % a->out_stride;
        if ((p < panel0 || p >= panel0 + panels || word < from || word >= from + words) && x->out[i] != UNTOUCHED) {
            fail(c, "wrote word %zu of panel %d, which belongs to another call", word, p);
            return;
        }
    }
    const size_t width = a->stats ? (size_t)(4 + x->stats.classes) : 0;
    for (size_t i = 0; i < x->stats_floats; i++) {
        const size_t row = i / width, token = row % (size_t)a->tokens, h = row / (size_t)a->tokens;
        const bool asked = h == (size_t)a->person * (size_t)a->heads + (size_t)head && token / LANES >= (size_t)panel0 &&
                           token / LANES < (size_t)(panel0 + panels);
        uint32_t bits;
        memcpy(&bits, x->stats.out + i, sizeof bits);
        if (!asked && bits != UNTOUCHED) {
            fail(c, "wrote a statistic of row %zu, which belongs to another call", row);
            return;
        }
    }
}

/* Results of the queries of a few panels of a head. */
static void queries_agree(struct check *c, const struct question *x, int head, int panel0, int panels)
{
    double *p = malloc((size_t)x->a.tokens * sizeof *p);
    for (int query = panel0 * LANES; query < (panel0 + panels) * LANES && query < x->a.tokens; query++) {
        const double off = weights_of(c, x, head, query, p);
        if (!values_agree(c, x, head, query, p, off) || (x->a.stats && !stats_agree(c, x, head, query, p, off)))
            break;
    }
    free(p);
}

enum variant { PLAIN, STATS, GROUPED };

static void attention_case(struct check *c, enum variant variant, bool many)
{
    static const int dims[] = {32, 64, 80, 2, 16, 6, 10, 100};
    const struct kernels *k = c->set->kernels;
    struct question x;
    /* keys are taken 256 at a time: many crosses that */
    const int tokens = many ? draw(c, 257, 600) : draw(c, 1, 100), heads = draw(c, 1, 3);
    const int head_dim = is_bf16(k) || draw(c, 0, 2) ? dims[draw(c, 0, many ? 3 : 7)] : draw(c, 1, 20);
    const float sharpness = draw(c, 0, 2) ? 1 : 6;
    question_make(c, &x, tokens, heads, head_dim, sharpness, 0);
    if (variant == STATS)
        question_stats(c, &x, draw(c, 0, ATTENTION_STATS_MAX_CLASSES));
    if (variant == GROUPED)
        question_groups(c, &x);
    const int head = draw(c, 0, heads - 1), panel0 = draw(c, 0, x.panels - 1),
              most = k->attention_panels < x.panels - panel0 ? k->attention_panels : x.panels - panel0, panels = draw(c, 1, most);
    snprintf(c->at, sizeof c->at, "%d tokens, head %d of %d, head_dim %d, queries of panels %d..%d", tokens, head, heads,
             head_dim, panel0, panel0 + panels);
    k->attention(&x.a, head, panel0, panels, room(c, k->attention_scratch(tokens, head_dim)));
    queries_agree(c, &x, head, panel0, panels);
    untouched(c, &x, head, panel0, panels);
    question_free(c, &x);
}

/* As many keys as the largest picture of a YOLOS has tokens, all of about the same weight: roundings of the tiles' sums do not add up. */
static void check_long(struct check *c)
{
    enum { TOKENS = 4251, HEAD_DIM = 64 };
    const struct kernels *k = c->set->kernels;
    struct question x;
    question_make(c, &x, TOKENS, 1, HEAD_DIM, 0.1f, 3);
    x.off_by_summing = off_by_summing(TILE) / sqrt((double)TOKENS / TILE) + off_by_summing(TOKENS / TILE);
    const int panels = k->attention_panels < 3 ? k->attention_panels : 3, panel0 = draw(c, 0, x.panels - panels);
    snprintf(c->at, sizeof c->at, "%d tokens of about the same weight, panels %d..%d", TOKENS, panel0, panel0 + panels);
    k->attention(&x.a, 0, panel0, panels, room(c, k->attention_scratch(TOKENS, HEAD_DIM)));
    queries_agree(c, &x, 0, panel0, panels);
    question_free(c, &x);
}

static void check_plain(struct check *c)
{
    for (int i = 0; i < 24; i++)
        attention_case(c, PLAIN, i % 3 == 0);
    check_long(c);
}
static void check_stats(struct check *c)
{
    for (int i = 0; i < 16; i++)
        attention_case(c, STATS, i % 3 == 0);
}
static void check_grouped(struct check *c)
{
    for (int i = 0; i < 12; i++)
        attention_case(c, GROUPED, i % 3 == 0);
}
static bool has(const struct kernels *k)
{
    return k->attention != NULL;
}

/* ---- timed: all heads, one after the other ---- */

static struct {
    struct question x;
    const struct kernels *k;
    void *scratch;
} timed;
static void timed_call(void *context)
{
    (void)context;
    for (int head = 0; head < timed.x.a.heads; head++)
        for (int p = 0, panels; p < timed.x.panels; p += panels) {
            panels = timed.x.panels - p < timed.k->attention_panels ? timed.x.panels - p : timed.k->attention_panels;
            timed.k->attention(&timed.x.a, head, p, panels, timed.scratch);
        }
}
static void time_it(struct check *c, struct timed *t, enum variant variant)
{
    timed.k = c->set->kernels;
    const int tokens = timed_shape.tokens, head_dim = timed_shape.head_dim;
    question_make(c, &timed.x, tokens, timed_shape.heads, head_dim, 1, 0);
    if (variant == STATS)
        question_stats(c, &timed.x, 8);
    if (variant == GROUPED)
        question_groups(c, &timed.x);
    free(timed.x.q), free(timed.x.k), free(timed.x.v);
    timed.scratch = room(c, timed.k->attention_scratch(tokens, head_dim));
    *t = (struct timed){timed_call, NULL, 4. * tokens * tokens * head_dim * timed_shape.heads};
}
static void time_plain(struct check *c, struct timed *t)
{
    time_it(c, t, PLAIN);
}
static void time_stats(struct check *c, struct timed *t)
{
    time_it(c, t, STATS);
}
static void time_grouped(struct check *c, struct timed *t)
{
    time_it(c, t, GROUPED);
}

const struct kernel kernel_attention = {"attention", has, check_plain, time_plain};
const struct kernel kernel_attention_stats = {"attention, statistics", has, check_stats, time_stats};
const struct kernel kernel_attention_grouped = {"attention, weighted keys", has, check_grouped, time_grouped};
