/* SPDX-License-Identifier: MIT */
/* JSON of strangers: the bound before the parse, and reads that check. What is promised stands in base/json_read.h.
 *
 * What jansson 2.14 allocates on a 64-bit machine, malloc's own bytes included, every growing table counted at its worst moment
 * (old and new copy alive):
 *     object 224   array 128   pair in an object 128 + key   string 80 + bytes   number 32   place in an array 24
 * and the longest string three times more while its end is looked for.
 *
 * Measured at json_limits_header (100,000,000 bytes, 256 MiB; memory beyond the text itself, one Zen 5 core): 9.5 MB of "0,"
 * 192 MiB and 0.36 s; 2.4 MB of "{}," 176 MiB and 0.12 s; 5.9 MB of "\"\"," 165 MiB; 3.4 MB of "[]," 144 MiB; 67 MB in one string
 * 128 MiB and 0.85 s; 100 MB of strings of 128 bytes 143 MiB and 1.3 s, the slowest. More of any is refused by the pass alone,
 * which takes 0.05 s for 100 MB of brackets and 0.2 s for 100 MB of short strings. */
#define _GNU_SOURCE /* memmem */
#include "base/json_read.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

enum {
    COST_VALUE = 32 + 24, /* a number and its place: one for every comma, and one for the first of each container */
    COST_OBJECT = 224 + COST_VALUE,
    COST_ARRAY = 128 + COST_VALUE,
    COST_PAIR = 128,
    COST_STRING = 80,
};

const struct json_limits json_limits_header = {100000000, (size_t)256 << 20, 64};
const struct json_limits json_limits_config = {(size_t)16 << 20, (size_t)64 << 20, 64};
const struct json_limits json_limits_annotations = {(size_t)1 << 30, (size_t)8 << 30, 64};

/* The linear pass. It need not know whether the text is valid: jansson stops at the first fault, so it never allocates more than
 * the brackets and commas before that fault allow. */
static limber_status check_limits(const char *text, size_t size, const struct json_limits *limits, limber_error *err)
{
    uint64_t cost = 0, longest = 0;
    int depth = 0;
    for (size_t i = 0; i < size; i++) {
        switch (text[i]) {
        case '"': {
            size_t start = ++i;
            while (i < size && text[i] != '"')
                i += text[i] == '\\' ? 2 : 1;
            uint64_t length = (i < size ? i : size) - start;
            longest = length > longest ? length : longest;
            cost += COST_STRING + length;
            break;
        }
        case '{':
        case '[':
            cost += text[i] == '{' ? COST_OBJECT : COST_ARRAY;
            if (++depth > limits->depth)
                return limber_fail(err, LIMBER_E_FORMAT, "JSON: nested deeper than %d at byte %zu", limits->depth, i);
            break;
        case '}':
        case ']':
            depth--;
            break;
        case ',':
            cost += COST_VALUE;
            break;
        case ':':
            cost += COST_PAIR;
            break;
        default:
            break;
        }
    }
    if (cost + 3 * longest > limits->memory)
        return limber_fail(err, LIMBER_E_MEMORY, "JSON: %zu bytes of text would take up to %llu MiB parsed, the limit is %zu MiB",
                           size, (unsigned long long)((cost + 3 * longest) >> 20), limits->memory >> 20);
    return LIMBER_OK;
}

limber_status json_parse(json_t **out, const char *text, size_t size, const struct json_limits *limits, limber_error *err)
{
    *out = NULL;
    if (size > limits->bytes)
        return limber_fail(err, LIMBER_E_MEMORY, "JSON: %zu bytes of text, the limit is %zu", size, limits->bytes);
    if (size > 1 && (!memcmp(text, "\xff\xfe", 2) || !memcmp(text, "\xfe\xff", 2) || !text[0] != !text[1]))
        return limber_fail(err, LIMBER_E_FORMAT, "JSON: the text is UTF-16, as Windows PowerShell writes it: save it as UTF-8");
    limber_status st = check_limits(text, size, limits, err);
    if (st != LIMBER_OK)
        return st;
    json_error_t at = {0}; /* a parser of another build fills it: known to be written, to the memory sanitizer too */
    *out = json_loadb(text, size, JSON_REJECT_DUPLICATES, &at);
    if (*out)
        return LIMBER_OK;
    if (json_error_code(&at) == json_error_out_of_memory)
        return limber_fail(err, LIMBER_E_MEMORY, "JSON: out of memory");
    for (char *c = at.text; *c; c++) /* jansson quotes the text near the fault, whatever is in it */
        if ((unsigned char)*c < ' ' || *c == 127)
            *c = '?';
    return limber_fail(err, LIMBER_E_FORMAT, "JSON: line %d, column %d: %s", at.line, at.column, at.text);
}

/* \udcXX -> U+10FFXX, as a pair of surrogates. */
static char *with_lone_bytes_named(const char *text, size_t *size)
{
    char *out = malloc(2 * *size + 1), *to = out;
    for (size_t i = 0; out && i < *size;) {
        const bool lone = *size - i >= 6 && !memcmp(text + i, "\\udc", 4);
        const size_t n = lone ? 6 : text[i] == '\\' && i + 1 < *size ? 2 : 1;
        if (lone)
            to += sprintf(to, "\\udbff\\udf%.2s", text + i + 4);
        else
            to = (char *)memcpy(to, text + i, n) + n;
        i += n;
    }
    if (out)
        *size = (size_t)(to - out);
    return out;
}

void json_put_bytes_back(char *name)
{
    char *to = name;
    for (const unsigned char *p = (unsigned char *)name; *p;) {
        const bool lone = p[0] == 0xf4 && p[1] == 0x8f && (p[2] & 0xfe) == 0xbe;
        *to++ = (char)(lone ? (p[2] & 3) << 6 | (p[3] & 0x3f) : *p);
        p += lone ? 4 : 1;
    }
    *to = 0;
}

limber_status json_parse_own(json_t **out, bool *lone, const char *text, size_t size, const struct json_limits *limits,
                             limber_error *err)
{
    limber_status st = json_parse(out, text, size, limits, err);
    *lone = st && memmem(text, size, "\\udc", 4);
    char *named = *lone ? with_lone_bytes_named(text, &size) : NULL;
    if (named)
        st = json_parse(out, named, size, limits, err);
    free(named);
    return st;
}

const char *json_show(char text[JSON_SHOW], const json_t *value)
{
    switch (value ? json_typeof(value) : JSON_NULL) {
    case JSON_OBJECT:
        snprintf(text, JSON_SHOW, "an object of %zu", json_object_size(value));
        break;
    case JSON_ARRAY:
        snprintf(text, JSON_SHOW, "an array of %zu", json_array_size(value));
        break;
    case JSON_STRING: {
        const char *string = json_string_value(value);
        size_t length = json_string_length(value), shown = length;
        if (length > JSON_SHOW - 8)
            for (shown = JSON_SHOW - 8; shown && ((unsigned char)string[shown] & 0xc0) == 0x80;)
                shown--; /* not through the middle of a character */
        snprintf(text, JSON_SHOW, "\"%.*s%s\"", (int)shown, string, shown < length ? "..." : "");
        for (char *c = text; *c; c++)
            if ((unsigned char)*c < ' ' || *c == 127)
                *c = '?';
        break;
    }
    case JSON_INTEGER:
        snprintf(text, JSON_SHOW, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        break;
    case JSON_REAL:
        snprintf(text, JSON_SHOW, "%.9g", json_real_value(value));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        snprintf(text, JSON_SHOW, "%s", json_is_true(value) ? "true" : "false");
        break;
    case JSON_NULL:
        snprintf(text, JSON_SHOW, "null");
        break;
    }
    return text;
}

/* The value to read, or NULL where the default stays. */
static const json_t *present(const json_t *object, const char *key)
{
    const json_t *v = json_object_get(object, key);
    return json_is_null(v) ? NULL : v;
}

limber_status json_read_int(const json_t *object, const char *key, int low, int high, int *value, limber_error *err)
{
    const json_t *v = present(object, key);
    if (!v)
        return LIMBER_OK;
    char text[JSON_SHOW];
    if (!json_is_integer(v) || json_integer_value(v) < low || json_integer_value(v) > high)
        return limber_fail(err, LIMBER_E_FORMAT, "%s is %s, expected a whole number from %d to %d", key, json_show(text, v), low,
                           high);
    *value = (int)json_integer_value(v);
    return LIMBER_OK;
}

limber_status json_read_number(const json_t *object, const char *key, double low, double high, double *value, limber_error *err)
{
    const json_t *v = present(object, key);
    if (!v)
        return LIMBER_OK;
    char text[JSON_SHOW];
    if (!json_is_number(v) || !(json_number_value(v) >= low && json_number_value(v) <= high))
        return limber_fail(err, LIMBER_E_FORMAT, "%s is %s, expected a number from %g to %g", key, json_show(text, v), low, high);
    *value = json_number_value(v);
    return LIMBER_OK;
}

limber_status json_read_bool(const json_t *object, const char *key, bool *value, limber_error *err)
{
    const json_t *v = present(object, key);
    if (!v)
        return LIMBER_OK;
    char text[JSON_SHOW];
    if (!json_is_boolean(v))
        return limber_fail(err, LIMBER_E_FORMAT, "%s is %s, expected true or false", key, json_show(text, v));
    *value = json_is_true(v);
    return LIMBER_OK;
}
