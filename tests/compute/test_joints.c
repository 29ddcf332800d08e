/* SPDX-License-Identifier: MIT */
/* Heatmaps to joints: against the rule over the whole map, and at places where the answer is known beforehand.
 * tests/golden holds maps that transformers itself decoded. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "compute/joints.h"

#define H 64
#define W 48

static void gaussian_map(float *map, int h, int w, double cx, double cy, double sigma, double height)
{
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            map[y * w + x] = (float)(height * exp(-((x - cx) * (x - cx) + (y - cy) * (y - cy)) / (2 * sigma * sigma)));
}

/* ---- the whole map, step by step ---- */

/* Weights from their formula; the mirror by walking back and forth. */
static float *blurred_along(const float *in, int h, int w, int step_y, int step_x)
{
    double weight[11], total = 0;
    for (int t = -5; t <= 5; t++)
        total += weight[t + 5] = exp(-t * t / (2 * 0.8 * 0.8));
    float *out = malloc((size_t)(h * w) * sizeof *out);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            double sum = 0;
            for (int t = -5; t <= 5; t++) {
                int sy = y + t * step_y, sx = x + t * step_x;
                while (sy < 0 || sy >= h)
                    sy = sy < 0 ? -1 - sy : 2 * h - 1 - sy;
                while (sx < 0 || sx >= w)
                    sx = sx < 0 ? -1 - sx : 2 * w - 1 - sx;
                sum += weight[t + 5] / total * (double)in[sy * w + sx];
            }
            out[y * w + x] = (float)sum;
        }
    return out;
}

static void decode_whole_map(const float *map, int h, int w, double *x, double *y)
{
    float *down = blurred_along(map, h, w, 1, 0), *blurred = blurred_along(down, h, w, 0, 1);
    int best = 0;
    for (int i = 1; i < h * w; i++)
        if (map[i] > map[best])
            best = i;
    int px = best % w, py = best / w;
    float L[3][3];
    for (int dy = -1; dy <= 1; dy++)
        for (int dx = -1; dx <= 1; dx++) {
            int sy = (int)fmin(fmax(py + dy, 0), h - 1), sx = (int)fmin(fmax(px + dx, 0), w - 1);
            L[dy + 1][dx + 1] = logf(fminf(fmaxf(blurred[sy * w + sx], 0.001f), 50));
        }
    double gx = 0.5 * ((double)L[1][2] - (double)L[1][0]), gy = 0.5 * ((double)L[2][1] - (double)L[0][1]), eps = 1.1920929e-07;
    float dxx = L[1][2] - 2 * L[1][1] + L[1][0], dyy = L[2][1] - 2 * L[1][1] + L[0][1];
    float dxy = 0.5f * (L[2][2] - L[1][2] - L[2][1] + L[1][1] + L[1][1] - L[1][0] - L[0][1] + L[0][0]);
    double a = (double)dxx + eps, d = (double)dyy + eps, b = (double)dxy, det = a * d - b * b;
    *x = px - (d * gx - b * gy) / det;
    *y = py - (a * gy - b * gx) / det;
    free(down);
    free(blurred);
}

Test(joints, thirteen_pixels_around_the_maximum_say_what_the_whole_map_says)
{
    static const struct {
        int h, w;
    } sizes[] = {{H, W}, {28, 20}, {12, 8}, {7, 5}, {3, 3}, {2, 9}};
    uint32_t seed = 99;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int turn = 0; turn < 40; turn++) {
            int h = sizes[s].h, w = sizes[s].w;
            float map[H * W];
            seed = seed * 1664525u + 1013904223u;
            double cx = (seed >> 8 & 0xff) / 255.0 * w - 0.5, cy = (seed >> 16 & 0xff) / 255.0 * h - 0.5;
            gaussian_map(map, h, w, cx, cy, 1 + turn % 3, 0.9);
            for (int i = 0; i < h * w; i++) {
                seed = seed * 1664525u + 1013904223u;
                map[i] += (float)(seed >> 24) * 1e-4f;
            }
            double x, y;
            decode_whole_map(map, h, w, &x, &y);
            limber_keypoint j = joint_decode(map, h, w);
            double near = 1e-5 * (1 + fabs(x) + fabs(y));
            cr_expect(fabs((double)j.x - x) <= near && fabs((double)j.y - y) <= near,
                      "%dx%d turn %d: (%.7f, %.7f), expected (%.7f, %.7f)", h, w, turn, (double)j.x, (double)j.y, x, y);
        }
}

/* ---- known answers ---- */

/* The logarithm of a Gaussian is a parabola, blurred or not: away from the border the step lands on its centre. */
Test(joints, the_centre_of_a_gaussian_is_found)
{
    float map[H * W];
    for (int i = 0; i < 9; i++) {
        double cx = 20.05 + 0.11 * i, cy = 30.45 - 0.1 * i;
        gaussian_map(map, H, W, cx, cy, 2, 0.85);
        limber_keypoint j = joint_decode(map, H, W);
        cr_expect(fabs((double)j.x - cx) < 1e-4 && fabs((double)j.y - cy) < 1e-4, "(%.6f, %.6f), expected (%.6f, %.6f)",
                  (double)j.x, (double)j.y, cx, cy);
    }
}

Test(joints, the_score_is_the_raw_maximum)
{
    float map[H * W];
    gaussian_map(map, H, W, 10, 20, 2, 1.25);
    cr_expect_eq(joint_decode(map, H, W).score, 1.25f);
}

/* Beyond the border stands the border pixel again, so gradient and curvature there make a step of one half outwards. */
Test(joints, a_maximum_on_the_border_steps_half_a_pixel_out)
{
    float map[H * W];
    gaussian_map(map, H, W, 25, 70, 3, 0.9);
    limber_keypoint j = joint_decode(map, H, W);
    cr_expect_float_eq(j.x, 25, 1e-4);
    cr_expect_float_eq(j.y, 63.5, 1e-4, "%.6f", (double)j.y);
    gaussian_map(map, H, W, -4, 30, 3, 0.9);
    j = joint_decode(map, H, W);
    cr_expect_float_eq(j.x, -0.5, 1e-4, "%.6f", (double)j.x);
}

Test(joints, the_first_of_equal_maxima_is_taken)
{
    float map[H * W] = {0};
    map[40 * W + 30] = 0.7f;
    map[20 * W + 11] = 0.7f;
    limber_keypoint j = joint_decode(map, H, W);
    cr_expect(fabsf(j.x - 11) < 1e-3f && fabsf(j.y - 20) < 1e-3f, "(%f, %f)", (double)j.x, (double)j.y);
}

Test(joints, without_a_positive_value_there_is_no_place)
{
    float map[H * W];
    for (int i = 0; i < H * W; i++)
        map[i] = -0.5f + 0.0001f * (float)(i % 7);
    limber_keypoint j = joint_decode(map, H, W);
    cr_expect(j.x == -1 && j.y == -1 && j.score == map[6], "(%f, %f) %f", (double)j.x, (double)j.y, (double)j.score);
    memset(map, 0, sizeof map);
    j = joint_decode(map, H, W);
    cr_expect(j.x == -1 && j.y == -1 && j.score == 0);
}

Test(joints, a_faint_or_flat_map_takes_no_step)
{
    float map[H * W];
    for (int i = 0; i < H * W; i++)
        map[i] = i == 5 * W + 7 ? 0.0009f : 0.0004f; /* below 0.001, where the logarithm is clipped */
    limber_keypoint j = joint_decode(map, H, W);
    cr_expect(j.x == 7 && j.y == 5, "(%f, %f)", (double)j.x, (double)j.y);
    for (int i = 0; i < H * W; i++)
        map[i] = 0.3f;
    j = joint_decode(map, H, W);
    cr_expect(j.x == 0 && j.y == 0, "(%f, %f)", (double)j.x, (double)j.y);
}

Test(joints, a_map_of_one_pixel)
{
    float one = 0.4f;
    limber_keypoint j = joint_decode(&one, 1, 1);
    cr_expect(j.x == 0 && j.y == 0 && j.score == 0.4f);
}

/* A NaN somewhere in a map must not come out as a joint that looks sound. */
Test(joints, nan_is_passed_on)
{
    float map[H * W];
    for (int i = 0; i < 3; i++) {
        gaussian_map(map, H, W, 20, 30, 2, 0.9);
        map[(size_t[]){0, 30 * W + 20, H * W - 1}[i]] = NAN;
        cr_expect(isnan(joint_decode(map, H, W).score), "place %d", i);
    }
}

Test(joints, mirrored_maps_are_averaged)
{
    float a[2][3] = {{1, 2, 3}, {4, 5, 6}}, b[2][3] = {{10, 20, 30}, {40, 50, 60}}, out[2][3];
    joint_average_mirrored(out[0], a[0], b[0], 2, 3);
    static const float want[2][3] = {{15.5f, 11, 6.5f}, {32, 27.5f, 23}};
    cr_expect(!memcmp(out, want, sizeof out));
}
