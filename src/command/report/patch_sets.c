/* SPDX-License-Identifier: MIT */
/* command/report/patch_sets.c - see command/report/patch_sets.h. */
#include "command/report/patch_sets.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/fingerprint.h"
#include "model/model.h"

#define MAX_BYTES ((size_t)1 << 20)

void patch_sets_close(struct patch_sets *s)
{
    free(s->heads);
    *s = (struct patch_sets){0};
}

/* Without its spaces at both ends, in place. */
static char *trim(char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    for (size_t n = strlen(text); n > 0 && isspace((unsigned char)text[n - 1]); n--)
        text[n - 1] = 0;
    return text;
}

/* Without any. */
static void squeeze(char *text)
{
    char *to = text;
    for (const char *from = text; *from; from++)
        if (!isspace((unsigned char)*from))
            *to++ = *from;
    *to = 0;
}

static limber_status add_line(struct patch_sets *s, char *line, const struct config *c, limber_error *err)
{
    const size_t heads = (size_t)c->layers * (size_t)c->heads;
    line = trim(line);
    if (!*line || *line == '#')
        return LIMBER_OK;
    char *colon = strchr(line, ':');
    if (!colon || colon == line)
        return limber_fail(err, LIMBER_E_FORMAT, "\"%.40s\": expected NAME: LAYER.HEAD,...", line);
    *colon = 0;
    squeeze(colon + 1);
    trim(line);
    if (strlen(line) >= PATCH_SET_NAME)
        return limber_fail(err, LIMBER_E_FORMAT, "\"%.60s\": a name of more than %d bytes", line, PATCH_SET_NAME - 1);
    for (int i = 0; i < s->count; i++)
        if (!strcmp(s->name[i], line))
            return limber_fail(err, LIMBER_E_FORMAT, "two sets are called \"%s\"", line);
    if (s->count == PATCH_SETS)
        return limber_fail(err, LIMBER_E_FORMAT, "more than %d sets", PATCH_SETS);
    bool *named = NULL;
    limber_status st = prune_parse(colon + 1, c, &named, err);
    if (st)
        return limber_fail(err, LIMBER_E_FORMAT,
                           "set \"%s\": \"%.80s\" is no LAYER.HEAD,... with layers 0 to %d and heads 0 to %d", line, colon + 1,
                           c->layers - 1, c->heads - 1);
    memcpy(s->name[s->count], line, strlen(line) + 1);
    for (size_t h = 0; h < heads; h++)
        s->heads[(size_t)s->count * heads + h] = named[h];
    s->count++;
    free(named);
    return LIMBER_OK;
}

limber_status patch_sets_open(struct patch_sets *out, const char *path, const struct config *c, limber_error *err)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    *out = (struct patch_sets){0};
    limber_status st = file_read(&bytes, &size, path, MAX_BYTES, err);
    char *text = st ? NULL : malloc(size + 1);
    if (!st)
        out->heads = calloc(PATCH_SETS, (size_t)c->layers * (size_t)c->heads);
    if (!st && (!text || !out->heads))
        st = limber_fail(err, LIMBER_E_MEMORY, "no memory for sets of heads");
    if (!st) {
        memcpy(text, bytes, size);
        text[size] = 0;
        out->content = fingerprint(FINGERPRINT_BEGIN, bytes, size);
    }
    int number = 1;
    for (char *line = text, *next; !st && line; line = next, number++) {
        if ((next = strchr(line, '\n')))
            *next++ = 0;
        if ((st = add_line(out, line, c, err)))
            limber_error_prefix(err, "line %d", number);
    }
    if (!st && !out->count)
        st = limber_fail(err, LIMBER_E_FORMAT, "no set: a line a set is expected, NAME: LAYER.HEAD,...");
    if (st) {
        limber_error_prefix(err, "%s", path);
        patch_sets_close(out);
    }
    free(text);
    free(bytes);
    return st;
}
