#!/usr/bin/env bash
# Controllers that share a store through an etcd that asks for certificates, and clients of a list of them through TLS.
set -uo pipefail
. "$E2E/lib.sh"
unset CLOUDSKIN_CONTROLLER CLOUDSKIN_TOKEN CLOUDSKIN_TOKEN_FILE CLOUDSKIN_CA CLOUDSKIN_CERT CLOUDSKIN_KEY
export XDG_RUNTIME_DIR=$PWD/run
mkdir -m 700 run
etcd=$(command -v etcd || echo "${CLOUDSKIN_DEPS:-${XDG_CACHE_HOME:-$HOME/.cache}/cloudskin/deps}/etcd/etcd")
pids=()
trap 'for pid in "${pids[@]}"; do pkill -9 -P "$pid"; kill -9 "$pid" 2>/dev/null; done' EXIT

fact "a CA for etcd" cloudskin ca init --dir etcd.ca --host 127.0.0.1
fact "a certificate for etcd" cloudskin ca issue etcd --dir etcd.ca --host 127.0.0.1 -o etcd.ca
fact "one for controllers" cloudskin ca issue store --dir etcd.ca -o etcd.ca
fact "another CA" cloudskin ca init --dir other.ca
fact "whose certificate etcd does not know" cloudskin ca issue store --dir other.ca -o other.ca
client=$(free_port) peer=$(free_port)
"$etcd" --data-dir "$PWD/etcd" --listen-client-urls "https://127.0.0.1:$client" \
    --advertise-client-urls "https://127.0.0.1:$client" --listen-peer-urls "http://127.0.0.1:$peer" \
    --initial-advertise-peer-urls "http://127.0.0.1:$peer" --initial-cluster "default=http://127.0.0.1:$peer" \
    --cert-file etcd.ca/etcd.crt --key-file etcd.ca/etcd.key --client-cert-auth --trusted-ca-file etcd.ca/ca.crt >etcd.log 2>&1 &
pids+=("$!")
healthy() { curl -fsS --cacert etcd.ca/ca.crt "$@" "https://127.0.0.1:$client/health"; }
fact "etcd" eventually healthy --cert etcd.ca/store.crt --key etcd.ca/store.key
fact "it asks for certificates" eval '! healthy'

controllers=() pid_of=()
for i in 0 1; do
    controllers+=("127.0.0.1:$(free_port)")
done
all=tls://${controllers[1]},tls://${controllers[0]}
start() { # start NUMBER OPTIONS...
    local i=$1 pid
    : >"c$i.txt"
    timeout 300 cloudskin-controller --state "$PWD/s$i" --s3 127.0.0.1:0 --metrics none --greet \
        --listen "${controllers[i]}" --etcd "127.0.0.1:$client" "${@:2}" >"c$i.txt" 2>"c$i.log" &
    pid=$!
    pids+=("$pid")
    pid_of[i]=$pid
}
good=(--etcd-ca etcd.ca/ca.crt --etcd-cert etcd.ca/store.crt --etcd-key etcd.ca/store.key)
mkdir -m 700 s0 s1
fact "a CA for the store" cloudskin ca init --dir s0/tls --host 127.0.0.1

# What is wrong is said
wrong() { # wrong OPTIONS...
    timeout 60 cloudskin-controller --state "$PWD/s0" --s3 127.0.0.1:0 --metrics none --listen "${controllers[0]}" \
        --etcd "127.0.0.1:$client" "$@"
}
fact "another CA than etcd's is refused" exits 71 wrong --etcd-ca other.ca/ca.crt "${good[@]:2}"
fact "which is said" says "--etcd-ca" wrong --etcd-ca other.ca/ca.crt "${good[@]:2}"
fact "so is which server it is" says "etcd at https://127.0.0.1:$client: " wrong --etcd-ca other.ca/ca.crt "${good[@]:2}"
fact "a CA that is not there" exits 71 wrong --etcd-ca none.crt
fact "is named" says "none.crt" wrong --etcd-ca none.crt
fact "a certificate that is not there" says "none.crt" wrong "${good[@]:0:2}" --etcd-cert none.crt --etcd-key none.key
fact "one without its key" says "needs its key" wrong "${good[@]:0:4}"
start 0 "${good[@]:0:2}" --etcd-cert other.ca/store.crt --etcd-key other.ca/store.key
fact "a certificate that etcd does not know" eval 'eventually grep -q "etcd.away.*it may want another certificate" c0.log'
fact "leads nowhere" eval '! grep -q etcd.leads c0.log'
kill "${pid_of[0]}"
fact "it stops" eventually eval '! kill -0 "${pid_of[0]}"'

# With the right ones it works as without
start 0 "${good[@]}"
fact "it leads" eventually grep -q etcd.leads c0.log
export CLOUDSKIN_TOKEN_FILE=$PWD/s0/admin-token CLOUDSKIN_CA=$PWD/s0/tls/ca.crt
fact "a client through TLS" eventually cloudskin mb --controller "tls://${controllers[0]}" geds://box
cp -rp s0/tls s0/tokens s0/admin-token s0/s3-keys s1/
start 1 "${good[@]}"
fact "another one gets a copy, through TLS" eventually grep -q etcd.copied c1.log
fact "it stands by" eventually grep -q etcd.follows c1.log
fact "which clients are told through TLS" says "not the leader, it is tls://${controllers[0]}" exits 71 cloudskin ls --controller "tls://${controllers[1]}" geds://
echo text >text
fact "a client of both finds who leads" cloudskin put --controller "$all" text geds://box/one
fact "bytes come back" prints text cloudskin get --controller "$all" geds://box/one -
refused() { CLOUDSKIN_CA=$PWD/other.ca/ca.crt timeout 100 cloudskin ls --controller "$all" geds://box/; }
fact "a list of controllers of another CA is refused" says "certificate" refused

# The leader stands still, and then it is lost
child() { tr -d ' ' <"/proc/${pid_of[$1]}/task/${pid_of[$1]}/children"; }
stopped=$(child 0)
kill -STOP "$stopped"
fact "a leader that stands still is passed over" eventually timeout 60 cloudskin put --controller "$all" text geds://box/two
fact "the other one leads" grep -q etcd.leads c1.log
quickly() { SECONDS=0 && cloudskin put --controller "tls://${controllers[0]},tls://${controllers[1]}" text geds://box/three && [ "$SECONDS" -lt 5 ]; }
fact "it holds nobody up, though it is first in the list" quickly
kill -9 "$stopped"
fact "without it all is there" prints $'one\nthree\ntwo' eval 'cloudskin ls --controller "$all" geds://box/ | sed "s|.*/||" | sort'
finish
