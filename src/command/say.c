/* SPDX-License-Identifier: MIT */
/* command/say.c - see command/say.h. */
#define _POSIX_C_SOURCE 200809L
#include "command/say.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/unicode.h"
#include "command/progress.h"

/* A name with a newline or an escape sequence in it must not move the terminal's cursor. */
static void print_visibly(FILE *f, const char *text)
{
    for (const char *p = text; *p;) {
        const size_t n = utf8_visible(p);
        if (n)
            fwrite(p, 1, n, f);
        else if (*p == '\n')
            fputs("\\n", f);
        else
            fprintf(f, "\\x%02x", (unsigned char)*p);
        p += n ? n : 1;
    }
}

void cli_say(const char *command, const char *format, va_list ap)
{
    char text[4096];
    vsnprintf(text, sizeof text, format, ap);
    flockfile(stderr); /* one line a message, whichever thread speaks */
    progress_hide();
    fprintf(stderr, "limber%s%s: ", command ? " " : "", command ? command : "");
    print_visibly(stderr, text);
    fputc('\n', stderr);
    funlockfile(stderr);
}

int cli_fail(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    cli_say(NULL, format, ap);
    va_end(ap);
    return CLI_NOTHING;
}

void cli_warn(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    cli_say(NULL, format, ap);
    va_end(ap);
}

/* Levenshtein distance, for "did you mean". Names are short; anything longer than the row is far from all of them. */
static int distance(const char *a, const char *b)
{
    int row[65];
    size_t n = strlen(b);
    if (n > 64)
        return INT_MAX;
    for (size_t j = 0; j <= n; j++)
        row[j] = (int)j;
    for (; *a; a++) {
        int diagonal = row[0]++;
        for (size_t j = 1; j <= n; j++) {
            int best = diagonal + (*a != b[j - 1]);
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[n];
}

void cli_nearer(const char *typed, const char *candidate, const char **best, int *best_distance)
{
    int d = distance(typed, candidate);
    if (d < *best_distance && d <= 1 + (int)strlen(candidate) / 3) {
        *best = candidate;
        *best_distance = d;
    }
}
