/* limber bench attention: how the cost of patch attention grows with resolution.
 *
 * One block of a Vision Transformer with random weights, one person, ever more tokens. Each part is verified, then timed: naive
 * attention (cli_bench_naive.c), the fused one with and without the sums for head statistics, the linear layers, the whole
 * block. From the times follow the law (exponents, a L^2 D + b L D^2) and the crossing where attention overtakes the rest. */
#define _GNU_SOURCE
#include "cli_bench_attention.h"

#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli.h"
#include "cli_bench.h"
#include "cli_bench_naive.h"
#include "cli_eval.h"
#include "error.h"
#include "model.h"

#define DEFAULT_RESOLUTIONS "256x192,384x288,512x384,768x576,1024x768,1536x1152"
#define QUICK_RESOLUTIONS "256x192,384x288,512x384,768x576"
#define PATCH 16
#define MAX_TOKENS 65536

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
    limber_status st = be->exec_open(s->be, &s->ex, threads, 1, err);
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
        const float *q = s->qkv_plain + (size_t)i * stride + (size_t)(h * hd), *k = s->qkv_plain + dim + (size_t)(h * hd), *v = k + dim;
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

struct plan {
    double seconds; /* a timed thing */
    int min_runs;
};

/* Resident memory that running fn adds at its peak, from `before`. */
static double added_memory(void (*fn)(void *), struct subject *s, size_t before)
{
    bench_resident_peak_reset();
    fn(s);
    size_t peak = bench_resident_peak();
    return peak > before ? (double)(peak - before) : 0;
}

static void measure_naive(struct attention_bench *b, struct attention_size *r, struct subject *s, struct plan plan)
{
    size_t need = naive_attention_bytes(s->tokens, b->head_dim, b->threads);
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
    double check = check_rows(s, s->naive_out, 1. / (1 << 20));
    if (check > 1)
        snprintf(r->naive_note, sizeof r->naive_note, "wrong by %.1f times what is allowed: not timed", check);
    else
        r->naive = bench_time(run_naive, s, plan.seconds, plan.min_runs);
    naive_attention_close(s->naive);
    s->naive = NULL;
}

static limber_status measure_stats(struct attention_size *r, struct subject *s, struct plan plan, limber_error *err)
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

static limber_status measure_size(struct attention_bench *b, struct attention_size *r, struct subject *s, struct plan plan,
                                  limber_error *err)
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
    r->fused_bytes = added_memory(run_block, s, before);
    if ((st = read_qkv(s, b->dim, err)) != LIMBER_OK)
        return st;
    r->check = check_fused(s, unit);
    if (!(r->check <= 1))
        return limber_fail(err, LIMBER_E_BACKEND, "%s %s attention of %d tokens is wrong: %.2f times the allowed error", b->backend,
                           b->precision, r->tokens, r->check);
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
    r->linear = r->qkv.median + r->projection.median + r->fc1.median + r->fc2.median;
    r->block = bench_time(run_block, s, plan.seconds, plan.min_runs);
    if (strncmp(b->backend, "cuda", 4) == 0)
        snprintf(r->naive_note, sizeof r->naive_note, "left out: naive attention runs on the CPU only");
    else
        measure_naive(b, r, s, plan);
    return LIMBER_OK;
}

/* ---- the law ---- */

/* Tokens at which fused attention and the linear layers take equally long, between measured sizes on log-log lines. */
static double crossing(const struct attention_bench *b)
{
    for (int i = 0; i + 1 < b->sizes; i++) {
        const struct attention_size *p = &b->size[i], *q = &b->size[i + 1];
        double d0 = log(p->fused.median / p->linear), d1 = log(q->fused.median / q->linear);
        if (d0 <= 0 && d1 > 0)
            return exp(log(p->tokens) + (log(q->tokens) - log(p->tokens)) * d0 / (d0 - d1));
    }
    return 0;
}

static void find_law(struct attention_bench *b)
{
    double x[BENCH_MAX_SIZES], y[BENCH_MAX_SIZES], u[BENCH_MAX_SIZES], v[BENCH_MAX_SIZES];
    struct attention_law *law = &b->law;
    const int n = b->sizes;
    const double d = b->dim;
    if (n < 2)
        return;
#define FIT(into, value)                                                                                                         \
    do {                                                                                                                         \
        for (int i = 0; i < n; i++) {                                                                                            \
            x[i] = log(b->size[i].tokens);                                                                                       \
            y[i] = log(b->size[i].value);                                                                                        \
        }                                                                                                                        \
        law->into = bench_fit_line(x, y, n);                                                                                     \
    } while (0)
    FIT(fused, fused.median);
    FIT(linear, linear);
    FIT(block, block.median);
    FIT(memory, fused_bytes + 1);
#undef FIT
    for (int i = 0; i < n; i++)
        if (b->size[i].naive.runs) {
            x[law->naive_points] = log(b->size[i].tokens);
            y[law->naive_points++] = log(b->size[i].naive.median);
        }
    if (law->naive_points > 1)
        law->naive = bench_fit_line(x, y, law->naive_points);
    for (int i = 0; i < n; i++) {
        double l = b->size[i].tokens;
        u[i] = l * l * d;
        v[i] = l * d * d;
        y[i] = b->size[i].fused.median + b->size[i].linear;
    }
    bench_fit_two(u, v, y, n, &law->a, &law->b);
    law->crossing_measured = crossing(b);
    law->crossing_modelled = law->a > 0 ? law->b * d / law->a : 0;
    law->crossing_counted = (4 * d * d + 2 * d * b->mlp) / (2 * d);
}

/* ---- options ---- */

/* "256x192,384x288" (height x width) or "192,768": fills b->size; false with a reason in err. */
static limber_status parse_sizes(struct attention_bench *b, const char *text, bool tokens, limber_error *err)
{
    for (const char *p = text; *p;) {
        char *end;
        struct attention_size *r = &b->size[b->sizes];
        if (b->sizes == BENCH_MAX_SIZES)
            return limber_fail(err, LIMBER_E_ARGUMENT, "%s: more than %d sizes", text, BENCH_MAX_SIZES);
        errno = 0;
        long h = strtol(p, &end, 10), w = 0;
        bool ok = end != p && errno == 0 && h > 0 && h <= MAX_TOKENS;
        if (ok && tokens) {
            /* the grid nearest to 4:3 that has so many patches */
            int across = (int)sqrt((double)h * 3 / 4);
            while (across > 1 && h % across)
                across--;
            r->grid_w = across > 0 ? across : 1;
            r->grid_h = (int)h / r->grid_w;
        } else if (ok) {
            const char *second = end + 1;
            ok = *end == 'x';
            w = ok ? strtol(second, &end, 10) : 0;
            ok = ok && end != second && errno == 0 && w > 0 && w <= MAX_TOKENS && h % PATCH == 0 && w % PATCH == 0;
            r->grid_h = (int)h / PATCH;
            r->grid_w = (int)w / PATCH;
        }
        r->image_h = r->grid_h * PATCH;
        r->image_w = r->grid_w * PATCH;
        r->tokens = r->grid_h * r->grid_w;
        if (!ok || (*end && *end != ',') || r->tokens > MAX_TOKENS)
            return limber_fail(err, LIMBER_E_ARGUMENT, "\"%s\" is not %s", p,
                               tokens ? "a list of token counts like 192,768 (at most 65536)"
                                      : "a list of heights x widths like 256x192,384x288 (multiples of 16, at most 65536 patches)");
        if (b->sizes > 0 && r->tokens <= b->size[b->sizes - 1].tokens)
            return limber_fail(err, LIMBER_E_ARGUMENT, "%s: sizes must rise; %d tokens follow %d", text, r->tokens,
                               b->size[b->sizes - 1].tokens);
        b->sizes++;
        p = *end ? end + 1 : end;
    }
    return b->sizes ? LIMBER_OK : limber_fail(err, LIMBER_E_ARGUMENT, "no sizes given");
}

/* "window:8,merge:16": fills b->variant. */
static limber_status parse_variants(struct attention_bench *b, const char *text, limber_error *err)
{
    for (const char *p = text; *p;) {
        struct attention_variant *v = &b->variant[b->variants];
        size_t n = strcspn(p, ",");
        if (b->variants == BENCH_MAX_VARIANTS || n >= sizeof v->name)
            return limber_fail(err, LIMBER_E_ARGUMENT, "%s: at most %d variants of at most %zu characters", text, BENCH_MAX_VARIANTS,
                               sizeof v->name - 1);
        memcpy(v->name, p, n);
        v->name[n] = '\0';
        limber_status st = attention_parse(v->name, &v->kind, &v->size, err);
        if (st != LIMBER_OK)
            return st;
        b->variants++;
        p += n + (p[n] == ',');
    }
    return LIMBER_OK;
}

/* The command line that repeats this run, as a shell reads it. */
static void command_of(char *text, size_t size, int argc, char **argv)
{
    size_t n = (size_t)snprintf(text, size, "limber bench");
    for (int i = 0; i < argc && n < size; i++)
        n += (size_t)snprintf(text + n, size - n, strpbrk(argv[i], " \t\"'$\\") ? " '%s'" : " %s", argv[i]);
}

/* Sizes of a block: the model's, or the options'. */
static int shape_of(struct attention_bench *b, const struct cli_common *common, int *status)
{
    if (!common->model) {
        snprintf(b->model, sizeof b->model, "random block");
        return CLI_GO;
    }
    limber_error err;
    struct checkpoint c;
    if (checkpoint_open(&c, common->model, &err) != LIMBER_OK) {
        *status = cli_fail("%s", err.text);
        return *status;
    }
    b->dim = c.config.hidden;
    b->heads = c.config.heads;
    b->mlp = c.config.mlp;
    b->depth = c.config.layers;
    snprintf(b->model, sizeof b->model, "%s", c.config.model_name);
    checkpoint_close(&c);
    return CLI_GO;
}

static int measure(struct attention_bench *b, struct backend *be, struct plan plan, bool quiet)
{
    mallopt(M_MMAP_THRESHOLD, 1 << 18); /* what is freed goes back at once: memory is measured */
    limber_error err = {0};
    struct subject s = {.be = be, .all = {.first = 0, .count = 1, .lane = NULL}, .args = {.heads = b->heads, .head_dim = b->head_dim}};
    limber_status st = weights_open(&s, b->dim, b->mlp, &err);
    for (int i = 0; st == LIMBER_OK && i < b->sizes && !cli_stopped; i++) {
        struct attention_size *r = &b->size[i];
        if (!quiet)
            fprintf(stderr, "%d x %d, %d tokens ...\n", r->image_h, r->image_w, r->tokens);
        st = measure_size(b, r, &s, plan, &err);
        size_close(&s);
    }
    weights_close(&s);
    if (st != LIMBER_OK)
        return cli_fail("%s", err.text);
    return cli_stopped ? CLI_INTERRUPTED : CLI_GO;
}

/* ---- what exactness is worth: AP of a real model ---- */

/* AP and time for a person with one kind of attention at one input size. */
static int accuracy_of(struct attention_bench *b, const struct cli_common *common, const struct eval_set *set, const char *attention,
                       int image_h, int image_w)
{
    struct cli_common own = *common;
    struct eval_result result = {0};
    struct attention_accuracy *a = &b->accuracy[b->accuracies];
    limber_model *model = NULL;
    limber_session *session = NULL;
    double numbers[COCO_NUMBERS];
    limber_error err;
    own.options.attention = attention;
    own.options.input_height = image_h;
    own.options.input_width = image_w;
    int status = cli_model_open(&own, &model);
    if (status == CLI_DONE)
        status = cli_session_open(&own, model, &session);
    if (status == CLI_DONE)
        status = eval_measure(&result, set, model, session, common->quiet);
    if (status == CLI_DONE && eval_numbers(numbers, set, &result, NULL, &err) != LIMBER_OK)
        status = cli_fail("%s", err.text);
    if (status == CLI_DONE) {
        snprintf(a->attention, sizeof a->attention, "%s", attention);
        a->image_h = model->config.image_h;
        a->image_w = model->config.image_w;
        a->ap = numbers[COCO_AP];
        a->seconds_person = result.seconds_forward / result.pose_count;
        b->accuracies++;
    }
    eval_result_free(&result);
    limber_session_close(&session);
    limber_model_close(&model);
    return status;
}

/* The variants at the model's own size, and exact attention at those of the sizes that have at most four times its tokens:
 * further out a model sees nothing it was trained on. */
static int measure_accuracy(struct attention_bench *b, const struct cli_common *common, const char *annotations, const char *images)
{
    struct eval_set set = {0};
    struct checkpoint c;
    limber_error err;
    if (checkpoint_open(&c, cli_model_dir(common), &err) != LIMBER_OK)
        return cli_fail("%s", err.text);
    const int trained = c.config.tokens, own_h = c.config.image_h, own_w = c.config.image_w, patch_h = c.config.patch_h,
              patch_w = c.config.patch_w;
    const bool coco = c.config.coco;
    checkpoint_close(&c);
    if (!coco)
        return cli_fail("AP is defined for COCO's 17 keypoints, and this model has others");
    int status = eval_set_open(&set, annotations, images);
    if (status == CLI_DONE)
        status = accuracy_of(b, common, &set, "exact", 0, 0);
    for (int v = 0; status == CLI_DONE && v < b->variants; v++)
        status = accuracy_of(b, common, &set, b->variant[v].name, 0, 0);
    for (int i = 0; status == CLI_DONE && i < b->sizes; i++) {
        const struct attention_size *r = &b->size[i];
        const bool own = r->image_h == own_h && r->image_w == own_w, whole = r->image_h % patch_h == 0 && r->image_w % patch_w == 0;
        if (!own && whole && r->tokens <= 4 * trained)
            status = accuracy_of(b, common, &set, "exact", r->image_h, r->image_w);
    }
    eval_set_close(&set);
    return status == CLI_DONE ? CLI_GO : status;
}

int bench_attention(int argc, char **argv)
{
    struct cli_common common = cli_common_default();
    struct attention_bench *b = calloc(1, sizeof *b);
    const char *resolutions = NULL, *tokens = NULL, *out = NULL, *annotations = NULL, *images = NULL, *variants = "window:8,merge:64,pool:2";
    const char *clock = "wall";
    double limit = 4;
    bool quick = false;
    int status, inputs;
    if (!b)
        return cli_fail("out of memory");
    b->dim = 768;
    b->heads = 12;
    b->depth = 12;
    const struct cli_option options[] = {
        CLI_OPTION("--resolutions", "HxW,...", &resolutions, "input sizes, rising [" DEFAULT_RESOLUTIONS "]"),
        CLI_OPTION("--tokens", "N,...", &tokens, "the same as counts of patches, on grids near 4:3"),
        CLI_INT("--dim", "D", &b->dim, 8, 8192, "width of the block [768; the model's with --model]"),
        CLI_INT("--heads", "H", &b->heads, 1, 512, "attention heads [12]"),
        CLI_INT("--depth", "N", &b->depth, 1, 256, "blocks of the model that the totals speak of [12]"),
        CLI_OPTION("--variants", "KIND,...", &variants, "approximate attentions to time beside [window:8,merge:64,pool:2]"),
        CLI_NUMBER("--naive-limit", "GB", &limit, 0, 1e6, "largest memory naive attention may take [4]"),
        CLI_CHOICE("--clock", "wall|cpu", &clock, "cpu: time of all threads divided by their number, for a machine shared with others [wall]"),
        CLI_FLAG("--quick", &quick, "fewer sizes and runs: under 20 seconds"),
        CLI_OPTION("--annotations", "FILE", &annotations, "with --images: AP of the model by kind of attention and input size"),
        CLI_OPTION("--images", "DIR", &images, "where the images of the annotations are"),
        CLI_OPTION("--out", "DIR", &out, "write bench.json, bench.csv and bench.html there"),
        CLI_COMMON_OPTIONS(common),
        CLI_END,
    };
    const struct cli_command command = {
        "bench attention", "[options]",
        "Times one block of a Vision Transformer over ever more tokens: naive and fused attention, the linear layers, and where\n"
        "attention overtakes them. Random weights and data; each part is verified before it is timed.",
        options};
    command_of(b->command, sizeof b->command, argc, argv);
    if ((status = cli_parse(&command, argc, argv, &inputs)) == CLI_GO && inputs > 0)
        status = cli_usage(&command, "takes no arguments: %s", argv[1]);
    b->mlp = 4 * b->dim;
    limber_error err = {0};
    struct backend *be = NULL;
    if (status == CLI_GO && resolutions && tokens)
        status = cli_usage(&command, "--resolutions and --tokens exclude each other");
    if (status == CLI_GO && !annotations != !images)
        status = cli_usage(&command, "--annotations and --images go together");
    if (status == CLI_GO)
        status = shape_of(b, &common, &status);
    if (status == CLI_GO && b->dim % b->heads)
        status = cli_usage(&command, "%d heads do not divide a width of %d", b->heads, b->dim);
    if (status == CLI_GO && (parse_sizes(b, tokens ? tokens : resolutions ? resolutions : quick ? QUICK_RESOLUTIONS : DEFAULT_RESOLUTIONS,
                                         tokens != NULL, &err) != LIMBER_OK ||
                             parse_variants(b, variants, &err) != LIMBER_OK))
        status = cli_usage(&command, "%s", err.text);
    if (status == CLI_GO && backend_open(&be, common.options.backend, common.options.precision, &err) != LIMBER_OK)
        status = cli_fail("%s", err.text);
    if (status == CLI_GO) {
        time_t now = time(NULL);
        struct tm utc;
        b->head_dim = b->dim / b->heads;
        b->backend = be->ops->name;
        b->emulated = strstr(b->backend, "emulated") != NULL;
        b->precision = precision_name(be->precision);
        b->threads = common.options.threads ? common.options.threads : bench_cpus();
        b->naive_limit_bytes = limit * 1e9;
        b->clock = clock;
        bench_clock_cpu(strcmp(clock, "cpu") == 0 ? b->threads : 0);
        bench_machine(b->machine, sizeof b->machine);
        snprintf(b->commit, sizeof b->commit, "%s", limber_version());
        strftime(b->date, sizeof b->date, "%Y-%m-%d", gmtime_r(&now, &utc));
        cli_catch_signals();
        b->clock_mhz = bench_clock_mhz();
        status = measure(b, be, quick ? (struct plan){.seconds = 0.12, .min_runs = 3} : (struct plan){.seconds = 0.6, .min_runs = 5},
                         common.quiet);
    }
    if (status == CLI_GO && annotations)
        status = measure_accuracy(b, &common, annotations, images);
    if (status == CLI_GO) {
        find_law(b);
        attention_bench_print(b);
        status = out ? attention_bench_write(b, out) : CLI_DONE;
    }
    backend_close(&be);
    free(b);
    return status;
}
