/* SPDX-License-Identifier: MIT */
/* Bytes as the names of joints, one a line, as id2label gives them: which row of model/skeleton.h they are, and who mirrors whom. */
#include <string.h>

#include "fuzz.h"
#include "model/labels.h"

#define JOINTS_MAX 512

FUZZ_MUTATE_BY(mutate_words)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *labels[JOINTS_MAX];
    int mirror[JOINTS_MAX], count = 0;
    for (size_t at = 0; at < size && count < JOINTS_MAX;) {
        const uint8_t *end = memchr(bytes + at, '\n', size - at);
        const size_t n = end ? (size_t)(end - bytes) - at : size - at;
        if (n && n <= LABEL_BYTES_MAX && !memchr(bytes + at, 0, n)) {
            labels[count] = malloc(n + 1);
            fuzz_check(labels[count]);
            memcpy(labels[count], bytes + at, n);
            labels[count++][n] = 0;
        }
        at += n + 1;
    }
    const struct skeleton *skeleton = NULL;
    if (count && labels_recognise(labels, count, &skeleton, NULL) == LIMBER_OK && skeleton) {
        fuzz_check(skeleton->keypoints == count);
        for (int k = 0; k < count; k++)
            fuzz_check(!strcmp(labels[k], skeleton->names[k]));
    }
    if (count && labels_pair_sides(mirror, labels, count, NULL) == LIMBER_OK)
        for (int k = 0; k < count; k++)
            fuzz_check(mirror[k] >= 0 && mirror[k] < count && mirror[mirror[k]] == k);
    for (int k = 0; k < count; k++)
        free(labels[k]);
    return 0;
}
