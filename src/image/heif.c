/* SPDX-License-Identifier: MIT */
/* image/heif.c - HEIC and AVIF by libheif, opened when the first such picture comes (dlopen): it brings decoders under patents and other
 * licences, so it is never linked, never bundled, and a machine without it reads everything else.
 *
 * Declarations follow libheif/heif.h of version 1.15, whose binary interface 1.x keeps. libheif applies the container's turns and
 * mirrors (irot, imir) itself; EXIF's orientation is then only a record of the same turn (ISO/IEC 23008-12, 6.5.10, A.2). Where the
 * container says nothing, as in files that heif-enc makes of photographs, EXIF's is the only word there is, and is applied. */
#include "image/bytes.h"
#include "image/format.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"

struct heif_error {
    int code, subcode;
    const char *message;
};
enum { COLORSPACE_RGB = 1, CHROMA_RGB = 10, CHROMA_RGBA = 11, CHANNEL_INTERLEAVED = 10 };

struct library {
    const char *(*get_version)(void);
    struct heif_error (*init)(const void *parameters); /* since 1.13: loads its decoders, where they are plugins */
    void *(*context_alloc)(void);
    void (*context_free)(void *context);
    struct heif_error (*context_read)(void *context, const void *bytes, size_t size, const void *options);
    struct heif_error (*context_primary)(void *context, void **handle);
    void (*context_threads)(void *context, int threads); /* since 1.13; NULL before */
    void (*handle_release)(const void *handle);
    int (*handle_width)(const void *handle);
    int (*handle_height)(const void *handle);
    int (*handle_alpha)(const void *handle);
    struct heif_error (*decode)(const void *handle, void **image, int colorspace, int chroma, const void *options);
    const uint8_t *(*plane)(const void *image, int channel, int *stride);
    int (*image_width)(const void *image, int channel);
    int (*image_height)(const void *image, int channel);
    void (*image_release)(const void *image);
    int (*metadata_list)(const void *handle, const char *kind, uint32_t *ids, int room);
    size_t (*metadata_size)(const void *handle, uint32_t id);
    struct heif_error (*metadata)(const void *handle, uint32_t id, void *out);
    char name[64];
};

static struct library lib;
static bool there;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void open_library(void)
{
    static const struct {
        const char *name;
        size_t offset;
        bool needed;
    } functions[] = {
        {"heif_get_version", offsetof(struct library, get_version), true},
        {"heif_init", offsetof(struct library, init), false},
        {"heif_context_alloc", offsetof(struct library, context_alloc), true},
        {"heif_context_free", offsetof(struct library, context_free), true},
        {"heif_context_read_from_memory_without_copy", offsetof(struct library, context_read), true},
        {"heif_context_get_primary_image_handle", offsetof(struct library, context_primary), true},
        {"heif_context_set_max_decoding_threads", offsetof(struct library, context_threads), false},
        {"heif_image_handle_release", offsetof(struct library, handle_release), true},
        {"heif_image_handle_get_width", offsetof(struct library, handle_width), true},
        {"heif_image_handle_get_height", offsetof(struct library, handle_height), true},
        {"heif_image_handle_has_alpha_channel", offsetof(struct library, handle_alpha), true},
        {"heif_decode_image", offsetof(struct library, decode), true},
        {"heif_image_get_plane_readonly", offsetof(struct library, plane), true},
        {"heif_image_get_width", offsetof(struct library, image_width), true},
        {"heif_image_get_height", offsetof(struct library, image_height), true},
        {"heif_image_release", offsetof(struct library, image_release), true},
        {"heif_image_handle_get_list_of_metadata_block_IDs", offsetof(struct library, metadata_list), true},
        {"heif_image_handle_get_metadata_size", offsetof(struct library, metadata_size), true},
        {"heif_image_handle_get_metadata", offsetof(struct library, metadata), true},
    };
    void *handle = dlopen("libheif.so.1", RTLD_NOW | RTLD_LOCAL); /* stays open: its threads and tables live as long as we do */
    if (!handle)
        return;
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        void *function = dlsym(handle, functions[i].name);
        if (!function && functions[i].needed)
            return;
        memcpy((char *)&lib + functions[i].offset, &function, sizeof function); /* ISO C has no cast from object to function */
    }
    if (lib.init) /* now: later this process may not be allowed to open them */
        lib.init(NULL);
    snprintf(lib.name, sizeof lib.name, "libheif %.40s", lib.get_version());
    there = true;
}

const char *heif_decoder(void)
{
    pthread_once(&once, open_library);
    return there ? lib.name : NULL;
}

/* "....ftyp" and a brand of still pictures. */
bool heif_magic(const uint8_t *b, size_t size)
{
    static const char brands[][5] = {"heic", "heix", "hevc", "hevx", "heim", "heis", "hevm",
                                     "hevs", "mif1", "mif2", "msf1", "avif", "avis"};
    if (size < 12 || memcmp(b + 4, "ftyp", 4))
        return false;
    for (size_t i = 0; i < sizeof brands / sizeof *brands; i++)
        if (!memcmp(b + 8, brands[i], 4))
            return true;
    return false;
}

/* As people call the file. */
static const char *kind(const uint8_t *b)
{
    return !memcmp(b + 8, "avi", 3) ? "AVIF" : !memcmp(b + 8, "he", 2) ? "HEIC" : "HEIF";
}

static limber_status fail(struct heif_error e, const uint8_t *bytes, limber_error *err)
{
    enum { UNSUPPORTED_FILE = 3, UNSUPPORTED_FEATURE = 4, MEMORY = 6 };
    char text[160];
    snprintf(text, sizeof text, "%.150s", e.message ? e.message : "no reason given");
    for (char *c = text; *c; c++)
        *c = *c < ' ' || *c > '~' ? '?' : *c;
    if (e.code == UNSUPPORTED_FILE || e.code == UNSUPPORTED_FEATURE)
        return limber_fail(err, LIMBER_E_UNSUPPORTED,
                           "a %s picture that %s cannot read (%s): convert it to JPEG or PNG, or install libheif-plugin-libde265 "
                           "(HEIC) or libheif-plugin-dav1d (AVIF), where Debian has them",
                           kind(bytes), lib.name, text);
    return limber_fail(err, e.code == MEMORY ? LIMBER_E_MEMORY : LIMBER_E_FORMAT, "%s: cut short or damaged (%s)", kind(bytes),
                       text);
}

struct opened {
    void *context, *handle;
};

static void close_file(struct opened *o)
{
    if (o->handle)
        lib.handle_release(o->handle);
    if (o->context)
        lib.context_free(o->context);
}

static limber_status open_file(struct opened *o, const uint8_t *bytes, size_t size, limber_error *err)
{
    *o = (struct opened){.context = lib.context_alloc()};
    if (!o->context)
        return limber_fail(err, LIMBER_E_MEMORY, "HEIF: no memory");
    if (lib.context_threads)
        lib.context_threads(o->context, 0); /* limber decodes several files at once already */
    struct heif_error e = lib.context_read(o->context, bytes, size, NULL);
    if (!e.code)
        e = lib.context_primary(o->context, &o->handle);
    if (!e.code)
        return LIMBER_OK;
    limber_status st = fail(e, bytes, err); /* the message belongs to the context */
    close_file(o);
    return st;
}

/* Whether the container has a turn or a mirror of its own: a box irot or imir somewhere in its box meta. */
static bool container_turns(const uint8_t *bytes, size_t size)
{
    for (struct bytes b = {.p = bytes, .size = size}; size - b.at >= 16;) {
        const size_t begin = b.at;
        uint64_t length = take_be32(&b);
        const uint8_t *kind = bytes + b.at;
        b.at += 4;
        if (length == 1)
            length = (uint64_t)take_be32(&b) << 32 | take_be32(&b);
        if (length == 0 || length > size - begin)
            length = size - begin;
        if (length < 8)
            return false;
        for (size_t i = 8; !memcmp(kind, "meta", 4) && i + 4 <= length; i++)
            if (!memcmp(bytes + begin + i, "irot", 4) || !memcmp(bytes + begin + i, "imir", 4))
                return true;
        b.at = begin + (size_t)length;
    }
    return false;
}

/* The block begins with the distance from behind that number to the TIFF header. */
static int block_orientation(const void *handle)
{
    enum { MOST = 1 << 20 };
    uint32_t id;
    int orientation = 1;
    if (lib.metadata_list(handle, "Exif", &id, 1) != 1)
        return 1;
    const size_t size = lib.metadata_size(handle, id);
    uint8_t *block = size > 4 && size < MOST ? calloc(1, size) : NULL;
    if (block && !lib.metadata(handle, id, block).code) {
        struct bytes b = {.p = block, .size = size};
        const size_t skip = take_be32(&b);
        if (skip <= size - 4)
            orientation = exif_orientation(block + 4 + skip, size - 4 - skip);
    }
    free(block);
    return orientation;
}

limber_status heif_size(struct image_facts *f, const uint8_t *bytes, size_t size, limber_error *err)
{
    struct opened o;
    limber_status st = open_file(&o, bytes, size, err);
    if (st)
        return st;
    f->width = lib.handle_width(o.handle);
    f->height = lib.handle_height(o.handle);
    if (!container_turns(bytes, size))
        f->orientation = block_orientation(o.handle);
    close_file(&o);
    /* planes of up to 16 bits, their tiles, and the same as 8-bit RGB, twice */
    f->memory = f->width > 0 && f->height > 0 ? (size_t)f->width * (size_t)f->height * 12 + (8 << 20) : 0;
    return LIMBER_OK;
}

IMAGE_DECODE(heif_decode)
{
    (void)reduce;
    struct opened o;
    void *image = NULL;
    limber_status st = open_file(&o, bytes, size, err);
    if (st)
        return st;
    const int channels = lib.handle_alpha(o.handle) ? 4 : 3;
    struct heif_error e = lib.decode(o.handle, &image, COLORSPACE_RGB, channels == 4 ? CHROMA_RGBA : CHROMA_RGB, NULL);
    if (e.code || !image) {
        st = fail(e, bytes, err);
    } else {
        int stride = 0, w = lib.image_width(image, CHANNEL_INTERLEAVED), h = lib.image_height(image, CHANNEL_INTERLEAVED);
        const uint8_t *plane = lib.plane(image, CHANNEL_INTERLEAVED, &stride);
        if (!plane || w != f->width || h != f->height || stride < channels * w)
            st = limber_fail(err, LIMBER_E_FORMAT, "%s: the header says %dx%d, the pixels are %dx%d", kind(bytes), f->width,
                             f->height, w, h);
        else if (!image_pixels_new(out, kind(bytes), w, h, channels, err))
            st = LIMBER_E_MEMORY;
        for (int y = 0; !st && y < h; y++)
            memcpy(out->p + (size_t)y * (size_t)w * (size_t)channels, plane + (size_t)y * (size_t)stride,
                   (size_t)w * (size_t)channels);
        lib.image_release(image);
    }
    close_file(&o);
    return st;
}
