/* SPDX-License-Identifier: MIT */
/* Head statistics against their definitions: whole rows, two-pass Pearson, NumPy and SciPy; then planted heads that must be
 * found, and heads that must not. */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "heads/anywhere.h"
#include "heads/chance.h"
#include "heads/heads.h"
#include "limber_heads.h"
#include "tensor_file.h"

#define CLASSES LIMBER_HEADS_LIMBS

/* ---- helpers ---- */

static double uniform(uint64_t *state)
{
    return (double)(heads_hash(++*state, 1, 2, 3) >> 11) * 0x1p-53;
}

/* Sums of one row as struct attention_stats defines them. */
static void sum_row(float *out, const double *p, const struct heads_grid *g, const uint8_t *masks, int i, bool include_self)
{
    double s[HEADS_SUMS] = {0};
    for (int j = 0; j < g->tokens; j++) {
        if (j == i && !include_self)
            continue;
        s[0] += p[j];
        s[1] += p[j] * p[j];
        s[2] += p[j] * hypot(i / g->w - j / g->w, i % g->w - j % g->w);
        s[3] += p[j] > 0 ? p[j] * log(p[j]) : 0;
        for (int c = 0; c < 8; c++)
            s[4 + c] += masks[j] >> c & 1 ? p[j] : 0;
    }
    for (int k = 0; k < HEADS_SUMS; k++)
        out[k] = (float)s[k];
}

/* A synthetic network: it fills the attention row of query i of a head, for a person with these masks. */
typedef void (*attention_fn)(double *row, const struct heads_grid *g, const uint8_t *own, int head, int i, uint64_t *state);

struct bench { /* a stats object, and what is needed to feed it */
    struct heads_grid g;
    struct heads_stats *hs;
    struct heads_columns columns;
    struct heads_donors donors;
    struct heads_shape shape;
    int moves;
    float *sums;
    double *row;
};

static void bench_open(struct bench *b, int h, int w, int heads, int classes, int moves, int replicates, uint64_t seed)
{
    limber_error err = {0};
    *b = (struct bench){.moves = moves};
    b->shape = (struct heads_shape){.layers = 1, .heads = heads, .classes = classes, .replicates = replicates, .seed = seed};
    for (int c = 0; c < 8; c++)
        b->shape.mirror[c] = classes == CLASSES && c < CLASSES ? heads_limb_mirror[c] : -1;
    cr_assert(!heads_grid_open(&b->g, h, w, &err), "%s", err.text);
    cr_assert(!heads_stats_open(&b->hs, &b->shape, &b->g, &err), "%s", err.text);
    size_t copies = (size_t)heads_copies_max(classes, moves), tokens = (size_t)b->g.tokens;
    b->columns.masks = malloc(copies * tokens);
    b->donors.masks = malloc(HEADS_DONORS * tokens);
    b->sums = malloc(copies * (size_t)heads * tokens * HEADS_SUMS * sizeof *b->sums);
    b->row = malloc(tokens * sizeof *b->row);
}

static void bench_close(struct bench *b)
{
    heads_stats_close(&b->hs);
    heads_grid_close(&b->g);
    free(b->columns.masks);
    free(b->donors.masks);
    free(b->sums);
    free(b->row);
}

/* All copies see the same attention; `state` is what the rows' randomness starts from. */
static void bench_person(struct bench *b, const uint8_t *own, attention_fn attend, int64_t image, int person, uint64_t state)
{
    size_t tokens = (size_t)b->g.tokens;
    heads_columns_make(&b->columns, &b->g, b->shape.classes, own, b->moves, &b->donors, b->shape.seed, image, person);
    for (int h = 0; h < b->shape.heads; h++)
        for (int i = 0; i < b->g.tokens; i++) {
            uint64_t s = heads_hash(state, (uint64_t)h, (uint64_t)i, 0);
            attend(b->row, &b->g, own, h, i, &s);
            double sum = 0;
            for (size_t j = 0; j < tokens; j++)
                sum += b->row[j];
            for (size_t j = 0; j < tokens; j++)
                b->row[j] /= sum;
            for (int r = 0; r < b->columns.copies; r++)
                sum_row(b->sums + (((size_t)r * (size_t)b->shape.heads + (size_t)h) * tokens + (size_t)i) * HEADS_SUMS, b->row,
                        &b->g, b->columns.masks + (size_t)r * tokens, i, b->shape.include_self);
        }
    const float *layers[] = {b->sums};
    if (heads_stats_person(b->hs, &b->columns, layers, person))
        heads_donors_keep(&b->donors, &b->g, own, image);
}

static limber_heads_result bench_result(struct bench *b)
{
    limber_heads_result r = {
        .layer_count = 1, .heads_per_layer = b->shape.heads, .head_count = b->shape.heads, .class_count = b->shape.classes};
    limber_error err = {0};
    cr_assert(!heads_stats_summarise(b->hs, &r, &err), "%s", err.text);
    return r;
}

static void estimate_is_finite(const limber_heads_estimate *e, const char *what)
{
    cr_expect(isfinite(e->mean) && isfinite(e->low) && isfinite(e->high), "%s: %g [%g, %g]", what, e->mean, e->low, e->high);
    cr_expect(!e->interval || e->low <= e->high, "%s: [%g, %g]", what, e->low, e->high);
}

static void result_is_finite(const limber_heads_result *r)
{
    for (int i = 0; i < r->head_count; i++) {
        const limber_heads_head *h = &r->heads[i];
        const limber_heads_estimate *all[] = {&h->r_near, &h->distance, &h->reach, &h->entropy, &h->self};
        for (size_t k = 0; k < sizeof all / sizeof *all; k++)
            estimate_is_finite(all[k], "head");
        for (int c = 0; c < r->class_count; c++) {
            const limber_heads_class *k = &h->classes[c];
            const limber_heads_estimate *each[] = {&k->r_limb,    &k->r_near,     &k->partial,      &k->r_moved,
                                                   &k->r_swapped, &k->over_moved, &k->over_swapped, &k->side};
            for (size_t q = 0; q < sizeof each / sizeof *each; q++)
                estimate_is_finite(each[q], r->class_name[c]);
            cr_expect(isfinite(k->mass) && isfinite(k->share) && isfinite(k->lift) && isfinite(k->p) && isfinite(k->q));
            cr_expect(k->p >= 0 && k->p <= 1 && k->q >= 0 && k->q <= 1);
            for (int d = 0; d < r->class_count; d++)
                cr_expect(isfinite(h->pair[c][d].over) && h->pair[c][d].p >= 0 && h->pair[c][d].q <= 1 &&
                          h->pair[c][d].r_low <= h->pair[c][d].r + 1e-12 && h->pair[c][d].r_high >= h->pair[c][d].r - 1e-12);
            for (int d = 0; d < r->class_count; d++)
                cr_expect(isfinite(h->pair[c][d].lift) && isfinite(h->pair[c][d].r) && isfinite(h->pair[c][d].partial));
        }
    }
}

/* Pearson by definition, two passes. */
static double pearson(const double *a, const double *b, int n)
{
    double ma = 0, mb = 0, ab = 0, aa = 0, bb = 0;
    for (int i = 0; i < n; i++) {
        ma += a[i] / n;
        mb += b[i] / n;
    }
    for (int i = 0; i < n; i++) {
        ab += (a[i] - ma) * (b[i] - mb);
        aa += (a[i] - ma) * (a[i] - ma);
        bb += (b[i] - mb) * (b[i] - mb);
    }
    return ab / sqrt(aa * bb);
}

#define EXPECT_NEAR(got, want, tolerance)                                                                                        \
    do {                                                                                                                         \
        double got_ = (got), want_ = (want);                                                                                     \
        cr_expect(fabs(got_ - want_) <= (tolerance), #got " is %.9g, expected %.9g within %g", got_, want_,                      \
                  (double)(tolerance));                                                                                          \
    } while (0)

/* ---- NumPy and SciPy ---- */

/* p = 1 + (7 i + 3 j + i j) % 11, rows normalised, on a grid of 3 x 4; class 0: columns 0 and 1 of the grid, class 1: j % 3 == 1.
 * The numbers below are numpy.corrcoef's on the rows without their own patch, averaged as numpy.tanh(numpy.mean(numpy.arctanh)). */
static void modular(double *row, const struct heads_grid *g, const uint8_t *own, int head, int i, uint64_t *state)
{
    (void)own, (void)head, (void)state;
    for (int j = 0; j < g->tokens; j++)
        row[j] = 1 + (7 * i + 3 * j + i * j) % 11;
}

Test(heads, numpy_agrees)
{
    struct bench b;
    bench_open(&b, 3, 4, 1, 2, 0, 0, 1);
    uint8_t own[12];
    for (int j = 0; j < 12; j++)
        own[j] = (uint8_t)((j % 4 < 2) | (j % 3 == 1) << 1);
    bench_person(&b, own, modular, 0, 0, 1);
    heads_stats_image(b.hs, 0);
    limber_heads_result r = bench_result(&b);
    const limber_heads_head *h = &r.heads[0];
    const double want[2][5] = {
        {-0.1301732299161031, -0.0006438356641670561, -0.2314904097059785, 0.4236338895388469, 0.45454545454545453},
        {-0.40874815338298826, -0.03687026922584748, -0.4405241707863779, 0.2025904321198957, 0.2727272727272727}};
    for (int c = 0; c < 2; c++) {
        EXPECT_NEAR(h->classes[c].r_limb.mean, want[c][0], 2e-6);
        EXPECT_NEAR(h->classes[c].r_near.mean, want[c][1], 2e-6);
        EXPECT_NEAR(h->classes[c].partial.mean, want[c][2], 2e-6);
        EXPECT_NEAR(h->classes[c].mass, want[c][3], 2e-6);
        EXPECT_NEAR(h->classes[c].share, want[c][4], 1e-12);
        EXPECT_NEAR(h->classes[c].lift, want[c][3] / want[c][4], 1e-5);
    }
    EXPECT_NEAR(h->entropy.mean, 0.9445954910512125, 2e-6);
    EXPECT_NEAR(h->distance.mean, 1.8836197775405692, 2e-6);
    EXPECT_NEAR(h->reach.mean, 0.9914706304815993, 2e-6);
    EXPECT_NEAR(h->r_near.mean, 0.09584108339487617, 2e-6);
    EXPECT_NEAR(h->self.mean, 0.06880711828067965, 2e-6);
    limber_heads_result_free(&r);
    bench_close(&b);
}

Test(heads, student_is_scipys)
{
    static const struct {
        double t, degrees, p;
    } of[] = {/* scipy.stats.t.sf */
              {0, 3, 0.5},
              {1.5, 1, 0.18716704181099886},
              {2.1, 4, 0.05182664315880109},
              {-1.3, 7.5, 0.8839366105921956},
              {8, 20, 5.828314135744255e-08},
              {12, 200, 1.2110680026233124e-25},
              {0.2, 1e4, 0.4207423239567435},
              {40, 124, 4.967064762132849e-73}};
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        double p = heads_student_p(of[i].t, of[i].degrees);
        cr_expect(fabs(p - of[i].p) <= 1e-10 * of[i].p, "t %g, %g degrees: %.17g, scipy has %.17g", of[i].t, of[i].degrees, p,
                  of[i].p);
    }
    cr_expect(heads_student_p(1e200, 5) == 0 && heads_student_p(-1e200, 5) == 1);
}

Test(heads, benjamini_hochberg_is_scipys)
{
    const double p[] = {0.01, 0.04, 0.03, 0.005, 0.5, 0.04, 0.9}; /* scipy.stats.false_discovery_control */
    const double want[] = {0.035, 0.056, 0.056, 0.035, 0.5833333333333334, 0.056, 0.9};
    double q[7];
    int order[7];
    heads_adjust(q, p, order, 7);
    for (int i = 0; i < 7; i++)
        EXPECT_NEAR(q[i], want[i], 1e-15);
}

Test(heads, poisson_has_its_moments)
{
    int n = 200000, counts[4] = {0};
    double sum = 0, sum2 = 0;
    for (int i = 0; i < n; i++) {
        int k = heads_poisson(heads_hash(7, 0, (uint64_t)i, 0));
        sum += k;
        sum2 += (double)k * k;
        counts[k < 3 ? k : 3]++;
    }
    EXPECT_NEAR(sum / n, 1, 5 / sqrt(n)); /* five standard errors */
    EXPECT_NEAR(sum2 / n - sum / n * (sum / n), 1, 5 * sqrt(3.0 / n));
    EXPECT_NEAR((double)counts[0] / n, exp(-1), 5 * sqrt(0.2325 / n));
    EXPECT_NEAR((double)counts[2] / n, exp(-1) / 2, 5 * sqrt(0.15 / n));
}

/* ---- closed forms ---- */

enum { FLAT, MASK, FALLING, FALLING_AND_MASK, SELF_ONLY, CLOSED };
static void closed(double *row, const struct heads_grid *g, const uint8_t *own, int head, int i, uint64_t *state)
{
    (void)state;
    for (int j = 0; j < g->tokens; j++) {
        double near = 30 - heads_distance(g, i, j), in = own[j] & 1;
        row[j] = head == FLAT ? 1 : head == MASK ? in : head == FALLING ? near : head == SELF_ONLY ? i == j : near + 20 * in;
    }
}

Test(heads, closed_forms)
{
    struct bench b;
    bench_open(&b, 16, 12, CLOSED, 1, 0, 0, 1);
    uint8_t own[192] = {0};
    for (int j = 0; j < 192; j++)
        own[j] = j / 12 >= 4 && j / 12 < 10 && j % 12 >= 2 && j % 12 < 5;
    bench_person(&b, own, closed, 0, 0, 1);
    heads_stats_image(b.hs, 0);
    limber_heads_result r = bench_result(&b);
    const limber_heads_class *flat = &r.heads[FLAT].classes[0], *mask = &r.heads[MASK].classes[0],
                             *falling = &r.heads[FALLING].classes[0], *both = &r.heads[FALLING_AND_MASK].classes[0];
    cr_expect(flat->r_limb.mean == 0 && flat->r_near.mean == 0 && flat->partial.mean == 0);
    EXPECT_NEAR(flat->lift, 1, 1e-6);
    EXPECT_NEAR(r.heads[FLAT].entropy.mean, 1, 1e-6);
    EXPECT_NEAR(r.heads[FLAT].reach.mean, 1, 1e-6);
    EXPECT_NEAR(r.heads[FLAT].self.mean, 1.0 / 192, 1e-7);
    EXPECT_NEAR(mask->r_limb.mean, 1, 2e-6);
    EXPECT_NEAR(mask->mass, 1, 1e-6);
    EXPECT_NEAR(mask->lift, 191.0 / 17, 1e-4);
    EXPECT_NEAR(r.heads[MASK].entropy.mean, (18 * log(17) + 174 * log(18)) / 192 / log(191), 1e-6);
    EXPECT_NEAR(falling->r_near.mean, 1, 2e-6);
    cr_expect(falling->r_limb.mean > 0.2, "a limb is a blob: %g", falling->r_limb.mean);
    EXPECT_NEAR(falling->partial.mean, 0, 2e-3);
    cr_expect(both->partial.mean > 0.999, "%g", both->partial.mean);
    cr_expect(both->r_limb.mean < 0.99);
    cr_expect(r.heads[SELF_ONLY].self.mean > 0.999999 && r.heads[SELF_ONLY].reach.mean == 0);
    cr_expect_eq(r.heads[FLAT].kind, LIMBER_HEADS_DIFFUSE);
    cr_expect_eq(r.heads[SELF_ONLY].kind, LIMBER_HEADS_LOCAL);
    result_is_finite(&r);
    limber_heads_result_free(&r);
    bench_close(&b);
}

/* A difference that single precision may have made is no shape: HEADS_FLAT. */
static void nearly_flat(double *row, const struct heads_grid *g, const uint8_t *own, int head, int i, uint64_t *state)
{
    (void)i, (void)state;
    for (int j = 0; j < g->tokens; j++)
        row[j] = 1 + (head ? 0.05 : 1e-3) * (own[j] & 1);
}

Test(heads, nearly_flat_rows_have_no_shape)
{
    struct bench b;
    bench_open(&b, 16, 12, 2, 1, 0, 0, 1);
    uint8_t own[192] = {0};
    for (int j = 0; j < 192; j++)
        own[j] = j / 12 >= 4 && j / 12 < 10 && j % 12 >= 2 && j % 12 < 5;
    bench_person(&b, own, nearly_flat, 0, 0, 1);
    heads_stats_image(b.hs, 0);
    limber_heads_result r = bench_result(&b);
    cr_expect(r.heads[0].classes[0].r_limb.mean == 0 && r.heads[1].classes[0].r_limb.mean > 0.99, "r is %g and %g",
              r.heads[0].classes[0].r_limb.mean, r.heads[1].classes[0].r_limb.mean);
    limber_heads_result_free(&r);
    bench_close(&b);
}

/* ---- everything against whole rows ---- */

static void noise(double *row, const struct heads_grid *g, const uint8_t *own, int head, int i, uint64_t *state)
{
    (void)own, (void)i;
    for (int j = 0; j < g->tokens; j++)
        row[j] = exp((1 + head) * uniform(state));
}

static void against_rows(bool include_self)
{
    enum { H = 7, W = 5, L = H * W, HEADS = 3, N = 4 };
    struct bench b;
    bench_open(&b, H, W, HEADS, N, 0, 0, 1);
    b.shape.include_self = include_self;
    heads_stats_close(&b.hs);
    cr_assert(!heads_stats_open(&b.hs, &b.shape, &b.g, NULL));
    /* two images of two and one people, means of means */
    const int of_image[] = {0, 0, 1};
    double limb[2][HEADS][N] = {{{0}}}, partial[2][HEADS][N] = {{{0}}}, pair[2][HEADS][N][N] = {{{{0}}}}, near[2][HEADS] = {{0}};
    for (int person = 0; person < 3; person++) {
        uint64_t state = 100 + (uint64_t)person, seed = 1000 + (uint64_t)person;
        uint8_t own[L];
        for (int j = 0; j < L; j++)
            own[j] = (uint8_t)(heads_hash(state, (uint64_t)j, 0, 0) & 15);
        bench_person(&b, own, noise, of_image[person], person, seed);
        double weight = of_image[person] ? 1 : 0.5;
        for (int h = 0; h < HEADS; h++) {
            double z[N][N] = {{0}}, zp[N][N] = {{0}};
            int rows[N] = {0};
            for (int i = 0; i < L; i++) {
                uint64_t s = heads_hash(seed, (uint64_t)h, (uint64_t)i, 0);
                double p[L], a[L], y[N][L], d[L], sum = 0;
                noise(p, &b.g, own, h, i, &s);
                for (int j = 0; j < L; j++)
                    sum += p[j];
                int n = 0;
                for (int j = 0; j < L; j++) {
                    if (j == i && !include_self)
                        continue;
                    a[n] = p[j] / sum;
                    d[n] = -hypot(i / W - j / W, i % W - j % W);
                    for (int c = 0; c < N; c++)
                        y[c][n] = own[j] >> c & 1;
                    n++;
                }
                double rn = pearson(a, d, n);
                near[of_image[person]][h] += weight * atanh(rn) / L;
                for (int c = 0; c < N; c++) {
                    if (!(own[i] >> c & 1))
                        continue;
                    rows[c]++;
                    for (int k = 0; k < N; k++) {
                        double r = pearson(a, y[k], n), rm = pearson(y[k], d, n);
                        z[c][k] += atanh(r);
                        zp[c][k] += atanh((r - rn * rm) / sqrt((1 - rn * rn) * (1 - rm * rm)));
                    }
                }
            }
            for (int c = 0; c < N; c++) {
                limb[of_image[person]][h][c] += weight * z[c][c] / rows[c];
                partial[of_image[person]][h][c] += weight * zp[c][c] / rows[c];
                for (int k = 0; k < N; k++)
                    pair[of_image[person]][h][c][k] += weight * z[c][k] / rows[c];
            }
        }
        if (person > 0) /* the first image ends after person 1 */
            heads_stats_image(b.hs, of_image[person]);
    }
    limber_heads_result r = bench_result(&b);
    cr_expect_eq(r.images_used, 2);
    cr_expect_eq(r.people_used, 3);
    for (int h = 0; h < HEADS; h++) {
        EXPECT_NEAR(r.heads[h].r_near.mean, tanh((near[0][h] + near[1][h]) / 2), 1e-5);
        for (int c = 0; c < N; c++) {
            EXPECT_NEAR(r.heads[h].classes[c].r_limb.mean, tanh((limb[0][h][c] + limb[1][h][c]) / 2), 1e-5);
            EXPECT_NEAR(r.heads[h].classes[c].partial.mean, tanh((partial[0][h][c] + partial[1][h][c]) / 2), 1e-5);
            for (int k = 0; k < N; k++)
                EXPECT_NEAR(r.heads[h].pair[c][k].r, tanh((pair[0][h][c][k] + pair[1][h][c][k]) / 2), 1e-5);
        }
    }
    result_is_finite(&r);
    limber_heads_result_free(&r);
    bench_close(&b);
}

Test(heads, whole_rows_agree_without_self)
{
    against_rows(false);
}
Test(heads, whole_rows_agree_with_self)
{
    against_rows(true);
}

/* ---- planted heads ---- */

/* A person about the middle of a 16 x 12 grid, in a pose drawn by lot; joints in patch coordinates. */
static void random_joints(limber_keypoint k[17], uint64_t seed)
{
    uint64_t s = seed * 77 + 5;
#define ROLL(a, b) ((a) + ((b) - (a)) * uniform(&s))
    double cx = ROLL(4.5, 6.5), top = ROLL(1.5, 3), lean = ROLL(-0.3, 0.3);
    double neck = top + 1.6, hip = neck + ROLL(3, 4.5);
    for (int i = 0; i < 5; i++)
        k[i] = (limber_keypoint){(float)(cx + (i % 2 ? 0.4 : -0.4) * (i > 0)), (float)(top + 0.2 * (i > 2)), 1};
    for (int side = 0; side < 2; side++) { /* 0: left, at the right of the picture */
        double out = side ? -1 : 1, arm = ROLL(-0.6, 2.8), fore = arm + ROLL(-0.4, 1.4), leg = ROLL(-0.2, 0.7),
               shin = leg - ROLL(0, 0.6);
        double x = cx + lean + 1.2 * out, y = neck;
        k[5 + side] = (limber_keypoint){(float)x, (float)y, 1};
        k[7 + side] = (limber_keypoint){(float)(x += 2 * sin(arm) * out), (float)(y += 2 * cos(arm)), 1};
        k[9 + side] = (limber_keypoint){(float)(x + 2 * sin(fore) * out), (float)(y + 2 * cos(fore)), 1};
        x = cx + 0.8 * out, y = hip;
        k[11 + side] = (limber_keypoint){(float)x, (float)y, 1};
        k[13 + side] = (limber_keypoint){(float)(x += 2.6 * sin(leg) * out), (float)(y += 2.6 * cos(leg)), 1};
        k[15 + side] = (limber_keypoint){(float)(x + 2.6 * sin(shin) * out), (float)(y + 2.6 * cos(shin)), 1};
    }
#undef ROLL
}

static void random_person(uint8_t *own, const struct heads_grid *g, uint64_t seed)
{
    limber_keypoint k[17];
    struct heads_capsule capsules[HEADS_MAX_CAPSULES];
    struct heads_place place = {.scale_x = 1, .scale_y = 1};
    random_joints(k, seed);
    int n = heads_capsules(capsules, k, 0.3f, (limber_box){1, 1, 10, 13}, place);
    heads_mask_capsules(own, g, capsules, n);
}

enum {
    P_NOISE,      /* nothing at all */
    P_LEFT_ARM,   /* from the left arm to the left arm */
    P_RIGHT_LEG,  /* the same, another limb */
    P_BOTH_ARMS,  /* from any arm to both arms: a specialist that cannot tell the sides */
    P_LOCAL,      /* a Gaussian about the query */
    P_SMOOTH,     /* smooth random blobs, new ones in every image: chance agreement */
    P_CENTRE,     /* a blob in the middle of the crop, where the torso is */
    P_BESIDE,     /* a blob two patches below the query */
    P_DIFFUSE,    /* flat, a little noise */
    P_PERSON,     /* from anywhere on the person to the whole person */
    P_OWN_LIMB,   /* from each limb to itself: a specialist of all six */
    P_ARM_ANYHOW, /* the left arm from everywhere, outside of it too */
    PLANTED
};

static double blob(const struct heads_grid *g, int j, double r, double c, double width)
{
    double dr = j / g->w - r, dc = j % g->w - c;
    return exp(-(dr * dr + dc * dc) / (2 * width * width));
}

static void planted(double *row, const struct heads_grid *g, const uint8_t *own, int head, int i, uint64_t *state)
{
    enum { ARMS = 4 | 8, LEFT_ARM = 4, RIGHT_LEG = 32 };
    for (int j = 0; j < g->tokens; j++) {
        double seen = 0;
        switch (head) {
        case P_LEFT_ARM:
            seen = own[i] & own[j] & LEFT_ARM ? 4 : 0;
            break;
        case P_RIGHT_LEG:
            seen = own[i] & own[j] & RIGHT_LEG ? 4 : 0;
            break;
        case P_BOTH_ARMS:
            seen = (own[i] & ARMS) && (own[j] & ARMS) ? 6 : 0;
            break;
        case P_LOCAL:
            seen = 60 * blob(g, j, i / g->w, i % g->w, 1.5);
            break;
        case P_CENTRE:
            seen = 20 * blob(g, j, 6, 5.5, 2);
            break;
        case P_BESIDE:
            seen = 60 * blob(g, j, i / g->w + 2, i % g->w, 1.2);
            break;
        case P_PERSON:
            seen = own[i] && own[j] ? 6 : 0;
            break;
        case P_OWN_LIMB:
            seen = own[i] & own[j] ? 4 : 0;
            break;
        case P_ARM_ANYHOW:
            seen = own[j] & LEFT_ARM ? 4 : 0;
            break;
        default:
            break;
        }
        row[j] = head == P_DIFFUSE ? 1 + 0.1 * uniform(state) : seen + 1.5 * uniform(state);
    }
    if (head == P_SMOOTH) {
        memset(row, 0, (size_t)g->tokens * sizeof *row);
        for (int k = 0; k < 3; k++) {
            double r = 16 * uniform(state), c = 12 * uniform(state);
            for (int j = 0; j < g->tokens; j++)
                row[j] += blob(g, j, r, c, 2) + 0.01;
        }
    }
}

static unsigned specialist_of(const limber_heads_head *h)
{
    unsigned bits = 0;
    for (int c = 0; c < CLASSES; c++)
        bits |= (unsigned)h->classes[c].specialist << c;
    return bits;
}

static limber_heads_result planted_result(struct bench *b, uint64_t seed, int images)
{
    bench_open(b, 16, 12, PLANTED, CLASSES, 2, 200, seed);
    for (int image = 0; image < images; image++) {
        uint8_t own[192];
        random_person(own, &b->g, seed * 1000 + (uint64_t)image);
        bench_person(b, own, planted, image, 0, seed * 5000 + (uint64_t)image);
        heads_stats_image(b->hs, image);
    }
    return bench_result(b);
}

Test(heads, planted_heads_are_found_and_no_others)
{
    static const struct {
        const char *name;
        unsigned of; /* bits of the classes */
        limber_heads_kind kind;
    } want[PLANTED] = {
        [P_NOISE] = {"noise", 0, LIMBER_HEADS_DIFFUSE},
        [P_LEFT_ARM] = {"left arm", 4, LIMBER_HEADS_SPECIALIST},
        [P_RIGHT_LEG] = {"right leg", 32, LIMBER_HEADS_SPECIALIST},
        [P_BOTH_ARMS] = {"both arms", 4 | 8, LIMBER_HEADS_SPECIALIST},
        [P_LOCAL] = {"local", 0, LIMBER_HEADS_LOCAL},
        [P_SMOOTH] = {"smooth blobs", 0, LIMBER_HEADS_MIXED},
        [P_CENTRE] = {"blob in the centre", 0, LIMBER_HEADS_MIXED},
        [P_BESIDE] = {"blob beside", 0, LIMBER_HEADS_LOCAL},
        [P_DIFFUSE] = {"diffuse", 0, LIMBER_HEADS_DIFFUSE},
        [P_PERSON] = {"person", 0, LIMBER_HEADS_MIXED},
        [P_OWN_LIMB] = {"own limb", 63, LIMBER_HEADS_SPECIALIST},
        [P_ARM_ANYHOW] = {"left arm from anywhere", 4, LIMBER_HEADS_SPECIALIST},
    };
    struct bench b;
    limber_heads_result r = planted_result(&b, 3, 40);
    for (int h = 0; h < PLANTED; h++) {
        cr_expect_eq(specialist_of(&r.heads[h]), want[h].of, "%s: specialist of %#x, expected %#x", want[h].name,
                     specialist_of(&r.heads[h]), want[h].of);
        cr_expect_eq(r.heads[h].kind, want[h].kind, "%s is %s (entropy %.3f, reach %.3f), expected %s", want[h].name,
                     limber_heads_kind_name(r.heads[h].kind), r.heads[h].entropy.mean, r.heads[h].reach.mean,
                     limber_heads_kind_name(want[h].kind));
        if (getenv("LIMBER_SHOW"))
            for (int c = 0; c < CLASSES; c++) {
                const limber_heads_class *k = &r.heads[h].classes[c];
                fprintf(
                    stderr,
                    "%-22s %-9s r %6.3f near %6.3f part %6.3f moved %6.3f swap %6.3f  p %.2g %.2g q %.2g lift %5.2f side %6.3f\n",
                    want[h].name, heads_limb_names[c], k->r_limb.mean, k->r_near.mean, k->partial.mean, k->over_moved.mean,
                    k->over_swapped.mean, k->p_moved, k->p_swapped, k->q, k->lift, k->side.mean);
            }
    }
    cr_expect(r.heads[P_LEFT_ARM].classes[2].sided && r.heads[P_RIGHT_LEG].classes[5].sided);
    cr_expect(!r.heads[P_BOTH_ARMS].classes[2].sided && !r.heads[P_BOTH_ARMS].classes[3].sided, "both arms, side %g and %g",
              r.heads[P_BOTH_ARMS].classes[2].side.mean, r.heads[P_BOTH_ARMS].classes[3].side.mean);
    cr_expect_eq(r.specialists, 5);
    /* pairs: arms read together in earnest; who reads a place, or nothing, does not */
    cr_expect(r.heads[P_BOTH_ARMS].pair[2][3].tested && r.heads[P_BOTH_ARMS].pair[2][3].over > 0.1 &&
                  r.heads[P_BOTH_ARMS].pair[2][3].q < 0.01 && r.heads[P_BOTH_ARMS].pair[2][3].r_low > 0,
              "both arms: over %g, q %g", r.heads[P_BOTH_ARMS].pair[2][3].over, r.heads[P_BOTH_ARMS].pair[2][3].q);
    cr_expect(r.heads[P_ARM_ANYHOW].pair[5][2].q < 0.01 && r.heads[P_ARM_ANYHOW].pair[5][2].over > 0.1);
    for (int y = 0; y < CLASSES * CLASSES;
         y++) { /* against one null or the other they may look like something, against both they do not */
        static const int places[] = {P_LOCAL, P_SMOOTH, P_CENTRE, P_BESIDE};
        for (size_t x = 0; x < sizeof places / sizeof *places; x++)
            cr_expect(r.heads[places[x]].pair[y / CLASSES][y % CLASSES].q > 0.05, "%s: %d from %d, q %g", want[places[x]].name,
                      y % CLASSES, y / CLASSES, r.heads[places[x]].pair[y / CLASSES][y % CLASSES].q);
    }
    int apart = 0;
    for (int y = 0; y < PLANTED * CLASSES * CLASSES; y++) { /* both nulls, and in one direction */
        const int h = y / (CLASSES * CLASSES), from = y / CLASSES % CLASSES, to = y % CLASSES;
        const double over = r.heads[h].pair[from][to].over, moved = r.heads[h].pair[from][to].over_moved;
        const double larger = fmax(r.heads[h].pair[from][to].p_swapped, r.heads[h].pair[from][to].p_moved);
        cr_expect_eq(r.heads[h].pair[from][to].p, over * moved > 0 ? larger : 1);
        apart += over * moved < 0 && larger < 0.5;
    }
    cr_expect(apart > 3, "pairs whose nulls disagree: %d", apart);
    cr_expect(r.heads[P_BOTH_ARMS].pair[2][3].over_moved > 0.1 && r.heads[P_ARM_ANYHOW].pair[5][2].over_moved > 0.1);
    for (int x = 0; getenv("LIMBER_SHOW") && x < PLANTED; x++)
        for (int y = 0; y < 36; y++)
            fprintf(stderr, "%-22s %d -> %d: swapped %6.3f p %.2g, moved %6.3f p %.2g, q %.2g\n", want[x].name, y / 6, y % 6,
                    r.heads[x].pair[y / 6][y % 6].over, r.heads[x].pair[y / 6][y % 6].p_swapped,
                    r.heads[x].pair[y / 6][y % 6].over_moved, r.heads[x].pair[y / 6][y % 6].p_moved,
                    r.heads[x].pair[y / 6][y % 6].q);
    for (int a = 0; a < CLASSES; a++)
        for (int k = 0; k < CLASSES; k++) {
            cr_expect(r.heads[P_NOISE].pair[a][k].q > 0.05 && r.heads[P_DIFFUSE].pair[a][k].q > 0.05, "noise reads %d from %d", k,
                      a);
            cr_expect(r.heads[P_LEFT_ARM].pair[a][5].q > 0.05 || r.heads[P_LEFT_ARM].pair[a][5].over < 0,
                      "the reader of arms reads legs from %d: q %g", a, r.heads[P_LEFT_ARM].pair[a][5].q);
        }
    cr_expect(r.heads[0].layer_p < 1e-6 && r.heads[0].layer_p == r.heads[5].layer_p, "heads differ in reach: p %g",
              r.heads[0].layer_p);
    cr_expect(r.heads[P_DIFFUSE].exploring == 1 && r.heads[P_DIFFUSE].focused == 0);
    for (int c = 2; c < CLASSES; c++) /* near-sighted heads see their own side best: that must not count */
        cr_expect(r.heads[P_LOCAL].classes[c].side.low <= 0, "local, %s: side %g", heads_limb_names[c],
                  r.heads[P_LOCAL].classes[c].side.mean);
    result_is_finite(&r);
    limber_heads_result_free(&r);
    bench_close(&b);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* SciPy 1.11: chi2.sf(x, k) and t.isf(p, k) */
Test(heads, tails)
{
    EXPECT_NEAR(heads_chi_square_p(3.84145882069412, 1), 0.05, 1e-12);
    EXPECT_NEAR(heads_chi_square_p(14.0671404493402, 7), 0.05, 1e-12);
    EXPECT_NEAR(heads_chi_square_p(2, 2), 0.36787944117144233, 1e-14); /* exp(-1) */
    EXPECT_NEAR(heads_chi_square_p(60, 4) * 1e12, 31 * exp(-30.0) * 1e12, 1e-6);
    cr_expect(heads_chi_square_p(0, 5) == 1 && heads_chi_square_p(-3, 5) == 1);
    EXPECT_NEAR(heads_student_t(0.025, 1), 12.706204736432095, 1e-8);
    EXPECT_NEAR(heads_student_t(0.025, 30), 2.0422724563012373, 1e-9);
}

/* Heads that are all alike: Friedman's p is uniform (Kolmogorov and Smirnov at 1 %), and a pair's share below 5 % is 5 %. */
Test(heads, alike_heads_do_not_differ)
{
    enum { TURNS = 120 };
    double p[TURNS], most = 0;
    for (int t = 0; t < TURNS; t++) {
        struct bench b;
        bench_open(&b, 8, 6, 5, CLASSES, 0, 0, (uint64_t)t);
        for (int image = 0; image < 12; image++) {
            uint8_t own[192];
            random_person(own, &b.g, (uint64_t)(t * 100 + image));
            bench_person(&b, own, noise, image, 0, (uint64_t)(t * 7000 + image));
            heads_stats_image(b.hs, image);
        }
        limber_heads_result r = bench_result(&b);
        p[t] = r.heads[0].layer_p;
        limber_heads_result_free(&r);
        bench_close(&b);
    }
    qsort(p, TURNS, sizeof *p, by_value);
    for (int t = 0; t < TURNS; t++)
        most = fmax(most, fmax(fabs(p[t] - (double)t / TURNS), fabs(p[t] - (t + 1.0) / TURNS)));
    cr_expect(most < 1.63 / sqrt(TURNS) + 0.02, "p strays by %.3f from uniform",
              most); /* chi-square is an approximation at 12 images */
}

/* ---- the null keeps its level ---- */

enum { NULL_HEADS = 60 };
/* A third each: noise, blobs at a place that belongs to the head, blobs at an offset that belongs to the head. None sees a limb. */
static void blind(double *row, const struct heads_grid *g, const uint8_t *own, int head, int i, uint64_t *state)
{
    uint64_t s = 900 + (uint64_t)head;
    double r = 16 * uniform(&s), c = 12 * uniform(&s), width = 0.8 + 2 * uniform(&s);
    (void)own;
    for (int j = 0; j < g->tokens; j++) {
        double dr = head % 3 == 2 ? i / g->w + (r - 8) / 3 : r, dc = head % 3 == 2 ? i % g->w + (c - 6) / 3 : c;
        row[j] = uniform(state) + (head % 3 ? 20 * blob(g, j, dr, dc, width) : 0);
    }
}

Test(heads, the_null_keeps_its_level)
{
    enum { IMAGES = 32 };
    struct bench b;
    bench_open(&b, 16, 12, NULL_HEADS, CLASSES, 2, 0, 11);
    for (int image = 0; image < IMAGES; image++) {
        uint8_t own[192];
        random_person(own, &b.g, 70000 + (uint64_t)image);
        bench_person(&b, own, blind, image, 0, 80000 + (uint64_t)image);
        heads_stats_image(b.hs, image);
    }
    limber_heads_result r = bench_result(&b);
    static const char *const kind[] = {"noise", "fixed blobs", "blobs at an offset"};
    for (int k = 0; k < 3; k++) {
        int low = 0, n = 0, specialists = 0;
        for (int h = k; h < NULL_HEADS; h += 3)
            for (int c = 0; c < CLASSES; c++) {
                n++;
                low += r.heads[h].classes[c].p <= 0.05;
                specialists += r.heads[h].classes[c].specialist;
            }
        if (getenv("LIMBER_SHOW"))
            fprintf(stderr, "%s: %d of %d at or below 0.05\n", kind[k], low, n);
        /* the classes of one head share their rows, so a binomial bound is a little tight: three of its standard deviations */
        cr_expect(low <= 0.05 * n + 3 * sqrt(0.05 * 0.95 * n), "%s: p <= 0.05 in %d of %d", kind[k], low, n);
        cr_expect_eq(specialists, 0, "%s: %d specialists", kind[k], specialists);
    }
    limber_heads_result_free(&r);
    bench_close(&b);
}

/* ---- from anywhere ---- */

enum { ALL = CLASSES + HEADS_BOUNDARIES };

/* A person with its boundaries, drawn at `scale`. */
static void whole_person(uint8_t *own, const struct heads_grid *g, uint64_t seed, double scale)
{
    limber_keypoint k[17];
    struct heads_capsule capsules[HEADS_MAX_CAPSULES];
    random_joints(k, seed);
    for (int i = 0; i < 17; i++) {
        k[i].x *= (float)scale;
        k[i].y *= (float)scale;
    }
    int n = heads_capsules(capsules, k, 0.3f, (limber_box){1, 1, (float)(10 * scale), (float)(13 * scale)},
                           (struct heads_place){.scale_x = 1, .scale_y = 1});
    heads_mask_capsules(own, g, capsules, n);
    heads_mask_boundaries(own, g, capsules, n);
}

struct any_bench {
    struct bench b;
    struct anywhere any;
};

static void any_open(struct any_bench *a, int h, int w, int heads, int replicates, uint64_t seed)
{
    limber_error err = {0};
    bench_open(&a->b, h, w, heads, ALL, 2, replicates, seed);
    for (int c = 0; c < ALL; c++)
        a->b.shape.mirror[c] = c < CLASSES ? heads_limb_mirror[c] : -1;
    cr_assert(!anywhere_open(&a->any, &a->b.shape, HEADS_BOUNDARIES, &a->b.g, &err), "%s", err.text);
}

static void any_person(struct any_bench *a, const uint8_t *own, attention_fn attend, int64_t image, uint64_t state)
{
    const float *layers[] = {a->b.sums};
    bench_person(&a->b, own, attend, image, 0, state);
    anywhere_person(&a->any, &a->b.columns, layers);
}

static limber_heads_result any_result(struct any_bench *a)
{
    limber_error err = {0};
    limber_heads_result r = bench_result(&a->b);
    cr_assert(!anywhere_summarise(&a->any, r.heads, &err), "%s", err.text);
    for (int h = 0; h < r.head_count; h++)
        for (int c = 0; c < ALL; c++) {
            const limber_heads_any *k = &r.heads[h].any[c];
            const limber_heads_estimate *all[] = {&k->r,         &k->partial,    &k->r_moved,
                                                  &k->r_swapped, &k->over_moved, &k->over_swapped};
            for (size_t q = 0; q < sizeof all / sizeof *all; q++)
                estimate_is_finite(all[q], "anywhere");
            cr_expect(isfinite(k->lift) && k->p >= 0 && k->p <= 1 && k->q >= k->p - 1e-15 && k->q <= 1);
        }
    return r;
}

static void any_close(struct any_bench *a)
{
    anywhere_close(&a->any);
    bench_close(&a->b);
}

/* A disc on a grid of 5 x 5: cut is what has its nearest point inside and its farthest outside. */
Test(heads, boundaries_by_hand)
{
    struct heads_grid g;
    limber_error err = {0};
    uint8_t own[25];
    const struct heads_capsule disc = {.ax = 2, .ay = 2, .bx = 2, .by = 2, .radius = 1.2};
    cr_assert(!heads_grid_open(&g, 5, 5, &err));
    memset(own, 0xff, sizeof own);
    heads_mask_boundaries(own, &g, &disc, 1);
    for (int j = 0; j < 25; j++) {
        /* the nearest and the farthest point of the square, by geometry */
        const double dx = fabs(j % 5 - 2.0), dy = fabs(j / 5 - 2.0), near_x = fmax(0, dx - 0.5), near_y = fmax(0, dy - 0.5);
        const bool cut = hypot(near_x, near_y) <= 1.2 && hypot(dx + 0.5, dy + 0.5) > 1.2;
        cr_expect_eq(own[j] >> HEADS_OUTLINE & 1, cut, "patch %d", j);
        cr_expect_eq(own[j] >> HEADS_JOINTS & 1, j == 12, "patch %d", j);
        cr_expect_eq(own[j] & 63, 63, "limbs stay");
    }
    heads_mask_boundaries(own, &g, &disc, 0); /* nobody */
    for (int j = 0; j < 25; j++)
        cr_expect_eq(own[j] >> CLASSES, 0);
    heads_grid_close(&g);
}

enum { A_NOISE, A_OUTLINE, A_JOINTS, A_ARM, A_PERSON, A_LOCAL, A_CENTRE, A_OFFSET, A_SMOOTH, A_LIMB_FROM_LIMB, ANYWHERE };
static void reading(double *row, const struct heads_grid *g, const uint8_t *own, int head, int i, uint64_t *state)
{
    for (int j = 0; j < g->tokens; j++) {
        double seen = head == A_OUTLINE          ? 5 * (own[j] >> HEADS_OUTLINE & 1)
                      : head == A_JOINTS         ? 8 * (own[j] >> HEADS_JOINTS & 1)
                      : head == A_ARM            ? 5 * (own[j] >> 2 & 1)
                      : head == A_PERSON         ? 5 * ((own[j] & 63) != 0)
                      : head == A_LOCAL          ? 60 * blob(g, j, i / g->w, i % g->w, 1.5)
                      : head == A_CENTRE         ? 20 * blob(g, j, 6, 5.5, 2)
                      : head == A_OFFSET         ? 60 * blob(g, j, i / g->w + 2, i % g->w, 1.2)
                      : head == A_LIMB_FROM_LIMB ? 6 * ((own[i] & own[j] & 4) != 0)
                                                 : 0;
        row[j] = seen + 1.5 * uniform(state);
    }
    if (head == A_SMOOTH) {
        double r = 16 * uniform(state), c = 12 * uniform(state);
        for (int j = 0; j < g->tokens; j++)
            row[j] = blob(g, j, r, c, 2) + 0.01;
    }
}

Test(heads, readers_from_anywhere_are_found_and_no_others)
{
    static const char *const names[ANYWHERE] = {"noise", "outline", "joints", "arm",    "person",
                                                "local", "centre",  "offset", "smooth", "arm from arm"};
    static const unsigned want[ANYWHERE] = {[A_OUTLINE] = 1u << HEADS_OUTLINE, [A_JOINTS] = 1u << HEADS_JOINTS, [A_ARM] = 4};
    struct any_bench a;
    any_open(&a, 16, 12, ANYWHERE, 200, 5);
    for (int image = 0; image < 30; image++) {
        uint8_t own[192];
        whole_person(own, &a.b.g, 600 + (uint64_t)image, 1);
        any_person(&a, own, reading, image, 700 + (uint64_t)image);
        heads_stats_image(a.b.hs, image);
        anywhere_image(&a.any, (uint64_t)image);
    }
    limber_heads_result r = any_result(&a);
    for (int h = 0; h < ANYWHERE; h++) {
        unsigned reader = 0;
        for (int c = 0; c < ALL; c++) {
            const limber_heads_any *k = &r.heads[h].any[c];
            reader |= (unsigned)k->reader << c;
            cr_expect(k->r.images == 30 && k->over_moved.images == 30 && k->over_swapped.images == 29 && k->r.interval &&
                      k->p == fmax(k->p_moved, k->p_swapped));
            if (getenv("LIMBER_SHOW"))
                fprintf(stderr, "%-13s %d r %6.3f part %6.3f moved %6.3f swap %6.3f p %.2g %.2g q %.2g lift %5.2f\n", names[h], c,
                        k->r.mean, k->partial.mean, k->over_moved.mean, k->over_swapped.mean, k->p_moved, k->p_swapped, k->q,
                        k->lift);
        }
        cr_expect_eq(reader, want[h], "%s reads %#x, expected %#x", names[h], reader, want[h]);
    }
    limber_heads_result_free(&r);
    any_close(&a);
}

/* Every number against whole rows in double, over two people of one image and one of another. */
Test(heads, anywhere_by_definition)
{
    enum { H = 7, WIDE = 5, L = H * WIDE, N = 2 };
    struct any_bench a;
    any_open(&a, H, WIDE, N, 0, 9);
    double want[N][ALL][8], of_image[N][ALL][8] = {{{0}}};
    int people[8] = {0}, images[8] = {0};
    memset(want, 0, sizeof want);
    for (int person = 0; person < 3; person++) {
        const uint64_t state = 31 + (uint64_t)person;
        const int image = person / 2;
        uint8_t own[L];
        for (int j = 0; j < L; j++)
            own[j] = (uint8_t)heads_hash(state, (uint64_t)j, 0, 0);
        any_person(&a, own, noise, image, state);
        int known[8] = {1, 1, 0, 0, 0, 0, 1, 1};
        for (int h = 0; h < N; h++)
            for (int c = 0; c < ALL; c++) {
                double v[8] = {0}, null[2] = {0};
                int nulls[2] = {0};
                for (int j = 0; j < a.b.columns.count; j++) {
                    const uint8_t *m = a.b.columns.masks + j / 8 * L;
                    double z = 0;
                    int role = a.b.columns.column[j].role;
                    if (a.b.columns.column[j].class != c)
                        continue;
                    for (int i = 0; i < L; i++) {
                        uint64_t s = heads_hash(state, (uint64_t)h, (uint64_t)i, 0);
                        double p[L], x[L], y[L], d[L], sum = 0, mass = 0, all = 0, share = 0;
                        int n = 0;
                        noise(p, &a.b.g, own, h, i, &s);
                        for (int k = 0; k < L; k++)
                            sum += p[k];
                        for (int k = 0; k < L; k++) {
                            if (k == i)
                                continue;
                            x[n] = p[k] / sum;
                            y[n] = m[k] >> j % 8 & 1;
                            d[n] = -hypot(i / WIDE - k / WIDE, i % WIDE - k % WIDE);
                            mass += x[n] * y[n];
                            all += x[n];
                            share += y[n];
                            n++;
                        }
                        const double r = pearson(x, y, n), near = pearson(x, d, n), rm = pearson(y, d, n);
                        z += atanh(r) / L;
                        if (role == HEADS_OWN) {
                            v[1] += atanh((r - near * rm) / sqrt((1 - near * near) * (1 - rm * rm))) / L;
                            v[6] += mass / all / L;
                            v[7] += share / n / L;
                        }
                    }
                    if (role == HEADS_OWN)
                        v[0] = z;
                    else {
                        null[role == HEADS_SWAPPED] += z;
                        nulls[role == HEADS_SWAPPED]++;
                    }
                }
                cr_assert(nulls[0] == 2 && nulls[1] == (person == 2));
                for (int k = 0; k < 2; k++) {
                    v[2 + k] = nulls[k] ? null[k] / nulls[k] : 0;
                    v[4 + k] = nulls[k] ? v[0] - v[2 + k] : 0;
                    known[2 + k] = known[4 + k] = nulls[k] > 0;
                }
                for (int q = 0; q < 8; q++)
                    of_image[h][c][q] += v[q];
            }
        for (int q = 0; q < 8; q++)
            people[q] += known[q];
        if (person == 0)
            continue;
        for (int q = 0; q < 8; q++) {
            for (int h = 0; h < N; h++)
                for (int c = 0; c < ALL; c++)
                    want[h][c][q] += people[q] ? of_image[h][c][q] / people[q] : 0;
            images[q] += people[q] > 0;
            people[q] = 0;
        }
        memset(of_image, 0, sizeof of_image);
        heads_stats_image(a.b.hs, image);
        anywhere_image(&a.any, (uint64_t)image);
    }
    limber_heads_result r = any_result(&a);
    for (int h = 0; h < N; h++)
        for (int c = 0; c < ALL; c++) {
            const limber_heads_any *k = &r.heads[h].any[c];
            const double got[8] = {k->r.mean,          k->partial.mean,      k->r_moved.mean, k->r_swapped.mean,
                                   k->over_moved.mean, k->over_swapped.mean, k->mass,         k->share};
            for (int q = 0; q < 8; q++) {
                const double mean = want[h][c][q] / images[q];
                cr_expect(fabs(got[q] - (q < 6 ? tanh(mean) : mean)) < 1e-5, "head %d, class %d, number %d: %g, by definition %g",
                          h, c, q, got[q], q < 6 ? tanh(mean) : mean);
            }
            EXPECT_NEAR(k->lift, k->mass / k->share, 1e-12);
        }
    /* an image that is forgotten leaves nothing behind */
    uint8_t own[L];
    memset(own, 0x55, sizeof own);
    own[0] = own[3] = 0xff;
    any_person(&a, own, noise, 7, 7);
    anywhere_forget(&a.any);
    anywhere_image(&a.any, 7);
    limber_heads_result again = bench_result(&a.b);
    cr_assert(!anywhere_summarise(&a.any, again.heads, NULL));
    for (int h = 0; h < N; h++)
        cr_expect(!memcmp(again.heads[h].any, r.heads[h].any, sizeof r.heads[h].any));
    limber_heads_result_free(&again);
    limber_heads_result_free(&r);
    any_close(&a);
}

static double strays(double *p, int n)
{
    double most = 0;
    qsort(p, (size_t)n, sizeof *p, by_value);
    for (int t = 0; t < n; t++)
        most = fmax(most, fmax(fabs(p[t] - (double)t / n), fabs(p[t] - (t + 1.0) / n)));
    return most;
}

/* Nothing, the same for every head. */
static void noise_of_all(double *row, const struct heads_grid *g, const uint8_t *own, int head, int i, uint64_t *state)
{
    (void)head;
    noise(row, g, own, 1, i, state);
}

/* Where nothing is, p is uniform (Kolmogorov and Smirnov at 1 %): boundaries and limbs from anywhere, and pairs of limbs, against each null. */
Test(heads, p_of_nothing_is_uniform)
{
    enum { N = 300, IMAGES = 14, KINDS = 8 };
    static const char *const names[KINDS] = {"outline, moved", "outline, swapped", "joints, moved", "joints, swapped",
                                             "arm, moved",     "arm, swapped",     "pair, moved",   "pair, swapped"};
    static double p[KINDS][N];
    struct any_bench a;
    any_open(&a, 8, 6, N, 0, 21);
    for (int image = 0; image < IMAGES; image++) {
        uint8_t own[48];
        whole_person(own, &a.b.g, 4000 + (uint64_t)image, 0.5);
        any_person(&a, own, noise_of_all, image, 5000 + (uint64_t)image);
        heads_stats_image(a.b.hs, image);
        anywhere_image(&a.any, (uint64_t)image);
    }
    limber_heads_result r = any_result(&a);
    int both = 0;
    for (int h = 0; h < N; h++) {
        const limber_heads_any *any = r.heads[h].any;
        for (int k = 0; k < 3; k++) {
            const limber_heads_any *of = &any[k == 2 ? 2 : HEADS_OUTLINE + k];
            p[2 * k][h] = of->p_moved;
            p[2 * k + 1][h] = of->p_swapped;
            both += of->p <= 0.05;
        }
        cr_assert(r.heads[h].pair[1][4].tested);
        p[6][h] = r.heads[h].pair[1][4].p_moved;
        p[7][h] = r.heads[h].pair[1][4].p_swapped;
    }
    for (int k = 0; k < KINDS; k++) {
        const double most = strays(p[k], N);
        cr_expect(most < 1.63 / sqrt(N), "%s: p strays by %.3f from uniform", names[k], most);
    }
    cr_expect(both < 0.05 * 3 * N, "p of both nulls is at most .05 in %d of %d", both, 3 * N);
    limber_heads_result_free(&r);
    any_close(&a);
}

/* Pairs against masks that are moved together, by their definition: column by column, the rows of the first class moved as the second was. */
Test(heads, pairs_are_moved_together)
{
    enum { A = 2, B = 1 };
    struct bench b;
    double z = 0;
    bench_open(&b, 9, 8, 1, CLASSES, 3, 0, 4);
    uint8_t own[72];
    memset(own, 0, sizeof own);
    for (int j = 0; j < 72; j++)
        own[j] = (uint8_t)((j / 8 >= 2 && j / 8 < 5 && j % 8 >= 1 && j % 8 < 3) << A |
                           (j / 8 >= 3 && j / 8 < 5 && j % 8 >= 4 && j % 8 < 6) << B);
    for (int image = 0; image < 2; image++) {
        const uint64_t state = 90 + (uint64_t)image;
        double of_person = 0, own_z = 0;
        int moves = 0;
        bench_person(&b, own, noise, image, 0, state);
        for (int j = 0; j < b.columns.count; j++) {
            const bool moved = b.columns.column[j].role == HEADS_MOVED;
            if (b.columns.column[j].class != B || b.columns.column[j].role == HEADS_SWAPPED)
                continue;
            /* where the moved mask lies against the own one, found by looking */
            const uint8_t *m = b.columns.masks + j / 8 * 72;
            int down = 0, right = 0, rows = 0;
            for (int s = 0; moved && s < 72; s++) {
                int equal = 0;
                for (int t = 0; t < 72; t++)
                    equal += (m[(t / 8 + s / 8) % 9 * 8 + (t % 8 + s % 8) % 8] >> j % 8 & 1) == (own[t] >> B & 1);
                if (equal == 72) {
                    down = s / 8 > 4 ? s / 8 - 9 : s / 8;
                    right = s % 8 > 3 ? s % 8 - 8 : s % 8;
                }
            }
            double sum = 0;
            for (int i = 0; i < 72; i++) {
                const int y = i / 8 + down, x = i % 8 + right;
                if (!(own[i] >> A & 1) || y < 0 || y >= 9 || x < 0 || x >= 8)
                    continue;
                const int to = y * 8 + x;
                uint64_t s = heads_hash(state, 0, (uint64_t)to, 0);
                double p[72], in[72];
                int n = 0;
                noise(p, &b.g, own, 0, to, &s);
                for (int k = 0; k < 72; k++)
                    if (k != to) {
                        p[n] = p[k];
                        in[n++] = m[k] >> j % 8 & 1;
                    }
                sum += atanh(pearson(p, in, n));
                rows++;
            }
            if (!moved)
                own_z = sum / rows;
            else if (rows) {
                of_person += sum / rows;
                moves++;
            }
        }
        cr_assert(moves >= 1);
        z += (own_z - of_person / moves) / 2;
        heads_stats_image(b.hs, image);
    }
    limber_heads_result r = bench_result(&b);
    EXPECT_NEAR(r.heads[0].pair[A][B].over_moved, tanh(z), 1e-5);
    limber_heads_result_free(&r);
    bench_close(&b);
}

/* ---- left and right ---- */

static bool mirror_rows; /* of mirrored_noise: Criterion runs every Test in a process of its own */

static void mirrored_noise(double *row, const struct heads_grid *g, const uint8_t *own, int head, int i, uint64_t *state)
{
    (void)own, (void)state;
    int query = mirror_rows ? i / g->w * g->w + g->w - 1 - i % g->w : i;
    for (int j = 0; j < g->tokens; j++) {
        int key = mirror_rows ? j / g->w * g->w + g->w - 1 - j % g->w : j;
        row[j] = (double)(heads_hash(5, (uint64_t)head, (uint64_t)query, (uint64_t)key) % 1000) + 1;
    }
}

Test(heads, a_mirrored_image_swaps_left_and_right)
{
    limber_heads_result r[2];
    static const int other[CLASSES] = {0, 1, 3, 2, 5, 4};
    for (int m = 0; m < 2; m++) {
        struct bench b;
        bench_open(&b, 16, 12, 2, CLASSES, 0, 0, 1);
        uint8_t own[192], turned[192];
        random_person(own, &b.g, 41);
        for (int j = 0; j < 192; j++) {
            uint8_t from = own[j / 12 * 12 + 11 - j % 12];
            turned[j] = 0;
            for (int c = 0; c < CLASSES; c++)
                turned[j] |= (uint8_t)((from >> c & 1) << other[c]);
        }
        mirror_rows = m;
        bench_person(&b, m ? turned : own, mirrored_noise, 0, 0, 1);
        heads_stats_image(b.hs, 0);
        r[m] = bench_result(&b);
        bench_close(&b);
    }
    for (int h = 0; h < 2; h++)
        for (int c = 0; c < CLASSES; c++) {
            const limber_heads_class *a = &r[0].heads[h].classes[c], *z = &r[1].heads[h].classes[other[c]];
            cr_expect(a->r_limb.images == 1 && a->r_limb.mean != 0);
            EXPECT_NEAR(a->r_limb.mean, z->r_limb.mean, 1e-6);
            EXPECT_NEAR(a->partial.mean, z->partial.mean, 1e-6);
            EXPECT_NEAR(a->lift, z->lift, 1e-5);
            for (int d = 0; d < CLASSES; d++)
                EXPECT_NEAR(r[0].heads[h].pair[c][d].partial, r[1].heads[h].pair[other[c]][other[d]].partial, 1e-6);
        }
    limber_heads_result_free(&r[0]);
    limber_heads_result_free(&r[1]);
}

/* ---- the bootstrap ---- */

Test(heads, intervals_cover_what_they_should)
{
    /* 400 streams of 40 numbers from a distribution with mean 0.3: a 95 % percentile interval of n = 40 covers about 93.5 %. */
    enum { STREAMS = 400, N = 40, REPLICATES = 400 };
    struct heads_stream s;
    cr_assert(heads_stream_open(&s, STREAMS, 1, REPLICATES));
    bool present[] = {true};
    double values[STREAMS], scratch[REPLICATES];
    uint64_t state = 99;
    for (int i = 0; i < N; i++) {
        for (int k = 0; k < STREAMS; k++)
            values[k] = 0.3 + (uniform(&state) + uniform(&state) + uniform(&state) - 1.5);
        heads_stream_add(&s, values, present, 5, (uint64_t)i);
    }
    int inside = 0;
    double width = 0;
    for (int k = 0; k < STREAMS; k++) {
        limber_heads_estimate e = heads_stream_estimate(&s, (size_t)k, 0, false, scratch);
        cr_expect(e.interval && e.images == N && e.low < e.mean && e.mean < e.high);
        inside += e.low <= 0.3 && 0.3 <= e.high;
        width += (e.high - e.low) / STREAMS;
    }
    cr_expect(inside >= 0.90 * STREAMS && inside <= 0.975 * STREAMS, "%d of %d intervals hold the mean", inside, STREAMS);
    EXPECT_NEAR(width, 2 * 1.96 * 0.5 / sqrt(N), 0.03); /* the numbers' standard deviation is 0.5 */
    heads_stream_close(&s);

    /* two images: a replicate in seven draws neither, and says nothing */
    cr_assert(heads_stream_open(&s, 1, 1, REPLICATES));
    for (int i = 0; i < 2; i++)
        heads_stream_add(&s, (double[]){i}, present, 5, (uint64_t)i);
    memset(scratch, 0, sizeof scratch);
    limber_heads_estimate e = heads_stream_estimate(&s, 0, 0, false, scratch);
    cr_expect(e.low == 0 && e.high == 1 && e.mean == 0.5);
    for (int b = 0; b < REPLICATES; b++)
        cr_expect(scratch[b] >= 0 && scratch[b] <= 1, "replicate %d: %g", b, scratch[b]);
    heads_stream_close(&s);
}

Test(heads, p_is_scipys)
{
    /* scipy.stats.ttest_1samp([(7 * i % 13) / 13 - 0.3 for i in range(12)], 0, alternative="greater") */
    struct heads_stream s;
    bool present[] = {true};
    cr_assert(heads_stream_open(&s, 1, 1, 0));
    for (int i = 0; i < 12; i++) {
        double value = (7 * i % 13) / 13.0 - 0.3;
        heads_stream_add(&s, &value, present, 1, (uint64_t)i);
    }
    EXPECT_NEAR(heads_stream_p(&s, 0, 0), 0.05062557783121163, 1e-12);
    heads_stream_close(&s);
}

/* Numbers that some images do not have: means, variances and replicates are over those that have them; z comes back as r, its interval too. */
Test(heads, absent_numbers_say_nothing)
{
    enum { N = 30, REPLICATES = 200 };
    struct heads_stream s, only;
    double scratch[REPLICATES];
    cr_assert(heads_stream_open(&s, 2, 2, REPLICATES) && heads_stream_open(&only, 2, 1, REPLICATES));
    for (uint64_t i = 0; i < N; i++) {
        const bool there[2] = {true, i % 3 == 0}, one[1] = {true};
        double v[4] = {0.1 * (double)(i % 7), 0, 0.2 * (double)(i % 5), 0};
        double w[2] = {0.5 + 0.03 * (double)i, 0.01 * (double)(i * i % 17)};
        v[1] = there[1] ? w[0] : 0;
        v[3] = there[1] ? w[1] : 0;
        heads_stream_add(&s, v, there, 3, i);
        if (there[1])
            heads_stream_add(&only, w, one, 3, i);
    }
    for (size_t h = 0; h < 2; h++) {
        const limber_heads_estimate a = heads_stream_estimate(&s, h, 1, false, scratch),
                                    b = heads_stream_estimate(&only, h, 0, false, scratch),
                                    z = heads_stream_estimate(&s, h, 1, true, scratch);
        cr_expect(a.images == 10 && b.images == 10 && a.interval);
        EXPECT_NEAR(a.mean, b.mean, 1e-12);
        EXPECT_NEAR(a.low, b.low, 1e-12);
        EXPECT_NEAR(a.high, b.high, 1e-12);
        EXPECT_NEAR(heads_stream_p(&s, h, 1), heads_stream_p(&only, h, 0), 1e-12);
        EXPECT_NEAR(z.mean, tanh(a.mean), 1e-15);
        EXPECT_NEAR(z.low, tanh(a.low), 1e-15);
        EXPECT_NEAR(z.high, tanh(a.high), 1e-15);
    }
    const double sorted[] = {1, 2, 4, 8};
    EXPECT_NEAR(heads_quantile(sorted, 4, 0.5), 3, 1e-15); /* numpy.quantile */
    EXPECT_NEAR(heads_quantile(sorted, 4, 0.9), 6.8, 1e-12);
    EXPECT_NEAR(heads_quantile(sorted, 4, 1), 8, 0);
    heads_stream_close(&s);
    heads_stream_close(&only);
}

Test(heads, one_seed_one_answer)
{
    struct bench a, b;
    limber_heads_result x = planted_result(&a, 3, 6), y = planted_result(&b, 3, 6);
    cr_expect(!memcmp(x.heads, y.heads, (size_t)x.head_count * sizeof *x.heads));
    limber_heads_result_free(&y);
    bench_close(&b);
    y = planted_result(&b, 4, 6);
    cr_expect(memcmp(x.heads, y.heads, (size_t)x.head_count * sizeof *x.heads));
    limber_heads_result_free(&x);
    limber_heads_result_free(&y);
    bench_close(&a);
    bench_close(&b);
}

/* ---- little to go on ---- */

Test(heads, nothing_and_almost_nothing)
{
    struct bench b;
    bench_open(&b, 16, 12, PLANTED, CLASSES, 2, 100, 1);
    limber_heads_result r = bench_result(&b);
    cr_expect(r.images_used == 0 && r.tests == 0 && r.specialists == 0);
    result_is_finite(&r);
    limber_heads_result_free(&r);

    uint8_t none[192] = {0}, all[192], one[192] = {0}, two[192] = {0};
    memset(all, 1, sizeof all); /* the head covers everything: no key is outside */
    one[5] = 1;                 /* a single patch: no other to look at */
    const uint8_t *useless[] = {none, all, one};
    for (int k = 0; k < 3; k++) {
        bench_person(&b, useless[k], planted, k, 0, 1);
        heads_stats_image(b.hs, k);
    }
    r = bench_result(&b);
    cr_expect_eq(r.images_used, 0, "masks without a question count for nothing");
    result_is_finite(&r);
    limber_heads_result_free(&r);

    two[40] = two[41] = 1; /* one image: a mean, no interval, no test */
    bench_person(&b, two, planted, 3, 0, 1);
    heads_stats_image(b.hs, 3);
    r = bench_result(&b);
    cr_expect(r.images_used == 1 && r.people_used == 1 && r.class_people[0] == 1 && r.class_people[1] == 0);
    cr_expect(r.heads[0].classes[0].r_limb.images == 1 && !r.heads[0].classes[0].r_limb.interval &&
              !r.heads[0].classes[0].tested);
    cr_expect(r.heads[0].classes[1].r_limb.images == 0 && r.heads[0].classes[1].r_limb.mean == 0);
    cr_expect(r.tests == 0 && r.specialists == 0);
    result_is_finite(&r);
    limber_heads_result_free(&r);

    bench_person(&b, two, planted, 4, 0, 2); /* an image that fails half-way leaves nothing behind */
    heads_stats_forget(b.hs);
    limber_heads_result again = bench_result(&b);
    cr_expect_eq(again.images_used, 1);
    cr_expect_eq(again.heads[0].classes[0].best.image, 3);
    limber_heads_result_free(&again);

    struct bench other; /* the same two images without the failure between them; two images: some replicates draw neither */
    bench_open(&other, 16, 12, PLANTED, CLASSES, 2, 100, 1);
    bench_person(&other, two, planted, 3, 0, 1);
    heads_stats_image(other.hs, 3);
    bench_person(&b, two, planted, 5, 0, 7);
    bench_person(&other, two, planted, 5, 0, 7);
    heads_stats_image(b.hs, 5);
    heads_stats_image(other.hs, 5);
    r = bench_result(&b);
    again = bench_result(&other);
    cr_expect(r.heads[0].classes[0].r_limb.interval && r.heads[0].classes[0].tested);
    cr_expect(!memcmp(r.heads, again.heads, (size_t)r.head_count * sizeof *r.heads));
    result_is_finite(&r);
    limber_heads_result_free(&r);
    limber_heads_result_free(&again);
    bench_close(&other);
    bench_close(&b);
}

/* ---- masks ---- */

Test(heads, capsules_cover_the_limb_and_leave_hidden_joints_out)
{
    struct heads_grid g;
    cr_assert(!heads_grid_open(&g, 16, 12, NULL));
    limber_keypoint k[17] = {0};
    k[5] = (limber_keypoint){2, 3, 0.9f};  /* left shoulder */
    k[7] = (limber_keypoint){2, 8, 0.9f};  /* left elbow: a vertical bone */
    k[9] = (limber_keypoint){9, 8, 0.29f}; /* left wrist, too unsure */
    struct heads_capsule capsules[HEADS_MAX_CAPSULES];
    int n = heads_capsules(capsules, k, 0.3f, (limber_box){0, 0, 6, 12.8f}, (struct heads_place){.scale_x = 1, .scale_y = 1});
    cr_assert_eq(n, 1);
    cr_expect_eq(capsules[0].class, 2);
    EXPECT_NEAR(capsules[0].radius, 0.75, 1e-9); /* 5 % of 12.8 is less */
    uint8_t own[192];
    heads_mask_capsules(own, &g, capsules, n);
    for (int j = 0; j < 192; j++)
        cr_expect_eq(own[j], j % 12 == 2 && j / 12 >= 3 && j / 12 <= 8 ? 4 : 0, "patch (%d, %d)", j / 12, j % 12);
    k[5].score = 0.2f;
    cr_expect_eq(
        heads_capsules(capsules, k, 0.3f, (limber_box){0, 0, 6, 12.8f}, (struct heads_place){.scale_x = 1, .scale_y = 1}), 0);
    k[5].score = 0.9f;
    k[9].score = NAN;
    cr_expect_eq(
        heads_capsules(capsules, k, 0.3f, (limber_box){0, 0, 6, 12.8f}, (struct heads_place){.scale_x = 1, .scale_y = 1}), 1);
    k[9] = (limber_keypoint){9, 8, 0.3f};
    n = heads_capsules(capsules, k, 0.3f, (limber_box){0, 0, 6, 40}, (struct heads_place){.scale_x = 1, .scale_y = 1});
    cr_expect_eq(n, 2);
    EXPECT_NEAR(capsules[0].radius, 2, 1e-6); /* a share of the person's size where that is more */
    heads_grid_close(&g);
}

Test(heads, a_joint_lands_on_the_patch_that_sees_it)
{
    /* heatmap pixel -> image by the decoder's own mapping -> patch; against the crop's pixels, patch centres at 16 k + 5.5 */
    struct config c = {
        .image_h = 256, .image_w = 192, .patch_h = 16, .patch_w = 16, .grid_h = 16, .grid_w = 12, .map_h = 64, .map_w = 48};
    struct crop_region region = crop_region_of_box((limber_box){31, -12, 140, 311}, 256, 192, 200);
    struct heads_place place = heads_place_of(&c, region);
    for (float x = 0; x < 48; x += 5.25f)
        for (float y = 0; y < 64; y += 7.5f) {
            limber_keypoint joint = crop_to_image((limber_keypoint){x, y, 1}, 64, 48, region);
            EXPECT_NEAR(((double)joint.x - place.x0) * place.scale_x, ((double)x * 191 / 47 - 5.5) / 16, 1e-4);
            EXPECT_NEAR(((double)joint.y - place.y0) * place.scale_y, ((double)y * 255 / 63 - 5.5) / 16, 1e-4);
        }
}

Test(heads, moved_masks_keep_their_shape)
{
    struct heads_grid g;
    cr_assert(!heads_grid_open(&g, 16, 12, NULL));
    uint8_t own[192], masks[18 * 192], ring[HEADS_DONORS * 192], other[192];
    random_person(own, &g, 7);
    random_person(other, &g, 8);
    struct heads_donors donors = {.masks = ring};
    heads_donors_keep(&donors, &g, other, 0);
    for (int moves = 0; moves <= LIMBER_HEADS_MAX_MOVES; moves += 4) {
        struct heads_columns columns = {.masks = masks};
        heads_columns_make(&columns, &g, CLASSES, own, moves, &donors, 1, 1, 0);
        cr_expect_eq(columns.count, CLASSES * (moves ? 2 + moves : 1));
        cr_expect(columns.copies <= heads_copies_max(CLASSES, moves));
        for (int j = 0; j < columns.count; j++) {
            const uint8_t *m = masks + j / 8 * 192;
            int class = columns.column[j].class, n = 0, theirs = 0, mine = 0, same = 0, best = 0;
            for (int t = 0; t < 192; t++) {
                int bit = m[t] >> j % 8 & 1;
                n += bit;
                mine += own[t] >> class & 1;
                theirs += other[t] >> class & 1;
                same += bit == (own[t] >> class & 1);
            }
            switch (columns.column[j].role) {
            case HEADS_OWN:
                cr_expect_eq(same, 192);
                break;
            case HEADS_SWAPPED:
                cr_expect_eq(n, theirs);
                break;
            case HEADS_MOVED:
                cr_expect_eq(n, mine);
                cr_expect(same < 192, "class %d: a moved mask is not where it was", class);
                for (int s = 0; s < 192; s++) { /* some shift on the torus makes it the old one again */
                    int equal = 0;
                    for (int t = 0; t < 192; t++)
                        equal += (m[(t / 12 + s / 12) % 16 * 12 + (t % 12 + s % 12) % 12] >> j % 8 & 1) == (own[t] >> class & 1);
                    best = equal > best ? equal : best;
                }
                cr_expect_eq(best, 192);
                break;
            }
        }
    }
    struct heads_columns columns = {.masks = masks};
    heads_columns_make(&columns, &g, CLASSES, own, 1, &donors, 1, 0, 0);
    cr_expect_eq(columns.count, 2 * CLASSES, "nobody is swapped with somebody of the same image");
    heads_grid_close(&g);
}

/* ---- through a model ---- */

static limber_session *open_session(limber_model **model, const char *dir, const char *backend, int threads, int batch)
{
    limber_options o = limber_options_default();
    limber_error err = {0};
    limber_session *session = NULL;
    o.backend = backend;
    o.precision = "fp32";
    o.threads = threads;
    o.batch = batch;
    cr_assert(!limber_model_open(model, dir, &o, &err), "%s", err.text);
    cr_assert(!limber_session_open(&session, *model, &o, &err), "%s", err.text);
    return session;
}

/* Grey noise, and what is painted on it, 192 x 256: with the box below, crop pixel = image pixel. */
enum { W = 192, H = 256 };
static const limber_box whole_crop = {19.2f, 25.6f, 153.6f, 204.8f};

static void paint(uint8_t *rgb, const limber_keypoint *k, uint64_t seed)
{
    static const struct {
        int from, to, colour;
        double radius;
    } strokes[] = {{5, 7, 0, 11}, {7, 9, 0, 11}, {12, 14, 1, 12}, {14, 16, 1, 12}, {1, 2, 2, 16}};
    for (int i = 0; i < W * H * 3; i++)
        rgb[i] = (uint8_t)(100 + heads_hash(seed, (uint64_t)i / 3, 0, 0) % 56);
    for (size_t s = 0; k && s < sizeof strokes / sizeof *strokes; s++)
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++) {
                double ax = (double)k[strokes[s].from].x, ay = (double)k[strokes[s].from].y, dx = (double)k[strokes[s].to].x - ax,
                       dy = (double)k[strokes[s].to].y - ay, t = ((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy);
                t = t < 0 ? 0 : t > 1 ? 1 : t;
                if (hypot(x - ax - t * dx, y - ay - t * dy) < strokes[s].radius)
                    for (int c = 0; c < 3; c++)
                        rgb[3 * (y * W + x) + c] = c == strokes[s].colour ? 255 : 0;
            }
}

static void joints_in_pixels(limber_keypoint *k, uint64_t seed)
{
    random_joints(k, seed);
    for (int i = 0; i < 17; i++) {
        k[i].x = k[i].x * 16 + 5.5f;
        k[i].y = k[i].y * 16 + 5.5f;
    }
}

#define LIMB_WEIGHT 1.2f
/* The small random checkpoint with its embedding and three of its four heads made by hand. Dimensions 0-5 of the residual stream hold how
 * red, green, blue a patch is (twice, with opposite signs, so that layernorm's mean stays 0), 8 and 9 a large constant, so that
 * layernorm's scale hardly moves; the rest holds the position, as it was. Head (0,0) multiplies the query's red with the key's, (0,1) green,
 * (1,0) blue; (1,1) stays random and sees positions alone. The blocks add nothing to the stream. anywhere: (0,0) asks for red whatever its query is. */
static void make_planted_checkpoint(const char *dir, bool anywhere)
{
    static const char golden[] = LIMBER_TEST_DIR "/golden/simple-hd32";
    struct tensors in = {0};
    struct tensor_file out = {0};
    limber_error err = {0};
    cr_assert(!tensors_open(&in, golden, &err), "%s", err.text);
    for (int i = 0; i < in.count; i++) {
        const struct tensor *t = &in.v[i];
        size_t n = t->bytes / 4;
        float *v = malloc(n * sizeof *v);
        tensor_read(t, 0, n, v);
        int layer = strstr(t->name, "layer.1.") ? 1 : 0;
        bool query = strstr(t->name, "attention.query"), key = strstr(t->name, "attention.key"), bias = strstr(t->name, ".bias");
        if (strstr(t->name, "patch_embeddings")) {
            for (int d = 0; d < 64; d++)
                for (int p = 0; p < (bias ? 1 : 3 * 256); p++) {
                    float sign = d % 2 ? -1.0f : 1.0f, colour = p / 256 == d / 2 ? 1.0f : -0.5f;
                    v[bias ? d : d * 768 + p] = bias ? (d == 8 || d == 9 ? 12 * sign : 0) : d < 6 ? sign * colour / 256 : 0;
                }
        } else if (strstr(t->name, "position_embeddings")) {
            for (size_t p = 0; p < n; p++)
                v[p] = p % 64 < 10 ? 0 : v[p];
        } else if (strstr(t->name, "layernorm_before")) {
            for (size_t p = 0; p < n; p++)
                v[p] = bias ? 0 : 1;
        } else if (strstr(t->name, "attention.output") || strstr(t->name, "fc2")) {
            memset(v, 0, n * sizeof *v);
        } else if (query || key) {
            for (size_t p = 0; !bias && p < n; p++)
                v[p] = p % 64 < 10 ? 0 : v[p];
            for (int head = 0; head < (layer ? 1 : 2); head++) {
                int row = 32 * head, colour = layer ? 2 : head;
                const bool any = anywhere && query && !layer && !head;
                for (int p = 0; !bias && p < 64; p++)
                    v[row * 64 + p] = p == 2 * colour && !any ? 2 * LIMB_WEIGHT : 0;
                if (bias) /* other colours are -1: their queries multiply with nothing */
                    v[row] = !query ? 0 : any ? 3 * LIMB_WEIGHT : 2 * LIMB_WEIGHT;
            }
        }
        tensor_file_add(&out, t->name, t->shape, t->dims, v);
        free(v);
    }
    tensors_free(&in);
    tensor_file_end_model(&out, dir, golden);
}

static limber_heads_result heads_of_pictures_with(limber_session *session, int images, int people, int bootstrap, int boundaries)
{
    limber_heads_options o = limber_heads_options_default();
    limber_heads *heads = NULL;
    limber_heads_result r;
    limber_error err = {0};
    uint8_t *rgb = malloc(W * H * 3);
    o.bootstrap = bootstrap;
    o.boundaries = boundaries;
    cr_assert(!limber_heads_open(&heads, session, &o, &err), "%s", err.text);
    for (int i = 0; i < images; i++) {
        limber_keypoint k[2][17];
        limber_box boxes[2] = {whole_crop, {10, 30, 150, 190}};
        joints_in_pixels(k[0], 300 + (uint64_t)i);
        joints_in_pixels(k[1], 300 + (uint64_t)i);
        paint(rgb, k[0], (uint64_t)i);
        limber_image image = {.pixels = rgb, .width = W, .height = H, .stride = 3 * W};
        cr_assert(!limber_heads_add(heads, &image, boxes, k[0], people, &err), "%s", err.text);
    }
    cr_assert(!limber_heads_summarise(heads, &r, &err), "%s", err.text);
    limber_heads_close(&heads);
    free(rgb);
    return r;
}

static limber_heads_result heads_of_pictures(limber_session *session, int images, int people, int bootstrap)
{
    return heads_of_pictures_with(session, images, people, bootstrap, 1);
}

Test(heads, a_planted_checkpoint_is_read_back)
{
    char dir[256];
    limber_model *model = NULL;
    directory_make(dir);
    make_planted_checkpoint(dir, false);
    limber_session *session = open_session(&model, dir, "auto", 0, 0);
    limber_heads_result r = heads_of_pictures(session, 30, 1, 200);
    static const unsigned want[2][2] = {{4 /* left arm: red */, 32 /* right leg: green */}, {1 /* head: blue */, 0}};
    cr_assert_eq(r.head_count, 4);
    for (int i = 0; i < 4; i++) {
        const limber_heads_head *h = &r.heads[i];
        cr_expect_eq(specialist_of(h), want[h->layer][h->head], "layer %d head %d: specialist of %#x, expected %#x", h->layer,
                     h->head, specialist_of(h), want[h->layer][h->head]);
        for (int c = 0; getenv("LIMBER_SHOW") && c < CLASSES; c++)
            fprintf(stderr, "(%d,%d) %-9s r %6.3f near %6.3f part %6.3f moved %6.3f swap %6.3f q %.2g lift %5.2f\n", h->layer,
                    h->head, heads_limb_names[c], h->classes[c].r_limb.mean, h->classes[c].r_near.mean,
                    h->classes[c].partial.mean, h->classes[c].over_moved.mean, h->classes[c].over_swapped.mean, h->classes[c].q,
                    h->classes[c].lift);
    }
    cr_expect(r.heads[0].classes[2].sided && r.heads[1].classes[5].sided);
    result_is_finite(&r);
    limber_heads_result_free(&r);
    limber_session_close(&session);
    limber_model_close(&model);
    directory_remove(dir);
}

/* The patches of a person's outline, or of the joints, painted red: the head that asks for red from anywhere reads that boundary, and no
 * other head does. */
Test(heads, planted_boundaries_are_read_back)
{
    char dir[256];
    limber_model *model = NULL;
    limber_error err = {0};
    struct heads_grid g;
    uint8_t *rgb = malloc(W * H * 3);
    directory_make(dir);
    make_planted_checkpoint(dir, true);
    limber_session *session = open_session(&model, dir, "auto", 0, 0);
    const struct config *c = &model->config;
    const struct heads_place place =
        heads_place_of(c, crop_region_of_box(whole_crop, c->image_h, c->image_w, c->normalize_factor));
    cr_assert(!heads_grid_open(&g, c->grid_h, c->grid_w, &err));
    for (int bit = HEADS_OUTLINE; bit <= HEADS_JOINTS; bit++) {
        limber_heads_options o = limber_heads_options_default();
        limber_heads *heads = NULL;
        limber_heads_result r;
        o.bootstrap = 100;
        cr_assert(!limber_heads_open(&heads, session, &o, &err), "%s", err.text);
        for (uint64_t i = 0; i < 20; i++) {
            limber_keypoint k[17];
            struct heads_capsule capsules[HEADS_MAX_CAPSULES];
            uint8_t own[192];
            joints_in_pixels(k, 800 + i);
            paint(rgb, NULL, i);
            int n = heads_capsules(capsules, k, 0.3f, whole_crop, place);
            heads_mask_capsules(own, &g, capsules, n);
            heads_mask_boundaries(own, &g, capsules, n);
            for (int y = 0; y < H - 2; y++)
                for (int x = 0; x < W - 2; x++) /* a patch reads from 2 pixels before its corner on */
                    if (own[(y + 2) / 16 * 12 + (x + 2) / 16] >> bit & 1)
                        memcpy(rgb + 3 * (y * W + x), "\xff\0", 3);
            limber_image image = {.pixels = rgb, .width = W, .height = H, .stride = 3 * W};
            cr_assert(!limber_heads_add(heads, &image, &whole_crop, k, 1, &err), "%s", err.text);
        }
        cr_assert(!limber_heads_summarise(heads, &r, &err), "%s", err.text);
        cr_assert(r.any_count == ALL && !strcmp(r.class_name[HEADS_OUTLINE], "outline") &&
                  !strcmp(r.class_name[HEADS_JOINTS], "joints") && r.class_count == CLASSES);
        for (int h = 0; h < r.head_count; h++)
            for (int q = 0; q < ALL; q++)
                cr_expect_eq(r.heads[h].any[q].reader, h == 0 && q == bit, "%s painted: head %d, class %d: lift %.2f, q %.2g",
                             r.class_name[bit], h, q, r.heads[h].any[q].lift, r.heads[h].any[q].q);
        result_is_finite(&r);
        limber_heads_result_free(&r);
        limber_heads_close(&heads);
        /* without boundaries six classes are asked, and limbs are as they were */
        o.boundaries = 0;
        cr_assert(!limber_heads_open(&heads, session, &o, &err), "%s", err.text);
        cr_assert(!limber_heads_summarise(heads, &r, &err) && r.any_count == CLASSES);
        limber_heads_result_free(&r);
        limber_heads_close(&heads);
    }
    heads_grid_close(&g);
    limber_session_close(&session);
    limber_model_close(&model);
    directory_remove(dir);
    free(rgb);
}

/* Boundaries beside them change no number of the limbs. */
Test(heads, limbs_are_the_same_with_boundaries)
{
    limber_model *model = NULL;
    limber_session *session = open_session(&model, LIMBER_TEST_DIR "/golden/simple-hd32", "cpu", 1, 2);
    limber_heads_result r[2];
    for (int i = 0; i < 2; i++)
        r[i] = heads_of_pictures_with(session, 5, 2, 20, i);
    for (int h = 0; h < r[0].head_count; h++) {
        cr_expect(!memcmp(r[0].heads[h].classes, r[1].heads[h].classes, sizeof r[0].heads[h].classes), "head %d, classes", h);
        cr_expect(!memcmp(r[0].heads[h].pair, r[1].heads[h].pair, sizeof r[0].heads[h].pair), "head %d, pairs", h);
        for (int c = 0; c < CLASSES; c++) /* q is over more tests with them */
            cr_expect(!memcmp(&r[0].heads[h].any[c], &r[1].heads[h].any[c], offsetof(limber_heads_any, q)), "head %d, class %d",
                      h, c);
        cr_expect(r[1].heads[h].any[HEADS_OUTLINE].r.images == 5 && r[0].heads[h].any[HEADS_OUTLINE].r.images == 0);
    }
    for (int i = 0; i < 2; i++)
        limber_heads_result_free(&r[i]);
    limber_session_close(&session);
    limber_model_close(&model);
}

/* Every number of a small random model against the whole softmax maps, in double, of its own queries and keys. */
struct maps {
    float *qkv; /* [layers][tokens][3 * hidden], person 0 */
    size_t layer;
};

static void keep_qkv(void *context, const char *where, int layer, struct exec *ex, const struct buf *b, struct span span)
{
    struct maps *m = context;
    if (strcmp(where, "qkv"))
        return;
    span.count = 1;
    ex->ops->buf_read(ex, b, span, m->qkv + (size_t)layer * m->layer);
}

static void model_against_maps(const char *name, const char *backend)
{
    char dir[512];
    limber_model *model = NULL;
    limber_error err = {0};
    snprintf(dir, sizeof dir, LIMBER_TEST_DIR "/golden/%s", name);
    limber_session *session = open_session(&model, dir, backend, 1, 1);
    const struct config *c = &model->config;
    size_t L = (size_t)c->tokens, hidden = (size_t)c->hidden, crop = (size_t)c->image_h * (size_t)c->image_w * 3;
    uint8_t *rgb = malloc(W * H * 3);
    limber_keypoint k[17];
    joints_in_pixels(k, 12);
    paint(rgb, k, 3);
    limber_image image = {.pixels = rgb, .width = W, .height = H, .stride = 3 * W};

    limber_heads_options o = limber_heads_options_default();
    limber_heads *heads = NULL;
    limber_heads_result r;
    cr_assert(!limber_heads_open(&heads, session, &o, &err), "%s", err.text);
    cr_assert(!limber_heads_add(heads, &image, &whole_crop, k, 1, &err), "%s", err.text);
    cr_assert(!limber_heads_summarise(heads, &r, &err), "%s", err.text);
    cr_assert_eq(r.people_used, 1);

    /* the same crop and masks, and q and k as they went by */
    struct maps maps = {.qkv = malloc((size_t)c->layers * L * 3 * hidden * sizeof(float)), .layer = L * 3 * hidden};
    struct crop_region region = crop_region_of_box(whole_crop, c->image_h, c->image_w, c->normalize_factor);
    struct heads_capsule capsules[HEADS_MAX_CAPSULES];
    struct heads_grid g;
    uint8_t *own = malloc(L), *pixels = malloc(crop);
    limber_keypoint *joints = malloc((size_t)c->keypoints * sizeof *joints);
    cr_assert(!heads_grid_open(&g, c->grid_h, c->grid_w, &err));
    heads_mask_capsules(own, &g, capsules, heads_capsules(capsules, k, o.min_score, whole_crop, heads_place_of(c, region)));
    crop_sample(pixels, c->image_h, c->image_w, &image, region);
    session->vit.tap = keep_qkv;
    session->vit.tap_context = &maps;
    cr_assert(!vit_forward(&session->vit, pixels, 1, joints, &err), "%s", err.text);
    session->vit.tap = NULL;

    double *row = malloc(L * sizeof *row), *p = malloc(L * sizeof *p), *d = malloc(L * sizeof *d), *m = malloc(L * sizeof *m);
    double worst = 0;
    int compared = 0;
    for (int at = 0; at < r.head_count; at++) {
        const limber_heads_head *h = &r.heads[at];
        double entropy = 0, distance = 0, z[CLASSES] = {0}, zp[CLASSES] = {0}, mass[CLASSES] = {0};
        int rows[CLASSES] = {0};
        /* by distance: every third patch or so asks, 64 at most; where the strongest key of a row lies, rows down and columns right */
        const size_t step = (L + 63) / 64;
        double ring[LIMBER_HEADS_RINGS] = {0}, flat[LIMBER_HEADS_RINGS] = {0};
        int steps[2 * H][2 * W], asking = 0, most = 0, ties = 0;
        memset(steps, 0, sizeof steps);
        for (size_t i = 0; i < L; i++) {
            const float *layer = maps.qkv + (size_t)h->layer * maps.layer,
                        *q = layer + i * 3 * hidden + (size_t)(h->head * c->head_dim);
            double max = -1e300, sum = 0;
            for (size_t j = 0; j < L; j++) {
                const float *key = layer + j * 3 * hidden + hidden + (size_t)(h->head * c->head_dim);
                row[j] = 0;
                for (int x = 0; x < c->head_dim; x++)
                    row[j] += (double)q[x] * (double)key[x] / sqrt(c->head_dim);
                max = row[j] > max ? row[j] : max;
            }
            for (size_t j = 0; j < L; j++)
                sum += exp(row[j] - max);
            int n = 0;
            double kept = 0, far = 0, bits = 0;
            for (size_t j = 0; j < L; j++)
                if (j != i) {
                    p[n] = exp(row[j] - max) / sum;
                    d[n] = -heads_distance(&g, (int)i, (int)j);
                    kept += p[n];
                    far -= p[n] * d[n];
                    bits += p[n] > 0 ? p[n] * log(p[n]) : 0;
                    n++;
                }
            if (i % step == step / 2) {
                static const double edges[] = LIMBER_HEADS_RING_EDGES;
                size_t best = i ? 0 : 1;
                int at_ring;
                for (size_t j = 0, other = 0; j < L; j++) {
                    if (j == i)
                        continue;
                    for (at_ring = 0; at_ring < LIMBER_HEADS_RINGS - 1 && -d[other] > edges[at_ring];)
                        at_ring++;
                    ring[at_ring] += p[other++] / kept;
                    flat[at_ring] += 1.0 / (double)(L - 1);
                    best = row[j] > row[best] ? j : best;
                }
                int *count = &steps[(int)(best / (size_t)c->grid_w) - (int)(i / (size_t)c->grid_w) + H]
                                   [(int)(best % (size_t)c->grid_w) - (int)(i % (size_t)c->grid_w) + W];
                ++*count;
                most = *count > most ? *count : most;
                asking++;
            }
            entropy += (log(kept) - bits / kept) / log(n) / (double)L;
            distance += far / kept / (double)L;
            for (int b = 0; b < CLASSES; b++) {
                if (!(own[i] >> b & 1))
                    continue;
                double on = 0;
                int inside = n = 0;
                for (size_t j = 0; j < L; j++)
                    if (j != i) {
                        m[n] = own[j] >> b & 1;
                        inside += own[j] >> b & 1;
                        on += m[n] * p[n];
                        n++;
                    }
                if (inside == 0)
                    continue;
                double rl = pearson(p, m, n), rn = pearson(p, d, n), rm = pearson(m, d, n);
                z[b] += atanh(rl);
                zp[b] += atanh((rl - rn * rm) / sqrt((1 - rn * rn) * (1 - rm * rm)));
                mass[b] += on / kept;
                rows[b]++;
            }
        }
#define CLOSE(got, want)                                                                                                         \
    do {                                                                                                                         \
        EXPECT_NEAR(got, want, 1e-5);                                                                                            \
        worst = fabs((got) - (want)) > worst ? fabs((got) - (want)) : worst;                                                     \
        compared++;                                                                                                              \
    } while (0)
        CLOSE(h->entropy.mean, entropy);
        CLOSE(h->distance.mean, distance);
        for (int b = 0; b < LIMBER_HEADS_RINGS; b++) {
            CLOSE(h->ring[b], ring[b] / asking);
            CLOSE(h->ring_flat[b], flat[b] / asking);
        }
        for (int b = 0; b < 4 * H * W; b++)
            ties += (&steps[0][0])[b] == most;
        cr_expect(steps[h->offset_down + H][h->offset_right + W] == most || ties > 1, "layer %d head %d: offset %d, %d", h->layer,
                  h->head, h->offset_down, h->offset_right);
        CLOSE(h->offset_share, (double)most / asking);
        for (int b = 0; b < CLASSES; b++) {
            if (!rows[b])
                continue;
            CLOSE(h->classes[b].r_limb.mean, tanh(z[b] / rows[b]));
            CLOSE(h->classes[b].partial.mean, tanh(zp[b] / rows[b]));
            CLOSE(h->classes[b].mass, mass[b] / rows[b]);
        }
    }
    cr_expect(compared > 4 * r.head_count, "%s: only %d numbers compared", name, compared);
    if (getenv("LIMBER_SHOW"))
        fprintf(stderr, "%s %s: worst difference %.2g of %d\n", name, backend, worst, compared);
    limber_heads_result_free(&r);
    limber_heads_close(&heads);
    heads_grid_close(&g);
    limber_session_close(&session);
    limber_model_close(&model);
    free(maps.qkv), free(own), free(pixels), free(joints), free(row), free(p), free(d), free(m), free(rgb);
}

Test(heads, ref_agrees_with_whole_maps)
{
    model_against_maps("simple-hd32", "ref");
    model_against_maps("plus-hd64-f16", "ref");
    model_against_maps("sharded-hd80", "ref");
}

Test(heads, cpu_agrees_with_whole_maps)
{
    model_against_maps("simple-hd32", "cpu");
    model_against_maps("plus-hd64-f16", "cpu");
    model_against_maps("sharded-hd80", "cpu");
}

Test(heads, threads_and_batches_change_nothing)
{
    static const int setups[][2] = {{1, 1}, {2, 1}, {1, 2}, {2, 8}};
    limber_heads_result r[4];
    for (int i = 0; i < 4; i++) {
        limber_model *model = NULL;
        limber_session *session = open_session(&model, LIMBER_TEST_DIR "/golden/simple-hd32", "auto", setups[i][0], setups[i][1]);
        r[i] = heads_of_pictures(session, 3, 2, 50);
        limber_session_close(&session);
        limber_model_close(&model);
        cr_expect(r[i].images_used == 3 && r[i].people_used == 6);
        cr_expect(!memcmp(r[0].heads, r[i].heads, (size_t)r[0].head_count * sizeof *r[0].heads), "%d threads, batch %d",
                  setups[i][0], setups[i][1]);
    }
    for (int i = 0; i < 4; i++)
        limber_heads_result_free(&r[i]);
}

Test(heads, memory_is_linear_in_tokens)
{
    /* 4096 tokens: one map of one head alone would be 64 MiB, in single precision */
    limber_options o = limber_options_default();
    limber_error err = {0};
    limber_model *model = NULL;
    limber_session *session = NULL;
    o.input_height = o.input_width = 1024;
    o.threads = o.batch = 1;
    cr_assert(!limber_model_open(&model, LIMBER_TEST_DIR "/golden/simple-hd32", &o, &err), "%s", err.text);
    cr_assert(!limber_session_open(&session, model, &o, &err), "%s", err.text);
    cr_assert_eq(model->config.tokens, 4096);
    uint8_t *rgb = malloc(W * H * 3);
    limber_keypoint k[17];
    joints_in_pixels(k, 12);
    paint(rgb, k, 3);
    limber_image image = {.pixels = rgb, .width = W, .height = H, .stride = 3 * W};
    limber_people people;
    limber_box box = {10, 10, 170, 230};
    cr_assert(!limber_run(session, &image, &box, 1, &people, &err), "%s", err.text);
    limber_people_free(&people);
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    limber_heads *heads = NULL;
    limber_heads_result r;
    limber_heads_options options = limber_heads_options_default();
    options.bootstrap = 50;
    cr_assert(!limber_heads_open(&heads, session, &options, &err), "%s", err.text);
    cr_assert(!limber_heads_add(heads, &image, &box, k, 1, &err), "%s", err.text);
    cr_assert(!limber_heads_summarise(heads, &r, &err), "%s", err.text);
    getrusage(RUSAGE_SELF, &after);
    cr_expect_eq(r.people_used, 1);
    cr_expect(after.ru_maxrss - before.ru_maxrss < 32 << 10, "statistics took %ld KiB", after.ru_maxrss - before.ru_maxrss);
    if (getenv("LIMBER_SHOW"))
        fprintf(stderr, "4096 tokens: statistics took %ld KiB\n", after.ru_maxrss - before.ru_maxrss);
    result_is_finite(&r);
    limber_heads_result_free(&r);
    limber_heads_close(&heads);
    limber_session_close(&session);
    limber_model_close(&model);
    free(rgb);
}

/* ---- what is refused, and in which words ---- */

static void refuses(limber_status st, limber_status want, const limber_error *err, const char *words)
{
    cr_expect_eq(st, want, "%s", err->text);
    cr_expect(strstr(err->text, words), "\"%s\" does not say \"%s\"", err->text, words);
}

Test(heads, refusals)
{
    limber_model *model = NULL;
    limber_session *session = open_session(&model, LIMBER_TEST_DIR "/golden/simple-hd32", "auto", 1, 1), *flipping = NULL;
    limber_heads *heads = NULL;
    limber_error err = {0};
    limber_options flip = limber_options_default();
    flip.flip = 1;
    cr_assert(!limber_session_open(&flipping, model, &flip, &err));
    refuses(limber_heads_open(&heads, flipping, NULL, &err), LIMBER_E_ARGUMENT, &err, "flip");
    refuses(limber_heads_open(&heads, NULL, NULL, &err), LIMBER_E_ARGUMENT, &err, "session is NULL");
    limber_heads_options o = limber_heads_options_default();
    const int layers[] = {1, 0}, beyond[] = {2};
#define WITH(field, value, words)                                                                                                \
    do {                                                                                                                         \
        limber_heads_options bad = o;                                                                                            \
        bad.field = value;                                                                                                       \
        bad.layer_count = bad.layers == beyond ? 1 : 2;                                                                          \
        refuses(limber_heads_open(&heads, session, &bad, &err), LIMBER_E_ARGUMENT, &err, words);                                 \
        cr_expect_null(heads);                                                                                                   \
    } while (0)
    WITH(moves, -1, "moves is -1");
    WITH(bootstrap, 100001, "100001");
    WITH(label_classes, 9, "9 label classes");
    WITH(min_score, NAN, "min_score");
    WITH(layers, layers, "layer 0 at place 1");
    WITH(layers, beyond, "layer 2 at place 0");
    WITH(reserved[3], 1, "reserved[3]");

    uint8_t *rgb = calloc(W * H, 3), *labels = calloc(W * H, 1);
    limber_image image = {.pixels = rgb, .width = W, .height = H, .stride = 3 * W};
    limber_keypoint k[17] = {{0}};
    limber_box nan_box = {NAN, 0, 5, 5};
    cr_assert(!limber_heads_open(&heads, session, NULL, &err));
    refuses(limber_heads_add(heads, &image, NULL, k, 1, &err), LIMBER_E_ARGUMENT, &err, "boxes (joints is not)");
    refuses(limber_heads_add(heads, &image, &nan_box, k, 1, &err), LIMBER_E_ARGUMENT, &err, "finite");
    refuses(limber_heads_add_labels(heads, &image, labels, NULL, 0, &err), LIMBER_E_ARGUMENT, &err, "label_classes");
    cr_expect_eq(limber_heads_add(heads, &image, &whole_crop, k, 1, &err), LIMBER_OK, "all joints hidden is no error");
    cr_expect_eq(limber_heads_add(heads, &image, &whole_crop, k, 0, &err), LIMBER_OK, "nobody is no error");
    limber_heads_result r;
    cr_assert(!limber_heads_summarise(heads, &r, &err));
    cr_expect(r.images == 2 && r.images_used == 0 && r.people == 1 && r.people_used == 0);
    result_is_finite(&r);
    limber_heads_result_free(&r);
    limber_heads_close(&heads);

    o.label_classes = 2;
    cr_assert(!limber_heads_open(&heads, session, &o, &err));
    refuses(limber_heads_add(heads, &image, NULL, NULL, 0, &err), LIMBER_E_ARGUMENT, &err, "limber_heads_add_labels");
    labels[5 * W + 7] = 3;
    refuses(limber_heads_add_labels(heads, &image, labels, NULL, 0, &err), LIMBER_E_FORMAT, &err, "3 at (7, 5)");
    for (int i = 0; i < W * H; i++)
        labels[i] = i % W < W / 2 ? 1 : i / W < 40 ? 255 : 2;
    cr_expect_eq(limber_heads_add_labels(heads, &image, labels, &whole_crop, 1, &err), LIMBER_OK, "%s", err.text);
    cr_assert(!limber_heads_summarise(heads, &r, &err));
    cr_expect(r.images == 1 && r.people_used == 1 && r.class_count == 2 && r.mirror[0] == -1);
    cr_expect_str_eq(r.class_name[1], "2");
    EXPECT_NEAR(r.heads[0].classes[0].share, 95.0 / 191, 1e-9); /* half of the 16 x 12 patches */
    result_is_finite(&r);
    limber_heads_result_free(&r);
    limber_heads_close(&heads);
    limber_heads_close(&heads);
    limber_session_close(&session);
    limber_session_close(&flipping);
    limber_model_close(&model);
    free(rgb), free(labels);
}
