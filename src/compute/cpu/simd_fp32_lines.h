/* SPDX-License-Identifier: MIT */
/* simd_fp32_lines.h - how fp32 columns are stored as operands: one line each. Included by the fp32 simd_*.h. */
ALWAYS_INLINE void operand_pair(uint32_t *lines, int c, const vf *a, const vf *b)
{
    float *line = (float *)(void *)lines + (size_t)c * LANES;
    UNROLL
    for (int v = 0; v < VPL; v++) {
        vf_store(line + v * VW, a[v]);
        vf_store(line + LANES + v * VW, b[v]);
    }
}
ALWAYS_INLINE void operand_split(uint32_t *lines, int c, const vf *a, const vf *b)
{
    operand_pair(lines, c, a, b); /* V needs no other order: a unit is one number */
}
