/* SPDX-License-Identifier: MIT */
/* command/report/heads_command.c - `limber heads`: a folder of photographs in, the statistics of every attention head out.
 *
 *     command/inputs.c      which images            command/boxes.c         who is where, and (--annotations) their joints
 *     heads/heads.c         everything counted      report/heads_report.c   heads.json, heads.csv
 *     report/heads_page.c   heads.html              command/output.c        files that are whole or not there
 *
 * Images are taken one by one, in order. At the end the few people that the page shows are looked at a second time. */
#define _GNU_SOURCE
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command/boxes.h"
#include "command/finders.h"
#include "command/commands.h"
#include "command/options.h"
#include "command/inputs.h"
#include "command/output.h"
#include "command/progress.h"
#include "base/error.h"
#include "base/fingerprint.h"
#include "base/system.h"
#include "command/report/files.h"
#include "command/report/heads_report.h"
#include "command/run/model_content.h"
#include "heads/heads.h"
#include "image/image.h"
#include "model/labels.h"

struct run {
    struct cli_common common;
    const char *out, *boxes_file, *category, *annotations, *labels, *label_names, *layers;
    int bootstrap, moves, boundaries, seed;
    double joint_score;
    bool include_self;
    struct find_options find;

    struct inputs inputs;
    struct boxes boxes;
    struct finders finders; /* where nothing says who is where, but for --labels, whose regions need not be people's */
    limber_model *model;
    limber_session *session;
    limber_heads *heads;
    limber_heads_result result;
    size_t *counted; /* [inputs]: the input behind each image of the statistics */
    size_t images, failed, people;
    struct progress progress;
};

/* ---- one image and what is known of it ---- */

struct subject_list {
    struct image image;
    uint8_t *labels;         /* --labels: [height][width] */
    const limber_box *boxes; /* NULL: the whole image */
    limber_keypoint *joints; /* --annotations: [count][17] */
    int count;
    limber_box *own_boxes; /* freed with it */
    limber_people people;  /* found: who `boxes` are */
};

static void subjects_free(struct subject_list *s)
{
    image_close(&s->image);
    free(s->labels);
    free(s->joints);
    free(s->own_boxes);
    limber_people_free(&s->people);
    *s = (struct subject_list){0};
}

/* The label map of an image: DIR/the same relative path.png, else DIR/base name.png. */
static limber_status open_label_map(struct image *out, const struct run *r, const char *path, limber_error *err)
{
    const char *base = strrchr(path, '/');
    const char *const names[] = {path, base ? base + 1 : path};
    limber_status st = LIMBER_E_IO;
    for (size_t i = 0; st && i < 2; i++) {
        const char *dot = strrchr(names[i], '.'), *slash = strrchr(names[i], '/');
        int stem = dot && (!slash || dot > slash) ? (int)(dot - names[i]) : (int)strlen(names[i]);
        char *map;
        if (asprintf(&map, "%s/%.*s.png", r->labels, stem, names[i]) < 0)
            return limber_fail(err, LIMBER_E_MEMORY, "no memory");
        st = image_open(out, map, err);
        free(map);
    }
    if (st)
        limber_error_prefix(err, "label map");
    return st;
}

static limber_status read_labels(struct subject_list *s, const struct run *r, const char *path, limber_error *err)
{
    struct image map = {0};
    limber_status st = open_label_map(&map, r, path, err);
    const limber_image *v = &map.view, *im = &s->image.view;
    if (!st && (v->width != im->width || v->height != im->height))
        st = limber_fail(err, LIMBER_E_FORMAT, "label map is %dx%d, its image %dx%d", v->width, v->height, im->width, im->height);
    if (!st && !(s->labels = malloc((size_t)v->width * (size_t)v->height)))
        st = limber_fail(err, LIMBER_E_MEMORY, "no memory for a label map");
    for (int y = 0; !st && y < v->height; y++)
        for (int x = 0; !st && x < v->width; x++) {
            const uint8_t *p = v->pixels + (size_t)y * v->stride + 3 * (size_t)x;
            if (p[0] != p[1] || p[1] != p[2])
                st = limber_fail(err, LIMBER_E_FORMAT,
                                 "label map: colour (%d, %d, %d) at (%d, %d); expected grey values 0..8, or 255", p[0], p[1],
                                 p[2], x, y);
            s->labels[(size_t)y * (size_t)v->width + (size_t)x] = p[0];
        }
    image_close(&map);
    return st;
}

/* COCO's 17 of each person; v = 1 (hidden) and v = 0 (not labelled) are left out. */
static limber_status read_joints(struct subject_list *s, const struct boxes_list *list, limber_error *err)
{
    size_t n = (size_t)list->count;
    if (!(s->joints = calloc(n ? n * COCO_KEYPOINTS : 1, sizeof *s->joints)))
        return limber_fail(err, LIMBER_E_MEMORY, "no memory for the joints of %d people", list->count);
    for (size_t i = 0; i < n; i++) {
        const struct annotation *a = &list->person[i];
        if (a->keypoint_count != 0 && a->keypoint_count != COCO_KEYPOINTS)
            return limber_fail(err, LIMBER_E_FORMAT, "annotation %lld has %d keypoints, expected COCO's 17", a->id,
                               a->keypoint_count);
        for (int k = 0; k < a->keypoint_count; k++) {
            const double *v = a->keypoints + 3 * k;
            s->joints[i * COCO_KEYPOINTS + (size_t)k] = (limber_keypoint){(float)v[0], (float)v[1], v[2] == 2 ? 1 : 0};
        }
    }
    return LIMBER_OK;
}

/* The people that `limber run` would find. */
static limber_status find_people(struct subject_list *s, struct run *r, limber_error *err)
{
    struct found_people found = {0};
    limber_status st = finders_find(&r->finders, &s->image.view, &found, err);
    if (!st)
        st = limber_run(r->session, &s->image.view, found.boxes, found.count, &s->people, err);
    if (!st)
        people_score_found(&s->people, found.scores, r->model, r->finders.detector);
    found_people_free(&found);
    if (!st && !(s->own_boxes = calloc((size_t)s->people.count + 1, sizeof *s->own_boxes)))
        st = limber_fail(err, LIMBER_E_MEMORY, "no memory for %d people", s->people.count);
    for (int i = 0; !st && i < s->people.count; i++)
        s->own_boxes[i] = s->people.person[i].box;
    s->boxes = s->own_boxes;
    s->count = s->people.count;
    return st;
}

static limber_status subjects_open(struct subject_list *s, struct run *r, size_t input, limber_error *err)
{
    const char *path = r->inputs.v[input].path;
    static const limber_box nobody = {0};
    *s = (struct subject_list){0};
    limber_status st = input_image(&r->inputs.v[input], &s->image, err);
    if (!st && (r->boxes_file || r->annotations)) {
        const struct boxes_list *list = NULL;
        st = boxes_of(&r->boxes, input, &list, err);
        s->boxes = !st && list && list->box ? list->box : &nobody;
        s->count = !st && list ? list->count : 0;
        if (!st && r->annotations && list)
            st = read_joints(s, list, err);
    }
    if (!st && r->finders.detector)
        st = find_people(s, r, err);
    if (!st && r->labels)
        st = read_labels(s, r, path, err);
    if (st)
        subjects_free(s);
    return st;
}

static limber_status add_image(struct run *r, size_t input, limber_error *err)
{
    struct subject_list s;
    limber_status st = subjects_open(&s, r, input, err);
    if (st)
        return st;
    if (r->labels)
        st = limber_heads_add_labels(r->heads, &s.image.view, s.labels, s.boxes, s.count, err);
    else if (r->finders.detector)
        st = heads_add_people(r->heads, &s.image.view, &s.people, err);
    else
        st = limber_heads_add(r->heads, &s.image.view, s.boxes, s.joints, s.count, err);
    r->people += st ? 0 : (size_t)(s.boxes ? s.count : 1);
    subjects_free(&s);
    return st;
}

/* ---- photographs for the page ---- */

/* The person once more, as limber_heads_add saw it. */
static limber_status take_picture(struct run *r, struct heads_picture *out, const struct heads_rank *it, bool lot,
                                  limber_error *err)
{
    const limber_heads_head *h = &r->result.heads[it->head];
    const limber_heads_class *k = &h->classes[it->class];
    const limber_heads_example *e = lot ? &k->lot : &k->best;
    struct subject_list s = {0};
    limber_people people = {0};
    size_t input = r->counted[e->image];
    limber_status st = subjects_open(&s, r, input, err);
    const limber_keypoint *joints = s.joints ? s.joints + (size_t)e->person * COCO_KEYPOINTS : NULL;
    limber_box box = {0, 0, (float)s.image.view.width, (float)s.image.view.height};
    if (!st && !r->labels && !joints && !(st = limber_run(r->session, &s.image.view, s.boxes, s.count, &people, err))) {
        joints = people.person[e->person].keypoints;
        box = people.person[e->person].box;
    } else if (!st && s.boxes)
        box = s.boxes[e->person];
    const struct config *c = &r->model->config;
    *out = (struct heads_picture){.head = it->head,
                                  .class = it->class,
                                  .lot = lot,
                                  .name = r->inputs.v[input].path,
                                  .image_h = c->image_h,
                                  .image_w = c->image_w,
                                  .patch_h = c->patch_h,
                                  .patch_w = c->patch_w};
    if (!st)
        st = heads_view_make(&out->view, r->heads, h->layer, h->head, it->class, &s.image.view, s.labels, box, joints, err);
    limber_people_free(&people);
    subjects_free(&s);
    return st;
}

/* The featured heads, two people each where there are two. */
static int take_pictures(struct run *r, struct heads_picture *out)
{
    struct heads_rank featured[HEADS_FEATURED];
    int n = heads_report_feature(featured, &r->result), count = 0;
    for (int i = 0; i < n; i++) {
        const limber_heads_class *c = &r->result.heads[featured[i].head].classes[featured[i].class];
        bool two = c->lot.image != c->best.image || c->lot.person != c->best.person;
        for (int lot = 0; lot <= two; lot++) {
            limber_error err = {0};
            if (take_picture(r, &out[count], &featured[i], lot, &err))
                cli_warn("%s: not shown on the page: %s", r->inputs.v[r->counted[(lot ? c->lot : c->best).image]].path, err.text);
            else
                count++;
        }
    }
    return count;
}

/* ---- the three files ---- */

struct shown {
    const limber_heads_result *result;
    const struct heads_about *about;
    const struct heads_picture *pictures;
    int picture_count;
};

static void print_csv(FILE *f, const void *context)
{
    heads_report_csv(f, ((const struct shown *)context)->result);
}

static void print_page(FILE *f, const void *context)
{
    const struct shown *s = context;
    heads_report_page(f, s->result, s->about, s->pictures, s->picture_count);
}

static int write_results(struct run *r, bool complete)
{
    limber_error err;
    if (limber_heads_summarise(r->heads, &r->result, &err))
        return cli_fail("%s", err.text);
    const char *dir = cli_model_dir(&r->common), *labels_of = r->annotations ? r->annotations : r->labels ? r->labels : NULL;
    const char *base = labels_of ? strrchr(labels_of, '/') : NULL;
    char labels[512] = "the model's own joints";
    if (labels_of)
        snprintf(labels, sizeof labels, "%s %.400s", r->annotations ? "annotations in" : "label maps in",
                 base && base[1] ? base + 1 : labels_of);
    struct heads_about about = {.model = dir ? dir : "built in",
                                .architecture = r->model->config.model_name,
                                .backend = limber_model_backend(r->model),
                                .precision = limber_model_precision(r->model),
                                .labels = labels,
                                .failed = (int64_t)r->failed,
                                .complete = complete};
    if (run_model_content(&about.content, dir, TASK_POSE))
        return CLI_NOTHING;
    struct heads_picture pictures[2 * HEADS_FEATURED];
    int picture_count = take_pictures(r, pictures);

    struct json_text json = {0};
    heads_report_json(&json, &r->result, &about);
    about.json = json.failed ? 0 : fingerprint(FINGERPRINT_BEGIN, json.text, json.length);
    const struct shown shown = {&r->result, &about, pictures, picture_count};
    const struct report_files files = {&json, print_csv, print_page, &shown};
    int status = report_files_write(r->out, "heads", &files);
    for (int i = 0; i < picture_count; i++)
        heads_view_free(&pictures[i].view);
    put_free(&json);
    return status;
}

static void say_summary(const struct run *r, double seconds)
{
    int n[4] = {0};
    for (int i = 0; i < r->result.head_count; i++)
        n[r->result.heads[i].kind]++;
    fprintf(stderr, "limber: %zu images, %zu failed, %lld people used, in %.1f s\n", r->images + r->failed, r->failed,
            (long long)r->result.people_used, seconds);
    fprintf(stderr, "limber: of %d heads %d are limb specialists, %d local, %d diffuse, %d mixed: %s/heads.html\n",
            r->result.head_count, n[LIMBER_HEADS_SPECIALIST], n[LIMBER_HEADS_LOCAL], n[LIMBER_HEADS_DIFFUSE],
            n[LIMBER_HEADS_MIXED], r->out);
}

static int run(struct run *r)
{
    double begin = system_now();
    const bool looks = !r->boxes_file && !r->annotations && !r->labels && !r->find.whole;
    int status = looks ? finders_open(&r->finders, &r->common, &r->find, 1, r->session->threads) : CLI_DONE;
    if (!status)
        status = output_folder(r->out);
    if (status)
        return status;
    progress_start(&r->progress, r->inputs.count, !r->common.quiet);
    for (size_t i = 0; i < r->inputs.count && !cli_stopped; i++) {
        limber_error err = {0};
        limber_status st = add_image(r, i, &err);
        if (st) {
            progress_clear(&r->progress);
            if (st == LIMBER_E_BACKEND || st == LIMBER_E_UNSUPPORTED) /* not the image's fault: the next would fail alike */
                return cli_fail("%s: %s", r->inputs.v[i].path, err.text);
            cli_warn("%s: %s", r->inputs.v[i].path, err.text);
            r->failed++;
        } else {
            r->counted[r->images++] = i;
        }
        progress_step(&r->progress, r->images + r->failed, r->people);
    }
    progress_clear(&r->progress);
    bool interrupted = r->images + r->failed < r->inputs.count;
    if ((status = write_results(r, !interrupted)))
        return status;
    if (!r->common.quiet)
        say_summary(r, system_now() - begin);
    return interrupted ? CLI_INTERRUPTED : r->failed ? CLI_SOME_FAILED : CLI_DONE;
}

/* ---- before ---- */

/* "sky,road" -> names and how many; the text is cut up. */
static int read_names(const struct cli_command *command, char *text, const char **names, int *count)
{
    char *rest;
    for (char *name = strtok_r(text, ",", &rest); name; name = strtok_r(NULL, ",", &rest)) {
        if (*count == LIMBER_HEADS_MAX_CLASSES)
            return cli_usage(command, "--label-names gives more than %d names", LIMBER_HEADS_MAX_CLASSES);
        names[(*count)++] = name;
    }
    return *count ? CLI_DONE : cli_usage(command, "--label-names is empty");
}

static int load_boxes(struct run *r)
{
    limber_error err;
    const char *file = r->annotations ? r->annotations : r->boxes_file;
    limber_status st = boxes_open_for(&r->boxes, file, r->category, &r->inputs, &err);
    if (!st)
        st = boxes_keep_surest(&r->boxes, r->find.min_box_score, r->find.max_people, &err);
    return st ? cli_fail("%s", err.text) : CLI_DONE;
}

static int open_all(struct run *r, const struct cli_command *command)
{
    limber_heads_options o = limber_heads_options_default();
    int layers[CLI_MAX_LAYERS], layer_count = 0, status;
    const char *names[LIMBER_HEADS_MAX_CLASSES];
    char *text = r->label_names ? strdup(r->label_names) : NULL;
    limber_error err;
    o.bootstrap = r->bootstrap;
    o.moves = r->moves;
    o.boundaries = r->boundaries;
    o.seed = (uint64_t)r->seed;
    o.include_self = r->include_self;
    o.min_score = (float)r->joint_score;
    if (r->layers && (status = cli_read_layers(command, r->layers, layers, &layer_count)))
        return status;
    o.layers = r->layers ? layers : NULL;
    o.layer_count = layer_count;
    if (text && (status = read_names(command, text, names, &o.label_classes))) {
        free(text);
        return status;
    }
    o.label_names = text ? names : NULL;
    if (r->labels && !text)
        o.label_classes = LIMBER_HEADS_MAX_CLASSES;
    status = cli_model_open(&r->common, &r->model);
    if (!status)
        status = cli_session_open(&r->common, r->model, &r->session);
    if (!status && limber_heads_open(&r->heads, r->session, &o, &err))
        status = cli_fail("%s", err.text);
    free(text);
    if (!status && !(r->counted = malloc(r->inputs.count * sizeof *r->counted)))
        status = cli_fail("no memory");
    return status;
}

int cli_heads(int argc, char **argv)
{
    limber_heads_options defaults = limber_heads_options_default();
    struct run r = {.common = cli_common_default(),
                    .bootstrap = defaults.bootstrap,
                    .moves = defaults.moves,
                    .boundaries = defaults.boundaries,
                    .seed = (int)defaults.seed,
                    .joint_score = (double)defaults.min_score};
    const struct cli_option options[] = {
        CLI_OPTION("--out", "DIR", &r.out, "write DIR/heads.html, heads.json, heads.csv (required)"),
        CLI_OPTION("--boxes", "FILE", &r.boxes_file, "boxes of people, as `limber run` takes them"),
        CLI_OPTION("--category", "NAME|ID", &r.category, "of --boxes or --annotations: who is a person [person]"),
        CLI_FIND_OPTIONS(r.find),
        CLI_OPTION("--annotations", "FILE", &r.annotations,
                   "COCO keypoints: boxes, and where the limbs are [the model's own joints]"),
        CLI_OPTION("--labels", "DIR", &r.labels,
                   "regions instead of limbs: DIR/PATH.png, grey value k = class k, 0 and 255 none"),
        CLI_OPTION("--label-names", "A,B,...", &r.label_names, "names of classes 1, 2, ... of --labels [their numbers]"),
        CLI_OPTION("--layers", "LIST", &r.layers, "only these layers, from 0: 0,3-5 [all]"),
        CLI_INT("--bootstrap", "N", &r.bootstrap, 0, 100000, "replicates for the intervals [1000]"),
        CLI_INT("--boundaries", "0|1", &r.boundaries, 0, 1,
                "who reads the person's outline, or joints, from anywhere; a pass more [1]"),
        CLI_INT("--moves", "N", &r.moves, 0, LIMBER_HEADS_MAX_MOVES, "moved masks a limb, for the null; 0: no tests [2]"),
        CLI_INT("--seed", "S", &r.seed, 0, INT_MAX, "of the bootstrap and the null [1]"),
        CLI_NUMBER("--joint-score", "S", &r.joint_score, 0, 1, "the model's joints below S are left out [0.3]"),
        CLI_FLAG("--include-self", &r.include_self, "count the asking patch as a key too"),
        CLI_INT("--refine", "N", &r.common.options.refine, 0, 16, "with --whole: crop again around the joints, N times [1]"),
        CLI_COMMON_OPTIONS(r.common),
        CLI_END,
    };
    const struct cli_command command = {
        "heads", "INPUT... --out DIR [options]",
        "Which attention heads have become limb specialists: for every head, how much the attention of a\n"
        "patch on a limb looks like that limb, against nearness and against chance. INPUT is a file, or a\n"
        "folder and all below it. Without boxes the people are found, as in `limber run`.\n"
        "Exit status: 0 done, 1 some images failed, 2 nothing could start or be written, 130 stopped by a signal.",
        options};
    int count, status = cli_parse(&command, argc, argv, &count);
    if (status != CLI_GO)
        return status;
    if (count == 0)
        return cli_usage(&command, "no input: name files or folders of pictures");
    if (!r.out)
        return cli_usage(&command, "no --out: name a folder for the report");
    if (r.annotations && (r.boxes_file || r.labels))
        return cli_usage(&command, "--annotations brings its own boxes and limbs: leave out %s",
                         r.boxes_file ? "--boxes" : "--labels");
    if (r.label_names && !r.labels)
        return cli_usage(&command, "--label-names needs --labels DIR");
    cli_catch_signals();
    status = inputs_list(&r.inputs, argv + 1, count, NULL);
    if (!status && (r.annotations || r.boxes_file))
        status = load_boxes(&r);
    if (!status)
        status = open_all(&r, &command);
    if (!status)
        status = run(&r);
    limber_heads_result_free(&r.result);
    limber_heads_close(&r.heads);
    limber_session_close(&r.session);
    limber_model_close(&r.model);
    finders_close(&r.finders);
    boxes_close(&r.boxes);
    inputs_free(&r.inputs);
    free(r.counted);
    return status;
}
