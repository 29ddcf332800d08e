/* SPDX-License-Identifier: MIT */
/* crossings.h - people who walk past each other, and what a detector with a pose network would say of them: for tests of tracks, and
 * bench/bench_track.c. Nothing is drawn. A walker has a depth: whoever is nearer hides joints of who is behind; somebody of whom little
 * is left is found with doubt, and of whom nothing is left not at all. Numbers come from one seed. */
#ifndef LIMBER_CROSSINGS_H
#define LIMBER_CROSSINGS_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "limber.h"

#define CROSSING_WALKERS 24
#define CROSSING_JOINTS 17

struct crossing {
    int walkers;
    double fps, seconds;
    double noise;    /* of a joint and of a box's sides, in heights of the person */
    double missed;   /* share of answers that never come */
    double invented; /* doubtful answers a frame where nobody is */
    double pillar;   /* width of a pillar in the middle that hides all, in heights; 0: none */
    double turn;     /* of the walkers, who turn back at a random moment */
    double lane;     /* how far apart their feet are at most, in heights */
    double speed;    /* heights a second, at most; at least a third of it */
};

struct walker {
    double x, y, height, speed, phase, turns_at;
};

struct crossing_world {
    struct crossing c;
    struct walker w[CROSSING_WALKERS];
    uint64_t random;
};

static inline double crossing_random(struct crossing_world *s) /* 0..1 */
{
    s->random ^= s->random << 13, s->random ^= s->random >> 7, s->random ^= s->random << 17;
    return (double)(s->random >> 11) / 9007199254740992.0;
}

static inline double crossing_normal(struct crossing_world *s)
{
    const double u = crossing_random(s), v = crossing_random(s);
    return sqrt(-2 * log(u + 1e-12)) * cos(6.283185307179586 * v);
}

static inline void crossing_begin(struct crossing_world *s, const struct crossing *c, uint64_t seed)
{
    *s = (struct crossing_world){.c = *c, .random = seed * 0x9e3779b97f4a7c15u + 1};
    for (int i = 0; i < 8; i++)
        crossing_random(s);
    for (int i = 0; i < c->walkers; i++) {
        struct walker *w = &s->w[i];
        w->height = 160 + 80 * crossing_random(s);
        w->speed = w->height * c->speed * (1 + 2 * crossing_random(s)) / 3 * (i % 2 ? -1 : 1);
        /* all are near the middle in the middle of the time */
        w->x = 640 - w->speed * c->seconds * (0.3 + 0.4 * crossing_random(s));
        w->y = 400 + w->height * c->lane * (crossing_random(s) - 0.5);
        w->phase = 6.28 * crossing_random(s);
        w->turns_at = crossing_random(s) < c->turn ? c->seconds * (0.3 + 0.4 * crossing_random(s)) : 1e9;
    }
}

static inline void crossing_pose(const struct walker *w, double t, limber_person *p)
{
    /* x to the right and y up from the middle of the hips, in heights; arms and legs swing */
    static const double still[CROSSING_JOINTS][2] = {{0.02, 0.40},  {0.03, 0.43},  {0.00, 0.43},  {0.00, 0.42},  {-0.04, 0.42},
                                                     {0.06, 0.30},  {-0.06, 0.30}, {0.08, 0.15},  {-0.08, 0.15}, {0.09, 0.00},
                                                     {-0.09, 0.00}, {0.05, 0.00},  {-0.05, 0.00}, {0.05, -0.24}, {-0.05, -0.24},
                                                     {0.05, -0.47}, {-0.05, -0.47}};
    static const double swing[CROSSING_JOINTS] = {0, 0, 0, 0, 0, 0, 0, .06, -.06, .14, -.14, 0, 0, -.08, .08, -.16, .16};
    const double turned = t < w->turns_at ? t : 2 * w->turns_at - t, s = sin(w->phase + 5 * t);
    for (int k = 0; k < CROSSING_JOINTS; k++)
        p->keypoints[k] = (limber_keypoint){(float)(w->x + w->speed * turned + w->height * (still[k][0] + swing[k] * s)),
                                            (float)(w->y - w->height * (still[k][1] + 0.02 * s * s)), 0.9f};
    p->box = (limber_box){(float)(w->x + w->speed * turned - 0.17 * w->height), (float)(w->y - 0.5 * w->height),
                          (float)(0.34 * w->height), (float)w->height};
}

/* The true people of a frame, and the answers. Both have room for 2 * CROSSING_WALKERS, keypoints set; truth[i].track is i + 1,
 * walkers that are wholly hidden or outside are left out of both. */
static inline void crossing_frame(struct crossing_world *s, int frame, limber_people *truth, limber_people *answers)
{
    const double t = frame / s->c.fps;
    const double left = 640 - s->c.pillar * 100, right = 640 + s->c.pillar * 100;
    limber_person all[CROSSING_WALKERS];
    limber_keypoint joints[CROSSING_WALKERS][CROSSING_JOINTS];
    truth->count = answers->count = 0;
    for (int i = 0; i < s->c.walkers; i++) {
        all[i] = (limber_person){.keypoints = joints[i]};
        crossing_pose(&s->w[i], t, &all[i]);
    }
    for (int i = 0; i < s->c.walkers; i++) {
        bool hidden[CROSSING_JOINTS];
        int seen = 0;
        for (int k = 0; k < CROSSING_JOINTS; k++) {
            const double x = joints[i][k].x, y = joints[i][k].y;
            hidden[k] = (x > left && x < right) || x < 0 || x > 1280 || y < 0 || y > 720;
            for (int j = 0; j < s->c.walkers; j++) /* who is lower in the picture is nearer */
                if (s->w[j].y + s->w[j].height / 2 > s->w[i].y + s->w[i].height / 2 &&
                    fabs(x - (all[j].box.x + all[j].box.width / 2.0)) < 0.1 * s->w[j].height &&
                    fabs(y - s->w[j].y) < 0.48 * s->w[j].height)
                    hidden[k] = true;
            seen += !hidden[k];
        }
        const double part = seen / (double)CROSSING_JOINTS;
        const bool missed = crossing_random(s) < s->c.missed;
        double noise[CROSSING_JOINTS + 2][2];
        for (int k = 0; k < CROSSING_JOINTS + 2; k++)
            noise[k][0] = crossing_normal(s), noise[k][1] = crossing_normal(s);
        if (seen < 4)
            continue;
        limber_person *p = &truth->person[truth->count++];
        limber_keypoint *to = p->keypoints;
        *p = all[i], p->keypoints = to, p->track = i + 1;
        memcpy(to, joints[i], sizeof joints[i]);
        if (missed)
            continue;
        p = &answers->person[answers->count++], to = p->keypoints;
        *p = all[i], p->keypoints = to;
        p->box_score = (float)(0.15 + 0.75 * part);
        const double n = s->c.noise * s->w[i].height, side = 1.5 * n;
        p->box.x += (float)(side * noise[CROSSING_JOINTS][0]), p->box.y += (float)(side * noise[CROSSING_JOINTS][1]);
        p->box.width *= (float)fmax(0.5, 1 + 1.5 * s->c.noise * noise[CROSSING_JOINTS + 1][0]);
        p->box.height *= (float)fmax(0.5, 1 + 1.5 * s->c.noise * noise[CROSSING_JOINTS + 1][1]);
        for (int k = 0; k < CROSSING_JOINTS; k++) {
            const double wide = hidden[k] ? 5 * n : n; /* a guess */
            to[k] = (limber_keypoint){(float)(joints[i][k].x + wide * noise[k][0]), (float)(joints[i][k].y + wide * noise[k][1]),
                                      hidden[k] ? 0.2f : (float)(0.55 + 0.3 * part)};
        }
        p->score = p->box_score * 0.6f;
    }
    for (double n = s->c.invented; n > crossing_random(s); n -= 1) {
        limber_person *p = &answers->person[answers->count++];
        limber_keypoint *to = p->keypoints;
        struct walker nobody = {
            .x = 1280 * crossing_random(s), .y = 300 + 200 * crossing_random(s), .height = 200, .turns_at = 1e9};
        crossing_pose(&nobody, t, p);
        p->box_score = 0.2f, p->score = 0.1f, p->keypoints = to;
        for (int k = 0; k < CROSSING_JOINTS; k++)
            to[k].score = 0.35f;
    }
}

/* Overlap of two boxes over what both cover. */
static inline double crossing_iou(limber_box a, limber_box b)
{
    const double w = fmin(a.x + a.width, b.x + b.width) - fmax(a.x, b.x),
                 h = fmin(a.y + a.height, b.y + b.height) - fmax(a.y, b.y);
    return w > 0 && h > 0 ? w * h / ((double)a.width * a.height + (double)b.width * b.height - w * h) : 0;
}

#endif
