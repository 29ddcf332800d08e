/* SPDX-License-Identifier: MIT */
/* image/jpeg.h - small photographs for pages. */
#ifndef LIMBER_JPEG_H
#define LIMBER_JPEG_H

#include <stddef.h>
#include <stdint.h>

/* malloc'ed baseline JPEG of 8-bit RGB rows without gaps; quality 1..100. NULL where memory is short. */
uint8_t *jpeg_encode(const uint8_t *rgb, int width, int height, int quality, size_t *bytes);

#endif
