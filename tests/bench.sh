#!/usr/bin/env bash
# Everything `make bench` prints: first the crates' own benchmarks (each with its floor), then the
# whole of Lumen. Takes about twenty minutes, half of them for the picture over bad lines, during which the
# machine should be idle. With arguments only these parts of the whole: `tests/bench.sh line:policed`.
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

if [ "$#" -gt 0 ]; then
    step "$*"
    exec "$target/release/lumen-bench" "$@"
fi

step 'compositing'
cargo bench --quiet --locked -p lumen-compositor --bench composite

step 'converting and encoding'
cargo bench --quiet --locked -p lumen-media --bench encode

step 'quality for bits'
cargo bench --quiet --locked -p lumen-media --bench quality

step 'relaying, beside coturn'
cargo bench --quiet --locked "${relay[@]}" --bench relay

step 'the whole of Lumen'
"$target/release/lumen-bench"
