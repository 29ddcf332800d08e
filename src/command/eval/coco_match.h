/* SPDX-License-Identifier: MIT */
/* command/eval/coco_match.h - answers matched with truths, and the curves of precision and recall, by the rules of pycocotools' COCOeval
 * (cocodataset/cocoapi, PythonAPI/pycocotools/cocoeval.py: evaluateImg, accumulate). What likeness is, the caller says: OKS of poses
 * (command/eval/coco_eval.c), overlap of boxes (command/eval/coco_boxes.c). */
#ifndef LIMBER_COCO_MATCH_H
#define LIMBER_COCO_MATCH_H

#include <stdbool.h>

#include "limber.h"

enum { COCO_THRESHOLDS = 10 }; /* of likeness: .50 : .05 : .95 */
enum { COCO_AREA_ALL, COCO_AREA_SMALL, COCO_AREA_MEDIUM, COCO_AREA_LARGE, COCO_AREAS };

/* Somebody who is there. */
struct match_truth {
    int image;
    bool ignored; /* neither found nor missed; what matches it counts neither way */
    bool crowd;   /* any number of answers may match it */
    bool zero_id; /* its annotation's id is 0: pycocotools takes what matches it for unmatched */
    double area;  /* pixels^2 */
};

/* Somebody who is said to be there. */
struct match_answer {
    int image;
    double score, area;
};

/* An answer, once its image is evaluated. */
struct match {
    double score;
    int answer; /* its place among the caller's */
    int rank;   /* among those of its image by score, from 0 */
    int order;  /* of the images one after another: breaks ties of score */
    bool matched[COCO_AREAS][COCO_THRESHOLDS], ignored[COCO_AREAS][COCO_THRESHOLDS];
};

struct matches {
    struct match *v; /* [count], best score first; of an image at most `most` */
    int count;
    int positives[COCO_AREAS]; /* truths that are to be found */
    double *scratch;           /* [2 count] */
};

typedef double (*likeness_fn)(const void *context, int truth, int answer);

/* Images count 0..image_count-1; truths and answers may come in any order, but ties of score are broken by that order, as pycocotools
 * does. most: answers of an image, the surest. Only LIMBER_E_MEMORY can happen. */
limber_status matches_open(struct matches *out, const struct match_truth *truths, int truth_count,
                           const struct match_answer *answers, int answer_count, int image_count, int most, likeness_fn likeness,
                           const void *context, limber_error *err);
void matches_close(struct matches *m); /* fine on a zeroed one */

/* Of the answers with a rank below `most`: precision, the mean over COCO's 101 points of recall; and the recall of all. -1 where
 * nobody is to be found. */
void matches_measure(const struct matches *m, int area, int threshold, int most, double *precision, double *recall);

/* How many truths the answers of a rank below `most` and a score of at least `least` find. */
int matches_found(const struct matches *m, int area, int threshold, int most, double least);

/* The mean of those that are measured (not -1), or -1. */
double match_mean(const double *v, int count);

#endif
