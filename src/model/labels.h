/* model/labels.h - what joints are called: COCO's names, other spellings of them, and which joint mirrors which. */
#ifndef LIMBER_LABELS_H
#define LIMBER_LABELS_H

#include <stdbool.h>

#include "limber.h"

#define COCO_KEYPOINTS 17
#define LABEL_BYTES_MAX 256

/* COCO's 17 names in order: "nose", "left_eye", ... "right_ankle". */
extern const char *const coco_keypoint_names[COCO_KEYPOINTS];

/* labels: [count], none longer than LABEL_BYTES_MAX. COCO's 17 in COCO's order, however they are written: *coco becomes true and
 * they get COCO's names (each label is freed and allocated anew). Else nothing changes. */
limber_status labels_rename_coco(char **labels, int count, bool *coco, limber_error *err);

/* mirror[k] becomes the joint of the same name on the other side, k itself where there is none or more than one. */
limber_status labels_pair_sides(int *mirror, char *const *labels, int count, limber_error *err);

#endif
