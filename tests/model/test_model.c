/* SPDX-License-Identifier: MIT */
/* From a checkpoint to packed weights: what is refused and why, and that every number reaches the backend where it belongs.
 *
 * The names and shapes here are written down a second time, from the reference and not from the table in model/weights.c; a backend
 * that only keeps what it is given shows what was packed. */
#define _POSIX_C_SOURCE 200809L
#include <math.h>

#include "compute/open.h"
#include "model/built_in.h"
#include "model/model.h"
#include "tensor_file.h"

/* ---- checkpoints of any geometry ---- */

struct shape {
    char name[128];
    int dims;
    int64_t size[TENSOR_MAX_DIMS];
};
struct plan {
    int hidden, heads, layers, mlp, part, experts, image_h, image_w, keypoints;
    bool classic, no_bias;
    struct shape list[512];
    int count;
};

static void plan_add(struct plan *p, const char *name, int dims, int64_t a, int64_t b, int64_t c, int64_t d)
{
    struct shape s = {.dims = dims, .size = {a, b, c, d}};
    snprintf(s.name, sizeof s.name, "%s", name);
    p->list[p->count++] = s;
}

static void plan_linear(struct plan *p, const char *name, int64_t out, int64_t in, bool bias)
{
    char full[128];
    snprintf(full, sizeof full, "%s.weight", name);
    plan_add(p, full, 2, out, in, 0, 0);
    snprintf(full, sizeof full, "%s.bias", name);
    if (bias)
        plan_add(p, full, 1, out, 0, 0, 0);
}

static void plan_norm(struct plan *p, const char *name)
{
    char full[128];
    for (int i = 0; i < 2; i++) {
        snprintf(full, sizeof full, "%s.%s", name, i ? "bias" : "weight");
        plan_add(p, full, 1, p->hidden, 0, 0, 0);
    }
}

static void plan_make(struct plan *p)
{
    const int d = p->hidden, tokens = (p->image_h / 16) * (p->image_w / 16);
    char name[96];
    p->count = 0;
    plan_add(p, "backbone.embeddings.position_embeddings", 3, 1, tokens + 1, d, 0);
    plan_add(p, "backbone.embeddings.patch_embeddings.projection.weight", 4, d, 3, 16, 16);
    plan_add(p, "backbone.embeddings.patch_embeddings.projection.bias", 1, d, 0, 0, 0);
    for (int l = 0; l < p->layers; l++) {
#define IN_LAYER(format, ...) (snprintf(name, sizeof name, "backbone.encoder.layer.%d." format, l, __VA_ARGS__), name)
        plan_norm(p, IN_LAYER("%s", "layernorm_before"));
        plan_linear(p, IN_LAYER("%s", "attention.attention.query"), d, d, !p->no_bias);
        plan_linear(p, IN_LAYER("%s", "attention.attention.key"), d, d, !p->no_bias);
        plan_linear(p, IN_LAYER("%s", "attention.attention.value"), d, d, !p->no_bias);
        plan_linear(p, IN_LAYER("%s", "attention.output.dense"), d, d, true);
        plan_norm(p, IN_LAYER("%s", "layernorm_after"));
        plan_linear(p, IN_LAYER("%s", "mlp.fc1"), p->mlp, d, true);
        plan_linear(p, IN_LAYER("%s", "mlp.fc2"), p->experts > 1 ? d - p->part : d, p->mlp, true);
        for (int e = 0; p->experts > 1 && e < p->experts; e++)
            plan_linear(p, IN_LAYER("mlp.experts.%d", e), p->part, p->mlp, true);
    }
    plan_norm(p, "backbone.layernorm");
    if (p->classic) {
        for (int i = 1; i <= 2; i++) {
            static const char *const norm[] = {"weight", "bias", "running_mean", "running_var"};
            snprintf(name, sizeof name, "head.deconv%d.weight", i);
            plan_add(p, name, 4, i == 1 ? d : 256, 256, 4, 4);
            for (int n = 0; n < 4; n++) {
                snprintf(name, sizeof name, "head.batchnorm%d.%s", i, norm[n]);
                plan_add(p, name, 1, 256, 0, 0, 0);
            }
        }
        plan_add(p, "head.conv.weight", 4, p->keypoints, 256, 1, 1);
    } else {
        plan_add(p, "head.conv.weight", 4, p->keypoints, d, 3, 3);
    }
    plan_add(p, "head.conv.bias", 1, p->keypoints, 0, 0, 0);
}

static struct plan plan_of(bool classic, int experts)
{
    struct plan p = {
        .hidden = 24, .heads = 3, .layers = 2, .mlp = 48, .part = 8, .experts = experts, .image_h = 48, .image_w = 32};
    p.keypoints = 4;
    p.classic = classic;
    plan_make(&p);
    return p;
}

static struct config config_of(const struct plan *p)
{
    char json[1024];
    snprintf(
        json, sizeof json,
        "{\"model_type\":\"vitpose\",\"use_simple_decoder\":%s,\"num_labels\":%d,\"backbone_config\":{\"image_size\":[%d,%d],"
        "\"hidden_size\":%d,\"num_attention_heads\":%d,\"num_hidden_layers\":%d,\"mlp_ratio\":%g,\"num_experts\":%d,"
        "\"part_features\":%d,\"layer_norm_eps\":1e-6,\"qkv_bias\":%s}}",
        p->classic ? "false" : "true", p->keypoints, p->image_h, p->image_w, p->hidden, p->heads, p->layers,
        (double)p->mlp / p->hidden, p->experts, p->part, p->no_bias ? "false" : "true");
    struct config c;
    limber_error err = {0};
    cr_assert(config_parse(&c, json, strlen(json), NULL, 0, &err) == LIMBER_OK, "%s", err.text);
    return c;
}

/* Element i of a tensor: a number that no other element shares by chance; variances are positive. */
static float value_of(const char *name, size_t i)
{
    uint64_t h = 1469598103934665603u;
    for (const char *c = name; *c; c++)
        h = (h ^ (uint8_t)*c) * 1099511628211u;
    h = (h ^ i) * 0x9e3779b97f4a7c15u;
    float v = (float)((double)(h >> 40) / (1 << 23) - 1);
    return strstr(name, "running_var") ? v * v + 0.25f : v;
}

static size_t elements(const struct shape *s)
{
    size_t n = 1;
    for (int i = 0; i < s->dims; i++)
        n *= (size_t)s->size[i];
    return n;
}

static struct blob blob_of_plan(const struct plan *p)
{
    struct tensor_file f = {0};
    for (int i = 0; i < p->count; i++) {
        const size_t n = elements(&p->list[i]);
        float *v = malloc(n * sizeof *v);
        for (size_t k = 0; k < n; k++)
            v[k] = value_of(p->list[i].name, k);
        tensor_file_add(&f, p->list[i].name, p->list[i].size, p->list[i].dims, v);
        free(v);
    }
    return tensor_file_end(&f);
}

/* ---- the check: headers only ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct tensor *)a)->name, ((const struct tensor *)b)->name);
}

static limber_status check(const struct plan *config_plan, const struct plan *file, const char *dtype, limber_error *err)
{
    struct tensor v[512] = {0};
    for (int i = 0; i < file->count; i++) {
        v[i] = (struct tensor){.name = file->list[i].name, .dims = file->list[i].dims};
        memcpy(v[i].shape, file->list[i].size, sizeof file->list[i].size);
        v[i].dtype = dtype && i == 3 ? DTYPE_OTHER : DTYPE_F32;
        snprintf(v[i].dtype_name, sizeof v[i].dtype_name, "%s", dtype && i == 3 ? dtype : "F32");
    }
    qsort(v, (size_t)file->count, sizeof *v, by_name);
    const struct tensors t = {.v = v, .count = file->count};
    struct config c = config_of(config_plan);
    limber_status st = weights_check(&c, &t, err);
    config_free(&c);
    return st;
}

static void expect_refused(const struct plan *config_plan, const struct plan *file, const char *says)
{
    limber_error err = {0};
    cr_expect(check(config_plan, file, NULL, &err) == LIMBER_E_MODEL && strcmp(err.text, says) == 0, "\"%s\"\n expected \"%s\"",
              err.text, says);
}

static struct shape *plan_find(struct plan *p, const char *name)
{
    for (int i = 0; i < p->count; i++)
        if (strcmp(p->list[i].name, name) == 0)
            return &p->list[i];
    cr_assert_fail("no %s", name);
    return NULL;
}

static void plan_remove(struct plan *p, const char *name)
{
    struct shape *s = plan_find(p, name);
    memmove(s, s + 1, (size_t)(&p->list[p->count] - (s + 1)) * sizeof *s);
    p->count--;
}

Test(check, whole_checkpoints_pass)
{
    for (int kind = 0; kind < 5; kind++) {
        struct plan p = plan_of(kind & 1, kind & 2 ? 6 : 1);
        p.no_bias = kind == 4;
        plan_make(&p);
        if (p.classic) { /* saved beside the weights, of no use here */
            plan_add(&p, "head.batchnorm1.num_batches_tracked", 0, 0, 0, 0, 0);
            plan_add(&p, "head.batchnorm2.num_batches_tracked", 0, 0, 0, 0, 0);
        }
        limber_error err = {0};
        cr_expect(check(&p, &p, NULL, &err) == LIMBER_OK, "%s", err.text);
    }
}

/* Every tensor is missed by name when it is gone, and seen when its shape changes. */
Test(check, every_tensor_is_needed_in_its_shape)
{
    for (int kind = 0; kind < 4; kind++) {
        const struct plan whole = plan_of(kind & 1, kind & 2 ? 3 : 1);
        for (int i = 0; i < whole.count; i++) {
            struct plan p = whole;
            char says[256];
            limber_error err = {0};
            plan_remove(&p, whole.list[i].name);
            snprintf(says, sizeof says, "%s is missing", whole.list[i].name);
            cr_expect(check(&whole, &p, NULL, &err) == LIMBER_E_MODEL && strstr(err.text, says) == err.text, "%s: %s",
                      whole.list[i].name, err.text);
            p = whole;
            p.list[i].size[p.list[i].dims - 1]++;
            snprintf(says, sizeof says, "%s is [", whole.list[i].name);
            cr_expect(check(&whole, &p, NULL, &err) == LIMBER_E_MODEL && strstr(err.text, says) == err.text, "%s: %s",
                      whole.list[i].name, err.text);
            p = whole;
            p.list[i].dims++;
            p.list[i].size[p.list[i].dims - 1] = 1;
            cr_expect(check(&whole, &p, NULL, &err) == LIMBER_E_MODEL && strstr(err.text, says) == err.text, "%s: %s",
                      whole.list[i].name, err.text);
        }
    }
}

Test(check, sentences_and_guesses)
{
    const struct plan simple = plan_of(false, 1), classic = plan_of(true, 1), plus = plan_of(false, 6);
    struct plan p = simple;
    plan_remove(&p, "backbone.layernorm.bias");
    expect_refused(&simple, &p, "backbone.layernorm.bias is missing");
    p = simple;
    plan_find(&p, "backbone.encoder.layer.1.mlp.fc1.weight")->size[0] = 47;
    expect_refused(&simple, &p, "backbone.encoder.layer.1.mlp.fc1.weight is [47, 24], expected [48, 24]");
    p = simple;
    plan_add(&p, "associate_keypoint_heads.0.weight", 1, 1, 0, 0, 0);
    expect_refused(&simple, &p, "associate_keypoint_heads.0.weight has no place in the model");
    plan_add(&p, "associate_keypoint_heads.1.weight", 1, 1, 0, 0, 0);
    expect_refused(&simple, &p, "associate_keypoint_heads.0.weight (and 1 more) has no place in the model");

    struct plan base = {.hidden = 768, .heads = 12, .layers = 2, .mlp = 3072, .experts = 1, .image_h = 256, .image_w = 192};
    base.keypoints = 17;
    struct plan huge = base;
    huge.hidden = 1280, huge.mlp = 5120, huge.heads = 16;
    plan_make(&base);
    plan_make(&huge);
    expect_refused(
        &huge, &base,
        "backbone.embeddings.position_embeddings is [1, 193, 768], expected [1, 193, 1280]: a base file, opened as huge?");
    base.hidden = 700;
    plan_make(&base);
    expect_refused(&huge, &base,
                   "backbone.embeddings.position_embeddings is [1, 193, 700], expected [1, 193, 1280]: the file is 700 wide, "
                   "config.json says 1280");
    expect_refused(&simple, &classic,
                   "head.conv.weight is [4, 256, 1, 1], expected [4, 24, 3, 3]: a classic head, but config.json says "
                   "use_simple_decoder (or leaves it out)?");
    expect_refused(&classic, &simple,
                   "head.conv.weight is [4, 24, 3, 3], expected [4, 256, 1, 1]: a simple head, but config.json says "
                   "use_simple_decoder false?");
    expect_refused(
        &simple, &plus,
        "backbone.encoder.layer.0.mlp.fc2.weight is [16, 48], expected [24, 48]: a ViTPose+ file, but config.json has no "
        "num_experts?");
    expect_refused(
        &plus, &simple,
        "backbone.encoder.layer.0.mlp.fc2.weight is [24, 48], expected [16, 48]: a file without experts, but config.json "
        "says num_experts 6?");
    p = simple;
    p.layers = 3;
    plan_make(&p);
    expect_refused(
        &p, &simple,
        "backbone.encoder.layer.2.layernorm_before.weight (and 15 more) is missing: the file has 2 layers, config.json "
        "says 3");
    expect_refused(
        &simple, &p,
        "backbone.encoder.layer.2.attention.attention.key.bias (and 15 more) has no place in the model: the file has 3 "
        "layers, config.json says 2");
    p = simple;
    p.image_h = 64;
    plan_make(&p);
    expect_refused(&p, &simple,
                   "backbone.embeddings.position_embeddings is [1, 7, 24], expected [1, 9, 24]: the file was made for 6 patches, "
                   "config.json's image_size makes 8");
    p = simple;
    p.keypoints = 5;
    plan_make(&p);
    expect_refused(
        &p, &simple,
        "head.conv.weight is [4, 24, 3, 3], expected [5, 24, 3, 3]: the file has 4 keypoints, config.json's labels are 5");
    p = (struct plan){0};
    plan_add(&p, "backbone.blocks.0.norm1.weight", 1, 24, 0, 0, 0);
    expect_refused(&simple, &p,
                   "backbone.embeddings.position_embeddings (and 38 more) is missing: the names are those of the original .pth, "
                   "convert it with tools/convert.py?");
    p = (struct plan){0};
    plan_add(&p, "vit.embeddings.cls_token", 3, 1, 1, 24, 0);
    expect_refused(&simple, &p,
                   "backbone.embeddings.position_embeddings (and 38 more) is missing: a file of another model, a ViT or YOLOS?");
    limber_error err = {0};
    cr_expect(
        check(&simple, &simple, "I32", &err) == LIMBER_E_UNSUPPORTED &&
            strcmp(err.text, "backbone.encoder.layer.0.layernorm_before.weight is of type I32, expected F32, F16 or BF16") == 0,
        "%s", err.text);
}

/* ---- a backend that keeps what it is given ---- */

struct weight {
    enum { EMBED, LAYERNORM, LINEAR, SIMPLE, CLASSIC } kind;
    union {
        struct embed_desc embed;
        struct layernorm_desc layernorm;
        struct linear_desc linear;
        struct simple_head_desc simple;
        struct classic_head_desc classic;
    };
    float *copy[6];
};
struct keeper {
    struct backend base;
    int packed, freed, fail_at; /* the pack that fails, from 1; 0: none */
};

static limber_status keep(struct backend *be, struct weight **out, struct weight like, const float **const fields[6],
                          const size_t sizes[6], limber_error *err)
{
    struct keeper *k = (struct keeper *)be;
    if (k->packed + 1 == k->fail_at) {
        *out = NULL;
        if (err) {
            err->status = LIMBER_E_BACKEND;
            snprintf(err->text, sizeof err->text, "the device is full");
        }
        return LIMBER_E_BACKEND;
    }
    k->packed++;
    struct weight *w = malloc(sizeof *w);
    *w = like;
    for (int i = 0; i < 6; i++) {
        w->copy[i] = NULL;
        if (fields[i] && *fields[i]) {
            w->copy[i] = malloc(sizes[i] * sizeof(float));
            memcpy(w->copy[i], *fields[i], sizes[i] * sizeof(float));
        }
    }
    *out = w;
    return LIMBER_OK;
}

static limber_status keep_embed(struct backend *be, struct weight **out, const struct embed_desc *d, limber_error *err)
{
    struct weight like = {.kind = EMBED, .embed = *d};
    const size_t dim = (size_t)d->dim;
    const float *lut = &d->lut[0][0];
    const float **const fields[6] = {&lut, (const float **)&d->weight, (const float **)&d->bias};
    return keep(be, out, like, fields, (const size_t[6]){768, dim * 768, dim}, err);
}

static limber_status keep_layernorm(struct backend *be, struct weight **out, const struct layernorm_desc *d, limber_error *err)
{
    struct weight like = {.kind = LAYERNORM, .layernorm = *d};
    const float **const fields[6] = {(const float **)&d->gain, (const float **)&d->bias};
    return keep(be, out, like, fields, (const size_t[6]){(size_t)d->dim, (size_t)d->dim}, err);
}

static limber_status keep_linear(struct backend *be, struct weight **out, const struct linear_desc *d, limber_error *err)
{
    struct weight like = {.kind = LINEAR, .linear = *d};
    const float **const fields[6] = {(const float **)&d->weight, (const float **)&d->bias};
    return keep(be, out, like, fields, (const size_t[6]){(size_t)d->out * (size_t)d->in, (size_t)d->out}, err);
}

static limber_status keep_simple(struct backend *be, struct weight **out, const struct simple_head_desc *d, limber_error *err)
{
    struct weight like = {.kind = SIMPLE, .simple = *d};
    const float **const fields[6] = {(const float **)&d->weight, (const float **)&d->bias};
    return keep(be, out, like, fields, (const size_t[6]){(size_t)(d->keypoints * d->dim * 9), (size_t)d->keypoints}, err);
}

static limber_status keep_classic(struct backend *be, struct weight **out, const struct classic_head_desc *d, limber_error *err)
{
    struct weight like = {.kind = CLASSIC, .classic = *d};
    const float **const fields[6] = {(const float **)&d->deconv1, (const float **)&d->bias1, (const float **)&d->deconv2,
                                     (const float **)&d->bias2,   (const float **)&d->conv,  (const float **)&d->bias};
    const size_t mid = (size_t)d->mid, dim = (size_t)d->dim, k = (size_t)d->keypoints;
    return keep(be, out, like, fields, (const size_t[6]){dim * mid * 16, mid, mid * mid * 16, mid, k * mid, k}, err);
}

static void keep_free(struct backend *be, struct weight *w)
{
    if (!w)
        return;
    ((struct keeper *)be)->freed++;
    for (int i = 0; i < 6; i++)
        free(w->copy[i]);
    free(w);
}

static const struct backend_ops keeper_ops = {
    .name = "keeper",
    .embed_pack = keep_embed,
    .layernorm_pack = keep_layernorm,
    .linear_pack = keep_linear,
    .simple_head_pack = keep_simple,
    .classic_head_pack = keep_classic,
    .weight_free = keep_free,
};

struct packed {
    struct keeper keeper;
    struct limber_model m;
    struct blob blob;
    struct checkpoint c;
};

static limber_status pack(struct packed *p, const struct plan *plan, int expert, int fail_at, limber_error *err)
{
    memset(p, 0, sizeof *p);
    p->keeper = (struct keeper){.base = {.ops = &keeper_ops}, .fail_at = fail_at};
    p->blob = blob_of_plan(plan);
    cr_assert(tensors_parse(&p->c.tensors, p->blob.bytes, p->blob.size, NULL) == LIMBER_OK);
    p->m.config = config_of(plan);
    p->m.be = &p->keeper.base;
    cr_assert(weights_check(&p->m.config, &p->c.tensors, NULL) == LIMBER_OK);
    return weights_pack(&p->m, &p->c, expert, err);
}

static void pack_pruned(struct packed *p, const struct plan *plan, bool *pruned)
{
    cr_assert(pack(p, plan, 0, 0, NULL) == LIMBER_OK);
    weights_free(&p->m);
    p->m.pruned = pruned;
    cr_assert(weights_pack(&p->m, &p->c, 0, NULL) == LIMBER_OK);
}

static void unpack(struct packed *p)
{
    weights_free(&p->m);
    cr_expect(p->keeper.freed == p->keeper.packed, "%d weights packed, %d freed", p->keeper.packed, p->keeper.freed);
    config_free(&p->m.config);
    tensors_free(&p->c.tensors);
    free(p->blob.bytes);
}

/* got[n] are elements [from, from + n) of a tensor of the file. */
static void expect_values(const float *got, const char *name, size_t from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        cr_assert(got[i] == value_of(name, from + i), "%s: element %zu is %g, expected %g", name, from + i, (double)got[i],
                  (double)value_of(name, from + i));
}

static const char *in_layer(char name[128], int layer, const char *rest)
{
    snprintf(name, 128, "backbone.encoder.layer.%d.%s", layer, rest);
    return name;
}

Test(pack, blocks)
{
    for (int experts = 1; experts <= 6; experts += 5)
        for (int bias = 0; bias < 2; bias++) {
            struct plan plan = plan_of(false, experts);
            plan.no_bias = !bias;
            plan_make(&plan);
            struct packed p;
            limber_error err = {0};
            const int expert = experts > 1 ? 4 : 0;
            cr_assert(pack(&p, &plan, expert, 0, &err) == LIMBER_OK, "%s", err.text);
            const size_t d = (size_t)plan.hidden, m = (size_t)plan.mlp, shared = experts > 1 ? d - (size_t)plan.part : d;
            for (int l = 0; l < plan.layers; l++) {
                char name[128], expert_name[64];
                const struct block *b = &p.m.blocks[l];
                cr_assert(b->qkv->linear.in == (int)d && b->qkv->linear.out == 3 * (int)d);
                static const char *const parts[] = {"query", "key", "value"};
                for (size_t i = 0; i < 3; i++) {
                    char full[64];
                    snprintf(full, sizeof full, "attention.attention.%s.weight", parts[i]);
                    expect_values(b->qkv->copy[0] + i * d * d, in_layer(name, l, full), 0, d * d);
                    snprintf(full, sizeof full, "attention.attention.%s.bias", parts[i]);
                    if (bias)
                        expect_values(b->qkv->copy[1] + i * d, in_layer(name, l, full), 0, d);
                }
                cr_expect(bias || b->qkv->copy[1] == NULL, "a bias out of nothing");
                expect_values(b->projection->copy[0], in_layer(name, l, "attention.output.dense.weight"), 0, d * d);
                expect_values(b->projection->copy[1], in_layer(name, l, "attention.output.dense.bias"), 0, d);
                cr_assert(b->fc1->linear.in == (int)d && b->fc1->linear.out == (int)m);
                expect_values(b->fc1->copy[0], in_layer(name, l, "mlp.fc1.weight"), 0, m * d);
                expect_values(b->fc1->copy[1], in_layer(name, l, "mlp.fc1.bias"), 0, m);
                cr_assert(b->fc2->linear.in == (int)m && b->fc2->linear.out == (int)d);
                expect_values(b->fc2->copy[0], in_layer(name, l, "mlp.fc2.weight"), 0, shared * m);
                expect_values(b->fc2->copy[1], in_layer(name, l, "mlp.fc2.bias"), 0, shared);
                if (experts > 1) {
                    snprintf(expert_name, sizeof expert_name, "mlp.experts.%d.weight", expert);
                    expect_values(b->fc2->copy[0] + shared * m, in_layer(name, l, expert_name), 0, (d - shared) * m);
                    snprintf(expert_name, sizeof expert_name, "mlp.experts.%d.bias", expert);
                    expect_values(b->fc2->copy[1] + shared, in_layer(name, l, expert_name), 0, d - shared);
                }
                expect_values(b->layernorm_before->copy[0], in_layer(name, l, "layernorm_before.weight"), 0, d);
                expect_values(b->layernorm_before->copy[1], in_layer(name, l, "layernorm_before.bias"), 0, d);
                expect_values(b->layernorm_after->copy[0], in_layer(name, l, "layernorm_after.weight"), 0, d);
                expect_values(b->layernorm_after->copy[1], in_layer(name, l, "layernorm_after.bias"), 0, d);
                cr_expect(b->layernorm_after->layernorm.eps == 1e-6f);
            }
            expect_values(p.m.layernorm->copy[0], "backbone.layernorm.weight", 0, d);
            expect_values(p.m.layernorm->copy[1], "backbone.layernorm.bias", 0, d);
            unpack(&p);
        }
}

/* A pruned head is zeros where the projection reads it: its columns in every row, and nothing else anywhere. */
Test(pack, pruned_heads)
{
    const struct plan plan = plan_of(false, 1);
    const int d = plan.hidden, head_dim = d / plan.heads;
    struct packed p;
    limber_error err = {0};
    bool *pruned;
    const struct config c = {.layers = plan.layers, .heads = plan.heads};
    cr_assert(plan.heads > 1 && plan.layers > 1);
    char text[64];
    snprintf(text, sizeof text, "0.1,%d.0,0.1", plan.layers - 1);
    cr_assert(prune_parse(text, &c, &pruned, &err) == LIMBER_OK, "%s", err.text);
    for (int i = 0; i < plan.layers * plan.heads; i++)
        cr_expect_eq(pruned[i], i == 1 || i == (plan.layers - 1) * plan.heads, "head %d", i);
    pack_pruned(&p, &plan, pruned);
    for (int l = 0; l < plan.layers; l++) {
        char name[128];
        const float *w = p.m.blocks[l].projection->copy[0];
        in_layer(name, l, "attention.output.dense.weight");
        for (int i = 0; i < d * d; i++) {
            const bool gone = pruned[l * plan.heads + i % d / head_dim];
            cr_assert_eq(w[i], gone ? 0 : value_of(name, (size_t)i), "layer %d, row %d, column %d is %g", l, i / d, i % d,
                         (double)w[i]);
        }
        expect_values(p.m.blocks[l].projection->copy[1], in_layer(name, l, "attention.output.dense.bias"), 0, (size_t)d);
        expect_values(p.m.blocks[l].fc1->copy[0], in_layer(name, l, "mlp.fc1.weight"), 0, (size_t)(plan.mlp * d));
    }
    unpack(&p);
    free(pruned);
    cr_expect(prune_parse(NULL, &c, &pruned, &err) == LIMBER_OK && !pruned);
}

Test(pack, embedding)
{
    const struct plan plan = plan_of(false, 1);
    struct packed p;
    cr_assert(pack(&p, &plan, 0, 0, NULL) == LIMBER_OK);
    const struct weight *w = p.m.embed;
    const size_t d = (size_t)plan.hidden;
    const char *const name = "backbone.embeddings.position_embeddings";
    cr_expect(w->embed.patch_h == 16 && w->embed.dim == (int)d);
    const struct pass_shape shape = model_pass_shape(&p.m, 48, 32);
    cr_expect(shape.image_h == 48 && shape.image_w == 32 && shape.pad == 2);
    cr_expect(shape.grid_h == 3 && shape.grid_w == 2 && shape_tokens(&shape) == 6);
    float *positions = malloc(6 * d * sizeof *positions);
    model_positions(&p.m, &shape, 0, positions);
    expect_values(w->copy[1], "backbone.embeddings.patch_embeddings.projection.weight", 0, d * 768);
    expect_values(w->copy[2], "backbone.embeddings.patch_embeddings.projection.bias", 0, d);
    for (size_t t = 0; t < 6; t++)
        for (size_t i = 0; i < d; i++)
            cr_assert(positions[t * d + i] == value_of(name, (t + 1) * d + i) + value_of(name, i), "position %zu, channel %zu", t,
                      i);
    /* numpy: ((np.arange(256) * (1 / 255)).astype(np.float32) - np.float32(mean)) / np.float32(std) */
    static const struct {
        int channel, value;
        float want;
    } lut[] = {{0, 0, -2.117903947830200195f},  {0, 255, 2.248908281326293945f}, {1, 0, -2.035714149475097656f},
               {1, 128, 0.205182194709777832f}, {2, 1, -1.787015199661254883f},  {2, 254, 2.622570991516113281f}};
    for (size_t i = 0; i < sizeof lut / sizeof *lut; i++)
        cr_expect(w->copy[0][lut[i].channel * 256 + lut[i].value] == lut[i].want, "channel %d of %d is %.9g, expected %.9g",
                  lut[i].channel, lut[i].value, (double)w->copy[0][lut[i].channel * 256 + lut[i].value], (double)lut[i].want);
    free(positions);
    unpack(&p);
}

Test(pack, heads)
{
    struct packed p;
    struct plan plan = plan_of(false, 1);
    cr_assert(pack(&p, &plan, 0, 0, NULL) == LIMBER_OK);
    cr_assert(p.m.head->kind == SIMPLE && p.m.head->simple.scale == 4 && p.m.head->simple.keypoints == 4);
    expect_values(p.m.head->copy[0], "head.conv.weight", 0, 4 * 24 * 9);
    expect_values(p.m.head->copy[1], "head.conv.bias", 0, 4);
    unpack(&p);

    plan = plan_of(true, 1);
    cr_assert(pack(&p, &plan, 0, 0, NULL) == LIMBER_OK);
    cr_assert(p.m.head->kind == CLASSIC && p.m.head->classic.mid == 256 && p.m.head->classic.dim == 24);
    expect_values(p.m.head->copy[4], "head.conv.weight", 0, 4 * 256);
    expect_values(p.m.head->copy[5], "head.conv.bias", 0, 4);
    /* batch norm after the convolution, or folded into it: the same for any input, channel by channel */
    for (int i = 1; i <= 2; i++) {
        char deconv[32], norm[4][48];
        static const char *const rest[] = {"weight", "bias", "running_mean", "running_var"};
        snprintf(deconv, sizeof deconv, "head.deconv%d.weight", i);
        for (int n = 0; n < 4; n++)
            snprintf(norm[n], sizeof norm[n], "head.batchnorm%d.%s", i, rest[n]);
        const float *w = p.m.head->copy[2 * i - 2], *bias = p.m.head->copy[2 * i - 1];
        for (size_t o = 0; o < 256; o++) {
            const double deviation = sqrt((double)value_of(norm[3], o) + 1e-5);
            const double gain = value_of(norm[0], o), shift = value_of(norm[1], o), mean = value_of(norm[2], o);
            cr_assert(fabs(bias[o] - (shift - mean * gain / deviation)) < 1e-7 * (1 + fabs(mean * gain / deviation)), "bias %zu",
                      o);
            for (size_t in = 0; in < (i == 1 ? 24u : 256u); in++)
                for (size_t tap = 0; tap < 16; tap++) {
                    const size_t at = (in * 256 + o) * 16 + tap;
                    const double want = value_of(deconv, at) * gain / deviation;
                    cr_assert(fabs(w[at] - want) <= 6e-8 * fabs(want), "%s [%zu][%zu][%zu] is %.9g, expected %.9g", deconv, in, o,
                              tap, (double)w[at], want);
                }
        }
    }
    unpack(&p);
}

Test(pack, failures_leave_nothing)
{
    const struct plan plan = plan_of(true, 6);
    struct packed p;
    limber_error err = {0};
    const int all = 1 + plan.layers * 6 + 2;
    for (int at = 1; at <= all; at++) {
        cr_expect(pack(&p, &plan, 0, at, &err) == LIMBER_E_BACKEND && strcmp(err.text, "the device is full") == 0, "%s",
                  err.text);
        cr_expect(p.m.blocks == NULL && p.m.embed == NULL && p.m.head == NULL);
        unpack(&p);
    }
    cr_expect(pack(&p, &plan, 0, all + 1, &err) == LIMBER_OK, "there are %d weights", all);
    unpack(&p);
}

Test(pack, numbers_that_are_none)
{
    const struct plan plan = plan_of(true, 2);
    const float bad[] = {NAN, INFINITY, -INFINITY};
    struct packed p;
    limber_error err = {0};
    cr_assert(pack(&p, &plan, 1, 0, &err) == LIMBER_OK, "%s", err.text);
    weights_free(&p.m);
    for (int i = 0; i < 2 * plan.count; i++) { /* the first and the last element of every tensor */
        const struct tensor *t = tensors_find(&p.c.tensors, plan.list[i / 2].name);
        const size_t at = i % 2 ? t->bytes / 4 - 1 : 0;
        uint8_t *element = (uint8_t *)(uintptr_t)t->data + 4 * at, before[4];
        const bool other_expert = strstr(t->name, "experts.0");
        memcpy(before, element, 4);
        memcpy(element, &bad[i % 3], 4);
        char says[256];
        snprintf(says, sizeof says, "%s: element %zu of [", t->name, at);
        limber_status st = weights_pack(&p.m, &p.c, 1, &err);
        cr_expect(other_expert ? st == LIMBER_OK : st == LIMBER_E_MODEL && strstr(err.text, says) == err.text, "%s: %s", t->name,
                  err.text);
        weights_free(&p.m);
        cr_expect(weights_pack(&p.m, &p.c, 1, NULL) == st, "without a place for the text");
        weights_free(&p.m);
        memcpy(element, before, 4);
    }
    /* finite numbers whose product is not: [0][2][0][0] times the gain of channel 2 */
    const struct tensor *deconv = tensors_find(&p.c.tensors, "head.deconv1.weight");
    const struct tensor *gain = tensors_find(&p.c.tensors, "head.batchnorm1.weight");
    memcpy((uint8_t *)(uintptr_t)deconv->data + 4 * 32, &(float){3e38f}, 4);
    memcpy((uint8_t *)(uintptr_t)gain->data + 4 * 2, &(float){1000}, 4);
    cr_expect(weights_pack(&p.m, &p.c, 1, &err) == LIMBER_E_MODEL &&
                  strstr(err.text, "head.batchnorm1.weight: folding channel 2 overflows"),
              "%s", err.text);
    memcpy((uint8_t *)(uintptr_t)deconv->data + 4 * 32, &(float){0}, 4);
    const struct tensor *var = tensors_find(&p.c.tensors, "head.batchnorm2.running_var");
    memcpy((uint8_t *)(uintptr_t)var->data + 12, &(float){-0.5f}, 4);
    cr_expect(weights_pack(&p.m, &p.c, 1, &err) == LIMBER_E_MODEL &&
                  strstr(err.text, "head.batchnorm2.running_var: element 3 is -0.5"),
              "%s", err.text);
    unpack(&p);
}

Test(pack, experts_are_numbered)
{
    struct packed p;
    limber_error err = {0};
    const struct plan plus = plan_of(false, 6), plain = plan_of(false, 1);
    cr_expect(pack(&p, &plus, 5, 0, &err) == LIMBER_OK, "%s", err.text);
    unpack(&p);
    cr_expect(pack(&p, &plus, 6, 0, &err) == LIMBER_E_ARGUMENT && strstr(err.text, "expert 6") && strstr(err.text, "0 to 5"),
              "%s", err.text);
    unpack(&p);
    cr_expect(pack(&p, &plus, -1, 0, &err) == LIMBER_E_ARGUMENT, "%s", err.text);
    unpack(&p);
    cr_expect(pack(&p, &plain, 1, 0, &err) == LIMBER_E_ARGUMENT && strstr(err.text, "expert 1"), "%s", err.text);
    unpack(&p);
}

/* ---- the public functions ---- */

Test(model, built_in)
{
    limber_model *m = NULL;
    limber_error err = {0};
    cr_assert(limber_model_open(&m, NULL, NULL, &err) == LIMBER_OK, "%s", err.text);
    cr_expect(limber_model_keypoint_count(m) == 17);
    cr_expect_str_eq(limber_model_keypoint_name(m, 7), "left_elbow");
    cr_expect(limber_model_keypoint_name(m, -1) == NULL && limber_model_keypoint_name(m, 17) == NULL);
    cr_expect_str_eq(m->source, "built in");
    limber_model_close(&m);
    cr_expect(m == NULL);
    limber_model_close(&m);
    limber_model_close(NULL);
    cr_expect(limber_model_open(NULL, NULL, NULL, &err) == LIMBER_E_ARGUMENT);
    cr_expect(limber_api_version() == LIMBER_API_VERSION);
}

/* The file in the library and the file in data/ are one and the same. */
Test(model, built_in_is_data_limber_s)
{
    const struct default_model d = limber_built_in_model(TASK_POSE);
    const struct default_file files[] = {d.config, d.preprocessor, d.tensors};
    const char *const names[] = {"config.json", "preprocessor_config.json", "model.safetensors"};
    for (int i = 0; i < 3; i++) {
        char path[1024];
        snprintf(path, sizeof path, "%s/limber-s/%s", LIMBER_DATA_DIR, names[i]);
        struct blob b = blob_read(path);
        cr_expect(b.size == files[i].size && memcmp(b.bytes, files[i].bytes, b.size) == 0, "%s differs from the library's", path);
        free(b.bytes);
    }
}

static void expect_open(const char *dir, const limber_options *o, limber_status want, const char *says)
{
    limber_model *m = (limber_model *)1;
    limber_error err = {0};
    limber_status st = limber_model_open(&m, dir, o, &err);
    cr_expect(st == want && (!says || strstr(err.text, says)), "%s \"%s\", expected %s \"%s\"", limber_status_name(st), err.text,
              limber_status_name(want), says ? says : "");
    cr_expect(st == LIMBER_OK ? m != NULL : m == NULL);
    if (st == LIMBER_OK)
        limber_model_close(&m);
    else
        cr_expect(limber_model_open(&m, dir, o, NULL) == want && m == NULL, "without a place for the text");
}

Test(model, options)
{
    static const struct {
        const char *backend, *precision, *attention;
        limber_status want;
        const char *says;
    } cases[] = {
        {"ref", "fp32", "exact", LIMBER_OK, NULL},
        {"ref", NULL, NULL, LIMBER_OK, NULL},
        {"ref", "bf16", NULL, LIMBER_E_UNSUPPORTED, "fp32"},
        {"ref", "int8", NULL, LIMBER_E_UNSUPPORTED, "fp32"},
        {"ref", "fp64", NULL, LIMBER_E_ARGUMENT, "precision \"fp64\": expected auto, fp32, bf16, fp16 or int8"},
        {"gpu", NULL, NULL, LIMBER_E_ARGUMENT, "backend \"gpu\": expected auto, ref, cpu or cuda"},
        {"ref", NULL, "linear", LIMBER_E_ARGUMENT, "attention \"linear\": expected exact, window:W"},
        {"ref", NULL, "window:", LIMBER_E_ARGUMENT, "attention \"window:\""},
        {"ref", NULL, "window:0", LIMBER_E_ARGUMENT, "from 1 to"},
        {"ref", NULL, "window:-3", LIMBER_E_ARGUMENT, "window:-3"},
        {"ref", NULL, "merge:4x", LIMBER_E_ARGUMENT, "merge:4x"},
        {"ref", NULL, "pool:99999999999999999999", LIMBER_E_ARGUMENT, "pool:9999"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        limber_options o = limber_options_default();
        o.backend = cases[i].backend, o.precision = cases[i].precision, o.attention = cases[i].attention;
        expect_open(NULL, &o, cases[i].want, cases[i].says);
    }
    static const char *const wrong[] = {"",     "0",       "0.",   ".0",  "0.8",           "8.0",  "-1.0",
                                        "0.0,", "0.0;1.1", "0.0 ", "0,0", "99999999999.0", "0.0,1"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        limber_options o = limber_options_default();
        o.backend = "ref", o.prune = wrong[i];
        char says[96];
        snprintf(says, sizeof says, "prune \"%s\": expected LAYER.HEAD,... with layers 0 to 7 and heads 0 to 7", wrong[i]);
        expect_open(NULL, &o, LIMBER_E_ARGUMENT, says);
    }
    static const struct {
        const char *text;
        enum attention_kind kind;
        int size;
    } kinds[] = {{"exact", ATTENTION_EXACT, 0},
                 {"window:4", ATTENTION_WINDOW, 4},
                 {"merge:16", ATTENTION_MERGE, 16},
                 {"pool:2", ATTENTION_POOL, 2}};
    for (size_t i = 0; i < 4; i++) {
        enum attention_kind kind = ATTENTION_POOL;
        int size = -1;
        cr_expect(attention_parse(kinds[i].text, &kind, &size, NULL) == LIMBER_OK && kind == kinds[i].kind &&
                      size == kinds[i].size,
                  "%s", kinds[i].text);
    }
}

static void write_checkpoint(const char *dir, const char *golden)
{
    static const char *const files[] = {"config.json", "preprocessor_config.json", "model.safetensors"};
    for (int i = 0; i < 3; i++) {
        char path[1024];
        snprintf(path, sizeof path, "%s/golden/%s/%s", LIMBER_TEST_DIR, golden, files[i]);
        struct blob b = blob_read(path);
        file_write(dir, files[i], b.bytes, b.size);
        free(b.bytes);
    }
}

Test(model, directories)
{
    limber_options o = limber_options_default();
    o.backend = "ref";
    char dir[256], path[300];
    directory_make(dir);
    expect_open(dir, &o, LIMBER_E_IO, "no config.json in it");
    expect_open("/there/is/none", &o, LIMBER_E_IO, "/there/is/none: no such model directory");
    expect_open("", &o, LIMBER_E_IO, "no such model directory");
    write_checkpoint(dir, "nobias-eps");
    expect_open(dir, &o, LIMBER_OK, NULL);
    snprintf(path, sizeof path, "%s/config.json", dir);
    expect_open(path, &o, LIMBER_E_IO, "a file, expected the directory");
    snprintf(path, sizeof path, "%s/preprocessor_config.json", dir);
    remove(path);
    expect_open(dir, &o, LIMBER_OK, NULL); /* transformers' defaults */
    file_write(dir, "preprocessor_config.json", "{", 1);
    expect_open(dir, &o, LIMBER_E_FORMAT, "preprocessor_config.json: JSON");
    remove(path);
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    struct blob b = blob_read(path);
    file_write(dir, "model.safetensors", b.bytes, b.size / 2);
    expect_open(dir, &o, LIMBER_E_FORMAT, "model.safetensors");
    memset(b.bytes + b.size - 4, 0xff, 4);
    file_write(dir, "model.safetensors", b.bytes, b.size);
    expect_open(dir, &o, LIMBER_E_MODEL, "element 863 of [3, 32, 3, 3] is");
    free(b.bytes);
    remove(path);
    expect_open(dir, &o, LIMBER_E_IO, "neither model.safetensors nor");
    write_checkpoint(dir, "nobias-eps");
    struct blob other = blob_read(LIMBER_TEST_DIR "/golden/simple-hd32/config.json");
    file_write(dir, "config.json", other.bytes, other.size);
    expect_open(dir, &o, LIMBER_E_MODEL,
                "preprocessor_config.json: size is 48 x 32 (height x width), the backbone's image_size is 256 x 192");
    snprintf(path, sizeof path, "%s/preprocessor_config.json", dir);
    remove(path);
    free(other.bytes);
    expect_open(dir, &o, LIMBER_E_MODEL,
                "position_embeddings is [1, 7, 32], expected [1, 193, 64]: the file is 32 wide, config.json says 64");
    directory_remove(dir);
    char longest[5000];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    expect_open(longest, &o, LIMBER_E_ARGUMENT, "more than 4095 bytes");
}

/* Another input size: the same weights, position embeddings made for the grid at hand. */
Test(model, another_input_size)
{
    limber_options o = limber_options_default();
    o.backend = "ref";
    o.input_height = 384, o.input_width = 288;
    limber_model *m = NULL;
    limber_error err = {0};
    cr_assert(limber_model_open(&m, NULL, &o, &err) == LIMBER_OK, "%s", err.text);
    cr_expect(m->config.tokens == 432 && m->config.map_h == 96);
    limber_model_close(&m);
    o.input_width = 290;
    expect_open(NULL, &o, LIMBER_E_ARGUMENT, "384x290");
}

Test(model, backends_are_named)
{
    struct backend_report r[8];
    int n = backend_reports(r, 8);
    cr_assert(n == 3);
    cr_expect(backend_reports(r, 1) == 1);
    for (int i = 0; i < n; i++) {
        struct backend *be = NULL;
        limber_error err = {0};
        limber_status st = backend_open(&be, r[i].name, "auto", &err);
        cr_expect((st == LIMBER_OK) == r[i].available, "%s is reported %s, but opens with: %s", r[i].name,
                  r[i].available ? "here" : "absent", err.text);
        cr_expect(r[i].detail[0] && (!be || strstr(r[i].precisions, precision_name(be->precision))), "%s", r[i].name);
        backend_close(&be);
        cr_expect(be == NULL);
    }
    cr_expect_str_eq(precision_name(PRECISION_BF16), "bf16");
    cr_expect_str_eq(precision_name((enum precision)9), "unknown");
}
