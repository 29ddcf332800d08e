/* SPDX-License-Identifier: MIT */
/* image/bytes.h - a piece of a file with a place in it. Reads past the end set `cut` and give zeros, so that a reader of headers may
 * take all its numbers first and ask once whether they were there. */
#ifndef LIMBER_IMAGE_BYTES_H
#define LIMBER_IMAGE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
    const uint8_t *p;
    size_t size, at;
    bool cut;
};

static inline unsigned take_u8(struct bytes *b)
{
    if (b->at >= b->size) {
        b->cut = true;
        return 0;
    }
    return b->p[b->at++];
}

static inline unsigned take_be16(struct bytes *b)
{
    unsigned high = take_u8(b);
    return high << 8 | take_u8(b);
}

static inline uint32_t take_be32(struct bytes *b)
{
    uint32_t high = take_be16(b);
    return high << 16 | take_be16(b);
}

static inline unsigned take_le16(struct bytes *b)
{
    unsigned low = take_u8(b);
    return low | take_u8(b) << 8;
}

static inline uint32_t take_le32(struct bytes *b)
{
    uint32_t low = take_le16(b);
    return low | (uint32_t)take_le16(b) << 16;
}

static inline bool begins_with(const uint8_t *bytes, size_t size, const char *magic, size_t n)
{
    return size >= n && !memcmp(bytes, magic, n);
}

#endif
