/* SPDX-License-Identifier: MIT */
/* command/prune/prune.h - the parts of `limber prune`: what it knows (struct run), and who does what.
 *
 *     prune.c     the people, the order of things, the files      heads.c      which heads go
 *     neurons.c   which neurons go                                judges.c     models with something left out: AP and time of each */
#ifndef LIMBER_PRUNE_H
#define LIMBER_PRUNE_H

#include "command/eval/eval_set.h"
#include "command/options.h"
#include "heads/effects.h"
#include "heads/patch.h"
#include "model/rewrite.h"

#define RANDOM_SETS 12
/* Models on the way to the smallest, itself one of them: first heads go, then neurons. */
#define CURVE_HEADS 4
#define CURVE_NEURONS 8
enum {
    NONE,
    CHOSEN,
    FIRST_RANDOM,
    FIRST_ON_CURVE = FIRST_RANDOM + RANDOM_SETS,
    FIRST_WITHOUT_NEURONS = FIRST_ON_CURVE + CURVE_HEADS,
    SETS = FIRST_WITHOUT_NEURONS + CURVE_NEURONS
};

struct learner { /* a person of the choosing half, kept in slot `slot` */
    int slot, truth;
    struct effect_target target;
    effect_measures clear;
    struct crop_region region;
    uint8_t *crop;
};

/* A model with something left out, and how it fares on the reporting half. */
struct judged {
    bool *heads, *neurons; /* [layers * heads], [layers * mlp]; NULL: there is no such set */
    limber_model *model;
    limber_session *session;
    struct coco_poses poses; /* of pose_count people */
    struct config_costs costs;
    double ap, ap_low, ap_high, change, change_low, change_high;
    double ms, ratio, ratio_low, ratio_high; /* processor time a person; how many times as fast as NONE */
};

struct run {
    struct cli_common common;
    const char *out, *annotations, *category, *images, *drop, *by, *fill;
    double max_loss, neurons; /* of AP; the share of neurons that stays */
    int keep, people, remeasure, seed;
    bool compact;

    struct eval_set set;
    bool *choosing; /* [images] */
    limber_model *model;
    limber_session *session;
    limber_patch *patch;
    struct checkpoint checkpoint;
    int heads, source; /* layers * heads; LIMBER_PATCH_ZERO or _CONST */
    struct learner *learners;
    int learner_count;
    float *heat;
    /* what is chosen */
    double *lost; /* [heads]: heat lost when this head went, after those before it; NaN: it stays, or was not measured */
    int *order;   /* heads in the order in which they went, [dropped] */
    int dropped, neurons_dropped;
    float *head_says, *neuron_says; /* [layers][hidden], [layers][mlp]: means over people and tokens; with --fill const */
    double *neuron_size;            /* [layers][mlp]: what a neuron's going changes of the residual stream, squared */
    int64_t neuron_tokens;
    double *neuron_sum, *neuron_square; /* [layers][mlp]: over people and tokens of what neurons say */
    double learned_ap[2];               /* on the choosing half, before and after */
    /* the reporting half */
    struct judged judged[SETS];
    int *truth_of_pose, pose_count;
    double oks[2][LIMBS];
    int oks_people[LIMBS];
};

/* Each returns CLI_DONE, or another status with the reason said. */
typedef limber_status (*person_fn)(struct run *r, const limber_image *image, int where, int truth, limber_box box,
                                   limber_error *err);
int prune_people(struct run *r, bool choosing, person_fn fn); /* everybody of one half, in order */
void prune_target(struct effect_target *t, const struct run *r, int truth, limber_box box);
void prune_add_pose(struct coco_poses *poses, int image, const limber_keypoint *joints);
double prune_heat(const struct effect_target *t, const effect_measures m); /* mean over the limbs that can be measured */
double prune_learners_ap(const struct run *r, const struct coco_poses *poses);
struct left_out prune_left_out(const struct run *r, const struct judged *j);
int prune_open_set(struct judged *j, const struct run *r); /* nothing is left out yet */

/* heads.c: into judged[CHOSEN].heads, and the sets on the curve. */
int prune_choose_heads(struct run *r);
/* neurons.c: what neurons say, of one learner; then into judged[CHOSEN].neurons, and the sets on the curve. */
limber_status prune_neurons_learn(struct run *r, const uint8_t *crop, limber_error *err);
int prune_choose_neurons(struct run *r);
/* judges.c */
int prune_draw_random(struct run *r); /* as many heads and neurons of each layer as the chosen set has */
int prune_judge(struct run *r);
int prune_time(struct run *r);
limber_status prune_run(limber_session *s, const uint8_t *crop, struct crop_region region, limber_keypoint *joints, float *heat,
                        limber_error *err); /* joints in pixels of the region's image; heat may be NULL */

#endif
