#!/usr/bin/env bash
# Checks that do not run the code.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '==> lint: %s\n' "$*"; }

# The relay is a workspace of its own; turn-proc/Cargo.toml says why.
relay=(--manifest-path turn-proc/Cargo.toml --target-dir "${CARGO_TARGET_DIR:-target}")
# So is what signs in by identity providers; its Cargo.toml says why.
oidc=(--manifest-path supervisor/oidc/Cargo.toml --target-dir "${CARGO_TARGET_DIR:-target}")

step 'cargo fmt --check'
cargo fmt --all --check
cargo fmt --manifest-path turn-proc/Cargo.toml --check
cargo fmt --manifest-path supervisor/oidc/Cargo.toml --check
cargo fmt --manifest-path ipc/runtime/models/Cargo.toml --check
cargo fmt --manifest-path tests/fuzz/Cargo.toml --check

step 'cargo clippy, warnings denied'
cargo clippy --quiet --locked --workspace --all-targets -- --deny warnings
cargo clippy --quiet --locked "${relay[@]}" --all-targets -- --deny warnings
cargo clippy --quiet --locked "${oidc[@]}" --all-targets -- --deny warnings

step 'cargo doc, warnings denied'
RUSTDOCFLAGS='--deny warnings' \
    cargo doc --quiet --locked --workspace --no-deps --document-private-items
# `--lib`, because the program and the library have one name.
RUSTDOCFLAGS='--deny warnings' \
    cargo doc --quiet --locked "${relay[@]}" --lib --no-deps --document-private-items
RUSTDOCFLAGS='--deny warnings' \
    cargo doc --quiet --locked "${oidc[@]}" --lib --no-deps --document-private-items

step 'the web client: eslint and tsc'
npm --prefix web ci --silent --no-audit --no-fund
npm --prefix web run --silent lint
npm --prefix web run --silent check

step 'systemd: mistakes in our units, exposure of our services'
tests/units.sh

step 'shell: pipes whose reader may end before the writer has written everything, which then fails'
if grep -rnE '\| *grep (-[A-Za-z]*q|--quiet)' .ci/run tests/*.sh tests/vm/*.sh tests/vm/{guest,tests,image} \
    tests/fresh systemd/package; then
    echo 'These lines fail now and then. Write: grep -q PATTERN <<<"$(COMMAND)"' >&2
    exit 1
fi

tests/deny.sh
