/* SPDX-License-Identifier: MIT */
/* limber_heads.h - which attention heads have learned what an arm is.
 *
 *     limber_heads *heads = NULL;
 *     limber_heads_result result;
 *     if (limber_heads_open(&heads, session, NULL, &err))            // session: of limber.h, opened without flip
 *         fail(err.text);
 *     for (every image)
 *         limber_heads_add(heads, &image, boxes, NULL, count, &err); // joints NULL: the model's own
 *     limber_heads_summarise(heads, &result, &err);
 *     for (int i = 0; i < result.head_count; i++)
 *         printf("layer %d head %d: %s\n", result.heads[i].layer, result.heads[i].head, limber_heads_kind_name(result.heads[i].kind));
 *     limber_heads_result_free(&result);
 *     limber_heads_close(&heads);                                    // before its session
 *
 * The question. Cut the crop of a person into its patches. Let p_ij be the attention of query patch i to key patch j (a softmax
 * row), m_c(j) = 1 where patch j belongs to limb c, d_ij the distance of the two patch centres in patches. j runs over the n keys
 * of the person without the query's own patch (all keys with include_self). For a query i that lies in limb c:
 *
 *     r_limb    Pearson(p_ij, m_c(j))           does the row look like the limb?
 *     r_near    Pearson(p_ij, -d_ij)            ... or just like "close by"?
 *     partial   (r_limb - r_near r_md) / sqrt((1 - r_near^2)(1 - r_md^2)),  r_md = Pearson(m_c(j), -d_ij):
 *               the correlation of p and m_c that is left when both are freed of their linear relation to nearness
 *     mass      sum_j p_ij m_c(j) / sum_j p_ij,  share = (patches of c) / n,  lift = mean mass / mean share
 *     distance  sum_j p_ij d_ij / sum_j p_ij, in patches; reach = distance / (the same for flat attention), 1 = flat
 *     entropy   -sum q_j ln q_j / ln n,  q_j = p_ij / sum_j p_ij: 1 = flat, 0 = one key
 *     self      1 - sum_j p_ij: what went to the own patch
 *
 * All of it follows from the sums the fused attention keeps while it streams over the keys (src/compute/backend.h, struct
 * attention_stats): sum p, p^2, p d, p ln p and p m_c. No L x L matrix exists; memory is O(L).
 *
 * Averages. Correlations are averaged as z = atanh(r) (Fisher 1921; |r| capped at 0.999999), over the rows of a limb, then over
 * the people of an image, then over the images, and turned back by tanh. Every image weighs the same. Intervals: percentiles 2.5
 * and 97.5 of a Poisson bootstrap over images (Chamandy et al., "Estimating uncertainty for massive data streams", 2012): the
 * weight of image t in replicate b is Poisson(1), a pure function of (seed, b, t), so memory is constant in the number of images
 * and nothing depends on threads or batches.
 *
 * Chance. Blob-shaped attention agrees with blob-shaped limbs whatever it has learned. Two null hypotheses are put beside r_limb,
 * both with true limb shapes, both moving the mask AND the queries that are asked, so that a head which follows nothing but
 * relative position scores the same under them:
 *     moved     the limb's mask shifted over the grid (a torus shift). Shifts that keep it in one piece are preferred; where
 *               there are fewer than eight, it may wrap around. It moves at least two patches where the grid allows.
 *     swapped   the same limb of another person (one of the last 16 seen), at its own place in that person's crop. A head that merely knows where arms
 *               usually are (crops are centred on people) scores the same here; a head that sees this arm does not.
 * Per image, z(r_limb) - z(null) is averaged over people; Student's t over images (one-sided, n - 1 degrees of freedom) gives
 * p_moved and p_swapped; p is the larger one (the head must beat both), q its Benjamini-Hochberg (1995) adjusted value over all
 * heads and classes tested. It is an approximation that needs some tens of images; with fewer than two nothing is tested.
 *
 * From anywhere. A head that finds a limb, or an edge, wherever it looks from, is asked by every patch of the crop: the same r, partial,
 * lift and nulls with all patches as queries (the nulls move the mask alone). Beside the limbs (or regions) there are two classes of
 * boundaries: `outline`, the patches that the edge of the person's capsules cuts, and `joints`, the patches within 0.75 of a joint that a bone ends
 * in. On a grid of 16 x 12 most of an arm is outline. reader: q <= MAX_Q over all heads and classes so asked, over_moved and over_swapped >=
 * MIN_GAIN, partial > 0, lift >= MIN_LIFT, and MIN_LIFT times that of every other class but the mirrored one. A boundary is held against
 * the limbs all together instead, since it consists of them: lift >= MIN_LIFT times their mean, and each of them >= 1.
 *
 * Names. In this order, with the thresholds defined below:
 *     specialist   of class c: q <= MAX_Q; over_moved and over_swapped >= MIN_GAIN; partial > 0 and > r_near of the same rows
 *                  (at equal distance, the limb counts for more than nearness does); lift >= MIN_LIFT both against flat attention
 *                  and against the lift of every other class but the mirrored one (a head that reads the whole person is no
 *                  specialist). `sided`: the interval of `side` lies above 0; else it does not tell left from right.
 *     diffuse      entropy >= MIN_ENTROPY
 *     local        reach <= MAX_REACH
 *     mixed        anything else
 */
#ifndef LIMBER_HEADS_H
#define LIMBER_HEADS_H

#include "limber.h"

#ifdef __cplusplus
extern "C" {
#endif

#define LIMBER_HEADS_MAX_CLASSES 8
#define LIMBER_HEADS_LIMBS 6 /* head, torso, left_arm, right_arm, left_leg, right_leg: limber_heads_limb_name */
#define LIMBER_HEADS_MAX_MOVES 16

#define LIMBER_HEADS_MAX_Q 0.05
#define LIMBER_HEADS_MIN_GAIN 0.1
#define LIMBER_HEADS_MIN_LIFT 1.25
#define LIMBER_HEADS_MIN_ENTROPY 0.95
#define LIMBER_HEADS_MAX_REACH 0.60

/* Rings around the asking patch, in patches: up to 1.5, up to 2.5, ..., and the rest. */
#define LIMBER_HEADS_RINGS 8
#define LIMBER_HEADS_RING_EDGES                                                                                                  \
    {                                                                                                                            \
        1.5, 2.5, 3.5, 5, 7, 9, 12                                                                                               \
    }
#define LIMBER_HEADS_MIN_OFFSET 0.5 /* of its rows, for an offset head */
#define LIMBER_HEADS_FLAT_RINGS 0.1 /* total variation from flat attention by ring */
#define LIMBER_HEADS_FOCUSED 0.5    /* of flat attention's entropy */
#define LIMBER_HEADS_EXPLORING 0.9

typedef struct limber_heads limber_heads; /* sums over the images so far; one caller at a time */

/* Start from limber_heads_options_default(). */
typedef struct {
    int moves;         /* shifted masks per limb and person, 0..LIMBER_HEADS_MAX_MOVES; 0: no null, nothing is tested. Default 2.
                              A person passes through the network ceil(classes (2 + moves) / 8) times: 4 with six limbs, outline,
                              joints, and 2 */
    int bootstrap;     /* replicates, 0..100000; 0: no intervals. Default 1000 */
    uint64_t seed;     /* of shifts, swaps and bootstrap. Default 1 */
    int include_self;  /* 1: the query's own patch counts as a key. Default 0 */
    float min_score;   /* joints below are left out. Default 0.3 */
    const int *layers; /* [layer_count] ascending, from 0; NULL: all */
    int layer_count;
    int label_classes; /* 0: limbs from joints (limber_heads_add); 1..8: regions of a label map (limber_heads_add_labels) */
    const char *const *label_names; /* [label_classes], copied; NULL: "1", "2", ... */
    int boundaries;                 /* 1: outline and joints too, from anywhere, of limbs. Default 1 */
    int reserved[15];               /* zero */
} limber_heads_options;

/* images: how many it rests on. 0: nothing is known and all is 0. interval: low and high were found (two images or more). */
typedef struct {
    double mean, low, high;
    int images, interval;
} limber_heads_estimate;

/* A person in which a head reads a class: for pictures. image counts limber_heads_add* calls from 0; -1: none. */
typedef struct {
    int64_t image;
    int person;
    double r_limb;
} limber_heads_example;

/* One head, one class; rows: queries inside the class. Correlations and their differences are tanh of a mean z. */
typedef struct {
    limber_heads_estimate r_limb, r_near, partial;
    limber_heads_estimate r_moved, r_swapped;       /* r_limb under the two nulls */
    limber_heads_estimate over_moved, over_swapped; /* r_limb above each null, person by person */
    limber_heads_estimate side; /* partial on c above partial on the mirrored class, less the same of the swapped body */
    double mass, share, lift;   /* lift 0 where nothing is known */
    double lift_from_others;    /* mean lift of this class for queries in the other classes; 0 where there are none */
    int tested;                 /* 1: p and q are set */
    double p_moved, p_swapped, p, q;
    int specialist, sided;
    limber_heads_example best, lot; /* the highest r_limb; one person drawn by lot */
} limber_heads_class;

typedef enum { LIMBER_HEADS_MIXED, LIMBER_HEADS_SPECIALIST, LIMBER_HEADS_DIFFUSE, LIMBER_HEADS_LOCAL } limber_heads_kind;

/* By distance. OFFSET: in half of its rows or more the strongest key is the same step away. FLAT: by ring it hardly differs from flat
 * attention. FAR: it looks further than that. RING: nearer. */
typedef enum { LIMBER_HEADS_RING, LIMBER_HEADS_OFFSET, LIMBER_HEADS_FAR, LIMBER_HEADS_FLAT } limber_heads_strategy;

/* One head, one class, and every patch of the crop a query: "From anywhere" above. */
typedef struct {
    limber_heads_estimate r, partial, r_moved, r_swapped, over_moved, over_swapped;
    double mass, share, lift;
    int tested; /* p..., q are known */
    double p_moved, p_swapped, p, q;
    int reader;
    int reserved[8];
} limber_heads_any;

/* One head. Estimates here are over all query patches of the crop. pair[a][b]: queries in class a, keys in class b; r_low and r_high an
 * interval of 95 % by Student's t over images (of z, turned back by tanh); over: r above that of a swapped body's two classes, which stand to each
 * other as a person's do; over_moved: above that of the two moved together, so that they keep their places to each other. p_swapped, p_moved
 * two-sided over images; p the larger one, 1 where the two nulls disagree in direction; q over all heads and pairs tested. focused, exploring: shares of people on whom the entropy is below, above
 * LIMBER_HEADS_FOCUSED, _EXPLORING. layer_p: Friedman's test that the heads of this layer differ in reach, images the blocks. ring: share of
 * attention in each ring, beside that of flat attention; at most 64 queries a head and person, evenly spread. */
typedef struct {
    int layer, head;
    limber_heads_kind kind;
    limber_heads_estimate r_near, distance, reach, entropy, self;
    limber_heads_class classes[LIMBER_HEADS_MAX_CLASSES];
    struct {
        double lift, r, partial; /* 0 where images == 0 */
        int images;
        int tested; /* over, over_moved, p..., q are known */
        double r_low, r_high, over, over_moved, p_swapped, p_moved, p, q;
    } pair[LIMBER_HEADS_MAX_CLASSES][LIMBER_HEADS_MAX_CLASSES];
    limber_heads_any any[LIMBER_HEADS_MAX_CLASSES]; /* [any_count] */
    double focused, exploring, layer_p;
    double ring[LIMBER_HEADS_RINGS], ring_flat[LIMBER_HEADS_RINGS];
    int offset_down, offset_right; /* in patches: where the strongest key most often is */
    double offset_share;           /* of rows, in which it is there */
    limber_heads_strategy strategy;
} limber_heads_head;

typedef struct {
    int layer_count, heads_per_layer, head_count; /* layers looked at; head_count is their product */
    limber_heads_head *heads;                     /* [head_count], by layer, then head */
    int class_count;
    char class_name[LIMBER_HEADS_MAX_CLASSES][48];
    int mirror[LIMBER_HEADS_MAX_CLASSES]; /* the class on the other side of the body, or -1 */
    int any_count; /* classes asked from anywhere: class_count, and with boundaries 2 more, whose names stand in class_name too */
    int grid_h, grid_w;
    int64_t images, images_used, people, people_used; /* used: at least one class with two patches, not the whole grid */
    int class_people[LIMBER_HEADS_MAX_CLASSES];       /* people in which a class could be asked about */
    int tests;                                        /* head and class pairs tested: the m of Benjamini-Hochberg */
    int specialists;                                  /* heads of that kind */
    int moves, bootstrap, include_self;
    uint64_t seed;
} limber_heads_result;

LIMBER_API limber_heads_options limber_heads_options_default(void);
LIMBER_API const char *limber_heads_limb_name(int limb);                           /* "head", ... NULL where out of range */
LIMBER_API const char *limber_heads_kind_name(limber_heads_kind kind);             /* "specialist", "local", "diffuse", "mixed" */
LIMBER_API const char *limber_heads_strategy_name(limber_heads_strategy strategy); /* "ring", "offset", "far", "flat" */

/* options NULL: the defaults. The session stays the caller's, must outlive *out, and may be used for limber_run in between. It must
 * not flip. Memory: about
 * 8 * bootstrap * heads * layers * (8 * classes + 7 + 8 * those asked from anywhere) bytes for the replicates, and 48 * layers * heads * tokens bytes per person
 * and pass for the sums. */
LIMBER_API limber_status limber_heads_open(limber_heads **out, limber_session *session, const limber_heads_options *options,
                                           limber_error *err);
LIMBER_API void limber_heads_close(limber_heads **heads); /* NULL and *NULL are fine */

/* One image and its people. boxes NULL: as in limber_run, those that the session's detector finds; without a detector the whole image is one
 * box, refined as the session says. joints: [count][17] in image
 * pixels, in COCO's order, with a score that min_score is held against (0: hidden or not labelled); NULL: the model's own joints,
 * found by a pass of their own (LIMBER_E_UNSUPPORTED where they are not COCO's 17). A patch belongs to a limb if its centre lies within a radius of a bone between two joints that are
 * both there; the radius is a share of the longer side of the person's box and at least 0.75 patch (src/model/skeleton.c, src/heads/masks.c).
 * An image whose people show no limb counts as an image, and for nothing else. On failure nothing of the image is counted. */
LIMBER_API limber_status limber_heads_add(limber_heads *heads, const limber_image *image, const limber_box *boxes,
                                          const limber_keypoint *joints, int count, limber_error *err);

/* The same with regions instead of limbs: labels [height][width] of the image, value k in 1..label_classes is class k - 1, 0 and 255
 * are none; other values are an error. A patch belongs to the class under its centre. boxes NULL: the whole image, as it is. */
LIMBER_API limber_status limber_heads_add_labels(limber_heads *heads, const limber_image *image, const uint8_t *labels,
                                                 const limber_box *boxes, int count, limber_error *err);

/* What the images so far say. May be asked at any time and again. Free the result with limber_heads_result_free. */
LIMBER_API limber_status limber_heads_summarise(const limber_heads *heads, limber_heads_result *result, limber_error *err);
LIMBER_API void limber_heads_result_free(limber_heads_result *result); /* leaves it all zero */

#ifdef __cplusplus
}
#endif
#endif
