/* SPDX-License-Identifier: MIT */
/* command/finders.h - who is in the pictures where no --boxes says it: a detector, its weights shared by a few finders. */
#ifndef LIMBER_CLI_FINDERS_H
#define LIMBER_CLI_FINDERS_H

#include <pthread.h>
#include <stdbool.h>

#include "command/options.h"
#include "command/stream.h"
#include "pose/finder.h"

/* --detector, --whole, --min-box-score, --max-people; the same words in every command that looks for people. All zero: as nobody said. */
struct find_options {
    const char *detector; /* NULL: LIMBER_DETECTOR, else the built-in one */
    bool whole;
    double min_box_score; /* 0: as the detector has it; of a file, all */
    int max_people;       /* 0: FINDER_BOXES_MAX; of a file, all */
    const char *person_label;
};
/* clang-format off */
#define CLI_FIND_OPTIONS(f) \
    CLI_OPTION("--detector", "DIR", &(f).detector, "who finds the people where --boxes does not say [LIMBER_DETECTOR, else built in]"), \
    CLI_FLAG("--whole", &(f).whole, "find nobody: the whole image is one person's box"), \
    CLI_NUMBER("--min-box-score", "S", &(f).min_box_score, 0, 1, "a box that is scored less is nobody [0.1; a YOLOS 0.5; of --boxes 0]"), \
    CLI_INT("--max-people", "N", &(f).max_people, 1, FINDER_BOXES_MAX, "at most so many in one image, the surest [300; of --boxes all]"), \
    CLI_PERSON_LABEL(f)
#define CLI_PERSON_LABEL(f) \
    CLI_OPTION("--person-label", "NAME", &(f).person_label, "what a YOLOS that was trained on other classes calls a person [person]")
/* clang-format on */

struct finders {
    limber_detector *detector;
    const char *dir; /* NULL: built in */
    struct find_options options;
    struct finder *v; /* [count] */
    bool *busy;
    int count;
    pthread_mutex_t lock;
    pthread_cond_t freed;
};

/* So many finders, for as many pictures at a time, which share `threads` threads. An exit status; the reason was said on stderr. */
int finders_open(struct finders *f, const struct cli_common *common, const struct find_options *options, int count, int threads);
void finders_close(struct finders *f);                       /* fine on a zeroed one */
const char *finders_dir(const struct find_options *options); /* NULL: the built-in one */

/* The people of an image (found_people_free). Any thread; waits where all finders are busy. */
limber_status finders_find(struct finders *f, const limber_image *image, struct found_people *out, limber_error *err);
/* The same of an item of a stream, into item->found: `find` of stream_calls, in pixels of the whole picture. */
limber_status finders_find_item(struct finders *f, struct stream_item *item, limber_error *err);

#endif
