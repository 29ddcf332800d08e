/* SPDX-License-Identifier: MIT */
/* See command/boxes_parts.h. Whose box it is decides whether a skeleton is drawn on a bicycle: what is doubtful is asked for. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/array.h"
#include "base/error.h"
#include "base/json_read.h"
#include "command/boxes_parts.h"

#define MAX_CATEGORIES 20000
#define SHOWN 5 /* categories that a message lists */
#define SHOW 80

static limber_status no_memory(limber_error *err)
{
    return limber_fail(err, LIMBER_E_MEMORY, "no memory for the categories");
}

/* The category of an id, added where it is new; NULL and an error where there are too many. */
static struct category *find_or_add(struct categories *c, const struct box_id *id, limber_error *err)
{
    size_t low = 0, high = c->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (box_id_compare(&c->v[middle].id, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < c->count && !box_id_compare(&c->v[low].id, id))
        return &c->v[low];
    if (c->count == MAX_CATEGORIES) {
        limber_fail(err, LIMBER_E_FORMAT, "more than %d categories", MAX_CATEGORIES);
        return NULL;
    }
    struct category *v = array_grown(c->v, c->count, &c->room, sizeof *v);
    if (!v) {
        no_memory(err);
        return NULL;
    }
    c->v = v;
    memmove(c->v + low + 1, c->v + low, (c->count++ - low) * sizeof *c->v);
    c->v[low] = (struct category){.id = *id, .wanted = c->every};
    return &c->v[low];
}

static const char *show_category(char text[SHOW], const struct category *c)
{
    if (c->name || c->id.text)
        snprintf(text, SHOW, "%s", c->name ? c->name : c->id.text);
    else
        snprintf(text, SHOW, "category_id %lld", c->id.number);
    return text;
}

/* "person, car, ..." of those with a name. */
static void list_names(char *text, size_t room, const struct categories *c)
{
    size_t shown = 0, length = 0;
    text[0] = 0;
    for (size_t i = 0; i < c->count && length < room - SHOW - 8; i++) {
        char one[SHOW];
        if (!c->v[i].name)
            continue;
        if (shown++ == SHOWN) {
            snprintf(text + length, room - length, ", ...");
            return;
        }
        length += (size_t)snprintf(text + length, room - length, "%s%s", length ? ", " : "", show_category(one, &c->v[i]));
    }
}

/* ---- --category ---- */

/* Marks what is called `text`, or has that id. */
static bool mark(struct categories *c, const char *text, size_t length)
{
    bool found = false;
    for (size_t i = 0; i < c->count; i++) {
        struct category *each = &c->v[i];
        const char *name = each->name ? each->name : each->id.text;
        char number[32];
        snprintf(number, sizeof number, "%lld", each->id.number);
        if ((name && strlen(name) == length && !strncasecmp(name, text, length)) ||
            (!each->id.text && strlen(number) == length && !strncmp(number, text, length)))
            found = each->wanted = true;
    }
    return found;
}

static limber_status mark_choice(struct categories *c, limber_error *err)
{
    char known[512];
    if (mark(c, c->choice, strlen(c->choice))) /* a name may hold commas */
        return LIMBER_OK;
    if (!strcmp(c->choice, BOXES_EVERY_CATEGORY)) {
        c->every = true;
        for (size_t i = 0; i < c->count; i++)
            c->v[i].wanted = true;
        return LIMBER_OK;
    }
    for (const char *p = c->choice;; p++) {
        size_t n = strcspn(p, ",");
        struct box_id id = {.number = 0};
        char *end;
        bool number = n > 0 && n < 19 && (id.number = strtoll(p, &end, 10), end == p + n);
        if (!c->named && number) { /* whether a box has it is seen when they are read */
            struct category *each = find_or_add(c, &id, err);
            if (!each)
                return LIMBER_E_MEMORY;
            each->wanted = true;
        } else if (!mark(c, p, n)) {
            list_names(known, sizeof known, c);
            if (!c->named)
                return limber_fail(err, LIMBER_E_ARGUMENT,
                                   "the file does not name its categories: give --category an id, not \"%.*s\"",
                                   (int)(n < SHOW ? n : SHOW), p);
            return limber_fail(err, LIMBER_E_ARGUMENT, "no category is \"%.*s\"; there are %s", (int)(n < SHOW ? n : SHOW), p,
                               known);
        }
        p += n;
        if (!*p)
            return LIMBER_OK;
    }
}

/* ---- without it ---- */

static bool is_called(const struct category *c, const char *const *names)
{
    const char *name = c->name ? c->name : c->id.text;
    for (; name && *names; names++)
        if (!strcasecmp(name, *names))
            return true;
    return false;
}

static bool mark_called(struct categories *c, const char *const *names)
{
    bool found = false;
    for (size_t i = 0; i < c->count; i++)
        if (is_called(&c->v[i], names))
            found = c->v[i].wanted = true;
    return found;
}

static limber_status mark_people(struct categories *c, limber_error *err)
{
    static const char *const person[] = {"person", NULL}, *const alike[] = {"persons",    "people",      "human", "humans",
                                                                            "pedestrian", "pedestrians", NULL};
    char known[512];
    if (!c->named) {
        const struct box_id one = {.number = 1};
        struct category *coco = find_or_add(c, &one, err);
        if (!coco)
            return LIMBER_E_MEMORY;
        coco->wanted = true;
        return LIMBER_OK;
    }
    if (mark_called(c, person) || mark_called(c, alike))
        return LIMBER_OK;
    list_names(known, sizeof known, c);
    return limber_fail(err, LIMBER_E_FORMAT,
                       "no category is called person; there %s %s: say with --category NAME whom to take for people",
                       c->count == 1 ? "is" : "are", known);
}

/* ---- the table ---- */

static limber_status name_category(struct categories *c, const json_t *id, const json_t *name, limber_error *err)
{
    struct box_id key;
    if (!json_is_string(name) || !json_string_length(name))
        return LIMBER_OK;
    if (!box_id_read(id, &key))
        key = (struct box_id){.text = json_string_value(name)};
    struct category *each = find_or_add(c, &key, err);
    if (!each)
        return LIMBER_E_FORMAT;
    if (each->name && strcmp(each->name, json_string_value(name)))
        return limber_fail(err, LIMBER_E_FORMAT, "category_id %lld is called %.40s and %.40s", key.number, each->name,
                           json_string_value(name));
    each->name = json_string_value(name);
    c->named = true;
    return LIMBER_OK;
}

limber_status categories_open(struct categories *c, const json_t *list, const json_t *annotations, const char *choice,
                              limber_error *err)
{
    limber_status st = LIMBER_OK;
    *c = (struct categories){.choice = choice};
    for (size_t i = 0; !st && i < json_array_size(list); i++)
        st = name_category(c, json_object_get(json_array_get(list, i), "id"), json_object_get(json_array_get(list, i), "name"),
                           err);
    for (size_t i = 0; !st && i < json_array_size(annotations); i++) {
        const json_t *v = json_array_get(annotations, i), *id = json_object_get(v, "category_id");
        struct box_id key;
        st = name_category(c, id, json_object_get(v, "category_name"), err);
        if (!st && json_is_string(id) && box_id_read(id, &key) && key.text)
            st = name_category(c, id, id, err);
    }
    if (!st && json_array_size(annotations))
        st = choice ? mark_choice(c, err) : mark_people(c, err);
    c->all_wanted = true;
    for (size_t i = 0; i < c->count; i++)
        c->all_wanted &= c->v[i].wanted;
    return st;
}

struct category *category_of(struct categories *c, const json_t *box, const char *where, limber_error *err)
{
    const json_t *v = json_object_get(box, "category_id"), *name = json_object_get(box, "category_name");
    struct box_id id;
    char show[JSON_SHOW];
    if (!v || json_is_null(v)) {
        if (!json_is_string(name) || !json_string_length(name)) {
            c->last = (struct category){.wanted = c->named ? c->all_wanted : !c->choice || c->every};
            return &c->last;
        }
        v = name;
    }
    if (!box_id_read(v, &id)) {
        limber_fail(err, LIMBER_E_FORMAT, "%s: its category_id is %s, expected a whole number", where, json_show(show, v));
        return NULL;
    }
    c->zeros += !c->named && !id.text && id.number == 0;
    return find_or_add(c, &id, err);
}

static int most_first(const void *a, const void *b)
{
    const struct category *x = *(const struct category *const *)a, *y = *(const struct category *const *)b;
    return x->left_out != y->left_out ? (x->left_out < y->left_out) - (x->left_out > y->left_out)
                                      : box_id_compare(&x->id, &y->id);
}

/* "car 3, dog 1" */
static limber_status name_others(const struct categories *c, struct boxes *b, limber_error *err)
{
    const struct category **order = malloc((c->count + 1) * sizeof *order);
    size_t n = 0, length = 0, room = (SHOWN + 1) * (SHOW + 32);
    b->others = malloc(room);
    for (size_t i = 0; order && i < c->count; i++)
        if (c->v[i].left_out)
            order[n++] = &c->v[i];
    if (order && n)
        qsort(order, n, sizeof *order, most_first);
    for (size_t i = 0; order && b->others && i < n && i <= SHOWN; i++) {
        char one[SHOW];
        length += (size_t)(i == SHOWN ? snprintf(b->others + length, room - length, ", ...")
                                      : snprintf(b->others + length, room - length, "%s%s %zu", i ? ", " : "",
                                                 show_category(one, order[i]), order[i]->left_out));
    }
    bool fine = order && b->others;
    free(order);
    if (fine && n)
        return LIMBER_OK;
    free(b->others);
    b->others = NULL;
    return fine ? LIMBER_OK : no_memory(err);
}

limber_status categories_conclude(struct categories *c, struct boxes *b, size_t total, bool kept, limber_error *err)
{
    if (!c->choice && c->zeros)
        return limber_fail(
            err, LIMBER_E_FORMAT,
            "%zu of its %zu boxes have category_id 0, so 1 need not be COCO's person: say with --category ID which are people",
            c->zeros, total);
    limber_status st = name_others(c, b, err);
    if (!st && b->left_out.category && !kept)
        st = c->choice ? limber_fail(err, LIMBER_E_ARGUMENT, "none of its %zu boxes is of --category %.60s: there are %s", total,
                                     c->choice, b->others)
                       : limber_fail(err, LIMBER_E_FORMAT,
                                     "none of its %zu boxes %s, there are %s: say with --category whom to take for people", total,
                                     c->named ? "is a person's" : "has category_id 1, which is COCO's person", b->others);
    return st;
}

void categories_close(struct categories *c)
{
    free(c->v);
    *c = (struct categories){0};
}
