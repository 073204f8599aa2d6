#!/usr/bin/env bash
# A store whose tier is another store's S3 endpoint: bytes go there and come back, outages, restarts, kills, damage.
set -uo pipefail
. "$E2E/lib.sh"
unset CLOUDSKIN_CONTROLLER
export XDG_STATE_HOME=$PWD/state XDG_RUNTIME_DIR=$PWD/run
mkdir -m 700 run state
far_socket=unix:$PWD/far.socket
trap 'cloudskin down >/dev/null 2>&1; CLOUDSKIN_CONTROLLER=$far_socket cloudskin down >/dev/null 2>&1
CLOUDSKIN_CONTROLLER=unix:$PWD/far2.socket cloudskin down >/dev/null 2>&1' EXIT

far() { # far COMMAND...: at the store that is the tier
    CLOUDSKIN_CONTROLLER=$far_socket "$@"
}
far_port=0
far_up() {
    far timeout 60 cloudskin up -d --state "$PWD/far" --s3 "127.0.0.1:$far_port" >far.txt || return 1
    far_port=$(sed -n 's/^# S3 at http:.*:\([0-9]*\);.*/\1/p' far.txt)
}
up() {
    timeout 60 cloudskin up -d --s3 127.0.0.1:0 "$@" >up.txt
}
down() {
    timeout 60 cloudskin down
}
json() { # json EXPRESSION COMMAND...: is the output one JSON text, and this true of it?
    local expression=$1
    shift
    "$@" >out.json && python3 -c "import json; d = json.load(open('out.json')); assert $expression, d"
}
tier() { # tier EXPRESSION: is this true of `cloudskin tier`?
    json "$1" cloudskin tier --json
}
same() { # same FILE PLACE: are these the same bytes?
    rm -f back && cloudskin get -q "$2" back && cmp "$1" back
}
all_same() {
    local i
    for i in $(seq 1 "$1"); do
        same "file$i" "geds://box/file$i" || return 1
    done
}

for i in $(seq 1 12); do
    head -c 2000000 /dev/urandom >"file$i"
done
head -c 40000000 /dev/urandom >large
echo small >small
fact "the tier is up" far_up
fact "it has a bucket" far cloudskin mb geds://tier
far cloudskin keys --state "$PWD/far" | sed -n 's/^export AWS_[A-Z_]*=//p' | paste -sd ' ' >far.key
options=(--tier s3://tier/of/this --tier-endpoint "http://127.0.0.1:$far_port")

chmod 644 far.key
fact "credentials that others may read are refused" says "others may use it" up "${options[@]}" --tier-credentials far.key
chmod 600 far.key
fact "a tier needs credentials" says "--tier-credentials" up "${options[@]}"
fact "a tier needs an endpoint" says "--tier-endpoint" up --tier s3://tier --tier-credentials far.key
fact "a tier is an S3 place" says "is not s3://BUCKET" up --tier /tier --tier-endpoint http://127.0.0.1:1 --tier-credentials far.key
fact "a size is a size" exits 64 up --local-bytes much
fact "a store without a tier" up
cloudskin mb geds://box
cloudskin put -q file1 geds://box/
fact "it says so" bash -c 'cloudskin tier | finds "^tier *none"'
fact "nothing can be moved there" says "cloudskin up --tier" cloudskin spill geds://box/file1
fact "an object can be pinned before" bash -c 'cloudskin pin geds://box/file1 | finds "1 objects stay"'
fact "and is" tier 'd["pinned_files"] == 1'
fact "there is nothing to recall" bash -c 'cloudskin spill --recall geds://box/ | finds "0 bytes fetched"'
fact "it is down" down
fact "it gets a tier" up "${options[@]}" --tier-credentials far.key --local-bytes 10M --cache-bytes 16M
fact "the tier is shown" bash -c 'cloudskin tier | finds "^tier *s3://tier/of/this at http://127.0.0.1:"'
fact "credentials are the owner's alone" test "$(stat -c %a state/cloudskin/tier.key)" = 600
secret=$(cut -d ' ' -f 2 far.key)
fact "they are nowhere else" bash -c '! grep -rlF "$1" state/cloudskin | grep -v "/tier.key$"' _ "$secret"

fact "what was pinned before stays" bash -c 'cloudskin spill geds://box/ | finds "1 files are pinned or open and stay"'
cloudskin pin -q --off geds://box/
fact "an object is moved" bash -c 'cloudskin spill geds://box/file1 | finds "1 objects, 1.9 MiB moved to the tier"'
fact "it is there only" tier 'd["objects"] == 1 and d["tier_bytes"] == 2000000 and d["local_files"] == 0 and d["spilled_files"] == 1'
fact "the other store has it" json 'len(d) == 1 and d[0]["key"].startswith("of/this/")' far cloudskin ls -r --json geds://tier
fact "it can be shown" json 'd["size"] == 2000000' cloudskin stat --json geds://box/file1
fact "it is read" same file1 geds://box/file1
fact "a part of it is read" bash -c 'cloudskin get --range 1000000-1000099 geds://box/file1 part && cmp part <(tail -c +1000001 file1 | head -c 100)'
fact "the second read comes from the cache" tier 'd["cache_hits"] > 0 and d["fetched_bytes"] <= 3000000'
fact "a copy moves nothing" bash -c 'cloudskin cp geds://box/file1 geds://box/copy && cloudskin mv geds://box/copy geds://box/copy2'
fact "it is there only, too" tier 'd["local_files"] == 0'
fact "it is read, too" same file1 geds://box/copy2
fact "it comes back" bash -c 'cloudskin spill --recall geds://box/file1 | finds "1.9 MiB fetched"'
fact "it is local" tier 'd["local_files"] == 1 and d["copied_files"] == 1 and d["tier_files"] == 0'
cloudskin rm geds://box/copy2
fact "a small object stays in the database" bash -c 'cloudskin put -q small geds://box/ && cloudskin spill geds://box/small && cloudskin get geds://box/small - | cmp - small'

fact "more than there is room for" bash -c 'for i in $(seq 2 12); do cloudskin put -q file$i geds://box/ || exit; done'
fact "the oldest were moved" eventually tier 'd["local_bytes"] <= 10485760 and d["backlog_bytes"] == 0 and d["tier_files"] >= 6'
fact "all can be read" all_same 12
cloudskin tier --json >before.json
fact "a pinned one is fetched" bash -c 'cloudskin pin geds://box/file2 | finds "stay"'
fact "it is pinned" tier 'd["pinned_files"] == 1'
fact "it is not moved" bash -c 'cloudskin spill geds://box/ | finds "1 files are pinned or open and stay"'
fact "the others are" tier 'd["local_files"] == 1'
fact "it is let go" bash -c 'cloudskin pin --off geds://box/file2 && cloudskin spill geds://box/file2'
fact "nothing is local" tier 'd["local_files"] == 0 and d["tier_files"] == 12'
fact "a restart needs no options" bash -c 'cloudskin down && timeout 60 cloudskin up -d --s3 127.0.0.1:0 >up.txt'
fact "all can be read after it" all_same 12
fact "a large one goes in parts" bash -c 'cloudskin put -q large geds://box/ && cloudskin spill -q geds://box/large'
fact "and is read" same large geds://box/large
s3_get() { # the status of a GET, whose body is in answer
    eval "$(cloudskin keys)"
    python3 "$E2E/s3/get.py" "$(cloudskin stat | awk '$1 == "S3" { print $2 }')" "box/$1" answer
}
fact "S3 clients are answered" prints 200 s3_get large
fact "with all bytes" cmp answer large
fact "nothing is wrong with either" bash -c 'cloudskin fsck --remote && CLOUDSKIN_CONTROLLER='"$far_socket"' cloudskin fsck'

fact "the tier goes away" far cloudskin down
fact "what is there only cannot be read" says "the tier is away" cloudskin get geds://box/file3 back
fact "S3 clients are told to come back" prints 503 s3_get file4
fact "with a code that they know" grep -q "<Code>ServiceUnavailable</Code>" answer
fact "it can be shown and listed" bash -c 'cloudskin stat geds://box/file3 && cloudskin ls geds://box/ | finds file3'
fact "fsck of the tier says why it cannot" exits 71 cloudskin fsck --remote
fact "fsck without it works" cloudskin fsck
fact "writes go on" bash -c 'for i in $(seq 1 12); do cloudskin put -q file$i geds://box/new$i || exit; done'
fact "they wait" eventually tier 'd["away"] and d["backlog_bytes"] > 10000000 and d["error"] != ""'
fact "that is shown" bash -c 'cloudskin tier | finds "^away since 20"'
fact "they are there" same file12 geds://box/new12
fact "deletes go on" cloudskin rm geds://box/file1 geds://box/new1
fact "the store starts without its tier" bash -c 'cloudskin down && timeout 60 cloudskin up -d --s3 127.0.0.1:0 >up.txt'
fact "what is local is read" same file11 geds://box/new11
fact "the tier comes back" far_up
fact "all is moved then" eventually tier 'not d["away"] and d["backlog_bytes"] == 0 and d["doomed_files"] == 0 and d["local_bytes"] <= 10485760'
old() {
    local i
    for i in $(seq 2 12); do
        same "file$i" "geds://box/file$i" && same "file$i" "geds://box/new$i" || return 1
    done
}
fact "all can be read again" old

gone() {
    ! kill -0 "$1" 2>/dev/null
}
kill_while_it_moves() {
    local pid i
    for i in 1 2 3 4; do
        cloudskin spill --recall -q geds://box/ >/dev/null 2>&1
        pid=$(cloudskin stat | awk '$1 == "process" { print $2 }')
        cloudskin spill -q geds://box/ >/dev/null 2>&1 &
        read -r -t "0.$((RANDOM % 5))" <> <(:) || true
        kill -9 "$pid"
        wait
        eventually gone "$pid" && up || return 1
    done
}
fact "killed in the middle of moves" kill_while_it_moves
fact "nothing is lost" old
fact "nothing is wrong" cloudskin fsck --remote --repair
kill_far() {
    local pid
    pid=$(far cloudskin stat | awk '$1 == "process" { print $2 }')
    cloudskin spill --recall -q geds://box/ && cloudskin put -q large geds://box/large2 || return 1
    cloudskin spill -q geds://box/ >/dev/null 2>&1 &
    read -r -t 0.3 <> <(:) || true
    kill -9 "$pid"
    wait
    eventually gone "$pid" && far_up && eventually cloudskin spill -q geds://box/
}
fact "the tier is killed in the middle of moves" kill_far
fact "nothing is lost by that" old
fact "the large ones are whole" bash -c 'cloudskin get -q geds://box/large2 back && cmp back large'
fact "nothing is wrong with the tier" bash -c 'cloudskin fsck --remote && CLOUDSKIN_CONTROLLER='"$far_socket"' cloudskin fsck'

cloudskin spill --recall -q geds://box/file5
damage() {
    python3 - <<'PY'
import os
root = "state/cloudskin/geds/data"
for folder, _, names in os.walk(root):
    for name in names:
        path = os.path.join(folder, name)
        if os.path.getsize(path) == 2000000:
            with open(path, "r+b") as f:
                f.seek(70000)
                f.write(b"damage")
PY
}
fact "a local file is damaged" damage
fact "it is read from its copy" same file5 geds://box/file5
fact "and repaired" eventually tier 'd["repaired"] >= 1'
fact "nothing is wrong any more" eventually cloudskin fsck
lost() {
    far cloudskin rm "geds://tier/$(far cloudskin ls -r --json geds://tier | python3 -c 'import json, sys
print(next(e["key"] for e in json.load(sys.stdin) if e["size"] == 2000000))')"
}
fact "with more room all comes back" bash -c 'cloudskin down && timeout 60 cloudskin up -d --s3 127.0.0.1:0 --local-bytes 10G >up.txt &&
    cloudskin spill --recall -q geds://box/'
fact "a copy is lost in the tier" lost
fact "fsck --remote finds it" bash -c '! cloudskin fsck --remote >found; grep -q "in the tier: extent .* is not there, it has local bytes" found'
fact "fsck --remote --repair has it copied again" cloudskin fsck --remote --repair
fact "all can be read still" old

fact "a rule of a bucket" prints "geds://box: watermark" cloudskin tier geds://box
fact "it is changed" prints "geds://box: eager" cloudskin tier --spill eager geds://box
fact "what is written is copied at once" bash -c 'cloudskin put -q file1 geds://box/eager'
fact "as was wanted" eventually tier 'd["eager_bytes"] == 0 and d["copied_files"] == d["local_files"]'
fact "a rule that is none" exits 64 cloudskin tier --spill now geds://box
fact "a rule of no bucket" exits 127 cloudskin tier geds://nobox
cloudskin spill -q geds://box/file2
fact "another tier is refused while this one is used" bash -c 'cloudskin down && ! cloudskin up -d --tier none 2>said; grep -q "are in s3://tier/of/this and nowhere else" said'
far2_socket=unix:$PWD/far2.socket
far2() {
    CLOUDSKIN_CONTROLLER=$far2_socket "$@"
}
far2 timeout 60 cloudskin up -d --state "$PWD/far2" --s3 127.0.0.1:0 >far2.txt
far2 cloudskin mb geds://tier
far2 cloudskin keys --state "$PWD/far2" | sed -n 's/^export AWS_[A-Z_]*=//p' | paste -sd ' ' >far2.key
chmod 600 far2.key
far2_port=$(sed -n 's/^# S3 at http:.*:\([0-9]*\);.*/\1/p' far2.txt)
fact "a server without what was sent is refused" says "and none of them at http://127.0.0.1:$far2_port" up --tier-endpoint "http://127.0.0.1:$far2_port" --tier-credentials far2.key
far2 cloudskin down
fact "a start that is refused changes no credentials" bash -c '! cloudskin up -d --tier-style odd --tier-credentials far2.key 2>said && grep -q tier-style said && cmp <(tr -d " \n" <far.key) <(tr -d " \n" <state/cloudskin/tier.key)'
fact "the same server by another name is fine" up --tier-endpoint "http://localhost:$far_port"
fact "what is there is read" same file2 geds://box/file2
fact "the former name is, too" bash -c 'cloudskin down && timeout 60 cloudskin up -d --s3 127.0.0.1:0 --tier-endpoint "http://127.0.0.1:$1" >up.txt && cloudskin down' _ "$far_port"
cp state/cloudskin/tier.conf saved.conf
echo nonsense >>state/cloudskin/tier.conf
fact "a damaged tier.conf is refused" says "a line is not" up
fact "its exit code says so" exits 65 up
cp saved.conf state/cloudskin/tier.conf
sed 's/ .*/ wrongsecretwrongsecretwrongsecretwrong12/' far.key >wrong.key
chmod 600 wrong.key
fact "it starts with keys that are not right" up --tier-credentials wrong.key
fact "which a reader is told" says "the tier is away" cloudskin get geds://box/file2 back
fact "and is shown" tier 'd["away"] and "SignatureDoesNotMatch" in d["error"]'
fact "the secret is in no log" bash -c '! grep -q wrongsecret state/cloudskin/controller.log'
fact "it starts with the right ones" bash -c 'cloudskin down && timeout 60 cloudskin up -d --s3 127.0.0.1:0 --tier-credentials far.key >up.txt'
fact "and reads again" same file2 geds://box/file2
fact "--watch shows again and again" bash -c 'timeout -s INT 3 cloudskin tier --watch=0.2 >shown; [ "$(grep -c ^local shown)" -ge 3 ]'
fact "moves of what is not there" exits 127 cloudskin pin geds://box/none
fact "wrong usage" exits 64 cloudskin spill --nonsense geds://box
fact "no place" exits 64 cloudskin pin
fact "all is deleted" cloudskin rm -r geds://box
far_is_empty() {
    json 'd == []' far cloudskin ls -r --json geds://tier
}
fact "in the tier as well" eventually far_is_empty
fact "the tier is given up" bash -c 'cloudskin down && timeout 60 cloudskin up -d --s3 127.0.0.1:0 --tier none >up.txt'
fact "there is none then" bash -c 'cloudskin tier | finds "^tier *none"'
finish
