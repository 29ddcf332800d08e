/* SPDX-License-Identifier: MIT */
/* Bytes as a safetensors file: parsed, every tensor's data read through, found by name. */
#include <string.h>

#include "fuzz.h"
#include "model/safetensors.h"

/* The header's JSON changed, its length told anew: what random bytes never reach. */
static size_t mutate(uint8_t *bytes, size_t size, size_t room, uint32_t seed)
{
    uint64_t length = 0;
    if (size < 16)
        return mutate_json(bytes, size, room, seed);
    for (int i = 7; i >= 0; i--)
        length = length << 8 | bytes[i];
    if (length > size - 8 || seed % 16 == 0)
        return mutate_image(bytes, size, room, seed);
    uint8_t *header = malloc(room);
    if (!header)
        return size;
    memcpy(header, bytes + 8, (size_t)length);
    const size_t data = size - 8 - (size_t)length;
    const size_t now = mutate_json(header, (size_t)length, room - 8 - data > length ? room - 8 - data : (size_t)length, seed);
    memmove(bytes + 8 + now, bytes + 8 + length, data);
    memcpy(bytes + 8, header, now);
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(now >> (8 * i));
    free(header);
    return 8 + now + data;
}
FUZZ_MUTATE_BY(mutate)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct tensors t;
    if (tensors_parse(&t, bytes, size, NULL) != LIMBER_OK)
        return 0;
    for (int i = 0; i < t.count; i++) {
        const struct tensor *v = &t.v[i];
        fuzz_check(v->data >= bytes && v->data <= bytes + size && v->bytes <= (size_t)(bytes + size - v->data));
        fuzz_check(tensors_find(&t, v->name) == v);
        const size_t each = v->dtype == DTYPE_F32 ? 4 : 2, n = v->dtype == DTYPE_OTHER ? 0 : v->bytes / each;
        float values[256];
        for (size_t from = 0; from < n; from += 256)
            tensor_read(v, from, n - from < 256 ? n - from : 256, values);
    }
    tensors_free(&t);
    return 0;
}
