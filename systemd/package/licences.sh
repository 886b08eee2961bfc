#!/usr/bin/env bash
# Prints the licences of everything that is linked into Lumen's programs: a list of crates, and then each text
# once, with whose it is. It fails for a crate that comes without the text of its licence, unless that is one whose
# terms are known here.
set -euo pipefail
cd "$(dirname "$0")/../.."

WORKSPACES=(Cargo.toml turn-proc/Cargo.toml supervisor/oidc/Cargo.toml)
# What is built for tests only is linked into nothing that is shipped.
EXCLUDED=(--exclude lumen-tests --exclude lumen-liar)

fail() { printf 'licences: %s\n' "$*" >&2; exit 1; }

# name|version|licence of each crate of others, in the order of names.
crates() {
    local workspace excluded
    for workspace in "${WORKSPACES[@]}"; do
        excluded=()
        [ "$workspace" != Cargo.toml ] || excluded=("${EXCLUDED[@]}")
        cargo tree --quiet --locked --manifest-path "$workspace" --workspace "${excluded[@]}" \
            --edges normal --prefix none --no-dedupe --format '{p}|{l}'
    done | grep -v -e ' (/' -e '(proc-macro)' |
        sed -nE 's/^([^ ]+) v([^| ]+)\|(.*)$/\1|\2|\3/p' | LC_ALL=C sort -u
}

# The files of a crate's folder that are about its licence.
texts_of() {
    find "$1" -maxdepth 2 -type f \( -path "$1/LICENSE*" -o -path "$1/LICENCE*" -o -path "$1/license*" \
        -o -path "$1/COPYING*" -o -path "$1/COPYRIGHT*" -o -path "$1/NOTICE*" -o -path "$1/UNLICENSE*" \) |
        LC_ALL=C sort
}

# The terms of a licence whose text is not in the crate's folder.
standard_text() {
    local name=$1 licence=$2 folder=$3
    case $licence in
    *Apache-2.0*) cat LICENSE-APACHE ;;
    MIT)
        printf 'MIT License\n\nCopyright (c) the authors of %s: %s\n' "$name" \
            "$(tr -d '\n' <"$folder/Cargo.toml" | sed -nE 's/.*authors = \[([^]]*)\].*/\1/p' | tr -s ' ')"
        sed 1,3d LICENSE-MIT
        ;;
    *) fail "$name ($licence) comes without its licence" ;;
    esac
}

main() {
    local sources texts name version licence folder file sum found
    sources=${CARGO_HOME:-$HOME/.cargo}/registry/src
    texts=$(mktemp -d)
    # shellcheck disable=SC2064 # the folder as it is called now
    trap "rm -rf '$texts'" EXIT
    printf 'Lumen contains these works of others, and the standard library of Rust (MIT OR Apache-2.0).\n'
    printf 'The texts of their licences follow.\n\n'
    while IFS='|' read -r name version licence; do
        folder=$(find "$sources" -mindepth 2 -maxdepth 2 -name "$name-$version" -print -quit)
        [ -n "$folder" ] || fail "the source of $name $version is not in $sources"
        printf '%-34s %s\n' "$name $version" "$licence"
        found=$(texts_of "$folder")
        if [ -z "$found" ]; then
            found=$texts/terms
            standard_text "$name" "$licence" "$folder" >"$found"
        fi
        while read -r file; do
            sum=$(sha256sum <"$file" | cut -c1-64)
            [ -e "$texts/$sum" ] || cp "$file" "$texts/$sum"
            printf '%s %s\n' "$name" "$version" >>"$texts/$sum.of"
        done <<<"$found"
    done < <(crates)
    for file in "$texts"/*.of; do
        printf '\n%s\n' "$(printf '=%.0s' {1..78})"
        paste -sd, "$file" | sed 's/,/, /g' | fold -s -w 92
        printf '%s\n\n' "$(printf -- '-%.0s' {1..78})"
        cat "${file%.of}"
    done
}

main
