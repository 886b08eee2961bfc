#!/usr/bin/env bash
# storm.sh [DEATHS]: runs tests/storm, by default with 300 deaths; takes ten minutes with the builds.
set -euo pipefail
cd "$(dirname "$0")/.."
form=storm
# shellcheck source=long.sh
source tests/long.sh

step 'building'
build_browser_driver
build_programs

step "killing ${1:-300} workers, about one a second"
export LUMEN_TEST_KILLS=${1:-300}
run_suites --test storm
