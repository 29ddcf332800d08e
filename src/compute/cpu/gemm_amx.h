/* SPDX-License-Identifier: MIT */
/* gemm_amx.h - linear layers with AMX tiles of bf16 or of bytes; what is computed, and struct gemm, as in gemm.h.
 *
 * A tile register is 16 rows of 64 bytes; tdpbf16ps adds to C [16][16] fp32 the product of A [16 rows][32 numbers] and
 * B [16 pairs][16 columns][2]. Weights are A, as pack.c has laid them out ([16 columns][16 units], 1 KB in a row), and 16 lines
 * of a panel of tokens are B as they lie in memory: no operand is rearranged. C is columns by tokens: lines again.
 *
 *     2 x 2 blocking: 32 columns x 2 panels = 4 C tiles, 2 A, 2 B: all eight registers; 4 loads for 4 products of 16 cycles
 *
 * Floor: 16 cycles for each 16 x 16 x 32, 2048 FLOP a cycle. What the measured prototype (Sapphire Rapids, 2 threads, 7.1 ms
 * floor for ViTPose-B) taught and this file keeps: operands in whole 1 KB tiles (strided rows: -20 %); units in slabs of KC so
 * that the weights of a slab stay in L1; the next weights fetched a tile ahead (+20 %); and the epilogue of the block before
 * interleaved with the tile products of this one, 4 pairs of lines after each of the first 8 steps, so that GELU runs in the
 * vector units while the tile unit multiplies (fc1 with GELU: 1360 -> 2040 GFLOP/s hot).
 *
 * gcc 12 traps: _tile_loadconfig declares only 8 bytes of its input, so the stores that fill it must be pinned before it; tile
 * loads and stores have no memory clobber. Both are what TILE_FENCE is for. */
#include "compute/cpu/epilogue.h"

/* c += w a: bf16 pairs into fp32, or signed bytes of weights and unsigned ones of tokens into 32-bit integers, 16 x 16 x 64 at once */
#ifdef LIMBER_SIMD_INT8
#define TILE_MAC _tile_dpbsud
#else
#define TILE_MAC _tile_dpbf16ps
#endif
#define AMX_NR 32
#define AMX_PANELS 2
#define AMX_KC 128 /* units: 256 columns (512 of bytes), 16 KB of weights, 8 steps */
#define AMX_STEP 16
#define AMX_BLOCK (AMX_PANELS * AMX_NR * LANES) /* floats of C */
#define TILE_FENCE() __asm__ volatile("" ::: "memory")

/* All eight tiles 16 rows of 64 bytes. Once for each call: cheap, and the thread may be anybody's. */
static inline void tiles_configure(void)
{
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t bytes[16];
        uint8_t rows[16];
    } config __attribute__((aligned(64))) = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        config.bytes[i] = 64;
        config.rows[i] = 16;
    }
    TILE_FENCE();
    __asm__ volatile("" ::"r"(&config) : "memory");
    _tile_loadconfig(&config);
}

/* A finished block whose epilogue is still to be done: c [panel][32][16]. */
struct pending {
    const float *c;
    int column, panel, pairs, panels;
};

ALWAYS_INLINE void pending_pairs(const struct gemm *g, const struct pending *p, int from, int to, const enum cpu_activation act)
{
    for (int i = from; i < to; i++) { /* pair i of the block: panels one after the other */
        const int panel = i / (AMX_NR / 2), n = i % (AMX_NR / 2) * 2;
        if (n / 2 < p->pairs)
            epilogue_pair(g, p->c + (panel * AMX_NR + n) * LANES, p->column + n, p->panel + panel, act);
    }
}

/* c[panel][32][16] (+)= w a over `steps` x 16 units, doing the epilogue of `before` on the way (if it has a block). */
ALWAYS_INLINE void amx_block(const struct gemm *g, float *c, const uint32_t *a, size_t a_stride, const uint32_t *w, int steps,
                             bool add, const char *ahead, size_t ahead_step, const struct pending *before,
                             const enum cpu_activation act, const int panels)
{
    float *c1 = c + AMX_NR * LANES; /* second panel */
    if (add) {
        _tile_loadd(0, c, 64);
        _tile_loadd(1, c + 16 * LANES, 64);
        if (panels == 2) {
            _tile_loadd(2, c1, 64);
            _tile_loadd(3, c1 + 16 * LANES, 64);
        }
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
    const int all = before->c ? before->panels * (AMX_NR / 2) : 0;
    int done = 0;
    for (int s = 0; s < steps; s++) {
        _tile_loadd(4, w + s * 512, 64);
        _tile_loadd(6, a + (size_t)s * 256, 64);
        _tile_loadd(5, w + s * 512 + 256, 64);
        TILE_MAC(0, 4, 6);
        TILE_MAC(1, 5, 6);
        if (panels == 2) {
            _tile_loadd(7, a + a_stride + (size_t)s * 256, 64);
            TILE_MAC(2, 4, 7);
            TILE_MAC(3, 5, 7);
        }
        for (size_t b = 0; b < ahead_step; b += 64)
            __builtin_prefetch(ahead + b, 0, 2);
        ahead += ahead_step;
        if (done < all) {
            pending_pairs(g, before, done, done + 4, act);
            done += 4;
        }
    }
    pending_pairs(g, before, done, all, act);
    _tile_stored(0, c, 64);
    _tile_stored(1, c + 16 * LANES, 64);
    if (panels == 2) {
        _tile_stored(2, c1, 64);
        _tile_stored(3, c1 + 16 * LANES, 64);
    }
    TILE_FENCE();
}

ALWAYS_INLINE void gemm_amx(const struct gemm *g, int panel0, int panel1, int tile0, int tile1, float *scratch,
                            const enum cpu_activation act)
{
    const int groups = (panel1 - panel0 + AMX_PANELS - 1) / AMX_PANELS;
    struct pending before = {0};
    for (int tile = tile0; tile < tile1; tile++)
        for (int s = 0; s < g->slabs; s++)
            for (int u0 = 0; u0 < g->units; u0 += AMX_KC) {
                const int units = g->units - u0 < AMX_KC ? g->units - u0 : AMX_KC, steps = units / AMX_STEP;
                const bool last = s == g->slabs - 1 && u0 + units == g->units;
                const uint32_t *w = g->w + ((size_t)(tile * g->slabs + s) * (size_t)g->units + (size_t)u0) * AMX_NR;
                /* what follows in memory is what is read next: the next units, slab or tile */
                const char *ahead = (const char *)(w + (size_t)units * AMX_NR);
                const size_t ahead_step = ((size_t)AMX_STEP * AMX_NR * sizeof *w / (size_t)groups + 63) / 64 * 64;
                for (int p = panel0; p < panel1; p += AMX_PANELS, ahead += ahead_step * (size_t)steps) {
                    /* blocks of two tiles in turn: one may be pending while the other is summed */
                    float *c =
                        scratch +
                        ((size_t)(tile & 1) * (GEMM_MAX_PANELS / AMX_PANELS) + (size_t)((p - panel0) / AMX_PANELS)) * AMX_BLOCK;
                    const uint32_t *a = g->a[s] + (size_t)p * g->a_stride + (size_t)u0 * LANES;
                    if (panel1 - p >= 2)
                        amx_block(g, c, a, g->a_stride, w, steps, s || u0, ahead, ahead_step, &before, act, 2);
                    else
                        amx_block(g, c, a, g->a_stride, w, steps, s || u0, ahead, ahead_step, &before, act, 1);
                    before.c = NULL;
                    if (last) {
                        const int columns = g->n - tile * AMX_NR < AMX_NR ? g->n - tile * AMX_NR : AMX_NR;
                        before = (struct pending){c, tile * AMX_NR, p, (columns + 1) / 2, panel1 - p < 2 ? 1 : 2};
                    }
                }
            }
    if (before.c)
        pending_pairs(g, &before, 0, before.panels * (AMX_NR / 2), act);
}

static void gemm(const struct gemm *g, int panel0, int panel1, int tile0, int tile1, void *scratch)
{
    tiles_configure();
    if (g->act == CPU_GELU)
        gemm_amx(g, panel0, panel1, tile0, tile1, scratch, CPU_GELU);
    else if (g->act == CPU_RELU)
        gemm_amx(g, panel0, panel1, tile0, tile1, scratch, CPU_RELU);
    else
        gemm_amx(g, panel0, panel1, tile0, tile1, scratch, CPU_NONE);
    _tile_release();
}

static size_t gemm_scratch(void)
{
    return (size_t)GEMM_MAX_PANELS * AMX_BLOCK * sizeof(float);
}

static double gemm_peak(uint32_t *memory, int rounds)
{
    enum { STEPS = 12 }; /* 2 x 12 KB of operands */
    const struct gemm none = {0};
    const struct pending nothing = {0};
    float *c = (float *)(void *)(memory + PEAK_WORDS);
    tiles_configure();
    for (int r = 0; r < rounds; r++)
        amx_block(&none, c, memory, 0, memory + STEPS * 256, STEPS, r > 0, (const char *)memory, 0, &nothing, CPU_NONE, 2);
    _tile_release();
    return (double)rounds * STEPS * AMX_STEP * UNIT * AMX_NR * AMX_PANELS * LANES;
}
