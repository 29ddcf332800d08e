/* SPDX-License-Identifier: MIT */
/* model/config_read.h - what reading config.json and its like takes, whichever kind of checkpoint they belong to. */
#ifndef LIMBER_CONFIG_READ_H
#define LIMBER_CONFIG_READ_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "model/config.h"

/* Limits, far beyond any published model, and small enough that no product of two sizes below overflows an int. */
enum { IMAGE_MAX = 4096, PATCH_MAX = 256, HIDDEN_MAX = 8192, MLP_MAX = 65536, LAYERS_MAX = 256, TOKENS_MAX = 65536 };

/* The first failure ends a parse: TRY(json_read_int(...)); */
#define TRY(call)                                                                                                                \
    do {                                                                                                                         \
        limber_status try_status = (call);                                                                                       \
        if (try_status != LIMBER_OK)                                                                                             \
            return try_status;                                                                                                   \
    } while (0)

/* A small text file of a model directory, whole. *missing tells "there is none" from other failures; *out is the caller's to free. */
limber_status config_read_file(uint8_t **out, size_t *size, const char *dir, const char *file, bool *missing, limber_error *err);

/* image_size and patch_size: [height, width], or one number for both, 1 to `high`. Left alone where absent or null, as by the reads of
 * base/json_read.h. */
limber_status config_read_pair(const json_t *object, const char *key, int high, int *h, int *w, limber_error *err);
/* How preprocessor_config.json makes numbers of bytes: rescale, mean and std of c, where it says nothing (p NULL: of nothing)
 * transformers' defaults, where a step is switched off those that change nothing. */
limber_status config_read_colours(struct config *c, const json_t *p, limber_error *err);

#endif
