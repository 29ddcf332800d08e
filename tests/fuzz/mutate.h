/* SPDX-License-Identifier: MIT */
/* mutate.h - changes that know what a file is made of: segments of a JPEG, chunks of a PNG, blocks of a GIF, tokens of JSON, words of a
 * command line are left out, doubled, swapped, and their numbers replaced by awkward ones. Random bytes rarely get past a header;
 * these do. Deterministic for a seed; libFuzzer uses them through LLVMFuzzerCustomMutator, replay.c in ordinary tests. */
#ifndef LIMBER_FUZZ_MUTATE_H
#define LIMBER_FUZZ_MUTATE_H

#include <stddef.h>
#include <stdint.h>

/* Changes bytes[size] in place, at most `room`; the new size. */
size_t mutate_image(uint8_t *bytes, size_t size, size_t room, uint32_t seed);
size_t mutate_json(uint8_t *bytes, size_t size, size_t room, uint32_t seed);
size_t mutate_words(uint8_t *bytes, size_t size, size_t room, uint32_t seed); /* a line each */

#endif
