/* SPDX-License-Identifier: MIT */
/* bench_heads.c - what per-head statistics cost inside the fused attention: time of a forward pass with and without them, and
 * memory, from 192 tokens to 6400.
 *
 *     bench_heads [MODEL_DIR [BACKEND [PRECISION]]]        default: the built-in model, auto, auto
 *
 * One person, one thread, eight masks of random patches in every layer, random pixels. The two passes take turns and the median of
 * each is given, in CPU time of this process, since machines are shared. Before a size is timed its sums are looked at: each row must
 * hold at most one whole attention, its entropy at most ln n, and its masses at most the row. Memory: what the process grew by at its
 * highest when the statistics were switched on, beside the sums themselves (48 bytes a layer, head and token) and beside what whole
 * maps would take. */
#define _GNU_SOURCE
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command/bench/util.h"
#include "heads/stats.h"
#include "pose/pipeline.h"
#include "base/system.h"

#define MAX_RUNS 30
#define SECONDS_A_SIZE 8.0

struct sized {
    limber_model *model;
    limber_session *session;
    struct attention_stats *requests;
    const struct attention_stats **by_layer;
    uint8_t *crop, *masks;
    limber_keypoint *joints;
};

static void sized_close(struct sized *s)
{
    for (int l = 0; s->requests && l < s->model->config.layers; l++)
        free(s->requests[l].out);
    free(s->requests);
    free(s->by_layer);
    free(s->crop);
    free(s->masks);
    free(s->joints);
    limber_session_close(&s->session);
    limber_model_close(&s->model);
}

static bool sized_open(struct sized *s, const char *dir, const limber_options *options, limber_error *err)
{
    *s = (struct sized){0};
    if (limber_model_open(&s->model, dir, options, err) || limber_session_open(&s->session, s->model, options, err))
        return false;
    const struct config *c = &s->model->config;
    size_t pixels = (size_t)c->image_h * (size_t)c->image_w * 3, tokens = (size_t)c->tokens;
    s->crop = malloc(pixels);
    s->masks = malloc(tokens);
    s->joints = calloc((size_t)c->keypoints, sizeof *s->joints);
    s->requests = calloc((size_t)c->layers, sizeof *s->requests);
    s->by_layer = calloc((size_t)c->layers, sizeof *s->by_layer);
    if (!s->crop || !s->masks || !s->joints || !s->requests || !s->by_layer)
        return false;
    uint64_t random = 1;
    for (size_t i = 0; i < pixels + tokens; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        *(i < pixels ? &s->crop[i] : &s->masks[i - pixels]) = (uint8_t)(random >> 56);
    }
    return true;
}

static bool sized_switch_on(struct sized *s)
{
    const struct config *c = &s->model->config;
    for (int l = 0; l < c->layers; l++) {
        s->requests[l] = (struct attention_stats){.classes = ATTENTION_STATS_MAX_CLASSES, .masks = s->masks};
        s->requests[l].out = calloc((size_t)c->heads * (size_t)c->tokens * HEADS_SUMS, sizeof(float));
        s->by_layer[l] = &s->requests[l];
        if (!s->requests[l].out)
            return false;
    }
    return true;
}

static double forward(struct sized *s, bool statistics)
{
    limber_error err;
    s->session->vit.layer_stats = statistics ? s->by_layer : NULL;
    double begin = bench_process_cpu();
    if (vit_forward(&s->session->vit, s->crop, 1, s->joints, &err)) {
        fprintf(stderr, "bench_heads: %s\n", err.text);
        exit(2);
    }
    return bench_process_cpu() - begin;
}

/* Rows that cannot be attention: their number. */
static size_t impossible(const struct sized *s)
{
    const struct config *c = &s->model->config;
    size_t bad = 0, rows = (size_t)c->heads * (size_t)c->tokens;
    double most = log(c->tokens - 1.0);
    for (int l = 0; l < c->layers; l++)
        for (size_t i = 0; i < rows; i++) {
            const float *row = s->requests[l].out + i * HEADS_SUMS;
            double p = (double)row[0], entropy = p > 0 ? log(p) - (double)row[3] / p : 0;
            bool good = p >= 0 && p <= 1.01 && (double)row[1] <= p * 1.01 && entropy <= most * 1.01 + 0.01;
            for (int m = 0; m < ATTENTION_STATS_MAX_CLASSES; m++)
                good = good && row[4 + m] >= 0 && (double)row[4 + m] <= p * 1.01 + 1e-3;
            bad += !good;
        }
    return bad;
}

static bool measure(const char *dir, limber_options options, int height, int width)
{
    struct sized s;
    limber_error err = {.text = "no memory"};
    options.input_height = height;
    options.input_width = width;
    bool fine = sized_open(&s, dir, &options, &err);
    double off[MAX_RUNS], on[MAX_RUNS];
    if (fine) {
        const struct config *c = &s.model->config;
        forward(&s, false);
        bench_resident_peak_reset();
        size_t before = bench_resident_peak();
        fine = sized_switch_on(&s);
        if (fine)
            forward(&s, true);
        double grown = ((double)bench_resident_peak() - (double)before) / 1e6, layers_heads = (double)c->layers * c->heads;
        size_t bad = fine ? impossible(&s) : 0;
        int runs = 0;
        for (double begin = system_now(); fine && runs < MAX_RUNS && (runs < 2 || system_now() - begin < SECONDS_A_SIZE);
             runs++) {
            off[runs] = forward(&s, false);
            on[runs] = forward(&s, true);
        }
        double without = bench_times_of(off, runs).median, with = bench_times_of(on, runs).median, tokens = c->tokens;
        if (fine)
            printf("%9dx%-5d %6d  %-8s %10.2f %10.2f %7.2f %5d %11.1f %9.1f %12.0f\n", height, width, c->tokens,
                   bad ? "WRONG" : "ok", without * 1e3, with * 1e3, with / without, runs, grown, layers_heads * tokens * 48 / 1e6,
                   layers_heads * tokens * tokens * 4 / 1e6);
        fine = fine && !bad;
    }
    if (!fine)
        fprintf(stderr, "bench_heads: %dx%d: %s\n", height, width, err.text);
    sized_close(&s);
    return fine;
}

int main(int argc, char **argv)
{
    static const int sizes[][2] = {{256, 192}, {512, 384}, {768, 576}, {1024, 1024}, {1280, 1280}};
    char machine[512];
    limber_options options = limber_options_default();
    options.backend = argc > 2 ? argv[2] : "auto";
    options.precision = argc > 3 ? argv[3] : "auto";
    options.threads = options.batch = 1;
    setvbuf(stdout, NULL, _IOLBF, 0); /* a line a size, as it is known */
    bench_machine(machine, sizeof machine);
    printf("# %s, one thread, CPU time, medians\n", machine);
    printf("%15s %6s  %-8s %10s %10s %7s %5s %11s %9s %12s\n", "input", "tokens", "check", "without ms", "with ms", "ratio",
           "runs", "grown MB", "sums MB", "all maps MB");
    bool fine = true;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        fine = measure(argc > 1 && *argv[1] ? argv[1] : NULL, options, sizes[i][0], sizes[i][1]) && fine;
    return fine ? 0 : 1;
}
