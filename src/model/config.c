/* SPDX-License-Identifier: MIT */
/* model/config.c - config.json and preprocessor_config.json become numbers the network can rely on.
 *
 * transformers writes only what differs from its defaults, so those defaults are part of the format
 * (models/vitpose_backbone/configuration_vitpose_backbone.py and models/vitpose/configuration_vitpose.py, 5.23). Traps met:
 *   layer_norm_eps is 1e-12 where it is absent, as in every published file (the training code had 1e-6);
 *   part_features is 256 where it is absent, and means nothing unless num_experts > 1;
 *   use_simple_decoder is true where it is absent; without id2label there are two labels, LABEL_0 and LABEL_1;
 *   the patch convolution pads by 2, whatever the patch: its grid must be the one the position embeddings were made for;
 *   out_indices may stop the network before its last layer: refused rather than ignored.
 * The text is somebody else's: bounded by json_limits_config, every number held to a range before it becomes a size. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json_read.h"
#include "model/config.h"
#include "model/config_read.h"
#include "model/labels.h"

/* Further limits, as those of model/config_read.h. */
enum {
    EXPERTS_MAX = 64,
    KEYPOINTS_MAX = 4096,
    SCALE_MAX = 16,
    EDGES_MAX = 65536,
};

/* ---- labels ---- */

static limber_status parse_labels(struct config *c, const json_t *root, limber_error *err)
{
    const json_t *id2label = json_object_get(root, "id2label");
    char text[JSON_SHOW];
    bool named = id2label && !json_is_null(id2label);
    if (named && !json_is_object(id2label))
        return limber_fail(err, LIMBER_E_FORMAT, "id2label is %s, expected an object", json_show(text, id2label));
    c->keypoints = named ? (json_object_size(id2label) > KEYPOINTS_MAX ? KEYPOINTS_MAX + 1 : (int)json_object_size(id2label)) : 2;
    if (!named)
        TRY(json_read_int(root, "num_labels", 1, KEYPOINTS_MAX, &c->keypoints, err));
    if (c->keypoints < 1 || c->keypoints > KEYPOINTS_MAX)
        return limber_fail(err, LIMBER_E_FORMAT, "id2label has %zu labels, expected 1 to %d", json_object_size(id2label),
                           KEYPOINTS_MAX);
    c->labels = calloc((size_t)c->keypoints, sizeof *c->labels);
    json_t *seen = json_object(); /* label -> index: two joints of one name could not be told apart in the output */
    limber_status st = c->labels && seen ? LIMBER_OK : limber_fail(err, LIMBER_E_MEMORY, "out of memory");
    for (int k = 0; st == LIMBER_OK && k < c->keypoints; k++) {
        char key[16], made[24];
        snprintf(key, sizeof key, "%d", k);
        snprintf(made, sizeof made, "LABEL_%d", k);
        const json_t *value = named ? json_object_get(id2label, key) : NULL;
        const char *label = named ? json_string_value(value) : made;
        if (named && !value)
            st = limber_fail(err, LIMBER_E_FORMAT, "id2label has %d labels but no \"%d\": they are numbered from 0", c->keypoints,
                             k);
        else if (!label || !label[0] || strlen(label) > LABEL_BYTES_MAX)
            st = limber_fail(err, LIMBER_E_FORMAT, "id2label: \"%d\" is %s, expected a name of 1 to %d bytes", k,
                             json_show(text, value), LABEL_BYTES_MAX);
        else if (json_object_get(seen, label))
            st = limber_fail(err, LIMBER_E_FORMAT, "id2label: %lld and %d are both %s",
                             (long long)json_integer_value(json_object_get(seen, label)), k, json_show(text, value));
        else if (json_object_set_new(seen, label, json_integer(k)) != 0 || !(c->labels[k] = malloc(strlen(label) + 1)))
            st = limber_fail(err, LIMBER_E_MEMORY, "out of memory");
        else
            strcpy(c->labels[k], label);
    }
    json_decref(seen);
    if (st == LIMBER_OK)
        st = labels_recognise(c->labels, c->keypoints, &c->skeleton, err);
    if (st != LIMBER_OK)
        return st;
    c->coco = c->skeleton == &skeleton_coco;
    const size_t bytes = (size_t)c->keypoints * sizeof *c->flip_pairs;
    if (!(c->flip_pairs = malloc(bytes)))
        return limber_fail(err, LIMBER_E_MEMORY, "out of memory");
    if (!c->skeleton)
        return labels_pair_sides(c->flip_pairs, c->labels, c->keypoints, err);
    memcpy(c->flip_pairs, c->skeleton->mirror, bytes);
    return LIMBER_OK;
}

/* The bones of a known skeleton, whatever the file has. */
static limber_status skeleton_edges(struct config *c, limber_error *err)
{
    if (!c->skeleton)
        return LIMBER_OK;
    const size_t bytes = (size_t)c->skeleton->bone_count * sizeof *c->edges;
    free(c->edges);
    c->edge_count = 0;
    if (!(c->edges = malloc(bytes)))
        return limber_fail(err, LIMBER_E_MEMORY, "out of memory");
    memcpy(c->edges, c->skeleton->bones, bytes);
    c->edge_count = c->skeleton->bone_count;
    return LIMBER_OK;
}

static limber_status parse_edges(struct config *c, const json_t *root, limber_error *err)
{
    const json_t *edges = json_object_get(root, "edges");
    char text[JSON_SHOW];
    if (!edges || json_is_null(edges))
        return skeleton_edges(c, err);
    if (!json_is_array(edges) || json_array_size(edges) > EDGES_MAX)
        return limber_fail(err, LIMBER_E_FORMAT, "edges is %s, expected an array of at most %d", json_show(text, edges),
                           EDGES_MAX);
    size_t n = json_array_size(edges);
    if (!(c->edges = malloc((n + 1) * sizeof *c->edges)))
        return limber_fail(err, LIMBER_E_MEMORY, "out of memory");
    for (size_t i = 0; i < n; i++) {
        const json_t *pair = json_array_get(edges, i);
        if (json_array_size(pair) != 2)
            return limber_fail(err, LIMBER_E_FORMAT, "edges[%zu] is %s, expected two keypoint numbers", i, json_show(text, pair));
        for (size_t j = 0; j < 2; j++) {
            const json_t *v = json_array_get(pair, j);
            if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) >= c->keypoints)
                return limber_fail(err, LIMBER_E_FORMAT, "edges[%zu] joins keypoint %s, there are 0 to %d", i, json_show(text, v),
                                   c->keypoints - 1);
            c->edges[i][j] = (int)json_integer_value(v);
        }
    }
    c->edge_count = (int)n;
    return skeleton_edges(c, err);
}

/* ---- the backbone ---- */

/* A text option of which only one value is supported. */
static limber_status expect_text(const json_t *object, const char *key, const char *expected, limber_error *err)
{
    const json_t *v = json_object_get(object, key);
    char text[JSON_SHOW];
    if (!v || json_is_null(v) || (json_is_string(v) && strcmp(json_string_value(v), expected) == 0))
        return LIMBER_OK;
    return limber_fail(err, LIMBER_E_UNSUPPORTED, "%s is %s, only \"%s\" is supported", key, json_show(text, v), expected);
}

/* The convolution's output for kernel = stride = patch and padding 2, against the grid of the position embeddings. */
static limber_status patch_grid(int *grid, const char *axis, int image, int patch, limber_error *err)
{
    int made = (image + 2 * PATCH_PAD - patch) / patch + 1;
    if (image < patch || made != image / patch)
        return limber_fail(err, LIMBER_E_UNSUPPORTED,
                           "%s %d in patches of %d: the padded convolution makes %d of them, expected %d", axis, image, patch,
                           image + 2 * PATCH_PAD < patch ? 0 : made, image / patch);
    *grid = made;
    return LIMBER_OK;
}

static limber_status grid_of_image(struct config *c, limber_error *err)
{
    TRY(patch_grid(&c->grid_h, "image height", c->image_h, c->patch_h, err));
    TRY(patch_grid(&c->grid_w, "image width", c->image_w, c->patch_w, err));
    c->tokens = c->grid_h * c->grid_w;
    if (c->tokens > TOKENS_MAX)
        return limber_fail(err, LIMBER_E_UNSUPPORTED, "%d x %d patches are %d tokens, the limit is %d", c->grid_h, c->grid_w,
                           c->tokens, TOKENS_MAX);
    return LIMBER_OK;
}

static void maps_of_grid(struct config *c)
{
    c->map_h = c->grid_h * c->scale_factor; /* at most TOKENS_MAX * SCALE_MAX^2 = 2^24 pixels a map */
    c->map_w = c->grid_w * c->scale_factor;
}

/* The features must be those after the last layer: out_indices [layers] (or -1), out_features ["stage<layers>"]. */
static limber_status check_output(const struct config *c, const json_t *backbone, limber_error *err)
{
    char text[JSON_SHOW], stage[24];
    const json_t *indices = json_object_get(backbone, "out_indices"), *features = json_object_get(backbone, "out_features");
    const json_t *last = json_array_get(indices, json_array_size(indices) - 1);
    if (json_array_size(indices) &&
        !(json_is_integer(last) && (json_integer_value(last) == c->layers || json_integer_value(last) == -1)))
        return limber_fail(err, LIMBER_E_UNSUPPORTED, "out_indices ends with %s, only the last layer's output (%d) is supported",
                           json_show(text, last), c->layers);
    snprintf(stage, sizeof stage, "stage%d", c->layers);
    last = json_array_get(features, json_array_size(features) - 1);
    if (json_array_size(features) && !(json_is_string(last) && strcmp(json_string_value(last), stage) == 0))
        return limber_fail(err, LIMBER_E_UNSUPPORTED, "out_features ends with %s, only the last layer's output (%s) is supported",
                           json_show(text, last), stage);
    return LIMBER_OK;
}

static limber_status parse_backbone(struct config *c, const json_t *b, limber_error *err)
{
    int channels = 3;
    double mlp_ratio = 4, eps = 1e-12;
    c->image_h = 256, c->image_w = 192, c->patch_h = c->patch_w = 16;
    c->hidden = 768, c->layers = 12, c->heads = 12, c->experts = 1, c->part_features = 256;
    c->qkv_bias = true;
    c->patch_pad = PATCH_PAD;
    TRY(expect_text(b, "model_type", "vitpose_backbone", err));
    TRY(expect_text(b, "hidden_act", "gelu", err));
    TRY(config_read_pair(b, "image_size", IMAGE_MAX, &c->image_h, &c->image_w, err));
    TRY(config_read_pair(b, "patch_size", PATCH_MAX, &c->patch_h, &c->patch_w, err));
    TRY(json_read_int(b, "num_channels", 3, 3, &channels, err));
    TRY(json_read_int(b, "hidden_size", 1, HIDDEN_MAX, &c->hidden, err));
    TRY(json_read_int(b, "num_hidden_layers", 1, LAYERS_MAX, &c->layers, err));
    TRY(json_read_int(b, "num_attention_heads", 1, c->hidden, &c->heads, err));
    TRY(json_read_number(b, "mlp_ratio", 0, MLP_MAX, &mlp_ratio, err));
    TRY(json_read_int(b, "num_experts", 1, EXPERTS_MAX, &c->experts, err));
    TRY(json_read_int(b, "part_features", 0, HIDDEN_MAX, &c->part_features, err));
    TRY(json_read_number(b, "layer_norm_eps", 1e-30, 1, &eps, err));
    TRY(json_read_bool(b, "qkv_bias", &c->qkv_bias, err));

    if (c->hidden % c->heads)
        return limber_fail(err, LIMBER_E_FORMAT, "hidden_size %d is no multiple of num_attention_heads %d", c->hidden, c->heads);
    double mlp = c->hidden * mlp_ratio; /* int(hidden_size * mlp_ratio), as transformers has it */
    if (!(mlp >= 1 && mlp <= MLP_MAX))
        return limber_fail(err, LIMBER_E_FORMAT, "hidden_size %d times mlp_ratio %g is %g, expected 1 to %d", c->hidden,
                           mlp_ratio, mlp, MLP_MAX);
    if (c->experts == 1)
        c->part_features = 0;
    else if (c->part_features < 1 || c->part_features >= c->hidden)
        return limber_fail(err, LIMBER_E_FORMAT, "part_features is %d, expected 1 to %d (of hidden_size %d)", c->part_features,
                           c->hidden - 1, c->hidden);
    c->mlp = (int)mlp;
    c->head_dim = c->hidden / c->heads;
    c->layer_norm_eps = (float)eps;
    TRY(grid_of_image(c, err));
    c->trained_grid_h = c->grid_h;
    c->trained_grid_w = c->grid_w;
    return check_output(c, b, err);
}

static void name_model(struct config *c)
{
    static const struct {
        const char *size;
        int hidden, layers, heads;
    } known[] = {{"S", 384, 12, 12}, {"B", 768, 12, 12}, {"L", 1024, 24, 16}, {"H", 1280, 32, 16}};
    const char *plus = c->experts > 1 ? "+" : "", *head = c->simple_head ? "simple" : "classic";
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (c->hidden == known[i].hidden && c->layers == known[i].layers && c->heads == known[i].heads &&
            c->mlp == 4 * c->hidden) {
            snprintf(c->model_name, sizeof c->model_name, "ViTPose%s-%s %s", plus, known[i].size, head);
            return;
        }
    snprintf(c->model_name, sizeof c->model_name, "ViTPose%s %d wide, %d layers, %s", plus, c->hidden, c->layers, head);
}

/* What limber itself writes beside transformers' keys, which transformers keeps and does not read. */
static limber_status parse_task(struct config *c, const json_t *root, limber_error *err)
{
    static const char *const maps[] = {"center", "left", "top", "right", "bottom"};
    char text[JSON_SHOW];
    const json_t *task = json_object_get(json_object_get(root, "limber"), "task");
    if (!task || (json_is_string(task) && strcmp(json_string_value(task), "pose") == 0))
        return LIMBER_OK;
    if (!json_is_string(task) || strcmp(json_string_value(task), "boxes") != 0)
        return limber_fail(err, LIMBER_E_UNSUPPORTED, "limber.task is %s, expected \"pose\" or \"boxes\"", json_show(text, task));
    bool fits = c->keypoints == (int)(sizeof maps / sizeof *maps);
    for (int k = 0; fits && k < c->keypoints; k++)
        fits = strcmp(c->labels[k], maps[k]) == 0;
    if (!fits)
        return limber_fail(err, LIMBER_E_MODEL,
                           "limber.task is \"boxes\", but the labels are not center, left, top, right, bottom");
    if (c->patch_h != c->patch_w)
        return limber_fail(err, LIMBER_E_UNSUPPORTED, "limber.task is \"boxes\" with patches of %dx%d, expected square ones",
                           c->patch_h, c->patch_w);
    c->task = TASK_BOXES;
    return LIMBER_OK;
}

/* "limber_heads": [[the heads that are there] of each layer], rising; "limber_mlp": [how many neurons of each layer]. */
static limber_status parse_stored(struct config *c, const json_t *root, limber_error *err)
{
    const json_t *heads = json_object_get(root, "limber_heads"), *neurons = json_object_get(root, "limber_mlp");
    const size_t layers = (size_t)c->layers, count = layers * (size_t)c->heads;
    char text[JSON_SHOW];
    if ((heads && json_array_size(heads) != layers) || (neurons && json_array_size(neurons) != layers))
        return limber_fail(err, LIMBER_E_FORMAT, "%s is %s, expected an array of %d, a layer each",
                           heads && json_array_size(heads) != layers ? "limber_heads" : "limber_mlp",
                           json_show(text, heads && json_array_size(heads) != layers ? heads : neurons), c->layers);
    if ((heads && !(c->stored_heads = calloc(count, sizeof *c->stored_heads))) ||
        (neurons && !(c->stored_neurons = calloc(layers, sizeof *c->stored_neurons))))
        return limber_fail(err, LIMBER_E_MEMORY, "no memory for %zu heads", count);
    for (size_t l = 0; heads && l < layers; l++) {
        const json_t *list = json_array_get(heads, l);
        json_int_t last = -1;
        bool fine = json_array_size(list) > 0;
        for (size_t i = 0; fine && i < json_array_size(list); i++) {
            const json_t *h = json_array_get(list, i);
            if ((fine = json_is_integer(h) && json_integer_value(h) > last && json_integer_value(h) < c->heads))
                c->stored_heads[l * (size_t)c->heads + (size_t)(last = json_integer_value(h))] = true;
        }
        if (!fine)
            return limber_fail(err, LIMBER_E_FORMAT, "limber_heads: layer %zu is %s, expected rising numbers from 0 to %d", l,
                               json_show(text, list), c->heads - 1);
    }
    for (size_t l = 0; neurons && l < layers; l++) {
        const json_t *n = json_array_get(neurons, l);
        if (!json_is_integer(n) || json_integer_value(n) < 1 || json_integer_value(n) > c->mlp)
            return limber_fail(err, LIMBER_E_FORMAT, "limber_mlp: layer %zu is %s, expected 1 to %d", l, json_show(text, n),
                               c->mlp);
        c->stored_neurons[l] = (int)json_integer_value(n);
    }
    return LIMBER_OK;
}

static limber_status parse_config(struct config *c, const json_t *root, limber_error *err)
{
    char text[JSON_SHOW];
    if (!json_is_object(root))
        return limber_fail(err, LIMBER_E_FORMAT, "%s, expected an object", json_show(text, root));
    const char *type = json_string_value(json_object_get(root, "model_type"));
    if (type && strcmp(type, "yolos") == 0)
        return limber_fail(err, LIMBER_E_MODEL,
                           "model_type is \"yolos\": a detector (it belongs to --detector), expected \"vitpose\"");
    TRY(expect_text(root, "model_type", "vitpose", err));
    const json_t *backbone = json_object_get(root, "backbone_config");
    if (!json_is_object(backbone))
        return limber_fail(err, LIMBER_E_FORMAT, "backbone_config is %s, expected an object", json_show(text, backbone));
    limber_status st = parse_backbone(c, backbone, err);
    if (st != LIMBER_OK) {
        limber_error_prefix(err, "backbone_config");
        return st;
    }
    c->simple_head = true;
    c->scale_factor = 4;
    TRY(json_read_bool(root, "use_simple_decoder", &c->simple_head, err));
    TRY(json_read_int(root, "scale_factor", 1, SCALE_MAX, &c->scale_factor, err));
    if (!c->simple_head)
        c->scale_factor = 4; /* two deconvolutions of stride 2, whatever is written */
    maps_of_grid(c);
    TRY(parse_labels(c, root, err));
    TRY(parse_edges(c, root, err));
    TRY(parse_task(c, root, err));
    TRY(parse_stored(c, root, err));
    name_model(c);
    return LIMBER_OK;
}

/* ---- the image processor ---- */

/* p may be NULL: an object without any key. */
static limber_status parse_preprocessor(struct config *c, const json_t *p, limber_error *err)
{
    char text[JSON_SHOW];
    bool affine = true;
    c->normalize_factor = 200;
    if (p && !json_is_object(p))
        return limber_fail(err, LIMBER_E_FORMAT, "%s, expected an object", json_show(text, p));
    TRY(json_read_bool(p, "do_affine_transform", &affine, err));
    TRY(json_read_number(p, "normalize_factor", 1e-3, 1e6, &c->normalize_factor, err));
    TRY(config_read_colours(c, p, err));
    if (!affine)
        return limber_fail(err, LIMBER_E_UNSUPPORTED,
                           "do_affine_transform is false, people are always cropped by their box here");
    const json_t *size = json_object_get(p, "size");
    if (!size || json_is_null(size))
        return LIMBER_OK;
    int h = 0, w = 0;
    if (!json_is_object(size))
        return limber_fail(err, LIMBER_E_FORMAT, "size is %s, expected {height, width}", json_show(text, size));
    TRY(json_read_int(size, "height", 1, IMAGE_MAX, &h, err));
    TRY(json_read_int(size, "width", 1, IMAGE_MAX, &w, err));
    if (h != c->image_h || w != c->image_w)
        return limber_fail(err, LIMBER_E_MODEL, "size is %d x %d (height x width), the backbone's image_size is %d x %d", h, w,
                           c->image_h, c->image_w);
    return LIMBER_OK;
}

/* ---- the header's functions ---- */

limber_status config_parse(struct config *out, const char *config_json, size_t config_bytes, const char *preprocessor_json,
                           size_t preprocessor_bytes, limber_error *err)
{
    struct config c = {0};
    json_t *root = NULL, *processor = NULL;
    const char *file = "config.json";
    limber_status st = json_parse(&root, config_json, config_bytes, &json_limits_config, err);
    if (st == LIMBER_OK)
        st = parse_config(&c, root, err);
    if (st == LIMBER_OK) {
        file = "preprocessor_config.json";
        if (preprocessor_json)
            st = json_parse(&processor, preprocessor_json, preprocessor_bytes, &json_limits_config, err);
        if (st == LIMBER_OK)
            st = parse_preprocessor(&c, processor, err);
    }
    json_decref(root);
    json_decref(processor);
    if (st != LIMBER_OK) {
        limber_error_prefix(err, "%s", file);
        config_free(&c);
    }
    *out = c;
    return st;
}

limber_status config_resize(struct config *c, int image_h, int image_w, limber_error *err)
{
    if (image_h < 1 || image_w < 1 || image_h > IMAGE_MAX || image_w > IMAGE_MAX)
        return limber_fail(err, LIMBER_E_ARGUMENT, "input size %dx%d, expected 1 to %d", image_h, image_w, IMAGE_MAX);
    if (image_h % c->patch_h || image_w % c->patch_w)
        return limber_fail(err, LIMBER_E_ARGUMENT, "input size %dx%d, expected multiples of the patch of %dx%d", image_h, image_w,
                           c->patch_h, c->patch_w);
    c->image_h = image_h;
    c->image_w = image_w;
    TRY(grid_of_image(c, err));
    maps_of_grid(c);
    return LIMBER_OK;
}

void config_free(struct config *c)
{
    for (int k = 0; c->labels && k < c->keypoints; k++)
        free(c->labels[k]);
    free(c->labels);
    free(c->edges);
    free(c->flip_pairs);
    free(c->stored_heads);
    free(c->stored_neurons);
    *c = (struct config){0};
}

static void add_up(struct config_costs *costs)
{
    costs->total = costs->embed + costs->qkv + costs->attention + costs->projection + costs->mlp + costs->head;
}

void config_costs_less_head(struct config_costs *costs, const struct config *c)
{
    const uint64_t d = (uint64_t)c->hidden, t = (uint64_t)c->tokens, w = (uint64_t)c->head_dim;
    costs->qkv -= t * d * 3 * w;
    costs->attention -= 2 * t * t * w;
    costs->projection -= t * d * w;
    costs->parameters -= 4 * d * w + (c->qkv_bias ? 3 * w : 0);
    add_up(costs);
}

void config_costs_less_neuron(struct config_costs *costs, const struct config *c)
{
    const uint64_t d = (uint64_t)c->hidden, t = (uint64_t)c->tokens, part = (uint64_t)c->part_features;
    costs->mlp -= 2 * t * d;
    costs->parameters -= d + 1 + d - part + (uint64_t)(c->experts > 1 ? c->experts : 0) * part;
    add_up(costs);
}

struct config_costs config_costs(const struct config *c)
{
    const uint64_t d = (uint64_t)c->hidden, m = (uint64_t)c->mlp, t = (uint64_t)c->tokens, n = (uint64_t)c->layers;
    const uint64_t patch = 3 * (uint64_t)c->patch_h * (uint64_t)c->patch_w, k = (uint64_t)c->keypoints;
    const uint64_t part = (uint64_t)c->part_features, mid = CLASSIC_HEAD_CHANNELS, map = (uint64_t)c->map_h * (uint64_t)c->map_w;
    struct config_costs costs = {
        .embed = t * d * patch,
        .qkv = n * t * d * 3 * d,
        .attention = n * 2 * t * t * d,
        .projection = n * t * d * d,
        .mlp = n * 2 * t * d * m,
        /* a deconvolution has 2 x 2 taps an output pixel: 4 t outputs of mid from d, 16 t of mid from mid; then the 1x1 */
        .head = c->simple_head ? map * 9 * d * k : 4 * t * 4 * d * mid + 16 * t * 4 * mid * mid + map * mid * k,
    };

    const uint64_t experts = c->experts > 1 ? (uint64_t)c->experts * (m + 1) * part : 0;
    const uint64_t layer = 4 * d /* two layernorms */ + 3 * d * d + (c->qkv_bias ? 3 * d : 0) + d * d + d + (d + 1) * m +
                           (m + 1) * (d - part) + experts;
    const uint64_t head = c->simple_head ? 9 * d * k + k : d * mid * 16 + mid * mid * 16 + 4 * mid + mid * k + k;
    const uint64_t positions = (uint64_t)c->trained_grid_h * (uint64_t)c->trained_grid_w + 1; /* as the file has them */
    costs.parameters = positions * d + patch * d + d + n * layer + 2 * d + head;
    add_up(&costs);
    for (int h = 0; c->stored_heads && h < c->layers * c->heads; h++)
        if (!c->stored_heads[h])
            config_costs_less_head(&costs, c);
    for (int l = 0; c->stored_neurons && l < c->layers; l++)
        for (int i = c->stored_neurons[l]; i < c->mlp; i++)
            config_costs_less_neuron(&costs, c);
    return costs;
}
