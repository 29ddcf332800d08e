/* SPDX-License-Identifier: MIT */
/* compute/open.h - finding a backend by name and precision. */
#ifndef LIMBER_OPEN_H
#define LIMBER_OPEN_H

#include "compute/backend.h"

/* Opens a backend by its contracted name and precision ("auto" allowed in both). The error says why one is not there. */
limber_status backend_open(struct backend **out, const char *name, const char *precision, limber_error *err);
void backend_close(struct backend **be);
const char *precision_name(enum precision p);

/* What one backend can do on this machine, for `limber info`: a line of text, and whether it is available. */
struct backend_report {
    const char *name;
    bool available;
    char precisions[64]; /* "fp32 bf16" */
    char detail[256];    /* "avx512 (amx: not on this CPU), 2 threads" or why it is not there */
};
int backend_reports(struct backend_report *out, int max);

/* The constructors backend_open chooses from. */
limber_status backend_ref_open(struct backend **out, enum precision precision, limber_error *err);
limber_status backend_cpu_open(struct backend **out, enum precision precision, limber_error *err);
bool backend_cpu_has(enum precision precision);
void backend_cpu_report(struct backend_report *out);
limber_status backend_cuda_open(struct backend **out, enum precision precision, limber_error *err); /* loads the plugin */
void backend_cuda_report(struct backend_report *out);

#endif
