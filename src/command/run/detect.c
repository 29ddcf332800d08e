/* SPDX-License-Identifier: MIT */
/* command/run/detect.c - `limber detect`: `limber run` that stops at boxes. What a detector says goes into lines that --boxes reads, of this
 * program and of others; command/run/run.c does the work. */
#include "command/commands.h"
#include "command/run/gallery.h"
#include "command/run/run.h"

int cli_detect(int argc, char **argv)
{
    struct run r = run_default();
    r.detects = true;
    const struct cli_option options[] = {
        CLI_OPTION("--out", "DIR", &r.out, "write DIR/" BOXES " and DIR/" ABOUT " [lines on standard output]"),
        CLI_OPTION("--detector", "DIR", &r.find.detector, "who finds the people [LIMBER_DETECTOR, else built in]"),
        CLI_NUMBER("--min-box-score", "S", &r.find.min_box_score, 0, 1,
                   "a box that is scored less is left out [0.1; a YOLOS 0.5]"),
        CLI_INT("--max-people", "N", &r.find.max_people, 1, FINDER_BOXES_MAX, "at most so many in one image, the surest [300]"),
        CLI_PERSON_LABEL(r.find),
        CLI_RUN_OPTIONS(r),
        CLI_BACKEND_OPTIONS(r.common),
        CLI_INT("--threads", "N", &r.common.options.threads, 0, 1024, "images at a time [0: all this process may use]"),
        CLI_INT("--batch", "N", &r.common.options.batch, 0, 1024,
                "as in run; a detector sees one image in a pass, so nothing changes"),
        CLI_FLAG("--quiet", &r.common.quiet, "no progress bar, no summary"),
        CLI_END,
    };
    const struct cli_command command = {
        "detect", "INPUT... [options]",
        "Who is in photographs: boxes of people and how sure the detector is of them. INPUT is a file, or a folder and all\n"
        "below it, or - (one picture from standard input), or @FILE (a list of inputs, one a line);\n"
        "one line of JSON an image, in order of the inputs, as --boxes reads it; --coco writes COCO's detections.\n"
        "Exit status: 0 done, 1 some images failed, 2 nothing could start or be written, 130 stopped by a signal.",
        options};
    int count, status = cli_parse(&command, argc, argv, &count);
    return status == CLI_GO ? run_inputs(&r, &command, argv, count) : status;
}
