/* SPDX-License-Identifier: MIT */
/* limber bench pipeline: images a second over a folder, and where their time goes.
 *
 * In turns, --rounds times: every image alone, one stage after the other, each timed (decode, find, crop, network, people); then all of
 * them as `limber run` works, workers decoding and cropping while the network computes people of several images side by side.
 * A pass before that is not timed. It brings the files into the page cache and says which inputs cannot be used; those are left
 * out, so that images a second are images that became people. No line is written: `limber run` spends microseconds on one. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command/boxes.h"
#include "command/finders.h"
#include "command/options.h"
#include "command/bench/bench.h"
#include "command/bench/util.h"
#include "command/inputs.h"
#include "command/stream.h"
#include "base/system.h"
#include "base/error.h"

enum stage { STAGE_DECODE, STAGE_FIND, STAGE_CROP, STAGE_NETWORK, STAGE_PEOPLE, STAGES };
static const char *const stage_names[STAGES] = {"decode", "find", "crop", "network", "people"};
enum way { ALONE, OVERLAPPED, WAYS };
static const char *const way_names[WAYS] = {"one by one", "overlapped"};

struct bench {
    struct cli_common common;
    struct inputs inputs; /* after the first pass: those that can be used */
    struct boxes boxes;
    bool has_boxes;
    struct find_options find;
    struct finders finders; /* where neither --boxes nor --whole says who is where */
    limber_model *model;
    limber_session *session;
    int workers, rounds;
    size_t people, failed;
    double *stage[STAGES]; /* [rounds][images] seconds */
    double *wall[WAYS];    /* [rounds] seconds an image */
    double cpu[WAYS];      /* seconds of all rounds and threads */
    double busy;           /* seconds the network ran in the overlapped rounds */
};

static limber_status boxes_of_item(void *context, const struct stream_item *item, const limber_box **boxes, int *count,
                                   limber_error *err)
{
    const struct bench *b = context;
    return boxes_to_run(b->has_boxes ? &b->boxes : NULL, item->input->number, boxes, count, err);
}

static limber_status find_people(void *context, struct stream_item *item, limber_error *err)
{
    struct bench *b = context;
    return finders_find_item(&b->finders, item, err);
}

/* ---- the two ways ---- */

/* One image, stage by stage. seconds[STAGES] add up to the whole of it. */
static limber_status alone(struct bench *b, const struct input *input, double *seconds, limber_error *err)
{
    limber_session *s = b->session;
    struct stream_item item = {.input = input}; /* as a worker has it */
    struct job *job = &item.parcel.job, *jobs[] = {job};
    limber_people people = {0};
    struct image_about about;
    struct image_options options = {0};
    const limber_box *boxes;
    int count;
    uint8_t *bytes = NULL;
    size_t size;
    const double begin = system_now(), crop_before = s->seconds_crop, network_before = s->seconds_forward;
    limber_status st = boxes_to_run(b->has_boxes ? &b->boxes : NULL, input->number, &boxes, &count, err);
    if (!st)
        st = input_read(input, &bytes, &size, err);
    if (!st)
        st = image_examine(&about, &options, bytes, size, err);
    if (!st && about.reducible) /* as the workers do */
        options.reduce = job_reduction(b->model, about.width, about.height, boxes, count);
    if (!st)
        st = image_decode_with(&item.image, &options, bytes, size, err);
    free(bytes);
    const double decoded = system_now();
    if (!st && b->finders.detector) {
        st = finders_find_item(&b->finders, &item, err);
        boxes = item.found.boxes;
        count = item.found.count;
    }
    const double found = system_now();
    const struct reduced_image reduced = {item.image.view, item.image.width, item.image.height, item.image.reduce};
    if (!st)
        st = job_prepare_reduced(job, b->model, &reduced, boxes, count, err);
    const double prepared = system_now();
    if (!st)
        st = jobs_forward(s, jobs, 1, err);
    if (!st)
        st = job_finish(job, b->model, &people, err);
    if (!st && item.found.scores)
        people_score_found(&people, item.found.scores, b->model, b->finders.detector);
    const double end = system_now(), cropped = s->seconds_crop - crop_before;
    seconds[STAGE_DECODE] = decoded - begin;
    seconds[STAGE_FIND] = found - decoded;
    seconds[STAGE_CROP] = prepared - found + cropped; /* crops of further passes are taken between them */
    seconds[STAGE_NETWORK] = s->seconds_forward - network_before;
    seconds[STAGE_PEOPLE] = end - prepared - cropped - seconds[STAGE_NETWORK];
    job_free(job);
    limber_people_free(&people);
    found_people_free(&item.found);
    image_close(&item.image);
    return st;
}

static int pass_alone(struct bench *b, int round)
{
    for (size_t i = 0; i < b->inputs.count; i++) {
        double seconds[STAGES];
        limber_error err = {0};
        if (alone(b, &b->inputs.v[i], seconds, &err))
            return cli_fail("%s: %s", b->inputs.v[i].path, err.text);
        for (int s = 0; s < STAGES; s++)
            b->stage[s][(size_t)round * b->inputs.count + i] = seconds[s];
    }
    return CLI_DONE;
}

/* A pass of the conveyor. */
struct pass {
    struct bench *b;
    struct stream *stream;
    bool *failed; /* [inputs], set for those that cannot be used; NULL: such an input is the end */
    int status;
};

static struct parcel *next(void *context, bool holding)
{
    const struct pass *p = context;
    struct stream_item *item = stream_next(p->stream, holding);
    return item ? &item->parcel : NULL;
}

static bool done(void *context, struct parcel *parcel)
{
    struct pass *p = context;
    struct stream_item *item = (struct stream_item *)parcel;
    if (!parcel->status && item->found.scores)
        people_score_found(&parcel->people, item->found.scores, p->b->model, p->b->finders.detector);
    if (parcel->status && !p->failed)
        p->status = cli_fail("%s: %s", item->input->path, parcel->error.text);
    else if (parcel->status)
        cli_warn("%s: %s", item->input->path, parcel->error.text);
    if (p->failed) {
        p->failed[item->index] = parcel->status != LIMBER_OK;
        p->b->people += (size_t)parcel->people.count;
    }
    stream_release(p->stream, item);
    return !p->status;
}

/* All inputs as command/run/run.c takes them: the same workers, the same conveyor. */
static int pass_overlapped(struct bench *b, bool *failed)
{
    const size_t window = stream_window(b->session, b->workers);
    struct pass p = {.b = b, .failed = failed};
    const struct stream_calls calls = {
        .context = b, .boxes = boxes_of_item, .find = b->finders.detector ? find_people : NULL, .reduce = true};
    const struct conveyor conveyor = {.context = &p, .next = next, .done = done, .window = window};
    limber_error err = {0};
    limber_status st = stream_open(&p.stream, b->model, &b->inputs, b->workers, window, &calls, &err);
    if (!st)
        st = conveyor_run(b->session, &conveyor, &err);
    stream_close(&p.stream);
    return st ? cli_fail("%s", err.text) : p.status;
}

/* ---- before, in turns, after ---- */

/* The pass that is not timed: inputs that cannot be used are said and leave the list. */
static int first_pass(struct bench *b)
{
    bool *failed = calloc(b->inputs.count + 1, sizeof *failed);
    int status = failed ? pass_overlapped(b, failed) : cli_fail("no memory");
    size_t kept = 0;
    for (size_t i = 0; !status && i < b->inputs.count; i++) {
        if (failed[i])
            input_free(&b->inputs.v[i]);
        else
            b->inputs.v[kept++] = b->inputs.v[i];
    }
    free(failed);
    if (status)
        return status;
    b->failed = b->inputs.count - kept;
    b->inputs.count = kept;
    return kept ? CLI_DONE : cli_fail("none of %zu inputs could be used", b->failed);
}

static int rounds(struct bench *b)
{
    const size_t images = b->inputs.count;
    for (int s = 0; s < STAGES; s++)
        if (!(b->stage[s] = calloc((size_t)b->rounds * images, sizeof *b->stage[s])))
            return cli_fail("no memory for the times of %zu images", images);
    for (int w = 0; w < WAYS; w++)
        if (!(b->wall[w] = calloc((size_t)b->rounds, sizeof *b->wall[w])))
            return cli_fail("no memory for the times of %d rounds", b->rounds);
    for (int r = 0; r < b->rounds; r++)
        for (int w = 0; w < WAYS; w++) {
            const double cpu = bench_process_cpu(), begin = system_now(), busy = b->session->seconds_forward;
            int status = w == ALONE ? pass_alone(b, r) : pass_overlapped(b, NULL);
            if (status)
                return status;
            b->wall[w][r] = (system_now() - begin) / (double)images;
            b->cpu[w] += bench_process_cpu() - cpu;
            b->busy += w == OVERLAPPED ? b->session->seconds_forward - busy : 0;
        }
    return CLI_DONE;
}

static int report(struct bench *b, const char *csv)
{
    const size_t images = b->inputs.count, timed = (size_t)b->rounds * images;
    const char *precision = limber_model_precision(b->model);
    FILE *f = csv ? fopen(csv, "w") : NULL;
    if (csv && !f)
        return cli_fail("%s: %s", csv, error_text(errno));
    if (f)
        fprintf(f, "what,precision,threads,workers,batch,images,people,rounds,median_ms,p10_ms,p90_ms,share,cpu_ms\n");
    double total[STAGES] = {0}, all = 0, overlapped = 0;
    for (int s = 0; s < STAGES; s++)
        for (size_t i = 0; i < timed; i++)
            total[s] += b->stage[s][i];
    for (int s = 0; s < STAGES; s++)
        all += total[s];
    for (int r = 0; r < b->rounds; r++)
        overlapped += b->wall[OVERLAPPED][r] * (double)images;

    printf("\n  %-12s %10s %9s %9s %7s   one image alone, milliseconds over images and rounds\n", "stage", "median ms", "p10",
           "p90", "share");
    for (int s = 0; s < STAGES; s++) {
        if (s == STAGE_FIND && !b->finders.detector)
            continue;
        const struct bench_times t = bench_times_of(b->stage[s], (int)timed);
        printf("  %-12s %10.3f %9.3f %9.3f %6.1f%%\n", stage_names[s], 1e3 * t.median, 1e3 * t.p10, 1e3 * t.p90,
               100 * total[s] / all);
        if (f)
            fprintf(f, "%s,%s,%d,%d,%d,%zu,%zu,%d,%.6f,%.6f,%.6f,%.6f,\n", stage_names[s], precision, b->session->threads,
                    b->workers, b->session->batch, images, b->people, b->rounds, 1e3 * t.median, 1e3 * t.p10, 1e3 * t.p90,
                    total[s] / all);
    }
    printf("\n  %-12s %10s %9s %9s %8s %9s %9s   milliseconds an image, over rounds\n", "all images", "median ms", "p10", "p90",
           "cpu ms", "images/s", "people/s");
    for (int w = 0; w < WAYS; w++) {
        const struct bench_times t = bench_times_of(b->wall[w], b->rounds);
        const double cpu = b->cpu[w] / (double)timed;
        printf("  %-12s %10.3f %9.3f %9.3f %8.3f %9.1f %9.1f\n", way_names[w], 1e3 * t.median, 1e3 * t.p10, 1e3 * t.p90,
               1e3 * cpu, 1 / t.median, (double)b->people / (double)images / t.median);
        if (f)
            fprintf(f, "%s,%s,%d,%d,%d,%zu,%zu,%d,%.6f,%.6f,%.6f,,%.6f\n", way_names[w], precision, b->session->threads,
                    b->workers, b->session->batch, images, b->people, b->rounds, 1e3 * t.median, 1e3 * t.p10, 1e3 * t.p90,
                    1e3 * cpu);
    }
    printf("\n  overlapped, the network ran %.0f %% of the time\n", 100 * b->busy / overlapped);
    if (f && (ferror(f) | fclose(f)))
        return cli_fail("%s: cannot write", csv);
    return CLI_DONE;
}

static int measure(struct bench *b, char **paths, int count, const char *boxes_file, const char *category, const char *csv)
{
    limber_error err = {0};
    const bool looks = !boxes_file && !b->find.whole;
    int status = inputs_list(&b->inputs, paths, count, NULL);
    if (!status && boxes_file) {
        b->has_boxes = true;
        if (boxes_open_for(&b->boxes, boxes_file, category, &b->inputs, &err))
            status = cli_fail("%s", err.text);
        else if (boxes_keep_surest(&b->boxes, b->find.min_box_score, b->find.max_people, &err))
            status = cli_fail("%s", err.text);
    }
    const double begin = system_now();
    if (!status)
        status = cli_model_open(&b->common, &b->model);
    if (!status)
        status = cli_session_open(&b->common, b->model, &b->session);
    const double opened = system_now() - begin;
    if (!status && !b->workers)
        b->workers = stream_workers(b->session, looks);
    if (!status && looks)
        status = finders_open(&b->finders, &b->common, &b->find, b->workers, b->workers);
    if (status || (status = first_pass(b)))
        return status;
    char machine[512];
    bench_machine(machine, sizeof machine);
    printf("%s, load %.1f\n%s, %s %s, %d threads, %d workers, batch %d; model and session opened in %.1f ms\n", machine,
           bench_load(), b->model->config.model_name, limber_model_backend(b->model), limber_model_precision(b->model),
           b->session->threads, b->workers, b->session->batch, 1e3 * opened);
    printf("%zu images, %zu people, %zu could not be used; %d rounds\n", b->inputs.count, b->people, b->failed, b->rounds);
    fflush(stdout);
    if ((status = rounds(b)) || (status = report(b, csv)))
        return status;
    return b->failed ? CLI_SOME_FAILED : CLI_DONE;
}

int bench_pipeline(int argc, char **argv)
{
    struct bench b = {.common = cli_common_default(), .rounds = 5};
    const char *boxes_file = NULL, *category = NULL, *csv = NULL;
    const struct cli_option options[] = {
        CLI_OPTION("--boxes", "FILE", &boxes_file, "boxes of people, as `limber run` takes them [found by the detector]"),
        CLI_OPTION("--category", "NAME|ID", &category, "of --boxes: who is a person [person]"),
        CLI_FIND_OPTIONS(b.find),
        CLI_INT("--refine", "N", &b.common.options.refine, 0, 16, "with --whole: crop again around the joints, N times [1]"),
        CLI_INT("--rounds", "N", &b.rounds, 1, 1000, "times that all images are timed, both ways in turns [5]"),
        CLI_INT("--workers", "N", &b.workers, 0, 64, "threads that decode and crop [0: as many as `limber run` takes]"),
        CLI_OPTION("--csv", "FILE", &csv, "the rows, once more"),
        CLI_COMMON_OPTIONS(b.common),
        CLI_END,
    };
    const struct cli_command command = {
        "bench pipeline", "INPUT... [options]",
        "Times the way from files to people: each stage of an image alone, and all images as `limber run` takes them.", options};
    int count, status = cli_parse(&command, argc, argv, &count);
    if (status != CLI_GO)
        return status;
    if (count < 1)
        return cli_usage(&command, "bench pipeline wants files or folders");
    status = measure(&b, argv + 1, count, boxes_file, category, csv);
    for (int s = 0; s < STAGES; s++)
        free(b.stage[s]);
    for (int w = 0; w < WAYS; w++)
        free(b.wall[w]);
    limber_session_close(&b.session);
    limber_model_close(&b.model);
    finders_close(&b.finders);
    boxes_close(&b.boxes);
    inputs_free(&b.inputs);
    return status;
}
