/* SPDX-License-Identifier: MIT */
/* command/stop.h - ending by a signal without losing a line. */
#ifndef LIMBER_CLI_STOP_H
#define LIMBER_CLI_STOP_H

#include <signal.h>

/* After this, the first SIGINT, SIGTERM or SIGHUP (unless nohup has it ignored) only sets the flag; long loops look at it, finish their line, and leave with
 * CLI_INTERRUPTED. A second one ends the process at once. SIGPIPE and SIGXFSZ are
 * ignored: a closed pipe and a file that may grow no further are write errors. */
void cli_catch_signals(void);
extern volatile sig_atomic_t cli_stopped;

#endif
