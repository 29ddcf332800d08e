/* SPDX-License-Identifier: MIT */
/* pose/box_maps.h - limber's own detector: five maps of a ViTPose network say who is in a photograph.
 *
 *   center                     logits; a person is a peak of it, and 1 / (1 + exp(-peak)) is how sure the network is
 *   left, top, right, bottom   at that peak: log of how far the box reaches from there, in patches
 *
 * (Centres: Zhou et al. 2019, "Objects as Points"; distances to the four sides: Tian et al. 2019, "FCOS".) tools/train/boxes.py
 * trains such a network and reads its maps in the same way. A photograph is stretched to a grid of whole patches whose aspect is
 * nearest to its own: nothing is padded, and ordinary aspects are changed by less than 5 %. */
#ifndef LIMBER_BOX_MAPS_H
#define LIMBER_BOX_MAPS_H

#include "limber.h"

enum { BOX_MAPS = 5 };

/* Rows and columns of patches for a photograph: its aspect, about `tokens` in all, 4 to 64 a side. */
void box_maps_grid(int width, int height, int tokens, int *rows, int *cols);

/* maps: fp32 [5][map_h][map_w], of a `rows` x `cols` grid of square patches of `patch` pixels; width, height: the photograph's.
 * Peaks scored below `least` are nobody. Of two boxes whose overlap (intersection over union) is above `overlap` the surer one stays.
 * Best first, at most `room`, into `out`; *count says how many. A NaN in the maps is an error: nobody is lost in silence. */
limber_status box_maps_read(const float *maps, int map_h, int map_w, int rows, int cols, int patch, int width, int height,
                            float least, float overlap, limber_found *out, int room, int *count, limber_error *err);

#endif
