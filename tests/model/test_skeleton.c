/* SPDX-License-Identifier: MIT */
/* The rows of model/skeleton.h agree with themselves and with each other: a slip in one of a few hundred numbers shows here. */
#include <criterion/criterion.h>

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/labels.h"
#include "model/skeleton.h"

#define EVERY(s) for (const struct skeleton *const *at = skeletons, *s; (s = *at) != NULL; at++)

static bool has_bone(const struct skeleton *s, int a, int b)
{
    for (int i = 0; i < s->bone_count; i++)
        if ((s->bones[i][0] == a && s->bones[i][1] == b) || (s->bones[i][0] == b && s->bones[i][1] == a))
            return true;
    return false;
}

Test(skeleton, rows_are_whole)
{
    int rows = 0;
    EVERY(s)
    {
        rows++;
        cr_assert(s->keypoints > 0 && s->keypoints <= SKELETON_MAX_KEYPOINTS);
        cr_expect_eq(strlen(s->sides), (size_t)s->keypoints, "%s: %zu sides", s->name, strlen(s->sides));
        for (int k = 0; k < s->keypoints; k++) {
            cr_assert(s->names[k] && s->names[k][0] && strlen(s->names[k]) <= LABEL_BYTES_MAX);
            for (int other = 0; other < k; other++)
                cr_expect_str_neq(s->names[k], s->names[other], "%s: %d and %d", s->name, other, k);
            cr_expect(s->sigmas[k] > 0.006 && s->sigmas[k] < 0.11, "%s: sigma of %s", s->name, s->names[k]);
        }
        int next = 0;
        for (int p = 0; p < s->part_count; p++) {
            cr_expect_eq(s->parts[p].first, next, "%s: part %s", s->name, s->parts[p].name);
            next += s->parts[p].count;
        }
        cr_expect_eq(next, s->keypoints, "%s: the parts are %d joints", s->name, next);
    }
    cr_expect_eq(rows, 3);
    cr_expect_eq(skeleton_whole_body.keypoints, 133);
    cr_expect_eq(skeleton_whole_body.bone_count, 19 + 6 + 63 + 42, "%d bones", skeleton_whole_body.bone_count);
}

/* The mirror is its own inverse, turns left into right, and carries bones and lips of one side onto the other's. */
Test(skeleton, the_mirror_is_one)
{
    EVERY(s)
    for (int k = 0; k < s->keypoints; k++) {
        const int m = s->mirror[k];
        cr_assert(m >= 0 && m < s->keypoints);
        cr_expect_eq(s->mirror[m], k, "%s: %s", s->name, s->names[k]);
        cr_expect_eq(s->sides[k], m == k ? 'm' : s->sides[m] == 'l' ? 'r' : 'l', "%s: side of %s", s->name, s->names[k]);
        if (!strncmp(s->names[k], "left_", 5))
            cr_expect_eq(s->sides[k], 'l', "%s: %s", s->name, s->names[k]);
        /* the right hand's sigmas are the left one's; of the face each point was measured by itself */
        if (strncmp(s->names[k], "face", 4) && s != &skeleton_animal && strstr(s->names[k], "toe") == NULL &&
            strstr(s->names[k], "heel") == NULL)
            cr_expect_eq(s->sigmas[k], s->sigmas[m], "%s: sigma of %s", s->name, s->names[k]);
    }
    EVERY(s)
    for (int i = 0; i < s->bone_count; i++) {
        const int a = s->bones[i][0], b = s->bones[i][1];
        cr_assert(a >= 0 && a < s->keypoints && b >= 0 && b < s->keypoints && a != b);
        cr_expect(has_bone(s, s->mirror[a], s->mirror[b]), "%s: bone %s - %s has no mirror", s->name, s->names[a], s->names[b]);
        for (int j = 0; j < i; j++)
            cr_expect(!((s->bones[j][0] == a && s->bones[j][1] == b) || (s->bones[j][0] == b && s->bones[j][1] == a)),
                      "%s: bone %d twice", s->name, i);
    }
}

/* Where names tell the sides, they tell the same mirror. */
Test(skeleton, names_and_mirror_agree)
{
    EVERY(s)
    {
        int by_name[SKELETON_MAX_KEYPOINTS];
        cr_assert_eq(labels_pair_sides(by_name, (char *const *)s->names, s->keypoints, NULL), LIMBER_OK);
        for (int k = 0; k < s->keypoints; k++)
            if (strncmp(s->names[k], "face", 4))
                cr_expect_eq(by_name[k], s->mirror[k], "%s: %s", s->name, s->names[k]);
    }
}

Test(skeleton, the_whole_body_begins_with_cocos)
{
    for (int k = 0; k < COCO_KEYPOINTS; k++) {
        cr_expect_str_eq(skeleton_whole_body.names[k], coco_keypoint_names[k]);
        cr_expect_eq(skeleton_whole_body.sigmas[k], skeleton_coco.sigmas[k]);
        cr_expect_eq(skeleton_whole_body.mirror[k], skeleton_coco.mirror[k]);
    }
    for (int i = 0; i < skeleton_coco.bone_count; i++)
        cr_expect(has_bone(&skeleton_whole_body, skeleton_coco.bones[i][0], skeleton_coco.bones[i][1]));
}

/* Everything is one figure: from the first joint every other is reached, but the parts of a face hang in the air. */
Test(skeleton, bones_hold_together)
{
    EVERY(s)
    {
        bool reached[SKELETON_MAX_KEYPOINTS] = {[0] = true};
        for (int round = 0; round < s->keypoints; round++)
            for (int i = 0; i < s->bone_count; i++)
                if (reached[s->bones[i][0]] || reached[s->bones[i][1]])
                    reached[s->bones[i][0]] = reached[s->bones[i][1]] = true;
        for (int k = 0; k < s->keypoints; k++)
            cr_expect_eq(reached[k], strncmp(s->names[k], "face", 4) != 0, "%s: %s", s->name, s->names[k]);
    }
}

/* A row is known by its labels in any spelling, and only whole and in order. */
Test(skeleton, labels_are_recognised)
{
    EVERY(s)
    {
        char *labels[SKELETON_MAX_KEYPOINTS + 1];
        const struct skeleton *found;
        for (int k = 0; k < s->keypoints; k++) {
            labels[k] = strdup(s->names[k]);
            for (char *p = labels[k]; *p; p++)
                *p = *p == '_' || *p == '-' ? ' ' : (char)toupper((unsigned char)*p);
        }
        cr_expect_eq(labels_recognise(labels, s->keypoints, &found, NULL), LIMBER_OK);
        cr_expect_eq(found, s, "%s", s->name);
        for (int k = 0; k < s->keypoints; k++)
            cr_expect_str_eq(labels[k], s->names[k]);
        char *first = labels[0];
        labels[0] = labels[1], labels[1] = first;
        cr_expect_eq(labels_recognise(labels, s->keypoints, &found, NULL), LIMBER_OK);
        cr_expect_null(found, "%s in another order", s->name);
        cr_expect_eq(labels_recognise(labels, s->keypoints - 1, &found, NULL), LIMBER_OK);
        cr_expect_null(found);
        for (int k = 0; k < s->keypoints; k++)
            free(labels[k]);
    }
}
