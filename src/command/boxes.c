/* SPDX-License-Identifier: MIT */
/* The file says of its images, by name or by number, where people are; the inputs are paths of this machine. Three steps:
 *
 *     parse   text -> images, annotations by image. Structure that is not what a form asks for refuses the file. A box that is a
 *             box in form but cannot be one (no width, beyond 1e8) spoils only its image: COCO's own training set has two such.
 *     choose  boxes_category.c: which boxes are people's.
 *     join    boxes_join.c: paths <-> images.
 *
 * Fears: a gigabyte of JSON (base/json_read.c bounds it), ids used twice, numbers of any size. */
#define _GNU_SOURCE
#include "command/boxes.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/error.h"
#include "base/file.h"
#include "base/fingerprint.h"
#include "base/json_read.h"
#include "base/text.h"
#include "model/skeleton.h"
#include "pose/pipeline.h"
#include "command/boxes_parts.h"

#define MAX_KEYPOINTS 1024

static limber_status no_memory(limber_error *err)
{
    return limber_fail(err, LIMBER_E_MEMORY, "no memory for the boxes");
}

/* ---- numbers and ids ---- */

/* 7, or 7.0 as pandas and JavaScript write it. */
static bool read_whole(const json_t *v, long long *n)
{
    if (json_is_integer(v)) {
        *n = json_integer_value(v);
        return true;
    }
    double x = json_real_value(v);
    if (!json_is_real(v) || !(fabs(x) <= 9007199254740992.0) || x != floor(x))
        return false;
    *n = (long long)x;
    return true;
}

/* *value stays where the key is absent or null. */
static limber_status read_count(const json_t *v, const char *key, int high, int *value, limber_error *err)
{
    const json_t *is = json_object_get(v, key);
    char show[JSON_SHOW];
    long long n;
    if (!is || json_is_null(is))
        return LIMBER_OK;
    if (!read_whole(is, &n) || n < 0 || n > high)
        return limber_fail(err, LIMBER_E_FORMAT, "%s is %s, expected a whole number from 0 to %d", key, json_show(show, is),
                           high);
    *value = (int)n;
    return LIMBER_OK;
}

bool box_id_read(const json_t *v, struct box_id *id)
{
    *id = (struct box_id){.number = -1};
    if (read_whole(v, &id->number))
        return true;
    const char *s = json_string_value(v);
    size_t n = s ? strlen(s) : 0;
    if (n > 0 && n <= 18 && strspn(s, "0123456789") == n)
        id->number = strtoll(s, NULL, 10);
    else if (n > 0)
        id->text = s;
    return n > 0;
}

int box_id_compare(const struct box_id *a, const struct box_id *b)
{
    if (a->file || b->file)
        return a->file && b->file ? strcmp(a->file, b->file) : (a->file != NULL) - (b->file != NULL);
    if (a->text || b->text)
        return a->text && b->text ? strcmp(a->text, b->text) : (a->text != NULL) - (b->text != NULL);
    return (a->number > b->number) - (a->number < b->number);
}

static const char *show_id(char text[JSON_SHOW], const struct box_id *id)
{
    if (id->text)
        snprintf(text, JSON_SHOW, "\"%.60s\"", id->text);
    else
        snprintf(text, JSON_SHOW, "%lld", id->number);
    return text;
}

struct id_place {
    struct box_id id;
    size_t place;
};

static int by_id(const void *a, const void *b)
{
    const struct id_place *x = a, *y = b;
    int order = box_id_compare(&x->id, &y->id);
    return order ? order : (x->place > y->place) - (x->place < y->place);
}

/* The first of sorted v[0..count) that has this id, or NULL. */
static const struct id_place *find_id(const struct id_place *v, size_t count, const struct box_id *id)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (box_id_compare(&v[middle].id, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && !box_id_compare(&v[low].id, id) ? &v[low] : NULL;
}

/* ---- collecting ---- */

/* An annotation that has not been put to its image's others yet. */
struct loose {
    size_t image;
    struct annotation a;
};

struct reading {
    struct boxes *b;
    size_t room;
    struct loose *loose;
    size_t loose_count, loose_room;
    const char *category;
    limber_error *err;
};

static limber_status add_image(struct reading *r, struct boxes_list **out)
{
    void *v = array_grown(r->b->list, r->b->count, &r->room, sizeof *r->b->list);
    if (!v)
        return no_memory(r->err);
    r->b->list = v;
    *out = &r->b->list[r->b->count++];
    **out = (struct boxes_list){.image_id = -1};
    return LIMBER_OK;
}

static limber_status add_person(struct reading *r, size_t image, const struct annotation *a)
{
    void *v = array_grown(r->loose, r->loose_count, &r->loose_room, sizeof *r->loose);
    if (!v)
        return no_memory(r->err);
    r->loose = v;
    r->loose[r->loose_count++] = (struct loose){image, *a};
    return LIMBER_OK;
}

/* Four numbers of any value that JSON can write. */
static limber_status read_box(struct annotation *a, const json_t *v, const char *where, limber_error *err)
{
    char show[JSON_SHOW];
    if (json_array_size(v) != 4)
        return limber_fail(err, LIMBER_E_FORMAT, "%s: the box is %s, expected [x, y, width, height]", where, json_show(show, v));
    for (size_t i = 0; i < 4; i++) {
        const json_t *n = json_array_get(v, i);
        if (!json_is_number(n))
            return limber_fail(err, LIMBER_E_FORMAT, "%s: number %zu of the box is %s", where, i + 1, json_show(show, n));
        a->box[i] = json_number_value(n);
    }
    return LIMBER_OK;
}

/* *has: the number is there. */
static limber_status read_number(const json_t *v, const char *key, double *value, bool *has, limber_error *err)
{
    *has = *has || json_is_number(json_object_get(v, key));
    return json_read_number(v, key, -1e300, 1e300, value, err);
}

/* NULL, or what makes it no box. */
static const char *wrong_with_box(const double box[4])
{
    for (int i = 0; i < 4; i++)
        if (!(fabs(box[i]) < (double)JOB_MAX_COORDINATE))
            return "every number must be below 1e8";
    /* limber_box holds floats: 1e-50 is no width there */
    return (float)box[2] > 0 && (float)box[3] > 0 ? NULL : "width and height must be positive";
}

static const struct annotation nobody_yet = {.id = -1, .category = -1, .area = -1, .score = 1};

/* ---- by image, crowds last, each in the file's order ---- */

static char *fault_of(const struct annotation *a, const char *wrong, int place)
{
    char *text = NULL, which[64];
    if (a->id >= 0)
        snprintf(which, sizeof which, "annotation %lld", a->id);
    else
        snprintf(which, sizeof which, "box %d", place + 1);
    int n = asprintf(&text, "%s is [%g, %g, %g, %g]: %s", which, a->box[0], a->box[1], a->box[2], a->box[3], wrong);
    return n < 0 ? NULL : text;
}

static limber_status make_room(struct reading *r)
{
    struct boxes *b = r->b;
    for (size_t i = 0; i < r->loose_count; i++)
        b->list[r->loose[i].image].person_count++;
    for (size_t i = 0; i < b->count; i++) {
        struct boxes_list *list = &b->list[i];
        const size_t n = (size_t)list->person_count;
        if (n && (!(list->person = calloc(n, sizeof *list->person)) || !(list->box = calloc(n, sizeof *list->box)) ||
                  !(list->score = calloc(n, sizeof *list->score))))
            return no_memory(r->err);
        list->person_count = 0;
    }
    return LIMBER_OK;
}

static limber_status distribute(struct reading *r)
{
    struct boxes *b = r->b;
    bool scores = false;
    limber_status st = make_room(r);
    for (int crowd = 0; !st && crowd < 2; crowd++)
        for (size_t i = 0; i < r->loose_count; i++) {
            struct annotation *a = &r->loose[i].a;
            struct boxes_list *list = &b->list[r->loose[i].image];
            if (a->crowd != (crowd == 1))
                continue;
            list->person[list->person_count++] = *a;
            a->keypoints = NULL; /* they have another owner now */
            b->left_out.crowd += a->crowd;
            if (crowd)
                continue;
            const char *wrong = wrong_with_box(a->box);
            const double *v = a->box;
            if (wrong && !list->fault && !(list->fault = fault_of(a, wrong, list->count)))
                return no_memory(r->err);
            if (!wrong)
                list->box[list->count] = (limber_box){(float)v[0], (float)v[1], (float)v[2], (float)v[3]};
            list->score[list->count++] = (float)a->score;
            scores |= a->has_score;
        }
    for (size_t i = 0; !st && i < b->count; i++) {
        struct boxes_list *list = &b->list[i];
        *(list->fault ? &b->left_out.unusable : &b->kept) += (size_t)list->count;
        if (!scores) {
            free(list->score);
            list->score = NULL;
        }
    }
    return st;
}

/* ---- COCO ---- */

static limber_status read_image(struct reading *r, const json_t *v, size_t i, struct id_place *place)
{
    char show[JSON_SHOW];
    const json_t *id = json_object_get(v, "id"), *name = json_object_get(v, "file_name");
    if (!json_is_object(v) || !box_id_read(id, &place->id))
        return limber_fail(r->err, LIMBER_E_FORMAT, "images, entry %zu: its id is %s", i, id ? json_show(show, id) : "missing");
    if (!json_is_string(name) || !json_string_length(name))
        return limber_fail(r->err, LIMBER_E_FORMAT, "images, entry %zu (id %s): its file_name is %s", i,
                           show_id(show, &place->id), name ? json_show((char[JSON_SHOW]){0}, name) : "missing");
    struct boxes_list *list;
    limber_status st = add_image(r, &list);
    if (st)
        return st;
    place->place = r->b->count - 1;
    list->image_id = place->id.number;
    const json_t *source = json_object_get(v, "source");
    if (!(list->name = strdup(json_string_value(name))) || (place->id.text && !(list->text_id = strdup(place->id.text))) ||
        (json_is_string(source) && !(list->source = strdup(json_string_value(source)))))
        return no_memory(r->err);
    if ((st = read_count(v, "width", INT32_MAX, &list->width, r->err)) ||
        (st = read_count(v, "height", INT32_MAX, &list->height, r->err)))
        limber_error_prefix(r->err, "images, entry %zu (id %s)", i, show_id(show, &place->id));
    return st;
}

/* x, y, v of so many joints. */
static limber_status read_joints(double *xyv, const json_t *v, const char *key, const char *where, limber_error *err)
{
    char show[JSON_SHOW];
    for (size_t i = 0; i < json_array_size(v); i++) {
        const json_t *number = json_array_get(v, i);
        if (!json_is_number(number))
            return limber_fail(err, LIMBER_E_FORMAT, "%s: number %zu of %s is %s", where, i + 1, key, json_show(show, number));
        xyv[i] = json_number_value(number);
    }
    return LIMBER_OK;
}

/* The parts that COCO-WholeBody adds are all there, each with as many numbers as it has joints. */
static limber_status find_parts(const json_t *person, bool *all, const char *where, limber_error *err)
{
    const struct skeleton *s = &skeleton_whole_body;
    char show[JSON_SHOW];
    *all = true;
    for (int p = 1; p < s->part_count; p++) {
        const json_t *v = json_object_get(person, s->parts[p].field);
        if (!v || json_is_null(v))
            *all = false;
        else if (json_array_size(v) != 3 * (size_t)s->parts[p].count)
            return limber_fail(err, LIMBER_E_FORMAT, "%s: %s is %s, expected x, y, v for each of %d", where, s->parts[p].field,
                               json_show(show, v), s->parts[p].count);
    }
    return LIMBER_OK;
}

/* "keypoints": [x, y, v, ...], and behind COCO's those of "foot_kpts" and the like. */
static limber_status read_keypoints(struct annotation *a, const json_t *person, const char *where, limber_error *err)
{
    const struct skeleton *s = &skeleton_whole_body;
    const json_t *v = json_object_get(person, "keypoints");
    size_t n = json_array_size(v);
    char show[JSON_SHOW];
    bool whole = false;
    if (!json_is_array(v) || n % 3 || n > 3 * MAX_KEYPOINTS)
        return limber_fail(err, LIMBER_E_FORMAT, "%s: keypoints is %s, expected x, y, v for each of at most %d", where,
                           json_show(show, v), MAX_KEYPOINTS);
    if (n == 0)
        return LIMBER_OK;
    if (n == 3 * (size_t)s->parts[0].count) {
        limber_status st = find_parts(person, &whole, where, err);
        if (st)
            return st;
    }
    a->keypoint_count = (int)(n / 3);
    a->joint_count = whole ? s->keypoints : a->keypoint_count;
    a->keypoints = malloc(3 * (size_t)a->joint_count * sizeof *a->keypoints);
    if (!a->keypoints)
        return no_memory(err);
    limber_status st = read_joints(a->keypoints, v, "keypoints", where, err);
    for (int p = 1; whole && !st && p < s->part_count; p++)
        st = read_joints(a->keypoints + 3 * s->parts[p].first, json_object_get(person, s->parts[p].field), s->parts[p].field,
                         where, err);
    for (int k = 0; !st && k < a->keypoint_count; k++)
        a->num_keypoints += a->keypoints[3 * k + 2] > 0;
    return st;
}

/* All of an annotation or a detection but the image it belongs to. */
static limber_status read_person(struct annotation *a, const json_t *v, const char *where, limber_error *err)
{
    const json_t *crowd = json_object_get(v, "iscrowd"), *keypoints = json_object_get(v, "keypoints"),
                 *box = json_object_get(v, "bbox");
    limber_status st = read_box(a, box ? box : json_object_get(v, "box"), where, err);
    if (!st && keypoints && !json_is_null(keypoints))
        st = read_keypoints(a, v, where, err);
    a->crowd = json_is_true(crowd) || (json_is_number(crowd) && json_number_value(crowd) != 0);
    if (st)
        return st;
    if ((st = read_count(v, "num_keypoints", MAX_KEYPOINTS, &a->num_keypoints, err)) ||
        (st = read_number(v, "area", &a->area, &a->has_area, err)) ||
        (st = read_number(v, "score", &a->score, &a->has_score, err)) ||
        (st = read_number(v, "box_score", &a->score, &a->has_score, err))) /* where both are there, score is the person's */
        limber_error_prefix(err, "%s", where);
    return st;
}

/* Which image an entry belongs to: of a detection, the file name where it has one. */
static bool read_image_id(bool result, const json_t *v, struct box_id *id)
{
    const json_t *name = json_object_get(v, "file_name");
    bool there = box_id_read(json_object_get(v, "image_id"), id);
    if (result && json_string_length(name) > 0)
        id->file = json_string_value(name);
    return there || id->file;
}

/* Every image that the detections mention. */
static limber_status images_of_result(struct reading *r, const json_t *annotations, struct id_place **ids, size_t *count)
{
    size_t n = json_array_size(annotations), mentioned = 0;
    if (!(*ids = calloc(n + 1, sizeof **ids)))
        return no_memory(r->err);
    for (size_t i = 0; i < n; i++)
        if (read_image_id(true, json_array_get(annotations, i), &(*ids)[mentioned].id))
            (*ids)[mentioned++].place = i;
    qsort(*ids, mentioned, sizeof **ids, by_id);
    r->b->sparse = true;
    for (size_t i = 0; i < mentioned; i++) {
        const struct box_id id = (*ids)[i].id;
        if (*count && !box_id_compare(&(*ids)[*count - 1].id, &id))
            continue;
        struct boxes_list *list;
        limber_status st = add_image(r, &list);
        if (st)
            return st;
        const char *name = id.file ? id.file : id.text;
        list->image_id = id.number;
        if ((name && !(list->name = strdup(name))) || (id.text && !(list->text_id = strdup(id.text))))
            return no_memory(r->err);
        (*ids)[(*count)++] = (struct id_place){id, r->b->count - 1};
    }
    return LIMBER_OK;
}

static limber_status images_of_coco(struct reading *r, const json_t *images, struct id_place **ids, size_t *count)
{
    char show[JSON_SHOW];
    *count = json_array_size(images);
    if (!(*ids = calloc(*count + 1, sizeof **ids)))
        return no_memory(r->err);
    limber_status st = LIMBER_OK;
    for (size_t i = 0; !st && i < *count; i++)
        st = read_image(r, json_array_get(images, i), i, &(*ids)[i]);
    if (st)
        return st;
    qsort(*ids, *count, sizeof **ids, by_id);
    for (size_t i = 1; i < *count; i++)
        if (!box_id_compare(&(*ids)[i].id, &(*ids)[i - 1].id))
            return limber_fail(r->err, LIMBER_E_FORMAT, "images %s and %s have the same id %s",
                               r->b->list[(*ids)[i - 1].place].name, r->b->list[(*ids)[i].place].name,
                               show_id(show, &(*ids)[i].id));
    return LIMBER_OK;
}

struct coco {
    bool result;          /* detections, not part of a COCO object */
    struct id_place *ids; /* of the images, sorted */
    size_t count;
    struct categories categories;
};

/* One annotation to its image, or to what is left out. */
static limber_status read_annotation(struct reading *r, struct coco *c, const json_t *v, size_t i)
{
    struct annotation a = nobody_yet;
    struct box_id id, image;
    char where[64], show[JSON_SHOW];
    a.order = a.last_of_id = i;
    if (box_id_read(json_object_get(v, "id"), &id) && !id.text)
        snprintf(where, sizeof where, "annotation %lld", a.id = id.number);
    else
        snprintf(where, sizeof where, "%s %zu", c->result ? "detection" : "annotation number", i);
    if (!json_is_object(v))
        return limber_fail(r->err, LIMBER_E_FORMAT, "%s: expected an object", where);
    if (!read_image_id(c->result, v, &image)) {
        const json_t *is = json_object_get(v, "image_id");
        return limber_fail(r->err, LIMBER_E_FORMAT, "%s: its image_id is %s, expected a number or a name", where,
                           is ? json_show(show, is) : "missing");
    }
    const struct id_place *place = find_id(c->ids, c->count, &image);
    if (!place) {
        r->b->left_out.stray++;
        return LIMBER_OK;
    }
    struct category *category = category_of(&c->categories, v, where, r->err);
    if (!category)
        return LIMBER_E_FORMAT;
    if (!category->wanted) {
        *(category == &c->categories.last ? &r->b->left_out.unnamed : &r->b->left_out.category) += 1;
        category->left_out++;
        return LIMBER_OK;
    }
    limber_status st = read_person(&a, v, where, r->err);
    a.category = category->id.number;
    if (!st)
        st = add_person(r, place->place, &a);
    if (st)
        free(a.keypoints);
    return st;
}

static int by_order(const void *order, const void *loose)
{
    const size_t a = *(const size_t *)order, b = ((const struct loose *)loose)->a.order;
    return (a > b) - (a < b);
}

/* annotation.last_of_id */
static limber_status note_doubled_ids(struct reading *r, const json_t *annotations)
{
    size_t n = json_array_size(annotations), count = 0;
    struct id_place *ids = calloc(n + 1, sizeof *ids);
    if (!ids)
        return no_memory(r->err);
    for (size_t i = 0; i < n; i++)
        if (box_id_read(json_object_get(json_array_get(annotations, i), "id"), &ids[count].id))
            ids[count++].place = i;
    qsort(ids, count, sizeof *ids, by_id);
    size_t last = 0;
    for (size_t i = count; i-- > 0;) {
        if (i + 1 == count || box_id_compare(&ids[i].id, &ids[i + 1].id))
            last = ids[i].place;
        struct loose *l = last == ids[i].place || !r->loose_count
                              ? NULL
                              : bsearch(&ids[i].place, r->loose, r->loose_count, sizeof *r->loose, by_order);
        if (l)
            l->a.last_of_id = last;
    }
    free(ids);
    return LIMBER_OK;
}

/* images, categories: of a COCO object, where they may be missing; a detection result has none. */
static limber_status read_coco(struct reading *r, bool result, const json_t *annotations, const json_t *images,
                               const json_t *categories)
{
    struct coco c = {.result = result};
    const size_t n = json_array_size(annotations);
    limber_status st = images ? images_of_coco(r, images, &c.ids, &c.count) : images_of_result(r, annotations, &c.ids, &c.count);
    if (!st)
        st = categories_open(&c.categories, categories, annotations, r->category, r->err);
    c.result |= !images; /* without images, the annotations themselves say which there are */
    for (size_t i = 0; !st && i < n; i++)
        st = read_annotation(r, &c, json_array_get(annotations, i), i);
    if (!st)
        st = categories_conclude(&c.categories, r->b, n, r->loose_count > 0, r->err);
    if (!st && n && r->b->left_out.stray == n)
        st = limber_fail(r->err, LIMBER_E_FORMAT, "none of its %zu annotations has the image_id of one of its %zu images", n,
                         c.count);
    if (!st && !result)
        st = note_doubled_ids(r, annotations);
    categories_close(&c.categories);
    free(c.ids);
    return st;
}

static limber_status read_coco_object(struct reading *r, const json_t *root)
{
    const json_t *annotations = json_object_get(root, "annotations"), *images = json_object_get(root, "images");
    if (!json_is_array(annotations))
        return limber_fail(r->err, LIMBER_E_FORMAT,
                           "an object without \"annotations\": expected COCO annotations, a detection result, or JSON Lines of "
                           "{\"image\":..., \"boxes\":[[x,y,w,h],...]}");
    if (images && !json_is_array(images))
        return limber_fail(r->err, LIMBER_E_FORMAT, "\"images\" is not a list");
    return read_coco(r, false, annotations, images, json_object_get(root, "categories"));
}

/* ---- JSON Lines ---- */

/* {"box": [...], "box_score": s} of poses.jsonl. Its "score" is the joints' as well: it is not the box's. */
static limber_status read_own_person(struct annotation *a, const json_t *v, const char *where, limber_error *err)
{
    limber_status st = read_box(a, json_object_get(v, "box"), where, err);
    if (!st && (st = read_number(v, "box_score", &a->score, &a->has_score, err)))
        limber_error_prefix(err, "%s", where);
    return st;
}

static limber_status read_plain_box(struct annotation *a, const json_t *v, const json_t *scores, size_t i, const char *where,
                                    limber_error *err)
{
    char show[JSON_SHOW];
    const json_t *score = json_array_get(scores, i);
    if (scores && !json_is_number(score))
        return limber_fail(err, LIMBER_E_FORMAT, "%s: its score is %s", where, score ? json_show(show, score) : "missing");
    a->has_score = score != NULL;
    a->score = score ? json_number_value(score) : 1;
    return read_box(a, v, where, err);
}

static limber_status read_line(struct reading *r, const json_t *v, bool lone)
{
    char show[JSON_SHOW];
    const json_t *name = json_object_get(v, "image"), *boxes = json_object_get(v, "boxes"),
                 *people = json_object_get(v, "people"), *error = json_object_get(v, "error"),
                 *scores = json_object_get(v, "scores");
    const json_t *all = boxes ? boxes : people;
    if (!name && json_object_get(v, "video"))
        return limber_fail(r->err, LIMBER_E_FORMAT, "is of a video: --boxes is for pictures");
    if (!json_is_string(name) || !json_string_length(name))
        return limber_fail(r->err, LIMBER_E_FORMAT, "\"image\" is %s, expected a path", name ? json_show(show, name) : "missing");
    if (!json_is_array(all) && !json_is_string(error))
        return limber_fail(r->err, LIMBER_E_FORMAT, "\"%s\" is %s, expected [[x, y, width, height], ...]",
                           all == people && people ? "people" : "boxes", all ? json_show(show, all) : "missing");
    if (scores && json_array_size(scores) != json_array_size(all))
        return limber_fail(r->err, LIMBER_E_FORMAT, "\"scores\" is %s, expected one for each of %zu boxes",
                           json_show(show, scores), json_array_size(all));
    struct boxes_list *list;
    limber_status st = add_image(r, &list);
    if (!st && (!(list->name = strdup(json_string_value(name))) ||
                (!all && asprintf(&list->fault, "it was an error there: %.200s", json_string_value(error)) < 0)))
        st = no_memory(r->err);
    if (!st && lone)
        json_put_bytes_back(list->name);
    for (size_t i = 0; !st && i < json_array_size(all); i++) {
        struct annotation a = nobody_yet;
        char where[64];
        a.order = a.last_of_id = r->loose_count;
        snprintf(where, sizeof where, "%s %zu", boxes ? "box" : "person", i + 1);
        st = boxes ? read_plain_box(&a, json_array_get(all, i), scores, i, where, r->err)
                   : read_own_person(&a, json_array_get(all, i), where, r->err);
        if (!st)
            st = add_person(r, r->b->count - 1, &a);
    }
    return st;
}

static limber_status read_lines(struct reading *r, const char *text, size_t size)
{
    int line = 1;
    if (r->category)
        return limber_fail(r->err, LIMBER_E_ARGUMENT, "JSON Lines have no categories: leave out --category");
    for (size_t at = 0; at < size; line++) {
        const char *newline = memchr(text + at, '\n', size - at);
        size_t end = newline ? (size_t)(newline - text) : size, n = end - at;
        while (n && text_is_space(text[at + n - 1]))
            n--;
        if (n) {
            json_t *v = NULL;
            bool lone;
            limber_status st = json_parse_own(&v, &lone, text + at, n, &json_limits_annotations, r->err);
            if (!st)
                st = read_line(r, v, lone);
            json_decref(v);
            if (st) {
                limber_error_prefix(r->err, "line %d", line);
                return st;
            }
        }
        at = end + 1;
    }
    return LIMBER_OK;
}

/* ---- which form ---- */

/* The first line is a whole object, and that of JSON Lines. */
static bool begins_with_a_line(const char *text, size_t size)
{
    const char *newline = memchr(text, '\n', size);
    size_t n = newline ? (size_t)(newline - text) : size;
    json_t *v = NULL;
    bool lone;
    if (n > (1 << 24) || json_parse_own(&v, &lone, text, n, &json_limits_config, NULL))
        return false;
    bool line = json_object_get(v, "image") || json_object_get(v, "video") ||
                (json_object_get(v, "boxes") && !json_object_get(v, "annotations"));
    json_decref(v);
    return line;
}

static limber_status read_text(struct reading *r, const char *text, size_t size)
{
    static const char mark[3] = "\xef\xbb\xbf"; /* byte order mark, which some editors put first */
    if (size >= 3 && !memcmp(text, mark, 3))
        text += 3, size -= 3;
    while (size && text_is_space(*text))
        text++, size--;
    if (!size)
        return limber_fail(r->err, LIMBER_E_FORMAT, "the file is empty");
    if (*text == '{' && begins_with_a_line(text, size))
        return read_lines(r, text, size);
    json_t *root = NULL;
    limber_status st = json_parse(&root, text, size, &json_limits_annotations, r->err);
    if (!st && json_is_array(root))
        st = read_coco(r, true, root, NULL, NULL);
    else if (!st)
        st = read_coco_object(r, root);
    json_decref(root);
    return st;
}

limber_status boxes_parse(struct boxes *out, const char *name, const char *text, size_t size, const char *category,
                          limber_error *err)
{
    *out = (struct boxes){.path = strdup(name)};
    struct reading r = {.b = out, .category = category, .err = err};
    limber_status st = out->path ? read_text(&r, text, size) : no_memory(err);
    if (!st)
        st = distribute(&r);
    for (size_t i = 0; i < r.loose_count; i++)
        free(r.loose[i].a.keypoints);
    free(r.loose);
    if (st) {
        boxes_close(out);
        limber_error_prefix(err, "%s", name);
    }
    return st;
}

limber_status boxes_open(struct boxes *out, const char *path, const char *category, limber_error *err)
{
    *out = (struct boxes){0};
    uint8_t *bytes;
    size_t size;
    limber_status st = file_read(&bytes, &size, path, json_limits_annotations.bytes, err);
    if (st) {
        limber_error_prefix(err, "%s", path);
        return st;
    }
    st = boxes_parse(out, path, (const char *)bytes, size, category, err);
    out->fingerprint = fingerprint(FINGERPRINT_BEGIN, bytes, size);
    free(bytes);
    return st;
}

void boxes_close(struct boxes *b)
{
    for (size_t i = 0; i < b->count; i++) {
        struct boxes_list *list = &b->list[i];
        for (int p = 0; p < list->person_count; p++)
            free(list->person[p].keypoints);
        free(list->person);
        free(list->box);
        free(list->score);
        free(list->name);
        free(list->text_id);
        free(list->source);
        free(list->fault);
    }
    boxes_forget_join(b);
    free(b->list);
    free(b->others);
    free(b->path);
    *b = (struct boxes){0};
}

/* ---- the surest ---- */

struct sure {
    double score;
    int place;
};

static int surest_first(const void *a, const void *b)
{
    const struct sure *x = a, *y = b;
    return x->score > y->score ? -1 : x->score < y->score ? 1 : (x->place > y->place) - (x->place < y->place);
}

/* Of one image. v: scratch [count]; keep [count]: all false. */
static void keep_surest(struct boxes_list *list, double least, int most, struct sure *v, bool *keep)
{
    const int before = list->count;
    for (int i = 0; i < before; i++)
        v[i] = (struct sure){list->score ? (double)list->score[i] : INFINITY, i};
    qsort(v, (size_t)before, sizeof *v, surest_first);
    for (int i = 0; i < before && (!most || i < most); i++)
        keep[v[i].place] = v[i].score >= (double)(float)least; /* as the scores are kept: .1 is not below .1 */
    int kept = 0, people = 0;
    for (int i = 0; i < list->person_count; i++) {
        if (i < before && !keep[i]) {
            free(list->person[i].keypoints);
            continue;
        }
        if (i < before) {
            list->box[kept] = list->box[i];
            if (list->score)
                list->score[kept] = list->score[i];
            kept++;
        }
        list->person[people++] = list->person[i];
    }
    list->count = kept;
    list->person_count = people;
}

limber_status boxes_keep_surest(struct boxes *b, double least, int most, limber_error *err)
{
    for (size_t i = 0; i < b->count; i++) {
        struct boxes_list *list = &b->list[i];
        const int before = list->count;
        if (!before)
            continue;
        struct sure *v = malloc((size_t)before * sizeof *v);
        bool *keep = calloc((size_t)before, sizeof *keep);
        if (v && keep)
            keep_surest(list, least, most, v, keep);
        const bool ok = v && keep;
        free(v);
        free(keep);
        if (!ok)
            return no_memory(err);
        const size_t fewer = (size_t)(before - list->count);
        b->left_out.unsure += fewer;
        *(list->fault ? &b->left_out.unusable : &b->kept) -= fewer;
    }
    return LIMBER_OK;
}

char *boxes_summary(const struct boxes *b)
{
    const struct boxes_left_out *l = &b->left_out;
    const struct {
        size_t count;
        const char *one, *more;
    } reasons[] = {
        {l->category, "of another category", "of other categories"},
        {l->unnamed, "without a category", "without a category"},
        {l->crowd, "crowd", "crowds"},
        {l->stray, "of an image that the file does not list", "of images that the file does not list"},
        {l->unusable, "unusable", "unusable, with the others of their images"},
        {l->unsure, "less sure than asked for", "less sure than asked for"},
    };
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    if (!f)
        return NULL;
    fprintf(f, "%zu box%s of people", b->kept, b->kept == 1 ? "" : "es");
    const char *between = "; left out: ";
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (reasons[i].count) {
            fprintf(f, "%s%zu %s", between, reasons[i].count, reasons[i].count == 1 ? reasons[i].one : reasons[i].more);
            if (i == 0 && b->others)
                fprintf(f, " (%s)", b->others);
            between = ", ";
        }
    if (fclose(f)) {
        free(text);
        return NULL;
    }
    return text;
}

void boxes_put_counts(struct json_text *t, const struct boxes *b)
{
    const struct boxes_left_out *l = &b->left_out;
    put_open(t, '{');
    put_key(t, "kept"), put_integer(t, (long long)b->kept);
    put_key(t, "left_out"), put_open(t, '{');
    put_key(t, "other_category"), put_integer(t, (long long)l->category);
    put_key(t, "no_category"), put_integer(t, (long long)l->unnamed);
    put_key(t, "crowd"), put_integer(t, (long long)l->crowd);
    put_key(t, "image_not_listed"), put_integer(t, (long long)l->stray);
    put_key(t, "unusable"), put_integer(t, (long long)l->unusable);
    if (l->unsure) /* only where it was asked for */
        put_key(t, "unsure"), put_integer(t, (long long)l->unsure);
    put_close(t, '}');
    put_close(t, '}');
}

limber_status boxes_open_for(struct boxes *out, const char *path, const char *category, const struct inputs *inputs,
                             limber_error *err)
{
    limber_status st = boxes_open(out, path, category, err);
    if (st)
        return st;
    const char **paths = malloc((inputs->count ? inputs->count : 1) * sizeof *paths);
    for (size_t i = 0; paths && i < inputs->count; i++)
        paths[i] = inputs->v[i].path;
    st = paths ? boxes_join(out, paths, inputs->count, err) : limber_fail(err, LIMBER_E_MEMORY, "no memory");
    free(paths);
    if (st)
        boxes_close(out);
    return st;
}

limber_status boxes_to_run(const struct boxes *b, size_t i, const limber_box **boxes, int *count, limber_error *err)
{
    static const limber_box nobody = {0};
    const struct boxes_list *list = NULL;
    *boxes = NULL;
    *count = 0;
    limber_status st = b ? boxes_of(b, i, &list, err) : LIMBER_OK;
    if (st || !b)
        return st;
    *boxes = list && list->box ? list->box : &nobody; /* not NULL: that would be the whole image */
    *count = list ? list->count : 0;
    return LIMBER_OK;
}

const float *boxes_scores(const struct boxes *b, size_t i)
{
    const struct boxes_list *list = NULL;
    return boxes_of(b, i, &list, NULL) || !list ? NULL : list->score;
}
