/* SPDX-License-Identifier: MIT */
/* heads/chance.h - what many images say of a number, how surely, and by how much luck. */
#ifndef LIMBER_HEADS_CHANCE_H
#define LIMBER_HEADS_CHANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "limber_heads.h"

uint64_t heads_hash(uint64_t seed, uint64_t a, uint64_t b, uint64_t c); /* splitmix64's finaliser over all four */
int heads_poisson(uint64_t hash);                                       /* Poisson(1) from 53 of its bits */
double heads_student_p(double t, double degrees);                       /* P(T >= t) */
double heads_student_t(double p, double degrees);                       /* t with P(T >= t) = p, 0 < p < 0.5 */
double heads_chi_square_p(double x, double degrees);                    /* P(X >= x) */
/* Benjamini-Hochberg: q[i] = min over j with p[j] >= p[i] of p[j] n / rank(j), at most 1. order: [n], scratch. */
void heads_adjust(double *q, const double *p, int *order, int n);

double heads_quantile(const double *sorted, int n, double at); /* 0 <= at <= 1, linear between neighbours */

/* A stream of images. What an image says of one head is a row of `width` numbers, some of them absent. Which are absent depends on the image alone,
 * so the counts are shared by all heads. */
struct heads_stream {
    size_t heads, width;
    int64_t *count;    /* [width] */
    double *mean, *m2; /* [heads][width]: Welford */
    int replicates;
    double *boot;        /* [replicates][heads][width]: weighted sums */
    double *boot_weight; /* [replicates][width] */
};
bool heads_stream_open(struct heads_stream *s, size_t heads, size_t width, int replicates); /* false: no memory; close it */
void heads_stream_close(struct heads_stream *s);
/* values: [heads][width], 0 where absent; present: [width] */
void heads_stream_add(struct heads_stream *s, const double *values, const bool *present, uint64_t seed, uint64_t image);
/* scratch: [replicates]. z: the numbers are atanh of correlations, and come back as correlations. */
limber_heads_estimate heads_stream_estimate(const struct heads_stream *s, size_t head, size_t w, bool z, double *scratch);
/* One-sided t over images, of which there must be two: is the mean above 0? */
double heads_stream_p(const struct heads_stream *s, size_t head, size_t w);

#endif
