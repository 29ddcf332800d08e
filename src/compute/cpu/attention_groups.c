/* SPDX-License-Identifier: MIT */
/* attention_groups.c - windowed, pooled and merged attention (compute/token_groups.h) through the fused kernel: tokens are regrouped into
 * rows of their own panels, the kernel attends among those, and its rows go back to the tokens.
 *
 *   window   rows are the tokens, window by window, each window from a new panel on; attention runs inside each
 *   pool     queries stay; rows of K and V are the means of the cells
 *   merge    rows of Q, K and V are the means of the merged tokens; a token gets the row of its group back
 *
 * A row that stands for n tokens weighs n-fold (key_log2). The matching of `merge` is per person and costs (tokens / 2)^2
 * head_dim multiply-adds, regrouping reads and writes q, k, v once: what is saved must be more. */
#include <math.h>
#include <string.h>

#include "compute/cpu/cpu.h"
#include "compute/token_groups.h"

/* Row r is the mean of the tokens member[start[r] .. start[r + 1]); an empty one is a lane that nobody reads. */
struct rows {
    int count;
    int *start;  /* [count + 1] */
    int *member; /* [tokens] */
};

struct window {
    int panel, tokens;
};

/* One person's regrouping, in the lane's temporary memory. */
struct regrouping {
    const struct cpu_exec *ex;
    const struct attention_args *args;
    const struct cpu_buf *qkv, *y;
    const uint32_t *source; /* the person's q, k, v */
    uint32_t *destination;  /* the person's rows of y */
    int tokens, panels;     /* of the rows */
    struct rows queries, keys;
    struct window *windows;
    int window_count, each; /* panels of queries in a call of attention */
    int query_groups;       /* the most groups of query panels that a window has (while arranging: of queries) */
    int *row;               /* [tokens]: the row that answers a token */
    int *group;             /* [tokens]: its window or group */
    int *next;              /* [windows]: the next free row of each */
    float *key_log2;        /* [keys.count], or NULL */
    float *plain_keys;      /* [tokens][dim] of merge */
    void *matching;
    uint32_t *q_k_v, *out; /* panels of rows, strided as in qkv and y */
};

/* ---- moving lines of 16 tokens ---- */

enum line { LINE_FP32, LINE_PAIR, LINE_HALF }; /* a number, a pair of bf16 columns, one bf16 column a token */

static inline uint16_t *half_at(uint32_t *panel, size_t line, int lane)
{
    return (uint16_t *)(void *)panel + line * LANES + (size_t)lane;
}

/* The mean of one line over the members of a row, as it is stored. */
static uint32_t line_mean(const uint32_t *section, size_t stride, size_t line, enum line kind, const int *member, int n)
{
    float sum[2] = {0};
    for (int i = 0; i < n; i++) {
        const uint32_t *panel = section + (size_t)(member[i] / LANES) * stride;
        const int lane = member[i] % LANES;
        const uint32_t word = kind == LINE_HALF ? *half_at((uint32_t *)panel, line, lane) : panel[line * LANES + (size_t)lane];
        union {
            uint32_t u;
            float f;
        } v = {word};
        sum[0] += kind == LINE_FP32 ? v.f : bf16_value(word & 0xffff);
        sum[1] += kind == LINE_PAIR ? bf16_value(word >> 16) : 0;
    }
    union {
        float f;
        uint32_t u;
    } mean = {sum[0] / (float)n};
    return kind == LINE_FP32 ? mean.u : bf16_bits(mean.f) | (kind == LINE_PAIR ? bf16_bits(sum[1] / (float)n) << 16 : 0);
}

/* One panel of rows of one section (q, k or v) out of the tokens' panels. */
static void gather(uint32_t *to, const uint32_t *section, size_t stride, int panel, size_t lines, enum line kind,
                   const struct rows *rows)
{
    for (size_t line = 0; line < lines; line++)
        for (int lane = 0; lane < LANES; lane++) {
            const int r = panel * LANES + lane, n = r < rows->count ? rows->start[r + 1] - rows->start[r] : 0;
            uint32_t value = 0;
            if (n == 1 && kind != LINE_HALF) {
                const int t = rows->member[rows->start[r]];
                value = section[(size_t)(t / LANES) * stride + line * LANES + (size_t)(t % LANES)];
            } else if (n > 0)
                value = line_mean(section, stride, line, kind, rows->member + rows->start[r], n);
            if (kind == LINE_HALF)
                *half_at(to, line, lane) = (uint16_t)value;
            else
                to[line * LANES + (size_t)lane] = value;
        }
}

static void gather_chunk(void *context, int worker, int panel)
{
    const struct regrouping *g = context;
    const size_t dim = (size_t)g->args->heads * (size_t)g->args->head_dim, stride = g->qkv->stride;
    const size_t lines = g->qkv->paired ? dim / 2 : dim, words = lines * LANES;
    const enum line kind = g->qkv->paired ? LINE_PAIR : LINE_FP32;
    uint32_t *to = g->q_k_v + (size_t)panel * stride;
    (void)worker;
    gather(to, g->source, stride, panel, lines, kind, &g->queries);
    gather(to + words, g->source + words, stride, panel, lines, kind, &g->keys);
    gather(to + 2 * words, g->source + 2 * words, stride, panel, dim, g->qkv->paired ? LINE_HALF : LINE_FP32, &g->keys);
}

static void scatter_chunk(void *context, int worker, int panel)
{
    const struct regrouping *g = context;
    const size_t stride = g->y->stride, lines = stride / LANES;
    uint32_t *to = g->destination + (size_t)panel * stride;
    (void)worker;
    for (size_t line = 0; line < lines; line++)
        for (int lane = 0; lane < LANES && panel * LANES + lane < g->tokens; lane++) {
            const int r = g->row[panel * LANES + lane];
            to[line * LANES + (size_t)lane] = g->out[(size_t)(r / LANES) * stride + line * LANES + (size_t)(r % LANES)];
        }
}

static void attend_chunk(void *context, int worker, int chunk)
{
    const struct regrouping *g = context;
    const struct kernels *kernels = g->ex->kernels;
    const int part = chunk % g->query_groups, head = chunk / g->query_groups % g->args->heads;
    const struct window *w = &g->windows[chunk / g->query_groups / g->args->heads];
    const int panels = panels_of(g->args->kind == ATTENTION_WINDOW ? w->tokens : g->queries.count);
    const int first = part * g->each;
    if (first >= panels)
        return;
    const struct attention a = {.qkv = g->q_k_v + (size_t)w->panel * g->qkv->stride,
                                .qkv_stride = g->qkv->stride,
                                .out = g->out + (size_t)w->panel * g->y->stride,
                                .out_stride = g->y->stride,
                                .tokens = w->tokens,
                                .heads = g->args->heads,
                                .head_dim = g->args->head_dim,
                                .grid_w = g->args->grid_w,
                                .key_log2 = g->key_log2};
    kernels->attention(&a, head, first, panels - first < g->each ? panels - first : g->each, g->ex->scratch[worker]);
}

/* ---- who goes where ---- */

static void rows_of_tokens(struct rows *rows, int tokens)
{
    rows->count = tokens;
    for (int t = 0; t < tokens; t++)
        rows->start[t] = rows->member[t] = t;
    rows->start[tokens] = tokens;
}

/* Rows are groups; members in the order of the tokens. */
static void rows_of_groups(struct rows *rows, const int *group, int count, int tokens)
{
    rows->count = count;
    memset(rows->start, 0, (size_t)(count + 1) * sizeof *rows->start);
    for (int t = 0; t < tokens; t++)
        rows->start[group[t] + 1]++;
    for (int r = 0; r < count; r++)
        rows->start[r + 1] += rows->start[r];
    for (int t = 0; t < tokens; t++) /* fills from the front, moving each start to the next one */
        rows->member[rows->start[group[t]]++] = t;
    for (int r = count; r > 0; r--)
        rows->start[r] = rows->start[r - 1];
    rows->start[0] = 0;
}

static void arrange_windows(struct regrouping *g)
{
    int panel = 0, largest = 0;
    memset(g->windows, 0, (size_t)g->window_count * sizeof *g->windows);
    for (int t = 0; t < g->tokens; t++) {
        g->group[t] = token_window(g->args, t);
        g->windows[g->group[t]].tokens++;
    }
    for (int w = 0; w < g->window_count; w++) {
        g->windows[w].panel = panel;
        g->next[w] = panel * LANES;
        panel += panels_of(g->windows[w].tokens);
        largest = g->windows[w].tokens > largest ? g->windows[w].tokens : largest;
    }
    /* a token's row is its rank in its window; the lanes between windows stay empty */
    struct rows *rows = &g->queries;
    rows->count = panel * LANES;
    memset(rows->start, 0, (size_t)(rows->count + 1) * sizeof *rows->start);
    for (int t = 0; t < g->tokens; t++) {
        g->row[t] = g->next[g->group[t]]++;
        rows->start[g->row[t] + 1] = 1;
    }
    for (int r = 0; r < rows->count; r++)
        rows->start[r + 1] += rows->start[r];
    for (int t = 0; t < g->tokens; t++)
        rows->member[rows->start[g->row[t]]] = t;
    g->keys = *rows;
    g->panels = panel;
    g->query_groups = largest;
}

static void arrange_groups(struct regrouping *g)
{
    const size_t dim = (size_t)g->args->heads * (size_t)g->args->head_dim;
    const bool merge = g->args->kind == ATTENTION_MERGE;
    int count;
    if (merge) {
        for (int t = 0; t < g->tokens; t++) {
            const uint32_t *panel = g->source + (size_t)(t / LANES) * g->qkv->stride;
            for (size_t c = 0; c < dim; c++) {
                const size_t column = dim + c;
                union {
                    uint32_t u;
                    float f;
                } v = {panel[(g->qkv->paired ? column / 2 : column) * LANES + (size_t)(t % LANES)]};
                g->plain_keys[(size_t)t * dim + c] = g->qkv->paired ? bf16_value(column % 2 ? v.u >> 16 : v.u & 0xffff) : v.f;
            }
        }
        count = token_groups_merge(g->group, g->args, g->plain_keys, dim, g->matching);
    } else
        count = token_groups_pool(g->group, g->args);
    rows_of_groups(&g->keys, g->group, count, g->tokens);
    if (merge)
        g->queries = g->keys;
    else
        rows_of_tokens(&g->queries, g->tokens);
    for (int r = 0; r < count; r++)
        g->key_log2[r] = log2f((float)(g->keys.start[r + 1] - g->keys.start[r]));
    for (int t = 0; t < g->tokens; t++)
        g->row[t] = merge ? g->group[t] : t;
    g->windows[0] = (struct window){.panel = 0, .tokens = count};
    g->panels = panels_of(g->queries.count > count ? g->queries.count : count);
    g->query_groups = g->queries.count;
}

/* ---- the operation ---- */

/* Pieces of one temporary block, one behind the other. */
static void *piece(size_t *used, char *base, size_t bytes)
{
    void *p = base ? base + *used : NULL;
    *used += (bytes + 63) / 64 * 64;
    return p;
}

/* Lays out what a regrouping needs from `base` on (NULL: only counts) and returns the bytes. */
static size_t lay_out(struct regrouping *g, char *base)
{
    const bool window = g->args->kind == ATTENTION_WINDOW, merge = g->args->kind == ATTENTION_MERGE;
    const size_t tokens = (size_t)g->tokens, dim = (size_t)g->args->heads * (size_t)g->args->head_dim;
    const size_t windows = window ? (size_t)token_window_count(g->args) : 1;
    const size_t panels = (size_t)panels_of(g->tokens) + (window ? windows : 0), rows = panels * LANES;
    size_t used = 0;
    g->window_count = (int)windows;
    g->queries.start = piece(&used, base, (rows + 1) * sizeof(int));
    g->queries.member = piece(&used, base, rows * sizeof(int));
    g->keys.start = piece(&used, base, (rows + 1) * sizeof(int));
    g->keys.member = piece(&used, base, rows * sizeof(int));
    g->row = piece(&used, base, tokens * sizeof(int));
    g->group = piece(&used, base, tokens * sizeof(int));
    g->next = piece(&used, base, windows * sizeof(int));
    g->windows = piece(&used, base, windows * sizeof *g->windows);
    g->key_log2 = window ? NULL : piece(&used, base, tokens * sizeof *g->key_log2);
    g->plain_keys = merge ? piece(&used, base, tokens * dim * sizeof *g->plain_keys) : NULL;
    g->matching = merge ? piece(&used, base, token_groups_scratch(g->args)) : NULL;
    g->q_k_v = piece(&used, base, panels * g->qkv->stride * sizeof *g->q_k_v);
    g->out = piece(&used, base, panels * g->y->stride * sizeof *g->out);
    return used;
}

void cpu_attention_grouped(struct cpu_exec *ex, struct span span, struct buf *y, const struct buf *qkv,
                           const struct attention_args *a)
{
    const int threads = pool_threads(ex->pool);
    struct cpu_temp *temp = &ex->temps[span.lane ? ((const struct cpu_lane *)span.lane)->worker : threads];
    struct regrouping g = {
        .ex = ex, .args = a, .qkv = (const struct cpu_buf *)qkv, .y = (const struct cpu_buf *)y, .tokens = qkv->tokens};
    const size_t bytes = lay_out(&g, NULL);
    if (bytes > temp->bytes) {
        pages_free(temp->p, temp->bytes);
        temp->p = pages_alloc(bytes);
        temp->bytes = temp->p ? bytes : 0;
    }
    if (!temp->p) {
        temp->failed = true;
        return;
    }
    lay_out(&g, temp->p);
    for (int person = span.first; person < span.first + span.count; person++) {
        g.source = buf_person(qkv, person);
        g.destination = buf_person(y, person);
        if (a->kind == ATTENTION_WINDOW)
            arrange_windows(&g);
        else
            arrange_groups(&g);
        g.each = cpu_attention_panels(ex, span, panels_of(g.query_groups), g.window_count * a->heads);
        g.query_groups = (panels_of(g.query_groups) + g.each - 1) / g.each; /* of the tokens of the largest window */
        cpu_chunks(&ex->base, span, g.panels, gather_chunk, &g);
        cpu_chunks(&ex->base, span, g.window_count * a->heads * g.query_groups, attend_chunk, &g);
        cpu_chunks(&ex->base, span, g.y->panels, scatter_chunk, &g);
    }
}
