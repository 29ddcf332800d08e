/* SPDX-License-Identifier: MIT */
/* base/system.h - what is asked of the machine: one clock, and how many CPUs this process may use. */
#ifndef LIMBER_SYSTEM_H
#define LIMBER_SYSTEM_H

#include <stdint.h>

/* The monotonic clock. */
double system_now(void); /* seconds */
uint64_t system_now_ns(void);

/* CPUs this process may use, at least 1: its affinity mask, of whatever size, and no more than the quota of its control group, which
 * is how containers are told. Asked anew each time. */
int system_cpus(void);

/* The quota alone, rounded up to whole CPUs; 0 where there is none. cgroup v2 and v1, the least of all groups above this one. `root`
 * stands before /proc/self/cgroup and /sys/fs/cgroup: "" but in tests. */
int system_cpu_quota(const char *root);

#endif
