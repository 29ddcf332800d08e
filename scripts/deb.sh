#!/bin/sh
# SPDX-License-Identifier: MIT
# deb.sh - limber_*.deb, liblimber0_*.deb and liblimber-dev_*.deb in build/deb: built, checked by lintian, installed, used and removed
# in a clean Debian that debootstrap makes. Needs root, a network and about ten minutes.
#
#     sh scripts/deb.sh             all of it
#     sh scripts/deb.sh --build     packages and lintian alone
set -eu
cd -- "$(dirname -- "$0")/.."
. scripts/packages.sh
need gcc cmake ninja-build pkg-config libjansson-dev libjpeg-dev libwebp-dev libtiff-dev gzip dpkg-dev lintian mandoc
cmake -S . -B build/deb -G "$(generator)" -DCMAKE_INSTALL_PREFIX=/usr -DLIMBER_TESTS=OFF -DLIMBER_BENCH=OFF -DLIMBER_CUDA=OFF >build/deb.log
cmake --build build/deb >>build/deb.log
rm -f build/deb/*.deb
(cd build/deb && cpack -G DEB) >>build/deb.log
lintian --fail-on error build/deb/*.deb
mandoc -Tlint build/deb/manual/*.1

# each model once, and at most 8 MB beside them
size=0
for package in build/deb/*.deb; do size=$((size + 1024 * $(dpkg-deb -f "$package" Installed-Size))); done
models=$(cat data/limber-s/model.safetensors data/limber-find/model.safetensors | wc -c)
echo "installed: $size bytes, of which models $models"
[ $((size - models)) -le 8000000 ] || { echo "FAILED: more than 8 MB beside the models"; exit 1; }
[ "${1-}" != --build ] || exit 0

need debootstrap
root=build/deb/root
rm -rf "$root"
debootstrap --variant=minbase "$(. /etc/os-release && echo "$VERSION_CODENAME")" "$root" >>build/deb.log
trap 'rm -rf "$root"' EXIT
cp build/deb/*.deb "$root/tmp"
mkdir "$root/tmp/photos"
cp data/samples/*.jpg "$root/tmp/photos"
cat >"$root/tmp/check.sh" <<'END'
set -eu
cd /tmp
rm -f /etc/dpkg/dpkg.cfg.d/*docker* # what leaves out manual pages
apt-get update -qq
apt-get install -y -qq --no-install-recommends man-db gcc libc6-dev pkg-config >/dev/null
dpkg-query -W -f '${Package}\n' | sort >before
apt-get install -y -qq --no-install-recommends ./limber_*.deb ./liblimber0_*.deb ./liblimber-dev_*.deb >/dev/null
MANPAGER=cat man limber-run | grep -q overlay-size || { echo "FAILED: man limber-run"; exit 1; }
limber run photos/ --out result --overlay --quiet
[ "$(wc -l <result/poses.jsonl)" -eq 5 ] && [ -s result/index.html ] || { echo "FAILED: limber run"; exit 1; }
printf '#include <limber.h>\n#include <stdio.h>\nint main(void) { puts(limber_version()); }\n' >a.c
gcc a.c $(pkg-config --cflags --libs limber) -o a && ./a
apt-get purge -y -qq limber liblimber0 liblimber-dev >/dev/null
apt-get autoremove -y -qq >/dev/null
[ -z "$(find /usr /etc /var/lib -name '*limber*' ! -path '*/apt/*' ! -path '/var/lib/dpkg/*')" ] || { echo "FAILED: left: $(find /usr /etc /var/lib -name '*limber*')"; exit 1; }
END
chroot "$root" sh /tmp/check.sh
echo "installed, used and removed in a clean root"
