/* SPDX-License-Identifier: MIT */
/* command/eval/eval.h - the parts of `limber eval`: what is asked for. */
#ifndef LIMBER_CLI_EVAL_H
#define LIMBER_CLI_EVAL_H

#include "command/finders.h"
#include "command/options.h"

struct eval_ask {
    struct cli_common common;
    const char *annotations, *images, *category, *json;
    const char *boxes_file;   /* a detector's; NULL: the annotations' own */
    bool looks;               /* --detector: the people are found */
    struct find_options find; /* by whom */
    bool flip, each_head, full_resolution;
};

/* eval_boxes.c: --task boxes. An exit status; the reason was said on stderr. */
int eval_boxes(const struct eval_ask *ask);

#endif
