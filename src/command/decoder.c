/* SPDX-License-Identifier: MIT */
/* command/decoder.c - see command/decoder.h. What is shared, for each worker:
 *
 *     place     a question and its answer; the worker and its decoder see it        numbers: asked, answered
 *     area      a memfd that only grows: the bytes of the file, behind them the pixels
 *     record    the worker and the keeper see it, no decoder does: who has died, and since when somebody waits
 *
 * They wait for each other by futexes. A decoder that was taken over may write anything into place and area, at any time: each number is
 * read once and checked, pixels are only pixels. */
#define _GNU_SOURCE
#include "command/decoder.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#if defined(__linux__) && __SIZEOF_POINTER__ == 8
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "command/sandbox.h"

enum question { EXAMINE, DECODE };
enum { TOO_LATE = -1 };

struct place {
    _Atomic uint32_t asked, answered; /* numbers of questions; equal: nothing to do */
    uint32_t question;
    size_t size, room; /* of the file; of the area */
    struct image_options options;
    /* the answer */
    int32_t status;
    limber_error error;
    int32_t width, height, reduce, view_width, view_height;
    size_t memory;
    int32_t reducible;
    char format[16], decoder[64];
};

struct record {
    _Atomic uint32_t waiting; /* the number of the question that somebody waits for; 0: none */
    _Atomic uint32_t deaths;
    _Atomic int last_death; /* as waitpid says it, or TOO_LATE */
    _Atomic bool begun;     /* it is ready to be asked: one that dies before that would do so again and again, */
    _Atomic bool absent;    /* so then there is none, and will be none */
};

struct decoder {
    struct decoders *all;
    struct place *place;
    struct record *record;
    int fd;
    uint8_t *area;
    size_t room;
    bool started;
    uint32_t asked;
    struct image_about about; /* of the last question */
};

struct decoders {
    int count;
    struct decoder *v;
    uint8_t *places;        /* `place_bytes` each */
    struct record *records; /* [count] */
    size_t place_bytes, record_bytes;
    size_t kept; /* bytes of each area */
    bool sealed;
    int keeper_reads, we_write; /* a pipe: numbers of decoders to start; the keeper ends when nobody can write to it any more */
    pid_t keeper;
};

/* Memory that is new costs more than what is copied there. So areas and decoders keep some from picture to picture: */
#define KEPT_BYTES ((size_t)256 << 20) /* of all areas together, */
#define KEPT_BYTES_OF_ONE ((size_t)64 << 20)
#define KEPT_BYTES_OF_HEAP (24 << 20) /* of a decoder's heap */

static void wake(_Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

/* Until *word is not `old` any more, or something happened, or a second is over (seconds 0: however long). */
static void wait_for(_Atomic uint32_t *word, uint32_t old, time_t seconds)
{
    const struct timespec most = {.tv_sec = seconds};
    syscall(SYS_futex, word, FUTEX_WAIT, old, seconds ? &most : NULL, NULL, 0);
}

static size_t pixels_begin(size_t size)
{
    return (size + 63) / 64 * 64;
}

/* ---- a decoder: what a hostile picture may take over ---- */

static void answer(struct place *p, uint8_t *area, size_t room)
{
    limber_error error = {0};
    struct image_about about = {0};
    struct image image = {0};
    const size_t size = p->size, begin = pixels_begin(size);
    struct image_options options = p->options;
    limber_status st = area ? LIMBER_OK : limber_fail(&error, LIMBER_E_MEMORY, "no memory for a file of %zu bytes", size);
    if (!st && p->question == EXAMINE)
        st = image_examine(&about, &options, area, size, &error);
    else if (!st) {
        options.into = area + begin;
        options.room = room - begin;
        st = image_decode_with(&image, &options, area, size, &error);
    }
    const size_t n = image.view.stride * (size_t)image.view.height;
    const bool there = image.view.pixels == area + begin;
    if (image.view.pixels && !there && n <= room - begin)
        memcpy(area + begin, image.view.pixels, n);
    p->width = image.view.pixels ? image.width : about.width;
    p->height = image.view.pixels ? image.height : about.height;
    p->reduce = image.reduce;
    p->view_width = image.view.width;
    p->view_height = image.view.height;
    p->memory = about.memory;
    p->reducible = about.reducible;
    const char *decoder = image.view.pixels ? image.decoder : about.decoder;
    snprintf(p->format, sizeof p->format, "%s", about.format ? about.format : "");
    snprintf(p->decoder, sizeof p->decoder, "%s", decoder ? decoder : "");
    p->error = error;
    p->status = (int32_t)st;
    if (!there)
        image_close(&image);
}

/* All descriptors but standard error and this one. */
static void close_others(int kept)
{
    enum { CLOSE_RANGE = 436 };
    const int first = STDERR_FILENO + 1;
    const bool closed = (kept == first || !syscall(CLOSE_RANGE, first, kept - 1, 0)) && !syscall(CLOSE_RANGE, kept + 1, ~0u, 0);
    for (int fd = first; !closed && fd < 65536; fd++) /* before Linux 5.9 */
        if (fd != kept)
            close(fd);
}

/* Where memory is short, a picture is to be lost rather than the run. */
static void be_the_first_to_go(void)
{
    const int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        (void)!write(fd, "500", 3);
        close(fd);
    }
}

static _Noreturn void decode_for_ever(const struct decoders *all, int i, uint32_t answered, pid_t keeper)
{
    const struct decoder *own = &all->v[i];
    struct place *p = own->place;
    uint8_t *area = NULL;
    size_t room = 0;
    limber_error err;
    sigset_t none;
    sigemptyset(&none);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != keeper)
        _exit(0);
    signal(SIGCHLD, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_NAME, "limber decoder");
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, KEPT_BYTES_OF_HEAP);
    mallopt(M_TRIM_THRESHOLD, KEPT_BYTES_OF_HEAP);
#endif
    be_the_first_to_go();
    close_others(own->fd);
    for (int k = 0; k < all->count; k++)
        if (k != i)
            munmap(all->places + (size_t)k * all->place_bytes, all->place_bytes);
    const limber_status st = all->sealed ? sandbox_seal(&err) : LIMBER_OK;
    if (st && st != LIMBER_E_UNSUPPORTED)
        _exit(1);
    atomic_store(&own->record->begun, true);
    munmap(all->records, all->record_bytes);
    for (;;) {
        const uint32_t asked = atomic_load(&p->asked);
        if (asked == answered) {
            wait_for(&p->asked, asked, 0);
            continue;
        }
        if (p->room != room) {
            if (area)
                munmap(area, room);
            room = p->room;
            area = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_SHARED, own->fd, 0);
            if (area == MAP_FAILED)
                area = NULL, room = 0;
        }
        answer(p, area, room);
        answered = asked;
        atomic_store(&p->answered, answered);
        wake(&p->answered);
    }
}

/* ---- the keeper ---- */

struct kept {
    pid_t pid;        /* 0: none */
    bool late;        /* it was killed for that */
    uint32_t waiting; /* the question at the last look, */
    double processor; /* the seconds it had cost before, */
    int looks;        /* and how often it has been looked for */
};

static double seconds_of(clockid_t clock)
{
    struct timespec t = {0};
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void start(struct decoders *all, struct kept *kept, int i, uint32_t answered)
{
    struct record *r = &all->records[i];
    const pid_t keeper = getpid();
    atomic_store(&r->begun, false);
    const pid_t pid = fork();
    if (pid == 0)
        decode_for_ever(all, i, answered, keeper);
    kept[i] = (struct kept){.pid = pid > 0 ? pid : 0};
    if (pid < 0)
        atomic_store(&r->absent, true);
}

/* It has died. Whoever waits for it is told; the next one begins with the question after. */
static void bury(struct decoders *all, struct kept *kept, int i, int status)
{
    struct record *r = &all->records[i];
    struct place *p = all->v[i].place;
    const uint32_t asked = atomic_load(&p->asked);
    atomic_store(&r->last_death, kept[i].late ? TOO_LATE : status);
    if (!atomic_load(&r->begun))
        atomic_store(&r->absent, true);
    atomic_fetch_add(&r->deaths, 1);
    atomic_store(&p->answered, ~asked); /* whatever it was */
    wake(&p->answered);
    kept[i].pid = 0;
    if (!atomic_load(&r->absent))
        start(all, kept, i, asked);
}

/* The processor's time decides: on a crowded machine a picture may take long. One that only sleeps is stopped some time, too. */
static void look_at_the_time(struct decoders *all, struct kept *k, int i)
{
    const uint32_t waiting = atomic_load(&all->records[i].waiting);
    clockid_t clock;
    if (!waiting || !k->pid || clock_getcpuclockid(k->pid, &clock)) {
        k->waiting = 0;
        return;
    }
    const double processor = seconds_of(clock);
    if (waiting != k->waiting) {
        k->waiting = waiting;
        k->processor = processor;
        k->looks = 0;
    } else if (processor - k->processor > DECODER_SECONDS || ++k->looks > 20 * DECODER_SECONDS) {
        k->late = true;
        kill(k->pid, SIGKILL);
    }
}

static void nothing(int signal_number)
{
    (void)signal_number;
}

static _Noreturn void keep(struct decoders *all)
{
    struct kept *kept = calloc((size_t)all->count, sizeof *kept);
    const struct sigaction wakes = {.sa_handler = nothing};
    sigset_t child, none;
    sigemptyset(&none);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_SETMASK, &child, NULL);
    sigaction(SIGCHLD, &wakes, NULL);
    signal(SIGINT, SIG_IGN); /* of the terminal, to all at once: the run ends itself, and then this */
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    prctl(PR_SET_NAME, "limber keeper");
    close(all->we_write);
    const int null = open("/dev/null", O_RDWR | O_CLOEXEC); /* whoever reads what the run writes must see its end */
    if (null < 0 || !kept || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
        _exit(1);
    for (;;) {
        struct pollfd pipe = {.fd = all->keeper_reads, .events = POLLIN};
        const struct timespec second = {.tv_sec = 1};
        int i, status;
        if (ppoll(&pipe, 1, &second, &none) > 0) {
            if (read(pipe.fd, &i, sizeof i) != sizeof i)
                break;
            start(all, kept, i, 0);
        }
        for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
            for (i = 0; i < all->count; i++)
                if (kept[i].pid == pid)
                    bury(all, kept, i, status);
        for (i = 0; i < all->count; i++)
            look_at_the_time(all, &kept[i], i);
    }
    for (int i = 0; i < all->count; i++)
        if (kept[i].pid)
            kill(kept[i].pid, SIGKILL);
    while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
        ;
    _exit(0);
}

/* ---- the worker's side ---- */

static bool keeper_is_gone(const struct decoders *all)
{
    struct pollfd pipe = {.fd = all->we_write};
    return poll(&pipe, 1, 0) > 0 && pipe.revents & POLLERR;
}

enum outcome { ANSWERED, DIED, NOBODY };

static enum outcome ask(struct decoder *d, enum question question, const struct image_options *options, size_t size)
{
    struct record *r = d->record;
    const int i = (int)(d - d->all->v);
    if (!d->started && write(d->all->we_write, &i, sizeof i) != sizeof i) /* which a pipe takes whole */
        atomic_store(&r->absent, true);
    d->started = true;
    const uint32_t before = atomic_load(&r->deaths);
    d->place->question = question;
    d->place->options = *options;
    d->place->size = size;
    d->place->room = d->room;         /* whatever a decoder wrote there */
    d->asked += d->asked + 1 ? 1 : 2; /* never 0 */
    atomic_store(&r->waiting, d->asked);
    atomic_store(&d->place->asked, d->asked);
    wake(&d->place->asked);
    enum outcome outcome = NOBODY;
    while (!atomic_load(&r->absent)) {
        const uint32_t answered = atomic_load(&d->place->answered);
        const bool died = atomic_load(&r->deaths) != before;
        if (died || answered == d->asked) {
            outcome = died ? DIED : ANSWERED;
            break;
        }
        wait_for(&d->place->answered, answered, 1);
        if (keeper_is_gone(d->all))
            atomic_store(&r->absent, true);
    }
    atomic_store(&r->waiting, 0);
    return outcome;
}

static limber_status say_death(const struct record *r, limber_error *err)
{
    static const struct {
        int number;
        const char *name;
    } signals[] = {
        {SIGSEGV, " (SIGSEGV)"}, {SIGBUS, " (SIGBUS)"},   {SIGABRT, " (SIGABRT)"}, {SIGILL, " (SIGILL)"},
        {SIGFPE, " (SIGFPE)"},   {SIGTRAP, " (SIGTRAP)"}, {SIGSYS, " (SIGSYS)"},   {SIGKILL, " (SIGKILL: no memory?)"}};
    const int status = atomic_load(&r->last_death);
    if (status == TOO_LATE)
        return limber_fail(err, LIMBER_E_FORMAT, "its decoder took more than %d s", DECODER_SECONDS);
    if (!WIFSIGNALED(status))
        return limber_fail(err, LIMBER_E_FORMAT, "its decoder ended with status %d", WEXITSTATUS(status));
    const char *name = "";
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        if (signals[i].number == WTERMSIG(status))
            name = signals[i].name;
    return limber_fail(err, LIMBER_E_FORMAT, "its decoder crashed: signal %d%s", WTERMSIG(status), name);
}

/* The status of an answer, with its sentence. */
static limber_status answered(const struct decoder *d, limber_error *err)
{
    const int status = d->place->status;
    if (status <= LIMBER_OK || status > LIMBER_E_BACKEND)
        return LIMBER_OK;
    char text[sizeof err->text];
    memcpy(text, d->place->error.text, sizeof text);
    text[sizeof text - 1] = 0;
    return limber_fail(err, (limber_status)status, "%s", text);
}

static limber_status nonsense(limber_error *err)
{
    return limber_fail(err, LIMBER_E_FORMAT, "its decoder's answer makes no sense");
}

/* Room for so many bytes. It is never made smaller, so that none of us reads beyond its end. */
static bool grow(struct decoder *d, size_t room)
{
    if (room <= d->room)
        return true;
    room = (room + 0xffff) & ~(size_t)0xffff;
    if (ftruncate(d->fd, (off_t)room))
        return false;
    uint8_t *area =
        d->area ? mremap(d->area, d->room, room, MREMAP_MAYMOVE) : mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_SHARED, d->fd, 0);
    if (area == MAP_FAILED)
        return false;
    d->area = area;
    d->room = room;
    return true;
}

/* A large picture's memory goes back. */
static void give_back(struct decoder *d)
{
    const size_t kept = d->all->kept;
    if (d->room > kept)
        fallocate(d->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)kept, (off_t)(d->room - kept));
}

static bool sizes_fit(int width, int height)
{
    return width > 0 && height > 0 && (uint64_t)width * (uint64_t)height <= IMAGE_MAX_PIXELS;
}

limber_status decoder_examine(struct decoder *d, struct image_about *out, const struct image_options *options,
                              const uint8_t *bytes, size_t size, limber_error *err)
{
    if (d)
        d->about = (struct image_about){0};
    if (!d || size > IMAGE_MAX_FILE_BYTES || !grow(d, pixels_begin(size) + 1))
        return image_examine(out, options, bytes, size, err);
    *out = (struct image_about){0};
    if (size)
        memcpy(d->area, bytes, size);
    const enum outcome outcome = ask(d, EXAMINE, options, size);
    if (outcome == NOBODY)
        return image_examine(out, options, bytes, size, err);
    limber_status st = outcome == DIED ? say_death(d->record, err) : answered(d, err);
    const struct place p = *d->place;
    if (!st && !sizes_fit(p.width, p.height))
        st = nonsense(err);
    if (st) {
        give_back(d);
        return st;
    }
    *out = (struct image_about){.width = p.width, .height = p.height, .memory = p.memory, .reducible = p.reducible != 0};
    out->format = image_format_named(p.format, sizeof p.format);
    out->memory += 3 * (size_t)p.width * (size_t)p.height;
    d->about = *out;
    return LIMBER_OK;
}

limber_status decoder_decode(struct decoder *d, struct image *out, const struct image_options *options, const uint8_t *bytes,
                             size_t size, limber_error *err)
{
    if (!d || !d->about.width) /* or it was examined in this process */
        return image_decode_with(out, options, bytes, size, err);
    *out = (struct image){0};
    const int step = d->about.reducible && options->reduce > 1 ? options->reduce : 1;
    const int width = (d->about.width + step - 1) / step, height = (d->about.height + step - 1) / step;
    const size_t row = 3 * (size_t)width, n = row * (size_t)height;
    const bool room = grow(d, pixels_begin(size) + n);
    const enum outcome outcome = room ? ask(d, DECODE, options, size) : NOBODY;
    if (outcome == NOBODY)
        return image_decode_with(out, options, bytes, size, err);
    uint8_t *pixels = malloc(n);
    limber_status st = !pixels           ? limber_fail(err, LIMBER_E_MEMORY, "no memory for %dx%d pixels", width, height)
                       : outcome == DIED ? say_death(d->record, err)
                                         : answered(d, err);
    const struct place p = *d->place;
    if (!st && (p.width != d->about.width || p.height != d->about.height || p.reduce != step || p.view_width != width ||
                p.view_height != height))
        st = nonsense(err);
    if (!st) {
        const char *decoder = image_decoder_named(p.decoder, sizeof p.decoder);
        memcpy(pixels, d->area + pixels_begin(size), n);
        *out = (struct image){.view = {.pixels = pixels, .width = width, .height = height, .stride = row},
                              .width = p.width,
                              .height = p.height,
                              .reduce = step,
                              .decoder = decoder ? decoder : "unknown"};
    } else {
        free(pixels);
    }
    give_back(d);
    return st;
}

/* ---- beginning and end ---- */

static void *shared(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

limber_status decoders_open(struct decoders **out, int count, bool sealed, limber_error *err)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct decoders *all = *out = calloc(1, sizeof *all);
    if (!all || !(all->v = calloc((size_t)count, sizeof *all->v)))
        goto no_memory;
    all->keeper_reads = all->we_write = -1;
    all->sealed = sealed;
    all->kept = KEPT_BYTES / (size_t)count < KEPT_BYTES_OF_ONE ? KEPT_BYTES / (size_t)count : KEPT_BYTES_OF_ONE;
    all->kept = (all->kept + page - 1) / page * page;
    all->place_bytes = (sizeof(struct place) + page - 1) / page * page;
    all->record_bytes = ((size_t)count * sizeof(struct record) + page - 1) / page * page;
    all->places = shared((size_t)count * all->place_bytes);
    all->records = shared(all->record_bytes);
    all->count = all->places && all->records ? count : 0;
    for (int i = 0; i < all->count; i++)
        all->v[i] = (struct decoder){.all = all,
                                     .place = (struct place *)(all->places + (size_t)i * all->place_bytes),
                                     .record = &all->records[i],
                                     .fd = -1};
    if (!all->count)
        goto no_memory;
    for (int i = 0; i < count; i++) {
        all->v[i].fd = memfd_create("limber picture", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (all->v[i].fd < 0 || fcntl(all->v[i].fd, F_ADD_SEALS, F_SEAL_SHRINK))
            goto failed;
    }
    int pipe[2];
    if (pipe2(pipe, O_CLOEXEC))
        goto failed;
    all->keeper_reads = pipe[0];
    all->we_write = pipe[1];
    if ((all->keeper = fork()) < 0)
        goto failed;
    if (!all->keeper)
        keep(all);
    close(all->keeper_reads);
    all->keeper_reads = -1;
    return LIMBER_OK;
failed:
    limber_fail(err, LIMBER_E_UNSUPPORTED, "%s", error_text(errno));
    decoders_close(out);
    return LIMBER_E_UNSUPPORTED;
no_memory:
    decoders_close(out);
    return limber_fail(err, LIMBER_E_MEMORY, "no memory for %d processes", count);
}

struct decoder *decoders_at(struct decoders *all, int worker)
{
    return all && worker < all->count ? &all->v[worker] : NULL;
}

void decoders_close(struct decoders **decoders)
{
    struct decoders *all = *decoders;
    if (!all)
        return;
    if (all->keeper_reads >= 0)
        close(all->keeper_reads);
    if (all->we_write >= 0)
        close(all->we_write);
    while (all->keeper > 0 && waitpid(all->keeper, NULL, 0) < 0 && errno == EINTR)
        ;
    for (int i = 0; i < all->count; i++) {
        if (all->v[i].area)
            munmap(all->v[i].area, all->v[i].room);
        if (all->v[i].fd >= 0)
            close(all->v[i].fd);
    }
    if (all->places)
        munmap(all->places, (size_t)all->count * all->place_bytes);
    if (all->records)
        munmap(all->records, all->record_bytes);
    free(all->v);
    free(all);
    *decoders = NULL;
}

#else /* another system */

limber_status decoders_open(struct decoders **out, int count, bool sealed, limber_error *err)
{
    (void)count, (void)sealed;
    *out = NULL;
    return limber_fail(err, LIMBER_E_UNSUPPORTED, "only on Linux");
}
void decoders_close(struct decoders **decoders)
{
    (void)decoders;
}
struct decoder *decoders_at(struct decoders *decoders, int worker)
{
    (void)decoders, (void)worker;
    return NULL;
}
limber_status decoder_examine(struct decoder *decoder, struct image_about *out, const struct image_options *options,
                              const uint8_t *bytes, size_t size, limber_error *err)
{
    (void)decoder;
    return image_examine(out, options, bytes, size, err);
}
limber_status decoder_decode(struct decoder *decoder, struct image *out, const struct image_options *options,
                             const uint8_t *bytes, size_t size, limber_error *err)
{
    (void)decoder;
    return image_decode_with(out, options, bytes, size, err);
}
#endif
