/* SPDX-License-Identifier: MIT */
/* command/run/run_resume.c - whether a run may go on with the lines of an earlier one: only if each would have been the same line.
 * Where that is not known, as without a readable run.json, it may not. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/fingerprint.h"
#include "base/json_read.h"
#include "command/run/run.h"
#include "command/say.h"
#include "model/built_in.h"

/* Of run.json, what differs between runs whose lines are the same. Where a model or a boxes file lies is nothing, what is in it is. */
static const char *const indifferent[] = {"sandbox", "isolate", "complete", "model",    "boxes",  "boxes_read", "left_out",
                                          "shard",   "threads", "workers",  "batch",    "counts", "decoded",    "seconds",
                                          "heads",   "cuda",    "merged",   "detector", "frames"};

static bool decides(const char *key)
{
    for (size_t i = 0; i < sizeof indifferent / sizeof *indifferent; i++)
        if (!strcmp(key, indifferent[i]))
            return false;
    return true;
}

/* ---- a model's files ---- */

static int add_file(uint64_t *content, const char *path, bool optional)
{
    limber_error err;
    if (optional && access(path, F_OK))
        return CLI_DONE;
    return fingerprint_file(content, path, &err) ? cli_fail("%s: %s", path, err.text) : CLI_DONE;
}

static int is_shard(const struct dirent *e)
{
    const char *dot = strrchr(e->d_name, '.');
    return dot && !strcmp(dot, ".safetensors");
}

int run_model_content(uint64_t *content, const char *dir, enum task task)
{
    static const char *const files[] = {"config.json", "preprocessor_config.json", "model.safetensors.index.json"};
    *content = FINGERPRINT_BEGIN;
    if (!dir) {
        const struct default_model m = limber_built_in_model(task);
        const struct default_file *const parts[] = {&m.config, &m.preprocessor, &m.tensors};
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
            *content = fingerprint(*content, parts[i]->bytes, parts[i]->size);
        return CLI_DONE;
    }
    int status = CLI_DONE;
    for (size_t i = 0; !status && i < sizeof files / sizeof *files; i++) {
        char *path = output_path(dir, files[i]);
        status = path ? add_file(content, path, i > 0) : cli_fail("no memory");
        free(path);
    }
    char *single = output_path(dir, "model.safetensors");
    struct dirent **shards = NULL;
    int count = 0;
    if (!single)
        status = cli_fail("no memory");
    else if (!status && !access(single, F_OK)) /* it is the one that is read, whatever lies beside it */
        status = add_file(content, single, false);
    else if (!status && (count = scandir(dir, &shards, is_shard, alphasort)) < 0)
        status = cli_fail("%s: %s", dir, error_text(errno));
    for (int i = 0; i < count; i++) {
        char *path = status ? NULL : output_path(dir, shards[i]->d_name);
        if (!status)
            status = path ? add_file(content, path, false) : cli_fail("no memory");
        free(path);
        free(shards[i]);
    }
    free(shards);
    free(single);
    return status;
}

/* ---- two runs ---- */

static int refuse(const struct run *r, const char *why)
{
    return cli_fail("%s/" ABOUT
                    ": %s, so it is not known what made %s/%s: --resume cannot go on with it; choose another --out, or "
                    "leave out --resume",
                    r->out, why, r->out, run_lines(r));
}

limber_status run_read_about(json_t **out, const char *path, limber_error *err)
{
    uint8_t *bytes;
    size_t size;
    bool lone;
    limber_status st = file_read(&bytes, &size, path, json_limits_config.bytes, err);
    *out = NULL;
    if (!st)
        st = json_parse_own(out, &lone, (char *)bytes, size, &json_limits_config, err);
    free(bytes);
    if (st || json_is_object(*out))
        return st;
    json_decref(*out);
    *out = NULL;
    return limber_fail(err, LIMBER_E_FORMAT, "no JSON object");
}

const char *run_difference(const json_t *a, const json_t *b)
{
    const json_t *const both[] = {a, b};
    const char *key;
    json_t *v;
    for (size_t i = 0; i < 2; i++)
        json_object_foreach((json_t *)(uintptr_t)both[i], key, v)
        {
            const json_t *other = json_object_get(both[1 - i], key);
            if (decides(key) && !(other && json_equal(v, other)))
                return key;
        }
    return NULL;
}

static int say_difference(const struct run *r, const char *key, const json_t *was, const json_t *is)
{
    char *a = was ? json_dumps(was, JSON_ENCODE_ANY) : NULL, *b = is ? json_dumps(is, JSON_ENCODE_ANY) : NULL;
    int status = cli_fail("%s was made with %s %s, this run has %s: --resume goes on with the same, or choose another --out",
                          r->out, key, a ? a : "not stated", b ? b : "none");
    free(a);
    free(b);
    return status;
}

/* No line yet: whatever was begun there, nothing can be mixed. */
static bool has_no_lines(const struct run *r)
{
    struct stat st;
    char *lines = output_path(r->out, run_lines(r));
    bool none = lines && (stat(lines, &st) ? errno == ENOENT : st.st_size == 0);
    free(lines);
    return none;
}

int run_check_same_kind(const struct run *r)
{
    limber_error err;
    json_t *old = NULL, *mine = NULL;
    struct json_text t = {0};
    bool lone;
    if (has_no_lines(r))
        return CLI_DONE;
    char *path = output_path(r->out, ABOUT);
    if (!path)
        return cli_fail("no memory");
    run_put_about(&t, r, false);
    int status = CLI_DONE;
    if (run_read_about(&old, path, &err))
        status = refuse(r, err.text);
    else if (t.failed || json_parse_own(&mine, &lone, t.text, t.length, &json_limits_config, &err))
        status = cli_fail("%s: %s", path, t.failed ? "no memory" : err.text);
    const char *key = status ? NULL : run_difference(mine, old);
    if (key)
        status = say_difference(r, key, json_object_get(old, key), json_object_get(mine, key));
    json_decref(old);
    json_decref(mine);
    free(path);
    put_free(&t);
    return status;
}

int run_check_same_command(const struct run *r)
{
    json_t *old = NULL;
    char *path = output_path(r->out, ABOUT), *lines = output_path(r->out, r->detects ? LINES : BOXES);
    int status = path && lines ? CLI_DONE : cli_fail("no memory");
    if (!status && !access(lines, F_OK) && !run_read_about(&old, path, NULL)) {
        const char *command = json_string_value(json_object_get(old, "command"));
        if (strcmp(command ? command : "run", run_command(r)))
            status = cli_fail("%s has what limber %s made, and its " ABOUT ": choose another --out", r->out,
                              command ? command : "run");
    }
    json_decref(old);
    free(lines);
    free(path);
    return status;
}
