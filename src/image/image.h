/* SPDX-License-Identifier: MIT */
/* image/image.h - an image file from a stranger becomes upright 8-bit RGB, or an error that says why not. */
#ifndef LIMBER_IMAGE_H
#define LIMBER_IMAGE_H

#include <stdbool.h>

#include "limber.h"

#define IMAGE_MAX_PIXELS ((unsigned)LIMBER_MAX_PIXELS)         /* decoded size limit */
#define IMAGE_MAX_FILE_BYTES ((unsigned)LIMBER_MAX_FILE_BYTES) /* compressed size limit */
#define IMAGE_STB "stb_image 2.30"

struct image {
    limber_image view;   /* RGB, owned by this struct */
    int width, height;   /* of the upright picture; the view's are these divided by `reduce`, rounded up */
    int reduce;          /* 1, or 2, 4, 8 where a smaller picture was asked for: a pixel of the view covers so many, squared */
    const char *decoder; /* "libjpeg-turbo 2.1.5"; static */
};

struct image_options {
    bool built_in;       /* only decoders that every build has: the same bytes everywhere */
    unsigned max_pixels; /* below IMAGE_MAX_PIXELS, or 0 for that */
    int reduce;          /* 0, 1: all pixels; 2, 4, 8: of a JPEG that libjpeg-turbo decodes every such, averaged */
    uint8_t
        *into; /* [room], or NULL: where a decoder may put the pixels. Then view.pixels is this, and is not the image's to free */
    size_t room;
};

/* What the header says. */
struct image_about {
    int width, height;            /* upright */
    size_t memory;                /* bytes that decoding holds at its peak, beside the file */
    bool reducible;               /* image_options.reduce has an effect */
    const char *format, *decoder; /* static */
};

/* Decodes bytes of a file: JPEG, PNG, GIF and WebP (first frame), BMP, TGA, PSD, PNM, HDR, TIFF, HEIC, AVIF; the last three and WebP
 * where their library is there. Applies the orientation, draws alpha over white, makes 8-bit RGB of grey, CMYK, 10, 12, 16 bits. A
 * file cut short is an error even where pixels could be made of it. */
limber_status image_decode(struct image *out, const uint8_t *bytes, size_t size, limber_error *err);
limber_status image_decode_with(struct image *out, const struct image_options *options, const uint8_t *bytes, size_t size,
                                limber_error *err);
limber_status image_open(struct image *out, const char *path, limber_error *err);
void image_close(struct image *im); /* leaves it zero */
/* The header, without decoding. */
limber_status image_examine(struct image_about *out, const struct image_options *options, const uint8_t *bytes, size_t size,
                            limber_error *err);
limber_status image_size(int *width, int *height, const uint8_t *bytes, size_t size, limber_error *err);

/* What decodes each format: a row a format, decoder NULL where this build or this machine has none. Returns how many, at most room. */
struct image_decoder {
    const char *format, *decoder; /* static */
};
int image_decoders(struct image_decoder *out, int room, bool built_in);
/* Whether a picture with these first bytes asks for a library that is opened at run time. Opens nothing. */
#define IMAGE_FIRST_BYTES 16
bool image_opens_library(const uint8_t *first, size_t size);
/* A format's or decoder's name, of at most `room` bytes, as image_decoders has it; NULL: unknown. Opens a library only where no other
 * decoder is called so. */
const char *image_format_named(const char *name, size_t room);
const char *image_decoder_named(const char *name, size_t room);

/* The same picture with at most `longest` pixels a side, each the mean of the area it covers; width and height stay the picture's
 * own. One that is small enough is left alone. */
limber_status image_shrink(struct image *im, int longest, limber_error *err);

/* Writes RGB to a temporary name beside `path`, then renames it there. JPEG by libjpeg-turbo: not in every build. */
bool image_writes_jpeg(void);
limber_status image_write_jpeg(const char *path, const limber_image *image, limber_error *err);
limber_status image_write_png(const char *path, const limber_image *image, limber_error *err);

#endif
