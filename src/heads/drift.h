/* SPDX-License-Identifier: MIT */
/* heads/drift.h - how far the attention of one model has moved from another's on the same people: what a fine-tuned model forgot.
 *
 * With p_i^A, p_i^B the softmax rows of query i in a head of models A and B of the same geometry, in nats:
 *   total      KL(p_i^A | p_i^B), B fed by its own activations
 *   own        the same with B's queries and keys of that layer fed by A's activations: what this layer's weights changed
 *   inherited  total - own: what came from earlier layers. Without it every late head "forgets" because an early one did
 *   j          KL(A|B) + KL(B|A), symmetric
 *   value      ||z^A - z^B|| / ||z^A||, z the head's output before the projection
 * The forgetting index of a head is the mean of total over queries, people and images. */
#ifndef LIMBER_DRIFT_H
#define LIMBER_DRIFT_H

#include "heads/chance.h"
#include "heads/masks.h"
#include "pose/pipeline.h"

/* KL(p|q) and J of softmax(s) and softmax(t), in one pass over `n` keys in any number of pieces and no memory but this. */
struct drift_row {
    double m, l, a, w;    /* max of s; sums of e^(s-m), e^(s-m) x, e^(s-m) (expm1(-x) + x), with x = s - t' and t' = t + shift */
    double n, k, b;       /* max of t'; sums of e^(t'-n), e^(t'-n) (t' - s) */
    double shift, widest; /* the same softmax, moved so that x is small; the largest |x| */
    int seen;
};
void drift_row_begin(struct drift_row *r);
void drift_row_add(struct drift_row *r, const double *s, const double *t, int count); /* the first piece sets the shift */
double drift_row_kl(const struct drift_row *r);
double drift_row_j(const struct drift_row *r);

enum drift_number { DRIFT_TOTAL, DRIFT_OWN, DRIFT_INHERITED, DRIFT_J, DRIFT_VALUE, DRIFT_CONTROL, DRIFT_NUMBERS };
extern const char *const drift_number_names[DRIFT_NUMBERS];

struct drift;
struct drift_options {
    int bootstrap;
    uint64_t seed;
};
/* The sessions must outlive it. control: a third model, A trained on as long on old data, or A in B's precision; its total is what counts
 * as nothing. NULL: none. LIMBER_E_ARGUMENT where the models' geometry differs. */
limber_status drift_open(struct drift **out, limber_session *a, limber_session *b, limber_session *control,
                         const struct drift_options *options, limber_error *err);
void drift_close(struct drift **d);

/* One image. joints: [count][17] in its pixels, scores 0 where there is none; NULL: nothing is said by limb. On failure nothing counts. */
limber_status drift_add(struct drift *d, const limber_image *image, const limber_box *boxes, const limber_keypoint *joints,
                        int count, uint64_t number, limber_error *err);

struct drift_head {
    limber_heads_estimate number[DRIFT_NUMBERS]; /* nats; value: a ratio. CONTROL: total of the control */
    limber_heads_estimate limb_total[LIMBER_HEADS_LIMBS], limb_own[LIMBER_HEADS_LIMBS]; /* queries on the limb */
    bool tested;
    double p, q; /* one-sided t over images that total is above the control's; Benjamini-Hochberg over heads */
};
struct drift_result {
    int layers, heads, tokens;
    int64_t images, people;
    struct drift_head *head; /* [layers * heads] */
};
limber_status drift_summarise(const struct drift *d, struct drift_result *out, limber_error *err);
void drift_result_free(struct drift_result *r);

#endif
