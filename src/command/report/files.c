/* SPDX-License-Identifier: MIT */
/* command/report/files.c - see command/report/files.h. */
#define _GNU_SOURCE
#include "command/report/files.h"

#include <stdlib.h>

#include "command/output.h"
#include "command/say.h"

struct printed {
    char *text;
    size_t size;
};

static bool print(struct printed *p, void (*with)(FILE *f, const void *context), const void *context)
{
    FILE *f = open_memstream(&p->text, &p->size);
    if (!f)
        return false;
    with(f, context);
    const bool fine = !ferror(f);
    return fclose(f) == 0 && fine;
}

static int write_one(const char *dir, const char *stem, const char *ending, const char *text, size_t size)
{
    char name[64];
    snprintf(name, sizeof name, "%s.%s", stem, ending);
    return output_file(dir, name, text, size);
}

int report_files_write(const char *dir, const char *stem, const struct report_files *files)
{
    struct printed csv = {0}, page = {0};
    const bool fine = !files->json->failed && print(&csv, files->csv, files->context) &&
                      (!files->page || print(&page, files->page, files->context));
    int status = fine ? CLI_DONE : cli_fail("no memory for the report");
    if (!status)
        status = write_one(dir, stem, "json", files->json->text, files->json->length);
    if (!status)
        status = write_one(dir, stem, "csv", csv.text, csv.size);
    if (!status && files->page)
        status = write_one(dir, stem, "html", page.text, page.size);
    free(csv.text);
    free(page.text);
    return status;
}
