/* SPDX-License-Identifier: MIT */
/* Box maps to boxes: places and sizes by hand, what is nobody, what overlaps, what is no number. tools/train/boxes.py (decode, grid_of)
 * reads the same maps for the trainer; the mixed case below was read by it. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "pose/box_maps.h"

enum { ROWS = 4, COLS = 6, PATCH = 16, H = 4 * ROWS, W = 4 * COLS, SIZE = H * W };

static float maps[BOX_MAPS * SIZE];

static void nobody(void)
{
    for (int i = 0; i < SIZE; i++)
        maps[i] = -9;
    memset(maps + SIZE, 0, sizeof maps - SIZE * sizeof *maps);
}

static void somebody(int y, int x, float logit, float left, float top, float right, float bottom)
{
    maps[y * W + x] = logit;
    const float side[4] = {left, top, right, bottom};
    for (int s = 0; s < 4; s++)
        maps[(s + 1) * SIZE + y * W + x] = logf(side[s] / PATCH);
}

static limber_found out[100];

static int read_maps(int width, int height, float least, int room)
{
    int count = -1;
    limber_error err = {0};
    limber_status st = box_maps_read(maps, H, W, ROWS, COLS, PATCH, width, height, least, 0.6f, out, room, &count, &err);
    cr_assert_eq(st, LIMBER_OK, "%s", err.text);
    return count;
}

static void expect_box(int i, float x, float y, float width, float height, float score)
{
    const limber_box *b = &out[i].box;
    cr_expect(fabsf(b->x - x) < 1e-3f && fabsf(b->y - y) < 1e-3f && fabsf(b->width - width) < 1e-3f &&
                  fabsf(b->height - height) < 1e-3f,
              "box %d is %g %g %g %g", i, (double)b->x, (double)b->y, (double)b->width, (double)b->height);
    cr_expect(fabsf(out[i].score - score) < 1e-6f, "score %d is %.9g", i, (double)out[i].score);
}

Test(box_maps, nobody_is_nobody)
{
    nobody();
    cr_expect_eq(read_maps(96, 64, 0.01f, 100), 0);
}

/* Cell x of 24 lies on input pixel x * 95 / 23; the photograph is twice as wide and three times as high as the input. */
Test(box_maps, one_person_in_pixels_of_the_photograph)
{
    nobody();
    somebody(5, 8, 0, 10, 12, 14, 20);
    cr_assert_eq(read_maps(192, 192, 0.3f, 100), 1);
    float x = 8 * 95.f / 23, y = 5 * 63.f / 15;
    expect_box(0, (x - 10) * 2, (y - 12) * 3, 24 * 2, 32 * 3, 0.5f);
}

Test(box_maps, boxes_end_at_the_edge_of_the_photograph)
{
    nobody();
    somebody(0, 0, 2, 500, 500, 20, 30);
    cr_assert_eq(read_maps(96, 64, 0.3f, 100), 1);
    expect_box(0, 0, 0, 20, 30, 1 / (1 + expf(-2)));
}

Test(box_maps, best_first_overlapping_once_and_no_more_than_asked)
{
    nobody();
    somebody(4, 4, 1, 12, 12, 12, 12);
    somebody(4, 7, 2, 24.4f, 12, 0.5f, 12); /* nearly the box of the first, and surer */
    somebody(12, 20, 0.5f, 10, 10, 10, 10);
    cr_assert_eq(read_maps(96, 64, 0.1f, 100), 2);
    cr_expect(out[0].score > 0.88f && out[1].score < 0.63f && out[1].score > 0.62f, "%g %g", (double)out[0].score,
              (double)out[1].score);
    cr_expect_eq(read_maps(96, 64, 0.1f, 1), 1);
    cr_expect(out[0].score > 0.88f);
    cr_expect_eq(read_maps(96, 64, 0.7f, 100), 1);
}

Test(box_maps, equals_come_in_the_order_of_the_map)
{
    nobody();
    somebody(12, 3, 1, 8, 8, 8, 8);
    somebody(2, 20, 1, 8, 8, 8, 8);
    cr_assert_eq(read_maps(96, 64, 0.1f, 100), 2);
    cr_expect(out[0].box.y < out[1].box.y);
}

Test(box_maps, a_value_that_is_no_number_is_an_error)
{
    for (int i = 0; i < BOX_MAPS * SIZE; i += SIZE / 2 + 7) {
        nobody();
        maps[i] = i % 2 ? NAN : INFINITY;
        int count = -1;
        limber_error err = {0};
        cr_expect_eq(box_maps_read(maps, H, W, ROWS, COLS, PATCH, 96, 64, 0.1f, 0.6f, out, 100, &count, &err), LIMBER_E_MODEL);
        cr_expect_eq(count, 0);
        cr_expect(strstr(err.text, "not a finite number"), "%s", err.text);
    }
}

/* numpy: k = arange(5 * 16 * 24); maps = sin(k * 0.7) * 2 + cos(k * 0.011); decode(maps, 200, 150, 0.5, 0.3), first and last of all. */
Test(box_maps, as_the_trainer_reads_them)
{
    for (int k = 0; k < BOX_MAPS * SIZE; k++)
        maps[k] = (float)(sin(k * 0.7) * 2 + cos(k * 0.011));
    int count = 0;
    limber_error err;
    cr_assert_eq(box_maps_read(maps, H, W, ROWS, COLS, PATCH, 200, 150, 0.5f, 0.3f, out, 100, &count, &err), LIMBER_OK);
    cr_expect_eq(count, 17, "%d", count);
    expect_box(0, 0.0000f, 0.0000f, 57.6552f, 136.5800f, 0.95123082f);
    expect_box(1, 69.4506f, 0.0000f, 63.7487f, 147.1966f, 0.95115501f);
    expect_box(8, 63.7310f, 133.2802f, 31.4921f, 16.7198f, 0.79706919f);
    expect_box(16, 49.1675f, 108.1839f, 44.3523f, 41.8161f, 0.71306491f);
}

Test(box_maps, grids_have_the_aspect_of_the_photograph)
{
    const int want[][5] = {{640, 480, 300, 15, 20}, {480, 640, 300, 20, 15}, {1, 5000, 300, 64, 4},    {12000, 9000, 300, 15, 20},
                           {1, 1, 300, 17, 17},     {500, 333, 300, 14, 21}, {1920, 1080, 300, 13, 23}};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        int rows, cols;
        box_maps_grid(want[i][0], want[i][1], want[i][2], &rows, &cols);
        cr_expect(rows == want[i][3] && cols == want[i][4], "%d x %d: %d x %d", want[i][0], want[i][1], rows, cols);
    }
}
