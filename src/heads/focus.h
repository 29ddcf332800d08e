/* SPDX-License-Identifier: MIT */
/* heads/focus.h - does a head's entropy on a person say how much the person needs it? Asked before any gate by entropy is built.
 *
 * Entropy is that of limber_heads.h: over the keys without the own patch, by ln of their number, averaged over all queries. A head is
 * focused on a person below FOCUSED, and explores above EXPLORING. */
#ifndef LIMBER_FOCUS_H
#define LIMBER_FOCUS_H

#include "heads/effects.h"
#include "pose/pipeline.h"

#define FOCUSED LIMBER_HEADS_FOCUSED
#define EXPLORING LIMBER_HEADS_EXPLORING
#define FOCUS_LEAST 10    /* below, ranks of so few have no p that t could give */
#define FOCUS_PEOPLE 4096 /* the first that come are kept, so that memory is constant */

struct focus {
    size_t heads;
    int count, room;
    double *entropy; /* [count][heads] */
    double *loss;    /* [count][heads][EFFECT_METRICS] */
};
void focus_close(struct focus *f);
/* A person: entropy[heads], loss[heads][EFFECT_METRICS]. false: no memory. */
bool focus_add(struct focus *f, size_t heads, const double *entropy, const double *loss);

/* out[layers * heads]: of one crop, by one pass with statistics. */
limber_status focus_entropy(double *out, limber_session *session, const uint8_t *crop, limber_error *err);

struct focus_head {
    double mean, sd, focused, exploring; /* of entropy over people; shares of people */
    bool tested[EFFECT_METRICS];         /* FOCUS_LEAST people or more, and both vary */
    double rho[EFFECT_METRICS], p[EFFECT_METRICS],
        q[EFFECT_METRICS]; /* Spearman, entropy with loss over people; two-sided t; BH over heads */
};
/* out: [heads]. false: no memory. */
bool focus_summarise(const struct focus *f, struct focus_head *out);

#endif
