/* SPDX-License-Identifier: MIT */
/* model/weights.c - from named tensors to the packed weights of a backend.
 *
 * `table` says of every tensor of a ViTPose checkpoint its name, its shape and when it is there. weights_check walks it once over
 * the headers (no weight is touched, so it costs the same for any size): what is missing, extra, of a wrong shape or type is an
 * error with its name, and a guess where the evidence gives one. weights_pack then reads the tensors, one matrix at a time:
 *   qkv         rows of query, key and value, one below the other; again without the heads that the projection reads nothing of
 *   fc1, fc2    without the neurons that fc2 reads nothing of
 *   fc2         ViTPose+: the shared rows, then the rows of the chosen expert, which makes it a plain MLP
 *   position    pos[1 + t] + pos[0]: the former class token's embedding is added to every patch; kept as trained, see model_positions
 *   deconv1, 2  batch norm folded in, in double: w' = w * gain / sqrt(var + 1e-5), b' = bias - mean * gain / sqrt(var + 1e-5)
 * and refuses NaN and infinity by name and place: one of them would make every joint NaN, long after anyone could tell why. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "model/resize.h"
#include "model/weights.h"

#define BATCH_NORM_EPS 1e-5 /* PyTorch's default, which transformers keeps */

enum slot {
    POSITION,
    PATCH_W,
    PATCH_B,
    LN_BEFORE_W,
    LN_BEFORE_B,
    QUERY_W,
    KEY_W,
    VALUE_W,
    QUERY_B,
    KEY_B,
    VALUE_B,
    PROJECTION_W,
    PROJECTION_B,
    LN_AFTER_W,
    LN_AFTER_B,
    FC1_W,
    FC1_B,
    FC2_W,
    FC2_B,
    EXPERT_W,
    EXPERT_B,
    LN_LAST_W,
    LN_LAST_B,
    SIMPLE_W,
    DECONV1_W,
    NORM1_W,
    NORM1_B,
    NORM1_MEAN,
    NORM1_VAR,
    DECONV2_W,
    NORM2_W,
    NORM2_B,
    NORM2_MEAN,
    NORM2_VAR,
    CLASSIC_W,
    HEAD_B,
    SLOTS
};

/* A symbol in a shape, or a plain number below DIM_SYMBOLS. ATTENDED is HIDDEN and NEURONS is mlp, but for compact files, where a layer has
 * those of its stored heads and neurons alone. */
enum dim { DIM_SYMBOLS = 1000, HIDDEN, ATTENDED, NEURONS, SHARED, PART, POSITIONS, PATCH_H, PATCH_WIDTH, KEYPOINTS, MID };
enum when { ALWAYS, QKV_BIAS, PLUS, SIMPLE, CLASSIC };

#define LAYER "backbone.encoder.layer.%d."
static const struct row {
    const char *name; /* %d: the layer, then the expert */
    int dims;
    enum dim shape[4];
    enum when when;
} table[SLOTS] = {
    [POSITION] = {"backbone.embeddings.position_embeddings", 3, {1, POSITIONS, HIDDEN}, ALWAYS},
    [PATCH_W] = {"backbone.embeddings.patch_embeddings.projection.weight", 4, {HIDDEN, 3, PATCH_H, PATCH_WIDTH}, ALWAYS},
    [PATCH_B] = {"backbone.embeddings.patch_embeddings.projection.bias", 1, {HIDDEN}, ALWAYS},
    [LN_BEFORE_W] = {LAYER "layernorm_before.weight", 1, {HIDDEN}, ALWAYS},
    [LN_BEFORE_B] = {LAYER "layernorm_before.bias", 1, {HIDDEN}, ALWAYS},
    [QUERY_W] = {LAYER "attention.attention.query.weight", 2, {ATTENDED, HIDDEN}, ALWAYS},
    [KEY_W] = {LAYER "attention.attention.key.weight", 2, {ATTENDED, HIDDEN}, ALWAYS},
    [VALUE_W] = {LAYER "attention.attention.value.weight", 2, {ATTENDED, HIDDEN}, ALWAYS},
    [QUERY_B] = {LAYER "attention.attention.query.bias", 1, {ATTENDED}, QKV_BIAS},
    [KEY_B] = {LAYER "attention.attention.key.bias", 1, {ATTENDED}, QKV_BIAS},
    [VALUE_B] = {LAYER "attention.attention.value.bias", 1, {ATTENDED}, QKV_BIAS},
    [PROJECTION_W] = {LAYER "attention.output.dense.weight", 2, {HIDDEN, ATTENDED}, ALWAYS},
    [PROJECTION_B] = {LAYER "attention.output.dense.bias", 1, {HIDDEN}, ALWAYS},
    [LN_AFTER_W] = {LAYER "layernorm_after.weight", 1, {HIDDEN}, ALWAYS},
    [LN_AFTER_B] = {LAYER "layernorm_after.bias", 1, {HIDDEN}, ALWAYS},
    [FC1_W] = {LAYER "mlp.fc1.weight", 2, {NEURONS, HIDDEN}, ALWAYS},
    [FC1_B] = {LAYER "mlp.fc1.bias", 1, {NEURONS}, ALWAYS},
    [FC2_W] = {LAYER "mlp.fc2.weight", 2, {SHARED, NEURONS}, ALWAYS},
    [FC2_B] = {LAYER "mlp.fc2.bias", 1, {SHARED}, ALWAYS},
    [EXPERT_W] = {LAYER "mlp.experts.%d.weight", 2, {PART, NEURONS}, PLUS},
    [EXPERT_B] = {LAYER "mlp.experts.%d.bias", 1, {PART}, PLUS},
    [LN_LAST_W] = {"backbone.layernorm.weight", 1, {HIDDEN}, ALWAYS},
    [LN_LAST_B] = {"backbone.layernorm.bias", 1, {HIDDEN}, ALWAYS},
    [SIMPLE_W] = {"head.conv.weight", 4, {KEYPOINTS, HIDDEN, 3, 3}, SIMPLE},
    [DECONV1_W] = {"head.deconv1.weight", 4, {HIDDEN, MID, 4, 4}, CLASSIC},
    [NORM1_W] = {"head.batchnorm1.weight", 1, {MID}, CLASSIC},
    [NORM1_B] = {"head.batchnorm1.bias", 1, {MID}, CLASSIC},
    [NORM1_MEAN] = {"head.batchnorm1.running_mean", 1, {MID}, CLASSIC},
    [NORM1_VAR] = {"head.batchnorm1.running_var", 1, {MID}, CLASSIC},
    [DECONV2_W] = {"head.deconv2.weight", 4, {MID, MID, 4, 4}, CLASSIC},
    [NORM2_W] = {"head.batchnorm2.weight", 1, {MID}, CLASSIC},
    [NORM2_B] = {"head.batchnorm2.bias", 1, {MID}, CLASSIC},
    [NORM2_MEAN] = {"head.batchnorm2.running_mean", 1, {MID}, CLASSIC},
    [NORM2_VAR] = {"head.batchnorm2.running_var", 1, {MID}, CLASSIC},
    [CLASSIC_W] = {"head.conv.weight", 4, {KEYPOINTS, MID, 1, 1}, CLASSIC},
    [HEAD_B] = {"head.conv.bias", 1, {KEYPOINTS}, ALWAYS},
};

/* What transformers saves beside the weights, and inference has no use for. */
static const char *const ignored[] = {"head.batchnorm1.num_batches_tracked", "head.batchnorm2.num_batches_tracked"};

static int stored_heads(const struct config *c, int layer)
{
    int n = 0;
    for (int h = 0; h < c->heads; h++)
        n += !c->stored_heads || c->stored_heads[layer * c->heads + h];
    return n;
}

static int64_t size_of(const struct config *c, enum dim d, int layer)
{
    switch (d) {
    case HIDDEN:
        return c->hidden;
    case ATTENDED:
        return (int64_t)stored_heads(c, layer) * c->head_dim;
    case NEURONS:
        return c->stored_neurons ? c->stored_neurons[layer] : c->mlp;
    case SHARED:
        return c->hidden - c->part_features;
    case PART:
        return c->part_features;
    case POSITIONS:
        return c->trained_grid_h * c->trained_grid_w + 1;
    case PATCH_H:
        return c->patch_h;
    case PATCH_WIDTH:
        return c->patch_w;
    case KEYPOINTS:
        return c->keypoints;
    case MID:
        return CLASSIC_HEAD_CHANNELS;
    default:
        return (int64_t)d;
    }
}

static bool is_there(const struct config *c, enum when when)
{
    return when == ALWAYS || (when == QKV_BIAS && c->qkv_bias) || (when == PLUS && c->experts > 1) ||
           (when == SIMPLE && c->simple_head) || (when == CLASSIC && !c->simple_head);
}

#define NAME_MAX_BYTES 128
static const struct tensor *find(const struct tensors *t, enum slot slot, int layer, int expert, char name[NAME_MAX_BYTES])
{
    snprintf(name, NAME_MAX_BYTES, table[slot].name, layer, expert);
    return tensors_find(t, name);
}

/* ---- the check ---- */

#define SHAPE_TEXT 200
static const char *shape_text(char text[SHAPE_TEXT], const int64_t *shape, int dims)
{
    int n = snprintf(text, SHAPE_TEXT, "[");
    for (int i = 0; i < dims; i++)
        n += snprintf(text + n, SHAPE_TEXT - (size_t)n, "%s%lld", i ? ", " : "", (long long)shape[i]);
    snprintf(text + n, SHAPE_TEXT - (size_t)n, "]");
    return text;
}

static const char *size_name(int64_t hidden)
{
    return hidden == 384 ? "small" : hidden == 768 ? "base" : hidden == 1024 ? "large" : hidden == 1280 ? "huge" : NULL;
}

static int layers_in(const struct tensors *t)
{
    char name[NAME_MAX_BYTES];
    int layers = 0;
    while (find(t, LN_BEFORE_W, layers, 0, name))
        layers++;
    return layers;
}

static bool holds_prefix(const struct tensors *t, const char *prefix)
{
    for (int i = 0; i < t->count; i++)
        if (strncmp(t->v[i].name, prefix, strlen(prefix)) == 0)
            return true;
    return false;
}

/* Why file and config may not fit, most telling evidence first: text to append to the error, or "". */
static const char *guess(char text[SHAPE_TEXT], const struct config *c, const struct tensors *t)
{
    char name[NAME_MAX_BYTES];
    const struct tensor *position = find(t, POSITION, 0, 0, name), *conv = find(t, SIMPLE_W, 0, 0, name);
    text[0] = 0;
    if (holds_prefix(t, "backbone.blocks.") || holds_prefix(t, "keypoint_head.")) {
        snprintf(text, SHAPE_TEXT, ": the names are those of the original .pth, convert it with tools/convert.py?");
    } else if (holds_prefix(t, "vit.")) {
        snprintf(text, SHAPE_TEXT, ": a file of another model, a ViT or YOLOS?");
    } else if (position && position->dims == 3 && position->shape[2] != c->hidden) {
        const char *file = size_name(position->shape[2]), *config = size_name(c->hidden);
        if (file && config)
            snprintf(text, SHAPE_TEXT, ": a %s file, opened as %s?", file, config);
        else
            snprintf(text, SHAPE_TEXT, ": the file is %lld wide, config.json says %d", (long long)position->shape[2], c->hidden);
    } else if (c->experts == 1 && find(t, EXPERT_W, 0, 0, name)) {
        snprintf(text, SHAPE_TEXT, ": a ViTPose+ file, but config.json has no num_experts?");
    } else if (c->experts > 1 && find(t, LN_BEFORE_W, 0, 0, name) && !find(t, EXPERT_W, 0, 0, name)) {
        snprintf(text, SHAPE_TEXT, ": a file without experts, but config.json says num_experts %d?", c->experts);
    } else if (c->simple_head && find(t, DECONV1_W, 0, 0, name)) {
        snprintf(text, SHAPE_TEXT, ": a classic head, but config.json says use_simple_decoder (or leaves it out)?");
    } else if (!c->simple_head && conv && conv->dims == 4 && conv->shape[2] == 3) {
        snprintf(text, SHAPE_TEXT, ": a simple head, but config.json says use_simple_decoder false?");
    } else if (layers_in(t) && layers_in(t) != c->layers) {
        snprintf(text, SHAPE_TEXT, ": the file has %d layers, config.json says %d", layers_in(t), c->layers);
    } else if (position && position->dims == 3 && position->shape[1] != c->tokens + 1) {
        snprintf(text, SHAPE_TEXT, ": the file was made for %lld patches, config.json's image_size makes %d",
                 (long long)position->shape[1] - 1, c->tokens);
    } else if (conv && conv->dims == 4 && conv->shape[0] != c->keypoints) {
        snprintf(text, SHAPE_TEXT, ": the file has %lld keypoints, config.json's labels are %d", (long long)conv->shape[0],
                 c->keypoints);
    }
    return text;
}

static limber_status check_tensor(const struct config *c, const struct tensors *t, enum slot slot, int layer,
                                  const struct tensor *found, limber_error *err)
{
    const struct row *row = &table[slot];
    char have[SHAPE_TEXT], want[SHAPE_TEXT], why[SHAPE_TEXT];
    int64_t shape[4];
    bool same = found->dims == row->dims;
    for (int i = 0; i < row->dims; i++) {
        shape[i] = size_of(c, row->shape[i], layer);
        same = same && found->shape[i] == shape[i];
    }
    if (!same)
        return limber_fail(err, LIMBER_E_MODEL, "%s is %s, expected %s%s", found->name,
                           shape_text(have, found->shape, found->dims), shape_text(want, shape, row->dims), guess(why, c, t));
    if (found->dtype == DTYPE_OTHER)
        return limber_fail(err, LIMBER_E_UNSUPPORTED, "%s is of type %s, expected F32, F16 or BF16", found->name,
                           found->dtype_name);
    return LIMBER_OK;
}

static bool is_ignored(const char *name)
{
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        if (strcmp(name, ignored[i]) == 0)
            return true;
    return false;
}

static limber_status report_extra(const struct config *c, const struct tensors *t, const bool *known, limber_error *err)
{
    const char *first = NULL;
    int extra = 0;
    for (int i = 0; i < t->count; i++)
        if (!known[i] && !is_ignored(t->v[i].name) && extra++ == 0)
            first = t->v[i].name;
    char why[SHAPE_TEXT], more[48] = "";
    if (!extra)
        return LIMBER_OK;
    if (extra > 1)
        snprintf(more, sizeof more, " (and %d more)", extra - 1);
    return limber_fail(err, LIMBER_E_MODEL, "%s%s has no place in the model%s", first, more, guess(why, c, t));
}

limber_status weights_check(const struct config *c, const struct tensors *t, limber_error *err)
{
    char name[NAME_MAX_BYTES], first[NAME_MAX_BYTES], why[SHAPE_TEXT], more[48] = "";
    int missing = 0;
    limber_status st = LIMBER_OK;
    bool *known = calloc((size_t)t->count + 1, sizeof *known);
    if (!known)
        return limber_fail(err, LIMBER_E_MEMORY, "out of memory");
    for (int slot = 0; slot < SLOTS; slot++) {
        const struct row *row = &table[slot];
        int layers = strstr(row->name, "%d") ? c->layers : 1, experts = row->when == PLUS ? c->experts : 1;
        for (int i = 0; st == LIMBER_OK && is_there(c, row->when) && i < layers * experts; i++) {
            const struct tensor *found = find(t, (enum slot)slot, i / experts, i % experts, name);
            if (found) {
                known[found - t->v] = true;
                st = check_tensor(c, t, (enum slot)slot, i / experts, found, err);
            } else if (missing++ == 0) {
                memcpy(first, name, sizeof first);
            }
        }
    }
    if (missing > 1)
        snprintf(more, sizeof more, " (and %d more)", missing - 1);
    if (st == LIMBER_OK && missing)
        st = limber_fail(err, LIMBER_E_MODEL, "%s%s is missing%s", first, more, guess(why, c, t));
    if (st == LIMBER_OK)
        st = report_extra(c, t, known, err);
    free(known);
    return st;
}

/* ---- packing ---- */

/* Rooms are fp32 arrays, used again from matrix to matrix; the largest together are one matrix and its bias. */
#define ROOMS 6
struct packer {
    struct limber_model *m;
    const struct tensors *tensors;
    int expert;
    float *room[ROOMS];
    size_t floats[ROOMS];
    limber_error *err;
};

static float *room(struct packer *p, int i, size_t n)
{
    if (p->floats[i] < n) {
        free(p->room[i]);
        p->room[i] = malloc(n * sizeof(float));
        p->floats[i] = p->room[i] ? n : 0;
        if (!p->room[i])
            limber_fail(p->err, LIMBER_E_MEMORY, "no memory for a matrix of %zu numbers", n);
    }
    return p->room[i];
}

static size_t count_of(const struct tensor *t)
{
    size_t n = 1;
    for (int i = 0; i < t->dims; i++)
        n *= (size_t)t->shape[i]; /* as many as the file holds: place_entries has checked */
    return n;
}

static const struct tensor *tensor_at(const struct packer *p, enum slot slot, int layer)
{
    char name[NAME_MAX_BYTES];
    return find(p->tensors, slot, layer, p->expert, name);
}

/* All of a tensor as fp32, checked to be finite. */
static limber_status read_all(struct packer *p, const struct tensor *t, float *dst)
{
    enum { CHUNK = 16384 }; /* read, converted, then checked while still in the cache */
    size_t n = count_of(t);
    for (size_t from = 0; from < n; from += CHUNK) {
        size_t count = n - from < CHUNK ? n - from : CHUNK;
        if (!tensor_read(t, from, count, dst + from))
            return limber_fail(p->err, LIMBER_E_IO, "%s: cannot be read (%s)", t->name,
                               errno ? error_text(errno) : "the file changed while it was read: it has become shorter");
        int bad = 0;
        for (size_t i = from; i < from + count; i++) {
            uint32_t bits;
            memcpy(&bits, &dst[i], sizeof bits);
            bad |= (bits & 0x7f800000u) == 0x7f800000u;
        }
        for (size_t i = from; bad && i < from + count; i++)
            if (!isfinite(dst[i])) {
                char text[SHAPE_TEXT];
                return limber_fail(p->err, LIMBER_E_MODEL, "%s: element %zu of %s is %f, weights must be finite", t->name, i,
                                   shape_text(text, t->shape, t->dims), (double)dst[i]);
            }
    }
    return LIMBER_OK;
}

/* A tensor in a room; NULL with the error set. */
static const float *read_into(struct packer *p, int i, enum slot slot, int layer)
{
    const struct tensor *t = tensor_at(p, slot, layer);
    float *dst = room(p, i, count_of(t));
    return dst && read_all(p, t, dst) == LIMBER_OK ? dst : NULL;
}

/* What stopped the last room, read_into or read_all: they have set the error. */
static limber_status failed(const struct packer *p)
{
    return p->err->status;
}

static limber_status pack_layernorm(struct packer *p, struct weight **out, enum slot gain, enum slot bias, int layer)
{
    struct backend *be = p->m->be;
    struct layernorm_desc d = {.dim = p->m->config.hidden, .eps = p->m->config.layer_norm_eps};
    if (!(d.gain = read_into(p, 0, gain, layer)) || !(d.bias = read_into(p, 1, bias, layer)))
        return failed(p);
    return be->ops->layernorm_pack(be, out, &d, p->err);
}

/* ---- what is left out ---- */

/* Where index i of a whole matrix stands in the file's; -1: the file has nothing of it, it counts as zero. */
static int place_in_file(const struct config *c, enum dim d, int layer, int i)
{
    if (d == NEURONS)
        return !c->stored_neurons || i < c->stored_neurons[layer] ? i : -1;
    if (d != ATTENDED || !c->stored_heads)
        return i;
    const bool *stored = c->stored_heads + (size_t)layer * (size_t)c->heads;
    int before = 0;
    for (int h = 0; h < i / c->head_dim; h++)
        before += stored[h];
    return stored[i / c->head_dim] ? before * c->head_dim + i % c->head_dim : -1;
}

static int whole_size(const struct config *c, enum dim d, int64_t stored)
{
    return d == ATTENDED ? c->hidden : d == NEURONS ? c->mlp : (int)stored;
}

/* A tensor of a block, made whole where the file is compact. */
static limber_status read_whole(struct packer *p, enum slot slot, int layer, float *dst)
{
    const struct config *c = &p->m->config;
    const struct tensor *t = tensor_at(p, slot, layer);
    const enum dim row_dim = table[slot].shape[0], column_dim = t->dims > 1 ? table[slot].shape[1] : 1;
    const int columns = t->dims > 1 ? (int)t->shape[1] : 1;
    const int all_rows = whole_size(c, row_dim, t->shape[0]), all_columns = whole_size(c, column_dim, columns);
    limber_status st = read_all(p, t, dst);
    if (st != LIMBER_OK || (all_rows == t->shape[0] && all_columns == columns))
        return st;
    for (int r = all_rows; r-- > 0;) { /* from the end: nothing is overwritten before it was moved */
        const int row = place_in_file(c, row_dim, layer, r);
        for (int i = all_columns; i-- > 0;) {
            const int column = row < 0 ? -1 : place_in_file(c, column_dim, layer, i);
            dst[(size_t)r * (size_t)all_columns + (size_t)i] =
                column < 0 ? 0 : dst[(size_t)row * (size_t)columns + (size_t)column];
        }
    }
    return LIMBER_OK;
}

/* Columns of what is left out, `width` for each of left_out: their constant, where there is one, goes into the bias, then they are zero where
 * the projection, or fc2, reads them. The same for every backend, and nothing of the attention needs to know. */
static void leave_out(float *weight, float *bias, int rows, int columns, const bool *left_out, int width, const float *constant)
{
    for (int row = 0; row < rows; row++) {
        float *w = weight + (size_t)row * (size_t)columns;
        double sum = (double)bias[row];
        bool any = false;
        for (int i = 0; i < columns; i++)
            if (left_out[i / width]) {
                sum += constant ? (double)w[i] * (double)constant[i] : 0;
                w[i] = 0;
                any = true;
            }
        bias[row] = any && constant ? (float)sum : bias[row];
    }
}

static void leave_out_pruned(const struct packer *p, float *weight, float *bias, int rows, enum slot slot, int layer)
{
    const struct config *c = &p->m->config;
    const struct left_out *cut = p->m->left_out;
    const size_t heads = (size_t)layer * (size_t)c->heads, hidden = (size_t)layer * (size_t)c->hidden,
                 mlp = (size_t)layer * (size_t)c->mlp;
    if (slot == PROJECTION_W && p->m->pruned)
        leave_out(weight, bias, rows, c->hidden, p->m->pruned + heads, c->head_dim, NULL);
    if (slot == PROJECTION_W && cut && cut->heads)
        leave_out(weight, bias, rows, c->hidden, cut->heads + heads, c->head_dim,
                  cut->head_says ? cut->head_says + hidden : NULL);
    if (slot == FC2_W && cut && cut->neurons)
        leave_out(weight, bias, rows, c->mlp, cut->neurons + mlp, 1, cut->neuron_says ? cut->neuron_says + mlp : NULL);
}

/* The rows of several tensors, one below the other, as one linear layer, in rooms `at` and `at` + 1. */
struct piece {
    enum slot weight, bias;
};
static limber_status read_linear(struct packer *p, struct linear_desc *out, int at, int layer, const struct piece *pieces,
                                 int count)
{
    const struct config *c = &p->m->config;
    const int in = whole_size(c, table[pieces[0].weight].shape[1], tensor_at(p, pieces[0].weight, layer)->shape[1]);
    const bool biased = tensor_at(p, pieces[0].bias, layer) != NULL;
    int rows = 0, row = 0, of[3] = {0};
    for (int i = 0; i < count; i++)
        rows += of[i] = whole_size(c, table[pieces[i].weight].shape[0], tensor_at(p, pieces[i].weight, layer)->shape[0]);
    float *weight = room(p, at, (size_t)rows * (size_t)in), *bias = room(p, at + 1, (size_t)rows);
    if (!weight || !bias)
        return failed(p);
    for (int i = 0; i < count; row += of[i++]) {
        limber_status st = read_whole(p, pieces[i].weight, layer, weight + (size_t)row * (size_t)in);
        if (st == LIMBER_OK && biased)
            st = read_whole(p, pieces[i].bias, layer, bias + row);
        if (st != LIMBER_OK)
            return st;
    }
    leave_out_pruned(p, weight, bias, rows, pieces[0].weight, layer);
    *out = (struct linear_desc){.in = in, .out = rows, .weight = weight, .bias = biased ? bias : NULL};
    return LIMBER_OK;
}

static limber_status pack_linear(struct packer *p, struct weight **out, const struct linear_desc *d)
{
    return p->m->be->ops->linear_pack(p->m->be, out, d, p->err);
}

/* ---- what nothing reads ---- */

/* Columns [from, from + n) of a [rows][in] matrix are zero. */
static bool nothing_in(const struct linear_desc *d, int from, int n)
{
    for (int row = 0; row < d->out; row++)
        for (int i = from; i < from + n; i++)
            if (d->weight[(size_t)row * (size_t)d->in + (size_t)i] != 0)
                return false;
    return true;
}

/* Columns of the groups that are kept, each `width` wide, moved together in place. */
static void keep_columns(struct linear_desc *d, float *weight, const bool *kept, int width)
{
    int in = 0;
    for (int g = 0; g < d->in / width; g++)
        in += kept[g] ? width : 0;
    float *to = weight;
    for (int row = 0; row < d->out; row++)
        for (int g = 0; g < d->in / width; g++) {
            if (!kept[g])
                continue;
            memmove(to, weight + (size_t)row * (size_t)d->in + (size_t)(g * width), (size_t)width * sizeof *weight);
            to += width;
        }
    d->in = in;
}

/* Rows likewise; groups count around the matrix `times` times (q, k, v). */
static void keep_rows(struct linear_desc *d, float *weight, float *bias, const bool *kept, int groups, int width, int times)
{
    int out = 0;
    for (int g = 0; g < groups * times; g++)
        for (int i = 0; kept[g % groups] && i < width; i++, out++) {
            const size_t from = (size_t)(g * width + i);
            memmove(weight + (size_t)out * (size_t)d->in, weight + from * (size_t)d->in, (size_t)d->in * sizeof *weight);
            if (d->bias)
                bias[out] = bias[from];
        }
    d->out = out;
}

/* The backend has to agree to so few heads as well; approximate attention merges and pools by all heads together. */
static bool may_be_lean(const struct packer *p, int heads)
{
    const struct config *c = &p->m->config;
    const struct attention_args a = {.heads = heads, .head_dim = c->head_dim, .grid_h = c->grid_h, .grid_w = c->grid_w};
    limber_error ignored_error;
    return p->m->attention_kind == ATTENTION_EXACT &&
           (!p->m->be->ops->attention_check || p->m->be->ops->attention_check(p->m->be, &a, &ignored_error) == LIMBER_OK);
}

/* qkv and projection, and both again without the heads that nothing is read of. One head stays in any case. */
static limber_status pack_attention(struct packer *p, struct block *b, int layer)
{
    static const struct piece parts[] = {{QUERY_W, QUERY_B}, {KEY_W, KEY_B}, {VALUE_W, VALUE_B}};
    static const struct piece projection[] = {{PROJECTION_W, PROJECTION_B}};
    const struct config *c = &p->m->config;
    struct linear_desc qkv, out;
    bool *kept = malloc((size_t)c->heads * sizeof *kept);
    limber_status st = kept ? LIMBER_OK : limber_fail(p->err, LIMBER_E_MEMORY, "out of memory");
    if (st == LIMBER_OK)
        st = read_linear(p, &qkv, 0, layer, parts, 3);
    if (st == LIMBER_OK)
        st = pack_linear(p, &b->qkv, &qkv);
    if (st == LIMBER_OK)
        st = read_linear(p, &out, 2, layer, projection, 1);
    if (st == LIMBER_OK)
        st = pack_linear(p, &b->projection, &out);
    b->heads = 0;
    for (int h = 0; st == LIMBER_OK && h < c->heads; h++)
        b->heads += kept[h] = !nothing_in(&out, h * c->head_dim, c->head_dim);
    if (st == LIMBER_OK && b->heads == 0)
        b->heads = kept[0] = true;
    if (st == LIMBER_OK && b->heads < c->heads && !may_be_lean(p, b->heads))
        b->heads = c->heads;
    if (st == LIMBER_OK && b->heads < c->heads) {
        keep_rows(&qkv, p->room[0], p->room[1], kept, c->heads, c->head_dim, 3);
        keep_columns(&out, p->room[2], kept, c->head_dim);
        st = pack_linear(p, &b->lean_qkv, &qkv);
        if (st == LIMBER_OK)
            st = pack_linear(p, &b->lean_projection, &out);
    }
    free(kept);
    return st;
}

/* fc1 and fc2 without the neurons that fc2 reads nothing of; one stays in any case. */
static limber_status pack_mlp(struct packer *p, struct block *b, int layer)
{
    static const struct piece first[] = {{FC1_W, FC1_B}}, second[] = {{FC2_W, FC2_B}, {EXPERT_W, EXPERT_B}};
    struct linear_desc fc1, fc2;
    limber_status st = read_linear(p, &fc1, 0, layer, first, 1);
    if (st == LIMBER_OK)
        st = read_linear(p, &fc2, 2, layer, second, p->m->config.experts > 1 ? 2 : 1);
    bool *kept = st == LIMBER_OK ? malloc((size_t)fc2.in * sizeof *kept) : NULL;
    if (st == LIMBER_OK && !kept)
        st = limber_fail(p->err, LIMBER_E_MEMORY, "out of memory");
    b->mlp = 0;
    for (int i = 0; st == LIMBER_OK && i < fc2.in; i++)
        b->mlp += kept[i] = !nothing_in(&fc2, i, 1);
    if (st == LIMBER_OK && b->mlp == 0)
        b->mlp = kept[0] = true;
    if (st == LIMBER_OK && b->mlp < fc2.in) {
        keep_rows(&fc1, p->room[0], p->room[1], kept, fc2.in, 1, 1);
        keep_columns(&fc2, p->room[2], kept, 1);
    }
    if (st == LIMBER_OK)
        st = pack_linear(p, &b->fc1, &fc1);
    if (st == LIMBER_OK)
        st = pack_linear(p, &b->fc2, &fc2);
    free(kept);
    return st;
}

static limber_status pack_block(struct packer *p, struct block *b, int layer)
{
    limber_status st = pack_layernorm(p, &b->layernorm_before, LN_BEFORE_W, LN_BEFORE_B, layer);
    if (st == LIMBER_OK)
        st = pack_attention(p, b, layer);
    if (st == LIMBER_OK)
        st = pack_layernorm(p, &b->layernorm_after, LN_AFTER_W, LN_AFTER_B, layer);
    if (st == LIMBER_OK)
        st = pack_mlp(p, b, layer);
    return st;
}

static limber_status pack_embed(struct packer *p, struct weight **out)
{
    const struct config *c = &p->m->config;
    struct backend *be = p->m->be;
    float lut[3][256];
    for (int ch = 0; ch < 3; ch++)
        for (int v = 0; v < 256; v++) /* as the processor: rescale in double, kept as float; then normalise in float */
            lut[ch][v] = ((float)(v * c->rescale) - c->mean[ch]) / c->std[ch];

    const struct embed_desc d = {
        .patch_h = c->patch_h,
        .patch_w = c->patch_w,
        .dim = c->hidden,
        .lut = (const float(*)[256])lut,
        .weight = read_into(p, 1, PATCH_W, 0),
        .bias = read_into(p, 2, PATCH_B, 0),
    };
    return d.weight && d.bias ? be->ops->embed_pack(be, out, &d, p->err) : failed(p);
}

static limber_status keep_positions(struct packer *p, float **out)
{
    const struct config *c = &p->m->config;
    const size_t dim = (size_t)c->hidden, n = (size_t)c->trained_grid_h * (size_t)c->trained_grid_w * dim;
    const float *file = read_into(p, 0, POSITION, 0);
    if (!file)
        return failed(p);
    if (!(*out = malloc(n * sizeof **out)))
        return limber_fail(p->err, LIMBER_E_MEMORY, "no memory for %zu position embeddings", n / dim);
    for (size_t i = 0; i < n; i++)
        (*out)[i] = file[dim + i] + file[i % dim];
    return LIMBER_OK;
}

struct pass_shape model_pass_shape(const struct limber_model *m, int image_h, int image_w)
{
    const struct config *c = &m->config;
    return (struct pass_shape){.image_h = image_h,
                               .image_w = image_w,
                               .grid_h = image_h / c->patch_h,
                               .grid_w = image_w / c->patch_w,
                               .pad = c->patch_pad,
                               .before = c->tokens_before,
                               .after = c->tokens_after};
}

void model_positions(const struct limber_model *m, const struct pass_shape *shape, int which, float *dst)
{
    const struct config *c = &m->config;
    const size_t dim = (size_t)c->hidden, before = (size_t)c->tokens_before * dim, after = (size_t)c->tokens_after * dim;
    const size_t trained = (size_t)c->trained_grid_h * (size_t)c->trained_grid_w * dim;
    const float *src = m->positions + (size_t)which * (before + trained + after);
    memcpy(dst, src, before * sizeof *dst);
    resize_bicubic(dst + before, shape->grid_h, shape->grid_w, src + before, c->trained_grid_h, c->trained_grid_w, c->hidden);
    memcpy(dst + before + (size_t)shape_patches(shape) * dim, src + before + trained, after * sizeof *dst);
}

/* Scales `deconv` [in][mid][16] by batch norm's gain over its standard deviation; the shift becomes bias[mid]. */
static limber_status fold_batch_norm(struct packer *p, float *deconv, size_t in, float *bias, enum slot gain_slot)
{
    enum { MIDS = CLASSIC_HEAD_CHANNELS };
    float norm[4][MIDS]; /* gain, bias, mean, var: the table has them in this order */
    for (int i = 0; i < 4; i++) {
        limber_status st = read_all(p, tensor_at(p, (enum slot)((int)gain_slot + i), 0), norm[i]);
        if (st != LIMBER_OK)
            return st;
    }
    for (size_t o = 0; o < MIDS; o++) {
        double var = norm[3][o], scale = norm[0][o] / sqrt(var + BATCH_NORM_EPS);
        if (var < 0)
            return limber_fail(p->err, LIMBER_E_MODEL, "%s: element %zu is %g, a variance is not negative",
                               table[(int)gain_slot + 3].name, o, var);
        bias[o] = (float)(norm[1][o] - norm[2][o] * scale);
        bool finite = isfinite(bias[o]);
        for (size_t i = 0; i < in; i++)
            for (size_t tap = 0; tap < 16; tap++) {
                float *w = &deconv[(i * MIDS + o) * 16 + tap];
                *w = (float)(*w * scale);
                finite = finite && isfinite(*w);
            }
        if (!finite)
            return limber_fail(p->err, LIMBER_E_MODEL, "%s: folding channel %zu overflows", table[gain_slot].name, o);
    }
    return LIMBER_OK;
}

static limber_status pack_classic_head(struct packer *p, struct weight **out)
{
    const struct config *c = &p->m->config;
    struct backend *be = p->m->be;
    const size_t dim = (size_t)c->hidden, mid = CLASSIC_HEAD_CHANNELS;
    float *deconv1 = room(p, 0, dim * mid * 16), *bias1 = room(p, 1, mid);
    float *deconv2 = room(p, 2, mid * mid * 16), *bias2 = room(p, 3, mid);
    if (!deconv1 || !bias1 || !deconv2 || !bias2)
        return failed(p);
    limber_status st = read_all(p, tensor_at(p, DECONV1_W, 0), deconv1);
    if (st == LIMBER_OK)
        st = fold_batch_norm(p, deconv1, dim, bias1, NORM1_W);
    if (st == LIMBER_OK)
        st = read_all(p, tensor_at(p, DECONV2_W, 0), deconv2);
    if (st == LIMBER_OK)
        st = fold_batch_norm(p, deconv2, mid, bias2, NORM2_W);
    if (st != LIMBER_OK)
        return st;
    const struct classic_head_desc d = {
        .dim = c->hidden,
        .mid = CLASSIC_HEAD_CHANNELS,
        .keypoints = c->keypoints,
        .deconv1 = deconv1,
        .bias1 = bias1,
        .deconv2 = deconv2,
        .bias2 = bias2,
        .conv = read_into(p, 4, CLASSIC_W, 0),
        .bias = read_into(p, 5, HEAD_B, 0),
    };
    return d.conv && d.bias ? be->ops->classic_head_pack(be, out, &d, p->err) : failed(p);
}

static limber_status pack_simple_head(struct packer *p, struct weight **out)
{
    const struct config *c = &p->m->config;
    struct backend *be = p->m->be;
    const struct simple_head_desc d = {
        .dim = c->hidden,
        .keypoints = c->keypoints,
        .scale = c->scale_factor,
        .weight = read_into(p, 0, SIMPLE_W, 0),
        .bias = read_into(p, 1, HEAD_B, 0),
    };
    return d.weight && d.bias ? be->ops->simple_head_pack(be, out, &d, p->err) : failed(p);
}

limber_status weights_pack(struct limber_model *m, const struct checkpoint *c, int expert, limber_error *err)
{
    limber_error own = {0}; /* err may be NULL, but read_into reports through it */
    struct packer p = {.m = m, .tensors = &c->tensors, .expert = expert, .err = &own};
    const int experts = m->config.experts;
    if (expert < 0 || expert >= experts)
        return experts > 1 ? limber_fail(err, LIMBER_E_ARGUMENT, "expert %d: %s has experts 0 to %d", expert,
                                         m->config.model_name, experts - 1)
                           : limber_fail(err, LIMBER_E_ARGUMENT, "expert %d: %s has no experts, only a ViTPose+ model has",
                                         expert, m->config.model_name);
    m->blocks = calloc((size_t)m->config.layers, sizeof *m->blocks);
    limber_status st = m->blocks ? LIMBER_OK : limber_fail(&own, LIMBER_E_MEMORY, "out of memory");
    if (st == LIMBER_OK)
        st = pack_embed(&p, &m->embed);
    if (st == LIMBER_OK)
        st = keep_positions(&p, &m->positions);
    for (int l = 0; st == LIMBER_OK && l < m->config.layers; l++)
        st = pack_block(&p, &m->blocks[l], l);
    if (st == LIMBER_OK)
        st = pack_layernorm(&p, &m->layernorm, LN_LAST_W, LN_LAST_B, 0);
    if (st == LIMBER_OK)
        st = m->config.simple_head ? pack_simple_head(&p, &m->head) : pack_classic_head(&p, &m->head);
    for (int i = 0; i < ROOMS; i++)
        free(p.room[i]);
    if (st != LIMBER_OK) {
        weights_free(m);
        if (err)
            *err = own;
    }
    return st;
}

void weights_free(struct limber_model *m)
{
    struct backend *be = m->be;
    if (!be)
        return;
    for (int l = 0; m->blocks && l < m->config.layers; l++) {
        const struct block *b = &m->blocks[l];
        struct weight *const weights[] = {
            b->layernorm_before, b->qkv, b->projection, b->layernorm_after, b->fc1, b->fc2, b->lean_qkv, b->lean_projection};
        for (size_t i = 0; i < sizeof weights / sizeof *weights; i++)
            be->ops->weight_free(be, weights[i]);
    }
    be->ops->weight_free(be, m->embed);
    be->ops->weight_free(be, m->layernorm);
    be->ops->weight_free(be, m->head);
    free(m->blocks);
    free(m->positions);
    m->blocks = NULL;
    m->positions = NULL;
    m->embed = m->layernorm = m->head = NULL;
}
