#!/bin/sh
# SPDX-License-Identifier: MIT
# docker.sh - the images of the Dockerfile are made and used: by Docker where it runs, else by this script, which takes the Dockerfile's
# own steps in chroots (root.sh) and stops at one that it does not know. Needs root, a network and about ten minutes.
set -eu
cd -- "$(dirname -- "$0")/.."
. scripts/packages.sh
. scripts/root.sh
fail() {
    echo "FAILED: $*" >&2
    exit 1
}
work=$(mktemp -d "${TMPDIR:-/var/tmp}/limber-docker.XXXXXX")
trap 'rm -rf "$work"' EXIT

# ---- a Dockerfile without Docker: stage NAME becomes $work/NAME/root, and what its image says $work/NAME/{cwd,env,user,entrypoint,command}
steps() { # comments out, a line a step
    sed -e '/^#/d' -e '/^ *$/d' Dockerfile | sed -e ':a' -e '/\\$/{N;s/\\\n */ /;ba' -e '}'
}
words() { printf '%s\n' "$1" | sed 's/^\[//; s/\]$//; s/", *"/ /g; s/"//g'; } # ["a", "b"] -> a b
inside() { # STAGE USER COMMAND...: with what the image says
    stage=$1 user=$2
    shift 2
    # shellcheck disable=SC2046
    env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/ DEBIAN_FRONTEND=noninteractive $(cat "$work/$stage/env") \
        chroot --userspec="$user" "$work/$stage/root" sh -c 'cd "$0" && exec "$@"' "$(cat "$work/$stage/cwd")" "$@"
}
step_from() { # IMAGE AS NAME
    [ "${2-}" = AS ] && [ -n "${3-}" ] || fail "FROM $*: expected FROM IMAGE AS NAME"
    stage_now=$3
    mkdir "$work/$3"
    if [ -d "$work/$1" ]; then
        cp -a "$work/$1/." "$work/$3"
        return
    fi
    case $1 in
        "debian:$(. /etc/os-release && echo "$VERSION_CODENAME")-slim") debian_root "$work/$3/root" ;;
        *) fail "FROM $1: only this machine's own Debian can be made here" ;;
    esac
    echo / >"$work/$3/cwd"
    : >"$work/$3/env"
    echo 0:0 >"$work/$3/user"
}
step_run() { # [--mount=type=bind,from=STAGE,source=PATH,target=PATH] COMMAND
    command=$1 mounted=
    case $command in
        --mount=type=bind,from=*,source=*,target=*)
            mount=${command%% *} command=${command#* }
            from=$(echo "$mount" | sed 's/.*from=\([^,]*\).*/\1/') mounted=$(echo "$mount" | sed 's/.*target=\([^,]*\).*/\1/')
            cp -r "$work/$from/root$(echo "$mount" | sed 's/.*source=\([^,]*\).*/\1/')" "$work/$stage_now/root$mounted"
            ;;
        --*) fail "RUN ${command%% *} is not known here" ;;
    esac
    inside "$stage_now" "$(cat "$work/$stage_now/user")" sh -c "$command" >"$work/log" 2>&1 || { tail -30 "$work/log"; fail "RUN $command"; }
    [ -z "$mounted" ] || rm -rf "$work/$stage_now/root$mounted"
}
step_copy() { # SOURCE DESTINATION, both below the build's folder
    [ "$1" = . ] && [ "$2" = . ] || fail "COPY $*: only COPY . . is known here"
    sed -n '/^\*\*/!s,^,./,p' .dockerignore >"$work/ignored"
    sed -n 's,^\*\*/,,p' .dockerignore >"$work/ignored-anywhere"
    tar --anchored --exclude-from="$work/ignored" --no-anchored --exclude-from="$work/ignored-anywhere" -cf - . | tar -C "$work/$stage_now/root$(cat "$work/$stage_now/cwd")" -xf -
}
take_steps() {
    steps >"$work/steps"
    while read -r instruction rest <&3; do
        echo "$instruction $rest" | cut -c1-150
        case $instruction in
            FROM) eval "step_from $rest" ;;
            RUN) step_run "$rest" ;;
            COPY) eval "step_copy $rest" ;;
            WORKDIR) mkdir -p "$work/$stage_now/root$rest" && echo "$rest" >"$work/$stage_now/cwd" ;;
            USER) echo "$rest" >"$work/$stage_now/user" ;;
            ENV) echo "$rest" >>"$work/$stage_now/env" ;;
            ENTRYPOINT) words "$rest" >"$work/$stage_now/entrypoint" ;;
            CMD) words "$rest" >"$work/$stage_now/command" ;;
            *) fail "$instruction is not known here" ;;
        esac
    done 3<"$work/steps"
}

# ---- the same questions to both: image NAME with the folder $work/data at /data
if docker info >/dev/null 2>&1; then
    docker build -q -t limber-check . >/dev/null
    docker build -q --target video -t limber-check-video . >/dev/null
    image_of() { case $1 in limber) echo limber-check ;; *) echo "limber-check-$1" ;; esac; }
    start() { image=$(image_of "$1") && shift && docker run --rm -v "$work/data:/data" "$image" "$@"; }
    shell() { image=$(image_of "$1") && shift && docker run --rm --entrypoint sh "$image" -c "$*"; }
else
    [ "$(id -u)" -eq 0 ] || fail "without Docker this wants root (chroot)"
    take_steps
    last=$stage_now
    [ "$last" = limber ] || fail "the last stage, which docker build makes, is $last"
    start() {
        name=$1
        shift
        [ $# -gt 0 ] || set -- $(cat "$work/$name/command")
        rm -rf "$work/$name/root/data"
        cp -a "$work/data" "$work/$name/root/data"
        # shellcheck disable=SC2046
        inside "$name" "$(cat "$work/$name/user")" $(cat "$work/$name/entrypoint") "$@" && ended=0 || ended=$?
        cp -a "$work/$name/root/data/." "$work/data"
        return $ended
    }
    shell() { name=$1 && shift && inside "$name" "$(cat "$work/$name/user")" sh -c "$*"; }
fi

mkdir -p "$work/data/photos"
cp data/samples/*.jpg "$work/data/photos"
still_film "$work/data/clip.mp4"
chown -R 1000:1000 "$work/data"

start limber | grep -q '^  run ' || fail "without arguments it does not say what it can"
[ "$(shell limber id -u)" = 1000 ] || fail "it runs as user $(shell limber id -u)"
start limber run photos/ --out result --overlay --quiet || fail "limber run"
[ "$(wc -l <"$work/data/result/poses.jsonl")" -eq "$(ls data/samples/*.jpg | wc -l)" ] || fail "limber run: $(cat "$work/data/result/poses.jsonl")"
[ "$(grep three.jpg "$work/data/result/poses.jsonl" | grep -o '"keypoints"' | wc -l)" -eq 3 ] || fail "not three people in three.jpg"
[ "$(stat -c %u "$work/data/result/poses.jsonl")" -eq 1000 ] || fail "the result is not the user's"
start limber info | grep -q 'HEIF: libheif' || fail "no HEIC"
! shell limber 'command -v gcc cmake' || fail "a compiler is in the image"
! start limber run clip.mp4 --out film --quiet 2>"$work/said" || fail "a video, by the image without it"
grep -q limber-video "$work/said" || fail "a video: $(cat "$work/said")"
start video run clip.mp4 --out film --quiet || fail "limber run clip.mp4"
[ "$(wc -l <"$work/data/film/poses.jsonl")" -eq 6 ] || fail "a video: $(cat "$work/data/film/poses.jsonl")"
for name in limber video; do
    [ ! -d "$work/$name/root" ] || echo "$name: $(du -sm "$work/$name/root" | cut -f1) MB unpacked"
done
echo "passed: the images limber and video"
