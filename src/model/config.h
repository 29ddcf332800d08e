/* SPDX-License-Identifier: MIT */
/* model/config.h - config.json and preprocessor_config.json: what a model is, in numbers that were checked. */
#ifndef LIMBER_CONFIG_H
#define LIMBER_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "limber.h"
#include "model/skeleton.h"

#define PATCH_PAD 2               /* of ViTPose's patch convolution, whatever the patch */
#define CLASSIC_HEAD_CHANNELS 256 /* between its two deconvolutions and after them */

/* What a model's maps mean: joints of the person in a crop, or the boxes of a photograph's people (pose/box_maps.h). */
enum task { TASK_POSE, TASK_BOXES, TASK_EITHER /* of a question: any will do */ };

/* What config.json and preprocessor_config.json say, defaults applied, every number checked to be one this library can use. */
struct config {
    enum task task; /* "limber": {"task": "boxes"} beside transformers' own keys; else joints */
    /* backbone_config */
    int image_h, image_w, patch_h, patch_w;
    int hidden, layers, heads, mlp; /* mlp = hidden * mlp_ratio */
    int experts, part_features;     /* ViTPose+: experts > 1 */
    bool qkv_bias;
    /* What a compact file has (limber prune --compact; transformers opens none): of the others' weights it has nothing, they count as zero. */
    bool *stored_heads;  /* [layers * heads], one of each layer at least; NULL: all */
    int *stored_neurons; /* [layers]: the first so many of mlp; NULL: all */
    float layer_norm_eps;
    /* head */
    bool simple_head;
    int scale_factor; /* of the simple head */
    int keypoints;
    char **labels; /* [keypoints], as config.json writes them, or the skeleton's names ("left_elbow") where they are its own */
    const struct skeleton *skeleton; /* the row of model/skeleton.h whose labels these are, in any spelling; NULL: none */
    bool coco;                       /* it is skeleton_coco */
    int (*edges)[2];                 /* bones, as config.json writes them, or the skeleton's */
    int edge_count;
    int *flip_pairs; /* [keypoints]: the joint that mirrors this one: the skeleton's, or by label; itself where there is none */
    /* preprocessor */
    float mean[3], std[3];
    double rescale;
    double normalize_factor; /* 200 */
    /* derived */
    int patch_pad;                   /* of the patch convolution */
    int tokens_before, tokens_after; /* the patches: a class token, detection tokens */
    int mid_positions;               /* after so many layers, positions are added once more, each time others */
    int grid_h, grid_w, tokens, head_dim, map_h, map_w;
    int trained_grid_h, trained_grid_w; /* of the position embeddings in the file; differs from the grid after config_resize */
    char model_name[64];                /* "ViTPose-B classic", "ViTPose+-S", or the numbers */
};

/* Parses both files' bytes (not NUL-terminated); preprocessor may be NULL, then transformers' defaults hold. */
limber_status config_parse(struct config *out, const char *config_json, size_t config_bytes, const char *preprocessor_json,
                           size_t preprocessor_bytes, limber_error *err);
void config_free(struct config *c);
/* Another input size (multiples of the patch) for the same weights: a pass has its position embeddings resized (pose/vit.h). */
limber_status config_resize(struct config *c, int image_h, int image_w, limber_error *err);
/* Parameters, and multiply-adds per person by part: exact counts from the shapes (of a compact file: its own). Parameters are counted as PyTorch
 * counts them:
 * all experts, batch norm's gain and bias but not its running statistics. */
struct config_costs {
    uint64_t parameters, embed, qkv, attention, projection, mlp, head, total; /* all but parameters: multiply-adds */
};
struct config_costs config_costs(const struct config *c);
/* Less what one head, one neuron of a layer's mlp is: it is not computed. */
void config_costs_less_head(struct config_costs *costs, const struct config *c);
void config_costs_less_neuron(struct config_costs *costs, const struct config *c);

#endif
