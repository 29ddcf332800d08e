/* SPDX-License-Identifier: MIT */
/* COCO's ten numbers against pycocotools' and xtcocotools' own, recorded by tools/make_coco_eval_golden.py on random predictions with
 * crowds, ignored and unlabelled persons and parts, ties, and more than 20 predictions in an image. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>

#include "command/eval/coco_eval.h"

static double number(const json_t *array, size_t i)
{
    return json_number_value(json_array_get(array, i));
}

/* [[x, y, v], ...] or [x, y, v, ...]; the third is 1 where it is left out. To free. */
static double *joints_of(const json_t *v)
{
    const json_t *first = json_array_get(v, 0);
    const bool nested = json_is_array(first);
    const size_t each = nested ? json_array_size(first) : 3, n = nested ? json_array_size(v) : json_array_size(v) / 3;
    double *joints = malloc(3 * n * sizeof *joints);
    cr_assert_not_null(joints);
    for (size_t k = 0; k < n; k++)
        for (size_t i = 0; i < 3; i++)
            joints[3 * k + i] = i == each ? 1 : nested ? number(json_array_get(v, k), i) : number(v, 3 * k + i);
    return joints;
}

static struct coco_truth truth_of(const json_t *t)
{
    struct coco_truth g = {.image = (int)json_integer_value(json_object_get(t, "image")),
                           .category = json_integer_value(json_object_get(t, "category")),
                           .crowd = json_integer_value(json_object_get(t, "crowd")) != 0,
                           .zero_id = json_is_integer(json_object_get(t, "id")) && !json_integer_value(json_object_get(t, "id")),
                           .num_keypoints = (int)json_integer_value(json_object_get(t, "num_keypoints")),
                           .area = json_number_value(json_object_get(t, "area")),
                           .keypoints = joints_of(json_object_get(t, "keypoints"))};
    for (size_t i = 0; i < 4; i++)
        g.box[i] = number(json_object_get(t, "box"), i);
    return g;
}

static struct coco_pose pose_of(const json_t *p)
{
    return (struct coco_pose){.image = (int)json_integer_value(json_object_get(p, "image")),
                              .category = json_integer_value(json_object_get(p, "category")),
                              .score = json_number_value(json_object_get(p, "score")),
                              .keypoints = joints_of(json_object_get(p, "keypoints"))};
}

/* A frozen case. */
struct frozen {
    struct coco_truth *truths;
    struct coco_pose *poses;
    int truth_count, pose_count, images;
};

static struct frozen frozen_of(const json_t *c)
{
    const json_t *t = json_object_get(c, "truths"), *p = json_object_get(c, "poses");
    struct frozen f = {.truth_count = (int)json_array_size(t),
                       .pose_count = (int)json_array_size(p),
                       .images = (int)json_integer_value(json_object_get(c, "images"))};
    f.truths = calloc((size_t)f.truth_count, sizeof *f.truths);
    f.poses = calloc((size_t)f.pose_count, sizeof *f.poses);
    cr_assert(f.truths && f.poses && f.truth_count && f.pose_count);
    for (int i = 0; i < f.truth_count; i++)
        f.truths[i] = truth_of(json_array_get(t, (size_t)i));
    for (int i = 0; i < f.pose_count; i++)
        f.poses[i] = pose_of(json_array_get(p, (size_t)i));
    return f;
}

static void frozen_free(struct frozen *f)
{
    for (int i = 0; i < f->truth_count; i++)
        free((double *)f->truths[i].keypoints);
    for (int i = 0; i < f->pose_count; i++)
        free((double *)f->poses[i].keypoints);
    free(f->truths);
    free(f->poses);
}

static void expect_numbers(const struct frozen *f, const struct skeleton *s, int part, const json_t *want, size_t at)
{
    const struct coco_scope scope = coco_scope_of(s, part);
    double numbers[COCO_NUMBERS];
    cr_assert_eq(json_array_size(want), COCO_NUMBERS);
    cr_assert_eq(coco_evaluate(numbers, &scope, f->truths, f->truth_count, f->poses, f->pose_count, f->images, NULL), LIMBER_OK);
    for (size_t i = 0; i < COCO_NUMBERS; i++)
        cr_expect(fabs(numbers[i] - number(want, i)) <= 1e-12, "case %zu %s %s %s: %.15f, the tool has %.15f", at, s->name,
                  part < 0 ? "whole" : s->parts[part].name, coco_number_names[i], numbers[i], number(want, i));
}

static json_t *load(const char *path)
{
    json_error_t problem;
    json_t *file = json_load_file(path, 0, &problem);
    cr_assert_not_null(file, "%s: %s", path, problem.text);
    cr_assert_gt(json_array_size(json_object_get(file, "cases")), 5);
    return file;
}

Test(coco_eval, equals_pycocotools)
{
    json_t *file = load(LIMBER_TEST_DIR "/golden/coco_eval.json"), *c;
    size_t at;
    json_array_foreach(json_object_get(file, "cases"), at, c)
    {
        struct frozen f = frozen_of(c);
        expect_numbers(&f, &skeleton_coco, COCO_WHOLE, json_object_get(c, "numbers"), at);
        expect_numbers(&f, &skeleton_coco, 0, json_object_get(c, "numbers"), at);
        frozen_free(&f);
    }
    json_decref(file);
}

/* COCO-WholeBody's joints whole and by part; AP-10K's in several categories. */
Test(coco_eval, equals_xtcocotools)
{
    json_t *file = load(LIMBER_TEST_DIR "/golden/coco_eval_parts.json"), *c;
    size_t at;
    int scopes = 0;
    json_array_foreach(json_object_get(file, "cases"), at, c)
    {
        const bool whole_body = json_integer_value(json_object_get(c, "joints")) == 133;
        const struct skeleton *s = whole_body ? &skeleton_whole_body : &skeleton_animal;
        const json_t *numbers = json_object_get(c, "numbers");
        struct frozen f = frozen_of(c);
        expect_numbers(&f, s, COCO_WHOLE, json_object_get(numbers, "whole"), at);
        scopes++;
        for (int part = 0; whole_body && part < s->part_count; part++, scopes++)
            expect_numbers(&f, s, part, json_object_get(numbers, s->parts[part].name), at);
        frozen_free(&f);
    }
    cr_expect_eq(scopes, 5 * 6 + 4);
    for (int row = 0; row < 2; row++) {
        const struct skeleton *s = row ? &skeleton_animal : &skeleton_whole_body;
        const json_t *sigmas = json_array_get(json_object_get(file, "sigmas"), (size_t)row);
        cr_assert_eq(json_array_size(sigmas), (size_t)s->keypoints);
        for (int k = 0; k < s->keypoints; k++)
            cr_expect_eq(s->sigmas[k], number(sigmas, (size_t)k), "%s: sigma of %s", s->name, s->names[k]);
    }
    json_decref(file);
}

Test(coco_eval, nothing_to_measure_is_minus_one)
{
    const struct coco_scope scope = coco_scope_of(&skeleton_coco, COCO_WHOLE);
    double numbers[COCO_NUMBERS];
    cr_assert_eq(coco_evaluate(numbers, &scope, NULL, 0, NULL, 0, 3, NULL), LIMBER_OK);
    for (int i = 0; i < COCO_NUMBERS; i++)
        cr_expect_eq(numbers[i], -1);
}

/* The torso is found by the names of its joints: AP-10K has them in other places than COCO. */
static void count_correct(const struct skeleton *s, int ear, int wrist, int elbow, const int torso[4])
{
    double truth[SKELETON_MAX_KEYPOINTS][3] = {{0}}, found[SKELETON_MAX_KEYPOINTS][3];
    struct coco_truth g = {.num_keypoints = s->keypoints, .keypoints = truth[0]};
    struct coco_pose d = {.keypoints = found[0]};
    int correct[SKELETON_MAX_KEYPOINTS] = {0}, labelled[SKELETON_MAX_KEYPOINTS] = {0};
    for (int k = 0; k < s->keypoints; k++)
        truth[k][2] = 2;
    truth[ear][2] = 0;                             /* one that is not labelled counts nowhere */
    truth[torso[2]][1] = truth[torso[3]][1] = 100; /* hips 100 below the shoulders at 0 */
    memcpy(found, truth, sizeof found);
    found[wrist][0] = 20; /* on the limit */
    found[elbow][0] = 20.01;
    coco_pck(s, &g, &d, 1, 0.2, correct, labelled);
    for (int k = 0; k < s->keypoints; k++) {
        cr_expect_eq(labelled[k], k != ear, "%s %d", s->name, k);
        cr_expect_eq(correct[k], k != ear && k != elbow, "%s %d", s->name, k);
    }
    truth[torso[0]][2] = 0; /* no torso, no measure */
    coco_pck(s, &g, &d, 1, 0.2, correct, labelled);
    cr_expect_eq(labelled[wrist], 1);
}

Test(coco_eval, pck_counts_within_a_share_of_the_torso)
{
    count_correct(&skeleton_coco, 3, 9, 10, (const int[]){5, 6, 11, 12});
    count_correct(&skeleton_whole_body, 3, 132, 10, (const int[]){5, 6, 11, 12});
    count_correct(&skeleton_animal, 0, 7, 9, (const int[]){5, 8, 11, 14});
}
