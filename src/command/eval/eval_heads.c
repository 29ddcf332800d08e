/* SPDX-License-Identifier: MIT */
/* command/eval/eval_heads.c - `limber eval --each-head`: what a model loses without one attention head.
 *
 * Each head in turn counts as zero (limber_options.prune; Michel, Levy and Neubig, NeurIPS 2019: "Are Sixteen Heads Really Better than
 * One?", section 3.2) and the same people are measured again. A loss is a person's similarity (OKS, command/eval/coco_eval.h) over the labelled
 * joints of one limb with the whole model, less that without the head; people are averaged in their image, images give the mean,
 * the 95 % bootstrap interval and the p of a one-sided t test, and Benjamini-Hochberg over heads x limbs gives q. What `limber heads`
 * correlates, this intervenes in; nothing is trained again, so a head that others could stand in for still shows its loss. */
#define _GNU_SOURCE
#include "command/eval/eval_heads.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command/options.h"
#include "heads/chance.h"
#include "heads/masks.h"

#define REPLICATES 2000
#define SEED 1

/* Which of COCO's joints a limb is measured by: shoulders and hips are the torso's. */
static const unsigned limb_joints[LIMBER_HEADS_LIMBS] = {
    0x1f,                                    /* head: nose, eyes, ears */
    1u << 5 | 1u << 6 | 1u << 11 | 1u << 12, /* torso */
    1u << 7 | 1u << 9,
    1u << 8 | 1u << 10, /* arms: elbow, wrist */
    1u << 13 | 1u << 15,
    1u << 14 | 1u << 16, /* legs: knee, ankle */
};

static bool belongs(int class, int joint)
{
    return class >= LIMBER_HEADS_LIMBS || (joint < COCO_KEYPOINTS && limb_joints[class] >> joint & 1);
}

const char *loss_class_name(int class)
{
    return class < LIMBER_HEADS_LIMBS ? heads_limb_names[class] : "all";
}

/* Similarity over a class's labelled joints; -1 where there is none. */
static double similarity(const struct coco_scope *scope, const struct coco_truth *whole, const struct coco_pose *pose, int class)
{
    double joints[3 * SKELETON_MAX_KEYPOINTS];
    struct coco_truth part = *whole;
    bool any = false;
    memcpy(joints, whole->keypoints, 3 * (size_t)scope->count * sizeof *joints);
    for (int k = 0; k < scope->count; k++) {
        if (!belongs(class, k))
            joints[3 * k + 2] = 0;
        any = any || joints[3 * k + 2] > 0;
    }
    part.keypoints = joints;
    return any ? coco_oks(scope, &part, pose) : -1;
}

/* values[truth][class]; -1 where nothing is labelled or nobody was found. */
static void similarities(double *values, const struct eval_set *set, const struct eval_result *r)
{
    const struct coco_scope scope = coco_scope_of(set->skeleton, COCO_WHOLE);
    for (size_t i = 0; i < (size_t)set->truth_count * LOSS_CLASSES; i++)
        values[i] = -1;
    for (int i = 0; i < r->poses.count; i++)
        for (int c = 0; c < LOSS_CLASSES; c++)
            values[(size_t)r->truth[i] * LOSS_CLASSES + (size_t)c] =
                similarity(&scope, &set->truths[r->truth[i]], &r->poses.v[i], c);
}

/* One head left out: its similarities and AP. */
static int measure_without(double *values, double *ap, const struct cli_common *common, const struct eval_set *set, int layer,
                           int head)
{
    struct cli_common one = *common;
    char prune[512];
    const char *also = common->options.prune;
    limber_model *model = NULL;
    limber_session *session = NULL;
    struct eval_result r = {0};
    limber_error err;
    double numbers[COCO_NUMBERS];
    if ((size_t)snprintf(prune, sizeof prune, "%s%s%d.%d", also ? also : "", also ? "," : "", layer, head) >= sizeof prune)
        return cli_fail("--prune: a list too long to add a head to");
    one.options.prune = prune;
    int status = cli_model_open(&one, &model);
    if (status == CLI_DONE)
        status = cli_session_open(&one, model, &session);
    if (status == CLI_DONE)
        status = eval_measure(&r, set, model, session, true);
    if (status == CLI_DONE && eval_numbers(numbers, set, &r, NULL, &err) != LIMBER_OK)
        status = cli_fail("%s", err.text);
    if (status == CLI_DONE) {
        *ap = numbers[COCO_AP];
        similarities(values, set, &r);
    }
    eval_result_free(&r);
    limber_session_close(&session);
    limber_model_close(&model);
    return status;
}

/* Losses of every head and class, image by image, into the stream. `with` [truth][class], `without` [head][truth][class]. */
static bool gather(struct heads_stream *stream, const struct eval_set *set, const double *with, const double *without, int heads)
{
    const size_t people = (size_t)set->truth_count;
    double *values = malloc((size_t)heads * LOSS_CLASSES * sizeof *values);
    for (size_t image = 0; values && image < set->boxes.count; image++) {
        bool present[LOSS_CLASSES] = {false};
        int count[LOSS_CLASSES] = {0};
        memset(values, 0, (size_t)heads * LOSS_CLASSES * sizeof *values);
        for (size_t t = 0; t < people; t++)
            for (size_t c = 0; c < LOSS_CLASSES && set->truths[t].image == (int)image; c++) {
                const size_t at = t * LOSS_CLASSES + c;
                if (with[at] < 0)
                    continue;
                count[c]++;
                for (size_t h = 0; h < (size_t)heads; h++)
                    values[h * LOSS_CLASSES + c] += with[at] - without[h * people * LOSS_CLASSES + at];
            }
        for (size_t c = 0; c < LOSS_CLASSES; c++) {
            present[c] = count[c] > 0;
            for (size_t h = 0; present[c] && h < (size_t)heads; h++)
                values[h * LOSS_CLASSES + c] /= count[c];
        }
        heads_stream_add(stream, values, present, SEED, image);
    }
    free(values);
    return values != NULL;
}

static bool conclude(struct head_losses *out, const struct heads_stream *stream)
{
    const int n = out->count * LOSS_CLASSES;
    double *p = malloc((size_t)n * sizeof *p), *q = malloc((size_t)n * sizeof *q),
           *scratch = malloc(REPLICATES * sizeof *scratch);
    int *order = malloc((size_t)n * sizeof *order);
    const bool ok = p && q && scratch && order;
    for (int i = 0; ok && i < n; i++)
        p[i] = stream->count[i % LOSS_CLASSES] > 1
                   ? heads_stream_p(stream, (size_t)(i / LOSS_CLASSES), (size_t)(i % LOSS_CLASSES))
                   : 1;
    if (ok)
        heads_adjust(q, p, order, n);
    for (int i = 0; ok && i < n; i++) {
        struct head_loss *l = &out->v[i / LOSS_CLASSES];
        l->loss[i % LOSS_CLASSES] =
            heads_stream_estimate(stream, (size_t)(i / LOSS_CLASSES), (size_t)(i % LOSS_CLASSES), false, scratch);
        l->q[i % LOSS_CLASSES] = q[i];
    }
    free(p), free(q), free(scratch), free(order);
    return ok;
}

int head_losses_measure(struct head_losses *out, const struct cli_common *common, const struct eval_set *set,
                        const limber_model *model, const struct eval_result *whole)
{
    const int layers = model->config.layers, heads = model->config.heads, all = layers * heads;
    const size_t one = (size_t)set->truth_count * LOSS_CLASSES;
    struct heads_stream stream = {0};
    double *with = malloc(one * sizeof *with), *without = calloc((size_t)all, one * sizeof *without);
    int status = CLI_DONE;
    *out = (struct head_losses){.v = calloc((size_t)all, sizeof *out->v)};
    if (!with || !without || !out->v || !heads_stream_open(&stream, (size_t)all, LOSS_CLASSES, REPLICATES))
        status = cli_fail("no memory for %d heads and %d people", all, set->truth_count);
    if (status == CLI_DONE)
        similarities(with, set, whole);
    for (int i = 0; i < all && status == CLI_DONE; i++) {
        struct head_loss *l = &out->v[out->count];
        l->layer = i / heads, l->head = i % heads;
        if (model->pruned && model->pruned[i]) /* it is already left out */
            continue;
        if (!common->quiet)
            fprintf(stderr, "without head %d.%d, %d of %d ...\n", l->layer, l->head, i + 1, all);
        status = measure_without(without + (size_t)out->count * one, &l->ap, common, set, l->layer, l->head);
        out->count++;
    }
    stream.heads = (size_t)out->count; /* fewer where some were left out from the beginning: the arrays are large enough */
    if (status == CLI_DONE && (!gather(&stream, set, with, without, out->count) || !conclude(out, &stream)))
        status = cli_fail("no memory for %d heads", all);
    heads_stream_close(&stream);
    free(with);
    free(without);
    if (status != CLI_DONE)
        head_losses_free(out);
    return status;
}

void head_losses_free(struct head_losses *l)
{
    free(l->v);
    *l = (struct head_losses){0};
}

void head_losses_print(const struct head_losses *l, double ap)
{
    printf("\nwithout one attention head: AP, its change, and the loss of OKS by limb (* where q < .05)\n%-6s %6s %7s", "head",
           "AP", "change");
    for (int c = 0; c < LOSS_CLASSES; c++)
        printf(" %10s", loss_class_name(c));
    printf("\n");
    for (int i = 0; i < l->count; i++) {
        const struct head_loss *h = &l->v[i];
        char name[32];
        snprintf(name, sizeof name, "%d.%d", h->layer, h->head);
        printf("%-6s %6.3f %+7.3f", name, h->ap, h->ap - ap);
        for (int c = 0; c < LOSS_CLASSES; c++)
            printf(" %+9.3f%c", h->loss[c].mean, h->q[c] < 0.05 ? '*' : ' ');
        printf("\n");
    }
}

void head_losses_put(struct json_text *t, const struct head_losses *l)
{
    put_open(t, '[');
    for (int i = 0; i < l->count; i++) {
        const struct head_loss *h = &l->v[i];
        put_open(t, '{');
        put_key(t, "layer"), put_integer(t, h->layer);
        put_key(t, "head"), put_integer(t, h->head);
        put_key(t, "AP"), put_number(t, h->ap, 6);
        put_key(t, "loss"), put_open(t, '{');
        for (int c = 0; c < LOSS_CLASSES; c++) {
            put_key(t, loss_class_name(c)), put_open(t, '{');
            put_key(t, "mean"), put_number(t, h->loss[c].mean, 6);
            put_key(t, "low"), put_number(t, h->loss[c].low, 6);
            put_key(t, "high"), put_number(t, h->loss[c].high, 6);
            put_key(t, "images"), put_integer(t, h->loss[c].images);
            put_key(t, "q"), put_number(t, h->q[c], 6);
            put_close(t, '}');
        }
        put_close(t, '}');
        put_close(t, '}');
    }
    put_close(t, ']');
}
