/* SPDX-License-Identifier: MIT */
/* command/report/patch_report.h - the effects of patched heads as JSON, CSV and a page, beside what `limber heads` read. */
#ifndef LIMBER_PATCH_REPORT_H
#define LIMBER_PATCH_REPORT_H

#include <stdio.h>

#include "base/json_write.h"
#include "heads/effects.h"
#include "heads/experiment.h"
#include "heads/focus.h"
#include "command/report/patch_sets.h"

/* What the numbers were made from, for the reader. */
struct patch_about {
    const char *model, *architecture, *backend, *precision, *annotations;
    const char *reading; /* the heads.json; NULL: none */
    uint64_t seed;
    int bootstrap, people, calibrated, permutations; /* people: at most so many a limb; 0: all */
    int64_t images, failed, persons;
    uint64_t content;               /* fingerprint of the model's files */
    bool complete;                  /* false: stopped by a signal */
    const struct focus_head *focus; /* [layers * heads], of focus_people people; NULL: not known */
    int focus_people;
    const uint8_t *chosen; /* [layers * heads]: patched; NULL: all */
    const struct patch_sets *sets;
    const uint8_t *path; /* [layers * heads]: what is patched sees these heads' direct change alone; NULL: no path */
    const char *path_text;
};

/* Does what a head reads predict what it causes? Numbers of heads.json, [limb][layer * heads + head]. */
enum patch_read { READ_R_LIMB, READ_GAIN, READ_LIFT, PATCH_READS };
extern const char *const patch_read_names[PATCH_READS]; /* "r_limb", "r_over_chance", "lift" */
enum patch_cause { CAUSE_EFFECT, CAUSE_MAGNITUDE, CAUSE_SPECIFIC, PATCH_CAUSES };
extern const char *const patch_cause_names[PATCH_CAUSES]; /* "effect", "magnitude", "specific" */
struct patch_reading {
    bool there;
    int layers, heads;
    double *value[PATCH_READS]; /* [LIMBS][layers * heads]; NaN: not known */
    bool *specialist;           /* likewise */
    char (*kind)[16];           /* [layers * heads] */
    int64_t images, people;
    char *page;    /* heads.html, where it lies beside heads.json; NULL: it does not */
    uint64_t json; /* fingerprint of heads.json */
    struct effect_rank rank[EFFECT_BYS][EFFECT_METRICS][PATCH_READS][PATCH_CAUSES];
    struct effect_draw draw[EFFECT_BYS][EFFECT_METRICS]; /* specialists' share of the gap (without a gap: raw) */
};
/* heads.json of `limber heads`, or the folder it lies in: over the same layers and heads, and, where it says so, of the same model. */
limber_status patch_reading_open(struct patch_reading *out, const char *path, int layers, int heads, uint64_t content,
                                 limber_error *err);
void patch_reading_close(struct patch_reading *r);
limber_status patch_reading_compare(struct patch_reading *r, const struct effects_result *effects,
                                    const struct patch_about *about, limber_error *err);

/* What a set's heads cause alone, added up: what the set causes beyond it is theirs together. NaN: one of them was not patched. row: of
 * the set, from head_count on. */
double patch_set_sum(const struct effects_result *r, enum effect_by b, int row, int limb, enum effect_metric m,
                     const struct patch_about *about);

void patch_report_json(struct json_text *t, const struct effects_result *r, const struct patch_reading *reading,
                       const struct patch_about *about);
void patch_report_csv(FILE *f, const struct effects_result *r, const struct patch_about *about);

/* One person, three runs. */
struct patch_picture {
    int limb, head;
    const char *name; /* of the image */
    int image_h, image_w, map_h, map_w;
    struct experiment_view view;
};
#define PATCH_PICTURES 3
void patch_report_page(FILE *f, const struct effects_result *r, const struct patch_reading *reading,
                       const struct patch_about *about, enum effect_metric metric, const struct patch_picture *pictures,
                       int picture_count);

#endif
