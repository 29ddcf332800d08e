/* SPDX-License-Identifier: MIT */
/* command/output.c: several writers of one file, and standard output that does not wait. */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command/output.h"
#include "command/say.h"

static char *folder(void)
{
    static char name[] = "/tmp/limber-output-XXXXXX";
    cr_assert_not_null(mkdtemp(name));
    return name;
}

static void drop(const char *dir)
{
    char command[256];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    cr_expect_eq(system(command), 0);
}

static void quiet(void)
{
    int null = open("/dev/null", O_WRONLY);
    dup2(null, STDERR_FILENO);
    close(null);
}

/* Writers are refused or succeed; whatever the order, the file is there and whole. */
Test(output, many_writers_of_one_file)
{
    enum { WRITERS = 4, TIMES = 30, SIZE = 20000 };
    char *dir = folder(), path[128];
    snprintf(path, sizeof path, "%s/result.json", dir);
    quiet();
    for (int w = 0; w < WRITERS; w++)
        if (fork() == 0) {
            char *text = malloc(SIZE);
            memset(text, 'a' + w, SIZE);
            for (int written = 0; written < TIMES;)
                written += output_text(path, text, SIZE) == CLI_DONE;
            _exit(0);
        }
    char *seen = malloc(2 * SIZE);
    int running = WRITERS, status;
    while (running) {
        int fd = open(path, O_RDONLY);
        if (fd >= 0) {
            ssize_t n = read(fd, seen, 2 * SIZE);
            bool alike = n == SIZE;
            for (int i = 0; alike && i < SIZE; i++)
                alike = seen[i] == seen[0];
            cr_assert(alike, "%zd bytes, or of two writers", n);
            close(fd);
        }
        while (running && waitpid(-1, &status, WNOHANG) > 0)
            running--;
    }
    free(seen);
    snprintf(path, sizeof path, "%s/result.json.partial", dir);
    cr_expect(access(path, F_OK), "a partial file is left");
    drop(dir);
}

/* Who comes second leaves alone what the first one has written so far. */
Test(output, a_refused_writer_touches_nothing)
{
    char *dir = folder(), path[128], seen[16] = "";
    snprintf(path, sizeof path, "%s/result.json.partial", dir);
    int first = open(path, O_RDWR | O_CREAT, 0666);
    cr_assert(first >= 0 && !flock(first, LOCK_EX) && write(first, "half", 4) == 4);
    quiet();
    struct output o;
    cr_expect_eq(output_replace(&o, dir, "result.json"), CLI_NOTHING);
    int again = open(path, O_RDONLY);
    cr_expect(again >= 0 && read(again, seen, sizeof seen) == 4 && !memcmp(seen, "half", 4));
    close(again);
    close(first);
    drop(dir);
}

/* The other writer finishes between our open and our lock: what we then hold is its result, and may not be cut. */
static const char *finishing, *finished;
static bool begun_anew; /* ... and somebody else has begun a file of the first name */

int flock(int fd, int operation)
{
    if (finishing && (operation & LOCK_EX)) {
        cr_expect_eq(rename(finishing, finished), 0);
        if (begun_anew)
            close(open(finishing, O_RDWR | O_CREAT, 0666));
        finishing = NULL;
    }
    return (int)syscall(SYS_flock, fd, operation);
}

static void too_late(void)
{
    char *dir = folder(), partial[128], final[128], seen[16] = "";
    snprintf(partial, sizeof partial, "%s/result.json.partial", dir);
    snprintf(final, sizeof final, "%s/result.json", dir);
    int first = open(partial, O_RDWR | O_CREAT, 0666);
    cr_assert(first >= 0 && write(first, "whole", 5) == 5);
    close(first);
    finishing = partial, finished = final;
    struct output o;
    cr_assert_eq(output_replace(&o, dir, "result.json"), CLI_DONE);
    int fd = open(final, O_RDONLY);
    cr_expect(read(fd, seen, sizeof seen) == 5 && !memcmp(seen, "whole", 5), "the finished file holds \"%s\"", seen);
    close(fd);
    cr_assert(output_write(&o, "second", 6) == CLI_DONE && output_close(&o) == CLI_DONE);
    fd = open(final, O_RDONLY);
    cr_expect(read(fd, seen, sizeof seen) == 6 && !memcmp(seen, "second", 6));
    close(fd);
    drop(dir);
}

Test(output, a_lock_that_comes_too_late_is_none)
{
    too_late();
}

Test(output, a_lock_of_what_has_lost_its_name_is_none)
{
    begun_anew = true;
    too_late();
}

/* A name that stands for another file than the one that was locked. */
Test(output, a_lock_of_a_renamed_file_is_none)
{
    char *dir = folder(), path[128], kept[128];
    snprintf(path, sizeof path, "%s/lines", dir);
    snprintf(kept, sizeof kept, "%s/lines~", dir);
    quiet();
    struct output first, second;
    cr_assert_eq(output_new(&first, dir, "lines"), CLI_DONE);
    cr_assert_eq(output_write(&first, "one\n", 4), CLI_DONE);
    cr_expect_eq(output_new(&second, dir, "lines"), CLI_NOTHING, "the first one is at work");
    cr_assert_eq(rename(path, kept), 0);
    cr_assert_eq(output_new(&second, dir, "lines"), CLI_DONE, "the name is free");
    cr_assert_eq(output_write(&first, "two\n", 4), CLI_DONE);
    cr_assert_eq(output_write(&second, "new\n", 4), CLI_DONE);
    cr_assert_eq(output_close(&first), CLI_DONE);
    cr_assert_eq(output_close(&second), CLI_DONE);
    char seen[32] = "";
    int fd = open(path, O_RDONLY);
    cr_expect(read(fd, seen, sizeof seen) == 4 && !memcmp(seen, "new\n", 4));
    close(fd);
    drop(dir);
}

static int synced; /* regular files, whose bytes are on disk then */

int fsync(int fd)
{
    struct stat st;
    synced += !fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_size > 0;
    return (int)syscall(SYS_fsync, fd);
}

Test(output, a_result_is_on_disk_before_it_has_its_name)
{
    char *dir = folder(), path[128];
    snprintf(path, sizeof path, "%s/result.json", dir);
    struct output o;
    cr_assert_eq(output_replace(&o, dir, "result.json"), CLI_DONE);
    cr_assert_eq(output_write(&o, "whole", 5), CLI_DONE);
    cr_expect_eq(synced, 0);
    cr_assert_eq(output_close(&o), CLI_DONE);
    cr_expect_eq(synced, 1);
    cr_expect_eq(access(path, F_OK), 0);
    drop(dir);
}

/* What node, expect and CI runners share with their children. */
Test(output, a_pipe_that_does_not_wait)
{
    enum { SIZE = 200000 };
    int ends[2], status;
    char *text = malloc(SIZE), *seen = malloc(SIZE);
    for (int i = 0; i < SIZE; i++)
        text[i] = (char)('a' + i % 23);
    cr_assert_eq(pipe2(ends, O_NONBLOCK), 0);
    fcntl(ends[1], F_SETPIPE_SZ, 4096);
    pid_t writer = fork();
    if (writer == 0) {
        close(ends[0]);
        struct output o = {.fd = ends[1], .name = strdup("pipe"), .whole = -1};
        _exit(output_write(&o, text, SIZE) || output_close(&o));
    }
    close(ends[1]);
    fcntl(ends[0], F_SETFL, 0);
    usleep(50000); /* it is full by now */
    ssize_t got = 0, n;
    while ((n = read(ends[0], seen + got, (size_t)(SIZE - got))) > 0)
        got += n;
    cr_assert_eq(waitpid(writer, &status, 0), writer);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    cr_expect(got == SIZE && !memcmp(text, seen, SIZE), "%zd of %d bytes", got, SIZE);
    free(text);
    free(seen);
    close(ends[0]);
}
