/* SPDX-License-Identifier: MIT */
/* base/unicode.h - UTF-8, and names compared as people read them: macOS writes the e with an accent as two characters, others as
 * one. */
#ifndef LIMBER_UNICODE_H
#define LIMBER_UNICODE_H

#include <stddef.h>

/* Length of the UTF-8 character at text (Unicode 15, table 3-7: no overlong forms, no surrogates), 0 where there is none. The NUL
 * at the end is no continuation byte, so nothing is read past it. */
size_t utf8_length(const char *text);

/* The same of a character that only shows, and is not obeyed: 0 also for control characters (U+009B begins an escape sequence) and
 * for what turns the direction of a line or breaks it. */
size_t utf8_visible(const char *text);

/* Unicode's canonical decomposition (NFD) of `text`, to free; NULL: no memory. Bytes that are no UTF-8 stay as they are. Equal
 * results mean that Unicode calls the texts equal; compatibility ideographs are left alone. */
char *nfd(const char *text);

#endif
