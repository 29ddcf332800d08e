/* SPDX-License-Identifier: MIT */
/* heads/heads.h - what the command needs of src/heads/heads.c beyond the public calls: people already
 * found, and a picture of one attention row. */
#ifndef LIMBER_HEADS_H_INTERNAL
#define LIMBER_HEADS_H_INTERNAL

#include "heads/masks.h"
#include "pose/pipeline.h"

/* One person seen by one head: the crop, where its classes are, and where one query patch of the class looks. The row is computed
 * anew, in double, from q and k of that layer. */
struct heads_view {
    uint8_t *crop;  /* [image_h][image_w][3] */
    uint8_t *masks; /* [tokens] */
    struct heads_capsule capsules[HEADS_MAX_CAPSULES];
    int capsule_count;      /* 0 with label maps */
    int query;              /* the class's patch whose r_limb is the median of its patches' */
    double *row;            /* [tokens]: attention of that query; the own patch's included */
    double query_r, mean_r; /* r_limb of that row; atanh-mean over the class's rows */
};
limber_status heads_view_make(struct heads_view *out, limber_heads *heads, int layer, int head, int class,
                              const limber_image *image, const uint8_t *labels, limber_box box, const limber_keypoint *joints,
                              limber_error *err);
void heads_view_free(struct heads_view *view);

/* limber_heads_add with people that limber_run has found already. */
limber_status heads_add_people(limber_heads *heads, const limber_image *image, const limber_people *people, limber_error *err);

#endif
