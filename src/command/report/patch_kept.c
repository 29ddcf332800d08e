/* SPDX-License-Identifier: MIT */
/* command/report/patch_kept.c - see command/report/patch_kept.h. */
#include "command/report/patch_kept.h"

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json_read.h"
#include "command/say.h"

#define NAME "patch.kept"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* The first member that differs; NULL: none. */
static const char *difference(const json_t *a, const json_t *b)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)a, key, v)
    {
        const json_t *other = json_object_get(b, key);
        if (!other || !json_equal(v, other))
            return key;
    }
    return json_object_size(a) == json_object_size(b) ? NULL : "its members";
}

static int check_about(const struct patch_kept *k, const char *text, size_t length)
{
    json_t *was = NULL, *is = NULL;
    limber_error err;
    bool lone;
    int status = CLI_DONE;
    if (json_parse_own(&was, &lone, text, length, &json_limits_config, &err) || !json_is_object(was) ||
        json_parse_own(&is, &lone, k->about, strlen(k->about), &json_limits_config, &err))
        status = cli_fail("%s: its first line does not say what made it: --resume cannot go on with it", k->file.name);
    const char *key = status ? NULL : difference(is, was);
    if (key) {
        char *a = json_dumps(json_object_get(was, key), JSON_ENCODE_ANY),
             *b = json_dumps(json_object_get(is, key), JSON_ENCODE_ANY);
        status = cli_fail("%s was made with %s %s, this run has %s: --resume goes on with the same, or choose another --out",
                          k->file.name, key, a ? a : "not stated", b ? b : "none");
        free(a);
        free(b);
    }
    json_decref(was);
    json_decref(is);
    return status;
}

static size_t decode(uint8_t *out, const char *text, size_t length)
{
    int8_t value[256];
    size_t n = 0;
    uint32_t bits = 0;
    memset(value, -1, sizeof value);
    for (int i = 0; i < 64; i++)
        value[(unsigned char)digits[i]] = (int8_t)i;
    for (size_t i = 0; i < length; i++) {
        const int v = value[(unsigned char)text[i]];
        if (v < 0)
            return 0;
        bits = bits << 6 | (uint32_t)v;
        if (i % 4)
            out[n++] = (uint8_t)(bits >> (6 - 2 * (i % 4)));
    }
    return n;
}

static int read_line(void *context, const char *text, size_t length)
{
    struct patch_kept *k = context;
    char *end;
    if (text[0] == '{')
        return check_about(k, text, length);
    const unsigned long long input = strtoull(text, &end, 10);
    const size_t digits_left = length - (size_t)(end - text) - (*end == ' ');
    if (end == text || *end != ' ' || input >= k->inputs)
        return cli_fail("%s: \"%.20s\" does not begin a line of it", k->file.name, text);
    double *record = malloc(digits_left + sizeof *record);
    if (!record)
        return cli_fail("no memory for %s", k->file.name);
    const size_t bytes = decode((uint8_t *)record, end + 1, digits_left);
    if (!bytes || bytes % sizeof *record) {
        free(record);
        return cli_fail("%s: the line of image %llu is damaged", k->file.name, input);
    }
    k->found += !k->image[input];
    free(k->image[input]);
    k->image[input] = record;
    k->size[input] = bytes / sizeof *record;
    return CLI_DONE;
}

int patch_kept_open(struct patch_kept *k, const char *dir, bool resume, size_t inputs, struct json_text *about)
{
    *k = (struct patch_kept){.file = OUTPUT_CLOSED, .inputs = inputs};
    k->image = calloc(inputs + 1, sizeof *k->image);
    k->size = calloc(inputs + 1, sizeof *k->size);
    k->about = about->failed ? NULL : about->text;
    if (k->about)
        *about = (struct json_text){0};
    if (!k->image || !k->size || !k->about)
        return cli_fail("no memory for %s", NAME);
    int status = resume ? output_resume(&k->file, dir, NAME, read_line, k) : output_new(&k->file, dir, NAME);
    if (!status && k->file.whole == 0) {
        status = output_write(&k->file, k->about, strlen(k->about));
        status = status ? status : output_write(&k->file, "\n", 1);
    }
    return status;
}

int patch_kept_add(struct patch_kept *k, size_t input, const double *record, size_t size)
{
    const uint8_t *bytes = (const uint8_t *)record;
    const size_t n = size * sizeof *record;
    char *text = malloc(n * 4 / 3 + 32);
    if (!text)
        return cli_fail("no memory for %s", NAME);
    size_t at = (size_t)sprintf(text, "%zu ", input);
    for (size_t i = 0; i < n; i += 3) {
        const size_t some = n - i < 3 ? n - i : 3;
        const uint32_t v =
            (uint32_t)bytes[i] << 16 | (some > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) | (some > 2 ? bytes[i + 2] : 0);
        for (size_t d = 0; d <= some; d++)
            text[at++] = digits[v >> (18 - 6 * d) & 63];
    }
    text[at++] = '\n';
    const int status = output_write(&k->file, text, at);
    free(text);
    return status;
}

int patch_kept_close(struct patch_kept *k)
{
    const int status = k->file.fd >= 0 ? output_close(&k->file) : CLI_DONE;
    for (size_t i = 0; k->image && i < k->inputs; i++)
        free(k->image[i]);
    free(k->image);
    free(k->size);
    free(k->about);
    *k = (struct patch_kept){.file = OUTPUT_CLOSED};
    return status;
}
