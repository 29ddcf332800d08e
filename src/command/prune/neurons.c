/* SPDX-License-Identifier: MIT */
/* command/prune/neurons.c - which neurons of the mlp go: a chunk of a layer's at a time, by the same measured loss as heads.
 *
 * Thousands of neurons cannot be measured one by one. Within a layer they stand in the order of what their going changes of the residual
 * stream: the mean square of what a neuron says (less its mean, where the mean stays in its place) times the square norm of the column of fc2 that
 * reads it. A sixteenth of a layer, the first in that order of those left, is a candidate, a layer each; the one whose going costs the
 * choosing half the least heat goes, and is measured with what has gone before. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "command/progress.h"
#include "command/prune/prune.h"

#define CHUNKS 16 /* of a layer */
#define MAX_LAYERS 1024

/* ---- what neurons say ---- */

/* The neurons that the packed model computes, in order: those that fc2 reads something of. */
static int computed(const struct run *r, int layer, int *which)
{
    const struct config *c = &r->model->config;
    int n = 0;
    for (int i = 0; i < c->mlp; i++)
        if (r->neuron_size[(size_t)layer * (size_t)c->mlp + (size_t)i] > 0)
            which[n++] = i;
    if (!n)
        which[n++] = 0;
    return n;
}

/* neuron_size becomes the square norms of fc2's columns. */
static limber_status column_norms(struct run *r, limber_error *err)
{
    const struct config *c = &r->model->config;
    const size_t mlp = (size_t)c->mlp;
    float *row = malloc(mlp * sizeof *row);
    limber_status st = row ? LIMBER_OK : limber_fail(err, LIMBER_E_MEMORY, "no memory for a row of %zu", mlp);
    for (int l = 0; !st && l < c->layers; l++)
        for (int part = 0; !st && part < (c->experts > 1 ? 2 : 1); part++) {
            char name[128];
            if (part)
                snprintf(name, sizeof name, "backbone.encoder.layer.%d.mlp.experts.%d.weight", l, r->common.options.expert);
            else
                snprintf(name, sizeof name, "backbone.encoder.layer.%d.mlp.fc2.weight", l);
            const struct tensor *t = tensors_find(&r->checkpoint.tensors, name);
            const size_t rows = t ? (size_t)t->shape[0] : 0, columns = t ? (size_t)t->shape[1] : 0;
            for (size_t i = 0; !st && i < rows; i++) {
                if (columns > mlp || !tensor_read(t, i * columns, columns, row))
                    st = limber_fail(err, LIMBER_E_IO, "%s: cannot be read", name);
                for (size_t k = 0; !st && k < columns; k++)
                    r->neuron_size[(size_t)l * mlp + k] += (double)row[k] * (double)row[k];
            }
        }
    free(row);
    return st;
}

limber_status prune_neurons_learn(struct run *r, const uint8_t *crop, limber_error *err)
{
    const struct config *c = &r->model->config;
    const struct span one = {.count = 1};
    struct vit *v = &r->session->vit;
    const struct backend_ops *be = v->ex->ops;
    const size_t mlp = (size_t)c->mlp, tokens = (size_t)c->tokens;
    limber_status st = r->neuron_tokens ? LIMBER_OK : column_norms(r, err);
    float *said = malloc(tokens * mlp * sizeof *said);
    int *which = malloc(mlp * sizeof *which);
    if (!st && (!said || !which))
        st = limber_fail(err, LIMBER_E_MEMORY, "no memory for what %zu neurons say", mlp);
    if (!st) {
        be->upload(v->ex, crop, 1, (size_t)c->image_h * (size_t)c->image_w * 3);
        vit_embed(v, one, false);
        for (int l = 0; l < c->layers; l++) {
            const int n = computed(r, l, which);
            vit_attention(v, l, one);
            vit_projection(v, l, one);
            vit_mlp(v, l, one);
            if (n != r->model->blocks[l].mlp) /* a column of numbers too small for the backend's type, say */
                continue;
            be->buf_read(v->ex, v->widths[l].mid, one, said);
            for (size_t t = 0; t < tokens; t++)
                for (int k = 0; k < n; k++) {
                    const size_t at = (size_t)l * mlp + (size_t)which[k];
                    const double a = (double)said[t * (size_t)n + (size_t)k];
                    r->neuron_sum[at] += a;
                    r->neuron_square[at] += a * a;
                }
        }
        st = be->finish(v->ex, err);
        r->neuron_tokens += (int64_t)tokens;
    }
    free(said);
    free(which);
    return st;
}

/* Means of what neurons say; neuron_size becomes what their going changes. */
static void conclude(struct run *r)
{
    const size_t n = (size_t)r->model->config.layers * (size_t)r->model->config.mlp;
    for (size_t i = 0; i < n; i++) {
        const double mean = r->neuron_sum[i] / (double)r->neuron_tokens, square = r->neuron_square[i] / (double)r->neuron_tokens;
        r->neuron_says[i] = (float)mean;
        r->neuron_size[i] *= fmax(0, r->source == LIMBER_PATCH_CONST ? square - mean * mean : square);
    }
}

/* ---- choosing ---- */

struct order {
    int *neuron;          /* [layers][mlp]: by size */
    int gone[MAX_LAYERS]; /* chunks of each layer */
    double seen[MAX_LAYERS];
    int layers, mlp;
};

struct sized {
    double size;
    int neuron;
};
static int by_size(const void *a, const void *b)
{
    const struct sized *x = a, *y = b;
    return x->size != y->size ? (x->size > y->size ? 1 : -1) : x->neuron - y->neuron;
}

static bool order_open(struct order *o, const struct run *r)
{
    const struct config *c = &r->model->config;
    struct sized *s = malloc((size_t)c->mlp * sizeof *s);
    *o = (struct order){
        .layers = c->layers, .mlp = c->mlp, .neuron = malloc((size_t)c->layers * (size_t)c->mlp * sizeof *o->neuron)};
    const bool fine = s && o->neuron && c->layers <= MAX_LAYERS;
    for (int l = 0; fine && l < c->layers; l++) {
        for (int i = 0; i < c->mlp; i++)
            s[i] = (struct sized){r->neuron_size[(size_t)l * (size_t)c->mlp + (size_t)i], i};
        qsort(s, (size_t)c->mlp, sizeof *s, by_size);
        for (int i = 0; i < c->mlp; i++)
            o->neuron[(size_t)l * (size_t)c->mlp + (size_t)i] = s[i].neuron;
    }
    free(s);
    return fine;
}

static void fill_set(bool *set, const struct order *o)
{
    memset(set, 0, (size_t)o->layers * (size_t)o->mlp);
    for (int l = 0; l < o->layers; l++)
        for (int i = 0; i < o->mlp * o->gone[l] / CHUNKS; i++)
            set[(size_t)l * (size_t)o->mlp + (size_t)o->neuron[(size_t)l * (size_t)o->mlp + (size_t)i]] = true;
}

/* Heat that the choosing half loses with the chosen heads and this order's chunks gone. */
static int loss_of(struct run *r, const struct order *o, double *loss, struct coco_poses *poses)
{
    struct judged *j = &r->judged[CHOSEN];
    limber_model *model = NULL;
    limber_session *session = NULL;
    limber_options options;
    limber_error err = {0};
    int status = cli_model_options(&r->common, &options);
    fill_set(j->neurons, o);
    const struct left_out out = prune_left_out(r, j);
    if (!status && (model_open_without(&model, cli_model_dir(&r->common), &out, &options, &err) ||
                    limber_session_open(&session, model, &options, &err)))
        status = cli_fail("%s", err.text);
    *loss = 0;
    if (poses)
        poses->count = 0;
    for (int i = 0; !status && i < r->learner_count; i++) {
        const struct learner *l = &r->learners[i];
        limber_keypoint joints[COCO_KEYPOINTS];
        effect_measures m;
        if (prune_run(session, l->crop, l->region, joints, r->heat, &err)) {
            status = cli_fail("%s", err.text);
            break;
        }
        effect_measure(m, &l->target, r->heat, joints);
        *loss += (prune_heat(&l->target, l->clear) - prune_heat(&l->target, m)) / r->learner_count;
        if (poses)
            prune_add_pose(poses, i, joints);
    }
    limber_session_close(&session);
    limber_model_close(&model);
    return status ? status : cli_stopped ? CLI_INTERRUPTED : CLI_DONE;
}

static int measure_layer(struct run *r, struct order *o, int layer, double gone)
{
    double loss;
    o->gone[layer]++;
    const int status = loss_of(r, o, &loss, NULL);
    o->gone[layer]--;
    o->seen[layer] = loss - gone;
    return status;
}

/* The next chunk goes. */
static int step(struct run *r, struct order *o, double *gone)
{
    bool fresh[MAX_LAYERS] = {false};
    int best = -1, status = CLI_DONE;
    for (int turn = 0; !status && turn < r->remeasure; turn++) {
        int l = -1;
        for (int k = 0; k < o->layers; k++)
            if (o->gone[k] < CHUNKS - 1 && !fresh[k] && (l < 0 || o->seen[k] < o->seen[l]))
                l = k;
        if (l < 0)
            break;
        fresh[l] = true;
        status = measure_layer(r, o, l, *gone);
        if (!status && (best < 0 || o->seen[l] < o->seen[best]))
            best = l;
    }
    if (!status && best >= 0) {
        o->gone[best]++;
        *gone += o->seen[best];
    }
    return status;
}

int prune_choose_neurons(struct run *r)
{
    struct order o;
    struct progress progress;
    const int all = r->model->config.layers * CHUNKS, most = r->model->config.layers * (CHUNKS - 1);
    int wanted = (int)lround((1 - r->neurons) * all);
    double gone = 0;
    wanted = wanted > most ? most : wanted;
    struct coco_poses poses;
    conclude(r);
    const bool room = coco_poses_open(&poses, (size_t)r->learner_count, COCO_KEYPOINTS);
    int status = order_open(&o, r) && room ? loss_of(r, &o, &gone, NULL) : cli_fail("no memory for the order of neurons");
    progress_start(&progress, (size_t)(wanted + o.layers), !r->common.quiet);
    for (int l = 0; !status && l < o.layers; l++) {
        status = measure_layer(r, &o, l, gone);
        progress_step(&progress, (size_t)l, (size_t)r->learner_count);
    }
    for (int n = 0, at = 0; !status && n < wanted; n++) {
        status = step(r, &o, &gone);
        progress_step(&progress, (size_t)(n + o.layers), (size_t)r->learner_count);
        if (!status && (n + 1) * CURVE_NEURONS >= (at + 1) * wanted) {
            struct judged *j = &r->judged[FIRST_WITHOUT_NEURONS + at++];
            if ((status = prune_open_set(j, r)))
                break;
            memcpy(j->heads, r->judged[CHOSEN].heads, (size_t)r->heads);
            fill_set(j->neurons, &o);
        }
    }
    progress_clear(&progress);
    if (!status)
        status = loss_of(r, &o, &gone, &poses);
    if (!status)
        r->learned_ap[1] = prune_learners_ap(r, &poses);
    for (size_t i = 0; !status && i < (size_t)o.layers * (size_t)o.mlp; i++)
        r->neurons_dropped += r->judged[CHOSEN].neurons[i];
    free(o.neuron);
    coco_poses_close(&poses);
    return status;
}
