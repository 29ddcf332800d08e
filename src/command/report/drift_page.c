/* SPDX-License-Identifier: MIT */
/* command/report/drift_page.c - what a head forgot, as one HTML file (page.h has the frame): where attention moved, by the layer's own weights
 * and inherited, by limb, beside what counts as nothing. Depth of colour grows with the square root: heads differ by large factors. */
#include <math.h>
#include <string.h>

#include "command/report/drift_report.h"
#include "command/report/page.h"

#define MAX_Q 0.05

static const struct {
    enum drift_number number;
    const char *name, *says;
} maps[] = {
    {DRIFT_OWN, "own", "what this layer&rsquo;s queries and keys make of the first model&rsquo;s activations"},
    {DRIFT_INHERITED, "inherited", "what comes from earlier layers"},
    {DRIFT_TOTAL, "total", "both"},
    {DRIFT_VALUE, "value", "of the head&rsquo;s output, relative"},
};

static void nats(FILE *f, double v)
{
    char text[32];
    snprintf(text, sizeof text, fabs(v) >= 0.01 || v == 0 ? "%.3f" : "%.1e", fabs(v));
    fprintf(f, "%s%s", v < 0 ? "&minus;" : "", text);
}

static void nats_estimate(FILE *f, const limber_heads_estimate *e)
{
    if (!e->images) {
        fputs("&ndash;", f);
        return;
    }
    nats(f, e->mean);
    if (e->interval) {
        fputs(" <span class=ci>[", f);
        nats(f, e->low);
        fputs(", ", f);
        nats(f, e->high);
        fputs("]</span>", f);
    }
}

/* A map of any number of the heads; `full` is full colour. */
static void map(FILE *f, const struct drift_result *r, const char *title, const char *says,
                double (*value)(const struct drift_head *k, int which), int which, double full, bool marks)
{
    const double left = 38, top = 20, width = 340, w = (width - left - 1) / r->heads, h = fmax(12, fmin(24, w));
    fprintf(f, "<figure><h3>%s</h3><svg viewBox=\"0 0 %.0f %.1f\" role=img aria-label=\"%s by layer and head\">", title, width,
            top + h * r->layers + 1, title);
    for (int i = 0; i<r->heads; i += r->heads> 12 ? 4 : 1)
        fprintf(f, "<text x=%.1f y=13 text-anchor=middle>%d</text>", left + (i + 0.5) * w, i);
    for (int l = 0; l < r->layers; l++)
        fprintf(f, "<text x=%.1f y=%.1f text-anchor=end>%d</text>", left - 7, top + (l + 0.5) * h + 4, l);
    fprintf(f, "<text x=%.1f y=13 text-anchor=end>layer</text>", left - 7);
    for (int i = 0; i < r->layers * r->heads; i++) {
        const struct drift_head *k = &r->head[i];
        const double v = value(k, which), x = left + i % r->heads * w + 1, y = top + i / r->heads * h + 1;
        const double strength = full > 0 ? sqrt(fabs(v) / full) : 0;
        fprintf(f, "<rect x=%.1f y=%.1f width=%.1f height=%.1f style=\"fill:var(--cell)\"/>", x, y, w - 2, h - 2);
        fprintf(f,
                "<rect x=%.1f y=%.1f width=%.1f height=%.1f style=\"fill:var(--%s);fill-opacity:%.2f\"><title>layer %d, head %d: "
                "%.3g</title></rect>",
                x, y, w - 2, h - 2, v < 0 ? "less" : "more", fmin(1, strength), i / r->heads, i % r->heads, v);
        if (marks && k->tested && k->q <= MAX_Q)
            fprintf(f, "<circle cx=%.1f cy=%.1f r=2.4 style=\"fill:var(--fg)\"/>", x + w / 2 - 1, y + h / 2 - 1);
    }
    fprintf(f, "</svg><figcaption>%s</figcaption></figure>", says);
}

static double number_of(const struct drift_head *k, int which)
{
    return k->number[which].mean;
}
static double own_of_limb(const struct drift_head *k, int which)
{
    return k->limb_own[which].mean;
}

static double largest(const struct drift_result *r, double (*value)(const struct drift_head *k, int which), int which)
{
    double most = 0;
    for (int i = 0; i < r->layers * r->heads; i++)
        most = fmax(most, fabs(value(&r->head[i], which)));
    return most;
}

static void verdict(FILE *f, const struct drift_result *r, const struct drift_about *about)
{
    const int n = r->layers * r->heads;
    double total = 0, own = 0, control = 0;
    int moved = 0, still = 0, most = 0;
    for (int i = 0; i < n; i++) {
        total += r->head[i].number[DRIFT_TOTAL].mean / n;
        own += r->head[i].number[DRIFT_OWN].mean / n;
        control += r->head[i].number[DRIFT_CONTROL].mean / n;
        moved += r->head[i].tested && r->head[i].q <= MAX_Q;
        still += r->head[i].number[DRIFT_TOTAL].mean == 0;
        if (r->head[i].number[DRIFT_OWN].mean > r->head[most].number[DRIFT_OWN].mean)
            most = i;
    }
    if (!r->images) {
        fputs("<p class=lead>Nothing can be said: no image could be looked at.</p>", f);
        return;
    }
    if (still == n) {
        fputs("<p class=lead><b>No head has moved.</b> Every row of attention is the same in both models, to the bit.</p>", f);
        return;
    }
    fputs("<p class=lead><b>Attention has moved by ", f);
    nats(f, total);
    fputs(" nats a head.</b> By the layers&rsquo; own weights: ", f);
    nats(f, own);
    fprintf(f, "; the rest is inherited. By its own weights, layer %d head %d has moved most: ", most / r->heads,
            most % r->heads);
    nats_estimate(f, &r->head[most].number[DRIFT_OWN]);
    fprintf(f, ". Flat attention against a single key is %.2f.</p>", log(r->tokens));
    if (about->control) {
        fprintf(f, "<p class=lead>%d of %d heads have moved further than the control, which has by ", moved, n);
        nats(f, control);
        fprintf(f, " (q at most %g).</p>", MAX_Q);
    } else
        fputs("<p class=dim>Without a control or a floor nobody knows how much of it counts: <code>--control</code> takes a "
              "model that was trained "
              "on as long on old data, <code>--floor bf16</code> the first model in another precision.</p>",
              f);
}

/* Means over the heads of each layer, side by side. */
static void by_layer(FILE *f, const struct drift_result *r, const struct drift_about *about)
{
    fputs("<h2>Layer by layer</h2><div class=wide><table><tr><th>layer<th>total<th>own<th>inherited<th>J<th>value", f);
    if (about->control)
        fputs("<th>control", f);
    fputs("</tr>", f);
    for (int l = 0; l < r->layers; l++) {
        static const enum drift_number columns[] = {DRIFT_TOTAL, DRIFT_OWN, DRIFT_INHERITED, DRIFT_J, DRIFT_VALUE, DRIFT_CONTROL};
        fprintf(f, "<tr><td>%d", l);
        for (int c = 0; c < 5 + (about->control != NULL); c++) {
            double mean = 0;
            for (int h = 0; h < r->heads; h++)
                mean += r->head[l * r->heads + h].number[columns[c]].mean / r->heads;
            fputs("<td>", f);
            nats(f, mean);
        }
        fputs("</tr>", f);
    }
    fputs("</table></div>", f);
}

static void all_maps(FILE *f, const struct drift_result *r)
{
    const double full = largest(r, number_of, DRIFT_TOTAL);
    fprintf(f,
            "<h2>Which heads</h2><p>Rows are layers, columns are heads. Full colour: %.3g nats (value: %.3g). "
            "<span style=\"color:var(--less)\">Blue</span>: below 0, which inherited can be: the layer undoes what came in. A "
            "dot: further than the "
            "control, q at most %g.</p><div class=maps>",
            full, largest(r, number_of, DRIFT_VALUE), MAX_Q);
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++)
        map(f, r, maps[i].name, maps[i].says, number_of, (int)maps[i].number,
            maps[i].number == DRIFT_VALUE ? largest(r, number_of, DRIFT_VALUE) : full, maps[i].number == DRIFT_TOTAL);
    fputs("</div>", f);
}

static void limb_maps(FILE *f, const struct drift_result *r)
{
    double full = 0;
    for (int c = 0; c < LIMBER_HEADS_LIMBS; c++)
        full = fmax(full, largest(r, own_of_limb, c));
    if (full <= 0)
        return;
    fprintf(f, "<h2>By limb</h2><p>Own, of the patches that lie on the limb alone. Full colour: %.3g nats.</p><div class=maps>",
            full);
    for (int c = 0; c < LIMBER_HEADS_LIMBS; c++) {
        char name[32], says[64];
        snprintf(name, sizeof name, "%s", heads_limb_names[c]);
        for (char *p = name; *p; p++)
            *p = *p == '_' ? ' ' : *p;
        if (!r->head[0].limb_own[c].images)
            continue;
        snprintf(says, sizeof says, "on %d image%s", r->head[0].limb_own[c].images, page_plural(r->head[0].limb_own[c].images));
        map(f, r, name, says, own_of_limb, c, full, false);
    }
    fputs("</div>", f);
}

static void table(FILE *f, const struct drift_result *r, const struct drift_about *about)
{
    fputs("<h2>All heads</h2><details><summary>The table</summary><div "
          "class=wide><table><tr><th>layer<th>head<th>total<th>own<th>inherited"
          "<th>J<th>value",
          f);
    fputs(about->control ? "<th>control<th>p<th>q</tr>" : "</tr>", f);
    for (int i = 0; i < r->layers * r->heads; i++) {
        const struct drift_head *k = &r->head[i];
        fprintf(f, "<tr><td>%d<td>%d", i / r->heads, i % r->heads);
        for (int w = 0; w < DRIFT_NUMBERS - (about->control ? 0 : 1); w++) {
            fputs("<td>", f);
            nats_estimate(f, &k->number[w]);
        }
        if (about->control) {
            page_p_and_q(f, k->tested, k->p, k->q);
        }
        fputs("</tr>", f);
    }
    fputs("</table></div></details>", f);
}

void drift_report_page(FILE *f, const struct drift_result *r, const struct drift_about *about)
{
    char text[96];
    page_open(f, "limber drift");
    fputs("<h1>What has each attention head forgotten?</h1>", f);
    verdict(f, r, about);
    if (!about->complete)
        fputs("<p><b>The run was stopped before its end:</b> this page rests on the images seen until then.</p>", f);
    fputs("<div class=facts>", f);
    page_fact(f, "from", about->a);
    page_fact(f, "to", about->b);
    page_fact(f, "what counts as nothing", about->control ? about->control : "not stated");
    snprintf(text, sizeof text, "%lld on %lld images", (long long)r->people, (long long)r->images);
    page_fact(f, "people", text);
    snprintf(text, sizeof text, "%d layers × %d", r->layers, r->heads);
    page_fact(f, "heads", text);
    snprintf(text, sizeof text, "%s, %s", about->backend, about->precision);
    page_fact(f, "computed by", text);
    fputs("</div>", f);
    if (r->images) {
        all_maps(f, r);
        limb_maps(f, r);
        by_layer(f, r, about);
        table(f, r, about);
    }
    fputs("<h2>How it is computed</h2><dl><dt>Total</dt><dd>The divergence KL(first | second) of the attention rows of the same "
          "patch of the same person "
          "in both models, in nats, averaged over patches, people and images.</dd><dt>Own, inherited</dt><dd>Own: the same, but "
          "the second "
          "model&rsquo;s queries and keys of that layer are fed with the first model&rsquo;s activations: what this "
          "layer&rsquo;s weights changed. "
          "Inherited is the rest. Without this, every late head seems to forget because an early one did.</dd><dt>J, "
          "value</dt><dd>J is KL both "
          "ways. Value is the distance of the head&rsquo;s outputs, as a share of the first&rsquo;s length.</dd><dt>Control, p, "
          "q</dt><dd>Total of a "
          "model whose distance counts as none. p: one-sided t over images that total is larger; q corrects it over heads "
          "(Benjamini&ndash;Hochberg). Intervals: bootstrap over images.</dd><dt>What it does not say</dt><dd>Whether it "
          "matters. Attention can move "
          "where nothing is made of it, and stay while the values change: <code>limber eval</code> on old data says what was "
          "lost, <code>limber "
          "patch</code> which heads the result rests on.</dd></dl>",
          f);
    page_close(f);
}
