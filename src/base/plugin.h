/* SPDX-License-Identifier: MIT */
/* base/plugin.h - parts of limber that are libraries of their own, opened when they are asked for. They stay mapped (RTLD_NODELETE): what
 * they brought along has threads, callbacks and state that do not survive an unloading. */
#ifndef LIMBER_BASE_PLUGIN_H
#define LIMBER_BASE_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

struct plugin_search {
    char dir[4096]; /* where it was looked for */
    char why[512];  /* what the loader said of one that is there; "": there is none */
};

/* The path that an environment variable names, or NULL: it is not set, empty, or this process has raised privileges. */
const char *plugin_named(const char *variable);
/* The library at this path. NULL: said->why. */
void *plugin_load(const char *path, struct plugin_search *said);
/* `file` below the folder of the program or library that holds the function `here`, in each of below[count] ("", or with a slash at its end), then on
 * the loader's path. NULL: *said. */
void *plugin_find(const char *file, uintptr_t here, const char *const *below, size_t count, struct plugin_search *said);

#endif
