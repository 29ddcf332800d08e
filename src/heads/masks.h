/* SPDX-License-Identifier: MIT */
/* heads/masks.h - which patches of a crop belong to which limb, or region; and the same masks elsewhere, for the null.
 *
 * A mask set is uint8 [tokens]: bit c of patch j is m_c(j). Patch coordinates: the centre of patch (row r, column c) is (c, r). */
#ifndef LIMBER_HEADS_MASKS_H
#define LIMBER_HEADS_MASKS_H

#include "pose/crop.h"
#include "heads/stats.h"
#include "model/config.h"

extern const char *const heads_limb_names[LIMBER_HEADS_LIMBS];
extern const int heads_limb_mirror[LIMBER_HEADS_LIMBS];

/* Pixels of the image to patch coordinates: (x - x0) * scale_x. */
struct heads_place {
    double x0, y0, scale_x, scale_y;
};
struct heads_place heads_place_of(const struct config *c, struct crop_region region);

/* The bones a limb is drawn from: capsules around the segments between joints that are both there. */
struct heads_capsule {
    int class;
    double ax, ay, bx, by, radius; /* patch coordinates */
};
#define HEADS_MAX_CAPSULES 32
/* joints: [17] in image pixels; box in image pixels. Returns how many. */
int heads_capsules(struct heads_capsule out[HEADS_MAX_CAPSULES], const limber_keypoint *joints, float min_score, limber_box box,
                   struct heads_place place);
void heads_mask_capsules(uint8_t *masks, const struct heads_grid *g, const struct heads_capsule *capsules, int count);
/* Bits HEADS_OUTLINE: patches that the edge of all capsules together cuts; HEADS_JOINTS: patches within 0.75 of an end of a capsule. */
#define HEADS_OUTLINE LIMBER_HEADS_LIMBS
#define HEADS_JOINTS (LIMBER_HEADS_LIMBS + 1)
#define HEADS_BOUNDARIES 2
extern const char *const heads_boundary_names[HEADS_BOUNDARIES];
void heads_mask_boundaries(uint8_t *masks, const struct heads_grid *g, const struct heads_capsule *capsules, int count);

/* labels: [height][width]; values 1..classes; 0 and 255 are none. The label under each patch's centre. */
void heads_mask_labels(uint8_t *masks, const struct heads_grid *g, const uint8_t *labels, int width, int height,
                       struct heads_place place);

/* Masks of people seen before, to be swapped in: a ring, so memory is constant. */
#define HEADS_DONORS 16
struct heads_donors {
    uint8_t *masks; /* [HEADS_DONORS][tokens] */
    int64_t image[HEADS_DONORS];
    int count, next;
};

/* Columns of one person: its own masks, `moves` shifted ones for each class that has two patches and not all, and, with moves above
 * 0, the masks of one donor.
 * out->masks must hold [copies_max][tokens]. own: [tokens]. */
void heads_columns_make(struct heads_columns *out, const struct heads_grid *g, int classes, const uint8_t *own, int moves,
                        const struct heads_donors *donors, uint64_t seed, int64_t image, int person);
int heads_copies_max(int classes, int moves);
void heads_donors_keep(struct heads_donors *d, const struct heads_grid *g, const uint8_t *own, int64_t image);

#endif
