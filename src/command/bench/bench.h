/* SPDX-License-Identifier: MIT */
/* command/bench/bench.h - the three benchmarks behind `limber bench`. Each gets argv from its own name on. */
#ifndef LIMBER_CLI_BENCH_H
#define LIMBER_CLI_BENCH_H

int bench_attention(int argc, char **argv);
int bench_model(int argc, char **argv);
int bench_pipeline(int argc, char **argv);

#endif
