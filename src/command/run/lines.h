/* SPDX-License-Identifier: MIT */
/* command/run/lines.h - lines of poses.jsonl, or of boxes.jsonl, read back: to go on with an interrupted run (--resume), to write COCO's
 * form.
 *
 * Only limber's own lines are read. They begin with the image's name, escaped one way only, so a name is known by its bytes. */
#ifndef LIMBER_CLI_LINES_H
#define LIMBER_CLI_LINES_H

#include <stdbool.h>
#include <stddef.h>

struct line {
    const char *name; /* the JSON string with its quotes, in the line */
    size_t name_length;
    const char *rest; /* from the comma after the name to the end of the line */
    bool failed;      /* has "error" instead of people */
    bool boxes;       /* of limber detect: "boxes" instead of "people" */
    size_t people;
    long long frame; /* of a video; -1: the line says that the video cannot be read, or not further */
};
bool line_parse(struct line *out, const char *text, size_t length);       /* false: not a line of limber's about a picture */
bool line_parse_frame(struct line *out, const char *text, size_t length); /* ... about a frame of a video: name is the video's */
char *line_path(const struct line *l);                                    /* the file name's bytes, to free; NULL: no memory */

/* The names that lines were seen for. */
struct lines_seen {
    char **names; /* as in the lines; sorted once lines_seen_sort was called */
    size_t count, room, people, failed;
    const char *file; /* for messages */
};
int lines_seen_add(void *seen, const char *text, size_t length); /* for output_resume; CLI_NOTHING: refused, and said why */
void lines_seen_sort(struct lines_seen *s);
bool lines_seen_has(const struct lines_seen *s, const char *name);
void lines_seen_free(struct lines_seen *s);

#endif
