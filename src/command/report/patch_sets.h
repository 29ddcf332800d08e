/* SPDX-License-Identifier: MIT */
/* command/report/patch_sets.h - heads that `limber patch` takes together, named in a file. */
#ifndef LIMBER_PATCH_SETS_H
#define LIMBER_PATCH_SETS_H

#include <stdint.h>

#include "model/config.h"

#define PATCH_SETS 64
#define PATCH_SET_NAME 48

struct patch_sets {
    int count;
    char name[PATCH_SETS][PATCH_SET_NAME];
    uint8_t *heads; /* [count][layers * heads] */
    uint64_t content;
};

/* A line a set, "NAME: LAYER.HEAD,LAYER.HEAD,..."; spaces count only within a name; empty lines and lines that begin with # are none. */
limber_status patch_sets_open(struct patch_sets *out, const char *path, const struct config *c, limber_error *err);
void patch_sets_close(struct patch_sets *s);

#endif
