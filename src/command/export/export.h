/* SPDX-License-Identifier: MIT */
/* command/export/export.h - the parts of `limber export`: lines of poses.jsonl, read and checked once, handed to one format.
 *
 * A format is a row of the table in export.c and a file of its own: three functions that write. The lines are read twice or more:
 * first all of them are checked and counted, so that a format knows the joints before it writes its head, and nothing is written
 * of a file that is not whole. Then a format sees every image once in each of its passes. */
#ifndef LIMBER_CLI_EXPORT_H
#define LIMBER_CLI_EXPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/json_write.h"
#include "model/skeleton.h"

#define EXPORT_JOINTS 1024 /* of a person, at most */

/* Pixels of the upright image, the centre of its top-left pixel at (0, 0), as in poses.jsonl. */
struct pose_joint {
    double x, y, score;
    bool seen; /* its score is at least --min-score */
};
struct pose_person {
    double box[4]; /* x, y, width, height */
    double score;
    int track;                       /* in a video; 0: none */
    const struct pose_joint *joints; /* [joint_count of the export], in the model's order */
};
struct pose_image {   /* or a frame of a video */
    const char *path; /* bytes, as limber run was given it; the video's */
    const char *name; /* below the folder that all images share: never absolute, never upwards */
    long long number; /* among the images that did not fail, from 1 */
    long long frame;  /* of a video, from 0; -1: a picture */
    double time;      /* in seconds */
    int width, height;
    const struct pose_person *people;
    size_t people_count;
};

struct export
{
    const char *prefix; /* --image-prefix; NULL: the format's own */
    const char *const *joints;
    size_t joint_count;
    const struct skeleton *skeleton; /* whose joints these are; NULL: of no known label set */
    size_t images;                   /* that did not fail */
    bool frames;                     /* all of them are frames of videos */
    long long row;                   /* a format's own count; 0 at the beginning of a pass */
    int pass;                        /* from 0 */
    struct export_target *target;
    struct json_text text;   /* what is being written */
    struct json_text number; /* room for one number */
};

struct export_format {
    const char *name;
    bool folder;                    /* many files below --out; else one */
    const char *stream;             /* of a folder: the file that export_put writes to, if there is one */
    bool frames;                    /* takes frames of videos, too */
    bool coco;                      /* has places for COCO's 17 joints alone */
    int passes;                     /* over the images */
    int (*begin)(struct export *e); /* all three: CLI_DONE, or CLI_NOTHING with the reason on stderr; begin and end may be NULL */
    int (*image)(struct export *e, const struct pose_image *image);
    int (*end)(struct export *e);
};
extern const struct export_format export_openpose, export_coco, export_ultralytics, export_cvat, export_labelstudio, export_csv;

/* ---- for the formats ---- */

int export_put(struct export *e); /* e->text to the file or the stream, and empties it */
/* Of a folder: e->text becomes the file NAME below it, folders between made. Two images in one file are an error. `image` (may be
 * NULL) is for that message. */
int export_file(struct export *e, const char *name, const char *image);
char *export_name(const char *image_name, const char *ending); /* "a/b.jpg", ".txt" -> "a/b.txt", to free; NULL: no memory */
/* Text that is no JSON, onto e->text. */
void export_text(struct export *e, const char *text);
__attribute__((format(printf, 2, 3))) void export_print(struct export *e, const char *format, ...); /* at most 255 bytes */
void export_number(struct export *e, double value, int decimals); /* no exponent, no trailing zeros, in no locale's dialect */
/* In an XML text or attribute. XML cannot hold control characters, nor bytes that are no UTF-8: each becomes U+FFFD. */
void export_xml(struct export *e, const char *bytes);

#endif
