/* SPDX-License-Identifier: MIT */
/* limber bench model: what one forward pass costs, by precision, threads and batch, and where the time goes.
 *
 * Random weights in published shapes (--arch) or a checkpoint (--model); random crops. Verified before timed: the heatmaps of one
 * person are compared with those of the plain kernels in fp32, which the tests hold against `ref`. The peak is this machine's,
 * measured in the same run by the register loop of the same kernels on random data (compute/cpu/peak.c). On a machine that does other
 * work too, "cpu ms" (processor time of all threads) says more than the wall clock.
 *
 * --interactive answers "N" on stdin with N pairs of seconds, wall and processor, on one line: bench/peers/run_peers.py takes turns
 * with it. */
#define _GNU_SOURCE
#include <errno.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "command/options.h"
#include "command/bench/bench.h"
#include "command/bench/model.h"
#include "command/bench/util.h"
#include "compute/cpu/cpu.h"
#include "pose/vit.h"
#include "base/system.h"
#include "base/error.h"

/* ---- a model to time, and its passes ---- */

struct subject {
    struct limber_model own; /* random weights */
    limber_model *opened;    /* a checkpoint */
    const struct limber_model *model;
    struct vit vit;
    uint8_t *crops;
    limber_keypoint *joints;
    int batch, max_batch;
    limber_error error;
};

struct wanted {
    const char *arch, *head, *model, *crops_file;
    limber_options options; /* all but the precision */
};

static void subject_close(struct subject *s)
{
    vit_close(&s->vit);
    if (s->own.be) {
        weights_free(&s->own);
        backend_close(&s->own.be);
        free(s->own.pruned);
    }
    limber_model_close(&s->opened);
    free(s->crops);
    free(s->joints);
    memset(s, 0, sizeof *s);
}

static limber_status subject_open(struct subject *s, const struct wanted *w, const char *precision, int threads, int max_batch)
{
    memset(s, 0, sizeof *s);
    limber_options o = w->options;
    o.precision = precision;
    limber_status st = w->model ? limber_model_open(&s->opened, w->model, &o, &s->error)
                                : bench_random_model(&s->own, w->arch, w->head, &o, &s->error);
    s->model = w->model ? s->opened : &s->own;
    if (!st)
        st = vit_open(&s->vit, s->model, threads, max_batch, false, &s->error);
    if (st)
        return st;
    const struct config *c = &s->model->config;
    const size_t bytes = (size_t)max_batch * (size_t)c->image_h * (size_t)c->image_w * 3;
    s->max_batch = max_batch;
    s->crops = malloc(bytes);
    s->joints = calloc((size_t)max_batch * (size_t)c->keypoints, sizeof *s->joints);
    if (!s->crops || !s->joints) {
        s->error = (limber_error){LIMBER_E_MEMORY, "no memory for crops"};
        return LIMBER_E_MEMORY;
    }
    uint64_t state = 7;
    for (size_t i = 0; i < bytes; i++)
        s->crops[i] = (uint8_t)((state = state * 6364136223846793005u + 1442695040888963407u) >> 56);
    if (w->crops_file) {
        FILE *f = fopen(w->crops_file, "rb");
        size_t n = f ? fread(s->crops, 1, bytes, f) : 0;
        if (f)
            fclose(f);
        if (n != bytes) {
            snprintf(s->error.text, sizeof s->error.text, "%.500s: %zu bytes, expected %d crops of %zu", w->crops_file, n,
                     max_batch, bytes / (size_t)max_batch);
            return s->error.status = LIMBER_E_IO;
        }
    }
    return LIMBER_OK;
}

static void forward(void *context)
{
    struct subject *s = context;
    limber_status st = vit_forward(&s->vit, s->crops, s->batch, s->joints, &s->error);
    if (st)
        s->error.status = st;
}

/* Heatmaps of the first `people` people; the caller frees them. */
static float *heatmaps(struct subject *s, int people)
{
    const struct config *c = &s->model->config;
    float *v = malloc((size_t)people * (size_t)c->keypoints * (size_t)(c->map_h * c->map_w) * sizeof *v);
    s->batch = people;
    forward(s);
    if (v)
        s->vit.ex->ops->buf_read(s->vit.ex, s->vit.heat, (struct span){0, people, NULL}, v);
    return v;
}

/* ---- verified before timed ---- */

/* Root mean square difference of the first person's heatmaps, relative to their spread. Negative: could not be computed. */
static double relative_difference(const float *got, const float *want, size_t n)
{
    double mean = 0, spread = 0, difference = 0;
    for (size_t i = 0; i < n; i++)
        mean += want[i] / (double)n;
    for (size_t i = 0; i < n; i++) {
        spread += (want[i] - mean) * (want[i] - mean);
        difference += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
    }
    return sqrt(difference / spread);
}

/* What the plain kernels make of the first crop. */
static float *expected_heatmaps(const struct wanted *w, limber_error *err)
{
    struct subject s;
    char *old = getenv("LIMBER_CPU");
    old = old ? strdup(old) : NULL;
    setenv("LIMBER_CPU", "scalar", 1);
    struct wanted plain = *w;
    plain.options.backend = "cpu";
    limber_status st = subject_open(&s, &plain, "fp32", system_cpus(), 1);
    if (old)
        setenv("LIMBER_CPU", old, 1);
    else
        unsetenv("LIMBER_CPU");
    free(old);
    float *v = st ? NULL : heatmaps(&s, 1);
    *err = s.error;
    subject_close(&s);
    return v;
}

/* ---- time by operation: the table of operations, each entry timed ---- */

enum part {
    PART_EMBED,
    PART_LAYERNORM,
    PART_QKV,
    PART_ATTENTION,
    PART_PROJECTION,
    PART_FC1,
    PART_FC2,
    PART_HEAD,
    PART_DECODE,
    PARTS
};
static const char *const part_names[PARTS] = {"embed",      "layernorm", "qkv",  "attention", "projection",
                                              "fc1 + gelu", "fc2",       "head", "decode"};

static struct {
    const struct backend_ops *real;
    struct backend_ops ops;
    const struct limber_model *model;
    _Atomic uint64_t nanoseconds[PARTS];
    clockid_t clock;
} watch; /* the command times one model at a time */

/* Processor time, not the wall's: a neighbour on the same core does not count. In a split each lane counts its own thread;
 * where all threads share an operation, the process counts them. */
static uint64_t watch_now(void)
{
    struct timespec t;
    clock_gettime(watch.clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void watched(enum part part, uint64_t start)
{
    atomic_fetch_add(&watch.nanoseconds[part], watch_now() - start);
}

static void watch_embed(struct exec *ex, struct span span, struct buf *x, const struct weight *w, const struct buf *positions,
                        const struct pass_shape *shape, bool mirrored)
{
    uint64_t t = watch_now();
    watch.real->embed(ex, span, x, w, positions, shape, mirrored);
    watched(PART_EMBED, t);
}
static void watch_layernorm(struct exec *ex, struct span span, struct buf *y, const struct buf *x, const struct weight *w)
{
    uint64_t t = watch_now();
    watch.real->layernorm(ex, span, y, x, w);
    watched(PART_LAYERNORM, t);
}
static void watch_linear(struct exec *ex, struct span span, struct buf *y, const struct buf *x, const struct weight *w,
                         enum activation act, const struct buf *residual)
{
    enum part part = PART_FC1;
    for (int l = 0; l < watch.model->config.layers; l++) {
        const struct block *b = &watch.model->blocks[l];
        part = w == b->qkv || w == b->lean_qkv                 ? PART_QKV
               : w == b->projection || w == b->lean_projection ? PART_PROJECTION
               : w == b->fc2                                   ? PART_FC2
                                                               : part;
    }
    uint64_t t = watch_now();
    watch.real->linear(ex, span, y, x, w, act, residual);
    watched(part, t);
}
static void watch_attention(struct exec *ex, struct span span, struct buf *y, const struct buf *qkv,
                            const struct attention_args *a)
{
    uint64_t t = watch_now();
    watch.real->attention(ex, span, y, qkv, a);
    watched(PART_ATTENTION, t);
}
static void watch_head(struct exec *ex, struct span span, struct buf *heat, const struct buf *x, const struct weight *w,
                       const struct pass_shape *shape)
{
    uint64_t t = watch_now();
    watch.real->head(ex, span, heat, x, w, shape);
    watched(PART_HEAD, t);
}
static void watch_decode(struct exec *ex, struct span span, const struct buf *heat, const struct buf *mirrored,
                         const struct decode_args *a)
{
    uint64_t t = watch_now();
    watch.real->decode(ex, span, heat, mirrored, a);
    watched(PART_DECODE, t);
}

/* Multiply-adds of a part for one person. */
static double part_work(const struct config *c, enum part part)
{
    const struct config_costs k = config_costs(c);
    switch (part) {
    case PART_EMBED:
        return (double)k.embed;
    case PART_QKV:
        return (double)k.qkv;
    case PART_ATTENTION:
        return (double)k.attention;
    case PART_PROJECTION:
        return (double)k.projection;
    case PART_FC1:
    case PART_FC2:
        return (double)k.mlp / 2;
    case PART_HEAD:
        return (double)k.head;
    default:
        return 0;
    }
}

/* `peak` is of one core and by processor time, as the parts are. */
static void print_parts(struct subject *s, double seconds, int threads, double peak)
{
    watch.real = s->vit.ex->ops;
    watch.model = s->model;
    watch.ops = *watch.real;
    watch.ops.embed = watch_embed;
    watch.ops.layernorm = watch_layernorm;
    watch.ops.linear = watch_linear;
    watch.ops.attention = watch_attention;
    watch.ops.head = watch_head;
    watch.ops.decode = watch_decode;
    for (int p = 0; p < PARTS; p++)
        atomic_store(&watch.nanoseconds[p], 0);
    watch.clock = s->batch >= threads ? CLOCK_THREAD_CPUTIME_ID : CLOCK_PROCESS_CPUTIME_ID;
    s->vit.ex->ops = &watch.ops;
    int passes = 0;
    for (double end = system_now() + seconds; passes < 3 || system_now() < end; passes++)
        forward(s);
    s->vit.ex->ops = watch.real;
    double all = 0;
    for (int p = 0; p < PARTS; p++)
        all += (double)atomic_load(&watch.nanoseconds[p]);
    printf("\n  %-12s %10s %8s %9s %9s   processor time; GFLOP/s and peak of one core\n", "operation", "ms/person", "share",
           "GFLOP/s", "of peak");
    for (int p = 0; p < PARTS; p++) {
        const double ms = 1e-6 * (double)atomic_load(&watch.nanoseconds[p]) / passes / s->batch;
        const double gflops = 2e-6 * part_work(&s->model->config, (enum part)p) / ms;
        printf("  %-12s %10.3f %7.1f%%", part_names[p], ms, 100 * (double)atomic_load(&watch.nanoseconds[p]) / all);
        if (gflops > 0)
            printf(" %9.0f %8.0f%%", gflops, peak > 0 ? 100 * gflops / peak : 0);
        printf("\n");
    }
    printf("\n");
}

/* ---- the command ---- */

static int parse_list(const char *text, int *out, int max, int low, int high)
{
    int n = 0;
    for (char *end; *text && n < max; text = *end ? end + 1 : end) {
        errno = 0;
        long v = strtol(text, &end, 10);
        if (end == text || errno || v < low || v > high || (*end && *end != ','))
            return 0;
        out[n++] = (int)v;
    }
    return *text ? 0 : n;
}

static int interactive(struct subject *s, int batch, const char *heat_file)
{
    const struct config *c = &s->model->config;
    if (heat_file) {
        float *v = heatmaps(s, batch);
        const size_t n = (size_t)batch * (size_t)c->keypoints * (size_t)(c->map_h * c->map_w);
        FILE *f = v ? fopen(heat_file, "wb") : NULL;
        const bool ok = f && fwrite(v, sizeof *v, n, f) == n;
        free(v);
        if (!f || fclose(f) || !ok)
            return cli_fail("%s: cannot write", heat_file);
    }
    s->batch = batch;
    forward(s);
    printf("ready %s %s %s\n", s->model->be->ops->name, precision_name(s->model->be->precision), c->model_name);
    fflush(stdout);
    char line[64];
    while (fgets(line, sizeof line, stdin)) {
        for (int i = 0, n = atoi(line); i < n; i++) {
            double t = system_now(), cpu = bench_process_cpu();
            forward(s);
            printf("%.9f %.9f%c", system_now() - t, bench_process_cpu() - cpu, i + 1 < n ? ' ' : '\n');
        }
        fflush(stdout);
    }
    return s->error.status ? cli_fail("%s", s->error.text) : CLI_DONE;
}

struct plan {
    int batches[16], batch_count, threads[16], thread_count;
    double seconds;
    bool parts;
    FILE *csv;
};

static int time_precision(const struct wanted *w, const char *precision, const struct plan *plan, const float *expected)
{
    int largest = 1;
    for (int b = 0; b < plan->batch_count; b++)
        largest = plan->batches[b] > largest ? plan->batches[b] : largest;
    for (int t = 0; t < plan->thread_count; t++) {
        const int threads = plan->threads[t];
        struct subject s;
        if (subject_open(&s, w, precision, threads, largest)) {
            cli_warn("%s: %s", precision, s.error.text);
            subject_close(&s);
            return CLI_NOTHING;
        }
        const struct config *c = &s.model->config;
        const bool low = s.model->be->precision != PRECISION_FP32;
        const double gflop = 2e-9 * (double)config_costs(c).total;
        struct cpu_peak peaks = {0};
        if (!strcmp(s.model->be->ops->name, "cpu"))
            peaks = cpu_peak(s.model->be->precision, threads, 0.3);
        const double peak = peaks.wall;
        float *heat = heatmaps(&s, 1);
        /* random deep networks amplify bf16's 2^-9 to a few per cent; a wrong kernel is wrong by 100 */
        const double off = heat && expected
                               ? relative_difference(heat, expected, (size_t)c->keypoints * (size_t)(c->map_h * c->map_w))
                               : INFINITY;
        free(heat);
        if (!(off < (low ? 0.1 : 1e-4))) {
            cli_warn("%s, %d threads: heatmaps differ from the plain kernels' by %.2g of their spread: not timed", precision,
                     threads, off);
            subject_close(&s);
            return CLI_NOTHING;
        }
        for (int b = 0; b < plan->batch_count; b++) {
            s.batch = plan->batches[b];
            double cpu = bench_process_cpu();
            struct bench_times times = bench_time(forward, &s, plan->seconds, 5);
            cpu = (bench_process_cpu() - cpu) / (times.runs + 1);
            const double ms = 1e3 * times.median / s.batch;
            printf("  %-5s %7d %6d %8.1e %10.3f %9.3f %9.3f %9.3f %8.0f", precision_name(s.model->be->precision), threads,
                   s.batch, off, ms, 1e3 * times.min / s.batch, 1e3 * times.p90 / s.batch, 1e3 * cpu / s.batch,
                   gflop / (1e-3 * ms));
            if (peak > 0)
                printf(" %7.0f %5.0f%%", peak, 100 * gflop / (1e-3 * ms) / peak);
            printf("\n");
            fflush(stdout);
            if (plan->csv)
                fprintf(plan->csv, "\"%s\",%s,%s,%d,%d,%.3g,%.6f,%.6f,%.6f,%.6f,%.1f,%.1f\n", c->model_name,
                        s.model->be->ops->name, precision_name(s.model->be->precision), threads, s.batch, off, ms,
                        1e3 * times.min / s.batch, 1e3 * times.p90 / s.batch, 1e3 * cpu / s.batch, gflop / (1e-3 * ms), peak);
            if (plan->parts)
                print_parts(&s, plan->seconds, threads, peaks.core);
        }
        subject_close(&s);
    }
    return CLI_DONE;
}

int bench_model(int argc, char **argv)
{
    struct cli_common common = cli_common_default();
    struct wanted w = {.arch = "B", .head = "classic"};
    struct plan plan = {.seconds = 1.0};
    const char *batches = "1,4,16", *threads = NULL, *csv = NULL, *heat_file = NULL;
    bool talk = false;
    const struct cli_option options[] = {
        CLI_CHOICE("--arch", "S|B|L|H|default", &w.arch, "shape of the random weights; --model takes a checkpoint instead [B]"),
        CLI_CHOICE("--head", "simple|classic", &w.head, "keypoint head of the random weights [classic]"),
        CLI_OPTION("--batches", "LIST", &batches, "people in a pass [1,4,16]"),
        CLI_OPTION("--thread-counts", "LIST", &threads, "threads to try [1 and all; or --threads]"),
        CLI_NUMBER("--seconds", "S", &plan.seconds, 0.01, 600, "time for each row [1]"),
        CLI_FLAG("--parts", &plan.parts, "after each row, time by operation"),
        CLI_OPTION("--csv", "FILE", &csv, "the rows, once more"),
        CLI_FLAG("--interactive", &talk, "answer N on stdin with wall and processor seconds of N passes of the first batch"),
        CLI_OPTION("--crops", "FILE", &w.crops_file, "8-bit RGB crops [people][height][width][3] instead of random ones"),
        CLI_OPTION("--heatmaps", "FILE", &heat_file, "with --interactive: the heatmaps, fp32"),
        CLI_COMMON_OPTIONS(common),
        CLI_END,
    };
    const struct cli_command command = {
        "bench model", "[options]",
        "Times the network alone: random crops in, joints out. Every row is checked against the plain kernels first.", options};
    int inputs, status = cli_parse(&command, argc, argv, &inputs);
    if (status != CLI_GO)
        return status;
    if (inputs > 0)
        return cli_usage(&command, "bench model takes no arguments: %s", argv[1]);
    plan.batch_count = parse_list(batches, plan.batches, 16, 1, 1024);
    if (!plan.batch_count)
        return cli_usage(&command, "--batches %s: expected up to 16 numbers from 1 to 1024, with commas", batches);
    plan.threads[0] = 1, plan.threads[1] = system_cpus();
    plan.thread_count = plan.threads[1] > 1 ? 2 : 1;
    if (common.options.threads)
        plan.threads[0] = common.options.threads, plan.thread_count = 1;
    if (threads && !(plan.thread_count = parse_list(threads, plan.threads, 16, 1, 1024)))
        return cli_usage(&command, "--thread-counts %s: expected up to 16 numbers from 1 to 1024, with commas", threads);
    w.model = cli_model_dir(&common);
    if ((status = cli_model_options(&common, &w.options)) != CLI_DONE)
        return status;

    if (talk) {
        struct subject s;
        status = subject_open(&s, &w, common.options.precision, common.options.threads ? common.options.threads : system_cpus(),
                              plan.batches[0])
                     ? cli_fail("%s", s.error.text)
                     : interactive(&s, plan.batches[0], heat_file);
        subject_close(&s);
        return status;
    }

    limber_error err = {0};
    float *expected = expected_heatmaps(&w, &err);
    if (!expected)
        return cli_fail("%s", err.text);
    if (csv && !(plan.csv = fopen(csv, "w"))) {
        free(expected);
        return cli_fail("%s: %s", csv, error_text(errno));
    }
    if (plan.csv)
        fprintf(plan.csv, "model,backend,precision,threads,batch,off,median_ms,min_ms,p90_ms,cpu_ms,gflops,peak_gflops\n");
    char machine[512];
    bench_machine(machine, sizeof machine);
    printf("%s, load %.1f\n%s%s, %s head; ms per person, GFLOP/s of useful multiply-adds; off: from the plain kernels\n\n",
           machine, bench_load(), w.model ? w.model : "ViTPose-", w.model ? "" : w.arch, w.model ? "its own" : w.head);
    if (w.options.prune || (w.options.attention && strcmp(w.options.attention, "exact")))
        printf("%s%s%s%s%s: GFLOP/s still count the whole network with exact attention\n\n",
               w.options.prune ? "without heads " : "", w.options.prune ? w.options.prune : "",
               w.options.prune && w.options.attention ? ", " : "", w.options.attention ? "attention " : "",
               w.options.attention ? w.options.attention : "");
    printf("  %-5s %7s %6s %8s %10s %9s %9s %9s %8s %7s %6s\n", "", "threads", "batch", "off", "median ms", "min", "p90",
           "cpu ms", "GFLOP/s", "peak", "share");
    const enum precision all[] = {PRECISION_FP32, PRECISION_BF16, PRECISION_INT8};
    const bool every = !strcmp(common.options.precision, "auto") && backend_cpu_has(PRECISION_BF16);
    status = every ? CLI_DONE : time_precision(&w, common.options.precision, &plan, expected);
    for (size_t i = 0; every && !status && i < sizeof all / sizeof *all; i++)
        if (backend_cpu_has(all[i]))
            status = time_precision(&w, precision_name(all[i]), &plan, expected);
    free(expected);
    if (plan.csv && (ferror(plan.csv) | fclose(plan.csv)))
        return cli_fail("%s: cannot write", csv);
    return status;
}
