/* command/inputs.c - see command/inputs.h. Folders wait on a list rather than on the stack, so depth costs nothing and one folder is
 * open at a time; the images of one argument are sorted when all are known, because byte order of paths is not the order a walk
 * finds them in ('-' and '.' sort before '/'). */
#define _GNU_SOURCE
#include "command/inputs.h"

#include <dirent.h>
#include <errno.h>
#include <search.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "command/options.h"

struct paths {
    char **v;
    size_t count, room;
};

struct walk {
    struct inputs *out;
    size_t room;
    struct paths folders, links; /* still to be read */
    void *seen;                  /* tsearch tree of struct folder_id */
};
struct folder_id {
    dev_t device;
    ino_t inode;
};

static int compare_ids(const void *a, const void *b)
{
    const struct folder_id *x = a, *y = b;
    if (x->device != y->device)
        return x->device < y->device ? -1 : 1;
    return x->inode < y->inode ? -1 : x->inode > y->inode;
}

static int compare_inputs(const void *a, const void *b)
{
    return strcmp(((const struct input *)a)->path, ((const struct input *)b)->path); /* bytes, as unsigned char */
}

static int compare_strings(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool paths_add(struct paths *p, char *path)
{
    if (p->count == p->room) {
        size_t room = p->room ? 2 * p->room : 16;
        char **more = realloc(p->v, room * sizeof *more);
        if (!more)
            return false;
        p->v = more;
        p->room = room;
    }
    p->v[p->count++] = path;
    return true;
}

static bool add_input(struct walk *w, char *path, int failure)
{
    struct inputs *in = w->out;
    if (in->count == w->room) {
        size_t room = w->room ? 2 * w->room : 64;
        struct input *more = realloc(in->v, room * sizeof *more);
        if (!more)
            return false;
        in->v = more;
        w->room = room;
    }
    in->v[in->count++] = (struct input){.path = path, .failure = failure};
    return true;
}

static bool is_picture(const char *name)
{
    static const char *const endings[] = {
        "jpg",  "jpeg", "jpe",  "jfif", "png",  "bmp", "gif", "tga", "psd", "pnm", "ppm", "pgm", "hdr", "pic", "heic",
        "heif", "webp", "avif", "tif",  "tiff", "jxl", "jp2", "dng", "cr2", "cr3", "nef", "arw", "raf", "orf", "rw2",
    };
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < sizeof endings / sizeof *endings; i++)
        if (!strcasecmp(dot + 1, endings[i]))
            return true;
    return false;
}

static char *join(const char *folder, const char *name)
{
    size_t n = strlen(folder), m = strlen(name);
    char *path = malloc(n + m + 2);
    if (!path)
        return NULL;
    memcpy(path, folder, n);
    if (n == 0 || folder[n - 1] != '/')
        path[n++] = '/';
    memcpy(path + n, name, m + 1);
    return path;
}

/* One name of a folder goes where it belongs. Takes `path`, whatever happens. */
static bool sort_in(struct walk *w, char *path, const char *name, int type)
{
    struct stat st;
    bool is_link = type == DT_LNK;
    if (type == DT_UNKNOWN && !lstat(path, &st))
        is_link = S_ISLNK(st.st_mode);
    bool folder = type == DT_DIR;
    if (type == DT_UNKNOWN || is_link)
        folder = !stat(path, &st) && S_ISDIR(st.st_mode); /* a link to nowhere counts as a file: opening it tells */
    bool kept;
    if (folder)
        kept = paths_add(is_link ? &w->links : &w->folders, path);
    else if (is_picture(name))
        kept = add_input(w, path, 0);
    else {
        w->out->left_out++;
        free(path);
        return true;
    }
    if (!kept)
        free(path);
    return kept;
}

/* Remembers a folder by device and inode. 1: new, 0: seen before, -1: no memory. */
static int remember(struct walk *w, const struct stat *st)
{
    struct folder_id *id = malloc(sizeof *id);
    if (!id)
        return -1;
    *id = (struct folder_id){st->st_dev, st->st_ino};
    void *node = tsearch(id, &w->seen, compare_ids);
    bool is_new = node && *(struct folder_id **)node == id;
    if (!is_new)
        free(id);
    return !node ? -1 : is_new;
}

/* Takes `folder`. */
static bool read_folder(struct walk *w, char *folder, bool is_link)
{
    struct stat st;
    int is_new = stat(folder, &st) ? 1 : remember(w, &st);
    if (is_new < 1) {
        if (is_new == 0 && is_link)
            cli_warn("%s: a link to a folder that is read already, not followed", folder);
        free(folder);
        return is_new == 0;
    }
    DIR *dir = opendir(folder);
    if (!dir) {
        int failure = errno;
        if (add_input(w, folder, failure))
            return true;
        free(folder);
        return false;
    }
    bool ok = true;
    int failure = 0;
    while (ok) {
        errno = 0;
        struct dirent *e = readdir(dir);
        if (!e) {
            failure = errno;
            break;
        }
        if (e->d_name[0] == '.') {
            w->out->left_out += strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
            continue;
        }
        char *path = join(folder, e->d_name);
        ok = path && sort_in(w, path, e->d_name, e->d_type);
    }
    closedir(dir);
    if (ok && failure) {
        if (add_input(w, folder, failure))
            return true;
        ok = false;
    }
    free(folder);
    return ok;
}

/* Real folders first, then links to folders in byte order, so that what a link adds does not depend on the file system. */
static bool walk_folder(struct walk *w, char *root)
{
    size_t from = w->out->count;
    if (!paths_add(&w->folders, root)) {
        free(root);
        return false;
    }
    bool ok = true;
    while (ok && (w->folders.count || w->links.count)) {
        if (w->folders.count) {
            ok = read_folder(w, w->folders.v[--w->folders.count], false);
        } else {
            qsort(w->links.v, w->links.count, sizeof *w->links.v, compare_strings);
            char *first = w->links.v[0];
            memmove(w->links.v, w->links.v + 1, --w->links.count * sizeof *w->links.v);
            ok = read_folder(w, first, true);
        }
    }
    if (w->out->count > from)
        qsort(w->out->v + from, w->out->count - from, sizeof *w->out->v, compare_inputs);
    return ok;
}

/* The first of equal paths stays, and so does the order. */
static bool drop_repeated(struct inputs *in)
{
    char **paths = malloc((in->count + 1) * sizeof *paths);
    bool *met = calloc(in->count + 1, sizeof *met); /* beside paths */
    bool ok = paths && met;
    size_t distinct = 0, kept = 0;
    for (size_t i = 0; ok && i < in->count; i++)
        paths[i] = in->v[i].path;
    if (ok)
        qsort(paths, in->count, sizeof *paths, compare_strings);
    for (size_t i = 0; ok && i < in->count; i++)
        if (distinct == 0 || strcmp(paths[i], paths[distinct - 1]))
            paths[distinct++] = paths[i];
    for (size_t i = 0; ok && i < in->count; i++) {
        char **at = bsearch(&in->v[i].path, paths, distinct, sizeof *paths, compare_strings);
        if (met[at - paths])
            continue; /* freed below: `paths` may hold this very pointer */
        met[at - paths] = true;
        struct input first = in->v[i];
        in->v[i] = in->v[kept];
        in->v[kept++] = first;
    }
    for (size_t i = kept; ok && i < in->count; i++)
        free(in->v[i].path);
    if (ok)
        in->count = kept;
    free(paths);
    free(met);
    return ok;
}

int inputs_list(struct inputs *out, char **arguments, int count, const char *except)
{
    struct stat excepted;
    bool has_exception = except && !stat(except, &excepted);
    *out = (struct inputs){0};
    struct walk w = {.out = out};
    bool ok = true;
    for (int i = 0; ok && i < count; i++) {
        struct stat st;
        char *path = strdup(arguments[i]);
        ok = path != NULL;
        if (!ok)
            break;
        if (!stat(path, &st) && S_ISDIR(st.st_mode)) {
            for (size_t n = strlen(path); n > 1 && path[n - 1] == '/'; n--)
                path[n - 1] = 0;
            tdestroy(w.seen, free); /* each argument is walked for itself */
            w.seen = NULL;
            ok = (!has_exception || remember(&w, &excepted) >= 0) && walk_folder(&w, path);
        } else {
            ok = add_input(&w, path, 0);
            if (!ok)
                free(path);
        }
    }
    ok = ok && drop_repeated(out);
    for (size_t i = 0; i < out->count; i++)
        out->v[i].number = i;
    tdestroy(w.seen, free);
    for (size_t i = 0; i < w.folders.count; i++)
        free(w.folders.v[i]);
    for (size_t i = 0; i < w.links.count; i++)
        free(w.links.v[i]);
    free(w.folders.v);
    free(w.links.v);
    if (!ok) {
        inputs_free(out);
        return cli_fail("no memory for the list of images");
    }
    return CLI_DONE;
}

void inputs_slice(struct inputs *in, long part, long parts)
{
    size_t kept = 0, n = (size_t)parts, want = (size_t)(part % parts);
    for (size_t i = 0; i < in->count; i++) {
        if ((i + 1) % n == want)
            in->v[kept++] = in->v[i];
        else
            free(in->v[i].path);
    }
    in->count = kept;
}

void inputs_free(struct inputs *in)
{
    for (size_t i = 0; i < in->count; i++)
        free(in->v[i].path);
    free(in->v);
    *in = (struct inputs){0};
}
