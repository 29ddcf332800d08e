/* SPDX-License-Identifier: MIT */
/* model/model.c - limber_model_open: a directory (or the built-in files) becomes a checked, packed model on a backend; and the
 * questions a caller may ask of it.
 *
 * Order: config, tensor headers, both against each other, then the backend, which refuses what it cannot compute, then the
 * weights. Whatever is wrong is found before the expensive part. */
#define _POSIX_C_SOURCE 200809L
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json_read.h"
#include "compute/open.h"
#include "model/built_in.h"
#include "model/config_read.h"
#include "model/model.h"

#define ATTENTION_SIZE_MAX 65536 /* as many tokens as a grid may have */

/* ---- versions and defaults ---- */

int limber_api_version(void)
{
    return LIMBER_API_VERSION;
}

const char *limber_version(void)
{
    return LIMBER_VERSION;
}

limber_options limber_options_default(void)
{
    return (limber_options){.backend = "auto", .precision = "auto", .attention = "exact", .refine = 1};
}

/* ---- checkpoint: what can be known without touching a weight ---- */

/* "usyd-community/vitpose-base-simple" */
static bool is_hub_name(const char *text)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    size_t owner = strspn(text, letters), name = text[owner] == '/' ? strspn(text + owner + 1, letters) : 0;
    return owner && name && text[0] != '.' && !text[owner + 1 + name];
}

/* The cache holds models--OWNER--NAME/snapshots/HASH/config.json; `dir` may be either of the first two folders. */
static bool find_snapshot(char *out, size_t room, const char *dir)
{
    static const char *const below[] = {"/snapshots", ""};
    for (size_t i = 0; i < sizeof below / sizeof *below; i++) {
        char path[4096], config[4096];
        if ((size_t)snprintf(path, sizeof path, "%s%s", dir, below[i]) >= sizeof path)
            continue;
        DIR *d = opendir(path);
        for (struct dirent *e; d && (e = readdir(d));)
            if (e->d_name[0] != '.' &&
                (size_t)snprintf(config, sizeof config, "%s/%s/config.json", path, e->d_name) < sizeof config &&
                access(config, F_OK) == 0 && (size_t)snprintf(out, room, "%s/%s", path, e->d_name) < room) {
                closedir(d);
                return true;
            }
        if (d)
            closedir(d);
    }
    return false;
}

/* No config.json: the path is probably not what the caller thinks it is. */
static limber_status not_a_model(const char *dir, limber_error *err)
{
    struct stat s;
    if (stat(dir, &s) != 0) {
        int error = errno;
        return limber_fail(err, LIMBER_E_IO, "%s: no such model directory: %s%s", dir, error_text(error),
                           is_hub_name(dir)
                               ? " (a name on the Hugging Face hub? nothing is downloaded: fetch it with `hf download NAME "
                                 "--local-dir DIR`, then give DIR)"
                               : "");
    }
    if (!S_ISDIR(s.st_mode))
        return limber_fail(err, LIMBER_E_IO, "%s: a file, expected the directory that holds config.json and model.safetensors%s",
                           dir, strstr(dir, ".pth") ? " (a .pth is converted by tools/convert.py)" : "");
    char snapshot[1024];
    if (find_snapshot(snapshot, sizeof snapshot, dir))
        return limber_fail(err, LIMBER_E_IO, "%s: a folder of Hugging Face's cache; the model in it is %s", dir, snapshot);
    return limber_fail(err, LIMBER_E_IO, "%s: no config.json in it: not a model directory?", dir);
}

static limber_status open_directory(struct checkpoint *out, const char *dir, limber_error *err)
{
    uint8_t *config = NULL, *preprocessor = NULL;
    size_t config_bytes, preprocessor_bytes = 0;
    bool missing;
    limber_status st = config_read_file(&config, &config_bytes, dir, "config.json", &missing, err);
    if (st != LIMBER_OK) {
        struct stat s;
        return missing || (stat(dir, &s) == 0 && !S_ISDIR(s.st_mode)) ? not_a_model(dir, err) : st;
    }
    st = config_read_file(&preprocessor, &preprocessor_bytes, dir, "preprocessor_config.json", &missing, err);
    if (missing)
        st = LIMBER_OK; /* transformers' defaults */
    if (st == LIMBER_OK) {
        st = config_parse(&out->config, (const char *)config, config_bytes, (const char *)preprocessor, preprocessor_bytes, err);
        if (st != LIMBER_OK)
            limber_error_prefix(err, "%s", dir);
    }
    free(config);
    free(preprocessor);
    return st == LIMBER_OK ? tensors_open(&out->tensors, dir, err) : st;
}

static limber_status open_built_in(struct checkpoint *out, enum task task, limber_error *err)
{
    const struct default_model d = limber_built_in_model(task);
    limber_status st = config_parse(&out->config, (const char *)d.config.bytes, d.config.size, (const char *)d.preprocessor.bytes,
                                    d.preprocessor.size, err);
    return st == LIMBER_OK ? tensors_parse(&out->tensors, d.tensors.bytes, d.tensors.size, err) : st;
}

static limber_status check_task(const struct config *c, enum task task, limber_error *err)
{
    if (c->task == task || task == TASK_EITHER)
        return LIMBER_OK;
    if (task == TASK_POSE)
        return limber_fail(err, LIMBER_E_MODEL,
                           "a detector: its maps are boxes of people, not joints (it belongs to --detector)");
    return limber_fail(err, LIMBER_E_MODEL, "a pose model of %d joints, expected a detector (it belongs to --model)",
                       c->keypoints);
}

limber_status checkpoint_open(struct checkpoint *out, const char *dir, enum task task, limber_error *err)
{
    *out = (struct checkpoint){0};
    limber_status st = dir ? open_directory(out, dir, err) : open_built_in(out, task, err);
    if (st == LIMBER_OK && (st = check_task(&out->config, task, err)))
        limber_error_prefix(err, "%s", dir ? dir : "built-in model");
    if (st == LIMBER_OK) {
        st = weights_check(&out->config, &out->tensors, err);
        if (st != LIMBER_OK)
            limber_error_prefix(err, "%s", dir ? dir : "built-in model");
    }
    if (st != LIMBER_OK)
        checkpoint_close(out);
    return st;
}

void checkpoint_close(struct checkpoint *c)
{
    config_free(&c->config);
    tensors_free(&c->tensors);
}

/* ---- the model ---- */

limber_status attention_parse(const char *text, enum attention_kind *kind, int *attention_size, limber_error *err)
{
    static const struct {
        const char *name;
        enum attention_kind kind;
    } kinds[] = {{"window:", ATTENTION_WINDOW}, {"merge:", ATTENTION_MERGE}, {"pool:", ATTENTION_POOL}};
    if (!text || strcmp(text, "exact") == 0) {
        *kind = ATTENTION_EXACT;
        *attention_size = 0;
        return LIMBER_OK;
    }
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        size_t n = strlen(kinds[i].name);
        if (strncmp(text, kinds[i].name, n) != 0)
            continue;
        size_t digits = strspn(text + n, "0123456789");
        long size = digits && digits < 8 && !text[n + digits] ? strtol(text + n, NULL, 10) : 0;
        if (size < 1 || size > ATTENTION_SIZE_MAX)
            return limber_fail(err, LIMBER_E_ARGUMENT, "attention \"%.80s\": expected %s and a whole number from 1 to %d", text,
                               kinds[i].name, ATTENTION_SIZE_MAX);
        *kind = kinds[i].kind;
        *attention_size = (int)size;
        return LIMBER_OK;
    }
    return limber_fail(err, LIMBER_E_ARGUMENT, "attention \"%.80s\": expected exact, window:W, merge:R or pool:P", text);
}

/* A whole number below `end`, where *text stands; *text moves past it. -1: none, or too large. */
static int index_below(const char **text, int end)
{
    const size_t digits = strspn(*text, "0123456789");
    const long value = digits && digits < 8 ? strtol(*text, NULL, 10) : -1;
    *text += digits;
    return value < end ? (int)value : -1;
}

limber_status prune_parse(const char *text, const struct config *c, bool **out, limber_error *err)
{
    *out = NULL;
    if (!text)
        return LIMBER_OK;
    bool *pruned = calloc((size_t)c->layers * (size_t)c->heads, sizeof *pruned);
    if (!pruned)
        return limber_fail(err, LIMBER_E_MEMORY, "no memory for %d heads", c->layers * c->heads);
    for (const char *at = text;;) {
        const int layer = index_below(&at, c->layers), dot = *at == '.' ? *at++ : 0, head = index_below(&at, c->heads);
        if (layer < 0 || head < 0 || !dot || (*at && *at != ',')) {
            free(pruned);
            return limber_fail(err, LIMBER_E_ARGUMENT,
                               "prune \"%.80s\": expected LAYER.HEAD,... with layers 0 to %d and heads 0 to %d", text,
                               c->layers - 1, c->heads - 1);
        }
        pruned[layer * c->heads + head] = true;
        if (!*at++)
            break;
    }
    *out = pruned;
    return LIMBER_OK;
}

static limber_status check_geometry(struct limber_model *m, limber_error *err)
{
    const struct config *c = &m->config;
    const struct attention_args a = {
        .heads = c->heads,
        .head_dim = c->head_dim,
        .grid_h = c->grid_h,
        .grid_w = c->grid_w,
        .kind = m->attention_kind,
        .size = m->attention_size,
    };
    return m->be->ops->attention_check(m->be, &a, err);
}

limber_status model_backend_open(struct limber_model *m, const char *name, const char *precision, limber_error *err)
{
    limber_status st = backend_open(&m->be, name, precision, err);
    if (st == LIMBER_OK)
        st = check_geometry(m, err);
    const bool chosen = !name || strcmp(name, "auto") == 0;
    if (st == LIMBER_E_UNSUPPORTED && chosen && m->be && strcmp(m->be->ops->name, "cpu") != 0) {
        backend_close(&m->be);
        st = backend_open(&m->be, "cpu", precision, err);
        if (st == LIMBER_OK)
            st = check_geometry(m, err);
    }
    return st;
}

static limber_status open_any(struct limber_model **out, const char *path, enum task task, const struct left_out *left_out,
                              const limber_options *options, limber_error *err)
{
    *out = NULL;
    const limber_options o = options ? *options : limber_options_default();
    limber_status st = LIMBER_CHECK_RESERVED(&o, "options", "limber_options_default()", err);
    if (st)
        return st;
    struct limber_model *m = calloc(1, sizeof *m);
    if (!m)
        return limber_fail(err, LIMBER_E_MEMORY, "out of memory");
    struct checkpoint c;
    st = checkpoint_open(&c, path, task, err);
    if (st == LIMBER_OK) {
        snprintf(m->source, sizeof m->source, "%s", path ? path : "built in");
        m->config = c.config; /* moved: checkpoint_close has none to free */
        c.config = (struct config){0};
        if (o.input_height || o.input_width)
            st = config_resize(&m->config, o.input_height, o.input_width, err);
        if (st == LIMBER_OK)
            st = attention_parse(o.attention, &m->attention_kind, &m->attention_size, err);
        if (st == LIMBER_OK)
            st = prune_parse(o.prune, &m->config, &m->pruned, err);
        if (st == LIMBER_OK)
            st = model_backend_open(m, o.backend, o.precision, err);
        if (st == LIMBER_OK) {
            m->left_out = left_out;
            st = weights_pack(m, &c, o.expert, err);
            m->left_out = NULL;
            if (st == LIMBER_OK)
                st = tensors_unchanged(&c.tensors, err);
            if (st != LIMBER_OK)
                limber_error_prefix(err, "%s", m->source);
        }
        checkpoint_close(&c);
    }
    if (st != LIMBER_OK)
        limber_model_close(&m);
    *out = m;
    return st;
}

limber_status model_open(struct limber_model **out, const char *path, enum task task, const limber_options *options,
                         limber_error *err)
{
    return open_any(out, path, task, NULL, options, err);
}

limber_status model_open_without(struct limber_model **out, const char *path, const struct left_out *left_out,
                                 const limber_options *options, limber_error *err)
{
    return open_any(out, path, TASK_POSE, left_out, options, err);
}

limber_status limber_model_open(limber_model **out, const char *path, const limber_options *options, limber_error *err)
{
    if (!out)
        return limber_fail(err, LIMBER_E_ARGUMENT, "limber_model_open: out is NULL");
    return model_open(out, path, TASK_POSE, options, err);
}

void limber_model_close(limber_model **model)
{
    if (!model || !*model)
        return;
    struct limber_model *m = *model;
    weights_free(m);
    backend_close(&m->be);
    config_free(&m->config);
    free(m->pruned);
    free(m);
    *model = NULL;
}

int limber_model_keypoint_count(const limber_model *model)
{
    return model ? model->config.keypoints : 0;
}

const char *limber_model_keypoint_name(const limber_model *model, int k)
{
    return model && k >= 0 && k < model->config.keypoints ? model->config.labels[k] : NULL;
}

const char *limber_model_label_set(const limber_model *model)
{
    return model && model->config.skeleton ? model->config.skeleton->name : NULL;
}

int limber_model_keypoint_mirror(const limber_model *model, int k)
{
    return model && k >= 0 && k < model->config.keypoints ? model->config.flip_pairs[k] : -1;
}

int limber_model_bone_count(const limber_model *model)
{
    return model ? model->config.edge_count : 0;
}

int limber_model_bone(const limber_model *model, int bone, int *from, int *to)
{
    if (!model || !from || !to || bone < 0 || bone >= model->config.edge_count)
        return 0;
    *from = model->config.edges[bone][0];
    *to = model->config.edges[bone][1];
    return 1;
}

const char *limber_model_backend(const limber_model *model)
{
    return model ? model->be->ops->name : NULL;
}

const char *limber_model_precision(const limber_model *model)
{
    return model ? precision_name(model->be->precision) : NULL;
}
