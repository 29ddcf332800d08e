/* SPDX-License-Identifier: MIT */
/* base/plugin.c - see base/plugin.h */
#define _GNU_SOURCE /* dladdr, secure_getenv */
#include "base/plugin.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FLAGS (RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE)

const char *plugin_named(const char *variable)
{
    const char *path = secure_getenv(variable);
    return path && path[0] ? path : NULL;
}

#ifdef LIMBER_STATIC

const char *plugin_none(void)
{
    return "this is the limber without shared libraries, which opens no plugins: take a package, or a build of your own";
}

bool plugin_can_load(const char *name, struct plugin_search *said)
{
    return plugin_load(name, said) != NULL;
}

void *plugin_load(const char *path, struct plugin_search *said)
{
    (void)path;
    snprintf(said->why, sizeof said->why, "%s", plugin_none());
    return NULL;
}

void *plugin_find(const char *file, uintptr_t here, const char *const *below, size_t count, struct plugin_search *said)
{
    (void)here, (void)below, (void)count;
    *said = (struct plugin_search){.dir = "."};
    return plugin_load(file, said);
}

void *plugin_symbol(void *plugin, const char *name)
{
    (void)plugin, (void)name;
    return NULL;
}

#else

const char *plugin_none(void)
{
    return NULL;
}

bool plugin_can_load(const char *name, struct plugin_search *said)
{
    void *library = dlopen(name, RTLD_LAZY | RTLD_LOCAL);
    const char *message = library ? NULL : dlerror();
    if (!library)
        snprintf(said->why, sizeof said->why, "%.500s", message ? message : name);
    else
        dlclose(library);
    return library != NULL;
}

void *plugin_load(const char *path, struct plugin_search *said)
{
    void *plugin = dlopen(path, FLAGS);
    const char *message = plugin ? NULL : dlerror();
    if (!plugin && !said->why[0]) /* the first one's is the one to tell */
        snprintf(said->why, sizeof said->why, "%.500s", message ? message : path);
    return plugin;
}

void *plugin_find(const char *file, uintptr_t here, const char *const *below, size_t count, struct plugin_search *said)
{
    *said = (struct plugin_search){.dir = "."};
    char *const dir = said->dir;
    Dl_info self;
    if (dladdr((void *)here, &self) && self.dli_fname)
        snprintf(dir, sizeof said->dir, "%s", self.dli_fname);
    if (!strchr(dir, '/')) { /* a command found through PATH names itself without a directory */
        char *exe = realpath("/proc/self/exe", NULL);
        snprintf(dir, sizeof said->dir, "%s", exe ? exe : "./");
        free(exe);
    }
    char *slash = strrchr(dir, '/');
    if (slash)
        *slash = 0;
    for (size_t i = 0; i < count; i++) {
        char path[sizeof said->dir];
        int n = snprintf(path, sizeof path, "%s/%s%s", dir, below[i], file);
        void *plugin = n < 0 || (size_t)n >= sizeof path || access(path, F_OK) ? NULL : plugin_load(path, said);
        if (plugin)
            return plugin;
    }
    return dlopen(file, FLAGS);
}

void *plugin_symbol(void *plugin, const char *name)
{
    void *symbol = dlsym(plugin, name);
    dlclose(plugin); /* stays mapped */
    return symbol;
}

#endif
