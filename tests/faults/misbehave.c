/* SPDX-License-Identifier: MIT */
/* misbehave.c - preloaded, a decoder that somebody's picture has taken over: instead of beginning a JPEG it tries what an attacker would,
 * and says on stderr which attempts came through. Then it goes on as if nothing had been. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

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

void jpeg_CreateDecompress(void *decoder, int version, size_t size);
void jpeg_CreateDecompress(void *decoder, int version, size_t size)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    static void (*real)(void *, int, size_t);
    if (!real)
        real = (void (*)(void *, int, size_t))dlsym(RTLD_NEXT, "jpeg_CreateDecompress");
    pthread_once(&once, attack);
    real(decoder, version, size);
}
