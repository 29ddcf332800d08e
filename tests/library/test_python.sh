#!/bin/sh
# SPDX-License-Identifier: MIT
# test_python.sh - the Python package over the library that was built: pytest, where python3, numpy and pytest are there.
# LIMBER_LIBRARY is that library, SOURCE_DIR the repository.
set -eu
: "${LIMBER_LIBRARY:?}" "${SOURCE_DIR:?}"
# The system's own where the first in PATH has them not: Debian's packages are for /usr/bin/python3.
for python in "${PYTHON:-python3}" /usr/bin/python3 none; do
    ! "$python" -c 'import numpy, pytest' 2>/dev/null || break
done
[ "$python" != none ] || { echo "skipped: no ${PYTHON:-python3} with numpy and pytest"; exit 77; }
export PYTHONPATH="$SOURCE_DIR/bindings/python${PYTHONPATH:+:$PYTHONPATH}" PYTHONDONTWRITEBYTECODE=1
"$python" -m pytest -q -rs -p no:cacheprovider "$SOURCE_DIR/bindings/python/tests"
