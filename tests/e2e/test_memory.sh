#!/usr/bin/env bash
# What is in a bucket with the rule is kept in memory: budget, order, removal, a restart, and a limit of the system.
set -uo pipefail
. "$E2E/lib.sh"
unset CLOUDSKIN_CONTROLLER CLOUDSKIN_TOKEN CLOUDSKIN_TOKEN_FILE CLOUDSKIN_CA CLOUDSKIN_CERT CLOUDSKIN_KEY
export XDG_STATE_HOME=$PWD/state XDG_RUNTIME_DIR=$PWD/run
mkdir -m 700 run state
trap 'cloudskin down >/dev/null 2>&1' EXIT

up() { # up OPTIONS...
    timeout 60 cloudskin up -d --s3 127.0.0.1:0 --metrics 127.0.0.1:0 "$@" >up.txt
}
tier() { # tier EXPRESSION: is it true of what `cloudskin tier --json` says?
    timeout 20 cloudskin tier --json | python3 -c 'import json, sys
t = json.load(sys.stdin)
sys.exit(not eval(sys.argv[1]))' "$1"
}
metric() { # metric LINE
    timeout 20 curl -fsS "http://$(sed -n 's|^# metrics at http://\(.*\)/metrics$|\1|p' up.txt)/metrics" | grep -E "^$1\$" >metric.log
}
locked() { # locked BYTES: does the controller have so many bytes locked, and some for its keys?
    awk -v want="$1" '{ has = $2 * 1024 } has >= want && has < want + 65536 { found = 1 } END { exit !found }' \
        < <(grep VmLck "/proc/$(cloudskin stat | awk '$1 == "process" { print $2 }')/status")
}
page=$(getconf PAGESIZE)
each=$((3000000 / page * page + page)) # whole pages of a file of 3,000,000 bytes

fact "a size that is none is refused" exits 64 up --memory much
fact "up" up
cloudskin mb geds://hot
cloudskin mb geds://cold
fact "nothing is in memory" eval 'tier "t[\"memory_budget_bytes\"] == 0 and t[\"memory_files\"] == 0" && ! cloudskin tier | grep ^memory >shown.txt'
fact "the rule of a bucket" prints "geds://hot: watermark, in memory" cloudskin tier --memory on geds://hot
fact "is kept" prints "geds://hot: watermark, in memory" cloudskin tier geds://hot
fact "one that is none is refused" exits 64 cloudskin tier --memory much geds://hot
fact "so it is without a bucket" exits 64 cloudskin tier --memory on
fact "a bucket that is not there is" exits 127 cloudskin tier --memory on geds://none
fact "a start with a budget" eval 'cloudskin down && up --memory 7M'
for i in 1 2 3; do
    head -c 3000000 /dev/urandom >"f$i"
done
cloudskin put f1 geds://hot/
cloudskin put f2 geds://hot/
cloudskin put f3 geds://cold/
fact "what is written into it is in memory" eventually tier "t['memory_files'] == 2 and t['memory_bytes'] == 2 * $each and t['memory_promoted'] == 2"
fact "locked, as the system says" locked $((2 * each))
fact "it is shown" eval 'cloudskin tier | grep -E "^memory +5\.7 MiB +2 files of 7\.0 MiB, 0 waiting$" >shown.txt'
fact "it is read from there" eval 'cloudskin get geds://hot/f1 b && cmp f1 b && cloudskin get geds://hot/f1 b && cmp f1 b'
fact "other buckets are read from disk" eval 'cloudskin get geds://cold/f3 b && cmp f3 b'
fact "what was used longest ago leaves" eval 'cloudskin put f3 geds://hot/ && eventually tier "t[\"memory_evicted\"] == 1 and t[\"memory_files\"] == 2 and t[\"memory_promoted\"] == 3"'
fact "in numbers for Prometheus" metric "cloudskin_memory_bytes $((2 * each))"
fact "with the budget" metric "cloudskin_memory_budget_bytes 7340032"
fact "a restart, which needs no option, brings them back" eval 'cloudskin down && up && eventually tier "t[\"memory_files\"] == 2 and t[\"memory_promoted\"] == 2"'
fact "what is written goes on coming" eval 'cloudskin put f2 geds://hot/n && eventually tier "t[\"memory_promoted\"] == 3"'
fact "what is removed leaves" eval 'cloudskin rm geds://hot/n && eventually tier "t[\"memory_files\"] == 1"'
fact "so does all of a bucket without the rule" eval 'cloudskin tier --memory off geds://hot >/dev/null && eventually tier "t[\"memory_files\"] == 0"'
fact "nothing is locked any more" eval '! locked '"$each"
[ "$(id -u)" = 0 ] && as_others=(setpriv --bounding-set -ipc_lock --inh-caps -ipc_lock) || as_others=()
limited() { # as somebody who may lock 4 MiB
    (ulimit -l 4096 && exec timeout 60 "${as_others[@]}" cloudskin up -d --s3 127.0.0.1:0 --metrics 127.0.0.1:0 >up.txt)
}
fact "less can be locked" eval 'cloudskin down && limited'
cloudskin tier --memory on geds://hot >/dev/null
cloudskin put f1 geds://hot/
cloudskin put f2 geds://hot/
fact "which is told" eventually tier "t['memory_limit_bytes'] == 4194304 and 'RLIMIT_MEMLOCK' in t['memory_limit']"
fact "to people" eval 'cloudskin tier | grep "4.0 MiB  at most: RLIMIT_MEMLOCK" >shown.txt'
fact "and in the log, once" eval '[ "$(grep -c "memory.limited bytes=4194304" state/cloudskin/controller.log)" = 1 ]'
fact "the store goes on" eval 'cloudskin get geds://hot/f2 b && cmp f2 b'
fact "off" eval 'cloudskin down && up --memory 0 && tier "t[\"memory_budget_bytes\"] == 0"'
fact "stays so" eval 'cloudskin down && up && tier "t[\"memory_budget_bytes\"] == 0"'
fact "down" cloudskin down
finish
