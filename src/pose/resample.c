/* SPDX-License-Identifier: MIT */
/* pose/resample.c - see pose/resample.h. */
#include "pose/resample.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/error.h"
#include "pose/pixels.h"

#define BITS 22 /* of a weight: 8 bits of a pixel, and 2 for sums that overshoot, fit beside them into 32 */

/* Which inputs an output reads, and how much of each. */
struct taps {
    int *from, *count; /* [outputs] */
    int32_t *weight;   /* [outputs][most], sums about 1 << BITS */
    int most;
};

static void taps_free(struct taps *t)
{
    free(t->from);
    free(t->count);
    free(t->weight);
}

static bool taps_open(struct taps *t, int in, int out)
{
    double step = (double)in / out, wide = step > 1 ? step : 1; /* the triangle's half base: a step where the picture shrinks */
    t->most = (int)ceil(wide) * 2 + 1;
    t->from = malloc((size_t)out * sizeof *t->from);
    t->count = malloc((size_t)out * sizeof *t->count);
    t->weight = malloc((size_t)out * (size_t)t->most * sizeof *t->weight);
    double *share = malloc((size_t)t->most * sizeof *share);
    bool fine = t->from && t->count && t->weight && share;
    for (int o = 0; fine && o < out; o++) {
        double centre = (o + 0.5) * step, sum = 0;
        int from = (int)(centre - wide + 0.5), to = (int)(centre + wide + 0.5);
        from = from < 0 ? 0 : from;
        to = to > in ? in : to;
        for (int i = from; i < to; i++) {
            double far = fabs((i - centre + 0.5) * (1 / wide));
            share[i - from] = far < 1 ? 1 - far : 0;
            sum += share[i - from];
        }
        for (int i = from; i < to; i++) {
            double part = sum != 0 ? share[i - from] * (1 / sum) : share[i - from];
            t->weight[(size_t)o * (size_t)t->most + (size_t)(i - from)] = (int32_t)(0.5 + part * (1 << BITS));
        }
        t->from[o] = from;
        t->count[o] = to - from;
    }
    free(share);
    return fine;
}

static uint8_t rounded(int32_t sum)
{
    int32_t v = sum >> BITS;
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

/* src: rows of in pixels, `stride` bytes apart -> dst [height][out][3] */
static void across(uint8_t *dst, int out, const uint8_t *src, size_t stride, int height, const struct taps *t)
{
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < out; x++) {
            const int32_t *w = t->weight + (size_t)x * (size_t)t->most;
            const uint8_t *p = src + (size_t)y * stride + 3 * (size_t)t->from[x];
            int32_t r = 1 << (BITS - 1), g = r, b = r;
            for (int i = 0; i < t->count[x]; i++, p += 3) {
                r += p[0] * w[i];
                g += p[1] * w[i];
                b += p[2] * w[i];
            }
            *dst++ = rounded(r);
            *dst++ = rounded(g);
            *dst++ = rounded(b);
        }
    }
}

/* -> dst [out][width][3] */
static void down(uint8_t *dst, int out, const uint8_t *src, size_t stride, int width, const struct taps *t)
{
    size_t line = 3 * (size_t)width;
    for (int y = 0; y < out; y++) {
        const int32_t *w = t->weight + (size_t)y * (size_t)t->most;
        const uint8_t *p = src + (size_t)t->from[y] * stride;
        for (size_t x = 0; x < line; x++) {
            int32_t sum = 1 << (BITS - 1);
            for (int i = 0; i < t->count[y]; i++)
                sum += p[(size_t)i * stride + x] * w[i];
            *dst++ = rounded(sum);
        }
    }
}

/* Other formats as RGB first: a detector looks at every pixel anyway. */
static limber_status resample_other(uint8_t *dst, int height, int width, const limber_image *image, limber_error *err)
{
    const size_t pixels = (size_t)image->width * (size_t)image->height;
    uint8_t *rgb = malloc(3 * pixels);
    float *row = malloc(3 * (size_t)image->width * sizeof *row);
    int *columns = malloc((size_t)image->width * sizeof *columns);
    limber_status st = rgb && row && columns
                           ? LIMBER_OK
                           : limber_fail(err, LIMBER_E_MEMORY, "no memory for %dx%d pixels", image->width, image->height);
    for (int x = 0; !st && x < image->width; x++)
        columns[x] = x;
    for (int y = 0; !st && y < image->height; y++) {
        pixels_pick(row, image, y, columns, image->width);
        for (size_t i = 0, n = 3 * (size_t)image->width; i < n; i++)
            rgb[(size_t)y * n + i] = (uint8_t)row[i];
    }
    if (!st) {
        const limber_image copy = {
            .pixels = rgb, .width = image->width, .height = image->height, .stride = 3 * (size_t)image->width};
        st = resample_bilinear(dst, height, width, &copy, err);
    }
    free(rgb);
    free(row);
    free(columns);
    return st;
}

limber_status resample_bilinear(uint8_t *dst, int height, int width, const limber_image *image, limber_error *err)
{
    if (image->format != LIMBER_RGB)
        return resample_other(dst, height, width, image, err);
    struct taps columns = {0}, rows = {0};
    /* Rows first where that leaves less to do: as Pillow 13 has it (inferred from its answers: it explains all of 900
     * random sizes that shrink both ways), and the two orders differ by a rounding. */
    bool rows_first = height < image->height && image->height - height > 2 * (image->width - width);
    size_t between = rows_first ? (size_t)height * (size_t)image->width : (size_t)image->height * (size_t)width;
    uint8_t *half = malloc(3 * between);
    limber_status st = LIMBER_OK;
    if (!half || !taps_open(&columns, image->width, width) || !taps_open(&rows, image->height, height)) {
        st = limber_fail(err, LIMBER_E_MEMORY, "no memory to bring %dx%d to %dx%d", image->width, image->height, width, height);
    } else if (rows_first) {
        down(half, height, image->pixels, image->stride, image->width, &rows);
        across(dst, width, half, 3 * (size_t)image->width, height, &columns);
    } else {
        across(half, width, image->pixels, image->stride, image->height, &columns);
        down(dst, height, half, 3 * (size_t)width, width, &rows);
    }
    taps_free(&columns);
    taps_free(&rows);
    free(half);
    return st;
}
