/* SPDX-License-Identifier: MIT */
/* Bones of a pose: which joints, how long, at what angle. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "model/labels.h"
#include "pose/limbs.h"

static limber_limb measured(limber_keypoint from, limber_keypoint to)
{
    limber_keypoint joints[17] = {{0}};
    joints[skeleton_limbs[0][0]] = from;
    joints[skeleton_limbs[0][1]] = to;
    limber_limb limbs[SKELETON_LIMBS];
    limber_person person = {.keypoints = joints, .limbs = limbs};
    limbs_measure(&person);
    return limbs[0];
}

Test(limbs, names_and_joints_belong_together)
{
    static const char *const ends[][2] = {{"shoulder", "elbow"}, {"elbow", "wrist"}, {"hip", "knee"}, {"knee", "ankle"}};
    static const char *const bones[] = {"upper_arm", "forearm", "thigh", "shin"};
    for (int i = 0; i < SKELETON_LIMBS; i++) {
        const char *side = i % 2 ? "right" : "left";
        char name[64], from[64], to[64];
        snprintf(name, sizeof name, "%s_%s", side, bones[i / 2]);
        snprintf(from, sizeof from, "%s_%s", side, ends[i / 2][0]);
        snprintf(to, sizeof to, "%s_%s", side, ends[i / 2][1]);
        cr_expect_str_eq(limber_limb_name(i), name);
        cr_expect_str_eq(coco_keypoint_names[skeleton_limbs[i][0]], from);
        cr_expect_str_eq(coco_keypoint_names[skeleton_limbs[i][1]], to);
    }
    cr_expect_null(limber_limb_name(-1));
    cr_expect_null(limber_limb_name(SKELETON_LIMBS));
}

Test(limbs, angles_turn_counter_clockwise_with_y_up)
{
    static const struct {
        float x, y, angle;
    } cases[] = {{10, 0, 0},   {10, -10, 45},   {0, -10, 90},        {-10, 0, 180},
                 {0, 10, -90}, {-10, 10, -135}, {-1e8f, 1e-3f, 180}, {0, 0, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        limber_limb l = measured((limber_keypoint){5, 7, 1}, (limber_keypoint){5 + cases[i].x, 7 + cases[i].y, 1});
        cr_expect_float_eq(l.angle, cases[i].angle, 1e-4, "to (%g, %g): %g, expected %g", (double)cases[i].x, (double)cases[i].y,
                           (double)l.angle, (double)cases[i].angle);
        cr_expect(l.angle > -180 && l.angle <= 180);
    }
}

Test(limbs, length_and_the_lower_score)
{
    limber_limb l = measured((limber_keypoint){1, 2, 0.9f}, (limber_keypoint){4, 6, 0.4f});
    cr_expect_eq(l.length, 5);
    cr_expect_eq(l.score, 0.4f);
    cr_expect_eq(measured((limber_keypoint){1, 2, -0.1f}, (limber_keypoint){4, 6, 0.4f}).score, -0.1f);
    cr_expect(l.from == 5 && l.to == 7);
}
