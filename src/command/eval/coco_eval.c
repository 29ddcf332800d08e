/* SPDX-License-Identifier: MIT */
/* command/eval/coco_eval.c - see command/eval/coco_eval.h. OKS is here; who answers whom, and the curves, are
 * command/eval/coco_match.c's. */
#include "command/eval/coco_eval.h"

#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "command/eval/coco_match.h"

#define MAX_ANSWERS 20 /* of an image */
#define SPACING 2.220446049250313e-16

const char *const coco_number_names[COCO_NUMBERS] = {"AP", "AP50", "AP75", "AP-M", "AP-L", "AR", "AR50", "AR75", "AR-M", "AR-L"};

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

/* What likeness() looks into. */
struct evaluated {
    const struct coco_truth *truths;
    const struct coco_pose *poses;
};

static double likeness(const void *context, int truth, int answer)
{
    const struct evaluated *e = context;
    return coco_oks(&e->truths[truth], e->poses[answer].keypoints);
}

static void summarise(double numbers[COCO_NUMBERS], const struct matches *m)
{
    static const int areas[] = {COCO_AREA_ALL, COCO_AREA_MEDIUM, COCO_AREA_LARGE};
    double precision[3][COCO_THRESHOLDS], recall[3][COCO_THRESHOLDS];
    for (int a = 0; a < 3; a++)
        for (int t = 0; t < COCO_THRESHOLDS; t++)
            matches_measure(m, areas[a], t, MAX_ANSWERS, &precision[a][t], &recall[a][t]);
    for (int i = 0; i < 2; i++) {
        double(*v)[COCO_THRESHOLDS] = i ? recall : precision;
        double *out = numbers + (i ? COCO_AR : COCO_AP);
        out[0] = match_mean(v[0], COCO_THRESHOLDS);
        out[1] = v[0][0]; /* .50 */
        out[2] = v[0][5]; /* .75 */
        out[3] = match_mean(v[1], COCO_THRESHOLDS);
        out[4] = match_mean(v[2], COCO_THRESHOLDS);
    }
}

limber_status coco_evaluate(double numbers[COCO_NUMBERS], const struct coco_truth *truths, int truth_count,
                            const struct coco_pose *poses, int pose_count, int image_count, limber_error *err)
{
    struct match_truth *g = calloc((size_t)truth_count + 1, sizeof *g);
    struct match_answer *d = calloc((size_t)pose_count + 1, sizeof *d);
    const struct evaluated e = {truths, poses};
    struct matches m = {0};
    limber_status st = g && d ? LIMBER_OK : limber_fail(err, LIMBER_E_MEMORY, "no memory to evaluate %d poses", pose_count);
    for (int i = 0; !st && i < truth_count; i++) {
        const struct coco_truth *t = &truths[i];
        g[i] = (struct match_truth){t->image, t->crowd || t->num_keypoints == 0, t->crowd, t->zero_id, t->area};
    }
    for (int i = 0; !st && i < pose_count; i++)
        d[i] = (struct match_answer){poses[i].image, poses[i].score, pose_area(&poses[i])};
    if (!st)
        st = matches_open(&m, g, truth_count, d, pose_count, image_count, MAX_ANSWERS, likeness, &e, err);
    if (!st)
        summarise(numbers, &m);
    matches_close(&m);
    free(g);
    free(d);
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
