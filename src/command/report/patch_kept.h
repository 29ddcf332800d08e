/* SPDX-License-Identifier: MIT */
/* command/report/patch_kept.h - what images have said is kept while a run goes on, so that --resume does not compute it again.
 *
 * patch.kept: a first line of JSON that says what made it; then a line an image: its number among the inputs, and base64 of the doubles of
 * experiment_record, as this machine writes them. */
#ifndef LIMBER_PATCH_KEPT_H
#define LIMBER_PATCH_KEPT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/json_write.h"
#include "command/output.h"

struct patch_kept {
    struct output file;
    char *about;    /* the first line, as this run would write it */
    double **image; /* [inputs]: what an earlier run kept of it; NULL: nothing */
    size_t *size;   /* [inputs] doubles */
    size_t inputs, found;
};

/* DIR/patch.kept, new, or (resume) with what it has. about is taken. CLI_DONE, or CLI_NOTHING with the reason on stderr: also where another kind of
 * run made it. */
int patch_kept_open(struct patch_kept *k, const char *dir, bool resume, size_t inputs, struct json_text *about);
int patch_kept_add(struct patch_kept *k, size_t input, const double *record, size_t size);
int patch_kept_close(struct patch_kept *k);

#endif
