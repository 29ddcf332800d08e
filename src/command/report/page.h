/* SPDX-License-Identifier: MIT */
/* command/report/page.h - parts of the pages of `limber heads` and `limber patch`. Everything that is drawn is SVG or CSS with colours from
 * variables; photographs are JPEGs in data URIs. Names of files and classes come from strangers and are escaped. */
#ifndef LIMBER_PAGE_H
#define LIMBER_PAGE_H

#include <stdint.h>
#include <stdbool.h>
#include <stdio.h>

#include "limber_heads.h"

void page_open(FILE *f, const char *title); /* to <main>; classes fN, sN, bN fill, stroke and back in the colour of class N */
void page_close(FILE *f);

void page_text(FILE *f, const char *s);                      /* escaped */
void page_number(FILE *f, double v);                         /* two decimals, with a minus that is one */
void page_estimate(FILE *f, const limber_heads_estimate *e); /* and its interval, or "not known" */
void page_probability(FILE *f, double p);
void page_p_and_q(FILE *f, bool tested, double p, double q);  /* two cells of a table, empty where nothing was tested */
void page_fact(FILE *f, const char *what, const char *value); /* one of class=facts */
void page_photograph(FILE *f, const uint8_t *rgb, int width, int height); /* dimmed, of a <svg> with that viewBox */
const char *page_plural(long long n);                                     /* "s", or "" for one */

/* Parts of the page of `limber heads`, so that the page of `limber patch` can hold them: what is between two such lines. `made_with` is the
 * fingerprint of the JSON of the same report. */
void page_part(FILE *f, const char *name, uint64_t made_with);
/* The part of a page's text; NULL where it is not there, or of another report. */
const char *page_find_part(const char *page, const char *name, uint64_t made_with, size_t *size);

#endif
