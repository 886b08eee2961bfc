#!/usr/bin/env bash
# siege.sh [SECONDS]: runs tests/strangers, by default with 20 seconds for each attack; takes ten minutes.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n==> siege: %s\n' "$*"; }

step 'building'
cargo build --quiet --locked --workspace --bins
# The relay is a workspace of its own; turn-proc/Cargo.toml says why.
relay=(--manifest-path turn-proc/Cargo.toml --target-dir "${CARGO_TARGET_DIR:-target}")
cargo build --quiet --locked "${relay[@]}" --bins

step "attacking for ${1:-20} seconds each"
measured=tests/.artifacts/measured.txt
rm -f "$measured"
LUMEN_TEST_SIEGE=${1:-20} cargo test --quiet --locked --workspace --test strangers
cat "$measured"
