# SPDX-License-Identifier: MIT
# Cross-building for 64-bit ARM with Debian's gcc-aarch64-linux-gnu (or clang), tests run by qemu-user:
#
#     cmake -S . -B build/aarch64 --toolchain cmake/aarch64-linux-gnu.cmake -DLIMBER_CUDA=OFF [-DCMAKE_SYSROOT=DIR]
#
# DIR holds the libraries of an arm64 Debian, unpacked (scripts/cross_check.sh makes one). Without it they are those installed
# beside the machine's own: dpkg --add-architecture arm64, then libjansson-dev:arm64 and so on.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc CACHE STRING "C compiler")
set(CMAKE_C_COMPILER_TARGET aarch64-linux-gnu) # gcc is one for it already, clang is told

set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(ENV{PKG_CONFIG_LIBDIR} ${CMAKE_SYSROOT}/usr/lib/aarch64-linux-gnu/pkgconfig)
set(ENV{PKG_CONFIG_SYSROOT_DIR} "${CMAKE_SYSROOT}")
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -L "${CMAKE_SYSROOT}/")
