/* pose/vit.c - the Vision Transformer of ViTPose (Xu et al., NeurIPS 2022), in the order it computes.
 *
 *   crops -> embed -> [ layernorm, qkv, attention, projection +x, layernorm, fc1 GELU, fc2 +x ] x layers -> layernorm -> head
 *   -> heatmaps -> joints
 *
 * Pre-norm blocks, no class token, exact (erf) GELU; the backend decides how any of it is computed. */
#include "pose/vit.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

/* *out becomes a buffer of this kind and width, one that is there already where there is one. */
static limber_status narrow_buf(struct vit *v, struct buf **out, enum buf_kind kind, int cols, limber_error *err)
{
    const int tokens = v->model->config.tokens;
    for (int i = 0; i < v->narrow_count; i++)
        if (v->narrow[i]->kind == kind && v->narrow[i]->cols == cols) {
            *out = v->narrow[i];
            return LIMBER_OK;
        }
    limber_status st = v->ex->ops->buf_open(v->ex, out, kind, v->max_people, tokens, cols, err);
    if (st == LIMBER_OK)
        v->narrow[v->narrow_count++] = *out;
    return st;
}

/* Blocks that leave heads or neurons out need less room, and a backend's layout goes by the width. */
static limber_status open_widths(struct vit *v, limber_error *err)
{
    const struct config *c = &v->model->config;
    limber_status st = LIMBER_OK;
    v->widths = calloc((size_t)c->layers, sizeof *v->widths);
    v->narrow = calloc((size_t)c->layers * 3, sizeof(struct buf *));
    if (!v->widths || !v->narrow)
        return limber_fail(err, LIMBER_E_MEMORY, "no memory for the buffers of %d layers", c->layers);
    for (int l = 0; st == LIMBER_OK && l < c->layers; l++) {
        const struct block *b = &v->model->blocks[l];
        struct vit_widths *w = &v->widths[l];
        *w = (struct vit_widths){v->qkv, v->y, v->mid};
        if (b->lean_qkv)
            st = narrow_buf(v, &w->qkv, BUF_QKV, 3 * b->heads * c->head_dim, err);
        if (st == LIMBER_OK && b->lean_qkv)
            st = narrow_buf(v, &w->y, BUF_OPERAND, b->heads * c->head_dim, err);
        if (st == LIMBER_OK && b->mlp != c->mlp)
            st = narrow_buf(v, &w->mid, BUF_OPERAND, b->mlp, err);
    }
    return st;
}

limber_status vit_open(struct vit *v, const struct limber_model *model, int threads, int max_people, bool flip, limber_error *err)
{
    const struct config *c = &model->config;
    const struct backend_ops *be = model->be->ops;
    *v = (struct vit){.model = model, .max_people = max_people, .flip = flip};
    limber_status st = be->exec_open(model->be, &v->ex, threads, max_people, err);
    const struct {
        struct buf **b;
        enum buf_kind kind;
        int tokens, cols;
    } bufs[] = {
        {&v->x, BUF_STREAM, c->tokens, c->hidden},
        {&v->y, BUF_OPERAND, c->tokens, c->hidden},
        {&v->qkv, BUF_QKV, c->tokens, 3 * c->hidden},
        {&v->mid, BUF_OPERAND, c->tokens, c->mlp},
        {&v->heat, BUF_HEATMAP, c->map_h * c->map_w, c->keypoints},
        {&v->heat_mirrored, BUF_HEATMAP, c->map_h * c->map_w, c->keypoints},
    };
    size_t n = sizeof bufs / sizeof *bufs - (flip ? 0 : 1); /* the mirrored maps come last */
    for (size_t i = 0; st == LIMBER_OK && i < n; i++)
        st = be->buf_open(v->ex, bufs[i].b, bufs[i].kind, max_people, bufs[i].tokens, bufs[i].cols, err);
    if (st == LIMBER_OK)
        st = open_widths(v, err);
    v->joints = calloc((size_t)max_people * (size_t)c->keypoints, sizeof *v->joints);
    if (st == LIMBER_OK && !v->joints)
        st = limber_fail(err, LIMBER_E_MEMORY, "no memory for the joints of %d people", max_people);
    if (st != LIMBER_OK)
        vit_close(v);
    return st;
}

void vit_close(struct vit *v)
{
    if (v->ex) {
        const struct backend_ops *be = v->ex->ops;
        struct buf *bufs[] = {v->x, v->y, v->qkv, v->mid, v->heat, v->heat_mirrored};
        for (size_t i = 0; i < sizeof bufs / sizeof *bufs; i++)
            be->buf_close(v->ex, bufs[i]);
        for (int i = 0; i < v->narrow_count; i++)
            be->buf_close(v->ex, v->narrow[i]);
        be->exec_close(v->ex);
    }
    free(v->joints);
    free(v->widths);
    free(v->narrow);
    memset(v, 0, sizeof *v);
}

static void tap(struct vit *v, const char *where, int layer, const struct buf *b, struct span span)
{
    if (v->tap)
        v->tap(v->tap_context, where, layer, v->ex, b, span);
}

void vit_embed(struct vit *v, struct span span, bool mirrored)
{
    v->ex->ops->embed(v->ex, span, v->x, v->model->embed, mirrored);
    tap(v, "embed", 0, v->x, span);
}

/* Whoever looks at heads wants all of them. */
static bool lean(const struct vit *v, int layer)
{
    return v->model->blocks[layer].lean_qkv && !v->whole && !v->tap && !v->layer_stats;
}

void vit_attention(struct vit *v, int layer, struct span span)
{
    const struct limber_model *m = v->model;
    const struct config *c = &m->config;
    const struct backend_ops *be = v->ex->ops;
    const struct block *b = &m->blocks[layer];
    const bool few = lean(v, layer);
    struct buf *qkv = few ? v->widths[layer].qkv : v->qkv;
    const struct attention_args attention = {
        .heads = few ? b->heads : c->heads,
        .head_dim = c->head_dim,
        .grid_h = c->grid_h,
        .grid_w = c->grid_w,
        .kind = m->attention_kind,
        .size = m->attention_size,
        .shift = m->attention_kind == ATTENTION_WINDOW && layer % 2 ? m->attention_size / 2 : 0, /* as Swin alternates */
        .stats = v->layer_stats ? v->layer_stats[layer] : NULL,
    };
    be->layernorm(v->ex, span, v->y, v->x, b->layernorm_before);
    be->linear(v->ex, span, qkv, v->y, few ? b->lean_qkv : b->qkv, ACT_NONE, NULL);
    tap(v, "qkv", layer, qkv, span);
    be->attention(v->ex, span, few ? v->widths[layer].y : v->y, qkv, &attention);
}

void vit_projection(struct vit *v, int layer, struct span span)
{
    const struct block *b = &v->model->blocks[layer];
    const bool few = lean(v, layer);
    v->ex->ops->linear(v->ex, span, v->x, few ? v->widths[layer].y : v->y, few ? b->lean_projection : b->projection, ACT_NONE,
                       v->x);
}

void vit_mlp(struct vit *v, int layer, struct span span)
{
    const struct backend_ops *be = v->ex->ops;
    const struct block *b = &v->model->blocks[layer];
    be->layernorm(v->ex, span, v->y, v->x, b->layernorm_after);
    struct buf *mid = v->widths[layer].mid;
    be->linear(v->ex, span, mid, v->y, b->fc1, ACT_GELU_ERF, NULL);
    be->linear(v->ex, span, v->x, mid, b->fc2, ACT_NONE, v->x);
    tap(v, "block", layer, v->x, span);
}

void vit_heatmaps(struct vit *v, struct span span, struct buf *heat)
{
    const struct backend_ops *be = v->ex->ops;
    be->layernorm(v->ex, span, v->y, v->x, v->model->layernorm);
    tap(v, "norm", 0, v->y, span);
    be->head(v->ex, span, heat, v->y, v->model->head);
    tap(v, "heatmap", 0, heat, span);
}

/* Crops of the span's people to heatmaps in `heat`. */
static void network(struct vit *v, struct span span, bool mirrored, struct buf *heat)
{
    vit_embed(v, span, mirrored);
    for (int l = 0; l < v->model->config.layers; l++) {
        vit_attention(v, l, span);
        vit_projection(v, l, span);
        vit_mlp(v, l, span);
    }
    vit_heatmaps(v, span, heat);
}

static void people_forward(void *context, struct exec *ex, struct span span)
{
    struct vit *v = context;
    const struct config *c = &v->model->config;
    const struct decode_args decode = {.map_h = c->map_h, .map_w = c->map_w, .flip_pairs = c->flip_pairs, .joints = v->joints};
    network(v, span, false, v->heat);
    if (v->flip)
        network(v, span, true, v->heat_mirrored);
    ex->ops->decode(ex, span, v->heat, v->flip ? v->heat_mirrored : NULL, &decode);
}

limber_status vit_forward(struct vit *v, const uint8_t *crops, int people, limber_keypoint *joints, limber_error *err)
{
    const struct config *c = &v->model->config;
    const struct backend_ops *be = v->ex->ops;
    /* a recording is only right for the plain pass: taps and statistics look inside */
    unsigned variant = v->tap || v->layer_stats ? 0 : v->flip ? 2 : 1;
    if (people < 1 || people > v->max_people)
        return limber_fail(err, LIMBER_E_ARGUMENT, "%d people in one pass of a session for 1 to %d", people, v->max_people);
    be->upload(v->ex, crops, people, (size_t)c->image_h * (size_t)c->image_w * 3);
    if (!be->replay(v->ex, people, variant)) {
        if (v->tap) /* taps see everybody at once, in order */
            people_forward(v, v->ex, (struct span){.first = 0, .count = people, .lane = NULL});
        else
            be->split(v->ex, people, people_forward, v);
    }
    limber_status st = be->finish(v->ex, err);
    if (st == LIMBER_OK)
        memcpy(joints, v->joints, (size_t)people * (size_t)c->keypoints * sizeof *joints);
    return st;
}
