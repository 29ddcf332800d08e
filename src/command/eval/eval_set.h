/* SPDX-License-Identifier: MIT */
/* command/eval/eval_set.h - measuring a model on annotated photographs, for `limber eval` and for the benchmarks that trade accuracy. */
#ifndef LIMBER_CLI_EVAL_SET_H
#define LIMBER_CLI_EVAL_SET_H

#include "command/boxes.h"
#include "command/inputs.h"
#include "command/eval/coco_eval.h"
#include "pose/pipeline.h"

/* Annotations and the files of their images. */
struct eval_set {
    const struct skeleton *skeleton; /* what is compared */
    struct boxes boxes;
    struct inputs inputs; /* [i] is the file of boxes.list[i]; path NULL where there is none */
    limber_box **box;     /* [i]: boxes of the persons with labelled joints, [box_count[i]] */
    int *box_count;
    struct coco_truth *truths;  /* every person of every image, crowds too */
    struct coco_truth *counted; /* [counted_count]: the same as pycocotools counts them (only the last of doubled ids) */
    int counted_count;
    int *truth_of_box; /* persons with boxes in order of images: their truth */
    int *first_box;    /* [i]: the first of image i in truth_of_box */
    int truth_count, box_total;
    int missing; /* images whose file is not there */
};
/* CLI_DONE, or CLI_NOTHING with the reason on stderr. Missing image files are said and counted. skeleton: what the model finds;
 * NULL, no known label set, is such a reason. */
int eval_set_open(struct eval_set *set, const struct skeleton *skeleton, const char *annotations, const char *category,
                  const char *images);
void eval_set_close(struct eval_set *set);

struct eval_result {
    struct coco_poses poses; /* answering truths[truth[i]] */
    int *truth;
    int failed; /* images that could not be decoded */
    double seconds, seconds_forward;
};
/* Runs the model on every box. CLI_DONE, CLI_NOTHING or CLI_INTERRUPTED. */
int eval_measure(struct eval_result *out, const struct eval_set *set, const limber_model *model, limber_session *session,
                 bool quiet);
void eval_result_free(struct eval_result *r);

/* Truths and poses of the images whose source is `source` (NULL: all). Their joints are borrowed. */
struct eval_slice {
    struct coco_truth *truths;
    struct coco_pose *poses;
    struct coco_truth *answered; /* [poses]: the truth of each pose */
    int truth_count, pose_count, images;
};
limber_status eval_slice_of(struct eval_slice *out, const struct eval_set *set, const struct eval_result *r, const char *source,
                            limber_error *err);
void eval_slice_free(struct eval_slice *c); /* after a failure too */

/* COCO's ten numbers of the whole skeleton over the images whose source is `source` (NULL: all). */
limber_status eval_numbers(double numbers[COCO_NUMBERS], const struct eval_set *set, const struct eval_result *r,
                           const char *source, limber_error *err);

#endif
