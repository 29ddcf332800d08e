/* Bytes as a safetensors file: parsed, every tensor's data read through, found by name. */
#include "fuzz.h"
#include "model/safetensors.h"

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
