/* model/built_in.h - the files of data/limber-s, which are part of the library. */
#ifndef LIMBER_BUILT_IN_H
#define LIMBER_BUILT_IN_H

#include <stddef.h>
#include <stdint.h>

struct default_file {
    const uint8_t *bytes;
    size_t size;
};
struct default_model {
    struct default_file config, preprocessor, tensors;
};
struct default_model default_model(void);

#endif
