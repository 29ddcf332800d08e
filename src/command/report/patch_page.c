/* SPDX-License-Identifier: MIT */
/* command/report/patch_page.c - what heads cause, as one HTML file, beside what they read (page.h has the frame).
 *
 * One kind of change leads: noise where it was run, else the first there is. Its maps, ranking and swarm are drawn; the table and the files
 * hold all. Colours: orange for what helps the limb, blue for what hinders it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "command/report/page.h"
#include "command/report/patch_report.h"

#define RANKED 16
#define FOCUS_ROWS 12
#define AXIS 2.5 /* of the ranking: so many times the largest effect, either way */
#define MAX_Q 0.05

static const char *const by_says[EFFECT_BYS] = {"the clear picture's head put into the blurred run",
                                                "the blurred picture's head put into the clear run",
                                                "the same, blurred elsewhere",
                                                "another person's head put into the clear run",
                                                "the head counts as zero",
                                                "the head says its mean over people, place by place",
                                                "the head says its mean over people and places"};
static const char *const metric_says[EFFECT_METRICS] = {"heat at the joints", "log probability of the joints", "similarity (OKS)",
                                                        "minus the distance"};

struct page {
    FILE *f;
    const struct effects_result *r;
    const struct patch_reading *reading; /* NULL: none */
    const struct patch_about *about;
    enum effect_metric metric;
    enum effect_by lead;
};

static void limb_text(FILE *f, int c)
{
    for (const char *s = heads_limb_names[c]; *s; s++)
        fputc(*s == '_' ? ' ' : *s, f);
}

static bool patched(const struct page *p, int head)
{
    return !p->about->chosen || p->about->chosen[head];
}

static const struct effect *at(const struct page *p, int head, int limb)
{
    return effects_at(p->r, p->lead, head, limb, p->metric);
}

/* The share of the gap where there is one; else the raw change. */
static const limber_heads_estimate *drawn(const struct effect *e)
{
    return e->shared ? &e->share : &e->raw;
}

static bool has_gap(enum effect_by b)
{
    return b < BY_ZERO;
}

static bool limb_shown(const struct page *p, int c)
{
    return p->r->people[p->lead][c] > 0 && (!has_gap(p->lead) || p->r->gap_known[p->lead][c][p->metric]);
}

/* Three decimals: effects of single heads are small. */
static void small_number(FILE *f, double v)
{
    char text[32];
    snprintf(text, sizeof text, "%.3f", fabs(v));
    fprintf(f, "%s%s", v < 0 && strcmp(text, "0.000") ? "&minus;" : "", text);
}

static void small_estimate(FILE *f, bool known, const limber_heads_estimate *e)
{
    if (!known || !e->images) {
        fputs("&ndash;", f);
        return;
    }
    small_number(f, e->mean);
    if (e->interval) {
        fputs(" <span class=ci>[", f);
        small_number(f, e->low);
        fputs(", ", f);
        small_number(f, e->high);
        fputs("]</span>", f);
    }
}

/* ---- the opening ---- */

static void verdict(const struct page *p)
{
    FILE *f = p->f;
    int tested = 0, help = 0, hinder = 0;
    for (int h = 0; h < p->r->head_count; h++)
        for (int c = 0; c < LIMBS; c++) {
            const struct effect *e = at(p, h, c);
            tested += e->tested;
            help += e->tested && e->q <= MAX_Q && e->raw.mean > 0;
            hinder += e->tested && e->q <= MAX_Q && e->raw.mean < 0;
        }
    if (!p->r->images)
        fputs("<p class=lead>Nothing can be said: no image showed a person with a labelled limb.</p>", f);
    else if (!tested)
        fputs("<p class=lead>Averages only: whether any of it is more than chance takes at least two images.</p>", f);
    else if (!help && !hinder)
        fprintf(f,
                "<p class=lead><b>No single head stands out.</b> Of %d pairs of head and limb, none has an effect on the %s that "
                "could not "
                "be chance (q above %g).</p>",
                tested, metric_says[p->metric], MAX_Q);
    else
        fprintf(f,
                "<p class=lead><b>Of %d pairs of head and limb, %d %s%s, and %d %s the other way.</b> Measured by %s; of these "
                "%d, at most "
                "%.0f&nbsp;%% are expected to be luck.</p>",
                tested, help, p->lead == BY_DENOISE ? "bring the limb back" : "are needed",
                p->lead == BY_NOISE && (p->r->by >> BY_MOVED & 1) ? " more than a blur elsewhere explains" : "", hinder,
                hinder == 1 ? "works" : "work", metric_says[p->metric], help + hinder, 100 * MAX_Q);
    fputs("<p class=dim>These are effects in this network on these photographs. A head named here because its number is the "
          "largest "
          "was picked "
          "after looking: expect less of it on other people.</p>",
          f);
}

/* What `limber heads` found, in a sentence, with its caution. */
static void read_verdict(const struct page *p)
{
    FILE *f = p->f;
    int specialists = 0, of[LIMBS] = {0};
    for (int h = 0; h < p->r->head_count; h++) {
        bool any = false;
        for (int c = 0; c < LIMBS; c++) {
            of[c] += p->reading->specialist[c * p->r->head_count + h];
            any = any || p->reading->specialist[c * p->r->head_count + h];
        }
        specialists += any;
    }
    fprintf(f, "<p class=lead><b>%d of %d heads %s.</b>", specialists, p->r->head_count,
            specialists == 1 ? "reads a limb" : "read a limb");
    for (int c = 0, any = 0; c < LIMBS; c++)
        if (of[c]) {
            fputs(any++ ? "; " : " Read: ", f);
            limb_text(f, c);
            fprintf(f, " by %d", of[c]);
        }
    fputs(specialists ? ".</p>" : "</p>", f);
    if (specialists)
        fputs("<p class=dim>What a head reads is a correlation, and its thresholds were settled on one set of photographs: on "
              "others expect the order to hold better than the count. Whether the network makes anything of it is the other "
              "half of this page.</p>",
              f);
}

static void opening(const struct page *p)
{
    FILE *f = p->f;
    char text[96];
    fputs(p->reading ? "<h1>What attention heads read, and what they cause</h1>"
                     : "<h1>What does each attention head cause?</h1>",
          f);
    verdict(p);
    if (p->reading)
        read_verdict(p);
    if (!p->about->complete)
        fputs("<p><b>The run was stopped before its end:</b> this page rests on the images seen until then.</p>", f);
    fputs("<div class=facts>", f);
    page_fact(f, "model", p->about->architecture);
    page_fact(f, "from", p->about->model);
    snprintf(text, sizeof text, "%lld of %lld", (long long)p->r->images, (long long)p->about->images);
    page_fact(f, "images that say something", text);
    snprintf(text, sizeof text, "%d", p->about->people);
    page_fact(f, "people a limb, at most", p->about->people ? text : "all");
    snprintf(text, sizeof text, "%d layers × %d", p->r->layers, p->r->heads);
    page_fact(f, "heads", text);
    page_fact(f, "joints", p->about->annotations);
    snprintf(text, sizeof text, "%s, %s", p->about->backend, p->about->precision);
    page_fact(f, "computed by", text);
    snprintf(text, sizeof text, "%d, seed %llu", p->about->bootstrap, (unsigned long long)p->about->seed);
    page_fact(f, "bootstrap replicates", text);
    fputs("</div><p class=dim>A head&rsquo;s output is replaced by what it says in another run, and the network runs on from "
          "there. ",
          f);
    if (p->about->path) {
        fputs("Here it is a <b>path</b>: what is replaced is what each head would say if of all that it reads only the direct "
              "change of ",
              f);
        page_text(f, p->about->path_text);
        fputs(" reached it, every other block held as it was. So an effect is what ", f);
        page_text(f, p->about->path_text);
        fputs(" does through that head. ", f);
    }
    fprintf(f,
            "This page draws <b>%s</b>: %s. Layers and heads are counted from 0. The other measures and kinds of change are in "
            "the table, "
            "in patch.csv and patch.json.</p>",
            effect_by_names[p->lead], by_says[p->lead]);
}

static void gaps(const struct page *p)
{
    FILE *f = p->f;
    const enum effect_by b = p->lead;
    if (!has_gap(b))
        return;
    fprintf(f,
            "<h2>What is there to lose?</h2><p>%s An effect is a share of this loss; where its interval holds 0 there is no "
            "share to speak of, and the limb is left out (&ndash;).</p><div class=wide><table><tr><th class=l>limb<th>people",
            b == BY_SWAP ? "What another person&rsquo;s picture costs at this person&rsquo;s joints."
                         : "What blurring the limb away costs at its joints.");
    for (int m = 0; m < EFFECT_METRICS; m++)
        fprintf(f, "<th>%s", metric_says[m]);
    fputs("</tr>", f);
    for (int c = 0; c < LIMBS; c++) {
        fputs("<tr><td class=l>", f);
        limb_text(f, c);
        fprintf(f, "<td>%lld", (long long)p->r->people[b][c]);
        for (int m = 0; m < EFFECT_METRICS; m++) {
            fputs("<td>", f);
            small_estimate(f, true, &p->r->gap[b][c][m]);
            fputs(p->r->gap_known[b][c][m] || !p->r->gap[b][c][m].images ? "" : " &ndash;", f);
        }
        fputs("</tr>", f);
    }
    fputs("</table></div>", f);
}

/* ---- maps ---- */

static void map_open(FILE *f, const struct page *p, double width, double *cell_w, double *cell_h, const char *label)
{
    const double left = 38, top = 20;
    *cell_w = (width - left - 1) / p->r->heads;
    *cell_h = fmax(12, fmin(24, *cell_w));
    fprintf(f, "<svg viewBox=\"0 0 %.0f %.1f\" role=img aria-label=\"%s\">", width, top + *cell_h * p->r->layers + 1, label);
    for (int h = 0; h<p->r->heads; h += p->r->heads> 12 ? 4 : 1)
        fprintf(f, "<text x=%.1f y=13 text-anchor=middle>%d</text>", left + (h + 0.5) * *cell_w, h);
    for (int l = 0; l < p->r->layers; l++)
        fprintf(f, "<text x=%.1f y=%.1f text-anchor=end>%d</text>", left - 7, top + (l + 0.5) * *cell_h + 4, l);
    fprintf(f, "<text x=%.1f y=13 text-anchor=end>layer</text>", left - 7);
}

static void cell(FILE *f, const struct page *p, int head, double cell_w, double cell_h, const char *attributes)
{
    fprintf(f, "<rect x=%.1f y=%.1f width=%.1f height=%.1f %s />", 38 + head % p->r->heads * cell_w + 1,
            20 + head / p->r->heads * cell_h + 1, cell_w - 2, cell_h - 2, attributes);
}

static double largest(const struct page *p)
{
    double most = 0;
    for (int h = 0; h < p->r->head_count; h++)
        for (int c = 0; c < LIMBS; c++)
            if (limb_shown(p, c) && at(p, h, c)->known)
                most = fmax(most, fabs(drawn(at(p, h, c))->mean));
    return most > 0 ? most : 1;
}

static void causal_map(const struct page *p, int limb, double full)
{
    FILE *f = p->f;
    double w, h;
    fputs("<figure><h3>causes</h3>", f);
    map_open(f, p, 340, &w, &h, "effect by layer and head");
    for (int i = 0; i < p->r->head_count; i++) {
        const struct effect *e = at(p, i, limb);
        char fill[96];
        cell(f, p, i, w, h, "style=\"fill:var(--cell)\"");
        if (!e->known)
            continue;
        const double v = drawn(e)->mean / full;
        snprintf(fill, sizeof fill, "style=\"fill:var(--%s);fill-opacity:%.2f\"", v > 0 ? "more" : "less",
                 sqrt(fmin(1, fabs(v))));
        cell(f, p, i, w, h, fill);
        if (e->tested && e->q <= MAX_Q)
            fprintf(f, "<circle cx=%.1f cy=%.1f r=2.6 style=\"fill:var(--fg)\"/>", 38 + (i % p->r->heads + 0.5) * w,
                    20 + (i / p->r->heads + 0.5) * h);
    }
    fputs("</svg></figure>", f);
}

static void reading_map(const struct page *p, int limb)
{
    FILE *f = p->f;
    const int n = p->r->head_count;
    double w, h, full = 0.15;
    for (int i = 0; i < LIMBS * n; i++)
        full = fmax(full, isfinite(p->reading->value[READ_GAIN][i]) ? p->reading->value[READ_GAIN][i] : 0);
    fputs("<figure><h3>reads</h3>", f);
    map_open(f, p, 340, &w, &h, "what limber heads read, by layer and head");
    for (int i = 0; i < n; i++) {
        const double v = p->reading->value[READ_GAIN][limb * n + i];
        char fill[96];
        cell(f, p, i, w, h, "style=\"fill:var(--cell)\"");
        snprintf(fill, sizeof fill, "class=f%d fill-opacity=%.2f", limb, v > 0 ? fmin(1, v / full) : 0);
        cell(f, p, i, w, h, fill);
        if (p->reading->specialist[limb * n + i])
            cell(f, p, i, w, h, "fill=none style=\"stroke:var(--fg);stroke-width:1.8\"");
    }
    fputs("</svg></figure>", f);
}

static void maps(const struct page *p)
{
    FILE *f = p->f;
    const double full = largest(p);
    fprintf(f, "<h2>Limb by limb: what is caused%s</h2><p>", p->reading ? ", and what is read" : "");
    fprintf(f,
            "Rows are layers, columns are heads. <span style=\"color:var(--more)\">Orange</span>: the head helps the limb; "
            "<span style=\"color:var(--less)\">blue</span>: it hinders it; full colour: %.3f%s. A dot: q at most %g.",
            full, has_gap(p->lead) ? " of the gap" : "", MAX_Q);
    if (p->reading)
        fputs(" Beside it, from heads.json: how much more the head&rsquo;s attention looks like the limb than chance allows; a "
              "frame "
              "marks a specialist. Where both are strong in the same square, reading and causing agree.",
              f);
    else
        fputs(" What the heads read is not shown: run <code>limber heads</code> into the same folder first.", f);
    fputs("</p><div class=pairs>", f);
    for (int c = 0; c < LIMBS; c++) {
        if (!limb_shown(p, c))
            continue;
        fprintf(
            f, "<div class=pair><h3><i class=b%d style=\"display:inline-block;width:.85em;height:.85em;border-radius:2px\"></i> ",
            c);
        limb_text(f, c);
        fprintf(f, " <span class=dim style=\"font-weight:400\">%lld %s</span></h3><div class=\"%s\">",
                (long long)p->r->people[p->lead][c], p->r->people[p->lead][c] == 1 ? "person" : "people",
                p->reading ? "two" : "");
        causal_map(p, c, full);
        if (p->reading)
            reading_map(p, c);
        fputs("</div></div>", f);
    }
    fputs("</div>", f);
}

/* ---- ranking ---- */

struct rank {
    int head, limb;
    double size;
};

static int by_size(const void *a, const void *b)
{
    const struct rank *x = a, *y = b;
    if (x->size != y->size)
        return x->size < y->size ? 1 : -1;
    return x->head != y->head ? x->head - y->head : x->limb - y->limb;
}

/* Heads by their largest effect, a row each. */
static void ranking(const struct page *p)
{
    FILE *f = p->f;
    struct rank *rank = malloc((size_t)p->r->head_count * sizeof *rank);
    int n = 0;
    double low = 0, high = 0;
    for (int h = 0; rank && h < p->r->head_count; h++) {
        struct rank best = {h, -1, 0};
        for (int c = 0; c < LIMBS; c++)
            if (limb_shown(p, c) && at(p, h, c)->known && fabs(drawn(at(p, h, c))->mean) > best.size)
                best = (struct rank){h, c, fabs(drawn(at(p, h, c))->mean)};
        if (best.limb >= 0)
            rank[n++] = best;
    }
    if (n)
        qsort(rank, (size_t)n, sizeof *rank, by_size);
    n = n < RANKED ? n : RANKED;
    for (int i = 0; i < n; i++)
        for (int c = 0; c < LIMBS; c++)
            if (limb_shown(p, c)) {
                /* few people make intervals many times as wide as any effect: those are cut, so that effects can be seen */
                const limber_heads_estimate *d = drawn(at(p, rank[i].head, c));
                low = fmin(low, fmax(d->low, -AXIS * rank[0].size));
                high = fmax(high, fmin(d->high, AXIS * rank[0].size));
            }
    const double width = high - low > 0 ? high - low : 1;
#define PERCENT(v) fmax(0, fmin(100, 100 * ((v)-low) / width))
    if (n) {
        fprintf(
            f,
            "<h2>The heads, by their largest effect</h2><p>One row a head, one line a limb: the dot is the effect%s, the bar its "
            "95&nbsp;%% interval over images (cut where it leaves the axis), the upright line 0. Filled: q at most %g. All "
            "numbers are in the table below.</p>",
            has_gap(p->lead) ? " as a share of the limb&rsquo;s gap" : "", MAX_Q);
        fprintf(f, "<div class=axis><div></div><div><span style=\"left:0%%\">");
        page_number(f, low);
        fprintf(f, "</span><span style=\"left:%.1f%%\">0</span><span style=\"left:100%%\">", PERCENT(0));
        page_number(f, high);
        fputs("</span></div></div>", f);
    }
    for (int i = 0; i < n; i++) {
        fprintf(f, "<div class=row><div class=who>layer %d, head %d", rank[i].head / p->r->heads, rank[i].head % p->r->heads);
        if (p->reading) {
            fputs("<span>", f);
            page_text(f, p->reading->kind[rank[i].head]);
            for (int c = 0, any = 0; c < LIMBS; c++)
                if (p->reading->specialist[c * p->r->head_count + rank[i].head]) {
                    fputs(any++ ? ", " : " of ", f);
                    limb_text(f, c);
                }
            fputs("</span>", f);
        }
        fputs("</div><div>", f);
        for (int c = 0; c < LIMBS; c++) {
            if (!limb_shown(p, c))
                continue;
            const struct effect *e = at(p, rank[i].head, c);
            const limber_heads_estimate *d = drawn(e);
            fprintf(f, "<div class=line><span class=zero style=\"left:%.1f%%\"></span>", PERCENT(0));
            if (d->interval)
                fprintf(f, "<span class=\"iv b%d\" style=\"left:%.1f%%;width:%.1f%%\"></span>", c, PERCENT(d->low),
                        PERCENT(d->high) - PERCENT(d->low));
            fprintf(f, "<span class=\"pt %s%d\" style=\"left:%.1f%%;border-color:var(--c%d)\" title=\"",
                    e->tested && e->q <= MAX_Q ? "b" : "o", c, PERCENT(d->mean), c);
            limb_text(f, c);
            fprintf(f, " %.3f\"></span></div>", d->mean);
        }
        fputs("</div></div>", f);
    }
#undef PERCENT
    if (n) {
        fputs("<div class=key>", f);
        for (int c = 0; c < LIMBS; c++)
            if (limb_shown(p, c)) {
                fprintf(f, "<span><i class=b%d></i>", c);
                limb_text(f, c);
                fputs("</span>", f);
            }
        fputs("</div>", f);
    }
    free(rank);
}

/* ---- sets ---- */

static void sets(const struct page *p)
{
    FILE *f = p->f;
    bool any = false;
    for (int row = p->r->head_count; row < p->r->rows; row++)
        for (int c = 0; c < LIMBS; c++)
            any = any || at(p, row, c)->known;
    if (!any)
        return;
    fprintf(f,
            "<h2>Sets of heads, patched together</h2><p>Beside each set what its heads do alone, added up: a set that does less "
            "has heads that say the same, one that does more has heads that need each other. q corrects over sets and "
            "limbs.</p><div class=wide><table><tr><th class=l>set<th>heads<th class=l>limb%s<th>raw<th>its heads alone, added "
            "up<th>p<th>q</tr>",
            has_gap(p->lead) ? "<th>share of the gap<th>direct" : "");
    for (int row = p->r->head_count; row < p->r->rows; row++) {
        const int s = row - p->r->head_count;
        int n = 0;
        for (int h = 0; h < p->r->head_count; h++)
            n += p->about->sets->heads[s * p->r->head_count + h] != 0;
        for (int c = 0; c < LIMBS; c++) {
            const struct effect *e = at(p, row, c);
            if (!e->known)
                continue;
            fputs("<tr><td class=l>", f);
            page_text(f, p->about->sets->name[s]);
            fprintf(f, "<td>%d<td class=l>", n);
            limb_text(f, c);
            if (has_gap(p->lead)) {
                fputs("<td>", f);
                small_estimate(f, e->shared, &e->share);
                fputs("<td>", f);
                small_estimate(f, e->shared && e->direct.images > 0, &e->direct_share);
            }
            fputs("<td>", f);
            small_estimate(f, true, &e->raw);
            const double sum = patch_set_sum(p->r, p->lead, row, c, p->metric, p->about);
            fputs("<td>", f);
            if (isfinite(sum))
                small_number(f, sum);
            else
                fputs("&ndash;", f);
            page_p_and_q(f, e->tested, e->p, e->q);
            fputs("</tr>", f);
        }
    }
    fputs("</table></div>", f);
}

/* ---- scatters ---- */

struct axis {
    double low, high;
    const char *name;
};

static void widen(struct axis *a, double v)
{
    if (isfinite(v)) {
        a->low = fmin(a->low, v);
        a->high = fmax(a->high, v);
    }
}

#define SIZE 320.0
#define LEFT 50.0

static double place(const struct axis *a, double v)
{
    return a->high > a->low ? SIZE * (v - a->low) / (a->high - a->low) : SIZE / 2;
}

static void tick_step(const struct axis *a, double *step, int *decimals)
{
    const double raw = (a->high - a->low) / 5, power = pow(10, floor(log10(raw > 0 ? raw : 1)));
    *step = raw / power > 5 ? 10 * power : raw / power > 2 ? 5 * power : raw / power > 1 ? 2 * power : power;
    *decimals = *step < 0.01 ? 3 : *step < 0.1 ? 2 : *step < 1 ? 1 : 0;
}

static void axes(FILE *f, const struct axis *x, const struct axis *y, const char *label)
{
    double step;
    int decimals;
    fprintf(f, "<svg viewBox=\"0 0 %.0f %.0f\" role=img aria-label=\"%s\">", LEFT + SIZE + 12, SIZE + 52, label);
    tick_step(x, &step, &decimals);
    for (double v = ceil(x->low / step) * step; v <= x->high + 1e-9; v += step)
        fprintf(f,
                "<path d=\"M%.1f 8V%.1f\" style=\"stroke:var(--line);stroke-width:%s\"/><text x=%.1f y=%.1f "
                "text-anchor=middle>%s%.*f</text>",
                LEFT + place(x, v), 8 + SIZE, fabs(v) < step / 2 ? "1.6" : ".7", LEFT + place(x, v), SIZE + 22,
                v < -step / 2 ? "&#8722;" : "", decimals, fabs(v));
    tick_step(y, &step, &decimals);
    for (double v = ceil(y->low / step) * step; v <= y->high + 1e-9; v += step)
        fprintf(f,
                "<path d=\"M%.1f %.1fh%.1f\" style=\"stroke:var(--line);stroke-width:%s\"/><text x=%.1f y=%.1f "
                "text-anchor=end>%s%.*f</text>",
                LEFT, 8 + SIZE - place(y, v), SIZE, fabs(v) < step / 2 ? "1.6" : ".7", LEFT - 5, 12 + SIZE - place(y, v),
                v < -step / 2 ? "&#8722;" : "", decimals, fabs(v));
    fprintf(f,
            "<text x=%.1f y=%.1f text-anchor=end class=strong>%s &#8594;</text><text x=%.1f y=20 class=strong>&#8593; %s</text>",
            LEFT + SIZE, SIZE + 42, x->name, LEFT + 6, y->name);
}

static void dot(FILE *f, const struct page *p, const struct axis *x, const struct axis *y, double a, double b, int limb, int head,
                bool filled)
{
    fprintf(f, "<circle class=\"%s%d\" cx=%.1f cy=%.1f r=%s %s><title>layer %d, head %d, ", filled ? "f" : "s", limb,
            LEFT + place(x, a), 8 + SIZE - place(y, b), filled ? "4" : "2.6",
            filled ? "style=\"stroke:var(--bg);stroke-width:.8\"" : "fill=none stroke-opacity=.75", head / p->r->heads,
            head % p->r->heads);
    limb_text(f, limb);
    fprintf(f, ": %.3f, %.3f</title></circle>", a, b);
}

static void key(const struct page *p)
{
    fputs("<div class=key>", p->f);
    for (int c = 0; c < LIMBS; c++)
        if (limb_shown(p, c)) {
            fprintf(p->f, "<span><i class=b%d></i>", c);
            limb_text(p->f, c);
            fputs("</span>", p->f);
        }
    fputs("</div>", p->f);
}

static void read_against_caused(const struct page *p)
{
    const int n = p->r->head_count;
    struct axis x = {0, 0.1, "r limb above chance"}, y = {0, 0, has_gap(p->lead) ? "effect, share of the gap" : "effect"};
    for (int pass = 0; pass < 2; pass++) {
        if (pass)
            axes(p->f, &x, &y, "effect against what is read");
        for (int h = 0; h < n; h++)
            for (int c = 0; c < LIMBS; c++) {
                const struct effect *e = at(p, h, c);
                const double a = p->reading->value[READ_GAIN][c * n + h], b = drawn(e)->mean;
                if (!limb_shown(p, c) || !e->known || !isfinite(a))
                    continue;
                widen(&x, a);
                widen(&y, b);
                if (pass)
                    dot(p->f, p, &x, &y, a, b, c, h, p->reading->specialist[c * n + h]);
            }
    }
    fputs("</svg>", p->f);
}

/* rho of r above chance, of each measure, beside what heads in another order within their layers give. */
static void rank_figure(const struct page *p)
{
    const double width = 420, left = 132, row = 27, top = 8, w = width - left - 14;
    struct axis x = {-0.1, 0.1, ""};
    int rows = 0;
    for (int pass = 0; pass < 2; pass++) {
        double y = top;
        if (pass) {
            double step;
            int decimals;
            tick_step(&x, &step, &decimals);
            fprintf(p->f, "<svg viewBox=\"0 0 %.0f %.0f\" role=img aria-label=\"rho beside chance\">", width,
                    top + rows * row + 40);
            for (double v = ceil(x.low / step) * step; v <= x.high + 1e-9; v += step) {
                const double at = left + w * (v - x.low) / (x.high - x.low);
                fprintf(p->f,
                        "<path d=\"M%.1f %.1fv%.1f\" style=\"stroke:var(--line);stroke-width:%s\"/><text x=%.1f y=%.1f "
                        "text-anchor=middle>%s%.*f</text>",
                        at, top, rows * row, fabs(v) < step / 2 ? "1.6" : ".7", at, top + rows * row + 15,
                        v < -step / 2 ? "&#8722;" : "", decimals, fabs(v));
            }
        }
        for (int m = 0; m < EFFECT_METRICS; m++)
            for (int cause = CAUSE_EFFECT; cause <= CAUSE_MAGNITUDE; cause++) {
                const struct effect_rank *k = &p->reading->rank[p->lead][m][READ_GAIN][cause];
                if (!k->limbs)
                    continue;
                const double low = k->null_mean - 1.96 * k->null_sd, high = k->null_mean + 1.96 * k->null_sd;
                widen(&x, low - 0.03);
                widen(&x, high + 0.03);
                widen(&x, k->mean - 0.03);
                widen(&x, k->mean + 0.03);
                rows += !pass;
                if (!pass)
                    continue;
#define ALONG(v) (left + w * ((v)-x.low) / (x.high - x.low))
                fprintf(p->f, "<text x=%.1f y=%.1f text-anchor=end>%s, %s</text>", left - 8, y + row / 2 + 4,
                        effect_metric_names[m], cause == CAUSE_EFFECT ? "direction" : "size");
                fprintf(p->f,
                        "<rect x=%.1f y=%.1f width=%.1f height=%.1f rx=2 style=\"fill:var(--dim);fill-opacity:.22\"/><path "
                        "d=\"M%.1f %.1fv%.1f\" style=\"stroke:var(--dim)\"/>",
                        ALONG(low), y + 6, ALONG(high) - ALONG(low), row - 12, ALONG(k->null_mean), y + 6, row - 12);
                fprintf(p->f, "<circle cx=%.1f cy=%.1f r=4.5 style=\"fill:var(--%s)\"><title>rho %.2f, p %.2g</title></circle>",
                        ALONG(k->mean), y + row / 2, k->p <= MAX_Q ? "more" : "dim", k->mean, k->p);
#undef ALONG
                y += row;
            }
    }
    fprintf(p->f,
            "<text x=%.1f y=%.1f text-anchor=end class=strong>rho &#8594;</text></svg><figcaption>Spearman&rsquo;s rho of what "
            "is read "
            "above chance with the effect, its direction and its size. Bar: 95&nbsp;%% of what heads exchanged within their "
            "layer give. Orange: p at "
            "most %g.</figcaption>",
            left + w, top + rows * row + 34, MAX_Q);
}

static void rank_table(const struct page *p)
{
    static const char *const says[PATCH_CAUSES] = {"effect", "size, either way", "at this limb above the others"};
    FILE *f = p->f;
    fputs("<div class=wide><table><tr><th class=l>change<th class=l>measure<th class=l>effect<th>r limb<th>r above chance<th>lift"
          "<th>specialists, mean<th>others of their layers<th>p</tr>",
          f);
    for (int b = 0; b < EFFECT_BYS; b++)
        for (int m = 0; (p->r->by >> b & 1) && m < EFFECT_METRICS; m++)
            for (int cause = 0; cause < PATCH_CAUSES; cause++) {
                if (!p->reading->rank[b][m][0][cause].limbs)
                    continue;
                fprintf(f, "<tr><td class=l>%s<td class=l>%s<td class=l>%s", effect_by_names[b], effect_metric_names[m],
                        says[cause]);
                for (int read = 0; read < PATCH_READS; read++) {
                    const struct effect_rank *k = &p->reading->rank[b][m][read][cause];
                    fputs("<td>", f);
                    if (!k->limbs) {
                        fputs("&ndash;", f);
                        continue;
                    }
                    page_number(f, k->mean);
                    fputs(" <span class=ci>(chance ", f);
                    page_number(f, k->null_mean);
                    fputs(", p ", f);
                    page_probability(f, k->p);
                    fputs(")</span>", f);
                }
                const struct effect_draw *d = &p->reading->draw[b][m];
                if (cause == CAUSE_EFFECT && d->pairs) {
                    fputs("<td>", f);
                    small_number(f, d->mean);
                    fputs("<td>", f);
                    small_number(f, d->null_mean);
                    fputs("<td>", f);
                    page_probability(f, fmin(1, 2 * fmin(d->p, d->p_below)));
                } else
                    fputs("<td><td><td>", f);
                fputs("</tr>", f);
            }
    fputs("</table></div>", f);
}

static void reading_section(const struct page *p)
{
    FILE *f = p->f;
    if (!p->reading)
        return;
    const struct effect_rank *signed_rank = &p->reading->rank[p->lead][p->metric][READ_GAIN][CAUSE_EFFECT];
    const struct effect_rank *size_rank = &p->reading->rank[p->lead][p->metric][READ_GAIN][CAUSE_MAGNITUDE];
    fputs("<h2>Does what a head reads predict what it causes?</h2><p>Each dot is a head and a limb. To the right: its attention "
          "looks "
          "like the limb, more than chance. Up: the effect. Filled: specialists.",
          f);
    if (signed_rank->limbs) {
        fputs(" Spearman&rsquo;s rho, averaged over limbs, is <b>", f);
        page_number(f, signed_rank->mean);
        fputs("</b> with the effect (chance ", f);
        page_number(f, signed_rank->null_mean);
        fputs(", p ", f);
        page_probability(f, signed_rank->p);
        fputs(") and <b>", f);
        page_number(f, size_rank->mean);
        fputs("</b> with its size, whichever the direction (chance ", f);
        page_number(f, size_rank->null_mean);
        fputs(", p ", f);
        page_probability(f, size_rank->p);
        fprintf(
            f,
            "). Chance: heads exchanged within their layer, %d times, so that depth alone does not count; it takes heads, not "
            "people, as the sample.",
            p->about->permutations);
    }
    fputs("</p><div class=both><figure>", f);
    read_against_caused(p);
    key(p);
    fputs("</figure><figure>", f);
    if (signed_rank->limbs)
        rank_figure(p);
    fputs("</figure></div><details><summary>For all kinds of change and all measures</summary>", f);
    rank_table(p);
    fputs("<p class=dim>p of specialists: as many pairs of head and limb drawn from the same layers and limbs, "
          "two-sided.</p></details>",
          f);
}

static void swarm(const struct page *p)
{
    FILE *f = p->f;
    struct axis x = {0, 0, "direct"}, y = {0, 0, "total"};
    bool any = false;
    for (int pass = 0; pass < 2; pass++) {
        if (pass && !any)
            return;
        if (pass) {
            x.low = y.low = fmin(x.low, y.low);
            x.high = y.high = fmax(x.high, y.high);
            fprintf(
                f,
                "<h2>Directly, or through others?</h2><p>To the right: what the head writes reaches the final norm with all "
                "other blocks "
                "held still. Up: with all later blocks seeing the change. On the diagonal the effect is direct; above and below "
                "it later blocks add to it or undo it%s.</p><div class=two><figure>",
                has_gap(p->lead) ? ". In shares of the limb&rsquo;s gap" : "");
            axes(f, &x, &y, "total against direct effect");
            fprintf(f, "<path d=\"M%.1f %.1fL%.1f 8\" style=\"stroke:var(--dim);stroke-dasharray:4 4;fill:none\"/>", LEFT,
                    8 + SIZE, LEFT + SIZE);
        }
        for (int h = 0; h < p->r->head_count; h++)
            for (int c = 0; c < LIMBS; c++) {
                const struct effect *e = at(p, h, c);
                if (!limb_shown(p, c) || !e->known || !e->direct.images)
                    continue;
                any = true;
                const double a = e->shared ? e->direct_share.mean : e->direct.mean, b = drawn(e)->mean;
                widen(&x, a);
                widen(&y, b);
                if (pass)
                    dot(f, p, &x, &y, a, b, c, h, e->tested && e->q <= MAX_Q);
            }
    }
    fputs("</svg>", f);
    key(p);
    fputs("</figure></div>", f);
}

/* ---- focused and exploring ---- */

static void focus_section(const struct page *p)
{
    FILE *f = p->f;
    const struct focus_head *k = p->about->focus;
    int passing = 0, tested = 0, order[FOCUS_ROWS], n = 0;
    if (!k)
        return;
    for (int h = 0; h < p->r->head_count; h++) {
        if (!patched(p, h))
            continue;
        tested += k[h].tested[p->metric];
        passing += k[h].tested[p->metric] && k[h].q[p->metric] <= MAX_Q;
        int at = n < FOCUS_ROWS ? n++ : n;
        for (; at > 0 && fabs(k[order[at - 1]].rho[p->metric]) < fabs(k[h].rho[p->metric]); at--)
            if (at < FOCUS_ROWS)
                order[at] = order[at - 1];
        if (at < FOCUS_ROWS)
            order[at] = h;
    }
    fprintf(f,
            "<h2>Focused or exploring: does it say who needs the head?</h2><p>Entropy of a head&rsquo;s attention differs from "
            "person to "
            "person: below %g of flat attention it is focused, above %g it explores. If entropy said how much a person loses "
            "when the "
            "head says its mean instead, a gate could go by it. <b>",
            FOCUSED, EXPLORING);
    if (!tested)
        fputs("Too few people to ask.</b></p>", f);
    else if (!passing)
        fprintf(f,
                "It does not:</b> of %d heads none passes (q at most %g, %d people, %s). A gate by entropy is not worth "
                "building.</p>",
                tested, MAX_Q, p->about->focus_people, metric_says[p->metric]);
    else
        fprintf(
            f,
            "It does in %d of %d heads</b> (q at most %g, %d people, %s). People of one picture count as independent here.</p>",
            passing, tested, MAX_Q, p->about->focus_people, metric_says[p->metric]);
    fputs("<details><summary>The heads in which it says most</summary><div "
          "class=wide><table><tr><th>layer<th>head<th>entropy<th>sd over "
          "people<th>focused<th>exploring<th>rho<th>p<th>q</tr>",
          f);
    for (int i = 0; i < n; i++) {
        const struct focus_head *h = &k[order[i]];
        fprintf(f, "<tr><td>%d<td>%d<td>%.2f<td>%.3f<td>%.0f&nbsp;%%<td>%.0f&nbsp;%%<td>", order[i] / p->r->heads,
                order[i] % p->r->heads, h->mean, h->sd, 100 * h->focused, 100 * h->exploring);
        if (h->tested[p->metric]) {
            page_number(f, h->rho[p->metric]);
            fputs("<td>", f);
            page_probability(f, h->p[p->metric]);
            fputs("<td>", f);
            page_probability(f, h->q[p->metric]);
        } else
            fputs("&ndash;<td><td>", f);
        fputs("</tr>", f);
    }
    fputs("</table></div></details>", f);
}

/* ---- an example ---- */

static void heat_layer(FILE *f, const struct patch_picture *q, const float *heat, double most)
{
    const double w = (double)q->image_w / q->map_w, h = (double)q->image_h / q->map_h;
    fputs("<g fill=\"#ffb300\">", f);
    for (int y = 0; y < q->map_h; y += 2)
        for (int x = 0; x < q->map_w; x += 2) { /* in fours: a quarter of the bytes */
            double v = 0;
            for (int i = 0; i < 4; i++) {
                const int row = y + i / 2 < q->map_h ? y + i / 2 : y, column = x + i % 2 < q->map_w ? x + i % 2 : x;
                v += 0.25 * (double)heat[(size_t)row * (size_t)q->map_w + (size_t)column];
            }
            const double strength = most > 0 ? fmin(1, v / most) : 0;
            if (strength > 0.05)
                fprintf(f, "<rect x=%.1f y=%.1f width=%.1f height=%.1f opacity=%.2f />", x * w, y * h, 2 * w, 2 * h,
                        0.85 * strength);
        }
    fputs("</g>", f);
}

static void triple(const struct page *p, const struct patch_picture *q)
{
    static const char *const says[] = {"clear", "blurred", "blurred, this head clear"};
    FILE *f = p->f;
    const struct experiment_view *v = &q->view;
    float most = 0;
    for (int i = 0; i < q->map_h * q->map_w; i++) /* not by fmax of doubles: gcc 12 for ARM dies of it */
        most = v->heat[0][i] > most ? v->heat[0][i] : most;
    fprintf(f, "<div class=pair><h3>layer %d, head %d: ", q->head / p->r->heads, q->head % p->r->heads);
    limb_text(f, q->limb);
    fputs("</h3><div class=three>", f);
    for (int i = 0; i < 3; i++) {
        fprintf(f, "<figure><svg viewBox=\"0 0 %d %d\" role=img aria-label=\"%s\">", q->image_w, q->image_h, says[i]);
        page_photograph(f, v->crop[i ? 1 : 0], q->image_w, q->image_h);
        heat_layer(f, q, v->heat[i], most);
        for (int k = 0; k < COCO_KEYPOINTS; k++)
            if (v->there[k])
                fprintf(f, "<circle cx=%.1f cy=%.1f r=4 fill=none stroke=\"#fff\" stroke-width=1.6 />", v->joints[k][0],
                        v->joints[k][1]);
        fprintf(f, "</svg><figcaption>%s: ", says[i]);
        page_number(f, v->measure[i]);
        fputs("</figcaption></figure>", f);
    }
    const char *base = strrchr(q->name, '/');
    fputs("</div><p class=dim style=\"font-size:.86rem\">", f);
    page_text(f, base ? base + 1 : q->name);
    fputs("</p></div>", f);
}

static void triples(const struct page *p, const struct patch_picture *pictures, int count)
{
    FILE *f = p->f;
    if (!count)
        return;
    fputs(
        "<h2>What one head brings back</h2><p>Yellow: the heat maps of the limb&rsquo;s joints, added up. Circles: the joints as "
        "annotated; the number is the "
        "heat there. For each limb the head with the largest effect by denoise, in a person drawn by lot: not the one it works "
        "best "
        "on.</p><div class=pairs>",
        f);
    for (int i = 0; i < count; i++)
        triple(p, &pictures[i]);
    fputs("</div>", f);
}

/* ---- the end ---- */

static void table(const struct page *p)
{
    FILE *f = p->f;
    fputs(
        "<h2>All numbers of this change</h2><details><summary>The table</summary><div class=wide><table><tr><th>layer<th>head<th "
        "class=l>limb",
        f);
    if (has_gap(p->lead))
        fputs("<th>share of the gap<th>direct<th>at this limb above the others", f);
    fputs("<th>raw", f);
    if (p->lead == BY_NOISE)
        fputs("<th>blurred elsewhere", f);
    fputs("<th>p<th>q</tr>", f);
    for (int h = 0; h < p->r->head_count; h++)
        for (int c = 0; c < LIMBS; c++) {
            const struct effect *e = at(p, h, c);
            if (!e->known || !patched(p, h))
                continue;
            fprintf(f, "<tr><td>%d<td>%d<td class=l>", h / p->r->heads, h % p->r->heads);
            limb_text(f, c);
            if (has_gap(p->lead)) {
                fputs("<td>", f);
                small_estimate(f, e->shared, &e->share);
                fputs("<td>", f);
                small_estimate(f, e->shared && e->direct.images > 0, &e->direct_share);
                fputs("<td>", f);
                small_estimate(f, e->specific_known, &e->specific);
            }
            fputs("<td>", f);
            small_estimate(f, true, &e->raw);
            if (p->lead == BY_NOISE) {
                fputs("<td>", f);
                if (p->r->by >> BY_MOVED & 1)
                    small_number(f, e->control);
                else
                    fputs("&ndash;", f);
            }
            page_p_and_q(f, e->tested, e->p, e->q);
            fputs("</tr>", f);
        }
    fputs("</table></div></details>", f);
}

static void method(const struct page *p)
{
    fprintf(
        p->f,
        "<h2>How what is caused is computed</h2><dl>"
        "<dt>Patching</dt><dd>The head&rsquo;s output before the projection is replaced, at every place of the picture, by that "
        "of another "
        "run; all that comes after sees the change. <i>denoise</i>: the clear run&rsquo;s output in the blurred run: is the head "
        "enough to bring the limb back? <i>noise</i>: the blurred run&rsquo;s output in the clear run: is the head needed? "
        "<i>swap</i>: another person&rsquo;s; heat is then that at this person&rsquo;s joints less that at the other&rsquo;s. "
        "<i>zero, mean, const</i>: a constant. </dd>"
        "<dt>Blur</dt><dd>The limb&rsquo;s capsules, at least 12 pixels thick each way, are replaced by the picture under a "
        "Gaussian of 16 "
        "pixels. <i>moved</i>: the same shape elsewhere in the crop: what blurring does by itself.</dd>"
        "<dt>Effect</dt><dd>What patching gains (denoise) or loses (the others) at the limb&rsquo;s labelled joints, as a share "
        "of the gap "
        "between the clear and the blurred run: a sum over images by a sum over images. Means over people first, then over "
        "images; "
        "intervals by bootstrap over images.</dd>"
        "<dt>Measures</dt><dd>heat: the heat map at the annotated joint; logp: its log probability under the softmax that "
        "training uses; "
        "oks: COCO&rsquo;s similarity of the joint that is found; px: minus its distance, in lengths of the person&rsquo;s box. "
        "They can "
        "disagree: a head that lowers a whole map costs heat, and may still place the joint better.</dd>"
        "<dt>p, q</dt><dd>Two-sided t over images that the raw change (noise: less that of the moved blur) is not 0; q is p "
        "corrected for "
        "the pairs of head and limb (Benjamini&ndash;Hochberg).</dd>"
        "<dt>Direct</dt><dd>Only what the head itself writes is changed where the final norm reads it; mediated is the rest.</dd>"
        "<dt>What it does not say</dt><dd>That a head is needed here does not tell what it computes. Another head may take over "
        "when one "
        "is missing, so a small effect is no proof of idleness. People of one set of photographs stand for such "
        "photographs.</dd></dl>");
}

/* A part of heads.html, where that is the page of the heads.json at hand. */
static void read_part(const struct page *p, const char *name)
{
    size_t size;
    const char *part = p->reading && p->reading->page ? page_find_part(p->reading->page, name, p->reading->json, &size) : NULL;
    if (!part)
        return;
    if (!strcmp(name, "kinds"))
        fprintf(p->f, "<h1>What they read</h1><p class=dim>From <code>limber heads</code>, over %lld people on %lld images.</p>",
                (long long)p->reading->people, (long long)p->reading->images);
    fwrite(part, 1, size, p->f);
}

void patch_report_page(FILE *f, const struct effects_result *r, const struct patch_reading *reading,
                       const struct patch_about *about, enum effect_metric metric, const struct patch_picture *pictures,
                       int picture_count)
{
    static const enum effect_by order[] = {BY_NOISE, BY_DENOISE, BY_SWAP, BY_MEAN, BY_CONST, BY_ZERO};
    struct page p = {.f = f, .r = r, .reading = reading && reading->there ? reading : NULL, .about = about, .metric = metric};
    for (size_t i = sizeof order / sizeof *order; i > 0; i--)
        if (r->by >> order[i - 1] & 1)
            p.lead = order[i - 1];
    page_open(f, p.reading ? "limber heads and patch" : "limber patch");
    opening(&p);
    if (r->images) {
        maps(&p);
        reading_section(&p);
        triples(&p, pictures, picture_count);
        ranking(&p);
        sets(&p);
        swarm(&p);
        gaps(&p);
        focus_section(&p);
        table(&p);
    }
    read_part(&p, "kinds");
    read_part(&p, "reading"); /* its maps stand above, beside what is caused */
    method(&p);
    read_part(&p, "method");
    page_close(f);
}
