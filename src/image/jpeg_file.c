/* SPDX-License-Identifier: MIT */
/* image/jpeg_file.c - what the markers of a JPEG say, before any decoder sees it: segments "FF marker length ...", and entropy-coded
 * data after each start of scan (SOS). ITU-T T.81, annex B; progression: annex G.
 *
 * Checked here, because not every decoder does and none says it so well: one frame of a kind that is read; whole Huffman and
 * quantisation tables; each scan names components of the frame and tables that are there by then; coefficients come in an order
 * that can be decoded (DC before AC, bit after bit); no more scans than honest encoders write; at least one bit a block; and the
 * end: every component's data and the end mark, or at least all of them without it.
 *
 * Motion JPEG frames bring no Huffman tables: the standard ones of T.81 annex K are then meant. Bytes after the end are ignored
 * (cameras put second pictures and maker notes there). */
#include <stdlib.h>

#include "base/error.h"
#include "image/bytes.h"
#include "image/format.h"

#define MAX_SCANS 100 /* a progressive file has about ten; thousands of empty ones would take hours */

struct component {
    unsigned id, h, v, table;
    bool seen;            /* a scan had it */
    signed char bits[64]; /* progressive: the lowest bit sent of each coefficient; -1: nothing yet */
};

struct walk {
    struct image_facts *f;
    bool progressive;
    unsigned components, h_max, v_max;
    struct component c[4];
    bool quantisation[4], dc[4], ac[4];
    bool any_huffman;
    int scans;
    uint64_t blocks, coded;
    limber_error *err;
};

bool jpeg_magic(const uint8_t *b, size_t size)
{
    return begins_with(b, size, "\xff\xd8\xff", 3);
}

static limber_status damaged(struct walk *w, const char *what, unsigned number)
{
    return limber_fail(w->err, LIMBER_E_FORMAT, "JPEG: damaged, %s %u", what, number);
}

static limber_status take_frame(struct walk *w, struct bytes r, unsigned marker)
{
    if (marker != 0xc0 && marker != 0xc1 && marker != 0xc2)
        return limber_fail(w->err, LIMBER_E_UNSUPPORTED,
                           "JPEG: frame type SOF%u (lossless, hierarchical or arithmetic), expected 0, 1 or 2", marker - 0xc0);
    struct image_facts *f = w->f;
    if (f->width)
        return limber_fail(w->err, LIMBER_E_FORMAT, "JPEG: a second frame header");
    unsigned precision = take_u8(&r);
    f->height = (int)take_be16(&r);
    f->width = (int)take_be16(&r);
    w->components = take_u8(&r);
    w->progressive = marker == 0xc2;
    if (r.cut || f->width < 1 || f->height < 1 || w->components < 1 || w->components > 4)
        return limber_fail(w->err, LIMBER_E_FORMAT, "JPEG: a frame of %dx%d with %u components", f->width, f->height,
                           w->components);
    if (precision != 8)
        return limber_fail(w->err, LIMBER_E_UNSUPPORTED, "JPEG: %u bits a sample, expected 8", precision);
    if (w->components == 2)
        return limber_fail(w->err, LIMBER_E_UNSUPPORTED, "JPEG: 2 components, expected 1 (grey), 3 or 4");
    w->h_max = w->v_max = 1;
    for (unsigned i = 0; i < w->components; i++) {
        struct component *c = &w->c[i];
        c->id = take_u8(&r);
        unsigned sampling = take_u8(&r);
        c->h = sampling >> 4;
        c->v = sampling & 15;
        c->table = take_u8(&r);
        memset(c->bits, -1, sizeof c->bits);
        if (r.cut || c->h < 1 || c->h > 4 || c->v < 1 || c->v > 4)
            return limber_fail(w->err, LIMBER_E_FORMAT, "JPEG: component %u has sampling factors %ux%u", i, c->h, c->v);
        if (c->table > 3)
            return damaged(w, "a component names quantisation table", c->table);
        for (unsigned k = 0; k < i; k++)
            if (w->c[k].id == c->id)
                return damaged(w, "two components have the name", c->id);
        w->h_max = c->h > w->h_max ? c->h : w->h_max;
        w->v_max = c->v > w->v_max ? c->v : w->v_max;
    }
    if (w->components == 1) /* a single component is never interleaved: its factors say nothing */
        w->h_max = w->v_max = w->c[0].h = w->c[0].v = 1;
    size_t samples = 0;
    for (unsigned i = 0; i < w->components; i++) {
        struct component *c = &w->c[i];
        if (w->h_max % c->h || w->v_max % c->v)
            return limber_fail(w->err, LIMBER_E_UNSUPPORTED,
                               "JPEG: component %u has sampling factors %ux%u of %ux%u, which is no whole ratio", i, c->h, c->v,
                               w->h_max, w->v_max);
        uint64_t across = ((uint64_t)f->width * c->h + 8 * w->h_max - 1) / (8 * w->h_max);
        uint64_t down = ((uint64_t)f->height * c->v + 8 * w->v_max - 1) / (8 * w->v_max);
        w->blocks += across * down;
        samples += 64 * (size_t)((across + 3) * (down + 3));
    }
    /* pixels; all coefficients, of two bytes, where scans refine each other; and samples, unless they are streamed */
    f->memory = 3 * (size_t)f->width * (size_t)f->height + samples * (w->progressive ? 3 : 1) + (1 << 20);
    return LIMBER_OK;
}

/* Class and number, how many codes of each length 1..16, then one byte a code: whole, and no more codes than lengths allow. */
static limber_status take_huffman(struct walk *w, struct bytes r)
{
    while (r.at < r.size) {
        unsigned table = take_u8(&r), codes = 0;
        int64_t room = 1;
        for (int length = 1; length <= 16; length++) {
            unsigned n = take_u8(&r);
            codes += n;
            room = 2 * room - n;
            room = room < 0 ? INT32_MIN : room;
        }
        if (r.cut || table > 0x1f || (table & 15) > 3 || codes > 256 || codes > r.size - r.at || room < 0)
            return limber_fail(w->err, LIMBER_E_FORMAT, "JPEG: damaged Huffman table (number %02X, %u codes)", table, codes);
        for (unsigned i = 0; i < codes; i++) {
            unsigned symbol = take_u8(&r);
            if (table < 0x10 && symbol > 15)
                return limber_fail(w->err, LIMBER_E_FORMAT, "JPEG: damaged Huffman table (number %02X, DC of %u bits)", table,
                                   symbol);
        }
        (table < 0x10 ? w->dc : w->ac)[table & 15] = true;
        w->any_huffman = true;
    }
    return LIMBER_OK;
}

static limber_status take_quantisation(struct walk *w, struct bytes r)
{
    if (w->progressive && w->scans)
        return limber_fail(w->err, LIMBER_E_UNSUPPORTED, "JPEG: quantisation tables that change between progressive scans");
    while (r.at < r.size) {
        unsigned table = take_u8(&r), bytes = table >> 4 ? 128 : 64;
        if (table > 0x1f || (table & 15) > 3 || bytes > r.size - r.at)
            return limber_fail(w->err, LIMBER_E_FORMAT, "JPEG: damaged quantisation table (number %02X)", table);
        r.at += bytes;
        w->quantisation[table & 15] = true;
    }
    return LIMBER_OK;
}

/* A scan's tables: there, or the standard ones, which only a sequential file without any may mean. */
static limber_status need_huffman(struct walk *w, const bool have[4], unsigned table, const char *kind)
{
    if (table <= 3 && have[table])
        return LIMBER_OK;
    if (!w->progressive && !w->any_huffman && table <= 1) {
        w->f->standard_tables = true;
        return LIMBER_OK;
    }
    return limber_fail(w->err, LIMBER_E_FORMAT,
                       "JPEG: scan %d names %s Huffman table %u, which the file does not define before it", w->scans, kind,
                       table);
}

static limber_status take_scan(struct walk *w, struct bytes r)
{
    if (!w->f->width)
        return limber_fail(w->err, LIMBER_E_FORMAT, "JPEG: picture data before a frame header");
    if (++w->scans > MAX_SCANS)
        return limber_fail(w->err, LIMBER_E_FORMAT, "JPEG: more than %d scans", MAX_SCANS);
    struct component *in[4];
    unsigned tables[4], n = take_u8(&r);
    if (n < 1 || n > w->components || r.size != 4 + 2 * (size_t)n)
        return damaged(w, "a scan of components:", n);
    for (unsigned i = 0; i < n; i++) {
        unsigned id = take_u8(&r), k = 0;
        tables[i] = take_u8(&r);
        while (k < w->components && w->c[k].id != id)
            k++;
        if (k == w->components)
            return damaged(w, "a scan names component", id);
        in[i] = &w->c[k];
        for (unsigned other = 0; other < i; other++)
            if (in[other] == in[i])
                return damaged(w, "a scan names twice component", id);
    }
    unsigned first = take_u8(&r), last = take_u8(&r), bits = take_u8(&r), high = bits >> 4, low = bits & 15;
    if (w->progressive && (first > last || last > 63 || (first == 0) != (last == 0) || (first > 0 && n > 1) || low > 13 ||
                           (high && low + 1 != high)))
        return damaged(w, "a progressive scan from coefficient", first);
    if (!w->progressive) /* some writers leave these three numbers 0 */
        first = high = low = 0;
    for (unsigned i = 0; i < n; i++) {
        struct component *c = in[i];
        limber_status st = LIMBER_OK;
        if (!w->quantisation[c->table])
            return limber_fail(w->err, LIMBER_E_FORMAT, "JPEG: no quantisation table %u, which component %u needs", c->table,
                               c->id);
        if (first == 0 && !high)
            st = need_huffman(w, w->dc, tables[i] >> 4, "DC");
        if (!st && (first > 0 || !w->progressive))
            st = need_huffman(w, w->ac, tables[i] & 15, "AC");
        if (st)
            return st;
        if (!w->progressive && c->seen)
            return damaged(w, "a second scan has component", c->id);
        if (w->progressive && first > 0 && c->bits[0] < 0)
            return limber_fail(w->err, LIMBER_E_FORMAT, "JPEG: scan %d has AC coefficients of component %u before its DC",
                               w->scans, c->id);
        for (unsigned k = first; w->progressive && k <= last; k++) {
            if (high ? c->bits[k] != (int)high : c->bits[k] >= 0)
                return damaged(w, "a scan out of turn sends coefficient", k);
            c->bits[k] = (signed char)low;
        }
        c->seen = true;
    }
    return LIMBER_OK;
}

/* Bytes of entropy-coded data from r->at on; stops at the marker behind them. FF 00 is a byte FF, FF D0..D7 a restart. */
static size_t skip_coded(struct bytes *r)
{
    size_t begin = r->at;
    while (r->at < r->size) {
        const uint8_t *ff = memchr(r->p + r->at, 0xff, r->size - r->at);
        if (!ff || (size_t)(ff - r->p) + 1 >= r->size) {
            r->at = r->size;
            break;
        }
        r->at = (size_t)(ff - r->p);
        unsigned next = r->p[r->at + 1];
        if (next == 0xff)
            r->at += 1;
        else if (next == 0 || (next >= 0xd0 && next <= 0xd7))
            r->at += 2;
        else
            break;
    }
    return r->at - begin;
}

/* Every component sent; and, where only the end mark could tell that nothing follows, to the last bit. */
static limber_status complete(const struct walk *w, size_t size)
{
    if (w->scans == 0)
        return limber_fail(w->err, LIMBER_E_FORMAT, "JPEG: no picture data in %zu bytes", size);
    for (unsigned i = 0; i < w->components; i++) {
        bool all = w->c[i].seen && (!w->progressive || w->c[i].bits[0] >= 0);
        for (int k = 0; w->progressive && w->f->open_end && k < 64; k++)
            all = all && w->c[i].bits[k] == 0;
        if (!all)
            return limber_fail(w->err, LIMBER_E_FORMAT, "JPEG: cut short, %s in %zu bytes",
                               w->f->open_end ? "no end marker" : "not every component's data", size);
    }
    if (8 * w->coded < w->blocks)
        return limber_fail(w->err, LIMBER_E_FORMAT, "JPEG: cut short, %llu bytes of picture data for %llu blocks of %dx%d pixels",
                           (unsigned long long)w->coded, (unsigned long long)w->blocks, w->f->width, w->f->height);
    return LIMBER_OK;
}

limber_status jpeg_size(struct image_facts *f, const uint8_t *bytes, size_t size, limber_error *err)
{
    struct walk w = {.f = f, .err = err};
    struct bytes r = {.p = bytes, .size = size, .at = 2};
    bool exif = false;
    for (;;) {
        while (r.at < size && take_u8(&r) != 0xff) /* between segments some writers leave stray bytes */
            ;
        unsigned marker = take_u8(&r);
        while (marker == 0xff)
            marker = take_u8(&r);
        if (r.cut || (r.at >= size && marker != 0xd9)) {
            f->open_end = true;
            if (!w.scans)
                return limber_fail(err, LIMBER_E_FORMAT, "JPEG: cut short, no end marker in %zu bytes", size);
            break;
        }
        if (marker == 0xd9)
            break;
        if (marker == 0 || marker == 1 || (marker >= 0xd0 && marker <= 0xd8)) /* no segment follows */
            continue;
        size_t begin = r.at;
        unsigned length = take_be16(&r);
        if (r.cut || length < 2 || length > size - begin)
            return limber_fail(err, LIMBER_E_FORMAT,
                               "JPEG: cut short, segment FF%02X at byte %zu claims %u bytes, the file has %zu left", marker,
                               begin - 2, length, size - begin);
        struct bytes segment = {.p = bytes + r.at, .size = length - 2};
        r.at = begin + length;
        limber_status st = LIMBER_OK;
        if (marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc)
            st = take_frame(&w, segment, marker);
        else if (marker == 0xc4)
            st = take_huffman(&w, segment);
        else if (marker == 0xdb)
            st = take_quantisation(&w, segment);
        else if (marker == 0xe1 && !exif && begins_with(segment.p, segment.size, "Exif\0", 5) && segment.size > 6) {
            exif = true;
            f->orientation = exif_orientation(segment.p + 6, segment.size - 6);
        } else if (marker == 0xda) {
            st = take_scan(&w, segment);
            w.coded += skip_coded(&r);
        }
        if (st)
            return st;
    }
    f->reducible = true;
    return complete(&w, size);
}
