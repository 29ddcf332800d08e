/* SPDX-License-Identifier: MIT */
/* base/system.c - see base/system.h. */
#define _GNU_SOURCE
#include "base/system.h"

#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MOST_CPUS (1 << 20)

uint64_t system_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

double system_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The kernel refuses a mask smaller than its own, so it grows until it fits: cpu_set_t ends at 1024. */
static int affinity(void)
{
    for (int cpus = 1024; cpus <= MOST_CPUS; cpus *= 2) {
        cpu_set_t *set = CPU_ALLOC((size_t)cpus);
        if (!set)
            break;
        const size_t size = CPU_ALLOC_SIZE((size_t)cpus);
        CPU_ZERO_S(size, set);
        const int failed = sched_getaffinity(0, size, set), why = errno;
        const int count = failed ? 0 : CPU_COUNT_S(size, set);
        CPU_FREE(set);
        if (count > 0)
            return count;
        if (!failed || why != EINVAL)
            break;
    }
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 && online <= MOST_CPUS ? (int)online : 1;
}

/* ---- control groups ---- */

/* One or two whole numbers of a small file. How many there were. */
static int numbers_of(const char *path, long long out[2])
{
    FILE *f = fopen(path, "re");
    const int n = f ? fscanf(f, "%lld %lld", &out[0], &out[1]) : 0; /* "max 100000" has none */
    if (f)
        fclose(f);
    return n > 0 ? n : 0;
}

/* CPUs that `quota` of each `period` microseconds are, rounded up; 0: no limit. */
static int cpus_of(long long quota, long long period)
{
    if (quota <= 0 || period <= 0)
        return 0;
    const long long cpus = quota / period + (quota % period != 0);
    return cpus < MOST_CPUS ? (int)cpus : 0;
}

static int least(int a, int b)
{
    return !a ? b : !b ? a : a < b ? a : b;
}

/* The least quota of group `path` and those above it, below the folder `mount`. Inside a container the path may be the host's,
 * which is not there: then its ancestors are not either, until the mount itself. */
static int quota_below(const char *mount, const char *path, bool v2)
{
    char group[4096], file[sizeof group + 64];
    int found = 0;
    if ((size_t)snprintf(group, sizeof group, "%s%s", mount, path) >= sizeof group)
        return 0;
    for (;;) {
        long long n[2] = {0, 0}, period[2] = {0, 0};
        snprintf(file, sizeof file, v2 ? "%s/cpu.max" : "%s/cpu.cfs_quota_us", group);
        const int count = numbers_of(file, n);
        if (v2) {
            found = least(found, count == 2 ? cpus_of(n[0], n[1]) : 0);
        } else if (count) {
            snprintf(file, sizeof file, "%s/cpu.cfs_period_us", group);
            found = least(found, numbers_of(file, period) ? cpus_of(n[0], period[0]) : 0);
        }
        char *slash = strrchr(group, '/');
        if (!slash || slash < group + strlen(mount))
            return found;
        *slash = 0;
    }
}

/* "cpu" among "cpu,cpuacct" */
static bool lists_cpu(const char *controllers, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if ((i == 0 || controllers[i - 1] == ',') && length - i >= 3 && !memcmp(controllers + i, "cpu", 3) &&
            (i + 3 == length || controllers[i + 3] == ','))
            return true;
    return false;
}

int system_cpu_quota(const char *root)
{
    char line[4096], mount[4096];
    int found = 0;
    snprintf(line, sizeof line, "%s/proc/self/cgroup", root);
    FILE *f = fopen(line, "re");
    while (f && fgets(line, sizeof line, f)) { /* "0::/path" is v2, "4:cpu,cpuacct:/path" v1 */
        line[strcspn(line, "\n")] = 0;
        char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path || path[1] != '/')
            continue;
        const bool v2 = path == controllers + 1;
        if (!v2 && !lists_cpu(controllers + 1, (size_t)(path - controllers - 1)))
            continue;
        *path++ = 0;
        /* v1 mounts each set of controllers under its name, and "cpu" is a link to it; v2 is mounted alone, or in "unified" */
        static const char *const mounts[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/cpu"};
        for (size_t i = v2 ? 0 : 2; i < (v2 ? 2 : 3); i++) {
            snprintf(mount, sizeof mount, "%s%s", root, mounts[i]);
            found = least(found, quota_below(mount, path, v2));
        }
        if (!v2) {
            snprintf(mount, sizeof mount, "%s/sys/fs/cgroup/%s", root, controllers + 1);
            found = least(found, quota_below(mount, path, false));
        }
    }
    if (f)
        fclose(f);
    return found;
}

int system_cpus(void)
{
    return least(system_cpu_quota(""), affinity());
}
