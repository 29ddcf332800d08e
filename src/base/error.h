/* SPDX-License-Identifier: MIT */
/* The one way an error leaves a function: `return limber_fail(err, LIMBER_E_FORMAT, "what: %d, expected %d", got, want);` */
#ifndef LIMBER_ERROR_H
#define LIMBER_ERROR_H

#include <stddef.h>

#include "limber.h"

#ifdef __FAST_MATH__
#error "limber must not be compiled with -ffast-math: NaN and infinity are looked for, results must not depend on the compiler"
#endif

/* Writes the sentence into err (may be NULL; cut at its size, always terminated) and returns `status`. */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
limber_status
limber_fail(limber_error *err, limber_status status, const char *format, ...);

/* The sentence of an errno. strerror may write where another thread is reading; this writes into the block it is called in. */
#define error_text(number) error_text_into((char[ERROR_TEXT_BYTES]){0}, number)
#define ERROR_TEXT_BYTES 128
const char *error_text_into(char text[], int number);

/* Puts "prefix: " before the sentence err already holds, as an error travels up to where the file's name is known. */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
void limber_error_prefix(limber_error *err, const char *format, ...);

/* A caller's `reserved` must be zero: LIMBER_E_ARGUMENT names the struct's `what` and how it is started from. */
limber_status limber_reserved_are_zero(const int *reserved, size_t count, const char *what, const char *started_from,
                                       limber_error *err);
#define LIMBER_CHECK_RESERVED(o, what, started_from, err)                                                                        \
    limber_reserved_are_zero((o)->reserved, sizeof(o)->reserved / sizeof *(o)->reserved, what, started_from, err)

#endif
