/* SPDX-License-Identifier: MIT */
/* main.c - checkkernels: every kernel of every instruction set of backend `cpu`, checked against plain loops and timed, in one table.
 *
 *   checkkernels [--bench] [--set NAME] [--kernel NAME] [--seed N] [--tokens N] [--heads N] [--head-dim N]
 *
 * Checking: random shapes and numbers from the seed; each result against a loop in C (gemm.c, attention.c, rows.c say how close it must
 * be); buffers between pages that may not be touched; words that belong to other calls must stay. The column `worst` is the largest error
 * in units of what is allowed, or "same bits". Exit status 0: all well; 1: a kernel is wrong; 2: usage.
 *
 * --bench also times the shapes of ViTPose-B, one thread, by its own processor time: the median of 25 slices, with the loop of the set's
 * peak (struct kernels) in turns beside it. Attention is that of 12 heads of 64 columns over 192 tokens, or what the last three options say. A kernel that an emulation stands for is checked and not timed.
 *
 * A new instruction set is a row of compute/cpu/dispatch.c and appears here by itself; a new kernel of struct kernels is a row of
 * `kernels` below. */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "checkkernels.h"

static const struct kernel *const kernels[] = {&kernel_linear,          &kernel_linear_gelu,       &kernel_attention,
                                               &kernel_attention_stats, &kernel_attention_grouped, &kernel_layernorm,
                                               &kernel_quantise};
#define KERNELS (sizeof kernels / sizeof *kernels)

struct shape timed_shape = {.tokens = 192, .heads = 12, .head_dim = 64};

/* Tables that run anywhere the vector half does: taken where dispatch.c has none for this CPU. */
static const struct emulation {
    const char *name, *needs;
    const struct kernels *kernels;
} emulations[] = {
#if defined(__x86_64__) && !defined(LIMBER_NO_AVX2)
    {"avxvnni", "avx2", &kernels_emulated_avxvnni},
#endif
#if defined(CHECKKERNELS_EMULATE_AMX)
    {"amx", "avx512bf16", &kernels_emulated_amx},
    {"amxint8", "avx512bf16", &kernels_emulated_amxint8},
#endif
    {NULL, NULL, NULL}};

/* ---- what the kernels' files ask for ---- */

void fail(struct check *c, const char *format, ...)
{
    va_list args;
    if (++c->failures > 3)
        return;
    fprintf(stderr, "%s by %s: %s: ", c->kernel, c->set->name, c->at);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

bool expect(struct check *c, double got, double want, double allowed, const char *what, long i, long j)
{
    const double error = fabs(got - want), share = error == 0 ? 0 : allowed > 0 ? error / allowed : INFINITY;
    c->results++;
    if (share > c->worst)
        c->worst = share;
    if (error <= allowed)
        return true;
    fail(c, "%s %ld, %ld is %.9g, expected %.9g within %.3g", what, i, j, got, want, allowed);
    return false;
}

static uint64_t next(struct check *c)
{
    c->random = c->random * 6364136223846793005u + 1442695040888963407u;
    return c->random >> 33;
}
int draw(struct check *c, int low, int high)
{
    return low + (int)(next(c) % (uint64_t)(high - low + 1));
}
float draw_float(struct check *c, float largest)
{
    return ((float)next(c) * 0x1p-30f - 1) * largest;
}

float bf16_rounded(float f)
{
    return bf16_value(bf16_bits(f));
}
double bf16_rounding(double size)
{
    return size > 0 ? ldexp(1, ilogb(size) - 8) : 0;
}
float operand_get(const uint32_t *panel, bool paired, int c, int lane)
{
    float f;
    if (paired)
        return bf16_value(panel[c / 2 * LANES + lane] >> (c % 2 * 16) & 0xffff);
    memcpy(&f, panel + c * LANES + lane, sizeof f);
    return f;
}
void operand_set(uint32_t *panel, bool paired, int c, int lane, float value)
{
    if (!paired) {
        memcpy(panel + c * LANES + lane, &value, sizeof value);
        return;
    }
    uint32_t *word = panel + c / 2 * LANES + lane, mask = 0xffffu << (c % 2 * 16);
    *word = (*word & ~mask) | bf16_bits(value) << (c % 2 * 16);
}

/* ---- the clock ---- */

struct figures {
    double ns, gflops, share; /* of the peak measured beside it */
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
static double seconds_of(const struct timed *t, long calls)
{
    const double start = now();
    for (long i = 0; i < calls; i++)
        t->call(t->context);
    return (now() - start) / (double)calls;
}
struct peak {
    const struct kernels *kernels;
    uint32_t *memory;
};
static void peak_call(void *context)
{
    const struct peak *p = context;
    p->kernels->peak(p->memory, 50);
}
static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}
static long calls_for(const struct timed *t, double seconds)
{
    long calls = 1;
    while (seconds_of(t, calls) * (double)calls < seconds)
        calls *= 2;
    return calls;
}

static struct figures measure(struct check *c, const struct kernel *kernel)
{
    enum { SLICES = 25 };
    const struct kernels *k = c->set->kernels;
    struct timed t;
    kernel->time(c, &t);
    struct peak peak = {k, room(c, 2 * PEAK_WORDS * sizeof(uint32_t))};
    for (int i = 0; i < PEAK_WORDS; i++) /* numbers of either format between 1/2 and 1, random bytes; results start at 0 */
        peak.memory[i] = k->precision == PRECISION_INT8   ? (uint32_t)next(c) * 2654435761u
                         : k->precision == PRECISION_BF16 ? ((uint32_t)next(c) & 0x007f007fu) | 0x3f003f00u
                                                          : ((uint32_t)next(c) & 0x007fffffu) | 0x3f000000u;
    memset(peak.memory + PEAK_WORDS, 0, PEAK_WORDS * sizeof(uint32_t));
    const struct timed top = {peak_call, &peak, 2 * k->peak(peak.memory, 50)};
    const long calls = calls_for(&t, 4e-3), top_calls = calls_for(&top, 1e-3);
    double times[SLICES], shares[SLICES];
    for (int i = 0; i < SLICES; i++) {
        times[i] = seconds_of(&t, calls);
        shares[i] = t.work / times[i] / (top.work / seconds_of(&top, top_calls));
    }
    rooms_leave(c);
    qsort(times, SLICES, sizeof *times, by_size);
    qsort(shares, SLICES, sizeof *shares, by_size);
    return (struct figures){1e9 * times[SLICES / 2], 1e-9 * t.work / times[SLICES / 2], shares[SLICES / 2]};
}

/* ---- the table ---- */

enum { MAX_SETS = 32 };

static int list_sets(struct set *sets)
{
    int n = 0;
    const char *name, *why;
    for (const struct kernels *k; k = cpu_table(n, &name, &why), name && n < MAX_SETS; n++)
        sets[n] = (struct set){.name = name, .kernels = k, .note = k ? "" : why, .fused = strcmp(name, "scalar") != 0};
    for (const struct emulation *e = emulations; e->name; e++)
        for (int i = 0, vector = 0; i < n; i++) {
            vector |= !strcmp(sets[i].name, e->needs) && sets[i].kernels;
            if (!strcmp(sets[i].name, e->name) && !sets[i].kernels && vector)
                sets[i].kernels = e->kernels, sets[i].note = "emulated", sets[i].emulated = true;
        }
    return n;
}

static void print_row(const struct check *c, bool bench, const struct figures *f, double scalar_ns)
{
    char worst[32] = "same bits";
    if (c->failures)
        snprintf(worst, sizeof worst, "WRONG");
    else if (c->worst > 0)
        snprintf(worst, sizeof worst, "%.2f", c->worst);
    printf("%-25s %-11s %9ld  %-9s", c->kernel, c->set->name, c->results, worst);
    if (bench && f->ns > 0) {
        printf(" %11.0f", f->ns);
        if (f->gflops > 0)
            printf(" %9.1f %5.0f %%", f->gflops, 100 * f->share);
        else
            printf(" %9s %7s", "", "");
        if (scalar_ns > 0)
            printf(" %7.1f", scalar_ns / f->ns);
    } else {
        printf(" %s", c->set->note);
    }
    putchar('\n');
    fflush(stdout);
}

static int usage(void)
{
    fprintf(stderr,
            "usage: checkkernels [--bench] [--set NAME] [--kernel NAME] [--seed N] [--tokens N] [--heads N] [--head-dim N]\n");
    return 2;
}

int main(int argc, char **argv)
{
    const char *only_set = NULL, *only_kernel = NULL;
    unsigned long seed = 1;
    bool bench = false;
    int failures = 0, checked = 0;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--bench"))
            bench = true;
        else if (!strcmp(argv[i], "--set") && i + 1 < argc)
            only_set = argv[++i];
        else if (!strcmp(argv[i], "--kernel") && i + 1 < argc)
            only_kernel = argv[++i];
        else if (!strcmp(argv[i], "--seed") && i + 1 < argc)
            seed = strtoul(argv[++i], NULL, 0);
        else if (!strcmp(argv[i], "--tokens") && i + 1 < argc)
            timed_shape.tokens = atoi(argv[++i]);
        else if (!strcmp(argv[i], "--heads") && i + 1 < argc)
            timed_shape.heads = atoi(argv[++i]);
        else if (!strcmp(argv[i], "--head-dim") && i + 1 < argc)
            timed_shape.head_dim = atoi(argv[++i]);
        else
            return usage();
    }
    if (timed_shape.tokens < 1 || timed_shape.heads < 1 || timed_shape.head_dim < 2 || timed_shape.head_dim % 2)
        return usage();
    struct set sets[MAX_SETS];
    const int n = list_sets(sets);
    printf("seed %lu\n%-25s %-11s %9s  %-9s", seed, "kernel", "set", "results", "worst");
    printf(bench ? " %11s %9s %7s %7s\n" : "\n", "ns a call", "GFLOP/s", "of peak", "scalar");
    for (size_t kernel = 0; kernel < KERNELS; kernel++) {
        double scalar_ns = 0;
        for (int i = 0; i < n; i++) {
            struct check c = {.set = &sets[i], .kernel = kernels[kernel]->name, .random = seed + 1000 * kernel};
            if (!sets[i].kernels || !kernels[kernel]->has(sets[i].kernels) || (only_set && strcmp(only_set, sets[i].name)) ||
                (only_kernel && strcmp(only_kernel, c.kernel)))
                continue;
            struct figures f = {0};
            rooms_watch(&c);
            kernels[kernel]->check(&c);
            if (bench && !sets[i].emulated)
                f = measure(&c, kernels[kernel]);
            scalar_ns = i == 0 ? f.ns : scalar_ns;
            print_row(&c, bench, &f, scalar_ns);
            failures += c.failures;
            checked++;
        }
    }
    for (int i = 0; i < n; i++)
        if (!sets[i].kernels && (!only_set || !strcmp(only_set, sets[i].name)))
            printf("%s: %s\n", sets[i].name, sets[i].note);
    if (!checked) {
        fprintf(stderr, "checkkernels: nothing here is called that\n");
        return usage();
    }
    return failures ? 1 : 0;
}
