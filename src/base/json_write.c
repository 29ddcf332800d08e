/* SPDX-License-Identifier: MIT */
/* base/json_write.c - see base/json_write.h. Whether a comma is due is read off the last byte written: it is not after an opening bracket,
 * a colon, or the end of a line. */
#include "base/json_write.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/unicode.h"

static void add(struct json_text *t, const char *bytes, size_t n)
{
    if (t->failed)
        return;
    if (n >= t->room - t->length) { /* room > length always, once there is any: one byte for the NUL */
        size_t room = t->room ? t->room : 256;
        while (room - t->length <= n) {
            if (room > SIZE_MAX / 2) {
                t->failed = true;
                return;
            }
            room *= 2;
        }
        char *more = realloc(t->text, room);
        if (!more) {
            t->failed = true;
            return;
        }
        t->text = more;
        t->room = room;
    }
    memcpy(t->text + t->length, bytes, n);
    t->length += n;
    t->text[t->length] = 0;
}

static void add_text(struct json_text *t, const char *text)
{
    add(t, text, strlen(text));
}

static void indent(struct json_text *t)
{
    add_text(t, "\n");
    for (int i = 0; i < t->depth; i++)
        add_text(t, "  ");
}

/* What stands before a value or a key. */
static void separate(struct json_text *t)
{
    char last = t->length ? t->text[t->length - 1] : '\n';
    if (last == ' ') /* pretty: after a colon */
        return;
    if (!strchr("{[:\n", last))
        add_text(t, ",");
}

void put_open(struct json_text *t, char bracket)
{
    separate(t);
    add(t, &bracket, 1);
    t->depth += bracket == '{';
}

void put_close(struct json_text *t, char bracket)
{
    if (bracket == '}') {
        t->depth--;
        if (t->pretty && t->length && t->text[t->length - 1] != '{')
            indent(t);
    }
    add(t, &bracket, 1);
}

static void add_string(struct json_text *t, const char *bytes)
{
    add_text(t, "\"");
    for (const unsigned char *p = (const unsigned char *)bytes; *p;) {
        size_t n = utf8_length((const char *)p);
        char escape[8];
        if (*p == '"' || *p == '\\') {
            char two[2] = {'\\', (char)*p};
            add(t, two, 2);
        } else if (*p == '\n' || *p == '\t') {
            add_text(t, *p == '\n' ? "\\n" : "\\t");
        } else if (*p < 0x20 || *p == 0x7f || (n == 2 && *p == 0xc2 && p[1] < 0xa0)) { /* C0, DEL, C1: a terminal obeys them */
            snprintf(escape, sizeof escape, "\\u%04x", n == 2 ? p[1] : *p);
            add_text(t, escape);
        } else if (n == 0) {
            snprintf(escape, sizeof escape, "\\udc%02x", *p);
            add_text(t, escape);
        } else {
            add(t, (const char *)p, n);
        }
        p += n ? n : 1;
    }
    add_text(t, "\"");
}

void put_string(struct json_text *t, const char *bytes)
{
    separate(t);
    if (bytes)
        add_string(t, bytes);
    else
        add_text(t, "null");
}

void put_key(struct json_text *t, const char *key)
{
    separate(t);
    if (t->pretty)
        indent(t);
    add_string(t, key);
    add_text(t, t->pretty ? ": " : ":");
}

/* By integers, because printf's decimal point belongs to the caller's locale. */
void put_number(struct json_text *t, double value, int decimals)
{
    static const double powers[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9};
    double scaled = round(value * powers[decimals]);
    if (!isfinite(value)) {
        separate(t);
        add_text(t, "null");
        return;
    }
    if (!(fabs(scaled) < 9e15)) { /* no decimals left in a double of that size anyway */
        char digits[400];
        snprintf(digits, sizeof digits, "%.0f", value);
        separate(t);
        add_text(t, digits);
        return;
    }
    long long whole = (long long)scaled, unit = (long long)powers[decimals];
    unsigned long long size = (unsigned long long)(whole < 0 ? -whole : whole);
    char text[48];
    int n = snprintf(text, sizeof text, "%s%llu", whole < 0 ? "-" : "", size / (unsigned long long)unit);
    unsigned long long rest = size % (unsigned long long)unit;
    if (rest) {
        n += snprintf(text + n, sizeof text - (size_t)n, ".%0*llu", decimals, rest);
        while (text[n - 1] == '0')
            n--;
    }
    separate(t);
    add(t, text, (size_t)n);
}

void put_integer(struct json_text *t, long long value)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", value);
    separate(t);
    add_text(t, text);
}

void put_bool(struct json_text *t, bool value)
{
    separate(t);
    add_text(t, value ? "true" : "false");
}

void put_newline(struct json_text *t)
{
    add_text(t, "\n");
}

void put_raw(struct json_text *t, const char *text, size_t length)
{
    separate(t);
    add(t, text, length);
}

void put_bytes(struct json_text *t, const char *bytes, size_t length)
{
    add(t, bytes, length);
}

void put_clear(struct json_text *t)
{
    t->length = 0;
    t->depth = 0;
}

void put_free(struct json_text *t)
{
    free(t->text);
    *t = (struct json_text){.pretty = t->pretty};
}
