/* SPDX-License-Identifier: MIT */
/* kernels_neondot.c - linear layers of 8-bit operands (quantise.h), exact 32-bit sums: sdot of FEAT_DotProd (Cortex-A76, Neoverse N1, Apple M1
 * and later), four multiply-adds a lane. Its integers are those of kernels_avx512vnni.c. The other operations are those of neon. Verified by
 * qemu-user; not timed. */
#if defined(__aarch64__)
#define LIMBER_SIMD_INT8
#include "compute/cpu/simd_neon.h"

#include <string.h>

#define GEMM_NR 6
#define GEMM_PANELS 1
#define GEMM_KC 512
#include "compute/cpu/gemm.h"
#include "compute/cpu/quantise.h"

const struct kernels kernels_neondot = {
    .name = "neondot",
    .precision = PRECISION_INT8,
    .nr = GEMM_NR,
    .unit_align = 1,
    .token_offset = TOKEN_OFFSET,
    .gemm = gemm,
    .gemm_scratch = gemm_scratch,
    .quantise = quantise,
    .peak = gemm_peak,
};

#endif
