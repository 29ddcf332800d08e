/* SPDX-License-Identifier: MIT */
/* test_vit.c - one set of packed weights, images of any size: a pass at a grid is what a model opened at that input size computes, to the
 * byte; sizes in any order do not disturb one another; positions are kept within their bound; what is too large is refused. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pose/vit.h"

static limber_model *open_model(const char *name, const char *backend, const char *precision, int h, int w)
{
    char dir[1024];
    limber_error err = {0};
    limber_model *m = NULL;
    limber_options o = limber_options_default();
    o.backend = backend;
    o.precision = precision;
    o.input_height = h;
    o.input_width = w;
    snprintf(dir, sizeof dir, "%s/golden/%s", LIMBER_TEST_DIR, name);
    limber_status st = limber_model_open(&m, dir, &o, &err);
    if (st == LIMBER_E_UNSUPPORTED) /* not on this CPU */
        return NULL;
    cr_assert_eq(st, LIMBER_OK, "%s", err.text);
    return m;
}

static uint8_t *pictures(int count, int h, int w)
{
    const size_t n = (size_t)count * (size_t)h * (size_t)w * 3;
    uint8_t *v = malloc(n);
    uint64_t s = 99;
    cr_assert(v);
    for (size_t i = 0; i < n; i++) {
        s = s * 6364136223846793005u + 1442695040888963407u;
        v[i] = (uint8_t)((s >> 56) / 2 + i / 41 % 128);
    }
    return v;
}

static size_t maps_size(const limber_model *m, int count, int h, int w)
{
    const struct pass_shape s = model_pass_shape(m, h, w);
    const int scale = m->config.scale_factor;
    return (size_t)(count * m->config.keypoints) * (size_t)(shape_patches(&s) * scale * scale);
}

static float *maps_of(struct vit *v, int count, int h, int w)
{
    limber_error err = {0};
    const size_t n = maps_size(v->model, count, h, w);
    uint8_t *images = pictures(count, h, w);
    float *maps = malloc(n * sizeof *maps);
    cr_assert(maps);
    cr_assert_eq(vit_maps(v, images, count, h, w, maps, &err), LIMBER_OK, "%s", err.text);
    free(images);
    return maps;
}

static const struct {
    const char *name;
    int h, w; /* of one patch times a few; the models are trained on 48x32 and 256x192 */
} cases[] = {{"simple-hd32", 112, 64}, {"simple-hd32", 32, 80}, {"classic-hd32-bf16", 16, 112}, {"classic-hd32-bf16", 64, 48}};
static const struct {
    const char *backend, *precision;
} ways[] = {{"ref", "fp32"}, {"cpu", "fp32"}, {"cpu", "bf16"}, {"cpu", "int8"}, {"cuda", "fp32"}};
enum { CASES = sizeof cases / sizeof *cases, WAYS = sizeof ways / sizeof *ways, MOST = 192 };

static struct vit session(const limber_model *m, int count)
{
    struct vit v;
    limber_error err = {0};
    cr_assert_eq(vit_open_any(&v, m, 2, count, MOST, &err), LIMBER_OK, "%s", err.text);
    return v;
}

Test(vit, a_grid_of_a_pass_is_a_model_of_that_size)
{
    for (int i = 0; i < CASES; i++)
        for (int b = 0; b < WAYS; b++) {
            limber_model *any = open_model(cases[i].name, ways[b].backend, ways[b].precision, 0, 0),
                         *fixed = open_model(cases[i].name, ways[b].backend, ways[b].precision, cases[i].h, cases[i].w);
            if (!any)
                continue;
            const int count = b ? 3 : 1; /* ref takes its time */
            const int back_h = b ? any->config.image_h : 32, back_w = b ? any->config.image_w : 48;
            struct vit v = session(any, count), own;
            limber_error err = {0};
            cr_assert_eq(vit_open(&own, fixed, 1, count, false, &err), LIMBER_OK, "%s", err.text);
            float *trained = maps_of(&v, count, back_h, back_w);
            for (int again = 0; again < 2; again++) { /* the second time after a pass of another size, from kept positions */
                float *got = maps_of(&v, count, cases[i].h, cases[i].w), *want = maps_of(&own, count, cases[i].h, cases[i].w);
                cr_expect(!memcmp(got, want, maps_size(any, count, cases[i].h, cases[i].w) * sizeof *got),
                          "%s %s %s at %dx%d, pass %d: not the bytes of a model opened at that size", cases[i].name,
                          ways[b].backend, ways[b].precision, cases[i].h, cases[i].w, again);
                float *back = maps_of(&v, count, back_h, back_w);
                cr_expect(!memcmp(back, trained, maps_size(any, count, back_h, back_w) * sizeof *back),
                          "%s %s: the trained size is not what it was", cases[i].name, ways[b].backend);
                free(got), free(want), free(back);
            }
            free(trained);
            vit_close(&v);
            vit_close(&own);
            limber_model_close(&any);
            limber_model_close(&fixed);
        }
}

Test(vit, sizes_against_ref)
{
    for (int i = 0; i < CASES; i++) {
        limber_model *ref = open_model(cases[i].name, "ref", "fp32", 0, 0), *cpu = open_model(cases[i].name, "cpu", "fp32", 0, 0);
        struct vit a = session(ref, 1), b = session(cpu, 1);
        float *want = maps_of(&a, 1, cases[i].h, cases[i].w), *got = maps_of(&b, 1, cases[i].h, cases[i].w);
        double worst = 0, largest = 0;
        for (size_t k = 0; k < maps_size(ref, 1, cases[i].h, cases[i].w); k++) {
            const double d = fabs((double)got[k] - (double)want[k]);
            worst = d <= worst ? worst : d;
            largest = fmax(largest, fabs((double)want[k]));
        }
        cr_expect(worst <= 2e-5 * largest, "%s at %dx%d: cpu is off by %g, maps reach %g", cases[i].name, cases[i].h, cases[i].w,
                  worst, largest);
        free(want), free(got);
        vit_close(&a);
        vit_close(&b);
        limber_model_close(&ref);
        limber_model_close(&cpu);
    }
}

Test(vit, patches_without_padding)
{
    limber_model *m = open_model("simple-hd32", "cpu", "fp32", 0, 0), *ref = open_model("simple-hd32", "ref", "fp32", 0, 0);
    m->config.patch_pad = ref->config.patch_pad = 0;
    struct vit a = session(ref, 1), b = session(m, 1);
    float *want = maps_of(&a, 1, 64, 48), *got = maps_of(&b, 1, 64, 48);
    m->config.patch_pad = PATCH_PAD;
    struct vit c = session(m, 1);
    float *padded = maps_of(&c, 1, 64, 48);
    double worst = 0, moved = 0;
    for (size_t k = 0; k < maps_size(m, 1, 64, 48); k++) {
        worst = fmax(worst, fabs((double)got[k] - (double)want[k]));
        moved = fmax(moved, fabs((double)padded[k] - (double)want[k]));
    }
    cr_expect(worst < 1e-4 && moved > 1e-2, "off by %g, padding moves maps by %g", worst, moved);
    free(want), free(got), free(padded);
    vit_close(&a), vit_close(&b), vit_close(&c);
    limber_model_close(&m);
    limber_model_close(&ref);
}

static int kept(const struct vit *v)
{
    int n = 0;
    for (int i = 0; i < VIT_POSITIONS; i++)
        n += v->positions[i].table != NULL;
    return n;
}

Test(vit, positions_are_kept_within_bounds)
{
    limber_model *m = open_model("simple-hd32", "cpu", "fp32", 0, 0);
    struct vit v = session(m, 1);
    limber_error err = {0};
    float *first = maps_of(&v, 1, 16, 16);
    for (int n = 1; n <= 2 * VIT_POSITIONS; n++) {
        cr_assert_eq(vit_resize(&v, 16, 16 * n, &err), LIMBER_OK, "%s", err.text);
        cr_expect_eq(kept(&v), n < VIT_POSITIONS ? n : VIT_POSITIONS, "%d grids are kept after %d", kept(&v), n);
    }
    cr_assert_eq(vit_resize(&v, 16, 16 * MOST, &err), LIMBER_OK);
    struct buf *const *last = v.position;
    cr_assert_eq(vit_resize(&v, 16, 16 * (MOST - 3), &err), LIMBER_OK);
    cr_assert_eq(vit_resize(&v, 16, 16 * MOST, &err), LIMBER_OK);
    cr_expect_eq(v.position, last, "positions that were kept are resized again");
    float *again = maps_of(&v, 1, 16, 16);
    cr_expect(!memcmp(first, again, maps_size(m, 1, 16, 16) * sizeof *again), "positions that had made way came back different");
    free(first), free(again);
    vit_close(&v);
    limber_model_close(&m);
}

Test(vit, refuses_sizes)
{
    static const struct {
        int h, w;
        const char *text;
    } wrong[] = {{48, 40, "images of 48x40, expected multiples of the patch of 16x16"},
                 {0, 16, "expected multiples"},
                 {-16, 16, "expected multiples"},
                 {16, 16 * MOST + 16, "images of 16x3088 are 193 patches, the session was opened for 192"}};
    limber_model *m = open_model("simple-hd32", "cpu", "fp32", 0, 0);
    struct vit v = session(m, 1);
    float *before = maps_of(&v, 1, 48, 32);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        limber_error err = {0};
        float map;
        cr_expect_eq(vit_maps(&v, (const uint8_t *)"", 1, wrong[i].h, wrong[i].w, &map, &err), LIMBER_E_ARGUMENT);
        cr_expect(strstr(err.text, wrong[i].text), "%s", err.text);
    }
    limber_error err = {0};
    cr_expect_eq(vit_maps(&v, (const uint8_t *)"", 2, 48, 32, before, &err), LIMBER_E_ARGUMENT,
                 "two images in a session for one");
    float *after = maps_of(&v, 1, 48, 32);
    cr_expect(!memcmp(before, after, maps_size(m, 1, 48, 32) * sizeof *after), "a refusal left its mark");
    free(before), free(after);
    vit_close(&v);
    limber_model_close(&m);
}
