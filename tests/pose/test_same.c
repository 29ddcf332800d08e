/* SPDX-License-Identifier: MIT */
/* Who is the same as whom, and who is ranked how: numbers of mmpose's oks_iou and bbox_keypoint, computed from their formulas in NumPy. */
#include <criterion/criterion.h>
#include <string.h>

#include "pose/same.h"

static const struct config coco = {
    .image_h = 256, .image_w = 192, .normalize_factor = 200, .keypoints = 17, .skeleton = &skeleton_coco};

/* Three people whose joints are near each other: moved by (k % 3, -(k % 4)) and by (6, k % 5). */
struct three {
    limber_keypoint joints[3][17];
    limber_person v[3];
};

static void three(struct three *t)
{
    static const limber_box boxes[] = {{10, 20, 40, 100}, {12, 18, 90, 60}, {30, 40, 50, 50}};
    memset(t, 0, sizeof *t);
    for (int p = 0; p < 3; p++)
        t->v[p] = (limber_person){.box = boxes[p], .box_score = 1, .keypoints = t->joints[p]};
    for (int k = 0; k < 17; k++) {
        const float x = (float)(10 + 5 * k), y = (float)(20 + 3 * k);
        t->joints[0][k] = (limber_keypoint){x, y, 0.5f};
        t->joints[1][k] = (limber_keypoint){x + (float)(k % 3), y - (float)(k % 4), 0.5f};
        t->joints[2][k] = (limber_keypoint){x + 6, y + (float)(k % 5), 0.5f};
    }
}

Test(same, oks_is_mmposes)
{
    struct three t;
    three(&t);
    cr_expect_float_eq(same_oks(&t.v[0], &t.v[1], &coco), 0.9832491519988208, 1e-7, "%.9f", same_oks(&t.v[0], &t.v[1], &coco));
    cr_expect_float_eq(same_oks(&t.v[0], &t.v[2], &coco), 0.7802233409832083, 1e-7, "%.9f", same_oks(&t.v[0], &t.v[2], &coco));
    cr_expect_float_eq(same_oks(&t.v[1], &t.v[2], &coco), 0.8284002097965092, 1e-7, "%.9f", same_oks(&t.v[1], &t.v[2], &coco));
}

Test(same, rank_counts_the_joints_that_are_seen)
{
    struct three t;
    three(&t);
    for (int k = 0; k < 17; k++)
        t.joints[0][k].score = k < 3 ? 0.8f : k < 5 ? 0.4f : SAME_JOINT; /* what is at the bound does not count */
    t.v[0].box_score = 0.5f;
    cr_expect_float_eq(same_rank(&t.v[0], 17), 0.5 * (3 * 0.8 + 2 * 0.4) / 5, 1e-7);
    for (int k = 0; k < 5; k++)
        t.joints[0][k].score = 0.1f;
    cr_expect_eq(same_rank(&t.v[0], 17), 0);
}

/* The first two are one. Who stays is decided by the rank, and the order of those who stay by the score. */
Test(same, the_higher_rank_stays)
{
    struct three t;
    three(&t);
    limber_people people = {.person = t.v, .count = 3, .keypoint_count = 17};
    t.v[0].score = 0.9f, t.v[0].box_score = 0.6f;
    t.v[1].score = 0.3f, t.v[1].box_score = 0.7f;
    t.v[2].score = 0.4f, t.v[2].box_score = 0.5f;
    same_suppress(&people, &coco, SAME_OKS);
    cr_assert_eq(people.count, 2);
    cr_expect(people.person[0].score == 0.4f && people.person[1].score == 0.3f);
    three(&t);
    people.count = 3;
    same_suppress(&people, &coco, 0.99f);
    cr_expect_eq(people.count, 3);
    cr_expect(people.person[0].keypoints == t.joints[0] && people.person[2].keypoints == t.joints[2], "equals keep their order");
}
