/* SPDX-License-Identifier: MIT */
/* pose/assign.c - see pose/assign.h. The shorter list's members are paired one after another, each along the cheapest path that swaps
 * earlier pairs; potentials u, v keep every reduced cost at least 0, so that the path is found as Dijkstra finds it. */
#include "pose/assign.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/error.h"

struct work {
    const double *gain;
    bool turned; /* gain has more rows than columns: they change places */
    int short_count, long_count, columns;
    double *u, *v, *least; /* [short + 1], [long + 1], [long + 1]; 0 stands for "nobody" */
    int *owner, *from;     /* [long + 1]: who has it; the step before it on the path */
    bool *seen;            /* [long + 1] */
};

static double cost(const struct work *w, int s, int l)
{
    const int row = w->turned ? l : s, column = w->turned ? s : l;
    const double gain = w->gain[(size_t)row * (size_t)w->columns + (size_t)column];
    return gain > 0 ? -gain : 0;
}

static void pair(struct work *w, int s)
{
    int at = 0;
    w->owner[0] = s;
    for (int l = 0; l <= w->long_count; l++) {
        w->least[l] = INFINITY;
        w->seen[l] = false;
    }
    do {
        int next = 0;
        double step = INFINITY;
        const int who = w->owner[at];
        w->seen[at] = true;
        for (int l = 1; l <= w->long_count; l++) {
            if (w->seen[l])
                continue;
            const double reduced = cost(w, who - 1, l - 1) - w->u[who] - w->v[l];
            if (reduced < w->least[l]) {
                w->least[l] = reduced;
                w->from[l] = at;
            }
            if (w->least[l] < step) {
                step = w->least[l];
                next = l;
            }
        }
        for (int l = 0; l <= w->long_count; l++) {
            if (w->seen[l]) {
                w->u[w->owner[l]] += step;
                w->v[l] -= step;
            } else {
                w->least[l] -= step;
            }
        }
        at = next;
    } while (w->owner[at]);
    for (; at; at = w->from[at])
        w->owner[at] = w->owner[w->from[at]];
}

limber_status assign_best(const double *gain, int rows, int columns, int *match, limber_error *err)
{
    for (int r = 0; r < rows; r++)
        match[r] = -1;
    if (rows == 0 || columns == 0)
        return LIMBER_OK;
    struct work w = {.gain = gain, .turned = rows > columns, .columns = columns};
    w.short_count = w.turned ? columns : rows;
    w.long_count = w.turned ? rows : columns;
    const size_t longer = (size_t)w.long_count + 1;
    w.u = calloc((size_t)w.short_count + 1, sizeof *w.u);
    w.v = calloc(2 * longer, sizeof *w.v);
    w.owner = calloc(2 * longer, sizeof *w.owner);
    w.seen = calloc(longer, sizeof *w.seen);
    const bool ok = w.u && w.v && w.owner && w.seen;
    if (ok) {
        w.least = w.v + longer;
        w.from = w.owner + longer;
        for (int s = 1; s <= w.short_count; s++)
            pair(&w, s);
        for (int l = 1; l <= w.long_count; l++) {
            if (!w.owner[l] || cost(&w, w.owner[l] - 1, l - 1) >= 0)
                continue;
            if (w.turned)
                match[l - 1] = w.owner[l] - 1;
            else
                match[w.owner[l] - 1] = l - 1;
        }
    }
    free(w.u);
    free(w.v);
    free(w.owner);
    free(w.seen);
    return ok ? LIMBER_OK : limber_fail(err, LIMBER_E_MEMORY, "no memory to pair %d with %d", rows, columns);
}
