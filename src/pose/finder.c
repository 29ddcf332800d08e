/* SPDX-License-Identifier: MIT */
/* pose/finder.c - see pose/finder.h. */
#include "pose/finder.h"

#include <stdlib.h>

#include "base/error.h"
#include "pose/pixels.h"
#include "pose/resample.h"

/* No grid of box_maps_grid has more: sides are rounded to whole patches, at least 4 and at most 64 of them. */
static int most_patches(int patches)
{
    int rounded = patches + 33 + patches / 128;
    return rounded > 4 * 64 ? rounded : 4 * 64;
}

limber_status finder_open(struct finder *f, const struct limber_detector *detector, int threads, int patches, limber_error *err)
{
    *f = (struct finder){.detector = detector, .patches = patches ? patches : FINDER_PATCHES};
    if (detector->yolos)
        return yolos_session_open(&f->yolos, detector->yolos, threads, err);
    const struct config *c = &detector->maps->config;
    size_t most = (size_t)most_patches(f->patches), scale = (size_t)c->scale_factor;
    limber_status st = vit_open_any(&f->vit, detector->maps, threads, 1, (int)most, err);
    if (st)
        return st;
    f->input = malloc(most * (size_t)c->patch_h * (size_t)c->patch_w * 3);
    f->maps = malloc(most * scale * scale * BOX_MAPS * sizeof *f->maps);
    if (!f->input || !f->maps) {
        finder_close(f);
        return limber_fail(err, LIMBER_E_MEMORY, "detector: no memory for %zu patches", most);
    }
    return LIMBER_OK;
}

void finder_close(struct finder *f)
{
    if (f->detector && f->detector->yolos)
        yolos_session_close(&f->yolos);
    else
        vit_close(&f->vit);
    free(f->input);
    free(f->maps);
    *f = (struct finder){0};
}

limber_status finder_find(struct finder *f, const limber_image *image, float least, limber_found *out, int room, int *count,
                          limber_error *err)
{
    *count = 0;
    limber_status st = pixels_check(image, err);
    if (st)
        return st;
    if (f->detector->yolos)
        return yolos_find(&f->yolos, image, least > 0 ? least : FINDER_MIN_SCORE_YOLOS, out, room, count, err);
    const struct config *c = &f->detector->maps->config;
    least = least > 0 ? least : FINDER_MIN_SCORE;
    int rows, cols;
    box_maps_grid(image->width, image->height, f->patches, &rows, &cols);
    int h = rows * c->patch_h, w = cols * c->patch_w;
    st = resample_bilinear(f->input, h, w, image, err);
    if (!st)
        st = vit_maps(&f->vit, f->input, 1, h, w, f->maps, err);
    if (!st)
        st = box_maps_read(f->maps, rows * c->scale_factor, cols * c->scale_factor, rows, cols, c->patch_w, image->width,
                           image->height, least, FINDER_OVERLAP, out, room, count, err);
    return st;
}

void found_people_free(struct found_people *f)
{
    free(f->boxes);
    free(f->scores);
    *f = (struct found_people){0};
}

limber_status finder_people(struct finder *f, const limber_image *image, float least, int most, struct found_people *out,
                            limber_error *err)
{
    limber_found found[FINDER_BOXES_MAX];
    int count = 0;
    *out = (struct found_people){0};
    limber_status st = finder_find(f, image, least, found, most < FINDER_BOXES_MAX ? most : FINDER_BOXES_MAX, &count, err);
    if (st)
        return st;
    out->boxes = malloc((size_t)(count + 1) * sizeof *out->boxes); /* + 1: nobody is not NULL */
    out->scores = malloc((size_t)(count + 1) * sizeof *out->scores);
    if (!out->boxes || !out->scores) {
        found_people_free(out);
        return limber_fail(err, LIMBER_E_MEMORY, "no memory for %d people", count);
    }
    for (int i = 0; i < count; i++) {
        if (found[i].box.width < FINDER_LEAST_SIDE || found[i].box.height < FINDER_LEAST_SIDE)
            continue;
        out->boxes[out->count] = found[i].box;
        out->scores[out->count++] = found[i].score;
    }
    return LIMBER_OK;
}
