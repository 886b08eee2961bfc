#!/usr/bin/env bash
# Everything `make bench` prints: first the crates' own benchmarks (each with its floor), then the
# whole of Lumen. Takes a few minutes, during which the machine should be idle.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n==> bench: %s\n' "$*"; }

step 'building release'
target=${CARGO_TARGET_DIR:-target}
cargo build --quiet --release --locked --workspace --bins
# The relay is a workspace of its own; turn-proc/Cargo.toml says why.
relay=(--manifest-path turn-proc/Cargo.toml --target-dir "$target")
cargo build --quiet --release --locked "${relay[@]}" --bins
npm --prefix tests/browser ci --silent --no-audit --no-fund

step 'compositing'
cargo bench --quiet --locked -p lumen-compositor --bench composite

step 'converting and encoding'
cargo bench --quiet --locked -p lumen-media --bench encode

step 'relaying, beside coturn'
cargo bench --quiet --locked "${relay[@]}" --bench relay

step 'the whole of Lumen'
"$target/release/lumen-bench"
