/* SPDX-License-Identifier: MIT */
/* pose/vit.h - the network, written once: images in; joints (in heatmap pixels) or the heatmaps themselves out. */
#ifndef LIMBER_VIT_H
#define LIMBER_VIT_H

#include "model/model.h"

/* Sees an activation as it passes: "embed", per layer "qkv" and "block", then "norm" and "heatmap" (layer 0). Read it with
 * be->ops->buf_read. Only people [span.first, span.first + span.count) are valid in it. */
typedef void (*vit_tap_fn)(void *context, const char *where, int layer, struct exec *ex, const struct buf *b, struct span span);

/* Positions of one grid, resized once. The least recently used give way, so that those kept stay below VIT_POSITIONS_BYTES (but
 * those of the pass at hand are always kept). */
struct vit_positions {
    int grid_h, grid_w;
    struct buf **table; /* [1 + mid_positions]; NULL: nothing here */
    size_t bytes;
    uint64_t used;
};
#define VIT_POSITIONS 16
#define VIT_POSITIONS_BYTES ((size_t)64 << 20)

struct vit {
    const struct limber_model *model;
    struct exec *ex;
    int max_people, max_patches;
    bool flip;
    struct pass_shape shape; /* of the passes to come */
    struct buf *x, *y, *qkv, *mid, *heat, *heat_mirrored;
    struct
        vit_widths { /* [layers]: where a block keeps its heads and neurons: qkv, y and mid above, or buffers of its own width */
        struct buf *qkv, *y, *mid;
    } * widths;
    struct buf **narrow; /* those of other widths, [narrow_count] */
    int narrow_count;
    bool
        whole; /* compute all heads, those too that nothing is read of: y is then [tokens][hidden]. Taps and statistics do so anyway */
    struct vit_positions positions[VIT_POSITIONS];
    struct buf *const *position; /* of `shape`: the tables of one of them */
    uint64_t shapes;             /* how often one was chosen */
    limber_keypoint *joints; /* [max_people][keypoints]; decoding writes here, always to the same place: a recorded pass may */
    /* optional, set between forward passes */
    vit_tap_fn tap;
    void *tap_context;
    /* attention statistics: layer_stats[l] is what layer l gathers, or NULL; array of config.layers, or NULL */
    const struct attention_stats *const *layer_stats;
};

/* For images of the model's input size (config.image_h x image_w). */
limber_status vit_open(struct vit *v, const struct limber_model *model, int threads, int max_people, bool flip,
                       limber_error *err);
/* For images of any size that makes at most max_patches patches; memory is taken for the largest, and grows with max_patches. */
limber_status vit_open_any(struct vit *v, const struct limber_model *model, int threads, int max_people, int max_patches,
                           limber_error *err);
void vit_close(struct vit *v); /* fine on a half-opened or zeroed one */

/* The passes to come are over images of image_h x image_w pixels, multiples of the model's patch. */
limber_status vit_resize(struct vit *v, int image_h, int image_w, limber_error *err);

/* crops: uint8 [people][image_h][image_w][3]; joints: [people][keypoints], x and y in heatmap pixels. people <= max_people. */
limber_status vit_forward(struct vit *v, const uint8_t *crops, int people, limber_keypoint *joints, limber_error *err);

/* The heatmaps as they are: images uint8 [count][image_h][image_w][3] of any size the session was opened for, maps
 * [count][keypoints][grid_h * scale_factor][grid_w * scale_factor] with grid = image / patch. count <= max_people. */
limber_status vit_maps(struct vit *v, const uint8_t *images, int count, int image_h, int image_w, float *maps, limber_error *err);

/* One pass over `count` images of the size at hand, computed by fn(context) for one span of them or for several. `what`, 1 to 255, names
 * what fn does, for a backend that records passes and plays them. Then: the exec's finish; then buf_read, and finish again. */
limber_status vit_pass(struct vit *v, const uint8_t *images, int count, span_fn fn, void *context, int what, limber_error *err);

/* The steps of vit_forward between its upload and its finish, for whoever stops between two of them (heads/patch.c). A block is
 * attention, projection and mlp in a row. */
void vit_embed(struct vit *v, struct span span, bool mirrored);       /* the uploaded crops -> x */
void vit_attention(struct vit *v, int layer, struct span span);       /* x -> y: what the heads say, side by side */
void vit_projection(struct vit *v, int layer, struct span span);      /* x += projection(y) */
void vit_mlp(struct vit *v, int layer, struct span span);             /* x += mlp(x); y is lost */
void vit_heatmaps(struct vit *v, struct span span, struct buf *heat); /* x -> heat; y is lost */

#endif
