/* SPDX-License-Identifier: MIT */
/* command/run/frames.c - see command/run/frames.h. One lock, two conditions; a ring, whose counts say where each frame is:
 *
 *     released <= taken <= claimed <= filled      [claimed, filled) waits for a worker, [released, taken) is the caller's
 *
 * Frames that nobody looks at (frame_item.looked false) are ready as they come. */
#define _GNU_SOURCE
#include "command/run/frames.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/error.h"
#include "base/system.h"

enum { EMPTY, READ, LOOKING, READY, TAKEN, FINISHING, FINISHED };

struct frames {
    const struct limber_model *model;
    const struct video_plugin *video;
    struct video_reader *reader;
    struct frames_calls calls;
    pthread_mutex_t lock;
    pthread_cond_t work, news; /* for the threads; for the caller */
    pthread_t *threads;
    int thread_count, workers, started;
    bool stop, ended;
    limber_status status; /* how reading ended */
    limber_error error;
    struct frame_item *ring;
    size_t window;
    size_t filled, claimed, taken, finished, released;
    size_t dropped;
    double seconds_decode, seconds_convert;
};

static struct frame_item *at(struct frames *f, size_t index)
{
    return &f->ring[index % f->window];
}

static bool stopped(const struct frames *f)
{
    return f->stop || (f->calls.stop && *f->calls.stop);
}

/* A signal sets a flag and wakes nobody. `lock` is held. */
static void wait_a_little(struct frames *f, pthread_cond_t *condition)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += 100000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_cond_timedwait(condition, &f->lock, &until);
}

/* ---- the thread that reads ---- */

static void swap(struct video_frame *a, struct video_frame *b)
{
    const struct video_frame t = *a;
    *a = *b;
    *b = t;
}

/* `frame` takes its place in the ring, and gets the memory of the one that was there. `lock` is held. */
static void put(struct frames *f, struct video_frame *frame)
{
    const bool full = f->filled - f->released == f->window;
    struct frame_item *item = at(f, full ? f->filled - 1 : f->filled);
    if (full && (item->state != READ || f->claimed == f->filled)) {
        f->dropped++; /* live: all that are here are being worked on */
        return;
    }
    if (full)
        f->dropped++;
    else
        f->filled++;
    struct video_frame *place = &item->frame;
    swap(place, frame);
    *item = (struct frame_item){.index = f->filled - 1, .frame = *place, .state = READ};
    item->looked = f->calls.looks(f->calls.context, item->index);
    pthread_cond_broadcast(&f->work);
    pthread_cond_signal(&f->news);
}

static limber_status take_in(struct frames *f, struct video_frame *spare, bool *more, limber_error *err)
{
    double begin = system_now();
    limber_status st = f->video->read(f->reader, spare, more, err);
    const double decoded = system_now();
    enum frames_wanted wanted = *more ? f->calls.wanted(f->calls.context, spare) : FRAMES_ENOUGH;
    double converted = decoded;
    if (!st && wanted == FRAMES_TAKE) {
        st = f->video->convert(f->reader, spare, err);
        converted = system_now();
    }
    pthread_mutex_lock(&f->lock);
    f->seconds_decode += decoded - begin;
    f->seconds_convert += converted - decoded;
    while (!st && wanted == FRAMES_TAKE && !f->calls.live && !stopped(f) && f->filled - f->released == f->window)
        wait_a_little(f, &f->work);
    if (!st && wanted == FRAMES_TAKE && !stopped(f))
        put(f, spare);
    pthread_mutex_unlock(&f->lock);
    *more = !st && wanted != FRAMES_ENOUGH;
    return st;
}

static void read_all(struct frames *f)
{
    struct video_frame spare = {0};
    limber_error err = {0};
    limber_status st = LIMBER_OK;
    bool more = true;
    while (more && !stopped(f))
        st = take_in(f, &spare, &more, &err);
    free(spare.memory);
    pthread_mutex_lock(&f->lock);
    f->status = st;
    f->error = err;
    f->ended = true;
    pthread_cond_broadcast(&f->work);
    pthread_cond_signal(&f->news);
    pthread_mutex_unlock(&f->lock);
}

/* ---- workers ---- */

static void look(struct frames *f, struct frame_item *item)
{
    item->state = LOOKING;
    pthread_mutex_unlock(&f->lock);
    limber_error *err = &item->parcel.error;
    const double begin = system_now();
    limber_status st = f->calls.find ? f->calls.find(f->calls.context, item, err) : LIMBER_OK;
    const double found = system_now();
    if (!st)
        st = job_prepare(&item->parcel.job, f->model, &item->frame.view, item->found.boxes, item->found.count, err);
    item->parcel.status = st;
    item->seconds_find = found - begin;
    item->seconds_crop = system_now() - found;
    pthread_mutex_lock(&f->lock);
    item->state = READY;
    pthread_cond_signal(&f->news);
}

static void work_all(struct frames *f)
{
    pthread_mutex_lock(&f->lock);
    while (!f->stop) {
        if (f->claimed < f->filled) {
            struct frame_item *item = at(f, f->claimed++);
            if (item->looked && !item->frame.damaged) {
                look(f, item);
            } else {
                item->state = READY;
                pthread_cond_signal(&f->news);
            }
        } else {
            pthread_cond_wait(&f->work, &f->lock);
        }
    }
    pthread_mutex_unlock(&f->lock);
}

/* ---- the thread that finishes ---- */

/* In order of the frames, whatever the order in which the caller hands them over: an encoder wants it so. */
static void finish_all(struct frames *f)
{
    pthread_mutex_lock(&f->lock);
    while (!f->stop) {
        struct frame_item *item = at(f, f->finished);
        if (f->finished == f->filled || item->state != FINISHING) {
            pthread_cond_wait(&f->work, &f->lock);
            continue;
        }
        pthread_mutex_unlock(&f->lock);
        const double begin = system_now();
        item->finish_status = f->calls.finish(f->calls.context, item, &item->parcel.error);
        item->seconds_finish = system_now() - begin;
        pthread_mutex_lock(&f->lock);
        item->state = FINISHED;
        f->finished++;
        pthread_cond_signal(&f->news);
    }
    pthread_mutex_unlock(&f->lock);
}

static void *thread(void *argument)
{
    struct frames *f = argument;
    pthread_mutex_lock(&f->lock);
    const int role = f->started++;
    pthread_mutex_unlock(&f->lock);
    if (role == 0)
        read_all(f);
    else if (role == 1)
        finish_all(f);
    else
        work_all(f);
    return NULL;
}

/* ---- the caller's side ---- */

size_t frames_window(size_t most, size_t least, int width, int height)
{
    const size_t bytes = (size_t)(width > 0 ? width : 1) * (size_t)(height > 0 ? height : 1) * 3;
    const size_t fit = FRAMES_BYTES / bytes;
    return fit > most ? most : fit < least ? least : fit;
}

limber_status frames_open(struct frames **out, const struct limber_model *model, const struct video_plugin *video,
                          struct video_reader *reader, int workers, size_t window, const struct frames_calls *calls,
                          limber_error *err)
{
    *out = NULL;
    struct frames *f = calloc(1, sizeof *f);
    if (!f)
        return limber_fail(err, LIMBER_E_MEMORY, "no memory for frames");
    f->model = model;
    f->video = video;
    f->reader = reader;
    f->calls = *calls;
    f->window = window;
    f->workers = workers;
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->work, &clock);
    pthread_cond_init(&f->news, &clock);
    pthread_condattr_destroy(&clock);
    const int count = workers + 2;
    f->threads = calloc((size_t)count, sizeof *f->threads);
    f->ring = calloc(window, sizeof *f->ring);
    limber_status st = LIMBER_OK;
    if (!f->threads || !f->ring)
        st = limber_fail(err, LIMBER_E_MEMORY, "no memory for %zu frames", window);
    for (int i = 0; !st && i < count; i++) {
        const int failure = pthread_create(&f->threads[i], NULL, thread, f);
        if (failure && i < 3)
            st = limber_fail(err, LIMBER_E_MEMORY, "no thread can be started: %s", error_text(failure));
        else if (failure)
            break; /* fewer workers do too */
        else
            f->thread_count++;
    }
    if (st)
        frames_close(&f);
    *out = f;
    return st;
}

struct frame_item *frames_next(struct frames *f, bool holding)
{
    struct frame_item *item = NULL;
    pthread_mutex_lock(&f->lock);
    while (!stopped(f)) {
        if (f->taken < f->filled && at(f, f->taken)->state == READY) {
            item = at(f, f->taken++);
            item->state = TAKEN;
            break;
        }
        if (f->taken == f->filled && f->ended)
            break;
        if (holding && (f->calls.live || f->taken - f->released >= f->window))
            break;
        wait_a_little(f, &f->news);
    }
    pthread_mutex_unlock(&f->lock);
    return item;
}

void frames_finish(struct frames *f, struct frame_item *item)
{
    pthread_mutex_lock(&f->lock);
    item->state = FINISHING;
    pthread_cond_broadcast(&f->work);
    pthread_mutex_unlock(&f->lock);
}

bool frames_is_finished(struct frames *f, const struct frame_item *item)
{
    pthread_mutex_lock(&f->lock);
    const bool finished = item->state != FINISHING;
    pthread_mutex_unlock(&f->lock);
    return finished;
}

void frames_wait(struct frames *f, const struct frame_item *item)
{
    pthread_mutex_lock(&f->lock);
    while (item->state == FINISHING)
        pthread_cond_wait(&f->news, &f->lock);
    pthread_mutex_unlock(&f->lock);
}

static void clear(struct frame_item *item)
{
    job_free(&item->parcel.job);
    limber_people_free(&item->parcel.people);
    found_people_free(&item->found);
}

void frames_release(struct frames *f, struct frame_item *item)
{
    clear(item);
    pthread_mutex_lock(&f->lock);
    item->state = EMPTY;
    f->released++;
    pthread_cond_broadcast(&f->work);
    pthread_mutex_unlock(&f->lock);
}

limber_status frames_ended(struct frames *f, limber_error *err)
{
    pthread_mutex_lock(&f->lock);
    const limber_status st = f->status;
    if (st && err)
        *err = f->error;
    pthread_mutex_unlock(&f->lock);
    return st;
}

void frames_counts(struct frames *f, size_t *dropped, double *decode, double *convert)
{
    pthread_mutex_lock(&f->lock);
    *dropped = f->dropped;
    *decode = f->seconds_decode;
    *convert = f->seconds_convert;
    pthread_mutex_unlock(&f->lock);
}

void frames_close(struct frames **frames)
{
    struct frames *f = *frames;
    if (!f)
        return;
    pthread_mutex_lock(&f->lock);
    f->stop = true;
    pthread_cond_broadcast(&f->work);
    pthread_mutex_unlock(&f->lock);
    for (int i = 0; i < f->thread_count; i++)
        pthread_join(f->threads[i], NULL);
    for (size_t i = 0; f->ring && i < f->window; i++) {
        clear(&f->ring[i]);
        free(f->ring[i].frame.memory);
    }
    pthread_mutex_destroy(&f->lock);
    pthread_cond_destroy(&f->work);
    pthread_cond_destroy(&f->news);
    free(f->threads);
    free(f->ring);
    free(f);
    *frames = NULL;
}
