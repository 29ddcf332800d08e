/* SPDX-License-Identifier: MIT */
/* heads/stats.h - from per-row sums of attention to what a head reads: correlations of one row, means and intervals over images.
 *
 * Knows nothing of models and pictures: masks over a grid of patches come in, and the sums of compute/backend.h's attention_stats. The
 * formulas are those of limber_heads.h. */
#ifndef LIMBER_HEADS_STATS_H
#define LIMBER_HEADS_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "compute/backend.h"
#include "limber_heads.h"

/* Numbers a row: sum p, p^2, p d, p ln p, and the mass on each of 8 masks. */
#define HEADS_SUMS (4 + ATTENTION_STATS_MAX_CLASSES)

/* ---- the grid ---- */

struct heads_grid {
    int h, w, tokens;
    double *distance;       /* [h][w]: of two patches so many rows and columns apart */
    double *sum_d, *sum_d2; /* [tokens]: over all patches, of the distance to this one and of its square */
};
limber_status heads_grid_open(struct heads_grid *g, int h, int w, limber_error *err);
void heads_grid_close(struct heads_grid *g);
double heads_distance(const struct heads_grid *g, int i, int j);

/* ---- one row ---- */

/* What geometry says of a row and a mask: n keys, k of them in the mask, sums of their distances. */
struct heads_keys {
    double n, k, sum_d, sum_d2, mask_d; /* mask_d: distance summed over the mask */
};
/* Two rows of at most this relative difference from flat (a coefficient of variation of 0.3 %), and rows that look at nothing but
 * themselves, have no shape: their correlations count as 0. */
#define HEADS_FLAT 1e-5
#define HEADS_LOOKS 1e-6     /* a row with less than this on its keys looks at nothing but itself */
#define HEADS_MAX_R 0.999999 /* atanh stays finite */
double heads_r_mask(const float *sums, const struct heads_keys *keys, double mass);
double heads_r_near(const float *sums, const struct heads_keys *keys);
double heads_r_mask_near(const struct heads_keys *keys); /* of the mask with nearness: geometry only. 0 < k < n */
double heads_partial(double r_limb, double r_near, double r_mask_near);

/* ---- one person ---- */

enum heads_role { HEADS_OWN, HEADS_MOVED, HEADS_SWAPPED };

/* Masks of one person. Column j is bit j % 8 of copy j / 8: a person with more than eight masks goes through the network several
 * times. Columns 0 .. classes - 1 are the person's own, in order. */
#define HEADS_MAX_COLUMNS (LIMBER_HEADS_MAX_CLASSES * (2 + LIMBER_HEADS_MAX_MOVES))
struct heads_columns {
    int count, copies;
    struct {
        int class;
        enum heads_role role;
        int down, right; /* MOVED: by how many patches, around the torus */
    } column[HEADS_MAX_COLUMNS];
    uint8_t *masks; /* [copies][tokens] */
};

/* ---- many images ---- */

struct heads_shape {
    int layers, heads, classes;
    int mirror[LIMBER_HEADS_MAX_CLASSES]; /* -1: none */
    bool include_self;
    int replicates;
    uint64_t seed;
};
struct heads_stats;
limber_status heads_stats_open(struct heads_stats **out, const struct heads_shape *shape, const struct heads_grid *grid,
                               limber_error *err); /* the grid is borrowed */
void heads_stats_close(struct heads_stats **hs);
/* sums[l]: [copies][heads][tokens][HEADS_SUMS] of layer l. False where the person shows no class that can be asked about. */
bool heads_stats_person(struct heads_stats *hs, const struct heads_columns *columns, const float *const *sums, int person);
bool heads_stats_usable(const struct heads_columns *columns, int classes, int tokens);
/* The image is over: counted, or, where it could not be finished, forgotten. */
void heads_stats_image(struct heads_stats *hs, int64_t image);
void heads_stats_forget(struct heads_stats *hs);
/* Fills heads, images_used, people_used, class_people, tests, specialists; the rest of the result is the caller's. */
limber_status heads_stats_summarise(const struct heads_stats *hs, limber_heads_result *result, limber_error *err);

#endif
