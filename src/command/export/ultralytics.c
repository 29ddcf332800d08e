/* SPDX-License-Identifier: MIT */
/* command/export/ultralytics.c - YOLO pose: labels/NAME.txt with a line a person (class, box as centre and size, then x, y and
 * visibility of every joint; all lengths as shares of the image) and data.yaml.
 *
 * Its reader refuses a file with a number out of 0..1, so boxes are cut at the image's edge, and a joint out of the image is one
 * that is not seen (0 0 0). A person wholly outside is left out. An image without people has an empty file: background. */
#include <stdlib.h>
#include <string.h>

#include "command/export/export.h"

static double cut(double v, double high)
{
    return v < 0 ? 0 : v > high ? high : v;
}

static void put_line(struct export *e, const struct pose_image *image, const struct pose_person *person)
{
    const double w = image->width, h = image->height;
    const double left = cut(person->box[0], w), right = cut(person->box[0] + person->box[2], w);
    const double top = cut(person->box[1], h), bottom = cut(person->box[1] + person->box[3], h);
    if (!(right > left && bottom > top))
        return;
    const double box[4] = {(left + right) / 2 / w, (top + bottom) / 2 / h, (right - left) / w, (bottom - top) / h};
    export_text(e, "0");
    for (int i = 0; i < 4; i++)
        export_text(e, " "), export_number(e, box[i], 6);
    for (size_t k = 0; k < e->joint_count; k++) {
        const struct pose_joint *joint = &person->joints[k];
        const double x = joint->x / w, y = joint->y / h;
        const bool there = joint->seen && x >= 0 && x <= 1 && y >= 0 && y <= 1;
        export_text(e, " "), export_number(e, there ? x : 0, 6);
        export_text(e, " "), export_number(e, there ? y : 0, 6);
        export_text(e, there ? " 2" : " 0");
    }
    export_text(e, "\n");
}

static int image(struct export *e, const struct pose_image *image)
{
    static const char folder[] = "labels/";
    for (size_t p = 0; p < image->people_count; p++)
        put_line(e, image, &image->people[p]);
    char *below = export_name(image->name, ".txt"), *name = below ? malloc(sizeof folder + strlen(below)) : NULL;
    if (name)
        strcat(strcpy(name, folder), below);
    else
        e->text.failed = true;
    const int status = export_file(e, name ? name : "", image->path);
    free(below);
    free(name);
    return status;
}

/* Which joint is which in a mirrored image: by their names. */
static size_t mirrored(const struct export *e, size_t k)
{
    const char *name = e->joints[k], *rest = !strncmp(name, "left_", 5)    ? name + 5
                                             : !strncmp(name, "right_", 6) ? name + 6
                                                                           : NULL;
    const char *side = rest == name + 5 ? "right_" : "left_";
    for (size_t i = 0; rest && i < e->joint_count; i++)
        if (!strncmp(e->joints[i], side, strlen(side)) && !strcmp(e->joints[i] + strlen(side), rest))
            return i;
    return k;
}

static int end(struct export *e)
{
    export_print(e, "# the photographs belong into images/, beside labels/\ntrain: images\nval: images\nkpt_shape: [%zu, 3]\n",
                 e->joint_count);
    export_text(e, "flip_idx: [");
    for (size_t k = 0; k < e->joint_count; k++)
        export_print(e, "%s%zu", k ? ", " : "", mirrored(e, k));
    export_text(e, "]\nnames:\n  0: person\nkpt_names:\n  0:\n");
    for (size_t k = 0; k < e->joint_count; k++) { /* a JSON string is a YAML string */
        put_clear(&e->number);
        put_string(&e->number, e->joints[k]);
        export_text(e, "    - ");
        put_bytes(&e->text, e->number.text ? e->number.text : "", e->number.length);
        export_text(e, "\n");
    }
    return export_file(e, "data.yaml", NULL);
}

const struct export_format export_ultralytics = {"ultralytics", true, NULL, false, false, 1, NULL, image, end};
