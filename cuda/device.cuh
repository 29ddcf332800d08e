/* SPDX-License-Identifier: MIT */
/* device.cuh - CUDA as limber's kernels speak it, so that one source is compiled by nvcc for a GPU and by a C++ compiler for the
 * emulator (emu/cuemu.h), where it is proved.
 *
 *   LAUNCH(kernel, grid, block, shared, stream, arguments...)   instead of the triple angle brackets
 *   SHARED_BYTES(T, name)                                       the block's dynamic shared memory, aligned to 128 bytes, as T *name
 *   DEVICE                                                      a function of the device, inlined
 * Kernels use no static __shared__, no __constant__ and no arithmetic of cuda_fp16.h: numbers of 16 bits are f16 and bf16 below,
 * opaque but for the conversions of tile_ops.cuh. */
#ifndef LIMBER_DEVICE_CUH
#define LIMBER_DEVICE_CUH

#include <stdint.h>

#ifdef __CUDACC__
#include <cuda_runtime.h>
#define DEVICE __device__ __forceinline__
#define LAUNCH(kernel, grid, block, shared, stream, ...) kernel<<<(grid), (block), (shared), (stream)>>>(__VA_ARGS__)
#define SHARED_BYTES(T, name)                                                                                                    \
    extern __shared__ __align__(128) unsigned char limber_shared[];                                                              \
    T *const name = reinterpret_cast<T *>(limber_shared)
#else
#include "emu/runtime.h"
#include "emu/tensor.h"
#define DEVICE static inline
#define LAUNCH(kernel, grid, block, shared, stream, ...)                                                                         \
    cuemu::launch(#kernel, kernel, (grid), (block), (shared), (stream), __VA_ARGS__)
#define SHARED_BYTES(T, name) T *const name = reinterpret_cast<T *>(cuemu::S.shared)
#endif

struct f16 {
    uint16_t bits;
};
struct bf16 {
    uint16_t bits;
};

#endif
