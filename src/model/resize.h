/* SPDX-License-Identifier: MIT */
/* model/resize.h - a grid of vectors at another size, as position embeddings are moved to other resolutions. */
#ifndef LIMBER_RESIZE_H
#define LIMBER_RESIZE_H

/* Bicubic (Keys, IEEE TASSP 1981, a = -0.75), source position (i + 0.5) * from / to - 0.5, neighbours clamped at the edge, no
 * antialiasing: torch.nn.functional.interpolate(mode="bicubic", align_corners=False).
 * src [from_h * from_w][channels] -> dst [to_h * to_w][channels]. The same size copies exactly. */
void resize_bicubic(float *dst, int to_h, int to_w, const float *src, int from_h, int from_w, int channels);

#endif
