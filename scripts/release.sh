#!/bin/sh
# SPDX-License-Identifier: MIT
# release.sh VERSION - makes a release of what is committed: checks, a tag, and an archive whose name and bytes follow from the tag.
#
# Before: set the version in CMakeLists.txt, and give CHANGELOG.md a heading "## VERSION - YYYY-MM-DD". Then this script
#   1. refuses a tree with changes, a version that CMakeLists.txt or CHANGELOG.md does not have, and a tag that exists;
#   2. runs scripts/test.sh, from a fresh clone, so that nothing depends on files that are not committed;
#   3. tags vVERSION and writes build/release/limber-VERSION.tar.gz and its SHA-256.
# It pushes nothing: the last lines say what to do.
set -eu
cd -- "$(dirname -- "$0")/.."
version=${1:?usage: release.sh VERSION}
die() {
    echo "release.sh: $1" >&2
    exit 1
}
case $version in *[!0-9.]* | .* | *. | *..*) die "$version: expected numbers and dots, like 0.2.0" ;; esac
[ -z "$(git status --porcelain)" ] || die "there are changes that are not committed"
grep -q "^project(limber VERSION $version " CMakeLists.txt || die "CMakeLists.txt has another version than $version"
grep -q "^## $version - [0-9]\{4\}-[0-9][0-9]-[0-9][0-9]" CHANGELOG.md || die "CHANGELOG.md has no heading \"## $version - DATE\""
! git rev-parse -q --verify "refs/tags/v$version" >/dev/null || die "v$version is there already"

release=build/release
rm -rf "$release"
mkdir -p "$release"
git clone -q . "$release/clone"
"$release/clone/scripts/test.sh" || die "the tests of a fresh clone fail"
rm -rf "$release/clone"

git tag -a "v$version" -m "limber $version"
archive=$release/limber-$version.tar.gz
git archive --format=tar --prefix="limber-$version/" "v$version" | gzip -9n >"$archive" # n: no time, so the same bytes again
(cd "$release" && sha256sum "limber-$version.tar.gz" | tee "limber-$version.tar.gz.sha256")
echo "git push origin v$version, and publish $archive with the part of CHANGELOG.md that is $version's"
