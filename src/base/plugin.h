/* SPDX-License-Identifier: MIT */
/* base/plugin.h - parts of limber that are libraries of their own, opened when they are asked for. They stay mapped (RTLD_NODELETE): what
 * they brought along has threads, callbacks and state that do not survive an unloading. A program without shared libraries
 * (LIMBER_STATIC of CMake) has no loader, and says so. */
#ifndef LIMBER_BASE_PLUGIN_H
#define LIMBER_BASE_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Below the folder of the command, or of liblimber.so, once all is installed; LIMBER_LIBDIR_FROM_BINDIR is CMake's. */
#define PLUGIN_PLACES "limber/", "../lib/limber/", "../lib64/limber/", LIMBER_LIBDIR_FROM_BINDIR "limber/"

struct plugin_search {
    char dir[4096]; /* where it was looked for */
    char why[512];  /* what the loader said of one that is there; "": there is none */
};

/* The path that an environment variable names, or NULL: it is not set, empty, or this process has raised privileges. */
const char *plugin_named(const char *variable);
/* NULL, or why this limber opens no plugins at all. */
const char *plugin_none(void);
/* Whether the loader finds a library of this name; it is not kept. false: said->why. */
bool plugin_can_load(const char *name, struct plugin_search *said);
/* The library at this path. NULL: said->why. */
void *plugin_load(const char *path, struct plugin_search *said);
/* `file` below the folder of the program or library that holds the function `here`, in each of below[count] ("", or with a slash at its end), then on
 * the loader's path. NULL: *said. */
void *plugin_find(const char *file, uintptr_t here, const char *const *below, size_t count, struct plugin_search *said);
/* What a plugin calls `name`, NULL where it has no such thing. The handle is given back; the plugin stays mapped. */
void *plugin_symbol(void *plugin, const char *name);

#endif
