/* SPDX-License-Identifier: MIT */
/* test_cpu_math.c - 2^x and GELU of every instruction set against double, over their whole range: every 64th float of it, and the
 * edges. The bounds are the ones src/compute/cpu/vmath.h states. */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compute/cpu/cpu.h"

/* The tables reach GELU through a linear layer of one input and weight 1: out = gelu(x). */
static void gelu_of(const struct kernels *k, float *out, const float *x, int n)
{
    const int panels = (n + LANES - 1) / LANES, unit = k->precision == PRECISION_BF16 ? 2 : 1;
    /* column 0 is x as a sum of three numbers bf16 holds exactly; the others are zero */
    const int columns = 4, units = k->unit_align > columns / unit ? k->unit_align : columns / unit;
    uint32_t *a = aligned_alloc(64, (size_t)panels * (size_t)units * LANES * sizeof *a), *w;
    float *bias, *sums = aligned_alloc(64, (size_t)panels * 2 * LANES * sizeof *sums);
    void *scratch = aligned_alloc(64, k->gemm_scratch());
    struct arena arena = {0};
    memset(a, 0, (size_t)panels * (size_t)units * LANES * sizeof *a);
    w = arena_alloc(&arena, (size_t)units * (size_t)k->nr * sizeof *w);
    bias = arena_alloc(&arena, (size_t)k->nr * sizeof *bias);
    for (int u = 0; u < units; u++) { /* as pack.c lays out column 0 */
        const uint32_t one = unit == 2 ? 0x3f803f80u : 0x3f800000u;
        w[k->amx ? (size_t)u : (size_t)u * (size_t)k->nr] = one;
    }
    for (int i = 0; i < n; i++) {
        uint32_t *line = a + (size_t)(i / LANES) * (size_t)units * LANES + (size_t)(i % LANES);
        if (unit == 1) {
            memcpy(line, &x[i], sizeof *line);
            continue;
        }
        float rest = x[i];
        for (int c = 0; c < 3; c++) {
            uint32_t bits;
            memcpy(&bits, &rest, sizeof bits);
            bits >>= 16; /* cut, so that the rest keeps its sign and is exact */
            line[(size_t)(c / 2) * LANES] |= bits << (c % 2 ? 16 : 0);
            if (!isfinite(rest))
                break;
            rest -= bf16_value(bits);
        }
    }
    const struct gemm g = {.a = {a},
                           .a_stride = (size_t)units * LANES,
                           .slabs = 1,
                           .units = units,
                           .w = w,
                           .n = 1,
                           .bias = bias,
                           .act = CPU_GELU,
                           .out = sums,
                           .out_stride = 2 * LANES,
                           .kind = OUT_FP32};
    for (int p = 0; p < panels; p += GEMM_MAX_PANELS)
        k->gemm(&g, p, p + GEMM_MAX_PANELS < panels ? p + GEMM_MAX_PANELS : panels, 0, 1, scratch);
    for (int i = 0; i < n; i++)
        out[i] = sums[(size_t)(i / LANES) * 2 * LANES + (size_t)(i % LANES)];
    arena_free(&arena);
    free(a), free(sums), free(scratch);
}

static double gelu(double x)
{
    return x * 0.5 * erfc(-x * 0.70710678118654752440);
}

/* Scores q k / sqrt(1) of one query and two keys: the weight of the second is 2^(x log2 e) / (1 + that), x <= 0. */
static void softmax_of(const struct kernels *k, float *out, const float *x, int n)
{
    const int unit = k->precision == PRECISION_BF16 ? 2 : 1, hd = unit; /* one unit */
    const size_t stride = 3 * 16 * LANES;
    uint32_t *qkv = aligned_alloc(64, stride * sizeof *qkv), *o = aligned_alloc(64, 16 * LANES * sizeof *o);
    void *scratch = aligned_alloc(64, k->attention_scratch(2, hd) + 64);
    const struct attention a = {.qkv = qkv,
                                .qkv_stride = stride,
                                .out = o,
                                .out_stride = 16 * LANES,
                                .tokens = 2,
                                .heads = 1,
                                .head_dim = hd,
                                .grid_w = 2};
    for (int i = 0; i < n; i++) {
        const float scaled = x[i] * sqrtf((float)hd);
        memset(qkv, 0, stride * sizeof *qkv);
        if (unit == 1) {
            float *v = (float *)(void *)qkv;
            v[0] = scaled;        /* q of token 0 */
            v[LANES + 1] = 1;     /* k: 0 and 1 */
            v[2 * LANES + 1] = 1; /* v: 0 and 1 */
        } else {
            uint16_t *v = (uint16_t *)(void *)qkv;
            v[0] = (uint16_t)bf16_bits(x[i]);
            v[2 * LANES + 2] = (uint16_t)bf16_bits(sqrtf(2)); /* k of token 1, column 0 */
            v[4 * LANES + 1] = 0x3f80;                        /* v of token 1, column 0: pairs of tokens */
        }
        k->attention(&a, 0, 0, 1, scratch);
        if (unit == 1)
            memcpy(&out[i], o, sizeof out[i]);
        else
            out[i] = bf16_value(o[0] & 0xffff);
    }
    free(qkv), free(o), free(scratch);
}

static const struct level {
    const char *name;
    enum precision precision;
} levels[] = {{"scalar", PRECISION_FP32}, {"neon", PRECISION_FP32},       {"neonbf16", PRECISION_BF16}, {"avx2", PRECISION_FP32},
              {"avx512", PRECISION_FP32}, {"avx512bf16", PRECISION_BF16}, {"amx", PRECISION_BF16}};
#define LEVELS (sizeof levels / sizeof *levels)

static const struct kernels *table(size_t level)
{
    setenv("LIMBER_CPU", levels[level].name, 1);
    const struct kernels *k = cpu_kernels(levels[level].precision, NULL);
    unsetenv("LIMBER_CPU");
    return k;
}

/* Every 64th float of both signs with a magnitude from `low` to `high`, chunk by chunk. */
typedef void (*visit_fn)(void *context, const float *x, int n);
static void sweep(float low, float high, visit_fn visit, void *context)
{
    enum { CHUNK = 16 * GEMM_MAX_PANELS * 16 };
    static float x[CHUNK];
    uint32_t from, to;
    int n = 0;
    memcpy(&from, &low, sizeof from);
    memcpy(&to, &high, sizeof to);
    for (uint64_t bits = from; bits <= to; bits += 64)
        for (uint32_t sign = 0; sign < 2; sign++) {
            const uint32_t b = (uint32_t)bits | sign << 31;
            memcpy(&x[n++], &b, sizeof b);
            if (n == CHUNK) {
                visit(context, x, n);
                n = 0;
            }
        }
    if (n)
        visit(context, x, n);
}

struct gelu_check {
    const struct kernels *k;
    double worst_absolute, worst_relative; /* in units of what is allowed; relative: normal numbers above -10 (fp32), -2 (bf16) */
    float at_absolute, at_relative;
};

static void check_gelu(void *context, const float *x, int n)
{
    struct gelu_check *c = context;
    float *got = malloc((size_t)n * sizeof *got);
    const bool low = c->k->precision == PRECISION_BF16;
    gelu_of(c->k, got, x, n);
    for (int i = 0; i < n; i++) {
        const double want = gelu(x[i]), error = fabs(got[i] - want);
        /* what vmath.h states, and the denormals' spacing; bf16 instructions take denormals for zero */
        const double absolute =
            error / ((low ? 6e-5 + 2e-6 * fabs((double)x[i]) : 3e-7 * fabs((double)x[i])) + (low ? FLT_MIN : 2e-45));
        const double relative = fabs((double)x[i]) < (low ? 1e-33 : 8 * FLT_MIN) || x[i] < (low ? -2 : -10)
                                    ? 0
                                    : error / fabs(want) / (low ? 6e-4 : 6e-6);
        if (!(absolute <= c->worst_absolute))
            c->worst_absolute = absolute, c->at_absolute = x[i];
        if (!(relative <= c->worst_relative))
            c->worst_relative = relative, c->at_relative = x[i];
    }
    free(got);
}

Test(cpu_math, gelu_over_its_whole_range)
{
    for (size_t l = 0; l < LEVELS; l++) {
        struct gelu_check c = {.k = table(l)};
        if (!c.k)
            continue;
        sweep(0, 1e-30f, check_gelu, &c); /* denormals and what lies above them */
        sweep(1e-3f, 32, check_gelu, &c);
        sweep(1e30f, 3e30f, check_gelu, &c);
        cr_expect(c.worst_absolute <= 1, "%s: gelu(%.9g) is wrong by %.3g of what is stated", levels[l].name, c.at_absolute,
                  c.worst_absolute);
        cr_expect(c.worst_relative <= 1, "%s: gelu(%.9g) is wrong by %.3g of the relative error stated", levels[l].name,
                  c.at_relative, c.worst_relative);
        const float edge[] = {INFINITY, -INFINITY, NAN, -NAN, 0, -0.f, FLT_MAX};
        float got[7];
        gelu_of(c.k, got, edge, 7);
        cr_expect(isinf(got[0]) && got[0] > 0, "%s: gelu(inf) is %g", levels[l].name, got[0]);
        if (c.k->precision == PRECISION_FP32)
            cr_expect(fabsf(got[1]) < 1e-30f, "%s: gelu(-inf) is %g", levels[l].name, got[1]);
        else
            cr_expect(isnan(got[1]), "%s: gelu(-inf) is %g", levels[l].name, got[1]);
        cr_expect(isnan(got[2]) && isnan(got[3]), "%s: gelu(NaN) is %g, %g", levels[l].name, got[2], got[3]);
        cr_expect(got[4] == 0 && got[5] == 0, "%s: gelu(+-0) is %g, %g", levels[l].name, got[4], got[5]);
        if (c.k->precision == PRECISION_FP32)
            cr_expect_eq(got[6], FLT_MAX, "%s: gelu(FLT_MAX) is %g", levels[l].name, got[6]);
    }
}

struct softmax_check {
    const struct kernels *k;
    double worst;
    float at;
};

static void check_softmax(void *context, const float *x, int n)
{
    struct softmax_check *c = context;
    const bool low = c->k->precision == PRECISION_BF16;
    float *got = malloc((size_t)n * sizeof *got), *in = malloc((size_t)n * sizeof *in);
    for (int i = 0; i < n; i++)
        in[i] = low ? bf16_value(bf16_bits(x[i])) : x[i];
    softmax_of(c->k, got, in, n);
    for (int i = 0; i < n; i++) {
        /* 1 / (1 + e^-x); bf16: k is sqrt 2 rounded */
        const double s = (double)in[i] * (low ? (double)bf16_value(bf16_bits(sqrtf(2))) / sqrt(2.0) : 1),
                     want = 1 / (1 + exp(-s));
        /* fp32: 2^x is good to 1.2e-7 and its argument to half a unit of |x| log2 e; bf16: one rounding of p, one of the result */
        const double allowed = low ? 2 * 0x1p-8 * want + 1e-37 : (4e-7 + 1.5e-7 * fabs(s)) * want + 3e-38;
        const double error = fabs(got[i] - want) / allowed;
        if (!(error <= c->worst))
            c->worst = error, c->at = in[i];
    }
    free(got), free(in);
}

Test(cpu_math, softmax_of_two_over_the_range_of_exp)
{
    for (size_t l = 0; l < LEVELS; l++) {
        struct softmax_check c = {.k = table(l)};
        if (!c.k)
            continue;
        static float x[4096];
        for (int i = 0; i < 4096; i++)
            x[i] = (float)(i - 2048) * (110.f / 2048);
        check_softmax(&c, x, 4096);
        for (int i = 0; i < 4096; i++)
            x[i] = ldexpf((float)(i - 2048) / 2048, -(i % 140)); /* small, down to denormals */
        check_softmax(&c, x, 4096);
        cr_expect(c.worst <= 1, "%s: softmax of 0 and %.9g is wrong by %.3g of what is allowed", levels[l].name, c.at, c.worst);
        const float edge[] = {1e30f, -1e30f, NAN};
        float got[3];
        softmax_of(c.k, got, edge, 3);
        cr_expect(got[0] == 1 && got[1] >= 0 && got[1] < 1e-30f && isnan(got[2]), "%s: at 1e30, -1e30, NaN: %g %g %g",
                  levels[l].name, got[0], got[1], got[2]);
    }
}

/* ---- where int8 gains with AVX2 alone ---- */

Test(cpu_math, int8_by_avx2_where_it_gains)
{
    static const struct {
        const char *name;
        unsigned signature;
        bool amd, gains;
    } cpus[] = {
        {"Haswell", 0x306c3, false, false},   {"Broadwell", 0x306d4, false, false},  {"Skylake", 0x506e3, false, true},
        {"Skylake-SP", 0x50654, false, true}, {"Coffee Lake", 0x906ea, false, true}, {"Comet Lake", 0xa0655, false, true},
        {"Zen 1", 0x800f11, true, false},     {"Zen 2", 0x870f10, true, false},      {"Zen 3", 0xa20f10, true, true},
        {"Excavator", 0x660f01, true, false},
    };
    for (size_t i = 0; i < sizeof cpus / sizeof *cpus; i++) {
        cr_expect_eq(cpu_wide_multipliers(cpus[i].signature, cpus[i].amd, !cpus[i].amd), cpus[i].gains, "%s", cpus[i].name);
        cr_expect(!cpu_wide_multipliers(cpus[i].signature, false, false), "%s of another vendor", cpus[i].name);
    }
}
