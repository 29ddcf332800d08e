/* SPDX-License-Identifier: MIT */
/* emulated_avxvnni.c - the AVX-VNNI kernels with their one instruction in C; the rest wants AVX2. As the manual has it (Intel SDM, VPDPBUSD):
 * to each 32-bit sum, four products of an unsigned byte of the first operand and a signed one of the second. */
#if defined(__clang__)
#include <immintrin.h>
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC target("avx2,fma,f16c")
#include <immintrin.h>
#endif
#include <stdint.h>
#include <string.h>

static inline __m256i emulated_dpbusd(__m256i sums, __m256i a, __m256i b)
{
    int32_t sum[8];
    uint8_t x[32];
    int8_t y[32];
    memcpy(sum, &sums, sizeof sum);
    memcpy(x, &a, sizeof x);
    memcpy(y, &b, sizeof y);
    for (int i = 0; i < 32; i++)
        sum[i / 4] += x[i] * y[i];
    memcpy(&sums, sum, sizeof sum);
    return sums;
}
#undef _mm256_dpbusd_avx_epi32
#define _mm256_dpbusd_avx_epi32 emulated_dpbusd

#define kernels_avxvnni kernels_emulated_avxvnni
#include "compute/cpu/kernels_avxvnni.c"

#if defined(__clang__)
#pragma clang attribute pop
#endif
