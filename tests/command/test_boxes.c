/* SPDX-License-Identifier: MIT */
/* The file behind --boxes: three forms, which people count, which image is which input, and files that are none of it. */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/unicode.h"
#include "command/boxes.h"
#include "model/skeleton.h"

static struct boxes parsed(const char *text)
{
    struct boxes b;
    limber_error err = {0};
    cr_assert_eq(boxes_parse(&b, "t.json", text, strlen(text), NULL, &err), LIMBER_OK, "%s", err.text);
    return b;
}

static void refused(const char *text, const char *because)
{
    struct boxes b;
    limber_error err = {0};
    cr_assert_neq(boxes_parse(&b, "t.json", text, strlen(text), NULL, &err), LIMBER_OK, "accepted: %s", text);
    cr_expect(strstr(err.text, because) && !strncmp(err.text, "t.json: ", 8), "\"%s\" does not say \"%s\"", err.text, because);
    cr_expect(b.list == NULL && b.path == NULL);
}

/* ---- forms ---- */

static const char coco[] =
    "{\"images\": [{\"id\": 7, \"file_name\": \"sub/a.jpg\", \"width\": 48, \"height\": 32, \"source\": \"lsp\"},"
    "             {\"id\": 9, \"file_name\": \"b.jpg\"}, {\"id\": 3, \"file_name\": \"empty.jpg\"}],"
    " \"categories\": [{\"id\": 18, \"name\": \"dog\"}, {\"id\": 2, \"name\": \"person\"}],"
    " \"annotations\": ["
    "  {\"id\": 100, \"image_id\": 9, \"category_id\": 2, \"bbox\": [1, 2, 30, 40], \"area\": 600.5, \"iscrowd\": 0},"
    "  {\"id\": 101, \"image_id\": 7, \"category_id\": 2, \"bbox\": [9, 9, 0, 9], \"iscrowd\": 1},"
    "  {\"id\": 102, \"image_id\": 7, \"category_id\": 2, \"bbox\": [4, 5.5, 20, 21], \"keypoints\": [1, 2, 2, 0, 0, 0, 3.5, 4, "
    "1]},"
    "  {\"id\": 103, \"image_id\": 7, \"category_id\": 18, \"bbox\": [0, 0, 5, 5]},"
    "  {\"id\": 104, \"image_id\": 7, \"category_id\": 2, \"bbox\": [8, 8, 9, 9], \"num_keypoints\": 5, \"keypoints\": []}]}";

/* COCO-WholeBody's feet, face and hands stand behind COCO's 17, which stay what they are to a model of 17; and only all four do. */
static char *whole_body_text(const char *face)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    fprintf(f, "{\"images\":[{\"id\":1,\"file_name\":\"a\"}],\"annotations\":[{\"id\":5,\"image_id\":1,\"category_id\":1,"
               "\"bbox\":[1,1,9,9]");
    for (int p = 0; p < skeleton_whole_body.part_count; p++) {
        const struct skeleton_part *part = &skeleton_whole_body.parts[p];
        fprintf(f, ",\"%s\":[", p == 2 ? face : part->field);
        for (int k = part->first; k < part->first + part->count; k++)
            fprintf(f, "%s%d,%d.5,%d", k == part->first ? "" : ",", k, k, k % 3);
        fprintf(f, "]");
    }
    fprintf(f, "}]}");
    cr_assert(fclose(f) == 0 && text);
    return text;
}

Test(boxes, whole_body_annotations)
{
    char *text = whole_body_text("face_kpts");
    struct boxes b = parsed(text);
    const struct annotation *a = b.list[0].person;
    cr_assert(a->keypoint_count == 17 && a->joint_count == 133);
    cr_expect_eq(a->num_keypoints, 11, "%d", a->num_keypoints); /* of COCO's */
    for (int k = 0; k < 133; k++)
        cr_expect(a->keypoints[3 * k] == k && a->keypoints[3 * k + 1] == k + .5 && a->keypoints[3 * k + 2] == k % 3, "joint %d",
                  k);
    boxes_close(&b);
    free(text);
    text = whole_body_text("face_points");
    b = parsed(text);
    cr_expect(b.list[0].person[0].keypoint_count == 17 && b.list[0].person[0].joint_count == 17);
    boxes_close(&b);
    free(text);
    text = whole_body_text("face_kpts");
    memcpy(strstr(text, "face_kpts\":[23,"), "face_kpts\":[  ,", 15);
    *strchr(strstr(text, "face_kpts"), ',') = ' ';
    refused(text, "annotation 5: face_kpts is");
    free(text);
    text = whole_body_text("face_kpts");
    memcpy(strstr(text, "face_kpts\":[23,"), "face_kpts\":[{},", 15);
    refused(text, "annotation 5: number 1 of face_kpts is");
    free(text);
}

Test(boxes, every_category)
{
    struct boxes b;
    limber_error err = {0};
    cr_assert_eq(boxes_parse(&b, "t.json", coco, strlen(coco), BOXES_EVERY_CATEGORY, &err), LIMBER_OK, "%s", err.text);
    cr_expect(b.kept == 4 && b.left_out.category == 0);
    cr_expect(b.list[0].person[1].id == 103 && b.list[0].person[1].category == 18 && b.list[0].person[0].category == 2);
    boxes_close(&b);
    static const char unnamed[] = "[{\"image_id\":1,\"bbox\":[1,1,9,9],\"category_id\":7},{\"image_id\":1,\"bbox\":[1,1,9,9]}]";
    cr_assert_eq(boxes_parse(&b, "t.json", unnamed, strlen(unnamed), BOXES_EVERY_CATEGORY, &err), LIMBER_OK, "%s", err.text);
    cr_expect(b.kept == 2, "%zu", b.kept);
    boxes_close(&b);
}

Test(boxes, coco_annotations)
{
    struct boxes b = parsed(coco);
    cr_assert_eq(b.count, 3);
    cr_expect(!b.sparse);
    const struct boxes_list *a = &b.list[0];
    cr_expect_str_eq(a->name, "sub/a.jpg");
    cr_expect_str_eq(a->source, "lsp");
    cr_expect(a->image_id == 7 && a->width == 48 && a->height == 32);
    cr_assert(a->count == 2 && a->person_count == 3, "%d %d", a->count, a->person_count); /* no dog; the crowd last */
    cr_expect(a->person[0].id == 102 && a->person[1].id == 104 && a->person[2].id == 101 && a->person[2].crowd);
    cr_expect(a->box[0].x == 4 && a->box[0].y == 5.5f && a->box[0].width == 20 && a->box[0].height == 21);
    cr_expect(a->person[0].keypoint_count == 3 && a->person[0].num_keypoints == 2); /* counted where the file does not say */
    cr_expect(a->person[0].keypoints[6] == 3.5 && a->person[0].keypoints[8] == 1);
    cr_expect(a->person[1].num_keypoints == 5 && !a->person[1].keypoints);
    cr_expect_null(a->fault, "a crowd's box is not used, so nothing is wrong with it");
    cr_expect(b.list[1].count == 1 && b.list[1].person[0].area == 600.5 && !b.list[1].source);
    cr_expect(b.list[2].count == 0 && b.list[2].image_id == 3);
    boxes_close(&b);
    cr_expect(b.list == NULL);
    boxes_close(&b);
}

/* ---- who is a person ---- */

/* One image, an annotation of each category, whose x is its id; what is kept, in order, as "1 3". */
static void kept(const char *categories, const char *annotations, const char *category, const char *want)
{
    char text[4096], got[256] = "";
    struct boxes b;
    limber_error err = {0};
    snprintf(text, sizeof text, "{\"images\":[{\"id\":1,\"file_name\":\"a\"}],%s\"annotations\":[%s]}", categories, annotations);
    cr_assert_eq(boxes_parse(&b, "t", text, strlen(text), category, &err), LIMBER_OK, "%s: %s", categories, err.text);
    for (int i = 0; i < b.list[0].count; i++)
        sprintf(got + strlen(got), "%s%g", i ? " " : "", (double)b.list[0].box[i].x);
    cr_expect_str_eq(got, want, "%s %s: %s, expected %s", categories, category ? category : "", got, want);
    cr_expect_eq(b.kept, (size_t)b.list[0].count);
    boxes_close(&b);
}

static void not_kept(const char *categories, const char *annotations, const char *category, const char *because)
{
    char text[4096];
    struct boxes b;
    limber_error err = {0};
    snprintf(text, sizeof text, "{\"images\":[{\"id\":1,\"file_name\":\"a\"}],%s\"annotations\":[%s]}", categories, annotations);
    cr_assert_neq(boxes_parse(&b, "t", text, strlen(text), category, &err), LIMBER_OK, "%s: accepted", categories);
    cr_expect(strstr(err.text, because), "\"%s\" does not say \"%s\"", err.text, because);
}

#define A(category, x) "{\"image_id\":1,\"category_id\":" category ",\"bbox\":[" #x ",1,2,2]}"
#define UNSAID(x) "{\"image_id\":1,\"bbox\":[" #x ",1,2,2]}"
#define CATEGORIES(list) "\"categories\":[" list "],"
#define C(id, name) "{\"id\":" id ",\"name\":\"" name "\"}"

Test(boxes, people_by_the_name_of_their_category)
{
    static const char all[] = A("0", 0) "," A("1", 1) "," A("2.0", 2) "," A("\"3\"", 3);
    kept(CATEGORIES(C("0", "car") "," C("2", "Person")), all, NULL, "2");
    kept(CATEGORIES(C("0", "person") "," C("1", "bicycle")), all, NULL, "0");
    kept(CATEGORIES(C("1", "pedestrian") "," C("2", "car")), all, NULL, "1");
    kept(CATEGORIES(C("1", "pedestrian") "," C("3", "people") "," C("2", "car")), all, NULL, "1 3");
    kept(CATEGORIES(C("1", "people") "," C("3", "person") "," C("2", "car")), all, NULL, "3");
    kept(CATEGORIES(C("3.0", "person")), all, NULL, "3");
    kept(CATEGORIES(C("\"3\"", "person")), all, NULL, "3");
    not_kept(CATEGORIES(C("3", "fish")), all, NULL, "no category is called person; there is fish: say with --category");
    not_kept(CATEGORIES(C("3", "truck") "," C("1", "car")), all, NULL, "there are car, truck");
    not_kept(CATEGORIES(C("3", "person") "," C("3", "car")), all, NULL, "called person and car");
    not_kept(CATEGORIES(C("3", "person")), A("1.5", 1), NULL, "category_id is 1.5");
    not_kept(CATEGORIES(C("9", "person") "," C("1", "car")), A("1", 1), NULL,
             "none of its 1 boxes is a person's, there are car 1");
}

Test(boxes, people_by_category)
{
    static const char all[] = A("0", 0) "," A("1", 1) "," A("2", 2) "," A("3", 3),
                      names[] = CATEGORIES(C("0", "person") "," C("1", "fish") "," C("2", "a, b"));
    kept(names, all, "fish", "1");
    kept(names, all, "FISH,0", "0 1");
    kept(names, all, "a, b", "2");
    kept("", all, "0", "0");
    kept("", all, "2,3", "2 3");
    not_kept(names, all, "dog", "no category is \"dog\"; there are person, fish");
    not_kept("", all, "person", "does not name its categories");
    not_kept("", all, "7", "none of its 4 boxes is of --category 7: there are category_id 0 1, category_id 1 1");
}

Test(boxes, without_names_1_is_the_person)
{
    kept("", A("1", 1) "," A("2", 2) "," A("1.0", 3), NULL, "1 3");
    kept("", UNSAID(1) "," A("null", 2) "," A("18", 3), NULL, "1 2");
    not_kept("", A("1", 1) "," A("0", 2) "," A("0.0", 3), NULL, "2 of its 3 boxes have category_id 0");
    /* a name beside each detection, as SAHI writes, or for an id */
    struct boxes b = parsed("[{\"image_id\":1,\"category_id\":0,\"category_name\":\"person\",\"bbox\":[1,1,2,2]},"
                            "{\"image_id\":1,\"category_id\":2,\"category_name\":\"car\",\"bbox\":[2,1,2,2]},"
                            "{\"image_id\":1,\"category_id\":\"Person\",\"bbox\":[3,1,2,2]}]");
    cr_expect(b.list[0].count == 2 && b.list[0].box[1].x == 3);
    boxes_close(&b);
}

Test(boxes, what_is_left_out_is_counted)
{
    static const char text[] =
        "{\"images\":[{\"id\":1,\"file_name\":\"a\"},{\"id\":2,\"file_name\":\"b\"}],"
        "\"categories\":[{\"id\":1,\"name\":\"person\"},{\"id\":3,\"name\":\"car\"},{\"id\":4,\"name\":\"dog\"}],\"annotations\":"
        "["
        "{\"image_id\":1,\"category_id\":1,\"bbox\":[1,1,2,2]},{\"image_id\":1,\"category_id\":1,\"bbox\":[1,1,2,2],\"iscrowd\":"
        "1},"
        "{\"image_id\":1,\"category_id\":4,\"bbox\":[1,1,2,2]},{\"image_id\":1,\"category_id\":3,\"bbox\":[1,1,2,2]},"
        "{\"image_id\":1,\"category_id\":3},{\"image_id\":1,\"bbox\":[1,1,2,2]},{\"image_id\":9,\"bbox\":[1,1,2,2]},"
        "{\"image_id\":2,\"category_id\":1,\"bbox\":[1,1,0,2]},{\"image_id\":2,\"category_id\":1,\"bbox\":[1,1,2,2]}]}";
    struct boxes b = parsed(text);
    const struct boxes_left_out *l = &b.left_out;
    cr_expect(b.kept == 1 && l->crowd == 1 && l->category == 3 && l->unnamed == 1 && l->stray == 1 && l->unusable == 2);
    char *summary = boxes_summary(&b);
    cr_expect_str_eq(summary,
                     "1 box of people; left out: 3 of other categories (car 2, dog 1), 1 without a category, 1 crowd, 1 of "
                     "an image that the file does not list, 2 unusable, with the others of their images");
    free(summary);
    struct json_text t = {0};
    boxes_put_counts(&t, &b);
    cr_expect_str_eq(t.text,
                     "{\"kept\":1,\"left_out\":{\"other_category\":3,\"no_category\":1,\"crowd\":1,\"image_not_listed\":1,"
                     "\"unusable\":2}}");
    put_free(&t);
    boxes_close(&b);
    refused("{\"images\":[{\"id\":1,\"file_name\":\"a\"}],\"annotations\":[{\"image_id\":\"one\",\"bbox\":[1,1,2,2]}]}",
            "none of its 1 annotations has the image_id of one of its 1 images");
}

/* pandas writes whole numbers as 1.0, other tools as text; an id may be any text. */
Test(boxes, ids_and_sizes_as_tools_write_them)
{
    struct boxes b =
        parsed("{\"images\":[{\"id\":7.0,\"file_name\":\"a\",\"width\":480.0,\"height\":640},{\"id\":\"x y\",\"file_name\":"
               "\"b\"},{\"id\":\"008\",\"file_name\":\"c\"}],\"annotations\":["
               "{\"id\":1.0,\"image_id\":7,\"bbox\":[1,1,2,2],\"num_keypoints\":1.0,\"iscrowd\":0.0,\"keypoints\":[1,1,2.0]},"
               "{\"id\":2,\"image_id\":\"x y\",\"bbox\":[2,1,2,2],\"area\":null},{\"id\":2,\"image_id\":8.0,\"area\":4,"
               "\"bbox\":[3,1,2,2]}]}");
    cr_assert(b.count == 3 && b.list[0].count == 1 && b.list[1].count == 1 && b.list[2].count == 1);
    cr_expect(b.list[0].width == 480 && b.list[0].height == 640 && b.list[0].image_id == 7);
    cr_expect(b.list[0].person[0].num_keypoints == 1 && b.list[0].person[0].id == 1 && !b.list[0].person[0].crowd);
    cr_expect_str_eq(b.list[1].text_id, "x y");
    cr_expect(b.list[1].image_id == -1 && !b.list[1].person[0].has_area && b.list[2].person[0].has_area);
    /* doubled ids: the last one stands for all of them */
    cr_expect(b.list[0].person[0].last_of_id == 0 && b.list[1].person[0].last_of_id == 2 && b.list[2].person[0].last_of_id == 2);
    boxes_close(&b);
    refused("{\"images\":[{\"id\":1.5,\"file_name\":\"a\"}],\"annotations\":[]}", "its id is 1.5");
    refused("{\"images\":[{\"id\":1e300,\"file_name\":\"a\"}],\"annotations\":[]}", "its id is");
    refused("{\"images\":[{\"id\":1,\"file_name\":\"a\",\"width\":1.5}],\"annotations\":[]}", "width is 1.5");
}

Test(boxes, scores)
{
    struct boxes b = parsed("[{\"image_id\":1,\"bbox\":[1,1,2,2],\"score\":0.5},{\"image_id\":1,\"bbox\":[1,1,2,2]},"
                            "{\"image_id\":1,\"box\":[1,1,2,2],\"score\":0.25,\"box_score\":0.75}]");
    cr_assert(b.list[0].count == 3 && b.list[0].score);
    cr_expect(b.list[0].score[0] == 0.5f && b.list[0].score[1] == 1 && b.list[0].score[2] == 0.75f);
    boxes_close(&b);
    b = parsed("[{\"image_id\":1,\"bbox\":[1,1,2,2]}]");
    cr_expect_null(b.list[0].score, "no box has one");
    boxes_close(&b);
    b = parsed(
        "{\"image\": \"a\", \"boxes\": [[4, 5, 6, 7], [1, 2, 3, 4]], \"scores\": [0.5, 1]}\n{\"image\":\"b\",\"boxes\":[]}");
    cr_expect(b.list[0].score && b.list[0].score[0] == 0.5f && b.list[0].score[1] == 1);
    boxes_close(&b);
    refused("{\"image\": \"a\", \"boxes\": [[4, 5, 6, 7]], \"scores\": [0.5, 1]}",
            "line 1: \"scores\" is an array of 2, expected one for each of 1");
    refused("{\"image\": \"a\", \"boxes\": [[4, 5, 6, 7]], \"scores\": [\"x\"]}", "box 1: its score is \"x\"");
    refused("[{\"image_id\":1,\"bbox\":[1,1,2,2],\"score\":\"high\"}]", "score is \"high\"");
}

Test(boxes, the_surest_are_kept)
{
    static const char text[] =
        "{\"images\":[{\"id\":1,\"file_name\":\"a\"},{\"id\":2,\"file_name\":\"b\"}],\"annotations\":["
        "{\"image_id\":1,\"bbox\":[1,0,2,2],\"score\":0.5},{\"image_id\":1,\"bbox\":[2,0,2,2],\"score\":0.9,"
        "\"keypoints\":[1,2,2]},{\"image_id\":1,\"bbox\":[3,0,2,2],\"score\":0.1,\"keypoints\":[3,4,2]},"
        "{\"image_id\":1,\"bbox\":[4,0,2,2],\"iscrowd\":1},{\"image_id\":1,\"bbox\":[5,0,2,2],\"score\":0.9},"
        "{\"image_id\":2,\"bbox\":[6,0,2,2],\"score\":0.05}]}";
    limber_error err;
    struct boxes b = parsed(text);
    cr_assert_eq(boxes_keep_surest(&b, 0.1, 0, &err), LIMBER_OK); /* what has the bound stays */
    cr_expect(b.list[0].count == 4 && b.list[0].person_count == 5 && b.list[1].count == 0 && b.list[1].person_count == 0);
    cr_expect(b.kept == 4 && b.left_out.unsure == 1);
    cr_assert_eq(boxes_keep_surest(&b, 0.1, 2, &err), LIMBER_OK);
    cr_assert(b.list[0].count == 2 && b.list[0].person_count == 3);
    cr_expect(b.list[0].box[0].x == 2 && b.list[0].box[1].x == 5 && b.list[0].score[1] == 0.9f, "in the file's order");
    cr_expect(b.list[0].person[0].keypoints && b.list[0].person[0].keypoints[0] == 1 && b.list[0].person[2].crowd);
    cr_assert_eq(boxes_keep_surest(&b, 0.1, 1, &err), LIMBER_OK);
    cr_expect(b.list[0].count == 1 && b.list[0].box[0].x == 2, "of equals the first");
    char *summary = boxes_summary(&b);
    cr_expect(summary && strstr(summary, "4 less sure than asked for"), "%s", summary);
    free(summary);
    boxes_close(&b);
    b = parsed("{\"image\":\"a\",\"boxes\":[[1,0,2,2],[2,0,2,2],[3,0,2,2]]}"); /* without scores: all are sure */
    cr_assert_eq(boxes_keep_surest(&b, 1, 2, &err), LIMBER_OK);
    cr_expect(b.list[0].count == 2 && b.list[0].box[1].x == 2 && b.kept == 2);
    boxes_close(&b);
}

/* ---- limber's own lines ---- */

Test(boxes, own_lines)
{
    struct boxes b =
        parsed("{\"image\":\"p/a.jpg\",\"width\":48,\"height\":32,\"people\":[{\"box\":[1,2,3,4],\"score\":0.3,"
               "\"keypoints\":{}},{\"box\":[5,6,7,8],\"score\":0.3}]}\n"
               "{\"image\":\"p/b.jpg\",\"error\":\"cut short\"}\n{\"image\":\"p/c.jpg\",\"width\":1,\"height\":1,\"people\":[]}");
    const char *paths[] = {"p/a.jpg", "p/b.jpg", "p/c.jpg"};
    const struct boxes_list *list;
    limber_error err = {0};
    cr_assert_eq(boxes_join(&b, paths, 3, &err), LIMBER_OK);
    cr_expect(!boxes_of(&b, 0, &list, &err) && list->count == 2 && list->box[1].width == 7);
    cr_expect(!list->score, "a score of joints is none of the box");
    cr_expect(boxes_of(&b, 1, &list, &err) && strstr(err.text, "it was an error there: cut short"), "%s", err.text);
    cr_expect(!boxes_of(&b, 2, &list, &err) && list->count == 0);
    boxes_close(&b);
    b = parsed("{\"image\":\"a\",\"people\":[{\"box\":[1,2,3,4],\"score\":0.3,\"box_score\":0.5}]}");
    cr_expect(b.list[0].score && b.list[0].score[0] == 0.5f);
    boxes_close(&b);
    /* a byte that is no UTF-8, as command/run/lines.c writes it */
    b = parsed("{\"image\":\"p/\\udcff\\\\udc80\\udc80.jpg\",\"people\":[{\"box\":[1,2,3,4]}]}\n{\"image\":\"b\",\"people\":[]}");
    cr_expect_str_eq(b.list[0].name, "p/\xff\\udc80\x80.jpg");
    boxes_close(&b);
    refused("{\"image\":\"a\",\"people\":7}", "\"people\" is 7");
    refused("{\"image\":\"a\",\"people\":[{\"score\":1}]}", "line 1: person 1: the box is");
}

Test(boxes, detection_result)
{
    struct boxes b = parsed("[{\"image_id\": 139, \"category_id\": 1, \"bbox\": [1, 2, 3, 4], \"score\": 0.98},"
                            "{\"image_id\": 7, \"category_id\": 1, \"bbox\": [5, 6, 7, 8], \"score\": 0.5},"
                            "{\"image_id\": 139, \"category_id\": 3, \"bbox\": [0, 0, 1, 1], \"score\": 0.9},"
                            "{\"image_id\": \"000000000139\", \"bbox\": [9, 10, 11, 12], \"score\": 0.1}]");
    cr_expect(b.sparse && b.count == 2);
    cr_assert(b.list[1].image_id == 139 && b.list[1].count == 2);
    cr_expect(b.list[1].person[0].score == 0.98 && b.list[1].box[1].x == 9);
    boxes_close(&b);
    b = parsed("[]");
    cr_expect_eq(b.count, 0);
    boxes_close(&b);
}

Test(boxes, json_lines)
{
    struct boxes b = parsed("\n{\"image\": \"sub/a.jpg\", \"boxes\": [[4, 5.5, 20, 21], [1, 2, 3, 4]]}\r\n\n"
                            "{\"boxes\": [], \"image\": \"quote\\\" and\\nnewline.jpg\"}");
    cr_assert_eq(b.count, 2);
    cr_expect(b.list[0].count == 2 && b.list[0].box[1].height == 4 && b.list[0].person[0].id == -1);
    cr_expect_str_eq(b.list[1].name, "quote\" and\nnewline.jpg");
    cr_expect_eq(b.list[1].count, 0);
    boxes_close(&b);
    b = parsed("\xef\xbb\xbf{\"image\": \"a\", \"boxes\": []}");
    cr_expect_eq(b.count, 1);
    boxes_close(&b);
}

/* ---- boxes that are none ---- */

Test(boxes, an_unusable_box_spoils_its_image_and_says_which)
{
    static const struct {
        const char *box, *wrong;
    } cases[] = {{"[4, 5.5, 0, 21]", "[4, 5.5, 0, 21]: width and height"},
                 {"[4, 5.5, 20, -21]", "[4, 5.5, 20, -21]: width"},
                 {"[4, 5, 1e300, 2]", "1e+300, 2]: every number"},
                 {"[-2e8, 5, 1, 2]", "below 1e8"},
                 {"[1, 1, 1e-60, 1]", "must be positive"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[512];
        snprintf(text, sizeof text,
                 "{\"images\":[{\"id\":1,\"file_name\":\"a\"},{\"id\":2,\"file_name\":\"b\"}],\"annotations\":[{\"id\":77,"
                 "\"image_id\":1,"
                 "\"bbox\":%s},{\"id\":78,\"image_id\":2,\"bbox\":[1,1,2,2]}]}",
                 cases[i].box);
        struct boxes b = parsed(text);
        const char *paths[] = {"b", "a"};
        cr_assert_eq(boxes_join(&b, paths, 2, NULL), LIMBER_OK);
        const struct boxes_list *list;
        limber_error err = {0};
        cr_expect_eq(boxes_of(&b, 0, &list, &err), LIMBER_OK);
        cr_expect_eq(boxes_of(&b, 1, &list, &err), LIMBER_E_ARGUMENT);
        cr_expect(strstr(err.text, "t.json: annotation 77") && strstr(err.text, cases[i].wrong), "%s", err.text);
        cr_expect_null(list);
        boxes_close(&b);
    }
}

Test(boxes, what_is_not_of_the_form_refuses_the_file)
{
    refused("", "empty");
    refused(" \n", "empty");
    refused("7", "JSON");
    refused("{\"a\": 1}", "without \"annotations\"");
    refused("{\"annotations\": [], \"images\": {}}", "\"images\" is not a list");
    refused("[{\"bbox\": [1,2,3,4]}]", "detection 0: its image_id is missing");
    refused("[{\"image_id\": 1.5, \"bbox\": [1,2,3,4]}]", "1.5");
    refused("[{\"image_id\": \"\", \"bbox\": [1,2,3,4]}]", "image_id is \"\"");
    refused("[{\"image_id\": 1, \"bbox\": [1,2,3]}]", "expected [x, y, width, height]");
    refused("[{\"image_id\": 1, \"bbox\": [1,2,\"3\",4]}]", "number 3 of the box is \"3\"");
    refused("[{\"image_id\": 1}]", "the box is");
    refused("[7]", "detection 0");
    refused("[{\"image_id\": 1, \"category_id\": 18, \"bbox\": [1,2,3,4]}]", "category_id 1");
    refused("[{\"image_id\": 1, \"bbox\": [NaN,2,3,4]}]", "JSON");
    refused("[{\"image_id\": 1, \"bbox\": [1e999,2,3,4]}]", "JSON");
    refused("{\"images\":[{\"id\":1}],\"annotations\":[]}", "file_name is missing");
    refused("{\"images\":[{\"file_name\":\"a\"}],\"annotations\":[]}", "id is missing");
    refused("{\"images\":[7],\"annotations\":[]}", "entry 0");
    refused("{\"images\":[{\"id\":1,\"file_name\":\"a\"},{\"id\":1,\"file_name\":\"b\"}],\"annotations\":[]}", "same id 1");
    refused("{\"images\":[{\"id\":1,\"file_name\":\"a\"}],\"annotations\":[{\"id\":5,\"image_id\":2,\"bbox\":[1,2,3,4]}]}",
            "none of its 1 annotations has the image_id");
    refused("{\"images\":[{\"id\":1,\"file_name\":\"a\"}],\"annotations\":[{\"id\":5,\"image_id\":1,\"bbox\":[1,2,3,4],"
            "\"keypoints\":[1,2]}]}",
            "annotation 5: keypoints");
    refused("{\"images\":[{\"id\":1,\"file_name\":\"a\"}],\"annotations\":[{\"id\":5,\"image_id\":1,\"bbox\":[1,2,3,4],"
            "\"keypoints\":[1,2,null]}]}",
            "number 3 of keypoints");
    refused("{\"image\": \"a\"}", "line 1: \"boxes\" is missing");
    refused("{\"boxes\": []}", "line 1: \"image\" is missing");
    refused("{\"image\": \"a\", \"boxes\": []}\n\n{\"image\": \"b\", \"boxes\": [[1,2,3\n", "line 3");
    refused("{\"image\": \"a\", \"boxes\": [[1,2,3,\"x\"]]}", "line 1: box 1: number 4");
    refused("{\"image\": \"a\\u0000.jpg\", \"boxes\": []}", "JSON");
}

/* Names say what is expected: ok_*, bad_*, edge_* (either). bad_ may also mean that the image is refused. */
Test(boxes, files_from_strangers)
{
    DIR *dir = opendir(LIMBER_TEST_DIR "/corpus/boxes");
    if (!dir)
        cr_skip_test("no corpus");
    int seen = 0;
    for (struct dirent *e; (e = readdir(dir));) {
        char path[1024];
        snprintf(path, sizeof path, "%s/%s", LIMBER_TEST_DIR "/corpus/boxes", e->d_name);
        if (e->d_name[0] == '.')
            continue;
        struct boxes b;
        limber_error err = {0};
        limber_status st = boxes_open(&b, path, NULL, &err);
        bool fault = false;
        for (size_t i = 0; !st && i < b.count; i++)
            fault |= b.list[i].fault != NULL;
        if (!strncmp(e->d_name, "ok_", 3))
            cr_expect(!st && !fault, "%s: %s", e->d_name, err.text);
        else if (!strncmp(e->d_name, "bad_", 4))
            cr_expect((st && strstr(err.text, e->d_name)) || fault, "%s was accepted", e->d_name);
        boxes_close(&b);
        seen++;
    }
    closedir(dir);
    cr_expect_geq(seen, 30);
}

Test(boxes, files_that_cannot_be_read)
{
    struct boxes b;
    limber_error err = {0};
    cr_expect_eq(boxes_open(&b, "/nowhere/x.json", NULL, &err), LIMBER_E_IO);
    cr_expect(strstr(err.text, "/nowhere/x.json") && strstr(err.text, "No such file"), "%s", err.text);
    cr_expect_eq(boxes_open(&b, LIMBER_TEST_DIR, NULL, &err), LIMBER_E_IO);
}

/* ---- join ---- */

#define MAX 8
/* One answer a path: the list's place, or -1 and the problem has to contain the word. */
static void joined(const char *const *names, const char *const *paths, const int *want, const char *const *words)
{
    char text[2048] = "";
    for (int i = 0; names[i]; i++)
        sprintf(text + strlen(text), "{\"image\": \"%s\", \"boxes\": [[%d, 0, 1, 1]]}\n", names[i], i);
    struct boxes b = parsed(text);
    size_t count = 0;
    while (paths[count])
        count++;
    limber_error err = {0};
    boxes_join(&b, paths, count, &err);
    for (size_t i = 0; i < count; i++) {
        const struct boxes_list *list;
        err.text[0] = 0;
        limber_status st = boxes_of(&b, i, &list, &err);
        int got = st ? -1 : (int)list->box[0].x;
        cr_expect_eq(got, want[i], "%s: answered %d (%s), expected %d", paths[i], got, err.text, want[i]);
        if (words && words[i])
            cr_expect(strstr(err.text, words[i]), "%s: \"%s\" does not say \"%s\"", paths[i], err.text, words[i]);
    }
    boxes_close(&b);
}

Test(join, the_longest_common_ending_wins)
{
    joined((const char *[]){"train/a.jpg", "val/a.jpg", "val/b.jpg", NULL},
           (const char *[]){"/data/val/a.jpg", "/data/train/a.jpg", "./x//val/./b.jpg", "/data/c.jpg", NULL},
           (int[]){1, 0, 2, -1}, (const char *[]){NULL, NULL, NULL, "no image in t.json has this name"});
}

Test(join, components_are_compared_whole)
{
    joined((const char *[]){"al/a.jpg", "b.jpg", NULL}, (const char *[]){"val/a.jpg", "ab.jpg", NULL}, (int[]){0, -1}, NULL);
}

/* A folder's own pictures and those of its subfolder: the file writes both as seen from the folder. */
Test(join, an_entry_that_is_wholly_the_ending_is_preferred)
{
    joined((const char *[]){"aa/a.jpg", "a.jpg", "sub/a.jpg", "zz/a.jpg", NULL},
           (const char *[]){"photos/a.jpg", "photos/sub/a.jpg", NULL}, (int[]){1, 2}, NULL);
}

Test(join, ambiguous_names_are_not_guessed)
{
    joined((const char *[]){"x/a.jpg", "y/a.jpg", NULL}, (const char *[]){"z/a.jpg", "y/a.jpg", NULL}, (int[]){-1, 1},
           (const char *[]){"ambiguous in t.json: x/a.jpg and y/a.jpg", NULL});
    joined((const char *[]){"a.jpg", NULL}, (const char *[]){"p/a.jpg", "q/a.jpg", "r/a.jpg", NULL}, (int[]){-1, -1, -1},
           (const char *[]){"fits r/a.jpg as well", "fits p/a.jpg", "fits p/a.jpg"});
    joined((const char *[]){"x/a.jpg", NULL}, (const char *[]){"x/a.jpg", "q/a.jpg", NULL}, (int[]){0, -1},
           (const char *[]){NULL, "x/a.jpg belongs to x/a.jpg"});
    joined((const char *[]){"a.jpg", "a.jpg", NULL}, (const char *[]){"a.jpg", NULL}, (int[]){-1}, (const char *[]){"ambiguous"});
}

/* Every character of Unicode with two marks behind it that are in the wrong order. */
Test(nfd, equals_unicodedata)
{
#include "base/unicode_table.h"
    uint64_t sum = 0xcbf29ce484222325u;
    for (uint32_t c = 1; c < 0x110000; c++) {
        char text[16], *to = text;
        if ((c >= 0xf900 && c <= 0xfaff) || (c >= 0x2f800 && c <= 0x2fa1f) || (c >= 0xd800 && c < 0xe000))
            continue;
        if (c < 0x80)
            *to++ = (char)c;
        else if (c < 0x800)
            *to++ = (char)(0xc0 | c >> 6), *to++ = (char)(0x80 | (c & 63));
        else if (c < 0x10000)
            *to++ = (char)(0xe0 | c >> 12), *to++ = (char)(0x80 | (c >> 6 & 63)), *to++ = (char)(0x80 | (c & 63));
        else
            *to++ = (char)(0xf0 | c >> 18), *to++ = (char)(0x80 | (c >> 12 & 63)), *to++ = (char)(0x80 | (c >> 6 & 63)),
            *to++ = (char)(0x80 | (c & 63));
        strcpy(to, "\u0301\u0323");
        char *apart = nfd(text);
        for (const unsigned char *p = (unsigned char *)apart; *p; p++)
            sum = (sum ^ *p) * 0x100000001b3u;
        free(apart);
    }
    (void)nfd_pairs, (void)nfd_classes;
    cr_expect_eq(sum, NFD_CHECKSUM);
    static const char *const bytes[] = {"\xff\xfe", "a\xc3", "\xe3\x81", "\xc0\xaf", "\xed\xa0\x80", "\xf8\x88\x80\x80", ""};
    for (size_t i = 0; i < sizeof bytes / sizeof *bytes; i++) {
        char *same = nfd(bytes[i]);
        cr_expect_str_eq(same, bytes[i], "no UTF-8 stays as it is: case %zu", i);
        free(same);
    }
}

/* Windows and macOS: the same name, written another way. */
Test(join, names_of_other_systems)
{
    joined((const char *[]){"train\\\\a.jpg", "C:\\\\data\\\\val\\\\a.jpg", "sub\\\\x/b.jpg", NULL},
           (const char *[]){"train/a.jpg", "/home/val/a.jpg", "x/b.jpg", NULL}, (int[]){0, 1, 2}, NULL);
    /* caf + e with an acute accent; one ga; Hangul han: apart in the file, together here, and the other way round */
    joined((const char *[]){"cafe\u0301.jpg", "\u304c.jpg", "\u1112\u1161\u11ab.jpg", NULL},
           (const char *[]){"caf\u00e9.jpg", "\u304b\u3099.jpg", "\ud55c.jpg", NULL}, (int[]){0, 1, 2}, NULL);
    joined((const char *[]){"cafe.jpg", NULL}, (const char *[]){"caf\u00e9.jpg", NULL}, (int[]){-1}, NULL);
}

/* image_id "bus" is bus.jpg (ultralytics), and so is image_id "bus.jpg" (AlphaPose). */
Test(join, by_a_text_id)
{
    struct boxes b =
        parsed("[{\"image_id\":\"bus\",\"bbox\":[1,1,2,2]},{\"image_id\":\"a/img.2\",\"bbox\":[2,1,2,2]},{\"image_id\":"
               "\"x.png\",\"bbox\":[3,1,2,2]},{\"image_id\":\"same\",\"bbox\":[4,1,2,2]},{\"image_id\":12,\"bbox\":[5,1,2,2]},"
               "{\"image_id\":3,\"file_name\":\"seven.jpg\",\"bbox\":[6,1,2,2]}]");
    const char *paths[] = {"p/bus.jpg",  "p/a/img.2.jpg", "p/x.png",  "p/same.jpg",
                           "p/same.png", "p/none.jpg",    "p/12.jpg", "p/seven.jpg"};
    static const float want[] = {1, 2, 3, -1, -1, 0, 5, 6};
    const struct boxes_list *list;
    limber_error err = {0};
    cr_assert_eq(boxes_join(&b, paths, 8, &err), LIMBER_OK, "%s", err.text);
    for (size_t i = 0; i < 8; i++) {
        err.text[0] = 0;
        float got = boxes_of(&b, i, &list, &err) ? -1 : list->count ? list->box[0].x : 0;
        cr_expect_eq(got, want[i], "%s: %g, expected %g: %s", paths[i], (double)got, (double)want[i], err.text);
    }
    cr_expect(boxes_of(&b, 3, &list, &err) && strstr(err.text, "ambiguous: same in t.json fits p/same.png"), "%s", err.text);
    cr_expect_eq(b.absent, 1);
    boxes_close(&b);
}

Test(join, by_the_number_in_the_name)
{
    struct boxes b = parsed("[{\"image_id\": 139, \"bbox\": [1, 2, 3, 4]}, {\"image_id\": 5, \"bbox\": [5, 6, 7, 8]},"
                            "{\"image_id\": 8, \"bbox\": [5, 6, 7, 8]}]");
    const char *paths[] = {"x/coco_val2017_000000000139.jpg", "y/12.png", "z/portrait.jpg", "q/5.jpg", "q/05.png"};
    cr_assert_eq(boxes_join(&b, paths, 5, NULL), LIMBER_OK);
    const struct boxes_list *list;
    limber_error err = {0};
    cr_expect(!boxes_of(&b, 0, &list, &err) && list->image_id == 139 && list->count == 1);
    cr_expect(!boxes_of(&b, 1, &list, &err) && list->count == 0, "a number that does not occur: nobody was detected");
    cr_expect(boxes_of(&b, 2, &list, &err) && strstr(err.text, "by number"), "%s", err.text);
    cr_expect(boxes_of(&b, 3, &list, &err) && strstr(err.text, "fits q/05.png"), "%s", err.text);
    cr_expect(boxes_of(&b, 4, &list, &err) && strstr(err.text, "fits q/5.jpg"), "%s", err.text);
    cr_expect_eq(b.absent, 1);
    cr_expect_eq(b.unused, 2); /* 8, and the ambiguous 5 */
    boxes_close(&b);
}

Test(join, a_file_of_other_images_is_an_error)
{
    struct boxes b = parsed(coco);
    const char *paths[] = {"x/y.jpg"};
    limber_error err = {0};
    cr_expect_eq(boxes_join(&b, paths, 1, &err), LIMBER_E_ARGUMENT);
    cr_expect(strstr(err.text, "none of its 3 images") && strstr(err.text, "x/y.jpg"), "%s", err.text);
    boxes_close(&b);
}

Test(join, numbers_in_names)
{
    static const struct {
        const char *path;
        long long number;
    } cases[] = {{"000000000139.jpg", 139},
                 {"a/b_12_07.tar.gz", 7},
                 {"img3_final.jpg", 3},
                 {"12/x.jpg", -1},
                 {"0.png", 0},
                 {"x.jp2", -1},
                 {"x999999999999999999999.jpg", -1},
                 {"42", 42},
                 {".7", 7},
                 {"", -1},
                 {"a/7/", 7}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        long long n = -1;
        bool found = boxes_number_in_name(cases[i].path, &n);
        cr_expect(found == (cases[i].number >= 0) && n == cases[i].number, "%s: %lld, expected %lld", cases[i].path, n,
                  cases[i].number);
    }
}
