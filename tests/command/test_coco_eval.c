/* SPDX-License-Identifier: MIT */
/* COCO's ten numbers against pycocotools' own, recorded by tools/make_coco_eval_golden.py on random predictions with crowds,
 * ignored and unlabelled persons, ties, and more than 20 predictions in an image. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>

#include "command/eval/coco_eval.h"
#include "model/labels.h"

static double number(const json_t *array, size_t i)
{
    return json_number_value(json_array_get(array, i));
}

static struct coco_truth truth_of(const json_t *t)
{
    struct coco_truth g = {.image = (int)json_integer_value(json_object_get(t, "image")),
                           .crowd = json_integer_value(json_object_get(t, "crowd")) != 0,
                           .zero_id = json_is_integer(json_object_get(t, "id")) && !json_integer_value(json_object_get(t, "id")),
                           .num_keypoints = (int)json_integer_value(json_object_get(t, "num_keypoints")),
                           .area = json_number_value(json_object_get(t, "area"))};
    for (size_t i = 0; i < 4; i++)
        g.box[i] = number(json_object_get(t, "box"), i);
    for (size_t k = 0; k < COCO_KEYPOINTS; k++) {
        const json_t *joint = json_array_get(json_object_get(t, "keypoints"), k);
        g.keypoints[k][0] = number(joint, 0);
        g.keypoints[k][1] = number(joint, 1);
        g.visibility[k] = (int)number(joint, 2);
    }
    return g;
}

static struct coco_pose pose_of(const json_t *p)
{
    struct coco_pose d = {.image = (int)json_integer_value(json_object_get(p, "image")),
                          .score = json_number_value(json_object_get(p, "score"))};
    for (size_t k = 0; k < COCO_KEYPOINTS; k++)
        for (size_t axis = 0; axis < 2; axis++)
            d.keypoints[k][axis] = number(json_array_get(json_object_get(p, "keypoints"), k), axis);
    return d;
}

Test(coco_eval, equals_pycocotools)
{
    json_error_t problem;
    json_t *file = json_load_file(LIMBER_TEST_DIR "/golden/coco_eval.json", 0, &problem);
    cr_assert_not_null(file, "%s", problem.text);
    json_t *cases = json_object_get(file, "cases"), *c;
    size_t at;
    cr_assert_gt(json_array_size(cases), 5);
    json_array_foreach(cases, at, c)
    {
        const json_t *jt = json_object_get(c, "truths"), *jp = json_object_get(c, "poses");
        int nt = (int)json_array_size(jt), np = (int)json_array_size(jp);
        struct coco_truth *truths = calloc((size_t)nt, sizeof *truths);
        struct coco_pose *poses = calloc((size_t)np, sizeof *poses);
        double numbers[COCO_NUMBERS];
        for (int i = 0; i < nt; i++)
            truths[i] = truth_of(json_array_get(jt, (size_t)i));
        for (int i = 0; i < np; i++)
            poses[i] = pose_of(json_array_get(jp, (size_t)i));
        int images = (int)json_integer_value(json_object_get(c, "images"));
        cr_assert_eq(coco_evaluate(numbers, truths, nt, poses, np, images, NULL), LIMBER_OK);
        for (size_t i = 0; i < COCO_NUMBERS; i++) {
            double want = number(json_object_get(c, "numbers"), i);
            cr_expect(fabs(numbers[i] - want) <= 1e-12, "case %zu %s: %.15f, pycocotools %.15f", at, coco_number_names[i],
                      numbers[i], want);
        }
        free(truths);
        free(poses);
    }
    json_decref(file);
}

Test(coco_eval, nothing_to_measure_is_minus_one)
{
    double numbers[COCO_NUMBERS];
    cr_assert_eq(coco_evaluate(numbers, NULL, 0, NULL, 0, 3, NULL), LIMBER_OK);
    for (int i = 0; i < COCO_NUMBERS; i++)
        cr_expect_eq(numbers[i], -1);
}

Test(coco_eval, pck_counts_within_a_share_of_the_torso)
{
    struct coco_truth g = {.num_keypoints = 17};
    struct coco_pose d = {0};
    int correct[COCO_KEYPOINTS] = {0}, labelled[COCO_KEYPOINTS] = {0};
    for (int k = 0; k < COCO_KEYPOINTS; k++)
        g.visibility[k] = 2;
    g.visibility[3] = 0;                           /* an unlabelled ear counts nowhere */
    g.keypoints[11][1] = g.keypoints[12][1] = 100; /* hips 100 below the shoulders at 0 */
    memcpy(d.keypoints, g.keypoints, sizeof d.keypoints);
    d.keypoints[9][0] = 20; /* on the limit */
    d.keypoints[10][0] = 20.01;
    coco_pck(&g, &d, 1, 0.2, correct, labelled);
    for (int k = 0; k < COCO_KEYPOINTS; k++) {
        cr_expect_eq(labelled[k], k != 3, "joint %d", k);
        cr_expect_eq(correct[k], k != 3 && k != 10, "joint %d", k);
    }
    g.visibility[5] = 0; /* no torso, no measure */
    coco_pck(&g, &d, 1, 0.2, correct, labelled);
    cr_expect_eq(labelled[0], 1);
}
