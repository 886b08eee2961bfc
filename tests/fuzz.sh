#!/usr/bin/env bash
# Fuzzes the decoders with libFuzzer and AddressSanitizer, under the stable toolchain.
#
#   tests/fuzz.sh TARGET SECONDS     one target (rtc/offer), those of one process (rtc), or all, each
#                                    for so long; 60 seconds where nothing is said
#   tests/fuzz.sh --keep TARGET      keeps of what was found the smallest part that covers as much,
#                                    as the corpus that is checked in
#   tests/fuzz.sh --list             the targets
#
# What is found is in tests/.artifacts/fuzz; an input that makes a target fail is in its `failures`, and
# the target runs it alone when it is given as a third argument. Each line at the end says how often the
# target ran, how many edges of the program it reached (libFuzzer's cov), how many different counts of
# passing them (ft), and how many inputs are kept.
set -euo pipefail
cd "$(dirname "$0")/.."

# What cargo-fuzz would say to the compiler. The flags are unstable; the toolchain is the stable one, so
# that what is fuzzed is compiled by what compiles the releases.
export RUSTC_BOOTSTRAP=1
flags=(
    -Zsanitizer=address
    -Cpasses=sancov-module
    -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
    -Cllvm-args=-sanitizer-coverage-pc-table
    -Cllvm-args=-sanitizer-coverage-trace-compares
)
CARGO_ENCODED_RUSTFLAGS=$(printf '%s\x1f' "${flags[@]}")
export CARGO_ENCODED_RUSTFLAGS=${CARGO_ENCODED_RUSTFLAGS%$'\x1f'}
# With a target named, the flags are not for build scripts and macros, which run in the compiler.
host=$(rustc -vV | sed -n 's/^host: //p')
target=${CARGO_TARGET_DIR:-target}/fuzz

PROGRAMS=(ipc rtc turn supervisor login gamepad media compositor)
FOUND=tests/.artifacts/fuzz

# Building for one process only resolves features of its dependencies otherwise than building for all:
# `LUMEN_FUZZ_BUILT=FOLDER` takes the programs in a folder as they are.
build() {
    [ -z "${LUMEN_FUZZ_BUILT-}" ] || return 0
    cargo build --quiet --locked --release --manifest-path tests/fuzz/Cargo.toml --bins \
        --features "$(IFS=,; echo "$*")" --target "$host" --target-dir "$target"
}

program() { printf '%s/%s' "${LUMEN_FUZZ_BUILT:-$target/$host/release}" "$1"; }

# The folder of a process's crate.
crate() {
    case $1 in
        ipc | supervisor) echo "$1" ;;
        login) echo supervisor/login ;;
        *) echo "$1-proc" ;;
    esac
}

# A program that is not told a target lists those that it has.
targets_of() { "$(program "$1")" | sed "s,^,$1/," || true; }

# The targets that the argument means, after building them.
targets() {
    case $1 in
        all)
            build "${PROGRAMS[@]}"
            for name in "${PROGRAMS[@]}"; do targets_of "$name"; done
            ;;
        */*)
            build "${1%%/*}"
            targets_of "${1%%/*}" | grep -x "$1" || {
                echo "fuzz: there is no target $1" >&2
                exit 2
            }
            ;;
        *)
            build "$1"
            targets_of "$1"
            ;;
    esac
}

run() {
    local name=$1 seconds=$2 process=${1%%/*} found log status=0 folders folder leaks
    found=$FOUND/$name
    log=$found.log
    mkdir -p "$found" "$FOUND/failures"
    folders=("$found")
    folder=$(crate "$process")/fuzz/seeds/${name#*/}
    [ ! -d "$folder" ] || folders+=("$folder")
    folders+=("$(unpacked "$name")")
    # Smithay's seat refers to itself while an app has a grab, and is never dropped then. The compositor has one
    # seat for as long as it lives.
    [ "$name" != compositor/app ] || leaks=0
    ASAN_OPTIONS=detect_leaks=${leaks:-1} LUMEN_FUZZ_TARGET=${name#*/} "$(program "$process")" -max_total_time="$seconds" \
        -print_final_stats=1 -timeout=20 -rss_limit_mb=2048 -reload=0 \
        -artifact_prefix="$FOUND/failures/${name//\//-}-" "${folders[@]}" >"$log" 2>&1 || status=$?
    awk -v name="$name" -v seconds="$seconds" -v status="$status" '
        / cov: / {
            for (i = 1; i < NF; i++) {
                if ($i == "cov:") cov = $(i + 1)
                if ($i == "ft:") ft = $(i + 1)
                if ($i == "corp:") corpus = $(i + 1)
            }
        }
        /^stat::number_of_executed_units:/ { runs = $2 }
        END {
            printf "%-30s %5d s %10d runs, cov %6d, ft %6d, corpus %s%s\n", name, seconds, runs, cov, ft,
                corpus, status == 0 ? "" : "  FAILED"
        }
    ' "$log"
    [ "$status" -eq 0 ] || {
        grep -hE 'panicked|^SUMMARY|^==.*ERROR|Test unit written|deadly signal' "$log" >&2 || true
        return 1
    }
}

# The file that has what fuzzing found to be worth keeping: an input in each line, in hexadecimal.
corpus() { printf '%s/fuzz/corpus/%s.hex' "$(crate "${1%%/*}")" "${1#*/}"; }

# The corpus as a folder of files, which is what libFuzzer takes.
unpacked() {
    local folder=$FOUND/$1.corpus
    rm -rf "$folder"
    mkdir -p "$folder"
    [ ! -f "$(corpus "$1")" ] || FOLDER=$folder perl -ne '
        chomp;
        open my $file, ">:raw", "$ENV{FOLDER}/$." or die "$ENV{FOLDER}/$.: $!\n";
        print $file pack("H*", $_);
    ' "$(corpus "$1")"
    printf '%s' "$folder"
}

# The files of a folder, but for those that the seeds have too, as lines of a corpus: shortest first, so
# that a renewal changes few lines.
packed() {
    perl -e '
        my ($folder, $seeds) = @ARGV;
        my $bytes = sub { open my $file, "<:raw", $_[0] or die "$_[0]: $!\n"; local $/; <$file> // "" };
        my %seed = map { $bytes->($_) => 1 } glob("$seeds/*");
        my @inputs = grep { length && !$seed{$_} } map { $bytes->($_) } glob("$folder/*");
        print map { unpack("H*", $_) . "\n" } sort { length $a <=> length $b or $a cmp $b } @inputs;
    ' "$1" "$2"
}

keep() {
    local name=$1 process=${1%%/*} new seeds kept
    kept=$(corpus "$name")
    seeds=$(crate "$process")/fuzz/seeds/${name#*/}
    new=$(mktemp -d)
    mkdir -p "${kept%/*}" "$FOUND/$name"
    # Edges only, not how often each is passed: that would keep ten times as many inputs.
    LUMEN_FUZZ_TARGET=${name#*/} "$(program "$process")" -merge=1 -use_counters=0 -timeout=20 \
        -artifact_prefix="$FOUND/failures/" "$new" "$seeds" "$(unpacked "$name")" "$FOUND/$name" >/dev/null 2>&1
    packed "$new" "$seeds" >"$kept"
    rm -rf "$new"
    [ -s "$kept" ] || rm "$kept"
    printf '%-30s %s inputs kept\n' "$name" "$(cat "$kept" 2>/dev/null | wc -l)"
}

case ${1-} in
    '' | -h | --help) sed -n '2,15s/^# \{0,1\}//p' "$0"; exit 2 ;;
    --list) targets all ;;
    --keep)
        for name in $(targets "${2:?a target}"); do keep "$name"; done
        ;;
    *)
        chosen=$(targets "$1")
        if [ -n "${3-}" ]; then
            LUMEN_FUZZ_TARGET=${1#*/} exec "$(program "${1%%/*}")" "$3"
        fi
        failed=0
        for name in $chosen; do run "$name" "${2:-60}" || failed=$((failed + 1)); done
        [ "$failed" -eq 0 ]
        ;;
esac
