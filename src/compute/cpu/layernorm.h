/* SPDX-License-Identifier: MIT */
/* layernorm.h - y = (x - mean) / sqrt(var + eps) * gain + bias down the columns of a panel: 16 tokens at a time, no horizontal
 * sum. x crosses the cache three times (48 KB a panel of 768 columns); floor: 8 * dim * tokens bytes from L2.
 *
 * The first pass finds a mean m that fp32 has rounded; the second sums x - m and (x - m)^2, and what is left of the mean (d)
 * corrects both: y ~ (x - m) - d, var = E (x - m)^2 - d^2. Rows with a large common offset keep their digits that way. */
#include "compute/cpu/vmath.h"

static void layernorm_panel(const struct layernorm *l, int panel)
{
    const float *x = l->x + (size_t)panel * l->x_stride;
    uint32_t *y = (uint32_t *)l->y + (size_t)panel * l->y_stride;
    const int even = l->dim & ~1;
    const vf per = vf_set1(1.f / (float)l->dim);
    vf mean[VPL], rest[VPL], scale[VPL];
    for (int v = 0; v < VPL; v++) {
        const float *column = x + v * VW;
        vf s[4] = {vf_set1(0), vf_set1(0), vf_set1(0), vf_set1(0)}, q[4] = {vf_set1(0), vf_set1(0), vf_set1(0), vf_set1(0)};
        for (int c = 0; c < l->dim; c++)
            s[c & 3] = vf_add(s[c & 3], vf_load(column + (size_t)c * LANES));
        vf m = vf_mul(vf_add(vf_add(s[0], s[1]), vf_add(s[2], s[3])), per);
        s[0] = s[1] = s[2] = s[3] = vf_set1(0);
        for (int c = 0; c < l->dim; c++) {
            vf d = vf_sub(vf_load(column + (size_t)c * LANES), m);
            s[c & 3] = vf_add(s[c & 3], d);
            q[c & 3] = vf_fma(d, d, q[c & 3]);
        }
        vf d = vf_mul(vf_add(vf_add(s[0], s[1]), vf_add(s[2], s[3])), per);
        vf var = vf_sub(vf_mul(vf_add(vf_add(q[0], q[1]), vf_add(q[2], q[3])), per), vf_mul(d, d));
        mean[v] = m; /* m + d would be rounded away again */
        rest[v] = d;
        scale[v] = vf_div(vf_set1(1), vf_sqrt(vf_add(vf_max(vf_set1(0), var), vf_set1(l->eps))));
    }
    for (int c = 0; c < l->dim; c += 2) {
        vf a[VPL], b[VPL];
        UNROLL
        for (int v = 0; v < VPL; v++) {
            vf g = vf_mul(scale[v], vf_set1(l->gain[c]));
            vf e = vf_sub(vf_sub(vf_load(x + (size_t)c * LANES + v * VW), mean[v]), rest[v]);
            a[v] = vf_fma(e, g, vf_set1(l->bias[c]));
            b[v] = vf_set1(0);
            if (c < even) {
                g = vf_mul(scale[v], vf_set1(l->gain[c + 1]));
                vf f = vf_sub(vf_sub(vf_load(x + (size_t)(c + 1) * LANES + v * VW), mean[v]), rest[v]);
                b[v] = vf_fma(f, g, vf_set1(l->bias[c + 1]));
            }
        }
        if (l->kind == OUT_OPERAND) {
            operand_pair(y, c, a, b);
        } else {
            float *line = (float *)(void *)y + (size_t)c * LANES;
            UNROLL
            for (int v = 0; v < VPL; v++) {
                vf_store(line + v * VW, a[v]);
                vf_store(line + LANES + v * VW, b[v]);
            }
        }
    }
}

static void layernorm(const struct layernorm *l, int panel0, int panel1)
{
    for (int p = panel0; p < panel1; p++)
        layernorm_panel(l, p);
}
