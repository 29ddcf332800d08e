/* SPDX-License-Identifier: MIT */
/* Bicubic resizing against torch 2.15's interpolate in double (align_corners=False) of src[r][c][ch] = (7r + 3c + 5ch) mod 11 - 5. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "model/resize.h"

static const struct {
    int h, w;
    double first[6], weighted_sum; /* sum of (i + 1) * value i over everything */
} cases[] = {
    {5, 2, {-4.874524414, 1.227430664, 0.517380859, -3.355880859, 1.383678711, -2.698873047}, 119.863796875},
    {8, 6, {-6.0546875, 0.10546875, -5.204849243, 1.423599243, -3.856735229, 3.708297729}, 2218.421539307},
};

static void source(float src[4 * 3 * 2])
{
    for (int r = 0; r < 4; r++)
        for (int c = 0; c < 3; c++)
            for (int ch = 0; ch < 2; ch++)
                src[(r * 3 + c) * 2 + ch] = (float)((r * 7 + c * 3 + ch * 5) % 11 - 5);
}

Test(resize, equals_torch)
{
    float src[24], dst[8 * 6 * 2];
    source(src);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double sum = 0;
        resize_bicubic(dst, cases[i].h, cases[i].w, src, 4, 3, 2);
        for (int k = 0; k < 6; k++)
            cr_expect(fabs(dst[k] - cases[i].first[k]) < 1e-6, "%dx%d [%d]: %.9f, torch %.9f", cases[i].h, cases[i].w, k, dst[k],
                      cases[i].first[k]);
        for (int k = 0; k < cases[i].h * cases[i].w * 2; k++)
            sum += (k + 1) * (double)dst[k];
        cr_expect(fabs(sum - cases[i].weighted_sum) < 1e-3, "%dx%d: %.6f, torch %.6f", cases[i].h, cases[i].w, sum,
                  cases[i].weighted_sum);
    }
}

Test(resize, same_size_copies_to_the_bit)
{
    float src[24], dst[24];
    source(src);
    src[5] = 0.1f;
    resize_bicubic(dst, 4, 3, src, 4, 3, 2);
    cr_expect_eq(memcmp(src, dst, sizeof src), 0);
}
