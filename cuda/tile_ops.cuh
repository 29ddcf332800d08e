/* SPDX-License-Identifier: MIT */
/* tile_ops.cuh - every line of inline PTX, and beside each wrapper its emulated twin.
 *
 * Fragments of mma.m16n8k16, with g = lane / 4 and t = lane % 4 (PTX ISA; probed by tests/cuda/test_fragments.cu):
 *   A (16 x 16)  a[0] row g, columns 2t, 2t+1   a[1] row g+8   a[2] row g, columns 2t+8, 2t+9   a[3] row g+8 of those
 *   B (16 x 8)   b0 rows 2t, 2t+1 of column g   b1 rows 2t+8, 2t+9
 *   C (16 x 8)   d[0], d[1] row g, columns 2t, 2t+1   d[2], d[3] row g+8
 * sm_75 has neither cp.async nor m16n8k16: copies go through registers, one mma becomes two of k 8. It has no bf16 tensor cores:
 * the host refuses bf16 there (plugin.cu), and a kernel launched in spite of that traps. */
#ifndef LIMBER_TILE_OPS_CUH
#define LIMBER_TILE_OPS_CUH

#include "device.cuh"

#ifdef __CUDACC__

DEVICE uint32_t shared_address(const void *p)
{
    return (uint32_t)__cvta_generic_to_shared(p);
}

/* Four 8x8 matrices of 16-bit elements: lane l names row l % 8 of matrix l / 8 (16 bytes), and receives the two elements
 * 2 (l % 4), + 1 of row l / 4 of each; _trans: of each matrix transposed. */
DEVICE void ldmatrix_x4(uint32_t (&r)[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row))
                 : "memory");
}
DEVICE void ldmatrix_x4_trans(uint32_t (&r)[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row))
                 : "memory");
}

/* d += A B, sums in fp32; the last argument only says the type of A and B. */
DEVICE void mma(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, f16)
{
#if __CUDA_ARCH__ >= 800
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#else
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(b0));
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[2]), "r"(a[3]), "r"(b1));
#endif
}
DEVICE void mma(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, bf16)
{
#if __CUDA_ARCH__ >= 800
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#else
    (void)d, (void)a, (void)b0, (void)b1;
    asm volatile("trap;");
#endif
}

/* d = A B */
DEVICE void mma_first(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, f16)
{
#if __CUDA_ARCH__ >= 800
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%10,%10,%10,%10};"
                 : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1), "f"(0.f));
#else
    d[0] = d[1] = d[2] = d[3] = 0.f;
    mma(d, a, b0, b1, f16());
#endif
}
DEVICE void mma_first(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, bf16)
{
#if __CUDA_ARCH__ >= 800
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%10,%10,%10,%10};"
                 : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1), "f"(0.f));
#else
    d[0] = d[1] = d[2] = d[3] = 0.f;
    mma(d, a, b0, b1, bf16());
#endif
}

/* Two numbers rounded to nearest even and packed, the first in the lower half. */
DEVICE uint32_t pack2(float low, float high, f16)
{
    uint32_t r;
#if __CUDA_ARCH__ >= 800
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
#else
    asm("{.reg .b16 l,h; cvt.rn.f16.f32 l,%2; cvt.rn.f16.f32 h,%1; mov.b32 %0,{l,h};}" : "=r"(r) : "f"(high), "f"(low));
#endif
    return r;
}
DEVICE uint32_t pack2(float low, float high, bf16)
{
#if __CUDA_ARCH__ >= 800
    uint32_t r;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
    return r;
#else
    return (__float_as_uint(high) & 0xffff0000u) | __float_as_uint(low) >> 16; /* never launched here */
#endif
}

/* 16 bytes from global to shared memory without passing through registers; `bytes` 16, or 0 to fill with zeros (src is then not
 * read but must still be a valid address). Visible to this thread after cp_async_wait, to the block after a barrier behind it. */
DEVICE void cp_async16(void *dst, const void *src, int bytes)
{
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(dst)), "l"(src), "r"(bytes) : "memory");
#else
    *(uint4 *)dst = bytes ? *(const uint4 *)src : make_uint4(0, 0, 0, 0);
#endif
}
DEVICE void cp_async_commit()
{
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}
template <int LEFT> DEVICE void cp_async_wait() /* all but the last LEFT groups have landed */
{
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.wait_group %0;" ::"n"(LEFT) : "memory");
#endif
}

/* The special function unit's: about 2 ulp, subnormal results are zero. */
DEVICE float exp2_fast(float x)
{
    float r;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
    return r;
}
DEVICE float log2_fast(float x)
{
    float r;
    asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
    return r;
}
DEVICE float sqrt_fast(float x)
{
    float r;
    asm("sqrt.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
    return r;
}

DEVICE float to_float(f16 h)
{
    float r;
    asm("cvt.f32.f16 %0, %1;" : "=f"(r) : "h"(h.bits));
    return r;
}
DEVICE float to_float(bf16 h)
{
    return __uint_as_float((uint32_t)h.bits << 16);
}

#else /* ---- the twins. __builtin_LINE() is the caller's line: two collectives that lanes must not mix up ---- */

DEVICE void ldmatrix_x4(uint32_t (&r)[4], const void *row, int line = __builtin_LINE())
{
    cuemu::ldmatrix_x4(r, row, false, line);
}
DEVICE void ldmatrix_x4_trans(uint32_t (&r)[4], const void *row, int line = __builtin_LINE())
{
    cuemu::ldmatrix_x4(r, row, true, line);
}
DEVICE void mma(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, f16, int line = __builtin_LINE())
{
    cuemu::mma16816(d, a, b0, b1, false, line);
}
DEVICE void mma(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, bf16, int line = __builtin_LINE())
{
    cuemu::mma16816(d, a, b0, b1, true, line);
}
template <class T>
DEVICE void mma_first(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, T type, int line = __builtin_LINE())
{
    d[0] = d[1] = d[2] = d[3] = 0.f;
    mma(d, a, b0, b1, type, line);
}
DEVICE uint32_t pack2(float low, float high, f16)
{
    return (uint32_t)cuemu::to_f16(high) << 16 | cuemu::to_f16(low);
}
DEVICE uint32_t pack2(float low, float high, bf16)
{
    return (uint32_t)cuemu::to_bf16(high) << 16 | cuemu::to_bf16(low);
}
DEVICE void cp_async16(void *dst, const void *src, int bytes)
{
    cuemu::cp_async16(dst, src, bytes);
}
DEVICE void cp_async_commit()
{
    cuemu::cp_async_commit();
}
template <int LEFT> DEVICE void cp_async_wait()
{
    cuemu::cp_async_wait(LEFT);
}
DEVICE float exp2_fast(float x)
{
    return exp2f(x);
}
DEVICE float log2_fast(float x)
{
    return log2f(x);
}
DEVICE float sqrt_fast(float x)
{
    return sqrtf(x);
}
DEVICE float to_float(f16 h)
{
    return cuemu::from_f16(h.bits);
}
DEVICE float to_float(bf16 h)
{
    return cuemu::from_bf16(h.bits);
}

#endif

/* ---- numbers of any of the three types ---- */

DEVICE float to_float(float x)
{
    return x;
}
DEVICE void store(float *p, float x)
{
    *p = x;
}
DEVICE void store(f16 *p, float x)
{
    p->bits = (uint16_t)pack2(x, 0.f, f16());
}
DEVICE void store(bf16 *p, float x)
{
    p->bits = (uint16_t)pack2(x, 0.f, bf16());
}

/* Four neighbours at an address aligned to four of them. */
DEVICE float4 load4(const float *p)
{
    return *(const float4 *)p;
}
template <class T> DEVICE float4 load4(const T *p)
{
    const uint2 w = *(const uint2 *)p;
    return make_float4(to_float(T{(uint16_t)w.x}), to_float(T{(uint16_t)(w.x >> 16)}), to_float(T{(uint16_t)w.y}),
                       to_float(T{(uint16_t)(w.y >> 16)}));
}
DEVICE void store4(float *p, float4 v)
{
    *(float4 *)p = v;
}
template <class T> DEVICE void store4(T *p, float4 v)
{
    *(uint2 *)p = make_uint2(pack2(v.x, v.y, T()), pack2(v.z, v.w, T()));
}

#endif
