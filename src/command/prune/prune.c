/* SPDX-License-Identifier: MIT */
/* command/prune/prune.c - `limber prune`: a model without the heads that matter least, in the layout it had.
 *
 *     who is on the photographs     command/eval/eval.c         what a set of heads costs     heads/patch.c, heads/effects.c
 *     which heads go                choose_...                  the smaller model             model/rewrite.c
 *
 * Heads are chosen on one half of the photographs and reported on the other, beside random sets with as many heads of each layer: a choice
 * looks better on the people it was made on. A dropped head counts as zero, or (--fill const) as its mean over people and places, which is
 * folded into the projection's bias. Nothing is trained again. */
#define _GNU_SOURCE
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json_write.h"
#include "command/commands.h"
#include "command/eval/eval_set.h"
#include "command/options.h"
#include "command/output.h"
#include "command/progress.h"
#include "heads/effects.h"
#include "heads/patch.h"
#include "image/image.h"
#include "model/built_in.h"
#include "model/rewrite.h"

#define RANDOM_SETS 12
#define SETS (2 + RANDOM_SETS) /* none, the chosen one, random ones */
#define AP_REPLICATES 400
#define TURNS 15

struct learner { /* a person of the choosing half, kept in slot `slot` */
    int slot, truth;
    struct effect_target target;
    effect_measures clear;
};

struct run {
    struct cli_common common;
    const char *out, *annotations, *category, *images, *drop, *by, *fill;
    double max_loss;
    int keep, people, remeasure, seed;

    struct eval_set set;
    bool *choosing; /* [images] */
    limber_model *model;
    limber_session *session;
    limber_patch *patch;
    struct checkpoint checkpoint;
    int heads, source; /* layers * heads; LIMBER_PATCH_ZERO or _CONST */
    struct learner *learners;
    int learner_count;
    uint8_t *sets; /* [SETS][heads] */
    float *heat;
    double *lost; /* [heads]: heat lost when this head went, after those before it; NaN: it stays, or was not measured */
    int *order;   /* heads in the order in which they went, [dropped] */
    int dropped;
    /* the reporting half */
    struct coco_poses poses[SETS];
    int *truth_of_pose, pose_count;
    double oks[2][LIMBS];
    int oks_people[LIMBS];
    double ap[SETS], ap_low[2], ap_high[2], change, change_low, change_high;
    double learned_ap[2]; /* on the choosing half, before and after */
    double ms[2], ratio, ratio_low, ratio_high;
};

/* ---- people ---- */

static bool chooses(const struct run *r, int image)
{
    return r->choosing[image];
}

/* Photographs with people, in an order drawn by lot: the first, third, ... choose, the others report. */
static int draw_halves(struct run *r)
{
    const size_t n = r->set.boxes.count;
    if (!(r->choosing = calloc(n + 1, sizeof *r->choosing)))
        return cli_fail("no memory");
    for (size_t i = 0; i < n; i++) {
        const uint64_t lot = heads_hash((uint64_t)r->seed, 0x9a1f, i, 0);
        bool first = r->set.inputs.v[i].path && r->set.box_count[i];
        for (size_t k = 0; k < n; k++)
            if (k != i && r->set.inputs.v[k].path && r->set.box_count[k])
                first ^= heads_hash((uint64_t)r->seed, 0x9a1f, k, 0) < lot;
        r->choosing[i] = first;
    }
    return CLI_DONE;
}

typedef limber_status (*person_fn)(struct run *r, const limber_image *image, int where, int truth, limber_box box,
                                   limber_error *err);

/* Everybody of one half, in order. */
static int for_people(struct run *r, bool choosing, person_fn fn)
{
    for (size_t i = 0; i < r->set.boxes.count && !cli_stopped; i++) {
        struct image image = {0};
        limber_error err = {0};
        if (!r->set.inputs.v[i].path || !r->set.box_count[i] || chooses(r, (int)i) != choosing ||
            (choosing && r->learner_count == r->people))
            continue;
        limber_status st = image_open(&image, r->set.inputs.v[i].path, &err);
        for (int b = 0; !st && b < r->set.box_count[i]; b++)
            st = fn(r, &image.view, (int)i, r->set.truth_of_box[r->set.first_box[i] + b], r->set.box[i][b], &err);
        image_close(&image);
        if (st && st != LIMBER_E_IO && st != LIMBER_E_FORMAT && st != LIMBER_E_ARGUMENT)
            return cli_fail("%s: %s", r->set.inputs.v[i].path, err.text);
        if (st)
            cli_warn("%s: %s", r->set.inputs.v[i].path, err.text);
    }
    return cli_stopped ? CLI_INTERRUPTED : CLI_DONE;
}

static void target_of(struct effect_target *t, const struct run *r, int truth, limber_box box)
{
    const struct coco_truth *of = &r->set.truths[truth];
    const struct config *c = &r->model->config;
    double joints[COCO_KEYPOINTS][3];
    memcpy(joints, of->keypoints, sizeof joints);
    effect_target_make(t, c, skeleton_coco.sigmas, joints, box, of->area,
                       crop_region_of_box(box, c->image_h, c->image_w, c->normalize_factor));
}

static limber_status learn_person(struct run *r, const limber_image *image, int where, int truth, limber_box box,
                                  limber_error *err)
{
    limber_keypoint joints[COCO_KEYPOINTS];
    struct learner *l = &r->learners[r->learner_count];
    (void)where;
    if (r->learner_count == r->people)
        return LIMBER_OK;
    *l = (struct learner){.slot = 1 + r->learner_count, .truth = truth};
    target_of(&l->target, r, truth, box);
    limber_status st = limber_patch_capture(r->patch, l->slot, image, box, err);
    if (!st)
        st = limber_patch_mean(r->patch, l->slot, err);
    if (!st)
        st = limber_patch_run(r->patch, l->slot, l->slot, NULL, 0, joints, r->heat, err);
    if (!st) {
        effect_measure(l->clear, &l->target, r->heat, joints);
        r->learner_count++;
    }
    return st;
}

static void add_pose(struct coco_poses *poses, int image, const limber_keypoint *joints)
{
    double score = 0;
    for (int k = 0; k < COCO_KEYPOINTS; k++)
        score += (double)joints[k].score / COCO_KEYPOINTS;
    coco_poses_add(poses, image, score, joints);
}

/* ---- choosing ---- */

static double heat_of(const struct effect_target *t, const effect_measures m)
{
    double sum = 0;
    int n = 0;
    for (int c = 0; c < LIMBS; c++)
        if (effect_target_has(t, c)) {
            sum += m[c][EFFECT_HEAT];
            n++;
        }
    return n ? sum / n : 0;
}

/* Heat at the joints that the choosing half loses with this set gone; poses (or NULL): what is then found. */
static int loss_of(struct run *r, const uint8_t *set, double *loss, struct coco_poses *poses)
{
    *loss = 0;
    if (poses)
        poses->count = 0;
    for (int i = 0; i < r->learner_count; i++) {
        const struct learner *l = &r->learners[i];
        limber_keypoint joints[COCO_KEYPOINTS];
        effect_measures m;
        limber_error err = {0};
        if (limber_patch_run(r->patch, l->slot, r->source, set, 0, joints, r->heat, &err))
            return cli_fail("%s", err.text);
        effect_measure(m, &l->target, r->heat, joints);
        *loss += (heat_of(&l->target, l->clear) - heat_of(&l->target, m)) / r->learner_count;
        if (poses)
            add_pose(poses, i, joints);
    }
    return cli_stopped ? CLI_INTERRUPTED : CLI_DONE;
}

/* AP on the choosing half, a person an image of its own: boxes are given, so nobody is mistaken for another. */
static double learners_ap(const struct run *r, const struct coco_poses *poses)
{
    const struct coco_scope scope = coco_scope_of(&skeleton_coco, COCO_WHOLE);
    double numbers[COCO_NUMBERS] = {0};
    limber_error err;
    struct coco_truth *truths = malloc(((size_t)r->learner_count + 1) * sizeof *truths);
    for (int i = 0; truths && i < r->learner_count; i++) {
        truths[i] = r->set.truths[r->learners[i].truth];
        truths[i].image = i;
    }
    if (!truths || coco_evaluate(numbers, &scope, truths, r->learner_count, poses->v, poses->count, r->learner_count, &err))
        numbers[COCO_AP] = NAN;
    free(truths);
    return numbers[COCO_AP];
}

static void take_out(struct run *r, int head, double lost)
{
    r->sets[r->heads + head] = 1;
    r->lost[head] = lost;
    r->order[r->dropped++] = head;
}

/* Backwards and greedily: the head whose going costs the least goes, and is measured again with those that went before, since losses do
 * not add. Of those that remain only the `remeasure` that looked cheapest are, so a step costs as many runs. */
static int choose_measured(struct run *r, int keep, bool again)
{
    uint8_t *set = r->sets + r->heads;
    double *seen = malloc((size_t)r->heads * sizeof *seen), gone = 0;
    bool *fresh = malloc((size_t)r->heads);
    struct coco_poses poses;
    int status =
        coco_poses_open(&poses, (size_t)r->learner_count, COCO_KEYPOINTS) && seen && fresh ? CLI_DONE : cli_fail("no memory");
    struct progress progress;
    progress_start(&progress, (size_t)(2 * r->heads - keep), !r->common.quiet);
    for (int h = 0; !status && h < r->heads; h++) {
        set[h] = 1;
        status = loss_of(r, set, &seen[h], NULL);
        set[h] = 0;
        progress_step(&progress, (size_t)h, (size_t)r->learner_count);
    }
    while (!status && r->dropped < r->heads - keep) {
        memset(fresh, 0, (size_t)r->heads);
        int best = -1;
        double best_loss = 0;
        for (int turn = 0; !status && turn < (again ? r->remeasure : 1); turn++) {
            int h = -1;
            for (int k = 0; k < r->heads; k++)
                if (!set[k] && !fresh[k] && (h < 0 || seen[k] < seen[h]))
                    h = k;
            if (h < 0)
                break;
            fresh[h] = true;
            double loss = gone + seen[h];
            if (again) {
                set[h] = 1;
                status = loss_of(r, set, &loss, NULL);
                set[h] = 0;
                seen[h] = loss - gone;
            }
            if (best < 0 || loss < best_loss) {
                best = h;
                best_loss = loss;
            }
        }
        if (status || best < 0)
            break;
        take_out(r, best, best_loss - gone);
        gone = best_loss;
        progress_step(&progress, (size_t)(r->heads + r->dropped), (size_t)r->learner_count);
        if (r->max_loss < 1) {
            status = loss_of(r, set, &gone, &poses);
            if (!status && r->learned_ap[0] - learners_ap(r, &poses) > r->max_loss) { /* one too many */
                set[best] = 0;
                r->lost[best] = NAN;
                r->dropped--;
                break;
            }
        }
    }
    progress_clear(&progress);
    free(seen);
    free(fresh);
    coco_poses_close(&poses);
    return status;
}

static void choose_random(struct run *r, int keep)
{
    for (uint64_t turn = 0; r->dropped < r->heads - keep; turn++) {
        const int h = (int)(heads_hash((uint64_t)r->seed, 0x7a4d, turn, 0) % (uint64_t)r->heads);
        if (!r->sets[r->heads + h])
            take_out(r, h, NAN);
    }
}

/* As many heads of each layer as the chosen set has. */
static void draw_sets(struct run *r)
{
    const int per = r->model->config.heads;
    for (int s = 2; s < SETS; s++)
        for (int l = 0; l < r->model->config.layers; l++) {
            int wanted = 0;
            for (int h = 0; h < per; h++)
                wanted += r->sets[r->heads + l * per + h];
            for (uint64_t turn = 0; wanted > 0; turn++) {
                const int h = (int)(heads_hash((uint64_t)r->seed, 0xd4a + (uint64_t)s, (uint64_t)l, turn) % (uint64_t)per);
                uint8_t *at = &r->sets[s * r->heads + l * per + h];
                wanted -= !*at;
                *at = 1;
            }
        }
}

static int choose(struct run *r)
{
    const int keep = r->keep > 0 ? r->keep : 1;
    struct coco_poses poses;
    double loss;
    int status = coco_poses_open(&poses, (size_t)r->learner_count, COCO_KEYPOINTS) ? loss_of(r, r->sets, &loss, &poses)
                                                                                   : cli_fail("no memory");
    if (!status)
        r->learned_ap[0] = learners_ap(r, &poses);
    limber_error err;
    bool *given = NULL;
    if (!status && r->drop) {
        if (prune_parse(r->drop, &r->model->config, &given, &err))
            status = cli_fail("%s", err.text);
        for (int h = 0; !status && h < r->heads; h++)
            if (given[h])
                take_out(r, h, NAN);
        free(given);
    } else if (!status && !strcmp(r->by, "random"))
        choose_random(r, keep);
    else if (!status)
        status = choose_measured(r, keep, !strcmp(r->by, "measured"));
    if (!status)
        status = loss_of(r, r->sets + r->heads, &loss, &poses);
    if (!status)
        r->learned_ap[1] = learners_ap(r, &poses);
    if (!status)
        draw_sets(r);
    coco_poses_close(&poses);
    return status;
}

/* ---- reporting ---- */

static limber_status report_person(struct run *r, const limber_image *image, int where, int truth, limber_box box,
                                   limber_error *err)
{
    struct effect_target target;
    target_of(&target, r, truth, box);
    limber_status st = limber_patch_capture(r->patch, 0, image, box, err);
    for (int s = 0; !st && s < SETS; s++) {
        limber_keypoint joints[COCO_KEYPOINTS];
        st = limber_patch_run(r->patch, 0, r->source, r->sets + s * r->heads, 0, joints, r->heat, err);
        if (st)
            break;
        r->poses[s].count = r->pose_count; /* a person who failed half way is overwritten */
        add_pose(&r->poses[s], where, joints);
        if (s < 2) {
            effect_measures m;
            effect_measure(m, &target, r->heat, joints);
            for (int c = 0; c < LIMBS; c++)
                if (effect_target_has(&target, c)) {
                    r->oks[s][c] += m[c][EFFECT_OKS];
                    r->oks_people[c] += s;
                }
        }
    }
    if (!st)
        r->truth_of_pose[r->pose_count++] = truth;
    return st;
}

/* The reporting half's truths and poses of set s, images drawn again where `replicate` is not 0; its AP. */
static double resampled_ap(const struct run *r, int s, uint64_t replicate, struct coco_truth *truths, struct coco_pose *poses)
{
    const int images = (int)r->set.boxes.count;
    int truth_count = 0, pose_count = 0, drawn = 0;
    double numbers[COCO_NUMBERS];
    const struct coco_scope scope = coco_scope_of(&skeleton_coco, COCO_WHOLE);
    limber_error err;
    for (int i = 0; i < images; i++) {
        const int weight = chooses(r, i) ? 0
                           : replicate   ? heads_poisson(heads_hash((uint64_t)r->seed, 0xb007, replicate, (uint64_t)i))
                                         : 1;
        for (int w = 0; w < weight && w < 8; w++, drawn++) {
            for (int t = 0; t < r->set.truth_count; t++)
                if (r->set.truths[t].image == i) {
                    truths[truth_count] = r->set.truths[t];
                    truths[truth_count++].image = drawn;
                }
            for (int p = 0; p < r->pose_count; p++)
                if (r->poses[s].v[p].image == i) {
                    poses[pose_count] = r->poses[s].v[p];
                    poses[pose_count++].image = drawn;
                }
        }
    }
    return coco_evaluate(numbers, &scope, truths, truth_count, poses, pose_count, drawn, &err) ? NAN : numbers[COCO_AP];
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
    double(*v)[AP_REPLICATES] = malloc(3 * sizeof *v);
    const bool fine = truths && poses && v;
    for (int s = 0; fine && s < SETS; s++)
        r->ap[s] = resampled_ap(r, s, 0, truths, poses);
    for (int b = 0; fine && b < AP_REPLICATES; b++) {
        for (int s = 0; s < 2; s++)
            v[s][b] = resampled_ap(r, s, (uint64_t)b + 1, truths, poses);
        v[2][b] = v[1][b] - v[0][b];
    }
    for (int i = 0; fine && i < 3; i++)
        qsort(v[i], AP_REPLICATES, sizeof **v, by_value);
    for (int s = 0; fine && s < 2; s++) {
        r->ap_low[s] = heads_quantile(v[s], AP_REPLICATES, 0.025);
        r->ap_high[s] = heads_quantile(v[s], AP_REPLICATES, 0.975);
    }
    if (fine) {
        r->change = r->ap[1] - r->ap[0];
        r->change_low = heads_quantile(v[2], AP_REPLICATES, 0.025);
        r->change_high = heads_quantile(v[2], AP_REPLICATES, 0.975);
    }
    free(truths);
    free(poses);
    free(v);
    return fine ? CLI_DONE : cli_fail("no memory for the report");
}

/* ---- the model ---- */

static bool write_bytes(void *context, const void *bytes, size_t size)
{
    return output_write(context, bytes, size) == CLI_DONE;
}

static int write_tensors(struct run *r)
{
    struct output o;
    limber_error err = {0};
    bool *dropped = malloc((size_t)r->heads * sizeof *dropped);
    float *constant = malloc((size_t)r->model->config.layers * (size_t)r->model->config.hidden * sizeof *constant);
    int status = dropped && constant ? output_replace(&o, r->out, "model.safetensors") : cli_fail("no memory");
    if (!status) {
        for (int h = 0; h < r->heads; h++)
            dropped[h] = r->sets[r->heads + h];
        if (r->source == LIMBER_PATCH_CONST)
            patch_constant(r->patch, constant);
        const struct rewrite w = {.dropped = dropped, .constant = r->source == LIMBER_PATCH_CONST ? constant : NULL};
        if (rewrite_tensors(&r->checkpoint, &w, write_bytes, &o, &err)) {
            output_abandon(&o);
            status = cli_fail("%s", err.text);
        } else
            status = output_close(&o);
    }
    free(dropped);
    free(constant);
    return status;
}

/* config.json and preprocessor_config.json as they are. */
static int copy_configs(const struct run *r)
{
    static const char *const names[] = {"config.json", "preprocessor_config.json"};
    const char *dir = cli_model_dir(&r->common);
    const struct default_model d = limber_built_in_model(TASK_POSE);
    const struct default_file own[] = {d.config, d.preprocessor};
    int status = CLI_DONE;
    for (int i = 0; !status && i < 2; i++) {
        uint8_t *bytes = NULL;
        size_t size = 0;
        char *path = dir ? output_path(dir, names[i]) : NULL;
        limber_error err;
        if (!dir)
            status = output_file(r->out, names[i], own[i].bytes, own[i].size);
        else if (!path)
            status = cli_fail("no memory");
        else if (!file_read(&bytes, &size, path, 1 << 24, &err))
            status = output_file(r->out, names[i], bytes, size);
        else if (i == 0)
            status = cli_fail("%s: %s", path, err.text);
        free(bytes);
        free(path);
    }
    return status;
}

/* ---- time ---- */

static double processor_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

/* Both models on one person, in turns, one thread. */
static int measure_time(struct run *r)
{
    limber_model *models[2] = {NULL, NULL};
    limber_session *sessions[2] = {NULL, NULL};
    struct cli_common common = r->common;
    double ms[2][TURNS], ratios[TURNS];
    common.options.threads = 1;
    common.options.batch = 1;
    int status = CLI_DONE;
    for (int i = 0; !status && i < 2; i++) {
        common.model = i ? r->out : r->common.model;
        status = cli_model_open(&common, &models[i]);
        if (!status)
            status = cli_session_open(&common, models[i], &sessions[i]);
    }
    for (int t = -1; !status && t < TURNS; t++)
        for (int i = 0; i < 2; i++) {
            limber_session *s = sessions[i];
            const struct config *c = &models[i]->config;
            const size_t bytes = (size_t)c->image_h * (size_t)c->image_w * 3;
            limber_error err;
            for (size_t k = 0; k < bytes; k++)
                s->crops[k] = (uint8_t)heads_hash(1, k, 0, 0);
            const double begin = processor_ms();
            if (vit_forward(&s->vit, s->crops, 1, s->joints, &err))
                status = cli_fail("%s", err.text);
            if (t >= 0)
                ms[i][t] = processor_ms() - begin;
        }
    for (int t = 0; !status && t < TURNS; t++)
        ratios[t] = ms[0][t] / ms[1][t];
    if (!status) {
        qsort(ratios, TURNS, sizeof *ratios, by_value);
        for (int i = 0; i < 2; i++) {
            qsort(ms[i], TURNS, sizeof **ms, by_value);
            r->ms[i] = ms[i][TURNS / 2];
        }
        r->ratio = ratios[TURNS / 2];
        r->ratio_low = heads_quantile(ratios, TURNS, 0.1);
        r->ratio_high = heads_quantile(ratios, TURNS, 0.9);
    }
    for (int i = 0; i < 2; i++) {
        limber_session_close(&sessions[i]);
        limber_model_close(&models[i]);
    }
    return status;
}

/* ---- what is said ---- */

static void put_head_list(struct json_text *t, const struct run *r)
{
    put_open(t, '[');
    for (int i = 0; i < r->dropped; i++) {
        char name[32];
        snprintf(name, sizeof name, "%d.%d", r->order[i] / r->model->config.heads, r->order[i] % r->model->config.heads);
        put_string(t, name);
    }
    put_close(t, ']');
}

static void put_costs(struct json_text *t, const char *key, const struct config_costs *c)
{
    put_key(t, key), put_open(t, '{');
    put_key(t, "parameters"), put_integer(t, (long long)c->parameters);
    put_key(t, "multiply_adds"), put_integer(t, (long long)c->total);
    put_close(t, '}');
}

static void put_report(struct json_text *t, const struct run *r, const struct config_costs costs[2])
{
    const double *random = r->ap + 2;
    t->pretty = true;
    put_open(t, '{');
    put_key(t, "limber"), put_string(t, limber_version());
    put_key(t, "model"), put_string(t, r->common.model ? r->common.model : "built in");
    put_key(t, "by"), put_string(t, r->drop ? "list" : r->by);
    put_key(t, "fill"), put_string(t, r->fill);
    put_key(t, "seed"), put_integer(t, r->seed);
    put_key(t, "heads"), put_integer(t, r->heads);
    put_key(t, "dropped"), put_head_list(t, r);
    put_key(t, "heat_lost"), put_open(t, '[');
    for (int i = 0; i < r->dropped; i++)
        put_number(t, r->lost[r->order[i]], 6);
    put_close(t, ']');
    put_costs(t, "before", &costs[0]);
    put_costs(t, "after", &costs[1]);
    put_key(t, "chosen_on"), put_open(t, '{');
    put_key(t, "people"), put_integer(t, r->learner_count);
    put_key(t, "AP_before"), put_number(t, r->learned_ap[0], 4);
    put_key(t, "AP_after"), put_number(t, r->learned_ap[1], 4);
    put_close(t, '}');
    put_key(t, "reported_on"), put_open(t, '{');
    put_key(t, "people"), put_integer(t, r->pose_count);
    static const char *const names[] = {"AP_before", "AP_after"};
    for (int s = 0; s < 2; s++)
        put_key(t, names[s]), put_open(t, '['), put_number(t, r->ap[s], 4), put_number(t, r->ap_low[s], 4),
            put_number(t, r->ap_high[s], 4), put_close(t, ']');
    put_key(t, "AP_change"), put_open(t, '['), put_number(t, r->change, 4), put_number(t, r->change_low, 4);
    put_number(t, r->change_high, 4), put_close(t, ']');
    put_key(t, "AP_of_random_sets"), put_open(t, '[');
    for (int i = 0; i < RANDOM_SETS; i++)
        put_number(t, random[i], 4);
    put_close(t, ']');
    put_key(t, "OKS"), put_open(t, '{');
    for (int c = 0; c < LIMBS; c++) {
        put_key(t, heads_limb_names[c]), put_open(t, '[');
        for (int s = 0; s < 2; s++)
            put_number(t, r->oks_people[c] ? r->oks[s][c] / r->oks_people[c] : NAN, 4);
        put_close(t, ']');
    }
    put_close(t, '}');
    put_close(t, '}');
    put_key(t, "processor_ms"), put_open(t, '['), put_number(t, r->ms[0], 3), put_number(t, r->ms[1], 3), put_close(t, ']');
    put_key(t, "times_faster"), put_open(t, '['), put_number(t, r->ratio, 3), put_number(t, r->ratio_low, 3);
    put_number(t, r->ratio_high, 3), put_close(t, ']');
    put_close(t, '}');
    put_newline(t);
}

static int report(struct run *r)
{
    bool *dropped = malloc((size_t)r->heads * sizeof *dropped);
    if (!dropped)
        return cli_fail("no memory");
    for (int h = 0; h < r->heads; h++)
        dropped[h] = r->sets[r->heads + h];
    const struct config_costs costs[2] = {config_costs(&r->model->config), rewrite_costs(&r->model->config, dropped)};
    free(dropped);
    struct json_text json = {0};
    put_report(&json, r, costs);
    double random = 0, best = 0;
    for (int i = 0; i < RANDOM_SETS; i++) {
        random += r->ap[2 + i] / RANDOM_SETS;
        best = fmax(best, r->ap[2 + i]);
    }
    char text[3000];
    const int n = snprintf(
        text, sizeof text,
        "%d of %d heads left out, by %s, counted as %s.\n\n"
        "| | before | after |\n|---|---|---|\n"
        "| AP on %d people it was not chosen on | %.3f [%.3f, %.3f] | %.3f [%.3f, %.3f] |\n"
        "| change of AP | | %+.3f [%+.3f, %+.3f] |\n"
        "| AP of %d random sets, as many heads of each layer | | mean %.3f, best %.3f |\n"
        "| AP on the %d people it was chosen on | %.3f | %.3f |\n"
        "| parameters that are not zero | %.3f M | %.3f M |\n"
        "| multiply-adds a person | %.3f G | %.3f G |\n"
        "| processor time a person, one thread | %.1f ms | %.1f ms, %.2f [%.2f, %.2f] times as fast |\n\n"
        "The layout is Hugging Face's: rows and columns of the heads left out are zero, and transformers opens it at its full "
        "size and "
        "speed.\nlimber leaves them out of the work. Nothing was trained again. prune.json has the list and all numbers.\n",
        r->dropped, r->heads, r->drop ? "a given list" : r->by,
        strcmp(r->fill, "const") ? "zero" : "their mean, folded into the bias", r->pose_count, r->ap[0], r->ap_low[0],
        r->ap_high[0], r->ap[1], r->ap_low[1], r->ap_high[1], r->change, r->change_low, r->change_high, RANDOM_SETS, random, best,
        r->learner_count, r->learned_ap[0], r->learned_ap[1], (double)costs[0].parameters / 1e6,
        (double)costs[1].parameters / 1e6, (double)costs[0].total / 1e9, (double)costs[1].total / 1e9, r->ms[0], r->ms[1],
        r->ratio, r->ratio_low, r->ratio_high);
    int status = json.failed || n < 0 || (size_t)n >= sizeof text ? cli_fail("no memory for the report") : CLI_DONE;
    if (!status)
        status = output_file(r->out, "prune.json", json.text, json.length);
    if (!status) {
        char *page = NULL;
        const int m =
            asprintf(&page, "# A pruned pose model\n\nMade by `limber prune` (limber %s).\n\n%s", limber_version(), text);
        status = m < 0 ? cli_fail("no memory") : output_file(r->out, "README.md", page, (size_t)m);
        free(page);
    }
    if (!status)
        fputs(text, stdout);
    put_free(&json);
    return status;
}

/* ---- before ---- */

static int open_all(struct run *r)
{
    limber_error err;
    limber_patch_options o = limber_patch_options_default();
    int status = eval_set_open(&r->set, &skeleton_coco, r->annotations, r->category, r->images);
    if (!status)
        status = draw_halves(r);
    if (!status && checkpoint_open(&r->checkpoint, cli_model_dir(&r->common), TASK_POSE, &err))
        status = cli_fail("%s", err.text);
    if (!status)
        status = cli_model_open(&r->common, &r->model);
    if (status)
        return status;
    const struct config *c = &r->model->config;
    if (!c->coco)
        return cli_fail("prune: AP needs COCO's 17 joints, this model finds %d others", c->keypoints);
    r->heads = c->layers * c->heads;
    if (r->keep >= r->heads)
        return cli_fail("--keep is %d of %d heads: nothing would go", r->keep, r->heads);
    r->people = r->people < r->set.box_total ? r->people : r->set.box_total;
    o.slots = 1 + (r->people > 0 ? r->people : 1);
    status = cli_session_open(&r->common, r->model, &r->session);
    if (!status && limber_patch_open(&r->patch, r->session, &o, &err))
        status = cli_fail("%s", err.text);
    r->learners = calloc((size_t)r->people + 1, sizeof *r->learners);
    r->sets = calloc(SETS, (size_t)r->heads);
    r->lost = malloc((size_t)r->heads * sizeof *r->lost);
    r->order = malloc((size_t)r->heads * sizeof *r->order);
    r->heat = malloc((size_t)c->keypoints * (size_t)c->map_h * (size_t)c->map_w * sizeof *r->heat);
    r->truth_of_pose = malloc(((size_t)r->set.box_total + 1) * sizeof *r->truth_of_pose);
    bool fine = r->learners && r->sets && r->lost && r->order && r->heat && r->truth_of_pose;
    for (int s = 0; s < SETS; s++)
        fine = coco_poses_open(&r->poses[s], (size_t)r->set.box_total, COCO_KEYPOINTS) && fine;
    for (int h = 0; fine && h < r->heads; h++)
        r->lost[h] = NAN;
    return status ? status : fine ? CLI_DONE : cli_fail("no memory");
}

static int run(struct run *r)
{
    int status = open_all(r);
    if (!status)
        status = for_people(r, true, learn_person);
    if (!status && !r->learner_count)
        status = cli_fail("%s: nobody to choose by: people with labelled joints on photographs below %s are wanted",
                          r->annotations, r->images);
    if (!status)
        status = choose(r);
    if (!status)
        status = for_people(r, false, report_person);
    if (!status && !r->pose_count)
        status = cli_fail("%s: nobody is left to report on: one photograph is not enough", r->annotations);
    if (!status)
        status = conclude(r);
    if (!status)
        status = output_folder(r->out);
    if (!status)
        status = copy_configs(r);
    if (!status)
        status = write_tensors(r);
    if (!status)
        status = measure_time(r);
    return status ? status : report(r);
}

int cli_prune(int argc, char **argv)
{
    struct run r = {.common = cli_common_default(),
                    .by = "measured",
                    .fill = "const",
                    .max_loss = 1,
                    .people = 40,
                    .remeasure = 3,
                    .seed = 1};
    r.common.options.precision = "fp32"; /* losses of single heads are differences of nearly equal runs */
    const struct cli_option options[] = {
        CLI_OPTION("--out", "DIR", &r.out, "the smaller model, with README.md and prune.json (required)"),
        CLI_OPTION("--annotations", "FILE", &r.annotations, "COCO keypoints, to choose and to report by (required)"),
        CLI_OPTION("--category", "NAME|ID", &r.category, "who is a person [person]"),
        CLI_OPTION("--images", "DIR", &r.images, "the photographs (required)"),
        CLI_INT("--keep", "N", &r.keep, 1, INT_MAX, "leave out all heads but N of all layers together"),
        CLI_NUMBER("--max-loss", "AP", &r.max_loss, 0, 1, "leave heads out until AP falls by more, on the half that chooses"),
        CLI_OPTION("--drop", "L.H,...", &r.drop, "leave out these"),
        CLI_CHOICE("--by", "measured|single|random", &r.by,
                   "measured: the cheapest goes, then measure again; single: measured once [measured]"),
        CLI_CHOICE("--fill", "const|zero", &r.fill,
                   "what stands for a head: its mean, in the projection's bias, or nothing [const]"),
        CLI_INT("--people", "N", &r.people, 1, 10000, "people to choose by, of half of the photographs [40]"),
        CLI_INT("--remeasure", "N", &r.remeasure, 1, 10000, "heads measured again before each that goes [3]"),
        CLI_INT("--seed", "S", &r.seed, 0, INT_MAX, "of the halves and of the random sets [1]"),
        CLI_COMMON_OPTIONS(r.common),
        CLI_END,
    };
    const struct cli_command command = {
        "prune", "--keep N|--max-loss AP|--drop L.H,... --annotations FILE --images DIR --out DIR [options]",
        "A model without the attention heads that matter least, in Hugging Face's layout: what goes is zero in the\n"
        "file, and limber leaves it out of the work. Heads are chosen on half of the photographs and reported on\n"
        "the other half, beside random sets. Computes in fp32 unless --precision says otherwise.\n"
        "Exit status: 0 done, 2 nothing could start or be written, 130 stopped by a signal.",
        options};
    int count, status = cli_parse(&command, argc, argv, &count);
    if (status != CLI_GO)
        return status;
    if (count > 0)
        return cli_usage(&command, "prune takes no arguments: %s", argv[1]);
    if (!r.out || !r.annotations || !r.images)
        return cli_usage(&command, "no %s", !r.out ? "--out" : !r.annotations ? "--annotations" : "--images");
    if ((r.keep > 0) + (r.max_loss < 1) + (r.drop != NULL) != 1)
        return cli_usage(&command, "expected one of --keep N, --max-loss AP and --drop L.H,...");
    if (r.common.options.prune)
        return cli_usage(&command, "--prune leaves heads out of a run; here they are named by --drop");
    if (r.common.options.flip)
        return cli_usage(&command, "--flip: heads are measured in one pass");
    r.source = strcmp(r.fill, "const") ? LIMBER_PATCH_ZERO : LIMBER_PATCH_CONST;
    cli_catch_signals();
    status = run(&r);
    for (int s = 0; s < SETS; s++)
        coco_poses_close(&r.poses[s]);
    free(r.learners);
    free(r.sets);
    free(r.lost);
    free(r.order);
    free(r.heat);
    free(r.truth_of_pose);
    free(r.choosing);
    limber_patch_close(&r.patch);
    limber_session_close(&r.session);
    limber_model_close(&r.model);
    checkpoint_close(&r.checkpoint);
    eval_set_close(&r.set);
    return status;
}
