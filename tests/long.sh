# shellcheck shell=bash
# Shared by the forms of suites that take long, which set `form`, their name in make, and run at the root of the
# checkout.

# shellcheck disable=SC2154 # whoever sources this sets it
step() { printf '\n==> %s: %s\n' "$form" "$*"; }

build_browser_driver() { npm --prefix tests/browser ci --silent --no-audit --no-fund; }

# Every program that a desktop of the tests has.
build_programs() {
    cargo build --quiet --locked --workspace --bins
    # The relay is a workspace of its own; turn-proc/Cargo.toml says why.
    cargo build --quiet --locked --bins --manifest-path turn-proc/Cargo.toml \
        --target-dir "${CARGO_TARGET_DIR:-target}"
}

# run_suites ARGUMENT... [-- ARGUMENT...]: runs cargo test with each of these lists of arguments, and prints what
# was measured.
run_suites() {
    local measured=tests/.artifacts/measured.txt arguments
    rm -f "$measured"
    while [ $# -gt 0 ]; do
        arguments=()
        while [ $# -gt 0 ] && [ "$1" != -- ]; do
            arguments+=("$1")
            shift
        done
        cargo test --quiet --locked --workspace "${arguments[@]}"
        shift $(($# > 0))
    done
    cat "$measured"
}
