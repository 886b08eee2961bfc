#!/usr/bin/env bash
# Makes a package of built programs.
#
#   systemd/package/build.sh deb|rpm FOLDER PACKAGE [OPTION...]
#
# FOLDER holds the programs, PACKAGE is the file to make; an OPTION is one of cargo-deb or cargo-generate-rpm. What
# is packed, and where it goes, is in supervisor/Cargo.toml. The programs are stripped of debug information.
set -euo pipefail
cd "$(dirname "$0")/../.."

TOOLS=$PWD/tests/.artifacts/tools/bin

fail() { printf 'package: %s\n' "$*" >&2; exit 1; }

[ $# -ge 3 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
kind=$1 folder=$(realpath "$2") package=$(realpath --canonicalize-missing "$3")
[ -x "$TOOLS/cargo-$([ "$kind" = deb ] && echo deb || echo generate-rpm)" ] ||
    fail "the tool is missing: tests/install.sh $kind"

# The tools take programs from the folder `release` of a target folder.
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
mkdir "$stage/release"
while read -r program; do
    [ -x "$folder/$program" ] || fail "$folder has no $program"
    strip --strip-unneeded -o "$stage/release/$program" "$folder/$program"
done < <(sed -nE 's,.*"target/release/(lumen[^"]*)".*,\1,p' supervisor/Cargo.toml | sort -u)
systemd/package/licences.sh | gzip --best --no-name >"$stage/release/licences.gz"
gzip --best --no-name <CHANGELOG.md >"$stage/release/changelog.gz"

mkdir -p "${package%/*}"
case $kind in
deb)
    CARGO_TARGET_DIR=$stage "$TOOLS/cargo-deb" deb --quiet --locked --no-build --no-strip \
        --manifest-path supervisor/Cargo.toml --compress-system --output "$package" "${@:4}"
    # What Debian's own rules find in it; systemd/package/lintian-overrides has the exceptions.
    lintian --allow-root --fail-on error,warning "$package" || fail 'the package breaks rules of Debian'
    ;;
rpm)
    "$TOOLS/cargo-generate-rpm" generate-rpm --package supervisor --target-dir "$stage" \
        --output "$package" "${@:4}"
    ;;
*) fail "there is no kind of package $kind" ;;
esac
