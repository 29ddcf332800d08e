/* SPDX-License-Identifier: MIT */
/* command/report/heads_page.c - head statistics as one HTML file: no network, no script, light and dark, phone and print.
 *
 * Everything that is drawn is SVG or CSS with colours from variables; photographs are JPEGs in data URIs. Names of files and
 * classes come from strangers and are escaped. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "command/report/heads_report.h"
#include "command/report/page.h"

#define RANKED 24 /* rows of the ranking */
#define MAX_Q_TEXT "0.05"

/* ---- small parts ---- */

static void class_text(FILE *f, const limber_heads_result *r, int c)
{
    char name[48];
    heads_report_class_name(name, r, c);
    page_text(f, name);
}

static bool shown(const limber_heads_result *r, int c)
{
    return r->class_people[c] > 0;
}

static int count_kind(const limber_heads_result *r, limber_heads_kind kind)
{
    int n = 0;
    for (int h = 0; h < r->head_count; h++)
        n += r->heads[h].kind == kind;
    return n;
}

/* ---- the frame ---- */

static void verdict(FILE *f, const limber_heads_result *r)
{
    if (!r->images_used) {
        fputs("<p class=lead>Nothing can be said: no image showed a person with a limb (or region) that covers two patches or "
              "more.</p>",
              f);
        return;
    }
    if (!r->tests) {
        fputs("<p class=lead>Averages only. Whether any of it is more than chance cannot be tested: that takes at least two "
              "images, "
              "and a null (<code>--moves</code> above 0).</p>",
              f);
        return;
    }
    if (!r->specialists) {
        fprintf(f,
                "<p class=lead><b>No head is a limb specialist.</b> Of %d heads, none reads a limb in a way that passes all the "
                "criteria below. The heads that come nearest are shown instead, with what they lack.</p>",
                r->head_count);
        return;
    }
    fprintf(f, "<p class=lead><b>%d of %d heads %s.</b> ", r->specialists, r->head_count,
            r->specialists == 1 ? "is a limb specialist" : "are limb specialists");
    bool first = true;
    for (int c = 0; c < r->class_count; c++) {
        int n = 0, sided = 0;
        for (int h = 0; h < r->head_count; h++) {
            n += r->heads[h].classes[c].specialist;
            sided += r->heads[h].classes[c].sided;
        }
        if (!n)
            continue;
        fputs(first ? "Read: " : "; ", f);
        class_text(f, r, c);
        fprintf(f, " by %d", n);
        if (r->mirror[c] >= 0 && sided < n && sided > 0)
            fprintf(f, " (%d of them told from the other side)", sided);
        else if (r->mirror[c] >= 0)
            fputs(sided ? " (told from the other side)" : " (not told from the other side)", f);
        first = false;
    }
    fputs(
        ".</p><p class=dim>A specialist reads; whether the network makes anything of it is another question, which <code>limber "
        "patch</code> asks. The thresholds below were settled on one set of photographs: on others expect the order to hold "
        "better "
        "than the count.</p>",
        f);
}

static void opening(FILE *f, const limber_heads_result *r, const struct heads_about *about)
{
    char text[96];
    fputs("<h1>Which attention heads read which limb?</h1>", f);
    verdict(f, r);
    if (!about->complete)
        fputs("<p><b>The run was stopped before its end:</b> this page rests on the images seen until then.</p>", f);
    fputs("<div class=facts>", f);
    page_fact(f, "model", about->architecture);
    page_fact(f, "from", about->model);
    snprintf(text, sizeof text, "%lld of %lld", (long long)r->images_used, (long long)r->images);
    page_fact(f, "images used", text);
    snprintf(text, sizeof text, "%lld of %lld", (long long)r->people_used, (long long)r->people);
    page_fact(f, "people used", text);
    snprintf(text, sizeof text, "%d layers × %d", r->layer_count, r->heads_per_layer);
    page_fact(f, "heads", text);
    snprintf(text, sizeof text, "%d × %d", r->grid_h, r->grid_w);
    page_fact(f, "patches, rows × columns", text);
    page_fact(f, "where the limbs are, says", about->labels);
    snprintf(text, sizeof text, "%s, %s", about->backend, about->precision);
    page_fact(f, "computed by", text);
    snprintf(text, sizeof text, "%d, seed %llu", r->bootstrap, (unsigned long long)r->seed);
    page_fact(f, "bootstrap replicates", text);
    if (about->failed) {
        snprintf(text, sizeof text, "%lld", (long long)about->failed);
        page_fact(f, "images that could not be used", text);
    }
    fputs(
        "</div><p class=dim>An attention head decides, for each small square (<i>patch</i>) of a person's picture, which other "
        "patches to read. A head has learned a limb if a patch on, say, an upper arm reads the other patches of the same arm "
        "wherever that arm is &mdash; more than it reads patches that are merely near. Layers and heads are counted from 0.</p>",
        f);
}

/* ---- maps: layers by heads ---- */

struct map {
    double left, top, cell_w, cell_h, width, height;
};

static struct map map_of(const limber_heads_result *r, double width)
{
    struct map m = {.left = 38, .top = 20, .width = width};
    m.cell_w = (width - m.left - 1) / r->heads_per_layer;
    m.cell_h = m.cell_w < 24 ? m.cell_w : 24;
    m.cell_h = m.cell_h < 12 ? 12 : m.cell_h;
    m.height = m.top + m.cell_h * r->layer_count + 1;
    return m;
}

static void map_open(FILE *f, const limber_heads_result *r, const struct map *m, const char *label)
{
    fprintf(f, "<svg viewBox=\"0 0 %.0f %.1f\" role=img aria-label=\"%s\">", m->width, m->height, label);
    int step = r->heads_per_layer > 12 ? 4 : 1;
    for (int h = 0; h < r->heads_per_layer; h += step)
        fprintf(f, "<text x=%.1f y=13 text-anchor=middle>%d</text>", m->left + (h + 0.5) * m->cell_w, h);
    for (int l = 0; l < r->layer_count; l++)
        fprintf(f, "<text x=%.1f y=%.1f text-anchor=end>%d</text>", m->left - 7, m->top + (l + 0.5) * m->cell_h + 4,
                r->heads[l * r->heads_per_layer].layer);
    fprintf(f, "<text x=%.1f y=13 text-anchor=end>layer</text>", m->left - 7);
}

static void cell_rect(FILE *f, const struct map *m, int at, const limber_heads_result *r, const char *attributes)
{
    fprintf(f, "<rect x=%.1f y=%.1f width=%.1f height=%.1f %s />", m->left + at % r->heads_per_layer * m->cell_w + 1,
            m->top + at / r->heads_per_layer * m->cell_h + 1, m->cell_w - 2, m->cell_h - 2, attributes);
}

/* Mean distance against layer, a dot a head: the picture of Raghu et al. (NeurIPS 2021, figure 3). */
static void reach_figure(FILE *f, const limber_heads_result *r)
{
    const double width = 420, left = 46, top = 12, w = width - left - 10, h = 210;
    double most = 1.05;
    for (int i = 0; i < r->head_count; i++)
        most = r->heads[i].reach.mean > most ? r->heads[i].reach.mean : most;
    fprintf(f, "<figure><svg viewBox=\"0 0 %.0f %.0f\" role=img aria-label=\"mean attention distance by layer\">", width,
            top + h + 40);
    for (double v = 0; v <= most; v += 0.25)
        fprintf(f,
                "<path d=\"M%.1f %.1fh%.1f\" style=\"stroke:var(--line);stroke-width:%s\"/><text x=%.1f y=%.1f "
                "text-anchor=end>%.2f</text>",
                left, top + h - h * v / most, w, v == 1 ? "1.6" : ".7", left - 5, top + h - h * v / most + 4, v);
    for (int l = 0; l < r->layer_count; l++)
        if (l % (r->layer_count > 16 ? 4 : 1) == 0)
            fprintf(f, "<text x=%.1f y=%.1f text-anchor=middle>%d</text>", left + w * (l + 0.5) / r->layer_count, top + h + 16,
                    r->heads[l * r->heads_per_layer].layer);
    for (int i = 0; i < r->head_count; i++) {
        const limber_heads_head *k = &r->heads[i];
        int class = -1;
        for (int c = 0; c < r->class_count; c++)
            class = k->classes[c].specialist && class < 0 ? c : class;
        const double x =
            left + w * (i / r->heads_per_layer + (i % r->heads_per_layer + 1.0) / (r->heads_per_layer + 1)) / r->layer_count;
        fprintf(f, "<circle cx=%.1f cy=%.1f r=3.6 ", x, top + h - h * k->reach.mean / most);
        if (class >= 0)
            fprintf(f, "class=f%d", class);
        else
            fprintf(f, "style=\"fill:var(--%s)\"", limber_heads_kind_name(k->kind));
        fprintf(f, "><title>layer %d, head %d: %.2f</title></circle>", k->layer, k->head, k->reach.mean);
    }
    fprintf(f,
            "<text x=%.1f y=%.1f text-anchor=end class=strong>layer &#8594;</text></svg><figcaption>How far each head looks: the "
            "mean "
            "distance of what it reads, 1 = as far as flat attention. Colours as in the map.</figcaption></figure>",
            left + w, top + h + 34);
}

static void kinds_map(FILE *f, const limber_heads_result *r)
{
    struct map m = map_of(r, 420);
    fputs("<h2>Every head, and what it is</h2><div class=key>", f);
    for (int c = 0; c < r->class_count; c++)
        if (shown(r, c)) {
            fprintf(f, "<span><i class=b%d></i>", c);
            class_text(f, r, c);
            fputs("</span>", f);
        }
    static const struct {
        limber_heads_kind kind;
        const char *what;
    } rest[] = {
        {LIMBER_HEADS_LOCAL, "looks nearby"}, {LIMBER_HEADS_MIXED, "neither"}, {LIMBER_HEADS_DIFFUSE, "looks everywhere alike"}};
    for (size_t i = 0; i < sizeof rest / sizeof *rest; i++)
        fprintf(f, "<span><i style=\"background:var(--%s)\"></i>%s: %s (%d)</span>", limber_heads_kind_name(rest[i].kind),
                limber_heads_kind_name(rest[i].kind), rest[i].what, count_kind(r, rest[i].kind));
    fputs("</div><div class=pairs style=\"align-items:start\"><figure style=\"max-width:560px\">", f);
    map_open(f, r, &m, "kind of every head, by layer and head");
    for (int i = 0; i < r->head_count; i++) {
        const limber_heads_head *h = &r->heads[i];
        int n = 0, k = 0;
        for (int c = 0; c < r->class_count; c++)
            n += h->classes[c].specialist;
        if (!n) {
            char fill[64];
            snprintf(fill, sizeof fill, "rx=2 style=\"fill:var(--%s)\"", limber_heads_kind_name(h->kind));
            cell_rect(f, &m, i, r, fill);
        }
        double w = (m.cell_w - 2) / (n ? n : 1);
        for (int c = 0; c < r->class_count; c++)
            if (h->classes[c].specialist)
                fprintf(f, "<rect class=f%d x=%.1f y=%.1f width=%.1f height=%.1f></rect>", c,
                        m.left + i % r->heads_per_layer * m.cell_w + 1 + w * k++, m.top + i / r->heads_per_layer * m.cell_h + 1,
                        w, m.cell_h - 2);
    }
    fputs("</svg><figcaption>One square a head: rows are layers from the first (top) to the last, columns are heads. Coloured: a "
          "limb "
          "specialist, in the colour of its limb; several colours: of several limbs. Grey: what the others "
          "are.</figcaption></figure>",
          f);
    reach_figure(f, r);
    fputs("</div>", f);
}

/* Above which value a map is at full strength: the largest there is, but never so small that noise is blown up. */
static double full_scale(const limber_heads_result *r)
{
    double most = 0.15;
    for (int h = 0; h < r->head_count; h++)
        for (int c = 0; c < r->class_count; c++) {
            double gain = heads_report_gain(&r->heads[h].classes[c]);
            most = gain > most ? gain : most;
        }
    return most;
}

static void limb_maps(FILE *f, const limber_heads_result *r)
{
    double full = full_scale(r);
    fprintf(f,
            "<h2>Limb by limb</h2><p>How much more a head&rsquo;s attention looks like the limb than chance allows: "
            "r<sub>limb</sub> above "
            "the stricter of the two nulls. Rows are layers, columns are heads. Blank: not at all. Full colour: %.2f. A frame "
            "marks a specialist.</p><div class=maps>",
            full);
    for (int c = 0; c < r->class_count; c++) {
        if (!shown(r, c))
            continue;
        struct map m = map_of(r, 340);
        fputs("<figure><h3>", f);
        class_text(f, r, c);
        fprintf(f, " <span class=dim style=\"font-weight:400\">%d %s</span></h3>", r->class_people[c],
                r->class_people[c] == 1 ? "person" : "people");
        map_open(f, r, &m, "gain over chance by layer and head");
        for (int i = 0; i < r->head_count; i++) {
            const limber_heads_class *k = &r->heads[i].classes[c];
            double gain = heads_report_gain(k), strength = gain <= 0 ? 0 : gain >= full ? 1 : gain / full;
            char fill[96];
            cell_rect(f, &m, i, r, "style=\"fill:var(--cell)\"");
            snprintf(fill, sizeof fill, "class=f%d fill-opacity=%.2f", c, strength);
            if (strength > 0.005)
                cell_rect(f, &m, i, r, fill);
            if (k->specialist)
                cell_rect(f, &m, i, r, "fill=none style=\"stroke:var(--fg);stroke-width:1.8\"");
        }
        fputs("</svg></figure>", f);
    }
    fputs("</div>", f);
}

/* ---- from anywhere ---- */

static double any_gain(const limber_heads_any *k)
{
    return k->over_moved.images && k->over_swapped.images ? fmin(k->over_moved.mean, k->over_swapped.mean) : 0;
}

static void any_map(FILE *f, const limber_heads_result *r, int c, double full)
{
    struct map m = map_of(r, 340);
    fputs("<figure><h3>", f);
    class_text(f, r, c);
    fputs("</h3>", f);
    map_open(f, r, &m, "gain over chance from anywhere, by layer and head");
    for (int i = 0; i < r->head_count; i++) {
        const double gain = any_gain(&r->heads[i].any[c]), strength = fmax(0, fmin(1, gain / full));
        char fill[96];
        cell_rect(f, &m, i, r, "style=\"fill:var(--cell)\"");
        snprintf(fill, sizeof fill, "style=\"fill:var(--more);fill-opacity:%.2f\"", strength);
        if (strength > 0.005)
            cell_rect(f, &m, i, r, fill);
        if (r->heads[i].any[c].reader)
            cell_rect(f, &m, i, r, "fill=none style=\"stroke:var(--fg);stroke-width:1.8\"");
    }
    fputs("</svg></figure>", f);
}

/* Boundaries, which limb_maps does not have; and which heads read what from anywhere. */
static void from_anywhere(FILE *f, const limber_heads_result *r)
{
    double full = 0.15;
    for (int h = 0; h < r->head_count; h++)
        for (int c = 0; c < r->any_count; c++)
            full = fmax(full, any_gain(&r->heads[h].any[c]));
    fputs(
        "<h2>From anywhere</h2><p>Here every patch of the crop asks, on the person or beside it: does the head find the limb, or "
        "an edge, wherever it looks from?",
        f);
    if (r->any_count > r->class_count)
        fprintf(
            f,
            " <i>outline</i>: the patches that the edge of the person&rsquo;s capsules cuts; <i>joints</i>: those at a joint. On "
            "a "
            "grid of %d by %d most of an arm is outline. Colour: r above the stricter of the two nulls, full at %.2f; a frame "
            "marks a reader.</p><div class=maps>",
            r->grid_h, r->grid_w, full);
    else
        fputs("</p>", f);
    for (int c = r->class_count; c < r->any_count; c++)
        any_map(f, r, c, full);
    if (r->any_count > r->class_count)
        fputs("</div>", f);
    fputs("<div class=wide style=\"margin-top:1rem\"><table><tr><th class=l>what<th>readers<th class=l>the clearest<th>r<th>moved"
          "<th>swapped<th>lift<th>q</tr>",
          f);
    for (int c = 0; c < r->any_count; c++) {
        int readers = 0, best = -1;
        for (int h = 0; h < r->head_count; h++) {
            readers += r->heads[h].any[c].reader;
            if (r->heads[h].any[c].tested && (best < 0 || any_gain(&r->heads[h].any[c]) > any_gain(&r->heads[best].any[c])))
                best = h;
        }
        fputs("<tr><td class=l>", f);
        class_text(f, r, c);
        fprintf(f, "<td>%d<td class=l>", readers);
        if (best < 0) {
            fputs("&ndash;<td><td><td><td><td></tr>", f);
            continue;
        }
        const limber_heads_any *k = &r->heads[best].any[c];
        fprintf(f, "layer %d, head %d%s<td>", r->heads[best].layer, r->heads[best].head, k->reader ? "" : " (no reader)");
        page_estimate(f, &k->r);
        fputs("<td>", f);
        page_number(f, k->r_moved.mean);
        fputs("<td>", f);
        page_number(f, k->r_swapped.mean);
        fprintf(f, "<td>%.2f<td>", k->lift);
        page_probability(f, k->q);
        fputs("</tr>", f);
    }
    fputs("</table></div>", f);
}

/* ---- ranking ---- */

static double percent(double r)
{
    double at = 100 * (r + 0.2) / 1.2; /* the axis goes from -0.2 to 1 */
    return at < 0 ? 0 : at > 100 ? 100 : at;
}

/* One limb's line: the dot, its interval, and the two marks of chance. */
static void ranked_line(FILE *f, const limber_heads_class *k, int class)
{
    fprintf(f, "<div class=track><span class=zero style=\"left:%.1f%%\"></span>", percent(0));
    if (k->r_moved.images)
        fprintf(f, "<span class=n1 style=\"left:%.1f%%\"></span>", percent(k->r_moved.mean));
    if (k->r_swapped.images)
        fprintf(f, "<span class=n2 style=\"left:%.1f%%\"></span>", percent(k->r_swapped.mean));
    if (k->r_limb.interval)
        fprintf(f, "<span class=\"iv b%d\" style=\"left:%.1f%%;width:%.1f%%\"></span>", class, percent(k->r_limb.low),
                percent(k->r_limb.high) - percent(k->r_limb.low));
    fprintf(f, "<span class=\"pt b%d\" style=\"left:%.1f%%\"></span></div>", class, percent(k->r_limb.mean));
}

/* A head and the pairs of it that are shown. */
struct ranked_head {
    int head, count, class[LIMBER_HEADS_MAX_CLASSES];
    double most; /* r_limb of those */
};

/* The pairs, gathered by head; heads by what is drawn of them. Returns how many. */
static int gather_heads(struct ranked_head *out, const struct heads_rank *rank, int n, const limber_heads_result *r)
{
    int count = 0;
    for (int i = 0; i < n; i++) {
        int at = 0;
        while (at < count && out[at].head != rank[i].head)
            at++;
        if (at == count)
            out[count++] = (struct ranked_head){.head = rank[i].head, .most = -2};
        const double value = r->heads[rank[i].head].classes[rank[i].class].r_limb.mean;
        out[at].class[out[at].count++] = rank[i].class;
        out[at].most = value > out[at].most ? value : out[at].most;
    }
    for (int i = 1; i < count; i++)
        for (int k = i; k > 0 && out[k - 1].most < out[k].most; k--) {
            const struct ranked_head was = out[k];
            out[k] = out[k - 1];
            out[k - 1] = was;
        }
    return count;
}

static void ranked_row(FILE *f, const limber_heads_result *r, const struct ranked_head *it)
{
    const limber_heads_head *h = &r->heads[it->head];
    fprintf(f, "<div class=row><div class=who>layer %d, head %d", h->layer, h->head);
    for (int i = 0; i < it->count; i++) {
        const limber_heads_class *k = &h->classes[it->class[i]];
        fprintf(f, "<span><i class=b%d></i>", it->class[i]);
        class_text(f, r, it->class[i]);
        if (k->specialist && r->mirror[it->class[i]] >= 0)
            fputs(k->sided ? ", told from the other side" : ", or the other side", f);
        fputs("</span>", f);
    }
    fputs("</div><div>", f);
    for (int i = 0; i < it->count; i++) {
        char text[160];
        const limber_heads_class *k = &h->classes[it->class[i]];
        ranked_line(f, k, it->class[i]);
        const char *misses = heads_report_misses(text, r, h, it->class[i]);
        if (misses && k->tested) {
            fputs("<div class=said>Not a specialist: ", f);
            page_text(f, misses);
            fputs(".</div>", f);
        }
    }
    fputs("</div></div>", f);
}

/* Every number of the pairs above. */
static void ranked_table(FILE *f, const limber_heads_result *r, const struct ranked_head *heads, int count)
{
    fputs("<details><summary>Their numbers</summary><div class=wide><table><tr><th>layer<th>head<th "
          "class=l>limb<th>r<sub>limb</sub>"
          "<th>moved<th>swapped<th>r<sub>near</sub><th>partial<th>times its area<th>from other limbs<th>q</tr>",
          f);
    for (int i = 0; i < count; i++)
        for (int n = 0; n < heads[i].count; n++) {
            const limber_heads_head *h = &r->heads[heads[i].head];
            const limber_heads_class *k = &h->classes[heads[i].class[n]];
            const limber_heads_estimate *const all[] = {&k->r_limb, &k->r_moved, &k->r_swapped, &k->r_near, &k->partial};
            fprintf(f, "<tr><td>%d<td>%d<td class=l>", h->layer, h->head);
            class_text(f, r, heads[i].class[n]);
            for (size_t e = 0; e < sizeof all / sizeof *all; e++) {
                fputs("<td>", f);
                page_estimate(f, all[e]);
            }
            fprintf(f, "<td>%.1f<td>", k->lift);
            if (k->lift_from_others > 0)
                fprintf(f, "%.1f", k->lift_from_others);
            fputs("<td>", f);
            if (k->tested)
                page_probability(f, k->q);
            fputs("</tr>", f);
        }
    fputs("</table></div></details>", f);
}

static void ranking(FILE *f, const limber_heads_result *r)
{
    struct heads_rank rank[RANKED * LIMBER_HEADS_MAX_CLASSES];
    struct ranked_head heads[RANKED * LIMBER_HEADS_MAX_CLASSES];
    int n = heads_report_rank(rank, RANKED * LIMBER_HEADS_MAX_CLASSES, r, true), specialists = 0;
    for (int i = 0; i < n; i++)
        specialists += r->heads[rank[i].head].classes[rank[i].class].specialist;
    if (!n)
        return;
    if (specialists)
        n = specialists; /* the runners-up are for pages without a winner */
    else
        n = n < 6 ? n : 6;
    int count = gather_heads(heads, rank, n, r), rows = count < RANKED ? count : RANKED;
    fputs(specialists ? "<h2>The specialists, by r<sub>limb</sub></h2>"
          : r->tests  ? "<h2>The nearest to a specialist</h2>"
                      : "<h2>The strongest, untested</h2>",
          f);
    fputs("<p>One row a head, one line a limb. The dot is r<sub>limb</sub>, the correlation between a patch&rsquo;s attention "
          "and the "
          "limb&rsquo;s shape, averaged over patches, people and "
          "images; the bar through it its 95&nbsp;% interval over images. The solid mark is the same number when the "
          "limb&rsquo;s shape is moved "
          "elsewhere in the picture, the dotted mark when it is swapped for the same limb of somebody else. A dot to the right "
          "of both "
          "marks reads this limb of this person, and not just a place or a shape.</p>",
          f);
    fputs("<div class=axis><div></div><div>", f);
    static const double ticks[] = {-0.2, 0, 0.2, 0.4, 0.6, 0.8, 1};
    for (size_t i = 0; i < sizeof ticks / sizeof *ticks; i++)
        fprintf(f, "<span style=\"left:%.1f%%\">%s%.1f</span>", percent(ticks[i]), ticks[i] < 0 ? "&minus;" : "", fabs(ticks[i]));
    fputs("</div></div>", f);
    for (int i = 0; i < rows; i++)
        ranked_row(f, r, &heads[i]);
    if (count > rows)
        fprintf(f, "<p class=dim>%d more head%s: in the numbers below, and in heads.csv.</p>", count - rows,
                page_plural(count - rows));
    ranked_table(f, r, heads, count);
}

/* ---- by distance ---- */

/* Attention in each ring against flat attention's, a row a head, and what each head's strategy is. */
static void rings(FILE *f, const limber_heads_result *r)
{
    static const double edges[] = LIMBER_HEADS_RING_EDGES;
    static const char *const says[] = {"near, in rings", "a fixed step away", "farther than flat", "hardly by distance"};
    int of[4] = {0}, differ = 0, layers = 0;
    for (int i = 0; i < r->head_count; i++) {
        of[r->heads[i].strategy]++;
        if (i % r->heads_per_layer)
            continue;
        layers++;
        differ += r->heads[i].layer_p <= LIMBER_HEADS_MAX_Q;
    }
    fprintf(f, "<h2>By distance</h2><p>How much of its attention each head gives to the rings around the asking patch, against "
               "flat attention: "
               "<span style=\"color:var(--more)\">more</span> or <span style=\"color:var(--less)\">less</span>, full colour four "
               "times. By its rule "
               "(below) a head looks");
    for (int k = 0; k < 4; k++)
        fprintf(f, "%s %s: %d", k ? "," : "", says[k], of[k]);
    fprintf(
        f,
        ". The heads of a layer differ in reach in %d of %d layers (Friedman&rsquo;s test over images, p at most %g).</p><figure "
        "style=\"max-width:620px\">",
        differ, layers, LIMBER_HEADS_MAX_Q);
    const double left = 64, top = 22, w = 44, h = r->head_count > 128 ? 4 : 9, gap = 5, width = left + 8 * w + 150;
    fprintf(f, "<svg viewBox=\"0 0 %.0f %.0f\" role=img aria-label=\"attention by distance\">", width,
            top + r->head_count * h + r->layer_count * gap + 4);
    for (int k = 0; k < LIMBER_HEADS_RINGS; k++)
        fprintf(f,
                k < LIMBER_HEADS_RINGS - 1 ? "<text x=%.1f y=14 text-anchor=middle>%g</text>"
                                           : "<text x=%.1f y=14 text-anchor=middle>patches</text>",
                left + (k + (k < LIMBER_HEADS_RINGS - 1 ? 1 : 0.7)) * w, k < LIMBER_HEADS_RINGS - 1 ? edges[k] : 0);
    for (int i = 0; i < r->head_count; i++) {
        const limber_heads_head *k = &r->heads[i];
        const double y = top + i * h + i / r->heads_per_layer * gap;
        if (i % r->heads_per_layer == 0)
            fprintf(f, "<text x=%.1f y=%.1f text-anchor=end>layer %d</text>", left - 8, y + 10, k->layer);
        for (int ring = 0; ring < LIMBER_HEADS_RINGS; ring++) {
            const double lift = k->ring_flat[ring] > 0 && k->ring[ring] > 0 ? log2(k->ring[ring] / k->ring_flat[ring]) / 2 : 0;
            fprintf(f,
                    "<rect x=%.1f y=%.1f width=%.1f height=%.1f style=\"fill:var(--%s);fill-opacity:%.2f\"><title>layer %d, head "
                    "%d: %.2f of flat %.2f</title></rect>",
                    left + ring * w, y, w - 1, h - 0.8, lift >= 0 ? "more" : "less", fmin(1, fabs(lift)), k->layer, k->head,
                    k->ring[ring], k->ring_flat[ring]);
        }
        if (h >= 8) {
            fprintf(f, "<text x=%.1f y=%.1f style=\"font-size:8px\">%s", left + 8 * w + 6, y + 7.5,
                    limber_heads_strategy_name(k->strategy));
            if (k->strategy == LIMBER_HEADS_OFFSET)
                fprintf(f, ": %d down, %d right, %.0f %%", k->offset_down, k->offset_right, 100 * k->offset_share);
            fputs("</text>", f);
        }
    }
    fputs("</svg><figcaption>Numbers above: the outer edge of each ring, in patches. One row a head, by "
          "layer.</figcaption></figure>",
          f);
}

/* ---- scatter ---- */

static void scatter(FILE *f, const limber_heads_result *r)
{
    const double size = 340, left = 34, bottom = 30, low = -0.2, high = 1;
#define AT(v) (((v) < low ? 0 : (v) > high ? 1 : ((v)-low) / (high - low)) * size)
    fputs("<h2>Limb or merely near?</h2><p>Each dot is a head and a limb. To the right: its attention falls with distance. Up: "
          "its attention has the "
          "limb&rsquo;s shape. Limbs are close to themselves, so near-sighted heads have some of both; above the diagonal, shape "
          "counts for more "
          "than nearness. Filled: specialists.</p><figure style=\"max-width:460px\">",
          f);
    fprintf(f, "<svg viewBox=\"0 0 %.0f %.0f\" role=img aria-label=\"r_limb against r_near\">", left + size + 8,
            size + bottom + 14);
    for (int i = 0; i <= 6; i++) {
        double v = low + 0.2 * i, x = left + AT(v), y = 8 + size - AT(v);
        fprintf(f, "<path d=\"M%.1f 8V%.1fM%.1f %.1fH%.1f\" style=\"stroke:var(--line);stroke-width:%s\"/>", x, 8 + size, left, y,
                left + size, i == 1 ? "1.6" : ".7");
        fprintf(f, "<text x=%.1f y=%.1f text-anchor=middle>%s%.1f</text><text x=%.1f y=%.1f text-anchor=end>%s%.1f</text>", x,
                size + 22, i ? "" : "&#8722;", fabs(v), left - 5, y + 4, i ? "" : "&#8722;", fabs(v));
    }
    fprintf(f, "<path d=\"M%.1f %.1fL%.1f 8\" style=\"stroke:var(--dim);stroke-dasharray:4 4;fill:none\"/>", left, 8 + size,
            left + size);
    fprintf(f,
            "<text x=%.1f y=%.1f text-anchor=end class=strong>r near &#8594;</text><text x=%.1f y=20 class=strong>&#8593; r "
            "limb</text>",
            left + size, size + 37, left + 6);
    for (int filled = 0; filled < 2; filled++)
        for (int h = 0; h < r->head_count; h++)
            for (int c = 0; c < r->class_count; c++) {
                const limber_heads_class *k = &r->heads[h].classes[c];
                if (!k->r_limb.images || k->specialist != filled)
                    continue;
                fprintf(f, "<circle class=\"%s%d\" cx=%.1f cy=%.1f r=%s %s><title>layer %d, head %d, ", filled ? "f" : "s", c,
                        left + AT(k->r_near.mean), 8 + size - AT(k->r_limb.mean), filled ? "4.2" : "2.6",
                        filled ? "style=\"stroke:var(--bg);stroke-width:.8\"" : "fill=none stroke-opacity=.75", r->heads[h].layer,
                        r->heads[h].head);
                class_text(f, r, c);
                fprintf(f, ": r limb %.2f, r near %.2f</title></circle>", k->r_limb.mean, k->r_near.mean);
            }
    fputs("</svg><div class=key>", f);
    for (int c = 0; c < r->class_count; c++)
        if (shown(r, c)) {
            fprintf(f, "<span><i class=b%d></i>", c);
            class_text(f, r, c);
            fputs("</span>", f);
        }
    fputs("</div></figure>", f);
#undef AT
}

/* ---- co-attention ---- */

static void matrix(FILE *f, const limber_heads_result *r, const limber_heads_head *h)
{
    int show[LIMBER_HEADS_MAX_CLASSES], n = 0;
    for (int c = 0; c < r->class_count; c++)
        if (shown(r, c))
            show[n++] = c;
    const double left = 74, top = 62, cell = 44;
    fprintf(f, "<figure><h3>layer %d, head %d <span class=dim style=\"font-weight:400\">%s</span></h3>", h->layer, h->head,
            limber_heads_kind_name(h->kind));
    fprintf(f, "<svg viewBox=\"0 0 %.0f %.0f\" style=\"max-width:410px\" role=img aria-label=\"limb by limb co-attention\">",
            left + n * cell + 36, top + n * cell + 2);
    for (int i = 0; i < n; i++) {
        fprintf(f, "<text x=%.1f y=%.1f text-anchor=end>", left - 6, top + (i + 0.5) * cell + 4);
        class_text(f, r, show[i]);
        fprintf(f, "</text><text transform=\"translate(%.1f %.1f) rotate(-52)\">", left + (i + 0.5) * cell, top - 6);
        class_text(f, r, show[i]);
        fputs("</text>", f);
        for (int j = 0; j < n; j++) {
            double x = left + j * cell + 1, y = top + i * cell + 1, lift = h->pair[show[i]][show[j]].lift;
            bool known = h->pair[show[i]][show[j]].images > 0;
            double strength = lift > 0 ? fabs(log2(lift)) / 2.5 : 1;
            fprintf(f, "<rect x=%.1f y=%.1f width=%.1f height=%.1f style=\"fill:var(--cell)\"/>", x, y, cell - 2, cell - 2);
            if (!known)
                continue;
            strength = strength > 1 ? 1 : strength;
            fprintf(f, "<rect x=%.1f y=%.1f width=%.1f height=%.1f style=\"fill:var(--%s);fill-opacity:%.2f\"/>", x, y, cell - 2,
                    cell - 2, lift >= 1 ? "more" : "less", 0.75 * strength);
            const bool surely = h->pair[show[i]][show[j]].tested && h->pair[show[i]][show[j]].q <= LIMBER_HEADS_MAX_Q;
            fprintf(f, "<text x=%.1f y=%.1f text-anchor=middle class=%s>%.*f</text>", x + cell / 2 - 1, y + cell / 2 + 3,
                    surely ? "strong" : "plain", lift < 9.95 ? 1 : 0, lift);
            if (surely)
                fprintf(f, "<circle cx=%.1f cy=%.1f r=2.2 style=\"fill:var(--fg)\"/>", x + cell - 8, y + 6);
        }
    }
    fputs("</svg></figure>", f);
}

static void matrices(FILE *f, const limber_heads_result *r)
{
    struct heads_rank featured[HEADS_FEATURED];
    int n = heads_report_feature(featured, r);
    if (!n)
        return;
    fputs("<h2>Which limbs are read together?</h2><p>Rows: the limb that asks. Columns: the limb it reads. The number says how "
          "many times its fair "
          "share of attention that limb gets: 1 is what its area alone would earn, <span style=\"color:var(--more)\">more</span> "
          "and "
          "<span style=\"color:var(--less)\">less</span>. A dot: r differs, the same way, from that of a swapped body and from "
          "that "
          "of the two limbs moved together, which keep their places to each other (two-sided t over images, the larger p, q at "
          "most " MAX_Q_TEXT " over all pairs of all heads); squares without one may be chance. A strong diagonal reads "
          "its own limb; two strong squares "
          "across it mix left and right; "
          "a strong column reads that limb from everywhere. Limbs overlap where they meet (shoulders, hips), so neighbours share "
          "a little.</p><div class=maps>",
          f);
    for (int i = 0; i < n; i++) {
        bool seen = false;
        for (int k = 0; k < i; k++)
            seen = seen || featured[k].head == featured[i].head;
        if (!seen)
            matrix(f, r, &r->heads[featured[i].head]);
    }
    fputs("</div>", f);
}

/* ---- photographs ---- */

/* The border of a mask, as one path along patch edges. */
static void outline(FILE *f, const struct heads_picture *p, const limber_heads_result *r, double x0, double y0)
{
    const uint8_t *m = p->view.masks;
    int w = r->grid_w, h = r->grid_h, bit = p->class;
    fprintf(f, "<path class=s%d fill=none stroke-width=2.2 d=\"", p->class);
#define IN(row, col) ((row) >= 0 && (row) < h && (col) >= 0 && (col) < w && (m[(row)*w + (col)] >> bit & 1))
    for (int i = 0; i < h; i++)
        for (int j = 0; j < w; j++) {
            if (!IN(i, j))
                continue;
            double x = x0 + j * p->patch_w, y = y0 + i * p->patch_h;
            if (!IN(i - 1, j))
                fprintf(f, "M%.0f %.0fh%d", x, y, p->patch_w);
            if (!IN(i + 1, j))
                fprintf(f, "M%.0f %.0fh%d", x, y + p->patch_h, p->patch_w);
            if (!IN(i, j - 1))
                fprintf(f, "M%.0f %.0fv%d", x, y, p->patch_h);
            if (!IN(i, j + 1))
                fprintf(f, "M%.0f %.0fv%d", x + p->patch_w, y, p->patch_h);
        }
#undef IN
    fputs("\"/>", f);
}

static void picture(FILE *f, const limber_heads_result *r, const struct heads_picture *p)
{
    double x0 = -PATCH_PAD, y0 = -PATCH_PAD, most = 0;
    for (int j = 0; j < r->grid_h * r->grid_w; j++)
        if (j != p->view.query && p->view.row[j] > most)
            most = p->view.row[j];
    fprintf(f, "<figure><svg viewBox=\"0 0 %d %d\" role=img aria-label=\"attention of one patch over the photograph\">",
            p->image_w, p->image_h);
    page_photograph(f, p->view.crop, p->image_w, p->image_h);
    fputs("<g fill=\"#ffb300\">", f);
    for (int j = 0; j < r->grid_h * r->grid_w; j++) {
        double strength = most > 0 ? p->view.row[j] / most : 0;
        if (j != p->view.query && strength > 0.05)
            fprintf(f, "<rect x=%.0f y=%.0f width=%d height=%d opacity=%.2f />", x0 + j % r->grid_w * p->patch_w,
                    y0 + j / r->grid_w * p->patch_h, p->patch_w, p->patch_h, 0.85 * strength);
    }
    fputs("</g>", f);
    outline(f, p, r, x0, y0);
    fprintf(
        f,
        "<circle cx=%.1f cy=%.1f r=%.1f fill=\"#fff\" stroke=\"#000\" stroke-width=1.5 /></svg><figcaption>%s, r<sub>limb</sub> ",
        x0 + (p->view.query % r->grid_w + 0.5) * p->patch_w, y0 + (p->view.query / r->grid_w + 0.5) * p->patch_h,
        p->patch_w * 0.3, p->lot ? "drawn by lot" : "strongest of all");
    page_number(f, p->view.mean_r);
    fputs("; this patch ", f);
    page_number(f, p->view.query_r);
    fputs("<br>", f);
    const char *base = strrchr(p->name, '/');
    page_text(f, base ? base + 1 : p->name);
    fputs("</figcaption></figure>", f);
}

static void photographs(FILE *f, const limber_heads_result *r, const struct heads_picture *pictures, int count)
{
    if (!count)
        return;
    fputs("<h2>What they look at</h2><p>The white dot asks; yellow is where this one patch&rsquo;s attention goes (full yellow: "
          "the patch read most). The "
          "coloured outline is the limb as the labels have it. Two photographs a head, to be fair: the person in whom it reads "
          "the limb most clearly, and one "
          "drawn by lot. The asking patch is the limb&rsquo;s middle one by its own r<sub>limb</sub>: neither its best nor its "
          "worst.</p><div class=pairs>",
          f);
    for (int i = 0; i < count; i++) {
        const limber_heads_head *h = &r->heads[pictures[i].head];
        bool first = i == 0 || pictures[i].head != pictures[i - 1].head || pictures[i].class != pictures[i - 1].class;
        bool last = i + 1 == count || pictures[i].head != pictures[i + 1].head || pictures[i].class != pictures[i + 1].class;
        if (first) {
            fprintf(f, "<div class=pair><h3>layer %d, head %d: ", h->layer, h->head);
            class_text(f, r, pictures[i].class);
            fputs(h->classes[pictures[i].class].specialist
                      ? "</h3>"
                      : " <span class=dim style=\"font-weight:400\">(no specialist)</span></h3>",
                  f);
            fputs("<div class=photos>", f);
        }
        picture(f, r, &pictures[i]);
        if (last)
            fputs("</div></div>", f);
    }
    fputs("</div>", f);
}

/* ---- the end ---- */

static void table(FILE *f, const limber_heads_result *r)
{
    fputs("<h2>All heads</h2><details><summary>The table</summary><div class=wide><table><tr><th>layer<th>head<th "
          "class=l>kind<th class=l>of<th>reach<th>entropy<th>own patch",
          f);
    for (int c = 0; c < r->class_count; c++)
        if (shown(r, c)) {
            fputs("<th>", f);
            class_text(f, r, c);
        }
    fputs("</tr>", f);
    for (int i = 0; i < r->head_count; i++) {
        const limber_heads_head *h = &r->heads[i];
        fprintf(f, "<tr><td>%d<td>%d<td class=l>%s<td class=l>", h->layer, h->head, limber_heads_kind_name(h->kind));
        bool any = false;
        for (int c = 0; c < r->class_count; c++)
            if (h->classes[c].specialist) {
                fputs(any ? ", " : "", f);
                class_text(f, r, c);
                any = true;
            }
        fprintf(f, "<td>%.2f<td>%.2f<td>%.2f", h->reach.mean, h->entropy.mean, h->self.mean);
        for (int c = 0; c < r->class_count; c++)
            if (shown(r, c)) {
                fputs("<td>", f);
                page_number(f, heads_report_gain(&h->classes[c]));
            }
        fputs("</tr>", f);
    }
    fputs("</table></div><p class=dim>Reach: mean distance of what is read, 1 = as far as flat attention. Entropy: 1 = flat. Own "
          "patch: what stays with the "
          "asking patch. Then, for each limb, r<sub>limb</sub> above the stricter null. All numbers, with intervals: heads.csv, "
          "heads.json.</p></details>",
          f);
}

static void method(FILE *f, const limber_heads_result *r)
{
    fprintf(
        f,
        "<h2>How what is read is computed</h2><dl>"
        "<dt>r<sub>limb</sub></dt><dd>Take one patch on a limb and the row of attention it pays to all the other patches of "
        "the person%s. Correlate "
        "(Pearson) that row with a row of ones on the limb and zeros elsewhere. 1: it reads exactly the limb, all of it "
        "alike. 0: it does not know it. "
        "Averages go over Fisher&rsquo;s z, first over the limb&rsquo;s patches, then people, then images.</dd>"
        "<dt>Chance: moved, swapped</dt><dd>Blobs of attention agree with blobs of limbs by luck. So the same is computed "
        "for limb shapes that are not "
        "there: the limb&rsquo;s own shape moved over the picture together with the patches that ask, and the same limb of "
        "another person. A head that "
        "only prefers a distance or direction scores as much when moved, a head that only knows where arms tend to be scores "
        "as much when "
        "swapped. It must beat both: per image, one-sided t over images, the larger of the two p values.</dd>"
        "<dt>q</dt><dd>That p corrected for the %d pairs of head and limb that were tested (Benjamini&ndash;Hochberg): of "
        "the heads with q up to %g, "
        "at most that share is expected to be luck.</dd>"
        "<dt>r<sub>near</sub>, partial</dt><dd>Correlation of the same row with nearness (minus the distance to the asking "
        "patch), and what remains of "
        "r<sub>limb</sub> when nearness is taken out of both.</dd>"
        "<dt>Specialist</dt><dd>q at most %g, r<sub>limb</sub> at least %g above both nulls, partial above 0 and above "
        "r<sub>near</sub>, and attention on the limb at least "
        "%g times its area share, and %g times what any other limb gets for its area (the same limb on the other side "
        "aside). &ldquo;Told from the other side&rdquo;: "
        "its partial correlation exceeds that with the mirrored limb, by more than it does for a swapped body, and so says "
        "the whole interval.</dd>"
        "<dt>Diffuse, local, mixed</dt><dd>Entropy at least %g of flat attention; else mean distance at most %g of flat "
        "attention&rsquo;s; else neither.</dd>"
        "<dt>From anywhere</dt><dd>All patches ask; the nulls move the mask alone. A reader: q at most %g over all heads and "
        "classes so asked, r at least %g above both nulls, partial above 0, attention at least %g times the area share, and as "
        "many times that of any other limb; of a boundary, of the limbs&rsquo; mean, none of which it leaves out.</dd>"
        "<dt>By distance</dt><dd>At most 64 patches of a person ask, evenly spread. Offset: in half of the rows or more the "
        "patch that is read most "
        "lies the same step away. Flat: by ring it differs from flat attention by less than a tenth (total variation). Far: "
        "its mean distance is "
        "above flat attention&rsquo;s. Ring: the others.</dd>"
        "<dt>What it does not say</dt><dd>A correlation is no cause: a head may read an arm and the network may make nothing "
        "of it. A head that reads "
        "whatever of the person is near can resemble a limb reader; the partial correlation and the comparison with other "
        "limbs are the guards against that, not a "
        "proof. Labels are capsules around bones between joints; where joints are wrong, so are they, and where they are the "
        "model&rsquo;s own, they share its errors and flatter it.</dd></dl>",
        r->include_self ? " (its own included)" : "", r->tests, LIMBER_HEADS_MAX_Q, LIMBER_HEADS_MAX_Q, LIMBER_HEADS_MIN_GAIN,
        LIMBER_HEADS_MIN_LIFT, LIMBER_HEADS_MIN_LIFT, LIMBER_HEADS_MIN_ENTROPY, LIMBER_HEADS_MAX_REACH, LIMBER_HEADS_MAX_Q,
        LIMBER_HEADS_MIN_GAIN, LIMBER_HEADS_MIN_LIFT);
}

void heads_report_page(FILE *f, const limber_heads_result *r, const struct heads_about *about,
                       const struct heads_picture *pictures, int picture_count)
{
    page_open(f, "limber heads");
    opening(f, r, about);
    page_part(f, "kinds", about->json);
    if (r->images_used) {
        kinds_map(f, r);
        ranking(f, r);
    }
    page_part(f, "maps", about->json);
    if (r->images_used)
        limb_maps(f, r);
    page_part(f, "reading", about->json);
    if (r->images_used) {
        from_anywhere(f, r);
        rings(f, r);
        scatter(f, r);
        photographs(f, r, pictures, picture_count);
        matrices(f, r);
        table(f, r);
    }
    page_part(f, "method", about->json);
    method(f, r);
    page_part(f, "end", about->json);
    page_close(f);
}
