/* SPDX-License-Identifier: MIT */
/* heads/corrupt.c - limbs blurred away. What is lost is the limb's detail; colour and brightness of the place stay, so the corrupted
 * picture is near to a photograph. The same blur elsewhere shows what blurring does by itself. */
#include "heads/corrupt.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "heads/chance.h"

#define BLUR 16.0
#define FEATHER 2.0
#define LEAST_RADIUS 12.0
#define DRAWS 64
#define MAX_RADIUS 512 /* of a Gaussian: a crop 2700 high */

static size_t pixels(const struct corrupt *c)
{
    return (size_t)c->config->image_h * (size_t)c->config->image_w;
}

limber_status corrupt_open(struct corrupt *c, const struct config *config, limber_error *err)
{
    *c = (struct corrupt){.config = config};
    c->blurred = malloc(pixels(c) * 3 * sizeof *c->blurred);
    c->scratch = malloc(pixels(c) * 3 * sizeof *c->scratch);
    c->weight = malloc(pixels(c) * sizeof *c->weight);
    c->mask = malloc(pixels(c));
    c->moved = malloc(pixels(c));
    if (c->blurred && c->scratch && c->weight && c->mask && c->moved)
        return LIMBER_OK;
    return limber_fail(err, LIMBER_E_MEMORY, "no memory to blur a crop of %dx%d", config->image_w, config->image_h);
}

void corrupt_close(struct corrupt *c)
{
    free(c->blurred);
    free(c->scratch);
    free(c->weight);
    free(c->mask);
    free(c->moved);
    *c = (struct corrupt){0};
}

/* ---- Gaussian, separable, the border repeated ---- */

static int clamped(int i, int n)
{
    return i < 0 ? 0 : i >= n ? n - 1 : i;
}

static void add_row(float *restrict dst, const float *restrict src, float tap, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dst[i] += tap * src[i];
}

/* Tap by tap over whole rows, which compilers turn into vectors; down first, then across. */
static void gaussian(float *image, float *scratch, int h, int w, int channels, double sigma)
{
    float tap[MAX_RADIUS + 1];
    int radius = (int)ceil(3 * sigma);
    radius = radius > MAX_RADIUS ? MAX_RADIUS : radius;
    double sum = 0;
    for (int t = 0; t <= radius; t++)
        sum += (t ? 2 : 1) * exp(-0.5 * t * t / (sigma * sigma));
    for (int t = 0; t <= radius; t++)
        tap[t] = (float)(exp(-0.5 * t * t / (sigma * sigma)) / sum);
    const size_t row = (size_t)w * (size_t)channels;
    memset(scratch, 0, (size_t)h * row * sizeof *scratch);
    for (int y = 0; y < h; y++)
        for (int t = -radius; t <= radius; t++)
            add_row(scratch + (size_t)y * row, image + (size_t)clamped(y + t, h) * row, tap[abs(t)], row);
    memset(image, 0, (size_t)h * row * sizeof *image);
    for (int y = 0; y < h; y++) {
        float *dst = image + (size_t)y * row;
        const float *src = scratch + (size_t)y * row;
        for (int t = -radius; t <= radius; t++) {
            const int first = t < 0 ? (-t < w ? -t : w) : 0, end = t > 0 ? (w - t > first ? w - t : first) : w;
            for (int x = 0; x < w; x++) /* beyond the border, its pixel */
                for (int c = 0; (x < first || x >= end) && c < channels; c++)
                    dst[x * channels + c] += tap[abs(t)] * src[clamped(x + t, w) * channels + c];
            if (end > first)
                add_row(dst + first * channels, src + (first + t) * channels, tap[abs(t)], (size_t)((end - first) * channels));
        }
    }
}

static double scale(const struct corrupt *c)
{
    return c->config->image_h / 256.0;
}

void corrupt_crop(struct corrupt *c, const uint8_t *crop)
{
    for (size_t i = 0; i < 3 * pixels(c); i++)
        c->blurred[i] = crop[i];
    gaussian(c->blurred, c->scratch, c->config->image_h, c->config->image_w, 3, BLUR * scale(c));
}

/* ---- where ---- */

int corrupt_mask(struct corrupt *c, const struct heads_capsule *capsules, int count, int class)
{
    const struct config *g = c->config;
    const double first_x = (g->patch_w - 1) / 2.0 - PATCH_PAD, first_y = (g->patch_h - 1) / 2.0 - PATCH_PAD;
    int n = 0;
    memset(c->mask, 0, pixels(c));
    for (int i = 0; i < count; i++) {
        const struct heads_capsule *k = &capsules[i];
        if (k->class != class)
            continue;
        const double ax = k->ax * g->patch_w + first_x, ay = k->ay * g->patch_h + first_y;
        const double dx = k->bx * g->patch_w + first_x - ax, dy = k->by * g->patch_h + first_y - ay, length = dx * dx + dy * dy;
        double radius = k->radius * sqrt((double)g->patch_w * g->patch_h);
        radius = radius > LEAST_RADIUS * scale(c) ? radius : LEAST_RADIUS * scale(c);
        for (int y = 0; y < g->image_h; y++)
            for (int x = 0; x < g->image_w; x++) {
                double t = length > 0 ? ((x - ax) * dx + (y - ay) * dy) / length : 0;
                t = t < 0 ? 0 : t > 1 ? 1 : t;
                const double off_x = x - ax - t * dx, off_y = y - ay - t * dy;
                if (off_x * off_x + off_y * off_y <= radius * radius)
                    c->mask[(size_t)y * (size_t)g->image_w + (size_t)x] = 1;
            }
    }
    for (size_t i = 0; i < pixels(c); i++)
        n += c->mask[i];
    return n;
}

static void shift(struct corrupt *c, int dy, int dx, int *inside, int *overlap)
{
    const int h = c->config->image_h, w = c->config->image_w;
    *inside = *overlap = 0;
    memset(c->moved, 0, pixels(c));
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            const int to_y = y + dy, to_x = x + dx;
            if (!c->mask[y * w + x] || to_y < 0 || to_y >= h || to_x < 0 || to_x >= w)
                continue;
            c->moved[to_y * w + to_x] = 1;
            ++*inside;
            *overlap += c->mask[to_y * w + to_x];
        }
}

bool corrupt_move(struct corrupt *c, uint64_t seed, uint64_t image, uint64_t person, uint64_t class)
{
    const uint64_t h = (uint64_t)c->config->image_h, w = (uint64_t)c->config->image_w;
    int all = 0;
    for (size_t i = 0; i < pixels(c); i++)
        all += c->mask[i];
    for (uint64_t k = 0; k < DRAWS && all > 0; k++) {
        const uint64_t lot = heads_hash(seed, image, person, 0x30f * 64 + class * DRAWS + k);
        int inside, overlap;
        shift(c, (int)((lot >> 32) % h) - (int)(h / 2), (int)((lot & 0xffffffff) % w) - (int)(w / 2), &inside, &overlap);
        if (inside >= 0.6 * all && overlap <= 0.1 * all)
            return true;
    }
    return false;
}

void corrupt_blur(struct corrupt *c, uint8_t *out, const uint8_t *crop, const uint8_t *mask)
{
    for (size_t i = 0; i < pixels(c); i++)
        c->weight[i] = mask[i];
    gaussian(c->weight, c->scratch, c->config->image_h, c->config->image_w, 1, FEATHER * scale(c));
    for (size_t i = 0; i < 3 * pixels(c); i++) {
        const float w = c->weight[i / 3];
        out[i] = (uint8_t)(crop[i] * (1 - w) + c->blurred[i] * w + 0.5f);
    }
}
