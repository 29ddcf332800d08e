/* limber eval: how well a model does on annotated photographs. Boxes are the annotations' own; a person without a labelled joint
 * is no task (as in mmpose's ground-truth-box evaluation), but stays in the evaluation as ignored; the person score is the mean
 * keypoint score. Numbers are COCO's (command/eval/coco_eval.h). */
#define _GNU_SOURCE
#include "command/eval/eval.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command/options.h"
#include "command/eval/eval_heads.h"
#include "command/output.h"
#include "command/progress.h"
#include "command/stream.h"
#include "base/error.h"
#include "base/json_write.h"
#include "pose/limbs.h"

#define PCK_SHARE 0.2
#define HOLD 256 /* images that may wait for a full batch */

/* ---- annotations and files ---- */

/* The file of an image: below `images` by its name, then by its base name; NULL where neither is there. To free. */
static char *find_file(const char *images, const char *name)
{
    const char *slash = strrchr(name, '/');
    const char *const tries[] = {name, slash ? slash + 1 : name};
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        char *path = output_path(images, tries[i]);
        if (path && access(path, R_OK) == 0)
            return path;
        free(path);
    }
    return NULL;
}

static bool has_labels(const struct annotation *a)
{
    for (int k = 0; k < a->keypoint_count; k++)
        if (a->keypoints[3 * k + 2] > 0)
            return true;
    return false;
}

static struct coco_truth truth_of(const struct annotation *a, int image)
{
    struct coco_truth t = {.image = image, .crowd = a->crowd, .num_keypoints = a->num_keypoints, .area = a->area};
    memcpy(t.box, a->box, sizeof t.box);
    for (int k = 0; k < a->keypoint_count && k < COCO_KEYPOINTS; k++) {
        t.keypoints[k][0] = a->keypoints[3 * k];
        t.keypoints[k][1] = a->keypoints[3 * k + 1];
        t.visibility[k] = (int)a->keypoints[3 * k + 2];
    }
    return t;
}

void eval_set_close(struct eval_set *s)
{
    for (size_t i = 0; s->box && i < s->boxes.count; i++)
        free(s->box[i]);
    free(s->box);
    free(s->box_count);
    free(s->truths);
    free(s->truth_of_box);
    free(s->first_box);
    inputs_free(&s->inputs);
    boxes_close(&s->boxes);
    *s = (struct eval_set){0};
}

int eval_set_open(struct eval_set *s, const char *annotations, const char *images)
{
    limber_error err;
    *s = (struct eval_set){0};
    if (boxes_open(&s->boxes, annotations, &err) != LIMBER_OK)
        return cli_fail("%s", err.text);
    const size_t n = s->boxes.count;
    size_t people = 0;
    for (size_t i = 0; i < n; i++)
        people += (size_t)s->boxes.list[i].person_count;
    s->inputs.v = calloc(n + 1, sizeof *s->inputs.v);
    s->box = calloc(n + 1, sizeof *s->box);
    s->box_count = calloc(n + 1, sizeof *s->box_count);
    s->first_box = calloc(n + 1, sizeof *s->first_box);
    s->truths = calloc(people + 1, sizeof *s->truths);
    s->truth_of_box = calloc(people + 1, sizeof *s->truth_of_box);
    if (!s->inputs.v || !s->box || !s->box_count || !s->first_box || !s->truths || !s->truth_of_box)
        return cli_fail("%s: no memory for %zu people", annotations, people);
    s->inputs.count = n;
    for (size_t i = 0; i < n; i++) {
        const struct boxes_list *list = &s->boxes.list[i];
        if (!list->name)
            return cli_fail("%s: image %lld has no file_name: eval wants COCO annotations", annotations, list->image_id);
        s->box[i] = calloc((size_t)list->person_count + 1, sizeof **s->box);
        if (!s->box[i])
            return cli_fail("%s: no memory", annotations);
        s->first_box[i] = s->box_total;
        for (int p = 0; p < list->person_count; p++) {
            const struct annotation *a = &list->person[p];
            if (a->keypoint_count && a->keypoint_count != COCO_KEYPOINTS)
                return cli_fail("%s: annotation %lld has %d keypoints, expected COCO's %d", annotations, a->id, a->keypoint_count,
                                COCO_KEYPOINTS);
            s->truths[s->truth_count] = truth_of(a, (int)i);
            if (!a->crowd && has_labels(a)) {
                s->box[i][s->box_count[i]++] =
                    (limber_box){(float)a->box[0], (float)a->box[1], (float)a->box[2], (float)a->box[3]};
                s->truth_of_box[s->box_total++] = s->truth_count;
            }
            s->truth_count++;
        }
        s->inputs.v[i].path = find_file(images, list->name);
        if (!s->inputs.v[i].path) {
            cli_warn("%s: not below %s, its %d people count as missed", list->name, images, s->box_count[i]);
            s->missing++;
            s->inputs.v[i].path = strdup(list->name); /* the decoder will say that it is not there */
        }
    }
    if (!s->box_total)
        return cli_fail("%s: no person with labelled joints", annotations);
    if (s->missing == (int)n)
        return cli_fail("%s: none of its %zu images is below %s", annotations, n, images);
    return CLI_DONE;
}

/* ---- running ---- */

static limber_status boxes_of_item(void *context, const struct stream_item *item, const limber_box **boxes, int *count,
                                   limber_error *err)
{
    const struct eval_set *s = context;
    (void)err;
    *boxes = s->box[item->index];
    *count = s->box_count[item->index];
    return LIMBER_OK;
}

static void record(struct eval_result *r, const struct eval_set *s, const struct stream_item *item)
{
    for (int p = 0; p < item->people.count; p++) {
        const limber_person *person = &item->people.person[p];
        struct coco_pose *pose = &r->poses[r->pose_count];
        pose->image = (int)item->index;
        pose->score = person->score;
        for (int k = 0; k < COCO_KEYPOINTS; k++) {
            pose->keypoints[k][0] = person->keypoints[k].x;
            pose->keypoints[k][1] = person->keypoints[k].y;
        }
        r->truth[r->pose_count++] = s->truth_of_box[s->first_box[item->index] + p];
    }
}

/* Forward pass over what is held, then its people are recorded in order. */
static int flush(struct eval_result *r, const struct eval_set *s, const limber_model *model, limber_session *session,
                 struct stream *stream, struct stream_item **held, int count)
{
    struct job *jobs[HOLD];
    limber_error err;
    int n = 0;
    for (int i = 0; i < count; i++)
        if (held[i]->status == LIMBER_OK)
            jobs[n++] = &held[i]->job;
    if (n && jobs_forward(session, jobs, n, &err) != LIMBER_OK)
        return cli_fail("%s", err.text);
    for (int i = 0; i < count; i++) {
        struct stream_item *item = held[i];
        if (item->status == LIMBER_OK) {
            if (job_finish(&item->job, model, &item->people, &err) != LIMBER_OK)
                return cli_fail("%s: %s", item->input->path, err.text);
            record(r, s, item);
        } else {
            cli_warn("%s: %s", item->input->path, item->error.text);
            r->failed++;
        }
        stream_release(stream, item);
    }
    return CLI_DONE;
}

int eval_measure(struct eval_result *r, const struct eval_set *s, const limber_model *model, limber_session *session, bool quiet)
{
    const struct stream_calls calls = {.context = (void *)s, .boxes = boxes_of_item};
    struct stream *stream = NULL;
    struct stream_item *held[HOLD];
    struct progress progress;
    limber_error err;
    int holding = 0, people = 0, status = CLI_DONE;
    size_t done = 0;
    double begin = progress_now(), forward_before = session->seconds_forward;
    *r = (struct eval_result){0};
    r->poses = calloc((size_t)s->box_total, sizeof *r->poses);
    r->truth = calloc((size_t)s->box_total, sizeof *r->truth);
    if (!r->poses || !r->truth)
        return cli_fail("no memory for %d poses", s->box_total);
    if (stream_open(&stream, model, &s->inputs, 1, HOLD, &calls, &err) != LIMBER_OK)
        return cli_fail("%s", err.text);
    progress_start(&progress, s->inputs.count, !quiet);
    for (;;) {
        struct stream_item *item = stream_next(stream, holding > 0);
        if (item) {
            held[holding++] = item;
            people += item->status == LIMBER_OK ? item->job.count : 0;
        } else if (!holding)
            break;
        if (!item || people >= session->batch || holding == HOLD) {
            if ((status = flush(r, s, model, session, stream, held, holding)) != CLI_DONE)
                break;
            done += (size_t)holding;
            progress_step(&progress, done, (size_t)r->pose_count);
            holding = people = 0;
        }
    }
    progress_clear(&progress);
    stream_close(&stream);
    r->seconds = progress_now() - begin;
    r->seconds_forward = session->seconds_forward - forward_before;
    return status != CLI_DONE ? status : cli_stopped ? CLI_INTERRUPTED : CLI_DONE;
}

void eval_result_free(struct eval_result *r)
{
    free(r->poses);
    free(r->truth);
    *r = (struct eval_result){0};
}

/* ---- numbers ---- */

static bool of_source(const struct eval_set *s, int image, const char *source)
{
    const char *own = s->boxes.list[image].source;
    return !source || (own && strcmp(own, source) == 0);
}

/* Truths and poses of one source. */
struct slice {
    struct coco_truth *truths;
    struct coco_pose *poses;
    struct coco_truth *answered; /* [poses]: the truth of each pose */
    int truth_count, pose_count, images;
};

static void slice_free(struct slice *c)
{
    free(c->truths);
    free(c->poses);
    free(c->answered);
}

static limber_status slice_of(struct slice *c, const struct eval_set *s, const struct eval_result *r, const char *source,
                              limber_error *err)
{
    *c = (struct slice){.truths = calloc((size_t)s->truth_count + 1, sizeof *c->truths),
                        .poses = calloc((size_t)r->pose_count + 1, sizeof *c->poses),
                        .answered = calloc((size_t)r->pose_count + 1, sizeof *c->answered)};
    if (!c->truths || !c->poses || !c->answered)
        return limber_fail(err, LIMBER_E_MEMORY, "no memory for %d people", s->truth_count);
    for (size_t i = 0; i < s->boxes.count; i++)
        c->images += of_source(s, (int)i, source);
    for (int i = 0; i < s->truth_count; i++)
        if (of_source(s, s->truths[i].image, source))
            c->truths[c->truth_count++] = s->truths[i];
    for (int i = 0; i < r->pose_count; i++)
        if (of_source(s, r->poses[i].image, source)) {
            c->answered[c->pose_count] = s->truths[r->truth[i]];
            c->poses[c->pose_count++] = r->poses[i];
        }
    return LIMBER_OK;
}

limber_status eval_numbers(double numbers[COCO_NUMBERS], const struct eval_set *s, const struct eval_result *r,
                           const char *source, limber_error *err)
{
    struct slice c;
    limber_status st = slice_of(&c, s, r, source, err);
    if (st == LIMBER_OK)
        st = coco_evaluate(numbers, c.truths, c.truth_count, c.poses, c.pose_count, (int)s->boxes.count, err);
    slice_free(&c);
    return st;
}

/* What is reported of one source, or of all. */
struct figures {
    const char *source; /* NULL: all */
    int images, people;
    double numbers[COCO_NUMBERS];
    int correct[COCO_KEYPOINTS], labelled[COCO_KEYPOINTS]; /* PCK */
    double oks[COCO_KEYPOINTS];                            /* mean similarity of each joint, where labelled */
    int oks_labelled[COCO_KEYPOINTS];
    double mean_oks; /* over people */
};

/* Similarity of a single joint: OKS of a truth that has no other. */
static void joint_similarities(struct figures *f, const struct slice *c)
{
    for (int i = 0; i < c->pose_count; i++) {
        f->mean_oks += coco_oks(&c->answered[i], c->poses[i].keypoints) / c->pose_count;
        for (int k = 0; k < COCO_KEYPOINTS; k++) {
            struct coco_truth one = c->answered[i];
            if (one.visibility[k] <= 0)
                continue;
            for (int other = 0; other < COCO_KEYPOINTS; other++)
                one.visibility[other] = other == k;
            f->oks[k] += coco_oks(&one, c->poses[i].keypoints);
            f->oks_labelled[k]++;
        }
    }
    for (int k = 0; k < COCO_KEYPOINTS; k++)
        f->oks[k] = f->oks_labelled[k] ? f->oks[k] / f->oks_labelled[k] : -1;
}

static limber_status figures_of(struct figures *f, const struct eval_set *s, const struct eval_result *r, const char *source,
                                limber_error *err)
{
    struct slice c;
    *f = (struct figures){.source = source};
    limber_status st = slice_of(&c, s, r, source, err);
    if (st == LIMBER_OK)
        st = coco_evaluate(f->numbers, c.truths, c.truth_count, c.poses, c.pose_count, (int)s->boxes.count, err);
    if (st == LIMBER_OK) {
        f->images = c.images;
        f->people = c.pose_count;
        coco_pck(c.answered, c.poses, c.pose_count, PCK_SHARE, f->correct, f->labelled);
        joint_similarities(f, &c);
    }
    slice_free(&c);
    return st;
}

static double pck_of(const struct figures *f)
{
    int correct = 0, labelled = 0;
    for (int k = 0; k < COCO_KEYPOINTS; k++) {
        correct += f->correct[k];
        labelled += f->labelled[k];
    }
    return labelled ? (double)correct / labelled : -1;
}

static double ratio(int part, int whole)
{
    return whole ? (double)part / whole : -1;
}

static void print_figures(const struct figures *f, int count, const struct eval_result *r, const limber_model *model)
{
    const struct figures *all = &f[0];
    for (int i = 0; i < COCO_NUMBERS; i++)
        printf("%-6s %.3f\n", coco_number_names[i], all->numbers[i]);
    printf("PCK@%.1f %.3f  (of the torso; people with all four torso joints labelled)\n", PCK_SHARE, pck_of(all));
    printf("\n%-16s %8s %8s %8s %8s\n", "joint", "labelled", "OKS", "PCK", "of");
    for (int k = 0; k < COCO_KEYPOINTS; k++)
        printf("%-16s %8d %8.3f %8.3f %8d\n", coco_keypoint_names[k], all->oks_labelled[k], all->oks[k],
               ratio(all->correct[k], all->labelled[k]), all->labelled[k]);
    if (count > 1) {
        printf("\n%-20s %7s %7s %7s %7s %7s %7s %7s %7s\n", "source", "images", "people", "AP", "AP50", "AP75", "AR", "OKS",
               "PCK");
        for (int i = 0; i < count; i++)
            printf("%-20s %7d %7d %7.3f %7.3f %7.3f %7.3f %7.3f %7.3f\n", f[i].source ? f[i].source : "all", f[i].images,
                   f[i].people, f[i].numbers[COCO_AP], f[i].numbers[COCO_AP50], f[i].numbers[COCO_AP75], f[i].numbers[COCO_AR],
                   f[i].mean_oks, pck_of(&f[i]));
    }
    printf("\n%d people in %.2f s (%.1f a second; forward pass %.2f s), %s %s", r->pose_count, r->seconds,
           r->pose_count / r->seconds, r->seconds_forward, limber_model_backend(model), limber_model_precision(model));
    if (r->failed)
        printf("; %d images could not be used, their people count as missed", r->failed);
    printf("\n");
}

static void put_figures(struct json_text *t, const struct figures *f)
{
    put_open(t, '{');
    put_key(t, "images"), put_integer(t, f->images);
    put_key(t, "people"), put_integer(t, f->people);
    for (int i = 0; i < COCO_NUMBERS; i++)
        put_key(t, coco_number_names[i]), put_number(t, f->numbers[i], 6);
    put_key(t, "OKS"), put_number(t, f->mean_oks, 6);
    put_key(t, "PCK@0.2"), put_number(t, pck_of(f), 6);
    put_key(t, "joints"), put_open(t, '{');
    for (int k = 0; k < COCO_KEYPOINTS; k++) {
        put_key(t, coco_keypoint_names[k]), put_open(t, '{');
        put_key(t, "labelled"), put_integer(t, f->oks_labelled[k]);
        put_key(t, "OKS"), put_number(t, f->oks[k], 6);
        put_key(t, "PCK@0.2"), put_number(t, ratio(f->correct[k], f->labelled[k]), 6);
        put_close(t, '}');
    }
    put_close(t, '}');
    put_close(t, '}');
}

static int write_json(const char *path, const struct figures *f, int count, const struct eval_result *r,
                      const limber_model *model, const struct head_losses *losses)
{
    struct json_text t = {.pretty = true};
    put_open(&t, '{');
    put_key(&t, "version"), put_string(&t, limber_version());
    put_key(&t, "model"), put_string(&t, model->source);
    put_key(&t, "backend"), put_string(&t, limber_model_backend(model));
    put_key(&t, "precision"), put_string(&t, limber_model_precision(model));
    put_key(&t, "seconds"), put_number(&t, r->seconds, 3);
    put_key(&t, "seconds_forward"), put_number(&t, r->seconds_forward, 3);
    put_key(&t, "failed_images"), put_integer(&t, r->failed);
    put_key(&t, "all"), put_figures(&t, &f[0]);
    put_key(&t, "sources"), put_open(&t, '{');
    for (int i = 1; i < count; i++)
        put_key(&t, f[i].source), put_figures(&t, &f[i]);
    put_close(&t, '}');
    if (losses->v)
        put_key(&t, "without_head"), head_losses_put(&t, losses);
    put_close(&t, '}');
    put_newline(&t);
    int status = t.failed ? cli_fail("%s: no memory", path) : output_text(path, t.text, t.length);
    put_free(&t);
    return status;
}

static int report(const struct eval_set *set, const struct eval_result *r, const limber_model *model,
                  const struct head_losses *losses, const char *json)
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
        print_figures(f, count, r, model);
        if (losses->v)
            head_losses_print(losses, f[0].numbers[COCO_AP]);
        if (fflush(stdout))
            status = cli_fail("standard output: the figures could not be written");
    }
    if (status == CLI_DONE && json)
        status = write_json(json, f, count, r, model, losses);
    free(f);
    return status;
}

int cli_eval(int argc, char **argv)
{
    struct cli_common common = cli_common_default();
    const char *annotations = NULL, *images = NULL, *json = NULL;
    bool flip = false, each_head = false;
    const struct cli_option options[] = {
        CLI_OPTION("--annotations", "FILE", &annotations, "COCO person keypoints (required)"),
        CLI_OPTION("--images", "DIR", &images, "where its images are: by their file_name, then by its last part (required)"),
        CLI_FLAG("--flip", &flip, "average with a second pass over the mirrored crop, as published figures do"),
        CLI_FLAG("--each-head", &each_head, "once more without each attention head: what AP and each limb lose"),
        CLI_OPTION("--json", "FILE", &json, "write the figures there too"),
        CLI_COMMON_OPTIONS(common),
        CLI_END,
    };
    const struct cli_command command = {
        "eval", "--annotations FILE --images DIR [options]",
        "How good the model is: COCO's ten numbers for keypoints, exactly as pycocotools computes them, on the\n"
        "boxes of the annotations; PCK; by joint; and by `source` where the images carry one.",
        options};
    int inputs, status = cli_parse(&command, argc, argv, &inputs);
    if (status != CLI_GO)
        return status;
    if (inputs > 0)
        return cli_usage(&command, "takes no arguments: %s", argv[1]);
    if (!annotations || !images)
        return cli_usage(&command, "%s is required", annotations ? "--images" : "--annotations");
    common.options.flip = flip;
    limber_model *model = NULL;
    limber_session *session = NULL;
    struct eval_set set = {0};
    struct eval_result result = {0};
    struct head_losses losses = {0};
    cli_catch_signals();
    status = cli_model_open(&common, &model);
    if (status == CLI_DONE && !model->config.coco)
        status = cli_fail("%s: its labels are not COCO's 17, and COCO's similarity is defined for those", model->source);
    if (status == CLI_DONE)
        status = cli_session_open(&common, model, &session);
    if (status == CLI_DONE)
        status = eval_set_open(&set, annotations, images);
    if (status == CLI_DONE)
        status = eval_measure(&result, &set, model, session, common.quiet);
    if (status == CLI_DONE && each_head)
        status = head_losses_measure(&losses, &common, &set, model, &result);
    if (status == CLI_DONE)
        status = report(&set, &result, model, &losses, json);
    if (status == CLI_DONE && result.failed)
        status = CLI_SOME_FAILED;
    head_losses_free(&losses);
    eval_result_free(&result);
    eval_set_close(&set);
    limber_session_close(&session);
    limber_model_close(&model);
    return status;
}
