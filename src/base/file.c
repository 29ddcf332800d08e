/* SPDX-License-Identifier: MIT */
/* Reading files whose size nobody vouches for: what fstat says is where the buffer begins, not where reading ends. */
#define _POSIX_C_SOURCE 200809L
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

static limber_status read_all(uint8_t **bytes, size_t *size, int fd, size_t room, size_t limit, limber_error *err)
{
    for (;;) {
        if (!*bytes || *size == room) {
            room = *bytes ? 2 * room : room;
            uint8_t *more = realloc(*bytes, room);
            if (!more)
                return limber_fail(err, LIMBER_E_MEMORY, "no memory for a file of %zu bytes", room);
            *bytes = more;
        }
        ssize_t n = read(fd, *bytes + *size, room - *size);
        if (n == 0)
            return LIMBER_OK;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return limber_fail(err, LIMBER_E_IO, "cannot read: %s", error_text(errno));
        *size += (size_t)n;
        if (*size > limit)
            return limber_fail(err, LIMBER_E_MEMORY, "larger than %zu bytes, the limit", limit);
    }
}

int file_open(const char *path, int flags, mode_t mode)
{
    int fd;
    do
        fd = open(path, flags, mode);
    while (fd < 0 && errno == EINTR);
    return fd;
}

ssize_t file_line(char **line, size_t *room, FILE *stream)
{
    errno = 0;
    const ssize_t n = getline(line, room, stream);
    if (n > 0)
        return n;
    if (feof(stream) && !ferror(stream))
        return 0;
    if (!errno)
        errno = EIO;
    return -1;
}

limber_status file_read(uint8_t **bytes, size_t *size, const char *path, size_t limit, limber_error *err)
{
    *bytes = NULL;
    *size = 0;
    int fd = file_open(path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return limber_fail(err, LIMBER_E_IO, "cannot open: %s", error_text(errno));
    struct stat about;
    limber_status st;
    if (fstat(fd, &about))
        st = limber_fail(err, LIMBER_E_IO, "cannot look at it: %s", error_text(errno));
    else if (S_ISDIR(about.st_mode))
        st = limber_fail(err, LIMBER_E_IO, "a directory, expected a file");
    else if (about.st_size > 0 && (uintmax_t)about.st_size > limit)
        st = limber_fail(err, LIMBER_E_MEMORY, "%jd bytes, the limit is %zu", (intmax_t)about.st_size, limit);
    else /* one byte more than it says: the read that finds the end needs no growing */
        st = read_all(bytes, size, fd, about.st_size > 0 ? (size_t)about.st_size + 1 : 1 << 16, limit, err);
    close(fd);
    if (st) {
        free(*bytes);
        *bytes = NULL;
        *size = 0;
    }
    return st;
}

bool file_is_stream(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0 && !S_ISREG(about.st_mode) && !S_ISDIR(about.st_mode);
}
