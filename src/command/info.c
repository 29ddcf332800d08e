/* SPDX-License-Identifier: MIT */
/* command/info.c - `limber info`: what the model is, what a person costs by part, what this machine can compute it with.
 *
 * Only headers are read, so a model of any size answers at once: the tensors are checked against the config, no weight is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compute/open.h"
#include "command/commands.h"
#include "command/options.h"
#include "command/output.h"
#include "command/sandbox.h"
#include "base/json_write.h"
#include "image/image.h"
#include "model/model.h"
#include "video/video.h"

#define BACKENDS_MAX 8
#define DECODERS_MAX 24

struct info {
    const char *source; /* directory, or "built in" */
    struct checkpoint checkpoint;
    size_t bytes;     /* of all tensors */
    char dtypes[128]; /* "F32", "F16 I64": every type in the files */
    struct config_costs costs;
    struct backend_report backends[BACKENDS_MAX];
    int backend_count;
    const char *backend, *precision; /* what the options lead to; NULL with the reason in refused */
    limber_error refused;
};

static const struct part {
    const char *name, *about;
    size_t offset; /* of the count in config_costs */
} parts[] = {
    {"embed", "patches to tokens", offsetof(struct config_costs, embed)},
    {"qkv", "queries, keys, values", offsetof(struct config_costs, qkv)},
    {"attention", "q k and p v products", offsetof(struct config_costs, attention)},
    {"projection", "attention's output", offsetof(struct config_costs, projection)},
    {"mlp", "fc1 and fc2", offsetof(struct config_costs, mlp)},
    {"head", "tokens to heatmaps", offsetof(struct config_costs, head)},
    {"total", "", offsetof(struct config_costs, total)},
};
#define PARTS (sizeof parts / sizeof *parts)

/* A multiply-add counts as two operations. */
static double flops(const struct info *i, size_t part)
{
    uint64_t multiply_adds;
    memcpy(&multiply_adds, (const char *)&i->costs + parts[part].offset, sizeof multiply_adds);
    return 2 * (double)multiply_adds;
}

static void list_dtypes(struct info *i)
{
    const struct tensors *t = &i->checkpoint.tensors;
    for (int n = 0; n < t->count; n++) {
        size_t used = strlen(i->dtypes);
        i->bytes += t->v[n].bytes;
        bool known = false;
        for (int m = 0; m < n && !known; m++)
            known = strcmp(t->v[m].dtype_name, t->v[n].dtype_name) == 0;
        if (!known && used + strlen(t->v[n].dtype_name) + 2 < sizeof i->dtypes)
            snprintf(i->dtypes + used, sizeof i->dtypes - used, "%s%s", used ? " " : "", t->v[n].dtype_name);
    }
}

/* Which backend and precision the options lead to, without packing a weight. */
static void choose(struct info *i, const limber_options *options)
{
    struct limber_model m = {.config = i->checkpoint.config};
    if (attention_parse(options->attention, &m.attention_kind, &m.attention_size, &i->refused) == LIMBER_OK &&
        prune_parse(options->prune, &m.config, &m.pruned, &i->refused) == LIMBER_OK &&
        model_backend_open(&m, options->backend, options->precision, &i->refused) == LIMBER_OK) {
        i->backend = m.be->ops->name;
        i->precision = precision_name(m.be->precision);
    }
    backend_close(&m.be);
    free(m.pruned);
}

/* ---- as text ---- */

static void print_model(const struct info *i)
{
    const struct config *c = &i->checkpoint.config;
    printf("model        %s (%s)\n", c->model_name, i->source);
    printf("network      layers %d, width %d, heads %d x %d, mlp %d%s, layernorm eps %g\n", c->layers, c->hidden, c->heads,
           c->head_dim, c->mlp, c->qkv_bias ? "" : ", no qkv bias", (double)c->layer_norm_eps);
    if (c->experts > 1)
        printf("experts      %d, each %d of the %d outputs of a block's mlp\n", c->experts, c->part_features, c->hidden);
    printf("input        %d x %d pixels (height x width) in patches of %d x %d: %d x %d = %d tokens\n", c->image_h, c->image_w,
           c->patch_h, c->patch_w, c->grid_h, c->grid_w, c->tokens);
    if (c->grid_h != c->trained_grid_h || c->grid_w != c->trained_grid_w)
        printf("             trained at %d x %d tokens, position embeddings resized\n", c->trained_grid_h, c->trained_grid_w);
    if (c->simple_head)
        printf("head         simple: bilinear upsampling by %d, 3x3 convolution; heatmaps %d x %d\n", c->scale_factor, c->map_h,
               c->map_w);
    else
        printf("head         classic: two deconvolutions of %d channels; heatmaps %d x %d\n", CLASSIC_HEAD_CHANNELS, c->map_h,
               c->map_w);
    printf("keypoints    %d%s", c->keypoints, c->coco ? ", COCO's" : ":");
    for (int k = 0; !c->coco && k < c->keypoints; k++)
        printf("%s %s", k ? "," : "", c->labels[k]);
    printf("\nweights      %.3f million parameters in %d tensors of %s, %.1f MB\n", (double)i->costs.parameters * 1e-6,
           i->checkpoint.tensors.count, i->dtypes, (double)i->bytes * 1e-6);
}

static void print_costs(const struct info *i)
{
    printf("\nper person   GFLOP    share\n");
    for (size_t p = 0; p < PARTS; p++)
        printf("  %-10s %6.3f  %5.1f %%  %s\n", parts[p].name, flops(i, p) * 1e-9, 100 * flops(i, p) / flops(i, PARTS - 1),
               parts[p].about);
}

static void print_backends(const struct info *i)
{
    printf("\nbackend  here  precisions     about\n");
    for (int b = 0; b < i->backend_count; b++) {
        const struct backend_report *r = &i->backends[b];
        printf("  %-6s %-5s %-14s %s\n", r->name, r->available ? "yes" : "no", r->precisions[0] ? r->precisions : "-", r->detail);
    }
    struct image_decoder decoders[DECODERS_MAX];
    const int n = image_decoders(decoders, DECODERS_MAX, false);
    printf("\npictures ");
    for (int d = 0; d < n; d++)
        printf("%s%s: %s",
               !d      ? ""
               : d % 3 ? ", "
                       : ",\n         ",
               decoders[d].format, decoders[d].decoder ? decoders[d].decoder : "no");
    printf("\n");
    const struct video_plugin *video;
    limber_error err;
    if (video_plugin_find(&video, &err))
        printf("videos   no: %s\n", err.text);
    else
        printf("videos   %s; overlays by %s\n", video->libraries, video->encoder ? video->encoder : "no encoder");
    char sandbox[160];
    sandbox_describe(sandbox, sizeof sandbox);
    printf("sandbox  %s\n", sandbox);
    if (i->backend)
        printf("\ncomputes in %s on %s with these options\n", i->precision, i->backend);
}

/* ---- as JSON ---- */

static void put_size(struct json_text *t, const char *key, int height, int width)
{
    put_key(t, key), put_open(t, '['), put_integer(t, height), put_integer(t, width), put_close(t, ']');
}

static void put_count(struct json_text *t, const char *key, long long n)
{
    put_key(t, key), put_integer(t, n);
}

static void put_info(struct json_text *t, const struct info *i)
{
    const struct config *c = &i->checkpoint.config;
    put_open(t, '{');
    put_key(t, "version"), put_string(t, limber_version());
    put_key(t, "model"), put_string(t, c->model_name);
    put_key(t, "source"), put_string(t, i->source);
    put_size(t, "input", c->image_h, c->image_w);
    put_size(t, "patch", c->patch_h, c->patch_w);
    put_size(t, "grid", c->grid_h, c->grid_w);
    put_size(t, "trained_grid", c->trained_grid_h, c->trained_grid_w);
    put_size(t, "heatmap", c->map_h, c->map_w);
    put_count(t, "tokens", c->tokens), put_count(t, "layers", c->layers), put_count(t, "dim", c->hidden);
    put_count(t, "heads", c->heads), put_count(t, "head_dim", c->head_dim), put_count(t, "mlp", c->mlp);
    put_count(t, "experts", c->experts);
    put_key(t, "head"), put_string(t, c->simple_head ? "simple" : "classic");
    put_key(t, "keypoints"), put_open(t, '[');
    for (int k = 0; k < c->keypoints; k++)
        put_string(t, c->labels[k]);
    put_close(t, ']');
    put_key(t, "coco"), put_bool(t, c->coco);
    put_count(t, "parameters", (long long)i->costs.parameters);
    put_count(t, "tensors", i->checkpoint.tensors.count), put_count(t, "tensor_bytes", (long long)i->bytes);
    put_key(t, "types"), put_string(t, i->dtypes);
    put_key(t, "flops_per_person"), put_open(t, '{');
    for (size_t p = 0; p < PARTS; p++)
        put_count(t, parts[p].name, (long long)flops(i, p));
    put_close(t, '}');
    put_key(t, "backends"), put_open(t, '{');
    for (int b = 0; b < i->backend_count; b++) {
        const struct backend_report *r = &i->backends[b];
        put_key(t, r->name), put_open(t, '{');
        put_key(t, "available"), put_bool(t, r->available);
        put_key(t, "precisions"), put_string(t, r->precisions);
        put_key(t, "about"), put_string(t, r->detail);
        put_close(t, '}');
    }
    put_close(t, '}');
    struct image_decoder decoders[DECODERS_MAX];
    const int n = image_decoders(decoders, DECODERS_MAX, false);
    put_key(t, "decoders"), put_open(t, '{');
    for (int d = 0; d < n; d++)
        put_key(t, decoders[d].format), put_string(t, decoders[d].decoder);
    put_close(t, '}');
    char sandbox[160];
    sandbox_describe(sandbox, sizeof sandbox);
    put_key(t, "sandbox"), put_string(t, sandbox);
    const struct video_plugin *video;
    put_key(t, "video"), put_string(t, video_plugin_find(&video, NULL) ? NULL : video->libraries);
    put_key(t, "backend"), put_string(t, i->backend);
    put_key(t, "precision"), put_string(t, i->precision);
    put_close(t, '}');
    put_newline(t);
}

static int write_json(const char *path, const struct info *i)
{
    struct json_text t = {.pretty = true};
    put_info(&t, i);
    int status = t.failed ? cli_fail("%s: no memory", path) : output_text(path, t.text, t.length);
    put_free(&t);
    return status;
}

/* ---- the command ---- */

int cli_info(int argc, char **argv)
{
    struct cli_common common = cli_common_default();
    const char *json = NULL;
    const struct cli_option list[] = {
        CLI_OPTION("--json", "FILE", &json, "write the figures there too"),
        CLI_COMMON_OPTIONS(common),
        CLI_END,
    };
    const struct cli_command command = {
        "info", "[options]",
        "What the model is, what one person costs by part, and what this machine can compute it with.\n"
        "Reads headers only: a file of several gigabytes answers at once.",
        list};
    int inputs, status = cli_parse(&command, argc, argv, &inputs);
    if (status != CLI_GO)
        return status;
    if (inputs > 0)
        return cli_usage(&command, "no arguments but options: %s (--model DIR names a model)", argv[1]);
    limber_options options;
    if ((status = cli_model_options(&common, &options)) != CLI_DONE)
        return status;

    const char *dir = cli_model_dir(&common);
    struct info i = {.source = dir ? dir : "built in"};
    limber_error err;
    limber_status st = checkpoint_open(&i.checkpoint, dir, TASK_EITHER, &err);
    if (st == LIMBER_OK && options.input_height)
        st = config_resize(&i.checkpoint.config, options.input_height, options.input_width, &err);
    if (st != LIMBER_OK) {
        checkpoint_close(&i.checkpoint);
        return cli_fail("%s", err.text);
    }
    i.costs = config_costs(&i.checkpoint.config);
    list_dtypes(&i);
    i.backend_count = backend_reports(i.backends, BACKENDS_MAX);
    choose(&i, &options);

    print_model(&i);
    print_costs(&i);
    print_backends(&i);
    status = json ? write_json(json, &i) : CLI_DONE;
    if (status == CLI_DONE && !i.backend)
        status = cli_fail("%s", i.refused.text);
    checkpoint_close(&i.checkpoint);
    return status;
}
