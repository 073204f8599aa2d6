#!/usr/bin/env bash
# The store of a machine: started, found, stopped, killed, started again; by whom else, and where it cannot be.
set -uo pipefail
. "$E2E/lib.sh"
unset CLOUDSKIN_CONTROLLER
export XDG_STATE_HOME=$PWD/state XDG_RUNTIME_DIR=$PWD/run
mkdir -m 700 run state
socket=$PWD/run/cloudskin/controller.socket
trap 'cloudskin down >/dev/null 2>&1; CLOUDSKIN_CONTROLLER=unix:$PWD/second.socket cloudskin down >/dev/null 2>&1' EXIT

up() {
    timeout 60 cloudskin up -d --s3 127.0.0.1:0 "$@" >up.txt
}
pid_of_store() { # says the second `up`
    cloudskin up 2>&1 | sed -n 's/.*as process \([0-9]*\).*/\1/p'
}
gone() {
    ! kill -0 "$1" 2>/dev/null
}
answers() {
    local port
    port=$(sed -n 's/^# S3 at http:.*:\([0-9]*\);.*/\1/p' up.txt)
    python3 -c 'import sys, urllib.request, urllib.error
try: urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/", timeout=20)
except urllib.error.HTTPError as e: assert e.code == 403' "$port"
}

fact "keys that were never made are missing" exits 127 cloudskin keys
fact "what to do is said" says "cloudskin up" cloudskin keys
fact "down when nothing is up succeeds" says "nothing is up" cloudskin down
fact "down says so with code 0" exits 0 cloudskin down
fact "up -d returns" up
fact "it serves then" answers
fact "the first start prints the key" grep -qx 'export AWS_ACCESS_KEY_ID=[A-Z2-7]*' up.txt
fact "keys prints the same" prints "$(grep ^export up.txt)" cloudskin keys
fact "its log is in the state folder" eventually grep -q controller.started state/cloudskin/controller.log
fact "the socket is the owner's" test "$(stat -c %a "$socket")" = 600
fact "it is no cell" prints "[]" cloudskin ps --json
fact "a second up is refused" exits 71 cloudskin up
fact "it names the first" says "already up, as process" cloudskin up -d
CLOUDSKIN_CONTROLLER=unix:$PWD/second.socket fact "another socket, the same state" says "another process has it open" cloudskin up
pid=$(pid_of_store)
fact "its standard files are the log's" test "$(readlink "/proc/$pid/fd/2")" = "$PWD/state/cloudskin/controller.log"
fact "it is a session of its own" test "$(ps -o sid= -p "$pid" | tr -d ' ')" = "$pid"
port=$(sed -n 's/^# S3 at http:.*:\([0-9]*\);.*/\1/p' up.txt)
CLOUDSKIN_CONTROLLER=unix:$PWD/second.socket fact "a taken address is refused" \
    says "is in use by another program" cloudskin up --state other --s3 "127.0.0.1:$port"
fact "a refused start leaves no socket" test ! -e second.socket
second() {
    export CLOUDSKIN_CONTROLLER=unix:$PWD/second.socket
    up --state other && mv up.txt other.txt && [ "$(cloudskin keys)" = "$(grep ^export other.txt)" ] &&
        [ "$(cloudskin stat | awk '$1 == "state" { print $2 }')" = "$PWD/other" ] && cloudskin down
    local code=$?
    unset CLOUDSKIN_CONTROLLER
    return $code
}
fact "another one beside it, with another socket and state" second
fact "the first is still there" test "$(pid_of_store)" = "$pid"

fact "down stops it" cloudskin down
fact "its process has ended" eventually gone "$pid"
fact "its socket is gone" test ! -e "$socket"
fact "its folder of sockets is empty" test -z "$(ls -A run/cloudskin)"
fact "it starts again" up
fact "the second start prints no key" bash -c '! grep -q ^export up.txt'
killed() {
    local pid
    pid=$(pid_of_store)
    kill -9 "$pid" && eventually gone "$pid" && [ -S "$socket" ]
}
fact "a kill leaves the socket" killed
fact "down then says that nothing is up" says "nothing is up" cloudskin down
fact "and up starts" up
fact "it serves" answers
stands_still() { # with all threads: the signal is given at once, and takes effect when one of them runs
    [ "$(cat "/proc/$1"/task/*/status | sed -n 's/^State:\t\(.\).*/\1/p' | sort -u)" = T ]
}
stopped() {
    local pid code=0
    pid=$(pid_of_store)
    kill -STOP "$pid" && eventually stands_still "$pid"
    [[ $(timeout 20 cloudskin ls 2>&1) == *"is its process stopped"* ]] || code=1
    timeout 20 cloudskin down --timeout 200ms || code=$((code + $?))
    kill -CONT "$pid"
    eventually gone "$pid"
    [ "$code" -eq 71 ]
}
fact "down waits for a stopped process as long as it may" stopped

foreground() { # foreground SIGNAL
    rm -f log
    cloudskin up --s3 127.0.0.1:0 >up.txt 2>log &
    local pid=$!
    eventually grep -q controller.started log && kill "-$1" "$pid" && wait "$pid" && [ ! -e "$socket" ]
}
fact "in the foreground, until SIGTERM" foreground TERM
fact "it says where what is" grep -q '^# S3 at http://127.0.0.1:' up.txt
fact "until Ctrl-C" bash -c "$(declare -f eventually foreground); set -m; socket=$socket; foreground INT"
: >"$socket"
fact "a file in the way is named" says "in the way" cloudskin up -d --s3 127.0.0.1:0
rm "$socket"
both() { # two at once: one of them is up
    local a=0 b=0 first
    timeout 60 cloudskin up -d --s3 127.0.0.1:0 >a.txt 2>&1 &
    first=$!
    timeout 60 cloudskin up -d --s3 127.0.0.1:0 >b.txt 2>&1 || b=$?
    wait "$first" || a=$?
    [ $((a + b)) -eq 71 ] && cloudskin down
}
for i in 1 2 3 4 5; do
    fact "of two at once one is up ($i)" both
done
chmod 644 state/cloudskin/s3-keys
fact "keys that others can read are refused" exits 71 cloudskin keys
fact "up refuses them" says "chmod 600" cloudskin up -d --s3 127.0.0.1:0
chmod 600 state/cloudskin/s3-keys
chmod 755 run/cloudskin
fact "an open folder of sockets is refused" says "not a private folder" cloudskin up -d --s3 127.0.0.1:0
chmod 700 run/cloudskin
CLOUDSKIN_CONTROLLER=nonsense fact "a controller that is no address is refused" exits 64 cloudskin up
fact "an address that is none is refused" exits 64 cloudskin up --s3 nonsense
for verb in up down keys; do
    fact "$verb refuses an unknown option" exits 64 cloudskin $verb --nonsense
    fact "$verb refuses arguments" exits 64 cloudskin $verb nonsense
done
fact "down refuses a timeout that is no time" exits 64 cloudskin down --timeout soon
finish
