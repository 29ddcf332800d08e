/* kernels_avx2.c - the fp32 operations with AVX2 and FMA: what any x86-64 of the last ten years has. */
#if defined(__x86_64__)
#include "simd_avx2.h"

#include <math.h>
#include <string.h>

#define GEMM_NR 6
#define GEMM_PANELS 1
#define GEMM_KC 512
#include "gemm.h"
#include "layernorm.h"

#define ATT_PANELS 1
#define ATT_KEYS 4
#define ATT_DIMS 4
#include "attention.h"

const struct kernels kernels_avx2 = {
    .name = "avx2",
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
