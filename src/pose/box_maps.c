/* SPDX-License-Identifier: MIT */
/* pose/box_maps.c - see pose/box_maps.h. Plain arithmetic in map order: the same bytes for any number of threads. */
#include "pose/box_maps.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/error.h"

#define LEAST_SIDE 4
#define MOST_SIDE 64
#define LOG_LOW (-6.f) /* a box reaches from 1/400 of a patch to 150 patches: further says nothing, and exp stays finite */
#define LOG_HIGH 5.f

static int side(double patches)
{
    double whole = nearbyint(patches); /* to even, as Python's round */
    return whole < LEAST_SIDE ? LEAST_SIDE : whole > MOST_SIDE ? MOST_SIDE : (int)whole;
}

void box_maps_grid(int width, int height, int tokens, int *rows, int *cols)
{
    double scale = sqrt((double)tokens / ((double)width * (double)height));
    *rows = side(height * scale);
    *cols = side(width * scale);
}

static float overlap_of(const limber_box *a, const limber_box *b)
{
    float w = fminf(a->x + a->width, b->x + b->width) - fmaxf(a->x, b->x);
    float h = fminf(a->y + a->height, b->y + b->height) - fmaxf(a->y, b->y);
    if (w <= 0 || h <= 0)
        return 0;
    float both = w * h;
    return both / (a->width * a->height + b->width * b->height - both);
}

struct candidate {
    limber_found found;
    int order; /* row-major place on the map: decides between equals */
};

static int surest_first(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->found.score != y->found.score)
        return x->found.score > y->found.score ? -1 : 1;
    return x->order < y->order ? -1 : 1;
}

static bool is_peak(const float *center, int h, int w, int y, int x)
{
    for (int v = y > 0 ? y - 1 : 0; v <= y + 1 && v < h; v++)
        for (int u = x > 0 ? x - 1 : 0; u <= x + 1 && u < w; u++)
            if (center[v * w + u] > center[y * w + x])
                return false;
    return true;
}

static float clamp(float v, float low, float high)
{
    return v < low ? low : v > high ? high : v;
}

limber_status box_maps_read(const float *maps, int map_h, int map_w, int rows, int cols, int patch, int width, int height,
                            float least, float overlap, limber_found *out, int room, int *count, limber_error *err)
{
    *count = 0;
    int size = map_h * map_w;
    for (int i = 0; i < BOX_MAPS * size; i++)
        if (!isfinite(maps[i]))
            return limber_fail(err, LIMBER_E_MODEL, "detector: value %d of the box maps is not a finite number", i);
    const float *center = maps;
    int peaks = 0;
    for (int i = 0; i < size; i++)
        peaks += is_peak(center, map_h, map_w, i / map_w, i % map_w);
    struct candidate *c = malloc((size_t)(peaks ? peaks : 1) * sizeof *c);
    if (!c)
        return limber_fail(err, LIMBER_E_MEMORY, "detector: no memory for %d peaks", peaks);
    int n = 0;
    /* The network's input spans rows x cols patches; input pixel 0 .. W - 1 lies on cell 0 .. w - 1, as for joints (UDP). */
    int in_h = rows * patch, in_w = cols * patch;
    float step_x = map_w > 1 ? (float)(in_w - 1) / (float)(map_w - 1) : 0,
          step_y = map_h > 1 ? (float)(in_h - 1) / (float)(map_h - 1) : 0;
    float scale_x = (float)width / (float)in_w, scale_y = (float)height / (float)in_h;
    for (int i = 0; i < size; i++) {
        int y = i / map_w, x = i % map_w;
        float score = 1 / (1 + expf(-center[i]));
        if (score < least || !is_peak(center, map_h, map_w, y, x))
            continue;
        float side[4]; /* left, top, right, bottom, in pixels of the input */
        for (int s = 0; s < 4; s++)
            side[s] = expf(clamp(maps[(s + 1) * size + i], LOG_LOW, LOG_HIGH)) * (float)patch;
        float at_x = (float)x * step_x, at_y = (float)y * step_y;
        float x0 = clamp((at_x - side[0]) * scale_x, 0, (float)width), x1 = clamp((at_x + side[2]) * scale_x, 0, (float)width);
        float y0 = clamp((at_y - side[1]) * scale_y, 0, (float)height), y1 = clamp((at_y + side[3]) * scale_y, 0, (float)height);
        if ((x1 - x0) * (y1 - y0) > 1)
            c[n++] = (struct candidate){{.box = {x0, y0, x1 - x0, y1 - y0}, .score = score}, i};
    }
    qsort(c, (size_t)n, sizeof *c, surest_first);
    int kept = 0;
    for (int i = 0; i < n && kept < room; i++) {
        bool new = true;
        for (int k = 0; k < kept && new; k++)
            new = overlap_of(&out[k].box, &c[i].found.box) <= overlap;
        if (new)
            out[kept++] = c[i].found;
    }
    free(c);
    *count = kept;
    return LIMBER_OK;
}
