/* SPDX-License-Identifier: MIT */
/* pose/assign.h - the best pairing of two lists: people with tracks, tracks with truth. */
#ifndef LIMBER_ASSIGN_H
#define LIMBER_ASSIGN_H

#include "limber.h"

/* Pairs rows with columns, each at most once, so that the sum of gains is the largest (the assignment problem; shortest augmenting
 * paths with potentials, Jonker and Volgenant 1987; O(min^2 max)). gain: [rows][columns], finite; a pair that gains nothing
 * (<= 0) is no pair. match: [rows], the column or -1. LIMBER_E_MEMORY is the only error. */
limber_status assign_best(const double *gain, int rows, int columns, int *match, limber_error *err);

#endif
