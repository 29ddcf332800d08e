/* SPDX-License-Identifier: MIT */
/* layernorm.cu - y = (x - mean) / sqrt(var + eps) * gain + bias over the last axis, var the biased one.   x [rows][dim] fp32
 *
 * A warp owns a row and a lane every 32nd group of four of its numbers. Up to dim 1280 (and a multiple of four) they stay in
 * registers: x crosses DRAM once, and the variance is the true two-pass one. Other widths read the row three times, the second and
 * third time from L1. The residual was added by the linear layer before (linear.h: C = D), so there is none to fuse here.
 * Floor: rows * dim * (4 read + size of T written) / bandwidth; 32 people of ViT-B in f16: 28 MB, 14 us at 2039 GB/s. */
#include "kernels.h"
#include "tile_ops.cuh"

static const int LAYERNORM_WARPS = 4;

DEVICE float warp_sum(float v)
{
#pragma unroll
    for (int lanes = 16; lanes; lanes >>= 1)
        v += __shfl_xor_sync(0xffffffffu, v, lanes);
    return v;
}

/* GROUPS: of four numbers a lane, 32 * 4 * GROUPS >= dim */
template <class T, int GROUPS>
__global__ void __launch_bounds__(32 * LAYERNORM_WARPS)
    layernorm_held(T *__restrict__ y, int ld_y, const float *__restrict__ x, int ld_x, const float *__restrict__ gain,
                   const float *__restrict__ bias, int rows, int dim, float eps)
{
    const int row = (int)blockIdx.x * LAYERNORM_WARPS + (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32;
    if (row >= rows)
        return; /* whole warps leave together: the shuffles below stay full */
    float4 v[GROUPS];
    float sum = 0.f, squares = 0.f;
#pragma unroll
    for (int i = 0; i < GROUPS; i++) {
        const int c = (i * 32 + lane) * 4;
        v[i] = c < dim ? load4(x + (size_t)row * (size_t)ld_x + c) : make_float4(0.f, 0.f, 0.f, 0.f);
        sum += (v[i].x + v[i].y) + (v[i].z + v[i].w);
    }
    const float mean = warp_sum(sum) / (float)dim;
#pragma unroll
    for (int i = 0; i < GROUPS; i++)
        if ((i * 32 + lane) * 4 < dim) {
            v[i] = make_float4(v[i].x - mean, v[i].y - mean, v[i].z - mean, v[i].w - mean);
            squares += (v[i].x * v[i].x + v[i].y * v[i].y) + (v[i].z * v[i].z + v[i].w * v[i].w);
        }
    const float scale = 1.f / sqrtf(warp_sum(squares) / (float)dim + eps);
#pragma unroll
    for (int i = 0; i < GROUPS; i++) {
        const int c = (i * 32 + lane) * 4;
        if (c < dim) {
            const float4 g = load4(gain + c), b = load4(bias + c);
            store4(y + (size_t)row * (size_t)ld_y + c,
                   make_float4(fmaf(v[i].x * scale, g.x, b.x), fmaf(v[i].y * scale, g.y, b.y), fmaf(v[i].z * scale, g.z, b.z),
                               fmaf(v[i].w * scale, g.w, b.w)));
        }
    }
}

template <class T>
__global__ void __launch_bounds__(32 * LAYERNORM_WARPS)
    layernorm_any(T *__restrict__ y, int ld_y, const float *__restrict__ x, int ld_x, const float *__restrict__ gain,
                  const float *__restrict__ bias, int rows, int dim, float eps)
{
    const int row = (int)blockIdx.x * LAYERNORM_WARPS + (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32;
    if (row >= rows)
        return;
    const float *const in = x + (size_t)row * (size_t)ld_x;
    float sum = 0.f, squares = 0.f;
    for (int c = lane; c < dim; c += 32)
        sum += in[c];
    const float mean = warp_sum(sum) / (float)dim;
    for (int c = lane; c < dim; c += 32)
        squares += (in[c] - mean) * (in[c] - mean);
    const float scale = 1.f / sqrtf(warp_sum(squares) / (float)dim + eps);
    for (int c = lane; c < dim; c += 32)
        store(y + (size_t)row * (size_t)ld_y + c, fmaf((in[c] - mean) * scale, gain[c], bias[c]));
}

template <class T>
static cudaError_t layernorm_typed(void *y, int ld_y, const float *x, int ld_x, const float *gain, const float *bias, int rows,
                                   int dim, float eps, cudaStream_t stream)
{
    const dim3 grid((unsigned)((rows + LAYERNORM_WARPS - 1) / LAYERNORM_WARPS)), block(32 * LAYERNORM_WARPS);
    const int groups = dim % 4 ? 99 : (dim + 127) / 128;
    T *const out = (T *)y;
    if (groups <= 3) /* 384 */
        LAUNCH((layernorm_held<T, 3>), grid, block, 0, stream, out, ld_y, x, ld_x, gain, bias, rows, dim, eps);
    else if (groups <= 6) /* 768 */
        LAUNCH((layernorm_held<T, 6>), grid, block, 0, stream, out, ld_y, x, ld_x, gain, bias, rows, dim, eps);
    else if (groups <= 10) /* 1024, 1280 */
        LAUNCH((layernorm_held<T, 10>), grid, block, 0, stream, out, ld_y, x, ld_x, gain, bias, rows, dim, eps);
    else
        LAUNCH((layernorm_any<T>), grid, block, 0, stream, out, ld_y, x, ld_x, gain, bias, rows, dim, eps);
    return cudaGetLastError();
}

cudaError_t layernorm_launch(void *y, enum element type, int ld_y, const float *x, int ld_x, const float *gain, const float *bias,
                             int rows, int dim, float eps, cudaStream_t stream)
{
    switch (type) {
    case ELEMENT_F16:
        return layernorm_typed<f16>(y, ld_y, x, ld_x, gain, bias, rows, dim, eps, stream);
    case ELEMENT_BF16:
        return layernorm_typed<bf16>(y, ld_y, x, ld_x, gain, bias, rows, dim, eps, stream);
    default:
        return layernorm_typed<float>(y, ld_y, x, ld_x, gain, bias, rows, dim, eps, stream);
    }
}
