/* SPDX-License-Identifier: MIT */
/* image/png_file.c - what the chunks of a PNG say, "length type data crc", before stb_image decodes it: it must go on to IEND, or to
 * the end of a chunk with all of the picture behind it, hold picture data, and its checksums must be right where a picture is made of what
 * they check. Apple's CgBI files (a chunk of that name first, no zlib header, blue before red) are decoded as well. */
#include "base/error.h"
#include "image/bytes.h"
#include "image/format.h"
#include "image/png.h"

bool png_magic(const uint8_t *b, size_t size)
{
    return begins_with(b, size, "\x89PNG\r\n\x1a\n", 8);
}

/* IHDR; its numbers decide what decoding takes: the inflated rows, and twice the pixels of 16 bits. */
static limber_status png_header(struct image_facts *f, struct bytes data, bool apple, limber_error *err)
{
    uint32_t width = take_be32(&data), height = take_be32(&data);
    unsigned depth = take_u8(&data), colour = take_u8(&data);
    if (data.cut || width < 1 || height < 1 || width > INT32_MAX || height > INT32_MAX)
        return limber_fail(err, LIMBER_E_FORMAT, "PNG: the header says %ux%u", width, height);
    static const int channels[] = {1, 0, 3, 1, 2, 0, 4};
    if (colour > 6 || !channels[colour] || (depth != 1 && depth != 2 && depth != 4 && depth != 8 && depth != 16))
        return limber_fail(err, LIMBER_E_FORMAT, "PNG: the header says colour type %u of %u bits", colour, depth);
    if (apple && depth != 8)
        return limber_fail(err, LIMBER_E_UNSUPPORTED, "PNG: Apple's kind (CgBI) of %u bits, expected 8", depth);
    f->width = (int)width;
    f->height = (int)height;
    size_t pixels = (size_t)width * height, wide = depth == 16 ? 2 : 1;
    size_t inflated = ((size_t)width * (size_t)channels[colour] * depth + 7) / 8 * height + 2 * (size_t)height;
    /* with tRNS a channel more, and a palette gives four; to RGB in place or into three */
    size_t decoded = pixels * wide * (size_t)(colour == 3 ? 5 : channels[colour] + 1);
    f->memory = inflated + decoded + pixels * 3;
    return LIMBER_OK;
}

limber_status png_size(struct image_facts *f, const uint8_t *bytes, size_t size, limber_error *err)
{
    struct bytes b = {.p = bytes, .size = size, .at = 8};
    bool pixels = false, apple = false, seen = false;
    for (;;) {
        size_t begin = b.at;
        if (pixels && begin == size) { /* no IEND */
            f->open_end = true;
            break;
        }
        uint32_t length = take_be32(&b);
        const uint8_t *type = bytes + b.at;
        if (size - b.at < 8 || length > size - b.at - 8)
            return limber_fail(err, LIMBER_E_FORMAT, "PNG: cut short, the chunk at byte %zu does not fit the file's %zu", begin,
                               size);
        struct bytes data = {.p = type + 4, .size = length};
        b.at += 4 + (size_t)length;
        const uint32_t crc = take_be32(&b);
        if (!seen && !apple && !memcmp(type, "CgBI", 4)) {
            apple = true;
            continue;
        }
        if (!seen) {
            limber_status st = memcmp(type, "IHDR", 4) ? limber_fail(err, LIMBER_E_FORMAT, "PNG: the first chunk is not IHDR")
                                                       : png_header(f, data, apple, err);
            if (st)
                return st;
            seen = true;
            if ((uint64_t)f->width * (uint64_t)f->height > IMAGE_MAX_PIXELS)
                return LIMBER_OK; /* at once: a header alone must give this answer, not "cut short" */
        }
        const bool needed =
            !memcmp(type, "IHDR", 4) || !memcmp(type, "PLTE", 4) || !memcmp(type, "IDAT", 4) || !memcmp(type, "tRNS", 4);
        if (needed && crc != png_crc(type, 4 + (size_t)length))
            return limber_fail(err, LIMBER_E_FORMAT, "PNG: damaged, the checksum of %.4s at byte %zu is not the one it has", type,
                               begin);
        if (!memcmp(type, "eXIf", 4))
            f->orientation = exif_orientation(data.p, data.size);
        if (!memcmp(type, "IDAT", 4)) {
            pixels = true;
            f->memory += length; /* stb_image joins them */
        }
        if (!memcmp(type, "IEND", 4))
            break;
    }
    return pixels ? LIMBER_OK : limber_fail(err, LIMBER_E_FORMAT, "PNG: no picture data in %zu bytes", size);
}
