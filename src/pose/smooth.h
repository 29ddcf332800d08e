/* SPDX-License-Identifier: MIT */
/* pose/smooth.h - joints without jitter: the One-Euro filter (Casiez, Roussel, Vogel, "1 Euro Filter: A Simple Speed-based Low-pass
 * Filter for Noisy Input in Interactive Systems", CHI 2012), one a joint and track. A low-pass filter whose cutoff rises with speed:
 * what stands still is held, what moves fast is followed.
 *
 * Three things are not as in the paper. Time is seconds, whatever the rate of frames. Speed is the length of the joint's velocity, in
 * sizes of its person (square root of the box's area) a second: the same settings hold near and far, at 240 and at 2160 lines, in any
 * direction. And the cutoff falls with the joint's score: what the network is unsure of moves slower. */
#ifndef LIMBER_SMOOTH_H
#define LIMBER_SMOOTH_H

#include "limber.h"

struct smooth_options {
    double cutoff;       /* Hz, at rest */
    double slope;        /* Hz for each person's size a second */
    double speed_cutoff; /* Hz, of the velocity itself */
    double sure;         /* score from which on a joint counts fully; below, cutoffs are score / sure of it, at least a tenth */
    double forget;       /* seconds unseen after which a joint starts anew */
};
struct smooth_options smooth_options_default(void); /* chosen as docs/video.md says */

struct smoother;
limber_status smoother_open(struct smoother **out, const struct smooth_options *options, int keypoints, limber_error *err);
void smoother_close(struct smoother **smoother); /* NULL and *NULL are fine */

/* Moves the joints of people that have a track (pose/track.h), and measures their limbs again. People without one stay as they are. */
limber_status smoother_update(struct smoother *smoother, limber_people *people, double time, limber_error *err);

#endif
