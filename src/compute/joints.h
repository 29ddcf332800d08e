/* SPDX-License-Identifier: MIT */
/* compute/joints.h - heatmaps to joints: arg-max, then the sub-pixel step of DARK (Zhang et al., CVPR 2020) as transformers'
 * VitPoseImageProcessor.post_process_pose_estimation takes it (blur sigma 0.8, radius 5, logarithm, one Newton step). */
#ifndef LIMBER_JOINTS_H
#define LIMBER_JOINTS_H

#include "limber.h"

/* One map [map_h][map_w] -> x, y in heatmap pixels and the raw maximum. A map whose maximum is not positive has its joint at
 * (-1, -1); one that holds a NaN has a NaN for its score. */
limber_keypoint joint_decode(const float *map, int map_h, int map_w);
/* out = (map + mirror image of other) / 2, both [map_h][map_w]. */
void joint_average_mirrored(float *out, const float *map, const float *other, int map_h, int map_w);

#endif
