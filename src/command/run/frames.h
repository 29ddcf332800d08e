/* SPDX-License-Identifier: MIT */
/* command/run/frames.h - what command/stream.h is for pictures, for the frames of a video: threads beside the one that runs the network.
 *
 *     one thread reads: decodes, and converts the frames that are wanted        video/video.h
 *     workers look for people in them and crop
 *     the caller takes them in order, and hands them back when the network is done
 *     one thread finishes them in order: draws, encodes
 *
 * At most `window` frames are on their way. A file waits for room; a live source does not: its newest frame takes the place of one
 * that nobody has begun with, or is dropped. */
#ifndef LIMBER_CLI_FRAMES_H
#define LIMBER_CLI_FRAMES_H

#include "pose/conveyor.h"
#include "video/video.h"

#define FRAMES_BYTES ((size_t)384 << 20) /* of pixels on their way, unless a frame or two are larger */

struct frame_item {
    struct parcel parcel; /* first: the conveyor's */
    size_t index;         /* of those that are taken, from 0 */
    struct video_frame frame;
    bool looked; /* `looks` said so: found is what was found, job is prepared. Else both are the caller's to do */
    struct found_people found;
    double seconds_find, seconds_crop, seconds_finish;
    limber_status finish_status; /* and its sentence in parcel.error */
    int state;
};

enum frames_wanted { FRAMES_SKIP, FRAMES_TAKE, FRAMES_ENOUGH };

struct frames_calls {
    void *context;
    enum frames_wanted (*wanted)(void *context, const struct video_frame *frame); /* by the thread that reads */
    bool (*looks)(void *context, size_t index);                                   /* by the thread that reads */
    /* By workers, several at once. NULL boxes, and `find` NULL: the whole frame is one box. */
    limber_status (*find)(void *context, struct frame_item *item, limber_error *err);
    limber_status (*finish)(void *context, struct frame_item *item, limber_error *err);
    const volatile sig_atomic_t *stop;
    bool live;
};

struct frames;
limber_status frames_open(struct frames **out, const struct limber_model *model, const struct video_plugin *video,
                          struct video_reader *reader, int workers, size_t window, const struct frames_calls *calls,
                          limber_error *err);
/* The next frame; waits for it. NULL: after the last one; when *stop is set; or, if the caller is `holding` frames, when room for the
 * next one is held by them, or (live) it has not come yet. */
struct frame_item *frames_next(struct frames *f, bool holding);
/* Hands a frame to the thread that finishes: either all of them, in any order, or none. */
void frames_finish(struct frames *f, struct frame_item *item);
bool frames_is_finished(struct frames *f, const struct frame_item *item);
void frames_wait(struct frames *f, const struct frame_item *item);
void frames_release(struct frames *f, struct frame_item *item);
/* How reading ended: LIMBER_OK, or why the video ends here. Once frames_next has returned NULL while nothing was held. */
limber_status frames_ended(struct frames *f, limber_error *err);
/* Frames that a live source gave and nobody took; seconds of decoding and of converting. */
void frames_counts(struct frames *f, size_t *dropped, double *decode, double *convert);
void frames_close(struct frames **f);

/* So many frames of a size that FRAMES_BYTES holds, at most `most` and at least `least`. */
size_t frames_window(size_t most, size_t least, int width, int height);

#endif
