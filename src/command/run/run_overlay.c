/* SPDX-License-Identifier: MIT */
/* command/run/run_overlay.c - names of overlays. A picture's is its path as given, without what leads out of the folder; so /a/b.jpg and
 * a/b.jpg would have the same, and ../x.jpg the same as __/x.jpg. Then the first in order of the inputs keeps it, and the others get
 * a hash of their path: a function of the list of inputs alone, so --resume and --shard find the same. */
#define _GNU_SOURCE
#include "command/run/run.h"

#include <errno.h>
#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
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
    if (!strcmp(kind, "mp4")) /* a clip.mp4 stays one */
        strcpy(to, to - out > 4 && !memcmp(to - 4, ".mp4", 4) ? "" : ".mp4");
    else
        strcpy(to, !strcmp(kind, "png") ? ".png" : ".jpg");
    return out;
}

/* ---- what a killed run left ---- */

static int sweep(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)st;
    long pid;
    int number, end = 0;
    if (type == FTW_F && sscanf(path + where->base, ".limber-%ld-%d.tmp%n", &pid, &number, &end) == 2 && end &&
        !path[where->base + end])
        unlink(path);
    return 0;
}

void run_overlay_sweep(const char *out)
{
    char *overlays = output_path(out, "overlay");
    if (overlays)
        nftw(overlays, sweep, 16, FTW_PHYS);
    free(overlays);
}

/* ---- overlays that would have one name ---- */

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

/* ---- of an earlier run ---- */

static char *path_below(const char *dir, const char *name)
{
    char *path;
    return name && asprintf(&path, "%s/overlay/%s", dir, name) >= 0 ? path : NULL;
}

char *run_overlay_find(const char *dir, const char *image, const char *kind)
{
    char *hashed = run_overlay_name(image, true, kind), *path = path_below(dir, hashed);
    const bool there = path && !access(path, F_OK);
    free(path);
    if (there)
        return hashed;
    free(hashed);
    return run_overlay_name(image, false, kind);
}

#define OVERLAY_BYTES ((size_t)2 << 30) /* of a file; more is none of ours */

/* Where a second name is not to be had, as between two disks. An old file is kept if it is the same. */
static int copy(const char *from, const char *to, const char *name)
{
    limber_error err;
    uint8_t *bytes = NULL, *old = NULL;
    size_t size, old_size;
    int status = file_read(&bytes, &size, from, OVERLAY_BYTES, &err) ? cli_fail("%s: %s", from, err.text) : CLI_DONE;
    if (!status && access(to, F_OK))
        status = output_text(to, (const char *)bytes, size);
    else if (!status && (file_read(&old, &old_size, to, OVERLAY_BYTES, &err) || old_size != size || memcmp(old, bytes, size)))
        status = cli_fail("%s is there, and not %s of the part: choose another --out", to, name);
    free(bytes);
    free(old);
    return status;
}

int run_overlay_link(const char *from_dir, const char *to_dir, const char *image, const char *kind, bool *there)
{
    char *name = run_overlay_find(from_dir, image, kind), *from = path_below(from_dir, name), *to = path_below(to_dir, name);
    int status = from && to ? CLI_DONE : cli_fail("no memory");
    *there = !status && !access(from, F_OK);
    if (*there) {
        char *slash = strrchr(to, '/');
        *slash = 0;
        status = output_folder(to);
        *slash = '/';
        if (!status && link(from, to))
            status = copy(from, to, name);
    }
    free(name);
    free(from);
    free(to);
    return status;
}
