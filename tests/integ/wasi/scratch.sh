#!/usr/bin/env bash
# Run the tests of this folder in a folder of their own that is removed afterwards: scratch.sh BIN COMPILER
set -uo pipefail
scratch=$(mktemp -d "${TMPDIR:-/tmp}/cloudskin-wasi.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
export CLOUDSKIN_CACHE=$scratch/cache
SOURCES=$(cd "$(dirname "$0")" && pwd)
export SOURCES
export PATH=$1:$PATH
export GUEST_CC=$2
cd "$scratch" && bash "$SOURCES/run.sh"
