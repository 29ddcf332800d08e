/* stb_image (Debian: libstb-dev), compiled here and nowhere else.
 *
 * Its fears are ours to handle: past the end of a file stb_image reads zeros and says nothing, and it lets a small PNG inflate
 * to 4 GiB. So formats without an end mark of their own are read through a callback that notices a short read, and every
 * allocation passes a limit that is set per call. The limit and stb's failure text are per thread; nothing is shared. */
#include "image/stb_glue.h"

#include <stdlib.h>
#include <string.h>

static _Thread_local size_t allocation_limit;

static void *limited_realloc(void *p, size_t bytes)
{
    return bytes <= allocation_limit ? realloc(p, bytes) : NULL;
}

#define STBI_MALLOC(bytes) limited_realloc(NULL, bytes)
#define STBI_REALLOC(p, bytes) limited_realloc(p, bytes)
#define STBI_FREE(p) free(p)
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#define STBI_NO_STDIO
#define STBI_NO_PIC
#define STBI_MAX_DIMENSIONS (1 << 20)
#pragma GCC diagnostic ignored "-Wunused-function" /* judged at the end of the file, so for all of it */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wsign-compare"
#include <stb_image.h>
#pragma GCC diagnostic pop

struct source {
    stbi__context context;
    const uint8_t *next;
    size_t left;
    bool short_read;
};

static int source_read(void *user, char *data, int size)
{
    struct source *s = user;
    int n = (size_t)size < s->left ? size : (int)s->left;
    /* stb fills its own buffer ahead of need: there less than asked is no sign of anything, only nothing at all is */
    if (n < size && (n == 0 || data != (char *)s->context.buffer_start))
        s->short_read = true;
    memcpy(data, s->next, (size_t)n);
    s->next += n;
    s->left -= (size_t)n;
    return n;
}

static void source_skip(void *user, int n)
{
    struct source *s = user;
    if (n < 0 || (size_t)n > s->left) {
        s->short_read = true;
        n = (int)s->left;
    }
    s->next += n;
    s->left -= (size_t)n;
}

static int source_at_end(void *user)
{
    return ((struct source *)user)->left == 0;
}

const char *stb_decode(struct stb_picture *out, const uint8_t *bytes, size_t size, int channels, size_t memory)
{
    static const stbi_io_callbacks callbacks = {source_read, source_skip, source_at_end};
    struct source s = {.next = bytes, .left = size};
    allocation_limit = memory;
    *out = (struct stb_picture){0};
    if (channels == 3) /* JPEG, whose reader is twice as fast from memory, and whose end image/image.c has seen */
        stbi__start_mem(&s.context, bytes, (int)size);
    else
        stbi__start_callbacks(&s.context, (stbi_io_callbacks *)&callbacks, &s);
    int in_file = 0;
    out->pixels = stbi__load_and_postprocess_8bit(&s.context, &out->width, &out->height, &in_file, channels);
    out->channels = channels ? channels : in_file;
    out->short_read = s.short_read;
    return out->pixels ? NULL : stbi_failure_reason();
}

const char *stb_size(int *width, int *height, const uint8_t *bytes, size_t size)
{
    allocation_limit = 1 << 20;
    return stbi_info_from_memory(bytes, (int)size, width, height, NULL) ? NULL : stbi_failure_reason();
}
