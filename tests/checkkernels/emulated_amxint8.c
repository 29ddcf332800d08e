/* SPDX-License-Identifier: MIT */
/* emulated_amxint8.c - the AMX kernels of bytes with their tile instructions in C; the vector half wants AVX512_BF16. */
#if defined(__clang__)
#include <immintrin.h>
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16"))),             \
                             apply_to = function)
#else
#pragma GCC target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")
#include <immintrin.h>
#endif
#include "../emulate_amx.h"
#include "checkkernels.h"

#define kernels_amxint8 kernels_emulated_amxint8
#include "compute/cpu/kernels_amxint8.c"

#if defined(__clang__)
#pragma clang attribute pop
#endif
