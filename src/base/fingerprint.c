/* SPDX-License-Identifier: MIT */
/* See base/fingerprint.h. Eight bytes at a time, each mixed into all 64 bits: a large checkpoint costs less than reading it. */
#define _POSIX_C_SOURCE 200809L
#include "base/fingerprint.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"

#define PIECE ((size_t)1 << 20)

static uint64_t mix(uint64_t h, uint64_t word)
{
    h = (h ^ word) * 0xff51afd7ed558ccdu; /* odd, so that nothing is lost */
    return h ^ h >> 32;
}

uint64_t fingerprint(uint64_t h, const void *bytes, size_t size)
{
    const uint8_t *p = bytes;
    uint64_t word;
    for (size_t left = size; left;) {
        const size_t n = left < sizeof word ? left : sizeof word;
        word = 0;
        memcpy(&word, p, n);
        h = mix(h, word);
        p += n;
        left -= n;
    }
    return mix(h, size);
}

limber_status fingerprint_file(uint64_t *value, const char *path, limber_error *err)
{
    uint8_t *piece = malloc(PIECE);
    int fd = piece ? file_open(path, O_RDONLY | O_CLOEXEC, 0) : -1;
    limber_status st = LIMBER_OK;
    if (!piece)
        st = limber_fail(err, LIMBER_E_MEMORY, "no memory");
    else if (fd < 0)
        st = limber_fail(err, LIMBER_E_IO, "cannot open: %s", error_text(errno));
    for (size_t n = 1; !st && n;) {
        n = 0;
        while (n < PIECE) { /* whole pieces, whatever read() gives at a time */
            ssize_t got = read(fd, piece + n, PIECE - n);
            if (got < 0 && errno == EINTR)
                continue;
            if (got < 0)
                st = limber_fail(err, LIMBER_E_IO, "cannot read: %s", error_text(errno));
            if (got <= 0)
                break;
            n += (size_t)got;
        }
        *value = fingerprint(*value, piece, n);
    }
    if (fd >= 0)
        close(fd);
    free(piece);
    return st;
}
