/* image/image.h - an image file from a stranger becomes upright 8-bit RGB, or an error that says why not. */
#ifndef LIMBER_IMAGE_H
#define LIMBER_IMAGE_H

#include "limber.h"

#define IMAGE_MAX_PIXELS (256u << 20)     /* decoded size limit, 768 MiB of RGB */
#define IMAGE_MAX_FILE_BYTES (512u << 20) /* compressed size limit */

struct image {
    limber_image view; /* rgb owned by this struct */
};

/* Decodes bytes of a file (JPEG baseline and progressive, PNG, BMP, GIF's first frame, TGA, PSD, PNM, HDR), applies the EXIF
 * orientation, draws alpha over white, converts grey and CMYK. A file cut short is an error even where pixels could be made. */
limber_status image_decode(struct image *out, const uint8_t *bytes, size_t size, limber_error *err);
limber_status image_open(struct image *out, const char *path, limber_error *err);
void image_close(struct image *im); /* leaves it zero */
/* Width and height after EXIF turning, without decoding. */
limber_status image_size(int *width, int *height, const uint8_t *bytes, size_t size, limber_error *err);
/* Writes PNG to a temporary name beside `path`, then renames it there. */
limber_status image_write_png(const char *path, const limber_image *image, limber_error *err);

#endif
