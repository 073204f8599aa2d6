#!/usr/bin/env bash
# Three controllers that share a store through etcd: the leader is killed in the midst of puts, again and again.
set -uo pipefail
. "$E2E/lib.sh"
unset CLOUDSKIN_CONTROLLER CLOUDSKIN_TOKEN CLOUDSKIN_TOKEN_FILE CLOUDSKIN_CA CLOUDSKIN_CERT CLOUDSKIN_KEY
etcd=$(command -v etcd || echo "${CLOUDSKIN_DEPS:-${XDG_CACHE_HOME:-$HOME/.cache}/cloudskin/deps}/etcd/etcd")
pids=()
# "timeout" is killed without what it runs
trap 'for pid in "${pids[@]}"; do pkill -9 -P "$pid"; kill -9 "$pid" 2>/dev/null; done' EXIT

client=$(free_port) peer=$(free_port)
start_etcd() {
    "$etcd" --data-dir "$PWD/etcd" --listen-client-urls "http://127.0.0.1:$client" \
        --advertise-client-urls "http://127.0.0.1:$client" --listen-peer-urls "http://127.0.0.1:$peer" \
        --initial-advertise-peer-urls "http://127.0.0.1:$peer" --initial-cluster "default=http://127.0.0.1:$peer" \
        >>etcd.log 2>&1 &
    etcd_pid=$!
    pids+=("$etcd_pid")
}
start_etcd
fact "etcd" eventually curl -fsS "http://127.0.0.1:$client/health"

controllers=() s3=() metrics=()
for i in 0 1 2; do
    controllers+=("tcp://127.0.0.1:$(free_port)")
    s3+=("127.0.0.1:$(free_port)")
    metrics+=("127.0.0.1:$(free_port)")
done
all=$(IFS=,; echo "${controllers[*]}")
pid_of=()
start() { # start NUMBER
    local i=$1 pid
    mkdir -p -m 700 "s$i"
    : >"c$i.txt"
    cat "c$i.log" >>"c$i.before" 2>/dev/null
    : >"c$i.log"
    timeout 500 cloudskin-controller --state "$PWD/s$i" --s3 "${s3[i]}" --metrics "${metrics[i]}" --greet \
        --listen "${controllers[i]#tcp://}" --etcd "127.0.0.1:$client" >>"c$i.txt" 2>>"c$i.log" &
    pid=$!
    pids+=("$pid")
    eventually grep -q '^#' "c$i.txt"
    pid_of[i]=$(tr -d ' ' <"/proc/$pid/task/$pid/children")
}
leader() { # its number
    for i in 0 1 2; do
        if timeout 5 cloudskin stat --controller "${controllers[i]}" >/dev/null 2>&1; then
            echo "$i"
            return
        fi
    done
    return 1
}
someone_leads() { leader >/dev/null; }
get() { # get KEY: from whoever leads
    timeout 60 cloudskin get --controller "$all" "geds://box/$1" -
}

start 0
export CLOUDSKIN_TOKEN_FILE=$PWD/s0/admin-token
fact "the first one leads" eventually someone_leads
cp c0.txt keys.txt
# the others have its tokens and keys
for i in 1 2; do
    mkdir -m 700 "s$i"
    cp -p s0/tokens s0/admin-token s0/s3-keys "s$i/"
    start "$i"
done
fact "the others get a copy and stand by" eval 'eventually grep -q etcd.follows c1.log && eventually grep -q etcd.follows c2.log'
fact "which they say" eval 'grep -q "^# stands by: the controller ${controllers[0]} leads" c1.txt'
fact "one that stands by says who leads" says "not the leader, it is ${controllers[0]}" exits 71 cloudskin ls --controller "${controllers[1]}" geds://
fact "a client of all of them finds it" cloudskin mb --controller "${controllers[2]},${controllers[1]},${controllers[0]}" geds://box

# What a load balancer and Prometheus are told
health() { # health NUMBER: code and text
    curl -s -w '%{http_code}' --max-time 20 "http://${metrics[$1]}/healthz"
}
is() { # is NUMBER NAME VALUE: has the controller this metric?
    curl -fsS --max-time 20 "http://${metrics[$1]}/metrics" | finds -x "cloudskin_etcd_$2 $3"
}
fact "the leader is healthy" prints $'ok\n200' health 0
fact "one that stands by is not the one to send to" prints "stands by: the controller ${controllers[0]} leads"$'\n503' health 1
fact "it says where its metrics are" grep -qx "# metrics at http://${metrics[1]}/metrics" c1.txt
fact "who leads" is 0 leads 1
fact "who does not" eval 'is 1 leads 0 && is 2 leads 0 && is 1 lease_left_seconds 0'
fact "how often it came to lead" eval 'is 0 elections_total 1 && is 1 elections_total 0'
same_place() { # what the leader's log has, the others have
    local head
    head=$(curl -fsS "http://${metrics[0]}/metrics" | sed -n 's/^cloudskin_etcd_head_entry //p')
    [ "$head" -ge 2 ] && is 1 applied_entry "$head" && is 1 head_entry "$head" && is 1 lag_entries 0 && is 1 term 1
}
fact "where in the log it is" eventually same_place
counted() { # counted NUMBER PURPOSE: requests, and their time
    curl -fsS "http://${metrics[$1]}/metrics" | finds "^cloudskin_etcd_requests_total{purpose=\"$2\"} [1-9]" &&
        curl -fsS "http://${metrics[$1]}/metrics" | finds "^cloudskin_etcd_request_seconds_total{purpose=\"$2\"} [0-9.]*[1-9]"
}
fact "requests to etcd are counted" eval 'counted 0 append && counted 0 follow && eventually counted 0 keep && counted 1 follow && ! counted 1 append'

# Puts go on while leaders are killed; what was acknowledged is written down.
put_all() { # put_all NAME
    local i=0 acknowledged=0
    : >"$1.done"
    while [ ! -e stop ] && [ "$i" -lt 20000 ]; do
        if echo "$1 $i" | timeout 60 cloudskin put --controller "$all" - "geds://box/$1/$i" >/dev/null 2>>"$1.err"; then
            echo "$i" >>"$1.done"
        fi
        i=$((i + 1))
    done
}
lost() { # acknowledged objects that are not there
    local name missing=0
    for name in one two; do
        sort "$name.done" >told.txt # before it is looked at what is there
        cloudskin ls --controller "$all" "geds://box/$name/" | sed 's|.*/||' | sort >there.txt
        missing=$((missing + $(comm -23 told.txt there.txt | wc -l)))
    done
    echo "$missing"
}
put_all one & one=$!
put_all two & two=$!
pids+=("$one" "$two")
some_more() { # some_more COUNT: acknowledged, more than there were
    local want
    want=$(($(cat one.done two.done | wc -l) + $1))
    enough() { [ "$(cat one.done two.done | wc -l)" -ge "$want" ]; }
    eventually enough
}
fact "puts are made" some_more 20
for round in 1 2; do
    first=$(leader)
    kill -9 "${pid_of[first]}"
    fact "$round: another one leads when the leader is killed" eval 'eventually someone_leads && [ "$(leader)" != "$first" ]'
    fact "$round: clients go on" some_more 20
    start "$first"
    fact "$round: the former one stands by" eventually grep -q etcd.follows "c$first.log"
    fact "$round: what was acknowledged is there" prints 0 lost
done

# A leader that stands still, and then goes on: it tells nothing any more.
first=$(leader)
kill -STOP "${pid_of[first]}"
stalled() { leader >still.txt && [ "$(cat still.txt)" != "$first" ]; }
fact "another one leads when the leader stands still" eventually stalled
fact "clients go on without it" some_more 20
next=$(leader)
fact "which is counted" eval 'is "$next" leads 1 && ! is "$next" elections_total 0 && ! is "$next" leader_changes_total 0'
kill -CONT "${pid_of[first]}"
fact "which tells nothing of what it had" eval '! timeout 20 cloudskin ls --controller "${controllers[first]}" geds://box/'
refuses() { says "not the leader, it is " exits 71 timeout 20 cloudskin ls --controller "${controllers[first]}" geds://box/; }
fact "and then says who leads" eventually refuses
fact "it has lost once" eventually is "$first" losses_total 1

# etcd away: nothing is acknowledged, nothing is lost
kill -9 "$etcd_pid"
failures() { curl -fsS "http://${metrics[$1]}/metrics" | finds "^cloudskin_etcd_request_errors_total{purpose=\"$2\"} [1-9]"; }
fact "without etcd a change is refused" eval '! echo x | timeout 60 cloudskin put --controller "$all" - geds://box/refused 2>refused.txt'
fact "failures are counted" eval 'eventually failures 0 follow && eventually failures 1 follow && eventually failures 2 follow'
fact "nobody is healthy" eval '! { health 0 && health 1 && health 2; } | finds 200'
start_etcd
fact "with it again changes are made" some_more 20
touch stop
wait "$one" "$two"
fact "all that was acknowledged is there" prints 0 lost
fact "bytes are those that were put" prints "one $(tail -n 1 one.done)" get "one/$(tail -n 1 one.done)"

# S3, and bytes that are on one disk only, or on a node as well
eval "$(grep ^export keys.txt)"
s3() { # s3 KEY OPTIONS...: at whoever leads
    local key=$1
    shift
    curl -fsS -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' --aws-sigv4 aws:amz:us-east-1:s3 \
        --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" "$@" "http://${s3[$(leader)]}/box/$key"
}
kill_leader() {
    first=$(leader)
    kill -9 "${pid_of[first]}"
    eventually someone_leads
}
head -c 100000 /dev/urandom >big
fact "the leader's S3 has what was put" eval 's3 one/0 | finds "one 0"'
fact "it takes objects" s3 s3/small -T stop
cloudskin put --controller "$all" big geds://box/alone
timeout 400 cloudskin node --name edge --state "$PWD/node" --bytes 1G --controller "$all" >>node.log 2>&1 &
pids+=("$!")
cloudskin mb --controller "$all" geds://copies
cloudskin tier --controller "$all" --replicas 2 geds://copies >/dev/null
node_is_up() { cloudskin tier --controller "$all" --json | python3 -c 'import json, sys
sys.exit(json.load(sys.stdin)["nodes"][0]["state"] != "up")'; }
fact "a node joins who leads" eventually node_is_up
fact "a put with a copy there" cloudskin put --controller "$all" big geds://copies/
fact "the next leader" kill_leader
fact "has what S3 took" s3 s3/small
fact "gets from the node what it has not" eval 'eventually cloudskin get --controller "$all" geds://copies/big again && cmp big again'
fact "says where the bytes are that are on the former one's disk" says "on the disk of the controller ${controllers[first]} only" exits 71 cloudskin get --controller "$all" geds://box/alone -
fact "and does not call them damaged" cloudskin fsck --controller "$all"
start "$first"

# one name that many want: one gets it, whoever leads
race() { # race NUMBER: everybody wants it, and the leader is killed meanwhile
    local i racers=()
    for i in 1 2 3 4; do
        (echo "$i" | timeout 60 cloudskin put -n --controller "$all" - "geds://box/race$1" >/dev/null 2>&1 &&
            echo "$i" >>"race$1.won") &
        racers+=("$!")
    done
    [ "$1" -ne 2 ] || kill -9 "${pid_of[$(leader)]}"
    wait "${racers[@]}"
    eventually someone_leads
}
for i in 1 2 3; do
    : >"race$i.won"
    race "$i"
done
wins() { # of each name at most one, and that is what is there; where the leader stays, one
    local i
    for i in 1 2 3; do
        [ "$(wc -l <"race$i.won")" -le 1 ] || return 1
        [ "$i" -eq 2 ] || [ -s "race$i.won" ] || return 1
        [ ! -s "race$i.won" ] || [ "$(get "race$i")" = "$(cat "race$i.won")" ] || return 1
    done
}
fact "of who wants a name at most one is told that it is his" wins

for i in 0 1 2; do
    kill -TERM "${pid_of[i]}" 2>/dev/null
done
opened_alone() { timeout 60 cloudskin-controller --state "$PWD/s$first" --s3 127.0.0.1:0 --metrics none; }
stopped() { ! kill -0 "${pid_of[first]}"; }
fact "all stop" eventually stopped
fact "a store that is shared is not opened alone" says "--etcd" exits 64 opened_alone
finish
