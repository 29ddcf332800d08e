/* kernels_scalar.c - the fp32 operations in plain C, for every machine. */
#include "simd_scalar.h"

#include <math.h>
#include <string.h>

#define GEMM_NR 2
#define GEMM_PANELS 1
#define GEMM_KC 512
#include "gemm.h"
#include "layernorm.h"

#define ATT_PANELS 1
#define ATT_KEYS 2
#define ATT_DIMS 2
#include "attention.h"

const struct kernels kernels_scalar = {
    .name = "scalar",
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
