/* SPDX-License-Identifier: MIT */
/* compute/token_groups.h - which tokens the approximate attentions treat as one, the same for every backend.
 *
 *   window:W  a token attends to the W x W window it lies in; odd layers shift the windows by W / 2, so that neighbours meet
 *             (Liu et al., "Swin Transformer", ICCV 2021; a shifted window at the border is smaller, as Swin's mask makes it)
 *   pool:P    keys and values are averaged over P x P patches (Wang et al., "Pyramid Vision Transformer", ICCV 2021; Fan et
 *             al., "Multiscale Vision Transformers", ICCV 2021); queries stay
 *   merge:R   the R most similar pairs of tokens become one before the attention and are told apart again after it, in every
 *             layer: bipartite soft matching (Bolya et al., "Token Merging", ICLR 2023) around the operation, as in Bolya and
 *             Hoffman, "Token Merging for Fast Stable Diffusion", CVPRW 2023
 *
 * A group of n tokens counts n-fold in the softmax (ln n is added to its score: "proportional attention" of the second). */
#ifndef LIMBER_TOKEN_GROUPS_H
#define LIMBER_TOKEN_GROUPS_H

#include <stdbool.h>

#include "compute/backend.h"

/* The window of token t: tokens attend to each other where it is equal. Windows count row by row from 0. */
int token_window(const struct attention_args *a, int t);
int token_window_count(const struct attention_args *a);

/* Pooling: group[t] in 0..count-1 in row order of the cells. Returns count. */
int token_groups_pool(int *group, const struct attention_args *a);

/* Merging, for one person. keys: [tokens], row t at keys + t * stride, heads * head_dim numbers: the metric is their mean over
 * the heads, compared by cosine. Even tokens look for their nearest odd token; the `size` best pairs (at most tokens / 2) are
 * merged, ties to the lower index. group[t] in 0..count-1, numbered by the first token of each. scratch: token_groups_scratch
 * bytes. Returns count. */
int token_groups_merge(int *group, const struct attention_args *a, const float *keys, size_t stride, void *scratch);
size_t token_groups_scratch(const struct attention_args *a);

#endif
