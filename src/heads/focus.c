/* SPDX-License-Identifier: MIT */
/* heads/focus.c - see heads/focus.h. */
#include "heads/focus.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

enum { SUMS = 4 }; /* attention_stats without classes */

void focus_close(struct focus *f)
{
    free(f->entropy);
    free(f->loss);
    *f = (struct focus){0};
}

bool focus_add(struct focus *f, size_t heads, const double *entropy, const double *loss)
{
    if (f->count == FOCUS_PEOPLE)
        return true;
    if (f->count == f->room) {
        const int room = f->room ? 2 * f->room : 64;
        double *e = realloc(f->entropy, (size_t)room * heads * sizeof *e);
        f->entropy = e ? e : f->entropy;
        double *l = e ? realloc(f->loss, (size_t)room * heads * EFFECT_METRICS * sizeof *l) : NULL;
        f->loss = l ? l : f->loss;
        if (!e || !l)
            return false;
        f->room = room;
    }
    f->heads = heads;
    memcpy(f->entropy + (size_t)f->count * heads, entropy, heads * sizeof *entropy);
    memcpy(f->loss + (size_t)f->count * heads * EFFECT_METRICS, loss, heads * EFFECT_METRICS * sizeof *loss);
    f->count++;
    return true;
}

static double mean_entropy(const float *rows, int tokens)
{
    double sum = 0;
    for (int i = 0; i < tokens; i++) {
        const double p = (double)rows[i * SUMS], plnp = (double)rows[i * SUMS + 3];
        if (p > HEADS_LOOKS && tokens > 2)
            sum += (log(p) - plnp / p) / log(tokens - 1);
    }
    return sum / tokens;
}

limber_status focus_entropy(double *out, limber_session *session, const uint8_t *crop, limber_error *err)
{
    const struct config *c = &session->model->config;
    const size_t layers = (size_t)c->layers, rows = (size_t)c->tokens * SUMS, layer = (size_t)c->heads * rows;
    float *sums = malloc(layers * layer * sizeof *sums);
    uint8_t *masks = calloc((size_t)c->tokens, 1);
    struct attention_stats *stats = calloc(layers, sizeof *stats);
    const struct attention_stats **by_layer = calloc(layers, sizeof *by_layer);
    limber_status st = sums && masks && stats && by_layer
                           ? LIMBER_OK
                           : limber_fail(err, LIMBER_E_MEMORY, "no memory for the statistics of %zu layers", layers);
    for (size_t l = 0; !st && l < layers; l++) {
        stats[l] = (struct attention_stats){.masks = masks, .out = sums + l * layer};
        by_layer[l] = &stats[l];
    }
    if (!st) {
        session->vit.layer_stats = by_layer;
        st = vit_forward(&session->vit, crop, 1, session->joints, err);
        session->vit.layer_stats = NULL;
    }
    for (size_t h = 0; !st && h < layers * (size_t)c->heads; h++)
        out[h] = mean_entropy(sums + h * rows, c->tokens);
    free(sums);
    free(masks);
    free(stats);
    free(by_layer);
    return st;
}

/* ---- over people ---- */

static void column(double *out, const struct focus *f, size_t head, int metric)
{
    for (int i = 0; i < f->count; i++)
        out[i] = metric < 0 ? f->entropy[(size_t)i * f->heads + head]
                            : f->loss[((size_t)i * f->heads + head) * EFFECT_METRICS + (size_t)metric];
}

static void describe(struct focus_head *out, const double *entropy, int n)
{
    double m2 = 0;
    *out = (struct focus_head){0};
    for (int i = 0; i < n; i++) {
        out->mean += entropy[i] / n;
        out->focused += (double)(entropy[i] < FOCUSED) / n;
        out->exploring += (double)(entropy[i] > EXPLORING) / n;
    }
    for (int i = 0; i < n; i++)
        m2 += (entropy[i] - out->mean) * (entropy[i] - out->mean);
    out->sd = n > 1 ? sqrt(m2 / (n - 1)) : 0;
    for (int m = 0; m < EFFECT_METRICS; m++)
        out->p[m] = out->q[m] = 1;
}

bool focus_summarise(const struct focus *f, struct focus_head *out)
{
    const int n = f->count, heads = (int)f->heads;
    double *v = malloc((4 * (size_t)n + 2 * f->heads + 1) * sizeof *v);
    int *order = malloc((2 * f->heads + 1) * sizeof *order);
    const bool fine = v && order;
    double *a = v, *b = v + n, *ra = b + n, *rb = ra + n, *p = rb + n, *q = p + heads;
    for (int h = 0; fine && h < heads; h++) {
        column(a, f, (size_t)h, -1);
        describe(&out[h], a, n);
        const bool varies = n >= FOCUS_LEAST && effects_ranks(ra, a, n);
        for (int m = 0; varies && m < EFFECT_METRICS; m++) {
            column(b, f, (size_t)h, m);
            if (!effects_ranks(rb, b, n))
                continue;
            double rho = 0;
            for (int i = 0; i < n; i++)
                rho += ra[i] * rb[i];
            rho = fmax(-1, fmin(1, rho));
            out[h].tested[m] = true;
            out[h].rho[m] = rho;
            out[h].p[m] = fabs(rho) < 1 ? fmin(1, 2 * heads_student_p(fabs(rho) * sqrt((n - 2) / (1 - rho * rho)), n - 2)) : 0;
        }
    }
    for (int m = 0; fine && m < EFFECT_METRICS; m++) {
        int count = 0, *where = order + heads;
        for (int h = 0; h < heads; h++)
            if (out[h].tested[m]) {
                where[count] = h;
                p[count++] = out[h].p[m];
            }
        heads_adjust(q, p, order, count);
        for (int i = 0; i < count; i++)
            out[where[i]].q[m] = q[i];
    }
    free(v);
    free(order);
    return fine;
}
