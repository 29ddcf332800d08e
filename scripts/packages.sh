# SPDX-License-Identifier: MIT
# packages.sh - sourced by run.sh and test.sh: need PACKAGE... installs what Debian or Ubuntu has not installed yet. Elsewhere,
# or where it may not, it says what is missing and lets the build find out.
need() {
    missing=
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "limber: no apt-get here; if the build fails, install the equivalents of:$missing" >&2
        return 0
    fi
    echo "limber: installing$missing" >&2
    as_root=
    [ "$(id -u)" -eq 0 ] || as_root=sudo
    # shellcheck disable=SC2086
    if ! { $as_root apt-get update -qq && DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends $missing; } >/dev/null; then
        echo "limber: could not install$missing; going on with what is there" >&2
    fi
}
# One build tool, the faster where there is a choice.
generator() { if command -v ninja >/dev/null 2>&1; then echo Ninja; else echo "Unix Makefiles"; fi; }
