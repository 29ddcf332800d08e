/* SPDX-License-Identifier: MIT */
/* command/eval/eval_set.c - see command/eval/eval_set.h. Of the annotations' own boxes: a person without a labelled joint is no
 * task (as in mmpose's ground-truth-box evaluation), but stays in the evaluation as ignored; the person score is the mean
 * keypoint score. */
#define _GNU_SOURCE
#include "command/eval/eval_set.h"

#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command/options.h"
#include "command/output.h"
#include "command/progress.h"
#include "command/stream.h"
#include "base/error.h"
#include "base/system.h"
#include "pose/same.h"

#define HOLD 256 /* images that may wait for a full batch */

/* ---- annotations and files ---- */

/* folder/name, or the entry of the folder that is the same name with its accents written another way; NULL: neither. To free. */
static char *find_component(const char *folder, const char *name)
{
    char *path = output_path(folder, name), *wanted = boxes_comparable(name);
    if (path && access(path, R_OK) == 0) {
        free(wanted);
        return path;
    }
    free(path);
    path = NULL;
    DIR *dir = wanted ? opendir(folder) : NULL;
    for (struct dirent *e; !path && dir && (e = readdir(dir));) {
        char *is = boxes_comparable(e->d_name);
        if (is && !strcmp(is, wanted))
            path = output_path(folder, e->d_name);
        free(is);
    }
    if (dir)
        closedir(dir);
    free(wanted);
    return path;
}

/* The same for a path; one that leads out of the folder is none. */
static char *find_path(const char *folder, const char *path)
{
    char *at = strdup(folder), *rest = strdup(path), *save = NULL;
    for (char *part = rest ? strtok_r(rest, "/", &save) : NULL; at && part; part = strtok_r(NULL, "/", &save)) {
        char *next = strcmp(part, "..") ? find_component(at, part) : NULL;
        free(at);
        at = next;
    }
    free(rest);
    return at;
}

/* The file of an image: below `images` by its name, with slashes for backslashes, then by its base name; NULL where none is
 * there. To free. */
static char *find_file(const char *images, const char *name)
{
    char *plain = strdup(name), *path = output_path(images, name);
    if (path && plain && access(path, R_OK)) {
        free(path);
        for (char *p = plain; *p; p++)
            *p = *p == '\\' ? '/' : *p;
        const char *slash = strrchr(plain, '/');
        path = find_path(images, plain);
        if (!path && slash)
            path = find_path(images, slash + 1);
    }
    free(plain);
    return path;
}

/* How many joints an annotation has of those that are compared. */
static int joints_of(const struct eval_set *s, const struct annotation *a)
{
    return s->skeleton->part_count > 1 ? a->joint_count : a->keypoint_count;
}

static bool has_labels(const struct eval_set *s, const struct annotation *a)
{
    for (int k = 0; k < joints_of(s, a); k++)
        if (a->keypoints[3 * k + 2] > 0)
            return true;
    return false;
}

static struct coco_truth truth_of(const struct eval_set *s, const struct annotation *a, int image)
{
    static const double unlabelled[3 * SKELETON_MAX_KEYPOINTS];
    struct coco_truth t = {.image = image,
                           .category = s->skeleton == &skeleton_animal ? a->category : 0,
                           .crowd = a->crowd,
                           .zero_id = a->id == 0,
                           .num_keypoints = a->num_keypoints,
                           .area = a->area,
                           .keypoints = a->keypoints ? a->keypoints : unlabelled};
    memcpy(t.box, a->box, sizeof t.box);
    return t;
}

void eval_set_close(struct eval_set *s)
{
    for (size_t i = 0; s->box && i < s->boxes.count; i++) {
        free(s->box[i]);
        if (s->score)
            free(s->score[i]);
    }
    free(s->box);
    free(s->score);
    free(s->taken);
    boxes_close(&s->detections);
    free(s->box_count);
    free(s->truths);
    free(s->truth_of_box);
    free(s->first_box);
    free(s->counted);
    inputs_free(&s->inputs);
    boxes_close(&s->boxes);
    *s = (struct eval_set){0};
}

/* pycocotools reads images in order of their ids, and of annotations with one id only the last, once for each that has it. */
static int by_image_id(const void *a, const void *b)
{
    const struct boxes_list *x = a, *y = b;
    if (x->text_id || y->text_id)
        return x->text_id && y->text_id ? strcmp(x->text_id, y->text_id) : (x->text_id != NULL) - (y->text_id != NULL);
    return (x->image_id > y->image_id) - (x->image_id < y->image_id);
}

/* An annotation and its image. */
struct placed {
    const struct annotation *a;
    int image;
};

static int by_order(const void *a, const void *b)
{
    const struct placed *x = a, *y = b;
    return (x->a->order > y->a->order) - (x->a->order < y->a->order);
}

static int by_image_and_order(const void *a, const void *b)
{
    const struct placed *x = a, *y = b;
    return x->image != y->image ? (x->image > y->image) - (x->image < y->image) : by_order(a, b);
}

static limber_status check_joints(const struct eval_set *s, const struct annotation *a, limber_error *err)
{
    const struct skeleton *wanted = s->skeleton;
    const int has = joints_of(s, a);
    if (!has || has == wanted->keypoints)
        return LIMBER_OK;
    return limber_fail(err, LIMBER_E_FORMAT, "annotation %lld has %d keypoints, expected %s's %d%s", a->id, has, wanted->name,
                       wanted->keypoints,
                       wanted->part_count == 1 ? "" : ": keypoints, foot_kpts, face_kpts, lefthand_kpts and righthand_kpts");
}

static limber_status check_counted(const struct annotation *a, limber_error *err)
{
    return a->has_area ? LIMBER_OK
                       : limber_fail(err, LIMBER_E_FORMAT,
                                     "annotation %lld has no \"area\", which COCO's similarity is measured by", a->id);
}

/* set.counted: a person whose last namesake is nobody's annotation is not counted. */
static limber_status count_truths(struct eval_set *s, size_t people, limber_error *err)
{
    struct placed *by_file = calloc(people + 1, sizeof *by_file), *by_image = calloc(people + 1, sizeof *by_image);
    limber_status st = by_file && by_image ? LIMBER_OK : limber_fail(err, LIMBER_E_MEMORY, "no memory for %zu people", people);
    size_t n = 0;
    for (size_t i = 0; !st && i < s->boxes.count; i++)
        for (int p = 0; p < s->boxes.list[i].person_count; p++)
            by_file[n++] = (struct placed){&s->boxes.list[i].person[p], (int)i};
    if (!st && n) {
        memcpy(by_image, by_file, n * sizeof *by_file);
        qsort(by_file, n, sizeof *by_file, by_order);
        qsort(by_image, n, sizeof *by_image, by_image_and_order);
    }
    for (size_t i = 0; !st && i < n; i++) {
        const struct annotation namesake = {.order = by_image[i].a->last_of_id};
        const struct placed key = {.a = &namesake}, *last = bsearch(&key, by_file, n, sizeof *by_file, by_order);
        if (last && !(st = check_counted(last->a, err)))
            s->counted[s->counted_count++] = truth_of(s, last->a, last->image);
    }
    free(by_file);
    free(by_image);
    return st;
}

/* The file of image i; one that is not there is said, and counted. */
static void find_image(struct eval_set *s, size_t i, const char *images)
{
    const char *name = s->boxes.list[i].name;
    s->inputs.v[i].path = images ? find_file(images, name) : strdup(name);
    if (s->inputs.v[i].path)
        return;
    cli_warn("%s: not below %s, its %d people count as missed", name, images, s->box_count[i]);
    s->missing++;
    s->inputs.v[i].path = strdup(name); /* the decoder will say that it is not there */
}

/* joints: a person's joints are what is compared, and whoever has none is no task. */
static int open_set(struct eval_set *s, const char *annotations, const char *category, const char *images, bool joints)
{
    limber_error err;
    s->own_boxes = true;
    if (boxes_open(&s->boxes, annotations, category, &err) != LIMBER_OK)
        return cli_fail("%s", err.text);
    const size_t n = s->boxes.count;
    size_t people = 0;
    if (n)
        qsort(s->boxes.list, n, sizeof *s->boxes.list, by_image_id);
    for (size_t i = 0; i < n; i++)
        people += (size_t)s->boxes.list[i].person_count;
    s->inputs.v = calloc(n + 1, sizeof *s->inputs.v);
    s->box = calloc(n + 1, sizeof *s->box);
    s->box_count = calloc(n + 1, sizeof *s->box_count);
    s->first_box = calloc(n + 1, sizeof *s->first_box);
    s->truths = calloc(people + 1, sizeof *s->truths);
    s->truth_of_box = calloc(people + 1, sizeof *s->truth_of_box);
    s->counted = calloc(people + 1, sizeof *s->counted);
    if (!s->inputs.v || !s->box || !s->box_count || !s->first_box || !s->truths || !s->truth_of_box || !s->counted)
        return cli_fail("%s: no memory for %zu people", annotations, people);
    if (count_truths(s, people, &err))
        return cli_fail("%s: %s", annotations, err.text);
    s->inputs.count = n;
    for (size_t i = 0; i < n; i++) {
        const struct boxes_list *list = &s->boxes.list[i];
        if (!list->name || s->boxes.sparse)
            return cli_fail("%s: image %lld has no file_name: eval wants COCO annotations", annotations, list->image_id);
        s->box[i] = calloc((size_t)list->person_count + 1, sizeof **s->box);
        if (!s->box[i])
            return cli_fail("%s: no memory", annotations);
        s->first_box[i] = s->box_total;
        for (int p = 0; p < list->person_count; p++) {
            const struct annotation *a = &list->person[p];
            if (joints && check_joints(s, a, &err))
                return cli_fail("%s: %s", annotations, err.text);
            s->truths[s->truth_count] = truth_of(s, a, (int)i);
            if (!a->crowd && (!joints || has_labels(s, a))) {
                s->box[i][s->box_count[i]++] =
                    (limber_box){(float)a->box[0], (float)a->box[1], (float)a->box[2], (float)a->box[3]};
                s->truth_of_box[s->box_total++] = s->truth_count;
            }
            s->truth_count++;
        }
        find_image(s, i, images);
    }
    if (!s->box_total)
        return cli_fail("%s: no person%s", annotations, joints ? " with labelled joints" : "");
    if (s->missing == (int)n)
        return cli_fail("%s: none of its %zu images is below %s", annotations, n, images);
    return CLI_DONE;
}

int eval_set_open(struct eval_set *s, const struct skeleton *skeleton, const char *annotations, const char *category,
                  const char *images)
{
    *s = (struct eval_set){.skeleton = skeleton};
    if (!skeleton)
        return cli_fail(
            "COCO's similarity is defined for the joints of COCO, COCO-WholeBody and AP-10K, and this model has others");
    if (!category && skeleton == &skeleton_animal)
        category = BOXES_EVERY_CATEGORY;
    return open_set(s, annotations, category, images, true);
}

int eval_set_open_boxes(struct eval_set *s, const char *annotations, const char *category, const char *images)
{
    *s = (struct eval_set){.skeleton = &skeleton_coco};
    return open_set(s, annotations, category, images, false);
}

/* ---- a detector's boxes ---- */

/* Which list of `detections` is annotated image i: by its id, the lists being sorted by it. */
static const struct boxes_list *list_of_id(const struct boxes *detections, const struct boxes_list *image)
{
    return detections->count ? bsearch(image, detections->list, detections->count, sizeof *detections->list, by_image_id) : NULL;
}

/* The same by the names of the files. NULL: not there, or why its boxes cannot be used, in *fault. */
static const struct boxes_list *list_of_name(const struct boxes *detections, size_t i, const char **fault, limber_error *err)
{
    const struct boxes_list *list = NULL;
    *fault = detections->answer_count > i && boxes_of(detections, i, &list, err) ? err->text : NULL;
    return *fault ? NULL : list;
}

/* Joins by name, and counts for how many images each of the two ways finds something. */
static limber_status join_both(struct boxes *detections, const struct eval_set *s, size_t *by_id, size_t *by_name,
                               limber_error *err)
{
    const size_t n = s->boxes.count;
    const char **names = calloc(n + 1, sizeof *names), *fault;
    if (!names)
        return limber_fail(err, LIMBER_E_MEMORY, "no memory for %zu images", n);
    if (detections->count)
        qsort(detections->list, detections->count, sizeof *detections->list, by_image_id);
    for (size_t i = 0; i < n; i++)
        names[i] = s->boxes.list[i].name;
    *by_id = *by_name = 0;
    limber_error problem = {0};
    const limber_status st = boxes_join(detections, names, n, &problem);
    for (size_t i = 0; i < n; i++) {
        *by_id += detections->sparse && list_of_id(detections, &s->boxes.list[i]);
        const struct boxes_list *list = st ? NULL : list_of_name(detections, i, &fault, &problem);
        *by_name += list && (list->name || list->image_id >= 0);
    }
    free(names);
    return st == LIMBER_E_MEMORY ? limber_fail(err, st, "%s", problem.text) : LIMBER_OK;
}

static limber_status copy_boxes(struct eval_set *s, size_t i, const struct boxes_list *list, limber_error *err)
{
    const size_t n = list ? (size_t)list->count : 0;
    free(s->box[i]);
    s->box_count[i] = 0;
    s->box[i] = calloc(n + 1, sizeof **s->box);
    if (list && list->score)
        s->score[i] = calloc(n + 1, sizeof **s->score);
    if (!s->box[i] || (list && list->score && !s->score[i]))
        return limber_fail(err, LIMBER_E_MEMORY, "no memory for %zu boxes", n);
    if (n)
        memcpy(s->box[i], list->box, n * sizeof *list->box);
    if (n && list->score)
        memcpy(s->score[i], list->score, n * sizeof *list->score);
    s->box_count[i] = (int)n;
    return LIMBER_OK;
}

int eval_set_take_boxes(struct eval_set *s, const char *file, double least, int most, bool quiet)
{
    limber_error err;
    size_t by_id = 0, by_name = 0;
    struct boxes *d = &s->detections;
    limber_status st = boxes_open(d, file, NULL, &err);
    if (!st)
        st = boxes_keep_surest(d, least, most, &err);
    if (!st)
        st = join_both(d, s, &by_id, &by_name, &err);
    if (st)
        return cli_fail("%s", err.text);
    const size_t joined = by_id >= by_name ? by_id : by_name;
    if (!joined && d->count)
        return cli_fail("%s: none of the %zu annotated images is in it, by image_id or by name", file, s->boxes.count);
    s->own_boxes = false;
    s->box_total = 0;
    s->score = calloc(s->boxes.count + 1, sizeof *s->score);
    s->taken = calloc(s->boxes.count + 1, sizeof *s->taken);
    if (!s->score || !s->taken)
        return cli_fail("no memory");
    for (size_t i = 0; !st && i < s->boxes.count; i++) {
        const char *fault = NULL;
        const struct boxes_list *list = by_id >= by_name ? list_of_id(d, &s->boxes.list[i]) : list_of_name(d, i, &fault, &err);
        if (list && list->fault)
            fault = list->fault;
        if (fault)
            cli_warn("%s: %s: nobody is looked for there", s->boxes.list[i].name, fault);
        s->taken[i] = fault ? NULL : list;
        st = copy_boxes(s, i, s->taken[i], &err);
        s->box_total += s->box_count[i];
    }
    if (st)
        return cli_fail("%s", err.text);
    char *summary = boxes_summary(d);
    if (summary && !quiet)
        cli_warn("%s: %s; %d of them on %zu of the %zu annotated images, joined by %s", file, summary, s->box_total, joined,
                 s->boxes.count, by_id >= by_name ? "image_id" : "name");
    free(summary);
    return CLI_DONE;
}

/* ---- running ---- */

static limber_status boxes_of_item(void *context, const struct stream_item *item, const limber_box **boxes, int *count,
                                   limber_error *err)
{
    const struct eval_set *s = context;
    (void)err;
    *boxes = s->box[item->index];
    *count = s->box_count[item->index];
    return LIMBER_OK;
}

static limber_status find_people(void *context, struct stream_item *item, limber_error *err)
{
    const struct eval_set *s = context;
    return finders_find_item(s->finders, item, err);
}

static float rounded(float v, double parts)
{
    return (float)(nearbyint((double)v * parts) / parts);
}

/* With the decimals that `limber run` writes: what pycocotools reads there is what is measured here. */
static void round_as_written(limber_person *p, int keypoints)
{
    p->box_score = rounded(p->box_score, 1e4);
    for (int k = 0; k < keypoints; k++)
        p->keypoints[k] = (limber_keypoint){rounded(p->keypoints[k].x, 100), rounded(p->keypoints[k].y, 100),
                                            rounded(p->keypoints[k].score, 1e4)};
}

/* People who answer nobody in particular, ranked as `limber run --coco` ranks them. */
static bool record_found(struct eval_result *r, const struct eval_set *s, const limber_model *model, struct stream_item *item)
{
    limber_people *people = &item->parcel.people;
    const float *scores = s->finders ? item->found.scores : s->score[item->index];
    if (scores)
        people_score_found(people, scores, model, s->finders ? s->finders->detector : NULL);
    if (!coco_poses_reserve(&r->poses, (size_t)people->count))
        return false;
    for (int p = 0; p < people->count; p++) {
        limber_person *person = &people->person[p];
        round_as_written(person, people->keypoint_count);
        const double score = scores ? same_rank(person, people->keypoint_count) : (double)person->score;
        coco_poses_add(&r->poses, (int)item->index, nearbyint(score * 1e4) / 1e4, person->keypoints);
    }
    return true;
}

static void record_own(struct eval_result *r, const struct eval_set *s, const struct stream_item *item)
{
    for (int p = 0; p < item->parcel.people.count; p++) {
        const limber_person *person = &item->parcel.people.person[p];
        const int truth = s->truth_of_box[s->first_box[item->index] + p];
        r->truth[r->poses.count] = truth;
        coco_poses_add(&r->poses, (int)item->index, (double)person->score, person->keypoints)->category =
            s->truths[truth].category;
    }
}

struct measuring {
    struct eval_result *r;
    const struct eval_set *set;
    const limber_model *model;
    struct stream *stream;
    bool no_memory;
    struct progress progress;
    size_t images;
};

static struct parcel *next(void *context, bool holding)
{
    const struct measuring *m = context;
    struct stream_item *item = stream_next(m->stream, holding);
    return item ? &item->parcel : NULL;
}

static bool done(void *context, struct parcel *parcel)
{
    struct measuring *m = context;
    struct stream_item *item = (struct stream_item *)parcel;
    if (parcel->status) {
        cli_warn("%s: %s", item->input->path, parcel->error.text);
        m->r->failed++;
    } else if (m->r->truth) {
        record_own(m->r, m->set, item);
    } else {
        m->no_memory = !record_found(m->r, m->set, m->model, item);
    }
    stream_release(m->stream, item);
    progress_step(&m->progress, ++m->images, (size_t)m->r->poses.count);
    return !m->no_memory;
}

int eval_measure(struct eval_result *r, const struct eval_set *s, const limber_model *model, limber_session *session, bool quiet)
{
    struct measuring m = {.r = r, .set = s, .model = model};
    const bool own = s->own_boxes && !s->finders;
    const struct stream_calls calls = {.context = (void *)s,
                                       .boxes = s->finders ? NULL : boxes_of_item,
                                       .find = s->finders ? find_people : NULL,
                                       .stop = &cli_stopped,
                                       .reduce = !s->full_resolution};
    const struct conveyor conveyor = {.context = &m, .next = next, .done = done, .stop = &cli_stopped, .window = HOLD};
    limber_error err;
    double begin = system_now(), forward_before = session->seconds_forward;
    *r = (struct eval_result){0};
    r->truth = own ? calloc((size_t)s->box_total, sizeof *r->truth) : NULL;
    if (!coco_poses_open(&r->poses, (size_t)s->box_total, s->skeleton->keypoints) || (own && !r->truth))
        return cli_fail("no memory for %d poses", s->box_total);
    limber_status st = stream_open(&m.stream, model, &s->inputs, s->finders ? s->finders->count : 1, HOLD, &calls, &err);
    progress_start(&m.progress, s->inputs.count, !quiet);
    if (!st)
        st = conveyor_run(session, &conveyor, &err);
    progress_clear(&m.progress);
    stream_close(&m.stream);
    r->seconds = system_now() - begin;
    r->seconds_forward = session->seconds_forward - forward_before;
    if (m.no_memory)
        return cli_fail("no memory for %d poses", r->poses.count);
    return st ? cli_fail("%s", err.text) : cli_stopped ? CLI_INTERRUPTED : CLI_DONE;
}

void eval_result_free(struct eval_result *r)
{
    coco_poses_close(&r->poses);
    free(r->truth);
    *r = (struct eval_result){0};
}

/* ---- numbers ---- */

static bool of_source(const struct eval_set *s, int image, const char *source)
{
    const char *own = s->boxes.list[image].source;
    return !source || (own && strcmp(own, source) == 0);
}

void eval_slice_free(struct eval_slice *c)
{
    free(c->truths);
    free(c->poses);
    free(c->answered);
}

limber_status eval_slice_of(struct eval_slice *c, const struct eval_set *s, const struct eval_result *r, const char *source,
                            limber_error *err)
{
    *c = (struct eval_slice){.truths = calloc((size_t)s->counted_count + 1, sizeof *c->truths),
                             .poses = calloc((size_t)r->poses.count + 1, sizeof *c->poses),
                             .answered = calloc((size_t)r->poses.count + 1, sizeof *c->answered)};
    if (!c->truths || !c->poses || !c->answered)
        return limber_fail(err, LIMBER_E_MEMORY, "no memory for %d people", s->truth_count);
    for (size_t i = 0; i < s->boxes.count; i++)
        c->images += of_source(s, (int)i, source);
    for (int i = 0; i < s->counted_count; i++)
        if (of_source(s, s->counted[i].image, source))
            c->truths[c->truth_count++] = s->counted[i];
    for (int i = 0; i < r->poses.count; i++)
        if (of_source(s, r->poses.v[i].image, source)) {
            if (r->truth)
                c->answered[c->pose_count] = s->truths[r->truth[i]];
            c->poses[c->pose_count++] = r->poses.v[i];
        }
    return LIMBER_OK;
}

limber_status eval_numbers(double numbers[COCO_NUMBERS], const struct eval_set *s, const struct eval_result *r,
                           const char *source, limber_error *err)
{
    struct eval_slice c;
    const struct coco_scope scope = coco_scope_of(s->skeleton, COCO_WHOLE);
    limber_status st = eval_slice_of(&c, s, r, source, err);
    if (st == LIMBER_OK)
        st = coco_evaluate(numbers, &scope, c.truths, c.truth_count, c.poses, c.pose_count, (int)s->boxes.count, err);
    eval_slice_free(&c);
    return st;
}
