/* SPDX-License-Identifier: MIT */
/* base/text.h - characters and numbers of files and options, read the same whatever locale the program has set. */
#ifndef LIMBER_TEXT_H
#define LIMBER_TEXT_H

#include <stdbool.h>

/* ASCII; every other byte is none of these. */
static inline bool text_is_digit(char c)
{
    return c >= '0' && c <= '9';
}
static inline bool text_is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}
static inline bool text_is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}
static inline bool text_is_alnum(char c)
{
    return text_is_digit(c) || text_is_upper(c) || text_is_lower(c);
}
static inline bool text_is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}
static inline char text_lower(char c)
{
    return text_is_upper(c) ? (char)(c - 'A' + 'a') : c;
}

/* strtod of the C locale: the decimal point is a point. *end is `text` where no number begins; errno as strtod sets it. */
double text_number(const char *text, char **end);

#endif
