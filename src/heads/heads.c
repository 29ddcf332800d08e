/* SPDX-License-Identifier: MIT */
/* heads/heads.c - people go through the network with masks beside them, and the sums the fused attention keeps become statistics.
 *
 *   joints or labels -> own masks, moved and swapped ones           heads/masks.c
 *   masks -> struct attention_stats of every layer -> forward       pose/vit.c, and the backend's attention
 *   sums -> correlations -> means, intervals, null, names           heads/stats.c, heads/chance.c
 *   pictures, tables                                                command/report/heads_report.c
 *
 * A backend keeps eight masks a pass, and the null wants more: a person then stands in the batch several times, each time with
 * other masks ("copies"). Memory is that of `slots` copies, whatever the number of images. People are counted in the order they
 * come, so the result does not depend on how copies fall into batches. */
#include "heads/anywhere.h"
#include "heads/heads.h"
#include "heads/rings.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "model/labels.h"
#include "pose/limbs.h"

#define MAX_BOOTSTRAP 100000
#define MAX_BOOTSTRAP_BYTES ((double)(1ull << 34))

struct limber_heads {
    limber_session *session;
    const struct config *config;
    int moves, bootstrap, classes, masks; /* masks: classes, and those of boundaries */
    bool limbs, include_self;
    uint64_t seed;
    float min_score;
    int *layers; /* [layer_count] of the model */
    int layer_count;
    char class_name[LIMBER_HEADS_MAX_CLASSES][48];
    int mirror[LIMBER_HEADS_MAX_CLASSES]; /* [masks], both */
    struct heads_grid grid;
    struct heads_stats *stats;
    struct rings rings;
    struct anywhere anywhere;
    struct heads_donors donors, donors_before; /* before: as they were when the image began */
    struct heads_columns columns;
    uint8_t *own; /* [tokens] */
    /* one chunk of copies in the network */
    int slots;
    float **sums;                            /* [layer_count]: [copies_max][heads][tokens][HEADS_SUMS] */
    struct attention_stats *requests;        /* [layer_count] */
    const struct attention_stats **by_layer; /* [layers of the model] */
    int64_t images, people;
};

/* ---- open, close ---- */

limber_heads_options limber_heads_options_default(void)
{
    return (limber_heads_options){.moves = 2, .bootstrap = 1000, .seed = 1, .min_score = 0.3f, .boundaries = 1};
}

const char *limber_heads_limb_name(int limb)
{
    return limb >= 0 && limb < LIMBER_HEADS_LIMBS ? heads_limb_names[limb] : NULL;
}

const char *limber_heads_kind_name(limber_heads_kind kind)
{
    static const char *const names[] = {"mixed", "specialist", "diffuse", "local"};
    return (unsigned)kind < sizeof names / sizeof *names ? names[kind] : "unknown";
}

const char *limber_heads_strategy_name(limber_heads_strategy strategy)
{
    static const char *const names[] = {"ring", "offset", "far", "flat"};
    return (unsigned)strategy < sizeof names / sizeof *names ? names[strategy] : "unknown";
}

static limber_status check_options(const limber_heads_options *o, const limber_session *session, limber_error *err)
{
    const struct config *c = &session->model->config;
    if (o->moves < 0 || o->moves > LIMBER_HEADS_MAX_MOVES)
        return limber_fail(err, LIMBER_E_ARGUMENT, "heads: moves is %d, expected 0..%d", o->moves, LIMBER_HEADS_MAX_MOVES);
    if (o->bootstrap < 0 || o->bootstrap > MAX_BOOTSTRAP)
        return limber_fail(err, LIMBER_E_ARGUMENT, "heads: bootstrap is %d replicates, expected 0..%d", o->bootstrap,
                           MAX_BOOTSTRAP);
    if (o->label_classes < 0 || o->label_classes > LIMBER_HEADS_MAX_CLASSES)
        return limber_fail(err, LIMBER_E_ARGUMENT, "heads: %d label classes, expected 0..%d", o->label_classes,
                           LIMBER_HEADS_MAX_CLASSES);
    if (!(o->min_score >= 0 && o->min_score <= 1))
        return limber_fail(err, LIMBER_E_ARGUMENT, "heads: min_score is %g, expected 0..1", (double)o->min_score);
    limber_status st = LIMBER_CHECK_RESERVED(o, "heads", "limber_heads_options_default()", err);
    if (st)
        return st;
    if (o->layers && o->layer_count < 1)
        return limber_fail(err, LIMBER_E_ARGUMENT, "heads: %d layers chosen", o->layer_count);
    for (int i = 0; o->layers && i < o->layer_count; i++)
        if (o->layers[i] < 0 || o->layers[i] >= c->layers || (i > 0 && o->layers[i] <= o->layers[i - 1]))
            return limber_fail(err, LIMBER_E_ARGUMENT, "heads: layer %d at place %d: expected ascending numbers in 0..%d",
                               o->layers[i], i, c->layers - 1);
    if (session->vit.flip)
        return limber_fail(err, LIMBER_E_ARGUMENT,
                           "heads: the session flips; attention is looked at in one pass: open one without");
    if (session->model->attention_kind != ATTENTION_EXACT)
        return limber_fail(err, LIMBER_E_UNSUPPORTED,
                           "heads: the model was opened with approximate attention; open it with \"exact\"");
    return LIMBER_OK;
}

static limber_status open_buffers(limber_heads *h, limber_error *err)
{
    const struct config *c = h->config;
    size_t tokens = (size_t)c->tokens, copies = (size_t)heads_copies_max(h->masks, h->moves), layers = (size_t)h->layer_count;
    size_t copy = (size_t)c->heads * tokens * HEADS_SUMS;
    h->slots = (int)copies;
    h->own = malloc(tokens);
    h->columns.masks = malloc(copies * tokens);
    h->donors.masks = malloc(HEADS_DONORS * tokens);
    h->donors_before.masks = malloc(HEADS_DONORS * tokens);
    h->sums = calloc(layers, sizeof *h->sums);
    h->requests = calloc(layers, sizeof *h->requests);
    h->by_layer = calloc((size_t)c->layers, sizeof *h->by_layer);
    bool fine = h->own && h->columns.masks && h->donors.masks && h->donors_before.masks && h->sums && h->requests && h->by_layer;
    for (size_t l = 0; fine && l < layers; l++)
        fine = (h->sums[l] = malloc(copies * copy * sizeof **h->sums)) != NULL;
    if (!fine)
        return limber_fail(err, LIMBER_E_MEMORY, "heads: no memory for the sums of %zu layers, %d heads, %zu tokens, %zu passes",
                           layers, c->heads, tokens, copies);
    return LIMBER_OK;
}

limber_status limber_heads_open(limber_heads **out, limber_session *session, const limber_heads_options *options,
                                limber_error *err)
{
    if (out)
        *out = NULL;
    if (!out || !session)
        return limber_fail(err, LIMBER_E_ARGUMENT, "limber_heads_open: %s is NULL", out ? "session" : "out");
    limber_heads_options o = options ? *options : limber_heads_options_default();
    limber_status st = session_has_model(session, "limber_heads_open", err);
    if (!st)
        st = check_options(&o, session, err);
    if (st)
        return st;
    const struct config *c = &session->model->config;
    limber_heads *h = calloc(1, sizeof *h);
    if (!h)
        return limber_fail(err, LIMBER_E_MEMORY, "heads: no memory");
    h->session = session;
    h->config = c;
    h->moves = o.moves;
    h->bootstrap = o.bootstrap;
    h->seed = o.seed;
    h->include_self = o.include_self != 0;
    h->min_score = o.min_score;
    h->limbs = o.label_classes == 0;
    h->classes = h->limbs ? LIMBER_HEADS_LIMBS : o.label_classes;
    h->masks = h->classes + (h->limbs && o.boundaries ? HEADS_BOUNDARIES : 0);
    for (int k = h->classes; k < h->masks; k++) {
        h->mirror[k] = -1;
        snprintf(h->class_name[k], sizeof h->class_name[k], "%s", heads_boundary_names[k - h->classes]);
    }
    for (int k = 0; k < h->classes; k++) {
        h->mirror[k] = h->limbs ? heads_limb_mirror[k] : -1;
        if (h->limbs || o.label_names)
            snprintf(h->class_name[k], sizeof h->class_name[k], "%s", h->limbs ? heads_limb_names[k] : o.label_names[k]);
        else
            snprintf(h->class_name[k], sizeof h->class_name[k], "%d", k + 1);
    }
    h->layer_count = o.layers ? o.layer_count : c->layers;
    double replicas = 8.0 * o.bootstrap * h->layer_count * c->heads * (8.0 * h->classes + 7 + 8.0 * h->masks);
    if (replicas > MAX_BOOTSTRAP_BYTES)
        st = limber_fail(err, LIMBER_E_MEMORY, "heads: %d replicates of %d heads take %.1f GB, the limit is %.1f", o.bootstrap,
                         h->layer_count * c->heads, replicas / 1e9, MAX_BOOTSTRAP_BYTES / 1e9);
    if (!st && !(h->layers = malloc((size_t)h->layer_count * sizeof *h->layers)))
        st = limber_fail(err, LIMBER_E_MEMORY, "heads: no memory");
    for (int l = 0; !st && l < h->layer_count; l++)
        h->layers[l] = o.layers ? o.layers[l] : l;
    if (!st)
        st = heads_grid_open(&h->grid, c->grid_h, c->grid_w, err);
    struct heads_shape shape = {.layers = h->layer_count,
                                .heads = c->heads,
                                .classes = h->classes,
                                .include_self = h->include_self,
                                .replicates = h->bootstrap,
                                .seed = h->seed};
    memcpy(shape.mirror, h->mirror, sizeof shape.mirror);
    if (!st)
        st = heads_stats_open(&h->stats, &shape, &h->grid, err);
    if (!st)
        shape.classes = h->masks;
    if (!st)
        st = anywhere_open(&h->anywhere, &shape, h->masks - h->classes, &h->grid, err);
    if (!st)
        st = rings_open(&h->rings, &h->grid, (size_t)h->layer_count * (size_t)c->heads, err);
    if (!st)
        st = open_buffers(h, err);
    if (st)
        limber_heads_close(&h);
    *out = h;
    return st;
}

void limber_heads_close(limber_heads **heads)
{
    if (!heads || !*heads)
        return;
    limber_heads *h = *heads;
    heads_stats_close(&h->stats);
    rings_close(&h->rings);
    anywhere_close(&h->anywhere);
    heads_grid_close(&h->grid);
    for (int l = 0; h->sums && l < h->layer_count; l++)
        free(h->sums[l]);
    free(h->sums);
    free(h->requests);
    free(h->by_layer);
    free(h->layers);
    free(h->own);
    free(h->columns.masks);
    free(h->donors.masks);
    free(h->donors_before.masks);
    free(h);
    *heads = NULL;
}

/* ---- one person ---- */

/* All copies of the person in h->columns through the network, `batch` at a time; their sums lie in h->sums afterwards. */
static limber_status gather(limber_heads *h, const uint8_t *crop, limber_error *err)
{
    limber_session *s = h->session;
    const struct config *c = h->config;
    size_t tokens = (size_t)c->tokens, crop_bytes = (size_t)c->image_h * (size_t)c->image_w * 3;
    size_t copy = (size_t)c->heads * tokens * HEADS_SUMS;
    limber_status st = LIMBER_OK;
    for (int from = 0; !st && from < h->columns.copies; from += s->batch) {
        int n = h->columns.copies - from < s->batch ? h->columns.copies - from : s->batch;
        for (int i = 0; i < n; i++)
            memcpy(s->crops + (size_t)i * crop_bytes, crop, crop_bytes);
        for (int l = 0; l < h->layer_count; l++) {
            h->requests[l] = (struct attention_stats){.classes = ATTENTION_STATS_MAX_CLASSES,
                                                      .masks = h->columns.masks + (size_t)from * tokens,
                                                      .include_self = h->include_self,
                                                      .out = h->sums[l] + (size_t)from * copy};
            h->by_layer[h->layers[l]] = &h->requests[l];
        }
        s->vit.layer_stats = h->by_layer;
        st = vit_forward(&s->vit, s->crops, n, s->joints, err);
        s->vit.layer_stats = NULL;
    }
    return st;
}

static limber_status person_crop(limber_heads *h, uint8_t **crop, struct heads_place *place, const limber_image *image,
                                 limber_box box, limber_error *err)
{
    const struct config *c = h->config;
    struct crop_region region = crop_region_of_box(box, c->image_h, c->image_w, c->normalize_factor);
    *place = heads_place_of(c, region);
    if (!(*crop = malloc((size_t)c->image_h * (size_t)c->image_w * 3)))
        return limber_fail(err, LIMBER_E_MEMORY, "heads: no memory for a crop of %dx%d", c->image_w, c->image_h);
    crop_sample(*crop, c->image_h, c->image_w, image, region);
    return LIMBER_OK;
}

/* The person's own masks, from joints or (where labels is not NULL) from a label map. */
static int own_masks(limber_heads *h, uint8_t *masks, struct heads_capsule *capsules, const limber_image *image,
                     const uint8_t *labels, limber_box box, const limber_keypoint *joints, struct heads_place place)
{
    if (labels) {
        heads_mask_labels(masks, &h->grid, labels, image->width, image->height, place);
        return 0;
    }
    int n = heads_capsules(capsules, joints, h->min_score, box, place);
    heads_mask_capsules(masks, &h->grid, capsules, n);
    if (h->masks > h->classes)
        heads_mask_boundaries(masks, &h->grid, capsules, n);
    return n;
}

static limber_status add_person(limber_heads *h, const limber_image *image, const uint8_t *labels, limber_box box,
                                const limber_keypoint *joints, int person, limber_error *err)
{
    struct heads_place place;
    struct heads_capsule capsules[HEADS_MAX_CAPSULES];
    uint8_t *crop = NULL;
    limber_status st = person_crop(h, &crop, &place, image, box, err);
    if (!st) {
        own_masks(h, h->own, capsules, image, labels, box, joints, place);
        heads_columns_make(&h->columns, &h->grid, h->masks, h->own, h->moves, &h->donors, h->seed, h->images, person);
        if (heads_stats_usable(&h->columns, h->classes, h->grid.tokens)) {
            st = gather(h, crop, err);
            if (!st) {
                heads_stats_person(h->stats, &h->columns, (const float *const *)h->sums, person);
                anywhere_person(&h->anywhere, &h->columns, (const float *const *)h->sums);
            }
            if (!st)
                st = rings_person(&h->rings, h->session, crop, h->layers, h->layer_count, err);
            heads_donors_keep(&h->donors, &h->grid, h->own, h->images);
        }
    }
    free(crop);
    return st;
}

/* ---- one image ---- */

static void copy_donors(struct heads_donors *to, const struct heads_donors *from, size_t tokens)
{
    uint8_t *masks = to->masks;
    memcpy(masks, from->masks, HEADS_DONORS * tokens);
    *to = *from;
    to->masks = masks;
}

static limber_status add_people(limber_heads *h, const limber_image *image, const uint8_t *labels, const limber_box *boxes,
                                const limber_keypoint *joints, int count, limber_error *err)
{
    copy_donors(&h->donors_before, &h->donors, (size_t)h->grid.tokens);
    limber_status st = LIMBER_OK;
    for (int i = 0; !st && i < count; i++)
        st = add_person(h, image, labels, boxes[i], joints ? joints + (size_t)i * COCO_KEYPOINTS : NULL, i, err);
    if (st) {
        heads_stats_forget(h->stats);
        rings_forget(&h->rings);
        anywhere_forget(&h->anywhere);
        copy_donors(&h->donors, &h->donors_before, (size_t)h->grid.tokens);
        return st;
    }
    heads_stats_image(h->stats, h->images);
    rings_image(&h->rings);
    anywhere_image(&h->anywhere, (uint64_t)h->images);
    h->images++;
    h->people += count;
    return LIMBER_OK;
}

limber_status limber_heads_add(limber_heads *h, const limber_image *image, const limber_box *boxes, const limber_keypoint *joints,
                               int count, limber_error *err)
{
    if (!h || !image || (joints && !boxes))
        return limber_fail(err, LIMBER_E_ARGUMENT, "limber_heads_add: %s is NULL",
                           !h       ? "heads"
                           : !image ? "image"
                                    : "boxes (joints is not)");
    if (!h->limbs)
        return limber_fail(err, LIMBER_E_ARGUMENT, "limber_heads_add: opened for label maps; use limber_heads_add_labels");
    limber_status st;
    if (joints) {
        st = job_check(image, boxes, count, err);
        return st ? st : add_people(h, image, NULL, boxes, joints, count, err);
    }
    limber_people people;
    if ((st = limber_run(h->session, image, boxes, count, &people, err)))
        return st;
    st = heads_add_people(h, image, &people, err);
    limber_people_free(&people);
    return st;
}

limber_status heads_add_people(limber_heads *h, const limber_image *image, const limber_people *people, limber_error *err)
{
    if (!h->config->coco)
        return limber_fail(err, LIMBER_E_UNSUPPORTED,
                           "heads: limbs need COCO's 17 joints, this model finds %d others: give joints", h->config->keypoints);
    size_t n = (size_t)people->count;
    limber_box *boxes = malloc((n ? n : 1) * sizeof *boxes);
    limber_keypoint *joints = malloc((n ? n : 1) * COCO_KEYPOINTS * sizeof *joints);
    limber_status st = LIMBER_OK;
    if (!boxes || !joints)
        st = limber_fail(err, LIMBER_E_MEMORY, "heads: no memory for %d people", people->count);
    for (size_t i = 0; !st && i < n; i++) {
        boxes[i] = people->person[i].box;
        memcpy(joints + i * COCO_KEYPOINTS, people->person[i].keypoints, COCO_KEYPOINTS * sizeof *joints);
    }
    if (!st)
        st = add_people(h, image, NULL, boxes, joints, people->count, err);
    free(boxes);
    free(joints);
    return st;
}

static limber_status check_labels(const limber_heads *h, const limber_image *image, const uint8_t *labels, limber_error *err)
{
    for (size_t i = 0; i < (size_t)image->width * (size_t)image->height; i++)
        if (labels[i] > h->classes && labels[i] != 255)
            return limber_fail(err, LIMBER_E_FORMAT, "label map: %d at (%zu, %zu), expected 0..%d, or 255 for none", labels[i],
                               i % (size_t)image->width, i / (size_t)image->width, h->classes);
    return LIMBER_OK;
}

limber_status limber_heads_add_labels(limber_heads *h, const limber_image *image, const uint8_t *labels, const limber_box *boxes,
                                      int count, limber_error *err)
{
    if (!h || !image || !labels)
        return limber_fail(err, LIMBER_E_ARGUMENT, "limber_heads_add_labels: %s is NULL",
                           !h       ? "heads"
                           : !image ? "image"
                                    : "labels");
    if (h->limbs)
        return limber_fail(err, LIMBER_E_ARGUMENT, "limber_heads_add_labels: opened for limbs; set label_classes");
    limber_box whole = {0, 0, (float)image->width, (float)image->height};
    if (!boxes) {
        boxes = &whole;
        count = 1;
    }
    limber_status st = job_check(image, boxes, count, err);
    if (!st)
        st = check_labels(h, image, labels, err);
    return st ? st : add_people(h, image, labels, boxes, NULL, count, err);
}

/* ---- what they say ---- */

limber_status limber_heads_summarise(const limber_heads *h, limber_heads_result *result, limber_error *err)
{
    if (!h || !result)
        return limber_fail(err, LIMBER_E_ARGUMENT, "limber_heads_summarise: %s is NULL", h ? "result" : "heads");
    *result = (limber_heads_result){
        .layer_count = h->layer_count,
        .heads_per_layer = h->config->heads,
        .head_count = h->layer_count * h->config->heads,
        .class_count = h->classes,
        .any_count = h->masks,
        .grid_h = h->config->grid_h,
        .grid_w = h->config->grid_w,
        .images = h->images,
        .people = h->people,
        .moves = h->moves,
        .bootstrap = h->bootstrap,
        .include_self = h->include_self,
        .seed = h->seed,
    };
    memcpy(result->class_name, h->class_name, sizeof result->class_name);
    memcpy(result->mirror, h->mirror, sizeof result->mirror);
    limber_status st = heads_stats_summarise(h->stats, result, err);
    if (!st)
        st = anywhere_summarise(&h->anywhere, result->heads, err);
    if (st) {
        free(result->heads);
        *result = (limber_heads_result){0};
        return st;
    }
    rings_summarise(&h->rings, result->heads);
    for (int i = 0; i < result->head_count; i++)
        result->heads[i].layer = h->layers[result->heads[i].layer];
    return LIMBER_OK;
}

void limber_heads_result_free(limber_heads_result *result)
{
    if (!result)
        return;
    free(result->heads);
    *result = (limber_heads_result){0};
}

/* ---- a picture of one row ---- */

struct tapped {
    int layer;
    float *qkv; /* [tokens][3 * hidden] */
};

static void take_qkv(void *context, const char *where, int layer, struct exec *ex, const struct buf *b, struct span span)
{
    struct tapped *t = context;
    if (layer != t->layer || strcmp(where, "qkv"))
        return;
    span.count = 1;
    ex->ops->buf_read(ex, b, span, t->qkv);
}

/* Softmax row of query i of one head, by definition. */
static void attention_row(double *row, const float *qkv, const struct config *c, int head, int i)
{
    size_t hidden = (size_t)c->hidden, dim = (size_t)c->head_dim;
    const float *q = qkv + (size_t)i * 3 * hidden + (size_t)head * dim;
    double max = -INFINITY, sum = 0;
    for (int j = 0; j < c->tokens; j++) {
        const float *k = qkv + (size_t)j * 3 * hidden + hidden + (size_t)head * dim;
        double s = 0;
        for (size_t x = 0; x < dim; x++)
            s += (double)q[x] * (double)k[x];
        row[j] = s / sqrt((double)dim);
        max = row[j] > max ? row[j] : max;
    }
    for (int j = 0; j < c->tokens; j++)
        sum += row[j] = exp(row[j] - max);
    for (int j = 0; j < c->tokens; j++)
        row[j] /= sum;
}

/* r_limb of a whole row, from its sums. */
static double row_r(const limber_heads *h, const uint8_t *masks, const double *row, int i, int class)
{
    struct heads_keys keys = {.n = h->grid.tokens - !h->include_self, .sum_d = h->grid.sum_d[i], .sum_d2 = h->grid.sum_d2[i]};
    double p = 0, p2 = 0, mass = 0;
    for (int j = 0; j < h->grid.tokens; j++) {
        if (j == i && !h->include_self)
            continue;
        p += row[j];
        p2 += row[j] * row[j];
        if (masks[j] >> class & 1) {
            mass += row[j];
            keys.k++;
        }
    }
    const float sums[HEADS_SUMS] = {(float)p, (float)p2};
    return keys.k > 0 && keys.k < keys.n ? heads_r_mask(sums, &keys, mass) : 0;
}

/* The class's patch whose row has the median r_limb: neither the best nor the worst of this person. */
static void choose_query(struct heads_view *v, const limber_heads *h, const float *qkv, int head, int class, double *r,
                         int *order)
{
    int n = 0;
    double z = 0;
    for (int i = 0; i < h->grid.tokens; i++) {
        if (!(v->masks[i] >> class & 1))
            continue;
        attention_row(v->row, qkv, h->config, head, i);
        r[i] = row_r(h, v->masks, v->row, i, class);
        z += atanh(r[i]);
        int at = n++;
        for (; at > 0 && r[order[at - 1]] > r[i]; at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
    v->query = n ? order[n / 2] : 0;
    v->query_r = n ? r[v->query] : 0;
    v->mean_r = n ? tanh(z / n) : 0;
    attention_row(v->row, qkv, h->config, head, v->query);
}

limber_status heads_view_make(struct heads_view *out, limber_heads *h, int layer, int head, int class, const limber_image *image,
                              const uint8_t *labels, limber_box box, const limber_keypoint *joints, limber_error *err)
{
    *out = (struct heads_view){0};
    const struct config *c = h->config;
    size_t tokens = (size_t)c->tokens;
    limber_session *s = h->session;
    struct heads_place place;
    struct heads_view v = {0};
    struct tapped tapped = {.layer = layer, .qkv = malloc(tokens * 3 * (size_t)c->hidden * sizeof *tapped.qkv)};
    double *r = malloc(tokens * sizeof *r);
    int *order = malloc(tokens * sizeof *order);
    v.masks = malloc(tokens);
    v.row = malloc(tokens * sizeof *v.row);
    limber_status st = person_crop(h, &v.crop, &place, image, box, err);
    if (!st && (!tapped.qkv || !r || !order || !v.masks || !v.row))
        st = limber_fail(err, LIMBER_E_MEMORY, "heads: no memory for one person's queries and keys");
    if (!st) {
        v.capsule_count = own_masks(h, v.masks, v.capsules, image, labels, box, joints, place);
        memcpy(s->crops, v.crop, (size_t)c->image_h * (size_t)c->image_w * 3);
        s->vit.tap = take_qkv;
        s->vit.tap_context = &tapped;
        st = vit_forward(&s->vit, s->crops, 1, s->joints, err);
        s->vit.tap = NULL;
        s->vit.tap_context = NULL;
    }
    if (!st)
        choose_query(&v, h, tapped.qkv, head, class, r, order);
    else
        heads_view_free(&v);
    free(tapped.qkv);
    free(r);
    free(order);
    *out = v;
    return st;
}

void heads_view_free(struct heads_view *v)
{
    free(v->crop);
    free(v->masks);
    free(v->row);
    *v = (struct heads_view){0};
}
