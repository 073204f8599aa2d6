#!/usr/bin/env bash
# Run a test script in an empty folder that is removed afterwards: scratch.sh SCRIPT BIN
set -uo pipefail
E2E=$(cd "$(dirname "$1")" && pwd)
scratch=$(mktemp -d "${TMPDIR:-/tmp}/cloudskin-sdk.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
export E2E PATH=$2:$PATH CLOUDSKIN_CACHE=$scratch/cache
cd "$scratch" && mkdir work && cd work && bash "$1"
