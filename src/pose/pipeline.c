/* SPDX-License-Identifier: MIT */
/* START HERE: from pixels to people. Each step, and the file that does it:
 *
 *     bytes of a file -> upright RGB              image/image.c       image_decode
 *     who is where                                pose/finder.c       finder_find (or command/boxes.c: --boxes)
 *     box -> the network's input, 8-bit RGB       pose/crop.c         crop_region_of_box, crop_sample
 *     crop -> patches -> blocks -> heatmaps       pose/vit.c          vit_forward, written once over compute/backend.h
 *         every operation, plainly                compute/ref.c
 *         the same, fast                          compute/cpu/, ../cuda/
 *     heatmap -> sub-pixel joint                  compute/joints.c    joint_decode
 *     joint -> pixels of the image                pose/crop.c         crop_to_image
 *     joints -> lengths and angles of limbs       pose/limbs.c        limbs_measure (which bones: model/skeleton.c)
 *     people of frames -> numbers, no jitter      pose/track.c, pose/smooth.c (videos)
 *     people -> JSON, overlay                     command/run/run_line.c, image/overlay.c
 *
 * and before the first pixel, checkpoint directory -> packed weights: model/model.c.
 *
 * One image on its way is a struct job. limber_run is job_prepare, jobs_forward and job_finish in a row. For pictures that come one
 * after another pose/conveyor.c calls the last two, and the sender the first, beside the forward pass of the pictures before.
 * A person's result depends on its own crop only: neither the batch it shares nor the number of threads changes a bit. */
#include "pose/pipeline.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/system.h"
#include "pose/limbs.h"
#include "pose/pixels.h"
#include "pose/same.h"
#include "pose/track.h"

#define MAX_BATCH 1024
#define MAX_THREADS 1024
#define MAX_REFINE 16
#define CROPS_AHEAD 256 /* crops job_prepare keeps (37 MB at 256x192); the rest of a crowd is sampled batch by batch */

/* ---- a session ---- */

static limber_status in_range(const char *what, int value, int low, int high, limber_error *err)
{
    if (value >= low && value <= high)
        return LIMBER_OK;
    return limber_fail(err, LIMBER_E_ARGUMENT, "options: %s is %d, expected %d..%d", what, value, low, high);
}

static limber_status check_options(const limber_options *o, limber_error *err)
{
    limber_status st;
    if ((st = in_range("threads", o->threads, 0, MAX_THREADS, err)) || (st = in_range("batch", o->batch, 0, MAX_BATCH, err)) ||
        (st = in_range("flip", o->flip, 0, 1, err)) || (st = in_range("refine", o->refine, 0, MAX_REFINE, err)) ||
        (st = in_range("track", o->track, 0, 1, err)) || (st = in_range("max_people", o->max_people, 0, FINDER_BOXES_MAX, err)))
        return st;
    if (!(o->min_box_score >= 0 && o->min_box_score <= 1))
        return limber_fail(err, LIMBER_E_ARGUMENT, "options: min_box_score is %g, expected 0..1", (double)o->min_box_score);
    return LIMBER_CHECK_RESERVED(o, "options", "limber_options_default()", err);
}

static size_t crop_bytes(const struct config *c)
{
    return (size_t)c->image_h * (size_t)c->image_w * 3;
}

/* What a forward pass wants. */
static limber_status open_model(limber_session *s, const limber_options *o, limber_error *err)
{
    const struct limber_model *model = s->model;
    const struct config *c = &model->config;
    const struct pass_shape shape = model_pass_shape(model, c->image_h, c->image_w);
    s->batch = o->batch ? o->batch : model->be->ops->preferred_batch(model->be, s->threads, &shape);
    s->crops = malloc((size_t)s->batch * crop_bytes(c));
    s->joints = malloc((size_t)s->batch * (size_t)c->keypoints * sizeof *s->joints);
    if (!s->crops || !s->joints)
        return limber_fail(err, LIMBER_E_MEMORY, "session: no memory for %d crops of %dx%d", s->batch, c->image_w, c->image_h);
    return vit_open(&s->vit, model, s->threads, s->batch, o->flip, err);
}

limber_status limber_session_open(limber_session **out, const limber_model *model, const limber_options *options,
                                  limber_error *err)
{
    if (out)
        *out = NULL;
    if (!out)
        return limber_fail(err, LIMBER_E_ARGUMENT, "limber_session_open: out is NULL");
    limber_options o = options ? *options : limber_options_default();
    limber_status st = check_options(&o, err);
    if (st)
        return st;
    if (!model && !o.detector)
        return limber_fail(err, LIMBER_E_ARGUMENT, "limber_session_open: model is NULL, and there is no detector either");
    limber_session *s = calloc(1, sizeof *s);
    if (!s)
        return limber_fail(err, LIMBER_E_MEMORY, "session: no memory");
    s->model = model;
    s->refine = o.refine;
    s->threads = o.threads ? o.threads : system_cpus();
    s->min_box_score = o.min_box_score;
    s->track = o.track;
    s->max_people = o.max_people ? o.max_people : FINDER_BOXES_MAX;
    if (model)
        st = open_model(s, &o, err);
    if (!st && o.detector)
        st = finder_open(&s->finder, o.detector, s->threads, 0, err);
    if (st)
        limber_session_close(&s);
    *out = s;
    return st;
}

limber_status session_has_model(const limber_session *session, const char *who, limber_error *err)
{
    if (session->model)
        return LIMBER_OK;
    return limber_fail(err, LIMBER_E_ARGUMENT, "%s: the session was opened without a model: it only finds people", who);
}

void limber_session_close(limber_session **session)
{
    if (!session || !*session)
        return;
    limber_session *s = *session;
    vit_close(&s->vit);
    if (s->finder.detector)
        finder_close(&s->finder);
    free(s->crops);
    free(s->joints);
    free(s);
    *session = NULL;
}

/* ---- one image: boxes to crops ---- */

/* !(a < b) rather than a >= b: a NaN must fail too. */
static limber_status check_box(const limber_box *b, int i, int count, const struct reduced_image *im, limber_error *err)
{
    const char *wrong = NULL;
    if (!(fabsf(b->x) < JOB_MAX_COORDINATE && fabsf(b->y) < JOB_MAX_COORDINATE && fabsf(b->width) < JOB_MAX_COORDINATE &&
          fabsf(b->height) < JOB_MAX_COORDINATE))
        wrong = "every number must be finite, and below 1e8";
    else if (!(b->width > 0 && b->height > 0))
        wrong = "width and height must be positive";
    else if (!(b->x < (float)im->width && b->y < (float)im->height && b->x + b->width > 0 && b->y + b->height > 0))
        wrong = "it lies wholly outside the image";
    if (!wrong)
        return LIMBER_OK;
    return limber_fail(err, LIMBER_E_ARGUMENT, "box %d of %d, [%g, %g, %g, %g] in an image of %dx%d: %s", i + 1, count,
                       (double)b->x, (double)b->y, (double)b->width, (double)b->height, im->width, im->height, wrong);
}

/* The only place that sees reduced pixels: pixel i of the view covers the picture's n i to n i + n - 1, its centre lies between. */
static void sample(uint8_t *dst, const struct config *c, const struct reduced_image *image, const struct subject *s)
{
    struct crop_region r = s->region;
    if (image->reduce > 1) {
        const float n = (float)image->reduce;
        r = (struct crop_region){(r.cx - (n - 1) / 2) / n, (r.cy - (n - 1) / 2) / n, r.width / n, r.height / n};
    }
    crop_sample(dst, c->image_h, c->image_w, &image->view, r);
}

static void place(struct subject *s, const struct config *c, limber_box box)
{
    s->box = box;
    s->region = crop_region_of_box(box, c->image_h, c->image_w, c->normalize_factor);
}

void job_free(struct job *job)
{
    if (!job)
        return;
    if (job->subjects) {
        free(job->subjects[0].crop); /* one block each for all subjects */
        free(job->subjects[0].joints);
    }
    free(job->subjects);
    *job = (struct job){0};
}

static limber_status check(const struct reduced_image *image, const limber_box *boxes, int count, limber_error *err)
{
    const limber_box everything = {0, 0, (float)image->width, (float)image->height};
    limber_status st = pixels_check(&image->view, err);
    if (boxes && count < 0)
        return limber_fail(err, LIMBER_E_ARGUMENT, "boxes: count is %d", count);
    if (!st && !boxes)
        st = check_box(&everything, 0, 1, image, err);
    for (int i = 0; !st && boxes && i < count; i++)
        st = check_box(&boxes[i], i, count, image, err);
    return st;
}

/* Boxes checked and placed; the first `crops` subjects have room for their crop, the others are sampled when their turn comes. */
static limber_status job_open(struct job *out, const struct config *c, const struct reduced_image *image, const limber_box *boxes,
                              int count, int crops, limber_error *err)
{
    *out = (struct job){0};
    limber_status st = check(image, boxes, count, err);
    limber_box everything = {0, 0, (float)image->width, (float)image->height};
    int n = boxes ? count : 1;
    const limber_box *box = boxes ? boxes : &everything;
    if (st)
        return st;
    struct job job = {.image = *image, .count = n, .refine = !boxes};
    if (n > 0) {
        crops = crops < n ? crops : n;
        size_t each = (size_t)c->keypoints;
        job.subjects = calloc((size_t)n, sizeof *job.subjects);
        limber_keypoint *joints = calloc((size_t)n * each, sizeof *joints);
        uint8_t *pixels = crops ? malloc((size_t)crops * crop_bytes(c)) : NULL;
        if (!job.subjects || !joints || (crops && !pixels)) {
            free(job.subjects);
            free(joints);
            free(pixels);
            return limber_fail(err, LIMBER_E_MEMORY, "no memory for %d people", n);
        }
        for (int i = 0; i < n; i++) {
            place(&job.subjects[i], c, box[i]);
            job.subjects[i].joints = joints + (size_t)i * each;
            job.subjects[i].crop = i < crops ? pixels + (size_t)i * crop_bytes(c) : NULL;
        }
    }
    *out = job;
    return LIMBER_OK;
}

static struct reduced_image whole(const limber_image *image)
{
    return (struct reduced_image){.view = *image, .width = image->width, .height = image->height, .reduce = 1};
}

limber_status job_check(const limber_image *image, const limber_box *boxes, int count, limber_error *err)
{
    const struct reduced_image all = whole(image);
    return check(&all, boxes, count, err);
}

limber_status job_prepare(struct job *out, const struct limber_model *model, const limber_image *image, const limber_box *boxes,
                          int count, limber_error *err)
{
    const struct reduced_image all = whole(image);
    return job_prepare_reduced(out, model, &all, boxes, count, err);
}

int job_reduction(const struct limber_model *model, int width, int height, const limber_box *boxes, int count)
{
    const struct config *c = boxes ? &model->config : NULL;
    int reduce = 8;
    while (!boxes && reduce > 1 && (width > height ? width : height) / reduce < JOB_REDUCED_SIDE)
        reduce /= 2;
    for (int i = 0; boxes && i < count; i++) {
        const struct crop_region r = crop_region_of_box(boxes[i], c->image_h, c->image_w, c->normalize_factor);
        /* not `<`: a NaN box must end at 1, where it is refused */
        while (reduce > 1 && !(r.width >= (float)(c->image_w * reduce) && r.height >= (float)(c->image_h * reduce)))
            reduce /= 2;
    }
    return reduce;
}

limber_status job_prepare_reduced(struct job *out, const struct limber_model *model, const struct reduced_image *image,
                                  const limber_box *boxes, int count, limber_error *err)
{
    limber_status st = job_open(out, &model->config, image, boxes, count, CROPS_AHEAD, err);
    for (int i = 0; !st && i < out->count && out->subjects[i].crop; i++)
        sample(out->subjects[i].crop, &model->config, image, &out->subjects[i]);
    return st;
}

/* ---- crops to joints, the people of all jobs side by side ---- */

/* One pass over the jobs' people. round 0: everybody, with the crop taken for them. Later: the people of jobs that refine, in
 * the place where crop_refine now sees them; whoever it leaves where they were is done. */
static limber_status forward_round(limber_session *s, struct job *jobs[], int count, int round, limber_error *err)
{
    const struct config *c = &s->model->config;
    size_t bytes = crop_bytes(c), joints = (size_t)c->keypoints;
    int job = 0, subject = 0;
    for (;;) {
        struct subject *turn[MAX_BATCH];
        int n = 0;
        double begin = system_now();
        for (; job < count; job++, subject = 0) {
            const struct job *j = jobs[job];
            if (round > 0 && !j->refine)
                continue;
            for (; subject < j->count && n < s->batch; subject++) {
                struct subject *who = &j->subjects[subject];
                uint8_t *crop = s->crops + (size_t)n * bytes;
                if (round > 0) {
                    const limber_image picture = {.width = j->image.width, .height = j->image.height};
                    limber_box box = crop_refine(who->box, who->joints, c->keypoints, &picture);
                    if (!memcmp(&box, &who->box, sizeof box))
                        continue;
                    place(who, c, box);
                }
                if (round == 0 && who->crop)
                    memcpy(crop, who->crop, bytes);
                else
                    sample(crop, c, &j->image, who);
                turn[n++] = who;
            }
            if (subject < j->count)
                break; /* the batch is full */
        }
        double cropped = system_now();
        s->seconds_crop += cropped - begin;
        if (n == 0)
            return LIMBER_OK;
        limber_status st = vit_forward(&s->vit, s->crops, n, s->joints, err);
        s->seconds_forward += system_now() - cropped;
        if (st)
            return st;
        for (int i = 0; i < n; i++)
            for (int k = 0; k < c->keypoints; k++)
                turn[i]->joints[k] =
                    crop_to_image(s->joints[(size_t)i * joints + (size_t)k], c->map_h, c->map_w, turn[i]->region);
    }
}

limber_status jobs_forward(limber_session *session, struct job *jobs[], int count, limber_error *err)
{
    limber_status st = LIMBER_OK;
    for (int round = 0; !st && round <= session->refine; round++)
        st = forward_round(session, jobs, count, round, err);
    return st;
}

/* ---- joints to people ---- */

static float mean_score(const limber_keypoint *joints, int count)
{
    double sum = 0;
    for (int k = 0; k < count; k++)
        sum += (double)joints[k].score;
    return (float)(sum / count);
}

/* Overflow in the network, which huge weights bring about, is no person and no absence of one. */
static limber_status check_finite(const limber_people *people, limber_error *err)
{
    for (int i = 0; i < people->count; i++)
        for (int k = 0; k < people->keypoint_count; k++) {
            const limber_keypoint *j = &people->person[i].keypoints[k];
            if (!isfinite(j->x) || !isfinite(j->y) || !isfinite(j->score))
                return limber_fail(
                    err, LIMBER_E_MODEL,
                    "person %d of %d: joint %d is (%g, %g), score %g: the network's result is not finite, which weights "
                    "or a precision unfit for them cause",
                    i + 1, people->count, k, (double)j->x, (double)j->y, (double)j->score);
        }
    return LIMBER_OK;
}

limber_status job_finish(struct job *job, const struct limber_model *model, limber_people *people, limber_error *err)
{
    size_t keypoints = (size_t)model->config.keypoints, count = (size_t)job->count;
    *people = (limber_people){.keypoint_count = model->config.keypoints};
    limber_status st = LIMBER_OK;
    /* Persons, their keypoints and limbs in one block: whoever sorts or drops persons can still free them. */
    const size_t limbs = model->config.skeleton ? (size_t)model->config.skeleton->limb_count : 0;
    size_t bytes = count * (sizeof *people->person + keypoints * sizeof(limber_keypoint) + limbs * sizeof(limber_limb));
    if (count > 0 && !(people->person = calloc(1, bytes))) {
        *people = (limber_people){0};
        st = limber_fail(err, LIMBER_E_MEMORY, "no memory for %d people", job->count);
    } else if (count > 0) {
        people->count = job->count;
        limber_keypoint *joints = (limber_keypoint *)(people->person + count);
        limber_limb *limb = (limber_limb *)(joints + count * keypoints);
        memcpy(joints, job->subjects[0].joints, count * keypoints * sizeof *joints);
        for (size_t i = 0; i < count; i++) {
            limber_person *p = &people->person[i];
            p->box = job->subjects[i].box;
            p->box_score = 1;
            p->keypoints = joints + i * keypoints;
            p->score = p->box_score * mean_score(p->keypoints, model->config.keypoints);
            if (limbs) {
                p->limbs = limb + i * limbs;
                p->limb_count = (int)limbs;
                limbs_measure(p);
            }
        }
    }
    if (!st && (st = check_finite(people, err)))
        limber_people_free(people);
    job_free(job);
    return st;
}

void limber_people_free(limber_people *people)
{
    if (!people)
        return;
    free(people->person);
    *people = (limber_people){0};
}

/* ---- people that nobody pointed at ---- */

limber_status limber_find(limber_session *session, const limber_image *image, limber_found *found, int room, int *count,
                          limber_error *err)
{
    if (count)
        *count = 0;
    if (!session || !image || !count || room < 0 || (room > 0 && !found))
        return limber_fail(err, LIMBER_E_ARGUMENT, "limber_find: %s", room < 0 ? "room is negative" : "a pointer is NULL");
    if (!session->finder.detector)
        return limber_fail(err, LIMBER_E_ARGUMENT, "limber_find: the session was opened without a detector");
    const int most = room < session->max_people ? room : session->max_people;
    return finder_find(&session->finder, image, session->min_box_score, found, most, count, err);
}

int people_score_found(limber_people *people, const float *scores, const struct limber_model *model,
                       const struct limber_detector *detector)
{
    return people_score_from(people, scores, model, detector ? detector_evidence(detector) : 0);
}

int people_score_from(limber_people *people, const float *scores, const struct limber_model *model, float least)
{
    int kept = 0, doubted = 0;
    for (int i = 0; i < people->count; i++) {
        limber_person p = people->person[i];
        p.box_score = scores[i];
        p.score *= scores[i];
        if (same_evidence(&p, people->keypoint_count) >= least)
            people->person[kept++] = p;
        else
            doubted++;
    }
    people->count = kept;
    same_suppress(people, &model->config, SAME_OKS);
    return doubted;
}

/* ---- the public calls ---- */

limber_status limber_run_images(limber_session *session, const limber_image *images, const limber_box *const *boxes,
                                const int *counts, int image_count, limber_people *people, limber_error *err)
{
    if (image_count < 0)
        return limber_fail(err, LIMBER_E_ARGUMENT, "limber_run_images: image_count is %d", image_count);
    if (people)
        memset(people, 0, (size_t)image_count * sizeof *people);
    if (image_count == 0)
        return LIMBER_OK;
    if (!session || !images || !people || (boxes && !counts))
        return limber_fail(err, LIMBER_E_ARGUMENT, "limber_run_images: %s is NULL",
                           !session  ? "session"
                           : !images ? "images"
                           : !people ? "people"
                                     : "counts (boxes is not)");
    limber_status st = session_has_model(session, "limber_run", err);
    if (st)
        return st;
    struct job *jobs = calloc((size_t)image_count, sizeof *jobs);
    struct job **list = calloc((size_t)image_count, sizeof *list);
    struct found_people *found = calloc((size_t)image_count, sizeof *found);
    if (!jobs || !list || !found)
        st = limber_fail(err, LIMBER_E_MEMORY, "no memory for %d images", image_count);
    for (int i = 0; !st && i < image_count; i++) {
        list[i] = &jobs[i];
        const struct reduced_image image = whole(&images[i]);
        const limber_box *box = boxes ? boxes[i] : NULL;
        int count = box ? counts[i] : 0;
        if (!box && session->finder.detector) {
            st = finder_people(&session->finder, &images[i], session->min_box_score, session->max_people, &found[i], err);
            box = found[i].boxes, count = found[i].count;
        }
        if (!st)
            st = job_open(&jobs[i], &session->model->config, &image, box, count, 0, err);
        if (st && image_count > 1)
            limber_error_prefix(err, "image %d of %d", i + 1, image_count);
    }
    if (!st)
        st = jobs_forward(session, list, image_count, err);
    for (int i = 0; !st && i < image_count; i++) {
        st = job_finish(&jobs[i], session->model, &people[i], err);
        if (!st && found[i].boxes)
            people_score_from(&people[i], found[i].scores, session->model,
                              detector_evidence(session->finder.detector) * (session->track ? TRACK_DOUBT : 1));
    }
    for (int i = 0; i < image_count; i++) {
        if (found)
            found_people_free(&found[i]);
        if (jobs)
            job_free(&jobs[i]);
        if (st)
            limber_people_free(&people[i]);
    }
    free(jobs);
    free(list);
    free(found);
    return st;
}

limber_status limber_run(limber_session *session, const limber_image *image, const limber_box *boxes, int count,
                         limber_people *people, limber_error *err)
{
    const limber_box *const one[] = {boxes};
    return limber_run_images(session, image, one, &count, 1, people, err);
}
