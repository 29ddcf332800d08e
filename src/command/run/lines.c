/* SPDX-License-Identifier: MIT */
/* command/run/lines.c - see command/run/lines.h. */
#define _GNU_SOURCE
#include "command/run/lines.h"

#include <stdlib.h>
#include <string.h>

#include "command/options.h"
#include "base/array.h"

/* Behind `key` and a whole number; NULL: something else is there. */
static const char *skip_number(const char *p, const char *key)
{
    const size_t n = strlen(key);
    if (!p || strncmp(p, key, n))
        return NULL;
    return p + n + strspn(p + n, "0123456789");
}

/* The name behind `head`, and where the rest begins. */
static bool parse_name(struct line *out, const char *head, const char *text, size_t length)
{
    size_t i = strlen(head);
    if (length < i || memcmp(text, head, i) || text[length - 1] != '}')
        return false;
    while (i < length && text[i] != '"')
        i += text[i] == '\\' ? 2 : 1;
    if (i >= length)
        return false;
    *out = (struct line){.name = text + strlen(head) - 1, .rest = text + i + 1};
    out->name_length = (size_t)(out->rest - out->name);
    return true;
}

bool line_parse_frame(struct line *out, const char *text, size_t length)
{
    static const char error[] = ",\"error\":", frame[] = ",\"frame\":", joints[] = "\"keypoints\":";
    if (!parse_name(out, "{\"video\":\"", text, length))
        return false;
    out->frame = -1;
    out->failed = !strncmp(out->rest, error, sizeof error - 1);
    if (out->failed)
        return true;
    const char *p = skip_number(out->rest, frame);
    if (!p || strncmp(p, ",\"time\":", 8))
        return false;
    out->frame = strtoll(out->rest + sizeof frame - 1, NULL, 10);
    out->failed = strstr(p, error) != NULL;
    for (; (p = strstr(p, joints)); p++) /* inside a string the quotes would be escaped */
        out->people++;
    return true;
}

bool line_parse(struct line *out, const char *text, size_t length)
{
    if (!parse_name(out, "{\"image\":\"", text, length))
        return false;
    static const char error[] = ",\"error\":", boxes[] = ",\"boxes\":[", people[] = ",\"people\":[", box[] = "{\"box\":[";
    out->failed = !strncmp(out->rest, error, sizeof error - 1);
    if (out->failed)
        return true;
    const char *p = skip_number(skip_number(out->rest, ",\"width\":"), ",\"height\":");
    if (!p)
        return false;
    out->boxes = !strncmp(p, boxes, sizeof boxes - 1);
    if (out->boxes) {
        for (p += sizeof boxes - 1; *p == '[' || *p == ','; p += strcspn(p, "]") + 1)
            out->people++;
        return *p == ']';
    }
    if (strncmp(p, people, sizeof people - 1))
        return false;
    for (; (p = strstr(p, box)); p++) /* inside a string the quotes would be escaped */
        out->people++;
    return true;
}

static int hex(char c)
{
    return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

/* What json_string wrote: \" \\ \n \t, \u00XX of a control character (of two bytes from \u0080 on), \udcXX of a byte that was no UTF-8. */
char *line_path(const struct line *l)
{
    char *path = malloc(l->name_length);
    if (!path)
        return NULL;
    char *to = path;
    const char *end = l->name + l->name_length - 1;
    for (const char *p = l->name + 1; p < end; p++) {
        if (*p != '\\' || p + 1 >= end) {
            *to++ = *p;
        } else if (*++p == 'u' && end - p > 4) {
            const int byte = hex(p[3]) * 16 + hex(p[4]);
            if (p[1] == '0' && byte >= 0x80) /* U+0080 to U+009F, else what is behind \udc */
                *to++ = (char)0xc2;
            *to++ = (char)byte;
            p += 4;
        } else {
            *to++ = *p == 'n' ? '\n' : *p == 't' ? '\t' : *p;
        }
    }
    *to = 0;
    return path;
}

int lines_seen_add(void *context, const char *text, size_t length)
{
    struct lines_seen *s = context;
    struct line l;
    if (!line_parse(&l, text, length))
        return cli_fail("%s: line %zu is not one that limber run writes; --resume goes on only with its own output", s->file,
                        s->count + 1);
    char **names = array_grown(s->names, s->count, &s->room, sizeof *names);
    if (!names)
        return cli_fail("no memory");
    s->names = names;
    if (!(s->names[s->count] = strndup(l.name, l.name_length)))
        return cli_fail("no memory");
    s->count++;
    s->people += l.people;
    s->failed += l.failed;
    return CLI_DONE;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void lines_seen_sort(struct lines_seen *s)
{
    if (s->count)
        qsort(s->names, s->count, sizeof *s->names, compare);
}

bool lines_seen_has(const struct lines_seen *s, const char *name)
{
    return s->count && bsearch(&name, s->names, s->count, sizeof *s->names, compare);
}

void lines_seen_free(struct lines_seen *s)
{
    for (size_t i = 0; i < s->count; i++)
        free(s->names[i]);
    free(s->names);
    *s = (struct lines_seen){0};
}
