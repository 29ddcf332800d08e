/* SPDX-License-Identifier: MIT */
/* command/report/drift_report.h - the result of `limber drift` as a page; JSON and CSV are drift_command.c's. */
#ifndef LIMBER_DRIFT_REPORT_H
#define LIMBER_DRIFT_REPORT_H

#include <stdio.h>

#include "heads/drift.h"

struct drift_about {
    const char *a, *b, *control; /* control NULL: none */
    const char *backend, *precision;
    bool complete;
};
void drift_report_page(FILE *f, const struct drift_result *r, const struct drift_about *about);

#endif
