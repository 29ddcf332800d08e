/* SPDX-License-Identifier: MIT */
/* See base/unicode.h. NFD: Hangul is arithmetic (The Unicode Standard, chapter 3.12); the rest is a table of pairs, applied until nothing
 * comes apart any more; then marks of unlike class that follow one another are put in order. */
#include "base/unicode.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/unicode_table.h"

#define HANGUL 0xac00u
#define HANGUL_COUNT 11172u
#define COUNT(table) (sizeof(table) / sizeof *(table))
#define NO_UTF8 0x80000000u /* beside a byte that stays what it is */
#define MOST 4              /* characters that one becomes */

size_t utf8_length(const char *text)
{
    const unsigned char *p = (const unsigned char *)text;
    unsigned char low = 0x80, high = 0xbf;
    size_t n;
    if (p[0] < 0x80)
        return 1;
    if (p[0] >= 0xc2 && p[0] <= 0xdf)
        n = 2;
    else if (p[0] >= 0xe0 && p[0] <= 0xef)
        n = 3;
    else if (p[0] >= 0xf0 && p[0] <= 0xf4)
        n = 4;
    else
        return 0;
    if (p[0] == 0xe0)
        low = 0xa0;
    else if (p[0] == 0xed)
        high = 0x9f;
    else if (p[0] == 0xf0)
        low = 0x90;
    else if (p[0] == 0xf4)
        high = 0x8f;
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return n;
}

size_t utf8_visible(const char *text)
{
    const unsigned char *p = (const unsigned char *)text;
    const size_t n = utf8_length(text);
    const bool control = *p < 0x20 || *p == 0x7f || (n == 2 && p[0] == 0xc2 && p[1] < 0xa0);
    const bool direction = n == 3 && p[0] == 0xe2 &&
                           ((p[1] == 0x80 && p[2] >= 0xa8 && p[2] <= 0xae) || /* U+2028 to U+202E */
                            (p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9));  /* U+2066 to U+2069 */
    return control || direction ? 0 : n;
}

struct mark {
    uint32_t code;
    uint8_t kind;
};

/* One character of UTF-8, or one byte that is none. */
static uint32_t read_code(const char **p)
{
    const unsigned char *s = (const unsigned char *)*p;
    const size_t n = utf8_length(*p);
    uint32_t code = n == 0 ? NO_UTF8 | *s : n == 1 ? *s : *s & (0xffu >> (n + 1));
    for (size_t i = 1; i < n; i++)
        code = code << 6 | (s[i] & 0x3fu);
    *p += n ? n : 1;
    return code;
}

static char *write_code(char *to, uint32_t code)
{
    if (code & NO_UTF8 || code < 0x80) {
        *to++ = (char)(code & 0xff);
    } else if (code < 0x800) {
        *to++ = (char)(0xc0 | code >> 6);
        *to++ = (char)(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        *to++ = (char)(0xe0 | code >> 12);
        *to++ = (char)(0x80 | (code >> 6 & 0x3f));
        *to++ = (char)(0x80 | (code & 0x3f));
    } else {
        *to++ = (char)(0xf0 | code >> 18);
        *to++ = (char)(0x80 | (code >> 12 & 0x3f));
        *to++ = (char)(0x80 | (code >> 6 & 0x3f));
        *to++ = (char)(0x80 | (code & 0x3f));
    }
    return to;
}

static uint8_t kind_of(uint32_t code)
{
    size_t low = 0, high = COUNT(nfd_classes);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (nfd_classes[middle].last < code)
            low = middle + 1;
        else
            high = middle;
    }
    return low < COUNT(nfd_classes) && nfd_classes[low].first <= code ? nfd_classes[low].kind : 0;
}

static const struct nfd_pair *pair_of(uint32_t code)
{
    size_t low = 0, high = COUNT(nfd_pairs);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (nfd_pairs[middle].from < code)
            low = middle + 1;
        else
            high = middle;
    }
    return low < COUNT(nfd_pairs) && nfd_pairs[low].from == code ? &nfd_pairs[low] : NULL;
}

/* code -> what it is made of, in out[MOST]; how many. */
static int take_apart(uint32_t *out, uint32_t code)
{
    if (code >= HANGUL && code < HANGUL + HANGUL_COUNT) {
        uint32_t i = code - HANGUL, tail = i % 28;
        out[0] = 0x1100 + i / 588, out[1] = 0x1161 + i % 588 / 28, out[2] = 0x11a7 + tail;
        return tail ? 3 : 2;
    }
    int n = 1;
    out[0] = code;
    for (const struct nfd_pair *p; n <= MOST && (p = pair_of(out[0]));) { /* only the first of a pair comes apart again */
        out[0] = p->first;
        if (!p->second)
            continue;
        memmove(out + 2, out + 1, (size_t)(n - 1) * sizeof *out);
        out[1] = p->second;
        n++;
    }
    return n;
}

char *nfd(const char *text)
{
    size_t length = strlen(text), count = 0;
    struct mark *all = malloc((length * MOST + 1) * sizeof *all);
    char *out = malloc(length * MOST * 4 + 1), *to = out;
    for (const char *p = text; all && out && *p;) {
        uint32_t parts[MOST + 1];
        int n = take_apart(parts, read_code(&p));
        for (int i = 0; i < n; i++) {
            struct mark m = {parts[i], kind_of(parts[i])};
            size_t at = count++;
            for (; m.kind && at > 0 && all[at - 1].kind > m.kind; at--)
                all[at] = all[at - 1];
            all[at] = m;
        }
    }
    for (size_t i = 0; all && out && i < count; i++)
        to = write_code(to, all[i].code);
    if (all && out)
        *to = 0;
    else
        free(out), out = NULL;
    free(all);
    return out;
}
