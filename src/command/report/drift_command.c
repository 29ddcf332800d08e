/* SPDX-License-Identifier: MIT */
/* command/report/drift_command.c - `limber drift`: two models on the same people, and how far the attention of each head has moved.
 *
 *     command/inputs.c    which images    command/boxes.c    who is where    heads/drift.c    rows compared
 * drift.json and drift.csv have every head, drift.html draws them (report/drift_page.c); the table on stdout a line a layer, and the heads that moved most by their own weights. */
#define _GNU_SOURCE
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json_write.h"
#include "command/boxes.h"
#include "command/commands.h"
#include "command/inputs.h"
#include "command/options.h"
#include "command/output.h"
#include "command/report/drift_report.h"
#include "command/report/files.h"
#include "command/progress.h"
#include "heads/drift.h"
#include "image/image.h"
#include "model/labels.h"

#define MODELS 3
#define MOST 3 /* heads named on stdout */

struct run {
    struct cli_common common;
    const char *out, *annotations, *category, *control, *floor;
    const char *names[MODELS]; /* A, B, --control; with --floor A again */
    int bootstrap, seed;
    struct inputs inputs;
    struct boxes boxes;
    limber_model *models[MODELS];
    limber_session *sessions[MODELS];
    struct drift *drift;
    struct drift_result result;
    size_t images, failed, people;
};

static limber_status joints_of(limber_keypoint **joints, const struct boxes_list *list, limber_error *err)
{
    const size_t n = (size_t)list->count;
    if (!(*joints = calloc(n * COCO_KEYPOINTS + 1, sizeof **joints)))
        return limber_fail(err, LIMBER_E_MEMORY, "no memory for the joints of %d people", list->count);
    for (size_t i = 0; i < n; i++) {
        const struct annotation *a = &list->person[i];
        for (int k = 0; a->keypoint_count == COCO_KEYPOINTS && k < COCO_KEYPOINTS; k++) {
            const double *v = a->keypoints + 3 * k;
            (*joints)[i * COCO_KEYPOINTS + (size_t)k] = (limber_keypoint){(float)v[0], (float)v[1], v[2] > 0 ? 1 : 0};
        }
    }
    return LIMBER_OK;
}

static limber_status add_image(struct run *r, size_t input, limber_error *err)
{
    struct image image = {0};
    const struct boxes_list *list = NULL;
    limber_keypoint *joints = NULL;
    limber_status st =
        r->inputs.v[input].failure ? limber_fail(err, LIMBER_E_IO, "%s", error_text(r->inputs.v[input].failure)) : LIMBER_OK;
    if (!st && r->annotations)
        st = boxes_of(&r->boxes, input, &list, err);
    if (!st)
        st = image_open(&image, r->inputs.v[input].path, err);
    if (!st && list)
        st = joints_of(&joints, list, err);
    const limber_box whole = {0, 0, (float)image.view.width, (float)image.view.height};
    const int count = list ? list->count : r->annotations ? 0 : 1;
    if (!st)
        st = drift_add(r->drift, &image.view, list ? list->box : &whole, joints, count, input, err);
    r->people += st ? 0 : (size_t)count;
    image_close(&image);
    free(joints);
    return st;
}

/* ---- what is written ---- */

static void put_estimate(struct json_text *t, const char *key, const limber_heads_estimate *e)
{
    put_key(t, key), put_open(t, '[');
    put_number(t, e->images ? e->mean : NAN, 9);
    put_number(t, e->interval ? e->low : NAN, 9);
    put_number(t, e->interval ? e->high : NAN, 9);
    put_close(t, ']');
}

static void put_result(struct json_text *t, const struct run *r, bool complete)
{
    const struct drift_result *d = &r->result;
    t->pretty = true;
    put_open(t, '{');
    put_key(t, "limber"), put_string(t, limber_version());
    put_key(t, "complete"), put_bool(t, complete);
    put_key(t, "a"), put_string(t, r->names[0]);
    put_key(t, "b"), put_string(t, r->names[1]);
    put_key(t, "control"), put_string(t, r->names[2]);
    put_key(t, "control_precision"), put_string(t, r->models[2] ? limber_model_precision(r->models[2]) : NULL);
    put_key(t, "backend"), put_string(t, limber_model_backend(r->models[0]));
    put_key(t, "precision"), put_string(t, limber_model_precision(r->models[0]));
    put_key(t, "seed"), put_integer(t, r->seed);
    put_key(t, "bootstrap"), put_integer(t, r->bootstrap);
    put_key(t, "images"), put_integer(t, d->images);
    put_key(t, "people"), put_integer(t, d->people);
    put_key(t, "failed"), put_integer(t, (long long)r->failed);
    put_key(t, "tokens"), put_integer(t, d->tokens);
    put_key(t, "ln_tokens"), put_number(t, log(d->tokens), 6);
    put_key(t, "estimates"), put_open(t, '['), put_string(t, "mean"), put_string(t, "low"), put_string(t, "high"),
        put_close(t, ']');
    put_key(t, "heads"), put_open(t, '[');
    t->pretty = false;
    for (int h = 0; h < d->layers * d->heads; h++) {
        const struct drift_head *k = &d->head[h];
        put_open(t, '{');
        put_key(t, "layer"), put_integer(t, h / d->heads);
        put_key(t, "head"), put_integer(t, h % d->heads);
        for (int w = 0; w < DRIFT_NUMBERS; w++)
            put_estimate(t, drift_number_names[w], &k->number[w]);
        put_key(t, "total_by_limb"), put_open(t, '{');
        for (int c = 0; c < LIMBER_HEADS_LIMBS; c++)
            put_estimate(t, heads_limb_names[c], &k->limb_total[c]);
        put_close(t, '}');
        put_key(t, "own_by_limb"), put_open(t, '{');
        for (int c = 0; c < LIMBER_HEADS_LIMBS; c++)
            put_estimate(t, heads_limb_names[c], &k->limb_own[c]);
        put_close(t, '}');
        put_key(t, "p"), put_number(t, k->tested ? k->p : NAN, 9);
        put_key(t, "q"), put_number(t, k->tested ? k->q : NAN, 9);
        put_close(t, '}');
    }
    t->pretty = true;
    put_close(t, ']');
    put_close(t, '}');
    put_newline(t);
}

static void csv_number(FILE *f, bool known, double v)
{
    fputc(',', f);
    if (known && isfinite(v))
        fprintf(f, "%.6g", v);
}

struct shown {
    const struct drift_result *result;
    const struct drift_about *about;
};

static void write_page(FILE *f, const void *context)
{
    const struct shown *s = context;
    drift_report_page(f, s->result, s->about);
}

static void write_csv(FILE *f, const void *context)
{
    const struct drift_result *d = ((const struct shown *)context)->result;
    fputs("layer,head,images", f);
    for (int w = 0; w < DRIFT_NUMBERS; w++)
        fprintf(f, ",%s,%s_low,%s_high", drift_number_names[w], drift_number_names[w], drift_number_names[w]);
    for (int c = 0; c < LIMBER_HEADS_LIMBS; c++)
        fprintf(f, ",total_%s,own_%s", heads_limb_names[c], heads_limb_names[c]);
    fputs(",p,q\n", f);
    for (int h = 0; h < d->layers * d->heads; h++) {
        const struct drift_head *k = &d->head[h];
        fprintf(f, "%d,%d,%d", h / d->heads, h % d->heads, k->number[DRIFT_TOTAL].images);
        for (int w = 0; w < DRIFT_NUMBERS; w++) {
            csv_number(f, k->number[w].images > 0, k->number[w].mean);
            csv_number(f, k->number[w].interval, k->number[w].low);
            csv_number(f, k->number[w].interval, k->number[w].high);
        }
        for (int c = 0; c < LIMBER_HEADS_LIMBS; c++) {
            csv_number(f, k->limb_total[c].images > 0, k->limb_total[c].mean);
            csv_number(f, k->limb_own[c].images > 0, k->limb_own[c].mean);
        }
        csv_number(f, k->tested, k->p);
        csv_number(f, k->tested, k->q);
        fputc('\n', f);
    }
}

static void say_table(const struct run *r)
{
    const struct drift_result *d = &r->result;
    printf("%lld people on %lld images; nats, mean over queries, people, images; flat attention against one key is %.2f\n",
           (long long)d->people, (long long)d->images, log(d->tokens));
    printf("%-6s %10s %10s %10s %10s %10s   moved most by its own weights\n", "layer", "total", "own", "inherited", "j", "value");
    for (int l = 0; l < d->layers; l++) {
        const struct drift_head *of = d->head + (size_t)l * (size_t)d->heads;
        double mean[DRIFT_NUMBERS] = {0};
        bool named[1024] = {false};
        for (int w = 0; w < DRIFT_NUMBERS; w++)
            for (int h = 0; h < d->heads; h++)
                mean[w] += of[h].number[w].mean / d->heads;
        printf("%-6d %10.3g %10.3g %10.3g %10.3g %10.3g  ", l, mean[DRIFT_TOTAL], mean[DRIFT_OWN], mean[DRIFT_INHERITED],
               mean[DRIFT_J], mean[DRIFT_VALUE]);
        for (int i = 0; i < MOST && i < d->heads; i++) {
            int best = -1;
            for (int h = 0; h < d->heads && h < 1024; h++)
                if (!named[h] && (best < 0 || of[h].number[DRIFT_OWN].mean > of[best].number[DRIFT_OWN].mean))
                    best = h;
            named[best] = true;
            printf(" %d.%d %.3g", l, best, of[best].number[DRIFT_OWN].mean);
        }
        printf("\n");
    }
}

static int write_results(struct run *r, bool complete)
{
    limber_error err;
    if (drift_summarise(r->drift, &r->result, &err))
        return cli_fail("%s", err.text);
    struct json_text json = {0};
    put_result(&json, r, complete);
    char floor[64];
    snprintf(floor, sizeof floor, "the first model in %s", r->models[2] ? limber_model_precision(r->models[2]) : "");
    const struct drift_about about = {.a = r->names[0],
                                      .b = r->names[1],
                                      .control = r->floor ? floor : r->names[2],
                                      .backend = limber_model_backend(r->models[0]),
                                      .precision = limber_model_precision(r->models[0]),
                                      .complete = complete};
    const struct shown shown = {&r->result, &about};
    const struct report_files files = {.json = &json, .csv = write_csv, .page = write_page, .context = &shown};
    int status = report_files_write(r->out, "drift", &files);
    put_free(&json);
    if (!status)
        say_table(r);
    return status;
}

static int run(struct run *r)
{
    struct progress progress;
    int status = output_folder(r->out);
    if (status)
        return status;
    progress_start(&progress, r->inputs.count, !r->common.quiet);
    for (size_t i = 0; i < r->inputs.count && !cli_stopped; i++) {
        limber_error err = {0};
        limber_status st = add_image(r, i, &err);
        if (st) {
            progress_clear(&progress);
            if (st == LIMBER_E_BACKEND || st == LIMBER_E_UNSUPPORTED || st == LIMBER_E_MEMORY)
                return cli_fail("%s: %s", r->inputs.v[i].path, err.text);
            cli_warn("%s: %s", r->inputs.v[i].path, err.text);
            r->failed++;
        } else
            r->images++;
        progress_step(&progress, r->images + r->failed, r->people);
    }
    progress_clear(&progress);
    const bool interrupted = r->images + r->failed < r->inputs.count;
    status = write_results(r, !interrupted);
    return status ? status : interrupted ? CLI_INTERRUPTED : r->failed ? CLI_SOME_FAILED : CLI_DONE;
}

/* ---- before ---- */

static int load_boxes(struct run *r)
{
    limber_error err;
    return boxes_open_for(&r->boxes, r->annotations, r->category, &r->inputs, &err) ? cli_fail("%s", err.text) : CLI_DONE;
}

static int open_all(struct run *r)
{
    const struct drift_options o = {.bootstrap = r->bootstrap, .seed = (uint64_t)r->seed};
    int status = CLI_DONE;
    limber_error err;
    for (int i = 0; !status && i < MODELS; i++) {
        limber_options options;
        if (!r->names[i])
            continue;
        status = cli_model_options(&r->common, &options);
        options.batch = 1;
        if (i == 2 && r->floor)
            options.precision = r->floor;
        const char *dir = strcmp(r->names[i], "built-in") ? r->names[i] : NULL;
        if (!status && (limber_model_open(&r->models[i], dir, &options, &err) ||
                        limber_session_open(&r->sessions[i], r->models[i], &options, &err)))
            status = cli_fail("%s", err.text);
    }
    if (!status && drift_open(&r->drift, r->sessions[0], r->sessions[1], r->sessions[2], &o, &err))
        status = cli_fail("%s", err.text);
    return status;
}

int cli_drift(int argc, char **argv)
{
    struct run r = {.common = cli_common_default(), .bootstrap = 1000, .seed = 1};
    r.common.options.precision = "fp32"; /* what has not moved must be 0 */
    const struct cli_option options[] = {
        CLI_OPTION("--out", "DIR", &r.out, "write DIR/drift.html, drift.json, drift.csv (required)"),
        CLI_OPTION("--annotations", "FILE", &r.annotations,
                   "COCO keypoints: who is where, and by limb [the whole image is one person]"),
        CLI_OPTION("--category", "NAME|ID", &r.category, "who is a person [person]"),
        CLI_OPTION("--control", "C", &r.control,
                   "a model whose distance from A counts as none: A trained on as long on old data"),
        CLI_CHOICE("--floor", "bf16|fp16|int8|fp32", &r.floor,
                   "instead of --control: A itself in this precision, so that rounding counts as none"),
        CLI_INT("--bootstrap", "N", &r.bootstrap, 0, 100000, "replicates for the intervals [1000]"),
        CLI_INT("--seed", "S", &r.seed, 0, INT_MAX, "of the bootstrap [1]"),
        CLI_COMMON_OPTIONS(r.common),
        CLI_END,
    };
    const struct cli_command command = {
        "drift", "A B INPUT... --out DIR [options]",
        "How far the attention of each head has moved from model A to model B on the same people: the divergence of\n"
        "its rows, in nats; what its own layer's weights make of that, and what it inherits from earlier layers. A and B\n"
        "are checkpoint directories of one geometry, or `built-in`. Computes in fp32 unless --precision says otherwise.\n"
        "Exit status: 0 done, 1 some images failed, 2 nothing could start or be written, 130 stopped by a signal.",
        options};
    int count, status = cli_parse(&command, argc, argv, &count);
    if (status != CLI_GO)
        return status;
    if (count < 3)
        return cli_usage(&command, "expected two models and at least one picture or folder");
    if (!r.out)
        return cli_usage(&command, "no --out: name a folder for the report");
    if (r.common.model)
        return cli_usage(&command, "--model: the two models are the first arguments");
    r.names[0] = argv[1];
    r.names[1] = argv[2];
    if (r.control && r.floor)
        return cli_usage(&command, "--control and --floor exclude each other");
    r.names[2] = r.floor ? argv[1] : r.control;
    cli_catch_signals();
    status = inputs_list(&r.inputs, argv + 3, count - 2, NULL);
    if (!status && r.inputs.count == 0)
        status = cli_fail("no pictures in %s%s", argv[3], count > 3 ? ", ..." : "");
    if (!status && r.annotations)
        status = load_boxes(&r);
    if (!status)
        status = open_all(&r);
    if (!status)
        status = run(&r);
    drift_result_free(&r.result);
    drift_close(&r.drift);
    for (int i = 0; i < MODELS; i++) {
        limber_session_close(&r.sessions[i]);
        limber_model_close(&r.models[i]);
    }
    boxes_close(&r.boxes);
    inputs_free(&r.inputs);
    return status;
}
