/* SPDX-License-Identifier: MIT */
/* compute/open.c - finding a backend by name and precision, and saying why one is not there.
 *
 * "auto" is the fastest that this machine has: cuda, else cpu (ref only on request: it is hundreds of times slower). "auto" as a
 * precision is the fastest that the backend calls native here: on cuda fp16, on cpu bf16 where the CPU multiplies it in hardware,
 * else fp32. Naming both pins the arithmetic. */
#include <stdio.h>
#include <string.h>

#include "compute/open.h"
#include "base/error.h"

static const char *const precision_names[] = {
    [PRECISION_FP32] = "fp32", [PRECISION_BF16] = "bf16", [PRECISION_FP16] = "fp16", [PRECISION_INT8] = "int8"};
#define PRECISIONS (sizeof precision_names / sizeof *precision_names)

const char *precision_name(enum precision p)
{
    return (unsigned)p < PRECISIONS ? precision_names[p] : "unknown";
}

typedef limber_status (*constructor)(struct backend **out, enum precision precision, limber_error *err);

/* Tries `preferred` in order until one opens. The error is the last one's: the plainest precision knows best what is missing. */
static limber_status open_first(struct backend **out, constructor open, const enum precision *preferred, int count,
                                limber_error *err)
{
    limber_status st = LIMBER_E_UNSUPPORTED;
    for (int i = 0; i < count && st != LIMBER_OK; i++)
        st = open(out, preferred[i], err);
    return st;
}

static limber_status open_named(struct backend **out, const char *name, const char *precision, limber_error *err)
{
    static const enum precision cuda[] = {PRECISION_FP16, PRECISION_BF16, PRECISION_FP32}, fp32[] = {PRECISION_FP32};
    const enum precision cpu[] = {backend_cpu_has(PRECISION_BF16) ? PRECISION_BF16 : PRECISION_FP32};
    const struct {
        const char *name;
        constructor open;
        const enum precision *preferred;
        int count;
    } known[] = {{"cuda", backend_cuda_open, cuda, 3}, {"cpu", backend_cpu_open, cpu, 1}, {"ref", backend_ref_open, fp32, 1}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(name, known[i].name) != 0)
            continue;
        if (strcmp(precision, "auto") == 0)
            return open_first(out, known[i].open, known[i].preferred, known[i].count, err);
        for (size_t p = 0; p < PRECISIONS; p++)
            if (strcmp(precision, precision_names[p]) == 0)
                return known[i].open(out, (enum precision)p, err);
        return limber_fail(err, LIMBER_E_ARGUMENT, "precision \"%.40s\": expected auto, fp32, bf16, fp16 or int8", precision);
    }
    return limber_fail(err, LIMBER_E_ARGUMENT, "backend \"%.40s\": expected auto, ref, cpu or cuda", name);
}

limber_status backend_open(struct backend **out, const char *name, const char *precision, limber_error *err)
{
    *out = NULL;
    precision = precision ? precision : "auto";
    if (name && strcmp(name, "auto") != 0)
        return open_named(out, name, precision, err);
    if (open_named(out, "cuda", precision, NULL) == LIMBER_OK)
        return LIMBER_OK;
    return open_named(out, "cpu", precision, err);
}

void backend_close(struct backend **be)
{
    if (*be)
        (*be)->ops->close(*be);
    *be = NULL;
}

static void ref_report(struct backend_report *out)
{
    *out = (struct backend_report){.name = "ref", .available = true, .precisions = "fp32"};
    snprintf(out->detail, sizeof out->detail, "the definition of every operation: one thread, double sums, slow");
}

int backend_reports(struct backend_report *out, int max)
{
    static void (*const reports[])(struct backend_report *) = {ref_report, backend_cpu_report, backend_cuda_report};
    int n = 0;
    for (; n < max && n < (int)(sizeof reports / sizeof *reports); n++)
        reports[n](&out[n]);
    return n;
}
