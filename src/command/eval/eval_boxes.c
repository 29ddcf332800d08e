/* SPDX-License-Identifier: MIT */
/* command/eval/eval_boxes.c - `limber eval --task boxes`: how good a detector is, by what it finds on annotated photographs or by the file
 * of its detections. Numbers are COCO's for the category of persons (command/eval/coco_boxes.h). */
#define _GNU_SOURCE
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json_write.h"
#include "base/system.h"
#include "command/eval/coco_boxes.h"
#include "command/eval/eval.h"
#include "command/eval/eval_set.h"
#include "command/output.h"
#include "command/progress.h"
#include "command/stream.h"

#define LEAST 0.001 /* of a detector's boxes: average precision looks at all that it says */
#define SHOWN 5     /* boxes a photograph, of the recall that is printed */

static const char *const area_names[COCO_AREAS] = {"all", "small", "medium", "large"};

/* Boxes as they come. */
struct found {
    struct coco_box *v;
    int count;
    size_t room;
    int failed; /* images that could not be decoded */
    double seconds;
};

static bool add_box(struct found *f, int image, double score, const double box[4])
{
    if ((size_t)f->count == f->room) {
        const size_t room = f->room ? 2 * f->room : 256;
        struct coco_box *v = realloc(f->v, room * sizeof *v);
        if (!v)
            return false;
        f->v = v;
        f->room = room;
    }
    struct coco_box *b = &f->v[f->count++];
    *b = (struct coco_box){.image = image, .score = score};
    memcpy(b->box, box, sizeof b->box);
    return true;
}

/* ---- where boxes come from ---- */

static int read_file(struct found *f, struct eval_set *set, const struct eval_ask *ask)
{
    int status = eval_set_take_boxes(set, ask->boxes_file, ask->find.min_box_score, ask->find.max_people, ask->common.quiet);
    for (size_t i = 0; !status && i < set->boxes.count; i++) {
        const struct boxes_list *list = set->taken[i];
        for (int p = 0; !status && list && p < list->count; p++)
            if (!add_box(f, (int)i, list->person[p].score, list->person[p].box))
                status = cli_fail("no memory for the boxes");
    }
    return status;
}

static limber_status find_people(void *context, struct stream_item *item, limber_error *err)
{
    return finders_find_item(context, item, err);
}

/* With the decimals that `limber detect` writes: what pycocotools reads there is what is measured here. */
static double rounded(float v, double parts)
{
    return nearbyint((double)v * parts) / parts;
}

static bool add_found(struct found *f, const struct stream_item *item)
{
    for (int p = 0; p < item->found.count; p++) {
        const limber_box *b = &item->found.boxes[p];
        const double box[4] = {rounded(b->x, 100), rounded(b->y, 100), rounded(b->width, 100), rounded(b->height, 100)};
        if (!add_box(f, (int)item->index, rounded(item->found.scores[p], 1e4), box))
            return false;
    }
    return true;
}

static int find_all(struct found *f, const struct eval_set *set, struct finders *finders, const struct eval_ask *ask)
{
    const struct stream_calls calls = {
        .context = finders, .find = find_people, .stop = &cli_stopped, .reduce = !ask->full_resolution};
    struct stream *stream = NULL;
    struct stream_item *item;
    struct progress progress;
    limber_error err;
    size_t images = 0;
    bool room = true;
    if (stream_open(&stream, NULL, &set->inputs, finders->count, stream_window(NULL, finders->count), &calls, &err))
        return cli_fail("%s", err.text);
    progress_start(&progress, set->inputs.count, !ask->common.quiet);
    while (room && (item = stream_next(stream, false))) {
        if (item->parcel.status) {
            cli_warn("%s: %s", item->input->path, item->parcel.error.text);
            f->failed++;
        } else {
            room = add_found(f, item);
        }
        stream_release(stream, item);
        progress_step(&progress, ++images, (size_t)f->count);
    }
    progress_clear(&progress);
    stream_close(&stream);
    return !room ? cli_fail("no memory for the boxes") : cli_stopped ? CLI_INTERRUPTED : CLI_DONE;
}

static int find_boxes(struct found *f, const struct eval_set *set, const struct eval_ask *ask)
{
    struct finders finders;
    struct find_options find = ask->find;
    if (find.min_box_score <= 0)
        find.min_box_score = LEAST;
    const int threads = ask->common.options.threads ? ask->common.options.threads : system_cpus();
    int status = finders_open(&finders, &ask->common, &find, threads, threads);
    const double begin = system_now();
    if (!status)
        status = find_all(f, set, &finders, ask);
    f->seconds = system_now() - begin;
    finders_close(&finders);
    return status;
}

/* ---- numbers ---- */

/* Of one source, or of all. */
struct figures {
    const char *source; /* NULL: all */
    int photographs;
    struct coco_boxes_numbers n;
};

static bool of_source(const struct eval_set *s, int image, const char *source)
{
    const char *own = s->boxes.list[image].source;
    return !source || (own && !strcmp(own, source));
}

static int figures_of(struct figures *f, const struct eval_set *s, const struct found *found, const char *source)
{
    struct coco_box_truth *truths = calloc((size_t)s->counted_count + 1, sizeof *truths);
    struct coco_box *boxes = calloc((size_t)found->count + 1, sizeof *boxes);
    limber_error err;
    int nt = 0, nb = 0;
    *f = (struct figures){.source = source};
    limber_status st = truths && boxes ? LIMBER_OK : limber_fail(&err, LIMBER_E_MEMORY, "no memory for %d boxes", found->count);
    for (size_t i = 0; i < s->boxes.count; i++)
        f->photographs += of_source(s, (int)i, source);
    for (int i = 0; !st && i < s->counted_count; i++) {
        const struct coco_truth *t = &s->counted[i];
        if (!of_source(s, t->image, source))
            continue;
        truths[nt] = (struct coco_box_truth){.image = t->image, .crowd = t->crowd, .zero_id = t->zero_id, .area = t->area};
        memcpy(truths[nt++].box, t->box, sizeof t->box);
    }
    for (int i = 0; !st && i < found->count; i++)
        if (of_source(s, found->v[i].image, source))
            boxes[nb++] = found->v[i];
    if (!st)
        st = coco_boxes_evaluate(&f->n, truths, nt, boxes, nb, (int)s->boxes.count, f->photographs, &err);
    free(truths);
    free(boxes);
    return st ? cli_fail("%s", err.text) : CLI_DONE;
}

/* ---- the report ---- */

static void print_shares(const char *what, const double share[COCO_AREAS])
{
    printf("%-36s", what);
    for (int a = 0; a < COCO_AREAS; a++)
        if (share[a] < 0)
            printf(" %7s", "-");
        else
            printf(" %7.3f", share[a]);
    printf("\n");
}

static void print_recall(const struct coco_boxes_numbers *n)
{
    const struct coco_recall *r = &n->recall[SHOWN - 1];
    char what[64];
    printf("\n%-36s", "found at an overlap of .5");
    for (int a = 0; a < COCO_AREAS; a++)
        printf(" %7s", area_names[a]);
    printf("\n%-36s", "people");
    for (int a = 0; a < COCO_AREAS; a++)
        printf(" %7d", n->people[a]);
    printf("\n");
    snprintf(what, sizeof what, "%d boxes a photograph, the surest", r->boxes);
    print_shares(what, r->each);
    snprintf(what, sizeof what, "%d on average (scored %.3f or more)", r->boxes, r->least);
    print_shares(what, r->mean);
}

static void print_figures(const struct figures *f, int count)
{
    for (int i = 0; i < COCO_BOX_NUMBERS; i++)
        printf("%-6s %.3f\n", coco_box_number_names[i], f->n.numbers[i]);
    print_recall(&f->n);
    if (count == 1)
        return;
    printf("\n%-20s %7s %7s %7s %7s %7s %7s %7s\n", "source", "images", "people", "AP", "AP50", "AP75", "AR100", "found");
    for (int i = 0; i < count; i++) {
        const double *v = f[i].n.numbers;
        printf("%-20s %7d %7d %7.3f %7.3f %7.3f %7.3f %7.3f\n", f[i].source ? f[i].source : "all", f[i].photographs,
               f[i].n.people[COCO_AREA_ALL], v[COCO_BOX_AP], v[COCO_BOX_AP50], v[COCO_BOX_AP75], v[COCO_BOX_AR100],
               f[i].n.recall[SHOWN - 1].each[COCO_AREA_ALL]);
    }
}

static void put_shares(struct json_text *t, const char *key, const double share[COCO_AREAS])
{
    put_key(t, key), put_open(t, '{');
    for (int a = 0; a < COCO_AREAS; a++)
        put_key(t, area_names[a]), put_number(t, share[a], 6);
    put_close(t, '}');
}

static void put_figures(struct json_text *t, const struct figures *f)
{
    const struct coco_boxes_numbers *n = &f->n;
    put_open(t, '{');
    put_key(t, "images"), put_integer(t, f->photographs);
    put_key(t, "people"), put_open(t, '{');
    for (int a = 0; a < COCO_AREAS; a++)
        put_key(t, area_names[a]), put_integer(t, n->people[a]);
    put_close(t, '}');
    for (int i = 0; i < COCO_BOX_NUMBERS; i++)
        put_key(t, coco_box_number_names[i]), put_number(t, n->numbers[i], 6);
    put_key(t, "recall"), put_open(t, '[');
    for (int i = 0; i < COCO_MOST_BOXES; i++) {
        put_open(t, '{');
        put_key(t, "boxes"), put_integer(t, n->recall[i].boxes);
        put_shares(t, "each", n->recall[i].each);
        put_shares(t, "mean", n->recall[i].mean);
        put_key(t, "least"), put_number(t, n->recall[i].least, 6);
        put_close(t, '}');
    }
    put_close(t, ']');
    put_close(t, '}');
}

static int write_json(const struct eval_ask *ask, const struct figures *f, int count, const struct found *found)
{
    struct json_text t = {.pretty = true};
    const char *detector = finders_dir(&ask->find);
    put_open(&t, '{');
    put_key(&t, "version"), put_string(&t, limber_version());
    put_key(&t, "task"), put_string(&t, "boxes");
    put_key(&t, "boxes"), put_string(&t, ask->boxes_file);
    put_key(&t, "detector"), put_string(&t, ask->boxes_file ? NULL : detector ? detector : "built in");
    put_key(&t, "seconds"), put_number(&t, found->seconds, 3);
    put_key(&t, "failed_images"), put_integer(&t, found->failed);
    put_key(&t, "all"), put_figures(&t, &f[0]);
    put_key(&t, "sources"), put_open(&t, '{');
    for (int i = 1; i < count; i++)
        put_key(&t, f[i].source), put_figures(&t, &f[i]);
    put_close(&t, '}');
    put_close(&t, '}');
    put_newline(&t);
    int status = t.failed ? cli_fail("%s: no memory", ask->json) : output_text(ask->json, t.text, t.length);
    put_free(&t);
    return status;
}

static int report(const struct eval_ask *ask, const struct eval_set *set, const struct found *found)
{
    struct figures *f = calloc(set->boxes.count + 1, sizeof *f);
    if (!f)
        return cli_fail("no memory");
    int count = 1, status = figures_of(&f[0], set, found, NULL);
    for (size_t i = 0; !status && i < set->boxes.count; i++) {
        const char *source = set->boxes.list[i].source;
        bool known = !source;
        for (int k = 1; k < count; k++)
            known = known || !strcmp(f[k].source, source);
        if (!known)
            status = figures_of(&f[count++], set, found, source);
    }
    if (!status) {
        print_figures(f, count);
        if (ask->boxes_file)
            printf("\n%d boxes of %s", found->count, ask->boxes_file);
        else
            printf("\n%d boxes in %.2f s", found->count, found->seconds);
        if (found->failed)
            printf("; %d images could not be used, their people count as missed", found->failed);
        printf("\n");
        if (fflush(stdout))
            status = cli_fail("standard output: the figures could not be written");
    }
    if (!status && ask->json)
        status = write_json(ask, f, count, found);
    free(f);
    return status;
}

int eval_boxes(const struct eval_ask *ask)
{
    struct eval_set set = {0};
    struct found found = {0};
    int status = eval_set_open_boxes(&set, ask->annotations, ask->category, ask->boxes_file ? NULL : ask->images);
    if (!status)
        status = ask->boxes_file ? read_file(&found, &set, ask) : find_boxes(&found, &set, ask);
    if (!status)
        status = report(ask, &set, &found);
    if (!status && found.failed)
        status = CLI_SOME_FAILED;
    free(found.v);
    eval_set_close(&set);
    return status;
}
