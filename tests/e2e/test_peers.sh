#!/usr/bin/env bash
# Nodes with copies: two of them, one killed, one leaving; a local file that is damaged; TLS and tokens.
set -uo pipefail
. "$E2E/lib.sh"
unset CLOUDSKIN_CONTROLLER CLOUDSKIN_TOKEN CLOUDSKIN_TOKEN_FILE CLOUDSKIN_CA CLOUDSKIN_CERT CLOUDSKIN_KEY
export XDG_STATE_HOME=$PWD/state XDG_RUNTIME_DIR=$PWD/run
mkdir -m 700 run state
data=$PWD/state/cloudskin/geds/data
pids=()
trap 'for pid in "${pids[@]}"; do kill -9 "$pid" 2>/dev/null; done; cloudskin down >/dev/null 2>&1' EXIT

node() { # node NAME OPTIONS...: in the background; its process is in $pid
    local name=$1
    shift
    timeout 300 cloudskin node --name "$name" --state "$PWD/$name" --bytes 1G "$@" >>"$name.log" 2>&1 &
    pid=$!
    pids+=("$pid")
}
child() { # of timeout
    cat "/proc/$1/task/$1/children" | tr -d ' '
}
tier() { # tier EXPRESSION: is it true of what `cloudskin tier --json` says?
    timeout 20 cloudskin tier --json | python3 -c 'import json, sys
t = json.load(sys.stdin)
n = {node["name"]: node for node in t["nodes"]}
sys.exit(not eval(sys.argv[1]))' "$1"
}
metric() { # metric LINE
    timeout 20 curl -fsS "http://$(sed -n 's|^# metrics at http://\(.*\)/metrics$|\1|p' up.txt)/metrics" | grep -E "^$1\$" >metric.log
}
file_of() { # the largest local file
    find "$data" -type f -size +1000k | sort | head -n "${1:-1}" | tail -n 1
}

fact "a node that finds nobody waits" eval 'node early --controller "unix:$PWD/none.socket"; eventually grep -q node.waiting early.log'
kill "$(child "$pid")"
fact "and ends with 0 on SIGTERM" wait "$pid"
fact "a name that is none is refused" exits 64 cloudskin node --state x --name 'a b'
fact "a size that is none is refused" exits 64 cloudskin node --state x --bytes much
fact "up" eval 'timeout 60 cloudskin up -d --s3 127.0.0.1:0 --metrics 127.0.0.1:0 --node-lost 2s >up.txt'
cloudskin mb geds://box
fact "the rule of a bucket" prints "geds://box: watermark, 2 copies" cloudskin tier --replicas 2 geds://box
fact "is kept" prints "geds://box: watermark, 2 copies" cloudskin tier geds://box
fact "a number that is none is refused" exits 64 cloudskin tier --replicas 9 geds://box
fact "a bucket that is not there is" exits 127 cloudskin tier --replicas 2 geds://none
for i in 1 2 3; do
    head -c 3000000 /dev/urandom >"f$i"
done
fact "without nodes a write is answered" cloudskin put f1 geds://box/
fact "and what it lacks is shown" tier 't["lacking_files"] == 1 and t["lacking_bytes"] == 3000000 and t["node_late_writes"] == 1'

node one
one=$pid
fact "a node joins" eventually tier 'n["one"]["state"] == "up"'
fact "and gets what was lacking" eventually tier 't["lacking_files"] == 0 and n["one"]["copies"] == 1'
fact "a second one with its state folder is refused" exits 71 timeout 20 cloudskin node --name other --state "$PWD/one"
fact "one with its name is refused" says 'another node has the name "one"' timeout 20 cloudskin node --name one --state "$PWD/other"
fact "a write is answered with its copy" eval 'cloudskin put f2 geds://box/ && tier "t[\"lacking_files\"] == 0 and t[\"node_late_writes\"] == 1"'
fact "an S3 client's too" metric 'cloudskin_peer_lacking_extents 0'
fact "in numbers for Prometheus" metric 'cloudskin_peer_nodes\{state="up"\} 1'
fact "and as text" eval 'cloudskin tier | finds "copies, .* free, up: one"'

fact "a local file that is damaged" eval 'printf damaged | dd of="$(file_of)" bs=1 seek=70000 conv=notrunc status=none'
fact "is read as it was" eval 'cloudskin get geds://box/f1 b1 && cmp f1 b1 && cloudskin get geds://box/f2 b2 && cmp f2 b2'
fact "and repaired" eventually tier 't["node_repaired"] == 1'
fact "fsck finds nothing" cloudskin fsck
fact "one that is gone" eval 'rm "$(file_of 2)" && cloudskin get geds://box/f1 b1 && cmp f1 b1 && cloudskin get geds://box/f2 b2 && cmp f2 b2'
fact "is there again" eventually cloudskin fsck

kill -9 "$(child "$one")"
fact "a node that is killed is away" eventually tier 'n["one"]["state"] in ("away", "lost")'
fact "a write is answered all the same" cloudskin put f3 geds://box/
node two
two=$pid
fact "what a lost node had is copied to another one" eventually tier 'n["one"]["state"] == "lost" and t["lacking_files"] == 0 and n["two"]["copies"] == 3'
node one
one=$pid
fact "it comes back with what it had, which is too much now" eventually tier 'n["one"]["state"] == "up" and n["one"]["copies"] == 0'
fact "three copies" eventually eval 'cloudskin tier --replicas 3 geds://box >/dev/null && tier "t[\"lacking_files\"] == 0 and n[\"one\"][\"copies\"] == 3"'
fact "a copy that is damaged" eval 'printf damaged | dd of="$(find one/copies -type f -size +1000k | head -n 1)" bs=1 seek=70000 conv=notrunc status=none'
find "$data" -type f -delete
fact "with all local files gone all is there" eval 'for i in 1 2 3; do cloudskin get "geds://box/f$i" b && cmp "f$i" b || exit 1; done'
fact "and comes back" eventually cloudskin fsck
fact "the damaged copy was made anew" eventually tier 't["lacking_files"] == 0 and n["one"]["copies"] == 3'
fact "fewer copies are wanted" prints "geds://box: watermark, 2 copies" cloudskin tier --replicas 2 geds://box
fact "and those that are too many are removed" eventually tier 't["lacking_files"] == 0 and n["one"]["copies"] + n["two"]["copies"] == 3'
fact "on the nodes' disks, too" eventually eval '[ "$(find one/copies two/copies -type f -size +1000k | wc -l)" = 3 ]'
find "$data" -type f -delete
fact "those that are left are enough" eval 'for i in 1 2 3; do cloudskin get "geds://box/f$i" b && cmp "f$i" b || exit 1; done; eventually cloudskin fsck'
fact "none is wanted" eventually eval 'cloudskin tier --replicas 1 geds://box >/dev/null && tier "n[\"one\"][\"copies\"] == n[\"two\"][\"copies\"] == 0"'
fact "all is there, on the store's disk" eval 'for i in 1 2 3; do cloudskin get "geds://box/f$i" b && cmp "f$i" b || exit 1; done; cloudskin fsck'
fact "three again" eventually eval 'cloudskin tier --replicas 3 geds://box >/dev/null && tier "t[\"lacking_files\"] == 0 and n[\"one\"][\"copies\"] == n[\"two\"][\"copies\"] == 3"'
fact "a rate of the scrub that is none is refused" exits 64 eval 'cloudskin down && timeout 60 cloudskin up -d --s3 127.0.0.1:0 --scrub much'
fact "so is a time" exits 64 timeout 60 cloudskin up -d --s3 127.0.0.1:0 --scrub-every 0
fact "a restart of the store" eval 'timeout 60 cloudskin up -d --s3 127.0.0.1:0 --metrics 127.0.0.1:0 --node-lost 2s --scrub 1G --scrub-every 100ms >up.txt'
fact "finds the nodes again" eventually tier 'n["one"]["state"] == "up" and n["two"]["state"] == "up" and t["lacking_files"] == 0'
fact "what is damaged and nobody reads is repaired" eval 'printf damaged | dd of="$(file_of)" bs=1 seek=70000 conv=notrunc,fsync status=none && eventually tier "t[\"node_repaired\"] == 1"'
fact "which is counted" metric 'cloudskin_scrub_damaged_extents_total [1-9][0-9]*'
fact "and shown" tier 't["scrub_damaged"] >= 1 and t["scrub_without_copy"] == 0 and t["scrub_files"] >= 3 and t["scrub_bytes"] >= 9000000'
fact "with its rate and when it ended" eventually tier 't["scrub_rate"] == 2**30 and t["scrub_passes"] >= 1 and 0 < t["scrub_began_ns"] and t["scrub_ended_ns"] > 10**18'
fact "also as text" eval 'cloudskin tier | finds "^scrub .* files compared since the start, [1-9][0-9]* damaged (0 without a copy).*; the last pass ended 20"'
fact "and is in the log" grep -q "scrub.damaged extent=.* offset=65536 .*copy=yes" state/cloudskin/controller.log
cloudskin rm geds://box/f3
fact "copies of what is removed are removed" eventually tier 'n["one"]["copies"] == 2 and n["two"]["copies"] == 2'

cloudskin tier --replicas 2 geds://box >/dev/null
printf damaged | dd of="$(file_of)" bs=1 seek=70000 conv=notrunc status=none
fact "a node that is connected is not forgotten" exits 71 cloudskin tier --forget two
fact "an unknown one neither" exits 127 cloudskin tier --forget three
fact "nor does it leave" exits 127 cloudskin tier --leave three
fact "a node leaves" cloudskin tier --leave two
fact "and ends with 0" wait "$two"
fact "it is not there any more" tier '"two" not in n'
fact "nor is what it had" eval '[ -z "$(find two/copies -type f -size +0)" ]'
fact "all is there" eval 'for i in 1 2; do cloudskin get "geds://box/f$i" b && cmp "f$i" b || exit 1; done'
fact "what was damaged was repaired before" cloudskin fsck
fact "nothing is lacking" eventually tier 't["lacking_files"] == 0'
node three --leave
fact "one more" eventually tier 'n["three"]["state"] == "up"'
kill "$(child "$pid")"
fact "SIGTERM with --leave lets it leave" wait "$pid"
fact "which is said" grep -q "node.left" three.log
fact "the other one stays" tier 'list(n) == ["one"]'
kill "$(child "$one")"
fact "SIGTERM without it does not" wait "$one"
fact "its copies are kept in mind" eventually tier 'n["one"]["state"] == "lost"'
fact "and forgotten when that is said" eval 'cloudskin tier --forget one && tier "not n and t[\"lacking_files\"] == 2"'

# Files that cannot grow stand for a full disk.
trap '' XFSZ
(ulimit -S -f 500; exec timeout 300 cloudskin node --name small --state "$PWD/small" --bytes 1G >>small.log 2>&1) &
pid=$!
pids+=("$pid")
fact "a node on a full disk" eventually tier 'n["small"]["state"] == "up" and t["node_errors"] >= 2'
fact "takes no copies and stays" tier 'n["small"]["state"] == "up" and n["small"]["copies"] == 0 and t["lacking_files"] == 2'
fact "a write is answered" cloudskin put f3 geds://box/
fact "nothing half is there" eventually eval '[ -z "$(find small/copies -type f ! -name lock)" ]'
fact "with room again" prlimit --pid "$(child "$pid")" --fsize=unlimited:unlimited
fact "it takes what is lacking" eventually tier 't["lacking_files"] == 0 and n["small"]["copies"] == 3'
cloudskin rm geds://box/f3
kill "$(child "$pid")"
fact "and ends as others do" wait "$pid"
fact "it is forgotten" eventually cloudskin tier --forget small

# A file system that has no room for the folders of a store, in a name space of its own.
cat >tight.sh <<'END'
. "$E2E/lib.sh"
mkdir tight && mount -t tmpfs -o size=64m,nr_inodes=100,mode=0700 tight tight || exit 1
timeout 300 cloudskin node --name tight --state "$PWD/tight" --bytes 1M >tight.log 2>&1 &
pid=$! # eventually makes processes of its own
eventually grep -q 'node.waiting.*/tight/copies/.*No space left on device' tight.log && kill -0 "$pid" || exit 1
mount -o remount,nr_inodes=1000 tight && eventually eval 'cloudskin tier | finds "up: tight"' || exit 1
kill "$(tr -d ' ' <"/proc/$pid/task/$pid/children")"
wait "$pid"
END
if unshare --user --map-root-user --mount true 2>/dev/null; then
    fact "a node without room for a store's folders says so, and waits" unshare --user --map-root-user --mount bash tight.sh
    fact "it is forgotten too" eventually cloudskin tier --forget tight
fi
cloudskin down

# Other machines.
cloudskin ca init --host store.test >/dev/null
fact "a certificate of a node" cloudskin ca issue edge --role node -o certs
fact "up for other machines" eval 'timeout 60 cloudskin up -d --s3 127.0.0.1:0 --metrics none --listen 127.0.0.1:0 >up.txt'
port=$(sed -n 's/^# other clients at .*:\([0-9]*\)$/\1/p' up.txt)
ca=$PWD/state/cloudskin/tls/ca.crt
cloudskin token create --role node carrier >carrier.token
cloudskin token create --role write writer >writer.token
chmod 600 ./*.token
node far --controller "tls://127.0.0.1:$port" --ca "$ca" --cert "$PWD/certs/edge.crt" --key "$PWD/certs/edge.key"
fact "a node over TLS" eventually tier 'n["far"]["state"] == "up" and t["lacking_files"] == 0 and n["far"]["copies"] == 2'
kill "$(child "$pid")"
wait "$pid"
node far --controller "tls://127.0.0.1:$port" --ca "$ca" --token-file carrier.token
fact "with a token" eventually tier 'n["far"]["state"] == "up" and n["far"]["copies"] == 2'
fact "a token that may write is none for a node" says "this needs node" timeout 20 cloudskin node --name w --state w --controller "tls://127.0.0.1:$port" --ca "$ca" --token-file writer.token
fact "a node's is good for nothing else" says "this needs read" env CLOUDSKIN_CONTROLLER="tls://127.0.0.1:$port" CLOUDSKIN_CA="$ca" CLOUDSKIN_TOKEN_FILE=carrier.token cloudskin ls geds://box
cloudskin token revoke carrier
fact "one that is revoked ends the node" eventually grep -q 'was revoked\|none of this store' far.log
fact "with 71" eval 'wait "$pid"; [ $? -eq 71 ]'
cloudskin down
finish
