/* SPDX-License-Identifier: MIT */
/* model/weights.h - the packed weights of a model, and how a checkpoint's tensors become them. */
#ifndef LIMBER_WEIGHTS_H
#define LIMBER_WEIGHTS_H

#include "compute/backend.h"
#include "model/config.h"
#include "model/safetensors.h"

struct block {
    struct weight *layernorm_before, *qkv, *projection, *layernorm_after, *fc1, *fc2;
    /* Where the projection reads nothing of some heads (their columns are zero, in the file or by limber_options.prune): the others alone,
     * in their order, which computes the same with less. NULL: none is left out. `qkv` and `projection` always have all, for those who
     * look at single heads. */
    struct weight *lean_qkv, *lean_projection;
    int heads; /* of lean_qkv; config.heads where there is none */
    int mlp;   /* neurons of fc1 and fc2: those that fc2 reads nothing of are left out */
};
/* Heads and neurons that are left out of a model as it is packed, as files of `limber prune` have them. */
struct left_out {
    const bool *heads;      /* [layers * heads]; NULL: none */
    const bool *neurons;    /* [layers * mlp]; NULL: none */
    const float *head_says; /* [layers][hidden]: what a head says instead, at every token, before the projection; NULL: nothing */
    const float *neuron_says; /* [layers][mlp]: likewise a neuron, behind its activation */
};
struct limber_model {
    struct config config;
    struct backend *be;
    struct weight *embed, *layernorm, *head;
    struct block *blocks; /* [layers] */
    /* [1 + mid_positions][before + trained_grid_h * trained_grid_w + after][hidden], as trained: what is added to the patches, and is the
     * other tokens (first table) or is added to them (the others) */
    float *positions;
    enum attention_kind attention_kind;
    int attention_size;
    bool *pruned;                    /* [layers * heads]; NULL: none */
    const struct left_out *left_out; /* while it is packed; NULL: nothing */
    char source[1024];               /* the directory, or "built in" */
};

/* Config and tensors of a directory, checked against each other, nothing packed: what `limber info` needs. */
struct checkpoint {
    struct config config;
    struct tensors tensors;
};
/* Every tensor the config asks for is there, floating point, and of the shape it should have; no other is there. */
limber_status weights_check(const struct config *c, const struct tensors *t, limber_error *err);
/* Packs for m->be (set by the caller, as is m->config); `expert` picks the ViTPose+ expert. */
limber_status weights_pack(struct limber_model *m, const struct checkpoint *c, int expert, limber_error *err);
void weights_free(struct limber_model *m);
/* The shape of a pass over images of this many pixels (cut into patches from the top left, a rest is left out), and what is added to
 * its tokens, [shape_tokens][hidden]: the positions as trained, resized to the grid as transformers does (model/resize.h). which 0: at
 * the embedding; 1 + l: after layer l. */
struct pass_shape model_pass_shape(const struct limber_model *m, int image_h, int image_w);
void model_positions(const struct limber_model *m, const struct pass_shape *shape, int which, float *dst);

#endif
