/* SPDX-License-Identifier: MIT */
/* command/eval/coco_boxes.c - see command/eval/coco_boxes.h. Who answers whom, and the curves, are command/eval/coco_match.c's. */
#include "command/eval/coco_boxes.h"

#include <math.h>
#include <stdlib.h>

#include "base/error.h"

#define MAX_BOXES 100 /* of an image */

const char *const coco_box_number_names[COCO_BOX_NUMBERS] = {"AP",  "AP50", "AP75",  "AP-S", "AP-M", "AP-L",
                                                             "AR1", "AR10", "AR100", "AR-S", "AR-M", "AR-L"};

double coco_overlap(const struct coco_box_truth *g, const double d[4])
{
    const double w = fmin(d[2] + d[0], g->box[2] + g->box[0]) - fmax(d[0], g->box[0]);
    const double h = fmin(d[3] + d[1], g->box[3] + g->box[1]) - fmax(d[1], g->box[1]);
    if (w <= 0 || h <= 0)
        return 0;
    const double both = w * h, own = d[2] * d[3];
    return both / (g->crowd ? own : own + g->box[2] * g->box[3] - both);
}

/* What likeness() looks into. */
struct evaluated {
    const struct coco_box_truth *truths;
    const struct coco_box *boxes;
};

static double likeness(const void *context, int truth, int answer)
{
    const struct evaluated *e = context;
    return coco_overlap(&e->truths[truth], e->boxes[answer].box);
}

static void summarise(double numbers[COCO_BOX_NUMBERS], const struct matches *m)
{
    static const int most[] = {1, 10, MAX_BOXES};
    double precision[COCO_AREAS][COCO_THRESHOLDS], recall[COCO_AREAS][COCO_THRESHOLDS], few[COCO_THRESHOLDS], unused;
    for (int a = 0; a < COCO_AREAS; a++)
        for (int t = 0; t < COCO_THRESHOLDS; t++)
            matches_measure(m, a, t, MAX_BOXES, &precision[a][t], &recall[a][t]);
    numbers[COCO_BOX_AP] = match_mean(precision[COCO_AREA_ALL], COCO_THRESHOLDS);
    numbers[COCO_BOX_AP50] = precision[COCO_AREA_ALL][0]; /* .50 */
    numbers[COCO_BOX_AP75] = precision[COCO_AREA_ALL][5]; /* .75 */
    for (int a = COCO_AREA_SMALL; a < COCO_AREAS; a++) {
        numbers[COCO_BOX_AP_S + a - COCO_AREA_SMALL] = match_mean(precision[a], COCO_THRESHOLDS);
        numbers[COCO_BOX_AR_S + a - COCO_AREA_SMALL] = match_mean(recall[a], COCO_THRESHOLDS);
    }
    for (int i = 0; i < 3; i++) {
        for (int t = 0; t < COCO_THRESHOLDS; t++)
            matches_measure(m, COCO_AREA_ALL, t, most[i], &unused, &few[t]);
        numbers[COCO_BOX_AR1 + i] = match_mean(few, COCO_THRESHOLDS);
    }
}

/* Shares of people that the boxes of a rank below `rank` and a score of at least `least` find. */
static void share_found(double share[COCO_AREAS], const struct matches *m, int rank, double least)
{
    for (int a = 0; a < COCO_AREAS; a++)
        share[a] = m->positives[a] ? (double)matches_found(m, a, 0, rank, least) / m->positives[a] : -1;
}

static void measure_recall(struct coco_recall *r, const struct matches *m, int boxes, int photographs)
{
    const long place = (long)boxes * photographs;
    *r = (struct coco_recall){.boxes = boxes};
    if (m->count)
        r->least = m->v[place < 1 ? 0 : place < m->count ? place - 1 : m->count - 1].score;
    share_found(r->each, m, boxes, -INFINITY);
    share_found(r->mean, m, MAX_BOXES, r->least);
}

limber_status coco_boxes_evaluate(struct coco_boxes_numbers *out, const struct coco_box_truth *truths, int truth_count,
                                  const struct coco_box *boxes, int box_count, int image_count, int photographs,
                                  limber_error *err)
{
    struct match_truth *g = calloc((size_t)truth_count + 1, sizeof *g);
    struct match_answer *d = calloc((size_t)box_count + 1, sizeof *d);
    const struct evaluated e = {truths, boxes};
    struct matches m = {0};
    limber_status st = g && d ? LIMBER_OK : limber_fail(err, LIMBER_E_MEMORY, "no memory to evaluate %d boxes", box_count);
    *out = (struct coco_boxes_numbers){0};
    for (int i = 0; !st && i < truth_count; i++)
        g[i] = (struct match_truth){truths[i].image, truths[i].crowd, truths[i].crowd, truths[i].zero_id, truths[i].area};
    for (int i = 0; !st && i < box_count; i++)
        d[i] = (struct match_answer){boxes[i].image, boxes[i].score, boxes[i].box[2] * boxes[i].box[3]};
    if (!st)
        st = matches_open(&m, g, truth_count, d, box_count, image_count, MAX_BOXES, likeness, &e, err);
    if (!st) {
        summarise(out->numbers, &m);
        for (int a = 0; a < COCO_AREAS; a++)
            out->people[a] = m.positives[a];
        out->boxes = m.count;
        for (int i = 0; i < COCO_MOST_BOXES; i++)
            measure_recall(&out->recall[i], &m, i + 1, photographs);
    }
    matches_close(&m);
    free(g);
    free(d);
    return st;
}
