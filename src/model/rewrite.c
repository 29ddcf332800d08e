/* SPDX-License-Identifier: MIT */
/* model/rewrite.c - tensors copied as they are, but for the rows and columns of dropped heads. Head h of a layer has rows
 * [h * head_dim, (h + 1) * head_dim) of query, key and value and the same columns of the projection (attention.output.dense). */
#include "model/rewrite.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json_write.h"

enum part { OTHER, ROWS, COLUMNS, BIAS };

/* Which part of attention a tensor is, and of which layer. */
static enum part part_of(const char *name, int *layer)
{
    static const char *const before = "backbone.encoder.layer.";
    int n = 0;
    if (strncmp(name, before, strlen(before)) || sscanf(name + strlen(before), "%d%n", layer, &n) != 1)
        return OTHER;
    const char *rest = name + strlen(before) + n;
    if (!strcmp(rest, ".attention.output.dense.weight"))
        return COLUMNS;
    if (!strcmp(rest, ".attention.output.dense.bias"))
        return BIAS;
    return !strncmp(rest, ".attention.attention.", strlen(".attention.attention.")) ? ROWS : OTHER;
}

static bool changed(const struct config *c, const struct rewrite *r, int layer)
{
    for (int h = 0; h < c->heads; h++)
        if (r->dropped[layer * c->heads + h])
            return true;
    return false;
}

static bool folds(const struct config *c, const struct rewrite *r, const struct tensor *t, int *layer)
{
    return r->constant && part_of(t->name, layer) == BIAS && changed(c, r, *layer);
}

static size_t count_of(const struct tensor *t)
{
    size_t n = 1;
    for (int i = 0; i < t->dims; i++)
        n *= (size_t)t->shape[i];
    return n;
}

static void put_header(struct json_text *t, const struct checkpoint *c, const struct rewrite *r)
{
    size_t at = 0;
    put_open(t, '{');
    put_key(t, "__metadata__"), put_open(t, '{');
    put_key(t, "format"), put_string(t, "pt"); /* transformers asks for it */
    put_close(t, '}');
    for (int i = 0; i < c->tensors.count; i++) {
        const struct tensor *x = &c->tensors.v[i];
        int layer;
        const bool f32 = folds(&c->config, r, x, &layer);
        const size_t bytes = f32 ? 4 * count_of(x) : x->bytes;
        put_key(t, x->name), put_open(t, '{');
        put_key(t, "dtype"), put_string(t, f32 ? "F32" : x->dtype_name);
        put_key(t, "shape"), put_open(t, '[');
        for (int d = 0; d < x->dims; d++)
            put_integer(t, x->shape[d]);
        put_close(t, ']');
        put_key(t, "data_offsets"), put_open(t, '['), put_integer(t, (long long)at), put_integer(t, (long long)(at + bytes));
        put_close(t, ']');
        put_close(t, '}');
        at += bytes;
    }
    put_close(t, '}');
}

/* The tensor's bytes with the dropped heads' rows or columns zero; to free. Zero is all zero bits in every type. */
static uint8_t *zeroed(const struct config *c, const struct rewrite *r, const struct tensor *t, enum part part, int layer)
{
    uint8_t *bytes = malloc(t->bytes ? t->bytes : 1);
    if (!bytes || !tensor_bytes(t, 0, t->bytes, bytes)) {
        free(bytes);
        return NULL;
    }
    const size_t head_dim = (size_t)c->head_dim, width = t->bytes / count_of(t), hidden = (size_t)c->hidden;
    const size_t row = part == ROWS && t->dims == 2 ? hidden * width : width;
    for (size_t h = 0; h < (size_t)c->heads; h++) {
        if (!r->dropped[(size_t)layer * (size_t)c->heads + h])
            continue;
        if (part == ROWS)
            memset(bytes + h * head_dim * row, 0, head_dim * row);
        for (size_t i = 0; part == COLUMNS && i < hidden; i++)
            memset(bytes + (i * hidden + h * head_dim) * width, 0, head_dim * width);
    }
    return bytes;
}

/* bias + projection[:, dropped] constant[dropped]; to free. */
static float *folded_bias(const struct checkpoint *c, const struct rewrite *r, const struct tensor *t, int layer)
{
    char name[128];
    const size_t hidden = (size_t)c->config.hidden, head_dim = (size_t)c->config.head_dim;
    snprintf(name, sizeof name, "backbone.encoder.layer.%d.attention.output.dense.weight", layer);
    const struct tensor *w = tensors_find(&c->tensors, name);
    float *bias = malloc(hidden * sizeof *bias), *row = malloc(hidden * sizeof *row);
    bool fine = bias && row;
    for (size_t o = 0; fine && o < hidden; o++) {
        if (!(fine = tensor_read(t, o, 1, &bias[o]) && tensor_read(w, o * hidden, hidden, row)))
            break;
        double sum = (double)bias[o];
        for (size_t i = 0; i < hidden; i++)
            if (r->dropped[(size_t)layer * (size_t)c->config.heads + i / head_dim])
                sum += (double)row[i] * (double)r->constant[(size_t)layer * hidden + i];
        bias[o] = (float)sum;
    }
    free(row);
    if (!fine) {
        free(bias);
        return NULL;
    }
    return bias;
}

/* A tensor that stays as it is, piece by piece. */
static bool copy_tensor(const struct tensor *t, rewrite_write_fn write, void *context)
{
    uint8_t piece[1 << 14];
    bool fine = true;
    for (size_t from = 0; fine && from < t->bytes; from += sizeof piece) {
        const size_t n = t->bytes - from < sizeof piece ? t->bytes - from : sizeof piece;
        fine = tensor_bytes(t, from, n, piece) && write(context, piece, n);
    }
    return fine;
}

static limber_status write_tensor(const struct checkpoint *c, const struct rewrite *r, const struct tensor *t,
                                  rewrite_write_fn write, void *context, limber_error *err)
{
    int layer = 0;
    const enum part part = part_of(t->name, &layer);
    const bool folded = folds(&c->config, r, t, &layer);
    bool fine;
    if (folded || ((part == ROWS || part == COLUMNS) && changed(&c->config, r, layer))) {
        void *own = folded ? (void *)folded_bias(c, r, t, layer) : zeroed(&c->config, r, t, part, layer);
        if (!own)
            return limber_fail(err, LIMBER_E_IO, "%s: could not be read, or no memory for it", t->name);
        fine = write(context, own, folded ? 4 * count_of(t) : t->bytes);
        free(own);
    } else
        fine = copy_tensor(t, write, context);
    return fine ? LIMBER_OK : limber_fail(err, LIMBER_E_IO, "%s: could not be written, or not be read", t->name);
}

limber_status rewrite_tensors(const struct checkpoint *c, const struct rewrite *r, rewrite_write_fn write, void *context,
                              limber_error *err)
{
    struct json_text header = {0};
    put_header(&header, c, r);
    uint8_t length[8];
    const size_t padding = -header.length % 8; /* tensors begin at a multiple of 8 */
    for (int i = 0; i < 8; i++)
        length[i] = (uint8_t)((uint64_t)(header.length + padding) >> 8 * i);
    limber_status st = header.failed ? limber_fail(err, LIMBER_E_MEMORY, "no memory for a header of safetensors") : LIMBER_OK;
    if (!st && !(write(context, length, sizeof length) && write(context, header.text, header.length) &&
                 write(context, "       ", padding)))
        st = limber_fail(err, LIMBER_E_IO, "the header could not be written");
    for (int i = 0; !st && i < c->tensors.count; i++)
        st = write_tensor(c, r, &c->tensors.v[i], write, context, err);
    if (!st)
        st = tensors_unchanged(&c->tensors, err);
    put_free(&header);
    return st;
}

struct config_costs rewrite_costs(const struct config *c, const bool *dropped)
{
    struct config_costs costs = config_costs(c);
    const uint64_t d = (uint64_t)c->hidden, t = (uint64_t)c->tokens, w = (uint64_t)c->head_dim;
    for (int i = 0; i < c->layers * c->heads; i++) {
        if (!dropped[i])
            continue;
        costs.qkv -= t * d * 3 * w;
        costs.attention -= 2 * t * t * w;
        costs.projection -= t * d * w;
        costs.parameters -= 4 * d * w + (c->qkv_bias ? 3 * w : 0);
    }
    costs.total = costs.embed + costs.qkv + costs.attention + costs.projection + costs.mlp + costs.head;
    return costs;
}
