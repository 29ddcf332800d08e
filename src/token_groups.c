#include "token_groups.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int windows_along(int n, int size, int shift)
{
    return (n + shift + size - 1) / size;
}

int token_window(const struct attention_args *a, int t)
{
    int row = (t / a->grid_w + a->shift) / a->size, column = (t % a->grid_w + a->shift) / a->size;
    return row * windows_along(a->grid_w, a->size, a->shift) + column;
}

int token_window_count(const struct attention_args *a)
{
    return windows_along(a->grid_h, a->size, a->shift) * windows_along(a->grid_w, a->size, a->shift);
}

int token_groups_pool(int *group, const struct attention_args *a)
{
    int across = windows_along(a->grid_w, a->size, 0);
    for (int t = 0; t < a->grid_h * a->grid_w; t++)
        group[t] = t / a->grid_w / a->size * across + t % a->grid_w / a->size;
    return windows_along(a->grid_h, a->size, 0) * across;
}

struct pair {
    float similarity;
    int even, odd;
};

static int more_similar(const void *pa, const void *pb)
{
    const struct pair *a = pa, *b = pb;
    return a->similarity > b->similarity ? -1 : a->similarity < b->similarity ? 1 : (a->even > b->even) - (a->even < b->even);
}

size_t token_groups_scratch(const struct attention_args *a)
{
    size_t tokens = (size_t)a->grid_h * (size_t)a->grid_w;
    return tokens * (size_t)a->head_dim * sizeof(float) + (tokens / 2 + 1) * sizeof(struct pair);
}

int token_groups_merge(int *group, const struct attention_args *a, const float *keys, size_t stride, void *scratch)
{
    const int tokens = a->grid_h * a->grid_w, hd = a->head_dim;
    struct pair *pairs = scratch;
    float *metric = (float *)(pairs + tokens / 2 + 1);
    int candidates = 0, count = 0;
    for (int t = 0; t < tokens; t++) {
        float *m = metric + (size_t)t * (size_t)hd;
        double norm = 0;
        for (int c = 0; c < hd; c++) {
            double sum = 0;
            for (int h = 0; h < a->heads; h++)
                sum += keys[(size_t)t * stride + (size_t)(h * hd + c)];
            m[c] = (float)sum;
            norm += sum * sum;
        }
        for (int c = 0; c < hd; c++)
            m[c] = norm > 0 ? (float)(m[c] / sqrt(norm)) : 0;
    }
    for (int even = 0; even < tokens && tokens > 1; even += 2) {
        struct pair best = {.similarity = -INFINITY, .even = even, .odd = 1};
        for (int odd = 1; odd < tokens; odd += 2) {
            double dot = 0;
            for (int c = 0; c < hd; c++)
                dot += (double)metric[(size_t)even * (size_t)hd + (size_t)c] * metric[(size_t)odd * (size_t)hd + (size_t)c];
            if ((float)dot > best.similarity) {
                best.similarity = (float)dot;
                best.odd = odd;
            }
        }
        pairs[candidates++] = best;
    }
    qsort(pairs, (size_t)candidates, sizeof *pairs, more_similar);
    int merged = a->size < tokens / 2 ? a->size : tokens / 2;
    for (int t = 0; t < tokens; t++)
        group[t] = t;
    for (int i = 0; i < merged; i++)
        group[pairs[i].even] = pairs[i].odd;
    /* number the groups by their first token */
    int *number = (int *)metric; /* the metric is no longer needed, and is at least as large */
    for (int t = 0; t < tokens; t++)
        number[t] = -1;
    for (int t = 0; t < tokens; t++) {
        int root = group[t];
        if (number[root] < 0)
            number[root] = count++;
        group[t] = number[root];
    }
    return count;
}
