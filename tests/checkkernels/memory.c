/* SPDX-License-Identifier: MIT */
/* memory.c - buffers that notice a touch beyond them: each ends at (within 63 bytes of) a page that may not be read or written, and what
 * is left of its own pages holds a pattern that is looked at afterwards. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "checkkernels.h"

struct room {
    struct room *next;
    unsigned char *pages, *bytes; /* the middle pages; the buffer */
    size_t page, size, used;      /* of a page; of the middle pages; of the buffer */
};
enum { GUARD = 0xc6 };

void *room(struct check *c, size_t bytes)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), size = (bytes + 64 + page - 1) / page * page;
    struct room *r = malloc(sizeof *r);
    unsigned char *all = mmap(NULL, size + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!r || all == MAP_FAILED || mprotect(all + page, size, PROT_READ | PROT_WRITE)) {
        fprintf(stderr, "checkkernels: no memory for %zu bytes\n", bytes);
        exit(2);
    }
    *r = (struct room){c->rooms, all + page, all + page + (size - (bytes + 63) / 64 * 64), page, size, bytes};
    c->rooms = r;
    memset(r->pages, GUARD, size);
    const uint32_t pattern = UNTOUCHED;
    for (size_t i = 0; i + sizeof pattern <= bytes; i += sizeof pattern)
        memcpy(r->bytes + i, &pattern, sizeof pattern);
    return r->bytes;
}

void rooms_leave(struct check *c)
{
    while (c->rooms) {
        struct room *r = c->rooms;
        for (size_t i = 0; i < r->size; i++) {
            const long at = (long)i - (r->bytes - r->pages);
            if ((at < 0 || at >= (long)r->used) && r->pages[i] != GUARD) {
                fail(c, "a byte at %+ld of a buffer of %zu was overwritten", at, r->used);
                break;
            }
        }
        c->rooms = r->next;
        munmap(r->pages - r->page, r->size + 2 * r->page);
        free(r);
    }
}

static struct check *watched;

static void touched(int signal_number)
{
    char text[400];
    const int n = snprintf(text, sizeof text, "checkkernels: %s by %s touched what is not its own (signal %d): %s\n",
                           watched->kernel, watched->set->name, signal_number, watched->at);
    if (n > 0 && write(2, text, (size_t)n) != n)
        _exit(2);
    _exit(1);
}

void rooms_watch(struct check *c)
{
    watched = c;
    signal(SIGSEGV, touched);
    signal(SIGBUS, touched);
}
