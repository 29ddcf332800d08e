/* SPDX-License-Identifier: MIT */
/* model/yolos.c - config, tensors and packed weights of a YOLOS checkpoint (model/yolos.h).
 *
 * transformers' defaults are part of the format (models/yolos/configuration_yolos.py, 5.23). Labels repeat ("N/A") and are COCO's
 * category numbers, so a person is looked up by name. Positions: cls_token and detection_tokens are added to theirs once, here. */
#define _POSIX_C_SOURCE 200809L
#include "model/yolos.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/json_read.h"
#include "compute/open.h"
#include "model/config_read.h"

/* Further limits, as those of model/config_read.h. */
enum { CLASSES_MAX = 65536, DETECTIONS_MAX = 4096 };

/* ---- config.json ---- */

static limber_status find_person(struct yolos_model *m, const json_t *root, const char *wanted, limber_error *err)
{
    const json_t *labels = json_object_get(root, "id2label"), *value;
    const char *name = wanted ? wanted : "person", *key;
    int count = 2;
    if (labels && !json_is_null(labels)) {
        char text[JSON_SHOW];
        if (!json_is_object(labels) || json_object_size(labels) < 1 || json_object_size(labels) >= CLASSES_MAX)
            return limber_fail(err, LIMBER_E_FORMAT, "id2label is %s, expected an object of 1 to %d labels",
                               json_show(text, labels), CLASSES_MAX - 1);
        count = (int)json_object_size(labels);
    } else {
        TRY(json_read_int(root, "num_labels", 1, CLASSES_MAX - 1, &count, err));
    }
    m->classes = count + 1;
    m->person = -1;
    char listed[200] = "";
    size_t n = 0;
    json_object_foreach((json_t *)labels, key, value)
    {
        const char *label = json_string_value(value);
        char *end;
        const long id = strtol(key, &end, 10);
        if (end == key || *end || id < 0 || id >= count || !label)
            return limber_fail(err, LIMBER_E_FORMAT, "id2label: \"%.40s\": expected the numbers 0 to %d and a text each", key,
                               count - 1);
        if (strcasecmp(label, name) == 0 && (m->person < 0 || id < m->person))
            m->person = (int)id;
        if (n + strlen(label) + 3 < sizeof listed && !strstr(listed, label))
            n += (size_t)snprintf(listed + n, sizeof listed - n, "%s%s", n ? ", " : "", label);
    }
    if (m->person >= 0)
        return LIMBER_OK;
    return limber_fail(err, LIMBER_E_MODEL,
                       "no label is \"%.80s\", so nobody can be found (person_label says what persons are called)%s%s", name,
                       n ? "; among the labels: " : "", listed);
}

static limber_status parse_config(struct yolos_model *m, const json_t *root, const char *person_label, limber_error *err)
{
    struct config *c = &m->vit.config;
    char text[JSON_SHOW];
    const json_t *type = json_object_get(root, "model_type"), *act = json_object_get(root, "hidden_act");
    int channels = 3, detections = 100;
    bool mid = true;
    double eps = 1e-12;
    if (json_is_string(type) && strcmp(json_string_value(type), "vitpose") == 0)
        return limber_fail(err, LIMBER_E_MODEL, "a pose model (model_type \"vitpose\"), expected a detector (\"yolos\")");
    if (!json_is_string(type) || strcmp(json_string_value(type), "yolos") != 0)
        return limber_fail(err, LIMBER_E_UNSUPPORTED, "model_type is %s, expected \"yolos\"", json_show(text, type));
    if (json_is_string(act) && strcmp(json_string_value(act), "gelu") != 0)
        return limber_fail(err, LIMBER_E_UNSUPPORTED, "hidden_act is %s, only \"gelu\" is supported", json_show(text, act));
    c->image_h = 512, c->image_w = 864, c->patch_h = 16, c->hidden = 768, c->layers = 12, c->heads = 12, c->mlp = 3072;
    c->experts = 1, c->qkv_bias = true;
    TRY(config_read_pair(root, "image_size", IMAGE_MAX, &c->image_h, &c->image_w, err));
    TRY(json_read_int(root, "patch_size", 1, PATCH_MAX, &c->patch_h, err));
    TRY(json_read_int(root, "num_channels", 3, 3, &channels, err));
    TRY(json_read_int(root, "hidden_size", 1, HIDDEN_MAX, &c->hidden, err));
    TRY(json_read_int(root, "num_hidden_layers", 1, LAYERS_MAX, &c->layers, err));
    TRY(json_read_int(root, "num_attention_heads", 1, c->hidden, &c->heads, err));
    TRY(json_read_int(root, "intermediate_size", 1, MLP_MAX, &c->mlp, err));
    TRY(json_read_int(root, "num_detection_tokens", 1, DETECTIONS_MAX, &detections, err));
    TRY(json_read_number(root, "layer_norm_eps", 1e-30, 1, &eps, err));
    TRY(json_read_bool(root, "qkv_bias", &c->qkv_bias, err));
    TRY(json_read_bool(root, "use_mid_position_embeddings", &mid, err));
    if (c->hidden % c->heads)
        return limber_fail(err, LIMBER_E_FORMAT, "hidden_size %d is no multiple of num_attention_heads %d", c->hidden, c->heads);
    if (c->image_h < c->patch_h || c->image_w < c->patch_h)
        return limber_fail(err, LIMBER_E_FORMAT, "image_size %d x %d is less than a patch of %d", c->image_h, c->image_w,
                           c->patch_h);
    c->patch_w = c->patch_h;
    c->head_dim = c->hidden / c->heads;
    c->layer_norm_eps = (float)eps;
    c->grid_h = c->trained_grid_h = c->image_h / c->patch_h;
    c->grid_w = c->trained_grid_w = c->image_w / c->patch_w;
    c->tokens_before = 1;
    c->tokens_after = detections;
    c->mid_positions = mid ? c->layers - 1 : 0;
    c->tokens = c->grid_h * c->grid_w + 1 + detections;
    if (c->tokens > TOKENS_MAX)
        return limber_fail(err, LIMBER_E_UNSUPPORTED, "image_size makes %d tokens, the limit is %d", c->tokens, TOKENS_MAX);
    snprintf(c->model_name, sizeof c->model_name, "YOLOS%s",
             c->hidden == 192   ? "-tiny"
             : c->hidden == 384 ? "-small"
             : c->hidden == 768 ? "-base"
                                : "");
    return find_person(m, root, person_label, err);
}

/* p may be NULL: transformers' defaults. */
static limber_status parse_preprocessor(struct yolos_model *m, const json_t *p, limber_error *err)
{
    struct config *c = &m->vit.config;
    bool resize = true;
    int resample = 2;
    char text[JSON_SHOW];
    m->shortest_edge = 800, m->longest_edge = 1333;
    if (p && !json_is_object(p))
        return limber_fail(err, LIMBER_E_FORMAT, "%s, expected an object", json_show(text, p));
    TRY(json_read_bool(p, "do_resize", &resize, err));
    TRY(json_read_int(p, "resample", 0, 5, &resample, err));
    TRY(config_read_colours(c, p, err));
    if (!resize || resample != 2)
        return limber_fail(err, LIMBER_E_UNSUPPORTED, "do_resize %s, resample %d: only bilinear (2) resizing is supported",
                           resize ? "true" : "false", resample);
    const json_t *size = json_object_get(p, "size");
    if (json_is_integer(size)) { /* older files: the shortest edge, and max_size */
        TRY(json_read_int(p, "size", c->patch_h, IMAGE_MAX, &m->shortest_edge, err));
        TRY(json_read_int(p, "max_size", c->patch_h, IMAGE_MAX, &m->longest_edge, err));
    } else if (size && !json_is_null(size)) {
        if (!json_is_object(size) || !json_object_get(size, "shortest_edge"))
            return limber_fail(err, LIMBER_E_UNSUPPORTED, "size is %s, expected {shortest_edge, longest_edge}",
                               json_show(text, size));
        TRY(json_read_int(size, "shortest_edge", c->patch_h, IMAGE_MAX, &m->shortest_edge, err));
        TRY(json_read_int(size, "longest_edge", c->patch_h, IMAGE_MAX, &m->longest_edge, err));
    }
    if (m->longest_edge < m->shortest_edge)
        return limber_fail(err, LIMBER_E_FORMAT, "size: longest_edge %d is less than shortest_edge %d", m->longest_edge,
                           m->shortest_edge);
    if (yolos_max_patches(m) + 1 + c->tokens_after > TOKENS_MAX)
        return limber_fail(err, LIMBER_E_UNSUPPORTED, "size: edges of %d and %d make %d patches, the limit is %d",
                           m->shortest_edge, m->longest_edge, yolos_max_patches(m), TOKENS_MAX);
    return LIMBER_OK;
}

static limber_status read_json(json_t **out, const char *dir, const char *file, bool needed, limber_error *err)
{
    uint8_t *bytes = NULL;
    size_t size;
    bool missing;
    *out = NULL;
    limber_status st = config_read_file(&bytes, &size, dir, file, &missing, err);
    if (missing && !needed)
        return LIMBER_OK;
    if (st == LIMBER_OK) {
        st = json_parse(out, (const char *)bytes, size, &json_limits_config, err);
        if (st != LIMBER_OK)
            limber_error_prefix(err, "%s/%s", dir, file);
    }
    free(bytes);
    return st;
}

static limber_status read_configs(struct yolos_model *m, const char *dir, const char *person_label, limber_error *err)
{
    json_t *config = NULL, *processor = NULL;
    const char *file = "config.json";
    limber_status st = read_json(&config, dir, file, true, err);
    if (st == LIMBER_OK)
        st = read_json(&processor, dir, "preprocessor_config.json", false, err);
    if (st == LIMBER_OK) {
        st = parse_config(m, config, person_label, err);
        if (st == LIMBER_OK) {
            file = "preprocessor_config.json";
            st = parse_preprocessor(m, processor, err);
        }
        if (st != LIMBER_OK)
            limber_error_prefix(err, "%s/%s", dir, file);
    }
    json_decref(config);
    json_decref(processor);
    return st;
}

/* ---- tensors ---- */

struct reader {
    struct yolos_model *m;
    struct tensors tensors;
    int read; /* so many tensors have been asked for; the file must hold no more */
    limber_error *err;
};

/* A tensor by name (%d: the layer), of this many dimensions and these sizes (0 ends), as finite floats of the caller's; NULL: failed. */
static float *tensor_new(struct reader *r, const char *format, int layer, const int64_t shape[4])
{
    char name[160], have[96] = "", want[96] = "";
    snprintf(name, sizeof name, format, layer);
    const struct tensor *t = tensors_find(&r->tensors, name);
    size_t n = 1, h = 0, w = 0;
    int dims = 0;
    for (; dims < 4 && shape[dims]; dims++) {
        n *= (size_t)shape[dims];
        w += (size_t)snprintf(want + w, sizeof want - w, "%s%lld", dims ? ", " : "", (long long)shape[dims]);
    }
    if (!t) {
        limber_fail(r->err, LIMBER_E_MODEL, "%s is missing", name);
        return NULL;
    }
    bool same = t->dims == dims;
    for (int i = 0; i < t->dims && i < 4; i++) {
        same = same && t->shape[i] == shape[i];
        h += (size_t)snprintf(have + h, sizeof have - h, "%s%lld", i ? ", " : "", (long long)t->shape[i]);
    }
    if (!same || t->dtype == DTYPE_OTHER) {
        limber_fail(r->err, same ? LIMBER_E_UNSUPPORTED : LIMBER_E_MODEL, "%s is [%s] of %s, expected [%s] of F32, F16 or BF16",
                    name, have, t->dtype_name, want);
        return NULL;
    }
    float *v = malloc(n * sizeof *v);
    if (!v) {
        limber_fail(r->err, LIMBER_E_MEMORY, "no memory for a matrix of %zu numbers", n);
        return NULL;
    }
    r->read++;
    if (!tensor_read(t, 0, n, v)) {
        limber_fail(r->err, LIMBER_E_IO, "%s: cannot be read", name);
        free(v);
        return NULL;
    }
    for (size_t i = 0; i < n; i++)
        if (!isfinite(v[i])) {
            limber_fail(r->err, LIMBER_E_MODEL, "%s: element %zu is %f, weights must be finite", name, i, (double)v[i]);
            free(v);
            return NULL;
        }
    return v;
}

static float *vector_new(struct reader *r, const char *format, int layer, int n)
{
    return tensor_new(r, format, layer, (const int64_t[4]){n});
}

static limber_status pack_layernorm(struct reader *r, struct weight **out, const char *name, int layer)
{
    struct limber_model *m = &r->m->vit;
    char gain_name[96], bias_name[96];
    snprintf(gain_name, sizeof gain_name, "%s.weight", name);
    snprintf(bias_name, sizeof bias_name, "%s.bias", name);
    float *gain = vector_new(r, gain_name, layer, m->config.hidden),
          *bias = gain ? vector_new(r, bias_name, layer, m->config.hidden) : NULL;
    limber_status st = LIMBER_E_MODEL;
    if (gain && bias)
        st = m->be->ops->layernorm_pack(m->be, out,
                                        &(struct layernorm_desc){m->config.hidden, m->config.layer_norm_eps, gain, bias}, r->err);
    else
        st = r->err->status;
    free(gain);
    free(bias);
    return st;
}

/* Up to three matrices [out][in], one below the other, as one layer. */
static limber_status pack_linear(struct reader *r, struct weight **to, const char *const names[3], int layer, int in, int out,
                                 bool biased, bool outside)
{
    struct limber_model *m = &r->m->vit;
    int count = 0;
    while (count < 3 && names[count])
        count++;
    const size_t rows = (size_t)out * (size_t)count;
    float *weight = malloc(rows * (size_t)in * sizeof *weight), *bias = malloc(rows * sizeof *bias);
    limber_status st =
        weight && bias ? LIMBER_OK : limber_fail(r->err, LIMBER_E_MEMORY, "no memory for a matrix of %zu x %d", rows, in);
    for (int i = 0; st == LIMBER_OK && i < count; i++) {
        char name[128];
        snprintf(name, sizeof name, "%s.weight", names[i]);
        float *w = tensor_new(r, name, layer, (const int64_t[4]){out, in});
        snprintf(name, sizeof name, "%s.bias", names[i]);
        float *b = w && biased ? vector_new(r, name, layer, out) : NULL;
        if (!w || (biased && !b)) {
            st = r->err->status;
        } else {
            memcpy(weight + (size_t)i * (size_t)out * (size_t)in, w, (size_t)out * (size_t)in * sizeof *w);
            if (biased)
                memcpy(bias + (size_t)i * (size_t)out, b, (size_t)out * sizeof *b);
        }
        free(w);
        free(b);
    }
    if (st == LIMBER_OK) {
        const struct linear_desc d = {
            .in = in, .out = (int)rows, .weight = weight, .bias = biased ? bias : NULL, .outside = outside};
        st = m->be->ops->linear_pack(m->be, to, &d, r->err);
    }
    free(weight);
    free(bias);
    return st;
}

static limber_status pack_embed(struct reader *r)
{
    struct limber_model *m = &r->m->vit;
    const struct config *c = &m->config;
    float lut[3][256];
    for (int ch = 0; ch < 3; ch++)
        for (int v = 0; v < 256; v++) /* as the processor: rescale in double, kept as float; then normalise in float */
            lut[ch][v] = ((float)(v * c->rescale) - c->mean[ch]) / c->std[ch];
    float *weight = tensor_new(r, "vit.embeddings.patch_embeddings.projection.weight", 0,
                               (const int64_t[4]){c->hidden, 3, c->patch_h, c->patch_w});
    float *bias = weight ? vector_new(r, "vit.embeddings.patch_embeddings.projection.bias", 0, c->hidden) : NULL;
    const struct embed_desc d = {.patch_h = c->patch_h,
                                 .patch_w = c->patch_w,
                                 .dim = c->hidden,
                                 .lut = (const float(*)[256])lut,
                                 .weight = weight,
                                 .bias = bias};
    limber_status st = weight && bias ? m->be->ops->embed_pack(m->be, &m->embed, &d, r->err) : r->err->status;
    free(weight);
    free(bias);
    return st;
}

static limber_status keep_positions(struct reader *r)
{
    struct limber_model *m = &r->m->vit;
    const struct config *c = &m->config;
    const size_t dim = (size_t)c->hidden, tokens = (size_t)c->tokens, table = tokens * dim;
    float *first = tensor_new(r, "vit.embeddings.position_embeddings", 0, (const int64_t[4]){1, c->tokens, c->hidden});
    float *cls = first ? tensor_new(r, "vit.embeddings.cls_token", 0, (const int64_t[4]){1, 1, c->hidden}) : NULL;
    float *det =
        cls ? tensor_new(r, "vit.embeddings.detection_tokens", 0, (const int64_t[4]){1, c->tokens_after, c->hidden}) : NULL;
    float *mid = NULL;
    limber_status st = det ? LIMBER_OK : r->err->status;
    if (st == LIMBER_OK && c->mid_positions &&
        !(mid = tensor_new(r, "vit.encoder.mid_position_embeddings", 0,
                           (const int64_t[4]){c->mid_positions, 1, c->tokens, c->hidden})))
        st = r->err->status;
    if (st == LIMBER_OK && !(m->positions = malloc((size_t)(1 + c->mid_positions) * table * sizeof *m->positions)))
        st = limber_fail(r->err, LIMBER_E_MEMORY, "no memory for the positions of %zu tokens", tokens);
    if (st == LIMBER_OK) {
        memcpy(m->positions, first, table * sizeof *first);
        for (size_t i = 0; i < dim; i++)
            m->positions[i] += cls[i];
        for (size_t i = 0; i < (size_t)c->tokens_after * dim; i++)
            m->positions[table - (size_t)c->tokens_after * dim + i] += det[i];
        if (mid)
            memcpy(m->positions + table, mid, (size_t)c->mid_positions * table * sizeof *mid);
    }
    free(first), free(cls), free(det), free(mid);
    return st;
}

#define LAYER "vit.encoder.layer.%d."
static limber_status pack_block(struct reader *r, int l)
{
    const struct config *c = &r->m->vit.config;
    struct block *b = &r->m->vit.blocks[l];
    static const char *const qkv[3] = {LAYER "attention.attention.query", LAYER "attention.attention.key",
                                       LAYER "attention.attention.value"};
    static const char *const projection[3] = {LAYER "attention.output.dense"}, *const fc1[3] = {LAYER "intermediate.dense"},
                             *const fc2[3] = {LAYER "output.dense"};
    b->heads = c->heads;
    b->mlp = c->mlp;
    TRY(pack_layernorm(r, &b->layernorm_before, LAYER "layernorm_before", l));
    TRY(pack_linear(r, &b->qkv, qkv, l, c->hidden, c->hidden, c->qkv_bias, false));
    TRY(pack_linear(r, &b->projection, projection, l, c->hidden, c->hidden, true, false));
    TRY(pack_layernorm(r, &b->layernorm_after, LAYER "layernorm_after", l));
    TRY(pack_linear(r, &b->fc1, fc1, l, c->hidden, c->mlp, true, false));
    return pack_linear(r, &b->fc2, fc2, l, c->mlp, c->hidden, true, false);
}

static limber_status pack_all(struct reader *r)
{
    struct yolos_model *m = r->m;
    const struct config *c = &m->vit.config;
    if (!(m->vit.blocks = calloc((size_t)c->layers, sizeof *m->vit.blocks)))
        return limber_fail(r->err, LIMBER_E_MEMORY, "out of memory");
    TRY(pack_embed(r));
    TRY(keep_positions(r));
    for (int l = 0; l < c->layers; l++)
        TRY(pack_block(r, l));
    TRY(pack_layernorm(r, &m->vit.layernorm, "vit.layernorm", 0));
    for (int i = 0; i < YOLOS_LAYERS; i++) {
        char classes[64], boxes[64];
        snprintf(classes, sizeof classes, "class_labels_classifier.layers.%d", i);
        snprintf(boxes, sizeof boxes, "bbox_predictor.layers.%d", i);
        const bool last = i == YOLOS_LAYERS - 1;
        TRY(pack_linear(r, &m->classes_head[i], (const char *const[3]){classes}, 0, c->hidden, last ? m->classes : c->hidden,
                        true, true));
        TRY(pack_linear(r, &m->boxes_head[i], (const char *const[3]){boxes}, 0, c->hidden, last ? 4 : c->hidden, true, true));
    }
    if (r->read != r->tensors.count)
        return limber_fail(r->err, LIMBER_E_MODEL, "the file has %d tensors, a YOLOS of %d layers has %d", r->tensors.count,
                           c->layers, r->read);
    return LIMBER_OK;
}

/* ---- the header's functions ---- */

limber_status yolos_open(struct yolos_model **out, const char *dir, const limber_options *options, const char *person_label,
                         limber_error *err)
{
    const limber_options o = options ? *options : limber_options_default();
    limber_error own = {0};
    struct yolos_model *m = calloc(1, sizeof *m);
    *out = NULL;
    if (!m)
        return limber_fail(err, LIMBER_E_MEMORY, "out of memory");
    struct reader r = {.m = m, .err = &own};
    snprintf(m->vit.source, sizeof m->vit.source, "%s", dir);
    limber_status st = read_configs(m, dir, person_label, &own);
    if (st == LIMBER_OK)
        st = tensors_open(&r.tensors, dir, &own);
    if (st == LIMBER_OK) {
        st = model_backend_open(&m->vit, o.backend, o.precision, &own);
        if (st == LIMBER_OK && (st = pack_all(&r)) != LIMBER_OK)
            limber_error_prefix(&own, "%s", dir);
        if (st == LIMBER_OK)
            st = tensors_unchanged(&r.tensors, &own);
        tensors_free(&r.tensors);
    }
    if (st != LIMBER_OK) {
        yolos_close(&m);
        if (err)
            *err = own;
    }
    *out = m;
    return st;
}

void yolos_close(struct yolos_model **model)
{
    if (!model || !*model)
        return;
    struct yolos_model *m = *model;
    for (int i = 0; m->vit.be && i < YOLOS_LAYERS; i++) {
        m->vit.be->ops->weight_free(m->vit.be, m->classes_head[i]);
        m->vit.be->ops->weight_free(m->vit.be, m->boxes_head[i]);
    }
    weights_free(&m->vit);
    backend_close(&m->vit.be);
    config_free(&m->vit.config);
    free(m);
    *model = NULL;
}

void yolos_input_size(const struct yolos_model *m, int picture_h, int picture_w, int *height, int *width)
{
    const double h = picture_h, w = picture_w, least = h < w ? h : w, most = h < w ? w : h;
    const int patch = m->vit.config.patch_h;
    double size = m->shortest_edge, raw = size;
    if (most / least * size > m->longest_edge) {
        raw = m->longest_edge * least / most;
        size = nearbyint(raw); /* to even, as Python rounds */
    }
    double oh, ow;
    if (w < h) {
        ow = size;
        oh = floor(raw * h / w);
    } else if (h == size || (w == h && w == size)) {
        oh = h, ow = w;
    } else {
        oh = size;
        ow = floor(raw * w / h);
    }
    *height = (int)oh / patch * patch;
    *width = (int)ow / patch * patch;
    if (*height < patch)
        *height = patch;
    if (*width < patch)
        *width = patch;
}

int yolos_max_patches(const struct yolos_model *m)
{
    const int patch = m->vit.config.patch_h;
    return (m->shortest_edge / patch) * (m->longest_edge / patch);
}
