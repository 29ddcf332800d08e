/* SPDX-License-Identifier: MIT */
/* command/say.h - how a command ends, and how it says what is wrong: in one line on stderr. */
#ifndef LIMBER_CLI_SAY_H
#define LIMBER_CLI_SAY_H

#include <stdarg.h>

/* Exit status of every command. */
#define CLI_DONE 0
#define CLI_SOME_FAILED 1 /* some images could not be used; the others were */
#define CLI_NOTHING 2     /* nothing could start, or the output could not be written: usage, model, device, full disk */
#define CLI_INTERRUPTED 130

/* "limber: text" on stderr, control characters of names made visible; a progress bar makes way. The first returns CLI_NOTHING.
 * Any thread may speak. */
__attribute__((format(printf, 1, 2))) int cli_fail(const char *format, ...);
__attribute__((format(printf, 1, 2))) void cli_warn(const char *format, ...);
/* "limber COMMAND: text"; command may be NULL. */
void cli_say(const char *command, const char *format, va_list ap);

/* For "did you mean": *best becomes the nearer of itself and `candidate`. Begin with *best NULL and *distance INT_MAX; nothing
 * further off than a third of its letters is suggested. */
void cli_nearer(const char *typed, const char *candidate, const char **best, int *distance);

#endif
