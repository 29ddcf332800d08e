/* SPDX-License-Identifier: MIT */
/* command/eval/coco_match.c - see command/eval/coco_match.h. The order of operations follows pycocotools where it decides a tie or a
 * rounding; the names of its steps are kept (evaluate an image, accumulate). */
#include "command/eval/coco_match.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define RECALL_POINTS 101 /* 0 : .01 : 1 */
#define SPACING 2.220446049250313e-16

static const double area_range[COCO_AREAS][2] = {
    {0, 1e10}, {0, 32 * 32}, {32 * 32, 96 * 96}, {96 * 96, 1e10}}; /* both ends inclusive */

/* numpy.linspace's own rounding: i * step + start, the last value exact */
static double threshold_at(int t)
{
    return t == COCO_THRESHOLDS - 1 ? .95 : t * ((.95 - .5) / (COCO_THRESHOLDS - 1)) + .5;
}

static double recall_at(int r)
{
    return r == RECALL_POINTS - 1 ? 1 : r * (1. / (RECALL_POINTS - 1));
}

/* Indices sorted by a key, ties in the order given: pycocotools sorts with mergesort, which is stable. */
struct ranked {
    double key; /* ascending */
    int index, order;
};

static int by_key(const void *pa, const void *pb)
{
    const struct ranked *a = pa, *b = pb;
    return a->key < b->key ? -1 : a->key > b->key ? 1 : (a->order > b->order) - (a->order < b->order);
}

static int best_first(const void *pa, const void *pb)
{
    const struct match *a = pa, *b = pb;
    return a->score > b->score ? -1 : a->score < b->score ? 1 : (a->order > b->order) - (a->order < b->order);
}

static bool outside(double area, int range)
{
    return area < area_range[range][0] || area > area_range[range][1];
}

static bool is_ignored(const struct match_truth *g, int area)
{
    return g->ignored || outside(g->area, area);
}

/* Matches one image's answers (best score first) with its truths, for every area and threshold.
 * like [answers][truths]; order: scratch for the truths; taken: scratch [truths]. */
static void evaluate_image(struct match *m, const struct match_answer *const *d, int answers, const struct match_truth *const *g,
                           int truths, const double *like, struct ranked *order, bool *taken)
{
    for (int area = 0; area < COCO_AREAS; area++) {
        for (int i = 0; i < truths; i++)
            order[i] = (struct ranked){.key = is_ignored(g[i], area), .index = i, .order = i}; /* ignored ones last */
        qsort(order, (size_t)truths, sizeof *order, by_key);
        for (int t = 0; t < COCO_THRESHOLDS; t++) {
            memset(taken, 0, (size_t)truths * sizeof *taken);
            for (int i = 0; i < answers; i++) {
                double best = fmin(threshold_at(t), 1 - 1e-10);
                int found = -1;
                for (int j = 0; j < truths; j++) {
                    const int gi = order[j].index;
                    const double v = like[(size_t)i * (size_t)truths + (size_t)gi];
                    if (taken[gi] && !g[gi]->crowd)
                        continue;
                    if (found >= 0 && !is_ignored(g[found], area) && order[j].key != 0)
                        break; /* a real match is held, only ignored truths follow */
                    if (v < best)
                        continue;
                    best = v;
                    found = gi;
                }
                m[i].matched[area][t] = found >= 0 && !g[found]->zero_id;
                m[i].ignored[area][t] =
                    (found >= 0 && is_ignored(g[found], area)) || (!m[i].matched[area][t] && outside(d[i]->area, area));
                if (found >= 0)
                    taken[found] = true;
            }
        }
    }
}

/* What matches_open sorts by image: truths in the caller's order, answers by score. */
struct sorted {
    struct ranked *truths, *answers, *order;
    const struct match_truth **g; /* of one image */
    const struct match_answer **d;
    double *like;
    bool *taken;
};

static void sort_by_image(struct sorted *s, const struct match_truth *truths, int truth_count, const struct match_answer *answers,
                          int answer_count)
{
    for (int i = 0; i < truth_count; i++)
        s->truths[i] = (struct ranked){.key = truths[i].image, .index = i, .order = i};
    qsort(s->truths, (size_t)truth_count, sizeof *s->truths, by_key);
    for (int i = 0; i < answer_count; i++)
        s->answers[i] = (struct ranked){.key = -answers[i].score, .index = i, .order = i};
    qsort(s->answers, (size_t)answer_count, sizeof *s->answers, by_key);
    for (int i = 0; i < answer_count; i++) { /* stable: within an image they stay sorted by score */
        s->answers[i].key = answers[s->answers[i].index].image;
        s->answers[i].order = i;
    }
    qsort(s->answers, (size_t)answer_count, sizeof *s->answers, by_key);
}

/* The most truths that one image has. */
static int most_of_an_image(const struct match_truth *truths, const struct ranked *by_image, int count)
{
    int most = 0;
    for (int i = 0, here = 0; i < count; i++) {
        here = i > 0 && truths[by_image[i].index].image == truths[by_image[i - 1].index].image ? here + 1 : 1;
        most = here > most ? here : most;
    }
    return most;
}

limber_status matches_open(struct matches *out, const struct match_truth *truths, int truth_count,
                           const struct match_answer *answers, int answer_count, int image_count, int most, likeness_fn likeness,
                           const void *context, limber_error *err)
{
    const size_t nt = (size_t)truth_count + 1, na = (size_t)answer_count + 1;
    const size_t each = (size_t)(most < answer_count ? most : answer_count) + 1;
    struct sorted s = {calloc(nt, sizeof *s.truths), calloc(na, sizeof *s.answers), calloc(nt, sizeof *s.order),
                       calloc(nt, sizeof *s.g),      calloc(each, sizeof *s.d),     NULL,
                       calloc(nt, sizeof *s.taken)};
    *out = (struct matches){.v = calloc(na, sizeof *out->v), .scratch = calloc(2 * na, sizeof *out->scratch)};
    bool ok = s.truths && s.answers && s.order && s.g && s.d && s.taken && out->v && out->scratch;
    if (ok) {
        sort_by_image(&s, truths, truth_count, answers, answer_count);
        s.like = calloc((size_t)most_of_an_image(truths, s.truths, truth_count) * each + 1, sizeof *s.like);
        ok = s.like != NULL;
    }
    int at_g = 0, at_d = 0;
    for (int image = 0; ok && image < image_count; image++) {
        int n_g = 0, n_d = 0;
        const int first_g = at_g;
        struct match *m = out->v + out->count;
        for (; at_g < truth_count && truths[s.truths[at_g].index].image == image; at_g++)
            s.g[n_g++] = &truths[s.truths[at_g].index];
        for (; at_d < answer_count && answers[s.answers[at_d].index].image == image; at_d++)
            if (n_d < most) {
                const int answer = s.answers[at_d].index;
                s.d[n_d] = &answers[answer];
                m[n_d] = (struct match){.score = answers[answer].score, .answer = answer, .rank = n_d, .order = out->count + n_d};
                for (int j = 0; j < n_g; j++)
                    s.like[n_d * n_g + j] = likeness(context, s.truths[first_g + j].index, answer);
                n_d++;
            }
        evaluate_image(m, s.d, n_d, s.g, n_g, s.like, s.order, s.taken);
        out->count += n_d;
    }
    for (int area = 0; ok && area < COCO_AREAS; area++)
        for (int i = 0; i < truth_count; i++)
            out->positives[area] += !is_ignored(&truths[i], area);
    if (ok)
        qsort(out->v, (size_t)out->count, sizeof *out->v, best_first);
    free(s.truths);
    free(s.answers);
    free(s.order);
    free(s.g);
    free(s.d);
    free(s.like);
    free(s.taken);
    if (ok)
        return LIMBER_OK;
    matches_close(out);
    return limber_fail(err, LIMBER_E_MEMORY, "no memory to evaluate %d answers", answer_count);
}

void matches_close(struct matches *m)
{
    free(m->v);
    free(m->scratch);
    *m = (struct matches){0};
}

void matches_measure(const struct matches *m, int area, int threshold, int most, double *mean_precision, double *recall)
{
    double tp = 0, fp = 0, *recalls = m->scratch, *precision = m->scratch + m->count;
    const double positives = m->positives[area];
    int n = 0;
    *mean_precision = *recall = -1;
    if (positives == 0)
        return;
    for (int i = 0; i < m->count; i++) {
        const struct match *d = &m->v[i];
        if (d->rank >= most)
            continue;
        if (!d->ignored[area][threshold])
            *(d->matched[area][threshold] ? &tp : &fp) += 1;
        recalls[n] = tp / positives;
        precision[n++] = tp / (fp + tp + SPACING);
    }
    *recall = n ? recalls[n - 1] : 0;
    for (int i = n - 1; i > 0; i--)
        precision[i - 1] = fmax(precision[i - 1], precision[i]);
    double sum = 0;
    for (int r = 0, i = 0; r < RECALL_POINTS; r++) {
        while (i < n && recalls[i] < recall_at(r))
            i++;
        sum += i < n ? precision[i] : 0;
    }
    *mean_precision = sum / RECALL_POINTS;
}

int matches_found(const struct matches *m, int area, int threshold, int most, double least)
{
    int found = 0;
    for (int i = 0; i < m->count && m->v[i].score >= least; i++)
        found += m->v[i].rank < most && m->v[i].matched[area][threshold] && !m->v[i].ignored[area][threshold];
    return found;
}

double match_mean(const double *v, int count)
{
    double sum = 0;
    int used = 0;
    for (int i = 0; i < count; i++)
        if (v[i] > -1) {
            sum += v[i];
            used++;
        }
    return used ? sum / used : -1;
}
