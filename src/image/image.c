/* Files of strangers -> upright 8-bit RGB, and RGB -> PNG files.
 *
 *     examine   what it is, by its first bytes; a walk over the markers of a JPEG or the chunks of a PNG: size, orientation, and
 *               whether the file goes on to its end mark; other formats: size from stb_image
 *     decode    stb_image (image/stb.c), only after the size has been found acceptable
 *     to RGB    grey spread, alpha drawn over white
 *     upright   EXIF orientation (tag 0x0112 of a JPEG's APP1 or a PNG's eXIf) applied
 *
 * What is cut short is an error, although pixels could be made of it: a JPEG must reach its EOI marker and hold at least one bit
 * for every 8x8 block, a PNG its IEND chunk and all its pixels; the other formats have no end mark, there stb_image must not
 * have asked for more than the file has. Bytes after the end are ignored (cameras put second pictures and maker notes there).
 *
 * Limits: IMAGE_MAX_FILE_BYTES, IMAGE_MAX_PIXELS, JPEG_MAX_SCANS; no single allocation above 16 bytes a pixel. */
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
#include "image/png.h"
#include "image/stb_glue.h"

#define JPEG_MAX_SCANS 100 /* a progressive file has about ten; thousands of empty ones would take hours */

/* A piece of the file with a place in it; reads past the end set `cut` and give zeros. */
struct reader {
    const uint8_t *bytes;
    size_t size, at;
    bool cut;
};

static unsigned u8(struct reader *r)
{
    if (r->at >= r->size) {
        r->cut = true;
        return 0;
    }
    return r->bytes[r->at++];
}

static unsigned be16(struct reader *r)
{
    unsigned high = u8(r);
    return high << 8 | u8(r);
}

static uint32_t be32(struct reader *r)
{
    uint32_t high = be16(r);
    return high << 16 | be16(r);
}

/* ---- what it is ---- */

enum kind { UNKNOWN, JPEG, PNG, GIF, BMP, PSD, PNM, HDR, TGA };
static const char *const kind_names[] = {"", "JPEG", "PNG", "GIF", "BMP", "PSD", "PNM", "HDR", "TGA"};

struct facts {
    enum kind kind;
    int width, height; /* as stored */
    int orientation;   /* EXIF's 1..8 */
};

static bool begins(const uint8_t *bytes, size_t size, const char *magic, size_t n)
{
    return size >= n && !memcmp(bytes, magic, n);
}

/* TGA has no magic number: colour map or none, a known type of pixels, and a header that makes sense. */
static bool looks_like_tga(const uint8_t *b, size_t size)
{
    return size >= 18 && b[1] <= 1 && (b[2] == 1 || b[2] == 2 || b[2] == 3 || b[2] == 9 || b[2] == 10 || b[2] == 11) &&
           (b[1] == 1) == (b[2] == 1 || b[2] == 9) && (b[12] || b[13]) && (b[14] || b[15]) &&
           (b[16] == 8 || b[16] == 15 || b[16] == 16 || b[16] == 24 || b[16] == 32);
}

static enum kind kind_of(const uint8_t *b, size_t size)
{
    if (begins(b, size, "\xff\xd8\xff", 3))
        return JPEG;
    if (begins(b, size, "\x89PNG\r\n\x1a\n", 8))
        return PNG;
    if (begins(b, size, "GIF87a", 6) || begins(b, size, "GIF89a", 6))
        return GIF;
    if (begins(b, size, "BM", 2) && size >= 26 && !b[6] && !b[7] && !b[8] && !b[9]) /* reserved zeros: text may begin with BM */
        return BMP;
    if (begins(b, size, "8BPS", 4))
        return PSD;
    if ((begins(b, size, "P5", 2) || begins(b, size, "P6", 2)) && size > 2 && strchr(" \t\r\n", b[2]) && b[2])
        return PNM;
    if (begins(b, size, "#?RADIANCE\n", 11) || begins(b, size, "#?RGBE\n", 7))
        return HDR;
    return looks_like_tga(b, size) ? TGA : UNKNOWN;
}

/* "not an image", with the first bytes for a look and a guess where they are well known. */
static limber_status not_an_image(const uint8_t *b, size_t size, limber_error *err)
{
    if (size == 0)
        return limber_fail(err, LIMBER_E_FORMAT, "not an image: the file is empty");
    static const struct {
        size_t at, n;
        const char *magic, *guess;
    } known[] = {
        {8, 4, "WEBP", "a WebP picture: convert it to JPEG or PNG"},
        {4, 8, "ftypheic", "a HEIC picture: convert it to JPEG or PNG"},
        {4, 8, "ftypmif1", "a HEIF picture: convert it to JPEG or PNG"},
        {4, 8, "ftypavif", "an AVIF picture: convert it to JPEG or PNG"},
        {4, 4, "ftyp", "a video?"},
        {0, 4, "II*\0", "a TIFF or raw picture: convert it to JPEG or PNG"},
        {0, 4, "MM\0*", "a TIFF or raw picture: convert it to JPEG or PNG"},
        {0, 2, "P3", "an ASCII PNM: only the binary kinds are read"},
        {0, 2, "P2", "an ASCII PNM: only the binary kinds are read"},
        {0, 14, "version https:", "a Git LFS pointer: fetch the file itself"},
        {0, 5, "<html", "a web page"},
        {0, 5, "<!DOC", "a web page"},
    };
    const char *guess = NULL;
    for (size_t i = 0; !guess && i < sizeof known / sizeof *known; i++)
        if (size >= known[i].at + known[i].n && !memcmp(b + known[i].at, known[i].magic, known[i].n))
            guess = known[i].guess;
    char start[4 * 16 + 1], *p = start;
    for (size_t i = 0; i < size && i < 16; i++)
        p += b[i] >= ' ' && b[i] < 127 && b[i] != '"' && b[i] != '\\' ? snprintf(p, 2, "%c", b[i])
                                                                      : snprintf(p, 5, "\\x%02x", b[i]);
    return limber_fail(err, LIMBER_E_FORMAT, "not an image: starts with \"%s\"%s%s", start, guess ? ", " : "",
                       guess ? guess : "");
}

/* ---- EXIF: a TIFF header, then a directory of 12-byte entries; all we want is one number ---- */

static unsigned tiff_read(const struct reader *r, size_t at, int bytes, bool little)
{
    unsigned v = 0;
    if (r->size < (size_t)bytes || at > r->size - (size_t)bytes)
        return 0;
    for (int i = 0; i < bytes; i++)
        v = v << 8 | r->bytes[at + (size_t)(little ? bytes - 1 - i : i)];
    return v;
}

/* 1..8; 1 where nothing, or nothing sensible, is said: a damaged note is no reason to refuse the picture. */
static int exif_orientation(struct reader tiff)
{
    bool little = begins(tiff.bytes, tiff.size, "II*\0", 4);
    if (!little && !begins(tiff.bytes, tiff.size, "MM\0*", 4))
        return 1;
    size_t directory = tiff_read(&tiff, 4, 4, little), entries = tiff_read(&tiff, directory, 2, little);
    for (size_t i = 0; i < entries; i++) {
        size_t entry = directory + 2 + 12 * i;
        if (tiff_read(&tiff, entry, 2, little) != 0x0112)
            continue;
        bool one_short = tiff_read(&tiff, entry + 2, 2, little) == 3 && tiff_read(&tiff, entry + 4, 4, little) == 1;
        unsigned value = tiff_read(&tiff, entry + 8, 2, little);
        return one_short && value >= 1 && value <= 8 ? (int)value : 1;
    }
    return 1;
}

/* ---- JPEG: segments "FF marker length ...", and entropy-coded data after each SOS ---- */

/* Frame header: size, and how many 8x8 blocks the picture has. */
static limber_status jpeg_frame(struct reader r, unsigned marker, struct facts *f, uint64_t *blocks, limber_error *err)
{
    if (marker != 0xc0 && marker != 0xc1 && marker != 0xc2)
        return limber_fail(err, LIMBER_E_UNSUPPORTED,
                           "JPEG: frame type SOF%u (lossless, hierarchical or arithmetic), expected 0, 1 or 2", marker - 0xc0);
    if (f->width)
        return limber_fail(err, LIMBER_E_FORMAT, "JPEG: a second frame header");
    unsigned precision = u8(&r), components;
    f->height = (int)be16(&r);
    f->width = (int)be16(&r);
    components = u8(&r);
    if (r.cut || f->width < 1 || f->height < 1 || components < 1 || components > 4)
        return limber_fail(err, LIMBER_E_FORMAT, "JPEG: a frame of %dx%d with %u components", f->width, f->height, components);
    if (precision != 8)
        return limber_fail(err, LIMBER_E_UNSUPPORTED, "JPEG: %u bits a sample, expected 8", precision);
    unsigned h[4], v[4], h_max = 1, v_max = 1;
    for (unsigned c = 0; c < components; c++) {
        u8(&r); /* component identifier */
        unsigned sampling = u8(&r);
        h[c] = sampling >> 4;
        v[c] = sampling & 15;
        u8(&r); /* quantisation table */
        if (r.cut || h[c] < 1 || h[c] > 4 || v[c] < 1 || v[c] > 4)
            return limber_fail(err, LIMBER_E_FORMAT, "JPEG: component %u has sampling factors %ux%u", c, h[c], v[c]);
        h_max = h[c] > h_max ? h[c] : h_max;
        v_max = v[c] > v_max ? v[c] : v_max;
    }
    for (unsigned c = 0; c < components; c++) {
        uint64_t across = ((uint64_t)f->width * h[c] + 8 * h_max - 1) / (8 * h_max);
        uint64_t down = ((uint64_t)f->height * v[c] + 8 * v_max - 1) / (8 * v_max);
        *blocks += across * down;
    }
    return LIMBER_OK;
}

/* Huffman tables: class and number, how many codes of each length 1..16, then one byte a code. stb_image writes past its table of
 * 257 when there are more codes than 256, so nothing but whole and sound tables may reach it. */
static limber_status jpeg_tables(struct reader r, limber_error *err)
{
    while (r.at < r.size) {
        unsigned table = u8(&r), codes = 0;
        for (int length = 1; length <= 16; length++)
            codes += u8(&r);
        if (r.cut || table > 0x1f || (table & 15) > 3 || codes > 256 || codes > r.size - r.at)
            return limber_fail(err, LIMBER_E_FORMAT, "JPEG: damaged Huffman table (number %02X, %u codes)", table, codes);
        r.at += codes;
    }
    return LIMBER_OK;
}

/* Bytes of entropy-coded data from r->at on; stops at the marker behind them. FF 00 is a byte FF, FF D0..D7 a restart. */
static size_t jpeg_scan(struct reader *r)
{
    size_t begin = r->at;
    while (r->at < r->size) {
        const uint8_t *ff = memchr(r->bytes + r->at, 0xff, r->size - r->at);
        if (!ff || (size_t)(ff - r->bytes) + 1 >= r->size) {
            r->at = r->size;
            break;
        }
        r->at = (size_t)(ff - r->bytes);
        unsigned next = r->bytes[r->at + 1];
        if (next == 0xff)
            r->at += 1;
        else if (next == 0 || (next >= 0xd0 && next <= 0xd7))
            r->at += 2;
        else
            break;
    }
    return r->at - begin;
}

static limber_status jpeg_examine(struct facts *f, const uint8_t *bytes, size_t size, limber_error *err)
{
    struct reader r = {.bytes = bytes, .size = size, .at = 2};
    uint64_t blocks = 0, coded = 0;
    int scans = 0;
    bool exif_seen = false;
    for (;;) {
        while (r.at < size && u8(&r) != 0xff) /* between segments some writers leave stray bytes */
            ;
        unsigned marker = u8(&r);
        while (marker == 0xff)
            marker = u8(&r);
        if (r.cut || (r.at >= size && marker != 0xd9))
            return limber_fail(err, LIMBER_E_FORMAT, "JPEG: cut short, no end marker in %zu bytes", size);
        if (marker == 0xd9)
            break;
        if (marker == 0 || marker == 1 || (marker >= 0xd0 && marker <= 0xd8)) /* no segment follows */
            continue;
        size_t begin = r.at;
        unsigned length = be16(&r);
        if (r.cut || length < 2 || length > size - begin)
            return limber_fail(err, LIMBER_E_FORMAT,
                               "JPEG: cut short, segment FF%02X at byte %zu claims %u bytes, the file has %zu left", marker,
                               begin - 2, length, size - begin);
        struct reader segment = {.bytes = bytes + r.at, .size = length - 2};
        r.at = begin + length;
        limber_status st = LIMBER_OK;
        if (marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc)
            st = jpeg_frame(segment, marker, f, &blocks, err);
        else if (marker == 0xc4)
            st = jpeg_tables(segment, err);
        else if (marker == 0xe1 && !exif_seen && begins(segment.bytes, segment.size, "Exif\0", 5) && segment.size > 6) {
            exif_seen = true;
            f->orientation = exif_orientation((struct reader){.bytes = segment.bytes + 6, .size = segment.size - 6});
        } else if (marker == 0xda) {
            if (!f->width)
                st = limber_fail(err, LIMBER_E_FORMAT, "JPEG: picture data before a frame header");
            else if (++scans > JPEG_MAX_SCANS)
                st = limber_fail(err, LIMBER_E_FORMAT, "JPEG: more than %d scans", JPEG_MAX_SCANS);
            coded += jpeg_scan(&r);
        }
        if (st)
            return st;
    }
    if (scans == 0)
        return limber_fail(err, LIMBER_E_FORMAT, "JPEG: no picture data in %zu bytes", size);
    if (8 * coded < blocks)
        return limber_fail(err, LIMBER_E_FORMAT, "JPEG: cut short, %llu bytes of picture data for %llu blocks of %dx%d pixels",
                           (unsigned long long)coded, (unsigned long long)blocks, f->width, f->height);
    return LIMBER_OK;
}

/* ---- PNG: "length type data crc" ---- */

static limber_status png_examine(struct facts *f, const uint8_t *bytes, size_t size, limber_error *err)
{
    struct reader r = {.bytes = bytes, .size = size, .at = 8};
    bool pixels = false;
    for (int chunk = 0;; chunk++) {
        size_t begin = r.at;
        uint32_t length = be32(&r);
        const uint8_t *type = bytes + r.at;
        if (size - r.at < 8 || length > size - r.at - 8)
            return limber_fail(err, LIMBER_E_FORMAT, "PNG: cut short, the chunk at byte %zu does not fit the file's %zu", begin,
                               size);
        struct reader data = {.bytes = type + 4, .size = length};
        r.at += 4 + (size_t)length + 4;
        if (chunk == 0) {
            uint32_t width = be32(&data), height = be32(&data);
            if (memcmp(type, "IHDR", 4) || data.cut || width < 1 || height < 1 || width > INT32_MAX || height > INT32_MAX)
                return limber_fail(err, LIMBER_E_FORMAT, "PNG: the header says %ux%u", width, height);
            f->width = (int)width;
            f->height = (int)height;
            if ((uint64_t)width * height > IMAGE_MAX_PIXELS) /* at once: a header alone must give this answer, not "cut short" */
                return LIMBER_OK;
        }
        if (!memcmp(type, "eXIf", 4))
            f->orientation = exif_orientation(data);
        pixels |= !memcmp(type, "IDAT", 4);
        if (!memcmp(type, "IEND", 4))
            break;
    }
    return pixels ? LIMBER_OK : limber_fail(err, LIMBER_E_FORMAT, "PNG: no picture data in %zu bytes", size);
}

/* ---- PNM: "P6 width height maximum", any white space and #comments between ---- */

static int pnm_number(struct reader *r)
{
    while (r->at < r->size && strchr(" \t\r\n\v\f#", r->bytes[r->at]) && r->bytes[r->at])
        if (r->bytes[r->at++] == '#')
            while (r->at < r->size && r->bytes[r->at] != '\n')
                r->at++;
    int value = 0;
    size_t digits = r->at;
    for (; r->at < r->size && r->bytes[r->at] >= '0' && r->bytes[r->at] <= '9'; r->at++)
        value = value < 0 || value >= 100000000 ? -1 : 10 * value + (r->bytes[r->at] - '0'); /* once too large, it stays so */
    return r->at > digits ? value : -1;
}

static limber_status pnm_examine(struct facts *f, const uint8_t *bytes, size_t size, limber_error *err)
{
    struct reader r = {.bytes = bytes, .size = size, .at = 2};
    f->width = pnm_number(&r);
    f->height = pnm_number(&r);
    int maximum = pnm_number(&r);
    if (f->width < 1 || f->height < 1 || maximum < 1 || maximum > 65535)
        return limber_fail(err, LIMBER_E_FORMAT, "PNM: the header's three numbers are not width, height and maximum");
    return LIMBER_OK;
}

/* ---- all of them ---- */

static limber_status examine(struct facts *f, const uint8_t *bytes, size_t size, limber_error *err)
{
    *f = (struct facts){.kind = kind_of(bytes, size), .orientation = 1};
    if (size > IMAGE_MAX_FILE_BYTES)
        return limber_fail(err, LIMBER_E_MEMORY, "image: a file of %zu bytes, the limit is %u", size, IMAGE_MAX_FILE_BYTES);
    limber_status st = LIMBER_OK;
    const char *reason = NULL;
    if (f->kind == UNKNOWN)
        return not_an_image(bytes, size, err);
    else if (f->kind == JPEG)
        st = jpeg_examine(f, bytes, size, err);
    else if (f->kind == PNG)
        st = png_examine(f, bytes, size, err);
    else if (f->kind == PNM)
        st = pnm_examine(f, bytes, size, err);
    else if ((reason = stb_size(&f->width, &f->height, bytes, size)))
        st = limber_fail(err, LIMBER_E_FORMAT, "%s: header not understood (%s)", kind_names[f->kind], reason);
    if (st)
        return st;
    if (f->width < 1 || f->height < 1 || (uint64_t)f->width * (uint64_t)f->height > IMAGE_MAX_PIXELS)
        return limber_fail(err, LIMBER_E_MEMORY, "%s: %dx%d is %lld pixels, the limit is %u", kind_names[f->kind], f->width,
                           f->height, (long long)f->width * f->height, IMAGE_MAX_PIXELS);
    return LIMBER_OK;
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

limber_status image_decode(struct image *out, const uint8_t *bytes, size_t size, limber_error *err)
{
    *out = (struct image){0};
    struct facts f;
    limber_status st = examine(&f, bytes, size, err);
    if (st)
        return st;
    const char *name = kind_names[f.kind];
    size_t w = (size_t)f.width, h = (size_t)f.height, pixels = w * h;
    struct stb_picture p;
    /* Decoders pad to blocks of up to 32x32. The most any needs in one piece: 16-byte pixels of HDR. */
    const char *reason = stb_decode(&p, bytes, size, f.kind == JPEG ? 3 : 0, 16 * (w + 64) * (h + 64) + (1 << 20));
    uint8_t *rgb = p.pixels, *plain = NULL;
    if (reason && !strcmp(reason, "outofmem"))
        return limber_fail(err, LIMBER_E_MEMORY, "%s: no memory for %dx%d pixels, or more data in the file than those", name,
                           f.width, f.height);
    if (reason)
        return limber_fail(err, LIMBER_E_FORMAT, "%s: damaged or of an unusual kind (%s)", name, reason);
    if (p.short_read || p.width != f.width || p.height != f.height) {
        st = p.short_read ? limber_fail(err, LIMBER_E_FORMAT, "%s: cut short, %zu bytes do not hold %dx%d pixels", name, size,
                                        f.width, f.height)
                          : limber_fail(err, LIMBER_E_FORMAT, "%s: the header says %dx%d, the pixels are %dx%d", name, f.width,
                                        f.height, p.width, p.height);
        goto fail;
    }
    if (p.channels < 3) {
        plain = malloc(3 * pixels);
        if (!plain)
            goto no_memory;
        to_rgb(plain, rgb, pixels, p.channels);
        free(rgb);
        rgb = plain;
    } else if (p.channels == 4) {
        to_rgb(rgb, rgb, pixels, 4);
        plain = realloc(rgb, 3 * pixels);
        rgb = plain ? plain : rgb;
    }
    if (f.orientation > 1) {
        uint8_t *upright = malloc(3 * pixels);
        if (!upright)
            goto no_memory;
        make_upright(upright, rgb, f.width, f.height, f.orientation);
        free(rgb);
        rgb = upright;
    }
    bool turned = f.orientation >= 5;
    out->view = (limber_image){.rgb = rgb, .width = turned ? f.height : f.width, .height = turned ? f.width : f.height};
    out->view.stride = 3 * (size_t)out->view.width;
    return LIMBER_OK;
no_memory:
    st = limber_fail(err, LIMBER_E_MEMORY, "%s: no memory for %dx%d pixels", name, f.width, f.height);
fail:
    free(rgb);
    return st;
}

limber_status image_size(int *width, int *height, const uint8_t *bytes, size_t size, limber_error *err)
{
    struct facts f;
    limber_status st = examine(&f, bytes, size, err);
    if (st)
        return st;
    *width = f.orientation >= 5 ? f.height : f.width;
    *height = f.orientation >= 5 ? f.width : f.height;
    return LIMBER_OK;
}

void image_close(struct image *im)
{
    free((uint8_t *)im->view.rgb);
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

/* A new file beside `path`, so that renaming it is one step of the file system. Its name does not grow with path's. */
static int open_beside(char **name, const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t folder = slash ? (size_t)(slash - path) + 1 : 0, room = folder + 64;
    *name = malloc(room);
    for (int i = 0; *name && i < 1000; i++) {
        snprintf(*name, room, "%.*s.limber-%ld-%d.tmp", (int)folder, path, (long)getpid(), i);
        int fd = open(*name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
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

limber_status image_write_png(const char *path, const limber_image *image, limber_error *err)
{
    size_t size;
    uint8_t *png = png_encode(image, &size);
    if (!png)
        return limber_fail(err, LIMBER_E_MEMORY, "%s: no memory for a PNG of %dx%d", path, image->width, image->height);
    char *name = NULL;
    const bool stream = file_is_stream(path);
    int fd = stream ? open(path, O_WRONLY | O_CLOEXEC) : open_beside(&name, path);
    bool written = fd >= 0 && write_all(fd, png, size);
    int reason = errno;
    if (fd >= 0 && close(fd) && written) { /* a full disk or quota may show only here */
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
    free(png);
    if (!written)
        return limber_fail(err, LIMBER_E_IO, "%s: cannot write: %s", path, strerror(reason));
    return LIMBER_OK;
}
