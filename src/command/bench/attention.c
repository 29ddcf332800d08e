/* SPDX-License-Identifier: MIT */
/* limber bench attention: how the cost of patch attention grows with resolution.
 *
 * One block with random weights, one person, ever more tokens (command/bench/attention_block.c). From the times follow the law (exponents,
 * a L^2 D + b L D^2), the crossing where attention overtakes the rest, and with annotations what exactness is worth. */
#define _GNU_SOURCE
#include "command/bench/attention.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "command/options.h"
#include "command/bench/bench.h"
#include "command/eval/eval_set.h"
#include "base/error.h"
#include "base/system.h"
#include "model/model.h"

#define DEFAULT_RESOLUTIONS "256x192,384x288,512x384,768x576,1024x768,1536x1152"
#define QUICK_RESOLUTIONS "256x192,384x288,512x384,768x576"
#define QUICK_SECONDS 15 /* with what begins before and ends after, under 20 */
#define PATCH 16
#define MAX_TOKENS 65536

/* ---- the law ---- */

/* Tokens at which fused attention and the linear layers take equally long, between measured sizes on log-log lines. */
static double crossing(const struct attention_bench *b)
{
    for (int i = 0; i + 1 < b->sizes; i++) {
        const struct attention_size *p = &b->size[i], *q = &b->size[i + 1];
        double d0 = log(p->fused.median / p->linear), d1 = log(q->fused.median / q->linear);
        if (d0 <= 0 && d1 > 0)
            return exp(log(p->tokens) + (log(q->tokens) - log(p->tokens)) * d0 / (d0 - d1));
    }
    return 0;
}

static void find_law(struct attention_bench *b)
{
    double x[BENCH_MAX_SIZES], y[BENCH_MAX_SIZES], u[BENCH_MAX_SIZES], v[BENCH_MAX_SIZES];
    struct attention_law *law = &b->law;
    const int n = b->sizes;
    const double d = b->dim;
    if (n < 2)
        return;
#define FIT(into, value)                                                                                                         \
    do {                                                                                                                         \
        for (int i = 0; i < n; i++) {                                                                                            \
            x[i] = log(b->size[i].tokens);                                                                                       \
            y[i] = log(b->size[i].value);                                                                                        \
        }                                                                                                                        \
        law->into = bench_fit_line(x, y, n);                                                                                     \
    } while (0)
    FIT(fused, fused.median);
    FIT(linear, linear);
    FIT(block, block.median);
    FIT(memory, fused_bytes + 1);
#undef FIT
    for (int i = 0; i < n; i++)
        if (b->size[i].naive.runs) {
            x[law->naive_points] = log(b->size[i].tokens);
            y[law->naive_points++] = log(b->size[i].naive.median);
        }
    if (law->naive_points > 1)
        law->naive = bench_fit_line(x, y, law->naive_points);
    for (int i = 0; i < n; i++) {
        double l = b->size[i].tokens;
        u[i] = l * l * d;
        v[i] = l * d * d;
        y[i] = b->size[i].fused.median + b->size[i].linear;
    }
    bench_fit_two(u, v, y, n, &law->a, &law->b);
    law->crossing_measured = crossing(b);
    law->crossing_modelled = law->a > 0 ? law->b * d / law->a : 0;
    law->crossing_counted = (4 * d * d + 2 * d * b->mlp) / (2 * d);
}

/* ---- options ---- */

/* "256x192,384x288" (height x width) or "192,768": fills b->size; false with a reason in err. */
static limber_status parse_sizes(struct attention_bench *b, const char *text, bool tokens, limber_error *err)
{
    for (const char *p = text; *p;) {
        char *end;
        struct attention_size *r = &b->size[b->sizes];
        if (b->sizes == BENCH_MAX_SIZES)
            return limber_fail(err, LIMBER_E_ARGUMENT, "%s: more than %d sizes", text, BENCH_MAX_SIZES);
        errno = 0;
        long h = strtol(p, &end, 10), w = 0;
        bool ok = end != p && errno == 0 && h > 0 && h <= MAX_TOKENS;
        if (ok && tokens) {
            /* the grid nearest to 4:3 that has so many patches */
            int across = (int)sqrt((double)h * 3 / 4);
            while (across > 1 && h % across)
                across--;
            r->grid_w = across > 0 ? across : 1;
            r->grid_h = (int)h / r->grid_w;
        } else if (ok) {
            const char *second = end + 1;
            ok = *end == 'x';
            w = ok ? strtol(second, &end, 10) : 0;
            ok = ok && end != second && errno == 0 && w > 0 && w <= MAX_TOKENS && h % PATCH == 0 && w % PATCH == 0;
            r->grid_h = (int)h / PATCH;
            r->grid_w = (int)w / PATCH;
        }
        r->image_h = r->grid_h * PATCH;
        r->image_w = r->grid_w * PATCH;
        r->tokens = r->grid_h * r->grid_w;
        if (!ok || (*end && *end != ',') || r->tokens > MAX_TOKENS)
            return limber_fail(err, LIMBER_E_ARGUMENT, "\"%s\" is not %s", p,
                               tokens
                                   ? "a list of token counts like 192,768 (at most 65536)"
                                   : "a list of heights x widths like 256x192,384x288 (multiples of 16, at most 65536 patches)");
        if (b->sizes > 0 && r->tokens <= b->size[b->sizes - 1].tokens)
            return limber_fail(err, LIMBER_E_ARGUMENT, "%s: sizes must rise; %d tokens follow %d", text, r->tokens,
                               b->size[b->sizes - 1].tokens);
        b->sizes++;
        p = *end ? end + 1 : end;
    }
    return b->sizes ? LIMBER_OK : limber_fail(err, LIMBER_E_ARGUMENT, "no sizes given");
}

/* "window:8,merge:16": fills b->variant. */
static limber_status parse_variants(struct attention_bench *b, const char *text, limber_error *err)
{
    for (const char *p = text; *p;) {
        struct attention_variant *v = &b->variant[b->variants];
        size_t n = strcspn(p, ",");
        if (b->variants == BENCH_MAX_VARIANTS || n >= sizeof v->name)
            return limber_fail(err, LIMBER_E_ARGUMENT, "%s: at most %d variants of at most %zu characters", text,
                               BENCH_MAX_VARIANTS, sizeof v->name - 1);
        memcpy(v->name, p, n);
        v->name[n] = '\0';
        limber_status st = attention_parse(v->name, &v->kind, &v->size, err);
        if (st != LIMBER_OK)
            return st;
        b->variants++;
        p += n + (p[n] == ',');
    }
    return LIMBER_OK;
}

/* The command line that repeats this run, as a shell reads it. */
static void command_of(char *text, size_t size, int argc, char **argv)
{
    size_t n = (size_t)snprintf(text, size, "limber bench");
    for (int i = 0; i < argc && n < size; i++)
        n += (size_t)snprintf(text + n, size - n, strpbrk(argv[i], " \t\"'$\\") ? " '%s'" : " %s", argv[i]);
}

/* Sizes of a block: the model's, or the options'. */
static int shape_of(struct attention_bench *b, const struct cli_common *common)
{
    if (!common->model) {
        snprintf(b->model, sizeof b->model, "random block");
        return CLI_GO;
    }
    limber_error err;
    struct checkpoint c;
    if (checkpoint_open(&c, common->model, TASK_POSE, &err) != LIMBER_OK)
        return cli_fail("%s", err.text);
    b->dim = c.config.hidden;
    b->heads = c.config.heads;
    b->mlp = c.config.mlp;
    b->depth = c.config.layers;
    snprintf(b->model, sizeof b->model, "%s", c.config.model_name);
    checkpoint_close(&c);
    return CLI_GO;
}

/* ---- what exactness is worth: AP of a real model ---- */

/* AP and time for a person with one kind of attention at one input size. */
static int accuracy_of(struct attention_bench *b, const struct cli_common *common, const struct eval_set *set,
                       const char *attention, int image_h, int image_w)
{
    struct cli_common own = *common;
    struct eval_result result = {0};
    struct attention_accuracy *a = &b->accuracy[b->accuracies];
    limber_model *model = NULL;
    limber_session *session = NULL;
    double numbers[COCO_NUMBERS];
    limber_error err;
    own.options.attention = attention;
    own.options.input_height = image_h;
    own.options.input_width = image_w;
    int status = cli_model_open(&own, &model);
    if (status == CLI_DONE)
        status = cli_session_open(&own, model, &session);
    if (status == CLI_DONE)
        status = eval_measure(&result, set, model, session, common->quiet);
    if (status == CLI_DONE && eval_numbers(numbers, set, &result, NULL, &err) != LIMBER_OK)
        status = cli_fail("%s", err.text);
    if (status == CLI_DONE) {
        snprintf(a->attention, sizeof a->attention, "%s", attention);
        a->image_h = model->config.image_h;
        a->image_w = model->config.image_w;
        a->ap = numbers[COCO_AP];
        a->seconds_person = result.seconds_forward / result.poses.count;
        b->accuracies++;
    }
    eval_result_free(&result);
    limber_session_close(&session);
    limber_model_close(&model);
    return status;
}

/* The variants at the model's own size, and exact attention at those of the sizes that have at most four times its tokens:
 * further out a model sees nothing it was trained on. */
static int measure_accuracy(struct attention_bench *b, const struct cli_common *common, const char *annotations,
                            const char *images)
{
    struct eval_set set = {0};
    struct checkpoint c;
    limber_error err;
    if (checkpoint_open(&c, cli_model_dir(common), TASK_POSE, &err) != LIMBER_OK)
        return cli_fail("%s", err.text);
    const int trained = c.config.tokens, own_h = c.config.image_h, own_w = c.config.image_w, patch_h = c.config.patch_h,
              patch_w = c.config.patch_w;
    const struct skeleton *skeleton = c.config.skeleton;
    checkpoint_close(&c);
    int status = eval_set_open(&set, skeleton, annotations, NULL, images);
    if (status == CLI_DONE)
        status = accuracy_of(b, common, &set, "exact", 0, 0);
    for (int v = 0; status == CLI_DONE && v < b->variants; v++)
        status = accuracy_of(b, common, &set, b->variant[v].name, 0, 0);
    for (int i = 0; status == CLI_DONE && i < b->sizes; i++) {
        const struct attention_size *r = &b->size[i];
        const bool own = r->image_h == own_h && r->image_w == own_w,
                   whole = r->image_h % patch_h == 0 && r->image_w % patch_w == 0;
        if (!own && whole && r->tokens <= 4 * trained)
            status = accuracy_of(b, common, &set, "exact", r->image_h, r->image_w);
    }
    eval_set_close(&set);
    return status == CLI_DONE ? CLI_GO : status;
}

/* A budget is shared by all that is timed: about ten things a size, of which the larger ones take their least number of runs anyway. */
static struct attention_plan plan_of(const struct attention_bench *b, bool quick, double seconds)
{
    const struct attention_plan usual = {.seconds = quick ? 0.12 : 0.6, .min_runs = quick ? 3 : 5};
    const double share = seconds > 0 ? seconds / (10 * b->sizes) : usual.seconds;
    return share < usual.seconds ? (struct attention_plan){.seconds = share, .min_runs = 3} : usual;
}

/* What the options say beside the block's shape. */
struct choices {
    const char *resolutions, *tokens, *variants, *clock, *annotations, *images, *out;
    double limit, seconds;
    bool quick;
};

/* CLI_GO: `b` says what is to be measured. */
static int settle(struct attention_bench *b, const struct cli_command *command, const struct cli_common *common,
                  const struct choices *c)
{
    limber_error err = {0};
    const char *sizes = c->tokens        ? c->tokens
                        : c->resolutions ? c->resolutions
                        : c->quick       ? QUICK_RESOLUTIONS
                                         : DEFAULT_RESOLUTIONS;
    if (c->resolutions && c->tokens)
        return cli_usage(command, "--resolutions and --tokens exclude each other");
    if (!c->annotations != !c->images)
        return cli_usage(command, "--annotations and --images go together");
    b->mlp = 4 * b->dim;
    const int status = shape_of(b, common);
    if (status != CLI_GO)
        return status;
    if (b->dim % b->heads)
        return cli_usage(command, "%d heads do not divide a width of %d", b->heads, b->dim);
    if (parse_sizes(b, sizes, c->tokens != NULL, &err) || parse_variants(b, c->variants, &err))
        return cli_usage(command, "%s", err.text);
    return CLI_GO;
}

/* Who measures, where and when. */
static void describe_run(struct attention_bench *b, const struct cli_common *common, const struct choices *c,
                         const struct backend *be)
{
    time_t now = time(NULL);
    struct tm utc;
    b->head_dim = b->dim / b->heads;
    b->backend = be->ops->name;
    b->emulated = strstr(b->backend, "emulated") != NULL;
    b->precision = precision_name(be->precision);
    b->threads = common->options.threads ? common->options.threads : system_cpus();
    b->naive_limit_bytes = c->limit * 1e9;
    b->clock = c->clock;
    bench_clock_cpu(strcmp(c->clock, "cpu") == 0 ? b->threads : 0);
    bench_machine(b->machine, sizeof b->machine);
    snprintf(b->commit, sizeof b->commit, "%s", limber_version());
    strftime(b->date, sizeof b->date, "%Y-%m-%d", gmtime_r(&now, &utc));
    cli_catch_signals();
    b->clock_mhz = bench_clock_mhz();
}

/* What there is when the time is over or a signal came is reported, too. */
static int conclude(struct attention_bench *b, const char *out, int status)
{
    find_law(b);
    attention_bench_print_law(b);
    if (b->sizes < b->planned)
        cli_warn("stopped %s: %d of %d sizes are whole", cli_stopped ? "by a signal" : "at the end of --seconds", b->sizes,
                 b->planned);
    const int written = out ? attention_bench_write(b, out) : CLI_DONE;
    return written ? written : status == CLI_GO ? CLI_DONE : status;
}

static int measure(struct attention_bench *b, const struct cli_common *common, const struct choices *c, double begin)
{
    limber_error err = {0};
    struct backend *be = NULL;
    const double seconds = c->quick && !c->seconds ? QUICK_SECONDS : c->seconds;
    if (backend_open(&be, common->options.backend, common->options.precision, &err))
        return cli_fail("%s", err.text);
    describe_run(b, common, c, be);
    bench_until(seconds > 0 ? begin + seconds : INFINITY, &cli_stopped);
    int status = attention_bench_measure(b, be, plan_of(b, c->quick, seconds), common->quiet);
    if (status == CLI_GO && c->annotations && !bench_is_over())
        status = measure_accuracy(b, common, c->annotations, c->images);
    if (status == CLI_GO || status == CLI_INTERRUPTED)
        status = conclude(b, c->out, status);
    backend_close(&be);
    return status;
}

int bench_attention(int argc, char **argv)
{
    struct cli_common common = cli_common_default();
    struct attention_bench *b = calloc(1, sizeof *b);
    struct choices c = {.variants = "window:8,merge:64,pool:2", .clock = "wall", .limit = 4};
    const double begin = system_now();
    int status, inputs;
    if (!b)
        return cli_fail("out of memory");
    b->dim = 768;
    b->heads = 12;
    b->depth = 12;
    const struct cli_option options[] = {
        CLI_OPTION("--resolutions", "HxW,...", &c.resolutions, "input sizes, rising [" DEFAULT_RESOLUTIONS "]"),
        CLI_OPTION("--tokens", "N,...", &c.tokens, "the same as counts of patches, on grids near 4:3"),
        CLI_INT("--dim", "D", &b->dim, 8, 8192, "width of the block [768; the model's with --model]"),
        CLI_INT("--heads", "H", &b->heads, 1, 512, "attention heads [12]"),
        CLI_INT("--depth", "N", &b->depth, 1, 256, "blocks of the model that the totals speak of [12]"),
        CLI_OPTION("--variants", "KIND,...", &c.variants, "approximate attentions to time beside [window:8,merge:64,pool:2]"),
        CLI_NUMBER("--naive-limit", "GB", &c.limit, 0, 1e6, "largest memory naive attention may take [4]"),
        CLI_CHOICE("--clock", "wall|cpu", &c.clock,
                   "cpu: time of all threads divided by their number, for a machine shared with others [wall]"),
        CLI_FLAG("--quick", &c.quick, "fewer sizes and runs: under 20 seconds, as with --seconds 15"),
        CLI_NUMBER("--seconds", "N", &c.seconds, 0.01, 1e6,
                   "begin nothing after N seconds: fewer runs, then fewer sizes [no limit]"),
        CLI_OPTION("--annotations", "FILE", &c.annotations, "with --images: AP of the model by kind of attention and input size"),
        CLI_OPTION("--images", "DIR", &c.images, "where the images of the annotations are"),
        CLI_OPTION("--out", "DIR", &c.out, "write bench.json, bench.csv and bench.html there"),
        CLI_COMMON_OPTIONS(common),
        CLI_END,
    };
    const struct cli_command command = {
        "bench attention", "[options]",
        "Times one block of a Vision Transformer over ever more tokens: naive and fused attention, the linear layers, and where\n"
        "attention overtakes them. Random weights and data; each part is verified before it is timed.",
        options};
    command_of(b->command, sizeof b->command, argc, argv);
    if ((status = cli_parse(&command, argc, argv, &inputs)) == CLI_GO && inputs > 0)
        status = cli_usage(&command, "takes no arguments: %s", argv[1]);
    if (status == CLI_GO)
        status = settle(b, &command, &common, &c);
    if (status == CLI_GO)
        status = measure(b, &common, &c, begin);
    free(b);
    return status;
}
