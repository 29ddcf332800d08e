/* SPDX-License-Identifier: MIT */
/* kernels_amxint8.c - linear layers of 8-bit operands (quantise.h) with AMX tiles: tdpbsud, twice the products of tdpbf16ps. The same
 * sums as kernels_avx512vnni.c, to the bit: integers know no order. Beside it the bf16 kernels of AMX do everything else. Verified by
 * emulating the tile instructions (tests/compute/test_ops_amx.c); not timed. */
#if defined(__x86_64__)
#define LIMBER_SIMD_INT8
#include "compute/cpu/simd_avx512.h"

#include <string.h>

#include "compute/cpu/gemm_amx.h"
#include "compute/cpu/quantise.h"

const struct kernels kernels_amxint8 = {
    .name = "amxint8",
    .precision = PRECISION_INT8,
    .nr = AMX_NR,
    .unit_align = AMX_STEP,
    .amx = true,
    .gemm = gemm,
    .gemm_scratch = gemm_scratch,
    .quantise = quantise,
    .peak = gemm_peak,
};

#endif
