/* SPDX-License-Identifier: MIT */
/* command/run/coco_results.c - see command/run/coco_results.h. A line's name may hold bytes that are no Unicode (command/run/lines.h
 * reads it); what follows is plain JSON, and jansson's. One person's entry a line, so that the file can be read by people and by diff. */
#define _GNU_SOURCE
#include "command/run/coco_results.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command/options.h"
#include "command/run/lines.h"
#include "command/output.h"
#include "base/json_write.h"
#include "base/error.h"
#include "base/file.h"
#include "pose/same.h"

/* For COCO's measures people in scored boxes are ranked as mmpose ranks them (pose/same.h, same_rank). */
static double score_of(const json_t *person)
{
    const json_t *box_score = json_object_get(person, "box_score");
    json_t *joint;
    const char *name;
    double sum = 0;
    int seen = 0;
    if (!box_score)
        return json_number_value(json_object_get(person, "score"));
    json_object_foreach(json_object_get(person, "keypoints"), name, joint)
    {
        const double score = json_number_value(json_array_get(joint, 2));
        if (score > (double)SAME_JOINT) {
            sum += score;
            seen++;
        }
    }
    return seen ? json_number_value(box_score) * (sum / seen) : 0;
}

/* A person's joints, in the model's order: in "keypoints", or in the fields of the skeleton's parts. */
static void put_joints(struct json_text *t, const json_t *joints, const struct skeleton *s)
{
    const char *name;
    json_t *joint, *number;
    size_t i;
    int k = 0, part = 0;
    const bool parts = s && json_object_size(joints) == (size_t)s->keypoints;
    put_key(t, "keypoints"), put_open(t, '[');
    json_object_foreach((json_t *)joints, name, joint)
    {
        if (parts && k++ == s->parts[part].first + s->parts[part].count) {
            put_close(t, ']');
            put_key(t, s->parts[++part].field), put_open(t, '[');
        }
        json_array_foreach(joint, i, number) put_number(t, json_number_value(number), i < 2 ? 2 : 4);
    }
    put_close(t, ']');
}

static void begin_entry(struct json_text *t, long long id, const char *text, bool first)
{
    put_clear(t);
    put_raw(t, first ? "\n" : ",\n", first ? 1 : 2);
    put_open(t, '{');
    put_key(t, "image_id");
    if (text)
        put_string(t, text);
    else
        put_integer(t, id);
    put_key(t, "category_id"), put_integer(t, 1);
}

static int end_entry(struct output *o, struct json_text *t, double score, bool *first)
{
    put_key(t, "score"), put_number(t, score, 4);
    put_close(t, '}');
    if (t->failed)
        return cli_fail("no memory");
    *first = false;
    return output_write(o, t->text, t->length);
}

/* The people of one line, or its boxes. */
static int write_line(struct output *o, struct json_text *t, const json_t *line, const struct skeleton *skeleton, long long id,
                      const char *text, bool *first)
{
    const json_t *scores = json_object_get(line, "scores");
    json_t *person, *number;
    size_t i, k;
    int status = CLI_DONE;
    json_array_foreach(json_object_get(line, "people"), i, person)
    {
        begin_entry(t, id, text, *first);
        put_joints(t, json_object_get(person, "keypoints"), skeleton);
        if ((status = end_entry(o, t, score_of(person), first)))
            return status;
    }
    json_array_foreach(json_object_get(line, "boxes"), i, person)
    {
        begin_entry(t, id, text, *first);
        put_key(t, "bbox"), put_open(t, '[');
        json_array_foreach(person, k, number) put_number(t, json_number_value(number), 2);
        put_close(t, ']');
        if ((status = end_entry(o, t, json_number_value(json_array_get(scores, i)), first)))
            return status;
    }
    return status;
}

int coco_write(const char *dir, const char *lines_name, const char *coco_name, const struct skeleton *skeleton,
               coco_id_fn image_id, const void *context)
{
    struct output o = OUTPUT_CLOSED;
    struct json_text t = {0};
    char *path = output_path(dir, lines_name), *line = NULL, *unknown = NULL;
    size_t room = 0, unknown_count = 0;
    FILE *f = path ? fopen(path, "re") : NULL;
    int status = CLI_DONE;
    bool first = true;
    if (!f)
        status = cli_fail("%s: %s", path ? path : dir, path ? error_text(errno) : "no memory");
    if (!status)
        status = output_replace(&o, dir, coco_name);
    if (!status)
        status = output_write(&o, "[", 1);
    ssize_t n = 0;
    while (!status && (n = file_line(&line, &room, f)) > 0 && line[n - 1] == '\n') {
        struct line l;
        line[n - 1] = 0;
        if (!line_parse(&l, line, (size_t)n - 1) || l.failed || l.people == 0)
            continue;
        char *image = line_path(&l);
        long long id;
        const char *text;
        json_error_t error;
        /* ,"width":... becomes {"width":... */
        size_t offset = (size_t)(l.rest - line);
        line[offset] = '{';
        json_t *rest = json_loads(line + offset, 0, &error);
        if (!image || !rest) {
            status = cli_fail("%s: %s: %s", path, image ? image : "", rest ? "no memory" : error.text);
        } else if (!image_id(context, image, &id, &text)) {
            unknown_count++;
            if (!unknown) {
                unknown = image;
                image = NULL;
            }
        } else {
            status = write_line(&o, &t, rest, skeleton, id, text, &first);
        }
        free(image);
        json_decref(rest);
    }
    if (!status && n < 0)
        status = cli_fail("%s: %s", path, error_text(errno));
    if (!status)
        status = output_write(&o, "\n]\n", 3);
    if (!status)
        status = output_close(&o);
    if (!status && unknown_count) {
        cli_warn("%s: %zu images are left out, their names hold no number and --boxes names no id: %s%s", coco_name,
                 unknown_count, unknown, unknown_count > 1 ? ", ..." : "");
        status = CLI_SOME_FAILED;
    }
    output_abandon(&o);
    if (f)
        fclose(f);
    free(path);
    free(line);
    free(unknown);
    put_free(&t);
    return status;
}
