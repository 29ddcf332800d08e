/* SPDX-License-Identifier: MIT */
/* command/stream.h - worker threads that read, decode and crop the next images while the caller runs the network on these. Decoding
 * itself may be another process's (command/decoder.h): a worker then waits for it.
 *
 *     stream_open(&s, ...);
 *     while ((item = stream_next(s, holding))) ...      in input order; item->parcel.status says whether it can be used
 *         stream_finish(s, item)                        optional: a worker runs `finish` on it (overlays)
 *         stream_wait(s, item); stream_release(s, item) in input order too
 *     stream_close(&s);
 *
 * Memory is bounded: no more than `window` items and STREAM_PIXEL_BYTES are on their way, of decoders at their peak and of decoded
 * pixels, whatever the folder holds (one image alone may need more: IMAGE_MAX_PIXELS). Only workers touch an item before stream_next and between
 * stream_finish and stream_wait; everything is said and written by the caller, so output order never depends on threads. */
#ifndef LIMBER_CLI_STREAM_H
#define LIMBER_CLI_STREAM_H

#include <stdbool.h>
#include <stddef.h>

#include "command/decoder.h"
#include "command/inputs.h"
#include "image/image.h"
#include "pose/conveyor.h"

#define STREAM_PIXEL_BYTES ((size_t)512 << 20)

/* Whose an item is: a worker's while it is read and finished, else the caller's from `taken` to release. */
enum stream_state { STREAM_EMPTY, STREAM_READING, STREAM_READY, STREAM_TAKEN, STREAM_FINISHING, STREAM_FINISHED };

struct stream_item {
    struct parcel parcel; /* first: the conveyor's, whose `next` is stream_parcel. LIMBER_OK: image and job are good */
    size_t index;         /* of the input */
    const struct input *input;
    struct image image;
    struct found_people found;   /* what `find` found; all zero where it was not asked */
    const float *scores;         /* the caller's: of the boxes, found or given; NULL where nobody scored them */
    limber_status finish_status; /* what `finish` returned, and its sentence in parcel.error */
    double seconds_decode, seconds_find, seconds_crop, seconds_finish;
    size_t reserved; /* bytes accounted for: a decoder's peak, then the pixels */
    enum stream_state state;
};

/* Called by workers, several at once, on different items. */
struct stream_calls {
    void *context;
    /* The boxes of an image that is not decoded yet: *boxes NULL is the whole image. They must live until the stream is closed. NULL: the
     * whole image of all. */
    limber_status (*boxes)(void *context, const struct stream_item *item, const limber_box **boxes, int *count,
                           limber_error *err);
    /* Where `boxes` says the whole image: who is in it, once it is decoded. Fills `found`, boxes in pixels
     * of the whole picture. NULL: the whole image is one box. */
    limber_status (*find)(void *context, struct stream_item *item, limber_error *err);
    limber_status (*finish)(void *context, struct stream_item *item, limber_error *err);
    struct decoders *decoders;         /* NULL: pictures are decoded in this process */
    const volatile sig_atomic_t *stop; /* NULL, or set when no more is wanted: stream_next waits no longer */
    bool built_in;                     /* --decoder stb */
    bool reduce; /* decode JPEGs smaller where the crops need no more (pose/pipeline.h, job_reduction) ... */
    int longest; /* ... but the longer side no smaller than this, where it is not anyway */
    size_t room; /* bytes of pictures on their way; 0: STREAM_PIXEL_BYTES */
};

struct stream;

/* As `limber run` has them. Where the forward pass leaves the CPU alone, or people are to be found or drawn, the workers are the work (as
 * many as the session has threads); else a few keep up. The window holds the batch that is computed and the next one;
 * session NULL: there is no network. */
int stream_workers(const limber_session *session, bool busy);
int stream_workers_for(const limber_model *model, int threads, bool busy); /* before there is a session */
size_t stream_window(const limber_session *session, int workers);

/* model: what crops are taken for; NULL: none are, the jobs stay empty. */
limber_status stream_open(struct stream **out, const struct limber_model *model, const struct inputs *inputs, int workers,
                          size_t window, const struct stream_calls *calls, limber_error *err);
/* The next item; waits for it. NULL: after the last one; when calls.stop is set; or, if the caller is `holding` items it has
 * not released, when the next one needs their room first. */
struct stream_item *stream_next(struct stream *s, bool holding);
void stream_finish(struct stream *s, struct stream_item *item);
bool stream_is_finished(struct stream *s, const struct stream_item *item);
void stream_wait(struct stream *s, const struct stream_item *item); /* until `finish` has run */
void stream_release(struct stream *s, struct stream_item *item);
void stream_close(struct stream **s); /* items that were not released go with it */

#endif
