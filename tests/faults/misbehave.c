/* SPDX-License-Identifier: MIT */
/* misbehave.c - preloaded, a decoder that somebody's picture has taken over, or brought down.
 *
 * With MISBEHAVE_OUTSIDE, instead of beginning the first JPEG it tries what an attacker would, and says on stderr which attempts came
 * through. Then it goes on as if nothing had been.
 *
 * A JPEG whose first segment is the comment "MISBEHAVE segv" crashes it; abort, exit, killed and hang likewise. The processor's time of
 * another process runs a thousand times as fast, so that whoever waits for a hang need not wait long. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <jpeglib.h>

static void tried(const char *what, long came_through)
{
    char text[128];
    const int n = snprintf(text, sizeof text, "misbehave: %s %s\n", came_through ? "COULD" : "could not", what);
    (void)!write(STDERR_FILENO, text, (size_t)n);
}

static long opens(const char *path, int flags)
{
    const int fd = open(path, flags | O_CLOEXEC, 0666);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static void attack(void)
{
    const char *outside = getenv("MISBEHAVE_OUTSIDE"); /* a folder that the run was not given, with the file `secret` in it */
    char path[4096];
    int fds[2];
    snprintf(path, sizeof path, "%s/secret", outside);
    tried("read a file outside", opens(path, O_RDONLY));
    tried("change a file outside", opens(path, O_WRONLY));
    tried("empty a file outside", !truncate(path, 0));
    tried("remove a file outside", !unlink(path));
    snprintf(path, sizeof path, "%s/made", outside);
    tried("make a file outside", opens(path, O_WRONLY | O_CREAT));
    unlink(path);
    tried("make a folder outside", !mkdir(path, 0777));
    rmdir(path);
    tried("make a link", !symlink("/etc/passwd", path));
    tried("read another picture", opens(getenv("MISBEHAVE_PICTURE"), O_RDONLY));
    tried("change a picture", opens(getenv("MISBEHAVE_PICTURE"), O_WRONLY));
    tried("read the machine's users", opens("/etc/passwd", O_RDONLY));
    tried("open a socket", socket(AF_INET, SOCK_STREAM, 0) >= 0);
    tried("open a socket of this machine", socket(AF_UNIX, SOCK_STREAM, 0) >= 0 || !socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
    tried("signal its parent", !kill(getppid(), 0));
    const pid_t child = fork();
    if (child == 0)
        _exit(0);
    if (child > 0)
        waitpid(child, NULL, 0);
    tried("start a process", child > 0);
    tried("start a program", syscall(SYS_execve, "/nowhere", NULL, NULL) == -1 && errno == ENOENT); /* it would have looked */
}

static void act(const char *what)
{
    static volatile int *volatile nowhere;
    if (!strncmp(what, "segv", 4))
        *nowhere = 1;
    if (!strncmp(what, "abort", 5))
        abort();
    if (!strncmp(what, "exit", 4))
        _exit(0);
    if (!strncmp(what, "killed", 6))
        raise(SIGKILL);
    while (!strncmp(what, "hang", 4))
        ;
}

int jpeg_read_header(j_decompress_ptr jpeg, boolean image_is_needed)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    static int (*real)(j_decompress_ptr, boolean);
    static const char start[] = "\xff\xd8\xff\xfe\0\x14MISBEHAVE ";
    if (!real)
        real = (int (*)(j_decompress_ptr, boolean))dlsym(RTLD_NEXT, "jpeg_read_header");
    if (getenv("MISBEHAVE_OUTSIDE"))
        pthread_once(&once, attack);
    if (jpeg->src->bytes_in_buffer > 32 && !memcmp(jpeg->src->next_input_byte, start, sizeof start - 1))
        act((const char *)jpeg->src->next_input_byte + sizeof start - 1);
    return real(jpeg, image_is_needed);
}

int clock_gettime(clockid_t clock, struct timespec *t)
{
    const int status = (int)syscall(SYS_clock_gettime, clock, t);
    if (!status && clock < 0) {
        const long long fast = 1000 * (1000000000ll * t->tv_sec + t->tv_nsec);
        t->tv_sec = (time_t)(fast / 1000000000);
        t->tv_nsec = (long)(fast % 1000000000);
    }
    return status;
}
