/* SPDX-License-Identifier: MIT */
/* command/sandbox.c - see command/sandbox.h. Numbers and structures are the kernel's (Documentation/userspace-api/landlock.rst,
 * seccomp_filter.rst), written out here so that headers older than the kernel do. */
#define _GNU_SOURCE
#include "command/sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

/* Its search for leaks, as the process ends, starts and traces another one: a sandbox would stop it. */
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifdef SANITIZED
#define NONE_HERE "built with AddressSanitizer, whose search for leaks it would stop"
#else
#define NONE_HERE "only Linux has Landlock"
#endif

#if defined(__linux__) && !defined(SANITIZED)
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* ---- Landlock ---- */

enum { CREATE_RULESET = 444, ADD_RULE = 445, RESTRICT_SELF = 446 }; /* system calls, the same on every processor */
enum { VERSION = 1, PATH_BENEATH = 1 };

#define FS_WRITE_FILE (UINT64_C(1) << 1)
#define FS_READ_FILE (UINT64_C(1) << 2)
#define FS_READ_DIR (UINT64_C(1) << 3)
#define FS_REMOVE_FILE (UINT64_C(1) << 5)
#define FS_MAKE_DIR (UINT64_C(1) << 7)
#define FS_MAKE_REG (UINT64_C(1) << 8)
#define FS_REFER (UINT64_C(1) << 13)    /* since 2 */
#define FS_TRUNCATE (UINT64_C(1) << 14) /* since 3 */
#define FS_IOCTL (UINT64_C(1) << 15)    /* since 5 */

struct ruleset {
    uint64_t files, net, scoped; /* net since 4, scoped since 6 */
};
struct path_rule {
    uint64_t allowed;
    int32_t parent;
} __attribute__((packed));

static int landlock_abi(void)
{
    return (int)syscall(CREATE_RULESET, NULL, 0, VERSION);
}

/* All that this kernel can refuse. */
static uint64_t files_of(int abi)
{
    return (abi < 2 ? FS_REFER : abi < 3 ? FS_TRUNCATE : abi < 5 ? FS_IOCTL : FS_IOCTL << 1) - 1;
}

static bool is_alone(void)
{
    DIR *tasks = opendir("/proc/self/task");
    int count = 0;
    for (const struct dirent *e; tasks && (e = readdir(tasks));)
        count += e->d_name[0] != '.';
    if (tasks)
        closedir(tasks);
    return count <= 1; /* without /proc it is taken for granted */
}

limber_status sandbox_open(struct sandbox *s, limber_error *err)
{
    *s = (struct sandbox){.rules = -1, .abi = landlock_abi()};
    if (s->abi < 1)
        return limber_fail(err, LIMBER_E_UNSUPPORTED, "this kernel has no Landlock (%s)", error_text(errno));
    if (!is_alone())
        return limber_fail(err, LIMBER_E_UNSUPPORTED, "a library has started threads already");
    const struct ruleset all = {.files = files_of(s->abi),
                                .net = s->abi < 4 ? 0 : 3 /* bind, connect */,
                                .scoped = s->abi < 6 ? 0 : 3 /* sockets, signals */};
    const size_t size = s->abi < 4 ? 8 : s->abi < 6 ? 16 : 24;
    s->rules = (int)syscall(CREATE_RULESET, &all, size, 0);
    return s->rules < 0 ? limber_fail(err, LIMBER_E_UNSUPPORTED, "Landlock: %s", error_text(errno)) : LIMBER_OK;
}

static limber_status allow(struct sandbox *s, const char *path, uint64_t what, limber_error *err)
{
    struct stat st;
    const int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st)) {
        if (fd >= 0)
            close(fd);
        return LIMBER_OK;
    }
    if (!S_ISDIR(st.st_mode))
        what &= FS_READ_FILE | FS_WRITE_FILE | FS_TRUNCATE;
    const struct path_rule rule = {.allowed = what & files_of(s->abi), .parent = fd};
    const long failed = syscall(ADD_RULE, s->rules, PATH_BENEATH, &rule, 0);
    const int reason = errno;
    close(fd);
    return failed ? limber_fail(err, LIMBER_E_IO, "Landlock: %s: %s", path, error_text(reason)) : LIMBER_OK;
}

limber_status sandbox_allow_read(struct sandbox *s, const char *path, limber_error *err)
{
    return allow(s, path, FS_READ_FILE, err);
}

limber_status sandbox_allow_write(struct sandbox *s, const char *folder, limber_error *err)
{
    return allow(s, folder, FS_READ_FILE | FS_READ_DIR | FS_WRITE_FILE | FS_TRUNCATE | FS_REMOVE_FILE | FS_MAKE_DIR | FS_MAKE_REG,
                 err);
}

/* ---- seccomp: what no decoder needs is an error, EPERM ---- */

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

#if defined(ARCHITECTURE) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
static const uint16_t refused[] = {
    SYS_socket,
    SYS_socketpair,
    SYS_connect,
    SYS_bind,
    SYS_listen,
    SYS_accept,
    SYS_accept4,
    SYS_sendto,
    SYS_sendmsg,
    SYS_sendmmsg,
    SYS_execve,
    SYS_execveat,
    SYS_kill,
    SYS_tkill,
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_bpf,
    SYS_perf_event_open,
    SYS_userfaultfd,
    SYS_keyctl,
    SYS_add_key,
    SYS_request_key,
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_chroot,
    SYS_unshare,
    SYS_setns,
    SYS_open_by_handle_at,
    SYS_name_to_handle_at,
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_kexec_load,
    SYS_reboot,
    SYS_swapon,
    SYS_swapoff,
    SYS_quotactl,
    SYS_acct,
    SYS_settimeofday,
    SYS_sethostname,
    SYS_setdomainname,
    SYS_personality,
    SYS_memfd_create,
    SYS_linkat,
    SYS_symlinkat,
    SYS_mknodat,
    SYS_fchmod,
    SYS_fchmodat,
    SYS_fchown,
    SYS_fchownat,
    SYS_setxattr,
    SYS_lsetxattr,
    SYS_fsetxattr,
    SYS_utimensat,
    425 /* io_uring_setup */,
    426 /* io_uring_enter */,
    427 /* io_uring_register */,
    434 /* pidfd_open */,
    438 /* pidfd_getfd */,
    424 /* pidfd_send_signal */,
    428 /* open_tree */,
    429 /* move_mount */,
    430 /* fsopen */,
    440 /* process_madvise */,
    452 /* fchmodat2 */,
#ifdef SYS_fork
    SYS_fork,
    SYS_vfork,
    SYS_link,
    SYS_symlink,
    SYS_mknod,
    SYS_chmod,
    SYS_chown,
    SYS_lchown,
    SYS_utime,
    SYS_utimes,
    SYS_futimesat,
#endif
};

/* All that a decoder needs, once what it works on is open: memory, threads, clocks, and to end. */
static const uint16_t needed[] = {
    SYS_futex,
    SYS_brk,
    SYS_munmap,
    SYS_mremap,
    SYS_madvise,
    SYS_exit,
    SYS_exit_group,
    SYS_rt_sigreturn,
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_sigaltstack,
    SYS_restart_syscall,
    SYS_set_robust_list,
    SYS_sched_yield,
    SYS_sched_getaffinity,
    SYS_getpid,
    SYS_gettid,
    SYS_getcpu,
    SYS_getrandom,
    SYS_getrusage,
    SYS_sysinfo,
    SYS_gettimeofday,
    SYS_clock_gettime,
    SYS_clock_getres,
    SYS_clock_nanosleep,
    SYS_nanosleep,
    SYS_membarrier,
    ARCHITECTURE == AUDIT_ARCH_AARCH64 ? 293 : 334 /* rseq */,
};

enum {
    MOST_CALLS = sizeof refused / sizeof *refused > sizeof needed / sizeof *needed ? sizeof refused / sizeof *refused
                                                                                   : sizeof needed / sizeof *needed
};
struct filter {
    struct sock_filter code[MOST_CALLS + 48];
    unsigned n;
};

static void put(struct filter *f, unsigned what, uint32_t value, unsigned then, unsigned otherwise)
{
    f->code[f->n++] = (struct sock_filter){(uint16_t)what, (uint8_t)then, (uint8_t)otherwise, value};
}
static void put_result(struct filter *f, uint32_t result)
{
    put(f, BPF_RET | BPF_K, result, 0, 0);
}
/* Where it is this call, the next n instructions, which must end with a result. */
static void put_call(struct filter *f, uint32_t call, unsigned n)
{
    put(f, BPF_JMP | BPF_JEQ | BPF_K, call, 0, n);
}
/* The lower half of an argument: all that these calls look at. */
static void put_argument(struct filter *f, unsigned i)
{
    put(f, BPF_LD | BPF_W | BPF_ABS, (uint32_t)(offsetof(struct seccomp_data, args) + 8 * i), 0, 0);
}
static void put_list(struct filter *f, const uint16_t *calls, unsigned count, uint32_t listed, uint32_t others)
{
    for (unsigned i = 0; i < count; i++)
        put(f, BPF_JMP | BPF_JEQ | BPF_K, calls[i], count - i, 0);
    put_result(f, others);
    put_result(f, listed);
}

#define ALLOW SECCOMP_RET_ALLOW
#define REFUSE (SECCOMP_RET_ERRNO | EPERM)
#define CLONE3 435 /* its flags lie in memory, where a filter cannot look */

/* What all filters begin with: other ways to name a call, and threads but no processes. */
static void put_beginning(struct filter *f)
{
    put(f, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch), 0, 0);
    put(f, BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0);
    put_result(f, SECCOMP_RET_KILL_PROCESS); /* 32-bit calls, which have other numbers */
    put(f, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr), 0, 0);
#ifdef __x86_64__
    put(f, BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1); /* x32 likewise */
    put_result(f, REFUSE);
#endif
    put_call(f, CLONE3, 1);
    put_result(f, SECCOMP_RET_ERRNO | ENOSYS);
    put_call(f, SYS_clone, 4);
    put_argument(f, 0);
    put(f, BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 1, 0);
    put_result(f, REFUSE); /* another process */
    put_result(f, ALLOW);
}

static bool install(const struct filter *f)
{
    const struct sock_fprog program = {.len = (unsigned short)f->n, .filter = (struct sock_filter *)f->code};
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0;
}

static bool filter_calls(void)
{
    struct filter f = {.n = 0};
    put_beginning(&f);
    put_list(&f, refused, sizeof refused / sizeof *refused, REFUSE, ALLOW);
    return install(&f);
}

/* What is not known to be needed is refused; a call that is newer than this list does not exist, so that a newer libc does without. */
static bool filter_all_calls(void)
{
    static const uint16_t maps[] = {SYS_mmap, SYS_mprotect}, writes[] = {SYS_write, SYS_writev};
    struct filter f = {.n = 0};
    put_beginning(&f);
    for (unsigned i = 0; i < 2; i++) { /* memory, but no code */
        put_call(&f, maps[i], 4);
        put_argument(&f, 2);
        put(&f, BPF_JMP | BPF_JSET | BPF_K, 4 /* PROT_EXEC */, 0, 1);
        put_result(&f, REFUSE);
        put_result(&f, ALLOW);
    }
    for (unsigned i = 0; i < 2; i++) { /* libc's last words, and a sanitizer's */
        put_call(&f, writes[i], 4);
        put_argument(&f, 0);
        put(&f, BPF_JMP | BPF_JEQ | BPF_K, STDERR_FILENO, 1, 0);
        put_result(&f, REFUSE);
        put_result(&f, ALLOW);
    }
    put_call(&f, SYS_tgkill, 4); /* abort() */
    put_argument(&f, 0);
    put(&f, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)getpid(), 1, 0);
    put_result(&f, REFUSE);
    put_result(&f, ALLOW);
    put(&f, BPF_JMP | BPF_JGE | BPF_K, CLONE3, 0, 1);
    put_result(&f, SECCOMP_RET_ERRNO | ENOSYS);
    put_list(&f, needed, sizeof needed / sizeof *needed, ALLOW, REFUSE);
    return install(&f);
}
static bool can_filter(void)
{
    const uint32_t action = SECCOMP_RET_ERRNO;
    return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}
#else
static bool filter_calls(void)
{
    return true;
}
static bool filter_all_calls(void)
{
    return true;
}
static bool can_filter(void)
{
    return false;
}
#endif

limber_status sandbox_seal(limber_error *err)
{
    struct sandbox s = {.rules = -1};
    const bool files = sandbox_open(&s, err) == LIMBER_OK, calls = can_filter();
    if (!files && !calls)
        return LIMBER_E_UNSUPPORTED;
    limber_status st = LIMBER_OK;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || (files && syscall(RESTRICT_SELF, s.rules, 0)))
        st = limber_fail(err, LIMBER_E_IO, "Landlock: %s", error_text(errno));
    sandbox_close(&s);
    if (!st && calls && !filter_all_calls())
        st = limber_fail(err, LIMBER_E_IO, "seccomp: %s", error_text(errno));
    return st;
}

limber_status sandbox_enter(struct sandbox *s, limber_error *err)
{
    limber_status st = LIMBER_OK;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(RESTRICT_SELF, s->rules, 0) || (can_filter() && !filter_calls()))
        st = limber_fail(err, LIMBER_E_UNSUPPORTED, "Landlock or seccomp: %s", error_text(errno));
    sandbox_close(s);
    return st;
}

void sandbox_close(struct sandbox *s)
{
    if (s->rules >= 0)
        close(s->rules);
    s->rules = -1;
}

void sandbox_describe(char *text, size_t room)
{
    const int abi = landlock_abi();
    if (abi < 1)
        snprintf(text, room, "none: this kernel has no Landlock (%s)", error_text(errno));
    else
        snprintf(text, room, "Landlock %d%s", abi, can_filter() ? " and seccomp" : "");
}

#else /* another system, or a sanitizer */

limber_status sandbox_open(struct sandbox *s, limber_error *err)
{
    *s = (struct sandbox){.rules = -1};
    return limber_fail(err, LIMBER_E_UNSUPPORTED, NONE_HERE);
}
limber_status sandbox_allow_read(struct sandbox *s, const char *path, limber_error *err)
{
    (void)s, (void)path, (void)err;
    return LIMBER_OK;
}
limber_status sandbox_allow_write(struct sandbox *s, const char *folder, limber_error *err)
{
    (void)s, (void)folder, (void)err;
    return LIMBER_OK;
}
limber_status sandbox_enter(struct sandbox *s, limber_error *err)
{
    (void)s, (void)err;
    return LIMBER_OK;
}
limber_status sandbox_seal(limber_error *err)
{
    return limber_fail(err, LIMBER_E_UNSUPPORTED, NONE_HERE);
}
void sandbox_close(struct sandbox *s)
{
    (void)s;
}
void sandbox_describe(char *text, size_t room)
{
    snprintf(text, room, "none: " NONE_HERE);
}
#endif
