/* SPDX-License-Identifier: MIT */
/* kernels_neoni8mm.c - linear layers of 8-bit operands (quantise.h), exact 32-bit sums: smmla of FEAT_I8MM (Neoverse V1 and N2, Cortex-A710,
 * Apple M2 and later), eight multiply-adds a lane. Its integers are those of kernels_neondot.c. The other operations are those of neon. Verified
 * by qemu-user; not timed. */
#if defined(__aarch64__)
#define LIMBER_SIMD_INT8
#include "compute/cpu/simd_neon.h"

#include <string.h>

#define GEMM_NR 6
#define GEMM_PANELS 1
#define GEMM_KC 512
#define VB int8x16_t
#define VB_OF_WORDS vreinterpretq_s8_u32
#define BLOCK_MAC(sums, w, a) (vi) vmmlaq_s32((int32x4_t)(sums), w, a)
#include "compute/cpu/gemm_blocks.h"

#define UNIT_ALIGN 2
#define KERNELS kernels_neoni8mm
#define KERNELS_NAME "neoni8mm"
#include "compute/cpu/kernels_int8.h"

#endif
