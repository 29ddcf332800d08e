/* SPDX-License-Identifier: MIT */
/* pose/crop.h - a person's box becomes the network's input: padded, made 3:4, resampled to uint8. transformers'
 * VitPoseImageProcessor rule: float32 centre and scale, unbiased (UDP) warp, scipy's order-1 sampling, zero outside. */
#ifndef LIMBER_CROP_H
#define LIMBER_CROP_H

#include "limber.h"

/* Centre and size of the region of the image that fills the network's input. */
struct crop_region {
    float cx, cy;        /* centre, image pixels */
    float width, height; /* size in image pixels, padding of 1.25 included */
};
/* The warp from the image to the network's input: u = scale_x * x + offset_x, v = scale_y * y + offset_y. */
struct crop_warp {
    float scale_x, offset_x, scale_y, offset_y;
};
/* aspect = input width / input height; normalize_factor 200 as in the processor (it decides float32 rounding). */
struct crop_region crop_region_of_box(limber_box box, int input_h, int input_w, double normalize_factor);
struct crop_warp crop_warp_of_region(struct crop_region region, int input_h, int input_w);
/* dst: uint8 [input_h][input_w][3], RGB whatever the image's format, which pixels_check has seen. */
void crop_sample(uint8_t *dst, int input_h, int input_w, const limber_image *image, struct crop_region region);
/* A joint in heatmap pixels -> image pixels. */
limber_keypoint crop_to_image(limber_keypoint joint, int map_h, int map_w, struct crop_region region);
/* The box that a refinement pass uses: around the confident joints, padded; the old box where too few are confident. */
limber_box crop_refine(limber_box box, const limber_keypoint *joints, int count, const limber_image *image);

#endif
