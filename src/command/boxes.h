/* command/boxes.h - who is where: the file behind --boxes and --annotations, and which of its images is which input.
 *
 *     struct boxes b;
 *     boxes_open(&b, "person_keypoints_val2017.json", &err);
 *     boxes_join(&b, paths, path_count, &err);
 *     boxes_of(&b, i, &list, &err)         for each input i: its people, or why there are none to be had
 *
 * Three forms are read, told apart by their content:
 *   COCO annotations       {"images": [{"id", "file_name"}...], "annotations": [{"image_id", "bbox"...}...], "categories": [...]}
 *   COCO detection result  [{"image_id", "bbox": [x, y, w, h], "score", "category_id"}...]
 *   JSON Lines             {"image": "a/b.jpg", "boxes": [[x, y, w, h]...]} a line
 * Only people: where `categories` has one called "person" that one, else all of them; of a detection result, which names no
 * categories, category_id 1 and boxes without one. */
#ifndef LIMBER_BOXES_H
#define LIMBER_BOXES_H

#include <stdbool.h>

#include "limber.h"

/* A person as the file has it. Fields a form lacks: id -1, area 0, num_keypoints 0, score 1, keypoints NULL. */
struct annotation {
    long long id;
    double box[4]; /* x, y, width, height */
    double area, score;
    bool crowd;
    int num_keypoints;
    int keypoint_count; /* of keypoints */
    double *keypoints;  /* [keypoint_count][3]: x, y, v */
};

/* The people of one image of the file. */
struct boxes_list {
    char *name;                /* as the file writes it; NULL where it gives only a number */
    char *source;              /* the image's "source", or NULL */
    long long image_id;        /* -1 where it gives only a name */
    int width, height;         /* as the file states them; 0 where it does not */
    int count;                 /* people to run: crowds are not among them */
    limber_box *box;           /* [count] */
    int person_count;          /* people and crowds */
    struct annotation *person; /* [person_count], the first `count` as in `box`, each in the file's order */
    char *fault;               /* NULL; or why no box of this image is used: an unusable one is among them */
};

struct boxes {
    struct boxes_list *list; /* the file's images, in its order */
    size_t count;
    bool by_number; /* the file has no names: inputs are found by the number in theirs */
    size_t unused;  /* after boxes_join: images of the file with people on them that no input asked for */
    size_t absent;  /* after boxes_join: inputs whose number the file does not mention: nobody was detected there */
    char *path;
    struct boxes_answer *answers;
    size_t answer_count;
};

limber_status boxes_open(struct boxes *out, const char *path, limber_error *err);
/* The same from memory; `name` is what errors call it. */
limber_status boxes_parse(struct boxes *out, const char *name, const char *text, size_t size, limber_error *err);
void boxes_close(struct boxes *b); /* all zero afterwards; zero is fine */

/* Finds for each path its image in the file. Names: the longest common path ending, whole components; among equals an entry that
 * is wholly such an ending. What then remains equal, or is wanted by two inputs alike, is ambiguous and answered as an error.
 * Numbers: the last run of digits in the file name without its extension. The paths are not kept. An error here: none of the
 * inputs is in the file, or no memory. A second call replaces the first. */
limber_status boxes_join(struct boxes *b, const char *const *paths, size_t count, limber_error *err);
/* LIMBER_OK and the people of input i (`count` may be 0), or LIMBER_E_ARGUMENT and why: not in the file, ambiguous, or a box
 * that is none, with annotation id and values. */
limber_status boxes_of(const struct boxes *b, size_t i, const struct boxes_list **list, limber_error *err);

/* The last run of digits in the file name without its extension: 139 of "a/coco_val2017_000000000139.jpg". */
bool boxes_number_in_name(const char *path, long long *number);

#endif
