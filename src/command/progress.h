/* SPDX-License-Identifier: MIT */
/* command/progress.h - one line on a terminal that says how far, how fast, how long still. Nothing where stderr is no terminal. */
#ifndef LIMBER_CLI_PROGRESS_H
#define LIMBER_CLI_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include "base/system.h"

struct progress {
    bool shown;
    size_t total, done, people;
    double begin, drawn; /* seconds */
};

void progress_start(struct progress *p, size_t total, bool wanted);
void progress_step(struct progress *p, size_t done, size_t people); /* totals so far; draws ten times a second at most */
void progress_clear(struct progress *p);                            /* at the end */
void progress_hide(void); /* wipes the bar, if one stands, before something else is printed; the next step draws it again */

#endif
