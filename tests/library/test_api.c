/* SPDX-License-Identifier: MIT */
/* The public interface as a stranger calls it: what it gives, what it refuses and in which words, and that a person's result is
 * its own - not its batch's, its neighbours' or its threads'. Every result is held against another way to get it, bit for bit. */
#include <criterion/criterion.h>

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image/image.h"
#include "compute/open.h"
#include "limber.h"
#include "limber_heads.h"
#include "limber_patch.h"

#define TINY LIMBER_TEST_DIR "/golden/simple-hd32"
#define WIDTH 96
#define HEIGHT 80
#define BOXES 7

/* Smooth colour with edges in it, different everywhere: a crop taken a pixel off gives other numbers. */
static uint8_t *draw(int width, int height, unsigned seed)
{
    uint8_t *rgb = malloc(3 * (size_t)width * (size_t)height);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (int c = 0; c < 3; c++)
                rgb[3 * ((size_t)y * (size_t)width + (size_t)x) + (size_t)c] =
                    (uint8_t)(127 + 60 * sin(0.13 * x * (c + 1) + seed) + 60 * cos(0.11 * y + c) + ((x / 9 + y / 7) % 2) * 7);
    return rgb;
}

static limber_image picture(uint8_t *rgb)
{
    return (limber_image){.pixels = rgb, .width = WIDTH, .height = HEIGHT, .stride = 3 * WIDTH};
}

static const limber_box boxes[BOXES] = {
    {10, 5, 40, 70}, {0, 0, 96, 80}, {50, 20, 30, 30}, {-8, -8, 40, 50}, {60.5f, 30.25f, 50, 60}, {30, 30, 4, 9}, {12, 6, 40, 70},
};

static limber_model *open_model(const char *backend, const char *precision)
{
    limber_options o = limber_options_default();
    o.backend = backend;
    o.precision = precision;
    limber_model *model = NULL;
    limber_error err;
    cr_assert_eq(limber_model_open(&model, TINY, &o, &err), LIMBER_OK, "%s", err.text);
    return model;
}

static limber_session *open_session(const limber_model *model, int threads, int batch, int flip, int refine)
{
    limber_options o = limber_options_default();
    o.threads = threads;
    o.batch = batch;
    o.flip = flip;
    o.refine = refine;
    limber_session *session = NULL;
    limber_error err;
    cr_assert_eq(limber_session_open(&session, model, &o, &err), LIMBER_OK, "%s", err.text);
    return session;
}

static bool same_person(const limber_person *a, const limber_person *b, int keypoints)
{
    return !memcmp(&a->box, &b->box, sizeof a->box) && a->score == b->score && a->limb_count == b->limb_count &&
           !memcmp(a->limbs, b->limbs, (size_t)a->limb_count * sizeof *a->limbs) &&
           !memcmp(a->keypoints, b->keypoints, (size_t)keypoints * sizeof *a->keypoints);
}

static bool is_zero(const limber_people *p)
{
    return !p->person && !p->count && !p->keypoint_count;
}

Test(api, names_and_versions)
{
    cr_expect_eq(limber_api_version(), LIMBER_API_VERSION);
    cr_expect_str_eq(limber_version(), "0.1.0");
    cr_expect_str_eq(limber_status_name(LIMBER_OK), "ok");
    cr_expect_str_eq(limber_status_name(LIMBER_E_BACKEND), "backend");
    cr_expect_str_eq(limber_status_name((limber_status)99), "unknown");
    cr_expect_str_eq(limber_limb_name(0), "left_upper_arm");
    cr_expect_str_eq(limber_limb_name(3), "right_forearm");
    cr_expect_null(limber_limb_name(-1));
    cr_expect_null(limber_limb_name(8));
    limber_model *m = open_model("cpu", "fp32");
    cr_expect_eq(limber_model_keypoint_count(m), 17);
    cr_expect_str_eq(limber_model_keypoint_name(m, 7), "left_elbow");
    cr_expect_null(limber_model_keypoint_name(m, 17));
    cr_expect_null(limber_model_keypoint_name(m, -1));
    cr_expect_str_eq(limber_model_label_set(m), "COCO");
    cr_expect_eq(limber_model_keypoint_mirror(m, 7), 8);
    cr_expect_eq(limber_model_keypoint_mirror(m, 0), 0);
    cr_expect_eq(limber_model_keypoint_mirror(m, 17), -1);
    int from = -1, to = -1;
    cr_expect_eq(limber_model_bone_count(m), 19);
    cr_expect(limber_model_bone(m, 18, &from, &to) && from >= 0 && from < 17 && to >= 0 && to < 17 && from != to);
    cr_expect(!limber_model_bone(m, 19, &from, &to) && !limber_model_bone(m, -1, &from, &to));
    cr_expect_str_eq(limber_model_backend(m), "cpu");
    cr_expect_str_eq(limber_model_precision(m), "fp32");
    limber_model_close(&m);
    cr_expect_null(m);
    limber_model_close(&m);
    limber_model_close(NULL);
    limber_session_close(NULL);
    limber_people_free(NULL);
}

/* Options that must be refused, by the model or by the session; each with a word its message has to hold. */
#define LAST_RESERVED (sizeof((limber_options *)0)->reserved / sizeof(int) - 1)
struct refusal {
    const char *field, *word;
    limber_options options;
    bool by_session;
};

Test(api, options_are_checked)
{
    limber_options o = limber_options_default();
    struct refusal refusals[16];
    int n = 0;
    limber_options bad;
#define REFUSE(member, value, message_word, session)                                                                             \
    bad = o, bad.member = value, refusals[n++] = (struct refusal){#member, message_word, bad, session}
    REFUSE(backend, "gpu", "gpu", false);
    REFUSE(precision, "fp8", "fp8", false);
    REFUSE(attention, "window:", "window", false);
    REFUSE(expert, -1, "expert", false);
    REFUSE(expert, 64, "expert", false);
    REFUSE(reserved[0], 7, "reserved[0] is 7, expected 0", false);
    REFUSE(threads, -1, "threads is -1", true);
    REFUSE(threads, 100000, "threads is 100000", true);
    REFUSE(batch, -1, "batch is -1", true);
    REFUSE(batch, 1025, "batch is 1025", true);
    REFUSE(flip, 2, "flip is 2", true);
    REFUSE(refine, -1, "refine is -1", true);
    REFUSE(track, 2, "track is 2", true);
    REFUSE(track, -1, "track is -1", true);
    REFUSE(reserved[LAST_RESERVED], 7, "is 7, expected 0", true);
    limber_model *model = open_model("cpu", "fp32");
    for (int i = 0; i < n; i++) {
        limber_error err = {.text = "not written"};
        limber_model *m = (limber_model *)1;
        limber_session *s = (limber_session *)1;
        limber_status st = refusals[i].by_session ? limber_session_open(&s, model, &refusals[i].options, &err)
                                                  : limber_model_open(&m, TINY, &refusals[i].options, &err);
        cr_expect_neq(st, LIMBER_OK, "%s was accepted", refusals[i].field);
        cr_expect_eq(err.status, st, "%s: status and error differ", refusals[i].field);
        cr_expect(strstr(err.text, refusals[i].word), "%s: \"%s\" lacks \"%s\"", refusals[i].field, err.text, refusals[i].word);
        cr_expect(refusals[i].by_session ? !s : !m, "%s: the handle is not NULL", refusals[i].field);
        if (refusals[i].by_session) /* the text is optional */
            cr_expect_eq(limber_session_open(&s, model, &refusals[i].options, NULL), st);
    }
    limber_model_close(&model);
}

Test(api, null_pointers_are_refused)
{
    limber_error err;
    limber_model *m = open_model("cpu", "fp32");
    limber_session *s = open_session(m, 1, 2, 0, 0);
    uint8_t *rgb = draw(WIDTH, HEIGHT, 0);
    limber_image im = picture(rgb);
    limber_people people = {.count = 9};
    cr_expect_eq(limber_model_open(NULL, TINY, NULL, &err), LIMBER_E_ARGUMENT);
    cr_expect_eq(limber_session_open(NULL, m, NULL, &err), LIMBER_E_ARGUMENT);
    limber_session *none = (limber_session *)1;
    cr_expect_eq(limber_session_open(&none, NULL, NULL, &err), LIMBER_E_ARGUMENT);
    cr_expect_null(none);
    cr_expect_eq(limber_run(NULL, &im, boxes, 1, &people, &err), LIMBER_E_ARGUMENT);
    cr_expect(is_zero(&people));
    cr_expect_eq(limber_run(s, NULL, boxes, 1, &people, &err), LIMBER_E_ARGUMENT);
    cr_expect_eq(limber_run(s, &im, boxes, 1, NULL, &err), LIMBER_E_ARGUMENT);
    cr_expect_eq(limber_run(s, &im, boxes, -1, &people, &err), LIMBER_E_ARGUMENT);
    cr_expect_eq(limber_run_images(s, &im, (const limber_box *const[]){boxes}, NULL, 1, &people, &err), LIMBER_E_ARGUMENT);
    cr_expect_eq(limber_run_images(s, NULL, NULL, NULL, 0, NULL, &err), LIMBER_OK, "no images are no trouble");
    limber_session_close(&s);
    cr_expect_null(s);
    limber_model_close(&m);
    free(rgb);
}

Test(api, images_and_boxes_are_checked)
{
    limber_error err;
    limber_model *m = open_model("cpu", "fp32");
    limber_session *s = open_session(m, 1, 2, 0, 0);
    uint8_t *rgb = draw(WIDTH, HEIGHT, 0);
    const limber_image good = picture(rgb),
                       nv12 = {.pixels = rgb, .width = WIDTH - 1, .height = HEIGHT, .stride = WIDTH, .format = LIMBER_NV12};
    struct {
        limber_image image;
        const char *word;
    } bad_images[32];
    int bad = 0;
#define REFUSE_IMAGE(start, member, value, message_word)                                                                         \
    bad_images[bad].image = start, bad_images[bad].image.member = value, bad_images[bad++].word = message_word
    REFUSE_IMAGE(good, pixels, NULL, "pixels is NULL");
    REFUSE_IMAGE(good, width, 0, "size is 0x80");
    REFUSE_IMAGE(good, height, -1, "size is 96x-1");
    REFUSE_IMAGE(good, stride, 3 * WIDTH - 1, "stride is 287 bytes, a row of 96 pixels of RGB takes 288");
    REFUSE_IMAGE(good, stride, SIZE_MAX / 2, "reach beyond the address space");
    REFUSE_IMAGE(good, format, LIMBER_BGRA, "a row of 96 pixels of BGRA takes 384");
    REFUSE_IMAGE(good, format, (limber_pixel_format)6, "format is 6");
    REFUSE_IMAGE(good, format, (limber_pixel_format)-1, "format is -1");
    REFUSE_IMAGE(good, matrix, LIMBER_BT709, "matrix is set, which only NV12 has, and the format is RGB");
    REFUSE_IMAGE(good, full_range, 1, "full_range is set");
    REFUSE_IMAGE(good, chroma, rgb, "chroma is set");
    REFUSE_IMAGE(good, chroma_stride, 1, "chroma_stride is set");
    REFUSE_IMAGE(good, reserved[0], 1, "reserved[0] is 1");
    REFUSE_IMAGE(good, reserved[sizeof good.reserved / sizeof(int) - 1], -1, "is -1, expected 0: not started from {0}");
    REFUSE_IMAGE(nv12, matrix, (limber_yuv_matrix)3, "matrix is 3");
    REFUSE_IMAGE(nv12, full_range, 2, "full_range is 2");
    REFUSE_IMAGE(nv12, chroma_stride, WIDTH, "chroma is NULL");
    REFUSE_IMAGE(nv12, stride, WIDTH - 1, "stride is 95 bytes, a row of 48 pairs of NV12's U and V takes 96");
    REFUSE_IMAGE(nv12, chroma, rgb, "chroma_stride is 0 bytes");
    for (int i = 0; i < bad; i++) {
        limber_people people = {.count = 9};
        cr_expect_eq(limber_run(s, &bad_images[i].image, NULL, 0, &people, &err), LIMBER_E_ARGUMENT, "image %d was accepted", i);
        cr_expect(strstr(err.text, bad_images[i].word), "\"%s\" lacks \"%s\"", err.text, bad_images[i].word);
        cr_expect(is_zero(&people));
    }
    const limber_box bad_boxes[] = {
        {NAN, 0, 5, 5},
        {0, NAN, 5, 5},
        {0, 0, NAN, 5},
        {0, 0, 5, NAN},
        {INFINITY, 0, 5, 5},
        {0, 0, INFINITY, 5},
        {-INFINITY, 0, INFINITY, 5},
        {0, 0, 0, 5},
        {0, 0, 5, 0},
        {5, 5, -3, 5},
        {WIDTH, 0, 5, 5},
        {0, HEIGHT, 5, 5},
        {-5, 0, 5, 5},
        {0, -6, 5, 5},
        {1e30f, 0, 5, 5},
        {-1e30f, 0, 2e30f, 5},
    };
    limber_image im = picture(rgb);
    for (size_t i = 0; i < sizeof bad_boxes / sizeof *bad_boxes; i++) {
        limber_people people = {.count = 9};
        limber_box two[] = {boxes[0], bad_boxes[i]};
        cr_expect_eq(limber_run(s, &im, two, 2, &people, &err), LIMBER_E_ARGUMENT, "box %zu was accepted", i);
        cr_expect(strstr(err.text, "box 2 of 2"), "box %zu: %s", i, err.text);
        cr_expect(is_zero(&people));
    }
    /* and the session is as good as before */
    limber_people people;
    cr_expect_eq(limber_run(s, &im, boxes, 0, &people, &err), LIMBER_OK);
    cr_expect_eq(people.count, 0);
    cr_expect_eq(people.keypoint_count, 17);
    limber_people_free(&people);
    cr_expect_eq(limber_run(s, &im, boxes, BOXES, &people, &err), LIMBER_OK);
    cr_expect_eq(people.count, BOXES);
    limber_people_free(&people);
    cr_expect(is_zero(&people));
    limber_session_close(&s);
    limber_model_close(&m);
    free(rgb);
}

/* One session a way, all against the first: batches of 1, 3 and 64, 1 and 3 threads, images together and alone. */
static void result_is_the_persons_own(const char *backend, const char *precision, int flip)
{
    limber_error err;
    limber_model *m = open_model(backend, precision);
    uint8_t *rgb[3];
    limber_image images[3];
    for (int i = 0; i < 3; i++)
        images[i] = picture(rgb[i] = draw(WIDTH, HEIGHT, (unsigned)i));
    const limber_box *lists[3] = {boxes, NULL, boxes + 2};
    const int counts[3] = {BOXES, 0, 4};
    limber_session *one = open_session(m, 1, 1, flip, 1);
    limber_people alone[3];
    for (int i = 0; i < 3; i++)
        cr_assert_eq(limber_run(one, &images[i], lists[i], counts[i], &alone[i], &err), LIMBER_OK, "%s", err.text);
    cr_expect_eq(alone[1].count, 1);
    cr_expect(!same_person(&alone[0].person[0], &alone[0].person[6], 17), "a box two pixels further gives the same person");
    cr_expect(!same_person(&alone[0].person[2], &alone[2].person[0], 17), "another image gives the same person");
    static const int ways[][2] = {{1, 3}, {3, 1}, {2, 64}, {3, 5}};
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
        limber_session *s = open_session(m, ways[w][0], ways[w][1], flip, 1);
        limber_people people[3];
        for (int again = 0; again < 2; again++) {
            cr_assert_eq(limber_run_images(s, images, lists, counts, 3, people, &err), LIMBER_OK, "%s", err.text);
            for (int i = 0; i < 3; i++) {
                cr_assert_eq(people[i].count, alone[i].count);
                for (int p = 0; p < people[i].count; p++)
                    cr_expect(same_person(&people[i].person[p], &alone[i].person[p], 17),
                              "%s %s: image %d person %d differs with %d threads, batch %d", backend, precision, i, p, ways[w][0],
                              ways[w][1]);
                limber_people_free(&people[i]);
            }
        }
        limber_session_close(&s);
    }
    for (int i = 0; i < 3; i++) {
        limber_people_free(&alone[i]);
        free(rgb[i]);
    }
    limber_session_close(&one);
    limber_model_close(&m);
}
Test(api, own_result_ref)
{
    result_is_the_persons_own("ref", "fp32", 0);
}
Test(api, own_result_cpu)
{
    result_is_the_persons_own("cpu", "fp32", 0);
}
Test(api, own_result_cpu_flip)
{
    result_is_the_persons_own("cpu", "fp32", 1);
}
Test(api, own_result_int8)
{
    struct backend *be = NULL;
    if (backend_open(&be, "cpu", "int8", NULL) != LIMBER_OK)
        cr_skip_test("no cpu int8 on this machine");
    backend_close(&be);
    result_is_the_persons_own("cpu", "int8", 1);
}
Test(api, own_result_auto)
{
    result_is_the_persons_own("auto", "auto", 0);
}

/* Without refinement the whole image is the box of its size; stride is only a step between rows. */
Test(api, whole_image_and_stride)
{
    limber_error err;
    limber_model *m = open_model("cpu", "fp32");
    limber_session *plain = open_session(m, 1, 4, 0, 0);
    uint8_t *rgb = draw(WIDTH, HEIGHT, 5), *padded = malloc((3 * WIDTH + 29) * HEIGHT);
    memset(padded, 0xee, (3 * WIDTH + 29) * HEIGHT);
    for (int y = 0; y < HEIGHT; y++)
        memcpy(padded + y * (3 * WIDTH + 29), rgb + y * 3 * WIDTH, 3 * WIDTH);
    limber_image im = picture(rgb), wide = {.pixels = padded, .width = WIDTH, .height = HEIGHT, .stride = 3 * WIDTH + 29};
    limber_box whole = {0, 0, WIDTH, HEIGHT};
    limber_people a, b, c;
    cr_assert_eq(limber_run(plain, &im, NULL, 0, &a, &err), LIMBER_OK);
    cr_assert_eq(limber_run(plain, &im, &whole, 1, &b, &err), LIMBER_OK);
    cr_assert_eq(limber_run(plain, &wide, NULL, 0, &c, &err), LIMBER_OK);
    cr_expect(same_person(a.person, b.person, 17), "the whole image is not the box of its size");
    cr_expect(same_person(a.person, c.person, 17), "padding between rows was read");
    limber_people_free(&a);
    limber_people_free(&b);
    limber_people_free(&c);
    limber_session_close(&plain);
    limber_model_close(&m);
    free(rgb);
    free(padded);
}

/* Refinement moves the box of a whole image and leaves given ones alone; what it reports is what the last pass saw. The joints
 * of random weights lie all over the place, so this asks the default model, with pictures of one person. */
Test(api, refinement)
{
    limber_error err;
    limber_model *m = NULL;
    cr_assert_eq(limber_model_open(&m, NULL, NULL, &err), LIMBER_OK, "%s", err.text);
    limber_session *plain = open_session(m, 1, 4, 0, 0), *refined = open_session(m, 1, 4, 0, 2);
    static const char *const files[] = {"portrait.jpg", "running.jpg", "stretching.png"};
    for (int i = 0; i < 3; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/samples/%s", LIMBER_DATA_DIR, files[i]);
        struct image image;
        cr_assert_eq(image_open(&image, path, &err), LIMBER_OK, "%s", err.text);
        const limber_box whole = {0, 0, (float)image.view.width, (float)image.view.height};
        limber_people a, b, c, d;
        cr_assert_eq(limber_run(plain, &image.view, NULL, 0, &a, &err), LIMBER_OK);
        cr_assert_eq(limber_run(refined, &image.view, NULL, 0, &b, &err), LIMBER_OK);
        cr_assert_eq(limber_run(refined, &image.view, &whole, 1, &c, &err), LIMBER_OK);
        cr_assert_eq(limber_run(plain, &image.view, &b.person->box, 1, &d, &err), LIMBER_OK);
        cr_expect(memcmp(&b.person->box, &whole, sizeof whole), "%s: nothing was refined", files[i]);
        cr_expect(same_person(a.person, c.person, 17), "%s: a given box was refined", files[i]);
        cr_expect(same_person(b.person, d.person, 17), "%s: the result is not that of the box it reports", files[i]);
        limber_people *all[] = {&a, &b, &c, &d};
        for (int k = 0; k < 4; k++)
            limber_people_free(all[k]);
        image_close(&image);
    }
    limber_session_close(&plain);
    limber_session_close(&refined);
    limber_model_close(&m);
}

/* score is the mean of the keypoints', limbs come from the keypoints, and persons may be sorted before they are freed. */
Test(api, people)
{
    limber_error err;
    limber_model *m = open_model("cpu", "fp32");
    limber_session *s = open_session(m, 1, 4, 0, 0);
    uint8_t *rgb = draw(WIDTH, HEIGHT, 3);
    limber_image im = picture(rgb);
    limber_people people;
    cr_assert_eq(limber_run(s, &im, boxes, BOXES, &people, &err), LIMBER_OK);
    for (int p = 0; p < people.count; p++) {
        const limber_person *who = &people.person[p];
        double sum = 0;
        for (int k = 0; k < 17; k++)
            sum += who->keypoints[k].score;
        cr_expect_float_eq(who->score, sum / 17, 1e-6);
        cr_expect(who->box_score == 1 && who->track == 0);
        cr_expect(!memcmp(&who->box, &boxes[p], sizeof who->box));
        cr_assert_eq(who->limb_count, 8);
        for (int i = 0; i < 8; i++) {
            const limber_limb *l = &who->limbs[i];
            const limber_keypoint *from = &who->keypoints[l->from], *to = &who->keypoints[l->to];
            cr_expect_float_eq(l->length, hypot(to->x - from->x, to->y - from->y), 1e-3);
            cr_expect_float_eq(l->score, fmin(from->score, to->score), 1e-7);
        }
    }
    limber_person last = people.person[BOXES - 1];
    memmove(people.person + 1, people.person, (BOXES - 1) * sizeof last);
    people.person[0] = last;
    people.count = 2;
    limber_people_free(&people); /* the sanitizer build watches */
    limber_session_close(&s);
    limber_model_close(&m);
    free(rgb);
}

/* A failure in the middle of several images leaves nothing behind, and says which. */
Test(api, one_bad_image_among_several)
{
    limber_error err;
    limber_model *m = open_model("cpu", "fp32");
    limber_session *s = open_session(m, 1, 4, 0, 1);
    uint8_t *rgb = draw(WIDTH, HEIGHT, 3);
    limber_image images[3] = {picture(rgb), picture(rgb), picture(rgb)};
    images[1].stride = 5;
    limber_people people[3] = {{.count = 9}, {.count = 9}, {.count = 9}};
    cr_expect_eq(limber_run_images(s, images, NULL, NULL, 3, people, &err), LIMBER_E_ARGUMENT);
    cr_expect(strstr(err.text, "image 2 of 3") && strstr(err.text, "stride is 5"), "%s", err.text);
    for (int i = 0; i < 3; i++)
        cr_expect(is_zero(&people[i]));
    limber_session_close(&s);
    limber_model_close(&m);
    free(rgb);
}

/* More people than job_prepare crops ahead, and more than a batch: the tail is sampled when its turn comes. */
Test(api, crowd)
{
    limber_error err;
    limber_model *m = open_model("cpu", "fp32");
    limber_session *s = open_session(m, 2, 32, 0, 0);
    uint8_t *rgb = draw(WIDTH, HEIGHT, 3);
    limber_image im = picture(rgb);
    enum { CROWD = 300 };
    limber_box crowd[CROWD];
    for (int i = 0; i < CROWD; i++)
        crowd[i] = boxes[i % BOXES];
    limber_people people, few;
    cr_assert_eq(limber_run(s, &im, crowd, CROWD, &people, &err), LIMBER_OK);
    cr_assert_eq(limber_run(s, &im, boxes, BOXES, &few, &err), LIMBER_OK);
    for (int i = 0; i < CROWD; i++)
        cr_expect(same_person(&people.person[i], &few.person[i % BOXES], 17), "person %d of the crowd", i);
    limber_people_free(&people);
    limber_people_free(&few);
    limber_session_close(&s);
    limber_model_close(&m);
    free(rgb);
}

/* A model is shared, sessions are not: four threads, a session each, the same answer. */
struct caller {
    const limber_model *model;
    limber_image image;
    limber_people people;
    limber_status status;
};
static void *call(void *argument)
{
    struct caller *c = argument;
    limber_session *s = open_session(c->model, 2, 3, 0, 0);
    for (int i = 0; i < 3 && !c->status; i++) {
        limber_people_free(&c->people);
        c->status = limber_run(s, &c->image, boxes, BOXES, &c->people, NULL);
    }
    limber_session_close(&s);
    return NULL;
}
Test(api, sessions_in_threads)
{
    limber_model *m = open_model("cpu", "fp32");
    uint8_t *rgb = draw(WIDTH, HEIGHT, 8);
    pthread_t threads[4];
    struct caller callers[4];
    for (int i = 0; i < 4; i++) {
        callers[i] = (struct caller){.model = m, .image = picture(rgb)};
        cr_assert_eq(pthread_create(&threads[i], NULL, call, &callers[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        cr_assert_eq(callers[i].status, LIMBER_OK);
        for (int p = 0; p < BOXES; p++)
            cr_expect(same_person(&callers[i].people.person[p], &callers[0].people.person[p], 17), "caller %d person %d", i, p);
    }
    for (int i = 0; i < 4; i++)
        limber_people_free(&callers[i].people);
    limber_model_close(&m);
    free(rgb);
}

/* ---- a detector ---- */

static limber_session *finding_session(limber_model **model, limber_detector **detector, float least)
{
    limber_error err;
    limber_session *session = NULL;
    limber_options o = limber_options_default();
    o.backend = "cpu";
    cr_assert_eq(limber_detector_open(detector, NULL, &o, &err), LIMBER_OK, "%s", err.text);
    cr_assert_eq(limber_model_open(model, NULL, &o, &err), LIMBER_OK, "%s", err.text);
    o.detector = *detector;
    o.min_box_score = least;
    cr_assert_eq(limber_session_open(&session, *model, &o, &err), LIMBER_OK, "%s", err.text);
    return session;
}

/* What limber_run finds is what limber_find says, run through it: the same joints, scored by how sure the box was, best first. */
Test(detector, run_without_boxes_is_find_and_run)
{
    limber_model *model = NULL;
    limber_detector *detector = NULL;
    limber_session *session = finding_session(&model, &detector, 0.05f);
    limber_image image = {0};
    limber_error err;
    limber_found found[300];
    limber_people bare = {0}, boxed = {0};
    int count = -1;
    cr_assert_eq(limber_image_read(&image, LIMBER_DATA_DIR "/samples/three.jpg", NULL, &err), LIMBER_OK, "%s", err.text);
    cr_assert_eq(limber_find(session, &image, found, 300, &count, &err), LIMBER_OK, "%s", err.text);
    cr_assert(count > 0, "nobody in three.jpg");
    cr_assert_eq(limber_run(session, &image, NULL, 0, &bare, &err), LIMBER_OK, "%s", err.text);
    cr_expect(bare.count > 0 && bare.count <= count);
    for (int p = 0; p < bare.count; p++) {
        const limber_person *person = &bare.person[p];
        int which = -1;
        for (int i = 0; i < count; i++)
            if (!memcmp(&found[i].box, &person->box, sizeof person->box))
                which = i;
        cr_assert(which >= 0, "person %d is in no box that was found", p);
        cr_assert_eq(limber_run(session, &image, &found[which].box, 1, &boxed, &err), LIMBER_OK, "%s", err.text);
        cr_expect(!memcmp(boxed.person[0].keypoints, person->keypoints, 17 * sizeof *person->keypoints), "other joints");
        cr_expect_eq(person->box_score, found[which].score);
        cr_expect_eq(person->score, boxed.person[0].score * found[which].score);
        cr_expect(p == 0 || person->score <= bare.person[p - 1].score, "not best first");
        limber_people_free(&boxed);
    }
    cr_assert_eq(limber_find(session, &image, found, 1, &count, &err), LIMBER_OK, "%s", err.text);
    cr_expect_eq(count, 1);
    limber_people_free(&bare);
    limber_image_free(&image);
    limber_session_close(&session);
    limber_model_close(&model);
    limber_detector_close(&detector);
}

/* Without a model a session finds the same people, and refuses what wants one. */
Test(detector, without_a_model)
{
    limber_model *model = NULL;
    limber_detector *detector = NULL;
    limber_session *both = finding_session(&model, &detector, 0.05f), *alone = NULL;
    limber_image image = {0};
    limber_error err;
    limber_found found[300], same[300];
    int count = -1, wanted = -2;
    limber_options o = limber_options_default();
    cr_expect_eq(limber_session_open(&alone, NULL, NULL, &err), LIMBER_E_ARGUMENT);
    cr_expect_eq(limber_session_open(&alone, NULL, &o, &err), LIMBER_E_ARGUMENT);
    cr_expect(strstr(err.text, "no detector either"), "%s", err.text);
    o.detector = detector;
    o.min_box_score = 0.05f;
    cr_assert_eq(limber_session_open(&alone, NULL, &o, &err), LIMBER_OK, "%s", err.text);
    cr_assert_eq(limber_image_read(&image, LIMBER_DATA_DIR "/samples/three.jpg", NULL, &err), LIMBER_OK, "%s", err.text);
    cr_assert_eq(limber_find(both, &image, same, 300, &wanted, &err), LIMBER_OK, "%s", err.text);
    cr_assert_eq(limber_find(alone, &image, found, 300, &count, &err), LIMBER_OK, "%s", err.text);
    cr_assert(count == wanted && count > 0 && !memcmp(found, same, (size_t)count * sizeof *found), "%d and %d people", count,
              wanted);

    limber_people people = {.count = 7};
    const limber_box box = {10, 10, 50, 50};
    cr_expect_eq(limber_run(alone, &image, &box, 1, &people, &err), LIMBER_E_ARGUMENT);
    cr_expect(strstr(err.text, "without a model"), "%s", err.text);
    cr_expect_eq(people.count, 0);
    cr_expect_eq(limber_run(alone, &image, NULL, 0, &people, &err), LIMBER_E_ARGUMENT);
    limber_heads *heads = NULL;
    cr_expect_eq(limber_heads_open(&heads, alone, NULL, &err), LIMBER_E_ARGUMENT);
    cr_expect(strstr(err.text, "limber_heads_open: the session was opened without a model"), "%s", err.text);
    limber_patch *patch = NULL;
    cr_expect_eq(limber_patch_open(&patch, alone, NULL, &err), LIMBER_E_ARGUMENT);
    cr_expect(strstr(err.text, "limber_patch_open: the session was opened without a model"), "%s", err.text);
    limber_image_free(&image);
    limber_session_close(&alone);
    limber_session_close(&both);
    limber_model_close(&model);
    limber_detector_close(&detector);
}

/* Sizes nobody expects, and other formats than RGB: found without a fault, the same for the same colours. */
Test(detector, any_size_and_format)
{
    limber_model *model = NULL;
    limber_detector *detector = NULL;
    limber_session *session = finding_session(&model, &detector, 0.02f);
    static const int sizes[][2] = {{1, 1}, {1, 3000}, {3000, 1}, {37, 91}};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        const int w = sizes[s][0], h = sizes[s][1];
        uint8_t *grey = malloc((size_t)w * (size_t)h), *rgb = malloc(3 * (size_t)w * (size_t)h);
        for (int i = 0; i < w * h; i++)
            rgb[3 * i] = rgb[3 * i + 1] = rgb[3 * i + 2] = grey[i] = (uint8_t)(i * 2654435761u >> 24);
        const limber_image a = {.pixels = rgb, .width = w, .height = h, .stride = 3 * (size_t)w};
        const limber_image b = {.pixels = grey, .width = w, .height = h, .stride = (size_t)w, .format = LIMBER_GRAY};
        limber_found one[300], two[300];
        int n = -1, m = -1;
        limber_error err;
        cr_assert_eq(limber_find(session, &a, one, 300, &n, &err), LIMBER_OK, "%d x %d: %s", w, h, err.text);
        cr_assert_eq(limber_find(session, &b, two, 300, &m, &err), LIMBER_OK, "%d x %d: %s", w, h, err.text);
        cr_expect(n == m && !memcmp(one, two, (size_t)n * sizeof *one), "%d x %d: %d and %d", w, h, n, m);
        free(grey);
        free(rgb);
    }
    limber_session_close(&session);
    limber_model_close(&model);
    limber_detector_close(&detector);
}

Test(detector, what_is_wrong_is_said)
{
    limber_error err = {0};
    limber_detector *detector = NULL;
    limber_model *model = NULL;
    cr_expect_eq(limber_detector_open(&detector, LIMBER_DATA_DIR "/limber-s", NULL, &err), LIMBER_E_MODEL);
    cr_expect(strstr(err.text, "a pose model of 17 joints"), "%s", err.text);
    cr_expect_eq(limber_model_open(&model, LIMBER_DATA_DIR "/limber-find", NULL, &err), LIMBER_E_MODEL);
    cr_expect(strstr(err.text, "a detector"), "%s", err.text);
    limber_session *session = finding_session(&model, &detector, 0.3f), *plain = NULL;
    uint8_t pixel[3] = {0};
    limber_image image = {.pixels = pixel, .width = 1, .height = 1, .stride = 3};
    limber_found found[1];
    int count = 7;
    limber_options o = limber_options_default();
    o.min_box_score = 1.5f;
    cr_expect_eq(limber_session_open(&plain, model, &o, &err), LIMBER_E_ARGUMENT);
    o.min_box_score = 0.5f, o.max_people = 301;
    cr_expect_eq(limber_session_open(&plain, model, &o, &err), LIMBER_E_ARGUMENT);
    o.max_people = 0;
    cr_assert_eq(limber_session_open(&plain, model, &o, &err), LIMBER_OK, "%s", err.text);
    cr_expect_eq(limber_find(plain, &image, found, 1, &count, &err), LIMBER_E_ARGUMENT);
    cr_expect(strstr(err.text, "without a detector"), "%s", err.text);
    cr_expect_eq(count, 0);
    cr_expect_eq(limber_find(session, NULL, found, 1, &count, &err), LIMBER_E_ARGUMENT);
    cr_expect_eq(limber_find(session, &image, found, -1, &count, &err), LIMBER_E_ARGUMENT);
    image.stride = 2;
    cr_expect_eq(limber_find(session, &image, found, 1, &count, &err), LIMBER_E_ARGUMENT);
    limber_session_close(&plain);
    limber_session_close(&session);
    limber_model_close(&model);
    limber_detector_close(&detector);
}

/* ---- a tracker ---- */

Test(tracker, numbers_people_and_judges_the_doubtful)
{
    limber_model *model = NULL;
    limber_detector *detector = NULL;
    limber_session *plain = finding_session(&model, &detector, 0.01f), *session = NULL;
    limber_tracker *tracker = NULL, *smooth = NULL;
    limber_image image = {0};
    limber_error err;
    limber_people sure = {0}, people = {0}, same = {0};
    limber_options o = limber_options_default();
    o.detector = detector, o.track = 1, o.min_box_score = 0.01f, o.smooth = 1;
    cr_assert_eq(limber_session_open(&session, model, &o, &err), LIMBER_OK, "%s", err.text);
    cr_assert_eq(limber_tracker_open(&smooth, model, &o, &err), LIMBER_OK, "%s", err.text);
    o.smooth = 0;
    cr_assert_eq(limber_tracker_open(&tracker, model, &o, &err), LIMBER_OK, "%s", err.text);
    cr_assert_eq(limber_image_read(&image, LIMBER_DATA_DIR "/samples/three.jpg", NULL, &err), LIMBER_OK, "%s", err.text);
    cr_assert_eq(limber_run(plain, &image, NULL, 0, &sure, &err), LIMBER_OK);
    for (int frame = 0; frame < 3; frame++) {
        cr_assert_eq(limber_run(session, &image, NULL, 0, &people, &err), LIMBER_OK);
        cr_assert_eq(limber_run(session, &image, NULL, 0, &same, &err), LIMBER_OK);
        cr_assert(sure.count == 3 && people.count > sure.count, "%d, %d with the doubtful", sure.count, people.count);
        cr_assert_eq(limber_tracker_update(tracker, &people, frame * 0.1, &err), LIMBER_OK, "%s", err.text);
        int numbers = 0;
        for (int i = 0; i < people.count; i++) {
            const limber_person *p = &people.person[i];
            bool is_sure = false;
            for (int j = 0; j < sure.count; j++)
                is_sure |= !memcmp(&p->box, &sure.person[j].box, sizeof p->box);
            cr_expect_eq(p->track > 0, is_sure, "person %d: track %d", i, p->track);
            cr_expect(p->track >= 0 && p->track <= 3);
            numbers |= 1 << p->track;
            cr_expect(!memcmp(p->keypoints, same.person[i].keypoints, 17 * sizeof *p->keypoints), "joints moved");
        }
        cr_expect_eq(numbers | 1, 15);
        /* the same people a pixel away: held back */
        const float moved = frame % 2 ? 1 : 0;
        for (int i = 0; i < same.count; i++)
            for (int k = 0; k < 17; k++)
                same.person[i].keypoints[k].x += moved;
        cr_assert_eq(limber_tracker_update(smooth, &same, frame * 0.1, &err), LIMBER_OK, "%s", err.text);
        for (int i = 0; i < same.count; i++) {
            const float by = same.person[i].keypoints[0].x - people.person[i].keypoints[0].x;
            cr_expect_eq(same.person[i].track, people.person[i].track);
            if (moved > 0 && same.person[i].track)
                cr_expect(by > 0.1f && by < 0.9f, "%g", (double)by);
            else if (moved > 0)
                cr_expect(fabsf(by - 1) < 1e-4f, "who has no track stays: %g", (double)by);
        }
        limber_people_free(&people);
        limber_people_free(&same);
    }
    limber_people_free(&sure);
    limber_image_free(&image);
    limber_tracker_close(&tracker);
    limber_tracker_close(&smooth);
    cr_expect(!tracker && !smooth);
    limber_session_close(&session);
    limber_session_close(&plain);
    limber_model_close(&model);
    limber_detector_close(&detector);
}

Test(tracker, what_is_wrong_is_said)
{
    limber_model *model = open_model("cpu", "fp32");
    limber_tracker *t = (limber_tracker *)1;
    limber_error err = {0};
    limber_keypoint joints[2] = {{0}};
    limber_person person = {.keypoints = joints};
    limber_people people = {.person = &person, .count = 1, .keypoint_count = 2};
    limber_options o = limber_options_default();
    cr_expect_eq(limber_tracker_open(NULL, model, NULL, &err), LIMBER_E_ARGUMENT);
    cr_expect_eq(limber_tracker_open(&t, NULL, NULL, &err), LIMBER_E_ARGUMENT);
    cr_expect(!t && strstr(err.text, "model is NULL"), "%s", err.text);
    o.smooth = 2;
    cr_expect_eq(limber_tracker_open(&t, model, &o, &err), LIMBER_E_ARGUMENT);
    cr_expect(strstr(err.text, "smooth is 2"), "%s", err.text);
    o.smooth = 0, o.reserved[1] = 3;
    cr_expect_eq(limber_tracker_open(&t, model, &o, &err), LIMBER_E_ARGUMENT);
    cr_assert_eq(limber_tracker_open(&t, model, NULL, &err), LIMBER_OK);
    cr_expect_eq(limber_tracker_update(t, &people, 0, &err), LIMBER_E_ARGUMENT);
    cr_expect(strstr(err.text, "of 2"), "%s", err.text);
    cr_expect_eq(limber_tracker_update(t, NULL, 0, &err), LIMBER_E_ARGUMENT);
    cr_expect_eq(limber_tracker_update(NULL, &people, 0, NULL), LIMBER_E_ARGUMENT);
    limber_tracker_close(&t);
    limber_tracker_close(&t);
    limber_tracker_close(NULL);
    limber_model_close(&model);
}
