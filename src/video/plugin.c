/* SPDX-License-Identifier: MIT */
/* video/plugin.c - the table of video/video.h, over FFmpeg's libraries: the one name that liblimber_video.so exports. */
#include "video/ffmpeg.h"

#define WORDS_(a) #a
#define WORDS(a) WORDS_(a)

/* Against the libraries that run: another build of FFmpeg may have another encoder. */
__attribute__((visibility("default"))) const struct video_plugin *limber_video_plugin(void);

const struct video_plugin *limber_video_plugin(void)
{
    static struct video_plugin plugin = {
        .abi = VIDEO_ABI,
        .libraries = "libavformat " WORDS(LIBAVFORMAT_VERSION) ", libavcodec " WORDS(LIBAVCODEC_VERSION),
        .reader_open = reader_open,
        .read = reader_read,
        .convert = reader_convert,
        .reader_close = reader_close,
        .writer_open = writer_open,
        .write = writer_write,
        .writer_close = writer_close,
    };
    plugin.encoder = writer_encoder("auto");
    return &plugin;
}
