/* SPDX-License-Identifier: MIT */
/* command/eval/coco_eval.c - see command/eval/coco_eval.h. The order of operations follows pycocotools where it decides a tie or a rounding; the names
 * of its steps are kept (evaluate an image, accumulate, summarise). */
#include "command/eval/coco_eval.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define THRESHOLDS 10     /* OKS .50 : .05 : .95 */
#define RECALL_POINTS 101 /* 0 : .01 : 1 */
#define MAX_DETECTIONS 20 /* an image */
#define SPACING 2.220446049250313e-16

const char *const coco_number_names[COCO_NUMBERS] = {"AP", "AP50", "AP75", "AP-M", "AP-L", "AR", "AR50", "AR75", "AR-M", "AR-L"};

enum { AREA_ALL, AREA_MEDIUM, AREA_LARGE, AREAS };
static const double area_range[AREAS][2] = {{0, 1e10}, {32 * 32, 96 * 96}, {96 * 96, 1e10}}; /* both ends inclusive */

/* numpy.linspace's own rounding: i * step + start, the last value exact */
static double threshold_at(int t)
{
    return t == THRESHOLDS - 1 ? .95 : t * ((.95 - .5) / (THRESHOLDS - 1)) + .5;
}

static double recall_at(int r)
{
    return r == RECALL_POINTS - 1 ? 1 : r * (1. / (RECALL_POINTS - 1));
}

double coco_oks(const struct coco_truth *g, const double keypoints[COCO_KEYPOINTS][2])
{
    int labelled = 0, n = 0;
    double sum = 0;
    for (int k = 0; k < COCO_KEYPOINTS; k++)
        labelled += g->visibility[k] > 0;
    for (int k = 0; k < COCO_KEYPOINTS; k++) {
        double d[2];
        if (labelled && g->visibility[k] <= 0)
            continue;
        for (int axis = 0; axis < 2; axis++) {
            double v = keypoints[k][axis], low = g->box[axis] - g->box[2 + axis], high = g->box[axis] + 2 * g->box[2 + axis];
            /* without labels: the distance outside of the box, doubled on every side */
            d[axis] = labelled ? v - g->keypoints[k][axis] : fmax(0, low - v) + fmax(0, v - high);
        }
        double variance = (2 * skeleton_coco.sigmas[k]) * (2 * skeleton_coco.sigmas[k]);
        sum += exp(-((d[0] * d[0] + d[1] * d[1]) / variance / (g->area + SPACING) / 2));
        n++;
    }
    return sum / n;
}

static double pose_area(const struct coco_pose *p)
{
    double low[2], high[2];
    for (int axis = 0; axis < 2; axis++) {
        low[axis] = high[axis] = p->keypoints[0][axis];
        for (int k = 1; k < COCO_KEYPOINTS; k++) {
            low[axis] = fmin(low[axis], p->keypoints[k][axis]);
            high[axis] = fmax(high[axis], p->keypoints[k][axis]);
        }
    }
    return (high[0] - low[0]) * (high[1] - low[1]);
}

/* A detection after evaluation of its image. */
struct match {
    double score;
    int order; /* position after concatenating the images: breaks ties */
    bool matched[AREAS][THRESHOLDS], ignored[AREAS][THRESHOLDS];
};

/* Indices sorted by a key, ties in the order given: pycocotools sorts with mergesort, which is stable. */
struct ranked {
    double key; /* ascending */
    int index, order;
};

static int ranked_compare(const void *pa, const void *pb)
{
    const struct ranked *a = pa, *b = pb;
    return a->key < b->key ? -1 : a->key > b->key ? 1 : (a->order > b->order) - (a->order < b->order);
}

static bool truth_ignored(const struct coco_truth *g, int area)
{
    return g->crowd || g->num_keypoints == 0 || g->area < area_range[area][0] || g->area > area_range[area][1];
}

/* Matches one image's detections (best score first) with its truths, for every area and threshold.
 * oks [detections][truths]; order: scratch for the truths; taken: scratch [truths]. */
static void evaluate_image(struct match *m, const struct coco_pose *const *d, int detections, const struct coco_truth *const *g,
                           int truths, const double *oks, struct ranked *order, bool *taken)
{
    for (int area = 0; area < AREAS; area++) {
        for (int i = 0; i < truths; i++)
            order[i] = (struct ranked){.key = truth_ignored(g[i], area), .index = i, .order = i}; /* ignored ones last */
        qsort(order, (size_t)truths, sizeof *order, ranked_compare);
        for (int t = 0; t < THRESHOLDS; t++) {
            memset(taken, 0, (size_t)truths * sizeof *taken);
            for (int i = 0; i < detections; i++) {
                double best = fmin(threshold_at(t), 1 - 1e-10);
                int found = -1;
                for (int j = 0; j < truths; j++) {
                    int gi = order[j].index;
                    if (taken[gi] && !g[gi]->crowd)
                        continue;
                    if (found >= 0 && !truth_ignored(g[found], area) && order[j].key != 0)
                        break; /* a real match is held, only ignored truths follow */
                    if (oks[(size_t)i * (size_t)truths + (size_t)gi] < best)
                        continue;
                    best = oks[(size_t)i * (size_t)truths + (size_t)gi];
                    found = gi;
                }
                double size = pose_area(d[i]);
                bool outside = size < area_range[area][0] || size > area_range[area][1];
                m[i].matched[area][t] = found >= 0 && !g[found]->zero_id;
                m[i].ignored[area][t] = (found >= 0 && truth_ignored(g[found], area)) || (!m[i].matched[area][t] && outside);
                if (found >= 0)
                    taken[found] = true;
            }
        }
    }
}

/* Precision at the recall points and the final recall, over all images, for one area and threshold; -1 without truths. */
static void accumulate(const struct match *m, const struct ranked *by_score, int count, int positives, int area, int t,
                       double *scratch_recall, double *scratch_precision, double *mean_precision, double *recall)
{
    double tp = 0, fp = 0;
    int n = 0;
    if (positives == 0) {
        *mean_precision = *recall = -1;
        return;
    }
    for (int i = 0; i < count; i++) {
        const struct match *d = &m[by_score[i].index];
        if (!d->ignored[area][t])
            *(d->matched[area][t] ? &tp : &fp) += 1;
        scratch_recall[n] = tp / positives;
        scratch_precision[n++] = tp / (fp + tp + SPACING);
    }
    *recall = n ? scratch_recall[n - 1] : 0;
    for (int i = n - 1; i > 0; i--)
        scratch_precision[i - 1] = fmax(scratch_precision[i - 1], scratch_precision[i]);
    double sum = 0;
    for (int r = 0, i = 0; r < RECALL_POINTS; r++) {
        while (i < n && scratch_recall[i] < recall_at(r))
            i++;
        sum += i < n ? scratch_precision[i] : 0;
    }
    *mean_precision = sum / RECALL_POINTS;
}

static double mean_of_measured(const double *v, int n)
{
    double sum = 0;
    int used = 0;
    for (int i = 0; i < n; i++)
        if (v[i] > -1) {
            sum += v[i];
            used++;
        }
    return used ? sum / used : -1;
}

static void summarise(double numbers[COCO_NUMBERS], const struct match *m, const struct ranked *by_score, int count,
                      const struct coco_truth *truths, int truth_count, double *scratch)
{
    double precision[AREAS][THRESHOLDS], recall[AREAS][THRESHOLDS];
    for (int area = 0; area < AREAS; area++) {
        int positives = 0;
        for (int i = 0; i < truth_count; i++)
            positives += !truth_ignored(&truths[i], area);
        for (int t = 0; t < THRESHOLDS; t++)
            accumulate(m, by_score, count, positives, area, t, scratch, scratch + count, &precision[area][t], &recall[area][t]);
    }
    for (int i = 0; i < 2; i++) {
        double(*v)[THRESHOLDS] = i ? recall : precision;
        double *out = numbers + (i ? COCO_AR : COCO_AP);
        out[0] = mean_of_measured(v[AREA_ALL], THRESHOLDS);
        out[1] = v[AREA_ALL][0]; /* .50 */
        out[2] = v[AREA_ALL][5]; /* .75 */
        out[3] = mean_of_measured(v[AREA_MEDIUM], THRESHOLDS);
        out[4] = mean_of_measured(v[AREA_LARGE], THRESHOLDS);
    }
}

limber_status coco_evaluate(double numbers[COCO_NUMBERS], const struct coco_truth *truths, int truth_count,
                            const struct coco_pose *poses, int pose_count, int image_count, limber_error *err)
{
    /* everything sorted by image once: truths in file order, poses by score */
    size_t nt = (size_t)truth_count + 1, np = (size_t)pose_count + 1;
    struct ranked *gt = calloc(nt, sizeof *gt), *dt = calloc(np, sizeof *dt), *order = calloc(nt > np ? nt : np, sizeof *order);
    const struct coco_truth **g = calloc(nt, sizeof *g);
    const struct coco_pose *d[MAX_DETECTIONS];
    struct match *matches = calloc(np, sizeof *matches);
    double *oks = calloc(nt * MAX_DETECTIONS, sizeof *oks), *scratch = calloc(2 * np, sizeof *scratch);
    bool *taken = calloc(nt, sizeof *taken);
    int count = 0, at_g = 0, at_d = 0;
    limber_status st = LIMBER_OK;
    if (!gt || !dt || !order || !g || !matches || !oks || !scratch || !taken) {
        st = limber_fail(err, LIMBER_E_MEMORY, "no memory to evaluate %d poses", pose_count);
        goto done;
    }
    for (int i = 0; i < truth_count; i++)
        gt[i] = (struct ranked){.key = truths[i].image, .index = i, .order = i};
    qsort(gt, (size_t)truth_count, sizeof *gt, ranked_compare);
    for (int i = 0; i < pose_count; i++)
        dt[i] = (struct ranked){.key = -poses[i].score, .index = i, .order = i};
    qsort(dt, (size_t)pose_count, sizeof *dt, ranked_compare);
    for (int i = 0; i < pose_count; i++) { /* stable: within an image they stay sorted by score */
        dt[i].key = poses[dt[i].index].image;
        dt[i].order = i;
    }
    qsort(dt, (size_t)pose_count, sizeof *dt, ranked_compare);
    for (int image = 0; image < image_count; image++) {
        int n_g = 0, n_d = 0;
        for (; at_g < truth_count && truths[gt[at_g].index].image == image; at_g++)
            g[n_g++] = &truths[gt[at_g].index];
        for (; at_d < pose_count && poses[dt[at_d].index].image == image; at_d++)
            if (n_d < MAX_DETECTIONS)
                d[n_d++] = &poses[dt[at_d].index];
        for (int i = 0; i < n_d; i++)
            for (int j = 0; j < n_g; j++)
                oks[i * n_g + j] = coco_oks(g[j], d[i]->keypoints);
        evaluate_image(matches + count, d, n_d, g, n_g, oks, order, taken);
        for (int i = 0; i < n_d; i++, count++)
            matches[count].score = d[i]->score;
    }
    for (int i = 0; i < count; i++)
        order[i] = (struct ranked){.key = -matches[i].score, .index = i, .order = i};
    qsort(order, (size_t)count, sizeof *order, ranked_compare);
    summarise(numbers, matches, order, count, truths, truth_count, scratch);
done:
    free(gt);
    free(dt);
    free(order);
    free(g);
    free(matches);
    free(oks);
    free(scratch);
    free(taken);
    return st;
}

void coco_pck(const struct coco_truth *truths, const struct coco_pose *poses, int count, double share, int *correct,
              int *labelled)
{
    enum { LEFT_SHOULDER = 5, RIGHT_SHOULDER = 6, LEFT_HIP = 11, RIGHT_HIP = 12 };
    for (int i = 0; i < count; i++) {
        const struct coco_truth *g = &truths[i];
        const double(*k)[2] = g->keypoints;
        if (g->visibility[LEFT_SHOULDER] <= 0 || g->visibility[RIGHT_SHOULDER] <= 0 || g->visibility[LEFT_HIP] <= 0 ||
            g->visibility[RIGHT_HIP] <= 0)
            continue;
        double torso = hypot((k[LEFT_SHOULDER][0] + k[RIGHT_SHOULDER][0] - k[LEFT_HIP][0] - k[RIGHT_HIP][0]) / 2,
                             (k[LEFT_SHOULDER][1] + k[RIGHT_SHOULDER][1] - k[LEFT_HIP][1] - k[RIGHT_HIP][1]) / 2);
        for (int j = 0; j < COCO_KEYPOINTS; j++) {
            if (g->visibility[j] <= 0)
                continue;
            labelled[j]++;
            correct[j] += hypot(poses[i].keypoints[j][0] - k[j][0], poses[i].keypoints[j][1] - k[j][1]) <= share * torso;
        }
    }
}
