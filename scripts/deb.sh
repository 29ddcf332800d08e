#!/bin/sh
# SPDX-License-Identifier: MIT
# deb.sh - limber, liblimber0, liblimber-dev, limber-video, gstreamer1.0-limber and (where nvcc is) limber-cuda as Debian packages in
# build/deb: built, checked by lintian, installed, used and removed in a clean Debian that debootstrap makes. Needs root, a network and
# about ten minutes, of which nvcc takes most.
#
#     sh scripts/deb.sh                      all of it
#     sh scripts/deb.sh --build              packages and lintian alone
#     CUDAARCHS=90 sh scripts/deb.sh         limber-cuda for these GPUs alone: sooner built
set -eu
cd -- "$(dirname -- "$0")/.."
. scripts/packages.sh
. scripts/root.sh
fail() {
    echo "FAILED: $*" >&2
    exit 1
}
need gcc cmake ninja-build pkg-config libjansson-dev libjpeg-dev libwebp-dev libtiff-dev libavformat-dev libavcodec-dev libswscale-dev \
    libgstreamer-plugins-base1.0-dev gzip dpkg-dev lintian mandoc
mkdir -p build
cmake -S . -B build/deb -G "$(generator)" -DCMAKE_INSTALL_PREFIX=/usr -DLIMBER_TESTS=OFF -DLIMBER_BENCH=OFF >build/deb.log
cmake --build build/deb >>build/deb.log 2>&1 || { tail -20 build/deb.log; fail "the build"; }
rm -f build/deb/*.deb
(cd build/deb && cpack -G DEB) >>build/deb.log 2>&1 || { tail -20 build/deb.log; fail cpack; }
lintian --allow-root --fail-on error build/deb/*.deb
mandoc -Tlint build/deb/manual/*.1
for package in limber liblimber0 liblimber-dev limber-video gstreamer1.0-limber; do
    [ "$(find build/deb -maxdepth 1 -name "${package}_*.deb" | wc -l)" -eq 1 ] || fail "no package $package"
done
for needed in libavformat libavcodec libswscale libavutil; do
    dpkg-deb -f build/deb/limber-video_*.deb Depends | grep -q "$needed[0-9]" || fail "limber-video does not depend on $needed"
    ! dpkg-deb -f build/deb/limber_*.deb Depends | grep -q "$needed" || fail "limber depends on $needed"
done

# each model once, and at most 8 MB beside them; the code for five generations of GPUs is who has one's
size=0
for package in build/deb/*.deb; do
    bytes=$((1024 * $(dpkg-deb -f "$package" Installed-Size)))
    echo "$(dpkg-deb -f "$package" Package): $bytes bytes"
    case $package in
        */limber-cuda_*) [ $bytes -le 12000000 ] || fail "limber-cuda: more than 12 MB" ;;
        *) size=$((size + bytes)) ;;
    esac
done
models=$(cat data/limber-s/model.safetensors data/limber-find/model.safetensors | wc -c)
echo "without limber-cuda: $size bytes, of which models $models"
[ $((size - models)) -le 8000000 ] || fail "more than 8 MB beside the models"
[ "${1-}" != --build ] || exit 0

root=build/deb/root
trap 'rm -rf "$root"' EXIT
debian_root "$root"
cp build/deb/*.deb "$root/tmp"
mkdir "$root/tmp/photos"
cp data/samples/*.jpg "$root/tmp/photos"
still_film "$root/tmp/clip.mp4"
cat >"$root/tmp/check.sh" <<'END'
set -eu
export DEBIAN_FRONTEND=noninteractive
cd /tmp
fail() { echo "FAILED: $*"; exit 1; }
install() { apt-get install -y -qq --no-install-recommends "$@" >log 2>&1 || { cat log; fail "apt-get install $*"; }; }
apt-get update -qq
install man-db gcc libc6-dev pkg-config

# the command
install ./limber_*.deb ./liblimber0_*.deb
MANPAGER=cat man limber-run | grep -q overlay-size || fail "man limber-run"
limber run photos/ --out result --overlay --quiet
[ "$(wc -l <result/poses.jsonl)" -eq "$(ls photos | wc -l)" ] && [ -s result/index.html ] || fail "limber run"
! grep -q '"error"' result/poses.jsonl || fail "$(cat result/poses.jsonl)"
people=$(grep three.jpg result/poses.jsonl | grep -o '"keypoints"' | wc -l)
[ "$people" -eq 3 ] || fail "$people people in three.jpg"
limber info | grep -q libwebp || fail "limber info: $(limber info)"

# the library
install ./liblimber-dev_*.deb
printf '#include <limber.h>\n#include <stdio.h>\nint main(void) { puts(limber_version()); }\n' >a.c
gcc a.c $(pkg-config --cflags --libs limber) -o a && ./a

# the plugins
! limber run clip.mp4 --out film --quiet 2>said || fail "a video without limber-video"
grep -q 'package limber-video' said || fail "a video without limber-video: $(cat said)"
install ./limber-video_*.deb
limber run clip.mp4 --out film --quiet --track
[ "$(wc -l <film/poses.jsonl)" -eq 6 ] || fail "a video: $(cat film/poses.jsonl)"
[ "$(grep -c '"track":3' film/poses.jsonl)" -eq 6 ] || fail "three people in each frame of a video"
install ./gstreamer1.0-limber_*.deb gstreamer1.0-tools
gst-inspect-1.0 limberpose >inspected || fail "gst-inspect-1.0 limberpose: $(cat inspected)"
plugins="limber-video gstreamer1.0-limber"
if [ -n "$(ls limber-cuda_*.deb 2>/dev/null)" ]; then
    install ./limber-cuda_*.deb
    limber info | grep -q 'cuda.*no NVIDIA driver' || fail "limber info: $(limber info)"
    plugins="$plugins limber-cuda"
fi

# nothing is left, not of the plugins alone, and not of all
apt-get purge -y -qq $plugins gstreamer1.0-tools >log 2>&1 || { cat log; fail "apt-get purge $plugins"; }
limber run photos/three.jpg --quiet >/dev/null
apt-get purge -y -qq limber liblimber0 liblimber-dev >log 2>&1 || { cat log; fail "apt-get purge"; }
apt-get autoremove -y -qq >log 2>&1
left=$(find /usr /etc /var -name '*limber*' ! -path '/var/cache/man/*') # what man has shown
[ -z "$left" ] || fail "left: $left"
! dpkg-query -W -f '${Package}\n' | grep limber || fail "a package is left"
END
chroot "$root" sh /tmp/check.sh
echo "installed, used and removed in a clean root"
