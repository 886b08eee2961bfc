#!/usr/bin/env bash
# Everything `make test` runs once its needs are installed. The last line sums up all runners.
set -euo pipefail
cd "$(dirname "$0")/.."

# The time is that since the start.
step() { printf '\n==> test: %s (%d s)\n' "$*" "$SECONDS"; }

measured=tests/.artifacts/measured.txt
rm -f "$measured"
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Runs a test runner to its end, whatever fails, and keeps its output for the sum.
failed_runners=0
run() {
    "$@" 2>&1 | tee -a "$log" || failed_runners=$((failed_runners + 1))
}

# Adds up the closing lines of cargo test ("test result: ok. 3 passed; 0 failed") and of node's
# runner ("# pass 3" or "ℹ pass 3").
sum_up() {
    awk '
        /^test result:/ {
            for (i = 2; i <= NF; i++) {
                if ($i ~ /^passed/) passed += $(i - 1)
                if ($i ~ /^failed/) failed += $(i - 1)
            }
        }
        /^(#|ℹ) pass / { passed += $3 }
        /^(#|ℹ) fail / { failed += $3 }
        END { printf "%d %d\n", passed, failed }
    ' "$log"
}

tests/lint.sh

step 'the web client'
run npm --prefix web test --silent

step 'the Node side of the browser tests'
npm --prefix tests/browser ci --silent --no-audit --no-fund

step 'building all of it once'
# All targets in one go: `cargo test` alone would leave out the binaries that the end-to-end tests
# run, and building those separately would resolve features again and compile much twice.
cargo build --quiet --locked --workspace --all-targets
# The relay is a workspace of its own; turn-proc/Cargo.toml says why.
relay=(--manifest-path turn-proc/Cargo.toml --target-dir "${CARGO_TARGET_DIR:-target}")
cargo build --quiet --locked "${relay[@]}" --bins --examples --tests
# So is what signs in by identity providers.
oidc=(--manifest-path supervisor/oidc/Cargo.toml --target-dir "${CARGO_TARGET_DIR:-target}")
cargo build --quiet --locked "${oidc[@]}" --bins --tests
# So are the models; their Cargo.toml says why.
models=(--manifest-path ipc/runtime/models/Cargo.toml)
models+=(--target-dir "${CARGO_TARGET_DIR:-target}/models")

step 'unit, process and end-to-end tests'
run cargo test --quiet --locked --workspace --no-fail-fast
run cargo test --quiet --locked "${relay[@]}" --lib --bins --tests --no-fail-fast
run cargo test --quiet --locked "${oidc[@]}" --lib --bins --tests --no-fail-fast
run cargo test --quiet --locked "${models[@]}" --no-fail-fast

if [ -s "$measured" ]; then
    step 'measured on the way'
    cat "$measured"
fi

read -r passed failed < <(sum_up)
if [ "$failed_runners" -gt 0 ] && [ "$failed" -eq 0 ]; then
    echo "A runner failed without saying which test did; see above."
    failed=$failed_runners
fi
printf '\n%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
