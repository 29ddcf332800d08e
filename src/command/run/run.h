/* SPDX-License-Identifier: MIT */
/* command/run/run.h - the parts of `limber run`, and of `limber detect`, which is a run that stops at boxes: what a run knows (struct
 * run), the line of an image, run.json. */
#ifndef LIMBER_CLI_RUN_H
#define LIMBER_CLI_RUN_H

#include <jansson.h>

#include "base/json_write.h"
#include "command/boxes.h"
#include "command/finders.h"
#include "command/inputs.h"
#include "command/options.h"
#include "command/output.h"
#include "command/progress.h"
#include "command/run/model_content.h"
#include "command/stream.h"
#include "command/run/run_video.h"
#include "image/overlay.h"
#include "limber_heads.h"

#define LINES "poses.jsonl"
#define BOXES "boxes.jsonl" /* instead, of limber detect */
#define COCO "coco_results.json"
#define ABOUT "run.json"
#define DECODERS 24

struct coco_id {
    char *path;
    long long id;
    const char *text; /* an id that is no number; else NULL */
};

struct run {
    bool detects; /* limber detect: no model, no session, lines of boxes */
    struct cli_common common;
    const char *out, *boxes_file, *category, *shard, *decoder;
    double min_score;
    struct find_options find;
    bool full_resolution; /* JPEGs are not decoded smaller */
    bool flip, resume, overlay, coco, want_heads;
    const char *overlay_kind; /* "jpeg", "png" */
    int overlay_size;         /* pixels of the longer side, at most; 0: all there are */

    struct run_video_options video_options;
    bool only_films;         /* all inputs are files that play, none is a camera or an address */
    struct run_video *video; /* of videos; NULL: of pictures */

    struct inputs inputs; /* still to be done */
    struct boxes boxes;
    struct finders finders; /* where there is neither --boxes nor --whole */
    struct coco_id *ids;    /* [id_count], sorted by path: images that the boxes file gives an id */
    size_t id_count;
    bool *overlay_alike; /* by number of the input: another one has its overlay's plain name; NULL: none has */
    limber_model *model;
    uint64_t model_content, detector_content; /* fingerprints of their files, with --out */
    limber_session *session;
    limber_heads *heads; /* --heads */
    int threads, workers;
    struct decoders *decoders; /* processes that decode; NULL: this one does */
    bool isolate_asked;
    const char *isolate; /* "on", "off" */
    char isolated[160];  /* "processes", or "none: " and why */
    bool sandbox_asked;
    const char *sandbox; /* "on", "off" */
    char cuda[256];      /* why there is none, where it could have been asked for */
    char sandboxed[160]; /* what it is confined by, or "none: " and why */
    struct stream *stream;
    int status; /* of what the conveyor calls: CLI_DONE, or CLI_NOTHING with the reason said */
    struct output lines;
    struct progress progress;
    struct json_text text; /* of the line being written */

    size_t resumed; /* lines an earlier run wrote */
    struct {
        const char *decoder;
        size_t pictures;
    } decoded[DECODERS];           /* in this run */
    size_t doubted;                /* boxes found in which too little speaks for a person */
    size_t images, failed, people; /* of the whole output: those lines count too */
    double begin, seconds_decode, seconds_find, seconds_crop, seconds_overlay, seconds_write, seconds_heads;
};

/* What begins a run, before its options are read. */
struct run run_default(void);
/* clang-format off */
#define CLI_RUN_OPTIONS(r) \
    CLI_OPTION("--shard", "I/N", &(r).shard, "only every Nth image, beginning with the Ith: N runs make the whole"), \
    CLI_FLAG("--resume", &(r).resume, "go on with the lines in DIR: images that have one are done"), \
    CLI_FLAG_CHOICE("--overlay", "jpeg|png", &(r).overlay, &(r).overlay_kind, "draw DIR/overlay/PATH.jpg, and of pictures DIR/" GALLERY " to look through them [jpeg]"), \
    CLI_INT("--overlay-size", "N", &(r).overlay_size, 0, 65500, "with --overlay: pixels of the longer side at most, 0: all [1600]"), \
    CLI_FLAG("--coco", &(r).coco, "write DIR/" COCO), \
    CLI_FLAG_CHOICE("--sandbox", "on|off", &(r).sandbox_asked, &(r).sandbox, "on: an error where it cannot be; else where it can [where it can]"), \
    CLI_FLAG_CHOICE("--isolate", "on|off", &(r).isolate_asked, &(r).isolate, "decode in other processes: a picture that crashes a decoder costs its line alone; on: an error where they cannot be [where they can]"), \
    CLI_CHOICE("--decoder", "auto|stb", &(r).decoder, "stb: only decoders that every build has, the same bytes everywhere [auto]"), \
    CLI_FLAG("--full-resolution", &(r).full_resolution, "decode large JPEGs whole, also where the network needs fewer pixels")
/* clang-format on */
/* The inputs argv[1..count] of a run whose options are read: to the exit status. Closes all that r holds. */
int run_inputs(struct run *r, const struct cli_command *command, char **argv, int count);
const char *run_lines(const struct run *r);   /* LINES or BOXES */
const char *run_command(const struct run *r); /* "run" or "detect" */

/* run_line.c: the line for one image, into t: of poses.jsonl; model NULL: of boxes.jsonl. */
void run_put_line(struct json_text *t, const limber_model *model, const struct stream_item *item);

/* The line of a video's frame. */
struct frame_item;
void run_put_frame(struct json_text *t, const limber_model *model, const char *video, const struct frame_item *item);

/* Whether large JPEGs may be decoded smaller: attention heads want every pixel, and so may overlays. */
bool run_reduces(const struct run *r);
/* --decoder stb: only the decoders that every build has. */
bool run_only_built_in(const struct run *r);

/* run_overlay.c: where below the overlay folder a picture goes, to free; NULL: no memory. `alike`: not under its plain name. `kind`
 * is "jpeg", "png" or "mp4". */
char *run_overlay_name(const char *path, bool alike, const char *kind);
/* Removes half-made pictures from the overlays, which only a run that was killed leaves. To be called with its lines locked, so that
 * no other run is making one. */
void run_overlay_sweep(const char *out);
/* Which of all inputs must do without their plain name: two that have the same keep apart. CLI_DONE, or CLI_NOTHING, said. */
int run_overlay_alike(bool **alike, const struct inputs *inputs);

/* The name below DIR/overlay that a picture of an earlier run has, whether plain or not; to free; NULL: no memory. */
char *run_overlay_find(const char *dir, const char *image, const char *kind);
/* That overlay below another folder too: the same file, or a copy. *there: false where it has none. CLI_DONE, or CLI_NOTHING, said. */
int run_overlay_link(const char *from_dir, const char *to_dir, const char *image, const char *kind, bool *there);

/* run.c: how people are drawn; fingerprints of the weights, for run.json; the end of a run. */
struct overlay_style run_overlay_style(const struct run *r, bool tracks);
int run_read_contents(struct run *r, bool looks);
int run_open_session(struct run *r);
void run_close(struct run *r);

/* run_sandbox.c: from here on this process has the inputs to read and DIR to write, and nothing else (command/sandbox.h). All else that
 * is needed must be open, and no thread started. CLI_DONE; CLI_NOTHING with the reason on stderr where --sandbox asked for it. */
int run_enter_sandbox(struct run *r);

/* run_sandbox.c: starts the processes that decode; before anything large is in memory. CLI_DONE; CLI_NOTHING with the reason on stderr
 * where --isolate asked for what cannot be. */
int run_open_decoders(struct run *r);

/* run_about.c: run.json; CLI_DONE, or CLI_NOTHING with the reason on stderr. */
int run_write_about(const struct run *r, bool complete);
void run_put_about(struct json_text *t, const struct run *r, bool complete);

/* run_resume.c: CLI_DONE, or CLI_NOTHING with the reason on stderr. */
/* A run.json: an object. The error does not name it. */
limber_status run_read_about(json_t **out, const char *path, limber_error *err);
/* The first member of two such that decides what lines say and differs; NULL: they are of one kind. */
const char *run_difference(const json_t *a, const json_t *b);
/* The folder's run.json against what this run would write: --resume must not mix two kinds of results. */
int run_check_same_kind(const struct run *r);
/* One folder has one run.json, and keeps what it says of another command's lines. */
int run_check_same_command(const struct run *r);

#endif
