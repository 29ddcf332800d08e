/* SPDX-License-Identifier: MIT */
/* heads/patch.c - attention heads replaced, one at a time or in sets, by what they said in another run (include/limber_patch.h).
 *
 * A slot keeps a run's x and z of every layer, so a patched run starts where its first patched head stands: all heads of all L layers,
 * one at a time, cost H L (L + 1) / 2 blocks instead of H L^2. Patched runs that start at the same layer go through the network side by
 * side, as the people of a batch do. Only the operations that every backend has are used (pose/vit.h): no kernel knows of this.
 *
 * A run patched with itself is the run, bit for bit, in every precision: buf_write of what buf_read gave changes nothing. */
#include "heads/patch.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define MAX_SLOTS 65536

struct kept {                /* one run */
    float *x;                /* [layers + 1][tokens][hidden]: x[l] enters block l, the last one leaves the network */
    float *z;                /* [layers][tokens][hidden] */
    float *attended;         /* [layers][tokens][hidden]: x + projection(z) */
    float *heat;             /* [keypoints][map] */
    limber_keypoint *joints; /* [keypoints], heatmap pixels */
    struct crop_region region;
    uint64_t capture; /* counts from 1; 0: holds no run */
};

struct limber_patch {
    limber_session *session;
    const struct config *config;
    int slots, batch;
    struct kept *kept;
    size_t layer; /* tokens * hidden: the numbers of one layer */
    double *sum;  /* [layers][tokens][hidden] of z over the people counted */
    int64_t people;
    float *mean, *constant, *zero; /* [layers][tokens][hidden]; zero: [tokens][hidden] */
    bool mean_fresh;
    uint64_t captures;
    float *path;           /* [layers][tokens][hidden]: what limber_patch_path found; NULL: it was never called */
    uint64_t path_capture; /* of the base it was found for */
    /* a batch of patched runs */
    float *room, *delta;                     /* [batch][tokens][hidden] */
    float *heat, *direct_heat;               /* [batch][keypoints][map] */
    limber_keypoint *joints, *direct_joints; /* [batch][keypoints] */
    uint8_t *sets;                           /* [batch][layers * heads] */
};

limber_patch_options limber_patch_options_default(void)
{
    return (limber_patch_options){.slots = 4};
}

static size_t map_numbers(const struct config *c)
{
    return (size_t)c->keypoints * (size_t)c->map_h * (size_t)c->map_w;
}

static limber_status open_kept(struct kept *k, const struct config *c, limber_error *err)
{
    const size_t layer = (size_t)c->tokens * (size_t)c->hidden, layers = (size_t)c->layers;
    k->x = malloc((layers + 1) * layer * sizeof *k->x);
    k->z = malloc(layers * layer * sizeof *k->z);
    k->attended = malloc(layers * layer * sizeof *k->attended);
    k->heat = malloc(map_numbers(c) * sizeof *k->heat);
    k->joints = malloc((size_t)c->keypoints * sizeof *k->joints);
    if (k->x && k->z && k->attended && k->heat && k->joints)
        return LIMBER_OK;
    return limber_fail(err, LIMBER_E_MEMORY, "patch: no memory for a run of %d layers, %d tokens of %d", c->layers, c->tokens,
                       c->hidden);
}

static limber_status open_rooms(limber_patch *p, limber_error *err)
{
    const struct config *c = p->config;
    const size_t batch = (size_t)p->batch, layers = (size_t)c->layers;
    p->sum = calloc(layers * p->layer, sizeof *p->sum);
    p->mean = calloc(layers * p->layer, sizeof *p->mean);
    p->constant = calloc(layers * p->layer, sizeof *p->constant);
    p->zero = calloc(p->layer, sizeof *p->zero);
    p->room = malloc(batch * p->layer * sizeof *p->room);
    p->delta = malloc(batch * p->layer * sizeof *p->delta);
    p->heat = malloc(batch * map_numbers(c) * sizeof *p->heat);
    p->direct_heat = malloc(batch * map_numbers(c) * sizeof *p->direct_heat);
    p->joints = malloc(batch * (size_t)c->keypoints * sizeof *p->joints);
    p->direct_joints = malloc(batch * (size_t)c->keypoints * sizeof *p->direct_joints);
    p->sets = calloc(batch, layers * (size_t)c->heads);
    if (p->sum && p->mean && p->constant && p->zero && p->room && p->delta && p->heat && p->direct_heat && p->joints &&
        p->direct_joints && p->sets)
        return LIMBER_OK;
    return limber_fail(err, LIMBER_E_MEMORY, "patch: no memory for %d runs side by side of %d layers, %d tokens of %d", p->batch,
                       c->layers, c->tokens, c->hidden);
}

limber_status limber_patch_open(limber_patch **out, limber_session *session, const limber_patch_options *options,
                                limber_error *err)
{
    if (out)
        *out = NULL;
    if (!out || !session)
        return limber_fail(err, LIMBER_E_ARGUMENT, "limber_patch_open: %s is NULL", out ? "session" : "out");
    const limber_patch_options o = options ? *options : limber_patch_options_default();
    if (o.slots < 1 || o.slots > MAX_SLOTS)
        return limber_fail(err, LIMBER_E_ARGUMENT, "patch: %d slots, expected 1..%d", o.slots, MAX_SLOTS);
    limber_status st = LIMBER_CHECK_RESERVED(&o, "patch", "limber_patch_options_default()", err);
    if (!st)
        st = session_has_model(session, "limber_patch_open", err);
    if (st)
        return st;
    if (session->vit.flip)
        return limber_fail(err, LIMBER_E_ARGUMENT, "patch: the session flips; heads are patched in one pass: open one without");
    const struct config *c = &session->model->config;
    limber_patch *p = calloc(1, sizeof *p);
    if (!p)
        return limber_fail(err, LIMBER_E_MEMORY, "patch: no memory");
    p->session = session;
    p->config = c;
    p->slots = o.slots;
    p->batch = session->batch < c->heads ? session->batch : c->heads; /* no layer has more heads to patch */
    p->layer = (size_t)c->tokens * (size_t)c->hidden;
    p->kept = calloc((size_t)o.slots, sizeof *p->kept);
    st = p->kept ? LIMBER_OK : limber_fail(err, LIMBER_E_MEMORY, "patch: no memory");
    for (int i = 0; !st && i < o.slots; i++)
        st = open_kept(&p->kept[i], c, err);
    if (!st)
        st = open_rooms(p, err);
    if (st)
        limber_patch_close(&p);
    *out = p;
    return st;
}

void limber_patch_close(limber_patch **patch)
{
    if (!patch || !*patch)
        return;
    limber_patch *p = *patch;
    for (int i = 0; p->kept && i < p->slots; i++) {
        struct kept *k = &p->kept[i];
        free(k->x);
        free(k->z);
        free(k->attended);
        free(k->heat);
        free(k->joints);
    }
    free(p->kept);
    free(p->sum);
    free(p->mean);
    free(p->constant);
    free(p->zero);
    free(p->path);
    free(p->room);
    free(p->delta);
    free(p->heat);
    free(p->direct_heat);
    free(p->joints);
    free(p->direct_joints);
    free(p->sets);
    free(p);
    *patch = NULL;
}

void limber_patch_sizes(const limber_patch *p, int *layers, int *heads, int *keypoints, int *map_height, int *map_width)
{
    *layers = p->config->layers;
    *heads = p->config->heads;
    *keypoints = p->config->keypoints;
    *map_height = p->config->map_h;
    *map_width = p->config->map_w;
}

/* ---- a run, kept ---- */

static limber_status check_slot(const limber_patch *p, int slot, const char *what, bool filled, limber_error *err)
{
    if (slot < 0 || slot >= p->slots)
        return limber_fail(err, LIMBER_E_ARGUMENT, "patch: %s is slot %d, expected 0..%d", what, slot, p->slots - 1);
    if (filled && !p->kept[slot].capture)
        return limber_fail(err, LIMBER_E_ARGUMENT, "patch: %s is slot %d, which holds no run: capture one first", what, slot);
    return LIMBER_OK;
}

/* x of the first n people to heatmaps and joints. */
static limber_status finish(limber_patch *p, int n, float *heat, limber_keypoint *joints, limber_error *err)
{
    struct vit *v = &p->session->vit;
    const struct config *c = p->config;
    const struct backend_ops *be = v->ex->ops;
    const struct span span = {.count = n};
    const struct decode_args decode = {.map_h = c->map_h, .map_w = c->map_w, .flip_pairs = c->flip_pairs, .joints = v->joints};
    vit_heatmaps(v, span, v->heat);
    be->decode(v->ex, span, v->heat, NULL, &decode);
    be->buf_read(v->ex, v->heat, span, heat);
    limber_status st = be->finish(v->ex, err);
    memcpy(joints, v->joints, (size_t)n * (size_t)c->keypoints * sizeof *joints);
    return st;
}

limber_status patch_capture(limber_patch *p, int slot, const uint8_t *crop, struct crop_region region, limber_error *err)
{
    limber_status st = check_slot(p, slot, "the run to keep", false, err);
    if (st)
        return st;
    struct kept *k = &p->kept[slot];
    struct vit *v = &p->session->vit;
    const struct config *c = p->config;
    const struct backend_ops *be = v->ex->ops;
    const struct span one = {.count = 1};
    k->capture = 0;
    v->whole = true; /* z of every head */
    be->upload(v->ex, crop, 1, (size_t)c->image_h * (size_t)c->image_w * 3);
    vit_embed(v, one, false);
    for (int l = 0; l < c->layers; l++) {
        be->buf_read(v->ex, v->x, one, k->x + (size_t)l * p->layer);
        vit_attention(v, l, one);
        be->buf_read(v->ex, v->y, one, k->z + (size_t)l * p->layer);
        vit_projection(v, l, one);
        be->buf_read(v->ex, v->x, one, k->attended + (size_t)l * p->layer);
        vit_mlp(v, l, one);
    }
    be->buf_read(v->ex, v->x, one, k->x + (size_t)c->layers * p->layer);
    v->whole = false;
    st = finish(p, 1, k->heat, k->joints, err);
    k->region = region;
    k->capture = st ? 0 : ++p->captures;
    return st;
}

limber_status limber_patch_capture_crop(limber_patch *p, int slot, const uint8_t *crop, limber_error *err)
{
    if (!p || !crop)
        return limber_fail(err, LIMBER_E_ARGUMENT, "limber_patch_capture_crop: %s is NULL", p ? "crop" : "patch");
    const float w = (float)p->config->image_w - 1,
                h = (float)p->config->image_h - 1; /* pixel centres, as pose/crop.c maps them */
    return patch_capture(p, slot, crop, (struct crop_region){w / 2, h / 2, w, h}, err);
}

limber_status limber_patch_capture(limber_patch *p, int slot, const limber_image *image, limber_box box, limber_error *err)
{
    if (!p || !image)
        return limber_fail(err, LIMBER_E_ARGUMENT, "limber_patch_capture: %s is NULL", p ? "image" : "patch");
    struct job job;
    limber_status st =
        job_prepare(&job, p->session->model, image, &box, 1, err); /* checks the image and the box, and cuts it out */
    if (!st)
        st = patch_capture(p, slot, job.subjects[0].crop, job.subjects[0].region, err);
    job_free(&job);
    return st;
}

limber_status limber_patch_mean(limber_patch *p, int slot, limber_error *err)
{
    if (!p)
        return limber_fail(err, LIMBER_E_ARGUMENT, "limber_patch_mean: patch is NULL");
    limber_status st = check_slot(p, slot, "the run to count", true, err);
    if (st)
        return st;
    const size_t n = (size_t)p->config->layers * p->layer;
    for (size_t i = 0; i < n; i++)
        p->sum[i] += (double)p->kept[slot].z[i];
    p->people++;
    p->mean_fresh = false;
    return LIMBER_OK;
}

static void refresh_means(limber_patch *p)
{
    const size_t hidden = (size_t)p->config->hidden, tokens = (size_t)p->config->tokens;
    const double people = (double)p->people;
    for (size_t l = 0; !p->mean_fresh && l < (size_t)p->config->layers; l++)
        for (size_t d = 0; d < hidden; d++) {
            double all = 0;
            for (size_t t = 0; t < tokens; t++) {
                const size_t at = l * p->layer + t * hidden + d;
                p->mean[at] = (float)(p->sum[at] / people);
                all += p->sum[at] / people;
            }
            for (size_t t = 0; t < tokens; t++)
                p->constant[l * p->layer + t * hidden + d] = (float)(all / (double)tokens);
        }
    p->mean_fresh = true;
}

void patch_constant(limber_patch *p, float *out)
{
    const size_t hidden = (size_t)p->config->hidden;
    refresh_means(p);
    for (size_t l = 0; l < (size_t)p->config->layers; l++)
        memcpy(out + l * hidden, p->constant + l * p->layer, hidden * sizeof *out);
}

/* ---- patched runs ---- */

struct plan {
    const struct kept *base, *source; /* source: NULL for what stands instead of a slot */
    const float *z;                   /* of the source: [layers][tokens][hidden] */
    bool same;                        /* z is one layer for all layers */
    bool input;                       /* x_0 is the source's */
};

static limber_status make_plan(struct plan *out, limber_patch *p, int base, int source, bool input, limber_error *err)
{
    limber_status st = check_slot(p, base, "the base", true, err);
    if (!st && source >= 0)
        st = check_slot(p, source, "the source", true, err);
    if (st)
        return st;
    if (source < LIMBER_PATCH_PATH)
        return limber_fail(err, LIMBER_E_ARGUMENT, "patch: the source is %d, expected a slot, or %d..%d", source,
                           LIMBER_PATCH_PATH, LIMBER_PATCH_ZERO);
    if (source == LIMBER_PATCH_PATH && p->path_capture != p->kept[base].capture)
        return limber_fail(err, LIMBER_E_ARGUMENT,
                           "patch: no path was found for the run in slot %d: call limber_patch_path first", base);
    const bool of_people = source == LIMBER_PATCH_MEAN || source == LIMBER_PATCH_CONST;
    if (of_people && !p->people)
        return limber_fail(err, LIMBER_E_ARGUMENT, "patch: a mean of nobody: call limber_patch_mean first");
    if (input && source < 0)
        return limber_fail(err, LIMBER_E_ARGUMENT, "patch: LIMBER_PATCH_INPUT needs a source that is a slot, not %d", source);
    if (of_people)
        refresh_means(p);
    *out = (struct plan){.base = &p->kept[base],
                         .source = source >= 0 ? &p->kept[source] : NULL,
                         .z = source >= 0                    ? p->kept[source].z
                              : source == LIMBER_PATCH_MEAN  ? p->mean
                              : source == LIMBER_PATCH_CONST ? p->constant
                              : source == LIMBER_PATCH_PATH  ? p->path
                                                             : p->zero,
                         .same = source == LIMBER_PATCH_ZERO,
                         .input = input};
    return LIMBER_OK;
}

static bool patched_at(const struct config *c, const uint8_t *set, int layer)
{
    for (int h = 0; h < c->heads; h++)
        if (set[layer * c->heads + h])
            return true;
    return false;
}

static bool any_patched_at(const limber_patch *p, int n, int layer)
{
    for (int i = 0; i < n; i++)
        if (patched_at(p->config, p->sets + (size_t)i * (size_t)(p->config->layers * p->config->heads), layer))
            return true;
    return false;
}

/* The source's output in place of the heads that run i patches at this layer; z: [tokens][hidden] of run i. */
static void replace(const limber_patch *p, const struct plan *plan, float *z, int i, int layer)
{
    const struct config *c = p->config;
    const uint8_t *set = p->sets + ((size_t)i * (size_t)c->layers + (size_t)layer) * (size_t)c->heads;
    const float *from = plan->z + (plan->same ? 0 : (size_t)layer * p->layer);
    const size_t hidden = (size_t)c->hidden, dim = (size_t)c->head_dim;
    for (size_t h = 0; h < (size_t)c->heads; h++)
        for (size_t t = 0; set[h] && t < (size_t)c->tokens; t++)
            memcpy(z + t * hidden + h * dim, from + t * hidden + h * dim, dim * sizeof *z);
}

static void fill(limber_patch *p, struct buf *b, int n, const float *layer)
{
    struct vit *v = &p->session->vit;
    for (int i = 0; i < n; i++)
        memcpy(p->room + (size_t)i * p->layer, layer, p->layer * sizeof *p->room);
    v->ex->ops->buf_write(v->ex, b, (struct span){.count = n}, p->room);
}

/* y := z of the base at this layer, with each run's heads replaced. */
static void fill_patched(limber_patch *p, const struct plan *plan, int n, int layer)
{
    struct vit *v = &p->session->vit;
    for (int i = 0; i < n; i++) {
        float *z = p->room + (size_t)i * p->layer;
        memcpy(z, plan->base->z + (size_t)layer * p->layer, p->layer * sizeof *z);
        replace(p, plan, z, i, layer);
    }
    v->ex->ops->buf_write(v->ex, v->y, (struct span){.count = n}, p->room);
}

/* The runs of p->sets from layer `first` on, below which none of them is patched. */
static limber_status run_total(limber_patch *p, const struct plan *plan, int n, int first, limber_error *err)
{
    struct vit *v = &p->session->vit;
    const struct backend_ops *be = v->ex->ops;
    const struct span span = {.count = n};
    v->whole = true;
    fill(p, v->x, n, (plan->input ? plan->source : plan->base)->x + (size_t)first * p->layer);
    for (int l = first; l < p->config->layers; l++) {
        if (l == first && !plan->input)
            fill_patched(p, plan, n, l); /* z of the base is known */
        else {
            vit_attention(v, l, span);
            if (any_patched_at(p, n, l)) {
                be->buf_read(v->ex, v->y, span, p->room);
                for (int i = 0; i < n; i++)
                    replace(p, plan, p->room + (size_t)i * p->layer, i, l);
                be->buf_write(v->ex, v->y, span, p->room);
            }
        }
        vit_projection(v, l, span);
        vit_mlp(v, l, span);
    }
    v->whole = false;
    return finish(p, n, p->heat, p->joints, err);
}

/* What the patched heads of this layer write to the residual stream beyond what the base's do, added to p->delta. */
static void add_written(limber_patch *p, const struct plan *plan, int n, int layer)
{
    struct vit *v = &p->session->vit;
    const struct span span = {.count = n};
    fill(p, v->x, n, plan->base->x + (size_t)layer * p->layer);
    fill_patched(p, plan, n, layer);
    vit_projection(v, layer, span);
    v->ex->ops->buf_read(v->ex, v->x, span, p->room);
    const float *attended = plan->base->attended + (size_t)layer * p->layer;
    for (size_t i = 0; i < (size_t)n * p->layer; i++)
        p->delta[i] += p->room[i] - attended[i % p->layer];
}

static limber_status run_direct(limber_patch *p, const struct plan *plan, int n, limber_error *err)
{
    struct vit *v = &p->session->vit;
    const struct config *c = p->config;
    const struct backend_ops *be = v->ex->ops;
    const struct span span = {.count = n};
    v->whole = true;
    memset(p->delta, 0, (size_t)n * p->layer * sizeof *p->delta);
    for (int l = 0; l < c->layers; l++)
        if (any_patched_at(p, n, l))
            add_written(p, plan, n, l);
    v->whole = false;
    const float *last = plan->base->x + (size_t)c->layers * p->layer;
    for (size_t i = 0; i < (size_t)n * p->layer; i++)
        p->delta[i] += last[i % p->layer];
    be->buf_write(v->ex, v->x, span, p->delta);
    return finish(p, n, p->direct_heat, p->direct_joints, err);
}

static void to_image(const limber_patch *p, const struct kept *base, limber_keypoint *joints, int n)
{
    const struct config *c = p->config;
    for (int i = 0; i < n * c->keypoints; i++)
        joints[i] = crop_to_image(joints[i], c->map_h, c->map_w, base->region);
}

limber_status limber_patch_path(limber_patch *p, int base, int source, const uint8_t *senders, limber_error *err)
{
    if (!p || !senders)
        return limber_fail(err, LIMBER_E_ARGUMENT, "limber_patch_path: %s is NULL", p ? "senders" : "patch");
    if (source == LIMBER_PATCH_PATH)
        return limber_fail(err, LIMBER_E_ARGUMENT, "limber_patch_path: a path cannot be the source of a path");
    struct plan plan;
    limber_status st = make_plan(&plan, p, base, source, false, err);
    if (st)
        return st;
    const struct config *c = p->config;
    struct vit *v = &p->session->vit;
    const struct backend_ops *be = v->ex->ops;
    const struct span one = {.count = 1};
    if (!p->path && !(p->path = malloc((size_t)c->layers * p->layer * sizeof *p->path)))
        return limber_fail(err, LIMBER_E_MEMORY, "patch: no memory for a path of %d layers, %d tokens of %d", c->layers,
                           c->tokens, c->hidden);
    p->path_capture = 0;
    for (size_t i = 0; i < (size_t)(c->layers * c->heads); i++)
        p->sets[i] = senders[i] != 0;
    memset(p->delta, 0, p->layer * sizeof *p->delta);
    v->whole = true;
    bool changed = false;
    for (int l = 0; l < c->layers; l++) {
        const size_t at = (size_t)l * p->layer;
        if (changed) {
            for (size_t i = 0; i < p->layer; i++)
                p->room[i] = plan.base->x[at + i] + p->delta[i];
            be->buf_write(v->ex, v->x, one, p->room);
            vit_attention(v, l, one);
            be->buf_read(v->ex, v->y, one, p->path + at);
        } else
            memcpy(p->path + at, plan.base->z + at, p->layer * sizeof *p->path);
        if (any_patched_at(p, 1, l)) {
            add_written(p, &plan, 1, l);
            changed = true;
        }
    }
    v->whole = false;
    st = be->finish(v->ex, err);
    p->path_capture = st ? 0 : plan.base->capture;
    return st;
}

limber_status limber_patch_run(limber_patch *p, int base, int source, const uint8_t *heads, int flags, limber_keypoint *joints,
                               float *heat, limber_error *err)
{
    if (!p)
        return limber_fail(err, LIMBER_E_ARGUMENT, "limber_patch_run: patch is NULL");
    if (flags & ~(LIMBER_PATCH_DIRECT | LIMBER_PATCH_INPUT) || flags == (LIMBER_PATCH_DIRECT | LIMBER_PATCH_INPUT))
        return limber_fail(err, LIMBER_E_ARGUMENT, "patch: flags are %d, expected 0, LIMBER_PATCH_DIRECT or LIMBER_PATCH_INPUT",
                           flags);
    struct plan plan;
    limber_status st = make_plan(&plan, p, base, source, flags & LIMBER_PATCH_INPUT, err);
    if (st)
        return st;
    const struct config *c = p->config;
    const size_t count = (size_t)(c->layers * c->heads), keypoints = (size_t)c->keypoints;
    const bool direct = flags & LIMBER_PATCH_DIRECT;
    int first = plan.input ? 0 : c->layers;
    for (size_t i = 0; i < count; i++) {
        p->sets[i] = heads && heads[i];
        if (p->sets[i] && (int)i / c->heads < first)
            first = (int)i / c->heads;
    }
    const float *made = plan.base->heat;
    const limber_keypoint *found = plan.base->joints;
    if (first < c->layers) { /* else nothing is patched */
        st = direct ? run_direct(p, &plan, 1, err) : run_total(p, &plan, 1, first, err);
        made = direct ? p->direct_heat : p->heat;
        found = direct ? p->direct_joints : p->joints;
    }
    if (!st && heat)
        memcpy(heat, made, map_numbers(c) * sizeof *heat);
    if (!st && joints) {
        memcpy(joints, found, keypoints * sizeof *joints);
        to_image(p, plan.base, joints, 1);
    }
    return st;
}

limber_status limber_patch_each(limber_patch *p, int base, int source, const uint8_t *heads, int direct,
                                limber_patch_visit_fn visit, void *context, limber_error *err)
{
    if (!p || !visit)
        return limber_fail(err, LIMBER_E_ARGUMENT, "limber_patch_each: %s is NULL", p ? "visit" : "patch");
    struct plan plan;
    limber_status st = make_plan(&plan, p, base, source, false, err);
    const struct config *c = p->config;
    const size_t count = (size_t)(c->layers * c->heads), keypoints = (size_t)c->keypoints, map = map_numbers(c);
    for (int l = 0; !st && l < c->layers; l++)
        for (int h = 0; !st && h < c->heads;) {
            int n = 0, head[1024];
            for (; h < c->heads && n < p->batch && n < 1024; h++)
                if (!heads || heads[l * c->heads + h])
                    head[n++] = h;
            if (!n)
                break;
            memset(p->sets, 0, (size_t)n * count);
            for (int i = 0; i < n; i++)
                p->sets[(size_t)i * count + (size_t)(l * c->heads + head[i])] = 1;
            st = run_total(p, &plan, n, l, err);
            if (!st && direct)
                st = run_direct(p, &plan, n, err);
            if (st)
                return st;
            to_image(p, plan.base, p->joints, n);
            if (direct)
                to_image(p, plan.base, p->direct_joints, n);
            for (int i = 0; i < n; i++) {
                const limber_patch_effect effect = {
                    .layer = l,
                    .head = head[i],
                    .joints = p->joints + (size_t)i * keypoints,
                    .heat = p->heat + (size_t)i * map,
                    .direct_joints = direct ? p->direct_joints + (size_t)i * keypoints : NULL,
                    .direct_heat = direct ? p->direct_heat + (size_t)i * map : NULL,
                };
                visit(context, &effect);
            }
        }
    return st;
}
