/* SPDX-License-Identifier: MIT */
/* video/open.c - finds the video plugin, as compute/cuda.c finds CUDA's: liblimber_video.so beside this command or library, in ../lib
 * beside it or where CMake installed libraries to, or on the loader's path. LIMBER_VIDEO_PLUGIN names another one instead; it is
 * ignored in a process with raised privileges. It stays mapped (RTLD_NODELETE): FFmpeg keeps threads and a log callback. */
#define _GNU_SOURCE /* dladdr, secure_getenv */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "video/video.h"

#define PLUGIN_FILE "liblimber_video.so"
#define PLUGIN_FLAGS (RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE)
#define PACKAGE                                                                                                                  \
    "limber's video plugin, which the package limber-video brings (or a build of limber where FFmpeg's -dev packages are "       \
    "installed: libavformat-dev libavcodec-dev libswscale-dev)"

static void *open_below(const char *dir, const char *below, char *why, size_t why_size)
{
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/%s%s", dir, below, PLUGIN_FILE);
    if (n < 0 || (size_t)n >= sizeof path || access(path, F_OK) != 0)
        return NULL;
    void *plugin = dlopen(path, PLUGIN_FLAGS);
    const char *message = plugin ? NULL : dlerror();
    if (message && !why[0])
        snprintf(why, why_size, "%s", message);
    return plugin;
}

static limber_status find_plugin(void **out, limber_error *err)
{
    static const char *const below[] = {"", "../lib/", "../lib64/", LIMBER_LIBDIR_FROM_BINDIR};
    char dir[4096] = ".", why[512] = "";
    Dl_info self;
    if (dladdr((void *)(uintptr_t)&video_plugin_find, &self) && self.dli_fname)
        snprintf(dir, sizeof dir, "%s", self.dli_fname);
    if (!strchr(dir, '/')) { /* a command found through PATH names itself without a directory */
        char *exe = realpath("/proc/self/exe", NULL);
        snprintf(dir, sizeof dir, "%s", exe ? exe : "./");
        free(exe);
    }
    char *slash = strrchr(dir, '/');
    if (slash)
        *slash = 0;
    for (size_t i = 0; i < sizeof below / sizeof *below; i++)
        if ((*out = open_below(dir, below[i], why, sizeof why)))
            return LIMBER_OK;
    if ((*out = dlopen(PLUGIN_FILE, PLUGIN_FLAGS)))
        return LIMBER_OK;
    if (why[0]) /* "libavformat.so.59: cannot open shared object file" */
        return limber_fail(err, LIMBER_E_UNSUPPORTED,
                           "video: the plugin is here but cannot be loaded: %s (Debian and Ubuntu have FFmpeg's libraries in the "
                           "packages libavformat, libavcodec and libswscale)",
                           why);
    return limber_fail(err, LIMBER_E_UNSUPPORTED, "video: no %s beside %s or on the loader's path: install " PACKAGE, PLUGIN_FILE,
                       dir);
}

limber_status video_plugin_find(const struct video_plugin **out, limber_error *err)
{
    void *plugin = NULL;
    *out = NULL;
    const char *named = secure_getenv("LIMBER_VIDEO_PLUGIN");
    if (named && named[0]) {
        plugin = dlopen(named, PLUGIN_FLAGS);
        const char *why = plugin ? NULL : dlerror();
        if (!plugin)
            return limber_fail(err, LIMBER_E_UNSUPPORTED, "video: LIMBER_VIDEO_PLUGIN: %s", why ? why : named);
    } else {
        limber_status st = find_plugin(&plugin, err);
        if (st)
            return st;
    }
    void *symbol = dlsym(plugin, VIDEO_PLUGIN_SYMBOL);
    dlclose(plugin); /* stays mapped */
    const video_plugin_fn get = (video_plugin_fn)(uintptr_t)symbol;
    const struct video_plugin *v = get ? get() : NULL;
    if (!v || v->abi != VIDEO_ABI)
        return limber_fail(err, LIMBER_E_UNSUPPORTED, "video: the plugin is of another limber: its interface is %u, expected %u",
                           v ? v->abi : 0, VIDEO_ABI);
    *out = v;
    return LIMBER_OK;
}
