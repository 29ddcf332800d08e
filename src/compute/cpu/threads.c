/* SPDX-License-Identifier: MIT */
/* threads.c - a pool that hands out chunks of one job at a time.
 *
 * A forward pass is a hundred short jobs, so waking must be cheap: workers spin for SPIN_NS after a job and only then sleep on a
 * futex. Chunks are taken one by one from a counter, so a core that a neighbour slows down simply takes fewer. And nobody
 * waits for a worker that has not begun: the caller works through the chunks itself, then closes the gate and waits only for
 * those that came in. (A static split with a barrier stalls for a whole scheduler quantum, 8 ms instead of 0.3 ms, whenever
 * something else runs on one core.)
 *
 * gate = job number << 32 | closed << 31 | workers that entered. The job's fields are written while the gate is closed and
 * everybody who entered has left; entering is a compare-and-swap on the open gate. */
#define _GNU_SOURCE
#include "compute/cpu/cpu.h"
#include "base/system.h"

#include <linux/futex.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SPIN_NS 50000
#define CLOSED ((uint64_t)1 << 31)
#define ENTERED (CLOSED - 1)

struct worker {
    struct pool *pool;
    int index;
    pthread_t thread;
};

struct pool {
    int threads;
    struct worker *workers; /* [threads]; 0 is the caller and has no thread */
    /* the job */
    chunk_fn fn;
    void *context;
    int chunks;
    _Alignas(64) _Atomic uint64_t gate;
    _Alignas(64) _Atomic int next;
    _Alignas(64) _Atomic uint32_t left; /* of those that entered */
    _Alignas(64) _Atomic uint32_t wake; /* futex: one more for every job, and for the end */
    _Atomic int sleepers;
    _Atomic bool stop;
};

static void futex_wait(_Atomic uint32_t *word, uint32_t seen)
{
    syscall(SYS_futex, (uint32_t *)word, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word)
{
    syscall(SYS_futex, (uint32_t *)word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static void cpu_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Spins until *word differs from `seen`; false when the time is up. */
static bool spin_until_changed(_Atomic uint32_t *word, uint32_t seen)
{
    uint64_t end = system_now_ns() + SPIN_NS;
    do
        for (int i = 0; i < 64; i++) {
            if (atomic_load_explicit(word, memory_order_acquire) != seen)
                return true;
            cpu_relax();
        }
    while (system_now_ns() < end);
    return false;
}

static void take_chunks(struct pool *p, int worker)
{
    for (int c; (c = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed)) < p->chunks;)
        p->fn(p->context, worker, c);
}

static bool enter(struct pool *p)
{
    uint64_t g = atomic_load_explicit(&p->gate, memory_order_acquire);
    while (!(g & CLOSED))
        if (atomic_compare_exchange_weak_explicit(&p->gate, &g, g + 1, memory_order_acquire, memory_order_acquire))
            return true;
    return false;
}

static void *worker_main(void *argument)
{
    struct worker *w = argument;
    struct pool *p = w->pool;
    uint32_t seen = 0;
    for (;;) {
        if (!spin_until_changed(&p->wake, seen)) {
            atomic_fetch_add(&p->sleepers, 1);
            futex_wait(&p->wake, seen);
            atomic_fetch_sub(&p->sleepers, 1);
        }
        if (atomic_load_explicit(&p->stop, memory_order_acquire))
            return NULL;
        seen = atomic_load_explicit(&p->wake, memory_order_acquire);
        if (enter(p)) {
            take_chunks(p, w->index);
            atomic_fetch_add_explicit(&p->left, 1, memory_order_release);
        }
    }
}

void pool_run(struct pool *p, int chunks, chunk_fn fn, void *context)
{
    if (p->threads == 1 || chunks <= 1) {
        for (int c = 0; c < chunks; c++)
            fn(context, 0, c);
        return;
    }
    p->fn = fn;
    p->context = context;
    p->chunks = chunks;
    atomic_store_explicit(&p->next, 0, memory_order_relaxed);
    atomic_store_explicit(&p->left, 0, memory_order_relaxed);
    uint64_t job = (atomic_load_explicit(&p->gate, memory_order_relaxed) >> 32) + 1;
    atomic_store(&p->gate, job << 32);
    atomic_fetch_add(&p->wake, 1);
    if (atomic_load(&p->sleepers))
        futex_wake(&p->wake);
    take_chunks(p, 0);
    uint32_t entered = (uint32_t)(atomic_fetch_or_explicit(&p->gate, CLOSED, memory_order_acq_rel) & ENTERED);
    /* They are inside their last chunk: yielding after a while lets them have this core if they need it. */
    for (unsigned spins = 0; atomic_load_explicit(&p->left, memory_order_acquire) != entered; spins++) {
        if (spins < 4096)
            cpu_relax();
        else
            syscall(SYS_sched_yield);
    }
}

int pool_threads(const struct pool *p)
{
    return p->threads;
}

struct pool *pool_open(int threads)
{
    struct pool *p = aligned_alloc(64, (sizeof *p + 63) / 64 * 64);
    if (!p)
        return NULL;
    *p = (struct pool){.threads = 1};
    atomic_store(&p->gate, CLOSED);
    p->workers = calloc((size_t)threads, sizeof *p->workers);
    if (!p->workers) {
        free(p);
        return NULL;
    }
    for (; p->threads < threads; p->threads++) {
        struct worker *w = &p->workers[p->threads];
        *w = (struct worker){.pool = p, .index = p->threads};
        if (pthread_create(&w->thread, NULL, worker_main, w)) {
            pool_close(p);
            return NULL;
        }
    }
    return p;
}

void pool_close(struct pool *p)
{
    if (!p)
        return;
    atomic_store(&p->stop, true);
    atomic_fetch_add(&p->wake, 1);
    futex_wake(&p->wake);
    for (int i = 1; i < p->threads; i++)
        pthread_join(p->workers[i].thread, NULL);
    free(p->workers);
    free(p);
}

void cpu_chunks(struct exec *base, struct span span, int n, chunk_fn fn, void *context)
{
    if (!span.lane) {
        pool_run(((struct cpu_exec *)base)->pool, n, fn, context);
        return;
    }
    const int worker = ((const struct cpu_lane *)span.lane)->worker;
    for (int c = 0; c < n; c++)
        fn(context, worker, c);
}
