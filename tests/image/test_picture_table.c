/* SPDX-License-Identifier: MIT */
/* Every kind of picture, made by tools/make_picture_table.py, against what Pillow or arithmetic says: by the decoders limber prefers,
 * and by those that every build has. */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "image/image.h"

static uint64_t fnv(const uint8_t *p, size_t n)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * 0x100000001b3u;
    return h;
}

struct entry {
    char name[80], needs[16], words[120];
    bool refused;
    int width, height, largest;
    double mean;
    uint64_t hash;
    const uint8_t *file, *pixels; /* pixels NULL: by hash */
    size_t size;
};

/* The entry at *at; false at the end. */
static bool next_entry(struct entry *e, const uint8_t *pack, size_t size, size_t *at)
{
    *e = (struct entry){0};
    if (*at >= size)
        return false;
    const char *line = (const char *)pack + *at;
    const uint8_t *end = memchr(line, '\n', size - *at);
    size_t pixels = 0;
    char mean[32];
    cr_assert_not_null(end);
    if (sscanf(line, "%79s refused %zu %119[^\n]", e->name, &e->size, e->words) == 3)
        e->refused = true;
    else
        cr_assert_eq(sscanf(line, "%79s %15s %d %d %d %31s %zu %zu", e->name, e->needs, &e->width, &e->height, &e->largest, mean,
                            &e->size, &pixels),
                     8);
    if (!e->refused && pixels)
        e->mean = atof(mean);
    else if (!e->refused)
        e->hash = strtoull(mean, NULL, 16);
    e->file = end + 1;
    e->pixels = pixels ? e->file + e->size : NULL;
    *at = (size_t)(e->file - pack) + e->size + pixels;
    cr_assert(*at <= size);
    return true;
}

static bool is_there(const char *needs, bool built_in)
{
    struct image_decoder all[32];
    int n = image_decoders(all, 32, built_in);
    for (int i = 0; i < n && strcmp(needs, "-"); i++)
        if (!strcasecmp(all[i].format, needs))
            return all[i].decoder != NULL;
    return true;
}

static void check(const struct entry *e, bool built_in)
{
    struct image im;
    limber_error err = {0};
    uint8_t *copy = malloc(e->size); /* of its own size, for the address sanitizer */
    memcpy(copy, e->file, e->size);
    limber_status st = image_decode_with(&im, &(struct image_options){.built_in = built_in}, copy, e->size, &err);
    free(copy);
    const char *by = built_in ? "built in" : im.decoder;
    if (e->refused) {
        cr_expect(st && strcasestr(err.text, e->words), "%s (%s): \"%s\", expected \"%s\"", e->name, by, st ? err.text : "taken",
                  e->words);
    } else if (st) {
        cr_expect(!is_there(e->needs, built_in), "%s (%s): %s", e->name, by, err.text);
    } else if (im.view.width != e->width || im.view.height != e->height) {
        cr_expect(false, "%s (%s): %dx%d, expected %dx%d", e->name, by, im.view.width, im.view.height, e->width, e->height);
    } else {
        const size_t n = 3 * (size_t)e->width * (size_t)e->height;
        int worst = 0;
        double sum = 0;
        for (size_t i = 0; e->pixels && i < n; i++) {
            int d = abs(im.view.pixels[i] - e->pixels[i]);
            worst = d > worst ? d : worst;
            sum += d;
        }
        if (e->pixels)
            cr_expect(worst <= e->largest && sum <= e->mean * (double)n,
                      "%s (%s): differs by up to %d (allowed %d), mean %.3f (allowed %.3f)", e->name, by, worst, e->largest,
                      sum / (double)n, e->mean);
        else
            cr_expect_eq(fnv(im.view.pixels, n), e->hash, "%s (%s): other pixels, the first %d %d %d", e->name, by,
                         im.view.pixels[0], im.view.pixels[1], im.view.pixels[2]);
    }
    image_close(&im);
}

static void check_all(bool built_in)
{
    uint8_t *pack;
    size_t size, at = 0;
    limber_error err = {0};
    cr_assert_eq(file_read(&pack, &size, LIMBER_TEST_DIR "/images/table.pack", 1 << 24, &err), LIMBER_OK, "%s", err.text);
    struct entry e;
    int n = 0;
    for (; next_entry(&e, pack, size, &at); n++)
        check(&e, built_in);
    cr_expect_geq(n, 400);
    free(pack);
}

Test(picture_table, by_the_decoders_that_are_preferred)
{
    check_all(false);
}

Test(picture_table, by_those_that_every_build_has)
{
    check_all(true);
}
