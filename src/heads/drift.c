/* SPDX-License-Identifier: MIT */
/* heads/drift.c - two models side by side, layer by layer, and the divergence of their attention rows.
 *
 * Queries and keys of one layer are read from the backend at a time and rows are compared by a recurrence, in double: memory is linear in
 * the tokens, whatever the backend. Where the rows are nearly equal the divergence is a small difference of large logarithms; there
 *     KL = w + (log1p(w - mu) - (w - mu)),   x = s - t',  mu = sum p x,  w = sum p (expm1(-x) + x)
 * which is mu + ln sum p e^-x, written so that nothing cancels. */
#include "heads/drift.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "model/labels.h"

#define NEAR 0.5 /* |x| up to which the form above is used */
#define PIECE 64 /* keys */

const char *const drift_number_names[DRIFT_NUMBERS] = {"total", "own", "inherited", "j", "value", "control"};

/* ---- one row ---- */

void drift_row_begin(struct drift_row *r)
{
    *r = (struct drift_row){.m = -INFINITY, .n = -INFINITY};
}

void drift_row_add(struct drift_row *r, const double *s, const double *t, int count)
{
    double m = r->m, n = r->n;
    if (!r->seen && count > 0) {
        for (int j = 0; j < count; j++)
            r->shift += (s[j] - t[j]) / count;
        r->shift = isfinite(r->shift) ? r->shift : 0;
    }
    for (int j = 0; j < count; j++) {
        m = s[j] > m ? s[j] : m;
        n = t[j] + r->shift > n ? t[j] + r->shift : n;
    }
    if (m > r->m) {
        const double scale = exp(r->m - m);
        r->l *= scale;
        r->a *= scale;
        r->w *= scale;
        r->m = m;
    }
    if (n > r->n) {
        const double scale = exp(r->n - n);
        r->k *= scale;
        r->b *= scale;
        r->n = n;
    }
    for (int j = 0; j < count; j++) {
        const double u = t[j] + r->shift, x = s[j] - u, e = exp(s[j] - m), f = exp(u - n);
        r->l += e;
        r->a += e * x;
        if (fabs(x) <= NEAR)
            r->w += e * (expm1(-x) + x);
        r->k += f;
        r->b -= f * x;
        r->widest = fabs(x) > r->widest ? fabs(x) : r->widest;
    }
    r->seen += count;
}

double drift_row_kl(const struct drift_row *r)
{
    if (!r->seen)
        return 0;
    if (r->widest <= NEAR) {
        const double w = r->w / r->l, mu = r->a / r->l, v = w - mu;
        return fmax(0, w + (log1p(v) - v));
    }
    return fmax(0, r->a / r->l - (r->m + log(r->l)) + (r->n + log(r->k)));
}

double drift_row_j(const struct drift_row *r)
{
    return r->seen ? fmax(0, r->a / r->l + r->b / r->k) : 0;
}

/* ---- models ---- */

enum { A, B, CONTROL, MODELS };

/* Columns of the stream: the numbers, what total is above the control's, then total and own by limb. */
enum { OVER = DRIFT_NUMBERS, LIMB_TOTAL, LIMB_OWN = LIMB_TOTAL + LIMBER_HEADS_LIMBS, WIDTH = LIMB_OWN + LIMBER_HEADS_LIMBS };

struct drift {
    const struct config *config;
    limber_session *session[MODELS];
    struct drift_options options;
    struct heads_grid grid;
    struct heads_stream stream;
    size_t heads;
    float *x, *z[2]; /* [tokens][hidden]: A's x of the layer; z of A and another */
    float *qkv[2];   /* [tokens][3 * hidden] */
    uint8_t *crop, *masks;
    double *sum, *person; /* [heads][WIDTH]: the image so far, one person */
    int count[WIDTH];
    int64_t images, people;
};

static limber_status same_geometry(const struct config *a, const struct config *b, const char *who, limber_error *err)
{
    const struct {
        const char *name;
        int a, b;
    } all[] = {{"layers", a->layers, b->layers},
               {"heads", a->heads, b->heads},
               {"hidden", a->hidden, b->hidden},
               {"image height", a->image_h, b->image_h},
               {"image width", a->image_w, b->image_w},
               {"rows of patches", a->grid_h, b->grid_h},
               {"columns of patches", a->grid_w, b->grid_w}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].a != all[i].b)
            return limber_fail(err, LIMBER_E_ARGUMENT,
                               "drift: %s of the first model is %d, of the %s %d: heads have no counterpart", all[i].name,
                               all[i].a, who, all[i].b);
    return LIMBER_OK;
}

limber_status drift_open(struct drift **out, limber_session *a, limber_session *b, limber_session *control,
                         const struct drift_options *options, limber_error *err)
{
    const struct config *c = &a->model->config;
    limber_session *const sessions[MODELS] = {a, b, control};
    *out = NULL;
    limber_status st = same_geometry(c, &b->model->config, "second", err);
    if (!st && control)
        st = same_geometry(c, &control->model->config, "control", err);
    for (int i = 0; !st && i < MODELS; i++)
        if (sessions[i] && (sessions[i]->vit.flip || sessions[i]->model->attention_kind != ATTENTION_EXACT))
            st = limber_fail(err, LIMBER_E_ARGUMENT,
                             "drift: attention is looked at in one exact pass: no flip, attention \"exact\"");
    if (st)
        return st;
    struct drift *d = calloc(1, sizeof *d);
    if (!d)
        return limber_fail(err, LIMBER_E_MEMORY, "drift: no memory");
    const size_t tokens = (size_t)c->tokens, hidden = (size_t)c->hidden;
    d->config = c;
    d->options = *options;
    memcpy(d->session, sessions, sizeof d->session);
    d->heads = (size_t)c->layers * (size_t)c->heads;
    d->x = malloc(tokens * hidden * sizeof *d->x);
    d->crop = malloc((size_t)c->image_h * (size_t)c->image_w * 3);
    d->masks = malloc(tokens);
    d->sum = calloc(d->heads * WIDTH, sizeof *d->sum);
    d->person = calloc(d->heads * WIDTH, sizeof *d->person);
    bool fine = d->x && d->crop && d->masks && d->sum && d->person;
    for (int i = 0; i < 2; i++) {
        d->z[i] = malloc(tokens * hidden * sizeof *d->z[i]);
        d->qkv[i] = malloc(3 * tokens * hidden * sizeof *d->qkv[i]);
        fine = fine && d->z[i] && d->qkv[i];
    }
    fine = heads_stream_open(&d->stream, d->heads, WIDTH, options->bootstrap) && fine;
    st = fine ? heads_grid_open(&d->grid, c->grid_h, c->grid_w, err)
              : limber_fail(err, LIMBER_E_MEMORY, "drift: no memory for %zu heads, %zu tokens", d->heads, tokens);
    if (st)
        drift_close(&d);
    *out = d;
    return st;
}

void drift_close(struct drift **drift)
{
    struct drift *d = drift ? *drift : NULL;
    if (!d)
        return;
    heads_stream_close(&d->stream);
    heads_grid_close(&d->grid);
    free(d->x);
    free(d->crop);
    free(d->masks);
    free(d->sum);
    free(d->person);
    for (int i = 0; i < 2; i++) {
        free(d->z[i]);
        free(d->qkv[i]);
    }
    free(d);
    *drift = NULL;
}

/* ---- one person ---- */

static void scores(double *s, const float *qkv, const struct config *c, int head, int i)
{
    const size_t hidden = (size_t)c->hidden, dim = (size_t)c->head_dim;
    const float *q = qkv + (size_t)i * 3 * hidden + (size_t)head * dim;
    for (int j = 0; j < c->tokens; j++) {
        const float *k = qkv + (size_t)j * 3 * hidden + hidden + (size_t)head * dim;
        double sum = 0;
        for (size_t e = 0; e < dim; e++)
            sum += (double)q[e] * (double)k[e];
        s[j] = sum / sqrt((double)dim);
    }
}

/* Divergence of every query of a head, into the columns: its mean, and that over the queries of each limb from `limbs` on (-1: none). */
static void compare(struct drift *d, double *row, int head, int column, int j_column, int limbs, double *s, double *t)
{
    const struct config *c = d->config;
    double sum = 0, j_sum = 0, limb_sum[LIMBER_HEADS_LIMBS] = {0};
    int limb_count[LIMBER_HEADS_LIMBS] = {0};
    for (int i = 0; i < c->tokens; i++) {
        struct drift_row r;
        scores(s, d->qkv[0], c, head, i);
        scores(t, d->qkv[1], c, head, i);
        drift_row_begin(&r);
        for (int from = 0; from < c->tokens; from += PIECE)
            drift_row_add(&r, s + from, t + from, c->tokens - from < PIECE ? c->tokens - from : PIECE);
        const double kl = drift_row_kl(&r);
        sum += kl;
        j_sum += drift_row_j(&r);
        for (int k = 0; limbs >= 0 && k < LIMBER_HEADS_LIMBS; k++)
            if (d->masks[i] >> k & 1) {
                limb_sum[k] += kl;
                limb_count[k]++;
            }
    }
    row[column] = sum / c->tokens;
    if (j_column >= 0)
        row[j_column] = j_sum / c->tokens;
    for (int k = 0; limbs >= 0 && k < LIMBER_HEADS_LIMBS; k++)
        row[limbs + k] = limb_count[k] ? limb_sum[k] / limb_count[k] : 0;
}

static double value_drift(const struct drift *d, int head)
{
    const struct config *c = d->config;
    double difference = 0, size = 0;
    for (int t = 0; t < c->tokens; t++)
        for (int e = 0; e < c->head_dim; e++) {
            const size_t at = (size_t)t * (size_t)c->hidden + (size_t)(head * c->head_dim + e);
            const double a = (double)d->z[0][at], b = (double)d->z[1][at];
            difference += (a - b) * (a - b);
            size += a * a;
        }
    return size > 0 ? sqrt(difference / size) : 0;
}

/* x of a model -> its queries, keys and values (and z) of this layer, kept in place `at`. */
static void look(struct drift *d, limber_session *s, int layer, int at)
{
    struct vit *v = &s->vit;
    const struct span one = {.count = 1};
    vit_attention(v, layer, one);
    v->ex->ops->buf_read(v->ex, v->qkv, one, d->qkv[at]);
    v->ex->ops->buf_read(v->ex, v->y, one, d->z[at]);
}

static void move_on(limber_session *s, int layer)
{
    const struct span one = {.count = 1};
    vit_projection(&s->vit, layer, one);
    vit_mlp(&s->vit, layer, one);
}

/* A layer of A and B side by side, then B's again, fed by A's x, and the control's. Each model's x is that of the next layer
 * afterwards; B's waits in `next` meanwhile. */
static void compare_layer(struct drift *d, int layer, float *next, double *s, double *t)
{
    const struct config *c = d->config;
    const struct span one = {.count = 1};
    struct vit *a = &d->session[A]->vit, *b = &d->session[B]->vit;
    double *rows = d->person + (size_t)layer * (size_t)c->heads * WIDTH;
    a->ex->ops->buf_read(a->ex, a->x, one, d->x);
    look(d, d->session[A], layer, 0);
    move_on(d->session[A], layer);
    look(d, d->session[B], layer, 1);
    for (int h = 0; h < c->heads; h++) {
        compare(d, rows + h * WIDTH, h, DRIFT_TOTAL, DRIFT_J, LIMB_TOTAL, s, t);
        rows[h * WIDTH + DRIFT_VALUE] = value_drift(d, h);
    }
    move_on(d->session[B], layer);
    b->ex->ops->buf_read(b->ex, b->x, one, next);
    b->ex->ops->buf_write(b->ex, b->x, one, d->x);
    look(d, d->session[B], layer, 1);
    b->ex->ops->buf_write(b->ex, b->x, one, next);
    for (int h = 0; h < c->heads; h++) {
        double *row = rows + h * WIDTH;
        compare(d, row, h, DRIFT_OWN, -1, LIMB_OWN, s, t);
        row[DRIFT_INHERITED] = row[DRIFT_TOTAL] - row[DRIFT_OWN];
    }
    if (!d->session[CONTROL])
        return;
    look(d, d->session[CONTROL], layer, 1);
    for (int h = 0; h < c->heads; h++) {
        double *row = rows + h * WIDTH;
        compare(d, row, h, DRIFT_CONTROL, -1, -1, s, t);
        row[OVER] = row[DRIFT_TOTAL] - row[DRIFT_CONTROL];
    }
    move_on(d->session[CONTROL], layer);
}

static limber_status add_person(struct drift *d, const limber_image *image, limber_box box, const limber_keypoint *joints,
                                limber_error *err)
{
    const struct config *c = d->config;
    const size_t bytes = (size_t)c->image_h * (size_t)c->image_w * 3, layer = (size_t)c->tokens * (size_t)c->hidden;
    struct job job;
    limber_status st = job_prepare(&job, d->session[A]->model, image, &box, 1, err);
    if (st)
        return st;
    const struct crop_region region = job.subjects[0].region;
    memcpy(d->crop, job.subjects[0].crop, bytes);
    job_free(&job);
    memset(d->masks, 0, (size_t)c->tokens);
    if (joints) {
        struct heads_capsule capsules[HEADS_MAX_CAPSULES];
        const int n = heads_capsules(capsules, joints, 0, box, heads_place_of(c, region));
        heads_mask_capsules(d->masks, &d->grid, capsules, n);
    }
    float *next = malloc(layer * sizeof *next);
    double *s = malloc(2 * (size_t)c->tokens * sizeof *s);
    if (!next || !s)
        st = limber_fail(err, LIMBER_E_MEMORY, "drift: no memory for a layer");
    for (int i = 0; !st && i < MODELS; i++)
        if (d->session[i]) {
            struct vit *v = &d->session[i]->vit;
            v->whole = true;
            v->ex->ops->upload(v->ex, d->crop, 1, bytes);
            vit_embed(v, (struct span){.count = 1}, false);
        }
    for (int l = 0; !st && l < c->layers; l++)
        compare_layer(d, l, next, s, s + c->tokens);
    for (int i = 0; i < MODELS; i++)
        if (d->session[i]) {
            d->session[i]->vit.whole = false;
            limber_status end = d->session[i]->vit.ex->ops->finish(d->session[i]->vit.ex, st ? NULL : err);
            st = st ? st : end;
        }
    free(next);
    free(s);
    if (st)
        return st;
    for (int w = 0; w < WIDTH; w++) {
        bool present = w < DRIFT_CONTROL || (d->session[CONTROL] && w <= OVER);
        for (int k = 0, any = 0; joints && w >= LIMB_TOTAL && k < c->tokens; k++) {
            any |= d->masks[k] >> ((w - LIMB_TOTAL) % LIMBER_HEADS_LIMBS) & 1;
            present = any;
        }
        d->count[w] += present;
        for (size_t h = 0; present && h < d->heads; h++)
            d->sum[h * WIDTH + (size_t)w] += d->person[h * WIDTH + (size_t)w];
    }
    return LIMBER_OK;
}

static void forget(struct drift *d)
{
    memset(d->sum, 0, d->heads * WIDTH * sizeof *d->sum);
    memset(d->count, 0, sizeof d->count);
}

limber_status drift_add(struct drift *d, const limber_image *image, const limber_box *boxes, const limber_keypoint *joints,
                        int count, uint64_t number, limber_error *err)
{
    limber_status st = LIMBER_OK;
    for (int i = 0; !st && i < count; i++)
        st = add_person(d, image, boxes[i], joints ? joints + (size_t)i * COCO_KEYPOINTS : NULL, err);
    if (st) {
        forget(d);
        return st;
    }
    bool present[WIDTH];
    for (size_t w = 0; w < WIDTH; w++) {
        present[w] = d->count[w] > 0;
        for (size_t h = 0; present[w] && h < d->heads; h++)
            d->sum[h * WIDTH + w] /= d->count[w];
    }
    if (count > 0) {
        heads_stream_add(&d->stream, d->sum, present, d->options.seed, number);
        d->images++;
        d->people += count;
    }
    forget(d);
    return LIMBER_OK;
}

/* ---- what they say ---- */

limber_status drift_summarise(const struct drift *d, struct drift_result *out, limber_error *err)
{
    const int n = (int)d->heads;
    *out = (struct drift_result){.layers = d->config->layers,
                                 .heads = d->config->heads,
                                 .tokens = d->config->tokens,
                                 .images = d->images,
                                 .people = d->people};
    out->head = calloc(d->heads, sizeof *out->head);
    double *scratch = malloc(((size_t)d->options.bootstrap + 1) * sizeof *scratch), *p = calloc(2 * d->heads, sizeof *p);
    int *order = malloc(d->heads * sizeof *order);
    const bool fine = out->head && scratch && p && order;
    for (int h = 0; fine && h < n; h++) {
        struct drift_head *k = &out->head[h];
        for (int w = 0; w < DRIFT_NUMBERS; w++)
            k->number[w] = heads_stream_estimate(&d->stream, (size_t)h, (size_t)w, false, scratch);
        for (size_t c = 0; c < LIMBER_HEADS_LIMBS; c++) {
            k->limb_total[c] = heads_stream_estimate(&d->stream, (size_t)h, LIMB_TOTAL + c, false, scratch);
            k->limb_own[c] = heads_stream_estimate(&d->stream, (size_t)h, LIMB_OWN + c, false, scratch);
        }
        k->tested = d->stream.count[OVER] > 1;
        k->p = p[h] = k->tested ? heads_stream_p(&d->stream, (size_t)h, OVER) : 1;
    }
    if (fine)
        heads_adjust(p + n, p, order, n);
    for (int h = 0; fine && h < n; h++)
        out->head[h].q = p[n + h];
    free(scratch);
    free(p);
    free(order);
    if (fine)
        return LIMBER_OK;
    drift_result_free(out);
    return limber_fail(err, LIMBER_E_MEMORY, "drift: no memory for %d heads", n);
}

void drift_result_free(struct drift_result *r)
{
    free(r->head);
    *r = (struct drift_result){0};
}
