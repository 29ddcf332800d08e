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
#include "limber_heads.h"
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
    struct blob model = tensor_file_end(&out);
    file_write(dir, "model.safetensors", model.bytes, model.size);
    free(model.bytes);
    static const char *const json[] = {"config.json", "preprocessor_config.json"};
    for (int i = 0; i < 2; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", from, json[i]);
        struct blob b = blob_read(path);
        file_write(dir, json[i], b.bytes, b.size);
        free(b.bytes);
    }
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
            const limber_image im = {.rgb = rgb, .width = W, .height = H, .stride = 3 * W};
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
