/* SPDX-License-Identifier: MIT */
/* image/webp.c - WebP through libwebp, where the build found it; of an animation the first picture. RIFF: "RIFF size WEBP", then chunks
 * "name size data", padded to even sizes (WebP Container Specification). The orientation is in the EXIF chunk. */
#include "image/bytes.h"
#include "image/format.h"

bool webp_magic(const uint8_t *b, size_t size)
{
    return size >= 16 && begins_with(b, size, "RIFF", 4) && !memcmp(b + 8, "WEBP", 4);
}

#ifdef LIMBER_WEBP
#include <stdlib.h>

#include <webp/decode.h>
#include <webp/demux.h>

#include "base/error.h"

static int chunk_orientation(const uint8_t *bytes, size_t size)
{
    for (struct bytes b = {.p = bytes, .size = size, .at = 12}; size - b.at >= 8;) {
        const uint8_t *name = bytes + b.at;
        b.at += 4;
        size_t length = take_le32(&b);
        if (length > size - b.at)
            break;
        if (!memcmp(name, "EXIF", 4)) { /* some writers put JPEG's "Exif\0\0" before it */
            size_t skip = length > 6 && !memcmp(bytes + b.at, "Exif\0\0", 6) ? 6 : 0;
            return exif_orientation(bytes + b.at + skip, length - skip);
        }
        b.at += length;
        b.at += length & (b.at < size);
    }
    return 1;
}

limber_status webp_size(struct image_facts *f, const uint8_t *bytes, size_t size, limber_error *err)
{
    struct bytes b = {.p = bytes, .size = size, .at = 4};
    size_t claimed = take_le32(&b);
    WebPBitstreamFeatures about;
    VP8StatusCode code = WebPGetFeatures(bytes, size, &about);
    if (code == VP8_STATUS_NOT_ENOUGH_DATA || claimed > size - 8)
        return limber_fail(err, LIMBER_E_FORMAT, "WebP: cut short, the header claims %zu bytes, the file has %zu", claimed + 8,
                           size);
    if (code != VP8_STATUS_OK)
        return limber_fail(err, LIMBER_E_FORMAT, "WebP: damaged or of an unusual kind");
    f->width = about.width;
    f->height = about.height;
    f->orientation = chunk_orientation(bytes, size);
    /* pixels with alpha; libwebp's own, as many where lossless; an animation's canvas and the one before */
    f->memory = (size_t)about.width * (size_t)about.height * (about.has_animation ? 16 : 8) + (1 << 20);
    return LIMBER_OK;
}

static bool first_of_animation(struct image_pixels *out, const uint8_t *bytes, size_t size)
{
    const WebPData data = {bytes, size};
    WebPAnimDecoderOptions options;
    if (!WebPAnimDecoderOptionsInit(&options))
        return false;
    options.color_mode = MODE_RGBA;
    options.use_threads = 0;
    WebPAnimDecoder *decoder = WebPAnimDecoderNew(&data, &options);
    uint8_t *canvas = NULL;
    int time;
    bool good = decoder && WebPAnimDecoderGetNext(decoder, &canvas, &time);
    if (good)
        memcpy(out->p, canvas, (size_t)out->width * (size_t)out->height * 4);
    WebPAnimDecoderDelete(decoder);
    return good;
}

IMAGE_DECODE(webp_decode)
{
    (void)reduce;
    WebPBitstreamFeatures about;
    if (WebPGetFeatures(bytes, size, &about) != VP8_STATUS_OK)
        return limber_fail(err, LIMBER_E_FORMAT, "WebP: damaged");
    const int channels = about.has_alpha || about.has_animation ? 4 : 3, stride = channels * f->width;
    if (!image_pixels_new(out, "WebP", f->width, f->height, channels, err))
        return LIMBER_E_MEMORY;
    const size_t room = (size_t)stride * (size_t)f->height;
    bool good = about.has_animation ? first_of_animation(out, bytes, size)
                : channels == 4     ? WebPDecodeRGBAInto(bytes, size, out->p, room, stride) != NULL
                                    : WebPDecodeRGBInto(bytes, size, out->p, room, stride) != NULL;
    if (good)
        return LIMBER_OK;
    free(out->p);
    *out = (struct image_pixels){0};
    return limber_fail(err, LIMBER_E_FORMAT, "WebP: cut short or damaged, %zu bytes do not hold %dx%d pixels", size, f->width,
                       f->height);
}
#endif
