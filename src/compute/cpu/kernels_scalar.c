/* SPDX-License-Identifier: MIT */
/* kernels_scalar.c - the fp32 operations in plain C, for every machine. */
#include "compute/cpu/simd_scalar.h"

#define GEMM_NR 2
#define GEMM_PANELS 1
#define GEMM_KC 512
#define ATT_PANELS 1
#define ATT_KEYS 2
#define ATT_DIMS 2

#define KERNELS kernels_scalar
#define KERNELS_NAME "scalar"
#define KERNELS_PRECISION PRECISION_FP32
#include "compute/cpu/kernels_vector.h"
