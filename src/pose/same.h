/* SPDX-License-Identifier: MIT */
/* pose/same.h - which answers of a detector stand: somebody must speak for them, and nobody is counted twice (object keypoint
 * similarity). */
#ifndef LIMBER_SAME_H
#define LIMBER_SAME_H

#include "limber.h"
#include "model/config.h"

#define SAME_OKS 0.9f   /* answers this alike are one person: mmpose's nms_thr for COCO */
#define SAME_JOINT 0.2f /* mmpose's vis_thr and keypoint_score_thr */

/* COCO's similarity of two poses of one model, as mmpose's oks_nms computes it: over all joints, whatever their scores, and the mean
 * of the areas of the two crops (the boxes, widened to the aspect of the network's input and padded). Joints of a kind that has no
 * sigmas: 0.07. */
double same_oks(const limber_person *a, const limber_person *b, const struct config *c);

/* How mmpose ranks people for COCO's measures (score_mode bbox_keypoint): box_score times the mean of those joints' scores that are
 * above SAME_JOINT; 0 where none is. What a person's own score counts, all joints, would put whoever is half hidden behind. */
double same_rank(const limber_person *p, int count);

/* How much speaks for somebody being there: the box's score times the fourth power of the mean over the surer half of the joints, since
 * what is hidden says nothing, and a pose model asked about a wall answers with low maps. */
float same_evidence(const limber_person *p, int count);
/* With the built-in models, 100 photographs without people had an answer above it in 5, and 273 labelled people in 49 % (OKS >= .5);
 * a bound on the box's score alone that lets as many through finds 26 %. */
#define SAME_EVIDENCE 0.0525f

/* Drops those who are the same as one of a higher same_rank, and leaves the others by score, best first (equals as they stood). */
void same_suppress(limber_people *people, const struct config *c, float limit);

#endif
