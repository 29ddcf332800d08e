/* SPDX-License-Identifier: MIT */
/* command/report/heads_report.h - the result of limber_heads_summarise as JSON, CSV and a page. */
#ifndef LIMBER_HEADS_REPORT_H
#define LIMBER_HEADS_REPORT_H

#include <stdio.h>

#include "heads/heads.h"
#include "base/json_write.h"

/* What the numbers were made from, for the reader. */
struct heads_about {
    const char *model, *architecture, *backend, *precision;
    const char *labels; /* "the model's own joints", "annotations persons.json" */
    int64_t failed;     /* images that could not be used */
    uint64_t content;   /* fingerprint of the model's files */
    uint64_t json;      /* of the text of heads.json; for the page */
    bool complete;      /* false: stopped by a signal */
};

/* A photograph with one row of attention on it. */
struct heads_picture {
    int head, class;  /* of result->heads, of its classes */
    bool lot;         /* drawn by lot, else the strongest of all */
    const char *name; /* of the image */
    int image_h, image_w, patch_h, patch_w;
    struct heads_view view;
};

void heads_report_json(struct json_text *t, const limber_heads_result *r, const struct heads_about *about);
/* The short form, an object: counts of kinds, and the specialists. */
void heads_report_short(struct json_text *t, const limber_heads_result *r);
void heads_report_csv(FILE *f, const limber_heads_result *r);
void heads_report_page(FILE *f, const limber_heads_result *r, const struct heads_about *about,
                       const struct heads_picture *pictures, int picture_count);

/* A head and a class, ranked. */
struct heads_rank {
    int head, class;
    double gain; /* r_limb above the stricter null */
};
/* The strongest pairs: specialists by gain; where `fill`, then the others by gain. Returns how many, at most `max`. */
int heads_report_rank(struct heads_rank *out, int max, const limber_heads_result *r, bool fill);
/* The pairs a page shows in pictures: the best specialist pair of each class, then by rank; without specialists the three that
 * come nearest. Pairs with a person to show, at most one head twice. Returns how many. */
#define HEADS_FEATURED 8
int heads_report_feature(struct heads_rank out[HEADS_FEATURED], const limber_heads_result *r);
/* The first criterion of a specialist that this pair misses, in words; NULL: it is one. text: for the numbers in it. */
const char *heads_report_misses(char text[160], const limber_heads_result *r, const limber_heads_head *h, int class);
double heads_report_gain(const limber_heads_class *k);
/* "left arm" of "left_arm" */
void heads_report_class_name(char out[48], const limber_heads_result *r, int class);

#endif
