/* SPDX-License-Identifier: MIT */
/* command/boxes.h - who is where: the file behind --boxes and --annotations, and which of its images is which input.
 *
 *     struct boxes b;
 *     boxes_open(&b, "person_keypoints_val2017.json", NULL, &err);
 *     boxes_join(&b, paths, path_count, &err);
 *     boxes_of(&b, i, &list, &err)         for each input i: its people, or why there are none to be had
 *
 * Four forms are read, told apart by their content:
 *   COCO annotations       {"images": [{"id", "file_name"}...], "annotations": [{"image_id", "bbox"...}...], "categories": [...]}
 *   COCO detection result  [{"image_id", "bbox": [x, y, w, h], "score", "category_id"}...], as mmpose, ultralytics (with
 *                          "file_name"), SAHI (with "category_name") and AlphaPose ("box" for "bbox") write it
 *   JSON Lines             {"image": "a/b.jpg", "boxes": [[x, y, w, h]...], "scores": [...]} a line; scores may be left out
 *   limber's poses.jsonl   {"image": "a/b.jpg", "people": [{"box": [x, y, w, h], "box_score"}...]} a line
 * Ids are numbers, also when written 7.0 or "000000000007", or any text ("bus"): the file name, with its extension or without.
 *
 * Only people are kept, and boxes.left_out counts the others. `category` says who they are: a name, an id, several between
 * commas, or BOXES_EVERY_CATEGORY. Without it: the categories called person; else those called people, human or pedestrian; where the file names none,
 * category_id 1 (COCO's person) and boxes without one. A file that leaves doubt, as with ids counted from 0, is refused. */
#ifndef LIMBER_BOXES_H
#define LIMBER_BOXES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/json_write.h"
#include "command/inputs.h"
#include "limber.h"

#define BOXES_EVERY_CATEGORY "*"

/* A person as the file has it. Fields a form lacks: id -1, area -1, num_keypoints 0, score 1, keypoints NULL. */
struct annotation {
    long long id;
    long long category; /* its id; -1 where there is none or it is no number */
    double box[4];      /* x, y, width, height */
    double area;        /* of the segmentation, pixels^2 */
    double score;       /* of the box, as its detector gave it */
    bool has_area, has_score, crowd;
    int num_keypoints;
    int keypoint_count; /* of "keypoints" */
    int joint_count;    /* these, and COCO-WholeBody's feet, face and hands behind them where the file has all four */
    double *keypoints;  /* [joint_count][3]: x, y, v */
    size_t order;       /* among the file's annotations, from 0 */
    size_t last_of_id;  /* order of the last annotation that has the same id: its own, unless ids are doubled */
};

/* The people of one image of the file. */
struct boxes_list {
    char *name;                /* as the file writes it, or a text id; NULL where it gives only a number */
    char *source;              /* the image's "source", or NULL */
    long long image_id;        /* -1 where it is no number */
    char *text_id;             /* an image_id that is no number; else NULL */
    int width, height;         /* as the file states them; 0 where it does not */
    int count;                 /* people to run: crowds are not among them */
    limber_box *box;           /* [count] */
    float *score;              /* [count]: of the boxes; NULL where the file gives none */
    int person_count;          /* people and crowds */
    struct annotation *person; /* [person_count], the first `count` as in `box`, each in the file's order */
    char *fault;               /* NULL; or why no box of this image is used: an unusable one is among them */
};

/* Boxes of the file that are not run, by reason. */
struct boxes_left_out {
    size_t crowd;    /* regions of many people (iscrowd) */
    size_t category; /* of another category */
    size_t unnamed;  /* without a category, where the file has several */
    size_t stray;    /* of an image that the file does not list */
    size_t unusable; /* no width, or beyond 1e8; and the others of their images */
    size_t unsure;   /* by boxes_keep_surest */
};

struct boxes {
    struct boxes_list *list; /* the file's images, in its order */
    size_t count;
    bool sparse;   /* an image that the file does not mention has nobody on it: detections are written so */
    size_t kept;   /* boxes of people to run */
    size_t unused; /* after boxes_join: images of the file with people on them that no input asked for */
    size_t absent; /* after boxes_join: inputs that a sparse file does not mention */
    struct boxes_left_out left_out;
    char *others; /* "car 3, dog 1": left_out.category by name or id, the most frequent ones; NULL where there are none */
    char *path;
    uint64_t fingerprint; /* of the file (base/fingerprint.h) */
    struct boxes_answer *answers;
    size_t answer_count;
};

/* category: see above; NULL: people. */
limber_status boxes_open(struct boxes *out, const char *path, const char *category, limber_error *err);
/* The same from memory; `name` is what errors call it. */
limber_status boxes_parse(struct boxes *out, const char *name, const char *text, size_t size, const char *category,
                          limber_error *err);
void boxes_close(struct boxes *b); /* all zero afterwards; zero is fine */

/* Leaves those boxes to run that are scored `least` or more, and of them at most `most` of an image, the surest (0: all); they stay in
 * the file's order. Boxes without a score are sure. */
limber_status boxes_keep_surest(struct boxes *b, double least, int most, limber_error *err);

/* "34 boxes of people; left out: 12 of other categories (car 10, dog 2), 1 crowd", to free; NULL: no memory. */
char *boxes_summary(const struct boxes *b);

/* {"kept": 34, "left_out": {"category": 12, ...}} */
void boxes_put_counts(struct json_text *t, const struct boxes *b);

/* Finds for each path its image in the file. Names: the longest common path ending, whole components; among equals an entry that
 * is wholly such an ending. What then remains equal, or is wanted by two inputs alike, is ambiguous and answered as an error.
 * A backslash is a slash, accents may be written apart (base/unicode.h), and where no name fits, a name without the extension does.
 * Numbers: the last run of digits in the file name without its extension. The paths are not kept. An error here: none of the
 * inputs is in the file, or no memory. A second call replaces the first. */
limber_status boxes_join(struct boxes *b, const char *const *paths, size_t count, limber_error *err);
void boxes_forget_join(struct boxes *b); /* boxes_close does it too */
/* LIMBER_OK and the people of input i (`count` may be 0), or LIMBER_E_ARGUMENT and why: not in the file, ambiguous, or a box
 * that is none, with annotation id and values. */
limber_status boxes_of(const struct boxes *b, size_t i, const struct boxes_list **list, limber_error *err);

/* boxes_open, and boxes_join with the paths of these inputs. After an error `out` is closed. */
limber_status boxes_open_for(struct boxes *out, const char *path, const char *category, const struct inputs *inputs,
                             limber_error *err);
/* What `limber run` takes of input i: nobody where its image has none; *boxes NULL, the whole image, where `b` is NULL. */
limber_status boxes_to_run(const struct boxes *b, size_t i, const limber_box **boxes, int *count, limber_error *err);
/* The scores of those boxes, or NULL where the file gives none. */
const float *boxes_scores(const struct boxes *b, size_t i);

/* The last run of digits in the file name without its extension: 139 of "a/coco_val2017_000000000139.jpg". */
bool boxes_number_in_name(const char *path, long long *number);

/* A path as boxes_join compares it: slashes, accents apart. To free; NULL: no memory. */
char *boxes_comparable(const char *path);

#endif
