#!/usr/bin/env bash
# Listens to a tone for a minute over a line that loses packets, and while media and rtc are killed twenty
# times; prints the gaps.
set -euo pipefail
cd "$(dirname "$0")/.."
form=sound
# shellcheck source=long.sh
source tests/long.sh

step 'building'
build_browser_driver
build_programs

step 'listening'
export LUMEN_TEST_LISTEN_SECONDS=60 LUMEN_TEST_KILLS=20
export LUMEN_TEST_PATIENCE="${LUMEN_TEST_PATIENCE:-120}"
run_suites --test line sound:: -- --test e2e sound::
