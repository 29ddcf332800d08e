/* SPDX-License-Identifier: MIT */
/* video/ffmpeg_log.c - FFmpeg's libraries print to stderr unless told otherwise, through one callback for the whole process: the only
 * state that this plugin keeps. */
#include <stdio.h>
#include <string.h>

#include "video/ffmpeg.h"

#define KNOWN 64

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void (*say)(void *context, const char *text);
static void *say_context;
static char line[512], errors[512]; /* that is being put together; that wait for log_fail or log_flush */
static uint64_t known[KNOWN];       /* what was said */
static size_t known_count;
static const char *cut; /* what a demuxer only logs: how the file ends */

/* Each sentence once; after KNOWN of them nothing. `lock` is held. */
static bool is_new(const char *text)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (const char *p = text; *p; p++) /* numbers within a sentence do not make another one */
        if (*p < '0' || *p > '9')
            hash = (hash ^ (unsigned char)*p) * 0x100000001b3u;
    for (size_t i = 0; i < known_count; i++)
        if (known[i] == hash)
            return false;
    if (known_count == KNOWN)
        return false;
    known[known_count++] = hash;
    return true;
}

static void keep(char *to, size_t room, const char *text)
{
    const size_t used = strlen(to);
    if (!strstr(to, text))
        snprintf(to + used, room - used, "%s%s", used ? "; " : "", text);
}

static void caught(void *who, int level, const char *format, va_list args)
{
    char part[512];
    int prefix = 0; /* no "[h264 @ 0x55..]" */
    if (level > AV_LOG_WARNING)
        return;
    av_log_format_line(who, level, format, args, part, sizeof part, &prefix);
    pthread_mutex_lock(&lock);
    const size_t used = strlen(line);
    snprintf(line + used, sizeof line - used, "%s", part);
    size_t n = strlen(line);
    void (*tell)(void *, const char *) = NULL;
    char text[sizeof line] = "";
    if (n && (line[n - 1] == '\n' || n == sizeof line - 1)) {
        while (n && (line[n - 1] == '\n' || line[n - 1] == '\r' || line[n - 1] == '.' || line[n - 1] == ' '))
            line[--n] = 0;
        /* some demuxers have no other way to say it; of sound, the parser drops the packet's own mark */
        if (strstr(line, "ended prematurely"))
            cut = "it ends too soon";
        else if (strstr(line, "Packet corrupt"))
            cut = "part of it is missing, or it ends too soon";
        if (n && level <= AV_LOG_ERROR)
            keep(errors, sizeof errors, line);
        else if (n && is_new(line))
            tell = say;
        memcpy(text, line, sizeof text);
        line[0] = 0;
    }
    void *context = say_context;
    pthread_mutex_unlock(&lock);
    if (tell)
        tell(context, text);
}

void log_catch(void (*to)(void *context, const char *text), void *context)
{
    pthread_mutex_lock(&lock);
    say = to;
    say_context = context;
    line[0] = errors[0] = 0;
    known_count = 0;
    cut = NULL;
    pthread_mutex_unlock(&lock);
    av_log_set_callback(caught);
}

limber_status log_fail(limber_error *err, limber_status status, int error, const char *what)
{
    char reason[AV_ERROR_MAX_STRING_SIZE] = "", lines[sizeof errors];
    if (error)
        av_strerror(error, reason, sizeof reason);
    pthread_mutex_lock(&lock);
    memcpy(lines, errors, sizeof lines);
    errors[0] = 0;
    pthread_mutex_unlock(&lock);
    return limber_fail(err, status, "%s%s%s%s%s", what, *what && (*lines || *reason) ? ": " : "", lines,
                       *lines && *reason ? ": " : "", reason);
}

const char *log_cut(void)
{
    pthread_mutex_lock(&lock);
    const char *was = cut;
    pthread_mutex_unlock(&lock);
    return was;
}

bool log_flush(void)
{
    char lines[sizeof errors];
    pthread_mutex_lock(&lock);
    memcpy(lines, errors, sizeof lines);
    errors[0] = 0;
    void (*tell)(void *, const char *) = *lines && is_new(lines) ? say : NULL;
    void *context = say_context;
    pthread_mutex_unlock(&lock);
    if (tell)
        tell(context, lines);
    return *lines;
}
