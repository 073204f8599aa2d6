#!/usr/bin/env bash
# Clients that race on rename, delete and conditional writes, through the C API and S3, with kills of the store: what
# they were answered is linearizable. For RACE_SECONDS (8), drawn by SEED. And what is not is refused by the check.
set -uo pipefail
. "$E2E/lib.sh"
unset CLOUDSKIN_CONTROLLER CLOUDSKIN_LIBRARY
export XDG_STATE_HOME=$PWD/state XDG_RUNTIME_DIR=$PWD/run PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$PWD/site
mkdir -m 700 run state
# The library of a sanitizer has to be the first of a program.
sanitized() {
    if [ -n "${SANITIZED:-}" ]; then
        LD_PRELOAD=$(gcc -print-file-name=libasan.so) ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 "$@"
    else
        "$@"
    fi
}

fact "wrong histories are refused, right ones are not" python3 "$E2E/race/test_linear.py"
fact "the package is there" python3 -m zipfile -e "$(dirname "$(command -v cloudskin)")"/../wheel/*.whl site
mkdir store && cd store || exit 1
sanitized python3 "$E2E/race/race.py" --seconds "${RACE_SECONDS:-8}" ${SEED:+--seed "$SEED"} >rounds 2>&1
code=$?
grep -E '^seed |^[a-z]+ (ok|\?) ' rounds
races() {
    cat rounds
    return "$code"
}
fact "the answers to racing clients are linearizable" races
finish
