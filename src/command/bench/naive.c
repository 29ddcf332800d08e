/* SPDX-License-Identifier: MIT */
/* scores = Q K^T / sqrt(head_dim); weights = softmax of each row; out = weights V: three sweeps over an L x L matrix per head.
 * The products are register-blocked; what makes it naive is the memory: each sweep reads or writes all of L x L. */
#include "command/bench/naive.h"

#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__) && defined(__gnu_linux__)
#define CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define CLONES
#endif
#define ROWS 64

struct worker {
    struct naive_attention *owner;
    int index;
    float *scores; /* [tokens][tokens] */
    float *kt;     /* [head_dim][tokens] */
    float *v;      /* [tokens][head_dim] */
};

struct naive_attention {
    int tokens, heads, head_dim, threads;
    struct worker *workers;
    float *out;
    const float *qkv;
};

size_t naive_attention_bytes(int tokens, int head_dim, int threads)
{
    size_t n = (size_t)tokens;
    return (size_t)threads * (n * n + 2 * n * (size_t)head_dim) * sizeof(float);
}

void naive_attention_close(struct naive_attention *n)
{
    if (!n)
        return;
    for (int i = 0; n->workers && i < n->threads; i++)
        free(n->workers[i].scores);
    free(n->workers);
    free(n);
}

struct naive_attention *naive_attention_open(int tokens, int heads, int head_dim, int threads)
{
    struct naive_attention *n = calloc(1, sizeof *n);
    if (!n)
        return NULL;
    *n = (struct naive_attention){.tokens = tokens, .heads = heads, .head_dim = head_dim, .threads = threads};
    n->workers = calloc((size_t)threads, sizeof *n->workers);
    for (int i = 0; n->workers && i < threads; i++) {
        struct worker *w = &n->workers[i];
        *w = (struct worker){.owner = n, .index = i, .scores = malloc(naive_attention_bytes(tokens, head_dim, 1))};
        if (!w->scores) {
            naive_attention_close(n);
            return NULL;
        }
        w->kt = w->scores + (size_t)tokens * (size_t)tokens;
        w->v = w->kt + (size_t)tokens * (size_t)head_dim;
    }
    if (!n->workers) {
        free(n);
        return NULL;
    }
    return n;
}

typedef float vec __attribute__((vector_size(64), aligned(4), may_alias));
#define VEC 16
#define PANEL (4 * VEC)

/* c[r][j] = sum_k a[r][k] scale b[k][j] over four rows and one panel of four vectors: sixteen accumulators. */
static inline __attribute__((always_inline)) void multiply_panel(float *c, size_t ldc, const float *a, size_t lda, const float *b,
                                                                 size_t ldb, int depth, float scale)
{
    vec sum[4][4] = {0};
    for (int k = 0; k < depth; k++) {
        const vec *row = (const vec *)(b + (size_t)k * ldb);
        for (int r = 0; r < 4; r++) {
            float v = a[(size_t)r * lda + (size_t)k] * scale;
            for (int j = 0; j < 4; j++)
                sum[r][j] += v * row[j];
        }
    }
    for (int r = 0; r < 4; r++)
        for (int j = 0; j < 4; j++)
            ((vec *)(c + (size_t)r * ldc))[j] = sum[r][j];
}

CLONES static void multiply(float *c, size_t ldc, const float *a, size_t lda, const float *b, int rows, int depth, int columns,
                            float scale)
{
    int r = 0;
    for (int j = 0; j + PANEL <= columns; j += PANEL)
        for (r = 0; r + 4 <= rows; r += 4)
            multiply_panel(c + (size_t)r * ldc + j, ldc, a + (size_t)r * lda, lda, b + j, (size_t)columns, depth, scale);
    /* what the panels left: the last columns, and the last rows */
    int whole_columns = columns / PANEL * PANEL, whole_rows = rows / 4 * 4;
    for (r = 0; r < rows; r++) {
        int from = r < whole_rows ? whole_columns : 0;
        float *out = c + (size_t)r * ldc;
        memset(out + from, 0, (size_t)(columns - from) * sizeof *c);
        for (int k = 0; k < depth; k++) {
            float v = a[(size_t)r * lda + (size_t)k] * scale;
            for (int j = from; j < columns; j++)
                out[j] += v * b[(size_t)k * (size_t)columns + (size_t)j];
        }
    }
}

/* e^x for x <= 0 by 2^n 2^f, f in [-1/2, 1/2], Taylor to the sixth order: relative error under 2e-7. */
static inline float exp_negative(float x)
{
    float t = x * 1.44269504f;
    t = t < -126 ? -126 : t;
    float whole = (float)(int)(t - 0.5f), f = (t - whole) * 0.69314718f;
    float p = 1 + f * (1 + f * (0.5f + f * (1 / 6.f + f * (1 / 24.f + f * (1 / 120.f + f * (1 / 720.f))))));
    union {
        int32_t i;
        float f;
    } power = {.i = ((int)whole + 127) << 23};
    return p * power.f;
}

CLONES static void softmax(float *row, int n)
{
    float max[16], sum[16] = {0}, top = row[0], total = 0;
    int j = 0;
    for (int k = 0; k < 16; k++)
        max[k] = row[0];
    for (; j + 16 <= n; j += 16)
        for (int k = 0; k < 16; k++)
            max[k] = row[j + k] > max[k] ? row[j + k] : max[k];
    for (; j < n; j++)
        top = row[j] > top ? row[j] : top;
    for (int k = 0; k < 16; k++)
        top = max[k] > top ? max[k] : top;
    for (j = 0; j < n; j++)
        row[j] = exp_negative(row[j] - top);
    for (j = 0; j + 16 <= n; j += 16)
        for (int k = 0; k < 16; k++)
            sum[k] += row[j + k];
    for (; j < n; j++)
        total += row[j];
    for (int k = 0; k < 16; k++)
        total += sum[k];
    for (j = 0; j < n; j++)
        row[j] *= 1 / total;
}

static void *heads(void *argument)
{
    struct worker *w = argument;
    const struct naive_attention *n = w->owner;
    const size_t hd = (size_t)n->head_dim, dim = (size_t)n->heads * hd, stride = 3 * dim, tokens = (size_t)n->tokens;
    for (int h = w->index; h < n->heads; h += n->threads) {
        const float *q = n->qkv + (size_t)h * hd, *k = q + dim, *v = k + dim;
        for (size_t t = 0; t < tokens; t++) {
            memcpy(w->v + t * hd, v + t * stride, hd * sizeof *v);
            for (size_t c = 0; c < hd; c++)
                w->kt[c * tokens + t] = k[t * stride + c];
        }
        for (size_t i = 0; i < tokens; i += ROWS)
            multiply(w->scores + i * tokens, tokens, q + i * stride, stride, w->kt, tokens - i < ROWS ? (int)(tokens - i) : ROWS,
                     n->head_dim, n->tokens, 1 / sqrtf((float)hd));
        for (size_t i = 0; i < tokens; i++)
            softmax(w->scores + i * tokens, n->tokens);
        for (size_t i = 0; i < tokens; i += ROWS)
            multiply(n->out + i * dim + (size_t)h * hd, dim, w->scores + i * tokens, tokens, w->v,
                     tokens - i < ROWS ? (int)(tokens - i) : ROWS, n->tokens, n->head_dim, 1);
    }
    return NULL;
}

void naive_attention_run(struct naive_attention *n, float *out, const float *qkv)
{
    pthread_t threads[64];
    int started = 0;
    n->out = out;
    n->qkv = qkv;
    for (; started + 1 < n->threads && started < 63; started++)
        if (pthread_create(&threads[started], NULL, heads, &n->workers[started + 1]))
            break;
    heads(&n->workers[0]);
    for (int i = started + 1; i < n->threads; i++) /* the share of a thread that could not start */
        heads(&n->workers[i]);
    for (int i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
}
