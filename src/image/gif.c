/* SPDX-License-Identifier: MIT */
/* image/gif.c - the first picture of a GIF (87a, 89a): LZW codes of at most 12 bits, four passes where interlaced, one colour of the
 * palette transparent. What the picture leaves free of its screen is transparent too, as browsers show it.
 *
 * A picture whose codes end before its last pixel is cut short, however properly the file ends. */
#include <stdlib.h>

#include "base/error.h"
#include "image/bytes.h"
#include "image/format.h"

struct gif {
    int width, height;   /* of the screen, or of the picture where that is larger */
    int left, top, w, h; /* of the picture on it */
    bool interlaced;
    int transparent;         /* colour, or -1 */
    uint8_t palette[256][3]; /* what the file does not define is black */
    size_t data;             /* of the codes: their smallest size, then blocks */
};

bool gif_magic(const uint8_t *b, size_t size)
{
    return begins_with(b, size, "GIF87a", 6) || begins_with(b, size, "GIF89a", 6);
}

static void take_palette(struct gif *g, struct bytes *b, unsigned flags)
{
    memset(g->palette, 0, sizeof g->palette);
    for (int i = 0; i < 2 << (flags & 7); i++)
        for (int c = 0; c < 3; c++)
            g->palette[i][c] = (uint8_t)take_u8(b);
}

static void skip_blocks(struct bytes *b)
{
    for (unsigned n = take_u8(b); n && !b->cut; n = take_u8(b))
        b->at += n < b->size - b->at ? n : b->size - b->at;
}

/* Up to the first picture's codes. */
static limber_status header(struct gif *g, const uint8_t *bytes, size_t size, limber_error *err)
{
    struct bytes b = {.p = bytes, .size = size, .at = 6};
    *g = (struct gif){.transparent = -1};
    g->width = (int)take_le16(&b);
    g->height = (int)take_le16(&b);
    unsigned flags = take_u8(&b), kind;
    take_le16(&b); /* background, aspect ratio */
    bool palette = flags & 0x80;
    if (palette)
        take_palette(g, &b, flags);
    while ((kind = take_u8(&b)) == 0x21) {
        if (take_u8(&b) == 0xf9 && b.at + 5 < size && bytes[b.at] >= 4) /* how it is shown */
            g->transparent = bytes[b.at + 1] & 1 ? bytes[b.at + 4] : -1;
        skip_blocks(&b);
    }
    g->left = (int)take_le16(&b);
    g->top = (int)take_le16(&b);
    g->w = (int)take_le16(&b);
    g->h = (int)take_le16(&b);
    flags = take_u8(&b);
    g->interlaced = flags & 0x40;
    if (flags & 0x80)
        take_palette(g, &b, flags);
    g->data = b.at;
    if (b.cut)
        return limber_fail(err, LIMBER_E_FORMAT, "GIF: cut short, no picture in %zu bytes", size);
    if (kind != 0x2c)
        return limber_fail(err, LIMBER_E_FORMAT, "GIF: no picture, but a block of kind %02X at byte %zu", kind, b.at);
    if (!g->w || !g->h)
        return limber_fail(err, LIMBER_E_FORMAT, "GIF: a picture of %dx%d pixels", g->w, g->h);
    if (!palette && !(flags & 0x80))
        return limber_fail(err, LIMBER_E_FORMAT, "GIF: no palette, neither of the file nor of its first picture");
    g->width = g->left + g->w > g->width ? g->left + g->w : g->width;
    g->height = g->top + g->h > g->height ? g->top + g->h : g->height;
    return LIMBER_OK;
}

limber_status gif_size(struct image_facts *f, const uint8_t *bytes, size_t size, limber_error *err)
{
    struct gif g;
    limber_status st = header(&g, bytes, size, err);
    if (st)
        return st;
    f->width = g.width;
    f->height = g.height;
    f->memory = (size_t)g.width * (size_t)g.height * 3;
    return LIMBER_OK;
}

/* ---- codes ---- */

struct codes {
    struct bytes b;
    unsigned block; /* bytes left in the block */
    uint32_t bits;
    int count;
};

/* -1: there are no more */
static int take_code(struct codes *c, int bits)
{
    while (c->count < bits) {
        if (!c->block)
            c->block = take_u8(&c->b);
        if (!c->block) /* the end of the blocks: stay there */
            return -1;
        c->block--;
        c->bits |= (uint32_t)take_u8(&c->b) << c->count;
        if (c->b.cut)
            return -1;
        c->count += 8;
    }
    int code = (int)(c->bits & ((1u << bits) - 1));
    c->bits >>= bits;
    c->count -= bits;
    return code;
}

struct canvas {
    struct image_pixels *out;
    const struct gif *g;
    size_t placed, pixels;
    int x, y, pass;
};

static void place(struct canvas *c, unsigned colour)
{
    static const int first[] = {0, 4, 2, 1}, step[] = {8, 8, 4, 2};
    const struct gif *g = c->g;
    size_t at = ((size_t)(g->top + c->y) * (size_t)g->width + (size_t)(g->left + c->x)) * 3;
    if ((int)colour != g->transparent)
        memcpy(c->out->p + at, g->palette[colour], 3);
    c->placed++;
    if (++c->x < g->w)
        return;
    c->x = 0;
    c->y += g->interlaced ? step[c->pass] : 1;
    while (g->interlaced && c->y >= g->h && c->pass < 3)
        c->y = first[++c->pass];
}

/* LZW: code clear is 1 << smallest, end is one more; each other code stands for an earlier one and a colour. */
static bool decode_codes(struct canvas *c, const uint8_t *bytes, size_t size)
{
    uint16_t before[4096];
    uint8_t last[4096], first[4096], stack[4096];
    struct codes in = {.b = {.p = bytes, .size = size, .at = c->g->data}};
    const int smallest = (int)take_u8(&in.b), clear = 1 << smallest;
    int next = clear + 2, bits = smallest + 1, previous = -1;
    for (int i = 0; i < clear; i++) {
        before[i] = 0;
        first[i] = last[i] = (uint8_t)i;
    }
    while (c->placed < c->pixels) {
        int code = take_code(&in, bits);
        if (code < 0 || code == clear + 1)
            return false;
        if (code == clear) {
            next = clear + 2;
            bits = smallest + 1;
            previous = -1;
            continue;
        }
        if (code > next || (code == next && (previous < 0 || next == 4096)) || (previous < 0 && code >= clear))
            return false; /* a code that nothing defined */
        if (previous >= 0 && next < 4096) {
            before[next] = (uint16_t)previous;
            first[next] = first[previous];
            last[next] = first[code == next ? previous : code];
            next++;
            if (next == 1 << bits && bits < 12)
                bits++;
        }
        int n = 0;
        for (int at = code; n < 4096; at = before[at]) {
            stack[n++] = last[at];
            if (at < clear)
                break;
        }
        while (n > 0 && c->placed < c->pixels)
            place(c, stack[--n]);
        previous = code;
    }
    return true;
}

IMAGE_DECODE(gif_decode)
{
    (void)reduce;
    struct gif g;
    limber_status st = header(&g, bytes, size, err);
    if (st)
        return st;
    struct canvas c = {.out = out, .g = &g, .pixels = (size_t)g.w * (size_t)g.h};
    int smallest = g.data < size ? bytes[g.data] : 0;
    if (smallest < 1 || smallest > 8)
        return limber_fail(err, LIMBER_E_FORMAT, "GIF: cut short or damaged, codes of %d bits, expected 1 to 8", smallest);
    /* The nth code since a clear stands for n pixels at most, and none for more than 4096: too few bytes are seen before memory
     * is asked for. */
    uint64_t codes = 8 * (uint64_t)(size - g.data) / (uint64_t)(smallest + 1);
    if ((codes < 4096 ? codes * codes : codes * 4096) < c.pixels)
        return limber_fail(err, LIMBER_E_FORMAT, "GIF: cut short, %zu bytes do not hold %dx%d pixels", size, g.w, g.h);
    if (!image_pixels_new(out, "GIF", f->width, f->height, 3, err))
        return LIMBER_E_MEMORY;
    memset(out->p, 255, (size_t)g.width * (size_t)g.height * 3); /* where nothing is drawn, or something transparent */
    if (!decode_codes(&c, bytes, size)) {
        free(out->p);
        *out = (struct image_pixels){0};
        return limber_fail(err, LIMBER_E_FORMAT, "GIF: cut short or damaged, the codes end at pixel %zu of %zu", c.placed,
                           c.pixels);
    }
    return LIMBER_OK;
}
