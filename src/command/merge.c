/* SPDX-License-Identifier: MIT */
/* command/merge.c - `limber merge`: the outputs of `limber run --shard 1/N ... N/N` become the output of one run, byte for byte.
 *
 * Line k of the whole is the next line of the shard that k leaves as remainder (command/inputs.h), so merging is dealing out. What
 * could make it another output than one run's is refused before a byte is written: a part that is not complete, or of another model
 * or other options, a shard that is missing or there twice, a line too many or too few, an image with two lines. */
#define _GNU_SOURCE
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json_write.h"
#include "command/commands.h"
#include "command/options.h"
#include "command/output.h"
#include "command/run/gallery.h"
#include "command/run/lines.h"
#include "command/run/run.h"

struct part {
    const char *dir;
    json_t *about;  /* its run.json */
    long shard, of; /* "2/4"; 1 of 1 where it was the whole */
    FILE *lines, *coco;
    char *lines_path, *coco_path;
    size_t line_count, people, coco_people;
    char *line; /* the one being read */
    size_t room;
};

struct merge {
    struct part *parts; /* [count]; sorted: parts[i] has the lines whose number leaves i */
    size_t count;
    struct lines_seen seen;
    const char *out;
    const char *overlay; /* the kind, "jpeg"; NULL: the parts have none */
    size_t lost;         /* pictures whose overlay is not where the part had it */
};

/* ---- what the parts are ---- */

static int read_shard(struct part *p)
{
    const json_t *shard = json_object_get(p->about, "shard");
    const char *text = json_string_value(shard);
    char after;
    p->shard = p->of = 1;
    if (!shard || json_is_null(shard))
        return CLI_DONE;
    if (!text || sscanf(text, "%ld/%ld%c", &p->shard, &p->of, &after) != 2 || p->of < 1 || p->shard < 0 || p->shard > p->of)
        return cli_fail("%s/" ABOUT ": shard is not I/N", p->dir);
    return CLI_DONE;
}

/* poses.jsonl; of limber detect boxes.jsonl. */
static const char *lines_name(const struct part *p)
{
    const char *command = json_string_value(json_object_get(p->about, "command"));
    return command && !strcmp(command, "detect") ? BOXES : LINES;
}

static int open_part(struct part *p, const char *dir)
{
    limber_error err;
    char *about = output_path(dir, ABOUT);
    p->dir = dir;
    p->coco_path = output_path(dir, COCO);
    int status = about && p->coco_path ? CLI_DONE : cli_fail("no memory");
    if (!status && run_read_about(&p->about, about, &err))
        status = access(about, R_OK) ? cli_fail("%s: %s: not the --out of a run?", about, strerror(errno))
                                     : cli_fail("%s: %s", about, err.text);
    if (!status && json_object_get(p->about, "video"))
        status = cli_fail("%s: is of videos, which --shard does not cut: `cat` joins the " LINES " of several runs", dir);
    if (!status && !json_is_true(json_object_get(p->about, "complete")))
        status = cli_fail("%s: its run is not complete; `limber run --resume` goes on with it", dir);
    if (!status && !(p->lines_path = output_path(dir, lines_name(p))))
        status = cli_fail("no memory");
    if (!status && !(p->lines = fopen(p->lines_path, "re")))
        status = cli_fail("%s: %s", p->lines_path, strerror(errno));
    if (!status)
        p->coco = fopen(p->coco_path, "re"); /* may not be there */
    free(about);
    return status ? status : read_shard(p);
}

static int check_same_kind(const struct part *a, const struct part *b)
{
    const char *key = run_difference(a->about, b->about);
    if (!key)
        return CLI_DONE;
    const json_t *x = json_object_get(a->about, key), *y = json_object_get(b->about, key);
    char *left = x ? json_dumps(x, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    char *right = y ? json_dumps(y, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    int status = cli_fail("%s has %s %s, %s has %s %s: parts of two kinds make no whole", a->dir, key, left ? left : "(none)",
                          b->dir, key, right ? right : "(none)");
    free(left);
    free(right);
    return status;
}

/* Every shard once, each in its place. */
static int place_parts(struct merge *m)
{
    const long of = m->parts[0].of;
    struct part *placed = calloc(m->count, sizeof *placed);
    char missing[256] = "";
    size_t absent = 0;
    int status = placed ? CLI_DONE : cli_fail("no memory");
    for (size_t i = 0; !status && i < m->count; i++) {
        const struct part *p = &m->parts[i];
        if (p->of != of)
            status = cli_fail("%s is shard %ld/%ld, %s is %ld/%ld: not of one whole", m->parts[0].dir, m->parts[0].shard, of,
                              p->dir, p->shard, p->of);
    }
    /* more folders than shards: one of them is there twice */
    for (size_t i = 0; !status && i < m->count; i++)
        for (size_t j = 0; !status && j < i; j++)
            if (m->parts[i].shard % of == m->parts[j].shard % of)
                status =
                    cli_fail("shard %ld/%ld is there twice: %s and %s", m->parts[i].shard, of, m->parts[j].dir, m->parts[i].dir);
    for (long s = 1; !status && s <= of && (size_t)of > m->count; s++) {
        bool there = false;
        for (size_t i = 0; i < m->count; i++)
            there = there || m->parts[i].shard % of == s % of;
        if (there)
            continue;
        if (absent++ < 8)
            snprintf(missing + strlen(missing), sizeof missing - strlen(missing), "%s%ld/%ld", absent > 1 ? ", " : "", s, of);
    }
    if (absent)
        status = cli_fail("missing: shard%s %s%s", absent > 1 ? "s" : "", missing, absent > 8 ? ", ..." : "");
    for (size_t i = 0; !status && i < m->count; i++)
        placed[m->parts[i].shard % of] = m->parts[i];
    if (!status)
        memcpy(m->parts, placed, m->count * sizeof *placed);
    free(placed);
    return status;
}

/* ---- what is in them ---- */

/* The next whole line without its end: 1, 0 at the end, -1 with the reason on stderr. */
static int next_line(struct part *p, FILE *f, const char *path, size_t *length)
{
    const ssize_t n = file_line(&p->line, &p->room, f);
    if (n <= 0)
        return n < 0 ? (cli_fail("%s: %s", path, error_text(errno)), -1) : 0;
    if (p->line[n - 1] != '\n')
        return cli_fail("%s: its last line is cut short", path), -1;
    p->line[ *length = (size_t)n - 1] = 0;
    return 1;
}

/* One entry a line between "[" and "]", as coco_results.c writes it. The next one: 1, 0 at the end, -1. */
static int next_coco(struct part *p, size_t *length)
{
    const int more = next_line(p, p->coco, p->coco_path, length);
    if (more <= 0)
        return more < 0 ? -1 : (cli_fail("%s: ends without its bracket", p->coco_path), -1);
    if (!strcmp(p->line, "]"))
        return 0;
    *length -= *length && p->line[*length - 1] == ',';
    p->line[*length] = 0;
    return *length && p->line[0] == '{' ? 1 : (cli_fail("%s: not as limber run writes it: %s", p->coco_path, p->line), -1);
}

static int begin_coco(struct part *p)
{
    size_t length;
    rewind(p->coco);
    const int more = next_line(p, p->coco, p->coco_path, &length);
    return more > 0 && !strcmp(p->line, "[") ? CLI_DONE
           : more < 0                        ? CLI_NOTHING
                                             : cli_fail("%s: not as limber run writes it", p->coco_path);
}

static int count_part(struct merge *m, struct part *p)
{
    size_t length;
    int more, status = CLI_DONE;
    m->seen.file = p->lines_path;
    const size_t before = m->seen.count, people = m->seen.people;
    while (!status && (more = next_line(p, p->lines, p->lines_path, &length)) != 0) {
        struct line l;
        if (more > 0 && !line_parse(&l, p->line, length))
            status = cli_fail("%s: line %zu is not one that limber run writes", p->lines_path, m->seen.count - before + 1);
        else
            status = more < 0 ? CLI_NOTHING : lines_seen_add(&m->seen, p->line, length);
        if (!status && cli_stopped)
            status = CLI_INTERRUPTED;
    }
    p->line_count = m->seen.count - before;
    p->people = m->seen.people - people;
    const json_t *counted = json_object_get(json_object_get(p->about, "counts"), "images");
    if (!status && (size_t)json_integer_value(counted) != p->line_count)
        status = cli_fail("%s: %zu lines, its " ABOUT " counts %" JSON_INTEGER_FORMAT, p->lines_path, p->line_count,
                          json_integer_value(counted));
    if (!status && p->coco && !(status = begin_coco(p))) {
        while ((more = next_coco(p, &length)) > 0)
            p->coco_people++;
        status = more < 0 ? CLI_NOTHING : CLI_DONE;
    }
    return status;
}

static int check_counts(struct merge *m)
{
    for (size_t i = 0; i < m->count; i++) {
        const struct part *p = &m->parts[i];
        /* how many of 1..total leave i */
        const size_t wanted = m->seen.count / m->count + (i > 0 && i <= m->seen.count % m->count);
        if (p->line_count != wanted)
            return cli_fail("%s has %zu lines; shard %ld/%ld of %zu images has %zu: the inputs of the parts were not the same",
                            p->dir, p->line_count, p->shard, p->of, m->seen.count, wanted);
    }
    lines_seen_sort(&m->seen);
    for (size_t i = 1; i < m->seen.count; i++)
        if (!strcmp(m->seen.names[i - 1], m->seen.names[i]))
            return cli_fail("%s has two lines: the inputs of the parts were not the same", m->seen.names[i]);
    return CLI_DONE;
}

/* ---- the whole ---- */

static int write_lines(struct merge *m, struct output *lines, struct output *coco, bool with_coco)
{
    int status = with_coco ? output_write(coco, "[", 1) : CLI_DONE;
    bool first = true;
    for (size_t i = 0; !status && i < m->count; i++) {
        rewind(m->parts[i].lines);
        if (with_coco)
            status = begin_coco(&m->parts[i]);
    }
    for (size_t k = 1; !status && k <= m->seen.count; k++) {
        struct part *p = &m->parts[k % m->count];
        size_t length;
        struct line l;
        if (next_line(p, p->lines, p->lines_path, &length) <= 0 || !line_parse(&l, p->line, length)) {
            status = cli_fail("%s: changed while it was read", p->lines_path);
            break;
        }
        bool there = true;
        char *image = m->overlay && !l.failed ? line_path(&l) : NULL;
        if (m->overlay && !l.failed)
            status = image ? run_overlay_link(p->dir, m->out, image, m->overlay, &there) : cli_fail("no memory");
        m->lost += !there;
        free(image);
        if (status)
            break;
        p->line[length] = '\n';
        status = output_write(lines, p->line, length + 1);
        for (size_t person = 0; with_coco && !status && person < l.people; person++) {
            if (next_coco(p, &length) <= 0)
                status = cli_fail("%s: changed while it was read", p->coco_path);
            if (!status)
                status = output_write(coco, first ? "\n" : ",\n", first ? 1 : 2);
            if (!status)
                status = output_write(coco, p->line, length);
            first = false;
        }
        if (!status && cli_stopped)
            status = CLI_INTERRUPTED;
    }
    return !status && with_coco ? output_write(coco, "\n]\n", 3) : status;
}

/* The numbers below `key`, added up; the keys are those of all parts. */
static void add_up(const struct merge *m, json_t *about, const char *key)
{
    json_t *sum = json_object(), *object, *value;
    const char *name;
    for (size_t i = 0; i < m->count; i++) {
        object = json_object_get(m->parts[i].about, key);
        json_object_foreach(object, name, value)
        {
            const json_t *old = json_object_get(sum, name);
            if (json_is_integer(value))
                json_object_set_new(sum, name, json_integer(json_integer_value(old) + json_integer_value(value)));
            else
                json_object_set_new(sum, name, json_real(json_number_value(old) + json_number_value(value)));
        }
    }
    json_object_set_new(about, key, sum);
}

/* The first part's, with the sums of all: `limber run --resume` knows it for its own. */
static int write_about(const struct merge *m, const char *out)
{
    json_t *about = json_deep_copy(m->parts[0].about);
    if (!about)
        return cli_fail("no memory");
    json_object_set_new(about, "shard", json_null());
    json_object_set_new(about, "merged", json_integer((json_int_t)m->count));
    json_object_del(about, "heads"); /* of one part; statistics of all cannot be added up from those of parts */
    add_up(m, about, "counts");
    add_up(m, about, "decoded");
    add_up(m, about, "seconds");
    char *text = json_dumps(about, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    char *path = output_path(out, ABOUT), *whole = NULL;
    const int n = text ? asprintf(&whole, "%s\n", text) : -1;
    const int status = n < 0 || !path ? cli_fail("no memory") : output_text(path, whole, (size_t)n);
    if (n >= 0)
        free(whole);
    free(text);
    free(path);
    json_decref(about);
    return status;
}

static int open_new(struct output *o, const char *out, const char *name)
{
    char *path = output_path(out, name);
    int status = !path                ? cli_fail("no memory")
                 : access(path, F_OK) ? CLI_DONE
                                      : cli_fail("%s is there: choose another --out", path);
    free(path);
    return status ? status : output_replace(o, out, name);
}

static int merge_into(struct merge *m, const char *out)
{
    bool with_coco = true, some_coco = false;
    struct output lines = OUTPUT_CLOSED, coco = OUTPUT_CLOSED;
    m->out = out;
    m->overlay = json_string_value(json_object_get(m->parts[0].about, "overlay"));
    for (size_t i = 0; i < m->count; i++) {
        some_coco = some_coco || m->parts[i].coco;
        with_coco = with_coco && m->parts[i].coco && m->parts[i].coco_people == m->parts[i].people;
    }
    if (some_coco && !with_coco)
        cli_warn(COCO
                 " is left out: not every part has it for all its people; `limber run --resume --coco --out %s` with the inputs "
                 "of all parts writes it, and computes nothing again",
                 out);
    int status = output_folder(out);
    if (!status)
        status = open_new(&lines, out, lines_name(&m->parts[0]));
    if (!status && with_coco)
        status = open_new(&coco, out, COCO);
    if (!status)
        status = write_lines(m, &lines, &coco, with_coco);
    if (!status && with_coco)
        status = output_close(&coco);
    if (!status)
        status = write_about(m, out);
    if (!status) /* where the lines are, the rest is; but for the page, which is about them */
        status = output_close(&lines);
    if (!status && m->lost)
        cli_warn("%zu overlay%s not in the parts any more", m->lost, m->lost == 1 ? " is" : "s are");
    if (!status && m->overlay)
        status = gallery_retire(out);
    const struct gallery gallery = {out,
                                    !strcmp(lines_name(&m->parts[0]), BOXES),
                                    m->overlay,
                                    .images = m->seen.count,
                                    .people = m->seen.people,
                                    .failed = m->seen.failed,
                                    .complete = true};
    if (!status && m->overlay)
        status = gallery_write(&gallery);
    output_abandon(&coco);
    output_abandon(&lines);
    return status;
}

static int merge(struct merge *m, char **dirs, const char *out)
{
    int status = CLI_DONE;
    for (size_t i = 0; !status && i < m->count; i++)
        status = open_part(&m->parts[i], dirs[i]);
    for (size_t i = 0; !status && i < m->count; i++)
        if (m->count > 1 && m->parts[i].of == 1)
            status = cli_fail("%s was not run with --shard: it is no part", m->parts[i].dir);
    for (size_t i = 1; !status && i < m->count; i++)
        status = check_same_kind(&m->parts[0], &m->parts[i]);
    if (!status)
        status = place_parts(m);
    for (size_t i = 0; !status && i < m->count; i++)
        status = count_part(m, &m->parts[i]);
    if (!status)
        status = check_counts(m);
    return status ? status : merge_into(m, out);
}

int cli_merge(int argc, char **argv)
{
    const char *out = NULL;
    bool quiet = false;
    const struct cli_option options[] = {
        CLI_OPTION("--out", "DIR", &out, "where the whole is written; must not have its " LINES " (of detect " BOXES ") yet"),
        CLI_FLAG("--quiet", &quiet, "no summary"),
        CLI_END,
    };
    const struct cli_command command = {
        "merge", "DIR... --out DIR",
        "The output folders of `limber run --shard 1/N` to N/N become that of one run: the same " LINES " (of\n"
        "`limber detect` " BOXES ") and " COCO ", byte for byte. Refused: a part that is missing, there twice,\n"
        "not complete, or of another model or other options; an image with two lines.",
        options};
    int inputs, status = cli_parse(&command, argc, argv, &inputs);
    if (status != CLI_GO)
        return status;
    if (inputs < 1)
        return cli_usage(&command, "no parts: name the --out of every shard");
    if (!out)
        return cli_usage(&command, "--out names the folder of the whole");
    cli_catch_signals();
    struct merge m = {.parts = calloc((size_t)inputs, sizeof *m.parts), .count = (size_t)inputs};
    status = m.parts ? merge(&m, argv + 1, out) : cli_fail("no memory");
    if (!status && !quiet)
        fprintf(stderr, "limber: images %zu, people %zu, failed %zu; of %zu parts\n", m.seen.count, m.seen.people, m.seen.failed,
                m.count);
    for (size_t i = 0; m.parts && i < m.count; i++) {
        struct part *p = &m.parts[i];
        json_decref(p->about);
        if (p->lines)
            fclose(p->lines);
        if (p->coco)
            fclose(p->coco);
        free(p->lines_path);
        free(p->coco_path);
        free(p->line);
    }
    free(m.parts);
    lines_seen_free(&m.seen);
    return status;
}
