/* SPDX-License-Identifier: MIT */
/* heads/corrupt.h - a limb taken out of a crop: its place replaced by the blurred picture, here or elsewhere. */
#ifndef LIMBER_CORRUPT_H
#define LIMBER_CORRUPT_H

#include "heads/masks.h"

/* One crop, and room to corrupt it. Lengths in pixels are of a crop 256 high and scale with its height. */
struct corrupt {
    const struct config *config;
    float *blurred; /* [image_h][image_w][3]: the crop under a Gaussian of sigma 16 pixels */
    uint8_t *mask, *moved;
    float *weight, *scratch;
};
limber_status corrupt_open(struct corrupt *c, const struct config *config, limber_error *err);
void corrupt_close(struct corrupt *c); /* fine on a half-opened or zeroed one */

void corrupt_crop(struct corrupt *c, const uint8_t *crop); /* the crop that the calls below are about; once for all its limbs */
/* The pixels of a limb: its capsules (heads_capsules), at least 12 pixels thick each way. Returns how many: c->mask. */
int corrupt_mask(struct corrupt *c, const struct heads_capsule *capsules, int count, int class);
/* c->mask elsewhere, drawn by lot: at least 60 % of it inside the crop, at most 10 % of it on itself. false: no such place was found. */
bool corrupt_move(struct corrupt *c, uint64_t seed, uint64_t image, uint64_t person, uint64_t class);
/* out: the crop with the blurred picture under the mask (or c->moved), whose edge is feathered by a Gaussian of sigma 2 pixels. */
void corrupt_blur(struct corrupt *c, uint8_t *out, const uint8_t *crop, const uint8_t *mask);

#endif
