#!/usr/bin/env bash
# Kills, short writes, interrupted calls, a full or broken disk at each call that changes a file: a sample for
# FAULTS_SECONDS (30; 0: all of them), drawn by SEED. FAULTS=SCENARIO[:WHO[:MODE[:N]]] is only these.
cloudskin-cc -O2 "$E2E/guest/steps.c" -o steps.wasm && cloudskin-aot -O1 --movable steps.wasm -o steps.cell || exit 1
exec python3 "$E2E/faults/walk.py" --seconds "${FAULTS_SECONDS:-30}" ${FAULTS:+--only "$FAULTS"} \
    ${SEED:+--seed "$SEED"} ${JOBS:+--jobs "$JOBS"}
