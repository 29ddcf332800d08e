/* SPDX-License-Identifier: MIT */
/* fuzz.h - what the fuzz targets share: libFuzzer's entry point, and a check that stops the process wherever it runs. */
#ifndef LIMBER_FUZZ_H
#define LIMBER_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "mutate.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Of targets that know what their input is made of. */
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t size, size_t room, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *bytes, size_t size, size_t room);

#ifdef LIMBER_FUZZ
/* Every other time libFuzzer's own changes, which know what reaches new code. */
#define FUZZ_MUTATE_BY(mutate)                                                                                                   \
    size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t size, size_t room, unsigned seed)                                      \
    {                                                                                                                            \
        return seed & 1 ? mutate(bytes, size, room, seed) : LLVMFuzzerMutate(bytes, size, room);                                 \
    }
#else
#define FUZZ_MUTATE_BY(mutate)                                                                                                   \
    size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t size, size_t room, unsigned seed)                                      \
    {                                                                                                                            \
        return mutate(bytes, size, room, seed);                                                                                  \
    }
#endif

/* jansson is not built with the memory sanitizer, which therefore takes what it writes for unwritten. Memory that was zeroed first is
 * known to be written: no false alarm, and none of limber's own is missed. */
#if defined(__has_feature)
#if __has_feature(memory_sanitizer)
#include <jansson.h>
static void *fuzz_zeroed(size_t n)
{
    return calloc(1, n);
}
__attribute__((constructor)) static void fuzz_zero_json(void)
{
    json_set_alloc_funcs(fuzz_zeroed, free);
}
#endif
#endif

#define fuzz_check(condition)                                                                                                    \
    do {                                                                                                                         \
        if (!(condition)) {                                                                                                      \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                                              \
            abort();                                                                                                             \
        }                                                                                                                        \
    } while (0)

#endif
