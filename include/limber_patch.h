/* SPDX-License-Identifier: MIT */
/* limber_patch.h - what an attention head causes: its output replaced by that of another run, and the network run on from there.
 *
 *     limber_patch_open(&p, session, NULL, &err);
 *     limber_patch_capture(p, 0, &image, box, &err);           the person as it is
 *     limber_patch_capture(p, 1, &blurred, box, &err);         the same person with a limb blurred
 *     limber_patch_run(p, 1, 0, heads, 0, joints, heat, &err); the blurred run with some heads' outputs of the clear one
 *     limber_patch_close(&p);
 *
 * z[l][h], [tokens][head_dim], is the output of head h of layer l before the projection; x_l is what enters block l. A patched run
 * P(base, source, S) is the base run, but with z[l][h] of the source for every (l, h) in S; what comes after sees the change.
 * Clear heads in a corrupted base ("denoising") ask whether a head suffices, corrupted heads in a clear base ("noising") whether it
 * is needed (Meng et al., NeurIPS 2022; Zhang and Nanda, ICLR 2024). The direct effect keeps all other blocks as they were:
 *     x_last := x_last(base) + sum over S of projection[:, h] (z_source - z_base),
 * and only the final norm and the keypoint head see it. Total less direct is what later blocks make of it: mediated.
 *
 * `limber patch` is built on this; heads and layers count from 0. Everything is deterministic: neither the session's threads nor its
 * batch change a bit. */
#ifndef LIMBER_PATCH_H
#define LIMBER_PATCH_H

#include "limber.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct limber_patch limber_patch;

typedef struct {
    int slots;       /* runs that can be kept side by side, 1..65536 [4] */
    int reserved[7]; /* zero */
} limber_patch_options;
LIMBER_API limber_patch_options limber_patch_options_default(void);

/* options NULL: the defaults. The session stays the caller's, must outlive *out, and may be used for limber_run in between. It must not
 * flip. Memory: 4 * (3 * layers + 1) * tokens * hidden bytes a slot, and as much again for the means. */
LIMBER_API limber_status limber_patch_open(limber_patch **out, limber_session *session, const limber_patch_options *options,
                                           limber_error *err);
LIMBER_API void limber_patch_close(limber_patch **patch); /* NULL and *NULL are fine */

/* Runs one person and keeps x and z of every layer in `slot`, replacing what it held. On failure the slot is empty. */
LIMBER_API limber_status limber_patch_capture(limber_patch *patch, int slot, const limber_image *image, limber_box box,
                                              limber_error *err);
/* The same with the network's input as it is: uint8 [input height][input width][3]; joints are then in its pixels. */
LIMBER_API limber_status limber_patch_capture_crop(limber_patch *patch, int slot, const uint8_t *crop, limber_error *err);

/* Counts the slot's z in the mean that LIMBER_PATCH_MEAN and LIMBER_PATCH_CONST stand for. */
LIMBER_API limber_status limber_patch_mean(limber_patch *patch, int slot, limber_error *err);

/* Instead of a slot, as the source */
#define LIMBER_PATCH_ZERO (-1)  /* z = 0 */
#define LIMBER_PATCH_MEAN (-2)  /* z = its mean over the people counted, at each token */
#define LIMBER_PATCH_CONST (-3) /* z = its mean over the people counted and over tokens: a constant, which a bias could hold */
#define LIMBER_PATCH_PATH (-4)  /* z = what limber_patch_path found for this base */

/* Flags of limber_patch_run */
#define LIMBER_PATCH_DIRECT 1 /* the direct effect alone */
#define LIMBER_PATCH_INPUT 2  /* x_0 too comes from the source, which must be a slot */

/* The patched run. heads: [layers * heads], nonzero where the source's output stands in; NULL: none, the base run as it was.
 * joints: [keypoints] in pixels of the base's image, with heatmap maxima as scores; heat: [keypoints][map height][map width]; either
 * may be NULL. */
LIMBER_API limber_status limber_patch_run(limber_patch *patch, int base, int source, const uint8_t *heads, int flags,
                                          limber_keypoint *joints, float *heat, limber_error *err);

/* One head patched: what limber_patch_each shows of it. Arrays as of limber_patch_run, the library's, valid during the call. */
typedef struct {
    int layer, head;
    const limber_keypoint *joints, *direct_joints; /* direct_...: NULL where it was not asked for */
    const float *heat, *direct_heat;
} limber_patch_effect;
typedef void (*limber_patch_visit_fn)(void *context, const limber_patch_effect *effect);

/* Every head in turn, or those with heads[layer * heads + head] nonzero, each patched alone, in the order of layers and heads; direct:
 * the direct effect too. Costs a half of as many runs, since each starts at its own layer. */
LIMBER_API limber_status limber_patch_each(limber_patch *patch, int base, int source, const uint8_t *heads, int direct,
                                           limber_patch_visit_fn visit, void *context, limber_error *err);

/* Path patching (Wang et al., ICLR 2023; Goldowsky-Dill et al., 2023): what every head of `base` would say if of all that it reads only
 * the direct part of `senders` had changed,
 *     x_l := x_l(base) + sum over senders below layer l of projection[:, h] (z_source - z_base),
 * all other blocks held as they were. limber_patch_run and limber_patch_each with the source LIMBER_PATCH_PATH then put it in place of the
 * receivers, from where on the run goes on as ever (with LIMBER_PATCH_DIRECT: to the final norm alone). source: as of limber_patch_run, but
 * not LIMBER_PATCH_PATH. senders: [layers * heads]. It holds until the base's slot is captured again, or the next call. Costs a pass. */
LIMBER_API limber_status limber_patch_path(limber_patch *patch, int base, int source, const uint8_t *senders, limber_error *err);

/* Sizes of the arrays above, of the session's model. */
LIMBER_API void limber_patch_sizes(const limber_patch *patch, int *layers, int *heads, int *keypoints, int *map_height,
                                   int *map_width);

#ifdef __cplusplus
}
#endif
#endif
