/* SPDX-License-Identifier: MIT */
/* checkkernels.h - what the files of this program share. main.c says what it does.
 *
 *   main.c     options, the instruction sets, the table, the clock        memory.c   buffers that notice a touch beyond them
 *   gemm.c     linear layers                                              attention.c
 *   rows.c     layernorm, quantise                                        emulated_*.c   sets that few machines have, in C */
#ifndef CHECKKERNELS_H
#define CHECKKERNELS_H

#include "compute/cpu/cpu.h"

/* One instruction set. */
struct set {
    const char *name;
    const struct kernels *kernels; /* NULL: not here, and `note` says why */
    const char *note;
    bool emulated; /* by functions in C: right or wrong, but not fast or slow */
    bool fused;    /* fp32 multiplies and adds with one rounding */
};

/* One kernel of one set being checked or timed. */
struct check {
    const struct set *set;
    const char *kernel;
    char at[160];    /* the case: what a failure names */
    uint64_t random; /* state */
    long results;    /* numbers compared */
    double worst;    /* of error / allowed; 0 where all bits were those expected */
    int failures;
    struct room *rooms; /* memory.c */
};

/* Says what is wrong with the case c->at, on stderr, the first three times. */
__attribute__((format(printf, 2, 3))) void fail(struct check *c, const char *format, ...);
/* got may differ from want by `allowed`; 0: not in a bit, but -0 is 0. False, and said, where it does. */
bool expect(struct check *c, double got, double want, double allowed, const char *what, long i, long j);

int draw(struct check *c, int low, int high);     /* low .. high */
float draw_float(struct check *c, float largest); /* -largest .. largest */

/* ---- memory.c ---- */

/* Bytes filled with a pattern, 64-byte aligned, that end where the next page may not be touched. They last until rooms_leave. */
void *room(struct check *c, size_t bytes);
/* A word that nothing has written since `room`. */
#define UNTOUCHED 0x7fa5c3a5u /* a NaN in fp32; as bf16 a NaN and a small number */
/* Frees all; a byte changed beside one of them is a failure. */
void rooms_leave(struct check *c);
void rooms_watch(struct check *c); /* faults from now on are reported as of *c */

/* ---- numbers of the tables' formats ---- */

static inline bool is_bf16(const struct kernels *k)
{
    return k->precision == PRECISION_BF16;
}
float bf16_rounded(float f);
double bf16_rounding(double size); /* the most that rounding a number of this size to bf16 moves it */
/* Column c of token t (lane) of a panel of operands, 2 columns a line where `paired`. */
float operand_get(const uint32_t *panel, bool paired, int c, int lane);
void operand_set(uint32_t *panel, bool paired, int c, int lane, float value);

/* ---- the kernels ---- */

/* Of the attention that is timed; main.c has it from the command line. */
struct shape {
    int tokens, heads, head_dim;
};
extern struct shape timed_shape;

/* What the clock runs: `call` once, `work` floating-point operations (0: none worth counting). */
struct timed {
    void (*call)(void *context);
    void *context;
    double work;
};

struct kernel {
    const char *name;
    bool (*has)(const struct kernels *k);
    void (*check)(struct check *c);
    void (*time)(struct check *c, struct timed *t); /* buffers from room(c); shapes of ViTPose-B, one person */
};
extern const struct kernel kernel_linear, kernel_linear_gelu, kernel_attention, kernel_attention_stats, kernel_attention_grouped,
    kernel_layernorm, kernel_quantise;

#if defined(__x86_64__)
extern const struct kernels kernels_emulated_avxvnni, kernels_emulated_amx, kernels_emulated_amxint8;
#endif

#endif
