/* SPDX-License-Identifier: MIT */
/* epilogue.h - what becomes of a finished tile of sums c[panel][nr][16]: bias, activation, residual, and the lines of the
 * layout that comes next. Columns go in pairs, because a bf16 line holds two; an odd last one is paired with the zero column
 * that pack.c added. */
#ifndef LIMBER_EPILOGUE_H
#define LIMBER_EPILOGUE_H

#include "compute/cpu/sums.h"
#include "compute/cpu/vmath.h"

ALWAYS_INLINE vf v_activate(vf x, const enum cpu_activation act)
{
    return act == CPU_GELU ? v_gelu(x) : act == CPU_RELU ? vf_max(vf_set1(0), x) : x;
}

/* Columns `column` and `column` + 1 of one panel, whose sums are two lines at c. */
ALWAYS_INLINE void epilogue_pair(const struct gemm *g, const float *c, int column, int panel, const enum cpu_activation act)
{
    const float *residual = NULL;
    if (g->residual)
        residual = g->residual + (size_t)(g->residual_period ? panel % g->residual_period : panel) * g->residual_stride +
                   (size_t)column * LANES;
    uint32_t *out = (uint32_t *)g->out + (size_t)panel * g->out_stride;
    vf x[VPL], y[VPL];
    UNROLL
    for (int v = 0; v < VPL; v++) {
        x[v] = v_activate(vf_add(sum_value(g, c, v, column, panel), vf_set1(g->bias[column])), act);
        y[v] = v_activate(vf_add(sum_value(g, c + LANES, v, column + 1, panel), vf_set1(g->bias[column + 1])), act);
        if (residual) {
            x[v] = vf_add(x[v], vf_load(residual + v * VW));
            y[v] = vf_add(y[v], vf_load(residual + LANES + v * VW));
        }
    }
    if (g->kind == OUT_FP32) {
        float *line = (float *)(void *)out + (size_t)column * LANES;
        UNROLL
        for (int v = 0; v < VPL; v++) {
            vf_store(line + v * VW, x[v]);
            vf_store(line + LANES + v * VW, y[v]);
        }
    } else if (g->kind == OUT_QKV && column >= g->v_from) {
        operand_split(out, column, x, y);
    } else {
        operand_pair(out, column, x, y);
    }
}

ALWAYS_INLINE void epilogue_rows(const struct gemm *g, const float *c, int nr, int column, int panel,
                                 const enum cpu_activation act)
{
    const int columns = g->n - column < nr ? g->n - column : nr;
    for (int n = 0; n < columns; n += 2)
        epilogue_pair(g, c + n * LANES, column + n, panel, act);
}

ALWAYS_INLINE void epilogue(const struct gemm *g, const float *c, int nr, int column, int panel, int panels)
{
    for (int p = 0; p < panels; p++, c += nr * LANES) {
        if (g->act == CPU_GELU)
            epilogue_rows(g, c, nr, column, panel + p, CPU_GELU);
        else if (g->act == CPU_RELU)
            epilogue_rows(g, c, nr, column, panel + p, CPU_RELU);
        else
            epilogue_rows(g, c, nr, column, panel + p, CPU_NONE);
    }
}

#endif
