/* SPDX-License-Identifier: MIT */
/* kernels_vector.h - the operations of one vector instruction set and their table: the end of kernels_scalar.c, kernels_avx2.c,
 * kernels_avx512.c and kernels_avx512bf16.c, which bring a simd_*.h, the blocking of gemm.h and attention.h, and
 *
 *   KERNELS   the table's name in C        KERNELS_NAME   and in LIMBER_CPU        KERNELS_PRECISION */
#include <math.h>
#include <string.h>

#include "compute/cpu/attention.h"
#include "compute/cpu/gemm.h"
#include "compute/cpu/layernorm.h"

const struct kernels KERNELS = {
    .name = KERNELS_NAME,
    .precision = KERNELS_PRECISION,
    .nr = GEMM_NR,
    .unit_align = 1,
    .attention_panels = ATT_CALL_PANELS,
    .attention_block = ATT_PANELS,
    .gemm = gemm,
    .gemm_scratch = gemm_scratch,
    .attention = attention,
    .attention_scratch = attention_scratch,
    .layernorm = layernorm,
    .peak = gemm_peak,
};
