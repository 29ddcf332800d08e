/* SPDX-License-Identifier: MIT */
/* criterion.h - as much of Criterion's interface as these tests use, by fork() alone, for machines that have no Criterion to run:
 * Criterion starts its tests by exec and ptrace, and an emulator of user programs (qemu-user) has neither for the programs it runs.
 *
 * Every Test is a child process, one after the other. It prints what Criterion --verbose prints, so that scripts/test.sh can
 * count it; timeouts are left to ctest. PROGRAM [--filter TEXT]: only tests whose suite::name contains it. */
#ifndef CRITERION_BY_FORK_H
#define CRITERION_BY_FORK_H

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BY_FORK_FAIL = 1, BY_FORK_PASS = 76, BY_FORK_SKIP = 77 }; /* not 0: a test that calls exit has not passed */

struct by_fork_options {
    int none; /* so that a list without options is a list */
    void (*init)(void), (*fini)(void);
    double timeout;
};
struct by_fork_test {
    const char *suite, *name;
    void (*run)(void);
    struct by_fork_options options;
    struct by_fork_test *next;
};

static struct by_fork_test *by_fork_tests, **by_fork_end = &by_fork_tests, *by_fork_suites, *by_fork_now;
static bool by_fork_failed;

#define BY_FORK_ADD(test)                                                                                                        \
    do {                                                                                                                         \
        *by_fork_end = &(test);                                                                                                  \
        by_fork_end = &(test).next;                                                                                              \
    } while (0)
#define Test(suite_, name_, ...)                                                                                                 \
    static void suite_##_##name_##_run(void);                                                                                    \
    __attribute__((constructor)) static void suite_##_##name_##_add(void)                                                        \
    {                                                                                                                            \
        static struct by_fork_test test = {#suite_, #name_, suite_##_##name_##_run, {.none = 0, __VA_ARGS__}, NULL};             \
        BY_FORK_ADD(test);                                                                                                       \
    }                                                                                                                            \
    static void suite_##_##name_##_run(void)
#define TestSuite(suite_, ...)                                                                                                   \
    __attribute__((constructor)) static void suite_##_suite_add(void)                                                            \
    {                                                                                                                            \
        static struct by_fork_test suite = {#suite_, NULL, NULL, {.none = 0, __VA_ARGS__}, NULL};                                \
        suite.next = by_fork_suites;                                                                                             \
        by_fork_suites = &suite;                                                                                                 \
    }                                                                                                                            \
    extern int by_fork_semicolon

static void by_fork_leave(int status)
{
    if (by_fork_now->options.fini)
        by_fork_now->options.fini();
    fflush(NULL);
    _exit(status);
}
__attribute__((format(printf, 4, 5))) static inline void by_fork_complain(const char *file, int line, const char *claim,
                                                                          const char *format, ...)
{
    va_list list;
    va_start(list, format);
    printf("[----] %s:%d: Assertion Failed\n[----]   %s:", file, line, claim);
    vprintf(format, list);
    printf("\n");
    va_end(list);
    by_fork_failed = true;
}
#define BY_FORK_EXPECT(ok, claim, ...) ((ok) ? (void)0 : by_fork_complain(__FILE__, __LINE__, claim, " " __VA_ARGS__))
#define BY_FORK_ASSERT(ok, claim, ...)                                                                                           \
    ((ok) ? (void)0 : (by_fork_complain(__FILE__, __LINE__, claim, " " __VA_ARGS__), by_fork_leave(BY_FORK_FAIL)))

#define cr_expect(a, ...) BY_FORK_EXPECT(a, #a, __VA_ARGS__)
#define cr_expect_eq(a, b, ...) BY_FORK_EXPECT((a) == (b), #a " == " #b, __VA_ARGS__)
#define cr_expect_neq(a, b, ...) BY_FORK_EXPECT((a) != (b), #a " != " #b, __VA_ARGS__)
#define cr_expect_lt(a, b, ...) BY_FORK_EXPECT((a) < (b), #a " < " #b, __VA_ARGS__)
#define cr_expect_leq(a, b, ...) BY_FORK_EXPECT((a) <= (b), #a " <= " #b, __VA_ARGS__)
#define cr_expect_gt(a, b, ...) BY_FORK_EXPECT((a) > (b), #a " > " #b, __VA_ARGS__)
#define cr_expect_geq(a, b, ...) BY_FORK_EXPECT((a) >= (b), #a " >= " #b, __VA_ARGS__)
#define cr_expect_null(a, ...) BY_FORK_EXPECT((a) == NULL, #a " is NULL", __VA_ARGS__)
#define cr_expect_not_null(a, ...) BY_FORK_EXPECT((a) != NULL, #a " is not NULL", __VA_ARGS__)
#define cr_expect_str_eq(a, b, ...) BY_FORK_EXPECT(!strcmp(a, b), #a " is the text " #b, __VA_ARGS__)
#define cr_expect_arr_eq(a, b, size, ...) BY_FORK_EXPECT(!memcmp(a, b, size), #a " has the bytes of " #b, __VA_ARGS__)
#define cr_expect_float_eq(a, b, e, ...)                                                                                         \
    BY_FORK_EXPECT(fabs((double)(a) - (double)(b)) <= (e), #a " == " #b " within " #e, __VA_ARGS__)
#define cr_expect_fail(...) BY_FORK_EXPECT(false, "fail", __VA_ARGS__)
#define cr_assert(a, ...) BY_FORK_ASSERT(a, #a, __VA_ARGS__)
#define cr_assert_eq(a, b, ...) BY_FORK_ASSERT((a) == (b), #a " == " #b, __VA_ARGS__)
#define cr_assert_neq(a, b, ...) BY_FORK_ASSERT((a) != (b), #a " != " #b, __VA_ARGS__)
#define cr_assert_gt(a, b, ...) BY_FORK_ASSERT((a) > (b), #a " > " #b, __VA_ARGS__)
#define cr_assert_str_eq(a, b, ...) BY_FORK_ASSERT(!strcmp(a, b), #a " is the text " #b, __VA_ARGS__)
#define cr_assert_not_null(a, ...) BY_FORK_ASSERT((a) != NULL, #a " is not NULL", __VA_ARGS__)
#define cr_assert_fail(...) BY_FORK_ASSERT(false, "fail", __VA_ARGS__)
#define cr_log_error(...) (printf("[----] " __VA_ARGS__), (void)printf("\n"))
#define cr_skip_test(...)                                                                                                        \
    (printf("[SKIP] %s::%s: ", by_fork_now->suite, by_fork_now->name), printf(__VA_ARGS__), printf("\n"),                        \
     by_fork_leave(BY_FORK_SKIP))

static int by_fork_child(struct by_fork_test *test)
{
    const pid_t child = fork();
    if (child < 0)
        return BY_FORK_FAIL;
    if (child == 0) {
        by_fork_now = test;
        if (test->options.init)
            test->options.init();
        test->run();
        by_fork_leave(by_fork_failed ? BY_FORK_FAIL : BY_FORK_PASS);
    }
    int status = 0;
    if (waitpid(child, &status, 0) != child)
        return BY_FORK_FAIL;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

int main(int argc, char **argv)
{
    const char *filter = NULL;
    int tested = 0, passed = 0, failed = 0, crashed = 0;
    for (int i = 1; i + 1 < argc; i++)
        if (!strcmp(argv[i], "--filter"))
            filter = argv[i + 1];
    for (struct by_fork_test *test = by_fork_tests; test; test = test->next) {
        char name[256];
        snprintf(name, sizeof name, "%s::%s", test->suite, test->name);
        if (filter && !strstr(name, filter))
            continue;
        for (const struct by_fork_test *suite = by_fork_suites; suite; suite = suite->next)
            if (!strcmp(suite->suite, test->suite)) {
                test->options.init = test->options.init ? test->options.init : suite->options.init;
                test->options.fini = test->options.fini ? test->options.fini : suite->options.fini;
            }
        fflush(NULL);
        const int status = by_fork_child(test);
        if (status == BY_FORK_SKIP)
            continue;
        tested++;
        passed += status == BY_FORK_PASS;
        crashed += status != BY_FORK_PASS && status != BY_FORK_FAIL;
        failed += status == BY_FORK_FAIL;
        if (status < 0)
            printf("[----] %s: killed by signal %d\n", name, -status);
        printf("[%s] %s\n", status == BY_FORK_PASS ? "PASS" : "FAIL", name);
    }
    printf("[====] Synthesis: Tested: %d | Passing: %d | Failing: %d | Crashing: %d \n", tested, passed, failed, crashed);
    return failed || crashed;
}
#endif
