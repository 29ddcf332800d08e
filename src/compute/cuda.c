/* SPDX-License-Identifier: MIT */
/* compute/cuda.c - finds the CUDA backend, which is a library of its own, and says why where there is none.
 *
 * The order of the questions, cheapest first, so that a machine without a GPU pays 0.1 ms and nothing else:
 *   1. is there a driver?      dlopen("libcuda.so.1")
 *   2. is there a plugin?      liblimber_cuda.so beside this library or command, in cuda/ below it, in the folder limber/ of
 *                              the libraries where CMake installed it to, or on the loader's path. It links
 *                              cuBLAS: where that is missing, dlopen's own sentence says so.
 *   3. is there a device?      the plugin asks the CUDA runtime, and refuses what the device cannot do (bf16 before sm_80)
 * LIMBER_CUDA_PLUGIN names the plugin to use instead, and then question 1 is left to the plugin: that is how the tests run the
 * whole backend on a machine without a GPU. It is ignored in a process with raised privileges.
 *
 * The plugin is never unmapped (RTLD_NODELETE): its backends hold pointers into it, and the CUDA runtime does not survive
 * being unloaded. Nothing is kept in variables here: asking twice finds the mapped library again. */
#include <stdio.h>
#include <string.h>

#include "compute/open.h"
#include "base/error.h"
#include "base/plugin.h"

#define PLUGIN_FILE "liblimber_cuda.so"
#define PLUGIN_SYMBOL "limber_cuda_plugin"

static limber_status has_driver(limber_error *err)
{
    struct plugin_search said = {0};
    if (plugin_can_load("libcuda.so.1", &said))
        return LIMBER_OK;
    return limber_fail(err, LIMBER_E_UNSUPPORTED, "cuda: no NVIDIA driver on this machine (%s)", said.why);
}

static limber_status find_plugin(void **out, limber_error *err)
{
    static const char *const below[] = {"", "cuda/", "../cuda/", PLUGIN_PLACES};
    struct plugin_search said;
    *out = plugin_find(PLUGIN_FILE, (uintptr_t)&backend_cuda_open, below, sizeof below / sizeof *below, &said);
    if (*out)
        return LIMBER_OK;
    if (said.why[0])
        return limber_fail(
            err, LIMBER_E_UNSUPPORTED,
            "cuda: the plugin is here but cannot be loaded: %s (cuBLAS is in NVIDIA's packages libcublas, or in a CUDA toolkit "
            "whose libraries LD_LIBRARY_PATH names)",
            said.why);
    return limber_fail(
        err, LIMBER_E_UNSUPPORTED,
        "cuda: no %s beside %s or on the loader's path: install limber's CUDA plugin, which the package limber-cuda brings "
        "(or a build of limber where nvcc is)",
        PLUGIN_FILE, said.dir);
}

static limber_status load(backend_plugin_open_fn *open, limber_error *err)
{
    void *plugin = NULL;
    if (plugin_none())
        return limber_fail(err, LIMBER_E_UNSUPPORTED, "cuda: %s", plugin_none());
    const char *named = plugin_named("LIMBER_CUDA_PLUGIN");
    if (named) {
        struct plugin_search said = {0};
        if (!(plugin = plugin_load(named, &said)))
            return limber_fail(err, LIMBER_E_UNSUPPORTED, "cuda: LIMBER_CUDA_PLUGIN: %s", said.why);
    } else {
        limber_status st = has_driver(err);
        if (st == LIMBER_OK)
            st = find_plugin(&plugin, err);
        if (st != LIMBER_OK)
            return st;
    }
    void *symbol = plugin_symbol(plugin, PLUGIN_SYMBOL);
    if (!symbol)
        return limber_fail(err, LIMBER_E_UNSUPPORTED, "cuda: %s has no symbol %s", named ? named : PLUGIN_FILE, PLUGIN_SYMBOL);
    *open = (backend_plugin_open_fn)(uintptr_t)symbol;
    return LIMBER_OK;
}

limber_status backend_cuda_open(struct backend **out, enum precision precision, limber_error *err)
{
    backend_plugin_open_fn open = NULL;
    *out = NULL;
    limber_status st = load(&open, err);
    return st == LIMBER_OK ? open(BACKEND_ABI, out, precision, err) : st;
}

void backend_cuda_report(struct backend_report *out)
{
    memset(out, 0, sizeof *out);
    out->name = "cuda";
    limber_error err = {0};
    backend_plugin_open_fn open = NULL;
    if (load(&open, &err) != LIMBER_OK) {
        snprintf(out->detail, sizeof out->detail, "%.*s", (int)sizeof out->detail - 1, err.text);
        return;
    }
    /* Without `out` the plugin only answers; the sentence in err then describes the device (plugin.cu). */
    static const enum precision all[] = {PRECISION_FP32, PRECISION_BF16, PRECISION_FP16};
    char refused[sizeof out->detail] = "";
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        limber_error answer = {0};
        char *text = refused;
        if (open(BACKEND_ABI, NULL, all[i], &answer) == LIMBER_OK) {
            size_t used = strlen(out->precisions);
            snprintf(out->precisions + used, sizeof out->precisions - used, "%s%s", used ? " " : "", precision_name(all[i]));
            out->available = true;
            text = out->detail;
        }
        snprintf(text, sizeof out->detail, "%.*s", (int)sizeof out->detail - 1, answer.text);
    }
    if (!out->available)
        memcpy(out->detail, refused, sizeof refused);
}
