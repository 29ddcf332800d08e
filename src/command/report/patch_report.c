/* SPDX-License-Identifier: MIT */
/* command/report/patch_report.c - effects of patched heads as JSON and CSV, and what `limber heads` said of them.
 *
 * patch.json is one object. "changes" has a member a kind of change (denoise, noise, ...): the gaps by limb and measure, then a row a
 * head and limb, and a row a set and limb; an estimate is {"mean", "low", "high", "images"}, null for what is not known. patch.csv has a
 * line a change, head (or set, at the end, whose layer and head are empty), limb and measure, with empty cells for what is not known. */
#define _GNU_SOURCE
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/file.h"
#include "base/fingerprint.h"
#include "base/json_read.h"
#include "command/output.h"
#include "command/report/patch_report.h"

const char *const patch_read_names[PATCH_READS] = {"r_limb", "r_over_chance", "lift"};
const char *const patch_cause_names[PATCH_CAUSES] = {"effect", "magnitude", "specific"};

#define DRAWS 1000
#define MAX_PAGE_BYTES ((size_t)64 << 20)

/* ---- heads.json ---- */

static double mean_of(const json_t *class, const char *key)
{
    const json_t *v = json_object_get(class, key);
    v = json_is_object(v) ? json_object_get(v, "mean") : v;
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static void read_limb(struct patch_reading *r, const json_t *class, size_t at)
{
    const double moved = mean_of(class, "over_moved"), swapped = mean_of(class, "over_swapped");
    r->value[READ_R_LIMB][at] = mean_of(class, "r_limb");
    r->value[READ_GAIN][at] = isnan(moved)     ? r->value[READ_R_LIMB][at] /* as heads_report_gain has it */
                              : isnan(swapped) ? moved
                                               : fmin(moved, swapped);
    r->value[READ_LIFT][at] = mean_of(class, "lift");
    r->specialist[at] = json_is_true(json_object_get(class, "specialist"));
}

static limber_status read_heads(struct patch_reading *r, const json_t *root, const char *path, limber_error *err)
{
    const json_t *list = json_object_get(root, "heads");
    const size_t n = (size_t)r->layers * (size_t)r->heads;
    size_t i;
    const json_t *head;
    json_array_foreach(list, i, head)
    {
        const json_t *layer = json_object_get(head, "layer"), *number = json_object_get(head, "head");
        const json_t *classes = json_object_get(head, "classes"), *kind = json_object_get(head, "kind");
        const json_int_t l = json_integer_value(layer), h = json_integer_value(number);
        if (!json_is_integer(layer) || !json_is_integer(number) || l < 0 || l >= r->layers || h < 0 || h >= r->heads)
            return limber_fail(err, LIMBER_E_FORMAT, "%s: head %zu is not one of this model's %d layers of %d: of another model?",
                               path, i, r->layers, r->heads);
        const size_t at = (size_t)l * (size_t)r->heads + (size_t)h;
        snprintf(r->kind[at], sizeof *r->kind, "%s", json_is_string(kind) ? json_string_value(kind) : "");
        for (size_t c = 0; c < LIMBS; c++)
            read_limb(r, json_object_get(classes, heads_limb_names[c]), c * n + at);
    }
    return json_array_size(list)
               ? LIMBER_OK
               : limber_fail(err, LIMBER_E_FORMAT, "%s: no \"heads\": not a heads.json of `limber heads`?", path);
}

/* heads.html, which lies beside it where a run of `limber heads` was whole. */
static char *page_beside(const char *path)
{
    uint8_t *text = NULL;
    size_t size = 0;
    limber_error ignored_error;
    const size_t n = strlen(path), stem = n > 5 && !strcmp(path + n - 5, ".json") ? n - 5 : n;
    char *name = malloc(n + 6), *out = NULL;
    if (name) {
        memcpy(name, path, stem);
        memcpy(name + stem, ".html", 6);
        if (!file_read(&text, &size, name, MAX_PAGE_BYTES, &ignored_error) && (out = malloc(size + 1))) {
            memcpy(out, text, size);
            out[size] = 0;
        }
    }
    free(text);
    free(name);
    return out;
}

static limber_status read_json(struct patch_reading *out, const char *path, uint64_t content, limber_error *err)
{
    uint8_t *text = NULL;
    size_t size = 0;
    json_t *root = NULL;
    char want[24];
    limber_status st = file_read(&text, &size, path, json_limits_annotations.bytes, err);
    if (!st)
        st = json_parse(&root, (const char *)text, size, &json_limits_annotations, err);
    if (st)
        limber_error_prefix(err, "%s", path);
    const char *made = json_string_value(json_object_get(root, "model_content"));
    snprintf(want, sizeof want, "%016" PRIx64, content);
    if (!st && made && strcmp(made, want))
        st = limber_fail(err, LIMBER_E_FORMAT, "%s: made with another model (its files' fingerprint is %.16s, this one's %s)",
                         path, made, want);
    if (!st)
        st = read_heads(out, root, path, err);
    if (!st) {
        out->images = json_integer_value(json_object_get(root, "images_used"));
        out->people = json_integer_value(json_object_get(root, "people_used"));
        out->json = fingerprint(FINGERPRINT_BEGIN, text, size);
        out->page = page_beside(path);
    }
    json_decref(root);
    free(text);
    return st;
}

limber_status patch_reading_open(struct patch_reading *out, const char *path, int layers, int heads, uint64_t content,
                                 limber_error *err)
{
    const size_t n = (size_t)layers * (size_t)heads;
    *out = (struct patch_reading){.there = true, .layers = layers, .heads = heads};
    bool fine = true;
    for (int i = 0; i < PATCH_READS; i++) {
        fine = (out->value[i] = malloc(LIMBS * n * sizeof **out->value)) != NULL && fine;
        for (size_t k = 0; fine && k < LIMBS * n; k++)
            out->value[i][k] = NAN;
    }
    fine = (out->specialist = calloc(LIMBS * n, sizeof *out->specialist)) != NULL && fine;
    fine = (out->kind = calloc(n, sizeof *out->kind)) != NULL && fine;
    struct stat folder;
    char *inside = !stat(path, &folder) && S_ISDIR(folder.st_mode) ? output_path(path, "heads.json") : strdup(path);
    limber_status st =
        fine && inside ? read_json(out, inside, content, err) : limber_fail(err, LIMBER_E_MEMORY, "no memory for %zu heads", n);
    free(inside);
    if (st)
        patch_reading_close(out);
    return st;
}

void patch_reading_close(struct patch_reading *r)
{
    for (int i = 0; i < PATCH_READS; i++)
        free(r->value[i]);
    free(r->specialist);
    free(r->page);
    free(r->kind);
    *r = (struct patch_reading){0};
}

/* ---- reading and causing ---- */

/* Only layers that were patched, and read, take part: `rows` of them. */
struct chosen_layers {
    int layer[1024], count;
};

static struct chosen_layers layers_of(const struct patch_reading *r, const struct patch_about *about)
{
    struct chosen_layers out = {.count = 0};
    for (int l = 0; l < r->layers && out.count < 1024; l++)
        if (!about->chosen || about->chosen[l * r->heads])
            out.layer[out.count++] = l;
    return out;
}

static double cause_of(const struct effect *f, enum patch_cause cause)
{
    if (!f->known || (cause == CAUSE_SPECIFIC && !f->specific_known))
        return NAN;
    return cause == CAUSE_SPECIFIC ? f->specific.mean : cause == CAUSE_MAGNITUDE ? fabs(f->raw.mean) : f->raw.mean;
}

limber_status patch_reading_compare(struct patch_reading *r, const struct effects_result *e, const struct patch_about *about,
                                    limber_error *err)
{
    const struct chosen_layers in = layers_of(r, about);
    const int n = in.count * r->heads, all = r->layers * r->heads;
    double *x = malloc((size_t)(LIMBS * n + 1) * sizeof *x), *y = malloc((size_t)(LIMBS * n + 1) * sizeof *y);
    bool *chosen = malloc((size_t)(LIMBS * n + 1) * sizeof *chosen), fine = x && y && chosen;
    for (int b = 0; fine && b < EFFECT_BYS; b++)
        for (int m = 0; (e->by >> b & 1) && m < EFFECT_METRICS; m++) {
            bool use[LIMBS];
            for (int cause = 0; cause < PATCH_CAUSES; cause++)
                for (int read = 0; fine && read < PATCH_READS; read++) {
                    for (int c = 0; c < LIMBS; c++) {
                        use[c] = true;
                        for (int i = 0; i < n; i++) {
                            const int head = in.layer[i / r->heads] * r->heads + i % r->heads;
                            x[c * n + i] = r->value[read][c * all + head];
                            y[c * n + i] = cause_of(effects_at(e, (enum effect_by)b, head, c, (enum effect_metric)m),
                                                    (enum patch_cause)cause);
                            use[c] = use[c] && isfinite(x[c * n + i]) && isfinite(y[c * n + i]);
                        }
                    }
                    fine = effects_rank(&r->rank[b][m][read][cause], x, y, use, in.count, r->heads, about->permutations,
                                        about->seed);
                }
            const bool gaps = b <= BY_NOISE || b == BY_SWAP;
            for (int c = 0; c < LIMBS; c++) {
                use[c] = !gaps || e->gap_known[b][c][m];
                for (int i = 0; i < n; i++) {
                    const int head = in.layer[i / r->heads] * r->heads + i % r->heads;
                    const struct effect *f = effects_at(e, (enum effect_by)b, head, c, (enum effect_metric)m);
                    y[c * n + i] = f->shared && gaps ? f->share.mean : f->raw.mean;
                    chosen[c * n + i] = r->specialist[c * all + head];
                    use[c] = use[c] && f->known;
                }
            }
            fine = fine && effects_draw(&r->draw[b][m], chosen, y, use, in.count, r->heads, DRAWS, about->seed);
        }
    free(x);
    free(y);
    free(chosen);
    return fine ? LIMBER_OK : limber_fail(err, LIMBER_E_MEMORY, "patch: no memory to compare %d heads", n);
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

static void put_estimate(struct json_text *t, const char *key, bool known, const limber_heads_estimate *e)
{
    put_key(t, key), put_open(t, '{');
    put_maybe(t, "mean", known && e->images > 0, e->mean, 6);
    put_maybe(t, "low", known && e->interval, e->low, 6);
    put_maybe(t, "high", known && e->interval, e->high, 6);
    put_key(t, "images"), put_integer(t, known ? e->images : 0);
    put_close(t, '}');
}

/* p values are small: digits of their own instead of fixed decimals. */
static void put_small(struct json_text *t, const char *key, bool known, double value)
{
    char text[32];
    put_key(t, key);
    int n = snprintf(text, sizeof text, known && isfinite(value) ? "%.4g" : "null", value);
    put_raw(t, text, (size_t)n);
}

static void put_effect(struct json_text *t, const struct effects_result *r, enum effect_by b, int head, int c, int m)
{
    const struct effect *f = effects_at(r, b, head, c, (enum effect_metric)m);
    const bool direct = f->known && f->direct.images > 0;
    put_key(t, effect_metric_names[m]), put_open(t, '{');
    put_estimate(t, "effect", f->shared, &f->share);
    put_estimate(t, "raw", f->known, &f->raw);
    put_estimate(t, "direct", direct, &f->direct);
    put_estimate(t, "mediated", direct, &f->mediated);
    put_estimate(t, "direct_effect", f->shared && direct, &f->direct_share);
    put_estimate(t, "specific", f->specific_known, &f->specific);
    if (b == BY_NOISE)
        put_maybe(t, "control_raw", f->known && (r->by >> BY_MOVED & 1), f->control, 6);
    put_small(t, "p", f->tested, f->p);
    put_small(t, "q", f->tested, f->q);
    put_close(t, '}');
}

/* The members of a head or a set. */
static void put_limbs(struct json_text *t, const struct effects_result *r, enum effect_by b, int row)
{
    put_key(t, "limbs"), put_open(t, '{');
    for (int c = 0; c < LIMBS; c++) {
        put_key(t, heads_limb_names[c]), put_open(t, '{');
        for (int m = 0; m < EFFECT_METRICS; m++)
            put_effect(t, r, b, row, c, m);
        put_close(t, '}');
    }
    put_close(t, '}');
    if (b > BY_MOVED)
        return;
    put_key(t, "cross_raw"), put_open(t, '{'); /* rows: the limb corrupted; columns: the limb measured */
    for (int m = 0; m < EFFECT_METRICS; m++) {
        put_key(t, effect_metric_names[m]), put_open(t, '[');
        for (int c = 0; c < LIMBS; c++) {
            put_open(t, '[');
            for (int d = 0; d < LIMBS; d++)
                put_number(t, effects_cross(r, b, row, c, d, (enum effect_metric)m), 6);
            put_close(t, ']');
        }
        put_close(t, ']');
    }
    put_close(t, '}');
}

double patch_set_sum(const struct effects_result *r, enum effect_by b, int row, int limb, enum effect_metric m,
                     const struct patch_about *about)
{
    const uint8_t *set = about->sets->heads + (size_t)(row - r->head_count) * (size_t)r->head_count;
    double sum = 0;
    for (int h = 0; h < r->head_count; h++)
        if (set[h]) {
            const struct effect *e = effects_at(r, b, h, limb, m);
            sum += e->known ? e->raw.mean : NAN;
        }
    return sum;
}

static void put_sum(struct json_text *t, const struct effects_result *r, enum effect_by b, int row,
                    const struct patch_about *about)
{
    put_key(t, "sum_of_heads_raw"), put_open(t, '{');
    for (int c = 0; c < LIMBS; c++) {
        put_key(t, heads_limb_names[c]), put_open(t, '{');
        for (int m = 0; m < EFFECT_METRICS; m++)
            put_key(t, effect_metric_names[m]), put_number(t, patch_set_sum(r, b, row, c, (enum effect_metric)m, about), 6);
        put_close(t, '}');
    }
    put_close(t, '}');
}

static void put_change(struct json_text *t, const struct effects_result *r, enum effect_by b, const struct patch_about *about)
{
    put_key(t, effect_by_names[b]), put_open(t, '{');
    put_key(t, "people"), put_open(t, '{');
    for (int c = 0; c < LIMBS; c++)
        put_key(t, heads_limb_names[c]), put_integer(t, r->people[b][c]);
    put_close(t, '}');
    put_key(t, "gap"), put_open(t, '{');
    for (int c = 0; c < LIMBS; c++) {
        put_key(t, heads_limb_names[c]), put_open(t, '{');
        for (int m = 0; m < EFFECT_METRICS; m++)
            put_estimate(t, effect_metric_names[m], b < BY_ZERO && r->gap[b][c][m].images > 0, &r->gap[b][c][m]);
        put_close(t, '}');
    }
    put_close(t, '}');
    put_key(t, "heads"), put_open(t, '[');
    t->pretty = false; /* thousands of rows */
    for (int h = 0; h < r->head_count; h++) {
        if (about->chosen && !about->chosen[h])
            continue;
        put_open(t, '{');
        put_key(t, "layer"), put_integer(t, h / r->heads);
        put_key(t, "head"), put_integer(t, h % r->heads);
        put_limbs(t, r, b, h);
        put_close(t, '}');
    }
    put_close(t, ']');
    put_key(t, "sets"), put_open(t, '[');
    for (int s = r->head_count; s < r->rows; s++) {
        put_open(t, '{');
        put_key(t, "name"), put_string(t, about->sets->name[s - r->head_count]);
        put_limbs(t, r, b, s);
        put_sum(t, r, b, s, about);
        put_close(t, '}');
    }
    t->pretty = true;
    put_close(t, ']');
    put_close(t, '}');
}

static void put_rank(struct json_text *t, const char *key, const struct effect_rank *k)
{
    put_key(t, key), put_open(t, '{');
    put_maybe(t, "rho", k->limbs > 0, k->mean, 4);
    put_maybe(t, "null_mean", k->limbs > 0, k->null_mean, 4);
    put_maybe(t, "null_sd", k->limbs > 0, k->null_sd, 4);
    put_small(t, "p", k->limbs > 0, k->p);
    put_key(t, "by_limb"), put_open(t, '{');
    for (int c = 0; c < LIMBS; c++)
        put_key(t, heads_limb_names[c]), put_number(t, k->limbs ? k->rho[c] : NAN, 4);
    put_close(t, '}');
    put_close(t, '}');
}

static void put_reading(struct json_text *t, const struct effects_result *r, const struct patch_reading *x)
{
    put_key(t, "reading"), put_open(t, '{');
    put_key(t, "images"), put_integer(t, x->images);
    put_key(t, "people"), put_integer(t, x->people);
    put_key(t, "spearman"), put_open(t, '{');
    for (int b = 0; b < EFFECT_BYS; b++) {
        if (!(r->by >> b & 1))
            continue;
        put_key(t, effect_by_names[b]), put_open(t, '{');
        for (int m = 0; m < EFFECT_METRICS; m++) {
            put_key(t, effect_metric_names[m]), put_open(t, '{');
            for (int read = 0; read < PATCH_READS; read++) {
                put_key(t, patch_read_names[read]), put_open(t, '{');
                for (int cause = 0; cause < PATCH_CAUSES; cause++)
                    put_rank(t, patch_cause_names[cause], &x->rank[b][m][read][cause]);
                put_close(t, '}');
            }
            const struct effect_draw *d = &x->draw[b][m];
            put_key(t, "specialists"), put_open(t, '{');
            put_key(t, "pairs"), put_integer(t, d->pairs);
            put_maybe(t, "mean", d->pairs > 0, d->mean, 6);
            put_maybe(t, "null_mean", d->pairs > 0, d->null_mean, 6);
            put_maybe(t, "null_sd", d->pairs > 0, d->null_sd, 6);
            put_small(t, "p", d->pairs > 0, d->p);
            put_small(t, "p_below", d->pairs > 0, d->p_below);
            put_close(t, '}');
            put_close(t, '}');
        }
        put_close(t, '}');
    }
    put_close(t, '}');
    put_close(t, '}');
}

/* Entropy of each head over people, and whether it goes with the loss when the head says its mean. */
static void put_focus(struct json_text *t, const struct effects_result *r, const struct patch_about *about)
{
    put_key(t, "focus"), put_open(t, '{');
    put_key(t, "people"), put_integer(t, about->focus_people);
    put_key(t, "focused_below"), put_number(t, FOCUSED, 3);
    put_key(t, "exploring_above"), put_number(t, EXPLORING, 3);
    put_key(t, "heads"), put_open(t, '[');
    t->pretty = false;
    for (int h = 0; h < r->head_count; h++) {
        const struct focus_head *k = &about->focus[h];
        if (about->chosen && !about->chosen[h])
            continue;
        put_open(t, '{');
        put_key(t, "layer"), put_integer(t, h / r->heads);
        put_key(t, "head"), put_integer(t, h % r->heads);
        put_key(t, "entropy"), put_number(t, k->mean, 5);
        put_key(t, "sd"), put_number(t, k->sd, 5);
        put_key(t, "focused"), put_number(t, k->focused, 4);
        put_key(t, "exploring"), put_number(t, k->exploring, 4);
        for (int m = 0; m < EFFECT_METRICS; m++) {
            put_key(t, effect_metric_names[m]), put_open(t, '{');
            put_maybe(t, "rho", k->tested[m], k->rho[m], 4);
            put_small(t, "p", k->tested[m], k->p[m]);
            put_small(t, "q", k->tested[m], k->q[m]);
            put_close(t, '}');
        }
        put_close(t, '}');
    }
    t->pretty = true;
    put_close(t, ']');
    put_close(t, '}');
}

static void put_heads(struct json_text *t, const struct effects_result *r, const uint8_t *set)
{
    put_open(t, '[');
    for (int h = 0; h < r->head_count; h++)
        if (set[h]) {
            char name[32];
            snprintf(name, sizeof name, "%d.%d", h / r->heads, h % r->heads);
            put_string(t, name);
        }
    put_close(t, ']');
}

void patch_report_json(struct json_text *t, const struct effects_result *r, const struct patch_reading *reading,
                       const struct patch_about *about)
{
    char content[24];
    t->pretty = true;
    put_open(t, '{');
    put_key(t, "limber"), put_string(t, limber_version());
    put_key(t, "complete"), put_bool(t, about->complete);
    put_key(t, "model"), put_string(t, about->model);
    put_key(t, "architecture"), put_string(t, about->architecture);
    put_key(t, "backend"), put_string(t, about->backend);
    put_key(t, "precision"), put_string(t, about->precision);
    snprintf(content, sizeof content, "%016" PRIx64, about->content);
    put_key(t, "model_content"), put_string(t, content);
    put_key(t, "annotations"), put_string(t, about->annotations);
    put_key(t, "heads_json"), put_string(t, about->reading);
    put_key(t, "seed"), put_integer(t, (long long)about->seed);
    put_key(t, "bootstrap"), put_integer(t, about->bootstrap);
    put_key(t, "permutations"), put_integer(t, about->permutations);
    put_key(t, "people_a_limb"), put_integer(t, about->people);
    put_key(t, "calibrated_on"), put_integer(t, about->calibrated);
    put_key(t, "images"), put_integer(t, about->images);
    put_key(t, "images_used"), put_integer(t, r->images);
    put_key(t, "people"), put_integer(t, about->persons);
    put_key(t, "failed"), put_integer(t, about->failed);
    put_key(t, "layers"), put_integer(t, r->layers);
    put_key(t, "heads"), put_integer(t, r->heads);
    put_key(t, "limbs"), put_open(t, '[');
    for (int c = 0; c < LIMBS; c++)
        put_string(t, heads_limb_names[c]);
    put_close(t, ']');
    put_key(t, "path"), about->path ? put_heads(t, r, about->path) : put_string(t, NULL);
    put_key(t, "sets"), put_open(t, '{');
    for (int s = 0; s < about->sets->count; s++)
        put_key(t, about->sets->name[s]), put_heads(t, r, about->sets->heads + (size_t)s * (size_t)r->head_count);
    put_close(t, '}');
    if (reading && reading->there)
        put_reading(t, r, reading);
    if (about->focus)
        put_focus(t, r, about);
    put_key(t, "changes"), put_open(t, '{');
    for (int b = 0; b < EFFECT_BYS; b++)
        if (r->by >> b & 1)
            put_change(t, r, (enum effect_by)b, about);
    put_close(t, '}');
    put_close(t, '}');
    put_newline(t);
}

/* ---- CSV ---- */

static void csv_number(FILE *f, bool known, double v, const char *format)
{
    fputc(',', f);
    if (known && isfinite(v)) {
        char text[40];
        snprintf(text, sizeof text, format, v);
        fputs(strcmp(text, "-0.000000") ? text : "0.000000", f);
    }
}

static void csv_estimate(FILE *f, bool known, const limber_heads_estimate *e)
{
    csv_number(f, known && e->images > 0, e->mean, "%.6f");
    csv_number(f, known && e->interval, e->low, "%.6f");
    csv_number(f, known && e->interval, e->high, "%.6f");
}

/* Quoted, as RFC 4180 has it, where it must be. */
static void csv_text(FILE *f, const char *text)
{
    if (!strpbrk(text, ",\"\n\r")) {
        fputs(text, f);
        return;
    }
    fputc('"', f);
    for (; *text; text++)
        fputs((char[]){*text, *text == '"' ? '"' : 0, 0}, f);
    fputc('"', f);
}

void patch_report_csv(FILE *f, const struct effects_result *r, const struct patch_about *about)
{
    static const char *const estimates[] = {"effect", "raw", "direct", "mediated", "direct_effect", "specific", "gap"};
    fputs("change,layer,head,limb,measure,images,people", f);
    for (size_t i = 0; i < sizeof estimates / sizeof *estimates; i++)
        fprintf(f, ",%s,%s_low,%s_high", estimates[i], estimates[i], estimates[i]);
    fputs(about->sets->count ? ",control_raw,p,q,set\n" : ",control_raw,p,q\n", f);
    for (int b = 0; b < EFFECT_BYS; b++)
        for (int h = 0; (r->by >> b & 1) && h < r->rows; h++)
            for (int c = 0; c < LIMBS && (h >= r->head_count || !about->chosen || about->chosen[h]); c++)
                for (int m = 0; m < EFFECT_METRICS; m++) {
                    const struct effect *e = effects_at(r, (enum effect_by)b, h, c, (enum effect_metric)m);
                    const bool direct = e->known && e->direct.images > 0;
                    char head[32] = ",";
                    if (h < r->head_count)
                        snprintf(head, sizeof head, "%d,%d", h / r->heads, h % r->heads);
                    fprintf(f, "%s,%s,%s,%s,%d,%lld", effect_by_names[b], head, heads_limb_names[c], effect_metric_names[m],
                            e->raw.images, (long long)r->people[b][c]);
                    csv_estimate(f, e->shared, &e->share);
                    csv_estimate(f, e->known, &e->raw);
                    csv_estimate(f, direct, &e->direct);
                    csv_estimate(f, direct, &e->mediated);
                    csv_estimate(f, direct && e->shared, &e->direct_share);
                    csv_estimate(f, e->specific_known, &e->specific);
                    csv_estimate(f, b < BY_ZERO && e->known, &r->gap[b][c][m]);
                    csv_number(f, b == BY_NOISE && e->known && (r->by >> BY_MOVED & 1), e->control, "%.6f");
                    csv_number(f, e->tested, e->p, "%.4g");
                    csv_number(f, e->tested, e->q, "%.4g");
                    if (about->sets->count) {
                        fputc(',', f);
                        csv_text(f, h < r->head_count ? "" : about->sets->name[h - r->head_count]);
                    }
                    fputc('\n', f);
                }
}
