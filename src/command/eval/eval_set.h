/* SPDX-License-Identifier: MIT */
/* command/eval/eval_set.h - measuring a model on annotated photographs, for `limber eval` and for the benchmarks that trade accuracy.
 *
 * Whose boxes: the annotations' own, unless eval_set_take_boxes reads a detector's file, or `finders` is set. Then people are scored,
 * ranked and doubled answers dropped as in mmpose's top-down test (pose/same.h), as `limber run --coco` writes them. */
#ifndef LIMBER_CLI_EVAL_SET_H
#define LIMBER_CLI_EVAL_SET_H

#include "command/boxes.h"
#include "command/finders.h"
#include "command/inputs.h"
#include "command/eval/coco_eval.h"
#include "pose/pipeline.h"

/* Annotations and the files of their images. */
struct eval_set {
    const struct skeleton *skeleton; /* what is compared */
    struct boxes boxes;
    struct inputs inputs; /* [i] is the file of boxes.list[i]; path NULL where there is none */
    limber_box **box;     /* [i]: boxes of the persons with labelled joints, or a detector's, [box_count[i]] */
    float **score;        /* [i]: of a detector's boxes, or NULL where nobody scored them */
    int *box_count;
    bool own_boxes;          /* of the truths: each pose answers one of them */
    struct finders *finders; /* borrowed: who finds the people, whatever `box` says; NULL: nobody does */
    bool full_resolution;    /* JPEGs are decoded whole; else as `limber run` does */
    struct boxes detections; /* of eval_set_take_boxes, and which of its lists is whose; NULL: nobody's */
    const struct boxes_list **taken;
    struct coco_truth *truths;  /* every person of every image, crowds too */
    struct coco_truth *counted; /* [counted_count]: the same as pycocotools counts them (only the last of doubled ids) */
    int counted_count;
    int *truth_of_box; /* persons with own boxes in order of images: their truth */
    int *first_box;    /* [i]: the first of image i in truth_of_box */
    int truth_count, box_total;
    int missing; /* images whose file is not there */
};
/* CLI_DONE, or CLI_NOTHING with the reason on stderr. Missing image files are said and counted. skeleton: what the model finds;
 * NULL, no known label set, is such a reason. */
int eval_set_open(struct eval_set *set, const struct skeleton *skeleton, const char *annotations, const char *category,
                  const char *images);
/* For boxes alone: people without labelled joints count too. images NULL: the photographs are not needed. */
int eval_set_open_boxes(struct eval_set *set, const char *annotations, const char *category, const char *images);
/* A detector's boxes for the truths' own: COCO's detections, joined by image_id (or, where fewer fit so, by the names of files as
 * `limber run` joins them), JSON Lines, or a poses.jsonl. Those scored at least `least`, `most` an image (0: all). */
int eval_set_take_boxes(struct eval_set *set, const char *file, double least, int most, bool quiet);
void eval_set_close(struct eval_set *set);

struct eval_result {
    struct coco_poses poses;
    int *truth; /* the poses answer truths[truth[i]]; NULL where the boxes are not the truths' own */
    int failed; /* images that could not be decoded */
    double seconds, seconds_forward;
};
/* Runs the model on every box. `model` and `session`: of a set of poses. CLI_DONE, CLI_NOTHING or CLI_INTERRUPTED. */
int eval_measure(struct eval_result *out, const struct eval_set *set, const limber_model *model, limber_session *session,
                 bool quiet);
void eval_result_free(struct eval_result *r);

/* Truths and poses of the images whose source is `source` (NULL: all). Their joints are borrowed. */
struct eval_slice {
    struct coco_truth *truths;
    struct coco_pose *poses;
    struct coco_truth *answered; /* [poses]: the truth of each pose; not set where result.truth is NULL */
    int truth_count, pose_count, images;
};
limber_status eval_slice_of(struct eval_slice *out, const struct eval_set *set, const struct eval_result *r, const char *source,
                            limber_error *err);
void eval_slice_free(struct eval_slice *c); /* after a failure too */

/* COCO's ten numbers of the whole skeleton over the images whose source is `source` (NULL: all). */
limber_status eval_numbers(double numbers[COCO_NUMBERS], const struct eval_set *set, const struct eval_result *r,
                           const char *source, limber_error *err);

#endif
