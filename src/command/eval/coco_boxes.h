/* SPDX-License-Identifier: MIT */
/* command/eval/coco_boxes.h - how good the boxes of a detector are: COCO's average precision and recall, by the rules of pycocotools'
 * COCOeval with iouType "bbox", and who is found with so many boxes a photograph. */
#ifndef LIMBER_COCO_BOXES_H
#define LIMBER_COCO_BOXES_H

#include "command/eval/coco_match.h"

/* A person as annotated. */
struct coco_box_truth {
    int image;
    bool crowd;    /* what lies in it counts neither way */
    bool zero_id;  /* see match_truth */
    double area;   /* segmentation area, pixels^2: small, medium or large by it */
    double box[4]; /* x, y, width, height */
};

struct coco_box {
    int image;
    double score;
    double box[4];
};

/* COCO's twelve numbers in pycocotools' order, each in [0, 1], or -1 where there is nothing to measure. AR1: one box an image. */
enum {
    COCO_BOX_AP,
    COCO_BOX_AP50,
    COCO_BOX_AP75,
    COCO_BOX_AP_S,
    COCO_BOX_AP_M,
    COCO_BOX_AP_L,
    COCO_BOX_AR1,
    COCO_BOX_AR10,
    COCO_BOX_AR100,
    COCO_BOX_AR_S,
    COCO_BOX_AR_M,
    COCO_BOX_AR_L,
    COCO_BOX_NUMBERS
};
extern const char *const coco_box_number_names[COCO_BOX_NUMBERS]; /* "AP", "AP50", ... */

/* The share of people found at an overlap of .5 with `boxes` boxes a photograph; of all, small, medium and large people (COCO_AREA_...);
 * -1 where there are none. A box finds one person. */
struct coco_recall {
    int boxes;
    double each[COCO_AREAS]; /* the surest so many of each photograph: pycocotools' recall at .5 with maxDets = boxes */
    double mean[COCO_AREAS]; /* so many on average: every box with a score of at least `least`, as a detector is used */
    double least;
};
#define COCO_MOST_BOXES 20

struct coco_boxes_numbers {
    double numbers[COCO_BOX_NUMBERS];
    int people[COCO_AREAS];
    int boxes;                                  /* at most 100 of an image */
    struct coco_recall recall[COCO_MOST_BOXES]; /* with 1, 2, ... boxes */
};

/* Images count 0..image_count-1, of which `photographs` are looked at (for the mean); ties of score are broken by the order of boxes,
 * as pycocotools does. Only LIMBER_E_MEMORY can happen. */
limber_status coco_boxes_evaluate(struct coco_boxes_numbers *out, const struct coco_box_truth *truths, int truth_count,
                                  const struct coco_box *boxes, int box_count, int image_count, int photographs,
                                  limber_error *err);

/* Intersection over union; over the box's own area where the truth is a crowd. */
double coco_overlap(const struct coco_box_truth *truth, const double box[4]);

#endif
