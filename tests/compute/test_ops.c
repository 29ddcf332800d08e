/* SPDX-License-Identifier: MIT */
/* test_ops.c - every operation of every backend on this machine against `ref` (double sums).
 *
 * The bound is earned, not chosen: a plain loop at the backend's precision (operands rounded as it rounds them, sums in fp32, one
 * after the other) is run beside it, and the backend may be wrong by at most twice what that loop is. Inputs include rows of one
 * value, large offsets and logits of +-60; shapes include token counts and widths that no block size divides. */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compute/open.h"

/* ---- the backends under test ---- */

/* test_ops_amx.c includes this file with a variant of its own. */
#ifndef TEST_OPS_VARIANTS
#define TEST_OPS_VARIANTS                                                                                                        \
    {"cpu", "scalar", "fp32"}, {"cpu", "neon", "fp32"}, {"cpu", "neonbf16", "bf16"}, {"cpu", "neondot", "int8"},                 \
        {"cpu", "neoni8mm", "int8"}, {"cpu", "avx2", "fp32"}, {"cpu", "avx512", "fp32"}, {"cpu", "avx512bf16", "bf16"},          \
        {"cpu", "amx", "bf16"}, {"cpu", "avx2int8", "int8"}, {"cpu", "avxvnni", "int8"}, {"cpu", "avx512vnni", "int8"},          \
        {"cpu", "avx512bf16", "int8"}, {"cpu", "amxint8", "int8"},                                                               \
    {                                                                                                                            \
        "cuda", NULL, "fp32"                                                                                                     \
    }
#define TEST_OPS_PREPARE(t) (void)t
#endif

static const struct variant {
    const char *backend, *level, *precision;
} variants[] = {TEST_OPS_VARIANTS};
#define VARIANTS (sizeof variants / sizeof *variants)

struct under_test {
    struct backend *be;
    struct exec *ex;
    char name[64];
    bool low;       /* bf16 */
    bool quantised; /* linear layers of 8-bit operands: linear_int8; the other operations are those of fp32 or bf16 */
};

/* False where this machine has no such backend. */
static bool open_variant(struct under_test *t, const struct variant *v, int threads, int people)
{
    limber_error err;
    if (v->level)
        setenv("LIMBER_CPU", v->level, 1);
    limber_status st = backend_open(&t->be, v->backend, v->precision, &err);
    unsetenv("LIMBER_CPU");
    if (st != LIMBER_OK)
        return false;
    snprintf(t->name, sizeof t->name, "%s %s %s", v->backend, v->level ? v->level : "", v->precision);
    t->quantised = t->be->precision == PRECISION_INT8;
    t->low = t->be->precision == PRECISION_BF16 || (t->quantised && !strstr(v->level, "vnni") && strcmp(v->level, "avx2int8") &&
                                                    strncmp(v->level, "neon", 4)); /* bf16 where the level has it */
    if (strcmp(v->backend, "ref"))
        TEST_OPS_PREPARE(t);
    cr_assert_eq(t->be->ops->exec_open(t->be, &t->ex, threads, people, NULL, &err), LIMBER_OK, "%s", err.text);
    return true;
}

static void open_ref(struct under_test *t)
{
    static const struct variant ref = {"ref", NULL, "fp32"};
    cr_assert(open_variant(t, &ref, 1, 1));
}

static void close_variant(struct under_test *t)
{
    t->ex->ops->exec_close(t->ex);
    backend_close(&t->be);
}

static struct buf *buf_of(struct under_test *t, enum buf_kind kind, int people, int tokens, int cols, const float *v)
{
    struct buf *b;
    limber_error err;
    cr_assert_eq(t->ex->ops->buf_open(t->ex, &b, kind, people, tokens, cols, &err), LIMBER_OK, "%s", err.text);
    if (v)
        t->ex->ops->buf_write(t->ex, b, (struct span){0, people, NULL}, v);
    return b;
}

/* ---- numbers ---- */

static uint64_t seed_state;
static void seed(uint64_t s)
{
    seed_state = s;
}
static float uniform(void) /* -1 .. 1 */
{
    seed_state = seed_state * 6364136223846793005u + 1442695040888963407u;
    return (float)((double)(seed_state >> 11) / 4503599627370496.0 - 1.0);
}
static float *random_floats(size_t n, float scale)
{
    float *v = malloc(n * sizeof *v);
    for (size_t i = 0; i < n; i++)
        v[i] = uniform() * scale;
    return v;
}
static float *zeros(size_t n)
{
    return calloc(n ? n : 1, sizeof(float));
}

/* Round to nearest even at 8 bits of mantissa, or not at all. */
static float rounded(float f, bool low)
{
    union {
        float f;
        uint32_t u;
    } v = {f};
    if (low)
        v.u = (v.u + 0x7fff + (v.u >> 16 & 1)) & 0xffff0000u;
    return v.f;
}
static float *rounded_copy(const float *src, size_t n, bool low)
{
    float *v = malloc(n * sizeof *v);
    for (size_t i = 0; i < n; i++)
        v[i] = rounded(src[i], low);
    return v;
}

/* got may miss exact by twice what plain misses it by (largest error each), and half a unit of fp32's last place. */
static void expect_close(const char *what, const float *got, const float *exact, const float *plain, size_t n)
{
    double worst = 0, allowed = 0, largest = 0;
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        double e = fabs((double)got[i] - exact[i]), p = fabs((double)plain[i] - exact[i]);
        if (!(e <= worst)) { /* NaN comes here */
            worst = e;
            at = i;
        }
        allowed = p > allowed ? p : allowed;
        largest = fabs(exact[i]) > largest ? fabs(exact[i]) : largest;
    }
    allowed = 2 * allowed + largest * 0x1p-24;
    cr_expect(worst <= allowed, "%s: element %zu is %.9g, ref has %.9g: wrong by %.3g, twice a plain loop's error is %.3g", what,
              at, got[at], exact[at], worst, allowed);
}

/* Runs `op` on ref and on every variant; each gets its own result, and ref's and the plain loop's to compare with. */
struct op {
    const char *name;
    int people, tokens, out_cols;
    enum buf_kind out_kind;
    void (*run)(struct under_test *t, struct buf *out, const void *context);
    void (*plain)(float *out, bool low, const void *context);
    bool (*skip)(const struct under_test *t, const void *context); /* may be NULL */
    const void *context;
};

static float *op_result(struct under_test *t, const struct op *op, enum buf_kind kind)
{
    struct buf *out = buf_of(t, kind, op->people, op->tokens, op->out_cols, NULL);
    float *v = zeros((size_t)op->people * (size_t)op->tokens * (size_t)op->out_cols);
    limber_error err;
    op->run(t, out, op->context);
    cr_assert_eq(t->ex->ops->finish(t->ex, &err), LIMBER_OK);
    t->ex->ops->buf_read(t->ex, out, (struct span){0, op->people, NULL}, v);
    t->ex->ops->buf_close(t->ex, out);
    return v;
}

/* int8_too: an operation that precision INT8 computes as it does all but the blocks' linear layers. */
static void op_agrees_on(const struct op *op, bool int8_too)
{
    struct under_test ref, t;
    const size_t n = (size_t)op->people * (size_t)op->tokens * (size_t)op->out_cols;
    open_ref(&ref);
    float *exact = op_result(&ref, op, op->out_kind);
    close_variant(&ref);
    for (size_t i = 0; i < VARIANTS; i++) {
        if (!open_variant(&t, &variants[i], 2, op->people))
            continue;
        if ((!t.quantised || int8_too) && (!op->skip || !op->skip(&t, op->context))) {
            char what[256];
            float *plain = zeros(n), *got = op_result(&t, op, op->out_kind);
            op->plain(plain, t.low, op->context);
            snprintf(what, sizeof what, "%s %s", t.name, op->name);
            expect_close(what, got, exact, plain, n);
            free(plain);
            free(got);
        }
        close_variant(&t);
    }
    free(exact);
}

static void op_agrees(const struct op *op)
{
    op_agrees_on(op, false);
}

/* ---- linear ---- */

struct linear_case {
    int people, tokens, in, out;
    enum activation act;
    bool residual, bias, outside;
    enum buf_kind to;
    const float *x, *w, *b, *r;
};

static void run_linear(struct under_test *t, struct buf *out, const void *context)
{
    const struct linear_case *c = context;
    const struct linear_desc d = {
        .in = c->in, .out = c->out, .weight = c->w, .bias = c->bias ? c->b : NULL, .outside = c->outside};
    struct weight *w;
    limber_error err;
    cr_assert_eq(t->be->ops->linear_pack(t->be, &w, &d, &err), LIMBER_OK, "%s", err.text);
    struct buf *x = buf_of(t, BUF_OPERAND, c->people, c->tokens, c->in, c->x);
    if (c->residual)
        t->ex->ops->buf_write(t->ex, out, (struct span){0, c->people, NULL}, c->r);
    t->ex->ops->linear(t->ex, (struct span){0, c->people, NULL}, out, x, w, c->act, c->residual ? out : NULL);
    t->ex->ops->buf_close(t->ex, x);
    t->be->ops->weight_free(t->be, w);
}

static void linear_plain(float *out, bool low, const void *context)
{
    const struct linear_case *c = context;
    for (int i = 0; i < c->people * c->tokens; i++)
        for (int o = 0; o < c->out; o++) {
            float sum = 0;
            for (int k = 0; k < c->in; k++)
                sum += rounded(c->x[(size_t)i * (size_t)c->in + (size_t)k], low) *
                       rounded(c->w[(size_t)o * (size_t)c->in + (size_t)k], low);
            sum += c->bias ? c->b[o] : 0;
            if (c->act == ACT_GELU_ERF)
                sum = 0.5f * sum * (1 + erff(sum * 0.70710678f));
            if (c->act == ACT_RELU)
                sum = sum > 0 ? sum : 0;
            if (c->residual)
                sum += c->r[(size_t)i * (size_t)c->out + (size_t)o];
            out[(size_t)i * (size_t)c->out + (size_t)o] = rounded(sum, low && c->to != BUF_STREAM);
        }
}

/* What the network asks of a linear layer: plain, with GELU or ReLU into the next one's operand, added to a stream, into q, k and v
 * without a bias; and ReLU before what is added. */
enum { KIND_PLAIN, KIND_GELU, KIND_RESIDUAL, KIND_QKV, KIND_RELU, KIND_RELU_RESIDUAL, KINDS };

static void linear_kind(struct linear_case *c, int kind)
{
    c->act = kind == KIND_GELU ? ACT_GELU_ERF : kind == KIND_RELU || kind == KIND_RELU_RESIDUAL ? ACT_RELU : ACT_NONE;
    c->residual = kind == KIND_RESIDUAL || kind == KIND_RELU_RESIDUAL;
    c->bias = kind != KIND_QKV;
    c->to = kind == KIND_GELU || kind == KIND_RELU ? BUF_OPERAND : kind == KIND_QKV ? BUF_QKV : BUF_STREAM;
    c->out = kind == KIND_QKV ? 6 * ((c->out + 5) / 6) : c->out;
}

Test(ops, linear)
{
    static const int shapes[][4] = {/* people, tokens, in, out: the last cross the kernels' blocks of columns, rows and sums */
                                    {1, 1, 32, 8},    {1, 17, 24, 25},   {2, 120, 80, 51}, {1, 192, 96, 288},
                                    {1, 193, 64, 70}, {3, 17, 2100, 30}, {1, 33, 1, 3},    {2, 192, 61, 260}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int kind = 0; kind < KINDS; kind++) {
            struct linear_case c = {.people = shapes[s][0], .tokens = shapes[s][1], .in = shapes[s][2], .out = shapes[s][3]};
            const size_t rows = (size_t)c.people * (size_t)c.tokens;
            char name[96];
            seed(100 * s + (unsigned)kind);
            linear_kind(&c, kind);
            c.outside = s % 2; /* at int8 too then */
            float *x = random_floats(rows * (size_t)c.in, 1),
                  *w = random_floats((size_t)c.in * (size_t)c.out, 4 / sqrtf((float)c.in));
            float *b = random_floats((size_t)c.out, 1), *r = random_floats(rows * (size_t)c.out, 3);
            c.x = x, c.w = w, c.b = b, c.r = r;
            snprintf(name, sizeof name, "linear %d x %d tokens, %d to %d, kind %d", c.people, c.tokens, c.in, c.out, kind);
            op_agrees_on(&(struct op){name, c.people, c.tokens, c.out, c.to, run_linear, linear_plain, NULL, &c}, c.outside);
            free(x), free(w), free(b), free(r);
        }
}

/* ---- linear layers of 8-bit operands ---- */

/* What quantise.h and pack.c say, in plain loops: integers summed exactly, in double what they stand for. `off` is how far from the
 * exact product the grids may put a result: half a step of each number times the other. */
static void linear_int8_plain(double *out, double *off, bool low, const struct linear_case *c)
{
    const size_t in = (size_t)c->in;
    int *q = malloc(in * sizeof *q);
    for (int o = 0; o < c->out; o++) {
        const float *w = c->w + (size_t)o * in;
        float largest = 0;
        for (size_t k = 0; k < in; k++)
            largest = fmaxf(largest, fabsf(w[k]));
        largest = largest > 0 ? largest : 127;
        const float w_step = largest / 127, w_per_step = 127 / largest;
        for (int i = 0; i < c->people * c->tokens; i++) {
            const float *x = c->x + (size_t)i * in;
            float min = 0, max = 0;
            double sum = 0, moved = 0;
            for (size_t k = 0; k < in; k++) {
                min = fminf(min, rounded(x[k], low));
                max = fmaxf(max, rounded(x[k], low));
            }
            const float range = fmaxf(max - min, 1e-30f), per_step = 255 / range, step = range * (1.f / 255);
            const int zero = (int)nearbyintf(-min * per_step);
            for (size_t k = 0; k < in; k++) {
                int a = (int)nearbyintf(rounded(x[k], low) * per_step) + zero;
                a = a < 0 ? 0 : a > 255 ? 255 : a;
                q[k] = (int)nearbyintf(w[k] * w_per_step);
                sum += (double)(a - zero) * q[k];
                moved += 0.5 * step * fabs((double)w[k]) + 0.5 * w_step * fabs((double)x[k]) + step * w_step +
                         (low ? 0x1p-8 * fabs((double)x[k] * w[k]) : 0);
            }
            out[(size_t)i * (size_t)c->out + (size_t)o] = sum * step * w_step;
            off[(size_t)i * (size_t)c->out + (size_t)o] = moved;
        }
    }
    free(q);
}

static double linear_finish(const struct linear_case *c, double sum, size_t at)
{
    sum += c->bias ? (double)c->b[at % (size_t)c->out] : 0;
    if (c->act == ACT_GELU_ERF)
        sum = 0.5 * sum * erfc(-sum * 0.70710678118654752440);
    if (c->act == ACT_RELU)
        sum = sum > 0 ? sum : 0;
    return sum + (c->residual ? (double)c->r[at] : 0);
}

/* Two questions: are the sums those of the integers (to fp32's rounding, GELU's stated error and bf16's), and is a result where the
 * exact product and the grids allow it? */
static void linear_int8_agrees(struct under_test *t, const struct linear_case *c, const char *name)
{
    const size_t n = (size_t)c->people * (size_t)c->tokens * (size_t)c->out;
    double *plain = malloc(n * sizeof *plain), *off = malloc(n * sizeof *off);
    const struct op op = {name, c->people, c->tokens, c->out, c->to, run_linear, NULL, NULL, c};
    float *got = op_result(t, &op, c->to);
    int sums = 0, grids = 0;
    linear_int8_plain(plain, off, t->low, c);
    for (size_t i = 0; i < n; i++) {
        double exact = 0, size = 0;
        for (size_t k = 0; k < (size_t)c->in; k++) {
            const double product =
                (double)c->x[i / (size_t)c->out * (size_t)c->in + k] * c->w[i % (size_t)c->out * (size_t)c->in + k];
            exact += product;
            size += fabs(product);
        }
        const double want = linear_finish(c, plain[i], i), last = (t->low && c->to != BUF_STREAM ? 0x1p-8 : 0) * fabs(want);
        const double arithmetic =
            0x1p-20 * (size + 4) /* bias and residual */ + (c->act == ACT_GELU_ERF ? 7e-5 + 2e-6 * fabs(want) : 0) + last;
        sums += !(fabs(got[i] - want) <= arithmetic);
        grids += !(fabs(got[i] - linear_finish(c, exact, i)) <= 1.2 * off[i] + arithmetic); /* GELU's slope is at most 1.13 */
    }
    cr_expect(!sums, "%s %s: %d of %zu results are not the sums of the integers", t->name, name, sums, n);
    cr_expect(!grids, "%s %s: %d of %zu results are further from the exact product than the grids explain", t->name, name, grids,
              n);
    free(plain), free(off), free(got);
}

Test(ops, linear_int8)
{
    static const int shapes[][4] = {/* people, tokens, in, out: columns that fill no word, no AMX step, no tile */
                                    {1, 1, 32, 8},    {2, 17, 61, 51},   {1, 50, 66, 96},
                                    {1, 193, 96, 35}, {2, 20, 3100, 30}, {1, 3, 1, 3}};
    for (size_t v = 0; v < VARIANTS; v++)
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
            for (int kind = 0; kind < KINDS; kind++) {
                struct under_test t;
                struct linear_case c = {.people = shapes[s][0], .tokens = shapes[s][1], .in = shapes[s][2], .out = shapes[s][3]};
                const size_t rows = (size_t)c.people * (size_t)c.tokens;
                char name[96];
                if (strcmp(variants[v].precision, "int8") || !open_variant(&t, &variants[v], 2, c.people))
                    continue;
                seed(300 * s + (unsigned)kind);
                linear_kind(&c, kind);
                float *x = random_floats(rows * (size_t)c.in, 1),
                      *w = random_floats((size_t)c.in * (size_t)c.out, 4 / sqrtf((float)c.in));
                float *b = random_floats((size_t)c.out, 1), *r = random_floats(rows * (size_t)c.out, 3);
                for (size_t i = 0; i < rows; i++) /* tokens far larger and far smaller, all of one sign, zeros */
                    for (int k = 0; k < c.in; k++) {
                        float *n = &x[i * (size_t)c.in + (size_t)k];
                        *n = i % 5 == 1   ? *n * 300
                             : i % 5 == 2 ? fabsf(*n) + 2
                             : i % 5 == 3 ? *n * 1e-4f - 1e-3f
                             : i == 4     ? 0
                                          : *n;
                    }
                memset(w, 0, (size_t)c.in * sizeof *w); /* and a column of zeros */
                c.x = x, c.w = w, c.b = b, c.r = r;
                snprintf(name, sizeof name, "linear %d x %d tokens, %d to %d, kind %d", c.people, c.tokens, c.in, c.out, kind);
                linear_int8_agrees(&t, &c, name);
                close_variant(&t);
                free(x), free(w), free(b), free(r);
            }
}

/* What is not a number makes its own token NaN (an input) or its own column (a weight), and nothing else. */
Test(ops, linear_int8_keeps_nan)
{
    enum { TOKENS = 20, IN = 40, OUT = 18 };
    for (size_t v = 0; v < VARIANTS; v++)
        for (int in_weights = 0; in_weights < 2; in_weights++) {
            struct under_test t;
            if (strcmp(variants[v].precision, "int8") || !open_variant(&t, &variants[v], 1, 1))
                continue;
            float *x = random_floats(TOKENS * IN, 1), *w = random_floats(IN * OUT, 1);
            const struct linear_case c = {.people = 1, .tokens = TOKENS, .in = IN, .out = OUT, .to = BUF_STREAM, .x = x, .w = w};
            const struct op op = {"linear with NaN", 1, TOKENS, OUT, BUF_STREAM, run_linear, NULL, NULL, &c};
            if (in_weights)
                w[7 * IN + 3] = NAN;
            else
                x[7 * IN + 3] = NAN, x[17 * IN + 5] = INFINITY;
            float *got = op_result(&t, &op, BUF_STREAM);
            for (int i = 0; i < TOKENS * OUT; i++) {
                const bool lost = in_weights ? i % OUT == 7 : i / OUT == 7 || i / OUT == 17;
                cr_expect_eq(lost, isnan(got[i]) != 0, "%s: token %d column %d is %g", t.name, i / OUT, i % OUT, got[i]);
            }
            close_variant(&t);
            free(x), free(w), free(got);
        }
}

/* ---- streams: positions added, rows taken. One addition, or none: the same bytes everywhere ---- */

/* Writes [people][tokens][dim] into a buffer that was opened for more tokens, as a session's is. */
static struct buf *stream_of(struct under_test *t, int people, int tokens, int opened, int dim, const float *v)
{
    struct buf *b = buf_of(t, BUF_STREAM, people, opened, dim, NULL);
    t->ex->ops->buf_resize(t->ex, b, tokens);
    t->ex->ops->buf_write(t->ex, b, (struct span){0, people, NULL}, v);
    return b;
}

Test(ops, add_and_rows)
{
    static const int shapes[][6] = {/* people, tokens, opened for, dim, rows from, of them: none at the edge of a block of 16 */
                                    {1, 1, 1, 8, 0, 1},
                                    {1, 37, 50, 33, 20, 17},
                                    {3, 45, 45, 24, 3, 40},
                                    {2, 130, 300, 70, 30, 100},
                                    {3, 32, 64, 16, 31, 1}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int v = -1; v < (int)VARIANTS; v++) {
            const int people = shapes[s][0], tokens = shapes[s][1], opened = shapes[s][2], dim = shapes[s][3],
                      first = shapes[s][4], taken = shapes[s][5], from = people > 1; /* not everybody's where there are others */
            const struct span all = {0, people, NULL}, some = {from, people - from, NULL};
            const size_t n = (size_t)(people * tokens * dim), m = (size_t)(people * taken * dim);
            struct under_test t;
            if (v < 0)
                open_ref(&t);
            else if (!open_variant(&t, &variants[v], 2, people))
                continue;
            seed(600 + s);
            float *x = random_floats(n, 3), *positions = random_floats((size_t)(tokens * dim), 1), *rest = random_floats(m, 1);
            float *got = zeros(n), *got_rows = zeros(m);
            struct buf *xb = stream_of(&t, people, tokens, opened, dim, x),
                       *pb = stream_of(&t, 1, tokens, tokens, dim, positions),
                       *yb = stream_of(&t, people, taken, taken, dim, rest);
            t.ex->ops->add(t.ex, some, xb, pb);
            t.ex->ops->rows(t.ex, some, yb, xb, first);
            cr_assert_eq(t.ex->ops->finish(t.ex, NULL), LIMBER_OK);
            t.ex->ops->buf_read(t.ex, xb, all, got);
            t.ex->ops->buf_read(t.ex, yb, all, got_rows);
            int sums = 0, rows = 0;
            for (int i = 0; i < people * tokens * dim; i++) {
                x[i] += i / (tokens * dim) >= from ? positions[i % (tokens * dim)] : 0;
                sums += got[i] != x[i];
            }
            for (int i = 0; i < people * taken * dim; i++) {
                const int person = i / (taken * dim), at = (person * tokens + first) * dim + i % (taken * dim);
                rows += got_rows[i] != (person >= from ? x[at] : rest[i]);
            }
            cr_expect(!sums && !rows, "%s: %d of %zu sums and %d of %zu numbers of the rows are others, shape %zu", t.name, sums,
                      n, rows, m, s);
            struct buf *bufs[] = {xb, pb, yb};
            for (size_t b = 0; b < sizeof bufs / sizeof *bufs; b++)
                t.ex->ops->buf_close(t.ex, bufs[b]);
            close_variant(&t);
            free(x), free(positions), free(rest), free(got), free(got_rows);
        }
}

/* ---- layernorm ---- */

struct layernorm_case {
    int tokens, dim;
    float eps;
    enum buf_kind to;
    const float *x, *gain, *bias;
};

static void run_layernorm(struct under_test *t, struct buf *out, const void *context)
{
    const struct layernorm_case *c = context;
    const struct layernorm_desc d = {.dim = c->dim, .eps = c->eps, .gain = c->gain, .bias = c->bias};
    struct weight *w;
    limber_error err;
    cr_assert_eq(t->be->ops->layernorm_pack(t->be, &w, &d, &err), LIMBER_OK, "%s", err.text);
    struct buf *x = buf_of(t, BUF_STREAM, 1, c->tokens, c->dim, c->x);
    t->ex->ops->layernorm(t->ex, (struct span){0, 1, NULL}, out, x, w);
    t->ex->ops->buf_close(t->ex, x);
    t->be->ops->weight_free(t->be, w);
}

static void layernorm_plain(float *out, bool low, const void *context)
{
    const struct layernorm_case *c = context;
    for (int i = 0; i < c->tokens; i++) {
        const float *x = c->x + (size_t)i * (size_t)c->dim;
        float mean = 0, var = 0;
        for (int k = 0; k < c->dim; k++)
            mean += x[k];
        mean /= (float)c->dim;
        for (int k = 0; k < c->dim; k++)
            var += (x[k] - mean) * (x[k] - mean);
        const float scale = 1 / sqrtf(var / (float)c->dim + c->eps);
        for (int k = 0; k < c->dim; k++)
            out[(size_t)i * (size_t)c->dim + (size_t)k] =
                rounded((x[k] - mean) * scale * c->gain[k] + c->bias[k], low && c->to == BUF_OPERAND);
    }
}

Test(ops, layernorm)
{
    static const int shapes[][2] = {{1, 384}, {17, 24}, {193, 80}, {192, 768}, {120, 193}};
    static const struct {
        float offset, spread;
    } rows[] = {{0, 1}, {1000, 1}, {-3, 0.01f}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (size_t k = 0; k < sizeof rows / sizeof *rows; k++)
            for (int to = 0; to < 2; to++) {
                struct layernorm_case c = {
                    .tokens = shapes[s][0], .dim = shapes[s][1], .eps = 1e-6f, .to = to ? BUF_STREAM : BUF_OPERAND};
                const size_t n = (size_t)c.tokens * (size_t)c.dim;
                char name[96];
                seed(7 + s);
                float *x = random_floats(n, rows[k].spread), *gain = random_floats((size_t)c.dim, 2),
                      *bias = random_floats((size_t)c.dim, 1);
                for (size_t i = 0; i < n; i++)
                    x[i] += rows[k].offset;
                c.x = x, c.gain = gain, c.bias = bias;
                snprintf(name, sizeof name, "layernorm %dx%d, %g +- %g", c.tokens, c.dim, (double)rows[k].offset,
                         (double)rows[k].spread);
                op_agrees(&(struct op){name, 1, c.tokens, c.dim, c.to, run_layernorm, layernorm_plain, NULL, &c});
                free(x), free(gain), free(bias);
            }
}

/* A row of one value has no spread: what comes out is the bias, whatever the value. */
Test(ops, layernorm_rows_of_one_value)
{
    enum { TOKENS = 5, DIM = 40 };
    float x[TOKENS * DIM], gain[DIM], bias[DIM], got[TOKENS * DIM];
    for (int i = 0; i < TOKENS; i++)
        for (int k = 0; k < DIM; k++)
            x[i * DIM + k] = (float)(i * i * i) * 0.37f;
    for (int k = 0; k < DIM; k++) {
        gain[k] = 1 + (float)k;
        bias[k] = 0.25f * (float)k;
    }
    for (size_t v = 0; v < VARIANTS; v++) {
        struct under_test t;
        if (!open_variant(&t, &variants[v], 1, 1))
            continue;
        struct layernorm_case c = {.tokens = TOKENS, .dim = DIM, .eps = 1e-6f, .x = x, .gain = gain, .bias = bias};
        struct buf *out = buf_of(&t, BUF_STREAM, 1, TOKENS, DIM, NULL);
        run_layernorm(&t, out, &c);
        t.ex->ops->buf_read(t.ex, out, (struct span){0, 1, NULL}, got);
        for (int i = 0; i < TOKENS * DIM; i++)
            cr_expect_float_eq(got[i], bias[i % DIM], 1e-4f, "%s: row %d column %d is %g, expected the bias %g", t.name, i / DIM,
                               i % DIM, got[i], bias[i % DIM]);
        t.ex->ops->buf_close(t.ex, out);
        close_variant(&t);
    }
}

/* ---- attention ---- */

struct attention_case {
    int people, tokens, grid_w, heads, head_dim;
    const float *qkv;
    const struct attention_stats *stats; /* of ref or of the variant: out is switched by the caller */
};

static struct attention_args attention_args_of(const struct attention_case *c)
{
    return (struct attention_args){.heads = c->heads,
                                   .head_dim = c->head_dim,
                                   .grid_h = c->tokens / c->grid_w,
                                   .grid_w = c->grid_w,
                                   .kind = ATTENTION_EXACT,
                                   .stats = c->stats};
}

static bool attention_refused(const struct under_test *t, const void *context)
{
    const struct attention_args a = attention_args_of(context);
    limber_error err;
    if (t->be->ops->attention_check(t->be, &a, &err) == LIMBER_OK)
        return false;
    cr_expect(t->low && a.head_dim % 2, "%s refuses heads of %d: %s", t->name, a.head_dim, err.text);
    return true;
}

static void run_attention(struct under_test *t, struct buf *out, const void *context)
{
    const struct attention_case *c = context;
    const struct attention_args a = attention_args_of(c);
    struct buf *qkv = buf_of(t, BUF_QKV, c->people, c->tokens, 3 * c->heads * c->head_dim, c->qkv);
    t->ex->ops->attention(t->ex, (struct span){0, c->people, NULL}, out, qkv, &a);
    t->ex->ops->buf_close(t->ex, qkv);
}

static void attention_plain(float *out, bool low, const void *context)
{
    const struct attention_case *c = context;
    const int hd = c->head_dim, n = c->tokens, dim = c->heads * hd;
    float *v = rounded_copy(c->qkv, (size_t)c->people * (size_t)n * 3 * (size_t)dim, low), *p = zeros((size_t)n);
    for (int person = 0; person < c->people; person++)
        for (int h = 0; h < c->heads; h++)
            for (int i = 0; i < n; i++) {
                const float *rows = v + (size_t)person * (size_t)n * 3 * (size_t)dim + (size_t)(h * hd),
                            *q = rows + (size_t)i * 3 * (size_t)dim;
                float max = -INFINITY, total = 0;
                for (int j = 0; j < n; j++) {
                    const float *k = rows + (size_t)j * 3 * (size_t)dim + dim;
                    p[j] = 0;
                    for (int d = 0; d < hd; d++)
                        p[j] += q[d] * k[d];
                    p[j] /= sqrtf((float)hd);
                    max = p[j] > max ? p[j] : max;
                }
                for (int j = 0; j < n; j++)
                    total += p[j] = expf(p[j] - max);
                for (int d = 0; d < hd; d++) {
                    float sum = 0;
                    for (int j = 0; j < n; j++)
                        sum += rounded(p[j], low) * rows[(size_t)j * 3 * (size_t)dim + (size_t)(2 * dim + d)];
                    out[((size_t)person * (size_t)n + (size_t)i) * (size_t)dim + (size_t)(h * hd + d)] =
                        rounded(sum / total, low);
                }
            }
    free(v);
    free(p);
}

static const int attention_shapes[][5] = {/* people, tokens, grid_w, heads, head_dim; 600: more keys than a tile holds */
                                          {1, 1, 1, 2, 32},    {2, 17, 17, 3, 64},   {1, 120, 10, 2, 80},
                                          {1, 192, 12, 2, 32}, {1, 193, 193, 2, 24}, {1, 192, 12, 1, 64},
                                          {1, 600, 20, 2, 32}, {2, 45, 9, 2, 25},    {1, 35, 7, 3, 18}};

Test(ops, attention)
{
    for (size_t s = 0; s < sizeof attention_shapes / sizeof *attention_shapes; s++)
        for (int loud = 0; loud < 3; loud++) {
            const int *shape = attention_shapes[s];
            struct attention_case c = {
                .people = shape[0], .tokens = shape[1], .grid_w = shape[2], .heads = shape[3], .head_dim = shape[4]};
            const size_t dim = (size_t)c.heads * (size_t)c.head_dim, rows = (size_t)c.people * (size_t)c.tokens;
            char name[96];
            seed(50 + s);
            float *qkv = random_floats(rows * 3 * dim, 1);
            if (loud) /* +-1: logits are whole numbers up to +-60 apart, or all the same */
                for (size_t i = 0; i < rows; i++)
                    for (size_t k = 0; k < 2 * dim; k++)
                        qkv[i * 3 * dim + k] = loud == 2 ? 1.5f
                                               : k < dim ? (uniform() < 0 ? -1.f : 1.f)
                                                         : roundf(uniform() * 2) * 60 / sqrtf((float)c.head_dim);
            c.qkv = qkv;
            snprintf(name, sizeof name, "attention %d x %d tokens, %d heads of %d, loud %d", c.people, c.tokens, c.heads,
                     c.head_dim, loud);
            op_agrees(&(struct op){name, c.people, c.tokens, (int)dim, BUF_OPERAND, run_attention, attention_plain,
                                   attention_refused, &c});
            free(qkv);
        }
}

/* The sums beside attention, and that asking for them changes no byte of the result. */
Test(ops, attention_stats)
{
    for (size_t s = 0; s < sizeof attention_shapes / sizeof *attention_shapes; s++)
        for (int self = 0; self < 2; self++) {
            const int *shape = attention_shapes[s], classes = self ? 6 : 8;
            struct attention_case c = {
                .people = shape[0], .tokens = shape[1], .grid_w = shape[2], .heads = shape[3], .head_dim = shape[4]};
            const size_t dim = (size_t)c.heads * (size_t)c.head_dim, rows = (size_t)c.people * (size_t)c.tokens;
            const size_t width = 4 + (size_t)classes, n = rows * (size_t)c.heads * width;
            seed(900 + s);
            float *qkv = random_floats(rows * 3 * dim, 2), *want = zeros(n), *got = zeros(n);
            uint8_t *masks = malloc(rows);
            for (size_t i = 0; i < rows; i++)
                masks[i] = (uint8_t)(127.5f + 127.5f * uniform());
            struct attention_stats stats = {.classes = classes, .masks = masks, .include_self = self, .out = want};
            struct op op = {"stats", c.people, c.tokens, (int)dim, BUF_OPERAND, run_attention, NULL, NULL, &c};
            struct under_test t;
            c.qkv = qkv;
            c.stats = &stats;
            open_ref(&t);
            free(op_result(&t, &op, BUF_OPERAND));
            close_variant(&t);
            for (size_t v = 0; v < VARIANTS; v++) {
                if (!open_variant(&t, &variants[v], 2, c.people))
                    continue;
                if (!attention_refused(&t, &c)) {
                    /* fp32: sums of up to 600 terms; bf16: the scores are those of rounded q and k */
                    const double tolerance = t.low ? 2e-2 : 4e-6;
                    stats.out = got;
                    memset(got, 0, n * sizeof *got);
                    float *with = op_result(&t, &op, BUF_OPERAND);
                    c.stats = NULL;
                    float *without = op_result(&t, &op, BUF_OPERAND);
                    c.stats = &stats;
                    cr_expect(!memcmp(with, without, rows * dim * sizeof *with),
                              "%s: statistics change attention's result, shape %zu", t.name, s);
                    for (size_t i = 0; i < n; i++) {
                        const double scale = i % width == 2 ? 20 : i % width == 3 ? 6 : 1; /* distances; entropy */
                        if (!(fabs((double)got[i] - want[i]) <= tolerance * scale)) {
                            cr_expect_fail("%s, shape %zu: row %zu sum %zu is %.9g, ref has %.9g", t.name, s, i / width,
                                           i % width, got[i], want[i]);
                            break;
                        }
                    }
                    free(with);
                    free(without);
                }
                close_variant(&t);
            }
            free(qkv), free(want), free(got), free(masks);
        }
}

/* ---- embed ---- */

struct embed_case {
    struct embed_desc d;
    struct pass_shape shape;
    int people;
    bool mirrored;
    const uint8_t *crops;
    const float *positions; /* [tokens][dim] */
};

static void run_embed(struct under_test *t, struct buf *out, const void *context)
{
    const struct embed_case *c = context;
    struct weight *w;
    limber_error err;
    cr_assert_eq(t->be->ops->embed_pack(t->be, &w, &c->d, &err), LIMBER_OK, "%s", err.text);
    t->ex->ops->exec_close(t->ex); /* a session is opened after its weights */
    cr_assert_eq(t->be->ops->exec_open(t->be, &t->ex, 2, c->people, &c->shape, &err), LIMBER_OK);
    struct buf *positions = buf_of(t, BUF_STREAM, 1, shape_tokens(&c->shape), c->d.dim, c->positions);
    t->ex->ops->upload(t->ex, c->crops, c->people, shape_image_bytes(&c->shape));
    t->ex->ops->embed(t->ex, (struct span){0, c->people, NULL}, out, w, positions, &c->shape, c->mirrored);
    cr_assert_eq(t->ex->ops->finish(t->ex, &err), LIMBER_OK, "%s", err.text);
    t->ex->ops->buf_close(t->ex, positions);
    t->be->ops->weight_free(t->be, w);
}

static void embed_plain(float *out, bool low, const void *context)
{
    const struct embed_case *c = context;
    const struct embed_desc *d = &c->d;
    const struct pass_shape *s = &c->shape;
    for (int p = 0; p < c->people; p++)
        for (int token = 0; token < shape_tokens(s); token++)
            for (int o = 0; o < d->dim; o++) {
                const float position = c->positions[(size_t)token * (size_t)d->dim + (size_t)o];
                const int t = token - s->before;
                if (t < 0 || t >= shape_patches(s)) {
                    *out++ = position;
                    continue;
                }
                const float *k = d->weight + (size_t)o * 3 * (size_t)(d->patch_h * d->patch_w);
                float sum = 0;
                for (int ch = 0; ch < 3; ch++)
                    for (int ky = 0; ky < d->patch_h; ky++)
                        for (int kx = 0; kx < d->patch_w; kx++, k++) {
                            int y = t / s->grid_w * d->patch_h - s->pad + ky, x = t % s->grid_w * d->patch_w - s->pad + kx;
                            if (y < 0 || y >= s->image_h || x < 0 || x >= s->image_w)
                                continue;
                            x = c->mirrored ? s->image_w - 1 - x : x;
                            sum +=
                                rounded(*k, low) *
                                rounded(d->lut[ch][c->crops[((size_t)(p * s->image_h + y) * (size_t)s->image_w + (size_t)x) * 3 +
                                                            (size_t)ch]],
                                        low);
                        }
                *out++ = sum + d->bias[o] + position;
            }
}

Test(ops, embed)
{
    static const int shapes[][9] = {/* image h, w, patch h, w, pad, dim, people, tokens before and behind the patches */
                                    {64, 48, 16, 16, 2, 40, 1, 0, 0},
                                    {33, 44, 8, 11, 0, 25, 2, 0, 0},
                                    {256, 192, 16, 16, 2, 24, 1, 0, 0},
                                    {48, 96, 16, 16, 0, 24, 2, 1, 5},
                                    {32, 64, 8, 8, 0, 20, 1, 17, 19}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int mirrored = 0; mirrored < 2; mirrored++) {
            const int *q = shapes[s];
            struct embed_case c = {.d = {.patch_h = q[2], .patch_w = q[3], .dim = q[5]},
                                   .shape = {.image_h = q[0], .image_w = q[1], .pad = q[4], .before = q[7], .after = q[8]},
                                   .people = q[6],
                                   .mirrored = mirrored};
            struct embed_desc *d = &c.d;
            c.shape.grid_h = (q[0] + 2 * q[4] - q[2]) / q[2] + 1;
            c.shape.grid_w = (q[1] + 2 * q[4] - q[3]) / q[3] + 1;
            const int tokens = shape_tokens(&c.shape);
            const size_t pixels = (size_t)c.people * shape_image_bytes(&c.shape);
            seed(30 + s);
            uint8_t *crops = malloc(pixels);
            for (size_t i = 0; i < pixels; i++)
                crops[i] = (uint8_t)(127.5f + 127.5f * uniform());
            float *lut = random_floats(3 * 256, 2),
                  *w = random_floats((size_t)d->dim * 3 * (size_t)(d->patch_h * d->patch_w), 0.1f);
            float *b = random_floats((size_t)d->dim, 1), *pos = random_floats((size_t)tokens * (size_t)d->dim, 1);
            d->lut = (const float(*)[256])lut, d->weight = w, d->bias = b, c.positions = pos;
            c.crops = crops;
            op_agrees(&(struct op){mirrored ? "embed mirrored" : "embed", c.people, tokens, d->dim, BUF_STREAM, run_embed,
                                   embed_plain, NULL, &c});
            free(crops), free(lut), free(w), free(b), free(pos);
        }
}

/* ---- heads ---- */

struct head_case {
    bool simple;
    struct simple_head_desc s;
    struct classic_head_desc c;
    struct pass_shape shape;
    int people;
    const float *x;
};

/* out belongs to a session that was opened before the head was packed: heads are run on a session of their own. */
static void run_head(struct under_test *t, struct buf *out, const void *context)
{
    const struct head_case *c = context;
    const int tokens = shape_patches(&c->shape), dim = c->simple ? c->s.dim : c->c.dim;
    struct under_test own = {.be = t->be};
    struct weight *w;
    limber_error err;
    limber_status st =
        c->simple ? t->be->ops->simple_head_pack(t->be, &w, &c->s, &err) : t->be->ops->classic_head_pack(t->be, &w, &c->c, &err);
    cr_assert_eq(st, LIMBER_OK, "%s", err.text);
    cr_assert_eq(t->be->ops->exec_open(t->be, &own.ex, 2, c->people, &c->shape, &err), LIMBER_OK);
    struct buf *x = buf_of(&own, BUF_OPERAND, c->people, tokens, dim, c->x),
               *heat = buf_of(&own, BUF_HEATMAP, c->people, out->tokens, out->cols, NULL);
    own.ex->ops->head(own.ex, (struct span){0, c->people, NULL}, heat, x, w, &c->shape);
    cr_assert_eq(own.ex->ops->finish(own.ex, &err), LIMBER_OK, "%s", err.text);
    float *v = zeros((size_t)c->people * (size_t)out->tokens * (size_t)out->cols);
    own.ex->ops->buf_read(own.ex, heat, (struct span){0, c->people, NULL}, v);
    t->ex->ops->buf_write(t->ex, out, (struct span){0, c->people, NULL}, v);
    free(v);
    own.ex->ops->buf_close(own.ex, x);
    own.ex->ops->buf_close(own.ex, heat);
    own.ex->ops->exec_close(own.ex);
    t->be->ops->weight_free(t->be, w);
}

static void axis(int o, int n, int scale, int *i0, int *i1, float *f)
{
    float s = ((float)o + 0.5f) / (float)scale - 0.5f;
    s = s < 0 ? 0 : s;
    *i0 = (int)s;
    *i1 = *i0 + 1 < n ? *i0 + 1 : n - 1;
    *f = s - (float)*i0;
}

static void simple_plain(float *out, const float *x, const struct simple_head_desc *d, const struct pass_shape *s, bool low)
{
    const int h = s->grid_h * d->scale, w = s->grid_w * d->scale;
    float *up = zeros((size_t)(h * w) * (size_t)d->dim);
    for (int y = 0; y < h; y++)
        for (int xx = 0; xx < w; xx++) {
            int y0, y1, x0, x1;
            float fy, fx;
            axis(y, s->grid_h, d->scale, &y0, &y1, &fy);
            axis(xx, s->grid_w, d->scale, &x0, &x1, &fx);
            for (int c = 0; c < d->dim; c++) {
                const float a = fmaxf(x[(y0 * s->grid_w + x0) * d->dim + c], 0),
                            b = fmaxf(x[(y0 * s->grid_w + x1) * d->dim + c], 0);
                const float e = fmaxf(x[(y1 * s->grid_w + x0) * d->dim + c], 0),
                            g = fmaxf(x[(y1 * s->grid_w + x1) * d->dim + c], 0);
                up[(y * w + xx) * d->dim + c] = rounded((a * (1 - fx) + b * fx) * (1 - fy) + (e * (1 - fx) + g * fx) * fy, low);
            }
        }
    for (int k = 0; k < d->keypoints; k++)
        for (int y = 0; y < h; y++)
            for (int xx = 0; xx < w; xx++) {
                float sum = d->bias[k];
                for (int t = 0; t < 9; t++) {
                    const int yy = y + t / 3 - 1, xs = xx + t % 3 - 1;
                    if (yy < 0 || yy >= h || xs < 0 || xs >= w)
                        continue;
                    for (int c = 0; c < d->dim; c++)
                        sum += up[(yy * w + xs) * d->dim + c] * rounded(d->weight[(k * d->dim + c) * 9 + t], low);
                }
                *out++ = sum;
            }
    free(up);
}

static void deconv_plain(float *out, const float *in, int h, int w, int cin, int cout, const float *weight, const float *bias,
                         bool low)
{
    for (int oy = 0; oy < 2 * h; oy++)
        for (int ox = 0; ox < 2 * w; ox++)
            for (int o = 0; o < cout; o++) {
                float sum = bias[o];
                for (int t = 0; t < 16; t++) {
                    const int ny = oy + 1 - t / 4, nx = ox + 1 - t % 4;
                    if (ny < 0 || nx < 0 || ny % 2 || nx % 2 || ny / 2 >= h || nx / 2 >= w)
                        continue;
                    for (int i = 0; i < cin; i++)
                        sum += in[(ny / 2 * w + nx / 2) * cin + i] *
                               rounded(weight[((size_t)i * (size_t)cout + (size_t)o) * 16 + (size_t)t], low);
                }
                out[(oy * 2 * w + ox) * cout + o] = rounded(fmaxf(sum, 0), low);
            }
}

static void head_plain(float *out, bool low, const void *context)
{
    const struct head_case *h = context;
    const int tokens = shape_patches(&h->shape), dim = h->simple ? h->s.dim : h->c.dim;
    float *x = rounded_copy(h->x, (size_t)h->people * (size_t)tokens * (size_t)dim, low);
    for (int p = 0; p < h->people; p++) {
        if (h->simple) {
            simple_plain(out + (size_t)p * (size_t)h->s.keypoints * (size_t)(tokens * h->s.scale * h->s.scale),
                         x + (size_t)p * (size_t)tokens * (size_t)dim, &h->s, &h->shape, low);
            continue;
        }
        const struct classic_head_desc *d = &h->c;
        float *mid1 = zeros((size_t)(4 * tokens) * (size_t)d->mid), *mid2 = zeros((size_t)(16 * tokens) * (size_t)d->mid);
        deconv_plain(mid1, x + (size_t)p * (size_t)tokens * (size_t)dim, h->shape.grid_h, h->shape.grid_w, dim, d->mid,
                     d->deconv1, d->bias1, low);
        deconv_plain(mid2, mid1, 2 * h->shape.grid_h, 2 * h->shape.grid_w, d->mid, d->mid, d->deconv2, d->bias2, low);
        for (int k = 0; k < d->keypoints; k++)
            for (int i = 0; i < 16 * tokens; i++) {
                float sum = d->bias[k];
                for (int m = 0; m < d->mid; m++)
                    sum += mid2[(size_t)i * (size_t)d->mid + (size_t)m] * rounded(d->conv[k * d->mid + m], low);
                out[((size_t)p * (size_t)d->keypoints + (size_t)k) * (size_t)(16 * tokens) + (size_t)i] = sum;
            }
        free(mid1);
        free(mid2);
    }
    free(x);
}

Test(ops, heads)
{
    static const int shapes[][6] = {/* grid h, w, dim, keypoints, scale (0: classic), people */
                                    {16, 12, 48, 5, 4, 1}, {3, 5, 25, 4, 2, 2},   {1, 1, 33, 3, 3, 1}, {12, 10, 32, 17, 4, 1},
                                    {4, 3, 40, 5, 0, 2},   {16, 12, 24, 3, 0, 1}, {5, 7, 33, 4, 0, 1}, {1, 1, 16, 2, 0, 1}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        const int *q = shapes[s], tokens = q[0] * q[1], mid = 20, scale = q[4] ? q[4] : 4;
        struct head_case c = {.simple = q[4] != 0, .people = q[5]};
        char name[96];
        seed(70 + s);
        float *x = random_floats((size_t)c.people * (size_t)tokens * (size_t)q[2], 1), *bias = random_floats((size_t)q[3], 1);
        float *w = random_floats((size_t)q[3] * (size_t)q[2] * 9, 0.2f),
              *d1 = random_floats((size_t)q[2] * (size_t)mid * 16, 0.2f);
        float *d2 = random_floats((size_t)mid * (size_t)mid * 16, 0.2f), *b1 = random_floats((size_t)mid, 0.3f),
              *b2 = random_floats((size_t)mid, 0.3f);
        float *conv = random_floats((size_t)q[3] * (size_t)mid, 0.3f);
        c.s = (struct simple_head_desc){.dim = q[2], .keypoints = q[3], .scale = q[4], .weight = w, .bias = bias};
        c.shape = (struct pass_shape){.grid_h = q[0], .grid_w = q[1]};
        c.c = (struct classic_head_desc){q[2], mid, q[3], d1, b1, d2, b2, conv, bias};
        c.x = x;
        snprintf(name, sizeof name, "%s head, %d x %d patches of %d", c.simple ? "simple" : "classic", q[0], q[1], q[2]);
        op_agrees(&(struct op){name, c.people, tokens * scale * scale, q[3], BUF_HEATMAP, run_head, head_plain, NULL, &c});
        free(x), free(bias), free(w), free(d1), free(d2), free(b1), free(b2), free(conv);
    }
}

/* ---- decode: the same function behind every backend on this machine, so the same bytes ---- */

Test(ops, decode)
{
    enum { H = 16, W = 12, K = 4, PEOPLE = 3 };
    static const int flip[K] = {0, 2, 1, 3};
    limber_keypoint want[PEOPLE * K], got[PEOPLE * K];
    seed(5);
    float *maps = random_floats(PEOPLE * K * H * W, 0.5f), *mirrored = random_floats(PEOPLE * K * H * W, 0.5f);
    for (int i = 0; i < PEOPLE * K; i++)
        maps[i * H * W + 37 + i] = mirrored[i * H * W + 41 + 2 * i] = 2;
    for (int two = 0; two < 2; two++)
        for (int v = -1; v < (int)VARIANTS; v++) {
            struct under_test t;
            const struct decode_args a = {.map_h = H, .map_w = W, .flip_pairs = flip, .joints = v < 0 ? want : got};
            if (v < 0)
                open_ref(&t);
            else if (!open_variant(&t, &variants[v], 2, PEOPLE))
                continue;
            struct buf *heat = buf_of(&t, BUF_HEATMAP, PEOPLE, H * W, K, maps),
                       *other = buf_of(&t, BUF_HEATMAP, PEOPLE, H * W, K, mirrored);
            memset(got, 0, sizeof got);
            t.ex->ops->decode(t.ex, (struct span){0, PEOPLE, NULL}, heat, two ? other : NULL, &a);
            cr_assert_eq(t.ex->ops->finish(t.ex, NULL), LIMBER_OK);
            for (int i = 0; v >= 0 && i < PEOPLE * K; i++)
                cr_expect(fabsf(got[i].x - want[i].x) < 1e-3f && fabsf(got[i].y - want[i].y) < 1e-3f &&
                              fabsf(got[i].score - want[i].score) < 1e-6f,
                          "%s: joint %d is (%g, %g) %g, ref has (%g, %g) %g", t.name, i, got[i].x, got[i].y, got[i].score,
                          want[i].x, want[i].y, want[i].score);
            t.ex->ops->buf_close(t.ex, heat);
            t.ex->ops->buf_close(t.ex, other);
            close_variant(&t);
        }
    free(maps);
    free(mirrored);
}

/* ---- the same bytes, however the work is cut ---- */

struct chain {
    struct buf *x, *y, *qkv, *mid, *heat;
    struct weight *norm, *w_qkv, *fc1, *fc2, *head;
    struct attention_args attention;
    struct pass_shape shape;
};

static void chain_forward(void *context, struct exec *ex, struct span span)
{
    const struct chain *c = context;
    ex->ops->layernorm(ex, span, c->y, c->x, c->norm);
    ex->ops->linear(ex, span, c->qkv, c->y, c->w_qkv, ACT_NONE, NULL);
    ex->ops->attention(ex, span, c->y, c->qkv, &c->attention);
    ex->ops->linear(ex, span, c->mid, c->y, c->fc1, ACT_GELU_ERF, NULL);
    ex->ops->linear(ex, span, c->x, c->mid, c->fc2, ACT_NONE, c->x);
    ex->ops->layernorm(ex, span, c->y, c->x, c->norm);
    ex->ops->head(ex, span, c->heat, c->y, c->head, &c->shape);
}

Test(ops, same_bytes_for_any_threads_batch_and_span)
{
    enum { PEOPLE = 5, H = 7, W = 5, TOKENS = H * W, DIM = 48, MID = 200, K = 3, MAP = 16 * TOKENS };
    static const struct {
        int threads, people;
        bool split;
    } ways[] = {{1, 1, false}, {1, 5, false}, {2, 5, true}, {3, 5, true}, {4, 5, false}, {3, 2, true}, {1, 5, true}};
    seed(1);
    float *w1 = random_floats(DIM * 3 * DIM, 0.3f), *w2 = random_floats(MID * DIM, 0.3f), *w3 = random_floats(MID * DIM, 0.3f);
    float *gain = random_floats(DIM, 1), *bias = random_floats(3 * DIM + MID, 1), *conv = random_floats(K * DIM * 9, 0.3f);
    float *x = random_floats(PEOPLE * TOKENS * DIM, 1), *first = zeros(PEOPLE * K * MAP), *again = zeros(PEOPLE * K * MAP);
    for (size_t v = 0; v < VARIANTS; v++) {
        struct under_test t;
        limber_error err;
        if (!open_variant(&t, &variants[v], 1, 1))
            continue;
        struct chain c = {.attention = {.heads = 3, .head_dim = 16, .grid_h = H, .grid_w = W},
                          .shape = {.grid_h = H, .grid_w = W}};
        t.be->ops->layernorm_pack(t.be, &c.norm, &(struct layernorm_desc){DIM, 1e-6f, gain, bias}, &err);
        t.be->ops->linear_pack(t.be, &c.w_qkv, &(struct linear_desc){.in = DIM, .out = 3 * DIM, .weight = w1, .bias = bias},
                               &err);
        t.be->ops->linear_pack(t.be, &c.fc1, &(struct linear_desc){.in = DIM, .out = MID, .weight = w2, .bias = bias}, &err);
        t.be->ops->linear_pack(t.be, &c.fc2, &(struct linear_desc){.in = MID, .out = DIM, .weight = w3, .bias = bias}, &err);
        t.be->ops->simple_head_pack(t.be, &c.head, &(struct simple_head_desc){DIM, K, 4, conv, bias}, &err);
        for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
            struct under_test s = {.be = t.be};
            const int people = ways[i].people;
            float *out = i ? again : first;
            cr_assert_eq(t.be->ops->exec_open(t.be, &s.ex, ways[i].threads, people, &c.shape, &err), LIMBER_OK);
            c.x = buf_of(&s, BUF_STREAM, people, TOKENS, DIM, NULL);
            c.y = buf_of(&s, BUF_OPERAND, people, TOKENS, DIM, NULL);
            c.qkv = buf_of(&s, BUF_QKV, people, TOKENS, 3 * DIM, NULL);
            c.mid = buf_of(&s, BUF_OPERAND, people, TOKENS, MID, NULL);
            c.heat = buf_of(&s, BUF_HEATMAP, people, MAP, K, NULL);
            for (int p = 0; p + people <= PEOPLE; p += people) {
                s.ex->ops->buf_write(s.ex, c.x, (struct span){0, people, NULL}, x + p * TOKENS * DIM);
                if (ways[i].split)
                    s.ex->ops->split(s.ex, people, chain_forward, &c);
                else
                    chain_forward(&c, s.ex, (struct span){0, people, NULL});
                cr_assert_eq(s.ex->ops->finish(s.ex, &err), LIMBER_OK);
                s.ex->ops->buf_read(s.ex, c.heat, (struct span){0, people, NULL}, out + p * K * MAP);
            }
            cr_expect(!i || !memcmp(first, again, (size_t)(PEOPLE / people * people) * K * MAP * sizeof *first),
                      "%s: %d threads, %d people, split %d: not the bytes of one person on one thread", t.name, ways[i].threads,
                      people, ways[i].split);
            struct buf *bufs[] = {c.x, c.y, c.qkv, c.mid, c.heat};
            for (size_t b = 0; b < sizeof bufs / sizeof *bufs; b++)
                s.ex->ops->buf_close(s.ex, bufs[b]);
            s.ex->ops->exec_close(s.ex);
        }
        close_variant(&t);
    }
    free(w1), free(w2), free(w3), free(gain), free(bias), free(conv), free(x), free(first), free(again);
}

/* ---- what is refused ---- */

Test(ops, refuses_what_the_cpu_lacks)
{
    struct backend *be;
    limber_error err = {0};
    setenv("LIMBER_CPU", "pentium", 1);
    cr_expect_eq(backend_open(&be, "cpu", "fp32", &err), LIMBER_E_ARGUMENT);
    cr_expect(strstr(err.text, "pentium"), "%s", err.text);
    setenv("LIMBER_CPU", "scalar", 1);
    cr_expect_eq(backend_open(&be, "cpu", "bf16", &err), LIMBER_E_UNSUPPORTED);
    cr_expect_eq(backend_open(&be, "cpu", "int8", &err), LIMBER_E_UNSUPPORTED);
    cr_expect(strstr(err.text, "int8 needs "), "%s", err.text);
    cr_expect_eq(backend_open(&be, "cpu", "auto", &err), LIMBER_OK);
    cr_expect_eq(be->precision, PRECISION_FP32);
    backend_close(&be);
    unsetenv("LIMBER_CPU");
    cr_expect_eq(backend_open(&be, "cpu", "fp16", &err), LIMBER_E_UNSUPPORTED);
}
