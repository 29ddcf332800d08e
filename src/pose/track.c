/* SPDX-License-Identifier: MIT */
/* pose/track.c - see pose/track.h. What the constants are worth: bench/bench_track.c. */
#include "pose/track.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "pose/assign.h"
#include "pose/same.h"

#define ALIKE 0.2            /* less is somebody else */
#define ALIKE_DOUBTFUL 0.6   /* ... of somebody whom the detector is not sure of */
#define JOINTS_SHARE 0.75    /* of what counts as alike; the rest is the boxes' */
#define VELOCITY_SECONDS 0.4 /* over which a velocity is averaged */
#define STRIDE_SECONDS 1.5   /* how long somebody who is hidden keeps on at that velocity, before he is taken to slow down */

struct track {
    int id;
    double seen; /* when */
    double vx, vy;
    bool moving;          /* the velocity is known */
    limber_person person; /* as last seen; keypoints lie in tracker.joints, limbs are not kept */
};

struct tracker {
    struct track_options options;
    struct track *v; /* [count], oldest first */
    int count, room, next;
    limber_keypoint *joints; /* [room][keypoints], by place in v */
    limber_person *expected; /* [room] */
    limber_keypoint *moved;  /* [room][keypoints] */
    double time;             /* of the last frame */
    bool begun;
};

limber_status tracker_open(struct tracker **out, const struct track_options *options, limber_error *err)
{
    *out = calloc(1, sizeof **out);
    if (!*out)
        return limber_fail(err, LIMBER_E_MEMORY, "no memory for tracks");
    **out = (struct tracker){.options = *options, .next = 1};
    return LIMBER_OK;
}

void tracker_close(struct tracker **tracker)
{
    if (!tracker || !*tracker)
        return;
    struct tracker *t = *tracker;
    free(t->v);
    free(t->joints);
    free(t->expected);
    free(t->moved);
    free(t);
    *tracker = NULL;
}

static size_t joints_of(const struct tracker *t)
{
    return (size_t)t->options.keypoints;
}

static bool without(const struct tracker *t, unsigned part)
{
    return t->options.without & part;
}

/* Room for so many tracks; what is there stays. */
static limber_status reserve(struct tracker *t, int room, limber_error *err)
{
    if (room <= t->room)
        return LIMBER_OK;
    room = room > 2 * t->room ? room : 2 * t->room;
    const size_t n = (size_t)room, joints = joints_of(t);
    struct track *v = realloc(t->v, n * sizeof *v);
    t->v = v ? v : t->v;
    limber_keypoint *k = realloc(t->joints, n * joints * sizeof *k);
    t->joints = k ? k : t->joints;
    limber_person *e = realloc(t->expected, n * sizeof *e);
    t->expected = e ? e : t->expected;
    limber_keypoint *m = realloc(t->moved, n * joints * sizeof *m);
    t->moved = m ? m : t->moved;
    if (!v || !k || !e || !m)
        return limber_fail(err, LIMBER_E_MEMORY, "no memory for %d tracks", room);
    t->room = room;
    return LIMBER_OK;
}

/* ---- where a track should be ---- */

static double travelled(double seconds)
{
    return STRIDE_SECONDS * (1 - exp(-seconds / STRIDE_SECONDS));
}

static void expect(struct tracker *t, int i, double time)
{
    const struct track *k = &t->v[i];
    const double far = k->moving && !without(t, TRACK_VELOCITY) ? travelled(time - k->seen) : 0;
    const float dx = (float)(k->vx * far), dy = (float)(k->vy * far);
    limber_keypoint *to = t->moved + (size_t)i * joints_of(t);
    const limber_keypoint *from = t->joints + (size_t)i * joints_of(t);
    for (int j = 0; j < t->options.keypoints; j++)
        to[j] = (limber_keypoint){from[j].x + dx, from[j].y + dy, from[j].score};
    t->expected[i] = k->person;
    t->expected[i].box.x += dx;
    t->expected[i].box.y += dy;
    t->expected[i].keypoints = to;
    t->expected[i].limbs = NULL;
    t->expected[i].limb_count = 0;
}

/* ---- how alike ---- */

static double overlap(limber_box a, limber_box b)
{
    const double w = fmin((double)a.x + (double)a.width, (double)b.x + (double)b.width) - fmax((double)a.x, (double)b.x);
    const double h = fmin((double)a.y + (double)a.height, (double)b.y + (double)b.height) - fmax((double)a.y, (double)b.y);
    if (!(w > 0 && h > 0))
        return 0;
    return w * h / ((double)a.width * (double)a.height + (double)b.width * (double)b.height - w * h);
}

/* COCO's similarity over the joints that both know. Where they share too few, -1. */
static double joints_alike(const struct tracker *t, const limber_person *a, const limber_person *b)
{
    const double area = ((double)a->box.width * (double)a->box.height + (double)b->box.width * (double)b->box.height) / 2;
    double sum = 0;
    int n = 0;
    for (int k = 0; k < t->options.keypoints; k++) {
        const limber_keypoint *p = &a->keypoints[k], *q = &b->keypoints[k];
        if (p->score < TRACK_JOINT_SCORE || q->score < TRACK_JOINT_SCORE)
            continue;
        const double dx = (double)p->x - (double)q->x, dy = (double)p->y - (double)q->y;
        const double wide = 2 * (t->options.sigmas ? t->options.sigmas[k] : 0.07);
        sum += exp(-(dx * dx + dy * dy) / (2 * wide * wide * area));
        n++;
    }
    return n >= 3 ? sum / n : -1;
}

static double alike(const struct tracker *t, int i, const limber_person *p)
{
    const double boxes = overlap(t->expected[i].box, p->box);
    const double joints = without(t, TRACK_JOINTS) ? -1 : joints_alike(t, &t->expected[i], p);
    return joints < 0 ? boxes : without(t, TRACK_BOXES) ? joints : JOINTS_SHARE * joints + (1 - JOINTS_SHARE) * boxes;
}

/* ---- a person goes on a track ---- */

/* How far the body went: the mean over the joints known before and now, else the boxes' centres. */
static void displacement(const struct tracker *t, int i, const limber_person *p, double *dx, double *dy)
{
    const limber_keypoint *was = t->joints + (size_t)i * joints_of(t);
    double x = 0, y = 0;
    int n = 0;
    for (int k = 0; k < t->options.keypoints; k++) {
        if (was[k].score < TRACK_JOINT_SCORE || p->keypoints[k].score < TRACK_JOINT_SCORE)
            continue;
        x += (double)p->keypoints[k].x - (double)was[k].x;
        y += (double)p->keypoints[k].y - (double)was[k].y;
        n++;
    }
    const limber_box a = t->v[i].person.box, b = p->box;
    *dx = n >= 3 ? x / n : (double)b.x + (double)b.width / 2 - (double)a.x - (double)a.width / 2;
    *dy = n >= 3 ? y / n : (double)b.y + (double)b.height / 2 - (double)a.y - (double)a.height / 2;
}

static void keep(struct tracker *t, int i, limber_person *p, double time)
{
    struct track *k = &t->v[i];
    p->track = k->id;
    k->person = *p;
    k->seen = time;
    memcpy(t->joints + (size_t)i * joints_of(t), p->keypoints, joints_of(t) * sizeof *p->keypoints);
}

static void go_on(struct tracker *t, int i, limber_person *p, double time)
{
    struct track *k = &t->v[i];
    const double seconds = time - k->seen;
    if (seconds > 0) {
        double dx, dy;
        displacement(t, i, p, &dx, &dy);
        const double share = k->moving ? 1 - exp(-seconds / VELOCITY_SECONDS) : 1;
        k->vx += share * (dx / seconds - k->vx);
        k->vy += share * (dy / seconds - k->vy);
        k->moving = true;
    }
    keep(t, i, p, time);
}

static void begin(struct tracker *t, limber_person *p, double time)
{
    t->v[t->count] = (struct track){.id = t->next++};
    keep(t, t->count++, p, time);
}

/* ---- a frame ---- */

struct frame {
    limber_people *people;
    double time, last; /* now; the frame before */
    double *gain;      /* [people][tracks] */
    int *match;        /* [people] */
    bool *taken;       /* [tracks] */
};

/* One of the two passes: people that are sure (or not) with the tracks that nobody has. */
static limber_status pass(struct tracker *t, const struct frame *f, int tracks, bool sure, limber_error *err)
{
    for (int p = 0; p < f->people->count; p++) {
        limber_person *who = &f->people->person[p];
        const bool is_sure = !(same_evidence(who, t->options.keypoints) < t->options.sure);
        for (int i = 0; i < tracks; i++) {
            /* a doubtful answer says little about somebody who was not there the moment before */
            const bool open = !f->taken[i] && (sure || t->v[i].seen >= f->last);
            const double s = is_sure == sure && open && !who->track ? alike(t, i, who) : 0;
            f->gain[(size_t)p * (size_t)tracks + (size_t)i] = s >= (sure ? ALIKE : ALIKE_DOUBTFUL) ? s : 0;
        }
    }
    limber_status st = assign_best(f->gain, f->people->count, tracks, f->match, err);
    for (int p = 0; !st && p < f->people->count; p++) {
        if (f->match[p] < 0)
            continue;
        f->taken[f->match[p]] = true;
        go_on(t, f->match[p], &f->people->person[p], f->time);
    }
    return st;
}

static void forget(struct tracker *t, double time)
{
    const size_t joints = joints_of(t);
    int kept = 0;
    for (int i = 0; i < t->count; i++) {
        if (time - t->v[i].seen > t->options.keep)
            continue;
        if (kept != i) {
            t->v[kept] = t->v[i];
            memcpy(t->joints + (size_t)kept * joints, t->joints + (size_t)i * joints, joints * sizeof *t->joints);
        }
        kept++;
    }
    t->count = kept;
}

static limber_status update(struct tracker *t, struct frame *f, limber_error *err)
{
    const int tracks = t->count;
    limber_status st = pass(t, f, tracks, true, err);
    if (!st && !without(t, TRACK_DOUBTFUL))
        st = pass(t, f, tracks, false, err);
    for (int p = 0; !st && p < f->people->count; p++) {
        limber_person *who = &f->people->person[p];
        if (!who->track && !(same_evidence(who, t->options.keypoints) < t->options.sure))
            begin(t, who, f->time);
    }
    return st;
}

limber_status tracker_update(struct tracker *tracker, limber_people *people, double time, limber_error *err)
{
    struct tracker *t = tracker;
    if (people->count > 0 && people->keypoint_count != t->options.keypoints)
        return limber_fail(err, LIMBER_E_ARGUMENT, "tracks are of %d joints, people of %d", t->options.keypoints,
                           people->keypoint_count);
    const double last = t->time;
    if (isfinite(time) && (!t->begun || time > last)) {
        t->time = time;
        t->begun = true;
    }
    time = t->time;
    forget(t, time);
    limber_status st = reserve(t, t->count + people->count + 1, err);
    if (st)
        return st;
    for (int p = 0; p < people->count; p++)
        people->person[p].track = 0;
    for (int i = 0; i < t->count; i++)
        expect(t, i, time);
    const size_t n = (size_t)people->count + 1, tracks = (size_t)t->count + 1;
    struct frame f = {.people = people, .time = time, .last = last};
    f.gain = malloc(n * tracks * sizeof *f.gain);
    f.match = malloc(n * sizeof *f.match);
    f.taken = calloc(tracks, sizeof *f.taken);
    if (f.gain && f.match && f.taken)
        st = update(t, &f, err);
    else
        st = limber_fail(err, LIMBER_E_MEMORY, "no memory for %d people and %d tracks", people->count, t->count);
    free(f.gain);
    free(f.match);
    free(f.taken);
    return st;
}

int tracker_expect(struct tracker *tracker, double time, const limber_person **people)
{
    struct tracker *t = tracker;
    int n = 0;
    for (int i = 0; i < t->count; i++) {
        if (t->v[i].seen < t->time)
            continue;
        expect(t, i, time > t->time ? time : t->time);
        t->expected[n++] = t->expected[i];
    }
    *people = t->expected;
    return n;
}
