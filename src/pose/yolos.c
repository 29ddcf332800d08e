/* SPDX-License-Identifier: MIT */
/* pose/yolos.c - see pose/yolos.h. */
#include "pose/yolos.h"

#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "pose/resample.h"

limber_status yolos_session_open(struct yolos *y, const struct yolos_model *model, int threads, limber_error *err)
{
    const struct config *c = &model->vit.config;
    const struct backend_ops *be = model->vit.be->ops;
    const int detections = c->tokens_after;
    const size_t pixels = (size_t)yolos_max_patches(model) * (size_t)c->patch_h * (size_t)c->patch_w;
    *y = (struct yolos){.model = model};
    limber_status st = vit_open_any(&y->vit, &model->vit, threads, 1, yolos_max_patches(model), err);
    const struct {
        struct buf **b;
        enum buf_kind kind;
        int cols;
    } bufs[] = {{&y->last, BUF_STREAM, c->hidden},           {&y->norm, BUF_OPERAND, c->hidden},
                {&y->hidden[0], BUF_OPERAND, c->hidden},     {&y->hidden[1], BUF_OPERAND, c->hidden},
                {&y->class_buf, BUF_STREAM, model->classes}, {&y->box_buf, BUF_STREAM, 4}};
    for (size_t i = 0; st == LIMBER_OK && i < sizeof bufs / sizeof *bufs; i++)
        st = be->buf_open(y->vit.ex, bufs[i].b, bufs[i].kind, 1, detections, bufs[i].cols, err);
    if (st == LIMBER_OK) {
        y->input = malloc(pixels * 3);
        y->logits = malloc((size_t)detections * (size_t)model->classes * sizeof *y->logits);
        y->boxes = malloc((size_t)detections * 4 * sizeof *y->boxes);
        if (!y->input || !y->logits || !y->boxes)
            st = limber_fail(err, LIMBER_E_MEMORY, "detector: no memory for a picture of %zu pixels", pixels);
    }
    if (st != LIMBER_OK)
        yolos_session_close(y);
    return st;
}

void yolos_session_close(struct yolos *y)
{
    if (y->vit.ex) {
        struct buf *bufs[] = {y->last, y->norm, y->hidden[0], y->hidden[1], y->class_buf, y->box_buf};
        for (size_t i = 0; i < sizeof bufs / sizeof *bufs; i++)
            y->vit.ex->ops->buf_close(y->vit.ex, bufs[i]);
    }
    vit_close(&y->vit);
    free(y->input);
    free(y->logits);
    free(y->boxes);
    *y = (struct yolos){0};
}

/* Three layers with ReLU between them, over the detection tokens. */
static void head(struct yolos *y, struct span span, struct buf *out, struct weight *const layers[YOLOS_LAYERS])
{
    struct exec *ex = y->vit.ex;
    ex->ops->linear(ex, span, y->hidden[0], y->norm, layers[0], ACT_RELU, NULL);
    ex->ops->linear(ex, span, y->hidden[1], y->hidden[0], layers[1], ACT_RELU, NULL);
    ex->ops->linear(ex, span, out, y->hidden[1], layers[2], ACT_NONE, NULL);
}

static void network(void *context, struct exec *ex, struct span span)
{
    struct yolos *y = context;
    struct vit *v = &y->vit;
    const struct config *c = &y->model->vit.config;
    vit_embed(v, span, false);
    for (int l = 0; l < c->layers; l++) {
        vit_attention(v, l, span);
        vit_projection(v, l, span);
        vit_mlp(v, l, span);
    }
    ex->ops->rows(ex, span, y->last, v->x, shape_tokens(&v->shape) - c->tokens_after);
    ex->ops->layernorm(ex, span, y->norm, y->last, y->model->vit.layernorm);
    head(y, span, y->class_buf, y->model->classes_head);
    head(y, span, y->box_buf, y->model->boxes_head);
}

limber_status yolos_forward(struct yolos *y, const uint8_t *input, int height, int width, limber_error *err)
{
    struct vit *v = &y->vit;
    const struct span all = {.count = 1};
    limber_status st = vit_resize(v, height, width, err);
    if (st == LIMBER_OK)
        st = vit_pass(v, input, 1, network, y, 1, err);
    if (st != LIMBER_OK)
        return st;
    struct exec *ex = v->ex;
    st = ex->ops->finish(ex, err);
    if (st == LIMBER_OK) {
        ex->ops->buf_read(ex, y->class_buf, all, y->logits);
        ex->ops->buf_read(ex, y->box_buf, all, y->boxes);
        st = ex->ops->finish(ex, err);
    }
    for (int i = 0; st == LIMBER_OK && i < 4 * y->model->vit.config.tokens_after; i++)
        y->boxes[i] = 1 / (1 + expf(-y->boxes[i]));
    return st;
}

/* How sure a detection token is of a person: 0 where it is surer of something else (but "nothing", the last class, does not count). */
static double person_score(const float *logits, int classes, int person)
{
    double sum = 0, most = logits[0];
    for (int k = 1; k < classes; k++)
        most = fmax(most, (double)logits[k]);
    for (int k = 0; k < classes; k++) {
        sum += exp((double)logits[k] - most);
        if (k < classes - 1 && (logits[k] > logits[person] || (logits[k] == logits[person] && k < person)))
            return 0;
    }
    return exp((double)logits[person] - most) / sum;
}

static float clipped(double v, int size)
{
    return (float)(v < 0 ? 0 : v > size ? size : v);
}

limber_status yolos_find(struct yolos *y, const limber_image *image, float least, limber_found *out, int room, int *count,
                         limber_error *err)
{
    const struct yolos_model *m = y->model;
    int h, w, n = 0;
    *count = 0;
    yolos_input_size(m, image->height, image->width, &h, &w);
    limber_status st = resample_bilinear(y->input, h, w, image, err);
    if (st == LIMBER_OK)
        st = yolos_forward(y, y->input, h, w, err);
    for (int i = 0; st == LIMBER_OK && i < m->vit.config.tokens_after; i++) {
        const float *b = y->boxes + 4 * (size_t)i;
        const double score = person_score(y->logits + (size_t)i * (size_t)m->classes, m->classes, m->person);
        if (!isfinite(score) || !isfinite(b[0] + b[1] + b[2] + b[3]))
            return limber_fail(err, LIMBER_E_BACKEND, "detector: detection %d is not a number", i);
        if (!(score > (double)least))
            continue;
        const float x0 = clipped((b[0] - 0.5 * b[2]) * image->width, image->width),
                    x1 = clipped((b[0] + 0.5 * b[2]) * image->width, image->width),
                    y0 = clipped((b[1] - 0.5 * b[3]) * image->height, image->height),
                    y1 = clipped((b[1] + 0.5 * b[3]) * image->height, image->height);
        if (!(x1 > x0 && y1 > y0))
            continue;
        int at = n < room ? n++ : n; /* in order of score; the least sure of too many falls out */
        if (at == room && !(at > 0 && (float)score > out[--at].score))
            continue;
        for (; at > 0 && out[at - 1].score < (float)score; at--)
            out[at] = out[at - 1];
        out[at] = (limber_found){.box = {x0, y0, x1 - x0, y1 - y0}, .score = (float)score};
    }
    *count = st == LIMBER_OK ? n : 0;
    return st;
}
