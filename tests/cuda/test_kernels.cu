/* SPDX-License-Identifier: MIT */
/* test_kernels.cu - every kernel but attention against a double loop over the same rounded inputs (check.h says how near is near).
 * Widths that no block divides, padding that must stay untouched, maps smaller than the blur, ties and NaN in the arg-max. */
#include "check.h"

static const enum element types[] = {ELEMENT_F32, ELEMENT_F16, ELEMENT_BF16};
static int padded(int n)
{
    return (n + 7) / 8 * 8;
}
static size_t at(int row, int ld, int column)
{
    return (size_t)row * (size_t)ld + (size_t)column;
}

/* Nothing was written beside the columns. */
static bool untouched(const Array &y, int rows, int cols, int ld)
{
    for (int r = 0; r < rows; r++)
        for (int c = cols; c < ld; c++)
            if (y.v[at(r, ld, c)] != -77.f)
                return false;
    return true;
}

static void say(const Worst &w, double ulps, bool also, const char *what, enum element type, int a, int b)
{
    char text[256];
    snprintf(text, sizeof text, "%s %s %d x %d: error %.1e of %.1e allowed%s", what, element_name(type), a, b, w.error,
             w.bound(ulps), also ? "" : ", AND SOMETHING ELSE IS WRONG");
    report(w.ok(ulps) && also, text);
}

static void layernorm(int rows, int dim, enum element type, float offset)
{
    const int ld = padded(dim) + 8, ld_y = padded(dim) + 16;
    const float eps = 1e-6f;
    Array x((size_t)rows * (size_t)ld, ELEMENT_F32), y((size_t)rows * (size_t)ld_y, type), gain((size_t)padded(dim), ELEMENT_F32),
        bias((size_t)padded(dim), ELEMENT_F32);
    x.fill(
        [&](size_t i) { return i / (size_t)ld == 0 && offset != 0 ? offset : offset + normal(); }); /* a row of one value, too */
    gain.fill([](size_t) { return 1 + 0.3f * normal(); });
    bias.fill([](size_t) { return normal(); });
    y.fill([](size_t) { return -77.f; });
    must(layernorm_launch(y.device, type, ld_y, (const float *)x.device, ld, (const float *)gain.device,
                          (const float *)bias.device, rows, dim, eps, stream()),
         "layernorm");
    y.read();
    Worst w;
    for (int r = 0; r < rows; r++) {
        double mean = 0, var = 0;
        float low_mean = 0, low_var = 0;
        for (int c = 0; c < dim; c++)
            mean += x.v[at(r, ld, c)], low_mean += x.v[at(r, ld, c)];
        mean /= dim, low_mean /= (float)dim;
        for (int c = 0; c < dim; c++)
            var += pow(x.v[at(r, ld, c)] - mean, 2), low_var += (x.v[at(r, ld, c)] - low_mean) * (x.v[at(r, ld, c)] - low_mean);
        for (int c = 0; c < dim; c++) {
            float low =
                (x.v[at(r, ld, c)] - low_mean) / sqrtf(low_var / (float)dim + eps) * gain.v[(size_t)c] + bias.v[(size_t)c];
            double want = (x.v[at(r, ld, c)] - mean) / sqrt(var / dim + (double)eps) * gain.v[(size_t)c] + bias.v[(size_t)c];
            w.add(y.v[at(r, ld_y, c)], round_to(low, type), want);
        }
    }
    say(w, 30, untouched(y, rows, (dim + 3) / 4 * 4, ld_y), "layernorm", type, rows, dim);
}

static void activate(enum activate how, int rows, int cols, enum element type, bool residual, bool with_bias)
{
    const int ld = padded(cols) + 8;
    Array x((size_t)rows * (size_t)ld, type), y((size_t)rows * (size_t)ld, type), r((size_t)rows * (size_t)ld, type),
        bias((size_t)cols, ELEMENT_F32);
    x.fill([&](size_t i) { return i % 5 ? 2 * normal() : 0.01f * (float)(i % 1000) - 5.f; });
    r.fill([](size_t) { return normal(); });
    y.fill([](size_t) { return -77.f; });
    bias.fill([](size_t) { return 0.5f * normal(); });
    must(activate_launch(y.device, x.device, with_bias ? (const float *)bias.device : nullptr, residual ? r.device : nullptr, how,
                         type, rows, cols, ld, stream()),
         "activate");
    y.read();
    Worst w;
    const bool relu = how == ACTIVATE_RELU;
    for (int i = 0; i < rows; i++)
        for (int c = 0; c < cols; c++) {
            double v = (double)x.v[at(i, ld, c)] + (with_bias ? bias.v[(size_t)c] : 0), add = residual ? r.v[at(i, ld, c)] : 0;
            float f = (float)v;
            w.add(y.v[at(i, ld, c)], round_to((relu ? fmaxf(f, 0.f) : 0.5f * f * (1 + erff(f * 0.70710678f))) + (float)add, type),
                  (relu ? fmax(v, 0.) : 0.5 * v * (1 + erf(v * 0.70710678118654752))) + add);
        }
    char what[64];
    snprintf(what, sizeof what, "%s%s%s", relu ? "relu" : "gelu", with_bias ? " of x + bias" : "", residual ? " + residual" : "");
    say(w, relu ? 2 : 8, untouched(y, rows, (cols + 3) / 4 * 4, ld), what, type, rows, cols);
}

/* Positions are one person's: both get the same, the tokens behind the last of the first are the second's. */
static void add(int people, int tokens, int cols)
{
    const int ld = padded(cols) + 8, rows = people * tokens;
    Array x((size_t)rows * (size_t)ld, ELEMENT_F32), positions((size_t)tokens * (size_t)ld, ELEMENT_F32);
    x.fill([&](size_t i) { return (int)(i % (size_t)ld) < (cols + 3) / 4 * 4 ? normal() : -77.f; });
    positions.fill([](size_t) { return normal(); });
    const std::vector<float> before = x.v;
    must(add_launch((float *)x.device, (const float *)positions.device, people, tokens, cols, ld, stream()), "add");
    x.read();
    int bad = 0;
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < cols; c++)
            bad += x.v[at(r, ld, c)] != before[at(r, ld, c)] + positions.v[at(r % tokens, ld, c)];
    char text[128];
    snprintf(text, sizeof text, "positions of %d tokens of %d added for %d people, exactly", tokens, cols, people);
    report(bad == 0 && untouched(x, rows, (cols + 3) / 4 * 4, ld), text);
}

static void relu_and_convert(int rows, int cols, enum element type)
{
    const int ld = padded(cols) + 8;
    Array x((size_t)rows * (size_t)ld, type), y((size_t)rows * (size_t)ld, type), plain((size_t)rows * (size_t)cols, ELEMENT_F32);
    x.fill([](size_t) { return normal(); });
    y.fill([](size_t) { return -77.f; });
    must(activate_launch(y.device, x.device, nullptr, nullptr, ACTIVATE_RELU, type, rows, cols, ld, stream()), "relu");
    must(convert_launch(plain.device, ELEMENT_F32, cols, y.device, type, ld, rows, cols, stream()), "convert");
    y.read();
    plain.read();
    int bad = 0;
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < cols; c++)
            bad += y.v[at(r, ld, c)] != fmaxf(x.v[at(r, ld, c)], 0.f) || plain.v[at(r, cols, c)] != y.v[at(r, ld, c)];
    Array again((size_t)rows * (size_t)ld, type), source((size_t)rows * (size_t)cols, ELEMENT_F32);
    source.fill([](size_t) { return normal() * 3; });
    again.fill([](size_t) { return -77.f; });
    must(convert_launch(again.device, type, ld, source.device, ELEMENT_F32, cols, rows, cols, stream()), "convert");
    again.read();
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < cols; c++)
            bad += again.v[at(r, ld, c)] != round_to(source.v[at(r, cols, c)], type);
    char text[128];
    snprintf(text, sizeof text, "relu and changes of type %s %d x %d", element_name(type), rows, cols);
    report(bad == 0 && untouched(y, rows, (cols + 3) / 4 * 4, ld) && untouched(again, rows, cols, ld), text);
}

static void embed(enum element type, bool mirrored, int before)
{
    embed_params p{};
    p.people = 2, p.image_h = 21, p.image_w = 17, p.patch_h = 5, p.patch_w = 4, p.pad = 2, p.grid_h = 4, p.grid_w = 5, p.dim = 13;
    p.crop_bytes = 21 * 17 * 3 + 5, p.ld_patches = padded(60), p.ld_x = padded(13), p.ld_positions = 13, p.mirrored = mirrored;
    p.before = before, p.after = 3 * before;
    const int patch_count = p.grid_h * p.grid_w, tokens = p.before + patch_count + p.after;
    std::vector<uint8_t> crop(2 * p.crop_bytes);
    for (auto &c : crop)
        c = (uint8_t)((int)(uniform() * 128 + 128) & 255);
    Raw<uint8_t> crops(crop);
    Array lut(768, ELEMENT_F32), positions((size_t)(tokens * p.dim), ELEMENT_F32), bias((size_t)p.dim, ELEMENT_F32);
    Array patches((size_t)(2 * patch_count * p.ld_patches), type), x((size_t)(2 * tokens * p.ld_x), ELEMENT_F32);
    lut.fill([](size_t) { return normal(); });
    positions.fill([](size_t) { return normal(); });
    bias.fill([](size_t) { return normal(); });
    patches.fill([](size_t) { return -77.f; });
    x.fill([](size_t) { return -77.f; });
    p.crops = crops.device;
    p.lut = (const float *)lut.device;
    p.positions = (const float *)positions.device;
    p.bias = (const float *)bias.device;
    p.patches = patches.device;
    p.x = (float *)x.device;
    must(embed_launch(p, type, stream()), "embed");
    patches.read();
    x.read();
    int bad = 0;
    for (int person = 0; person < 2; person++)
        for (int token = 0; token < tokens; token++) {
            const int t = token - p.before;
            const bool is_patch = t >= 0 && t < patch_count;
            for (int channel = 0; is_patch && channel < 3; channel++)
                for (int y = 0; y < p.patch_h; y++)
                    for (int c = 0; c < p.patch_w; c++) {
                        int yy = t / p.grid_w * p.patch_h - p.pad + y, xx = t % p.grid_w * p.patch_w - p.pad + c;
                        bool there = yy >= 0 && yy < p.image_h && xx >= 0 && xx < p.image_w;
                        int from = mirrored ? p.image_w - 1 - xx : xx;
                        float want = there
                                         ? lut.v[(size_t)(channel * 256 + crop[(size_t)person * p.crop_bytes +
                                                                               (size_t)((yy * p.image_w + from) * 3 + channel)])]
                                         : 0.f;
                        bad += patches.v[at(person * patch_count + t, p.ld_patches, (channel * p.patch_h + y) * p.patch_w + c)] !=
                               round_to(want, type);
                    }
            for (int o = 0; o < p.dim; o++)
                bad += x.v[at(person * tokens + token, p.ld_x, o)] !=
                       (is_patch ? bias.v[(size_t)o] : 0.f) + positions.v[(size_t)(token * p.dim + o)];
        }
    char text[128];
    snprintf(text, sizeof text, "embed %s%s: crops to patches between %d and %d other tokens, exactly", element_name(type),
             mirrored ? " mirrored" : "", p.before, p.after);
    report(bad == 0 && untouched(patches, 2 * patch_count, 60, p.ld_patches) && untouched(x, 2 * tokens, 13, p.ld_x), text);
}

/* The definition: ReLU, upsampling, convolution; products are made here in double from a random map of `dim` channels. */
static void simple_head(int grid_h, int grid_w, int scale, int keypoints)
{
    const int people = 2, dim = 3, tokens = grid_h * grid_w, ld = padded(9 * keypoints), h = grid_h * scale, w = grid_w * scale;
    std::vector<double> x((size_t)(people * tokens * dim)), weight((size_t)(keypoints * dim * 9));
    for (auto &v : x)
        v = fmax(normal(), 0.f);
    for (auto &v : weight)
        v = normal();
    Array products((size_t)(people * tokens * ld), ELEMENT_F32), bias((size_t)keypoints, ELEMENT_F32),
        heat((size_t)(people * keypoints * h * w), ELEMENT_F32);
    products.fill([&](size_t i) {
        int column = (int)(i % (size_t)ld), row = (int)(i / (size_t)ld), tap = column / keypoints, k = column % keypoints;
        double sum = 0;
        for (int c = 0; tap < 9 && c < dim; c++)
            sum += x[(size_t)(row * dim + c)] * weight[(size_t)((k * dim + c) * 9 + tap)];
        return (float)sum;
    });
    bias.fill([](size_t) { return normal(); });
    must(simple_head_launch((float *)heat.device, (const float *)products.device, ld, (const float *)bias.device, people, grid_h,
                            grid_w, scale, keypoints, stream()),
         "simple_head");
    heat.read();
    Worst worst;
    auto up = [&](int person, int c, int oy, int ox) {
        double sy = fmax((oy + 0.5) / scale - 0.5, 0), sx = fmax((ox + 0.5) / scale - 0.5, 0);
        int y0 = (int)sy, x0 = (int)sx, y1 = y0 + 1 < grid_h ? y0 + 1 : y0, x1 = x0 + 1 < grid_w ? x0 + 1 : x0;
        auto v = [&](int y, int xx) { return x[(size_t)((person * tokens + y * grid_w + xx) * dim + c)]; };
        double fy = sy - y0, fx = sx - x0;
        return (v(y0, x0) * (1 - fx) + v(y0, x1) * fx) * (1 - fy) + (v(y1, x0) * (1 - fx) + v(y1, x1) * fx) * fy;
    };
    for (int person = 0; person < people; person++)
        for (int k = 0; k < keypoints; k++)
            for (int oy = 0; oy < h; oy++)
                for (int ox = 0; ox < w; ox++) {
                    double sum = bias.v[(size_t)k];
                    for (int tap = 0; tap < 9; tap++) {
                        int yy = oy + tap / 3 - 1, xx = ox + tap % 3 - 1;
                        for (int c = 0; c < dim && yy >= 0 && yy < h && xx >= 0 && xx < w; c++)
                            sum += up(person, c, yy, xx) * weight[(size_t)((k * dim + c) * 9 + tap)];
                    }
                    worst.add(heat.v[(size_t)(((person * keypoints + k) * h + oy) * w + ox)], sum, sum);
                }
    say(worst, 30, true, "simple head", ELEMENT_F32, h, w);
}

/* Both gathers followed by a product with the regrouped kernel must be the transposed convolution, and the last layer its sum. */
static void classic_head(enum element type, int h, int w, int channels, int keypoints)
{
    const int people = 2, pixels = h * w, mid = channels + 3, ld = padded(channels) + 8, ld_mid = padded(mid);
    Array x((size_t)(people * pixels * ld), type), gathered((size_t)(4 * people * pixels * 4 * channels), type);
    x.fill([](size_t) { return normal(); });
    gathered.fill([](size_t) { return -77.f; });
    must(gather_rows_launch(gathered.device, x.device, ld, type, people, h, w, channels, stream()), "gather_rows");
    gathered.read();
    std::vector<double> kernel((size_t)(channels * mid * 16));
    for (auto &v : kernel)
        v = normal();
    Worst worst;
    for (int person = 0; person < people; person++)
        for (int oy = 0; oy < 2 * h; oy++)
            for (int ox = 0; ox < 2 * w; ox++) {
                const int parity = oy % 2 * 2 + ox % 2, row = (parity * people + person) * pixels + oy / 2 * w + ox / 2,
                          o = (oy + ox) % mid;
                double got = 0, want = 0;
                for (int tap = 0; tap < 4; tap++)
                    for (int c = 0; c < channels; c++)
                        got +=
                            gathered.v[at(row, 4 * channels, tap * channels + c)] *
                            kernel[(size_t)((c * mid + o) * 16 + (3 - oy % 2 - 2 * (tap / 2)) * 4 + 3 - ox % 2 - 2 * (tap % 2))];
                for (int iy = 0; iy < h; iy++)
                    for (int ix = 0; ix < w; ix++) {
                        const int ky = oy + 1 - 2 * iy, kx = ox + 1 - 2 * ix;
                        for (int c = 0; c < channels && ky >= 0 && ky < 4 && kx >= 0 && kx < 4; c++)
                            want += x.v[at(person * pixels + iy * w + ix, ld, c)] *
                                    kernel[(size_t)((c * mid + o) * 16 + ky * 4 + kx)];
                    }
                worst.add(got, want, want);
            }
    say(worst, 1, true, "classic head, gather of rows", type, h, w);

    /* maps as a product leaves them; their gather and the last layer */
    Array maps((size_t)(4 * people * pixels * ld_mid), type), bias((size_t)mid, ELEMENT_F32),
        second((size_t)(4 * people * 4 * pixels * 4 * mid), type);
    maps.fill([](size_t) { return normal(); });
    bias.fill([](size_t) { return 0.5f * normal(); });
    second.fill([](size_t) { return -77.f; });
    const parity_maps in = {maps.device, (const float *)bias.device, h, w, mid, ld_mid};
    must(gather_maps_launch(second.device, in, type, people, stream()), "gather_maps");
    second.read();
    auto pixel = [&](int person, int y, int xx, int c) { /* of the doubled map; zero outside */
                                                         if (y < 0 || y >= 2 * h || xx < 0 || xx >= 2 * w)
                                                             return 0.f;
                                                         const int row = ((y % 2 * 2 + xx % 2) * people + person) * pixels +
                                                                         y / 2 * w + xx / 2;
                                                         return fmaxf(maps.v[at(row, ld_mid, c)] + bias.v[(size_t)c], 0.f);
    };
    int bad = 0;
    for (int parity = 0; parity < 4; parity++)
        for (int person = 0; person < people; person++)
            for (int place = 0; place < 4 * pixels; place++)
                for (int tap = 0; tap < 4; tap++)
                    for (int c = 0; c < mid; c++) {
                        float want = pixel(person, place / (2 * w) + parity / 2 - 1 + tap / 2,
                                           place % (2 * w) + parity % 2 - 1 + tap % 2, c);
                        bad += second.v[at((parity * people + person) * 4 * pixels + place, 4 * mid, tap * mid + c)] !=
                               round_to(want, type);
                    }
    char text[128];
    snprintf(text, sizeof text, "classic head, gather of maps %s %d x %d: exactly", element_name(type), 2 * h, 2 * w);
    report(bad == 0, text);

    Array conv((size_t)(keypoints * mid), ELEMENT_F32), out_bias((size_t)keypoints, ELEMENT_F32),
        heat((size_t)(people * keypoints * 4 * pixels), ELEMENT_F32);
    conv.fill([](size_t) { return normal(); });
    out_bias.fill([](size_t) { return normal(); });
    must(classic_head_launch((float *)heat.device, in, (const float *)conv.device, (const float *)out_bias.device, type, people,
                             keypoints, stream()),
         "classic_head");
    heat.read();
    Worst last;
    for (int person = 0; person < people; person++)
        for (int k = 0; k < keypoints; k++)
            for (int p = 0; p < 4 * pixels; p++) {
                double want = out_bias.v[(size_t)k];
                float low = 0;
                for (int c = 0; c < mid; c++) {
                    float f = pixel(person, p / (2 * w), p % (2 * w), c);
                    want += (double)f * conv.v[(size_t)(k * mid + c)];
                    low += f * conv.v[(size_t)(k * mid + c)];
                }
                last.add(heat.v[(size_t)((person * keypoints + k) * 4 * pixels + p)], low + out_bias.v[(size_t)k], want);
            }
    say(last, 8, true, "classic head, last layer", type, keypoints, mid);
}

/* compute/joints.c's way, written again in double over the whole map. */
static void joint_of(const std::vector<float> &map, int h, int w, double out[3])
{
    size_t best = 0;
    for (size_t i = 1; i < map.size(); i++)
        if (map[best] == map[best] && (map[i] > map[best] || map[i] != map[i]))
            best = i;
    out[0] = out[1] = -1;
    out[2] = map[best];
    if (!(map[best] > 0))
        return;
    double weight[6], total = 0;
    for (int t = 0; t < 6; t++)
        total += (t ? 2 : 1) * (weight[t] = exp(-t * t / (2 * 0.8 * 0.8)));
    auto mirror = [](int i, int n) {
        while (i < 0 || i >= n)
            i = i < 0 ? -1 - i : 2 * n - 1 - i;
        return i;
    };
    std::vector<float> down(map.size()), blurred(map.size());
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            double s = 0;
            for (int t = -5; t <= 5; t++)
                s += weight[abs(t)] / total * map[(size_t)(mirror(y + t, h) * w + x)];
            down[(size_t)(y * w + x)] = (float)s;
        }
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            double s = 0;
            for (int t = -5; t <= 5; t++)
                s += weight[abs(t)] / total * down[(size_t)(y * w + mirror(x + t, w))];
            blurred[(size_t)(y * w + x)] = logf(fminf(fmaxf((float)s, 0.001f), 50.f));
        }
    const int px = (int)best % w, py = (int)best / w;
    auto L = [&](int dy, int dx) {
        int y = py + dy < 0 ? 0 : py + dy >= h ? h - 1 : py + dy, x = px + dx < 0 ? 0 : px + dx >= w ? w - 1 : px + dx;
        return (double)blurred[(size_t)(y * w + x)];
    };
    double dx = 0.5 * (L(0, 1) - L(0, -1)), dy = 0.5 * (L(1, 0) - L(-1, 0)), eps = 1.1920928955078125e-07;
    double dxx = L(0, 1) - 2 * L(0, 0) + L(0, -1) + eps, dyy = L(1, 0) - 2 * L(0, 0) + L(-1, 0) + eps;
    double dxy = 0.5 * (L(1, 1) - L(0, 1) - L(1, 0) + 2 * L(0, 0) - L(0, -1) - L(-1, 0) + L(-1, -1)), det = dxx * dyy - dxy * dxy;
    out[0] = px - (dyy * dx - dxy * dy) / det;
    out[1] = py - (dxx * dy - dxy * dx) / det;
}

static void decode_maps(int h, int w, bool mirrored)
{
    const int people = 2, keypoints = 7, pixels = h * w;
    Array heat((size_t)(people * keypoints * pixels), ELEMENT_F32), other((size_t)(people * keypoints * pixels), ELEMENT_F32),
        joints((size_t)(people * keypoints * 3), ELEMENT_F32);
    auto bump = [&](size_t i) { /* a joint a map: inside, at borders and corners, two equal ones, none */
                                int map = (int)i / pixels, p = (int)i % pixels, k = map % keypoints, y = p / w, x = p % w;
                                double cy = k == 1   ? 0
                                            : k == 2 ? h - 1
                                            : k == 3 ? h / 2
                                                     : 0.37 * h + map % 3,
                                       cx = k == 1   ? 0
                                            : k == 2 ? w - 1
                                            : k == 3 ? w - 1
                                                     : 0.61 * w - 0.3 * (map % 2);
                                if (k == 5)
                                    return p == pixels / 3 || p == pixels / 2 ? 0.75f : 0.01f * (float)(p % 7);
                                return (float)(0.9 * exp(-((y - cy) * (y - cy) + (x - cx) * (x - cx)) / 8.0) - (k == 6 ? 1 : 0)) +
                                       (k == 6 ? 0.f : 0.002f * uniform());
    };
    heat.fill(bump);
    other.fill([&](size_t i) { return bump(i) * 0.9f; });
    std::vector<int> flip = {0, 2, 1, 4, 3, 5, 6};
    Raw<int> flips(flip);
    must(decode_launch((float *)joints.device, (const float *)heat.device, mirrored ? (const float *)other.device : nullptr,
                       flips.device, people, keypoints, h, w, stream()),
         "decode");
    joints.read();
    double off = 0, score = 0;
    for (int map = 0; map < people * keypoints; map++) {
        std::vector<float> m((size_t)pixels);
        for (int p = 0; p < pixels; p++) {
            m[(size_t)p] = heat.v[(size_t)(map * pixels + p)];
            if (mirrored)
                m[(size_t)p] = 0.5f * (m[(size_t)p] +
                                       other.v[(size_t)((map / keypoints * keypoints + flip[(size_t)(map % keypoints)]) * pixels +
                                                        p / w * w + w - 1 - p % w)]);
        }
        double want[3];
        joint_of(m, h, w, want);
        for (int i = 0; i < 2; i++) {
            double e = fabs(joints.v[(size_t)(map * 3 + i)] - want[i]);
            off = e <= off ? off : e == e ? e : 1e9;
        }
        score = fmax(score, fabs(joints.v[(size_t)(map * 3 + 2)] - want[2]));
    }
    char text[128];
    snprintf(text, sizeof text, "decode%s %d x %d: joints within %.1e heatmap pixels, scores within %.1e",
             mirrored ? " mirrored" : "", h, w, off, score);
    report(off <= 1e-4 && score == 0, text);
}

static void decode_nan()
{
    const int h = 9, w = 8;
    Array heat(2 * 72, ELEMENT_F32), joints(6, ELEMENT_F32);
    heat.fill([](size_t i) {
        return i == 30 || i == 40 ? NAN : i >= 72 ? 0.f : 0.1f;
    }); /* NaN in the first map; a flat second one */
    must(decode_launch((float *)joints.device, (const float *)heat.device, nullptr, nullptr, 1, 2, h, w, stream()), "decode");
    joints.read();
    report(joints.v[0] == -1 && joints.v[1] == -1 && joints.v[2] != joints.v[2] && joints.v[3] == -1 && joints.v[5] == 0,
           "decode of a map with NaN, and of zeros");
}

/* "small" for AddressSanitizer and the interpreter; "races" for ThreadSanitizer, which wants a new thread for every thread of every
 * block: one type, few blocks, every kernel. */
int main(int argc, char **argv)
{
    const bool races = argc > 1 && !strcmp(argv[1], "races"), small = races || (argc > 1 && !strcmp(argv[1], "small"));
    setvbuf(stdout, nullptr, _IOLBF, 0);
    for (enum element type : types) {
        const struct {
            int rows, dim;
        } shapes[] = {{3, 384}, {6, 36}, {1, 65}, {5, 768}, {2, 1280}, {4, 1600}, {197, 192}};
        if (races && type != ELEMENT_F16)
            continue;
        for (size_t i = 0; i < (races ? 3 : small ? 4 : sizeof shapes / sizeof *shapes); i++)
            layernorm(shapes[i].rows, shapes[i].dim, type, shapes[i].rows == 5 ? 100.f : 0.f);
        activate(ACTIVATE_GELU, 2, 37, type, true, true);
        activate(ACTIVATE_RELU, 2, 37, type, true, true);
        relu_and_convert(2, 13, type);
        embed(type, type == ELEMENT_F16, 0);
        embed(type, false, 1);
        /* always more than one slice of 32 channels and one round of 20 keypoints */
        classic_head(type, races ? 1 : small ? 2 : 4, races ? 2 : 3, small ? 30 : 40, small ? 21 : 23);
        if (races)
            continue;
        activate(ACTIVATE_GELU, 3, 96, type, false, true);
        activate(ACTIVATE_GELU, 1, 1030, type, true, false);
        activate(ACTIVATE_RELU, 3, 1030, type, false, true);
        relu_and_convert(3, 300, type);
    }
    add(2, 5, 38);
    simple_head(2, 3, 2, 3);
    for (int mirrored = 0; mirrored < 2; mirrored++) {
        decode_maps(5, 4, mirrored != 0);
        if (!races)
            decode_maps(3, 20, mirrored != 0);
        if (!races)
            decode_maps(small ? 12 : 64, small ? 9 : 48, mirrored != 0);
    }
    decode_nan();
    if (!races) {
        embed(ELEMENT_F32, true, 1);
        add(1, 3, 1100);
        simple_head(4, 3, 4, small ? 3 : 17);
        simple_head(3, 1, 1, 2);
    }
    return finish();
}
