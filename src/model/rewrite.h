/* SPDX-License-Identifier: MIT */
/* model/rewrite.h - a checkpoint with heads and neurons taken out. In Hugging Face's layout what is left out is exactly zero, so transformers
 * opens the file as any other, and the packing of weights (model/weights.c) leaves it out of the work. A compact file has nothing of it, and only limber
 * opens it: its config.json says what is there. */
#ifndef LIMBER_REWRITE_H
#define LIMBER_REWRITE_H

#include "model/model.h"

struct rewrite {
    struct left_out out; /* biases that constants are folded into are written as F32 */
    bool compact;
};

/* Where the bytes go; false: it could not. */
typedef bool (*rewrite_write_fn)(void *context, const void *bytes, size_t size);

/* model.safetensors, from its first byte to its last. LIMBER_E_IO where `write` failed. A compact checkpoint is made whole, unless `compact`. */
limber_status rewrite_tensors(const struct checkpoint *c, const struct rewrite *r, rewrite_write_fn write, void *context,
                              limber_error *err);
/* config.json: the text, with what such a file says of itself; to free. */
limber_status rewrite_config(char **out, const struct config *c, const struct rewrite *r, const char *text, size_t size,
                             limber_error *err);

/* Parameters that are not zeroed, and multiply-adds a person (config_costs counts those of all). */
struct config_costs rewrite_costs(const struct config *c, const struct left_out *out);

#endif
