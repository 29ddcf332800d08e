/* SPDX-License-Identifier: MIT */
/* kernels_neon.c - the fp32 operations with Advanced SIMD: what every 64-bit ARM has. No ARM machine has timed it: it is verified against
 * `ref` and by its bytes under qemu-user, and its blocking is chosen by counting the instructions of gcc 12's inner loop: of 32 registers
 *
 *     6 columns x 16 tokens by lanes   24 sums + 4 + 2   32 instructions for 24 multiplications, none spilled
 *     4 columns x 16 tokens by lanes   16 sums + 4 + 1   22 for 16
 *     6 columns x 16 tokens by ld1r    24 sums + 4 + 1   38 for 24, three of them spilling */
#if defined(__aarch64__)
#include "compute/cpu/simd_neon.h"

#define GEMM_NR 6
#define GEMM_PANELS 1
#define GEMM_KC 512
#define ATT_PANELS 1
#define ATT_KEYS 4
#define ATT_DIMS 4

#define KERNELS kernels_neon
#define KERNELS_NAME "neon"
#define KERNELS_PRECISION PRECISION_FP32
#include "compute/cpu/kernels_vector.h"

#endif
