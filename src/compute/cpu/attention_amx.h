/* SPDX-License-Identifier: MIT */
/* attention_amx.h - the two products of attention.h with AMX tiles, 2 panels of queries at a time.
 *
 *     S^T = K Q^T     A: K [16 keys][32 columns], B: 16 lines of Q as they lie      C: 16 keys x 16 queries
 *     O^T = V^T P^T   A: V^T [16 columns][32 keys], B: 16 lines of P (pairs of keys)  C: 16 columns x 16 queries
 *
 * B operands are lines, as everywhere; the A operands are not: K lies in lines of 16 keys and must be turned (16 x 16 words), V
 * lies in half rows (16 tokens of a column) that only need their other half. Both are packed once a call for the head, which is
 * asked for many panels of queries at a time for that reason. Columns past head_dim and keys past the last are zero there, so
 * head dims of 32, 64, 80 and any other even number take the same way.
 *
 * Floor: 64 tile cycles against 120 vector cycles (exponential, maximum) for 16 x 16 scores and head_dim 64: the exponential is
 * the cost, and tile products of one block overlap with the vector work of another only as far as the core reorders. */

#define ATT_STEP 16 /* units, or pairs of keys, of a tile product */

static inline int att_up(int n, int to)
{
    return (n + to - 1) / to * to;
}

/* Words of the packed K, V and Q of one head. K: [key / 16][units / 16][16 keys][16 units]; V: [key / 32][column / 16][16][16]. */
static inline size_t att_k_words(int tokens, int head_dim)
{
    return (size_t)att_up(tokens, 32) * (size_t)att_up(head_dim / 2, ATT_STEP);
}
static inline size_t att_v_words(int tokens, int head_dim)
{
    return (size_t)att_up(tokens, 32) / 2 * (size_t)att_up(head_dim, 16);
}

static void att_pack(uint32_t *tiles, const struct attention *a, const uint32_t *k, const uint32_t *v)
{
    const int hd = a->head_dim, units = hd / 2, steps = att_up(units, ATT_STEP) / ATT_STEP, keys = att_up(a->tokens, 32);
    uint32_t *kt = tiles, *vt = tiles + att_k_words(a->tokens, hd);
    memset(tiles, 0, (att_k_words(a->tokens, hd) + att_v_words(a->tokens, hd)) * sizeof *tiles);
    for (int j = 0; j < keys && j < a->tokens; j += LANES) {
        const uint32_t *lines = k + (size_t)(j / LANES) * a->qkv_stride;
        const int valid = a->tokens - j < LANES ? a->tokens - j : LANES;
        for (int u = 0; u < units; u++)
            for (int i = 0; i < valid; i++)
                kt[((size_t)(j / LANES * steps + u / ATT_STEP) * 16 + (size_t)i) * 16 + (size_t)(u % ATT_STEP)] =
                    lines[u * LANES + i];
        const uint16_t *row = (const uint16_t *)(const void *)(v + (size_t)(j / LANES) * a->qkv_stride);
        for (int d = 0; d < hd; d++, row += LANES) {
            uint16_t *to = (uint16_t *)(void *)(vt + ((size_t)(j / 32) * (size_t)(att_up(hd, 16) / 16) + (size_t)(d / 16)) * 256 +
                                                (size_t)(d % 16) * 16 + (size_t)(j / LANES % 2 * 8));
            memcpy(to, row, (size_t)valid * sizeof *to);
        }
    }
}

/* Q of the panels at hand, padded with zero columns: [panel][units up to 16][16]. */
static inline uint32_t *att_q(struct att_state *t)
{
    return t->tiles + att_k_words(t->a->tokens, t->a->head_dim) + att_v_words(t->a->tokens, t->a->head_dim);
}

ALWAYS_INLINE void att_scores(struct att_state *t, int j0, int keys, vf *top, const int panels)
{
    const int units = t->a->head_dim / 2, steps = att_up(units, ATT_STEP) / ATT_STEP;
    const size_t q_panel = (size_t)steps * 256;
    uint32_t *q = att_q(t);
    if (j0 == 0)
        for (int p = 0; p < panels; p++) {
            memcpy(q + (size_t)p * q_panel, t->q + (size_t)p * t->a->qkv_stride, (size_t)units * LANES * sizeof *q);
            memset(q + (size_t)p * q_panel + (size_t)units * LANES, 0, (q_panel - (size_t)units * LANES) * sizeof *q);
        }
    TILE_FENCE();
    for (int j = 0; j < keys + 32; j += 32) { /* one turn behind: the maximum of 32 keys while the next are multiplied */
        if (j < keys) {
            const uint32_t *k = t->tiles + (size_t)((j0 + j) / LANES * steps) * 256;
            _tile_zero(0);
            _tile_zero(1);
            _tile_zero(2);
            _tile_zero(3);
            for (int s = 0; s < steps; s++) {
                _tile_loadd(4, k + s * 256, 64);
                _tile_loadd(6, q + s * 256, 64);
                _tile_loadd(5, k + (steps + s) * 256, 64);
                _tile_dpbf16ps(0, 4, 6);
                _tile_dpbf16ps(1, 5, 6);
                if (panels == 2) {
                    _tile_loadd(7, q + q_panel + (size_t)s * 256, 64);
                    _tile_dpbf16ps(2, 4, 7);
                    _tile_dpbf16ps(3, 5, 7);
                }
            }
        }
        for (int i = j - 32; i >= 0 && i < j && i < keys; i++)
            for (int v = 0; v < panels; v++)
                top[v] = vf_max(top[v], vf_load(t->s + (size_t)((i * panels + v) * LANES)));
        if (j < keys) {
            float *s = t->s + (size_t)(j * panels * LANES);
            _tile_stored(0, s, panels * 64);
            _tile_stored(1, s + 16 * panels * LANES, panels * 64);
            if (panels == 2) {
                _tile_stored(2, s + LANES, panels * 64);
                _tile_stored(3, s + LANES + 16 * panels * LANES, panels * 64);
            }
            TILE_FENCE();
        }
    }
}

ALWAYS_INLINE void att_values(struct att_state *t, int j0, int keys, const vf *fade, const int panels)
{
    const int blocks = att_up(t->a->head_dim, 16) / 16, pairs = (keys + 1) / 2, all = att_up(keys, 32) / 2;
    const uint32_t *v = t->tiles + att_k_words(t->a->tokens, t->a->head_dim) + (size_t)(j0 / 32 * blocks) * 256;
    uint32_t *p = (uint32_t *)(void *)t->s;
    memset(p + (size_t)pairs * (size_t)panels * LANES, 0, (size_t)(all - pairs) * (size_t)panels * LANES * sizeof *p);
    if (j0)
        for (int d = 0; d < blocks * 16; d++)
            for (int i = 0; i < panels; i++) {
                float *o = t->o + (size_t)((d * panels + i) * LANES);
                vf_store(o, vf_mul(vf_load(o), fade[i]));
            }
    TILE_FENCE();
    for (int b = 0; b < blocks; b += 2) {
        const bool two = b + 1 < blocks;
        float *o = t->o + (size_t)(b * 16 * panels * LANES), *o1 = o + 16 * panels * LANES;
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
        if (j0) {
            _tile_loadd(0, o, panels * 64);
            if (two)
                _tile_loadd(1, o1, panels * 64);
            if (panels == 2) {
                _tile_loadd(2, o + LANES, panels * 64);
                if (two)
                    _tile_loadd(3, o1 + LANES, panels * 64);
            }
        }
        for (int j = 0; j < all; j += ATT_STEP) {
            const uint32_t *tile = v + (size_t)(j / ATT_STEP * blocks + b) * 256, *line = p + (size_t)(j * panels * LANES);
            _tile_loadd(4, tile, 64);
            _tile_loadd(6, line, panels * 64);
            _tile_dpbf16ps(0, 4, 6);
            if (two) {
                _tile_loadd(5, tile + 256, 64);
                _tile_dpbf16ps(1, 5, 6);
            }
            if (panels == 2) {
                _tile_loadd(7, line + LANES, panels * 64);
                _tile_dpbf16ps(2, 4, 7);
                if (two)
                    _tile_dpbf16ps(3, 5, 7);
            }
        }
        _tile_stored(0, o, panels * 64);
        if (two)
            _tile_stored(1, o1, panels * 64);
        if (panels == 2) {
            _tile_stored(2, o + LANES, panels * 64);
            if (two)
                _tile_stored(3, o1 + LANES, panels * 64);
        }
        TILE_FENCE();
    }
}

#define ATT_PRODUCTS(panels)                                                                                                     \
    static __attribute__((noinline)) void att_scores_##panels(struct att_state *t, int j0, int keys, vf *top)                    \
    {                                                                                                                            \
        att_scores(t, j0, keys, top, panels);                                                                                    \
    }                                                                                                                            \
    static __attribute__((noinline)) void att_values_##panels(struct att_state *t, int j0, int keys, const vf *fade)             \
    {                                                                                                                            \
        att_values(t, j0, keys, fade, panels);                                                                                   \
    }
ATT_PRODUCTS(1)
ATT_PRODUCTS(2)
