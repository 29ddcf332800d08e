/* SPDX-License-Identifier: MIT */
/* command/bench/util.h - what the benchmarks share: timing by medians, random data, the machine's name, memory high-water marks,
 * least squares. Figures are wall-clock seconds unless a name says otherwise. */
#ifndef LIMBER_CLI_BENCH_UTIL_H
#define LIMBER_CLI_BENCH_UTIL_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/system.h"

/* Order statistics over the runs of one thing. */
struct bench_times {
    double median, p10, p90, min; /* seconds */
    int runs;
};

/* Calls fn until `seconds` have passed, at least min_runs times (twice where one call takes longer than `seconds`), after one
 * call that is not counted. */
struct bench_times bench_time(void (*fn)(void *context), void *context, double seconds, int min_runs);
/* From now on bench_time begins nothing after `when` (of system_now; INFINITY: no such time), nor once *stop is set: what runs is
 * finished, and it returns what it has, perhaps no run at all. */
void bench_until(double when, const volatile sig_atomic_t *stop);
bool bench_is_over(void);
/* What bench_time reads: the wall clock, or (on machines shared with others) the CPU time of all threads of this process divided by
 * `threads`, which counts what was computed and not who was waited for. */
void bench_clock_cpu(int threads); /* 0: the wall clock again */
/* Order statistics of measured values; sorts v. */
struct bench_times bench_times_of(double *v, int n);
double bench_process_cpu(void); /* user and system time of all threads */

/* Normal deviates times `scale`; the same for the same seed on every machine. */
void bench_random(float *v, size_t n, uint64_t seed, float scale);

/* "AMD EPYC ..., 2 CPUs usable, Linux 6.1", and the present clock in MHz as the kernel states it (0 where it does not). */
void bench_machine(char *text, size_t size);
double bench_clock_mhz(void);
double bench_load(void); /* average of the last minute; -1 where it is not known */

/* Resident memory of this process, bytes; the high-water mark can be started anew where the kernel allows it. */
size_t bench_resident(void);
size_t bench_resident_peak(void);
void bench_resident_peak_reset(void);

/* y = exponent * x + c by least squares over n points (n >= 2), with the standard error of the exponent (0 for n = 2).
 * Give logarithms for a power law. */
struct bench_line {
    double exponent, constant, standard_error;
};
struct bench_line bench_fit_line(const double *x, const double *y, int n);
/* Least squares of y = a * u + b * v weighted by 1 / y^2, so that every size counts alike. */
void bench_fit_two(const double *u, const double *v, const double *y, int n, double *a, double *b);

#endif
