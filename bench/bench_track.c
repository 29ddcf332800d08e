/* SPDX-License-Identifier: MIT */
/* bench_track - HOTA, IDF1 and id switches of pose/track.c over people who cross (tests/crossings.h), with each of its parts left out.
 *   bench_track [CLIPS]       clips of each kind, 20 if not said */
#include <stdio.h>
#include <stdlib.h>

#include "pose/same.h"
#include "pose/track.h"
#include "pose/track_score.h"
#include "model/skeleton.h"
#include "../tests/crossings.h"

#define ROOM (2 * CROSSING_WALKERS)

static const struct kind {
    const char *name;
    struct crossing c;
} kinds[] = {
    {"two cross", {2, 30, 4, .012, .1, .2, 0, 0, .1, .7}},
    {"six cross", {6, 30, 5, .012, .1, .2, 0, 0, .3, .7}},
    {"crowd of 16", {16, 30, 6, .012, .1, .5, 0, .2, .8, .7}},
    {"behind a pillar", {4, 30, 5, .012, .1, .2, .5, 0, .3, 1}},
    {"turning back", {6, 30, 5, .012, .1, .2, 0, 1, .3, .7}},
    {"10 frames a second", {6, 10, 5, .012, .1, .2, 0, .2, .3, .7}},
    {"every 3rd missed", {6, 30, 5, .012, .33, .2, 0, .2, .3, .7}},
    {"noise three times", {6, 30, 5, .036, .1, .2, 0, .2, .3, .7}},
};
static const struct variant {
    const char *name;
    unsigned without;
} variants[] = {{"all", 0},
                {"no velocity", TRACK_VELOCITY},
                {"boxes only", TRACK_JOINTS},
                {"joints only", TRACK_BOXES},
                {"no 2nd pass", TRACK_DOUBTFUL}};

static int clip(const struct crossing *c, uint64_t seed, unsigned without, struct track_scores *out, limber_error *err)
{
    static limber_person truths[ROOM], answered[ROOM];
    static limber_keypoint joints[2][ROOM][CROSSING_JOINTS];
    static double alike[ROOM * ROOM];
    for (int i = 0; i < ROOM; i++) {
        truths[i].keypoints = joints[0][i];
        answered[i].keypoints = joints[1][i];
    }
    struct crossing_world world;
    struct tracker *tracker = NULL;
    struct track_score *score = NULL;
    const struct track_options options = {.keypoints = CROSSING_JOINTS,
                                          .sigmas = skeleton_coco.sigmas,
                                          .keep = TRACK_KEEP,
                                          .without = without,
                                          .sure = SAME_EVIDENCE};
    crossing_begin(&world, c, seed);
    limber_status st = tracker_open(&tracker, &options, err);
    if (!st)
        st = track_score_open(&score, err);
    for (int f = 0; !st && f < (int)(c->fps * c->seconds); f++) {
        limber_people truth = {.person = truths, .keypoint_count = CROSSING_JOINTS};
        limber_people people = {.person = answered, .keypoint_count = CROSSING_JOINTS};
        int t[ROOM], a[ROOM], n = 0;
        crossing_frame(&world, f, &truth, &people);
        st = tracker_update(tracker, &people, f / c->fps, err);
        for (int i = 0; i < truth.count; i++)
            t[i] = truth.person[i].track;
        for (int i = 0; i < people.count; i++)
            if (people.person[i].track)
                a[n] = people.person[i].track, answered[n++].box = people.person[i].box;
        for (int i = 0; i < truth.count; i++)
            for (int j = 0; j < n; j++)
                alike[i * n + j] = crossing_iou(truth.person[i].box, answered[j].box);
        if (!st)
            st = track_score_frame(score, t, truth.count, a, n, alike, err);
    }
    if (!st)
        st = track_score_result(score, out, err);
    tracker_close(&tracker);
    track_score_close(&score);
    return st;
}

int main(int argc, char **argv)
{
    const int clips = argc > 1 ? atoi(argv[1]) : 20;
    printf("| HOTA / IDF1 / switches a clip |");
    for (size_t v = 0; v < sizeof variants / sizeof *variants; v++)
        printf(" %s |", variants[v].name);
    printf("\n|---|");
    for (size_t v = 0; v < sizeof variants / sizeof *variants; v++)
        printf("---|");
    putchar('\n');
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        printf("| %s |", kinds[k].name);
        for (size_t v = 0; v < sizeof variants / sizeof *variants; v++) {
            double hota = 0, idf1 = 0, switches = 0;
            for (int i = 0; i < clips; i++) {
                struct track_scores s;
                limber_error err;
                if (clip(&kinds[k].c, (uint64_t)i + 1, variants[v].without, &s, &err)) {
                    fprintf(stderr, "%s\n", err.text);
                    return 1;
                }
                hota += s.hota, idf1 += s.idf1, switches += (double)s.switches;
            }
            printf(" %.3f / %.3f / %.2f |", hota / clips, idf1 / clips, switches / clips);
        }
        putchar('\n');
    }
    return 0;
}
