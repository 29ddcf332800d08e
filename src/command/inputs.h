/* command/inputs.h - files and folders named on the command line become one list of images, the same on every machine.
 *
 * A file is taken whatever it is called. A folder is walked to its end and its images stand in byte order of their path; by its
 * ending a name must be one of a picture - also of kinds that cannot be read here (.heic, .webp): those are for the error line,
 * not for silence. Names that begin with a dot and other files are counted and left out.
 * Links are followed. Each folder is read once, real folders before links to them, so a loop ends and is said.
 * A path that comes twice is one image. A folder that cannot be listed is an entry with its error. */
#ifndef LIMBER_CLI_INPUTS_H
#define LIMBER_CLI_INPUTS_H

#include <stddef.h>

struct input {
    char *path;    /* as given, or folder/relative path */
    int failure;   /* errno of a folder that could not be listed, else 0 */
    size_t number; /* in the whole list, from 0; slices and what is left after them keep it */
};
struct inputs {
    struct input *v;
    size_t count;
    size_t left_out; /* names in folders that are no pictures */
};

/* CLI_DONE, or CLI_NOTHING with the reason on stderr. Loops of links are said on stderr and are no failure.
 * What lies below the folder `except` is left out (NULL, or a folder that is not there: nothing): earlier overlays are no
 * photographs. */
int inputs_list(struct inputs *out, char **arguments, int count, const char *except);
/* Keeps the inputs whose number, counted from 1, leaves the remainder `part` when divided by `parts`: 1/3, 2/3, 3/3 are three
 * slices, and so are 0/3, 1/3, 2/3. */
void inputs_slice(struct inputs *in, long part, long parts);
void inputs_free(struct inputs *in);

#endif
