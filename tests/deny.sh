#!/usr/bin/env bash
# What others wrote: advisories, licences, bans and sources of every lock file, by cargo-deny and npm.
#
#   tests/deny.sh             checks, with the copy of the advisories in tests/advisories
#   tests/deny.sh --renew     makes that copy anew from the RustSec database
#   tests/deny.sh --renew-from REPOSITORY   the same from a local git repository
#
# The copy exists because CI's network has package registries and nothing else. It contains the
# advisories of all crates that some lock file named when it was made, patched ones as well.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PWD/tests/.artifacts/tools/bin:$PATH

COPY=tests/advisories
DATABASE=https://github.com/RustSec/advisory-db
WORKSPACES=(. turn-proc supervisor/oidc ipc/runtime/models tests/fuzz)
NODE=(web tests/browser supervisor/oidc/tests/provider)

step() { printf '==> deny: %s\n' "$*"; }

crates() {
    local workspace
    for workspace in "${WORKSPACES[@]}"; do
        sed -n 's/^name = "\(.*\)"/\1/p' "$workspace/Cargo.lock"
    done | grep -v ^lumen- | sort -u
}

renew() {
    local from=$1 made crate
    rm -rf "$COPY"
    mkdir -p "$COPY/crates"
    crates >"$COPY/covered"
    git -C "$from" show HEAD:LICENSE.txt >"$COPY/LICENSE.txt"
    while read -r crate; do
        git -C "$from" archive HEAD "crates/$crate" 2>/dev/null | tar -x -C "$COPY" 2>/dev/null || true
    done <"$COPY/covered"
    made=$(git -C "$from" log -1 --format='%cs %H')
    printf '%s\n' "$made" >"$COPY/date"
    step "$(find "$COPY/crates" -name '*.md' | wc -l) advisories, of $made"
}

# cargo-deny looks for a clone in a folder named by a hash of the database's address, and asks it for
# nothing but when it was fetched.
database() {
    local root=$1 clone=$1/advisory-db-3157b0e258782691
    rm -rf "$root"
    mkdir -p "$clone/.git"
    cp -r "$COPY/crates" "$clone"
    touch -d "$(cut -d ' ' -f 1 "$COPY/date")" "$clone/.git/FETCH_HEAD"
}

check_crates() {
    local workspace root new
    command -v cargo-deny >/dev/null || {
        echo 'deny: cargo-deny is missing; tests/install.sh test builds it' >&2
        exit 1
    }
    root=${CARGO_TARGET_DIR:-$PWD/target}/advisories
    database "$root"
    step "advisories of RustSec as of $(cut -d ' ' -f 1 "$COPY/date")"
    new=$(crates | comm -13 "$COPY/covered" - | tr '\n' ' ')
    [ -z "$new" ] || step "advisories of these crates are unknown until the copy is renewed: $new"
    for workspace in "${WORKSPACES[@]}"; do
        step "advisories, licences, bans and sources of $workspace/Cargo.lock"
        cargo fetch --quiet --locked --manifest-path "$workspace/Cargo.toml"
        LUMEN_ADVISORIES=$root cargo deny --log-level error --offline --locked \
            --manifest-path "$workspace/Cargo.toml" --config deny.toml \
            check advisories licenses bans sources
    done
}

# Some registries, mirrors above all, do not answer questions about advisories.
check_node() {
    local folder answer
    for folder in "${NODE[@]}"; do
        answer=$(npm --prefix "$folder" audit --json --audit-level=moderate 2>/dev/null) && {
            step "npm knows no advisory from moderate up for $folder/package-lock.json"
            continue
        }
        if grep -q '"vulnerabilities"' <<<"$answer"; then
            npm --prefix "$folder" audit --audit-level=moderate || true
            exit 1
        fi
        step "npm's registry does not tell advisories here; $folder/package-lock.json is not checked"
    done
}

case ${1-} in
    '')
        check_crates
        check_node
        ;;
    --renew)
        clone=$(mktemp -d)
        trap 'rm -rf "$clone"' EXIT
        git clone --quiet --depth 1 "$DATABASE" "$clone"
        renew "$clone"
        ;;
    --renew-from) renew "${2:?a git repository}" ;;
    *) sed -n '2,10s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
