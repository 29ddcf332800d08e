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

/* Length of a character that a terminal only shows; 0: it obeys it, or it is none. Not shown are C1 control characters (U+009B
 * begins an escape sequence), and what turns the direction of a line or breaks it. */
static size_t shown(const char *text)
{
    const unsigned char *p = (const unsigned char *)text;
    const size_t n = utf8_length(text);
    const bool control = *p < 0x20 || *p == 0x7f || (n == 2 && p[0] == 0xc2 && p[1] < 0xa0);
    const bool direction = n == 3 && p[0] == 0xe2 &&
                           ((p[1] == 0x80 && p[2] >= 0xa8 && p[2] <= 0xae) || /* U+2028 to U+202E */
                            (p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9));  /* U+2066 to U+2069 */
    return control || direction ? 0 : n;
}

/* A name with a newline or an escape sequence in it must not move the terminal's cursor. */
static void print_visibly(FILE *f, const char *text)
{
    for (const char *p = text; *p;) {
        const size_t n = shown(p);
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
