/* SPDX-License-Identifier: MIT */
/* command/options.h - what the commands share: one declarative table of options each, one parser, one way to fail.
 *
 *     int cli_info(int argc, char **argv)           argv[0] is "info"
 *     {
 *         struct cli_common common = cli_common_default();
 *         const char *json = NULL;
 *         bool parts = false;
 *         int limit = 10;
 *         const struct cli_option options[] = {
 *             CLI_OPTION("--json", "FILE", &json, "also write the figures here"),
 *             CLI_FLAG("--parts", &parts, "FLOPs by part"),
 *             CLI_INT("--limit", "N", &limit, 1, 100, "rows to print"),
 *             CLI_COMMON_OPTIONS(common),
 *             CLI_END,
 *         };
 *         const struct cli_command command = {"info", "[options]", "What the model is, and what this machine can do.", options};
 *         int inputs;                               // argv[1 .. inputs] are the arguments that are not options
 *         int status = cli_parse(&command, argc, argv, &inputs);
 *         if (status != CLI_GO)
 *             return status;                        // --help was printed (0), or the usage was wrong (2)
 *         if (inputs > 0)
 *             return cli_usage(&command, "info takes no arguments: %s", argv[1]);
 *         limber_model *model;
 *         if ((status = cli_model_open(&common, &model)))
 *             return status;
 *         ...
 *
 * Both `--name value` and `--name=value` are read, options may stand after arguments, `--` ends them. A lone "-" is an
 * argument; a negative number is a value; -o stands for --out. */
#ifndef LIMBER_CLI_H
#define LIMBER_CLI_H

#include <stdbool.h>

#include "command/say.h"
#include "command/stop.h"
#include "limber.h"

#define CLI_GO (-1) /* of cli_parse: no exit status yet */

enum cli_kind { CLI_KIND_END, CLI_KIND_FLAG, CLI_KIND_MAYBE, CLI_KIND_INT, CLI_KIND_NUMBER, CLI_KIND_TEXT, CLI_KIND_CHOICE };

struct cli_option {
    const char *name;  /* "--batch" */
    const char *value; /* "N", as the help shows it; of a choice "auto|ref|cpu"; NULL for a flag that takes none */
    enum cli_kind kind;
    bool *flag;
    int *integer;
    double *number;
    const char **text; /* points into argv */
    double low, high;  /* of a number, both included */
    const char *help;  /* one line; the default in brackets at its end, where there is one */
};
/* clang-format off */
#define CLI_FLAG(name, target, help) {name, NULL, CLI_KIND_FLAG, target, NULL, NULL, NULL, 0, 0, help}
/* --name, or --name=one|of|these: then also *text */
#define CLI_FLAG_CHOICE(name, choices, target, text, help) {name, choices, CLI_KIND_FLAG, target, NULL, NULL, text, 0, 0, help}
/* --name, or --name VALUE: then also *text; for commands without arguments, which could be taken for one */
#define CLI_MAYBE(name, value, target, text, help) {name, value, CLI_KIND_MAYBE, target, NULL, NULL, text, 0, 0, help}
#define CLI_INT(name, value, target, low, high, help) {name, value, CLI_KIND_INT, NULL, target, NULL, NULL, low, high, help}
#define CLI_NUMBER(name, value, target, low, high, help) {name, value, CLI_KIND_NUMBER, NULL, NULL, target, NULL, low, high, help}
#define CLI_OPTION(name, value, target, help) {name, value, CLI_KIND_TEXT, NULL, NULL, NULL, target, 0, 0, help}
#define CLI_CHOICE(name, choices, target, help) {name, choices, CLI_KIND_CHOICE, NULL, NULL, NULL, target, 0, 0, help}
#define CLI_END {NULL, NULL, CLI_KIND_END, NULL, NULL, NULL, NULL, 0, 0, NULL}
/* clang-format on */

/* What every command understands. `options` starts from limber_options_default(). */
struct cli_common {
    limber_options options;
    const char *model; /* --model; NULL: LIMBER_MODEL, else the built-in one */
    const char *input; /* --input HxW; NULL: the model's own */
    bool quiet;
};
struct cli_common cli_common_default(void);
/* clang-format off */
#define CLI_BACKEND_OPTIONS(c) \
    CLI_CHOICE("--backend", "auto|ref|cpu|cuda", &(c).options.backend, "where to compute [auto]"), \
    CLI_CHOICE("--precision", "auto|fp32|bf16|fp16|int8", &(c).options.precision, "arithmetic of the network [auto]")
#define CLI_COMMON_OPTIONS(c) \
    CLI_OPTION("--model", "DIR", &(c).model, "checkpoint directory, as Hugging Face lays it out [LIMBER_MODEL, else built in]"), \
    CLI_BACKEND_OPTIONS(c), \
    CLI_OPTION("--attention", "KIND", &(c).options.attention, "exact, or approximate: window:W, merge:R, pool:P [exact]"), \
    CLI_OPTION("--input", "HxW", &(c).input, "another input size, in multiples of the patch [what the model was trained at]"), \
    CLI_OPTION("--prune", "L.H,...", &(c).options.prune, "leave attention heads out: layer and head, from 0"), \
    CLI_INT("--expert", "N", &(c).options.expert, 0, 63, "expert of a ViTPose+ model [0: COCO]"), \
    CLI_INT("--threads", "N", &(c).options.threads, 0, 1024, "threads of the forward pass [0: all this process may use]"), \
    CLI_INT("--batch", "N", &(c).options.batch, 0, 1024, "people in one forward pass [0: the backend's choice]"), \
    CLI_FLAG("--quiet", &(c).quiet, "no progress bar, no summary")
/* clang-format on */

struct cli_command {
    const char *name;                 /* "run" */
    const char *synopsis;             /* "INPUT... [options]" */
    const char *about;                /* a few sentences; lines are printed as they stand */
    const struct cli_option *options; /* ended by CLI_END */
};

/* While it is set, cli_parse hands the command's table to it and reads nothing; NULL but in command/manual.c. */
extern void (*cli_describe)(const struct cli_command *command);

/* Reads argv[1..argc-1]; arguments that are not options are moved, in order, to argv[1..*inputs]. CLI_GO, or an exit status
 * after --help (0) or a usage error (2, said on stderr). */
int cli_parse(const struct cli_command *command, int argc, char **argv, int *inputs);

/* "limber run: text" and where to find help, on stderr. Returns CLI_NOTHING. */
__attribute__((format(printf, 2, 3))) int cli_usage(const struct cli_command *command, const char *format, ...);

/* Opens the model that --model, LIMBER_MODEL or the library names, and a session on it. CLI_DONE, or CLI_NOTHING with the reason
 * on stderr. */
int cli_model_open(const struct cli_common *common, limber_model **model);
/* The options it opens it with: --input read into input_height and input_width. */
int cli_model_options(const struct cli_common *common, limber_options *options);
int cli_session_open(const struct cli_common *common, const limber_model *model, limber_session **session);
const char *cli_model_dir(const struct cli_common *common); /* NULL: the built-in model */

/* --layers "0,3-5" -> 0 3 4 5; layers has room for CLI_MAX_LAYERS. CLI_DONE, or CLI_NOTHING with the reason on stderr. */
#define CLI_MAX_LAYERS 1024
int cli_read_layers(const struct cli_command *command, const char *text, int *layers, int *count);

#endif
