/* SPDX-License-Identifier: MIT */
/* rounds.c - whatever happens to a run, its lines are those of a run to which nothing happened.
 *
 *     rounds KIND [--rounds N] [--seed S] [--every K]       LIMBER, LIMBER_SHIM and LIMBER_TEST_DIR say with what
 *
 *     errors    every call that the run makes of files and threads fails once, by each errno that fits, or is cut short (shim.c)
 *     memory    every Kth allocation fails, and every one from there on
 *     signals   SIGINT, SIGTERM, SIGKILL, SIGHUP, SIGPIPE, a stop and a continuation, at random moments, up to three in a row
 *     changes   pictures are cut, grow, vanish at the moment at which they are opened or read; so are weights
 *     clocks    clocks jump
 *     limits    few descriptors, little memory, short files
 *     writers   two runs go on with one folder at once, and one of them may be killed
 *
 * After each mishap: the exit status is one that the command documents; what stands in poses.jsonl are whole lines, in order, each the
 * one of the quiet run or an error of that picture; no half-made file lies about. Then --resume goes on without mishaps, and the
 * folder is that of the quiet run to the byte, but for pictures that have an error already, which are counted. Without an error line
 * left nothing may differ. One line a defect; exit status 0: none. The same seed gives the same mishaps (signals: the same moments). */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *limber, *shim, *tests;
static char model[4096];
static long rounds = -1, every = 1;
static uint64_t seed = 1;
static bool without_heif; /* see shim.c */
static bool in_one;       /* process: the decoders' memory is the run's */
static bool cannot_clean; /* the mishap is one of those calls that tell what is one's own, or remove it */
static int defects, done_rounds, failed_pictures, complete_at_once;

static uint32_t pick(uint32_t below)
{
    seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
    return (uint32_t)((seed * 0x9e3779b97f4a7c15u) >> 33) % below;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void die(const char *what)
{
    fprintf(stderr, "rounds: %s: %s\n", what, strerror(errno));
    exit(2);
}

/* ---- files ---- */

static char *slurp(const char *path, size_t *size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st))
        return fd < 0 ? NULL : (close(fd), NULL);
    char *bytes = malloc((size_t)st.st_size + 1);
    ssize_t n = bytes ? read(fd, bytes, (size_t)st.st_size) : -1;
    close(fd);
    if (n != st.st_size)
        die(path);
    bytes[n] = 0;
    *size = (size_t)n;
    return bytes;
}

static void copy(const char *from, const char *to)
{
    size_t size = 0;
    char *bytes = slurp(from, &size);
    int fd = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (!bytes || fd < 0 || write(fd, bytes, size) != (ssize_t)size || close(fd))
        die(to);
    free(bytes);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)st, (void)type, (void)where;
    return remove(path);
}
static void remove_tree(const char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static char litter[4096];
static int find_litter(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)st, (void)type;
    const char *name = path + where->base;
    if (strstr(name, ".tmp") || strstr(name, ".partial"))
        snprintf(litter, sizeof litter, "%s", path);
    return 0;
}
static const char *litter_of(const char *dir)
{
    *litter = 0;
    nftw(dir, find_litter, 16, FTW_PHYS);
    return *litter ? litter : NULL;
}

/* Is everything below `dir` that a result is made of what it is below `base`? Overlays of `failed` pictures may be missing. */
static char different[5000];
static const char *base_dir, *other_dir, *failed_names;
static int compare_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)st, (void)where;
    char other[4500];
    const char *relative = path + strlen(base_dir);
    if (type != FTW_F || !strcmp(relative, "/run.json") || !strcmp(relative, "/poses.jsonl"))
        return 0;
    if (failed_names && *failed_names) {
        char name[600];
        snprintf(name, sizeof name, "%.500s", path + where->base);
        if ((!strcmp(relative, "/coco_results.json") || !strcmp(relative, "/index.html")))
            return 0;
        name[strlen(name) - strlen(".png")] = 0;
        if (strstr(failed_names, name))
            return 0;
    }
    snprintf(other, sizeof other, "%.200s%.4000s", other_dir, relative);
    size_t a, b;
    char *x = slurp(path, &a), *y = slurp(other, &b);
    if (!x || !y || a != b || memcmp(x, y, a))
        snprintf(different, sizeof different, "%s %s", other, y ? "differs" : "is missing");
    free(x);
    free(y);
    return 0;
}

/* The line of `text` that begins with the first n bytes of `line`. */
static const char *line_like(const char *text, const char *line, size_t n)
{
    while (*text && strncmp(text, line, n)) {
        text = strchr(text, '\n');
        text += *text == '\n';
    }
    return text;
}

/* Whole lines, in order, each the base's or an error of the same picture. NULL, or what is wrong; *lines how many, failed the names of
 * those with an error that base has not. A folder that could not be read to its end has a line too, and what it told of goes on from
 * there: then the order is another. */
static const char *check_lines(const char *dir, const char *base, bool whole, int *lines, char *failed, size_t room)
{
    static const char folder_failed[] = "{\"image\":\"photos\",\"error\":\"folder cannot be read";
    static char why[512];
    char path[600];
    size_t size = 0, wanted_size, seen[64] = {0};
    long last = -1;
    *lines = 0;
    *failed = 0;
    snprintf(path, sizeof path, "%s/poses.jsonl", dir);
    char *text = slurp(path, &size);
    snprintf(path, sizeof path, "%s/poses.jsonl", base);
    char *wanted = slurp(path, &wanted_size);
    *why = 0;
    if (!wanted)
        die(path);
    const bool any_order = text && strstr(text, folder_failed);
    for (char *line = text, *end; line && *line && !*why; line = end + 1) {
        if (!(end = strchr(line, '\n'))) {
            if (whole)
                snprintf(why, sizeof why, "a line is torn after %d: %.60s", *lines, line);
            break;
        }
        if (!strncmp(line, folder_failed, sizeof folder_failed - 1)) {
            strcat(failed, "photos ");
            continue;
        }
        const char *rest = memmem(line, (size_t)(end - line), "\",\"", 3);
        const size_t name = rest ? (size_t)(rest - line) + 1 : 1;
        const char *right = line_like(wanted, line, name);
        const long at = right - wanted;
        const size_t whole_line = (size_t)(end - line) + 1;
        for (int i = 0; i < *lines; i++)
            if (seen[i] == (size_t)at)
                snprintf(why, sizeof why, "line %d is there twice: %.100s", *lines + 1, line);
        if (!*right || *lines == 64 || (at < last && !any_order))
            snprintf(why, sizeof why, "line %d is of no picture, or out of order: %.100s", *lines + 1, line);
        else if (strncmp(right, line, whole_line) && strncmp(line + name, ",\"error\":\"", 10))
            snprintf(why, sizeof why, "line %d is another one: %.100s", *lines + 1, line);
        else if (strncmp(right, line, whole_line))
            snprintf(failed + strlen(failed), room - strlen(failed), "%.*s ", (int)name, line);
        seen[(*lines)++] = (size_t)at;
        last = at;
    }
    free(text);
    free(wanted);
    return *why ? why : NULL;
}

/* ---- runs ---- */

struct mishap {
    const char *fault, *part; /* LIMBER_FAULT, LIMBER_FAULT_PATH */
    const char *counts;
    int limit; /* RLIMIT_*; -1: none */
    rlim_t at;
    const char *model;
};

static pid_t start(const char *dir, const struct mishap *m, bool resume)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid)
        return pid;
    int err = open("err", O_WRONLY | O_CREAT | O_TRUNC, 0666);
    dup2(err, STDERR_FILENO);
    dup2(err, STDOUT_FILENO);
    close(err);
    if (without_heif || (m && (m->fault || m->counts)))
        setenv("LD_PRELOAD", shim, 1);
    if (without_heif)
        setenv("LIMBER_FAULT_NO_HEIF", "1", 1);
    if (m) {
        if (m->fault)
            setenv("LIMBER_FAULT", m->fault, 1);
        if (m->part)
            setenv("LIMBER_FAULT_PATH", m->part, 1);
        if (m->counts)
            setenv("LIMBER_FAULT_COUNTS", m->counts, 1);
    }
    setenv("MALLOC_PERTURB_", "165", 1);
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    if (m && m->limit >= 0) {
        struct rlimit l = {m->at, m->at};
        setrlimit((__rlimit_resource_t)m->limit, &l);
    }
    const char *arguments[] = {limber,
                               "run",
                               "photos",
                               "--model",
                               m && m->model ? m->model : model,
                               "--whole",
                               "--quiet",
                               "--threads",
                               "2",
                               "--batch",
                               "2",
                               "--overlay",
                               "--coco",
                               "--out",
                               dir,
                               resume ? "--resume" : "--quiet",
                               in_one ? "--isolate=off" : NULL,
                               NULL};
    execv(limber, (char **)arguments);
    _exit(127);
}

/* The exit status; -N: signal N; -1000: it would not end. */
static int wait_for(pid_t pid)
{
    int status;
    for (double end = now() + 120; now() < end;) {
        const pid_t p = waitpid(pid, &status, WNOHANG);
        if (p == pid)
            return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
        usleep(500);
    }
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    return -1000;
}

static void defect(const char *what, const char *round)
{
    size_t size;
    char *err = slurp("err", &size);
    printf("DEFECT: %s: %s\n    stderr: %.300s\n", round, what, err ? err : "");
    free(err);
    defects++;
}

/* What must hold of a folder once a run has ended, however. */
static void check_after(const char *round, int status, bool killed)
{
    char failed[4096], text[256];
    int lines;
    size_t size = 0;
    const char *why = check_lines("o", "base", !killed, &lines, failed, sizeof failed);
    char *err = slurp("err", &size);
    if (why)
        defect(why, round);
    else if (status == -1000)
        defect("does not end", round);
    else if (status < 0 && !killed)
        snprintf(text, sizeof text, "killed by signal %d", -status), defect(text, round);
    else if (status > 2 && status != 130)
        snprintf(text, sizeof text, "status %d", status), defect(text, round);
    else if (status > 0 && status < 130 && !size)
        defect("fails without a word", round);
    else if (status >= 0 && !cannot_clean && litter_of("o"))
        defect(litter, round);
    base_dir = "base", other_dir = "o", failed_names = NULL, *different = 0;
    if (status == 0 && !killed) {
        nftw("base", compare_one, 16, FTW_PHYS);
        if (*different || *failed)
            defect(*different ? different : "status 0, and a picture failed", round);
        complete_at_once++;
    }
    free(err);
}

/* --resume without mishaps makes it whole. */
static void check_resumed(const char *round)
{
    char failed[4096], text[5000];
    int lines, wanted;
    char none[8];
    int status = wait_for(start("o", NULL, true));
    check_lines("base", "base", true, &wanted, none, sizeof none);
    const char *why = check_lines("o", "base", true, &lines, failed, sizeof failed);
    base_dir = "base", other_dir = "o", failed_names = failed, *different = 0;
    nftw("base", compare_one, 16, FTW_PHYS);
    if (status != (*failed ? 1 : 0))
        snprintf(text, sizeof text, "resumed: status %d, failed: %s", status, failed), defect(text, round);
    else if (why || lines != wanted)
        snprintf(text, sizeof text, "resumed: %s, %d of %d lines", why ? why : "lost", lines, wanted), defect(text, round);
    else if (*different)
        snprintf(text, sizeof text, "resumed: %s", different), defect(text, round);
    else if (litter_of("o"))
        snprintf(text, sizeof text, "resumed, and left: %s", litter), defect(text, round);
    cannot_clean = false;
    for (char *p = failed; (p = strchr(p, ' ')); p++)
        failed_pictures++;
    done_rounds++;
}

/* ---- what is run ---- */

static void make_photos(void)
{
    static const char *const from[] = {"ok_baseline.jpg", "ok_exif_6.jpg",     "ok_rgb8.png", "ok_subsampled_odd_47x31.jpg",
                                       "ok_rgb24.bmp",    "ok_progressive.jpg"};
    remove_tree("photos");
    if (mkdir("photos", 0777))
        die("photos");
    for (size_t i = 0; i < sizeof from / sizeof *from; i++) {
        char source[4300], name[64];
        snprintf(source, sizeof source, "%.4000s/corpus/images/%s", tests, from[i]);
        snprintf(name, sizeof name, "photos/%012zu%s", i + 1, strrchr(from[i], '.'));
        copy(source, name);
    }
}

static void one(const char *round, const struct mishap *m)
{
    remove_tree("o");
    const int status = wait_for(start("o", m, true));
    if (status != 127) /* else the loader already could not: it did not begin */
        check_after(round, status, false);
    check_resumed(round);
}

static long count_of(const char *call)
{
    size_t size;
    char *text = slurp("counts", &size), *at = text;
    const size_t n = strlen(call);
    long count = 0;
    while (at && *at && !count) {
        if (!strncmp(at, call, n) && at[n] == ' ')
            count = strtol(at + n, NULL, 10);
        at = strchr(at, '\n');
        at += at != NULL;
    }
    free(text);
    return count;
}

static void fault(const char *call, long n, bool onwards, const char *how)
{
    char text[64];
    snprintf(text, sizeof text, "%s %ld%s %s", call, n, onwards ? "+" : "", how);
    const int complete = complete_at_once;
    cannot_clean = !strcmp(call, "fstat") || !strcmp(call, "unlink");
    one(text, &(struct mishap){.fault = text, .limit = -1});
    /* a signal that came between and half of what was asked for are no failures */
    if ((!strcmp(how, "4") || !strcmp(how, "short")) && complete == complete_at_once)
        defect("is no failure, and was taken for one", text);
}

static void errors(void)
{
    /* EIO 5, EINTR 4, EACCES 13, EMFILE 24, ENOSPC 28, EAGAIN 11, ENOMEM 12, EDQUOT 122, ENOLCK 37 */
    static const struct {
        const char *call, *how[5];
    } plan[] = {{"open", {"5", "24", "4"}},
                {"read", {"5", "4", "short"}},
                {"pread", {"5", "4", "short"}},
                {"write", {"28", "5", "4", "11", "short"}},
                {"close", {"5", "28", "4"}},
                {"fsync", {"5", "28", "4"}},
                {"rename", {"5", "28"}},
                {"mmap", {"12"}},
                {"ftruncate", {"5"}},
                {"mkdir", {"28", "13"}},
                {"unlink", {"5"}},
                {"flock", {"37", "4"}},
                {"fstat", {"5"}},
                {"dup", {"24"}},
                {"readdir", {"5"}},
                {"opendir", {"5", "24"}},
                {"realpath", {"13"}},
                {"getdelim", {"5"}},
                {"fopen", {"24", "5"}},
                {"fread", {"5"}},
                {"fdopen", {"12"}},
                {"pthread_create", {"11"}}};
    for (size_t c = 0; c < sizeof plan / sizeof *plan; c++) {
        const long n = count_of(plan[c].call);
        for (int h = 0; h < 5 && plan[c].how[h]; h++) {
            for (long k = 1; k <= n; k++)
                if ((k + h) % every == 0 || k == 1)
                    fault(plan[c].call, k, false, plan[c].how[h]);
            /* a disk that is full stays so; an interruption that goes on for ever is none */
            if (n && strcmp(plan[c].how[h], "4") && strcmp(plan[c].how[h], "11"))
                for (long k = 1; k <= n; k += 1 + n / (every < 4 ? 4 : 1))
                    fault(plan[c].call, k, true, plan[c].how[h]);
        }
    }
}

/* What a run meets when it goes on with one that was stopped half way: reading its lines, cutting the torn one. */
static void resumed_errors(void)
{
    static const struct {
        const char *call, *how;
    } plan[] = {{"getdelim", "5"}, {"getdelim", "12"}, {"ftruncate", "5"}, {"fdopen", "12"}, {"dup", "24"},
                {"fopen", "5"},    {"open", "5"},      {"open", "24"},     {"read", "5"},    {"fstat", "5"},
                {"rename", "28"},  {"fsync", "5"},     {"write", "28"}};
    remove_tree("half");
    if (mkdir("half", 0777))
        die("half");
    copy("base/run.json", "half/run.json");
    size_t size;
    char *text = slurp("base/poses.jsonl", &size), *at = text;
    for (int i = 0; i < 3; i++)
        at = strchr(at, '\n') + 1;
    FILE *f = fopen("half/poses.jsonl", "w");
    fwrite(text, 1, (size_t)(at - text) + 20, f);
    fclose(f);
    free(text);
    for (size_t c = 0; c < sizeof plan / sizeof *plan; c++)
        for (long k = 1; k <= 12; k += every < 5 ? every : 5) {
            char round[64];
            snprintf(round, sizeof round, "%s %ld %s", plan[c].call, k, plan[c].how);
            remove_tree("o");
            if (mkdir("o", 0777) || mkdir("o/overlay", 0777) || mkdir("o/overlay/photos", 0777))
                die("o");
            copy("half/run.json", "o/run.json");
            copy("half/poses.jsonl", "o/poses.jsonl");
            DIR *d = opendir("base/overlay/photos");
            for (struct dirent *e; (e = readdir(d));)
                if (e->d_name[0] == '0' && atoi(e->d_name) <= 3) {
                    char from[600], to[600];
                    snprintf(from, sizeof from, "base/overlay/photos/%s", e->d_name);
                    snprintf(to, sizeof to, "o/overlay/photos/%s", e->d_name);
                    copy(from, to);
                }
            closedir(d);
            const struct mishap m = {.fault = round, .limit = -1};
            const int status = wait_for(start("o", &m, true));
            /* where it could not begin, the torn line may still be there; the whole ones must be */
            char failed[4096];
            int lines;
            const char *why = check_lines("o", "base", false, &lines, failed, sizeof failed);
            if (why || lines < 3)
                defect(why ? why : "finished lines are gone", round);
            if (status < 0 || (status > 2 && status != 130))
                defect("an undocumented end", round);
            check_resumed(round);
        }
}

static void memory(void)
{
    static const char *const calls[] = {"malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc"};
    for (size_t c = 0; c < sizeof calls / sizeof *calls; c++) {
        const long n = count_of(calls[c]);
        for (long k = 1 + (long)pick((uint32_t)every); k <= n; k += every) {
            fault(calls[c], k, false, "12");
            if (k % 3 == 0)
                fault(calls[c], k, true, "12");
        }
    }
}

static void signals(double takes)
{
    static const int kinds[] = {SIGINT, SIGTERM, SIGKILL, SIGHUP, SIGPIPE, SIGSTOP};
    int ends[256] = {0}, left = 0;
    for (long i = 0; i < rounds; i++) {
        char round[128];
        remove_tree("o");
        const int in_a_row = 1 + (int)pick(3), which = kinds[pick(6)];
        for (int k = 0; k < in_a_row; k++) {
            const useconds_t moment = (useconds_t)(takes * 1.1e6 * pick(1000000) / 1e6);
            snprintf(round, sizeof round, "round %ld: %s after %u us, %d of %d", i, strsignal(which), (unsigned)moment, k + 1,
                     in_a_row);
            const pid_t pid = start("o", NULL, k || pick(2));
            usleep(moment);
            kill(pid, which);
            if (which == SIGSTOP) {
                usleep(2000);
                kill(pid, SIGCONT);
            }
            const int status = wait_for(pid);
            ends[status & 255]++;
            left += status < 0 && litter_of("o");
            check_after(round, status, status < 0);
            if (status < 0 && which != SIGKILL && which != SIGHUP && which != SIGINT && which != SIGTERM && which != SIGPIPE)
                defect("killed by another signal", round);
        }
        check_resumed(round);
    }
    printf("ends:");
    for (int i = 0; i < 256; i++)
        if (ends[i])
            printf(i > 200 ? "  signal %d: %d" : "  status %d: %d", i > 200 ? 256 - i : i, ends[i]);
    printf("; %d left a half-made file behind, none did after --resume\n", left);
}

static void changes(void)
{
    static const char *const what[] = {"shrink", "grow", "vanish"};
    static const char *const when[] = {"open", "read", "pread"};
    struct mishap m = {.limit = -1};
    for (size_t w = 0; w < 3; w++) {
        const long n = count_of(when[w]);
        for (size_t i = 0; i < 3; i++)
            for (long k = 1 + (long)i % every; k <= n; k += every) {
                char text[64], round[128];
                snprintf(text, sizeof text, "%s %ld %s", when[w], k, what[i]);
                snprintf(round, sizeof round, "a picture: %s", text);
                make_photos();
                remove_tree("o");
                m.fault = text, m.part = "photos/", m.model = NULL;
                check_after(round, wait_for(start("o", &m, true)), false);
                /* the last run went by what was there then: the folder is whole again, except for pictures with an error */
                make_photos();
                check_resumed(round);
                /* the weights: whole, or refused; never numbers of two files */
                system("rm -rf weights && mkdir weights"); // NOLINT
                static const char *const files[] = {"config.json", "preprocessor_config.json", "model.safetensors"};
                for (int j = 0; j < 3; j++) {
                    char from[4300], to[64];
                    snprintf(from, sizeof from, "%s/%s", model, files[j]);
                    snprintf(to, sizeof to, "weights/%s", files[j]);
                    copy(from, to);
                }
                snprintf(round, sizeof round, "a model: %s", text);
                remove_tree("o");
                m.part = "weights/", m.model = "weights";
                const int status = wait_for(start("o", &m, true));
                if (status != 0 && status != 2)
                    defect("the model changed, and this is no answer", round);
                char failed[4096];
                int lines;
                const char *why = check_lines("o", "base", true, &lines, failed, sizeof failed);
                if (why || *failed)
                    defect(why ? why : failed, round);
                done_rounds++;
            }
    }
}

static void clocks(void)
{
    for (long i = 0; i < rounds; i++) {
        char text[64];
        snprintf(text, sizeof text, "clock_gettime 1+ %ld", i + 1);
        remove_tree("o");
        const int status = wait_for(start("o", &(struct mishap){.fault = text, .limit = -1}, true));
        check_after(text, status, false);
        if (status)
            defect("a clock jumped, and the run failed", text);
        check_resumed(text);
    }
}

static void limits(void)
{
    char round[64];
    struct rlimit full;
    getrlimit(RLIMIT_NOFILE, &full);
    for (rlim_t n = 4; n <= 16; n += (rlim_t)every) {
        snprintf(round, sizeof round, "ulimit -n %lu", (unsigned long)n);
        one(round, &(struct mishap){.limit = RLIMIT_NOFILE, .at = n});
    }
    for (rlim_t kb = 0; kb <= 4; kb++) {
        for (rlim_t more = kb ? 0 : 171; more < 1024;
             more += 171 * (rlim_t)every) { /* of 0 bytes, what is said has no room either */
            snprintf(round, sizeof round, "ulimit -f, %lu bytes", (unsigned long)(kb * 1024 + more));
            one(round, &(struct mishap){.limit = RLIMIT_FSIZE, .at = kb * 1024 + more});
        }
    }
    for (rlim_t mb = 8; mb <= 400; mb += (mb < 120 ? 4 : 40) * (rlim_t)every) {
        snprintf(round, sizeof round, "ulimit -v, %lu MB", (unsigned long)mb);
        remove_tree("o");
        const int status = wait_for(start("o", &(struct mishap){.limit = RLIMIT_AS, .at = mb << 20}, true));
        if (status != 127) /* the loader itself had no memory */
            check_after(round, status, false);
        check_resumed(round);
    }
}

static void writers(double takes)
{
    for (long i = 0; i < rounds; i++) {
        char round[96];
        remove_tree("o");
        const useconds_t later = (useconds_t)(takes * 1e6 * pick(1000) / 1000);
        const bool kills = pick(3) == 0;
        const pid_t a = start("o", NULL, true);
        usleep(later);
        const pid_t b = start("o", NULL, true);
        if (kills) {
            usleep((useconds_t)(takes * 1e6 * pick(1000) / 1000));
            kill(a, SIGKILL);
        }
        const int first = wait_for(a), second = wait_for(b);
        snprintf(round, sizeof round, "round %ld: a second writer %u us later: %d and %d", i, (unsigned)later, first, second);
        if ((first != 0 && first != 2 && !(kills && first == -SIGKILL)) || (second != 0 && second != 2))
            defect("an undocumented end", round);
        if (first == 2 && second == 2)
            defect("each refused because of the other", round);
        char failed[4096];
        int lines;
        const char *why = check_lines("o", "base", false, &lines, failed, sizeof failed);
        if (why || *failed)
            defect(why ? why : failed, round);
        check_resumed(round);
    }
}

int main(int argc, char **argv)
{
    const char *kind = argc > 1 ? argv[1] : "";
    for (int i = 2; i + 1 < argc; i += 2) {
        const long n = strtol(argv[i + 1], NULL, 10);
        if (!strcmp(argv[i], "--rounds"))
            rounds = n;
        else if (!strcmp(argv[i], "--seed"))
            seed = (uint64_t)n * 2 + 1;
        else if (!strcmp(argv[i], "--every"))
            every = n;
    }
    limber = getenv("LIMBER"), shim = getenv("LIMBER_SHIM"), tests = getenv("LIMBER_TEST_DIR");
    if (!limber || !shim || !tests || every < 1) {
        fprintf(stderr, "usage: LIMBER=... LIMBER_SHIM=... LIMBER_TEST_DIR=... %s KIND [--rounds N] [--seed S] [--every K]\n",
                argv[0]);
        return 2;
    }
    signal(SIGPIPE, SIG_DFL);
    unsetenv("LIMBER_MODEL");
    snprintf(model, sizeof model, "%s/golden/simple-hd32", tests);
    char work[] = "/tmp/limber-rounds-XXXXXX";
    if (!mkdtemp(work) || chdir(work))
        die(work);
    make_photos();
    in_one = !strcmp(kind, "memory");
    without_heif = !strcmp(kind, "memory") || !strcmp(kind, "limits");
    const double begin = now();
    if (wait_for(start("base", NULL, false))) {
        defect("the quiet run failed", "base");
        return 2;
    }
    const double takes = now() - begin;
    /* and the shim, where it does nothing, changes nothing; what it counted is what can fail */
    one("the shim alone", &(struct mishap){.counts = "counts", .limit = -1});
    if (!strcmp(kind, "errors"))
        errors(), resumed_errors();
    else if (!strcmp(kind, "memory"))
        memory();
    else if (!strcmp(kind, "signals"))
        rounds = rounds < 0 ? 500 : rounds, signals(takes);
    else if (!strcmp(kind, "changes"))
        changes();
    else if (!strcmp(kind, "clocks"))
        rounds = rounds < 0 ? 50 : rounds, clocks();
    else if (!strcmp(kind, "limits"))
        limits();
    else if (!strcmp(kind, "writers"))
        rounds = rounds < 0 ? 100 : rounds, writers(takes);
    else
        fprintf(stderr, "rounds: errors, memory, signals, changes, clocks, limits or writers?\n"), defects++;
    printf("%s: %d rounds, %d defects; %d were complete at once, %d pictures had an error; %.1f s\n", kind, done_rounds, defects,
           complete_at_once, failed_pictures, now() - begin);
    if (chdir("/"))
        return 2;
    remove_tree(work);
    return defects != 0;
}
