/* SPDX-License-Identifier: MIT */
/* base/text.c - see base/text.h. */
#define _POSIX_C_SOURCE 200809L
#include "base/text.h"

#include <locale.h>
#include <pthread.h>
#include <stdlib.h>

static locale_t c_locale; /* (locale_t)0 where there was no memory: then the caller's has to do */

static void make_locale(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

double text_number(const char *text, char **end)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_locale);
    const locale_t before = c_locale ? uselocale(c_locale) : (locale_t)0; /* of this thread alone */
    const double value = strtod(text, end);
    if (c_locale)
        uselocale(before);
    return value;
}
