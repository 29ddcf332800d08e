/* SPDX-License-Identifier: MIT */
/* Pictures at another size against Pillow 13.0's resize(BILINEAR): CRC-32 (zlib's) of the result for byte i of the source =
 * (i * 2654435761 >> 13) mod 256, sizes that grow, shrink, do both, and stay. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "pose/resample.h"

static uint32_t crc32_of(const uint8_t *p, size_t n)
{
    uint32_t c = ~UINT32_C(0);
    for (size_t i = 0; i < n; i++) {
        c ^= p[i];
        for (int k = 0; k < 8; k++)
            c = c & 1 ? c >> 1 ^ UINT32_C(0xedb88320) : c >> 1;
    }
    return ~c;
}

static uint32_t resampled(int w, int h, int out_w, int out_h, size_t padding)
{
    size_t stride = 3 * (size_t)w + padding;
    uint8_t *src = malloc(stride * (size_t)h), *dst = malloc(3 * (size_t)out_w * (size_t)out_h);
    for (size_t y = 0, i = 0; y < (size_t)h; y++)
        for (size_t x = 0; x < stride; x++)
            src[y * stride + x] = x < 3 * (size_t)w ? (uint8_t)((uint32_t)(i++ * UINT32_C(2654435761)) >> 13) : 0xAA;
    limber_image image = {.pixels = src, .width = w, .height = h, .stride = stride};
    cr_assert_eq(resample_bilinear(dst, out_h, out_w, &image, NULL), LIMBER_OK);
    uint32_t c = crc32_of(dst, 3 * (size_t)out_w * (size_t)out_h);
    free(src);
    free(dst);
    return c;
}

Test(resample, as_pillow_does)
{
    static const struct {
        int w, h, out_w, out_h;
        uint32_t crc;
    } cases[] = {
        {640, 480, 320, 240, 0x68ad7533}, {37, 53, 64, 48, 0x87ff8a8f},     {53, 37, 64, 48, 0xfdfd96a5},
        {500, 333, 336, 224, 0xa7de0157}, {1, 50, 64, 1024, 0x98710d2d},    {1000, 1, 16, 64, 0x1960f6a1},
        {123, 77, 123, 77, 0xef7e1ca2},   {640, 360, 368, 208, 0x0a8e3986}, {7, 5, 3, 2, 0x733016f9},
        {100, 400, 120, 100, 0x699727e5}, {1, 1, 64, 64, 0xd2dc3ac4},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t padding = 0; padding < 8; padding += 5)
            cr_expect_eq(resampled(cases[i].w, cases[i].h, cases[i].out_w, cases[i].out_h, padding), cases[i].crc,
                         "%d x %d to %d x %d", cases[i].w, cases[i].h, cases[i].out_w, cases[i].out_h);
}
