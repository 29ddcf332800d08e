/* pose/limbs.h - the bones a COCO-labelled pose has, and which joints they join. */
#ifndef LIMBER_LIMBS_H
#define LIMBER_LIMBS_H

#include "limber.h"

enum { LIMBS = 8 };

/* limb_joints[i] = {from, to} of limb i (order of limber_limb_name). */
extern const int limb_joints[LIMBS][2];
/* Fills person->limbs, [LIMBS], from person->keypoints (17 of COCO). */
void limbs_measure(limber_person *person);

#endif
