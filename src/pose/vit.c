/* SPDX-License-Identifier: MIT */
/* pose/vit.c - the Vision Transformer of ViTPose (Xu et al., NeurIPS 2022), in the order it computes.
 *
 *   crops -> embed -> [ layernorm, qkv, attention, projection +x, layernorm, fc1 GELU, fc2 +x ] x layers -> layernorm -> head
 *   -> heatmaps -> joints
 *
 * Pre-norm blocks, no class token, exact (erf) GELU; the backend decides how any of it is computed. The size of the images belongs
 * to a pass: buffers are for the largest, position embeddings are resized once for each grid and kept while there is room. */
#include "pose/vit.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

/* *out becomes a buffer of this kind and width, one that is there already where there is one. */
static limber_status narrow_buf(struct vit *v, struct buf **out, enum buf_kind kind, int cols, limber_error *err)
{
    for (int i = 0; i < v->narrow_count; i++)
        if (v->narrow[i]->kind == kind && v->narrow[i]->cols == cols) {
            *out = v->narrow[i];
            return LIMBER_OK;
        }
    limber_status st = v->ex->ops->buf_open(v->ex, out, kind, v->max_people, v->x->tokens, cols, err);
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

static limber_status open_buffers(struct vit *v, int threads, const struct pass_shape *largest, limber_error *err)
{
    const struct config *c = &v->model->config;
    const struct backend_ops *be = v->model->be->ops;
    const int tokens = shape_tokens(largest), map = shape_patches(largest) * c->scale_factor * c->scale_factor;
    limber_status st = be->exec_open(v->model->be, &v->ex, threads, v->max_people, largest, err);
    const struct {
        struct buf **b;
        enum buf_kind kind;
        int tokens, cols;
    } bufs[] = {
        {&v->x, BUF_STREAM, tokens, c->hidden},     {&v->y, BUF_OPERAND, tokens, c->hidden},
        {&v->qkv, BUF_QKV, tokens, 3 * c->hidden},  {&v->mid, BUF_OPERAND, tokens, c->mlp},
        {&v->heat, BUF_HEATMAP, map, c->keypoints}, {&v->heat_mirrored, BUF_HEATMAP, map, c->keypoints},
    };
    size_t n = sizeof bufs / sizeof *bufs - (c->keypoints == 0 ? 2
                                             : v->flip         ? 0
                                                               : 1); /* the maps come last, the mirrored at the end */
    for (size_t i = 0; st == LIMBER_OK && i < n; i++)
        st = be->buf_open(v->ex, bufs[i].b, bufs[i].kind, v->max_people, bufs[i].tokens, bufs[i].cols, err);
    if (st == LIMBER_OK)
        st = open_widths(v, err);
    v->joints = calloc((size_t)v->max_people * (size_t)c->keypoints + 1, sizeof *v->joints);
    if (st == LIMBER_OK && !v->joints)
        st = limber_fail(err, LIMBER_E_MEMORY, "no memory for the joints of %d people", v->max_people);
    return st;
}

limber_status vit_open(struct vit *v, const struct limber_model *model, int threads, int max_people, bool flip, limber_error *err)
{
    const struct config *c = &model->config;
    const struct pass_shape own = model_pass_shape(model, c->image_h, c->image_w);
    *v = (struct vit){.model = model, .max_people = max_people, .max_patches = shape_patches(&own), .flip = flip};
    limber_status st = open_buffers(v, threads, &own, err);
    if (st == LIMBER_OK)
        st = vit_resize(v, c->image_h, c->image_w, err);
    if (st != LIMBER_OK)
        vit_close(v);
    return st;
}

limber_status vit_open_any(struct vit *v, const struct limber_model *model, int threads, int max_people, int max_patches,
                           limber_error *err)
{
    const struct config *c = &model->config;
    const struct pass_shape largest = model_pass_shape(model, max_patches * c->patch_h, c->patch_w);
    *v = (struct vit){.model = model, .max_people = max_people, .max_patches = max_patches};
    limber_status st = open_buffers(v, threads, &largest, err);
    if (st != LIMBER_OK)
        vit_close(v);
    return st;
}

static void positions_close(struct vit *v, struct vit_positions *p)
{
    for (int i = 0; p->table && i <= v->model->config.mid_positions; i++)
        v->ex->ops->buf_close(v->ex, p->table[i]);
    free(p->table);
    *p = (struct vit_positions){0};
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
        for (int i = 0; i < VIT_POSITIONS; i++)
            positions_close(v, &v->positions[i]);
        be->exec_close(v->ex);
    }
    free(v->joints);
    free(v->widths);
    free(v->narrow);
    memset(v, 0, sizeof *v);
}

/* ---- positions of the grid at hand ---- */

static size_t positions_bytes(const struct vit *v, const struct pass_shape *shape)
{
    const struct config *c = &v->model->config;
    return (size_t)(1 + c->mid_positions) * (size_t)shape_tokens(shape) * (size_t)c->hidden * sizeof(float);
}

static limber_status positions_make(struct vit *v, struct vit_positions *p, const struct pass_shape *shape, limber_error *err)
{
    const struct backend_ops *be = v->ex->ops;
    const int tokens = shape_tokens(shape), hidden = v->model->config.hidden, tables = 1 + v->model->config.mid_positions;
    float *plain = malloc((size_t)tokens * (size_t)hidden * sizeof *plain);
    p->table = calloc((size_t)tables, sizeof *p->table);
    limber_status st = LIMBER_OK;
    if (!plain || !p->table)
        st = limber_fail(err, LIMBER_E_MEMORY, "no memory for the positions of %d tokens", tokens);
    for (int i = 0; st == LIMBER_OK && i < tables; i++) {
        st = be->buf_open(v->ex, &p->table[i], BUF_STREAM, 1, tokens, hidden, err);
        if (st == LIMBER_OK) {
            model_positions(v->model, shape, i, plain);
            be->buf_write(v->ex, p->table[i], (struct span){.count = 1}, plain);
            st = be->finish(v->ex, err);
        }
    }
    p->grid_h = shape->grid_h;
    p->grid_w = shape->grid_w;
    p->bytes = positions_bytes(v, shape);
    if (st != LIMBER_OK)
        positions_close(v, p);
    free(plain);
    return st;
}

/* Room for one more: the first empty place, once the oldest have made way. */
static struct vit_positions *positions_room(struct vit *v, size_t bytes)
{
    for (;;) {
        struct vit_positions *oldest = NULL, *empty = NULL;
        size_t held = 0;
        for (int i = 0; i < VIT_POSITIONS; i++) {
            struct vit_positions *p = &v->positions[i];
            held += p->bytes;
            if (!p->table)
                empty = empty ? empty : p;
            else if (!oldest || p->used < oldest->used)
                oldest = p;
        }
        if (empty && (!oldest || held + bytes <= VIT_POSITIONS_BYTES))
            return empty;
        positions_close(v, oldest);
    }
}

static limber_status positions_for(struct vit *v, const struct pass_shape *shape, limber_error *err)
{
    struct vit_positions *found = NULL;
    for (int i = 0; i < VIT_POSITIONS && !found; i++)
        if (v->positions[i].table && v->positions[i].grid_h == shape->grid_h && v->positions[i].grid_w == shape->grid_w)
            found = &v->positions[i];
    if (!found) {
        found = positions_room(v, positions_bytes(v, shape));
        limber_status st = positions_make(v, found, shape, err);
        if (st != LIMBER_OK)
            return st;
    }
    found->used = ++v->shapes;
    v->position = found->table;
    return LIMBER_OK;
}

limber_status vit_resize(struct vit *v, int image_h, int image_w, limber_error *err)
{
    const struct config *c = &v->model->config;
    const struct backend_ops *be = v->ex->ops;
    const struct pass_shape shape = model_pass_shape(v->model, image_h, image_w);
    if (v->position && image_h == v->shape.image_h && image_w == v->shape.image_w)
        return LIMBER_OK;
    const bool own = image_h == c->image_h && image_w == c->image_w; /* a model may be trained on a rest of a patch */
    if (shape.grid_h < 1 || shape.grid_w < 1 || (!own && (image_h % c->patch_h || image_w % c->patch_w)))
        return limber_fail(err, LIMBER_E_ARGUMENT, "images of %dx%d, expected multiples of the patch of %dx%d", image_h, image_w,
                           c->patch_h, c->patch_w);
    if (shape_patches(&shape) > v->max_patches)
        return limber_fail(err, LIMBER_E_ARGUMENT, "images of %dx%d are %d patches, the session was opened for %d", image_h,
                           image_w, shape_patches(&shape), v->max_patches);
    limber_status st = positions_for(v, &shape, err);
    if (st != LIMBER_OK)
        return st;
    struct buf *const token_bufs[] = {v->x, v->y, v->qkv, v->mid}, *const maps[] = {v->heat, v->heat_mirrored};
    for (size_t i = 0; i < sizeof token_bufs / sizeof *token_bufs; i++)
        be->buf_resize(v->ex, token_bufs[i], shape_tokens(&shape));
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++)
        if (maps[i])
            be->buf_resize(v->ex, maps[i], shape_patches(&shape) * c->scale_factor * c->scale_factor);
    for (int i = 0; i < v->narrow_count; i++)
        be->buf_resize(v->ex, v->narrow[i], shape_tokens(&shape));
    v->shape = shape;
    return LIMBER_OK;
}

/* ---- a pass ---- */

static void tap(struct vit *v, const char *where, int layer, const struct buf *b, struct span span)
{
    if (v->tap)
        v->tap(v->tap_context, where, layer, v->ex, b, span);
}

void vit_embed(struct vit *v, struct span span, bool mirrored)
{
    v->ex->ops->embed(v->ex, span, v->x, v->model->embed, v->position[0], &v->shape, mirrored);
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
        .grid_h = v->shape.grid_h,
        .grid_w = v->shape.grid_w,
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
    if (layer < v->model->config.mid_positions)
        be->add(v->ex, span, v->x, v->position[1 + layer]);
    tap(v, "block", layer, v->x, span);
}

void vit_heatmaps(struct vit *v, struct span span, struct buf *heat)
{
    const struct backend_ops *be = v->ex->ops;
    be->layernorm(v->ex, span, v->y, v->x, v->model->layernorm);
    tap(v, "norm", 0, v->y, span);
    be->head(v->ex, span, heat, v->y, v->model->head, &v->shape);
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
    const struct decode_args decode = {.map_h = v->shape.grid_h * c->scale_factor,
                                       .map_w = v->shape.grid_w * c->scale_factor,
                                       .flip_pairs = c->flip_pairs,
                                       .joints = v->joints};
    network(v, span, false, v->heat);
    if (v->flip)
        network(v, span, true, v->heat_mirrored);
    ex->ops->decode(ex, span, v->heat, v->flip ? v->heat_mirrored : NULL, &decode);
}

static void maps_forward(void *context, struct exec *ex, struct span span)
{
    struct vit *v = context;
    (void)ex;
    network(v, span, false, v->heat);
}

enum what { JOINTS = 1, JOINTS_MIRRORED, MAPS };

limber_status vit_pass(struct vit *v, const uint8_t *images, int count, span_fn fn, void *context, int what, limber_error *err)
{
    const struct backend_ops *be = v->ex->ops;
    if (count < 1 || count > v->max_people)
        return limber_fail(err, LIMBER_E_ARGUMENT, "%d people in one pass of a session for 1 to %d", count, v->max_people);
    /* a recording is only right for the plain pass: taps and statistics look inside */
    const uint64_t variant =
        v->tap || v->layer_stats ? 0 : (uint64_t)v->shape.grid_h << 36 | (uint64_t)v->shape.grid_w << 8 | (uint64_t)what;
    be->upload(v->ex, images, count, shape_image_bytes(&v->shape));
    if (!be->replay(v->ex, count, variant)) {
        if (v->tap) /* taps see everybody at once, in order */
            fn(context, v->ex, (struct span){.first = 0, .count = count, .lane = NULL});
        else
            be->split(v->ex, count, fn, context);
    }
    return LIMBER_OK;
}

limber_status vit_forward(struct vit *v, const uint8_t *crops, int people, limber_keypoint *joints, limber_error *err)
{
    limber_status st = vit_pass(v, crops, people, people_forward, v, v->flip ? JOINTS_MIRRORED : JOINTS, err);
    if (st == LIMBER_OK)
        st = v->ex->ops->finish(v->ex, err);
    if (st == LIMBER_OK)
        memcpy(joints, v->joints, (size_t)people * (size_t)v->model->config.keypoints * sizeof *joints);
    return st;
}

limber_status vit_maps(struct vit *v, const uint8_t *images, int count, int image_h, int image_w, float *maps, limber_error *err)
{
    limber_status st = vit_resize(v, image_h, image_w, err);
    if (st == LIMBER_OK)
        st = vit_pass(v, images, count, maps_forward, v, MAPS, err);
    if (st != LIMBER_OK)
        return st;
    st = v->ex->ops->finish(v->ex, err);
    if (st == LIMBER_OK) {
        v->ex->ops->buf_read(v->ex, v->heat, (struct span){.count = count}, maps);
        st = v->ex->ops->finish(v->ex, err);
    }
    return st;
}
