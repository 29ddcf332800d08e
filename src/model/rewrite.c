/* SPDX-License-Identifier: MIT */
/* model/rewrite.c - tensors copied as they are, but for the rows and columns of what is left out. Head h of a layer has rows
 * [h * head_dim, (h + 1) * head_dim) of query, key and value and the same columns of the projection (attention.output.dense); neuron n has row n
 * of fc1 and column n of fc2, of every expert's too. */
#include "model/rewrite.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json_read.h"
#include "base/json_write.h"

enum part { OTHER, ROWS, COLUMNS, BIAS };

/* What a tensor has of a layer's heads, or of its neurons. */
struct place {
    enum part part;
    bool neurons;
    int layer;
    char weight[128]; /* BIAS: the tensor whose constants are folded into it */
};

static struct place place_of(const char *name)
{
    static const char *const before = "backbone.encoder.layer.";
    struct place p = {.part = OTHER};
    int n = 0, expert, end = 0;
    if (strncmp(name, before, strlen(before)) || sscanf(name + strlen(before), "%d%n", &p.layer, &n) != 1)
        return p;
    const char *rest = name + strlen(before) + n, *dot = strrchr(rest, '.');
    const bool bias = dot && !strcmp(dot, ".bias");
    const bool fc2 = !strncmp(rest, ".mlp.fc2.", 9) || (sscanf(rest, ".mlp.experts.%d.%n", &expert, &end) == 1 && end > 0);
    if (!strncmp(rest, ".attention.output.dense.", 24) || fc2) {
        p.part = bias ? BIAS : COLUMNS;
        p.neurons = fc2;
        if (bias)
            snprintf(p.weight, sizeof p.weight, "%.*s.weight", (int)(dot - name), name);
    } else if (!strncmp(rest, ".attention.attention.", 21) || !strncmp(rest, ".mlp.fc1.", 9)) {
        p.part = ROWS;
        p.neurons = rest[1] == 'm';
    }
    return p;
}

/* Rows or columns of a whole matrix: where each stands in the file that is read (-1: nowhere, it is zero), and which are written, in order. */
struct axis {
    int whole, written;
    int *from, *which;
    bool *gone; /* [whole] */
};

static void axis_close(struct axis *a)
{
    free(a->from);
    free(a->which);
    free(a->gone);
}

/* Is group g of the heads, or neurons, of a layer in the file that is read? */
static bool is_stored(const struct config *c, const struct place *p, int g)
{
    if (p->neurons)
        return !c->stored_neurons || g < c->stored_neurons[p->layer];
    return !c->stored_heads || c->stored_heads[p->layer * c->heads + g];
}

/* The axis of heads or neurons; plain: one of so many rows or columns that all stay. */
static bool axis_open(struct axis *a, const struct config *c, const struct rewrite *r, const struct place *p, int plain)
{
    const int count = plain ? plain : p->neurons ? c->mlp : c->heads, width = plain || p->neurons ? 1 : c->head_dim;
    const bool *all = p->neurons ? r->out.neurons : r->out.heads;
    const bool *gone = plain || !all ? NULL : all + (size_t)p->layer * (size_t)count;
    *a = (struct axis){.whole = count * width};
    a->from = malloc((size_t)a->whole * sizeof *a->from);
    a->which = malloc((size_t)a->whole * sizeof *a->which);
    a->gone = calloc((size_t)a->whole, sizeof *a->gone);
    if (!a->from || !a->which || !a->gone)
        return false;
    int kept = 0, at = 0;
    for (int g = 0; g < count; g++)
        kept += (plain || is_stored(c, p, g)) && !(gone && gone[g]);
    for (int g = 0; g < count; g++) {
        const bool stored = plain || is_stored(c, p, g), left_out = gone && gone[g];
        const bool written = !r->compact || plain || (stored && !left_out) || (!kept && g == 0); /* one stays in any case */
        for (int i = g * width; i < (g + 1) * width; i++) {
            a->from[i] = stored ? at++ : -1;
            a->gone[i] = left_out;
            if (written)
                a->which[a->written++] = i;
        }
    }
    return true;
}

static bool any_gone(const struct config *c, const struct rewrite *r, const struct place *p)
{
    const bool *gone = p->neurons ? r->out.neurons : r->out.heads;
    const int count = p->neurons ? c->mlp : c->heads;
    for (int i = 0; gone && i < count; i++)
        if (gone[(size_t)p->layer * (size_t)count + (size_t)i])
            return true;
    return false;
}

static bool folds(const struct config *c, const struct rewrite *r, const struct place *p)
{
    return p->part == BIAS && (p->neurons ? r->out.neuron_says : r->out.head_says) && any_gone(c, r, p);
}

static bool changes(const struct config *c, const struct rewrite *r, const struct place *p)
{
    return (p->part == ROWS || p->part == COLUMNS) &&
           (any_gone(c, r, p) || r->compact || (p->neurons ? (const void *)c->stored_neurons : (const void *)c->stored_heads));
}

static size_t count_of(const struct tensor *t)
{
    size_t n = 1;
    for (int i = 0; i < t->dims; i++)
        n *= (size_t)t->shape[i];
    return n;
}

/* The two axes of a tensor that changes; a bias has one column. */
static bool axes_open(struct axis *rows, struct axis *columns, const struct config *c, const struct rewrite *r,
                      const struct tensor *t, const struct place *p)
{
    *columns = (struct axis){0};
    return axis_open(rows, c, r, p, p->part == ROWS ? 0 : (int)t->shape[0]) && axis_open(columns, c, r, p,
                                                                                         p->part == COLUMNS ? 0
                                                                                         : t->dims > 1      ? (int)t->shape[1]
                                                                                                            : 1);
}

/* What is written of a tensor. */
static limber_status shape_of(struct tensor *out, const struct checkpoint *c, const struct rewrite *r, const struct tensor *t,
                              limber_error *err)
{
    const struct place p = place_of(t->name);
    struct axis rows = {0}, columns = {0};
    *out = *t;
    if (folds(&c->config, r, &p)) {
        snprintf(out->dtype_name, sizeof out->dtype_name, "F32");
        out->bytes = 4 * count_of(t);
    }
    if (!changes(&c->config, r, &p))
        return LIMBER_OK;
    const bool fine = axes_open(&rows, &columns, &c->config, r, t, &p);
    out->shape[0] = rows.written;
    if (t->dims > 1)
        out->shape[1] = columns.written;
    out->bytes = t->bytes / count_of(t) * count_of(out);
    axis_close(&rows);
    axis_close(&columns);
    return fine ? LIMBER_OK : limber_fail(err, LIMBER_E_MEMORY, "no memory for %s", t->name);
}

static limber_status put_header(struct json_text *t, const struct checkpoint *c, const struct rewrite *r, limber_error *err)
{
    size_t at = 0;
    put_open(t, '{');
    put_key(t, "__metadata__"), put_open(t, '{');
    put_key(t, "format"), put_string(t, "pt"); /* transformers asks for it */
    put_close(t, '}');
    for (int i = 0; i < c->tensors.count; i++) {
        struct tensor x;
        limber_status st = shape_of(&x, c, r, &c->tensors.v[i], err);
        if (st)
            return st;
        put_key(t, x.name), put_open(t, '{');
        put_key(t, "dtype"), put_string(t, x.dtype_name);
        put_key(t, "shape"), put_open(t, '[');
        for (int d = 0; d < x.dims; d++)
            put_integer(t, x.shape[d]);
        put_close(t, ']');
        put_key(t, "data_offsets"), put_open(t, '['), put_integer(t, (long long)at), put_integer(t, (long long)(at + x.bytes));
        put_close(t, ']');
        put_close(t, '}');
        at += x.bytes;
    }
    put_close(t, '}');
    return t->failed ? limber_fail(err, LIMBER_E_MEMORY, "no memory for a header of safetensors") : LIMBER_OK;
}

/* The tensor's bytes with what is left out zero, or left out; to free. Zero is all zero bits in every type. */
static uint8_t *cut(const struct config *c, const struct rewrite *r, const struct tensor *t, const struct place *p, size_t *size)
{
    struct axis rows = {0}, columns = {0};
    const size_t width = t->bytes / count_of(t), stored = t->dims > 1 ? (size_t)t->shape[1] : 1;
    uint8_t *in = malloc(t->bytes + 1), *out = NULL;
    if (axes_open(&rows, &columns, c, r, t, p) && in && tensor_bytes(t, 0, t->bytes, in)) {
        *size = (size_t)rows.written * (size_t)columns.written * width;
        out = calloc(*size + 1, 1);
    }
    uint8_t *to = out;
    for (int i = 0; out && i < rows.written; i++)
        for (int k = 0; k < columns.written; k++, to += width) {
            const int row = rows.which[i], column = columns.which[k];
            if (!rows.gone[row] && !columns.gone[column] && rows.from[row] >= 0 && columns.from[column] >= 0)
                memcpy(to, in + ((size_t)rows.from[row] * stored + (size_t)columns.from[column]) * width, width);
        }
    axis_close(&rows);
    axis_close(&columns);
    free(in);
    return out;
}

/* bias + weight[:, gone] constant[gone], as model/weights.c folds it; to free. */
static float *folded_bias(const struct checkpoint *c, const struct rewrite *r, const struct tensor *t, const struct place *p)
{
    const struct config *config = &c->config;
    const struct tensor *w = tensors_find(&c->tensors, p->weight);
    const size_t n = count_of(t), columns = w && w->dims == 2 ? (size_t)w->shape[1] : 0;
    struct axis a = {0};
    const float *says = p->neurons ? r->out.neuron_says + (size_t)p->layer * (size_t)config->mlp
                                   : r->out.head_says + (size_t)p->layer * (size_t)config->hidden;
    float *bias = malloc(n * sizeof *bias), *row = malloc((columns + 1) * sizeof *row);
    bool fine = bias && row && columns && axis_open(&a, config, r, p, 0);
    for (size_t o = 0; fine && o < n; o++) {
        if (!(fine = tensor_read(t, o, 1, &bias[o]) && tensor_read(w, o * columns, columns, row)))
            break;
        double sum = (double)bias[o];
        for (int i = 0; i < a.whole; i++)
            if (a.gone[i] && a.from[i] >= 0)
                sum += (double)row[a.from[i]] * (double)says[i];
        bias[o] = (float)sum;
    }
    axis_close(&a);
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
    const struct place p = place_of(t->name);
    const bool folded = folds(&c->config, r, &p);
    bool fine;
    if (folded || changes(&c->config, r, &p)) {
        size_t size = 4 * count_of(t);
        void *own = folded ? (void *)folded_bias(c, r, t, &p) : cut(&c->config, r, t, &p, &size);
        if (!own)
            return limber_fail(err, LIMBER_E_IO, "%s: could not be read, or no memory for it", t->name);
        fine = write(context, own, size);
        free(own);
    } else
        fine = copy_tensor(t, write, context);
    return fine ? LIMBER_OK : limber_fail(err, LIMBER_E_IO, "%s: could not be written, or not be read", t->name);
}

limber_status rewrite_tensors(const struct checkpoint *c, const struct rewrite *r, rewrite_write_fn write, void *context,
                              limber_error *err)
{
    struct json_text header = {0};
    limber_status st = put_header(&header, c, r, err);
    uint8_t length[8];
    const size_t padding = -header.length % 8; /* tensors begin at a multiple of 8 */
    for (int i = 0; i < 8; i++)
        length[i] = (uint8_t)((uint64_t)(header.length + padding) >> 8 * i);
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

/* ---- config.json ---- */

/* The groups that are written of each layer: their numbers, or how many they are. */
static json_t *written_of(const struct config *c, const struct rewrite *r, bool neurons)
{
    json_t *layers = json_array();
    for (int l = 0; layers && l < c->layers; l++) {
        const struct place p = {.part = ROWS, .neurons = neurons, .layer = l};
        struct axis a;
        json_t *list = neurons ? NULL : json_array();
        if (axis_open(&a, c, r, &p, 0)) {
            for (int i = 0; list && i < a.written; i += c->head_dim)
                json_array_append_new(list, json_integer(a.which[i] / c->head_dim));
            json_array_append_new(layers, neurons ? json_integer(a.written) : list);
        } else
            json_decref(list);
        axis_close(&a);
    }
    return layers;
}

limber_status rewrite_config(char **out, const struct config *c, const struct rewrite *r, const char *text, size_t size,
                             limber_error *err)
{
    json_t *root;
    *out = NULL;
    limber_status st = json_parse(&root, text, size, &json_limits_config, err);
    if (st)
        return st;
    json_object_del(root, "limber_heads");
    json_object_del(root, "limber_mlp");
    if (r->compact) {
        json_object_set_new(root, "limber_heads", written_of(c, r, false));
        json_object_set_new(root, "limber_mlp", written_of(c, r, true));
    }
    *out = json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    json_decref(root);
    return *out ? LIMBER_OK : limber_fail(err, LIMBER_E_MEMORY, "no memory for config.json");
}

struct config_costs rewrite_costs(const struct config *c, const struct left_out *out)
{
    struct config_costs costs = config_costs(c);
    for (int i = 0; out->heads && i < c->layers * c->heads; i++)
        if (out->heads[i] && (!c->stored_heads || c->stored_heads[i]))
            config_costs_less_head(&costs, c);
    for (int i = 0; out->neurons && i < c->layers * c->mlp; i++)
        if (out->neurons[i] && (!c->stored_neurons || i % c->mlp < c->stored_neurons[i / c->mlp]))
            config_costs_less_neuron(&costs, c);
    return costs;
}
