#!/usr/bin/env bash
# siege.sh [SECONDS]: runs tests/strangers, by default with 20 seconds for each attack; takes ten minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
form=siege
# shellcheck source=long.sh
source tests/long.sh

step 'building'
build_programs

step "attacking for ${1:-20} seconds each"
export LUMEN_TEST_SIEGE=${1:-20}
run_suites --test strangers
