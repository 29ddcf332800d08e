/* SPDX-License-Identifier: MIT */
/* test_attention.cu - attention.cu against a naive loop in double, and no further from it than twice a plain loop in the precision under
 * test: every head_dim with a kernel of its own, others, ragged lengths, rows of several people out of one buffer with a wider
 * stride, all statistics, attention that looks almost only at itself. */
#include "check.h"

struct Case {
    int tokens, heads, people, head_dim, grid_w, classes;
    enum element type;
    bool stats, include_self;
    float amplitude;  /* of q and k; 1 gives logits of about +-3 */
    bool self;        /* k = q, scaled until each query looks at itself */
    int queries = 64; /* of a block */
};

static void run(const Case &c)
{
    const int L = c.tokens, dim = c.heads * c.head_dim, ld = (3 * dim + 7) / 8 * 8 + 8, ld_out = (dim + 7) / 8 * 8 + 8,
              width = 4 + c.classes;
    const size_t rows = (size_t)c.people * (size_t)L;
    Array qkv(rows * (size_t)ld, c.type), out(rows * (size_t)ld_out, c.type);
    Array stats((size_t)c.people * (size_t)c.heads * (size_t)L * (size_t)width, ELEMENT_F32);
    std::vector<float> values(rows * (size_t)ld);
    for (size_t i = 0; i < values.size(); i++) {
        int column = (int)(i % (size_t)ld);
        bool key = column >= dim && column < 2 * dim;
        values[i] = c.self && key ? 1.4f * values[i - (size_t)dim] : normal() * (column < 2 * dim ? c.amplitude : 1.f);
    }
    qkv.fill([&](size_t i) { return values[i]; });
    out.fill([](size_t) { return -77.f; }); /* columns beyond dim must stay as they are */
    std::vector<uint8_t> mask(rows);
    for (auto &m : mask)
        m = (uint8_t)((uint32_t)(uniform() * 1000.f + 1000.f) & 0xff);
    Raw<uint8_t> masks(mask);
    attention_params p{};
    p.qkv = qkv.device;
    p.out = out.device;
    p.people = c.people;
    p.tokens = L;
    p.heads = c.heads;
    p.head_dim = c.head_dim;
    p.ld_qkv = ld;
    p.ld_out = ld_out;
    p.scale = 1.f / sqrtf((float)c.head_dim);
    p.queries = c.queries;
    if (c.stats) {
        p.stats = (float *)stats.device;
        p.masks = c.classes ? masks.device : nullptr;
        p.classes = c.classes;
        p.grid_w = c.grid_w;
        p.include_self = c.include_self;
    }
    must(attention_launch(p, c.type, stream()), "attention_launch");
    const std::vector<float> &o = out.read(), &x = qkv.v;
    if (c.stats)
        stats.read();

    Worst output, moment[4], mass;
    bool untouched = true, relative = true;
    std::vector<double> weight((size_t)L), sum((size_t)c.head_dim);
    std::vector<float> plain((size_t)L), plain_sum((size_t)c.head_dim);
    for (int person = 0; person < c.people; person++)
        for (int h = 0; h < c.heads; h++)
            for (int i = 0; i < L; i++) {
                const float *q = &x[((size_t)person * (size_t)L + (size_t)i) * (size_t)ld + (size_t)(h * c.head_dim)];
                const float *k = &x[(size_t)person * (size_t)L * (size_t)ld + (size_t)(dim + h * c.head_dim)], *v = k + dim;
                double largest = -1e300, l = 0;
                for (int j = 0; j < L; j++) {
                    double s = 0;
                    for (int d = 0; d < c.head_dim; d++)
                        s += (double)q[d] * k[(size_t)j * (size_t)ld + (size_t)d];
                    weight[(size_t)j] = s / sqrt((double)c.head_dim);
                    largest = fmax(largest, weight[(size_t)j]);
                }
                for (auto &w : weight)
                    l += w = exp(w - largest);
                /* the plain loop: scores and sums in fp32, weights rounded as an operand of that type */
                float plain_l = 0;
                for (int j = 0; j < L; j++) {
                    plain[(size_t)j] = (float)weight[(size_t)j];
                    plain_l += plain[(size_t)j];
                    plain[(size_t)j] = round_to(plain[(size_t)j], c.type);
                }
                for (int d = 0; d < c.head_dim; d++) {
                    double s = 0;
                    float f = 0;
                    for (int j = 0; j < L; j++) {
                        s += weight[(size_t)j] / l * v[(size_t)j * (size_t)ld + (size_t)d];
                        f += plain[(size_t)j] * v[(size_t)j * (size_t)ld + (size_t)d];
                    }
                    size_t at = ((size_t)person * (size_t)L + (size_t)i) * (size_t)ld_out + (size_t)(h * c.head_dim + d);
                    output.add(o[at], round_to(f / plain_l, c.type), s);
                }
                if (!c.stats)
                    continue;
                const float *got =
                    &stats.v[(((size_t)person * (size_t)c.heads + (size_t)h) * (size_t)L + (size_t)i) * (size_t)width];
                double want[12] = {0};
                float low[12] = {0};
                for (int j = 0; j < L; j++) {
                    if (j == i && !c.include_self)
                        continue;
                    double w = weight[(size_t)j] / l, dx = j % c.grid_w - i % c.grid_w, dy = j / c.grid_w - i / c.grid_w,
                           d = sqrt(dx * dx + dy * dy);
                    float f = (float)(weight[(size_t)j] / l), r = round_to((float)weight[(size_t)j], ELEMENT_F16) / plain_l;
                    const double terms[4] = {w, w * w, w * d, w > 0 ? w * log(w) : 0};
                    const float lows[4] = {f, f * f, f * (float)d, f > 0 ? f * logf(f) : 0};
                    for (int m = 0; m < 4; m++) {
                        want[m] += terms[m];
                        low[m] += lows[m];
                    }
                    for (int m = 0; m < c.classes; m++)
                        if (mask[(size_t)person * (size_t)L + (size_t)j] >> m & 1) {
                            want[4 + m] += w;
                            low[4 + m] += c.type == ELEMENT_F32 ? f : r;
                        }
                }
                for (int m = 0; m < 4; m++) {
                    moment[m].add(got[m], low[m], want[m]);
                    /* where attention looks at itself the rest is small, and must be right relative to itself */
                    relative &= !c.self || fabs(got[m] - want[m]) <= 1e-4 * fabs(want[m]) + 1e-30;
                }
                for (int m = 0; m < c.classes; m++)
                    mass.add(got[4 + m], low[4 + m], want[4 + m]);
            }
    for (size_t r = 0; r < rows; r++)
        for (int d = dim; d < ld_out; d++)
            untouched &= o[r * (size_t)ld_out + (size_t)d] == -77.f;

    bool ok = output.ok(8) && untouched && relative;
    for (auto &m : moment)
        ok &= m.ok(40);
    ok &= mass.ok(40);
    char text[512];
    int n = snprintf(text, sizeof text, "%-4s L=%-4d heads=%d people=%d head_dim=%-3d amplitude=%g%s: error %.1e of %.1e allowed",
                     element_name(c.type), L, c.heads, c.people, c.head_dim, c.amplitude, c.self ? " self" : "", output.error,
                     output.bound(8));
    if (c.stats)
        n += snprintf(text + n, sizeof text - (size_t)n, "; sum p %.1e p^2 %.1e p d %.1e p ln p %.1e masks %.1e (%.1e)",
                      moment[0].error, moment[1].error, moment[2].error, moment[3].error, mass.error, mass.bound(40));
    snprintf(text + n, sizeof text - (size_t)n, "%s%s", untouched ? "" : " WROTE BESIDE ITS COLUMNS",
             relative ? "" : " NOT RIGHT RELATIVE TO ITSELF");
    report(ok, text);
}

/* Blocks of 128 queries, and of the launcher's choice, give the bytes of blocks of 64. */
static void widths(int tokens, int heads, int people, int head_dim, enum element type)
{
    const int dim = heads * head_dim, ld = 3 * dim;
    const size_t rows = (size_t)people * (size_t)tokens;
    Array qkv(rows * (size_t)ld, type);
    qkv.fill([](size_t) { return normal(); });
    std::vector<float> first;
    bool ok = true;
    for (int queries : {64, 128, 0}) {
        Array out(rows * (size_t)dim, type);
        out.fill([](size_t) { return -77.f; });
        attention_params p{};
        p.qkv = qkv.device;
        p.out = out.device;
        p.people = people;
        p.tokens = tokens;
        p.heads = heads;
        p.head_dim = head_dim;
        p.ld_qkv = ld;
        p.ld_out = dim;
        p.scale = 0.2f;
        p.queries = queries;
        must(attention_launch(p, type, stream()), "attention_launch");
        const std::vector<float> &o = out.read();
        if (queries == 64)
            first = o;
        ok &= !memcmp(o.data(), first.data(), o.size() * sizeof *o.data());
    }
    char text[128];
    snprintf(text, sizeof text, "%-4s L=%-4d heads=%d people=%d head_dim=%-3d: blocks of 64 and 128 queries, the same bytes",
             element_name(type), tokens, heads, people, head_dim);
    report(ok, text);
}

int main(int argc, char **argv)
{
    const char *which = argc > 1 ? argv[1] : "all";
    const enum element types[] = {ELEMENT_F16, ELEMENT_BF16, ELEMENT_F32};
    setvbuf(stdout, nullptr, _IOLBF, 0);
    if (strcmp(which, "all")) { /* "small" and "races", the slow stages: two tiles, a ragged end, both kernels, statistics */
        run({70, 2, 1, 64, 10, 3, ELEMENT_F16, true, false, 1.f, false});
        run({65, 1, 2, 80, 13, 0, ELEMENT_BF16, false, false, 1.f, false});
        run({130, 1, 1, 32, 10, 8, ELEMENT_BF16, true, true, 1.f, false});
        run({37, 1, 2, 24, 6, 5, ELEMENT_F32, true, false, 1.f, false});
        run({130, 1, 1, 64, 13, 0, ELEMENT_F16, false, false, 1.f, false, 128});
        return finish();
    }
    for (int d : {32, 64, 80})
        for (enum element type : types)
            for (int L : {1, 17, 64, 192, 193})
                for (int stats = 0; stats < 2; stats++)
                    run({L, L == 192 ? 2 : 1, L < 100 ? 2 : 1, d, L > 12 ? 12 : 1, L % 9, type, stats != 0, L == 64, 1.f, false});
    for (int d : {32, 64})
        for (enum element type : {ELEMENT_F16, ELEMENT_BF16})
            for (int L : {1, 65, 193, 320}) {
                run({L, 2, 1, d, 1, 0, type, false, false, 1.f, false, 128});
                widths(L, 2, L < 100 ? 2 : 1, d, type);
            }
    for (int d : {8, 16, 24, 40, 48, 72, 96, 128, 200, 256}) /* no tensor core kernel of their own */
        run({33, 2, 1, d, 6, 2, d % 16 ? ELEMENT_F32 : d % 32 ? ELEMENT_F16 : ELEMENT_BF16, d % 48 == 0, false, 1.f, false});
    for (enum element type : types) {
        run({577, 1, 1, 64, 24, 6, type, true, false, 1.f, false});
        run({192, 1, 1, 64, 12, 6, type, true, false, 4.f, false}); /* logits of +-60 */
        run({192, 1, 1, 64, 12, 6, type, true, false, 1.8f, true});
        run({100, 1, 1, 32, 10, 8, type, true, false, 2.f, true});
    }
    return finish();
}
