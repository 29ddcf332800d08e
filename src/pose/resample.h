/* SPDX-License-Identifier: MIT */
/* pose/resample.h - a picture at another size, averaged where it shrinks: Pillow's Image.resize(BILINEAR), to the byte. */
#ifndef LIMBER_RESAMPLE_H
#define LIMBER_RESAMPLE_H

#include "limber.h"

/* dst: uint8 [height][width][3]. The triangle filter is as wide as a step of the picture, and each of its two passes rounds to 8 bits
 * (Pillow 13, src/libImaging/Resample.c). Of a checked image (pose/pixels.h), of any format. Fails for want
 * of memory alone. */
limber_status resample_bilinear(uint8_t *dst, int height, int width, const limber_image *image, limber_error *err);

#endif
