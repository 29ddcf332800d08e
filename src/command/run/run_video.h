/* SPDX-License-Identifier: MIT */
/* command/run/run_video.h - `limber run` of moving pictures: files, standard input, cameras and network streams. */
#ifndef LIMBER_CLI_RUN_VIDEO_H
#define LIMBER_CLI_RUN_VIDEO_H

#include "base/json_write.h"
#include "command/options.h"

struct run;

struct run_video_options {
    bool video, track, smooth, live, side_by_side;
    int every, detect_every; /* 0: not said, 1 */
    const char *from, *to;   /* seconds, or [hours:]minutes:seconds */
    const char *codec;
};
/* clang-format off */
#define CLI_VIDEO_OPTIONS(v) \
    CLI_FLAG("--video", &(v).video, "the inputs are videos, whatever they are called: standard input, too"), \
    CLI_FLAG("--track", &(v).track, "of a video: number people, the same from frame to frame"), \
    CLI_FLAG("--smooth", &(v).smooth, "of a video: joints without jitter (One-Euro filter); tracks, too"), \
    CLI_INT("--every", "N", &(v).every, 1, 1000000, "of a video: every Nth frame [1]"), \
    CLI_INT("--detect-every", "N", &(v).detect_every, 1, 1000000, "of a video: look for people in every Nth of those, follow them between [1]; tracks, too"), \
    CLI_OPTION("--from", "TIME", &(v).from, "of a video: from this time on, in seconds or [H:]M:S [its beginning]"), \
    CLI_OPTION("--to", "TIME", &(v).to, "of a video: and before this one [its end]"), \
    CLI_FLAG("--live", &(v).live, "of a camera or stream: leave frames out rather than fall behind"), \
    CLI_FLAG("--side-by-side", &(v).side_by_side, "of a video: the overlay stands to the right of what was filmed"), \
    CLI_CHOICE("--overlay-codec", "auto|h264|mpeg4", &(v).codec, "of a video's overlay: H.264 where FFmpeg has an encoder [auto]")
/* clang-format on */
struct run_video_options run_video_options_default(void);

/* Whether the inputs are videos, by an option that only videos have, or by the first one's name. */
bool run_is_video(const struct run *r, char **inputs, int count);
/* The whole run: an exit status. */
int run_videos(struct run *r, const struct cli_command *command, char **inputs, int count);
/* Its part of run.json. */
void run_video_put_about(struct json_text *t, const struct run *r);

#endif
