/* SPDX-License-Identifier: MIT */
/* compute/backend.h - what a backend must be able to do: hold weights, hold activations, and a dozen coarse operations.
 *
 * The network (pose/vit.c) is written once over this table. `ref` (compute/ref.c) is the definition of every operation: plain loops,
 * double sums. `cpu` (cpu/) and `cuda` (../cuda, a plugin) are held against it by tests/compute/test_ops.c.
 *
 * Three kinds of object, three lifetimes:
 *   struct backend   a way to compute at one precision, and the factory of packed weights. Immutable once the model is open, so
 *                    threads share it.
 *   struct exec      one session's threads, stream, scratch and staging memory. One caller at a time.
 *   struct buf       activations of one session, in whatever layout and type the backend likes; only buf_read and buf_write
 *                    see plain floats.
 * Weight descriptions are plain fp32 arrays borrowed for the pack call. Everything fallible happens at open; operations return
 * nothing, and a device's error is kept by its exec and comes out of `finish`. */
#ifndef LIMBER_BACKEND_H
#define LIMBER_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "limber.h"

/* INT8: the linear layers of the blocks multiply 8-bit integers (weights by output column, activations by token), all else is BF16 or
 * FP32, whichever the backend is faster in. Never chosen by "auto". */
enum precision { PRECISION_FP32, PRECISION_BF16, PRECISION_FP16, PRECISION_INT8 };

struct backend; /* each backend embeds `struct backend base` as its first member */
struct exec;    /* likewise `struct exec base` */
struct weight;  /* opaque to all but its backend */

/* ---- activations ---- */

enum buf_kind {
    BUF_STREAM,  /* the residual stream x: at least fp32 */
    BUF_OPERAND, /* what a linear layer reads (and attention and layernorm write): the backend's packed operand layout */
    BUF_QKV,     /* what attention reads: cols = 3 * heads * head_dim, q | k | v, head h at columns h * head_dim of each */
    BUF_HEATMAP, /* fp32 [people][cols = keypoints][tokens = height * width]: note that a map is contiguous */
};

/* Rows are people x tokens, one row `cols` numbers. A backend embeds this as the first member of its own buffer. */
struct buf {
    enum buf_kind kind;
    int people, tokens, cols;
};

/* The people [first, first + count) of the batch. `lane` belongs to the backend: NULL outside of `split`. */
struct span {
    int first, count;
    void *lane;
};

/* ---- one pass ---- */

/* The images of one pass, all of one size, and the tokens that they become: first `before` others (a class token), then the patches
 * row by row, then `after` others (detection tokens). Belongs to a pass, not to a model: one set of packed weights computes any. */
struct pass_shape {
    int image_h, image_w, grid_h, grid_w; /* pixels and patches; what the patches do not reach of the image is not read */
    int pad;                              /* patch (r, c) reads rows r * patch_h - pad and on, columns c * patch_w - pad and on */
    int before, after;
};
static inline int shape_patches(const struct pass_shape *s)
{
    return s->grid_h * s->grid_w;
}
static inline int shape_tokens(const struct pass_shape *s)
{
    return s->before + shape_patches(s) + s->after;
}
static inline size_t shape_image_bytes(const struct pass_shape *s)
{
    return (size_t)s->image_h * (size_t)s->image_w * 3;
}

/* ---- weights as they are described to a backend: plain fp32, row-major, borrowed for the call ---- */

/* Image to tokens. A crop is uint8 [image_h][image_w][3]; pixel value v of channel c counts as lut[c][v] (rescale and normalise
 * in one table), outside the crop it is 0. With the positions of the pass, a row for each of its tokens:
 *   patch (r, c):  token[before + r * grid_w + c][o] = bias[o] + sum weight[o][ch][y][x] * value + position[that token][o]
 *   the others:    token[t][o] = position[t][o]
 * Mirrored: the crop is read from right to left. */
struct embed_desc {
    int patch_h, patch_w, dim;
    const float (*lut)[256]; /* [3][256] */
    const float *weight;     /* [dim][3][patch_h][patch_w] */
    const float *bias;       /* [dim] */
};

/* y = (x - mean) / sqrt(var + eps) * gain + bias over the last axis, var the biased one. */
struct layernorm_desc {
    int dim;
    float eps;
    const float *gain, *bias; /* [dim] */
};

/* y[o] = bias[o] + sum_i weight[o][i] x[i] */
struct linear_desc {
    int in, out;
    const float *weight; /* [out][in] */
    const float *bias;   /* [out]; NULL: zero */
    bool outside;        /* of no block: precision INT8 computes it as it does all else */
};

/* Heatmaps by ReLU, bilinear upsampling (align_corners false) by `scale`, convolution 3x3 with zero padding 1. */
struct simple_head_desc {
    int dim, keypoints, scale;
    const float *weight; /* [keypoints][dim][3][3] */
    const float *bias;   /* [keypoints] */
};

/* Heatmaps by two transposed convolutions (kernel 4, stride 2, padding 1; batch norm folded in, ReLU after each) and a 1x1
 * convolution: [dim][grid] -> [mid][2 grid] -> [mid][4 grid] -> [keypoints][4 grid].
 * Transposed convolution: out[o][oy][ox] = bias[o] + sum over i, ky, kx, iy, ix with oy = 2 iy - 1 + ky and ox = 2 ix - 1 + kx
 * of in[i][iy][ix] * weight[i][o][ky][kx]. */
struct classic_head_desc {
    int dim, mid, keypoints;
    const float *deconv1, *bias1; /* [dim][mid][4][4], [mid] */
    const float *deconv2, *bias2; /* [mid][mid][4][4], [mid] */
    const float *conv, *bias;     /* [keypoints][mid], [keypoints] */
};

enum activation { ACT_NONE, ACT_GELU_ERF, ACT_RELU };

/* ---- attention ---- */

/* Per-row sums over the keys, gathered while the fused attention streams over them (include/limber_heads.h says what they are
 * for). With p_ij the softmax row of query i, d_ij the Euclidean distance of the patch centres in patches, and j running over
 * all keys of the person (the query's own left out unless include_self):
 *   out[person][head][i][0] = sum p_ij      [1] = sum p_ij^2    [2] = sum p_ij d_ij    [3] = sum p_ij ln p_ij   (0 where p = 0)
 *   out[person][head][i][4 + c] = sum of p_ij over the j with bit c set in masks[person][j],   c < classes
 * `person` counts from the first of the whole batch, not of the span. */
struct attention_stats {
    int classes;          /* 0..8 */
    const uint8_t *masks; /* [people][tokens] */
    bool include_self;
    float *out; /* [people][heads][tokens][4 + classes] */
};
#define ATTENTION_STATS_MAX_CLASSES 8

enum attention_kind { ATTENTION_EXACT, ATTENTION_WINDOW, ATTENTION_MERGE, ATTENTION_POOL };

/* out_i = sum_j softmax_j(q_i . k_j / sqrt(head_dim)) v_j for every person and head; heads side by side in a row of out. */
struct attention_args {
    int heads, head_dim, grid_h, grid_w; /* tokens = grid_h * grid_w, row-major */
    enum attention_kind kind;
    int size;  /* window edge in patches, tokens merged per layer, or pooling factor; unused by ATTENTION_EXACT */
    int shift; /* ATTENTION_WINDOW: windows are moved by this many patches (cyclic, masked) */
    const struct attention_stats *stats; /* NULL: none wanted, and nothing is slower for it */
};

/* ---- joints ---- */

/* Heatmaps to joints (reference: the DARK decoding of compute/joints.h). With `mirrored`, map k counts as the mean of heat[k] and the
 * left-right mirrored map flip_pairs[k] of `mirrored`. Joints are written in heatmap pixels. */
struct decode_args {
    int map_h, map_w;
    const int *flip_pairs;   /* [keypoints]; needed where mirrored is not NULL */
    limber_keypoint *joints; /* [people of the batch][keypoints], valid after finish; the same address in every pass */
};

/* ---- the table ---- */

/* Runs a part of the network over some people of the batch. */
typedef void (*span_fn)(void *context, struct exec *ex, struct span span);

struct backend_ops {
    const char *name; /* "ref", "cpu", "cuda" */

    /* shared, immutable after packing */
    void (*close)(struct backend *be);
    limber_status (*embed_pack)(struct backend *be, struct weight **out, const struct embed_desc *d, limber_error *err);
    limber_status (*layernorm_pack)(struct backend *be, struct weight **out, const struct layernorm_desc *d, limber_error *err);
    limber_status (*linear_pack)(struct backend *be, struct weight **out, const struct linear_desc *d, limber_error *err);
    limber_status (*simple_head_pack)(struct backend *be, struct weight **out, const struct simple_head_desc *d,
                                      limber_error *err);
    limber_status (*classic_head_pack)(struct backend *be, struct weight **out, const struct classic_head_desc *d,
                                       limber_error *err);
    void (*weight_free)(struct backend *be, struct weight *w); /* NULL is fine */
    /* LIMBER_OK where this geometry can be computed: called once when a model opens, so that nothing refuses later. */
    limber_status (*attention_check)(struct backend *be, const struct attention_args *a, limber_error *err);
    int (*preferred_batch)(struct backend *be, int threads, const struct pass_shape *shape);

    /* one session */
    /* `largest`: no pass of the session has more patches, pixels or other tokens. NULL: none embeds an image or runs a head. */
    limber_status (*exec_open)(struct backend *be, struct exec **out, int threads, int max_people,
                               const struct pass_shape *largest, limber_error *err);
    void (*exec_close)(struct exec *ex); /* after its buffers */
    limber_status (*buf_open)(struct exec *ex, struct buf **out, enum buf_kind kind, int people, int tokens, int cols,
                              limber_error *err);
    void (*buf_close)(struct exec *ex, struct buf *b); /* NULL is fine */
    /* From here on `tokens` a person, at most as many as it was opened with. What it held is lost. */
    void (*buf_resize)(struct exec *ex, struct buf *b, int tokens);
    /* Plain fp32 [count][tokens][cols] ([count][cols][tokens] for BUF_HEATMAP). Reading waits for what was asked before. */
    void (*buf_read)(struct exec *ex, const struct buf *b, struct span span, float *dst);
    void (*buf_write)(struct exec *ex, struct buf *b, struct span span, const float *src);

    /* a forward pass: upload, replay (or split and the operations), finish */
    void (*upload)(struct exec *ex, const uint8_t *crops, int people, size_t crop_bytes); /* borrowed until finish */
    /* A backend that has recorded this sequence of operations (same people, same variant: the caller's name for operations, shapes
     * and buffers) plays it and returns true; else it returns false and the operations follow. variant 0 is never recorded. */
    bool (*replay)(struct exec *ex, int people, uint64_t variant);
    /* Calls fn over all people: once with everything (operations then share the threads), or with several spans at once, each
     * on its own lane. The result must not depend on which. */
    void (*split)(struct exec *ex, int people, span_fn fn, void *context);
    limber_status (*finish)(struct exec *ex, limber_error *err); /* waits; the first error since upload, if any */

    /* operations; every buf is the whole batch's, the span says which people of it */
    /* positions: a BUF_STREAM of one person and as many tokens as x */
    void (*embed)(struct exec *ex, struct span span, struct buf *x, const struct weight *w, const struct buf *positions,
                  const struct pass_shape *shape, bool mirrored);
    void (*layernorm)(struct exec *ex, struct span span, struct buf *y, const struct buf *x, const struct weight *w);
    /* y = act(x W^T + b) (+ residual, which may be y itself) */
    void (*linear)(struct exec *ex, struct span span, struct buf *y, const struct buf *x, const struct weight *w,
                   enum activation act, const struct buf *residual);
    void (*attention)(struct exec *ex, struct span span, struct buf *y, const struct buf *qkv, const struct attention_args *a);
    /* x += positions, a BUF_STREAM of one person and as many tokens as x */
    void (*add)(struct exec *ex, struct span span, struct buf *x, const struct buf *positions);
    /* y = tokens [first, first + y->tokens) of x; both BUF_STREAM */
    void (*rows)(struct exec *ex, struct span span, struct buf *y, const struct buf *x, int first);
    void (*head)(struct exec *ex, struct span span, struct buf *heat, const struct buf *x, const struct weight *w,
                 const struct pass_shape *shape); /* of patches alone: before and after are 0 */
    void (*decode)(struct exec *ex, struct span span, const struct buf *heat, const struct buf *mirrored,
                   const struct decode_args *a);
};

struct backend {
    const struct backend_ops *ops;
    enum precision precision;
};
struct exec {
    const struct backend_ops *ops;
};

/* The plugin's single exported symbol, limber_cuda_plugin, has this type; `abi` is BACKEND_ABI of the caller. */
#define BACKEND_ABI 4
typedef limber_status (*backend_plugin_open_fn)(int abi, struct backend **out, enum precision precision, limber_error *err);

#endif
