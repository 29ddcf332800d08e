/* SPDX-License-Identifier: MIT */
/* Patched heads against transformers with hooks, against the plain runs they must be equal to, and on planted checkpoints of which the
 * cause is known. */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compute/open.h"
#include "command/eval/coco_eval.h"
#include "heads/chance.h"
#include "heads/corrupt.h"
#include "heads/effects.h"
#include "heads/experiment.h"
#include "heads/patch.h"
#include "tensor_file.h"

#define GOLDEN LIMBER_TEST_DIR "/golden"
enum { W = 192, H = 256, KEYPOINTS = 17, MAP = 64 * 48, LAYERS = 2, HEADS = 2, PIXELS = W * H * 3 };

static limber_session *open_session(limber_model **model, const char *dir, const char *backend, const char *precision,
                                    const char *prune, int threads, int batch)
{
    limber_options o = limber_options_default();
    limber_error err = {0};
    limber_session *session = NULL;
    o.backend = backend;
    o.precision = precision;
    o.prune = prune;
    o.threads = threads;
    o.batch = batch;
    cr_assert(!limber_model_open(model, dir, &o, &err), "%s", err.text);
    cr_assert(!limber_session_open(&session, *model, &o, &err), "%s", err.text);
    return session;
}

struct bench {
    limber_model *model;
    limber_session *session;
    limber_patch *patch;
    uint8_t *crops[2]; /* of golden simple-hd32, and that upside down */
};

static void bench_open(struct bench *b, const char *dir, const char *backend, const char *precision, int threads, int batch)
{
    limber_error err = {0};
    struct tensors t = {0};
    struct blob file = blob_read(GOLDEN "/simple-hd32/golden.safetensors");
    *b = (struct bench){0};
    b->session = open_session(&b->model, dir, backend, precision, NULL, threads, batch);
    cr_assert(!limber_patch_open(&b->patch, b->session, NULL, &err), "%s", err.text);
    cr_assert(!tensors_parse(&t, file.bytes, file.size, &err), "%s", err.text);
    const struct tensor *crops = tensors_find(&t, "crops");
    for (int i = 0; i < 2; i++)
        b->crops[i] = malloc(PIXELS);
    memcpy(b->crops[0], crops->data, PIXELS);
    for (int p = 0; p < W * H; p++)
        memcpy(b->crops[1] + 3 * (W * H - 1 - p), b->crops[0] + 3 * p, 3);
    for (int i = 0; i < 2; i++) {
        cr_assert(!limber_patch_capture_crop(b->patch, i, b->crops[i], &err), "%s", err.text);
        cr_assert(!limber_patch_mean(b->patch, i, &err), "%s", err.text);
    }
    tensors_free(&t);
    free(file.bytes);
}

static void bench_close(struct bench *b)
{
    limber_patch_close(&b->patch);
    limber_session_close(&b->session);
    limber_model_close(&b->model);
    free(b->crops[0]);
    free(b->crops[1]);
}

static void patched(struct bench *b, int base, int source, const uint8_t *heads, int flags, float *heat)
{
    limber_error err = {0};
    cr_assert(!limber_patch_run(b->patch, base, source, heads, flags, NULL, heat, &err), "%s", err.text);
}

static double largest_difference(const float *a, const float *b, size_t n)
{
    double most = 0;
    for (size_t i = 0; i < n; i++)
        most = fmax(most, fabs((double)a[i] - (double)b[i]));
    return most;
}

/* ---- transformers' answers ---- */

struct answers {
    const float *total, *direct; /* [heads][keypoints][16][12]: every 4th pixel */
    double most[2];
    int seen;
};

static double against(const float *heat, const float *want)
{
    double most = 0;
    for (int k = 0; k < KEYPOINTS; k++)
        for (int y = 0; y < 16; y++)
            for (int x = 0; x < 12; x++)
                most = fmax(most, fabs((double)heat[k * MAP + 4 * y * 48 + 4 * x] - (double)want[(k * 16 + y) * 12 + x]));
    return most;
}

static void compare(void *context, const limber_patch_effect *e)
{
    struct answers *a = context;
    const size_t at = (size_t)(e->layer * HEADS + e->head) * KEYPOINTS * 16 * 12;
    a->most[0] = fmax(a->most[0], against(e->heat, a->total + at));
    a->most[1] = fmax(a->most[1], against(e->direct_heat, a->direct + at));
    a->seen++;
}

static void agrees_with_transformers(const char *backend)
{
    static const struct {
        const char *name;
        int source;
    } kinds[] = {{"swap", 1}, {"zero", LIMBER_PATCH_ZERO}, {"mean", LIMBER_PATCH_MEAN}, {"const", LIMBER_PATCH_CONST}};
    limber_error err = {0};
    struct bench b;
    struct tensors t = {0};
    struct blob file = blob_read(GOLDEN "/patch.safetensors");
    cr_assert(!tensors_parse(&t, file.bytes, file.size, &err), "%s", err.text);
    bench_open(&b, GOLDEN "/simple-hd32", backend, "fp32", 1, 2);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        char name[32];
        snprintf(name, sizeof name, "%s.direct", kinds[i].name);
        const struct tensor *total = tensors_find(&t, kinds[i].name), *direct = tensors_find(&t, name);
        cr_assert(total && direct && total->bytes == (size_t)LAYERS * HEADS * KEYPOINTS * 16 * 12 * 4);
        float *want[2] = {malloc(total->bytes), malloc(direct->bytes)};
        tensor_read(total, 0, total->bytes / 4, want[0]);
        tensor_read(direct, 0, direct->bytes / 4, want[1]);
        struct answers a = {.total = want[0], .direct = want[1]};
        cr_assert(!limber_patch_each(b.patch, 0, kinds[i].source, NULL, 1, compare, &a, &err), "%s", err.text);
        cr_expect_eq(a.seen, LAYERS * HEADS);
        cr_expect(a.most[0] < 5e-6 && a.most[1] < 5e-6, "%s, %s: total differs by %.2g, direct by %.2g", backend, kinds[i].name,
                  a.most[0], a.most[1]);
        free(want[0]);
        free(want[1]);
    }
    bench_close(&b);
    tensors_free(&t);
    free(file.bytes);
}

/* Sets of heads, and paths from some to others (of nobias-eps past a layer that is held still), of which tools/make_patch_golden.py has
 * the heat maps, every `step` pixels. */
struct patched_case {
    const char *senders, *heads; /* senders NULL: no path */
};

static void read_heads(uint8_t *set, const char *text, const struct config *c)
{
    bool *named = NULL;
    limber_error err = {0};
    cr_assert(!prune_parse(text, c, &named, &err), "%s", err.text);
    for (int i = 0; i < c->layers * c->heads; i++)
        set[i] = named[i];
    free(named);
}

static void case_agrees(limber_patch *p, const struct config *c, const struct patched_case *k, int source, int direct, int step,
                        const float *want, const char *name)
{
    const size_t map = (size_t)c->map_h * (size_t)c->map_w;
    limber_error err = {0};
    uint8_t heads[16], senders[16];
    float *heat = malloc((size_t)c->keypoints * map * sizeof *heat);
    double most = 0;
    read_heads(heads, k->heads, c);
    if (k->senders) {
        read_heads(senders, k->senders, c);
        cr_assert(!limber_patch_path(p, 0, source, senders, &err), "%s", err.text);
    }
    cr_assert(!limber_patch_run(p, 0, k->senders ? LIMBER_PATCH_PATH : source, heads, direct ? LIMBER_PATCH_DIRECT : 0, NULL,
                                heat, &err),
              "%s", err.text);
    for (size_t j = 0; j < (size_t)c->keypoints; j++)
        for (size_t y = 0; y < (size_t)c->map_h; y += (size_t)step)
            for (size_t x = 0; x < (size_t)c->map_w; x += (size_t)step)
                most = fmax(most, fabs((double)heat[j * map + y * (size_t)c->map_w + x] - (double)*want++));
    cr_expect(most < 1e-5, "%s%s, %s -> %s differs by %.2g", name, direct ? ", direct" : "", k->senders ? k->senders : "",
              k->heads, most);
    free(heat);
}

static void sets_and_paths_agree(const char *backend, const char *model, const char *prefix, const struct patched_case *cases,
                                 int step)
{
    limber_error err = {0};
    limber_model *m = NULL;
    limber_patch *p = NULL;
    struct tensors t = {0}, golden = {0};
    char dir[512];
    snprintf(dir, sizeof dir, GOLDEN "/%s/golden.safetensors", model);
    struct blob file = blob_read(GOLDEN "/patch.safetensors"), of_model = blob_read(dir);
    cr_assert(!tensors_parse(&t, file.bytes, file.size, &err) && !tensors_parse(&golden, of_model.bytes, of_model.size, &err));
    snprintf(dir, sizeof dir, GOLDEN "/%s", model);
    limber_session *session = open_session(&m, dir, backend, "fp32", NULL, 1, 1);
    cr_assert(!limber_patch_open(&p, session, NULL, &err), "%s", err.text);
    const struct config *c = &m->config;
    const size_t pixels = (size_t)c->image_h * (size_t)c->image_w;
    uint8_t *crops = malloc(6 * pixels);
    memcpy(crops, tensors_find(&golden, "crops")->data, 3 * pixels);
    for (size_t i = 0; i < pixels; i++)
        memcpy(crops + 3 * (2 * pixels - 1 - i), crops + 3 * i, 3);
    for (int i = 0; i < 2; i++)
        cr_assert(!limber_patch_capture_crop(p, i, crops + (size_t)i * 3 * pixels, &err), "%s", err.text);
    const size_t sampled = (size_t)c->keypoints * (size_t)((c->map_h + step - 1) / step) * (size_t)((c->map_w + step - 1) / step);
    for (int i = 0; i < 4; i++) {
        char name[48];
        snprintf(name, sizeof name, "%s.%s%s", prefix, i / 2 ? "zero" : "swap", i % 2 ? ".direct" : "");
        const struct tensor *answer = tensors_find(&t, name);
        cr_assert(answer, "%s", name);
        float *want = malloc(answer->bytes);
        tensor_read(answer, 0, answer->bytes / 4, want);
        size_t n = 0;
        for (; cases[n].heads; n++)
            case_agrees(p, c, &cases[n], i / 2 ? LIMBER_PATCH_ZERO : 1, i % 2, step, want + n * sampled, name);
        cr_expect_eq(answer->bytes / 4, n * sampled);
        free(want);
    }
    limber_patch_close(&p);
    limber_session_close(&session);
    limber_model_close(&m);
    tensors_free(&t);
    tensors_free(&golden);
    free(file.bytes);
    free(of_model.bytes);
    free(crops);
}

static const struct patched_case set_cases[] = {{NULL, "0.0,1.1"}, {NULL, "0.1,1.0,1.1"}, {0}},
                                 path_cases[] = {{"0.0", "1.0"}, {"0.0", "1.1"}, {"0.1", "1.0"}, {"0.0,0.1", "1.0,1.1"}, {0}},
                                 deep_cases[] = {{"0.0", "2.0"},     {"1.0", "2.0"},         {"0.0,1.0", "2.0"},
                                                 {"0.0", "1.0,2.0"}, {"0.0,1.0", "1.0,2.0"}, {0}};

Test(patch, sets_and_paths_are_transformers)
{
    static const char *const backends[] = {"ref", "cpu"};
    for (int i = 0; i < 2; i++) {
        sets_and_paths_agree(backends[i], "simple-hd32", "sets", set_cases, 8);
        sets_and_paths_agree(backends[i], "simple-hd32", "path", path_cases, 8);
        sets_and_paths_agree(backends[i], "nobias-eps", "deep.path", deep_cases, 1);
    }
}

Test(patch, ref_agrees_with_transformers)
{
    agrees_with_transformers("ref");
}
Test(patch, cpu_agrees_with_transformers)
{
    agrees_with_transformers("cpu");
}

/* ---- equal to the bit ---- */

static void equals_plain_runs(const char *precision)
{
    limber_error err = {0};
    struct bench b;
    bench_open(&b, GOLDEN "/simple-hd32", "cpu", precision, 2, 3);
    float *plain = malloc(sizeof(float) * KEYPOINTS * MAP), *heat = malloc(sizeof(float) * KEYPOINTS * MAP);
    limber_keypoint want[KEYPOINTS], got[KEYPOINTS];
    uint8_t all[LAYERS * HEADS], one[LAYERS * HEADS];
    memset(all, 1, sizeof all);
    for (int run = 0; run < 2; run++) {
        /* what limber_run says of the crop, and what the kept run says */
        cr_assert(!vit_forward(&b.session->vit, b.crops[run], 1, want, &err), "%s", err.text);
        cr_assert(!limber_patch_run(b.patch, run, run, NULL, 0, got, plain, &err), "%s", err.text);
        for (int k = 0; k < KEYPOINTS; k++) {
            const limber_keypoint there = crop_to_image(want[k], 64, 48, (struct crop_region){95.5f, 127.5f, 191, 255});
            cr_expect(!memcmp(&there, &got[k], sizeof there), "joint %d: (%g, %g), the plain run (%g, %g)", k, (double)got[k].x,
                      (double)got[k].y, (double)there.x, (double)there.y);
        }
        for (int flags = 0; flags < 3; flags++)
            for (int head = 0; head <= LAYERS * HEADS; head++) {
                memset(one, 0, sizeof one);
                one[head % (LAYERS * HEADS)] = 1;
                patched(&b, run, run, head == LAYERS * HEADS ? all : one, flags, heat);
                cr_expect(!memcmp(heat, plain, sizeof(float) * KEYPOINTS * MAP), "%s: patched with itself, flags %d, head %d",
                          precision, flags, head);
            }
    }
    /* a path of nothing that changed is no path */
    cr_assert(!limber_patch_path(b.patch, 0, 0, all, &err), "%s", err.text);
    patched(&b, 0, 0, NULL, 0, plain);
    for (int flags = 0; flags < 2; flags++) {
        patched(&b, 0, LIMBER_PATCH_PATH, all, flags, heat);
        cr_expect(!memcmp(heat, plain, sizeof(float) * KEYPOINTS * MAP), "%s: a path from itself, flags %d", precision, flags);
    }
    patched(&b, 1, 1, NULL, 0, plain);
    /* all of B, x_0 too: B */
    patched(&b, 0, 1, all, LIMBER_PATCH_INPUT, heat);
    cr_expect(!memcmp(heat, plain, sizeof(float) * KEYPOINTS * MAP), "%s: all of the other run is not the other run", precision);
    patched(&b, 0, 1, all, 0, heat);
    cr_expect(memcmp(heat, plain, sizeof(float) * KEYPOINTS * MAP), "%s: x_0 of the base leaves no trace", precision);
    free(plain);
    free(heat);
    bench_close(&b);
}

Test(patch, a_run_patched_with_itself_is_itself)
{
    equals_plain_runs("fp32");
}
Test(patch, and_in_bf16)
{
    limber_error err = {0};
    struct backend *be = NULL;
    if (backend_open(&be, "cpu", "bf16", &err))
        cr_skip_test("%s", err.text);
    backend_close(&be);
    equals_plain_runs("bf16");
}

static void add_bytes(void *context, const limber_patch_effect *e)
{
    uint64_t *hash = context;
    uint32_t bits;
    for (size_t i = 0; i < (size_t)KEYPOINTS * MAP; i++) {
        memcpy(&bits, &e->heat[i], 4);
        *hash = heads_hash(*hash, bits, (uint64_t)(e->layer * 100 + e->head), 0);
        memcpy(&bits, &e->direct_heat[i], 4);
        *hash = heads_hash(*hash, bits, 1, 0);
    }
    *hash = heads_hash(*hash, (uint64_t)(e->joints[3].x * 1000), (uint64_t)(e->direct_joints[3].x * 1000), 0);
}

Test(patch, threads_and_batches_change_no_bit)
{
    static const int ways[][2] = {{1, 1}, {2, 2}, {3, 16}};
    uint64_t first = 0;
    for (size_t i = 0; i < 3; i++) {
        limber_error err = {0};
        struct bench b;
        uint64_t hash = 0;
        bench_open(&b, GOLDEN "/simple-hd32", "cpu", "fp32", ways[i][0], ways[i][1]);
        cr_assert(!limber_patch_each(b.patch, 0, 1, NULL, 1, add_bytes, &hash, &err), "%s", err.text);
        first = i ? first : hash;
        cr_expect_eq(hash, first, "%d threads, batch %d", ways[i][0], ways[i][1]);
        bench_close(&b);
    }
}

/* Each head alone is what limber_patch_run makes of that head, and what opening the model without it makes. */
static void zero_is_pruned(const char *backend)
{
    limber_error err = {0};
    struct bench b;
    bench_open(&b, GOLDEN "/simple-hd32", backend, "fp32", 1, 2);
    float *heat = malloc(sizeof(float) * KEYPOINTS * MAP), *without = malloc(sizeof(float) * KEYPOINTS * MAP);
    for (int i = 0; i < LAYERS * HEADS; i++) {
        uint8_t one[LAYERS * HEADS] = {0};
        char prune[16];
        snprintf(prune, sizeof prune, "%d.%d", i / HEADS, i % HEADS);
        one[i] = 1;
        patched(&b, 0, LIMBER_PATCH_ZERO, one, 0, heat);
        limber_model *model = NULL;
        limber_patch *patch = NULL;
        limber_session *session = open_session(&model, GOLDEN "/simple-hd32", backend, "fp32", prune, 1, 1);
        cr_assert(!limber_patch_open(&patch, session, NULL, &err), "%s", err.text);
        cr_assert(!limber_patch_capture_crop(patch, 0, b.crops[0], &err), "%s", err.text);
        cr_assert(!limber_patch_run(patch, 0, 0, NULL, 0, NULL, without, &err), "%s", err.text);
        double d = largest_difference(heat, without, (size_t)KEYPOINTS * MAP);
        cr_expect(d < 1e-6, "%s: zero at %s differs from --prune %s by %.2g", backend, prune, prune, d);
        limber_patch_close(&patch);
        limber_session_close(&session);
        limber_model_close(&model);
    }
    free(heat);
    free(without);
    bench_close(&b);
}

Test(patch, zero_is_what_prune_leaves_ref)
{
    zero_is_pruned("ref");
}
Test(patch, zero_is_what_prune_leaves_cpu)
{
    zero_is_pruned("cpu");
}

static uint64_t hash_of(const struct effects_result *r);

/* ---- planted causes ---- */

/* The small checkpoint with its blocks made by hand. Of the residual stream, dimensions 0 and 1 hold how red a patch is (with opposite
 * signs, so that layernorm's mean stays 0), 8 and 9 a large constant, so that layernorm's scale hardly moves, the rest nothing. All
 * attention is flat. Head (0,1) writes the picture's mean redness to 10 and 11, head (1,0) the mean of 10 to 12 and 13, and the heat maps
 * are dimension 12. The others write nothing, and no mlp does. `chain` false: (1,0) reads the redness itself. */
static void make_planted_checkpoint(const char *dir, bool chain)
{
    struct tensors in = {0};
    struct tensor_file out = {0};
    limber_error err = {0};
    cr_assert(!tensors_open(&in, GOLDEN "/simple-hd32", &err), "%s", err.text);
    for (int i = 0; i < in.count; i++) {
        const struct tensor *t = &in.v[i];
        const size_t n = t->bytes / 4;
        float *v = calloc(n, sizeof *v);
        const int layer = strstr(t->name, "layer.1.") ? 1 : 0;
        const bool bias = strstr(t->name, ".bias"), norm = strstr(t->name, "layernorm");
        if (strstr(t->name, "patch_embeddings")) {
            for (int d = 0; d < 64; d++)
                for (int p = 0; p < (bias ? 1 : 3 * 256); p++) {
                    const float sign = d % 2 ? -1.0f : 1.0f, red = p < 256 ? 1.0f : -0.5f;
                    v[bias ? d : d * 768 + p] = bias    ? (d == 8 || d == 9 ? 200 * sign
                                                           : d < 2          ? sign
                                                                            : 0)
                                                : d < 2 ? sign * red / 256
                                                        : 0;
                }
        } else if (norm && !bias) {
            for (size_t p = 0; p < n; p++)
                v[p] = 1;
        } else if (strstr(t->name, "attention.value") && !bias) {
            const size_t head = layer ? 0 : 1, reads = layer && chain ? 10 : 0;
            v[head * 32 * 64 + reads] = 1;
            for (size_t p = 0; p < 64; p++) /* what no projection passes on */
                v[((1 - head) * 32 + 3) * 64 + p] = 0.1f * (float)(p % 7);
        } else if (strstr(t->name, "attention.output") && !bias) {
            const size_t head = layer ? 0 : 1, writes = layer ? 12 : 10;
            if (layer || chain) {
                v[writes * 64 + head * 32] = 1;
                v[(writes + 1) * 64 + head * 32] = -1;
            }
        } else if (strstr(t->name, "head.conv") && !bias) {
            for (size_t k = 0; k < KEYPOINTS; k++)
                v[(k * 64 + 12) * 9 + 4] = 1000;
        }
        tensor_file_add(&out, t->name, t->shape, t->dims, v);
        free(v);
    }
    tensors_free(&in);
    tensor_file_end_model(&out, dir, GOLDEN "/simple-hd32");
}

/* People whose left arm is red, on grey noise; crop pixel = image pixel. */
static const limber_box whole_crop = {19.2f, 25.6f, 153.6f, 204.8f};
static void draw_person(uint8_t *rgb, struct experiment_person *p, uint64_t seed)
{
    static const double body[KEYPOINTS][2] = {{96, 40},  {100, 36},  {92, 36},  {106, 40},  {86, 40},  {118, 75},
                                              {74, 75},  {132, 105}, {60, 105}, {140, 135}, {52, 135}, {110, 140},
                                              {82, 140}, {112, 175}, {80, 175}, {114, 210}, {78, 210}};
    *p = (struct experiment_person){.box = whole_crop};
    for (int k = 0; k < KEYPOINTS; k++) {
        for (int i = 0; i < 2; i++)
            p->joints[k][i] = body[k][i] + (double)(heads_hash(seed, (uint64_t)k, (uint64_t)i, 9) % 1000) / 100 - 5;
        p->joints[k][2] = 2;
    }
    for (int i = 0; i < W * H; i++) {
        const uint8_t grey = (uint8_t)(100 + heads_hash(seed, (uint64_t)i, 0, 0) % 56);
        memset(rgb + 3 * i, grey, 3);
    }
    for (int s = 0; s < 2; s++) /* 5 - 7 - 9 */
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++) {
                const double *a = p->joints[5 + 2 * s], dx = p->joints[7 + 2 * s][0] - a[0], dy = p->joints[7 + 2 * s][1] - a[1];
                double t = ((x - a[0]) * dx + (y - a[1]) * dy) / (dx * dx + dy * dy);
                t = t < 0 ? 0 : t > 1 ? 1 : t;
                if (hypot(x - a[0] - t * dx, y - a[1] - t * dy) < 6) {
                    const uint8_t red[] = {255, 0, 0};
                    memcpy(rgb + 3 * (y * W + x), red, 3);
                }
            }
}

static struct effects_result experiment_with(limber_session *session, unsigned by, int images, int people, bool labelled,
                                             const uint8_t *path, const uint8_t *sets, int set_count)
{
    const struct experiment_options o = {.by = by,
                                         .bootstrap = 200,
                                         .seed = 5,
                                         .sigmas = skeleton_coco.sigmas,
                                         .people = people,
                                         .path = path,
                                         .sets = sets,
                                         .set_count = set_count};
    struct experiment *e = NULL;
    struct effects_result r;
    limber_error err = {0};
    uint8_t *rgb = malloc(PIXELS);
    cr_assert(!experiment_open(&e, session, &o, &err), "%s", err.text);
    const limber_image image = {.pixels = rgb, .width = W, .height = H, .stride = 3 * W};
    for (int turn = by >> BY_MEAN ? 0 : 1; turn < 2; turn++)
        for (int i = 0; i < images; i++) {
            struct experiment_person p[2];
            draw_person(rgb, &p[0], 100 + (uint64_t)i);
            p[1] = p[0];
            p[1].box = (limber_box){25, 20, 140, 200};
            for (int k = 0; !labelled && k < 2 * KEYPOINTS; k++)
                p[k / KEYPOINTS].joints[k % KEYPOINTS][2] = 0;
            limber_status st =
                turn ? experiment_add(e, &image, p, 1 + i % 2, (uint64_t)i, &err) : experiment_calibrate(e, &image, p, 1, &err);
            cr_assert(!st, "%s", err.text);
        }
    cr_assert(!experiment_summarise(e, &r, &err), "%s", err.text);
    experiment_close(&e);
    free(rgb);
    return r;
}

static struct effects_result experiment_of(limber_session *session, unsigned by, int images, int people, bool labelled)
{
    return experiment_with(session, by, images, people, labelled, NULL, NULL, 0);
}

enum { LEFT_ARM = 2 };

static void planted(bool chain)
{
    char dir[256];
    limber_model *model = NULL;
    directory_make(dir);
    make_planted_checkpoint(dir, chain);
    limber_session *session = open_session(&model, dir, "cpu", "fp32", NULL, 1, 0);
    struct effects_result r = experiment_of(session, 1u << BY_DENOISE | 1u << BY_NOISE | 1u << BY_MOVED, 6, 0, true);
    for (int by = BY_DENOISE; by <= BY_NOISE; by++) {
        const limber_heads_estimate *gap = &r.gap[by][LEFT_ARM][EFFECT_HEAT];
        cr_assert(r.gap_known[by][LEFT_ARM][EFFECT_HEAT] && gap->low > 0, "blurring takes %g [%g, %g] of heat", gap->mean,
                  gap->low, gap->high);
        for (int head = 0; head < 4; head++) {
            const struct effect *f = effects_at(&r, (enum effect_by)by, head, LEFT_ARM, EFFECT_HEAT);
            const bool reads = chain && head == 1, writes = head == 2;
            const char *name = effect_by_names[by];
            if (!reads && !writes) {
                cr_expect(f->raw.mean == 0 && f->direct.mean == 0 && f->p == 1, "%s: head %d causes %g, directly %g, p %g", name,
                          head, f->raw.mean, f->direct.mean, f->p);
                continue;
            }
            cr_expect(fabs(f->share.mean - 1) < 0.02, "%s: head %d causes %.3f of the gap", name, head, f->share.mean);
            cr_expect(fabs(f->direct_share.mean - writes) < 0.02, "%s: head %d directly %.3f", name, head, f->direct_share.mean);
            cr_expect(f->q < 0.01 && f->share.low <= f->share.mean && f->share.mean <= f->share.high, "%s: head %d q %g", name,
                      head, f->q);
            cr_expect(fabs(f->raw.mean - f->direct.mean - f->mediated.mean) < 1e-9);
        }
    }
    /* heat maps are flat here, so what the arm loses all limbs lose: nothing of it is specific */
    const struct effect *f = effects_at(&r, BY_NOISE, 2, LEFT_ARM, EFFECT_HEAT);
    cr_expect(f->specific_known && fabs(f->specific.mean) < 0.02, "specific %.3f", f->specific.mean);
    for (int c = 0; c < LIMBS; c++)
        cr_expect(fabs(effects_cross(&r, BY_NOISE, 2, LEFT_ARM, c, EFFECT_HEAT) - f->raw.mean) < 0.02 * f->raw.mean);
    /* the same blur elsewhere takes no red away */
    cr_expect(fabs(f->control) < 0.1 * f->raw.mean, "the moved blur causes %g beside %g", f->control, f->raw.mean);
    effects_result_free(&r);
    limber_session_close(&session);
    limber_model_close(&model);
    directory_remove(dir);
}

Test(patch, a_planted_cause_is_found_and_no_other)
{
    planted(false);
}
Test(patch, planted_mediation_is_found)
{
    planted(true);
}

/* In the chain, (0,1) tells (1,0), which alone tells the heat maps. Together they do what each does alone, and two others nothing; what
 * (0,1) causes goes through (1,0), and through no other head. */
Test(patch, planted_sets_and_paths)
{
    static const uint8_t sets[3][4] = {{0, 1, 1, 0}, {1, 0, 0, 1}, {1, 1, 0, 0}}, from[2][4] = {{0, 1, 0, 0}, {1, 0, 0, 0}};
    char dir[256];
    limber_model *model = NULL;
    directory_make(dir);
    make_planted_checkpoint(dir, true);
    limber_session *session = open_session(&model, dir, "cpu", "fp32", NULL, 1, 0);
    const unsigned by = 1u << BY_DENOISE | 1u << BY_NOISE;
    struct effects_result r = experiment_with(session, by, 4, 0, true, NULL, sets[0], 3);
    cr_assert(r.rows == 7 && r.head_count == 4);
    for (int b = BY_DENOISE; b <= BY_NOISE; b++)
        for (int s = 0; s < 3; s++) {
            const struct effect *f = effects_at(&r, (enum effect_by)b, 4 + s, LEFT_ARM, EFFECT_HEAT);
            const struct effect *one = effects_at(&r, (enum effect_by)b, 1, LEFT_ARM, EFFECT_HEAT);
            if (s == 1) {
                cr_expect(f->known && f->raw.mean == 0 && f->direct.mean == 0 && f->p == 1 && f->q == 1,
                          "the two others cause %g", f->raw.mean);
                continue;
            }
            cr_expect(fabs(f->share.mean - 1) < 0.02 && f->share.interval, "%s: set %d causes %.3f", effect_by_names[b], s,
                      f->share.mean);
            cr_expect(fabs(f->direct_share.mean - (s == 0)) < 0.02, "%s: set %d directly %.3f", effect_by_names[b], s,
                      f->direct_share.mean);
            cr_expect(f->q < 0.01 && one->q < 0.01 && f->p <= f->q);
            if (s == 2) /* to the bit what its one head of any effect does */
                cr_expect(f->raw.mean == one->raw.mean && f->p == one->p);
        }
    /* heads are corrected among heads, sets among sets */
    for (int first = 0; first < r.rows; first += r.head_count) {
        const int end = first ? r.rows : r.head_count;
        double p[42], q[42];
        int order[42], n = 0;
        for (int i = first * LIMBS; i < end * LIMBS; i++)
            p[n++] = effects_at(&r, BY_NOISE, i / LIMBS, i % LIMBS, EFFECT_HEAT)->p;
        heads_adjust(q, p, order, n);
        for (int i = 0; i < n; i++)
            cr_expect_eq(effects_at(&r, BY_NOISE, first + i / LIMBS, i % LIMBS, EFFECT_HEAT)->q, q[i], "row %d",
                         first + i / LIMBS);
    }
    effects_result_free(&r);
    for (int s = 0; s < 2; s++) {
        r = experiment_with(session, by, 2, 0, true, from[s], sets[0], 1);
        for (int b = BY_DENOISE; b <= BY_NOISE; b++)
            for (int head = 0; head < 5; head++) { /* 4: the set, of which (1,0) is reached */
                const struct effect *f = effects_at(&r, (enum effect_by)b, head, LEFT_ARM, EFFECT_HEAT);
                if (s == 0 && (head == 2 || head == 4))
                    cr_expect(fabs(f->share.mean - 1) < 0.02 && fabs(f->direct_share.mean - 1) < 0.02,
                              "%s: through row %d goes %.3f", effect_by_names[b], head, f->share.mean);
                else
                    cr_expect(f->raw.mean == 0 && f->direct.mean == 0, "%s from %d: through row %d goes %g", effect_by_names[b],
                              s, head, f->raw.mean);
            }
        effects_result_free(&r);
    }
    limber_session_close(&session);
    limber_model_close(&model);
    directory_remove(dir);
}

/* An image added again from its record is the image: every number, those of shares and of the other limbs too. */
Test(patch, records_are_what_was_added)
{
    char dir[256];
    limber_model *model = NULL;
    limber_error err = {0};
    struct experiment *e[2];
    struct effects_result r[2];
    uint8_t *rgb = malloc(PIXELS);
    directory_make(dir);
    make_planted_checkpoint(dir, true);
    limber_session *session = open_session(&model, dir, "cpu", "fp32", NULL, 1, 0);
    const struct experiment_options o = {.by = 1u << BY_DENOISE | 1u << BY_NOISE | 1u << BY_MOVED | 1u << BY_SWAP | 1u << BY_MEAN,
                                         .bootstrap = 100,
                                         .seed = 5,
                                         .sigmas = skeleton_coco.sigmas};
    for (int i = 0; i < 2; i++)
        cr_assert(!experiment_open(&e[i], session, &o, &err), "%s", err.text);
    const limber_image image = {.pixels = rgb, .width = W, .height = H, .stride = 3 * W};
    for (int turn = 0; turn < 2; turn++)
        for (uint64_t i = 0; i < 5; i++) {
            struct experiment_person p;
            size_t n;
            draw_person(rgb, &p, 100 + i);
            for (int k = 0; !turn && k < 2; k++)
                cr_assert(!experiment_calibrate(e[k], &image, &p, 1, &err));
            if (!turn)
                continue;
            cr_assert(!experiment_add(e[0], &image, &p, 1, i, &err), "%s", err.text);
            const double *record = experiment_record(e[0], &n);
            cr_assert(experiment_replay(e[1], &image, &p, 1, i, record, n - 1, &err) == LIMBER_E_FORMAT);
            cr_assert(i == 4 || !experiment_replay(e[1], &image, &p, 1, i, record, n, &err), "%s", err.text);
            if (i == 4) /* computed: it finds the donors it would have found */
                cr_assert(!experiment_add(e[1], &image, &p, 1, i, &err), "%s", err.text);
        }
    for (int i = 0; i < 2; i++)
        cr_assert(!experiment_summarise(e[i], &r[i], &err), "%s", err.text);
    cr_expect(r[0].gap_known[BY_NOISE][LEFT_ARM][EFFECT_HEAT] &&
              effects_at(&r[0], BY_NOISE, 2, LEFT_ARM, EFFECT_HEAT)->specific_known);
    cr_expect_eq(hash_of(&r[0]), hash_of(&r[1]));
    cr_expect(!memcmp(r[0].cross, r[1].cross, (size_t)EFFECT_BYS * 4 * LIMBS * LIMBS * EFFECT_METRICS * sizeof(double)));
    cr_expect(experiment_focus(e[0])->count == 5 && experiment_focus(e[1])->count == 5);
    for (int c = 0; c < LIMBS; c++)
        cr_expect(experiment_lot(e[0], c).image == experiment_lot(e[1], c).image);
    for (int i = 0; i < 2; i++) {
        effects_result_free(&r[i]);
        experiment_close(&e[i]);
    }
    limber_session_close(&session);
    limber_model_close(&model);
    directory_remove(dir);
    free(rgb);
}

/* Attention that is flat by construction is flat in every ring, and its entropy says so of everybody. */
Test(patch, flat_heads_have_flat_rings)
{
    char dir[256];
    limber_model *model = NULL;
    limber_error err = {0};
    limber_heads *heads = NULL;
    limber_heads_result r;
    struct experiment_person p;
    uint8_t *rgb = malloc(PIXELS);
    directory_make(dir);
    make_planted_checkpoint(dir, false);
    limber_session *sessions[2] = {open_session(&model, dir, "cpu", "fp32", NULL, 1, 0)};
    limber_model *golden = NULL;
    sessions[1] = open_session(&golden, GOLDEN "/simple-hd32", "cpu", "fp32", NULL, 1, 0);
    for (int i = 0; i < 2; i++) {
        limber_heads_options o = limber_heads_options_default();
        o.bootstrap = 10;
        cr_assert(!limber_heads_open(&heads, sessions[i], &o, &err), "%s", err.text);
        for (uint64_t image = 0; image < 3; image++) {
            limber_keypoint joints[KEYPOINTS];
            draw_person(rgb, &p, 70 + image);
            for (int k = 0; k < KEYPOINTS; k++)
                joints[k] = (limber_keypoint){(float)p.joints[k][0], (float)p.joints[k][1], 1};
            const limber_image view = {.pixels = rgb, .width = W, .height = H, .stride = 3 * W};
            cr_assert(!limber_heads_add(heads, &view, &p.box, joints, 1, &err), "%s", err.text);
        }
        cr_assert(!limber_heads_summarise(heads, &r, &err), "%s", err.text);
        for (int h = 0; h < r.head_count; h++) {
            const limber_heads_head *k = &r.heads[h];
            double sum = 0, flat = 0, apart = 0;
            for (int ring = 0; ring < LIMBER_HEADS_RINGS; ring++) {
                sum += k->ring[ring];
                flat += k->ring_flat[ring];
                apart = fmax(apart, fabs(k->ring[ring] - k->ring_flat[ring]));
            }
            cr_expect(fabs(sum - 1) < 1e-9 && fabs(flat - 1) < 1e-9, "rings are %.12f and %.12f in all", sum, flat);
            cr_expect(k->layer_p >= 0 && k->layer_p <= 1 && k->offset_share > 0 && k->offset_share <= 1);
            if (i == 0)
                cr_expect(apart < 1e-6 && k->strategy == LIMBER_HEADS_FLAT && k->exploring == 1 && k->focused == 0,
                          "head %d is %g from flat, %s", h, apart, limber_heads_strategy_name(k->strategy));
            else
                cr_expect(apart > 1e-4, "head %d of random weights is flat", h);
        }
        limber_heads_result_free(&r);
        limber_heads_close(&heads);
        limber_session_close(&sessions[i]);
    }
    limber_model_close(&golden);
    limber_model_close(&model);
    directory_remove(dir);
    free(rgb);
}

/* Entropy that goes with the loss is found, person by person; one that does not, is not; few people are not asked. */
Test(patch, entropy_that_predicts_is_found)
{
    enum { PEOPLE = 40, FEW = 9, N = 6 };
    for (int people = FEW; people <= PEOPLE; people += PEOPLE - FEW) {
        struct focus f = {0};
        struct focus_head out[N];
        for (uint64_t i = 0; i < (uint64_t)people; i++) {
            double entropy[N], loss[N * EFFECT_METRICS];
            for (uint64_t h = 0; h < N; h++) {
                entropy[h] = h == 5 ? 0.95 : (double)(heads_hash(i, h, 1, 1) % 1000) / 1000;
                for (uint64_t m = 0; m < EFFECT_METRICS; m++)
                    loss[h * EFFECT_METRICS + m] = h == 2 ? -entropy[h] * entropy[h] : (double)(heads_hash(i, h, m, 2) % 1000);
            }
            cr_assert(focus_add(&f, N, entropy, loss));
        }
        cr_assert(focus_summarise(&f, out));
        for (int h = 0; h < N; h++)
            for (int m = 0; m < EFFECT_METRICS; m++) {
                cr_expect(out[h].tested[m] == (people == PEOPLE && h != 5), "head %d of %d people", h, people);
                cr_expect((out[h].q[m] < 0.001) == (people == PEOPLE && h == 2), "head %d: rho %g, q %g", h, out[h].rho[m],
                          out[h].q[m]);
            }
        cr_expect(people == FEW || fabs(out[2].rho[0] + 1) < 1e-12);
        int large = 0;
        for (int h = 0; people == PEOPLE && h < 5; h++) /* two-sided: as SciPy's spearmanr has it by t */
            for (int m = 0; m < EFFECT_METRICS; m++) {
                const double rho = out[h].rho[m], t = fabs(rho) * sqrt((people - 2) / fmax(1e-300, 1 - rho * rho));
                cr_expect(h == 2 || fabs(out[h].p[m] - 2 * heads_student_p(t, people - 2)) < 1e-12, "head %d: p %g", h,
                          out[h].p[m]);
                large += out[h].p[m] > 0.5;
            }
        cr_expect(people == FEW || large > 3, "%d of 16 p of nothing are above a half", large);
        cr_expect(out[5].exploring > 0.999 && out[5].sd < 1e-9 && out[0].focused > 0.2 && out[0].focused < 0.8);
        focus_close(&f);
    }
}

/* ---- a limb taken out ---- */

/* The crop under a Gaussian of `sigma` at one pixel, in two dimensions, the border repeated; of one channel, or of a mask (channels 1). */
static double blurred_at(const uint8_t *image, int channels, int channel, int x, int y, double sigma)
{
    const int radius = (int)ceil(3 * sigma);
    double sum = 0, all = 0;
    for (int dy = -radius; dy <= radius; dy++)
        for (int dx = -radius; dx <= radius; dx++) {
            const int to_x = x + dx < 0 ? 0 : x + dx >= W ? W - 1 : x + dx, to_y = y + dy < 0 ? 0 : y + dy >= H ? H - 1 : y + dy;
            const double w = exp(-0.5 * (dx * dx + dy * dy) / (sigma * sigma));
            sum += w * image[(to_y * W + to_x) * channels + channel];
            all += w;
        }
    return sum / all;
}

Test(patch, a_limb_is_blurred_and_moved_as_defined)
{
    const struct config c = {.image_h = H, .image_w = W, .patch_h = 16, .patch_w = 16};
    const struct heads_capsule of[2] = {{.class = 2, .ax = 3, .ay = 4, .bx = 3, .by = 8, .radius = 1},
                                        {.class = 3, .ax = 8, .ay = 2, .bx = 9, .by = 2, .radius = 0.1}};
    struct corrupt k;
    limber_error err = {0};
    uint8_t *crop = malloc(PIXELS), *out = malloc(PIXELS), *mask = malloc(W * H), *moved = malloc(W * H);
    for (int i = 0; i < PIXELS; i++)
        crop[i] = (uint8_t)heads_hash(3, (uint64_t)i / 60, 0, 0); /* stripes */
    cr_assert(!corrupt_open(&k, &c, &err), "%s", err.text);
    corrupt_crop(&k, crop);
    for (int class = 2; class < 4; class ++) {
        /* patch coordinates (0, 0) are the crop's pixel 5.5; never thinner than 12 pixels */
        const struct heads_capsule *p = &of[class - 2];
        const double radius = class == 2 ? 16 : 12, ax = p->ax * 16 + 5.5, ay = p->ay * 16 + 5.5, bx = p->bx * 16 + 5.5,
                     by = p->by * 16 + 5.5;
        int want = 0;
        const int n = corrupt_mask(&k, of, 2, class);
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++) {
                double t = ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / ((bx - ax) * (bx - ax) + (by - ay) * (by - ay));
                t = t < 0 ? 0 : t > 1 ? 1 : t;
                const bool in = hypot(x - ax - t * (bx - ax), y - ay - t * (by - ay)) <= radius;
                cr_assert_eq(k.mask[y * W + x], in, "class %d, pixel (%d, %d)", class, x, y);
                want += in;
            }
        cr_assert_eq(n, want);
    }
    corrupt_mask(&k, of, 2, 2);
    memcpy(mask, k.mask, W * H);
    corrupt_blur(&k, out, crop, mask);
    double far = 0;
    for (int s = 0; s < 60; s++) { /* across the limb's edge: weights of a Gaussian of 2 pixels, the picture under one of 16 */
        const int x = 53 - 30 + s, y = 100;
        const double w = blurred_at(mask, 1, 0, x, y, 2);
        for (int channel = 0; channel < 3; channel += 2) {
            const double is = crop[3 * (y * W + x) + channel], want = is * (1 - w) + blurred_at(crop, 3, channel, x, y, 16) * w;
            far = fmax(far, fabs(out[3 * (y * W + x) + channel] - want));
        }
    }
    cr_expect(far < 0.6, "a blurred pixel is %.2f from what it is by definition", far);
    uint64_t places = 0;
    for (uint64_t image = 0; image < 12; image++) {
        int all = 0, inside = 0, overlap = 0, where = -1;
        cr_assert(corrupt_move(&k, 7, image, 0, 2));
        memcpy(moved, k.moved, W * H);
        for (int i = 0; i < W * H; i++) {
            all += mask[i];
            inside += moved[i];
            overlap += moved[i] && mask[i];
            where = where < 0 && moved[i] ? i : where;
        }
        places = heads_hash(places, (uint64_t)where, 0, 0);
        cr_expect(inside >= 0.6 * all && overlap <= 0.1 * all && inside <= all, "image %d: %d of %d inside, %d on itself",
                  (int)image, inside, all, overlap);
        cr_assert(corrupt_move(&k, 7, image, 0, 2) && !memcmp(moved, k.moved, W * H));
        cr_assert(corrupt_move(&k, 7, image, 1, 2));
        cr_expect(memcmp(moved, k.moved, W * H), "two people, one place");
    }
    memset(k.mask, 1, W * H); /* the whole crop has no other place */
    cr_expect(!corrupt_move(&k, 7, 0, 0, 2));
    corrupt_close(&k);
    free(crop), free(out), free(mask), free(moved);
}

/* ---- what many people say ---- */

#define ALL_BYS ((1u << EFFECT_BYS) - 1)

static bool finite_estimate(const limber_heads_estimate *e)
{
    return isfinite(e->mean) && isfinite(e->low) && isfinite(e->high);
}

static uint64_t hash_of(const struct effects_result *r)
{
    uint64_t hash = 0, bits;
    for (int i = 0; i < EFFECT_BYS * r->rows * LIMBS * EFFECT_METRICS; i++) {
        const struct effect *f = &r->effect[i];
        const limber_heads_estimate *const all[] = {&f->raw, &f->direct, &f->mediated, &f->share, &f->direct_share, &f->specific};
        for (size_t k = 0; k < sizeof all / sizeof *all; k++) {
            cr_assert(finite_estimate(all[k]));
            memcpy(&bits, &all[k]->mean, 8);
            hash = heads_hash(hash, bits, 0, 0);
            memcpy(&bits, &all[k]->high, 8);
            hash = heads_hash(hash, bits, 0, 0);
        }
        cr_assert(f->p >= 0 && f->p <= 1 && f->q >= 0 && f->q <= 1 && (!f->tested || f->q >= f->p - 1e-15));
        memcpy(&bits, &f->p, 8);
        hash = heads_hash(hash, bits, (uint64_t)i, 0);
    }
    return hash;
}

Test(patch, threads_and_batches_change_no_number)
{
    static const int ways[][2] = {{1, 1}, {3, 8}};
    uint64_t first = 0;
    for (size_t i = 0; i < 2; i++) {
        limber_model *model = NULL;
        limber_session *session = open_session(&model, GOLDEN "/simple-hd32", "cpu", "fp32", NULL, ways[i][0], ways[i][1]);
        struct effects_result r = experiment_of(session, ALL_BYS, 3, 0, true);
        const uint64_t hash = hash_of(&r);
        first = i ? first : hash;
        cr_expect_eq(hash, first, "%d threads, batch %d", ways[i][0], ways[i][1]);
        for (int b = 0; b < EFFECT_BYS; b++)
            for (int c = 0; c < LIMBS;
                 c++) /* images of one, two and one person; nobody to swap with in the first; MOVED finds a place mostly */
                cr_expect(b == BY_SWAP    ? r.people[b][c] == 3
                          : b == BY_MOVED ? r.people[b][c] >= 2
                                          : r.people[b][c] == 4,
                          "%s: %lld people", effect_by_names[b], (long long)r.people[b][c]);
        effects_result_free(&r);
        limber_session_close(&session);
        limber_model_close(&model);
    }
}

Test(patch, little_and_nothing)
{
    limber_model *model = NULL;
    limber_session *session = open_session(&model, GOLDEN "/simple-hd32", "cpu", "fp32", NULL, 1, 0);
    struct effects_result r = experiment_of(session, ALL_BYS, 1, 0, true); /* one person: no interval, no test */
    const struct effect *f = effects_at(&r, BY_NOISE, 0, LEFT_ARM, EFFECT_HEAT);
    cr_expect(f->known && !f->tested && !f->raw.interval && f->raw.images == 1 && !f->shared);
    hash_of(&r);
    effects_result_free(&r);
    r = experiment_of(session, ALL_BYS, 2, 0, false); /* no labelled joint */
    cr_expect_eq(r.images, 0);
    for (int h = 0; h < 4; h++)
        cr_expect(!effects_at(&r, BY_ZERO, h, 0, EFFECT_OKS)->known && !effects_at(&r, BY_NOISE, h, 3, EFFECT_PX)->shared);
    hash_of(&r);
    effects_result_free(&r);
    r = experiment_of(session, ALL_BYS, 4, 2, true); /* two people a limb are enough */
    cr_expect(r.people[BY_NOISE][LEFT_ARM] == 2 && r.people[BY_ZERO][0] == 2);
    effects_result_free(&r);
    limber_session_close(&session);
    limber_model_close(&model);
}

/* A share is a ratio of sums over images, and its interval covers. */
Test(patch, shares_are_ratios_of_sums)
{
    limber_error err = {0};
    int covered = 0;
    const int turns = 200;
    for (int turn = 0; turn < turns; turn++) {
        const struct effects_shape shape = {
            .layers = 1, .heads = 1, .by = 1u << BY_NOISE, .replicates = 400, .seed = (uint64_t)turn};
        struct effects *e = NULL;
        struct effects_result r;
        cr_assert(!effects_open(&e, &shape, &err), "%s", err.text);
        double sum = 0, gaps = 0;
        const bool has[LIMBS] = {true};
        for (uint64_t i = 0; i < 60; i++) {
            effect_measures raw = {{0}}, gap = {{0}};
            const double u = (double)(heads_hash((uint64_t)turn, i, 1, 1) >> 11) * 0x1p-53,
                         v = (double)(heads_hash((uint64_t)turn, i, 2, 2) >> 11) * 0x1p-53;
            gap[0][0] = u * u; /* some near 0, where a mean of ratios breaks */
            raw[0][0] = 0.3 * gap[0][0] + 0.1 * (v - 0.5);
            effects_add(e, BY_NOISE, 0, has, &raw, &raw, gap);
            effects_image(e, i);
            sum += raw[0][0];
            gaps += gap[0][0];
        }
        cr_assert(!effects_summarise(e, &r, &err));
        const struct effect *f = effects_at(&r, BY_NOISE, 0, 0, EFFECT_HEAT);
        cr_expect(fabs(f->share.mean - sum / gaps) < 1e-12, "share %g, ratio of sums %g", f->share.mean, sum / gaps);
        covered += f->share.low <= 0.3 && 0.3 <= f->share.high;
        effects_result_free(&r);
        effects_close(&e);
    }
    cr_expect(covered > turns * 0.89 && covered < turns * 0.99, "%d of %d intervals of 95 %% cover the truth", covered, turns);
}

/* What the moved blur does as well is no effect of the limb: head 0 loses 1 by either blur, head 1 by the limb's alone. Without MOVED, head 0's p is as
 * small. The other limbs lose half of it, of which what is specific is free. */
Test(patch, a_control_takes_away_what_any_blur_does)
{
    limber_error err = {0};
    for (int controlled = 0; controlled < 2; controlled++) {
        const struct effects_shape shape = {
            .layers = 1, .heads = 2, .by = 1u << BY_NOISE | (controlled ? 1u << BY_MOVED : 0), .replicates = 200, .seed = 4};
        struct effects *e = NULL;
        struct effects_result r;
        const bool has[LIMBS] = {true, true, true};
        cr_assert(!effects_open(&e, &shape, &err), "%s", err.text);
        for (uint64_t i = 0; i < 30; i++)
            for (int moved = 0; moved < 1 + controlled; moved++) {
                effect_measures raw[2] = {{{0}}}, gap = {{4}, {2}, {2}};
                for (uint64_t h = 0; h < 2; h++)
                    for (int c = 0; c < 3; c++) {
                        const double luck = (double)(heads_hash(i, h, (uint64_t)c, (uint64_t)moved) % 1000) / 5000 - 0.1;
                        raw[h][c][EFFECT_HEAT] = luck + (moved && h ? 0 : c ? 0.5 : 1);
                    }
                effects_add(e, moved ? BY_MOVED : BY_NOISE, 0, has, (const effect_measures *)raw, (const effect_measures *)raw,
                            gap);
                if (moved || !controlled)
                    effects_image(e, i);
            }
        cr_assert(!effects_summarise(e, &r, &err));
        const struct effect *either = effects_at(&r, BY_NOISE, 0, 0, EFFECT_HEAT),
                            *own = effects_at(&r, BY_NOISE, 1, 0, EFFECT_HEAT);
        cr_expect(fabs(either->raw.mean - 1) < 0.05 && fabs(own->raw.mean - 1) < 0.05);
        cr_expect(own->p < 1e-9 && (controlled ? either->p > 0.01 : either->p < 1e-9), "p %g and %g", either->p, own->p);
        cr_expect(!controlled || (fabs(either->control - 1) < 0.05 && fabs(own->control) < 0.05));
        cr_expect(fabs(own->specific.mean - 0.5 / 4) < 0.02, "specific %g", own->specific.mean);
        cr_expect(fabs(own->share.mean - 0.25) < 0.02 && fabs(own->mediated.mean) < 1e-12 && own->direct.mean == own->raw.mean);
        effects_result_free(&r);
        effects_close(&e);
    }
}

/* The four measures of one joint, by their definitions. */
Test(patch, measures_by_definition)
{
    enum { MH = 5, MW = 4 };
    static const double sigmas[17] = {[7] = 0.05, [9] = 0.1};
    struct effect_target t = {.map_h = MH, .map_w = MW, .sigmas = sigmas, .area = 900, .size = 60};
    static float heat[17 * MH * MW];
    limber_keypoint joints[17] = {{0}};
    effect_measures m;
    for (int i = 0; i < 17 * MH * MW; i++)
        heat[i] = (float)(heads_hash(8, (uint64_t)i, 0, 0) % 100) / 100;
    t.there[7] = t.there[9] = true; /* the left arm's two */
    t.map[7][0] = 1.25, t.map[7][1] = 2.5;
    t.map[9][0] = 3, t.map[9][1] = 0;
    t.image[7][0] = 10, t.image[7][1] = 20;
    t.image[9][0] = 30, t.image[9][1] = 5;
    joints[7] = (limber_keypoint){13, 24, 1}; /* 5 pixels off */
    joints[9] = (limber_keypoint){30, 17, 1}; /* 12 */
    effect_measure(m, &t, heat, joints);
    const float *a = heat + 7 * MH * MW, *b = heat + 9 * MH * MW;
    const double at7 = 0.5 * (0.75 * (double)a[2 * MW + 1] + 0.25 * (double)a[2 * MW + 2]) +
                       0.5 * (0.75 * (double)a[3 * MW + 1] + 0.25 * (double)a[3 * MW + 2]),
                 at9 = (double)b[3];
    double sum7 = 0, sum9 = 0;
    for (int i = 0; i < MH * MW; i++) {
        sum7 += exp(10 * (double)a[i]);
        sum9 += exp(10 * (double)b[i]);
    }
    cr_expect(fabs(m[LEFT_ARM][EFFECT_HEAT] - (at7 + at9) / 2) < 1e-6);
    cr_expect(fabs(m[LEFT_ARM][EFFECT_LOGP] - (10 * at7 - log(sum7) + 10 * at9 - log(sum9)) / 2) < 1e-5);
    /* COCO: exp(-d^2 / (2 area (2 sigma)^2)) */
    cr_expect(fabs(m[LEFT_ARM][EFFECT_OKS] - (exp(-25 / (2 * 900 * 0.01)) + exp(-144 / (2 * 900 * 0.04))) / 2) < 1e-12);
    cr_expect(fabs(m[LEFT_ARM][EFFECT_PX] + (5 + 12) / 60.0 / 2) < 1e-12);
    cr_expect(m[0][EFFECT_HEAT] == 0 && m[3][EFFECT_PX] == 0);
}

/* A limb of which the gap may be nothing has no share. */
Test(patch, no_share_of_nothing)
{
    limber_error err = {0};
    const struct effects_shape shape = {.layers = 1, .heads = 1, .by = 1u << BY_DENOISE, .replicates = 300, .seed = 1};
    struct effects *e = NULL;
    struct effects_result r;
    cr_assert(!effects_open(&e, &shape, &err), "%s", err.text);
    const bool has[LIMBS] = {true};
    for (uint64_t i = 0; i < 20; i++) {
        effect_measures raw = {{1}}, gap = {{i % 2 ? 1.0 : -1.0}};
        effects_add(e, BY_DENOISE, 0, has, &raw, NULL, gap);
        effects_image(e, i);
    }
    cr_assert(!effects_summarise(e, &r, &err));
    const struct effect *f = effects_at(&r, BY_DENOISE, 0, 0, EFFECT_HEAT);
    cr_expect(f->known && !f->shared && !f->specific_known && f->raw.mean == 1);
    effects_result_free(&r);
    effects_close(&e);
}

/* ---- does reading predict causing? ---- */

enum { RANK_LAYERS = 8, RANK_HEADS = 8, RANK_ALL = RANK_LAYERS * RANK_HEADS };

static void random_numbers(double *x, uint64_t seed, double depth)
{
    for (int i = 0; i < LIMBS * RANK_ALL; i++)
        x[i] = (double)(heads_hash(seed, (uint64_t)i, 7, 7) >> 11) * 0x1p-53 + depth * (i % RANK_ALL / RANK_HEADS);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Two numbers that both grow with depth and have nothing else in common: p is uniform (Kolmogorov and Smirnov at 1 %). */
Test(patch, ranks_of_nothing_are_uniform)
{
    enum { TURNS = 400 };
    const bool use[LIMBS] = {true, false, true, true, true, true};
    double x[LIMBS * RANK_ALL], y[LIMBS * RANK_ALL], p[TURNS], most = 0;
    for (int t = 0; t < TURNS; t++) {
        struct effect_rank k;
        random_numbers(x, 1000 + (uint64_t)t, 0.3);
        random_numbers(y, 90000 + (uint64_t)t, 0.3);
        cr_assert(effects_rank(&k, x, y, use, RANK_LAYERS, RANK_HEADS, 199, (uint64_t)t));
        cr_assert_eq(k.limbs, 5);
        cr_expect(k.null_mean > 0.2, "depth alone makes rho %g", k.null_mean);
        p[t] = k.p;
    }
    qsort(p, TURNS, sizeof *p, by_value);
    for (int t = 0; t < TURNS; t++)
        most = fmax(most, fmax(fabs(p[t] - (double)t / TURNS), fabs(p[t] - (t + 1.0) / TURNS)));
    cr_expect(most < 1.63 / sqrt(TURNS) + 1.0 / 200, "p strays by %.3f from uniform", most);
}

Test(patch, ranks_of_a_perfect_order)
{
    const bool use[LIMBS] = {true, true, true, true, true, true};
    double x[LIMBS * RANK_ALL], y[LIMBS * RANK_ALL];
    struct effect_rank k;
    random_numbers(x, 5, 0.1);
    for (int i = 0; i < LIMBS * RANK_ALL; i++)
        y[i] = exp(3 * x[i]);
    cr_assert(effects_rank(&k, x, y, use, RANK_LAYERS, RANK_HEADS, 999, 3));
    cr_expect(fabs(k.mean - 1) < 1e-12 && k.p == 1.0 / 1000, "rho %g, p %g", k.mean, k.p);
    for (int i = 0; i < LIMBS * RANK_ALL; i++)
        y[i] = 4;
    cr_assert(effects_rank(&k, x, y, use, RANK_LAYERS, RANK_HEADS, 99, 3)); /* what does not vary has no rank */
    cr_expect(k.limbs == 0 && k.p == 1);
    /* SciPy: spearmanr([1, 2, 2, 3], [4, 1, 3, 3]) = -0.5 within 1e-12 by hand: ranks 1 2.5 2.5 4 and 4 1 2.5 2.5 */
    const double a[LIMBS * 4] = {1, 2, 2, 3}, b[LIMBS * 4] = {4, 1, 3, 3};
    const bool one[LIMBS] = {true};
    cr_assert(effects_rank(&k, a, b, one, 1, 4, 0, 1));
    cr_expect(fabs(k.rho[0] + 0.5) < 1e-12, "rho %g", k.rho[0]);
}

Test(patch, draws_match_layers)
{
    const bool use[LIMBS] = {true};
    double y[LIMBS * RANK_ALL] = {0};
    bool chosen[LIMBS * RANK_ALL] = {false};
    struct effect_draw d;
    for (int i = 0; i < RANK_ALL; i++)
        y[i] = i / RANK_HEADS; /* depth alone */
    chosen[RANK_ALL - 1] = chosen[RANK_ALL - 2] = true;
    cr_assert(effects_draw(&d, chosen, y, use, RANK_LAYERS, RANK_HEADS, 500, 1));
    cr_expect(d.pairs == 2 && d.mean == 7 && d.null_mean == 7 && d.p == 1 && d.p_below == 1);
    y[RANK_ALL - 1] = y[RANK_ALL - 2] = 9;
    cr_assert(effects_draw(&d, chosen, y, use, RANK_LAYERS, RANK_HEADS, 999, 1)); /* 1 of 28 pairs */
    cr_expect(d.mean == 9 && d.p < 0.08 && d.p > 0.01 && d.p_below == 1, "p %g", d.p);
}

/* ---- refusals ---- */

static void refuses(limber_status st, const limber_error *err, const char *words)
{
    cr_expect(st == LIMBER_E_ARGUMENT && strstr(err->text, words), "status %d, \"%s\", expected \"%s\"", st, err->text, words);
}

Test(patch, refusals)
{
    limber_error err = {0};
    struct bench b;
    bench_open(&b, GOLDEN "/simple-hd32", "cpu", "fp32", 1, 1);
    float *heat = malloc(sizeof(float) * KEYPOINTS * MAP);
    refuses(limber_patch_run(b.patch, 4, 0, NULL, 0, NULL, heat, &err), &err, "base is slot 4, expected 0..3");
    refuses(limber_patch_run(b.patch, 2, 0, NULL, 0, NULL, heat, &err), &err, "holds no run");
    refuses(limber_patch_run(b.patch, 0, -5, NULL, 0, NULL, heat, &err), &err, "source is -5");
    const uint8_t one[LAYERS * HEADS] = {1};
    refuses(limber_patch_run(b.patch, 0, LIMBER_PATCH_PATH, one, 0, NULL, heat, &err), &err, "no path was found");
    refuses(limber_patch_path(b.patch, 0, LIMBER_PATCH_PATH, one, &err), &err, "source of a path");
    refuses(limber_patch_path(b.patch, 0, 1, NULL, &err), &err, "senders is NULL");
    refuses(limber_patch_path(b.patch, 2, 1, one, &err), &err, "holds no run");
    cr_assert(!limber_patch_path(b.patch, 0, 1, one, &err) &&
              !limber_patch_run(b.patch, 0, LIMBER_PATCH_PATH, one, 0, NULL, heat, &err));
    refuses(limber_patch_run(b.patch, 1, LIMBER_PATCH_PATH, one, 0, NULL, heat, &err), &err,
            "no path was found for the run in slot 1");
    cr_assert(!limber_patch_capture_crop(b.patch, 0, b.crops[0], &err));
    refuses(limber_patch_run(b.patch, 0, LIMBER_PATCH_PATH, one, 0, NULL, heat, &err), &err, "no path was found");
    refuses(limber_patch_run(b.patch, 0, LIMBER_PATCH_ZERO, NULL, LIMBER_PATCH_INPUT, NULL, heat, &err), &err, "needs a source");
    refuses(limber_patch_run(b.patch, 0, 1, NULL, 3, NULL, heat, &err), &err, "flags are 3");
    refuses(limber_patch_each(b.patch, 0, 1, NULL, 0, NULL, NULL, &err), &err, "visit is NULL");
    refuses(limber_patch_capture_crop(b.patch, -1, b.crops[0], &err), &err, "slot -1");
    limber_image none = {.pixels = b.crops[0], .width = W, .height = H, .stride = 3 * W};
    refuses(limber_patch_capture(b.patch, 0, &none, (limber_box){500, 0, 5, 5}, &err), &err, "outside the image");
    limber_patch *other = NULL;
    limber_patch_options o = limber_patch_options_default();
    cr_assert(!limber_patch_open(&other, b.session, &o, &err), "%s", err.text);
    cr_assert(!limber_patch_capture_crop(other, 0, b.crops[0], &err));
    refuses(limber_patch_run(other, 0, LIMBER_PATCH_MEAN, NULL, 0, NULL, heat, &err), &err, "mean of nobody");
    limber_patch_close(&other);
    o.slots = 0;
    refuses(limber_patch_open(&other, b.session, &o, &err), &err, "0 slots");
    o.slots = 1;
    o.reserved[2] = 7;
    refuses(limber_patch_open(&other, b.session, &o, &err), &err, "reserved[2]");
    free(heat);
    bench_close(&b);
}
