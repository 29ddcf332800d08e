/* SPDX-License-Identifier: MIT */
/* Windowed, pooled and merged attention: backend cpu against ref, and ref against what the words mean. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include "compute/open.h"
#include "compute/token_groups.h"

/* One person's attention on one backend: buffers opened, filled, asked, read. */
struct asked {
    struct backend *be;
    struct exec *ex;
    struct buf *qkv, *y;
};

static bool asked_open(struct asked *a, const char *backend, const char *precision, int tokens, int dim)
{
    *a = (struct asked){0};
    if (backend_open(&a->be, backend, precision, NULL) != LIMBER_OK)
        return false;
    cr_assert_eq(a->be->ops->exec_open(a->be, &a->ex, 2, 3, NULL, NULL), LIMBER_OK);
    cr_assert_eq(a->be->ops->buf_open(a->ex, &a->qkv, BUF_QKV, 3, tokens, 3 * dim, NULL), LIMBER_OK);
    cr_assert_eq(a->be->ops->buf_open(a->ex, &a->y, BUF_OPERAND, 3, tokens, dim, NULL), LIMBER_OK);
    return true;
}

static void asked_close(struct asked *a)
{
    a->be->ops->buf_close(a->ex, a->qkv);
    a->be->ops->buf_close(a->ex, a->y);
    a->be->ops->exec_close(a->ex);
    backend_close(&a->be);
}

static void asked_run(struct asked *a, const struct attention_args *args, float *out)
{
    const struct span all = {.first = 0, .count = 3, .lane = NULL};
    cr_assert_eq(a->be->ops->attention_check(a->be, args, NULL), LIMBER_OK);
    a->ex->ops->attention(a->ex, all, a->y, a->qkv, args);
    cr_assert_eq(a->ex->ops->finish(a->ex, NULL), LIMBER_OK);
    a->ex->ops->buf_read(a->ex, a->y, all, out);
}

static float *random_floats(size_t n, unsigned seed)
{
    float *v = malloc(n * sizeof *v);
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        v[i] = (float)((double)(seed >> 8) / (1 << 24) * 4 - 2);
    }
    return v;
}

static const struct {
    int grid_h, grid_w, heads, head_dim;
    enum attention_kind kind;
    int size, shift;
} cases[] = {
    {16, 12, 3, 32, ATTENTION_WINDOW, 8, 0}, {16, 12, 3, 32, ATTENTION_WINDOW, 8, 4}, {12, 10, 2, 64, ATTENTION_WINDOW, 5, 2},
    {7, 5, 1, 80, ATTENTION_WINDOW, 1, 0},   {7, 5, 1, 80, ATTENTION_WINDOW, 16, 8},  {16, 12, 3, 32, ATTENTION_POOL, 2, 0},
    {13, 11, 2, 64, ATTENTION_POOL, 3, 0},   {7, 5, 1, 24, ATTENTION_POOL, 9, 0},     {16, 12, 3, 32, ATTENTION_MERGE, 16, 0},
    {13, 11, 2, 64, ATTENTION_MERGE, 40, 0}, {7, 5, 1, 24, ATTENTION_MERGE, 999, 0},  {1, 1, 1, 32, ATTENTION_MERGE, 1, 0},
    {20, 18, 2, 32, ATTENTION_POOL, 1, 0},
};

static void variants_agree(const char *precision, double unit)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct attention_args args = {.heads = cases[i].heads,
                                            .head_dim = cases[i].head_dim,
                                            .grid_h = cases[i].grid_h,
                                            .grid_w = cases[i].grid_w,
                                            .kind = cases[i].kind,
                                            .size = cases[i].size,
                                            .shift = cases[i].shift};
        const struct span all = {.first = 0, .count = 3, .lane = NULL};
        const int tokens = args.grid_h * args.grid_w, dim = args.heads * args.head_dim;
        const size_t n = 3 * (size_t)tokens * (size_t)dim;
        struct asked ref, cpu;
        if (!asked_open(&cpu, "cpu", precision, tokens, dim))
            cr_skip_test("no %s on this machine", precision);
        cr_assert(asked_open(&ref, "ref", "fp32", tokens, dim));
        float *qkv = random_floats(3 * n, 77 + (unsigned)i), *want = malloc(n * sizeof *want), *got = malloc(n * sizeof *got);
        cpu.ex->ops->buf_write(cpu.ex, cpu.qkv, all, qkv);
        cpu.ex->ops->buf_read(cpu.ex, cpu.qkv, all, qkv); /* what the precision made of it is what both are asked */
        ref.ex->ops->buf_write(ref.ex, ref.qkv, all, qkv);
        asked_run(&ref, &args, want);
        asked_run(&cpu, &args, got);
        double worst = 0;
        for (size_t k = 0; k < n; k++) {
            const double off = fabs((double)got[k] - want[k]);
            worst = off > worst || isnan(off) ? off : worst; /* fmax would forget a NaN */
        }
        cr_expect(worst <= unit * 2, "%s case %zu (%dx%d, kind %d, size %d, shift %d): off by %g, allowed %g", precision, i,
                  args.grid_h, args.grid_w, (int)args.kind, args.size, args.shift, worst, unit * 2);
        free(qkv);
        free(want);
        free(got);
        asked_close(&ref);
        asked_close(&cpu);
    }
}

/* Values are within 2 in size, so one rounding of them is 2 units; weights, means and result are each rounded once. */
Test(attention_variants, cpu_fp32_is_ref)
{
    variants_agree("fp32", 2e-6);
}
Test(attention_variants, cpu_bf16_is_ref)
{
    variants_agree("bf16", 3. / 256);
}

/* A window as large as the grid, pooling by one and merging nothing of one token are exact attention. */
Test(attention_variants, limits_are_exact_attention)
{
    const int tokens = 35, dim = 64;
    const size_t n = 3 * (size_t)tokens * (size_t)dim;
    struct attention_args args = {.heads = 2, .head_dim = 32, .grid_h = 7, .grid_w = 5, .kind = ATTENTION_EXACT};
    const struct span all = {.first = 0, .count = 3, .lane = NULL};
    struct asked cpu;
    cr_assert(asked_open(&cpu, "cpu", "fp32", tokens, dim));
    float *qkv = random_floats(3 * n, 5), *exact = malloc(n * sizeof *exact), *got = malloc(n * sizeof *got);
    cpu.ex->ops->buf_write(cpu.ex, cpu.qkv, all, qkv);
    asked_run(&cpu, &args, exact);
    static const struct {
        enum attention_kind kind;
        int size;
    } limits[] = {{ATTENTION_WINDOW, 7}, {ATTENTION_POOL, 1}};
    for (size_t i = 0; i < 2; i++) {
        args.kind = limits[i].kind;
        args.size = limits[i].size;
        asked_run(&cpu, &args, got);
        for (size_t k = 0; k < n; k++)
            cr_expect_float_eq(got[k], exact[k], 1e-6, "kind %d element %zu", (int)args.kind, k);
    }
    args.kind = ATTENTION_WINDOW; /* and a smaller window is not */
    args.size = 3;
    asked_run(&cpu, &args, got);
    double differs = 0;
    for (size_t k = 0; k < n; k++)
        differs += fabs((double)got[k] - exact[k]) / (double)n;
    cr_expect_gt(differs, 0.01);
    free(qkv);
    free(exact);
    free(got);
    asked_close(&cpu);
}

/* Six tokens, one head of two numbers: 0 and 3 alike, 2 and 1 nearly, 4 and 5 opposite. */
Test(attention_variants, merging_pairs_the_most_alike)
{
    const struct attention_args args = {.heads = 1, .head_dim = 2, .grid_h = 2, .grid_w = 3, .kind = ATTENTION_MERGE, .size = 2};
    const float keys[6][2] = {{1, 0}, {0, 1}, {0.1f, 1}, {2, 0}, {-1, -1}, {1, 1}};
    int group[6];
    void *scratch = malloc(token_groups_scratch(&args));
    cr_assert_eq(token_groups_merge(group, &args, keys[0], 2, scratch), 4);
    cr_expect_eq(group[0], group[3]);
    cr_expect_eq(group[1], group[2]);
    cr_expect_neq(group[4], group[5]);
    cr_expect_eq(group[0], 0, "groups are numbered by their first token");
    cr_expect_eq(group[1], 1);
    free(scratch);
}

Test(attention_variants, shifted_windows_partition_the_grid)
{
    const struct attention_args args = {.grid_h = 4, .grid_w = 4, .kind = ATTENTION_WINDOW, .size = 4, .shift = 2};
    cr_expect_eq(token_window_count(&args), 4);
    cr_expect_eq(token_window(&args, 0), 0);
    cr_expect_eq(token_window(&args, 1 * 4 + 1), 0);
    cr_expect_eq(token_window(&args, 2), 1);
    cr_expect_eq(token_window(&args, 2 * 4), 2);
    cr_expect_eq(token_window(&args, 15), 3);
}
