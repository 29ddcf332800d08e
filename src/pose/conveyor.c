/* SPDX-License-Identifier: MIT */
/* pose/conveyor.c - see pose/conveyor.h. The belt is a ring; four counts say where each parcel is:
 *
 *     done <= seen <= known <= taken         [seen, known) is the group that the network sees next, [known, taken) is for `find`
 *
 * A group is closed when it fills the batch, when one more picture would not fit (better what is there than a full pass and a tiny
 * one), or when nothing more comes for now. */
#include "pose/conveyor.h"

#include <stdlib.h>

#include "base/error.h"

struct belt {
    limber_session *session;
    const struct conveyor *c;
    struct parcel **ring;  /* [window] */
    struct parcel **group; /* [window]: what one callback sees */
    struct job **jobs;     /* [window] */
    size_t done, seen, known, taken;
    int people;    /* of the group */
    bool finished; /* a callback has had enough */
};

static struct parcel *at(const struct belt *b, size_t index)
{
    return b->ring[index % b->c->window];
}

static bool stopped(const struct belt *b)
{
    return b->c->stop && *b->c->stop;
}

/* The network over the group. */
static limber_status forward(struct belt *b, limber_error *err)
{
    int n = 0;
    for (size_t i = b->seen; i < b->known; i++)
        if (!at(b, i)->status)
            b->jobs[n++] = &at(b, i)->job;
    b->people = 0;
    limber_status st = n ? jobs_forward(b->session, b->jobs, n, err) : LIMBER_OK;
    for (; !st && !b->finished && b->seen < b->known; b->seen++) {
        struct parcel *p = at(b, b->seen);
        if (p->status)
            continue;
        st = job_finish(&p->job, b->session->model, &p->people, &p->error);
        if (st == LIMBER_E_MODEL) { /* no finite result: of this picture alone */
            p->status = st;
            st = LIMBER_OK;
            continue;
        }
        if (st)
            limber_fail(err, st, "%s", p->error.text);
        else if (b->c->seen)
            b->finished = !b->c->seen(b->c->context, p, err);
    }
    return st;
}

/* Parcels of which it is known who is in them join the group. */
static limber_status join(struct belt *b, limber_error *err)
{
    const int batch = b->session->batch;
    limber_status st = LIMBER_OK;
    while (!st && !b->finished && b->known < b->taken) {
        const struct parcel *p = at(b, b->known);
        const int more = p->status ? 0 : p->job.count;
        if (b->people && more > batch - b->people && (st = forward(b, err)))
            break;
        b->known++;
        b->people = more > batch - b->people ? batch : b->people + more;
        if (b->people >= batch)
            st = forward(b, err);
    }
    return st;
}

/* Who is in the pictures that wait for it. */
static limber_status find(struct belt *b, limber_error *err)
{
    int n = 0;
    for (size_t i = b->known; i < b->taken; i++)
        if (!at(b, i)->status && at(b, i)->unfound)
            b->group[n++] = at(b, i);
    if (n && !b->c->find)
        return limber_fail(err, LIMBER_E_ARGUMENT, "conveyor: nobody says who is in %d pictures", n);
    const limber_status st = n ? b->c->find(b->c->context, b->group, n, err) : LIMBER_OK;
    return st ? st : join(b, err);
}

static void hand_on(struct belt *b, bool wait_for_one)
{
    for (; !b->finished && b->done < b->seen; wait_for_one = false) {
        struct parcel *p = at(b, b->done);
        if (!wait_for_one && b->c->is_ready && !b->c->is_ready(b->c->context, p))
            break;
        b->done++;
        b->finished = !b->c->done(b->c->context, p);
    }
}

static limber_status run(struct belt *b, limber_error *err)
{
    const struct conveyor *c = b->c;
    const size_t find_batch = c->find_batch > 1 ? (size_t)c->find_batch : 1;
    limber_status st = LIMBER_OK;
    while (!st && !b->finished) {
        const bool holding = b->taken > b->done, full = b->taken - b->done == c->window;
        struct parcel *p = full || stopped(b) ? NULL : c->next(c->context, holding);
        if (p) {
            b->ring[b->taken++ % c->window] = p;
            const bool unfound = !p->status && p->unfound;
            if ((!unfound && b->taken - b->known == 1) || b->taken - b->known >= find_batch)
                st = find(b, err);
            if (!st)
                hand_on(b, false);
        } else if (b->known < b->taken && !stopped(b)) {
            st = find(b, err);
        } else if (b->seen < b->known && !stopped(b)) {
            st = forward(b, err);
        } else if (b->done < b->seen) {
            hand_on(b, true); /* after a signal, too: what went through the network is not lost */
        } else {
            break;
        }
    }
    return st;
}

limber_status conveyor_run(limber_session *session, const struct conveyor *conveyor, limber_error *err)
{
    const size_t window = conveyor->window;
    struct belt b = {.session = session, .c = conveyor};
    b.ring = calloc(window, sizeof *b.ring);
    b.group = calloc(window, sizeof *b.group);
    b.jobs = calloc(window, sizeof *b.jobs);
    limber_status st =
        b.ring && b.group && b.jobs ? run(&b, err) : limber_fail(err, LIMBER_E_MEMORY, "no memory for %zu pictures", window);
    free(b.ring);
    free(b.group);
    free(b.jobs);
    return st;
}
