/* SPDX-License-Identifier: MIT */
/* head.c - the two keypoint heads, as matrix products at low resolution.
 *
 * Simple: ReLU, bilinear upsampling U by `scale`, 3x3 convolution with zero padding. Convolution sums over channels, upsampling
 * over pixels: they commute. So one linear layer makes the 9 * keypoints maps  L[tap][k] = sum_c w[k][c][tap] relu(x[c])  on the
 * patch grid (16 times fewer multiply-adds at scale 4), and
 *     heat[k](y, x) = bias[k] + sum over taps (ky, kx) of U L[ky, kx][k] (y + ky - 1, x + kx - 1)
 * where what lies outside of the HIGH-resolution map counts as zero: there the convolution would have read its padding. U works
 * along x and y apart, so the columns are done first, on the low-resolution rows.
 *
 * Classic: a transposed convolution with kernel 4, stride 2, padding 1 gives every output pixel 2 x 2 taps, which ones depends
 * on the parity of its row and column (zero-stuffing would multiply four times as often, mostly zeros). Per axis, pixel i:
 *     output 2 i      reads input i (kernel 1) and i - 1 (kernel 3)
 *     output 2 i + 1  reads input i (kernel 2) and i + 1 (kernel 0)
 * so each parity is one product of four slabs: the input shifted four ways. A result stays apart by parity - four planes of the
 * patch grid, then sixteen - and only the last, tiny 1x1 convolution puts its pixels in their places. The shifts are gathered
 * panel by panel; the second stage and the 1x1 run tile by tile, so the [256][64][48] map never exists. */
#include "compute/cpu/cpu.h"

#include <string.h>

#include "base/error.h"

static int rounded(int n, int to)
{
    return (n + to - 1) / to * to;
}

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

/* Words of a panel of `columns` operand columns, padded as buffers are. */
static size_t operand_words(const struct cpu_backend *be, int columns)
{
    return (size_t)rounded(columns, 32) * LANES / (be->kernels->precision == PRECISION_BF16 ? 2 : 1);
}

/* A worker's scratch, fixed and for each patch of the pass; and of the head buffer, for each panel of patches. */
static void reserve(struct cpu_backend *be, size_t scratch, size_t patch, size_t panel)
{
    scratch += be->kernels->gemm_scratch();
    be->scratch = scratch > be->scratch ? scratch : be->scratch;
    be->scratch_patch = patch > be->scratch_patch ? patch : be->scratch_patch;
    be->head_panel = panel > be->head_panel ? panel : be->head_panel;
}

static uint32_t *scratch_after_gemm(const struct cpu_exec *ex, int worker)
{
    return (uint32_t *)(void *)((char *)ex->scratch[worker] + ex->kernels->gemm_scratch());
}

static uint32_t *head_person(const struct cpu_exec *ex, int person)
{
    return (uint32_t *)(void *)(ex->head + (size_t)person * ex->head_person);
}

/* All columns of a packed layer for a few panels. */
static void all_tiles(const struct cpu_exec *ex, struct gemm *g, const struct packed *p, int panels, int worker)
{
    g->slabs = p->slabs;
    g->units = p->units;
    g->w = p->w;
    g->n = p->n;
    g->bias = p->bias;
    for (int tile = 0; tile < p->tiles; tile += GEMM_MAX_TILES)
        ex->kernels->gemm(g, 0, panels, tile, smaller(tile + GEMM_MAX_TILES, p->tiles), ex->scratch[worker]);
}

/* ---- simple ---- */

#define SIMPLE_PANELS 3

static void simple_row(const void *context, int n, int slab, float *row)
{
    const struct simple_head_desc *d = context; /* columns of the result: tap * keypoints + keypoint */
    (void)slab;
    for (int k = 0; k < d->dim; k++)
        row[k] = d->weight[((size_t)(n % d->keypoints) * (size_t)d->dim + (size_t)k) * 9 + (size_t)(n / d->keypoints)];
}

limber_status cpu_simple_head_pack(struct backend *base, struct weight **out, const struct simple_head_desc *d, limber_error *err)
{
    struct cpu_backend *be = (struct cpu_backend *)base;
    struct weight *w = cpu_weight_new(be, WEIGHT_SIMPLE_HEAD);
    *out = NULL;
    if (!w || !pack_weights(&w->p[0], &be->arena, be->kernels, 9 * d->keypoints, 1, d->dim, simple_row, d, NULL) ||
        !(w->head_bias = arena_alloc(&be->arena, (size_t)d->keypoints * sizeof *w->head_bias)))
        return limber_fail(err, LIMBER_E_MEMORY, "cpu: out of memory packing the simple head");
    memcpy(w->head_bias, d->bias, (size_t)d->keypoints * sizeof *w->head_bias);
    w->dim = d->dim;
    w->keypoints = d->keypoints;
    w->scale = d->scale;
    reserve(be, SIMPLE_PANELS * operand_words(be, d->dim) * sizeof(float), (9 + 3 * (size_t)d->scale) * sizeof(float),
            (size_t)rounded(9 * d->keypoints, 2) * LANES * sizeof(float));
    *out = w;
    return LIMBER_OK;
}

struct head_job {
    const struct cpu_exec *ex;
    const struct weight *w;
    const struct buf *x;
    struct buf *heat;
    int grid_h, grid_w, first, groups;
};

/* Clears the numbers whose sign bit is set, one or two to a word. */
static void relu_words(uint32_t *dst, const uint32_t *src, size_t n, bool paired)
{
    const uint32_t low = paired ? 0x00010001u : 1u, all = paired ? 0xffffu : 0xffffffffu;
    const int sign = paired ? 15 : 31;
    for (size_t i = 0; i < n; i++)
        dst[i] = src[i] & ~((src[i] >> sign & low) * all);
}

static void simple_linear_chunk(void *context, int worker, int chunk)
{
    const struct head_job *j = context;
    const struct cpu_buf *x = (const struct cpu_buf *)j->x;
    const int person = j->first + chunk / j->groups, panel = chunk % j->groups * SIMPLE_PANELS;
    const int panels = smaller(x->panels - panel, SIMPLE_PANELS);
    const size_t stride = (size_t)rounded(9 * j->w->keypoints, 2) * LANES;
    uint32_t *relu = scratch_after_gemm(j->ex, worker);
    relu_words(relu, buf_person(j->x, person) + (size_t)panel * x->stride, (size_t)panels * x->stride, x->paired);
    struct gemm g = {.a = {relu},
                     .a_stride = x->stride,
                     .out = head_person(j->ex, person) + (size_t)panel * stride,
                     .out_stride = stride,
                     .kind = OUT_FP32};
    all_tiles(j->ex, &g, &j->w->p[0], panels, worker);
}

/* Bilinear weights at output o of an axis of n inputs upsampled by `scale` (align_corners false): in[*i0] and the next one. */
static float upsample_axis(int o, int n, int scale, int *i0, int *i1)
{
    float s = ((float)o + 0.5f) / (float)scale - 0.5f;
    s = s < 0 ? 0 : s;
    *i0 = smaller((int)s, n - 1);
    *i1 = smaller(*i0 + 1, n - 1);
    return s - (float)*i0;
}

static void simple_upsample_chunk(void *context, int worker, int chunk)
{
    const struct head_job *j = context;
    const struct weight *w = j->w;
    const int person = j->first + chunk / w->keypoints, k = chunk % w->keypoints;
    const int tokens = j->grid_h * j->grid_w, map_h = j->grid_h * w->scale, map_w = j->grid_w * w->scale;
    const float *lines = (const float *)(const void *)head_person(j->ex, person);
    float *low = (float *)(void *)scratch_after_gemm(j->ex, worker); /* [9][tokens] */
    float *wide = low + (size_t)tokens * 9;                          /* [3][grid_h][map_w] */
    for (int tap = 0; tap < 9; tap++)
        for (int t = 0; t < tokens; t++)
            low[tap * tokens + t] =
                lines[((size_t)(t / LANES) * (size_t)rounded(9 * w->keypoints, 2) + (size_t)(tap * w->keypoints + k)) * LANES +
                      (size_t)(t % LANES)];
    memset(wide, 0, 3 * (size_t)j->grid_h * (size_t)map_w * sizeof *wide);
    for (int ky = 0; ky < 3; ky++)
        for (int kx = 0; kx < 3; kx++)
            for (int x = 0; x < map_w; x++) {
                const int from = x + kx - 1;
                int i0, i1;
                if (from < 0 || from >= map_w)
                    continue;
                const float f = upsample_axis(from, j->grid_w, w->scale, &i0, &i1);
                const float *map = low + (ky * 3 + kx) * tokens;
                float *out = wide + (size_t)ky * (size_t)j->grid_h * (size_t)map_w + x;
                for (int r = 0; r < j->grid_h; r++)
                    out[r * map_w] += map[r * j->grid_w + i0] * (1 - f) + map[r * j->grid_w + i1] * f;
            }
    float *heat = (float *)(void *)buf_person(j->heat, person) + (size_t)k * (size_t)map_h * (size_t)map_w;
    for (int y = 0; y < map_h; y++) {
        float *out = heat + (size_t)y * (size_t)map_w;
        for (int x = 0; x < map_w; x++)
            out[x] = w->head_bias[k];
        for (int ky = 0; ky < 3; ky++) {
            const int from = y + ky - 1;
            int i0, i1;
            if (from < 0 || from >= map_h)
                continue;
            const float f = upsample_axis(from, j->grid_h, w->scale, &i0, &i1);
            const float *a = wide + (size_t)(ky * j->grid_h + i0) * (size_t)map_w,
                        *b = wide + (size_t)(ky * j->grid_h + i1) * (size_t)map_w;
            for (int x = 0; x < map_w; x++)
                out[x] += a[x] * (1 - f) + b[x] * f;
        }
    }
}

/* ---- classic ---- */

#define STAGE1_PANELS 3 /* at a time: 4 slabs x 3 panels x 768 columns = 590 KB in fp32 */
#define STAGE2_PANELS 6

/* Tap 0 or 1 along one axis for output parity q: which kernel row, and how far the input lies. */
static int tap_kernel(int q, int tap)
{
    return tap == 0 ? (q ? 2 : 1) : (q ? 0 : 3);
}
static int tap_shift(int q, int tap)
{
    return tap == 0 ? 0 : (q ? 1 : -1);
}

struct parity_weight {
    const float *weight; /* [in][out][4][4] */
    int in, out, qy, qx;
};

static void deconv_row(const void *context, int n, int slab, float *row)
{
    const struct parity_weight *p = context;
    const int tap = tap_kernel(p->qy, slab / 2) * 4 + tap_kernel(p->qx, slab % 2);
    for (int k = 0; k < p->in; k++)
        row[k] = p->weight[((size_t)k * (size_t)p->out + (size_t)n) * 16 + (size_t)tap];
}

static void conv_row(const void *context, int n, int slab, float *row)
{
    const struct classic_head_desc *d = context;
    (void)slab;
    memcpy(row, d->conv + (size_t)n * (size_t)d->mid, (size_t)d->mid * sizeof *row);
}

/* Where the input of tap `tap` of parity (qy, qx) lies for input pixel (y, x): planes of the patch grid, then panels, then lanes.
 * `fine` 1: the pixels are the grid's; 2: they are twice as fine and kept apart by parity. -1: outside. */
static ptrdiff_t tap_source(int y, int x, int parity, int tap, int grid_h, int grid_w, int fine, size_t stride)
{
    y += tap_shift(parity / 2, tap / 2);
    x += tap_shift(parity % 2, tap % 2);
    if (y < 0 || y >= fine * grid_h || x < 0 || x >= fine * grid_w)
        return -1;
    const int plane = fine == 2 ? y % 2 * 2 + x % 2 : 0, token = y / fine * grid_w + x / fine;
    return (ptrdiff_t)((size_t)(plane * panels_of(grid_h * grid_w) + token / LANES) * stride + (size_t)(token % LANES));
}

limber_status cpu_classic_head_pack(struct backend *base, struct weight **out, const struct classic_head_desc *d,
                                    limber_error *err)
{
    struct cpu_backend *be = (struct cpu_backend *)base;
    struct weight *w = cpu_weight_new(be, WEIGHT_CLASSIC_HEAD);
    const size_t in = operand_words(be, d->dim), mid = operand_words(be, d->mid);
    bool ok = w != NULL;
    *out = NULL;
    for (int parity = 0; ok && parity < 4; parity++) {
        const struct parity_weight first = {d->deconv1, d->dim, d->mid, parity / 2, parity % 2};
        const struct parity_weight second = {d->deconv2, d->mid, d->mid, parity / 2, parity % 2};
        ok = pack_weights(&w->p[parity], &be->arena, be->kernels, d->mid, 4, d->dim, deconv_row, &first, d->bias1) &&
             pack_weights(&w->p[4 + parity], &be->arena, be->kernels, d->mid, 4, d->mid, deconv_row, &second, d->bias2);
    }
    ok = ok && pack_weights(&w->p[8], &be->arena, be->kernels, d->keypoints, 1, d->mid, conv_row, d, d->bias);
    if (!ok)
        return limber_fail(err, LIMBER_E_MEMORY, "cpu: out of memory packing the classic head");
    w->dim = d->dim;
    w->mid = d->mid;
    w->keypoints = d->keypoints;
    const size_t stage1 = 4 * STAGE1_PANELS * in,
                 stage2 = STAGE2_PANELS * (4 * mid + mid + (size_t)rounded(d->keypoints, 2) * LANES);
    reserve(be, (stage1 > stage2 ? stage1 : stage2) * sizeof(uint32_t), 0, 4 * mid * sizeof(uint32_t));
    *out = w;
    return LIMBER_OK;
}

/* dst [panels][words] <- the lines of src that `source` names for these panels. A lane at a time, but only GATHER_LINES lines
 * (4 KB) before the next lane: over whole panels every lane would bring every line from L2 anew. */
#define GATHER_LINES 64

static void gather_lines(uint32_t *dst, const uint32_t *src, const ptrdiff_t *source, int panels, size_t words)
{
    for (int p = 0; p < panels; p++, source += LANES, dst += words)
        for (size_t begin = 0, end; begin < words; begin = end) {
            end = words - begin < GATHER_LINES * LANES ? words : begin + GATHER_LINES * LANES;
            for (size_t lane = 0; lane < LANES; lane++) {
                if (source[lane] < 0) {
                    for (size_t u = begin; u < end; u += LANES)
                        dst[u + lane] = 0;
                    continue;
                }
                const uint32_t *from = src + source[lane];
                for (size_t u = begin; u < end; u += LANES)
                    dst[u + lane] = from[u];
            }
        }
}

/* Panels [panel, panel + panels) of one parity of a transposed convolution, from the four shifts of `src`. */
static void parity_product(const struct head_job *j, struct gemm *g, int stage, int parity, const uint32_t *src, size_t words,
                           int panel, int panels, int worker, uint32_t *slabs)
{
    const int fine = stage + 1, grid_panels = panels_of(j->grid_h * j->grid_w);
    for (int tap = 0; tap < 4; tap++) {
        uint32_t *slab = slabs + (size_t)tap * (size_t)panels * words;
        ptrdiff_t source[(STAGE1_PANELS > STAGE2_PANELS ? STAGE1_PANELS : STAGE2_PANELS) * LANES];
        for (int i = 0; i < panels * LANES; i++) {
            const int plane = (panel + i / LANES) / grid_panels, token = (panel + i / LANES) % grid_panels * LANES + i % LANES;
            const int y = token / j->grid_w * fine + plane / 2, x = token % j->grid_w * fine + plane % 2;
            source[i] = token < j->grid_h * j->grid_w ? tap_source(y, x, parity, tap, j->grid_h, j->grid_w, fine, words) : -1;
        }
        gather_lines(slab, src, source, panels, words);
        g->a[tap] = slab;
    }
    g->a_stride = words;
    g->act = CPU_RELU;
    g->kind = OUT_OPERAND;
    all_tiles(j->ex, g, &j->w->p[stage * 4 + parity], panels, worker);
}

static void classic_stage1_chunk(void *context, int worker, int chunk)
{
    const struct head_job *j = context;
    const struct cpu_buf *x = (const struct cpu_buf *)j->x;
    const int parity = chunk % 4, group = chunk / 4 % j->groups, person = j->first + chunk / 4 / j->groups;
    const int panel = group * STAGE1_PANELS, panels = smaller(x->panels - panel, STAGE1_PANELS);
    const size_t mid = operand_words(j->ex->be, j->w->mid);
    struct gemm g = {.out = head_person(j->ex, person) + (size_t)(parity * x->panels + panel) * mid, .out_stride = mid};
    parity_product(j, &g, 0, parity, buf_person(j->x, person), x->stride, panel, panels, worker,
                   scratch_after_gemm(j->ex, worker));
}

static void classic_stage2_chunk(void *context, int worker, int chunk)
{
    const struct head_job *j = context;
    const struct weight *w = j->w;
    const int person = j->first + chunk / j->groups, grid_panels = ((const struct cpu_buf *)j->x)->panels;
    const int panel = chunk % j->groups * STAGE2_PANELS, panels = smaller(4 * grid_panels - panel, STAGE2_PANELS);
    const size_t mid = operand_words(j->ex->be, w->mid), out = (size_t)rounded(w->keypoints, 2) * LANES;
    uint32_t *slabs = scratch_after_gemm(j->ex, worker), *features = slabs + STAGE2_PANELS * 4 * mid;
    float *maps = (float *)(void *)(features + STAGE2_PANELS * mid), *heat = (float *)(void *)buf_person(j->heat, person);
    const int map_w = 4 * j->grid_w, map = 4 * j->grid_h * map_w;
    for (int parity = 0; parity < 4; parity++) {
        struct gemm g = {.out = features, .out_stride = mid};
        parity_product(j, &g, 1, parity, head_person(j->ex, person), mid, panel, panels, worker, slabs);
        struct gemm last = {.a = {features}, .a_stride = mid, .out = maps, .out_stride = out, .kind = OUT_FP32};
        all_tiles(j->ex, &last, &w->p[8], panels, worker);
        for (int i = 0; i < panels * LANES; i++) {
            const int plane = (panel + i / LANES) / grid_panels, token = (panel + i / LANES) % grid_panels * LANES + i % LANES;
            if (token >= j->grid_h * j->grid_w)
                continue;
            const int y = token / j->grid_w * 4 + plane / 2 * 2 + parity / 2,
                      x = token % j->grid_w * 4 + plane % 2 * 2 + parity % 2;
            for (int k = 0; k < w->keypoints; k++)
                heat[(size_t)k * (size_t)map + (size_t)(y * map_w + x)] =
                    maps[(size_t)(i / LANES) * out + (size_t)(k * LANES + i % LANES)];
        }
    }
}

void cpu_head(struct exec *base, struct span span, struct buf *heat, const struct buf *x, const struct weight *w,
              const struct pass_shape *shape)
{
    const int panels = ((const struct cpu_buf *)x)->panels;
    struct head_job j = {.ex = (const struct cpu_exec *)base,
                         .w = w,
                         .x = x,
                         .heat = heat,
                         .grid_h = shape->grid_h,
                         .grid_w = shape->grid_w,
                         .first = span.first};
    if (w->kind == WEIGHT_SIMPLE_HEAD) {
        j.groups = (panels + SIMPLE_PANELS - 1) / SIMPLE_PANELS;
        cpu_chunks(base, span, span.count * j.groups, simple_linear_chunk, &j);
        cpu_chunks(base, span, span.count * w->keypoints, simple_upsample_chunk, &j);
    } else {
        j.groups = (panels + STAGE1_PANELS - 1) / STAGE1_PANELS;
        cpu_chunks(base, span, span.count * j.groups * 4, classic_stage1_chunk, &j);
        j.groups = (4 * panels + STAGE2_PANELS - 1) / STAGE2_PANELS;
        cpu_chunks(base, span, span.count * j.groups, classic_stage2_chunk, &j);
    }
}
