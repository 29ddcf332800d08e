/* SPDX-License-Identifier: MIT */
/* Every allocation fails. The whole way - open a model, a session, run an image - is walked again and again; the first time its
 * first allocation fails, the next time its second, until a walk needs no more than were allowed; once with memory back for the
 * next allocation, once with none left. Each walk must come back with an error or the right result, and leave nothing behind.
 *
 * malloc and its kin are replaced in this program, over glibc's own; a sanitizer has replaced them already, so there it skips. */
#define _GNU_SOURCE
#include <criterion/criterion.h>

#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "limber.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define REPLACED 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define REPLACED 0
#endif
#endif
#ifndef REPLACED
#ifdef __GLIBC__
#define REPLACED 1
#else
#define REPLACED 0
#endif
#endif

#if !REPLACED
Test(alloc, every_allocation_fails)
{
    cr_skip_test("malloc belongs to a sanitizer here, or to another C library");
}
#else

static atomic_long allowed = LONG_MAX; /* allocations until one fails */
static atomic_bool for_good;           /* and then all of them, rather than just the one */
static atomic_long live;               /* blocks not freed */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *p);

static bool refused(void)
{
    long left = atomic_fetch_sub(&allowed, 1);
    if (left > 0 || (left < 0 && !atomic_load(&for_good)))
        return false;
    errno = ENOMEM;
    return true;
}

static void *counted(void *p)
{
    if (p)
        atomic_fetch_add(&live, 1);
    return p;
}

void *malloc(size_t size)
{
    return refused() ? NULL : counted(__libc_malloc(size));
}

void *calloc(size_t n, size_t size)
{
    return refused() ? NULL : counted(__libc_calloc(n, size));
}

void *realloc(void *p, size_t size)
{
    if (refused())
        return NULL;
    void *q = __libc_realloc(p, size);
    return p ? q : counted(q);
}

void *memalign(size_t alignment, size_t size)
{
    return refused() ? NULL : counted(__libc_memalign(alignment, size));
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
    void *p = memalign(alignment, size);
    if (!p)
        return ENOMEM;
    *out = p;
    return 0;
}

void free(void *p)
{
    if (p)
        atomic_fetch_sub(&live, 1);
    __libc_free(p);
}

static uint8_t pixels[40 * 30 * 3];

/* One walk. The result's first joint, or NAN-free 0 where it failed; *st says which call did. */
static limber_status walk(const char *directory, const char *backend, limber_keypoint *joint, char text[128])
{
    limber_options o = limber_options_default();
    o.backend = backend;
    o.precision = "fp32";
    o.threads = 1;
    o.batch = 2;
    o.flip = 1;
    limber_error err = {.text = ""};
    limber_model *m = NULL;
    limber_session *s = NULL;
    limber_people people = {0};
    limber_image im = {.pixels = pixels, .width = 40, .height = 30, .stride = 120};
    const limber_box boxes[3] = {{1, 1, 20, 28}, {5, 2, 30, 20}, {0, 0, 40, 30}};
    limber_status st = limber_model_open(&m, directory, &o, &err);
    if (!st)
        st = limber_session_open(&s, m, &o, &err);
    if (!st)
        st = limber_run(s, &im, boxes, 3, &people, &err);
    if (!st)
        *joint = people.person[2].keypoints[2];
    limber_people_free(&people);
    limber_session_close(&s);
    limber_model_close(&m);
    memcpy(text, err.text, 127);
    text[127] = 0;
    return st;
}

static void every_allocation_fails(const char *directory, const char *backend)
{
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)(i * 37 % 251);
    limber_keypoint wanted = {0}, joint;
    char text[128];
    for (int i = 0; i < 2; i++) /* the first also makes what the C library keeps for itself */
        cr_assert_eq(walk(directory, backend, &wanted, text), LIMBER_OK, "%s", text);
    for (int rest_too = 0; rest_too < 2; rest_too++) {
        atomic_store(&for_good, rest_too);
        long count = 0, left;
        do {
            long before = atomic_load(&live);
            joint = (limber_keypoint){0};
            atomic_store(&allowed, count);
            limber_status st = walk(directory, backend, &joint, text);
            left = atomic_exchange(&allowed, LONG_MAX);
            long leaked = atomic_load(&live) - before;
            cr_assert_eq(leaked, 0, "%s: allocation %ld fails (%s: %s): %ld blocks are left behind", backend, count,
                         limber_status_name(st), text, leaked);
            cr_assert(st || !memcmp(&joint, &wanted, sizeof joint), "%s: allocation %ld fails, and the result is another",
                      backend, count);
            cr_assert(!st || text[0], "%s: allocation %ld fails, and no word of it", backend, count);
            count++;
        } while (left < 0 && count < 100000);
        cr_expect(count > 20, "only %ld allocations: is malloc replaced at all?", count);
    }
}

Test(alloc, ref_nobias)
{
    every_allocation_fails(LIMBER_TEST_DIR "/golden/nobias-eps", "ref");
}
Test(alloc, cpu_simple)
{
    every_allocation_fails(LIMBER_TEST_DIR "/golden/simple-hd32", "cpu");
}
Test(alloc, cpu_sharded)
{
    every_allocation_fails(LIMBER_TEST_DIR "/golden/sharded-hd80", "cpu");
}
#endif
