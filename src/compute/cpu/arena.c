/* SPDX-License-Identifier: MIT */
/* arena.c - zeroed memory on huge pages. Weights are read once a forward pass, front to back: with 4 KB pages the page walks
 * cost up to 1.8 times the time of the read itself (86 MB, Sapphire Rapids), so large pieces ask for 2 MB pages. The kernel may
 * refuse; nothing depends on it.
 *
 * A huge page is cleared whole when its first byte is written, so what is small, or large but mostly unused, is better off without:
 * a model of 4 MB and its buffers spent four fifths of a photograph's time on clearing what nobody read. */
#define _GNU_SOURCE
#include "compute/cpu/cpu.h"

#include <stdlib.h>
#include <sys/mman.h>

#define HUGE_PAGE ((size_t)2 << 20)
#define SMALL ((size_t)4 << 20)  /* below this 4 KB pages do */
#define FIRST ((size_t)2 << 20)  /* of an arena's blocks: all that a small model needs */
#define BLOCK ((size_t)32 << 20) /* the others: address space; pages are taken when first written */

struct arena_block {
    struct arena_block *next;
    void *memory;
    size_t size;
};

static size_t round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

static size_t mapped_size(size_t bytes)
{
    return round_up(bytes ? bytes : 1, bytes >= SMALL ? HUGE_PAGE : 4096);
}

void *pages_alloc(size_t bytes)
{
    if (bytes > SIZE_MAX / 2)
        return NULL;
    /* mmap aligns to 4 KB: take up to a huge page more and give the ends back */
    bool huge = bytes >= SMALL;
    size_t want = mapped_size(bytes), ask = huge ? want + HUGE_PAGE : want;
    char *p = mmap(NULL, ask, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    if (huge) {
        size_t lead = (HUGE_PAGE - (uintptr_t)p % HUGE_PAGE) % HUGE_PAGE;
        if (lead)
            munmap(p, lead);
        munmap(p + lead + want, ask - lead - want);
        p += lead;
#ifdef MADV_HUGEPAGE
        madvise(p, want, MADV_HUGEPAGE);
#endif
    }
    return p;
}

void pages_free(void *p, size_t bytes)
{
    if (p)
        munmap(p, mapped_size(bytes));
}

void *arena_alloc(struct arena *a, size_t bytes)
{
    if (bytes > SIZE_MAX / 2)
        return NULL;
    bytes = round_up(bytes ? bytes : 1, 64);
    if (!a->blocks || a->size - a->used < bytes) {
        struct arena_block *b = malloc(sizeof *b);
        if (!b)
            return NULL;
        const size_t block = a->blocks ? BLOCK : FIRST;
        *b = (struct arena_block){.next = a->blocks, .size = bytes > block ? bytes : block};
        b->memory = pages_alloc(b->size);
        if (!b->memory) {
            free(b);
            return NULL;
        }
        a->blocks = b;
        a->size = b->size;
        a->used = 0;
    }
    void *p = (char *)a->blocks->memory + a->used;
    a->used += bytes;
    return p;
}

void arena_free(struct arena *a)
{
    while (a->blocks) {
        struct arena_block *b = a->blocks;
        a->blocks = b->next;
        pages_free(b->memory, b->size);
        free(b);
    }
    *a = (struct arena){0};
}
