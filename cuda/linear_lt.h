/* SPDX-License-Identifier: MIT */
/* linear_lt.h - the seam behind which the matrix products lie: linear_lt.cu asks cuBLASLt, emu/linear_lt_cpu.cc multiplies on the CPU so
 * that the emulated plugin needs neither cuBLAS nor a GPU. */
#ifndef LIMBER_LINEAR_LT_H
#define LIMBER_LINEAR_LT_H

#include "kernels.h"

/* y [batch][rows][out] = x [batch][rows][in] w [batch][out][in]^T (+ bias [out]) (+ c, shaped and typed as y, or y itself).
 * x and w are of `type`; y, c and bias of `y_type`, which is `type` or fp32. Sums are fp32, and so are fp32 products: no TF32. */
struct lt_problem {
    int rows, out, in;
    int ld_x, ld_w, ld_y; /* elements from row to row */
    enum element type, y_type;
    bool bias = false, accumulate = false;
    int batch = 1;
    long long stride_x = 0, stride_w = 0, stride_y = 0; /* elements from one product of the batch to the next */
};

struct lt;      /* one a backend, shared by its sessions */
struct lt_plan; /* descriptors and the chosen algorithm; one session's, because a bias is set in its descriptor */

/* All return NULL, or a sentence that stays valid: the call that failed and what it said. */
const char *lt_open(struct lt **out);
void lt_close(struct lt *lt);
const char *lt_plan_open(struct lt *lt, struct lt_plan **out, const lt_problem &problem, size_t workspace_bytes);
void lt_plan_close(struct lt_plan *plan);
const char *lt_run(struct lt *lt, struct lt_plan *plan, void *y, const void *x, const void *w, const void *bias, const void *c,
                   void *workspace, cudaStream_t stream);

#endif
