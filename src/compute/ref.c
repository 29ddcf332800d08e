/* SPDX-License-Identifier: MIT */
/* compute/ref.c - the definition of every operation: plain loops over plain floats, sums in double, one thread. Slow and final.
 *
 * Every buffer is fp32, rows of [people][tokens][cols] (heatmaps: [people][cols][tokens]); a weight is a copy of its
 * description. What an operation means is written here and in compute/backend.h; the other backends are held against this file. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compute/open.h"
#include "base/error.h"
#include "compute/joints.h"
#include "compute/token_groups.h"

struct ref_buf {
    struct buf base;
    float *v;
};

struct ref_exec {
    struct exec base;
    limber_error error;   /* of the running forward pass */
    const uint8_t *crops; /* borrowed between upload and finish */
    size_t crop_bytes;
    float *scratch; /* decoding: an averaged map; grows at buf_open */
    size_t scratch_cap;
};

struct weight {
    enum { W_EMBED, W_LAYERNORM, W_LINEAR, W_SIMPLE_HEAD, W_CLASSIC_HEAD } kind;
    union {
        struct embed_desc embed;
        struct layernorm_desc layernorm;
        struct linear_desc linear;
        struct simple_head_desc simple;
        struct classic_head_desc classic;
    };
    float *arrays[6]; /* owned copies the description points into */
    int count;
};

static float *buf_at(const struct buf *b, int person)
{
    return ((const struct ref_buf *)b)->v + (size_t)person * (size_t)b->tokens * (size_t)b->cols;
}

/* ---- weights ---- */

static struct weight *weight_new(int kind)
{
    struct weight *w = calloc(1, sizeof *w);
    if (w)
        w->kind = kind;
    return w;
}

/* Copies n floats into the weight and points *field at the copy; false when memory is short. */
static bool weight_keep(struct weight *w, const float **field, size_t n)
{
    float *copy = malloc(n * sizeof *copy);
    if (!copy)
        return false;
    memcpy(copy, *field, n * sizeof *copy);
    w->arrays[w->count++] = copy;
    *field = copy;
    return true;
}

static void ref_weight_free(struct backend *be, struct weight *w)
{
    (void)be;
    if (!w)
        return;
    for (int i = 0; i < w->count; i++)
        free(w->arrays[i]);
    free(w);
}

static limber_status weight_out(struct weight **out, struct weight *w, bool ok, limber_error *err)
{
    if (!ok) {
        ref_weight_free(NULL, w);
        *out = NULL;
        return limber_fail(err, LIMBER_E_MEMORY, "ref: out of memory packing a weight");
    }
    *out = w;
    return LIMBER_OK;
}

static limber_status ref_embed_pack(struct backend *be, struct weight **out, const struct embed_desc *d, limber_error *err)
{
    (void)be;
    struct weight *w = weight_new(W_EMBED);
    bool ok = w != NULL;
    if (ok) {
        w->embed = *d;
        const float *lut = d->lut[0];
        ok = weight_keep(w, &lut, 3 * 256) &&
             weight_keep(w, &w->embed.weight, (size_t)d->dim * 3 * (size_t)d->patch_h * (size_t)d->patch_w) &&
             weight_keep(w, &w->embed.bias, (size_t)d->dim);
        w->embed.lut = (const float(*)[256])lut;
    }
    return weight_out(out, w, ok, err);
}

static limber_status ref_layernorm_pack(struct backend *be, struct weight **out, const struct layernorm_desc *d,
                                        limber_error *err)
{
    (void)be;
    struct weight *w = weight_new(W_LAYERNORM);
    bool ok = w != NULL;
    if (ok) {
        w->layernorm = *d;
        ok = weight_keep(w, &w->layernorm.gain, (size_t)d->dim) && weight_keep(w, &w->layernorm.bias, (size_t)d->dim);
    }
    return weight_out(out, w, ok, err);
}

static limber_status ref_linear_pack(struct backend *be, struct weight **out, const struct linear_desc *d, limber_error *err)
{
    (void)be;
    struct weight *w = weight_new(W_LINEAR);
    bool ok = w != NULL;
    if (ok) {
        w->linear = *d;
        ok = weight_keep(w, &w->linear.weight, (size_t)d->in * (size_t)d->out) &&
             (!d->bias || weight_keep(w, &w->linear.bias, (size_t)d->out));
    }
    return weight_out(out, w, ok, err);
}

static limber_status ref_simple_head_pack(struct backend *be, struct weight **out, const struct simple_head_desc *d,
                                          limber_error *err)
{
    (void)be;
    struct weight *w = weight_new(W_SIMPLE_HEAD);
    bool ok = w != NULL;
    if (ok) {
        w->simple = *d;
        ok = weight_keep(w, &w->simple.weight, (size_t)d->keypoints * (size_t)d->dim * 9) &&
             weight_keep(w, &w->simple.bias, (size_t)d->keypoints);
    }
    return weight_out(out, w, ok, err);
}

static limber_status ref_classic_head_pack(struct backend *be, struct weight **out, const struct classic_head_desc *d,
                                           limber_error *err)
{
    (void)be;
    struct weight *w = weight_new(W_CLASSIC_HEAD);
    bool ok = w != NULL;
    if (ok) {
        w->classic = *d;
        size_t mid = (size_t)d->mid;
        ok = weight_keep(w, &w->classic.deconv1, (size_t)d->dim * mid * 16) && weight_keep(w, &w->classic.bias1, mid) &&
             weight_keep(w, &w->classic.deconv2, mid * mid * 16) && weight_keep(w, &w->classic.bias2, mid) &&
             weight_keep(w, &w->classic.conv, (size_t)d->keypoints * mid) &&
             weight_keep(w, &w->classic.bias, (size_t)d->keypoints);
    }
    return weight_out(out, w, ok, err);
}

static limber_status ref_attention_check(struct backend *be, const struct attention_args *a, limber_error *err)
{
    (void)be;
    if (a->stats && a->kind != ATTENTION_EXACT)
        return limber_fail(err, LIMBER_E_UNSUPPORTED, "ref: attention statistics are defined for exact attention only");
    return LIMBER_OK;
}

static int ref_preferred_batch(struct backend *be, int threads, const struct pass_shape *shape)
{
    (void)be;
    (void)threads;
    (void)shape;
    return 1;
}

/* ---- session ---- */

static limber_status ref_exec_open(struct backend *be, struct exec **out, int threads, int max_people,
                                   const struct pass_shape *largest, limber_error *err)
{
    (void)threads;
    (void)max_people;
    (void)largest;
    struct ref_exec *ex = calloc(1, sizeof *ex);
    *out = NULL;
    if (!ex)
        return limber_fail(err, LIMBER_E_MEMORY, "ref: out of memory opening a session");
    ex->base.ops = be->ops;
    *out = &ex->base;
    return LIMBER_OK;
}

static void ref_exec_close(struct exec *base)
{
    struct ref_exec *ex = (struct ref_exec *)base;
    if (!ex)
        return;
    free(ex->scratch);
    free(ex);
}

static void ref_buf_close(struct exec *ex, struct buf *base)
{
    (void)ex;
    struct ref_buf *b = (struct ref_buf *)base;
    if (!b)
        return;
    free(b->v);
    free(b);
}

static bool grow(void **p, size_t *cap, size_t bytes)
{
    if (bytes <= *cap)
        return true;
    void *q = realloc(*p, bytes);
    if (!q)
        return false;
    *p = q;
    *cap = bytes;
    return true;
}

static limber_status ref_buf_open(struct exec *base, struct buf **out, enum buf_kind kind, int people, int tokens, int cols,
                                  limber_error *err)
{
    struct ref_exec *ex = (struct ref_exec *)base;
    struct ref_buf *b = calloc(1, sizeof *b);
    size_t n = (size_t)people * (size_t)tokens * (size_t)cols;
    *out = NULL;
    if (b) {
        b->base = (struct buf){.kind = kind, .people = people, .tokens = tokens, .cols = cols};
        b->v = calloc(n, sizeof *b->v);
    }
    /* for decoding: an averaged map */
    if (!b || !b->v || !grow((void **)&ex->scratch, &ex->scratch_cap, (size_t)tokens * sizeof *ex->scratch)) {
        ref_buf_close(base, b ? &b->base : NULL);
        return limber_fail(err, LIMBER_E_MEMORY, "ref: no memory for %d x %d x %d activations", people, tokens, cols);
    }
    *out = &b->base;
    return LIMBER_OK;
}

static void ref_buf_resize(struct exec *ex, struct buf *b, int tokens)
{
    (void)ex;
    b->tokens = tokens;
}

static size_t span_floats(const struct buf *b, struct span s)
{
    return (size_t)s.count * (size_t)b->tokens * (size_t)b->cols;
}

static void ref_buf_read(struct exec *ex, const struct buf *b, struct span span, float *dst)
{
    (void)ex;
    memcpy(dst, buf_at(b, span.first), span_floats(b, span) * sizeof *dst);
}

static void ref_buf_write(struct exec *ex, struct buf *b, struct span span, const float *src)
{
    (void)ex;
    memcpy(buf_at(b, span.first), src, span_floats(b, span) * sizeof *src);
}

static void ref_upload(struct exec *base, const uint8_t *crops, int people, size_t crop_bytes)
{
    struct ref_exec *ex = (struct ref_exec *)base;
    (void)people;
    ex->error = (limber_error){0};
    ex->crops = crops;
    ex->crop_bytes = crop_bytes;
}

static bool ref_replay(struct exec *ex, int people, uint64_t variant)
{
    (void)ex;
    (void)people;
    (void)variant;
    return false;
}

static void ref_split(struct exec *ex, int people, span_fn fn, void *context)
{
    fn(context, ex, (struct span){.first = 0, .count = people, .lane = NULL});
}

static limber_status ref_finish(struct exec *base, limber_error *err)
{
    struct ref_exec *ex = (struct ref_exec *)base;
    ex->crops = NULL;
    if (ex->error.status != LIMBER_OK && err)
        *err = ex->error;
    return ex->error.status;
}

/* ---- operations ---- */

static void ref_embed(struct exec *base, struct span span, struct buf *x, const struct weight *w, const struct buf *positions,
                      const struct pass_shape *s, bool mirrored)
{
    const struct ref_exec *ex = (const struct ref_exec *)base;
    const struct embed_desc *d = &w->embed;
    for (int p = span.first; p < span.first + span.count; p++) {
        const uint8_t *crop = ex->crops + (size_t)p * ex->crop_bytes;
        float *out = buf_at(x, p);
        const float *position = buf_at(positions, 0);
        memcpy(out, position, (size_t)x->tokens * (size_t)d->dim * sizeof *out);
        out += (size_t)s->before * (size_t)d->dim;
        position += (size_t)s->before * (size_t)d->dim;
        for (int r = 0; r < s->grid_h; r++)
            for (int c = 0; c < s->grid_w; c++)
                for (int o = 0; o < d->dim; o++) {
                    const float *k = d->weight + (size_t)o * 3 * (size_t)(d->patch_h * d->patch_w);
                    double sum = d->bias[o];
                    for (int ch = 0; ch < 3; ch++)
                        for (int ky = 0; ky < d->patch_h; ky++)
                            for (int kx = 0; kx < d->patch_w; kx++, k++) {
                                int yy = r * d->patch_h - s->pad + ky, xx = c * d->patch_w - s->pad + kx;
                                if (yy < 0 || yy >= s->image_h || xx < 0 || xx >= s->image_w)
                                    continue;
                                int from = mirrored ? s->image_w - 1 - xx : xx;
                                sum += (double)*k * d->lut[ch][crop[((size_t)yy * (size_t)s->image_w + (size_t)from) * 3 + ch]];
                            }
                    size_t at = (size_t)(r * s->grid_w + c) * (size_t)d->dim + (size_t)o;
                    out[at] = (float)(sum + position[at]);
                }
    }
}

static void ref_layernorm(struct exec *ex, struct span span, struct buf *y, const struct buf *x, const struct weight *w)
{
    (void)ex;
    const struct layernorm_desc *d = &w->layernorm;
    for (int p = span.first; p < span.first + span.count; p++)
        for (int t = 0; t < x->tokens; t++) {
            const float *in = buf_at(x, p) + (size_t)t * (size_t)d->dim;
            float *out = buf_at(y, p) + (size_t)t * (size_t)d->dim;
            double mean = 0, var = 0;
            for (int i = 0; i < d->dim; i++)
                mean += in[i];
            mean /= d->dim;
            for (int i = 0; i < d->dim; i++)
                var += (in[i] - mean) * (in[i] - mean);
            double scale = 1 / sqrt(var / d->dim + (double)d->eps);
            for (int i = 0; i < d->dim; i++)
                out[i] = (float)((in[i] - mean) * scale * d->gain[i] + d->bias[i]);
        }
}

static void ref_linear(struct exec *ex, struct span span, struct buf *y, const struct buf *x, const struct weight *w,
                       enum activation act, const struct buf *residual)
{
    (void)ex;
    const struct linear_desc *d = &w->linear;
    for (int p = span.first; p < span.first + span.count; p++)
        for (int t = 0; t < x->tokens; t++) {
            const float *in = buf_at(x, p) + (size_t)t * (size_t)d->in;
            float *out = buf_at(y, p) + (size_t)t * (size_t)d->out;
            const float *add = residual ? buf_at(residual, p) + (size_t)t * (size_t)d->out : NULL;
            for (int o = 0; o < d->out; o++) {
                const float *k = d->weight + (size_t)o * (size_t)d->in;
                double sum = d->bias ? d->bias[o] : 0;
                for (int i = 0; i < d->in; i++)
                    sum += (double)k[i] * in[i];
                if (act == ACT_GELU_ERF)
                    sum = 0.5 * sum * (1 + erf(sum * 0.70710678118654752440));
                else if (act == ACT_RELU)
                    sum = sum > 0 ? sum : 0;
                out[o] = (float)(sum + (add ? add[o] : 0));
            }
        }
}

static void ref_add(struct exec *ex, struct span span, struct buf *x, const struct buf *positions)
{
    (void)ex;
    for (int p = span.first; p < span.first + span.count; p++)
        for (size_t i = 0; i < (size_t)x->tokens * (size_t)x->cols; i++)
            buf_at(x, p)[i] += buf_at(positions, 0)[i];
}

static void ref_rows(struct exec *ex, struct span span, struct buf *y, const struct buf *x, int first)
{
    (void)ex;
    for (int p = span.first; p < span.first + span.count; p++)
        memcpy(buf_at(y, p), buf_at(x, p) + (size_t)first * (size_t)x->cols, (size_t)y->tokens * (size_t)y->cols * sizeof(float));
}

/* The row sums of compute/backend.h, from the full row p[0..tokens). */
static void row_stats(const struct attention_stats *s, const struct attention_args *a, int person, int head, int query,
                      const double *p, int tokens)
{
    int width = 4 + s->classes;
    float *out = s->out + (((size_t)person * (size_t)a->heads + (size_t)head) * (size_t)tokens + (size_t)query) * (size_t)width;
    double sum[4 + ATTENTION_STATS_MAX_CLASSES] = {0};
    const uint8_t *mask = s->masks + (size_t)person * (size_t)tokens;
    for (int j = 0; j < tokens; j++) {
        if (j == query && !s->include_self)
            continue;
        double dy = j / a->grid_w - query / a->grid_w, dx = j % a->grid_w - query % a->grid_w;
        sum[0] += p[j];
        sum[1] += p[j] * p[j];
        sum[2] += p[j] * sqrt(dx * dx + dy * dy);
        sum[3] += p[j] > 0 ? p[j] * log(p[j]) : 0;
        for (int c = 0; c < s->classes; c++)
            sum[4 + c] += mask[j] >> c & 1 ? p[j] : 0;
    }
    for (int i = 0; i < width; i++)
        out[i] = (float)sum[i];
}

/* What a query attends to: keys and values, which may stand for several tokens each. */
struct keys {
    int count;
    const double *k, *v; /* [count][head_dim] */
    const int *tokens;   /* [count]: how many tokens a key stands for */
};

/* One softmax row p and one output row: key j is left out where `window` says that it lies elsewhere. */
static void attend(double *p, float *out, const double *q, const struct keys *keys, int hd, const int *window, int query)
{
    double max = -INFINITY, total = 0;
    for (int j = 0; j < keys->count; j++) {
        double s = 0;
        for (int c = 0; c < hd; c++)
            s += q[c] * keys->k[(size_t)j * (size_t)hd + (size_t)c];
        bool seen = !window || window[j] == window[query];
        p[j] = seen ? s / sqrt((double)hd) + log(keys->tokens[j]) : -INFINITY;
        max = p[j] > max ? p[j] : max;
    }
    for (int j = 0; j < keys->count; j++)
        total += p[j] = exp(p[j] - max);
    for (int j = 0; j < keys->count; j++)
        p[j] /= total;
    for (int c = 0; c < hd; c++) {
        double s = 0;
        for (int j = 0; j < keys->count; j++)
            s += p[j] * keys->v[(size_t)j * (size_t)hd + (size_t)c];
        out[c] = (float)s;
    }
}

/* Mean over each group of the rows src[t * stride .. + hd): [groups][hd]. */
static void group_mean(double *mean, const float *src, size_t stride, const int *group, const int *size, int groups, int tokens,
                       int hd)
{
    memset(mean, 0, (size_t)groups * (size_t)hd * sizeof *mean);
    for (int t = 0; t < tokens; t++)
        for (int c = 0; c < hd; c++)
            mean[(size_t)group[t] * (size_t)hd + (size_t)c] += (double)src[(size_t)t * stride + (size_t)c] / size[group[t]];
}

static void ref_attention(struct exec *base, struct span span, struct buf *y, const struct buf *qkv,
                          const struct attention_args *a)
{
    struct ref_exec *ex = (struct ref_exec *)base;
    const int tokens = qkv->tokens, hd = a->head_dim;
    const size_t dim = (size_t)a->heads * (size_t)hd, stride = 3 * dim, n = (size_t)tokens;
    double *p = malloc((n * (1 + 3 * (size_t)hd) + (size_t)hd) * sizeof *p);
    double *q = p + n, *k = q + n * (size_t)hd, *v = k + n * (size_t)hd, *own = v + n * (size_t)hd;
    int *group = malloc(3 * n * sizeof *group), *size = group + n, *window = size + n;
    void *scratch = malloc(token_groups_scratch(a));
    if (!p || !group || !scratch) {
        limber_fail(&ex->error, LIMBER_E_MEMORY, "ref: no memory for the attention of %d tokens", tokens);
        goto done;
    }
    for (int person = span.first; person < span.first + span.count; person++) {
        const float *rows = buf_at(qkv, person);
        int groups = tokens;
        for (int t = 0; t < tokens; t++) {
            group[t] = t;
            window[t] = a->kind == ATTENTION_WINDOW ? token_window(a, t) : 0;
        }
        if (a->kind == ATTENTION_POOL)
            groups = token_groups_pool(group, a);
        else if (a->kind == ATTENTION_MERGE)
            groups = token_groups_merge(group, a, rows + dim, stride, scratch);
        memset(size, 0, n * sizeof *size);
        for (int t = 0; t < tokens; t++)
            size[group[t]]++;
        const struct keys keys = {.count = groups, .k = k, .v = v, .tokens = size};
        for (int h = 0; h < a->heads; h++) {
            const float *head = rows + h * hd;
            group_mean(q, head, stride, group, size, groups, tokens, hd);
            group_mean(k, head + dim, stride, group, size, groups, tokens, hd);
            group_mean(v, head + 2 * dim, stride, group, size, groups, tokens, hd);
            for (int i = 0; i < tokens; i++) {
                float *out = buf_at(y, person) + (size_t)i * dim + (size_t)(h * hd);
                for (int c = 0; c < hd; c++) /* merged tokens ask as one; pooling leaves the queries apart */
                    own[c] = a->kind == ATTENTION_POOL ? head[(size_t)i * stride + (size_t)c]
                                                       : q[(size_t)group[i] * (size_t)hd + (size_t)c];
                attend(p, out, own, &keys, hd, a->kind == ATTENTION_WINDOW ? window : NULL, i);
                if (a->stats)
                    row_stats(a->stats, a, person, h, i, p, tokens);
            }
        }
    }
done:
    free(p);
    free(group);
    free(scratch);
}

/* ---- heads: features are read as [tokens][dim], token = row * grid_w + column ---- */

/* Bilinear sample at output position o of an axis of n inputs upsampled by `scale`, align_corners false. */
static void upsample_axis(int o, int n, int scale, int *i0, int *i1, double *weight)
{
    double s = (o + 0.5) / scale - 0.5;
    s = s < 0 ? 0 : s;
    *i0 = (int)s;
    *i1 = *i0 + 1 < n ? *i0 + 1 : n - 1;
    *weight = s - *i0;
}

static double relu(double v)
{
    return v > 0 ? v : 0;
}

/* ReLU and bilinear upsampling: x [grid_h * grid_w][dim] -> up [h * w][dim], channels last. */
static void upsample(float *up, const float *x, const struct simple_head_desc *d, const struct pass_shape *s)
{
    int h = s->grid_h * d->scale, w = s->grid_w * d->scale;
    size_t dim = (size_t)d->dim;
    for (int oy = 0; oy < h; oy++)
        for (int ox = 0; ox < w; ox++) {
            int y0, y1, x0, x1;
            double wy, wx;
            upsample_axis(oy, s->grid_h, d->scale, &y0, &y1, &wy);
            upsample_axis(ox, s->grid_w, d->scale, &x0, &x1, &wx);
            const float *a = x + (size_t)(y0 * s->grid_w + x0) * dim, *b = x + (size_t)(y0 * s->grid_w + x1) * dim;
            const float *c = x + (size_t)(y1 * s->grid_w + x0) * dim, *e = x + (size_t)(y1 * s->grid_w + x1) * dim;
            float *out = up + (size_t)(oy * w + ox) * dim;
            for (size_t ch = 0; ch < dim; ch++) {
                double top = relu(a[ch]) * (1 - wx) + relu(b[ch]) * wx, bottom = relu(c[ch]) * (1 - wx) + relu(e[ch]) * wx;
                out[ch] = (float)(top * (1 - wy) + bottom * wy);
            }
        }
}

static void simple_head(float *heat, const float *x, const struct simple_head_desc *d, const struct pass_shape *s, float *up)
{
    int h = s->grid_h * d->scale, w = s->grid_w * d->scale;
    upsample(up, x, d, s);
    for (int k = 0; k < d->keypoints; k++)
        for (int oy = 0; oy < h; oy++)
            for (int ox = 0; ox < w; ox++) {
                double sum = d->bias[k];
                for (int ky = 0; ky < 3; ky++)
                    for (int kx = 0; kx < 3; kx++) {
                        int yy = oy + ky - 1, xx = ox + kx - 1;
                        if (yy < 0 || yy >= h || xx < 0 || xx >= w)
                            continue;
                        const float *pixel = up + (size_t)(yy * w + xx) * (size_t)d->dim;
                        const float *weight = d->weight + (size_t)k * (size_t)d->dim * 9 + (size_t)(ky * 3 + kx);
                        for (int ch = 0; ch < d->dim; ch++)
                            sum += (double)pixel[ch] * weight[(size_t)ch * 9];
                    }
                heat[(size_t)(k * h + oy) * (size_t)w + (size_t)ox] = (float)sum;
            }
}

/* One transposed convolution (kernel 4, stride 2, padding 1) and ReLU: in [h*w][cin] -> out [2h*2w][cout], channels last. */
static void deconv(float *out, const float *in, int h, int w, int cin, int cout, const float *weight, const float *bias)
{
    for (int oy = 0; oy < 2 * h; oy++)
        for (int ox = 0; ox < 2 * w; ox++)
            for (int o = 0; o < cout; o++) {
                double sum = bias[o];
                for (int ky = 0; ky < 4; ky++)
                    for (int kx = 0; kx < 4; kx++) {
                        int ny = oy + 1 - ky, nx = ox + 1 - kx;
                        if (ny < 0 || nx < 0 || ny % 2 || nx % 2 || ny / 2 >= h || nx / 2 >= w)
                            continue;
                        const float *pixel = in + (size_t)(ny / 2 * w + nx / 2) * (size_t)cin;
                        for (int i = 0; i < cin; i++)
                            sum += (double)pixel[i] * weight[((size_t)i * (size_t)cout + (size_t)o) * 16 + (size_t)(ky * 4 + kx)];
                    }
                out[(size_t)(oy * 2 * w + ox) * (size_t)cout + (size_t)o] = (float)relu(sum);
            }
}

static void classic_head(float *heat, const float *x, const struct classic_head_desc *d, const struct pass_shape *s, float *mid1,
                         float *mid2)
{
    int h = s->grid_h, w = s->grid_w, pixels = 16 * h * w;
    deconv(mid1, x, h, w, d->dim, d->mid, d->deconv1, d->bias1);
    deconv(mid2, mid1, 2 * h, 2 * w, d->mid, d->mid, d->deconv2, d->bias2);
    for (int k = 0; k < d->keypoints; k++)
        for (int i = 0; i < pixels; i++) {
            double sum = d->bias[k];
            for (int m = 0; m < d->mid; m++)
                sum += (double)mid2[(size_t)i * (size_t)d->mid + (size_t)m] * d->conv[(size_t)k * (size_t)d->mid + (size_t)m];
            heat[(size_t)k * (size_t)pixels + (size_t)i] = (float)sum;
        }
}

/* Heads and attention take memory of their own here: a failure is kept and comes out of finish. */
static void ref_head(struct exec *base, struct span span, struct buf *heat, const struct buf *x, const struct weight *w,
                     const struct pass_shape *s)
{
    struct ref_exec *ex = (struct ref_exec *)base;
    bool simple = w->kind == W_SIMPLE_HEAD;
    size_t grid = (size_t)x->tokens, scale = simple ? (size_t)w->simple.scale : 0;
    size_t first = simple ? grid * scale * scale * (size_t)w->simple.dim : 4 * grid * (size_t)w->classic.mid;
    size_t second = simple ? 0 : 16 * grid * (size_t)w->classic.mid;
    float *maps = malloc((first + second) * sizeof *maps);
    if (!maps) {
        limber_fail(&ex->error, LIMBER_E_MEMORY, "ref: no memory for %zu floats of the head's feature maps", first + second);
        return;
    }
    for (int p = span.first; p < span.first + span.count; p++)
        if (simple)
            simple_head(buf_at(heat, p), buf_at(x, p), &w->simple, s, maps);
        else
            classic_head(buf_at(heat, p), buf_at(x, p), &w->classic, s, maps, maps + first);
    free(maps);
}

static void ref_decode(struct exec *base, struct span span, const struct buf *heat, const struct buf *mirrored,
                       const struct decode_args *a)
{
    float *average = ((struct ref_exec *)base)->scratch;
    size_t map = (size_t)heat->tokens;
    for (int p = span.first; p < span.first + span.count; p++)
        for (int k = 0; k < heat->cols; k++) {
            const float *m = buf_at(heat, p) + (size_t)k * map;
            if (mirrored) {
                joint_average_mirrored(average, m, buf_at(mirrored, p) + (size_t)a->flip_pairs[k] * map, a->map_h, a->map_w);
                m = average;
            }
            a->joints[(size_t)p * (size_t)heat->cols + (size_t)k] = joint_decode(m, a->map_h, a->map_w);
        }
}

/* ---- the table ---- */

static void ref_close(struct backend *be)
{
    free(be);
}

static const struct backend_ops ref_ops = {
    .name = "ref",
    .close = ref_close,
    .embed_pack = ref_embed_pack,
    .layernorm_pack = ref_layernorm_pack,
    .linear_pack = ref_linear_pack,
    .simple_head_pack = ref_simple_head_pack,
    .classic_head_pack = ref_classic_head_pack,
    .weight_free = ref_weight_free,
    .attention_check = ref_attention_check,
    .preferred_batch = ref_preferred_batch,
    .exec_open = ref_exec_open,
    .exec_close = ref_exec_close,
    .buf_open = ref_buf_open,
    .buf_close = ref_buf_close,
    .buf_resize = ref_buf_resize,
    .buf_read = ref_buf_read,
    .buf_write = ref_buf_write,
    .upload = ref_upload,
    .replay = ref_replay,
    .split = ref_split,
    .finish = ref_finish,
    .embed = ref_embed,
    .layernorm = ref_layernorm,
    .linear = ref_linear,
    .attention = ref_attention,
    .add = ref_add,
    .rows = ref_rows,
    .head = ref_head,
    .decode = ref_decode,
};

limber_status backend_ref_open(struct backend **out, enum precision precision, limber_error *err)
{
    *out = NULL;
    if (precision != PRECISION_FP32)
        return limber_fail(err, LIMBER_E_UNSUPPORTED, "ref computes in fp32 only, %s was asked for", precision_name(precision));
    struct backend *be = calloc(1, sizeof *be);
    if (!be)
        return limber_fail(err, LIMBER_E_MEMORY, "ref: out of memory");
    be->ops = &ref_ops;
    be->precision = precision;
    *out = be;
    return LIMBER_OK;
}
