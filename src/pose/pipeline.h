/* SPDX-License-Identifier: MIT */
/* pose/pipeline.h - the steps between an image and its people, for callers inside the library that schedule them themselves
 * (pose/conveyor.h; `heads` reuses single steps).
 * limber_run and limber_run_images are job_prepare, jobs_forward and job_finish in a row. */
#ifndef LIMBER_PIPELINE_H
#define LIMBER_PIPELINE_H

#include "pose/crop.h"
#include "pose/finder.h"

struct limber_session {
    const struct limber_model *model; /* NULL: limber_find is all it does; vit, crops and joints are empty */
    struct vit vit;
    int batch, threads, refine; /* as decided: no 0 for "choose" */
    uint8_t *crops;             /* [batch][image_h][image_w][3]: staging of one forward pass */
    limber_keypoint *joints;    /* [batch][keypoints] */
    struct finder finder;       /* finder.detector NULL: there is none */
    float min_box_score;
    int max_people, track;
    double seconds_crop, seconds_forward; /* since open, for run.json and bench pipeline */
};

/* LIMBER_E_ARGUMENT, said in the name of the function `who`: the session was opened without a model. */
limber_status session_has_model(const limber_session *session, const char *who, limber_error *err);

/* An image with fewer pixels than its coordinates say: each pixel stands for reduce x reduce of the picture's (image/image.h). */
struct reduced_image {
    limber_image view;
    int width, height; /* of the picture, which boxes and joints belong to */
    int reduce;
};

/* One image on its way. */
struct job {
    struct reduced_image image; /* pixels borrowed; must live until job_finish */
    int count;
    struct subject {
        limber_box box;
        struct crop_region region;
        uint8_t *crop;           /* [image_h][image_w][3]; NULL in a crowd's tail, which is sampled when its turn comes */
        limber_keypoint *joints; /* [keypoints]; pixels of the image after jobs_forward */
    } * subjects;                /* subjects[0].crop and .joints own one block each for all */
    bool refine;                 /* the box was the whole image */
};

/* A box further out than this is no box, and float arithmetic on it means nothing. */
#define JOB_MAX_COORDINATE 1e8f

/* What job_prepare checks before it begins: the image's pixels and every box; NULL is the whole image. */
limber_status job_check(const limber_image *image, const limber_box *boxes, int count, limber_error *err);
/* Checks boxes and samples the crops. Needs only the model: may run in any thread, beside forward passes. */
limber_status job_prepare(struct job *out, const struct limber_model *model, const limber_image *image, const limber_box *boxes,
                          int count, limber_error *err);
limber_status job_prepare_reduced(struct job *out, const struct limber_model *model, const struct reduced_image *image,
                                  const limber_box *boxes, int count, limber_error *err);
/* How much smaller (1, 2, 4 or 8 times) a picture may be decoded so that every box still has a pixel for each of its crop's; and
 * without boxes (then the model may be NULL), where people may be small, so that the longer side keeps JOB_REDUCED_SIDE pixels. */
#define JOB_REDUCED_SIDE 2000
int job_reduction(const struct limber_model *model, int width, int height, const limber_box *boxes, int count);
/* Forward passes over the people of all jobs, `batch` at a time; refinement passes where a job asks for them. */
limber_status jobs_forward(limber_session *session, struct job *jobs[], int count, limber_error *err);
/* Joints to people with scores and limbs; frees what the job holds, whatever the outcome. LIMBER_E_MODEL: a number is not finite. */
limber_status job_finish(struct job *job, const struct limber_model *model, limber_people *people, limber_error *err);
void job_free(struct job *job);
/* After job_finish, of people whose boxes a detector scored: scores [people->count] in the order of their boxes. Each score becomes
 * box score x mean joint score; best first; of two answers for one person (pose/same.h) the better stays. detector: who found them
 * just now; NULL where it was another one's file. Returns how many were left out because too little spoke for them
 * (detector_evidence). */
int people_score_found(limber_people *people, const float *scores, const struct limber_model *model,
                       const struct limber_detector *detector);
/* The same where less must speak for somebody: `least` is the evidence asked for. */
int people_score_from(limber_people *people, const float *scores, const struct limber_model *model, float least);

#endif
