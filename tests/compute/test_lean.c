/* SPDX-License-Identifier: MIT */
/* Heads and neurons that nothing is read of are left out when a model is packed, and no number changes. */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compute/open.h"
#include "model/labels.h"
#include "heads/chance.h"
#include "heads/patch.h"
#include "limber_heads.h"
#include "model/rewrite.h"
#include "pose/pipeline.h"
#include "tensor_file.h"

#define GOLDEN LIMBER_TEST_DIR "/golden/"
enum { W = 192, H = 256 };

static limber_model *open_model(const char *dir, const char *backend, const char *precision, const char *prune)
{
    limber_options o = limber_options_default();
    limber_error err = {0};
    limber_model *m = NULL;
    o.backend = backend;
    o.precision = precision;
    o.prune = prune;
    cr_assert(!limber_model_open(&m, dir, &o, &err), "%s", err.text);
    return m;
}

static void keep_heat(void *context, const char *where, int layer, struct exec *ex, const struct buf *b, struct span span)
{
    (void)layer;
    span.count = 1;
    if (!strcmp(where, "heatmap"))
        ex->ops->buf_read(ex, b, span, context);
}

/* Heat maps of one noisy crop; `whole`: with a tap, which computes every head. [keypoints][map] to free; *n: how many numbers. */
static float *heat_of(const limber_model *m, bool whole, size_t *n)
{
    const struct config *c = &m->config;
    struct vit v;
    limber_error err = {0};
    const size_t bytes = (size_t)c->image_h * (size_t)c->image_w * 3;
    uint8_t *crop = malloc(bytes);
    for (size_t i = 0; i < bytes; i++)
        crop[i] = (uint8_t)heads_hash(4, i, 0, 0);
    limber_keypoint *joints = malloc((size_t)c->keypoints * sizeof *joints);
    *n = (size_t)c->keypoints * (size_t)c->map_h * (size_t)c->map_w;
    float *heat = malloc(*n * sizeof *heat);
    cr_assert(!vit_open(&v, m, 1, 1, false, &err), "%s", err.text);
    if (whole) {
        v.tap = keep_heat;
        v.tap_context = heat;
    }
    cr_assert(!vit_forward(&v, crop, 1, joints, &err), "%s", err.text);
    if (!whole)
        v.ex->ops->buf_read(v.ex, v.heat, (struct span){.count = 1}, heat);
    vit_close(&v);
    free(crop);
    free(joints);
    return heat;
}

static double largest(const float *a, const float *b, size_t n)
{
    double most = 0;
    for (size_t i = 0; i < n; i++)
        most = fmax(most, fabs((double)a[i] - (double)b[i]));
    return most;
}

/* The checkpoint with fc2's columns of every third neuron of layer 0 at `value`, where `all` of layer 1 too. */
static void leave_neurons_out(const char *dir, const char *from, bool all, float value)
{
    struct tensors in = {0};
    struct tensor_file out = {0};
    limber_error err = {0};
    cr_assert(!tensors_open(&in, from, &err), "%s", err.text);
    for (int i = 0; i < in.count; i++) {
        const struct tensor *t = &in.v[i];
        size_t n = 1;
        for (int d = 0; d < t->dims; d++)
            n *= (size_t)t->shape[d];
        float *v = malloc(n * sizeof *v);
        tensor_read(t, 0, n, v);
        const bool second = strstr(t->name, "layer.1.");
        if (strstr(t->name, "mlp.fc2.weight"))
            for (size_t k = 0; k < n; k++)
                v[k] = (all && second) || (!second && k % (size_t)t->shape[1] % 3 == 0) ? value : v[k];
        tensor_file_add(&out, t->name, t->shape, t->dims, v);
        free(v);
    }
    tensors_free(&in);
    tensor_file_end_model(&out, dir, from);
}

/* Every head of the classic model's like but one, a whole layer, and ViTPose+. */
static const struct {
    const char *dir, *prune;
    int layer, heads; /* how many the packed layer has */
} cases[] = {{"simple-hd32", "0.1", 0, 1},
             {"simple-hd32", "0.0,1.1", 1, 1},
             {"simple-hd32", "1.0,1.1", 1, 1},
             {"plus-hd64-f16", "0.1,1.0", 0, 1},
             {"sharded-hd80", "0.0", 0, 1}};

static void heads_left_out(const char *backend, const char *precision, double tolerance)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char dir[512];
        snprintf(dir, sizeof dir, "%s%s", GOLDEN, cases[i].dir);
        limber_model *m = open_model(dir, backend, precision, cases[i].prune), *plain = open_model(dir, backend, precision, NULL);
        size_t n;
        float *few = heat_of(m, false, &n), *whole = heat_of(m, true, &n), *before = heat_of(plain, false, &n);
        cr_expect(m->blocks[cases[i].layer].lean_qkv && m->blocks[cases[i].layer].heads == cases[i].heads,
                  "%s: %d heads are packed", cases[i].prune, m->blocks[cases[i].layer].heads);
        cr_expect(!plain->blocks[0].lean_qkv && plain->blocks[0].heads == plain->config.heads);
        const double d = largest(few, whole, n), change = largest(before, whole, n);
        cr_expect(d <= tolerance, "%s %s, %s without %s: %.2g from all heads with zeros", backend, precision, cases[i].dir,
                  cases[i].prune, d);
        cr_expect(change > 1e-4, "%s: leaving out %s changes nothing", cases[i].dir, cases[i].prune);
        free(few);
        free(whole);
        free(before);
        limber_model_close(&m);
        limber_model_close(&plain);
    }
}

Test(lean, heads_ref)
{
    heads_left_out("ref", "fp32", 0);
}
Test(lean, heads_cpu)
{
    heads_left_out("cpu", "fp32", 0);
}
Test(lean, heads_cpu_bf16)
{
    limber_error err = {0};
    struct backend *be = NULL;
    if (backend_open(&be, "cpu", "bf16", &err))
        cr_skip_test("%s", err.text);
    backend_close(&be);
    heads_left_out("cpu", "bf16", 1e-5);
}

/* Against the same file with 1e-30 for 0: so small that it adds nothing, and not nothing. */
static void neurons_left_out(const char *backend, double tolerance)
{
    for (int all = 0; all < 2; all++) {
        char dir[2][256];
        float *heat[3];
        size_t n;
        limber_model *plain = open_model(GOLDEN "simple-hd32", backend, "fp32", NULL);
        const int mlp = plain->config.mlp;
        for (int tiny = 0; tiny < 2; tiny++) {
            directory_make(dir[tiny]);
            leave_neurons_out(dir[tiny], GOLDEN "simple-hd32", all, tiny ? 1e-30f : 0);
            limber_model *m = open_model(dir[tiny], backend, "fp32", NULL);
            cr_expect_eq(m->blocks[0].mlp, tiny ? mlp : mlp - (mlp + 2) / 3, "%d of %d neurons are packed", m->blocks[0].mlp,
                         mlp);
            cr_expect_eq(m->blocks[1].mlp, all && !tiny ? 1 : mlp);
            heat[tiny] = heat_of(m, false, &n);
            limber_model_close(&m);
            directory_remove(dir[tiny]);
        }
        heat[2] = heat_of(plain, false, &n);
        const double d = largest(heat[0], heat[1], n);
        cr_expect(d <= tolerance, "%s: %.2g from all neurons with zeros", backend, d);
        cr_expect(largest(heat[0], heat[2], n) > 1e-4);
        for (int i = 0; i < 3; i++)
            free(heat[i]);
        limber_model_close(&plain);
    }
}

Test(lean, neurons_ref)
{
    neurons_left_out("ref", 0);
}
Test(lean, neurons_cpu)
{
    neurons_left_out("cpu", 2e-6);
}

/* `limber heads` sees every head still: what it reads does not depend on whether the projection reads it. */
Test(lean, statistics_see_every_head)
{
    limber_heads_result r[2];
    for (int pruned = 0; pruned < 2; pruned++) {
        limber_model *m = open_model(GOLDEN "simple-hd32", "cpu", "fp32", pruned ? "1.0" : NULL);
        limber_session *s = NULL;
        limber_heads *h = NULL;
        limber_error err = {0};
        limber_heads_options o = limber_heads_options_default();
        o.bootstrap = 0;
        uint8_t *rgb = malloc(W * H * 3);
        cr_assert(!limber_session_open(&s, m, NULL, &err) && !limber_heads_open(&h, s, &o, &err), "%s", err.text);
        limber_keypoint k[COCO_KEYPOINTS];
        for (int i = 0; i < COCO_KEYPOINTS; i++)
            k[i] = (limber_keypoint){40 + 7.0f * (float)i, 30 + 11.0f * (float)i, 1};
        for (uint64_t image = 0; image < 2; image++) {
            for (uint64_t i = 0; i < W * H * 3; i++)
                rgb[i] = (uint8_t)heads_hash(image, i, 0, 0);
            const limber_image im = {.pixels = rgb, .width = W, .height = H, .stride = 3 * W};
            cr_assert(!limber_heads_add(h, &im, &(limber_box){0, 0, W, H}, k, 1, &err), "%s", err.text);
        }
        cr_assert(!limber_heads_summarise(h, &r[pruned], &err), "%s", err.text);
        limber_heads_close(&h);
        limber_session_close(&s);
        limber_model_close(&m);
        free(rgb);
    }
    cr_assert_eq(r[0].head_count, 4);
    for (int i = 0; i < 4; i++)
        for (int c = 0; c < LIMBER_HEADS_LIMBS; c++)
            cr_expect(r[0].heads[i].classes[c].r_limb.mean == r[1].heads[i].classes[c].r_limb.mean &&
                      r[0].heads[i].entropy.mean == r[1].heads[i].entropy.mean);
    limber_heads_result_free(&r[0]);
    limber_heads_result_free(&r[1]);
}

/* ---- a checkpoint written again ---- */

struct growing {
    uint8_t *bytes;
    size_t size, fail_after;
};

static bool grow(void *context, const void *bytes, size_t size)
{
    struct growing *g = context;
    if (g->fail_after && g->size + size > g->fail_after)
        return false;
    g->bytes = realloc(g->bytes, g->size + size + 1);
    memcpy(g->bytes + g->size, bytes, size);
    g->size += size;
    return true;
}

/* The golden checkpoint rewritten, in `dir`. */
static void write_to(const char *dir, const char *from, const struct rewrite *r)
{
    struct checkpoint c;
    struct growing g = {0};
    limber_error err = {0};
    cr_assert(!checkpoint_open(&c, from, TASK_POSE, &err), "%s", err.text);
    cr_assert(!rewrite_tensors(&c, r, grow, &g, &err), "%s", err.text);
    file_write(dir, "model.safetensors", g.bytes, g.size);
    static const char *const json[] = {"config.json", "preprocessor_config.json"};
    for (int i = 0; i < 2; i++) {
        char path[512], *text = NULL;
        snprintf(path, sizeof path, "%s/%s", from, json[i]);
        struct blob b = blob_read(path);
        if (i == 0)
            cr_assert(!rewrite_config(&text, &c.config, r, (const char *)b.bytes, b.size, &err), "%s", err.text);
        file_write(dir, json[i], text ? (uint8_t *)text : b.bytes, text ? strlen(text) : b.size);
        free(text);
        free(b.bytes);
    }
    /* a disk that is full is said */
    struct growing full = {.fail_after = g.size - 100};
    cr_expect(rewrite_tensors(&c, r, grow, &full, &err) == LIMBER_E_IO, "%s", err.text);
    free(full.bytes);
    free(g.bytes);
    checkpoint_close(&c);
}

/* Without the heads of `dropped`; `constant` [layers][hidden] or NULL. */
static void rewrite_to(const char *dir, const char *from, const bool *dropped, const float *constant)
{
    struct checkpoint c;
    limber_error err = {0};
    const struct rewrite r = {.out = {.heads = dropped, .head_says = constant}};
    write_to(dir, from, &r);
    cr_assert(!checkpoint_open(&c, from, TASK_POSE, &err), "%s", err.text);
    /* nothing else has changed: tensor by tensor, but for zeros */
    struct checkpoint again;
    cr_assert(!checkpoint_open(&again, dir, TASK_POSE, &err), "%s", err.text);
    cr_assert_eq(again.tensors.count, c.tensors.count);
    for (int i = 0; i < c.tensors.count; i++) {
        const struct tensor *a = &c.tensors.v[i], *b = &again.tensors.v[i];
        const bool attention = strstr(a->name, "attention.attention") || strstr(a->name, "attention.output");
        cr_assert_str_eq(a->name, b->name);
        uint8_t *x = malloc(a->bytes + 1), *y = malloc(b->bytes + 1);
        cr_assert(tensor_bytes(a, 0, a->bytes, x) && tensor_bytes(b, 0, b->bytes, y));
        cr_expect(attention || (a->bytes == b->bytes && !memcmp(x, y, a->bytes)), "%s has changed", a->name);
        free(x);
        free(y);
    }
    checkpoint_close(&again);
    checkpoint_close(&c);
}

Test(lean, a_file_with_zeros_is_the_model_pruned)
{
    static const char *const from[] = {GOLDEN "simple-hd32", GOLDEN "plus-hd64-f16", GOLDEN "nobias-eps"};
    static const char *const text[] = {"0.1,1.0", "0.0", "1.0"};
    for (int i = 0; i < 3; i++) {
        char dir[256];
        limber_error err = {0};
        limber_model *pruned = open_model(from[i], "cpu", "fp32", text[i]);
        bool *dropped = NULL;
        cr_assert(!prune_parse(text[i], &pruned->config, &dropped, &err));
        directory_make(dir);
        rewrite_to(dir, from[i], dropped, NULL);
        limber_model *file = open_model(dir, "cpu", "fp32", NULL);
        size_t n;
        float *a = heat_of(pruned, false, &n), *b = heat_of(file, false, &n);
        cr_expect(!memcmp(a, b, n * sizeof *a), "%s without %s differs from the file by %.2g", from[i], text[i],
                  largest(a, b, n));
        for (int l = 0; l < file->config.layers; l++)
            cr_expect_eq(file->blocks[l].heads, pruned->blocks[l].heads);
        const struct config_costs before = config_costs(&file->config),
                                  after = rewrite_costs(&file->config, &(struct left_out){.heads = dropped});
        const uint64_t head = (uint64_t)file->config.hidden * (uint64_t)file->config.head_dim, gone = i ? 1 : 2;
        cr_expect_eq(before.parameters - after.parameters,
                     gone * (4 * head + (i == 2 ? 0 : 3 * (uint64_t)file->config.head_dim)));
        cr_expect(after.total < before.total && after.mlp == before.mlp);
        free(a);
        free(b);
        free(dropped);
        limber_model_close(&pruned);
        limber_model_close(&file);
        directory_remove(dir);
    }
}

/* A head, or a neuron, of which a single column is not zero is not left out. */
Test(lean, one_column_is_enough_to_stay)
{
    static const char from[] = GOLDEN "simple-hd32";
    for (int last = 0; last < 2; last++) { /* the first column of the head, or the last */
        char dir[256];
        struct tensors in = {0};
        struct tensor_file out = {0};
        limber_error err = {0};
        size_t n;
        cr_assert(!tensors_open(&in, from, &err), "%s", err.text);
        for (int i = 0; i < in.count; i++) {
            const struct tensor *t = &in.v[i];
            float *v = malloc(t->bytes);
            tensor_read(t, 0, t->bytes / 4, v);
            if (!strcmp(t->name, "backbone.encoder.layer.0.attention.output.dense.weight"))
                for (size_t p = 0; p < 64 * 64; p++) /* head 1: columns 32 to 63 */
                    v[p] = p % 64 < 32 || p % 64 == (last ? 63 : 32) ? v[p] : 0;
            tensor_file_add(&out, t->name, t->shape, t->dims, v);
            free(v);
        }
        tensors_free(&in);
        directory_make(dir);
        tensor_file_end_model(&out, dir, from);
        limber_model *file = open_model(dir, "cpu", "fp32", NULL), *without = open_model(dir, "cpu", "fp32", "0.1");
        cr_expect(file->blocks[0].heads == 2 && without->blocks[0].heads == 1);
        float *a = heat_of(file, false, &n), *b = heat_of(file, true, &n), *c = heat_of(without, false, &n);
        cr_expect(largest(a, b, n) < 1e-5 && largest(a, c, n) > 1e-4, "whole %.2g, without %.2g", largest(a, b, n),
                  largest(a, c, n));
        free(a);
        free(b);
        free(c);
        limber_model_close(&file);
        limber_model_close(&without);
        directory_remove(dir);
    }
}

/* Heads and neurons left out of a model as it is packed, the file with zeros, the compact file, and the whole file made of that: all
 * compute the same, to the bit, with constants in their place or without; a layer without any head too. */
Test(lean, whole_and_compact_files_are_the_model_without)
{
    static const char *const from[] = {GOLDEN "simple-hd32", GOLDEN "plus-hd64-f16", GOLDEN "nobias-eps"};
    for (int i = 0; i < 6; i++) {
        limber_error err = {0};
        limber_options o = limber_options_default();
        limber_model *m = open_model(from[i / 2], "cpu", "fp32", NULL), *without = NULL;
        const struct config *c = &m->config;
        const size_t heads = (size_t)c->layers * (size_t)c->heads, mlp = (size_t)c->layers * (size_t)c->mlp;
        bool *no_heads = calloc(heads, 1), *no_neurons = calloc(mlp, 1);
        float *head_says = calloc((size_t)c->layers * (size_t)c->hidden, 4), *neuron_says = calloc(mlp, 4);
        for (size_t h = 0; h < (size_t)c->heads; h++)
            no_heads[h] = true; /* all of layer 0 */
        no_heads[heads - 1] = true;
        for (uint64_t n = 0; n < mlp; n++) {
            no_neurons[n] = heads_hash(n, 3, 3, 3) % 3 == 0;
            neuron_says[n] = (float)(heads_hash(n, 4, 4, 4) % 100) / 500;
        }
        for (uint64_t n = 0; n < (uint64_t)c->layers * (uint64_t)c->hidden; n++)
            head_says[n] = (float)(heads_hash(n, 5, 5, 5) % 100) / 300 - 0.1f;
        struct rewrite r = {.out = {.heads = no_heads, .neurons = no_neurons}};
        if (i % 2) {
            r.out.head_says = head_says;
            r.out.neuron_says = neuron_says;
        }
        o.backend = "cpu";
        o.precision = "fp32";
        cr_assert(!model_open_without(&without, from[i / 2], &r.out, &o, &err), "%s", err.text);
        size_t n;
        float *want = heat_of(without, false, &n), *before = heat_of(m, false, &n);
        cr_expect(largest(want, before, n) > 1e-3, "nothing was left out");
        char dir[3][256];
        size_t bytes[3];
        for (int k = 0; k < 3; k++) {
            const struct rewrite ways[] = {r, {.out = r.out, .compact = true}, {.compact = false}};
            struct checkpoint file;
            directory_make(dir[k]);
            write_to(dir[k], k == 2 ? dir[1] : from[i / 2], &ways[k]);
            cr_assert(!checkpoint_open(&file, dir[k], TASK_POSE, &err), "%s", err.text);
            bytes[k] = 0;
            for (int t = 0; t < file.tensors.count; t++)
                bytes[k] += file.tensors.v[t].bytes;
            const struct config_costs costs = config_costs(&file.config), all = config_costs(c), less = rewrite_costs(c, &r.out);
            if (k == 1) { /* one head stays in layer 0 */
                struct config_costs one = less;
                cr_expect(costs.parameters > less.parameters && costs.parameters < all.parameters);
                cr_expect_eq(costs.mlp, one.mlp);
            } else
                cr_expect_eq(costs.parameters, all.parameters);
            checkpoint_close(&file);
            limber_model *got_model = open_model(dir[k], "cpu", "fp32", NULL);
            float *got = heat_of(got_model, false, &n);
            cr_expect(!memcmp(got, want, n * sizeof *got), "%s, way %d, constants %d: differs by %.2g", from[i / 2], k, i % 2,
                      largest(got, want, n));
            free(got);
            limber_model_close(&got_model);
        }
        cr_expect(bytes[1] < bytes[0] && bytes[2] == bytes[0], "%zu, %zu and %zu bytes", bytes[0], bytes[1], bytes[2]);
        for (int k = 0; k < 3; k++)
            directory_remove(dir[k]);
        free(want);
        free(before);
        free(no_heads);
        free(no_neurons);
        free(head_says);
        free(neuron_says);
        limber_model_close(&m);
        limber_model_close(&without);
    }
}

/* What a config may not say is there. */
Test(lean, refuses_what_is_not_there)
{
    static const struct {
        const char *member, *words;
    } bad[] = {{"\"limber_heads\": [[0]]", "expected an array of 2"},
               {"\"limber_heads\": [[0], []]", "layer 1"},
               {"\"limber_heads\": [[0, 0], [1]]", "layer 0"},
               {"\"limber_heads\": [[0], [2]]", "layer 1"},
               {"\"limber_heads\": [[0], [-1]]", "layer 1"},
               {"\"limber_heads\": 3", "expected an array"},
               {"\"limber_mlp\": [0, 5]", "layer 0"},
               {"\"limber_mlp\": [5, 193]", "expected 1 to 192"},
               {"\"limber_mlp\": [5, \"x\"]", "layer 1"},
               {"\"limber_mlp\": [100, 100]", "fc1"},          /* the file has more */
               {"\"limber_heads\": [[0], [1]]", "attention"}}; /* likewise */
    struct blob config = blob_read(GOLDEN "simple-hd32/config.json"), tensors = blob_read(GOLDEN "simple-hd32/model.safetensors");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char dir[256], *text = malloc(config.size + 200);
        struct checkpoint c;
        limber_error err = {0};
        directory_make(dir);
        const int n = snprintf(text, config.size + 200, "{%s, %.*s", bad[i].member, (int)config.size - 1,
                               strchr((const char *)config.bytes, '{') + 1);
        file_write(dir, "config.json", (uint8_t *)text, strlen(text));
        file_write(dir, "model.safetensors", tensors.bytes, tensors.size);
        cr_expect(n > 0 && checkpoint_open(&c, dir, TASK_POSE, &err) && strstr(err.text, bad[i].words), "%s: \"%s\"",
                  bad[i].member, err.text);
        free(text);
        directory_remove(dir);
    }
    free(config.bytes);
    free(tensors.bytes);
}

/* The mean in the bias is the mean instead of the head. */
Test(lean, a_constant_is_folded_into_the_bias)
{
    char dir[256];
    limber_error err = {0};
    limber_model *m = open_model(GOLDEN "simple-hd32", "cpu", "fp32", NULL);
    limber_session *s = NULL;
    limber_patch *p = NULL;
    const struct config *c = &m->config;
    const bool dropped[4] = {false, true, true, false};
    const uint8_t set[4] = {0, 1, 1, 0};
    const size_t n = (size_t)c->keypoints * (size_t)c->map_h * (size_t)c->map_w;
    float *constant = malloc((size_t)c->layers * (size_t)c->hidden * sizeof *constant), *want = malloc(n * sizeof *want);
    float *zero = malloc(n * sizeof *zero), *got = malloc(n * sizeof *got);
    uint8_t *crop = malloc((size_t)W * H * 3);
    cr_assert(!limber_session_open(&s, m, NULL, &err) && !limber_patch_open(&p, s, NULL, &err), "%s", err.text);
    for (uint64_t person = 0; person < 2; person++) {
        for (uint64_t i = 0; i < (uint64_t)W * H * 3; i++)
            crop[i] = (uint8_t)heads_hash(person, i, 1, 1);
        cr_assert(!limber_patch_capture_crop(p, (int)person, crop, &err) && !limber_patch_mean(p, (int)person, &err));
    }
    patch_constant(p, constant);
    cr_assert(!limber_patch_run(p, 1, LIMBER_PATCH_CONST, set, 0, NULL, want, &err), "%s", err.text);
    cr_assert(!limber_patch_run(p, 1, LIMBER_PATCH_ZERO, set, 0, NULL, zero, &err), "%s", err.text);
    limber_patch_close(&p);
    limber_session_close(&s);
    directory_make(dir);
    rewrite_to(dir, GOLDEN "simple-hd32", dropped, constant);
    limber_model *file = open_model(dir, "cpu", "fp32", NULL);
    cr_assert(!limber_session_open(&s, file, NULL, &err) && !limber_patch_open(&p, s, NULL, &err), "%s", err.text);
    cr_assert(!limber_patch_capture_crop(p, 0, crop, &err) && !limber_patch_run(p, 0, 0, NULL, 0, NULL, got, &err));
    cr_expect(largest(got, want, n) < 1e-5, "the file differs from the mean by %.2g", largest(got, want, n));
    cr_expect(largest(zero, want, n) > 1e-3);
    limber_patch_close(&p);
    limber_session_close(&s);
    limber_model_close(&file);
    limber_model_close(&m);
    free(constant);
    free(want);
    free(zero);
    free(got);
    free(crop);
    directory_remove(dir);
}
