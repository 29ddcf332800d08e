/* SPDX-License-Identifier: MIT */
/* embed.cu - crops of bytes to patches: normalise by table, cut into patches, mirror on request, all in one pass over the crop; and
 * the sum that the patches' linear layer will be added to: token = (bias + position) + weight * patch.
 *
 *   patches[person][token][(channel * patch_h + y) * patch_w + x] = lut[channel][crop[row][column][channel]], 0 outside of the crop
 *   x[person][token][o] = position[token][o] (+ bias[o] where the token is a patch)
 * A block owns one token of one person: its threads run over the patch (neighbouring threads over neighbouring columns of one
 * channel; the bytes of the other channels come out of L1), then over the row of x.
 * Floor: bytes of crops read + (size of T * patch + 2 * 4 * dim) * tokens; 32 people of ViT-B in f16: 52 MB, 26 us at 2039 GB/s. */
#include "kernels.h"
#include "tile_ops.cuh"

static const int EMBED_THREADS = 128;

template <class T> __global__ void __launch_bounds__(EMBED_THREADS) embed(embed_params p)
{
    const int token = (int)blockIdx.x, person = (int)blockIdx.y, patches = p.grid_h * p.grid_w, place = token - p.before;
    const int top = place / p.grid_w * p.patch_h - p.pad, left = place % p.grid_w * p.patch_w - p.pad;
    const uint8_t *const crop = p.crops + (size_t)person * p.crop_bytes;
    const bool is_patch = place >= 0 && place < patches;
    T *const patch = (T *)p.patches + ((size_t)person * (size_t)patches + (size_t)max(place, 0)) * (size_t)p.ld_patches;
    const int area = p.patch_h * p.patch_w;
    for (int i = (int)threadIdx.x; is_patch && i < 3 * area; i += EMBED_THREADS) {
        const int channel = i / area, y = top + i % area / p.patch_w, x = left + i % p.patch_w; /* patch_w divides area */
        float v = 0.f;
        if (y >= 0 && y < p.image_h && x >= 0 && x < p.image_w) {
            const int from = p.mirrored ? p.image_w - 1 - x : x;
            v = p.lut[channel * 256 + crop[((size_t)y * (size_t)p.image_w + (size_t)from) * 3 + (size_t)channel]];
        }
        store(patch + i, v);
    }
    const size_t row = (size_t)person * (size_t)(p.before + patches + p.after) + (size_t)token;
    for (int o = (int)threadIdx.x; o < p.dim; o += EMBED_THREADS) {
        const float position = p.positions[(size_t)token * (size_t)p.ld_positions + (size_t)o];
        p.x[row * (size_t)p.ld_x + (size_t)o] = is_patch ? p.bias[o] + position : position;
    }
}

cudaError_t embed_launch(const embed_params &p, enum element type, cudaStream_t stream)
{
    const dim3 grid((unsigned)(p.before + p.grid_h * p.grid_w + p.after), (unsigned)p.people), block(EMBED_THREADS);
    if (type == ELEMENT_F16)
        LAUNCH((embed<f16>), grid, block, 0, stream, p);
    else if (type == ELEMENT_BF16)
        LAUNCH((embed<bf16>), grid, block, 0, stream, p);
    else
        LAUNCH((embed<float>), grid, block, 0, stream, p);
    return cudaGetLastError();
}
