/* SPDX-License-Identifier: MIT */
/* pose/tracker.c - limber_tracker: pose/track.h and pose/smooth.h in a row, for who opens limber.h. */
#include <stdlib.h>

#include "base/error.h"
#include "model/model.h"
#include "pose/detector.h"
#include "pose/smooth.h"
#include "pose/track.h"

struct limber_tracker {
    struct tracker *tracker;
    struct smoother *smoother; /* NULL: joints stay as they are */
};

limber_status limber_tracker_open(limber_tracker **out, const limber_model *model, const limber_options *options,
                                  limber_error *err)
{
    if (out)
        *out = NULL;
    if (!out || !model)
        return limber_fail(err, LIMBER_E_ARGUMENT, "limber_tracker_open: %s is NULL", out ? "model" : "out");
    const limber_options o = options ? *options : limber_options_default();
    if (o.smooth < 0 || o.smooth > 1)
        return limber_fail(err, LIMBER_E_ARGUMENT, "options: smooth is %d, expected 0..1", o.smooth);
    limber_status st = LIMBER_CHECK_RESERVED(&o, "options", "limber_options_default()", err);
    if (st)
        return st;
    limber_tracker *t = calloc(1, sizeof *t);
    if (!t)
        return limber_fail(err, LIMBER_E_MEMORY, "no memory for tracks");
    const struct config *c = &model->config;
    const struct track_options track = {.keypoints = c->keypoints,
                                        .sigmas = c->skeleton ? c->skeleton->sigmas : NULL,
                                        .keep = TRACK_KEEP,
                                        .sure = o.detector ? detector_evidence(o.detector) : 0};
    const struct smooth_options smooth = smooth_options_default();
    st = tracker_open(&t->tracker, &track, err);
    if (!st && o.smooth)
        st = smoother_open(&t->smoother, &smooth, c->keypoints, err);
    if (st)
        limber_tracker_close(&t);
    *out = t;
    return st;
}

void limber_tracker_close(limber_tracker **tracker)
{
    if (!tracker || !*tracker)
        return;
    tracker_close(&(*tracker)->tracker);
    smoother_close(&(*tracker)->smoother);
    free(*tracker);
    *tracker = NULL;
}

limber_status limber_tracker_update(limber_tracker *tracker, limber_people *people, double seconds, limber_error *err)
{
    if (!tracker || !people)
        return limber_fail(err, LIMBER_E_ARGUMENT, "limber_tracker_update: %s is NULL", tracker ? "people" : "tracker");
    limber_status st = tracker_update(tracker->tracker, people, seconds, err);
    if (!st && tracker->smoother)
        st = smoother_update(tracker->smoother, people, seconds, err);
    return st;
}
