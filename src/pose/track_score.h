/* SPDX-License-Identifier: MIT */
/* pose/track_score.h - how good tracks are: HOTA and IDF1, by TrackEval's definitions (Luiten et al., "HOTA: A Higher Order Metric for
 * Evaluating Multi-Object Tracking", IJCV 2021; Ristani et al., "Performance Measures and a Data Set for Multi-Target, Multi-Camera
 * Tracking", 2016), and id switches by CLEAR MOT's. How alike a truth and an answer are (OKS, overlap of boxes) is the caller's.
 *
 *     track_score_open(&s, ...);
 *     track_score_frame(s, truth ids, n, answer ids, m, alike [n][m], ...)      every frame, in order
 *     track_score_result(s, &result, ...);
 *     track_score_close(&s); */
#ifndef LIMBER_TRACK_SCORE_H
#define LIMBER_TRACK_SCORE_H

#include "limber.h"

#define TRACK_SCORE_ALPHAS 19 /* 0.05, 0.10 ... 0.95 */

struct track_scores {
    double hota, deta, assa; /* means over the alphas */
    double idf1, idp, idr;   /* answers count as the truth where alike is at least 0.5 */
    long long truths, answers, switches;
    double hota_at[TRACK_SCORE_ALPHAS];
};

struct track_score;
limber_status track_score_open(struct track_score **out, limber_error *err);
void track_score_close(struct track_score **s);
/* Ids are any numbers, each at most once a frame; alike: [truths][answers], 0..1. */
limber_status track_score_frame(struct track_score *s, const int *truth, int truths, const int *answer, int answers,
                                const double *alike, limber_error *err);
limber_status track_score_result(const struct track_score *s, struct track_scores *out, limber_error *err);

#endif
