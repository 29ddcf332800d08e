/* SPDX-License-Identifier: MIT */
/* command/export/labelstudio.c - Label Studio: tasks.json, every image a task with one prediction, and config.xml, the labelling
 * interface the predictions are for. A person is a rectangle, whose joints name it as their parent. Places are percent of the image.
 * Images are addresses: as Label Studio's local files, or whatever --image-prefix puts before the names, which are percent-encoded
 * then; after an empty prefix they stand as they are. */
#include <stdlib.h>
#include <string.h>

#include "command/export/export.h"
#include "command/say.h"

static int begin(struct export *e)
{
    export_text(e, "<View>\n  <Image name=\"image\" value=\"$image\"/>\n"
                   "  <RectangleLabels name=\"person\" toName=\"image\">\n    <Label value=\"person\"/>\n  </RectangleLabels>\n"
                   "  <KeyPointLabels name=\"joint\" toName=\"image\">\n");
    for (size_t k = 0; k < e->joint_count; k++) {
        export_text(e, "    <Label value=\"");
        export_xml(e, e->joints[k]);
        export_text(e, "\"/>\n");
    }
    export_text(e, "  </KeyPointLabels>\n</View>\n");
    const int status = export_file(e, "config.xml", NULL);
    export_text(e, "[\n");
    return status ? status : export_put(e);
}

static void put_address(struct export *e, const char *name)
{
    const char *prefix = e->prefix ? e->prefix : "/data/local-files/?d=";
    char *address = malloc(strlen(prefix) + 3 * strlen(name) + 1), *to = address;
    if (!address) {
        e->text.failed = true;
        return;
    }
    to += sprintf(to, "%s", prefix);
    for (const unsigned char *p = (const unsigned char *)name; *p; p++) {
        const bool plain =
            (*p >= '0' && *p <= '9') || (*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z') || strchr("-._~/", *p);
        to += sprintf(to, plain || !*prefix ? "%c" : "%%%02X", *p);
    }
    *to = 0;
    put_string(&e->text, address);
    free(address);
}

static void put_percent(struct json_text *t, const char *key, double value, int whole)
{
    put_key(t, key), put_number(t, 100 * value / whole, 4);
}

static void put_result(struct json_text *t, const struct pose_image *image, const char *id, const char *type, const char *from)
{
    put_open(t, '{');
    put_key(t, "id"), put_string(t, id);
    put_key(t, "type"), put_string(t, type);
    put_key(t, "from_name"), put_string(t, from);
    put_key(t, "to_name"), put_string(t, "image");
    put_key(t, "original_width"), put_integer(t, image->width);
    put_key(t, "original_height"), put_integer(t, image->height);
    put_key(t, "image_rotation"), put_integer(t, 0);
}

static void put_label(struct json_text *t, const char *key, const char *label)
{
    put_key(t, key), put_open(t, '['), put_string(t, label), put_close(t, ']');
}

static double cut(double v, double high)
{
    return v < 0 ? 0 : v > high ? high : v;
}

/* Places beyond 0..100 % are refused by Label Studio: a box is cut at the image's edge, a joint out of the image left out. */
static void put_person(struct export *e, const struct pose_image *image, size_t p)
{
    struct json_text *t = &e->text;
    const struct pose_person *person = &image->people[p];
    char id[64], joint_id[96];
    snprintf(id, sizeof id, "person%zu", p);
    const double w = image->width, h = image->height;
    const double left = cut(person->box[0], w), right = cut(person->box[0] + person->box[2], w);
    const double top = cut(person->box[1], h), bottom = cut(person->box[1] + person->box[3], h);
    if (!(right > left && bottom > top))
        return;
    put_result(t, image, id, "rectanglelabels", "person");
    put_key(t, "score"), put_number(t, person->score, 4);
    put_key(t, "value"), put_open(t, '{');
    put_percent(t, "x", left, image->width);
    put_percent(t, "y", top, image->height);
    put_percent(t, "width", right - left, image->width);
    put_percent(t, "height", bottom - top, image->height);
    put_key(t, "rotation"), put_integer(t, 0);
    put_label(t, "rectanglelabels", "person");
    put_close(t, '}');
    put_close(t, '}');
    for (size_t k = 0; k < e->joint_count; k++) {
        const struct pose_joint *joint = &person->joints[k];
        if (!joint->seen || joint->x < 0 || joint->x > w || joint->y < 0 || joint->y > h)
            continue;
        snprintf(joint_id, sizeof joint_id, "%s-%zu", id, k);
        put_result(t, image, joint_id, "keypointlabels", "joint");
        put_key(t, "parentID"), put_string(t, id);
        put_key(t, "score"), put_number(t, joint->score, 4);
        put_key(t, "value"), put_open(t, '{');
        put_percent(t, "x", joint->x, image->width);
        put_percent(t, "y", joint->y, image->height);
        put_key(t, "width"), put_number(t, 0.5, 1); /* of the dot */
        put_label(t, "keypointlabels", e->joints[k]);
        put_close(t, '}');
        put_close(t, '}');
    }
}

static int image(struct export *e, const struct pose_image *image)
{
    struct json_text *t = &e->text;
    double score = 0;
    export_text(e, image->number == 1 ? "" : ",\n");
    put_open(t, '{');
    put_key(t, "data"), put_open(t, '{');
    put_key(t, "image"), put_address(e, image->name);
    put_close(t, '}');
    put_key(t, "predictions"), put_open(t, '['), put_open(t, '{');
    put_key(t, "model_version"), put_string(t, "limber " LIMBER_VERSION);
    put_key(t, "result"), put_open(t, '[');
    for (size_t p = 0; p < image->people_count; p++) {
        put_person(e, image, p);
        score += image->people[p].score / (double)image->people_count;
    }
    put_close(t, ']');
    put_key(t, "score"), put_number(t, score, 4);
    put_close(t, '}'), put_close(t, ']');
    put_close(t, '}');
    return export_put(e);
}

static int end(struct export *e)
{
    export_text(e, "\n]\n");
    return export_put(e);
}

const struct export_format export_labelstudio = {"labelstudio", true, "tasks.json", false, false, 1, begin, image, end};
