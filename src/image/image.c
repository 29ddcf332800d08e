/* SPDX-License-Identifier: MIT */
/* Files of strangers -> upright 8-bit RGB, and RGB -> PNG and JPEG files. Each format is a row of the table below and a file of this folder.
 *
 *     magic     what it is, by its first bytes
 *     size      its header, checked: size, orientation, and that the file goes on to its end
 *     limits    IMAGE_MAX_FILE_BYTES, IMAGE_MAX_PIXELS: before anything is allocated
 *     decode    by a library or by code of our own; nothing cut short passes, although pixels could be made of it
 *     to RGB    grey spread, alpha drawn over white
 *     upright   EXIF orientation applied */
#define _POSIX_C_SOURCE 200809L
#include "image/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "image/bytes.h"
#include "image/format.h"
#include "image/jpeg.h"
#include "image/png.h"

/* The first row that fits decodes; so the order is that of preference, and TGA, which has no magic number, comes last. */
static const struct image_format formats[] = {
#ifdef LIMBER_JPEG_TURBO
    {"JPEG", "libjpeg-turbo " LIMBER_JPEG_TURBO, false, NULL, jpeg_magic, jpeg_size, jpeg_turbo_decode},
#endif
    {"JPEG", IMAGE_STB, true, NULL, jpeg_magic, jpeg_size, jpeg_stb_decode},
    {"PNG", IMAGE_STB, true, NULL, png_magic, png_size, png_decode},
    {"GIF", "built in", true, NULL, gif_magic, gif_size, gif_decode},
    {"BMP", "built in", true, NULL, bmp_magic, bmp_size, bmp_decode},
    {"PNM", "built in", true, NULL, pnm_magic, pnm_size, pnm_decode},
    {"PSD", IMAGE_STB, true, NULL, psd_magic, psd_size, psd_decode},
    {"HDR", IMAGE_STB, true, NULL, hdr_magic, hdr_size, hdr_decode},
#ifdef LIMBER_WEBP
    {"WebP", "libwebp " LIMBER_WEBP, false, NULL, webp_magic, webp_size, webp_decode},
#endif
#ifdef LIMBER_TIFF
    {"TIFF", "libtiff " LIMBER_TIFF, false, NULL, tiff_magic, tiff_size, tiff_decode},
#endif
#ifdef LIMBER_HEIF
    {"HEIF", "libheif", false, heif_decoder, heif_magic, heif_size, heif_decode},
#endif
    {"TGA", "built in", true, NULL, tga_magic, tga_size, tga_decode},
};
#define FORMATS (sizeof formats / sizeof *formats)

#ifdef LIMBER_HEIF
#define HEIF_PACKAGE "libheif1"
#else
#define HEIF_PACKAGE "libheif1, and a limber that opens libraries"
#endif
/* What is known by its first bytes, and not read by this build, on this machine, or at all. The first that fits. */
static const struct {
    size_t at, n;
    const char *magic, *what, *package; /* the Debian package that would help */
} known[] = {
    {8, 4, "WEBP", "a WebP picture: convert it to JPEG or PNG", "libwebp-dev before limber is built"},
    {4, 7, "ftypavi", "an AVIF picture: convert it to JPEG or PNG", HEIF_PACKAGE},
    {4, 6, "ftyphe", "a HEIC picture: convert it to JPEG or PNG", HEIF_PACKAGE},
    {4, 6, "ftypmi", "a HEIF picture: convert it to JPEG or PNG", HEIF_PACKAGE},
    {4, 6, "ftypms", "a HEIF picture: convert it to JPEG or PNG", HEIF_PACKAGE},
    {4, 7, "ftypcrx", "a raw picture of a camera: convert it to JPEG or PNG", NULL},
    {4, 4, "ftyp", "a video?", NULL},
    {0, 4, "II*\0", "a TIFF or raw picture: convert it to JPEG or PNG", "libtiff-dev before limber is built"},
    {0, 4, "MM\0*", "a TIFF or raw picture: convert it to JPEG or PNG", "libtiff-dev before limber is built"},
    {0, 4, "II+\0", "a TIFF picture: convert it to JPEG or PNG", "libtiff-dev before limber is built"},
    {0, 4, "MM\0+", "a TIFF picture: convert it to JPEG or PNG", "libtiff-dev before limber is built"},
    {0, 4, "IIRO", "a raw picture of a camera: convert it to JPEG or PNG", NULL},
    {0, 4, "IIU\0", "a raw picture of a camera: convert it to JPEG or PNG", NULL},
    {0, 8, "FUJIFILM", "a raw picture of a camera: convert it to JPEG or PNG", NULL},
    {0, 2, "\xff\x0a", "a JPEG XL picture: convert it to JPEG or PNG", NULL},
    {0, 12, "\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL picture: convert it to JPEG or PNG", NULL},
    {0, 12, "\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 picture: convert it to JPEG or PNG", NULL},
    {0, 4, "\xff\x4f\xff\x51", "a JPEG 2000 picture: convert it to JPEG or PNG", NULL},
    {0, 2, "P7", "a PAM picture: convert it to PNM or PNG", NULL},
    {0, 2, "PF", "a picture of floats (PFM): convert it to PNG", NULL},
    {0, 2, "Pf", "a picture of floats (PFM): convert it to PNG", NULL},
    {0, 14, "version https:", "a Git LFS pointer: fetch the file itself", NULL},
    {0, 5, "<html", "a web page", NULL},
    {0, 5, "<!DOC", "a web page", NULL},
    {0, 4, "<svg", "a vector drawing: convert it to PNG", NULL},
    {0, 4, "%PDF", "a PDF: convert its pages to PNG", NULL},
};

/* "not an image", with the first bytes for a look and a guess where they are well known. */
static limber_status not_an_image(const uint8_t *b, size_t size, bool built_in, limber_error *err)
{
    if (size == 0)
        return limber_fail(err, LIMBER_E_FORMAT, "not an image: the file is empty");
    const char *what = NULL, *package = NULL;
    for (size_t i = 0; !what && i < sizeof known / sizeof *known; i++)
        if (size >= known[i].at + known[i].n && !memcmp(b + known[i].at, known[i].magic, known[i].n)) {
            what = known[i].what;
            package = known[i].package;
        }
    char start[4 * 16 + 1], *p = start;
    for (size_t i = 0; i < size && i < 16; i++)
        p += b[i] >= ' ' && b[i] < 127 && b[i] != '"' && b[i] != '\\' ? snprintf(p, 2, "%c", b[i])
                                                                      : snprintf(p, 5, "\\x%02x", b[i]);
    if (package) /* an image, then, but not one for this build */
        return limber_fail(err, LIMBER_E_UNSUPPORTED, "%s%s%s%s", what,
                           built_in ? " (--decoder stb reads what every build reads)" : ", or install ", built_in ? "" : package,
                           built_in ? "" : " (Debian's name)");
    return limber_fail(err, LIMBER_E_FORMAT, "not an image: starts with \"%s\"%s%s", start, what ? ", " : "", what ? what : "");
}

static const char *decoder_of(const struct image_format *f)
{
    return f->opened ? f->opened() : f->decoder;
}

static limber_status examine(const struct image_format **format, struct image_facts *f, const uint8_t *bytes, size_t size,
                             const struct image_options *options, limber_error *err)
{
    const bool built_in = options->built_in;
    const unsigned most = options->max_pixels ? options->max_pixels : IMAGE_MAX_PIXELS;
    *f = (struct image_facts){.orientation = 1};
    *format = NULL;
    if (size > IMAGE_MAX_FILE_BYTES)
        return limber_fail(err, LIMBER_E_MEMORY, "image: a file of %zu bytes, the limit is %u", size, IMAGE_MAX_FILE_BYTES);
    for (size_t i = 0; !*format && i < FORMATS; i++)
        if ((formats[i].built_in || !built_in) && formats[i].magic(bytes, size) && decoder_of(&formats[i]))
            *format = &formats[i];
    if (!*format)
        return not_an_image(bytes, size, built_in, err);
    limber_status st = (*format)->size(f, bytes, size, err);
    if (st)
        return st;
    if (f->width < 1 || f->height < 1 || (uint64_t)f->width * (uint64_t)f->height > most)
        return limber_fail(err, LIMBER_E_MEMORY, "%s: %dx%d is %lld pixels, the limit is %u", (*format)->name, f->width,
                           f->height, (long long)f->width * f->height, most);
    return LIMBER_OK;
}

bool image_pixels_new(struct image_pixels *out, const char *format, int width, int height, int channels, limber_error *err)
{
    uint8_t *p = calloc((size_t)width * (size_t)height, (size_t)channels);
    *out = (struct image_pixels){.p = p, .width = width, .height = height, .channels = channels};
    if (!p)
        limber_fail(err, LIMBER_E_MEMORY, "%s: no memory for %dx%d pixels", format, width, height);
    return p != NULL;
}

void image_mend_alpha(struct image_pixels *pixels)
{
    const size_t n = (size_t)pixels->width * (size_t)pixels->height, step = (size_t)pixels->channels;
    if (step == 1 || step == 3)
        return;
    for (size_t i = 0; i < n; i++)
        if (pixels->p[i * step + step - 1])
            return;
    for (size_t i = 0; i < n; i++)
        pixels->p[i * step + step - 1] = 255;
}

/* v over white, a of 255, rounded */
static uint8_t over_white(unsigned v, unsigned a)
{
    return (uint8_t)((v * a + 255 * (255 - a) + 127) / 255);
}

/* `channels` a pixel to three; out may be in, where that has at least three. */
static void to_rgb(uint8_t *out, const uint8_t *in, size_t pixels, int channels)
{
    for (size_t i = 0; i < pixels; i++, in += channels, out += 3) {
        unsigned alpha = channels == 2 ? in[1] : channels == 4 ? in[3] : 255;
        uint8_t r = in[0], g = channels > 2 ? in[1] : in[0], b = channels > 2 ? in[2] : in[0];
        out[0] = over_white(r, alpha);
        out[1] = over_white(g, alpha);
        out[2] = over_white(b, alpha);
    }
}

/* EXIF: row 0 and column 0 of what is stored are, on the upright image, 1 top left, 2 top right, 3 bottom right, 4 bottom left,
 * 5 left top, 6 right top, 7 right bottom, 8 left bottom. So stored pixel (x, y) goes to: */
static size_t upright_place(int orientation, int x, int y, int w, int h)
{
    int across =
        orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8 ? w - 1 - x : x; /* along a stored row */
    int down = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7 ? h - 1 - y : y;
    return orientation < 5 ? (size_t)down * (size_t)w + (size_t)across : (size_t)across * (size_t)h + (size_t)down;
}

static void make_upright(uint8_t *out, const uint8_t *in, int w, int h, int orientation)
{
    enum { TILE = 32 }; /* a turn reads rows and writes columns: in tiles both stay in the cache */
    for (int top = 0; top < h; top += TILE)
        for (int left = 0; left < w; left += TILE)
            for (int y = top; y < top + TILE && y < h; y++)
                for (int x = left; x < left + TILE && x < w; x++)
                    memcpy(out + 3 * upright_place(orientation, x, y, w, h), in + 3 * ((size_t)y * (size_t)w + (size_t)x), 3);
}

/* Only libjpeg-turbo decodes to fewer pixels. */
static bool image_can_reduce(const struct image_format *format, const struct image_facts *f)
{
    return f->reducible && !format->built_in;
}

/* Whether width and height change places. */
static bool turns(int orientation)
{
    return orientation >= 5;
}

limber_status image_decode_with(struct image *out, const struct image_options *options, const uint8_t *bytes, size_t size,
                                limber_error *err)
{
    *out = (struct image){0};
    const struct image_format *format;
    struct image_facts f;
    limber_status st = examine(&format, &f, bytes, size, options, err);
    if (st)
        return st;
    const int reduce = image_can_reduce(format, &f) && options->reduce > 1 ? options->reduce : 1;
    struct image_pixels p = {.into = options->into, .room = options->room};
    st = format->decode(&p, &f, reduce, bytes, size, err);
    if (st)
        return st;
    const size_t pixels = (size_t)p.width * (size_t)p.height;
    if (p.width != (f.width + reduce - 1) / reduce || p.height != (f.height + reduce - 1) / reduce) {
        st = limber_fail(err, LIMBER_E_FORMAT, "%s: the header says %dx%d, the pixels are %dx%d", format->name, f.width, f.height,
                         p.width, p.height);
        if (p.p != options->into)
            free(p.p);
        return st;
    }
    uint8_t *rgb = p.p, *plain = NULL;
    if (p.channels < 3) {
        plain = malloc(3 * pixels);
        if (!plain)
            goto no_memory;
        to_rgb(plain, rgb, pixels, p.channels);
        if (rgb != options->into)
            free(rgb);
        rgb = plain;
    } else if (p.channels == 4) {
        to_rgb(rgb, rgb, pixels, 4);
    }
    if (f.orientation > 1) {
        uint8_t *upright = malloc(3 * pixels);
        if (!upright)
            goto no_memory;
        make_upright(upright, rgb, p.width, p.height, f.orientation);
        if (rgb != options->into)
            free(rgb);
        rgb = upright;
    } else if (rgb != options->into) { /* what the decoder took beyond that goes back */
        plain = realloc(rgb, 3 * pixels);
        rgb = plain ? plain : rgb;
    }
    const bool turned = turns(f.orientation);
    out->view = (limber_image){.pixels = rgb, .width = turned ? p.height : p.width, .height = turned ? p.width : p.height};
    out->view.stride = 3 * (size_t)out->view.width;
    out->width = turned ? f.height : f.width;
    out->height = turned ? f.width : f.height;
    out->reduce = reduce;
    out->decoder = decoder_of(format);
    return LIMBER_OK;
no_memory:
    if (rgb != options->into)
        free(rgb);
    return limber_fail(err, LIMBER_E_MEMORY, "%s: no memory for %dx%d pixels", format->name, f.width, f.height);
}

limber_status image_decode(struct image *out, const uint8_t *bytes, size_t size, limber_error *err)
{
    return image_decode_with(out, &(struct image_options){0}, bytes, size, err);
}

limber_status image_examine(struct image_about *out, const struct image_options *options, const uint8_t *bytes, size_t size,
                            limber_error *err)
{
    const struct image_format *format;
    struct image_facts f;
    *out = (struct image_about){0};
    limber_status st = examine(&format, &f, bytes, size, options, err);
    if (st)
        return st;
    const bool turned = turns(f.orientation);
    const size_t pixels = 3 * (size_t)f.width * (size_t)f.height;
    out->width = turned ? f.height : f.width;
    out->height = turned ? f.width : f.height;
    out->format = format->name;
    out->decoder = decoder_of(format);
    out->reducible = image_can_reduce(format, &f);
    out->memory = f.memory > pixels ? f.memory : pixels;
    if (f.orientation > 1 && out->memory < 2 * pixels)
        out->memory = 2 * pixels;
    return LIMBER_OK;
}

limber_status image_size(int *width, int *height, const uint8_t *bytes, size_t size, limber_error *err)
{
    struct image_about about;
    limber_status st = image_examine(&about, &(struct image_options){0}, bytes, size, err);
    if (st)
        return st;
    *width = about.width;
    *height = about.height;
    return LIMBER_OK;
}

int image_decoders(struct image_decoder *out, int room, bool built_in)
{
    static const char *const names[] = {"JPEG", "PNG", "GIF", "BMP", "TGA", "PNM", "PSD", "HDR", "WebP", "TIFF", "HEIF"};
    const int n = (int)(sizeof names / sizeof *names);
    for (int k = 0; k < n && k < room; k++) {
        out[k] = (struct image_decoder){names[k], NULL};
        for (size_t i = 0; i < FORMATS && !out[k].decoder; i++)
            if (!strcmp(formats[i].name, names[k]) && (formats[i].built_in || !built_in))
                out[k].decoder = decoder_of(&formats[i]);
    }
    return n < room ? n : room;
}

bool image_opens_library(const uint8_t *first, size_t size)
{
    for (size_t i = 0; i < FORMATS; i++)
        if (formats[i].opened && formats[i].magic(first, size))
            return true;
    return false;
}

const char *image_format_named(const char *name, size_t room)
{
    for (size_t i = 0; i < FORMATS; i++)
        if (!strncmp(formats[i].name, name, room))
            return formats[i].name;
    return NULL;
}

const char *image_decoder_named(const char *name, size_t room)
{
    for (size_t i = 0; i < FORMATS; i++)
        if (!formats[i].opened && !strncmp(formats[i].decoder, name, room))
            return formats[i].decoder;
    for (size_t i = 0; i < FORMATS; i++) {
        const char *opened = formats[i].opened ? formats[i].opened() : NULL;
        if (opened && !strncmp(opened, name, room))
            return opened;
    }
    return NULL;
}

void image_close(struct image *im)
{
    free((uint8_t *)im->view.pixels);
    *im = (struct image){0};
}

/* ---- files ---- */

limber_status image_open(struct image *out, const char *path, limber_error *err)
{
    *out = (struct image){0};
    uint8_t *bytes;
    size_t size;
    limber_status st = file_read(&bytes, &size, path, IMAGE_MAX_FILE_BYTES, err);
    if (!st)
        st = image_decode(out, bytes, size, err);
    free(bytes);
    if (st)
        limber_error_prefix(err, "%s", path);
    return st;
}

/* ---- the public calls ---- */

static limber_status check_options(limber_image *out, const void *source, const char *name, const limber_image_options *o,
                                   limber_error *err)
{
    if (out)
        *out = (limber_image){0};
    if (!out || !source)
        return limber_fail(err, LIMBER_E_ARGUMENT, "%s is NULL", out ? name : "out");
    if (o->max_pixels < 0 || o->max_pixels > LIMBER_MAX_PIXELS)
        return limber_fail(err, LIMBER_E_ARGUMENT, "image options: max_pixels is %lld, expected 0..%d", (long long)o->max_pixels,
                           LIMBER_MAX_PIXELS);
    if (o->max_bytes < 0 || o->max_bytes > LIMBER_MAX_FILE_BYTES)
        return limber_fail(err, LIMBER_E_ARGUMENT, "image options: max_bytes is %lld, expected 0..%d", (long long)o->max_bytes,
                           LIMBER_MAX_FILE_BYTES);
    if (o->portable != 0 && o->portable != 1)
        return limber_fail(err, LIMBER_E_ARGUMENT, "image options: portable is %d, expected 0 or 1", o->portable);
    return LIMBER_CHECK_RESERVED(o, "image options", "{0}", err);
}

static size_t byte_limit(const limber_image_options *o)
{
    return o->max_bytes ? (size_t)o->max_bytes : IMAGE_MAX_FILE_BYTES;
}

static limber_status decode(limber_image *out, const uint8_t *bytes, size_t size, const limber_image_options *o,
                            limber_error *err)
{
    if (size > byte_limit(o))
        return limber_fail(err, LIMBER_E_MEMORY, "image: a file of %zu bytes, the limit is %zu", size, byte_limit(o));
    const struct image_options options = {.built_in = o->portable, .max_pixels = (unsigned)o->max_pixels};
    struct image image;
    limber_status st = image_decode_with(&image, &options, bytes, size, err);
    if (!st)
        *out = image.view;
    return st;
}

limber_status limber_image_decode(limber_image *out, const uint8_t *bytes, size_t size, const limber_image_options *options,
                                  limber_error *err)
{
    const limber_image_options o = options ? *options : (limber_image_options){0};
    limber_status st = check_options(out, bytes, "limber_image_decode: bytes", &o, err);
    return st ? st : decode(out, bytes, size, &o, err);
}

limber_status limber_image_read(limber_image *out, const char *path, const limber_image_options *options, limber_error *err)
{
    const limber_image_options o = options ? *options : (limber_image_options){0};
    limber_status st = check_options(out, path, "limber_image_read: path", &o, err);
    if (st)
        return st;
    uint8_t *bytes;
    size_t size;
    st = file_read(&bytes, &size, path, byte_limit(&o), err);
    if (!st)
        st = decode(out, bytes, size, &o, err);
    free(bytes);
    if (st)
        limber_error_prefix(err, "%s", path);
    return st;
}

void limber_image_free(limber_image *image)
{
    if (!image)
        return;
    free((uint8_t *)image->pixels);
    *image = (limber_image){0};
}

/* ---- writing ---- */

/* A new file beside `path`, so that renaming it is one step of the file system. Its name does not grow with path's. */
static int open_beside(char **name, const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t folder = slash ? (size_t)(slash - path) + 1 : 0, room = folder + 64;
    *name = malloc(room);
    for (int i = 0; *name && i < 1000; i++) {
        snprintf(*name, room, "%.*s.limber-%ld-%d.tmp", (int)folder, path, (long)getpid(), i);
        int fd = file_open(*name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0 || errno != EEXIST)
            return fd;
    }
    errno = *name ? EEXIST : ENOMEM;
    return -1;
}

static bool write_all(int fd, const uint8_t *bytes, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, bytes, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        bytes += n;
        size -= (size_t)n;
    }
    return true;
}

static limber_status write_file(const char *path, const uint8_t *bytes, size_t size, limber_error *err)
{
    char *name = NULL;
    const bool stream = file_is_stream(path);
    int fd = stream ? file_open(path, O_WRONLY | O_CLOEXEC, 0) : open_beside(&name, path);
    bool written = fd >= 0 && write_all(fd, bytes, size);
    int reason = errno;
    if (fd >= 0 && close(fd) && errno != EINTR && written) { /* a full disk or quota may show only here */
        reason = errno;
        written = false;
    }
    if (written && !stream && rename(name, path)) {
        reason = errno;
        written = false;
    }
    if (fd >= 0 && !written && !stream)
        unlink(name);
    free(name);
    if (!written)
        return limber_fail(err, LIMBER_E_IO, "%s: cannot write: %s", path, error_text(reason));
    return LIMBER_OK;
}

limber_status image_write_png(const char *path, const limber_image *image, limber_error *err)
{
    size_t size;
    uint8_t *png = png_encode(image, &size);
    if (!png)
        return limber_fail(err, LIMBER_E_MEMORY, "%s: no memory for a PNG of %dx%d", path, image->width, image->height);
    const limber_status st = write_file(path, png, size, err);
    free(png);
    return st;
}

#define JPEG_QUALITY 85

#ifdef LIMBER_JPEG_TURBO
bool image_writes_jpeg(void)
{
    return true;
}

limber_status image_write_jpeg(const char *path, const limber_image *image, limber_error *err)
{
    size_t size;
    uint8_t *jpeg = jpeg_turbo_encode(image, JPEG_QUALITY, &size);
    if (!jpeg)
        return limber_fail(err, LIMBER_E_MEMORY, "%s: no JPEG of %dx%d: no memory, or more than 65,500 pixels a side", path,
                           image->width, image->height);
    const limber_status st = write_file(path, jpeg, size, err);
    free(jpeg);
    return st;
}
#else
bool image_writes_jpeg(void)
{
    return false;
}

limber_status image_write_jpeg(const char *path, const limber_image *image, limber_error *err)
{
    (void)image;
    return limber_fail(err, LIMBER_E_UNSUPPORTED, "%s: this build has no libjpeg-turbo to write it with", path);
}
#endif
