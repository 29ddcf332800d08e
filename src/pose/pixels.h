/* SPDX-License-Identifier: MIT */
/* pose/pixels.h - a caller's picture in any limber_pixel_format, checked, and read as RGB where a crop looks. */
#ifndef LIMBER_PIXELS_H
#define LIMBER_PIXELS_H

#include "limber.h"

/* Everything of `image` but the pixels themselves: size, strides, format, and that nothing unknown is asked for. */
limber_status pixels_check(const limber_image *image, limber_error *err);

/* rgb: fp32 [n][3], each 0..255 and whole: the pixels of row y at these columns. Of a checked image, inside it. */
void pixels_pick(float *rgb, const limber_image *image, int y, const int *columns, int n);

#endif
