/* SPDX-License-Identifier: MIT */
/* heads/experiment.c - one person after the other: clear run, corrupted runs, every head patched, measured, added up.
 *
 *     annotated joints -> limb's pixels -> blurred crop    heads/masks.c, heads/corrupt.c
 *     runs kept, heads replaced                            heads/patch.c
 *     how good a run is at a limb; people, images          heads/effects.c
 *
 * NOISE puts the corrupted run's head into the clear run (is it needed?), DENOISE the clear run's into the corrupted one (is it enough?),
 * MOVED is NOISE with the same blur elsewhere. SWAP puts in the head of a person of another picture, drawn from the last few seen, ZERO,
 * MEAN and CONST a constant. All lots are hashes of the seed and the image's number: the order of work changes nothing. */
#include "heads/experiment.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "heads/corrupt.h"

#define DONORS 16
enum { CLEAR, CHANGED, SLOTS };

struct donor {
    uint8_t *crop;
    struct effect_target target;
    uint64_t image;
};

struct experiment {
    limber_session *session;
    const struct config *config;
    struct experiment_options options;
    limber_patch *patch;
    struct effects *effects;
    struct corrupt corrupt;
    size_t heads, rows, crop_bytes; /* heads of all layers; and the sets */
    uint8_t *crop, *changed;
    float *heat;
    effect_measures *raw, *direct; /* [rows] */
    struct donor donors[DONORS];
    int donor_count, donor_next;
    int64_t counted[EFFECT_BYS][LIMBS]; /* people; of SWAP, ZERO, MEAN and CONST all in [0] */
    struct experiment_lot lots[LIMBS], image_lots[LIMBS];
    struct focus focus;
    double *entropy, *loss; /* [heads], [heads][EFFECT_METRICS] */
    /* the last image as numbers: people counted by change and limb, lots, those of effects.c, and of each person of MEAN entropy and loss */
    double *record;
    size_t record_size, record_room;
};
static const struct experiment_lot no_lot = {.image = -1, .lot = UINT64_MAX};

limber_status experiment_open(struct experiment **out, limber_session *session, const struct experiment_options *options,
                              limber_error *err)
{
    const struct config *c = &session->model->config;
    *out = NULL;
    if (!c->coco)
        return limber_fail(err, LIMBER_E_UNSUPPORTED, "patch: limbs need COCO's 17 joints, this model finds %d others",
                           c->keypoints);
    struct experiment *e = calloc(1, sizeof *e);
    if (!e)
        return limber_fail(err, LIMBER_E_MEMORY, "patch: no memory");
    e->session = session;
    e->config = c;
    e->options = *options;
    e->heads = (size_t)c->layers * (size_t)c->heads;
    e->rows = e->heads + (size_t)options->set_count;
    e->crop_bytes = (size_t)c->image_h * (size_t)c->image_w * 3;
    const struct effects_shape shape = {.layers = c->layers,
                                        .heads = c->heads,
                                        .sets = options->set_count,
                                        .by = options->by,
                                        .replicates = options->bootstrap,
                                        .seed = options->seed,
                                        .chosen = options->heads};
    limber_patch_options o = limber_patch_options_default();
    o.slots = SLOTS;
    limber_status st = limber_patch_open(&e->patch, session, &o, err);
    if (!st)
        st = effects_open(&e->effects, &shape, err);
    if (!st)
        st = corrupt_open(&e->corrupt, c, err);
    e->crop = malloc(e->crop_bytes);
    e->changed = malloc(e->crop_bytes);
    e->heat = malloc((size_t)c->keypoints * (size_t)c->map_h * (size_t)c->map_w * sizeof *e->heat);
    e->raw = calloc(e->rows, sizeof *e->raw);
    e->direct = calloc(e->rows, sizeof *e->direct);
    e->entropy = malloc(e->heads * sizeof *e->entropy);
    e->loss = malloc(e->heads * EFFECT_METRICS * sizeof *e->loss);
    bool fine = e->crop && e->changed && e->heat && e->raw && e->direct && e->entropy && e->loss;
    for (int i = 0; i < DONORS && options->by >> BY_SWAP & 1; i++)
        fine = (e->donors[i].crop = malloc(e->crop_bytes)) != NULL && fine;
    for (int i = 0; i < LIMBS; i++)
        e->lots[i] = e->image_lots[i] = no_lot;
    if (!st && !fine)
        st = limber_fail(err, LIMBER_E_MEMORY, "patch: no memory for crops of %dx%d", c->image_w, c->image_h);
    if (st)
        experiment_close(&e);
    *out = e;
    return st;
}

void experiment_close(struct experiment **experiment)
{
    struct experiment *e = experiment ? *experiment : NULL;
    if (!e)
        return;
    limber_patch_close(&e->patch);
    effects_close(&e->effects);
    corrupt_close(&e->corrupt);
    for (int i = 0; i < DONORS; i++)
        free(e->donors[i].crop);
    free(e->crop);
    free(e->changed);
    free(e->heat);
    free(e->raw);
    free(e->direct);
    free(e->entropy);
    free(e->loss);
    free(e->record);
    focus_close(&e->focus);
    free(e);
    *experiment = NULL;
}

/* ---- one change of one person ---- */

struct visit {
    struct experiment *e;
    const struct effect_target *target;
    effect_measures base;
    double sign;
};

/* out: by how much a run is better at the limbs than the base, or worse. */
static void change_of(effect_measures out, const struct visit *v, const float *heat, const limber_keypoint *joints)
{
    effect_measures got;
    effect_measure(got, v->target, heat, joints);
    for (int c = 0; c < LIMBS; c++)
        for (int m = 0; m < EFFECT_METRICS; m++)
            out[c][m] = v->sign * (got[c][m] - v->base[c][m]);
}

static void see(void *context, const limber_patch_effect *f)
{
    const struct visit *v = context;
    const size_t head = (size_t)f->layer * (size_t)v->e->config->heads + (size_t)f->head;
    change_of(v->e->raw[head], v, f->heat, f->joints);
    if (f->direct_heat)
        change_of(v->e->direct[head], v, f->direct_heat, f->direct_joints);
}

static limber_status see_sets(const struct visit *v, int base, int source, bool direct, limber_error *err)
{
    struct experiment *e = v->e;
    limber_keypoint joints[COCO_KEYPOINTS];
    limber_status st = LIMBER_OK;
    for (size_t row = e->heads; !st && row < e->rows; row++) {
        const uint8_t *set = e->options.sets + (row - e->heads) * e->heads;
        for (int turn = 0; !st && turn < 1 + direct; turn++) {
            st = limber_patch_run(e->patch, base, source, set, turn ? LIMBER_PATCH_DIRECT : 0, joints, e->heat, err);
            if (!st)
                change_of(turn ? e->direct[row] : e->raw[row], v, e->heat, joints);
        }
    }
    return st;
}

static limber_status measure_slot(struct experiment *e, effect_measures out, int slot, const struct effect_target *target,
                                  limber_error *err)
{
    limber_keypoint joints[COCO_KEYPOINTS];
    limber_status st = limber_patch_run(e->patch, slot, slot, NULL, 0, joints, e->heat, err);
    if (!st)
        effect_measure(out, target, e->heat, joints);
    return st;
}

/* Every head of `source` put into `base`, added under `by`. gap: the clear run's measures less the corrupted one's, or NULL. */
static limber_status patch_all(struct experiment *e, enum effect_by by, int limb, int base, int source,
                               const struct effect_target *target, const effect_measures of_base, const effect_measures gap,
                               limber_error *err)
{
    struct visit v = {.e = e, .target = target, .sign = by == BY_DENOISE ? 1 : -1};
    const bool direct = by != BY_MOVED;
    bool has[LIMBS], finite = true;
    memcpy(v.base, of_base, sizeof v.base);
    for (int c = 0; c < LIMBS; c++) {
        has[c] = effect_target_has(target, c);
        for (int m = 0; m < EFFECT_METRICS; m++)
            finite = finite && isfinite(of_base[c][m]) && (!gap || isfinite(gap[c][m]));
    }
    if (!finite)
        return limber_fail(err, LIMBER_E_MODEL, "the network's heat maps are not finite");
    limber_status st = e->options.path ? limber_patch_path(e->patch, base, source, e->options.path, err) : LIMBER_OK;
    source = e->options.path ? LIMBER_PATCH_PATH : source;
    if (!st)
        st = limber_patch_each(e->patch, base, source, e->options.heads, direct, see, &v, err);
    if (!st)
        st = see_sets(&v, base, source, direct, err);
    if (!st)
        effects_add(e->effects, by, limb, has, (const effect_measures *)e->raw,
                    direct ? (const effect_measures *)e->direct : NULL, gap);
    return st;
}

static bool wanted(const struct experiment *e, enum effect_by by, int limb)
{
    return (e->options.by >> by & 1) && (!e->options.people || e->counted[by][limb] < e->options.people);
}

static void subtract(effect_measures out, const effect_measures a, const effect_measures b)
{
    for (int c = 0; c < LIMBS; c++)
        for (int m = 0; m < EFFECT_METRICS; m++)
            out[c][m] = a[c][m] - b[c][m];
}

/* ---- limbs ---- */

struct person {
    const struct experiment_person *given;
    struct crop_region region;
    struct effect_target target;
    struct heads_capsule capsules[HEADS_MAX_CAPSULES];
    int capsule_count;
    uint64_t image, number;
    effect_measures clear;
};

static void person_make(struct person *p, const struct experiment *e, const struct experiment_person *given,
                        struct crop_region region, uint64_t image, int number)
{
    limber_keypoint joints[COCO_KEYPOINTS];
    *p = (struct person){.given = given, .region = region, .image = image, .number = (uint64_t)number};
    effect_target_make(&p->target, e->config, e->options.sigmas, given->joints, given->box, given->area, region);
    for (int k = 0; k < COCO_KEYPOINTS; k++)
        joints[k] = (limber_keypoint){(float)given->joints[k][0], (float)given->joints[k][1], p->target.there[k] ? 1 : 0};
    p->capsule_count = heads_capsules(p->capsules, joints, 0, given->box, heads_place_of(e->config, region));
}

/* Two joints of the limb at least, or what is blurred is not it. */
static bool shows(const struct person *p, int limb)
{
    int n = 0, bones = 0;
    for (int k = 0; k < COCO_KEYPOINTS; k++)
        n += (effect_joints[limb] >> k & 1) && p->target.there[k];
    for (int i = 0; i < p->capsule_count; i++)
        bones += p->capsules[i].class == limb;
    return n >= 2 && bones > 0;
}

static void draw_lot(struct experiment *e, const struct person *p, int limb)
{
    const uint64_t lot = heads_hash(e->options.seed, p->image, p->number, 0x107 + (uint64_t)limb);
    if (lot < e->image_lots[limb].lot)
        e->image_lots[limb] = (struct experiment_lot){.image = (int64_t)p->image, .person = (int)p->number, .lot = lot};
}

static limber_status blur_limb(struct experiment *e, struct person *p, int limb, limber_error *err)
{
    const bool noise = wanted(e, BY_NOISE, limb), denoise = wanted(e, BY_DENOISE, limb);
    effect_measures changed, gap;
    if ((!noise && !denoise) || !shows(p, limb) || !corrupt_mask(&e->corrupt, p->capsules, p->capsule_count, limb))
        return LIMBER_OK;
    corrupt_blur(&e->corrupt, e->changed, e->crop, e->corrupt.mask);
    limber_status st = patch_capture(e->patch, CHANGED, e->changed, p->region, err);
    if (!st)
        st = measure_slot(e, changed, CHANGED, &p->target, err);
    if (st)
        return st;
    subtract(gap, p->clear, changed);
    if (denoise)
        st = patch_all(e, BY_DENOISE, limb, CHANGED, CLEAR, &p->target, changed, gap, err);
    if (!st && noise)
        st = patch_all(e, BY_NOISE, limb, CLEAR, CHANGED, &p->target, p->clear, gap, err);
    if (st)
        return st;
    e->counted[BY_DENOISE][limb] += denoise;
    e->counted[BY_NOISE][limb] += noise;
    draw_lot(e, p, limb);
    if (!noise || !(e->options.by >> BY_MOVED & 1) ||
        !corrupt_move(&e->corrupt, e->options.seed, p->image, p->number, (uint64_t)limb))
        return LIMBER_OK;
    corrupt_blur(&e->corrupt, e->changed, e->crop, e->corrupt.moved);
    st = patch_capture(e->patch, CHANGED, e->changed, p->region, err);
    if (!st)
        st = measure_slot(e, changed, CHANGED, &p->target, err);
    if (st)
        return st;
    subtract(gap, p->clear, changed);
    return patch_all(e, BY_MOVED, limb, CLEAR, CHANGED, &p->target, p->clear, gap, err);
}

/* ---- the whole person ---- */

static const struct donor *find_donor(const struct experiment *e, const struct person *p)
{
    const uint64_t lot = heads_hash(e->options.seed, p->image, p->number, 0x5a8);
    for (int i = 0; i < e->donor_count; i++) {
        const struct donor *d = &e->donors[(lot + (uint64_t)i) % (uint64_t)e->donor_count];
        if (d->image != p->image)
            return d;
    }
    return NULL;
}

static void keep_donor(struct experiment *e, const struct person *p)
{
    struct donor *d = &e->donors[e->donor_next];
    memcpy(d->crop, e->crop, e->crop_bytes);
    d->target = p->target;
    d->target.other = NULL;
    d->image = p->image;
    e->donor_next = (e->donor_next + 1) % DONORS;
    e->donor_count = e->donor_count < DONORS ? e->donor_count + 1 : e->donor_count;
}

/* What the network says of another person's picture, held against this one: the joints of both, heat here less heat there. */
static limber_status swap_person(struct experiment *e, struct person *p, limber_error *err)
{
    const struct donor *d = find_donor(e, p);
    effect_measures base, other, gap;
    if (!d || !wanted(e, BY_SWAP, 0))
        return LIMBER_OK;
    struct effect_target target = p->target;
    target.other = &d->target;
    limber_status st = patch_capture(e->patch, CHANGED, d->crop, p->region, err);
    if (!st)
        st = measure_slot(e, base, CLEAR, &target, err);
    if (!st)
        st = measure_slot(e, other, CHANGED, &target, err);
    if (st)
        return st;
    subtract(gap, base, other);
    e->counted[BY_SWAP][0]++;
    return patch_all(e, BY_SWAP, -1, CLEAR, CHANGED, &target, base, gap, err);
}

/* What the mean in each head's place costs this person, over the limbs that can be measured, beside the head's entropy. */
static limber_status focus_person(struct experiment *e, const struct person *p, limber_error *err)
{
    limber_status st = focus_entropy(e->entropy, e->session, e->crop, err);
    int limbs = 0;
    for (int c = 0; c < LIMBS; c++)
        limbs += effect_target_has(&p->target, c);
    for (size_t h = 0; h < e->heads; h++)
        for (size_t m = 0; m < EFFECT_METRICS; m++) {
            double sum = 0;
            for (int c = 0; c < LIMBS; c++)
                sum += effect_target_has(&p->target, c) ? e->raw[h][c][m] : 0;
            e->loss[h * EFFECT_METRICS + m] = sum / limbs;
        }
    if (!st && !focus_add(&e->focus, e->heads, e->entropy, e->loss))
        st = limber_fail(err, LIMBER_E_MEMORY, "patch: no memory for %d people", e->focus.count);
    return st;
}

static limber_status ablate(struct experiment *e, struct person *p, limber_error *err)
{
    static const struct {
        enum effect_by by;
        int source;
    } kinds[] = {{BY_ZERO, LIMBER_PATCH_ZERO}, {BY_MEAN, LIMBER_PATCH_MEAN}, {BY_CONST, LIMBER_PATCH_CONST}};
    limber_status st = LIMBER_OK;
    for (size_t i = 0; !st && i < sizeof kinds / sizeof *kinds; i++)
        if (wanted(e, kinds[i].by, 0)) {
            st = patch_all(e, kinds[i].by, -1, CLEAR, kinds[i].source, &p->target, p->clear, NULL, err);
            e->counted[kinds[i].by][0]++;
            if (!st && kinds[i].by == BY_MEAN && !e->options.path)
                st = focus_person(e, p, err);
        }
    return st;
}

static bool labelled(const struct effect_target *t)
{
    for (int c = 0; c < LIMBS; c++)
        if (effect_target_has(t, c))
            return true;
    return false;
}

static limber_status add_person(struct experiment *e, const limber_image *image, const struct experiment_person *given,
                                struct crop_region region, uint64_t number, int who, limber_error *err)
{
    struct person p;
    person_make(&p, e, given, region, number, who);
    if (!labelled(&p.target) || experiment_full(e))
        return LIMBER_OK;
    crop_sample(e->crop, e->config->image_h, e->config->image_w, image, region);
    corrupt_crop(&e->corrupt, e->crop);
    limber_status st = patch_capture(e->patch, CLEAR, e->crop, region, err);
    if (!st)
        st = measure_slot(e, p.clear, CLEAR, &p.target, err);
    if (!st)
        st = ablate(e, &p, err);
    if (!st)
        st = swap_person(e, &p, err);
    for (int c = 0; !st && c < LIMBS; c++)
        st = blur_limb(e, &p, c, err);
    if (!st && (e->options.by >> BY_SWAP & 1))
        keep_donor(e, &p);
    return st;
}

/* ---- one image ---- */

/* Boxes checked as limber_run checks them; *regions: [count], to free. */
static limber_status place_people(const struct experiment *e, struct crop_region **regions, const limber_image *image,
                                  const struct experiment_person *people, int count, limber_error *err)
{
    *regions = malloc(((size_t)count + 1) * sizeof **regions);
    limber_status st = *regions ? LIMBER_OK : limber_fail(err, LIMBER_E_MEMORY, "patch: no memory for %d people", count);
    for (int i = 0; !st && i < count; i++) {
        struct job job = {0};
        if (!(st = job_prepare(&job, e->session->model, image, &people[i].box, 1, err)))
            (*regions)[i] = job.subjects[0].region;
        job_free(&job);
    }
    if (st) {
        free(*regions);
        *regions = NULL;
    }
    return st;
}

limber_status experiment_calibrate(struct experiment *e, const limber_image *image, const struct experiment_person *people,
                                   int count, limber_error *err)
{
    limber_status st = LIMBER_OK;
    for (int i = 0; !st && i < count; i++) {
        st = limber_patch_capture(e->patch, CLEAR, image, people[i].box, err);
        if (!st)
            st = limber_patch_mean(e->patch, CLEAR, err);
    }
    return st;
}

/* ---- an image as numbers ---- */

static void keep_lots(struct experiment *e)
{
    for (int c = 0; c < LIMBS; c++) {
        if (e->image_lots[c].lot < e->lots[c].lot)
            e->lots[c] = e->image_lots[c];
        e->image_lots[c] = no_lot;
    }
}

static void forget(struct experiment *e, int64_t counted[EFFECT_BYS][LIMBS], int people)
{
    effects_forget(e->effects);
    memcpy(e->counted, counted, sizeof e->counted);
    e->focus.count = people;
    for (int c = 0; c < LIMBS; c++)
        e->image_lots[c] = no_lot;
}

/* COUNTED numbers come first: people counted, people of MEAN; person and lot (in halves) of each limb. */
#define COUNTED ((size_t)(EFFECT_BYS * LIMBS + 1 + 3 * LIMBS))

static limber_status make_record(struct experiment *e, int64_t before[EFFECT_BYS][LIMBS], int first, limber_error *err)
{
    const size_t person = e->heads * (1 + EFFECT_METRICS),
                 most = COUNTED + effects_record_max(e->effects) + (size_t)(e->focus.count - first) * person;
    if (most > e->record_room) {
        double *room = realloc(e->record, most * sizeof *room);
        if (!room)
            return limber_fail(err, LIMBER_E_MEMORY, "patch: no memory for the record of an image");
        e->record = room;
        e->record_room = most;
    }
    double *at = e->record;
    for (int i = 0; i < EFFECT_BYS * LIMBS; i++)
        *at++ = (double)(e->counted[i / LIMBS][i % LIMBS] - before[i / LIMBS][i % LIMBS]);
    *at++ = e->focus.count - first;
    for (int c = 0; c < LIMBS; c++) {
        const struct experiment_lot *l = &e->image_lots[c];
        *at++ = l->image < 0 ? -1 : l->person;
        *at++ = (double)(l->lot >> 32);
        *at++ = (double)(l->lot & 0xffffffffu);
    }
    at += effects_record(e->effects, at);
    for (size_t i = (size_t)first; i < (size_t)e->focus.count; i++) {
        memcpy(at, e->focus.entropy + i * e->heads, e->heads * sizeof *at);
        memcpy(at + e->heads, e->focus.loss + i * e->heads * EFFECT_METRICS, e->heads * EFFECT_METRICS * sizeof *at);
        at += person;
    }
    e->record_size = (size_t)(at - e->record);
    return LIMBER_OK;
}

const double *experiment_record(const struct experiment *e, size_t *count)
{
    *count = e->record_size;
    return e->record;
}

static bool read_record(struct experiment *e, const double *in, size_t size, int count, uint64_t number)
{
    const size_t person = e->heads * (1 + EFFECT_METRICS);
    bool fine = size >= COUNTED;
    for (size_t i = 0; fine && i < COUNTED; i++)
        fine = in[i] >= -1 && in[i] < 4294967296.0;
    for (size_t i = 0; fine && i < (size_t)(EFFECT_BYS * LIMBS) + 1; i++)
        fine = in[i] >= 0 && in[i] <= count;
    if (!fine)
        return false;
    const size_t people = (size_t)in[EFFECT_BYS * LIMBS];
    for (int i = 0; i < EFFECT_BYS * LIMBS; i++)
        e->counted[i / LIMBS][i % LIMBS] += (int64_t)in[i];
    for (int c = 0; c < LIMBS; c++) {
        const double *l = in + EFFECT_BYS * LIMBS + 1 + 3 * c;
        if (l[0] >= count)
            return false;
        if (l[0] >= 0)
            e->image_lots[c] = (struct experiment_lot){
                .image = (int64_t)number, .person = (int)l[0], .lot = (uint64_t)l[1] << 32 | (uint64_t)l[2]};
    }
    if (size < COUNTED + people * person || !effects_replay(e->effects, in + COUNTED, size - COUNTED - people * person))
        return false;
    in += size - people * person;
    for (size_t i = 0; fine && i < people; i++, in += person) {
        for (size_t k = 0; k < person; k++)
            fine = fine && isfinite(in[k]);
        fine = fine && focus_add(&e->focus, e->heads, in, in + e->heads);
    }
    return fine;
}

/* The crops that a later person may be swapped with. */
static limber_status find_donors_again(struct experiment *e, const limber_image *image, const struct experiment_person *people,
                                       int count, uint64_t number, limber_error *err)
{
    struct crop_region *regions;
    limber_status st = place_people(e, &regions, image, people, count, err);
    for (int i = 0; !st && i < count; i++) {
        struct person p;
        person_make(&p, e, &people[i], regions[i], number, i);
        if (!labelled(&p.target))
            continue;
        crop_sample(e->crop, e->config->image_h, e->config->image_w, image, regions[i]);
        keep_donor(e, &p);
    }
    free(regions);
    return st;
}

limber_status experiment_replay(struct experiment *e, const limber_image *image, const struct experiment_person *people,
                                int count, uint64_t number, const double *record, size_t size, limber_error *err)
{
    int64_t before[EFFECT_BYS][LIMBS];
    const int first = e->focus.count;
    memcpy(before, e->counted, sizeof before);
    limber_status st = LIMBER_OK;
    if (!read_record(e, record, size, count, number))
        st = limber_fail(err, LIMBER_E_FORMAT, "patch: not the record of an image of %d people", count);
    if (!st && image && (e->options.by >> BY_SWAP & 1))
        st = find_donors_again(e, image, people, count, number, err);
    if (st) {
        forget(e, before, first);
        return st;
    }
    effects_image(e->effects, number);
    keep_lots(e);
    return LIMBER_OK;
}

limber_status experiment_add(struct experiment *e, const limber_image *image, const struct experiment_person *people, int count,
                             uint64_t number, limber_error *err)
{
    struct crop_region *regions;
    int64_t before[EFFECT_BYS][LIMBS];
    const int first = e->focus.count;
    memcpy(before, e->counted, sizeof before);
    e->record_size = 0;
    limber_status st = place_people(e, &regions, image, people, count, err);
    for (int i = 0; !st && i < count; i++)
        st = add_person(e, image, &people[i], regions[i], number, i, err);
    free(regions);
    if (!st)
        st = make_record(e, before, first, err);
    if (st) {
        forget(e, before, first);
        return st;
    }
    effects_image(e->effects, number);
    keep_lots(e);
    return LIMBER_OK;
}

bool experiment_full(const struct experiment *e)
{
    for (int b = 0; b < EFFECT_BYS; b++)
        for (int c = 0; c < (b <= BY_MOVED ? LIMBS : 1); c++)
            if (b != BY_MOVED && wanted(e, (enum effect_by)b, c))
                return false;
    return true;
}

limber_status experiment_summarise(const struct experiment *e, struct effects_result *out, limber_error *err)
{
    return effects_summarise(e->effects, out, err);
}

const struct focus *experiment_focus(const struct experiment *e)
{
    return &e->focus;
}

struct experiment_lot experiment_lot(const struct experiment *e, int limb)
{
    return e->lots[limb];
}

/* ---- for the page ---- */

static void sum_maps(float *out, const struct experiment *e, const struct experiment_view *v, const float *heat)
{
    const size_t map = (size_t)e->config->map_h * (size_t)e->config->map_w;
    for (size_t i = 0; i < map; i++)
        out[i] = 0;
    for (size_t k = 0; k < COCO_KEYPOINTS; k++)
        for (size_t i = 0; v->there[k] && i < map; i++)
            out[i] += heat[k * map + i] > 0 ? heat[k * map + i] : 0;
}

static limber_status view_runs(struct experiment_view *v, struct experiment *e, struct person *p, int limb, int head,
                               limber_error *err)
{
    uint8_t *heads = calloc(e->heads, 1);
    if (!heads)
        return limber_fail(err, LIMBER_E_MEMORY, "patch: no memory");
    heads[head] = 1;
    memcpy(v->crop[0], e->crop, e->crop_bytes);
    corrupt_crop(&e->corrupt, e->crop);
    corrupt_mask(&e->corrupt, p->capsules, p->capsule_count, limb);
    corrupt_blur(&e->corrupt, v->crop[1], e->crop, e->corrupt.mask);
    limber_status st = patch_capture(e->patch, CLEAR, v->crop[0], p->region, err);
    if (!st)
        st = patch_capture(e->patch, CHANGED, v->crop[1], p->region, err);
    for (int i = 0; !st && i < 3; i++) {
        limber_keypoint joints[COCO_KEYPOINTS];
        effect_measures m;
        st = limber_patch_run(e->patch, i == 0 ? CLEAR : CHANGED, CLEAR, i == 2 ? heads : NULL, 0, joints, e->heat, err);
        if (!st) {
            effect_measure(m, &p->target, e->heat, joints);
            v->measure[i] = m[limb][EFFECT_HEAT];
            sum_maps(v->heat[i], e, v, e->heat);
        }
    }
    free(heads);
    return st;
}

limber_status experiment_view_make(struct experiment_view *out, struct experiment *e, const limber_image *image,
                                   const struct experiment_person *person, int limb, int head, limber_error *err)
{
    const struct config *c = e->config;
    struct experiment_view v = {0};
    struct crop_region *region;
    struct person p;
    *out = v;
    limber_status st = place_people(e, &region, image, person, 1, err);
    if (st)
        return st;
    person_make(&p, e, person, *region, 0, 0);
    crop_sample(e->crop, c->image_h, c->image_w, image, *region);
    free(region);
    bool fine = true;
    for (int i = 0; i < 2; i++)
        fine = (v.crop[i] = malloc(e->crop_bytes)) && fine;
    for (int i = 0; i < 3; i++)
        fine = (v.heat[i] = malloc((size_t)c->map_h * (size_t)c->map_w * sizeof **v.heat)) && fine;
    for (int k = 0; k < COCO_KEYPOINTS; k++) {
        v.there[k] = (effect_joints[limb] >> k & 1) && p.target.there[k];
        v.joints[k][0] = p.target.map[k][0] * (c->image_w - 1) / (c->map_w - 1);
        v.joints[k][1] = p.target.map[k][1] * (c->image_h - 1) / (c->map_h - 1);
    }
    st = fine ? view_runs(&v, e, &p, limb, head, err) : limber_fail(err, LIMBER_E_MEMORY, "patch: no memory for a picture");
    if (st)
        experiment_view_free(&v);
    *out = v;
    return st;
}

void experiment_view_free(struct experiment_view *v)
{
    for (int i = 0; i < 2; i++)
        free(v->crop[i]);
    for (int i = 0; i < 3; i++)
        free(v->heat[i]);
    *v = (struct experiment_view){0};
}
