/* SPDX-License-Identifier: MIT */
/* command/run/run_line.c - one line of poses.jsonl, or of boxes.jsonl. Numbers are rounded to fixed decimals: pixels to 2, scores to 4. */
#include "command/run/run.h"
#include "command/run/frames.h"

static void put_pixels(struct json_text *t, float v)
{
    put_number(t, (double)v, 2);
}

static void put_score(struct json_text *t, float v)
{
    put_number(t, (double)v, 4);
}

static void put_box(struct json_text *t, const limber_box *b)
{
    put_open(t, '[');
    put_pixels(t, b->x), put_pixels(t, b->y), put_pixels(t, b->width), put_pixels(t, b->height);
    put_close(t, ']');
}

static void put_person(struct json_text *t, const limber_model *model, const limber_person *p, bool found)
{
    put_open(t, '{');
    if (p->track)
        put_key(t, "track"), put_integer(t, p->track);
    put_key(t, "box"), put_box(t, &p->box);
    if (found)
        put_key(t, "box_score"), put_score(t, p->box_score);
    put_key(t, "score"), put_score(t, p->score);
    put_key(t, "keypoints"), put_open(t, '{');
    for (int k = 0; k < limber_model_keypoint_count(model); k++) {
        put_key(t, limber_model_keypoint_name(model, k)), put_open(t, '[');
        put_pixels(t, p->keypoints[k].x), put_pixels(t, p->keypoints[k].y), put_score(t, p->keypoints[k].score);
        put_close(t, ']');
    }
    put_close(t, '}');
    if (p->limb_count) {
        put_key(t, "limbs"), put_open(t, '{');
        for (int i = 0; i < p->limb_count; i++) {
            const limber_limb *l = &p->limbs[i];
            put_key(t, limber_limb_name(i)), put_open(t, '{');
            put_key(t, "from"), put_string(t, limber_model_keypoint_name(model, l->from));
            put_key(t, "to"), put_string(t, limber_model_keypoint_name(model, l->to));
            put_key(t, "length"), put_pixels(t, l->length);
            put_key(t, "angle"), put_pixels(t, l->angle);
            put_key(t, "score"), put_score(t, l->score);
            put_close(t, '}');
        }
        put_close(t, '}');
    }
    put_close(t, '}');
}

static void put_people(struct json_text *t, const limber_model *model, const struct stream_item *item)
{
    put_key(t, "people"), put_open(t, '[');
    for (int i = 0; i < item->parcel.people.count; i++)
        put_person(t, model, &item->parcel.people.person[i], item->scores != NULL);
    put_close(t, ']');
}

/* Boxes and their scores, as --boxes reads them. */
static void put_boxes(struct json_text *t, const limber_people *people)
{
    put_key(t, "boxes"), put_open(t, '[');
    for (int i = 0; i < people->count; i++)
        put_box(t, &people->person[i].box);
    put_close(t, ']');
    put_key(t, "scores"), put_open(t, '[');
    for (int i = 0; i < people->count; i++)
        put_score(t, people->person[i].box_score);
    put_close(t, ']');
}

void run_put_line(struct json_text *t, const limber_model *model, const struct stream_item *item)
{
    put_clear(t);
    put_open(t, '{');
    put_key(t, "image"), put_string(t, item->input->path);
    if (item->parcel.status) {
        put_key(t, "error"), put_string(t, item->parcel.error.text);
    } else {
        put_key(t, "width"), put_integer(t, item->image.width);
        put_key(t, "height"), put_integer(t, item->image.height);
        if (model)
            put_people(t, model, item);
        else
            put_boxes(t, &item->parcel.people);
    }
    put_close(t, '}');
    put_newline(t);
}

void run_put_frame(struct json_text *t, const limber_model *model, const char *video, const struct frame_item *item)
{
    put_clear(t);
    put_open(t, '{');
    put_key(t, "video"), put_string(t, video);
    put_key(t, "frame"), put_integer(t, item->frame.number);
    put_key(t, "time"), put_number(t, item->frame.time, 6);
    put_key(t, "width"), put_integer(t, item->frame.view.width);
    put_key(t, "height"), put_integer(t, item->frame.view.height);
    if (item->parcel.status) {
        put_key(t, "error"), put_string(t, item->parcel.error.text);
    } else {
        put_key(t, "people"), put_open(t, '[');
        for (int i = 0; i < item->parcel.people.count; i++)
            put_person(t, model, &item->parcel.people.person[i], item->found.boxes != NULL);
        put_close(t, ']');
    }
    put_close(t, '}');
    put_newline(t);
}
