/* SPDX-License-Identifier: MIT */
/* The safetensors reader against files that lie: every check of the format's own reader, cuts at every byte, flips of every bit,
 * headers built to exhaust memory, shards that contradict their index. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#include "base/json_read.h"
#include "model/model.h"
#include "tensor_file.h"

/* Parses, and on success looks at every byte a caller could be led to. */
static limber_status parse(struct blob b, limber_error *err)
{
    struct tensors t;
    limber_status st = tensors_parse(&t, b.bytes, b.size, err);
    if (st != LIMBER_OK) {
        cr_expect(t.v == NULL && t.count == 0 && t.sources == NULL, "after a failure there is something left");
        cr_expect(err->status == st && err->text[0], "a failure without a sentence");
        return st;
    }
    for (int i = 0; i < t.count; i++) {
        const struct tensor *v = &t.v[i];
        cr_assert(v->bytes <= b.size && v->data >= b.bytes && v->data + v->bytes <= b.bytes + b.size, "%s lies outside the file",
                  v->name);
        cr_expect(tensors_find(&t, v->name) == v, "%s cannot be found", v->name);
        size_t n = v->bytes / (v->dtype == DTYPE_F32 ? 4 : 2);
        float *values = malloc((n + 1) * sizeof *values);
        if (v->dtype != DTYPE_OTHER)
            tensor_read(v, 0, n, values);
        free(values);
    }
    tensors_free(&t);
    return st;
}

static limber_status parse_json(const char *json, size_t data_bytes, limber_error *err)
{
    uint8_t data[64] = {0};
    struct blob b = blob_of(strlen(json), json, strlen(json), data, data_bytes);
    limber_status st = parse(b, err);
    free(b.bytes);
    return st;
}

/* ---- what is refused, and what the sentence says ---- */

#define T(name, dtype, shape, offsets) "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

static const struct {
    const char *json;
    size_t data;
    const char *says[2]; /* both must be in the text */
} refused[] = {
    {"", 0, {"JSON", "line 1"}},
    {"{", 0, {"JSON", "line 1"}},
    {"\xff", 0, {"JSON", "line 1"}},
    {"[1]", 0, {"the header is an array of 1", "object"}},
    {"{\"a\":3}", 0, {"a is 3", "expected {dtype"}},
    {"{" T("a", "F32", "[1]", "[0,4]") "}x", 4, {"JSON", "line 1"}},
    {"{" T("a", "F33", "[1]", "[0,4]") "}", 4, {"a: dtype is \"F33\"", "does not have"}},
    {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, {"a: dtype is null", "does not have"}},
    {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, {"a: shape is null", "array"}},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, {"a: data_offsets is null", "two whole numbers"}},
    {"{" T("a", "F32", "[1]", "[0]") "}", 4, {"data_offsets is an array of 1", "two"}},
    {"{" T("a", "F32", "[1]", "[0,4,4]") "}", 4, {"data_offsets is an array of 3", "two"}},
    {"{" T("a", "F32", "[1]", "[0,-4]") "}", 4, {"data_offsets", "two whole numbers, 0 or more"}},
    {"{" T("a", "F32", "[1]", "[0,4.0]") "}", 4, {"data_offsets", "two whole numbers"}},
    {"{" T("a", "F32", "[1]", "[0,4e0]") "}", 4, {"data_offsets", "two whole numbers"}},
    {"{" T("a", "F32", "[1]", "[0,99999999999999999999]") "}", 4, {"JSON", "line 1"}},
    {"{" T("a", "F32", "[-1]", "[0,4]") "}", 4, {"a: shape[0] is -1", "0 or more"}},
    {"{" T("a", "F32", "[1,1.5]", "[0,4]") "}", 4, {"a: shape[1] is 1.5", "0 or more"}},
    {"{" T("a", "F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]") "}", 4, {"a has 9 dimensions", "at most 8"}},
    {"{" T("a", "I32", "[2,2]", "[0,4]") "}", 4, {"make 16 bytes", "hold 4"}},
    {"{" T("a", "I32", "[2,9223372036854775807]", "[0,4]") "}", 4, {"more elements than 64 bits", "a:"}},
    {"{" T("a", "F32", "[4611686018427387904,4]", "[0,0]") "}", 0, {"more elements than 64 bits", "a:"}},
    {"{" T("a", "F32", "[2]", "[0,8]") "}", 4, {"a ends at byte 8", "only 4 bytes of data"}},
    {"{" T("a", "F32", "[1]", "[0,4]") "}", 8, {"end at byte 4", "has 8 bytes"}},
    {"{" T("a", "F32", "[1]", "[4,8]") "}", 8, {"a begins at byte 4", "ends at 0"}},
    {"{" T("a", "F32", "[1]", "[4,0]") "}", 4, {"a begins at byte 4", "ends at 0"}},
    {"{" T("a", "F32", "[2]", "[0,8]") "," T("b", "F32", "[2]", "[4,12]") "}", 12, {"b begins at byte 4, inside a", "8"}},
    {"{" T("a", "F32", "[1]", "[0,4]") "," T("b", "F32", "[1]", "[8,12]") "}", 12, {"b begins at byte 8", "ends at 4"}},
    {"{" T("a", "F32", "[1]", "[0,4]") "," T("b", "F32", "[1]", "[4,2]") "}", 8, {"b ends at byte 2", "before it begins at 4"}},
    {"{" T("b", "F32", "[1]", "[0,4]") "," T("a", "F32", "[1]", "[0,4]") "}", 4, {"b begins at byte 0, inside a", "4"}},
    {"{" T("a", "F32", "[1]", "[0,4]") "," T("a", "F32", "[1]", "[0,4]") "}", 4, {"JSON", "duplicate"}},
    {"{" T("a", "F4", "[1]", "[0,1]") "}", 1, {"4 bits of F4", "whole bytes"}},
    {"{" T("a\\u0000b", "F32", "[1]", "[0,4]") "}", 4, {"JSON", "line 1"}},
    {"{" T("a\\u001b[2J", "F32", "[1]", "[0,4]") "}", 4, {"control character 27", "byte 1"}},
    {"{" T("", "F32", "[1]", "[0,4]") "}", 4, {"name has 0 bytes", "1 to 256"}},
    {"{\"__metadata__\":[]}", 0, {"__metadata__ is an array of 0", "object"}},
    {"{\"__metadata__\":{\"a\":1}}", 0, {"__metadata__ holds 1", "strings"}},
};

Test(safetensors, refused_with_a_reason)
{
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        limber_error err = {0};
        limber_status st = parse_json(refused[i].json, refused[i].data, &err);
        cr_expect(st != LIMBER_OK, "accepted: %s", refused[i].json);
        for (int s = 0; s < 2; s++)
            cr_expect(strstr(err.text, refused[i].says[s]), "%s\n    says \"%s\", without \"%s\"", refused[i].json, err.text,
                      refused[i].says[s]);
    }
}

Test(safetensors, header_lengths)
{
    const char json[] = "{}";
    const uint64_t lengths[] = {3, 9, 100000001, 1ull << 32, 1ull << 63, UINT64_MAX, UINT64_MAX - 7};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct blob b = blob_of(lengths[i], json, 2, NULL, 0);
        limber_error err = {0};
        char claim[32];
        snprintf(claim, sizeof claim, "claims %llu", (unsigned long long)lengths[i]);
        cr_expect(parse(b, &err) == LIMBER_E_FORMAT && strstr(err.text, claim), "%s: %s", claim, err.text);
        cr_expect(strstr(err.text, lengths[i] > 100000000 ? "the limit is 100000000" : "but only 2 follow"), "%s", err.text);
        free(b.bytes);
    }
    limber_error err = {0};
    struct tensors t;
    cr_expect(tensors_parse(&t, NULL, 0, &err) == LIMBER_E_FORMAT && strstr(err.text, "0 bytes"), "%s", err.text);
    cr_expect(tensors_parse(&t, (const uint8_t *)"1234567", 7, NULL) == LIMBER_E_FORMAT, "seven bytes");
}

/* ---- what is accepted ---- */

Test(safetensors, unusual_but_valid)
{
    const struct {
        const char *json;
        size_t data;
    } accepted[] = {
        {"{}", 0},
        {" \t\r\n{}\n  ", 0},
        {"{\"__metadata__\":{\"format\":\"pt\",\"x\":\"\"}}", 0},
        {"{" T("n", "I64", "[]", "[0,8]") "}", 8},
        {"{" T("z", "F32", "[0,7]", "[0,0]") "}", 0},
        {"{" T("z", "F32", "[0]", "[4,4]") "," T("a", "F32", "[1]", "[0,4]") "," T("y", "F16", "[3,0]", "[0,0]") "}", 4},
        {"{" T("six", "F6_E2M3", "[4]", "[0,3]") "}", 3},
        {"{\"__metadata__\":{\"x\":\"\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"}}",
         0}, /* text, not nesting */
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"later\":[{}]}}", 1},
    };
    for (size_t i = 0; i < sizeof accepted / sizeof *accepted; i++) {
        limber_error err = {0};
        cr_expect(parse_json(accepted[i].json, accepted[i].data, &err) == LIMBER_OK, "%s: %s", accepted[i].json, err.text);
    }
}

Test(safetensors, sorted_by_name_with_shape_and_data)
{
    const char json[] = "{" T("later", "I64", "[]", "[24,32]") "," T("earlier", "F32", "[2,3]", "[0,24]") "}";
    float data[8] = {1, -2, 3.5f, 4, 5, 6};
    struct blob b = blob_of(strlen(json), json, strlen(json), data, 32);
    struct tensors t;
    cr_assert(tensors_parse(&t, b.bytes, b.size, NULL) == LIMBER_OK);
    cr_assert(t.count == 2);
    cr_expect_str_eq(t.v[0].name, "earlier");
    cr_expect(t.v[0].dims == 2 && t.v[0].shape[0] == 2 && t.v[0].shape[1] == 3 && t.v[0].dtype == DTYPE_F32);
    cr_expect(t.v[1].dims == 0 && t.v[1].bytes == 8 && t.v[1].dtype == DTYPE_OTHER);
    cr_expect_str_eq(t.v[1].dtype_name, "I64");
    float v[3];
    tensor_read(&t.v[0], 1, 3, v);
    cr_expect(v[0] == -2 && v[1] == 3.5f && v[2] == 4);
    cr_expect(tensors_find(&t, "earlie") == NULL && tensors_find(&t, "") == NULL);
    tensors_free(&t);
    free(b.bytes);
}

/* ---- damage ---- */

static struct blob plain(void)
{
    const char json[] = "{" T("weight", "F32", "[2,3]", "[0,24]") "," T("bias", "BF16", "[2]", "[24,28]") "  }";
    const uint8_t data[28] = {1, 2, 3};
    return blob_of(strlen(json), json, strlen(json), data, sizeof data);
}

Test(safetensors, cut_at_every_byte)
{
    struct blob whole = plain();
    limber_error err;
    cr_expect(parse(whole, &err) == LIMBER_OK, "%s", err.text);
    for (size_t n = 0; n < whole.size; n++) {
        struct blob cut = {malloc(n ? n : 1), n};
        memcpy(cut.bytes, whole.bytes, n);
        cr_expect(parse(cut, &err) == LIMBER_E_FORMAT, "%zu of %zu bytes are accepted", n, whole.size);
        free(cut.bytes);
    }
    free(whole.bytes);
}

Test(safetensors, every_bit_flipped)
{
    struct blob b = plain();
    limber_error err;
    int accepted = 0;
    for (size_t i = 0; i < b.size; i++)
        for (int bit = 0; bit < 8; bit++) {
            b.bytes[i] ^= (uint8_t)(1 << bit);
            accepted += parse(b, &err) == LIMBER_OK;
            b.bytes[i] ^= (uint8_t)(1 << bit);
        }
    cr_expect(accepted >= 28 * 8, "flips in the data are none of the reader's business: %d accepted", accepted);
    cr_expect(accepted < (int)b.size * 4, "most flips in the header must be noticed: %d accepted", accepted);
    free(b.bytes);
}

/* ---- numbers ---- */

Test(safetensors, every_half_and_bfloat)
{
    const char *const json[] = {"{" T("h", "F16", "[65536]", "[0,131072]") "}", "{" T("h", "BF16", "[65536]", "[0,131072]") "}"};
    uint16_t *values = malloc(131072);
    float *read = malloc(65536 * sizeof *read);
    for (int i = 0; i < 65536; i++)
        values[i] = (uint16_t)i;
    for (int kind = 0; kind < 2; kind++) {
        struct blob b = blob_of(strlen(json[kind]), json[kind], strlen(json[kind]), values, 131072);
        struct tensors t;
        cr_assert(tensors_parse(&t, b.bytes, b.size, NULL) == LIMBER_OK);
        tensor_read(&t.v[0], 0, 65536, read);
        for (int i = 0; i < 65536; i++) {
            const int bits = kind ? 7 : 10, top = kind ? 255 : 31, bias = kind ? 127 : 15;
            const int exponent = i >> bits & top, mantissa = i & ((1 << bits) - 1);
            double want = exponent == top ? (mantissa ? NAN : INFINITY)
                          : exponent      ? ldexp(mantissa + (1 << bits), exponent - bias - bits)
                                          : ldexp(mantissa, 1 - bias - bits);
            want = i & 0x8000 ? -want : want;
            cr_assert(isnan(want) ? isnan(read[i]) : want == (double)read[i] && !signbit(want) == !signbit(read[i]),
                      "%s %04x reads %a, expected %a", kind ? "BF16" : "F16", i, (double)read[i], want);
        }
        tensors_free(&t);
        free(b.bytes);
    }
    free(values);
    free(read);
}

Test(safetensors, unaligned_data)
{
    const float want[4] = {0.5f, -1e30f, 3, 4};
    for (int pad = 0; pad < 8; pad++) {
        char json[128];
        snprintf(json, sizeof json, "{" T("a", "F32", "[4]", "[0,16]") "}%*s", pad, "");
        struct blob b = blob_of(strlen(json), json, strlen(json), want, sizeof want);
        struct tensors t;
        float got[4];
        cr_assert(tensors_parse(&t, b.bytes, b.size, NULL) == LIMBER_OK);
        tensor_read(&t.v[0], 0, 4, got);
        cr_expect(memcmp(got, want, sizeof want) == 0, "padding %d", pad);
        tensors_free(&t);
        free(b.bytes);
    }
}

/* ---- headers built to exhaust memory or time: what base/json_read.c states must hold ---- */

static void repeat(struct blob *b, const char *first, const char *unit, const char *last, size_t json_bytes)
{
    b->size = 8 + json_bytes;
    b->bytes = malloc(b->size);
    cr_assert(b->bytes, "out of memory");
    for (int i = 0; i < 8; i++)
        b->bytes[i] = (uint8_t)((uint64_t)json_bytes >> 8 * i);
    size_t n = strlen(unit), at = 8 + strlen(first);
    memcpy(b->bytes + 8, first, strlen(first));
    for (; at + n + strlen(last) <= b->size; at += n)
        memcpy(b->bytes + at, unit, n);
    memset(b->bytes + at, ' ', b->size - at);
    memcpy(b->bytes + b->size - strlen(last), last, strlen(last));
}

static long peak_mib(void)
{
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return r.ru_maxrss >> 10;
}

static void hostile(const char *first, const char *unit, const char *last, size_t json_bytes, const char *says)
{
    struct blob b;
    repeat(&b, first, unit, last, json_bytes);
    limber_error err = {0};
    struct timespec t0, t1;
    long before = peak_mib();
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t0);
    limber_status st = parse(b, &err);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t1);
    double seconds = (double)(t1.tv_sec - t0.tv_sec) + 1e-9 * (double)(t1.tv_nsec - t0.tv_nsec);
    cr_expect(st != LIMBER_OK && strstr(err.text, says), "%zu bytes of %s...: %s", json_bytes, unit, err.text);
#if !defined(__SANITIZE_ADDRESS__) /* which keeps what is freed, and takes its time */
    cr_expect(peak_mib() - before <= (long)(json_limits_header.memory >> 20), "%s...: %ld MiB more", unit, peak_mib() - before);
    cr_expect(seconds < 15, "%s...: %.1f s", unit, seconds);
#endif
    (void)before, (void)seconds;
    free(b.bytes);
}

/* One test each: a peak is the process's, and Criterion gives every test a process. */
Test(safetensors_hostile, brackets_100_megabytes)
{
    hostile("", "[", "", 100000000, "deeper than 64");
}
Test(safetensors_hostile, objects_100_megabytes)
{
    hostile("[", "{},", "]", 100000000, "the limit is 256 MiB");
}
Test(safetensors_hostile, numbers_100_megabytes)
{
    hostile("[", "0,", "0]", 100000000, "the limit is 256 MiB");
}
Test(safetensors_hostile, one_string_100_megabytes)
{
    hostile("[\"", "a", "\"]", 100000000, "the limit is 256 MiB");
}
Test(safetensors_hostile, long_strings_100_megabytes)
{
    hostile("[",
            "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
            "aaaa\",",
            "0]", 99000000, "the header is an array");
}
Test(safetensors_hostile, spaces_100_megabytes)
{
    hostile("", " ", "[]", 100000000, "the header is an array");
}
Test(safetensors_hostile, as_many_objects_as_pass)
{
    hostile("[", "{},", "{}]", 2390000, "the header is an array");
}
Test(safetensors_hostile, as_many_arrays_as_pass)
{
    hostile("[", "[],", "[]]", 3350000, "the header is an array");
}
Test(safetensors_hostile, as_many_numbers_as_pass)
{
    hostile("[", "0,", "0]", 9500000, "the header is an array");
}
Test(safetensors_hostile, as_many_tensors_as_pass)
{
    struct tensor_file f = {0};
    const int64_t shape[1] = {0};
    char name[32];
    for (int i = 0; i < 60000; i++) {
        snprintf(name, sizeof name, "t%d", i);
        tensor_file_add(&f, name, shape, 1, (float[]){0});
    }
    struct blob b = tensor_file_end(&f);
    limber_error err = {0};
    cr_expect(parse(b, &err) == LIMBER_OK, "%s", err.text);
    free(b.bytes);
}

/* ---- files ---- */

static void expect_open(const char *dir, limber_status want, const char *says)
{
    struct tensors t;
    limber_error err = {0};
    limber_status st = tensors_open(&t, dir, &err);
    cr_expect(st == want && (!says || strstr(err.text, says)), "%s: status %s, \"%s\", expected %s", dir, limber_status_name(st),
              err.text, says ? says : "success");
    tensors_free(&t);
}

Test(safetensors_files, single)
{
    char dir[256], path[300];
    directory_make(dir);
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    expect_open(dir, LIMBER_E_IO, "neither model.safetensors nor model.safetensors.index.json");
    struct blob b = plain();
    file_write(dir, "model.safetensors", b.bytes, b.size);
    expect_open(dir, LIMBER_OK, NULL);
    file_write(dir, "model.safetensors", b.bytes, b.size - 1);
    expect_open(dir, LIMBER_E_FORMAT, "model.safetensors: bias ends at byte 28, but the file has only 27 bytes of data");
    file_write(dir, "model.safetensors", b.bytes, 0);
    expect_open(dir, LIMBER_E_FORMAT, "0 bytes are too few");
    free(b.bytes);
    remove(path);
    mkdir(path, 0700);
    expect_open(dir, LIMBER_E_IO, "not a regular file");
    rmdir(path);
    cr_assert(mkfifo(path, 0600) == 0);
    expect_open(dir, LIMBER_E_IO, "not a regular file"); /* and does not wait for a writer */
    remove(path);
    if (geteuid() != 0) { /* root may read everything */
        file_write(dir, "model.safetensors", "", 0);
        chmod(path, 0);
        expect_open(dir, LIMBER_E_IO, "cannot open");
    }
    directory_remove(dir);
}

#define INDEX "model.safetensors.index.json"
static void write_index(const char *dir, const char *map)
{
    char json[1024];
    snprintf(json, sizeof json, "{\"metadata\":{\"total_size\":8},\"weight_map\":%s}", map);
    file_write(dir, INDEX, json, strlen(json));
}

static void write_shard(const char *dir, const char *file, const char *tensor, float value)
{
    struct tensor_file f = {0};
    const int64_t shape[1] = {1};
    tensor_file_add(&f, tensor, shape, 1, &value);
    struct blob b = tensor_file_end(&f);
    file_write(dir, file, b.bytes, b.size);
    free(b.bytes);
}

/* Somebody cuts or rewrites the file after it was opened: an error, where a mapping would end the process. */
Test(safetensors_files, what_changes_under_us_is_an_error)
{
    char dir[256], path[300];
    directory_make(dir);
    enum { N = 100000 };
    static float values[N], got[N];
    struct tensor_file f = {0};
    tensor_file_add(&f, "a", (const int64_t[]){N}, 1, values);
    struct blob b = tensor_file_end(&f);
    file_write(dir, "model.safetensors", b.bytes, b.size);
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    struct tensors t;
    limber_error err = {0};
    cr_assert(tensors_open(&t, dir, &err) == LIMBER_OK, "%s", err.text);
    cr_expect(tensor_read(&t.v[0], 0, N, got) && tensors_unchanged(&t, &err) == LIMBER_OK);
    cr_assert(truncate(path, 4096) == 0);
    cr_expect(tensor_read(&t.v[0], 0, 100, got), "what is there is read");
    cr_expect(!tensor_read(&t.v[0], 0, N, got) && errno == 0, "the rest is gone");
    cr_expect(!tensor_read(&t.v[0], N - 1, 1, got));
    cr_expect(tensors_unchanged(&t, &err) == LIMBER_E_IO && strstr(err.text, "changed while"), "%s", err.text);
    tensors_free(&t);

    file_write(dir, "model.safetensors", b.bytes, b.size);
    cr_assert(tensors_open(&t, dir, &err) == LIMBER_OK, "%s", err.text);
    const struct timespec later[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1}};
    cr_assert(utimensat(AT_FDCWD, path, later, 0) == 0); /* as a writer in place leaves it: the same size, another time */
    cr_expect(tensors_unchanged(&t, &err) == LIMBER_E_IO);
    tensors_free(&t);
    free(b.bytes);
}

Test(safetensors_files, shards)
{
    char dir[256];
    directory_make(dir);
    write_shard(dir, "one", "a", 1);
    write_shard(dir, "two", "b", 2);
    write_index(dir, "{\"b\":\"two\",\"a\":\"one\"}");
    struct tensors t;
    limber_error err = {0};
    cr_assert(tensors_open(&t, dir, &err) == LIMBER_OK, "%s", err.text);
    float v[2];
    cr_assert(t.count == 2);
    tensor_read(tensors_find(&t, "a"), 0, 1, &v[0]);
    tensor_read(tensors_find(&t, "b"), 0, 1, &v[1]);
    cr_expect(v[0] == 1 && v[1] == 2);
    tensors_free(&t);

    write_index(dir, "{\"b\":\"two\",\"a\":\"one\",\"c\":\"two\"}");
    expect_open(dir, LIMBER_E_MODEL, "c is not in two, where the weight_map places it");
    write_index(dir, "{\"b\":\"two\",\"a\":\"three\"}");
    expect_open(dir, LIMBER_E_IO, "three: cannot open");
    write_index(dir, "{\"b\":\"two\",\"c\":\"one\"}");
    expect_open(dir, LIMBER_E_MODEL, "a is in one, but the weight_map places it nowhere");
    write_shard(dir, "two", "a", 3);
    write_index(dir, "{\"b\":\"two\",\"a\":\"one\"}");
    expect_open(dir, LIMBER_E_MODEL, "a is in two, but the weight_map places it in one"); /* a tensor twice */
    write_index(dir, "{\"a\":\"../one\"}");
    expect_open(dir, LIMBER_E_FORMAT, "places a in \"../one\"");
    write_index(dir, "{\"a\":\"/etc/passwd\"}");
    expect_open(dir, LIMBER_E_FORMAT, "a file of the same directory");
    write_index(dir, "{\"a\":\"..\"}");
    expect_open(dir, LIMBER_E_FORMAT, "a file of the same directory");
    write_index(dir, "{\"a\":\"\"}");
    expect_open(dir, LIMBER_E_FORMAT, "a file of the same directory");
    write_index(dir, "{\"a\":7}");
    expect_open(dir, LIMBER_E_FORMAT, "places a in 7");
    write_index(dir, "[]");
    expect_open(dir, LIMBER_E_FORMAT, "weight_map is an array of 0");
    file_write(dir, INDEX, "{}", 2);
    expect_open(dir, LIMBER_E_FORMAT, "weight_map is null");
    file_write(dir, INDEX, "{", 1);
    expect_open(dir, LIMBER_E_FORMAT, INDEX ": JSON");
    file_write(dir, INDEX, "", 0);
    expect_open(dir, LIMBER_E_FORMAT, INDEX ": JSON");
    directory_remove(dir);
}

/* ---- the corpus: ok_* is accepted, bad_* refused, edge_* may be either ---- */

Test(safetensors_files, corpus)
{
    const char *dir = LIMBER_TEST_DIR "/corpus/safetensors";
    DIR *d = opendir(dir);
    cr_assert(d, "no %s", dir);
    int seen = 0;
    for (struct dirent *e; (e = readdir(d));) {
        char path[1024];
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        struct blob b = blob_read(path);
        limber_error err = {0};
        limber_status st = parse(b, &err);
        cr_expect(strncmp(e->d_name, "ok_", 3) != 0 || st == LIMBER_OK, "%s: %s", e->d_name, err.text);
        cr_expect(strncmp(e->d_name, "bad_", 4) != 0 || st != LIMBER_OK, "%s is accepted", e->d_name);
        free(b.bytes);
        seen++;
    }
    closedir(d);
    cr_expect(seen > 50, "only %d files in %s", seen, dir);
}

/* Every index of the corpus is one that must be refused; beside them lies no shard. */
Test(safetensors_files, index_corpus)
{
    const char *from = LIMBER_TEST_DIR "/corpus/index";
    char dir[256];
    directory_make(dir);
    DIR *d = opendir(from);
    cr_assert(d, "no %s", from);
    int seen = 0;
    for (struct dirent *e; (e = readdir(d));) {
        char path[1024];
        if (strncmp(e->d_name, "bad_", 4) != 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", from, e->d_name);
        struct blob b = blob_read(path);
        file_write(dir, INDEX, b.bytes, b.size);
        free(b.bytes);
        struct tensors t;
        limber_error err = {0};
        limber_status st = tensors_open(&t, dir, &err);
        cr_expect(st != LIMBER_OK && err.text[0], "%s is accepted", e->d_name);
        tensors_free(&t);
        seen++;
    }
    closedir(d);
    cr_expect(seen >= 9, "only %d files in %s", seen, from);
    directory_remove(dir);
}

/* The header alone is read, however large the file: 3.6 GB of a sparse file open in the time of their header. */
Test(safetensors_files, large_file_opens_at_once)
{
    char dir[256], path[300];
    directory_make(dir);
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    const char json[] = "{" T("a", "F32", "[900,1000,1000]", "[0,3600000000]") "}";
    struct blob b = blob_of(strlen(json), json, strlen(json), NULL, 0);
    file_write(dir, "model.safetensors", b.bytes, b.size);
    if (truncate(path, (off_t)b.size + 3600000000ll) == 0) {
        struct rusage r0, r1;
        struct tensors t;
        limber_error err = {0};
        getrusage(RUSAGE_SELF, &r0);
        cr_expect(tensors_open(&t, dir, &err) == LIMBER_OK && t.v[0].bytes == 3600000000u, "%s", err.text);
        getrusage(RUSAGE_SELF, &r1);
        cr_expect(r1.ru_maxrss - r0.ru_maxrss < 4096, "%ld KiB were touched", r1.ru_maxrss - r0.ru_maxrss);
        tensors_free(&t);
    }
    free(b.bytes);
    directory_remove(dir);
}
