/* SPDX-License-Identifier: MIT */
/* base/file.h - a whole file into memory, and what is no file. */
#ifndef LIMBER_FILE_H
#define LIMBER_FILE_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

#include "limber.h"

/* malloc'ed bytes of the file (or pipe) `path`, read and not mapped: a mapped file that shrinks meanwhile would kill the process.
 * A file of more than `limit` bytes is an error, and so is a directory. The error does not name the path. */
limber_status file_read(uint8_t **bytes, size_t *size, const char *path, size_t limit, limber_error *err);

/* open(2), again where a signal came between (a network file system may say so). */
int file_open(const char *path, int flags, mode_t mode);

/* getline(3), but for one thing: that there is no memory for the line is not the end of the file. Its length, at least 1; 0: the end;
 * -1: errno says why. */
ssize_t file_line(char **line, size_t *room, FILE *stream);

/* A device, a pipe or a socket is there: something to write to, which a finished file must never replace by rename. */
bool file_is_stream(const char *path);

#endif
