/* SPDX-License-Identifier: MIT */
/* command/run/coco_results.h - poses.jsonl -> coco_results.json:
 * [{"image_id", "category_id": 1, "keypoints": [x, y, score, ...], "score"}, ...]. COCO-WholeBody's joints behind COCO's 17 are in fields
 * of their own, as its tool reads them: "foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts".
 * boxes.jsonl -> the same with "bbox": [x, y, width, height] instead of joints.
 *
 * Made from the lines rather than beside them, so that it is the same after any number of interruptions. */
#ifndef LIMBER_CLI_COCO_H
#define LIMBER_CLI_COCO_H

#include <stdbool.h>

#include "model/skeleton.h"

/* The id of an image by its path, in *text where it is no number; false where it has none. */
typedef bool (*coco_id_fn)(const void *context, const char *path, long long *id, const char **text);

/* skeleton: the label set of the lines, or NULL. CLI_DONE; CLI_SOME_FAILED where an image with people has no id (they are left out, and
 * said); CLI_NOTHING. */
int coco_write(const char *dir, const char *lines_name, const char *coco_name, const struct skeleton *skeleton,
               coco_id_fn image_id, const void *context);

#endif
