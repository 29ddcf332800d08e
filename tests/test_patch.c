/* Patched heads against transformers with hooks, against the plain runs they must be equal to, and on planted checkpoints of which the
 * cause is known. */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "heads/chance.h"
#include "heads/patch.h"
#include "tensor_file.h"

#define GOLDEN LIMBER_TEST_DIR "/golden"
enum { W = 192, H = 256, KEYPOINTS = 17, MAP = 64 * 48, LAYERS = 2, HEADS = 2, PIXELS = W * H * 3 };

static limber_session *open_session(limber_model **model, const char *dir, const char *backend, const char *precision, const char *prune,
                                    int threads, int batch)
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
    refuses(limber_patch_run(b.patch, 0, -4, NULL, 0, NULL, heat, &err), &err, "source is -4");
    refuses(limber_patch_run(b.patch, 0, LIMBER_PATCH_ZERO, NULL, LIMBER_PATCH_INPUT, NULL, heat, &err), &err, "needs a source");
    refuses(limber_patch_run(b.patch, 0, 1, NULL, 3, NULL, heat, &err), &err, "flags are 3");
    refuses(limber_patch_each(b.patch, 0, 1, NULL, 0, NULL, NULL, &err), &err, "visit is NULL");
    refuses(limber_patch_capture_crop(b.patch, -1, b.crops[0], &err), &err, "slot -1");
    limber_image none = {.rgb = b.crops[0], .width = W, .height = H, .stride = 3 * W};
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
