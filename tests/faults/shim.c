/* SPDX-License-Identifier: MIT */
/* shim.c - preloaded into the command, makes one call of libc's go wrong: the machine of the unlucky, on purpose and again and again.
 *
 *     LIMBER_FAULT="write 3 28"        the third write fails with errno 28 (ENOSPC)
 *     LIMBER_FAULT="write 3+ 28"       and every one after it
 *     LIMBER_FAULT="read 2 short"      the second read gives half of what was asked for
 *     LIMBER_FAULT="read 2 shrink"     before it, the file behind it is cut to half, if its path has LIMBER_FAULT_PATH in it;
 *                                      grow and vanish likewise
 *     LIMBER_FAULT="clock_gettime 1 7" clocks jump, from seed 7: the wall clock anywhere, the monotonic one ahead
 *     LIMBER_FAULT="landlock 1+ 38"    the kernel has no Landlock
 *     LIMBER_FAULT_NO_HEIF=1           there is no libheif
 *     LIMBER_FAULT_COUNTS=FILE         at the end, a line "CALL COUNT" for each call that was made
 *
 * Calls inside libc (what getline reads, say) do not come through here, so the functions above them are failed instead. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Headers of a fortified build define some of these as inline functions that call __NAME_chk. */
#undef _FORTIFY_SOURCE

enum { SHORT = -1, SHRINK = -2, GROW = -3, VANISH = -4, NOTHING = -5 };

/* clang-format off */
#define CALLS(X) \
    X(open) X(read) X(pread) X(write) X(close) X(fsync) X(rename) X(mmap) X(ftruncate) X(mkdir) X(unlink) X(flock) X(fstat) \
    X(dup) X(readdir) X(opendir) X(realpath) X(getdelim) X(fopen) X(fread) X(fdopen) X(pthread_create) X(malloc) X(calloc) \
    X(realloc) X(posix_memalign) X(aligned_alloc) X(clock_gettime) X(landlock)
/* clang-format on */
#define NAME(call) C_##call,
enum { CALLS(NAME) CALL_COUNT };
#define TEXT(call) #call,
static const char *const names[] = {CALLS(TEXT)};

static long made[CALL_COUNT];
static int chosen = -1, how = NOTHING;
static long first;
static int onwards;
static const char *path_part, *counts;

/* As soon as anything asks, which may be before constructors run. Nothing here allocates. */
static void begin(void)
{
    static int begun;
    if (begun)
        return;
    begun = 1;
    path_part = getenv("LIMBER_FAULT_PATH");
    counts = getenv("LIMBER_FAULT_COUNTS");
    const char *fault = getenv("LIMBER_FAULT"), *end = fault ? strchr(fault, ' ') : NULL;
    if (!end)
        return;
    for (int i = 0; i < CALL_COUNT; i++)
        if (strlen(names[i]) == (size_t)(end - fault) && !strncmp(names[i], fault, (size_t)(end - fault)))
            chosen = i;
    char *rest;
    first = strtol(end, &rest, 10);
    onwards = *rest == '+';
    rest += onwards;
    static const char *const kinds[] = {" short", " shrink", " grow", " vanish"};
    how = (int)strtol(rest, NULL, 10);
    for (int i = 0; i < 4; i++)
        if (!strcmp(rest, kinds[i]))
            how = -1 - i;
    if (chosen < 0) { /* a name with a spelling error must not pass for a fault that was survived */
        static const char text[] = "shim: LIMBER_FAULT names no call that it knows\n";
        (void)!syscall(SYS_write, 2, text, sizeof text - 1);
        _exit(99);
    }
}

/* What is to happen at this call: an errno, SHORT and the like, or NOTHING. */
static int fate(int call)
{
    begin();
    const long n = __atomic_add_fetch(&made[call], 1, __ATOMIC_SEQ_CST);
    return call == chosen && (n == first || (onwards && n > first)) ? how : NOTHING;
}

__attribute__((destructor)) static void end(void)
{
    char line[64];
    int fd = counts ? (int)syscall(SYS_openat, AT_FDCWD, counts, O_WRONLY | O_CREAT | O_TRUNC, 0666) : -1;
    for (int i = 0; fd >= 0 && i < CALL_COUNT; i++)
        if (made[i])
            (void)!syscall(SYS_write, fd, line, (size_t)snprintf(line, sizeof line, "%s %ld\n", names[i], made[i]));
}

/* Something happens to a file under our hands. Whatever it is, the call itself goes on. */
static void happen(int what, const char *path)
{
    struct stat st;
    if (!path_part || !strstr(path, path_part) || strstr(path, "overlay/") || syscall(SYS_newfstatat, AT_FDCWD, path, &st, 0) ||
        !S_ISREG(st.st_mode))
        return;
    if (what == SHRINK)
        (void)!truncate(path, st.st_size / 2);
    if (what == VANISH)
        syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    if (what == GROW) {
        static const char junk[5000] = {"more"};
        int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_APPEND, 0);
        (void)!syscall(SYS_write, fd, junk, sizeof junk);
        syscall(SYS_close, fd);
    }
}
static void happen_to(int what, int fd)
{
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n > 0) {
        path[n] = 0;
        happen(what, path);
    }
}

/* "landlock": a kernel that has none. */
long syscall(long number, ...)
{
    static long (*real)(long, ...);
    va_list more;
    long a[6];
    if (!real)
        real = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
    va_start(more, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(more, long);
    va_end(more);
    const int f = number == 444 /* landlock_create_ruleset */ ? fate(C_landlock) : NOTHING;
    if (f >= 0) {
        errno = f;
        return -1;
    }
    return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

#define REAL(result, call, parameters)                                                                                           \
    static result(*real) parameters;                                                                                             \
    if (!real)                                                                                                                   \
        real = (result(*) parameters)dlsym(RTLD_NEXT, #call);                                                                    \
    const int f = fate(C_##call)
#define FAIL(value)                                                                                                              \
    if (f >= 0) {                                                                                                                \
        errno = f;                                                                                                               \
        return value;                                                                                                            \
    }

/* ---- files ---- */

static int open_any(const char *path, int flags, mode_t mode)
{
    REAL(int, open, (const char *, int, ...));
    FAIL(-1)
    if (f != NOTHING)
        happen(f, path);
    return real(path, flags, mode);
}
int open(const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    const mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;
    va_end(more);
    return open_any(path, flags, mode);
}
int __open_2(const char *path, int flags);
int __open_2(const char *path, int flags)
{
    return open_any(path, flags, 0);
}
ssize_t read(int fd, void *bytes, size_t size)
{
    REAL(ssize_t, read, (int, void *, size_t));
    FAIL(-1)
    if (f < SHORT && f != NOTHING)
        happen_to(f, fd);
    return real(fd, bytes, f == SHORT ? (size + 1) / 2 : size);
}
ssize_t __read_chk(int fd, void *bytes, size_t size, size_t room);
ssize_t __read_chk(int fd, void *bytes, size_t size, size_t room)
{
    if (size > room)
        abort();
    return read(fd, bytes, size);
}
ssize_t pread(int fd, void *bytes, size_t size, off_t at)
{
    REAL(ssize_t, pread, (int, void *, size_t, off_t));
    FAIL(-1)
    if (f < SHORT && f != NOTHING)
        happen_to(f, fd);
    return real(fd, bytes, f == SHORT ? (size + 1) / 2 : size, at);
}
ssize_t __pread_chk(int fd, void *bytes, size_t size, off_t at, size_t room);
ssize_t __pread_chk(int fd, void *bytes, size_t size, off_t at, size_t room)
{
    if (size > room)
        abort();
    return pread(fd, bytes, size, at);
}
ssize_t write(int fd, const void *bytes, size_t size)
{
    REAL(ssize_t, write, (int, const void *, size_t));
    if (fd == STDERR_FILENO)
        return real(fd, bytes, size); /* what is said about it is not what is tested */
    FAIL(-1)
    return real(fd, bytes, f == SHORT ? (size + 1) / 2 : size);
}
int close(int fd)
{
    REAL(int, close, (int));
    if (f >= 0) { /* Linux has closed it nevertheless */
        real(fd);
        errno = f;
        return -1;
    }
    return real(fd);
}

#define PLAIN(result, call, parameters, arguments, failure)                                                                      \
    result call parameters                                                                                                       \
    {                                                                                                                            \
        REAL(result, call, parameters);                                                                                          \
        FAIL(failure)                                                                                                            \
        return real arguments;                                                                                                   \
    }
/* clang-format off */
PLAIN(int, fsync, (int fd), (fd), -1)
PLAIN(int, rename, (const char *a, const char *b), (a, b), -1)
PLAIN(int, ftruncate, (int fd, off_t n), (fd, n), -1)
PLAIN(int, mkdir, (const char *a, mode_t m), (a, m), -1)
PLAIN(int, unlink, (const char *a), (a), -1)
PLAIN(int, flock, (int fd, int what), (fd, what), -1)
PLAIN(int, fstat, (int fd, struct stat *s), (fd, s), -1)
PLAIN(int, dup, (int fd), (fd), -1)
PLAIN(struct dirent *, readdir, (DIR *d), (d), NULL)
PLAIN(DIR *, opendir, (const char *a), (a), NULL)
PLAIN(char *, realpath, (const char *restrict a, char *restrict b), (a, b), NULL)
PLAIN(FILE *, fopen, (const char *restrict a, const char *restrict b), (a, b), NULL)
PLAIN(FILE *, fdopen, (int fd, const char *a), (fd, a), NULL)
PLAIN(void *, mmap, (void *a, size_t n, int p, int flags, int fd, off_t o), (a, n, p, flags, fd, o), MAP_FAILED)
PLAIN(ssize_t, getdelim, (char **restrict l, size_t *restrict n, int d, FILE *restrict s), (l, n, d, s), -1)
PLAIN(size_t, fread, (void *restrict p, size_t n, size_t m, FILE *restrict s), (p, n, m, s), 0)
/* clang-format on */
ssize_t __getdelim(char **restrict line, size_t *restrict room, int delimiter, FILE *restrict stream);
ssize_t __getdelim(char **restrict line, size_t *restrict room, int delimiter, FILE *restrict stream)
{
    return getdelim(line, room, delimiter, stream);
}

/* ---- threads, memory, time ---- */

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument)
{
    REAL(int, pthread_create, (pthread_t *, const pthread_attr_t *, void *(*)(void *), void *));
    return f >= 0 ? f : real(thread, attributes, start, argument);
}

#ifdef __GLIBC__ /* which has a way round dlsym, that allocates */
void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);
static int no_memory(int call)
{
    if (fate(call) == NOTHING)
        return 0;
    errno = ENOMEM;
    return 1;
}
void *malloc(size_t n)
{
    return no_memory(C_malloc) ? NULL : __libc_malloc(n);
}
void *calloc(size_t n, size_t m)
{
    return no_memory(C_calloc) ? NULL : __libc_calloc(n, m);
}
void *realloc(void *p, size_t n)
{
    return no_memory(C_realloc) ? NULL : __libc_realloc(p, n);
}
void *aligned_alloc(size_t a, size_t n)
{
    return no_memory(C_aligned_alloc) ? NULL : __libc_memalign(a, n);
}
int posix_memalign(void **p, size_t a, size_t n)
{
    void *new = no_memory(C_posix_memalign) ? NULL : __libc_memalign(a, n);
    if (new)
        *p = new;
    return new ? 0 : ENOMEM;
}
#endif

/* libheif's libraries end the process where their tables find no memory, at the moment they are opened. That is not what is tested. */
void *dlopen(const char *file, int flags)
{
    static void *(*real)(const char *, int);
    if (!real)
        real = (void *(*)(const char *, int))dlsym(RTLD_NEXT, "dlopen");
    return file && strstr(file, "libheif") && getenv("LIMBER_FAULT_NO_HEIF") ? NULL : real(file, flags);
}

int clock_gettime(clockid_t clock, struct timespec *t)
{
    const int seed = fate(C_clock_gettime);
    const int status = (int)syscall(SYS_clock_gettime, clock, t);
    static _Atomic uint64_t ahead;
    if (seed < 0 || status)
        return status;
    uint64_t x = ((uint64_t)seed << 32) + (uint64_t)made[C_clock_gettime];
    x ^= x >> 31, x *= 0x7fb5d329728ea185u, x ^= x >> 27, x *= 0x81dadef4bc2dd44du, x ^= x >> 33;
    if (clock == CLOCK_REALTIME)
        t->tv_sec = (time_t)(x % 8000000000u) - 2000000000;
    else if (x % 5 == 0)
        ahead += x >> 8 & 0xffff; /* seconds */
    if (clock == CLOCK_MONOTONIC)
        t->tv_sec += (time_t)ahead;
    return 0;
}
