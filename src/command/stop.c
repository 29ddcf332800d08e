/* SPDX-License-Identifier: MIT */
/* command/stop.c - see command/stop.h. The flag is the only thing a handler touches. */
#define _POSIX_C_SOURCE 200809L
#include "command/stop.h"

#include <stddef.h>

volatile sig_atomic_t cli_stopped;

static void stop(int signal_number)
{
    (void)signal_number;
    cli_stopped = 1;
}

void cli_catch_signals(void)
{
    struct sigaction once = {.sa_handler = stop, .sa_flags = (int)SA_RESETHAND}; /* the second one kills */
    sigemptyset(&once.sa_mask);
    sigaction(SIGINT, &once, NULL);
    sigaction(SIGTERM, &once, NULL);
    struct sigaction was;
    if (sigaction(SIGHUP, NULL, &was) == 0 && was.sa_handler != SIG_IGN) /* nohup: the terminal may go, the run stays */
        sigaction(SIGHUP, &once, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
}
