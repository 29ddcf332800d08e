/* SPDX-License-Identifier: MIT */
/* command/options.c - see command/options.h. */
#define _POSIX_C_SOURCE 200809L
#include "command/options.h"
#include "base/text.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int cli_usage(const struct cli_command *command, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    cli_say(command->name, format, ap);
    va_end(ap);
    fprintf(stderr, "`limber %s --help` lists the options\n", command->name);
    return CLI_NOTHING;
}

static void print_option(const char *name, const char *value, bool optional, const char *help)
{
    char left[64];
    snprintf(left, sizeof left, "%s%s%s%s", name, optional ? "[=" : value ? " " : "", value ? value : "", optional ? "]" : "");
    if (strlen(left) > 22)
        printf("  %s\n  %-22s  %s\n", left, "", help);
    else
        printf("  %-22s  %s\n", left, help);
}

static void print_help(const struct cli_command *c)
{
    printf("limber %s %s\n\n%s\n\n", c->name, c->synopsis, c->about);
    for (const struct cli_option *o = c->options; o->kind; o++)
        print_option(o->name, o->value, o->value && o->kind == CLI_KIND_FLAG, o->help);
    print_option("--help", NULL, false, "this text");
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
        double x = text_number(value, &end);
        if (end == value || *end || errno || !(x >= o->low && x <= o->high)) /* a NaN fails both */
            return cli_usage(c, "%s is \"%s\", expected a number in %g..%g", o->name, value, o->low, o->high);
        *o->number = x;
        return CLI_GO;
    }
    case CLI_KIND_FLAG:
    case CLI_KIND_MAYBE:
    case CLI_KIND_END:
        break;
    }
    return CLI_GO;
}

/* What other tools call it, and what limber does. The first word of `means` is an option of limber's, or INPUT. */
static const struct {
    const char *typed, *means;
} habits[] = {
    {"--output", "--out DIR"},
    {"--output-dir", "--out DIR"},
    {"--outdir", "--out DIR"},
    {"--out-dir", "--out DIR"},
    {"--save-dir", "--out DIR"},
    {"--project", "--out DIR"},
    {"--source", "INPUT without an option"},
    {"--source", "--images DIR"},
    {"--img-dir", "INPUT without an option"},
    {"--image-dir", "INPUT without an option"},
    {"--images", "INPUT without an option"},
    {"--device", "--backend auto|ref|cpu|cuda"},
    {"--gpu", "--backend cuda"},
    {"--cuda", "--backend cuda"},
    {"--cpu", "--backend cpu"},
    {"--img", "--input HxW"},
    {"--imgsz", "--input HxW"},
    {"--img-size", "--input HxW"},
    {"--conf", "--min-score S (of a person; of a box --min-box-score S)"},
    {"--conf-thres", "--min-score S (of a person; of a box --min-box-score S)"},
    {"--threshold", "--min-score S (of a person; of a box --min-box-score S)"},
    {"--max-det", "--max-people N"},
    {"--kpt-thr", "--min-score S"},
    {"--format", "--to FORMAT"},
    {"--weights", "--model DIR"},
    {"--checkpoint", "--model DIR"},
    {"--bbox", "--boxes FILE"},
    {"--detections", "--boxes FILE"},
    {"--classes", "--category NAME|ID"},
    {"--workers", "--threads N"},
    {"--num-workers", "--threads N"},
    {"--jobs", "--threads N"},
    {"--batch-size", "--batch N"},
    {"--half", "--precision fp16"},
    {"--fp16", "--precision fp16"},
    {"--bf16", "--precision bf16"},
    {"--fp32", "--precision fp32"},
    {"--int8", "--precision int8"},
    {"--save", "--overlay"},
    {"--save-img", "--overlay"},
    {"--draw", "--overlay"},
    {"--vis", "--overlay"},
    {"--visualize", "--overlay"},
    {"--continue", "--resume"},
    {"--exist-ok", "--resume"},
    {"--silent", "--quiet"},
};

static int unknown(const struct cli_command *c, const char *word, size_t length)
{
    const char *near = NULL;
    int best = INT_MAX;
    char typed[64];
    snprintf(typed, sizeof typed, "%.*s", (int)(length < 63 ? length : 63), word);
    char dashed[64]; /* --output_dir is --output-dir */
    for (size_t i = 0; i < sizeof typed; i++)
        dashed[i] = (char)(typed[i] == '_' ? '-' : typed[i]);
    for (size_t i = 0; i < sizeof habits / sizeof *habits; i++) {
        const char *means = habits[i].means;
        if (!strcmp(dashed, habits[i].typed) &&
            (find(c, means, strcspn(means, " ")) || (!strncmp(means, "INPUT", 5) && strstr(c->synopsis, "INPUT"))))
            return cli_usage(c, "unknown option %s: here it is %s", typed, means);
    }
    for (const struct cli_option *each = c->options; each->kind; each++)
        cli_nearer(dashed, each->name, &near, &best);
    return near ? cli_usage(c, "unknown option %s: did you mean %s?", typed, near) : cli_usage(c, "unknown option %s", typed);
}

void (*cli_describe)(const struct cli_command *command);

int cli_parse(const struct cli_command *c, int argc, char **argv, int *inputs)
{
    bool only_inputs = false;
    *inputs = 0;
    if (cli_describe) {
        cli_describe(c);
        return CLI_DONE;
    }
    for (int i = 1; i < argc; i++) {
        char *word = !only_inputs && !strcmp(argv[i], "-o") && find(c, "--out", 5) ? "--out" : argv[i];
        if (only_inputs || strncmp(word, "--", 2)) {
            if (!only_inputs && word[0] == '-' && word[1] && !text_is_digit(word[1]))
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
        if (!o)
            return unknown(c, word, length);
        if (o->kind == CLI_KIND_FLAG) {
            if (equals && !o->value)
                return cli_usage(c, "%s takes no value: %s", o->name, word);
            if (equals && !is_choice(o->value, equals + 1))
                return cli_usage(c, "%s is \"%s\", expected %s", o->name, equals + 1, o->value);
            if (equals)
                *o->text = equals + 1;
            *o->flag = true;
            continue;
        }
        if (o->kind == CLI_KIND_MAYBE) {
            *o->flag = true;
            if (equals)
                *o->text = equals + 1;
            else if (i + 1 < argc && argv[i + 1][0] != '-')
                *o->text = argv[++i];
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
        return cli_fail("--input %s: expected height x width in pixels, like 384x288 (pictures are named without an option)",
                        common->input);
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
