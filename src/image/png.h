/* SPDX-License-Identifier: MIT */
/* image/png.h - 8-bit RGB to the bytes of a PNG file. */
#ifndef LIMBER_PNG_H
#define LIMBER_PNG_H

#include "limber.h"

/* malloc'ed bytes of a PNG; NULL where memory is short. */
uint8_t *png_encode(const limber_image *image, size_t *bytes);

/* The checksum of a chunk's type and data. */
uint32_t png_crc(const uint8_t *bytes, size_t n);

#endif
