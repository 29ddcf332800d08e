/* SPDX-License-Identifier: MIT */
/* compute/cpu/backend.c - backend `cpu`: every operation of compute/backend.h, cut into chunks for the threads and handed to the kernels of one
 * instruction set. What a layout is and why: cpu.h. What a chunk computes: gemm.h, attention.h, layernorm.h, head.c.
 *
 * Two ways to use the threads. With at least as many people as threads, `split` gives whole people to lanes: no barrier between
 * two operations, a person's activations stay in one core's cache, and a slow core simply takes fewer people. The rest (and a
 * single person) is shared operation by operation. Either way the same chains of additions are computed: the same bytes. */
#include "compute/cpu/cpu.h"
#include "compute/open.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "compute/joints.h"

static size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* ---- weights ---- */

struct weight *cpu_weight_new(struct cpu_backend *be, enum weight_kind kind)
{
    struct weight *w = arena_alloc(&be->arena, sizeof *w);
    if (w)
        w->kind = kind;
    return w;
}

/* All memory is the arena's: it goes when the backend does. */
static void cpu_weight_free(struct backend *be, struct weight *w)
{
    (void)be;
    (void)w;
}

static limber_status out_of_memory(struct weight **out, const char *what, limber_error *err)
{
    *out = NULL;
    return limber_fail(err, LIMBER_E_MEMORY, "cpu: out of memory packing %s", what);
}

static void matrix_row(const void *context, int n, int slab, float *row)
{
    const struct linear_desc *d = context;
    (void)slab;
    memcpy(row, d->weight + (size_t)n * (size_t)d->in, (size_t)d->in * sizeof *row);
}

static limber_status cpu_linear_pack(struct backend *base, struct weight **out, const struct linear_desc *d, limber_error *err)
{
    struct cpu_backend *be = (struct cpu_backend *)base;
    struct weight *w = cpu_weight_new(be, WEIGHT_LINEAR);
    const struct kernels *kernels = d->outside ? be->kernels : be->linear;
    if (kernels->quantise && d->in > INT32_MAX / (255 * 127)) {
        *out = NULL;
        return limber_fail(err, LIMBER_E_UNSUPPORTED, "cpu: int8 sums in 32 bits, which %d inputs of a linear layer could leave",
                           d->in);
    }
    if (!w || !pack_weights(&w->p[0], &be->arena, kernels, d->out, 1, d->in, matrix_row, d, d->bias))
        return out_of_memory(out, "a linear layer", err);
    w->kernels = kernels;
    *out = w;
    return LIMBER_OK;
}

static limber_status cpu_layernorm_pack(struct backend *base, struct weight **out, const struct layernorm_desc *d,
                                        limber_error *err)
{
    struct cpu_backend *be = (struct cpu_backend *)base;
    struct weight *w = cpu_weight_new(be, WEIGHT_LAYERNORM);
    const size_t n = (size_t)d->dim * sizeof(float);
    if (!w || !(w->gain = arena_alloc(&be->arena, n)) || !(w->bias = arena_alloc(&be->arena, n)))
        return out_of_memory(out, "a layernorm", err);
    w->dim = d->dim;
    w->eps = d->eps;
    memcpy(w->gain, d->gain, n);
    memcpy(w->bias, d->bias, n);
    *out = w;
    return LIMBER_OK;
}

/* The embedding is a linear layer over patches; what is added to it are the positions, where other layers add a residual. */
static limber_status cpu_embed_pack(struct backend *base, struct weight **out, const struct embed_desc *d, limber_error *err)
{
    struct cpu_backend *be = (struct cpu_backend *)base;
    const bool paired = be->kernels->precision == PRECISION_BF16;
    const int columns = 3 * d->patch_h * d->patch_w;
    const struct linear_desc linear = {.in = columns, .out = d->dim, .weight = d->weight, .bias = d->bias};
    struct weight *w = cpu_weight_new(be, WEIGHT_EMBED);
    if (!w || !pack_weights(&w->p[0], &be->arena, be->kernels, d->dim, 1, columns, matrix_row, &linear, d->bias) ||
        !(w->lut = arena_alloc(&be->arena, 3 * sizeof *w->lut)))
        return out_of_memory(out, "the patch embedding", err);
    w->patch_h = d->patch_h;
    w->patch_w = d->patch_w;
    w->dim = d->dim;
    for (int c = 0; c < 3; c++)
        for (int v = 0; v < 256; v++) {
            if (paired)
                w->lut[c][v] = bf16_bits(d->lut[c][v]);
            else
                memcpy(&w->lut[c][v], &d->lut[c][v], sizeof w->lut[c][v]);
        }
    be->scratch =
        max_size(be->scratch, be->kernels->gemm_scratch() + (size_t)3 * (size_t)w->p[0].units * LANES * sizeof(uint32_t));
    *out = w;
    return LIMBER_OK;
}

static limber_status cpu_attention_check(struct backend *base, const struct attention_args *a, limber_error *err)
{
    if (a->stats && a->kind != ATTENTION_EXACT)
        return limber_fail(err, LIMBER_E_UNSUPPORTED, "cpu: attention statistics are defined for exact attention only");
    if (((struct cpu_backend *)base)->kernels->precision == PRECISION_BF16 && a->head_dim % 2)
        return limber_fail(err, LIMBER_E_UNSUPPORTED, "cpu: bf16 needs an even head dimension, this model has %d; fp32 takes any",
                           a->head_dim);
    return LIMBER_OK;
}

/* Whole people per thread, several each so that a disturbed core costs little. */
static int cpu_preferred_batch(struct backend *be, int threads, const struct pass_shape *shape)
{
    (void)be;
    (void)shape;
    return 4 * (threads > 0 ? threads : cpu_count());
}

static void cpu_close(struct backend *base)
{
    struct cpu_backend *be = (struct cpu_backend *)base;
    if (!be)
        return;
    arena_free(&be->arena);
    free(be);
}

/* ---- session ---- */

static void cpu_exec_close(struct exec *base)
{
    struct cpu_exec *ex = (struct cpu_exec *)base;
    if (!ex)
        return;
    for (int i = 0; ex->scratch && ex->pool && i < pool_threads(ex->pool); i++)
        pages_free(ex->scratch[i], ex->scratch_bytes);
    for (int i = 0; ex->temps && ex->pool && i <= pool_threads(ex->pool); i++)
        pages_free(ex->temps[i].p, ex->temps[i].bytes);
    pool_close(ex->pool);
    pages_free(ex->head, ex->head_bytes);
    pages_free(ex->quantised, ex->quantised_bytes);
    free(ex->scratch);
    free(ex->lanes);
    free(ex->temps);
    free(ex);
}

/* Makes room for what the weights packed so far, and the buffers opened so far, will need while operations run. */
static bool exec_reserve(struct cpu_exec *ex, size_t scratch, size_t head)
{
    scratch = max_size(scratch, ex->be->scratch);
    if (scratch > ex->scratch_bytes) {
        for (int i = 0; i < pool_threads(ex->pool); i++) {
            void *p = pages_alloc(scratch);
            if (!p) { /* those already enlarged are freed by their new size: leave all of them alike */
                while (i-- > 0) {
                    pages_free(ex->scratch[i], scratch);
                    ex->scratch[i] = NULL;
                }
                return false;
            }
            pages_free(ex->scratch[i], ex->scratch_bytes);
            ex->scratch[i] = p;
        }
        ex->scratch_bytes = scratch;
    }
    if (head > ex->head_bytes) {
        pages_free(ex->head, ex->head_bytes);
        ex->head_bytes = head;
        ex->head = pages_alloc(head);
    }
    return !head || ex->head;
}

/* int8: room for the largest operand. Persons stay apart, whatever layer each of their lanes is at. */
static bool quantised_reserve(struct cpu_exec *ex, int people, int panels, int cols)
{
    const size_t lines = ((size_t)cols + 63) / 64 * 16 + 2,
                 person = (size_t)panels * lines * LANES; /* units to the step of an AMX tile */
    size_t bytes;
    if (!ex->be->linear->quantise || person <= ex->quantised_person)
        return true;
    if (__builtin_mul_overflow((size_t)people * sizeof *ex->quantised, person, &bytes))
        return false;
    pages_free(ex->quantised, ex->quantised_bytes);
    ex->quantised_person = person;
    ex->quantised_bytes = bytes;
    ex->quantised = pages_alloc(bytes);
    return ex->quantised != NULL;
}

static limber_status cpu_exec_open(struct backend *base, struct exec **out, int threads, int max_people,
                                   const struct pass_shape *largest, limber_error *err)
{
    struct cpu_backend *be = (struct cpu_backend *)base;
    struct cpu_exec *ex = calloc(1, sizeof *ex);
    const int patches = largest ? shape_patches(largest) : 0;
    *out = NULL;
    if (threads <= 0)
        threads = cpu_count();
    if (ex) {
        ex->base.ops = be->base.ops;
        ex->be = be;
        ex->kernels = be->kernels;
        ex->max_people = max_people;
        ex->head_person = be->head_panel * (size_t)panels_of(patches);
        ex->scratch = calloc((size_t)threads, sizeof *ex->scratch);
        ex->lanes = calloc((size_t)threads, sizeof *ex->lanes);
        ex->temps = calloc((size_t)threads + 1, sizeof *ex->temps);
        ex->pool = pool_open(threads);
    }
    if (!ex || !ex->scratch || !ex->lanes || !ex->temps || !ex->pool ||
        !exec_reserve(ex, max_size(be->kernels->gemm_scratch() + be->scratch_patch * (size_t)patches, be->linear->gemm_scratch()),
                      (size_t)max_people * ex->head_person)) {
        cpu_exec_close(ex ? &ex->base : NULL);
        return limber_fail(err, LIMBER_E_MEMORY, "cpu: no memory or no threads for a session of %d threads", threads);
    }
    for (int i = 0; i < threads; i++)
        ex->lanes[i] = (struct cpu_lane){.ex = ex, .worker = i};
    *out = &ex->base;
    return LIMBER_OK;
}

static void cpu_buf_close(struct exec *ex, struct buf *base)
{
    struct cpu_buf *b = (struct cpu_buf *)base;
    (void)ex;
    if (!b)
        return;
    pages_free(b->v, b->bytes);
    free(b);
}

static limber_status cpu_buf_open(struct exec *base, struct buf **out, enum buf_kind kind, int people, int tokens, int cols,
                                  limber_error *err)
{
    struct cpu_exec *ex = (struct cpu_exec *)base;
    struct cpu_buf *b = calloc(1, sizeof *b);
    const size_t columns = ((size_t)cols + 31) / 32 * 32; /* the step of an AMX tile; zero beyond cols */
    size_t panels = 0, scratch = 0;
    *out = NULL;
    if (!b)
        return limber_fail(err, LIMBER_E_MEMORY, "cpu: out of memory opening a buffer");
    b->base = (struct buf){.kind = kind, .people = people, .tokens = tokens, .cols = cols};
    if (kind == BUF_HEATMAP) {
        b->stride = (size_t)tokens * (size_t)cols;
        scratch = (size_t)tokens * sizeof(float); /* an averaged map */
    } else {
        b->panels = panels_of(tokens);
        b->paired = ex->kernels->precision == PRECISION_BF16 && kind != BUF_STREAM;
        b->stride = columns * LANES / (b->paired ? 2 : 1);
        panels = (size_t)b->panels;
        if (kind == BUF_QKV)
            scratch = ex->kernels->attention_scratch(tokens, cols / 3);
    }
    size_t persons = (size_t)people * (panels ? panels : 1), words;
    if (!__builtin_mul_overflow(persons, b->stride, &words) && !__builtin_mul_overflow(words, sizeof *b->v, &b->bytes))
        b->v = pages_alloc(b->bytes);
    if (!b->v || !exec_reserve(ex, scratch, 0) ||
        (kind == BUF_OPERAND && !quantised_reserve(ex, ex->max_people, b->panels, cols))) {
        cpu_buf_close(base, &b->base);
        return limber_fail(err, LIMBER_E_MEMORY, "cpu: no memory for %d x %d x %d activations", people, tokens, cols);
    }
    *out = &b->base;
    return LIMBER_OK;
}

static void cpu_buf_resize(struct exec *ex, struct buf *base, int tokens)
{
    struct cpu_buf *b = (struct cpu_buf *)base;
    (void)ex;
    base->tokens = tokens;
    if (base->kind == BUF_HEATMAP)
        b->stride = (size_t)tokens * (size_t)base->cols;
    else
        b->panels = panels_of(tokens);
}

/* Where number `col` of lane `lane` lies in a panel: 32-bit words, or 16-bit halves where lines are paired. From column v_from on
 * the pairs are of tokens (OUT_QKV). */
static size_t number_at(const struct cpu_buf *b, int col, int lane)
{
    const int v_from = b->base.kind == BUF_QKV ? b->base.cols / 3 * 2 : b->base.cols;
    if (!b->paired || col >= v_from)
        return (size_t)col * LANES + (size_t)lane;
    return (size_t)(col / 2) * (2 * LANES) + (size_t)(2 * lane + col % 2);
}

static void cpu_buf_read(struct exec *ex, const struct buf *base, struct span span, float *dst)
{
    const struct cpu_buf *b = (const struct cpu_buf *)base;
    (void)ex;
    if (base->kind == BUF_HEATMAP) {
        memcpy(dst, buf_person(base, span.first), (size_t)span.count * b->stride * sizeof *dst);
        return;
    }
    for (int p = 0; p < span.count; p++)
        for (int t = 0; t < base->tokens; t++) {
            const uint32_t *panel = buf_person(base, span.first + p) + (size_t)(t / LANES) * b->stride;
            for (int c = 0; c < base->cols; c++) {
                const size_t at = number_at(b, c, t % LANES);
                *dst++ = b->paired ? bf16_value(((const uint16_t *)(const void *)panel)[at])
                                   : ((const float *)(const void *)panel)[at];
            }
        }
}

static void cpu_buf_write(struct exec *ex, struct buf *base, struct span span, const float *src)
{
    const struct cpu_buf *b = (const struct cpu_buf *)base;
    (void)ex;
    if (base->kind == BUF_HEATMAP) {
        memcpy(buf_person(base, span.first), src, (size_t)span.count * b->stride * sizeof *src);
        return;
    }
    for (int p = 0; p < span.count; p++)
        for (int t = 0; t < base->tokens; t++) {
            uint32_t *panel = buf_person(base, span.first + p) + (size_t)(t / LANES) * b->stride;
            for (int c = 0; c < base->cols; c++, src++) {
                const size_t at = number_at(b, c, t % LANES);
                if (b->paired)
                    ((uint16_t *)(void *)panel)[at] = (uint16_t)bf16_bits(*src);
                else
                    ((float *)(void *)panel)[at] = *src;
            }
        }
}

static void cpu_upload(struct exec *base, const uint8_t *crops, int people, size_t crop_bytes)
{
    struct cpu_exec *ex = (struct cpu_exec *)base;
    (void)people;
    ex->crops = crops;
    ex->crop_bytes = crop_bytes;
}

static bool cpu_replay(struct exec *ex, int people, uint64_t variant)
{
    (void)ex;
    (void)people;
    (void)variant;
    return false;
}

struct split_job {
    struct cpu_exec *ex;
    span_fn fn;
    void *context;
};

static void split_chunk(void *context, int worker, int chunk)
{
    struct split_job *j = context;
    j->fn(j->context, &j->ex->base, (struct span){.first = chunk, .count = 1, .lane = &j->ex->lanes[worker]});
}

static void cpu_split(struct exec *base, int people, span_fn fn, void *context)
{
    struct cpu_exec *ex = (struct cpu_exec *)base;
    struct split_job job = {.ex = ex, .fn = fn, .context = context};
    const int threads = pool_threads(ex->pool), whole = people - people % threads;
    pool_run(ex->pool, whole, split_chunk, &job);
    for (int p = whole; p < people; p++) /* fewer than threads: all of them on each */
        fn(context, base, (struct span){.first = p, .count = 1, .lane = NULL});
}

static limber_status cpu_finish(struct exec *base, limber_error *err)
{
    struct cpu_exec *ex = (struct cpu_exec *)base;
    bool failed = false;
    ex->crops = NULL;
    for (int i = 0; i <= pool_threads(ex->pool); i++) {
        failed |= ex->temps[i].failed;
        ex->temps[i].failed = false;
    }
    return failed ? limber_fail(err, LIMBER_E_MEMORY, "cpu: no memory to regroup the tokens of an attention") : LIMBER_OK;
}

/* ---- linear ---- */

struct linear_job {
    const struct cpu_exec *ex;
    const struct kernels *kernels;
    struct gemm g;
    struct quantise q;
    int panels, tiles, row_chunks, tiles_each;
};

static void linear_chunk(void *context, int worker, int chunk)
{
    const struct linear_job *j = context;
    const int panel = chunk % j->row_chunks * GEMM_MAX_PANELS, tile = chunk / j->row_chunks * j->tiles_each;
    const int panel_end = panel + GEMM_MAX_PANELS < j->panels ? panel + GEMM_MAX_PANELS : j->panels;
    const int tile_end = tile + j->tiles_each < j->tiles ? tile + j->tiles_each : j->tiles;
    j->kernels->gemm(&j->g, panel, panel_end, tile, tile_end, j->ex->scratch[worker]);
}

#define QUANTISE_PANELS 2

static void quantise_chunk(void *context, int worker, int chunk)
{
    const struct linear_job *j = context;
    const int panel = chunk * QUANTISE_PANELS, end = panel + QUANTISE_PANELS;
    (void)worker;
    j->kernels->quantise(&j->q, panel, end < j->panels ? end : j->panels);
}

/* int8: x goes to 8 bits first. The panels of a span follow one another from its first person's room on. */
static void linear_quantise(struct linear_job *j, struct span span, const struct buf *x, const struct packed *p)
{
    const struct cpu_buf *in = (const struct cpu_buf *)x;
    const size_t stride = ((size_t)p->units + 2) * LANES;
    uint32_t *y = j->ex->quantised + (size_t)span.first * j->ex->quantised_person;
    j->q = (struct quantise){.x = j->g.a[0],
                             .x_stride = in->stride,
                             .paired = in->paired,
                             .units = (x->cols + 3) / 4,
                             .all_units = p->units,
                             .y = y,
                             .y_stride = stride};
    cpu_chunks((struct exec *)&j->ex->base, span, (j->panels + QUANTISE_PANELS - 1) / QUANTISE_PANELS, quantise_chunk, j);
    j->g.a[0] = y;
    j->g.a_stride = stride;
    j->g.steps = y + (size_t)p->units * LANES;
    j->g.w_step = p->step;
    j->g.w_sum = p->sum;
}

static void cpu_linear(struct exec *base, struct span span, struct buf *y, const struct buf *x, const struct weight *w,
                       enum activation act, const struct buf *residual)
{
    const struct cpu_exec *ex = (const struct cpu_exec *)base;
    const struct cpu_buf *in = (const struct cpu_buf *)x, *out = (const struct cpu_buf *)y;
    const struct packed *p = &w->p[0];
    struct linear_job j = {
        .ex = ex,
        .kernels = w->kernels,
        .g = {.a = {buf_person(x, span.first)},
              .a_stride = in->stride,
              .slabs = 1,
              .units = p->units,
              .w = p->w,
              .n = p->n,
              .bias = p->bias,
              .act = act == ACT_GELU_ERF ? CPU_GELU
                     : act == ACT_RELU   ? CPU_RELU
                                         : CPU_NONE,
              .out = buf_person(y, span.first),
              .out_stride = out->stride,
              .kind = !out->paired         ? OUT_FP32
                      : y->kind == BUF_QKV ? OUT_QKV
                                           : OUT_OPERAND,
              .v_from = p->n / 3 * 2},
        .panels = span.count * in->panels,
        .tiles = p->tiles,
    };
    if (residual) {
        j.g.residual = (const float *)(const void *)buf_person(residual, span.first);
        j.g.residual_stride = ((const struct cpu_buf *)residual)->stride;
    }
    if (w->kernels->quantise)
        linear_quantise(&j, span, x, p);
    /* Enough chunks that nobody waits long for the last, few enough that a chunk's tiles share their rows in L2. */
    j.row_chunks = (j.panels + GEMM_MAX_PANELS - 1) / GEMM_MAX_PANELS;
    j.tiles_each = GEMM_MAX_TILES;
    if (!span.lane) {
        const int wanted = 4 * pool_threads(ex->pool), even = (j.tiles * j.row_chunks + wanted - 1) / wanted;
        j.tiles_each = even < 1 ? 1 : even < GEMM_MAX_TILES ? even : GEMM_MAX_TILES;
    }
    cpu_chunks(base, span, j.row_chunks * ((j.tiles + j.tiles_each - 1) / j.tiles_each), linear_chunk, &j);
}

/* ---- embed ---- */

#define EMBED_PANELS 3

struct embed_job {
    const struct cpu_exec *ex;
    const struct weight *w;
    const struct buf *positions;
    const struct pass_shape *shape;
    struct buf *x;
    int first, groups; /* people; groups of EMBED_PANELS in a person */
    bool mirrored;
};

/* Lines of patches: column (channel, ky, kx) of 16 tokens, into zeroed memory. One row of one patch at a time: its pixels lie side
 * by side in the crop and LANES apart in the lines. (Column by column, asking every pixel where it lies: 8 % of a forward pass of
 * the default model in bf16.) */
static void patch_lines(uint32_t *lines, const struct embed_job *j, const uint8_t *crop, int panel)
{
    const struct weight *w = j->w;
    const struct pass_shape *s = j->shape;
    const bool paired = j->ex->kernels->precision == PRECISION_BF16;
    const int step = j->mirrored ? -3 : 3;
    for (int lane = 0; lane < LANES; lane++) {
        const int t = panel * LANES + lane - s->before; /* the patch */
        if (t < 0 || t >= shape_patches(s))
            continue;
        const int y0 = t / s->grid_w * w->patch_h - s->pad, x0 = t % s->grid_w * w->patch_w - s->pad;
        const int from = x0 < 0 ? -x0 : 0,
                  to = s->image_w - x0 < w->patch_w ? s->image_w - x0 : w->patch_w; /* kx inside the crop */
        const int first = j->mirrored ? s->image_w - 1 - (x0 + from) : x0 + from;
        for (int ch = 0; ch < 3; ch++)
            for (int ky = 0; ky < w->patch_h; ky++) {
                const int y = y0 + ky, column = (ch * w->patch_h + ky) * w->patch_w + from;
                if (y < 0 || y >= s->image_h || from >= to)
                    continue;
                const uint8_t *pixel = crop + ((size_t)y * (size_t)s->image_w + (size_t)first) * 3 + (size_t)ch;
                if (paired) {
                    uint16_t *half = (uint16_t *)(void *)lines + 2 * lane;
                    for (int c = column, kx = from; kx < to; c++, kx++, pixel += step)
                        half[(size_t)(c / 2) * (2 * LANES) + (size_t)(c % 2)] = (uint16_t)w->lut[ch][*pixel];
                } else {
                    uint32_t *number = lines + (size_t)column * LANES + (size_t)lane;
                    for (int kx = from; kx < to; kx++, number += LANES, pixel += step)
                        *number = w->lut[ch][*pixel];
                }
            }
    }
}

/* Tokens that are no patch got a bias that is none of theirs: they are their position and nothing else. */
static void other_tokens(const struct embed_job *j, float *out, const float *position, int panel, int panels)
{
    const size_t out_stride = ((const struct cpu_buf *)j->x)->stride, stride = ((const struct cpu_buf *)j->positions)->stride;
    const int before = j->shape->before, behind = before + shape_patches(j->shape);
    for (int i = 0; i < panels * LANES; i++) {
        const int token = panel * LANES + i;
        if (token >= j->x->tokens || (token >= before && token < behind))
            continue;
        for (int c = 0; c < j->w->dim; c++)
            out[(size_t)(i / LANES) * out_stride + (size_t)(c * LANES + i % LANES)] =
                position[(size_t)(i / LANES) * stride + (size_t)(c * LANES + i % LANES)];
    }
}

static void embed_chunk(void *context, int worker, int chunk)
{
    const struct embed_job *j = context;
    const struct cpu_exec *ex = j->ex;
    const struct packed *p = &j->w->p[0];
    const struct cpu_buf *x = (const struct cpu_buf *)j->x, *positions = (const struct cpu_buf *)j->positions;
    const int person = j->first + chunk / j->groups, panel = chunk % j->groups * EMBED_PANELS;
    const int panels = x->panels - panel < EMBED_PANELS ? x->panels - panel : EMBED_PANELS;
    const size_t stride = (size_t)p->units * LANES;
    uint32_t *lines = (uint32_t *)(void *)((char *)ex->scratch[worker] + ex->kernels->gemm_scratch());
    memset(lines, 0, (size_t)panels * stride * sizeof *lines); /* what lies outside of the crop, and units that only round up */
    for (int i = 0; i < panels; i++)
        patch_lines(lines + (size_t)i * stride, j, ex->crops + (size_t)person * ex->crop_bytes, panel + i);
    const struct gemm g = {.a = {lines},
                           .a_stride = stride,
                           .slabs = 1,
                           .units = p->units,
                           .w = p->w,
                           .n = p->n,
                           .bias = p->bias,
                           .residual = (const float *)(const void *)positions->v + (size_t)panel * positions->stride,
                           .residual_stride = positions->stride,
                           .out = buf_person(j->x, person) + (size_t)panel * x->stride,
                           .out_stride = x->stride,
                           .kind = OUT_FP32};
    for (int tile = 0; tile < p->tiles; tile += GEMM_MAX_TILES)
        ex->kernels->gemm(&g, 0, panels, tile, tile + GEMM_MAX_TILES < p->tiles ? tile + GEMM_MAX_TILES : p->tiles,
                          ex->scratch[worker]);
    other_tokens(j, (float *)g.out, g.residual, panel, panels);
}

static void cpu_embed(struct exec *base, struct span span, struct buf *x, const struct weight *w, const struct buf *positions,
                      const struct pass_shape *shape, bool mirrored)
{
    const int groups = (((const struct cpu_buf *)x)->panels + EMBED_PANELS - 1) / EMBED_PANELS;
    struct embed_job j = {.ex = (const struct cpu_exec *)base,
                          .w = w,
                          .positions = positions,
                          .shape = shape,
                          .x = x,
                          .first = span.first,
                          .groups = groups,
                          .mirrored = mirrored};
    cpu_chunks(base, span, span.count * groups, embed_chunk, &j);
}

/* ---- layernorm ---- */

#define LAYERNORM_PANELS 2

struct layernorm_job {
    const struct kernels *kernels;
    struct layernorm l;
    int panels;
};

static void layernorm_chunk(void *context, int worker, int chunk)
{
    const struct layernorm_job *j = context;
    const int from = chunk * LAYERNORM_PANELS, to = from + LAYERNORM_PANELS;
    (void)worker;
    j->kernels->layernorm(&j->l, from, to < j->panels ? to : j->panels);
}

static void cpu_layernorm(struct exec *base, struct span span, struct buf *y, const struct buf *x, const struct weight *w)
{
    const struct cpu_buf *in = (const struct cpu_buf *)x, *out = (const struct cpu_buf *)y;
    struct layernorm_job j = {
        .kernels = ((const struct cpu_exec *)base)->kernels,
        .l = {.x = (const float *)(const void *)buf_person(x, span.first),
              .x_stride = in->stride,
              .y = buf_person(y, span.first),
              .y_stride = out->stride,
              .kind = out->paired ? OUT_OPERAND : OUT_FP32,
              .dim = w->dim,
              .eps = w->eps,
              .gain = w->gain,
              .bias = w->bias},
        .panels = span.count * in->panels,
    };
    cpu_chunks(base, span, (j.panels + LAYERNORM_PANELS - 1) / LAYERNORM_PANELS, layernorm_chunk, &j);
}

/* ---- attention ---- */

struct attention_job {
    const struct cpu_exec *ex;
    const struct attention_args *args;
    const struct buf *qkv;
    struct buf *y;
    int first, each, groups; /* panels of queries a call; calls a head */
};

static void attention_chunk(void *context, int worker, int chunk)
{
    const struct attention_job *j = context;
    const struct cpu_buf *qkv = (const struct cpu_buf *)j->qkv, *y = (const struct cpu_buf *)j->y;
    const int each = j->each, group = chunk % j->groups, head = chunk / j->groups % j->args->heads;
    const int person = j->first + chunk / j->groups / j->args->heads, panel = group * each;
    const struct attention a = {.qkv = buf_person(j->qkv, person),
                                .qkv_stride = qkv->stride,
                                .out = buf_person(j->y, person),
                                .out_stride = y->stride,
                                .tokens = j->qkv->tokens,
                                .heads = j->args->heads,
                                .head_dim = j->args->head_dim,
                                .grid_w = j->args->grid_w,
                                .stats = j->args->stats,
                                .person = person};
    j->ex->kernels->attention(&a, head, panel, qkv->panels - panel < each ? qkv->panels - panel : each, j->ex->scratch[worker]);
}

/* The more there are the seldomer K and V are read; but no thread shall go without: 4 calls each even out. */
int cpu_attention_panels(const struct cpu_exec *ex, struct span span, int panels, int heads)
{
    const int block = ex->kernels->attention_block, threads = span.lane ? 1 : pool_threads(ex->pool);
    int each = ex->kernels->attention_panels;
    while (threads > 1 && each > block && (panels + each - 1) / each * heads < 4 * threads)
        each -= block;
    return each;
}

static void cpu_attention(struct exec *base, struct span span, struct buf *y, const struct buf *qkv,
                          const struct attention_args *a)
{
    const struct cpu_exec *ex = (const struct cpu_exec *)base;
    if (a->kind != ATTENTION_EXACT) {
        cpu_attention_grouped((struct cpu_exec *)base, span, y, qkv, a);
        return;
    }
    const int panels = ((const struct cpu_buf *)qkv)->panels,
              each = cpu_attention_panels(ex, span, panels, span.count * a->heads);
    const int groups = (panels + each - 1) / each;
    struct attention_job j = {.ex = ex, .args = a, .qkv = qkv, .y = y, .first = span.first, .each = each, .groups = groups};
    cpu_chunks(base, span, span.count * a->heads * groups, attention_chunk, &j);
}

/* ---- streams ---- */

#define ADD_PANELS 8

struct add_job {
    struct buf *x;
    const struct buf *positions;
    int first, groups;
};

static void add_chunk(void *context, int worker, int chunk)
{
    const struct add_job *j = context;
    const struct cpu_buf *x = (const struct cpu_buf *)j->x;
    const int person = j->first + chunk / j->groups, panel = chunk % j->groups * ADD_PANELS;
    const int panels = x->panels - panel < ADD_PANELS ? x->panels - panel : ADD_PANELS;
    float *to = (float *)(void *)(buf_person(j->x, person) + (size_t)panel * x->stride);
    const float *from = (const float *)(const void *)(buf_person(j->positions, 0) + (size_t)panel * x->stride); /* as wide as x */
    (void)worker;
    for (size_t i = 0; i < (size_t)panels * x->stride; i++)
        to[i] += from[i];
}

static void cpu_add(struct exec *base, struct span span, struct buf *x, const struct buf *positions)
{
    const int groups = (((const struct cpu_buf *)x)->panels + ADD_PANELS - 1) / ADD_PANELS;
    struct add_job j = {.x = x, .positions = positions, .first = span.first, .groups = groups};
    cpu_chunks(base, span, span.count * groups, add_chunk, &j);
}

static void cpu_rows(struct exec *base, struct span span, struct buf *y, const struct buf *x, int first)
{
    const struct cpu_buf *to = (const struct cpu_buf *)y, *from = (const struct cpu_buf *)x;
    (void)base;
    for (int p = span.first; p < span.first + span.count; p++)
        for (int t = 0; t < y->tokens; t++) {
            uint32_t *out = buf_person(y, p) + (size_t)(t / LANES) * to->stride + t % LANES;
            const uint32_t *in = buf_person(x, p) + (size_t)((first + t) / LANES) * from->stride + (first + t) % LANES;
            for (size_t c = 0; c < (size_t)y->cols; c++)
                out[c * LANES] = in[c * LANES];
        }
}

/* ---- decode ---- */

struct decode_job {
    const struct cpu_exec *ex;
    const struct buf *heat, *mirrored;
    const struct decode_args *args;
    int first;
};

static void decode_chunk(void *context, int worker, int chunk)
{
    const struct decode_job *j = context;
    const struct decode_args *a = j->args;
    const int person = j->first + chunk / j->heat->cols, k = chunk % j->heat->cols;
    const size_t map = (size_t)j->heat->tokens;
    float *average = j->ex->scratch[worker];
    const float *m = (const float *)(const void *)buf_person(j->heat, person) + (size_t)k * map;
    if (j->mirrored) {
        const float *other = (const float *)(const void *)buf_person(j->mirrored, person) + (size_t)a->flip_pairs[k] * map;
        joint_average_mirrored(average, m, other, a->map_h, a->map_w);
        m = average;
    }
    a->joints[(size_t)person * (size_t)j->heat->cols + (size_t)k] = joint_decode(m, a->map_h, a->map_w);
}

static void cpu_decode(struct exec *base, struct span span, const struct buf *heat, const struct buf *mirrored,
                       const struct decode_args *a)
{
    struct decode_job j = {
        .ex = (const struct cpu_exec *)base, .heat = heat, .mirrored = mirrored, .args = a, .first = span.first};
    cpu_chunks(base, span, span.count * heat->cols, decode_chunk, &j);
}

/* ---- the table ---- */

static const struct backend_ops cpu_ops = {
    .name = "cpu",
    .close = cpu_close,
    .embed_pack = cpu_embed_pack,
    .layernorm_pack = cpu_layernorm_pack,
    .linear_pack = cpu_linear_pack,
    .simple_head_pack = cpu_simple_head_pack,
    .classic_head_pack = cpu_classic_head_pack,
    .weight_free = cpu_weight_free,
    .attention_check = cpu_attention_check,
    .preferred_batch = cpu_preferred_batch,
    .exec_open = cpu_exec_open,
    .exec_close = cpu_exec_close,
    .buf_open = cpu_buf_open,
    .buf_close = cpu_buf_close,
    .buf_resize = cpu_buf_resize,
    .buf_read = cpu_buf_read,
    .buf_write = cpu_buf_write,
    .upload = cpu_upload,
    .replay = cpu_replay,
    .split = cpu_split,
    .finish = cpu_finish,
    .embed = cpu_embed,
    .layernorm = cpu_layernorm,
    .linear = cpu_linear,
    .attention = cpu_attention,
    .add = cpu_add,
    .rows = cpu_rows,
    .head = cpu_head,
    .decode = cpu_decode,
};

limber_status backend_cpu_open(struct backend **out, enum precision precision, limber_error *err)
{
    *out = NULL;
    const enum precision other = precision != PRECISION_INT8       ? precision
                                 : backend_cpu_has(PRECISION_BF16) ? PRECISION_BF16
                                                                   : PRECISION_FP32;
    const struct kernels *linear = cpu_kernels(precision, err), *kernels = linear ? cpu_kernels(other, err) : NULL;
    if (!kernels)
        return err ? err->status : LIMBER_E_UNSUPPORTED;
    struct cpu_backend *be = calloc(1, sizeof *be);
    if (!be)
        return limber_fail(err, LIMBER_E_MEMORY, "cpu: out of memory");
    be->base.ops = &cpu_ops;
    be->base.precision = precision;
    be->kernels = kernels;
    be->linear = linear;
    *out = &be->base;
    return LIMBER_OK;
}
