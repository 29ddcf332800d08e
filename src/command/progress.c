/* SPDX-License-Identifier: MIT */
/* command/progress.c - see command/progress.h. The rate is the mean since the start: all that was seen guesses best. */
#define _GNU_SOURCE
#include "command/progress.h"
#include "base/system.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

/* Whether a bar stands in the terminal's last line: guarded by the lock of stderr, which whoever writes there holds. */
static bool bar_stands;

void progress_start(struct progress *p, size_t total, bool wanted)
{
    *p = (struct progress){.shown = wanted && isatty(STDERR_FILENO), .total = total, .begin = system_now()};
}

static int columns(void)
{
    struct winsize w;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0 ? w.ws_col : 80;
}

static void clock_text(char out[32], double seconds)
{
    long s = (long)(seconds + 0.5);
    if (s >= 3600)
        snprintf(out, 32, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(out, 32, "%ld:%02ld", s / 60, s % 60);
}

void progress_step(struct progress *p, size_t done, size_t people)
{
    double t = system_now();
    p->done = done;
    p->people = people;
    if (!p->shown || t - p->drawn < 0.1)
        return;
    p->drawn = t;
    double passed = t - p->begin;
    char text[160], left[32] = "-:--";
    if (done > 0)
        clock_text(left, passed / (double)done * (double)(p->total - done));
    int n = snprintf(text, sizeof text, " %zu/%zu images  %.1f images/s  %.1f people/s  %s left", done, p->total,
                     (double)done / passed, (double)people / passed, left);
    int width = columns() - 1, bar = width - n - 2;
    char line[512] = "";
    int at = 0;
    if (bar > 40)
        bar = 40;
    if (bar >= 8) {
        int full = p->total ? (int)((double)bar * (double)done / (double)p->total) : bar;
        line[at++] = '[';
        for (int i = 0; i < bar; i++)
            line[at++] = i < full ? '#' : '.';
        line[at++] = ']';
        line[at] = 0;
    }
    snprintf(line + at, sizeof line - (size_t)at, "%s", text);
    flockfile(stderr);
    fprintf(stderr, "\r%.*s\033[K", width, line);
    fflush(stderr);
    bar_stands = true;
    funlockfile(stderr);
}

void progress_hide(void)
{
    flockfile(stderr);
    if (bar_stands)
        fputs("\r\033[K", stderr);
    bar_stands = false;
    funlockfile(stderr);
}

void progress_clear(struct progress *p)
{
    progress_hide();
    p->drawn = 0;
}
