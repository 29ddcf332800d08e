/* SPDX-License-Identifier: MIT */
/* command/eval/coco_eval.c - see command/eval/coco_eval.h. OKS is here; who answers whom, and the curves, are
 * command/eval/coco_match.c's.
 *
 * xtcocotools differs from pycocotools in three things. Who has no labelled joint in the scope is ignored, whatever num_keypoints says; a
 * pose without a joint of positive score in the scope does not count; an annotation of id 0 can be matched. */
#include "command/eval/coco_eval.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "command/eval/coco_match.h"

#define MAX_ANSWERS 20 /* of an image */
#define SPACING 2.220446049250313e-16

const char *const coco_number_names[COCO_NUMBERS] = {"AP", "AP50", "AP75", "AP-M", "AP-L", "AR", "AR50", "AR75", "AR-M", "AR-L"};

bool coco_poses_open(struct coco_poses *p, size_t room, int keypoints)
{
    *p = (struct coco_poses){.v = calloc(room + 1, sizeof *p->v), .keypoints = keypoints, .room = room};
    p->joints = calloc(room + 1, 3 * (size_t)keypoints * sizeof *p->joints);
    return p->v && p->joints;
}

bool coco_poses_reserve(struct coco_poses *p, size_t more)
{
    const size_t each = 3 * (size_t)p->keypoints, needs = (size_t)p->count + more;
    if (needs <= p->room)
        return true;
    const size_t room = needs > 2 * p->room ? needs : 2 * p->room;
    struct coco_pose *v = realloc(p->v, (room + 1) * sizeof *v);
    if (!v)
        return false;
    p->v = v;
    double *joints = realloc(p->joints, (room + 1) * each * sizeof *joints);
    if (!joints)
        return false;
    p->joints = joints;
    p->room = room;
    for (int i = 0; i < p->count; i++)
        v[i].keypoints = joints + each * (size_t)i;
    return true;
}

struct coco_pose *coco_poses_add(struct coco_poses *p, int image, double score, const limber_keypoint *joints)
{
    double *to = p->joints + 3 * (size_t)p->keypoints * (size_t)p->count;
    struct coco_pose *pose = &p->v[p->count++];
    *pose = (struct coco_pose){.image = image, .score = score, .keypoints = to};
    for (int k = 0; k < p->keypoints; k++, to += 3)
        to[0] = (double)joints[k].x, to[1] = (double)joints[k].y, to[2] = (double)joints[k].score;
    return pose;
}

void coco_poses_close(struct coco_poses *p)
{
    free(p->v);
    free(p->joints);
    *p = (struct coco_poses){0};
}

struct coco_scope coco_scope_of(const struct skeleton *s, int part)
{
    return part == COCO_WHOLE ? (struct coco_scope){s, 0, s->keypoints}
                              : (struct coco_scope){s, s->parts[part].first, s->parts[part].count};
}

static bool by_pycocotools(const struct coco_scope *scope)
{
    return scope->skeleton == &skeleton_coco;
}

/* How many joints of the scope have a third number above 0: labelled, or scored. */
static int count_positive(const struct coco_scope *scope, const double *keypoints)
{
    int n = 0;
    for (int k = scope->first; k < scope->first + scope->count; k++)
        n += keypoints[3 * k + 2] > 0;
    return n;
}

double coco_oks(const struct coco_scope *scope, const struct coco_truth *g, const struct coco_pose *p)
{
    const double *sigmas = scope->skeleton->sigmas;
    const bool labelled = count_positive(scope, g->keypoints) > 0;
    int n = 0;
    double sum = 0;
    for (int k = scope->first; k < scope->first + scope->count; k++) {
        const double *truth = g->keypoints + 3 * k, *found = p->keypoints + 3 * k;
        double d[2];
        if (labelled && !(truth[2] > 0))
            continue;
        for (int axis = 0; axis < 2; axis++) {
            double v = found[axis], low = g->box[axis] - g->box[2 + axis], high = g->box[axis] + 2 * g->box[2 + axis];
            /* without labels: the distance outside of the box, doubled on every side */
            d[axis] = labelled ? v - truth[axis] : fmax(0, low - v) + fmax(0, v - high);
        }
        double variance = (2 * sigmas[k]) * (2 * sigmas[k]);
        sum += exp(-((d[0] * d[0] + d[1] * d[1]) / variance / (g->area + SPACING) / 2));
        n++;
    }
    return sum / n;
}

/* The tools take a pose's size from "keypoints" alone, whatever part is measured. */
static double pose_area(const struct coco_scope *scope, const struct coco_pose *p)
{
    double low[2], high[2];
    for (int axis = 0; axis < 2; axis++) {
        low[axis] = high[axis] = p->keypoints[axis];
        for (int k = 1; k < scope->skeleton->parts[0].count; k++) {
            low[axis] = fmin(low[axis], p->keypoints[3 * k + axis]);
            high[axis] = fmax(high[axis], p->keypoints[3 * k + axis]);
        }
    }
    return (high[0] - low[0]) * (high[1] - low[1]);
}

/* What likeness() looks into. */
struct evaluated {
    const struct coco_scope *scope;
    const struct coco_truth *truths;
    const struct coco_pose *poses;
};

static double likeness(const void *context, int truth, int answer)
{
    const struct evaluated *e = context;
    return coco_oks(e->scope, &e->truths[truth], &e->poses[answer]);
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

static limber_status evaluate_category(double numbers[COCO_NUMBERS], struct coco_counts *counts, const struct coco_scope *scope,
                                       const struct coco_truth *truths, int truth_count, const struct coco_pose *poses,
                                       int pose_count, int image_count, limber_error *err)
{
    struct match_truth *g = calloc((size_t)truth_count + 1, sizeof *g);
    struct match_answer *d = calloc((size_t)pose_count + 1, sizeof *d);
    const struct evaluated e = {scope, truths, poses};
    struct matches m = {0};
    limber_status st = g && d ? LIMBER_OK : limber_fail(err, LIMBER_E_MEMORY, "no memory to evaluate %d poses", pose_count);
    for (int i = 0; !st && i < truth_count; i++) {
        const struct coco_truth *t = &truths[i];
        const int labelled = by_pycocotools(scope) ? t->num_keypoints : count_positive(scope, t->keypoints);
        g[i] = (struct match_truth){t->image, t->crowd || !labelled, t->crowd, t->zero_id && by_pycocotools(scope), t->area};
    }
    for (int i = 0; !st && i < pose_count; i++)
        d[i] = (struct match_answer){poses[i].image, poses[i].score, pose_area(scope, &poses[i])};
    if (!st)
        st = matches_open(&m, g, truth_count, d, pose_count, image_count, MAX_ANSWERS, likeness, &e, err);
    if (!st) {
        summarise(numbers, &m);
        counts->people += m.positives[COCO_AREA_ALL];
        counts->found += matches_found(&m, COCO_AREA_ALL, 0, MAX_ANSWERS, -INFINITY);
    }
    matches_close(&m);
    free(g);
    free(d);
    return st;
}

static int by_number(const void *a, const void *b)
{
    const long long x = *(const long long *)a, y = *(const long long *)b;
    return (x > y) - (x < y);
}

limber_status coco_evaluate(double numbers[COCO_NUMBERS], const struct coco_scope *scope, const struct coco_truth *truths,
                            int truth_count, const struct coco_pose *poses, int pose_count, int image_count, limber_error *err)
{
    struct coco_counts unused;
    return coco_evaluate_and_count(numbers, &unused, scope, truths, truth_count, poses, pose_count, image_count, err);
}

limber_status coco_evaluate_and_count(double numbers[COCO_NUMBERS], struct coco_counts *counts, const struct coco_scope *scope,
                                      const struct coco_truth *truths, int truth_count, const struct coco_pose *poses,
                                      int pose_count, int image_count, limber_error *err)
{
    *counts = (struct coco_counts){0};
    long long *categories = malloc(((size_t)truth_count + 1) * sizeof *categories);
    struct coco_truth *t = malloc(((size_t)truth_count + 1) * sizeof *t);
    struct coco_pose *p = malloc(((size_t)pose_count + 1) * sizeof *p);
    int measured[COCO_NUMBERS] = {0};
    limber_status st =
        categories && t && p ? LIMBER_OK : limber_fail(err, LIMBER_E_MEMORY, "no memory to evaluate %d poses", pose_count);
    for (int i = 0; !st && i < truth_count; i++)
        categories[i] = truths[i].category;
    if (!st)
        qsort(categories, (size_t)truth_count, sizeof *categories, by_number);
    memset(numbers, 0, COCO_NUMBERS * sizeof *numbers);
    for (int i = 0; !st && i < truth_count; i++) {
        double of_one[COCO_NUMBERS];
        int nt = 0, np = 0;
        if (i && categories[i] == categories[i - 1])
            continue;
        for (int k = 0; k < truth_count; k++)
            if (truths[k].category == categories[i])
                t[nt++] = truths[k];
        for (int k = 0; k < pose_count; k++)
            if (poses[k].category == categories[i] && (by_pycocotools(scope) || count_positive(scope, poses[k].keypoints)))
                p[np++] = poses[k];
        st = evaluate_category(of_one, counts, scope, t, nt, p, np, image_count, err);
        for (int n = 0; !st && n < COCO_NUMBERS; n++)
            if (of_one[n] > -1) {
                numbers[n] += of_one[n];
                measured[n]++;
            }
    }
    for (int n = 0; n < COCO_NUMBERS; n++)
        numbers[n] = measured[n] ? numbers[n] / measured[n] : -1;
    free(categories);
    free(t);
    free(p);
    return st;
}

/* -1: this label set has no such joint. */
static int joint_called(const struct skeleton *s, const char *name)
{
    for (int k = 0; k < s->keypoints; k++)
        if (!strcmp(s->names[k], name))
            return k;
    return -1;
}

void coco_pck(const struct skeleton *s, const struct coco_truth *truths, const struct coco_pose *poses, int count, double share,
              int *correct, int *labelled)
{
    const int corner[4] = {joint_called(s, "left_shoulder"), joint_called(s, "right_shoulder"), joint_called(s, "left_hip"),
                           joint_called(s, "right_hip")};
    for (int i = 0; i < count; i++) {
        const double *truth = truths[i].keypoints;
        double across[2] = {0}; /* twice the torso */
        bool torso = true;
        for (int c = 0; torso && c < 4; c++) {
            torso = corner[c] >= 0 && truth[3 * corner[c] + 2] > 0;
            for (int axis = 0; torso && axis < 2; axis++)
                across[axis] += c < 2 ? truth[3 * corner[c] + axis] : -truth[3 * corner[c] + axis];
        }
        for (int j = 0; torso && j < s->keypoints; j++) {
            const double *want = truth + 3 * j, *found = poses[i].keypoints + 3 * j;
            if (!(want[2] > 0))
                continue;
            labelled[j]++;
            correct[j] += hypot(found[0] - want[0], found[1] - want[1]) <= share * hypot(across[0] / 2, across[1] / 2);
        }
    }
}
