/* SPDX-License-Identifier: MIT */
/* kernels_avxvnni.c - linear layers of 8-bit operands (quantise.h), exact 32-bit sums: vpdpbusd of AVX-VNNI, for CPUs without AVX-512 (Alder
 * Lake and later, Sierra Forest). The same integers as kernels_avx512vnni.c. The other operations are those of avx2. Verified by emulating
 * the instruction in C (tests/checkkernels); not timed. */
#if defined(__x86_64__)
#define LIMBER_SIMD_INT8
#include "compute/cpu/simd_avx2.h"

#include <string.h>

#define GEMM_NR 6
#define GEMM_PANELS 1
#define GEMM_KC 512
#include "compute/cpu/gemm.h"
#include "compute/cpu/quantise.h"

const struct kernels kernels_avxvnni = {
    .name = "avxvnni",
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
