/* SPDX-License-Identifier: MIT */
/* pose/same.c - see pose/same.h. */
#include "pose/same.h"

#include <math.h>
#include <stdbool.h>

#include "model/skeleton.h"
#include "pose/crop.h"

static double area_of(const limber_person *p, const struct config *c)
{
    const struct crop_region r = crop_region_of_box(p->box, c->image_h, c->image_w, c->normalize_factor);
    return (double)r.width * (double)r.height;
}

double same_oks(const limber_person *a, const limber_person *b, const struct config *c)
{
    const double area = (area_of(a, c) + area_of(b, c)) / 2;
    double sum = 0;
    for (int k = 0; k < c->keypoints; k++) {
        const double dx = (double)a->keypoints[k].x - (double)b->keypoints[k].x;
        const double dy = (double)a->keypoints[k].y - (double)b->keypoints[k].y;
        const double wide = 2 * (c->skeleton ? c->skeleton->sigmas[k] : 0.07);
        sum += exp(-(dx * dx + dy * dy) / (2 * wide * wide * area));
    }
    return sum / c->keypoints;
}

double same_rank(const limber_person *p, int count)
{
    double sum = 0;
    int seen = 0;
    for (int k = 0; k < count; k++)
        if (p->keypoints[k].score > SAME_JOINT) {
            sum += (double)p->keypoints[k].score;
            seen++;
        }
    return seen ? (double)p->box_score * (sum / seen) : 0;
}

float same_evidence(const limber_person *p, int count)
{
    /* The surer half by counting who is surer: joints are few, and nothing must be allocated. */
    const int half = count / 2 > 0 ? count / 2 : 1;
    double sum = 0;
    for (int k = 0; k < count; k++) {
        int surer = 0;
        for (int j = 0; j < count; j++)
            surer += p->keypoints[j].score > p->keypoints[k].score || (p->keypoints[j].score == p->keypoints[k].score && j < k);
        if (surer < half)
            sum += (double)p->keypoints[k].score;
    }
    const double mean = sum / half > 0 ? sum / half : 0;
    return (float)((double)p->box_score * mean * mean * mean * mean);
}

static double own_score(const limber_person *p, int count)
{
    (void)count;
    return (double)p->score;
}

/* Best first, by insertion: equals keep their order, and there are few. */
static void sort(limber_people *people, double (*rank)(const limber_person *p, int count))
{
    limber_person *v = people->person;
    for (int i = 1; i < people->count; i++) {
        const limber_person p = v[i];
        const double own = rank(&p, people->keypoint_count);
        int at = i;
        for (; at > 0 && rank(&v[at - 1], people->keypoint_count) < own; at--)
            v[at] = v[at - 1];
        v[at] = p;
    }
}

void same_suppress(limber_people *people, const struct config *c, float limit)
{
    limber_person *v = people->person;
    int kept = 0;
    sort(people, same_rank);
    for (int i = 0; i < people->count; i++) {
        bool known = false;
        for (int k = 0; k < kept && !known; k++)
            known = same_oks(&v[k], &v[i], c) > (double)limit;
        if (!known)
            v[kept++] = v[i];
    }
    people->count = kept;
    sort(people, own_score);
}
