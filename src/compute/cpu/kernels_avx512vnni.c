/* SPDX-License-Identifier: MIT */
/* kernels_avx512vnni.c - linear layers of 8-bit operands (quantise.h), exact 32-bit sums: vpdpbusd of AVX512_VNNI (Cascade Lake,
 * Zen 4 and later), four multiply-adds a lane: twice the rate of bf16 on Zen 5, four times that of fp32. The other operations are
 * those of the bf16 or fp32 table it is used beside. */
#if defined(__x86_64__)
#define LIMBER_SIMD_INT8
#include "compute/cpu/simd_avx512.h"

#include <string.h>

#define GEMM_NR 8
#define GEMM_PANELS 3
#define GEMM_KC 768
#define KERNELS kernels_avx512vnni
#define KERNELS_NAME "avx512vnni"
#include "compute/cpu/kernels_int8.h"

#endif
