/* SPDX-License-Identifier: MIT */
/* heads/patch.h - include/limber_patch.h's calls with a crop's region known: for callers inside the library. */
#ifndef LIMBER_PATCH_INTERNAL_H
#define LIMBER_PATCH_INTERNAL_H

#include "limber_patch.h"
#include "pose/pipeline.h"

/* limber_patch_capture_crop, with joints in the image that `region` is a part of. */
limber_status patch_capture(limber_patch *patch, int slot, const uint8_t *crop, struct crop_region region, limber_error *err);
/* What LIMBER_PATCH_CONST stands for: [layers][hidden], the same at every token. Somebody must have been counted. */
void patch_constant(limber_patch *patch, float *out);

#endif
