/* SPDX-License-Identifier: MIT */
/* test_emulated.c - whole models through the CUDA backend, on the emulated plugin (LIMBER_CUDA_PLUGIN names it), against `ref`: every tap of
 * every layer, heatmaps, joints; flipped; statistics; batches of several sizes in an order that makes graphs be recorded, played and
 * dropped; and the errors a device can give. A real plugin answers the same questions where there is a GPU (scripts/gpu_check.sh). */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compute/open.h"
#include "limber.h"
#include "model/model.h"
#include "pose/vit.h"

static const char *const models[] = {"simple-hd32", "classic-hd32-bf16", "plus-hd64-f16", "sharded-hd80", "nobias-eps"};
enum { MODELS = sizeof models / sizeof *models };
/* How far a precision may be from ref: the root mean square of the error over that of the activation, at most 4 units of its last
 * place (seen: 1.3), and 16 for the heatmaps of these small models, where large products cancel (seen: 12, in fp32 as in bf16). A wrong
 * stride, residual or bias is off by the whole of it. */
static const struct {
    const char *name;
    double unit; /* of the last place */
} precisions[] = {{"fp32", 0x1p-23}, {"fp16", 0x1p-11}, {"bf16", 0x1p-8}};
enum { PRECISIONS = sizeof precisions / sizeof *precisions };

static limber_model *open_model(const char *name, const char *backend, const char *precision)
{
    char dir[1024];
    limber_error err = {0};
    limber_model *m = NULL;
    limber_options o = limber_options_default();
    o.backend = backend;
    o.precision = precision;
    snprintf(dir, sizeof dir, "%s/golden/%s", LIMBER_TEST_DIR, name);
    cr_assert_eq(limber_model_open(&m, dir, &o, &err), LIMBER_OK, "%s %s: %s", name, backend, err.text);
    return m;
}

static uint8_t *crops_of(const struct config *c, int people)
{
    size_t n = (size_t)people * (size_t)c->image_h * (size_t)c->image_w * 3;
    uint8_t *crops = malloc(n);
    uint64_t s = 12345;
    cr_assert(crops);
    for (size_t i = 0; i < n; i++) {
        s = s * 6364136223846793005u + 1442695040888963407u;
        crops[i] = (uint8_t)((s >> 56) / 2 + i / 37 % 128); /* noise on a slope */
    }
    return crops;
}

/* ---- taps ---- */

struct tape {
    float **v;
    size_t *n;
    char (*where)[32];
    int count;
};
static void record(void *context, const char *where, int layer, struct exec *ex, const struct buf *b, struct span span)
{
    struct tape *t = context;
    size_t n = (size_t)span.count * (size_t)b->tokens * (size_t)b->cols;
    t->v = realloc(t->v, (size_t)(t->count + 1) * sizeof *t->v);
    t->n = realloc(t->n, (size_t)(t->count + 1) * sizeof *t->n);
    t->where = realloc(t->where, (size_t)(t->count + 1) * sizeof *t->where);
    cr_assert(t->v && t->n && t->where);
    snprintf(t->where[t->count], sizeof *t->where, "%s %d", where, layer);
    t->v[t->count] = malloc(n * sizeof(float));
    t->n[t->count] = n;
    ex->ops->buf_read(ex, b, span, t->v[t->count++]);
}
static void tape_free(struct tape *t)
{
    for (int i = 0; i < t->count; i++)
        free(t->v[i]);
    free(t->v);
    free(t->n);
    free(t->where);
}

static struct tape forward_taped(limber_model *m, int people, limber_keypoint *joints)
{
    struct vit v;
    struct tape tape = {0};
    limber_error err = {0};
    uint8_t *crops = crops_of(&m->config, people);
    cr_assert_eq(vit_open(&v, m, 2, people, false, &err), LIMBER_OK, "%s", err.text);
    v.tap = record;
    v.tap_context = &tape;
    cr_assert_eq(vit_forward(&v, crops, people, joints, &err), LIMBER_OK, "%s", err.text);
    vit_close(&v);
    free(crops);
    return tape;
}

static void layers_agree(const char *name, int p)
{
    limber_model *ref = open_model(name, "ref", "fp32"), *cuda = open_model(name, "cuda", precisions[p].name);
    limber_keypoint a[2 * 64], b[2 * 64];
    cr_assert(ref->config.keypoints <= 64);
    struct tape want = forward_taped(ref, 2, a), got = forward_taped(cuda, 2, b);
    cr_assert_eq(want.count, got.count);
    for (int i = 0; i < want.count; i++) {
        double square = 0, error = 0, worst = 0;
        for (size_t k = 0; k < want.n[i]; k++) {
            double d = fabs((double)got.v[i][k] - (double)want.v[i][k]);
            square += (double)want.v[i][k] * (double)want.v[i][k];
            error += d * d;
            worst = d <= worst ? worst : d != d ? INFINITY : d;
        }
        double rms = sqrt(square / (double)want.n[i]), relative = sqrt(error / (double)want.n[i]) / rms;
        if (getenv("LIMBER_VERBOSE"))
            fprintf(stderr, "%s %s %s: %.2e, worst %.2e\n", name, precisions[p].name, want.where[i], relative, worst / rms);
        double bound = (strncmp(want.where[i], "heatmap", 7) == 0 ? 16 : 4) * precisions[p].unit;
        cr_expect(relative <= bound && worst <= 20 * bound * rms,
                  "%s %s: after %s the error is %.2e of the activation, the worst element's %.2e", name, precisions[p].name,
                  want.where[i], relative, worst / rms);
    }
    if (p == 0)
        for (int k = 0; k < 2 * ref->config.keypoints; k++)
            cr_expect(fabsf(a[k].x - b[k].x) < 2e-2f && fabsf(a[k].y - b[k].y) < 2e-2f && fabsf(a[k].score - b[k].score) < 1e-4f,
                      "%s: joint %d is (%g, %g) %g, ref (%g, %g) %g", name, k, (double)b[k].x, (double)b[k].y, (double)b[k].score,
                      (double)a[k].x, (double)a[k].y, (double)a[k].score);
    tape_free(&want);
    tape_free(&got);
    limber_model_close(&ref);
    limber_model_close(&cuda);
}

Test(emulated, name)
{
    limber_model *m = open_model(models[0], "cuda", "fp16");
    cr_expect(strstr(limber_model_backend(m), "cuda"), "the backend calls itself %s", limber_model_backend(m));
    limber_model_close(&m);
}
Test(emulated, layers_fp32)
{
    for (int i = 0; i < MODELS; i++)
        layers_agree(models[i], 0);
}
Test(emulated, layers_fp16)
{
    for (int i = 0; i < MODELS; i++)
        layers_agree(models[i], 1);
}
Test(emulated, layers_bf16)
{
    for (int i = 0; i < MODELS; i++)
        layers_agree(models[i], 2);
}

/* ---- graphs: the same answers, bit for bit, whether a pass ran as it came, was recorded, or was played ---- */

static void passes_agree(const char *name, const char *precision, bool flip)
{
    limber_model *m = open_model(name, "cuda", precision);
    const int keypoints = m->config.keypoints, most = 3;
    const size_t crop = (size_t)m->config.image_h * (size_t)m->config.image_w * 3;
    limber_error err = {0};
    struct vit v;
    uint8_t *crops = crops_of(&m->config, most + 1);
    limber_keypoint *alone = calloc((size_t)(most + 1) * (size_t)keypoints, sizeof *alone),
                    *joints = calloc((size_t)most * (size_t)keypoints, sizeof *joints);
    cr_assert(alone && joints);
    cr_assert_eq(vit_open(&v, m, 1, most, flip, &err), LIMBER_OK, "%s", err.text);
    for (int p = 0; p <= most; p++) { /* one at a time: the first as it comes, the second recorded, the others played */
        cr_assert_eq(vit_forward(&v, crops + (size_t)p * crop, 1, alone + p * keypoints, &err), LIMBER_OK, "%s", err.text);
        cr_expect(p == 0 || memcmp(alone, alone + p * keypoints, (size_t)keypoints * sizeof *alone) != 0,
                  "person %d equals person 0", p);
    }
    static const int sizes[] = {3, 1, 2, 3, 3, 1, 2, 3, 2, 1}; /* several graphs, in turns */
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int first = (int)i % 2; /* other people through the same recording */
        memset(joints, 0, (size_t)most * (size_t)keypoints * sizeof *joints);
        cr_assert_eq(vit_forward(&v, crops + (size_t)first * crop, sizes[i], joints, &err), LIMBER_OK, "%s", err.text);
        cr_expect_arr_eq(joints, alone + first * keypoints, (size_t)(sizes[i] * keypoints) * sizeof *joints,
                         "%s %s pass %zu of %d people differs", name, precision, i, sizes[i]);
    }
    vit_close(&v);
    free(crops);
    free(alone);
    free(joints);
    limber_model_close(&m);
}
Test(emulated, passes)
{
    passes_agree("simple-hd32", "fp16", false);
}
Test(emulated, passes_classic)
{
    passes_agree("classic-hd32-bf16", "bf16", false);
}
Test(emulated, passes_flip)
{
    passes_agree("plus-hd64-f16", "fp16", true);
}

/* ---- statistics ---- */

static void statistics_agree(const char *precision, double bound)
{
    limber_model *models_of[2] = {open_model("sharded-hd80", "ref", "fp32"), open_model("sharded-hd80", "cuda", precision)};
    const struct config *c = &models_of[0]->config;
    const int people = 2, classes = 5, layer = c->layers - 1;
    const size_t n = (size_t)people * (size_t)c->heads * (size_t)c->tokens * (size_t)(4 + classes);
    uint8_t *crops = crops_of(c, people), *masks = malloc((size_t)people * (size_t)c->tokens);
    float *out[2] = {calloc(n, sizeof(float)), calloc(n, sizeof(float))};
    limber_keypoint *joints = calloc((size_t)people * (size_t)c->keypoints, sizeof *joints);
    cr_assert(crops && masks && out[0] && out[1] && joints);
    for (int i = 0; i < people * c->tokens; i++)
        masks[i] = (uint8_t)(i * 7 % 32);
    for (int i = 0; i < 2; i++) {
        limber_error err = {0};
        struct vit v;
        struct attention_stats stats = {.classes = classes, .masks = masks, .out = out[i]};
        const struct attention_stats **layers = calloc((size_t)c->layers, sizeof *layers);
        cr_assert(layers);
        layers[layer] = layers[0] = &stats; /* two layers into one array: the last one stays */
        cr_assert_eq(vit_open(&v, models_of[i], 1, people, false, &err), LIMBER_OK, "%s", err.text);
        v.layer_stats = layers;
        cr_assert_eq(vit_forward(&v, crops, people, joints, &err), LIMBER_OK, "%s", err.text);
        vit_close(&v);
        free(layers);
    }
    double worst = 0, largest = 0;
    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)out[0][i] - (double)out[1][i]);
        worst = d <= worst ? worst : d != d ? INFINITY : d;
        largest = fmax(largest, fabs((double)out[0][i]));
    }
    cr_expect(largest > 0.5 && worst <= bound * largest, "%s: statistics are off by %.2e of %.2e", precision, worst, largest);
    for (int i = 0; i < 2; i++) {
        free(out[i]);
        limber_model_close(&models_of[i]);
    }
    free(crops);
    free(masks);
    free(joints);
}
Test(emulated, statistics)
{
    statistics_agree("fp32", 1e-5);
    statistics_agree("fp16", 1e-2);
    statistics_agree("bf16", 6e-2);
}

/* ---- what a device refuses ---- */

static void refused(const char *precision, limber_status status, const char *says)
{
    limber_error err = {0};
    limber_model *m = NULL;
    limber_options o = limber_options_default();
    o.backend = "cuda";
    o.precision = precision;
    cr_expect_eq(limber_model_open(&m, LIMBER_TEST_DIR "/golden/simple-hd32", &o, &err), status, "%s", err.text);
    cr_expect(strstr(err.text, says), "the error does not say \"%s\": %s", says, err.text);
    limber_model_close(&m);
}
Test(emulated, no_device, .init = NULL)
{
    setenv("CUEMU_DEVICES", "0", 1);
    refused("fp16", LIMBER_E_UNSUPPORTED, "cudaErrorNoDevice");
}
Test(emulated, old_device)
{
    setenv("CUEMU_SM", "75", 1);
    refused("bf16", LIMBER_E_UNSUPPORTED, "bf16 needs 8.0");
    setenv("CUEMU_SM", "70", 1);
    refused("fp16", LIMBER_E_UNSUPPORTED, "7.5");
}
Test(emulated, unknown_precision)
{
    refused("int8", LIMBER_E_UNSUPPORTED, "fp16, bf16 or fp32");
}
Test(emulated, no_plugin)
{
    setenv("LIMBER_CUDA_PLUGIN", "/nowhere/liblimber_cuda.so", 1);
    refused("fp16", LIMBER_E_UNSUPPORTED, "/nowhere/liblimber_cuda.so");
    unsetenv("LIMBER_CUDA_PLUGIN"); /* neither driver nor plugin on a machine that needs the emulator; on another it works */
    struct backend_report report;
    backend_cuda_report(&report);
    cr_expect(report.available || strlen(report.detail) > 20, "the report says \"%s\"", report.detail);
}
Test(emulated, memory)
{
    limber_error err = {0};
    limber_model *m = NULL;
    limber_session *s = NULL;
    limber_options o = limber_options_default();
    o.backend = "cuda";
    o.precision = "fp16";
    setenv("CUEMU_MEMORY_MB", "64", 1);
    cr_assert_eq(limber_model_open(&m, LIMBER_TEST_DIR "/golden/simple-hd32", &o, &err), LIMBER_OK, "%s", err.text);
    const struct pass_shape shape = model_pass_shape(m, m->config.image_h, m->config.image_w);
    int batch = m->be->ops->preferred_batch(m->be, 1, &shape);
    cr_expect(batch >= 1 && batch <= 64, "preferred batch is %d", batch);
    o.batch = 1024;
    cr_expect_eq(limber_session_open(&s, m, &o, &err), LIMBER_E_MEMORY, "%s", err.text);
    cr_expect(strstr(err.text, "--batch 512") && strstr(err.text, "MB are free"), "%s", err.text);
    cr_expect_null(s);
    struct exec *ex; /* each allocation says so itself, not only the first that a large session makes */
    struct buf *b;
    cr_assert_eq(m->be->ops->exec_open(m->be, &ex, 1, 1, NULL, &err), LIMBER_OK, "%s", err.text);
    cr_expect_eq(m->be->ops->buf_open(ex, &b, BUF_OPERAND, 64, 192, 4096, &err), LIMBER_E_MEMORY,
                 "100 MB of a device of 64 were opened");
    cr_expect(!b && strstr(err.text, "activations (192 tokens of 4096 numbers)"), "%s", err.text);
    m->be->ops->exec_close(ex);
    o.batch = batch; /* and what it prefers does fit */
    cr_expect_eq(limber_session_open(&s, m, &o, &err), LIMBER_OK, "%s", err.text);
    limber_session_close(&s);
    limber_model_close(&m);
}
Test(emulated, approximations)
{
    limber_error err = {0};
    struct backend *be = NULL;
    cr_assert_eq(backend_open(&be, "cuda", "fp16", &err), LIMBER_OK, "%s", err.text);
    struct attention_args a = {.heads = 2, .head_dim = 32, .grid_h = 4, .grid_w = 3, .kind = ATTENTION_WINDOW, .size = 2};
    cr_expect_eq(be->ops->attention_check(be, &a, &err), LIMBER_E_UNSUPPORTED);
    a.kind = ATTENTION_EXACT;
    cr_expect_eq(be->ops->attention_check(be, &a, &err), LIMBER_OK);
    a.head_dim = 257;
    cr_expect_eq(be->ops->attention_check(be, &a, &err), LIMBER_E_UNSUPPORTED);
    backend_close(&be);
}
