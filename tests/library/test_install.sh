#!/bin/sh
# SPDX-License-Identifier: MIT
# test_install.sh - what `cmake --install` puts down is enough: the example is compiled against the installed tree alone, through
# pkg-config and through find_package, runs, and agrees with itself; the header alone compiles as C11 and C++17; nothing but
# limber_* is exported; the installed command runs. BUILD_DIR is the build, SOURCE_DIR the repository, CC and CXX the compilers.
set -eu
: "${BUILD_DIR:?}" "${SOURCE_DIR:?}" "${CC:=cc}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*"; exit 1; }

DESTDIR='' cmake --install "$BUILD_DIR" --prefix "$work/usr" >"$work/log" || { cat "$work/log"; fail "cmake --install"; }
libdir=$(dirname "$(find "$work/usr" -name liblimber.so | head -1)")
[ -f "$libdir/pkgconfig/limber.pc" ] || fail "no limber.pc"
export PKG_CONFIG_PATH="$libdir/pkgconfig" LD_LIBRARY_PATH="$libdir"
cp "$SOURCE_DIR/examples/minimal.c" "$SOURCE_DIR/data/samples/three.jpg" "$SOURCE_DIR/tests/corpus/images/ok_rgb.ppm" "$work"
cd "$work"

# pkg-config
"$CC" -std=c11 -Wall -Wextra -Werror minimal.c $(pkg-config --cflags --libs limber) -o by_pkg_config || fail "pkg-config"
./by_pkg_config three.jpg >one
[ "$(wc -l <one)" -ge 17 ] && grep -q '^1 left_elbow  *[-0-9.]* ' one || fail "the example's output: $(cat one)"
./by_pkg_config three.jpg "$SOURCE_DIR/data/limber-s" >two || fail "a model by its directory"
cmp one two || fail "the built-in model is not the one in data/limber-s"

# find_package
mkdir project
cat >project/CMakeLists.txt <<'END'
cmake_minimum_required(VERSION 3.16)
project(user C)
find_package(limber 0.1 REQUIRED)
add_executable(by_find_package ../minimal.c)
target_link_libraries(by_find_package PRIVATE limber::limber)
END
cmake -S project -B project/build -DCMAKE_PREFIX_PATH="$work/usr" -DCMAKE_C_COMPILER="$CC" >log 2>&1 || { cat log; fail "find_package"; }
cmake --build project/build >log 2>&1 || { cat log; fail "build with find_package"; }
./project/build/by_find_package three.jpg >three
cmp one three || fail "the two builds of the example disagree"

# the headers alone
for header in usr/include/limber*.h; do
    name=$(basename "$header")
    printf '#include <%s>\nint main(void) { return 0; }\n' "$name" >alone.c
    "$CC" -std=c11 -pedantic -Wall -Wextra -Wstrict-prototypes -Werror -Iusr/include -c alone.c -o alone.o || fail "$name as C11"
    if command -v "${CXX:=c++}" >/dev/null; then
        cp alone.c alone.cpp
        "$CXX" -std=c++17 -pedantic -Wall -Wextra -Werror -Iusr/include -c alone.cpp -o alone.o || fail "$name as C++17"
    fi
done

# what is exported is what the headers declare, by name
nm -D --defined-only "$libdir/liblimber.so" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | grep -vx limber_built_in_model | sort >exported # that one is the command's
sed -n '/^LIMBER_API/s/.*[ *]\(limber_[a-z0-9_]*\)(.*/\1/p' usr/include/limber*.h | sort >declared
[ "$(wc -l <declared)" -eq "$(grep -c '^LIMBER_API' usr/include/limber*.h | awk -F: '{n += $2} END {print n}')" ] || fail "not every LIMBER_API line was understood"
cmp -s declared exported || fail "declared (<) and exported (>): $(diff declared exported)"

# the models once: in the library, whose command takes them from there
[ "$(find "$work/usr" -type f -size +8000k)" = "$(readlink -f "$libdir/liblimber.so")" ] ||
    fail "the model is not once on disk: $(find "$work/usr" -type f -size +8000k)"

# the command, from its place
env -u LD_LIBRARY_PATH "$work/usr/bin/limber" run ok_rgb.ppm --whole --quiet | grep -q '^{"image":"ok_rgb.ppm","width":48,' || fail "the command"

# a plugin, where no program links it, and where the command finds it
if [ -f "$BUILD_DIR/liblimber_video.so" ]; then
    [ "$(find "$work/usr" -name liblimber_video.so)" = "$libdir/limber/liblimber_video.so" ] || fail "the video plugin: $(find "$work/usr" -name 'liblimber_*')"
    env -u LD_LIBRARY_PATH "$work/usr/bin/limber" info | grep -q '^videos *libavformat' || fail "$("$work/usr/bin/limber" info | grep ^videos)"
fi
echo "passed"
