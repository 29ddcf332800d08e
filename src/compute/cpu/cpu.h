/* SPDX-License-Identifier: MIT */
/* cpu.h - what the files of backend `cpu` share.
 *
 * One layout carries the whole network: TOKENS LIE ACROSS THE LANES. Activations are panels of 16 tokens; inside a panel one
 * 64-byte line holds one number (fp32), two neighbours (bf16) or four (int8) of each of the 16 tokens:
 *
 *     fp32   [panel][cols][16]            line c      = column c of tokens 0..15
 *     bf16   [panel][cols / 2][16][2]     line c / 2  = columns c, c + 1 of tokens 0..15
 *     int8   [panel][cols / 4][16][4]     line c / 4  = columns c .. c + 3; made of the others just before an int8 layer (quantise.h)
 *
 * A person starts a new panel; the lanes past the last token hold finite rubbish that nobody reads. What this buys:
 *   - a linear layer multiplies broadcast weights with lines of tokens, so its result is again lines of tokens: no transpose,
 *     no horizontal sum, and the bf16 pair is what vdpbf16ps and the B operand of an AMX tile want;
 *   - layernorm, softmax (rows of the TRANSPOSED scores: keys down, queries across), bias, GELU and residual are vertical;
 *   - K and V are read by attention exactly as the qkv layer wrote them (V of bf16 in pairs of tokens, see OUT_QKV);
 *   - every result is one chain of additions in the order of the columns, wherever the blocking puts it: the same bytes for
 *     any number of threads, any batch and any span.
 *
 *   dispatch.c       which of the kernel tables this CPU gets         kernels_*.c   one instruction set each, made of:
 *   backend_cpu.c    the operations, cut into chunks for the threads    gemm.h         linear layers of every kind
 *   pack.c           weights into the order the kernels read            attention.h    fused attention
 *   threads.c        the pool                                          layernorm.h    layernorm
 *   arena.c          memory on huge pages                              simd_*.h       the few vector operations they need
 *   head.c           the two keypoint heads                            vmath.h        exp and GELU
 *   attention_groups.c   windowed, pooled and merged attention, through the fused kernel
 *   gemm_amx.h, attention_amx.h   the same two operations with tile registers
 *   gemm_blocks.h                 gemm.h's loop by products of 2 x 2 blocks
 *   quantise.h, sums.h            operands of 8 bits, and what their sums stand for */
#ifndef LIMBER_CPU_H
#define LIMBER_CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "compute/backend.h"

#define LANES 16 /* tokens in a panel */

/* ---- arena.c ---- */

/* Zeroed memory on 2 MB pages where the kernel grants them; never freed piece by piece. */
struct arena {
    struct arena_block *blocks;
    size_t used, size; /* of the newest block */
};
void *arena_alloc(struct arena *a, size_t bytes); /* 64-byte aligned; NULL when memory is short */
void arena_free(struct arena *a);
/* One zeroed piece of its own; NULL when memory is short. */
void *pages_alloc(size_t bytes);
void pages_free(void *p, size_t bytes);

/* ---- threads.c ---- */

struct pool;
typedef void (*chunk_fn)(void *context, int worker, int chunk);
struct pool *pool_open(int threads); /* the caller is worker 0: threads - 1 are started. NULL when that fails */
void pool_close(struct pool *p);
int pool_threads(const struct pool *p);
/* fn(context, worker, 0..chunks-1), each once, taken in order as workers come free; returns when all are done. */
void pool_run(struct pool *p, int chunks, chunk_fn fn, void *context);
/* Runs chunks 0..n-1 on the span's own lane, or over all threads outside of `split`. */
void cpu_chunks(struct exec *ex, struct span span, int n, chunk_fn fn, void *context);

/* ---- what a kernel is asked ---- */

enum cpu_activation { CPU_NONE, CPU_GELU, CPU_RELU };
enum out_kind {
    OUT_FP32,    /* [panel][cols][16] */
    OUT_OPERAND, /* the operand layout of the table's precision */
    OUT_QKV,     /* the operand layout, but from column v_from on bf16 lines are [col][16 tokens]: pairs of tokens */
};

/* out[n][token] = act(bias[n] + sum over slabs and units of w * a) + residual[n][token].
 * A unit is one line: one column in fp32, two in bf16, four in int8. Slabs are several operands summed into one result (the four taps of a
 * parity of a transposed convolution); a plain layer has one. */
#define GEMM_MAX_SLABS 4
struct gemm {
    const uint32_t *a[GEMM_MAX_SLABS]; /* panel p's lines start at a[s] + p * a_stride */
    size_t a_stride;                   /* 32-bit words from panel to panel */
    int slabs, units;                  /* units of each slab */
    const uint32_t *w;                 /* as pack.c wrote it: [tile][slabs * units][nr] */
    const uint32_t *steps;             /* int8: panel p's steps and zero points at steps + p * a_stride (quantise.h) */
    const float *w_step;               /* int8: [n rounded up to nr] */
    const int32_t *w_sum;              /* int8: likewise */
    int n;                             /* columns of the result */
    const float *bias;                 /* [n rounded up to nr]; never NULL */
    enum cpu_activation act;
    const float *residual; /* fp32 panels, or NULL */
    size_t residual_stride;
    int residual_period; /* panel p adds residual panel p % period; 0: panel p itself */
    void *out;
    size_t out_stride; /* 32-bit words from panel to panel */
    enum out_kind kind;
    int v_from;
};

/* Softmax attention of one head of one person for up to `panels` panels of queries. */
struct attention {
    const uint32_t *qkv; /* the person's first panel */
    size_t qkv_stride;
    uint32_t *out;
    size_t out_stride;
    int tokens, heads, head_dim;
    int grid_w;
    const struct attention_stats *stats; /* NULL: none */
    int person;                          /* of the batch: where stats go */
    const float *key_log2; /* [tokens]: log2 of how many tokens a key stands for (attention_groups.c); NULL: one each */
};

struct layernorm {
    const float *x;
    size_t x_stride;
    void *y;
    size_t y_stride;
    enum out_kind kind; /* OUT_FP32 or OUT_OPERAND */
    int dim;
    float eps;
    const float *gain, *bias;
};

/* Panels of an operand to 8 bits: quantise.h. */
struct quantise {
    const uint32_t *x;
    size_t x_stride;
    bool paired;          /* bf16 lines */
    int units, all_units; /* of four columns: that hold some; that the weights have */
    uint32_t *y;          /* [all_units + 2] lines a panel */
    size_t y_stride;
};

/* One instruction set's answers. Scratch is the worker's own, at least the bytes its function states. */
struct kernels {
    const char *name;
    enum precision precision;
    int nr;               /* columns of a weight tile */
    int unit_align;       /* slabs are padded to a multiple of this many units */
    int attention_panels; /* of queries, that a call of attention takes at most */
    int attention_block;  /* and those of them that it has in registers at once */
    int token_offset;     /* int8: what its quantise subtracts from integers and zero points */
    bool amx;             /* weight tiles are [16 columns][16 units] blocks */
    bool wide_weights;    /* int8: of 16 bits (pack.c) */
    bool unit_pairs;      /* weight tiles are [unit / 2][column][2] (gemm_blocks.h) */
    /* panels [panel0, panel1) x tiles [tile0, tile1) of nr columns */
    void (*gemm)(const struct gemm *g, int panel0, int panel1, int tile0, int tile1, void *scratch);
    size_t (*gemm_scratch)(void);
    /* query panels [panel0, panel0 + panels), panels <= attention_panels */
    void (*attention)(const struct attention *a, int head, int panel0, int panels, void *scratch);
    size_t (*attention_scratch)(int tokens, int head_dim);
    void (*layernorm)(const struct layernorm *l, int panel0, int panel1);
    /* int8 tables have this and gemm, and no other operation */
    void (*quantise)(const struct quantise *q, int panel0, int panel1);
    /* The register loop of gemm alone, `rounds` times over operands that stay in L1; returns the multiply-adds done. `memory` is
     * PEAK_WORDS operand words and as many floats' room. */
    double (*peak)(uint32_t *memory, int rounds);
};
#define PEAK_WORDS 16384

#define GEMM_MAX_PANELS 12 /* panels one call of gemm may be given: what its scratch is made for */
#define GEMM_MAX_TILES 16  /* and tiles */

extern const struct kernels kernels_scalar;
#if defined(__aarch64__)
extern const struct kernels kernels_neon, kernels_neondot, kernels_neoni8mm, kernels_neonbf16;
#endif
#if defined(__x86_64__)
extern const struct kernels kernels_avx2, kernels_avx2int8, kernels_avxvnni, kernels_avx512, kernels_avx512vnni,
    kernels_avx512bf16, kernels_amx, kernels_amxint8;
#endif

/* ---- dispatch.c ---- */

/* The table for a precision, LIMBER_CPU obeyed; NULL and the reason in err where this machine has none. */
const struct kernels *cpu_kernels(enum precision precision, limber_error *err);
int cpu_count(void); /* CPUs this process may use */
/* Whether vpmaddwd and an addition, 16 products, are issued more often than two FMAs of 8, by CPUID's signature (eax of leaf 1); bench/README.md has
 * the table. Zen 3, and Skylake to Comet Lake with their servers: twice a cycle. Haswell, Broadwell and Zen 2 have one such multiplier a core,
 * Zen 1 half of one: int8 gains nothing there, so table avx2int8 is theirs only if LIMBER_CPU asks. */
bool cpu_wide_multipliers(unsigned signature, bool amd, bool intel);
/* Every instruction set of LIMBER_CPU's list, one after the other: *name is NULL past the last. NULL where this CPU or this build lacks
 * it, *why then says which. LIMBER_CPU itself is not asked. For what checks and times them all (tests/checkkernels). */
const struct kernels *cpu_table(int level, const char **name, const char **why);

/* ---- peak.c ---- */

/* GFLOP/s in the register loop of a precision's gemm, on random operands, the best of many short runs: of `threads` threads together
 * by the wall clock, and of one of them by its processor time, which a neighbour on the same core does not lessen. 0 where there is no
 * such table. */
struct cpu_peak {
    double wall, core;
};
struct cpu_peak cpu_peak(enum precision precision, int threads, double seconds);

/* ---- pack.c ---- */

struct packed {
    uint32_t *w;
    float *bias;  /* [tiles * nr] */
    float *step;  /* int8: [tiles * nr], what one step of a column's weights is worth */
    int32_t *sum; /* int8: [tiles * nr], the sum of a column's integers */
    int n, slabs, units, tiles;
};
/* Writes the weights of result column n for slab `slab`: `columns` of them, to row[0..]. */
typedef void (*weight_row_fn)(const void *context, int n, int slab, float *row);
bool pack_weights(struct packed *out, struct arena *a, const struct kernels *kr, int n, int slabs, int columns, weight_row_fn row,
                  const void *context, const float *bias);

/* ---- backend ---- */

enum weight_kind { WEIGHT_EMBED, WEIGHT_LAYERNORM, WEIGHT_LINEAR, WEIGHT_SIMPLE_HEAD, WEIGHT_CLASSIC_HEAD };

struct weight {
    enum weight_kind kind;
    const struct kernels *kernels; /* linear: whose packing it is */
    struct packed p[9];            /* linear and embed: p[0]; simple head: p[0]; classic head: 4 parities, 4 parities, 1x1 */
    /* embed */
    int patch_h, patch_w;
    uint32_t (*lut)[256]; /* the pixel's operand bits: fp32, or bf16 in the low half */
    /* heads and embed */
    int dim, mid, keypoints, scale;
    float *head_bias; /* [keypoints] of the simple head */
    /* layernorm */
    float eps;
    float *gain, *bias;
};

struct cpu_backend {
    struct backend base;
    const struct kernels *kernels; /* of every operation */
    const struct kernels *linear;  /* but of the layers of BUF_OPERAND to anything: an int8 table, or `kernels` again */
    struct arena arena;            /* weights */
    /* bytes that the operations packed so far need: a worker, whatever the shape of the pass and for each of its patches; and the
     * session's head buffer, for each panel of patches of each person */
    size_t scratch, scratch_patch, head_panel;
};

struct cpu_lane {
    struct cpu_exec *ex;
    int worker;
};

/* Memory that grows when it is first needed: what the approximate attentions regroup into. */
struct cpu_temp {
    void *p;
    size_t bytes;
    bool failed; /* memory was short: said by finish */
};

struct cpu_exec {
    struct exec base;
    const struct cpu_backend *be;
    const struct kernels *kernels;
    struct pool *pool;
    struct cpu_lane *lanes; /* [threads] */
    void **scratch;         /* [threads] */
    struct cpu_temp *temps; /* [threads + 1]: a lane's own, and the last for operations that share the threads */
    size_t scratch_bytes;
    uint32_t *quantised; /* int8: [max_people][quantised_person] words, the operand of the layer being computed */
    size_t quantised_person, quantised_bytes;
    uint8_t *head; /* [max_people][head_person] */
    size_t head_person, head_bytes;
    int max_people;
    const uint8_t *crops;
    size_t crop_bytes;
};

struct cpu_buf {
    struct buf base;
    int panels;    /* of one person; 0 for heatmaps */
    size_t stride; /* 32-bit words from panel to panel; for heatmaps from person to person */
    bool paired;   /* bf16 lines */
    uint32_t *v;
    size_t bytes;
};

static inline int panels_of(int tokens)
{
    return (tokens + LANES - 1) / LANES;
}
static inline uint32_t *buf_person(const struct buf *b, int person)
{
    const struct cpu_buf *c = (const struct cpu_buf *)b;
    return c->v + (size_t)person * (c->panels ? (size_t)c->panels : 1) * c->stride;
}

/* bf16 by round to nearest even; NaN stays NaN. */
static inline uint32_t bf16_bits(float f)
{
    union {
        float f;
        uint32_t u;
    } v = {f};
    if ((v.u & 0x7fffffff) > 0x7f800000)
        return v.u >> 16 | 0x40;
    return (v.u + 0x7fff + (v.u >> 16 & 1)) >> 16;
}
static inline float bf16_value(uint32_t bits)
{
    union {
        uint32_t u;
        float f;
    } v = {bits << 16};
    return v.f;
}

/* Panels of queries for a call of attention, of `panels` in each of `heads` heads (of all people or windows together). */
int cpu_attention_panels(const struct cpu_exec *ex, struct span span, int panels, int heads);

/* ---- attention_groups.c ---- */

/* Attention of kinds other than ATTENTION_EXACT. */
void cpu_attention_grouped(struct cpu_exec *ex, struct span span, struct buf *y, const struct buf *qkv,
                           const struct attention_args *a);

/* ---- head.c ---- */
limber_status cpu_simple_head_pack(struct backend *be, struct weight **out, const struct simple_head_desc *d, limber_error *err);
limber_status cpu_classic_head_pack(struct backend *be, struct weight **out, const struct classic_head_desc *d,
                                    limber_error *err);
void cpu_head(struct exec *ex, struct span span, struct buf *heat, const struct buf *x, const struct weight *w,
              const struct pass_shape *shape);
struct weight *cpu_weight_new(struct cpu_backend *be, enum weight_kind kind);

#endif
