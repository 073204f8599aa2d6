#!/usr/bin/env bash
# cloudskin relocate: objects in memory, on local disk, on nodes, in the tier, and back; what cannot be is said.
set -uo pipefail
. "$E2E/lib.sh"
. "$E2E/../../tools/completion/cloudskin.bash"
unset CLOUDSKIN_CONTROLLER CLOUDSKIN_TOKEN CLOUDSKIN_TOKEN_FILE CLOUDSKIN_CA CLOUDSKIN_CERT CLOUDSKIN_KEY
export XDG_STATE_HOME=$PWD/state XDG_RUNTIME_DIR=$PWD/run
mkdir -m 700 run state
far_socket=unix:$PWD/far.socket
pids=()
trap 'for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null; done; cloudskin down >/dev/null 2>&1
CLOUDSKIN_CONTROLLER=$far_socket cloudskin down >/dev/null 2>&1' EXIT

far() { # far COMMAND...: at the store that is the tier
    CLOUDSKIN_CONTROLLER=$far_socket "$@"
}
up() {
    timeout 60 cloudskin up -d --s3 127.0.0.1:0 --metrics none "$@" >up.txt
}
tier() { # tier EXPRESSION: is it true of what `cloudskin tier --json` says?
    timeout 20 cloudskin tier --json | python3 -c 'import json, sys
t = json.load(sys.stdin)
n = {node["name"]: node for node in t["nodes"]}
sys.exit(not eval(sys.argv[1]))' "$1"
}
relocate() { # relocate OPTIONS PLACE...
    timeout 120 cloudskin relocate "$@"
}
json() { # json EXPRESSION OPTIONS PLACE...: is it true of each of the results?
    local expression=$1
    shift
    relocate --json "$@" >out.json && python3 -c 'import json, sys
for d in json.load(open("out.json")):
    assert eval(sys.argv[1]), d' "$expression"
}
all_same() {
    local i
    for i in 1 2 3; do
        rm -f back
        cloudskin get -q "geds://box/a/f$i" back && cmp "f$i" back || return 1
    done
}
head -c 3000000 /dev/urandom >f1
head -c 2000000 /dev/urandom >f2
head -c 1000000 /dev/urandom >f3
echo small >small

fact "up, with nothing but a disk" up
cloudskin mb geds://box
cloudskin mb geds://other
cloudskin put -q f1 f2 f3 small geds://box/a/
cloudskin put -q f1 geds://box/b
for wrong in '' 'geds://box' '--to geds://box' '--to disk' '--to far geds://box' '--to nodes --copies 0 geds://box' '--to nodes --copies 9 geds://box' \
    '--to nodes --copies x geds://box' '--to disk --copies 2 geds://box' '--to disk box' '--nonsense'; do
    fact "wrong usage: relocate $wrong" exits 64 relocate $wrong
done
fact "the places are named" says "memory, disk, nodes or tier" relocate geds://box
fact "a bucket that is not there" exits 127 relocate --to disk geds://none
fact "an object that is not there" exits 127 relocate --to disk geds://box/none
fact "nothing below a prefix is no error" prints "geds://box/none/: 0 objects on local disk, 0 bytes came there" relocate --to disk geds://box/none/
fact "a store without a tier" says "cloudskin up --tier" relocate --to tier geds://box
fact "ends with 65" exits 65 relocate --to tier geds://box
fact "one without nodes" says "cloudskin node" relocate --to nodes geds://box
fact "one without memory" says "cloudskin up --memory" relocate --to memory geds://box
fact "all is on local disk" prints "geds://box: 5 objects on local disk, 0 bytes came there" relocate --to disk geds://box
cloudskin down

fact "a store that is its tier" eval 'far timeout 60 cloudskin up -d --state "$PWD/far" --s3 127.0.0.1:0 --metrics none >far.txt && far cloudskin mb geds://tier'
(umask 077 && far cloudskin keys --state "$PWD/far" | sed -n 's/^export AWS_[A-Z_]*=//p' | paste -sd ' ' >far.key)
fact "up, with all places" up --memory 5M --tier s3://tier --tier-endpoint "$(sed -n 's/^# S3 at \(http:[^;]*\);.*/\1/p' far.txt)" --tier-credentials far.key
for name in one two; do
    timeout 300 cloudskin node --name "$name" --state "$PWD/$name" --bytes 1G >>"$name.log" 2>&1 &
    pids+=($!)
done
fact "nodes join" eventually tier 'len(n) == 2 and n["one"]["state"] == n["two"]["state"] == "up"'

fact "to the tier" prints "geds://box/a/: 4 objects in the tier, 5.7 MiB came there" relocate --to tier geds://box/a/
fact "they are there, and no others" tier 't["tier_files"] == 3 and t["tier_bytes"] == 6000000 and t["local_files"] == 1'
fact "once more moves nothing" json 'd == {"place": "geds://box/a/", "to": "tier", "objects": 4, "moved_files": 0, "moved_bytes": 0, "kept_files": 0}' --to tier geds://box/a/
fact "they are read as before" all_same
fact "copies on nodes come from there" eventually json 'd["to"] == "nodes" and d["copies"] == 2 and d["objects"] == 4' --to nodes geds://box/a/
fact "one each" eventually tier 't["lacking_files"] == 0 and t["tier_files"] == 0 and n["one"]["copies"] + n["two"]["copies"] == 3'
fact "two each" prints "geds://box/a/f1: 1 objects on nodes, 3 copies, 2.9 MiB came there" relocate --to nodes --copies 3 geds://box/a/f1
fact "of that one object" eventually tier 'n["one"]["copies"] + n["two"]["copies"] == 4'
fact "more than there are nodes is refused" says "4 copies need 3 nodes" relocate --to nodes --copies 4 geds://box/a/
fact "and changes nothing" tier 't["lacking_files"] == 0 and n["one"]["copies"] + n["two"]["copies"] == 4'
fact "fewer are removed" eval 'relocate -q --to nodes --copies 1 geds://box/a/ && eventually tier "n[\"one\"][\"copies\"] + n[\"two\"][\"copies\"] == 0"'
fact "to memory" json 'd["moved_files"] == 1 and d["moved_bytes"] == {"geds://box/a/f2": 2000000, "geds://box/a/f3": 1000000}[d["place"]]' --to memory geds://box/a/f2 geds://box/a/f3
fact "two results were told" [ "$(grep -c '"place"' out.json)" = 2 ]
fact "they are there" tier 't["memory_files"] == 2 and t["memory_bytes"] >= 3000000'
fact "what does not fit is refused" exits 71 relocate --to memory geds://box/a/
fact "away from there" eval 'relocate -q --to disk geds://box/a/ >quiet.txt && [ ! -s quiet.txt ] && tier "t[\"memory_files\"] == 0 and t[\"tier_files\"] == 0"'
cloudskin pin -q geds://box/a/f1
fact "what is pinned is kept, and told" json 'd["moved_files"] == 2 and d["kept_files"] == 1' --to tier geds://box/a/
fact "also as text" prints "geds://box/a/f1: 1 objects in the tier, 0 bytes came there, 1 files are pinned or open and stay" relocate --to tier geds://box/a/f1
fact "back to disk" eval 'relocate -q --to disk geds://box/a/ && tier "t[\"tier_files\"] == 0"'
fact "all is there" all_same

far cloudskin down
fact "a tier that is away is an error" exits 71 relocate --to tier geds://box/b
fact "the others go on" eval '! relocate --to tier geds://box/b geds://other >both.txt && grep -q "^geds://other: 0 objects in the tier" both.txt'
fact "the object is where it was" eval 'rm -f back; cloudskin get -q geds://box/b back && cmp f1 back'

child() { # of timeout
    cat "/proc/$1/task/$1/children" | tr -d ' '
}
shown_on_a_terminal() { # nodes that stand still for a while: it takes more than a second
    local code stopped=()
    for code in "${pids[@]}"; do
        stopped+=("$(child "$code")")
    done
    kill -STOP "${stopped[@]}"
    { # more than a second is over before they go on
        read -r -t 1.5 <> <(:)
        kill -CONT "${stopped[@]}"
    } &
    script -qec 'timeout 100 cloudskin relocate --to nodes --copies 3 geds://box/a/' typescript >/dev/null || return 1
    wait "$!"
    cat -v typescript
    tr '\r' '\n' <typescript | finds '^geds://box/a/ .* MiB/s' && finds 'geds://box/a/: 4 objects on nodes, 3 copies, 5.7 MiB came there' <typescript
}
fact "progress is shown on a terminal" shown_on_a_terminal

offered() { # offered TEXT WORD...
    local text=$1
    shift
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE=$* COMP_POINT=${#COMP_LINE}
    _cloudskin
    printf '%s\n' "${COMPREPLY[@]}" | finds -xF -- "$text"
}
fact "completion has the verb" offered relocate cloudskin rel
fact "and its options" offered --copies cloudskin relocate --c
fact "and places" offered nodes cloudskin relocate --to n
cloudskin down
finish
