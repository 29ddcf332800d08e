/* SPDX-License-Identifier: MIT */
/* kernels_int8.h - the table of an instruction set that has products of bytes and nothing else: linear layers of 8-bit operands. Included
 * after the simd_*.h with LIMBER_SIMD_INT8 and the GEMM_* sizes; KERNELS and KERNELS_NAME say whose it is. */
#ifndef UNIT_ALIGN
#define UNIT_ALIGN 1
#endif
#include "compute/cpu/gemm.h"
#include "compute/cpu/quantise.h"

const struct kernels KERNELS = {
    .name = KERNELS_NAME,
    .precision = PRECISION_INT8,
    .nr = GEMM_NR,
    .unit_align = UNIT_ALIGN,
    .token_offset = TOKEN_OFFSET,
    .wide_weights = UNIT_HALVES == 2,
#ifdef GEMM_LOOP
    .unit_pairs = true,
#endif
    .gemm = gemm,
    .gemm_scratch = gemm_scratch,
    .quantise = quantise,
    .peak = gemm_peak,
};
