/* Bytes as an image file: its size asked for, then decoded; every pixel of what comes out is there, and the two agree. */
#include "fuzz.h"
#include "image/image.h"

/* A decoder may honestly need seconds for a picture of many pixels: leave those to the tests. */
#define PIXELS_WORTH_DECODING (1 << 22)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    int width = 0, height = 0;
    const limber_status sized = image_size(&width, &height, bytes, size, NULL);
    if (sized == LIMBER_OK && (int64_t)width * height > PIXELS_WORTH_DECODING)
        return 0;
    struct image im;
    if (image_decode(&im, bytes, size, NULL) != LIMBER_OK)
        return 0;
    fuzz_check(sized == LIMBER_OK && im.view.width == width && im.view.height == height);
    unsigned sum = 0;
    for (int y = 0; y < im.view.height; y++)
        for (int x = 0; x < 3 * im.view.width; x++)
            sum += im.view.rgb[(size_t)y * im.view.stride + (size_t)x];
    fuzz_check(sum <= 255u * 3 * PIXELS_WORTH_DECODING);
    image_close(&im);
    return 0;
}
