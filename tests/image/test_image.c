/* SPDX-License-Identifier: MIT */
/* Image files: what they decode to, which way up, and which are refused. */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <signal.h>
#include <stdio.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "image/image.h"
#include "image/png.h"

#define IMAGES LIMBER_TEST_DIR "/images/"
#define CORPUS LIMBER_TEST_DIR "/corpus/images/"

struct bytes {
    uint8_t *p;
    size_t n;
};

static struct bytes file(const char *path)
{
    struct bytes b;
    limber_error err = {0};
    cr_assert_eq(file_read(&b.p, &b.n, path, 1 << 24, &err), LIMBER_OK, "%s: %s", path, err.text);
    return b;
}

static char path_buffer[1024];
static const char *path_of(const char *dir, const char *name, const char *ending)
{
    snprintf(path_buffer, sizeof path_buffer, "%s%s%s", dir, name, ending);
    return path_buffer;
}

/* ---- pixels ---- */

static const struct image_options preferred = {0}, built_in = {.built_in = true};

static limber_status open_with(struct image *im, const struct image_options *options, const char *path, limber_error *err)
{
    struct bytes b = file(path);
    limber_status st = image_decode_with(im, options, b.p, b.n, err);
    free(b.p);
    return st;
}

/* `expected`: a P6 of 8 bits, written by Pillow. Largest and mean difference. */
static void compare_with(const struct image_options *options, const char *name, const char *expected, int largest, double mean)
{
    struct image im;
    limber_error err = {0};
    cr_assert_eq(open_with(&im, options, path_of(IMAGES, name, ""), &err), LIMBER_OK, "%s", err.text);
    struct bytes e = file(path_of(IMAGES, expected, ""));
    int w, h, at = 0;
    cr_assert_eq(sscanf((char *)e.p, "P6 %d %d 255%n", &w, &h, &at), 2);
    const uint8_t *want = e.p + at + 1;
    cr_assert(im.view.width == w && im.view.height == h, "%s: %dx%d, expected %dx%d", name, im.view.width, im.view.height, w, h);
    int worst = 0;
    double sum = 0;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < 3 * w; x++) {
            int d = abs(im.view.pixels[(size_t)y * im.view.stride + (size_t)x] - want[y * 3 * w + x]);
            worst = d > worst ? d : worst;
            sum += d;
        }
    cr_expect(worst <= largest && sum / (3 * w * h) <= mean, "%s: differs by up to %d (allowed %d), mean %.3f (allowed %.3f)",
              name, worst, largest, sum / (3 * w * h), mean);
    free(e.p);
    image_close(&im);
}

static void compare(const char *name, const char *expected, int largest, double mean)
{
    compare_with(&preferred, name, expected, largest, mean);
    compare_with(&built_in, name, expected, largest, mean);
}

Test(image, lossless_files_give_pillows_pixels)
{
    static const char *const names[] = {"rgb8.png",     "rgba8.png", "grey-alpha.png", "palette.png", "palette-transparent.png",
                                        "one-bit.png",  "rgb16.png", "grey16.png",     "palette.gif", "rgb24.bmp",
                                        "palette8.bmp", "rgb24.tga", "rgb24-rle.tga",  "rgb.ppm.pnm", "grey.pgm"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char expected[128];
        snprintf(expected, sizeof expected, "%s.ppm", names[i]);
        compare(names[i], expected, 0, 0);
    }
}

/* Two decoders round their transforms and smooth their chroma differently; both stay this close. */
Test(image, jpeg_files_give_pillows_pixels_within_rounding)
{
    static const char *const names[] = {"baseline.jpg", "full-chroma.jpg", "progressive.jpg",
                                        "grey.jpg",     "restarts.jpg",    "cmyk.jpg"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char expected[128];
        snprintf(expected, sizeof expected, "%s.ppm", names[i]);
        compare(names[i], expected, 3, 0.6);
    }
}

Test(image, all_eight_orientations_come_out_upright)
{
    for (int o = 1; o <= 8; o++) {
        char name[64];
        snprintf(name, sizeof name, "turned%d.jpg", o);
        compare(name, "turned.ppm", 40, 1.5); /* the picture before JPEG coding; a wrong turn is 30 on average */
    }
    compare("turned6-big-endian.jpg", "turned.ppm", 40, 1.5);
    compare("turned6.png", "turned.ppm", 0, 0);
}

Test(image, size_is_that_of_the_upright_picture)
{
    for (int o = 1; o <= 8; o++) {
        char name[64];
        snprintf(name, sizeof name, "turned%d.jpg", o);
        struct bytes b = file(path_of(IMAGES, name, ""));
        int w = 0, h = 0;
        cr_assert_eq(image_size(&w, &h, b.p, b.n, NULL), LIMBER_OK);
        cr_expect(w == 32 && h == 24, "orientation %d: %dx%d", o, w, h);
        free(b.p);
    }
}

/* ---- files cut short ---- */

/* Every beginning of every kind of file is an error, never a picture with a grey rest. `spare` bytes at the end say nothing of
 * the picture: GIF's end code, terminator and trailer, JPEG's end mark, PNG's IEND (which must go whole, or not at all). */
Test(image, every_file_cut_anywhere_is_an_error, .timeout = 120)
{
    static const struct {
        const char *name;
        size_t spare;
    } cases[] = {{"baseline.jpg", 2}, {"progressive.jpg", 2},
                 {"grey.jpg", 2},     {"cmyk.jpg", 2},
                 {"restarts.jpg", 2}, {"turned6.jpg", 2},
                 {"rgb8.png", 0},     {"palette.png", 0},
                 {"rgb16.png", 0},    {"palette.gif", 3},
                 {"rgb24.bmp", 0},    {"palette8.bmp", 0},
                 {"rgb24.tga", 26},   /* its footer */ {"rgb24-rle.tga", 26},
                 {"rgb.ppm.pnm", 0},  {"grey.pgm", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bytes b = file(path_of(IMAGES, cases[i].name, ""));
        for (size_t n = 0; n < b.n - cases[i].spare; n++) {
            if (n + 12 == b.n && !memcmp(b.p, "\x89PNG", 4))
                continue;
            uint8_t *cut = malloc(n + !n); /* of its own size, for the address sanitizer */
            memcpy(cut, b.p, n);
            struct image im;
            limber_error err = {0};
            for (int k = 0; k < 2; k++) {
                limber_status st = image_decode_with(&im, k ? &built_in : &preferred, cut, n, &err);
                cr_expect_neq(st, LIMBER_OK, "%s: %zu of %zu bytes were accepted", cases[i].name, n, b.n);
                cr_expect(st == LIMBER_OK || err.text[0]);
                image_close(&im);
            }
            free(cut);
        }
        free(b.p);
    }
}

Test(image, bytes_after_the_end_do_not_matter)
{
    static const char *const names[] = {"baseline.jpg", "rgb8.png"};
    for (int i = 0; i < 2; i++) {
        struct bytes b = file(path_of(IMAGES, names[i], ""));
        b.p = realloc(b.p, b.n + 100);
        memset(b.p + b.n, 0xff, 100);
        struct image im;
        limber_error err = {0};
        cr_expect_eq(image_decode(&im, b.p, b.n + 100, &err), LIMBER_OK, "%s: %s", names[i], err.text);
        image_close(&im);
        free(b.p);
    }
}

/* Damage anywhere: an error or some picture, but no read or write out of bounds. Deterministic; ci runs it under the sanitizers.
 */
Test(image, damaged_files_do_no_harm, .timeout = 120)
{
    static const char *const names[] = {
        "baseline.jpg", "progressive.jpg", "cmyk.jpg",      "turned6.png", "rgb16.png",
        "palette.gif",  "palette8.bmp",    "rgb24-rle.tga", "rgb.ppm.pnm", "palette-transparent.png"};
    uint32_t seed = 1;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct bytes b = file(path_of(IMAGES, names[i], ""));
        for (int turn = 0; turn < 300; turn++) {
            uint8_t *copy = malloc(b.n);
            memcpy(copy, b.p, b.n);
            for (int k = 0; k <= turn % 4; k++) {
                seed = seed * 1664525u + 1013904223u;
                copy[(seed >> 4) % (turn % 2 ? b.n : 200)] = (uint8_t)(seed >> 24);
            }
            struct image im;
            if (!image_decode_with(&im, turn & 4 ? &built_in : &preferred, copy, b.n, NULL)) {
                unsigned sum = 0;
                for (size_t k = 0; k < im.view.stride * (size_t)im.view.height; k++)
                    sum += im.view.pixels[k];
                cr_expect(sum < UINT32_MAX);
            }
            image_close(&im);
            free(copy);
        }
        free(b.p);
    }
}

/* ---- what is refused ---- */

static void refused(const char *what, const void *bytes, size_t n, limber_status status, const char *because)
{
    struct image im;
    limber_error err = {0};
    limber_status st = image_decode(&im, bytes, n, &err);
    cr_expect(st == status && strstr(err.text, because), "%s: %s, \"%s\", expected %s, \"%s\"", what, limber_status_name(st),
              err.text, limber_status_name(status), because);
    cr_expect(im.view.pixels == NULL);
}

Test(image, what_is_no_image_is_shown)
{
    refused("text", "hello, world\nand more text", 26, LIMBER_E_FORMAT, "not an image: starts with \"hello, world\\x0aand\"");
    refused("BM text", "BMW is a car and not a bitmap, you know", 39, LIMBER_E_FORMAT, "not an image: starts with \"BMW is");
    refused("page", "<!DOCTYPE html><html>", 21, LIMBER_E_FORMAT, "a web page");
    refused("nothing", "", 0, LIMBER_E_FORMAT, "the file is empty");
    refused("one byte", "\xff", 1, LIMBER_E_FORMAT, "starts with \"\\xff\"");
    refused("jxl", "\xff\x0a\1\2\3\4", 6, LIMBER_E_FORMAT, "a JPEG XL picture: convert it");
    refused("quote", "\"\\", 2, LIMBER_E_FORMAT, "\"\\x22\\x5c\"");
}

/* IHDR of an 8-bit RGB picture, with its checksum left zero: nobody looks. */
static size_t png_header(uint8_t *out, uint32_t w, uint32_t h)
{
    memcpy(out, "\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16);
    for (int i = 0; i < 4; i++) {
        out[16 + i] = (uint8_t)(w >> (24 - 8 * i));
        out[20 + i] = (uint8_t)(h >> (24 - 8 * i));
    }
    memcpy(out + 24, "\x08\x02\0\0\0\0\0\0\0", 9);
    return 33;
}

Test(image, absurd_sizes_are_refused_before_anything_is_allocated)
{
    uint8_t png[64];
    size_t n = png_header(png, 60000, 60000);
    struct rlimit small = {64 << 20, 64 << 20}, old;
    getrlimit(RLIMIT_DATA, &old);
#if !defined(__SANITIZE_ADDRESS__)
    setrlimit(RLIMIT_DATA, &small);
#else
    (void)small;
#endif
    refused("PNG", png, n, LIMBER_E_MEMORY, "PNG: 60000x60000 is 3600000000 pixels, the limit is 268435456");
    n = png_header(png, 0, 5);
    refused("PNG", png, n, LIMBER_E_FORMAT, "0x5");
    n = png_header(png, 0xffffffff, 1);
    refused("PNG", png, n, LIMBER_E_FORMAT, "4294967295x1");
    refused("PNM", "P6 99999 99999 255\nabc", 22, LIMBER_E_MEMORY, "99999x99999");
    refused("BMP",
            "BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x60\xea\0\0\x60\xea\0\0\1\0\x18\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
            "\0\0\0\0",
            58, LIMBER_E_MEMORY, "60000x60000");
}

Test(image, jpegs_that_promise_more_than_they_hold)
{
    struct bytes b = file(path_of(IMAGES, "baseline.jpg", ""));
    uint8_t *frame = memmem(b.p, b.n, "\xff\xc0", 2);
    cr_assert_not_null(frame);
    uint8_t old[4];
    memcpy(old, frame + 5, 4);
    memcpy(frame + 5, "\x20\0\x20\0", 4); /* 8192x8192, with the few hundred bytes of 45x31 */
    refused("large frame", b.p, b.n, LIMBER_E_FORMAT, "cut short");
    memcpy(frame + 5, "\xff\xff\xff\xff", 4);
    refused("huge frame", b.p, b.n, LIMBER_E_FORMAT, "cut short");
    memcpy(frame + 5, "\0\0\0\x10", 4);
    refused("no height", b.p, b.n, LIMBER_E_FORMAT, "16x0");
    memcpy(frame + 5, old, 4);
    frame[1] = 0xc3;
    refused("lossless", b.p, b.n, LIMBER_E_UNSUPPORTED, "SOF3");
    frame[1] = 0xc0;
    frame[4] = 12;
    refused("12 bits", b.p, b.n, LIMBER_E_UNSUPPORTED, "12 bits");
    free(b.p);
    static const uint8_t empty[] = {0xff, 0xd8, 0xff, 0xd9};
    refused("no scan", empty, sizeof empty, LIMBER_E_FORMAT, "no picture data");
}

/* A broken or hostile EXIF block is no reason to refuse the picture, nor to read outside. */
Test(image, nonsense_in_exif_is_ignored)
{
    struct bytes b = file(path_of(IMAGES, "turned6.jpg", ""));
    uint8_t *exif = memmem(b.p, b.n, "Exif\0\0", 6);
    cr_assert_not_null(exif);
    uint8_t *tiff = exif + 6;
    enum { BYTES = 8 + 2 + 12 + 4 }; /* header, count, one entry, end */
    for (int turn = 0; turn < BYTES * 255; turn++) {
        uint8_t *at = &tiff[turn % BYTES], old = *at;
        *at = (uint8_t)(old + 1 + turn / BYTES);
        struct image im;
        limber_error err = {0};
        cr_expect_eq(image_decode(&im, b.p, b.n, &err), LIMBER_OK, "byte %d: %s", turn % BYTES, err.text);
        cr_expect(im.view.width + im.view.height == 56);
        image_close(&im);
        *at = old;
    }
    free(b.p);
}

/* The same answer, whatever lay in the memory that a decoder was given: no table, palette or coefficient is used that the file does
 * not define. */
Test(image, no_byte_comes_from_memory_that_nobody_wrote, .timeout = 60)
{
#ifdef __GLIBC__
    DIR *dir = opendir(CORPUS);
    cr_assert_not_null(dir);
    for (struct dirent *e; (e = readdir(dir));) {
        char first[2][1100] = {""};
        for (int turn = 0; turn < 6 && e->d_name[0] != '.'; turn++) {
            static const int perturbed[] = {1, 77, 200};
            struct image im;
            limber_error err = {0};
            char said[1100];
            struct bytes b = file(path_of(CORPUS, e->d_name, ""));
            mallopt(M_PERTURB, perturbed[turn / 2]);
            if (image_decode_with(&im, turn % 2 ? &built_in : &preferred, b.p, b.n, &err)) {
                snprintf(said, sizeof said, "%s", err.text);
            } else {
                uint64_t hash = 0xcbf29ce484222325u;
                for (size_t i = 0; i < im.view.stride * (size_t)im.view.height; i++)
                    hash = (hash ^ im.view.pixels[i]) * 0x100000001b3u;
                snprintf(said, sizeof said, "%dx%d %016llx", im.view.width, im.view.height, (unsigned long long)hash);
            }
            if (turn < 2)
                strcpy(first[turn], said);
            cr_expect_str_eq(said, first[turn % 2], "%s: %s, then %s", e->d_name, first[turn % 2], said);
            image_close(&im);
            free(b.p);
        }
    }
    closedir(dir);
#else
    cr_skip_test("glibc's allocator only");
#endif
}

/* ok_ decodes, bad_ does not, edge_ may. The pictures are 48x32 of four colours, see the corpus' README. */
Test(image, files_from_strangers, .timeout = 60)
{
    DIR *dir = opendir(CORPUS);
    if (!dir)
        cr_skip_test("no corpus");
    static const int colours[4][3] = {{220, 40, 40}, {40, 200, 60}, {40, 60, 210}, {230, 210, 50}};
    int seen = 0;
    for (struct dirent *e; (e = readdir(dir));) {
        if (e->d_name[0] == '.')
            continue;
        struct image im;
        limber_error err = {0};
        limber_status st = image_open(&im, path_of(CORPUS, e->d_name, ""), &err);
        if (!strncmp(e->d_name, "bad_", 4))
            cr_expect(st && strstr(err.text, e->d_name), "%s was accepted", e->d_name);
        if (!strncmp(e->d_name, "ok_", 3))
            cr_expect_eq(st, LIMBER_OK, "%s", err.text);
        bool plain = !st && im.view.width == 48 && im.view.height == 32 && !strstr(e->d_name, "grey") &&
                     !strstr(e->d_name, "alpha") && !strstr(e->d_name, "transparent") && !strncmp(e->d_name, "ok_", 3);
        for (int f = 0; plain && f < 4; f++)
            for (int c = 0; c < 3; c++) {
                int got = im.view.pixels[(size_t)(f < 2 ? 8 : 24) * im.view.stride + (f % 2 ? 36 : 12) * 3 + (size_t)c];
                cr_expect(abs(got - colours[f][c]) <= 12, "%s: field %d channel %d is %d, expected %d", e->d_name, f, c, got,
                          colours[f][c]);
            }
        seen++;
        image_close(&im);
    }
    closedir(dir);
    cr_expect_geq(seen, 60);
}

Test(image, one_pixel)
{
    struct image im;
    cr_assert_eq(image_decode(&im, (const uint8_t *)"P6 1 1 255\nabc", 14, NULL), LIMBER_OK);
    cr_expect(im.view.width == 1 && im.view.height == 1 && im.view.stride == 3 && !memcmp(im.view.pixels, "abc", 3));
    image_close(&im);
    image_close(&im);
}

Test(image, paths_that_cannot_be_read)
{
    struct image im;
    limber_error err = {0};
    cr_expect_eq(image_open(&im, "/nowhere/a.jpg", &err), LIMBER_E_IO);
    cr_expect(strstr(err.text, "/nowhere/a.jpg: cannot open: No such file"), "%s", err.text);
    cr_expect_eq(image_open(&im, "/tmp", &err), LIMBER_E_IO);
    cr_expect(strstr(err.text, "/tmp: a directory"), "%s", err.text);
    cr_expect_eq(image_open(&im, "/proc/self/mem", &err), LIMBER_E_IO);
    if (getuid() != 0) {
        cr_expect_eq(image_open(&im, "/etc/shadow", &err), LIMBER_E_IO);
        cr_expect(strstr(err.text, "Permission denied"), "%s", err.text);
    }
}

/* ---- writing ---- */

static char folder[] = "/tmp/limber-test-image-XXXXXX";

static void make_folder(void)
{
    cr_assert_not_null(mkdtemp(folder));
}

static int files_in_folder(void)
{
    int n = 0;
    DIR *dir = opendir(folder);
    for (struct dirent *e; (e = readdir(dir));)
        n += strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
    closedir(dir);
    return n;
}

static void remove_folder(void)
{
    DIR *dir = opendir(folder);
    for (struct dirent *e; (e = readdir(dir));)
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
            unlinkat(dirfd(dir), e->d_name, 0);
    closedir(dir);
    rmdir(folder);
}

TestSuite(png, .init = make_folder, .fini = remove_folder);
TestSuite(written, .init = make_folder, .fini = remove_folder);

static limber_image noise(uint8_t *bytes, int w, int h, size_t stride)
{
    uint32_t seed = 5;
    for (size_t i = 0; i < stride * (size_t)h; i++) {
        seed = seed * 1664525u + 1013904223u;
        bytes[i] = (uint8_t)((seed >> 24) & (i % 300 < 150 ? 255 : 3)); /* parts that compress, parts that do not */
    }
    return (limber_image){.pixels = bytes, .width = w, .height = h, .stride = stride};
}

Test(png, what_is_written_is_read_back)
{
    static const int sizes[][2] = {{1, 1}, {1, 77}, {301, 1}, {123, 45}, {640, 200}};
    static uint8_t bytes[(640 * 3 + 5) * 200];
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        limber_image im = noise(bytes, sizes[i][0], sizes[i][1], 3 * (size_t)sizes[i][0] + 5);
        limber_error err = {0};
        char path[256];
        snprintf(path, sizeof path, "%s/a \"\n\xff %zu.png", folder, i); /* any name that the file system takes */
        cr_assert_eq(image_write_png(path, &im, &err), LIMBER_OK, "%s", err.text);
        struct image back;
        cr_assert_eq(image_open(&back, path, &err), LIMBER_OK, "%s", err.text);
        cr_assert(back.view.width == im.width && back.view.height == im.height);
        for (int y = 0; y < im.height; y++)
            cr_assert(
                !memcmp(back.view.pixels + (size_t)y * back.view.stride, bytes + (size_t)y * im.stride, 3 * (size_t)im.width));
        image_close(&back);
        cr_expect_eq(files_in_folder(), (int)i + 1, "something temporary was left");
    }
}

Test(shrink, a_new_pixel_is_the_mean_of_what_it_covers)
{
    static const int sizes[][3] = {{400, 300, 100}, {401, 299, 160}, {30, 2000, 1999}, {2000, 3, 7}, {640, 480, 639}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const int w = sizes[i][0], h = sizes[i][1], longest = sizes[i][2];
        limber_image noisy = noise(calloc((size_t)h, 3 * (size_t)w + 5), w, h, 3 * (size_t)w + 5);
        uint8_t *was = malloc((size_t)h * noisy.stride);
        memcpy(was, noisy.pixels, (size_t)h * noisy.stride);
        struct image im = {.view = noisy, .width = w, .height = h, .reduce = 1};
        cr_assert_eq(image_shrink(&im, longest, NULL), LIMBER_OK);
        const int nw = im.view.width, nh = im.view.height;
        cr_expect_eq(nw > nh ? nw : nh, longest);
        cr_expect_leq(abs(nw * h - nh * w), w > h ? w : h, "%dx%d becomes %dx%d", w, h, nw, nh);
        cr_expect(im.width == w && im.height == h);
        double worst = 0;
        for (int y = 0; y < nh; y += 1 + nh / 40)
            for (int x = 0; x < nw; x += 1 + nw / 40) {
                const double x0 = (double)x * w / nw, x1 = (double)(x + 1) * w / nw, y0 = (double)y * h / nh,
                             y1 = (double)(y + 1) * h / nh;
                double sum = 0;
                for (int v = (int)y0; v < y1 && v < h; v++)
                    for (int u = (int)x0; u < x1 && u < w; u++)
                        sum += (fmin(x1, u + 1) - fmax(x0, u)) * (fmin(y1, v + 1) - fmax(y0, v)) *
                               was[(size_t)v * noisy.stride + 3 * (size_t)u];
                worst =
                    fmax(worst, fabs(sum / ((x1 - x0) * (y1 - y0)) - im.view.pixels[(size_t)y * im.view.stride + 3 * (size_t)x]));
            }
        /* where a part ends is rounded to 1/256 of a pixel: off by half of that times the step there, at most 255 */
        const int ends = w / nw + h / nh;
        cr_expect_leq(worst, ends > 16 ? 8 : 0.5 + ends * 0.5 * 255 / 256, "%dx%d: off by %.2f", w, h, worst);
        free(was);
        image_close(&im);
    }
}

Test(written, a_jpeg_is_read_back)
{
    char path[256];
    snprintf(path, sizeof path, "%s/a.jpg", folder);
    static uint8_t bytes[(640 * 3 + 5) * 200];
    for (int y = 0; y < 200; y++) /* smooth, as photographs are: what is lost is little */
        for (int x = 0; x < 640; x++) {
            uint8_t *p = bytes + y * (640 * 3 + 5) + 3 * x;
            p[0] = (uint8_t)(x * 255 / 639), p[1] = (uint8_t)(y * 255 / 199), p[2] = 128;
        }
    limber_image im = {.pixels = bytes, .width = 640, .height = 200, .stride = 640 * 3 + 5};
    limber_error err = {0};
    if (!image_writes_jpeg()) {
        cr_expect_eq(image_write_jpeg(path, &im, &err), LIMBER_E_UNSUPPORTED);
        cr_expect_eq(files_in_folder(), 0);
        return;
    }
    cr_assert_eq(image_write_jpeg(path, &im, &err), LIMBER_OK, "%s", err.text);
    struct image back;
    cr_assert_eq(image_open(&back, path, &err), LIMBER_OK, "%s", err.text);
    cr_assert(back.view.width == im.width && back.view.height == im.height);
    int worst = 0;
    for (int y = 0; y < im.height; y++)
        for (int x = 0; x < 3 * im.width; x++) {
            const int off =
                abs(back.view.pixels[(size_t)y * back.view.stride + (size_t)x] - bytes[(size_t)y * im.stride + (size_t)x]);
            worst = off > worst ? off : worst;
        }
    cr_expect_leq(worst, 12, "off by %d", worst);
    image_close(&back);
    cr_expect_eq(files_in_folder(), 1, "something temporary was left");
    im.width = 70000, im.height = 1, im.stride = 0; /* JPEG has 16 bits for a side */
    cr_expect_eq(image_write_jpeg(path, &im, &err), LIMBER_E_MEMORY);
}

static struct bytes written_and_read_back(const limber_image *im)
{
    char path[256];
    snprintf(path, sizeof path, "%s/a.png", folder);
    cr_assert_eq(image_write_png(path, im, NULL), LIMBER_OK);
    struct image back;
    limber_error err = {0};
    cr_assert_eq(image_open(&back, path, &err), LIMBER_OK, "%s", err.text);
    cr_assert(back.view.width == im->width && back.view.height == im->height);
    cr_expect(!memcmp(back.view.pixels, im->pixels, im->stride * (size_t)im->height));
    image_close(&back);
    struct bytes b = file(path);
    cr_expect(!memcmp(b.p + b.n - 12, "\0\0\0\0IEND\xae\x42\x60\x82", 12), "the last chunk's checksum");
    return b;
}

Test(png, flat_pictures_shrink_and_random_ones_hardly_grow)
{
    enum { W = 311, H = 240, SIZE = W * H * 3 };
    static uint8_t bytes[SIZE];
    for (int kind = 0; kind < 3; kind++) {
        uint32_t seed = 77;
        for (size_t i = 0; i < SIZE; i++) {
            seed = seed * 1664525u + 1013904223u;
            bytes[i] = (uint8_t)(kind == 0 ? 0 : kind == 1 ? 200 : seed >> 24);
        }
        struct bytes b = written_and_read_back(&(limber_image){.pixels = bytes, .width = W, .height = H, .stride = 3 * W});
        cr_expect(b.n < (kind < 2 ? 3000 : SIZE + SIZE / 64 + 2000), "kind %d: %zu bytes", kind, b.n);
        free(b.p);
    }
}

/* Differences as frequent as Fibonacci's numbers: Huffman's codes for them are 19 bits long, deflate's at most 15. A single row,
 * so that its bytes are one block and the end mark is the first of the ones. */
Test(png, codes_are_kept_to_fifteen_bits)
{
    enum { W = 9551, SIZE = 3 * W };
    static uint8_t bytes[SIZE], difference[SIZE]; /* 20 once, 19 twice, 18 three times, 17 five times ... 0 the rest */
    for (int value = 20, at = 0, count = 1, next = 2; at < SIZE; value--) {
        int n = count < SIZE - at ? count : SIZE - at;
        memset(difference + at, value, (size_t)n);
        at += n;
        next += count;
        count = next - count;
    }
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] =
            (uint8_t)((i < 3 ? 0 : bytes[i - 3]) + difference[i * 10007 % SIZE]); /* the stride keeps equals apart: no runs */
    struct bytes b = written_and_read_back(&(limber_image){.pixels = bytes, .width = W, .height = 1, .stride = SIZE});
    free(b.p);
}

Test(png, an_older_file_is_replaced_whole_and_has_the_usual_mode)
{
    uint8_t bytes[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    limber_image im = {.pixels = bytes, .width = 2, .height = 2, .stride = 6};
    char path[256];
    snprintf(path, sizeof path, "%s/a.png", folder);
    umask(022);
    cr_assert_eq(image_write_png(path, &im, NULL), LIMBER_OK);
    bytes[0] = 99;
    cr_assert_eq(image_write_png(path, &im, NULL), LIMBER_OK);
    struct image back;
    cr_assert_eq(image_open(&back, path, NULL), LIMBER_OK);
    cr_expect_eq(back.view.pixels[0], 99);
    image_close(&back);
    struct stat about;
    cr_assert_eq(stat(path, &about), 0);
    cr_expect_eq(about.st_mode & 0777, 0644, "%o", about.st_mode & 0777);
}

Test(png, a_full_disk_is_an_error_and_leaves_nothing)
{
    static uint8_t bytes[300 * 300 * 3];
    limber_image im = noise(bytes, 300, 300, 900);
    char path[256];
    snprintf(path, sizeof path, "%s/a.png", folder);
    struct rlimit little = {10000, 10000};
    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &little), 0);
    limber_error err = {0};
    cr_expect_eq(image_write_png(path, &im, &err), LIMBER_E_IO);
    cr_expect(strstr(err.text, "a.png: cannot write: File too large"), "%s", err.text);
    cr_expect_eq(files_in_folder(), 0);
}

Test(png, a_pipe_is_written_to_and_stays_one)
{
    static uint8_t bytes[20 * 10 * 3];
    limber_image im = noise(bytes, 20, 10, 60);
    char path[256];
    uint8_t got[8] = {0};
    struct stat st;
    limber_error err = {0};
    snprintf(path, sizeof path, "%s/pipe", folder);
    cr_assert_eq(mkfifo(path, 0600), 0);
    int fd = open(path, O_RDWR); /* holds both ends, so that nobody waits: the picture fits */
    cr_assert(fd >= 0);
    cr_expect_eq(image_write_png(path, &im, &err), LIMBER_OK, "%s", err.text);
    cr_expect(stat(path, &st) == 0 && S_ISFIFO(st.st_mode), "the pipe was replaced");
    cr_assert(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    cr_expect(read(fd, got, 8) == 8 && !memcmp(got, "\x89PNG\r\n\x1a\n", 8), "no PNG came through");
    close(fd);
}

Test(png, folders_that_do_not_take_it)
{
    uint8_t bytes[3] = {0};
    limber_image im = {.pixels = bytes, .width = 1, .height = 1, .stride = 3};
    limber_error err = {0};
    cr_expect_eq(image_write_png("/nowhere/a.png", &im, &err), LIMBER_E_IO);
    cr_expect(strstr(err.text, "/nowhere/a.png: cannot write: No such file"), "%s", err.text);
    char path[256];
    snprintf(path, sizeof path, "%s/sub", folder);
    mkdir(path, 0755);
    cr_expect_eq(image_write_png(path, &im, &err), LIMBER_E_IO); /* a folder has that name */
    cr_expect_eq(files_in_folder(), 1);
    rmdir(path);
}

/* ---- the checksum of a written PNG, which few readers look at, but some do: RFC 1950, RFC 1951 read once more, plainly ---- */

struct inflater {
    const uint8_t *in;
    size_t at, size;
    int left;
    unsigned byte;
};
static int bits_of(struct inflater *z, int n)
{
    int v = 0;
    for (int i = 0; i < n; i++, z->byte >>= 1, z->left--) {
        if (!z->left) {
            cr_assert(z->at < z->size, "the stream ends early");
            z->byte = z->in[z->at++];
            z->left = 8;
        }
        v |= (int)(z->byte & 1) << i;
    }
    return v;
}
/* A code of the canonical Huffman code with these lengths. */
static int symbol_of(struct inflater *z, const uint8_t *length, int n)
{
    int code = 0, first = 0;
    for (int bits = 1; bits < 16; bits++) {
        int count = 0;
        code |= bits_of(z, 1);
        for (int s = 0; s < n; s++)
            count += length[s] == bits;
        if (code - first < count) {
            int k = code - first;
            for (int s = 0; s < n; s++)
                if (length[s] == bits && k-- == 0)
                    return s;
        }
        first = (first + count) << 1;
        code <<= 1;
    }
    cr_assert_fail("no such code");
    return -1;
}
static size_t inflate_dynamic(struct inflater *z, uint8_t *out, size_t room)
{
    static const uint8_t order[] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
    static const uint16_t base[] = {3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23, 27,
                                    31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
    static const uint8_t extra[] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
    size_t n = 0;
    for (int last = 0; !last;) {
        uint8_t length[320] = {0}, of_lengths[19] = {0};
        last = bits_of(z, 1);
        cr_assert_eq(bits_of(z, 2), 2, "a block with codes of its own");
        const int literals = bits_of(z, 5) + 257, distances = bits_of(z, 5) + 1, lengths = bits_of(z, 4) + 4;
        for (int i = 0; i < lengths; i++)
            of_lengths[order[i]] = (uint8_t)bits_of(z, 3);
        for (int i = 0; i < literals + distances;) {
            int s = symbol_of(z, of_lengths, 19), times = 1, value = s;
            if (s == 16)
                value = length[i - 1], times = 3 + bits_of(z, 2);
            else if (s > 16)
                value = 0, times = s == 17 ? 3 + bits_of(z, 3) : 11 + bits_of(z, 7);
            for (; times; times--)
                length[i++] = (uint8_t)value;
        }
        for (int s; (s = symbol_of(z, length, literals)) != 256;) {
            if (s < 256) {
                cr_assert(n < room);
                out[n++] = (uint8_t)s;
                continue;
            }
            size_t run = base[s - 257] + (size_t)bits_of(z, extra[s - 257]);
            cr_assert_eq(symbol_of(z, length + literals, distances), 0, "this writer only repeats the byte before");
            cr_assert(n > 0 && run <= room - n);
            for (; run; run--, n++)
                out[n] = out[n - 1];
        }
    }
    return n;
}

Test(image, the_checksum_of_a_written_png)
{
    enum { W = 301, H = 211, RAW = H * (1 + 3 * W) };
    uint8_t *pixels = malloc(W * H * 3), *raw = malloc(RAW), *stream = malloc(2 * RAW);
    uint32_t seed = 9;
    for (int i = 0; i < W * H * 3; i++)
        pixels[i] = (uint8_t)((seed = seed * 1664525u + 1013904223u) >> (i < W * H ? 24 : 31)); /* noise, then runs */
    const limber_image image = {.pixels = pixels, .width = W, .height = H, .stride = 3 * W};
    size_t size, in = 0;
    uint8_t *png = png_encode(&image, &size);
    cr_assert(png);
    for (size_t at = 8; at + 12 <= size;) {
        const size_t n = (size_t)png[at] << 24 | (size_t)png[at + 1] << 16 | (size_t)png[at + 2] << 8 | png[at + 3];
        if (!memcmp(png + at + 4, "IDAT", 4)) {
            memcpy(stream + in, png + at + 8, n);
            in += n;
        }
        at += 12 + n;
    }
    struct inflater z = {.in = stream, .at = 2, .size = in - 4};
    cr_assert_eq(inflate_dynamic(&z, raw, RAW), (size_t)RAW);
    uint32_t a = 1, b = 0;
    for (int i = 0; i < RAW; i++) {
        a = (a + raw[i]) % 65521;
        b = (b + a) % 65521;
    }
    const uint8_t *sum = stream + in - 4;
    cr_expect_eq((uint32_t)sum[0] << 24 | (uint32_t)sum[1] << 16 | (uint32_t)sum[2] << 8 | sum[3], b << 16 | a);
    free(png);
    free(stream);
    free(raw);
    free(pixels);
}
