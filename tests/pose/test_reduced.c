/* SPDX-License-Identifier: MIT */
/* A picture decoded smaller than it is: which part of it a crop shows, and how much smaller it may be. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/model.h"
#include "pose/pipeline.h"

static limber_model *model;

static void open_model(void)
{
    limber_error err = {0};
    cr_assert_eq(limber_model_open(&model, LIMBER_TEST_DIR "/golden/simple-hd32", NULL, &err), LIMBER_OK, "%s", err.text);
}

static void close_model(void)
{
    limber_model_close(&model);
}

TestSuite(reduced, .init = open_model, .fini = close_model);

/* Values that rise steadily to the right in red, downwards in green: a shift by a pixel of the picture changes them by `slope`. */
static limber_image ramp(int width, int height, int reduce, double slope)
{
    const int w = width / reduce, h = height / reduce;
    uint8_t *p = malloc(3 * (size_t)w * (size_t)h), *at = p;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++, at += 3) { /* what averaging reduce x reduce pixels gives */
            at[0] = (uint8_t)lround(slope * (reduce * x + (reduce - 1) / 2.0));
            at[1] = (uint8_t)lround(slope * (reduce * y + (reduce - 1) / 2.0));
            at[2] = 0;
        }
    return (limber_image){.pixels = p, .width = w, .height = h, .stride = 3 * (size_t)w};
}

Test(reduced, a_crop_shows_the_same_part)
{
    const int width = 320, height = 320;
    const limber_box box = {70.5f, 60.25f, 120, 180};
    const limber_image all = ramp(width, height, 1, 0.75);
    const size_t crop = (size_t)model->config.image_h * (size_t)model->config.image_w * 3;
    struct job whole;
    limber_error err = {0};
    cr_assert_eq(job_prepare(&whole, model, &all, &box, 1, &err), LIMBER_OK, "%s", err.text);
    for (int reduce = 2; reduce <= 8; reduce *= 2) {
        const limber_image less = ramp(width, height, reduce, 0.75);
        struct job job;
        const struct reduced_image image = {less, width, height, reduce};
        cr_assert_eq(job_prepare_reduced(&job, model, &image, &box, 1, &err), LIMBER_OK, "%s", err.text);
        int worst = 0;
        for (size_t i = 0; i < crop; i++) {
            int d = abs(job.subjects[0].crop[i] - whole.subjects[0].crop[i]);
            worst = d > worst ? d : worst;
        }
        cr_expect_leq(worst, 1, "reduced by %d: values differ by %d; half a pixel of a shift is more", reduce, worst);
        cr_expect(job.subjects[0].box.x == box.x, "boxes stay those of the picture");
        job_free(&job);
        free((uint8_t *)less.pixels);
    }
    job_free(&whole);
    free((uint8_t *)all.pixels);
}

/* Boxes are checked against the picture, not against the fewer pixels. */
Test(reduced, a_box_may_lie_where_the_smaller_picture_has_no_pixel)
{
    const limber_image less = ramp(800, 800, 8, 0.3);
    const struct reduced_image image = {less, 800, 800, 8};
    const limber_box far = {600, 600, 100, 100}, outside = {800, 0, 10, 10};
    struct job job;
    cr_expect_eq(job_prepare_reduced(&job, model, &image, &far, 1, NULL), LIMBER_OK);
    job_free(&job);
    cr_expect_eq(job_prepare_reduced(&job, model, &image, &outside, 1, NULL), LIMBER_E_ARGUMENT);
    free((uint8_t *)less.pixels);
}

Test(reduced, no_more_than_the_smallest_crop_allows)
{
    const float w = (float)model->config.image_w / 1.25f, h = (float)model->config.image_h / 1.25f; /* a crop is padded */
    for (int n = 1; n <= 8; n *= 2) {
        const limber_box just[] = {{0, 0, 4000, 4000}, {10, 10, w * (float)n * 1.001f, h * (float)n * 1.001f}};
        const limber_box below = {10, 10, w * (float)n * 0.999f, h * (float)n * 0.999f};
        cr_expect_eq(job_reduction(model, 4000, 3000, just, 2), n, "%d: %d", n, job_reduction(model, 4000, 3000, just, 2));
        cr_expect_eq(job_reduction(model, 4000, 3000, &below, 1), n > 1 ? n / 2 : 1);
    }
    const limber_box nan = {0, 0, NAN, 5000};
    cr_expect_eq(job_reduction(model, 4000, 3000, &nan, 1), 1);
    cr_expect_eq(job_reduction(model, 4000, 3000, NULL, 0), 2);
    cr_expect_eq(job_reduction(model, 3999, 3999, NULL, 0), 1);
    cr_expect_eq(job_reduction(model, 3000, 16000, NULL, 0), 8);
}

/* Sizes that pass every single check and wrap together. */
Test(reduced, images_beyond_the_address_space_are_refused)
{
    static const uint8_t pixel[3];
    const limber_box box = {0, 0, 10, 10};
    const struct {
        limber_image image;
        const char *because;
    } cases[] = {
        {{.pixels = pixel, .width = INT32_MAX, .height = INT32_MAX, .stride = (size_t)3 * INT32_MAX},
         "a side may have 16777216 pixels"},
        {{.pixels = pixel, .width = 100, .height = INT32_MAX, .stride = 300}, "a side may have"},
        {{.pixels = pixel, .width = 100, .height = 3, .stride = SIZE_MAX / 2}, "beyond the address space"},
        {{.pixels = pixel, .width = 100, .height = 100, .stride = SIZE_MAX / 3}, "beyond the address space"},
        {{.pixels = pixel, .width = 100, .height = 1, .stride = SIZE_MAX}, "beyond the address space"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct job job;
        limber_error err = {0};
        cr_expect_eq(job_prepare(&job, model, &cases[i].image, &box, 1, &err), LIMBER_E_ARGUMENT, "case %zu", i);
        cr_expect(strstr(err.text, cases[i].because), "case %zu: %s", i, err.text);
    }
}
