/* SPDX-License-Identifier: MIT */
/* Joints -> the eight bones of arms and legs. Angles are the reader's, not the image's: y points up. */
#include "pose/limbs.h"

#include <math.h>

static const char *const names[SKELETON_LIMBS] = {
    "left_upper_arm", "right_upper_arm", "left_forearm", "right_forearm", "left_thigh", "right_thigh", "left_shin", "right_shin",
};

const char *limber_limb_name(int limb)
{
    return limb >= 0 && limb < SKELETON_LIMBS ? names[limb] : NULL;
}

void limbs_measure(limber_person *person)
{
    for (int i = 0; i < SKELETON_LIMBS; i++) {
        int from = skeleton_limbs[i][0], to = skeleton_limbs[i][1];
        const limber_keypoint *a = &person->keypoints[from], *b = &person->keypoints[to];
        double right = (double)b->x - (double)a->x, up = (double)a->y - (double)b->y;
        float angle = (float)(atan2(up, right) * (180 / 3.14159265358979323846));
        person->limbs[i] = (limber_limb){.from = from,
                                         .to = to,
                                         .length = (float)hypot(right, up),
                                         .angle = angle > -180 ? angle : 180, /* -179.9999999 rounds to -180 */
                                         .score = a->score < b->score ? a->score : b->score};
    }
}
