/* SPDX-License-Identifier: MIT */
/* command/run/run.c - `limber run`: images in, one JSON line each out, in input order. `limber detect` is a run without a model: its
 * lines are written as the workers find who is there.
 *
 *     command/inputs.c      which images                    command/stream.c            read, decode, crop: worker threads
 *     command/boxes.c       who is where                    pose/conveyor.c             the network, people side by side
 *     command/run/lines.c   what an earlier run finished    command/output.c            whole lines, files renamed when complete
 *     image/overlay.c       skeletons                       command/run/coco_results.c  poses.jsonl -> coco_results.json
 *     command/run/run_line.c  one line                      command/run/run_about.c     run.json
 *     command/run/gallery.c   poses.jsonl -> index.html     command/decoder.c           processes that decode, one a worker
 *
 * Workers read, decode and crop. One thread, this one, stands at the conveyor (pose/conveyor.h): it takes images in order, runs the
 * network when a batch of people is together, and writes a line when everything about its image is done - its overlay, too, so that
 * a line on disk means an overlay on disk. Lines are rounded to fixed decimals and hold nothing of this machine or this moment: the
 * same images give the same bytes. */
#define _GNU_SOURCE
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command/commands.h"
#include "command/run/coco_results.h"
#include "command/run/run.h"
#include "command/run/gallery.h"
#include "command/run/lines.h"
#include "heads/heads.h"
#include "base/error.h"
#include "base/system.h"
#include "image/overlay.h"

bool run_reduces(const struct run *r)
{
    return !r->full_resolution && !(r->overlay && !r->overlay_size) && !r->heads && !r->want_heads;
}

bool run_only_built_in(const struct run *r)
{
    return !strcmp(r->decoder, "stb");
}

/* ---- what the workers ask ---- */

static limber_status boxes_of_item(void *context, const struct stream_item *item, const limber_box **boxes, int *count,
                                   limber_error *err)
{
    const struct run *r = context;
    return boxes_to_run(r->boxes_file ? &r->boxes : NULL, item->input->number, boxes, count, err);
}

#define DRAWN_SCORE 0.3f  /* joints below are not drawn */
#define OVERLAY_SIZE 1600 /* pixels: fills a screen, and a phone's photograph is an eighth of what it was */

struct overlay_style run_overlay_style(const struct run *r, bool tracks)
{
    if (r->detects) /* there is no model of joints */
        return (struct overlay_style){.boxes = true};
    const struct config *c = &r->model->config;
    return (struct overlay_style){.keypoint_count = c->keypoints,
                                  .edges = (const int(*)[2])c->edges,
                                  .edge_count = c->edge_count,
                                  .flip_pairs = c->flip_pairs,
                                  .labels = (const char *const *)c->labels,
                                  .sides = c->skeleton ? c->skeleton->sides : NULL,
                                  .min_score = DRAWN_SCORE,
                                  .boxes = true,
                                  .tracks = tracks};
}

static limber_status draw_overlay(void *context, struct stream_item *item, limber_error *err)
{
    const struct run *r = context;
    const struct overlay_style style = run_overlay_style(r, false);
    const bool alike = r->overlay_alike && r->overlay_alike[item->input->number];
    char *name = run_overlay_name(item->input->path, alike, r->overlay_kind), *path = NULL;
    if (!name || asprintf(&path, "%s/overlay/%s", r->out, name) < 0)
        path = NULL;
    limber_status st = LIMBER_OK;
    char *slash = path ? strrchr(path, '/') : NULL;
    if (!path) {
        st = limber_fail(err, LIMBER_E_MEMORY, "no memory for an overlay");
    } else {
        *slash = 0;
        if (output_folder(path))
            st = limber_fail(err, LIMBER_E_IO, "the overlay of %s has no folder to go to", item->input->path);
        *slash = '/';
    }
    if (!st)
        st = image_shrink(&item->image, r->overlay_size, err);
    if (!st) {
        overlay_draw(&item->image, item->parcel.people.person, item->parcel.people.count, &style);
        st = (!strcmp(r->overlay_kind, "png") ? image_write_png : image_write_jpeg)(path, &item->image.view, err);
    }
    free(name);
    free(path);
    return st;
}

/* People of whom no more than the box is known. */
static limber_status people_of_boxes(limber_people *people, const struct found_people *found, limber_error *err)
{
    *people = (limber_people){.person = calloc((size_t)found->count + 1, sizeof *people->person)};
    if (!people->person)
        return limber_fail(err, LIMBER_E_MEMORY, "no memory for %d people", found->count);
    people->count = found->count;
    for (int i = 0; i < found->count; i++)
        people->person[i] = (limber_person){.box = found->boxes[i], .box_score = found->scores[i], .score = found->scores[i]};
    return LIMBER_OK;
}

static limber_status find_people(void *context, struct stream_item *item, limber_error *err)
{
    struct run *r = context;
    limber_status st = finders_find_item(&r->finders, item, err);
    if (!st && r->detects) /* nothing else will be known: what comes after the network is done here */
        st = people_of_boxes(&item->parcel.people, &item->found, err);
    if (!st && r->detects && r->overlay) {
        const double begin = system_now();
        item->finish_status = draw_overlay(r, item, err);
        item->seconds_finish = system_now() - begin;
    }
    return st;
}

/* ---- the run ---- */

const char *run_lines(const struct run *r)
{
    return r->detects ? BOXES : LINES;
}

const char *run_command(const struct run *r)
{
    return r->detects ? "detect" : "run";
}

/* Leaves out the people below --min-score. */
static void keep_confident(limber_people *people, double min_score)
{
    int kept = 0;
    for (int i = 0; i < people->count; i++)
        if ((double)people->person[i].score >= min_score)
            people->person[kept++] = people->person[i];
    people->count = kept;
}

static void count_decoder(struct run *r, const char *decoder)
{
    int i = 0;
    while (i < DECODERS - 1 && r->decoded[i].decoder && strcmp(r->decoded[i].decoder, decoder))
        i++;
    r->decoded[i].decoder = decoder;
    r->decoded[i].pictures++;
}

/* An item that has all it needs becomes a line. */
static int write_item(struct run *r, struct stream_item *item)
{
    double begin = system_now();
    r->seconds_decode += item->seconds_decode;
    r->seconds_find += item->seconds_find - (r->detects ? item->seconds_finish : 0);
    r->seconds_crop += item->seconds_crop;
    r->seconds_overlay += item->seconds_finish;
    if (item->finish_status)
        return cli_fail("%s", item->parcel.error.text);
    if (item->parcel.status)
        cli_warn("%s: %s", item->input->path, item->parcel.error.text);
    run_put_line(&r->text, r->model, item);
    if (r->text.failed)
        return cli_fail("%s: no memory for its line", item->input->path);
    if (output_write(&r->lines, r->text.text, r->text.length))
        return CLI_NOTHING;
    if (item->image.decoder)
        count_decoder(r, item->image.decoder);
    r->images++;
    r->failed += item->parcel.status != LIMBER_OK;
    r->people += (size_t)item->parcel.people.count;
    r->seconds_write += system_now() - begin;
    progress_step(&r->progress, r->images - r->resumed, r->people);
    return CLI_DONE;
}

/* ---- on the conveyor (pose/conveyor.h) ---- */

static struct parcel *next(void *context, bool holding)
{
    const struct run *r = context;
    struct stream_item *item = stream_next(r->stream, holding);
    return item ? &item->parcel : NULL;
}

static bool seen(void *context, struct parcel *parcel, limber_error *err)
{
    struct run *r = context;
    struct stream_item *item = (struct stream_item *)parcel;
    item->scores = r->boxes_file ? boxes_scores(&r->boxes, item->input->number) : item->found.scores;
    if (item->scores)
        r->doubted += (size_t)people_score_found(&parcel->people, item->scores, r->model, r->finders.detector);
    keep_confident(&parcel->people, r->min_score);
    double begin = system_now();
    limber_status st = LIMBER_OK;
    if (r->heads) /* before the overlay is drawn into the picture */
        st = heads_add_people(r->heads, &item->image.view, &parcel->people, err);
    r->seconds_heads += system_now() - begin;
    if (st)
        r->status = cli_fail("%s", err->text);
    else if (r->overlay)
        stream_finish(r->stream, item);
    return !st;
}

static bool is_ready(void *context, const struct parcel *parcel)
{
    const struct run *r = context;
    return stream_is_finished(r->stream, (const struct stream_item *)parcel);
}

static bool done(void *context, struct parcel *parcel)
{
    struct run *r = context;
    struct stream_item *item = (struct stream_item *)parcel;
    stream_wait(r->stream, item);
    r->status = write_item(r, item);
    stream_release(r->stream, item);
    return !r->status;
}

/* Without a conveyor: the workers have done it all. */
static void write_found(struct run *r)
{
    struct stream_item *item;
    while (!r->status && (item = stream_next(r->stream, false)))
        done(r, &item->parcel);
}

/* ---- before and after ---- */

static int read_shard(const struct cli_command *command, const char *text, long *part, long *parts)
{
    char *end;
    *part = strtol(text, &end, 10);
    bool fine = end != text && *end == '/' && *part >= 0;
    const char *second = end + fine;
    *parts = fine ? strtol(second, &end, 10) : 0;
    if (!fine || end == second || *end || *parts < 1 || *part > *parts)
        return cli_usage(command, "--shard is \"%s\", expected I/N with N at least 1 and I in 1..N", text);
    return CLI_DONE;
}

/* Leaves out the inputs that have a line. */
static int skip_seen(struct run *r, const struct lines_seen *seen)
{
    size_t kept = 0;
    for (size_t i = 0; i < r->inputs.count; i++) {
        put_clear(&r->text);
        put_string(&r->text, r->inputs.v[i].path);
        if (r->text.failed)
            return cli_fail("no memory");
        if (lines_seen_has(seen, r->text.text))
            input_free(&r->inputs.v[i]);
        else
            r->inputs.v[kept++] = r->inputs.v[i];
    }
    r->inputs.count = kept;
    return CLI_DONE;
}

static int compare_ids(const void *a, const void *b)
{
    return strcmp(((const struct coco_id *)a)->path, ((const struct coco_id *)b)->path);
}

/* Which boxes are not run is no news where they are crowds or other things; a file that contradicts itself is. */
static void say_boxes(const struct run *r)
{
    const struct boxes_left_out *l = &r->boxes.left_out;
    char *summary = boxes_summary(&r->boxes);
    if (summary && (!r->common.quiet || l->unnamed || l->stray))
        cli_warn("%s: %s", r->boxes_file, summary);
    free(summary);
}

/* Called while the inputs are still all of them: which images are in the file does not depend on --shard or --resume. */
static int load_boxes(struct run *r)
{
    limber_error err;
    limber_status st = boxes_open_for(&r->boxes, r->boxes_file, r->category, &r->inputs, &err);
    if (!st)
        st = boxes_keep_surest(&r->boxes, r->find.min_box_score, r->find.max_people, &err);
    if (st)
        return cli_fail("%s", err.text);
    size_t n = r->inputs.count;
    r->ids = malloc(n * sizeof *r->ids);
    if (!r->ids)
        return cli_fail("no memory");
    for (size_t i = 0; !st && i < n; i++) {
        const struct boxes_list *list = NULL;
        if (boxes_of(&r->boxes, i, &list, NULL) || !list || (list->image_id < 0 && !list->text_id))
            continue;
        r->ids[r->id_count] = (struct coco_id){strdup(r->inputs.v[i].path), list->image_id, list->text_id};
        if (!r->ids[r->id_count].path)
            st = limber_fail(&err, LIMBER_E_MEMORY, "no memory");
        else
            r->id_count++;
    }
    if (st)
        return cli_fail("%s", err.text);
    if (r->id_count)
        qsort(r->ids, r->id_count, sizeof *r->ids, compare_ids);
    say_boxes(r);
    if (r->boxes.unused)
        cli_warn("%s: %zu image%s with people in it %s none of the inputs", r->boxes_file, r->boxes.unused,
                 r->boxes.unused == 1 ? "" : "s", r->boxes.unused == 1 ? "is" : "are");
    if (r->boxes.absent)
        cli_warn("%s: not in it: %zu of the inputs; nobody is looked for there", r->boxes_file, r->boxes.absent);
    return CLI_DONE;
}

static bool coco_id_of(const void *context, const char *path, long long *id, const char **text)
{
    const struct run *r = context;
    const struct coco_id wanted = {.path = (char *)path};
    const struct coco_id *found = r->id_count ? bsearch(&wanted, r->ids, r->id_count, sizeof wanted, compare_ids) : NULL;
    *text = found ? found->text : NULL;
    if (found)
        *id = found->id;
    return found || boxes_number_in_name(path, id);
}

static int open_output(struct run *r)
{
    if (!r->out)
        return output_stdout(&r->lines);
    int status = output_folder(r->out);
    if (status)
        return status;
    status = run_check_same_command(r);
    if (!status && r->resume)
        status = run_check_same_kind(r);
    if (status)
        return status;
    if (!r->resume) {
        status = output_new(&r->lines, r->out, run_lines(r));
        return status ? status : gallery_retire(r->out);
    }
    struct lines_seen seen = {.file = run_lines(r)};
    status = output_resume(&r->lines, r->out, run_lines(r), lines_seen_add, &seen);
    if (!status) /* once more, now that nobody else can write there */
        status = run_check_same_kind(r);
    if (!status) {
        lines_seen_sort(&seen);
        status = skip_seen(r, &seen);
        r->images = r->resumed = seen.count;
        r->failed = seen.failed;
        r->people = seen.people;
    }
    lines_seen_free(&seen);
    return status;
}

static void say_summary(const struct run *r, bool interrupted)
{
    double total = system_now() - r->begin;
    size_t done = r->images - r->resumed;
    fprintf(stderr, "limber: images %zu, people %zu, failed %zu%s; %.1f s", r->images, r->people, r->failed,
            interrupted ? ", stopped before the end" : "", total);
    if (r->resumed)
        fprintf(stderr, ", %zu images were there already", r->resumed);
    else if (total > 0)
        fprintf(stderr, ", %.1f images/s, %.1f people/s", (double)done / total, (double)r->people / total);
    fputc('\n', stderr);
    char *left_out = inputs_left_out_text(&r->inputs);
    if (left_out && *left_out)
        fprintf(stderr, "limber: left out in folders: %s\n", left_out);
    free(left_out);
}

static int finish_outputs(struct run *r, int status, bool interrupted)
{
    if (r->lines.fd >= 0) {
        if (status)
            output_abandon(&r->lines);
        else
            status = output_close(&r->lines);
    }
    if (!r->out)
        return status;
    /* After a failed write (a full disk, say) this may fail too: the first reason is the one to report. */
    int about = run_write_about(r, !status && !interrupted);
    if (status)
        return status;
    if (about)
        return about;
    const struct gallery gallery = {r->out,
                                    r->detects,
                                    r->overlay_kind,
                                    .images = r->images,
                                    .people = r->people,
                                    .failed = r->failed,
                                    .complete = !interrupted};
    if (r->overlay && gallery_write(&gallery))
        return CLI_NOTHING;
    const struct skeleton *skeleton = r->detects ? NULL : r->model->config.skeleton;
    return r->coco && !interrupted ? coco_write(r->out, run_lines(r), COCO, skeleton, coco_id_of, r) : CLI_DONE;
}

/* Fingerprints of the weights, for run.json. */
int run_read_contents(struct run *r, bool looks)
{
    int status = r->out && !r->detects ? run_model_content(&r->model_content, cli_model_dir(&r->common), TASK_POSE) : CLI_DONE;
    if (!status && r->out && looks)
        status = run_model_content(&r->detector_content, finders_dir(&r->find), TASK_BOXES);
    return status;
}

int run_open_session(struct run *r)
{
    limber_error err;
    struct cli_common common = r->common;
    common.options.threads = r->threads; /* where the system says how many is out of reach now */
    int status = cli_session_open(&common, r->model, &r->session);
    if (!status && r->want_heads && limber_heads_open(&r->heads, r->session, NULL, &err))
        status = cli_fail("%s", err.text);
    return status;
}

static int run(struct run *r)
{
    limber_error err;
    r->begin = system_now();
    const bool looks = !r->boxes_file && !r->find.whole;
    r->workers = r->detects ? r->threads : stream_workers_for(r->model, r->threads, looks || r->overlay);
    /* a picture or two get all the threads */
    const int finders = r->inputs.count && r->inputs.count < (size_t)r->workers ? (int)r->inputs.count : r->workers;
    int status = looks ? finders_open(&r->finders, &r->common, &r->find, finders, r->threads) : CLI_DONE;
    if (!status)
        status = run_read_contents(r, looks);
    if (!status)
        status = open_output(r);
    if (!status)
        status = run_enter_sandbox(r);
    if (!status && !r->detects)
        status = run_open_session(r);
    if (!status && r->out)
        status = run_write_about(r, false);
    if (status)
        return status;
    const size_t window = stream_window(r->session, r->workers);
    if (r->overlay)
        run_overlay_sweep(r->out);
    progress_start(&r->progress, r->inputs.count, !r->common.quiet);
    const struct stream_calls calls = {.context = r,
                                       .boxes = r->detects ? NULL : boxes_of_item,
                                       .find = looks ? find_people : NULL,
                                       .finish = draw_overlay,
                                       .decoders = r->decoders,
                                       .stop = &cli_stopped,
                                       .built_in = run_only_built_in(r),
                                       .reduce = run_reduces(r),
                                       .longest = r->overlay ? r->overlay_size : 0};
    const struct conveyor conveyor = {
        .context = r, .next = next, .seen = seen, .is_ready = is_ready, .done = done, .stop = &cli_stopped, .window = window};
    limber_status st = stream_open(&r->stream, r->model, &r->inputs, r->workers, window, &calls, &err);
    if (!st && r->detects)
        write_found(r);
    else if (!st)
        st = conveyor_run(r->session, &conveyor, &err);
    status = st ? cli_fail("%s", err.text) : r->status;
    stream_close(&r->stream);
    progress_clear(&r->progress);
    bool interrupted = !status && cli_stopped && r->images < r->inputs.count + r->resumed;
    status = finish_outputs(r, status, interrupted);
    if (!r->common.quiet)
        say_summary(r, interrupted);
    if (status == CLI_NOTHING)
        return status;
    if (interrupted)
        return CLI_INTERRUPTED;
    return r->failed ? CLI_SOME_FAILED : status;
}

struct run run_default(void)
{
    return (struct run){.common = cli_common_default(),
                        .min_score = -INFINITY,
                        .lines = OUTPUT_CLOSED,
                        .decoder = "auto",
                        .isolate = "on",
                        .sandbox = "on",
                        .overlay_kind = image_writes_jpeg() ? "jpeg" : "png",
                        .overlay_size = OVERLAY_SIZE,
                        .video_options = run_video_options_default()};
}

/* What is asked for and cannot be had together. */
static int check_options(const struct run *r, const struct cli_command *command, char **argv, int count)
{
    if (count == 0)
        return cli_usage(command, "no input: name files or folders of pictures");
    if (r->category && !r->boxes_file)
        return cli_usage(command, "--category says which boxes of --boxes FILE are people's: name that file");
    if (strcmp(r->video_options.codec, run_video_options_default().codec))
        return cli_usage(command, "--overlay-codec is for videos: leave it out with pictures");
    const char *needs_out = r->resume       ? "--resume"
                            : r->overlay    ? "--overlay"
                            : r->coco       ? "--coco"
                            : r->want_heads ? "--heads"
                                            : NULL;
    if (!r->out && needs_out)
        return cli_usage(command, "%s needs --out DIR", needs_out);
    if (r->overlay && !strcmp(r->overlay_kind, "jpeg") && !image_writes_jpeg())
        return cli_usage(command, "--overlay=jpeg: this build has no libjpeg-turbo; --overlay=png has");
    if (r->want_heads && (r->flip || r->resume))
        return cli_usage(command, "--heads looks at every image of a run, in one pass: leave out %s",
                         r->flip ? "--flip" : "--resume");
    for (int i = 1; r->resume && i <= count; i++)
        if (!strcmp(argv[i], "-"))
            return cli_usage(command, "--resume knows a picture by its name, and standard input has none");
    return CLI_DONE;
}

void run_close(struct run *r)
{
    decoders_close(&r->decoders);
    limber_heads_close(&r->heads);
    limber_session_close(&r->session);
    limber_model_close(&r->model);
    finders_close(&r->finders);
    boxes_close(&r->boxes);
    for (size_t i = 0; i < r->id_count; i++)
        free(r->ids[i].path);
    free(r->ids);
    free(r->overlay_alike);
    inputs_free(&r->inputs);
    output_abandon(&r->lines);
    put_free(&r->text);
}

int run_inputs(struct run *r, const struct cli_command *command, char **argv, int count)
{
    long part = 0, parts = 0;
    int status = check_options(r, command, argv, count);
    if (!status && r->shard)
        status = read_shard(command, r->shard, &part, &parts);
    if (status)
        return status;
    r->common.options.flip = r->flip;
    r->threads = r->common.options.threads ? r->common.options.threads : system_cpus();
    cli_catch_signals(); /* reading a large model is a good time to think again */
    char *drawn = r->out ? output_path(r->out, "overlay") : NULL;
    status = inputs_list(&r->inputs, argv + 1, count, drawn);
    free(drawn);
    if (!status && r->boxes_file)
        status = load_boxes(r);
    if (!status && r->overlay)
        status = run_overlay_alike(&r->overlay_alike, &r->inputs);
    if (!status && parts)
        inputs_slice(&r->inputs, part, parts);
    if (!status)
        status = run_open_decoders(r);
    if (!status && !r->detects)
        status = cli_model_open(&r->common, &r->model);
    if (!status)
        status = run(r);
    run_close(r);
    return status;
}

int cli_run(int argc, char **argv)
{
    struct run r = run_default();
    const struct cli_option options[] = {
        CLI_OPTION("--out", "DIR", &r.out, "write DIR/" LINES " and DIR/" ABOUT " [lines on standard output]"),
        CLI_OPTION("--boxes", "FILE", &r.boxes_file,
                   "boxes of people: COCO annotations or detections, JSON Lines, a poses.jsonl"),
        CLI_OPTION("--category", "NAME|ID", &r.category, "of --boxes: who is a person; several between commas [person]"),
        CLI_FIND_OPTIONS(r.find),
        CLI_INT("--refine", "N", &r.common.options.refine, 0, 16, "with --whole: crop again around the joints, N times [1]"),
        CLI_FLAG("--flip", &r.flip, "average with a mirrored second pass: better and half as fast"),
        CLI_NUMBER("--min-score", "S", &r.min_score, -1e9, 1e9, "leave out people whose score is below S [none]"),
        CLI_RUN_OPTIONS(r),
        CLI_FLAG("--heads", &r.want_heads, "limb specialists among the attention heads, in DIR/" ABOUT "; a fourth of the speed"),
        CLI_VIDEO_OPTIONS(r.video_options),
        CLI_COMMON_OPTIONS(r.common),
        CLI_END,
    };
    const struct cli_command command = {
        "run", "INPUT... [options]",
        "Joints and limbs of the people in photographs and videos. INPUT is a file, or a folder and all below it, or - (one\n"
        "picture from standard input), or @FILE (a list of inputs, one a line); or a video, a camera (/dev/video0), a stream\n"
        "(rtsp://...). One line of JSON an image or frame, in order. Without --boxes the people are found by the detector.\n"
        "Exit status: 0 done, 1 some images failed, 2 nothing could start or be written, 130 stopped by a signal.",
        options};
    int count, status = cli_parse(&command, argc, argv, &count);
    if (status != CLI_GO)
        return status;
    return run_is_video(&r, argv + 1, count) ? run_videos(&r, &command, argv + 1, count) : run_inputs(&r, &command, argv, count);
}
