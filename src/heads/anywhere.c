/* SPDX-License-Identifier: MIT */
/* heads/anywhere.c - see heads/anywhere.h. People are averaged in their image, images are the sample, as in heads/stats.c. */
#include "heads/anywhere.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

enum { R, PARTIAL, MOVED, SWAPPED, OVER_MOVED, OVER_SWAPPED, MASS, SHARE, PER_CLASS };

limber_status anywhere_open(struct anywhere *a, const struct heads_shape *shape, int boundaries, const struct heads_grid *grid,
                            limber_error *err)
{
    const size_t tokens = (size_t)grid->tokens, classes = (size_t)shape->classes;
    *a = (struct anywhere){.grid = grid,
                           .heads = (size_t)shape->layers * (size_t)shape->heads,
                           .width = classes * PER_CLASS,
                           .heads_a_layer = shape->heads,
                           .classes = shape->classes,
                           .boundaries = boundaries,
                           .include_self = shape->include_self,
                           .seed = shape->seed};
    memcpy(a->mirror, shape->mirror, sizeof a->mirror);
    const bool fine = heads_stream_open(&a->stream, a->heads, a->width, shape->replicates);
    a->sum = calloc(a->heads * a->width, sizeof *a->sum);
    a->count = calloc(a->width, sizeof *a->count);
    a->present = calloc(a->width, sizeof *a->present);
    a->r_near = malloc(tokens * sizeof *a->r_near);
    a->keys = malloc(2 * tokens * sizeof *a->keys);
    a->r_mask_near = malloc(tokens * sizeof *a->r_mask_near);
    a->nulls = malloc(2 * a->heads * sizeof *a->nulls);
    if (fine && a->sum && a->count && a->present && a->r_near && a->keys && a->r_mask_near && a->nulls)
        return LIMBER_OK;
    const size_t heads = a->heads;
    anywhere_close(a);
    return limber_fail(err, LIMBER_E_MEMORY, "heads: no memory for %d replicates of %zu heads", shape->replicates, heads);
}

void anywhere_close(struct anywhere *a)
{
    heads_stream_close(&a->stream);
    free(a->sum);
    free(a->count);
    free(a->present);
    free(a->r_near);
    free(a->keys);
    free(a->r_mask_near);
    free(a->nulls);
    *a = (struct anywhere){0};
}

/* ---- one person ---- */

/* A column: a mask, and where the mass on it lies in the sums. */
struct column {
    const uint8_t *masks; /* [tokens] */
    int bit;
};

static struct column column_of(const struct anywhere *a, const struct heads_columns *columns, int j)
{
    return (struct column){columns->masks + (size_t)(j / 8) * (size_t)a->grid->tokens, j % 8};
}

/* What geometry says of the row of each query. Returns whether there is a row that can be asked. */
static bool geometry(const struct anywhere *a, struct heads_keys *keys, const struct column *c)
{
    const struct heads_grid *g = a->grid;
    int size = 0;
    for (int i = 0; i < g->tokens; i++)
        size += c->masks[i] >> c->bit & 1;
    for (int i = 0; i < g->tokens; i++)
        keys[i] = (struct heads_keys){.n = g->tokens - !a->include_self,
                                      .k = size - ((c->masks[i] >> c->bit & 1) && !a->include_self),
                                      .sum_d = g->sum_d[i],
                                      .sum_d2 = g->sum_d2[i]};
    return size >= 2 && size < g->tokens;
}

static bool askable(const struct heads_keys *keys)
{
    return keys->k > 0 && keys->k < keys->n;
}

/* Mean z over all queries. */
static double mean_z(const struct anywhere *a, const struct heads_keys *keys, int bit, const float *rows)
{
    double sum = 0;
    int n = 0;
    for (int i = 0; i < a->grid->tokens; i++) {
        if (!askable(&keys[i]))
            continue;
        const float *row = rows + (size_t)i * HEADS_SUMS;
        sum += atanh(heads_r_mask(row, &keys[i], (double)row[4 + bit]));
        n++;
    }
    return n ? sum / n : 0;
}

static void own_rows(const struct anywhere *a, const struct heads_keys *keys, const double *r_mask_near, int bit,
                     const float *rows, double out[PER_CLASS])
{
    int n = 0;
    for (int i = 0; i < a->grid->tokens; i++) {
        if (!askable(&keys[i]))
            continue;
        const float *row = rows + (size_t)i * HEADS_SUMS;
        const double p = (double)row[0], mass = (double)row[4 + bit], r = heads_r_mask(row, &keys[i], mass);
        out[R] += atanh(r);
        out[PARTIAL] += atanh(heads_partial(r, a->r_near[i], r_mask_near[i]));
        out[MASS] += p > HEADS_LOOKS ? mass / p : 0;
        out[SHARE] += keys[i].k / keys[i].n;
        n++;
    }
    const int means[] = {R, PARTIAL, MASS, SHARE};
    for (size_t q = 0; q < sizeof means / sizeof *means; q++)
        out[means[q]] /= n ? n : 1;
}

/* Rows of one copy of one head. */
static const float *rows_of(const struct anywhere *a, const float *const *sums, size_t head, int copy)
{
    const size_t in_layer = (size_t)a->heads_a_layer, tokens = (size_t)a->grid->tokens;
    return sums[head / in_layer] + ((size_t)copy * in_layer + head % in_layer) * tokens * HEADS_SUMS;
}

static void add_class(struct anywhere *a, const struct heads_columns *columns, const float *const *sums, int class)
{
    const struct heads_grid *g = a->grid;
    struct column own = column_of(a, columns, class);
    double *moved = a->nulls, *swapped = moved + a->heads;
    int moves = 0, swaps = 0;
    if (!geometry(a, a->keys, &own))
        return;
    memset(moved, 0, 2 * a->heads * sizeof *moved);
    for (int j = a->classes; j < columns->count; j++) { /* behind the person's own */
        struct heads_keys *keys = a->keys + g->tokens;
        const struct column c = column_of(a, columns, j);
        const bool is_moved = columns->column[j].role == HEADS_MOVED;
        if (columns->column[j].class != class || !geometry(a, keys, &c))
            continue;
        moves += is_moved;
        swaps += !is_moved;
        for (size_t h = 0; h < a->heads; h++)
            (is_moved ? moved : swapped)[h] += mean_z(a, keys, c.bit, rows_of(a, sums, h, j / 8));
    }
    for (int i = 0; i < g->tokens; i++) {
        for (int k = 0; k < g->tokens; k++)
            a->keys[i].mask_d += own.masks[k] >> own.bit & 1 ? heads_distance(g, i, k) : 0;
        a->r_mask_near[i] = askable(&a->keys[i]) ? heads_r_mask_near(&a->keys[i]) : 0;
    }
    int64_t *count = a->count + (size_t) class * PER_CLASS;
    for (size_t h = 0; h < a->heads; h++) {
        double v[PER_CLASS] = {0}, *sum = a->sum + h * a->width + (size_t) class * PER_CLASS;
        const float *rows = rows_of(a, sums, h, class / 8);
        for (int i = 0; i < g->tokens; i++)
            a->r_near[i] = heads_r_near(rows + (size_t)i * HEADS_SUMS, &a->keys[i]);
        own_rows(a, a->keys, a->r_mask_near, own.bit, rows, v);
        v[MOVED] = moves ? moved[h] / moves : 0;
        v[SWAPPED] = swaps ? swapped[h] / swaps : 0;
        v[OVER_MOVED] = moves ? v[R] - v[MOVED] : 0;
        v[OVER_SWAPPED] = swaps ? v[R] - v[SWAPPED] : 0;
        for (int q = 0; q < PER_CLASS; q++)
            sum[q] += v[q];
    }
    for (int q = 0; q < PER_CLASS; q++)
        count[q] += q == MOVED || q == OVER_MOVED ? moves > 0 : q == SWAPPED || q == OVER_SWAPPED ? swaps > 0 : 1;
}

void anywhere_person(struct anywhere *a, const struct heads_columns *columns, const float *const *sums)
{
    for (int c = 0; c < a->classes; c++)
        add_class(a, columns, sums, c);
}

/* ---- images ---- */

void anywhere_forget(struct anywhere *a)
{
    memset(a->sum, 0, a->heads * a->width * sizeof *a->sum);
    memset(a->count, 0, a->width * sizeof *a->count);
}

void anywhere_image(struct anywhere *a, uint64_t image)
{
    bool any = false;
    for (size_t w = 0; w < a->width; w++) {
        a->present[w] = a->count[w] > 0;
        any = any || a->present[w];
    }
    for (size_t h = 0; h < a->heads; h++)
        for (size_t w = 0; w < a->width; w++)
            if (a->present[w])
                a->sum[h * a->width + w] /= (double)a->count[w];
    if (any)
        heads_stream_add(&a->stream, a->sum, a->present, a->seed, image);
    anywhere_forget(a);
}

/* ---- what it all says ---- */

static void summarise_class(const struct anywhere *a, limber_heads_any *out, size_t head, size_t class, double *scratch)
{
    const struct heads_stream *s = &a->stream;
    const size_t first = class * PER_CLASS;
    limber_heads_estimate *const to[] = {&out->r,         &out->partial,    &out->r_moved,
                                         &out->r_swapped, &out->over_moved, &out->over_swapped};
    *out = (limber_heads_any){.p_moved = 1, .p_swapped = 1, .p = 1, .q = 1};
    for (size_t q = 0; q < sizeof to / sizeof *to; q++)
        *to[q] = heads_stream_estimate(s, head, first + q, true, scratch);
    if (!out->r.images)
        return;
    out->mass = s->mean[head * s->width + first + MASS];
    out->share = s->mean[head * s->width + first + SHARE];
    out->lift = out->mass / out->share;
    out->tested = out->over_moved.images > 1 && out->over_swapped.images > 1;
    if (!out->tested)
        return;
    out->p_moved = heads_stream_p(s, head, first + OVER_MOVED);
    out->p_swapped = heads_stream_p(s, head, first + OVER_SWAPPED);
    out->p = fmax(out->p_moved, out->p_swapped);
}

/* Is the lift clearly above those of the classes first .. end - 1, but for itself and its mirror? */
static bool stands_out(const struct anywhere *a, const limber_heads_any *any, int class, int first, int end)
{
    for (int b = first; b < end; b++)
        if (b != class && b != a->mirror[class] && any[class].lift < LIMBER_HEADS_MIN_LIFT * any[b].lift)
            return false;
    return true;
}

/* A boundary is everybody's: its reader looks at every limb, and at none of them, on average, as at the boundary. */
static bool of_whole_person(const limber_heads_any *any, int class, int limbs)
{
    double sum = 0;
    int n = 0;
    for (int b = 0; b < limbs; b++)
        if (any[b].r.images) {
            if (any[b].lift < 1)
                return false;
            sum += any[b].lift;
            n++;
        }
    return n && any[class].lift >= LIMBER_HEADS_MIN_LIFT * sum / n;
}

static bool is_reader(const struct anywhere *a, const limber_heads_any *any, int class)
{
    const limber_heads_any *k = &any[class];
    const int limbs = a->classes - a->boundaries;
    if (!(k->tested && k->q <= LIMBER_HEADS_MAX_Q && k->over_moved.mean >= LIMBER_HEADS_MIN_GAIN &&
          k->over_swapped.mean >= LIMBER_HEADS_MIN_GAIN && k->partial.mean > 0 && k->lift >= LIMBER_HEADS_MIN_LIFT))
        return false;
    return class < limbs ? stands_out(a, any, class, 0, a->classes)
                         : of_whole_person(any, class, limbs) && stands_out(a, any, class, limbs, a->classes);
}

limber_status anywhere_summarise(const struct anywhere *a, limber_heads_head *heads, limber_error *err)
{
    const size_t classes = (size_t)a->classes, n = a->heads * classes;
    double *scratch = calloc((size_t)a->stream.replicates + 2 * n + 1, sizeof *scratch), *p = scratch, *q = scratch + n;
    int *order = malloc(n * sizeof *order), tests = 0;
    if (!scratch || !order) {
        free(scratch);
        free(order);
        return limber_fail(err, LIMBER_E_MEMORY, "heads: no memory for what %zu heads read from anywhere", a->heads);
    }
    for (size_t i = 0; i < n; i++)
        summarise_class(a, &heads[i / classes].any[i % classes], i / classes, i % classes, scratch + 2 * n);
    for (size_t i = 0; i < n; i++)
        if (heads[i / classes].any[i % classes].tested)
            p[tests++] = heads[i / classes].any[i % classes].p;
    heads_adjust(q, p, order, tests);
    tests = 0;
    for (size_t i = 0; i < n; i++)
        if (heads[i / classes].any[i % classes].tested)
            heads[i / classes].any[i % classes].q = q[tests++];
    for (size_t i = 0; i < n; i++)
        heads[i / classes].any[i % classes].reader = is_reader(a, heads[i / classes].any, (int)(i % classes));
    free(scratch);
    free(order);
    return LIMBER_OK;
}
