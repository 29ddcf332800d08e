/* SPDX-License-Identifier: MIT */
/* Skeletons: which colour where, how wide, what is left out, and coordinates that lie anywhere. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "image/overlay.h"
#include "model/skeleton.h"

static struct image grey(int w, int h)
{
    uint8_t *p = malloc((size_t)(3 * w * h));
    memset(p, 100, (size_t)(3 * w * h));
    return (struct image){
        .view = {.pixels = p, .width = w, .height = h, .stride = 3 * (size_t)w}, .width = w, .height = h, .reduce = 1};
}

static const uint8_t *pixel(const struct image *im, int x, int y)
{
    return im->view.pixels + (size_t)y * im->view.stride + 3 * (size_t)x;
}

static bool is(const uint8_t *p, int r, int g, int b)
{
    return abs(p[0] - r) <= 1 && abs(p[1] - g) <= 1 && abs(p[2] - b) <= 1;
}
#define LEFT 255, 138, 20
#define RIGHT 40, 150, 255
#define MIDDLE 245, 245, 245
#define NOTHING 100, 100, 100

static struct overlay_style coco;

static void setup(void)
{
    coco = (struct overlay_style){.keypoint_count = skeleton_coco.keypoints,
                                  .edges = skeleton_coco.bones,
                                  .edge_count = skeleton_coco.bone_count,
                                  .flip_pairs = skeleton_coco.mirror,
                                  .sides = skeleton_coco.sides,
                                  .min_score = 0.3f};
}
TestSuite(overlay, .init = setup);

/* A person who stands facing us, `size` pixels high, top left at (x, y). */
static void stand(limber_keypoint joints[17], float x, float y, float size)
{
    static const float at[17][2] = {{50, 10}, {55, 5},  {45, 5},   {60, 8},   {40, 8},   {70, 30},  {30, 30},  {80, 60}, {20, 60},
                                    {90, 90}, {10, 90}, {65, 100}, {35, 100}, {66, 150}, {34, 150}, {67, 200}, {33, 200}};
    for (int k = 0; k < 17; k++)
        joints[k] = (limber_keypoint){x + at[k][0] * size / 200, y + at[k][1] * size / 200, 0.9f};
}

static int touched(const struct image *im)
{
    int n = 0;
    for (int i = 0; i < im->view.width * im->view.height; i++)
        n += !is(im->view.pixels + 3 * i, NOTHING);
    return n;
}

Test(overlay, left_right_and_middle_have_their_colours)
{
    struct image im = grey(600, 600);
    limber_keypoint joints[17];
    stand(joints, 100, 50, 400);
    limber_person p = {.keypoints = joints};
    overlay_draw(&im, &p, 1, &coco);
    cr_expect(is(pixel(&im, 240, 110), LEFT), "left shoulder");
    cr_expect(is(pixel(&im, 160, 110), RIGHT), "right shoulder");
    cr_expect(is(pixel(&im, 250, 140), LEFT), "left upper arm, half way");
    cr_expect(is(pixel(&im, 150, 140), RIGHT), "right upper arm, half way");
    cr_expect(is(pixel(&im, 200, 110), MIDDLE), "between the shoulders");
    cr_expect(is(pixel(&im, 200, 70), MIDDLE), "nose");
    cr_expect(is(pixel(&im, 234, 350), LEFT), "left shin, near the knee");
    cr_expect(is(pixel(&im, 200, 400), NOTHING), "between the legs");
    cr_expect(is(pixel(&im, 10, 10), NOTHING));
    image_close(&im);
}

/* Feet, face and hands have bones and sides of their own. */
Test(overlay, the_whole_body)
{
    static const struct {
        int from, to, x, y; /* a bone of 100 pixels */
    } drawn[] = {{15, 17, 50, 500}, {50, 51, 300, 50},    {23, 24, 300, 150},
                 {91, 92, 50, 300}, {112, 113, 300, 300}, {131, 132, 300, 400}};
    const struct skeleton *s = &skeleton_whole_body;
    const struct overlay_style style = {.keypoint_count = s->keypoints,
                                        .edges = s->bones,
                                        .edge_count = s->bone_count,
                                        .flip_pairs = s->mirror,
                                        .sides = s->sides,
                                        .min_score = 0.3f};
    struct image im = grey(600, 600);
    limber_keypoint joints[SKELETON_MAX_KEYPOINTS] = {{0}};
    for (size_t i = 0; i < sizeof drawn / sizeof *drawn; i++) {
        joints[drawn[i].from] = (limber_keypoint){(float)drawn[i].x, (float)drawn[i].y, 0.9f};
        joints[drawn[i].to] = (limber_keypoint){(float)drawn[i].x + 100, (float)drawn[i].y, 0.9f};
    }
    limber_person p = {.keypoints = joints};
    overlay_draw(&im, &p, 1, &style);
    cr_expect(is(pixel(&im, 100, 500), LEFT), "from the left ankle to its big toe");
    cr_expect(is(pixel(&im, 350, 50), MIDDLE), "the bridge of the nose");
    cr_expect(is(pixel(&im, 350, 150), RIGHT), "the right jaw");
    cr_expect(is(pixel(&im, 100, 300), LEFT), "the left thumb");
    cr_expect(is(pixel(&im, 350, 300), RIGHT), "the right thumb");
    cr_expect(is(pixel(&im, 350, 400), RIGHT), "the tip of the right little finger");
    cr_expect(is(pixel(&im, 350, 225), NOTHING));
    image_close(&im);
}

Test(overlay, a_dark_rim_lies_around_everything)
{
    struct image im = grey(600, 600);
    memset((uint8_t *)im.view.pixels, 255, 600 * 600 * 3);
    limber_keypoint joints[17];
    stand(joints, 100, 50, 400);
    limber_person p = {.keypoints = joints};
    overlay_draw(&im, &p, 1, &coco);
    int darkest = 255; /* from the white line between the shoulders upwards, over a white background */
    for (int y = 95; y < 110; y++)
        darkest = pixel(&im, 200, y)[0] < darkest ? pixel(&im, 200, y)[0] : darkest;
    cr_expect_lt(darkest, 120, "%d", darkest);
    image_close(&im);
}

Test(overlay, joints_below_the_score_and_their_lines_are_left_out)
{
    struct image im = grey(600, 600);
    limber_keypoint joints[17];
    stand(joints, 100, 50, 400);
    joints[7].score = 0.29f; /* left elbow */
    limber_person p = {.keypoints = joints};
    overlay_draw(&im, &p, 1, &coco);
    cr_expect(is(pixel(&im, 260, 170), NOTHING), "elbow");
    cr_expect(is(pixel(&im, 250, 140), NOTHING), "upper arm");
    cr_expect(is(pixel(&im, 270, 200), NOTHING), "forearm");
    cr_expect(is(pixel(&im, 280, 230), LEFT), "wrist");
    for (int k = 0; k < 17; k++)
        joints[k].score = NAN;
    struct image none = grey(600, 600);
    overlay_draw(&none, &p, 1, &coco);
    cr_expect_eq(touched(&none), 0);
    image_close(&im);
    image_close(&none);
}

/* A picture of 600x600 in a view of 300x200: the same places of it. */
Test(overlay, coordinates_are_the_pictures_whatever_the_view)
{
    struct image im = grey(300, 200);
    im.width = im.height = 600;
    limber_keypoint joints[17];
    stand(joints, 100, 50, 400);
    limber_person p = {.keypoints = joints};
    overlay_draw(&im, &p, 1, &coco);
    cr_expect(is(pixel(&im, 120, 36), LEFT), "left shoulder, at (240, 110)");
    cr_expect(is(pixel(&im, 80, 36), RIGHT), "right shoulder, at (160, 110)");
    cr_expect(is(pixel(&im, 100, 133), NOTHING), "between the legs, at (200, 400)");
    image_close(&im);
}

/* Lines of one pixel around the box, half transparent; the number's strokes within its corner. */
Test(overlay, boxes_and_numbers)
{
    struct image im = grey(600, 600);
    limber_keypoint joints[17] = {{0}};
    limber_person p[12] = {{.keypoints = joints, .box = {100, 200, 300, 150}}};
    overlay_draw(&im, p, 1, &coco);
    cr_expect_eq(touched(&im), 0, "without `boxes` there is none");
    coco.boxes = true;
    overlay_draw(&im, p, 1, &coco);
    for (int y = 205; y < 345; y += 20)
        cr_expect(pixel(&im, 400, y)[0] > 160 && is(pixel(&im, 390, y), NOTHING), "right side at %d", y);
    for (int x = 205; x < 395; x += 20) {
        cr_expect(pixel(&im, x, 200)[0] > 160 && pixel(&im, x, 350)[0] > 160, "top and bottom at %d", x);
        cr_expect(is(pixel(&im, x, 210), NOTHING) && is(pixel(&im, x, 190), NOTHING), "around the top at %d", x);
    }
    /* 10 pixels high, 5 wide, 5 from the corner: a 1 has its right strokes alone */
    cr_expect(pixel(&im, 110, 207)[0] > 240 && pixel(&im, 110, 213)[0] > 240, "1: strokes on the right");
    cr_expect(pixel(&im, 105, 207)[0] < 110 && pixel(&im, 107, 210)[0] < 110, "1: nothing on the left, nor in the middle");
    struct image other = grey(600, 600);
    p[0].track = 1;
    overlay_draw(&other, p, 1, &coco);
    cr_expect_arr_eq(im.view.pixels, other.view.pixels, 600 * 600 * 3, "track 1 is number 1");
    p[0].track = 8;
    overlay_draw(&other, p, 1, &coco);
    cr_expect(pixel(&other, 105, 207)[0] > 240 && pixel(&other, 107, 210)[0] > 240, "8: every stroke");
    /* boxes that lie anywhere, and numbers of any length */
    static const float far[] = {-1e30f, -1e6f, -50, 0, 599, 1e6f, 1e30f, NAN, INFINITY};
    for (size_t i = 0; i < sizeof far / sizeof *far; i++)
        for (size_t j = 0; j < sizeof far / sizeof *far; j++) {
            p[0].box = (limber_box){far[i], far[j], far[j], far[i]};
            p[0].track = 2147483647;
            overlay_draw(&other, p, 1, &coco);
        }
    image_close(&im);
    image_close(&other);
}

/* One joint alone is a disc with a rim. Its pixels, each in the measure it is covered, add up to the disc's area wherever its
 * centre lies between pixels: the coverage at edges is right, not just smooth. On a ground of the rim's colour only the disc is
 * seen, on one of the disc's colour only the rim. */
Test(overlay, discs_and_rims_have_their_area)
{
    static const struct overlay_style dot = {.keypoint_count = 2, .min_score = 0.5f};
    const double r = 0.95 * 8, outer = r + 0.3 * 8, pi = 3.14159265358979; /* 500 high: the line would be 0.016 * 500 = 8 */
    for (int i = 0; i < 20; i++) {
        double sum[2] = {0};
        for (int ground = 0; ground < 2; ground++) {
            struct image im = grey(2000, 1000);
            memset((uint8_t *)im.view.pixels, ground ? 245 : 16, 2000 * 1000 * 3);
            limber_keypoint joints[2] = {{100.0f + 0.1f * (float)(i % 10), 100.0f + 0.07f * (float)i, 1}, {100, 600, 1}};
            joints[1].y = joints[0].y + 500;
            limber_person p = {.keypoints = joints};
            overlay_draw(&im, &p, 1, &dot);
            for (int y = 80; y < 120; y++)
                for (int x = 80; x < 120; x++)
                    sum[ground] += (ground ? 245 - pixel(&im, x, y)[0] : pixel(&im, x, y)[0] - 16) / (245. - 16);
            image_close(&im);
        }
        double disc = pi * r * r, ring = 0.75 * pi * (outer * outer - r * r);
        cr_expect(fabs(sum[0] - disc) < 0.01 * disc, "place %d: disc of %.2f, expected %.2f", i, sum[0], disc);
        cr_expect(fabs(sum[1] - ring) < 0.02 * ring, "place %d: rim of %.2f, expected %.2f", i, sum[1], ring);
    }
}

/* A row crosses a slanting line in width * length / dy of covered pixels. */
Test(overlay, lines_have_their_width_at_any_slant)
{
    static const int edges[][2] = {{0, 1}};
    static const struct overlay_style line = {.keypoint_count = 2, .edges = edges, .edge_count = 1, .min_score = 0.5f};
    static const int dx[] = {0, 3, -50, 120, -300, 500, 760};
    for (int i = 0; i < 7; i++) {
        struct image im = grey(1400, 1000);
        memset((uint8_t *)im.view.pixels, 16, 1400 * 1000 * 3);
        limber_keypoint joints[2] = {{600.3f, 300.2f, 1}, {600.3f + (float)dx[i], 700.2f, 1}};
        limber_person p = {.keypoints = joints};
        overlay_draw(&im, &p, 1, &line);
        double sum = 0, extent = abs(dx[i]) > 400 ? abs(dx[i]) : 400, want = 0.016 * extent * hypot(dx[i], 400) / 400;
        for (int x = 0; x < 1400; x++)
            sum += (pixel(&im, x, 500)[0] - 16) / (245. - 16);
        cr_expect(fabs(sum - want) < 0.05 * want, "dx %d: %.3f, expected %.3f", dx[i], sum, want);
        image_close(&im);
    }
}

/* The same picture at four times the size has sixteen times the painted pixels: lines are as readable. */
Test(overlay, widths_follow_the_size)
{
    struct image small = grey(300, 300), large = grey(1200, 1200);
    limber_keypoint joints[17];
    limber_person p = {.keypoints = joints};
    stand(joints, 40, 40, 200);
    overlay_draw(&small, &p, 1, &coco);
    stand(joints, 160, 160, 800);
    overlay_draw(&large, &p, 1, &coco);
    double ratio = (double)touched(&large) / touched(&small);
    cr_expect(ratio > 11 && ratio < 18, "%.2f", ratio);
    image_close(&small);
    image_close(&large);
}

Test(overlay, small_people_are_drawn_over_large_ones)
{
    struct image im = grey(600, 600);
    limber_keypoint near[17], far[17];
    stand(near, 100, 50, 400);
    stand(far, 0, 0, 100);
    for (int k = 0; k < 17; k++) /* the far one's left wrist on the near one's right shoulder */
        far[k].x += 160 - 45, far[k].y += 110 - 45;
    limber_person people[2] = {{.keypoints = far}, {.keypoints = near}};
    overlay_draw(&im, people, 2, &coco);
    cr_expect(is(pixel(&im, 160, 110), LEFT));
    image_close(&im);
}

Test(overlay, other_label_sets)
{
    static const int edges[][2] = {{0, 1}, {1, 2}}, pairs[] = {0, 2, 1};
    static const char *const labels[] = {"tip", "R_base", "L_base"};
    struct overlay_style s = {
        .keypoint_count = 3, .edges = edges, .edge_count = 2, .flip_pairs = pairs, .labels = labels, .min_score = 0};
    limber_keypoint joints[3] = {{50, 50, 1}, {50, 150, 1}, {150, 150, 1}};
    limber_person p = {.keypoints = joints};
    struct image im = grey(200, 200);
    overlay_draw(&im, &p, 1, &s);
    cr_expect(is(pixel(&im, 50, 50), MIDDLE) && is(pixel(&im, 50, 150), RIGHT) && is(pixel(&im, 150, 150), LEFT));
    cr_expect(is(pixel(&im, 50, 100), MIDDLE));
    image_close(&im);
    im = grey(200, 200);
    s.edges = NULL;
    s.edge_count = 0;
    s.labels = NULL;
    overlay_draw(&im, &p, 1, &s);
    cr_expect(is(pixel(&im, 50, 100), NOTHING) && is(pixel(&im, 50, 150), LEFT), "dots only; the lower of a pair is left");
    image_close(&im);
}

/* Joints anywhere: nothing outside the image is written (the sanitizers watch), lines that cross it are drawn. */
Test(overlay, coordinates_anywhere)
{
    static const float far[] = {-1e30f, -1e6f, -300, -0.6f, 0, 7.5f, 15.4f, 16, 400, 1e6f, 1e30f, INFINITY, NAN};
    enum { N = sizeof far / sizeof *far };
    static const int sizes[][2] = {{1, 1}, {16, 16}, {1, 40}, {40, 1}};
    for (int i = 0; i < 4; i++) {
        struct image im = grey(sizes[i][0], sizes[i][1]);
        for (int a = 0; a < N * N; a++) {
            limber_keypoint joints[17];
            for (int k = 0; k < 17; k++)
                joints[k] = (limber_keypoint){far[(a + 3 * k) % N], far[(a / N + 5 * k) % N], 1};
            limber_person p = {.keypoints = joints};
            overlay_draw(&im, &p, 1, &coco);
        }
        image_close(&im);
    }
    struct image im = grey(100, 100);
    limber_keypoint joints[17] = {{0}};
    joints[5] = (limber_keypoint){-50000, -50000, 1};
    joints[7] = (limber_keypoint){50050, 50050, 1};
    limber_person p = {.keypoints = joints};
    overlay_draw(&im, &p, 1, &coco);
    cr_expect(is(pixel(&im, 50, 50), LEFT) && is(pixel(&im, 10, 90), NOTHING));
    image_close(&im);
    overlay_draw(&im, NULL, 0, &coco);
}
