/* SPDX-License-Identifier: MIT */
/* base/json_write.h - JSON text, written into memory that grows, with commas and escapes taken care of.
 * (json_... is jansson's, which reads.)
 *
 *     struct json_text t = {0};
 *     put_open(&t, '{');
 *     put_key(&t, "image"), put_string(&t, path);
 *     put_key(&t, "box"), put_open(&t, '['), put_number(&t, x, 2), put_number(&t, y, 2), put_close(&t, ']');
 *     put_close(&t, '}');
 *     if (t.failed) ... no memory ...
 *     put_free(&t);
 *
 * Strings: file names are bytes, JSON is Unicode. Valid UTF-8 stands as it is; a byte that is not part of any becomes \udcXX,
 * as Python's os.fsdecode has it, so json.loads and os.fsencode give the name back.
 * Numbers: rounded to a fixed count of decimals, trailing zeros dropped, never in a locale's dialect; NaN and infinity, which
 * JSON cannot say, become null. */
#ifndef LIMBER_JSON_WRITE_H
#define LIMBER_JSON_WRITE_H

#include <stdbool.h>
#include <stddef.h>

struct json_text {
    char *text; /* NUL-terminated once anything was written */
    size_t length, room;
    bool failed; /* an allocation did; nothing more is written */
    bool pretty; /* a member a line, indented; arrays stay on their line */
    int depth;   /* of open objects */
};

void put_open(struct json_text *t, char bracket);  /* '{' or '[' */
void put_close(struct json_text *t, char bracket); /* '}' or ']' */
void put_key(struct json_text *t, const char *key);
void put_string(struct json_text *t, const char *bytes);          /* NULL: null */
void put_number(struct json_text *t, double value, int decimals); /* 0..9 */
void put_integer(struct json_text *t, long long value);
void put_bool(struct json_text *t, bool value);
void put_newline(struct json_text *t); /* ends a document or a line of JSON Lines */
/* Bytes as they are, where a value may stand: already JSON. */
void put_raw(struct json_text *t, const char *text, size_t length);
/* Bytes with nothing put before them: between values, or text that is no JSON at all. */
void put_bytes(struct json_text *t, const char *bytes, size_t length);
void put_clear(struct json_text *t); /* empty again, memory kept */
void put_free(struct json_text *t);

#endif
