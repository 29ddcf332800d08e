/* SPDX-License-Identifier: MIT */
/* command/inputs.c - see command/inputs.h. Folders wait on a list rather than on the stack, so depth costs nothing and one folder is
 * open at a time; the images of one argument are sorted when all are known, because byte order of paths is not the order a walk
 * finds them in ('-' and '.' sort before '/'). */
#define _GNU_SOURCE
#include "command/inputs.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <search.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "base/error.h"
#include "base/file.h"
#include "command/say.h"
#include "command/stop.h"
#include "image/image.h"

struct paths {
    char **v;
    size_t count, room;
};

enum kind { PICTURE, VIDEO, RAW, OTHER };

struct walk {
    struct inputs *out;
    enum kind wanted; /* PICTURE or VIDEO */
    size_t room;
    struct paths folders, links; /* still to be read */
    struct paths roots;          /* the arguments that are folders */
    bool apart;                  /* of what is found from here on */
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
    char **v = array_grown(p->v, p->count, &p->room, sizeof *v);
    if (!v)
        return false;
    p->v = v;
    p->v[p->count++] = path;
    return true;
}

static bool add_input(struct walk *w, char *path, int failure)
{
    struct inputs *in = w->out;
    struct input *v = array_grown(in->v, in->count, &w->room, sizeof *v);
    if (!v)
        return false;
    in->v = v;
    in->v[in->count++] = (struct input){.path = path, .failure = failure, .apart = w->apart};
    return true;
}

/* ---- what a name says of a file ---- */

static enum kind kind_of(const char *name)
{
    static const struct {
        enum kind kind;
        const char *const ending;
    } kinds[] = {
        {PICTURE,
         " jpg jpeg jpe jfif png apng bmp dib gif tga psd pnm ppm pgm pbm pam pfm hdr pic heic heif hif avif webp tif tiff jxl "
         "jp2 j2k jpx "},
        {VIDEO, " mp4 m4v mov qt avi mkv webm wmv flv f4v mpg mpeg m2v mts m2ts ts vob 3gp 3g2 ogv mxf insv lrv y4m nut h264 "
                "264 hevc h265 265 ivf av1 m3u8 mpd "},
        {RAW,
         " dng cr2 cr3 crw nef nrw arw srf sr2 raf orf rw2 rwl raw pef ptx srw x3f iiq 3fr fff erf mef mos mrw kdc dcr gpr "},
    };
    const char *dot = strrchr(name, '.');
    char ending[16];
    int n = dot ? snprintf(ending, sizeof ending, " %s ", dot + 1) : 0;
    for (size_t i = 0; n > 2 && n < (int)sizeof ending && i < sizeof kinds / sizeof *kinds; i++)
        if (strcasestr(kinds[i].ending, ending))
            return kinds[i].kind;
    return OTHER;
}

bool inputs_is_video(const char *name)
{
    return kind_of(name) == VIDEO;
}

/* Thumbnails, bins and snapshots that a NAS, Windows or macOS keeps beside the photographs. */
static bool is_litter(const char *name)
{
    static const char *const litter[] = {"@eaDir",    "@Recycle",     "@Recently-Snapshot",  "#recycle",
                                         "#snapshot", "$RECYCLE.BIN", "lost+found",          "System Volume Information",
                                         "RECYCLER",  "__MACOSX",     "Network Trash Folder"};
    for (size_t i = 0; i < sizeof litter / sizeof *litter; i++)
        if (!strcasecmp(name, litter[i]))
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
    if (folder && is_litter(name)) {
        w->out->left_out.litter++;
        free(path);
        return true;
    }
    if (folder) {
        kept = paths_add(is_link ? &w->links : &w->folders, path);
    } else if (kind_of(name) == w->wanted) {
        kept = add_input(w, path, 0);
        if (kept && is_link)
            w->out->v[w->out->count - 1].apart = true;
    } else {
        struct inputs_left_out *l = &w->out->left_out;
        const enum kind kind = kind_of(name);
        *(kind == VIDEO ? &l->videos : kind == PICTURE ? &l->pictures : kind == RAW ? &l->raw : &l->others) += 1;
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
            w->out->left_out.hidden += strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
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
    char *name = strdup(root);
    if (!name || !paths_add(&w->roots, name)) {
        free(name);
        free(root);
        return false;
    }
    w->apart = false;
    if (!paths_add(&w->folders, root)) {
        free(root);
        return false;
    }
    bool ok = true;
    while (ok && (w->folders.count || w->links.count)) {
        if (w->folders.count) {
            ok = read_folder(w, w->folders.v[--w->folders.count], false);
        } else {
            w->apart = true; /* so is all that follows */
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
        input_free(&in->v[i]);
    if (ok)
        in->count = kept;
    free(paths);
    free(met);
    return ok;
}

/* ---- standard input ---- */

static bool wait_for_input(void)
{
    struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
    return poll(&p, 1, -1) >= 0 || errno == EINTR;
}

/* The picture on standard input, which may be a pipe that somebody made non-blocking. Ctrl-C ends the wait. */
static int read_standard_input(struct input *in)
{
    size_t room = 0;
    if (isatty(STDIN_FILENO))
        return cli_fail("-: standard input is a terminal; a picture comes like this: limber run - < picture.jpg");
    for (;;) {
        if (in->size == room) {
            room = room ? 2 * room : 1 << 20;
            uint8_t *more = realloc(in->bytes, room);
            if (!more)
                return cli_fail("-: no memory for %zu bytes", room);
            in->bytes = more;
        }
        ssize_t n = read(STDIN_FILENO, in->bytes + in->size, room - in->size);
        if (n == 0)
            return in->size ? CLI_DONE : cli_fail("-: standard input is empty");
        if (n > 0)
            in->size += (size_t)n;
        else if (errno == EAGAIN || errno == EWOULDBLOCK ? !wait_for_input() : errno != EINTR)
            return cli_fail("-: standard input: %s", error_text(errno));
        if (cli_stopped)
            return CLI_INTERRUPTED;
        if (in->size > IMAGE_MAX_FILE_BYTES)
            return cli_fail("-: more than %u bytes, the limit", IMAGE_MAX_FILE_BYTES);
    }
}

limber_status input_read(const struct input *in, uint8_t **bytes, size_t *size, limber_error *err)
{
    struct stat st;
    *bytes = NULL;
    *size = 0;
    if (in->failure)
        return limber_fail(err, LIMBER_E_IO, "folder cannot be read: %s", error_text(in->failure));
    if (in->bytes) {
        if (!(*bytes = malloc(in->size)))
            return limber_fail(err, LIMBER_E_MEMORY, "no memory for %zu bytes", in->size);
        memcpy(*bytes, in->bytes, *size = in->size);
        return LIMBER_OK;
    }
    /* Regular files only: opening a pipe that somebody named x.jpg would wait forever. */
    if (stat(in->path, &st))
        return limber_fail(err, LIMBER_E_IO, "%s", error_text(errno));
    if (!S_ISREG(st.st_mode))
        return limber_fail(err, LIMBER_E_IO, S_ISDIR(st.st_mode) ? "is a folder" : "is not a regular file");
    return file_read(bytes, size, in->path, IMAGE_MAX_FILE_BYTES, err);
}

limber_status input_image(const struct input *in, struct image *image, limber_error *err)
{
    uint8_t *bytes;
    size_t size;
    limber_status st = input_read(in, &bytes, &size, err);
    if (!st)
        st = image_decode(image, bytes, size, err);
    free(bytes);
    return st;
}

/* ---- one argument, or one line of a list ---- */

struct listing {
    struct walk walk;
    const struct stat *except;
    bool standard_input; /* it is taken already */
};

/* "https://...": how far the scheme goes, or 0. */
static size_t scheme_of(const char *text)
{
    size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-");
    return n > 1 && !strncmp(text + n, "://", 3) ? n : 0;
}

static int refuse_url(const char *url, size_t scheme)
{
    if (scheme == 4 && !strncasecmp(url, "file", scheme))
        return cli_fail("%s: limber reads files by their path: leave out file://", url);
    if (!strncasecmp(url, "http", 4))
        return cli_fail("%s: limber reads files, it downloads nothing: curl -O the picture, or pipe it: curl URL | limber run -",
                        url);
    return cli_fail("%s: limber reads files, no addresses of the %.*s kind", url, (int)scheme, url);
}

static int no_list_memory(void)
{
    return cli_fail("no memory for the list of inputs");
}

static int add_standard_input(struct listing *l)
{
    char *path = strdup("-");
    if (l->standard_input)
        return free(path), CLI_DONE; /* a path that comes twice is one image */
    if (!path || !add_input(&l->walk, path, 0))
        return free(path), no_list_memory();
    l->standard_input = true;
    if (l->walk.wanted == VIDEO)
        return CLI_DONE;
    return read_standard_input(&l->walk.out->v[l->walk.out->count - 1]);
}

static int add_path(struct listing *l, const char *text)
{
    struct walk *w = &l->walk;
    struct stat st;
    const bool there = !stat(text, &st);
    if (!there && scheme_of(text) && w->wanted == PICTURE)
        return refuse_url(text, scheme_of(text));
    char *path = strdup(text);
    if (!path)
        return no_list_memory();
    if (!there || !S_ISDIR(st.st_mode)) {
        w->apart = true;
        if (add_input(w, path, 0))
            return CLI_DONE;
        free(path);
        return no_list_memory();
    }
    for (size_t n = strlen(path); n > 1 && path[n - 1] == '/'; n--)
        path[n - 1] = 0;
    tdestroy(w->seen, free); /* each argument is walked for itself */
    w->seen = NULL;
    if (l->except && remember(w, l->except) < 0) {
        free(path);
        return no_list_memory();
    }
    return walk_folder(w, path) ? CLI_DONE : no_list_memory();
}

/* Paths, one a line, or with a 0 byte behind each as `find -print0` writes them. */
static int add_list(struct listing *l, const char *name)
{
    uint8_t *bytes;
    size_t size;
    limber_error err;
    if (file_read(&bytes, &size, strcmp(name, "-") ? name : "/dev/stdin", (size_t)1 << 30, &err))
        return cli_fail("@%s: %s", name, err.text);
    const bool zeros = size && memchr(bytes, 0, size);
    int status = CLI_DONE;
    for (size_t at = size >= 3 && !memcmp(bytes, "\xef\xbb\xbf", 3) ? 3 : 0; !status && at < size;) {
        const uint8_t *end = memchr(bytes + at, zeros ? 0 : '\n', size - at);
        size_t n = end ? (size_t)(end - bytes) - at : size - at, next = at + n + 1;
        n -= !zeros && n && bytes[at + n - 1] == '\r';
        char *path = n ? strndup((const char *)bytes + at, n) : NULL;
        if (n)
            status = path ? add_path(l, path) : no_list_memory();
        free(path);
        at = next;
    }
    free(bytes);
    return status;
}

static int list(struct inputs *out, enum kind wanted, char **arguments, int count, const char *except)
{
    struct stat excepted;
    *out = (struct inputs){0};
    struct listing l = {.walk = {.out = out, .wanted = wanted}, .except = except && !stat(except, &excepted) ? &excepted : NULL};
    struct walk *w = &l.walk;
    int status = CLI_DONE;
    for (int i = 0; !status && i < count; i++) {
        const char *text = arguments[i];
        if (!strcmp(text, "-"))
            status = add_standard_input(&l);
        else if (text[0] == '@' && text[1] && access(text, F_OK))
            status = add_list(&l, text + 1);
        else
            status = add_path(&l, text);
    }
    if (!status && !drop_repeated(out))
        status = no_list_memory();
    for (size_t i = 0; i < out->count; i++)
        out->v[i].number = i;
    tdestroy(w->seen, free);
    for (size_t i = 0; i < w->folders.count; i++)
        free(w->folders.v[i]);
    for (size_t i = 0; i < w->links.count; i++)
        free(w->links.v[i]);
    free(w->folders.v);
    free(w->links.v);
    out->folders = w->roots.v;
    out->folder_count = w->roots.count;
    if (!status && out->count == 0) {
        char *left_out = inputs_left_out_text(out);
        status = cli_fail("no %s in %s%s%s%s%s", wanted == VIDEO ? "videos" : "pictures", arguments[0], count > 1 ? ", ..." : "",
                          left_out && *left_out ? ": left out " : "", left_out ? left_out : "",
                          wanted == PICTURE && out->left_out.videos ? "; `limber run --video` takes videos" : "");
        free(left_out);
    }
    if (status)
        inputs_free(out);
    return status;
}

int inputs_list(struct inputs *out, char **arguments, int count, const char *except)
{
    return list(out, PICTURE, arguments, count, except);
}

int inputs_list_videos(struct inputs *out, char **arguments, int count, const char *except)
{
    return list(out, VIDEO, arguments, count, except);
}

char *inputs_left_out_text(const struct inputs *in)
{
    const struct inputs_left_out *l = &in->left_out;
    const struct {
        size_t count;
        const char *one, *more;
    } kinds[] = {
        {l->pictures, "picture", "pictures"},
        {l->videos, "video", "videos"},
        {l->raw, "RAW file", "RAW files"},
        {l->others, "other file", "other files"},
        {l->hidden, "hidden name", "hidden names"},
        {l->litter, "folder of thumbnails or deleted files", "folders of thumbnails or deleted files"},
    };
    char *text = calloc(1, 256);
    for (size_t i = 0; text && i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].count)
            sprintf(text + strlen(text), "%s%zu %s", *text ? ", " : "", kinds[i].count,
                    kinds[i].count == 1 ? kinds[i].one : kinds[i].more);
    return text;
}

void input_free(struct input *in)
{
    free(in->path);
    free(in->bytes);
    *in = (struct input){0};
}

void inputs_slice(struct inputs *in, long part, long parts)
{
    size_t kept = 0, n = (size_t)parts, want = (size_t)(part % parts);
    for (size_t i = 0; i < in->count; i++) {
        if ((i + 1) % n == want)
            in->v[kept++] = in->v[i];
        else
            input_free(&in->v[i]);
    }
    in->count = kept;
}

void inputs_free(struct inputs *in)
{
    for (size_t i = 0; i < in->count; i++)
        input_free(&in->v[i]);
    free(in->v);
    for (size_t i = 0; i < in->folder_count; i++)
        free(in->folders[i]);
    free(in->folders);
    *in = (struct inputs){0};
}
