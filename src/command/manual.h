/* SPDX-License-Identifier: MIT */
/* command/manual.h - manual pages and shell completions, made of the commands' own tables of options: `limber --manual DIR`, which the
 * build calls. */
#ifndef LIMBER_CLI_MANUAL_H
#define LIMBER_CLI_MANUAL_H

#include <stddef.h>

struct command_entry {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *about;
};
/* DIR/limber.1, DIR/limber-COMMAND.1 ..., limber.bash, _limber (zsh), limber.fish. CLI_DONE, or CLI_NOTHING with the reason on stderr:
 * also where a command has no row in the table of manual.c. */
int manual_write(const char *dir, const struct command_entry *commands, size_t count);

#endif
