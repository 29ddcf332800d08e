#!/bin/sh
# SPDX-License-Identifier: MIT
# static.sh - build/static/limber-VERSION-MACHINE.tar.gz: the command for Linuxes that have no package of it. Unpack it anywhere and run
# bin/limber: one program with its models inside, which needs no library of the system's, of any age or kind.
#
#     sh scripts/static.sh                      builds, packs, and proves it in a root where nothing else is (chroot: wants root)
#     sh scripts/static.sh --build              builds and packs alone
#     sh scripts/static.sh --pack BUILD DIR     what the archive has of a build, into DIR, its list checked (the tests do it)
#
# It is linked with GNU's C library, whose arithmetic the other builds use too: its joints are theirs to the byte. What is opened at run
# time it cannot have: the plugins (CUDA, video) and libheif. TIFF is left out, since libtiff brings libjbig, which is under the GPL.
set -eu
cd -- "$(dirname -- "$0")/.."
. scripts/packages.sh
fail() {
    echo "FAILED: $*" >&2
    exit 1
}

pack() { # BUILD DIR
    mkdir -p "$2"
    DESTDIR='' cmake --install "$1" --prefix "$2" --component command >/dev/null
    mkdir -p "$2/share/doc/limber/licences"
    cp LICENSE "$2/share/doc/limber/licences/limber"
    {
        printf '%s\n' bin/limber share/bash-completion/completions/limber share/fish/vendor_completions.d/limber.fish \
            share/zsh/site-functions/_limber share/doc/limber/limber.spdx.json share/doc/limber/limber-s.md \
            share/doc/limber/limber-find.md share/doc/limber/licences/limber share/man/man1/limber.1.gz
        # a manual page for each command
        for command in $("$1/limber" --help | sed -n 's/^  \([a-z]*\) .*/\1/p'); do
            case $command in
                bench) printf "share/man/man1/limber-bench-%s.1.gz\n" attention model pipeline ;;
                *) echo "share/man/man1/limber-$command.1.gz" ;;
            esac
        done
    } | LC_ALL=C sort >"$2.expected"
    (cd "$2" && find . ! -type d | sed 's,^\./,,' | LC_ALL=C sort) >"$2.packed"
    diff "$2.expected" "$2.packed" || fail "expected (<) and packed (>) differ"
    rm "$2.expected" "$2.packed"
}
if [ "${1-}" = --pack ]; then
    pack "$2" "$3"
    exit
fi

need gcc cmake ninja-build pkg-config libjansson-dev libjpeg-dev libwebp-dev libc6-dev gzip
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
export SOURCE_DATE_EPOCH
mkdir -p build
cmake -S . -B build/static -G "$(generator)" -DLIMBER_STATIC=ON -DLIMBER_TESTS=OFF -DLIMBER_BENCH=OFF >build/static.log
cmake --build build/static >>build/static.log 2>&1 || { tail -20 build/static.log; fail "the build"; }
version=$(sed -n 's/^project(limber VERSION \([0-9.]*\) .*/\1/p' CMakeLists.txt)
name=limber-$version-$(uname -m)
rm -rf "build/static/$name"
pack build/static "build/static/$name"
strip "build/static/$name/bin/limber"
readelf -W -l -d "build/static/$name/bin/limber" >build/static/elf
! grep -q 'INTERP\|(NEEDED)' build/static/elf || fail "it needs a loader or a library"
grep -q 'Flags:.*PIE' build/static/elf || fail "its addresses are not random (static-pie)"

# Licences of what is linked into it. GNU's C library is under the LGPL: whoever wants another one in its place links it anew by this
# script, from the same sources.
for library in libc.a libjansson.a libjpeg.a libwebp.a; do
    package=$(dpkg-query -S "*/$library" | head -n 1 | cut -d: -f1)
    file=/usr/share/doc/$package/copyright
    [ -f "$file" ] || fail "no licence of $library: $file"
    ! grep -q '^License: GPL' "$file" || fail "$package is under the GPL"
    cp "$file" "build/static/$name/share/doc/limber/licences/$(basename $library .a)"
done
cp /usr/share/common-licenses/LGPL-2.1 "build/static/$name/share/doc/limber/licences"
echo "limber $version is linked with the libraries whose licences lie here. libc is GNU's, under the LGPL (LGPL-2.1): to put another in
its place, run scripts/static.sh of limber's sources, which have limber's own licence, on a machine that has it." \
    >"build/static/$name/share/doc/limber/licences/README"

archive=build/static/$name.tar.gz
tar -C build/static --sort=name --owner=0 --group=0 --numeric-owner --mode=go-w --mtime="@$SOURCE_DATE_EPOCH" -cf - "$name" | gzip -9n >"$archive"
echo "$archive: $(wc -c <"$archive") bytes, $(find "build/static/$name" -type f -exec cat {} + | wc -c) unpacked"
[ "${1-}" != --build ] || exit 0

# A root where nothing else is: no C library, no /proc, no /dev. What it finds is what the ordinary build finds, to the byte.
[ "$(id -u)" -eq 0 ] || fail "the proof wants root (chroot); --build leaves it out"
ordinary=${LIMBER:-}
if [ -z "$ordinary" ]; then
    cmake -S . -B build/static/ordinary -G "$(generator)" -DLIMBER_TESTS=OFF -DLIMBER_BENCH=OFF -DLIMBER_CUDA=OFF >>build/static.log
    cmake --build build/static/ordinary --target limber_command >>build/static.log 2>&1 || fail "the ordinary build"
    ordinary=build/static/ordinary/limber
fi
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
tar -xzf "$archive" -C "$root"
mkdir "$root/photos"
cp data/samples/*.jpg tests/images/*.png tests/images/*.jpg "$root/photos"
cp -r tests/golden/simple-hd32 "$root/model"
in_it() { # ARGUMENT...: the command in the root
    chroot "$root" "/$name/bin/limber" "$@"
}
[ "$(in_it --version | head -n 1 | cut -d' ' -f2)" = "$version" ] || fail "limber --version: $(in_it --version)"
in_it info
for precision in fp32 bf16 int8; do
    for model in "" "--model model --whole"; do
        # shellcheck disable=SC2086
        in_it run photos $model --precision $precision --threads 2 --overlay --quiet --out result 2>"$root/said" || [ $? -eq 1 ] || fail "$precision $model: $(cat "$root/said")"
        # shellcheck disable=SC2086
        (cd "$root" && "$OLDPWD/$ordinary" run photos $model --precision $precision --threads 2 --overlay --quiet --out other 2>>said) || [ $? -eq 1 ] || fail "$precision"
        cmp "$root/result/poses.jsonl" "$root/other/poses.jsonl" || fail "$precision $model: other joints than the ordinary build's"
        diff -r "$root/result/overlay" "$root/other/overlay" >/dev/null || fail "$precision $model: other overlays"
        echo "$precision ${model:-the model inside}: $(wc -l <"$root/result/poses.jsonl") lines, $(grep -o '"keypoints"' "$root/result/poses.jsonl" | wc -l) people, the same bytes"
        rm -rf "$root/result" "$root/other"
    done
done
: >"$root/film.mp4"
! in_it run film.mp4 2>"$root/said" || fail "a video?"
grep -q "opens no plugins" "$root/said" || fail "a video: $(cat "$root/said")"
echo "passed: $archive"
