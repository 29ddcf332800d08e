/* SPDX-License-Identifier: MIT */
/* What the machine is asked, and what is read without its locale. */
#define _GNU_SOURCE
#include <criterion/criterion.h>

#include <errno.h>
#include <locale.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/system.h"
#include "base/text.h"

/* ---- CPUs ---- */

static char root[256];

static void write_below(const char *path, const char *text)
{
    char full[512];
    snprintf(full, sizeof full, "%s%s", root, path);
    for (char *slash = strchr(full + strlen(root) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(full, 0777);
        *slash = '/';
    }
    FILE *f = fopen(full, "w");
    cr_assert(f, "%s", full);
    fputs(text, f);
    fclose(f);
}

static void new_root(const char *groups)
{
    snprintf(root, sizeof root, "/tmp/limber_system_XXXXXX");
    cr_assert(mkdtemp(root));
    write_below("/proc/self/cgroup", groups);
}

static int quota(void)
{
    const int cpus = system_cpu_quota(root);
    char command[300];
    snprintf(command, sizeof command, "rm -rf %s", root);
    cr_assert_eq(system(command), 0);
    return cpus;
}

Test(system, quota_of_cgroup_v2)
{
    new_root("0::/user.slice/job\n");
    write_below("/sys/fs/cgroup/user.slice/job/cpu.max", "150000 100000\n");
    cr_expect_eq(quota(), 2, "one and a half CPUs");
    new_root("0::/user.slice/job\n");
    write_below("/sys/fs/cgroup/user.slice/job/cpu.max", "max 100000\n");
    cr_expect_eq(quota(), 0, "no limit");
    new_root("0::/user.slice/job\n"); /* a group above has less */
    write_below("/sys/fs/cgroup/user.slice/job/cpu.max", "800000 100000\n");
    write_below("/sys/fs/cgroup/user.slice/cpu.max", "300000 100000\n");
    cr_expect_eq(quota(), 3);
    new_root("0::/\n"); /* a container that sees its own group as the root */
    write_below("/sys/fs/cgroup/cpu.max", "50000 100000\n");
    cr_expect_eq(quota(), 1, "half a CPU is one thread");
    new_root("0::/../../elsewhere\n");
    write_below("/sys/fs/cgroup/cpu.max", "400000 100000\n");
    cr_expect_eq(quota(), 4);
    new_root("0::/job\n");
    cr_expect_eq(quota(), 0, "no file");
}

Test(system, quota_of_cgroup_v1)
{
    static const char groups[] = "12:pids:/x\n4:cpuset:/other\n3:cpu,cpuacct:/docker/abc\n1:name=systemd:/x\n";
    new_root(groups);
    write_below("/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "250000\n");
    write_below("/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us", "100000\n");
    cr_expect_eq(quota(), 3);
    new_root(groups);
    write_below("/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "-1\n");
    write_below("/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us", "100000\n");
    cr_expect_eq(quota(), 0, "no limit");
    new_root(groups); /* in a container: the host's path is not there, the mount is the group */
    write_below("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "200000\n");
    write_below("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "50000\n");
    cr_expect_eq(quota(), 4);
    new_root("4:cpuset:/other\n");
    write_below("/sys/fs/cgroup/cpu/other/cpu.cfs_quota_us", "200000\n");
    write_below("/sys/fs/cgroup/cpu/other/cpu.cfs_period_us", "100000\n");
    cr_expect_eq(quota(), 0, "cpuset is another controller");
}

Test(system, nonsense_is_no_quota)
{
    static const char *const nonsense[] = {"", "-5 100000", "100000", "100000 0", "9223372036854775807 1", "x y", "0 0"};
    for (size_t i = 0; i < sizeof nonsense / sizeof *nonsense; i++) {
        new_root("0::/\n\n:\n::\n7\nx:y:z\n");
        write_below("/sys/fs/cgroup/cpu.max", nonsense[i]);
        cr_expect_eq(quota(), 0, "\"%s\"", nonsense[i]);
    }
}

Test(system, cpus_are_those_of_the_mask)
{
    cpu_set_t all, one;
    cr_assert_eq(sched_getaffinity(0, sizeof all, &all), 0);
    cr_expect_geq(system_cpus(), 1);
    cr_expect_leq(system_cpus(), CPU_COUNT(&all));
    for (int i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &all)) {
            CPU_ZERO(&one);
            CPU_SET(i, &one);
            break;
        }
    cr_assert_eq(sched_setaffinity(0, sizeof one, &one), 0);
    cr_expect_eq(system_cpus(), 1);
}

Test(system, the_clock_goes_forward)
{
    const double begin = system_now();
    const uint64_t ns = system_now_ns();
    usleep(2000);
    cr_expect_gt(system_now(), begin + 0.001);
    cr_expect_gt(system_now_ns(), ns + 1000000);
}

/* ---- errors ---- */

static void *keep_asking(void *number)
{
    const bool absent = *(int *)number == ENOENT;
    for (int i = 0; i < 20000; i++)
        if (strcmp(error_text(absent ? ENOENT : EACCES), absent ? "No such file or directory" : "Permission denied"))
            return "another's text";
    return NULL;
}

Test(system, error_texts_are_each_call_s_own)
{
    int numbers[] = {ENOENT, EACCES};
    pthread_t thread;
    void *wrong;
    cr_assert_eq(pthread_create(&thread, NULL, keep_asking, &numbers[0]), 0);
    cr_expect_null(keep_asking(&numbers[1]));
    pthread_join(thread, &wrong);
    cr_expect_null(wrong);
    char both[300];
    snprintf(both, sizeof both, "%s, %s", error_text(ENOENT), error_text(EACCES));
    cr_expect_str_eq(both, "No such file or directory, Permission denied");
    cr_expect_not_null(strstr(error_text(99999), "99999"));
}

/* ---- text ---- */

Test(text, only_ascii_has_a_kind)
{
    for (int i = 0; i < 256; i++) {
        const char c = (char)i;
        const bool digit = strchr("0123456789", i) && i, lower = strchr("abcdefghijklmnopqrstuvwxyz", i) && i,
                   upper = strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZ", i) && i;
        cr_expect(text_is_digit(c) == digit && text_is_lower(c) == lower && text_is_upper(c) == upper &&
                      text_is_alnum(c) == (digit || lower || upper),
                  "byte %d", i);
        cr_expect_eq(text_is_space(c), strchr(" \t\n\v\f\r", i) && i, "byte %d", i);
        cr_expect_eq(text_lower(c), upper ? (char)(i + 32) : c, "byte %d", i);
    }
}

/* Where no locale with a decimal comma is installed the second half says the same as the first. */
Test(text, numbers_have_a_point_in_every_locale)
{
    static const char *const locales[] = {"C", "de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", "ru_RU.UTF-8"};
    for (size_t i = 0; i < sizeof locales / sizeof *locales; i++) {
        if (!setlocale(LC_ALL, locales[i]))
            continue;
        char *end;
        const char text[] = "1.5,25 ";
        cr_expect_eq(text_number(text, &end), 1.5, "%s", locales[i]);
        cr_expect_eq(end, text + 3, "%s", locales[i]);
        cr_expect_eq(text_number("x", &end), 0);
        cr_expect_str_eq(end, "x");
        cr_expect_str_eq(setlocale(LC_ALL, NULL), locales[i], "the program's locale is its own");
    }
}
