/* SPDX-License-Identifier: MIT */
/* COCO's twelve numbers of boxes, and who is found with so many boxes a photograph, against pycocotools' own, recorded by
 * tools/make_coco_eval_golden.py on random boxes with crowds, ties, areas on the borders, and more than 100 boxes in an image. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>

#include "command/eval/coco_boxes.h"

static double number(const json_t *array, size_t i)
{
    return json_number_value(json_array_get(array, i));
}

static double member(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static void read_box(double box[4], const json_t *v)
{
    for (size_t i = 0; i < 4; i++)
        box[i] = number(json_object_get(v, "box"), i);
}

static void expect_recall(const struct coco_recall *is, const json_t *want, size_t at)
{
    cr_expect_eq(is->boxes, (int)member(want, "boxes"));
    cr_expect_float_eq(is->least, member(want, "least"), 1e-12, "case %zu, %d boxes: at %g", at, is->boxes, is->least);
    for (size_t a = 0; a < COCO_AREAS; a++) {
        const double each = number(json_object_get(want, "each"), a), mean = number(json_object_get(want, "mean"), a);
        cr_expect_float_eq(is->each[a], each, 1e-12, "case %zu, %d boxes, area %zu: %g, pycocotools %g", at, is->boxes, a,
                           is->each[a], each);
        cr_expect_float_eq(is->mean[a], mean, 1e-12, "case %zu, %d boxes on average, area %zu: %g, pycocotools %g", at, is->boxes,
                           a, is->mean[a], mean);
    }
}

Test(coco_boxes, equal_pycocotools)
{
    json_error_t problem;
    json_t *file = json_load_file(LIMBER_TEST_DIR "/golden/coco_boxes.json", 0, &problem);
    cr_assert_not_null(file, "%s", problem.text);
    json_t *cases = json_object_get(file, "cases"), *c;
    size_t at;
    cr_assert_gt(json_array_size(cases), 10);
    json_array_foreach(cases, at, c)
    {
        const json_t *jt = json_object_get(c, "truths"), *jb = json_object_get(c, "boxes");
        const int nt = (int)json_array_size(jt), nb = (int)json_array_size(jb), images = (int)member(c, "images");
        struct coco_box_truth *truths = calloc((size_t)nt + 1, sizeof *truths);
        struct coco_box *boxes = calloc((size_t)nb + 1, sizeof *boxes);
        struct coco_boxes_numbers n;
        for (int i = 0; i < nt; i++) {
            const json_t *v = json_array_get(jt, (size_t)i);
            truths[i] = (struct coco_box_truth){.image = (int)member(v, "image"),
                                                .crowd = member(v, "crowd") != 0,
                                                .zero_id = json_is_integer(json_object_get(v, "id")) && member(v, "id") == 0,
                                                .area = member(v, "area")};
            read_box(truths[i].box, v);
        }
        for (int i = 0; i < nb; i++) {
            const json_t *v = json_array_get(jb, (size_t)i);
            boxes[i] = (struct coco_box){.image = (int)member(v, "image"), .score = member(v, "score")};
            read_box(boxes[i].box, v);
        }
        cr_assert_eq(coco_boxes_evaluate(&n, truths, nt, boxes, nb, images, images, NULL), LIMBER_OK);
        for (size_t i = 0; i < COCO_BOX_NUMBERS; i++) {
            const double want = number(json_object_get(c, "numbers"), i);
            cr_expect_float_eq(n.numbers[i], want, 1e-12, "case %zu %s: %.15f, pycocotools %.15f", at, coco_box_number_names[i],
                               n.numbers[i], want);
        }
        const json_t *recall = json_object_get(c, "recall");
        cr_assert_eq(json_array_size(recall), COCO_MOST_BOXES);
        for (size_t i = 0; i < COCO_MOST_BOXES; i++)
            expect_recall(&n.recall[i], json_array_get(recall, i), at);
        free(truths);
        free(boxes);
    }
    json_decref(file);
}

Test(coco_boxes, nothing_to_measure_is_minus_one)
{
    struct coco_boxes_numbers n;
    cr_assert_eq(coco_boxes_evaluate(&n, NULL, 0, NULL, 0, 3, 3, NULL), LIMBER_OK);
    for (int i = 0; i < COCO_BOX_NUMBERS; i++)
        cr_expect_eq(n.numbers[i], -1);
    cr_expect_eq(n.recall[4].mean[COCO_AREA_ALL], -1);
}

Test(coco_boxes, overlap)
{
    const double box[4] = {5, 5, 10, 10};
    struct coco_box_truth g = {.box = {0, 0, 10, 10}};
    cr_expect_float_eq(coco_overlap(&g, box), 25. / 175, 1e-15);
    g.crowd = true; /* over the box's own area */
    cr_expect_float_eq(coco_overlap(&g, box), .25, 1e-15);
    g.box[0] = 15; /* side by side */
    cr_expect_eq(coco_overlap(&g, box), 0);
}
