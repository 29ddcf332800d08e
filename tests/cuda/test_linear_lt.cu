/* SPDX-License-Identifier: MIT */
/* test_linear_lt.cu - cuda/linear_lt.cu against the real cuBLASLt, without a GPU: descriptors, layouts and preferences are the library's
 * own (it checks every attribute); only the four calls that need a device are replaced, by the linker (-Wl,--wrap). The product behind
 * them reads what the descriptors really say - leading dimensions, transposes, batch strides, epilogue, bias type, beta - and computes
 * that on the CPU, so a wrong attribute is a wrong number. What is not seen here: the choice of an algorithm, and its arithmetic. */
#include <cublasLt.h>

#include "check.h"

#include "../../cuda/linear_lt.h"

static cublasLtHandle_t const HANDLE = (cublasLtHandle_t)0x10;
static size_t heuristic_workspace; /* what linear_lt.cu offered */
static int products, plans;

struct Layout {
    enum element type;
    uint64_t rows, cols;
    int64_t ld, stride;
    int32_t batch, order;
};
static bool layout_of(cublasLtMatrixLayout_t l, Layout &o)
{
    uint32_t type = 0;
    size_t n;
    bool ok = !cublasLtMatrixLayoutGetAttribute(l, CUBLASLT_MATRIX_LAYOUT_TYPE, &type, sizeof type, &n) &&
              !cublasLtMatrixLayoutGetAttribute(l, CUBLASLT_MATRIX_LAYOUT_ROWS, &o.rows, sizeof o.rows, &n) &&
              !cublasLtMatrixLayoutGetAttribute(l, CUBLASLT_MATRIX_LAYOUT_COLS, &o.cols, sizeof o.cols, &n) &&
              !cublasLtMatrixLayoutGetAttribute(l, CUBLASLT_MATRIX_LAYOUT_LD, &o.ld, sizeof o.ld, &n) &&
              !cublasLtMatrixLayoutGetAttribute(l, CUBLASLT_MATRIX_LAYOUT_ORDER, &o.order, sizeof o.order, &n) &&
              !cublasLtMatrixLayoutGetAttribute(l, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &o.batch, sizeof o.batch, &n) &&
              !cublasLtMatrixLayoutGetAttribute(l, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &o.stride, sizeof o.stride, &n);
    o.type = type == CUDA_R_32F ? ELEMENT_F32 : type == CUDA_R_16F ? ELEMENT_F16 : ELEMENT_BF16;
    return ok && (type == CUDA_R_32F || type == CUDA_R_16F || type == CUDA_R_16BF) && o.order == CUBLASLT_ORDER_COL &&
           (int64_t)o.rows <= o.ld;
}

extern "C" cublasStatus_t __wrap_cublasLtCreate(cublasLtHandle_t *h)
{
    return *h = HANDLE, CUBLAS_STATUS_SUCCESS;
}
extern "C" cublasStatus_t __wrap_cublasLtDestroy(cublasLtHandle_t h)
{
    return h == HANDLE ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}
extern "C" cublasStatus_t __wrap_cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t h, cublasLtMatmulDesc_t, cublasLtMatrixLayout_t,
                                                                cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
                                                                cublasLtMatrixLayout_t, cublasLtMatmulPreference_t wish, int want,
                                                                cublasLtMatmulHeuristicResult_t *out, int *found)
{
    uint64_t bytes = 0;
    uint32_t align = 0;
    size_t n;
    if (h != HANDLE || want != 1 ||
        cublasLtMatmulPreferenceGetAttribute(wish, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &bytes, sizeof bytes, &n) ||
        cublasLtMatmulPreferenceGetAttribute(wish, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &align, sizeof align, &n) ||
        align != 16)
        return CUBLAS_STATUS_INVALID_VALUE;
    memset(out, 0, sizeof *out);
    heuristic_workspace = bytes;
    out->workspaceSize = bytes;
    *found = 1;
    plans++;
    return CUBLAS_STATUS_SUCCESS;
}
extern "C" cublasStatus_t __wrap_cublasLtMatmul(cublasLtHandle_t h, cublasLtMatmulDesc_t desc, const void *alpha, const void *A,
                                                cublasLtMatrixLayout_t al, const void *B, cublasLtMatrixLayout_t bl,
                                                const void *beta, const void *C, cublasLtMatrixLayout_t cl, void *D,
                                                cublasLtMatrixLayout_t dl, const cublasLtMatmulAlgo_t *, void *workspace,
                                                size_t workspace_bytes, cudaStream_t)
{
    int32_t ta = 0, tb = 0, epilogue = 0, bias_type = 0, compute = 0, scale = 0;
    const void *bias = nullptr;
    size_t n;
    Layout a, b, c, d;
    if (h != HANDLE || cublasLtMatmulDescGetAttribute(desc, CUBLASLT_MATMUL_DESC_TRANSA, &ta, sizeof ta, &n) ||
        cublasLtMatmulDescGetAttribute(desc, CUBLASLT_MATMUL_DESC_TRANSB, &tb, sizeof tb, &n) ||
        cublasLtMatmulDescGetAttribute(desc, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue, &n) ||
        cublasLtMatmulDescGetAttribute(desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias, &n) ||
        cublasLtMatmulDescGetAttribute(desc, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &bias_type, sizeof bias_type, &n) ||
        cublasLtMatmulDescGetAttribute(desc, CUBLASLT_MATMUL_DESC_COMPUTE_TYPE, &compute, sizeof compute, &n) ||
        cublasLtMatmulDescGetAttribute(desc, CUBLASLT_MATMUL_DESC_SCALE_TYPE, &scale, sizeof scale, &n) || !layout_of(al, a) ||
        !layout_of(bl, b) || !layout_of(cl, c) || !layout_of(dl, d))
        return CUBLAS_STATUS_INTERNAL_ERROR;
    const uint64_t m = d.rows, cols = d.cols, k = ta ? a.rows : a.cols;
    if ((ta ? a.cols : a.rows) != m || (tb ? b.rows : b.cols) != cols || (tb ? b.cols : b.rows) != k || c.rows != m ||
        c.cols != cols || c.type != d.type || a.type != b.type || a.batch != d.batch || b.batch != d.batch ||
        compute != CUBLAS_COMPUTE_32F || scale != CUDA_R_32F || ((size_t)A | (size_t)B | (size_t)C | (size_t)D) % 16 ||
        workspace_bytes > heuristic_workspace || (workspace_bytes && !workspace))
        return CUBLAS_STATUS_INVALID_VALUE;
    if (epilogue != CUBLASLT_EPILOGUE_DEFAULT && epilogue != CUBLASLT_EPILOGUE_BIAS)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    if (epilogue == CUBLASLT_EPILOGUE_BIAS && (!bias || bias_type != (d.type == ELEMENT_F32   ? CUDA_R_32F
                                                                      : d.type == ELEMENT_F16 ? CUDA_R_16F
                                                                                              : CUDA_R_16BF)))
        return CUBLAS_STATUS_INVALID_VALUE;
    for (int q = 0; q < d.batch; q++)
        for (uint64_t j = 0; j < cols; j++)
            for (uint64_t i = 0; i < m; i++) {
                double sum = 0;
                for (uint64_t x = 0; x < k; x++)
                    sum +=
                        (double)decode(A, (size_t)(q * a.stride) + (size_t)(ta ? x + i * (uint64_t)a.ld : i + x * (uint64_t)a.ld),
                                       a.type) *
                        decode(B, (size_t)(q * b.stride) + (size_t)(tb ? j + x * (uint64_t)b.ld : x + j * (uint64_t)b.ld),
                               b.type);
                sum *= *(const float *)alpha;
                const size_t to = (size_t)(q * d.stride) + (size_t)(i + j * (uint64_t)d.ld);
                if (*(const float *)beta != 0)
                    sum += (double)*(const float *)beta *
                           decode(C, (size_t)(q * c.stride) + (size_t)(i + j * (uint64_t)c.ld), c.type);
                if (epilogue == CUBLASLT_EPILOGUE_BIAS)
                    sum += decode(bias, (size_t)i, d.type);
                encode(D, to, (float)sum, d.type);
            }
    products++;
    return CUBLAS_STATUS_SUCCESS;
}

static void must_be_well(const char *why, const char *what)
{
    if (!why)
        return;
    printf("FAIL %s: %s\n", what, why);
    exit(1);
}

static void run(struct lt *lt, lt_problem p, bool in_place)
{
    const bool f32 = p.type == ELEMENT_F32;
    const size_t batch = (size_t)p.batch, nx = batch * (size_t)p.rows * (size_t)p.ld_x,
                 nw = batch * (size_t)p.out * (size_t)p.ld_w, ny = batch * (size_t)p.rows * (size_t)p.ld_y;
    if (p.batch > 1)
        p.stride_x = (long long)p.rows * p.ld_x, p.stride_w = (long long)p.out * p.ld_w, p.stride_y = (long long)p.rows * p.ld_y;
    std::vector<float> x(nx + 4), w(nw + 4), y(ny + 4), c(ny + 4), bias((size_t)p.out + 4),
        before(ny + 4); /* floats hold any of the types */
    float workspace[16];
    for (size_t i = 0; i < nx; i++)
        encode(x.data(), i, normal(), p.type);
    for (size_t i = 0; i < nw; i++)
        encode(w.data(), i, normal(), p.type);
    for (size_t i = 0; i < ny; i++)
        encode(c.data(), i, normal(), p.y_type), encode(y.data(), i, -77.f, p.y_type);
    for (int i = 0; i < p.out; i++)
        encode(bias.data(), (size_t)i, normal(), p.y_type);
    if (in_place)
        y = c;
    before = y;
    struct lt_plan *plan;
    must_be_well(lt_plan_open(lt, &plan, p, sizeof workspace), "lt_plan_open");
    const char *why = nullptr;
    for (int again = 0; again < (in_place ? 1 : 2) && !why; again++) /* a plan is used many times */
        why = lt_run(lt, plan, y.data(), x.data(), w.data(), p.bias ? bias.data() : nullptr,
                     p.accumulate ? (in_place ? y.data() : c.data()) : nullptr, workspace, nullptr);
    must_be_well(why, "lt_run");
    lt_plan_close(plan);
    Worst worst;
    bool beside = true;
    for (size_t q = 0; q < batch; q++)
        for (int r = 0; r < p.rows; r++)
            for (int o = 0; o < p.ld_y; o++) {
                const size_t at = q * (size_t)p.stride_y + (size_t)r * (size_t)p.ld_y + (size_t)o;
                if (o >= p.out) {
                    beside &= decode(y.data(), at, p.y_type) == decode(before.data(), at, p.y_type);
                    continue;
                }
                double sum = p.bias ? decode(bias.data(), (size_t)o, p.y_type) : 0;
                for (int i = 0; i < p.in; i++)
                    sum += (double)decode(x.data(), q * (size_t)p.stride_x + (size_t)r * (size_t)p.ld_x + (size_t)i, p.type) *
                           decode(w.data(), q * (size_t)p.stride_w + (size_t)o * (size_t)p.ld_w + (size_t)i, p.type);
                if (p.accumulate)
                    sum += decode(c.data(), at, p.y_type);
                worst.add(decode(y.data(), at, p.y_type), round_to((float)sum, p.y_type), sum);
            }
    char text[256];
    snprintf(text, sizeof text, "linear %s -> %s [%d][%d] x [%d]%s%s%s batch %d: error %.1e%s", element_name(p.type),
             element_name(p.y_type), p.rows, p.in, p.out, p.bias ? " + bias" : "", p.accumulate ? " + residual" : "",
             in_place ? " in place" : "", p.batch, worst.error, beside ? "" : " WROTE BESIDE ITS COLUMNS");
    report(worst.ok(f32 ? 4 : 4) && beside, text);
}

int main()
{
    struct lt *lt;
    must_be_well(lt_open(&lt), "lt_open");
    const enum element types[] = {ELEMENT_F32, ELEMENT_F16, ELEMENT_BF16};
    for (enum element t : types)
        for (enum element y : {t, ELEMENT_F32})
            for (int kind = 0; kind < 4; kind++) {
                lt_problem p = {.rows = 17, .out = 21, .in = 40, .ld_x = 48, .ld_w = 40, .ld_y = 24, .type = t, .y_type = y};
                p.bias = kind & 1;
                p.accumulate = kind & 2;
                run(lt, p, false);
                if (p.accumulate)
                    run(lt, p, true);
            }
    for (enum element t : types) { /* the heads' batched product; three strides, no two of them equal */
        lt_problem p = {.rows = 11, .out = 9, .in = 24, .ld_x = 24, .ld_w = 32, .ld_y = 16, .type = t, .y_type = t};
        p.batch = 4;
        run(lt, p, false);
    }
    lt_problem wrong = {
        .rows = 4, .out = 8, .in = 16, .ld_x = 8, .ld_w = 16, .ld_y = 8, .type = ELEMENT_F16, .y_type = ELEMENT_F16};
    struct lt_plan *plan;
    const char *why = lt_plan_open(lt, &plan, wrong, 0); /* ld_x < in: the library may say so at once, the product must */
    std::vector<float> zero(256);
    if (!why) {
        why = lt_run(lt, plan, zero.data(), zero.data(), zero.data(), nullptr, nullptr, nullptr, nullptr);
        lt_plan_close(plan);
    }
    report(why && strstr(why, "cublasLt"), why ? why : "a row longer than its stride was accepted");
    lt_close(lt);
    printf("%d plans, %d products\n%d failed\n", plans, products, failures);
    return failures != 0;
}
