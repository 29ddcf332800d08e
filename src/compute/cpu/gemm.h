/* SPDX-License-Identifier: MIT */
/* gemm.h - linear layers: out[n][t] = act(bias[n] + sum_u w[n][u] a[u][t]) + residual[n][t], t along the lanes.
 *
 * Registers: a tile of NR columns x PANELS panels stays in NR * PANELS * VPL accumulators. One unit (one column in fp32, a pair
 * in bf16) loads PANELS * VPL vectors of tokens, broadcasts NR weights, and multiplies every one with every other:
 *
 *     AVX-512   8 x 3 panels = 24 accumulators, 11 loads per 24 FMAs       AVX2   6 x 1 panel = 12 accumulators, 8 per 12
 *     NEON      6 x 1 panel = 24 accumulators, 6 loads per 24: there a weight is a lane of a vector (simd_neon.h), not a broadcast
 *
 * More accumulators would spill, fewer would wait for loads; so the floor is units * tiles / 2 FMAs a cycle.
 *
 * Caches: a weight is used once for every token, so what must not be read twice from memory is the weights. The units are taken KC at a
 * time: the tokens' lines of that chunk (GEMM_MAX_PANELS panels x KC units) fit L2 and stay there, while each weight tile of NR x KC passes
 * over all of them from L1. It is fetched while the tile before it computes (one core, 192 tokens, 768 x 768, weights of 12 layers in turn:
 * fp32 222 -> 251, bf16 446 -> 506 GFLOP/s, which is the peak). KC of 192, 256 or 384 instead of 768 in fp32: no difference. Sums of
 * unfinished tiles rest in scratch as fp32, which changes no bit: every result is one chain of FMAs in the order of the units.
 * Epilogue: a finished tile is in L1 when bias, activation and residual are applied and the next operand's lines are written.
 *
 * Included by a kernels_*.c after its simd_*.h, with GEMM_NR, GEMM_PANELS and GEMM_KC defined. Tiles by AMX: gemm_amx.h. */
#include "compute/cpu/epilogue.h"

/* Of an instruction that has no products of bytes a unit is multiplied in two halves, of two columns each (simd_avx2.h). */
#ifndef UNIT_HALVES
#define UNIT_HALVES 1
#define vo_half(a, half) (a)
#endif

#ifndef GEMM_LOOP /* gemm_blocks.h has another */

/* c[panel][NR][16] (+)= w a over `units` lines; panel p of `a` begins at a + p * a_stride. `ahead`: weights to fetch meanwhile. */
ALWAYS_INLINE void gemm_loop(float *c, const uint32_t *a, size_t a_stride, const uint32_t *w, int units, bool add,
                             const char *ahead, size_t ahead_step, const int panels)
{
    va acc[GEMM_NR][GEMM_PANELS * VPL];
    UNROLL
    for (int n = 0; n < GEMM_NR; n++)
        UNROLL
    for (int v = 0; v < panels * VPL; v++)
        acc[n][v] = add ? va_load(c + (v / VPL * GEMM_NR + n) * LANES + v % VPL * VW) : va_zero();
    for (int u = 0; u < units; u++) {
        __builtin_prefetch(ahead, 0, 2);
        ahead += ahead_step;
        vo x[GEMM_PANELS * VPL];
        UNROLL
        for (int v = 0; v < panels * VPL; v++)
            x[v] = vo_load(a + (size_t)(v / VPL) * a_stride + v % VPL * VW);
#ifdef WEIGHTS_A_VECTOR
        vw b[(GEMM_NR + WEIGHTS_A_VECTOR - 1) / WEIGHTS_A_VECTOR];
        UNROLL
        for (int n = 0; n < GEMM_NR; n += WEIGHTS_A_VECTOR)
            if (n + WEIGHTS_A_VECTOR <= GEMM_NR)
                b[n / WEIGHTS_A_VECTOR] = vw_load(w + n);
            else
                b[n / WEIGHTS_A_VECTOR] = vw_load_half(w + n);
        UNROLL
        for (int n = 0; n < GEMM_NR; n++)
            UNROLL
        for (int v = 0; v < panels * VPL; v++)
            acc[n][v] = vw_mac(acc[n][v], b[n / WEIGHTS_A_VECTOR], n % WEIGHTS_A_VECTOR, x[v]);
#else
        UNROLL
        for (int half = 0; half < UNIT_HALVES; half++) {
            vo y[GEMM_PANELS * VPL];
            UNROLL
            for (int v = 0; v < panels * VPL; v++)
                y[v] = vo_half(x[v], half);
            UNROLL
            for (int n = 0; n < GEMM_NR; n++) {
                vo b = vo_set1(w + half * GEMM_NR + n);
                UNROLL
                for (int v = 0; v < panels * VPL; v++)
                    acc[n][v] = vo_mac(acc[n][v], b, y[v]);
            }
        }
#endif
        a += LANES;
        w += UNIT_HALVES * GEMM_NR;
    }
    UNROLL
    for (int n = 0; n < GEMM_NR; n++)
        UNROLL
    for (int v = 0; v < panels * VPL; v++)
        va_store(c + (v / VPL * GEMM_NR + n) * LANES + v % VPL * VW, acc[n][v]);
}

#endif /* GEMM_LOOP */

/* One function for each number of panels, never inlined: with the constants of the epilogue around it, gcc 12 runs out of
 * registers and keeps an accumulator in memory (AVX-512 fp32: 205 GFLOP/s instead of 250). */
#define GEMM_TILE(name, panels)                                                                                                  \
    static __attribute__((noinline)) void name(float *c, const uint32_t *a, size_t a_stride, const uint32_t *w, int units,       \
                                               bool add, const char *ahead, size_t ahead_step)                                   \
    {                                                                                                                            \
        gemm_loop(c, a, a_stride, w, units, add, ahead, ahead_step, panels);                                                     \
    }
GEMM_TILE(gemm_tile, GEMM_PANELS)
#if GEMM_PANELS > 1
GEMM_TILE(gemm_tile2, 2)
GEMM_TILE(gemm_tile1, 1)
#endif

static void gemm(const struct gemm *g, int panel0, int panel1, int tile0, int tile1, void *scratch)
{
    const size_t tile_floats = GEMM_NR * LANES, groups = (size_t)(panel1 - panel0 + GEMM_PANELS - 1) / GEMM_PANELS;
    const bool once = g->slabs == 1 && g->units <= GEMM_KC; /* then one tile of scratch is enough, and stays in L1 */
    for (int s = 0; s < g->slabs; s++)
        for (int u0 = 0; u0 < g->units; u0 += GEMM_KC) {
            const int units = g->units - u0 < GEMM_KC ? g->units - u0 : GEMM_KC;
            const bool add = s || u0, last = s == g->slabs - 1 && u0 + units == g->units;
            for (int tile = tile0; tile < tile1; tile++) {
                const uint32_t *w =
                    g->w + ((size_t)(tile * g->slabs + s) * (size_t)g->units + (size_t)u0) * UNIT_HALVES * GEMM_NR;
                /* While the groups of panels pass over this tile, each fetches its part of the next one into L2. */
                const char *ahead = (const char *)(w + (size_t)g->slabs * (size_t)g->units * UNIT_HALVES * GEMM_NR);
                const size_t ahead_step = (UNIT_HALVES * GEMM_NR * sizeof *w + groups - 1) / groups;
                for (int p = panel0, step; p < panel1; p += step, ahead += ahead_step * (size_t)units) {
                    const uint32_t *a = g->a[s] + (size_t)p * g->a_stride + (size_t)u0 * LANES;
                    float *c = scratch;
                    if (!once)
                        c += ((size_t)(tile - tile0) * (size_t)(panel1 - panel0) + (size_t)(p - panel0)) * tile_floats;
                    step = panel1 - p < GEMM_PANELS ? panel1 - p : GEMM_PANELS;
                    if (step == GEMM_PANELS)
                        gemm_tile(c, a, g->a_stride, w, units, add, ahead, ahead_step);
#if GEMM_PANELS > 1
                    else if (step == 2)
                        gemm_tile2(c, a, g->a_stride, w, units, add, ahead, ahead_step);
                    else
                        gemm_tile1(c, a, g->a_stride, w, units, add, ahead, ahead_step);
#endif
                    if (last)
                        epilogue(g, c, GEMM_NR, tile * GEMM_NR, p, step);
                }
            }
        }
}

static size_t gemm_scratch(void)
{
    return (size_t)GEMM_MAX_TILES * GEMM_MAX_PANELS * GEMM_NR * LANES * sizeof(float);
}

/* All panels read the same PEAK_UNITS lines: operands fit L1 with room to spare. */
#define PEAK_UNITS 384

static double gemm_peak(uint32_t *memory, int rounds)
{
    float *c = (float *)(void *)(memory + PEAK_WORDS);
    for (int r = 0; r < rounds; r++)
        gemm_tile(c, memory, 0, memory + PEAK_UNITS * LANES, PEAK_UNITS, r > 0, (const char *)memory, 0);
    return (double)rounds * PEAK_UNITS * UNIT * GEMM_NR * GEMM_PANELS * LANES;
}
