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
