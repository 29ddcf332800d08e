/* SPDX-License-Identifier: MIT */
/* heads/rings.c - see heads/rings.h. */
#include "heads/rings.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define RINGS LIMBER_HEADS_RINGS

int rings_of(double distance)
{
    static const double edges[RINGS - 1] = LIMBER_HEADS_RING_EDGES;
    int k = 0;
    while (k < RINGS - 1 && distance > edges[k])
        k++;
    return k;
}

static bool sums_open(struct rings_sums *s, size_t heads, size_t offsets)
{
    s->mass = calloc(heads * RINGS, sizeof *s->mass);
    s->offset = calloc(heads * offsets, sizeof *s->offset);
    return s->mass && s->offset;
}

limber_status rings_open(struct rings *r, const struct heads_grid *grid, size_t heads, limber_error *err)
{
    *r = (struct rings){.grid = grid, .heads = heads, .offsets = (size_t)(2 * grid->h - 1) * (size_t)(2 * grid->w - 1)};
    r->row = malloc((size_t)grid->tokens * sizeof *r->row);
    const bool fine = sums_open(&r->all, heads, r->offsets);
    return sums_open(&r->image, heads, r->offsets) && fine && r->row
               ? LIMBER_OK
               : limber_fail(err, LIMBER_E_MEMORY, "heads: no memory for rings of %zu heads", heads);
}

void rings_close(struct rings *r)
{
    free(r->all.mass);
    free(r->all.offset);
    free(r->image.mass);
    free(r->image.offset);
    free(r->row);
    *r = (struct rings){0};
}

/* ---- one person ---- */

struct tapped {
    struct rings *rings;
    const struct config *config;
    const int *layers;
    int layer_count;
    float *qkv; /* [tokens][3 * hidden] */
};

/* Softmax of query i over the other patches, into row[]; row[i] is 0. Returns the strongest key. */
static int make_row(double *row, const float *qkv, const struct config *c, int head, int i)
{
    const size_t hidden = (size_t)c->hidden, dim = (size_t)c->head_dim;
    const float *q = qkv + (size_t)i * 3 * hidden + (size_t)head * dim;
    double most = -INFINITY, sum = 0;
    int best = -1;
    for (int j = 0; j < c->tokens; j++) {
        const float *k = qkv + (size_t)j * 3 * hidden + hidden + (size_t)head * dim;
        float s = 0;
        for (size_t e = 0; e < dim; e++)
            s += q[e] * k[e];
        row[j] = j == i ? -INFINITY : (double)s / sqrt((double)dim);
        if (row[j] > most) {
            most = row[j];
            best = j;
        }
    }
    for (int j = 0; j < c->tokens; j++)
        sum += row[j] = j == i || best < 0 ? 0 : exp(row[j] - most);
    for (int j = 0; sum > 0 && j < c->tokens; j++)
        row[j] /= sum;
    return best;
}

static void add_row(struct rings *r, size_t head, int i, int best, bool first)
{
    const struct heads_grid *g = r->grid;
    struct rings_sums *s = &r->image;
    for (int j = 0; j < g->tokens; j++) {
        if (j == i)
            continue;
        const int ring = rings_of(heads_distance(g, i, j));
        s->mass[head * RINGS + (size_t)ring] += r->row[j];
        if (first)
            s->flat[ring] += 1.0 / (g->tokens - 1);
    }
    s->rows += first;
    if (best < 0)
        return;
    const int down = best / g->w - i / g->w + g->h - 1, right = best % g->w - i % g->w + g->w - 1;
    s->offset[head * r->offsets + (size_t)(down * (2 * g->w - 1) + right)]++;
}

static void look(void *context, const char *where, int layer, struct exec *ex, const struct buf *b, struct span span)
{
    const struct tapped *t = context;
    int at = -1;
    for (int l = 0; l < t->layer_count; l++)
        at = t->layers[l] == layer ? l : at;
    if (at < 0 || strcmp(where, "qkv"))
        return;
    span.count = 1;
    ex->ops->buf_read(ex, b, span, t->qkv);
    const int tokens = t->config->tokens, step = (tokens + RINGS_QUERIES - 1) / RINGS_QUERIES;
    for (int h = 0; h < t->config->heads; h++)
        for (int i = step / 2; i < tokens; i += step) {
            const int best = make_row(t->rings->row, t->qkv, t->config, h, i);
            add_row(t->rings, (size_t)at * (size_t)t->config->heads + (size_t)h, i, best, at == 0 && h == 0);
        }
}

limber_status rings_person(struct rings *r, limber_session *session, const uint8_t *crop, const int *layers, int layer_count,
                           limber_error *err)
{
    const struct config *c = &session->model->config;
    struct tapped t = {.rings = r,
                       .config = c,
                       .layers = layers,
                       .layer_count = layer_count,
                       .qkv = malloc((size_t)c->tokens * 3 * (size_t)c->hidden * sizeof *t.qkv)};
    if (!t.qkv)
        return limber_fail(err, LIMBER_E_MEMORY, "heads: no memory for the queries of %d tokens", c->tokens);
    session->vit.tap = look;
    session->vit.tap_context = &t;
    limber_status st = vit_forward(&session->vit, crop, 1, session->joints, err);
    session->vit.tap = NULL;
    session->vit.tap_context = NULL;
    free(t.qkv);
    return st;
}

/* ---- images ---- */

void rings_forget(struct rings *r)
{
    struct rings_sums *s = &r->image;
    memset(s->mass, 0, r->heads * RINGS * sizeof *s->mass);
    memset(s->offset, 0, r->heads * r->offsets * sizeof *s->offset);
    memset(s->flat, 0, sizeof s->flat);
    s->rows = 0;
}

void rings_image(struct rings *r)
{
    for (size_t i = 0; i < r->heads * RINGS; i++)
        r->all.mass[i] += r->image.mass[i];
    for (size_t i = 0; i < r->heads * r->offsets; i++)
        r->all.offset[i] += r->image.offset[i];
    for (int k = 0; k < RINGS; k++)
        r->all.flat[k] += r->image.flat[k];
    r->all.rows += r->image.rows;
    rings_forget(r);
}

static limber_heads_strategy strategy_of(const limber_heads_head *h)
{
    double apart = 0;
    for (int k = 0; k < RINGS; k++)
        apart += 0.5 * fabs(h->ring[k] - h->ring_flat[k]);
    if (h->offset_share >= LIMBER_HEADS_MIN_OFFSET)
        return LIMBER_HEADS_OFFSET;
    if (apart < LIMBER_HEADS_FLAT_RINGS)
        return LIMBER_HEADS_FLAT;
    return h->reach.mean > 1 ? LIMBER_HEADS_FAR : LIMBER_HEADS_RING;
}

void rings_summarise(const struct rings *r, limber_heads_head *heads)
{
    const struct rings_sums *s = &r->all;
    for (size_t h = 0; h < r->heads; h++) {
        limber_heads_head *out = &heads[h];
        size_t best = 0;
        if (!s->rows)
            continue;
        for (size_t k = 0; k < RINGS; k++) {
            out->ring[k] = s->mass[h * RINGS + k] / (double)s->rows;
            out->ring_flat[k] = s->flat[k] / (double)s->rows;
        }
        for (size_t o = 0; o < r->offsets; o++)
            best = s->offset[h * r->offsets + o] > s->offset[h * r->offsets + best] ? o : best;
        out->offset_down = (int)best / (2 * r->grid->w - 1) - (r->grid->h - 1);
        out->offset_right = (int)best % (2 * r->grid->w - 1) - (r->grid->w - 1);
        out->offset_share = (double)s->offset[h * r->offsets + best] / (double)s->rows;
        out->strategy = strategy_of(out);
    }
}
