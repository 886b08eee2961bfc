#!/usr/bin/env bash
# Listens to a tone for a minute over a line that loses packets, and while media and rtc are killed twenty
# times; prints the gaps.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n==> sound: %s\n' "$*"; }

step 'building'
npm --prefix tests/browser ci --silent --no-audit --no-fund
cargo build --quiet --locked --workspace --bins
# The relay is a workspace of its own; turn-proc/Cargo.toml says why.
relay=(--manifest-path turn-proc/Cargo.toml --target-dir "${CARGO_TARGET_DIR:-target}")
cargo build --quiet --locked "${relay[@]}" --bins

step 'listening'
measured=tests/.artifacts/measured.txt
rm -f "$measured"
export LUMEN_TEST_LISTEN_SECONDS=60 LUMEN_TEST_KILLS=20
export LUMEN_TEST_PATIENCE="${LUMEN_TEST_PATIENCE:-120}"
cargo test --quiet --locked --workspace --test line sound::
cargo test --quiet --locked --workspace --test e2e sound::
cat "$measured"
