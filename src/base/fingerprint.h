/* SPDX-License-Identifier: MIT */
/* base/fingerprint.h - whether two runs saw the same bytes. Against accidents, not against people: 64 bits, no cryptography. */
#ifndef LIMBER_FINGERPRINT_H
#define LIMBER_FINGERPRINT_H

#include <stddef.h>
#include <stdint.h>

#include "limber.h"

#define FINGERPRINT_BEGIN 0x9e3779b97f4a7c15u

/* What is known of some bytes (FINGERPRINT_BEGIN: none yet) and of `size` more. Pieces count: the same bytes in other pieces give
 * another value. */
uint64_t fingerprint(uint64_t before, const void *bytes, size_t size);
/* The same with a file's contents; an error does not name it. */
limber_status fingerprint_file(uint64_t *value, const char *path, limber_error *err);

#endif
