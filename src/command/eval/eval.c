/* SPDX-License-Identifier: MIT */
/* limber eval: how well a model does on annotated photographs. Boxes are the annotations' own (a person without a labelled joint is no
 * task, as in mmpose's ground-truth-box evaluation, but stays in the evaluation as ignored; the person score is the mean keypoint
 * score), or a detector's: command/eval/eval_set.h. Numbers are COCO's (command/eval/coco_eval.h). Of boxes: eval_boxes.c. */
#define _GNU_SOURCE
#include "command/eval/eval_set.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command/commands.h"
#include "command/options.h"
#include "command/eval/eval.h"
#include "command/eval/eval_heads.h"
#include "command/output.h"
#include "command/progress.h"
#include "base/error.h"
#include "base/json_write.h"
#include "model/labels.h"

#define PCK_SHARE 0.2

/* What is reported of one source, or of all. */
struct figures {
    const char *source; /* NULL: all */
    int images, people;
    double numbers[COCO_NUMBERS];
    double parts[SKELETON_MAX_PARTS][COCO_NUMBERS];                        /* where the skeleton has several */
    double hands[COCO_NUMBERS];                                            /* mean of left and right */
    int correct[SKELETON_MAX_KEYPOINTS], labelled[SKELETON_MAX_KEYPOINTS]; /* PCK */
    double oks[SKELETON_MAX_KEYPOINTS];                                    /* mean similarity of each joint, where labelled */
    int oks_labelled[SKELETON_MAX_KEYPOINTS];
    double mean_oks;           /* over people */
    bool paired;               /* each pose answers a person: else there is neither PCK nor OKS by joint */
    struct coco_counts counts; /* who is found */
};

static bool has_parts(const struct skeleton *s)
{
    return s->part_count > 1;
}

static void joint_similarities(struct figures *f, const struct skeleton *s, const struct eval_slice *c)
{
    const struct coco_scope whole = coco_scope_of(s, COCO_WHOLE);
    for (int i = 0; i < c->pose_count; i++) {
        f->mean_oks += coco_oks(&whole, &c->answered[i], &c->poses[i]) / c->pose_count;
        for (int k = 0; k < s->keypoints; k++) {
            const struct coco_scope one = {s, k, 1};
            if (!(c->answered[i].keypoints[3 * k + 2] > 0))
                continue;
            f->oks[k] += coco_oks(&one, &c->answered[i], &c->poses[i]);
            f->oks_labelled[k]++;
        }
    }
    for (int k = 0; k < s->keypoints; k++)
        f->oks[k] = f->oks_labelled[k] ? f->oks[k] / f->oks_labelled[k] : -1;
}

/* The COCO-WholeBody benchmark's "hand" is the mean of both (jin-s13/COCO-WholeBody, issue 38); its tool prints each. */
static void average_hands(struct figures *f, const struct skeleton *s)
{
    int hands = 0;
    for (int p = 0; p < s->part_count; p++)
        if (strstr(s->parts[p].name, "_hand"))
            for (int n = hands++, i = 0; i < COCO_NUMBERS; i++) {
                const double v = f->parts[p][i];
                f->hands[i] = n == 0 ? v : v < 0 || f->hands[i] < 0 ? -1 : (f->hands[i] + v) / 2;
            }
}

static limber_status evaluate_part(double numbers[COCO_NUMBERS], const struct eval_set *s, const struct eval_slice *c, int part,
                                   limber_error *err)
{
    const struct coco_scope scope = coco_scope_of(s->skeleton, part);
    return coco_evaluate(numbers, &scope, c->truths, c->truth_count, c->poses, c->pose_count, (int)s->boxes.count, err);
}

static limber_status figures_of(struct figures *f, const struct eval_set *s, const struct eval_result *r, const char *source,
                                limber_error *err)
{
    struct eval_slice c;
    *f = (struct figures){.source = source};
    limber_status st = eval_slice_of(&c, s, r, source, err);
    const struct coco_scope whole = coco_scope_of(s->skeleton, COCO_WHOLE);
    if (!st)
        st = coco_evaluate_and_count(f->numbers, &f->counts, &whole, c.truths, c.truth_count, c.poses, c.pose_count,
                                     (int)s->boxes.count, err);
    for (int p = 0; !st && has_parts(s->skeleton) && p < s->skeleton->part_count; p++)
        st = evaluate_part(f->parts[p], s, &c, p, err);
    if (!st) {
        f->images = c.images;
        f->paired = r->truth != NULL;
        f->people = f->paired ? c.pose_count : f->counts.people;
        average_hands(f, s->skeleton);
    }
    if (!st && f->paired) {
        coco_pck(s->skeleton, c.answered, c.poses, c.pose_count, PCK_SHARE, f->correct, f->labelled);
        joint_similarities(f, s->skeleton, &c);
    }
    eval_slice_free(&c);
    return st;
}

static double pck_of(const struct figures *f)
{
    int correct = 0, labelled = 0;
    for (int k = 0; k < SKELETON_MAX_KEYPOINTS; k++) {
        correct += f->correct[k];
        labelled += f->labelled[k];
    }
    return labelled ? (double)correct / labelled : -1;
}

static double ratio(int part, int whole)
{
    return whole ? (double)part / whole : -1;
}

static void print_row(const char *name, const double numbers[COCO_NUMBERS])
{
    printf("%-10s", name);
    for (int i = 0; i < COCO_NUMBERS; i++)
        printf(" %6.3f", numbers[i]);
    printf("\n");
}

static void print_parts(const struct figures *f, const struct skeleton *s)
{
    printf("\n%-10s", "part");
    for (int i = 0; i < COCO_NUMBERS; i++)
        printf(" %6s", coco_number_names[i]);
    printf("\n");
    for (int p = 0; p < s->part_count; p++)
        print_row(s->parts[p].name, f->parts[p]);
    print_row("hand", f->hands);
    print_row("whole", f->numbers);
}

static void print_joints(const struct figures *f, const struct skeleton *s)
{
    printf("\n%-21s %8s %8s %8s %8s\n", "joint", "labelled", "OKS", "PCK", "of");
    for (int k = 0; k < s->keypoints; k++)
        printf("%-21s %8d %8.3f %8.3f %8d\n", s->names[k], f->oks_labelled[k], f->oks[k], ratio(f->correct[k], f->labelled[k]),
               f->labelled[k]);
}

static void print_sources(const struct figures *f, int count)
{
    printf("\n%-20s %7s %7s %7s %7s %7s %7s %7s", "source", "images", "people", "AP", "AP50", "AP75", "AR", "found");
    printf(f->paired ? " %7s %7s\n" : "\n", "OKS", "PCK");
    for (int i = 0; i < count; i++) {
        printf("%-20s %7d %7d %7.3f %7.3f %7.3f %7.3f %7.3f", f[i].source ? f[i].source : "all", f[i].images, f[i].people,
               f[i].numbers[COCO_AP], f[i].numbers[COCO_AP50], f[i].numbers[COCO_AP75], f[i].numbers[COCO_AR],
               ratio(f[i].counts.found, f[i].counts.people));
        if (f->paired)
            printf(" %7.3f %7.3f", f[i].mean_oks, pck_of(&f[i]));
        printf("\n");
    }
}

static void print_figures(const struct figures *f, int count, const struct eval_set *set, const struct eval_result *r,
                          const limber_model *model)
{
    const struct figures *all = &f[0];
    const struct skeleton *s = set->skeleton;
    for (int i = 0; i < COCO_NUMBERS; i++)
        printf("%-6s %.3f\n", coco_number_names[i], all->numbers[i]);
    printf("found  %.3f  (%d of %d labelled people by a pose with OKS of at least .5)\n",
           ratio(all->counts.found, all->counts.people), all->counts.found, all->counts.people);
    if (all->paired)
        printf("PCK@%.1f %.3f  (of the torso; people with all four torso joints labelled)\n", PCK_SHARE, pck_of(all));
    if (has_parts(s))
        print_parts(all, s);
    if (all->paired)
        print_joints(all, s);
    if (count > 1)
        print_sources(f, count);
    printf("\n%d people in %.2f s (%.1f a second; forward pass %.2f s), %s %s", r->poses.count, r->seconds,
           r->poses.count / r->seconds, r->seconds_forward, limber_model_backend(model), limber_model_precision(model));
    if (r->failed)
        printf("; %d images could not be used, their people count as missed", r->failed);
    printf("\n");
}

static void put_numbers(struct json_text *t, const double numbers[COCO_NUMBERS])
{
    for (int i = 0; i < COCO_NUMBERS; i++)
        put_key(t, coco_number_names[i]), put_number(t, numbers[i], 6);
}

static void put_part(struct json_text *t, const char *name, const double numbers[COCO_NUMBERS])
{
    put_key(t, name), put_open(t, '{');
    put_numbers(t, numbers);
    put_close(t, '}');
}

static void put_joints(struct json_text *t, const struct figures *f, const struct skeleton *s)
{
    put_key(t, "OKS"), put_number(t, f->mean_oks, 6);
    put_key(t, "PCK@0.2"), put_number(t, pck_of(f), 6);
    put_key(t, "joints"), put_open(t, '{');
    for (int k = 0; k < s->keypoints; k++) {
        put_key(t, s->names[k]), put_open(t, '{');
        put_key(t, "labelled"), put_integer(t, f->oks_labelled[k]);
        put_key(t, "OKS"), put_number(t, f->oks[k], 6);
        put_key(t, "PCK@0.2"), put_number(t, ratio(f->correct[k], f->labelled[k]), 6);
        put_close(t, '}');
    }
    put_close(t, '}');
}

static void put_figures(struct json_text *t, const struct figures *f, const struct skeleton *s)
{
    put_open(t, '{');
    put_key(t, "images"), put_integer(t, f->images);
    put_key(t, "people"), put_integer(t, f->people);
    put_numbers(t, f->numbers);
    put_key(t, "labelled"), put_integer(t, f->counts.people);
    put_key(t, "found"), put_integer(t, f->counts.found);
    put_key(t, "found_share"), put_number(t, ratio(f->counts.found, f->counts.people), 6);
    if (has_parts(s)) {
        put_key(t, "parts"), put_open(t, '{');
        for (int p = 0; p < s->part_count; p++)
            put_part(t, s->parts[p].name, f->parts[p]);
        put_part(t, "hand", f->hands);
        put_close(t, '}');
    }
    if (f->paired)
        put_joints(t, f, s);
    put_close(t, '}');
}

static int write_json(const struct eval_ask *ask, const struct figures *f, int count, const struct eval_set *set,
                      const struct eval_result *r, const limber_model *model, const struct head_losses *losses)
{
    struct json_text t = {.pretty = true};
    const char *path = ask->json, *detector = finders_dir(&ask->find);
    put_open(&t, '{');
    put_key(&t, "version"), put_string(&t, limber_version());
    put_key(&t, "model"), put_string(&t, model->source);
    put_key(&t, "backend"), put_string(&t, limber_model_backend(model));
    put_key(&t, "precision"), put_string(&t, limber_model_precision(model));
    put_key(&t, "boxes"), put_string(&t, ask->boxes_file ? ask->boxes_file : ask->looks ? NULL : "annotations");
    put_key(&t, "detector"), put_string(&t, !ask->looks ? NULL : detector ? detector : "built in");
    put_key(&t, "seconds"), put_number(&t, r->seconds, 3);
    put_key(&t, "seconds_forward"), put_number(&t, r->seconds_forward, 3);
    put_key(&t, "failed_images"), put_integer(&t, r->failed);
    put_key(&t, "all"), put_figures(&t, &f[0], set->skeleton);
    put_key(&t, "sources"), put_open(&t, '{');
    for (int i = 1; i < count; i++)
        put_key(&t, f[i].source), put_figures(&t, &f[i], set->skeleton);
    put_close(&t, '}');
    if (losses->v)
        put_key(&t, "without_head"), head_losses_put(&t, losses);
    put_close(&t, '}');
    put_newline(&t);
    int status = t.failed ? cli_fail("%s: no memory", path) : output_text(path, t.text, t.length);
    put_free(&t);
    return status;
}

static int report(const struct eval_ask *ask, const struct eval_set *set, const struct eval_result *r, const limber_model *model,
                  const struct head_losses *losses)
{
    struct figures *f = calloc(set->boxes.count + 1, sizeof *f);
    limber_error err;
    int count = 1, status = CLI_DONE;
    if (!f)
        return cli_fail("no memory");
    limber_status st = figures_of(&f[0], set, r, NULL, &err);
    for (size_t i = 0; st == LIMBER_OK && i < set->boxes.count; i++) {
        const char *source = set->boxes.list[i].source;
        bool known = !source;
        for (int k = 1; k < count; k++)
            known = known || strcmp(f[k].source, source) == 0;
        if (!known)
            st = figures_of(&f[count++], set, r, source, &err);
    }
    if (st != LIMBER_OK)
        status = cli_fail("%s", err.text);
    if (status == CLI_DONE) {
        print_figures(f, count, set, r, model);
        if (losses->v)
            head_losses_print(losses, f[0].numbers[COCO_AP]);
        if (fflush(stdout))
            status = cli_fail("standard output: the figures could not be written");
    }
    if (status == CLI_DONE && ask->json)
        status = write_json(ask, f, count, set, r, model, losses);
    free(f);
    return status;
}

static int eval_poses(const struct eval_ask *ask)
{
    limber_model *model = NULL;
    limber_session *session = NULL;
    struct eval_set set = {0};
    struct eval_result result = {0};
    struct head_losses losses = {0};
    struct finders finders = {0};
    int status = cli_model_open(&ask->common, &model);
    if (status == CLI_DONE && ask->each_head && !(model->config.skeleton && model->config.skeleton->limb_count))
        status = cli_fail("%s: --each-head wants limbs, and its joints are not COCO's", model->source);
    if (status == CLI_DONE && (ask->looks || ask->boxes_file) && model->config.skeleton == &skeleton_animal)
        status = cli_fail("%s: animals of many kinds are measured on the annotations' own boxes", model->source);
    if (status == CLI_DONE)
        status = cli_session_open(&ask->common, model, &session);
    if (status == CLI_DONE)
        status = eval_set_open(&set, model->config.skeleton, ask->annotations, ask->category, ask->images);
    if (status == CLI_DONE && ask->boxes_file)
        status = eval_set_take_boxes(&set, ask->boxes_file, ask->find.min_box_score, ask->find.max_people, ask->common.quiet);
    if (status == CLI_DONE && ask->looks) {
        const int workers = stream_workers(session, true);
        status = finders_open(&finders, &ask->common, &ask->find, workers, workers);
        set.finders = &finders;
    }
    set.full_resolution = ask->full_resolution;
    if (status == CLI_DONE)
        status = eval_measure(&result, &set, model, session, ask->common.quiet);
    if (status == CLI_DONE && ask->each_head)
        status = head_losses_measure(&losses, &ask->common, &set, model, &result);
    if (status == CLI_DONE)
        status = report(ask, &set, &result, model, &losses);
    if (status == CLI_DONE && result.failed)
        status = CLI_SOME_FAILED;
    head_losses_free(&losses);
    eval_result_free(&result);
    eval_set_close(&set);
    finders_close(&finders);
    limber_session_close(&session);
    limber_model_close(&model);
    return status;
}

int cli_eval(int argc, char **argv)
{
    struct eval_ask ask = {.common = cli_common_default()};
    const char *task = "poses";
    const struct cli_option options[] = {
        CLI_OPTION("--annotations", "FILE", &ask.annotations, "COCO person keypoints, COCO-WholeBody or AP-10K (required)"),
        CLI_OPTION("--images", "DIR", &ask.images, "where its images are: by their file_name, then by its last part (required)"),
        CLI_CHOICE("--task", "poses|boxes", &task, "boxes: of a detector, without joints [poses]"),
        CLI_OPTION("--boxes", "FILE", &ask.boxes_file,
                   "a detector's boxes instead of the annotations': COCO's detections, JSON Lines"),
        CLI_MAYBE("--detector", "[DIR]", &ask.looks, &ask.find.detector,
                  "the people are found, by this detector [LIMBER_DETECTOR, else built in]"),
        CLI_NUMBER("--min-box-score", "S", &ask.find.min_box_score, 0, 1,
                   "boxes that are scored less do not count [as in run; for --task boxes 0.001]"),
        CLI_INT("--max-people", "N", &ask.find.max_people, 1, FINDER_BOXES_MAX,
                "at most so many boxes in one image, the surest [all]"),
        CLI_PERSON_LABEL(ask.find),
        CLI_OPTION("--category", "NAME|ID", &ask.category, "who is a person; several between commas, * for all [person]"),
        CLI_FLAG("--flip", &ask.flip, "average with a second pass over the mirrored crop, as published figures do"),
        CLI_FLAG("--full-resolution", &ask.full_resolution, "decode large JPEGs whole, as other tools do; else as `limber run`"),
        CLI_FLAG("--each-head", &ask.each_head, "once more without each attention head: what AP and each limb lose"),
        CLI_OPTION("--json", "FILE", &ask.json, "write the figures there too"),
        CLI_COMMON_OPTIONS(ask.common),
        CLI_END,
    };
    const struct cli_command command = {
        "eval", "--annotations FILE --images DIR [options]",
        "How good the model is: COCO's ten numbers for keypoints, exactly as pycocotools computes them, on the\n"
        "boxes of the annotations, on those of --boxes, or on those that --detector finds; PCK; by joint; and by\n"
        "`source` where the images carry one. A model of the whole body is also measured by part, as xtcocotools\n"
        "does; `hand` is the mean of both hands. An AP-10K model is measured in every category; the numbers are\n"
        "the mean over them. --task boxes: how good a detector is, COCO's twelve numbers for boxes.",
        options};
    int inputs, status = cli_parse(&command, argc, argv, &inputs);
    if (status != CLI_GO)
        return status;
    const bool boxes = !strcmp(task, "boxes");
    if (inputs > 0)
        return cli_usage(&command, "takes no arguments: %s", argv[1]);
    if (!ask.annotations || (!ask.images && !(boxes && ask.boxes_file)))
        return cli_usage(&command, "%s is required", ask.annotations ? "--images" : "--annotations");
    if (ask.boxes_file && ask.looks)
        return cli_usage(&command, "--boxes says where the people are, and --detector finds them: leave one out");
    if (ask.each_head && (boxes || ask.boxes_file || ask.looks))
        return cli_usage(&command, "--each-head compares the same people: it wants the annotations' own boxes");
    ask.common.options.flip = ask.flip;
    cli_catch_signals();
    return boxes ? eval_boxes(&ask) : eval_poses(&ask);
}
