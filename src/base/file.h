/* SPDX-License-Identifier: MIT */
/* base/file.h - a whole file into memory, and what is no file. */
#ifndef LIMBER_FILE_H
#define LIMBER_FILE_H

#include <stdbool.h>

#include "limber.h"

/* malloc'ed bytes of the file (or pipe) `path`, read and not mapped: a mapped file that shrinks meanwhile would kill the process.
 * A file of more than `limit` bytes is an error, and so is a directory. The error does not name the path. */
limber_status file_read(uint8_t **bytes, size_t *size, const char *path, size_t limit, limber_error *err);

/* A device, a pipe or a socket is there: something to write to, which a finished file must never replace by rename. */
bool file_is_stream(const char *path);

#endif
