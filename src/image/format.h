/* SPDX-License-Identifier: MIT */
/* image/format.h - what a picture format is to limber: a row of the table in image/image.c, and a file of this folder.
 *
 *     magic    is it of this kind? By its first bytes, never by its name
 *     size     its header, checked: size, orientation, what decoding will need. Allocates nothing that the file's numbers could
 *              make large, so that a few hostile bytes cannot either
 *     decode   pixels; called only after `size` has accepted the file and its size is within the limits
 *
 * A new format is a new file with these three and a row in the table. What is cut short or damaged is an error, although pixels
 * could be made of it; no byte of a result comes from memory that nobody wrote. */
#ifndef LIMBER_IMAGE_FORMAT_H
#define LIMBER_IMAGE_FORMAT_H

#include "image/image.h"

struct image_facts {
    int width, height;    /* as stored */
    int orientation;      /* EXIF's 1..8; 1 as well where the decoder itself turns the picture */
    size_t memory;        /* bytes that decoding holds at its peak, pixels included, the file excluded */
    bool reducible;       /* the decoder can leave out 1/2, 3/4 or 7/8 of the rows and columns */
    bool standard_tables; /* JPEG: Huffman tables that the file does not bring and every reader knows (motion JPEG) */
    bool open_end;        /* JPEG, PNG: the end mark is missing, although all of the picture may be there */
};

struct image_pixels {
    uint8_t *p; /* [height][width][channels], from malloc, or `into` */
    int width, height;
    int channels;  /* 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha */
    uint8_t *into; /* [room], or NULL: the caller's memory, which may be used instead */
    size_t room;
};

struct image_format {
    const char *name;            /* "JPEG" */
    const char *decoder;         /* "libjpeg-turbo 2.1.5", "stb_image 2.30", "built in" */
    bool built_in;               /* in every build: what --decoder stb leaves */
    const char *(*opened)(void); /* of a library opened at run time: its name and version, NULL where it is not there */
    bool (*magic)(const uint8_t *bytes, size_t size);
    limber_status (*size)(struct image_facts *facts, const uint8_t *bytes, size_t size, limber_error *err);
    /* `reduce`: 1, or 2, 4, 8 where the facts say reducible: width and height are then divided by it, rounded up */
    limber_status (*decode)(struct image_pixels *out, const struct image_facts *facts, int reduce, const uint8_t *bytes,
                            size_t size, limber_error *err);
};

/* Orientation 1..8 of an EXIF block, which is a small TIFF; 1 where nothing, or nothing sensible, is said. */
int exif_orientation(const uint8_t *tiff, size_t size);

bool jpeg_magic(const uint8_t *bytes, size_t size);
limber_status jpeg_size(struct image_facts *f, const uint8_t *bytes, size_t size, limber_error *err);
bool png_magic(const uint8_t *bytes, size_t size);
limber_status png_size(struct image_facts *f, const uint8_t *bytes, size_t size, limber_error *err);
bool gif_magic(const uint8_t *bytes, size_t size);
limber_status gif_size(struct image_facts *f, const uint8_t *bytes, size_t size, limber_error *err);
bool bmp_magic(const uint8_t *bytes, size_t size);
limber_status bmp_size(struct image_facts *f, const uint8_t *bytes, size_t size, limber_error *err);
bool pnm_magic(const uint8_t *bytes, size_t size);
limber_status pnm_size(struct image_facts *f, const uint8_t *bytes, size_t size, limber_error *err);
bool psd_magic(const uint8_t *bytes, size_t size);
limber_status psd_size(struct image_facts *f, const uint8_t *bytes, size_t size, limber_error *err);
bool hdr_magic(const uint8_t *bytes, size_t size);
limber_status hdr_size(struct image_facts *f, const uint8_t *bytes, size_t size, limber_error *err);
bool tga_magic(const uint8_t *bytes, size_t size);
limber_status tga_size(struct image_facts *f, const uint8_t *bytes, size_t size, limber_error *err);
bool webp_magic(const uint8_t *bytes, size_t size);
limber_status webp_size(struct image_facts *f, const uint8_t *bytes, size_t size, limber_error *err);
bool tiff_magic(const uint8_t *bytes, size_t size);
limber_status tiff_size(struct image_facts *f, const uint8_t *bytes, size_t size, limber_error *err);
bool heif_magic(const uint8_t *bytes, size_t size);
limber_status heif_size(struct image_facts *f, const uint8_t *bytes, size_t size, limber_error *err);
const char *heif_decoder(void); /* "libheif 1.15.1"; NULL where none can be opened */

#define IMAGE_DECODE(name)                                                                                                       \
    limber_status name(struct image_pixels *out, const struct image_facts *f, int reduce, const uint8_t *bytes, size_t size,     \
                       limber_error *err)
IMAGE_DECODE(jpeg_turbo_decode);
IMAGE_DECODE(jpeg_stb_decode);
IMAGE_DECODE(png_decode);
IMAGE_DECODE(gif_decode);
IMAGE_DECODE(bmp_decode);
IMAGE_DECODE(pnm_decode);
IMAGE_DECODE(psd_decode);
IMAGE_DECODE(hdr_decode);
IMAGE_DECODE(tga_decode);
IMAGE_DECODE(webp_decode);
IMAGE_DECODE(tiff_decode);
IMAGE_DECODE(heif_decode);

/* [height][width][channels] for the decoders that fill it themselves, zeroed. False: no memory, said in err. */
bool image_pixels_new(struct image_pixels *out, const char *format, int width, int height, int channels, limber_error *err);
/* An alpha channel that is 0 everywhere was never meant as one: it becomes 255. */
void image_mend_alpha(struct image_pixels *pixels);

#endif
