/* SPDX-License-Identifier: MIT */
/* kernels_avx512.c - the fp32 operations with AVX-512. Two FMAs a cycle and core where the CPU has two units (Zen 5, Xeon). */
#if defined(__x86_64__)
#include "compute/cpu/simd_avx512.h"

#define GEMM_NR 8
#define GEMM_PANELS 3
#define GEMM_KC 768
#define ATT_PANELS 3
#define ATT_KEYS 8
#define ATT_DIMS 8

#define KERNELS kernels_avx512
#define KERNELS_NAME "avx512"
#define KERNELS_PRECISION PRECISION_FP32
#include "compute/cpu/kernels_vector.h"

#endif
