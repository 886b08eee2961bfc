#!/usr/bin/env bash
# endurance.sh [ROUNDS]: runs tests/endurance, by default for half an hour, and prints what it measured.
set -euo pipefail
cd "$(dirname "$0")/.."
form=endurance
# shellcheck source=long.sh
source tests/long.sh

step 'building'
build_browser_driver
build_programs

step "working in ${1:-190} rounds, each about ten seconds"
export LUMEN_TEST_ROUNDS=${1:-190}
run_suites --test endurance
