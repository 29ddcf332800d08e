/* SPDX-License-Identifier: MIT */
/* Paths <-> images of the file. A name is compared from its end, whole components; both sides are sorted by reversed path, so that
 * the longest common endings are neighbours. Nothing is guessed: what fits twice is answered as an error. */
#define _GNU_SOURCE
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/unicode.h"
#include "base/text.h"
#include "command/boxes_parts.h"

#define MAX_PATH_BYTES 16384 /* no path is longer; a text that is may cost its normal form no memory */

struct boxes_answer {
    const struct boxes_list *list;
    char *problem;
};

static limber_status no_memory(limber_error *err)
{
    return limber_fail(err, LIMBER_E_MEMORY, "no memory for the boxes");
}

char *boxes_comparable(const char *path)
{
    char *key = strlen(path) > MAX_PATH_BYTES ? strdup(path) : nfd(path);
    for (char *p = key; p && *p; p++)
        if (*p == '\\') /* Windows */
            *p = '/';
    return key;
}

/* ---- paths read from their end ---- */

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
    char *path;
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

/* Both sides as they are compared. */
struct sides {
    struct named *entries; /* [entry_count], sorted: the file's images that have a name */
    size_t entry_count;
    char **paths; /* [path_count] */
    size_t path_count;
    struct choice *chosen; /* [path_count] */
    struct claim *claims;  /* [boxes.count] */
};

static void sides_close(struct sides *s)
{
    for (size_t i = 0; s->entries && i < s->entry_count; i++)
        free(s->entries[i].path);
    for (size_t i = 0; s->paths && i < s->path_count; i++)
        free(s->paths[i]);
    free(s->entries);
    free(s->paths);
    free(s->chosen);
    free(s->claims);
}

static bool sides_open(struct sides *s, const struct boxes *b, const char *const *paths, size_t count)
{
    *s = (struct sides){.entries = calloc(b->count + 1, sizeof *s->entries),
                        .paths = calloc(count + 1, sizeof *s->paths),
                        .chosen = calloc(count + 1, sizeof *s->chosen),
                        .claims = calloc(b->count + 1, sizeof *s->claims)};
    if (!s->entries || !s->paths || !s->chosen || !s->claims)
        return false;
    for (size_t i = 0; i < b->count; i++) {
        s->claims[i] = (struct claim){SIZE_MAX, SIZE_MAX, 0};
        if (!b->list[i].name)
            continue;
        if (!(s->entries[s->entry_count].path = boxes_comparable(b->list[i].name)))
            return false;
        s->entries[s->entry_count++].place = i;
    }
    for (; s->path_count < count; s->path_count++)
        if (!(s->paths[s->path_count] = boxes_comparable(paths[s->path_count])))
            return false;
    qsort(s->entries, s->entry_count, sizeof *s->entries, by_ending);
    return true;
}

/* What is left of a path without the extension of its name, in place; false: it has none. */
static bool drop_extension(char *path)
{
    char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *dot = strrchr(name, '.');
    if (!dot || dot == name)
        return false;
    *dot = 0;
    return true;
}

static void choose_all(struct sides *s)
{
    for (size_t i = 0; i < s->path_count; i++) {
        struct choice *c = &s->chosen[i];
        *c = choose(s->entries, s->entry_count, s->paths[i]);
        if (!c->common && drop_extension(s->paths[i])) /* some tools' image_id is the name without it */
            *c = choose(s->entries, s->entry_count, s->paths[i]);
        if (!c->common || c->second)
            continue;
        struct claim *claim = &s->claims[c->entry->place];
        if (c->common > claim->common)
            *claim = (struct claim){i, SIZE_MAX, c->common};
        else if (c->common == claim->common)
            claim->rival = i;
    }
}

static const struct boxes_list nobody = {.image_id = -1};

/* Inputs whose name the file does not have stay without an answer. */
static limber_status join_names(struct boxes *b, const char *const *paths, size_t count, limber_error *err)
{
    struct sides s;
    bool ok = sides_open(&s, b, paths, count);
    if (ok)
        choose_all(&s);
    for (size_t i = 0; ok && i < count; i++) {
        const struct choice *c = &s.chosen[i];
        const struct claim *claim = c->entry ? &s.claims[c->entry->place] : NULL;
        const char *entry = c->entry ? b->list[c->entry->place].name : NULL;
        struct boxes_answer *a = &b->answers[i];
        if (!c->common)
            continue;
        if (c->second && !strcmp(entry, b->list[c->second->place].name))
            ok = answer_problem(a, "ambiguous in %s: %s is there twice", b->path, entry);
        else if (c->second)
            ok = answer_problem(a, "ambiguous in %s: %s and %s end alike", b->path, entry, b->list[c->second->place].name);
        else if (claim->rival != SIZE_MAX && claim->common == c->common)
            ok = answer_problem(a, "ambiguous: %s in %s fits %s as well", entry, b->path,
                                paths[claim->input == i ? claim->rival : claim->input]);
        else if (claim->input != i)
            ok = answer_problem(a, "no image in %s has this name (%s belongs to %s)", b->path, entry, paths[claim->input]);
        else
            a->list = &b->list[c->entry->place];
    }
    sides_close(&s);
    return ok ? LIMBER_OK : no_memory(err);
}

bool boxes_number_in_name(const char *path, long long *number)
{
    size_t end = strlen(path), n;
    const char *name = last_component(path, &end, &n), *dot = memrchr(name, '.', n);
    n = dot && dot > name ? (size_t)(dot - name) : n;
    while (n && !text_is_digit(name[n - 1]))
        n--;
    size_t begin = n;
    while (begin && text_is_digit(name[begin - 1]))
        begin--;
    while (begin < n && name[begin] == '0' && begin + 1 < n)
        begin++;
    if (begin == n || n - begin > 18)
        return false;
    *number = strtoll(name + begin, NULL, 10); /* stops at the dot, or at what is no digit */
    return true;
}

struct numbered {
    long long number;
    size_t place;
};

static int by_number(const void *a, const void *b)
{
    const struct numbered *x = a, *y = b;
    return x->number != y->number ? (x->number > y->number) - (x->number < y->number)
                                  : (x->place > y->place) - (x->place < y->place);
}

static const struct numbered *find_number(const struct numbered *v, size_t count, long long number)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (v[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && v[low].number == number ? &v[low] : NULL;
}

/* Inputs without an answer <-> images of the file that have no name. */
static limber_status join_numbers(struct boxes *b, const char *const *paths, size_t count, limber_error *err)
{
    struct numbered *inputs = calloc(count + 1, sizeof *inputs), *lists = calloc(b->count + 1, sizeof *lists);
    bool ok = inputs && lists;
    size_t n = 0, images = 0;
    for (size_t i = 0; ok && i < b->count; i++)
        if (!b->list[i].name)
            lists[images++] = (struct numbered){b->list[i].image_id, i};
    if (ok)
        qsort(lists, images, sizeof *lists, by_number);
    for (size_t i = 0; ok && i < count; i++) {
        if (b->answers[i].list || b->answers[i].problem)
            continue;
        if (boxes_number_in_name(paths[i], &inputs[n].number))
            inputs[n++].place = i;
        else if (images == b->count)
            ok = answer_problem(&b->answers[i], "%s knows images by number, and there is none in this name", b->path);
    }
    if (ok)
        qsort(inputs, n, sizeof *inputs, by_number);
    for (size_t i = 0; ok && i < n; i++) {
        const struct numbered *at = find_number(lists, images, inputs[i].number);
        struct boxes_answer *a = &b->answers[inputs[i].place];
        size_t rival = i > 0 && inputs[i - 1].number == inputs[i].number       ? inputs[i - 1].place
                       : i + 1 < n && inputs[i + 1].number == inputs[i].number ? inputs[i + 1].place
                                                                               : SIZE_MAX;
        if (at && rival != SIZE_MAX)
            ok = answer_problem(a, "ambiguous: image_id %lld in %s fits %s as well", inputs[i].number, b->path, paths[rival]);
        else
            a->list = at ? &b->list[at->place] : NULL;
    }
    free(inputs);
    free(lists);
    return ok ? LIMBER_OK : no_memory(err);
}

static limber_status none_found(const struct boxes *b, const char *const *paths, size_t count, limber_error *err)
{
    const struct boxes_list *first = &b->list[0];
    char number[32];
    for (size_t i = 0; i < count; i++)
        if (b->answers[i].problem && !strncmp(b->answers[i].problem, "ambiguous", 9))
            return limber_fail(err, LIMBER_E_ARGUMENT, "%s: %s", paths[i], b->answers[i].problem);
    snprintf(number, sizeof number, "%lld", first->image_id);
    return limber_fail(err, LIMBER_E_ARGUMENT,
                       "%s: none of its %zu images is among the %zu inputs (the first %s %s, the first input is %s)", b->path,
                       b->count, count, first->name ? "is" : "has the number", first->name ? first->name : number, paths[0]);
}

limber_status boxes_join(struct boxes *b, const char *const *paths, size_t count, limber_error *err)
{
    boxes_forget_join(b);
    b->unused = b->absent = 0;
    if (!(b->answers = calloc(count + 1, sizeof *b->answers)))
        return no_memory(err);
    b->answer_count = count;
    limber_status st = join_names(b, paths, count, err);
    if (!st && b->sparse)
        st = join_numbers(b, paths, count, err);
    size_t found = 0, found_with_people = 0;
    for (size_t i = 0; !st && i < count; i++) {
        struct boxes_answer *a = &b->answers[i];
        if (!a->list && !a->problem && b->sparse)
            a->list = &nobody;
        else if (!a->list && !a->problem && !answer_problem(a, "no image in %s has this name", b->path))
            st = no_memory(err);
        found += a->list && a->list != &nobody;
        found_with_people += a->list && a->list->person_count;
        b->absent += a->list == &nobody;
    }
    if (st)
        return st;
    for (size_t i = 0; i < b->count; i++)
        b->unused += b->list[i].person_count > 0;
    b->unused -= found_with_people;
    return !found && count && b->count ? none_found(b, paths, count, err) : LIMBER_OK;
}

void boxes_forget_join(struct boxes *b)
{
    for (size_t i = 0; i < b->answer_count; i++)
        free(b->answers[i].problem);
    free(b->answers);
    b->answers = NULL;
    b->answer_count = 0;
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
