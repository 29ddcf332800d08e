/* SPDX-License-Identifier: MIT */
/* image/overlay.h - people drawn onto their picture. */
#ifndef LIMBER_OVERLAY_H
#define LIMBER_OVERLAY_H

#include "image/image.h"
#include "limber.h"

/* What is drawn: dots for joints, lines for edges. */
struct overlay_style {
    int keypoint_count;
    const int (*edges)[2]; /* joints that a line connects; NULL: none */
    int edge_count;
    const int *flip_pairs; /* [keypoint_count]: the joint that mirrors this one, itself in the middle; NULL: all in the middle */
    const char *const
        *labels;       /* [keypoint_count]: "left..." or "L_..." tells which of a pair is left; NULL: the lower index is */
    const char *sides; /* [keypoint_count]: 'l' for the left one of a pair; NULL: the labels tell */
    float min_score;   /* joints below are left out, and lines that end in them */
    bool tracks;       /* bones and boxes in the colour of their person's track, where it has one */
    bool boxes;        /* thin lines around each person's box, and a number: the track's, or the place among the people, from 1 */
};

/* Draws all people onto `image`, in place; small ones last, so that they stay visible. The person's left is drawn in one colour,
 * the right in another, the middle in a third; width of lines and size of dots follow the person's size within bounds given by
 * the image's. Coordinates are those of a picture of image->width x image->height, whatever the size of its view (image_shrink).
 * Never fails, whatever they are. */
void overlay_draw(struct image *image, const limber_person *people, int count, const struct overlay_style *style);

#endif
