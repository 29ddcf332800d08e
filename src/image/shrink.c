/* SPDX-License-Identifier: MIT */
/* image/shrink.c - fewer pixels by averaging: each new pixel is the mean of the area it covers, so that nothing aliases. First the
 * rows that go into a new row, a byte of weight each, in 16 bits (255 * 256 fits); then along that row. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "image/image.h"

/* Which old pixels a new one covers, and how much of each, of 256. */
struct reach {
    int first, count;
    const uint16_t *weights;
};

/* New pixel i covers [i * was / is, (i + 1) * was / is): whole numbers where all is counted in parts of 1 / is. Where a part ends is
 * rounded, not how long it is, so that all parts of a pixel make 256. */
static void measure(struct reach *reach, uint16_t *weights, int was, int is)
{
    for (int i = 0; i < is; i++) {
        const int64_t low = (int64_t)i * was, high = low + was;
        const int first = (int)(low / is), end = (int)((high + is - 1) / is);
        int before = 0;
        reach[i] = (struct reach){first, end - first, weights};
        for (int k = first; k < end; k++) {
            const int64_t to = (int64_t)(k + 1) * is < high ? (int64_t)(k + 1) * is : high;
            const int now = (int)(((to - low) * 256 + was / 2) / was);
            *weights++ = (uint16_t)(now - before);
            before = now;
        }
    }
}

static void add_row(uint16_t *restrict sum, const uint8_t *restrict row, int n, uint16_t weight)
{
    for (int i = 0; i < n; i++)
        sum[i] = (uint16_t)(sum[i] + weight * row[i]);
}

static void shrink_row(uint8_t *restrict out, const uint16_t *restrict sum, const struct reach *reach, int width)
{
    for (int x = 0; x < width; x++, out += 3) {
        const uint16_t *in = sum + 3 * (size_t)reach[x].first, *weight = reach[x].weights;
        uint32_t r = 1 << 15, g = 1 << 15, b = 1 << 15;
        for (int k = 0; k < reach[x].count; k++, in += 3)
            r += weight[k] * (uint32_t)in[0], g += weight[k] * (uint32_t)in[1], b += weight[k] * (uint32_t)in[2];
        out[0] = (uint8_t)(r >> 16), out[1] = (uint8_t)(g >> 16), out[2] = (uint8_t)(b >> 16);
    }
}

limber_status image_shrink(struct image *im, int longest, limber_error *err)
{
    const limber_image *old = &im->view;
    const int side = old->width > old->height ? old->width : old->height;
    if (longest < 1 || side <= longest)
        return LIMBER_OK;
    const int w = (int)(((int64_t)old->width * longest + side / 2) / side),
              h = (int)(((int64_t)old->height * longest + side / 2) / side);
    const int width = w > 0 ? w : 1, height = h > 0 ? h : 1;
    const size_t row = 3 * (size_t)width;
    /* an old pixel that is split counts twice */
    struct reach *across = malloc(((size_t)width + (size_t)height) * sizeof *across), *down = across + width;
    uint16_t *weights = malloc(2 * ((size_t)width + (size_t)height + (size_t)old->width + (size_t)old->height) * sizeof *weights);
    uint16_t *sum = malloc(3 * (size_t)old->width * sizeof *sum);
    uint8_t *pixels = malloc(row * (size_t)height);
    if (!across || !weights || !sum || !pixels) {
        free(across);
        free(weights);
        free(sum);
        free(pixels);
        return limber_fail(err, LIMBER_E_MEMORY, "no memory for a picture of %dx%d", width, height);
    }
    measure(across, weights, old->width, width);
    measure(down, weights + 2 * ((size_t)width + (size_t)old->width), old->height, height);
    for (int y = 0; y < height; y++) {
        memset(sum, 0, 3 * (size_t)old->width * sizeof *sum);
        for (int k = 0; k < down[y].count; k++)
            add_row(sum, old->pixels + (size_t)(down[y].first + k) * old->stride, 3 * old->width, down[y].weights[k]);
        shrink_row(pixels + (size_t)y * row, sum, across, width);
    }
    free(across);
    free(weights);
    free(sum);
    free((uint8_t *)im->view.pixels);
    im->view = (limber_image){.pixels = pixels, .width = width, .height = height, .stride = row};
    return LIMBER_OK;
}
