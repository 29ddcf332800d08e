/* SPDX-License-Identifier: MIT */
/* heads/masks.c - joints or label maps become masks over the patches, and masks are moved about for the null.
 *
 * Fears: joints far outside the crop and label maps of any content. Nothing here indexes by a number of theirs that was not
 * compared with the grid or the map first; a NaN joint has no score above any limit and is left out. */
#include "heads/masks.h"

#include <math.h>
#include <string.h>

#include "heads/chance.h"

/* ---- limbs ---- */

const char *const heads_limb_names[LIMBER_HEADS_LIMBS] = {"head", "torso", "left_arm", "right_arm", "left_leg", "right_leg"};
const char *const heads_boundary_names[HEADS_BOUNDARIES] = {"outline", "joints"};
const int heads_limb_mirror[LIMBER_HEADS_LIMBS] = {-1, -1, CLASS_RIGHT_ARM, CLASS_LEFT_ARM, CLASS_RIGHT_LEG, CLASS_LEFT_LEG};

/* The bones of each class are skeleton_class_bones (model/skeleton.c), capsules here; a bone from a joint to itself is a disc.
 * The radius is a share of the longer side of the person's box: half a forearm's thickness is about 1/40 of a person's height,
 * half a shin's 1/30; twice that, so that the flesh is inside and a patch that is mostly limb counts. Never below MIN_RADIUS, or a
 * limb of a small grid would fall between the centres. */
#define MIN_RADIUS 0.75
static const double limb_radius[LIMBER_HEADS_LIMBS] = {0.07, 0.06, 0.05, 0.05, 0.06, 0.06};
_Static_assert(SKELETON_CLASS_BONES <= HEADS_MAX_CAPSULES, "room for every bone");

struct heads_place heads_place_of(const struct config *c, struct crop_region region)
{
    /* The crop's first pixel centre is the region's edge, its last the other edge (pose/crop.c). A patch reads from 2 pixels before
     * its corner on. */
    double step_x = (c->image_w - 1.0) / (double)region.width, step_y = (c->image_h - 1.0) / (double)region.height;
    double first_x = (c->patch_w - 1) / 2.0 - PATCH_PAD, first_y = (c->patch_h - 1) / 2.0 - PATCH_PAD;
    return (struct heads_place){
        .x0 = (double)region.cx - (double)region.width / 2 + first_x / step_x,
        .y0 = (double)region.cy - (double)region.height / 2 + first_y / step_y,
        .scale_x = step_x / c->patch_w,
        .scale_y = step_y / c->patch_h,
    };
}

int heads_capsules(struct heads_capsule out[HEADS_MAX_CAPSULES], const limber_keypoint *joints, float min_score, limber_box box,
                   struct heads_place place)
{
    double width = (double)box.width * place.scale_x, height = (double)box.height * place.scale_y;
    double size = width > height ? width : height;
    int n = 0;
    for (int i = 0; i < SKELETON_CLASS_BONES; i++) {
        limber_keypoint a = joints[skeleton_class_bones[i].from], b = joints[skeleton_class_bones[i].to];
        bool there = a.score >= min_score && b.score >= min_score && a.score > 0 && b.score > 0 && isfinite(a.x) &&
                     isfinite(a.y) && isfinite(b.x) && isfinite(b.y);
        if (!there)
            continue;
        int class = skeleton_class_bones[i].class;
        double radius = limb_radius[class] * size;
        out[n++] = (struct heads_capsule){
            .class = class,
            .ax = ((double)a.x - place.x0) * place.scale_x,
            .ay = ((double)a.y - place.y0) * place.scale_y,
            .bx = ((double)b.x - place.x0) * place.scale_x,
            .by = ((double)b.y - place.y0) * place.scale_y,
            .radius = radius > MIN_RADIUS ? radius : MIN_RADIUS,
        };
    }
    return n;
}

static double distance_to_segment(double x, double y, const struct heads_capsule *s)
{
    double dx = s->bx - s->ax, dy = s->by - s->ay, length = dx * dx + dy * dy;
    double t = length > 0 ? ((x - s->ax) * dx + (y - s->ay) * dy) / length : 0;
    t = t < 0 ? 0 : t > 1 ? 1 : t;
    return hypot(x - s->ax - t * dx, y - s->ay - t * dy);
}

void heads_mask_capsules(uint8_t *masks, const struct heads_grid *g, const struct heads_capsule *capsules, int count)
{
    memset(masks, 0, (size_t)g->tokens);
    for (int i = 0; i < count; i++)
        for (int j = 0; j < g->tokens; j++)
            if (distance_to_segment(j % g->w, j / g->w, &capsules[i]) <= capsules[i].radius)
                masks[j] |= (uint8_t)(1u << capsules[i].class);
}

/* Is patch j cut: of 5 x 5 points of its square, the corners among them, is one inside a capsule and one in none? */
static bool is_cut(const struct heads_grid *g, int j, const struct heads_capsule *capsules, int count)
{
    int inside = 0;
    for (int p = 0; p < 25; p++) {
        const double x = j % g->w + (p % 5 - 2) / 4.0, y = j / g->w + (p / 5 - 2) / 4.0;
        bool in = false;
        for (int i = 0; !in && i < count; i++)
            in = distance_to_segment(x, y, &capsules[i]) <= capsules[i].radius;
        inside += in;
    }
    return inside > 0 && inside < 25;
}

void heads_mask_boundaries(uint8_t *masks, const struct heads_grid *g, const struct heads_capsule *capsules, int count)
{
    for (int j = 0; j < g->tokens; j++) {
        bool joint = false;
        for (int i = 0; !joint && i < count; i++)
            joint = hypot(j % g->w - capsules[i].ax, j / g->w - capsules[i].ay) <= MIN_RADIUS ||
                    hypot(j % g->w - capsules[i].bx, j / g->w - capsules[i].by) <= MIN_RADIUS;
        masks[j] &= (uint8_t) ~(1u << HEADS_OUTLINE | 1u << HEADS_JOINTS);
        masks[j] |= (uint8_t)((unsigned)is_cut(g, j, capsules, count) << HEADS_OUTLINE | (unsigned)joint << HEADS_JOINTS);
    }
}

void heads_mask_labels(uint8_t *masks, const struct heads_grid *g, const uint8_t *labels, int width, int height,
                       struct heads_place place)
{
    for (int j = 0; j < g->tokens; j++) {
        double x = floor(j % g->w / place.scale_x + place.x0 + 0.5), y = floor(j / g->w / place.scale_y + place.y0 + 0.5);
        masks[j] = 0;
        if (!(x >= 0 && y >= 0 && x < width && y < height)) /* the crop reaches beyond the image */
            continue;
        uint8_t v = labels[(size_t)y * (size_t)width + (size_t)x];
        if (v > 0 && v <= LIMBER_HEADS_MAX_CLASSES)
            masks[j] = (uint8_t)(1u << (v - 1));
    }
}

/* ---- elsewhere ---- */

#define FEW_SHIFTS 8 /* fewer whole shifts than this: the mask may wrap around */

struct shifts {
    int low_r, high_r, low_c, high_c;
    int least; /* the larger of the two ways must be at least this, around the torus */
};

static int around(int d, int size)
{
    int r = (d % size + size) % size;
    return r < size - r ? r : size - r;
}

static bool allowed(const struct heads_grid *g, const struct shifts *s, int dr, int dc)
{
    int a = around(dr, g->h), b = around(dc, g->w);
    return (a > b ? a : b) >= s->least;
}

static int count_shifts(const struct heads_grid *g, const struct shifts *s)
{
    int n = 0;
    for (int dr = s->low_r; dr <= s->high_r; dr++)
        for (int dc = s->low_c; dc <= s->high_c; dc++)
            n += allowed(g, s, dr, dc);
    return n;
}

/* The shifts a mask may take: whole ones where there are enough, else any on the torus, else any but none. */
static struct shifts find_shifts(const struct heads_grid *g, const uint8_t *own, int class, int *count)
{
    int top = g->h, bottom = -1, left = g->w, right = -1;
    for (int j = 0; j < g->tokens; j++) {
        if (!(own[j] >> class & 1))
            continue;
        int r = j / g->w, c = j % g->w;
        top = r < top ? r : top;
        bottom = r > bottom ? r : bottom;
        left = c < left ? c : left;
        right = c > right ? c : right;
    }
    struct shifts s = {-top, g->h - 1 - bottom, -left, g->w - 1 - right, 2};
    *count = count_shifts(g, &s);
    if (*count < FEW_SHIFTS) {
        s = (struct shifts){0, g->h - 1, 0, g->w - 1, 2};
        *count = count_shifts(g, &s);
    }
    if (*count == 0) {
        s.least = 1;
        *count = count_shifts(g, &s);
    }
    return s;
}

struct shift {
    int dr, dc;
};

/* The n-th allowed shift in reading order; none: the mask stays. */
static struct shift nth_shift(const struct heads_grid *g, const struct shifts *s, int n)
{
    for (int dr = s->low_r; dr <= s->high_r; dr++)
        for (int dc = s->low_c; dc <= s->high_c; dc++)
            if (allowed(g, s, dr, dc) && n-- == 0)
                return (struct shift){dr, dc};
    return (struct shift){0, 0};
}

static uint8_t *new_column(struct heads_columns *out, const struct heads_grid *g, int class, enum heads_role role, int *bit)
{
    int j = out->count++;
    out->column[j].class = class;
    out->column[j].role = role;
    *bit = j % 8;
    if (*bit == 0) {
        memset(out->masks + (size_t)(j / 8) * (size_t)g->tokens, 0, (size_t)g->tokens);
        out->copies = j / 8 + 1;
    }
    return out->masks + (size_t)(j / 8) * (size_t)g->tokens;
}

static void add_moved(struct heads_columns *out, const struct heads_grid *g, const uint8_t *own, int class, struct shift s)
{
    int bit;
    uint8_t *masks = new_column(out, g, class, HEADS_MOVED, &bit);
    out->column[out->count - 1].down = s.dr;
    out->column[out->count - 1].right = s.dc;
    for (int j = 0; j < g->tokens; j++)
        if (own[j] >> class & 1) {
            int r = (j / g->w + s.dr + g->h) % g->h, c = (j % g->w + s.dc + g->w) % g->w;
            masks[r * g->w + c] |= (uint8_t)(1u << bit);
        }
}

static bool has_rows(const uint8_t *masks, int class, int tokens)
{
    int n = 0;
    for (int j = 0; j < tokens; j++)
        n += masks[j] >> class & 1;
    return n >= 2 && n < tokens;
}

/* Somebody of another image who shows as many of this person's classes as can be had; the search starts at a place drawn by lot.
 * -1: nobody. */
static int find_donor(const struct heads_grid *g, const struct heads_donors *donors, int classes, const uint8_t *own,
                      int64_t image, uint64_t lot)
{
    int best = -1, most = 0;
    for (int i = 0; i < donors->count; i++) {
        int k = (int)((lot + (uint64_t)i) % (uint64_t)donors->count), common = 0;
        if (donors->image[k] == image)
            continue;
        for (int c = 0; c < classes; c++)
            common += has_rows(own, c, g->tokens) && has_rows(donors->masks + (size_t)k * (size_t)g->tokens, c, g->tokens);
        if (common > most) {
            most = common;
            best = k;
        }
    }
    return best;
}

/* All that the donor shows: one body, so that its limbs keep their places beside each other. */
static void add_swapped(struct heads_columns *out, const struct heads_grid *g, int classes, const uint8_t *theirs)
{
    for (int c = 0; c < classes; c++) {
        if (!has_rows(theirs, c, g->tokens))
            continue;
        int bit;
        uint8_t *masks = new_column(out, g, c, HEADS_SWAPPED, &bit);
        for (int j = 0; j < g->tokens; j++)
            masks[j] |= (uint8_t)((theirs[j] >> c & 1) << bit);
    }
}

void heads_columns_make(struct heads_columns *out, const struct heads_grid *g, int classes, const uint8_t *own, int moves,
                        const struct heads_donors *donors, uint64_t seed, int64_t image, int person)
{
    out->count = out->copies = 0;
    for (int c = 0; c < classes; c++) {
        int bit;
        uint8_t *masks = new_column(out, g, c, HEADS_OWN, &bit);
        for (int j = 0; j < g->tokens; j++)
            masks[j] |= (uint8_t)((own[j] >> c & 1) << bit);
    }
    for (int c = 0; c < classes && moves > 0; c++) {
        if (!has_rows(own, c, g->tokens))
            continue;
        int count;
        struct shifts s = find_shifts(g, own, c, &count);
        /* equally spaced in the list from a start drawn by lot: different places for the moves of one person */
        uint64_t start = count ? heads_hash(seed, (uint64_t)image, (uint64_t)person, (uint64_t)c) % (uint64_t)count : 0;
        for (int k = 0; k < moves && k < count; k++) {
            uint64_t n = (start + (uint64_t)k * (uint64_t)count / (uint64_t)moves) % (uint64_t)count;
            add_moved(out, g, own, c, nth_shift(g, &s, (int)n));
        }
    }
    int donor =
        moves > 0 ? find_donor(g, donors, classes, own, image, heads_hash(seed, (uint64_t)image, (uint64_t)person, 0x5a7)) : -1;
    if (donor >= 0)
        add_swapped(out, g, classes, donors->masks + (size_t)donor * (size_t)g->tokens);
}

int heads_copies_max(int classes, int moves)
{
    return (classes * (moves > 0 ? 2 + moves : 1) + 7) / 8;
}

void heads_donors_keep(struct heads_donors *d, const struct heads_grid *g, const uint8_t *own, int64_t image)
{
    memcpy(d->masks + (size_t)d->next * (size_t)g->tokens, own, (size_t)g->tokens);
    d->image[d->next] = image;
    d->next = (d->next + 1) % HEADS_DONORS;
    d->count = d->count < HEADS_DONORS ? d->count + 1 : d->count;
}
