/* SPDX-License-Identifier: MIT */
/* image/bmp.c - Windows and OS/2 bitmaps: 1, 2, 4, 8 bits with a palette, 16, 24, 32 bits, bit fields, run lengths of 4 and 8 bits, rows
 * from the bottom or (negative height) from the top. JPEG or PNG inside a BMP is for printers and is refused.
 *
 * Source: the structures BITMAPFILEHEADER, BITMAPCOREHEADER, BITMAPINFOHEADER, BITMAPV5HEADER in Microsoft's documentation of GDI.
 * Of 32 bits without bit fields the fourth byte means nothing. */
#include <stdlib.h>

#include "base/error.h"
#include "image/bytes.h"
#include "image/format.h"

enum { RGB, RLE8, RLE4, BITFIELDS, EMBEDDED_JPEG, EMBEDDED_PNG, ALPHABITFIELDS };

struct bmp {
    int width, height;
    bool from_top;
    int bits;
    uint32_t compression;
    uint32_t mask[4];        /* red, green, blue, alpha; of 16 and 32 bits */
    uint8_t palette[256][3]; /* RGB; what the file does not define is black */
    size_t data, stride;     /* where rows begin, and bytes of each (not of run lengths) */
};

bool bmp_magic(const uint8_t *b, size_t size)
{
    return begins_with(b, size, "BM", 2) && size >= 26 && !b[6] && !b[7] && !b[8] && !b[9]; /* zeros: text may begin with BM */
}

static limber_status header(struct bmp *h, const uint8_t *bytes, size_t size, limber_error *err)
{
    struct bytes b = {.p = bytes, .size = size, .at = 10};
    *h = (struct bmp){0};
    h->data = take_le32(&b);
    uint32_t header_size = take_le32(&b), colours = 0;
    bool core = header_size == 12;
    if (!core && (header_size < 16 || header_size > 1024))
        return limber_fail(err, LIMBER_E_FORMAT, "BMP: a header of %u bytes, expected 12, or 16 to 1024", header_size);
    int64_t height;
    if (core) {
        h->width = (int)take_le16(&b);
        height = take_le16(&b);
    } else {
        h->width = (int32_t)take_le32(&b);
        height = (int32_t)take_le32(&b);
    }
    unsigned planes = take_le16(&b);
    h->bits = (int)take_le16(&b);
    if (header_size >= 20)
        h->compression = take_le32(&b);
    if (header_size >= 36) {
        take_le32(&b), take_le32(&b), take_le32(&b); /* size of the data, pixels a metre */
        colours = take_le32(&b);
    }
    h->from_top = height < 0;
    height = height < 0 ? -height : height;
    if (b.cut || h->width < 1 || height < 1 || height > INT32_MAX)
        return limber_fail(err, LIMBER_E_FORMAT, "BMP: the header says %dx%lld", h->width, (long long)height);
    h->height = (int)height;
    const bool fields = h->compression == BITFIELDS || h->compression == ALPHABITFIELDS;
    if (header_size != 64 && (h->compression == EMBEDDED_JPEG || h->compression == EMBEDDED_PNG))
        return limber_fail(err, LIMBER_E_UNSUPPORTED, "BMP: a JPEG or PNG in a BMP, as printers take it: convert it");
    if ((header_size == 64 && h->compression > RLE4) || h->compression > ALPHABITFIELDS) /* OS/2's own kinds */
        return limber_fail(err, LIMBER_E_UNSUPPORTED, "BMP: compression %u of a header of %u bytes is not read: convert it",
                           h->compression, header_size);
    const bool known = h->compression == RLE8   ? h->bits == 8
                       : h->compression == RLE4 ? h->bits == 4
                       : fields                 ? h->bits == 16 || h->bits == 32
                                                : h->bits == 1 || h->bits == 2 || h->bits == 4 || h->bits == 8 || h->bits == 16 ||
                                      h->bits == 24 || h->bits == 32;
    if (!known || planes != 1)
        return limber_fail(err, LIMBER_E_FORMAT, "BMP: %d bits a pixel in %u planes, compression %u: no such kind", h->bits,
                           planes, h->compression);
    size_t at = 14 + (size_t)header_size;
    if (h->bits == 16)
        h->mask[0] = 0x7c00, h->mask[1] = 0x3e0, h->mask[2] = 0x1f;
    else if (h->bits == 32)
        h->mask[0] = 0xff0000, h->mask[1] = 0xff00, h->mask[2] = 0xff;
    if (fields) { /* within a later header or behind an earlier one: the same place */
        b.at = 54;
        int masks = header_size >= 56 || h->compression == ALPHABITFIELDS ? 4 : 3;
        for (int i = 0; i < masks; i++)
            h->mask[i] = take_le32(&b);
        at = b.at > at ? b.at : at;
    }
    if (h->data == 0) /* not said: behind the palette */
        h->data =
            at + (h->bits <= 8 ? (core ? 3 : 4) * (colours && colours < 1u << h->bits ? colours : (size_t)1 << h->bits) : 0);
    if (h->data < at || h->data > size || b.cut)
        return limber_fail(err, LIMBER_E_FORMAT,
                           "BMP: cut short or damaged, the pixels begin at byte %zu of %zu, the header ends at %zu", h->data,
                           size, at);
    if (h->bits <= 8) {
        size_t each = core ? 3 : 4, room = (h->data - at) / each, n = (size_t)1 << h->bits;
        n = colours && colours < n ? colours : n;
        n = n < room ? n : room;
        for (size_t i = 0; i < n; i++)
            for (size_t c = 0; c < 3; c++)
                h->palette[i][c] = bytes[at + i * each + 2 - c];
    }
    h->stride = ((size_t)h->width * (size_t)h->bits + 31) / 32 * 4;
    return LIMBER_OK;
}

limber_status bmp_size(struct image_facts *f, const uint8_t *bytes, size_t size, limber_error *err)
{
    struct bmp h;
    limber_status st = header(&h, bytes, size, err);
    if (st)
        return st;
    f->width = h.width;
    f->height = h.height;
    f->memory = (size_t)h.width * (size_t)h.height * (h.mask[3] ? 4 : 3);
    return LIMBER_OK;
}

/* The bits under the mask, spread to 0..255. */
static uint8_t field(uint32_t pixel, uint32_t mask)
{
    if (!mask)
        return 0;
    int shift = __builtin_ctz(mask);
    uint64_t most = mask >> shift, v = (pixel & mask) >> shift;
    return (uint8_t)((v * 255 + most / 2) / most);
}

static void plain_row(uint8_t *out, const struct bmp *h, const uint8_t *row, int channels)
{
    for (size_t x = 0; x < (size_t)h->width; x++, out += channels) {
        if (h->bits <= 8) {
            unsigned bit = (unsigned)(x * (size_t)h->bits), v = row[bit / 8] >> (8 - h->bits - (int)(bit % 8));
            memcpy(out, h->palette[v & ((1u << h->bits) - 1)], 3);
        } else if (h->bits == 24) {
            out[0] = row[3 * x + 2], out[1] = row[3 * x + 1], out[2] = row[3 * x];
        } else {
            const uint8_t *p = row + x * (size_t)h->bits / 8;
            uint32_t v = (uint32_t)p[0] | (uint32_t)p[1] << 8;
            if (h->bits == 32)
                v |= (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
            for (int c = 0; c < channels; c++)
                out[c] = field(v, h->mask[c]);
        }
    }
}

/* Run lengths: pairs (count, colour), and after a 0: end of row, end of picture, a step to the right and up, or so many colours
 * as they are. Rows count from the bottom. What is stepped over has colour 0. False: the data end before the last row. */
static bool run_lengths(struct image_pixels *out, const struct bmp *h, const uint8_t *bytes, size_t size)
{
    struct bytes b = {.p = bytes, .size = size, .at = h->data};
    int x = 0, y = 0; /* from the bottom */
    for (size_t i = 0; i < (size_t)h->width * (size_t)h->height; i++)
        memcpy(out->p + 3 * i, h->palette[0], 3);
    while (!b.cut && y < h->height) {
        unsigned count = take_u8(&b), value = take_u8(&b);
        if (b.cut)
            break;
        if (!count && value < 3) {
            if (value == 1)
                return x > 0 ? y == h->height - 1 : y >= h->height;
            int right = value == 2 ? (int)take_u8(&b) : 0, up = value == 2 ? (int)take_u8(&b) : 1;
            x = value == 2 ? x + right : 0;
            y += up;
            if (x > h->width)
                x = h->width;
            continue;
        }
        bool as_they_are = !count;
        unsigned n = as_they_are ? value : count, byte = value;
        for (unsigned i = 0; i < n; i++) {
            if (as_they_are && (h->bits == 8 || i % 2 == 0))
                byte = take_u8(&b);
            unsigned colour = h->bits == 8 ? byte : i % 2 ? byte & 15 : byte >> 4;
            if (b.cut)
                break;
            if (x < h->width) /* what runs over the edge is left out */
                memcpy(out->p + 3 * ((size_t)(h->from_top ? y : h->height - 1 - y) * (size_t)h->width + (size_t)x),
                       h->palette[colour], 3);
            x += x < h->width;
        }
        if (as_they_are && (h->bits == 8 ? n : (n + 1) / 2) % 2)
            take_u8(&b); /* to a whole number of 16-bit words */
    }
    return y >= h->height || (y == h->height - 1 && x == h->width);
}

IMAGE_DECODE(bmp_decode)
{
    (void)reduce;
    struct bmp h;
    limber_status st = header(&h, bytes, size, err);
    if (st)
        return st;
    const bool runs = h.compression == RLE8 || h.compression == RLE4;
    int channels = h.mask[3] ? 4 : 3;
    if (!runs && (size - h.data) / h.stride < (size_t)h.height)
        return limber_fail(err, LIMBER_E_FORMAT, "BMP: cut short, %zu bytes do not hold %dx%d pixels", size, h.width, h.height);
    /* two bytes make 255 pixels at most, a step over others five; a row takes two at least */
    if (runs && (size - h.data) / 2 < (size_t)h.height / 255)
        return limber_fail(err, LIMBER_E_FORMAT, "BMP: cut short, %zu bytes do not hold %dx%d pixels", size, h.width, h.height);
    if (!image_pixels_new(out, "BMP", f->width, f->height, channels, err))
        return LIMBER_E_MEMORY;
    if (runs) {
        if (!run_lengths(out, &h, bytes, size)) {
            free(out->p);
            *out = (struct image_pixels){0};
            return limber_fail(err, LIMBER_E_FORMAT, "BMP: cut short, the run lengths end before the last of %d rows", h.height);
        }
        return LIMBER_OK;
    }
    for (int y = 0; y < h.height; y++)
        plain_row(out->p + (size_t)(h.from_top ? y : h.height - 1 - y) * (size_t)h.width * (size_t)channels, &h,
                  bytes + h.data + (size_t)y * h.stride, channels);
    image_mend_alpha(out);
    return LIMBER_OK;
}
