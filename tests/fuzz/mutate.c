/* SPDX-License-Identifier: MIT */
#include "mutate.h"

#include "image/png.h"

#include <stdbool.h>
#include <string.h>

#define PARTS_MAX 4096

struct part {
    size_t begin, end;
};
struct parts {
    struct part v[PARTS_MAX];
    int count;
};

static uint32_t next(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

static void add(struct parts *p, size_t begin, size_t end)
{
    if (p->count < PARTS_MAX && end > begin)
        p->v[p->count++] = (struct part){begin, end};
}

/* ---- what a picture is made of ---- */

static void jpeg_parts(struct parts *p, const uint8_t *b, size_t size)
{
    size_t at = 2;
    while (at + 4 <= size && b[at] == 0xff) {
        size_t end = at + 2;
        if (b[at + 1] != 0xd9 && !(b[at + 1] >= 0xd0 && b[at + 1] <= 0xd8))
            end += (size_t)b[at + 2] << 8 | b[at + 3];
        end = end < size ? end : size;
        add(p, at, end);
        const bool scan = b[at + 1] == 0xda;
        at = end;
        while (scan && at + 1 < size && !(b[at] == 0xff && b[at + 1] && !(b[at + 1] >= 0xd0 && b[at + 1] <= 0xd7)))
            at++;
        if (scan)
            add(p, end, at);
    }
    add(p, at, size);
}

static void png_parts(struct parts *p, const uint8_t *b, size_t size)
{
    size_t at = 8;
    while (at + 12 <= size) {
        size_t length = (size_t)b[at] << 24 | (size_t)b[at + 1] << 16 | (size_t)b[at + 2] << 8 | b[at + 3];
        size_t end = length < size - at - 12 ? at + 12 + length : size;
        add(p, at, end);
        at = end;
    }
    add(p, at, size);
}

/* RIFF, TIFF, BMP, TGA, PNM, GIF: headers are numbers, so a part for every four bytes of the first 256; then pieces. */
static void plain_parts(struct parts *p, size_t size)
{
    size_t at = 0;
    for (; at < size && at < 256; at += 4)
        add(p, at, at + 4 < size ? at + 4 : size);
    for (size_t step = (size - at) / 64 + 1; at < size; at += step)
        add(p, at, at + step < size ? at + step : size);
}

/* ---- what JSON is made of: strings, numbers and words, brackets and commas ---- */

static void json_parts(struct parts *p, const uint8_t *b, size_t size)
{
    for (size_t at = 0; at < size;) {
        size_t end = at + 1;
        if (b[at] == '"') {
            while (end < size && b[end] != '"')
                end += b[end] == '\\' ? 2 : 1;
            end = end < size ? end + 1 : size;
        } else if (!strchr(" \t\r\n,:[]{}", b[at])) {
            while (end < size && b[end] && !strchr(" \t\r\n,:[]{}\"", b[end]))
                end++;
        }
        add(p, at, end);
        at = end;
    }
}

/* ---- changes ---- */

static size_t replace(uint8_t *b, size_t size, size_t room, struct part old, const uint8_t *with, size_t n)
{
    const size_t gone = old.end - old.begin;
    if (size - gone + n > room)
        return size;
    memmove(b + old.begin + n, b + old.end, size - old.end);
    memcpy(b + old.begin, with, n);
    return size - gone + n;
}

static size_t swap_parts(uint8_t *b, size_t size, struct part x, struct part y)
{
    uint8_t copy[1024];
    if (x.begin > y.begin) {
        struct part z = x;
        x = y;
        y = z;
    }
    const size_t n = x.end - x.begin, m = y.end - y.begin;
    if (x.end > y.begin || n > sizeof copy || m > sizeof copy)
        return size;
    uint8_t other[1024];
    memcpy(copy, b + x.begin, n);
    memcpy(other, b + y.begin, m);
    memmove(b + x.begin + m, b + x.end, y.begin - x.end);
    memcpy(b + x.begin, other, m);
    memcpy(b + y.end - n, copy, n);
    return size;
}

/* Left out, doubled, exchanged. */
static size_t move(uint8_t *b, size_t size, size_t room, const struct parts *p, uint32_t *seed)
{
    const struct part x = p->v[next(seed) % (uint32_t)p->count], y = p->v[next(seed) % (uint32_t)p->count];
    uint8_t copy[1024];
    const size_t n = x.end - x.begin;
    switch (next(seed) % 3) {
    case 0:
        return replace(b, size, room, x, b, 0);
    case 1:
        if (n > sizeof copy)
            return size;
        memcpy(copy, b + x.begin, n);
        return replace(b, size, room, (struct part){y.begin, y.begin}, copy, n);
    default:
        return swap_parts(b, size, x, y);
    }
}

/* With a wrong one nothing behind it is looked at. */
static void mend_checksums(uint8_t *b, size_t size)
{
    for (size_t at = 8; at + 12 <= size;) {
        const size_t length = (size_t)b[at] << 24 | (size_t)b[at + 1] << 16 | (size_t)b[at + 2] << 8 | b[at + 3];
        if (length > size - at - 12)
            return;
        const uint32_t crc = png_crc(b + at + 4, 4 + length);
        at += 8 + length;
        for (int i = 0; i < 4; i++)
            b[at++] = (uint8_t)(crc >> (24 - 8 * i));
    }
}

size_t mutate_image(uint8_t *b, size_t size, size_t room, uint32_t seed)
{
    static const uint8_t awkward[] = {0, 1, 2, 3, 4, 7, 8, 15, 16, 17, 31, 32, 63, 64, 127, 128, 254, 255};
    static struct parts p;
    seed = seed * 2654435761u + 1;
    for (uint32_t turns = 1 + next(&seed) % 3; turns > 0 && size > 0; turns--) {
        p.count = 0;
        if (size > 4 && b[0] == 0xff && b[1] == 0xd8)
            jpeg_parts(&p, b, size);
        else if (size > 8 && b[0] == 0x89)
            png_parts(&p, b, size);
        else
            plain_parts(&p, size);
        const uint32_t how = next(&seed) % 8;
        if (how < 3 && p.count) {
            size = move(b, size, room, &p, &seed);
        } else if (how < 6 && p.count) { /* a number near the head of a part */
            const struct part x = p.v[next(&seed) % (uint32_t)p.count];
            const size_t at = x.begin + next(&seed) % (x.end - x.begin < 24 ? x.end - x.begin : 24);
            b[at] = awkward[next(&seed) % sizeof awkward];
        } else if (how < 7) {
            b[next(&seed) % size] = (uint8_t)next(&seed);
        } else if (size > 16) {
            size -= next(&seed) % (size / 2);
        }
    }
    if (size > 8 && b[0] == 0x89 && next(&seed) % 8)
        mend_checksums(b, size);
    return size;
}

/* Parts moved, replaced by one of `awkward`, or a byte changed. */
static size_t mutate_text(uint8_t *b, size_t size, size_t room, uint32_t seed,
                          void (*parts)(struct parts *p, const uint8_t *b, size_t size), const char *const *awkward,
                          uint32_t count)
{
    static struct parts p;
    seed = seed * 2654435761u + 1;
    for (uint32_t turns = 1 + next(&seed) % 3; turns > 0 && size > 0; turns--) {
        p.count = 0;
        parts(&p, b, size);
        if (!p.count)
            break;
        const uint32_t how = next(&seed) % 8;
        if (how < 3) {
            size = move(b, size, room, &p, &seed);
        } else if (how < 7) {
            const char *with = awkward[next(&seed) % count];
            size = replace(b, size, room, p.v[next(&seed) % (uint32_t)p.count], (const uint8_t *)with, strlen(with));
        } else {
            b[next(&seed) % size] = (uint8_t)next(&seed);
        }
    }
    return size;
}

size_t mutate_json(uint8_t *b, size_t size, size_t room, uint32_t seed)
{
    static const char *const awkward[] = {
        "0",
        "-1",
        "1.0",
        "-0.0",
        "1e400",
        "1e-400",
        "0.5",
        "2147483648",
        "-2147483649",
        "9223372036854775807",
        "9223372036854775808",
        "1e38",
        "3e38",
        "null",
        "true",
        "[]",
        "{}",
        "[[]]",
        "\"\"",
        "\"1\"",
        "\"\\u0000\"",
        "\"\\ud800\"",
        "\"../a\"",
        "\"a\\\\b\"",
        "\"a.jpg\"",
        "[1,2,3,4]",
        "\"category_id\":1",
        "\"bbox\":[0,0,1,1]",
        "\"image_id\":\"x\"",
        "NaN",
    };
    return mutate_text(b, size, room, seed, json_parts, awkward, sizeof awkward / sizeof *awkward);
}

/* Lines; and what stands before and behind "=", "_" and "-". */
static void word_parts(struct parts *p, const uint8_t *b, size_t size)
{
    for (size_t at = 0, line = 0; at < size; at++)
        if (b[at] == '\n' || at + 1 == size) {
            add(p, line, at + 1);
            line = at + 1;
        } else if (strchr("=_-. ", b[at])) {
            add(p, line, at);
            add(p, at, at + 1);
        }
}

size_t mutate_words(uint8_t *b, size_t size, size_t room, uint32_t seed)
{
    static const char *const awkward[] = {
        "--",
        "-",
        "--out=",
        "--out\n",
        "--overlay=png\n",
        "--show=0",
        "--show\n100\n",
        "--min-score=nan",
        "-1e400",
        "=",
        "0x10",
        "99999999999999",
        "-0",
        "1e9",
        "0-1023",
        "5-3,2",
        "--help\n",
        "-o\n",
        "HxW",
        "224x168\n",
        "--input=0x0",
        "--threads",
        "\n\n",
        "left_",
        "L_",
        "right",
        "Left Eye\n",
        "nose",
        "l_shoulder\n",
        "R.Elbow\n",
        "_left",
        "\xc3\xa9",
        "mid-hip\n",
        "kpt1\n",
    };
    return mutate_text(b, size, room, seed, word_parts, awkward, sizeof awkward / sizeof *awkward);
}
