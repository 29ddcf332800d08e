#!/bin/sh
# SPDX-License-Identifier: MIT
# musl_check.sh - every source of src/ compiles against musl's headers (as on Alpine) without a warning, and asks for no function that
# musl does not have. Needs musl-gcc and musl's libc.a (Debian: musl-tools), jansson.h and nm; jansson itself is taken as given.
#
#     sh scripts/musl_check.sh        exit status 77: no musl-gcc here
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
command -v musl-gcc >/dev/null || { echo "no musl-gcc (Debian: musl-tools): not checked"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/include"
cp "$(pkg-config --variable=includedir jansson)"/jansson.h "$work/include"
config=$(find "$(pkg-config --variable=includedir jansson)" -name jansson_config.h | head -1)
cp "$config" "$work/include"
# futex.h and its like come from the kernel, not from the C library
for folder in linux asm asm-generic; do
    for from in /usr/include "/usr/include/$(gcc -dumpmachine)"; do
        [ -d "$from/$folder" ] && [ ! -e "$work/include/$folder" ] && ln -s "$from/$folder" "$work/include/$folder"
    done
done

flags="-std=c11 -O1 -Wall -Wextra -Wshadow -Wstrict-prototypes -Werror -ffp-contract=off -fno-math-errno -Iinclude -Isrc
    -isystem $work/include -isystem third_party/stb -DLIMBER_BUILD -DLIMBER_LIBDIR_FROM_BINDIR=\"../lib/\"
    -DLIMBER_DATA_DIR=\"data\""
for isa in AVX2 AVXVNNI AVX512 AVX512VNNI AVX512BF16 AMX AMXINT8; do # their kernels call nothing: checked with the C library at hand
    flags="$flags -DLIMBER_NO_$isa"
done
cd "$root"
count=0
# left out: what is built against a library of its own (libjpeg-turbo's and FFmpeg's headers are glibc's here)
for source in $(find src -name '*.c' ! -name 'kernels_a*.c' ! -name 'kernels_neon*.c' ! -name jpeg_turbo.c ! -path 'src/video/ffmpeg_*' ! -path src/video/plugin.c | LC_ALL=C sort); do
    object=$work/$(echo "$source" | tr / _).o
    # shellcheck disable=SC2086
    musl-gcc $flags -DLIMBER_VERSION='"0"' -c "$source" -o "$object" || { echo "FAILED: $source with musl"; exit 1; }
    count=$((count + 1))
done

nm --undefined-only "$work"/*.o | awk 'NF == 2 { print $2 }' | sort -u >"$work/wanted"
libc=$(find /usr/lib /usr/local -path '*musl*' -name libc.a 2>/dev/null | head -1)
nm --defined-only "$work"/*.o "${libc:?no libc.a of musl}" "$(gcc -print-libgcc-file-name)" 2>/dev/null | awk 'NF == 3 { print $3 }' | sort -u >"$work/there"
comm -23 "$work/wanted" "$work/there" | grep -Ev '^(json_|_GLOBAL_OFFSET_TABLE_$|__stack_chk_fail$)' >"$work/missing" || true
[ ! -s "$work/missing" ] || { echo "FAILED: musl has no" $(cat "$work/missing"); exit 1; }
echo "musl: $count sources compiled, nothing asked for that is not there"
