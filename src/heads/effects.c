/* SPDX-License-Identifier: MIT */
/* heads/effects.c - measures, sums over people and images, shares, tests, and ranks (heads/effects.h).
 *
 * People are averaged in their image, images are the sample: Poisson bootstrap over them (heads/chance.c) with numerator and denominator
 * of a share in the same replicate, t over them for p. A share is a sum over images by a sum over images: a mean of single shares would
 * be ruled by the people whose gap is near 0. Memory does not grow with the number of pictures. */
#include "heads/effects.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define SHARPNESS 10.0 /* of the softmax in training */
#define MAX_BYTES ((double)(1ull << 34))

const char *const effect_metric_names[EFFECT_METRICS] = {"heat", "logp", "oks", "px"};
const char *const effect_by_names[EFFECT_BYS] = {"denoise", "noise", "moved", "swap", "zero", "mean", "const"};
const unsigned effect_joints[LIMBS] = {
    0x1f,                                    /* head: nose, eyes, ears */
    1u << 5 | 1u << 6 | 1u << 11 | 1u << 12, /* torso: shoulders, hips */
    1u << 7 | 1u << 9,
    1u << 8 | 1u << 10, /* arms: elbow, wrist */
    1u << 13 | 1u << 15,
    1u << 14 | 1u << 16 /* legs: knee, ankle */
};

/* ---- one person ---- */

void effect_target_make(struct effect_target *t, const struct config *c, const double *sigmas,
                        const double joints[COCO_KEYPOINTS][3], limber_box box, double area, struct crop_region region)
{
    const double left = (double)region.cx - (double)region.width / 2, top = (double)region.cy - (double)region.height / 2;
    const double step_x = (c->map_w - 1) / (double)region.width, step_y = (c->map_h - 1) / (double)region.height;
    *t = (struct effect_target){.map_h = c->map_h, .map_w = c->map_w, .sigmas = sigmas};
    t->size = (double)(box.width > box.height ? box.width : box.height);
    t->area = area > 0 ? area : 0.53 * (double)box.width * (double)box.height; /* what a person covers of its box, on average */
    for (int k = 0; k < COCO_KEYPOINTS; k++) {
        const double x = (joints[k][0] - left) * step_x, y = (joints[k][1] - top) * step_y;
        t->image[k][0] = joints[k][0];
        t->image[k][1] = joints[k][1];
        t->map[k][0] = x;
        t->map[k][1] = y;
        t->there[k] = joints[k][2] > 0 && x >= 0 && y >= 0 && x <= c->map_w - 1 && y <= c->map_h - 1;
    }
}

static bool counts(const struct effect_target *t, int limb, int k)
{
    return (effect_joints[limb] >> k & 1) && t->there[k] && (!t->other || t->other->there[k]);
}

bool effect_target_has(const struct effect_target *t, int limb)
{
    for (int k = 0; k < COCO_KEYPOINTS; k++)
        if (counts(t, limb, k))
            return true;
    return false;
}

/* Bilinear; (x, y) inside the map. */
static double heat_at(const float *map, int h, int w, double x, double y)
{
    int i = (int)x, j = (int)y;
    i = i > w - 2 ? w - 2 : i;
    j = j > h - 2 ? h - 2 : j;
    i = i < 0 ? 0 : i;
    j = j < 0 ? 0 : j;
    const int right = w > 1, below = h > 1 ? w : 0;
    const float *m = map + (size_t)j * (size_t)w + i;
    x -= i;
    y -= j;
    return ((double)m[0] * (1 - x) + (double)m[right] * x) * (1 - y) +
           ((double)m[below] * (1 - x) + (double)m[below + right] * x) * y;
}

static double log_sum(const float *map, size_t n)
{
    float most = map[0];
    double sum = 0;
    for (size_t i = 1; i < n; i++)
        most = map[i] > most ? map[i] : most;
    for (size_t i = 0; i < n; i++)
        sum += (double)expf((float)SHARPNESS * (map[i] - most));
    return SHARPNESS * (double)most + log(sum);
}

void effect_measure(effect_measures out, const struct effect_target *t, const float *heat, const limber_keypoint *joints)
{
    const size_t map = (size_t)t->map_h * (size_t)t->map_w;
    memset(out, 0, sizeof(effect_measures));
    for (int c = 0; c < LIMBS; c++) {
        int n = 0;
        for (int k = 0; k < COCO_KEYPOINTS; k++) {
            if (!counts(t, c, k))
                continue;
            const float *m = heat + (size_t)k * map;
            const double here = heat_at(m, t->map_h, t->map_w, t->map[k][0], t->map[k][1]);
            const double there = t->other ? heat_at(m, t->map_h, t->map_w, t->other->map[k][0], t->other->map[k][1]) : 0;
            const double dx = (double)joints[k].x - t->image[k][0], dy = (double)joints[k].y - t->image[k][1];
            const double d2 = dx * dx + dy * dy, spread = 2 * t->sigmas[k];
            out[c][EFFECT_HEAT] += here - there;
            out[c][EFFECT_LOGP] += SHARPNESS * here - log_sum(m, map);
            out[c][EFFECT_OKS] += exp(-d2 / (2 * t->area * spread * spread));
            out[c][EFFECT_PX] -= sqrt(d2) / t->size;
            n++;
        }
        for (int m = 0; n && m < EFFECT_METRICS; m++)
            out[c][m] /= n;
    }
}

/* ---- people of one image ---- */

/* Columns of the stream with replicates, by limb and measure. Its row after the last set holds the gaps, in the columns of TOTAL. */
enum { TOTAL, DIRECT, OTHERS, KINDS };
#define BOOT_WIDTH ((size_t)KINDS * LIMBS * EFFECT_METRICS)
#define CROSS_WIDTH ((size_t)LIMBS * LIMBS * EFFECT_METRICS)
#define PLAIN_WIDTH (CROSS_WIDTH + (size_t)LIMBS * EFFECT_METRICS) /* then NOISE less MOVED */

static size_t boot_column(int kind, int c, int m)
{
    return ((size_t)kind * LIMBS + (size_t)c) * EFFECT_METRICS + (size_t)m;
}
static size_t cross_column(int c, int c2, int m)
{
    return ((size_t)c * LIMBS + (size_t)c2) * EFFECT_METRICS + (size_t)m;
}
static size_t over_column(int c, int m)
{
    return CROSS_WIDTH + (size_t)c * EFFECT_METRICS + (size_t)m;
}

struct of_by {
    bool wanted;
    struct heads_stream boot, plain;
    double *boot_sum, *plain_sum; /* [rows + 1][BOOT_WIDTH], [rows][PLAIN_WIDTH]: of the image so far */
    int boot_count[KINDS][LIMBS], plain_count[LIMBS][LIMBS], over_count[LIMBS];
    int64_t people[LIMBS], image_people[LIMBS];
};

struct effects {
    struct effects_shape shape;
    size_t rows; /* layers * heads, and the sets */
    struct of_by by[EFFECT_BYS];
    effect_measures *last; /* [rows]: raw of the last NOISE */
    int64_t images;
};

limber_status effects_open(struct effects **out, const struct effects_shape *shape, limber_error *err)
{
    const size_t rows = (size_t)shape->layers * (size_t)shape->heads + (size_t)shape->sets;
    int kinds = 0;
    for (int b = 0; b < EFFECT_BYS; b++)
        kinds += shape->by >> b & 1;
    *out = NULL;
    const double bytes = 8.0 * kinds * shape->replicates * (double)(rows + 1) * (double)BOOT_WIDTH;
    if (bytes > MAX_BYTES)
        return limber_fail(err, LIMBER_E_MEMORY, "patch: %d replicates of %zu heads and sets take %.1f GB, the limit is %.1f",
                           shape->replicates, rows, bytes / 1e9, MAX_BYTES / 1e9);
    struct effects *e = calloc(1, sizeof *e);
    bool fine = e != NULL;
    if (fine) {
        e->shape = *shape;
        e->rows = rows;
        fine = (e->last = calloc(rows, sizeof *e->last)) != NULL;
    }
    for (int b = 0; fine && b < EFFECT_BYS; b++) {
        struct of_by *of = &e->by[b];
        if (!(of->wanted = shape->by >> b & 1))
            continue;
        of->boot_sum = calloc((rows + 1) * BOOT_WIDTH, sizeof *of->boot_sum);
        of->plain_sum = calloc(rows * PLAIN_WIDTH, sizeof *of->plain_sum);
        fine = heads_stream_open(&of->boot, rows + 1, BOOT_WIDTH, shape->replicates);
        fine = heads_stream_open(&of->plain, rows, PLAIN_WIDTH, 0) && fine && of->boot_sum && of->plain_sum;
    }
    if (!fine) {
        effects_close(&e);
        return limber_fail(err, LIMBER_E_MEMORY, "patch: no memory for %d replicates of %zu heads and sets", shape->replicates,
                           rows);
    }
    *out = e;
    return LIMBER_OK;
}

void effects_close(struct effects **effects)
{
    struct effects *e = effects ? *effects : NULL;
    if (!e)
        return;
    for (int b = 0; b < EFFECT_BYS; b++) {
        heads_stream_close(&e->by[b].boot);
        heads_stream_close(&e->by[b].plain);
        free(e->by[b].boot_sum);
        free(e->by[b].plain_sum);
    }
    free(e->last);
    free(e);
    *effects = NULL;
}

static void add_limb(struct effects *e, struct of_by *of, int c, const effect_measures *raw, const effect_measures *direct,
                     const effect_measures gap)
{
    of->boot_count[TOTAL][c]++;
    of->boot_count[DIRECT][c] += direct != NULL;
    of->image_people[c]++;
    for (size_t m = 0; m < EFFECT_METRICS; m++) {
        for (size_t h = 0; h < e->rows; h++) {
            of->boot_sum[h * BOOT_WIDTH + boot_column(TOTAL, c, (int)m)] += raw[h][c][m];
            of->boot_sum[h * BOOT_WIDTH + boot_column(DIRECT, c, (int)m)] += direct ? direct[h][c][m] : 0;
        }
        of->boot_sum[e->rows * BOOT_WIDTH + boot_column(TOTAL, c, (int)m)] += gap ? gap[c][m] : 0;
    }
}

/* What happens at the other limbs when c alone is corrupted. */
static void add_others(struct effects *e, struct of_by *of, int c, const bool has[LIMBS], const effect_measures *raw)
{
    int n = 0;
    for (int c2 = 0; c2 < LIMBS; c2++)
        n += c2 != c && has[c2];
    of->boot_count[OTHERS][c] += n > 0;
    for (int c2 = 0; c2 < LIMBS; c2++) {
        if (!has[c2])
            continue;
        of->plain_count[c][c2]++;
        for (size_t h = 0; h < e->rows; h++)
            for (int m = 0; m < EFFECT_METRICS; m++) {
                of->plain_sum[h * PLAIN_WIDTH + cross_column(c, c2, m)] += raw[h][c2][m];
                if (c2 != c)
                    of->boot_sum[h * BOOT_WIDTH + boot_column(OTHERS, c, m)] += raw[h][c2][m] / n;
            }
    }
}

void effects_add(struct effects *e, enum effect_by by, int corrupted, const bool has[LIMBS], const effect_measures *raw,
                 const effect_measures *direct, const effect_measures gap)
{
    struct of_by *of = &e->by[by];
    for (int c = 0; c < LIMBS; c++)
        if (has[c] && (corrupted < 0 || corrupted == c))
            add_limb(e, of, c, raw, direct, gap);
    if (corrupted < 0)
        return;
    add_others(e, of, corrupted, has, raw);
    if (by == BY_NOISE)
        memcpy(e->last, raw, e->rows * sizeof *e->last);
    if (by != BY_MOVED || !has[corrupted])
        return;
    struct of_by *noise = &e->by[BY_NOISE];
    noise->over_count[corrupted]++;
    for (size_t h = 0; h < e->rows; h++)
        for (int m = 0; m < EFFECT_METRICS; m++)
            noise->plain_sum[h * PLAIN_WIDTH + over_column(corrupted, m)] += e->last[h][corrupted][m] - raw[h][corrupted][m];
}

static void clear(struct effects *e, struct of_by *of)
{
    memset(of->boot_sum, 0, (e->rows + 1) * BOOT_WIDTH * sizeof *of->boot_sum);
    memset(of->plain_sum, 0, e->rows * PLAIN_WIDTH * sizeof *of->plain_sum);
    memset(of->boot_count, 0, sizeof of->boot_count);
    memset(of->plain_count, 0, sizeof of->plain_count);
    memset(of->over_count, 0, sizeof of->over_count);
    memset(of->image_people, 0, sizeof of->image_people);
}

void effects_forget(struct effects *e)
{
    for (int b = 0; b < EFFECT_BYS; b++)
        if (e->by[b].wanted)
            clear(e, &e->by[b]);
}

/* ---- an image as numbers ---- */

/* The counts of a kind of change, all that there are. */
#define COUNTS ((size_t)(KINDS * LIMBS + LIMBS * LIMBS + LIMBS + LIMBS))

static void each_count(struct of_by *of, double *numbers, bool read)
{
    int *const parts[] = {of->boot_count[0], of->plain_count[0], of->over_count};
    const int sizes[] = {KINDS * LIMBS, LIMBS * LIMBS, LIMBS};
    for (size_t p = 0; p < 3; p++)
        for (int i = 0; i < sizes[p]; i++, numbers++)
            if (read)
                parts[p][i] = (int)*numbers;
            else
                *numbers = parts[p][i];
    for (int c = 0; c < LIMBS; c++, numbers++)
        if (read)
            of->image_people[c] = (int64_t)*numbers;
        else
            *numbers = (double)of->image_people[c];
}

/* The columns that somebody counts in, of all rows. Returns how many numbers; out, in: one of them may be NULL. */
static size_t each_column(double *sum, size_t rows, size_t width, size_t column, int count, double *out, const double *in)
{
    for (size_t h = 0; count && h < rows; h++)
        for (size_t m = 0; m < EFFECT_METRICS; m++) {
            double *at = &sum[h * width + column + m];
            if (in)
                *at = in[h * EFFECT_METRICS + m];
            else
                out[h * EFFECT_METRICS + m] = *at;
        }
    return count ? rows * EFFECT_METRICS : 0;
}

static size_t each_sum(const struct effects *e, struct of_by *of, double *out, const double *in)
{
    size_t n = 0;
    for (int kind = 0; kind < KINDS; kind++)
        for (int c = 0; c < LIMBS; c++)
            n += each_column(of->boot_sum, e->rows + 1, BOOT_WIDTH, boot_column(kind, c, 0), of->boot_count[kind][c],
                             out ? out + n : NULL, in ? in + n : NULL);
    for (int c = 0; c < LIMBS; c++) {
        for (int c2 = 0; c2 < LIMBS; c2++)
            n += each_column(of->plain_sum, e->rows, PLAIN_WIDTH, cross_column(c, c2, 0), of->plain_count[c][c2],
                             out ? out + n : NULL, in ? in + n : NULL);
        n += each_column(of->plain_sum, e->rows, PLAIN_WIDTH, over_column(c, 0), of->over_count[c], out ? out + n : NULL,
                         in ? in + n : NULL);
    }
    return n;
}

size_t effects_record_max(const struct effects *e)
{
    return EFFECT_BYS * (COUNTS + (e->rows + 1) * (BOOT_WIDTH + PLAIN_WIDTH));
}

size_t effects_record(const struct effects *e, double *out)
{
    size_t n = 0;
    for (int b = 0; b < EFFECT_BYS; b++) {
        struct of_by of = e->by[b];
        if (!of.wanted)
            continue;
        each_count(&of, out + n, false);
        n += COUNTS;
        n += each_sum(e, &of, out + n, NULL);
    }
    return n;
}

static size_t numbers_of(const struct effects *e, const struct of_by *of)
{
    size_t n = 0;
    for (int i = 0; i < KINDS * LIMBS; i++)
        n += of->boot_count[i / LIMBS][i % LIMBS] ? (e->rows + 1) * EFFECT_METRICS : 0;
    for (int i = 0; i < LIMBS * LIMBS; i++)
        n += of->plain_count[i / LIMBS][i % LIMBS] ? e->rows * EFFECT_METRICS : 0;
    for (int i = 0; i < LIMBS; i++)
        n += of->over_count[i] ? e->rows * EFFECT_METRICS : 0;
    return n;
}

bool effects_replay(struct effects *e, const double *in, size_t count)
{
    size_t n = 0;
    bool fine = true;
    for (size_t i = 0; i < count; i++)
        fine = fine && isfinite(in[i]);
    for (int b = 0; fine && b < EFFECT_BYS; b++) {
        struct of_by *of = &e->by[b];
        if (!of->wanted)
            continue;
        fine = n + COUNTS <= count;
        for (size_t i = 0; fine && i < COUNTS; i++)
            fine = in[n + i] >= 0 && in[n + i] <= 1e6;
        if (!fine)
            break;
        each_count(of, (double *)(uintptr_t)(in + n), true);
        n += COUNTS;
        if ((fine = n + numbers_of(e, of) <= count))
            n += each_sum(e, of, NULL, in + n);
    }
    if (fine && n == count)
        return true;
    effects_forget(e);
    return false;
}

static void divide(double *sum, bool *present, size_t rows, size_t width, size_t column, int count)
{
    present[column] = count > 0;
    for (size_t h = 0; count && h < rows; h++)
        sum[h * width + column] /= count;
}

void effects_image(struct effects *e, uint64_t image)
{
    bool any = false;
    for (int b = 0; b < EFFECT_BYS; b++) {
        struct of_by *of = &e->by[b];
        bool present[BOOT_WIDTH > PLAIN_WIDTH ? BOOT_WIDTH : PLAIN_WIDTH] = {false};
        if (!of->wanted)
            continue;
        for (int c = 0; c < LIMBS; c++) {
            of->people[c] += of->image_people[c];
            any = any || of->image_people[c];
        }
        for (int kind = 0; kind < KINDS; kind++)
            for (int c = 0; c < LIMBS; c++)
                for (int m = 0; m < EFFECT_METRICS; m++)
                    divide(of->boot_sum, present, e->rows + 1, BOOT_WIDTH, boot_column(kind, c, m), of->boot_count[kind][c]);
        heads_stream_add(&of->boot, of->boot_sum, present, e->shape.seed, image);
        for (int c = 0; c < LIMBS; c++)
            for (int m = 0; m < EFFECT_METRICS; m++) {
                for (int c2 = 0; c2 < LIMBS; c2++)
                    divide(of->plain_sum, present, e->rows, PLAIN_WIDTH, cross_column(c, c2, m), of->plain_count[c][c2]);
                divide(of->plain_sum, present, e->rows, PLAIN_WIDTH, over_column(c, m), of->over_count[c]);
            }
        heads_stream_add(&of->plain, of->plain_sum, present, e->shape.seed, image);
        clear(e, of);
    }
    e->images += any;
}

/* ---- what they say ---- */

/* A sum of columns of a head, each over the images that have it: sum of sign[i] times the mean of column[i]; over the gap of a column
 * where gap is not NULL. */
struct mix {
    size_t column[2];
    double sign[2];
    int parts;
    const size_t *gap;
};

static double mix_of(const struct mix *x, const double *head, const double *gaps, const double *weight)
{
    double v = 0;
    for (int i = 0; i < x->parts; i++)
        v += x->sign[i] * head[x->column[i]] / (weight ? weight[x->column[i]] : 1);
    return x->gap ? v / (gaps[*x->gap] / (weight ? weight[*x->gap] : 1)) : v;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static limber_heads_estimate estimate(const struct heads_stream *s, size_t head, const struct mix *x, double *scratch)
{
    const size_t gaps = (s->heads - 1) * s->width;
    limber_heads_estimate e = {.mean = mix_of(x, s->mean + head * s->width, s->mean + gaps, NULL),
                               .images = (int)s->count[x->column[0]]};
    e.low = e.high = e.mean;
    int n = 0;
    for (int b = 0; e.images > 1 && b < s->replicates; b++) {
        const double *boot = s->boot + (size_t)b * s->heads * s->width, *weight = s->boot_weight + (size_t)b * s->width;
        bool some = true;
        for (int i = 0; i < x->parts; i++)
            some = some && weight[x->column[i]] > 0;
        const double v = some ? mix_of(x, boot + head * s->width, boot + gaps, weight) : NAN;
        if (isfinite(v))
            scratch[n++] = v;
    }
    if (n > 1) {
        qsort(scratch, (size_t)n, sizeof *scratch, by_value);
        e.low = heads_quantile(scratch, n, 0.025);
        e.high = heads_quantile(scratch, n, 0.975);
        e.interval = 1;
    }
    return e;
}

/* Two-sided t over images: is the mean another than 0? */
static double two_sided(const struct heads_stream *s, size_t head, size_t column)
{
    if (s->mean[head * s->width + column] == 0)
        return 1;
    const double p = heads_stream_p(s, head, column);
    return fmin(1, 2 * fmin(p, 1 - p));
}

static struct effect effect_of(const struct effects *e, const struct of_by *of, size_t h, int c, int m, bool shared,
                               double *scratch)
{
    const struct heads_stream *s = &of->boot;
    const size_t total = boot_column(TOTAL, c, m), direct = boot_column(DIRECT, c, m), others = boot_column(OTHERS, c, m);
    const bool set = h >= (size_t)(e->shape.layers * e->shape.heads);
    struct effect f = {.known = s->count[total] > 0 && (set || !e->shape.chosen || e->shape.chosen[h])};
    if (!f.known)
        return f;
    f.raw = estimate(s, h, &(struct mix){{total}, {1}, 1, NULL}, scratch);
    if (s->count[direct]) {
        f.direct = estimate(s, h, &(struct mix){{direct}, {1}, 1, NULL}, scratch);
        f.mediated = estimate(s, h, &(struct mix){{total, direct}, {1, -1}, 2, NULL}, scratch);
    }
    f.shared = shared;
    if (shared) {
        f.share = estimate(s, h, &(struct mix){{total}, {1}, 1, &total}, scratch);
        if (s->count[direct])
            f.direct_share = estimate(s, h, &(struct mix){{direct}, {1}, 1, &total}, scratch);
        f.specific_known = s->count[others] > 0;
        if (f.specific_known)
            f.specific = estimate(s, h, &(struct mix){{total, others}, {1, -1}, 2, &total}, scratch);
    }
    const size_t over = over_column(c, m);
    const bool controlled = of->plain.count[over] > 0;
    f.tested = controlled ? of->plain.count[over] > 1 : s->count[total] > 1;
    if (f.tested)
        f.p = controlled ? two_sided(&of->plain, h, over) : two_sided(s, h, total);
    return f;
}

/* Over the rows first .. end - 1. */
static void adjust(struct effects_result *r, int by, int m, int first, int end, double *p, double *q, int *order, int *where)
{
    struct effect *all = r->effect + (size_t)by * (size_t)r->rows * LIMBS * EFFECT_METRICS;
    int n = 0;
    for (int i = first * LIMBS; i < end * LIMBS; i++)
        if (all[i * EFFECT_METRICS + m].tested) {
            where[n] = i * EFFECT_METRICS + m;
            p[n++] = all[i * EFFECT_METRICS + m].p;
        }
    heads_adjust(q, p, order, n);
    for (int i = 0; i < n; i++)
        all[where[i]].q = q[i];
}

static void summarise_by(const struct effects *e, struct effects_result *r, int b, double *scratch)
{
    const struct of_by *of = &e->by[b];
    for (int c = 0; c < LIMBS; c++) {
        r->people[b][c] = of->people[c];
        for (int m = 0; m < EFFECT_METRICS; m++) {
            const size_t column = boot_column(TOTAL, c, m);
            limber_heads_estimate *gap = &r->gap[b][c][m];
            *gap = estimate(&of->boot, e->rows, &(struct mix){{column}, {1}, 1, NULL}, scratch);
            /* one image has no interval: nothing says that its gap is one */
            r->gap_known[b][c][m] =
                e->shape.replicates > 0 ? gap->interval && (gap->low > 0 || gap->high < 0) : gap->images > 0 && gap->mean != 0;
        }
    }
    for (size_t h = 0; h < e->rows; h++)
        for (int c = 0; c < LIMBS; c++)
            for (int m = 0; m < EFFECT_METRICS; m++) {
                struct effect *f = &r->effect[(((size_t)b * e->rows + h) * LIMBS + (size_t)c) * EFFECT_METRICS + (size_t)m];
                *f = effect_of(e, of, h, c, m, r->gap_known[b][c][m], scratch);
                if (b == BY_NOISE && e->by[BY_MOVED].wanted)
                    f->control = e->by[BY_MOVED].boot.mean[h * BOOT_WIDTH + boot_column(TOTAL, c, m)];
                for (int c2 = 0; c2 < LIMBS; c2++) {
                    const size_t from = cross_column(c, c2, m);
                    r->cross[((size_t)b * e->rows + h) * CROSS_WIDTH + from] =
                        of->plain.count[from] ? of->plain.mean[h * PLAIN_WIDTH + from] : NAN;
                }
            }
}

limber_status effects_summarise(const struct effects *e, struct effects_result *out, limber_error *err)
{
    *out = (struct effects_result){.layers = e->shape.layers,
                                   .heads = e->shape.heads,
                                   .head_count = e->shape.layers * e->shape.heads,
                                   .rows = (int)e->rows,
                                   .by = e->shape.by,
                                   .images = e->images};
    const size_t n = e->rows * LIMBS;
    out->effect = calloc(EFFECT_BYS * n * EFFECT_METRICS, sizeof *out->effect);
    out->cross = malloc(EFFECT_BYS * e->rows * CROSS_WIDTH * sizeof *out->cross);
    double *scratch = malloc(((size_t)e->shape.replicates + 1) * sizeof *scratch), *p = malloc(n * sizeof *p),
           *q = malloc(n * sizeof *q);
    int *order = malloc(n * sizeof *order), *where = malloc(n * sizeof *where);
    const bool fine = out->effect && out->cross && scratch && p && q && order && where;
    for (size_t i = 0; fine && i < EFFECT_BYS * e->rows * CROSS_WIDTH; i++)
        out->cross[i] = NAN;
    for (int b = 0; fine && b < EFFECT_BYS; b++) {
        if (!e->by[b].wanted)
            continue;
        summarise_by(e, out, b, scratch);
        for (int m = 0; m < EFFECT_METRICS; m++) {
            adjust(out, b, m, 0, out->head_count, p, q, order, where);
            adjust(out, b, m, out->head_count, out->rows, p, q, order, where);
        }
    }
    free(scratch);
    free(p);
    free(q);
    free(order);
    free(where);
    if (fine)
        return LIMBER_OK;
    effects_result_free(out);
    return limber_fail(err, LIMBER_E_MEMORY, "patch: no memory for the effects of %zu heads", e->rows);
}

void effects_result_free(struct effects_result *r)
{
    free(r->effect);
    free(r->cross);
    *r = (struct effects_result){0};
}

const struct effect *effects_at(const struct effects_result *r, enum effect_by by, int row, int limb, enum effect_metric m)
{
    return &r->effect[(((size_t)by * (size_t)r->rows + (size_t)row) * LIMBS + (size_t)limb) * EFFECT_METRICS + (size_t)m];
}

double effects_cross(const struct effects_result *r, enum effect_by by, int row, int corrupted, int measured,
                     enum effect_metric m)
{
    return r->cross[((size_t)by * (size_t)r->rows + (size_t)row) * CROSS_WIDTH + cross_column(corrupted, measured, m)];
}

/* ---- ranks ---- */

bool effects_ranks(double *rank, const double *v, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) {
        double below = 0;
        for (int j = 0; j < n; j++)
            below += (v[j] < v[i]) + 0.5 * (v[j] == v[i]);
        rank[i] = below - n / 2.0;
        sum += rank[i] * rank[i];
    }
    for (int i = 0; sum > 0 && i < n; i++)
        rank[i] /= sqrt(sum);
    return sum > 0;
}

/* Heads in a drawn order, within each layer. */
static void permute(int *order, int layers, int heads, uint64_t seed, uint64_t turn)
{
    for (int l = 0; l < layers; l++) {
        int *at = order + l * heads;
        for (int h = 0; h < heads; h++)
            at[h] = l * heads + h;
        for (int h = heads - 1; h > 0; h--) { /* Fisher and Yates */
            const int k = (int)(heads_hash(seed, turn, (uint64_t)l, (uint64_t)h) % (uint64_t)(h + 1)), was = at[h];
            at[h] = at[k];
            at[k] = was;
        }
    }
}

bool effects_rank(struct effect_rank *out, const double *x, const double *y, const bool use[LIMBS], int layers, int heads,
                  int permutations, uint64_t seed)
{
    const int n = layers * heads;
    double *rx = malloc((size_t)(LIMBS * n) * sizeof *rx), *ry = malloc((size_t)(LIMBS * n) * sizeof *ry);
    int *order = malloc((size_t)n * sizeof *order);
    *out = (struct effect_rank){.p = 1};
    for (int c = 0; c < LIMBS; c++)
        out->rho[c] = NAN;
    for (int c = 0; rx && ry && order && c < LIMBS; c++) {
        const int k = out->limbs;
        if (!use[c] || !effects_ranks(rx + k * n, x + c * n, n) || !effects_ranks(ry + k * n, y + c * n, n))
            continue;
        out->limbs++;
        out->rho[c] = 0;
        for (int i = 0; i < n; i++)
            out->rho[c] += rx[k * n + i] * ry[k * n + i];
        out->mean += out->rho[c];
    }
    if (out->limbs)
        out->mean /= out->limbs;
    double sum = 0, sum2 = 0;
    int at_least = 1; /* the order as it is */
    for (int t = 0; out->limbs && t < permutations; t++) {
        double rho = 0;
        permute(order, layers, heads, seed, (uint64_t)t);
        for (int k = 0; k < out->limbs; k++)
            for (int i = 0; i < n; i++)
                rho += rx[k * n + order[i]] * ry[k * n + i];
        rho /= out->limbs;
        sum += rho;
        sum2 += rho * rho;
        at_least += rho >= out->mean - 1e-12; /* sums in another order */
    }
    if (out->limbs && permutations > 0) {
        out->null_mean = sum / permutations;
        out->null_sd = sqrt(fmax(0, sum2 / permutations - out->null_mean * out->null_mean));
        out->p = (double)at_least / (permutations + 1);
    }
    const bool fine = rx && ry && order;
    free(rx);
    free(ry);
    free(order);
    return fine;
}

bool effects_draw(struct effect_draw *out, const bool *chosen, const double *y, const bool use[LIMBS], int layers, int heads,
                  int draws, uint64_t seed)
{
    const int n = layers * heads;
    int *order = malloc((size_t)n * sizeof *order);
    *out = (struct effect_draw){.p = 1, .p_below = 1};
    if (!order)
        return false;
    for (int i = 0; i < LIMBS * n; i++)
        if (use[i / n] && chosen[i]) {
            out->pairs++;
            out->mean += y[i];
        }
    if (out->pairs)
        out->mean /= out->pairs;
    double sum = 0, sum2 = 0;
    int above = 1, below = 1;
    for (int t = 0; out->pairs && t < draws; t++) {
        double mean = 0;
        for (int c = 0; c < LIMBS; c++) {
            if (!use[c])
                continue;
            permute(order, layers, heads, seed, (uint64_t)t * LIMBS + (uint64_t)c);
            for (int i = 0; i < n; i++)
                mean += chosen[c * n + i] ? y[c * n + order[i]] : 0;
        }
        mean /= out->pairs;
        sum += mean;
        sum2 += mean * mean;
        above += mean >= out->mean - 1e-15;
        below += mean <= out->mean + 1e-15;
    }
    if (out->pairs && draws > 0) {
        out->null_mean = sum / draws;
        out->null_sd = sqrt(fmax(0, sum2 / draws - out->null_mean * out->null_mean));
        out->p = (double)above / (draws + 1);
        out->p_below = (double)below / (draws + 1);
    }
    free(order);
    return true;
}
