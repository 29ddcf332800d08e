/* SPDX-License-Identifier: MIT */
/* command/manual.c - man(7) pages and completions for bash, zsh and fish. Options, choices and synopsis come from the table that the
 * parser reads (command/options.h): a command that is run while cli_describe is set hands its table over and does nothing. What a
 * page has besides - files, examples - is the table below. */
#define _GNU_SOURCE
#include "command/manual.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command/bench/bench.h"
#include "command/options.h"
#include "command/output.h"

#define DATE "2026-11-25" /* of the last change to what the pages say beside the options */
#define COMMANDS_MAX 32

struct pair {
    const char *what, *about;
};
struct extra {
    const char *name;
    bool some_fail; /* has exit status 1 */
    struct pair files[8], examples[4];
};
static const struct extra extras[] = {
    {"run",
     true,
     {{"DIR/poses.jsonl", "one line of JSON a picture: people, joints, limbs; whole lines, whatever happens"},
      {"DIR/run.json", "model, options, decoders, counts, seconds by stage"},
      {"DIR/index.html", "with --overlay: the overlays to look through in a browser, without a network"},
      {"DIR/overlay/PATH.jpg", "with --overlay: the pictures with people drawn on them"},
      {"DIR/coco_results.json", "with --coco: what pycocotools reads"},
      {"DIR/poses.jsonl~, DIR/index.html~", "what an earlier run had left there, unless --resume went on with it"}},
     {{"The people in a folder of photographs, and a page to look at them:", "limber run photos/ --out result/ --overlay"},
      {"Boxes of another detector, and a published model:",
       "limber run photos/ --boxes detections.json --model vitpose-b --out result/"},
      {"Go on after an interruption:", "limber run photos/ --out result/ --overlay --resume"},
      {"A picture from standard input:", "curl https://example.org/a.jpg | limber run -"}}},
    {"detect",
     true,
     {{"FILE", "boxes with scores, in the form that --out asks for"}},
     {{"Boxes of the people in a folder of photographs:", "limber detect photos/ --out boxes.jsonl"}}},
    {"heads",
     true,
     {{"DIR/heads.html", "the report: maps of all heads, the specialists, intervals"},
      {"DIR/heads.json", "every figure, with the options that led to it"},
      {"DIR/heads.csv", "a row a head and limb"}},
     {{"Which heads look at which limb:", "limber heads photos/ --boxes persons.json --out heads/"},
      {"By annotated joints instead of the model's own:", "limber heads photos/ --annotations persons.json --out heads/"}}},
    {"patch",
     true,
     {{"DIR/patch.html", "the report"},
      {"DIR/patch.json", "every figure, with the options that led to it"},
      {"DIR/patch.csv", "a row a head and limb"},
      {"DIR/patch.kept", "what --resume goes on with"}},
     {{"What each head causes, beside what it reads:", "limber heads photos/ --annotations persons.json --out report/\nlimber "
                                                       "patch photos/ --annotations persons.json --out report/"}}},
    {"drift",
     true,
     {{"DIR/drift.json", "every figure, with the options that led to it"}, {"DIR/drift.csv", "a row a head"}},
     {{"How far fine-tuning has moved each head:",
       "limber drift before/ after/ photos/ --annotations persons.json --out drift/"}}},
    {"prune",
     false,
     {{"DIR/config.json, DIR/model.safetensors, DIR/preprocessor_config.json", "the smaller model"},
      {"DIR/README.md, DIR/prune.json", "what was left out, what it costs, and beside what it was measured"}},
     {{"The best half of 144 heads:",
       "limber prune --keep 72 --model vitpose-b --annotations persons.json --images photos/ --out smaller/"}}},
    {"eval",
     true,
     {{"FILE", "with --json: the figures that are printed"}},
     {{"A published model on COCO:",
       "limber eval --model vitpose-b --flip --annotations person_keypoints_val2017.json --images val2017/"}}},
    {"export",
     false,
     {{"poses.jsonl", "what limber run has written, or the folder that it is in"},
      {"PATH", "with --out: the file or the folder that is written"}},
     {{"For what reads OpenPose:", "limber export --to openpose result/ --out openpose/"},
      {"A table:", "limber export --to csv result/poses.jsonl --out joints.csv"}}},
    {"merge",
     false,
     {{"DIR/run.json, DIR/poses.jsonl", "of each part: what is joined, and what it is checked by"},
      {"DIR/coco_results.json, DIR/overlay",
       "likewise, where the parts have them; overlays are linked, not copied, where the disk can"}},
     {{"Four machines, then one result:",
       "limber run photos/ --shard 1/4 --out part/1     # and 2/4, 3/4, 4/4 elsewhere\nlimber merge part/*/ --out all"}}},
    {"bench attention",
     false,
     {{"DIR/bench.json, DIR/bench.csv", "every time, and the law that follows"},
      {"DIR/bench.html, DIR/bench.svg", "the same to look at"}},
     {{"A first look, in 20 seconds:", "limber bench attention --quick"},
      {"The whole, with plots:", "limber bench attention --out bench/"}}},
    {"bench model",
     false,
     {{"FILE", "with --csv: the rows; with --crops and --heatmaps: as their options say"}},
     {{"ViTPose-B with random weights, by operation:", "limber bench model --arch B --batches 1,8 --parts"}}},
    {"bench pipeline",
     true,
     {{"FILE", "with --csv: the rows"}},
     {{"Pictures a second, and where the time goes:", "limber bench pipeline photos/ --boxes persons.json"}}},
    {"info",
     false,
     {{"FILE", "with --json: the figures"}},
     {{"What a model is, before it is run:", "limber info --model vitpose-b"}}},
};

/* ---- what is described ---- */

/* Where a described command goes while its table, a local one of its function, is there. */
static void (*describe_to)(const struct cli_command *c, const char *about);
static const char *described_about;

static void describe(const struct cli_command *c)
{
    describe_to(c, described_about);
}

/* One after another, the benchmarks each for itself. */
static int each_command(const struct command_entry *commands, size_t count,
                        void (*to)(const struct cli_command *c, const char *about))
{
    int status = CLI_DONE;
    describe_to = to;
    cli_describe = describe;
    for (size_t i = 0; !status && i < count; i++) {
        char *argv[] = {(char *)(uintptr_t)commands[i].name, NULL, NULL};
        described_about = commands[i].about;
        if (strcmp(commands[i].name, "bench")) {
            status = commands[i].run(1, argv);
            continue;
        }
        for (size_t k = 0; !status && bench_name(k, &described_about); k++) {
            argv[1] = (char *)(uintptr_t)bench_name(k, &described_about);
            status = commands[i].run(2, argv);
        }
    }
    cli_describe = NULL;
    return status;
}

static const struct extra *extra_of(const char *name)
{
    for (size_t i = 0; i < sizeof extras / sizeof *extras; i++)
        if (!strcmp(extras[i].name, name))
            return &extras[i];
    return NULL;
}

static struct {
    const char *dir;
    FILE *f; /* the page or the completion being written */
    char *text;
    size_t size;
    int status;
} out;

static void out_open(void)
{
    free(out.text);
    out.text = NULL;
    out.f = open_memstream(&out.text, &out.size);
    if (!out.f)
        out.status = cli_fail("no memory");
}

static void out_close(const char *name)
{
    if (!out.f)
        return;
    const bool fine = !ferror(out.f);
    if (fclose(out.f) || !fine)
        out.status = cli_fail("no memory for %s", name);
    if (!out.status)
        out.status = output_file(out.dir, name, out.text, out.size);
    out.f = NULL;
}

/* ---- man(7) ---- */

/* One character of text that is typed or shown as it stands: roff has its own idea of \ and -. */
static void put_plain(char c)
{
    if (c == '\\')
        fputs("\\e", out.f);
    else if (c == '-')
        fputs("\\-", out.f);
    else if (c == '\'')
        fputs("\\(aq", out.f);
    else if (c == '~')
        fputs("\\(ti", out.f);
    else
        fputc(c, out.f);
}

static void put_words(const char *text)
{
    for (; *text; text++)
        put_plain(*text);
}

/* A paragraph, filled anew: lines of at most 80 bytes that no macro's dot begins, `code` and --options in bold. */
static void put_prose(const char *text)
{
    int column = 0;
    bool code = false;
    while (*text) {
        const size_t n = strcspn(text, " \n");
        const bool option = !strncmp(text, "--", 2) && !code;
        if (column && column + (int)n > 54) /* of text; in roff it is longer */
            fputc('\n', out.f), column = 0;
        else if (column)
            fputc(' ', out.f);
        if (!column && (*text == '.' || *text == '\''))
            fputs("\\&", out.f);
        size_t bold = option ? 2 + strspn(text + 2, "abcdefghijklmnopqrstuvwxyz-") : 0;
        if (bold)
            fputs("\\fB", out.f);
        for (size_t i = 0; i < n; i++) {
            if (bold && i == bold)
                fputs("\\fR", out.f);
            if (text[i] == '`')
                fputs((code = !code) ? "\\fB" : "\\fR", out.f);
            else
                put_plain(text[i]);
        }
        if (bold && bold >= n)
            fputs("\\fR", out.f);
        column += (int)n + 1;
        text += n;
        text += strspn(text, " \n");
    }
    fputc('\n', out.f);
}

/* put_prose of the first n characters. */
static void put_part(const char *text, size_t n)
{
    char *part = strndup(text, n);
    if (part)
        put_prose(part);
    else
        out.status = cli_fail("no memory");
    free(part);
}

/* A few sentences; lines that begin with two spaces are a list, of a word each and what it is. */
static void put_about(const char *text)
{
    while (*text) {
        size_t n = strcspn(text, "\n");
        if (!strncmp(text, "  ", 2)) {
            const char *word = text + 2 + strspn(text + 2, " ");
            const size_t length = strcspn(word, " "), gap = strspn(word + length, " ");
            fprintf(out.f, ".TP\n\\fB%.*s\\fR\n", (int)length, word);
            put_part(word + length + gap, n - (size_t)(word + length + gap - text));
            if (text[n] && strncmp(text + n + 1, "  ", 2))
                fputs(".PP\n", out.f);
        } else {
            while (text[n] && strncmp(text + n + 1, "  ", 2)) /* the paragraph goes on */
                n += 1 + strcspn(text + n + 1, "\n");
            put_part(text, n);
        }
        text += n + (text[n] == '\n');
    }
}

static void put_option(const char *name, const char *value, bool optional, const char *help)
{
    fputs(".TP\n\\fB", out.f);
    put_words(name);
    fputs("\\fR", out.f);
    if (value) {
        fputs(optional ? "[=\\fI" : " \\fI", out.f);
        put_words(value);
        fputs(optional ? "\\fR]" : "\\fR", out.f);
    }
    fputc('\n', out.f);
    put_prose(help);
}

static void put_pairs(const char *heading, const struct pair *pairs, size_t room)
{
    fprintf(out.f, ".SH %s\n", heading);
    for (size_t i = 0; i < room && pairs[i].what; i++) {
        fputs(".TP\n\\fI", out.f);
        put_words(pairs[i].what);
        fputs("\\fR\n", out.f);
        put_prose(pairs[i].about);
    }
}

static void put_examples(const struct pair *pairs, size_t room)
{
    fputs(".SH EXAMPLES\n", out.f);
    for (size_t i = 0; i < room && pairs[i].what; i++) {
        if (i)
            fputs(".PP\n", out.f);
        put_prose(pairs[i].what);
        fputs(".PP\n.nf\n.RS 4\n", out.f);
        put_words(pairs[i].about);
        fputs("\n.RE\n.fi\n", out.f);
    }
}

static void put_status(bool some_fail)
{
    fputs(".SH EXIT STATUS\n.TP\n0\nAll is done.\n", out.f);
    if (some_fail)
        fputs(".TP\n1\nSome pictures could not be used; the others are done.\n", out.f);
    fputs(".TP\n2\nNothing could start, or the output could not be written; the reason is on\nstandard error.\n"
          ".TP\n130\nStopped by a signal, with everything whole that was written until then.\n",
          out.f);
}

static void put_title(const char *page, const char *about)
{
    fputs(".TH ", out.f);
    for (const char *p = page; *p; p++)
        put_plain(*p >= 'a' && *p <= 'z' ? (char)(*p - 'a' + 'A') : *p);
    fprintf(out.f, " 1 %s \"limber %s\" \"User Commands\"\n.SH NAME\n", DATE, limber_version());
    put_words(page);
    fputs(" \\-\n", out.f);
    put_prose(about);
}

static const struct cli_option *has_option(const struct cli_command *c, const char *name)
{
    for (const struct cli_option *o = c->options; o->kind; o++)
        if (!strcmp(o->name, name))
            return o;
    return NULL;
}

/* "bench attention" -> "limber-bench-attention" */
static void page_of(char page[64], const char *name)
{
    snprintf(page, 64, "limber-%s", name);
    for (char *p = page; *p; p++)
        *p = (char)(*p == ' ' ? '-' : *p);
}

static void write_page(const struct cli_command *c, const char *about)
{
    char page[64], file[72];
    const struct extra *e = extra_of(c->name);
    if (out.status)
        return;
    if (!e) {
        out.status = cli_fail("`limber %s` has no row in command/manual.c", c->name);
        return;
    }
    out_open();
    if (out.status)
        return;
    page_of(page, c->name);
    put_title(page, about);
    fprintf(out.f, ".SH SYNOPSIS\n\\fBlimber %s\\fR ", c->name);
    put_words(c->synopsis);
    fputs("\n.SH DESCRIPTION\n", out.f);
    put_about(c->about);
    fputs(".SH OPTIONS\n", out.f);
    put_prose("Both `--name value` and `--name=value` are read. Brackets hold what holds without the option.");
    for (const struct cli_option *o = c->options; o->kind; o++)
        put_option(o->name, o->value, o->value && o->kind == CLI_KIND_FLAG, o->help);
    put_option("--help", NULL, false, "the options in short");
    put_status(e->some_fail);
    if (has_option(c, "--model") || has_option(c, "--detector"))
        fputs(".SH ENVIRONMENT\n", out.f);
    if (has_option(c, "--model"))
        fputs(".TP\n\\fBLIMBER_MODEL\\fR\nThe model, where \\fB\\-\\-model\\fR does not say.\n", out.f);
    if (has_option(c, "--detector"))
        fputs(".TP\n\\fBLIMBER_DETECTOR\\fR\nThe detector, where \\fB\\-\\-detector\\fR does not say.\n", out.f);
    put_pairs("FILES", e->files, sizeof e->files / sizeof *e->files);
    put_examples(e->examples, sizeof e->examples / sizeof *e->examples);
    fputs(".SH SEE ALSO\n.BR limber (1)\n", out.f);
    snprintf(file, sizeof file, "%s.1", page);
    out_close(file);
}

static void list_page(const struct cli_command *c, const char *about)
{
    char page[64];
    page_of(page, c->name);
    fputs(".TP\n.BR ", out.f);
    put_words(page);
    fputs(" (1)\n", out.f);
    put_prose(about);
}

static int write_overview(const struct command_entry *commands, size_t count)
{
    static const struct pair files[] = {{"config.json, model.safetensors, preprocessor_config.json",
                                         "a model: a folder with these three, as Hugging Face lays ViTPose out"},
                                        {NULL, NULL}};
    static const struct pair examples[] = {
        {"The people in a folder of photographs, and a page to look at them:", "limber run photos/ --out result/ --overlay"},
        {"What the model is, and what this machine can do:", "limber info"},
        {NULL, NULL}};
    out_open();
    if (out.status)
        return out.status;
    put_title("limber", "joints and limbs of people in photographs, by Vision Transformers");
    fputs(".SH SYNOPSIS\n\\fBlimber\\fR \\fICOMMAND\\fR [options] ...\n.PP\n\\fBlimber help\\fR [\\fICOMMAND\\fR]\n.PP\n"
          "\\fBlimber version\\fR\n.SH DESCRIPTION\n",
          out.f);
    put_prose("limber finds the joints and limbs of the people in photographs. It opens published ViTPose checkpoints as they "
              "are, and brings a "
              "small model and a detector of its own: no download, no GPU and no Python are needed. Each command has a page of "
              "its own.");
    int status = each_command(commands, count, list_page);
    put_status(true);
    fputs(".SH ENVIRONMENT\n.TP\n\\fBLIMBER_MODEL\\fR\nThe model, where \\fB\\-\\-model\\fR does not say.\n"
          ".TP\n\\fBLIMBER_DETECTOR\\fR\nThe detector, where \\fB\\-\\-detector\\fR does not say.\n"
          ".TP\n\\fBLIMBER_CPU\\fR\nHolds the CPU kernels to an instruction set, as \\fBlimber info\\fR names them.\n"
          ".TP\n\\fBLIMBER_CUDA_PLUGIN\\fR\nWhere the CUDA plugin lies, if not beside the library.\n",
          out.f);
    put_pairs("FILES", files, 2);
    put_examples(examples, 3);
    fputs(".SH SEE ALSO\n", out.f);
    put_prose("The C interface is documented in limber.h, limber_heads.h and limber_patch.h.");
    out_close("limber.1");
    return status ? status : out.status;
}

/* ---- completions ---- */

enum expected { NOTHING, FOLDERS, FILES, CHOICES };

static enum expected expects(const struct cli_option *o)
{
    if (!o->value)
        return NOTHING;
    if (o->kind == CLI_KIND_CHOICE || o->kind == CLI_KIND_FLAG)
        return CHOICES;
    return !strcmp(o->value, "DIR") ? FOLDERS : !strcmp(o->value, "FILE") || !strcmp(o->value, "PATH") ? FILES : NOTHING;
}

/* "auto|cpu" -> "auto cpu" */
static void put_choices(const char *choices)
{
    for (; *choices; choices++)
        fputc(*choices == '|' ? ' ' : *choices, out.f);
}

static void put_bash_options(const struct cli_command *c, const char *about)
{
    (void)about;
    fprintf(out.f, "    '%s')\n        case $before in\n", c->name);
    for (const struct cli_option *o = c->options; o->kind; o++) {
        if (!o->value || o->kind == CLI_KIND_FLAG)
            continue;
        fprintf(out.f, "        %s) ", o->name);
        switch (expects(o)) {
        case CHOICES:
            fputs("words='", out.f);
            put_choices(o->value);
            fputs("' ;;\n", out.f);
            break;
        case FOLDERS:
            fputs("kind=-d ;;\n", out.f);
            break;
        case FILES:
            fputs("kind=-f ;;\n", out.f);
            break;
        case NOTHING:
            fputs("return ;;\n", out.f);
        }
    }
    fputs("        *)\n            words='--help", out.f);
    for (const struct cli_option *o = c->options; o->kind; o++)
        fprintf(out.f, " %s", o->name);
    fputs("'\n            case $now in -*) ;; *) kind=-f words= ;; esac\n            ;;\n        esac\n        ;;\n", out.f);
}

static void put_names(const struct command_entry *commands, size_t count)
{
    for (size_t i = 0; i < count; i++)
        fprintf(out.f, "%s ", commands[i].name);
    fputs("help version", out.f);
}

static void put_benches(void)
{
    const char *about;
    for (size_t k = 0; bench_name(k, &about); k++)
        fprintf(out.f, "%s%s", k ? " " : "", bench_name(k, &about));
}

static void write_bash(const struct command_entry *commands, size_t count)
{
    out_open();
    if (out.status)
        return;
    fputs("# bash completion of limber, made of its tables of options by `limber --manual`\n"
          "_limber() {\n"
          "    local now=$2 before=$3 command=${COMP_WORDS[1]} words= kind=\n"
          "    COMPREPLY=()\n"
          "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
          "        COMPREPLY=($(compgen -W '",
          out.f);
    put_names(commands, count);
    fputs("' -- \"$now\"))\n        return\n    fi\n"
          "    if [ \"$command\" = help ] && [ \"$COMP_CWORD\" -eq 2 ]; then\n        COMPREPLY=($(compgen -W '",
          out.f);
    put_names(commands, count);
    fputs("' -- \"$now\"))\n        return\n    fi\n"
          "    if [ \"$command\" = bench ]; then\n"
          "        [ \"$COMP_CWORD\" -eq 2 ] && COMPREPLY=($(compgen -W '",
          out.f);
    put_benches();
    fputs("' -- \"$now\")) && return\n        command=\"bench ${COMP_WORDS[2]}\"\n    fi\n    case $command in\n", out.f);
    each_command(commands, count, put_bash_options);
    fputs("    esac\n"
          "    [ -z \"$words\" ] || COMPREPLY=($(compgen -W \"$words\" -- \"$now\"))\n"
          "    if [ -n \"$kind\" ]; then\n"
          "        local IFS=$'\\n'\n"
          "        compopt -o filenames 2>/dev/null\n"
          "        COMPREPLY+=($(compgen \"$kind\" -- \"$now\"))\n"
          "    fi\n"
          "}\n"
          "complete -F _limber limber\n",
          out.f);
    out_close("limber.bash");
}

/* Within '...[HERE]': zsh reads brackets and colons, the shell the quote. */
static void put_zsh_text(const char *text)
{
    for (; *text; text++)
        if (*text == '\'')
            fputs("'\\''", out.f);
        else if (strchr("[]:\\", *text))
            fprintf(out.f, "\\%c", *text);
        else
            fputc(*text, out.f);
}

static void put_zsh_options(const struct cli_command *c, const char *about)
{
    (void)about;
    fprintf(out.f, "    '%s')\n        _arguments -S \\\n            '--help[the options in short]' \\\n", c->name);
    for (const struct cli_option *o = c->options; o->kind; o++) {
        const bool optional = o->value && o->kind == CLI_KIND_FLAG;
        fprintf(out.f, "            '%s%s[", o->name, optional ? "=-" : o->value ? "=" : "");
        put_zsh_text(o->help);
        fputs("]", out.f);
        if (o->value) {
            fputs(optional ? "::" : ":", out.f);
            if (expects(o) == CHOICES)
                fputs("which", out.f);
            else
                put_zsh_text(o->value);
            fputs(":", out.f);
        }
        switch (expects(o)) {
        case CHOICES:
            fputs("(", out.f);
            put_choices(o->value);
            fputs(")", out.f);
            break;
        case FOLDERS:
            fputs("_files -/", out.f);
            break;
        case FILES:
            fputs("_files", out.f);
            break;
        case NOTHING:
            break;
        }
        fputs("' \\\n", out.f);
    }
    fputs("            '*:input:_files'\n        ;;\n", out.f);
}

static void write_zsh(const struct command_entry *commands, size_t count)
{
    const char *about, *name;
    out_open();
    if (out.status)
        return;
    fputs("#compdef limber\n# zsh completion of limber, made of its tables of options by `limber --manual`\n"
          "local command\n"
          "if (( CURRENT == 2 )) || { (( CURRENT == 3 )) && [[ $words[2] = help ]] }; then\n"
          "    local -a commands=(\n",
          out.f);
    for (size_t i = 0; i < count; i++) {
        fprintf(out.f, "        '%s:", commands[i].name);
        put_zsh_text(commands[i].about);
        fputs("'\n", out.f);
    }
    fputs("        'help:the options of a command'\n        'version:of this build'\n    )\n"
          "    _describe command commands\n    return\nfi\n"
          "command=$words[2]\n"
          "if [[ $command = bench ]]; then\n"
          "    if (( CURRENT == 3 )); then\n        local -a benches=(\n",
          out.f);
    for (size_t k = 0; (name = bench_name(k, &about)); k++) {
        fprintf(out.f, "            '%s:", name);
        put_zsh_text(about);
        fputs("'\n", out.f);
    }
    fputs("        )\n        _describe benchmark benches\n        return\n    fi\n"
          "    command=\"bench $words[3]\"\n    shift words\n    (( CURRENT-- ))\nfi\n"
          "shift words\n(( CURRENT-- ))\ncase $command in\n",
          out.f);
    each_command(commands, count, put_zsh_options);
    fputs("esac\n", out.f);
    out_close("_limber");
}

/* Within '...' */
static void put_fish_text(const char *text)
{
    for (; *text; text++)
        fprintf(out.f, strchr("'\\", *text) ? "\\%c" : "%c", *text);
}

static void put_fish_options(const struct cli_command *c, const char *about)
{
    (void)about;
    char when[128];
    if (strncmp(c->name, "bench ", 6))
        snprintf(when, sizeof when, "__fish_seen_subcommand_from %s", c->name);
    else
        snprintf(when, sizeof when, "__fish_seen_subcommand_from bench; and __fish_seen_subcommand_from %s", c->name + 6);
    for (const struct cli_option *o = c->options; o->kind; o++) {
        fprintf(out.f, "complete -c limber -n '%s' -l %s", when, o->name + 2);
        const bool optional = o->kind == CLI_KIND_FLAG;
        switch (expects(o)) {
        case CHOICES:
            fputs(optional ? " -f -a '" : " -x -a '", out.f);
            if (!optional)
                put_choices(o->value);
            fputs("'", out.f);
            break;
        case FOLDERS:
            fputs(" -x -a '(__fish_complete_directories)'", out.f);
            break;
        case FILES:
            fputs(" -r -F", out.f);
            break;
        case NOTHING:
            fputs(o->value ? " -x" : "", out.f);
        }
        fputs(" -d '", out.f);
        put_fish_text(o->help);
        fputs("'\n", out.f);
    }
}

static void write_fish(const struct command_entry *commands, size_t count)
{
    const char *about, *name;
    out_open();
    if (out.status)
        return;
    fputs("# fish completion of limber, made of its tables of options by `limber --manual`\n", out.f);
    for (size_t i = 0; i < count; i++) {
        fprintf(out.f, "complete -c limber -n '__fish_use_subcommand' -f -a %s -d '", commands[i].name);
        put_fish_text(commands[i].about);
        fputs("'\n", out.f);
    }
    fputs("complete -c limber -n '__fish_use_subcommand' -f -a help -d 'the options of a command'\n"
          "complete -c limber -n '__fish_use_subcommand' -f -a version -d 'of this build'\n"
          "complete -c limber -n '__fish_seen_subcommand_from help' -f -a '",
          out.f);
    put_names(commands, count);
    fputs("'\n", out.f);
    for (size_t k = 0; (name = bench_name(k, &about)); k++) {
        fputs("complete -c limber -n '__fish_seen_subcommand_from bench; and not __fish_seen_subcommand_from ", out.f);
        put_benches();
        fprintf(out.f, "' -f -a %s -d '", name);
        put_fish_text(about);
        fputs("'\n", out.f);
    }
    each_command(commands, count, put_fish_options);
    out_close("limber.fish");
}

int manual_write(const char *dir, const struct command_entry *commands, size_t count)
{
    out.dir = dir;
    out.status = output_folder(dir);
    int status = out.status ? out.status : each_command(commands, count, write_page);
    if (!status && !out.status)
        status = write_overview(commands, count);
    if (!status && !out.status)
        write_bash(commands, count);
    if (!status && !out.status)
        write_zsh(commands, count);
    if (!status && !out.status)
        write_fish(commands, count);
    free(out.text);
    out.text = NULL;
    return status ? status : out.status;
}
