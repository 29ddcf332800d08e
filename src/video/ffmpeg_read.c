/* SPDX-License-Identifier: MIT */
/* video/ffmpeg_read.c - a file, stream or camera to frames. Frames are counted and timed as ffprobe does it: all that the decoder
 * gives, edit lists applied by the demuxer, best_effort_timestamp. Nothing is skipped by seeking, since a number would be lost. */
#include <dlfcn.h>
#include <libavutil/display.h>
#include <libavutil/imgutils.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "video/ffmpeg.h"

#define FILES "file,crypto,data"
#define STREAMS "http,https,httpproxy,tls,tcp,udp,rtp,srtp,rtsp,rtsps,rtmp,rtmps,srt,crypto,data"

/* ---- packets ---- */

bool packets_put(struct packets *p, const AVPacket *packet)
{
    AVPacket *copy = av_packet_clone(packet);
    pthread_mutex_lock(&p->lock);
    if (copy && p->first + p->count == p->room) {
        if (p->first > p->count) {
            memmove(p->v, p->v + p->first, p->count * sizeof *p->v);
            p->first = 0;
        } else {
            const size_t room = p->room ? 2 * p->room : 64;
            AVPacket **more = realloc(p->v, room * sizeof *more);
            if (more)
                p->v = more, p->room = room;
            else
                av_packet_free(&copy);
        }
    }
    if (copy)
        p->v[p->first + p->count++] = copy;
    pthread_mutex_unlock(&p->lock);
    return copy != NULL;
}

AVPacket *packets_take(struct packets *p, AVRational base, int64_t until)
{
    AVPacket *packet = NULL;
    pthread_mutex_lock(&p->lock);
    if (p->count) {
        packet = p->v[p->first];
        const int64_t time = packet->dts != AV_NOPTS_VALUE ? packet->dts : packet->pts;
        if (until != INT64_MAX && time != AV_NOPTS_VALUE && av_compare_ts(time, packet->time_base, until, base) > 0)
            packet = NULL;
        else
            p->first++, p->count--;
    }
    pthread_mutex_unlock(&p->lock);
    return packet;
}

void packets_free(struct packets *p)
{
    for (size_t i = 0; i < p->count; i++)
        av_packet_free(&p->v[p->first + i]);
    free(p->v);
    pthread_mutex_destroy(&p->lock);
}

/* ---- open ---- */

static int interrupted(void *context)
{
    const struct video_reader *r = context;
    return (r->options.stop && *r->options.stop) || (r->options.end && *r->options.end);
}

/* libavdevice brings a desktop's libraries with it: only who names a camera opens it. */
static limber_status camera(const AVInputFormat **format, limber_error *err)
{
    char name[32];
    snprintf(name, sizeof name, "libavdevice.so.%d", LIBAVFORMAT_VERSION_MAJOR);
    void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    void *symbol = library ? dlsym(library, "avdevice_register_all") : NULL;
    if (!symbol)
        return limber_fail(err, LIMBER_E_UNSUPPORTED,
                           "a camera is opened by FFmpeg's %s, which is not here: install libavdevice%d", name,
                           LIBAVFORMAT_VERSION_MAJOR);
    ((void (*)(void))(uintptr_t)symbol)();
    *format = av_find_input_format("v4l2");
    return *format ? LIMBER_OK : limber_fail(err, LIMBER_E_UNSUPPORTED, "FFmpeg's %s knows no cameras (video4linux2)", name);
}

static limber_status open_input(struct video_reader *r, limber_error *err)
{
    const AVInputFormat *format = NULL;
    AVDictionary *options = NULL;
    const char *name = r->name;
    const bool device = !strncmp(name, "/dev/video", 10), url = strstr(name, "://") != NULL;
    limber_status st = device ? camera(&format, err) : LIMBER_OK;
    if (st)
        return st;
    r->own_name = malloc(strlen(name) + 8);
    r->in = avformat_alloc_context();
    if (!r->own_name || !r->in)
        return limber_fail(err, LIMBER_E_MEMORY, "no memory");
    if (!strcmp(name, "-"))
        strcpy(r->own_name, "pipe:0");
    else
        sprintf(r->own_name, "%s%s", url || device ? "" : "file:", name); /* a:b.mp4 is a file */
    r->in->interrupt_callback = (AVIOInterruptCB){interrupted, r};
    /* A playlist in a file must not reach the network, nor one from there this machine's files. */
    if (!device)
        av_dict_set(&options, "protocol_whitelist", url ? STREAMS : !strcmp(name, "-") ? "pipe" : FILES, 0);
    if (r->options.live)
        av_dict_set(&options, "analyzeduration", "1000000", 0); /* a second, not five, before the first frame */
    if (!strncmp(name, "rtsp", 4))
        av_dict_set(&options, "rtsp_transport", "tcp", 0); /* nothing lost on the way */
    int e = avformat_open_input(&r->in, r->own_name, (AVInputFormat *)(uintptr_t)format, &options);
    av_dict_free(&options);
    if (e < 0)
        return log_fail(err, e == AVERROR_INVALIDDATA ? LIMBER_E_FORMAT : LIMBER_E_IO, e, "");
    if ((e = avformat_find_stream_info(r->in, NULL)) < 0)
        return log_fail(err, LIMBER_E_FORMAT, e, "");
    return LIMBER_OK;
}

static const int32_t *display_matrix(const AVStream *s)
{
#if LIBAVFORMAT_VERSION_INT >= AV_VERSION_INT(60, 15, 100)
    const AVPacketSideData *d =
        av_packet_side_data_get(s->codecpar->coded_side_data, s->codecpar->nb_coded_side_data, AV_PKT_DATA_DISPLAYMATRIX);
    return d && d->size >= 36 ? (const int32_t *)(const void *)d->data : NULL;
#else
    size_t size = 0;
    const uint8_t *d = av_stream_get_side_data(s, AV_PKT_DATA_DISPLAYMATRIX, &size);
    return d && size >= 36 ? (const int32_t *)(const void *)d : NULL;
#endif
}

/* Turns by quarters and mirrors; anything else is left as it lies. */
static void read_turn(struct video_reader *r)
{
    static const int places[4] = {0, 1, 3, 4};
    const int32_t *m = display_matrix(r->stream);
    int turn[4] = {1, 0, 0, 1};
    for (int i = 0; m && i < 4; i++) {
        const double v = m[places[i]] / 65536.0;
        turn[i] = v > 0.5 ? 1 : v < -0.5 ? -1 : 0;
    }
    const bool whole = abs(turn[0]) + abs(turn[1]) == 1 && abs(turn[2]) + abs(turn[3]) == 1 && abs(turn[0]) + abs(turn[2]) == 1;
    if (!whole && r->options.say)
        r->options.say(r->options.context, "its rotation is not a quarter of a turn: left as it lies");
    const int none[4] = {1, 0, 0, 1};
    memcpy(r->turn, whole ? turn : none, sizeof turn);
}

static bool lies_on_its_side(const struct video_reader *r)
{
    return r->turn[0] == 0;
}

static bool is_turned(const struct video_reader *r)
{
    return r->turn[0] != 1 || r->turn[3] != 1;
}

static limber_status open_decoder(struct video_reader *r, limber_error *err)
{
    const AVCodec *decoder = NULL;
    const int at = av_find_best_stream(r->in, AVMEDIA_TYPE_VIDEO, -1, -1, &decoder, 0);
    if (at < 0 || (r->in->streams[at]->disposition & AV_DISPOSITION_ATTACHED_PIC))
        return log_fail(err, LIMBER_E_FORMAT, 0,
                        at == AVERROR_DECODER_NOT_FOUND ? "this FFmpeg has no decoder for it" : "no video in it");
    r->stream = r->in->streams[at];
    const int sound = av_find_best_stream(r->in, AVMEDIA_TYPE_AUDIO, -1, at, NULL, 0);
    r->sound = r->options.audio && sound >= 0 ? r->in->streams[sound] : NULL;
    for (unsigned i = 0; i < r->in->nb_streams; i++)
        if (r->in->streams[i] != r->stream && r->in->streams[i] != r->sound)
            r->in->streams[i]->discard = AVDISCARD_ALL;
    r->codec = avcodec_alloc_context3(decoder);
    r->packet = av_packet_alloc();
    r->frame = av_frame_alloc();
    if (!r->codec || !r->packet || !r->frame)
        return limber_fail(err, LIMBER_E_MEMORY, "no memory");
    int e = avcodec_parameters_to_context(r->codec, r->stream->codecpar);
    r->codec->pkt_timebase = r->stream->time_base;
    r->codec->thread_count = r->options.threads;
    r->codec->max_pixels = VIDEO_MAX_PIXELS;
    if (r->options.live) {
        r->codec->thread_type = FF_THREAD_SLICE;
        r->codec->flags |= AV_CODEC_FLAG_LOW_DELAY;
    }
    if (e >= 0)
        e = avcodec_open2(r->codec, decoder, NULL);
    return e < 0 ? log_fail(err, LIMBER_E_FORMAT, e, "its video cannot be decoded") : LIMBER_OK;
}

static void describe(const struct video_reader *r, struct video_about *about)
{
    const AVStream *s = r->stream;
    const AVCodecParameters *p = s->codecpar;
    const bool side = lies_on_its_side(r);
    const AVRational rate = s->avg_frame_rate.num ? s->avg_frame_rate : s->r_frame_rate;
    *about = (struct video_about){.width = side ? p->height : p->width, .height = side ? p->width : p->height};
    about->rate = rate.num > 0 && rate.den > 0 ? av_q2d(rate) : 0;
    about->duration = r->in->duration > 0 ? (double)r->in->duration / AV_TIME_BASE : 0;
    about->frames = s->nb_frames;
    about->audio = r->sound != NULL;
    snprintf(about->codec, sizeof about->codec, "%s", avcodec_get_name(p->codec_id));
    snprintf(about->format, sizeof about->format, "%s", r->in->iformat->name);
}

limber_status reader_open(struct video_reader **out, const char *name, const struct video_options *options,
                          struct video_about *about, limber_error *err)
{
    struct video_reader *r = calloc(1, sizeof *r);
    *out = NULL;
    if (!r)
        return limber_fail(err, LIMBER_E_MEMORY, "no memory");
    r->name = name;
    r->options = *options;
    pthread_mutex_init(&r->packets.lock, NULL);
    log_catch(options->say, options->context);
    limber_status st = open_input(r, err);
    if (!st)
        st = open_decoder(r, err);
    if (st) {
        reader_close(&r);
        return st;
    }
    read_turn(r);
    describe(r, about);
    log_flush();
    *out = r;
    return LIMBER_OK;
}

void reader_close(struct video_reader **reader)
{
    struct video_reader *r = *reader;
    if (!r)
        return;
    packets_free(&r->packets);
    sws_freeContext(r->sws);
    av_packet_free(&r->packet);
    av_frame_free(&r->frame);
    avcodec_free_context(&r->codec);
    avformat_close_input(&r->in);
    free(r->unturned);
    free(r->own_name);
    free(r);
    *reader = NULL;
}

/* ---- frames ---- */

static void remember(struct video_reader *r, int error, const char *what)
{
    if (!r->failed)
        log_fail(&r->failure, LIMBER_E_FORMAT, error, what);
    r->failed = true;
}

/* One packet into the decoder, or what is kept for a writer; at the end of the file the decoder is told. */
static limber_status feed(struct video_reader *r, limber_error *err)
{
    int e = av_read_frame(r->in, r->packet);
    if (e == AVERROR(EAGAIN))
        return LIMBER_OK;
    if (e < 0) {
        r->draining = true;
        if (e != AVERROR_EOF && !interrupted(r))
            remember(r, e, "it ends too soon");
        else if (e == AVERROR_EOF && r->in->pb && r->in->pb->error < 0 && !interrupted(r))
            remember(r, r->in->pb->error, "it ends too soon");
        else if (log_cut())
            remember(r, 0, log_cut());
        avcodec_send_packet(r->codec, NULL);
        return LIMBER_OK;
    }
    limber_status st = LIMBER_OK;
    if (r->sound && r->packet->stream_index == r->sound->index) {
        r->packet->time_base = r->sound->time_base;
        if (!packets_put(&r->packets, r->packet))
            st = limber_fail(err, LIMBER_E_MEMORY, "no memory for its sound");
    } else if (r->packet->stream_index == r->stream->index) {
        const bool cut = r->packet->flags & AV_PKT_FLAG_CORRUPT;
        if ((e = avcodec_send_packet(r->codec, r->packet)) < 0 && e != AVERROR_EOF && !interrupted(r))
            remember(r, e, "part of it cannot be decoded");
        else if (cut)
            remember(r, 0, "part of it is missing");
    }
    av_packet_unref(r->packet);
    return st;
}

static void stamp(struct video_reader *r, struct video_frame *frame)
{
    const AVFrame *f = r->frame;
    const double unit = av_q2d(r->stream->time_base);
    const int64_t stamp = f->best_effort_timestamp;
#if LIBAVUTIL_VERSION_MAJOR >= 58
    const int64_t duration = f->duration;
#else
    const int64_t duration = f->pkt_duration;
#endif
    frame->number = r->number++;
    if (stamp != AV_NOPTS_VALUE)
        frame->time = (double)stamp * unit;
    else
        frame->time = frame->number ? r->time + r->last : 0;
    frame->ticks = stamp != AV_NOPTS_VALUE ? stamp : llround(frame->time / unit);
    frame->damaged = f->decode_error_flags || (f->flags & AV_FRAME_FLAG_CORRUPT);
    const AVRational rate = r->stream->avg_frame_rate;
    r->last = duration > 0 ? (double)duration * unit : rate.num > 0 && rate.den > 0 ? 1 / av_q2d(rate) : 0.04;
    r->time = frame->time;
}

limber_status reader_read(struct video_reader *r, struct video_frame *frame, bool *more, limber_error *err)
{
    *more = false;
    for (;;) {
        if (interrupted(r))
            return LIMBER_OK;
        int e = avcodec_receive_frame(r->codec, r->frame);
        if (e >= 0) {
            stamp(r, frame);
            *more = true;
            if (!r->failed)
                log_flush();
            return LIMBER_OK;
        }
        if (e == AVERROR(EAGAIN) && !r->draining) {
            limber_status st = feed(r, err);
            if (st)
                return st;
        } else if (e == AVERROR_EOF || e == AVERROR(EAGAIN)) {
            if (!r->failed && log_flush() && !r->options.live)
                remember(r, 0, "it ended with an error");
            if (r->failed && err)
                *err = r->failure;
            return r->failed ? r->failure.status : LIMBER_OK;
        } else {
            remember(r, e, "part of it cannot be decoded");
            if (r->draining && e == AVERROR(ENOMEM))
                return limber_fail(err, LIMBER_E_MEMORY, "no memory for a frame");
        }
    }
}

/* ---- pixels ---- */

int colours_of(int colorspace, int height)
{
    switch (colorspace) {
    case AVCOL_SPC_BT709:
        return AVCOL_SPC_BT709;
    case AVCOL_SPC_BT2020_NCL:
    case AVCOL_SPC_BT2020_CL:
        return AVCOL_SPC_BT2020_NCL;
    case AVCOL_SPC_UNSPECIFIED:
        return height >= 720 ? AVCOL_SPC_BT709 : AVCOL_SPC_SMPTE170M;
    default:
        return AVCOL_SPC_SMPTE170M;
    }
}

/* The formats whose name says "full range" are the others with a flag. */
static int plain_format(int format, bool *full)
{
    switch (format) {
    case AV_PIX_FMT_YUVJ420P:
        *full = true;
        return AV_PIX_FMT_YUV420P;
    case AV_PIX_FMT_YUVJ422P:
        *full = true;
        return AV_PIX_FMT_YUV422P;
    case AV_PIX_FMT_YUVJ444P:
        *full = true;
        return AV_PIX_FMT_YUV444P;
    case AV_PIX_FMT_YUVJ440P:
        *full = true;
        return AV_PIX_FMT_YUV440P;
    case AV_PIX_FMT_YUVJ411P:
        *full = true;
        return AV_PIX_FMT_YUV411P;
    default:
        return format;
    }
}

static limber_status reserve(uint8_t **memory, size_t *room, size_t need, limber_error *err)
{
    if (*room >= need)
        return LIMBER_OK;
    free(*memory);
    *memory = malloc(need);
    *room = *memory ? need : 0;
    return *memory ? LIMBER_OK : limber_fail(err, LIMBER_E_MEMORY, "no memory for a frame of %zu bytes", need);
}

/* from [h][w][3] to its upright place. */
static void turn(const struct video_reader *r, uint8_t *to, size_t to_stride, const uint8_t *from, size_t stride, int w, int h)
{
    const int *t = r->turn;
    const long x0 = (t[0] < 0 ? w - 1 : 0) + (t[2] < 0 ? h - 1 : 0), y0 = (t[1] < 0 ? w - 1 : 0) + (t[3] < 0 ? h - 1 : 0);
    for (long y = 0; y < h; y++) {
        const uint8_t *p = from + (size_t)y * stride;
        for (long x = 0; x < w; x++, p += 3)
            memcpy(to + (size_t)(t[1] * x + t[3] * y + y0) * to_stride + 3 * (size_t)(t[0] * x + t[2] * y + x0), p, 3);
    }
}

/* Of NV12, which the crops can read as it is, nothing is gained: looking for people reads every pixel anyway (docs/video.md). */
limber_status reader_convert(struct video_reader *r, struct video_frame *frame, limber_error *err)
{
    const AVFrame *f = r->frame;
    const int w = f->width, h = f->height;
    bool full = f->color_range == AVCOL_RANGE_JPEG;
    const int format = plain_format(f->format, &full), space = colours_of(f->colorspace, h);
    if (w < 1 || h < 1 || (int64_t)w * h > VIDEO_MAX_PIXELS)
        return limber_fail(err, LIMBER_E_FORMAT, "frame %lld is of %d x %d pixels", (long long)frame->number, w, h);
    /* rows that swscale may fill to their end and a little beyond */
    const bool turned = is_turned(r);
    const size_t row = (3 * (size_t)w + 63) / 64 * 64, bytes = row * (size_t)h + VIDEO_PADDING;
    limber_status st = reserve(&frame->memory, &frame->room, turned ? 3 * (size_t)w * (size_t)h + VIDEO_PADDING : bytes, err);
    if (!st && turned)
        st = reserve(&r->unturned, &r->unturned_room, bytes, err);
    if (st)
        return st;
    r->sws = sws_getCachedContext(r->sws, w, h, format, w, h, AV_PIX_FMT_RGB24, SWS_BILINEAR, NULL, NULL, NULL);
    if (!r->sws)
        return log_fail(err, LIMBER_E_UNSUPPORTED, 0, "its pixel format cannot be converted");
    const int *coefficients = sws_getCoefficients(space == AVCOL_SPC_BT709        ? SWS_CS_ITU709
                                                  : space == AVCOL_SPC_BT2020_NCL ? SWS_CS_BT2020
                                                                                  : SWS_CS_ITU601);
    sws_setColorspaceDetails(r->sws, coefficients, full, coefficients, 1, 0, 1 << 16, 1 << 16);
    uint8_t *const planes[4] = {turned ? r->unturned : frame->memory};
    const int strides[4] = {(int)row};
    const int e = sws_scale(r->sws, (const uint8_t *const *)f->data, f->linesize, 0, h, planes, strides);
    if (e < 0)
        return log_fail(err, LIMBER_E_FORMAT, e, "its pixels cannot be converted");
    frame->view = (limber_image){.pixels = frame->memory, .width = w, .height = h, .stride = row};
    if (turned) {
        const bool side = lies_on_its_side(r);
        frame->view.width = side ? h : w;
        frame->view.height = side ? w : h;
        frame->view.stride = 3 * (size_t)frame->view.width;
        turn(r, frame->memory, frame->view.stride, r->unturned, row, w, h);
    }
    return LIMBER_OK;
}
