/* command/options.c - the command `limber`: finds the subcommand, reads its options, and says what is wrong in one line.
 *
 * The only state outside of a stack is the flag a signal handler sets. */
#define _POSIX_C_SOURCE 200809L
#include "command/options.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A build that leaves a command's file out has a command less, and says so. */
#pragma weak cli_run
#pragma weak cli_heads
#pragma weak cli_patch
#pragma weak cli_eval
#pragma weak cli_bench
#pragma weak cli_info

struct entry {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *about;
};
static const struct entry commands[] = {
    {"run", cli_run, "joints and limbs of the people in photographs"},
    {"heads", cli_heads, "which attention heads are limb specialists"},
    {"patch", cli_patch, "which attention heads cause what is found of a limb"},
    {"eval", cli_eval, "OKS average precision and PCK against annotations"},
    {"bench", cli_bench, "what attention, the model and the whole way cost"},
    {"info", cli_info, "what the model is, and what this machine can do"},
};
#define COMMANDS (sizeof commands / sizeof *commands)

/* ---- saying what is wrong ---- */

/* A name with a newline or an escape sequence in it must not move the terminal's cursor. */
static void print_visibly(FILE *f, const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (*p == '\n')
            fputs("\\n", f);
        else if (*p < 0x20 || *p == 0x7f)
            fprintf(f, "\\x%02x", *p);
        else
            fputc(*p, f);
    }
}

static void say(const char *command, const char *format, va_list ap)
{
    char text[4096];
    vsnprintf(text, sizeof text, format, ap);
    flockfile(stderr); /* one line a message, whichever thread speaks */
    fprintf(stderr, "limber%s%s: ", command ? " " : "", command ? command : "");
    print_visibly(stderr, text);
    fputc('\n', stderr);
    funlockfile(stderr);
}

int cli_fail(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    say(NULL, format, ap);
    va_end(ap);
    return CLI_NOTHING;
}

void cli_warn(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    say(NULL, format, ap);
    va_end(ap);
}

int cli_usage(const struct cli_command *command, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    say(command->name, format, ap);
    va_end(ap);
    fprintf(stderr, "`limber %s --help` lists the options\n", command->name);
    return CLI_NOTHING;
}

/* Levenshtein distance, for "did you mean". Names are short; anything longer than the row is far from all of them. */
static int distance(const char *a, const char *b)
{
    int row[65];
    size_t n = strlen(b);
    if (n > 64)
        return INT_MAX;
    for (size_t j = 0; j <= n; j++)
        row[j] = (int)j;
    for (; *a; a++) {
        int diagonal = row[0]++;
        for (size_t j = 1; j <= n; j++) {
            int best = diagonal + (*a != b[j - 1]);
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[n];
}

/* Keeps the nearer of *best and `candidate`; a suggestion further off than a third of its letters helps nobody. */
static void consider(const char *typed, const char *candidate, const char **best, int *best_distance)
{
    int d = distance(typed, candidate);
    if (d < *best_distance && d <= 1 + (int)strlen(candidate) / 3) {
        *best = candidate;
        *best_distance = d;
    }
}

/* ---- options ---- */

static void print_option(const char *name, const char *value, const char *help)
{
    char left[64];
    snprintf(left, sizeof left, "%s%s%s", name, value ? " " : "", value ? value : "");
    if (strlen(left) > 22)
        printf("  %s\n  %-22s  %s\n", left, "", help);
    else
        printf("  %-22s  %s\n", left, help);
}

static void print_help(const struct cli_command *c)
{
    printf("limber %s %s\n\n%s\n\n", c->name, c->synopsis, c->about);
    for (const struct cli_option *o = c->options; o->kind; o++)
        print_option(o->name, o->value, o->help);
    print_option("--help", NULL, "this text");
}

static const struct cli_option *find(const struct cli_command *c, const char *name, size_t length)
{
    for (const struct cli_option *o = c->options; o->kind; o++)
        if (strlen(o->name) == length && !memcmp(o->name, name, length))
            return o;
    return NULL;
}

/* `choices` is "auto|ref|cpu". */
static bool is_choice(const char *choices, const char *value)
{
    size_t n = strlen(value);
    for (const char *p = choices; p; p = strchr(p, '|')) {
        p += *p == '|';
        if (!strncmp(p, value, n) && (p[n] == '|' || !p[n]) && n)
            return true;
    }
    return false;
}

static int set(const struct cli_command *c, const struct cli_option *o, const char *value)
{
    char *end;
    errno = 0;
    switch (o->kind) {
    case CLI_KIND_TEXT:
        *o->text = value;
        return CLI_GO;
    case CLI_KIND_CHOICE:
        if (!is_choice(o->value, value))
            return cli_usage(c, "%s is \"%s\", expected %s", o->name, value, o->value);
        *o->text = value;
        return CLI_GO;
    case CLI_KIND_INT: {
        long n = strtol(value, &end, 10);
        if (end == value || *end || errno || !((double)n >= o->low && (double)n <= o->high))
            return cli_usage(c, "%s is \"%s\", expected a whole number in %.0f..%.0f", o->name, value, o->low, o->high);
        *o->integer = (int)n;
        return CLI_GO;
    }
    case CLI_KIND_NUMBER: {
        double x = strtod(value, &end);
        if (end == value || *end || errno || !(x >= o->low && x <= o->high)) /* a NaN fails both */
            return cli_usage(c, "%s is \"%s\", expected a number in %g..%g", o->name, value, o->low, o->high);
        *o->number = x;
        return CLI_GO;
    }
    case CLI_KIND_FLAG:
    case CLI_KIND_END:
        break;
    }
    return CLI_GO;
}

int cli_parse(const struct cli_command *c, int argc, char **argv, int *inputs)
{
    bool only_inputs = false;
    *inputs = 0;
    for (int i = 1; i < argc; i++) {
        char *word = argv[i];
        if (only_inputs || strncmp(word, "--", 2)) {
            if (!only_inputs && word[0] == '-' && word[1] && !isdigit((unsigned char)word[1]))
                return strcmp(word, "-h") ? cli_usage(c, "unknown option %s (a file of that name: ./%s)", word, word)
                                          : (print_help(c), CLI_DONE);
            argv[++*inputs] = word;
            continue;
        }
        if (!word[2]) {
            only_inputs = true;
            continue;
        }
        if (!strcmp(word, "--help")) {
            print_help(c);
            return CLI_DONE;
        }
        const char *equals = strchr(word, '=');
        size_t length = equals ? (size_t)(equals - word) : strlen(word);
        const struct cli_option *o = find(c, word, length);
        if (!o) {
            const char *near = NULL;
            int best = INT_MAX;
            char typed[64];
            snprintf(typed, sizeof typed, "%.*s", (int)(length < 63 ? length : 63), word);
            for (const struct cli_option *each = c->options; each->kind; each++)
                consider(typed, each->name, &near, &best);
            return near ? cli_usage(c, "unknown option %s: did you mean %s?", typed, near)
                        : cli_usage(c, "unknown option %s", typed);
        }
        if (o->kind == CLI_KIND_FLAG) {
            if (equals)
                return cli_usage(c, "%s takes no value: %s", o->name, word);
            *o->flag = true;
            continue;
        }
        const char *value = equals ? equals + 1 : i + 1 < argc ? argv[++i] : NULL;
        if (!value)
            return cli_usage(c, "%s needs a value: %s", o->name, o->value);
        int status = set(c, o, value);
        if (status != CLI_GO)
            return status;
    }
    return CLI_GO;
}

/* ---- the model ---- */

struct cli_common cli_common_default(void)
{
    return (struct cli_common){.options = limber_options_default()};
}

const char *cli_model_dir(const struct cli_common *common)
{
    if (common->model)
        return common->model;
    const char *dir = getenv("LIMBER_MODEL");
    return dir && *dir ? dir : NULL;
}

int cli_model_options(const struct cli_common *common, limber_options *options)
{
    char after;
    *options = common->options;
    if (common->input && (sscanf(common->input, "%5dx%5d%c", &options->input_height, &options->input_width, &after) != 2 ||
                          options->input_height < 1 || options->input_width < 1))
        return cli_fail("--input %s: expected height x width in pixels, like 384x288", common->input);
    return CLI_DONE;
}

int cli_model_open(const struct cli_common *common, limber_model **model)
{
    limber_error err;
    limber_options options;
    int status = cli_model_options(common, &options);
    if (status != CLI_DONE)
        return status;
    if (limber_model_open(model, cli_model_dir(common), &options, &err))
        return cli_fail("%s", err.text);
    return CLI_DONE;
}

int cli_session_open(const struct cli_common *common, const limber_model *model, limber_session **session)
{
    limber_error err;
    if (limber_session_open(session, model, &common->options, &err))
        return cli_fail("%s", err.text);
    return CLI_DONE;
}

/* ---- signals ---- */

volatile sig_atomic_t cli_stopped;

static void stop(int signal_number)
{
    (void)signal_number;
    cli_stopped = 1;
}

void cli_catch_signals(void)
{
    struct sigaction once = {.sa_handler = stop, .sa_flags = (int)SA_RESETHAND}; /* the second one kills */
    sigemptyset(&once.sa_mask);
    sigaction(SIGINT, &once, NULL);
    sigaction(SIGTERM, &once, NULL);
    signal(SIGPIPE, SIG_IGN);
}

int cli_read_layers(const struct cli_command *command, const char *text, int *layers, int *count)
{
    bool wanted[CLI_MAX_LAYERS] = {false};
    const char *p = text;
    *count = 0;
    for (;;) {
        char *end;
        long low = strtol(p, &end, 10), high = low;
        bool fine = end != p && low >= 0 && low < CLI_MAX_LAYERS;
        if (fine && *end == '-') {
            const char *second = end + 1;
            high = strtol(second, &end, 10);
            fine = end != second && high >= low && high < CLI_MAX_LAYERS;
        }
        if (!fine || (*end && *end != ','))
            return cli_usage(command, "--layers is \"%s\", expected numbers and ranges like 0,3-5", text);
        for (long l = low; l <= high; l++)
            wanted[l] = true;
        if (!*end)
            break;
        p = end + 1;
    }
    for (int l = 0; l < CLI_MAX_LAYERS; l++)
        if (wanted[l])
            layers[(*count)++] = l;
    return CLI_DONE;
}

/* ---- main ---- */

static void print_commands(FILE *f)
{
    fputs("limber COMMAND [options] ...\n\n", f);
    for (size_t i = 0; i < COMMANDS; i++)
        if (commands[i].run)
            fprintf(f, "  %-8s %s\n", commands[i].name, commands[i].about);
    fputs("\n`limber COMMAND --help` lists its options; `limber --version` names this build.\n", f);
}

/* Help that could not be written was not given: `limber --help >/dev/full` fails. */
static int flushed(int status)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    return cli_fail("standard output: %s", strerror(errno));
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
    if (!strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "help")) {
        print_commands(stdout);
        return flushed(CLI_DONE);
    }
    if (!strcmp(name, "--version")) {
        printf("limber %s\n", limber_version());
        return flushed(CLI_DONE);
    }
    const char *near = NULL;
    int best = INT_MAX;
    for (size_t i = 0; i < COMMANDS; i++) {
        if (!strcmp(name, commands[i].name)) {
            if (!commands[i].run)
                return cli_fail("this build was made without `%s`", name);
            return flushed(commands[i].run(argc - 1, argv + 1));
        }
        consider(name, commands[i].name, &near, &best);
    }
    if (near)
        return cli_fail("unknown command \"%s\": did you mean `%s`?", name, near);
    cli_fail("unknown command \"%s\"", name);
    print_commands(stderr);
    return CLI_NOTHING;
}
