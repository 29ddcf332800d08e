/* SPDX-License-Identifier: MIT */
/* attention.cu - out_i = sum_j softmax_j(q_i . k_j scale) v_j, for every person, head and query; the L x L matrix never exists.
 *
 * The recurrence (online softmax: Milakov and Gimelshein 2018; FlashAttention-2: Dao 2023). Keys come in tiles. For one row let
 * m be the largest score so far, w_j = exp(s_j - m), and on a new tile a = exp(m_old - m_new). For any f_j that does not depend on
 * m, A_f = sum w_j f_j obeys
 *     A_f <- a A_f + sum_new w_j f_j
 * which covers the denominator l (f = 1), the output O (f = v_j), class masses M_c (f = 1 where key j has class c) and the
 * distance D (f = d_ij). Two sums need more:
 *     S2 = sum w_j^2                    S2 <- a^2 S2 + sum_new w_j^2
 *     E  = sum w_j u_j, u_j = s_j - m   E  <- a (E + (m_old - m_new) W_old) + sum_new w_j u_j     W = sum w_j over the same keys
 * At the end O / l is the output, and with p = w / l: sum p = W / l, sum p^2 = S2 / l^2, sum p d = D / l, sum p f = M_c / l and
 * sum p ln p = (E - W ln l) / l. The statistics leave the query's own key out as it passes (W is not l then): subtracting it
 * afterwards would cancel where attention looks at itself. Masked scores are -1e30 and not -inf: 0 * inf would be NaN in E.
 * Everything is linear in per-lane parts, and a is equal in the four lanes of a row, so each lane keeps its own part and two
 * shuffles a sum at the very end suffice.
 *
 * attention_tile (f16, bf16; head_dim 32, 64, 80): a block is 4 warps and owns 64 queries of one (person, head), or 128; a warp owns
 *     16 of them, or twice 16, a lane the columns 2t, 2t+1 of rows g and g + 8 (tile_ops.cuh). K and V come in tiles of 64 keys by cp.async, double
 *     buffered: while one tile is computed on, the next is on its way. Rows of shared memory are an odd number of 16-byte chunks
 *     apart, so that the 8 rows of an ldmatrix lie in 8 different bank groups. P goes from the accumulators of Q K^T straight
 *     into the A fragments of P V: the layouts agree. The class masks are one more n8 tile of V, built from a byte a key; P is
 *     rounded to f16 for it, in bf16 too, times 2^15, so that the weights beside a dominating own key keep 11 bits down to 2e-9.
 * attention_rows (any type, any head_dim up to 256): fp32 throughout. A block owns 32 queries, a quad of lanes one query, each
 *     lane a quarter of the head dimension, so that a score is a partial dot product and two shuffles, and nothing is exchanged.
 *
 * The floor, in microseconds, from the data sheets' peaks and the instructions of budgets.txt (tools/roofline.py computes it and says
 * how; 12 heads of 64, f16; in brackets with statistics). Bounds, not measurements: no GPU has run this kernel.
 *     people x tokens   queries   A100: HBM   tensor   issue         shared  floor         H100: HBM   tensor   issue       shared  floor
 *      1 x  192          64        0.6 (0.6)     1.1    0.6 ( 1.4)      1.4    1.4          0.4 (0.4)    0.4    0.5 ( 1.1)    1.0    1.0
 *      1 x  768          64        2.3 (2.5)     8.7    5.1 (11.5)       11     11          1.4 (1.5)    3.4    4.0 ( 8.8)    8.4    8.4
 *      1 x 3072          64        9.3 ( 10)     105     62 ( 138)      131    131          5.6 (6.1)     34     40 (  88)     84     84
 *                       128        9.3           105     57              65    105          5.6           40     44            50     50
 *     32 x  192          64         19 ( 20)      12    7.1 (  16)       15     19           11 ( 12)    3.8    4.5 ( 9.9)    9.4     11
 *     32 x  768          64         74 ( 80)     187    111 ( 246)      234    234           45 ( 49)     59     69 ( 155)    147    147
 *                       128         74           192    105             120    192           45           60     66            76     76
 *     32 x 3072          64        296 (319)    2981   1758 (3918)     3726   3726          180 (194)    940   1109 (2471)   2350   2350
 *                       128        296          2998   1645            1874   2998          180          940   1032          1175   1175
 * Reading qkv and writing the output bound it at 192 tokens. From 768 on a block of 64 queries is bound by shared memory: each of its
 * warps reads all of K and V for 16 queries, 64 KB a tile of keys, as long as an A100's tensor cores take and more than twice an H100's.
 * Blocks of 128 read as much for twice the queries; they are no use at 192 tokens, where a quarter of their rows would be padding. One person
 * of 192 tokens is 36 blocks, fewer than there are SMs: latency bounds it, not these numbers.
 *
 * Counted and not built: keeping all of K and V of a head in shared memory at 192 tokens. It saves the second and third read of K
 * and V, which come out of L2 (66 MB at 32 people, 13 us at 5 TB/s, behind the 19 us of HBM), and costs occupancy: 384 threads and
 * 82 KB a block, one block an SM, and 12 instead of 36 blocks for one person. */
#include "kernels.h"
#include "tile_ops.cuh"

static const int KEYS = 64, TILE_THREADS = 128, WARP_QUERIES = 16; /* of one m16 tile; a warp has M of them */
static const float LOWEST = -1e30f, LOG2_E = 1.44269504088896f, LN_2 = 0.693147180559945f, MASS_SCALE = 32768.f;

template <int D, int M> struct Layout {     /* of the block's shared memory, in 16-bit elements */
    static const int CHUNKS = D / 8;        /* 16 bytes each, in a row */
    static const int LD = (CHUNKS | 1) * 8; /* odd: see above */
    static const int QUERIES = M * TILE_THREADS / 32 * WARP_QUERIES;
    static const int Q = QUERIES * LD, KV = KEYS * LD;
    static const int BYTES = (Q + 4 * KV) * 2;                                   /* Q, two of K, two of V */
    static const int STATS_BYTES = BYTES + 2 * KEYS * (int)(sizeof(float2) + 1); /* and of positions and masks */
    static_assert(STATS_BYTES <= 64 * 1024, "sm_75 has 64 KB a block");
};

DEVICE float quad_sum(float v)
{
    v += __shfl_xor_sync(0xffffffffu, v, 1);
    return v + __shfl_xor_sync(0xffffffffu, v, 2);
}
DEVICE float quad_max(float v)
{
    v = fmaxf(v, __shfl_xor_sync(0xffffffffu, v, 1));
    return fmaxf(v, __shfl_xor_sync(0xffffffffu, v, 2));
}

DEVICE uint32_t pack_mass(float low, float high)
{
    return pack2(low * MASS_SCALE, high * MASS_SCALE, f16());
}

DEVICE float2 patch_position(int token, int grid_w)
{
    return make_float2((float)(token % grid_w), (float)(token / grid_w));
}

/* One row's sums over the keys but its own, in the recurrence above; u and the scores count in powers of two. */
struct RowStats {
    float total = 0.f, squares = 0.f, distance = 0.f, entropy = 0.f;
    __device__ void rescale(float a, float shift)
    {
        entropy = a * fmaf(shift, total, entropy);
        total *= a;
        squares *= a * a;
        distance *= a;
    }
    __device__ void add(float w, float u, float2 key, float2 query)
    {
        const float dx = key.x - query.x, dy = key.y - query.y;
        total += w;
        squares = fmaf(w, w, squares);
        entropy = fmaf(w, u, entropy);
        distance = fmaf(w, sqrt_fast(fmaf(dx, dx, dy * dy)), distance);
    }
    /* Collects the quad's parts; one of its lanes writes. */
    __device__ void write(float *out, float l, float inverse_l, bool here)
    {
        const float t = quad_sum(total), s = quad_sum(squares), d = quad_sum(distance), e = quad_sum(entropy);
        if (here) {
            out[0] = t * inverse_l;
            out[1] = s * inverse_l * inverse_l;
            out[2] = d * inverse_l;
            out[3] = LN_2 * fmaf(-log2_fast(l), t, e) * inverse_l;
        }
    }
};

template <class T, int D, bool STATS, int M> __global__ void __launch_bounds__(TILE_THREADS, 2) attention_tile(attention_params p)
{
    typedef Layout<D, M> Y;
    static_assert(!STATS || M == 1, "the diagonal tile has the block's number, and registers are short");
    SHARED_BYTES(uint16_t, shared);
    uint16_t *const sq = shared, *const sk = sq + Y::Q, *const sv = sk + 2 * Y::KV;
    float2 *const positions = (float2 *)(sv + 2 * Y::KV);
    uint8_t *const masks = (uint8_t *)(positions + 2 * KEYS);

    const int tid = (int)threadIdx.x, lane = tid & 31, warp = tid >> 5, g = lane >> 2, t = lane & 3;
    const int first = (int)blockIdx.x * Y::QUERIES, head = (int)blockIdx.y, person = (int)blockIdx.z, tokens = p.tokens;
    const uint16_t *const q = (const uint16_t *)p.qkv + (size_t)person * (size_t)tokens * (size_t)p.ld_qkv + head * D;
    const uint16_t *const k = q + p.heads * D, *const v = k + p.heads * D;
    const float scale = p.scale * LOG2_E; /* scores in powers of two: ex2 is what the hardware has */

    /* A thread copies the same chunks of every tile: `from` counts in the buffer, `to` in shared memory. */
    const int CHUNKS_EACH = KEYS * Y::CHUNKS / TILE_THREADS;
    int from[CHUNKS_EACH], to[CHUNKS_EACH];
#pragma unroll
    for (int i = 0; i < CHUNKS_EACH; i++) {
        const int chunk = tid + i * TILE_THREADS, r = chunk / Y::CHUNKS, c = chunk % Y::CHUNKS * 8;
        from[i] = r * p.ld_qkv + c;
        to[i] = r * Y::LD + c;
    }
    /* 64 rows from `row` on; rows past the last are zeros (their keys are masked, their queries not written) */
    auto load_rows = [&](uint16_t *dst, const uint16_t *src, int row) {
        src += (size_t)min(row, tokens - 1) * (size_t)p.ld_qkv; /* a wide block's second half may lie past the last */
        if (row + KEYS <= tokens) {
#pragma unroll
            for (int i = 0; i < CHUNKS_EACH; i++)
                cp_async16(dst + to[i], src + from[i], 16);
        } else { /* only the last tile pays for the ragged edge */
#pragma unroll
            for (int i = 0; i < CHUNKS_EACH; i++) {
                const bool there = row + (tid + i * TILE_THREADS) / Y::CHUNKS < tokens;
                cp_async16(dst + to[i], there ? src + from[i] : src, there ? 16 : 0);
            }
        }
    };
    auto load_tile = [&](int tile) {
        const int buffer = tile & 1, key = tile * KEYS + tid;
        load_rows(sk + buffer * Y::KV, k, tile * KEYS);
        load_rows(sv + buffer * Y::KV, v, tile * KEYS);
        if (STATS && tid < KEYS) {
            positions[buffer * KEYS + tid] = patch_position(key, p.grid_w);
            masks[buffer * KEYS + tid] = p.classes && key < tokens ? p.masks[(size_t)person * (size_t)tokens + (size_t)key] : 0;
        }
    };

#pragma unroll
    for (int m = 0; m < M; m++)
        load_rows(sq + m * Y::KV, q, first + m * KEYS); /* KEYS rows at a time, as of K */
    load_tile(0);
    cp_async_commit();

    /* of the warp's m16 tile m, this lane has rows g and g + 8: r = 0 and 1 */
    uint32_t qf[M][D / 16][4];
    float o[M][D / 8][4], largest[M][2], l[M][2], mass[4] = {0.f, 0.f, 0.f, 0.f};
#pragma unroll
    for (int m = 0; m < M; m++) {
        largest[m][0] = largest[m][1] = LOWEST;
        l[m][0] = l[m][1] = 0.f;
#pragma unroll
        for (int i = 0; i < D / 8; i++)
            o[m][i][0] = o[m][i][1] = o[m][i][2] = o[m][i][3] = 0.f;
    }
    RowStats stats0, stats1;
    const int warp_row = warp * M * WARP_QUERIES, row0 = first + warp_row + g, row1 = row0 + 8; /* of tile 0 */
    const float2 at0 = STATS ? patch_position(row0, p.grid_w) : make_float2(0.f, 0.f);
    const float2 at1 = STATS ? patch_position(row1, p.grid_w) : make_float2(0.f, 0.f);

    const int tiles = (tokens + KEYS - 1) / KEYS;
    for (int tile = 0; tile < tiles; tile++) {
        cp_async_wait<0>();
        __syncthreads(); /* tile has landed for everyone, and everyone is done with the one before: its buffer is free */
        if (tile + 1 < tiles)
            load_tile(tile + 1);
        cp_async_commit();
        if (tile == 0) {
#pragma unroll
            for (int m = 0; m < M; m++)
#pragma unroll
                for (int kk = 0; kk < D / 16; kk++)
                    ldmatrix_x4(qf[m][kk], sq + (warp_row + m * WARP_QUERIES + (lane & 15)) * Y::LD + kk * 16 + (lane >> 4) * 8);
        }
        const uint16_t *const tk = sk + (tile & 1) * Y::KV, *const tv = sv + (tile & 1) * Y::KV;

        float s[M][KEYS / 8][4]; /* scores, then weights */
#pragma unroll
        for (int kk = 0; kk < D / 16; kk++)
#pragma unroll
            for (int n = 0; n < KEYS / 16; n++) {
                uint32_t b[4];
                ldmatrix_x4(b, tk + (n * 16 + (lane & 7) + (lane >> 4) * 8) * Y::LD + kk * 16 + (lane >> 3 & 1) * 8);
#pragma unroll
                for (int m = 0; m < M; m++) {
                    if (kk == 0) { /* no zeros to be written first: 6 % of the loop */
                        mma_first(s[m][2 * n], qf[m][kk], b[0], b[1], T());
                        mma_first(s[m][2 * n + 1], qf[m][kk], b[2], b[3], T());
                    } else {
                        mma(s[m][2 * n], qf[m][kk], b[0], b[1], T());
                        mma(s[m][2 * n + 1], qf[m][kk], b[2], b[3], T());
                    }
                }
            }
        if ((tile + 1) * KEYS > tokens) {
#pragma unroll
            for (int m = 0; m < M; m++)
#pragma unroll
                for (int i = 0; i < KEYS / 8; i++)
#pragma unroll
                    for (int j = 0; j < 2; j++)
                        if (tile * KEYS + i * 8 + t * 2 + j >= tokens)
                            s[m][i][j] = s[m][i][2 + j] = LOWEST;
        }

        /* the column of this tile that is the query itself; a query meets its own key in the tile of its own number */
        const bool diagonal = STATS && tile == (int)blockIdx.x && !p.include_self;
        const int own0 = diagonal ? warp * WARP_QUERIES + g : -1, own1 = diagonal ? own0 + 8 : -1;
#pragma unroll
        for (int m = 0; m < M; m++) {
            float new0 = largest[m][0], new1 = largest[m][1];
#pragma unroll
            for (int i = 0; i < KEYS / 8; i++) {
                new0 = fmaxf(new0, fmaxf(s[m][i][0], s[m][i][1]));
                new1 = fmaxf(new1, fmaxf(s[m][i][2], s[m][i][3]));
            }
            new0 = quad_max(new0);
            new1 = quad_max(new1);
            const float shift0 = (largest[m][0] - new0) * scale, shift1 = (largest[m][1] - new1) * scale;
            const float a0 = exp2_fast(shift0), a1 = exp2_fast(shift1);
            largest[m][0] = new0;
            largest[m][1] = new1;
            l[m][0] *= a0;
            l[m][1] *= a1;
#pragma unroll
            for (int i = 0; i < D / 8; i++) {
                o[m][i][0] *= a0;
                o[m][i][1] *= a0;
                o[m][i][2] *= a1;
                o[m][i][3] *= a1;
            }
            if (STATS) {
                stats0.rescale(a0, shift0);
                stats1.rescale(a1, shift1);
                mass[0] *= a0;
                mass[1] *= a0;
                mass[2] *= a1;
                mass[3] *= a1;
            }

            const float base0 = new0 * scale, base1 = new1 * scale;
#pragma unroll
            for (int i = 0; i < KEYS / 8; i++)
#pragma unroll
                for (int j = 0; j < 2; j++) {
                    const float u0 = fmaf(s[m][i][j], scale, -base0), u1 = fmaf(s[m][i][2 + j], scale, -base1);
                    s[m][i][j] = exp2_fast(u0);
                    s[m][i][2 + j] = exp2_fast(u1);
                    l[m][0] += s[m][i][j];
                    l[m][1] += s[m][i][2 + j];
                    if (STATS) {
                        const int column = i * 8 + t * 2 + j;
                        const float2 at = positions[(tile & 1) * KEYS + column];
                        stats0.add(column == own0 ? 0.f : s[m][i][j], u0, at, at0);
                        stats1.add(column == own1 ? 0.f : s[m][i][2 + j], u1, at, at1);
                    }
                }
        }

#pragma unroll
        for (int kk = 0; kk < KEYS / 16; kk++) {
            uint32_t pf[M][4];
#pragma unroll
            for (int m = 0; m < M; m++) {
                const float(&w)[4] = s[m][2 * kk], (&x)[4] = s[m][2 * kk + 1];
                pf[m][0] = pack2(w[0], w[1], T());
                pf[m][1] = pack2(w[2], w[3], T());
                pf[m][2] = pack2(x[0], x[1], T());
                pf[m][3] = pack2(x[2], x[3], T());
            }
#pragma unroll
            for (int d = 0; d < D / 16; d++) {
                uint32_t b[4];
                ldmatrix_x4_trans(b, tv + (kk * 16 + (lane & 15)) * Y::LD + d * 16 + (lane >> 4) * 8);
#pragma unroll
                for (int m = 0; m < M; m++) {
                    mma(o[m][2 * d], pf[m], b[0], b[1], T());
                    mma(o[m][2 * d + 1], pf[m], b[2], b[3], T());
                }
            }
            if (STATS) { /* B: row = key, column = class g, one where the key's bit g is set */
                const float(&w)[4] = s[0][2 * kk], (&x)[4] = s[0][2 * kk + 1];
                uint32_t ps[4] = {pack_mass(w[0], w[1]), pack_mass(w[2], w[3]), pack_mass(x[0], x[1]), pack_mass(x[2], x[3])};
                if (diagonal) {
#pragma unroll
                    for (int r = 0; r < 4; r++) {
                        const int column = kk * 16 + (r >> 1) * 8 + t * 2, own = r & 1 ? own1 : own0;
                        ps[r] &= own == column ? 0xffff0000u : own == column + 1 ? 0x0000ffffu : 0xffffffffu;
                    }
                }
                uint32_t b[2];
#pragma unroll
                for (int r = 0; r < 2; r++) {
                    const uint32_t two = *(const uint16_t *)(masks + (tile & 1) * KEYS + kk * 16 + r * 8 + t * 2) >> g;
                    b[r] = (two & 1) * 0x3c00u | (two >> 8 & 1) * 0x3c000000u;
                }
                mma(mass, ps, b[0], b[1], f16());
            }
        }
    }
    cp_async_wait<0>();

    float inverse[M][2];
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int r = 0; r < 2; r++) {
            l[m][r] = quad_sum(l[m][r]);
            inverse[m][r] = 1.f / l[m][r];
        }
    if (STATS) {
        const int width = 4 + p.classes;
        float *const out0 =
            p.stats + (((size_t)person * (size_t)p.heads + (size_t)head) * (size_t)tokens + (size_t)row0) * (size_t)width;
        float *const out1 = out0 + 8 * width;
        stats0.write(out0, l[0][0], inverse[0][0], t == 0 && row0 < tokens);
        stats1.write(out1, l[0][1], inverse[0][1], t == 0 && row1 < tokens);
#pragma unroll
        for (int j = 0; j < 2; j++)
            if (t * 2 + j < p.classes) {
                if (row0 < tokens)
                    out0[4 + t * 2 + j] = mass[j] * (inverse[0][0] / MASS_SCALE);
                if (row1 < tokens)
                    out1[4 + t * 2 + j] = mass[2 + j] * (inverse[0][1] / MASS_SCALE);
            }
    }

    /* Through this warp's own rows of Q, which nobody needs any more, so that the stores are whole 16-byte chunks. */
    uint16_t *const rows = sq + warp_row * Y::LD;
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int i = 0; i < D / 8; i++) {
            uint16_t *const at = rows + (m * WARP_QUERIES + g) * Y::LD + i * 8 + t * 2;
            *(uint32_t *)at = pack2(o[m][i][0] * inverse[m][0], o[m][i][1] * inverse[m][0], T());
            *(uint32_t *)(at + 8 * Y::LD) = pack2(o[m][i][2] * inverse[m][1], o[m][i][3] * inverse[m][1], T());
        }
    __syncwarp();
    uint16_t *const out = (uint16_t *)p.out + (size_t)person * (size_t)tokens * (size_t)p.ld_out + head * D;
    for (int i = lane; i < M * WARP_QUERIES * Y::CHUNKS; i += 32) {
        const int r = i / Y::CHUNKS, c = i % Y::CHUNKS * 8, row = first + warp_row + r;
        if (row < tokens)
            *(uint4 *)(out + (size_t)row * (size_t)p.ld_out + c) = *(const uint4 *)(rows + r * Y::LD + c);
    }
}

/* ---- fp32 arithmetic, any head_dim up to D ---- */

static const int ROWS = 32, ROW_THREADS = 4 * ROWS;
template <int D> struct RowTile {
    static const int KEYS = D > 128 ? 8 : 16; /* all scores of a tile are held in registers */
};

DEVICE float element(const void *v, size_t i, enum element type)
{
    return type == ELEMENT_F32   ? ((const float *)v)[i]
           : type == ELEMENT_F16 ? to_float(((const f16 *)v)[i])
                                 : to_float(((const bf16 *)v)[i]);
}
DEVICE void store_element(void *v, size_t i, float x, enum element type)
{
    if (type == ELEMENT_F32)
        store((float *)v + i, x);
    else if (type == ELEMENT_F16)
        store((f16 *)v + i, x);
    else
        store((bf16 *)v + i, x);
}

template <int D, bool STATS>
__global__ void __launch_bounds__(ROW_THREADS, 2) attention_rows(attention_params p, enum element type)
{
    const int ROW_KEYS = RowTile<D>::KEYS;
    SHARED_BYTES(float, sk);
    float *const sv = sk + ROW_KEYS * D;
    const int tid = (int)threadIdx.x, t = tid & 3, tokens = p.tokens, dim = p.head_dim;
    const int row = (int)blockIdx.x * ROWS + (tid >> 2), head = (int)blockIdx.y, person = (int)blockIdx.z;
    const size_t ld = (size_t)p.ld_qkv, part = (size_t)(p.heads * dim); /* offsets of q, k and v in elements */
    const size_t q = (size_t)person * (size_t)tokens * ld + (size_t)(head * dim), k = q + part, v = k + part;
    const size_t own = q + (size_t)(row < tokens ? row : tokens - 1) * ld;

    /* lane t owns the elements 16 i + 4 t .. + 3; those from head_dim on are zero in q, K and V */
    float qr[D / 4], o[D / 4], largest = LOWEST, l = 0.f, mass[8];
#pragma unroll
    for (int i = 0; i < D / 4; i++) {
        const int d = i / 4 * 16 + t * 4 + i % 4;
        qr[i] = d < dim ? element(p.qkv, own + (size_t)d, type) : 0.f;
        o[i] = 0.f;
    }
#pragma unroll
    for (int c = 0; c < 8; c++)
        mass[c] = 0.f;
    RowStats stats;
    const float2 at = STATS ? patch_position(row, p.grid_w) : make_float2(0.f, 0.f);

    for (int first = 0; first < tokens; first += ROW_KEYS) {
        __syncthreads();
        for (int i = tid; i < ROW_KEYS * D; i += ROW_THREADS) {
            const int key = first + i / D, d = i % D;
            const bool there = key < tokens && d < dim;
            sk[i] = there ? element(p.qkv, k + (size_t)key * ld + (size_t)d, type) : 0.f;
            sv[i] = there ? element(p.qkv, v + (size_t)key * ld + (size_t)d, type) : 0.f;
        }
        __syncthreads();
        float s[ROW_KEYS], raised = largest;
#pragma unroll
        for (int j = 0; j < ROW_KEYS; j++) {
            float even = 0.f, odd = 0.f; /* two short chains: less latency, and less rounding, than one long one */
#pragma unroll
            for (int i = 0; i < D / 4; i += 4) {
                const float4 x = *(const float4 *)(sk + j * D + i * 4 + t * 4);
                even = fmaf(qr[i], x.x, even);
                odd = fmaf(qr[i + 1], x.y, odd);
                even = fmaf(qr[i + 2], x.z, even);
                odd = fmaf(qr[i + 3], x.w, odd);
            }
            const float dot = quad_sum(even + odd);
            s[j] = first + j < tokens ? dot : LOWEST;
            raised = fmaxf(raised, s[j]);
        }
        const float shift = (largest - raised) * p.scale, a = expf(shift);
        largest = raised;
        l *= a;
#pragma unroll
        for (int i = 0; i < D / 4; i++)
            o[i] *= a;
        if (STATS) {
            stats.rescale(a, shift * LOG2_E);
#pragma unroll
            for (int c = 0; c < 8; c++)
                mass[c] *= a;
        }
#pragma unroll
        for (int j = 0; j < ROW_KEYS; j++) {
            const float u = (s[j] - raised) * p.scale, w = expf(u); /* scaled last: the largest is exactly 0 */
            const int key = first + j;
            l += w; /* the four lanes of a row agree on it */
#pragma unroll
            for (int i = 0; i < D / 4; i += 4) {
                const float4 x = *(const float4 *)(sv + j * D + i * 4 + t * 4);
                o[i] = fmaf(w, x.x, o[i]);
                o[i + 1] = fmaf(w, x.y, o[i + 1]);
                o[i + 2] = fmaf(w, x.z, o[i + 2]);
                o[i + 3] = fmaf(w, x.w, o[i + 3]);
            }
            if (STATS && (j & 3) == t && key < tokens && (key != row || p.include_self)) { /* each key counts in one lane */
                const uint32_t bits = p.classes ? p.masks[(size_t)person * (size_t)tokens + (size_t)key] : 0;
                stats.add(w, u * LOG2_E, patch_position(key, p.grid_w), at);
#pragma unroll
                for (int c = 0; c < 8; c++)
                    mass[c] += bits >> c & 1 ? w : 0.f;
            }
        }
    }
    if (STATS) {
        const float inverse = 1.f / l;
        float *const out = p.stats + (((size_t)person * (size_t)p.heads + (size_t)head) * (size_t)tokens + (size_t)row) *
                                         (size_t)(4 + p.classes);
        stats.write(out, l, inverse, t == 0 && row < tokens);
#pragma unroll
        for (int c = 0; c < 8; c++) {
            const float m = quad_sum(mass[c]) * inverse;
            if (c < p.classes && t == 0 && row < tokens)
                out[4 + c] = m;
        }
    }
    if (row < tokens) {
        const size_t out = ((size_t)person * (size_t)tokens + (size_t)row) * (size_t)p.ld_out + (size_t)(head * dim);
#pragma unroll
        for (int i = 0; i < D / 4; i++) {
            const int d = i / 4 * 16 + t * 4 + i % 4;
            if (d < dim)
                store_element(p.out, out + (size_t)d, o[i] / l, type);
        }
    }
}

/* ---- launchers ---- */

template <class T, int D, bool STATS, int M> static cudaError_t launch_tile(const attention_params &p, cudaStream_t stream)
{
    typedef Layout<D, M> Y;
    const int bytes = STATS ? Y::STATS_BYTES : Y::BYTES;
    cudaError_t e = cudaFuncSetAttribute(attention_tile<T, D, STATS, M>, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
    if (e != cudaSuccess)
        return e;
    const dim3 grid((unsigned)((p.tokens + Y::QUERIES - 1) / Y::QUERIES), (unsigned)p.heads, (unsigned)p.people);
    LAUNCH((attention_tile<T, D, STATS, M>), grid, dim3(TILE_THREADS), (size_t)bytes, stream, p);
    return cudaGetLastError();
}

/* Blocks of 128 queries read K and V out of shared memory half as often as blocks of 64; results are the same to the byte. They pay
 * where two a multiprocessor are there in any case, and where padding grows by a sixteenth at most. */
static bool wide(const attention_params &p)
{
    if (p.queries)
        return p.queries == 128;
    const int padded64 = (p.tokens + 63) / 64 * 64, blocks = (p.tokens + 127) / 128;
    int device, processors;
    if (cudaGetDevice(&device) != cudaSuccess ||
        cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device) != cudaSuccess)
        return false;
    return blocks * 128 <= padded64 + padded64 / 16 && (int64_t)blocks * p.heads * p.people >= 2 * processors;
}

template <int D> static cudaError_t launch_rows(const attention_params &p, enum element type, cudaStream_t stream)
{
    const dim3 grid((unsigned)((p.tokens + ROWS - 1) / ROWS), (unsigned)p.heads, (unsigned)p.people);
    const size_t bytes = 2 * RowTile<D>::KEYS * D * sizeof(float);
    if (p.stats)
        LAUNCH((attention_rows<D, true>), grid, dim3(ROW_THREADS), bytes, stream, p, type);
    else
        LAUNCH((attention_rows<D, false>), grid, dim3(ROW_THREADS), bytes, stream, p, type);
    return cudaGetLastError();
}

static cudaError_t any_dim(const attention_params &p, enum element type, cudaStream_t stream)
{
    if (p.head_dim <= 32)
        return launch_rows<32>(p, type, stream);
    if (p.head_dim <= 64)
        return launch_rows<64>(p, type, stream);
    if (p.head_dim <= 128)
        return launch_rows<128>(p, type, stream);
    return p.head_dim <= ATTENTION_MAX_HEAD_DIM ? launch_rows<ATTENTION_MAX_HEAD_DIM>(p, type, stream) : cudaErrorInvalidValue;
}

template <class T> static cudaError_t tensor_dim(const attention_params &p, cudaStream_t stream)
{
    switch (p.head_dim) {
    case 32:
        return p.stats   ? launch_tile<T, 32, true, 1>(p, stream)
               : wide(p) ? launch_tile<T, 32, false, 2>(p, stream)
                         : launch_tile<T, 32, false, 1>(p, stream);
    case 64:
        return p.stats   ? launch_tile<T, 64, true, 1>(p, stream)
               : wide(p) ? launch_tile<T, 64, false, 2>(p, stream)
                         : launch_tile<T, 64, false, 1>(p, stream);
    default: /* 128 queries of 80 and K and V of 64 keys, twice, are more than the 64 KB of sm_75 */
        return p.stats ? launch_tile<T, 80, true, 1>(p, stream) : launch_tile<T, 80, false, 1>(p, stream);
    }
}

cudaError_t attention_launch(const attention_params &p, enum element type, cudaStream_t stream)
{
    const bool tile = p.head_dim == 32 || p.head_dim == 64 || p.head_dim == 80;
    if (!tile || type == ELEMENT_F32)
        return any_dim(p, type, stream);
    return type == ELEMENT_F16 ? tensor_dim<f16>(p, stream) : tensor_dim<bf16>(p, stream);
}
