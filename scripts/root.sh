#!/bin/sh
# SPDX-License-Identifier: MIT
# root.sh - sourced by deb.sh and docker.sh, which make something and use it elsewhere.
#
# debian_root DIR makes a clean Debian in DIR, of this machine's release, for chroot. What
# debootstrap makes is kept below LIMBER_CACHE [~/.cache/limber], so that the next one takes seconds; delete it for a newer one.
debian_root() {
    codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
    kept=${LIMBER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/limber}/debian-$codename.tar
    rm -rf "$1"
    if [ ! -f "$kept" ]; then
        need debootstrap
        mkdir -p "$(dirname "$kept")"
        echo "debootstrap, once: $kept" >&2
        debootstrap --variant=minbase "$codename" "$1" >"$kept.log"
        rm -f "$1"/var/cache/apt/archives/*.deb
        tar -C "$1" -cf "$kept.part" .
        mv "$kept.part" "$kept"
    else
        mkdir -p "$1"
        tar -C "$1" -xf "$kept"
    fi
    cp -L /etc/resolv.conf "$1/etc/resolv.conf"
}

# still_film FILE: a video of six frames, each of them data/samples/three.jpg.
still_film() {
    need ffmpeg
    ffmpeg -loglevel error -f lavfi -i "movie=data/samples/three.jpg,loop=loop=5:size=1,setpts=N/5/TB,scale=640:480" \
        -r 5 -frames:v 6 -pix_fmt yuv420p "$1"
}
