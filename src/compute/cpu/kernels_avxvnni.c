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
#define KERNELS kernels_avxvnni
#define KERNELS_NAME "avxvnni"
#include "compute/cpu/kernels_int8.h"

#endif
