/* SPDX-License-Identifier: MIT */
/* command/run/run_sandbox.c - what a run may touch once it decodes: its inputs to read, DIR to write; and who decodes. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "command/run/gallery.h"
#include "command/run/run.h"
#include "command/sandbox.h"
#include "compute/open.h"
#include "image/image.h"

/* Why the GPU does not compute, where it could have been asked to: asking opens libraries. */
static void ask_cuda(struct run *r)
{
    struct backend_report reports[8];
    int n =
        !r->out || r->detects || strcmp(r->common.options.backend, "auto") ? 0 : backend_reports(reports, 8); /* for run.json */
    for (int i = 0; i < n && i < 8; i++)
        if (!strcmp(reports[i].name, "cuda") && !reports[i].available)
            snprintf(r->cuda, sizeof r->cuda, "%s", reports[i].detail);
}

static limber_status allow_inputs(struct sandbox *s, const struct inputs *in, limber_error *err)
{
    limber_status st = LIMBER_OK;
    for (size_t i = 0; !st && i < in->folder_count; i++)
        st = sandbox_allow_read(s, in->folders[i], err);
    for (size_t i = 0; !st && i < in->count; i++)
        if (in->v[i].apart && strcmp(in->v[i].path, "-"))
            st = sandbox_allow_read(s, in->v[i].path, err);
    return st;
}

/* Somebody may have laid links into DIR: overlays on another disk, a line file elsewhere. What they name is written, too. Only at its
 * top and for folders of overlays: where else would a link be? */
static limber_status allow_links(struct sandbox *s, const char *dir, limber_error *err)
{
    static const char *const names[] = {"overlay", LINES, BOXES, ABOUT, COCO, GALLERY};
    limber_status st = LIMBER_OK;
    for (size_t i = 0; !st && i < sizeof names / sizeof *names; i++) {
        char *path = output_path(dir, names[i]), *real = path ? realpath(path, NULL) : NULL;
        if (real && i > 0) { /* beside the file, for what is renamed to it */
            char *slash = strrchr(real, '/');
            slash[slash == real] = 0;
        }
        char *here = realpath(dir, NULL);
        const size_t n = here ? strlen(here) : 0;
        const bool below = real && here && !strncmp(real, here, n) && (real[n] == 0 || real[n] == '/');
        if (real && !below)
            st = sandbox_allow_write(s, real, err);
        free(here);
        free(real);
        free(path);
    }
    return st;
}

/* Whether one of the pictures is of a kind whose library is opened at run time. Only a few are looked at. */
static bool wants_library(const struct inputs *in)
{
    bool wants = in->count > 32;
    for (size_t i = 0; i < in->count && !wants; i++) {
        uint8_t first[IMAGE_FIRST_BYTES];
        struct stat st;
        const struct input *input = &in->v[i];
        if (input->bytes) {
            wants = image_opens_library(input->bytes, input->size < sizeof first ? input->size : sizeof first);
        } else if (!input->failure && !stat(input->path, &st) && S_ISREG(st.st_mode)) {
            const int fd = open(input->path, O_RDONLY | O_CLOEXEC);
            const ssize_t n = fd < 0 ? -1 : read(fd, first, sizeof first);
            wants = n > 0 && image_opens_library(first, (size_t)n);
            if (fd >= 0)
                close(fd);
        }
    }
    return wants;
}

/* What is opened at run time is opened now: in the sandbox it cannot be. Opening libheif takes 3.5 ms, a tenth of what a photograph does,
 * so where run.json has not to name it, it is left out if no picture wants it. */
static void open_libraries(const struct run *r)
{
    struct image_decoder decoders[DECODERS];
    if (r->out || wants_library(&r->inputs))
        image_decoders(decoders, DECODERS, run_only_built_in(r));
}

int run_open_decoders(struct run *r)
{
    limber_error err;
    if (!strcmp(r->isolate, "off")) {
        snprintf(r->isolated, sizeof r->isolated, "none: --isolate=off");
        return CLI_DONE;
    }
    open_libraries(r);
    if (decoders_open(&r->decoders, r->threads, strcmp(r->sandbox, "off") != 0, &err) == LIMBER_OK) {
        snprintf(r->isolated, sizeof r->isolated, "processes");
        return CLI_DONE;
    }
    if (r->isolate_asked)
        return cli_fail("--isolate: %s", err.text);
    snprintf(r->isolated, sizeof r->isolated, "none: %.150s", err.text);
    return CLI_DONE;
}

int run_enter_sandbox(struct run *r)
{
    limber_error err;
    struct sandbox s = {.rules = -1};
    const bool cuda = r->model && !strcmp(limber_model_backend(r->model), "cuda");
    limber_status st = LIMBER_OK;
    ask_cuda(r);
    if (!strcmp(r->sandbox, "off")) {
        snprintf(r->sandboxed, sizeof r->sandboxed, "none: --sandbox=off");
        return CLI_DONE;
    }
    open_libraries(r);
    if (r->video && !r->only_films)
        st = limber_fail(&err, LIMBER_E_UNSUPPORTED, "a camera or a stream from the network is more than a file");
    else if (cuda)
        st = limber_fail(&err, LIMBER_E_UNSUPPORTED, "a GPU's driver opens files of its own");
    else
        st = sandbox_open(&s, &err);
    if (!st)
        st = allow_inputs(&s, &r->inputs, &err);
    if (!st && r->out)
        st = sandbox_allow_write(&s, r->out, &err);
    if (!st && r->out)
        st = allow_links(&s, r->out, &err);
    if (!st) {
        sandbox_describe(r->sandboxed, sizeof r->sandboxed);
        st = sandbox_enter(&s, &err);
    }
    sandbox_close(&s);
    if (!st)
        return CLI_DONE;
    if (r->sandbox_asked)
        return cli_fail("--sandbox: %s", err.text);
    snprintf(r->sandboxed, sizeof r->sandboxed, "none: %.150s", err.text);
    return CLI_DONE;
}
