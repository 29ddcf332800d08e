/* SPDX-License-Identifier: MIT */
/* command/bench/random.c - ViTPose shapes with random weights, straight into a backend: nobody needs a download to time them, and a
 * zero costs some CPUs less than a number does, so zeros would flatter. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compute/open.h"
#include "command/bench/model.h"
#include "command/bench/util.h"
#include "base/error.h"
#include "model/labels.h"

struct shape {
    const char *arch;
    int hidden, layers, heads;
};
static const struct shape shapes[] = {
    {"S", 384, 12, 12}, {"B", 768, 12, 12}, {"L", 1024, 24, 16}, {"H", 1280, 32, 16}, {"default", 0, 0, 0}};

struct source {
    uint64_t seed;
    float *v[8];
    int count;
    bool failed;
};

/* Normal deviates that live until source_free. */
static float *deviates(struct source *s, size_t n, float scale)
{
    float *v = malloc(n * sizeof *v);
    if (!v || s->count == 8) {
        free(v);
        s->failed = true;
        return NULL;
    }
    bench_random(v, n, ++s->seed, scale);
    s->v[s->count++] = v;
    return v;
}

static void source_free(struct source *s)
{
    while (s->count)
        free(s->v[--s->count]);
}

static limber_status no_memory(struct source *s, limber_error *err)
{
    source_free(s);
    return limber_fail(err, LIMBER_E_MEMORY, "no memory for random weights");
}

static limber_status random_linear(struct limber_model *m, struct source *s, struct weight **out, int in, int rows,
                                   limber_error *err)
{
    const struct linear_desc d = {.in = in,
                                  .out = rows,
                                  .weight = deviates(s, (size_t)in * (size_t)rows, 1 / sqrtf((float)in)),
                                  .bias = deviates(s, (size_t)rows, 0.1f)};
    if (s->failed)
        return no_memory(s, err);
    limber_status st = m->be->ops->linear_pack(m->be, out, &d, err);
    source_free(s);
    return st;
}

static limber_status random_layernorm(struct limber_model *m, struct source *s, struct weight **out, limber_error *err)
{
    float *gain = deviates(s, (size_t)m->config.hidden, 0.1f), *bias = deviates(s, (size_t)m->config.hidden, 0.1f);
    if (s->failed)
        return no_memory(s, err);
    for (int i = 0; i < m->config.hidden; i++)
        gain[i] += 1;
    limber_status st = m->be->ops->layernorm_pack(m->be, out, &(struct layernorm_desc){m->config.hidden, 1e-6f, gain, bias}, err);
    source_free(s);
    return st;
}

static limber_status random_embed(struct limber_model *m, struct source *s, limber_error *err)
{
    const struct config *c = &m->config;
    const size_t in = (size_t)3 * (size_t)c->patch_h * (size_t)c->patch_w, dim = (size_t)c->hidden;
    float(*lut)[256] = (float(*)[256])deviates(s, 3 * 256, 1);
    const struct embed_desc d = {.patch_h = c->patch_h,
                                 .patch_w = c->patch_w,
                                 .dim = c->hidden,
                                 .lut = (const float(*)[256])lut,
                                 .weight = deviates(s, dim * in, 1 / sqrtf((float)in)),
                                 .bias = deviates(s, dim, 0.1f)};
    const size_t positions =
        (size_t)(c->trained_grid_h * c->trained_grid_w) * dim; /* resized to the grid, as a checkpoint's are */
    m->positions = malloc(positions * sizeof *m->positions);
    if (s->failed || !m->positions)
        return no_memory(s, err);
    bench_random(m->positions, positions, ++s->seed, 0.1f);
    for (int ch = 0; ch < 3; ch++) /* pixels count as a preprocessor makes them count: about -2 to 2 */
        for (int v = 0; v < 256; v++)
            lut[ch][v] = (float)(v - 128) / 58;
    limber_status st = m->be->ops->embed_pack(m->be, &m->embed, &d, err);
    source_free(s);
    return st;
}

static limber_status random_head(struct limber_model *m, struct source *s, limber_error *err)
{
    const struct config *c = &m->config;
    const size_t dim = (size_t)c->hidden, k = (size_t)c->keypoints, mid = 256;
    limber_status st;
    if (c->simple_head) {
        const struct simple_head_desc d = {.dim = c->hidden,
                                           .keypoints = c->keypoints,
                                           .scale = c->scale_factor,
                                           .weight = deviates(s, k * dim * 9, 1 / sqrtf(9 * (float)dim)),
                                           .bias = deviates(s, k, 0.1f)};
        st = s->failed ? no_memory(s, err) : m->be->ops->simple_head_pack(m->be, &m->head, &d, err);
    } else {
        const struct classic_head_desc d = {.dim = c->hidden,
                                            .mid = (int)mid,
                                            .keypoints = c->keypoints,
                                            .deconv1 = deviates(s, dim * mid * 16, 1 / sqrtf(4 * (float)dim)),
                                            .bias1 = deviates(s, mid, 0.1f),
                                            .deconv2 = deviates(s, mid * mid * 16, 1 / sqrtf(4 * (float)mid)),
                                            .bias2 = deviates(s, mid, 0.1f),
                                            .conv = deviates(s, k * mid, 1 / sqrtf((float)mid)),
                                            .bias = deviates(s, k, 0.1f)};
        st = s->failed ? no_memory(s, err) : m->be->ops->classic_head_pack(m->be, &m->head, &d, err);
    }
    source_free(s);
    return st;
}

static limber_status shape_config(struct config *c, const char *arch, const char *head, limber_error *err)
{
    const struct shape *shape = NULL;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        if (!strcmp(arch, shapes[i].arch))
            shape = &shapes[i];
    if (!shape)
        return limber_fail(err, LIMBER_E_ARGUMENT, "--arch %.20s: expected S, B, L, H or default", arch);
    *c = (struct config){.image_h = 256,
                         .image_w = 192,
                         .patch_h = 16,
                         .patch_w = 16,
                         .patch_pad = PATCH_PAD,
                         .hidden = shape->hidden,
                         .layers = shape->layers,
                         .heads = shape->heads,
                         .experts = 1,
                         .qkv_bias = true,
                         .layer_norm_eps = 1e-6f,
                         .scale_factor = 4,
                         .keypoints = COCO_KEYPOINTS};
    if (!shape->hidden) { /* the built-in model's own numbers */
        struct checkpoint builtin;
        limber_status st = checkpoint_open(&builtin, NULL, TASK_POSE, err);
        if (st)
            return st;
        c->hidden = builtin.config.hidden;
        c->layers = builtin.config.layers;
        c->heads = builtin.config.heads;
        checkpoint_close(&builtin);
    }
    c->mlp = 4 * c->hidden;
    c->simple_head = !strcmp(head, "simple");
    c->grid_h = c->trained_grid_h = c->image_h / c->patch_h;
    c->grid_w = c->trained_grid_w = c->image_w / c->patch_w;
    c->tokens = c->grid_h * c->grid_w;
    c->head_dim = c->hidden / c->heads;
    c->map_h = c->grid_h * 4;
    c->map_w = c->grid_w * 4;
    snprintf(c->model_name, sizeof c->model_name, "ViTPose-%s %s, random weights", arch, head);
    return LIMBER_OK;
}

/* As model/weights.c packs a layer some of whose heads are pruned: both without them. One stays in any case. */
static limber_status random_lean(struct limber_model *m, struct source *s, struct block *b, int layer, limber_error *err)
{
    const struct config *c = &m->config;
    int kept = 0;
    for (int h = 0; h < c->heads; h++)
        kept += !(m->pruned && m->pruned[layer * c->heads + h]);
    kept = kept ? kept : 1;
    const struct attention_args few = {.heads = kept, .head_dim = c->head_dim, .grid_h = c->grid_h, .grid_w = c->grid_w};
    b->heads = c->heads;
    if (kept == c->heads || m->attention_kind != ATTENTION_EXACT || m->be->ops->attention_check(m->be, &few, NULL))
        return LIMBER_OK;
    b->heads = kept;
    limber_status st = random_linear(m, s, &b->lean_qkv, c->hidden, 3 * kept * c->head_dim, err);
    return st ? st : random_linear(m, s, &b->lean_projection, kept * c->head_dim, c->hidden, err);
}

limber_status bench_random_model(struct limber_model *m, const char *arch, const char *head, const limber_options *options,
                                 limber_error *err)
{
    struct source s = {0};
    *m = (struct limber_model){.attention_kind = ATTENTION_EXACT};
    limber_status st = shape_config(&m->config, arch, head, err);
    struct config *c = &m->config;
    if (!st && (options->input_height || options->input_width))
        st = config_resize(c, options->input_height, options->input_width, err);
    if (!st)
        st = attention_parse(options->attention, &m->attention_kind, &m->attention_size, err);
    if (!st)
        st = prune_parse(options->prune, c, &m->pruned, err);
    if (!st)
        st = model_backend_open(m, options->backend, options->precision, err);
    if (!st && !(m->blocks = calloc((size_t)c->layers, sizeof *m->blocks)))
        st = limber_fail(err, LIMBER_E_MEMORY, "no memory for %d blocks", c->layers);
    if (st || (st = random_embed(m, &s, err)))
        goto fail;
    for (int l = 0; l < c->layers; l++) {
        struct block *b = &m->blocks[l];
        b->mlp = c->mlp;
        if ((st = random_layernorm(m, &s, &b->layernorm_before, err)) ||
            (st = random_linear(m, &s, &b->qkv, c->hidden, 3 * c->hidden, err)) ||
            (st = random_linear(m, &s, &b->projection, c->hidden, c->hidden, err)) || (st = random_lean(m, &s, b, l, err)) ||
            (st = random_layernorm(m, &s, &b->layernorm_after, err)) ||
            (st = random_linear(m, &s, &b->fc1, c->hidden, c->mlp, err)) ||
            (st = random_linear(m, &s, &b->fc2, c->mlp, c->hidden, err)))
            goto fail;
    }
    if ((st = random_layernorm(m, &s, &m->layernorm, err)) || (st = random_head(m, &s, err)))
        goto fail;
    return LIMBER_OK;
fail:
    if (m->be)
        weights_free(m);
    backend_close(&m->be);
    free(m->pruned);
    m->pruned = NULL;
    return st;
}
