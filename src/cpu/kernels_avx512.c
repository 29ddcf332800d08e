/* kernels_avx512.c - the fp32 operations with AVX-512. Two FMAs a cycle and core where the CPU has two units (Zen 5, Xeon). */
#if defined(__x86_64__)
#include "simd_avx512.h"

#include <math.h>
#include <string.h>

#define GEMM_NR 8
#define GEMM_PANELS 3
#define GEMM_KC 768
#include "gemm.h"
#include "layernorm.h"

#define ATT_PANELS 3
#define ATT_KEYS 8
#define ATT_DIMS 8
#include "attention.h"

const struct kernels kernels_avx512 = {
    .name = "avx512",
    .precision = PRECISION_FP32,
    .nr = GEMM_NR,
    .unit_align = 1,
    .attention_panels = ATT_PANELS,
    .gemm = gemm,
    .gemm_scratch = gemm_scratch,
    .attention = attention,
    .attention_scratch = attention_scratch,
    .layernorm = layernorm,
    .peak = gemm_peak,
};

#endif
