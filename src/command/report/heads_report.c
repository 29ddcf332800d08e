/* SPDX-License-Identifier: MIT */
/* command/report/heads_report.c - head statistics as JSON and CSV, and the order in which heads are shown.
 *
 * Formats: heads.json is one object; estimates are {"mean", "low", "high", "images"}, with null for what is not known (no image:
 * all three; one image: the interval). heads.csv has a line for every head and class; empty cells for what is not known. */
#include "command/report/heads_report.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- order ---- */

double heads_report_gain(const limber_heads_class *k)
{
    if (!k->over_moved.images)
        return k->r_limb.mean;
    return k->over_swapped.images && k->over_swapped.mean < k->over_moved.mean ? k->over_swapped.mean : k->over_moved.mean;
}

int heads_report_rank(struct heads_rank *out, int max, const limber_heads_result *r, bool fill)
{
    int n = 0;
    for (int pass = 0; pass <= fill; pass++)
        for (int h = 0, first = n; h < r->head_count; h++)
            for (int c = 0; c < r->class_count; c++) {
                const limber_heads_class *k = &r->heads[h].classes[c];
                struct heads_rank it = {h, c, heads_report_gain(k)};
                if (!k->r_limb.images || k->specialist == pass)
                    continue;
                int at = n < max ? n++ : n;
                while (at > first && out[at - 1].gain < it.gain) {
                    if (at < max)
                        out[at] = out[at - 1];
                    at--;
                }
                if (at < max)
                    out[at] = it;
            }
    return n;
}

int heads_report_feature(struct heads_rank out[HEADS_FEATURED], const limber_heads_result *r)
{
    struct heads_rank rank[LIMBER_HEADS_MAX_CLASSES * 64];
    int n = heads_report_rank(rank, (int)(sizeof rank / sizeof *rank), r, !r->specialists), count = 0;
    int wanted = r->specialists ? HEADS_FEATURED - 2 : 3;
    bool shown[LIMBER_HEADS_MAX_CLASSES] = {false};
    for (int pass = r->specialists ? 0 : 1; pass < 2; pass++) /* first new classes, then new heads */
        for (int i = 0; i < n && count < (pass ? wanted : HEADS_FEATURED); i++) {
            bool seen = pass ? false : shown[rank[i].class];
            for (int k = 0; pass && k < count; k++)
                seen = seen || out[k].head == rank[i].head;
            if (seen || r->heads[rank[i].head].classes[rank[i].class].best.image < 0)
                continue;
            shown[rank[i].class] = true;
            out[count++] = rank[i];
        }
    return count;
}

const char *heads_report_misses(char text[160], const limber_heads_result *r, const limber_heads_head *h, int class)
{
    const limber_heads_class *k = &h->classes[class];
    const size_t room = 160;
    if (k->specialist)
        return NULL;
    if (!k->tested)
        snprintf(text, room, "cannot be tested: it takes two images or more, and --moves above 0");
    else if (!(k->q <= LIMBER_HEADS_MAX_Q))
        snprintf(text, room, "could be chance: q = %.2g, above %g", k->q, LIMBER_HEADS_MAX_Q);
    else if (!(heads_report_gain(k) >= LIMBER_HEADS_MIN_GAIN))
        snprintf(text, room, "only %.3f above the stricter null, less than %g", heads_report_gain(k), LIMBER_HEADS_MIN_GAIN);
    else if (!(k->partial.mean > 0 && k->partial.mean > k->r_near.mean))
        snprintf(text, room, "nearness counts for more: partial %.2f, r_near %.2f", k->partial.mean, k->r_near.mean);
    else if (!(k->lift >= LIMBER_HEADS_MIN_LIFT))
        snprintf(text, room, "attention on the limb is only %.2f times its area share", k->lift);
    else {
        int most = -1;
        for (int b = 0; b < r->class_count; b++)
            if (b != class && b != r->mirror[class] && (most < 0 || h->pair[class][b].lift > h->pair[class][most].lift))
                most = b;
        char name[48] = "another class";
        if (most >= 0)
            heads_report_class_name(name, r, most);
        snprintf(text, room, "reads the %.40s too (lift %.2f beside %.2f)", name, most >= 0 ? h->pair[class][most].lift : 0,
                 k->lift);
    }
    return text;
}

void heads_report_class_name(char out[48], const limber_heads_result *r, int class)
{
    memcpy(out, r->class_name[class], sizeof r->class_name[class]);
    for (char *p = out; *p; p++)
        *p = *p == '_' ? ' ' : *p;
}

/* ---- JSON ---- */

static void put_maybe(struct json_text *t, const char *key, bool known, double value, int decimals)
{
    put_key(t, key);
    if (known)
        put_number(t, value, decimals);
    else
        put_string(t, NULL);
}

static void put_estimate(struct json_text *t, const char *key, const limber_heads_estimate *e)
{
    put_key(t, key), put_open(t, '{');
    put_maybe(t, "mean", e->images > 0, e->mean, 5);
    put_maybe(t, "low", e->interval, e->low, 5);
    put_maybe(t, "high", e->interval, e->high, 5);
    put_key(t, "images"), put_integer(t, e->images);
    put_close(t, '}');
}

/* p values are small: digits of their own instead of fixed decimals. */
static void put_small(struct json_text *t, const char *key, bool known, double value)
{
    char text[32];
    put_key(t, key);
    int n = snprintf(text, sizeof text, known ? "%.4g" : "null", value);
    put_raw(t, text, (size_t)n);
}

static void put_class(struct json_text *t, const limber_heads_result *r, const limber_heads_head *h, int c)
{
    const limber_heads_class *k = &h->classes[c];
    put_key(t, r->class_name[c]), put_open(t, '{');
    put_estimate(t, "r_limb", &k->r_limb);
    put_estimate(t, "r_near", &k->r_near);
    put_estimate(t, "partial", &k->partial);
    put_estimate(t, "r_moved", &k->r_moved);
    put_estimate(t, "r_swapped", &k->r_swapped);
    put_estimate(t, "over_moved", &k->over_moved);
    put_estimate(t, "over_swapped", &k->over_swapped);
    put_estimate(t, "side", &k->side);
    put_maybe(t, "mass", k->r_limb.images > 0, k->mass, 5);
    put_maybe(t, "share", k->r_limb.images > 0, k->share, 5);
    put_maybe(t, "lift", k->r_limb.images > 0, k->lift, 4);
    put_maybe(t, "lift_from_others", k->lift_from_others > 0, k->lift_from_others, 4);
    put_small(t, "p_moved", k->tested, k->p_moved);
    put_small(t, "p_swapped", k->tested && k->over_swapped.images > 1, k->p_swapped);
    put_small(t, "p", k->tested, k->p);
    put_small(t, "q", k->tested, k->q);
    put_key(t, "specialist"), put_bool(t, k->specialist);
    put_key(t, "sided"), put_bool(t, k->sided);
    put_close(t, '}');
}

static void put_any(struct json_text *t, const char *name, const limber_heads_any *k)
{
    put_key(t, name), put_open(t, '{');
    put_estimate(t, "r", &k->r);
    put_estimate(t, "partial", &k->partial);
    put_estimate(t, "r_moved", &k->r_moved);
    put_estimate(t, "r_swapped", &k->r_swapped);
    put_estimate(t, "over_moved", &k->over_moved);
    put_estimate(t, "over_swapped", &k->over_swapped);
    put_maybe(t, "mass", k->r.images > 0, k->mass, 5);
    put_maybe(t, "share", k->r.images > 0, k->share, 5);
    put_maybe(t, "lift", k->r.images > 0, k->lift, 4);
    put_small(t, "p_moved", k->tested, k->p_moved);
    put_small(t, "p_swapped", k->tested, k->p_swapped);
    put_small(t, "p", k->tested, k->p);
    put_small(t, "q", k->tested, k->q);
    put_key(t, "reader"), put_bool(t, k->reader);
    put_close(t, '}');
}

static void put_pairs(struct json_text *t, const limber_heads_result *r, const limber_heads_head *h, const char *key,
                      size_t offset)
{
    put_key(t, key), put_open(t, '[');
    for (int a = 0; a < r->class_count; a++) {
        put_open(t, '[');
        for (int b = 0; b < r->class_count; b++)
            if (h->pair[a][b].images)
                put_number(t, *(const double *)((const char *)&h->pair[a][b] + offset), 4);
            else
                put_string(t, NULL);
        put_close(t, ']');
    }
    put_close(t, ']');
}

static void put_head(struct json_text *t, const limber_heads_result *r, const limber_heads_head *h)
{
    put_open(t, '{');
    put_key(t, "layer"), put_integer(t, h->layer);
    put_key(t, "head"), put_integer(t, h->head);
    put_key(t, "kind"), put_string(t, limber_heads_kind_name(h->kind));
    put_key(t, "specialist_of"), put_open(t, '[');
    for (int c = 0; c < r->class_count; c++)
        if (h->classes[c].specialist)
            put_string(t, r->class_name[c]);
    put_close(t, ']');
    put_estimate(t, "r_near", &h->r_near);
    put_estimate(t, "distance", &h->distance);
    put_estimate(t, "reach", &h->reach);
    put_estimate(t, "entropy", &h->entropy);
    put_estimate(t, "self", &h->self);
    put_maybe(t, "focused", h->entropy.images > 0, h->focused, 4);
    put_maybe(t, "exploring", h->entropy.images > 0, h->exploring, 4);
    put_small(t, "layer_p", h->entropy.images > 1, h->layer_p);
    put_key(t, "strategy"), put_string(t, h->entropy.images ? limber_heads_strategy_name(h->strategy) : NULL);
    put_key(t, "rings"), put_open(t, '[');
    for (int k = 0; k < LIMBER_HEADS_RINGS; k++)
        put_number(t, h->ring[k], 5);
    put_close(t, ']');
    put_key(t, "rings_flat"), put_open(t, '[');
    for (int k = 0; k < LIMBER_HEADS_RINGS; k++)
        put_number(t, h->ring_flat[k], 5);
    put_close(t, ']');
    put_key(t, "offset"), put_open(t, '['), put_integer(t, h->offset_down), put_integer(t, h->offset_right), put_close(t, ']');
    put_key(t, "offset_share"), put_number(t, h->offset_share, 4);
    put_key(t, "classes"), put_open(t, '{');
    for (int c = 0; c < r->class_count; c++)
        put_class(t, r, h, c);
    put_close(t, '}');
    put_key(t, "anywhere"), put_open(t, '{');
    for (int c = 0; c < r->any_count; c++)
        put_any(t, r->class_name[c], &h->any[c]);
    put_close(t, '}');
    const size_t base = offsetof(limber_heads_head, pair);
    put_pairs(t, r, h, "co_attention_lift", offsetof(limber_heads_head, pair[0][0].lift) - base);
    put_pairs(t, r, h, "co_attention_r", offsetof(limber_heads_head, pair[0][0].r) - base);
    put_pairs(t, r, h, "co_attention_partial", offsetof(limber_heads_head, pair[0][0].partial) - base);
    put_pairs(t, r, h, "co_attention_r_low", offsetof(limber_heads_head, pair[0][0].r_low) - base);
    put_pairs(t, r, h, "co_attention_r_high", offsetof(limber_heads_head, pair[0][0].r_high) - base);
    put_pairs(t, r, h, "co_attention_over_swapped", offsetof(limber_heads_head, pair[0][0].over) - base);
    put_pairs(t, r, h, "co_attention_over_moved", offsetof(limber_heads_head, pair[0][0].over_moved) - base);
    put_pairs(t, r, h, "co_attention_p_swapped", offsetof(limber_heads_head, pair[0][0].p_swapped) - base);
    put_pairs(t, r, h, "co_attention_p_moved", offsetof(limber_heads_head, pair[0][0].p_moved) - base);
    put_pairs(t, r, h, "co_attention_q", offsetof(limber_heads_head, pair[0][0].q) - base);
    put_close(t, '}');
}

static void put_kinds(struct json_text *t, const limber_heads_result *r)
{
    static const limber_heads_kind kinds[] = {LIMBER_HEADS_SPECIALIST, LIMBER_HEADS_LOCAL, LIMBER_HEADS_DIFFUSE,
                                              LIMBER_HEADS_MIXED};
    put_key(t, "kinds"), put_open(t, '{');
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        int n = 0;
        for (int h = 0; h < r->head_count; h++)
            n += r->heads[h].kind == kinds[k];
        put_key(t, limber_heads_kind_name(kinds[k])), put_integer(t, n);
    }
    put_close(t, '}');
}

static void put_counts(struct json_text *t, const limber_heads_result *r)
{
    put_key(t, "images"), put_integer(t, r->images);
    put_key(t, "images_used"), put_integer(t, r->images_used);
    put_key(t, "people"), put_integer(t, r->people);
    put_key(t, "people_used"), put_integer(t, r->people_used);
    put_key(t, "tests"), put_integer(t, r->tests);
}

static void put_fingerprint(struct json_text *t, const char *key, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%016" PRIx64, value);
    put_key(t, key), put_string(t, text);
}

void heads_report_json(struct json_text *t, const limber_heads_result *r, const struct heads_about *about)
{
    t->pretty = true;
    put_open(t, '{');
    put_key(t, "limber"), put_string(t, limber_version());
    put_key(t, "complete"), put_bool(t, about->complete);
    put_key(t, "model"), put_string(t, about->model);
    put_key(t, "architecture"), put_string(t, about->architecture);
    put_key(t, "backend"), put_string(t, about->backend);
    put_key(t, "precision"), put_string(t, about->precision);
    put_key(t, "labels"), put_string(t, about->labels);
    put_fingerprint(t, "model_content", about->content);
    put_key(t, "seed"), put_integer(t, (long long)r->seed);
    put_key(t, "bootstrap"), put_integer(t, r->bootstrap);
    put_key(t, "moves"), put_integer(t, r->moves);
    put_key(t, "include_self"), put_bool(t, r->include_self);
    put_key(t, "grid"), put_open(t, '['), put_integer(t, r->grid_h), put_integer(t, r->grid_w), put_close(t, ']');
    put_key(t, "failed"), put_integer(t, about->failed);
    put_counts(t, r);
    put_key(t, "classes"), put_open(t, '[');
    for (int c = 0; c < r->class_count; c++)
        put_string(t, r->class_name[c]);
    put_close(t, ']');
    put_key(t, "people_with"), put_open(t, '{');
    for (int c = 0; c < r->class_count; c++)
        put_key(t, r->class_name[c]), put_integer(t, r->class_people[c]);
    put_close(t, '}');
    static const double edges[] = LIMBER_HEADS_RING_EDGES;
    put_key(t, "ring_edges"), put_open(t, '[');
    for (size_t k = 0; k < sizeof edges / sizeof *edges; k++)
        put_number(t, edges[k], 2);
    put_close(t, ']');
    put_key(t, "thresholds"), put_open(t, '{');
    put_key(t, "max_q"), put_number(t, LIMBER_HEADS_MAX_Q, 4);
    put_key(t, "min_gain"), put_number(t, LIMBER_HEADS_MIN_GAIN, 4);
    put_key(t, "min_lift"), put_number(t, LIMBER_HEADS_MIN_LIFT, 4);
    put_key(t, "min_entropy"), put_number(t, LIMBER_HEADS_MIN_ENTROPY, 4);
    put_key(t, "max_reach"), put_number(t, LIMBER_HEADS_MAX_REACH, 4);
    put_key(t, "min_offset"), put_number(t, LIMBER_HEADS_MIN_OFFSET, 4);
    put_key(t, "flat_rings"), put_number(t, LIMBER_HEADS_FLAT_RINGS, 4);
    put_key(t, "focused"), put_number(t, LIMBER_HEADS_FOCUSED, 4);
    put_key(t, "exploring"), put_number(t, LIMBER_HEADS_EXPLORING, 4);
    put_close(t, '}');
    put_kinds(t, r);
    put_key(t, "heads"), put_open(t, '[');
    for (int h = 0; h < r->head_count; h++)
        put_head(t, r, &r->heads[h]);
    put_close(t, ']');
    put_close(t, '}');
    put_newline(t);
}

#define SHORT_MAX 64
void heads_report_short(struct json_text *t, const limber_heads_result *r)
{
    struct heads_rank rank[SHORT_MAX];
    int n = heads_report_rank(rank, SHORT_MAX, r, false);
    put_open(t, '{');
    put_counts(t, r);
    put_kinds(t, r);
    put_key(t, "specialists"), put_open(t, '[');
    for (int i = 0; i < n; i++) {
        const limber_heads_head *h = &r->heads[rank[i].head];
        const limber_heads_class *k = &h->classes[rank[i].class];
        put_open(t, '{');
        put_key(t, "layer"), put_integer(t, h->layer);
        put_key(t, "head"), put_integer(t, h->head);
        put_key(t, "of"), put_string(t, r->class_name[rank[i].class]);
        put_key(t, "sided"), put_bool(t, k->sided);
        put_estimate(t, "r_limb", &k->r_limb);
        put_key(t, "gain"), put_number(t, rank[i].gain, 5);
        put_small(t, "q", k->tested, k->q);
        put_close(t, '}');
    }
    put_close(t, ']');
    put_close(t, '}');
}

/* ---- CSV ---- */

static void csv_text(FILE *f, const char *s)
{
    if (!strpbrk(s, "\",\r\n")) {
        fputs(s, f);
        return;
    }
    fputc('"', f);
    for (; *s; s++) {
        if (*s == '"')
            fputc('"', f);
        fputc(*s, f);
    }
    fputc('"', f);
}

static void csv_number(FILE *f, bool known, double v, const char *format)
{
    fputc(',', f);
    if (known) {
        char text[40];
        snprintf(text, sizeof text, format, v);
        fputs(strcmp(text, "-0.000000") ? text : "0.000000", f);
    }
}

static void csv_estimate(FILE *f, const limber_heads_estimate *e)
{
    csv_number(f, e->images > 0, e->mean, "%.6f");
    csv_number(f, e->interval, e->low, "%.6f");
    csv_number(f, e->interval, e->high, "%.6f");
}

void heads_report_csv(FILE *f, const limber_heads_result *r)
{
    static const char *const estimates[] = {"r_limb",     "r_near",       "partial",  "r_moved",     "r_swapped",
                                            "over_moved", "over_swapped", "side",     "head_r_near", "head_distance",
                                            "head_reach", "head_entropy", "head_self"};
    fputs("layer,head,kind,class,specialist,sided,images,people,mass,share,lift,lift_from_others,p_moved,p_swapped,p,q", f);
    for (size_t i = 0; i < sizeof estimates / sizeof *estimates; i++)
        fprintf(f, ",%s,%s_low,%s_high", estimates[i], estimates[i], estimates[i]);
    fputc('\n', f);
    for (int i = 0; i < r->head_count; i++)
        for (int c = 0; c < r->class_count; c++) {
            const limber_heads_head *h = &r->heads[i];
            const limber_heads_class *k = &h->classes[c];
            bool known = k->r_limb.images > 0;
            fprintf(f, "%d,%d,%s,", h->layer, h->head, limber_heads_kind_name(h->kind));
            csv_text(f, r->class_name[c]);
            fprintf(f, ",%d,%d,%d,%d", k->specialist, k->sided, k->r_limb.images, r->class_people[c]);
            csv_number(f, known, k->mass, "%.6f");
            csv_number(f, known, k->share, "%.6f");
            csv_number(f, known, k->lift, "%.6f");
            csv_number(f, k->lift_from_others > 0, k->lift_from_others, "%.6f");
            csv_number(f, k->tested, k->p_moved, "%.4g");
            csv_number(f, k->tested && k->over_swapped.images > 1, k->p_swapped, "%.4g");
            csv_number(f, k->tested, k->p, "%.4g");
            csv_number(f, k->tested, k->q, "%.4g");
            const limber_heads_estimate *const all[] = {&k->r_limb,     &k->r_near,       &k->partial, &k->r_moved, &k->r_swapped,
                                                        &k->over_moved, &k->over_swapped, &k->side,    &h->r_near,  &h->distance,
                                                        &h->reach,      &h->entropy,      &h->self};
            for (size_t q = 0; q < sizeof all / sizeof *all; q++)
                csv_estimate(f, all[q]);
            fputc('\n', f);
        }
}
