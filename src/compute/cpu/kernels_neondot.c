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
#define KERNELS kernels_neondot
#define KERNELS_NAME "neondot"
#include "compute/cpu/kernels_int8.h"

#endif
