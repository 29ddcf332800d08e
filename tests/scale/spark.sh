#!/bin/sh
# SPDX-License-Identifier: MIT
# spark.sh - examples/spark_poses.py on this machine: a worker is killed in the middle of a part, its task is tried again, and the lines are the
# bytes of `limber run`. Makes an environment of pyspark from PyPI where PYTHON [python3] has none; wants Java (Debian: default-jre-headless).
# LIMBER is the command, LIMBER_LIBRARY the library [those of build/dev]; minutes.
set -eu
cd -- "$(dirname -- "$0")/../.."
. scripts/packages.sh
command -v java >/dev/null 2>&1 || need default-jre-headless
source=$PWD
LIMBER=$(realpath "${LIMBER:-build/dev/limber}")
LIMBER_LIBRARY=$(realpath "${LIMBER_LIBRARY:-build/dev/liblimber.so}")
export LIMBER_LIBRARY PYTHONPATH="$source/bindings/python" PYTHONDONTWRITEBYTECODE=1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
    echo "FAILED: $*"
    tail -n 20 log 2>/dev/null || true
    exit 1
}
python=${PYTHON:-python3}
if ! "$python" -c 'import pyspark, pandas, pyarrow, numpy' 2>/dev/null; then
    python3 -m venv "$work/environment"
    python=$work/environment/bin/python
    "$python" -m pip install -q numpy pyspark 'pandas<3' pyarrow
fi
unset PYSPARK_PYTHON

# 121 names: drawings, one that cannot be read, one of bytes, folders whose order is not that of a walk
cd "$work"
mkdir -p photos/a photos/.hidden
for i in $(seq 20); do
    for sample in "$source"/data/samples/*.jpg "$source"/data/samples/*.png; do
        ln -s "$sample" "photos/a/$i-$(basename "$sample")"
    done
done
mv photos/a/1-three.jpg "$(printf 'photos/a.\377\001"\\.jpg')"
cp -r photos/a/2-three.jpg photos/.hidden/x.jpg
head -c 100 "$source/data/samples/three.jpg" >photos/broken.jpg
"$LIMBER" run photos --quiet --threads 1 --precision fp32 --full-resolution >single.jsonl 2>/dev/null || [ $? = 1 ] || fail "the single run"

"$python" "$source/examples/spark_poses.py" photos out --part 10 >log 2>&1 &
driver=$!
aside=
while [ -z "$aside" ] && kill -0 $driver 2>/dev/null; do
    sleep 0.02
    aside=$(find out -name '.part-000003-*' 2>/dev/null || true) # the worker's own number ends the name
done
[ -n "$aside" ] || fail "no worker was seen at part 3"
kill -KILL "${aside##*.}"
[ ! -e out/part-000003-of-000013.jsonl ] || fail "part 3 was whole before its worker was killed"
wait $driver || fail "the driver"
grep -q 'Lost task' log || fail "no task was lost"
cmp out/poses.jsonl single.jsonl || fail "the lines are not those of limber run"
[ "$(find out -type f | wc -l)" -eq 15 ] || fail "left behind: $(ls -A out)"

# Nothing to do, and what must not be mixed.
rm out/part-000007-of-000013.jsonl out/poses.jsonl
"$python" "$source/examples/spark_poses.py" photos out --part 10 >log 2>&1 || fail "going on"
cmp out/poses.jsonl single.jsonl || fail "going on"
! "$python" "$source/examples/spark_poses.py" photos out --part 20 >log 2>&1 || fail "two kinds of parts"
grep -q 'other options' log || fail "two kinds of parts"
echo "passed: $(wc -l <single.jsonl) lines, a worker killed and its task tried again, are the bytes of limber run"
