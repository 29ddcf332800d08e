/* SPDX-License-Identifier: MIT */
/* pose/track.h - who is who from frame to frame. People get numbers (limber_person.track); nothing but people and times is looked at.
 *
 *     tracks where they should be by now       constant velocity, of the whole body
 *     how alike is each track to each person   object keypoint similarity, and overlap of boxes for a quarter
 *     the best pairing of all, twice           first of those who are surely people; then the doubtful ones may go on a track
 *                                              that nobody took, but begin none (the idea of ByteTrack, Zhang et al. 2022)
 *
 * A track that nobody took waits `keep` seconds for its person to come out from behind something. Times are seconds of the video:
 * frames may be left out, and come at any rate. */
#ifndef LIMBER_TRACK_H
#define LIMBER_TRACK_H

#include "limber.h"

#define TRACK_KEEP 1.5         /* seconds */
#define TRACK_DOUBT 0.25f      /* share of the evidence for a person (pose/same.h) that is enough to go on a track */
#define TRACK_JOINT_SCORE 0.3f /* joints below say nothing about where somebody is */

enum { TRACK_VELOCITY = 1, TRACK_JOINTS = 2, TRACK_BOXES = 4, TRACK_DOUBTFUL = 8 };

struct track_options {
    int keypoints;
    const double *sigmas; /* [keypoints], borrowed; NULL: 0.07 for every joint */
    double keep;          /* seconds that a track outlives the last sight of its person */
    unsigned without;     /* of TRACK_..., what is left out: to see what it is worth (bench/bench_track.c) */
    float sure;           /* same_evidence (pose/same.h) from which on somebody may begin a track; 0: everybody */
};

struct tracker;
limber_status tracker_open(struct tracker **out, const struct track_options *options, limber_error *err);
void tracker_close(struct tracker **tracker); /* NULL and *NULL are fine */

/* Numbers the people of the next frame: track is from 1 and never given twice; 0 is left for the doubtful ones that no track is for.
 * A time that is not after the last frame's counts as no time passed. */
limber_status tracker_update(struct tracker *tracker, limber_people *people, double time, limber_error *err);

/* Where those who were seen in the last frame should be at `time`, for frames in which nobody is looked for. A person's score is what
 * it was; box and keypoints are moved. The pointers hold until the next call. Returns how many. */
int tracker_expect(struct tracker *tracker, double time, const limber_person **people);

#endif
