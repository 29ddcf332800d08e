/* SPDX-License-Identifier: MIT */
/* runtime.h - the part of the CUDA runtime that limber calls, on the CPU, with the properties that hurt:
 *
 *   - streams are asynchronous: launches, copies and memsets are queued and run when something waits for them. A buffer freed, or a
 *     pinned block changed, before the stream got to it is found as it would be on a device;
 *   - a copy from pageable memory is staged at the call, from pinned memory it reads when its turn comes;
 *   - while a stream is being captured nothing runs; a graph keeps each operation with the arguments of that moment;
 *   - device memory is a block of exactly the size asked for, filled with NaN, out of a budget (CUEMU_MEMORY_MB, default 4096) that
 *     runs out like a device's;
 *   - waiting for a stream that is being captured, launching a graph that is not whole, ending a capture that never began are
 *     errors, with CUDA's own numbers and names.
 *
 * Where a program includes ptx.h and CUEMU_PTX names PTX files (separated by ':'), kernels run from them, not from their C++ source. */
#ifndef LIMBER_CUEMU_RUNTIME_H
#define LIMBER_CUEMU_RUNTIME_H

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <tuple>
#include <vector>

#include "cuemu.h"
#include "ptx_call.h"

enum cudaError_t {
    cudaSuccess = 0,
    cudaErrorInvalidValue = 1,
    cudaErrorMemoryAllocation = 2,
    cudaErrorInvalidConfiguration = 9,
    cudaErrorNoDevice = 100,
    cudaErrorInvalidDevice = 101,
    cudaErrorIllegalState = 401,
    cudaErrorStreamCaptureUnsupported = 900,
};
enum cudaMemcpyKind { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost = 2, cudaMemcpyDeviceToDevice = 3 };
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };
enum cudaStreamCaptureMode { cudaStreamCaptureModeThreadLocal = 1 };
enum { cudaStreamNonBlocking = 1 };
enum cudaDeviceAttr {
    cudaDevAttrMultiProcessorCount = 16,
    cudaDevAttrComputeCapabilityMajor = 75,
    cudaDevAttrComputeCapabilityMinor = 76,
    cudaDevAttrMaxSharedMemoryPerBlockOptin = 97,
};
struct cudaDeviceProp {
    char name[256];
    size_t totalGlobalMem;
};

namespace cuemu
{
typedef std::function<void()> Operation;
struct Stream {
    std::vector<Operation> queue, captured;
    bool capturing = false;
};
struct Graph {
    std::vector<Operation> operations;
};
struct Device {
    std::recursive_mutex lock; /* the emulator runs one block at a time for the whole process */
    std::map<void *, size_t> memory, pinned;
    std::vector<Stream *> streams;
    size_t used = 0;
    cudaError_t last = cudaSuccess;
    uint64_t graph_launches = 0;
};
inline Device &device()
{
    static Device d;
    return d;
}
typedef std::lock_guard<std::recursive_mutex> Guard;

inline cudaError_t fail(cudaError_t e)
{
    return device().last = e;
}
inline size_t memory_total()
{
    const char *mb = getenv("CUEMU_MEMORY_MB");
    return (mb ? strtoull(mb, nullptr, 10) : 4096) << 20;
}
inline void enqueue(Stream *s, Operation op)
{
    (s->capturing ? s->captured : s->queue).push_back(std::move(op));
}
inline void drain(Stream *s)
{
    std::vector<Operation> todo;
    todo.swap(s->queue);
    for (auto &op : todo)
        op();
}
inline bool is_pinned(const void *p)
{
    auto &pinned = device().pinned;
    auto at = pinned.upper_bound((void *)p);
    return at != pinned.begin() && (--at, (const char *)p < (const char *)at->first + at->second);
}

/* The compiled kernel, or its PTX twin. Arguments become what the kernel's signature says at once, as in a real launch. */
template <class... P, class... A>
inline void launch(const char *name, void (*kernel)(P...), dim3 grid, dim3 block, size_t shared, Stream *stream, A... args)
{
    Guard guard(device().lock);
    if (int e = launch_error(name, (const void *)kernel, grid, block, shared)) {
        fail((cudaError_t)e);
        return;
    }
    std::tuple<P...> values(args...);
    enqueue(stream, [=]() mutable {
        Guard running(device().lock);
        if (const ptx::Signature *program = ptx::find ? ptx::find((const void *)kernel) : nullptr) {
            std::vector<unsigned char> packed = ptx::pack(*program, values);
            ptx::Call call{program, packed.data(), shared};
            run_grid(
                name, grid, block, shared, [](void *c) { ptx::execute(*(ptx::Call *)c); }, &call);
        } else {
            auto body = [&] { std::apply(kernel, values); };
            run_grid(
                name, grid, block, shared, [](void *b) { (*(decltype(body) *)b)(); }, &body);
        }
    });
}
} // namespace cuemu

typedef cuemu::Stream *cudaStream_t;
typedef cuemu::Graph *cudaGraph_t;
typedef cuemu::Graph *cudaGraphExec_t;

static inline const char *cudaGetErrorName(cudaError_t e)
{
    switch (e) {
    case cudaSuccess:
        return "cudaSuccess";
    case cudaErrorInvalidValue:
        return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation:
        return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidConfiguration:
        return "cudaErrorInvalidConfiguration";
    case cudaErrorNoDevice:
        return "cudaErrorNoDevice";
    case cudaErrorInvalidDevice:
        return "cudaErrorInvalidDevice";
    case cudaErrorIllegalState:
        return "cudaErrorIllegalState";
    case cudaErrorStreamCaptureUnsupported:
        return "cudaErrorStreamCaptureUnsupported";
    }
    return "unknown error";
}
static inline const char *cudaGetErrorString(cudaError_t e)
{
    switch (e) {
    case cudaErrorMemoryAllocation:
        return "out of memory";
    case cudaErrorInvalidConfiguration:
        return "invalid configuration argument";
    case cudaErrorNoDevice:
        return "no CUDA-capable device is detected";
    case cudaErrorStreamCaptureUnsupported:
        return "operation not permitted when stream is capturing";
    default:
        return "emulated error";
    }
}
static inline cudaError_t cudaGetLastError()
{
    cudaError_t e = cuemu::device().last;
    cuemu::device().last = cudaSuccess;
    return e;
}

/* CUEMU_DEVICES=0 is a machine with a driver and no device. As the real call does, an error leaves *n alone. */
static inline cudaError_t cudaGetDeviceCount(int *n)
{
    const char *devices = getenv("CUEMU_DEVICES");
    if (devices && atoi(devices) == 0)
        return cuemu::fail(cudaErrorNoDevice);
    *n = 1;
    return cudaSuccess;
}
static inline cudaError_t cudaGetDevice(int *id)
{
    return *id = 0, cudaSuccess;
}
static inline cudaError_t cudaSetDevice(int id)
{
    return id == 0 ? cudaSuccess : cuemu::fail(cudaErrorInvalidDevice);
}
/* CUEMU_SM=75 pretends to be an older device. */
static inline int cuemu_sm()
{
    const char *sm = getenv("CUEMU_SM");
    return sm ? atoi(sm) : 80;
}
static inline cudaError_t cudaGetDeviceProperties(cudaDeviceProp *p, int)
{
    snprintf(p->name, sizeof p->name, "%s", "no device: kernels run on the CPU");
    p->totalGlobalMem = cuemu::memory_total();
    return cudaSuccess;
}
static inline cudaError_t cudaDeviceGetAttribute(int *v, cudaDeviceAttr a, int)
{
    switch (a) {
    case cudaDevAttrMultiProcessorCount:
        *v = 2;
        return cudaSuccess;
    case cudaDevAttrComputeCapabilityMajor:
        *v = cuemu_sm() / 10;
        return cudaSuccess;
    case cudaDevAttrComputeCapabilityMinor:
        *v = cuemu_sm() % 10;
        return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
        *v = (int)cuemu::S.shared_optin_max;
        return cudaSuccess;
    }
    return cuemu::fail(cudaErrorInvalidValue);
}
static inline cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total)
{
    cuemu::Guard guard(cuemu::device().lock);
    *total = cuemu::memory_total();
    *free_bytes = *total > cuemu::device().used ? *total - cuemu::device().used : 0;
    return cudaSuccess;
}
template <class T> static inline cudaError_t cudaMalloc(T **p, size_t n)
{
    cuemu::Guard guard(cuemu::device().lock);
    *p = nullptr;
    void *block = nullptr;
    if (n > cuemu::memory_total() || cuemu::device().used > cuemu::memory_total() - n || posix_memalign(&block, 256, n ? n : 1))
        return cuemu::fail(cudaErrorMemoryAllocation);
    memset(block, 0xFF, n);
    cuemu::device().memory[block] = n;
    cuemu::device().used += n;
    *p = (T *)block;
    return cudaSuccess;
}
static inline cudaError_t cudaFree(void *p)
{
    cuemu::Guard guard(cuemu::device().lock);
    auto &memory = cuemu::device().memory;
    if (!p)
        return cudaSuccess;
    auto at = memory.find(p);
    if (at == memory.end())
        return cuemu::fail(cudaErrorInvalidValue);
    for (auto *s : cuemu::device().streams) /* the real call waits for the device */
        cuemu::drain(s);
    cuemu::device().used -= at->second;
    memory.erase(at);
    free(p);
    return cudaSuccess;
}
template <class T> static inline cudaError_t cudaMallocHost(T **p, size_t n)
{
    cuemu::Guard guard(cuemu::device().lock);
    *p = (T *)malloc(n ? n : 1);
    if (!*p)
        return cuemu::fail(cudaErrorMemoryAllocation);
    cuemu::device().pinned[(void *)*p] = n;
    return cudaSuccess;
}
static inline cudaError_t cudaFreeHost(void *p)
{
    cuemu::Guard guard(cuemu::device().lock);
    if (p && !cuemu::device().pinned.erase(p))
        return cuemu::fail(cudaErrorInvalidValue);
    free(p);
    return cudaSuccess;
}
static inline cudaError_t cudaMemcpyAsync(void *dst, const void *src, size_t n, cudaMemcpyKind kind, cudaStream_t s)
{
    cuemu::Guard guard(cuemu::device().lock);
    bool pageable =
        (kind == cudaMemcpyHostToDevice && !cuemu::is_pinned(src)) || (kind == cudaMemcpyDeviceToHost && !cuemu::is_pinned(dst));
    if (pageable && s->capturing)
        return cuemu::fail(cudaErrorStreamCaptureUnsupported);
    if (pageable && kind == cudaMemcpyHostToDevice) { /* staged before the call returns */
        auto staged = std::make_shared<std::vector<unsigned char>>((const unsigned char *)src, (const unsigned char *)src + n);
        cuemu::enqueue(s, [=] { memcpy(dst, staged->data(), n); });
        return cudaSuccess;
    }
    cuemu::enqueue(s, [=] { memcpy(dst, src, n); });
    if (pageable) /* a copy to pageable memory returns when it is done */
        cuemu::drain(s);
    return cudaSuccess;
}
static inline cudaError_t cudaMemsetAsync(void *dst, int v, size_t n, cudaStream_t s)
{
    cuemu::Guard guard(cuemu::device().lock);
    cuemu::enqueue(s, [=] { memset(dst, v, n); });
    return cudaSuccess;
}
static inline cudaError_t cudaMemcpy2DAsync(void *dst, size_t dpitch, const void *src, size_t spitch, size_t width, size_t height,
                                            cudaMemcpyKind kind, cudaStream_t s)
{
    if (width > dpitch || width > spitch)
        return cuemu::fail(cudaErrorInvalidValue);
    for (size_t y = 0; y < height; y++)
        if (cudaError_t e = cudaMemcpyAsync((char *)dst + y * dpitch, (const char *)src + y * spitch, width, kind, s))
            return e;
    return cudaSuccess;
}
static inline cudaError_t cudaStreamCreateWithFlags(cudaStream_t *s, unsigned)
{
    cuemu::Guard guard(cuemu::device().lock);
    *s = new cuemu::Stream;
    cuemu::device().streams.push_back(*s);
    return cudaSuccess;
}
static inline cudaError_t cudaStreamSynchronize(cudaStream_t s)
{
    cuemu::Guard guard(cuemu::device().lock);
    if (s->capturing)
        return cuemu::fail(cudaErrorStreamCaptureUnsupported);
    cuemu::drain(s);
    return cudaSuccess;
}
static inline cudaError_t cudaStreamDestroy(cudaStream_t s)
{
    cuemu::Guard guard(cuemu::device().lock);
    auto &all = cuemu::device().streams;
    cuemu::drain(s);
    for (size_t i = 0; i < all.size(); i++)
        if (all[i] == s)
            all.erase(all.begin() + (long)i--);
    delete s;
    return cudaSuccess;
}
static inline cudaError_t cudaStreamBeginCapture(cudaStream_t s, cudaStreamCaptureMode)
{
    cuemu::Guard guard(cuemu::device().lock);
    if (s->capturing)
        return cuemu::fail(cudaErrorIllegalState);
    s->capturing = true;
    s->captured.clear();
    return cudaSuccess;
}
static inline cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t *g)
{
    cuemu::Guard guard(cuemu::device().lock);
    *g = nullptr;
    if (!s->capturing)
        return cuemu::fail(cudaErrorIllegalState);
    s->capturing = false;
    *g = new cuemu::Graph{std::move(s->captured)};
    s->captured.clear();
    return cudaSuccess;
}
static inline cudaError_t cudaGraphInstantiate(cudaGraphExec_t *e, cudaGraph_t g, unsigned long long = 0)
{
    *e = new cuemu::Graph(*g);
    return cudaSuccess;
}
static inline cudaError_t cudaGraphDestroy(cudaGraph_t g)
{
    return delete g, cudaSuccess;
}
static inline cudaError_t cudaGraphExecDestroy(cudaGraphExec_t e)
{
    return delete e, cudaSuccess;
}
static inline cudaError_t cudaGraphLaunch(cudaGraphExec_t e, cudaStream_t s)
{
    cuemu::Guard guard(cuemu::device().lock);
    if (s->capturing)
        return cuemu::fail(cudaErrorStreamCaptureUnsupported);
    for (auto &op : e->operations)
        cuemu::enqueue(s, op);
    cuemu::device().graph_launches++;
    return cudaSuccess;
}
template <class K> static inline cudaError_t cudaFuncSetAttribute(K kernel, cudaFuncAttribute, int bytes)
{
    cuemu::Guard guard(cuemu::device().lock);
    auto &S = cuemu::S;
    if ((size_t)bytes > S.shared_optin_max)
        return cuemu::fail(cudaErrorInvalidValue);
    for (int i = 0; i < S.optins; i++)
        if (S.optin[i].kernel == (const void *)kernel)
            return S.optin[i].bytes = (size_t)bytes, cudaSuccess;
    if (S.optins == sizeof S.optin / sizeof *S.optin)
        return cuemu::fail(cudaErrorInvalidValue);
    S.optin[S.optins++] = {(const void *)kernel, (size_t)bytes};
    return cudaSuccess;
}

#endif
