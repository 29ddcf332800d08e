/* SPDX-License-Identifier: MIT */
/* model/labels.h - what joints are called: other spellings of the names of model/skeleton.h, and which joint mirrors which. */
#ifndef LIMBER_LABELS_H
#define LIMBER_LABELS_H

#include <stdbool.h>

#include "limber.h"
#include "model/skeleton.h"

#define LABEL_BYTES_MAX 256

/* labels: [count], none longer than LABEL_BYTES_MAX. Those of a row of model/skeleton.h in its order, however they are written: *skeleton
 * becomes the row, and they get its names (each label is freed and allocated anew). Else *skeleton is NULL and nothing changes. */
limber_status labels_recognise(char **labels, int count, const struct skeleton **skeleton, limber_error *err);

/* mirror[k] becomes the joint of the same name on the other side, k itself where there is none or more than one. */
limber_status labels_pair_sides(int *mirror, char *const *labels, int count, limber_error *err);

#endif
