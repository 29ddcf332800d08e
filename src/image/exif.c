/* SPDX-License-Identifier: MIT */
/* image/exif.c - EXIF is a TIFF header and a directory of 12-byte entries; all we want of it is one number.
 * Exif 2.32, 4.6.4: tag 0x0112, type SHORT, count 1. Writers use BYTE, SBYTE and LONG too, and TIFF 6.0 (section 2) asks readers to
 * take them; of several values that fit into the entry the first counts. A damaged note is no reason to refuse the picture. */
#include "image/bytes.h"
#include "image/format.h"

#define ORIENTATION 0x0112
enum { BYTE = 1, SHORT = 3, LONG = 4, SBYTE = 6 };

static uint32_t number(const uint8_t *tiff, size_t size, size_t at, int bytes, bool little)
{
    uint32_t v = 0;
    if (size < (size_t)bytes || at > size - (size_t)bytes)
        return 0;
    for (int i = 0; i < bytes; i++)
        v = v << 8 | tiff[at + (size_t)(little ? bytes - 1 - i : i)];
    return v;
}

int exif_orientation(const uint8_t *tiff, size_t size)
{
    bool little = begins_with(tiff, size, "II*\0", 4);
    if (!little && !begins_with(tiff, size, "MM\0*", 4))
        return 1;
    size_t directory = number(tiff, size, 4, 4, little), entries = number(tiff, size, directory, 2, little);
    for (size_t i = 0; i < entries; i++) {
        size_t entry = directory + 2 + 12 * i;
        if (number(tiff, size, entry, 2, little) != ORIENTATION)
            continue;
        unsigned type = number(tiff, size, entry + 2, 2, little);
        int bytes = type == BYTE || type == SBYTE ? 1 : type == SHORT ? 2 : type == LONG ? 4 : 0;
        uint32_t value = bytes ? number(tiff, size, entry + 8, bytes, little) : 0;
        uint32_t count = number(tiff, size, entry + 4, 4, little);
        return count >= 1 && count <= 4 && count * (uint32_t)bytes <= 4 && value >= 1 && value <= 8 ? (int)value : 1;
    }
    return 1;
}
