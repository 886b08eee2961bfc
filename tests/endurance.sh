#!/usr/bin/env bash
# endurance.sh [ROUNDS]: runs tests/endurance, by default for half an hour, and prints what it measured.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n==> endurance: %s\n' "$*"; }

step 'building'
npm --prefix tests/browser ci --silent --no-audit --no-fund
cargo build --quiet --locked --workspace --bins

step "working in ${1:-190} rounds, each about ten seconds"
measured=tests/.artifacts/measured.txt
rm -f "$measured"
LUMEN_TEST_ROUNDS=${1:-190} cargo test --quiet --locked --workspace --test endurance
cat "$measured"
