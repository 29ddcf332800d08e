/* SPDX-License-Identifier: MIT */
/* command/sandbox.h - what this process may still touch while it decodes strangers' pictures. A picture that takes a decoder over then
 * has the files that the run was given, and nothing else: nothing else to read, nowhere else to write, no socket, no other program.
 *
 * Linux: Landlock (files, since 5.13; TCP, since 6.7; signals to others, since 6.12) and a seccomp filter (sockets, programs, other
 * processes and what kernels were broken with). Both hold for the calling thread and those that it starts: enter before the first.
 * What is open stays open. What a library wants to open later must be opened before. */
#ifndef LIMBER_CLI_SANDBOX_H
#define LIMBER_CLI_SANDBOX_H

#include <stddef.h>

#include "limber.h"

struct sandbox {
    int rules; /* a descriptor */
    int abi;   /* of Landlock */
};

/* LIMBER_E_UNSUPPORTED: this kernel (or whoever started us) has no Landlock, and err says so. */
limber_status sandbox_open(struct sandbox *s, limber_error *err);
/* A file, or a folder and all below it. What is not there, or cannot be opened now either, is passed over. */
limber_status sandbox_allow_read(struct sandbox *s, const char *path, limber_error *err);
/* Files in this folder and below it are read, written, made, renamed and removed. */
limber_status sandbox_allow_write(struct sandbox *s, const char *folder, limber_error *err);
/* From here on. Closes s, too. */
limber_status sandbox_enter(struct sandbox *s, limber_error *err);
void sandbox_close(struct sandbox *s); /* instead */

/* For a process without other threads that only computes: from here on it has what is open and standard error to write to, memory, and
 * threads of its own, and opens nothing. LIMBER_E_UNSUPPORTED: this machine has neither Landlock nor seccomp. */
limber_status sandbox_seal(limber_error *err);

/* "Landlock 7 and seccomp", or "none: " and why. */
void sandbox_describe(char *text, size_t room);

#endif
