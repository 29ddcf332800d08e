/* SPDX-License-Identifier: MIT */
/* kernels_avx512bf16.c - bf16 operands, fp32 sums: vdpbf16ps of AVX512_BF16. Twice the multiply-adds of fp32 on AMD (Zen 4, Zen 5);
 * half of fp32 on Sapphire Rapids, which has AMX for this: dispatch.c knows. */
#if defined(__x86_64__)
#define LIMBER_SIMD_BF16
#include "compute/cpu/simd_avx512.h"

#define GEMM_NR 8
#define GEMM_PANELS 3
#define GEMM_KC 768
#define ATT_PANELS 3
#define ATT_KEYS 8
#define ATT_DIMS 8

#define KERNELS kernels_avx512bf16
#define KERNELS_NAME "avx512bf16"
#define KERNELS_PRECISION PRECISION_BF16
#include "compute/cpu/kernels_vector.h"

#endif
