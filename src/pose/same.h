/* pose/same.h - the same person found twice: object keypoint similarity between two answers, and the weaker one left out. */
#ifndef LIMBER_SAME_H
#define LIMBER_SAME_H

#include "limber.h"

#define SAME_OKS 0.9f /* answers this alike are one person: mmpose's nms_thr for COCO */

/* COCO's similarity of two poses of the same kind, as mmpose's oks_nms computes it: over all joints, whatever their scores, and the
 * mean of the two boxes' areas. sigmas [count], or NULL: 0.07 for every joint. */
float same_oks(const limber_person *a, const limber_person *b, int count, const double *sigmas);

/* Sorts people by score, best first (equals as they stood), and drops from the end those who are the same as a better one. */
void same_suppress(limber_people *people, const double *sigmas, float limit);

#endif
