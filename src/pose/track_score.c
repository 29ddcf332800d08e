/* SPDX-License-Identifier: MIT */
/* pose/track_score.c - see pose/track_score.h. Frames are kept as they came, since HOTA pairs with the whole sequence in mind: how often a
 * truth and an answer could be one over all frames (their alignment) weighs how alike they are in this one. */
#include "pose/track_score.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "pose/assign.h"

struct frame {
    int *truth, *answer; /* [truths], [answers]: places in the lists of ids */
    int truths, answers;
    double *alike; /* [truths][answers] */
};
struct ids {
    int *id;
    long long *frames; /* how often each was there */
    int count, room;
};
struct track_score {
    struct frame *v;
    int count, room;
    struct ids truth, answer;
};

limber_status track_score_open(struct track_score **out, limber_error *err)
{
    *out = calloc(1, sizeof **out);
    return *out ? LIMBER_OK : limber_fail(err, LIMBER_E_MEMORY, "no memory for scores of tracks");
}

void track_score_close(struct track_score **s)
{
    if (!s || !*s)
        return;
    for (int i = 0; i < (*s)->count; i++) {
        free((*s)->v[i].truth);
        free((*s)->v[i].alike);
    }
    free((*s)->v);
    free((*s)->truth.id);
    free((*s)->truth.frames);
    free((*s)->answer.id);
    free((*s)->answer.frames);
    free(*s);
    *s = NULL;
}

static int place_of(struct ids *ids, int id)
{
    int i = 0;
    while (i < ids->count && ids->id[i] != id)
        i++;
    if (i == ids->count) {
        if (ids->count == ids->room) {
            const int room = ids->room ? 2 * ids->room : 32;
            int *more = realloc(ids->id, (size_t)room * sizeof *more);
            ids->id = more ? more : ids->id;
            long long *frames = realloc(ids->frames, (size_t)room * sizeof *frames);
            ids->frames = frames ? frames : ids->frames;
            if (!more || !frames)
                return -1;
            ids->room = room;
        }
        ids->id[i] = id;
        ids->frames[i] = 0;
        ids->count++;
    }
    ids->frames[i]++;
    return i;
}

limber_status track_score_frame(struct track_score *s, const int *truth, int truths, const int *answer, int answers,
                                const double *alike, limber_error *err)
{
    if (s->count == s->room) {
        const int room = s->room ? 2 * s->room : 64;
        struct frame *more = realloc(s->v, (size_t)room * sizeof *more);
        if (!more)
            return limber_fail(err, LIMBER_E_MEMORY, "no memory for %d frames", room);
        s->v = more;
        s->room = room;
    }
    const size_t cells = (size_t)truths * (size_t)answers;
    struct frame f = {.truths = truths, .answers = answers};
    f.truth = malloc((size_t)(truths + answers + 1) * sizeof *f.truth);
    f.alike = malloc((cells + 1) * sizeof *f.alike);
    bool ok = f.truth && f.alike;
    if (ok) {
        f.answer = f.truth + truths;
        if (cells)
            memcpy(f.alike, alike, cells * sizeof *f.alike);
        for (int i = 0; ok && i < truths; i++)
            ok = (f.truth[i] = place_of(&s->truth, truth[i])) >= 0;
        for (int i = 0; ok && i < answers; i++)
            ok = (f.answer[i] = place_of(&s->answer, answer[i])) >= 0;
    }
    if (!ok) {
        free(f.truth);
        free(f.alike);
        return limber_fail(err, LIMBER_E_MEMORY, "no memory for a frame of %d and %d", truths, answers);
    }
    s->v[s->count++] = f;
    return LIMBER_OK;
}

/* ---- the whole sequence ---- */

struct sums {
    double *potential; /* [truth ids][answer ids]: how much they could be one, then their alignment */
    double *overlaps;  /* the same, of frames in which they are alike by 0.5 */
    double *matches;   /* [alphas][truth ids][answer ids]: frames matched at each alpha */
    double *gain;      /* of one frame */
    int *match;
    long long tp[TRACK_SCORE_ALPHAS];
    int *last, *before; /* [truth ids]: the answer a truth had last, and in the frame before; for switches */
};

static double alpha(int a)
{
    return 0.05 * (a + 1);
}

static void add_potential(const struct frame *f, int answer_ids, struct sums *u)
{
    for (int i = 0; i < f->truths; i++)
        for (int j = 0; j < f->answers; j++) {
            double row = 0, column = 0;
            for (int k = 0; k < f->answers; k++)
                row += f->alike[i * f->answers + k];
            for (int k = 0; k < f->truths; k++)
                column += f->alike[k * f->answers + j];
            const double s = f->alike[i * f->answers + j], all = row + column - s;
            const size_t at = (size_t)f->truth[i] * (size_t)answer_ids + (size_t)f->answer[j];
            if (all > DBL_EPSILON)
                u->potential[at] += s / all;
            u->overlaps[at] += s >= 0.5;
        }
}

static limber_status match_frame(const struct track_score *s, const struct frame *f, struct sums *u, limber_error *err)
{
    const size_t ids = (size_t)s->answer.count, plane = (size_t)s->truth.count * ids;
    for (int i = 0; i < f->truths; i++)
        for (int j = 0; j < f->answers; j++)
            u->gain[i * f->answers + j] =
                u->potential[(size_t)f->truth[i] * ids + (size_t)f->answer[j]] * f->alike[i * f->answers + j];
    limber_status st = assign_best(u->gain, f->truths, f->answers, u->match, err);
    for (int i = 0; !st && i < f->truths; i++) {
        const int j = u->match[i];
        for (int a = 0; j >= 0 && a < TRACK_SCORE_ALPHAS; a++)
            if (f->alike[i * f->answers + j] >= alpha(a) - DBL_EPSILON) {
                u->tp[a]++;
                u->matches[(size_t)a * plane + (size_t)f->truth[i] * ids + (size_t)f->answer[j]]++;
            }
    }
    return st;
}

/* CLEAR MOT: pairs of the frame before are kept where they still hold, then the best; another answer than last time is a switch. */
static limber_status count_switches(const struct track_score *s, const struct frame *f, struct sums *u, struct track_scores *out,
                                    limber_error *err)
{
    if (!f->truths || !f->answers)
        return LIMBER_OK; /* as in TrackEval, nothing ends here */
    for (int i = 0; i < f->truths; i++)
        for (int j = 0; j < f->answers; j++) {
            const double like = f->alike[i * f->answers + j];
            u->gain[i * f->answers + j] =
                like < 0.5 - DBL_EPSILON ? 0 : like + (u->before[f->truth[i]] == f->answer[j] ? 1000 : 0);
        }
    limber_status st = assign_best(u->gain, f->truths, f->answers, u->match, err);
    for (int i = 0; !st && i < s->truth.count; i++)
        u->before[i] = -1;
    for (int i = 0; !st && i < f->truths; i++) {
        if (u->match[i] < 0)
            continue;
        const int truth = f->truth[i], answer = f->answer[u->match[i]];
        out->switches += u->last[truth] >= 0 && u->last[truth] != answer;
        u->last[truth] = u->before[truth] = answer;
    }
    return st;
}

static void hota_at(const struct track_score *s, const struct sums *u, int a, struct track_scores *out)
{
    const size_t ids = (size_t)s->answer.count, plane = (size_t)s->truth.count * ids;
    double sum = 0;
    for (int i = 0; i < s->truth.count; i++)
        for (int j = 0; j < s->answer.count; j++) {
            const double n = u->matches[(size_t)a * plane + (size_t)i * ids + (size_t)j];
            sum += n * n / fmax(1, (double)(s->truth.frames[i] + s->answer.frames[j]) - n);
        }
    const double tp = (double)u->tp[a], all = (double)(out->truths + out->answers) - tp;
    const double deta = tp / fmax(1, all), assa = sum / fmax(1, tp);
    out->hota_at[a] = sqrt(deta * assa);
    out->hota += out->hota_at[a] / TRACK_SCORE_ALPHAS;
    out->deta += deta / TRACK_SCORE_ALPHAS;
    out->assa += assa / TRACK_SCORE_ALPHAS;
}

static limber_status idf1(const struct track_score *s, const struct sums *u, struct track_scores *out, limber_error *err)
{
    int *match = malloc(((size_t)s->truth.count + 1) * sizeof *match);
    if (!match)
        return limber_fail(err, LIMBER_E_MEMORY, "no memory for %d tracks", s->truth.count);
    limber_status st = assign_best(u->overlaps, s->truth.count, s->answer.count, match, err);
    double tp = 0;
    for (int i = 0; !st && i < s->truth.count; i++)
        if (match[i] >= 0)
            tp += u->overlaps[(size_t)i * (size_t)s->answer.count + (size_t)match[i]];
    free(match);
    out->idr = tp / fmax(1, (double)out->truths);
    out->idp = tp / fmax(1, (double)out->answers);
    out->idf1 = 2 * tp / fmax(1, (double)(out->truths + out->answers));
    return st;
}

static limber_status result(const struct track_score *s, struct sums *u, struct track_scores *out, limber_error *err)
{
    const int answers = s->answer.count;
    for (int f = 0; f < s->count; f++)
        add_potential(&s->v[f], answers, u);
    for (int i = 0; i < s->truth.count; i++) {
        u->last[i] = u->before[i] = -1;
        for (int j = 0; j < answers; j++) {
            double *p = &u->potential[(size_t)i * (size_t)answers + (size_t)j];
            *p /= (double)(s->truth.frames[i] + s->answer.frames[j]) - *p;
        }
    }
    limber_status st = LIMBER_OK;
    for (int f = 0; !st && f < s->count; f++) {
        st = match_frame(s, &s->v[f], u, err);
        if (!st)
            st = count_switches(s, &s->v[f], u, out, err);
    }
    for (int a = 0; !st && a < TRACK_SCORE_ALPHAS; a++)
        hota_at(s, u, a, out);
    return st ? st : idf1(s, u, out, err);
}

limber_status track_score_result(const struct track_score *s, struct track_scores *out, limber_error *err)
{
    *out = (struct track_scores){0};
    size_t most = 1, cells = 1;
    for (int f = 0; f < s->count; f++) {
        const struct frame *v = &s->v[f];
        out->truths += v->truths;
        out->answers += v->answers;
        if ((size_t)v->truths * (size_t)v->answers > cells)
            cells = (size_t)v->truths * (size_t)v->answers;
        if ((size_t)v->truths > most)
            most = (size_t)v->truths;
    }
    const size_t plane = (size_t)s->truth.count * (size_t)s->answer.count + 1, truths = (size_t)s->truth.count + 1;
    struct sums u = {0};
    u.potential = calloc(2 * plane, sizeof *u.potential);
    u.matches = calloc(TRACK_SCORE_ALPHAS * plane, sizeof *u.matches);
    u.gain = malloc(cells * sizeof *u.gain);
    u.match = malloc(most * sizeof *u.match);
    u.last = malloc(2 * truths * sizeof *u.last);
    limber_status st = LIMBER_OK;
    if (u.potential && u.matches && u.gain && u.match && u.last) {
        u.overlaps = u.potential + plane;
        u.before = u.last + truths;
        st = result(s, &u, out, err);
    } else {
        st = limber_fail(err, LIMBER_E_MEMORY, "no memory for %d and %d tracks", s->truth.count, s->answer.count);
    }
    free(u.potential);
    free(u.matches);
    free(u.gain);
    free(u.match);
    free(u.last);
    return st;
}
