/* SPDX-License-Identifier: MIT */
/* pose/conveyor.h - pictures that come one after another go through the network together and leave in the order they came.
 *
 *     next -> parcels on the belt -> [find] -> a group that fills the batch -> the network -> seen -> [is_ready] -> done
 *
 * The conveyor knows neither files nor decoders nor lines of output: whoever stands at its beginning hands it parcels, whoever
 * stands at its end takes them. `limber run`, `limber eval` and `limber bench pipeline` stand there with worker threads that read,
 * decode and crop (command/stream.h); a video reader hands over frames, a binding the pictures of an iterator.
 *
 * Everything below is called by the thread that called conveyor_run, one call at a time, in order of the parcels: no callback needs
 * a lock of its own, and one that must not be entered from other threads (Python's) is not. People do not depend on the grouping:
 * neither the batch nor what shares it changes a bit (pose/pipeline.h). */
#ifndef LIMBER_CONVEYOR_H
#define LIMBER_CONVEYOR_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

#include "pose/pipeline.h"

/* One picture on the belt. It is a member of whatever its sender knows of the picture, and belongs to the sender at all times: the
 * conveyor allocates and frees nothing but the job, which job_finish empties. A parcel that `done` has not seen when the conveyor
 * ends is the sender's to clean up (job_free is right whatever became of it). */
struct parcel {
    limber_status
        status; /* from `next`: LIMBER_OK, `job` is prepared; else the parcel passes the network by, and `error` says why */
    limber_error error;
    bool unfound;         /* from `next`: status is LIMBER_OK, but who is in the picture is for `find` to say; no job yet */
    struct job job;       /* job_prepare; its pixels must stay until `seen` has returned */
    limber_people people; /* once `seen`: to be freed by limber_people_free */
};

/* `context` is handed to each. Those that return bool end the conveyor by false: why is the caller's to remember. */
struct conveyor {
    void *context;

    /* The next parcel, in order. NULL while not `holding`: there are no more, now or ever.
     * `holding`: the belt has parcels that `done` has not seen. Then NULL may also mean "not yet": room for the next one is held by
     * them, or (a camera) it has not happened and they need not wait for it. What is there goes through the network, at least one
     * parcel is done, and `next` is asked again. A sender that waits here should look at its stop flag meanwhile. */
    struct parcel *(*next)(void *context, bool holding);

    /* Optional: a detector in front, for senders that have none of their own (`limber run` finds people in its workers, each picture
     * beside the others). parcels: [count], in order, all unfound, at most find_batch (0: one) of them. For each it
     * prepares the job and clears `unfound`, or says in status and error why this one cannot be used; nobody found is a job of no
     * people. Another return value than LIMBER_OK (a device failed) ends the conveyor with it. It may use the session's threads. */
    limber_status (*find)(void *context, struct parcel *const parcels[], int count, limber_error *err);
    int find_batch;

    /* Optional: a parcel of status LIMBER_OK (still: a result that is not finite has become its error) is past the network, its `people` are there. Work on it may begin elsewhere (to draw it,
     * say). */
    bool (*seen)(void *context, struct parcel *parcel, limber_error *err);

    /* Optional: whether `done` would not have to wait for such work. Without it all are ready. Where none is, the belt goes on. */
    bool (*is_ready)(void *context, const struct parcel *parcel);

    /* The parcel leaves the belt, the failed ones too, in order; waits for its work. The sender may use its place again. */
    bool (*done)(void *context, struct parcel *parcel);

    /* NULL, or a flag that a signal handler or another thread sets: nothing more is taken or computed; what is past the network
     * still is done, the rest is not. */
    const volatile sig_atomic_t *stop;
    size_t window; /* the most parcels on the belt, at least 1 */
};

/* Until `next` has no more, a callback has enough, or *stop. An error is the network's, that of `find`, or memory: parcels it had
 * not passed are not done. LIMBER_OK says nothing about the parcels: each has its own status. */
limber_status conveyor_run(limber_session *session, const struct conveyor *conveyor, limber_error *err);

#endif
