/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "command/bench/util.h"
#include "base/system.h"
#include "base/text.h"

#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define MAX_RUNS 2000

double bench_process_cpu(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int cpu_clock_threads; /* the command measures one thing at a time */

void bench_clock_cpu(int threads)
{
    cpu_clock_threads = threads;
}

static double timed_now(void)
{
    return cpu_clock_threads ? bench_process_cpu() / cpu_clock_threads : system_now();
}

static double last_begin = INFINITY; /* likewise */
static const volatile sig_atomic_t *stopped;

void bench_until(double when, const volatile sig_atomic_t *stop)
{
    last_begin = when;
    stopped = stop;
}

bool bench_is_over(void)
{
    return (stopped && *stopped) || system_now() > last_begin;
}

static int ascending(const void *pa, const void *pb)
{
    double a = *(const double *)pa, b = *(const double *)pb;
    return (a > b) - (a < b);
}

struct bench_times bench_times_of(double *v, int n)
{
    if (n < 1)
        return (struct bench_times){0};
    qsort(v, (size_t)n, sizeof *v, ascending);
    return (struct bench_times){.median = n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2,
                                .p10 = v[(n - 1) / 10],
                                .p90 = v[n - 1 - (n - 1) / 10],
                                .min = v[0],
                                .runs = n};
}

struct bench_times bench_time(void (*fn)(void *context), void *context, double seconds, int min_runs)
{
    static double v[MAX_RUNS];
    int n = 0;
    if (bench_is_over())
        return (struct bench_times){0};
    double first = system_now();
    fn(context);
    if (system_now() - first > seconds && min_runs > 2)
        min_runs = 2;
    for (double start = system_now(); n < MAX_RUNS && (n < min_runs || system_now() - start < seconds) && !bench_is_over(); n++) {
        double t = timed_now();
        fn(context);
        v[n] = timed_now() - t;
    }
    return bench_times_of(v, n);
}

void bench_random(float *v, size_t n, uint64_t seed, float scale)
{
    uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
    double u[2];
    for (size_t i = 0; i < n; i += 2) {
        for (int k = 0; k < 2; k++) { /* splitmix64 */
            uint64_t z = state += 0x9e3779b97f4a7c15u;
            z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
            z = (z ^ z >> 27) * 0x94d049bb133111ebu;
            u[k] = ((double)((z ^ z >> 31) >> 11) + 0.5) / 9007199254740992.0;
        }
        double r = sqrt(-2 * log(u[0])) * scale, angle = 6.283185307179586 * u[1]; /* Box-Muller */
        v[i] = (float)(r * cos(angle));
        if (i + 1 < n)
            v[i + 1] = (float)(r * sin(angle));
    }
}

/* The value of the first line of a /proc file that begins with `key`, after its colon. */
static int proc_value(const char *path, const char *key, char *value, size_t size)
{
    char line[512];
    int found = 0;
    FILE *f = fopen(path, "r");
    if (!f)
        return 0;
    while (!found && fgets(line, sizeof line, f)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, key, strlen(key)) == 0 && colon) {
            colon += 1 + strspn(colon + 1, " \t");
            colon[strcspn(colon, "\n")] = '\0';
            snprintf(value, size, "%s", colon);
            found = 1;
        }
    }
    fclose(f);
    return found;
}

void bench_machine(char *text, size_t size)
{
    char cpu[256] = "unknown CPU";
    struct utsname os = {0};
    proc_value("/proc/cpuinfo", "model name", cpu, sizeof cpu);
    uname(&os);
    snprintf(text, size, "%s, %d CPUs usable, %s %s", cpu, system_cpus(), os.sysname, os.release);
}

double bench_clock_mhz(void)
{
    char v[64];
    return proc_value("/proc/cpuinfo", "cpu MHz", v, sizeof v) ? text_number(v, NULL) : 0;
}

double bench_load(void)
{
    double load[1];
    return getloadavg(load, 1) < 1 ? -1 : load[0];
}

static size_t status_bytes(const char *key)
{
    char v[64];
    return proc_value("/proc/self/status", key, v, sizeof v) ? (size_t)strtoull(v, NULL, 10) * 1024 : 0;
}

size_t bench_resident(void)
{
    return status_bytes("VmRSS");
}

size_t bench_resident_peak(void)
{
    return status_bytes("VmHWM");
}

void bench_resident_peak_reset(void)
{
    FILE *f = fopen("/proc/self/clear_refs", "w");
    if (f) {
        fputs("5", f);
        fclose(f);
    }
}

struct bench_line bench_fit_line(const double *x, const double *y, int n)
{
    double mx = 0, my = 0, sxx = 0, sxy = 0, rest = 0;
    for (int i = 0; i < n; i++) {
        mx += x[i] / n;
        my += y[i] / n;
    }
    for (int i = 0; i < n; i++) {
        sxx += (x[i] - mx) * (x[i] - mx);
        sxy += (x[i] - mx) * (y[i] - my);
    }
    struct bench_line f = {.exponent = sxy / sxx};
    f.constant = my - f.exponent * mx;
    for (int i = 0; i < n; i++) {
        double e = y[i] - f.exponent * x[i] - f.constant;
        rest += e * e;
    }
    f.standard_error = n > 2 ? sqrt(rest / (n - 2) / sxx) : 0;
    return f;
}

void bench_fit_two(const double *u, const double *v, const double *y, int n, double *a, double *b)
{
    double uu = 0, uv = 0, vv = 0, uy = 0, vy = 0;
    for (int i = 0; i < n; i++) {
        double w = 1 / (y[i] * y[i]);
        uu += w * u[i] * u[i];
        uv += w * u[i] * v[i];
        vv += w * v[i] * v[i];
        uy += w * u[i] * y[i];
        vy += w * v[i] * y[i];
    }
    double det = uu * vv - uv * uv;
    *a = (uy * vv - vy * uv) / det;
    *b = (vy * uu - uy * uv) / det;
}
