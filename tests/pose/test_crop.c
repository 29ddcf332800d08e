/* SPDX-License-Identifier: MIT */
/* Boxes to crops and joints back: worked numbers of transformers 5.23 with NumPy 2, and every crop against the rule written out
 * a pixel at a time. tests/golden holds crops that transformers itself made. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "pose/crop.h"

/* ---- geometry ---- */

static const struct {
    limber_box box;
    struct crop_region region;
    struct crop_warp warp;
} worked[] = {
    /* two people of COCO val2017 000000000139, their boxes rounded to float32 as limber_box holds them */
    {{412.8f, 157.61f, 53.05f, 138.01f},
     {439.3249816894531f, 226.614990234375f, 129.38436889648438f, 172.51248168945312f},
     {1.4762215614318848f, -553.0410766601562f, 1.478153944015503f, -207.47183227539062f}},
    {{384.43f, 172.21f, 15.12f, 35.74f},
     {391.989990234375f, 190.0800018310547f, 33.506248474121094f, 44.67500305175781f},
     {5.700429439544678f, -2139.01123046875f, 5.707890033721924f, -957.4556884765625f}},
    {{0, 0, 640, 480}, /* wider than 3:4 */
     {320, 240, 800, 1066.666748046875f},
     {0.23874999582767487f, 19.100000381469727f, 0.23906248807907104f, 70.12500762939453f}},
    {{-50.5f, -20, 10.25f, 400}, /* beside the image */
     {-45.375f, 180, 375, 500},
     {0.5093333125114441f, 118.61100006103516f, 0.5099999904632568f, 35.70000076293945f}},
};

Test(crop, region_and_warp_are_transformers_to_the_last_bit)
{
    for (size_t i = 0; i < sizeof worked / sizeof *worked; i++) {
        struct crop_region r = crop_region_of_box(worked[i].box, 256, 192, 200), want = worked[i].region;
        cr_expect(!memcmp(&r, &want, sizeof r), "box %zu: region %.9g %.9g %.9g %.9g, expected %.9g %.9g %.9g %.9g", i,
                  (double)r.cx, (double)r.cy, (double)r.width, (double)r.height, (double)want.cx, (double)want.cy,
                  (double)want.width, (double)want.height);
        struct crop_warp w = crop_warp_of_region(want, 256, 192), expected = worked[i].warp;
        cr_expect(!memcmp(&w, &expected, sizeof w), "box %zu: warp %.9g %.9g %.9g %.9g, expected %.9g %.9g %.9g %.9g", i,
                  (double)w.scale_x, (double)w.offset_x, (double)w.scale_y, (double)w.offset_y, (double)expected.scale_x,
                  (double)expected.offset_x, (double)expected.scale_y, (double)expected.offset_y);
    }
}

/* The regions that the same two boxes have as doubles, and the matrices transformers' own example leads to. */
Test(crop, published_warp_matrices)
{
    static const struct crop_region regions[] = {
        {439.32501220703125f, 226.61500549316406f, 129.38436889648438f, 172.51251220703125f},
        {391.989990234375f, 190.0800018310547f, 33.506248474121094f, 44.67499923706055f}};
    static const struct crop_warp warps[] = {{1.4762215614318848f, -553.0410766601562f, 1.4781537055969238f, -207.4718017578125f},
                                             {5.700429439544678f, -2139.01123046875f, 5.707890510559082f, -957.4558715820312f}};
    for (int i = 0; i < 2; i++) {
        struct crop_warp w = crop_warp_of_region(regions[i], 256, 192);
        cr_expect(!memcmp(&w, &warps[i], sizeof w), "%d: %.9g %.9g %.9g %.9g", i, (double)w.scale_x, (double)w.offset_x,
                  (double)w.scale_y, (double)w.offset_y);
    }
}

/* transformers divides by normalize_factor and multiplies by 200, whatever the factor is */
Test(crop, another_normalize_factor_scales_the_region)
{
    struct crop_region r = crop_region_of_box((limber_box){0, 0, 60, 80}, 256, 192, 100);
    cr_expect_float_eq(r.width, 150, 1e-4);
    cr_expect_float_eq(r.height, 200, 1e-4);
}

/* ---- sampling ---- */

struct picture {
    limber_image view;
    uint8_t *bytes;
};

static struct picture noise(int width, int height, size_t stride, uint32_t seed)
{
    size_t n = stride * (size_t)height;
    struct picture p = {.bytes = malloc(n)};
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        p.bytes[i] = (uint8_t)(seed >> 24);
    }
    p.view = (limber_image){.pixels = p.bytes, .width = width, .height = height, .stride = stride};
    return p;
}

/* scipy.ndimage.affine_transform(order=1, mode='constant') for one sample */
static uint8_t sampled(const limber_image *im, double x, double y, int c)
{
    if (!(x >= 0 && x <= im->width - 1 && y >= 0 && y <= im->height - 1))
        return 0;
    int x0 = (int)floor(x), y0 = (int)floor(y);
    double weight_x[2] = {1 - (x - x0)}, weight_y[2] = {1 - (y - y0)}, sum = 0;
    weight_x[1] = 1 - weight_x[0];
    weight_y[1] = 1 - weight_y[0];
    for (int dy = 0; dy < 2; dy++)
        for (int dx = 0; dx < 2; dx++) {
            int sx = x0 + dx < im->width ? x0 + dx : x0, sy = y0 + dy < im->height ? y0 + dy : y0;
            sum += im->pixels[(size_t)sy * im->stride + 3 * (size_t)sx + (size_t)c] * weight_y[dy] * weight_x[dx];
        }
    return (uint8_t)floor(sum + 0.5);
}

/* Samples that are not what the rule says; the first is described. */
static int wrong_samples(const limber_image *im, limber_box box, int h, int w, int *not_zero)
{
    struct crop_region r = crop_region_of_box(box, h, w, 200);
    struct crop_warp m = crop_warp_of_region(r, h, w);
    size_t bytes = (size_t)h * (size_t)w * 3;
    uint8_t *crop = malloc(bytes + 8);
    memset(crop, 0xa5, bytes + 8);
    crop_sample(crop, h, w, im, r);
    double step_x = 1 / (double)m.scale_x, step_y = 1 / (double)m.scale_y;
    int wrong = 0;
    *not_zero = 0;
    for (int v = 0; v < h; v++)
        for (int u = 0; u < w; u++)
            for (int c = 0; c < 3; c++) {
                double x = -(double)m.offset_x * step_x + step_x * u, y = -(double)m.offset_y * step_y + step_y * v;
                int got = crop[((size_t)v * (size_t)w + (size_t)u) * 3 + (size_t)c], want = sampled(im, x, y, c);
                *not_zero += got != 0;
                if (got != want && wrong++ == 0)
                    cr_log_error("row %d, column %d, channel %d: %d, expected %d at (%.17g, %.17g)", v, u, c, got, want, x, y);
            }
    for (int i = 0; i < 8; i++)
        cr_expect_eq(crop[bytes + (size_t)i], 0xa5, "wrote past the crop");
    free(crop);
    return wrong;
}

Test(crop, every_sample_follows_scipys_rule)
{
    static const struct {
        int width, height;
        limber_box box;
        int h, w;
    } cases[] = {
        {97, 61, {20, 10, 30, 40}, 256, 192},           /* inside, enlarged */
        {640, 480, {100, 50, 380, 300}, 256, 192},      /* inside, made smaller */
        {97, 61, {0, 0, 97, 61}, 256, 192},             /* the whole image: bands above and below */
        {97, 61, {-30.25f, -20.5f, 60, 55}, 256, 192},  /* over the top-left corner */
        {97, 61, {80, 40, 60.75f, 90.5f}, 256, 192},    /* over the bottom-right corner */
        {97, 61, {40, 30, 0.01f, 0.01f}, 256, 192},     /* smaller than a pixel */
        {97, 61, {-1e6f, -1e6f, 2e6f, 2e6f}, 256, 192}, /* the image is smaller than one output pixel */
        {1, 1, {0, 0, 1, 1}, 256, 192},
        {1, 50, {0, 0, 1, 50}, 256, 192},
        {50, 1, {0, 0, 50, 1}, 256, 192},
        {2, 2, {-0.5f, -0.5f, 3, 3}, 192, 160},
        {97, 61, {10, 10, 50, 30}, 48, 1000}, /* more columns than a strip, an odd input */
        {97, 61, {3.5f, 7, 31, 31}, 33, 257},
        {97, 61, {3.5f, 7, 31, 31}, 2, 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct picture p = noise(cases[i].width, cases[i].height, 3 * (size_t)cases[i].width + i % 3, (uint32_t)i + 1);
        int not_zero = 0, wrong = wrong_samples(&p.view, cases[i].box, cases[i].h, cases[i].w, &not_zero);
        cr_expect_eq(wrong, 0, "case %zu: %d samples differ", i, wrong);
        free(p.bytes);
    }
}

/* On whole pixels nothing is interpolated: a region of W-1 by H-1 about the middle copies the image. */
Test(crop, a_region_of_the_inputs_own_size_copies_the_image)
{
    struct picture p = noise(192, 256, 3 * 192, 7);
    uint8_t *crop = malloc(192 * 256 * 3);
    crop_sample(crop, 256, 192, &p.view, (struct crop_region){95.5f, 127.5f, 191, 255});
    cr_expect(!memcmp(crop, p.bytes, 192 * 256 * 3));
    free(crop);
    free(p.bytes);
}

Test(crop, outside_the_image_all_is_zero)
{
    struct picture p = noise(97, 61, 3 * 97, 3);
    static const limber_box outside[] = {
        {200, 0, 50, 60}, {0, 100, 50, 60}, {-300, 0, 50, 60}, {0, -300, 50, 60}, {1e8f, 1e8f, 1, 1}, {97.5f, 20, 1, 1},
    };
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++) {
        int not_zero = 0;
        cr_expect_eq(wrong_samples(&p.view, outside[i], 256, 192, &not_zero), 0);
        cr_expect_eq(not_zero, 0, "box %zu: %d bytes are not zero", i, not_zero);
    }
    free(p.bytes);
}

/* limber_run refuses such boxes; the crop must all the same not read where nothing is. */
Test(crop, numbers_that_are_none_give_black)
{
    struct picture p = noise(9, 9, 27, 3);
    static const struct crop_region bad[] = {
        {NAN, NAN, NAN, NAN},          {0, 0, 0, 0},     {INFINITY, 4, 10, 10},  {4, 4, INFINITY, INFINITY},
        {-3e38f, 3e38f, 3e38f, 3e38f}, {4, 4, -10, -10}, {4, 4, 1e-40f, 1e-40f},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint8_t crop[8 * 6 * 3];
        memset(crop, 1, sizeof crop);
        crop_sample(crop, 8, 6, &p.view, bad[i]);
        for (size_t k = 0; i != 5 && i != 6 && k < sizeof crop; k++)
            cr_assert_eq(crop[k], 0, "region %zu", i);
    }
    free(p.bytes);
}

/* ---- back to the image ---- */

/* The warp takes a joint's place to the crop's pixels, which are 191/47 heatmap pixels wide: the way back must undo it. */
Test(crop, a_joint_returns_to_where_the_warp_took_it_from)
{
    for (size_t i = 0; i < sizeof worked / sizeof *worked; i++) {
        struct crop_region r = worked[i].region;
        struct crop_warp w = crop_warp_of_region(r, 256, 192);
        double x = (double)r.cx + 0.3 * (double)r.width, y = (double)r.cy - 0.2 * (double)r.height;
        limber_keypoint map = {(float)(((double)w.scale_x * x + (double)w.offset_x) * 47 / 191),
                               (float)(((double)w.scale_y * y + (double)w.offset_y) * 63 / 255), 0.5f};
        limber_keypoint back = crop_to_image(map, 64, 48, r);
        cr_expect_float_eq(back.x, x, 1e-4 * (double)r.width, "box %zu: %.6f, expected %.6f", i, (double)back.x, x);
        cr_expect_float_eq(back.y, y, 1e-4 * (double)r.height, "box %zu: %.6f, expected %.6f", i, (double)back.y, y);
        cr_expect_eq(back.score, 0.5f);
    }
}

Test(crop, the_maps_corners_are_the_regions_corners)
{
    struct crop_region r = {100, 50, 60, 80};
    limber_keypoint a = crop_to_image((limber_keypoint){0, 0, 1}, 64, 48, r),
                    b = crop_to_image((limber_keypoint){47, 63, 1}, 64, 48, r);
    cr_expect_float_eq(a.x, 70, 1e-4);
    cr_expect_float_eq(a.y, 10, 1e-4);
    cr_expect_float_eq(b.x, 130, 1e-4);
    cr_expect_float_eq(b.y, 90, 1e-4);
    a = crop_to_image((limber_keypoint){0, 0, 1}, 1, 1, r); /* a map of one pixel has no extent to divide by */
    cr_expect(isfinite(a.x) && isfinite(a.y));
}

/* ---- refinement ---- */

static const limber_image picture = {.pixels = NULL, .width = 640, .height = 480, .stride = 1920};

Test(refine, the_box_goes_around_the_confident_joints)
{
    limber_box whole = {0, 0, 640, 480};
    limber_keypoint joints[17] = {{0}};
    for (int k = 0; k < 17; k++)
        joints[k] = (limber_keypoint){600, 10, 0.29f}; /* not confident: must not count */
    static const limber_keypoint sure[6] = {{200, 100, 0.9f}, {260, 110, 0.3f}, {210, 300, 0.8f},
                                            {250, 280, 0.5f}, {220, 200, 1.1f}, {230, 150, 0.31f}};
    memcpy(joints + 3, sure, sizeof sure);
    limber_box box = crop_refine(whole, joints, 17, &picture); /* bounds 200..260, 100..300; margin 0.1 * 200 */
    cr_expect_float_eq(box.x, 180, 1e-3);
    cr_expect_float_eq(box.y, 80, 1e-3);
    cr_expect_float_eq(box.width, 100, 1e-3);
    cr_expect_float_eq(box.height, 240, 1e-3);
    joints[3].score = 0.2f; /* five are too few */
    box = crop_refine(whole, joints, 17, &picture);
    cr_expect(!memcmp(&box, &whole, sizeof box));
}

Test(refine, it_stays_inside_the_image)
{
    limber_box whole = {0, 0, 640, 480};
    limber_keypoint joints[4] = {{-5, 10, 1}, {700, 20, 1}, {300, 470, 1}, {20, 490, 1}};
    limber_box box = crop_refine(whole, joints, 4, &picture);
    cr_expect(!memcmp(&box, &whole, sizeof box));
}

Test(refine, joints_in_one_place_or_outside_leave_the_box)
{
    limber_box old = {10, 20, 30, 40};
    limber_keypoint joints[17];
    for (int i = 0; i < 3; i++) {
        static const limber_keypoint places[3] = {{50, 50, 1}, {900, 50, 1}, {NAN, NAN, 1}};
        for (int k = 0; k < 17; k++)
            joints[k] = places[i];
        limber_box box = crop_refine(old, joints, 17, &picture);
        cr_expect(!memcmp(&box, &old, sizeof box), "place %d", i);
    }
    for (int k = 0; k < 17; k++)
        joints[k].score = NAN;
    limber_box box = crop_refine(old, joints, 17, &picture);
    cr_expect(!memcmp(&box, &old, sizeof box));
}

/* A box of less than a pixel has nothing to be looked at, in either direction; one of a pixel has. */
Test(refine, less_than_a_pixel_is_no_box)
{
    const limber_box old = {10, 20, 30, 40};
    static const struct {
        float width, height; /* of what the joints cover, within the picture and at its edge */
        bool box;
    } cases[] = {{0.5f, 0.5f, false}, {0.8f, 0.2f, false}, {0.9f, 0.9f, true}, {0.1f, 0.9f, false}, {20, 0, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        limber_keypoint joints[6] = {
            {50, 60, 1}, {50 + cases[i].width, 60 + cases[i].height, 1}, {50, 60, 1}, {50, 60, 1}, {50, 60, 1}, {50, 60, 1}};
        const limber_box box = crop_refine(old, joints, 6, &picture);
        cr_expect_eq(memcmp(&box, &old, sizeof box) != 0, cases[i].box, "%g x %g", (double)cases[i].width,
                     (double)cases[i].height);
    }
    limber_keypoint outside[6] = {{-10, 60, 1}, {-2.6f, 100, 1}, {-9, 70, 1},
                                  {-9, 70, 1},  {-9, 70, 1},     {-9, 70, 1}}; /* margin 4: 1.4 px are left */
    cr_expect_neq(crop_refine(old, outside, 6, &picture).width, old.width);
    outside[1].x = -3.4f;
    cr_expect_eq(crop_refine(old, outside, 6, &picture).width, old.width);
}

/* A label set of five needs three. */
Test(refine, small_label_sets_need_half_of_their_joints)
{
    limber_box whole = {0, 0, 640, 480};
    limber_keypoint joints[5] = {{100, 100, 1}, {200, 200, 1}, {150, 120, 1}, {0, 0, 0}, {0, 0, 0}};
    cr_expect_neq(crop_refine(whole, joints, 5, &picture).width, 640);
    joints[2].score = 0;
    cr_expect_eq(crop_refine(whole, joints, 5, &picture).width, 640);
}
