#!/usr/bin/env bash
# A controller that joins others gets a copy of the leader's database, and the leader stands still meanwhile.
set -uo pipefail
. "$E2E/lib.sh"
unset CLOUDSKIN_CONTROLLER CLOUDSKIN_TOKEN CLOUDSKIN_TOKEN_FILE CLOUDSKIN_CA CLOUDSKIN_CERT CLOUDSKIN_KEY
etcd=$(command -v etcd || echo "${CLOUDSKIN_DEPS:-${XDG_CACHE_HOME:-$HOME/.cache}/cloudskin/deps}/etcd/etcd")
pids=()
# "timeout" is killed without what it runs
trap 'for pid in "${pids[@]}"; do pkill -9 -P "$pid"; kill -9 "$pid" 2>/dev/null; done' EXIT
client=$(free_port) peer=$(free_port)
"$etcd" --data-dir "$PWD/etcd" --listen-client-urls "http://127.0.0.1:$client" \
    --advertise-client-urls "http://127.0.0.1:$client" --listen-peer-urls "http://127.0.0.1:$peer" \
    --initial-advertise-peer-urls "http://127.0.0.1:$peer" --initial-cluster "default=http://127.0.0.1:$peer" \
    >>etcd.log 2>&1 &
pids+=("$!")
fact "etcd" eventually curl -fsS "http://127.0.0.1:$client/health"

# The others reach the leader through a proxy: while the file `still` is there, answers stop behind 3 MB.
leader_port=$(free_port) proxy_port=$(free_port) other_port=$(free_port) third_port=$(free_port)
cat >proxy.py <<'P'
import os, socket, sys, threading, time
def pump(a, b, answers):
    passed = 0
    try:
        while data := a.recv(65536):
            passed += len(data)
            while answers and passed > 3000000 and os.path.exists("still"):
                time.sleep(0.02)
            b.sendall(data)
    except OSError:
        pass
    for s in (a, b):
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    c, _ = server.accept()
    try:
        u = socket.create_connection(("127.0.0.1", int(sys.argv[2])))
        u.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    except OSError:
        c.close()
        continue
    threading.Thread(target=pump, args=(c, u, False), daemon=True).start()
    threading.Thread(target=pump, args=(u, c, True), daemon=True).start()
P
timeout 400 python3 proxy.py "$proxy_port" "$leader_port" >proxy.log 2>&1 &
pids+=("$!")

start() { # start NUMBER PORT OPTIONS...
    local i=$1 port=$2
    shift 2
    mkdir -p -m 700 "s$i"
    timeout 400 cloudskin-controller --state "$PWD/s$i" --s3 127.0.0.1:0 --metrics none \
        --listen "127.0.0.1:$port" --etcd "127.0.0.1:$client" "$@" >>"c$i.txt" 2>>"c$i.log" &
    pids+=("$!")
    started=$!
}
start_leader() {
    start 0 "$leader_port" --advertise "tcp://127.0.0.1:$proxy_port"
    leader=$started
}
start_other() {
    : >c1.log
    start 1 "$other_port"
    other=$started
}
child() { tr -d ' ' <"/proc/$1/task/$1/children"; }
start_leader
export CLOUDSKIN_CONTROLLER=tcp://127.0.0.1:$leader_port CLOUDSKIN_TOKEN_FILE=$PWD/s0/admin-token
fact "it leads" eventually cloudskin stat
cloudskin mb geds://box
mkdir many # more than what is on its way in the kernel
python3 -c 'import os
for i in range(800): open(f"many/{i}", "wb").write(os.urandom(16000))'
fact "objects" cloudskin put -q -r many geds://box/many
mkdir -m 700 s1
cp -p s0/tokens s0/admin-token s0/s3-keys s1/

touch still
copies() { [ -s s1/geds/joining ]; }
ended() { ! kill -0 "$1"; }
start_other
fact "another one copies the database" eventually copies
kill -TERM "$(child "$other")"
PATIENCE=15 fact "which ends at once though nothing comes" eventually ended "$other"

rm -f s1/geds/joining
start_other
fact "it copies again" eventually copies
mkdir -m 700 s2
cp -p s0/tokens s0/admin-token s0/s3-keys s2/
start 2 "$third_port"
third=$started
fact "a third one is told to wait" eventually grep -q "another controller gets a copy" c2.log
kill -TERM "$(child "$third")"
fact "which ends" eventually ended "$third"
kill -9 "$(child "$leader")"
fact "and gives up when who sends leads no more" eventually grep -q "given up" c1.log
rm still
start_leader
fact "with a leader again it gets a copy" eventually grep -q etcd.copied c1.log
fact "and follows" eventually grep -q etcd.follows c1.log
kill -9 "$(child "$leader")"
export CLOUDSKIN_CONTROLLER=tcp://127.0.0.1:$other_port
fact "it leads next" eventually cloudskin stat
cloudskin get geds://box/many/799 got
fact "with all that there was" cmp many/799 got
finish
