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
 * Each tile is summed by itself and then added, so that roundings grow with the length of a tile and the number of tiles, not with
 * the number of keys: at 4,251 keys one running sum would be 1e-6 off, ten times as much.
 *
 * Scores of a tile stay in the worker's scratch (KEY_TILE x ATT_PANELS lines, L1 to L2), P over S; no L x L matrix exists.
 * Tiles begin at multiples of KEY_TILE, so a result does not depend on which queries are computed together: a call takes up to
 * ATT_CALL_PANELS panels of queries past each tile of keys in blocks of ATT_PANELS, so that K and V come from far once a call and not
 * once a block, and the first block fetches them ahead.
 *
 * Both products are gemm.h's loop: ATT_KEYS keys (then ATT_DIMS columns of V) x ATT_PANELS panels in registers, weights broadcast from K's
 * (V's) lines, 16 tokens of which lie side by side. Floor for head_dim 64 and 192 keys: 2 * 192 * 192 * 64 / UNIT multiply-adds
 * a head, and 192 * 192 / VW vectors of exp at about 11 instructions: an eighth of the fp32 products, a quarter of bf16's.
 *
 * Statistics (compute/backend.h) are sums down the same lines; the variant without them is compiled apart and pays nothing.
 *
 * Included by a kernels_*.c after its simd_*.h, with ATT_PANELS, ATT_KEYS and ATT_DIMS defined; with ATT_TILES the products are
 * attention_amx.h's. */
#include "compute/cpu/vmath.h"

#define KEY_TILE 256
#define V_LINE (LANES / UNIT) /* words that hold 16 tokens of one column of V */

/* What one block of queries works on. Lines of scratch: s [KEY_TILE][panels][16], o [head_dim][panels][16] of each
 * block. */
struct att_state {
    const struct attention *a;
    const uint32_t *q, *k, *v; /* this head's columns in the block's first panel of queries and the first of keys */
    uint32_t *out;             /* and where the result goes */
    float *s, *o;
    uint32_t *tiles; /* what attention_amx.h has packed; others leave it alone */
    int panels;
    bool first;                                      /* block of a call */
    vf max[ATT_PANELS * VPL], sum[ATT_PANELS * VPL]; /* max in the units of the exponent: log2 */
};

struct att_sums {
    vf p[ATT_PANELS * VPL], pp[ATT_PANELS * VPL], pd[ATT_PANELS * VPL], ps[ATT_PANELS * VPL]; /* sum p, p^2, p d, p log2(p l) */
    vf mask[ATTENTION_STATS_MAX_CLASSES][ATT_PANELS * VPL];
    vf query[ATT_PANELS * VPL], qx[ATT_PANELS * VPL], qy[ATT_PANELS * VPL];
};

#define ATT_CALL_PANELS 12 /* of queries, at most, in a call */

/* A line of 16 keys is cut into tiles of ATT_KEYS, or as evenly as it goes into as many: 6, 5 and 5. */
#define ATT_KEY_TILES ((LANES + ATT_KEYS - 1) / ATT_KEYS)
#define ATT_FIRST_KEY(tile) (((tile)*LANES + ATT_KEY_TILES - 1) / ATT_KEY_TILES)

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

/* The first block of queries of a call finds K and V where the qkv layer left them, which may be far: with every tile of scores it asks for
 * `share` of LANES parts of the next panel of K and of this one of V. */
ALWAYS_INLINE void att_fetch_keys(const struct att_state *t, size_t panel, int part, const int share)
{
    const int lines = t->a->head_dim / UNIT, last = lines * (part + share) / LANES;
    for (int i = lines * part / LANES; i < last; i++) {
        __builtin_prefetch(t->k + panel + t->a->qkv_stride + i * LANES, 0, 3);
        __builtin_prefetch(t->v + panel + i * LANES, 0, 2);
    }
}

/* Likewise with every tile of values the next block's Q, and the lines where this block's result will go. */
ALWAYS_INLINE void att_fetch_queries(const struct att_state *t, int d, const int columns, const int panels)
{
    for (int p = 0; p < panels; p++)
        for (int i = d / UNIT; i < (d + columns) / UNIT; i++) {
            __builtin_prefetch(t->q + (size_t)(panels + p) * t->a->qkv_stride + i * LANES, 0, 3);
            __builtin_prefetch(t->out + (size_t)p * t->a->out_stride + i * LANES, 1, 3);
        }
}

/* Scores of `rows` keys from j0 + j on, which lie side by side in one line of K, and their maximum; past key `keys` lies rubbish. */
ALWAYS_INLINE void att_scores_tile(struct att_state *t, int j0, int j, int keys, vf *top, const int rows, const int panels)
{
    vf acc[ATT_KEYS][ATT_PANELS * VPL];
    float *s = t->s + (size_t)(j * panels * LANES);
    UNROLL
    for (int n = 0; n < rows; n++)
        UNROLL
    for (int v = 0; v < panels * VPL; v++)
        acc[n][v] = vf_set1(0);
    const size_t panel = (size_t)((j0 + j) / LANES) * t->a->qkv_stride;
    if (t->first)
        att_fetch_keys(t, panel, j % LANES, rows);
    att_mac(acc, t->k + panel + j % LANES, LANES, 1, t->q, LANES, t->a->qkv_stride, t->a->head_dim / UNIT, rows, panels);
    UNROLL
    for (int n = 0; n < rows; n++)
        UNROLL
    for (int v = 0; v < panels * VPL; v++)
        vf_store(s + n * panels * LANES + v * VW, acc[n][v]);
    if (j + rows <= keys) {
        UNROLL
        for (int n = 0; n < rows; n++)
            UNROLL
        for (int v = 0; v < panels * VPL; v++)
            top[v] = vf_max(top[v], acc[n][v]);
    } else {
        for (int n = 0; n < keys - j; n++)
            for (int v = 0; v < panels * VPL; v++)
                top[v] = vf_max(top[v], vf_load(s + n * panels * LANES + v * VW));
    }
}

/* Scores of the `keys` keys from j0 on, and their maximum over the keys. */
ALWAYS_INLINE void att_scores(struct att_state *t, int j0, int keys, vf *top, const int panels)
{
    for (int j = 0; j < keys; j += LANES) {
        UNROLL
        for (int i = 0; i < ATT_KEY_TILES; i++) {
            const int first = ATT_FIRST_KEY(i), rows = ATT_FIRST_KEY(i + 1) - first;
            if (first < keys - j)
                att_scores_tile(t, j0, j + first, keys, top, rows, panels);
        }
    }
}

/* O (+)= V^T P for `rows` columns of V from d on. */
ALWAYS_INLINE void att_values(struct att_state *t, int j0, int keys, int d, const vf *fade, const int rows, const int panels)
{
    vf acc[ATT_DIMS][ATT_PANELS * VPL];
    float *o = t->o + (size_t)(d * panels * LANES);
    if (!j0)
        att_fetch_queries(t, d, rows, panels);
    UNROLL
    for (int n = 0; n < rows; n++)
        UNROLL
    for (int v = 0; v < panels * VPL; v++)
        acc[n][v] = vf_set1(0);
    for (int j = 0; j < keys; j += LANES) {
        const int units = ((keys - j < LANES ? keys - j : LANES) + UNIT - 1) / UNIT;
        const uint32_t *v = t->v + (size_t)((j0 + j) / LANES) * t->a->qkv_stride + (size_t)d * V_LINE;
        const uint32_t *p = (const uint32_t *)(const void *)(t->s + (size_t)(j / UNIT * panels * LANES));
        att_mac(acc, v, 1, V_LINE, p, (size_t)(panels * LANES), LANES, units, rows, panels);
    }
    UNROLL
    for (int n = 0; n < rows; n++)
        UNROLL
    for (int v = 0; v < panels * VPL; v++) {
        float *line = o + n * panels * LANES + v * VW;
        vf_store(line, j0 ? vf_fma(vf_load(line), fade[v], acc[n][v]) : acc[n][v]);
    }
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
        int d = 0, narrow = (ATT_DIMS - t->a->head_dim % ATT_DIMS) % ATT_DIMS; /* tiles of one column less, that none be left */ \
        narrow = narrow * (ATT_DIMS - 1) <= t->a->head_dim ? narrow : 0;                                                         \
        for (; narrow > 0; narrow--, d += ATT_DIMS - 1)                                                                          \
            att_values(t, j0, keys, d, fade, ATT_DIMS - 1, panels);                                                              \
        for (; d + ATT_DIMS <= t->a->head_dim; d += ATT_DIMS)                                                                    \
            att_values(t, j0, keys, d, fade, ATT_DIMS, panels);                                                                  \
        for (; d < t->a->head_dim; d++) /* head dims that are neither */                                                         \
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

/* P of `n` keys from j on, one or two, from their S, in place: [key][panel][16] in fp32, [pair of keys][panel][16][2] in bf16. */
ALWAYS_INLINE void att_softmax_keys(struct att_state *t, struct att_sums *z, int j0, int j, const vf *max, vf *sum, vf scale,
                                    const int n, const int panels, const bool stats, const bool grouped)
{
    const int vectors = panels * VPL;
    float *const s = t->s + (size_t)(j * vectors * VW);
    vf x[2 * ATT_PANELS * VPL], p[2 * ATT_PANELS * VPL];
    UNROLL
    for (int i = 0; i < n * vectors; i++) {
        x[i] = vf_sub(vf_mul(vf_load(s + i * VW), scale), max[i % vectors]); /* not fused: the largest score's is 0 */
        if (grouped) /* the maximum leaves this out: it only has to keep 2^x finite */
            x[i] = vf_add(x[i], vf_set1(t->a->key_log2[j0 + j + i / vectors]));
    }
    v_exp2_each(p, x, n * vectors);
    UNROLL
    for (int i = 0; i < n * vectors; i++) {
        sum[i % vectors] = vf_add(sum[i % vectors], p[i]);
        if (stats)
            att_count(z, t->a, j0 + j + i / vectors, i % vectors, p[i], vf_max(vf_set1(-125), x[i]));
    }
#if UNIT == 2
    UNROLL
    for (int v = 0; v < vectors; v++)
        pair_store((uint32_t *)(void *)(t->s + (size_t)(j / 2 * vectors * VW + v * VW)), p[v],
                   n == 2 ? p[vectors + v] : vf_set1(0));
#else
    UNROLL
    for (int i = 0; i < n * vectors; i++)
        vf_store(s + i * VW, p[i]);
#endif
}

ALWAYS_INLINE void att_softmax(struct att_state *t, struct att_sums *z, int j0, int keys, vf scale, const int panels,
                               const bool stats, const bool grouped)
{
    vf max[ATT_PANELS * VPL], sum[ATT_PANELS * VPL];
    int j = 0;
    UNROLL
    for (int v = 0; v < panels * VPL; v++) {
        max[v] = t->max[v];
        sum[v] = vf_set1(0);
    }
    for (; j + 2 <= keys; j += 2)
        att_softmax_keys(t, z, j0, j, max, sum, scale, 2, panels, stats, grouped);
    if (j < keys)
        att_softmax_keys(t, z, j0, j, max, sum, scale, 1, panels, stats, grouped);
    UNROLL
    for (int v = 0; v < panels * VPL; v++)
        t->sum[v] = vf_add(t->sum[v], sum[v]);
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

/* The keys from j0 to j0 + KEY_TILE, as far as there are any, for one block of queries. */
ALWAYS_INLINE void att_key_tile(struct att_state *t, struct att_sums *z, int j0, const int panels, const bool stats,
                                const bool grouped)
{
    const struct attention *a = t->a;
    const vf scale = vf_set1((float)(1.4426950408889634 / sqrt((double)a->head_dim)));
    const int keys = a->tokens - j0 < KEY_TILE ? a->tokens - j0 : KEY_TILE;
    vf top[ATT_PANELS * VPL], fade[ATT_PANELS * VPL], shift[ATT_PANELS * VPL];
    for (int v = 0; v < panels * VPL; v++)
        top[v] = vf_set1(-INFINITY);
    ATT_CALL(att_scores, panels, t, j0, keys, top);
    for (int v = 0; v < panels * VPL; v++) {
        vf max = vf_mul(top[v], scale);
        if (j0) {
            max = vf_max(t->max[v], max);
            shift[v] = vf_max(vf_set1(-125), vf_sub(t->max[v], max));
            fade[v] = v_exp2(shift[v]);
            t->sum[v] = vf_mul(t->sum[v], fade[v]);
        } else {
            t->sum[v] = fade[v] = vf_set1(0);
        }
        t->max[v] = max;
    }
    if (stats && j0)
        att_sums_fade(z, a->stats, fade, shift, panels * VPL);
    att_softmax(t, z, j0, keys, scale, panels, stats, grouped);
    ATT_CALL(att_values, panels, t, j0, keys, fade);
}

/* O / sum to the operand's columns of this head. */
ALWAYS_INLINE void att_write(const struct att_state *t, const int panels)
{
    const struct attention *a = t->a;
    for (int p = 0; p < panels; p++) {
        uint32_t *out = t->out + (size_t)p * a->out_stride;
        vf share[VPL];
        UNROLL
        for (int v = 0; v < VPL; v++)
            share[v] = vf_div(vf_set1(1), t->sum[p * VPL + v]);
        for (int d = 0; d < a->head_dim; d += UNIT) {
            vf x[UNIT][VPL];
            UNROLL
            for (int i = 0; i < UNIT; i++)
                UNROLL
            for (int v = 0; v < VPL; v++)
                x[i][v] = vf_mul(vf_load(t->o + (size_t)((d + i) * panels * LANES + p * LANES + v * VW)), share[v]);
#if UNIT == 2
            operand_pair(out, d, x[0], x[1]);
#else
            UNROLL
            for (int v = 0; v < VPL; v++)
                vf_store((float *)(void *)out + d * LANES + v * VW, x[0][v]);
#endif
        }
    }
}

/* `blocks` blocks of `panels` panels of queries from panel0 on. */
ALWAYS_INLINE void attention_run(const struct attention *a, int head, int panel0, int blocks, void *scratch, uint32_t *tiles,
                                 const int panels, const bool stats, const bool grouped)
{
    const size_t dim = (size_t)a->heads * (size_t)a->head_dim, column = (size_t)head * (size_t)a->head_dim;
    struct att_state t[ATT_CALL_PANELS];
    struct att_sums z[ATT_CALL_PANELS];
    for (int b = 0; b < blocks; b++) {
        t[b] = (struct att_state){
            .a = a,
            .q = a->qkv + (size_t)(panel0 + b * panels) * a->qkv_stride + column / UNIT * LANES,
            .k = a->qkv + (dim + column) / UNIT * LANES,
            .v = a->qkv + (2 * dim + column) * V_LINE,
            .out = a->out + (size_t)(panel0 + b * panels) * a->out_stride + column / UNIT * LANES,
            .s = scratch,
            .o = (float *)scratch + ((size_t)KEY_TILE * ATT_PANELS + (size_t)(b * panels * a->head_dim)) * LANES,
            .tiles = tiles,
            .panels = panels,
            .first = b == 0,
        };
        if (stats)
            att_sums_start(&z[b], a, panel0 + b * panels, panels);
    }
    for (int j0 = 0; j0 < a->tokens; j0 += KEY_TILE)
        for (int b = 0; b < blocks; b++)
            att_key_tile(&t[b], &z[b], j0, panels, stats, grouped);
    for (int b = 0; b < blocks; b++) {
        att_write(&t[b], panels);
        if (stats)
            att_sums_write(&t[b], &z[b], head, panel0 + b * panels);
    }
}

#ifndef ATT_TILES

static void attention(const struct attention *a, int head, int panel0, int panels, void *scratch)
{
    if (a->stats) {
        attention_run(a, head, panel0, panels, scratch, NULL, 1, true, false);
    } else if (a->key_log2) {
        attention_run(a, head, panel0, panels, scratch, NULL, 1, false, true);
    } else {
        const int blocks = panels / ATT_PANELS, rest = panels % ATT_PANELS;
        attention_run(a, head, panel0, blocks, scratch, NULL, ATT_PANELS, false, false);
        panel0 += blocks * ATT_PANELS;
#if ATT_PANELS == 3
        if (rest == 2)
            attention_run(a, head, panel0, 1, scratch, NULL, 2, false, false);
        else if (rest)
            attention_run(a, head, panel0, 1, scratch, NULL, 1, false, false);
#else
        (void)rest;
#endif
    }
}

static size_t attention_scratch(int tokens, int head_dim)
{
    (void)tokens;
    return ((size_t)KEY_TILE * ATT_PANELS + (size_t)head_dim * ATT_CALL_PANELS) * LANES * sizeof(float);
}

#endif
