/* SPDX-License-Identifier: MIT */
/* command/finders.c - see command/finders.h. */
#include "command/finders.h"

#include <stdlib.h>

#include "base/error.h"
#include "command/say.h"
#include "pose/detector.h"

const char *finders_dir(const struct find_options *options)
{
    const char *dir = options->detector ? options->detector : getenv("LIMBER_DETECTOR");
    return dir && *dir ? dir : NULL;
}

int finders_open(struct finders *f, const struct cli_common *common, const struct find_options *options, int count, int threads)
{
    const int each = threads > count ? threads / count : 1;
    *f = (struct finders){.options = *options, .dir = finders_dir(options)};
    limber_options o = limber_options_default(); /* of the common ones, those that say how to compute */
    o.backend = common->options.backend;
    o.precision = common->options.precision;
    limber_error err;
    if (detector_open(&f->detector, f->dir, &o, options->person_label, &err))
        return cli_fail("%s", err.text);
    f->v = calloc((size_t)count, sizeof *f->v);
    f->busy = calloc((size_t)count, sizeof *f->busy);
    limber_status st = f->v && f->busy ? LIMBER_OK : limber_fail(&err, LIMBER_E_MEMORY, "no memory for %d finders", count);
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->freed, NULL);
    for (; !st && f->count < count; f->count++)
        st = finder_open(&f->v[f->count], f->detector, each, 0, &err);
    if (!st)
        return CLI_DONE;
    finders_close(f);
    return cli_fail("%s", err.text);
}

void finders_close(struct finders *f)
{
    if (!f->detector)
        return;
    for (int i = 0; i < f->count; i++)
        finder_close(&f->v[i]);
    free(f->v);
    free(f->busy);
    pthread_mutex_destroy(&f->lock);
    pthread_cond_destroy(&f->freed);
    limber_detector_close(&f->detector);
    *f = (struct finders){0};
}

static int take(struct finders *f)
{
    int i = 0;
    pthread_mutex_lock(&f->lock);
    for (;; pthread_cond_wait(&f->freed, &f->lock)) {
        for (i = 0; i < f->count && f->busy[i]; i++)
            continue;
        if (i < f->count)
            break;
    }
    f->busy[i] = true;
    pthread_mutex_unlock(&f->lock);
    return i;
}

limber_status finders_find(struct finders *f, const limber_image *image, struct found_people *out, limber_error *err)
{
    const int i = take(f);
    limber_status st = finder_people(&f->v[i], image, (float)f->options.min_box_score,
                                     f->options.max_people ? f->options.max_people : FINDER_BOXES_MAX, out, err);
    pthread_mutex_lock(&f->lock);
    f->busy[i] = false;
    pthread_cond_signal(&f->freed);
    pthread_mutex_unlock(&f->lock);
    return st;
}

/* The pixels that it looks at may be fewer than the picture's. */
limber_status finders_find_item(struct finders *f, struct stream_item *item, limber_error *err)
{
    limber_status st = finders_find(f, &item->image.view, &item->found, err);
    const float scale = (float)item->image.reduce;
    for (int i = 0; i < item->found.count && item->image.reduce > 1; i++) {
        limber_box *b = &item->found.boxes[i];
        *b = (limber_box){b->x * scale, b->y * scale, b->width * scale, b->height * scale};
    }
    return st;
}
