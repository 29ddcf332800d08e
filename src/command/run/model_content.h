/* SPDX-License-Identifier: MIT */
/* command/run/model_content.h - whether two runs had the same weights. */
#ifndef LIMBER_MODEL_CONTENT_H
#define LIMBER_MODEL_CONTENT_H

#include <stdint.h>

#include "model/model.h"

/* What the files of a model hold, whatever they are called; dir NULL: the built-in one of that task. CLI_DONE, or CLI_NOTHING with the
 * reason on stderr. (run_resume.c) */
int run_model_content(uint64_t *content, const char *dir, enum task task);

#endif
