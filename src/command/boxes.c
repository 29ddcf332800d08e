/* The file says of its images, by name or by number, where people are; the inputs are paths of this machine. Two steps:
 *
 *     parse   text -> images, annotations by image. Structure that is not what a form asks for refuses the file. A box that is a
 *             box in form but cannot be one (no width, beyond 1e8) spoils only its image: COCO's own training set has two such.
 *     join    paths <-> images. A name is compared from its end, whole components; both sides are sorted by reversed path, so
 *             that the longest common endings are neighbours. Nothing is guessed: what fits twice is answered as an error.
 *
 * Fears: a gigabyte of JSON (base/json_read.c bounds it), ids used twice, names that fit two images, numbers of any size. */
#define _GNU_SOURCE
#include "command/boxes.h"

#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json_read.h"

#define MAX_COORDINATE 1e8 /* the library's own bound for boxes, see pose/pipeline.c */
#define MAX_KEYPOINTS 1024

struct boxes_answer {
    const struct boxes_list *list;
    char *problem;
};

static limber_status no_memory(limber_error *err)
{
    return limber_fail(err, LIMBER_E_MEMORY, "no memory for the boxes");
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
    limber_error *err;
};

static void *grown(void *p, size_t count, size_t *room, size_t each)
{
    if (count < *room)
        return p;
    size_t more = *room ? 2 * *room : 64;
    p = realloc(p, more * each);
    if (p)
        *room = more;
    return p;
}

static limber_status add_image(struct reading *r, struct boxes_list **out)
{
    void *v = grown(r->b->list, r->b->count, &r->room, sizeof *r->b->list);
    if (!v)
        return no_memory(r->err);
    r->b->list = v;
    *out = &r->b->list[r->b->count++];
    **out = (struct boxes_list){.image_id = -1};
    return LIMBER_OK;
}

static limber_status add_person(struct reading *r, size_t image, const struct annotation *a)
{
    void *v = grown(r->loose, r->loose_count, &r->loose_room, sizeof *r->loose);
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

/* NULL, or what makes it no box. */
static const char *wrong_with_box(const double box[4])
{
    for (int i = 0; i < 4; i++)
        if (!(fabs(box[i]) < MAX_COORDINATE))
            return "every number must be below 1e8";
    /* limber_box holds floats: 1e-50 is no width there */
    return (float)box[2] > 0 && (float)box[3] > 0 ? NULL : "width and height must be positive";
}

/* An integer, or one written as text ("000000000139"), as some tools do. */
static bool read_id(const json_t *v, long long *id)
{
    if (json_is_integer(v)) {
        *id = json_integer_value(v);
        return true;
    }
    const char *s = json_string_value(v);
    size_t n = s ? strlen(s) : 0;
    if (n == 0 || n > 18 || strspn(s, "0123456789") != n)
        return false;
    *id = strtoll(s, NULL, 10);
    return true;
}

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

static limber_status distribute(struct reading *r)
{
    struct boxes *b = r->b;
    for (size_t i = 0; i < r->loose_count; i++)
        b->list[r->loose[i].image].person_count++;
    for (size_t i = 0; i < b->count; i++) {
        struct boxes_list *list = &b->list[i];
        if (list->person_count && (!(list->person = calloc((size_t)list->person_count, sizeof *list->person)) ||
                                   !(list->box = calloc((size_t)list->person_count, sizeof *list->box))))
            return no_memory(r->err);
        list->person_count = 0;
    }
    for (int crowd = 0; crowd < 2; crowd++)
        for (size_t i = 0; i < r->loose_count; i++) {
            struct annotation *a = &r->loose[i].a;
            struct boxes_list *list = &b->list[r->loose[i].image];
            if (a->crowd != (crowd == 1))
                continue;
            list->person[list->person_count++] = *a;
            a->keypoints = NULL; /* they have another owner now */
            if (crowd)
                continue;
            const char *wrong = wrong_with_box(list->person[list->count].box);
            const double *v = list->person[list->count].box;
            if (wrong && !list->fault && !(list->fault = fault_of(&list->person[list->count], wrong, list->count)))
                return no_memory(r->err);
            if (!wrong)
                list->box[list->count] = (limber_box){(float)v[0], (float)v[1], (float)v[2], (float)v[3]};
            list->count++;
        }
    return LIMBER_OK;
}

/* ---- COCO ---- */

struct id_place {
    long long id;
    size_t place;
};

static int by_id(const void *a, const void *b)
{
    const struct id_place *x = a, *y = b;
    return x->id != y->id ? (x->id > y->id) - (x->id < y->id) : (x->place > y->place) - (x->place < y->place);
}

static const struct id_place *find_id(const struct id_place *v, size_t count, long long id)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (v[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && v[low].id == id ? &v[low] : NULL;
}

static limber_status read_image(struct reading *r, const json_t *v, size_t i, struct id_place *place)
{
    char show[JSON_SHOW];
    const json_t *id = json_object_get(v, "id"), *name = json_object_get(v, "file_name");
    if (!json_is_object(v) || !read_id(id, &place->id))
        return limber_fail(r->err, LIMBER_E_FORMAT, "images, entry %zu: its id is %s, expected a whole number", i,
                           id ? json_show(show, id) : "missing");
    if (!json_is_string(name) || !json_string_length(name))
        return limber_fail(r->err, LIMBER_E_FORMAT, "images, entry %zu (id %lld): its file_name is %s", i, place->id,
                           name ? json_show(show, name) : "missing");
    struct boxes_list *list;
    limber_status st = add_image(r, &list);
    if (st)
        return st;
    place->place = r->b->count - 1;
    list->image_id = place->id;
    if (!(list->name = strdup(json_string_value(name))))
        return no_memory(r->err);
    const json_t *source = json_object_get(v, "source");
    if (json_is_string(source) && !(list->source = strdup(json_string_value(source))))
        return no_memory(r->err);
    if ((st = json_read_int(v, "width", 0, INT32_MAX, &list->width, r->err)) ||
        (st = json_read_int(v, "height", 0, INT32_MAX, &list->height, r->err)))
        limber_error_prefix(r->err, "images, entry %zu (id %lld)", i, place->id);
    return st;
}

/* "keypoints": [x, y, v, ...] */
static limber_status read_keypoints(struct annotation *a, const json_t *v, const char *where, limber_error *err)
{
    size_t n = json_array_size(v);
    char show[JSON_SHOW];
    if (!json_is_array(v) || n % 3 || n > 3 * MAX_KEYPOINTS)
        return limber_fail(err, LIMBER_E_FORMAT, "%s: keypoints is %s, expected x, y, v for each of at most %d", where,
                           json_show(show, v), MAX_KEYPOINTS);
    if (n == 0)
        return LIMBER_OK;
    double *xyv = malloc(n * sizeof *xyv);
    if (!xyv)
        return no_memory(err);
    a->keypoints = xyv;
    a->keypoint_count = (int)(n / 3);
    for (size_t i = 0; i < n; i++) {
        const json_t *number = json_array_get(v, i);
        if (!json_is_number(number))
            return limber_fail(err, LIMBER_E_FORMAT, "%s: number %zu of keypoints is %s", where, i + 1, json_show(show, number));
        xyv[i] = json_number_value(number);
        a->num_keypoints += i % 3 == 2 && xyv[i] > 0;
    }
    return LIMBER_OK;
}

/* All of an annotation or a detection but the image it belongs to. */
static limber_status read_person(struct annotation *a, const json_t *v, const char *where, limber_error *err)
{
    const json_t *crowd = json_object_get(v, "iscrowd"), *keypoints = json_object_get(v, "keypoints");
    limber_status st = read_box(a, json_object_get(v, "bbox"), where, err);
    if (!st && keypoints && !json_is_null(keypoints))
        st = read_keypoints(a, keypoints, where, err);
    a->crowd = json_is_true(crowd) || (json_is_number(crowd) && json_number_value(crowd) != 0);
    if (st)
        return st;
    if ((st = json_read_int(v, "num_keypoints", 0, MAX_KEYPOINTS, &a->num_keypoints, err)) ||
        (st = json_read_number(v, "area", -1e300, 1e300, &a->area, err)) ||
        (st = json_read_number(v, "score", -1e300, 1e300, &a->score, err)))
        limber_error_prefix(err, "%s", where);
    return st;
}

/* Ids of the categories that are people, sorted; *all where no category is called so. */
static limber_status person_categories(struct reading *r, const json_t *categories, struct id_place **out, size_t *count,
                                       bool *all)
{
    *out = calloc(json_array_size(categories) + 1, sizeof **out);
    *count = 0;
    if (!*out)
        return no_memory(r->err);
    for (size_t i = 0; i < json_array_size(categories); i++) {
        const json_t *v = json_array_get(categories, i);
        const char *name = json_string_value(json_object_get(v, "name"));
        long long id;
        if (name && !strcasecmp(name, "person") && read_id(json_object_get(v, "id"), &id))
            (*out)[(*count)++].id = id;
    }
    *all = *count == 0;
    qsort(*out, *count, sizeof **out, by_id);
    return LIMBER_OK;
}

/* The list of image `id`; where the file has no images of its own, a new one for a new number. */
static limber_status image_of(struct reading *r, const struct id_place *ids, size_t count, const json_t *v, const char *where,
                              size_t *image)
{
    char show[JSON_SHOW];
    const json_t *id = json_object_get(v, "image_id");
    long long number;
    if (!read_id(id, &number))
        return limber_fail(r->err, LIMBER_E_FORMAT, "%s: its image_id is %s, expected a whole number", where,
                           id ? json_show(show, id) : "missing");
    const struct id_place *place = find_id(ids, count, number);
    if (!place)
        return limber_fail(r->err, LIMBER_E_FORMAT, "%s: its image_id %lld is not among the images", where, number);
    *image = place->place;
    return LIMBER_OK;
}

/* Every number that occurs as image_id becomes an image without a name. */
static limber_status images_by_number(struct reading *r, const json_t *annotations, struct id_place **ids, size_t *count)
{
    size_t n = json_array_size(annotations), kept = 0;
    if (!(*ids = calloc(n + 1, sizeof **ids)))
        return no_memory(r->err);
    for (size_t i = 0; i < n; i++)
        if (read_id(json_object_get(json_array_get(annotations, i), "image_id"), &(*ids)[kept].id)) {
            (*ids)[kept].place = i;
            kept++;
        }
    qsort(*ids, kept, sizeof **ids, by_id);
    r->b->by_number = true;
    for (size_t i = 0; i < kept; i++) {
        if (*count && (*ids)[*count - 1].id == (*ids)[i].id)
            continue;
        struct boxes_list *list;
        limber_status st = add_image(r, &list);
        if (st)
            return st;
        list->image_id = (*ids)[i].id;
        (*ids)[(*count)++] = (struct id_place){list->image_id, r->b->count - 1};
    }
    return LIMBER_OK;
}

static limber_status images_by_name(struct reading *r, const json_t *images, struct id_place **ids, size_t *count)
{
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
        if ((*ids)[i].id == (*ids)[i - 1].id)
            return limber_fail(r->err, LIMBER_E_FORMAT, "images %s and %s have the same id %lld",
                               r->b->list[(*ids)[i - 1].place].name, r->b->list[(*ids)[i].place].name, (*ids)[i].id);
    return LIMBER_OK;
}

/* result: annotations are a detection result, not part of a COCO object, where images and categories may be (else NULL). */
static limber_status read_coco(struct reading *r, bool result, const json_t *annotations, const json_t *images,
                               const json_t *categories)
{
    struct id_place *ids = NULL, *person = NULL;
    size_t count = 0, persons = 0, others = 0;
    bool all = false;
    limber_status st = images ? images_by_name(r, images, &ids, &count) : images_by_number(r, annotations, &ids, &count);
    if (!st)
        st = person_categories(r, categories, &person, &persons, &all);
    for (size_t i = 0; !st && i < json_array_size(annotations); i++) {
        const json_t *v = json_array_get(annotations, i);
        struct annotation a = {.id = -1, .score = 1};
        char where[64];
        if (read_id(json_object_get(v, "id"), &a.id))
            snprintf(where, sizeof where, "annotation %lld", a.id);
        else
            snprintf(where, sizeof where, "%s %zu", result ? "detection" : "annotation number", i);
        long long category = 1;
        size_t image = 0;
        if (!json_is_object(v))
            st = limber_fail(r->err, LIMBER_E_FORMAT, "%s: expected an object", where);
        else if (!(st = image_of(r, ids, count, v, where, &image))) {
            bool stated = read_id(json_object_get(v, "category_id"), &category);
            bool wanted = result ? category == 1 : all || (stated && find_id(person, persons, category));
            others += !wanted;
            if (wanted && !(st = read_person(&a, v, where, r->err)))
                st = add_person(r, image, &a);
        }
        if (st)
            free(a.keypoints);
    }
    if (!st && result && others && !r->loose_count)
        st = limber_fail(r->err, LIMBER_E_FORMAT, "none of the %zu detections has category_id 1, which is COCO's person", others);
    free(ids);
    free(person);
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

static limber_status read_line(struct reading *r, const json_t *v)
{
    char show[JSON_SHOW];
    const json_t *name = json_object_get(v, "image"), *boxes = json_object_get(v, "boxes");
    if (!json_is_string(name) || !json_string_length(name))
        return limber_fail(r->err, LIMBER_E_FORMAT, "\"image\" is %s, expected a path", name ? json_show(show, name) : "missing");
    if (!json_is_array(boxes))
        return limber_fail(r->err, LIMBER_E_FORMAT, "\"boxes\" is %s, expected [[x, y, width, height], ...]",
                           boxes ? json_show(show, boxes) : "missing");
    struct boxes_list *list;
    limber_status st = add_image(r, &list);
    if (!st && !(list->name = strdup(json_string_value(name))))
        st = no_memory(r->err);
    for (size_t i = 0; !st && i < json_array_size(boxes); i++) {
        struct annotation a = {.id = -1, .score = 1};
        char where[64];
        snprintf(where, sizeof where, "box %zu", i + 1);
        if (!(st = read_box(&a, json_array_get(boxes, i), where, r->err)))
            st = add_person(r, r->b->count - 1, &a);
    }
    return st;
}

static limber_status read_lines(struct reading *r, const char *text, size_t size)
{
    int line = 1;
    for (size_t at = 0; at < size; line++) {
        const char *newline = memchr(text + at, '\n', size - at);
        size_t end = newline ? (size_t)(newline - text) : size, n = end - at;
        while (n && isspace((unsigned char)text[at + n - 1]))
            n--;
        if (n) {
            json_t *v = NULL;
            limber_status st = json_parse(&v, text + at, n, &json_limits_annotations, r->err);
            if (!st)
                st = read_line(r, v);
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
    if (n > (1 << 24) || json_parse(&v, text, n, &json_limits_config, NULL))
        return false;
    bool line = json_object_get(v, "image") || (json_object_get(v, "boxes") && !json_object_get(v, "annotations"));
    json_decref(v);
    return line;
}

static limber_status read_text(struct reading *r, const char *text, size_t size)
{
    static const char mark[3] = "\xef\xbb\xbf"; /* byte order mark, which some editors put first */
    if (size >= 3 && !memcmp(text, mark, 3))
        text += 3, size -= 3;
    while (size && isspace((unsigned char)*text))
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

limber_status boxes_parse(struct boxes *out, const char *name, const char *text, size_t size, limber_error *err)
{
    *out = (struct boxes){.path = strdup(name)};
    struct reading r = {.b = out, .err = err};
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

limber_status boxes_open(struct boxes *out, const char *path, limber_error *err)
{
    *out = (struct boxes){0};
    uint8_t *bytes;
    size_t size;
    limber_status st = file_read(&bytes, &size, path, json_limits_annotations.bytes, err);
    if (st) {
        limber_error_prefix(err, "%s", path);
        return st;
    }
    st = boxes_parse(out, path, (const char *)bytes, size, err);
    free(bytes);
    return st;
}

static void forget_answers(struct boxes *b)
{
    for (size_t i = 0; i < b->answer_count; i++)
        free(b->answers[i].problem);
    free(b->answers);
    b->answers = NULL;
    b->answer_count = 0;
}

void boxes_close(struct boxes *b)
{
    for (size_t i = 0; i < b->count; i++) {
        struct boxes_list *list = &b->list[i];
        for (int p = 0; p < list->person_count; p++)
            free(list->person[p].keypoints);
        free(list->person);
        free(list->box);
        free(list->name);
        free(list->source);
        free(list->fault);
    }
    forget_answers(b);
    free(b->list);
    free(b->path);
    *b = (struct boxes){0};
}

/* ---- join: paths read from their end ---- */

/* The component that ends before path[*end], and *end moved before it. Empty components and "." are none. */
static const char *last_component(const char *path, size_t *end, size_t *n)
{
    for (;;) {
        while (*end && path[*end - 1] == '/')
            --*end;
        size_t begin = *end;
        while (begin && path[begin - 1] != '/')
            begin--;
        *n = *end - begin;
        *end = begin;
        if (*n != 1 || path[begin] != '.')
            return path + begin;
    }
}

/* Order by last component, then the one before it ... ; a path that has no more comes first. *common: components that agree. */
static int compare_from_end(const char *a, const char *b, int *common)
{
    size_t a_end = strlen(a), b_end = strlen(b), m, n;
    for (*common = 0;; ++*common) {
        const char *x = last_component(a, &a_end, &m), *y = last_component(b, &b_end, &n);
        if (m == 0 || n == 0)
            return (m > 0) - (n > 0);
        int order = memcmp(x, y, m < n ? m : n);
        if (order || m != n)
            return order ? order : m < n ? -1 : 1;
    }
}

struct named {
    const char *path;
    size_t place;
};

static int by_ending(const void *a, const void *b)
{
    int common;
    return compare_from_end(((const struct named *)a)->path, ((const struct named *)b)->path, &common);
}

static int common_ending(const char *a, const char *b)
{
    int common;
    compare_from_end(a, b, &common);
    return common;
}

/* true: the ending that `entry` has in common with a path is all of `entry`. */
static bool is_whole(const char *entry, int common)
{
    size_t end = strlen(entry), n = 1;
    for (int i = 0; i <= common; i++)
        last_component(entry, &end, &n);
    return n == 0;
}

/* What an input chose. common 0: nothing fits. second: an entry that fits as well, so the choice is none. */
struct choice {
    int common;
    const struct named *entry, *second;
};

/* How many of the sorted entries stand before the path. */
static size_t entries_before(const struct named *entries, size_t count, const char *path)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int common;
        if (compare_from_end(entries[middle].path, path, &common) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The first of entries[0..end) that has `common` components of the path's end; such entries stand together, up to `end`. */
static size_t first_alike(const struct named *entries, size_t end, const char *path, int common)
{
    size_t low = 0, high = end;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (common_ending(entries[middle].path, path) < common)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct choice choose(const struct named *entries, size_t count, const char *path)
{
    size_t at = entries_before(entries, count, path);
    int before = at > 0 ? common_ending(entries[at - 1].path, path) : 0;
    int after = at < count ? common_ending(entries[at].path, path) : 0;
    struct choice c = {.common = before > after ? before : after};
    if (c.common == 0)
        return c;
    size_t first = first_alike(entries, at, path, c.common);
    c.entry = &entries[first];
    if (first + 1 == count || common_ending(entries[first + 1].path, path) < c.common)
        return c;
    if (!is_whole(entries[first].path, c.common) || is_whole(entries[first + 1].path, c.common)) /* the whole ones stand first */
        c.second = &entries[first + 1];
    return c;
}

#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
static bool
answer_problem(struct boxes_answer *a, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    int n = vasprintf(&a->problem, format, ap);
    va_end(ap);
    if (n < 0)
        a->problem = NULL;
    return n >= 0;
}

/* Of the inputs that chose an entry, the one with the longest ending has it. */
struct claim {
    size_t input, rival; /* SIZE_MAX: nobody */
    int common;
};

static limber_status join_names(struct boxes *b, const char *const *paths, size_t count, limber_error *err)
{
    struct named *entries = calloc(b->count + 1, sizeof *entries);
    struct choice *chosen = calloc(count + 1, sizeof *chosen);
    struct claim *claims = calloc(b->count + 1, sizeof *claims);
    bool ok = entries && chosen && claims;
    for (size_t i = 0; ok && i < b->count; i++) {
        entries[i] = (struct named){b->list[i].name, i};
        claims[i] = (struct claim){SIZE_MAX, SIZE_MAX, 0};
    }
    if (ok)
        qsort(entries, b->count, sizeof *entries, by_ending);
    for (size_t i = 0; ok && i < count; i++) {
        chosen[i] = choose(entries, b->count, paths[i]);
        if (!chosen[i].common || chosen[i].second)
            continue;
        struct claim *claim = &claims[chosen[i].entry->place];
        if (chosen[i].common > claim->common)
            *claim = (struct claim){i, SIZE_MAX, chosen[i].common};
        else if (chosen[i].common == claim->common)
            claim->rival = i;
    }
    for (size_t i = 0; ok && i < count; i++) {
        const struct choice *c = &chosen[i];
        const struct claim *claim = c->entry ? &claims[c->entry->place] : NULL;
        struct boxes_answer *a = &b->answers[i];
        if (!c->common)
            ok = answer_problem(a, "no image in %s has this name", b->path);
        else if (c->second)
            ok = answer_problem(a, "ambiguous in %s: %s and %s end alike", b->path, c->entry->path, c->second->path);
        else if (claim->rival != SIZE_MAX && claim->common == c->common)
            ok = answer_problem(a, "ambiguous: %s in %s fits %s as well", c->entry->path, b->path,
                                paths[claim->input == i ? claim->rival : claim->input]);
        else if (claim->input != i)
            ok = answer_problem(a, "no image in %s has this name (%s belongs to %s)", b->path, c->entry->path,
                                paths[claim->input]);
        else
            a->list = &b->list[c->entry->place];
    }
    free(entries);
    free(chosen);
    free(claims);
    return ok ? LIMBER_OK : no_memory(err);
}

bool boxes_number_in_name(const char *path, long long *number)
{
    size_t end = strlen(path), n;
    const char *name = last_component(path, &end, &n), *dot = memrchr(name, '.', n);
    n = dot && dot > name ? (size_t)(dot - name) : n;
    while (n && !isdigit((unsigned char)name[n - 1]))
        n--;
    size_t begin = n;
    while (begin && isdigit((unsigned char)name[begin - 1]))
        begin--;
    while (begin < n && name[begin] == '0' && begin + 1 < n)
        begin++;
    if (begin == n || n - begin > 18)
        return false;
    *number = strtoll(name + begin, NULL, 10); /* stops at the dot, or at what is no digit */
    return true;
}

static const struct boxes_list nobody = {.image_id = -1};

static limber_status join_numbers(struct boxes *b, const char *const *paths, size_t count, limber_error *err)
{
    struct id_place *inputs = calloc(count + 1, sizeof *inputs), *lists = calloc(b->count + 1, sizeof *lists);
    bool ok = inputs && lists;
    size_t n = 0;
    for (size_t i = 0; ok && i < b->count; i++)
        lists[i] = (struct id_place){b->list[i].image_id, i};
    if (ok)
        qsort(lists, b->count, sizeof *lists, by_id);
    for (size_t i = 0; ok && i < count; i++) {
        if (boxes_number_in_name(paths[i], &inputs[n].id))
            inputs[n++].place = i;
        else
            ok = answer_problem(&b->answers[i], "%s knows images by number, and there is none in this name", b->path);
    }
    if (ok)
        qsort(inputs, n, sizeof *inputs, by_id);
    for (size_t i = 0; ok && i < n; i++) {
        const struct id_place *at = find_id(lists, b->count, inputs[i].id);
        struct boxes_answer *a = &b->answers[inputs[i].place];
        size_t rival = i > 0 && inputs[i - 1].id == inputs[i].id       ? inputs[i - 1].place
                       : i + 1 < n && inputs[i + 1].id == inputs[i].id ? inputs[i + 1].place
                                                                       : SIZE_MAX;
        if (at && rival != SIZE_MAX)
            ok = answer_problem(a, "ambiguous: image_id %lld in %s fits %s as well", inputs[i].id, b->path, paths[rival]);
        else
            a->list = at ? &b->list[at->place] : &nobody;
    }
    free(inputs);
    free(lists);
    return ok ? LIMBER_OK : no_memory(err);
}

limber_status boxes_join(struct boxes *b, const char *const *paths, size_t count, limber_error *err)
{
    forget_answers(b);
    b->unused = b->absent = 0;
    if (!(b->answers = calloc(count + 1, sizeof *b->answers)))
        return no_memory(err);
    b->answer_count = count;
    limber_status st = b->by_number ? join_numbers(b, paths, count, err) : join_names(b, paths, count, err);
    if (st)
        return st;
    size_t found = 0, found_with_people = 0;
    for (size_t i = 0; i < count; i++) {
        const struct boxes_list *list = b->answers[i].list;
        found += list && list != &nobody;
        found_with_people += list && list->person_count;
        b->absent += list == &nobody;
    }
    for (size_t i = 0; i < b->count; i++)
        b->unused += b->list[i].person_count > 0;
    b->unused -= found_with_people;
    if (!found && count && b->count)
        return limber_fail(err, LIMBER_E_ARGUMENT,
                           "%s: none of its %zu images is among the %zu inputs (%s%s%s%lld, the first input is %s)", b->path,
                           b->count, count, b->by_number ? "the first has the number " : "the first is ",
                           b->by_number ? "" : b->list[0].name, b->by_number ? "" : ", number ", b->list[0].image_id, paths[0]);
    return LIMBER_OK;
}

limber_status boxes_of(const struct boxes *b, size_t i, const struct boxes_list **list, limber_error *err)
{
    *list = NULL;
    if (i >= b->answer_count)
        return limber_fail(err, LIMBER_E_ARGUMENT, "boxes: input %zu of %zu", i, b->answer_count);
    const struct boxes_answer *a = &b->answers[i];
    if (a->problem)
        return limber_fail(err, LIMBER_E_ARGUMENT, "boxes: %s", a->problem);
    if (a->list->fault)
        return limber_fail(err, LIMBER_E_ARGUMENT, "%s: %s", b->path, a->list->fault);
    *list = a->list;
    return LIMBER_OK;
}
