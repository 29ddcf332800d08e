/* SPDX-License-Identifier: MIT */
/* heads/anywhere.h - what a head reads from anywhere: classes as keys, and every patch of the crop a query (limber_heads.h, "From
 * anywhere"). Limbs as heads/stats.h has them, and the two classes of boundaries, `outline` and `joints`. */
#ifndef LIMBER_ANYWHERE_H
#define LIMBER_ANYWHERE_H

#include "heads/chance.h"
#include "heads/stats.h"

struct anywhere {
    const struct heads_grid *grid;
    size_t heads, width;                    /* heads of all layers; numbers of a head */
    int heads_a_layer, classes, boundaries; /* boundaries: of the classes, the last so many */
    int mirror[LIMBER_HEADS_MAX_CLASSES];
    bool include_self;
    uint64_t seed;
    struct heads_stream stream;
    double *sum;    /* [heads][width]: over the people of the image so far */
    int64_t *count; /* [width] people */
    bool *present;  /* [width]: scratch */
    /* of the class and person at hand: */
    struct heads_keys *keys;      /* [2][tokens]: its rows; and those of a null */
    double *r_near, *r_mask_near; /* [tokens] */
    double *nulls;                /* [2][heads]: z under moved and swapped masks, added up */
};
/* shape: as of heads_stats_open, but with all classes; the grid is borrowed. */
limber_status anywhere_open(struct anywhere *a, const struct heads_shape *shape, int boundaries, const struct heads_grid *grid,
                            limber_error *err);
void anywhere_close(struct anywhere *a); /* fine on a half-opened or zeroed one */

/* columns, sums: as of heads_stats_person. */
void anywhere_person(struct anywhere *a, const struct heads_columns *columns, const float *const *sums);
void anywhere_image(struct anywhere *a, uint64_t image); /* the people since the last call were one image's */
void anywhere_forget(struct anywhere *a);
/* heads: [heads of all layers]; fills `any`. */
limber_status anywhere_summarise(const struct anywhere *a, limber_heads_head *heads, limber_error *err);

#endif
