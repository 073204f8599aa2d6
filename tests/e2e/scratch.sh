#!/usr/bin/env bash
# Run one test script in an empty folder that is removed afterwards: scratch.sh SCRIPT BIN
set -uo pipefail
scratch=$(mktemp -d "${TMPDIR:-/tmp}/cloudskin-e2e.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
export CLOUDSKIN_CACHE=$scratch/cache
export PATH=$2:$PATH
E2E=$(cd "$(dirname "$1")" && pwd)
export E2E
cd "$scratch" && mkdir work && cd work && bash "$1"
