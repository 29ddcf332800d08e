#!/bin/sh
# SPDX-License-Identifier: MIT
# house.sh - the rule of the house, kept: base < {image, video, compute} < model < pose < heads < command. A folder of src/ includes itself
# and what stands before it; image and compute do not see each other; model, pose and heads do not see image. Includes carry their
# folder. cuda/ sees compute/backend.h and base/error.h; bindings/ and examples/ see include/ only. SOURCE_DIR is the repository.
set -eu
: "${SOURCE_DIR:?}"

# Every include that the rule forbids: "file: include: why", and a failure if there is one.
offences() {
    cd "$1"
    find src cuda bindings examples -name '*.[ch]' -o -name '*.cu' -o -name '*.cuh' 2>/dev/null | LC_ALL=C sort |
        xargs awk '
        BEGIN {
            sees["base"] = " base "
            sees["image"] = " base image "
            sees["compute"] = " base compute "
            sees["model"] = " base compute model "
            sees["pose"] = " base compute model pose "
            sees["heads"] = " base compute model pose heads "
            sees["video"] = " base video "
            sees["command"] = " base image video compute model pose heads command "
        }
        function offence(why) { print FILENAME ": " what ": " why; bad = 1 }
        !/^[ \t]*#[ \t]*include[ \t]*[<"]/ { next }
        {
            what = $0
            sub(/^[^<"]*[<"]/, "", what)
            sub(/[>"].*/, "", what)
            split(FILENAME, at, "/")
            n = split(what, to, "/")
            system_header = $0 !~ /"/
            if (what ~ /^limber[a-z_]*\.h$/) next # include/
            if (at[1] != "src" && (at[1] != "cuda" || system_header || n == 1)) {
                if ((at[1] == "bindings" || at[1] == "examples") && to[1] in sees && n > 1) offence("sees include/ only")
            } else if (at[1] == "cuda") {
                if (to[1] in sees && what != "compute/backend.h" && what != "base/error.h") offence("cuda sees two headers of src/")
                else if (what ~ /^\.\.\/.*src\//) offence("from src/, by its folder")
            } else if (!(at[2] in sees)) offence("no folder of the rule: " at[2])
            else if (n > 1 && to[1] in sees) {
                if (!index(sees[at[2]], " " to[1] " ")) offence(at[2] " must not see " to[1])
            } else if (!system_header && what !~ /^stb_image(_write)?\.h$/) offence("without its folder")
        }
        END { exit bad }'
}

# A rule that nothing can break is none: each kind of offence is made once, and must be found.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
refuse() { # FILE INCLUDE
    rm -rf "$work/src" "$work/cuda" "$work/examples" && mkdir -p "$work/$(dirname "$1")"
    printf '#include %s\n' "$2" >"$work/$1"
    ! (offences "$work") >/dev/null || { echo "FAILED: $1 may include $2"; exit 1; }
}
refuse src/base/a.c '"image/image.h"'
refuse src/image/a.c '"compute/backend.h"'
refuse src/compute/cpu/a.h '"image/image.h"'
refuse src/compute/a.h '"model/config.h"'
refuse src/model/a.c '"pose/crop.h"'
refuse src/pose/a.c '"image/image.h"'
refuse src/heads/a.c '"command/output.h"'
refuse src/heads/a.c '<command/output.h>'
refuse src/command/run/a.c '"run.h"'
refuse src/video/a.c '"pose/track.h"'
refuse src/pose/a.c '"video/video.h"'
refuse src/attic/a.c '"base/error.h"'
refuse cuda/a.cu '"model/config.h"'
refuse cuda/a.cu '"../src/base/error.h"'
refuse examples/a.c '"base/error.h"'

offences "$SOURCE_DIR" || { echo "FAILED: includes that the rule forbids (see the top of tests/house.sh)"; exit 1; }
echo "passed"
