#!/usr/bin/env bash
# The store and its client in two network namespaces with a cable of a limited rate between them; either of them dies in
# the middle of a transfer. The namespaces and all that is in them end with this script.
set -uo pipefail
if [ -z "${FAR_INSIDE:-}" ]; then
    user=()
    [ "$(id -u)" -eq 0 ] || user=(--user --map-root-user)
    unshare "${user[@]}" --net tc qdisc add dev lo root tbf rate 1gbit burst 128kb latency 50ms || {
        echo "this system gives no network namespaces, or has no tbf"
        exit 77
    }
    FAR_INSIDE=1 exec unshare "${user[@]}" --net bash "$0"
fi
. "$E2E/lib.sh"
unset CLOUDSKIN_CONTROLLER CLOUDSKIN_TOKEN CLOUDSKIN_TOKEN_FILE CLOUDSKIN_CA CLOUDSKIN_CERT CLOUDSKIN_KEY
export XDG_STATE_HOME=$PWD/state XDG_RUNTIME_DIR=$PWD/run
mkdir -m 700 run state far
trap 'cloudskin down >/dev/null 2>&1' EXIT

# The other namespace is that of a process which ends when its standard input does.
coproc OTHER { exec unshare --net sh -c 'echo ready; exec cat'; }
read -r ready <&"${OTHER[0]}"
[ "$ready" = ready ] || exit 1
other=$OTHER_PID
exec 8>&"${OTHER[1]}" # a command in the background would close the coprocess's own
there() {
    nsenter --net="/proc/$other/ns/net" "$@"
}
become() { # become COMMAND...: this shell becomes it, on the other machine
    local env=(XDG_STATE_HOME="$PWD/far" XDG_RUNTIME_DIR="$PWD/far" CLOUDSKIN_CONTROLLER="tls://192.0.2.1:$port"
        CLOUDSKIN_CA="$PWD/state/cloudskin/tls/ca.crt" CLOUDSKIN_TOKEN_FILE="$PWD/writer.token")
    exec nsenter --net="/proc/$other/ns/net" env "${env[@]}" "$@"
}
far() {
    (become "$@")
}
limit() { # limit RATE: in both directions
    tc qdisc replace dev cable root tbf rate "$1" burst 128kb latency 50ms &&
        there tc qdisc replace dev cable root tbf rate "$1" burst 128kb latency 50ms
}
cable() {
    ip link add cable type veth peer name cable netns "$other" && ip address add 192.0.2.1/24 dev cable &&
        there ip address add 192.0.2.2/24 dev cable && ip link set lo up && ip link set cable up &&
        there ip link set lo up && there ip link set cable up
}
up() {
    timeout 60 cloudskin up -d --s3 127.0.0.1:0 --metrics none --listen "192.0.2.1:${port:-0}" >up.txt &&
        port=$(sed -n 's/^# other clients at .*:\([0-9]*\)$/\1/p' up.txt)
}
store_pid() {
    cloudskin up 2>&1 | sed -n 's/.*as process \([0-9]*\).*/\1/p'
}
bytes_in() { # bytes_in FOLDER: is a file with bytes there?
    [ -n "$(find "$1" -type f -size +100k)" ]
}
fact "two namespaces and a cable" cable
fact "a CA" cloudskin ca init --host 192.0.2.1
fact "up" up
cloudskin token create --role write writer >writer.token && chmod 600 writer.token
cloudskin mb geds://box
head -c 40000000 /dev/urandom >big
new=$PWD/state/cloudskin/geds/new
mkdir down

fact "a limit of the rate" limit 400mbit
fact "what is put from there" far cloudskin put big geds://box/a
fact "is what was sent" eval 'cloudskin get geds://box/a back && cmp big back'
fact "what is read there is what was put" eval 'far cloudskin get geds://box/a down/a && cmp big down/a'
fact "to a pipe, too" eval 'far cloudskin get geds://box/a - | cmp big -'
fact "and a part of it" eval 'far cloudskin get --range 12345678-23456789 geds://box/a - | cmp - <(tail -c +12345679 big | head -c 11111112)'
cloudskin tier --encrypt on geds://box >/dev/null
cloudskin put big geds://box/sealed
fact "what is encrypted on the disk, too" eval 'far cloudskin get geds://box/sealed - | cmp big -'

# The store dies. At this rate a transfer takes minutes, so it is in the middle of one when something has come.
fact "a slow cable" limit 4mbit
told() { # told PROCESS LOG: it ends with 71 since the connection is lost
    local code=0
    wait "$1" || code=$?
    cat "$2"
    [ "$code" -eq 71 ] && grep -q "connection to the store is lost" "$2"
}
store_dies() { # a file that is there stays as it is
    echo before >down/a
    become cloudskin get geds://box/a down/a >get.log 2>&1 &
    local get=$!
    eventually bytes_in down && kill -9 "$(store_pid)" && told "$get" get.log && [ "$(ls -A down)" = a ] && [ "$(cat down/a)" = before ]
}
fact "a store that dies while it is read is told, and no half of a file is left" store_dies
fact "nothing answers there" exits 127 far cloudskin ls geds://box
fact "it starts again" up
store_dies_before_a_pipe() {
    mkdir half
    become cloudskin get geds://box/a - >half/a 2>get.log &
    local get=$!
    eventually bytes_in half && kill -9 "$(store_pid)" && told "$get" get.log && [ "$(stat -c %s half/a)" -lt 40000000 ] &&
        cmp -n "$(stat -c %s half/a)" half/a big
}
fact "what a pipe got before is right" store_dies_before_a_pipe
fact "once more" up
store_dies_in_put() {
    become cloudskin put big geds://box/half >put.log 2>&1 &
    local put=$!
    eventually bytes_in "$new" && kill -9 "$(store_pid)" && told "$put" put.log
}
fact "one that dies while it is written to is told" store_dies_in_put
fact "and again" up

# The client dies.
client_dies() { # client_dies FOLDER VERB...: when bytes are in the folder
    local folder=$1 client code=0
    shift
    become cloudskin "$@" >client.log 2>&1 &
    client=$!
    eventually bytes_in "$folder" && kill -9 "$client" && { wait "$client" || code=$?; [ "$code" -eq 137 ]; }
}
fact "a client that dies while it writes" client_dies "$new" put big geds://box/half
fact "leaves nothing" eventually eval '! bytes_in "$new"'
rm -rf down && mkdir down
fact "one that dies while it reads" client_dies down get geds://box/a down/b
fact "does no harm to others" eval 'limit 400mbit && far cloudskin get geds://box/a back && cmp big back'
fact "nothing is lost" eval 'for key in a sealed; do cloudskin get "geds://box/$key" back && cmp big back || exit 1; done'
fact "no half of an object is there" prints "a
sealed" cloudskin ls geds://box
fact "and nothing is damaged" cloudskin fsck
finish
