#include "error.h"

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

void limber_error_prefix(limber_error *err, const char *format, ...)
{
    if (!err)
        return;
    char old[sizeof err->text];
    memcpy(old, err->text, sizeof old);
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(err->text, sizeof err->text, format, ap);
    va_end(ap);
    if (n < 0 || (size_t)n + 2 >= sizeof err->text)
        return;
    snprintf(err->text + n, sizeof err->text - (size_t)n, ": %s", old);
}

const char *limber_status_name(limber_status status)
{
    static const char *const names[] = {"ok", "argument", "io", "format", "model", "unsupported", "memory", "backend"};
    return (unsigned)status < sizeof names / sizeof *names ? names[status] : "unknown";
}
