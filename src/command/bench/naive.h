/* SPDX-License-Identifier: MIT */
/* command/bench/naive.h - attention the way a first implementation does it: the L x L scores and weights of a head are written to
 * memory. What the fused kernel is compared with; vectorised by the compiler and threaded over heads, in fp32. */
#ifndef LIMBER_CLI_BENCH_NAIVE_H
#define LIMBER_CLI_BENCH_NAIVE_H

#include <stddef.h>

/* Bytes that `threads` threads need beside input and output. */
size_t naive_attention_bytes(int tokens, int head_dim, int threads);

struct naive_attention;
struct naive_attention *naive_attention_open(int tokens, int heads, int head_dim, int threads); /* NULL: no memory */
void naive_attention_close(struct naive_attention *n);
/* qkv [tokens][3 * heads * head_dim] -> out [tokens][heads * head_dim] */
void naive_attention_run(struct naive_attention *n, float *out, const float *qkv);

#endif
