/* SPDX-License-Identifier: MIT */
/* pose/smooth.c - see pose/smooth.h. */
#include "pose/smooth.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "pose/limbs.h"

#define PI 3.14159265358979323846

struct joint {
    double x, y, vx, vy; /* filtered; velocity in pixels a second */
};
struct person {
    int track; /* 0: free */
    double time;
};
struct smoother {
    struct smooth_options options;
    int keypoints, count;
    struct person *v;     /* [count] */
    struct joint *joints; /* [count][keypoints], by place in v */
};

struct smooth_options smooth_options_default(void)
{
    return (struct smooth_options){.cutoff = 1.0, .slope = 4.0, .speed_cutoff = 1.0, .sure = 0.5, .forget = 0.5};
}

limber_status smoother_open(struct smoother **out, const struct smooth_options *options, int keypoints, limber_error *err)
{
    *out = calloc(1, sizeof **out);
    if (!*out)
        return limber_fail(err, LIMBER_E_MEMORY, "no memory to smooth joints");
    **out = (struct smoother){.options = *options, .keypoints = keypoints};
    return LIMBER_OK;
}

void smoother_close(struct smoother **smoother)
{
    if (!smoother || !*smoother)
        return;
    free((*smoother)->v);
    free((*smoother)->joints);
    free(*smoother);
    *smoother = NULL;
}

/* Whoever was not seen for long, or is of another part of the film. */
static void forget(struct smoother *s, double time)
{
    for (int i = 0; i < s->count; i++)
        if (!(fabs(time - s->v[i].time) <= s->options.forget))
            s->v[i].track = 0;
}

/* The filter of a track: its own, or a free place. NULL: no memory. */
static struct person *find(struct smoother *s, int track)
{
    struct person *free_one = NULL;
    for (int i = 0; i < s->count; i++) {
        if (s->v[i].track == track)
            return &s->v[i];
        if (!s->v[i].track)
            free_one = &s->v[i];
    }
    if (!free_one) {
        const int more = s->count ? 2 * s->count : 8;
        struct person *v = realloc(s->v, (size_t)more * sizeof *v);
        s->v = v ? v : s->v;
        struct joint *joints = realloc(s->joints, (size_t)more * (size_t)s->keypoints * sizeof *joints);
        s->joints = joints ? joints : s->joints;
        if (!v || !joints)
            return NULL;
        for (int i = s->count; i < more; i++)
            s->v[i] = (struct person){0};
        free_one = &s->v[s->count];
        s->count = more;
    }
    return free_one;
}

/* How much of the way to the new value a low-pass filter of this cutoff goes in so many seconds. */
static double share(double cutoff, double seconds)
{
    const double r = 2 * PI * cutoff * seconds;
    return r / (r + 1);
}

static void filter(const struct smooth_options *o, struct joint *j, limber_keypoint *k, double seconds, double size)
{
    const double sure = fmin(fmax((double)k->score / o->sure, 0.1), 1);
    const double to_speed = share(o->speed_cutoff * sure, seconds);
    j->vx += to_speed * (((double)k->x - j->x) / seconds - j->vx);
    j->vy += to_speed * (((double)k->y - j->y) / seconds - j->vy);
    const double speed = hypot(j->vx, j->vy) / size;
    const double to_place = share((o->cutoff + o->slope * speed) * sure, seconds);
    j->x += to_place * ((double)k->x - j->x);
    j->y += to_place * ((double)k->y - j->y);
    k->x = (float)j->x;
    k->y = (float)j->y;
}

limber_status smoother_update(struct smoother *smoother, limber_people *people, double time, limber_error *err)
{
    struct smoother *s = smoother;
    forget(s, time);
    for (int i = 0; i < people->count; i++) {
        limber_person *p = &people->person[i];
        if (!p->track)
            continue;
        struct person *f = find(s, p->track);
        if (!f)
            return limber_fail(err, LIMBER_E_MEMORY, "no memory to smooth the joints of %d people", people->count);
        struct joint *joints = s->joints + (size_t)(f - s->v) * (size_t)s->keypoints;
        const double seconds = time - f->time, size = fmax(sqrt((double)p->box.width * (double)p->box.height), 1);
        for (int k = 0; k < s->keypoints; k++) {
            limber_keypoint *j = &p->keypoints[k];
            if (!f->track)
                joints[k] = (struct joint){(double)j->x, (double)j->y, 0, 0};
            else if (seconds > 0)
                filter(&s->options, &joints[k], j, seconds, size);
            else
                j->x = (float)joints[k].x, j->y = (float)joints[k].y;
        }
        if (!f->track || seconds > 0)
            f->time = time;
        f->track = p->track;
        if (p->limb_count)
            limbs_measure(p);
    }
    return LIMBER_OK;
}
