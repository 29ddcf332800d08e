/* SPDX-License-Identifier: MIT */
/* command/prune/heads.c - which heads go: backwards and greedily, by the heat at the joints that their going costs. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "command/progress.h"
#include "command/prune/prune.h"
#include "heads/chance.h"

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
        *loss += (prune_heat(&l->target, l->clear) - prune_heat(&l->target, m)) / r->learner_count;
        if (poses)
            prune_add_pose(poses, i, joints);
    }
    return cli_stopped ? CLI_INTERRUPTED : CLI_DONE;
}

static void take_out(struct run *r, uint8_t *set, int head, double lost)
{
    set[head] = 1;
    r->lost[head] = lost;
    r->order[r->dropped++] = head;
}

/* Backwards and greedily: the head whose going costs the least goes, and is measured again with those that went before, since losses do
 * not add. Of those that remain only the `remeasure` that looked cheapest are, so a step costs as many runs. */
static int choose_measured(struct run *r, uint8_t *set, int keep, bool again)
{
    double *seen = malloc((size_t)r->heads * sizeof *seen), gone = 0;
    bool *fresh = malloc((size_t)r->heads);
    struct coco_poses poses;
    const bool room = coco_poses_open(&poses, (size_t)r->learner_count, COCO_KEYPOINTS);
    int status = seen && fresh && room ? CLI_DONE : cli_fail("no memory");
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
        take_out(r, set, best, best_loss - gone);
        gone = best_loss;
        progress_step(&progress, (size_t)(r->heads + r->dropped), (size_t)r->learner_count);
        if (r->max_loss < 1) {
            status = loss_of(r, set, &gone, &poses);
            if (!status && r->learned_ap[0] - prune_learners_ap(r, &poses) > r->max_loss) { /* one too many */
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

static void choose_random(struct run *r, uint8_t *set, int keep)
{
    for (uint64_t turn = 0; r->dropped < r->heads - keep; turn++) {
        const int h = (int)(heads_hash((uint64_t)r->seed, 0x7a4d, turn, 0) % (uint64_t)r->heads);
        if (!set[h])
            take_out(r, set, h, NAN);
    }
}

/* Models without the first of those that went. */
static int put_on_curve(struct run *r)
{
    int status = CLI_DONE;
    for (int k = 0, before = 0; !status && k < CURVE_HEADS; k++) {
        const int gone = r->dropped * (k + 1) / CURVE_HEADS;
        struct judged *j = &r->judged[FIRST_ON_CURVE + k];
        if (gone > before && !(status = prune_open_set(j, r)))
            for (int i = 0; i < gone; i++)
                j->heads[r->order[i]] = true;
        before = gone;
    }
    return status;
}

int prune_choose_heads(struct run *r)
{
    const int keep = r->keep > 0 ? r->keep : 1;
    struct coco_poses poses;
    uint8_t *set = calloc((size_t)r->heads, 1);
    double loss;
    const bool room = coco_poses_open(&poses, (size_t)r->learner_count, COCO_KEYPOINTS);
    int status = room && set ? loss_of(r, set, &loss, &poses) : cli_fail("no memory");
    if (!status)
        r->learned_ap[0] = prune_learners_ap(r, &poses);
    limber_error err;
    bool *given = NULL;
    if (!status && r->drop) {
        if (prune_parse(r->drop, &r->model->config, &given, &err))
            status = cli_fail("%s", err.text);
        for (int h = 0; !status && h < r->heads; h++)
            if (given[h])
                take_out(r, set, h, NAN);
        free(given);
    } else if (!status && !(r->keep > 0 || r->max_loss < 1)) {
        ; /* neurons alone */
    } else if (!status && !strcmp(r->by, "random"))
        choose_random(r, set, keep);
    else if (!status)
        status = choose_measured(r, set, keep, !strcmp(r->by, "measured"));
    if (!status)
        status = loss_of(r, set, &loss, &poses);
    if (!status)
        r->learned_ap[1] = prune_learners_ap(r, &poses);
    for (int h = 0; !status && h < r->heads; h++)
        r->judged[CHOSEN].heads[h] = set[h];
    status = status ? status : put_on_curve(r);
    coco_poses_close(&poses);
    free(set);
    return status;
}
