/* SPDX-License-Identifier: MIT */
/* command/output.h - writing results so that neither a full disk, a signal nor a crash leaves half a line or half a file.
 *
 *   appended   whole lines at the end of a file that is there under its own name while the run goes on. A line that did not fit
 *              is taken back; what a kill -9 tore is cut off when the file is opened to go on (output_resume).
 *   replaced   written to NAME.partial, synced, renamed to NAME when complete; through a link, to the file that it names.
 *
 * A device or a pipe (--out /dev/stdout) has no earlier bytes to keep, so it is only written to; a non-blocking one is waited for, because a
 * reader that is slow is no error.
 *
 * One process at a time writes a file: it is locked, and the lock is compared with what the name stands for by then. A writer that is
 * refused touches nothing. The rename happens under the lock.
 *
 * Functions that fail have said why on stderr and return CLI_NOTHING. */
#ifndef LIMBER_CLI_OUTPUT_H
#define LIMBER_CLI_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct output {
    int fd;      /* -1: closed */
    char *name;  /* as messages call it */
    char *final; /* rename to this when complete; NULL: written in place */
    off_t whole; /* bytes of whole lines; -1: not a file that can be cut back */
    bool locked; /* ours: nobody else writes it, and what is to be renamed may be removed */
};
#define OUTPUT_CLOSED ((struct output){.fd = -1})

int output_stdout(struct output *o);
/* A new, empty DIR/NAME. One that is there and not empty is kept as DIR/NAME~. Only one process at a time may have it open. */
int output_new(struct output *o, const char *dir, const char *name);
/* DIR/NAME as it is, or new. `line` sees every whole line (without its newline); its CLI_NOTHING refuses the file. */
int output_resume(struct output *o, const char *dir, const char *name,
                  int (*line)(void *context, const char *text, size_t length), void *context);
/* DIR/NAME, replaced when output_close finds all is well. */
int output_replace(struct output *o, const char *dir, const char *name);

int output_write(struct output *o, const char *text, size_t length);
int output_close(struct output *o);    /* syncs, renames; CLI_DONE or CLI_NOTHING */
void output_abandon(struct output *o); /* closes; what was to be renamed is removed */

/* DIR/NAME with these bytes, replaced as a whole; and the same for a `path`. */
int output_file(const char *dir, const char *name, const void *bytes, size_t length);
int output_text(const char *path, const char *text, size_t length);
/* The folder and its parents, where they are not there. */
int output_folder(const char *dir);
char *output_path(const char *dir, const char *name); /* DIR/NAME, to free; NULL: no memory */

#endif
