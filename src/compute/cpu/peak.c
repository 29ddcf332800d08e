/* SPDX-License-Identifier: MIT */
/* peak.c - what this machine's cores can multiply when nothing but registers and L1 is in the way: the yardstick of
 * `limber bench model`. Random operands, never zeros (AMX is a third faster on zeros, by clock). */
#define _POSIX_C_SOURCE 200809L
#include "compute/cpu/cpu.h"
#include "base/system.h"

#include <stdlib.h>
#include <time.h>

#define PEAK_BYTES (2 * PEAK_WORDS * sizeof(uint32_t))
#define SLICES 8 /* chunks per thread and run: a disturbed thread takes fewer */

struct peak_job {
    const struct kernels *kernels;
    uint32_t **memory;
    double *done; /* per worker, a cache line apart: operations, and the processor time that they took */
    int rounds;
};

static double thread_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void peak_chunk(void *context, int worker, int chunk)
{
    const struct peak_job *j = context;
    (void)chunk;
    const double start = thread_now();
    j->done[worker * 8] += j->kernels->peak(j->memory[worker], j->rounds);
    j->done[worker * 8 + 1] += thread_now() - start;
}

/* Numbers between -1 and 1 with random mantissas, in the operand's format; random bytes. */
static void random_operands(uint32_t *words, enum precision precision)
{
    uint32_t state = 12345;
    for (int i = 0; i < PEAK_WORDS; i++) {
        state = state * 1664525u + 1013904223u;
        words[i] = precision == PRECISION_BF16   ? (state & 0x807f807fu) | 0x3f003f00u
                   : precision == PRECISION_FP32 ? (state & 0x807fffffu) | 0x3f000000u
                                                 : state ^ state >> 13;
    }
}

struct cpu_peak cpu_peak(enum precision precision, int threads, double seconds)
{
    const struct kernels *kernels = cpu_kernels(precision, NULL);
    struct pool *pool = kernels ? pool_open(threads) : NULL;
    struct peak_job job = {.kernels = kernels,
                           .memory = calloc((size_t)threads, sizeof *job.memory),
                           .done = calloc((size_t)threads * 8, sizeof *job.done),
                           .rounds = 200};
    struct cpu_peak best = {0};
    bool ok = pool && job.memory && job.done;
    for (int i = 0; ok && i < threads; i++) {
        ok = (job.memory[i] = pages_alloc(PEAK_BYTES)) != NULL;
        if (ok)
            random_operands(job.memory[i], precision);
    }
    for (double end = system_now() + seconds; ok && system_now() < end;) {
        double flops = 0, worked = 0, start = system_now();
        for (int i = 0; i < threads; i++)
            job.done[i * 8] = job.done[i * 8 + 1] = 0;
        pool_run(pool, threads * SLICES, peak_chunk, &job);
        double took = system_now() - start;
        for (int i = 0; i < threads; i++)
            flops += 2e-9 * job.done[i * 8], worked += job.done[i * 8 + 1];
        best.wall = flops / took > best.wall ? flops / took : best.wall;
        if (took >= 2e-3 && flops / worked > best.core) /* less than that is within the error of the clock */
            best.core = flops / worked;
        if (took < 2e-3) /* long enough for the clock and for the slices to even out */
            job.rounds *= 2;
    }
    pool_close(pool);
    for (int i = 0; job.memory && i < threads; i++)
        pages_free(job.memory[i], PEAK_BYTES);
    free(job.memory);
    free(job.done);
    return best;
}
