/* SPDX-License-Identifier: MIT */
/* What the benchmarks reckon with: order statistics, fits, random data, and that naive attention is attention. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include "command/bench/naive.h"
#include "command/bench/util.h"

Test(bench_util, order_statistics)
{
    double even[] = {4, 1, 3, 2}, eleven[] = {11, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    struct bench_times t = bench_times_of(even, 4);
    cr_expect_eq(t.median, 2.5);
    cr_expect_eq(t.min, 1);
    t = bench_times_of(eleven, 11);
    cr_expect_eq(t.median, 6);
    cr_expect_eq(t.p10, 2);
    cr_expect_eq(t.p90, 10);
    cr_expect_eq(t.runs, 11);
    cr_expect_eq(bench_times_of(even, 0).runs, 0);
}

Test(bench_util, power_law_is_found)
{
    double x[4], y[4];
    for (int i = 0; i < 4; i++) {
        x[i] = log(100 << i);
        y[i] = log(3e-6 * pow(100 << i, 1.75));
    }
    struct bench_line line = bench_fit_line(x, y, 4);
    cr_expect_float_eq(line.exponent, 1.75, 1e-12);
    cr_expect_float_eq(exp(line.constant), 3e-6, 1e-15);
    cr_expect_float_eq(line.standard_error, 0, 1e-7);
}

/* y = 0, 1, 0 over x = -1, 0, 1: slope 0, residuals -1/3, 2/3, -1/3, so s^2 = (6/9) / (3 - 2) and SE = s / sqrt(2). */
Test(bench_util, standard_error_of_the_slope)
{
    const double x[] = {-1, 0, 1}, y[] = {0, 1, 0};
    struct bench_line line = bench_fit_line(x, y, 3);
    cr_expect_float_eq(line.exponent, 0, 1e-15);
    cr_expect_float_eq(line.standard_error, sqrt(6. / 9 / 2), 1e-15);
}

Test(bench_util, two_terms_are_told_apart)
{
    double u[5], v[5], y[5], a, b;
    for (int i = 0; i < 5; i++) {
        double l = 192 << i;
        u[i] = l * l * 768;
        v[i] = l * 768 * 768;
        y[i] = 5e-12 * u[i] + 3e-11 * v[i];
    }
    bench_fit_two(u, v, y, 5, &a, &b);
    cr_expect_float_eq(a / 5e-12, 1, 1e-9);
    cr_expect_float_eq(b / 3e-11, 1, 1e-9);
}

Test(bench_util, random_data_is_normal_and_repeatable)
{
    enum { N = 100001 };
    float *v = malloc(2 * N * sizeof *v);
    double mean = 0, square = 0;
    bench_random(v, N, 7, 2);
    bench_random(v + N, N, 7, 2);
    for (int i = 0; i < N; i++) {
        cr_assert_eq(v[i], v[N + i]);
        mean += v[i] / N;
        square += (double)v[i] * v[i] / N;
    }
    cr_expect_float_eq(mean, 0, 0.03);
    cr_expect_float_eq(square, 4, 0.08);
    free(v);
}

static void naive_agrees(int tokens, int heads, int head_dim, int threads)
{
    const int dim = heads * head_dim;
    float *qkv = malloc((size_t)tokens * (size_t)dim * 4 * sizeof *qkv), *out = qkv + (size_t)tokens * (size_t)dim * 3;
    double *p = malloc((size_t)tokens * sizeof *p), worst = 0;
    struct naive_attention *n = naive_attention_open(tokens, heads, head_dim, threads);
    cr_assert_not_null(n);
    bench_random(qkv, (size_t)tokens * (size_t)dim * 3, 3, 1.5f);
    naive_attention_run(n, out, qkv);
    for (int i = 0; i < tokens; i++)
        for (int h = 0; h < heads; h++) {
            double total = 0;
            for (int j = 0; j < tokens; j++) {
                double s = 0;
                for (int c = 0; c < head_dim; c++)
                    s += (double)qkv[(size_t)(i * 3 * dim + h * head_dim + c)] *
                         qkv[(size_t)(j * 3 * dim + dim + h * head_dim + c)];
                total += p[j] = exp(s / sqrt(head_dim));
            }
            for (int c = 0; c < head_dim; c++) {
                double v = 0;
                for (int j = 0; j < tokens; j++)
                    v += p[j] / total * qkv[(size_t)(j * 3 * dim + 2 * dim + h * head_dim + c)];
                const double off = fabs(v - out[(size_t)(i * dim + h * head_dim + c)]);
                worst = off > worst || isnan(off) ? off : worst; /* fmax would forget a NaN */
            }
        }
    /* scores reach 20, so their fp32 rounding moves a weight by 20 * 2^-24 * a few, on values up to 6 */
    cr_expect_lt(worst, 1e-5, "%d tokens, %d x %d: off by %g", tokens, heads, head_dim, worst);
    naive_attention_close(n);
    free(p);
    free(qkv);
}

Test(bench_util, naive_attention_is_attention)
{
    naive_agrees(192, 3, 64, 2);
    naive_agrees(67, 1, 24, 1); /* columns and rows that no panel divides */
    naive_agrees(1, 2, 32, 2);
}
