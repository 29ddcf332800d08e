/* SPDX-License-Identifier: MIT */
/* command/export/coco.c - a COCO keypoint dataset: images, annotations, one category. Images and annotations are counted from 1. A
 * joint that is seen has v = 2 and the model's place, another 0, 0, 0; what the model thinks of a person stands in "score",
 * which COCO's readers leave alone. The area is that of the box, which OKS is measured by. */
#include "command/export/export.h"

static int begin(struct export *e)
{
    struct json_text *t = &e->text;
    put_open(t, '{');
    put_key(t, "info"), put_open(t, '{'), put_key(t, "description"), put_string(t, "people found by limber"), put_close(t, '}');
    put_key(t, "categories"), put_open(t, '[');
    put_open(t, '{');
    put_key(t, "id"), put_integer(t, 1);
    put_key(t, "name"), put_string(t, "person");
    put_key(t, "supercategory"), put_string(t, "person");
    put_key(t, "keypoints"), put_open(t, '[');
    for (size_t k = 0; k < e->joint_count; k++)
        put_string(t, e->joints[k]);
    put_close(t, ']');
    put_key(t, "skeleton"), put_open(t, '['); /* joints from 1 */
    for (int b = 0; e->skeleton && b < e->skeleton->bone_count; b++) {
        put_open(t, '[');
        put_integer(t, e->skeleton->bones[b][0] + 1), put_integer(t, e->skeleton->bones[b][1] + 1);
        put_close(t, ']');
    }
    put_close(t, ']');
    put_close(t, '}');
    put_close(t, ']');
    put_key(t, "images");
    export_text(e, "[\n");
    return export_put(e);
}

static void put_person(struct json_text *t, const struct export *e, const struct pose_image *image,
                       const struct pose_person *person)
{
    int seen = 0;
    put_open(t, '{');
    put_key(t, "id"), put_integer(t, e->row);
    put_key(t, "image_id"), put_integer(t, image->number);
    put_key(t, "category_id"), put_integer(t, 1);
    put_key(t, "iscrowd"), put_integer(t, 0);
    put_key(t, "bbox"), put_open(t, '[');
    for (int i = 0; i < 4; i++)
        put_number(t, person->box[i], 2);
    put_close(t, ']');
    put_key(t, "area"), put_number(t, person->box[2] * person->box[3], 2);
    put_key(t, "keypoints"), put_open(t, '[');
    for (size_t k = 0; k < e->joint_count; k++) {
        const struct pose_joint *joint = &person->joints[k];
        put_number(t, joint->seen ? joint->x : 0, 2);
        put_number(t, joint->seen ? joint->y : 0, 2);
        put_integer(t, joint->seen ? 2 : 0);
        seen += joint->seen;
    }
    put_close(t, ']');
    put_key(t, "num_keypoints"), put_integer(t, seen);
    put_key(t, "score"), put_number(t, person->score, 4);
    put_close(t, '}');
}

static int image(struct export *e, const struct pose_image *image)
{
    struct json_text *t = &e->text;
    if (e->pass == 0) {
        export_text(e, image->number == 1 ? "" : ",\n");
        put_open(t, '{');
        put_key(t, "id"), put_integer(t, image->number);
        put_key(t, "file_name"), put_string(t, image->name);
        put_key(t, "width"), put_integer(t, image->width);
        put_key(t, "height"), put_integer(t, image->height);
        put_close(t, '}');
        return export_put(e);
    }
    if (image->number == 1)
        export_text(e, "\n],\"annotations\":[\n");
    for (size_t p = 0; p < image->people_count; p++) {
        export_text(e, e->row++ ? ",\n" : "");
        put_person(t, e, image, &image->people[p]);
    }
    return export_put(e);
}

static int end(struct export *e)
{
    export_text(e, e->images ? "\n]}\n" : "\n],\"annotations\":[\n]}\n");
    return export_put(e);
}

const struct export_format export_coco = {"coco", false, NULL, false, false, 2, begin, image, end};
