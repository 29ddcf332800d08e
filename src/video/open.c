/* SPDX-License-Identifier: MIT */
/* video/open.c - finds the video plugin, as compute/cuda.c finds CUDA's: liblimber_video.so beside this command or library, in the
 * folder limber/ of the libraries where CMake installed it to, or on the loader's path. LIMBER_VIDEO_PLUGIN names another one instead; it is
 * ignored in a process with raised privileges. It stays mapped (RTLD_NODELETE): FFmpeg keeps threads and a log callback. */
#include "base/error.h"
#include "base/plugin.h"
#include "video/video.h"

#define PLUGIN_FILE "liblimber_video.so"
#define PACKAGE                                                                                                                  \
    "limber's video plugin, which the package limber-video brings (or a build of limber where FFmpeg's -dev packages are "       \
    "installed: libavformat-dev libavcodec-dev libswscale-dev)"

static limber_status find_plugin(void **out, limber_error *err)
{
    static const char *const below[] = {"", PLUGIN_PLACES};
    struct plugin_search said;
    *out = plugin_find(PLUGIN_FILE, (uintptr_t)&video_plugin_find, below, sizeof below / sizeof *below, &said);
    if (*out)
        return LIMBER_OK;
    if (said.why[0]) /* "libavformat.so.59: cannot open shared object file" */
        return limber_fail(err, LIMBER_E_UNSUPPORTED,
                           "video: the plugin is here but cannot be loaded: %s (Debian and Ubuntu have FFmpeg's libraries in the "
                           "packages libavformat, libavcodec and libswscale)",
                           said.why);
    return limber_fail(err, LIMBER_E_UNSUPPORTED, "video: no %s beside %s or on the loader's path: install " PACKAGE, PLUGIN_FILE,
                       said.dir);
}

limber_status video_plugin_find(const struct video_plugin **out, limber_error *err)
{
    void *plugin = NULL;
    *out = NULL;
    if (plugin_none())
        return limber_fail(err, LIMBER_E_UNSUPPORTED, "video: %s", plugin_none());
    const char *named = plugin_named("LIMBER_VIDEO_PLUGIN");
    if (named) {
        struct plugin_search said = {0};
        if (!(plugin = plugin_load(named, &said)))
            return limber_fail(err, LIMBER_E_UNSUPPORTED, "video: LIMBER_VIDEO_PLUGIN: %s", said.why);
    } else {
        limber_status st = find_plugin(&plugin, err);
        if (st)
            return st;
    }
    const video_plugin_fn get = (video_plugin_fn)(uintptr_t)plugin_symbol(plugin, VIDEO_PLUGIN_SYMBOL);
    const struct video_plugin *v = get ? get() : NULL;
    if (!v || v->abi != VIDEO_ABI)
        return limber_fail(err, LIMBER_E_UNSUPPORTED, "video: the plugin is of another limber: its interface is %u, expected %u",
                           v ? v->abi : 0, VIDEO_ABI);
    *out = v;
    return LIMBER_OK;
}
