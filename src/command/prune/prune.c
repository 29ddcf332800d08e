/* SPDX-License-Identifier: MIT */
/* command/prune/prune.c - `limber prune`: a model without the heads and neurons that matter least, in the layout it had.
 *
 *     who is on the photographs     command/eval/eval_set.c     which heads go      command/prune/heads.c
 *     what a set of heads costs     heads/patch.c, effects.c    which neurons go    command/prune/neurons.c
 *     the smaller model             model/rewrite.c             AP, time            command/prune/judges.c
 *
 * All is chosen on one half of the photographs and reported on the other, beside random sets with as many of each layer: a choice
 * looks better on the people it was made on. What goes counts as zero, or (--fill const) as its mean over people and places, which is
 * folded into the next bias. Nothing is trained again. */
#define _GNU_SOURCE
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json_write.h"
#include "command/commands.h"
#include "command/output.h"
#include "command/prune/prune.h"
#include "image/image.h"
#include "model/built_in.h"

/* ---- people ---- */

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

int prune_people(struct run *r, bool choosing, person_fn fn)
{
    for (size_t i = 0; i < r->set.boxes.count && !cli_stopped; i++) {
        struct image image = {0};
        limber_error err = {0};
        if (!r->set.inputs.v[i].path || !r->set.box_count[i] || r->choosing[i] != choosing ||
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

void prune_target(struct effect_target *t, const struct run *r, int truth, limber_box box)
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
    const struct config *c = &r->model->config;
    const size_t bytes = (size_t)c->image_h * (size_t)c->image_w * 3;
    *l = (struct learner){.slot = 1 + r->learner_count,
                          .truth = truth,
                          .region = crop_region_of_box(box, c->image_h, c->image_w, c->normalize_factor)};
    prune_target(&l->target, r, truth, box);
    limber_status st = limber_patch_capture(r->patch, l->slot, image, box, err);
    if (!st)
        st = limber_patch_mean(r->patch, l->slot, err);
    if (!st)
        st = limber_patch_run(r->patch, l->slot, l->slot, NULL, 0, joints, r->heat, err);
    if (!st && r->neurons < 1) {
        if (!(l->crop = malloc(bytes)))
            return limber_fail(err, LIMBER_E_MEMORY, "no memory for a crop");
        crop_sample(l->crop, c->image_h, c->image_w, image, l->region);
        st = prune_neurons_learn(r, l->crop, err);
    }
    if (st) {
        free(l->crop);
        return st;
    }
    effect_measure(l->clear, &l->target, r->heat, joints);
    r->learner_count++;
    return st;
}

void prune_add_pose(struct coco_poses *poses, int image, const limber_keypoint *joints)
{
    double score = 0;
    for (int k = 0; k < COCO_KEYPOINTS; k++)
        score += (double)joints[k].score / COCO_KEYPOINTS;
    coco_poses_add(poses, image, score, joints);
}

double prune_heat(const struct effect_target *t, const effect_measures m)
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

/* AP on the choosing half, a person an image of its own: boxes are given, so nobody is mistaken for another. */
double prune_learners_ap(const struct run *r, const struct coco_poses *poses)
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

/* ---- the model ---- */

static bool write_bytes(void *context, const void *bytes, size_t size)
{
    return output_write(context, bytes, size) == CLI_DONE;
}

static int write_tensors(struct run *r, const struct rewrite *w)
{
    struct output o;
    limber_error err = {0};
    int status = output_replace(&o, r->out, "model.safetensors");
    if (!status && rewrite_tensors(&r->checkpoint, w, write_bytes, &o, &err)) {
        output_abandon(&o);
        return cli_fail("%s", err.text);
    }
    return status ? status : output_close(&o);
}

/* config.json says of a compact file what is there; else both are as they were. */
static int write_config(const struct run *r, const struct rewrite *w, const char *name, const uint8_t *bytes, size_t size)
{
    const struct config *c = &r->checkpoint.config;
    limber_error err;
    char *text;
    if (strcmp(name, "config.json") || !(w->compact || c->stored_heads || c->stored_neurons))
        return output_file(r->out, name, bytes, size);
    if (rewrite_config(&text, c, w, (const char *)bytes, size, &err))
        return cli_fail("%s: %s", name, err.text);
    int status = output_file(r->out, name, text, strlen(text));
    free(text);
    return status;
}

static int copy_configs(const struct run *r, const struct rewrite *w)
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
            status = write_config(r, w, names[i], own[i].bytes, own[i].size);
        else if (!path)
            status = cli_fail("no memory");
        else if (!file_read(&bytes, &size, path, 1 << 24, &err))
            status = write_config(r, w, names[i], bytes, size);
        else if (i == 0)
            status = cli_fail("%s: %s", path, err.text);
        free(bytes);
        free(path);
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

static void put_three(struct json_text *t, const char *key, double mean, double low, double high, int decimals)
{
    put_key(t, key), put_open(t, '[');
    put_number(t, mean, decimals), put_number(t, low, decimals), put_number(t, high, decimals);
    put_close(t, ']');
}

static int count(const bool *set, int n)
{
    int some = 0;
    for (int i = 0; set && i < n; i++)
        some += set[i];
    return some;
}

/* Models from the whole one to the smallest. */
static void put_curve(struct json_text *t, const struct run *r)
{
    const struct config *c = &r->model->config;
    put_key(t, "curve"), put_open(t, '[');
    for (int s = NONE; s < SETS; s++) {
        const struct judged *j = &r->judged[s];
        if (!j->session || s == CHOSEN || (s >= FIRST_RANDOM && s < FIRST_ON_CURVE))
            continue;
        put_open(t, '{');
        put_key(t, "heads"), put_integer(t, r->heads - count(j->heads, r->heads));
        put_key(t, "neurons"), put_integer(t, c->layers * c->mlp - count(j->neurons, c->layers * c->mlp));
        put_key(t, "parameters"), put_integer(t, (long long)j->costs.parameters);
        put_key(t, "multiply_adds"), put_integer(t, (long long)j->costs.total);
        put_key(t, "processor_ms"), put_number(t, j->ms, 3);
        put_three(t, "times_faster", j->ratio, j->ratio_low, j->ratio_high, 3);
        put_three(t, "AP", j->ap, j->ap_low, j->ap_high, 4);
        put_three(t, "AP_change", j->change, j->change_low, j->change_high, 4);
        put_close(t, '}');
    }
    put_close(t, ']');
}

static void put_report(struct json_text *t, const struct run *r)
{
    const struct judged *before = &r->judged[NONE], *after = &r->judged[CHOSEN];
    t->pretty = true;
    put_open(t, '{');
    put_key(t, "limber"), put_string(t, limber_version());
    put_key(t, "model"), put_string(t, r->common.model ? r->common.model : "built in");
    put_key(t, "by"), put_string(t, r->drop ? "list" : r->by);
    put_key(t, "fill"), put_string(t, r->fill);
    put_key(t, "compact"), put_bool(t, r->compact);
    put_key(t, "seed"), put_integer(t, r->seed);
    put_key(t, "heads"), put_integer(t, r->heads);
    put_key(t, "dropped"), put_head_list(t, r);
    put_key(t, "heat_lost"), put_open(t, '[');
    for (int i = 0; i < r->dropped; i++)
        put_number(t, r->lost[r->order[i]], 6);
    put_close(t, ']');
    put_key(t, "neurons"), put_integer(t, r->model->config.layers * r->model->config.mlp);
    put_key(t, "neurons_dropped"), put_integer(t, r->neurons_dropped);
    put_key(t, "neurons_dropped_by_layer"), put_open(t, '[');
    for (int l = 0; l < r->model->config.layers; l++)
        put_integer(t, after->neurons ? count(after->neurons + l * r->model->config.mlp, r->model->config.mlp) : 0);
    put_close(t, ']');
    put_costs(t, "before", &before->costs);
    put_costs(t, "after", &after->costs);
    put_key(t, "chosen_on"), put_open(t, '{');
    put_key(t, "people"), put_integer(t, r->learner_count);
    put_key(t, "AP_before"), put_number(t, r->learned_ap[0], 4);
    put_key(t, "AP_after"), put_number(t, r->learned_ap[1], 4);
    put_close(t, '}');
    put_key(t, "reported_on"), put_open(t, '{');
    put_key(t, "people"), put_integer(t, r->pose_count);
    put_three(t, "AP_before", before->ap, before->ap_low, before->ap_high, 4);
    put_three(t, "AP_after", after->ap, after->ap_low, after->ap_high, 4);
    put_three(t, "AP_change", after->change, after->change_low, after->change_high, 4);
    put_key(t, "AP_of_random_sets"), put_open(t, '[');
    for (int s = FIRST_RANDOM; s < FIRST_ON_CURVE; s++)
        put_number(t, r->judged[s].ap, 4);
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
    put_key(t, "processor_ms"), put_open(t, '['), put_number(t, before->ms, 3), put_number(t, after->ms, 3), put_close(t, ']');
    put_three(t, "times_faster", after->ratio, after->ratio_low, after->ratio_high, 3);
    put_curve(t, r);
    put_close(t, '}');
    put_newline(t);
}

/* README.md, and what the command prints. */
static void put_text(FILE *f, const struct run *r)
{
    const struct judged *before = &r->judged[NONE], *after = &r->judged[CHOSEN];
    double random = 0, best = 0;
    for (int s = FIRST_RANDOM; s < FIRST_ON_CURVE; s++) {
        random += r->judged[s].ap / RANDOM_SETS;
        best = fmax(best, r->judged[s].ap);
    }
    fprintf(f, "%d of %d heads left out, by %s, counted as %s.\n", r->dropped, r->heads, r->drop ? "a given list" : r->by,
            strcmp(r->fill, "const") ? "zero" : "their mean, folded into the bias");
    if (after->neurons)
        fprintf(f, "%d of %d neurons of the mlp likewise.\n", r->neurons_dropped, r->model->config.layers * r->model->config.mlp);
    fprintf(f, "\n| | before | after |\n|---|---|---|\n");
    fprintf(f, "| AP on %d people it was not chosen on | %.3f [%.3f, %.3f] | %.3f [%.3f, %.3f] |\n", r->pose_count, before->ap,
            before->ap_low, before->ap_high, after->ap, after->ap_low, after->ap_high);
    fprintf(f, "| change of AP | | %+.3f [%+.3f, %+.3f] |\n", after->change, after->change_low, after->change_high);
    fprintf(f, "| AP of %d random sets, as many of each layer | | mean %.3f, best %.3f |\n", RANDOM_SETS, random, best);
    fprintf(f, "| AP on the %d people it was chosen on | %.3f | %.3f |\n", r->learner_count, r->learned_ap[0], r->learned_ap[1]);
    fprintf(f, "| parameters that are not zero | %.3f M | %.3f M |\n", (double)before->costs.parameters / 1e6,
            (double)after->costs.parameters / 1e6);
    fprintf(f, "| multiply-adds a person | %.3f G | %.3f G |\n", (double)before->costs.total / 1e9,
            (double)after->costs.total / 1e9);
    fprintf(f, "| processor time a person, one thread | %.1f ms | %.1f ms, %.2f [%.2f, %.2f] times as fast |\n", before->ms,
            after->ms, after->ratio, after->ratio_low, after->ratio_high);
    fprintf(f, "\nOn the way there:\n\n| heads | neurons | multiply-adds | times as fast | AP | change of AP |\n"
               "|---|---|---|---|---|---|\n");
    for (int s = FIRST_ON_CURVE; s < SETS; s++) {
        const struct judged *j = &r->judged[s];
        const int all = r->model->config.layers * r->model->config.mlp;
        if (j->session)
            fprintf(f, "| %d | %d | %.3f G | %.2f [%.2f, %.2f] | %.3f [%.3f, %.3f] | %+.3f [%+.3f, %+.3f] |\n",
                    r->heads - count(j->heads, r->heads), all - count(j->neurons, all), (double)j->costs.total / 1e9, j->ratio,
                    j->ratio_low, j->ratio_high, j->ap, j->ap_low, j->ap_high, j->change, j->change_low, j->change_high);
    }
    fputs(
        r->compact
            ? "\nCompact: the file has nothing of what was left out, and only limber opens it; transformers refuses its shapes.\n"
            : "\nThe layout is Hugging Face's: what is left out is zero, and transformers opens it at its full size and speed.\n"
              "limber leaves it out of the work.\n",
        f);
    fputs("Nothing was trained again. prune.json has the list and all numbers.\n", f);
}

static int report(struct run *r)
{
    struct json_text json = {0};
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    put_report(&json, r);
    if (f) {
        fprintf(f, "# A pruned pose model\n\nMade by `limber prune` (limber %s).\n\n", limber_version());
        put_text(f, r);
    }
    int status = json.failed || !f || fclose(f) ? cli_fail("no memory for the report") : CLI_DONE;
    if (!status)
        status = output_file(r->out, "prune.json", json.text, json.length);
    if (!status)
        status = output_file(r->out, "README.md", text, size);
    if (!status)
        put_text(stdout, r);
    free(text);
    put_free(&json);
    return status;
}

/* ---- before ---- */

int prune_open_set(struct judged *j, const struct run *r)
{
    const struct config *c = &r->model->config;
    j->heads = calloc((size_t)r->heads, sizeof(bool));
    j->neurons = r->neurons < 1 ? calloc((size_t)c->layers * (size_t)c->mlp, sizeof(bool)) : NULL;
    return j->heads && (j->neurons || r->neurons >= 1) ? CLI_DONE : cli_fail("no memory for a set of heads and neurons");
}

static int open_sets(struct run *r)
{
    const struct config *c = &r->model->config;
    const size_t mlp = (size_t)c->layers * (size_t)c->mlp;
    bool fine = true;
    for (int s = 0; s < FIRST_ON_CURVE; s++)
        fine = prune_open_set(&r->judged[s], r) == CLI_DONE && fine;
    r->learners = calloc((size_t)r->people + 1, sizeof *r->learners);
    r->lost = malloc((size_t)r->heads * sizeof *r->lost);
    r->order = malloc((size_t)r->heads * sizeof *r->order);
    r->heat = malloc((size_t)c->keypoints * (size_t)c->map_h * (size_t)c->map_w * sizeof *r->heat);
    r->truth_of_pose = malloc(((size_t)r->set.box_total + 1) * sizeof *r->truth_of_pose);
    r->head_says = calloc((size_t)c->layers * (size_t)c->hidden, sizeof *r->head_says);
    r->neuron_says = calloc(mlp, sizeof *r->neuron_says);
    r->neuron_size = calloc(mlp, sizeof *r->neuron_size);
    r->neuron_sum = calloc(mlp, sizeof *r->neuron_sum);
    r->neuron_square = calloc(mlp, sizeof *r->neuron_square);
    fine = fine && r->learners && r->lost && r->order && r->heat && r->truth_of_pose && r->head_says && r->neuron_says &&
           r->neuron_size && r->neuron_sum && r->neuron_square;
    for (int h = 0; fine && h < r->heads; h++)
        r->lost[h] = NAN;
    return fine ? CLI_DONE : cli_fail("no memory");
}

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
    return status ? status : open_sets(r);
}

static int run(struct run *r)
{
    int status = open_all(r);
    if (!status)
        status = prune_people(r, true, learn_person);
    if (!status && !r->learner_count)
        status = cli_fail("%s: nobody to choose by: people with labelled joints on photographs below %s are wanted",
                          r->annotations, r->images);
    if (!status && r->source == LIMBER_PATCH_CONST)
        patch_constant(r->patch, r->head_says);
    if (!status)
        status = prune_choose_heads(r);
    if (!status && r->neurons < 1)
        status = prune_choose_neurons(r);
    if (!status)
        status = prune_draw_random(r);
    if (!status)
        status = prune_judge(r);
    if (!status)
        status = prune_time(r);
    const struct rewrite w = {.out = prune_left_out(r, &r->judged[CHOSEN]), .compact = r->compact};
    if (!status)
        status = output_folder(r->out);
    if (!status)
        status = copy_configs(r, &w);
    if (!status)
        status = write_tensors(r, &w);
    return status ? status : report(r);
}

static void close_all(struct run *r)
{
    for (int s = 0; s < SETS; s++) {
        struct judged *j = &r->judged[s];
        limber_session_close(&j->session);
        limber_model_close(&j->model);
        free(j->heads);
        free(j->neurons);
        coco_poses_close(&j->poses);
    }
    for (int i = 0; i < r->learner_count; i++)
        free(r->learners[i].crop);
    free(r->learners);
    free(r->lost);
    free(r->order);
    free(r->heat);
    free(r->truth_of_pose);
    free(r->choosing);
    free(r->head_says);
    free(r->neuron_says);
    free(r->neuron_size);
    free(r->neuron_sum);
    free(r->neuron_square);
    limber_patch_close(&r->patch);
    limber_session_close(&r->session);
    limber_model_close(&r->model);
    checkpoint_close(&r->checkpoint);
    eval_set_close(&r->set);
}

int cli_prune(int argc, char **argv)
{
    struct run r = {.common = cli_common_default(),
                    .by = "measured",
                    .fill = "const",
                    .max_loss = 1,
                    .neurons = 1,
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
        CLI_OPTION("--drop", "L.H,...", &r.drop, "leave out these heads"),
        CLI_NUMBER("--neurons", "SHARE", &r.neurons, 0, 1, "keep this share of the mlp's neurons, of all layers together [1]"),
        CLI_CHOICE("--by", "measured|single|random", &r.by,
                   "heads: the cheapest goes, then measure again; single: measured once [measured]"),
        CLI_CHOICE("--fill", "const|zero", &r.fill, "what stands for what goes: its mean, in the next bias, or nothing [const]"),
        CLI_FLAG("--compact", &r.compact, "a file without what is left out; only limber opens it"),
        CLI_INT("--people", "N", &r.people, 1, 10000, "people to choose by, of half of the photographs [40]"),
        CLI_INT("--remeasure", "N", &r.remeasure, 1, 10000, "heads, or layers, measured again before each step [3]"),
        CLI_INT("--seed", "S", &r.seed, 0, INT_MAX, "of the halves and of the random sets [1]"),
        CLI_COMMON_OPTIONS(r.common),
        CLI_END,
    };
    const struct cli_command command = {
        "prune", "--keep N|--max-loss AP|--drop L.H,...|--neurons SHARE --annotations FILE --images DIR --out DIR [options]",
        "A model without the attention heads, and the neurons of the mlp, that matter least, in Hugging Face's layout: what\n"
        "goes is zero in the file, and limber leaves it out of the work. It is chosen on half of the photographs and reported "
        "on\n"
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
    const int ways = (r.keep > 0) + (r.max_loss < 1) + (r.drop != NULL);
    if (ways > 1 || (ways == 0 && r.neurons >= 1))
        return cli_usage(&command, "expected one of --keep N, --max-loss AP and --drop L.H,..., or --neurons SHARE, or both");
    if (r.common.options.prune)
        return cli_usage(&command, "--prune leaves heads out of a run; here they are named by --drop");
    if (r.common.options.flip)
        return cli_usage(&command, "--flip: heads are measured in one pass");
    r.source = strcmp(r.fill, "const") ? LIMBER_PATCH_ZERO : LIMBER_PATCH_CONST;
    cli_catch_signals();
    status = run(&r);
    close_all(&r);
    return status;
}
