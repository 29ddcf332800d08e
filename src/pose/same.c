/* SPDX-License-Identifier: MIT */
/* pose/same.c - see pose/same.h. */
#include "pose/same.h"

#include <math.h>
#include <stdbool.h>

float same_oks(const limber_person *a, const limber_person *b, int count, const double *sigmas)
{
    const double area = ((double)a->box.width * (double)a->box.height + (double)b->box.width * (double)b->box.height) / 2;
    double sum = 0;
    for (int k = 0; k < count; k++) {
        const double dx = (double)a->keypoints[k].x - (double)b->keypoints[k].x;
        const double dy = (double)a->keypoints[k].y - (double)b->keypoints[k].y;
        const double wide = 2 * (sigmas ? sigmas[k] : 0.07);
        sum += exp(-(dx * dx + dy * dy) / (2 * wide * wide * area));
    }
    return count ? (float)(sum / count) : 0;
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

void same_suppress(limber_people *people, const double *sigmas, float limit)
{
    limber_person *v = people->person;
    for (int i = 1; i < people->count; i++) { /* by insertion: equals keep their order, and there are few */
        const limber_person p = v[i];
        int at = i;
        for (; at > 0 && v[at - 1].score < p.score; at--)
            v[at] = v[at - 1];
        v[at] = p;
    }
    int kept = 0;
    for (int i = 0; i < people->count; i++) {
        bool known = false;
        for (int k = 0; k < kept && !known; k++)
            known = same_oks(&v[k], &v[i], people->keypoint_count, sigmas) > limit;
        if (!known)
            v[kept++] = v[i];
    }
    people->count = kept;
}
