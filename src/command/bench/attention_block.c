/* SPDX-License-Identifier: MIT */
/* command/bench/attention_block.c - what `limber bench attention` times: one block of a Vision Transformer with random weights, one person.
 * Each part is verified, then timed: naive attention (command/bench/naive.c), the fused one with and without the sums for head
 * statistics, the linear layers, the whole block. */
#define _GNU_SOURCE
#include "command/bench/attention.h"

#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command/options.h"
#include "command/bench/bench.h"
#include "command/bench/naive.h"
#include "base/error.h"

/* A block with random weights, and activations for one size. */
struct subject {
    struct backend *be;
    struct exec *ex;
    struct weight *layernorm, *qkv, *projection, *fc1, *fc2;
    struct buf *x, *y, *z, *mid, *qkv_out; /* z: a second operand, so that attention does not read what it writes */
    struct attention_args args;
    struct span all;
    int tokens;
    float *qkv_plain, *naive_out;
    struct naive_attention *naive;
};

static limber_status pack_linear(struct subject *s, struct weight **out, int in, int rows, uint64_t seed, limber_error *err)
{
    size_t n = (size_t)in * (size_t)rows;
    float *weight = malloc((n + (size_t)rows) * sizeof *weight), *bias = weight + n;
    if (!weight)
        return limber_fail(err, LIMBER_E_MEMORY, "no memory for a %d x %d weight", rows, in);
    bench_random(weight, n, seed, 1 / sqrtf((float)in));
    bench_random(bias, (size_t)rows, seed + 1, 0.1f);
    const struct linear_desc d = {.in = in, .out = rows, .weight = weight, .bias = bias};
    limber_status st = s->be->ops->linear_pack(s->be, out, &d, err);
    free(weight);
    return st;
}

static limber_status weights_open(struct subject *s, int dim, int mlp, limber_error *err)
{
    float *plain = malloc(2 * (size_t)dim * sizeof *plain);
    limber_status st;
    if (!plain)
        return limber_fail(err, LIMBER_E_MEMORY, "no memory for %d numbers", 2 * dim);
    for (int i = 0; i < dim; i++) {
        plain[i] = 1;
        plain[dim + i] = 0;
    }
    const struct layernorm_desc d = {.dim = dim, .eps = 1e-6f, .gain = plain, .bias = plain + dim};
    if ((st = s->be->ops->layernorm_pack(s->be, &s->layernorm, &d, err)) == LIMBER_OK &&
        (st = pack_linear(s, &s->qkv, dim, 3 * dim, 11, err)) == LIMBER_OK &&
        (st = pack_linear(s, &s->projection, dim, dim, 13, err)) == LIMBER_OK &&
        (st = pack_linear(s, &s->fc1, dim, mlp, 15, err)) == LIMBER_OK)
        st = pack_linear(s, &s->fc2, mlp, dim, 17, err);
    free(plain);
    return st;
}

static void weights_close(struct subject *s)
{
    struct weight *all[] = {s->layernorm, s->qkv, s->projection, s->fc1, s->fc2};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        s->be->ops->weight_free(s->be, all[i]);
}

static void size_close(struct subject *s)
{
    struct buf *all[] = {s->x, s->y, s->z, s->mid, s->qkv_out};
    if (s->ex) {
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
            s->ex->ops->buf_close(s->ex, all[i]);
        s->ex->ops->exec_close(s->ex);
    }
    naive_attention_close(s->naive);
    free(s->qkv_plain);
    free(s->naive_out);
    s->ex = NULL;
    s->x = s->y = s->z = s->mid = s->qkv_out = NULL;
    s->naive = NULL;
    s->qkv_plain = s->naive_out = NULL;
}

/* Buffers for `tokens`, and a random residual stream in x. */
static limber_status size_open(struct subject *s, int threads, int dim, int mlp, limber_error *err)
{
    const struct backend_ops *be = s->be->ops;
    const size_t n = (size_t)s->tokens * (size_t)dim;
    limber_status st = be->exec_open(s->be, &s->ex, threads, 1, NULL, err);
    if (st == LIMBER_OK && (st = be->buf_open(s->ex, &s->x, BUF_STREAM, 1, s->tokens, dim, err)) == LIMBER_OK &&
        (st = be->buf_open(s->ex, &s->y, BUF_OPERAND, 1, s->tokens, dim, err)) == LIMBER_OK &&
        (st = be->buf_open(s->ex, &s->z, BUF_OPERAND, 1, s->tokens, dim, err)) == LIMBER_OK &&
        (st = be->buf_open(s->ex, &s->mid, BUF_OPERAND, 1, s->tokens, mlp, err)) == LIMBER_OK)
        st = be->buf_open(s->ex, &s->qkv_out, BUF_QKV, 1, s->tokens, 3 * dim, err);
    float *random = st == LIMBER_OK ? malloc(n * sizeof *random) : NULL;
    if (st == LIMBER_OK && !random)
        st = limber_fail(err, LIMBER_E_MEMORY, "no memory for %d tokens", s->tokens);
    if (st != LIMBER_OK)
        return st;
    bench_random(random, n, 5, 1);
    be->buf_write(s->ex, s->x, s->all, random);
    free(random);
    return be->finish(s->ex, err);
}

/* ---- what is timed; each waits until the device has done it ---- */

static void wait_done(struct subject *s)
{
    s->ex->ops->finish(s->ex, NULL);
}

static void run_naive(void *p)
{
    struct subject *s = p;
    naive_attention_run(s->naive, s->naive_out, s->qkv_plain);
}

static void run_attention(void *p)
{
    struct subject *s = p;
    s->ex->ops->attention(s->ex, s->all, s->z, s->qkv_out, &s->args);
    wait_done(s);
}

static void run_layernorm(void *p)
{
    struct subject *s = p;
    s->ex->ops->layernorm(s->ex, s->all, s->y, s->x, s->layernorm);
    wait_done(s);
}

static void run_qkv(void *p)
{
    struct subject *s = p;
    s->ex->ops->linear(s->ex, s->all, s->qkv_out, s->y, s->qkv, ACT_NONE, NULL);
    wait_done(s);
}

/* The residual stream is read but not written, or it would grow from call to call. */
static void run_projection(void *p)
{
    struct subject *s = p;
    s->ex->ops->linear(s->ex, s->all, s->z, s->y, s->projection, ACT_NONE, NULL);
    wait_done(s);
}

static void run_fc1(void *p)
{
    struct subject *s = p;
    s->ex->ops->linear(s->ex, s->all, s->mid, s->y, s->fc1, ACT_GELU_ERF, NULL);
    wait_done(s);
}

static void run_fc2(void *p)
{
    struct subject *s = p;
    s->ex->ops->linear(s->ex, s->all, s->z, s->mid, s->fc2, ACT_NONE, NULL);
    wait_done(s);
}

static void run_block(void *p)
{
    struct subject *s = p;
    const struct backend_ops *be = s->ex->ops;
    be->layernorm(s->ex, s->all, s->y, s->x, s->layernorm);
    be->linear(s->ex, s->all, s->qkv_out, s->y, s->qkv, ACT_NONE, NULL);
    be->attention(s->ex, s->all, s->z, s->qkv_out, &s->args);
    be->linear(s->ex, s->all, s->y, s->z, s->projection, ACT_NONE, NULL);
    be->layernorm(s->ex, s->all, s->z, s->x, s->layernorm);
    be->linear(s->ex, s->all, s->mid, s->z, s->fc1, ACT_GELU_ERF, NULL);
    be->linear(s->ex, s->all, s->z, s->mid, s->fc2, ACT_NONE, NULL);
    wait_done(s);
}

/* ---- verified before timed ---- */

/* The q, k, v that the layer makes of x, as plain numbers: what naive attention reads and the check computes from. */
static limber_status read_qkv(struct subject *s, int dim, limber_error *err)
{
    const size_t n = (size_t)s->tokens * (size_t)dim;
    s->qkv_plain = malloc(3 * n * sizeof *s->qkv_plain);
    s->naive_out = malloc(n * sizeof *s->naive_out);
    if (!s->qkv_plain || !s->naive_out)
        return limber_fail(err, LIMBER_E_MEMORY, "no memory for %d tokens", s->tokens);
    run_layernorm(s); /* a block leaves other operands behind */
    run_qkv(s);
    s->ex->ops->buf_read(s->ex, s->qkv_out, s->all, s->qkv_plain);
    return s->ex->ops->finish(s->ex, err);
}

/* Worst error of sampled output rows against a double softmax over the same q, k, v, as a share of what is allowed: `unit` of the
 * magnitudes summed. out [tokens][dim] */
static double check_rows(const struct subject *s, const float *out, double unit)
{
    const int tokens = s->tokens, hd = s->args.head_dim;
    const size_t dim = (size_t)s->args.heads * (size_t)hd, stride = 3 * dim;
    double *p = malloc((size_t)tokens * sizeof *p), worst = p ? 0 : INFINITY;
    for (int sample = 0; p && sample < 12; sample++) {
        int i = (int)((long long)sample * (tokens - 1) / 11), h = sample % s->args.heads;
        const float *q = s->qkv_plain + (size_t)i * stride + (size_t)(h * hd), *k = s->qkv_plain + dim + (size_t)(h * hd),
                    *v = k + dim;
        double max = -INFINITY, total = 0;
        for (int j = 0; j < tokens; j++) {
            double dot = 0;
            for (int c = 0; c < hd; c++)
                dot += (double)q[c] * k[(size_t)j * stride + (size_t)c];
            p[j] = dot / sqrt((double)hd);
            max = fmax(max, p[j]);
        }
        for (int j = 0; j < tokens; j++)
            total += p[j] = exp(p[j] - max);
        for (int c = 0; c < hd; c++) {
            double sum = 0, size = 0;
            for (int j = 0; j < tokens; j++) {
                sum += p[j] / total * v[(size_t)j * stride + (size_t)c];
                size += fabs(p[j] / total * v[(size_t)j * stride + (size_t)c]);
            }
            double allowed = unit * (size + fabs(sum)); /* weights and output are rounded once each */
            worst = fmax(worst, fabs(out[(size_t)i * dim + (size_t)(h * hd + c)] - sum) / allowed);
        }
    }
    free(p);
    return worst;
}

static double check_fused(struct subject *s, double unit)
{
    float *out = malloc((size_t)s->tokens * (size_t)s->args.heads * (size_t)s->args.head_dim * sizeof *out);
    double worst = INFINITY;
    if (out) {
        run_attention(s);
        s->ex->ops->buf_read(s->ex, s->z, s->all, out);
        worst = check_rows(s, out, unit);
    }
    free(out);
    return worst;
}

/* ---- one size ---- */

/* Resident memory that running fn adds at its peak, from `before`. */
static double added_memory(void (*fn)(void *), struct subject *s, size_t before)
{
    bench_resident_peak_reset();
    fn(s);
    size_t peak = bench_resident_peak();
    return peak > before ? (double)(peak - before) : 0;
}

static void measure_naive(struct attention_bench *b, struct attention_size *r, struct subject *s, struct attention_plan plan)
{
    size_t need = naive_attention_bytes(s->tokens, b->head_dim, b->threads);
    if (bench_is_over())
        return;
    if ((double)need > b->naive_limit_bytes) {
        snprintf(r->naive_note, sizeof r->naive_note, "left out: needs %.1f GB, limit %.1f GB", (double)need * 1e-9,
                 b->naive_limit_bytes * 1e-9);
        return;
    }
    size_t before = bench_resident();
    s->naive = naive_attention_open(s->tokens, b->heads, b->head_dim, b->threads);
    if (!s->naive) {
        snprintf(r->naive_note, sizeof r->naive_note, "left out: no memory for %.1f GB", (double)need * 1e-9);
        return;
    }
    r->naive_bytes = added_memory(run_naive, s, before);
    double check = bench_is_over() ? 0 : check_rows(s, s->naive_out, 1. / (1 << 20));
    if (check > 1)
        snprintf(r->naive_note, sizeof r->naive_note, "wrong by %.1f times what is allowed: not timed", check);
    else
        r->naive = bench_time(run_naive, s, plan.seconds, plan.min_runs);
    naive_attention_close(s->naive);
    s->naive = NULL;
}

static limber_status measure_stats(struct attention_size *r, struct subject *s, struct attention_plan plan, limber_error *err)
{
    enum { CLASSES = 6 };
    size_t tokens = (size_t)s->tokens;
    uint8_t *masks = malloc(tokens);
    float *out = malloc((size_t)s->args.heads * tokens * (4 + CLASSES) * sizeof *out);
    const struct attention_stats stats = {.classes = CLASSES, .masks = masks, .out = out};
    limber_status st = LIMBER_OK;
    if (!masks || !out)
        st = limber_fail(err, LIMBER_E_MEMORY, "no memory for the statistics of %zu tokens", tokens);
    for (size_t t = 0; masks && t < tokens; t++)
        masks[t] = (uint8_t)(1u << t * CLASSES / tokens);
    s->args.stats = &stats;
    if (st == LIMBER_OK && s->be->ops->attention_check(s->be, &s->args, NULL) == LIMBER_OK)
        r->with_stats = bench_time(run_attention, s, plan.seconds, plan.min_runs);
    s->args.stats = NULL;
    free(masks);
    free(out);
    return st;
}

static limber_status measure_size(struct attention_bench *b, struct attention_size *r, struct subject *s,
                                  struct attention_plan plan, limber_error *err)
{
    double unit = s->be->precision == PRECISION_FP32 ? 1. / (1 << 20) : s->be->precision == PRECISION_FP16 ? 1. / 2048 : 1. / 256;
    size_t before = bench_resident();
    s->tokens = r->tokens;
    s->args.grid_h = r->grid_h;
    s->args.grid_w = r->grid_w;
    s->args.kind = ATTENTION_EXACT;
    limber_status st = size_open(s, b->threads, b->dim, b->mlp, err);
    if (st != LIMBER_OK)
        return st;
    r->map_bytes = 4. * b->heads * r->tokens * r->tokens;
    if (bench_is_over())
        return LIMBER_OK;
    r->fused_bytes = added_memory(run_block, s, before);
    if (bench_is_over())
        return LIMBER_OK;
    if ((st = read_qkv(s, b->dim, err)) != LIMBER_OK)
        return st;
    r->check = check_fused(s, unit);
    if (!(r->check <= 1))
        return limber_fail(err, LIMBER_E_BACKEND, "%s %s attention of %d tokens is wrong: %.2f times the allowed error",
                           b->backend, b->precision, r->tokens, r->check);
    r->fused = bench_time(run_attention, s, plan.seconds, plan.min_runs);
    if ((st = measure_stats(r, s, plan, err)) != LIMBER_OK)
        return st;
    for (int v = 0; v < b->variants; v++) {
        s->args.kind = b->variant[v].kind;
        s->args.size = b->variant[v].size;
        if (s->be->ops->attention_check(s->be, &s->args, NULL) == LIMBER_OK)
            r->variants[v] = bench_time(run_attention, s, plan.seconds, plan.min_runs);
    }
    s->args.kind = ATTENTION_EXACT;
    r->layernorm = bench_time(run_layernorm, s, plan.seconds / 4, plan.min_runs);
    r->qkv = bench_time(run_qkv, s, plan.seconds / 2, plan.min_runs);
    r->projection = bench_time(run_projection, s, plan.seconds / 2, plan.min_runs);
    r->fc1 = bench_time(run_fc1, s, plan.seconds / 2, plan.min_runs);
    r->fc2 = bench_time(run_fc2, s, plan.seconds / 2, plan.min_runs);
    if (r->qkv.runs && r->projection.runs && r->fc1.runs && r->fc2.runs)
        r->linear = r->qkv.median + r->projection.median + r->fc1.median + r->fc2.median;
    r->block = bench_time(run_block, s, plan.seconds, plan.min_runs);
    if (strncmp(b->backend, "cuda", 4) == 0)
        snprintf(r->naive_note, sizeof r->naive_note, "left out: naive attention runs on the CPU only");
    else
        measure_naive(b, r, s, plan);
    return LIMBER_OK;
}

/* ---- all sizes ---- */

/* Naive attention may be left out, and then says why. */
static bool is_whole(const struct attention_size *r)
{
    return r->fused.runs && r->layernorm.runs && r->linear > 0 && r->block.runs && (r->naive.runs || r->naive_note[0]);
}

int attention_bench_measure(struct attention_bench *b, struct backend *be, struct attention_plan plan, bool quiet)
{
#ifdef M_MMAP_THRESHOLD                 /* glibc */
    mallopt(M_MMAP_THRESHOLD, 1 << 18); /* what is freed goes back at once: memory is measured */
#endif
    limber_error err = {0};
    struct subject s = {
        .be = be, .all = {.first = 0, .count = 1, .lane = NULL}, .args = {.heads = b->heads, .head_dim = b->head_dim}};
    b->planned = b->sizes;
    b->sizes = 0;
    limber_status st = weights_open(&s, b->dim, b->mlp, &err);
    attention_bench_print_head(b);
    while (st == LIMBER_OK && b->sizes < b->planned && !b->partial && !bench_is_over()) {
        struct attention_size *r = &b->size[b->sizes];
        if (!quiet)
            fprintf(stderr, "%d x %d, %d tokens ...\n", r->image_h, r->image_w, r->tokens);
        st = measure_size(b, r, &s, plan, &err);
        size_close(&s);
        if (st == LIMBER_OK) {
            attention_bench_print_row(b, r);
            b->partial = !is_whole(r);
            b->sizes += !b->partial;
        }
    }
    weights_close(&s);
    if (st != LIMBER_OK)
        return cli_fail("%s", err.text);
    return cli_stopped ? CLI_INTERRUPTED : CLI_GO;
}
