#!/usr/bin/env bash
# storm.sh [DEATHS]: runs tests/storm, by default with 300 deaths; takes ten minutes with the builds.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n==> storm: %s\n' "$*"; }

step 'building'
npm --prefix tests/browser ci --silent --no-audit --no-fund
cargo build --quiet --locked --workspace --bins
# The relay is a workspace of its own; turn-proc/Cargo.toml says why.
relay=(--manifest-path turn-proc/Cargo.toml --target-dir "${CARGO_TARGET_DIR:-target}")
cargo build --quiet --locked "${relay[@]}" --bins

step "killing ${1:-300} workers, about one a second"
measured=tests/.artifacts/measured.txt
rm -f "$measured"
LUMEN_TEST_KILLS=${1:-300} cargo test --quiet --locked --workspace --test storm
cat "$measured"
