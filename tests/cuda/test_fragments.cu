/* SPDX-License-Identifier: MIT */
/* test_fragments.cu - is the layout of fragments that the kernels assume (and the emulator models) the published one?
 * One-hot probes of mma.m16n8k16 against CuTe's MMA_Traits for sm_80: the thread-value layouts
 *   A ((4,8),(2,2,2)) : ((32,1),(16,8,128)) over (M16,K16)   B ((4,8),(2,2)) : ((16,1),(8,64)) over (N8,K16)
 *   C ((4,8),(2,2)) : ((32,1),(16,8)) over (M16,N8), first coordinate fastest
 * and of ldmatrix against "lane l receives elements 2 (l % 4), + 1 of row l / 4", written down here a second time and differently
 * from tile_ops.cuh and emu/tensor.h. On a GPU the same program asks the hardware. */
#include "check.h"

#include "../../cuda/tile_ops.cuh"

__global__ void probe_mma(const uint16_t *a, const uint16_t *b, float *c) /* a [16][16], b [16][8], c [16][8] */
{
    const int lane = (int)threadIdx.x, g = lane >> 2, t = lane & 3;
    uint32_t fa[4], fb[2];
    float d[4] = {0.f, 0.f, 0.f, 0.f};
    for (int r = 0; r < 4; r++) {
        fa[r] = 0;
        for (int v = 0; v < 2; v++) {
            const int at = 32 * t + g + 16 * v + 8 * (r & 1) + 128 * (r >> 1);
            fa[r] |= (uint32_t)a[at % 16 * 16 + at / 16] << 16 * v;
        }
    }
    for (int r = 0; r < 2; r++) {
        fb[r] = 0;
        for (int v = 0; v < 2; v++) {
            const int at = 16 * t + g + 8 * v + 64 * r;
            fb[r] |= (uint32_t)b[at / 8 * 8 + at % 8] << 16 * v;
        }
    }
    mma(d, fa, fb[0], fb[1], f16());
    for (int v = 0; v < 4; v++) {
        const int at = 32 * t + g + 16 * (v & 1) + 8 * (v >> 1);
        c[at % 16 * 8 + at / 16] = d[v];
    }
}

__global__ void probe_ldmatrix(const uint16_t *a, uint16_t *plain,
                               uint16_t *trans) /* a 16x16 tile: lane l names row l % 16, half l / 16 */
{
    SHARED_BYTES(uint16_t, s);
    const int lane = (int)threadIdx.x;
    for (int i = lane; i < 256; i += 32)
        s[i / 16 * 24 + i % 16] = a[i];
    __syncwarp();
    uint32_t r[4], q[4];
    ldmatrix_x4(r, s + (lane & 15) * 24 + (lane >> 4) * 8);
    ldmatrix_x4_trans(q, s + (lane & 15) * 24 + (lane >> 4) * 8);
    for (int i = 0; i < 4; i++)
        for (int v = 0; v < 2; v++) {
            const int row = (i & 1) * 8, column = (i >> 1) * 8, x = lane >> 2, y = (lane & 3) * 2 + v;
            plain[(row + x) * 16 + column + y] = (uint16_t)(r[i] >> 16 * v);
            trans[(row + y) * 16 + column + x] = (uint16_t)(q[i] >> 16 * v);
        }
}

/* What a wrapper of one number does, value by value: packing order and rounding, and the way back. */
__global__ void probe_numbers(const float *x, uint32_t *f, uint32_t *b, float *f_back, float *b_back)
{
    const int i = (int)threadIdx.x;
    f[i] = pack2(x[i], x[i ^ 1], f16());
    b[i] = pack2(x[i], x[i ^ 1], bf16());
    f_back[i] = to_float(f16{(uint16_t)f[i]});
    b_back[i] = to_float(bf16{(uint16_t)b[i]});
}

template <class T> static std::vector<T> download(const T *device, size_t n)
{
    std::vector<T> v(n);
    must(cudaMemcpyAsync(v.data(), device, n * sizeof(T), cudaMemcpyDeviceToHost, stream()), "download");
    must(cudaStreamSynchronize(stream()), "probe");
    return v;
}

int main()
{
    int wrong = 0, probes = 0;
    for (int m = 0; m < 16; m++)
        for (int k = 0; k < 16; k++)
            for (int n = 0; n < 8; n++, probes++) {
                std::vector<uint16_t> a(256, 0), b(128, 0);
                a[(size_t)(m * 16 + k)] = 0x3c00; /* 1 */
                b[(size_t)(k * 8 + n)] = 0x4000;  /* 2 */
                Raw<uint16_t> da(a), db(b);
                Raw<float> dc(std::vector<float>(128, -1.f));
                LAUNCH(probe_mma, dim3(1), dim3(32), 0, stream(), (const uint16_t *)da.device, (const uint16_t *)db.device,
                       dc.device);
                auto c = download(dc.device, 128);
                for (int i = 0; i < 128; i++)
                    wrong += c[(size_t)i] != (i == m * 8 + n ? 2.f : 0.f);
            }
    report(wrong == 0 && probes == 2048, "2048 one-hot probes of mma.m16n8k16");

    std::vector<uint16_t> tile(256);
    for (size_t i = 0; i < 256; i++)
        tile[i] = (uint16_t)i;
    Raw<uint16_t> dt(tile), dp(std::vector<uint16_t>(256, 0xffff)), dq(std::vector<uint16_t>(256, 0xffff));
    LAUNCH(probe_ldmatrix, dim3(1), dim3(32), 16 * 24 * 2, stream(), (const uint16_t *)dt.device, dp.device, dq.device);
    report(download(dp.device, 256) == tile, "ldmatrix.x4");
    report(download(dq.device, 256) == tile, "ldmatrix.x4.trans");

    std::vector<float> x = {0.f,        -0.f,     1.f,      -1.f,     0.1f,          65504.f,   65519.f,        65520.f,
                            6e-8f,      2.98e-8f, 2.99e-8f, -6.1e-5f, 1e-10f,        3.3e38f,   1.00048828125f, 1.0004883f,
                            2049.f,     2051.f,   257.f,    259.f,    1.00390625f,   0.333333f, -7.5e-6f,       1e30f,
                            12345.678f, -0.7071f, 4095.f,   8191.f,   5.9604645e-8f, 1e-7f,     0.99999f,       3.14159f};
    Raw<float> dx(x), df(std::vector<float>(32)), dg(std::vector<float>(32));
    Raw<uint32_t> du(std::vector<uint32_t>(32)), dv(std::vector<uint32_t>(32));
    LAUNCH(probe_numbers, dim3(1), dim3(32), 0, stream(), (const float *)dx.device, du.device, dv.device, df.device, dg.device);
    auto f = download(du.device, 32), b = download(dv.device, 32);
    auto fb = download(df.device, 32), bb = download(dg.device, 32);
    int bad = 0;
    for (size_t i = 0; i < 32; i++) {
        uint16_t want[4];
        encode(want, 0, x[i], ELEMENT_F16);
        encode(want, 1, x[i ^ 1], ELEMENT_F16);
        encode(want, 2, x[i], ELEMENT_BF16);
        encode(want, 3, x[i ^ 1], ELEMENT_BF16);
        bad += f[i] != ((uint32_t)want[1] << 16 | want[0]) || b[i] != ((uint32_t)want[3] << 16 | want[2]);
        bad += fb[i] != decode(want, 0, ELEMENT_F16) || bb[i] != decode(want, 2, ELEMENT_BF16);
    }
    report(bad == 0, "packing and rounding of 32 numbers to f16 and bf16");
    return finish();
}
