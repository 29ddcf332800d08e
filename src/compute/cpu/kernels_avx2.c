/* SPDX-License-Identifier: MIT */
/* kernels_avx2.c - the fp32 operations with AVX2 and FMA: what any x86-64 of the last ten years has. */
#if defined(__x86_64__)
#include "compute/cpu/simd_avx2.h"

#define GEMM_NR 6
#define GEMM_PANELS 1
#define GEMM_KC 512
#define ATT_PANELS 1
#define ATT_KEYS 6
#define ATT_DIMS 6

#define KERNELS kernels_avx2
#define KERNELS_NAME "avx2"
#define KERNELS_PRECISION PRECISION_FP32
#include "compute/cpu/kernels_vector.h"

#endif
