/* SPDX-License-Identifier: MIT */
/* video/video.h - moving pictures: a table of calls that a plugin over FFmpeg's libraries fills. Those bring more than a hundred others
 * with them, so nothing of limber links them: liblimber_video.so is opened when a video is named (video/open.c).
 *
 *     const struct video_plugin *v;
 *     video_plugin_find(&v, &err)
 *     v->reader_open(&reader, "clip.mp4", &options, &about, &err)
 *     while (!v->read(reader, &frame, &more, &err) && more)
 *         v->convert(reader, &frame, &err)                     the pixels, of those frames that are wanted
 *     v->reader_close(&reader)
 *
 * A reader, and a writer, is one thread's at a time; the two may be two threads'. */
#ifndef LIMBER_VIDEO_H
#define LIMBER_VIDEO_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "limber.h"

#define VIDEO_ABI 1u     /* of all of this; a plugin of another is refused */
#define VIDEO_PADDING 64 /* bytes behind a picture that swscale may read and write; whatever is there */
#define VIDEO_MAX_PIXELS ((int64_t)1 << 26)

struct video_reader;
struct video_writer;

struct video_options {
    bool live;                               /* frames are wanted at once: no threads that hold some back, small buffers */
    bool audio;                              /* keep the sound for a writer */
    int threads;                             /* of the decoder, at least 1 */
    const volatile sig_atomic_t *stop, *end; /* NULL, or set when no more is wanted: waiting for the network ends */
    void *context;
    void (*say)(void *context, const char *text); /* what FFmpeg logs as a warning or an error, each sentence once; any thread */
};

struct video_about {
    int width, height; /* upright */
    double rate;       /* frames a second on average; 0: not known */
    double duration;   /* seconds; 0: not known */
    int64_t frames;    /* as the container says; 0: it does not */
    bool audio;        /* there is some */
    char codec[24], format[24];
};

struct video_frame {
    int64_t number; /* from 0, of all frames the decoder gives, as `ffprobe -show_frames` has them */
    double time;   /* seconds, as ffprobe's best_effort_timestamp_time; where a frame has none, the one before and its duration */
    bool damaged;  /* decoded from broken or missing data */
    int64_t ticks; /* for write */
    limber_image view; /* after convert: upright, RGB; lies in `memory` */
    uint8_t *memory;   /* to free; used again by the next convert into this frame */
    size_t room;
};

struct video_writer_options {
    const char *codec; /* "auto": H.264 where there is an encoder, else MPEG-4; "h264"; "mpeg4" */
    int threads;
    bool from_first; /* the first frame that is written is at time 0; else where the file begins */
    void *context;
    void (*say)(void *context, const char *text);
};

struct video_plugin {
    unsigned abi;
    const char *libraries; /* "libavformat 59.27.100, libavcodec 59.37.100, ..." */
    const char *encoder;   /* of "auto": "libx264" */

    /* name: a file, "-" (standard input), a device (/dev/video0) or a URL. */
    limber_status (*reader_open)(struct video_reader **out, const char *name, const struct video_options *options,
                                 struct video_about *about, limber_error *err);
    /* The next frame, not yet its pixels. *more false: there are no more; and an error then says that the file ends too soon, or that
     * part of it cannot be read: the frames before are good. */
    limber_status (*read)(struct video_reader *r, struct video_frame *frame, bool *more, limber_error *err);
    /* The pixels of the frame that was read last. */
    limber_status (*convert)(struct video_reader *r, struct video_frame *frame, limber_error *err);
    void (*reader_close)(struct video_reader **r);

    /* An mp4 of such frames, and the reader's sound. The reader must outlive it. */
    limber_status (*writer_open)(struct video_writer **out, const char *path, int width, int height, struct video_reader *reader,
                                 const struct video_writer_options *options, limber_error *err);
    /* RGB, of any size, with VIDEO_PADDING bytes behind it; ticks that rise. */
    limber_status (*write)(struct video_writer *w, const limber_image *image, int64_t ticks, limber_error *err);
    /* Ends the file, also after an error, so that what is in it plays. */
    limber_status (*writer_close)(struct video_writer **w, limber_error *err);
};

#define VIDEO_PLUGIN_SYMBOL "limber_video_plugin"
typedef const struct video_plugin *(*video_plugin_fn)(void);

/* The plugin, opened once and for all; the error names the package that is missing. */
limber_status video_plugin_find(const struct video_plugin **out, limber_error *err);

#endif
