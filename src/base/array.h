/* SPDX-License-Identifier: MIT */
/* base/array.h - arrays that grow one by one. */
#ifndef LIMBER_ARRAY_H
#define LIMBER_ARRAY_H

#include <stddef.h>

/* The array of `count` entries of `each` bytes with place for one more: itself, or moved to where twice the room is. NULL: no memory,
 * and everything is as it was. */
void *array_grown(void *array, size_t count, size_t *room, size_t each);

#endif
