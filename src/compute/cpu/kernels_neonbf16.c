/* SPDX-License-Identifier: MIT */
/* kernels_neonbf16.c - bf16 operands, fp32 sums: bfdot of FEAT_BF16 (Neoverse V1 and N2, Cortex-A710, Apple M2 and later), two
 * multiply-adds a lane. Verified by qemu-user; not timed, so "auto" does not take it. bfmmla does twice as many an instruction;
 * gemm_blocks.h, which has smmla, has room for it. */
#if defined(__aarch64__)
#define LIMBER_SIMD_BF16
#include "compute/cpu/simd_neon.h"

#define GEMM_NR 6
#define GEMM_PANELS 1
#define GEMM_KC 512
#define ATT_PANELS 1
#define ATT_KEYS 4
#define ATT_DIMS 4

#define KERNELS kernels_neonbf16
#define KERNELS_NAME "neonbf16"
#define KERNELS_PRECISION PRECISION_BF16
#include "compute/cpu/kernels_vector.h"

#endif
