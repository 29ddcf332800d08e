/* SPDX-License-Identifier: MIT */
/* image/stb.c - stb_image (third_party/stb), compiled here and nowhere else: PNG, PSD, HDR, and JPEG where libjpeg-turbo is not.
 *
 * Its fears are ours to handle: past the end of a file stb_image reads zeros and says nothing, and it lets a small PNG inflate
 * to 4 GiB. So formats without an end mark of their own are read through a callback that notices a short read, every allocation
 * passes a limit that is set per call, and all memory is zeroed, so that no file can make a picture of what somebody else left
 * there. The limit and stb's failure text are per thread; nothing is shared. third_party/stb/README.md lists what was mended. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "image/bytes.h"
#include "image/format.h"

static _Thread_local size_t allocation_limit;

static void *zeroed(size_t bytes)
{
    return bytes <= allocation_limit ? calloc(1, bytes) : NULL;
}

static void *zeroed_realloc(void *p, size_t old_bytes, size_t bytes)
{
    char *more = bytes <= allocation_limit ? realloc(p, bytes) : NULL;
    if (more && bytes > old_bytes)
        memset(more + old_bytes, 0, bytes - old_bytes);
    return more;
}

#define STBI_MALLOC(bytes) zeroed(bytes)
#define STBI_REALLOC_SIZED(p, old_bytes, bytes) zeroed_realloc(p, old_bytes, bytes)
#define STBI_FREE(p) free(p)
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_NO_PIC
#define STBI_NO_GIF
#define STBI_NO_BMP
#define STBI_NO_TGA
#define STBI_NO_PNM
#define STBI_MAX_DIMENSIONS (1 << 20)
#pragma GCC diagnostic ignored "-Wunused-function" /* judged at the end of the file, so for all of it */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wsign-compare"
#include "stb_image.h"
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

/* `end_known`: the file has an end mark that was seen, and can be read from memory, twice as fast. */
static limber_status decode(struct image_pixels *out, const char *name, const struct image_facts *f, const uint8_t *bytes,
                            size_t size, bool end_known, int channels, limber_error *err)
{
    static const stbi_io_callbacks callbacks = {source_read, source_skip, source_at_end};
    struct source s = {.next = bytes, .left = size};
    allocation_limit = f->memory + (1 << 20);
    stbi_convert_iphone_png_to_rgb_thread(1);
    stbi_set_unpremultiply_on_load_thread(1);
    if (end_known)
        stbi__start_mem(&s.context, bytes, (int)size);
    else
        stbi__start_callbacks(&s.context, (stbi_io_callbacks *)&callbacks, &s);
    int width = 0, height = 0, in_file = 0;
    uint8_t *pixels = stbi__load_and_postprocess_8bit(&s.context, &width, &height, &in_file, channels);
    const char *reason = pixels ? NULL : stbi_failure_reason();
    if (reason && !strcmp(reason, "outofmem"))
        return limber_fail(err, LIMBER_E_MEMORY, "%s: no memory for %dx%d pixels, or more data in the file than those", name,
                           f->width, f->height);
    if (reason && strcmp(reason, "cut short"))
        return limber_fail(err, LIMBER_E_FORMAT, "%s: damaged or of an unusual kind (%s)", name, reason);
    limber_status st = LIMBER_OK;
    if (reason || s.short_read)
        st = limber_fail(err, LIMBER_E_FORMAT, "%s: cut short, %zu bytes do not hold %dx%d pixels", name, size, f->width,
                         f->height);
    else if (width != f->width || height != f->height)
        st = limber_fail(err, LIMBER_E_FORMAT, "%s: the header says %dx%d, the pixels are %dx%d", name, f->width, f->height,
                         width, height);
    if (st)
        free(pixels);
    else
        *out = (struct image_pixels){.p = pixels, .width = width, .height = height, .channels = channels ? channels : in_file};
    return st;
}

/* ---- JPEG ---- */

/* Huffman tables of ITU-T T.81 annex K, tables K.3 to K.6, as a DHT segment: what a motion JPEG leaves out. */
static const uint8_t standard_tables[] = {
    0xff, 0xc4, 0x01, 0xa2, 0x00, 0x00, 0x01, 0x05, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x10, 0x00, 0x02, 0x01, 0x03, 0x03, 0x02, 0x04, 0x03,
    0x05, 0x05, 0x04, 0x04, 0x00, 0x00, 0x01, 0x7d, 0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13,
    0x51, 0x61, 0x07, 0x22, 0x71, 0x14, 0x32, 0x81, 0x91, 0xa1, 0x08, 0x23, 0x42, 0xb1, 0xc1, 0x15, 0x52, 0xd1, 0xf0, 0x24, 0x33,
    0x62, 0x72, 0x82, 0x09, 0x0a, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x34, 0x35, 0x36, 0x37, 0x38,
    0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65,
    0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a,
    0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4,
    0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7,
    0xd8, 0xd9, 0xda, 0xe1, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8,
    0xf9, 0xfa, 0x01, 0x00, 0x03, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01,
    0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x11, 0x00, 0x02, 0x01, 0x02, 0x04, 0x04, 0x03, 0x04, 0x07, 0x05,
    0x04, 0x04, 0x00, 0x01, 0x02, 0x77, 0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61,
    0x71, 0x13, 0x22, 0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xa1, 0xb1, 0xc1, 0x09, 0x23, 0x33, 0x52, 0xf0, 0x15, 0x62, 0x72, 0xd1,
    0x0a, 0x16, 0x24, 0x34, 0xe1, 0x25, 0xf1, 0x17, 0x18, 0x19, 0x1a, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x35, 0x36, 0x37, 0x38, 0x39,
    0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66,
    0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a,
    0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4,
    0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7,
    0xd8, 0xd9, 0xda, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
};

/* A JPEG with what its writer left out: the standard tables, the end mark. NULL where memory is short. */
static uint8_t *completed(const struct image_facts *f, const uint8_t *bytes, size_t *size)
{
    size_t tables = f->standard_tables ? sizeof standard_tables : 0;
    uint8_t *all = malloc(*size + tables + 2);
    if (!all)
        return NULL;
    memcpy(all, bytes, 2);
    memcpy(all + 2, standard_tables, tables);
    memcpy(all + 2 + tables, bytes + 2, *size - 2);
    *size += tables;
    if (f->open_end) {
        memcpy(all + *size, "\xff\xd9", 2);
        *size += 2;
    }
    return all;
}

IMAGE_DECODE(jpeg_stb_decode)
{
    (void)reduce;
    uint8_t *all = NULL;
    if (f->standard_tables || f->open_end) {
        all = completed(f, bytes, &size);
        if (!all)
            return limber_fail(err, LIMBER_E_MEMORY, "JPEG: no memory for %zu bytes", size);
    }
    limber_status st = decode(out, "JPEG", f, all ? all : bytes, size, true, 3, err);
    free(all);
    return st;
}

/* ---- PNG: its chunks were walked by png_file.c ---- */

IMAGE_DECODE(png_decode)
{
    (void)reduce;
    if (!f->open_end)
        return decode(out, "PNG", f, bytes, size, true, 0, err);
    static const uint8_t end[] = {0, 0, 0, 0, 'I', 'E', 'N', 'D', 0xae, 0x42, 0x60, 0x82};
    uint8_t *whole = malloc(size + sizeof end);
    if (!whole)
        return limber_fail(err, LIMBER_E_MEMORY, "PNG: no memory for a file of %zu bytes", size);
    memcpy(whole, bytes, size);
    memcpy(whole + size, end, sizeof end);
    const limber_status st = decode(out, "PNG", f, whole, size + sizeof end, true, 0, err);
    free(whole);
    return st;
}

/* ---- PSD and HDR ---- */

bool psd_magic(const uint8_t *b, size_t size)
{
    return begins_with(b, size, "8BPS", 4);
}

bool hdr_magic(const uint8_t *b, size_t size)
{
    return begins_with(b, size, "#?RADIANCE\n", 11) || begins_with(b, size, "#?RGBE\n", 7);
}

static limber_status header_size(struct image_facts *f, const char *name, size_t bytes_a_pixel, const uint8_t *bytes, size_t size,
                                 limber_error *err)
{
    allocation_limit = 1 << 20;
    if (!stbi_info_from_memory(bytes, (int)size, &f->width, &f->height, NULL))
        return limber_fail(err, LIMBER_E_FORMAT, "%s: header not understood (%s)", name, stbi_failure_reason());
    f->memory = f->width > 0 && f->height > 0 ? (size_t)f->width * (size_t)f->height * bytes_a_pixel : 0;
    return LIMBER_OK;
}

limber_status psd_size(struct image_facts *f, const uint8_t *bytes, size_t size, limber_error *err)
{
    return header_size(f, "PSD", 4 + 8, bytes, size, err); /* 16 bits, and their 8 */
}

limber_status hdr_size(struct image_facts *f, const uint8_t *bytes, size_t size, limber_error *err)
{
    return header_size(f, "HDR", 3 + 16, bytes, size, err); /* floats, and their bytes */
}

IMAGE_DECODE(psd_decode)
{
    (void)reduce;
    return decode(out, "PSD", f, bytes, size, false, 0, err);
}

IMAGE_DECODE(hdr_decode)
{
    (void)reduce;
    return decode(out, "HDR", f, bytes, size, false, 0, err);
}
