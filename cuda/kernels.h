/* SPDX-License-Identifier: MIT */
/* kernels.h - what the kernel files offer to plugin.cu: one launcher an operation. A launcher picks the instantiation, the grid and
 * the shared memory, checks the launch and returns CUDA's answer; it never waits. Pointers are the device's, strides (`ld`) count
 * elements from row to row and are multiples of 8, so that rows start at 16-byte boundaries. */
#ifndef LIMBER_CUDA_KERNELS_H
#define LIMBER_CUDA_KERNELS_H

#include "device.cuh"

enum element { ELEMENT_F32, ELEMENT_F16, ELEMENT_BF16 };
static inline size_t element_bytes(enum element e)
{
    return e == ELEMENT_F32 ? 4 : 2;
}

/* ---- attention.cu ---- */

struct attention_params {
    const void *qkv; /* [people][tokens][ld_qkv]: q | k | v, head h at columns h * head_dim of each */
    void *out;       /* [people][tokens][ld_out]: heads side by side */
    int people, tokens, heads, head_dim, ld_qkv, ld_out;
    float scale;
    int queries; /* of a block: 64 or 128, the same bytes; 0: as suits the device and the shape */
    /* statistics; stats NULL: none */
    float *stats;         /* [people][heads][tokens][4 + classes], as struct attention_stats says */
    const uint8_t *masks; /* [people][tokens]; NULL where classes is 0 */
    int classes, grid_w, include_self;
};
#define ATTENTION_MAX_HEAD_DIM 256
/* Loads the kernels and opts in to the shared memory that (type, head_dim) needs, so that the forward pass has nothing left to
 * ask for; launch itself would do the same. */
cudaError_t attention_launch(const attention_params &p, enum element type, cudaStream_t stream);

/* ---- layernorm.cu ---- */

cudaError_t layernorm_launch(void *y, enum element type, int ld_y, const float *x, int ld_x, const float *gain, const float *bias,
                             int rows, int dim, float eps, cudaStream_t stream);

/* ---- elementwise.cu ---- */

enum activate { ACTIVATE_GELU, ACTIVATE_RELU };
/* y = activation(x + bias) (+ residual), GELU in its erf form; x, y and residual may be the same; all of one type and stride. bias may be
 * NULL. */
cudaError_t activate_launch(void *y, const void *x, const float *bias, const void *residual, enum activate how, enum element type,
                            int rows, int cols, int ld, cudaStream_t stream);
/* x [people][tokens][ld] += positions [tokens][ld] */
cudaError_t add_launch(float *x, const float *positions, int people, int tokens, int cols, int ld, cudaStream_t stream);
/* Rows of one type and stride to another's, for buf_read, buf_write and packing. */
cudaError_t convert_launch(void *y, enum element y_type, int ld_y, const void *x, enum element x_type, int ld_x, int rows,
                           int cols, cudaStream_t stream);

/* ---- embed.cu ---- */

struct embed_params {
    const uint8_t *crops;   /* [people][crop_bytes], each [image_h][image_w][3] */
    const float *lut;       /* [3][256] */
    const float *bias;      /* [dim] */
    const float *positions; /* [before + grid_h * grid_w + after][ld_positions] */
    void *patches;          /* [people][grid_h * grid_w][ld_patches], column = (channel * patch_h + y) * patch_w + x */
    float *x; /* [people][tokens][ld_x]: receives position (+ bias for a patch), to which the linear layer then adds */
    size_t crop_bytes;
    int people, image_h, image_w, patch_h, patch_w, pad, before, grid_h, grid_w, after, dim, ld_positions, ld_patches, ld_x,
        mirrored;
};
cudaError_t embed_launch(const embed_params &p, enum element type, cudaStream_t stream);

/* ---- head.cu ---- */

/* products [people][grid_h * grid_w][ld]: column tap * keypoints + k, tap = ky * 3 + kx, before upsampling. */
cudaError_t simple_head_launch(float *heat, const float *products, int ld, const float *bias, int people, int grid_h, int grid_w,
                               int scale, int keypoints, cudaStream_t stream);

/* Feature maps as a transposed convolution leaves them: [4 = 2 py + px][people * h * w][ld], pixel (2 y + py, 2 x + px) of the
 * doubled map, bias and ReLU still to come. */
struct parity_maps {
    const void *v;
    const float *bias; /* [channels] */
    int h, w, channels, ld;
};
/* Gathers the 2x2 input pixels that each output parity of a transposed convolution reads:
 * out [4][people * h * w][4 * channels], columns (ty * 2 + tx) * channels + c. From plain rows [people * h * w][ld_in], or from
 * the parity maps of the convolution before (h, w and channels are then those of the doubled map). */
cudaError_t gather_rows_launch(void *out, const void *in, int ld_in, enum element type, int people, int h, int w, int channels,
                               cudaStream_t stream);
cudaError_t gather_maps_launch(void *out, const parity_maps &in, enum element type, int people, cudaStream_t stream);
/* heat [people][keypoints][2h * 2w] = conv [keypoints][channels] x relu(maps + bias) + bias_out */
cudaError_t classic_head_launch(float *heat, const parity_maps &in, const float *conv, const float *bias_out, enum element type,
                                int people, int keypoints, cudaStream_t stream);

/* ---- decode.cu ---- */

/* joints [people][keypoints][3]: x, y in heatmap pixels, score. mirrored and flip_pairs NULL: no averaging. */
cudaError_t decode_launch(float *joints, const float *heat, const float *mirrored, const int *flip_pairs, int people,
                          int keypoints, int map_h, int map_w, cudaStream_t stream);

#endif
