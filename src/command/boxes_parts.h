/* SPDX-License-Identifier: MIT */
/* command/boxes_parts.h - what command/boxes.c, boxes_category.c and boxes_join.c share; nobody else needs it. */
#ifndef LIMBER_BOXES_PARTS_H
#define LIMBER_BOXES_PARTS_H

#include <jansson.h>

#include "command/boxes.h"

/* An id as a file writes it. file: a file name that stands for the id (then the id does not matter); else text, or a number. */
struct box_id {
    const char *file, *text;
    long long number;
};
/* A whole number however it is written (7, 7.0, "007"), or any other text that is not empty; the text is borrowed. */
bool box_id_read(const json_t *v, struct box_id *id);
int box_id_compare(const struct box_id *a, const struct box_id *b);

/* ---- boxes_category.c: who is a person ---- */

struct category {
    struct box_id id;
    const char *name; /* NULL: only its id is known */
    bool wanted;
    size_t left_out;
};
struct categories {
    struct category *v; /* sorted by id */
    size_t count, room;
    const char *choice;            /* --category, or NULL */
    bool named, all_wanted, every; /* every: those too that only a box names */
    size_t zeros;                  /* boxes with category_id 0, where there are no names */
    struct category last;          /* for boxes without a category */
};
/* From `categories` of a COCO object, or from what each detection says of its own. */
limber_status categories_open(struct categories *c, const json_t *list, const json_t *annotations, const char *choice,
                              limber_error *err);
/* The category of a box, to count in where it is not wanted; NULL and an error where what stands there is none. */
struct category *category_of(struct categories *c, const json_t *box, const char *where, limber_error *err);
/* Sets b->others; an error where nothing was kept of `total` boxes, or where the file leaves doubt. */
limber_status categories_conclude(struct categories *c, struct boxes *b, size_t total, bool kept, limber_error *err);
void categories_close(struct categories *c);

#endif
