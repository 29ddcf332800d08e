/* SPDX-License-Identifier: MIT */
#include "model/resize.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

/* Where output i of `to` reads in an axis of `from`: four clamped positions and their weights. */
static void taps(int i, int from, int to, int at[4], double weight[4])
{
    const double a = -0.75;
    double s = (i + 0.5) * from / to - 0.5, f = floor(s), t = s - f;
    for (int k = 0; k < 4; k++) {
        int p = (int)f - 1 + k;
        at[k] = p < 0 ? 0 : p >= from ? from - 1 : p;
        double x = fabs(t + 1 - k);
        weight[k] = x <= 1 ? ((a + 2) * x - (a + 3)) * x * x + 1 : ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
    }
}

void resize_bicubic(float *dst, int to_h, int to_w, const float *src, int from_h, int from_w, int channels)
{
    size_t n = (size_t)channels;
    if (to_h == from_h && to_w == from_w) {
        memcpy(dst, src, (size_t)to_h * (size_t)to_w * n * sizeof *dst);
        return;
    }
    for (int y = 0; y < to_h; y++)
        for (int x = 0; x < to_w; x++, dst += n) {
            int rows[4], columns[4];
            double wy[4], wx[4];
            taps(y, from_h, to_h, rows, wy);
            taps(x, from_w, to_w, columns, wx);
            for (size_t c = 0; c < n; c++) {
                double sum = 0;
                for (int i = 0; i < 4; i++)
                    for (int j = 0; j < 4; j++)
                        sum += wy[i] * wx[j] * src[((size_t)rows[i] * (size_t)from_w + (size_t)columns[j]) * n + c];
                dst[c] = (float)sum;
            }
        }
}
