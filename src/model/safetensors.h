/* SPDX-License-Identifier: MIT */
/* model/safetensors.h - model.safetensors, or its shards, as named, typed, bounds-checked views of the mapped files. */
#ifndef LIMBER_SAFETENSORS_H
#define LIMBER_SAFETENSORS_H

#include <stdint.h>

#include <stdbool.h>

#include "limber.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__ || SIZE_MAX < UINT64_MAX
#error "limber needs a little-endian 64-bit machine: tensors are used in the byte order of their file, and sizes are 64-bit"
#endif

enum dtype { DTYPE_F32, DTYPE_F16, DTYPE_BF16, DTYPE_OTHER };
#define TENSOR_MAX_DIMS 8
struct tensor {
    const char *name; /* owned by the tensors it came from */
    enum dtype dtype;
    char dtype_name[16];
    int dims;
    int64_t shape[TENSOR_MAX_DIMS];
    const uint8_t *data; /* any alignment, little-endian; NULL: in a file, for tensor_read */
    int fd;              /* of that file, and where in it; the tensors' own */
    uint64_t at;
    size_t bytes;
};
struct tensors {
    struct tensor *v; /* sorted by name */
    int count;
    void *sources; /* what keeps the names alive, and the files open */
};
/* One file's bytes, borrowed until tensors_free. For tests and fuzzers, and for the default model in the binary. */
limber_status tensors_parse(struct tensors *out, const uint8_t *bytes, size_t size, limber_error *err);
/* model.safetensors in `dir`, or model.safetensors.index.json and its shards; of files only the headers are read. */
limber_status tensors_open(struct tensors *out, const char *dir, limber_error *err);
const struct tensor *tensors_find(const struct tensors *t, const char *name);
void tensors_free(struct tensors *t);
/* Whether the files are still those that were opened: an error where one was rewritten or cut since. */
limber_status tensors_unchanged(const struct tensors *t, limber_error *err);
/* Converts elements [from, from + n) to fp32. False: they cannot be read, the file has become shorter (errno 0) or fails (errno). */
bool tensor_read(const struct tensor *t, size_t from, size_t n, float *dst);
/* Bytes [from, from + n) as the file has them, of any type. */
bool tensor_bytes(const struct tensor *t, size_t from, size_t n, void *dst);

#endif
