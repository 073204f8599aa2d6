#!/usr/bin/env bash
# The S3 server of a tier is stopped while a store with a small disk is written to, and killed: outage.py. The disk is
# a file system of OUTAGE_BYTES in memory, in a name space of its own, and OUTAGE_OPTIONS go to outage.py.
set -uo pipefail
unset CLOUDSKIN_CONTROLLER
export XDG_STATE_HOME=$PWD/state XDG_RUNTIME_DIR=$PWD/run PYTHONDONTWRITEBYTECODE=1 OUTAGE_BYTES=${OUTAGE_BYTES:-64m}
mkdir -m 700 run near
if ! unshare --user --map-root-user --mount mount -t tmpfs small near 2>/dev/null; then
    echo "the outage of a tier was not run: no file system can be mounted here"
    exit 77
fi
# shellcheck disable=SC2016
exec unshare --user --map-root-user --mount bash -c 'mount -t tmpfs -o "size=$OUTAGE_BYTES,mode=0700" small near &&
    exec python3 "$E2E/outage/outage.py" --near near ${OUTAGE_OPTIONS:-} ${SEED:+--seed "$SEED"}'
