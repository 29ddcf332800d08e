/* SPDX-License-Identifier: MIT */
/* image/jpeg.h - 8-bit RGB to the bytes of a JPEG file. */
#ifndef LIMBER_JPEG_H
#define LIMBER_JPEG_H

#include <stddef.h>
#include <stdint.h>

#include "limber.h"

/* malloc'ed baseline JPEG of 8-bit RGB rows without gaps; quality 1..100. NULL where memory is short. */
uint8_t *jpeg_encode(const uint8_t *rgb, int width, int height, int quality, size_t *bytes);
/* The same by libjpeg-turbo, faster; only where the build has it. NULL also for a side of more than 65,500 pixels. */
uint8_t *jpeg_turbo_encode(const limber_image *image, int quality, size_t *bytes);

#endif
