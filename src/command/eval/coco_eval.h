/* SPDX-License-Identifier: MIT */
/* command/eval/coco_eval.h - how good predicted poses are: COCO's object keypoint similarity (OKS), average precision and recall, and PCK.
 * COCO's 17 joints by the rules of pycocotools' COCOeval with iouType "keypoints" (cocodataset/cocoapi, PythonAPI/pycocotools/cocoeval.py);
 * other label sets by those of xtcocotools' (jin-s13/xtcocoapi 1.14, xtcocotools/cocoeval.py), which COCO-WholeBody and mmpose are measured
 * with: the whole body and each of its parts. */
#ifndef LIMBER_COCO_EVAL_H
#define LIMBER_COCO_EVAL_H

#include <stdbool.h>

#include "limber.h"
#include "model/skeleton.h"

/* A person as annotated. v: 0 not labelled, 1 labelled but hidden, 2 visible. */
struct coco_truth {
    int image; /* index of the image, 0.. */
    long long category;
    bool crowd;
    bool zero_id;            /* its annotation's id is 0: pycocotools takes what matches it for unmatched */
    int num_keypoints;       /* as the file states it: 0 makes the person ignored by pycocotools */
    double area;             /* segmentation area, pixels^2 */
    double box[4];           /* x, y, width, height */
    const double *keypoints; /* [keypoints][3]: x, y, v; borrowed */
};

/* A predicted person. */
struct coco_pose {
    int image;
    long long category;
    double score;
    const double *keypoints; /* [keypoints][3]: x, y, score; borrowed */
};

/* Poses, and room for their joints. */
struct coco_poses {
    struct coco_pose *v;
    int count, keypoints;
    double *joints; /* [room][keypoints][3] */
    size_t room;
};
bool coco_poses_open(struct coco_poses *p, size_t room, int keypoints); /* false: no memory */
bool coco_poses_reserve(struct coco_poses *p, size_t more);             /* room for so many more; false: no memory */
/* Returns the pose that was added, of category 0. */
struct coco_pose *coco_poses_add(struct coco_poses *p, int image, double score, const limber_keypoint *joints);
void coco_poses_close(struct coco_poses *p); /* after a failure too; all zero afterwards */

/* What is compared, and by whose rules. */
struct coco_scope {
    const struct skeleton *skeleton;
    int first, count; /* of its joints */
};
/* part: an index into the skeleton's parts, or COCO_WHOLE. */
#define COCO_WHOLE (-1)
struct coco_scope coco_scope_of(const struct skeleton *s, int part);

/* COCO's ten numbers in pycocotools' order, each in [0, 1], or -1 where there is nothing to measure. */
enum { COCO_AP, COCO_AP50, COCO_AP75, COCO_AP_M, COCO_AP_L, COCO_AR, COCO_AR50, COCO_AR75, COCO_AR_M, COCO_AR_L, COCO_NUMBERS };
extern const char *const coco_number_names[COCO_NUMBERS]; /* "AP", "AP50", ... */

/* Images count 0..image_count-1; truths and poses may come in any order, but ties of score are broken by that order, as
 * pycocotools does. Each category is measured by itself, and the mean is over those that have somebody. Only LIMBER_E_MEMORY can
 * happen. */
limber_status coco_evaluate(double numbers[COCO_NUMBERS], const struct coco_scope *scope, const struct coco_truth *truths,
                            int truth_count, const struct coco_pose *poses, int pose_count, int image_count, limber_error *err);

/* The same, and who is found: of the people that count (labelled, no crowd), whom a pose answers with a similarity of at least .5, a
 * pose one person. found / people is AR50, but for the mean over categories. */
struct coco_counts {
    int people, found;
};
limber_status coco_evaluate_and_count(double numbers[COCO_NUMBERS], struct coco_counts *counts, const struct coco_scope *scope,
                                      const struct coco_truth *truths, int truth_count, const struct coco_pose *poses,
                                      int pose_count, int image_count, limber_error *err);

/* Object keypoint similarity of one prediction with one person, in [0, 1], over the labelled joints of the scope. */
double coco_oks(const struct coco_scope *scope, const struct coco_truth *truth, const struct coco_pose *pose);

/* Percentage of correct keypoints: within `share` of the torso (distance of the shoulders' midpoint from the hips' midpoint)
 * of the labelled joint, over persons whose four torso joints are labelled; truths[i] is answered by poses[i].
 * correct and labelled: [keypoints] counts, added to. */
void coco_pck(const struct skeleton *s, const struct coco_truth *truths, const struct coco_pose *poses, int count, double share,
              int *correct, int *labelled);

#endif
