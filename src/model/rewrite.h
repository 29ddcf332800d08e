/* SPDX-License-Identifier: MIT */
/* model/rewrite.h - a checkpoint with heads taken out, in Hugging Face's layout: what is left out is exactly zero, so transformers opens the
 * file as any other, and the packing of weights (model/weights.c) leaves it out of the work. */
#ifndef LIMBER_REWRITE_H
#define LIMBER_REWRITE_H

#include "model/model.h"

struct rewrite {
    const bool *dropped; /* [layers * heads] */
    const float
        *constant; /* [layers][hidden], what the dropped heads say instead of nothing, before the projection: folded into its
                                bias, which is then written as F32. NULL: nothing */
};

/* Where the bytes go; false: it could not. */
typedef bool (*rewrite_write_fn)(void *context, const void *bytes, size_t size);

/* model.safetensors, from its first byte to its last. LIMBER_E_IO where `write` failed. */
limber_status rewrite_tensors(const struct checkpoint *c, const struct rewrite *r, rewrite_write_fn write, void *context,
                              limber_error *err);

/* Parameters that are not zeroed, and multiply-adds a person, with these heads left out (config_costs counts those of all). */
struct config_costs rewrite_costs(const struct config *c, const bool *dropped);

#endif
