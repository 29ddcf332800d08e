/* SPDX-License-Identifier: MIT */
/* tensor.h - the emulated twins of the instructions in ../tile_ops.cuh: 16-bit numbers, mma, ldmatrix, cp.async.
 *
 * Fragment layouts are the published ones (PTX ISA, "Matrix Fragments for mma.m16n8k16"; CUTLASS mma_traits_sm80.hpp): with
 * g = lane / 4 and t = lane % 4,
 *   A  m16 x k16   register r, half v: row g + 8 (r & 1), column 2 t + v + 8 (r >> 1)
 *   B  k16 x n8    register r, half v: row 2 t + v + 8 r, column g
 *   C  m16 x n8    register r:         row g + 8 (r >> 1), column 2 t + (r & 1)
 * tests/cuda/test_fragments.cu puts a one at every place and asks.
 *
 * Sums are kept in fp32, product by product. CUEMU_MMA_RZ=1 adds as pessimistically as is reported for sm_80: eight products at a
 * time are aligned to the largest exponent, 24 bits are kept, the rest is cut off. The tests' bounds hold for both. */
#ifndef LIMBER_CUEMU_TENSOR_H
#define LIMBER_CUEMU_TENSOR_H

#include "cuemu.h"

namespace cuemu
{
/* ---- numbers: round to nearest even, bit for bit what cvt.rn does ---- */

static inline uint32_t bits_of(float f)
{
    uint32_t u;
    memcpy(&u, &f, 4);
    return u;
}
static inline float float_of(uint32_t u)
{
    float f;
    memcpy(&f, &u, 4);
    return f;
}
static inline uint16_t to_f16(float f)
{
    uint32_t x = bits_of(f), sign = x >> 16 & 0x8000;
    x &= 0x7fffffff;
    if (x > 0x7f800000)
        return 0x7fff; /* the canonical NaN */
    if (x >= 0x477ff000)
        return (uint16_t)(sign | 0x7c00);
    if (x < 0x38800000) { /* subnormal: adding 0.5 lets the fp32 adder round at the right bit */
        float t = float_of(x) + 0.5f;
        return (uint16_t)(sign | (bits_of(t) - 0x3f000000));
    }
    return (uint16_t)(sign | ((x + 0xc8000fff + (x >> 13 & 1)) >> 13));
}
static inline float from_f16(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, e = h >> 10 & 31, m = h & 1023;
    if (e == 31)
        return float_of(sign | 0x7f800000 | m << 13);
    if (e)
        return float_of(sign | (e + 112) << 23 | m << 13);
    float r = (float)m * 5.9604644775390625e-8f; /* zero or subnormal: m 2^-24 */
    return sign ? -r : r;
}
static inline uint16_t to_bf16(float f)
{
    uint32_t x = bits_of(f);
    if ((x & 0x7fffffff) > 0x7f800000)
        return 0x7fff;
    return (uint16_t)((x + 0x7fff + (x >> 16 & 1)) >> 16);
}
static inline float from_bf16(uint16_t h)
{
    return float_of((uint32_t)h << 16);
}

[[noreturn]] CUEMU_RAW inline void die_aligned(const char *what, const void *p, size_t n)
{
    fprintf(stderr, "cuemu: %s at %p is not aligned to %zu bytes\n", what, p, n);
    die("misaligned address");
}
static inline void check_aligned(const void *p, size_t n, const char *what)
{
    if ((size_t)p % n)
        die_aligned(what, p, n);
}

/* ---- mma.m16n8k16, fp32 sums ---- */

typedef float v8f __attribute__((vector_size(32)));
struct Mma {
    float *d;
    const uint32_t *a;
    uint32_t b[2];
    bool bf16;
};

CUEMU_RAW inline float add8_truncated(float c, const float *a, const v8f *b, int n)
{
    double v[9], largest = fabs((double)c), sum = 0;
    v[8] = c;
    for (int k = 0; k < 8; k++) {
        v[k] = (double)a[k] * (double)b[k][n];
        largest = fabs(v[k]) > largest ? fabs(v[k]) : largest;
    }
    if (!(largest > 0) || largest > 1e30) {
        for (double x : v)
            sum += x;
        return (float)sum;
    }
    double unit = ldexp(1.0, ilogb(largest) - 24);
    for (double x : v)
        sum += trunc(x / unit);
    sum *= unit;
    float f = (float)sum;
    return fabs((double)f) > fabs(sum) ? nextafterf(f, 0.f) : f;
}

CUEMU_RAW inline void do_mma(void **arg, unsigned)
{
    static const bool truncated = getenv("CUEMU_MMA_RZ") != nullptr;
    float a[16][16];
    v8f b[16], c[16];
    bool bf16 = ((Mma *)arg[0])->bf16;
    auto number = [bf16](uint32_t v) { return bf16 ? from_bf16((uint16_t)v) : from_f16((uint16_t)v); };
    for (int lane = 0; lane < 32; lane++) {
        const Mma &m = *(Mma *)arg[lane];
        int g = lane >> 2, t = (lane & 3) * 2;
        for (int r = 0; r < 4; r++)
            for (int v = 0; v < 2; v++)
                a[g + (r & 1) * 8][t + v + (r >> 1) * 8] = number(m.a[r] >> 16 * v);
        for (int r = 0; r < 2; r++)
            for (int v = 0; v < 2; v++)
                b[t + v + r * 8][g] = number(m.b[r] >> 16 * v);
        for (int r = 0; r < 4; r++)
            c[g + (r >> 1) * 8][t + (r & 1)] = m.d[r];
    }
    for (int i = 0; i < 16; i++) {
        if (truncated) {
            for (int n = 0; n < 8; n++)
                c[i][n] = add8_truncated(add8_truncated(c[i][n], a[i], b, n), a[i] + 8, b + 8, n);
            continue;
        }
        v8f sum = {0, 0, 0, 0, 0, 0, 0, 0};
        for (int k = 0; k < 16; k++)
            sum += a[i][k] * b[k];
        c[i] += sum;
    }
    for (int lane = 0; lane < 32; lane++) {
        const Mma &m = *(Mma *)arg[lane];
        int g = lane >> 2, t = (lane & 3) * 2;
        for (int r = 0; r < 4; r++)
            m.d[r] = c[g + (r >> 1) * 8][t + (r & 1)];
    }
    S.count.mma++;
}
inline void mma16816(float *d, const uint32_t *a, uint32_t b0, uint32_t b1, bool bf16, int line)
{
    Mma m{d, a, {b0, b1}, bf16};
    collective("mma.m16n8k16", line, 0xffffffffu, &m, do_mma, false);
}

/* ---- ldmatrix.x4: four 8x8 matrices of 16-bit elements; lane l names row l % 8 of matrix l / 8 ---- */

/* Plain 64-bit accesses: GCC expands a 16-byte memcpy inline, where ThreadSanitizer does not see it. */
typedef uint64_t __attribute__((may_alias)) word64;
struct Ldmatrix {
    alignas(8) uint16_t row[8];
    uint32_t *out;
    const void *address;
    bool trans;
};
CUEMU_RAW inline void do_ldmatrix(void **arg, unsigned)
{
    bool trans = ((Ldmatrix *)arg[0])->trans;
    for (int lane = 0; lane < 32; lane++)
        for (int i = 0; i < 4; i++) {
            int r = lane >> 2, c = (lane & 3) * 2;
            uint32_t half[2];
            for (int v = 0; v < 2; v++)
                half[v] = trans ? ((Ldmatrix *)arg[i * 8 + c + v])->row[r] : ((Ldmatrix *)arg[i * 8 + r])->row[c + v];
            ((Ldmatrix *)arg[lane])->out[i] = half[1] << 16 | half[0];
        }
    S.count.ldmatrix++;
    for (int i = 0; i < 4; i++) { /* the 8 rows of 16 bytes of one matrix should lie in 8 different groups of 4 banks */
        int rows[8] = {0}, most = 1;
        for (int r = 0; r < 8; r++) {
            const void *at = ((Ldmatrix *)arg[i * 8 + r])->address;
            bool again = false;
            for (int q = 0; q < r; q++)
                again |= ((Ldmatrix *)arg[i * 8 + q])->address == at;
            int bank = (int)((size_t)at >> 4 & 7);
            if (!again && ++rows[bank] > most)
                most = rows[bank];
        }
        S.count.ldmatrix_phases++;
        S.count.bank_conflicts += (uint64_t)(most - 1);
    }
}
inline void ldmatrix_x4(uint32_t *r, const void *row, bool trans, int line)
{
    Ldmatrix m;
    check_aligned(row, 16, "ldmatrix row");
    for (int i = 0; i < 2; i++) /* the lane that names the row reads it */
        ((word64 *)m.row)[i] = ((const word64 *)row)[i];
    m.out = r;
    m.address = row;
    m.trans = trans;
    collective(trans ? "ldmatrix.x4.trans" : "ldmatrix.x4", line, 0xffffffffu, &m, do_ldmatrix, false);
}

/* ---- cp.async: until wait_group the destination holds NaN ---- */

CUEMU_RAW inline void async_push(void *dst, const void *src, int bytes)
{
    Fiber *f = S.self;
    if (f->copies == MAX_ASYNC)
        die("more cp.async in flight in one thread than the emulator holds");
    f->copy[f->copies++] = {dst, src, bytes, f->group};
    S.count.async_copies++;
    S.count.async_bytes += (uint64_t)bytes;
}
inline void cp_async16(void *dst, const void *src, int bytes)
{
    check_aligned(dst, 16, "cp.async destination");
    check_aligned(src, 16, "cp.async source");
    ((word64 *)dst)[0] = ((word64 *)dst)[1] = ~0ull; /* in flight: nobody may look */
    async_push(dst, src, bytes);
}
CUEMU_RAW inline void cp_async_commit()
{
    S.self->group++;
}
/* Lands every group but the last `left`. Its accesses count as this thread's, for both sanitizers. */
CUEMU_RAW inline void cp_async_wait(unsigned left)
{
    Fiber *f = S.self;
    unsigned kept = 0;
    for (unsigned i = 0; i < f->copies; i++) {
        AsyncCopy c = f->copy[i];
        if (c.group + left < f->group) {
            memcpy(c.dst, c.src, (size_t)c.bytes);
            memset((char *)c.dst + c.bytes, 0, (size_t)(16 - c.bytes));
        } else {
            f->copy[kept++] = c;
        }
    }
    f->copies = kept;
}
} // namespace cuemu
#endif
