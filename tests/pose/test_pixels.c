/* SPDX-License-Identifier: MIT */
/* Pictures in every pixel format give what their RGB gives: the crop byte by byte, the people bit by bit. And limber_image_read
 * and limber_image_decode, which make such pictures of files. */
#include <criterion/criterion.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image/image.h"
#include "limber.h"
#include "pose/crop.h"
#include "pose/pixels.h"

enum { W = 97, H = 61, MATRICES = 3 }; /* odd both ways: NV12's last pair and row stand for one pixel */

static uint8_t *noise(size_t n, uint32_t seed)
{
    uint8_t *p = malloc(n);
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        p[i] = (uint8_t)(seed >> 24);
    }
    return p;
}

/* ITU-T H.273 in doubles, solved for G, not rounded. */
static void exact_rgb(double rgb[3], int y, int u, int v, int matrix, int full)
{
    static const double red[MATRICES] = {0.299, 0.2126, 0.2627}, blue[MATRICES] = {0.114, 0.0722, 0.0593};
    const double kr = red[matrix], kb = blue[matrix], kg = 1 - kr - kb;
    const double luma = full ? y / 255.0 : (y - 16) / 219.0, pb = (u - 128) / (full ? 255.0 : 224.0),
                 pr = (v - 128) / (full ? 255.0 : 224.0);
    rgb[0] = luma + 2 * (1 - kr) * pr;
    rgb[2] = luma + 2 * (1 - kb) * pb;
    rgb[1] = (luma - kr * rgb[0] - kb * rgb[2]) / kg;
    for (int c = 0; c < 3; c++)
        rgb[c] = fmin(fmax(255 * rgb[c], 0), 255);
}

/* Nearly in the middle between two levels. */
static bool on_an_edge(const double rgb[3])
{
    bool edge = false;
    for (int c = 0; c < 3; c++)
        edge |= fabs(rgb[c] - floor(rgb[c]) - 0.5) < 1e-3;
    return edge;
}

/* Every colour NV12 can say: rounded to the nearest level, except where the exact value lies on the edge between two. */
Test(pixels, nv12_is_the_standards_rgb)
{
    uint8_t plane[2 * 256 * 2] = {0}; /* 256 pixels of Y twice, then one row of pairs */
    int columns[256];
    for (int i = 0; i < 256; i++)
        plane[i] = (uint8_t)i, columns[i] = i;
    limber_image im = {.pixels = plane, .width = 256, .height = 2, .stride = 256, .format = LIMBER_NV12};
    int wrong = 0;
    for (int matrix = 0; matrix < MATRICES; matrix++)
        for (int full = 0; full < 2; full++)
            for (int u = 0; u < 256; u += 5)
                for (int v = 0; v < 256; v += 3) {
                    im.matrix = (limber_yuv_matrix)matrix;
                    im.full_range = full;
                    for (int i = 0; i < 128; i++)
                        plane[512 + 2 * i] = (uint8_t)u, plane[512 + 2 * i + 1] = (uint8_t)v;
                    float got[3 * 256];
                    pixels_pick(got, &im, 0, columns, 256);
                    for (int y = 0; y < 256; y++) {
                        double want[3];
                        exact_rgb(want, y, u, v, matrix, full);
                        for (int c = 0; c < 3; c++)
                            wrong += !(fabs((double)got[3 * y + c] - want[c]) <= 0.501) ||
                                     (double)got[3 * y + c] != floor((double)got[3 * y + c]);
                    }
                }
    cr_expect_eq(wrong, 0, "%d values", wrong);
    /* and three known by heart: BT.601's red, 100 % white, black, limited range */
    static const uint8_t colours[3][6] = {{81, 90, 240, 254, 0, 0}, {235, 128, 128, 255, 255, 255}, {16, 128, 128, 0, 0, 0}};
    im.matrix = LIMBER_BT601;
    im.full_range = 0;
    for (int i = 0; i < 3; i++) {
        plane[0] = colours[i][0], plane[512] = colours[i][1], plane[513] = colours[i][2];
        float got[3];
        pixels_pick(got, &im, 1, columns, 0);
        pixels_pick(got, &im, 0, columns, 1);
        for (int c = 0; c < 3; c++)
            cr_expect(got[c] == (float)colours[i][3 + c], "colour %d, channel %d: %g", i, c, (double)got[c]);
    }
}

/* A picture in `format`, with gaps between its rows, and the RGB it stands for. The bytes are the caller's to free. */
struct pair {
    limber_image image, rgb;
    uint8_t *bytes, *chroma, *plain;
};

static struct pair pair_new(limber_pixel_format format, int matrix, int full, bool planes_apart, uint32_t seed)
{
    static const int bytes_of[] = {3, 3, 4, 4, 1, 1}, red[] = {0, 2, 0, 2, 0}, blue[] = {2, 0, 2, 0, 0};
    const size_t stride = (size_t)(W * bytes_of[format] + 7), chroma_stride = planes_apart ? W + 11 : stride;
    struct pair p = {.bytes = noise(2 * stride * H, seed), .plain = malloc(3 * W * H)};
    p.image = (limber_image){.pixels = p.bytes, .width = W, .height = H, .stride = stride, .format = format};
    const uint8_t *chroma = p.bytes + stride * H;
    if (format == LIMBER_NV12) {
        p.image.matrix = (limber_yuv_matrix)matrix;
        p.image.full_range = full;
        if (planes_apart) {
            chroma = p.chroma = noise(chroma_stride * H, seed + 1);
            p.image.chroma = chroma;
            p.image.chroma_stride = chroma_stride;
        }
    }
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            uint8_t *at = p.bytes + (size_t)y * stride + (size_t)(x * bytes_of[format]);
            uint8_t *to = p.plain + 3 * ((size_t)y * W + (size_t)x);
            if (format == LIMBER_NV12) {
                const uint8_t *uv = chroma + (size_t)(y / 2) * chroma_stride + 2 * (size_t)(x / 2);
                double want[3];
                exact_rgb(want, at[0], uv[0], uv[1], matrix, full);
                while (on_an_edge(want)) /* which level is the nearer one is not the question here */
                    exact_rgb(want, ++at[0], uv[0], uv[1], matrix, full);
                for (int c = 0; c < 3; c++)
                    to[c] = (uint8_t)floor(want[c] + 0.5);
            } else {
                to[0] = at[red[format]], to[1] = at[format == LIMBER_GRAY ? 0 : 1], to[2] = at[blue[format]];
            }
        }
    p.rgb = (limber_image){.pixels = p.plain, .width = W, .height = H, .stride = 3 * W};
    return p;
}

static void pair_free(struct pair *p)
{
    free(p->bytes);
    free(p->chroma);
    free(p->plain);
}

static const struct {
    limber_pixel_format format;
    int matrix, full;
    bool planes_apart;
} variants[] = {{LIMBER_BGR, 0, 0, false},  {LIMBER_RGBA, 0, 0, false}, {LIMBER_BGRA, 0, 0, false}, {LIMBER_GRAY, 0, 0, false},
                {LIMBER_NV12, 0, 0, false}, {LIMBER_NV12, 0, 1, true},  {LIMBER_NV12, 1, 0, true},  {LIMBER_NV12, 1, 1, false},
                {LIMBER_NV12, 2, 0, false}, {LIMBER_NV12, 2, 1, true}};
#define VARIANTS (sizeof variants / sizeof *variants)

Test(pixels, every_format_gives_the_crop_of_its_rgb)
{
    static const limber_box boxes[] = {{20, 10, 30, 40}, {-5, -5, 108, 72}, {90, 50, 7, 11}, {40.3f, 20.7f, 2, 3}};
    enum { CROP_H = 64, CROP_W = 300 }; /* two strips */
    static uint8_t got[CROP_H * CROP_W * 3], want[CROP_H * CROP_W * 3];
    for (size_t i = 0; i < VARIANTS; i++) {
        struct pair p = pair_new(variants[i].format, variants[i].matrix, variants[i].full, variants[i].planes_apart, (uint32_t)i);
        cr_assert_eq(pixels_check(&p.image, NULL), LIMBER_OK);
        for (size_t b = 0; b < sizeof boxes / sizeof *boxes; b++) {
            struct crop_region region = crop_region_of_box(boxes[b], CROP_H, CROP_W, 200);
            crop_sample(got, CROP_H, CROP_W, &p.image, region);
            crop_sample(want, CROP_H, CROP_W, &p.rgb, region);
            int differ = 0;
            for (size_t k = 0; k < sizeof got; k++)
                differ += got[k] != want[k];
            cr_expect_eq(differ, 0, "variant %zu, box %zu: %d bytes differ", i, b, differ);
        }
        pair_free(&p);
    }
}

Test(pixels, every_format_gives_the_people_of_its_rgb)
{
    limber_error err;
    limber_model *model = NULL;
    limber_session *session = NULL;
    limber_options o = limber_options_default();
    o.backend = "cpu", o.precision = "fp32", o.threads = 1;
    cr_assert_eq(limber_model_open(&model, LIMBER_TEST_DIR "/golden/simple-hd32", &o, &err), LIMBER_OK, "%s", err.text);
    cr_assert_eq(limber_session_open(&session, model, &o, &err), LIMBER_OK, "%s", err.text);
    const int joints = limber_model_keypoint_count(model);
    float first[3] = {0}; /* another picture has other joints: the comparison could fail */
    for (size_t i = 0; i < VARIANTS; i++) {
        struct pair p = pair_new(variants[i].format, variants[i].matrix, variants[i].full, variants[i].planes_apart, (uint32_t)i);
        limber_people got, want;
        cr_assert_eq(limber_run(session, &p.image, NULL, 0, &got, &err), LIMBER_OK, "%s", err.text);
        cr_assert_eq(limber_run(session, &p.rgb, NULL, 0, &want, &err), LIMBER_OK, "%s", err.text);
        cr_assert(got.count == 1 && want.count == 1);
        const size_t bytes = (size_t)joints * sizeof(limber_keypoint);
        cr_expect(!memcmp(got.person->keypoints, want.person->keypoints, bytes), "variant %zu", i);
        cr_expect(memcmp(got.person->keypoints, first, sizeof first), "variant %zu: the joints of the variant before", i);
        memcpy(first, got.person->keypoints, sizeof first);
        limber_people_free(&got);
        limber_people_free(&want);
        pair_free(&p);
    }
    limber_session_close(&session);
    limber_model_close(&model);
}

/* ---- files ---- */

#define PHOTO LIMBER_DATA_DIR "/samples/portrait.jpg"

static uint8_t *whole_file(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    cr_assert(f, "%s", path);
    fseek(f, 0, SEEK_END);
    *size = (size_t)ftell(f);
    rewind(f);
    uint8_t *bytes = malloc(*size);
    cr_assert_eq(fread(bytes, 1, *size, f), *size);
    fclose(f);
    return bytes;
}

static bool is_zero(const limber_image *im)
{
    static const limber_image zero;
    return !memcmp(im, &zero, sizeof zero);
}

Test(pixels, files_become_upright_rgb)
{
    limber_error err;
    limber_image read, decoded, portable;
    struct image inside;
    size_t size;
    uint8_t *bytes = whole_file(PHOTO, &size);
    const limber_image_options o = {.portable = 1};
    cr_assert_eq(limber_image_read(&read, PHOTO, NULL, &err), LIMBER_OK, "%s", err.text);
    cr_assert_eq(limber_image_decode(&decoded, bytes, size, NULL, &err), LIMBER_OK, "%s", err.text);
    cr_assert_eq(limber_image_decode(&portable, bytes, size, &o, &err), LIMBER_OK, "%s", err.text);
    cr_assert_eq(image_decode(&inside, bytes, size, &err), LIMBER_OK);
    cr_expect_eq(pixels_check(&read, NULL), LIMBER_OK);
    cr_expect(read.format == LIMBER_RGB && read.stride == 3 * (size_t)read.width);
    const size_t n = read.stride * (size_t)read.height;
    cr_expect(read.width == inside.view.width && read.height == inside.view.height);
    cr_expect(!memcmp(read.pixels, inside.view.pixels, n) && !memcmp(decoded.pixels, inside.view.pixels, n));
    cr_expect(portable.width == read.width && portable.height == read.height);
    image_close(&inside);
    const struct image_options stb = {.built_in = true};
    cr_assert_eq(image_decode_with(&inside, &stb, bytes, size, &err), LIMBER_OK);
    cr_expect(!memcmp(portable.pixels, inside.view.pixels, n), "portable: not the built-in decoder's pixels");
    image_close(&inside);
    limber_image_free(&read);
    limber_image_free(&decoded);
    limber_image_free(&portable);
    cr_expect(is_zero(&read));
    limber_image_free(&read);
    limber_image_free(NULL);
    free(bytes);
    /* EXIF's orientation 6 lies on its side in the file */
    cr_assert_eq(limber_image_read(&read, LIMBER_TEST_DIR "/corpus/images/ok_exif_6.jpg", NULL, &err), LIMBER_OK, "%s", err.text);
    cr_expect(read.width == 48 && read.height == 32, "%dx%d", read.width, read.height);
    limber_image_free(&read);
}

Test(pixels, what_cannot_be_read_says_why)
{
    size_t size;
    uint8_t *bytes = whole_file(PHOTO, &size);
    limber_image about;
    cr_assert_eq(limber_image_decode(&about, bytes, size, NULL, NULL), LIMBER_OK);
    const int64_t pixels = (int64_t)about.width * about.height;
    limber_image_free(&about);
    const struct {
        const char *path; /* NULL: the bytes */
        size_t size;
        limber_image_options options;
        limber_status status;
        const char *word;
    } cases[] = {
        {NULL, size, {.max_pixels = pixels - 1}, LIMBER_E_MEMORY, "the limit is"},
        {NULL, size, {.max_bytes = (int64_t)size - 1}, LIMBER_E_MEMORY, "the limit is"},
        {PHOTO, 0, {.max_bytes = (int64_t)size - 1}, LIMBER_E_MEMORY, PHOTO},
        {NULL, size, {.max_pixels = -1}, LIMBER_E_ARGUMENT, "max_pixels is -1"},
        {NULL, size, {.max_pixels = LIMBER_MAX_PIXELS + 1}, LIMBER_E_ARGUMENT, "max_pixels"},
        {NULL, size, {.max_bytes = -1}, LIMBER_E_ARGUMENT, "max_bytes is -1"},
        {NULL, size, {.max_bytes = (int64_t)1 << 40}, LIMBER_E_ARGUMENT, "max_bytes"},
        {NULL, size, {.portable = 2}, LIMBER_E_ARGUMENT, "portable is 2"},
        {NULL, size, {.reserved = {[10] = 1}}, LIMBER_E_ARGUMENT, "reserved[10] is 1"},
        {PHOTO, 0, {.reserved = {1}}, LIMBER_E_ARGUMENT, "reserved[0] is 1"},
        {NULL, size / 2, {0}, LIMBER_E_FORMAT, "JPEG"},
        {NULL, 0, {0}, LIMBER_E_FORMAT, "empty"},
        {"/nowhere/at-all.jpg", 0, {0}, LIMBER_E_IO, "/nowhere/at-all.jpg"},
        {LIMBER_TEST_DIR "/CMakeLists.txt", 0, {0}, LIMBER_E_FORMAT, "not an image"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        limber_error err = {.text = ""};
        limber_image im;
        memset(&im, 0x55, sizeof im);
        const limber_status st = cases[i].path ? limber_image_read(&im, cases[i].path, &cases[i].options, &err)
                                               : limber_image_decode(&im, bytes, cases[i].size, &cases[i].options, &err);
        cr_expect_eq(st, cases[i].status, "case %zu: %s (%s)", i, limber_status_name(st), err.text);
        cr_expect(strstr(err.text, cases[i].word), "case %zu: \"%s\" lacks \"%s\"", i, err.text, cases[i].word);
        cr_expect(is_zero(&im), "case %zu: something was left", i);
    }
    const limber_image_options exact = {.max_pixels = pixels, .max_bytes = (int64_t)size};
    limber_image im;
    cr_expect_eq(limber_image_decode(&im, bytes, size, &exact, NULL), LIMBER_OK, "exactly the limit");
    limber_image_free(&im);
    cr_expect_eq(limber_image_decode(NULL, bytes, size, NULL, NULL), LIMBER_E_ARGUMENT);
    cr_expect_eq(limber_image_decode(&im, NULL, size, NULL, NULL), LIMBER_E_ARGUMENT);
    cr_expect_eq(limber_image_read(&im, NULL, NULL, NULL), LIMBER_E_ARGUMENT);
    cr_expect_eq(limber_image_read(NULL, PHOTO, NULL, NULL), LIMBER_E_ARGUMENT);
    free(bytes);
}
