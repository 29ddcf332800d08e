/* SPDX-License-Identifier: MIT */
/* What programs that were compiled against limber*.h rely on: the size of every public struct, the place of every field, the value
 * of every constant. A line that fails here breaks them. A new field takes the place of `reserved`: then add its line, and raise
 * LIMBER_API_VERSION and CHANGELOG.md; if a line must be changed, the soname must change too (include/limber.h says the rule).
 * tests/library/test_install.sh holds the exported functions against those the headers declare. */
#include <criterion/criterion.h>

#include <stddef.h>

#include "limber.h"
#include "limber_heads.h"
#include "limber_patch.h"

#define SIZE(type, expected)                                                                                                     \
    {                                                                                                                            \
#type, sizeof(type), expected                                                                                            \
    }
#define AT(type, field, expected)                                                                                                \
    {                                                                                                                            \
#type "." #field, offsetof(type, field), expected                                                                        \
    }
#define VALUE(constant, expected)                                                                                                \
    {                                                                                                                            \
#constant, (size_t)(constant), expected                                                                                  \
    }

static const struct {
    const char *what;
    size_t is, was;
} facts[] = {
    SIZE(limber_error, 1024),
    AT(limber_error, text, 4),
    SIZE(limber_options, 112),
    AT(limber_options, backend, 0),
    AT(limber_options, precision, 8),
    AT(limber_options, attention, 16),
    AT(limber_options, threads, 24),
    AT(limber_options, batch, 28),
    AT(limber_options, expert, 32),
    AT(limber_options, flip, 36),
    AT(limber_options, refine, 40),
    AT(limber_options, input_height, 44),
    AT(limber_options, input_width, 48),
    AT(limber_options, prune, 56),
    AT(limber_options, detector, 64),
    AT(limber_options, max_people, 72),
    AT(limber_options, min_box_score, 76),
    AT(limber_options, track, 80),
    AT(limber_options, smooth, 84),
    AT(limber_options, reserved, 88),
    SIZE(limber_found, 32),
    AT(limber_found, box, 0),
    AT(limber_found, score, 16),
    AT(limber_found, reserved, 20),
    SIZE(limber_image, 88),
    AT(limber_image, pixels, 0),
    AT(limber_image, width, 8),
    AT(limber_image, height, 12),
    AT(limber_image, stride, 16),
    AT(limber_image, chroma, 24),
    AT(limber_image, chroma_stride, 32),
    AT(limber_image, format, 40),
    AT(limber_image, matrix, 44),
    AT(limber_image, full_range, 48),
    AT(limber_image, reserved, 52),
    SIZE(limber_image_options, 64),
    AT(limber_image_options, max_pixels, 0),
    AT(limber_image_options, max_bytes, 8),
    AT(limber_image_options, portable, 16),
    AT(limber_image_options, reserved, 20),
    SIZE(limber_box, 16),
    AT(limber_box, x, 0),
    AT(limber_box, y, 4),
    AT(limber_box, width, 8),
    AT(limber_box, height, 12),
    SIZE(limber_keypoint, 12),
    AT(limber_keypoint, x, 0),
    AT(limber_keypoint, y, 4),
    AT(limber_keypoint, score, 8),
    SIZE(limber_limb, 32),
    AT(limber_limb, from, 0),
    AT(limber_limb, to, 4),
    AT(limber_limb, length, 8),
    AT(limber_limb, angle, 12),
    AT(limber_limb, score, 16),
    AT(limber_limb, reserved, 20),
    SIZE(limber_person, 80),
    AT(limber_person, box, 0),
    AT(limber_person, box_score, 16),
    AT(limber_person, score, 20),
    AT(limber_person, keypoints, 24),
    AT(limber_person, limbs, 32),
    AT(limber_person, limb_count, 40),
    AT(limber_person, track, 44),
    AT(limber_person, reserved, 48),
    SIZE(limber_people, 32),
    AT(limber_people, person, 0),
    AT(limber_people, count, 8),
    AT(limber_people, keypoint_count, 12),
    AT(limber_people, reserved, 16),
    VALUE(LIMBER_OK, 0),
    VALUE(LIMBER_E_ARGUMENT, 1),
    VALUE(LIMBER_E_IO, 2),
    VALUE(LIMBER_E_FORMAT, 3),
    VALUE(LIMBER_E_MODEL, 4),
    VALUE(LIMBER_E_UNSUPPORTED, 5),
    VALUE(LIMBER_E_MEMORY, 6),
    VALUE(LIMBER_E_BACKEND, 7),
    VALUE(LIMBER_RGB, 0),
    VALUE(LIMBER_BGR, 1),
    VALUE(LIMBER_RGBA, 2),
    VALUE(LIMBER_BGRA, 3),
    VALUE(LIMBER_GRAY, 4),
    VALUE(LIMBER_NV12, 5),
    VALUE(LIMBER_BT601, 0),
    VALUE(LIMBER_BT709, 1),
    VALUE(LIMBER_BT2020, 2),
    SIZE(limber_heads_options, 112),
    AT(limber_heads_options, layers, 24),
    AT(limber_heads_options, label_classes, 36),
    AT(limber_heads_options, label_names, 40),
    AT(limber_heads_options, boundaries, 48),
    AT(limber_heads_options, reserved, 52),
    VALUE(LIMBER_PATCH_ZERO, (size_t)-1),
    VALUE(LIMBER_PATCH_MEAN, (size_t)-2),
    VALUE(LIMBER_PATCH_CONST, (size_t)-3),
    VALUE(LIMBER_PATCH_PATH, (size_t)-4),
    VALUE(LIMBER_PATCH_DIRECT, 1),
    VALUE(LIMBER_PATCH_INPUT, 2),
    SIZE(limber_patch_options, 32),
    AT(limber_patch_options, reserved, 4),
};

Test(abi, sizes_places_and_values)
{
    if (sizeof(void *) != 8)
        cr_skip_test("the table is of 64-bit machines");
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++)
        cr_expect_eq(facts[i].is, facts[i].was, "%s is %zu, was %zu", facts[i].what, facts[i].is, facts[i].was);
}
