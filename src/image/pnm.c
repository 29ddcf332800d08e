/* SPDX-License-Identifier: MIT */
/* image/pnm.c - netpbm's P1..P6: "P6 width height maximum", any white space and #comments between, then samples, as text (1 to 3) or as
 * bytes. A maximum above 255 makes a sample two bytes, the higher first. Whatever the maximum is, it becomes 255. */
#include <stdlib.h>

#include "base/error.h"
#include "image/bytes.h"
#include "image/format.h"

struct pnm {
    int kind; /* 1, 4: bits; 2, 5: grey; 3, 6: RGB. Up to 3: text */
    int width, height, maximum;
    size_t data; /* where the samples begin */
};

bool pnm_magic(const uint8_t *b, size_t size)
{
    return size > 2 && b[0] == 'P' && b[1] >= '1' && b[1] <= '6' && b[2] && strchr(" \t\r\n#", b[2]);
}

/* -1: no number, or one that is far too large */
static int number(struct bytes *b)
{
    while (b->at < b->size && b->p[b->at] && strchr(" \t\r\n\v\f#", b->p[b->at]))
        if (b->p[b->at++] == '#')
            while (b->at < b->size && b->p[b->at] != '\n' && b->p[b->at] != '\r')
                b->at++;
    int value = 0;
    size_t digits = b->at;
    for (; b->at < b->size && b->p[b->at] >= '0' && b->p[b->at] <= '9'; b->at++)
        value = value < 0 || value >= 100000000 ? -1 : 10 * value + (b->p[b->at] - '0'); /* once too large, it stays so */
    return b->at > digits ? value : -1;
}

static limber_status header(struct pnm *h, const uint8_t *bytes, size_t size, limber_error *err)
{
    struct bytes b = {.p = bytes, .size = size, .at = 2};
    h->kind = bytes[1] - '0';
    h->width = number(&b);
    h->height = number(&b);
    h->maximum = h->kind % 3 == 1 ? 1 : number(&b);
    h->data = b.at + 1; /* one white space ends the header */
    if (h->width < 1 || h->height < 1 || h->maximum < 1 || h->maximum > 65535)
        return limber_fail(err, LIMBER_E_FORMAT, "PNM: the header's numbers are not width, height%s",
                           h->kind % 3 == 1 ? "" : " and a maximum in 1..65535");
    return LIMBER_OK;
}

static int channels_of(const struct pnm *h)
{
    return h->kind % 3 == 0 ? 3 : 1;
}

limber_status pnm_size(struct image_facts *f, const uint8_t *bytes, size_t size, limber_error *err)
{
    struct pnm h;
    limber_status st = header(&h, bytes, size, err);
    if (st)
        return st;
    f->width = h.width;
    f->height = h.height;
    f->memory = (size_t)h.width * (size_t)h.height * 3;
    return LIMBER_OK;
}

/* A sample as text: of a bitmap a single digit, which may stand close to the next. */
static int text_sample(struct bytes *b, const struct pnm *h)
{
    if (h->kind > 1)
        return number(b);
    while (b->at < b->size && b->p[b->at] && strchr(" \t\r\n\v\f", b->p[b->at]))
        b->at++;
    return b->at < b->size && (b->p[b->at] == '0' || b->p[b->at] == '1') ? b->p[b->at++] - '0' : -1;
}

static uint8_t to_byte(unsigned v, unsigned maximum)
{
    if (maximum == 65535)
        return (uint8_t)(v >> 8);
    return (uint8_t)((v * 255 + maximum / 2) / maximum);
}

IMAGE_DECODE(pnm_decode)
{
    (void)reduce;
    struct pnm h;
    limber_status st = header(&h, bytes, size, err);
    if (st)
        return st;
    int channels = channels_of(&h);
    size_t row = (size_t)h.width * (size_t)channels, samples = row * (size_t)h.height;
    size_t row_bytes = h.kind == 4 ? ((size_t)h.width + 7) / 8 : row * (h.maximum > 255 ? 2 : 1);
    size_t left = size > h.data ? size - h.data : 0;
    if (h.kind > 3 ? left / row_bytes < (size_t)h.height : left < samples) /* as text a sample is one byte at least */
        return limber_fail(err, LIMBER_E_FORMAT, "PNM: cut short, %zu bytes do not hold %dx%d pixels", size, h.width, h.height);
    if (!image_pixels_new(out, "PNM", f->width, f->height, channels, err))
        return LIMBER_E_MEMORY;
    struct bytes b = {.p = bytes, .size = size, .at = h.data};
    for (size_t i = 0; i < samples; i++) {
        int v;
        if (h.kind == 4)
            v = !(bytes[h.data + i / row * row_bytes + i % row / 8] >> (7 - i % row % 8) & 1); /* 1 is black */
        else if (h.kind > 3)
            v = h.maximum > 255 ? (int)take_be16(&b) : (int)take_u8(&b);
        else
            v = text_sample(&b, &h);
        if (h.kind == 1 && v >= 0)
            v = !v;
        if (v < 0 || v > h.maximum) {
            free(out->p);
            *out = (struct image_pixels){0};
            return v < 0 ? limber_fail(err, LIMBER_E_FORMAT, "PNM: cut short or damaged, sample %zu of %zu is no number", i,
                                       samples)
                         : limber_fail(err, LIMBER_E_FORMAT, "PNM: sample %zu is %d, above the maximum %d", i, v, h.maximum);
        }
        out->p[i] = to_byte((unsigned)v, (unsigned)h.maximum);
    }
    return LIMBER_OK;
}
