/* SPDX-License-Identifier: MIT */
/* command/main.c - the command `limber`: finds the subcommand and hands it the rest of the line.
 *
 *     command/commands.h   the commands                     command/options.h   what they share: options, model and session
 *     command/say.h        exit status, messages            command/stop.h      signals */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "command/commands.h"
#include "command/manual.h"
#include "command/say.h"
#include "base/error.h"
#include "limber.h"

static const struct command_entry commands[] = {
    {"run", cli_run, "joints and limbs of the people in photographs"},
    {"detect", cli_detect, "boxes of the people in photographs"},
    {"heads", cli_heads, "which attention heads are limb specialists"},
    {"patch", cli_patch, "which attention heads cause what is found of a limb"},
    {"drift", cli_drift, "how far a model's attention has moved from another's"},
    {"prune", cli_prune, "a model without the attention heads that matter least"},
    {"eval", cli_eval, "OKS average precision and PCK against annotations"},
    {"export", cli_export, "what run found, in the forms other tools read"},
    {"merge", cli_merge, "the outputs of run --shard, as one"},
    {"bench", cli_bench, "what attention, the model and the whole way cost"},
    {"info", cli_info, "what the model is, and what this machine can do"},
};
#define COMMANDS (sizeof commands / sizeof *commands)

static void print_commands(FILE *f)
{
    fputs("limber COMMAND [options] ...\n\n", f);
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(f, "  %-8s %s\n", commands[i].name, commands[i].about);
    fputs("\n`limber COMMAND --help` or `limber help COMMAND` lists its options; `limber --version` names this build.\n", f);
}

/* Help that could not be written was not given: `limber --help >/dev/full` fails. */
static int flushed(int status)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    return cli_fail("standard output: %s", error_text(errno));
}

/* A standard stream that the caller closed is opened on nothing, or the next file opened would take its place. Standard output
 * is opened for reading, so that writing to it is still the error it was. */
static void hold_standard_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDERR_FILENO ? O_WRONLY : O_RDONLY) != fd)
            _exit(CLI_NOTHING);
}

int main(int argc, char **argv)
{
    hold_standard_streams();
    if (argc < 2) {
        print_commands(stderr);
        return CLI_NOTHING;
    }
    const char *name = argv[1];
    char *help[] = {argv[0], argc > 2 ? argv[2] : NULL, argc > 3 ? argv[3] : "--help", "--help", NULL};
    if (!strcmp(name, "help") && argc > 2) { /* limber help COMMAND, limber help bench NAME */
        name = argv[2];
        argc = argc > 3 ? 4 : 3;
        argv = help;
    }
    if (!strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "help")) {
        print_commands(stdout);
        return flushed(CLI_DONE);
    }
    if (!strcmp(name, "--version") || !strcmp(name, "-V") || !strcmp(name, "version")) {
        printf("limber %s\n", limber_version());
        return flushed(CLI_DONE);
    }
    if (!strcmp(name, "--manual") && argc == 3) /* for the build */
        return manual_write(argv[2], commands, COMMANDS);
    const char *near = NULL;
    int best = INT_MAX;
    for (size_t i = 0; i < COMMANDS; i++) {
        if (!strcmp(name, commands[i].name))
            return flushed(commands[i].run(argc - 1, argv + 1));
        cli_nearer(name, commands[i].name, &near, &best);
    }
    if (near)
        return cli_fail("unknown command \"%s\": did you mean `%s`?", name, near);
    cli_fail("unknown command \"%s\"", name);
    print_commands(stderr);
    return CLI_NOTHING;
}
