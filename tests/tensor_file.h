/* SPDX-License-Identifier: MIT */
/* tensor_file.h - safetensors files and checkpoint directories made on the spot, for the tests that break them. */
#ifndef LIMBER_TESTS_TENSOR_FILE_H
#define LIMBER_TESTS_TENSOR_FILE_H

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct blob {
    uint8_t *bytes; /* exactly `size` of them, so that the address sanitizer sees the byte after the last */
    size_t size;
};

/* length | json | data */
static inline struct blob blob_of(uint64_t length, const char *json, size_t json_bytes, const void *data, size_t data_bytes)
{
    struct blob b = {.size = 8 + json_bytes + data_bytes};
    b.bytes = malloc(b.size);
    cr_assert(b.bytes, "out of memory");
    for (int i = 0; i < 8; i++)
        b.bytes[i] = (uint8_t)(length >> 8 * i);
    memcpy(b.bytes + 8, json, json_bytes);
    if (data_bytes)
        memcpy(b.bytes + 8 + json_bytes, data, data_bytes);
    return b;
}

static inline struct blob blob_read(const char *path)
{
    FILE *f = fopen(path, "rb");
    cr_assert(f, "cannot open %s", path);
    fseek(f, 0, SEEK_END);
    long size = ftell(f);
    rewind(f);
    struct blob b = {.bytes = malloc((size_t)size ? (size_t)size : 1), .size = (size_t)size};
    cr_assert(b.bytes && fread(b.bytes, 1, b.size, f) == b.size, "cannot read %s", path);
    fclose(f);
    return b;
}

static inline void file_write(const char *dir, const char *name, const void *bytes, size_t size)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "wb");
    cr_assert(f && fwrite(bytes, 1, size, f) == size && fclose(f) == 0, "cannot write %s", path);
}

/* A new directory below TMPDIR; directory_remove deletes it with its files (and empty directories). */
static inline void directory_make(char path[256])
{
    const char *tmp = getenv("TMPDIR");
    snprintf(path, 256, "%s/limber-test-XXXXXX", tmp && strlen(tmp) < 200 ? tmp : "/tmp");
    cr_assert(mkdtemp(path), "cannot make %s", path);
}

static inline void directory_remove(const char *path)
{
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));)
        if (unlinkat(dirfd(d), e->d_name, 0) != 0)
            unlinkat(dirfd(d), e->d_name, AT_REMOVEDIR); /* an empty one; "." and ".." refuse */
    if (d)
        closedir(d);
    rmdir(path);
}

/* ---- F32 tensors, one after the other ---- */

struct tensor_file {
    char *json;
    size_t json_bytes, json_room;
    float *data;
    size_t floats;
};

static inline void tensor_file_json(struct tensor_file *f, const char *text)
{
    size_t n = strlen(text);
    if (f->json_bytes + n + 1 > f->json_room) {
        f->json_room = 2 * f->json_room + n + 1;
        f->json = realloc(f->json, f->json_room);
        cr_assert(f->json, "out of memory");
    }
    memcpy(f->json + f->json_bytes, text, n + 1);
    f->json_bytes += n;
}

static inline void tensor_file_add(struct tensor_file *f, const char *name, const int64_t *shape, int dims, const float *values)
{
    char text[512];
    size_t n = 1;
    snprintf(text, sizeof text, "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[", f->json_bytes ? "," : "{", name);
    tensor_file_json(f, text);
    for (int i = 0; i < dims; i++) {
        snprintf(text, sizeof text, "%s%lld", i ? "," : "", (long long)shape[i]);
        tensor_file_json(f, text);
        n *= (size_t)shape[i];
    }
    snprintf(text, sizeof text, "],\"data_offsets\":[%zu,%zu]}", f->floats * 4, (f->floats + n) * 4);
    tensor_file_json(f, text);
    f->data = realloc(f->data, (f->floats + n) * sizeof *f->data + 1);
    cr_assert(f->data, "out of memory");
    memcpy(f->data + f->floats, values, n * sizeof *values);
    f->floats += n;
}

static inline struct blob tensor_file_end(struct tensor_file *f)
{
    tensor_file_json(f, f->json_bytes ? "}" : "{}");
    struct blob b = blob_of(f->json_bytes, f->json, f->json_bytes, f->data, f->floats * sizeof *f->data);
    free(f->json);
    free(f->data);
    *f = (struct tensor_file){0};
    return b;
}

/* The same, as the model in `dir`; its configuration is that of the model in `from`. */
static inline void tensor_file_end_model(struct tensor_file *f, const char *dir, const char *from)
{
    static const char *const json[] = {"config.json", "preprocessor_config.json"};
    struct blob model = tensor_file_end(f);
    file_write(dir, "model.safetensors", model.bytes, model.size);
    free(model.bytes);
    for (int i = 0; i < 2; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", from, json[i]);
        struct blob b = blob_read(path);
        file_write(dir, json[i], b.bytes, b.size);
        free(b.bytes);
    }
}

#endif
