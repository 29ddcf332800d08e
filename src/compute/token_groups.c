/* SPDX-License-Identifier: MIT */
#include "compute/token_groups.h"

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
    size_t tokens = (size_t)a->grid_h * (size_t)a->grid_w, half = tokens / 2 + 1;
    return (2 * half * (size_t)a->head_dim + half) * sizeof(float) + half * sizeof(struct pair) + tokens * sizeof(int);
}

/* The mean key of token t over the heads, as a unit vector; its numbers `step` apart. */
static void metric_of(float *m, size_t step, const float *key, const struct attention_args *a)
{
    double norm = 0;
    for (int c = 0; c < a->head_dim; c++) {
        double sum = 0;
        for (int h = 0; h < a->heads; h++)
            sum += key[h * a->head_dim + c];
        m[(size_t)c * step] = (float)sum;
        norm += sum * sum;
    }
    for (int c = 0; c < a->head_dim; c++)
        m[(size_t)c * step] = norm > 0 ? (float)(m[(size_t)c * step] / sqrt(norm)) : 0;
}

int token_groups_merge(int *group, const struct attention_args *a, const float *keys, size_t stride, void *scratch)
{
    const int tokens = a->grid_h * a->grid_w, evens = (tokens + 1) / 2, odds = tokens / 2;
    const size_t half = (size_t)(tokens / 2 + 1), hd = (size_t)a->head_dim;
    struct pair *pairs = scratch;
    float *even = (float *)(pairs + half), *odd = even + half * hd, *similarity = odd + half * hd; /* [hd], [hd][odds], [odds] */
    int *number = (int *)(similarity + half), count = 0;
    for (int t = 1; t < tokens; t += 2)
        metric_of(odd + t / 2, (size_t)odds, keys + (size_t)t * stride, a);
    for (int e = 0; e < evens && odds > 0; e++) {
        int best = 0;
        metric_of(even, 1, keys + (size_t)(2 * e) * stride, a);
        memset(similarity, 0, (size_t)odds * sizeof *similarity);
        for (size_t c = 0; c < hd; c++)
            for (int o = 0; o < odds; o++)
                similarity[o] += even[c] * odd[c * (size_t)odds + (size_t)o];
        for (int o = 1; o < odds; o++)
            if (similarity[o] > similarity[best])
                best = o;
        pairs[e] = (struct pair){.similarity = similarity[best], .even = 2 * e, .odd = 2 * best + 1};
    }
    int merged = odds > 0 ? (a->size < odds ? a->size : odds) : 0;
    qsort(pairs, odds > 0 ? (size_t)evens : 0, sizeof *pairs, more_similar);
    for (int t = 0; t < tokens; t++) {
        group[t] = t;
        number[t] = -1;
    }
    for (int i = 0; i < merged; i++)
        group[pairs[i].even] = pairs[i].odd;
    for (int t = 0; t < tokens; t++) { /* number the groups by their first token */
        int root = group[t];
        if (number[root] < 0)
            number[root] = count++;
        group[t] = number[root];
    }
    return count;
}
