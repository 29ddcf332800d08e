/* SPDX-License-Identifier: MIT */
/* model/config_read.c - see model/config_read.h. */
#define _POSIX_C_SOURCE 200809L
#include "model/config_read.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json_read.h"

limber_status config_read_file(uint8_t **out, size_t *size, const char *dir, const char *file, bool *missing, limber_error *err)
{
    char path[4096];
    struct stat s;
    *out = NULL, *size = 0, *missing = false;
    if ((size_t)snprintf(path, sizeof path, "%s/%s", dir, file) >= sizeof path)
        return limber_fail(err, LIMBER_E_ARGUMENT, "the model's path has more than %zu bytes", sizeof path - 1);
    if (stat(path, &s) != 0) {
        *missing = errno == ENOENT;
        return limber_fail(err, LIMBER_E_IO, "%s: cannot open: %s", path, error_text(errno));
    }
    if (!S_ISREG(s.st_mode)) /* a pipe by that name must not hold us up */
        return limber_fail(err, LIMBER_E_IO, "%s: not a regular file", path);
    limber_status st = file_read(out, size, path, json_limits_config.bytes, err);
    if (st != LIMBER_OK)
        limber_error_prefix(err, "%s", path);
    return st;
}

limber_status config_read_pair(const json_t *object, const char *key, int high, int *h, int *w, limber_error *err)
{
    const json_t *v = json_object_get(object, key);
    if (!v || json_is_null(v))
        return LIMBER_OK;
    const json_t *first = v, *second = v;
    if (json_array_size(v) == 2) {
        first = json_array_get(v, 0);
        second = json_array_get(v, 1);
    }
    char text[JSON_SHOW];
    const json_t *both[] = {first, second};
    for (int i = 0; i < 2; i++)
        if (!json_is_integer(both[i]) || json_integer_value(both[i]) < 1 || json_integer_value(both[i]) > high)
            return limber_fail(err, LIMBER_E_FORMAT, "%s: %s, expected [height, width] from 1 to %d", key,
                               json_show(text, both[i]), high);
    *h = (int)json_integer_value(first);
    *w = (int)json_integer_value(second);
    return LIMBER_OK;
}

/* Three numbers in [low, high]. */
static limber_status read_colour(const json_t *object, const char *key, double low, double high, float out[3], limber_error *err)
{
    const json_t *v = json_object_get(object, key);
    char text[JSON_SHOW];
    if (!v || json_is_null(v))
        return LIMBER_OK;
    if (json_array_size(v) != 3)
        return limber_fail(err, LIMBER_E_FORMAT, "%s is %s, expected three numbers", key, json_show(text, v));
    for (size_t i = 0; i < 3; i++) {
        const json_t *n = json_array_get(v, i);
        if (!json_is_number(n) || !(json_number_value(n) >= low && json_number_value(n) <= high))
            return limber_fail(err, LIMBER_E_FORMAT, "%s[%zu] is %s, expected a number from %g to %g", key, i, json_show(text, n),
                               low, high);
        out[i] = (float)json_number_value(n);
    }
    return LIMBER_OK;
}

limber_status config_read_colours(struct config *c, const json_t *p, limber_error *err)
{
    static const float mean[3] = {0.485f, 0.456f, 0.406f}, std[3] = {0.229f, 0.224f, 0.225f};
    bool rescale = true, normalize = true;
    c->rescale = 1 / 255.0;
    memcpy(c->mean, mean, sizeof mean);
    memcpy(c->std, std, sizeof std);
    TRY(json_read_bool(p, "do_rescale", &rescale, err));
    TRY(json_read_bool(p, "do_normalize", &normalize, err));
    TRY(json_read_number(p, "rescale_factor", 1e-9, 1e9, &c->rescale, err));
    TRY(read_colour(p, "image_mean", -1e9, 1e9, c->mean, err));
    TRY(read_colour(p, "image_std", 1e-9, 1e9, c->std, err));
    if (!rescale)
        c->rescale = 1;
    for (int i = 0; !normalize && i < 3; i++) {
        c->mean[i] = 0;
        c->std[i] = 1;
    }
    return LIMBER_OK;
}
