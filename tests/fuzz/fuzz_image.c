/* SPDX-License-Identifier: MIT */
/* Bytes as an image file: its size asked for, then decoded; every pixel of what comes out is there, and the two agree. */
#include "fuzz.h"
#include "image/image.h"

/* A decoder may honestly need seconds for a picture of many pixels: leave those to the tests. */
#define PIXELS_WORTH_DECODING (1 << 22)

FUZZ_MUTATE_BY(mutate_image)

static void decode(const struct image_options *options, const uint8_t *bytes, size_t size)
{
    struct image_about about;
    const limber_status examined = image_examine(&about, options, bytes, size, NULL);
    if (examined == LIMBER_OK && (int64_t)about.width * about.height > PIXELS_WORTH_DECODING)
        return;
    struct image_options with = *options;
    if (options->reduce > 1) { /* into memory of ours, exactly enough where it is of use */
        with.room = 3 * (size_t)((about.width + 3) / 4) * (size_t)((about.height + 3) / 4);
        with.into = malloc(with.room + 1);
    }
    struct image im;
    if (image_decode_with(&im, &with, bytes, size, NULL) != LIMBER_OK) {
        free(with.into);
        return;
    }
    fuzz_check(examined == LIMBER_OK && im.width == about.width && im.height == about.height);
    fuzz_check(im.view.width == (im.width + im.reduce - 1) / im.reduce);
    fuzz_check(im.view.height == (im.height + im.reduce - 1) / im.reduce);
    unsigned sum = 0, odd = 0;
    for (int y = 0; y < im.view.height; y++)
        for (int x = 0; x < 3 * im.view.width; x++) {
            sum += im.view.pixels[(size_t)y * im.view.stride + (size_t)x];
            odd += im.view.pixels[(size_t)y * im.view.stride + (size_t)x] & 1; /* a branch, for the memory sanitizer to see */
        }
    fuzz_check(sum <= 255u * 3 * PIXELS_WORTH_DECODING && odd <= 3 * PIXELS_WORTH_DECODING);
    if (im.view.pixels != with.into)
        image_close(&im);
    free(with.into);
}

/* By the preferred decoders, whole and smaller, and by the built-in ones. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    decode(&(struct image_options){0}, bytes, size);
    decode(&(struct image_options){.reduce = 4}, bytes, size);
    decode(&(struct image_options){.built_in = true}, bytes, size);
    return 0;
}
