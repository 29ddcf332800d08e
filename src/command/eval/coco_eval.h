/* SPDX-License-Identifier: MIT */
/* command/eval/coco_eval.h - how good predicted poses are: COCO's object keypoint similarity (OKS), average precision and recall, by the rules
 * of pycocotools' COCOeval with iouType "keypoints" (cocodataset/cocoapi, PythonAPI/pycocotools/cocoeval.py), and PCK. */
#ifndef LIMBER_COCO_EVAL_H
#define LIMBER_COCO_EVAL_H

#include <stdbool.h>

#include "limber.h"
#include "model/labels.h"

/* A person as annotated. visibility: 0 not labelled, 1 labelled but hidden, 2 visible. */
struct coco_truth {
    int image; /* index of the image, 0.. */
    bool crowd;
    bool zero_id;      /* its annotation's id is 0: pycocotools takes what matches it for unmatched */
    int num_keypoints; /* as the file states it: 0 makes the person ignored */
    double area;       /* segmentation area, pixels^2 */
    double box[4];     /* x, y, width, height */
    double keypoints[COCO_KEYPOINTS][2];
    int visibility[COCO_KEYPOINTS];
};

/* A predicted person. */
struct coco_pose {
    int image;
    double score;
    double keypoints[COCO_KEYPOINTS][2];
};

/* COCO's ten numbers in pycocotools' order, each in [0, 1], or -1 where there is nothing to measure. */
enum { COCO_AP, COCO_AP50, COCO_AP75, COCO_AP_M, COCO_AP_L, COCO_AR, COCO_AR50, COCO_AR75, COCO_AR_M, COCO_AR_L, COCO_NUMBERS };
extern const char *const coco_number_names[COCO_NUMBERS]; /* "AP", "AP50", ... */

/* Images count 0..image_count-1; truths and poses may come in any order, but ties of score are broken by that order, as
 * pycocotools does. Only LIMBER_E_MEMORY can happen. */
limber_status coco_evaluate(double numbers[COCO_NUMBERS], const struct coco_truth *truths, int truth_count,
                            const struct coco_pose *poses, int pose_count, int image_count, limber_error *err);

/* Object keypoint similarity of one prediction with one person, in [0, 1]. */
double coco_oks(const struct coco_truth *truth, const double keypoints[COCO_KEYPOINTS][2]);

/* Percentage of correct keypoints: within `share` of the torso (distance of the shoulders' midpoint from the hips' midpoint)
 * of the labelled joint, over persons whose four torso joints are labelled; truths[i] is answered by poses[i].
 * correct and labelled: [COCO_KEYPOINTS] counts, added to. */
void coco_pck(const struct coco_truth *truths, const struct coco_pose *poses, int count, double share, int *correct,
              int *labelled);

#endif
