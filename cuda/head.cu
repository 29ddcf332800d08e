/* SPDX-License-Identifier: MIT */
/* head.cu - tokens to heatmaps, around the matrix products.
 *
 * Simple head: heat = conv3x3(upsample(relu(x))). Both are linear, and upsampling acts on places, the convolution's sum on channels:
 * so the product comes first, on the small grid, products = relu(x) W with a column for each of 9 taps x keypoints, and here each
 * output pixel adds 9 taps, each interpolated between 4 tokens:
 *     heat[k][Y][X] = bias[k] + sum over ky, kx of U(products[tap, k])(Y + ky - 1, X + kx - 1),  zero outside of the upsampled map
 * A thread owns an output pixel. Floor: 192 * 9 * 17 * 4 bytes in and 3072 * 17 * 4 out a person, 326 KB: 5 us for 32 at 2039 GB/s.
 *
 * Classic head: a transposed convolution (kernel 4, stride 2, padding 1) gives each of the 4 parities of output pixels a 2x2
 * neighbourhood of input pixels: with oy = 2 a + py, row tap ty = 0, 1 reads input row a + py - 1 + ty with kernel row
 * ky = 3 - py - 2 ty. So it is 4 matrix products of 4 channels-wide columns, batched. Here: the gathering of those columns, with bias,
 * ReLU and pixel shuffle of the convolution before it in the same pass, and the last 1x1 convolution.
 * Floor of a gather: 16 channels written and 1 read (or 4 of the maps) a pixel. */
#include "kernels.h"
#include "tile_ops.cuh"

static const int HEAD_THREADS = 128;

/* Bilinear interpolation along an axis of n tokens upsampled by `scale` (align_corners false): tokens i, j and the weight of j. */
DEVICE float upsample_axis(int o, int n, int scale, int &i, int &j)
{
    const float s = fmaxf(((float)o + 0.5f) / (float)scale - 0.5f, 0.f);
    i = (int)s;
    j = min(i + 1, n - 1);
    return s - (float)i;
}

__global__ void __launch_bounds__(HEAD_THREADS)
    simple_head(float *heat, const float *products, int ld, const float *bias, int grid_h, int grid_w, int scale, int keypoints)
{
    const int h = grid_h * scale, w = grid_w * scale, pixel = (int)blockIdx.x * HEAD_THREADS + (int)threadIdx.x;
    const int k = (int)blockIdx.y, person = (int)blockIdx.z;
    if (pixel >= h * w)
        return;
    const float *const z = products + (size_t)person * (size_t)(grid_h * grid_w) * (size_t)ld + k;
    float sum = bias[k];
    for (int ky = 0; ky < 3; ky++)
        for (int kx = 0; kx < 3; kx++) {
            const int y = pixel / w + ky - 1, x = pixel % w + kx - 1;
            if (y < 0 || y >= h || x < 0 || x >= w)
                continue;
            int y0, y1, x0, x1;
            const float wy = upsample_axis(y, grid_h, scale, y0, y1), wx = upsample_axis(x, grid_w, scale, x0, x1);
            const float *const tap = z + (ky * 3 + kx) * keypoints;
            const float a = tap[(size_t)(y0 * grid_w + x0) * (size_t)ld], b = tap[(size_t)(y0 * grid_w + x1) * (size_t)ld];
            const float c = tap[(size_t)(y1 * grid_w + x0) * (size_t)ld], d = tap[(size_t)(y1 * grid_w + x1) * (size_t)ld];
            const float top = a + (b - a) * wx, bottom = c + (d - c) * wx;
            sum += top + (bottom - top) * wy;
        }
    heat[((size_t)person * (size_t)keypoints + (size_t)k) * (size_t)(h * w) + (size_t)pixel] = sum;
}

cudaError_t simple_head_launch(float *heat, const float *products, int ld, const float *bias, int people, int grid_h, int grid_w,
                               int scale, int keypoints, cudaStream_t stream)
{
    const int pixels = grid_h * grid_w * scale * scale;
    LAUNCH(simple_head, dim3((unsigned)((pixels + HEAD_THREADS - 1) / HEAD_THREADS), (unsigned)keypoints, (unsigned)people),
           dim3(HEAD_THREADS), 0, stream, heat, products, ld, bias, grid_h, grid_w, scale, keypoints);
    return cudaGetLastError();
}

/* ---- classic ---- */

/* Where pixel (y, x) of the doubled map lies in parity maps, in rows. */
DEVICE size_t parity_row(const parity_maps &m, int people, int person, int y, int x)
{
    const int parity = (y & 1) * 2 + (x & 1);
    return ((size_t)parity * (size_t)people + (size_t)person) * (size_t)(m.h * m.w) + (size_t)((y >> 1) * m.w + (x >> 1));
}
template <class T> DEVICE float parity_value(const parity_maps &m, size_t row, int c)
{
    return fmaxf(to_float(((const T *)m.v)[row * (size_t)m.ld + (size_t)c]) + m.bias[c], 0.f);
}

/* A block owns the four input pixels of one output (parity, person, place): blockIdx.x the place, y the person, z the parity.
 * FROM_MAPS: the input is what another transposed convolution left, else plain rows. */
template <class T, bool FROM_MAPS>
__global__ void __launch_bounds__(HEAD_THREADS)
    gather(T *out, const T *rows, int ld_in, parity_maps maps, int people, int h, int w, int channels)
{
    const int place = (int)blockIdx.x, person = (int)blockIdx.y, py = (int)blockIdx.z >> 1, px = (int)blockIdx.z & 1;
    T *const to =
        out + (((size_t)blockIdx.z * (size_t)people + (size_t)person) * (size_t)(h * w) + (size_t)place) * (size_t)(4 * channels);
    for (int tap = 0; tap < 4; tap++) {
        const int y = place / w + py - 1 + (tap >> 1), x = place % w + px - 1 + (tap & 1);
        const bool there = y >= 0 && y < h && x >= 0 && x < w;
        const size_t row = !there      ? 0
                           : FROM_MAPS ? parity_row(maps, people, person, y, x)
                                       : (size_t)person * (size_t)(h * w) + (size_t)(y * w + x);
        for (int c = (int)threadIdx.x; c < channels; c += HEAD_THREADS) {
            float v = 0.f;
            if (there)
                v = FROM_MAPS ? parity_value<T>(maps, row, c) : to_float(rows[row * (size_t)ld_in + (size_t)c]);
            store(to + tap * channels + c, v);
        }
    }
}

template <class T, bool FROM_MAPS>
static cudaError_t gather_typed(void *out, const void *rows, int ld_in, const parity_maps &maps, int people, int h, int w,
                                int channels, cudaStream_t stream)
{
    LAUNCH((gather<T, FROM_MAPS>), dim3((unsigned)(h * w), (unsigned)people, 4), dim3(HEAD_THREADS), 0, stream, (T *)out,
           (const T *)rows, ld_in, maps, people, h, w, channels);
    return cudaGetLastError();
}
cudaError_t gather_rows_launch(void *out, const void *in, int ld_in, enum element type, int people, int h, int w, int channels,
                               cudaStream_t stream)
{
    const parity_maps none = {};
    return type == ELEMENT_F16    ? gather_typed<f16, false>(out, in, ld_in, none, people, h, w, channels, stream)
           : type == ELEMENT_BF16 ? gather_typed<bf16, false>(out, in, ld_in, none, people, h, w, channels, stream)
                                  : gather_typed<float, false>(out, in, ld_in, none, people, h, w, channels, stream);
}
cudaError_t gather_maps_launch(void *out, const parity_maps &in, enum element type, int people, cudaStream_t stream)
{
    return type == ELEMENT_F16 ? gather_typed<f16, true>(out, nullptr, 0, in, people, 2 * in.h, 2 * in.w, in.channels, stream)
           : type == ELEMENT_BF16
               ? gather_typed<bf16, true>(out, nullptr, 0, in, people, 2 * in.h, 2 * in.w, in.channels, stream)
               : gather_typed<float, true>(out, nullptr, 0, in, people, 2 * in.h, 2 * in.w, in.channels, stream);
}

/* heat[k][pixel] = bias_out[k] + sum_c conv[k][c] relu(maps[pixel][c] + bias[c]). A block owns 32 pixels, a lane one of them, a warp
 * every fourth keypoint; features pass through shared memory in slices of 32 channels, rows 33 floats apart so that the 32 lanes
 * read 32 banks. Keypoints beyond 20 take another round. */
static const int CLASSIC_PIXELS = 32, CLASSIC_SLICE = 32, CLASSIC_WARPS = 4, CLASSIC_EACH = 5;

template <class T>
__global__ void __launch_bounds__(32 * CLASSIC_WARPS)
    classic_head(float *heat, parity_maps maps, const float *conv, const float *bias_out, int people, int keypoints)
{
    SHARED_BYTES(float, features);
    const int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32, person = (int)blockIdx.y, w = 2 * maps.w,
              pixels = 4 * maps.h * maps.w;
    const int first = (int)blockIdx.x * CLASSIC_PIXELS, pixel = first + lane;
    for (int round = 0; round < keypoints; round += CLASSIC_WARPS * CLASSIC_EACH) {
        float sum[CLASSIC_EACH];
        const float *weight[CLASSIC_EACH]; /* past the last keypoint: the last once more, not written */
#pragma unroll
        for (int i = 0; i < CLASSIC_EACH; i++) {
            sum[i] = 0.f;
            weight[i] = conv + (size_t)min(round + i * CLASSIC_WARPS + warp, keypoints - 1) * (size_t)maps.channels;
        }
        for (int slice = 0; slice < maps.channels; slice += CLASSIC_SLICE) {
            __syncthreads(); /* everyone is done with the slice before */
            for (int r = warp; r < CLASSIC_PIXELS; r += CLASSIC_WARPS) {
                const int p = first + r, c = slice + lane;
                const bool there = p < pixels && c < maps.channels;
                features[r * (CLASSIC_SLICE + 1) + lane] =
                    there ? parity_value<T>(maps, parity_row(maps, people, person, p / w, p % w), c) : 0.f;
            }
            __syncthreads();
            const int width = min(CLASSIC_SLICE, maps.channels - slice);
            for (int c = 0; c < width; c++) {
                const float f = features[lane * (CLASSIC_SLICE + 1) + c];
#pragma unroll
                for (int i = 0; i < CLASSIC_EACH; i++)
                    sum[i] = fmaf(f, __ldg(weight[i] + slice + c), sum[i]);
            }
        }
#pragma unroll
        for (int i = 0; i < CLASSIC_EACH; i++) {
            const int k = round + i * CLASSIC_WARPS + warp;
            if (k < keypoints && pixel < pixels)
                heat[((size_t)person * (size_t)keypoints + (size_t)k) * (size_t)pixels + (size_t)pixel] = sum[i] + bias_out[k];
        }
    }
}

template <class T>
static cudaError_t classic_typed(float *heat, const parity_maps &in, const float *conv, const float *bias_out, int people,
                                 int keypoints, cudaStream_t stream)
{
    LAUNCH((classic_head<T>), dim3((unsigned)((4 * in.h * in.w + CLASSIC_PIXELS - 1) / CLASSIC_PIXELS), (unsigned)people),
           dim3(32 * CLASSIC_WARPS), CLASSIC_PIXELS * (CLASSIC_SLICE + 1) * sizeof(float), stream, heat, in, conv, bias_out,
           people, keypoints);
    return cudaGetLastError();
}
cudaError_t classic_head_launch(float *heat, const parity_maps &in, const float *conv, const float *bias_out, enum element type,
                                int people, int keypoints, cudaStream_t stream)
{
    return type == ELEMENT_F16    ? classic_typed<f16>(heat, in, conv, bias_out, people, keypoints, stream)
           : type == ELEMENT_BF16 ? classic_typed<bf16>(heat, in, conv, bias_out, people, keypoints, stream)
                                  : classic_typed<float>(heat, in, conv, bias_out, people, keypoints, stream);
}
