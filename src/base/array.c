/* SPDX-License-Identifier: MIT */
#include "base/array.h"

#include <stdint.h>
#include <stdlib.h>

void *array_grown(void *array, size_t count, size_t *room, size_t each)
{
    if (count < *room)
        return array;
    const size_t more = *room ? 2 * *room : 32;
    void *v = more <= SIZE_MAX / each ? realloc(array, more * each) : NULL;
    if (v)
        *room = more;
    return v;
}
