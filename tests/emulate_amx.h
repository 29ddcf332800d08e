/* SPDX-License-Identifier: MIT */
/* emulate_amx.h - the AMX tile instructions in C, so that src/compute/cpu/kernels_amx.c and kernels_amxint8.c run on machines without tiles. Include it after
 * <immintrin.h> and before the kernels; it takes the names of the intrinsics.
 *
 * As the manual has it (Intel SDM, TDPBF16PS): C[m][n] += A[m][2k] B[k][2n] and then A[m][2k+1] B[k][2n+1], k upwards, in fp32.
 * TDPBSUD: C[m][n] += A[m][4k + i] B[k][4n + i], signed bytes times unsigned ones, in 32 bits. A use before _tile_loadconfig, or a tile number past 7, aborts. */
#ifndef EMULATE_AMX_H
#define EMULATE_AMX_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local struct {
    int configured;
    uint32_t tile[8][16][16];
} emulated_amx;

static inline uint32_t (*emulated_tile(int n))[16]
{
    if (!emulated_amx.configured || n < 0 || n > 7)
        abort();
    return emulated_amx.tile[n];
}

static inline void emulated_loadconfig(const void *config)
{
    const uint8_t *c = config;
    for (int i = 0; i < 8; i++) /* palette 1, sixteen rows of 64 bytes: all these kernels ask for */
        if (c[0] != 1 || c[16 + 2 * i] != 64 || c[17 + 2 * i] != 0 || c[48 + i] != 16)
            abort();
    memset(&emulated_amx, 0xff, sizeof emulated_amx); /* stale tiles are NaN */
    emulated_amx.configured = 1;
}

static inline void emulated_release(void)
{
    emulated_amx.configured = 0;
}

static inline void emulated_zero(int n)
{
    memset(emulated_tile(n), 0, 1024);
}

static inline void emulated_loadd(int n, const void *base, long stride)
{
    for (int r = 0; r < 16; r++)
        memcpy(emulated_tile(n)[r], (const char *)base + r * stride, 64);
}

static inline void emulated_stored(int n, void *base, long stride)
{
    for (int r = 0; r < 16; r++)
        memcpy((char *)base + r * stride, emulated_tile(n)[r], 64);
}

static inline float emulated_number(uint32_t pair, int high)
{
    const uint32_t bits = high ? pair & 0xffff0000u : pair << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static inline void emulated_dpbf16ps(int c, int a, int b)
{
    for (int m = 0; m < 16; m++)
        for (int n = 0; n < 16; n++) {
            float sum;
            memcpy(&sum, &emulated_tile(c)[m][n], sizeof sum);
            for (int k = 0; k < 16; k++)
                for (int high = 0; high < 2; high++)
                    sum += emulated_number(emulated_tile(a)[m][k], high) * emulated_number(emulated_tile(b)[k][n], high);
            memcpy(&emulated_tile(c)[m][n], &sum, sizeof sum);
        }
}

static inline void emulated_dpbsud(int c, int a, int b)
{
    for (int m = 0; m < 16; m++)
        for (int n = 0; n < 16; n++)
            for (int k = 0; k < 16; k++)
                for (int i = 0; i < 32; i += 8)
                    emulated_tile(c)[m][n] +=
                        (uint32_t)((int8_t)(emulated_tile(a)[m][k] >> i) * (int)(uint8_t)(emulated_tile(b)[k][n] >> i));
}

#undef _tile_loadconfig
#undef _tile_release
#undef _tile_zero
#undef _tile_loadd
#undef _tile_stored
#undef _tile_dpbf16ps
#undef _tile_dpbsud
#define _tile_loadconfig emulated_loadconfig
#define _tile_release emulated_release
#define _tile_zero emulated_zero
#define _tile_loadd emulated_loadd
#define _tile_stored emulated_stored
#define _tile_dpbf16ps emulated_dpbf16ps
#define _tile_dpbsud emulated_dpbsud

#endif
