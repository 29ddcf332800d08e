/* SPDX-License-Identifier: MIT */
/* test_ops_amx.c - test_ops.c's questions put to the AMX kernels with emulated tiles: the same source file, on any machine that
 * has AVX512_BF16 (the vector half of those kernels), by any compiler that knows it: tiles it need not know. What the emulation
 * cannot say is how fast they are. test_ops_amxint8.c includes this file for the tiles of bytes. */
#if defined(__x86_64__) && !defined(LIMBER_NO_AVX512BF16)
#define AMX_VECTOR_ISA "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16"
#if defined(__clang__)
#include <immintrin.h>
#pragma clang attribute push(__attribute__((target(AMX_VECTOR_ISA))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")
#include <immintrin.h>
#endif

#include "emulate_amx.h"
#ifdef TEST_OPS_AMXINT8
#define kernels_amxint8 kernels_emulated /* beside the library's own */
#include "../../src/compute/cpu/kernels_amxint8.c"
#undef kernels_amxint8
#else
#define kernels_amx kernels_emulated
#include "../../src/compute/cpu/kernels_amx.c"
#undef kernels_amx
#endif

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#ifdef TEST_OPS_AMXINT8
#define TEST_OPS_VARIANTS                                                                                                        \
    {                                                                                                                            \
        "cpu", "avx512bf16", "int8"                                                                                              \
    }
#define TEST_OPS_KERNELS(be) (be)->linear
#else
#define TEST_OPS_VARIANTS                                                                                                        \
    {                                                                                                                            \
        "cpu", "avx512bf16", "bf16"                                                                                              \
    }
#define TEST_OPS_KERNELS(be) (be)->kernels = (be)->linear
#endif
#define TEST_OPS_PREPARE(t)                                                                                                      \
    do {                                                                                                                         \
        TEST_OPS_KERNELS((struct cpu_backend *)(t)->be) = &kernels_emulated;                                                     \
        snprintf((t)->name, sizeof(t)->name, "cpu emulated amx");                                                                \
    } while (0)
#include "test_ops.c"

static void vector_half(void)
{
    struct under_test t;
    if (!open_variant(&t, &variants[0], 1, 1))
        cr_skip_test("no %s %s on this machine", variants[0].level, variants[0].precision);
    close_variant(&t);
}
TestSuite(ops, .init = vector_half);
#else
#include <criterion/criterion.h>
Test(ops, amx)
{
    cr_skip_test("needs x86-64 and a compiler that knows AVX512_BF16");
}
#endif
