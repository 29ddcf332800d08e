/* SPDX-License-Identifier: MIT */
/* command/stream.c - see command/stream.h. One lock, two conditions. Items live in a ring of `window` places; room for pixels is given
 * out in input order, so the item the caller waits for is never behind one it does not need yet.
 *
 * What could go wrong, and why it does not: a worker that waits for room also runs `finish` jobs, since those give room back; a
 * caller that holds items is told to let go of them (stream_next returns NULL) instead of waiting for room it occupies. */
#define _GNU_SOURCE
#include "command/stream.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "command/progress.h"
#include "base/error.h"
#include "base/file.h"
#include "base/system.h"

struct worker {
    struct stream *stream;
    struct decoder *decoder; /* NULL: itself */
    pthread_t thread;
};

struct stream {
    const struct limber_model *model;
    const struct inputs *inputs;
    struct stream_calls calls;
    pthread_mutex_t lock;
    pthread_cond_t work, news; /* for workers; for the caller */
    struct worker *workers;
    int worker_count;
    bool stop;
    struct stream_item *ring;
    size_t window;
    size_t claimed, admitted, taken, released;   /* indices: claimed >= admitted >= taken >= released */
    size_t pixels;                               /* bytes given out */
    bool no_room;                                /* the item `admitted` waits for pixels to be given back */
    size_t *to_finish, finish_head, finish_tail; /* ring of indices */
};

static struct stream_item *at(struct stream *s, size_t index)
{
    return &s->ring[index % s->window];
}

/* ---- what a worker does with the lock open ---- */

static void run_finish(struct stream *s)
{
    struct stream_item *item = at(s, s->to_finish[s->finish_head++ % s->window]);
    pthread_mutex_unlock(&s->lock);
    double begin = system_now();
    item->finish_status = s->calls.finish(s->calls.context, item, &item->parcel.error);
    item->seconds_finish = system_now() - begin;
    pthread_mutex_lock(&s->lock);
    item->state = STREAM_FINISHED;
    pthread_cond_signal(&s->news);
}

/* Waits for this item's turn and for room; called and left with the lock held. False: the stream is closing. */
static bool admit(struct stream *s, struct stream_item *item)
{
    for (;;) {
        bool turn = s->admitted == item->index;
        bool room = s->pixels == 0 || s->pixels + item->reserved <= s->calls.room;
        if (s->stop)
            return false;
        if (turn && room)
            break;
        if (s->finish_head != s->finish_tail) {
            run_finish(s);
            continue;
        }
        if (turn && !s->no_room) {
            s->no_room = true;
            pthread_cond_signal(&s->news);
        }
        pthread_cond_wait(&s->work, &s->lock);
    }
    s->no_room = false;
    s->pixels += item->reserved;
    s->admitted++;
    pthread_cond_broadcast(&s->work); /* the next one's turn */
    return true;
}

static void prepare(struct stream *s, struct decoder *decoder, struct stream_item *item)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    const limber_box *boxes = NULL;
    int count = 0;
    struct image_about about = {0};
    struct image_options options = {.built_in = s->calls.built_in};
    pthread_mutex_unlock(&s->lock);
    double begin = system_now();
    limber_error *err = &item->parcel.error;
    limber_status st = LIMBER_OK;
    st = input_read(item->input, &bytes, &size, err);
    if (!st)
        st = decoder_examine(decoder, &about, &options, bytes, size, err);
    if (!st && s->calls.boxes)
        st = s->calls.boxes(s->calls.context, item, &boxes, &count, err);
    const bool look = !st && !boxes && s->calls.find;
    if (!st && s->calls.reduce && about.reducible)
        options.reduce = job_reduction(s->model, about.width, about.height, boxes, count);
    while (options.reduce > 1 && (about.width > about.height ? about.width : about.height) / options.reduce < s->calls.longest)
        options.reduce /= 2;
    const size_t smaller = options.reduce > 1 ? (size_t)options.reduce * (size_t)options.reduce : 1;
    item->reserved = about.memory / smaller;
    item->seconds_decode = system_now() - begin;
    pthread_mutex_lock(&s->lock);
    bool go = admit(s, item);
    pthread_mutex_unlock(&s->lock);
    begin = system_now();
    if (go && !st)
        st = decoder_decode(decoder, &item->image, &options, bytes, size, err);
    free(bytes);
    double decoded = system_now();
    item->seconds_decode += decoded - begin;
    if (go && !st && look) {
        st = s->calls.find(s->calls.context, item, err);
        boxes = item->found.boxes;
        count = item->found.count;
        const double found = system_now();
        item->seconds_find = found - decoded;
        decoded = found;
    }
    if (go && !st && s->model) {
        const struct image *im = &item->image;
        const struct reduced_image reduced = {im->view, im->width, im->height, im->reduce};
        st = job_prepare_reduced(&item->parcel.job, s->model, &reduced, boxes, count, err);
    }
    item->seconds_crop = system_now() - decoded;
    item->parcel.status = st;
    pthread_mutex_lock(&s->lock);
    const size_t kept = item->image.view.stride * (size_t)item->image.view.height;
    if (go && kept < item->reserved) { /* the decoder's own memory is free again: the next one may begin */
        s->pixels -= item->reserved - kept;
        item->reserved = kept;
        pthread_cond_broadcast(&s->work);
    }
    item->state = STREAM_READY;
    pthread_cond_signal(&s->news);
}

static void *work(void *argument)
{
    const struct worker *w = argument;
    struct stream *s = w->stream;
    pthread_mutex_lock(&s->lock);
    while (!s->stop) {
        if (s->finish_head != s->finish_tail) {
            run_finish(s);
        } else if (s->claimed < s->inputs->count && s->claimed - s->released < s->window) {
            size_t index = s->claimed++;
            struct stream_item *item = at(s, index);
            *item = (struct stream_item){.index = index, .input = &s->inputs->v[index], .state = STREAM_READING};
            prepare(s, w->decoder, item);
        } else {
            pthread_cond_wait(&s->work, &s->lock);
        }
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* ---- the caller's side ---- */

int stream_workers(const limber_session *session, bool busy)
{
    return stream_workers_for(session->model, session->threads, busy);
}

int stream_workers_for(const limber_model *model, int threads, bool busy)
{
    busy = busy || !strcmp(limber_model_backend(model), "cuda");
    return busy ? threads : (threads + 1) / 2;
}

size_t stream_window(const limber_session *session, int workers)
{
    return (session ? 2 * (size_t)session->batch : 0) + 4 * (size_t)workers + 8;
}

limber_status stream_open(struct stream **out, const struct limber_model *model, const struct inputs *inputs, int workers,
                          size_t window, const struct stream_calls *calls, limber_error *err)
{
    *out = NULL;
    struct stream *s = calloc(1, sizeof *s);
    if (!s)
        return limber_fail(err, LIMBER_E_MEMORY, "no memory for %d workers", workers);
    s->model = model;
    s->inputs = inputs;
    s->calls = *calls;
    s->calls.room = calls->room ? calls->room : STREAM_PIXEL_BYTES;
    s->window = window;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->work, NULL);
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&s->news, &clock);
    pthread_condattr_destroy(&clock);
    s->workers = calloc((size_t)workers, sizeof *s->workers);
    s->ring = calloc(window, sizeof *s->ring);
    s->to_finish = calloc(window, sizeof *s->to_finish);
    limber_status st = LIMBER_OK;
    if (!s->workers || !s->ring || !s->to_finish)
        st = limber_fail(err, LIMBER_E_MEMORY, "no memory for %d workers", workers);
    for (int i = 0; !st && i < workers; i++) {
        s->workers[i] = (struct worker){.stream = s, .decoder = decoders_at(calls->decoders, i)};
        int failure = pthread_create(&s->workers[i].thread, NULL, work, &s->workers[i]);
        if (failure && i == 0)
            st = limber_fail(err, LIMBER_E_MEMORY, "no thread can be started: %s", error_text(failure));
        else if (failure)
            break; /* fewer do too */
        else
            s->worker_count++;
    }
    if (st)
        stream_close(&s);
    *out = s;
    return st;
}

struct stream_item *stream_next(struct stream *s, bool holding)
{
    struct stream_item *item = NULL;
    pthread_mutex_lock(&s->lock);
    while (s->taken < s->inputs->count && !(s->calls.stop && *s->calls.stop)) {
        bool claimed = s->taken < s->claimed;
        if (claimed && at(s, s->taken)->state == STREAM_READY) {
            item = at(s, s->taken++);
            item->state = STREAM_TAKEN;
            break;
        }
        if (holding && (s->taken - s->released >= s->window || (s->no_room && s->admitted == s->taken)))
            break;
        struct timespec until; /* a signal sets a flag and wakes nobody */
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += 100000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&s->news, &s->lock, &until);
    }
    pthread_mutex_unlock(&s->lock);
    return item;
}

void stream_finish(struct stream *s, struct stream_item *item)
{
    pthread_mutex_lock(&s->lock);
    item->state = STREAM_FINISHING;
    s->to_finish[s->finish_tail++ % s->window] = item->index;
    pthread_cond_broadcast(&s->work);
    pthread_mutex_unlock(&s->lock);
}

bool stream_is_finished(struct stream *s, const struct stream_item *item)
{
    pthread_mutex_lock(&s->lock);
    bool finished = item->state != STREAM_FINISHING;
    pthread_mutex_unlock(&s->lock);
    return finished;
}

void stream_wait(struct stream *s, const struct stream_item *item)
{
    pthread_mutex_lock(&s->lock);
    while (item->state == STREAM_FINISHING)
        pthread_cond_wait(&s->news, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

static void item_free(struct stream_item *item)
{
    job_free(&item->parcel.job);
    image_close(&item->image);
    limber_people_free(&item->parcel.people);
    found_people_free(&item->found);
}

void stream_release(struct stream *s, struct stream_item *item)
{
    item_free(item);
    pthread_mutex_lock(&s->lock);
    s->pixels -= item->reserved;
    item->state = STREAM_EMPTY;
    s->released++;
    pthread_cond_broadcast(&s->work);
    pthread_mutex_unlock(&s->lock);
}

void stream_close(struct stream **stream)
{
    struct stream *s = *stream;
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_broadcast(&s->work);
    pthread_mutex_unlock(&s->lock);
    for (int i = 0; i < s->worker_count; i++)
        pthread_join(s->workers[i].thread, NULL);
    for (size_t i = s->released; s->ring && i < s->claimed; i++)
        item_free(at(s, i));
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->work);
    pthread_cond_destroy(&s->news);
    free(s->workers);
    free(s->ring);
    free(s->to_finish);
    free(s);
    *stream = NULL;
}
