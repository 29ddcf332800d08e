/* SPDX-License-Identifier: MIT */
/* command/run/run_about.c - run.json: what decided a run's results, how far it came, and where the time went. What decides is all
 * but the keys that run_resume.c lists. */
#define _GNU_SOURCE
#include "command/run/run.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command/report/heads_report.h"
#include "compute/open.h"
#include "base/system.h"

static void put_absolute(struct json_text *t, const char *path)
{
    char *absolute = path ? realpath(path, NULL) : NULL;
    put_string(t, absolute ? absolute : path);
    free(absolute);
}

static void put_fingerprint(struct json_text *t, uint64_t value)
{
    char text[17];
    snprintf(text, sizeof text, "%016llx", (unsigned long long)value);
    put_string(t, text);
}

/* What decodes each format in this run: with another library come other pixels. */
static void put_decoders(struct json_text *t, const struct run *r)
{
    struct image_decoder all[DECODERS];
    const int n = image_decoders(all, DECODERS, run_only_built_in(r));
    put_key(t, "decoders"), put_open(t, '{');
    for (int i = 0; i < n; i++)
        put_key(t, all[i].format), put_string(t, all[i].decoder);
    put_close(t, '}');
}

/* How many pictures each decoder had in this run. */
static void put_decoded(struct json_text *t, const struct run *r)
{
    put_key(t, "decoded"), put_open(t, '{');
    for (int i = 0; i < DECODERS && r->decoded[i].decoder; i++)
        put_key(t, r->decoded[i].decoder), put_integer(t, (long long)r->decoded[i].pictures);
    put_close(t, '}');
}

static void put_path_or_built_in(struct json_text *t, const char *dir)
{
    if (dir)
        put_absolute(t, dir);
    else
        put_string(t, "built in");
}

static void put_computed(struct json_text *t, const struct run *r, const limber_model *model)
{
    put_key(t, "backend"), put_string(t, limber_model_backend(model));
    put_key(t, "precision"), put_string(t, limber_model_precision(model));
    if (*r->cuda)
        put_key(t, "cuda"), put_string(t, r->cuda);
}

/* What makes joints of boxes. */
static void put_pose(struct json_text *t, const struct run *r)
{
    const limber_options *o = &r->common.options;
    put_key(t, "model"), put_path_or_built_in(t, cli_model_dir(&r->common));
    put_key(t, "model_content"), put_fingerprint(t, r->model_content);
    put_key(t, "architecture"), put_string(t, r->model->config.model_name);
    put_key(t, "input"), put_open(t, '['); /* height, width */
    put_integer(t, r->model->config.image_h), put_integer(t, r->model->config.image_w);
    put_close(t, ']');
    put_computed(t, r, r->model);
    put_key(t, "attention"), put_string(t, o->attention ? o->attention : "exact");
    put_key(t, "prune"), put_string(t, o->prune);
    put_key(t, "expert"), put_integer(t, o->expert);
    put_key(t, "flip"), put_bool(t, r->flip);
    put_key(t, "refine"), put_integer(t, r->boxes_file ? 0 : o->refine);
    put_key(t, "min_score");
    if (isfinite(r->min_score))
        put_number(t, r->min_score, 6);
    else
        put_string(t, NULL);
    put_key(t, "boxes"), put_absolute(t, r->boxes_file);
    put_key(t, "boxes_content");
    if (r->boxes_file)
        put_fingerprint(t, r->boxes.fingerprint);
    else
        put_string(t, NULL);
    put_key(t, "category"), put_string(t, r->category);
    if (r->boxes_file)
        put_key(t, "boxes_read"), boxes_put_counts(t, &r->boxes);
}

/* Who finds the people: "none": the whole image is one person's box, or --boxes says it. */
static void put_detector(struct json_text *t, const struct run *r)
{
    const bool looks = !r->boxes_file && !r->find.whole;
    put_key(t, "detector");
    if (looks)
        put_path_or_built_in(t, finders_dir(&r->find));
    else
        put_string(t, "none");
    if (looks) {
        put_key(t, "detector_content"), put_fingerprint(t, r->detector_content);
        put_key(t, "person_label"), put_string(t, r->find.person_label);
    }
    put_key(t, "min_box_score"), put_number(t, r->find.min_box_score, 6); /* 0, null: not asked for */
    put_key(t, "max_people");
    if (r->find.max_people)
        put_integer(t, r->find.max_people);
    else
        put_string(t, NULL);
    if (r->detects)
        put_computed(t, r, detector_model(r->finders.detector));
}

/* Of the whole output. */
static void put_counts(struct json_text *t, const struct run *r)
{
    put_key(t, "counts"), put_open(t, '{');
    put_key(t, "images"), put_integer(t, (long long)r->images);
    put_key(t, "failed"), put_integer(t, (long long)r->failed);
    put_key(t, "people"), put_integer(t, (long long)r->people);
    if (!r->detects && !r->boxes_file && !r->find.whole)
        put_key(t, "doubted"), put_integer(t, (long long)r->doubted);
    put_key(t, "resumed"), put_integer(t, (long long)r->resumed);
    put_key(t, "left"), put_integer(t, (long long)(r->inputs.count + r->resumed - r->images));
    put_close(t, '}');
}

/* decode, find, crop and overlay are summed over the worker threads, which run beside the forward pass */
static void put_seconds(struct json_text *t, const struct run *r)
{
    put_key(t, "seconds"), put_open(t, '{');
    put_key(t, "decode"), put_number(t, r->seconds_decode, 3);
    put_key(t, "find"), put_number(t, r->seconds_find, 3);
    if (!r->detects) {
        put_key(t, "crop"), put_number(t, r->seconds_crop + (r->session ? r->session->seconds_crop : 0), 3);
        put_key(t, "forward"), put_number(t, r->session ? r->session->seconds_forward : 0, 3);
    }
    put_key(t, "overlay"), put_number(t, r->seconds_overlay, 3);
    put_key(t, "write"), put_number(t, r->seconds_write, 3);
    if (r->heads)
        put_key(t, "heads"), put_number(t, r->seconds_heads, 3);
    put_key(t, "total"), put_number(t, system_now() - r->begin, 3);
    put_close(t, '}');
}

void run_put_about(struct json_text *t, const struct run *r, bool complete)
{
    t->pretty = true;
    put_open(t, '{');
    put_key(t, "limber"), put_string(t, limber_version());
    put_key(t, "command"), put_string(t, run_command(r));
    put_key(t, "complete"), put_bool(t, complete);
    if (r->video)
        run_video_put_about(t, r);
    if (!r->detects)
        put_pose(t, r);
    put_detector(t, r);
    put_decoders(t, r);
    put_key(t, "overlay"), put_string(t, r->overlay ? r->overlay_kind : NULL);
    if (r->overlay)
        put_key(t, "overlay_size"), put_integer(t, r->overlay_size);
    put_key(t, "full_resolution"), put_bool(t, !run_reduces(r));
    put_key(t, "left_out"), put_open(t, '{'); /* of folders among the inputs */
    put_key(t, "videos"), put_integer(t, (long long)r->inputs.left_out.videos);
    if (r->video)
        put_key(t, "pictures"), put_integer(t, (long long)r->inputs.left_out.pictures);
    put_key(t, "raw"), put_integer(t, (long long)r->inputs.left_out.raw);
    put_key(t, "others"), put_integer(t, (long long)r->inputs.left_out.others);
    put_key(t, "hidden"), put_integer(t, (long long)r->inputs.left_out.hidden);
    put_key(t, "folders"), put_integer(t, (long long)r->inputs.left_out.litter);
    put_close(t, '}');
    put_key(t, "shard"), put_string(t, r->shard);
    put_key(t, "sandbox"), put_string(t, *r->sandboxed ? r->sandboxed : NULL);
    put_key(t, "isolate"), put_string(t, *r->isolated ? r->isolated : NULL);
    put_key(t, "threads"), put_integer(t, r->threads);
    put_key(t, "workers"), put_integer(t, r->workers);
    if (!r->detects)
        put_key(t, "batch"), put_integer(t, r->session ? r->session->batch : 0);
    put_counts(t, r);
    put_decoded(t, r);
    put_seconds(t, r);
    limber_heads_result heads;
    if (r->heads && complete && !limber_heads_summarise(r->heads, &heads, NULL)) {
        put_key(t, "heads"), heads_report_short(t, &heads);
        limber_heads_result_free(&heads);
    }
    put_close(t, '}');
    put_newline(t);
}

int run_write_about(const struct run *r, bool complete)
{
    struct json_text t = {0};
    run_put_about(&t, r, complete);
    int status = t.failed ? cli_fail("no memory") : output_file(r->out, ABOUT, t.text, t.length);
    put_free(&t);
    return status;
}
