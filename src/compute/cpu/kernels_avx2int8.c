/* SPDX-License-Identifier: MIT */
/* kernels_avx2int8.c - linear layers of 8-bit operands (quantise.h), exact 32-bit sums, with AVX2 alone: vpmaddwd and an addition, 16 products
 * for two instructions where an FMA has 8 for one (simd_avx2.h says why not vpmaddubsw). The same integers as kernels_avx512vnni.c. The other
 * operations are those of avx2. It gains where the two go through more ports than FMAs do, which dispatch.c knows by name. */
#if defined(__x86_64__)
#define LIMBER_SIMD_INT8
#define LIMBER_SIMD_INT8_HALVES
#include "compute/cpu/simd_avx2.h"

#include <string.h>

#define GEMM_NR 6
#define GEMM_PANELS 1
#define GEMM_KC 512
#define KERNELS kernels_avx2int8
#define KERNELS_NAME "avx2int8"
#include "compute/cpu/kernels_int8.h"

#endif
