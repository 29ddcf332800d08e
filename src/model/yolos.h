/* SPDX-License-Identifier: MIT */
/* model/yolos.h - a YOLOS checkpoint (Fang et al., NeurIPS 2021) as Hugging Face lays it out: the same blocks as a pose model's, a class
 * token before the patches, detection tokens behind them, and two small heads on these. */
#ifndef LIMBER_YOLOS_H
#define LIMBER_YOLOS_H

#include "model/model.h"

#define YOLOS_LAYERS 3 /* of either head: ReLU between them */

struct yolos_model {
    struct limber_model vit; /* blocks, positions, final layernorm; no head, no keypoints */
    struct weight *classes_head[YOLOS_LAYERS], *boxes_head[YOLOS_LAYERS];
    int classes;                     /* logits of a detection token; the last is "nothing" */
    int person;                      /* which of them is a person */
    int shortest_edge, longest_edge; /* a picture's sides once resized: preprocessor_config.json */
};

/* Opens `dir` (config.json, preprocessor_config.json, model.safetensors or its shards) for the backend of the options, whose backend and
 * precision are read. person_label: what a person is called in id2label, in any case; NULL: "person". A model of another kind, and one
 * that knows no persons, is named as such. */
limber_status yolos_open(struct yolos_model **out, const char *dir, const limber_options *options, const char *person_label,
                         limber_error *err);
void yolos_close(struct yolos_model **model); /* NULL and *NULL are fine */

/* Height and width of the network's input for a picture, multiples of the patch: transformers' get_size_with_aspect_ratio_yolos
 * (models/yolos/image_processing_pil_yolos.py, 5.23), but never less than one patch. */
void yolos_input_size(const struct yolos_model *m, int picture_h, int picture_w, int *height, int *width);
/* No input has more patches. */
int yolos_max_patches(const struct yolos_model *m);

#endif
