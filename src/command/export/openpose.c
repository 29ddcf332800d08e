/* SPDX-License-Identifier: MIT */
/* command/export/openpose.c - a folder of NAME_keypoints.json, as OpenPose's --write_json makes it with BODY_25 (its doc/02_output.md), of
 * videos NAME_000000000012_keypoints.json, with the track as person_id:
 * 25 x, y, confidence a person. COCO has 17 of them; the neck is the middle of the shoulders, the mid-hip that of the hips, with
 * the lower of the two confidences, as OpenPose's own training made them. Toes and heels stay 0, 0, 0: "not found". */
#include <stdlib.h>
#include <string.h>

#include "command/export/export.h"

enum { NECK = -1, MID_HIP = -2, NOT_FOUND = -3 };
/* BODY_25's order: which of COCO's joints it is. */
static const int body_25[25] = {
    0,  NECK, 6, 8, 10, 5, 7,         9,         MID_HIP,   12,        14,        16,        11,
    13, 15,   2, 1, 4,  3, NOT_FOUND, NOT_FOUND, NOT_FOUND, NOT_FOUND, NOT_FOUND, NOT_FOUND,
};

static struct pose_joint middle(const struct pose_joint *a, const struct pose_joint *b)
{
    return (struct pose_joint){(a->x + b->x) / 2, (a->y + b->y) / 2, a->score < b->score ? a->score : b->score,
                               a->seen && b->seen};
}

static struct pose_joint find(const struct pose_joint *joints, int which)
{
    return which == NECK      ? middle(&joints[5], &joints[6])
           : which == MID_HIP ? middle(&joints[11], &joints[12])
           : which >= 0       ? joints[which]
                              : (struct pose_joint){0};
}

static int image(struct export *e, const struct pose_image *image)
{
    static const char *const none[] = {"face_keypoints_2d",      "hand_left_keypoints_2d", "hand_right_keypoints_2d",
                                       "pose_keypoints_3d",      "face_keypoints_3d",      "hand_left_keypoints_3d",
                                       "hand_right_keypoints_3d"};
    struct json_text *t = &e->text;
    put_open(t, '{');
    put_key(t, "version"), put_number(t, 1.3, 1);
    put_key(t, "people"), put_open(t, '[');
    for (size_t p = 0; p < image->people_count; p++) {
        put_open(t, '{');
        put_key(t, "person_id"), put_open(t, '['), put_integer(t, image->people[p].track ? image->people[p].track : -1),
            put_close(t, ']');
        put_key(t, "pose_keypoints_2d"), put_open(t, '[');
        for (size_t k = 0; k < 25; k++) {
            const struct pose_joint joint = find(image->people[p].joints, body_25[k]);
            put_number(t, joint.seen ? joint.x : 0, 3);
            put_number(t, joint.seen ? joint.y : 0, 3);
            put_number(t, joint.seen ? joint.score : 0, 4);
        }
        put_close(t, ']');
        for (size_t i = 0; i < sizeof none / sizeof *none; i++)
            put_key(t, none[i]), put_open(t, '['), put_close(t, ']');
        put_close(t, '}');
    }
    put_close(t, ']');
    put_close(t, '}');
    put_newline(t);
    char ending[64] = "_keypoints.json";
    if (image->frame >= 0)
        snprintf(ending, sizeof ending, "_%012lld_keypoints.json", image->frame);
    char *name = export_name(image->name, ending);
    if (!name)
        t->failed = true;
    const int status = export_file(e, name ? name : "", image->path);
    free(name);
    return status;
}

const struct export_format export_openpose = {"openpose", true, NULL, true, true, 1, NULL, image, NULL};
