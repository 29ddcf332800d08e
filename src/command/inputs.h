/* SPDX-License-Identifier: MIT */
/* command/inputs.h - files and folders named on the command line become one list of images, the same on every machine.
 *
 * A file is taken whatever it is called. A folder is walked to its end and its images stand in byte order of their path; by its
 * ending a name must be one of a picture - also of kinds that this build or machine cannot read (.heic, .jxl): those are for the
 * error line, not for silence. Everything else in a folder is left out and counted: videos, RAW files of cameras, other files,
 * names that begin with a dot, folders that a NAS or an operating system keeps for itself (@eaDir, #recycle).
 * Links are followed. Each folder is read once, real folders before links to them, so a loop ends and is said.
 * A path that comes twice is one image. A folder that cannot be listed is an entry with its error.
 *
 *     -            one picture from standard input, whose path is "-"; a file of that name is ./-
 *     @list.txt    files and folders, one a line (or with a 0 byte behind each), as seen from the working directory;
 *                  @- is a list on standard input. A file that is really called so is taken for itself. */
#ifndef LIMBER_CLI_INPUTS_H
#define LIMBER_CLI_INPUTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "limber.h"

struct image;

struct input {
    char *path;     /* as given, or folder/relative path */
    int failure;    /* errno of a folder that could not be listed, else 0 */
    bool apart;     /* below no folder of inputs.folders: named itself, or reached by a link */
    size_t number;  /* in the whole list, from 0; slices and what is left after them keep it */
    uint8_t *bytes; /* of standard input: [size]; else NULL */
    size_t size;
};
struct inputs_left_out {
    size_t pictures, videos, raw, others, hidden; /* names in folders */
    size_t litter;                                /* folders that were not entered */
};
struct inputs {
    struct input *v;
    size_t count;
    char **folders; /* [folder_count]: the arguments that are folders */
    size_t folder_count;
    struct inputs_left_out left_out;
};

/* Without what lies below the folder `except` (NULL: none; it need not be there): earlier overlays are no photographs.
 * CLI_DONE; CLI_NOTHING with the reason on stderr, also where there is no image; CLI_INTERRUPTED while standard input was read.
 * Loops of links are said on stderr and are no failure. */
int inputs_list(struct inputs *out, char **arguments, int count, const char *except);
/* The same of videos: of folders those whose ending is a video's; - is not read, addresses and cameras are entries like any. */
int inputs_list_videos(struct inputs *out, char **arguments, int count, const char *except);
/* Keeps the inputs whose number, counted from 1, leaves the remainder `part` when divided by `parts`: 1/3, 2/3, 3/3 are three
 * slices, and so are 0/3, 1/3, 2/3. */
void inputs_slice(struct inputs *in, long part, long parts);
/* "3 videos, 2 RAW files", empty where nothing was left out; to free; NULL: no memory. */
char *inputs_left_out_text(const struct inputs *in);
void input_free(struct input *in); /* leaves it zero */
void inputs_free(struct inputs *in);

/* Whether a name's ending is a video's. */
bool inputs_is_video(const char *name);

/* The bytes of an input, to free; the error does not name it. */
limber_status input_read(const struct input *in, uint8_t **bytes, size_t *size, limber_error *err);
/* The same, decoded. */
limber_status input_image(const struct input *in, struct image *image, limber_error *err);

#endif
