/* SPDX-License-Identifier: MIT */
/* command/report/patch_command.c - `limber patch`: annotated photographs in, what every attention head causes out.
 *
 *     command/inputs.c       which images            command/boxes.c         who is where, and their joints
 *     heads/experiment.c     corrupt, patch, measure  report/patch_report.c   patch.json, patch.csv
 *     report/patch_page.c    patch.html              command/output.c        files that are whole or not there
 *
 * Images are taken one by one, in order; with --people in an order drawn by lot, so that the first that come are a sample of all. At the
 * end the few people that the page shows are looked at a second time. */
#define _GNU_SOURCE
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fingerprint.h"
#include "base/system.h"
#include "command/boxes.h"
#include "command/eval/coco_eval.h"
#include "command/inputs.h"
#include "command/commands.h"
#include "command/options.h"
#include "command/output.h"
#include "command/progress.h"
#include "command/report/files.h"
#include "command/report/patch_kept.h"
#include "command/report/patch_report.h"
#include "command/run/model_content.h"
#include "image/image.h"

struct run {
    struct cli_common common;
    const char *out, *annotations, *category, *corrupt, *by, *layers, *heads_file, *metric, *sets_file, *path_text;
    int bootstrap, seed, people, calibrate, control, permutations;
    bool resume;

    unsigned kinds; /* bits of enum effect_by */
    struct inputs inputs;
    size_t *order; /* [inputs]: in which they are taken */
    struct boxes boxes;
    limber_model *model;
    limber_session *session;
    struct experiment *experiment;
    struct effects_result result;
    struct patch_reading reading;
    uint8_t *chosen; /* [layers * heads]; NULL: all */
    uint8_t *path;   /* [layers * heads]; NULL: no path */
    struct patch_sets sets;
    struct patch_kept kept;
    struct focus_head *focus; /* [layers * heads]; NULL: not known */
    uint64_t content;         /* of the model */
    size_t images, failed, persons, calibrated, resumed;
    struct progress progress;
};

/* ---- one image and its people ---- */

struct scene {
    struct image image;
    struct experiment_person *people;
    int count;
};

static void scene_close(struct scene *s)
{
    image_close(&s->image);
    free(s->people);
    *s = (struct scene){0};
}

static limber_status read_people(struct scene *s, const struct boxes_list *list, limber_error *err)
{
    if (!(s->people = calloc((size_t)list->count + 1, sizeof *s->people)))
        return limber_fail(err, LIMBER_E_MEMORY, "no memory for %d people", list->count);
    for (int i = 0; i < list->count; i++) {
        const struct annotation *a = &list->person[i];
        struct experiment_person *p = &s->people[i];
        if (a->keypoint_count != 0 && a->keypoint_count != COCO_KEYPOINTS)
            return limber_fail(err, LIMBER_E_FORMAT, "annotation %lld has %d keypoints, expected COCO's 17", a->id,
                               a->keypoint_count);
        p->box = list->box[i];
        p->area = a->area;
        for (int k = 0; k < a->keypoint_count; k++)
            memcpy(p->joints[k], a->keypoints + 3 * k, sizeof p->joints[k]);
    }
    s->count = list->count;
    return LIMBER_OK;
}

static limber_status scene_open(struct scene *s, const struct run *r, size_t input, limber_error *err)
{
    const struct boxes_list *list = NULL;
    *s = (struct scene){0};
    limber_status st = boxes_of(&r->boxes, input, &list, err);
    if (!st)
        st = input_image(&r->inputs.v[input], &s->image, err);
    if (!st && list)
        st = read_people(s, list, err);
    if (st)
        scene_close(s);
    return st;
}

/* Not the image's fault: the next would fail alike. */
static bool is_fatal(limber_status st)
{
    return st == LIMBER_E_BACKEND || st == LIMBER_E_UNSUPPORTED || st == LIMBER_E_MEMORY || st == LIMBER_E_MODEL;
}

/* ---- the run ---- */

/* People for the means: the first of the order, all of an image. */
static int calibrate(struct run *r)
{
    for (size_t i = 0; i < r->inputs.count && r->calibrated < (size_t)r->calibrate && !cli_stopped; i++) {
        limber_error err = {0};
        struct scene s;
        limber_status st = scene_open(&s, r, r->order[i], &err);
        if (!st) {
            st = experiment_calibrate(r->experiment, &s.image.view, s.people, s.count, &err);
            r->calibrated += st ? 0 : (size_t)s.count;
            scene_close(&s);
        }
        if (st && is_fatal(st))
            return cli_fail("%s: %s", r->inputs.v[r->order[i]].path, err.text);
    }
    if (!r->calibrated && !cli_stopped)
        return cli_fail("%s: nobody to take the mean of", r->annotations);
    return CLI_DONE;
}

/* What decides what an image says: two runs that differ in none of it keep the same numbers of it. */
static int open_kept(struct run *r)
{
    struct json_text t = {0};
    uint64_t annotations = 0, inputs = FINGERPRINT_BEGIN;
    limber_error err;
    char text[24];
    if (fingerprint_file(&annotations, r->annotations, &err))
        return cli_fail("%s: %s", r->annotations, err.text);
    for (size_t i = 0; i < r->inputs.count; i++)
        inputs = fingerprint(inputs, r->inputs.v[i].path, strlen(r->inputs.v[i].path) + 1);
    const struct {
        const char *key;
        uint64_t value;
    } contents[] = {{"model", r->content}, {"annotations", annotations}, {"inputs", inputs}};
    put_open(&t, '{');
    put_key(&t, "limber"), put_string(&t, limber_version());
    for (size_t i = 0; i < sizeof contents / sizeof *contents; i++) {
        snprintf(text, sizeof text, "%016llx", (unsigned long long)contents[i].value);
        put_key(&t, contents[i].key), put_string(&t, text);
    }
    put_key(&t, "backend"), put_string(&t, limber_model_backend(r->model));
    put_key(&t, "precision"), put_string(&t, limber_model_precision(r->model));
    put_key(&t, "input"), put_string(&t, r->common.input);
    put_key(&t, "prune"), put_string(&t, r->common.options.prune);
    put_key(&t, "expert"), put_integer(&t, r->common.options.expert);
    put_key(&t, "category"), put_string(&t, r->category);
    put_key(&t, "corrupt"), put_string(&t, r->corrupt);
    put_key(&t, "by"), put_string(&t, r->by);
    put_key(&t, "control"), put_integer(&t, r->control);
    put_key(&t, "layers"), put_string(&t, r->layers);
    put_key(&t, "path"), put_string(&t, r->path_text);
    if (r->sets_file) {
        snprintf(text, sizeof text, "%016llx", (unsigned long long)r->sets.content);
        put_key(&t, "sets"), put_string(&t, text);
    }
    put_key(&t, "people"), put_integer(&t, r->people);
    put_key(&t, "calibrate"), put_integer(&t, r->calibrate);
    put_key(&t, "seed"), put_integer(&t, r->seed);
    put_close(&t, '}');
    const int status = patch_kept_open(&r->kept, r->out, r->resume, r->inputs.count, &t);
    put_free(&t);
    return status;
}

static limber_status look_at(struct run *r, size_t input, struct scene *s, int *status, limber_error *err)
{
    size_t size;
    if (r->kept.image[input]) {
        r->resumed++;
        return experiment_replay(r->experiment, &s->image.view, s->people, s->count, input, r->kept.image[input],
                                 r->kept.size[input], err);
    }
    limber_status st = experiment_add(r->experiment, &s->image.view, s->people, s->count, input, err);
    if (!st) {
        const double *record = experiment_record(r->experiment, &size);
        *status = patch_kept_add(&r->kept, input, record, size);
    }
    return st;
}

static int look_at_all(struct run *r)
{
    int status = CLI_DONE;
    progress_start(&r->progress, r->inputs.count, !r->common.quiet);
    for (size_t i = 0; !status && i < r->inputs.count && !cli_stopped && !experiment_full(r->experiment); i++) {
        const size_t input = r->order[i];
        limber_error err = {0};
        struct scene s;
        limber_status st = scene_open(&s, r, input, &err);
        if (!st) {
            st = look_at(r, input, &s, &status, &err);
            r->persons += st ? 0 : (size_t)s.count;
            scene_close(&s);
        }
        if (st) {
            progress_clear(&r->progress);
            if (is_fatal(st))
                return cli_fail("%s: %s", r->inputs.v[input].path, err.text);
            cli_warn("%s: %s", r->inputs.v[input].path, err.text);
            r->failed++;
        } else
            r->images++;
        progress_step(&r->progress, r->images + r->failed, r->persons);
    }
    progress_clear(&r->progress);
    return status;
}

/* ---- pictures for the page ---- */

/* The limb's head that gives the blurred run the most of its measure back. */
static int strongest(const struct run *r, int limb, double *share)
{
    int best = -1;
    for (int h = 0; h < r->result.head_count; h++) {
        const struct effect *f = effects_at(&r->result, BY_DENOISE, h, limb, EFFECT_HEAT);
        if (f->shared && (best < 0 || f->share.mean > *share)) {
            best = h;
            *share = f->share.mean;
        }
    }
    return best;
}

static int take_pictures(struct run *r, struct patch_picture *out)
{
    bool shown[LIMBS] = {false};
    int count = 0;
    while ((r->kinds >> BY_DENOISE & 1) && count < PATCH_PICTURES) {
        int limb = -1, head = -1;
        double most = 0;
        for (int c = 0; c < LIMBS; c++) {
            double share = 0;
            const int h = shown[c] || experiment_lot(r->experiment, c).image < 0 ? -1 : strongest(r, c, &share);
            if (h >= 0 && (limb < 0 || share > most)) {
                limb = c;
                head = h;
                most = share;
            }
        }
        if (limb < 0)
            break;
        shown[limb] = true;
        const struct experiment_lot lot = experiment_lot(r->experiment, limb);
        const struct config *c = &r->model->config;
        limber_error err = {0};
        struct scene s;
        limber_status st = scene_open(&s, r, (size_t)lot.image, &err);
        out[count] = (struct patch_picture){.limb = limb,
                                            .head = head,
                                            .name = r->inputs.v[lot.image].path,
                                            .image_h = c->image_h,
                                            .image_w = c->image_w,
                                            .map_h = c->map_h,
                                            .map_w = c->map_w};
        if (!st)
            st = experiment_view_make(&out[count].view, r->experiment, &s.image.view, &s.people[lot.person], limb, head, &err);
        scene_close(&s);
        if (st)
            cli_warn("%s: not shown on the page: %s", r->inputs.v[lot.image].path, err.text);
        else
            count++;
    }
    return count;
}

/* ---- the three files ---- */

struct shown {
    const struct run *run;
    const struct patch_about *about;
    enum effect_metric metric;
    const struct patch_picture *pictures;
    int picture_count;
};

static void print_csv(FILE *f, const void *context)
{
    const struct shown *s = context;
    patch_report_csv(f, &s->run->result, s->about);
}

static void print_page(FILE *f, const void *context)
{
    const struct shown *s = context;
    patch_report_page(f, &s->run->result, &s->run->reading, s->about, s->metric, s->pictures, s->picture_count);
}

static int write_all(struct run *r, const struct patch_about *about)
{
    struct patch_picture pictures[PATCH_PICTURES];
    const int picture_count = take_pictures(r, pictures);
    enum effect_metric metric = EFFECT_HEAT;
    for (int m = 0; m < EFFECT_METRICS; m++)
        metric = strcmp(effect_metric_names[m], r->metric) ? metric : (enum effect_metric)m;
    struct json_text json = {0};
    patch_report_json(&json, &r->result, &r->reading, about);
    const struct shown shown = {r, about, metric, pictures, picture_count};
    const struct report_files files = {&json, print_csv, print_page, &shown};
    int status = report_files_write(r->out, "patch", &files);
    for (int i = 0; i < picture_count; i++)
        experiment_view_free(&pictures[i].view);
    put_free(&json);
    return status;
}

static int write_results(struct run *r, bool complete)
{
    limber_error err = {0};
    const char *dir = cli_model_dir(&r->common), *base = strrchr(r->annotations, '/');
    const char *read = r->heads_file ? strrchr(r->heads_file, '/') : NULL;
    const struct patch_about about = {.model = dir ? dir : "built in",
                                      .architecture = r->model->config.model_name,
                                      .backend = limber_model_backend(r->model),
                                      .precision = limber_model_precision(r->model),
                                      .annotations = base && base[1] ? base + 1 : r->annotations,
                                      .reading = read ? read + 1 : r->heads_file,
                                      .seed = (uint64_t)r->seed,
                                      .bootstrap = r->bootstrap,
                                      .people = r->people,
                                      .calibrated = (int)r->calibrated,
                                      .permutations = r->permutations,
                                      .images = (int64_t)r->images,
                                      .failed = (int64_t)r->failed,
                                      .persons = (int64_t)r->persons,
                                      .complete = complete,
                                      .content = r->content,
                                      .focus = experiment_focus(r->experiment)->count ? r->focus : NULL,
                                      .focus_people = experiment_focus(r->experiment)->count,
                                      .chosen = r->chosen,
                                      .sets = &r->sets,
                                      .path = r->path,
                                      .path_text = r->path_text};
    if (experiment_summarise(r->experiment, &r->result, &err))
        return cli_fail("%s", err.text);
    if (about.focus && !focus_summarise(experiment_focus(r->experiment), r->focus))
        return cli_fail("no memory");
    if (r->reading.there && patch_reading_compare(&r->reading, &r->result, &about, &err))
        return cli_fail("%s", err.text);
    return write_all(r, &about);
}

static int run(struct run *r)
{
    const double begin = system_now();
    int status = output_folder(r->out);
    if (!status)
        status = open_kept(r);
    if (!status && (r->kinds >> BY_MEAN & 1 || r->kinds >> BY_CONST & 1))
        status = calibrate(r);
    if (!status)
        status = look_at_all(r);
    const bool interrupted = cli_stopped;
    if (!status)
        status = write_results(r, !interrupted);
    if (status)
        return status;
    if (!r->common.quiet)
        fprintf(
            stderr,
            "limber: %zu images (%zu kept of an earlier run), %zu failed, %lld that say something, in %.1f s: %s/patch.html\n",
            r->images + r->failed, r->resumed, r->failed, (long long)r->result.images, system_now() - begin, r->out);
    return interrupted ? CLI_INTERRUPTED : r->failed ? CLI_SOME_FAILED : CLI_DONE;
}

/* ---- before ---- */

/* A list of words, each one of `words`; its bit. */
static int read_words(const struct cli_command *command, const char *option, const char *text, const char *const *words,
                      int count, unsigned *bits)
{
    *bits = 0;
    for (const char *p = text;; p++) {
        const size_t n = strcspn(p, ",");
        int found = -1;
        for (int i = 0; i < count; i++)
            if (strlen(words[i]) == n && !strncmp(words[i], p, n))
                found = i;
        if (found < 0)
            return cli_usage(command, "%s: \"%.*s\" is none of its words; see --help", option, (int)n, p);
        *bits |= 1u << found;
        p += n;
        if (!*p)
            return CLI_DONE;
    }
}

static int read_kinds(struct run *r, const struct cli_command *command)
{
    static const char *const corruptions[] = {"blur", "swap", "none"}, *const bys[] = {"denoise", "noise", "zero", "mean",
                                                                                       "const"};
    static const enum effect_by ablation[] = {BY_ZERO, BY_MEAN, BY_CONST};
    unsigned corrupt, by;
    int status = read_words(command, "--corrupt", r->corrupt, corruptions, 3, &corrupt);
    if (!status)
        status = read_words(command, "--by", r->by, bys, 5, &by);
    if (status)
        return status;
    if (corrupt & 4 && corrupt != 4)
        return cli_usage(command, "--corrupt is \"%s\": none goes with nothing else", r->corrupt);
    if (corrupt & 1)
        r->kinds |= (by & 1 ? 1u << BY_DENOISE : 0) | (by & 2 ? 1u << BY_NOISE : 0) | (by & 2 && r->control ? 1u << BY_MOVED : 0);
    if (corrupt & 2 && by & 3)
        r->kinds |= 1u << BY_SWAP;
    for (int i = 0; i < 3; i++)
        r->kinds |= by >> (2 + i) & 1 ? 1u << ablation[i] : 0;
    return r->kinds ? CLI_DONE : cli_usage(command, "--corrupt %s and --by %s leave nothing to do", r->corrupt, r->by);
}

static int choose_layers(struct run *r, const struct cli_command *command)
{
    const struct config *c = &r->model->config;
    int layers[CLI_MAX_LAYERS], count, status;
    if (!r->layers)
        return CLI_DONE;
    if ((status = cli_read_layers(command, r->layers, layers, &count)))
        return status;
    if (!(r->chosen = calloc((size_t)c->layers, (size_t)c->heads)))
        return cli_fail("no memory");
    for (int i = 0; i < count; i++) {
        if (layers[i] >= c->layers)
            return cli_fail("--layers names layer %d, the model has 0..%d", layers[i], c->layers - 1);
        memset(r->chosen + (size_t)layers[i] * (size_t)c->heads, 1, (size_t)c->heads);
    }
    return CLI_DONE;
}

/* A head that a path may lead into lies behind the first that it starts from. */
static int choose_path(struct run *r)
{
    const struct config *c = &r->model->config;
    const int heads = c->layers * c->heads;
    bool *from = NULL;
    int first = 0;
    limber_error err;
    if (!r->path_text)
        return CLI_DONE;
    if (prune_parse(r->path_text, c, &from, &err))
        return cli_fail("--path is \"%.80s\": expected LAYER.HEAD,... with layers 0 to %d and heads 0 to %d", r->path_text,
                        c->layers - 1, c->heads - 1);
    while (!from[first])
        first++;
    first = first / c->heads + 1;
    const bool all = !r->chosen;
    if (all)
        r->chosen = malloc((size_t)heads);
    r->path = malloc((size_t)heads);
    bool any = false;
    for (int h = 0; r->chosen && r->path && h < heads; h++) {
        r->chosen[h] = (all || r->chosen[h]) && h / c->heads >= first;
        r->path[h] = from[h];
        any = any || r->chosen[h];
    }
    free(from);
    if (!r->chosen || !r->path)
        return cli_fail("no memory");
    return any ? CLI_DONE : cli_fail("--path %s: no head that is patched lies behind layer %d", r->path_text, first - 1);
}

static int load_boxes(struct run *r)
{
    limber_error err;
    return boxes_open_for(&r->boxes, r->annotations, r->category, &r->inputs, &err) ? cli_fail("%s", err.text) : CLI_DONE;
}

static int order_inputs(struct run *r)
{
    if (!(r->order = malloc(r->inputs.count * sizeof *r->order)))
        return cli_fail("no memory");
    for (size_t i = 0; i < r->inputs.count; i++)
        r->order[i] = i;
    for (size_t i = r->inputs.count; r->people && i > 1; i--) { /* Fisher and Yates */
        const size_t k = (size_t)(heads_hash((uint64_t)r->seed, 0x0d3, i, 0) % i), was = r->order[i - 1];
        r->order[i - 1] = r->order[k];
        r->order[k] = was;
    }
    return CLI_DONE;
}

/* --heads, or what `limber heads` left in the folder of the report. */
static int open_reading(struct run *r)
{
    const struct config *c = &r->model->config;
    limber_error err;
    char *beside = r->heads_file ? NULL : output_path(r->out, "heads.json");
    const bool found = beside && !access(beside, F_OK);
    int status = r->heads_file || beside ? CLI_DONE : cli_fail("no memory");
    if (r->heads_file && patch_reading_open(&r->reading, r->heads_file, c->layers, c->heads, r->content, &err))
        status = cli_fail("%s", err.text);
    if (found && patch_reading_open(&r->reading, beside, c->layers, c->heads, r->content, &err))
        cli_warn("what heads read is not shown: %s", err.text);
    r->heads_file = found && r->reading.there ? "heads.json" : r->heads_file;
    free(beside);
    return status;
}

static int open_all(struct run *r, const struct cli_command *command)
{
    limber_error err;
    int status = cli_model_open(&r->common, &r->model);
    if (!status)
        status = choose_layers(r, command);
    if (!status)
        status = choose_path(r);
    if (!status && r->sets_file && patch_sets_open(&r->sets, r->sets_file, &r->model->config, &err))
        status = cli_fail("%s", err.text);
    if (!status)
        status = run_model_content(&r->content, cli_model_dir(&r->common), TASK_POSE);
    if (!status)
        status = open_reading(r);
    if (!status && !(r->focus = calloc((size_t)r->model->config.layers * (size_t)r->model->config.heads, sizeof *r->focus)))
        status = cli_fail("no memory");
    if (!status)
        status = cli_session_open(&r->common, r->model, &r->session);
    const struct experiment_options o = {.by = r->kinds,
                                         .bootstrap = r->bootstrap,
                                         .seed = (uint64_t)r->seed,
                                         .people = r->people,
                                         .heads = r->chosen,
                                         .sets = r->sets.heads,
                                         .set_count = r->sets.count,
                                         .path = r->path,
                                         .sigmas = skeleton_coco.sigmas};
    if (!status && experiment_open(&r->experiment, r->session, &o, &err))
        status = cli_fail("%s", err.text);
    return status;
}

int cli_patch(int argc, char **argv)
{
    struct run r = {.common = cli_common_default(),
                    .kept = {.file = OUTPUT_CLOSED},
                    .corrupt = "blur",
                    .by = "denoise,noise",
                    .metric = "heat",
                    .bootstrap = 1000,
                    .seed = 1,
                    .calibrate = 100,
                    .control = 1,
                    .permutations = 10000};
    r.common.options.precision = "fp32"; /* an effect is a difference of two nearly equal runs */
    const struct cli_option options[] = {
        CLI_OPTION("--annotations", "FILE", &r.annotations, "COCO keypoints: who is where, and where the joints are (required)"),
        CLI_OPTION("--category", "NAME|ID", &r.category, "who is a person [person]"),
        CLI_OPTION("--out", "DIR", &r.out, "write DIR/patch.html, patch.json, patch.csv (required)"),
        CLI_OPTION("--corrupt", "LIST", &r.corrupt, "blur (a limb), swap (another person), none [blur]"),
        CLI_OPTION("--by", "LIST", &r.by, "denoise, noise, zero, mean, const [denoise,noise]"),
        CLI_INT("--control", "0|1", &r.control, 0, 1, "blur elsewhere too, as noise's control [1]"),
        CLI_OPTION("--layers", "LIST", &r.layers, "only heads of these layers, from 0: 0,3-5 [all]"),
        CLI_OPTION("--sets", "FILE", &r.sets_file, "patch these heads together, too: a line a set, NAME: LAYER.HEAD,..."),
        CLI_OPTION("--path", "LAYER.HEAD,...", &r.path_text,
                   "through which later heads these act: each sees their direct change alone, all else held still"),
        CLI_OPTION("--heads", "DIR", &r.heads_file,
                   "report of `limber heads`: is what is read what is caused? One page for both [that in --out]"),
        CLI_CHOICE("--metric", "heat|logp|oks|px", &r.metric, "the measure the page draws; the files hold all [heat]"),
        CLI_INT("--people", "N", &r.people, 0, INT_MAX, "at most N people a limb, drawn by lot; 0: all [0]"),
        CLI_INT("--calibrate", "N", &r.calibrate, 1, INT_MAX, "people that mean and const are taken over, or a few more [100]"),
        CLI_INT("--bootstrap", "N", &r.bootstrap, 0, 100000, "replicates for the intervals [1000]"),
        CLI_INT("--permutations", "N", &r.permutations, 0, 1000000, "of heads within their layer, for --heads [10000]"),
        CLI_INT("--seed", "S", &r.seed, 0, INT_MAX, "of all that is drawn by lot [1]"),
        CLI_FLAG("--resume", &r.resume, "images that DIR/patch.kept has are not computed again"),
        CLI_COMMON_OPTIONS(r.common),
        CLI_END,
    };
    const struct cli_command command = {
        "patch", "INPUT... --annotations FILE --out DIR [options]",
        "What every attention head causes: a limb is blurred away, and each head's output in turn is taken from\n"
        "the clear picture (denoise: does the head bring the limb back?) or, in the clear picture, from the\n"
        "blurred one (noise: is it needed?). zero, mean and const replace it by a constant instead. INPUT is a\n"
        "file, or a folder and all below it. Computes in fp32 unless --precision says otherwise.\n"
        "Exit status: 0 done, 1 some images failed, 2 nothing could start or be written, 130 stopped by a signal.",
        options};
    int count, status = cli_parse(&command, argc, argv, &count);
    if (status != CLI_GO)
        return status;
    if (count == 0)
        return cli_usage(&command, "no input: name files or folders of pictures");
    if (!r.annotations)
        return cli_usage(&command, "no --annotations: what a head causes is measured at joints that are known");
    if (!r.out)
        return cli_usage(&command, "no --out: name a folder for the report");
    if ((status = read_kinds(&r, &command)))
        return status;
    cli_catch_signals();
    status = inputs_list(&r.inputs, argv + 1, count, NULL);
    if (!status)
        status = load_boxes(&r);
    if (!status)
        status = order_inputs(&r);
    if (!status)
        status = open_all(&r, &command);
    if (!status)
        status = run(&r);
    if (patch_kept_close(&r.kept) && !status)
        status = CLI_NOTHING;
    effects_result_free(&r.result);
    patch_reading_close(&r.reading);
    experiment_close(&r.experiment);
    limber_session_close(&r.session);
    limber_model_close(&r.model);
    boxes_close(&r.boxes);
    inputs_free(&r.inputs);
    free(r.order);
    free(r.chosen);
    free(r.path);
    patch_sets_close(&r.sets);
    free(r.focus);
    return status;
}
