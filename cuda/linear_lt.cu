/* SPDX-License-Identifier: MIT */
/* linear_lt.cu - linear layers through cuBLASLt: descriptors once, the algorithm once, then nothing but the product.
 *
 * cuBLASLt thinks in columns. A row-major [rows][cols] matrix with ld elements a row is its column-major cols x rows matrix with the
 * same ld, so y = x w^T is asked for as y^T = w x^T:  A = w, transposed (in x out as stored);  B = x (in x rows);  C, D = y (out x
 * rows). Its bias runs along the rows of D, which are our outputs. beta is 1 where something is to be added.
 * Its GELU epilogues are the tanh form and not used (elementwise.cu). tests/cuda/test_linear_lt.cu runs this file against the real
 * library's descriptors, with a CPU loop in place of the product. */
#include "linear_lt.h"

#include <cublasLt.h>

#include <new>

struct lt {
    cublasLtHandle_t handle;
};
struct lt_plan {
    cublasLtMatmulDesc_t product;
    cublasLtMatrixLayout_t w, x, y;
    cublasLtMatmulAlgo_t algorithm;
    size_t workspace_bytes;
    bool bias, accumulate;
};

#define ASK(call)                                                                                                                \
    do {                                                                                                                         \
        const cublasStatus_t status_ = (call);                                                                                   \
        if (status_ != CUBLAS_STATUS_SUCCESS)                                                                                    \
            return explain(#call, status_);                                                                                      \
    } while (0)

/* "cublasLtMatmul(...): CUBLAS_STATUS_NOT_SUPPORTED", kept for the thread that asked. */
static const char *explain(const char *call, cublasStatus_t status)
{
    static thread_local char text[256];
    const char *end = call;
    while (*end && *end != '(')
        end++;
    snprintf(text, sizeof text, "%.*s: %s", (int)(end - call), call, cublasLtGetStatusString(status));
    return text;
}

static cudaDataType_t data_type(enum element e)
{
    return e == ELEMENT_F32 ? CUDA_R_32F : e == ELEMENT_F16 ? CUDA_R_16F : CUDA_R_16BF;
}

const char *lt_open(struct lt **out)
{
    *out = nullptr;
    cublasLtHandle_t handle;
    ASK(cublasLtCreate(&handle));
    *out = new (std::nothrow) lt{handle};
    if (!*out)
        cublasLtDestroy(handle);
    return *out ? nullptr : "out of memory";
}

void lt_close(struct lt *lt)
{
    if (lt)
        cublasLtDestroy(lt->handle);
    delete lt;
}

static const char *layout(cublasLtMatrixLayout_t *out, enum element type, int rows, int cols, int ld, int batch, long long stride)
{
    ASK(cublasLtMatrixLayoutCreate(out, data_type(type), (uint64_t)rows, (uint64_t)cols, ld));
    const int32_t count = batch;
    const int64_t offset = stride;
    if (batch > 1) {
        ASK(cublasLtMatrixLayoutSetAttribute(*out, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count, sizeof count));
        ASK(cublasLtMatrixLayoutSetAttribute(*out, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &offset, sizeof offset));
    }
    return nullptr;
}

static const char *choose(struct lt *lt, struct lt_plan *plan, size_t workspace_bytes)
{
    cublasLtMatmulPreference_t wish;
    ASK(cublasLtMatmulPreferenceCreate(&wish));
    const uint64_t bytes = workspace_bytes;
    const uint32_t align = 16; /* of a person's first row; without it 256 would be assumed */
    cublasStatus_t s = cublasLtMatmulPreferenceSetAttribute(wish, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &bytes, sizeof bytes);
    for (cublasLtMatmulPreferenceAttributes_t a :
         {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
          CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
        if (s == CUBLAS_STATUS_SUCCESS)
            s = cublasLtMatmulPreferenceSetAttribute(wish, a, &align, sizeof align);
    cublasLtMatmulHeuristicResult_t best;
    int found = 0;
    if (s == CUBLAS_STATUS_SUCCESS)
        s = cublasLtMatmulAlgoGetHeuristic(lt->handle, plan->product, plan->w, plan->x, plan->y, plan->y, wish, 1, &best, &found);
    cublasLtMatmulPreferenceDestroy(wish);
    if (s != CUBLAS_STATUS_SUCCESS || !found)
        return explain("cublasLtMatmulAlgoGetHeuristic(", s != CUBLAS_STATUS_SUCCESS ? s : CUBLAS_STATUS_NOT_SUPPORTED);
    plan->algorithm = best.algo;
    plan->workspace_bytes = best.workspaceSize;
    return nullptr;
}

static const char *describe(struct lt *lt, struct lt_plan *plan, const lt_problem &p, size_t workspace_bytes)
{
    const cublasOperation_t transposed = CUBLAS_OP_T;
    const cublasLtEpilogue_t epilogue = p.bias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT;
    const cudaDataType_t bias_type = data_type(p.y_type);
    const void *somewhere = plan; /* the heuristic wants to see a bias; lt_run sets the true one */
    plan->bias = p.bias;
    plan->accumulate = p.accumulate;
    ASK(cublasLtMatmulDescCreate(&plan->product, CUBLAS_COMPUTE_32F, CUDA_R_32F));
    ASK(cublasLtMatmulDescSetAttribute(plan->product, CUBLASLT_MATMUL_DESC_TRANSA, &transposed, sizeof transposed));
    ASK(cublasLtMatmulDescSetAttribute(plan->product, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue));
    if (p.bias) {
        ASK(cublasLtMatmulDescSetAttribute(plan->product, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &bias_type, sizeof bias_type));
        ASK(cublasLtMatmulDescSetAttribute(plan->product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &somewhere, sizeof somewhere));
    }
    const char *why = layout(&plan->w, p.type, p.in, p.out, p.ld_w, p.batch, p.stride_w);
    if (!why)
        why = layout(&plan->x, p.type, p.in, p.rows, p.ld_x, p.batch, p.stride_x);
    if (!why)
        why = layout(&plan->y, p.y_type, p.out, p.rows, p.ld_y, p.batch, p.stride_y);
    return why ? why : choose(lt, plan, workspace_bytes);
}

const char *lt_plan_open(struct lt *lt, struct lt_plan **out, const lt_problem &problem, size_t workspace_bytes)
{
    *out = nullptr;
    struct lt_plan *plan = new (std::nothrow) lt_plan();
    if (!plan)
        return "out of memory";
    const char *why = describe(lt, plan, problem, workspace_bytes);
    if (why)
        lt_plan_close(plan);
    else
        *out = plan;
    return why;
}

void lt_plan_close(struct lt_plan *plan)
{
    if (!plan)
        return;
    for (cublasLtMatrixLayout_t l : {plan->w, plan->x, plan->y})
        if (l)
            cublasLtMatrixLayoutDestroy(l);
    if (plan->product)
        cublasLtMatmulDescDestroy(plan->product);
    delete plan;
}

const char *lt_run(struct lt *lt, struct lt_plan *plan, void *y, const void *x, const void *w, const void *bias, const void *c,
                   void *workspace, cudaStream_t stream)
{
    const float one = 1.f, beta = plan->accumulate ? 1.f : 0.f;
    if (plan->bias)
        ASK(cublasLtMatmulDescSetAttribute(plan->product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias));
    ASK(cublasLtMatmul(lt->handle, plan->product, &one, w, plan->w, x, plan->x, &beta, plan->accumulate ? c : y, plan->y, y,
                       plan->y, &plan->algorithm, workspace, plan->workspace_bytes, stream));
    return nullptr;
}
