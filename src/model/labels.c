/* SPDX-License-Identifier: MIT */
/* model/labels.c - see model/labels.h. Labels are somebody else's text: read as bytes, never longer than LABEL_BYTES_MAX. */
#include "model/labels.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"

/* Which side a label names and what of it, so that "L_Eye", "left eye", "LEFT_EYE", "leftEye" and "eye.L" are one:
 * words end at anything but letters and digits and where small letters turn to capitals; the word l, left, r or right, if there
 * is exactly one, is the side; the other words in small letters make `rest`. */
struct spelling {
    char side; /* 'l', 'r' or 0 */
    char rest[LABEL_BYTES_MAX + 1];
};

static char side_of_word(const char *word, size_t n)
{
    static const char *const sides[] = {"l", "left", "r", "right"};
    for (size_t i = 0; i < 4; i++)
        if (strlen(sides[i]) == n && memcmp(sides[i], word, n) == 0)
            return sides[i][0];
    return 0;
}

static bool word_begins(const char *s, size_t i)
{
    const char before = i ? s[i - 1] : 0, c = s[i];
    return text_is_upper(c) && (text_is_lower(before) || (text_is_upper(before) && text_is_lower(s[i + 1])));
}

static struct spelling spelling_of(const char *label)
{
    struct spelling s = {0};
    char lower[LABEL_BYTES_MAX + 1];
    size_t n = 0;
    int sides = 0;
    for (size_t i = 0; label[i];) {
        size_t length = 0;
        for (; label[i] && (text_is_alnum(label[i]) || (unsigned char)label[i] >= 128); i++) {
            if (length && word_begins(label, i))
                break;
            lower[length++] = text_lower(label[i]);
        }
        if (!length) {
            i++;
            continue;
        }
        char side = side_of_word(lower, length);
        if (side && sides++ == 0) {
            s.side = side;
        } else {
            memcpy(s.rest + n, lower, length);
            n += length;
        }
    }
    if (sides > 1) /* "right left": not ours to read */
        s.side = 0;
    if (!sides && strncmp(s.rest, "left", 4) == 0 && s.rest[4]) { /* "lefteye" */
        s.side = 'l';
        memmove(s.rest, s.rest + 4, n - 3);
    } else if (!sides && strncmp(s.rest, "right", 5) == 0 && s.rest[5]) {
        s.side = 'r';
        memmove(s.rest, s.rest + 5, n - 4);
    }
    return s;
}

static bool spelling_same(const struct spelling *a, const struct spelling *b)
{
    return a->side == b->side && strcmp(a->rest, b->rest) == 0;
}

static bool labels_are(char *const *labels, int count, const struct skeleton *skeleton)
{
    if (count != skeleton->keypoints)
        return false;
    for (int k = 0; k < count; k++) {
        struct spelling ours = spelling_of(skeleton->names[k]), theirs = spelling_of(labels[k]);
        if (!spelling_same(&ours, &theirs))
            return false;
    }
    return true;
}

limber_status labels_recognise(char **labels, int count, const struct skeleton **skeleton, limber_error *err)
{
    *skeleton = NULL;
    for (int i = 0; skeletons[i] && !*skeleton; i++)
        if (labels_are(labels, count, skeletons[i]))
            *skeleton = skeletons[i];
    for (int k = 0; *skeleton && k < count; k++) {
        const char *ours = (*skeleton)->names[k];
        size_t n = strlen(ours) + 1;
        char *name = malloc(n);
        if (!name)
            return limber_fail(err, LIMBER_E_MEMORY, "out of memory");
        free(labels[k]);
        labels[k] = memcpy(name, ours, n);
    }
    return LIMBER_OK;
}

limber_status labels_pair_sides(int *mirror, char *const *labels, int count, limber_error *err)
{
    json_t *index = json_object(); /* "l:elbow" -> 7; -1 where several joints share the spelling */
    bool ok = index != NULL;
    for (int pass = 0; pass < 2; pass++)
        for (int k = 0; ok && k < count; k++) {
            struct spelling s = spelling_of(labels[k]);
            char own[LABEL_BYTES_MAX + 3], other[LABEL_BYTES_MAX + 3];
            snprintf(own, sizeof own, "%c:%s", s.side ? s.side : '-', s.rest);
            snprintf(other, sizeof other, "%c:%s", s.side == 'l' ? 'r' : s.side == 'r' ? 'l' : '-', s.rest);
            if (pass == 0) { /* _nocheck: a label cut into words may end inside a UTF-8 character */
                ok = json_object_set_new_nocheck(index, own, json_integer(json_object_get(index, own) ? -1 : k)) == 0;
            } else {
                json_int_t here = json_integer_value(json_object_get(index, own));
                const json_t *there = json_object_get(index, other);
                mirror[k] = there && here == k && json_integer_value(there) >= 0 ? (int)json_integer_value(there) : k;
            }
        }
    json_decref(index);
    return ok ? LIMBER_OK : limber_fail(err, LIMBER_E_MEMORY, "out of memory");
}
