/* The file behind --boxes: three forms, which people count, which image is which input, and files that are none of it. */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command/boxes.h"

static struct boxes parsed(const char *text)
{
    struct boxes b;
    limber_error err = {0};
    cr_assert_eq(boxes_parse(&b, "t.json", text, strlen(text), &err), LIMBER_OK, "%s", err.text);
    return b;
}

static void refused(const char *text, const char *because)
{
    struct boxes b;
    limber_error err = {0};
    cr_assert_neq(boxes_parse(&b, "t.json", text, strlen(text), &err), LIMBER_OK, "accepted: %s", text);
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

Test(boxes, coco_annotations)
{
    struct boxes b = parsed(coco);
    cr_assert_eq(b.count, 3);
    cr_expect(!b.by_number);
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

Test(boxes, without_a_category_called_person_all_count)
{
    struct boxes b = parsed("{\"images\":[{\"id\":1,\"file_name\":\"a\"}],\"categories\":[{\"id\":3,\"name\":\"fish\"}],"
                            "\"annotations\":[{\"id\":5,\"image_id\":1,\"category_id\":3,\"bbox\":[1,1,2,2]}]}");
    cr_expect_eq(b.list[0].count, 1);
    boxes_close(&b);
}

Test(boxes, detection_result)
{
    struct boxes b = parsed("[{\"image_id\": 139, \"category_id\": 1, \"bbox\": [1, 2, 3, 4], \"score\": 0.98},"
                            "{\"image_id\": 7, \"category_id\": 1, \"bbox\": [5, 6, 7, 8], \"score\": 0.5},"
                            "{\"image_id\": 139, \"category_id\": 3, \"bbox\": [0, 0, 1, 1], \"score\": 0.9},"
                            "{\"image_id\": \"000000000139\", \"bbox\": [9, 10, 11, 12], \"score\": 0.1}]");
    cr_expect(b.by_number && b.count == 2);
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
    refused("[{\"image_id\": \"x7\", \"bbox\": [1,2,3,4]}]", "x7");
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
            "annotation 5: its image_id 2 is not among");
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
        limber_status st = boxes_open(&b, path, &err);
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
    cr_expect_eq(boxes_open(&b, "/nowhere/x.json", &err), LIMBER_E_IO);
    cr_expect(strstr(err.text, "/nowhere/x.json") && strstr(err.text, "No such file"), "%s", err.text);
    cr_expect_eq(boxes_open(&b, LIMBER_TEST_DIR, &err), LIMBER_E_IO);
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
