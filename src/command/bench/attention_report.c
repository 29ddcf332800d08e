/* SPDX-License-Identifier: MIT */
/* Tells what bench attention found: a table, JSON, CSV, and a page with plots that needs nothing but itself. */
#define _GNU_SOURCE
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command/options.h"
#include "command/bench/attention.h"
#include "command/output.h"
#include "base/error.h"
#include "base/json_write.h"

static double attention_flops(const struct attention_bench *b, const struct attention_size *r)
{
    return 4. * r->tokens * r->tokens * b->dim; /* Q K^T and P V, two operations a multiply-add */
}

static double linear_flops(const struct attention_bench *b, const struct attention_size *r)
{
    return 2. * r->tokens * (4. * b->dim * b->dim + 2. * b->dim * b->mlp);
}

/* "12.3 ms" in five characters and a unit. */
static const char *duration(char text[16], double seconds)
{
    if (seconds < 1e-3)
        snprintf(text, 16, "%.0f us", seconds * 1e6);
    else if (seconds < 1)
        snprintf(text, 16, seconds < 0.1 ? "%.2f ms" : "%.1f ms", seconds * 1e3);
    else
        snprintf(text, 16, "%.2f s", seconds);
    return text;
}

/* What a time is shown as: nothing was measured, nothing worth telling, or the median. */
static const char *shown(char text[16], const struct attention_bench *b, struct bench_times t)
{
    return !t.runs ? "-" : b->emulated ? "emulated" : duration(text, t.median);
}

static const char *size_of(char text[16], double bytes)
{
    if (bytes < 1e6)
        snprintf(text, 16, "%.0f kB", bytes * 1e-3);
    else if (bytes < 1e9)
        snprintf(text, 16, "%.0f MB", bytes * 1e-6);
    else
        snprintf(text, 16, "%.2f GB", bytes * 1e-9);
    return text;
}

static const char *clock_name(const struct attention_bench *b)
{
    return strcmp(b->clock, "cpu") == 0 ? "CPU time divided by threads" : "wall clock";
}

/* ---- terminal ---- */

static void print_law(const char *what, struct bench_line line, int points)
{
    if (points >= 2)
        printf("  %-16s tokens^%.2f +- %.2f  (%d sizes)\n", what, line.exponent, line.standard_error, points);
}

void attention_bench_print_head(const struct attention_bench *b)
{
    printf("%s, backend %s %s, %d threads, %s%s\n", b->machine, b->backend, b->precision, b->threads, clock_name(b),
           b->emulated ? " (EMULATED: times mean nothing)" : "");
    printf("%s: dim %d, heads %d x %d, mlp %d; one person, one block of %d; limber %s, %s\n", b->model, b->dim, b->heads,
           b->head_dim, b->mlp, b->depth, b->commit, b->date);
    printf("$ %s\n\n", b->command);
    printf("%-11s %6s %6s | %9s %9s %5s | %9s %6s | %9s %6s | %9s %5s | %9s %9s %9s\n", "image", "tokens", "check", "naive",
           "fused", "ratio", "linear", "GF/s", "block", "GF/s", "att GF/s", "share", "LxL maps", "naive mem", "fused mem");
    fflush(stdout);
}

void attention_bench_print_row(const struct attention_bench *b, const struct attention_size *r)
{
    char t[8][16], image[24], ratio[16] = "-", speed[3][16], share[16] = "-";
    const double flops[] = {linear_flops(b, r), linear_flops(b, r) + attention_flops(b, r), attention_flops(b, r)};
    const double seconds[] = {r->linear, r->block.median, r->fused.median};
    snprintf(image, sizeof image, "%dx%d", r->image_h, r->image_w);
    for (int k = 0; k < 3; k++)
        snprintf(speed[k], sizeof speed[k], b->emulated || !(seconds[k] > 0) ? "-" : "%.0f", flops[k] / seconds[k] * 1e-9);
    if (!b->emulated && r->linear > 0)
        snprintf(share, sizeof share, "%.0f%%", 100 * r->fused.median / (r->fused.median + r->linear));
    if (r->naive.runs && !b->emulated)
        snprintf(ratio, sizeof ratio, "%.1fx", r->naive.median / r->fused.median);
    printf("%-11s %6d %5.2fx | %9s %9s %5s | %9s %6s | %9s %6s | %9s %5s | %9s %9s %9s\n", image, r->tokens, r->check,
           shown(t[0], b, r->naive), shown(t[1], b, r->fused), ratio,
           b->emulated     ? "emulated"
           : r->linear > 0 ? duration(t[2], r->linear)
                           : "-",
           speed[0], shown(t[3], b, r->block), speed[1], speed[2], share, size_of(t[4], r->map_bytes),
           r->naive.runs ? size_of(t[5], r->naive_bytes) : "-", size_of(t[6], r->fused_bytes));
    if (r->naive_note[0])
        printf("%18s naive: %s\n", "", r->naive_note);
    fflush(stdout);
}

void attention_bench_print_law(const struct attention_bench *b)
{
    char t[8][16];
    if (b->emulated || !b->sizes)
        return; /* what follows speaks of time */
    printf("\nmedians of fused attention's runs (10th to 90th percentile), with head statistics, and the approximations:\n");
    for (int i = 0; i < b->sizes; i++) {
        const struct attention_size *r = &b->size[i];
        printf("%6d  %s (%s..%s, %d runs)", r->tokens, duration(t[0], r->fused.median), duration(t[1], r->fused.p10),
               duration(t[2], r->fused.p90), r->fused.runs);
        if (r->with_stats.runs)
            printf("  statistics %s (+%.0f%%)", duration(t[3], r->with_stats.median),
                   100 * (r->with_stats.median / r->fused.median - 1));
        for (int v = 0; v < b->variants; v++)
            if (r->variants[v].runs)
                printf("  %s %s (%.2fx)", b->variant[v].name, duration(t[4], r->variants[v].median),
                       r->fused.median / r->variants[v].median);
        printf("\n");
    }
    if (b->sizes >= 2) {
        const struct attention_law *law = &b->law;
        printf("\ngrowth, least squares on logarithms:\n");
        print_law("naive attention", law->naive, law->naive_points);
        print_law("fused attention", law->fused, b->sizes);
        print_law("linear layers", law->linear, b->sizes);
        print_law("block", law->block, b->sizes);
        print_law("fused memory", law->memory, b->sizes);
        printf("  block time = %.3g L^2 D + %.3g L D^2 seconds\n", law->a, law->b);
        const double crossing = law->crossing_measured > 0 ? law->crossing_measured : law->crossing_modelled;
        const double width = sqrt(crossing * 3 / 4) * 16;
        printf("attention overtakes the linear layers at ");
        if (law->crossing_measured > 0)
            printf("%.0f tokens measured, ", law->crossing_measured);
        else
            printf("more tokens than these (measured), ");
        printf("%.0f by that model, %.0f by counting multiply-adds", law->crossing_modelled, law->crossing_counted);
        if (crossing > 0)
            printf(": an image of about %.0f x %.0f", width * 4 / 3, width);
        printf("\n");
    }
    for (int i = 0; i < b->accuracies; i++)
        printf("AP %.3f  %-12s %dx%d  %s a person\n", b->accuracy[i].ap, b->accuracy[i].attention, b->accuracy[i].image_h,
               b->accuracy[i].image_w, duration(t[0], b->accuracy[i].seconds_person));
}

/* ---- JSON and CSV ---- */

static void put_times(struct json_text *t, const struct attention_bench *b, const char *key, struct bench_times v)
{
    put_key(t, key);
    if (!v.runs || b->emulated) {
        put_string(t, NULL);
        return;
    }
    put_open(t, '{');
    put_key(t, "median"), put_number(t, v.median, 9);
    put_key(t, "p10"), put_number(t, v.p10, 9);
    put_key(t, "p90"), put_number(t, v.p90, 9);
    put_key(t, "runs"), put_integer(t, v.runs);
    put_close(t, '}');
}

static void put_line(struct json_text *t, const char *key, struct bench_line line)
{
    put_key(t, key), put_open(t, '{');
    put_key(t, "exponent"), put_number(t, line.exponent, 4);
    put_key(t, "standard_error"), put_number(t, line.standard_error, 4);
    put_key(t, "seconds_at_one_token"), put_number(t, exp(line.constant), 9);
    put_close(t, '}');
}

static void put_law(struct json_text *t, const struct attention_bench *b)
{
    put_key(t, "law");
    if (b->emulated || b->sizes < 2) {
        put_string(t, NULL);
        return;
    }
    put_open(t, '{');
    if (b->law.naive_points > 1)
        put_line(t, "naive_attention", b->law.naive);
    put_line(t, "attention", b->law.fused);
    put_line(t, "linear", b->law.linear);
    put_line(t, "block", b->law.block);
    put_line(t, "memory", b->law.memory);
    put_key(t, "crossing_tokens_measured"), put_number(t, b->law.crossing_measured, 0);
    put_key(t, "crossing_tokens_modelled"), put_number(t, b->law.crossing_modelled, 0);
    put_key(t, "crossing_tokens_counted"), put_number(t, b->law.crossing_counted, 0);
    put_close(t, '}');
}

static void write_json(struct json_text *t, const struct attention_bench *b)
{
    t->pretty = true;
    put_open(t, '{');
    put_key(t, "command"), put_string(t, b->command);
    put_key(t, "machine"), put_string(t, b->machine);
    put_key(t, "clock_mhz"), put_number(t, b->clock_mhz, 0);
    put_key(t, "clock"), put_string(t, b->clock);
    put_key(t, "date"), put_string(t, b->date);
    put_key(t, "version"), put_string(t, b->commit);
    put_key(t, "backend"), put_string(t, b->backend);
    put_key(t, "emulated"), put_bool(t, b->emulated);
    put_key(t, "precision"), put_string(t, b->precision);
    put_key(t, "threads"), put_integer(t, b->threads);
    put_key(t, "model"), put_string(t, b->model);
    put_key(t, "dim"), put_integer(t, b->dim);
    put_key(t, "heads"), put_integer(t, b->heads);
    put_key(t, "mlp"), put_integer(t, b->mlp);
    put_key(t, "depth"), put_integer(t, b->depth);
    put_key(t, "complete"), put_bool(t, b->sizes == b->planned);
    put_key(t, "sizes"), put_open(t, '[');
    for (int i = 0; i < b->sizes + b->partial; i++) {
        const struct attention_size *r = &b->size[i];
        put_open(t, '{');
        put_key(t, "height"), put_integer(t, r->image_h);
        put_key(t, "width"), put_integer(t, r->image_w);
        put_key(t, "tokens"), put_integer(t, r->tokens);
        put_key(t, "check"), put_number(t, r->check, 3);
        put_times(t, b, "naive_attention", r->naive);
        put_key(t, "naive_note"), put_string(t, r->naive_note[0] ? r->naive_note : NULL);
        put_times(t, b, "attention", r->fused);
        put_times(t, b, "attention_with_statistics", r->with_stats);
        put_times(t, b, "qkv", r->qkv);
        put_times(t, b, "projection", r->projection);
        put_times(t, b, "fc1", r->fc1);
        put_times(t, b, "fc2", r->fc2);
        put_times(t, b, "layernorm", r->layernorm);
        put_times(t, b, "block", r->block);
        for (int v = 0; v < b->variants; v++)
            put_times(t, b, b->variant[v].name, r->variants[v]);
        put_key(t, "attention_gflops"), put_number(t, b->emulated ? NAN : attention_flops(b, r) / r->fused.median * 1e-9, 1);
        put_key(t, "linear_gflops"), put_number(t, b->emulated ? NAN : linear_flops(b, r) / r->linear * 1e-9, 1);
        put_key(t, "map_bytes_not_made"), put_number(t, r->map_bytes, 0);
        put_key(t, "naive_peak_bytes"), put_number(t, r->naive_bytes, 0);
        put_key(t, "fused_peak_bytes"), put_number(t, r->fused_bytes, 0);
        put_close(t, '}');
    }
    put_close(t, ']');
    put_law(t, b);
    put_key(t, "accuracy"), put_open(t, '[');
    for (int i = 0; i < b->accuracies; i++) {
        put_open(t, '{');
        put_key(t, "attention"), put_string(t, b->accuracy[i].attention);
        put_key(t, "height"), put_integer(t, b->accuracy[i].image_h);
        put_key(t, "width"), put_integer(t, b->accuracy[i].image_w);
        put_key(t, "AP"), put_number(t, b->accuracy[i].ap, 4);
        put_key(t, "seconds_person"), put_number(t, b->accuracy[i].seconds_person, 6);
        put_close(t, '}');
    }
    put_close(t, ']');
    put_close(t, '}');
    put_newline(t);
}

static void write_csv(FILE *f, const struct attention_bench *b)
{
    fprintf(
        f,
        "height,width,tokens,naive_s,attention_s,attention_p10_s,attention_p90_s,attention_with_statistics_s,qkv_s,projection_s,"
        "fc1_s,fc2_s,layernorm_s,block_s,map_bytes_not_made,naive_peak_bytes,fused_peak_bytes");
    for (int v = 0; v < b->variants; v++)
        fprintf(f, ",%s_s", b->variant[v].name);
    fprintf(f, "\n");
    for (int i = 0; i < b->sizes + b->partial; i++) {
        const struct attention_size *r = &b->size[i];
        const struct bench_times times[] = {r->naive,
                                            r->fused,
                                            {.median = r->fused.p10, .runs = r->fused.runs},
                                            {.median = r->fused.p90, .runs = r->fused.runs},
                                            r->with_stats,
                                            r->qkv,
                                            r->projection,
                                            r->fc1,
                                            r->fc2,
                                            r->layernorm,
                                            r->block};
        fprintf(f, "%d,%d,%d", r->image_h, r->image_w, r->tokens);
        for (size_t k = 0; k < sizeof times / sizeof *times; k++)
            fprintf(f, times[k].runs && !b->emulated ? ",%.9g" : ",", times[k].median); /* empty where it was left out */
        fprintf(f, ",%.0f,%.0f,%.0f", r->map_bytes, r->naive_bytes, r->fused_bytes);
        for (int v = 0; v < b->variants; v++)
            fprintf(f, r->variants[v].runs && !b->emulated ? ",%.9g" : ",", r->variants[v].median);
        fprintf(f, "\n");
    }
}

/* ---- the page ---- */

/* Of the page and of the picture that stands alone; both follow the reader's light or dark. */
#define STYLE_COLOURS                                                                                                            \
    ":root{--ink:#1b1f24;--soft:#5b6570;--line:#d5dae0;--paper:#fff;--naive:#b35900;--fused:#0b66c3;--linear:#3c8527;"           \
    "--block:#6f42c1}\n"                                                                                                         \
    "@media(prefers-color-scheme:dark){:root{--ink:#e6e9ed;--soft:#9aa4af;--line:#39414a;--paper:#14181d;--naive:#f0a35e;"       \
    "--fused:#6fb3ff;--linear:#8fd17a;--block:#c3a2ff}}\n"
#define STYLE_PLOTS                                                                                                              \
    "svg text{font:12px system-ui,sans-serif;fill:var(--soft)}svg "                                                              \
    ".ink{fill:var(--ink)}.grid{stroke:var(--line);stroke-width:1}\n"                                                            \
    ".naive{stroke:var(--naive)}.fused{stroke:var(--fused)}.linear{stroke:var(--linear)}.block{stroke:var(--block)}\n"           \
    "svg .naive.f{fill:var(--naive);stroke:none}svg .fused.f{fill:var(--fused);stroke:none}svg .linear.f{fill:var(--linear);"    \
    "stroke:none}svg .block.f{fill:var(--block);stroke:none}path{fill:none;stroke-width:2}\n"

static const char *const page_style =
    "<style>\n" STYLE_COLOURS
    "body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:62rem;margin:0 "
    "auto;padding:1rem}\n"
    "h1{font-size:1.6rem;line-height:1.25}h2{font-size:1.15rem;margin-top:2rem}p{max-width:46rem}code{font-size:.85em;"
    "overflow-wrap:anywhere}.scroll{overflow-x:auto}svg{max-width:100%;height:auto;display:block}\n"
    "table{border-collapse:collapse;font-size:.85rem;font-variant-numeric:tabular-nums}td,th{padding:.25rem "
    ".6rem;text-align:right;"
    "border-bottom:1px solid var(--line);white-space:nowrap}th{color:var(--soft);font-weight:600}\n" STYLE_PLOTS
    "@media print{body{max-width:none}}\n</style>\n";
static const char *const picture_style = "<style>" STYLE_COLOURS STYLE_PLOTS "svg{background:var(--paper)}</style>\n";

/* A plot with logarithmic axes: the frame, and where values land in it. */
struct plot {
    FILE *f;
    double x0, x1, y0, y1; /* decimal logarithms */
    struct label {
        const char *class;
        char text[64];
        double y;
    } labels[6];
    int label_count;
};
#define PLOT_W 720
#define PLOT_H 380
#define PLOT_LEFT 66
#define PLOT_RIGHT 160 /* names of the lines stand there */
#define PLOT_TOP 14
#define PLOT_BOTTOM 44

static double plot_x(const struct plot *p, double v)
{
    return PLOT_LEFT + (log10(v) - p->x0) / (p->x1 - p->x0) * (PLOT_W - PLOT_LEFT - PLOT_RIGHT);
}

static double plot_y(const struct plot *p, double v)
{
    return PLOT_TOP + (p->y1 - log10(v)) / (p->y1 - p->y0) * (PLOT_H - PLOT_TOP - PLOT_BOTTOM);
}

static void plot_open(struct plot *p, FILE *f, const char *title, double low_x, double high_x, double low_y, double high_y,
                      const char *(*label)(char text[16], double v), const struct attention_bench *b)
{
    char text[16];
    *p = (struct plot){
        .f = f, .x0 = log10(low_x) - 0.05, .x1 = log10(high_x) + 0.05, .y0 = floor(log10(low_y)), .y1 = ceil(log10(high_y))};
    fprintf(f, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" role=\"img\"><title>%s</title>\n",
            PLOT_W, PLOT_H, PLOT_W, title);
    for (int e = (int)p->y0; e <= (int)p->y1; e++)
        fprintf(f, "<path class=\"grid\" d=\"M%d %.1fH%d\"/><text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n", PLOT_LEFT,
                plot_y(p, pow(10, e)), PLOT_W - PLOT_RIGHT, PLOT_LEFT - 6, plot_y(p, pow(10, e)) + 4, label(text, pow(10, e)));
    double last = -100;
    for (int i = 0; i < b->sizes; i++) {
        double x = plot_x(p, b->size[i].tokens);
        fprintf(f, "<path class=\"grid\" d=\"M%.1f %dV%d\"/>", x, PLOT_TOP, PLOT_H - PLOT_BOTTOM);
        if (x - last > 44) {
            fprintf(f, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%d</text>\n", x, PLOT_H - PLOT_BOTTOM + 16,
                    b->size[i].tokens);
            last = x;
        }
    }
    fprintf(f, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">tokens (patches of 16 x 16)</text>\n",
            (PLOT_LEFT + PLOT_W - PLOT_RIGHT) / 2, PLOT_H - 8);
}

static void plot_dot(struct plot *p, const char *class, double x, double y)
{
    fprintf(p->f, "<circle class=\"%s f\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"/>", class, plot_x(p, x), plot_y(p, y));
}

/* A name in the right margin, beside the end of what it names. */
static void plot_label(struct plot *p, const char *class, double y, const char *format, ...)
{
    struct label *l = &p->labels[p->label_count++];
    va_list ap;
    va_start(ap, format);
    vsnprintf(l->text, sizeof l->text, format, ap);
    va_end(ap);
    l->class = class;
    l->y = plot_y(p, y) + 4;
}

static int by_height(const void *pa, const void *pb)
{
    const struct label *a = pa, *b = pb;
    return (a->y > b->y) - (a->y < b->y);
}

/* Names move down where they would touch. */
static void plot_close(struct plot *p)
{
    qsort(p->labels, (size_t)p->label_count, sizeof *p->labels, by_height);
    for (int i = 0; i < p->label_count; i++) {
        struct label *l = &p->labels[i];
        if (i && l->y < p->labels[i - 1].y + 16)
            l->y = p->labels[i - 1].y + 16;
        fprintf(p->f, "<text class=\"%s f\" x=\"%d\" y=\"%.1f\">%s</text>\n", l->class, PLOT_W - PLOT_RIGHT + 8, l->y, l->text);
    }
    fprintf(p->f, "</svg>\n");
}

/* The fitted law over the measured sizes. */
static void plot_law(struct plot *p, const char *class, const char *name, struct bench_line line, double from, double to)
{
    double y0 = exp(line.constant + line.exponent * log(from)), y1 = exp(line.constant + line.exponent * log(to));
    fprintf(p->f, "<path class=\"%s\" d=\"M%.1f %.1fL%.1f %.1f\" stroke-dasharray=\"5 4\"/>\n", class, plot_x(p, from),
            plot_y(p, y0), plot_x(p, to), plot_y(p, y1));
    plot_label(p, class, y1, "%s ~ L^%.2f", name, line.exponent);
}

static const char *label_seconds(char text[16], double v)
{
    snprintf(text, 16, v < 9e-4 ? "%.0f us" : v < 0.9 ? "%.0f ms" : "%.0f s", v < 9e-4 ? v * 1e6 : v < 0.9 ? v * 1e3 : v);
    return text;
}

/* `inside`: what the picture needs of its own, or "". */
static void time_plot(FILE *f, const struct attention_bench *b, const char *inside)
{
    const struct attention_size *first = &b->size[0], *last = &b->size[b->sizes - 1];
    double low = fmin(first->fused.median, first->linear), high = last->block.median;
    struct plot p;
    for (int i = 0; i < b->sizes; i++)
        high = fmax(high, b->size[i].naive.runs ? b->size[i].naive.median : 0);
    plot_open(&p, f, "time against tokens", first->tokens, last->tokens, low, high, label_seconds, b);
    fputs(inside, f);
    int naive_last = 0;
    for (int i = 0; i < b->sizes; i++) {
        const struct attention_size *r = &b->size[i];
        if (r->naive.runs) {
            plot_dot(&p, "naive", r->tokens, r->naive.median);
            naive_last = i;
        }
        plot_dot(&p, "fused", r->tokens, r->fused.median);
        plot_dot(&p, "linear", r->tokens, r->linear);
    }
    fprintf(f, "\n");
    plot_law(&p, "linear", "linear layers", b->law.linear, first->tokens, last->tokens);
    plot_law(&p, "fused", "fused attention", b->law.fused, first->tokens, last->tokens);
    if (b->law.naive_points > 1)
        plot_law(&p, "naive", "naive attention", b->law.naive, first->tokens, b->size[naive_last].tokens);
    double c = b->law.crossing_measured;
    if (c > 0) {
        double t = exp(b->law.linear.constant + b->law.linear.exponent * log(c));
        fprintf(f,
                "<path class=\"block\" d=\"M%.1f %dV%d\"/><circle class=\"block\" cx=\"%.1f\" cy=\"%.1f\" r=\"7\" fill=\"none\"/>"
                "<text class=\"block f\" x=\"%.1f\" y=\"%d\" text-anchor=\"end\">crossing at %.0f tokens</text>\n",
                plot_x(&p, c), PLOT_TOP, PLOT_H - PLOT_BOTTOM, plot_x(&p, c), plot_y(&p, t), plot_x(&p, c) - 6, PLOT_TOP + 12, c);
    }
    plot_close(&p);
}

static const char *label_bytes(char text[16], double v)
{
    snprintf(text, 16, v < 9e5 ? "%.0f kB" : v < 9e8 ? "%.0f MB" : "%.0f GB", v < 9e5 ? v * 1e-3 : v < 9e8 ? v * 1e-6 : v * 1e-9);
    return text;
}

static void memory_plot(FILE *f, const struct attention_bench *b)
{
    const struct attention_size *first = &b->size[0], *last = &b->size[b->sizes - 1];
    struct plot p;
    double low = fmax(fmin(first->fused_bytes, first->map_bytes), 1e3);
    plot_open(&p, f, "memory against tokens", first->tokens, last->tokens, low, fmax(last->map_bytes, last->fused_bytes),
              label_bytes, b);
    for (int i = 0; i < b->sizes; i++) {
        plot_dot(&p, "naive", b->size[i].tokens, b->size[i].map_bytes);
        if (b->size[i].fused_bytes > 0)
            plot_dot(&p, "fused", b->size[i].tokens, b->size[i].fused_bytes);
    }
    plot_law(&p, "fused", "block", b->law.memory, first->tokens, last->tokens);
    plot_label(&p, "naive", last->map_bytes, "score maps, not made");
    plot_close(&p);
}

static void share_plot(FILE *f, const struct attention_bench *b)
{
    const int bar = 26, left = 96, width = 500;
    fprintf(f, "<svg viewBox=\"0 0 %d %d\" width=\"%d\" role=\"img\"><title>shares of a block</title>\n", PLOT_W,
            bar * b->sizes + 30, PLOT_W);
    for (int i = 0; i < b->sizes; i++) {
        const struct attention_size *r = &b->size[i];
        const struct {
            const char *class;
            double t;
        } parts[] = {{"fused", r->fused.median}, {"linear", r->linear}, {"block", 2 * r->layernorm.median}};
        double total = 0, x = left;
        for (int k = 0; k < 3; k++)
            total += parts[k].t;
        fprintf(f, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%dx%d</text>", left - 8, bar * i + 17, r->image_h, r->image_w);
        for (int k = 0; k < 3; k++) {
            double w = parts[k].t / total * width;
            fprintf(f, "<rect class=\"%s f\" x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\"/>", parts[k].class, x, bar * i + 4,
                    w, bar - 7);
            x += w;
        }
        fprintf(f, "<text x=\"%d\" y=\"%d\">%.0f%%</text>\n", left + width + 6, bar * i + 17, 100 * parts[0].t / total);
    }
    fprintf(f,
            "<text class=\"fused f\" x=\"%d\" y=\"%d\">attention</text><text class=\"linear f\" x=\"%d\" y=\"%d\">linear "
            "layers</text>"
            "<text class=\"block f\" x=\"%d\" y=\"%d\">layernorm</text></svg>\n",
            left, bar * b->sizes + 22, left + 90, bar * b->sizes + 22, left + 200, bar * b->sizes + 22);
}

static void accuracy_plot(FILE *f, const struct attention_bench *b)
{
    double top = 0, slow = 0;
    for (int i = 0; i < b->accuracies; i++) {
        top = fmax(top, b->accuracy[i].ap);
        slow = fmax(slow, b->accuracy[i].seconds_person);
    }
    fprintf(f, "<svg viewBox=\"0 0 %d %d\" width=\"%d\" role=\"img\"><title>AP against time</title>\n", PLOT_W, PLOT_H, PLOT_W);
    for (int k = 0; k <= 4; k++) {
        double y = PLOT_TOP + (PLOT_H - PLOT_TOP - PLOT_BOTTOM) * (1 - k / 4.);
        fprintf(f, "<path class=\"grid\" d=\"M%d %.1fH%d\"/><text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.2f</text>\n",
                PLOT_LEFT, y, PLOT_W - PLOT_RIGHT, PLOT_LEFT - 6, y + 4, top * k / 4);
    }
    for (int i = 0; i < b->accuracies; i++) {
        const struct attention_accuracy *a = &b->accuracy[i];
        double x = PLOT_LEFT + a->seconds_person / slow * (PLOT_W - PLOT_LEFT - PLOT_RIGHT) * 0.95;
        double y = PLOT_TOP + (PLOT_H - PLOT_TOP - PLOT_BOTTOM) * (1 - (top > 0 ? a->ap / top : 0));
        fprintf(f,
                "<circle class=\"fused f\" cx=\"%.1f\" cy=\"%.1f\" r=\"5\"/><text class=\"ink\" x=\"%.1f\" y=\"%.1f\""
                " text-anchor=\"%s\">%s %dx%d</text>\n",
                x, y, x + (x > PLOT_W * 0.6 ? -9 : 9), y + 4, x > PLOT_W * 0.6 ? "end" : "start", a->attention, a->image_h,
                a->image_w);
    }
    fprintf(f, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">time a person, 0 to %.1f ms; AP upwards</text></svg>\n",
            PLOT_W / 2, PLOT_H - 8, slow * 1e3);
}

/* A command line is the user's: it may hold what HTML would read as its own. */
static void put_escaped(FILE *f, const char *s)
{
    for (; *s; s++)
        switch (*s) {
        case '<':
            fputs("&lt;", f);
            break;
        case '&':
            fputs("&amp;", f);
            break;
        default:
            fputc(*s, f);
        }
}

static void write_html(FILE *f, const struct attention_bench *b)
{
    char t[8][16];
    fprintf(
        f,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width,"
        "initial-scale=1\"><title>limber: how attention scales</title>\n%s</head><body>\n<h1>How the cost of patch attention "
        "grows with resolution</h1>\n<p>",
        page_style);
    put_escaped(f, b->machine);
    fprintf(f, "; backend %s, %s, %d threads, %s; limber %s, %s. One block of a Vision Transformer (", b->backend, b->precision,
            b->threads, clock_name(b), b->commit, b->date);
    put_escaped(f, b->model);
    fprintf(f,
            ": width %d, %d heads of %d, MLP %d), one person, random data; each kernel was checked against double arithmetic "
            "before it was timed.</p>\n<p>Repeat it with <code>",
            b->dim, b->heads, b->head_dim, b->mlp);
    put_escaped(f, b->command);
    fprintf(f, "</code></p>\n");
    if (b->sizes < b->planned)
        fprintf(f, "<p><strong>Stopped early:</strong> %d of %d sizes were measured to the end.</p>\n", b->sizes, b->planned);
    if (b->emulated)
        fprintf(
            f,
            "<p><strong>This device was emulated.</strong> The numbers it computed are right, its times are not those of any GPU:"
            " they are left out of this page.</p>\n");
    else if (b->sizes >= 2) {
        fprintf(f,
                "<h2>Time against tokens</h2>\n<p>Both axes are logarithmic: a straight line is a power law and its slope the"
                " exponent. Linear layers grow in proportion to the tokens, attention with their square. Where the lines cross,"
                " attention starts to cost more than everything else%s.</p>\n",
                b->law.crossing_measured > 0 ? "" : " (beyond the sizes measured here)");
        time_plot(f, b, "");
        fprintf(f, "<p>Crossing: ");
        if (b->law.crossing_measured > 0)
            fprintf(f, "measured at %.0f tokens", b->law.crossing_measured);
        else
            fprintf(f, "not reached at these sizes");
        fprintf(f,
                ", %.0f by a fit of a&thinsp;L&sup2;D&thinsp;+&thinsp;b&thinsp;L&thinsp;D&sup2;, %.0f by counting multiply-adds"
                " alone. The difference is how much less of the machine's speed attention reaches, because of the"
                " exponentials.</p>\n",
                b->law.crossing_modelled, b->law.crossing_counted);
        fprintf(f, "<h2>Where a block's time goes</h2>\n<p>Share of fused attention, at the right in per cent.</p>\n");
        share_plot(f, b);
        fprintf(
            f,
            "<h2>Memory</h2>\n<p>Naive attention writes a score for every pair of tokens in every head. The fused kernel keeps a"
            " few rows at a time, so a block's memory grows with the tokens only.</p>\n");
        memory_plot(f, b);
    }
    if (b->accuracies && !b->emulated) {
        fprintf(
            f,
            "<h2>What exactness costs</h2>\n<p>Average precision of the model on the given annotations against the time for a"
            " person: exact attention beside windowed, merged and pooled attention, and other input sizes. The model was trained"
            " with exact attention at its own size only.</p>\n");
        accuracy_plot(f, b);
    }
    fprintf(f,
            "<h2>All figures</h2>\n<div class=\"scroll\"><table><tr><th>image<th>tokens<th>check<th>naive<th>fused<th>10%%..90%%"
            "<th>with statistics");
    for (int v = 0; v < b->variants; v++)
        fprintf(f, "<th>%s", b->variant[v].name);
    fprintf(f, "<th>qkv<th>projection<th>fc1<th>fc2<th>block<th>score maps</tr>\n");
    for (int i = 0; i < b->sizes + b->partial; i++) {
        const struct attention_size *r = &b->size[i];
#define CELL(v) shown(t[0], b, v)
        fprintf(f, "<tr><td>%dx%d<td>%d<td>%.2f<td>%s", r->image_h, r->image_w, r->tokens, r->check, CELL(r->naive));
        fprintf(f, "<td>%s", CELL(r->fused));
        if (b->emulated || !r->fused.runs)
            fprintf(f, "<td>%s", b->emulated ? "emulated" : "-");
        else
            fprintf(f, "<td>%s..%s", duration(t[1], r->fused.p10), duration(t[2], r->fused.p90));
        fprintf(f, "<td>%s", CELL(r->with_stats));
        for (int v = 0; v < b->variants; v++)
            fprintf(f, "<td>%s", CELL(r->variants[v]));
        fprintf(f, "<td>%s", CELL(r->qkv));
        fprintf(f, "<td>%s", CELL(r->projection));
        fprintf(f, "<td>%s", CELL(r->fc1));
        fprintf(f, "<td>%s", CELL(r->fc2));
        fprintf(f, "<td>%s<td>%s</tr>\n", CELL(r->block), size_of(t[3], r->map_bytes));
#undef CELL
    }
    fprintf(f, "</table></div>\n<p>check: the worst error of the sampled rows as a share of what the precision allows.</p>\n"
               "</body></html>\n");
}

static void write_svg(FILE *f, const struct attention_bench *b)
{
    time_plot(f, b, picture_style);
}

/* ---- files ---- */

static int put_printed(const char *dir, const char *name, void (*print)(FILE *f, const struct attention_bench *b),
                       const struct attention_bench *b)
{
    char *text = NULL;
    size_t length = 0;
    FILE *f = open_memstream(&text, &length);
    if (!f)
        return cli_fail("%s: no memory", name);
    print(f, b);
    int status = fclose(f) == 0 ? output_file(dir, name, text, length) : cli_fail("%s: no memory", name);
    free(text);
    return status;
}

int attention_bench_write(const struct attention_bench *b, const char *dir)
{
    struct json_text t = {0};
    int status = output_folder(dir);
    if (status != CLI_DONE)
        return status;
    write_json(&t, b);
    status = t.failed ? cli_fail("bench.json: no memory") : output_file(dir, "bench.json", t.text, t.length);
    put_free(&t);
    if (status == CLI_DONE)
        status = put_printed(dir, "bench.csv", write_csv, b);
    if (status == CLI_DONE)
        status = put_printed(dir, "bench.html", write_html, b);
    if (status == CLI_DONE && b->sizes >= 2 && !b->emulated)
        status = put_printed(dir, "bench.svg", write_svg, b);
    return status;
}
