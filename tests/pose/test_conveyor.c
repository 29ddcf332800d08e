/* SPDX-License-Identifier: MIT */
/* The conveyor: everybody once, in order, with the very people limber_run finds; groups that fit the batch; failures that pass the
 * network by; a detector in front; senders that have nothing yet; and an end at any moment that loses nothing it should not. */
#include <criterion/criterion.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "pose/conveyor.h"

#define TINY LIMBER_TEST_DIR "/golden/simple-hd32"
#define WIDTH 96
#define HEIGHT 80
#define PICTURES 23
#define BATCH 4

/* A sender of drawn pictures: what it knows of one begins with the parcel, as the conveyor sees it. */
struct drawing {
    struct parcel parcel;
    int number;
    uint8_t *rgb;
    bool on_belt, was_seen, was_done, finished;
};
struct sender {
    limber_session *session;
    limber_model *model;
    struct drawing drawing[PICTURES];
    int people[PICTURES]; /* -1: a picture that cannot be used */
    int sent, done;
    int end_after;  /* `done` ends the conveyor after so many; 0: never */
    int stop_after; /* `done` sets the flag after so many; 0: never */
    int fail_seen;  /* `seen` of this picture ends it; -1: none */
    bool hesitate;  /* every other answer to `next` is "not yet", where that is allowed */
    bool said_not_yet;
    bool find_people; /* jobs are for `find` to make */
    int find_most;    /* the most that `find` was asked at once */
    bool find_breaks; /* `find` fails at the third call */
    int find_calls;
    bool slow; /* nobody is ready until `done` waits for him */
    volatile sig_atomic_t stop;
};

static uint8_t *draw(unsigned seed)
{
    uint8_t *rgb = malloc(3 * WIDTH * HEIGHT);
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++)
            for (int c = 0; c < 3; c++)
                rgb[3 * (y * WIDTH + x) + c] = (uint8_t)(127 + 60 * sin(0.13 * x * (c + 1) + seed) + 60 * cos(0.11 * y + c));
    return rgb;
}

static limber_image picture(const struct drawing *d)
{
    return (limber_image){.pixels = d->rgb, .width = WIDTH, .height = HEIGHT, .stride = 3 * WIDTH};
}

static void boxes_of(limber_box *boxes, const struct sender *s, int number)
{
    for (int i = 0; i < s->people[number]; i++)
        boxes[i] = (limber_box){(float)(3 * i + number), (float)(2 * i), 30, 40};
}

static limber_status prepare(struct sender *s, struct drawing *d, limber_error *err)
{
    limber_box boxes[64];
    boxes_of(boxes, s, d->number);
    const limber_image image = picture(d);
    return job_prepare(&d->parcel.job, s->model, &image, boxes, s->people[d->number], err);
}

static struct parcel *next(void *context, bool holding)
{
    struct sender *s = context;
    cr_expect_eq(holding, s->sent > s->done);
    s->said_not_yet = s->hesitate && holding && !s->said_not_yet;
    if (s->said_not_yet || s->sent == PICTURES)
        return NULL;
    struct drawing *d = &s->drawing[s->sent];
    *d = (struct drawing){.number = s->sent, .rgb = d->rgb, .on_belt = true};
    if (s->people[s->sent] < 0)
        d->parcel.status = limber_fail(&d->parcel.error, LIMBER_E_FORMAT, "not a picture");
    else if (s->find_people)
        d->parcel.unfound = true;
    else
        d->parcel.status = prepare(s, d, &d->parcel.error);
    s->sent++;
    return &d->parcel;
}

static limber_status find(void *context, struct parcel *const parcels[], int count, limber_error *err)
{
    struct sender *s = context;
    s->find_most = count > s->find_most ? count : s->find_most;
    if (++s->find_calls == 3 && s->find_breaks)
        return limber_fail(err, LIMBER_E_BACKEND, "the detector's device is gone");
    for (int i = 0; i < count; i++) {
        cr_expect(parcels[i]->unfound && !parcels[i]->status);
        parcels[i]->unfound = false;
        parcels[i]->status = prepare(s, (struct drawing *)parcels[i], &parcels[i]->error);
    }
    return LIMBER_OK;
}

static bool seen(void *context, struct parcel *parcel, limber_error *err)
{
    struct sender *s = context;
    struct drawing *d = (struct drawing *)parcel;
    (void)err;
    cr_expect(!parcel->status && !d->was_seen && !s->stop);
    d->was_seen = true;
    return d->number != s->fail_seen;
}

static bool is_ready(void *context, const struct parcel *parcel)
{
    const struct sender *s = context;
    return !s->slow || ((const struct drawing *)parcel)->finished;
}

static bool done(void *context, struct parcel *parcel)
{
    struct sender *s = context;
    struct drawing *d = (struct drawing *)parcel;
    cr_expect_eq(d->number, s->done, "picture %d left where %d should have", d->number, s->done);
    cr_expect_eq(d->was_seen, !parcel->status);
    d->was_done = true;
    s->done++;
    if (s->done == s->stop_after)
        s->stop = 1;
    return s->done != s->end_after;
}

static struct sender sender(void)
{
    limber_options o = limber_options_default();
    o.backend = "cpu";
    o.threads = 1;
    o.batch = BATCH;
    limber_error err;
    struct sender s = {.fail_seen = -1};
    cr_assert_eq(limber_model_open(&s.model, TINY, &o, &err), LIMBER_OK, "%s", err.text);
    cr_assert_eq(limber_session_open(&s.session, s.model, &o, &err), LIMBER_OK, "%s", err.text);
    /* one, several, nobody, a crowd of three batches and more, pictures that cannot be used, the last one too */
    static const int people[PICTURES] = {1, 1, 2, 1, 0, 3, -1, 2, 2, 13, 1, -1, -1, 0, 4, 1, 3, 5, 1, 1, 1, 2, -1};
    memcpy(s.people, people, sizeof people);
    for (int i = 0; i < PICTURES; i++)
        s.drawing[i].rgb = draw((unsigned)i);
    return s;
}

static void sender_close(struct sender *s)
{
    for (int i = 0; i < PICTURES; i++) {
        job_free(&s->drawing[i].parcel.job);
        limber_people_free(&s->drawing[i].parcel.people);
        free(s->drawing[i].rgb);
    }
    limber_session_close(&s->session);
    limber_model_close(&s->model);
}

static struct conveyor conveyor_of(struct sender *s, size_t window)
{
    return (struct conveyor){
        .context = s, .next = next, .seen = seen, .is_ready = is_ready, .done = done, .stop = &s->stop, .window = window};
}

/* Every picture done, its people those that limber_run finds in it alone. */
static void expect_all(struct sender *s, const char *how)
{
    cr_expect_eq(s->done, PICTURES, "%s: %d of %d pictures", how, s->done, PICTURES);
    for (int i = 0; i < s->done; i++) {
        const struct parcel *p = &s->drawing[i].parcel;
        cr_expect_eq(p->status, s->people[i] < 0 ? LIMBER_E_FORMAT : LIMBER_OK, "%s: picture %d", how, i);
        if (p->status)
            continue;
        limber_box boxes[64];
        limber_people alone;
        limber_error err;
        boxes_of(boxes, s, i);
        const limber_image image = picture(&s->drawing[i]);
        cr_assert_eq(limber_run(s->session, &image, boxes, s->people[i], &alone, &err), LIMBER_OK, "%s", err.text);
        cr_assert_eq(p->people.count, alone.count, "%s: picture %d has %d people", how, i, p->people.count);
        for (int k = 0; k < alone.count; k++)
            cr_expect_arr_eq(p->people.person[k].keypoints, alone.person[k].keypoints,
                             (size_t)alone.keypoint_count * sizeof(limber_keypoint), "%s: picture %d, person %d", how, i, k);
        limber_people_free(&alone);
    }
}

Test(conveyor, everybody_once_in_order)
{
    for (size_t window = 1; window <= 40; window = 7 * window - 1)
        for (int kind = 0; kind < 8; kind++) {
            struct sender s = sender();
            char how[80];
            s.hesitate = kind & 1, s.slow = kind & 2, s.find_people = kind & 4;
            snprintf(how, sizeof how, "window %zu%s%s%s", window, kind & 1 ? ", hesitating" : "", kind & 2 ? ", slow" : "",
                     kind & 4 ? ", with a detector" : "");
            struct conveyor c = conveyor_of(&s, window);
            c.find = s.find_people ? find : NULL;
            c.find_batch = 3;
            limber_error err;
            cr_assert_eq(conveyor_run(s.session, &c, &err), LIMBER_OK, "%s", err.text);
            expect_all(&s, how);
            if (s.find_people && !s.hesitate && window > 3)
                cr_expect_eq(s.find_most, 3, "%s: the detector had %d at once", how, s.find_most);
            sender_close(&s);
        }
}

/* People of several pictures share a pass, and a pass takes no more than the batch. Counted by the passes. */
static int passes;
static void count_pass(void *context, const char *where, int layer, struct exec *ex, const struct buf *b, struct span span)
{
    (void)context, (void)layer, (void)ex, (void)b, (void)span;
    passes += !strcmp(where, "embed");
}

Test(conveyor, groups_fill_the_batch)
{
    struct sender s = sender();
    for (int i = 0; i < PICTURES; i++)
        s.people[i] = i < 10 ? 1 : i < 14 ? 3 : i == 14 ? 9 : -1;
    struct conveyor c = conveyor_of(&s, 40);
    limber_error err;
    passes = 0;
    s.session->vit.tap = count_pass;
    cr_assert_eq(conveyor_run(s.session, &c, &err), LIMBER_OK, "%s", err.text);
    s.session->vit.tap = NULL;
    /* 4 + 4 + 2, then each 3 alone (the next one would not fit), then 9 in 4 + 4 + 1 */
    cr_expect_eq(passes, 3 + 4 + 3, "%d passes", passes);
    expect_all(&s, "groups");
    sender_close(&s);
}

Test(conveyor, ends_when_a_callback_has_enough)
{
    struct sender s = sender();
    s.end_after = 7;
    struct conveyor c = conveyor_of(&s, 6);
    limber_error err;
    cr_expect_eq(conveyor_run(s.session, &c, &err), LIMBER_OK);
    cr_expect_eq(s.done, 7);
    sender_close(&s);
    s = sender();
    s.fail_seen = 8;
    c = conveyor_of(&s, 40);
    cr_expect_eq(conveyor_run(s.session, &c, &err), LIMBER_OK);
    cr_expect(s.drawing[8].was_seen && !s.drawing[9].was_seen && !s.drawing[8].was_done);
    sender_close(&s);
}

/* After the flag nothing is taken or computed, and what was computed is still done. */
Test(conveyor, stops_without_losing_what_was_computed)
{
    for (int after = 1; after < PICTURES; after += 4) {
        struct sender s = sender();
        s.stop_after = after;
        s.slow = after & 4;
        struct conveyor c = conveyor_of(&s, 10);
        limber_error err;
        cr_expect_eq(conveyor_run(s.session, &c, &err), LIMBER_OK);
        cr_expect_geq(s.done, after);
        for (int i = 0; i < s.sent; i++)
            cr_expect(!s.drawing[i].was_seen || s.drawing[i].was_done, "stopped after %d: picture %d is lost", after, i);
        sender_close(&s);
    }
    struct sender s = sender();
    s.stop = 1;
    struct conveyor c = conveyor_of(&s, 10);
    limber_error err;
    cr_expect_eq(conveyor_run(s.session, &c, &err), LIMBER_OK);
    cr_expect_eq(s.sent, 0);
    sender_close(&s);
}

Test(conveyor, a_detector_that_fails_ends_it)
{
    struct sender s = sender();
    s.find_people = s.find_breaks = true;
    struct conveyor c = conveyor_of(&s, 10);
    limber_error err;
    c.find = find;
    cr_expect_eq(conveyor_run(s.session, &c, &err), LIMBER_E_BACKEND);
    cr_expect_str_eq(err.text, "the detector's device is gone");
    cr_expect_eq(s.find_most, 1);
    sender_close(&s);
    s = sender(); /* and without one, nobody knows who is there */
    s.find_people = true;
    c = conveyor_of(&s, 10);
    cr_expect_eq(conveyor_run(s.session, &c, &err), LIMBER_E_ARGUMENT);
    sender_close(&s);
}
