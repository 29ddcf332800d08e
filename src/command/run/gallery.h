/* SPDX-License-Identifier: MIT */
/* command/run/gallery.h - DIR/index.html: the overlays of a run to look through, offline. */
#ifndef LIMBER_CLI_GALLERY_H
#define LIMBER_CLI_GALLERY_H

#include <stdbool.h>
#include <stddef.h>

#define GALLERY "index.html"
#define GALLERY_PAGE 5000 /* pictures on one page; with more, index-2.html and so on */

struct gallery {
    const char *dir;  /* its lines are read, its overlay/ shown */
    bool boxes;       /* the lines are those of boxes.jsonl, not of poses.jsonl */
    const char *kind; /* of the overlays: "jpeg", "png" */
    size_t images, people, failed;
    bool complete; /* else the page says that the run stopped before the end */
};
/* Each page is written whole or not at all, the first one last. CLI_DONE, or CLI_NOTHING with the reason on stderr. */
int gallery_write(const struct gallery *g);
/* What an earlier run, or somebody else, has put there is kept as index.html~ and so on: it is not about the lines that come. CLI_DONE,
 * or CLI_NOTHING with the reason on stderr. */
int gallery_retire(const char *dir);

#endif
