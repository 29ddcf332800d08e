/* SPDX-License-Identifier: MIT */
/* command/bench/model.h - models to time that need no download: published shapes, random weights. */
#ifndef LIMBER_CLI_BENCH_MODEL_H
#define LIMBER_CLI_BENCH_MODEL_H

#include "compute/open.h"
#include "model/model.h"

/* "S", "B", "L", "H" or "default" (the shape of the built-in model), head "simple" or "classic", packed for the backend, with the
 * input size, the kind of attention and the pruned heads of the options. Close with weights_free, backend_close, and free(pruned). */
limber_status bench_random_model(struct limber_model *out, const char *arch, const char *head, const limber_options *options,
                                 limber_error *err);

#endif
