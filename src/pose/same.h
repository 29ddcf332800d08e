/* SPDX-License-Identifier: MIT */
/* pose/same.h - which answers of a detector stand: somebody must speak for them, and nobody is counted twice (object keypoint
 * similarity). */
#ifndef LIMBER_SAME_H
#define LIMBER_SAME_H

#include "limber.h"

#define SAME_OKS 0.9f /* answers this alike are one person: mmpose's nms_thr for COCO */

/* COCO's similarity of two poses of the same kind, as mmpose's oks_nms computes it: over all joints, whatever their scores, and the
 * mean of the two boxes' areas. sigmas [count], or NULL: 0.07 for every joint. */
float same_oks(const limber_person *a, const limber_person *b, int count, const double *sigmas);

/* How much speaks for somebody being there: the box's score times the fourth power of the mean over the surer half of the joints, since
 * what is hidden says nothing, and a pose model asked about a wall answers with low maps. */
float same_evidence(const limber_person *p, int count);
/* With the built-in models, 100 photographs without people had an answer above it in 5, and 273 labelled people in 34 % (OKS >= .5);
 * a bound on the box's score alone that lets as many through finds 14 %. */
#define SAME_EVIDENCE 0.046f

/* Sorts people by score, best first (equals as they stood), and drops from the end those who are the same as a better one. */
void same_suppress(limber_people *people, const double *sigmas, float limit);

#endif
