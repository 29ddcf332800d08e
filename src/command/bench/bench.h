/* SPDX-License-Identifier: MIT */
/* command/bench/bench.h - the three benchmarks behind `limber bench`. Each gets argv from its own name on. */
#ifndef LIMBER_CLI_BENCH_H
#define LIMBER_CLI_BENCH_H

#include <stddef.h>

/* Name and line of the i-th, NULL past the last. */
const char *bench_name(size_t i, const char **about);
int bench_attention(int argc, char **argv);
int bench_model(int argc, char **argv);
int bench_pipeline(int argc, char **argv);

#endif
