/* SPDX-License-Identifier: MIT */
/* video/ffmpeg.h - what the reader and the writer of the plugin share. Only the plugin includes it, and FFmpeg's headers with it. */
#ifndef LIMBER_VIDEO_FFMPEG_H
#define LIMBER_VIDEO_FFMPEG_H

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libswscale/swscale.h>
#include <pthread.h>

#include "base/error.h"
#include "video/video.h"

/* ---- ffmpeg_log.c: what FFmpeg would print ---- */

/* From now on lines come here: warnings are said, each once; errors wait for who failed. */
void log_catch(void (*say)(void *context, const char *text), void *context);
/* A sentence of FFmpeg's error and, before it, what was logged on the way; forgets the lines. */
limber_status log_fail(limber_error *err, limber_status status, int error, const char *what);
/* Says the error lines that nobody failed of. Returns whether there were any. */
bool log_flush(void);
/* What the demuxer warned of: that its file ends too soon, or lacks a part. NULL: of nothing. */
const char *log_cut(void);

/* ---- packets that one thread brings and another takes ---- */

struct packets {
    pthread_mutex_t lock;
    AVPacket **v;
    size_t first, count, room;
};
bool packets_put(struct packets *p, const AVPacket *packet); /* a reference; false: no memory */
/* The first one whose time is at most `until`, in units of `base`; NULL: none. To free by av_packet_free. */
AVPacket *packets_take(struct packets *p, AVRational base, int64_t until);
void packets_free(struct packets *p);

/* ---- ffmpeg_read.c ---- */

struct video_reader {
    const char *name;
    struct video_options options;
    AVFormatContext *in;
    AVCodecContext *codec;
    AVStream *stream, *sound; /* sound NULL: none, or not wanted */
    AVPacket *packet;
    AVFrame *frame;
    struct SwsContext *sws;
    struct packets packets; /* of sound */
    int turn[4];            /* x' = turn[0] x + turn[2] y, y' = turn[1] x + turn[3] y, then moved to where it is not negative */
    uint8_t *unturned;      /* RGB before it is turned */
    size_t unturned_room;
    int64_t number;        /* of the next frame */
    double time, last;     /* of the frame before, and its duration */
    bool draining, failed; /* nothing more is read; because of `failure` */
    limber_error failure;
    char *own_name;
};

limber_status reader_open(struct video_reader **out, const char *name, const struct video_options *options,
                          struct video_about *about, limber_error *err);
limber_status reader_read(struct video_reader *r, struct video_frame *frame, bool *more, limber_error *err);
limber_status reader_convert(struct video_reader *r, struct video_frame *frame, limber_error *err);
void reader_close(struct video_reader **r);

/* The matrix of a picture whose stream does not say it: as players take it. */
int colours_of(int colorspace, int height); /* an AVCOL_SPC_ */

/* ---- ffmpeg_write.c ---- */

const char *writer_encoder(const char *codec); /* "auto", "h264", "mpeg4"; NULL: there is none */
limber_status writer_open(struct video_writer **out, const char *path, int width, int height, struct video_reader *reader,
                          const struct video_writer_options *options, limber_error *err);
limber_status writer_write(struct video_writer *w, const limber_image *image, int64_t ticks, limber_error *err);
limber_status writer_close(struct video_writer **w, limber_error *err);

#endif
