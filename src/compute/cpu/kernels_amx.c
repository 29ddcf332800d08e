/* SPDX-License-Identifier: MIT */
/* kernels_amx.c - bf16 operations with AMX tiles (Sapphire Rapids and later); the vector work is AVX-512 with AVX512_BF16, which
 * every CPU with AMX has. Verified against `ref` by emulating the tile instructions (tests/compute/test_ops_amx.c); its speed has been
 * measured in a prototype only. */
#if defined(__x86_64__)
#define LIMBER_SIMD_BF16
#include "compute/cpu/simd_avx512.h"

#include <math.h>
#include <string.h>

#include "compute/cpu/gemm_amx.h"
#include "compute/cpu/layernorm.h"

#define ATT_PANELS 2
#define ATT_TILES
#include "compute/cpu/attention.h"

/* [scores and sums of attention.h][packed K, V, Q] */
static size_t att_own_floats(int head_dim)
{
    return ((size_t)KEY_TILE + (size_t)att_up(head_dim, 16)) * ATT_PANELS * LANES;
}

static void attention(const struct attention *a, int head, int panel0, int panels, void *scratch)
{
    const size_t dim = (size_t)a->heads * (size_t)a->head_dim, column = (size_t)head * (size_t)a->head_dim;
    uint32_t *tiles = (uint32_t *)scratch + att_own_floats(a->head_dim);
    tiles_configure();
    att_pack(tiles, a, a->qkv + (dim + column) / UNIT * LANES, a->qkv + (2 * dim + column) * V_LINE);
    for (int p = panel0; p < panel0 + panels; p += ATT_PANELS) {
        const bool two = p + 1 < panel0 + panels;
        if (a->stats)
            for (int i = p; i <= p + two; i++)
                attention_run(a, head, i, 1, scratch, tiles, 1, true, false);
        else if (a->key_log2)
            for (int i = p; i <= p + two; i++)
                attention_run(a, head, i, 1, scratch, tiles, 1, false, true);
        else if (two)
            attention_run(a, head, p, 1, scratch, tiles, 2, false, false);
        else
            attention_run(a, head, p, 1, scratch, tiles, 1, false, false);
    }
    _tile_release();
}

static size_t attention_scratch(int tokens, int head_dim)
{
    const size_t q = (size_t)ATT_PANELS * (size_t)att_up(head_dim / 2, ATT_STEP) * LANES;
    return (att_own_floats(head_dim) + att_k_words(tokens, head_dim) + att_v_words(tokens, head_dim) + q) * sizeof(float);
}

const struct kernels kernels_amx = {
    .name = "amx",
    .precision = PRECISION_BF16,
    .nr = AMX_NR,
    .unit_align = AMX_STEP,
    .attention_panels = ATT_CALL_PANELS,
    .attention_block = ATT_CALL_PANELS, /* K and V are packed once a call */
    .amx = true,
    .gemm = gemm,
    .gemm_scratch = gemm_scratch,
    .attention = attention,
    .attention_scratch = attention_scratch,
    .layernorm = layernorm,
    .peak = gemm_peak,
};

#endif
