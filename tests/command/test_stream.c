/* SPDX-License-Identifier: MIT */
/* command/stream.c: pictures come in order, and no more of them are on their way than there is room for. */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "command/stream.h"

enum { PICTURES = 12, WORKERS = 4, WIDTH = 40, HEIGHT = 30 };

static uint8_t picture[WIDTH * HEIGHT * 3 + 32];
static struct input input[PICTURES];
static atomic_int inside, most;

static struct inputs make_inputs(size_t *memory)
{
    const int n = sprintf((char *)picture, "P6 %d %d 255\n", WIDTH, HEIGHT);
    for (int i = 0; i < PICTURES; i++)
        input[i] = (struct input){.path = "-", .number = (size_t)i, .bytes = picture, .size = (size_t)n + WIDTH * HEIGHT * 3};
    struct image_about about;
    cr_assert_eq(image_examine(&about, &(struct image_options){0}, picture, input[0].size, NULL), LIMBER_OK);
    *memory = about.memory;
    return (struct inputs){.v = input, .count = PICTURES};
}

/* Stays with a decoded picture until so many others do the same, or they had the time to. */
static limber_status linger(void *context, struct stream_item *item, limber_error *err)
{
    (void)item, (void)err;
    const int expected = *(const int *)context;
    const int now = atomic_fetch_add(&inside, 1) + 1;
    for (int seen = atomic_load(&most); now > seen && !atomic_compare_exchange_weak(&most, &seen, now);)
        ;
    for (int i = 0; i < 60 && atomic_load(&most) < expected; i++)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    atomic_fetch_sub(&inside, 1);
    return LIMBER_OK;
}

/* How many pictures were decoded at once, where there is room for so many and another half. */
static int at_once(int pictures)
{
    size_t memory;
    const struct inputs inputs = make_inputs(&memory);
    int expected = pictures < WORKERS ? pictures + 1 : WORKERS; /* one more than there may be */
    const struct stream_calls calls = {.context = &expected, .find = linger, .room = (size_t)pictures * memory + memory / 2};
    struct stream *s;
    limber_error err;
    atomic_store(&most, 0);
    cr_assert_eq(stream_open(&s, NULL, &inputs, WORKERS, PICTURES, &calls, &err), LIMBER_OK);
    for (size_t i = 0; i < PICTURES; i++) {
        struct stream_item *item = stream_next(s, false); /* would wait for ever for room that is not given back */
        cr_assert_not_null(item);
        cr_expect_eq(item->index, i);
        cr_expect_eq(item->parcel.status, LIMBER_OK, "%s", item->parcel.error.text);
        cr_expect_eq(item->image.view.width, WIDTH);
        stream_release(s, item);
    }
    cr_expect_null(stream_next(s, false));
    stream_close(&s);
    return atomic_load(&most);
}

Test(stream, no_more_pictures_than_there_is_room_for, .timeout = 60)
{
    cr_expect_eq(at_once(1), 1);
    cr_expect_leq(at_once(2), 2);
    cr_expect_leq(at_once(100), WORKERS);
}

/* Who holds pictures is told to let go of them where the next one needs their room. */
Test(stream, a_caller_that_holds_is_not_kept_waiting, .timeout = 60)
{
    size_t memory;
    const struct inputs inputs = make_inputs(&memory);
    const struct stream_calls calls = {.room = 2 * memory};
    struct stream *s;
    limber_error err;
    cr_assert_eq(stream_open(&s, NULL, &inputs, WORKERS, PICTURES, &calls, &err), LIMBER_OK);
    struct stream_item *held[PICTURES];
    size_t taken = 0, released = 0;
    while (taken < PICTURES) {
        struct stream_item *item = stream_next(s, released < taken);
        if (item) {
            held[taken++] = item;
            continue;
        }
        cr_assert_lt(released, taken);
        cr_expect_leq(taken - released, 2);
        while (released < taken)
            stream_release(s, held[released++]);
    }
    stream_close(&s);
}
