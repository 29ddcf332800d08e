/* SPDX-License-Identifier: MIT */
/* image/tiff.c - TIFF and BigTIFF through libtiff (4.5 or later, whose messages and limits belong to a handle, not to the process),
 * where the build found it; the first picture of the file. Raw files of cameras are TIFFs whose first picture is a thumbnail: they
 * are told apart and refused, never shown as that. */
#include "image/bytes.h"
#include "image/format.h"

bool tiff_magic(const uint8_t *b, size_t size)
{
    return begins_with(b, size, "II*\0", 4) || begins_with(b, size, "MM\0*", 4) || begins_with(b, size, "II+\0", 4) ||
           begins_with(b, size, "MM\0+", 4);
}

#ifdef LIMBER_TIFF
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <tiffio.h>

#include "base/error.h"

struct source {
    const uint8_t *bytes;
    size_t size, at;
    char text[256]; /* libtiff's first complaint */
};

static tmsize_t source_read(thandle_t handle, void *to, tmsize_t n)
{
    struct source *s = handle;
    size_t left = s->at < s->size ? s->size - s->at : 0;
    size_t take = n < 0 ? 0 : (size_t)n < left ? (size_t)n : left;
    memcpy(to, s->bytes + (take ? s->at : 0), take);
    s->at += take;
    return (tmsize_t)take;
}

static tmsize_t source_write(thandle_t handle, void *from, tmsize_t n)
{
    (void)handle, (void)from, (void)n;
    return -1;
}

static toff_t source_seek(thandle_t handle, toff_t offset, int whence)
{
    struct source *s = handle;
    toff_t base = whence == SEEK_CUR ? s->at : whence == SEEK_END ? s->size : 0;
    s->at = base + offset;
    return s->at;
}

/* In memory it is: nothing needs to be read into another place. */
static int source_map(thandle_t handle, void **at, toff_t *n)
{
    struct source *s = handle;
    *at = (void *)s->bytes;
    *n = s->size;
    return 1;
}

static void source_unmap(thandle_t handle, void *at, toff_t n)
{
    (void)handle, (void)at, (void)n;
}

static int source_close(thandle_t handle)
{
    (void)handle;
    return 0;
}

static toff_t source_size(thandle_t handle)
{
    return ((struct source *)handle)->size;
}

static int complain(TIFF *tiff, void *user, const char *module, const char *format, va_list ap)
{
    (void)tiff, (void)module;
    struct source *s = user;
    if (!s->text[0])
        vsnprintf(s->text, sizeof s->text, format, ap);
    for (char *c = s->text; *c; c++)
        *c = *c < ' ' || *c > '~' ? '?' : *c;
    return 1; /* nobody else need hear of it */
}

static int ignore(TIFF *tiff, void *user, const char *module, const char *format, va_list ap)
{
    (void)tiff, (void)user, (void)module, (void)format, (void)ap;
    return 1;
}

static TIFF *open_source(struct source *s, size_t memory)
{
    TIFFOpenOptions *options = TIFFOpenOptionsAlloc();
    if (!options)
        return NULL;
    TIFFOpenOptionsSetErrorHandlerExtR(options, complain, s);
    TIFFOpenOptionsSetWarningHandlerExtR(options, ignore, s);
    TIFFOpenOptionsSetMaxSingleMemAlloc(options, (tmsize_t)memory);
    TIFF *tiff = TIFFClientOpenExt("image", "r", s, source_read, source_write, source_seek, source_close, source_size, source_map,
                                   source_unmap, options);
    TIFFOpenOptionsFree(options);
    return tiff;
}

limber_status tiff_size(struct image_facts *f, const uint8_t *bytes, size_t size, limber_error *err)
{
    struct source s = {.bytes = bytes, .size = size};
    TIFF *tiff = open_source(&s, 64 << 20);
    if (!tiff)
        return limber_fail(err, LIMBER_E_FORMAT, "TIFF: cut short or damaged (%s)", s.text);
    uint32_t width = 0, height = 0, kind = 0;
    uint16_t orientation = 1, bits = 1, samples = 1, colours = 0;
    const void *unused = NULL;
    TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &width);
    TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &height);
    TIFFGetField(tiff, TIFFTAG_SUBFILETYPE, &kind);
    TIFFGetField(tiff, TIFFTAG_ORIENTATION, &orientation);
    TIFFGetField(tiff, TIFFTAG_PHOTOMETRIC, &colours);
    TIFFGetFieldDefaulted(tiff, TIFFTAG_BITSPERSAMPLE, &bits);
    TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLESPERPIXEL, &samples);
    const bool raw = begins_with(bytes + (size > 10 ? 8 : 0), size > 10 ? size - 8 : 0, "CR", 2) ||
                     TIFFGetField(tiff, TIFFTAG_DNGVERSION, &unused) || (kind & FILETYPE_REDUCEDIMAGE);
    char why[1024] = "";
    const bool readable = raw || TIFFRGBAImageOK(tiff, why);
    const tmsize_t strip = TIFFIsTiled(tiff) ? TIFFTileSize(tiff) : TIFFStripSize(tiff);
    TIFFClose(tiff);
    if (raw)
        return limber_fail(err, LIMBER_E_UNSUPPORTED, "TIFF: a raw picture of a camera: convert it to JPEG or PNG");
    if (width < 1 || height < 1 || width > INT32_MAX || height > INT32_MAX)
        return limber_fail(err, LIMBER_E_FORMAT, "TIFF: the header says %ux%u", width, height);
    if (colours == PHOTOMETRIC_CIELAB || colours == PHOTOMETRIC_ICCLAB ||
        colours == PHOTOMETRIC_ITULAB) /* libtiff's are too dark */
        return limber_fail(err, LIMBER_E_UNSUPPORTED, "TIFF: colours as L*a*b*: convert it to PNG");
    if (!readable)
        return limber_fail(err, LIMBER_E_UNSUPPORTED, "TIFF: %u bits in %u samples: %s", bits, samples, why);
    f->width = (int)width;
    f->height = (int)height;
    f->orientation = orientation >= 1 && orientation <= 8 ? orientation : 1;
    f->memory = 4 * (size_t)width * height + (strip > 0 ? (size_t)strip : 0) * 2 + (1 << 20);
    return LIMBER_OK;
}

IMAGE_DECODE(tiff_decode)
{
    (void)reduce;
    struct source s = {.bytes = bytes, .size = size};
    TIFF *tiff = open_source(&s, f->memory);
    if (!tiff)
        return limber_fail(err, LIMBER_E_FORMAT, "TIFF: cut short or damaged (%s)", s.text);
    if (!image_pixels_new(out, "TIFF", f->width, f->height, 4, err)) {
        TIFFClose(tiff);
        return LIMBER_E_MEMORY;
    }
    /* libtiff turns half of the orientations: none, then, here; image.c does them all. Compressed data are decoded to the end. */
    TIFFSetField(tiff, TIFFTAG_ORIENTATION, ORIENTATION_TOPLEFT);
    int good = TIFFReadRGBAImageOriented(tiff, (uint32_t)f->width, (uint32_t)f->height, (uint32_t *)(void *)out->p,
                                         ORIENTATION_TOPLEFT, 1) &&
               !s.text[0];
    TIFFClose(tiff);
    if (!good) {
        free(out->p);
        *out = (struct image_pixels){0};
        return limber_fail(err, LIMBER_E_FORMAT, "TIFF: cut short or damaged (%s)", s.text);
    }
    /* red in the low byte, which comes first in memory; colours are multiplied with alpha already: what is missing is white */
    uint8_t *to = out->p, *from = out->p;
    for (size_t i = 0; i < (size_t)f->width * (size_t)f->height; i++, from += 4, to += 3) {
        const unsigned white = 255u - from[3];
        for (int c = 0; c < 3; c++)
            to[c] = (uint8_t)(from[c] + white > 255 ? 255 : from[c] + white);
    }
    out->channels = 3;
    return LIMBER_OK;
}
#endif
