/* SPDX-License-Identifier: MIT */
/* model/model.h - a checkpoint directory becomes a checked, packed, immutable model.
 *
 *   model/config_read.c  one of its files, and what stands in it, checked
 *   model/config.c       config.json and preprocessor_config.json -> struct config, with transformers' defaults
 *   model/labels.c       what its joints are called, which is whose mirror
 *   model/safetensors.c  model.safetensors -> named, typed, bounds-checked places in the file
 *   model/weights.c      one table of (name, shape, where it goes), walked once -> packed weights of a backend
 *   model/built_in.c     the files of the model that is part of the library
 *   model/model.c        limber_model_open: all of these, and the questions a caller may ask */
#ifndef LIMBER_MODEL_H
#define LIMBER_MODEL_H

#include "model/weights.h"

/* dir NULL: the built-in model for the task. A directory of another task is refused by name. */
limber_status checkpoint_open(struct checkpoint *out, const char *dir, enum task task, limber_error *err);
void checkpoint_close(struct checkpoint *c);
/* limber_model_open for either task. */
limber_status model_open(struct limber_model **out, const char *path, enum task task, const limber_options *options,
                         limber_error *err);
/* The same of a pose model, with more left out than the options say. */
limber_status model_open_without(struct limber_model **out, const char *path, const struct left_out *left_out,
                                 const limber_options *options, limber_error *err);
/* "exact", "window:W", "merge:R" or "pool:P" (limber_options.attention); NULL: exact. */
limber_status attention_parse(const char *text, enum attention_kind *kind, int *size, limber_error *err);
/* limber_options.prune: *out becomes [layers * heads], the caller's to free; NULL where text is NULL. */
limber_status prune_parse(const char *text, const struct config *c, bool **out, limber_error *err);
/* Sets m->be to the backend of these names, once it has agreed to the geometry of m->config with m's attention. "auto" is the
 * fastest that does: one that refuses gives way to `cpu`. */
limber_status model_backend_open(struct limber_model *m, const char *name, const char *precision, limber_error *err);

#endif
