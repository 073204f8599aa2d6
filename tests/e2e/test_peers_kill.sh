#!/usr/bin/env bash
# The store is killed again and again while objects are put into a bucket of three copies: what was acknowledged has its copies on both
# nodes at that moment, and is there afterwards; nothing else stays on the nodes; and all of it ends.
set -uo pipefail
. "$E2E/lib.sh"
unset CLOUDSKIN_CONTROLLER CLOUDSKIN_TOKEN CLOUDSKIN_TOKEN_FILE CLOUDSKIN_CA CLOUDSKIN_CERT CLOUDSKIN_KEY
export XDG_STATE_HOME=$PWD/state XDG_RUNTIME_DIR=$PWD/run PYTHONDONTWRITEBYTECODE=1
mkdir -m 700 run state
data=$PWD/state/cloudskin/geds/data
root=$(cd "$E2E/../.." && pwd)
pids=()
trap 'for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null; done; cloudskin down >/dev/null 2>&1' EXIT

node() {
    timeout 500 cloudskin node --name "$1" --state "$PWD/$1" --bytes 4G >>"$1.log" 2>&1 &
    pids+=($!)
}
tier() { # tier EXPRESSION: is it true of what `cloudskin tier --json` says?
    timeout 20 cloudskin tier --json | python3 -c 'import json, sys
t = json.load(sys.stdin)
n = {node["name"]: node for node in t["nodes"]}
sys.exit(not eval(sys.argv[1]))' "$1"
}
late() {
    timeout 20 cloudskin tier --json | sed -n 's/.*"node_late_writes": *\([0-9]*\).*/\1/p'
}
acks() {
    PYTHONPATH="$root/sdk/python" CLOUDSKIN_LIBRARY="$(dirname "$(dirname "$(command -v cloudskin)")")/src/libcloudskin.so" \
        env ${SANITIZED:+LD_PRELOAD=$(gcc -print-file-name=libasan.so) ASAN_OPTIONS=detect_leaks=0} timeout 200 python3 "$E2E/peers/acks.py" "$@"
}
up() {
    timeout 60 cloudskin up -d --s3 127.0.0.1:0 --metrics none --node-lost 60s >up.txt
}
store_pid() {
    cloudskin up 2>&1 | sed -n 's/.*as process \([0-9]*\).*/\1/p'
}
copied_at_once() { # the nodes are there, and known well enough to get copies
    local before
    before=$(late) && cloudskin put probe geds://box/probe && [ "$(late)" = "$before" ] && tier 'n["one"]["state"] == n["two"]["state"] == "up"'
}
head -c 50000 /dev/urandom >probe

fact "up" up
cloudskin mb geds://box
fact "three copies" cloudskin tier --replicas 3 geds://box
node one
node two
for round in 1 2 3 4 5; do
    fact "round $round: nodes get copies" eventually copied_at_once
    fact "round $round: killed while objects are put, all writers end" acks write "$round" $((20 + round * 13)) ledger "$(store_pid)"
    fact "round $round: what was acknowledged is on both nodes" acks copies "$round" ledger one two
    fact "round $round: it starts again" up
    if [ "$round" = 3 ]; then
        fact "it is killed before it knows what its nodes have" eval 'kill -9 "$(store_pid)"; eventually up'
    fi
    fact "round $round: what was acknowledged is there" acks read ledger
done
fact "nothing is lacking in the end" eventually tier 't["lacking_files"] == 0 and n["one"]["state"] == n["two"]["state"] == "up"'
fact "fsck finds nothing" cloudskin fsck
files=$(find "$data" -type f | wc -l)
fact "nodes have what the store has, and nothing else" eventually tier "n['one']['copies'] == n['two']['copies'] == $files"
on_disk() {
    [ "$(find "$1/copies" -type f -name '*-*' | wc -l)" = "$files" ]
}
fact "on their disks too" eval 'eventually on_disk one && eventually on_disk two'
find "$data" -type f -delete
fact "from copies alone all that was acknowledged is there" acks read ledger
fact "it ends" timeout 60 cloudskin down
for pid in "${pids[@]}"; do
    fact "so does a node" eval 'kill "$pid" && wait "$pid"'
done
finish
