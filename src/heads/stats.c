/* SPDX-License-Identifier: MIT */
/* heads/stats.c - correlations of attention rows, and what is left of them over many images.
 *
 *   row      sums over the keys -> r_limb, r_near, partial (heads_r_mask and its neighbours)
 *   person   mean of atanh r over the rows of each limb, for every layer and head
 *   image    mean over its people
 *   all      a stream of heads/chance.c. Constant memory in the number of images.
 *
 * Fears. Differences of nearly equal sums: rows that are flat to single precision have no correlation, and are told by
 * HEADS_FLAT before anything is divided. Masks without a patch, or with all of them: such a row is not asked. Every quotient has
 * a guard, so that finite sums never make a NaN. */
#include "heads/stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "heads/chance.h"

/* ---- the grid ---- */

limber_status heads_grid_open(struct heads_grid *g, int h, int w, limber_error *err)
{
    *g = (struct heads_grid){.h = h, .w = w, .tokens = h * w};
    size_t tokens = (size_t)g->tokens;
    g->distance = malloc(3 * tokens * sizeof *g->distance);
    if (!g->distance)
        return limber_fail(err, LIMBER_E_MEMORY, "heads: no memory for a grid of %dx%d patches", w, h);
    g->sum_d = g->distance + tokens;
    g->sum_d2 = g->sum_d + tokens;
    for (int r = 0; r < h; r++)
        for (int c = 0; c < w; c++)
            g->distance[r * w + c] = sqrt((double)r * r + (double)c * c);
    for (int i = 0; i < g->tokens; i++) {
        double sum = 0, sum2 = 0;
        for (int j = 0; j < g->tokens; j++) {
            double d = heads_distance(g, i, j);
            sum += d;
            sum2 += d * d;
        }
        g->sum_d[i] = sum;
        g->sum_d2[i] = sum2;
    }
    return LIMBER_OK;
}

void heads_grid_close(struct heads_grid *g)
{
    free(g->distance);
    *g = (struct heads_grid){0};
}

double heads_distance(const struct heads_grid *g, int i, int j)
{
    return g->distance[abs(i / g->w - j / g->w) * g->w + abs(i % g->w - j % g->w)];
}

/* ---- one row ---- */

static double clamp(double x, double limit)
{
    return x > limit ? limit : x < -limit ? -limit : x;
}

/* n times the variance of p over the keys; 0 for a row without shape. */
static double row_variance(const float *sums, double n)
{
    double p = (double)sums[0], flat = p * p / n, v = (double)sums[1] - flat;
    return p > HEADS_LOOKS && v > HEADS_FLAT * flat ? v : 0;
}

static double correlation(double covariance, double variance_a, double variance_b)
{
    return variance_a > 0 && variance_b > 0 ? clamp(covariance / sqrt(variance_a * variance_b), HEADS_MAX_R) : 0;
}

double heads_r_mask(const float *sums, const struct heads_keys *keys, double mass)
{
    return correlation(mass - (double)sums[0] * keys->k / keys->n, row_variance(sums, keys->n),
                       keys->k * (1 - keys->k / keys->n));
}

double heads_r_near(const float *sums, const struct heads_keys *keys)
{
    return correlation((double)sums[0] * keys->sum_d / keys->n - (double)sums[2], row_variance(sums, keys->n),
                       keys->sum_d2 - keys->sum_d * keys->sum_d / keys->n);
}

double heads_r_mask_near(const struct heads_keys *keys)
{
    return correlation(keys->k * keys->sum_d / keys->n - keys->mask_d, keys->k * (1 - keys->k / keys->n),
                       keys->sum_d2 - keys->sum_d * keys->sum_d / keys->n);
}

double heads_partial(double r_limb, double r_near, double r_mask_near)
{
    double rest = (1 - r_near * r_near) * (1 - r_mask_near * r_mask_near); /* at least 4e-12: all three are clamped */
    return clamp((r_limb - r_near * r_mask_near) / sqrt(rest), HEADS_MAX_R);
}

/* ---- people of one image ---- */

/* What is kept of a class, and of a head; all z where the header says correlation. */
enum { LIMB, NEAR, PARTIAL, MOVED, SWAPPED, OVER_MOVED, OVER_SWAPPED, SIDE, PER_CLASS };
enum { HEAD_NEAR, HEAD_DISTANCE, HEAD_REACH, HEAD_ENTROPY, HEAD_SELF, HEAD_FOCUSED, HEAD_EXPLORING, PER_HEAD };
enum { PAIR_R, PAIR_PARTIAL, PAIR_MASS, PAIR_SHARE, PAIR_OVER, PAIR_OVER_MOVED, PER_PAIR };
#define OF_ROWS PAIR_OVER /* those before it are means over rows of one body */

struct sums {       /* over the people of the image so far */
    double *value;  /* [heads of all layers][width] */
    int64_t *count; /* [width] people */
    bool *present;  /* [width]: scratch of heads_stats_image */
    size_t heads, width;
};

struct heads_stats {
    struct heads_shape shape;
    const struct heads_grid *grid;
    size_t heads;     /* of all layers */
    double *rank_sum; /* [heads]: of reach among the heads of the layer, over images */
    struct heads_stream single, pair;
    struct sums single_sums, pair_sums;
    limber_heads_example *best, *lot;             /* [heads][classes] */
    limber_heads_example *image_best, *image_lot; /* of this image, person by person */
    uint64_t *lot_rank;                           /* [heads][classes]: the lowest hash wins */
    int image_people;                             /* used, of this image */
    int64_t image_class_people[LIMBER_HEADS_MAX_CLASSES];
    int64_t images, people, class_people[LIMBER_HEADS_MAX_CLASSES];
    struct row_keys *keys, *swapped_keys; /* [tokens]: of the person at hand, and of the body it is swapped with */
    uint8_t *swapped;                     /* [tokens]: that body's masks */
};

/* What geometry says of the row of query i for each class of one body. */
struct row_keys {
    struct heads_keys keys[LIMBER_HEADS_MAX_CLASSES];
    double r_mask_near[LIMBER_HEADS_MAX_CLASSES];
    bool asked[LIMBER_HEADS_MAX_CLASSES]; /* 0 < k < n */
};

static bool sums_open(struct sums *s, size_t heads, size_t width)
{
    s->heads = heads;
    s->width = width;
    s->value = calloc(heads * width, sizeof *s->value);
    s->count = calloc(width, sizeof *s->count);
    s->present = calloc(width, sizeof *s->present);
    return s->value && s->count && s->present;
}

static void sums_close(struct sums *s)
{
    free(s->value);
    free(s->count);
    free(s->present);
}

static void sums_clear(struct sums *s)
{
    memset(s->value, 0, s->heads * s->width * sizeof *s->value);
    memset(s->count, 0, s->width * sizeof *s->count);
}

/* Mean over the people, into the stream. */
static void sums_flush(struct sums *s, struct heads_stream *stream, uint64_t seed, uint64_t image)
{
    for (size_t w = 0; w < s->width; w++)
        s->present[w] = s->count[w] > 0;
    for (size_t h = 0; h < s->heads; h++)
        for (size_t w = 0; w < s->width; w++)
            if (s->present[w])
                s->value[h * s->width + w] /= (double)s->count[w];
    heads_stream_add(stream, s->value, s->present, seed, image);
    sums_clear(s);
}

limber_status heads_stats_open(struct heads_stats **out, const struct heads_shape *shape, const struct heads_grid *grid,
                               limber_error *err)
{
    struct heads_stats *hs = calloc(1, sizeof *hs);
    *out = hs;
    if (!hs)
        return limber_fail(err, LIMBER_E_MEMORY, "heads: no memory");
    size_t classes = (size_t)shape->classes, width = classes * PER_CLASS + PER_HEAD, pairs = classes * classes * PER_PAIR;
    hs->shape = *shape;
    hs->grid = grid;
    hs->heads = (size_t)shape->layers * (size_t)shape->heads;
    size_t examples = hs->heads * classes;
    bool fine = heads_stream_open(&hs->single, hs->heads, width, shape->replicates);
    fine = heads_stream_open(&hs->pair, hs->heads, pairs, 0) && fine;
    fine = sums_open(&hs->single_sums, hs->heads, width) && fine;
    fine = sums_open(&hs->pair_sums, hs->heads, pairs) && fine;
    hs->best = calloc(4 * examples, sizeof *hs->best);
    hs->rank_sum = calloc(hs->heads, sizeof *hs->rank_sum);
    hs->keys = calloc((size_t)grid->tokens, sizeof *hs->keys);
    hs->swapped_keys = calloc((size_t)grid->tokens, sizeof *hs->swapped_keys);
    hs->swapped = calloc((size_t)grid->tokens, sizeof *hs->swapped);
    hs->lot_rank = malloc(examples * sizeof *hs->lot_rank);
    if (!fine || !hs->best || !hs->rank_sum || !hs->lot_rank || !hs->keys || !hs->swapped_keys || !hs->swapped) {
        heads_stats_close(out);
        return limber_fail(err, LIMBER_E_MEMORY, "heads: no memory for %d replicates of %zu heads", shape->replicates,
                           (size_t)shape->layers * (size_t)shape->heads);
    }
    hs->lot = hs->best + examples;
    hs->image_best = hs->lot + examples;
    hs->image_lot = hs->image_best + examples;
    for (size_t i = 0; i < 4 * examples; i++)
        hs->best[i].image = -1;
    for (size_t i = 0; i < examples; i++)
        hs->lot_rank[i] = UINT64_MAX;
    return LIMBER_OK;
}

void heads_stats_close(struct heads_stats **out)
{
    if (!out || !*out)
        return;
    struct heads_stats *hs = *out;
    heads_stream_close(&hs->single);
    heads_stream_close(&hs->pair);
    sums_close(&hs->single_sums);
    sums_close(&hs->pair_sums);
    free(hs->best);
    free(hs->rank_sum);
    free(hs->lot_rank);
    free(hs->keys);
    free(hs->swapped_keys);
    free(hs->swapped);
    free(hs);
    *out = NULL;
}

static int mask_size(const uint8_t *masks, int tokens, int bit)
{
    int n = 0;
    for (int i = 0; i < tokens; i++)
        n += masks[i] >> bit & 1;
    return n;
}

bool heads_stats_usable(const struct heads_columns *columns, int classes, int tokens)
{
    for (int c = 0; c < classes; c++) {
        int n = mask_size(columns->masks, tokens, c);
        if (n >= 2 && n < tokens)
            return true;
    }
    return false;
}

/* Keys a row of query i sees, and how many of them lie in a mask of `size` patches that has or has not i in it. */
static struct heads_keys row_geometry(const struct heads_stats *hs, int i, int size, bool member)
{
    const struct heads_grid *g = hs->grid;
    bool self = hs->shape.include_self;
    return (struct heads_keys){
        .n = g->tokens - !self, .k = size - (member && !self), .sum_d = g->sum_d[i], .sum_d2 = g->sum_d2[i]};
}

static bool askable(const struct heads_keys *keys)
{
    return keys->k > 0 && keys->k < keys->n;
}

/* The rows that lie in a class, and every class as their keys. */
static void body_geometry(const struct heads_stats *hs, struct row_keys *keys, const uint8_t *masks)
{
    int tokens = hs->grid->tokens;
    for (int c = 0; c < hs->shape.classes; c++) {
        int size = mask_size(masks, tokens, c);
        for (int i = 0; i < tokens; i++) {
            struct row_keys *row = &keys[i];
            row->keys[c] = row_geometry(hs, i, size, masks[i] >> c & 1);
            row->asked[c] = masks[i] && askable(&row->keys[c]);
            if (!row->asked[c])
                continue;
            for (int j = 0; j < tokens; j++)
                if (masks[j] >> c & 1)
                    row->keys[c].mask_d += heads_distance(hs->grid, i, j);
            row->r_mask_near[c] = heads_r_mask_near(&row->keys[c]);
        }
    }
}

/* Mean z of r_limb over the rows of a moved mask; false where it has no row. */
static bool moved_mean(const struct heads_stats *hs, const uint8_t *masks, int bit, const float *rows, double *mean)
{
    int tokens = hs->grid->tokens, n = 0, size = mask_size(masks, tokens, bit);
    double sum = 0;
    for (int i = 0; i < tokens; i++) {
        if (!(masks[i] >> bit & 1))
            continue;
        struct heads_keys keys = row_geometry(hs, i, size, true);
        if (!askable(&keys))
            continue;
        const float *row = rows + (size_t)i * HEADS_SUMS;
        sum += atanh(heads_r_mask(row, &keys, (double)row[4 + bit]));
        n++;
    }
    *mean = n ? sum / n : 0;
    return n > 0;
}

/* One head, one body: means over the rows of each class. */
struct person_sums {
    double pair[LIMBER_HEADS_MAX_CLASSES][LIMBER_HEADS_MAX_CLASSES][PER_PAIR];
    double near[LIMBER_HEADS_MAX_CLASSES];
    int rows[LIMBER_HEADS_MAX_CLASSES][LIMBER_HEADS_MAX_CLASSES];
};

/* Mean z of pairs under masks that were moved, over moves. */
struct moved_pairs {
    double sum[LIMBER_HEADS_MAX_CLASSES][LIMBER_HEADS_MAX_CLASSES];
    int moves[LIMBER_HEADS_MAX_CLASSES][LIMBER_HEADS_MAX_CLASSES];
};

/* One body: its masks, what geometry says of them, and where the mass on each class lies (copy and bit of a column). */
struct body {
    const uint8_t *masks;
    const struct row_keys *keys;
    int column[LIMBER_HEADS_MAX_CLASSES]; /* -1: the class is not there */
};

/* rows: [copies][...][tokens][HEADS_SUMS] of this head, `copy` floats from one to the next. */
static void body_rows(const struct heads_stats *hs, const struct body *body, const float *rows, size_t copy,
                      struct person_sums *out)
{
    int tokens = hs->grid->tokens, classes = hs->shape.classes;
    for (int i = 0; i < tokens; i++) {
        const float *row = rows + (size_t)i * HEADS_SUMS;
        const struct row_keys *geometry = &body->keys[i];
        const struct heads_keys *keys = &geometry->keys[0]; /* n and the distances are the same for all classes */
        if (!body->masks[i])
            continue;
        double p = (double)row[0], z_near, r_near = heads_r_near(row, keys);
        bool looks = p > HEADS_LOOKS;
        z_near = atanh(r_near);
        for (int b = 0; b < classes; b++) {
            if (!geometry->asked[b])
                continue;
            int column = body->column[b];
            double mass = (double)row[(size_t)(column / 8) * copy + 4 + (size_t)(column % 8)];
            double r = heads_r_mask(row, &geometry->keys[b], mass);
            const double add[PER_PAIR] = {
                [PAIR_R] = atanh(r),
                [PAIR_PARTIAL] = atanh(heads_partial(r, r_near, geometry->r_mask_near[b])),
                [PAIR_MASS] = looks ? mass / p : 0,
                [PAIR_SHARE] = geometry->keys[b].k / keys->n,
            };
            for (int a = 0; a < classes; a++) {
                if (!(body->masks[i] >> a & 1))
                    continue;
                for (int q = 0; q < OF_ROWS; q++)
                    out->pair[a][b][q] += add[q];
                out->rows[a][b]++;
                out->near[a] += a == b ? z_near : 0;
            }
        }
    }
    for (int a = 0; a < classes; a++) {
        for (int b = 0; b < classes; b++)
            for (int q = 0; q < OF_ROWS; q++)
                out->pair[a][b][q] /= out->rows[a][b] ? out->rows[a][b] : 1;
        out->near[a] /= out->rows[a][a] ? out->rows[a][a] : 1;
    }
}

/* Column j, class b moved, as the keys of each other class moved by as much: the two keep the places they have to each other. Rows that
 * would leave the grid are not asked. masks: of the column's copy; own: the person's. */
static void moved_rows(const struct heads_stats *hs, const struct heads_columns *columns, int j, const uint8_t *own,
                       const uint8_t *masks, const float *rows, struct moved_pairs *out)
{
    const struct heads_grid *g = hs->grid;
    const int tokens = g->tokens, bit = j % 8, size = mask_size(masks, tokens, bit), b = columns->column[j].class;
    double sum[LIMBER_HEADS_MAX_CLASSES] = {0};
    int n[LIMBER_HEADS_MAX_CLASSES] = {0};
    for (int i = 0; i < tokens; i++) {
        const int r = i / g->w + columns->column[j].down, c = i % g->w + columns->column[j].right;
        if (!own[i] || r < 0 || r >= g->h || c < 0 || c >= g->w)
            continue;
        const int to = r * g->w + c;
        const struct heads_keys keys = row_geometry(hs, to, size, masks[to] >> bit & 1);
        if (!askable(&keys))
            continue;
        const float *row = rows + (size_t)to * HEADS_SUMS;
        const double z = atanh(heads_r_mask(row, &keys, (double)row[4 + bit]));
        for (int a = 0; a < hs->shape.classes; a++)
            if (own[i] >> a & 1) {
                sum[a] += z;
                n[a]++;
            }
    }
    for (int a = 0; a < hs->shape.classes; a++)
        if (n[a]) {
            out->sum[a][b] += sum[a] / n[a];
            out->moves[a][b]++;
        }
}

/* All patches of the crop as queries, whatever they show. */
static void head_rows(const struct heads_stats *hs, const float *rows, double out[PER_HEAD])
{
    int tokens = hs->grid->tokens;
    for (int i = 0; i < tokens; i++) {
        const float *row = rows + (size_t)i * HEADS_SUMS;
        struct heads_keys keys = row_geometry(hs, i, 0, false);
        double p = (double)row[0], flat = keys.sum_d / keys.n;
        bool looks = p > HEADS_LOOKS;
        double distance = looks ? (double)row[2] / p : 0, entropy = looks ? log(p) - (double)row[3] / p : 0;
        out[HEAD_NEAR] += atanh(heads_r_near(row, &keys)) / tokens;
        out[HEAD_DISTANCE] += distance / tokens;
        out[HEAD_REACH] += (flat > 0 ? distance / flat : 0) / tokens;
        out[HEAD_ENTROPY] += (keys.n > 1 ? entropy / log(keys.n) : 0) / tokens;
        out[HEAD_SELF] += (hs->shape.include_self ? 0 : 1 - p) / tokens;
    }
    out[HEAD_FOCUSED] = out[HEAD_ENTROPY] < LIMBER_HEADS_FOCUSED;
    out[HEAD_EXPLORING] = out[HEAD_ENTROPY] > LIMBER_HEADS_EXPLORING;
}

/* The body that this person is swapped with, out of its columns. */
static void swapped_body(struct heads_stats *hs, const struct heads_columns *columns)
{
    int tokens = hs->grid->tokens;
    memset(hs->swapped, 0, (size_t)tokens);
    for (int j = 0; j < columns->count; j++) {
        const uint8_t *masks = columns->masks + (size_t)(j / 8) * (size_t)tokens;
        for (int i = 0; columns->column[j].role == HEADS_SWAPPED && i < tokens; i++)
            hs->swapped[i] |= (uint8_t)((masks[i] >> j % 8 & 1) << columns->column[j].class);
    }
    body_geometry(hs, hs->swapped_keys, hs->swapped);
}

static struct body body_of(const uint8_t *masks, const struct row_keys *keys, const struct heads_columns *columns,
                           enum heads_role role)
{
    struct body b = {.masks = masks, .keys = keys};
    for (int c = 0; c < LIMBER_HEADS_MAX_CLASSES; c++)
        b.column[c] = -1;
    for (int j = 0; j < columns->count; j++)
        if (columns->column[j].role == role)
            b.column[columns->column[j].class] = j;
    return b;
}

/* z(partial) on the class itself above that on its mirror image. */
static bool side_of(const struct person_sums *s, int c, int mirror, double *side)
{
    if (mirror < 0 || !s->rows[c][c] || !s->rows[c][mirror])
        return false;
    *side = s->pair[c][c][PAIR_PARTIAL] - s->pair[c][mirror][PAIR_PARTIAL];
    return true;
}

/* What one head and one person give for class c. swapped: the same for the body they are swapped with. */
static void class_means(const struct heads_stats *hs, const struct person_sums *own, const struct person_sums *swapped, int c,
                        double moved_sum, int moved_count, double v[PER_CLASS], bool known[PER_CLASS])
{
    double side, side_swapped;
    if (!own->rows[c][c])
        return;
    known[LIMB] = known[NEAR] = known[PARTIAL] = true;
    v[LIMB] = own->pair[c][c][PAIR_R];
    v[NEAR] = own->near[c];
    v[PARTIAL] = own->pair[c][c][PAIR_PARTIAL];
    if (moved_count) {
        v[MOVED] = moved_sum / moved_count;
        v[OVER_MOVED] = v[LIMB] - v[MOVED];
        known[MOVED] = known[OVER_MOVED] = true;
    }
    if (swapped->rows[c][c]) {
        v[SWAPPED] = swapped->pair[c][c][PAIR_R];
        v[OVER_SWAPPED] = v[LIMB] - v[SWAPPED];
        known[SWAPPED] = known[OVER_SWAPPED] = true;
    }
    if (side_of(own, c, hs->shape.mirror[c], &side) && side_of(swapped, c, hs->shape.mirror[c], &side_swapped)) {
        v[SIDE] = side - side_swapped;
        known[SIDE] = true;
    }
}

static void remember(limber_heads_example *list, bool better, int person, double z)
{
    if (better)
        *list = (limber_heads_example){.image = 0, .person = person, .r_limb = tanh(z)};
}

bool heads_stats_person(struct heads_stats *hs, const struct heads_columns *columns, const float *const *sums, int person)
{
    int tokens = hs->grid->tokens, classes = hs->shape.classes;
    if (!heads_stats_usable(columns, classes, tokens))
        return false;
    body_geometry(hs, hs->keys, columns->masks);
    swapped_body(hs, columns);
    struct body own = body_of(columns->masks, hs->keys, columns, HEADS_OWN);
    struct body swapped = body_of(hs->swapped, hs->swapped_keys, columns, HEADS_SWAPPED);
    size_t heads = (size_t)hs->shape.heads, copy = heads * (size_t)tokens * HEADS_SUMS;
    for (size_t at = 0; at < hs->heads; at++) {
        const float *rows = sums[at / heads] + at % heads * (size_t)tokens * HEADS_SUMS;
        struct person_sums of_own = {0}, of_swapped = {0};
        struct moved_pairs moved = {0};
        double moved_sum[LIMBER_HEADS_MAX_CLASSES] = {0}, head[PER_HEAD] = {0};
        int moved_count[LIMBER_HEADS_MAX_CLASSES] = {0};
        body_rows(hs, &own, rows, copy, &of_own);
        body_rows(hs, &swapped, rows, copy, &of_swapped);
        head_rows(hs, rows, head);
        for (int j = 0; j < columns->count; j++) {
            size_t of = (size_t)(j / 8);
            double mean;
            const uint8_t *masks = columns->masks + of * (size_t)tokens;
            if (columns->column[j].role != HEADS_MOVED || columns->column[j].class >= classes)
                continue;
            moved_rows(hs, columns, j, columns->masks, masks, rows + of * copy, &moved);
            if (!moved_mean(hs, masks, j % 8, rows + of * copy, &mean))
                continue;
            moved_sum[columns->column[j].class] += mean;
            moved_count[columns->column[j].class]++;
        }
        double *single = hs->single_sums.value + at * hs->single_sums.width,
               *pair = hs->pair_sums.value + at * hs->pair_sums.width;
        for (int c = 0; c < classes; c++) {
            double v[PER_CLASS] = {0};
            bool known[PER_CLASS] = {false};
            class_means(hs, &of_own, &of_swapped, c, moved_sum[c], moved_count[c], v, known);
            for (int q = 0; q < PER_CLASS; q++)
                single[c * PER_CLASS + q] += v[q];
            limber_heads_example *best = &hs->image_best[at * (size_t)classes + (size_t)c];
            limber_heads_example *lot = &hs->image_lot[at * (size_t)classes + (size_t)c];
            if (known[LIMB]) {
                remember(best, best->image < 0 || v[LIMB] > atanh(best->r_limb), person, v[LIMB]);
                remember(lot, lot->image < 0, person, v[LIMB]); /* an image's first; which image is decided when it ends */
            }
            for (int b = 0; b < classes; b++) {
                for (int q = 0; q < OF_ROWS; q++)
                    pair[(c * classes + b) * PER_PAIR + q] += of_own.pair[c][b][q];
                if (of_own.rows[c][b] && of_swapped.rows[c][b])
                    pair[(c * classes + b) * PER_PAIR + PAIR_OVER] += of_own.pair[c][b][PAIR_R] - of_swapped.pair[c][b][PAIR_R];
                if (of_own.rows[c][b] && moved.moves[c][b])
                    pair[(c * classes + b) * PER_PAIR + PAIR_OVER_MOVED] +=
                        of_own.pair[c][b][PAIR_R] - moved.sum[c][b] / moved.moves[c][b];
            }
            if (at > 0)
                continue; /* what is known depends on the masks alone */
            hs->image_class_people[c] += known[LIMB];
            for (int q = 0; q < PER_CLASS; q++)
                hs->single_sums.count[c * PER_CLASS + q] += known[q];
            for (int b = 0; b < classes; b++)
                for (int q = 0; q < PER_PAIR; q++)
                    hs->pair_sums.count[(c * classes + b) * PER_PAIR + q] += of_own.rows[c][b] > 0 &&
                                                                             (q != PAIR_OVER || of_swapped.rows[c][b] > 0) &&
                                                                             (q != PAIR_OVER_MOVED || moved.moves[c][b] > 0);
        }
        for (int q = 0; q < PER_HEAD; q++) {
            single[classes * PER_CLASS + q] += head[q];
            hs->single_sums.count[classes * PER_CLASS + q] += at == 0;
        }
    }
    hs->image_people++;
    return true;
}

static void image_clear(struct heads_stats *hs)
{
    for (size_t i = 0; i < hs->heads * (size_t)hs->shape.classes; i++)
        hs->image_best[i].image = hs->image_lot[i].image = -1;
    hs->image_people = 0;
    memset(hs->image_class_people, 0, sizeof hs->image_class_people);
}

/* Ranks of reach among the heads of each layer, equal ones sharing theirs. */
static void rank_reach(struct heads_stats *hs)
{
    const int heads = hs->shape.heads;
    const size_t column = (size_t)(hs->shape.classes * PER_CLASS + HEAD_REACH), width = hs->single_sums.width;
    for (size_t h = 0; h < hs->heads; h++) {
        const size_t first = h / (size_t)heads * (size_t)heads;
        const double mine = hs->single_sums.value[h * width + column];
        double rank = 0.5;
        for (size_t k = first; k < first + (size_t)heads; k++) {
            const double other = hs->single_sums.value[k * width + column];
            rank += (other < mine) + 0.5 * (other == mine);
        }
        hs->rank_sum[h] += rank;
    }
}

/* Friedman (1937): sums of ranks of k heads over n images; chi-square with k - 1 degrees. */
static double friedman(const struct heads_stats *hs, size_t layer)
{
    const double k = hs->shape.heads, n = (double)hs->images;
    double sum = 0;
    for (int h = 0; h < hs->shape.heads; h++) {
        const double off = hs->rank_sum[layer * (size_t)hs->shape.heads + (size_t)h] - n * (k + 1) / 2;
        sum += off * off;
    }
    return k > 1 && n > 1 ? heads_chi_square_p(12 * sum / (n * k * (k + 1)), k - 1) : 1;
}

void heads_stats_image(struct heads_stats *hs, int64_t image)
{
    if (hs->image_people > 0) {
        rank_reach(hs);
        sums_flush(&hs->single_sums, &hs->single, hs->shape.seed, (uint64_t)image);
        sums_flush(&hs->pair_sums, &hs->pair, hs->shape.seed, (uint64_t)image);
        for (size_t at = 0; at < hs->heads * (size_t)hs->shape.classes; at++) {
            const limber_heads_example *best = &hs->image_best[at], *lot = &hs->image_lot[at];
            uint64_t rank = heads_hash(hs->shape.seed, 0x107, (uint64_t)image, at);
            if (best->image >= 0 && (hs->best[at].image < 0 || best->r_limb > hs->best[at].r_limb)) {
                hs->best[at] = *best;
                hs->best[at].image = image;
            }
            if (lot->image >= 0 && rank < hs->lot_rank[at]) {
                hs->lot_rank[at] = rank;
                hs->lot[at] = *lot;
                hs->lot[at].image = image;
            }
        }
        for (int c = 0; c < hs->shape.classes; c++)
            hs->class_people[c] += hs->image_class_people[c];
        hs->images++;
        hs->people += hs->image_people;
    }
    image_clear(hs);
}

void heads_stats_forget(struct heads_stats *hs)
{
    sums_clear(&hs->single_sums);
    sums_clear(&hs->pair_sums);
    image_clear(hs);
}

/* ---- what it all says ---- */

/* Two-sided t over images: is the mean another than 0? */
static double two_sided(const struct heads_stream *s, size_t head, size_t column)
{
    if (s->mean[head * s->width + column] == 0)
        return 1;
    const double p = heads_stream_p(s, head, column);
    return fmin(1, 2 * fmin(p, 1 - p));
}

static void summarise_head(const struct heads_stats *hs, limber_heads_head *out, size_t at, double *scratch)
{
    int classes = hs->shape.classes;
    out->layer = (int)(at / (size_t)hs->shape.heads);
    out->head = (int)(at % (size_t)hs->shape.heads);
    for (int c = 0; c < classes; c++) {
        limber_heads_class *k = &out->classes[c];
        limber_heads_estimate *const to[PER_CLASS] = {&k->r_limb,    &k->r_near,     &k->partial,      &k->r_moved,
                                                      &k->r_swapped, &k->over_moved, &k->over_swapped, &k->side};
        for (int q = 0; q < PER_CLASS; q++)
            *to[q] = heads_stream_estimate(&hs->single, at, (size_t)(c * PER_CLASS + q), true, scratch);
        k->best = hs->best[at * (size_t)classes + (size_t)c];
        k->lot = hs->lot[at * (size_t)classes + (size_t)c];
        for (int b = 0; b < classes; b++) {
            size_t first = (size_t)(c * classes + b) * PER_PAIR;
            const double *mean = &hs->pair.mean[at * hs->pair.width + first];
            int images = (int)hs->pair.count[first];
            out->pair[c][b].images = images;
            if (images == 0)
                continue;
            out->pair[c][b].lift = mean[PAIR_MASS] / mean[PAIR_SHARE];
            out->pair[c][b].r = tanh(mean[PAIR_R]);
            out->pair[c][b].partial = tanh(mean[PAIR_PARTIAL]);
            const double z = mean[PAIR_R], n = images,
                         error = images > 1 ? sqrt(hs->pair.m2[at * hs->pair.width + first + PAIR_R] / (n - 1) / n) : 0,
                         reach = images > 1 ? heads_student_t(0.025, n - 1) * error : 0;
            out->pair[c][b].r_low = tanh(z - reach);
            out->pair[c][b].r_high = tanh(z + reach);
            out->pair[c][b].over = tanh(mean[PAIR_OVER]);
            out->pair[c][b].over_moved = tanh(mean[PAIR_OVER_MOVED]);
            out->pair[c][b].tested = hs->pair.count[first + PAIR_OVER] > 1 && hs->pair.count[first + PAIR_OVER_MOVED] > 1;
            out->pair[c][b].p_swapped = out->pair[c][b].tested ? two_sided(&hs->pair, at, first + PAIR_OVER) : 1;
            out->pair[c][b].p_moved = out->pair[c][b].tested ? two_sided(&hs->pair, at, first + PAIR_OVER_MOVED) : 1;
            /* against one more, against the other less: chance of some kind explains either */
            out->pair[c][b].p = out->pair[c][b].over * out->pair[c][b].over_moved > 0
                                    ? fmax(out->pair[c][b].p_moved, out->pair[c][b].p_swapped)
                                    : 1;
            out->pair[c][b].q = 1;
            if (b == c) {
                k->mass = mean[PAIR_MASS];
                k->share = mean[PAIR_SHARE];
                k->lift = out->pair[c][b].lift;
            }
        }
        k->p = k->p_moved = k->p_swapped = k->q = 1;
        k->tested = k->over_moved.images > 1;
        if (k->tested) {
            k->p = k->p_moved = heads_stream_p(&hs->single, at, (size_t)(c * PER_CLASS + OVER_MOVED));
            if (k->over_swapped.images > 1)
                k->p_swapped = heads_stream_p(&hs->single, at, (size_t)(c * PER_CLASS + OVER_SWAPPED));
            if (k->p_swapped > k->p)
                k->p = k->p_swapped;
        }
    }
    for (int c = 0; c < classes; c++) {
        double sum = 0;
        int n = 0;
        for (int a = 0; a < classes; a++)
            if (a != c && out->pair[a][c].images > 0) {
                sum += out->pair[a][c].lift;
                n++;
            }
        out->classes[c].lift_from_others = n ? sum / n : 0;
    }
    limber_heads_estimate *const to[PER_HEAD] = {&out->r_near, &out->distance, &out->reach, &out->entropy, &out->self};
    for (int q = 0; q < PER_HEAD; q++)
        if (q < HEAD_FOCUSED)
            *to[q] = heads_stream_estimate(&hs->single, at, (size_t)(classes * PER_CLASS + q), q == HEAD_NEAR, scratch);
    const double *shares = &hs->single.mean[at * hs->single.width + (size_t)(classes * PER_CLASS)];
    out->focused = shares[HEAD_FOCUSED];
    out->exploring = shares[HEAD_EXPLORING];
    out->layer_p = friedman(hs, at / (size_t)hs->shape.heads);
}

/* q of all pairs tested. false: no memory. */
static bool adjust_pairs(const struct heads_stats *hs, limber_heads_head *heads)
{
    const size_t classes = (size_t)hs->shape.classes, n = hs->heads * classes * classes;
    double *p = malloc(2 * n * sizeof *p);
    int *order = malloc(n * sizeof *order), count = 0, at = 0;
    const bool fine = p && order;
    for (int turn = 0; fine && turn < 2; turn++) {
        for (size_t i = 0; i < n; i++) {
            const size_t h = i / (classes * classes), a = i / classes % classes, b = i % classes;
            if (!heads[h].pair[a][b].tested)
                continue;
            if (turn)
                heads[h].pair[a][b].q = p[n + (size_t)at++];
            else
                p[count++] = heads[h].pair[a][b].p;
        }
        if (!turn)
            heads_adjust(p + n, p, order, count);
    }
    free(p);
    free(order);
    return fine;
}

static bool is_specialist(const limber_heads_head *h, int c, int classes, const int *mirror)
{
    const limber_heads_class *k = &h->classes[c];
    if (!(k->tested && k->q <= LIMBER_HEADS_MAX_Q && k->over_moved.mean >= LIMBER_HEADS_MIN_GAIN &&
          k->over_swapped.mean >= LIMBER_HEADS_MIN_GAIN && k->partial.mean > 0 && k->partial.mean > k->r_near.mean &&
          k->lift >= LIMBER_HEADS_MIN_LIFT))
        return false;
    for (int b = 0; b < classes; b++)
        if (b != c && b != mirror[c] && h->pair[c][b].images > 0 && k->lift < LIMBER_HEADS_MIN_LIFT * h->pair[c][b].lift)
            return false;
    return true;
}

static void name_head(limber_heads_head *h, int classes, const int *mirror)
{
    bool any = false;
    for (int c = 0; c < classes; c++) {
        limber_heads_class *k = &h->classes[c];
        k->specialist = is_specialist(h, c, classes, mirror);
        k->sided = k->specialist && k->side.interval && k->side.low > 0;
        any = any || k->specialist;
    }
    h->kind = any                                                                ? LIMBER_HEADS_SPECIALIST
              : h->entropy.images && h->entropy.mean >= LIMBER_HEADS_MIN_ENTROPY ? LIMBER_HEADS_DIFFUSE
              : h->reach.images && h->reach.mean <= LIMBER_HEADS_MAX_REACH       ? LIMBER_HEADS_LOCAL
                                                                                 : LIMBER_HEADS_MIXED;
}

limber_status heads_stats_summarise(const struct heads_stats *hs, limber_heads_result *result, limber_error *err)
{
    size_t classes = (size_t)hs->shape.classes, n = hs->heads * classes;
    limber_heads_head *heads = calloc(hs->heads, sizeof *heads);
    double *scratch = calloc((size_t)hs->shape.replicates + 2 * n, sizeof *scratch);
    int *order = malloc(n * sizeof *order);
    if (!heads || !scratch || !order) {
        free(heads);
        free(scratch);
        free(order);
        return limber_fail(err, LIMBER_E_MEMORY, "heads: no memory for the result of %zu heads", hs->heads);
    }
    for (size_t h = 0; h < hs->heads; h++)
        summarise_head(hs, &heads[h], h, scratch);
    if (!adjust_pairs(hs, heads)) {
        free(heads);
        free(scratch);
        free(order);
        return limber_fail(err, LIMBER_E_MEMORY, "heads: no memory for pairs of classes of %zu heads", hs->heads);
    }
    double *p = scratch, *q = scratch + n;
    int tests = 0;
    for (size_t i = 0; i < n; i++)
        if (heads[i / classes].classes[i % classes].tested)
            p[tests++] = heads[i / classes].classes[i % classes].p;
    heads_adjust(q, p, order, tests);
    tests = 0;
    for (size_t i = 0; i < n; i++)
        if (heads[i / classes].classes[i % classes].tested)
            heads[i / classes].classes[i % classes].q = q[tests++];
    result->specialists = 0;
    for (size_t h = 0; h < hs->heads; h++) {
        name_head(&heads[h], (int)classes, hs->shape.mirror);
        result->specialists += heads[h].kind == LIMBER_HEADS_SPECIALIST;
    }
    result->heads = heads;
    result->tests = tests;
    result->images_used = hs->images;
    result->people_used = hs->people;
    for (size_t c = 0; c < classes; c++)
        result->class_people[c] = (int)hs->class_people[c];
    free(scratch);
    free(order);
    return LIMBER_OK;
}
