/* SPDX-License-Identifier: MIT */
/* command/output.c - see command/output.h. */
#define _GNU_SOURCE
#include "command/output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command/options.h"
#include "base/file.h"
#include "base/error.h"

char *output_path(const char *dir, const char *name)
{
    size_t n = strlen(dir) + strlen(name) + 2;
    char *path = malloc(n);
    if (path)
        snprintf(path, n, "%s/%s", dir, name);
    return path;
}

int output_folder(const char *dir)
{
    char *path = strdup(dir);
    if (!path)
        return cli_fail("no memory");
    int failure = 0;
    for (char *slash = path; !failure && slash;) {
        slash = strchr(slash + 1, '/');
        if (slash)
            *slash = 0;
        if (*path && mkdir(path, 0777) && errno != EEXIST)
            failure = errno;
        if (slash)
            *slash = '/';
    }
    struct stat st;
    if (!failure && stat(dir, &st))
        failure = errno;
    else if (!failure && !S_ISDIR(st.st_mode))
        failure = ENOTDIR;
    free(path);
    return failure ? cli_fail("output folder %s: %s", dir, error_text(failure)) : CLI_DONE;
}

int output_stdout(struct output *o)
{
    *o = (struct output){.fd = STDOUT_FILENO, .name = strdup("standard output"), .whole = -1};
    return o->name ? CLI_DONE : cli_fail("no memory");
}

static int another(const char *path)
{
    return cli_fail("%s: another limber is writing it", path);
}

/* Opens, and locks a regular file; a second writer would tear the first one's lines. Between the two another limber may have
 * renamed the file away, so that the lock is one of a file without this name, or of somebody's finished result: then once more. */
static int open_locked(struct output *o, char *path, int flags)
{
    struct stat st, named;
    *o = (struct output){.fd = -1, .name = path};
    if (!path)
        return cli_fail("no memory");
    for (int tries = 0; tries < 100; tries++) {
        o->fd = file_open(path, flags | O_CREAT | O_CLOEXEC, 0666);
        if (o->fd < 0)
            return errno == EEXIST ? another(path) : cli_fail("%s: %s", path, error_text(errno));
        if (fstat(o->fd, &st))
            return cli_fail("%s: %s", path, error_text(errno));
        if (!S_ISREG(st.st_mode)) {
            o->whole = -1; /* a device or a pipe that somebody put there on purpose */
            return CLI_DONE;
        }
        if (flock(o->fd, LOCK_EX | LOCK_NB)) {
            if (errno == EWOULDBLOCK)
                return another(path);
            if (errno == EINTR) {
                close(o->fd);
                continue;
            }
            /* some network file systems have no locks */
        }
        if (!stat(path, &named) && named.st_dev == st.st_dev && named.st_ino == st.st_ino && !fstat(o->fd, &st)) {
            o->whole = st.st_size;
            o->locked = true;
            return CLI_DONE;
        }
        close(o->fd);
        o->fd = -1;
    }
    return another(path);
}

int output_new(struct output *o, const char *dir, const char *name)
{
    int status = open_locked(o, output_path(dir, name), O_RDWR | O_APPEND);
    if (status == CLI_DONE && o->whole > 0) {
        char *kept;
        if (asprintf(&kept, "%s~", o->name) < 0) {
            status = cli_fail("no memory");
        } else {
            if (rename(o->name, kept)) {
                status = cli_fail("%s: cannot be kept as %s: %s", o->name, kept, error_text(errno));
            } else {
                cli_warn("%s was there: kept as %s (--resume would have gone on with it)", o->name, kept);
                const int old = o->fd;
                status = open_locked(o, o->name, O_RDWR | O_APPEND | O_EXCL);
                close(old);
            }
            free(kept);
        }
    }
    if (status != CLI_DONE)
        output_abandon(o);
    return status;
}

int output_resume(struct output *o, const char *dir, const char *name,
                  int (*line)(void *context, const char *text, size_t length), void *context)
{
    int status = open_locked(o, output_path(dir, name), O_RDWR | O_APPEND);
    FILE *f = NULL;
    if (status == CLI_DONE && o->whole > 0) {
        int copy = dup(o->fd); /* shares the lock, and is closed with the stream */
        f = copy < 0 ? NULL : fdopen(copy, "r");
        if (!f) {
            status = cli_fail("%s: %s", o->name, error_text(errno));
            if (copy >= 0)
                close(copy);
        }
    }
    if (f) {
        char *text = NULL;
        size_t room = 0;
        ssize_t n = 0;
        off_t whole = 0;
        while (status == CLI_DONE && (n = file_line(&text, &room, f)) > 0 && text[n - 1] == '\n') {
            text[n - 1] = 0;
            status = line(context, text, (size_t)n - 1);
            whole += n;
        }
        if (n < 0 && status == CLI_DONE) /* else what could not be read would be cut off for torn */
            status = cli_fail("%s: %s", o->name, error_text(errno));
        free(text);
        fclose(f);
        if (status == CLI_DONE && whole < o->whole && ftruncate(o->fd, whole))
            status = cli_fail("%s: the torn last line cannot be cut off: %s", o->name, error_text(errno));
        o->whole = whole;
    }
    if (status != CLI_DONE)
        output_abandon(o);
    return status;
}

/* Also what the shell calls our own streams, whatever lies behind them. */
static bool is_stream(const char *path)
{
    return !strncmp(path, "/dev/std", 8) || !strncmp(path, "/dev/fd/", 8) || file_is_stream(path);
}

int output_replace(struct output *o, const char *dir, const char *name)
{
    char *final = output_path(dir, name), *partial = NULL;
    if (final && is_stream(final)) {
        *o = (struct output){.fd = file_open(final, O_WRONLY | O_APPEND | O_CLOEXEC, 0), .name = final, .whole = -1};
        if (o->fd >= 0)
            return CLI_DONE;
        cli_fail("%s: %s", final, error_text(errno));
        output_abandon(o);
        return CLI_NOTHING;
    }
    char *real = final ? realpath(final, NULL) : NULL; /* a link stays one: what it names is replaced */
    if (real) {
        free(final);
        final = real;
    }
    if (final && asprintf(&partial, "%s.partial", final) < 0)
        partial = NULL;
    int status = open_locked(o, partial, O_RDWR | O_APPEND);
    if (status == CLI_DONE && o->whole > 0) {
        if (ftruncate(o->fd, 0)) /* what a killed run left */
            status = cli_fail("%s: %s", o->name, error_text(errno));
        o->whole = 0;
    }
    o->final = final;
    if (status != CLI_DONE)
        output_abandon(o);
    return status;
}

int output_write(struct output *o, const char *text, size_t length)
{
    size_t done = 0;
    while (done < length) {
        ssize_t n = write(o->fd, text + done, length - done);
        if (n > 0) {
            done += (size_t)n;
        } else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            /* a pipe that whoever holds its other end, or shares this one, made non-blocking */
            poll(&(struct pollfd){.fd = o->fd, .events = POLLOUT}, 1, -1);
        } else if (n == 0 || errno != EINTR) {
            int failure = n == 0 ? EIO : errno;
            if (o->whole >= 0 && done && ftruncate(o->fd, o->whole))
                failure = errno;
            return cli_fail("%s: %s", o->name, error_text(failure));
        }
    }
    if (o->whole >= 0)
        o->whole += (off_t)length;
    return CLI_DONE;
}

/* That a file has a new name is lost by a power cut unless its folder is synced too. Where that cannot be done it need not be said. */
static void sync_folder_of(const char *path)
{
    char *folder = strdup(path), *slash = folder ? strrchr(folder, '/') : NULL;
    if (slash)
        slash[slash == folder] = 0;
    int fd = folder ? open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        (void)!fsync(fd);
        close(fd);
    }
    free(folder);
}

int output_close(struct output *o)
{
    int status = CLI_DONE;
    if (o->fd >= 0) {
        /* Some file systems tell only now that the disk is full. A pipe or a terminal cannot be synced, and need not. */
        int failed;
        do
            failed = fsync(o->fd);
        while (failed && errno == EINTR);
        if (failed && errno != EINVAL && errno != EROFS && errno != ENOTSUP)
            status = cli_fail("%s: %s", o->name, error_text(errno));
        if (status == CLI_DONE && o->final && o->locked) {
            if (rename(o->name, o->final)) {
                status = cli_fail("%s: %s", o->final, error_text(errno));
            } else {
                o->locked = false; /* it is no partial file any more */
                sync_folder_of(o->final);
            }
        }
        if (o->fd != STDOUT_FILENO) {
            if (o->final && o->locked)
                unlink(o->name);
            if (close(o->fd) && errno != EINTR && status == CLI_DONE)
                status = cli_fail("%s: %s", o->name, error_text(errno));
        }
        o->fd = -1;
    }
    output_abandon(o);
    return status;
}

void output_abandon(struct output *o)
{
    if (o->fd >= 0) {
        if (o->final && o->locked)
            unlink(o->name); /* before the lock is gone */
        if (o->fd != STDOUT_FILENO)
            close(o->fd);
    }
    free(o->name);
    free(o->final);
    *o = OUTPUT_CLOSED;
}

int output_file(const char *dir, const char *name, const void *bytes, size_t length)
{
    struct output o = OUTPUT_CLOSED;
    int status = output_replace(&o, dir, name);
    if (status == CLI_DONE && (status = output_write(&o, bytes, length)) != CLI_DONE)
        output_abandon(&o);
    else if (status == CLI_DONE)
        status = output_close(&o);
    return status;
}

int output_text(const char *path, const char *text, size_t length)
{
    const char *slash = strrchr(path, '/');
    char *dir = slash ? strndup(path, (size_t)(slash - path) + (slash == path)) : strdup(".");
    int status = dir ? output_file(dir, slash ? slash + 1 : path, text, length) : cli_fail("%s: no memory", path);
    free(dir);
    return status;
}
