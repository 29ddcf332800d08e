/* SPDX-License-Identifier: MIT */
/* Pictures as callers have them: no copy is made of the whole, since a crop looks at few of a frame's pixels.
 *
 * Fears: a struct that was not zeroed, a stride that is too short, a chroma plane that is not there. */
#include "pose/pixels.h"

#include <stdbool.h>

#include "base/error.h"

#define MAX_SIDE (1 << 24) /* further out, float coordinates no longer tell one pixel from the next */

/* In the order of limber_pixel_format. */
static const struct {
    const char *name;
    size_t bytes; /* of a pixel; of NV12: of its Y */
} formats[] = {{"RGB", 3}, {"BGR", 3}, {"RGBA", 4}, {"BGRA", 4}, {"GRAY", 1}, {"NV12", 1}};

/* ---- NV12 to RGB ---- */

/* ITU-T H.273 written out, in units of 2^-20 for 8-bit Y, U and V: below 1e-3 of a level from the exact value. */
#define FIXED(x) ((int)((x) * (1 << 20) + 0.5))
#define MATRIX(kr, kb, y, c)                                                                                                     \
    {                                                                                                                            \
        FIXED(y), FIXED((c)*2 * (1 - (kr))), FIXED((c)*2 * (1 - (kb)) * (kb) / (1 - (kr) - (kb))),                               \
            FIXED((c)*2 * (1 - (kr)) * (kr) / (1 - (kr) - (kb))), FIXED((c)*2 * (1 - (kb)))                                      \
    }
#define RANGES(kr, kb)                                                                                                           \
    {                                                                                                                            \
        MATRIX(kr, kb, 255.0 / 219, 255.0 / 224), MATRIX(kr, kb, 1.0, 1.0)                                                       \
    }

/* In the order of limber_yuv_matrix; [0] limited, [1] full range. */
static const struct yuv {
    int y, r_of_v, g_of_u, g_of_v, b_of_u;
} yuvs[][2] = {RANGES(0.299, 0.114), RANGES(0.2126, 0.0722), RANGES(0.2627, 0.0593)};

static float level(int fixed)
{
    int v = (fixed + (1 << 19)) / (1 << 20); /* below zero it need not round well */
    return (float)(v < 0 ? 0 : v > 255 ? 255 : v);
}

static void pick_nv12(float *rgb, const limber_image *im, int y, const int *columns, int n)
{
    const struct yuv m = yuvs[im->matrix][im->full_range];
    const size_t height = (size_t)im->height, stride = im->chroma ? im->chroma_stride : im->stride;
    const uint8_t *luma = im->pixels + (size_t)y * im->stride;
    const uint8_t *chroma = (im->chroma ? im->chroma : im->pixels + height * im->stride) + (size_t)(y / 2) * stride;
    const int black = im->full_range ? 0 : 16;
    for (int i = 0; i < n; i++) {
        const uint8_t *uv = chroma + 2 * (size_t)(columns[i] / 2);
        const int grey = m.y * (luma[columns[i]] - black), u = uv[0] - 128, v = uv[1] - 128;
        rgb[3 * i] = level(grey + m.r_of_v * v);
        rgb[3 * i + 1] = level(grey - m.g_of_u * u - m.g_of_v * v);
        rgb[3 * i + 2] = level(grey + m.b_of_u * u);
    }
}

/* ---- the others: a pixel is `step` bytes, and red is the one at `r` ---- */

static inline void pick_packed(float *restrict rgb, const uint8_t *restrict row, const int *restrict columns, int n, size_t step,
                               size_t r, size_t g, size_t b)
{
    for (int i = 0; i < n; i++) {
        const uint8_t *p = row + step * (size_t)columns[i];
        rgb[3 * i] = p[r];
        rgb[3 * i + 1] = p[g];
        rgb[3 * i + 2] = p[b];
    }
}

void pixels_pick(float *rgb, const limber_image *im, int y, const int *columns, int n)
{
    const uint8_t *row = im->pixels + (size_t)y * im->stride;
    switch (im->format) { /* constants, so that each is a loop of its own */
    case LIMBER_RGB:
        pick_packed(rgb, row, columns, n, 3, 0, 1, 2);
        break;
    case LIMBER_BGR:
        pick_packed(rgb, row, columns, n, 3, 2, 1, 0);
        break;
    case LIMBER_RGBA:
        pick_packed(rgb, row, columns, n, 4, 0, 1, 2);
        break;
    case LIMBER_BGRA:
        pick_packed(rgb, row, columns, n, 4, 2, 1, 0);
        break;
    case LIMBER_GRAY:
        pick_packed(rgb, row, columns, n, 1, 0, 0, 0);
        break;
    case LIMBER_NV12:
        pick_nv12(rgb, im, y, columns, n);
        break;
    }
}

/* ---- checks ---- */

static bool in_address_space(const uint8_t *first, size_t stride, size_t rows)
{
    return stride <= (PTRDIFF_MAX - (uintptr_t)first % PTRDIFF_MAX) / rows;
}

static limber_status check_nv12(const limber_image *im, limber_error *err)
{
    const size_t pairs = ((size_t)im->width + 1) / 2;
    if ((unsigned)im->matrix >= sizeof yuvs / sizeof *yuvs)
        return limber_fail(err, LIMBER_E_ARGUMENT, "image: matrix is %d, expected a limber_yuv_matrix", (int)im->matrix);
    if (im->full_range != 0 && im->full_range != 1)
        return limber_fail(err, LIMBER_E_ARGUMENT, "image: full_range is %d, expected 0 or 1", im->full_range);
    if (!im->chroma && im->chroma_stride)
        return limber_fail(err, LIMBER_E_ARGUMENT, "image: chroma_stride is %zu and chroma is NULL", im->chroma_stride);
    const size_t stride = im->chroma ? im->chroma_stride : im->stride;
    if (stride / 2 < pairs)
        return limber_fail(err, LIMBER_E_ARGUMENT, "image: %s is %zu bytes, a row of %zu pairs of NV12's U and V takes %zu",
                           im->chroma ? "chroma_stride" : "stride", stride, pairs, 2 * pairs);
    return LIMBER_OK;
}

limber_status pixels_check(const limber_image *im, limber_error *err)
{
    if (!im->pixels)
        return limber_fail(err, LIMBER_E_ARGUMENT, "image: pixels is NULL");
    if (im->width < 1 || im->height < 1)
        return limber_fail(err, LIMBER_E_ARGUMENT, "image: size is %dx%d, expected at least 1x1", im->width, im->height);
    if (im->width > MAX_SIDE || im->height > MAX_SIDE)
        return limber_fail(err, LIMBER_E_ARGUMENT, "image: size is %dx%d, a side may have %d pixels", im->width, im->height,
                           MAX_SIDE);
    if ((unsigned)im->format >= sizeof formats / sizeof *formats)
        return limber_fail(err, LIMBER_E_ARGUMENT, "image: format is %d, expected a limber_pixel_format: not started from {0}?",
                           (int)im->format);
    const size_t bytes = formats[im->format].bytes;
    if (im->stride / bytes < (size_t)im->width)
        return limber_fail(err, LIMBER_E_ARGUMENT, "image: stride is %zu bytes, a row of %d pixels of %s takes %zu", im->stride,
                           im->width, formats[im->format].name, bytes * (size_t)im->width);
    const size_t rows = (size_t)im->height + (im->format == LIMBER_NV12 && !im->chroma ? (size_t)im->height / 2 + 1 : 0);
    if (!in_address_space(im->pixels, im->stride, rows) || !in_address_space(im->chroma, im->chroma_stride, rows))
        return limber_fail(err, LIMBER_E_ARGUMENT, "image: %zu rows of %zu bytes reach beyond the address space", rows,
                           im->stride > im->chroma_stride ? im->stride : im->chroma_stride);
    limber_status st = LIMBER_CHECK_RESERVED(im, "image", "{0}", err);
    if (st || im->format == LIMBER_NV12)
        return st ? st : check_nv12(im, err);
    if (im->chroma || im->chroma_stride || im->matrix || im->full_range)
        return limber_fail(err, LIMBER_E_ARGUMENT, "image: %s is set, which only NV12 has, and the format is %s",
                           im->chroma          ? "chroma"
                           : im->chroma_stride ? "chroma_stride"
                           : im->matrix        ? "matrix"
                                               : "full_range",
                           formats[im->format].name);
    return LIMBER_OK;
}
