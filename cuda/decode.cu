/* SPDX-License-Identifier: MIT */
/* decode.cu - heatmaps to joints without leaving the device: what src/compute/joints.c does, step for step, one block a map.
 *
 *   1. arg-max, the first of equals; of a NaN, if there is one. With a mirrored pass, over 0.5 (map + mirror image of its pair's map)
 *   2. Gaussian blur (sigma 0.8, radius 5, half-sample mirror at the border), sums in double, each pass rounded to float: only the
 *      3x3 pixels about the maximum are wanted, so 3 x 13 sums down and 3 x 3 across
 *   3. L = ln(clip(blurred, 0.001, 50)), continued by its border
 *   4. one Newton step, in double
 * Floor: the maps are read once, 4 bytes a pixel: 32 people with 17 joints 6.7 MB, 3.3 us at 2039 GB/s (twice that with mirroring).
 * Against compute/joints.c: the same operations in the same order, but nvcc may fuse a multiplication and an addition, and logf is the
 * device's: a joint moves by some 1e-6 of a heatmap pixel. */
#include "kernels.h"
#include "tile_ops.cuh"

static const int DECODE_THREADS = 128, RADIUS = 5,
                 REACH = 2 * RADIUS + 3; /* pixels of an axis that three blurred ones depend on */

struct HeatMap {
    const float *v, *mirrored; /* mirrored NULL: none */
    int h, w;
    __device__ float at(int y, int x) const
    {
        const float a = v[(size_t)y * (size_t)w + (size_t)x];
        return mirrored ? 0.5f * (a + mirrored[(size_t)y * (size_t)w + (size_t)(w - 1 - x)]) : a;
    }
};

/* Half-sample mirror, as often as it takes: a map may be smaller than the radius. */
DEVICE int mirror_index(int i, int size)
{
    i %= 2 * size;
    if (i < 0)
        i += 2 * size;
    return i < size ? i : 2 * size - 1 - i;
}
DEVICE int clamp_index(int i, int size)
{
    return i < 0 ? 0 : i >= size ? size - 1 : i;
}

DEVICE double gaussian_weight(int distance)
{
    switch (distance) { /* exp(-t^2 / (2 0.8^2)) / sum, scipy's bits */
    case 0:
        return 0.49867459690039212;
    case 1:
        return 0.22830986712901116;
    case 2:
        return 0.021910232663691985;
    case 3:
        return 0.00044074172734079858;
    case 4:
        return 1.8583872683739022e-06;
    default:
        return 1.6424915562620243e-09;
    }
}
/* Blurred value at line[0], neighbours `step` apart; the centre first, then pairs from far to near, as scipy adds. */
DEVICE float blur_at(const float *line, int step)
{
    double sum = (double)line[0] * gaussian_weight(0);
    for (int t = RADIUS; t > 0; t--)
        sum += ((double)line[-t * step] + (double)line[t * step]) * gaussian_weight(t);
    return (float)sum;
}

struct Peak {
    float v;
    int at;
};
DEVICE bool better(Peak a, Peak b) /* NaN before everything, then the larger, then the earlier */
{
    const bool a_nan = a.v != a.v, b_nan = b.v != b.v;
    if (a_nan != b_nan)
        return a_nan;
    if (a_nan || a.v == b.v)
        return a.at < b.at;
    return a.v > b.v;
}

struct DecodeShared {
    Peak peak[DECODE_THREADS / 32];
    float source[REACH * REACH], down[3 * REACH], log_blur[9];
};

__global__ void __launch_bounds__(DECODE_THREADS) decode_joints(float *joints, const float *heat, const float *mirrored,
                                                                const int *flip_pairs, int keypoints, int map_h, int map_w)
{
    SHARED_BYTES(DecodeShared, s);
    const int tid = (int)threadIdx.x, k = (int)blockIdx.x, pixels = map_h * map_w;
    const size_t person_maps = (size_t)blockIdx.y * (size_t)keypoints;
    HeatMap map = {heat + (person_maps + (size_t)k) * (size_t)pixels, nullptr, map_h, map_w};
    if (mirrored)
        map.mirrored = mirrored + (person_maps + (size_t)flip_pairs[k]) * (size_t)pixels;

    Peak best = {-INFINITY, pixels};
    for (int i = tid; i < pixels; i += DECODE_THREADS) {
        const Peak p = {map.at(i / map_w, i % map_w), i};
        if (better(p, best))
            best = p;
    }
    for (int lanes = 16; lanes; lanes >>= 1) {
        const Peak other = {__shfl_xor_sync(0xffffffffu, best.v, lanes), __shfl_xor_sync(0xffffffffu, best.at, lanes)};
        if (better(other, best))
            best = other;
    }
    if (tid % 32 == 0)
        s->peak[tid / 32] = best;
    __syncthreads();
    for (int i = 0; i < DECODE_THREADS / 32; i++)
        if (better(s->peak[i], best))
            best = s->peak[i];

    float *const joint = joints + (person_maps + (size_t)k) * 3;
    if (!(best.v > 0.f)) { /* the whole block agrees */
        if (tid == 0) {
            joint[0] = joint[1] = -1.f;
            joint[2] = best.v;
        }
        return;
    }
    const int px = best.at % map_w, py = best.at / map_w;
    const int top = clamp_index(py - 1, map_h), left = clamp_index(px - 1, map_w); /* first blurred row and column */
    const int rows = clamp_index(py + 1, map_h) - top + 1, columns = clamp_index(px + 1, map_w) - left + 1;
    for (int i = tid; i < REACH * REACH; i += DECODE_THREADS)
        s->source[i] = map.at(mirror_index(top - RADIUS + i / REACH, map_h), mirror_index(left - RADIUS + i % REACH, map_w));
    __syncthreads();
    if (tid < 3 * REACH) {
        const int y = tid / REACH, x = tid % REACH;
        s->down[tid] = y < rows ? blur_at(&s->source[(y + RADIUS) * REACH + x], REACH) : 0.f;
    }
    __syncthreads();
    if (tid < 9) {
        const int y = tid / 3, x = tid % 3;
        const float v = y < rows && x < columns ? blur_at(&s->down[y * REACH + x + RADIUS], 1) : 1.f;
        s->log_blur[tid] = logf(fminf(fmaxf(v, 0.001f), 50.f));
    }
    __syncthreads();
    if (tid != 0)
        return;
    float L[3][3];
    for (int dy = -1; dy <= 1; dy++)
        for (int dx = -1; dx <= 1; dx++)
            L[1 + dy][1 + dx] = s->log_blur[(clamp_index(py + dy, map_h) - top) * 3 + clamp_index(px + dx, map_w) - left];
    const float dx = 0.5f * (L[1][2] - L[1][0]), dy = 0.5f * (L[2][1] - L[0][1]);
    const float dxx = L[1][2] - 2 * L[1][1] + L[1][0], dyy = L[2][1] - 2 * L[1][1] + L[0][1];
    const float dxy = 0.5f * (L[2][2] - L[1][2] - L[2][1] + L[1][1] + L[1][1] - L[1][0] - L[0][1] + L[0][0]);
    const double eps = 1.1920928955078125e-07; /* float's, so that a flat map has an inverse */
    const double hxx = (double)dxx + eps, hyy = (double)dyy + eps, hxy = (double)dxy, det = hxx * hyy - hxy * hxy;
    const double step_x = (hyy * (double)dx - hxy * (double)dy) / det, step_y = (hxx * (double)dy - hxy * (double)dx) / det;
    const bool finite = fabs(step_x) < (double)INFINITY && fabs(step_y) < (double)INFINITY;
    joint[0] = (float)(finite ? px - step_x : px);
    joint[1] = (float)(finite ? py - step_y : py);
    joint[2] = best.v;
}

cudaError_t decode_launch(float *joints, const float *heat, const float *mirrored, const int *flip_pairs, int people,
                          int keypoints, int map_h, int map_w, cudaStream_t stream)
{
    LAUNCH(decode_joints, dim3((unsigned)keypoints, (unsigned)people), dim3(DECODE_THREADS), sizeof(DecodeShared), stream, joints,
           heat, mirrored, flip_pairs, keypoints, map_h, map_w);
    return cudaGetLastError();
}
