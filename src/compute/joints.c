/* SPDX-License-Identifier: MIT */
/* One heatmap -> one joint, bit for bit where NumPy's own arithmetic is defined (its vectorised float32 logarithm may differ
 * from libm's in the last place; a joint moves by some 1e-6 of a heatmap pixel).
 *
 *   1. arg-max, the first of equals; its value is the score
 *   2. Gaussian blur: sigma 0.8, radius 5, along y then x, mirrored at the border (d c b a | a b c d | d c b a),
 *      sums in double, each pass rounded to float32
 *   3. L = ln(clip(blurred, 0.001, 50)), continued by its border pixel
 *   4. one Newton step to the maximum of the parabola through the 3x3 pixels about the arg-max: p -= H^-1 g
 *
 * Only those nine pixels of L are ever read, and they depend on the 13x13 pixels of the map about the maximum: the blur is taken
 * there and nowhere else, 3x13 and 3x3 sums in place of 6,144 for a map of 64x48, with the same result. */
#include "compute/joints.h"

#include <math.h>
#include <stdbool.h>

#define RADIUS 5
#define SPAN (2 * RADIUS + 3) /* pixels of one axis that the three blurred ones depend on */

/* exp(-t^2 / (2 * 0.8^2)) for t = 0..5, divided by the sum over -5..5; the bits are scipy's */
static const double gaussian[RADIUS + 1] = {0x1.fea48db421f69p-2,  0x1.d3941fa562bb1p-3,  0x1.66fa2d2f40706p-6,
                                            0x1.ce26b4e0eaa64p-12, 0x1.f2db66915bd90p-20, 0x1.c37c1171660bep-30};

/* Half-sample mirror, as often as it takes: a map may be smaller than the radius. */
static int mirrored(int i, int size)
{
    i %= 2 * size;
    if (i < 0)
        i += 2 * size;
    return i < size ? i : 2 * size - 1 - i;
}

static int inside(int i, int size)
{
    return i < 0 ? 0 : i >= size ? size - 1 : i;
}

/* Blurred value at line[0], whose neighbours are `step` apart. scipy adds the centre first, then pairs from far to near. */
static float blur_at(const float *line, int step)
{
    double sum = (double)line[0] * gaussian[0];
    for (int t = RADIUS; t > 0; t--)
        sum += ((double)line[-t * step] + (double)line[t * step]) * gaussian[t];
    return (float)sum;
}

/* L[1 + dy][1 + dx]: the logarithm of the blurred map around (px, py). */
static void log_blur_around(float L[3][3], const float *map, int map_h, int map_w, int px, int py)
{
    int top = inside(py - 1, map_h), left = inside(px - 1, map_w); /* first blurred row and column that is read */
    int rows = inside(py + 1, map_h) - top + 1, columns = inside(px + 1, map_w) - left + 1;
    float source[SPAN][SPAN], down[3][SPAN], blurred[3][3];
    for (int y = 0; y < rows + 2 * RADIUS; y++)
        for (int x = 0; x < columns + 2 * RADIUS; x++)
            source[y][x] =
                map[(size_t)mirrored(top - RADIUS + y, map_h) * (size_t)map_w + (size_t)mirrored(left - RADIUS + x, map_w)];
    for (int y = 0; y < rows; y++)
        for (int x = 0; x < columns + 2 * RADIUS; x++)
            down[y][x] = blur_at(&source[y + RADIUS][x], SPAN);
    for (int y = 0; y < rows; y++)
        for (int x = 0; x < columns; x++) {
            float v = blur_at(&down[y][x + RADIUS], 1);
            blurred[y][x] = logf(v < 0.001f ? 0.001f : v > 50 ? 50 : v);
        }
    for (int dy = -1; dy <= 1; dy++)
        for (int dx = -1; dx <= 1; dx++)
            L[1 + dy][1 + dx] = blurred[inside(py + dy, map_h) - top][inside(px + dx, map_w) - left];
}

/* Index of the first maximum; of a NaN, should the map hold one: that map's score must not look like a number. LANES maxima are
 * kept side by side because compilers may not reorder one, and do vectorise these. */
static size_t arg_max(const float *map, size_t n)
{
    enum { LANES = 16 };
    float top[LANES];
    int nan[LANES] = {0};
    for (int l = 0; l < LANES; l++)
        top[l] = -INFINITY;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++) {
            float v = map[i + (size_t)l];
            top[l] = v > top[l] ? v : top[l];
            nan[l] |= v != v;
        }
    for (; i < n; i++) {
        top[0] = map[i] > top[0] ? map[i] : top[0];
        nan[0] |= map[i] != map[i];
    }
    for (int l = 1; l < LANES; l++) {
        top[0] = top[l] > top[0] ? top[l] : top[0];
        nan[0] |= nan[l];
    }
    for (i = 0; i < n; i++)
        if (nan[0] ? map[i] != map[i] : map[i] == top[0])
            return i;
    return 0;
}

limber_keypoint joint_decode(const float *map, int map_h, int map_w)
{
    size_t best = arg_max(map, (size_t)map_h * (size_t)map_w);
    limber_keypoint joint = {-1, -1, map[best]};
    /* transformers takes its step from (-1, -1) over what lies beside this map in memory; there is nothing to step over here */
    if (!(joint.score > 0))
        return joint;
    int px = (int)(best % (size_t)map_w), py = (int)(best / (size_t)map_w);
    float L[3][3];
    log_blur_around(L, map, map_h, map_w, px, py);

    float dx = 0.5f * (L[1][2] - L[1][0]), dy = 0.5f * (L[2][1] - L[0][1]);
    float dxx = L[1][2] - 2 * L[1][1] + L[1][0], dyy = L[2][1] - 2 * L[1][1] + L[0][1];
    float dxy = 0.5f * (L[2][2] - L[1][2] - L[2][1] + L[1][1] + L[1][1] - L[1][0] - L[0][1] + L[0][0]);
    const double eps = 0x1p-23; /* float32's, added to the diagonal so that a flat map has an inverse */
    double hxx = (double)dxx + eps, hyy = (double)dyy + eps, hxy = (double)dxy, det = hxx * hyy - hxy * hxy;
    double step_x = (hyy * (double)dx - hxy * (double)dy) / det, step_y = (hxx * (double)dy - hxy * (double)dx) / det;
    bool finite = isfinite(step_x) && isfinite(step_y); /* a singular matrix is an exception in NumPy: stay on the pixel */
    joint.x = (float)(finite ? px - step_x : px);
    joint.y = (float)(finite ? py - step_y : py);
    return joint;
}

void joint_average_mirrored(float *out, const float *map, const float *other, int map_h, int map_w)
{
    for (int y = 0; y < map_h; y++) {
        const float *a = map + (size_t)y * (size_t)map_w, *b = other + (size_t)y * (size_t)map_w;
        float *o = out + (size_t)y * (size_t)map_w;
        for (int x = 0; x < map_w; x++)
            o[x] = 0.5f * (a[x] + b[map_w - 1 - x]);
    }
}
