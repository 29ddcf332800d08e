/* SPDX-License-Identifier: MIT */
/* video/ffmpeg_write.c - frames to an mp4 with their times, and the sound of what was read beside them, as it was. */
#include <libavutil/opt.h>
#include <libavutil/imgutils.h>
#include <stdlib.h>
#include <string.h>

#include "video/ffmpeg.h"

struct video_writer {
    struct video_writer_options options;
    struct video_reader *reader;
    AVFormatContext *out;
    AVCodecContext *codec;
    AVStream *stream, *sound;
    AVFrame *frame;
    AVPacket *packet;
    struct SwsContext *sws;
    int64_t begin, last; /* ticks of time 0; of the frame before, as the encoder has it */
    int64_t last_sound;
    bool any, header;
};

const char *writer_encoder(const char *codec)
{
    static const char *const h264[] = {"libx264", "libopenh264"};
    if (strcmp(codec, "mpeg4"))
        for (size_t i = 0; i < sizeof h264 / sizeof *h264; i++)
            if (avcodec_find_encoder_by_name(h264[i]))
                return h264[i];
    return strcmp(codec, "h264") && avcodec_find_encoder_by_name("mpeg4") ? "mpeg4" : NULL;
}

/* MPEG-4 counts time in at most 65535 parts of a second. */
static AVRational encoder_base(const AVStream *s, const char *name)
{
    const AVRational base = s->time_base;
    return !strcmp(name, "mpeg4") && base.den > 65535 ? (AVRational){1, 30000} : base;
}

static limber_status open_encoder(struct video_writer *w, const char *name, int width, int height, limber_error *err)
{
    const AVCodec *encoder = avcodec_find_encoder_by_name(name);
    AVCodecContext *c = w->codec = encoder ? avcodec_alloc_context3(encoder) : NULL;
    if (!c)
        return limber_fail(err, LIMBER_E_MEMORY, "no memory for an encoder");
    const AVRational rate = w->reader->stream->avg_frame_rate;
    c->width = (width + 1) / 2 * 2;
    c->height = (height + 1) / 2 * 2;
    c->pix_fmt = AV_PIX_FMT_YUV420P;
    c->time_base = encoder_base(w->reader->stream, name);
    c->framerate = rate.num > 0 && rate.den > 0 ? rate : (AVRational){25, 1};
    c->thread_count = w->options.threads;
    c->colorspace = colours_of(AVCOL_SPC_UNSPECIFIED, height);
    c->color_range = AVCOL_RANGE_MPEG;
    if (!strcmp(name, "mpeg4")) {
        c->flags |= AV_CODEC_FLAG_QSCALE;
        c->global_quality = 3 * FF_QP2LAMBDA;
    } else {
        av_opt_set(c->priv_data, "preset", "veryfast", 0);
        av_opt_set(c->priv_data, "crf", "20", 0);
    }
    if (w->out->oformat->flags & AVFMT_GLOBALHEADER)
        c->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    const int e = avcodec_open2(c, encoder, NULL);
    return e < 0 ? log_fail(err, LIMBER_E_UNSUPPORTED, e, name) : LIMBER_OK;
}

/* As it is, where an mp4 takes it; else said, and left out. */
static limber_status add_sound(struct video_writer *w, limber_error *err)
{
    const AVStream *from = w->reader->sound;
    if (!from)
        return LIMBER_OK;
    if (avformat_query_codec(w->out->oformat, from->codecpar->codec_id, FF_COMPLIANCE_NORMAL) != 1) {
        char text[128];
        snprintf(text, sizeof text, "its sound (%s) cannot be kept in an mp4: left out of the overlay",
                 avcodec_get_name(from->codecpar->codec_id));
        if (w->options.say)
            w->options.say(w->options.context, text);
        return LIMBER_OK;
    }
    w->sound = avformat_new_stream(w->out, NULL);
    if (!w->sound || avcodec_parameters_copy(w->sound->codecpar, from->codecpar) < 0)
        return limber_fail(err, LIMBER_E_MEMORY, "no memory for the sound");
    w->sound->codecpar->codec_tag = 0;
    w->sound->time_base = from->time_base;
    return LIMBER_OK;
}

static limber_status open_file(struct video_writer *w, const char *path, const char *encoder, int width, int height,
                               limber_error *err)
{
    char name[4096];
    if (snprintf(name, sizeof name, "file:%s", path) >= (int)sizeof name)
        return limber_fail(err, LIMBER_E_ARGUMENT, "its name is too long");
    if (avformat_alloc_output_context2(&w->out, NULL, "mp4", NULL) < 0)
        return limber_fail(err, LIMBER_E_UNSUPPORTED, "this FFmpeg cannot write mp4");
    limber_status st = open_encoder(w, encoder, width, height, err);
    if (st)
        return st;
    w->stream = avformat_new_stream(w->out, NULL);
    if (!w->stream || avcodec_parameters_from_context(w->stream->codecpar, w->codec) < 0)
        return limber_fail(err, LIMBER_E_MEMORY, "no memory for a stream");
    w->stream->time_base = w->codec->time_base;
    w->stream->avg_frame_rate = w->codec->framerate;
    if ((st = add_sound(w, err)))
        return st;
    int e = avio_open(&w->out->pb, name, AVIO_FLAG_WRITE);
    if (e >= 0)
        e = avformat_write_header(w->out, NULL);
    w->header = e >= 0;
    return e < 0 ? log_fail(err, LIMBER_E_IO, e, "") : LIMBER_OK;
}

limber_status writer_open(struct video_writer **out, const char *path, int width, int height, struct video_reader *reader,
                          const struct video_writer_options *options, limber_error *err)
{
    *out = NULL;
    const char *encoder = writer_encoder(options->codec);
    if (!encoder)
        return limber_fail(err, LIMBER_E_UNSUPPORTED, "this FFmpeg has no encoder for %s",
                           strcmp(options->codec, "auto") ? options->codec : "H.264 or MPEG-4");
    struct video_writer *w = calloc(1, sizeof *w);
    if (!w)
        return limber_fail(err, LIMBER_E_MEMORY, "no memory");
    w->options = *options;
    w->reader = reader;
    w->last_sound = INT64_MIN;
    w->begin = reader->in->start_time == AV_NOPTS_VALUE
                   ? 0
                   : av_rescale_q(reader->in->start_time, AV_TIME_BASE_Q, reader->stream->time_base);
    limber_status st = open_file(w, path, encoder, width, height, err);
    w->packet = av_packet_alloc();
    w->frame = av_frame_alloc();
    if (!st && w->packet && w->frame) {
        w->frame->format = w->codec->pix_fmt;
        w->frame->width = w->codec->width;
        w->frame->height = w->codec->height;
        w->frame->colorspace = w->codec->colorspace;
        w->frame->color_range = w->codec->color_range;
    }
    if (!st && (!w->packet || !w->frame || av_frame_get_buffer(w->frame, 0) < 0))
        st = limber_fail(err, LIMBER_E_MEMORY, "no memory for a frame");
    *out = w;
    if (st)
        writer_close(out, NULL);
    return st;
}

/* The sound up to a frame: the muxer wants both to advance together. */
static int pass_sound(struct video_writer *w, int64_t until)
{
    const AVRational base = w->reader->stream->time_base;
    AVPacket *p;
    int e = 0;
    while (e >= 0 && w->reader->sound && (p = packets_take(&w->reader->packets, base, until))) {
        const int64_t begin = av_rescale_q(w->begin, base, p->time_base), time = p->pts != AV_NOPTS_VALUE ? p->pts : p->dts;
        if (w->sound && time != AV_NOPTS_VALUE && time >= begin) {
            p->pts = time - begin;
            p->dts = p->dts != AV_NOPTS_VALUE ? p->dts - begin : p->pts;
            p->stream_index = w->sound->index;
            p->pos = -1;
            av_packet_rescale_ts(p, p->time_base, w->sound->time_base);
            if (p->dts > w->last_sound) { /* a stream that begins anew goes back in time: an mp4 cannot */
                w->last_sound = p->dts;
                e = av_interleaved_write_frame(w->out, p);
            }
        }
        av_packet_free(&p);
    }
    return e;
}

static int encode(struct video_writer *w, const AVFrame *frame)
{
    int e = avcodec_send_frame(w->codec, frame);
    while (e >= 0 && (e = avcodec_receive_packet(w->codec, w->packet)) >= 0) {
        av_packet_rescale_ts(w->packet, w->codec->time_base, w->stream->time_base);
        w->packet->stream_index = w->stream->index;
        e = av_interleaved_write_frame(w->out, w->packet);
    }
    return e == AVERROR(EAGAIN) || e == AVERROR_EOF ? 0 : e;
}

limber_status writer_write(struct video_writer *w, const limber_image *image, int64_t ticks, limber_error *err)
{
    AVCodecContext *c = w->codec;
    w->sws = sws_getCachedContext(w->sws, image->width, image->height, AV_PIX_FMT_RGB24, c->width, c->height, c->pix_fmt,
                                  SWS_BILINEAR, NULL, NULL, NULL);
    if (!w->sws || av_frame_make_writable(w->frame) < 0)
        return limber_fail(err, LIMBER_E_MEMORY, "no memory for a frame");
    const int *k = sws_getCoefficients(c->colorspace == AVCOL_SPC_BT709 ? SWS_CS_ITU709 : SWS_CS_ITU601);
    sws_setColorspaceDetails(w->sws, k, 1, k, 0, 0, 1 << 16, 1 << 16);
    const uint8_t *const planes[4] = {image->pixels};
    const int strides[4] = {(int)image->stride};
    sws_scale(w->sws, planes, strides, 0, image->height, w->frame->data, w->frame->linesize);
    if (!w->any && w->options.from_first)
        w->begin = ticks;
    const int64_t time = av_rescale_q(ticks - w->begin, w->reader->stream->time_base, c->time_base);
    w->frame->pts = w->any && time <= w->last ? w->last + 1 : time;
    w->frame->pict_type = AV_PICTURE_TYPE_NONE;
    w->last = w->frame->pts;
    w->any = true;
    int e = encode(w, w->frame);
    if (e >= 0)
        e = pass_sound(w, ticks);
    return e < 0 ? log_fail(err, LIMBER_E_IO, e, "") : LIMBER_OK;
}

limber_status writer_close(struct video_writer **writer, limber_error *err)
{
    struct video_writer *w = *writer;
    if (!w)
        return LIMBER_OK;
    int e = 0;
    if (w->header) {
        e = encode(w, NULL);
        int more = pass_sound(w, w->reader->draining ? INT64_MAX
                                 : w->any ? av_rescale_q(w->last, w->codec->time_base, w->reader->stream->time_base) + w->begin
                                          : INT64_MIN);
        e = e < 0 ? e : more;
        more = av_write_trailer(w->out);
        e = e < 0 ? e : more;
    }
    if (w->out && w->out->pb) {
        const int more = avio_closep(&w->out->pb);
        e = e < 0 ? e : more;
    }
    sws_freeContext(w->sws);
    av_frame_free(&w->frame);
    av_packet_free(&w->packet);
    avcodec_free_context(&w->codec);
    avformat_free_context(w->out);
    free(w);
    *writer = NULL;
    return e < 0 ? log_fail(err, LIMBER_E_IO, e, "") : LIMBER_OK;
}
