/* SPDX-License-Identifier: MIT */
/* heads/experiment.h - people are corrupted, patched head by head, and measured: what `limber patch` does to a picture. */
#ifndef LIMBER_EXPERIMENT_H
#define LIMBER_EXPERIMENT_H

#include "heads/effects.h"
#include "heads/focus.h"
#include "heads/patch.h"

struct experiment;
struct experiment_options {
    unsigned by; /* bits of enum effect_by; MOVED needs NOISE */
    int bootstrap;
    uint64_t seed;
    int people;           /* at most so many a limb and kind of change, the first that come; 0: all */
    const uint8_t *heads; /* [layers * heads], borrowed: which to patch; NULL: all */
    const uint8_t *sets;  /* [set_count][layers * heads], borrowed: heads that are patched together, too */
    int set_count;
    const uint8_t *path;  /* [layers * heads], borrowed: what is patched sees these heads' direct change alone; NULL: no path */
    const double *sigmas; /* [17], COCO's, borrowed */
};
struct experiment_person {
    limber_box box;
    double joints[COCO_KEYPOINTS][3]; /* x, y in pixels of the image, v: 0 is not labelled */
    double area;                      /* 0: not known */
};

/* The session must outlive it; the model must have COCO's joints. */
limber_status experiment_open(struct experiment **out, limber_session *session, const struct experiment_options *options,
                              limber_error *err);
void experiment_close(struct experiment **e);

/* Counts people in the means of MEAN and CONST: all of that before the first experiment_add. */
limber_status experiment_calibrate(struct experiment *e, const limber_image *image, const struct experiment_person *people,
                                   int count, limber_error *err);
/* One image; `number` is what its lots are drawn by. On failure nothing of it counts. */
limber_status experiment_add(struct experiment *e, const limber_image *image, const struct experiment_person *people, int count,
                             uint64_t number, limber_error *err);
/* What the last experiment_add added, as numbers, to be kept; valid until the next one. */
const double *experiment_record(const struct experiment *e, size_t *count);
/* Adds them instead of computing. The image and its people are those of then, so that swaps find the same donors; image NULL: there are none
 * to find. LIMBER_E_FORMAT: not such a record; then nothing of it counts. */
limber_status experiment_replay(struct experiment *e, const limber_image *image, const struct experiment_person *people,
                                int count, uint64_t number, const double *record, size_t size, limber_error *err);
bool experiment_full(const struct experiment *e); /* nobody is wanted any more */
limber_status experiment_summarise(const struct experiment *e, struct effects_result *out, limber_error *err);

/* Of the people that MEAN was asked of; of nobody where a path was. */
const struct focus *experiment_focus(const struct experiment *e);

/* The person of a limb drawn by lot among those counted; image is -1 where there is none. */
struct experiment_lot {
    int64_t image;
    int person;
    uint64_t lot;
};
struct experiment_lot experiment_lot(const struct experiment *e, int limb);

/* One person for the page: clear, with the limb blurred, and blurred with one head's output of the clear run. */
struct experiment_view {
    uint8_t *crop[2];  /* clear, blurred: [image_h][image_w][3] */
    float *heat[3];    /* [map_h][map_w]: the sum over the limb's joints of the maps' positive part, of the three runs */
    double measure[3]; /* heat at the joints */
    double joints[COCO_KEYPOINTS][2]; /* pixels of the crop */
    bool there[COCO_KEYPOINTS];       /* and of the limb */
};
limber_status experiment_view_make(struct experiment_view *out, struct experiment *e, const limber_image *image,
                                   const struct experiment_person *person, int limb, int head, limber_error *err);
void experiment_view_free(struct experiment_view *v);

#endif
