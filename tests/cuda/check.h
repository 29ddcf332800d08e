/* SPDX-License-Identifier: MIT */
/* check.h - what the tests of the CUDA kernels share. They are programs of their own: the same source is compiled by a C++ compiler
 * for the emulator and by nvcc for a GPU, prints what it found, and exits with 1 if anything was wrong.
 *
 * The bound of a comparison is earned: the reference is a double-precision loop over the inputs as they were rounded, and a kernel may
 * be at most twice as far from it as a plain loop in the precision under test (after FlashAttention's tests), plus a few fp32 ulps. */
#ifndef LIMBER_CUDA_CHECK_H
#define LIMBER_CUDA_CHECK_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vector>

#include "../../cuda/kernels.h"

#ifndef __CUDACC__
#include "../../cuda/emu/ptx.h"
#endif

static int failures;
static uint64_t output_hash = 1469598103934665603ull; /* of everything a kernel wrote: equal for every schedule */

static inline uint64_t &random_state()
{
    static uint64_t s = 1;
    return s;
}
static inline float uniform() /* [-1, 1) */
{
    uint64_t &s = random_state();
    s = s * 6364136223846793005ull + 1442695040888963407ull;
    return (float)((int64_t)(s >> 33) - (1 << 30)) / (float)(1 << 30);
}
static inline float normal()
{
    float sum = 0;
    for (int i = 0; i < 6; i++)
        sum += uniform();
    return sum * 0.7071f;
}

static inline float round_to(float x, enum element type)
{
    uint32_t u;
    if (type == ELEMENT_F32)
        return x;
    memcpy(&u, &x, 4);
    int drop = type == ELEMENT_F16 ? 13 : 16;
    if (type == ELEMENT_F16 && fabsf(x) < 6.103515625e-05f)
        return rintf(x * 16777216.f) / 16777216.f; /* subnormal: steps of 2^-24 */
    u += (1u << (drop - 1)) - 1 + (u >> drop & 1);
    u &= ~((1u << drop) - 1);
    memcpy(&x, &u, 4);
    return type == ELEMENT_F16 && fabsf(x) > 65504.f ? copysignf(INFINITY, x) : x;
}
static inline void encode(void *p, size_t i, float x, enum element type)
{
    uint32_t u;
    x = round_to(x, type);
    memcpy(&u, &x, 4);
    if (type == ELEMENT_F32) {
        ((float *)p)[i] = x;
    } else if (type == ELEMENT_BF16) {
        ((uint16_t *)p)[i] = (uint16_t)(u >> 16);
    } else {
        uint32_t sign = u >> 16 & 0x8000, e = u >> 23 & 255, m = u & 0x7fffff;
        uint32_t h = e >= 143 ? 0x7c00 : e > 112 ? (e - 112) << 10 | m >> 13 : (uint32_t)(fabsf(x) * 16777216.f);
        ((uint16_t *)p)[i] = (uint16_t)(sign | h);
    }
}
static inline float decode(const void *p, size_t i, enum element type)
{
    if (type == ELEMENT_F32)
        return ((const float *)p)[i];
    uint16_t h = ((const uint16_t *)p)[i];
    uint32_t u = (uint32_t)h << 16;
    float f;
    if (type == ELEMENT_BF16) {
        memcpy(&f, &u, 4);
        return f;
    }
    int e = h >> 10 & 31, m = h & 1023;
    f = e == 31 ? (m ? NAN : INFINITY) : e ? ldexpf(1.f + (float)m / 1024.f, e - 15) : ldexpf((float)m, -24);
    return h & 0x8000 ? -f : f;
}
static inline const char *element_name(enum element t)
{
    return t == ELEMENT_F32 ? "f32" : t == ELEMENT_F16 ? "f16" : "bf16";
}

static inline void must(cudaError_t e, const char *what)
{
    if (e == cudaSuccess)
        return;
    printf("FAIL %s: %s: %s\n", what, cudaGetErrorName(e), cudaGetErrorString(e));
    exit(1);
}
static inline cudaStream_t stream()
{
    static cudaStream_t s;
    if (!s)
        must(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
    return s;
}

/* Numbers of one type on the device, with the host's view of them as rounded. */
struct Array {
    enum element type;
    size_t n;
    void *device = nullptr;
    std::vector<float> v;
    Array(size_t count, enum element t) : type(t), n(count), v(count, 0.f)
    {
        must(cudaMalloc((char **)&device, bytes()), "cudaMalloc");
    }
    Array(const Array &) = delete;
    ~Array()
    {
        cudaFree(device);
    }
    size_t bytes() const
    {
        return n * element_bytes(type);
    }
    template <class F> Array &fill(F value)
    {
        std::vector<unsigned char> raw(bytes() + 8);
        for (size_t i = 0; i < n; i++) {
            encode(raw.data(), i, value(i), type);
            v[i] = decode(raw.data(), i, type);
        }
        must(cudaMemcpyAsync(device, raw.data(), bytes(), cudaMemcpyHostToDevice, stream()), "upload");
        return *this;
    }
    const std::vector<float> &read()
    {
        std::vector<unsigned char> raw(bytes() + 8);
        must(cudaMemcpyAsync(raw.data(), device, bytes(), cudaMemcpyDeviceToHost, stream()), "download");
        must(cudaStreamSynchronize(stream()), "the kernel");
        for (size_t i = 0; i < bytes(); i++)
            output_hash = (output_hash ^ raw[i]) * 1099511628211ull;
        for (size_t i = 0; i < n; i++)
            v[i] = decode(raw.data(), i, type);
        return v;
    }
};
template <class T> struct Raw { /* plain data on the device */
    T *device = nullptr;
    explicit Raw(const std::vector<T> &v)
    {
        must(cudaMalloc((char **)&device, v.size() * sizeof(T)), "cudaMalloc");
        must(cudaMemcpyAsync(device, v.data(), v.size() * sizeof(T), cudaMemcpyHostToDevice, stream()), "upload");
    }
    Raw(const Raw &) = delete;
    ~Raw()
    {
        cudaFree(device);
    }
};

/* Worst errors of a result, of the plain loop, and the largest value, against the double loop. NaN is the worst there is. */
struct Worst {
    double error = 0, plain = 0, largest = 0;
    void add(double got, double plain_value, double want)
    {
        double e = fabs(got - want), q = fabs(plain_value - want);
        if (!(e <= error))
            error = e != e ? INFINITY : e;
        plain = q > plain ? q : plain;
        largest = fabs(want) > largest ? fabs(want) : largest;
    }
    double bound(double ulps) const
    {
        return 2 * plain + ulps * 1.2e-7 * (largest > 1 ? largest : 1);
    }
    bool ok(double ulps) const
    {
        return error <= bound(ulps);
    }
};
static inline void report(bool ok, const char *what)
{
    failures += !ok;
    printf("%s %s\n", ok ? "ok  " : "FAIL", what);
}
static inline int finish()
{
#ifndef __CUDACC__
    const auto &c = cuemu::S.count;
    printf("emulated: %llu launches, %llu blocks, %llu mma, %llu ldmatrix, bank conflicts %llu of %llu phases, %llu cp.async of "
           "%llu "
           "bytes, %llu shuffles, %llu barriers, %llu PTX instructions\n",
           (unsigned long long)c.launches, (unsigned long long)c.blocks, (unsigned long long)c.mma,
           (unsigned long long)c.ldmatrix, (unsigned long long)c.bank_conflicts, (unsigned long long)c.ldmatrix_phases,
           (unsigned long long)c.async_copies, (unsigned long long)c.async_bytes, (unsigned long long)c.shuffles,
           (unsigned long long)c.barriers, (unsigned long long)cuemu::ptx::instructions());
    failures += c.bank_conflicts != 0;
#endif
    printf("output hash %016llx\n%d failed\n", (unsigned long long)output_hash, failures);
    return failures != 0;
}

#endif
