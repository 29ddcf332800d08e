/* SPDX-License-Identifier: MIT */
/* command/bench/attention.h - what `limber bench attention` found, between measuring (command/bench/attention_block.c), concluding
 * (command/bench/attention.c) and telling (command/bench/attention_report.c). Seconds are for one person through one block, all heads. */
#ifndef LIMBER_CLI_BENCH_ATTENTION_H
#define LIMBER_CLI_BENCH_ATTENTION_H

#include <stdbool.h>

#include "compute/open.h"
#include "command/bench/util.h"

#define BENCH_MAX_SIZES 32
#define BENCH_MAX_VARIANTS 8

/* One way to attend besides the exact one. */
struct attention_variant {
    char name[32]; /* "window:8" */
    enum attention_kind kind;
    int size;
};

struct attention_size {
    int image_h, image_w, grid_h, grid_w, tokens;
    struct bench_times naive, fused, with_stats;  /* naive.runs 0: left out, see naive_note */
    struct bench_times qkv, projection, fc1, fc2; /* the linear layers, epilogues included */
    struct bench_times layernorm, block;
    struct bench_times variants[BENCH_MAX_VARIANTS]; /* runs 0: the backend does not have it */
    double linear;                                   /* medians of the four linear layers added up */
    double check;     /* worst error of the sampled rows, as a share of what the precision allows: over 1 is wrong */
    double map_bytes; /* of the heads x L x L score maps that the fused kernel never makes, fp32 */
    double fused_bytes, naive_bytes; /* resident memory above what it was before, measured */
    char naive_note[96];
};

/* time = e^constant * tokens^exponent */
struct attention_law {
    struct bench_line naive, fused, linear, block, memory;
    int naive_points;
    double a, b;              /* fused + linear time of a block as a L^2 D + b L D^2, seconds a unit */
    double crossing_measured; /* tokens where fused attention takes as long as the linear layers; 0: outside of what was run */
    double crossing_modelled; /* b D / a */
    double crossing_counted;  /* where the multiply-adds are equal: (4 D^2 + 2 D M) / 2 D */
};

struct attention_accuracy { /* where annotations were given */
    char attention[32];
    int image_h, image_w;
    double ap, seconds_person;
};

struct attention_bench {
    char machine[256], model[64], command[1024], commit[64], date[32];
    const char *backend, *precision, *clock; /* clock: "wall" or "cpu" */
    bool emulated;                           /* a device that only pretends: its times say nothing and are not drawn */
    int threads, dim, heads, head_dim, mlp, depth;
    double clock_mhz, naive_limit_bytes;
    int sizes;    /* planned; then those measured to the end: what follows from the times follows from these */
    bool partial; /* size[sizes] is begun: some of its times are there */
    int planned, variants;
    struct attention_size size[BENCH_MAX_SIZES];
    struct attention_variant variant[BENCH_MAX_VARIANTS];
    struct attention_law law;
    int accuracies;
    struct attention_accuracy accuracy[BENCH_MAX_SIZES + BENCH_MAX_VARIANTS + 1];
};

struct attention_plan {
    double seconds; /* a timed thing */
    int min_runs;
};

/* Fills b->size[0 .. sizes) from their geometry, and prints each row as it is known, until bench_is_over: b->sizes then says how many.
 * An exit status, CLI_GO where all is well; the reason was said on stderr. */
int attention_bench_measure(struct attention_bench *b, struct backend *be, struct attention_plan plan, bool quiet);
/* Aligned table on stdout: what is timed, a row, what follows from all of them. */
void attention_bench_print_head(const struct attention_bench *b);
void attention_bench_print_row(const struct attention_bench *b, const struct attention_size *r);
void attention_bench_print_law(const struct attention_bench *b);
/* DIR/bench.json, bench.csv, bench.html, and its first plot as bench.svg, each written whole or not at all. An exit status; the reason was said on stderr. */
int attention_bench_write(const struct attention_bench *b, const char *dir);

#endif
