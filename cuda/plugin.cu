/* SPDX-License-Identifier: MIT */
/* plugin.cu - backend `cuda`: the table of src/compute/backend.h over the kernels beside this file. Built as a library of its own that the main
 * library opens with dlopen, and built a second time over the emulator (emu/), where tests run whole models through it.
 *
 *   device memory   BUF_STREAM and BUF_HEATMAP are fp32, BUF_OPERAND and BUF_QKV of the backend's type; rows are padded to multiples
 *                   of 8 elements, so that every row starts at a 16-byte boundary; what lies in the padding is never looked at
 *   one stream      a session has one; nothing waits but finish, buf_read and buf_write
 *   graphs          the first pass of a (people, variant) runs as it comes: that loads kernels, chooses algorithms, sizes scratch.
 *                   The second is recorded, from the third on it is played. Addresses inside a graph are the session's own
 *   no allocation   in a pass that has been seen: everything is sized at exec_open from what was packed and the largest pass; what a
 *                   pass finds too small nevertheless (a test's own shapes) grows, and recorded graphs are dropped with the old
 *                   address, as they are when a buffer is closed that they may read
 *   errors          the first since upload is kept, with the call's own text, operations after it do nothing, finish returns it
 *
 * Weights are uploaded as fp32 and rounded on the device. Of the results only joints come back, through pinned memory, and what
 * buf_read asks for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels.h"
#include "linear_lt.h"

extern "C" {
#include "compute/backend.h"
#include "base/error.h"
}

#ifdef __CUDACC__
static const char *const BACKEND_NAME = "cuda";
#else
static const char *const BACKEND_NAME = "cuda (emulated)";
#endif

static const size_t WORKSPACE_BYTES = 32u << 20; /* what cuBLASLt's fastest algorithms want on sm_90 */
static const int MAX_GRAPHS = 64, MAX_BATCH = 64;
static_assert(sizeof(limber_keypoint) == 3 * sizeof(float), "joints are downloaded as they are");

struct cuda_backend {
    struct backend base;
    struct lt *lt;
    enum element type;
    cudaStream_t stream; /* packing */
    /* of the packed model, a patch of a person: what exec_open and preferred_batch size by */
    size_t scratch_bytes, heat_bytes;
    int dim, widest, keypoints;
};

struct weight {
    enum { EMBED, LAYERNORM, LINEAR, SIMPLE, CLASSIC } kind;
    void *owned[8]; /* device memory */
    int count;
    int in, out, ld;           /* linear: w [out][ld] */
    void *w, *w2, *bias_typed; /* of the backend's type */
    float *bias, *bias2, *gain, *lut, *conv, *conv_bias;
    float eps;
    int dim, mid, keypoints, scale, ld_mid, patch_h, patch_w;
};

struct memory {
    void *p;
    size_t bytes;
    bool pinned;
};

struct plan {
    struct lt_problem problem;
    struct lt_plan *lt;
};

struct download { /* joints on their way to the caller's memory */
    limber_keypoint *to;
    int from, count;
};

struct graph {
    int people;
    uint64_t variant;
    enum { SEEN, READY, REFUSED } state;
    cudaGraphExec_t exec;
    struct download joints;
};

struct cuda_exec {
    struct exec base;
    struct cuda_backend *be;
    cudaStream_t stream;
    limber_error error;
    int max_people;
    struct memory crops, crops_pinned, joints, joints_pinned, scratch, staging, stats, masks, flip_pairs, workspace;
    int *flip_known; /* host copy of what flip_pairs holds */
    int flip_count;
    size_t crop_bytes;
    struct plan *plans;
    int plan_count, plan_room;
    struct graph graphs[MAX_GRAPHS];
    int graph_count;
    struct graph *recording;
    struct download pending;
};

struct cuda_buf {
    struct buf base;
    void *p;
    enum element type;
    int ld;
};

static int padded(int n)
{
    return (n + 7) / 8 * 8;
}
static size_t at_least_one(size_t n)
{
    return n ? n : 1;
}

/* ---- errors ---- */

static limber_status cuda_fail(limber_error *err, limber_status status, const char *what, cudaError_t e)
{
    cudaGetLastError(); /* so that the next launch is not blamed */
    return limber_fail(err, status, "cuda: %s: %s: %s", what, cudaGetErrorName(e), cudaGetErrorString(e));
}

/* Keeps the first error of a pass; true where there is none. */
static bool went_well(struct cuda_exec *ex, cudaError_t e, const char *what)
{
    if (e == cudaSuccess)
        return true;
    limber_error err;
    cuda_fail(&err, LIMBER_E_BACKEND, what, e);
    if (ex->error.status == LIMBER_OK)
        ex->error = err;
    return false;
}
static void wrong(struct cuda_exec *ex, const char *what, const char *why)
{
    if (ex->error.status == LIMBER_OK)
        limber_fail(&ex->error, LIMBER_E_BACKEND, "cuda: %s: %s", what, why);
}
static bool failed(const struct cuda_exec *ex)
{
    return ex->error.status != LIMBER_OK;
}

static double megabytes(size_t bytes)
{
    return (double)bytes / 1e6;
}

/* Out of memory: what for, how much, what there is, and what to lower. */
static limber_status no_memory(limber_error *err, const char *what, size_t bytes, int people, cudaError_t e)
{
    size_t free_bytes = 0, total = 0;
    cudaGetLastError();
    if (e != cudaErrorMemoryAllocation)
        return cuda_fail(err, LIMBER_E_BACKEND, what, e);
    cudaMemGetInfo(&free_bytes, &total);
    if (people > 1)
        return limber_fail(
            err, LIMBER_E_MEMORY,
            "cuda: %s of %d people need %.1f MB, %.1f of %.1f MB are free on the device: lower the batch (--batch %d)", what,
            people, megabytes(bytes), megabytes(free_bytes), megabytes(total), (people + 1) / 2);
    return limber_fail(
        err, LIMBER_E_MEMORY,
        "cuda: %s need %.1f MB, %.1f of %.1f MB are free on the device: use a smaller model, fp16 or bf16, or --backend cpu",
        what, megabytes(bytes), megabytes(free_bytes), megabytes(total));
}

/* ---- weights ---- */

static void cuda_weight_free(struct backend *, struct weight *w)
{
    if (!w)
        return;
    for (int i = 0; i < w->count; i++)
        cudaFree(w->owned[i]);
    free(w);
}

static cudaError_t take(struct weight *w, void **out, size_t bytes)
{
    cudaError_t e = cudaMalloc((char **)out, at_least_one(bytes));
    if (e == cudaSuccess)
        w->owned[w->count++] = *out;
    return e;
}

/* n floats as they are */
static cudaError_t keep(struct cuda_backend *be, struct weight *w, float **out, const float *src, size_t n)
{
    cudaError_t e = take(w, (void **)out, n * sizeof(float));
    return e == cudaSuccess ? cudaMemcpyAsync(*out, src, n * sizeof(float), cudaMemcpyHostToDevice, be->stream) : e;
}

/* [rows][cols] in the backend's type, rows `ld` apart */
static cudaError_t keep_typed(struct cuda_backend *be, struct weight *w, void **out, const float *src, int rows, int cols, int ld)
{
    float *plain = nullptr;
    const size_t n = (size_t)rows * (size_t)cols;
    cudaError_t e = take(w, out, (size_t)rows * (size_t)ld * element_bytes(be->type));
    if (e == cudaSuccess)
        e = cudaMalloc((char **)&plain, at_least_one(n * sizeof(float)));
    if (e == cudaSuccess)
        e = cudaMemcpyAsync(plain, src, n * sizeof(float), cudaMemcpyHostToDevice, be->stream);
    if (e == cudaSuccess)
        e = convert_launch(*out, be->type, ld, plain, ELEMENT_F32, cols, rows, cols, be->stream);
    if (e == cudaSuccess)
        e = cudaStreamSynchronize(be->stream);
    cudaFree(plain);
    return e;
}

static struct weight *weight_new(int kind)
{
    struct weight *w = (struct weight *)calloc(1, sizeof *w);
    if (w)
        w->kind = (decltype(w->kind))kind;
    return w;
}

static limber_status weight_out(struct cuda_backend *be, struct weight **out, struct weight *w, cudaError_t e, const char *what,
                                size_t bytes, limber_error *err)
{
    *out = nullptr;
    if (w && e == cudaSuccess)
        e = cudaStreamSynchronize(be->stream);
    if (w && e == cudaSuccess) {
        *out = w;
        return LIMBER_OK;
    }
    cuda_weight_free(&be->base, w);
    if (!w)
        return limber_fail(err, LIMBER_E_MEMORY, "cuda: out of memory packing %s", what);
    return no_memory(err, what, bytes, 1, e);
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static limber_status cuda_embed_pack(struct backend *base, struct weight **out, const struct embed_desc *d, limber_error *err)
{
    struct cuda_backend *be = (struct cuda_backend *)base;
    struct weight *w = weight_new(weight::EMBED);
    const int in = 3 * d->patch_h * d->patch_w, ld = padded(in);
    cudaError_t e = cudaSuccess;
    if (w) {
        w->patch_h = d->patch_h;
        w->patch_w = d->patch_w;
        w->in = in;
        w->out = w->dim = d->dim;
        w->ld = ld;
        e = keep_typed(be, w, &w->w, d->weight, d->dim, in, ld);
        if (e == cudaSuccess)
            e = keep(be, w, &w->bias, d->bias, (size_t)d->dim);
        if (e == cudaSuccess)
            e = keep(be, w, &w->lut, d->lut[0], 3 * 256);
    }
    limber_status st =
        weight_out(be, out, w, e, "the patch embedding's weights", (size_t)d->dim * (size_t)ld * element_bytes(be->type), err);
    if (st == LIMBER_OK) {
        be->dim = d->dim;
        be->scratch_bytes = larger(be->scratch_bytes, (size_t)ld * element_bytes(be->type));
    }
    return st;
}

static limber_status cuda_layernorm_pack(struct backend *base, struct weight **out, const struct layernorm_desc *d,
                                         limber_error *err)
{
    struct cuda_backend *be = (struct cuda_backend *)base;
    struct weight *w = weight_new(weight::LAYERNORM);
    cudaError_t e = cudaSuccess;
    if (w) {
        w->dim = d->dim;
        w->eps = d->eps;
        e = keep(be, w, &w->gain, d->gain, (size_t)d->dim);
        if (e == cudaSuccess)
            e = keep(be, w, &w->bias, d->bias, (size_t)d->dim);
    }
    return weight_out(be, out, w, e, "a layernorm's weights", (size_t)d->dim * 8, err);
}

static limber_status cuda_linear_pack(struct backend *base, struct weight **out, const struct linear_desc *d, limber_error *err)
{
    struct cuda_backend *be = (struct cuda_backend *)base;
    struct weight *w = weight_new(weight::LINEAR);
    cudaError_t e = cudaSuccess;
    if (w) {
        w->in = d->in;
        w->out = d->out;
        w->ld = padded(d->in);
        e = keep_typed(be, w, &w->w, d->weight, d->out, d->in, w->ld);
        if (e == cudaSuccess && d->bias) /* cuBLASLt wants a bias of its result's type */
            e = keep(be, w, &w->bias, d->bias, (size_t)d->out);
        if (e == cudaSuccess && d->bias)
            e = keep_typed(be, w, &w->bias_typed, d->bias, 1, d->out, padded(d->out));
    }
    limber_status st =
        weight_out(be, out, w, e, "a linear layer's weights", (size_t)d->in * (size_t)d->out * element_bytes(be->type), err);
    if (st == LIMBER_OK)
        be->widest = d->in > be->widest ? d->in : d->out > be->widest ? d->out : be->widest;
    return st;
}

/* weight [keypoints][dim][3][3] -> one row of dim numbers for each (tap, keypoint) */
static limber_status cuda_simple_head_pack(struct backend *base, struct weight **out, const struct simple_head_desc *d,
                                           limber_error *err)
{
    struct cuda_backend *be = (struct cuda_backend *)base;
    struct weight *w = weight_new(weight::SIMPLE);
    const size_t n = 9 * (size_t)d->keypoints * (size_t)d->dim;
    float *rows = (float *)malloc(at_least_one(n * sizeof *rows));
    cudaError_t e = cudaErrorMemoryAllocation;
    if (w && rows) {
        for (size_t k = 0; k < (size_t)d->keypoints; k++)
            for (size_t c = 0; c < (size_t)d->dim; c++)
                for (size_t tap = 0; tap < 9; tap++)
                    rows[(tap * (size_t)d->keypoints + k) * (size_t)d->dim + c] = d->weight[(k * (size_t)d->dim + c) * 9 + tap];
        w->in = w->dim = d->dim;
        w->keypoints = d->keypoints;
        w->out = 9 * d->keypoints;
        w->scale = d->scale;
        w->ld = padded(d->dim);
        e = keep_typed(be, w, &w->w, rows, w->out, d->dim, w->ld);
        if (e == cudaSuccess)
            e = keep(be, w, &w->bias, d->bias, (size_t)d->keypoints);
    }
    limber_status st = weight_out(be, out, w, e, "the head's weights", n * element_bytes(be->type), err);
    free(rows);
    if (st == LIMBER_OK) {
        be->keypoints = d->keypoints;
        be->heat_bytes = (size_t)d->scale * (size_t)d->scale * (size_t)d->keypoints * sizeof(float);
        be->scratch_bytes = larger(be->scratch_bytes, (size_t)padded(d->dim) * element_bytes(be->type) +
                                                          (size_t)padded((*out)->out) * sizeof(float));
    }
    return st;
}

/* deconv [in][mid][4][4] -> [parity][mid][(ty * 2 + tx) * in + c], kernel row 3 - py - 2 ty (head.cu) */
static cudaError_t keep_deconv(struct cuda_backend *be, struct weight *w, void **out, const float *deconv, int in, int mid)
{
    const size_t row = 4 * (size_t)in, n = 4 * (size_t)mid * row;
    float *rows = (float *)malloc(at_least_one(n * sizeof *rows));
    if (!rows)
        return cudaErrorMemoryAllocation;
    for (size_t parity = 0; parity < 4; parity++)
        for (size_t o = 0; o < (size_t)mid; o++)
            for (size_t tap = 0; tap < 4; tap++)
                for (size_t c = 0; c < (size_t)in; c++) {
                    const size_t ky = 3 - (parity >> 1) - 2 * (tap >> 1), kx = 3 - (parity & 1) - 2 * (tap & 1);
                    rows[(parity * (size_t)mid + o) * row + tap * (size_t)in + c] =
                        deconv[(c * (size_t)mid + o) * 16 + ky * 4 + kx];
                }
    cudaError_t e = keep_typed(be, w, out, rows, 4 * mid, (int)row, padded((int)row));
    free(rows);
    return e;
}

/* Bytes of one person's gathered pixels (of the first or the second convolution, whichever is more) and of its maps (of the second). */
static size_t gathered_bytes(const struct cuda_backend *be, size_t tokens, int dim, int mid)
{
    return larger(4 * tokens * (size_t)padded(4 * dim), 16 * tokens * (size_t)padded(4 * mid)) * element_bytes(be->type);
}
static size_t maps_bytes(const struct cuda_backend *be, size_t tokens, int mid)
{
    return 16 * tokens * (size_t)padded(mid) * element_bytes(be->type);
}

static limber_status cuda_classic_head_pack(struct backend *base, struct weight **out, const struct classic_head_desc *d,
                                            limber_error *err)
{
    struct cuda_backend *be = (struct cuda_backend *)base;
    struct weight *w = weight_new(weight::CLASSIC);
    const size_t mid = (size_t)d->mid;
    cudaError_t e = cudaSuccess;
    if (w) {
        w->in = w->dim = d->dim;
        w->mid = d->mid;
        w->ld_mid = padded(d->mid);
        w->keypoints = d->keypoints;
        e = keep_deconv(be, w, &w->w, d->deconv1, d->dim, d->mid);
        if (e == cudaSuccess)
            e = keep_deconv(be, w, &w->w2, d->deconv2, d->mid, d->mid);
        if (e == cudaSuccess)
            e = keep(be, w, &w->bias, d->bias1, mid);
        if (e == cudaSuccess)
            e = keep(be, w, &w->bias2, d->bias2, mid);
        if (e == cudaSuccess)
            e = keep(be, w, &w->conv, d->conv, (size_t)d->keypoints * mid);
        if (e == cudaSuccess)
            e = keep(be, w, &w->conv_bias, d->bias, (size_t)d->keypoints);
    }
    limber_status st =
        weight_out(be, out, w, e, "the head's weights", 16 * mid * ((size_t)d->dim + mid) * element_bytes(be->type), err);
    if (st == LIMBER_OK) {
        be->keypoints = d->keypoints;
        be->heat_bytes = 16 * (size_t)d->keypoints * sizeof(float);
        be->scratch_bytes = larger(be->scratch_bytes, gathered_bytes(be, 1, d->dim, d->mid) + maps_bytes(be, 1, d->mid));
    }
    return st;
}

static limber_status cuda_attention_check(struct backend *, const struct attention_args *a, limber_error *err)
{
    if (a->kind != ATTENTION_EXACT)
        return limber_fail(err, LIMBER_E_UNSUPPORTED,
                           "cuda: attention is exact here; its approximations (window, merge, pool) need --backend cpu");
    if (a->head_dim < 1 || a->head_dim > ATTENTION_MAX_HEAD_DIM)
        return limber_fail(err, LIMBER_E_UNSUPPORTED, "cuda: heads of %d numbers, 1 to %d can be computed", a->head_dim,
                           ATTENTION_MAX_HEAD_DIM);
    return LIMBER_OK;
}

/* As many people as half of the free memory holds, and no more than fill the device. */
static int cuda_preferred_batch(struct backend *base, int, const struct pass_shape *shape)
{
    const struct cuda_backend *be = (const struct cuda_backend *)base;
    const size_t typed = element_bytes(be->type), row = (size_t)be->dim * (4 + typed) + 2 * (size_t)be->widest * typed;
    const size_t person = (size_t)shape_tokens(shape) * row +
                          (size_t)shape_patches(shape) * (2 * be->heat_bytes + be->scratch_bytes) + shape_image_bytes(shape);
    size_t free_bytes = 0, total = 0;
    if (cudaMemGetInfo(&free_bytes, &total) != cudaSuccess || person == 0)
        return 1;
    const size_t fit = free_bytes / 2 / person;
    return fit < 1 ? 1 : fit > (size_t)MAX_BATCH ? MAX_BATCH : (int)fit;
}

static void cuda_close(struct backend *base)
{
    struct cuda_backend *be = (struct cuda_backend *)base;
    lt_close(be->lt);
    if (be->stream)
        cudaStreamDestroy(be->stream);
    free(be);
}

/* ---- a session ---- */

static void drop_graphs(struct cuda_exec *ex)
{
    for (int i = 0; i < ex->graph_count; i++)
        if (ex->graphs[i].exec)
            cudaGraphExecDestroy(ex->graphs[i].exec);
    ex->graph_count = 0;
}

static void release(struct memory *m)
{
    if (m->pinned)
        cudaFreeHost(m->p);
    else
        cudaFree(m->p);
    m->p = nullptr;
    m->bytes = 0;
}

static cudaError_t reserve(struct cuda_exec *ex, struct memory *m, size_t bytes)
{
    if (bytes <= m->bytes)
        return cudaSuccess;
    if (ex->recording) /* the pass before the recording has sized everything */
        return cudaErrorInvalidValue;
    cudaError_t e = cudaStreamSynchronize(ex->stream);
    drop_graphs(ex); /* they hold the old address */
    release(m);
    if (e == cudaSuccess)
        e = m->pinned ? cudaMallocHost((char **)&m->p, bytes) : cudaMalloc((char **)&m->p, bytes);
    if (e == cudaSuccess)
        m->bytes = bytes;
    return e;
}

static bool have(struct cuda_exec *ex, struct memory *m, size_t bytes, const char *what)
{
    cudaError_t e = reserve(ex, m, bytes);
    if (e != cudaSuccess && ex->error.status == LIMBER_OK)
        no_memory(&ex->error, what, bytes, ex->max_people, e);
    return e == cudaSuccess;
}

static void cuda_exec_close(struct exec *base)
{
    struct cuda_exec *ex = (struct cuda_exec *)base;
    if (!ex)
        return;
    if (ex->stream)
        cudaStreamSynchronize(ex->stream);
    drop_graphs(ex);
    for (int i = 0; i < ex->plan_count; i++)
        lt_plan_close(ex->plans[i].lt);
    free(ex->plans);
    free(ex->flip_known);
    for (struct memory *m : {&ex->crops, &ex->crops_pinned, &ex->joints, &ex->joints_pinned, &ex->scratch, &ex->staging,
                             &ex->stats, &ex->masks, &ex->flip_pairs, &ex->workspace})
        release(m);
    if (ex->stream)
        cudaStreamDestroy(ex->stream);
    cudaGetLastError();
    free(ex);
}

static limber_status cuda_exec_open(struct backend *base, struct exec **out, int, int max_people,
                                    const struct pass_shape *largest, limber_error *err)
{
    struct cuda_backend *be = (struct cuda_backend *)base;
    struct cuda_exec *ex = (struct cuda_exec *)calloc(1, sizeof *ex);
    *out = nullptr;
    if (!ex)
        return limber_fail(err, LIMBER_E_MEMORY, "cuda: out of memory opening a session");
    ex->base.ops = be->base.ops;
    ex->be = be;
    ex->max_people = max_people;
    ex->crops_pinned.pinned = ex->joints_pinned.pinned = true;
    const size_t crop_bytes = largest ? shape_image_bytes(largest) : 0,
                 scratch_bytes = largest ? (size_t)shape_patches(largest) * be->scratch_bytes : 0;
    const size_t people = (size_t)max_people, joints = people * (size_t)be->keypoints * 3 * sizeof(float);
    const struct {
        struct memory *m;
        size_t bytes;
        const char *what;
        int people;
    } needs[] = {
        {&ex->workspace, WORKSPACE_BYTES, "cuBLASLt's workspace", 1},
        {&ex->crops, people * crop_bytes, "the crops", max_people},
        {&ex->crops_pinned, people * crop_bytes, "the crops in pinned memory", max_people},
        {&ex->joints, joints, "the joints", max_people},
        {&ex->joints_pinned, joints, "the joints in pinned memory", max_people},
        {&ex->scratch, people * scratch_bytes, "the intermediate results", max_people},
        {&ex->flip_pairs, (size_t)be->keypoints * sizeof(int), "the joints' mirror images", 1},
    };
    cudaError_t e = cudaStreamCreateWithFlags(&ex->stream, cudaStreamNonBlocking);
    limber_status st = e == cudaSuccess ? LIMBER_OK : cuda_fail(err, LIMBER_E_BACKEND, "cudaStreamCreateWithFlags", e);
    for (auto &need : needs)
        if (st == LIMBER_OK && (e = reserve(ex, need.m, need.bytes)) != cudaSuccess)
            st = no_memory(err, need.what, need.bytes, need.people, e);
    if (st != LIMBER_OK)
        cuda_exec_close(&ex->base);
    else
        *out = &ex->base;
    return st;
}

static void cuda_buf_close(struct exec *base, struct buf *buf)
{
    struct cuda_buf *b = (struct cuda_buf *)buf;
    if (!b)
        return;
    drop_graphs((struct cuda_exec *)base);
    cudaFree(b->p);
    free(b);
}

static limber_status cuda_buf_open(struct exec *base, struct buf **out, enum buf_kind kind, int people, int tokens, int cols,
                                   limber_error *err)
{
    const struct cuda_exec *ex = (const struct cuda_exec *)base;
    struct cuda_buf *b = (struct cuda_buf *)calloc(1, sizeof *b);
    *out = nullptr;
    if (!b)
        return limber_fail(err, LIMBER_E_MEMORY, "cuda: out of memory opening a buffer");
    b->base.kind = kind;
    b->base.people = people;
    b->base.tokens = tokens;
    b->base.cols = cols;
    b->type = kind == BUF_STREAM || kind == BUF_HEATMAP ? ELEMENT_F32 : ex->be->type;
    b->ld = kind == BUF_HEATMAP ? tokens : padded(cols);
    const size_t rows = (size_t)people * (size_t)(kind == BUF_HEATMAP ? cols : tokens),
                 bytes = rows * (size_t)b->ld * element_bytes(b->type);
    cudaError_t e = cudaMalloc((char **)&b->p, at_least_one(bytes));
    if (e != cudaSuccess) {
        free(b);
        char what[96];
        snprintf(what, sizeof what, "the activations (%d tokens of %d numbers)", tokens, cols);
        return no_memory(err, what, bytes, people, e);
    }
    *out = &b->base;
    return LIMBER_OK;
}

static void cuda_buf_resize(struct exec *, struct buf *base, int tokens)
{
    struct cuda_buf *b = (struct cuda_buf *)base;
    base->tokens = tokens;
    if (base->kind == BUF_HEATMAP)
        b->ld = tokens;
}

static const struct cuda_buf *of(const struct buf *b)
{
    return (const struct cuda_buf *)b;
}

/* First row of the span's first person. */
static char *rows_at(const struct buf *b, struct span span)
{
    const size_t rows = (size_t)(b->kind == BUF_HEATMAP ? b->cols : b->tokens);
    return (char *)of(b)->p + (size_t)span.first * rows * (size_t)of(b)->ld * element_bytes(of(b)->type);
}
static int row_count(const struct buf *b, struct span span)
{
    return span.count * (b->kind == BUF_HEATMAP ? b->cols : b->tokens);
}
static int col_count(const struct buf *b)
{
    return b->kind == BUF_HEATMAP ? b->tokens : b->cols;
}

static void cuda_buf_read(struct exec *base, const struct buf *b, struct span span, float *dst)
{
    struct cuda_exec *ex = (struct cuda_exec *)base;
    const int rows = row_count(b, span), cols = col_count(b);
    const size_t bytes = (size_t)rows * (size_t)cols * sizeof(float);
    if (!have(ex, &ex->staging, bytes, "a buffer's plain copy"))
        return;
    cudaError_t e =
        convert_launch(ex->staging.p, ELEMENT_F32, cols, rows_at(b, span), of(b)->type, of(b)->ld, rows, cols, ex->stream);
    if (e == cudaSuccess)
        e = cudaMemcpyAsync(dst, ex->staging.p, bytes, cudaMemcpyDeviceToHost, ex->stream);
    if (e == cudaSuccess)
        e = cudaStreamSynchronize(ex->stream);
    went_well(ex, e, "reading a buffer");
}

static void cuda_buf_write(struct exec *base, struct buf *b, struct span span, const float *src)
{
    struct cuda_exec *ex = (struct cuda_exec *)base;
    const int rows = row_count(b, span), cols = col_count(b);
    const size_t bytes = (size_t)rows * (size_t)cols * sizeof(float);
    if (!have(ex, &ex->staging, bytes, "a buffer's plain copy"))
        return;
    cudaError_t e = cudaMemcpyAsync(ex->staging.p, src, bytes, cudaMemcpyHostToDevice, ex->stream);
    if (e == cudaSuccess)
        e = convert_launch(rows_at(b, span), of(b)->type, of(b)->ld, ex->staging.p, ELEMENT_F32, cols, rows, cols, ex->stream);
    if (e == cudaSuccess)
        e = cudaStreamSynchronize(ex->stream);
    went_well(ex, e, "writing a buffer");
}

/* ---- a pass ---- */

static void cuda_upload(struct exec *base, const uint8_t *crops, int people, size_t crop_bytes)
{
    struct cuda_exec *ex = (struct cuda_exec *)base;
    const size_t bytes = (size_t)people * crop_bytes;
    ex->error.status = LIMBER_OK;
    ex->pending.to = nullptr;
    ex->crop_bytes = crop_bytes;
    if (!have(ex, &ex->crops, bytes, "the crops") || !have(ex, &ex->crops_pinned, bytes, "the crops in pinned memory"))
        return;
    memcpy(ex->crops_pinned.p, crops, bytes); /* the stream is idle: finish has waited for the pass before */
    went_well(ex, cudaMemcpyAsync(ex->crops.p, ex->crops_pinned.p, bytes, cudaMemcpyHostToDevice, ex->stream),
              "uploading the crops");
}

static bool cuda_replay(struct exec *base, int people, uint64_t variant)
{
    struct cuda_exec *ex = (struct cuda_exec *)base;
    struct graph *g = nullptr;
    if (variant == 0 || failed(ex))
        return false;
    for (int i = 0; i < ex->graph_count; i++)
        if (ex->graphs[i].people == people && ex->graphs[i].variant == variant)
            g = &ex->graphs[i];
    if (!g) {
        if (ex->graph_count < MAX_GRAPHS) {
            g = &ex->graphs[ex->graph_count++];
            memset(g, 0, sizeof *g);
            g->people = people;
            g->variant = variant;
        }
        return false;
    }
    if (g->state == graph::SEEN &&
        went_well(ex, cudaStreamBeginCapture(ex->stream, cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture"))
        ex->recording = g;
    if (g->state != graph::READY)
        return false;
    went_well(ex, cudaGraphLaunch(g->exec, ex->stream), "cudaGraphLaunch");
    ex->pending = g->joints;
    return true;
}

static void cuda_split(struct exec *ex, int people, span_fn fn, void *context)
{
    struct span all = {0, people, nullptr};
    fn(context, ex, all);
}

/* What was captured becomes a graph and runs; what went wrong on the way is not tried again. */
static void end_recording(struct cuda_exec *ex)
{
    struct graph *g = ex->recording;
    cudaGraph_t recorded = nullptr;
    ex->recording = nullptr;
    bool good = went_well(ex, cudaStreamEndCapture(ex->stream, &recorded), "cudaStreamEndCapture") && !failed(ex);
    good = good && went_well(ex, cudaGraphInstantiate(&g->exec, recorded, 0), "cudaGraphInstantiate");
    good = good && went_well(ex, cudaGraphLaunch(g->exec, ex->stream), "cudaGraphLaunch");
    if (recorded)
        cudaGraphDestroy(recorded);
    g->state = good ? graph::READY : graph::REFUSED;
    g->joints = ex->pending;
}

static limber_status cuda_finish(struct exec *base, limber_error *err)
{
    struct cuda_exec *ex = (struct cuda_exec *)base;
    if (ex->recording)
        end_recording(ex);
    went_well(ex, cudaStreamSynchronize(ex->stream), "a kernel or copy of this pass");
    if (!failed(ex) && ex->pending.to)
        memcpy(ex->pending.to + ex->pending.from, (const limber_keypoint *)ex->joints_pinned.p + ex->pending.from,
               (size_t)ex->pending.count * sizeof(limber_keypoint));
    ex->pending.to = nullptr;
    const limber_status st = ex->error.status;
    if (st != LIMBER_OK && err)
        *err = ex->error;
    ex->error.status = LIMBER_OK;
    return st;
}

/* ---- operations ---- */

static bool same(const struct lt_problem &a, const struct lt_problem &b)
{
    return a.rows == b.rows && a.out == b.out && a.in == b.in && a.batch == b.batch && a.ld_x == b.ld_x && a.ld_w == b.ld_w &&
           a.ld_y == b.ld_y && a.stride_x == b.stride_x && a.stride_w == b.stride_w && a.stride_y == b.stride_y &&
           a.type == b.type && a.y_type == b.y_type && a.bias == b.bias && a.accumulate == b.accumulate;
}

/* A matrix product, planned once. */
static void product(struct cuda_exec *ex, const struct lt_problem &problem, void *y, const void *x, const void *w,
                    const void *bias, const void *c)
{
    struct plan *plan = nullptr;
    for (int i = 0; i < ex->plan_count && !plan; i++)
        if (same(ex->plans[i].problem, problem))
            plan = &ex->plans[i];
    if (!plan) {
        if (ex->plan_count == ex->plan_room) {
            const int room = ex->plan_room ? 2 * ex->plan_room : 16;
            struct plan *more = (struct plan *)realloc(ex->plans, (size_t)room * sizeof *more);
            if (!more)
                return wrong(ex, "planning a matrix product", "out of memory");
            ex->plans = more;
            ex->plan_room = room;
        }
        struct lt_plan *made = nullptr;
        if (const char *why = lt_plan_open(ex->be->lt, &made, problem, ex->workspace.bytes)) {
            char what[96];
            snprintf(what, sizeof what, "a product of [%d][%d] with [%d][%d]", problem.rows, problem.in, problem.out, problem.in);
            return wrong(ex, what, why);
        }
        plan = &ex->plans[ex->plan_count++];
        plan->problem = problem;
        plan->lt = made;
    }
    if (const char *why = lt_run(ex->be->lt, plan->lt, y, x, w, bias, c, ex->workspace.p, ex->stream))
        wrong(ex, "a matrix product", why);
}

static void cuda_embed(struct exec *base, struct span span, struct buf *x, const struct weight *w, const struct buf *positions,
                       const struct pass_shape *s, bool mirrored)
{
    struct cuda_exec *ex = (struct cuda_exec *)base;
    const int patches = shape_patches(s), others = s->before + s->after;
    if (failed(ex) || !have(ex, &ex->scratch, (size_t)span.count * (size_t)patches * (size_t)w->ld * element_bytes(ex->be->type),
                            "the patches"))
        return;
    if (x->kind != BUF_STREAM || x->tokens != shape_tokens(s) || x->cols != w->dim || positions->kind != BUF_STREAM ||
        positions->tokens != x->tokens || positions->cols != x->cols || !ex->crops.p)
        return wrong(ex, "embed", "the stream's or the positions' shape is not the pass's, or nothing was uploaded");
    struct embed_params p = {};
    p.crops = (const uint8_t *)ex->crops.p + (size_t)span.first * ex->crop_bytes;
    p.crop_bytes = ex->crop_bytes;
    p.lut = w->lut;
    p.bias = w->bias;
    p.positions = (const float *)of(positions)->p;
    p.ld_positions = of(positions)->ld;
    p.patches = ex->scratch.p;
    p.x = (float *)rows_at(x, span);
    p.people = span.count;
    p.image_h = s->image_h;
    p.image_w = s->image_w;
    p.patch_h = w->patch_h;
    p.patch_w = w->patch_w;
    p.pad = s->pad;
    p.before = s->before;
    p.grid_h = s->grid_h;
    p.grid_w = s->grid_w;
    p.after = s->after;
    p.dim = w->dim;
    p.ld_patches = w->ld;
    p.ld_x = of(x)->ld;
    p.mirrored = mirrored;
    if (!went_well(ex, embed_launch(p, ex->be->type, ex->stream), "embed"))
        return;
    /* with other tokens between the patches of two people: one person after the other */
    const struct lt_problem problem = {.rows = others ? patches : span.count * patches,
                                       .out = w->out,
                                       .in = w->in,
                                       .ld_x = w->ld,
                                       .ld_w = w->ld,
                                       .ld_y = of(x)->ld,
                                       .type = ex->be->type,
                                       .y_type = ELEMENT_F32,
                                       .accumulate = true};
    for (int person = 0; person < (others ? span.count : 1); person++) {
        float *const to = p.x + ((size_t)person * (size_t)x->tokens + (size_t)s->before) * (size_t)of(x)->ld;
        const char *const from =
            (const char *)p.patches + (size_t)person * (size_t)patches * (size_t)w->ld * element_bytes(ex->be->type);
        product(ex, problem, to, from, w->w, nullptr, to);
    }
}

static void cuda_layernorm(struct exec *base, struct span span, struct buf *y, const struct buf *x, const struct weight *w)
{
    struct cuda_exec *ex = (struct cuda_exec *)base;
    if (failed(ex))
        return;
    if (x->kind != BUF_STREAM || x->cols != w->dim || y->cols != w->dim || y->tokens != x->tokens)
        return wrong(ex, "layernorm", "it reads a stream, and both buffers have its width");
    went_well(ex,
              layernorm_launch(rows_at(y, span), of(y)->type, of(y)->ld, (const float *)rows_at(x, span), of(x)->ld, w->gain,
                               w->bias, row_count(x, span), w->dim, w->eps, ex->stream),
              "layernorm");
}

static void cuda_linear(struct exec *base, struct span span, struct buf *y, const struct buf *x, const struct weight *w,
                        enum activation act, const struct buf *residual)
{
    struct cuda_exec *ex = (struct cuda_exec *)base;
    if (failed(ex))
        return;
    if (x->cols != w->in || y->cols != w->out || of(x)->type != ex->be->type || y->tokens != x->tokens ||
        (residual && (of(residual)->type != of(y)->type || residual->cols != y->cols)))
        return wrong(ex, "linear", "a buffer's width or type is not the layer's");
    const int rows = row_count(x, span);
    void *const to = rows_at(y, span);
    const void *const add = residual ? rows_at(residual, span) : nullptr;
    const bool plain = act == ACT_NONE;
    const struct lt_problem problem = {.rows = rows,
                                       .out = w->out,
                                       .in = w->in,
                                       .ld_x = of(x)->ld,
                                       .ld_w = w->ld,
                                       .ld_y = of(y)->ld,
                                       .type = ex->be->type,
                                       .y_type = of(y)->type,
                                       .bias = plain && w->bias,
                                       .accumulate = plain && add};
    if (plain)
        return product(ex, problem, to, rows_at(x, span), w->w, of(y)->type == ELEMENT_F32 ? (void *)w->bias : w->bias_typed,
                       add);
    /* bias and activation follow in a pass of their own; what is added afterwards must not be overwritten before */
    void *between = to;
    if (add) {
        if (!have(ex, &ex->scratch, (size_t)rows * (size_t)of(y)->ld * element_bytes(of(y)->type),
                  "a layer's result before its activation"))
            return;
        between = ex->scratch.p;
    }
    product(ex, problem, between, rows_at(x, span), w->w, nullptr, nullptr);
    went_well(ex,
              activate_launch(to, between, w->bias, add, act == ACT_RELU ? ACTIVATE_RELU : ACTIVATE_GELU, of(y)->type, rows,
                              w->out, of(y)->ld, ex->stream),
              "bias and activation");
}

static void cuda_attention(struct exec *base, struct span span, struct buf *y, const struct buf *qkv,
                           const struct attention_args *a)
{
    struct cuda_exec *ex = (struct cuda_exec *)base;
    const struct attention_stats *stats = a->stats;
    const size_t tokens = (size_t)qkv->tokens, dim = (size_t)a->heads * (size_t)a->head_dim;
    const size_t width = stats ? 4 + (size_t)stats->classes : 0, person = (size_t)a->heads * tokens * width;
    if (failed(ex))
        return;
    if (qkv->kind != BUF_QKV || (size_t)qkv->cols != 3 * dim || (size_t)y->cols != dim || of(y)->type != of(qkv)->type)
        return wrong(ex, "attention", "a buffer's width or type is not heads * head_dim's");
    struct attention_params p = {};
    p.qkv = rows_at(qkv, span);
    p.out = rows_at(y, span);
    p.people = span.count;
    p.tokens = qkv->tokens;
    p.heads = a->heads;
    p.head_dim = a->head_dim;
    p.ld_qkv = of(qkv)->ld;
    p.ld_out = of(y)->ld;
    p.scale = 1.f / sqrtf((float)a->head_dim);
    if (stats) {
        const size_t masks = (size_t)span.count * tokens;
        if (!have(ex, &ex->stats, (size_t)span.count * person * sizeof(float), "the attention statistics") ||
            !have(ex, &ex->masks, masks, "the limb masks"))
            return;
        if (stats->classes && !went_well(ex,
                                         cudaMemcpyAsync(ex->masks.p, stats->masks + (size_t)span.first * tokens, masks,
                                                         cudaMemcpyHostToDevice, ex->stream),
                                         "uploading the limb masks"))
            return;
        p.stats = (float *)ex->stats.p;
        p.masks = stats->classes ? (const uint8_t *)ex->masks.p : nullptr;
        p.classes = stats->classes;
        p.grid_w = a->grid_w;
        p.include_self = stats->include_self;
    }
    if (went_well(ex, attention_launch(p, of(qkv)->type, ex->stream), "attention") && stats)
        went_well(ex,
                  cudaMemcpyAsync(stats->out + (size_t)span.first * person, ex->stats.p,
                                  (size_t)span.count * person * sizeof(float), cudaMemcpyDeviceToHost, ex->stream),
                  "downloading the attention statistics");
}

static void cuda_add(struct exec *base, struct span span, struct buf *x, const struct buf *positions)
{
    struct cuda_exec *ex = (struct cuda_exec *)base;
    if (failed(ex))
        return;
    if (x->kind != BUF_STREAM || positions->kind != BUF_STREAM || positions->tokens != x->tokens || positions->cols != x->cols)
        return wrong(ex, "add", "the positions are not shaped as the stream");
    went_well(ex,
              add_launch((float *)rows_at(x, span), (const float *)of(positions)->p, span.count, x->tokens, x->cols, of(x)->ld,
                         ex->stream),
              "adding positions");
}

static void cuda_rows(struct exec *base, struct span span, struct buf *y, const struct buf *x, int first)
{
    struct cuda_exec *ex = (struct cuda_exec *)base;
    if (failed(ex))
        return;
    if (x->kind != BUF_STREAM || y->kind != BUF_STREAM || y->cols != x->cols || first < 0 || y->tokens > x->tokens - first)
        return wrong(ex, "rows", "a stream has not that many tokens, or another width");
    const size_t row = (size_t)of(x)->ld * sizeof(float), taken = (size_t)y->tokens * row;
    went_well(ex,
              cudaMemcpy2DAsync(rows_at(y, span), taken, rows_at(x, span) + (size_t)first * row, (size_t)x->tokens * row, taken,
                                (size_t)span.count, cudaMemcpyDeviceToDevice, ex->stream),
              "taking rows of a stream");
}

static void simple_forward(struct cuda_exec *ex, struct span span, struct buf *heat, const struct buf *x, const struct weight *w,
                           const struct pass_shape *s)
{
    const int rows = row_count(x, span), ld_products = padded(w->out);
    const size_t typed = (size_t)rows * (size_t)of(x)->ld * element_bytes(of(x)->type); /* a multiple of 16 */
    if (!have(ex, &ex->scratch, typed + (size_t)rows * (size_t)ld_products * sizeof(float), "the head's intermediate results"))
        return;
    void *const features = ex->scratch.p;
    float *const products = (float *)((char *)ex->scratch.p + typed);
    if (!went_well(ex,
                   activate_launch(features, rows_at(x, span), nullptr, nullptr, ACTIVATE_RELU, of(x)->type, rows, w->dim,
                                   of(x)->ld, ex->stream),
                   "the head's ReLU"))
        return;
    const struct lt_problem problem = {.rows = rows,
                                       .out = w->out,
                                       .in = w->in,
                                       .ld_x = of(x)->ld,
                                       .ld_w = w->ld,
                                       .ld_y = ld_products,
                                       .type = ex->be->type,
                                       .y_type = ELEMENT_F32};
    product(ex, problem, products, features, w->w, nullptr, nullptr);
    went_well(ex,
              simple_head_launch((float *)rows_at(heat, span), products, ld_products, w->bias, span.count, s->grid_h, s->grid_w,
                                 w->scale, w->keypoints, ex->stream),
              "the simple head");
}

/* maps [4][people * pixels][ld_mid] = gathered [4][people * pixels][4 in] x w [4][mid][4 in]^T */
static void deconvolve(struct cuda_exec *ex, void *maps, const void *gathered, const void *w, int rows, int in, int mid,
                       int ld_mid)
{
    const int ld = padded(4 * in);
    const struct lt_problem problem = {.rows = rows,
                                       .out = mid,
                                       .in = 4 * in,
                                       .ld_x = 4 * in,
                                       .ld_w = ld,
                                       .ld_y = ld_mid,
                                       .type = ex->be->type,
                                       .y_type = ex->be->type,
                                       .batch = 4,
                                       .stride_x = (long long)rows * 4 * in,
                                       .stride_w = (long long)mid * ld,
                                       .stride_y = (long long)rows * ld_mid};
    product(ex, problem, maps, gathered, w, nullptr, nullptr);
}

static void classic_forward(struct cuda_exec *ex, struct span span, struct buf *heat, const struct buf *x, const struct weight *w,
                            const struct pass_shape *s)
{
    const size_t tokens = (size_t)x->tokens, people = (size_t)span.count;
    const size_t gathered_size = people * gathered_bytes(ex->be, tokens, w->dim, w->mid);
    if (!have(ex, &ex->scratch, gathered_size + people * maps_bytes(ex->be, tokens, w->mid), "the head's intermediate results"))
        return;
    void *const gathered = ex->scratch.p, *const maps = (char *)ex->scratch.p + gathered_size;
    const enum element type = ex->be->type;
    const parity_maps first = {maps, w->bias, s->grid_h, s->grid_w, w->mid, w->ld_mid};
    const parity_maps second = {maps, w->bias2, 2 * s->grid_h, 2 * s->grid_w, w->mid, w->ld_mid};
    if (!went_well(
            ex,
            gather_rows_launch(gathered, rows_at(x, span), of(x)->ld, type, span.count, s->grid_h, s->grid_w, w->dim, ex->stream),
            "the classic head"))
        return;
    deconvolve(ex, maps, gathered, w->w, span.count * x->tokens, w->dim, w->mid, w->ld_mid);
    if (!went_well(ex, gather_maps_launch(gathered, first, type, span.count, ex->stream), "the classic head's second layer"))
        return;
    deconvolve(ex, maps, gathered, w->w2, 4 * span.count * x->tokens, w->mid, w->mid, w->ld_mid);
    went_well(ex,
              classic_head_launch((float *)rows_at(heat, span), second, w->conv, w->conv_bias, type, span.count, w->keypoints,
                                  ex->stream),
              "the classic head's last layer");
}

static void cuda_head(struct exec *base, struct span span, struct buf *heat, const struct buf *x, const struct weight *w,
                      const struct pass_shape *s)
{
    struct cuda_exec *ex = (struct cuda_exec *)base;
    const int enlarged = w->kind == weight::SIMPLE ? w->scale * w->scale : 16;
    if (failed(ex))
        return;
    if (of(x)->type != ex->be->type || x->cols != w->dim || x->tokens != shape_patches(s) || s->before || s->after ||
        heat->cols != w->keypoints || heat->tokens != enlarged * x->tokens)
        return wrong(ex, "head", "a buffer's shape is not the head's");
    if (w->kind == weight::SIMPLE)
        simple_forward(ex, span, heat, x, w, s);
    else
        classic_forward(ex, span, heat, x, w, s);
}

static void cuda_decode(struct exec *base, struct span span, const struct buf *heat, const struct buf *mirrored,
                        const struct decode_args *a)
{
    struct cuda_exec *ex = (struct cuda_exec *)base;
    const int keypoints = heat->cols;
    const size_t joints = (size_t)span.count * (size_t)keypoints, first = (size_t)span.first * (size_t)keypoints;
    const size_t bytes = (first + joints) * sizeof(limber_keypoint), flip_bytes = (size_t)keypoints * sizeof(int);
    if (failed(ex) || !have(ex, &ex->joints, bytes, "the joints") ||
        !have(ex, &ex->joints_pinned, bytes, "the joints in pinned memory"))
        return;
    if (mirrored && (ex->flip_count != keypoints || memcmp(ex->flip_known, a->flip_pairs, flip_bytes) != 0)) {
        int *known = (int *)realloc(ex->flip_known, flip_bytes);
        if (!known)
            return wrong(ex, "decode", "out of memory");
        ex->flip_known = known;
        if (!have(ex, &ex->flip_pairs, flip_bytes, "the joints' mirror images"))
            return;
        memcpy(known, a->flip_pairs, flip_bytes);
        ex->flip_count = keypoints;
        if (!went_well(ex, cudaMemcpyAsync(ex->flip_pairs.p, known, flip_bytes, cudaMemcpyHostToDevice, ex->stream),
                       "uploading the joints' mirror images"))
            return;
    }
    float *const to = (float *)ex->joints.p + 3 * first;
    if (!went_well(ex,
                   decode_launch(to, (const float *)rows_at(heat, span),
                                 mirrored ? (const float *)rows_at(mirrored, span) : nullptr, (const int *)ex->flip_pairs.p,
                                 span.count, keypoints, a->map_h, a->map_w, ex->stream),
                   "decode"))
        return;
    went_well(ex,
              cudaMemcpyAsync((float *)ex->joints_pinned.p + 3 * first, to, joints * sizeof(limber_keypoint),
                              cudaMemcpyDeviceToHost, ex->stream),
              "downloading the joints");
    const bool more = ex->pending.to == a->joints; /* of the same pass: spans follow each other */
    const int end = more ? ex->pending.from + ex->pending.count : 0, last = (int)(first + joints);
    ex->pending.from = more && ex->pending.from < (int)first ? ex->pending.from : (int)first;
    ex->pending.count = (end > last ? end : last) - ex->pending.from;
    ex->pending.to = a->joints;
}

/* ---- the table and the door ---- */

static const struct backend_ops *table()
{
    static const struct backend_ops ops = {
        .name = BACKEND_NAME,
        .close = cuda_close,
        .embed_pack = cuda_embed_pack,
        .layernorm_pack = cuda_layernorm_pack,
        .linear_pack = cuda_linear_pack,
        .simple_head_pack = cuda_simple_head_pack,
        .classic_head_pack = cuda_classic_head_pack,
        .weight_free = cuda_weight_free,
        .attention_check = cuda_attention_check,
        .preferred_batch = cuda_preferred_batch,
        .exec_open = cuda_exec_open,
        .exec_close = cuda_exec_close,
        .buf_open = cuda_buf_open,
        .buf_close = cuda_buf_close,
        .buf_resize = cuda_buf_resize,
        .buf_read = cuda_buf_read,
        .buf_write = cuda_buf_write,
        .upload = cuda_upload,
        .replay = cuda_replay,
        .split = cuda_split,
        .finish = cuda_finish,
        .embed = cuda_embed,
        .layernorm = cuda_layernorm,
        .linear = cuda_linear,
        .attention = cuda_attention,
        .add = cuda_add,
        .rows = cuda_rows,
        .head = cuda_head,
        .decode = cuda_decode,
    };
    return &ops;
}

/* Is there a device, and can it compute in this precision? Its description goes to `about`. */
static limber_status device_check(enum precision precision, char *about, size_t about_size, limber_error *err)
{
    int devices = 0, device = 0, major = 0, minor = 0;
    if (precision != PRECISION_FP32 && precision != PRECISION_FP16 && precision != PRECISION_BF16)
        return limber_fail(err, LIMBER_E_UNSUPPORTED, "cuda computes in fp16, bf16 or fp32");
    cudaDeviceProp properties;
    cudaError_t e = cudaGetDeviceCount(&devices);
    if (e != cudaSuccess)
        return cuda_fail(err, LIMBER_E_UNSUPPORTED, "no device", e);
    if (devices < 1)
        return limber_fail(err, LIMBER_E_UNSUPPORTED, "cuda: the driver reports no device");
    e = cudaGetDevice(&device);
    if (e == cudaSuccess)
        e = cudaGetDeviceProperties(&properties, device);
    if (e == cudaSuccess)
        e = cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
    if (e == cudaSuccess)
        e = cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device);
    if (e != cudaSuccess)
        return cuda_fail(err, LIMBER_E_UNSUPPORTED, "asking the device what it is", e);
    snprintf(about, about_size, "%s, compute capability %d.%d, %.1f GB", properties.name, major, minor,
             (double)properties.totalGlobalMem / 1e9);
    if (major * 10 + minor < 75)
        return limber_fail(err, LIMBER_E_UNSUPPORTED, "cuda: %s: 7.5 (Turing) or later is needed", about);
    if (precision == PRECISION_BF16 && major < 8)
        return limber_fail(err, LIMBER_E_UNSUPPORTED, "cuda: %s: bf16 needs 8.0 (Ampere) or later; use fp16", about);
    return LIMBER_OK;
}

/* The one exported symbol. out NULL: only asks; err then receives the device's description where the answer is yes. */
extern "C" __attribute__((visibility("default"))) limber_status limber_cuda_plugin(int abi, struct backend **out,
                                                                                   enum precision precision, limber_error *err)
{
    char about[384];
    if (out)
        *out = nullptr;
    if (abi != BACKEND_ABI)
        return limber_fail(
            err, LIMBER_E_UNSUPPORTED,
            "cuda: the plugin speaks version %d of the backend table, the library %d: they are of different builds", BACKEND_ABI,
            abi);
    limber_status st = device_check(precision, about, sizeof about, err);
    if (st != LIMBER_OK)
        return st;
    if (!out) {
        limber_fail(err, LIMBER_OK, "%s", about);
        return LIMBER_OK;
    }
    struct cuda_backend *be = (struct cuda_backend *)calloc(1, sizeof *be);
    if (!be)
        return limber_fail(err, LIMBER_E_MEMORY, "cuda: out of memory");
    be->base.ops = table();
    be->base.precision = precision;
    be->type = precision == PRECISION_FP16 ? ELEMENT_F16 : precision == PRECISION_BF16 ? ELEMENT_BF16 : ELEMENT_F32;
    cudaError_t e = cudaStreamCreateWithFlags(&be->stream, cudaStreamNonBlocking);
    if (e != cudaSuccess)
        st = cuda_fail(err, LIMBER_E_BACKEND, "cudaStreamCreateWithFlags", e);
    else if (const char *why = lt_open(&be->lt))
        st = limber_fail(err, LIMBER_E_BACKEND, "cuda: %s", why);
    if (st != LIMBER_OK)
        cuda_close(&be->base);
    else
        *out = &be->base;
    return st;
}
