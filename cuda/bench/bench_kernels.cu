/* SPDX-License-Identifier: MIT */
/* bench_kernels.cu - the kernels of ViT-B's forward pass, timed by CUDA events on a GPU. scripts/gpu_check.sh builds and runs it.
 *
 * Random inputs, never zeros. The second-level cache is flushed before every launch, except in the rows called warm. `of memory` is the
 * share of the time that the bytes alone would take at the device's own memory clock and bus width; `of tensor` the share of its tensor
 * cores' dense peak at the device's own clock, for the architectures whose peak is known here. Attention is checked against the fp32 kernel
 * before it is timed; the others are checked by tests/cuda/test_kernels.cu. */
#include <algorithm>

#include "../../tests/cuda/check.h"

#include "../linear_lt.h"

struct Peaks {
    double gb_s, tflop_s;
};

static int attribute(cudaDeviceAttr a)
{
    int v = 0;
    must(cudaDeviceGetAttribute(&v, a, 0), "cudaDeviceGetAttribute");
    return v;
}

static Peaks peaks()
{
    const struct {
        int sm, flop_per_clock;
    } known[] = {{75, 1024}, {80, 2048}, {86, 1024}, {89, 1024}, {90, 4096}}; /* dense f16, a clock and SM, data sheets */
    const int sm = attribute(cudaDevAttrComputeCapabilityMajor) * 10 + attribute(cudaDevAttrComputeCapabilityMinor);
    Peaks p = {2.0 * attribute(cudaDevAttrMemoryClockRate) * 1e3 * attribute(cudaDevAttrGlobalMemoryBusWidth) / 8 / 1e9, 0};
    for (auto &k : known)
        if (k.sm == sm)
            p.tflop_s = (double)attribute(cudaDevAttrMultiProcessorCount) * attribute(cudaDevAttrClockRate) * 1e3 *
                        k.flop_per_clock / 1e12;
    return p;
}

template <class F> static void row(const char *what, double bytes, double flop, bool warm, F launch)
{
    static char *flush;
    static const size_t FLUSH_BYTES = 256u << 20;
    static const Peaks peak = peaks();
    if (!flush)
        must(cudaMalloc(&flush, FLUSH_BYTES), "cudaMalloc");
    cudaEvent_t start, stop;
    must(cudaEventCreate(&start), "cudaEventCreate");
    must(cudaEventCreate(&stop), "cudaEventCreate");
    std::vector<float> times;
    for (int i = 0; i < 60; i++) {
        float ms = 0;
        if (!warm)
            must(cudaMemsetAsync(flush, i, FLUSH_BYTES, stream()), "flush");
        must(cudaEventRecord(start, stream()), "event");
        launch();
        must(cudaEventRecord(stop, stream()), "event");
        must(cudaEventSynchronize(stop), what);
        must(cudaEventElapsedTime(&ms, start, stop), "event");
        if (i >= 10)
            times.push_back(ms * 1e3f);
    }
    std::sort(times.begin(), times.end());
    const double us = times[times.size() / 2];
    printf("%-44s %9.1f %9.1f %9.1f %8.0f %8.1f", what, us, (double)times[times.size() / 10],
           (double)times[times.size() * 9 / 10], bytes / us / 1e3, flop / us / 1e6);
    printf(" %9.0f%%", 100 * bytes / us / 1e3 / peak.gb_s);
    if (peak.tflop_s > 0 && flop > 0)
        printf(" %9.0f%%\n", 100 * flop / us / 1e6 / peak.tflop_s);
    else
        printf(" %10s\n", "-");
    cudaEventDestroy(start);
    cudaEventDestroy(stop);
}

static void attention_rows_of(enum element type, int people, int tokens, bool stats, int queries)
{
    const int heads = 12, head_dim = 64, dim = heads * head_dim;
    const size_t rows = (size_t)people * (size_t)tokens;
    Array qkv(rows * 3 * (size_t)dim, type), out(rows * (size_t)dim, type), plain(rows * 3 * (size_t)dim, ELEMENT_F32),
        exact(rows * (size_t)dim, ELEMENT_F32);
    Array sums(stats ? rows * (size_t)heads * 10 : 1, ELEMENT_F32);
    Raw<uint8_t> masks(std::vector<uint8_t>(rows, 0x15));
    qkv.fill([](size_t) { return normal(); });
    attention_params p{};
    p.qkv = qkv.device, p.out = out.device, p.people = people, p.tokens = tokens, p.heads = heads, p.head_dim = head_dim,
    p.ld_qkv = 3 * dim, p.ld_out = dim;
    p.scale = 0.125f;
    p.queries = queries;
    if (stats)
        p.stats = (float *)sums.device, p.masks = masks.device, p.classes = 6, p.grid_w = 12;
    attention_params reference = p;
    reference.qkv = plain.device, reference.out = exact.device, reference.stats = nullptr;
    must(convert_launch(plain.device, ELEMENT_F32, 3 * dim, qkv.device, type, 3 * dim, (int)rows, 3 * dim, stream()), "convert");
    must(attention_launch(p, type, stream()), "attention");
    must(attention_launch(reference, ELEMENT_F32, stream()), "attention");
    const std::vector<float> got = out.read(), want = exact.read();
    double worst = 0;
    for (size_t i = 0; i < got.size(); i++)
        worst = fabs(got[i] - want[i]) <= worst ? worst : fabs((double)got[i] - want[i]);
    char what[96];
    snprintf(what, sizeof what, "attention%s %s %dx12x%dx64 blocks of %d", stats ? "+stats" : "", element_name(type), people,
             tokens, queries);
    if (!(worst < (type == ELEMENT_BF16 ? 2e-2 : 2e-3))) {
        printf("%-44s WRONG by %.1e: not timed\n", what, worst);
        failures++;
        return;
    }
    row(what, (double)rows * (4.0 * dim * (double)element_bytes(type) + (stats ? heads * 40.0 : 0)),
        4.0 * people * heads * (double)tokens * tokens * head_dim, false,
        [&] { must(attention_launch(p, type, stream()), "attention"); });
}

static void linear(struct lt *lt, enum element type, int rows, int in, int out, bool residual, const char *name)
{
    const lt_problem problem = {.rows = rows,
                                .out = out,
                                .in = in,
                                .ld_x = in,
                                .ld_w = in,
                                .ld_y = out,
                                .type = type,
                                .y_type = residual ? ELEMENT_F32 : type,
                                .bias = true,
                                .accumulate = residual};
    Array x((size_t)rows * (size_t)in, type), w((size_t)out * (size_t)in, type), y((size_t)rows * (size_t)out, problem.y_type),
        bias((size_t)out, problem.y_type);
    x.fill([](size_t) { return normal(); });
    w.fill([](size_t) { return normal() * 0.03f; });
    y.fill([](size_t) { return normal(); });
    bias.fill([](size_t) { return normal(); });
    char *workspace;
    const size_t workspace_bytes = 32u << 20;
    must(cudaMalloc(&workspace, workspace_bytes), "cudaMalloc");
    struct lt_plan *plan;
    const char *why = lt_plan_open(lt, &plan, problem, workspace_bytes);
    char what[96];
    snprintf(what, sizeof what, "linear %s %s %d x %d -> %d", name, element_name(type), rows, in, out);
    if (why) {
        printf("%-44s %s\n", what, why);
        failures++;
    } else {
        const double bytes = (double)(x.bytes() + w.bytes() + y.bytes() * (residual ? 2 : 1));
        row(what, bytes, 2.0 * rows * in * (double)out, false, [&] {
            if (const char *error = lt_run(lt, plan, y.device, x.device, w.device, bias.device, y.device, workspace, stream())) {
                printf("%s: %s\n", what, error);
                exit(1);
            }
        });
        lt_plan_close(plan);
    }
    cudaFree(workspace);
}

static void others(enum element type, int people)
{
    const int rows = people * 192, dim = 768, mlp = 3072;
    Array x((size_t)rows * (size_t)dim, ELEMENT_F32), y((size_t)rows * (size_t)dim, type), gain((size_t)dim, ELEMENT_F32),
        bias((size_t)mlp, ELEMENT_F32);
    Array mid((size_t)rows * (size_t)mlp, type), heat((size_t)people * 17 * 3072, ELEMENT_F32),
        joints((size_t)people * 51, ELEMENT_F32);
    x.fill([](size_t) { return normal(); });
    gain.fill([](size_t) { return normal(); });
    bias.fill([](size_t) { return normal(); });
    mid.fill([](size_t) { return normal(); });
    heat.fill([](size_t) { return normal(); });
    char what[96];
    snprintf(what, sizeof what, "layernorm %s %d x %d", element_name(type), rows, dim);
    row(what, (double)(x.bytes() + y.bytes()), 0, false, [&] {
        must(layernorm_launch(y.device, type, dim, (const float *)x.device, dim, (const float *)gain.device,
                              (const float *)bias.device, rows, dim, 1e-12f, stream()),
             "layernorm");
    });
    snprintf(what, sizeof what, "bias + GELU %s %d x %d", element_name(type), rows, mlp);
    row(what, 2.0 * (double)mid.bytes(), 0, false, [&] {
        must(activate_launch(mid.device, mid.device, (const float *)bias.device, nullptr, ACTIVATE_GELU, type, rows, mlp, mlp,
                             stream()),
             "gelu");
    });
    snprintf(what, sizeof what, "decode %d x 17 maps of 64 x 48", people);
    row(what, (double)heat.bytes(), 0, false, [&] {
        must(decode_launch((float *)joints.device, (const float *)heat.device, nullptr, nullptr, people, 17, 64, 48, stream()),
             "decode");
    });
}

int main()
{
    cudaDeviceProp properties;
    must(cudaGetDeviceProperties(&properties, 0), "cudaGetDeviceProperties");
    const Peaks p = peaks();
    struct lt *lt;
    if (const char *why = lt_open(&lt)) {
        printf("cuBLASLt: %s\n", why);
        return 1;
    }
    printf("# %s, %d SMs, memory peak %.0f GB/s, tensor peak %.0f TFLOP/s\n", properties.name,
           attribute(cudaDevAttrMultiProcessorCount), p.gb_s, p.tflop_s);
    printf("%-44s %9s %9s %9s %8s %8s %10s %10s\n", "kernel", "median us", "p10", "p90", "GB/s", "TFLOP/s", "of memory",
           "of tensor");
    for (enum element type : {ELEMENT_F16, ELEMENT_BF16, ELEMENT_F32})
        for (int people : {1, 32})
            for (int tokens : {192, 768, 3072})
                if ((type == ELEMENT_F16 || tokens == 192) && people * tokens <= 32 * 768)
                    for (int stats = 0; stats < 2; stats++)
                        for (int queries : {64, 128})
                            if (queries == 64 || (!stats && type != ELEMENT_F32))
                                attention_rows_of(type, people, tokens, stats != 0, queries);
    for (enum element type : {ELEMENT_F16, ELEMENT_F32})
        for (int people : {1, 32}) {
            linear(lt, type, people * 192, 768, 2304, false, "qkv");
            linear(lt, type, people * 192, 768, 768, true, "projection");
            linear(lt, type, people * 192, 768, 3072, false, "fc1");
            linear(lt, type, people * 192, 3072, 768, true, "fc2");
            others(type, people);
        }
    lt_close(lt);
    return failures != 0;
}
