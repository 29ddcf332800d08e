/* SPDX-License-Identifier: MIT */
/* pose/detector.h - a detector of either kind, opened: limber's own (maps of a ViTPose network) or a published YOLOS. */
#ifndef LIMBER_DETECTOR_H
#define LIMBER_DETECTOR_H

#include "limber.h"
#include "model/yolos.h"

struct limber_detector {
    struct limber_model *maps; /* limber's own kind; NULL: */
    struct yolos_model *yolos;
};

/* limber_detector_open; person_label: what a YOLOS calls a person, NULL: "person". */
limber_status detector_open(struct limber_detector **out, const char *path, const limber_options *options,
                            const char *person_label, limber_error *err);
/* Where it computes and how exactly: limber_model_backend and limber_model_precision of this. */
const struct limber_model *detector_model(const struct limber_detector *d);
/* The least same_evidence (pose/same.h) of an answer that stands. limber's own kind is early in its training, so the joints must agree
 * that somebody is there; what a YOLOS is sure of stands by itself: 0. */
float detector_evidence(const struct limber_detector *d);

#endif
