/* SPDX-License-Identifier: MIT */
/* image/jpeg.c - stb_image_write's JPEG encoder (Debian: libstb-dev), compiled here and nowhere else, into memory that grows.
 *
 * It shifts a bit buffer of type int to the left until the top bits fall out: undefined in C11, what gcc and clang do define, and the
 * one thing the undefined-behaviour sanitizer is told not to mind in this file. Its input is our own pixels, never a file. */
#include "image/jpeg.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STBI_WRITE_NO_STDIO
#pragma GCC diagnostic ignored "-Wunused-function" /* judged at the end of the file, so for all of it */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wsign-compare"
#include <stb_image_write.h>
#pragma GCC diagnostic pop

struct growing {
    uint8_t *bytes;
    size_t size, room;
    bool failed;
};

static void grow(void *context, void *data, int size)
{
    struct growing *g = context;
    if (!g->failed && g->size + (size_t)size > g->room) {
        size_t room = 2 * (g->size + (size_t)size);
        uint8_t *more = realloc(g->bytes, room);
        g->failed = !more;
        g->bytes = more ? more : g->bytes;
        g->room = more ? room : g->room;
    }
    if (g->failed)
        return;
    memcpy(g->bytes + g->size, data, (size_t)size);
    g->size += (size_t)size;
}

uint8_t *jpeg_encode(const uint8_t *rgb, int width, int height, int quality, size_t *bytes)
{
    struct growing g = {0};
    if (!stbi_write_jpg_to_func(grow, &g, width, height, 3, rgb, quality) || g.failed) {
        free(g.bytes);
        return NULL;
    }
    *bytes = g.size;
    return g.bytes;
}
