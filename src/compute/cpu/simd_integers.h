/* SPDX-License-Identifier: MIT */
/* simd_integers.h - what tables of 8-bit operands need besides floats, in the compiler's own vector types: the same for 4, 8 and 16 lanes.
 * Included by a simd_*.h with LIMBER_SIMD_INT8, after vf; it adds vi_nearest (vf to the nearest integers, the even one of two), vi_min, UNIT and vo.
 *
 * Where TOKEN_OFFSET is not 0 the instruction takes bytes of tokens as signed ones: quantise.h subtracts it from integers and zero points,
 * and every difference, so every result, stays what it is. */
#ifndef TOKEN_OFFSET
#define TOKEN_OFFSET 0
#endif

typedef int32_t vi __attribute__((vector_size(VW * 4), may_alias)); /* + - * & | << element by element, by a number as well */
typedef uint32_t vu __attribute__((vector_size(VW * 4), may_alias));
typedef int16_t vi_halves __attribute__((vector_size(VW * 2), may_alias));

ALWAYS_INLINE vi vi_load(const void *p)
{
    return *(const vi *)p;
}
ALWAYS_INLINE void vi_store(void *p, vi a)
{
    *(vi *)p = a;
}
ALWAYS_INLINE vi vi_set1(int32_t a)
{
    return a - (vi){0};
}
ALWAYS_INLINE vf vf_of_integers(vi a)
{
    return __builtin_convertvector(a, vf);
}

/* To bf16 by nearest even, in the high halves: the CPU may have the products of bytes and no conversion to bf16. */
ALWAYS_INLINE vu bf16_round(vf x)
{
#ifdef BF16_ROUND
    return BF16_ROUND(x);
#else
    const vu bits = (vu)x, nan = (vu)((vi)(bits & 0x7fffffff) > 0x7f800000);
    return (nan & (bits | 0x400000)) | (~nan & (bits + 0x7fff + (bits >> 16 & 1)));
#endif
}
ALWAYS_INLINE void operand_pair(uint32_t *lines, int c, const vf *a, const vf *b)
{
    UNROLL
    for (int v = 0; v < VPL; v++)
        vi_store(lines + (size_t)c / 2 * LANES + v * VW, (vi)(bf16_round(a[v]) >> 16 | (bf16_round(b[v]) & 0xffff0000u)));
}
ALWAYS_INLINE void operand_split(uint32_t *lines, int c, const vf *a, const vf *b)
{
    int16_t *line = (int16_t *)(void *)(lines + (size_t)c / 2 * LANES);
    UNROLL
    for (int v = 0; v < VPL; v++) {
        *(vi_halves *)(void *)(line + v * VW) = __builtin_convertvector((vi)(bf16_round(a[v]) >> 16), vi_halves);
        *(vi_halves *)(void *)(line + LANES + v * VW) = __builtin_convertvector((vi)(bf16_round(b[v]) >> 16), vi_halves);
    }
}
