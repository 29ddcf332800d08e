/* SPDX-License-Identifier: MIT */
/* pose/limbs.h - how long the bones of arms and legs are, and which way they point. */
#ifndef LIMBER_LIMBS_H
#define LIMBER_LIMBS_H

#include "limber.h"
#include "model/skeleton.h"

/* Fills person->limbs, [SKELETON_LIMBS], from person->keypoints, which begin with COCO's 17. */
void limbs_measure(limber_person *person);

#endif
