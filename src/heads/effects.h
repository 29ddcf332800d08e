/* SPDX-License-Identifier: MIT */
/* heads/effects.h - what heads cause, as numbers: how good a run is at a person's limb, what patching changes of it, and what many
 * people say of that. heads/experiment.c feeds it; definitions as include/limber_patch.h and docs/heads.md give them.
 *
 * Four measures of a limb, each the mean over its labelled joints, and each the larger the better:
 *   heat   the heat map at the annotated joint: linear in the last layer, as a logit is
 *   logp   10 H(joint) - ln sum exp(10 H): the softmax that training uses
 *   oks    COCO's similarity of the decoded joint with the annotated one
 *   px     minus the distance of the two, in lengths of the person's box (its longer side) */
#ifndef LIMBER_EFFECTS_H
#define LIMBER_EFFECTS_H

#include "heads/chance.h"
#include "heads/masks.h"
#include "model/labels.h"
#include "pose/crop.h"

enum effect_metric { EFFECT_HEAT, EFFECT_LOGP, EFFECT_OKS, EFFECT_PX, EFFECT_METRICS };
extern const char *const effect_metric_names[EFFECT_METRICS];

/* How a run was changed. MOVED is NOISE's control: the source blurred elsewhere. */
enum effect_by { BY_DENOISE, BY_NOISE, BY_MOVED, BY_SWAP, BY_ZERO, BY_MEAN, BY_CONST, EFFECT_BYS };
extern const char *const effect_by_names[EFFECT_BYS];

#define LIMBS LIMBER_HEADS_LIMBS

/* Which of COCO's joints a limb is measured by: shoulders and hips are the torso's. */
extern const unsigned effect_joints[LIMBS];

/* What runs of one person are held against. */
struct effect_target {
    int map_h, map_w;
    const double *sigmas; /* [17], COCO's */
    double area, size;    /* pixels^2 and pixels of the image */
    bool there[COCO_KEYPOINTS];
    double map[COCO_KEYPOINTS][2], image[COCO_KEYPOINTS][2]; /* pixels of the heat map, of the image */
    const struct effect_target *other; /* swap: heat is that at `map` less that at other's; joints are those both have */
};
/* joints: x, y in pixels of the image, v (0: not labelled). Joints that lie outside the map are not there. area 0: not known. */
void effect_target_make(struct effect_target *t, const struct config *c, const double *sigmas,
                        const double joints[COCO_KEYPOINTS][3], limber_box box, double area, struct crop_region region);
bool effect_target_has(const struct effect_target *t, int limb); /* a joint of it, at least */

typedef double effect_measures[LIMBS][EFFECT_METRICS];
/* heat: [17][map]; joints: [17] in pixels of the image. Limbs without a joint are 0. */
void effect_measure(effect_measures out, const struct effect_target *t, const float *heat, const limber_keypoint *joints);

/* ---- many people ---- */

struct effects;
struct effects_shape {
    int layers, heads; /* of the model */
    int sets;          /* of heads that are patched together: rows after those of the heads */
    unsigned by;       /* bits of enum effect_by */
    int replicates;
    uint64_t seed;
    const uint8_t *chosen; /* [layers * heads], borrowed until effects_close: heads that are patched; NULL: all */
};
limber_status effects_open(struct effects **out, const struct effects_shape *shape, limber_error *err);
void effects_close(struct effects **e);

/* One person, one change: raw[row][c][m], a row a head and then a row a set, is by how much the patched run is better at c (the sign is the caller's: towards the clean run
 * for DENOISE, loss for the others), direct likewise; gap[c][m]: the clean run less the corrupted one. corrupted: the limb, or -1 where
 * the whole person was changed. has[c]: c can be measured. A person's MOVED of a limb comes directly after its NOISE. */
void effects_add(struct effects *e, enum effect_by by, int corrupted, const bool has[LIMBS], const effect_measures *raw,
                 const effect_measures *direct, const effect_measures gap);
void effects_image(struct effects *e, uint64_t image); /* the people since the last call were one image's */
void effects_forget(struct effects *e);                /* as if they had not been added */

/* What the people since the last effects_image say, as numbers, so that they can be added again without being computed. Which numbers
 * there are depends on the shape's layers, heads and `by` and on who was there. */
size_t effects_record_max(const struct effects *e);
size_t effects_record(const struct effects *e, double *out);            /* before effects_image; how many */
bool effects_replay(struct effects *e, const double *in, size_t count); /* instead of effects_add. false: not such a record */

struct effect {
    bool known;                     /* the head was patched, and an image said something */
    limber_heads_estimate raw;      /* in the measure's unit */
    limber_heads_estimate direct;   /* likewise */
    limber_heads_estimate mediated; /* raw - direct */
    bool shared;                    /* the gap's interval excludes 0: share, specific, direct_share are known */
    limber_heads_estimate share;    /* raw / gap: sum over images by sum over images */
    limber_heads_estimate direct_share;
    limber_heads_estimate specific; /* share - the mean of the same at the other limbs, in units of the corrupted limb's gap */
    bool specific_known;
    double control; /* NOISE: mean raw of MOVED */
    bool tested;
    double p, q; /* two-sided t over images: raw (NOISE with a control: raw less the control's) is not 0; Benjamini-Hochberg */
};
struct effects_result {
    int layers, heads, head_count;
    int rows; /* head_count, and the sets */
    unsigned by;
    int64_t images;
    int64_t people[EFFECT_BYS][LIMBS];
    limber_heads_estimate gap[EFFECT_BYS][LIMBS][EFFECT_METRICS];
    bool gap_known[EFFECT_BYS][LIMBS][EFFECT_METRICS]; /* its interval excludes 0 */
    struct effect *effect;                             /* [by][row][limb][metric]; effects_at */
    double *cross; /* [by][row][corrupted][measured][metric]: mean raw; NaN where nobody says */
};
limber_status effects_summarise(const struct effects *e, struct effects_result *out, limber_error *err);
void effects_result_free(struct effects_result *r);
/* row: a head, or head_count and the number of a set */
const struct effect *effects_at(const struct effects_result *r, enum effect_by by, int row, int limb, enum effect_metric m);
double effects_cross(const struct effects_result *r, enum effect_by by, int row, int corrupted, int measured,
                     enum effect_metric m);

/* ---- does what a head reads predict what it causes? ---- */

/* Ranks of v[n], equal ones sharing theirs, less their mean and by their norm: the sum of products of two is Spearman's rho. false: they do
 * not vary. */
bool effects_ranks(double *rank, const double *v, int n);

struct effect_rank {
    int limbs;               /* that count: both sides vary */
    double rho[LIMBS], mean; /* Spearman over heads; mean over the limbs */
    double null_mean,
        null_sd; /* heads permuted within their layer, the same permutation for all limbs: depth alone does not count */
    double p;    /* share of permutations, the identity one of them, whose mean is at least this */
};
/* x, y: [LIMBS][heads * layers]; use[c]: the limb counts. false: no memory. */
bool effects_rank(struct effect_rank *out, const double *x, const double *y, const bool use[LIMBS], int layers, int heads,
                  int permutations, uint64_t seed);

/* The mean of y over the chosen pairs of head and limb against draws of as many pairs from the same layers and limbs. */
struct effect_draw {
    int pairs;
    double mean, null_mean, null_sd, p, p_below; /* shares of draws, the pairs themselves one of them, at least (at most) this */
};
bool effects_draw(struct effect_draw *out, const bool *chosen, const double *y, const bool use[LIMBS], int layers, int heads,
                  int draws, uint64_t seed);

#endif
