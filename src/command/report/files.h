/* SPDX-License-Identifier: MIT */
/* command/report/files.h - what a report is on disk: STEM.json, STEM.csv and STEM.html in one folder, all made before the first is
 * written, each written whole. */
#ifndef LIMBER_REPORT_FILES_H
#define LIMBER_REPORT_FILES_H

#include <stdio.h>

#include "base/json_write.h"

struct report_files {
    const struct json_text *json;
    void (*csv)(FILE *f, const void *context);
    void (*page)(FILE *f, const void *context); /* NULL: no page */
    const void *context;
};
/* An exit status; the reason was said on stderr. */
int report_files_write(const char *dir, const char *stem, const struct report_files *files);

#endif
