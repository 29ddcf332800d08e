/* SPDX-License-Identifier: MIT */
/* base/json_read.h - JSON of strangers, read by jansson within stated memory.
 *
 * A parsed value costs far more than its text: "{}," is three bytes, and 336 in memory. So one linear pass over the bytes comes
 * first (no allocation): it counts brackets, commas, colons and strings, bounds from them what jansson will allocate, and
 * refuses a text that is too deep or would pass the limit. jansson then checks the grammar, UTF-8 and numbers; it seeds its hash
 * tables at random, so chosen keys do not make it quadratic, and duplicate keys are errors.
 *
 * Worst cases at json_limits_header, measured: 192 MiB beyond the text itself, and 1.3 s (base/json_read.c has the list;
 * tests/model/test_safetensors.c keeps the bounds). */
#ifndef LIMBER_JSON_UTIL_H
#define LIMBER_JSON_UTIL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "limber.h"

struct json_limits {
    size_t bytes;  /* of the text */
    size_t memory; /* bytes that the parsed tree may take at its peak, by an upper bound */
    int depth;     /* nesting */
};
extern const struct json_limits json_limits_header;      /* safetensors: 100,000,000 bytes, 256 MiB, depth 64 */
extern const struct json_limits json_limits_config;      /* config.json and its like: 16 MiB, 64 MiB, depth 64 */
extern const struct json_limits json_limits_annotations; /* COCO files and boxes: 1 GiB, 8 GiB, depth 64 */

/* Parses all of text[size] (not NUL-terminated). On success *out is one reference for the caller to json_decref. The error gives
 * line and column, or what the limit is. */
limber_status json_parse(json_t **out, const char *text, size_t size, const struct json_limits *limits, limber_error *err);

/* The same of text that base/json_write.h wrote, where a byte that is no UTF-8 stands as \udcXX, a surrogate alone, which no JSON
 * reader takes. *lone: there are such; each is U+10FFXX in the result, which is no character and never will be one, until
 * json_put_bytes_back. */
limber_status json_parse_own(json_t **out, bool *lone, const char *text, size_t size, const struct json_limits *limits,
                             limber_error *err);
void json_put_bytes_back(char *text); /* in place: it only becomes shorter */

/* The reads below leave *value alone where the key is absent or null, and say what stands there where it is of another kind or
 * out of [low, high]. A whole number must be written as one: 3.0 is not. */
limber_status json_read_int(const json_t *object, const char *key, int low, int high, int *value, limber_error *err);
limber_status json_read_number(const json_t *object, const char *key, double low, double high, double *value, limber_error *err);
limber_status json_read_bool(const json_t *object, const char *key, bool *value, limber_error *err);

#define JSON_SHOW 72
/* A value as an error message quotes it: "12", "\"gelu_new\"" (cut, control characters replaced), "an array of 3". */
const char *json_show(char text[JSON_SHOW], const json_t *value);

#endif
