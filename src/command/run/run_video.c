/* SPDX-License-Identifier: MIT */
/* command/run/run_video.c - `limber run` of videos: a line a frame, in order.
 *
 *     video/open.c            the plugin over FFmpeg          command/run/frames.c   threads that read, look, draw and encode
 *     pose/conveyor.c         the network                     pose/track.c           who is who
 *     pose/smooth.c           joints without jitter           image/overlay.c        skeletons
 *
 * One thread, this one, stands at the conveyor as for pictures. Frames that are looked at go through the network in batches. With
 * --detect-every the frames between begin where the people of the frame before should be by now, so they wait for it: `next` says
 * "not yet" until the network has seen it.
 *
 * People are numbered and smoothed in order of the frames, in `seen`; a line on disk means a frame in the overlay. */
#define _GNU_SOURCE
#include "command/run/run_video.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"
#include "command/commands.h"
#include "command/run/frames.h"
#include "command/run/lines.h"
#include "command/run/run.h"
#include "image/overlay.h"
#include "pose/detector.h"
#include "pose/same.h"
#include "pose/smooth.h"
#include "pose/track.h"

#define LOST 0.25f /* mean joint score below which somebody who was only followed is gone */

struct run_video {
    struct run_video_options options;
    const struct video_plugin *plugin;
    double from, to;
    bool tracks;
    float sure; /* evidence for a person */

    /* of all videos; lines of an earlier run count in run.images and so on */
    size_t videos, dropped, damaged;
    bool unfinished; /* stopped within one */
    double seconds_convert, seconds_track, seconds_encode;

    /* of this one */
    const struct input *input;
    char *shown;       /* as lines and messages have it: a URL without its password */
    long long resumed; /* the last frame an earlier run has a line of; -1: none */
    bool alike;        /* its overlay must do without its plain name */
    bool closed;       /* an earlier run has a line of its error */
    struct video_reader *reader;
    struct video_about about;
    struct frames *frames;
    struct tracker *tracker;
    struct smoother *smoother;
    struct video_writer *writer;
    char *path, *partial; /* of the overlay */
    uint8_t *canvas;      /* of two frames side by side, of the thread that finishes */
    size_t canvas_room;
    size_t handed, seen; /* frames that `next` gave out, and that the network has seen */
    size_t lines;
    volatile sig_atomic_t end;
};

/* What an earlier run wrote, by video. */
struct seen_videos {
    struct seen_video {
        char *name; /* as in the lines */
        long long last;
        bool closed;
    } * v;
    size_t count, room;
    size_t lines, people, failed;
};

struct run_video_options run_video_options_default(void)
{
    return (struct run_video_options){.codec = "auto"};
}

static bool is_url(const char *name)
{
    return strstr(name, "://") != NULL;
}

/* An address of what plays: by its scheme, or by how its path ends. A photograph's is none; who means otherwise says --video. */
static bool is_stream(const char *url)
{
    static const char *const playing[] = {"rtsp", "rtsps", "rtmp", "rtmps", "rtp",  "srtp",
                                          "srt",  "udp",   "tcp",  "mms",   "mmsh", "mmst"};
    const size_t scheme = (size_t)(strstr(url, "://") - url);
    for (size_t i = 0; i < sizeof playing / sizeof *playing; i++)
        if (strlen(playing[i]) == scheme && !strncasecmp(url, playing[i], scheme))
            return true;
    if (strncasecmp(url, "http", 4))
        return false;
    char *path = strdup(url);
    if (!path)
        return false;
    path[strcspn(path, "?#")] = '\0';
    const bool video = inputs_is_video(path);
    free(path);
    return video;
}

static bool is_camera(const char *name)
{
    return !strncmp(name, "/dev/video", 10);
}

bool run_is_video(const struct run *r, char **inputs, int count)
{
    const struct run_video_options *o = &r->video_options;
    if (o->video || o->track || o->smooth || o->live || o->side_by_side || o->every || o->detect_every || o->from || o->to)
        return true;
    for (int i = 0; i < count; i++)
        if (is_camera(inputs[i]) || (is_url(inputs[i]) ? is_stream(inputs[i]) : inputs_is_video(inputs[i])))
            return true;
    return false;
}

/* ---- options ---- */

/* "90", "1:30", "0:01:30.5" */
static bool read_time(double *seconds, const char *text)
{
    double sum = 0;
    for (int parts = 0; parts < 3; parts++) {
        char *end;
        const double v = text_number(text, &end);
        if (end == text || !isfinite(v) || v < 0)
            return false;
        sum = 60 * sum + v;
        if (!*end) {
            *seconds = sum;
            return true;
        }
        if (*end != ':')
            return false;
        text = end + 1;
    }
    return false;
}

static int check_options(struct run *r, const struct cli_command *command, int count)
{
    struct run_video *v = r->video;
    const struct run_video_options *o = &v->options;
    v->from = -INFINITY, v->to = INFINITY;
    if (count == 0)
        return cli_usage(command, "no input: name videos, folders of them, a camera or a stream");
    if ((o->from && !read_time(&v->from, o->from)) || (o->to && !read_time(&v->to, o->to)))
        return cli_usage(command, "--from and --to are times as 12.5, 1:30 or 0:01:30: not \"%s\"",
                         o->from && !read_time(&v->from, o->from) ? o->from : o->to);
    if (v->from >= v->to)
        return cli_usage(command, "--from %s is not before --to %s", o->from, o->to);
    const struct run usual = run_default();
    const char *pictures = r->boxes_file                                               ? "--boxes"
                           : r->category                                               ? "--category"
                           : r->coco                                                   ? "--coco"
                           : r->want_heads                                             ? "--heads"
                           : r->shard                                                  ? "--shard"
                           : r->full_resolution                                        ? "--full-resolution"
                           : r->isolate_asked                                          ? "--isolate"
                           : strcmp(r->decoder, usual.decoder)                         ? "--decoder"
                           : r->overlay_size != usual.overlay_size                     ? "--overlay-size"
                           : r->overlay && strcmp(r->overlay_kind, usual.overlay_kind) ? "--overlay=png"
                                                                                       : NULL;
    if (pictures)
        return cli_usage(command, "%s is for pictures: leave it out with videos", pictures);
    r->overlay |= o->side_by_side;
    if (!r->out && (r->overlay || r->resume))
        return cli_usage(command, "%s needs --out DIR", r->overlay ? "--overlay" : "--resume");
    v->tracks = o->track || o->smooth || o->detect_every > 1;
    const char *remembers = r->overlay ? "--overlay" : v->tracks ? "what numbers or smooths people" : o->live ? "--live" : NULL;
    if (r->resume && remembers)
        return cli_usage(command, "--resume goes on in the middle of a video, and %s needs it whole: leave one out", remembers);
    if (o->detect_every > 1 && r->find.whole)
        return cli_usage(command, "--detect-every says when to look for people, --whole that nobody is looked for");
    return CLI_DONE;
}

/* scheme://user:password@host/... without what nobody must read in a result. */
static char *without_password(const char *name)
{
    char *out = strdup(name);
    char *begin = out ? strstr(out, "://") : NULL;
    if (!begin)
        return out;
    begin += 3;
    char *at = NULL;
    for (char *p = begin; *p && *p != '/' && *p != '?'; p++)
        if (*p == '@')
            at = p;
    if (at)
        memmove(begin, at + 1, strlen(at + 1) + 1);
    return out;
}

/* ---- what the threads of frames.c ask ---- */

static enum frames_wanted wanted(void *context, const struct video_frame *frame)
{
    const struct run_video *v = ((const struct run *)context)->video;
    const int every = v->options.every > 1 ? v->options.every : 1;
    if (frame->time >= v->to)
        return FRAMES_ENOUGH;
    return frame->time < v->from || frame->number % every || frame->number <= v->resumed ? FRAMES_SKIP : FRAMES_TAKE;
}

static bool looks(void *context, size_t index)
{
    const struct run_video *v = ((const struct run *)context)->video;
    return v->options.detect_every < 2 || index % (size_t)v->options.detect_every == 0;
}

static limber_status find(void *context, struct frame_item *item, limber_error *err)
{
    struct run *r = context;
    return finders_find(&r->finders, &item->frame.view, &item->found, err);
}

/* The frame with its people in the overlay. The network is done with it: it is drawn on where it lies. */
static limber_status finish(void *context, struct frame_item *item, limber_error *err)
{
    struct run *r = context;
    struct run_video *v = r->video;
    const limber_image *view = &item->frame.view;
    const size_t row = 3 * (size_t)view->width, height = (size_t)view->height;
    struct image picture = {.view = *view, .width = view->width, .height = view->height, .reduce = 1};
    limber_image out = *view;
    if (v->options.side_by_side) {
        const size_t need = 2 * row * height + VIDEO_PADDING;
        if (v->canvas_room < need) {
            free(v->canvas);
            v->canvas = malloc(need);
            v->canvas_room = v->canvas ? need : 0;
        }
        if (!v->canvas)
            return limber_fail(err, LIMBER_E_MEMORY, "no memory for an overlay");
        out = (limber_image){.pixels = v->canvas, .width = 2 * view->width, .height = view->height, .stride = 2 * row};
        for (size_t y = 0; y < height; y++)
            for (size_t side = 0; side < 2; side++)
                memcpy(v->canvas + y * 2 * row + side * row, view->pixels + y * view->stride, row);
        picture.view.pixels = v->canvas + row;
        picture.view.stride = 2 * row;
    }
    const struct overlay_style style = run_overlay_style(r, v->tracks);
    if (!item->parcel.status)
        overlay_draw(&picture, item->parcel.people.person, item->parcel.people.count, &style);
    limber_status st = v->plugin->write(v->writer, &out, item->frame.ticks, err);
    if (st)
        limber_error_prefix(err, "%s", v->path);
    return st;
}

/* ---- at the conveyor ---- */

/* Nobody looks for people in this frame: they are where those of the last one should be by now. Where there was nobody, it is looked
 * at after all. */
static limber_status follow(struct run *r, struct frame_item *item, limber_error *err)
{
    const struct run_video *v = r->video;
    const limber_person *expected;
    const double begin = system_now();
    const int count = tracker_expect(v->tracker, item->frame.time, &expected);
    limber_status st = LIMBER_OK;
    if (count == 0) {
        item->looked = true;
        st = finders_find(&r->finders, &item->frame.view, &item->found, err);
        item->seconds_find = system_now() - begin;
    } else {
        item->found.boxes = malloc((size_t)count * sizeof *item->found.boxes);
        item->found.scores = malloc((size_t)count * sizeof *item->found.scores);
        if (!item->found.boxes || !item->found.scores)
            return limber_fail(err, LIMBER_E_MEMORY, "no memory for %d people", count);
        for (int i = 0; i < count; i++) {
            const limber_image picture = {.width = item->frame.view.width, .height = item->frame.view.height};
            const limber_box box = crop_refine(expected[i].box, expected[i].keypoints, r->model->config.keypoints, &picture);
            if (!(box.x < (float)picture.width && box.y < (float)picture.height && box.x + box.width > 0 &&
                  box.y + box.height > 0))
                continue; /* walked out of the picture */
            item->found.boxes[item->found.count] = box;
            item->found.scores[item->found.count++] = expected[i].box_score;
        }
    }
    const double found = system_now();
    if (!st)
        st = job_prepare(&item->parcel.job, r->model, &item->frame.view, item->found.boxes, item->found.count, err);
    item->seconds_crop = system_now() - found;
    return st;
}

static struct parcel *next(void *context, bool holding)
{
    struct run *r = context;
    struct run_video *v = r->video;
    if (v->options.detect_every > 1 && holding && v->handed > v->seen && !looks(r, v->handed))
        return NULL; /* the frame before tells where to look */
    struct frame_item *item = frames_next(v->frames, holding);
    if (!item)
        return NULL;
    v->handed++;
    struct parcel *p = &item->parcel;
    if (item->frame.damaged)
        p->status = limber_fail(&p->error, LIMBER_E_FORMAT, "frame %lld is damaged", (long long)item->frame.number);
    else if (!item->looked)
        p->status = follow(r, item, &p->error);
    if (p->status)
        v->seen++;
    return p;
}

static void drop_if(struct run *r, limber_people *people, bool untracked)
{
    int kept = 0;
    for (int i = 0; i < people->count; i++)
        if ((double)people->person[i].score >= r->min_score && !(untracked && !people->person[i].track))
            people->person[kept++] = people->person[i];
    people->count = kept;
}

static float mean_score(const limber_person *p, int count)
{
    float sum = 0;
    for (int k = 0; k < count; k++)
        sum += p->keypoints[k].score;
    return sum / (float)count;
}

static limber_status number_people(struct run_video *v, limber_people *people, bool looked, double time, limber_error *err)
{
    /* a box that only followed somebody shows the wall behind him when he is gone */
    for (int i = people->count - 1; !looked && i >= 0; i--)
        if (mean_score(&people->person[i], people->keypoint_count) < LOST)
            people->person[i] = people->person[--people->count];
    limber_status st = tracker_update(v->tracker, people, time, err);
    if (!st && v->smoother)
        st = smoother_update(v->smoother, people, time, err);
    return st;
}

static bool seen(void *context, struct parcel *parcel, limber_error *err)
{
    struct run *r = context;
    struct run_video *v = r->video;
    struct frame_item *item = (struct frame_item *)parcel;
    const double begin = system_now();
    v->seen++;
    if (item->found.boxes)
        r->doubted +=
            (size_t)people_score_from(&parcel->people, item->found.scores, r->model, v->tracks ? TRACK_DOUBT * v->sure : v->sure);
    limber_status st = v->tracks ? number_people(v, &parcel->people, item->looked, item->frame.time, err) : LIMBER_OK;
    drop_if(r, &parcel->people, v->tracks);
    v->seconds_track += system_now() - begin;
    if (st)
        r->status = cli_fail("%s", err->text);
    else if (v->writer)
        frames_finish(v->frames, item);
    return !st;
}

static bool is_ready(void *context, const struct parcel *parcel)
{
    const struct run *r = context;
    return frames_is_finished(r->video->frames, (const struct frame_item *)parcel);
}

static int write_line(struct run *r, const struct frame_item *item)
{
    struct run_video *v = r->video;
    const double begin = system_now();
    if (item->finish_status)
        return cli_fail("%s", item->parcel.error.text);
    if (item->parcel.status)
        cli_warn("%s: %s", v->shown, item->parcel.error.text);
    run_put_frame(&r->text, r->model, v->shown, item);
    if (r->text.failed)
        return cli_fail("%s: no memory for a line", v->shown);
    if (output_write(&r->lines, r->text.text, r->text.length))
        return CLI_NOTHING;
    r->seconds_find += item->seconds_find;
    r->seconds_crop += item->seconds_crop;
    r->seconds_overlay += item->seconds_finish;
    r->images++;
    v->lines++;
    v->damaged += item->frame.damaged;
    r->failed += item->parcel.status != LIMBER_OK;
    r->people += (size_t)item->parcel.people.count;
    r->seconds_write += system_now() - begin;
    progress_step(&r->progress, r->images - r->resumed, r->people);
    return CLI_DONE;
}

static bool done(void *context, struct parcel *parcel)
{
    struct run *r = context;
    struct run_video *v = r->video;
    struct frame_item *item = (struct frame_item *)parcel;
    if (v->writer && parcel->status) /* nobody is known in it, but the film goes on */
        frames_finish(v->frames, item);
    frames_wait(v->frames, item);
    r->status = write_line(r, item);
    frames_release(v->frames, item);
    return !r->status;
}

/* ---- one video ---- */

static void say(void *context, const char *text)
{
    const struct run_video *v = context;
    cli_warn("%s: %s", v->shown, text);
}

static char *overlay_name(const char *shown, bool alike)
{
    return run_overlay_name(strcmp(shown, "-") ? shown : "stdin", alike, "mp4");
}

/* Whether an input before this one has its overlay's plain name. */
static bool is_alike(const struct inputs *in, size_t number)
{
    bool alike = false;
    char *shown = without_password(in->v[number].path), *name = shown ? overlay_name(shown, false) : NULL;
    for (size_t i = 0; name && i < number && !alike; i++) {
        char *other = without_password(in->v[i].path), *taken = other ? overlay_name(other, false) : NULL;
        alike = taken && !strcmp(name, taken);
        free(other);
        free(taken);
    }
    free(shown);
    free(name);
    return alike;
}

static limber_status open_overlay(struct run *r, limber_error *err)
{
    struct run_video *v = r->video;
    char *name = overlay_name(v->shown, v->alike);
    if (!name || asprintf(&v->path, "%s/overlay/%s", r->out, name) < 0)
        v->path = NULL;
    free(name);
    if (!v->path || asprintf(&v->partial, "%s.partial", v->path) < 0) {
        v->partial = NULL;
        return limber_fail(err, LIMBER_E_MEMORY, "no memory for an overlay");
    }
    char *slash = strrchr(v->path, '/');
    *slash = 0;
    const int status = output_folder(v->path);
    *slash = '/';
    if (status)
        return limber_fail(err, LIMBER_E_IO, "the overlay of %s has no folder to go to", v->shown);
    const int copies = v->options.side_by_side ? 2 : 1;
    const struct video_writer_options o = {
        .codec = v->options.codec, .threads = r->session->threads, .from_first = isfinite(v->from), .context = v, .say = say};
    limber_status st =
        v->plugin->writer_open(&v->writer, v->partial, copies * v->about.width, v->about.height, v->reader, &o, err);
    if (st)
        limber_error_prefix(err, "%s", v->path);
    return st;
}

/* What plays is kept, also where the run was stopped or the video ends too soon. */
static int close_overlay(struct run_video *v)
{
    limber_error err;
    if (!v->writer)
        return CLI_DONE;
    const double begin = system_now();
    limber_status st = v->plugin->writer_close(&v->writer, &err);
    v->seconds_encode += system_now() - begin;
    if (st)
        return cli_fail("%s: %s", v->path, err.text);
    if (rename(v->partial, v->path))
        return cli_fail("%s: %s", v->path, error_text(errno));
    return CLI_DONE;
}

static limber_status open_video(struct run *r, limber_error *err)
{
    struct run_video *v = r->video;
    const struct video_options o = {.live = v->options.live,
                                    .audio = r->overlay,
                                    .threads = r->session->threads < 8 ? r->session->threads : 8,
                                    .stop = &cli_stopped,
                                    .end = &v->end,
                                    .context = v,
                                    .say = say};
    v->end = 0;
    limber_status st = LIMBER_OK;
    if (v->input->failure)
        return limber_fail(err, LIMBER_E_IO, "folder cannot be read: %s", error_text(v->input->failure));
    st = v->plugin->reader_open(&v->reader, v->input->path, &o, &v->about, err);
    const struct config *c = &r->model->config;
    const struct track_options track = {
        .keypoints = c->keypoints, .sigmas = c->skeleton ? c->skeleton->sigmas : NULL, .keep = TRACK_KEEP, .sure = v->sure};
    if (!st && v->tracks)
        st = tracker_open(&v->tracker, &track, err);
    const struct smooth_options smooth = smooth_options_default();
    if (!st && v->options.smooth)
        st = smoother_open(&v->smoother, &smooth, c->keypoints, err);
    return st;
}

static void close_video(struct run_video *v)
{
    v->end = 1;
    frames_close(&v->frames);
    tracker_close(&v->tracker);
    smoother_close(&v->smoother);
    if (v->reader)
        v->plugin->reader_close(&v->reader);
    free(v->path);
    free(v->partial);
    free(v->shown);
    v->path = v->partial = v->shown = NULL;
}

/* A video that cannot be opened, or ends too soon, has a line that says so. */
static int write_failure(struct run *r, const char *text)
{
    struct run_video *v = r->video;
    cli_warn("%s: %s", v->shown, text);
    put_clear(&r->text);
    put_open(&r->text, '{');
    put_key(&r->text, "video"), put_string(&r->text, v->shown);
    put_key(&r->text, "error"), put_string(&r->text, text);
    put_close(&r->text, '}');
    put_newline(&r->text);
    r->failed++;
    if (r->text.failed)
        return cli_fail("no memory");
    return output_write(&r->lines, r->text.text, r->text.length) ? CLI_NOTHING : CLI_DONE;
}

static int take_frames(struct run *r)
{
    struct run_video *v = r->video;
    limber_error err;
    const size_t usual = stream_window(r->session, r->workers), least = (size_t)r->workers + 3;
    const size_t most = v->options.live ? least : usual;
    const struct frames_calls calls = {.context = r,
                                       .wanted = wanted,
                                       .looks = looks,
                                       .find = r->find.whole ? NULL : find,
                                       .finish = finish,
                                       .stop = &cli_stopped,
                                       .live = v->options.live};
    const struct conveyor conveyor = {.context = r,
                                      .next = next,
                                      .seen = seen,
                                      .is_ready = is_ready,
                                      .done = done,
                                      .stop = &cli_stopped,
                                      .window = frames_window(most, least, v->about.width, v->about.height)};
    v->handed = v->seen = v->lines = 0;
    if (frames_open(&v->frames, r->model, v->plugin, v->reader, r->workers, conveyor.window, &calls, &err) ||
        conveyor_run(r->session, &conveyor, &err))
        return cli_fail("%s: %s", v->shown, err.text);
    if (r->status)
        return r->status;
    double decode, convert;
    size_t dropped;
    frames_counts(v->frames, &dropped, &decode, &convert);
    v->dropped += dropped;
    r->seconds_decode += decode;
    v->seconds_convert += convert;
    v->unfinished |= cli_stopped != 0;
    if (!cli_stopped && frames_ended(v->frames, &err))
        return write_failure(r, err.text);
    return CLI_DONE;
}

static int run_video(struct run *r)
{
    struct run_video *v = r->video;
    limber_error err = {0};
    v->end = 0;
    int status;
    if (open_video(r, &err)) {
        v->unfinished |= cli_stopped != 0;
        status = cli_stopped ? CLI_DONE : write_failure(r, err.text);
    } else if (r->overlay && open_overlay(r, &err)) {
        status = cli_fail("%s", err.text);
    } else {
        v->videos++;
        status = take_frames(r);
    }
    v->end = 1;
    frames_close(&v->frames); /* nobody draws any more */
    const int closed = close_overlay(v);
    close_video(v);
    return status ? status : closed;
}

/* ---- all videos ---- */

static struct seen_video *find_seen(struct seen_videos *s, const char *name, size_t length)
{
    for (size_t i = s->count; i-- > 0;)
        if (strlen(s->v[i].name) == length && !memcmp(s->v[i].name, name, length))
            return &s->v[i];
    return NULL;
}

/* One line of an earlier run. */
static int see_line(void *context, const char *text, size_t length)
{
    struct seen_videos *s = context;
    struct line l;
    if (!line_parse_frame(&l, text, length))
        return cli_fail(LINES ": line %zu is not of a video: --resume goes on only with its own output", s->lines + 1);
    struct seen_video *v = find_seen(s, l.name, l.name_length);
    if (!v && s->count == s->room) {
        const size_t room = s->room ? 2 * s->room : 16;
        struct seen_video *more = realloc(s->v, room * sizeof *more);
        if (!more)
            return cli_fail("no memory");
        s->v = more;
        s->room = room;
    }
    if (!v) {
        v = &s->v[s->count];
        *v = (struct seen_video){strndup(l.name, l.name_length), -1, false};
        if (!v->name)
            return cli_fail("no memory");
        s->count++;
    }
    if (l.frame >= 0)
        v->last = l.frame;
    v->closed |= l.frame < 0;
    s->lines++;
    s->failed += l.failed;
    s->people += l.people;
    return CLI_DONE;
}

static int open_lines(struct run *r, struct seen_videos *seen_before)
{
    if (!r->out)
        return output_stdout(&r->lines);
    int status = output_folder(r->out);
    if (!status)
        status = run_check_same_command(r);
    if (!status && r->resume)
        status = run_check_same_kind(r);
    if (status)
        return status;
    if (!r->resume)
        return output_new(&r->lines, r->out, LINES);
    status = output_resume(&r->lines, r->out, LINES, see_line, seen_before);
    r->images = r->resumed = seen_before->lines;
    r->people = seen_before->people;
    r->failed = seen_before->failed;
    return status;
}

/* Where an earlier run stopped. */
static int set_resumed(struct run *r, struct seen_videos *s)
{
    struct run_video *v = r->video;
    v->resumed = -1;
    v->closed = false;
    put_clear(&r->text);
    put_string(&r->text, v->shown);
    if (r->text.failed)
        return cli_fail("no memory");
    const struct seen_video *before = find_seen(s, r->text.text, r->text.length);
    if (before) {
        v->resumed = before->last;
        v->closed = before->closed;
    }
    return CLI_DONE;
}

static void say_summary(const struct run *r)
{
    const struct run_video *v = r->video;
    const double total = system_now() - r->begin;
    const size_t frames = r->images - r->resumed;
    fprintf(stderr, "limber: videos %zu, frames %zu, people %zu, failed %zu%s; %.1f s", v->videos, r->images, r->people,
            r->failed, v->unfinished ? ", stopped before the end" : "", total);
    if (r->resumed)
        fprintf(stderr, ", %zu lines were there already", r->resumed);
    else if (total > 0)
        fprintf(stderr, ", %.1f frames/s", (double)frames / total);
    if (v->options.live)
        fprintf(stderr, ", %zu frames left out", v->dropped);
    fputc('\n', stderr);
    char *left_out = inputs_left_out_text(&r->inputs);
    if (left_out && *left_out)
        fprintf(stderr, "limber: left out in folders: %s\n", left_out);
    free(left_out);
}

static int all_videos(struct run *r, struct seen_videos *seen_before)
{
    struct run_video *v = r->video;
    int status = CLI_DONE;
    for (size_t i = 0; !status && i < r->inputs.count; i++) {
        v->input = &r->inputs.v[i];
        v->shown = without_password(v->input->path);
        v->alike = r->overlay && is_alike(&r->inputs, i);
        if (!v->shown)
            return cli_fail("no memory");
        if ((status = set_resumed(r, seen_before)))
            break;
        if (cli_stopped) {
            v->unfinished = true;
            break;
        }
        if (!v->closed)
            status = run_video(r);
        free(v->shown);
        v->shown = NULL;
    }
    free(v->shown);
    v->shown = NULL;
    return status;
}

static int run_all(struct run *r)
{
    struct run_video *v = r->video;
    struct seen_videos seen_before = {0};
    r->begin = system_now();
    r->workers = stream_workers_for(r->model, r->threads, true);
    int status = r->find.whole ? CLI_DONE : finders_open(&r->finders, &r->common, &r->find, r->workers, r->workers);
    v->sure = !status && !r->find.whole ? detector_evidence(r->finders.detector) : 0;
    if (!status)
        status = run_read_contents(r, !r->find.whole);
    if (!status)
        status = open_lines(r, &seen_before);
    if (!status)
        status = run_enter_sandbox(r);
    if (!status)
        status = run_open_session(r);
    if (!status && r->out)
        status = run_write_about(r, false);
    if (!status) {
        progress_start(&r->progress, 0, !r->common.quiet);
        status = all_videos(r, &seen_before);
        progress_clear(&r->progress);
    }
    if (r->lines.fd >= 0 && status)
        output_abandon(&r->lines);
    else if (r->lines.fd >= 0)
        status = output_close(&r->lines);
    if (!status && r->out)
        status = run_write_about(r, !v->unfinished);
    if (!r->common.quiet && status != CLI_NOTHING)
        say_summary(r);
    for (size_t i = 0; i < seen_before.count; i++)
        free(seen_before.v[i].name);
    free(seen_before.v);
    if (status)
        return status;
    return v->unfinished ? CLI_INTERRUPTED : r->failed ? CLI_SOME_FAILED : CLI_DONE;
}

/* All videos that the arguments mean. */
static int list_videos(struct run *r, const struct cli_command *command, char **arguments, int count)
{
    char *drawn = r->out ? output_path(r->out, "overlay") : NULL;
    int status = inputs_list_videos(&r->inputs, arguments, count, drawn);
    free(drawn);
    r->only_films = true;
    for (size_t i = 0; !status && i < r->inputs.count; i++) {
        const char *path = r->inputs.v[i].path;
        r->only_films = r->only_films && !is_url(path) && !is_camera(path);
        if (r->resume && !strcmp(path, "-"))
            status = cli_usage(command, "--resume knows a video by its name, and standard input has none");
    }
    return status;
}

int run_videos(struct run *r, const struct cli_command *command, char **arguments, int count)
{
    struct run_video v = {.options = r->video_options};
    limber_error err;
    r->video = &v;
    int status = check_options(r, command, count);
    if (status)
        return status;
    r->common.options.flip = r->flip;
    r->threads = r->common.options.threads ? r->common.options.threads : system_cpus();
    cli_catch_signals();
    status = list_videos(r, command, arguments, count);
    if (!status && video_plugin_find(&v.plugin, &err))
        status = cli_fail("%s", err.text);
    if (!status)
        status = cli_model_open(&r->common, &r->model);
    if (!status)
        status = run_all(r);
    free(v.canvas);
    run_close(r);
    return status;
}

void run_video_put_about(struct json_text *t, const struct run *r)
{
    const struct run_video *v = r->video;
    const struct run_video_options *o = &v->options;
    put_key(t, "video"), put_open(t, '{');
    put_key(t, "track"), put_bool(t, v->tracks);
    put_key(t, "smooth"), put_bool(t, o->smooth);
    put_key(t, "every"), put_integer(t, o->every > 1 ? o->every : 1);
    put_key(t, "detect_every"), put_integer(t, o->detect_every > 1 ? o->detect_every : 1);
    put_key(t, "from"), put_number(t, v->from, 6); /* null: its beginning */
    put_key(t, "to"), put_number(t, v->to, 6);
    put_key(t, "live"), put_bool(t, o->live);
    put_key(t, "libraries"), put_string(t, v->plugin->libraries);
    put_close(t, '}');
    put_key(t, "frames"), put_open(t, '{');
    put_key(t, "videos"), put_integer(t, (long long)v->videos);
    put_key(t, "damaged"), put_integer(t, (long long)v->damaged);
    put_key(t, "left_out"), put_integer(t, (long long)v->dropped);
    put_key(t, "seconds_convert"), put_number(t, v->seconds_convert, 3);
    put_key(t, "seconds_track"), put_number(t, v->seconds_track, 3);
    put_key(t, "seconds_close"), put_number(t, v->seconds_encode, 3);
    put_close(t, '}');
}
