/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

limber_status limber_fail(limber_error *err, limber_status status, const char *format, ...)
{
    if (err) {
        va_list ap;
        va_start(ap, format);
        vsnprintf(err->text, sizeof err->text, format, ap);
        va_end(ap);
        err->status = status;
    }
    return status;
}

const char *error_text_into(char text[], int number)
{
    if (strerror_r(number, text, ERROR_TEXT_BYTES)) /* POSIX's, not GNU's */
        snprintf(text, ERROR_TEXT_BYTES, "error %d", number);
    return text;
}

void limber_error_prefix(limber_error *err, const char *format, ...)
{
    if (!err)
        return;
    char prefix[sizeof err->text];
    va_list ap;
    va_start(ap, format);
    vsnprintf(prefix, sizeof prefix, format, ap);
    va_end(ap);
    size_t room = sizeof err->text - 1, n = strlen(prefix);
    if (n + 2 >= room)
        return; /* the sentence says more than where it was */
    size_t keep = strnlen(err->text, room - n - 2);
    memmove(err->text + n + 2, err->text, keep);
    memcpy(err->text, prefix, n);
    memcpy(err->text + n, ": ", 2);
    err->text[n + 2 + keep] = '\0';
}

const char *limber_status_name(limber_status status)
{
    static const char *const names[] = {"ok", "argument", "io", "format", "model", "unsupported", "memory", "backend"};
    return (unsigned)status < sizeof names / sizeof *names ? names[status] : "unknown";
}

limber_status limber_reserved_are_zero(const int *reserved, size_t count, const char *what, const char *started_from,
                                       limber_error *err)
{
    for (size_t i = 0; i < count; i++)
        if (reserved[i])
            return limber_fail(err, LIMBER_E_ARGUMENT,
                               "%s: reserved[%zu] is %d, expected 0: not started from %s, or made for a newer limber?", what, i,
                               reserved[i], started_from);
    return LIMBER_OK;
}
