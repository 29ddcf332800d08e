/* SPDX-License-Identifier: MIT */
/* command/prune/judges.c - models with something left out, on the half of the photographs that nothing was chosen by: the poses that each
 * finds, AP with its interval, and time in turns. */
#define _GNU_SOURCE
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "command/prune/prune.h"
#include "heads/chance.h"

#define AP_REPLICATES 400
#define TURNS 15

struct left_out prune_left_out(const struct run *r, const struct judged *j)
{
    const bool says = r->source == LIMBER_PATCH_CONST;
    return (struct left_out){.heads = j->heads,
                             .neurons = j->neurons,
                             .head_says = says ? r->head_says : NULL,
                             .neuron_says = says && j->neurons ? r->neuron_says : NULL};
}

limber_status prune_run(limber_session *s, const uint8_t *crop, struct crop_region region, limber_keypoint *joints, float *heat,
                        limber_error *err)
{
    const struct config *c = &s->model->config;
    limber_status st = vit_forward(&s->vit, crop, 1, joints, err);
    if (!st && heat)
        s->vit.ex->ops->buf_read(s->vit.ex, s->vit.heat, (struct span){.count = 1}, heat);
    for (int k = 0; !st && k < c->keypoints; k++)
        joints[k] = crop_to_image(joints[k], c->map_h, c->map_w, region);
    return st;
}

/* ---- random sets ---- */

/* As many of each layer's `count` as `like` has, drawn. */
static void draw(bool *out, const bool *like, int layers, int count, uint64_t seed, uint64_t set)
{
    for (int l = 0; l < layers; l++) {
        bool *at = out + (size_t)l * (size_t)count;
        int wanted = 0;
        for (int i = 0; i < count; i++)
            wanted += like[(size_t)l * (size_t)count + (size_t)i];
        for (int i = 0; i < count; i++) { /* each with the odds that are left: Knuth's algorithm S */
            const double u = (double)(heads_hash(seed, set, (uint64_t)l, (uint64_t)i) >> 11) * 0x1p-53;
            at[i] = u * (count - i) < wanted;
            wanted -= at[i];
        }
    }
}

int prune_draw_random(struct run *r)
{
    const struct config *c = &r->model->config;
    for (int s = FIRST_RANDOM; s < FIRST_ON_CURVE; s++) {
        draw(r->judged[s].heads, r->judged[CHOSEN].heads, c->layers, c->heads, (uint64_t)r->seed, 0xd4a + (uint64_t)s);
        if (r->judged[CHOSEN].neurons)
            draw(r->judged[s].neurons, r->judged[CHOSEN].neurons, c->layers, c->mlp, (uint64_t)r->seed, 0xe4a + (uint64_t)s);
    }
    return CLI_DONE;
}

/* ---- poses ---- */

static limber_status report_person(struct run *r, const limber_image *image, int where, int truth, limber_box box,
                                   limber_error *err)
{
    struct effect_target target;
    struct job job;
    limber_status st = job_prepare(&job, r->model, image, &box, 1, err);
    if (st)
        return st;
    prune_target(&target, r, truth, box);
    for (int s = 0; !st && s < SETS; s++) {
        limber_keypoint joints[COCO_KEYPOINTS];
        struct judged *j = &r->judged[s];
        if (!j->session)
            continue;
        st = prune_run(j->session, job.subjects[0].crop, job.subjects[0].region, joints, r->heat, err);
        if (st)
            break;
        j->poses.count = r->pose_count; /* a person who failed half way is overwritten */
        prune_add_pose(&j->poses, where, joints);
        if (s > CHOSEN)
            continue;
        effect_measures m;
        effect_measure(m, &target, r->heat, joints);
        for (int c = 0; c < LIMBS; c++)
            if (effect_target_has(&target, c)) {
                r->oks[s][c] += m[c][EFFECT_OKS];
                r->oks_people[c] += s == CHOSEN;
            }
    }
    if (!st)
        r->truth_of_pose[r->pose_count++] = truth;
    job_free(&job);
    return st;
}

static int open_judged(struct run *r)
{
    limber_options options;
    limber_error err;
    int status = cli_model_options(&r->common, &options);
    for (int s = 0; !status && s < SETS; s++) {
        struct judged *j = &r->judged[s];
        if (!j->heads)
            continue;
        const struct left_out out = prune_left_out(r, j);
        j->costs = rewrite_costs(&r->checkpoint.config, &out);
        if (!coco_poses_open(&j->poses, (size_t)r->set.box_total, COCO_KEYPOINTS))
            status = cli_fail("no memory for the poses of %d people", r->set.box_total);
        else if (model_open_without(&j->model, cli_model_dir(&r->common), &out, &options, &err) ||
                 limber_session_open(&j->session, j->model, &options, &err))
            status = cli_fail("%s", err.text);
    }
    return status;
}

/* ---- AP ---- */

/* The reporting half's truths and poses, images drawn again where `replicate` is not 0; its AP. */
static double resampled_ap(const struct run *r, const struct judged *j, uint64_t replicate, struct coco_truth *truths,
                           struct coco_pose *poses)
{
    const int images = (int)r->set.boxes.count;
    int truth_count = 0, pose_count = 0, drawn = 0;
    double numbers[COCO_NUMBERS];
    const struct coco_scope scope = coco_scope_of(&skeleton_coco, COCO_WHOLE);
    limber_error err;
    for (int i = 0; i < images; i++) {
        const int weight = r->choosing[i] ? 0
                           : replicate    ? heads_poisson(heads_hash((uint64_t)r->seed, 0xb007, replicate, (uint64_t)i))
                                          : 1;
        for (int w = 0; w < weight && w < 8; w++, drawn++) {
            for (int t = 0; t < r->set.truth_count; t++)
                if (r->set.truths[t].image == i) {
                    truths[truth_count] = r->set.truths[t];
                    truths[truth_count++].image = drawn;
                }
            for (int p = 0; p < r->pose_count; p++)
                if (j->poses.v[p].image == i) {
                    poses[pose_count] = j->poses.v[p];
                    poses[pose_count++].image = drawn;
                }
        }
    }
    /* COCO says -1 of nobody: of so few images none may be drawn, which says nothing */
    return coco_evaluate(numbers, &scope, truths, truth_count, poses, pose_count, drawn, &err) || numbers[COCO_AP] < 0
               ? NAN
               : numbers[COCO_AP];
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int conclude(struct run *r)
{
    struct coco_truth *truths = malloc(((size_t)r->set.truth_count * 8 + 1) * sizeof *truths);
    struct coco_pose *poses = malloc(((size_t)r->pose_count * 8 + 1) * sizeof *poses);
    double(*v)[AP_REPLICATES] = malloc(2 * sizeof *v), none[AP_REPLICATES];
    const bool fine = truths && poses && v;
    for (int s = 0; fine && s < SETS; s++) {
        struct judged *j = &r->judged[s];
        if (!j->session)
            continue;
        j->ap = resampled_ap(r, j, 0, truths, poses);
        j->change = j->ap - r->judged[NONE].ap;
        if (s >= FIRST_RANDOM && s < FIRST_ON_CURVE)
            continue;
        int n[2] = {0};
        for (int b = 0; b < AP_REPLICATES; b++) {
            const double ap = resampled_ap(r, j, (uint64_t)b + 1, truths, poses);
            none[b] = s == NONE ? ap : none[b];
            if (isnan(ap))
                continue;
            v[0][n[0]++] = ap;
            v[1][n[1]++] = ap - none[b];
        }
        for (int i = 0; i < 2; i++)
            qsort(v[i], (size_t)n[i], sizeof **v, by_value);
        j->ap_low = n[0] ? heads_quantile(v[0], n[0], 0.025) : NAN;
        j->ap_high = n[0] ? heads_quantile(v[0], n[0], 0.975) : NAN;
        j->change_low = n[1] ? heads_quantile(v[1], n[1], 0.025) : NAN;
        j->change_high = n[1] ? heads_quantile(v[1], n[1], 0.975) : NAN;
    }
    free(truths);
    free(poses);
    free(v);
    return fine ? CLI_DONE : cli_fail("no memory for the report");
}

int prune_judge(struct run *r)
{
    int status = open_judged(r);
    if (!status)
        status = prune_people(r, false, report_person);
    if (!status && !r->pose_count)
        status = cli_fail("%s: nobody is left to report on: one photograph is not enough", r->annotations);
    return status ? status : conclude(r);
}

/* ---- time ---- */

static double processor_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

/* One thread, one person, the models in turns. */
int prune_time(struct run *r)
{
    limber_session *sessions[SETS] = {NULL};
    double(*ms)[TURNS] = malloc(SETS * sizeof *ms), ratios[TURNS];
    const struct config *c = &r->model->config;
    const size_t bytes = (size_t)c->image_h * (size_t)c->image_w * 3;
    uint8_t *crop = malloc(bytes);
    limber_keypoint *joints = malloc((size_t)c->keypoints * sizeof *joints);
    limber_options options;
    limber_error err;
    int status = crop && joints && ms ? cli_model_options(&r->common, &options) : cli_fail("no memory to measure time");
    options.threads = 1;
    options.batch = 1;
    for (size_t k = 0; !status && k < bytes; k++)
        crop[k] = (uint8_t)heads_hash(1, k, 0, 0);
    for (int s = 0; !status && s < SETS; s++)
        if (r->judged[s].model && (s < FIRST_RANDOM || s >= FIRST_ON_CURVE) &&
            limber_session_open(&sessions[s], r->judged[s].model, &options, &err))
            status = cli_fail("%s", err.text);
    for (int t = -1; !status && t < TURNS; t++)
        for (int s = 0; !status && s < SETS; s++) {
            const double begin = processor_ms();
            if (!sessions[s])
                continue;
            if (vit_forward(&sessions[s]->vit, crop, 1, joints, &err))
                status = cli_fail("%s", err.text);
            if (t >= 0)
                ms[s][t] = processor_ms() - begin;
        }
    for (int s = SETS; !status && s-- > 0;) { /* NONE last: the others are held against its turns */
        if (!sessions[s])
            continue;
        struct judged *j = &r->judged[s];
        for (int t = 0; t < TURNS; t++)
            ratios[t] = ms[NONE][t] / ms[s][t];
        qsort(ratios, TURNS, sizeof *ratios, by_value);
        qsort(ms[s], TURNS, sizeof **ms, by_value);
        j->ms = ms[s][TURNS / 2];
        j->ratio = ratios[TURNS / 2];
        j->ratio_low = heads_quantile(ratios, TURNS, 0.1);
        j->ratio_high = heads_quantile(ratios, TURNS, 0.9);
    }
    for (int s = 0; s < SETS; s++)
        limber_session_close(&sessions[s]);
    free(ms);
    free(crop);
    free(joints);
    return status;
}
