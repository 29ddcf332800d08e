/* SPDX-License-Identifier: MIT */
/* command/run/run_overlay.c - names of overlays. A picture's is its path as given, without what leads out of the folder; so /a/b.jpg and
 * a/b.jpg would have the same, and ../x.jpg the same as __/x.jpg. Then the first in order of the inputs keeps it, and the others get
 * a hash of their path: a function of the list of inputs alone, so --resume and --shard find the same. */
#include "command/run/run.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command/say.h"

/* FNV-1a */
static unsigned long long hash_of(const char *text, size_t n)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ (unsigned char)text[i]) * 0x100000001b3u;
    return hash;
}

char *run_overlay_name(const char *path, bool alike, const char *kind)
{
    const char *whole = path;
    size_t room = 2 * strlen(path) + 64;
    char *out = malloc(room), *to = out;
    while (out && *path) {
        size_t n = strcspn(path, "/");
        if (n == 2 && !memcmp(path, "..", 2)) {
            to += sprintf(to, "__/");
        } else if (n > 220) { /* more than a file system takes, with its ending: its head and a hash of all of it */
            to += sprintf(to, "%.200s-%016llx/", path, hash_of(path, n));
        } else if (n > 0 && !(n == 1 && *path == '.')) {
            memcpy(to, path, n);
            to[n] = '/';
            to += n + 1;
        }
        path += n + (path[n] == '/');
    }
    if (!out)
        return NULL;
    to -= to > out;
    if (alike)
        to += sprintf(to, "-%016llx", hash_of(whole, strlen(whole)));
    strcpy(to, !strcmp(kind, "png") ? ".png" : ".jpg");
    return out;
}

struct named {
    char *name;
    size_t number;
};

static int by_name(const void *a, const void *b)
{
    const struct named *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order ? order : (x->number > y->number) - (x->number < y->number);
}

int run_overlay_alike(bool **alike, const struct inputs *inputs)
{
    const size_t n = inputs->count;
    struct named *v = calloc(n + 1, sizeof *v);
    bool ok = v && (*alike = calloc(n + 1, sizeof **alike));
    for (size_t i = 0; ok && i < n; i++) {
        v[i] = (struct named){run_overlay_name(inputs->v[i].path, false, "png"), inputs->v[i].number};
        ok = v[i].name != NULL;
    }
    if (ok && n)
        qsort(v, n, sizeof *v, by_name);
    for (size_t i = 1; ok && i < n; i++)
        (*alike)[v[i].number] = !strcmp(v[i].name, v[i - 1].name);
    for (size_t i = 0; v && i < n; i++)
        free(v[i].name);
    free(v);
    return ok ? CLI_DONE : cli_fail("no memory for the names of overlays");
}
