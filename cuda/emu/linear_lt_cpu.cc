/* SPDX-License-Identifier: MIT */
/* linear_lt_cpu.cc - what linear_lt.h promises, on the CPU, in stream order: the emulated plugin's matrix products.
 * Operands and results pass through their 16-bit types as on a device. Sums are kept in double: which order a device sums in is not
 * known here, so the error of its sums is left out rather than guessed. */
#include "../linear_lt.h"

struct lt {
    int open;
};
struct lt_plan {
    lt_problem problem;
};

const char *lt_open(struct lt **out)
{
    return *out = new lt{1}, nullptr;
}
void lt_close(struct lt *lt)
{
    delete lt;
}
void lt_plan_close(struct lt_plan *plan)
{
    delete plan;
}

const char *lt_plan_open(struct lt *, struct lt_plan **out, const lt_problem &p, size_t)
{
    *out = nullptr;
    if (p.rows < 1 || p.out < 1 || p.in < 1 || p.batch < 1 || p.ld_x < p.in || p.ld_w < p.in || p.ld_y < p.out)
        return "lt_plan_open: a leading dimension is shorter than its row";
    *out = new lt_plan{p};
    return nullptr;
}

static float get(const void *p, size_t i, enum element type)
{
    return type == ELEMENT_F32   ? ((const float *)p)[i]
           : type == ELEMENT_F16 ? cuemu::from_f16(((const uint16_t *)p)[i])
                                 : cuemu::from_bf16(((const uint16_t *)p)[i]);
}
static void put(void *p, size_t i, enum element type, float v)
{
    if (type == ELEMENT_F32)
        ((float *)p)[i] = v;
    else
        ((uint16_t *)p)[i] = type == ELEMENT_F16 ? cuemu::to_f16(v) : cuemu::to_bf16(v);
}

typedef double vector __attribute__((vector_size(32)));

/* [rows][in] as doubles, rows padded with zeros to whole vectors. */
static std::vector<vector> doubles(const void *p, size_t from, int rows, int in, int ld, enum element type)
{
    const size_t vectors = ((size_t)in + 3) / 4;
    std::vector<vector> v((size_t)rows * vectors, vector{});
    for (size_t r = 0; r < (size_t)rows; r++)
        for (size_t i = 0; i < (size_t)in; i++)
            v[r * vectors + i / 4][i % 4] = get(p, from + r * (size_t)ld + i, type);
    return v;
}

static void product(const lt_problem &p, void *y, const void *x, const void *w, const void *bias, const void *c)
{
    const size_t vectors = ((size_t)p.in + 3) / 4;
    for (int b = 0; b < p.batch; b++) {
        const auto dx = doubles(x, (size_t)b * (size_t)p.stride_x, p.rows, p.in, p.ld_x, p.type);
        const auto dw = doubles(w, (size_t)b * (size_t)p.stride_w, p.out, p.in, p.ld_w, p.type);
        for (size_t r = 0; r < (size_t)p.rows; r++)
            for (size_t o = 0; o < (size_t)p.out; o++) {
                vector sum = {};
                for (size_t i = 0; i < vectors; i++)
                    sum += dx[r * vectors + i] * dw[o * vectors + i];
                double v = (sum[0] + sum[1]) + (sum[2] + sum[3]);
                const size_t at = (size_t)b * (size_t)p.stride_y + r * (size_t)p.ld_y + o;
                if (p.accumulate)
                    v += get(c, at, p.y_type);
                if (p.bias)
                    v += get(bias, o, p.y_type);
                put(y, at, p.y_type, (float)v);
            }
    }
}

const char *lt_run(struct lt *lt, struct lt_plan *plan, void *y, const void *x, const void *w, const void *bias, const void *c,
                   void *, cudaStream_t stream)
{
    const lt_problem p = plan->problem; /* by value: a graph outlives nothing */
    if (!lt->open || ((size_t)y | (size_t)x | (size_t)w) % 16)
        return "lt_run: an operand is not aligned to 16 bytes";
    cuemu::Guard guard(cuemu::device().lock);
    cuemu::enqueue(stream, [=] { product(p, y, x, w, bias, c); });
    return nullptr;
}
