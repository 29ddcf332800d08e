/* SPDX-License-Identifier: MIT */
/* ptx_call.h - the little that a launch must know of the PTX interpreter: the shape of a program's parameters, and two hooks that ptx.h
 * fills in where a program includes it. Kernels are compiled without the interpreter, which is most of the emulator's compile time. */
#ifndef LIMBER_CUEMU_PTX_CALL_H
#define LIMBER_CUEMU_PTX_CALL_H

#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "cuemu.h"

namespace cuemu
{
namespace ptx
{
struct Parameter {
    size_t offset, bytes;
};
struct Signature { /* of one entry point; ptx.h adds the code */
    std::string name;
    std::vector<Parameter> parameters;
    size_t parameter_bytes = 0;
};
struct Call {
    const Signature *program;
    const unsigned char *parameters;
    size_t shared;
};

/* The PTX of a kernel, NULL where none is to be used; and a thread's way through it. */
inline const Signature *(*find)(const void *kernel) = nullptr;
inline void (*execute)(const Call &call) = nullptr;

[[noreturn]] inline void unknown(const char *what, const std::string &text)
{
    fprintf(stderr, "cuemu: PTX %s not in the interpreter: %s\n", what, text.c_str());
    abort();
}

template <class Tuple, size_t... I>
inline void pack_each(const Signature &p, unsigned char *to, const Tuple &t, std::index_sequence<I...>)
{
    auto put = [&](size_t i, const void *value, size_t bytes) {
        if (p.parameters[i].bytes != bytes)
            unknown("parameter size", p.name);
        memcpy(to + p.parameters[i].offset, value, bytes);
    };
    (put(I, &std::get<I>(t), sizeof(std::get<I>(t))), ...);
}
template <class... P> inline std::vector<unsigned char> pack(const Signature &p, const std::tuple<P...> &t)
{
    std::vector<unsigned char> bytes(p.parameter_bytes + 16);
    if (p.parameters.size() != sizeof...(P))
        unknown("parameter count", p.name);
    pack_each(p, bytes.data(), t, std::index_sequence_for<P...>());
    return bytes;
}

} // namespace ptx
} // namespace cuemu
#endif
