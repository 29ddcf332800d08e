/* SPDX-License-Identifier: MIT */
/* image/tga.c - Truevision TGA 2.0: palette, true colour and grey, plain and run-length coded, from any corner.
 *
 * The descriptor says how many bits of a pixel are alpha (0: the fourth byte means nothing) and where the first pixel lies: bit 4
 * right, bit 5 top. There is no magic number, so a header must make sense in all its parts to be taken for one. */
#include <stdlib.h>

#include "base/error.h"
#include "image/bytes.h"
#include "image/format.h"

struct tga {
    int width, height, bits, type; /* 1 palette, 2 true colour, 3 grey */
    bool runs, from_right, from_top, alpha;
    int map_first, map_count, map_bits;
    size_t map, data;
    int channels;
};

/* Bits of a colour in the palette or, without one, of a pixel. */
static bool colour_bits(int bits)
{
    return bits == 15 || bits == 16 || bits == 24 || bits == 32;
}

bool tga_magic(const uint8_t *b, size_t size)
{
    if (size < 18 || b[1] > 1 || !(b[12] || b[13]) || !(b[14] || b[15]) || b[17] & 0xc0)
        return false;
    switch (b[2]) {
    case 1:
    case 9:
        return b[1] && (b[16] == 8 || b[16] == 16) && colour_bits(b[7]);
    case 2:
    case 10:
        return colour_bits(b[16]);
    case 3:
    case 11:
        return !b[1] && (b[16] == 8 || b[16] == 16);
    default:
        return false;
    }
}

static limber_status header(struct tga *h, const uint8_t *bytes, size_t size, limber_error *err)
{
    struct bytes b = {.p = bytes, .size = size};
    *h = (struct tga){0};
    size_t name = take_u8(&b);
    bool has_map = take_u8(&b);
    unsigned type = take_u8(&b);
    h->type = (int)(type & 3);
    h->runs = type & 8;
    h->map_first = (int)take_le16(&b);
    h->map_count = (int)take_le16(&b);
    h->map_bits = (int)take_u8(&b);
    take_le32(&b); /* the picture's place on a screen */
    h->width = (int)take_le16(&b);
    h->height = (int)take_le16(&b);
    h->bits = (int)take_u8(&b);
    unsigned descriptor = take_u8(&b);
    h->from_right = descriptor >> 4 & 1;
    h->from_top = descriptor >> 5 & 1;
    const int coloured = h->type == 1 ? h->map_bits : h->bits;
    h->alpha = (descriptor & 15) && (coloured == 32 || (h->type == 3 && h->bits == 16));
    h->channels = (h->type == 3 ? 1 : 3) + h->alpha;
    h->map = 18 + name;
    h->data = h->map + (has_map ? (size_t)h->map_count * (size_t)((h->map_bits + 7) / 8) : 0);
    if (h->data > size)
        return limber_fail(err, LIMBER_E_FORMAT, "TGA: cut short, the pixels begin at byte %zu of %zu", h->data, size);
    return LIMBER_OK;
}

limber_status tga_size(struct image_facts *f, const uint8_t *bytes, size_t size, limber_error *err)
{
    struct tga h;
    limber_status st = header(&h, bytes, size, err);
    if (st)
        return st;
    f->width = h.width;
    f->height = h.height;
    f->memory = (size_t)h.width * (size_t)h.height * (h.channels == 1 ? 4 : (size_t)h.channels);
    return LIMBER_OK;
}

/* 15 and 16 bits: five each of red, green, blue from the top down, lowest byte first. */
static void colour(uint8_t *out, const uint8_t *p, int bits, bool alpha)
{
    if (bits <= 16) {
        unsigned v = p[0] | (unsigned)p[1] << 8;
        for (int c = 0; c < 3; c++)
            out[c] = (uint8_t)(((v >> (10 - 5 * c) & 31) * 255 + 15) / 31);
        return;
    }
    out[0] = p[2], out[1] = p[1], out[2] = p[0];
    if (alpha)
        out[3] = p[3];
}

static void pixel(uint8_t *out, const struct tga *h, const uint8_t *bytes, const uint8_t *p)
{
    if (h->type == 3) {
        out[0] = p[0];
        if (h->alpha)
            out[1] = p[1];
    } else if (h->type == 2) {
        colour(out, p, h->bits, h->alpha);
    } else {
        int entry = (h->bits == 16 ? p[0] | p[1] << 8 : p[0]) - h->map_first;
        if (entry >= 0 && entry < h->map_count) /* beyond the palette: black */
            colour(out, bytes + h->map + (size_t)entry * (size_t)((h->map_bits + 7) / 8), h->map_bits, h->alpha);
        else if (h->alpha)
            out[3] = 255;
    }
}

IMAGE_DECODE(tga_decode)
{
    (void)reduce;
    struct tga h;
    limber_status st = header(&h, bytes, size, err);
    if (st)
        return st;
    size_t each = (size_t)(h.bits + 7) / 8, pixels = (size_t)h.width * (size_t)h.height;
    if (h.runs ? (size - h.data) / (1 + each) < (pixels + 127) / 128 : (size - h.data) / each < pixels)
        return limber_fail(err, LIMBER_E_FORMAT, "TGA: cut short, %zu bytes do not hold %dx%d pixels", size, h.width, h.height);
    if (!image_pixels_new(out, "TGA", f->width, f->height, h.channels, err))
        return LIMBER_E_MEMORY;
    size_t at = h.data, i = 0;
    while (i <
           pixels) { /* a packet: 1 to 128 pixels, all there or all the same one. Without runs the whole picture is a packet */
        size_t count = pixels;
        bool same = false;
        if (h.runs && at < size) {
            count = (size_t)(bytes[at] & 127) + 1;
            same = bytes[at++] & 128;
        }
        count = count < pixels - i ? count : pixels - i;
        if (size - at < (same ? 1 : count) * each) {
            free(out->p);
            *out = (struct image_pixels){0};
            return limber_fail(err, LIMBER_E_FORMAT, "TGA: cut short, the data end at pixel %zu of %zu", i, pixels);
        }
        for (size_t end = i + count; i < end; i++) {
            size_t x = i % (size_t)h.width, y = i / (size_t)h.width;
            x = h.from_right ? (size_t)h.width - 1 - x : x;
            y = h.from_top ? y : (size_t)h.height - 1 - y;
            pixel(out->p + (y * (size_t)h.width + x) * (size_t)h.channels, &h, bytes, bytes + at);
            at += same ? 0 : each;
        }
        at += same ? each : 0;
    }
    image_mend_alpha(out);
    return LIMBER_OK;
}
