/* image/stb_glue.h - the little of stb_image that image/image.c uses. */
#ifndef LIMBER_STB_GLUE_H
#define LIMBER_STB_GLUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stb_picture {
    uint8_t *pixels; /* [height][width][channels]; released with free */
    int width, height;
    int channels;    /* 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha */
    bool short_read; /* the decoder wanted bytes past the end of the file, and made do with zeros */
};

/* Decodes `bytes`. channels: 3 to have stb convert, 0 for what the file holds. No single allocation passes `memory`.
 * On failure pixels is NULL and the reason is returned, else NULL. */
const char *stb_decode(struct stb_picture *out, const uint8_t *bytes, size_t size, int channels, size_t memory);
/* Width and height from the header. */
const char *stb_size(int *width, int *height, const uint8_t *bytes, size_t size);

#endif
