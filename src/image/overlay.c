/* SPDX-License-Identifier: MIT */
/* Skeletons on photographs. Everything is one shape: a capsule, that is all points within `radius` of a segment; a dot is a
 * segment of no length. A pixel takes a colour in the measure in which the shape covers it, which for an edge at distance d from
 * its centre is 1/2 - d, within 0 and 1: exact where the edge runs along rows or columns, off by at most 0.1 where it does not.
 *
 *     boxes of all                thin and half transparent, under everything
 *     a person, largest first     bones: a dark rim under all of them, then the colours      dots likewise, so they lie on top
 *     numbers of all              small, in the corners of the boxes
 *
 * Orange is the person's left, blue the right, white the middle (where tracks are told apart, of the dots alone): told apart by the colour-blind too, and on any background
 * thanks to the rim. Widths follow the person, so that a far one is not painted over, within bounds that follow the image, so
 * that lines stay visible when the picture is shrunk to a page.
 *
 * Fears: joints far outside or not finite. A shape is cut to the image before a coordinate becomes an index. */
#include "image/overlay.h"
#include "base/text.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct colour {
    uint8_t r, g, b;
};
static const struct colour left_colour = {255, 138, 20}, right_colour = {40, 150, 255}, middle_colour = {245, 245, 245};
static const struct colour rim_colour = {16, 16, 24};
/* Of tracks, in turn: neighbours in number are far apart in hue. */
static const struct colour track_colours[] = {{255, 99, 71},   {64, 156, 255}, {120, 220, 60},  {255, 200, 40},
                                              {200, 110, 255}, {40, 220, 210}, {255, 120, 190}, {170, 160, 60},
                                              {130, 150, 255}, {255, 150, 60}, {90, 190, 130},  {215, 215, 235}};

#define RIM_OPACITY 0.75
#define LINE_OF_PERSON 0.016 /* line width / the longer side of the joints' bounds */
#define LINE_LEAST 0.0024    /* ... / the image's longer side */
#define LINE_MOST 0.009
#define DOT_OF_LINE 0.95   /* dot radius / line width */
#define CROWDED 0.3        /* neither line width nor dot radius passes this share of the bone's length: faces stay faces */
#define CROWDED_LEAST 0.55 /* ... unless it is already less than this share of the usual */
#define FAR_AWAY 1e7       /* pixels; nothing out there reaches the image at these widths */
#define BOX_LINE 0.0008    /* width / the image's longer side */
#define BOX_OPACITY 0.7
#define NUMBER_HEIGHT 0.013 /* of a digit / the image's longer side */

/* ---- shapes ---- */

struct point {
    double x, y;
};

/* Columns of row y that a strip of half width `reach` along a-b may touch, cut to [*first, *end). */
static void cut_to_strip(struct point a, struct point b, double reach, double y, int *first, int *end)
{
    double dx = b.x - a.x, dy = b.y - a.y, length = hypot(dx, dy);
    if (fabs(dy) < 1e-3 * length || length < 1e-9)
        return;
    double centre = a.x + (y - a.y) * dx / dy, half = reach * length / fabs(dy);
    if (centre - half > *first)
        *first = centre - half < *end ? (int)floor(centre - half) : *end;
    if (centre + half < *end - 1)
        *end = centre + half > *first ? (int)ceil(centre + half) + 1 : *first;
}

static void capsule(const limber_image *im, struct point a, struct point b, double radius, struct colour colour, double opacity)
{
    double reach = radius + 0.5; /* further out nothing is covered */
    double left = fmin(a.x, b.x) - reach, right = fmax(a.x, b.x) + reach, top = fmin(a.y, b.y) - reach,
           bottom = fmax(a.y, b.y) + reach;
    if (!(right >= 0 && bottom >= 0 && left <= im->width - 1 && top <= im->height - 1))
        return;
    int x0 = left > 0 ? (int)left : 0, x1 = right < im->width - 1 ? (int)right + 1 : im->width;
    int y0 = top > 0 ? (int)top : 0, y1 = bottom < im->height - 1 ? (int)bottom + 1 : im->height;
    double dx = b.x - a.x, dy = b.y - a.y, squared = dx * dx + dy * dy, inverse = squared > 0 ? 1 / squared : 0;
    for (int y = y0; y < y1; y++) {
        int first = x0, end = x1;
        cut_to_strip(a, b, reach, y, &first, &end);
        uint8_t *p = (uint8_t *)im->pixels + (size_t)y * im->stride + 3 * (size_t)first;
        for (int x = first; x < end; x++, p += 3) {
            double px = x - a.x, py = y - a.y, along = (px * dx + py * dy) * inverse;
            along = along < 0 ? 0 : along > 1 ? 1 : along;
            double cover = reach - sqrt((px - along * dx) * (px - along * dx) + (py - along * dy) * (py - along * dy));
            if (cover <= 0)
                continue;
            double share = opacity * (cover < 1 ? cover : 1);
            p[0] = (uint8_t)(p[0] + share * (colour.r - p[0]) + 0.5);
            p[1] = (uint8_t)(p[1] + share * (colour.g - p[1]) + 0.5);
            p[2] = (uint8_t)(p[2] + share * (colour.b - p[2]) + 0.5);
        }
    }
}

/* ---- a person ---- */

enum side { MIDDLE, LEFT, RIGHT };

static bool is_left(const struct overlay_style *s, int joint)
{
    if (s->sides)
        return s->sides[joint] == 'l';
    const char *label = s->labels ? s->labels[joint] : NULL;
    int first = label ? text_lower(label[0]) : 0;
    return first == 'l' || first == 'r' ? first == 'l' : joint < s->flip_pairs[joint];
}

static enum side side_of(const struct overlay_style *s, int joint)
{
    if (!s->flip_pairs || s->flip_pairs[joint] == joint)
        return MIDDLE;
    return is_left(s, joint) ? LEFT : RIGHT;
}

static struct colour colour_of_track(int track)
{
    return track_colours[(unsigned)(track - 1) % (sizeof track_colours / sizeof *track_colours)];
}

static struct colour colour_of(enum side side)
{
    return side == LEFT ? left_colour : side == RIGHT ? right_colour : middle_colour;
}

/* A bone within one side has its colour; one between the sides, or to the middle, is the middle's. */
static struct colour colour_of_bone(const struct overlay_style *s, int a, int b)
{
    enum side side = side_of(s, a);
    return colour_of(side == side_of(s, b) ? side : MIDDLE);
}

/* From the picture's coordinates to its view's, where that has fewer pixels: what lies between two pixels stays there. */
struct canvas {
    const limber_image *im;
    double across, down; /* view / picture */
    double size;         /* the view's longer side */
};

static struct point place(const struct canvas *c, double x, double y)
{
    return (struct point){(x + 0.5) * c->across - 0.5, (y + 0.5) * c->down - 0.5};
}

static bool is_drawn(const limber_keypoint *k, const struct overlay_style *s)
{
    return k->score >= s->min_score && fabs((double)k->x) < FAR_AWAY && fabs((double)k->y) < FAR_AWAY;
}

static struct point point_of(const struct canvas *c, const limber_keypoint *k)
{
    return place(c, (double)k->x, (double)k->y);
}

/* The longer side of the bounds of the joints that are drawn. */
static double extent(const limber_person *p, const struct overlay_style *s)
{
    double left = INFINITY, right = -INFINITY, top = INFINITY, bottom = -INFINITY;
    for (int k = 0; k < s->keypoint_count; k++) {
        const limber_keypoint *j = &p->keypoints[k];
        if (!is_drawn(j, s))
            continue;
        left = fmin(left, (double)j->x), right = fmax(right, (double)j->x);
        top = fmin(top, (double)j->y), bottom = fmax(bottom, (double)j->y);
    }
    return left <= right ? fmax(right - left, bottom - top) : -1;
}

/* Where joints stand close, as in a face, lines are thinner and dots smaller. */
static double thinned(double usual, double bone)
{
    return fmin(usual, fmax(CROWDED * bone, CROWDED_LEAST * usual));
}

static double length_of_bone(const struct canvas *c, const limber_person *p, const int edge[2])
{
    const struct point a = point_of(c, &p->keypoints[edge[0]]), b = point_of(c, &p->keypoints[edge[1]]);
    return hypot(a.x - b.x, a.y - b.y);
}

/* Of the bones that end in a joint and are drawn, the shortest. */
static double shortest_bone(const struct canvas *c, const limber_person *p, const struct overlay_style *s, int joint)
{
    double shortest = INFINITY;
    for (int e = 0; e < s->edge_count; e++) {
        const int *edge = s->edges[e];
        if ((edge[0] == joint || edge[1] == joint) && is_drawn(&p->keypoints[edge[0]], s) && is_drawn(&p->keypoints[edge[1]], s))
            shortest = fmin(shortest, length_of_bone(c, p, edge));
    }
    return shortest;
}

/* One pass over a person's bones, or dots: `grow` is 0 for the colours, and the rim's width for the rim under them. */
static void draw_bones(const struct canvas *canvas, const limber_person *p, const struct overlay_style *s, double width,
                       double grow)
{
    for (int e = 0; e < s->edge_count; e++) {
        int a = s->edges[e][0], b = s->edges[e][1];
        const limber_keypoint *from = &p->keypoints[a], *to = &p->keypoints[b];
        if (!is_drawn(from, s) || !is_drawn(to, s))
            continue;
        struct colour c = grow > 0 ? rim_colour : s->tracks && p->track > 0 ? colour_of_track(p->track) : colour_of_bone(s, a, b);
        capsule(canvas->im, point_of(canvas, from), point_of(canvas, to),
                thinned(width, length_of_bone(canvas, p, s->edges[e])) / 2 + grow, c, grow > 0 ? RIM_OPACITY : 1);
    }
}

static void draw_dots(const struct canvas *canvas, const limber_person *p, const struct overlay_style *s, double width,
                      double grow)
{
    for (int k = 0; k < s->keypoint_count; k++) {
        if (!is_drawn(&p->keypoints[k], s))
            continue;
        struct point at = point_of(canvas, &p->keypoints[k]);
        struct colour c = grow > 0 ? rim_colour : colour_of(side_of(s, k));
        capsule(canvas->im, at, at, thinned(DOT_OF_LINE * width, shortest_bone(canvas, p, s, k)) + grow, c,
                grow > 0 ? RIM_OPACITY : 1);
    }
}

static void draw_person(const struct canvas *c, const limber_person *p, const struct overlay_style *s, double size)
{
    double width = fmin(fmax(LINE_OF_PERSON * size, fmax(LINE_LEAST * c->size, 1.5)), fmax(LINE_MOST * c->size, 2));
    double rim = fmax(0.3 * width, 0.8);
    draw_bones(c, p, s, width, rim);
    draw_bones(c, p, s, width, 0);
    draw_dots(c, p, s, width, rim);
    draw_dots(c, p, s, width, 0);
}

/* ---- who is who ---- */

static bool has_box(const limber_person *p)
{
    const limber_box *b = &p->box;
    return fabs((double)b->x) < FAR_AWAY && fabs((double)b->y) < FAR_AWAY && (double)b->width < FAR_AWAY &&
           (double)b->height < FAR_AWAY && b->width > 0 && b->height > 0;
}

/* A white line within a dark one is seen on any ground. */
static void draw_box(const struct canvas *c, const limber_person *p, struct colour light)
{
    const limber_box *b = &p->box;
    const double width = fmax(BOX_LINE * c->size, 1);
    const struct point low = place(c, (double)b->x, (double)b->y),
                       high = place(c, (double)b->x + (double)b->width, (double)b->y + (double)b->height);
    const struct point corners[] = {low, {high.x, low.y}, high, {low.x, high.y}};
    for (int dark = 1; dark >= 0; dark--)
        for (int i = 0; i < 4; i++)
            capsule(c->im, corners[i], corners[(i + 1) % 4], width / 2 + dark * 0.5, dark ? rim_colour : light,
                    dark ? 0.5 * BOX_OPACITY : BOX_OPACITY);
}

/* Strokes of a digit, as a clock has them: the top, the middle and the bottom, then the four that stand. */
static void draw_digit(const struct canvas *c, int digit, struct point at, double height, double radius, bool dark)
{
    static const unsigned char lit[10] = {0x7d, 0x50, 0x37, 0x57, 0x5a, 0x4f, 0x6f, 0x51, 0x7f, 0x5f};
    static const unsigned char strokes[7][4] = {{0, 0, 1, 0}, {0, 1, 1, 1}, {0, 2, 1, 2}, {0, 0, 0, 1},
                                                {1, 0, 1, 1}, {0, 1, 0, 2}, {1, 1, 1, 2}};
    const double w = 0.5 * height, h = 0.5 * height;
    for (int i = 0; i < 7; i++)
        if (lit[digit] >> i & 1)
            capsule(c->im, (struct point){at.x + strokes[i][0] * w, at.y + strokes[i][1] * h},
                    (struct point){at.x + strokes[i][2] * w, at.y + strokes[i][3] * h}, radius, dark ? rim_colour : middle_colour,
                    1);
}

/* Within the box's top left corner, and within the image. */
static void draw_number(const struct canvas *c, const limber_person *p, int number)
{
    const double height = fmax(NUMBER_HEIGHT * c->size, 10), radius = fmax(0.06 * height, 0.75), step = 0.85 * height;
    int digits[10], n = 0;
    for (; n == 0 || number > 0; number /= 10)
        digits[n++] = number % 10;
    struct point at = place(c, (double)p->box.x, (double)p->box.y);
    const double margin = 0.5 * height;
    at.x = fmax(fmin(at.x, c->im->width - n * step - margin), 0) + margin;
    at.y = fmax(fmin(at.y, c->im->height - height - 2 * margin), 0) + margin;
    for (int dark = 1; dark >= 0; dark--)
        for (int i = 0; i < n; i++)
            draw_digit(c, digits[n - 1 - i], (struct point){at.x + i * step, at.y}, height,
                       radius + dark * fmax(0.12 * height, 1), dark);
}

void overlay_draw(struct image *image, const limber_person *people, int count, const struct overlay_style *style)
{
    const limber_image *im = &image->view;
    const struct canvas canvas = {im, (double)im->width / image->width, (double)im->height / image->height,
                                  im->width > im->height ? im->width : im->height};
    for (int i = 0; style->boxes && i < count; i++)
        if (has_box(&people[i]))
            draw_box(&canvas, &people[i],
                     style->tracks && people[i].track > 0 ? colour_of_track(people[i].track) : middle_colour);
    /* Largest first, without a sorted copy: each round draws those of the next smaller size, in their order. */
    double below = INFINITY;
    for (;;) {
        double next = -1;
        for (int i = 0; i < count; i++) {
            double size = extent(&people[i], style);
            if (size < below && size > next)
                next = size;
        }
        if (next < 0)
            break;
        for (int i = 0; i < count; i++)
            if (extent(&people[i], style) == next)
                draw_person(&canvas, &people[i], style, next * canvas.across);
        below = next;
    }
    for (int i = 0; style->boxes && i < count; i++)
        if (has_box(&people[i]))
            draw_number(&canvas, &people[i], people[i].track > 0 ? people[i].track : i + 1);
}
