/* SPDX-License-Identifier: MIT */
/* model/built_in.h - the files of data/limber-s (joints) and data/limber-find (people), which are part of the library. */
#ifndef LIMBER_BUILT_IN_H
#define LIMBER_BUILT_IN_H

#include "model/config.h"

struct default_file {
    const uint8_t *bytes;
    size_t size;
};
struct default_model {
    struct default_file config, preprocessor, tensors;
};
/* Exported, so that the command takes the bytes from the library and none has them twice; promised to nobody else. */
LIMBER_API struct default_model limber_built_in_model(enum task task);

#endif
