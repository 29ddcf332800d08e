/* SPDX-License-Identifier: MIT */
/* pose/finder.h - who is in a photograph: one pass of a detector, for one thread at a time. A YOLOS goes its own way (pose/yolos.h);
 * limber's own kind (pose/box_maps.h):
 *
 *     photograph -> the grid of its aspect       pose/box_maps.c   box_maps_grid
 *                -> that many pixels             pose/resample.c   resample_bilinear
 *                -> five maps                    pose/vit.c        vit_maps
 *                -> boxes, best first            pose/box_maps.c   box_maps_read */
#ifndef LIMBER_FINDER_H
#define LIMBER_FINDER_H

#include "pose/box_maps.h"
#include "pose/detector.h"
#include "pose/yolos.h"

#define FINDER_PATCHES 300      /* of a pass, about: 320 x 240 pixels of a photograph of 4 : 3 */
#define FINDER_OVERLAP 0.6f     /* of two boxes that overlap more, one is the other again */
#define FINDER_BOXES_MAX 300    /* people in one photograph */
#define FINDER_LEAST_SIDE 0.01f /* pixels: less is no box once it is written with two decimals */
/* By default. Of limber's own kind the joints say whether somebody is there (pose/same.h); a YOLOS is sure by itself. */
#define FINDER_MIN_SCORE 0.1f
#define FINDER_MIN_SCORE_YOLOS 0.5f

struct finder {
    const struct limber_detector *detector;
    struct yolos yolos; /* a YOLOS; else: */
    struct vit vit;
    int patches;    /* as asked for; a grid may have a few more */
    uint8_t *input; /* of the largest grid */
    float *maps;
};

limber_status finder_open(struct finder *f, const struct limber_detector *detector, int threads, int patches, limber_error *err);
void finder_close(struct finder *f); /* fine on a zeroed one */

/* The people of one image, best first: boxes in its pixels and how sure the detector is. `boxes` is not NULL once somebody was looked
 * for, also where nobody is. */
struct found_people {
    limber_box *boxes; /* [count] */
    float *scores;     /* [count] */
    int count;
};
void found_people_free(struct found_people *f); /* leaves it all zero */
limber_status finder_people(struct finder *f, const limber_image *image, float least, int most, struct found_people *out,
                            limber_error *err);

/* At most `room` people scored at least `least` (0: the detector's default), best first. */
limber_status finder_find(struct finder *f, const limber_image *image, float least, limber_found *out, int room, int *count,
                          limber_error *err);

#endif
