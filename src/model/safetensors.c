/* SPDX-License-Identifier: MIT */
/* safetensors: u64 little-endian n | n bytes of JSON | tensor bytes, offsets counted from there.
 *
 *     {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ..., "__metadata__": {"format": "pt"}}
 *
 * The file is somebody else's. Every number is checked before it becomes a pointer, in the order of the format's own reader
 * (huggingface/safetensors, tensor.rs): length, JSON, then the tensors by offset: no hole, no overlap, shape times type equals
 * bytes, and the last one ends where the file ends. The JSON is parsed within json_limits_header. Zero-size and rank-0 tensors
 * are fine. Tensor data may lie at any alignment: reads go through memcpy.
 *
 * Of a file only the header is read when it is opened, so opening costs the same whatever its size; tensor_read reads the rest by
 * pread, straight to where it is wanted. A mapping would save the copy, but a file that somebody cuts short would then end the
 * process by SIGBUS: this way it is an error, and so is one that is rewritten in place (tensors_unchanged). */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json_read.h"
#include "model/safetensors.h"

#define TENSOR_NAME_MAX 256 /* bytes; the longest of ViTPose's has 60 */
#define SHARDS_MAX 1000
#define SINGLE_FILE "model.safetensors"
#define INDEX_FILE "model.safetensors.index.json"

struct source {
    bool file;         /* else the bytes are the caller's */
    int fd;            /* of a file */
    struct stat about; /* when it was opened */
    char *names;       /* NUL-terminated, one after the other: what tensor.name points into */
};
struct sources {
    int count;
    struct source v[];
};

static uint64_t le64(const uint8_t *p)
{
    uint64_t v = 0;
    for (int i = 7; i >= 0; i--)
        v = v << 8 | p[i];
    return v;
}

/* ---- one file's header ---- */

struct entry { /* a tensor and the claims about it that are checked once all are known */
    struct tensor tensor;
    uint64_t begin, end;
    int bits;
};

static int entry_by_offset(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end)
        return x->end < y->end ? -1 : 1;
    return strcmp(x->tensor.name, y->tensor.name);
}

static int tensor_by_name(const void *a, const void *b)
{
    return strcmp(((const struct tensor *)a)->name, ((const struct tensor *)b)->name);
}

static const struct {
    const char *name;
    int bits;
    enum dtype dtype;
} dtypes[] = {
    {"F32", 32, DTYPE_F32},      {"F16", 16, DTYPE_F16},      {"BF16", 16, DTYPE_BF16},        {"I64", 64, DTYPE_OTHER},
    {"I32", 32, DTYPE_OTHER},    {"I16", 16, DTYPE_OTHER},    {"I8", 8, DTYPE_OTHER},          {"U64", 64, DTYPE_OTHER},
    {"U32", 32, DTYPE_OTHER},    {"U16", 16, DTYPE_OTHER},    {"U8", 8, DTYPE_OTHER},          {"BOOL", 8, DTYPE_OTHER},
    {"F64", 64, DTYPE_OTHER},    {"C64", 64, DTYPE_OTHER},    {"F8_E5M2", 8, DTYPE_OTHER},     {"F8_E4M3", 8, DTYPE_OTHER},
    {"F8_E8M0", 8, DTYPE_OTHER}, {"F4", 4, DTYPE_OTHER},      {"F8_E5M2FNUZ", 8, DTYPE_OTHER}, {"F8_E4M3FNUZ", 8, DTYPE_OTHER},
    {"F6_E2M3", 6, DTYPE_OTHER}, {"F6_E3M2", 6, DTYPE_OTHER},
};

static limber_status parse_dtype(struct entry *e, const json_t *v, limber_error *err)
{
    char text[JSON_SHOW];
    for (size_t i = 0; json_is_string(v) && i < sizeof dtypes / sizeof *dtypes; i++)
        if (strcmp(json_string_value(v), dtypes[i].name) == 0) {
            e->tensor.dtype = dtypes[i].dtype;
            e->bits = dtypes[i].bits;
            snprintf(e->tensor.dtype_name, sizeof e->tensor.dtype_name, "%s", dtypes[i].name);
            return LIMBER_OK;
        }
    return limber_fail(err, LIMBER_E_FORMAT, "%s: dtype is %s, which safetensors does not have", e->tensor.name,
                       json_show(text, v));
}

/* A whole number that is not negative. jansson has refused what does not fit 63 bits. */
static bool read_size(const json_t *v, uint64_t *out)
{
    if (!json_is_integer(v) || json_integer_value(v) < 0)
        return false;
    *out = (uint64_t)json_integer_value(v);
    return true;
}

static limber_status parse_entry(struct entry *e, const json_t *v, limber_error *err)
{
    char text[JSON_SHOW];
    const char *name = e->tensor.name;
    if (!json_is_object(v))
        return limber_fail(err, LIMBER_E_FORMAT, "%s is %s, expected {dtype, shape, data_offsets}", name, json_show(text, v));
    limber_status st = parse_dtype(e, json_object_get(v, "dtype"), err);
    if (st != LIMBER_OK)
        return st;

    const json_t *shape = json_object_get(v, "shape"), *offsets = json_object_get(v, "data_offsets");
    if (!json_is_array(shape))
        return limber_fail(err, LIMBER_E_FORMAT, "%s: shape is %s, expected an array", name, json_show(text, shape));
    if (json_array_size(shape) > TENSOR_MAX_DIMS)
        return limber_fail(err, LIMBER_E_UNSUPPORTED, "%s has %zu dimensions, at most %d are supported", name,
                           json_array_size(shape), TENSOR_MAX_DIMS);
    e->tensor.dims = (int)json_array_size(shape);
    for (int i = 0; i < e->tensor.dims; i++) {
        uint64_t n;
        if (!read_size(json_array_get(shape, (size_t)i), &n))
            return limber_fail(err, LIMBER_E_FORMAT, "%s: shape[%d] is %s, expected a whole number, 0 or more", name, i,
                               json_show(text, json_array_get(shape, (size_t)i)));
        e->tensor.shape[i] = (int64_t)n;
    }
    if (json_array_size(offsets) != 2 || !read_size(json_array_get(offsets, 0), &e->begin) ||
        !read_size(json_array_get(offsets, 1), &e->end))
        return limber_fail(err, LIMBER_E_FORMAT, "%s: data_offsets is %s, expected two whole numbers, 0 or more", name,
                           json_show(text, offsets));
    return LIMBER_OK;
}

static limber_status check_metadata(const json_t *v, limber_error *err)
{
    char text[JSON_SHOW];
    if (!json_is_object(v))
        return limber_fail(err, LIMBER_E_FORMAT, "__metadata__ is %s, expected an object of strings", json_show(text, v));
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)v, key, value) /* the macro asks for a json_t it does not change */
        if (!json_is_string(value)) return limber_fail(err, LIMBER_E_FORMAT, "__metadata__ holds %s, expected strings only",
                                                       json_show(text, value));
    return LIMBER_OK;
}

/* Control characters have no place in a name, and would reach the terminal through an error message. */
static limber_status check_name(const char *name, limber_error *err)
{
    size_t length = strlen(name);
    if (length == 0 || length > TENSOR_NAME_MAX)
        return limber_fail(err, LIMBER_E_UNSUPPORTED, "a tensor's name has %zu bytes, expected 1 to %d", length, TENSOR_NAME_MAX);
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)name[i] < ' ' || name[i] == 127)
            return limber_fail(err, LIMBER_E_FORMAT, "a tensor's name holds control character %d at byte %zu", name[i], i);
    return LIMBER_OK;
}

/* JSON to entries, names copied into `names`. */
static limber_status parse_entries(struct entry *v, int *count, char *names, const json_t *header, limber_error *err)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)header, key, value)
    {
        limber_status st;
        if (strcmp(key, "__metadata__") == 0) {
            st = check_metadata(value, err);
        } else {
            st = check_name(key, err);
            if (st == LIMBER_OK) {
                struct entry *e = &v[(*count)++];
                e->tensor.name = strcpy(names, key);
                names += strlen(key) + 1;
                st = parse_entry(e, value, err);
            }
        }
        if (st != LIMBER_OK)
            return st;
    }
    return LIMBER_OK;
}

/* Where the tensors' bytes are: in memory, or in a file from `begin` on. */
struct body {
    const uint8_t *data; /* NULL: in the file */
    int fd;
    size_t begin, size;
};

/* Entries sorted by offset must fill the body without hole or overlap, each exactly as long as its shape says. */
static limber_status place_entries(struct entry *v, int count, const struct body *body, limber_error *err)
{
    const size_t size = body->size;
    uint64_t at = 0;
    for (int i = 0; i < count; i++) {
        struct entry *e = &v[i];
        struct tensor *t = &e->tensor;
        if (e->begin < at)
            return limber_fail(err, LIMBER_E_FORMAT, "%s begins at byte %llu, inside %s, which ends at %llu", t->name,
                               (unsigned long long)e->begin, v[i - 1].tensor.name, (unsigned long long)at);
        if (e->begin > at)
            return limber_fail(err, LIMBER_E_FORMAT, "%s begins at byte %llu, but what is before it ends at %llu", t->name,
                               (unsigned long long)e->begin, (unsigned long long)at);
        if (e->end < e->begin)
            return limber_fail(err, LIMBER_E_FORMAT, "%s ends at byte %llu, before it begins at %llu", t->name,
                               (unsigned long long)e->end, (unsigned long long)e->begin);
        uint64_t bits = (uint64_t)e->bits;
        for (int d = 0; d < t->dims; d++)
            if (__builtin_mul_overflow(bits, (uint64_t)t->shape[d], &bits))
                return limber_fail(err, LIMBER_E_FORMAT, "%s: its shape has more elements than 64 bits can count", t->name);
        if (bits % 8)
            return limber_fail(err, LIMBER_E_FORMAT, "%s: %llu bits of %s do not fill whole bytes", t->name,
                               (unsigned long long)bits, t->dtype_name);
        if (bits / 8 != e->end - e->begin)
            return limber_fail(err, LIMBER_E_FORMAT, "%s: its shape and %s make %llu bytes, its data_offsets hold %llu", t->name,
                               t->dtype_name, (unsigned long long)(bits / 8), (unsigned long long)(e->end - e->begin));
        if (e->end > size)
            return limber_fail(err, LIMBER_E_FORMAT, "%s ends at byte %llu, but the file has only %zu bytes of data: cut short?",
                               t->name, (unsigned long long)e->end, size);
        t->data = body->data ? body->data + e->begin : NULL;
        t->fd = body->fd;
        t->at = body->begin + e->begin;
        t->bytes = (size_t)(e->end - e->begin);
        at = e->end;
    }
    if (at != size)
        return limber_fail(err, LIMBER_E_FORMAT, "the tensors end at byte %llu of the data, but the file has %zu bytes of it",
                           (unsigned long long)at, size);
    return LIMBER_OK;
}

static limber_status parse_header(struct tensors *out, struct source *source, const json_t *header, const struct body *body,
                                  limber_error *err)
{
    char text[JSON_SHOW];
    if (!json_is_object(header))
        return limber_fail(err, LIMBER_E_FORMAT, "the header is %s, expected an object", json_show(text, header));
    size_t name_bytes = 1, n = json_object_size(header);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)header, key, value) name_bytes += strlen(key) + 1;

    struct entry *v = calloc(n + 1, sizeof *v); /* json_limits_header keeps n below a million: int is wide enough */
    source->names = malloc(name_bytes);
    out->v = calloc(n + 1, sizeof *out->v);
    limber_status st = LIMBER_OK;
    if (!v || !source->names || !out->v)
        st = limber_fail(err, LIMBER_E_MEMORY, "out of memory for %zu tensors", n);
    int count = 0;
    if (st == LIMBER_OK)
        st = parse_entries(v, &count, source->names, header, err);
    if (st == LIMBER_OK) {
        qsort(v, (size_t)count, sizeof *v, entry_by_offset);
        st = place_entries(v, count, body, err);
    }
    if (st == LIMBER_OK) {
        for (int i = 0; i < count; i++)
            out->v[i] = v[i].tensor;
        qsort(out->v, (size_t)count, sizeof *out->v, tensor_by_name);
        out->count = count;
    }
    free(v);
    return st;
}

static struct sources *sources_new(int count)
{
    struct sources *sources = calloc(1, sizeof *sources + (size_t)count * sizeof sources->v[0]);
    if (sources)
        sources->count = count;
    return sources;
}

static const char lfs_pointer[] = "version https://git-lfs";

/* The length of the header, by a file's size and its first bytes: 8, or as many as lfs_pointer has where there are more. */
static limber_status header_length(size_t *length, const uint8_t *bytes, size_t size, limber_error *err)
{
    if (size < 8)
        return limber_fail(err, LIMBER_E_FORMAT, "%zu bytes are too few for a safetensors file", size);
    if (size >= sizeof lfs_pointer && !memcmp(bytes, lfs_pointer, sizeof lfs_pointer - 1))
        return limber_fail(
            err, LIMBER_E_FORMAT,
            "a Git LFS pointer of %zu bytes, not the weights: `git lfs install && git lfs pull` in its directory fetches "
            "them",
            size);
    uint64_t n = le64(bytes);
    if (n > json_limits_header.bytes)
        return limber_fail(err, LIMBER_E_FORMAT, "the header claims %llu bytes, the limit is %zu: not a safetensors file?",
                           (unsigned long long)n, json_limits_header.bytes);
    if (n > size - 8) /* not `8 + n > size`: that sum can wrap */
        return limber_fail(err, LIMBER_E_FORMAT, "the header claims %llu bytes, but only %zu follow: cut short?",
                           (unsigned long long)n, size - 8);
    *length = (size_t)n;
    return LIMBER_OK;
}

/* `out` owns `source` already: whatever happens, tensors_free(out) cleans up. */
static limber_status parse_text(struct tensors *out, struct source *source, const uint8_t *text, size_t length,
                                const struct body *body, limber_error *err)
{
    json_t *header;
    limber_status st = json_parse(&header, (const char *)text, length, &json_limits_header, err);
    if (st == LIMBER_OK)
        st = parse_header(out, source, header, body, err);
    json_decref(header);
    return st;
}

static limber_status parse_bytes(struct tensors *out, struct source *source, const uint8_t *bytes, size_t size, limber_error *err)
{
    size_t length;
    limber_status st = header_length(&length, bytes, size, err);
    if (st != LIMBER_OK)
        return st;
    const struct body body = {.data = bytes + 8 + length, .fd = -1, .size = size - 8 - length};
    return parse_text(out, source, bytes + 8, length, &body, err);
}

/* Bytes [at, at + n) of a file; false where they are gone or cannot be read, with errno 0 or the reason. */
static bool read_at(int fd, uint64_t at, void *to, size_t n)
{
    for (uint8_t *p = to; n > 0;) {
        ssize_t got = pread(fd, p, n, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            errno = got ? errno : 0;
            return false;
        }
        p += got;
        at += (size_t)got;
        n -= (size_t)got;
    }
    return true;
}

static limber_status gone(limber_error *err)
{
    return errno ? limber_fail(err, LIMBER_E_IO, "cannot read: %s", error_text(errno))
                 : limber_fail(err, LIMBER_E_IO, "changed while it was read: it has become shorter");
}

static limber_status parse_file(struct tensors *out, struct source *source, limber_error *err)
{
    const size_t size = (size_t)source->about.st_size;
    uint8_t first[sizeof lfs_pointer] = {0}, *text = NULL;
    size_t length = 0;
    limber_status st = LIMBER_OK;
    if (!read_at(source->fd, 0, first, size < sizeof first ? size : sizeof first))
        st = gone(err);
    if (st == LIMBER_OK)
        st = header_length(&length, first, size, err);
    if (st == LIMBER_OK && !(text = malloc(length + 1)))
        st = limber_fail(err, LIMBER_E_MEMORY, "out of memory for a header of %zu bytes", length);
    if (st == LIMBER_OK && !read_at(source->fd, 8, text, length))
        st = gone(err);
    const struct body body = {.fd = source->fd, .begin = 8 + length, .size = size - 8 - length};
    if (st == LIMBER_OK)
        st = parse_text(out, source, text, length, &body, err);
    free(text);
    return st;
}

limber_status tensors_parse(struct tensors *out, const uint8_t *bytes, size_t size, limber_error *err)
{
    struct sources *sources = sources_new(1);
    *out = (struct tensors){.sources = sources};
    limber_status st =
        sources ? parse_bytes(out, &sources->v[0], bytes, size, err) : limber_fail(err, LIMBER_E_MEMORY, "out of memory");
    if (st != LIMBER_OK)
        tensors_free(out);
    return st;
}

void tensors_free(struct tensors *t)
{
    struct sources *sources = t->sources;
    for (int i = 0; sources && i < sources->count; i++) {
        if (sources->v[i].file)
            close(sources->v[i].fd);
        free(sources->v[i].names);
    }
    free(sources);
    free(t->v);
    *t = (struct tensors){0};
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

limber_status tensors_unchanged(const struct tensors *t, limber_error *err)
{
    const struct sources *sources = t->sources;
    for (int i = 0; sources && i < sources->count; i++) {
        const struct source *s = &sources->v[i];
        struct stat now;
        if (s->file && (fstat(s->fd, &now) || now.st_size != s->about.st_size || !same_time(now.st_mtim, s->about.st_mtim)))
            return limber_fail(err, LIMBER_E_IO,
                               "the weights changed while they were read: replace models by renaming, not in place");
    }
    return LIMBER_OK;
}

/* ---- files ---- */

/* Opens dir/file. *missing tells "there is none" from other failures. */
static limber_status open_file(struct source *source, const char *dir, const char *file, bool *missing, limber_error *err)
{
    char path[4096];
    *missing = false;
    if ((size_t)snprintf(path, sizeof path, "%s/%s", dir, file) >= sizeof path)
        return limber_fail(err, LIMBER_E_ARGUMENT, "the path has more than %zu bytes", sizeof path - 1);
    int fd = file_open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0); /* a pipe by that name must not hold us up */
    if (fd < 0) {
        *missing = errno == ENOENT;
        return limber_fail(err, LIMBER_E_IO, "cannot open: %s", error_text(errno));
    }
    limber_status st = LIMBER_OK;
    if (fstat(fd, &source->about) != 0)
        st = limber_fail(err, LIMBER_E_IO, "cannot stat: %s", error_text(errno));
    else if (!S_ISREG(source->about.st_mode))
        st = limber_fail(err, LIMBER_E_IO, "not a regular file");
    if (st != LIMBER_OK) {
        close(fd);
        return st;
    }
    source->file = true;
    source->fd = fd;
    return LIMBER_OK;
}

static limber_status open_single(struct tensors *out, const char *dir, bool *missing, limber_error *err)
{
    struct sources *sources = sources_new(1);
    *missing = false;
    *out = (struct tensors){.sources = sources};
    if (!sources)
        return limber_fail(err, LIMBER_E_MEMORY, "out of memory");
    limber_status st = open_file(&sources->v[0], dir, SINGLE_FILE, missing, err);
    if (st == LIMBER_OK)
        st = parse_file(out, &sources->v[0], err);
    if (st != LIMBER_OK)
        limber_error_prefix(err, "%s/%s", dir, SINGLE_FILE);
    return st;
}

/* ---- a model in shards: {"metadata": ..., "weight_map": {"tensor": "model-00001-of-00002.safetensors", ...}} ---- */

static int string_order(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The different file names of the map, sorted, borrowed from it. Names must stay in the directory. */
static limber_status list_shards(const char ***out, int *count, const json_t *weight_map, limber_error *err)
{
    char text[JSON_SHOW];
    if (!json_is_object(weight_map) || json_object_size(weight_map) == 0)
        return limber_fail(err, LIMBER_E_FORMAT, "weight_map is %s, expected tensors and their files",
                           json_show(text, weight_map));
    const char **names = calloc(json_object_size(weight_map) + 1, sizeof *names);
    if (!names)
        return limber_fail(err, LIMBER_E_MEMORY, "out of memory");
    *out = names;
    size_t n = 0;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)weight_map, key, value)
    {
        const char *file = json_string_value(value);
        if (!file || !file[0] || strchr(file, '/') || strstr(file, "..") || strlen(file) > 255)
            return limber_fail(err, LIMBER_E_FORMAT, "weight_map places %.*s in %s, expected a file of the same directory",
                               TENSOR_NAME_MAX, key, json_show(text, value));
        names[n++] = file;
    }
    qsort(names, n, sizeof *names, string_order);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || strcmp(names[i], names[i - 1]) != 0) {
            if (*count == SHARDS_MAX)
                return limber_fail(err, LIMBER_E_UNSUPPORTED, "weight_map names more than %d files", SHARDS_MAX);
            names[(*count)++] = names[i];
        }
    return LIMBER_OK;
}

/* Appends the tensors of one parsed shard, checking that the map places each of them there. */
static limber_status add_shard(struct tensors *out, const struct tensors *shard, const char *file, const json_t *weight_map,
                               limber_error *err)
{
    for (int i = 0; i < shard->count; i++) {
        const char *name = shard->v[i].name, *place = json_string_value(json_object_get(weight_map, name));
        if (!place || strcmp(place, file) != 0)
            return limber_fail(err, LIMBER_E_MODEL, "%s is in %s, but the weight_map places it %s%s", name, file,
                               place ? "in " : "nowhere", place ? place : "");
    }
    struct tensor *v = realloc(out->v, ((size_t)out->count + (size_t)shard->count + 1) * sizeof *v);
    if (!v)
        return limber_fail(err, LIMBER_E_MEMORY, "out of memory");
    memcpy(v + out->count, shard->v, (size_t)shard->count * sizeof *v);
    out->v = v;
    out->count += shard->count;
    return LIMBER_OK;
}

static limber_status open_shards(struct tensors *out, const char *dir, const json_t *weight_map, const char **shards, int count,
                                 limber_error *err)
{
    struct sources *sources = sources_new(count);
    out->sources = sources;
    if (!sources)
        return limber_fail(err, LIMBER_E_MEMORY, "out of memory");
    for (int i = 0; i < count; i++) {
        struct tensors shard = {0}; /* only its array: file and names belong to `out` */
        bool missing;
        limber_status st = open_file(&sources->v[i], dir, shards[i], &missing, err);
        if (st == LIMBER_OK)
            st = parse_file(&shard, &sources->v[i], err);
        if (st != LIMBER_OK)
            limber_error_prefix(err, "%s/%s", dir, shards[i]);
        else
            st = add_shard(out, &shard, shards[i], weight_map, err);
        free(shard.v);
        if (st != LIMBER_OK)
            return st;
    }
    qsort(out->v, (size_t)out->count, sizeof *out->v, tensor_by_name);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)weight_map, key, value) if (!tensors_find(out, key)) return limber_fail(
        err, LIMBER_E_MODEL, "%.*s is not in %s, where the weight_map places it", TENSOR_NAME_MAX, key, json_string_value(value));
    return LIMBER_OK;
}

static limber_status open_index(struct tensors *out, const char *dir, bool *missing, limber_error *err)
{
    struct source source = {0};
    uint8_t *text = NULL;
    json_t *index = NULL;
    const char **shards = NULL;
    int count = 0;
    *out = (struct tensors){0};
    limber_status st = open_file(&source, dir, INDEX_FILE, missing, err);
    const size_t size = source.file ? (size_t)source.about.st_size : 0;
    if (st == LIMBER_OK && size > json_limits_config.bytes)
        st = limber_fail(err, LIMBER_E_FORMAT, "JSON: %zu bytes, the limit is %zu", size, json_limits_config.bytes);
    if (st == LIMBER_OK && !(text = malloc(size + 1)))
        st = limber_fail(err, LIMBER_E_MEMORY, "out of memory");
    if (st == LIMBER_OK && !read_at(source.fd, 0, text, size))
        st = gone(err);
    if (st == LIMBER_OK)
        st = json_parse(&index, (const char *)text, size, &json_limits_config, err);
    const json_t *weight_map = json_object_get(index, "weight_map");
    if (st == LIMBER_OK)
        st = list_shards(&shards, &count, weight_map, err);
    if (st != LIMBER_OK)
        limber_error_prefix(err, "%s/%s", dir, INDEX_FILE);
    else
        st = open_shards(out, dir, weight_map, shards, count, err);
    free(shards);
    json_decref(index);
    if (source.file)
        close(source.fd);
    free(text);
    return st;
}

/* What may lie there instead. A pickle is never read in C: it is a program. */
static const char *other_weights(const char *dir)
{
    static const char *const pickles[] = {"pytorch_model.bin", "pytorch_model.bin.index.json"};
    char path[4096];
    for (size_t i = 0; i < sizeof pickles / sizeof *pickles; i++)
        if ((size_t)snprintf(path, sizeof path, "%s/%s", dir, pickles[i]) < sizeof path && access(path, F_OK) == 0)
            return "; pytorch_model.bin is, which tools/convert.py makes model.safetensors of";
    return "";
}

limber_status tensors_open(struct tensors *out, const char *dir, limber_error *err)
{
    bool missing;
    limber_status st = open_single(out, dir, &missing, err);
    if (missing) {
        tensors_free(out);
        st = open_index(out, dir, &missing, err);
        if (missing)
            st = limber_fail(err, LIMBER_E_IO, "%s: neither %s nor %s is there%s", dir, SINGLE_FILE, INDEX_FILE,
                             other_weights(dir));
    }
    if (st != LIMBER_OK)
        tensors_free(out);
    return st;
}

/* ---- questions ---- */

const struct tensor *tensors_find(const struct tensors *t, const char *name)
{
    const struct tensor key = {.name = name};
    return t->count ? bsearch(&key, t->v, (size_t)t->count, sizeof *t->v, tensor_by_name) : NULL;
}

static float float_of_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* IEEE half to single: exact for every value, subnormals and NaN payloads included. */
static float float_of_half(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exponent = h >> 10 & 31u, mantissa = h & 1023u;
    if (exponent == 0) {
        float f = (float)mantissa * 0x1p-24f; /* a product of normal floats, so it does not depend on flush-to-zero modes */
        return sign ? -f : f;
    }
    return float_of_bits(sign | (exponent == 31 ? 255u : exponent + 112u) << 23 | mantissa << 13);
}

bool tensor_read(const struct tensor *t, size_t from, size_t n, float *dst)
{
    enum { PIECE = 8192 };
    const size_t each = t->dtype == DTYPE_F32 ? 4 : 2;
    if (t->dtype == DTYPE_F32) {
        if (!t->data)
            return read_at(t->fd, t->at + from * each, dst, n * each);
        memcpy(dst, t->data + from * each, n * each);
        return true;
    }
    while (n > 0) {
        uint16_t piece[PIECE];
        const size_t count = n < PIECE ? n : PIECE;
        if (t->data)
            memcpy(piece, t->data + from * each, count * each);
        else if (!read_at(t->fd, t->at + from * each, piece, count * each))
            return false;
        for (size_t i = 0; i < count; i++)
            dst[i] = t->dtype == DTYPE_F16 ? float_of_half(piece[i]) : float_of_bits((uint32_t)piece[i] << 16);
        from += count;
        dst += count;
        n -= count;
    }
    return true;
}

bool tensor_bytes(const struct tensor *t, size_t from, size_t n, void *dst)
{
    if (!t->data)
        return read_at(t->fd, t->at + from, dst, n);
    memcpy(dst, t->data + from, n);
    return true;
}
