/* SPDX-License-Identifier: MIT */
/* attention.h - fused attention, transposed: for a few panels of queries (across the lanes) and all keys (down the lines)
 *
 *     S^T = K Q^T    P^T = exp(S^T / sqrt(head_dim) - max)    O^T = V^T P^T / sum
 *
 * so maximum, exponential and sum are vertical, K and Q are read as the qkv layer wrote them, and P^T is already the operand
 * that the second product wants. Keys are taken KEY_TILE at a time with the running maximum m and sum l of the online softmax
 * (Milakov and Gimelshein 2018; Dao et al., FlashAttention 2022):
 *
 *     m' = max(m, max of the tile)    l' = l 2^(m - m') + sum 2^(s - m')    O' = O 2^(m - m') + V^T 2^(s - m')
 *
 * Scores of a tile stay in the worker's scratch (KEY_TILE x ATT_PANELS lines, L1 to L2), P over S; no L x L matrix exists.
 * Tiles begin at multiples of KEY_TILE, so a result does not depend on which queries are computed together.
 *
 * Both products are gemm.h's loop: NK keys (then ND columns of V) x ATT_PANELS panels in registers, weights broadcast from K's
 * (V's) lines, 16 tokens of which lie side by side. Floor for head_dim 64 and 192 keys: 2 * 192 * 192 * 64 / UNIT multiply-adds
 * a head, and 192 * 192 / VW vectors of exp at about 11 instructions: an eighth of the fp32 products, a quarter of bf16's.
 *
 * Statistics (compute/backend.h) are sums down the same lines; the variant without them is compiled apart and pays nothing.
 *
 * Included by a kernels_*.c after its simd_*.h, with ATT_PANELS, ATT_KEYS (divides 16) and ATT_DIMS (a power of 2) defined; with
 * ATT_TILES the products are attention_amx.h's. */
#include "compute/cpu/vmath.h"

#define KEY_TILE 256
#define V_LINE (LANES / UNIT) /* words that hold 16 tokens of one column of V */

/* What one call works on. Lines of scratch: s [KEY_TILE][panels][16], o [head_dim][panels][16]. */
struct att_state {
    const struct attention *a;
    const uint32_t *q, *k, *v; /* this head's columns in the first query panel and the first key panel */
    float *s, *o;
    uint32_t *tiles; /* what attention_amx.h has packed; others leave it alone */
    int panels;
    vf max[ATT_PANELS * VPL], sum[ATT_PANELS * VPL]; /* max in the units of the exponent: log2 */
};

struct att_sums {
    vf p[ATT_PANELS * VPL], pp[ATT_PANELS * VPL], pd[ATT_PANELS * VPL], ps[ATT_PANELS * VPL]; /* sum p, p^2, p d, p log2(p l) */
    vf mask[ATTENTION_STATS_MAX_CLASSES][ATT_PANELS * VPL];
    vf query[ATT_PANELS * VPL], qx[ATT_PANELS * VPL], qy[ATT_PANELS * VPL];
};

#ifdef ATT_TILES
#include "compute/cpu/attention_amx.h"
#else

/* acc[n][v] += w(u, n) * x(u, v): w(u, n) at w + u * w_unit + n * w_step, x at x + v * x_step + u * x_unit. */
ALWAYS_INLINE void att_mac(vf acc[][ATT_PANELS * VPL], const uint32_t *w, size_t w_unit, size_t w_step, const uint32_t *x,
                           size_t x_unit, size_t x_panel, int units, const int rows, const int panels)
{
#ifdef WEIGHTS_A_VECTOR
    if (w_step == 1 && rows == WEIGHTS_A_VECTOR) { /* keys side by side: a vector of them for each unit */
        for (int u = 0; u < units; u++, w += w_unit, x += x_unit) {
            vw b = vw_load(w);
            UNROLL
            for (int v = 0; v < panels * VPL; v++) {
                vo a = vo_load(x + (size_t)(v / VPL) * x_panel + v % VPL * VW);
                UNROLL
                for (int n = 0; n < rows; n++)
                    acc[n][v] = vw_mac(acc[n][v], b, n, a);
            }
        }
        return;
    }
    if (w_unit == 1) /* units side by side: a vector of them for each row */
        for (; units >= WEIGHTS_A_VECTOR; units -= WEIGHTS_A_VECTOR, w += WEIGHTS_A_VECTOR) {
            vw b[ATT_DIMS];
            UNROLL
            for (int n = 0; n < rows; n++)
                b[n] = vw_load(w + (size_t)n * w_step);
            UNROLL
            for (int u = 0; u < WEIGHTS_A_VECTOR; u++, x += x_unit)
                UNROLL
            for (int v = 0; v < panels * VPL; v++) {
                vo a = vo_load(x + (size_t)(v / VPL) * x_panel + v % VPL * VW);
                UNROLL
                for (int n = 0; n < rows; n++)
                    acc[n][v] = vw_mac(acc[n][v], b[n], u, a);
            }
        }
#endif
    for (int u = 0; u < units; u++, w += w_unit, x += x_unit) {
        vo a[ATT_PANELS * VPL];
        UNROLL
        for (int v = 0; v < panels * VPL; v++)
            a[v] = vo_load(x + (size_t)(v / VPL) * x_panel + v % VPL * VW);
        UNROLL
        for (int n = 0; n < rows; n++) {
            vo b = vo_set1(w + (size_t)n * w_step);
            UNROLL
            for (int v = 0; v < panels * VPL; v++)
                acc[n][v] = vo_mac(acc[n][v], b, a[v]);
        }
    }
}

/* Scores of the `keys` keys from j0 on, and their maximum over the keys. */
ALWAYS_INLINE void att_scores(struct att_state *t, int j0, int keys, vf *top, const int panels)
{
    const int units = t->a->head_dim / UNIT;
    for (int j = 0; j < keys; j += ATT_KEYS) {
        vf acc[ATT_KEYS][ATT_PANELS * VPL];
        UNROLL
        for (int n = 0; n < ATT_KEYS; n++)
            UNROLL
        for (int v = 0; v < panels * VPL; v++)
            acc[n][v] = vf_set1(0);
        const uint32_t *k = t->k + (size_t)((j0 + j) / LANES) * t->a->qkv_stride + (j0 + j) % LANES;
        att_mac(acc, k, LANES, 1, t->q, LANES, t->a->qkv_stride, units, ATT_KEYS, panels);
        UNROLL
        for (int n = 0; n < ATT_KEYS; n++)
            UNROLL
        for (int v = 0; v < panels * VPL; v++)
            vf_store(t->s + (size_t)((j + n) * panels * LANES + v * VW), acc[n][v]);
        const int valid = keys - j < ATT_KEYS ? keys - j : ATT_KEYS; /* past the last key lies rubbish */
        if (valid == ATT_KEYS) {
            UNROLL
            for (int n = 0; n < ATT_KEYS; n++)
                UNROLL
            for (int v = 0; v < panels * VPL; v++)
                top[v] = vf_max(top[v], acc[n][v]);
        } else {
            for (int n = 0; n < valid; n++)
                for (int v = 0; v < panels * VPL; v++)
                    top[v] = vf_max(top[v], vf_load(t->s + (size_t)((j + n) * panels * LANES + v * VW)));
        }
    }
}

/* O (+)= V^T P for `rows` columns of V from d on. */
ALWAYS_INLINE void att_values(struct att_state *t, int j0, int keys, int d, const vf *fade, const int rows, const int panels)
{
    vf acc[ATT_DIMS][ATT_PANELS * VPL];
    float *o = t->o + (size_t)(d * panels * LANES);
    UNROLL
    for (int n = 0; n < rows; n++)
        UNROLL
    for (int v = 0; v < panels * VPL; v++)
        acc[n][v] = j0 ? vf_mul(vf_load(o + n * panels * LANES + v * VW), fade[v]) : vf_set1(0);
    for (int j = 0; j < keys; j += LANES) {
        const int units = ((keys - j < LANES ? keys - j : LANES) + UNIT - 1) / UNIT;
        const uint32_t *v = t->v + (size_t)((j0 + j) / LANES) * t->a->qkv_stride + (size_t)d * V_LINE;
        const uint32_t *p = (const uint32_t *)(const void *)(t->s + (size_t)(j / UNIT * panels * LANES));
        att_mac(acc, v, 1, V_LINE, p, (size_t)(panels * LANES), LANES, units, rows, panels);
    }
    UNROLL
    for (int n = 0; n < rows; n++)
        UNROLL
    for (int v = 0; v < panels * VPL; v++)
        vf_store(o + n * panels * LANES + v * VW, acc[n][v]);
}

/* The two products for each number of panels, never inlined: in one body with the exponential's constants gcc 12 spills
 * accumulators (gemm.h knows the same). */
#define ATT_PRODUCTS(panels)                                                                                                     \
    static __attribute__((noinline)) void att_scores_##panels(struct att_state *t, int j0, int keys, vf *top)                    \
    {                                                                                                                            \
        att_scores(t, j0, keys, top, panels);                                                                                    \
    }                                                                                                                            \
    static __attribute__((noinline)) void att_values_##panels(struct att_state *t, int j0, int keys, const vf *fade)             \
    {                                                                                                                            \
        int d = 0;                                                                                                               \
        for (; d + ATT_DIMS <= t->a->head_dim; d += ATT_DIMS)                                                                    \
            att_values(t, j0, keys, d, fade, ATT_DIMS, panels);                                                                  \
        for (; d + 2 <= t->a->head_dim; d += 2) /* head dims that ATT_DIMS does not divide */                                    \
            att_values(t, j0, keys, d, fade, 2, panels);                                                                         \
        for (; d < t->a->head_dim; d++)                                                                                          \
            att_values(t, j0, keys, d, fade, 1, panels);                                                                         \
    }
ATT_PRODUCTS(1)
#if ATT_PANELS == 3
ATT_PRODUCTS(2)
ATT_PRODUCTS(3)
#endif

#endif /* ATT_TILES */

/* product_1 .. product_3 by a constant number of panels */
#if ATT_PANELS == 3
#define ATT_CALL(product, panels, ...)                                                                                           \
    ((panels) == 3 ? product##_3(__VA_ARGS__) : (panels) == 2 ? product##_2(__VA_ARGS__) : product##_1(__VA_ARGS__))
#elif ATT_PANELS == 2
#define ATT_CALL(product, panels, ...) ((panels) == 2 ? product##_2(__VA_ARGS__) : product##_1(__VA_ARGS__))
#else
#define ATT_CALL(product, panels, ...) product##_1(__VA_ARGS__)
#endif

/* One key's contribution to the statistics: p its weights before normalising, x their exponents. */
ALWAYS_INLINE void att_count(struct att_sums *z, const struct attention *a, int j, int v, vf p, vf x)
{
    const struct attention_stats *st = a->stats;
    if (!st->include_self)
        p = vf_keep_ne(z->query[v], vf_set1((float)j), p);
    vf dx = vf_sub(z->qx[v], vf_set1((float)(j % a->grid_w))), dy = vf_sub(z->qy[v], vf_set1((float)(j / a->grid_w)));
    z->p[v] = vf_add(z->p[v], p);
    z->pp[v] = vf_fma(p, p, z->pp[v]);
    z->pd[v] = vf_fma(p, vf_sqrt(vf_fma(dx, dx, vf_mul(dy, dy))), z->pd[v]);
    z->ps[v] = vf_fma(p, x, z->ps[v]);
    const unsigned mask = st->masks[(size_t)a->person * (size_t)a->tokens + (size_t)j];
    for (int c = 0; c < st->classes; c++)
        if (mask >> c & 1)
            z->mask[c][v] = vf_add(z->mask[c][v], p);
}

/* S of the tile becomes P, in place: [key][panel][16] in fp32, [pair of keys][panel][16][2] in bf16. */
ALWAYS_INLINE void att_softmax(struct att_state *t, struct att_sums *z, int j0, int keys, vf scale, const int panels,
                               const bool stats, const bool grouped)
{
    for (int j = 0; j < keys; j += UNIT) {
        UNROLL
        for (int v = 0; v < panels * VPL; v++) {
            vf p[UNIT];
            UNROLL
            for (int i = 0; i < UNIT; i++) {
                if (j + i >= keys) {
                    p[i] = vf_set1(0);
                    continue;
                }
                const float *s = t->s + (size_t)((j + i) * panels * LANES + v * VW);
                vf x = vf_sub(vf_mul(vf_load(s), scale), t->max[v]);
                if (grouped) /* the maximum leaves this out: it only has to keep 2^x finite */
                    x = vf_add(x, vf_set1(t->a->key_log2[j0 + j + i]));
                p[i] = v_exp2(x);
                t->sum[v] = vf_add(t->sum[v], p[i]);
                if (stats)
                    att_count(z, t->a, j0 + j + i, v, p[i], vf_max(vf_set1(-125), x));
            }
            float *line = t->s + (size_t)(j / UNIT * panels * LANES + v * VW);
#if UNIT == 2
            pair_store((uint32_t *)(void *)line, p[0], p[1]);
#else
            vf_store(line, p[0]);
#endif
        }
    }
}

ALWAYS_INLINE void att_sums_start(struct att_sums *z, const struct attention *a, int panel0, int panels)
{
    memset(z, 0, sizeof *z);
    for (int v = 0; v < panels * VPL; v++) {
        float query[VW] __attribute__((aligned(64))), x[VW] __attribute__((aligned(64))), y[VW] __attribute__((aligned(64)));
        for (int i = 0; i < VW; i++) {
            int token = panel0 * LANES + v * VW + i;
            query[i] = (float)token;
            x[i] = (float)(token % a->grid_w);
            y[i] = (float)(token / a->grid_w);
        }
        z->query[v] = vf_load(query);
        z->qx[v] = vf_load(x);
        z->qy[v] = vf_load(y);
    }
}

/* The maximum moved by `shift` <= 0 (log2): what has been summed shrinks by 2^shift, and its exponents sink by shift. */
ALWAYS_INLINE void att_sums_fade(struct att_sums *z, const struct attention_stats *st, const vf *fade, const vf *shift,
                                 int vectors)
{
    for (int v = 0; v < vectors; v++) {
        z->ps[v] = vf_mul(vf_fma(shift[v], z->p[v], z->ps[v]), fade[v]);
        z->p[v] = vf_mul(z->p[v], fade[v]);
        z->pp[v] = vf_mul(z->pp[v], vf_mul(fade[v], fade[v]));
        z->pd[v] = vf_mul(z->pd[v], fade[v]);
        for (int c = 0; c < st->classes; c++)
            z->mask[c][v] = vf_mul(z->mask[c][v], fade[v]);
    }
}

/* Divides by the row sums and writes [token][4 + classes]. With e the unnormalised weights, p = e / l and x = log2 e:
 * sum p ln p = (ln 2 sum e x - ln l sum e) / l. */
static inline void att_sums_write(const struct att_state *t, const struct att_sums *z, int head, int panel0)
{
    const struct attention *a = t->a;
    const int width = 4 + a->stats->classes;
    float *out = a->stats->out + ((size_t)a->person * (size_t)a->heads + (size_t)head) * (size_t)a->tokens * (size_t)width;
    for (int v = 0; v < t->panels * VPL; v++) {
        float lane[5 + ATTENTION_STATS_MAX_CLASSES][VW] __attribute__((aligned(64)));
        vf_store(lane[0], z->p[v]);
        vf_store(lane[1], z->pp[v]);
        vf_store(lane[2], z->pd[v]);
        vf_store(lane[3], z->ps[v]);
        for (int c = 0; c < a->stats->classes; c++)
            vf_store(lane[4 + c], z->mask[c][v]);
        vf_store(lane[width], t->sum[v]);
        for (int i = 0; i < VW; i++) {
            int token = panel0 * LANES + v * VW + i;
            if (token >= a->tokens)
                return;
            float *row = out + (size_t)token * (size_t)width;
            double l = lane[width][i], p = lane[0][i];
            row[0] = (float)(p / l);
            row[1] = (float)(lane[1][i] / (l * l));
            row[2] = (float)(lane[2][i] / l);
            row[3] = (float)((0.69314718055994531 * lane[3][i] - log(l) * p) / l);
            for (int c = 0; c < a->stats->classes; c++)
                row[4 + c] = (float)(lane[4 + c][i] / l);
        }
    }
}

ALWAYS_INLINE void attention_run(const struct attention *a, int head, int panel0, void *scratch, uint32_t *tiles,
                                 const int panels, const bool stats, const bool grouped)
{
    const size_t dim = (size_t)a->heads * (size_t)a->head_dim, column = (size_t)head * (size_t)a->head_dim;
    const vf scale = vf_set1((float)(1.4426950408889634 / sqrt((double)a->head_dim)));
    struct att_sums z;
    struct att_state t = {
        .a = a,
        .q = a->qkv + (size_t)panel0 * a->qkv_stride + column / UNIT * LANES,
        .k = a->qkv + (dim + column) / UNIT * LANES,
        .v = a->qkv + (2 * dim + column) * V_LINE,
        .s = scratch,
        .o = (float *)scratch + (size_t)KEY_TILE * ATT_PANELS * LANES,
        .tiles = tiles,
        .panels = panels,
    };
    if (stats)
        att_sums_start(&z, a, panel0, panels);
    for (int j0 = 0; j0 < a->tokens; j0 += KEY_TILE) {
        const int keys = a->tokens - j0 < KEY_TILE ? a->tokens - j0 : KEY_TILE;
        vf top[ATT_PANELS * VPL], fade[ATT_PANELS * VPL], shift[ATT_PANELS * VPL];
        for (int v = 0; v < panels * VPL; v++)
            top[v] = vf_set1(-INFINITY);
        ATT_CALL(att_scores, panels, &t, j0, keys, top);
        for (int v = 0; v < panels * VPL; v++) {
            vf max = vf_mul(top[v], scale);
            if (j0) {
                max = vf_max(t.max[v], max);
                shift[v] = vf_max(vf_set1(-125), vf_sub(t.max[v], max));
                fade[v] = v_exp2(shift[v]);
                t.sum[v] = vf_mul(t.sum[v], fade[v]);
            } else {
                t.sum[v] = fade[v] = vf_set1(0);
            }
            t.max[v] = max;
        }
        if (stats && j0)
            att_sums_fade(&z, a->stats, fade, shift, panels * VPL);
        att_softmax(&t, &z, j0, keys, scale, panels, stats, grouped);
        ATT_CALL(att_values, panels, &t, j0, keys, fade);
    }
    for (int p = 0; p < panels; p++) {
        uint32_t *out = a->out + (size_t)(panel0 + p) * a->out_stride;
        for (int d = 0; d < a->head_dim; d += UNIT) {
            vf x[UNIT][VPL];
            UNROLL
            for (int i = 0; i < UNIT; i++)
                UNROLL
            for (int v = 0; v < VPL; v++)
                x[i][v] = vf_div(vf_load(t.o + (size_t)((d + i) * panels * LANES + p * LANES + v * VW)), t.sum[p * VPL + v]);
#if UNIT == 2
            operand_pair(out, (int)column + d, x[0], x[1]);
#else
            UNROLL
            for (int v = 0; v < VPL; v++)
                vf_store((float *)(void *)out + (column + (size_t)d) * LANES + v * VW, x[0][v]);
#endif
        }
    }
    if (stats)
        att_sums_write(&t, &z, head, panel0);
}

#ifndef ATT_TILES

static void attention(const struct attention *a, int head, int panel0, int panels, void *scratch)
{
#if ATT_PANELS == 3
    if (panels == 3 && !a->stats && !a->key_log2)
        attention_run(a, head, panel0, scratch, NULL, 3, false, false);
    else if (panels == 2 && !a->stats && !a->key_log2)
        attention_run(a, head, panel0, scratch, NULL, 2, false, false);
    else
#endif
        for (int p = panel0; p < panel0 + panels; p++)
            if (a->stats)
                attention_run(a, head, p, scratch, NULL, 1, true, false);
            else if (a->key_log2)
                attention_run(a, head, p, scratch, NULL, 1, false, true);
            else
                attention_run(a, head, p, scratch, NULL, 1, false, false);
}

static size_t attention_scratch(int tokens, int head_dim)
{
    (void)tokens;
    return ((size_t)KEY_TILE + (size_t)head_dim) * ATT_PANELS * LANES * sizeof(float);
}

#endif
