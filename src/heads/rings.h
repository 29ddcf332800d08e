/* SPDX-License-Identifier: MIT */
/* heads/rings.h - attention by distance: how much of it goes to which ring around the asking patch, and to which neighbour first.
 *
 * Rows are made by definition from the queries and keys of a layer, at most RINGS_QUERIES of a head and person, evenly spread: memory is linear in
 * the tokens. The own patch is left out, as limber_heads.h has it. */
#ifndef LIMBER_RINGS_H
#define LIMBER_RINGS_H

#include "heads/stats.h"
#include "pose/pipeline.h"

#define RINGS_QUERIES 64

struct rings {
    const struct heads_grid *grid;
    size_t heads; /* of all layers looked at */
    size_t offsets;
    struct rings_sums {
        double *mass;     /* [heads][LIMBER_HEADS_RINGS] */
        uint32_t *offset; /* [heads][offsets]: rows whose strongest key lies there */
        double flat[LIMBER_HEADS_RINGS];
        int64_t rows;
    } all, image; /* image: not yet counted */
    double *row;
};
limber_status rings_open(struct rings *r, const struct heads_grid *grid, size_t heads, limber_error *err);
void rings_close(struct rings *r);
/* One person's crop, one pass; layers: [layer_count]. */
limber_status rings_person(struct rings *r, limber_session *session, const uint8_t *crop, const int *layers, int layer_count,
                           limber_error *err);
void rings_image(struct rings *r);
void rings_forget(struct rings *r);
void rings_summarise(const struct rings *r, limber_heads_head *heads); /* [heads]; entropy and reach are known */
/* The ring a distance lies in. */
int rings_of(double distance);

#endif
