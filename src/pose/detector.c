/* SPDX-License-Identifier: MIT */
/* pose/detector.c - see pose/detector.h. */
#include "pose/detector.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json_read.h"
#include "model/config_read.h"
#include "pose/same.h"

/* What config.json says the model is. What cannot be read is left to the one that opens limber's own kind, which says why. */
static limber_status read_kind(bool *yolos, const char *dir, limber_error *err)
{
    uint8_t *text = NULL;
    size_t size = 0;
    json_t *root = NULL;
    bool missing;
    limber_status st = LIMBER_OK;
    *yolos = false;
    if (!config_read_file(&text, &size, dir, "config.json", &missing, NULL) &&
        !json_parse(&root, (const char *)text, size, &json_limits_config, NULL)) {
        const char *type = json_string_value(json_object_get(root, "model_type"));
        *yolos = type && strcmp(type, "yolos") == 0;
        if (type && !*yolos && strcmp(type, "vitpose") != 0)
            st = limber_fail(
                err, LIMBER_E_UNSUPPORTED,
                "%s: config.json: model_type is \"%.80s\"; a detector is a \"yolos\", or a \"vitpose\" whose maps are boxes", dir,
                type);
    }
    json_decref(root);
    free(text);
    return st;
}

limber_status detector_open(struct limber_detector **out, const char *path, const limber_options *options,
                            const char *person_label, limber_error *err)
{
    *out = NULL;
    struct limber_detector *d = calloc(1, sizeof *d);
    if (!d)
        return limber_fail(err, LIMBER_E_MEMORY, "out of memory");
    limber_options o = limber_options_default();
    if (options) {
        o.backend = options->backend;
        o.precision = options->precision;
    }
    bool yolos = false;
    limber_status st = path ? read_kind(&yolos, path, err) : LIMBER_OK;
    if (!st)
        st = yolos ? yolos_open(&d->yolos, path, &o, person_label, err) : model_open(&d->maps, path, TASK_BOXES, &o, err);
    if (st)
        limber_detector_close(&d);
    *out = d;
    return st;
}

limber_status limber_detector_open(limber_detector **out, const char *path, const limber_options *options, limber_error *err)
{
    if (!out)
        return limber_fail(err, LIMBER_E_ARGUMENT, "limber_detector_open: out is NULL");
    return detector_open(out, path, options, NULL, err);
}

void limber_detector_close(limber_detector **detector)
{
    if (!detector || !*detector)
        return;
    limber_model_close(&(*detector)->maps);
    yolos_close(&(*detector)->yolos);
    free(*detector);
    *detector = NULL;
}

const struct limber_model *detector_model(const struct limber_detector *d)
{
    return d->yolos ? &d->yolos->vit : d->maps;
}

float detector_evidence(const struct limber_detector *d)
{
    return d->yolos ? 0 : SAME_EVIDENCE;
}
