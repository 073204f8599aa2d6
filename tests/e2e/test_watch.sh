#!/usr/bin/env bash
# `watch`: what each verb and S3 clients do is printed, once and in order; goes on over restarts; ends when asked to.
set -uo pipefail
. "$E2E/lib.sh"
unset CLOUDSKIN_CONTROLLER AWS_PROFILE AWS_SESSION_TOKEN
export XDG_STATE_HOME=$PWD/state XDG_RUNTIME_DIR=$PWD/run
export AWS_CONFIG_FILE=$PWD/none AWS_SHARED_CREDENTIALS_FILE=$PWD/none AWS_EC2_METADATA_DISABLED=true
mkdir -m 700 run state
pids=()
trap 'kill "${pids[@]}" 2>/dev/null; cloudskin down >/dev/null 2>&1' EXIT
clients=$(python3 "$E2E/s3/clients.py") || {
    echo "the clients cannot be installed"
    exit 1
}
up() {
    timeout 60 cloudskin up -d --s3 127.0.0.1:0 >up.txt || return 1
    endpoint=http://$(cloudskin stat | awk '$1 == "S3" { print $2 }')
}
watching() { # watching NAME ARGUMENTS...: in the background, with output in NAME.out; waits until it has begun
    local name=$1
    shift
    timeout 120 cloudskin watch "$@" >"$name.out" 2>"$name.err" &
    pids+=($!)
    pid=$!
    eventually grep -q ' from [0-9]' "$name.err"
}
lines() { # lines FILE: event and names, without times and numbers
    awk '{ $1 = $2 = ""; print substr($0, 3) }' "$1"
}
has_lines() { # has_lines FILE COUNT
    [ "$(wc -l <"$1")" -ge "$2" ]
}
ends() { # ends PID CODE
    local got=0
    wait "$1" || got=$?
    [ "$got" -eq "$2" ] || {
        echo "exit code $got"
        return 1
    }
}

echo hello >small
fact "nothing is up: it says what to do" says "cloudskin up" cloudskin watch geds://scenes
fact "its exit code says so" exits 127 cloudskin watch geds://scenes
fact "it is up" up
fact "a bucket is missing" says "cloudskin mb geds://scenes" cloudskin watch geds://scenes
fact "its exit code says so" exits 127 cloudskin watch geds://scenes
cloudskin mb geds://scenes && cloudskin mb geds://other
fact "a place is needed" exits 64 cloudskin watch
fact "a number is one" exits 64 cloudskin watch --from x geds://scenes
fact "so is a count" exits 64 cloudskin watch -n 0 geds://scenes
fact "one name is a name" exits 64 cloudskin watch -x geds://scenes
fact "a path is no place" exits 64 cloudskin watch scenes

watching all geds://scenes
all=$pid
watching json --json -n 3 geds://scenes/a
json=$pid
watching one -x -n 2 geds://scenes/a
one=$pid
cloudskin put small geds://scenes/a
cloudskin put small geds://scenes/ab
cloudskin put small geds://other/a
cloudskin cp geds://scenes/a geds://scenes/b
cloudskin mv geds://scenes/a geds://scenes/c
cloudskin put small geds://scenes/dir/
cloudskin mv -r geds://scenes/dir geds://scenes/folder
cloudskin rm geds://scenes/b
eval "$(cloudskin keys)"
"$clients/aws" --endpoint-url "$endpoint" --region us-east-1 s3 cp --quiet small s3://scenes/s3
"$clients/aws" --endpoint-url "$endpoint" --region us-east-1 s3 rm --quiet s3://scenes/s3
fact "one that counts ends with 0" ends "$json" 0
fact "so does one of a name" ends "$one" 0
fact "the others are told all" eventually has_lines all.out 9
lines all.out >all.txt
cat >want.txt <<'END'
created geds://scenes/a 6
created geds://scenes/ab 6
created geds://scenes/b 6
renamed geds://scenes/a -> geds://scenes/c 6
created geds://scenes/dir/small 6
renamed-prefix geds://scenes/dir/ -> geds://scenes/folder/
deleted geds://scenes/b
END
fact "in order, with both names of a rename" bash -c 'head -7 all.txt | sed "s/  */ /g" | diff - want.txt'
fact "what S3 made" grep -q 'created *geds://scenes/s3 6' all.txt
fact "and what it removed" grep -q 'deleted *geds://scenes/s3$' all.txt
fact "nothing of another bucket" bash -c '! grep -q other all.txt'
fact "numbers go up by one" awk 'NR > 1 && $2 < last + 1 { exit 1 } { last = $2 }' all.out
fact "JSON is a line for each" python3 -c '
import json
e = [json.loads(line) for line in open("json.out")]
assert [x["event"] for x in e] == ["created", "created", "renamed"], e
assert e[2]["from_key"] == "a" and e[2]["key"] == "c" and e[2]["bucket"] == "scenes" and e[2]["size"] == 6, e
assert e[1]["number"] > e[0]["number"] and e[0]["etag"] and e[0]["time"].endswith("Z"), e'
fact "a name is not its prefix" bash -c '! grep -q scenes/ab one.out'

first=$(awk 'NR == 1 { print $2 }' all.out)
timeout 20 cloudskin watch -q -n 3 --from $((first + 1)) geds://scenes >again.out
fact "it begins where it is told to" bash -c 'head -4 all.out | tail -3 | diff - again.out'
fact "with what the terminal may show" bash -c \
    "cloudskin put small 'geds://scenes/x y' && timeout 20 cloudskin watch -q --json --from $first geds://scenes/x -n 1 | finds 'x y'"

cloudskin down
fact "it waits for a store that is gone" eventually grep -q waiting all.err
fact "it is up again" up
fact "it is there again" eventually eval '[ "$(grep -c " from [0-9]" all.err)" -eq 2 ]'
fact "and says that something may be missing" eventually grep -q ' gap ' all.out
cloudskin put small geds://scenes/after
fact "it goes on" eventually grep -q 'created *geds://scenes/after 6' all.out
kill -9 "$(cloudskin stat | awk '$1 == "process" { print $2 }')"
fact "it waits for one that was killed" eventually eval '[ "$(grep -c waiting all.err)" -eq 2 ]'
fact "it is up once more" up
fact "it is there once more" eventually eval '[ "$(grep -c " from [0-9]" all.err)" -eq 3 ]'
cloudskin put small geds://scenes/later
fact "it goes on again" eventually grep -q 'created *geds://scenes/later 6' all.out
fact "an old number is a gap" bash -c "timeout 20 cloudskin watch -n 1 --from $first geds://scenes >gap.out & \
    until grep -q gap gap.out; do read -r -t 0.05 <> <(:); done; cloudskin put small geds://scenes/more; wait"

watching int geds://scenes
kill -INT "$(pgrep -P "$pid" || echo "$pid")"
fact "Ctrl-C ends it" ends "$pid" 130
watching term geds://scenes
kill -TERM "$(pgrep -P "$pid" || echo "$pid")"
fact "so does SIGTERM" ends "$pid" 143
fact "its output may be closed" bash -c 'timeout 30 cloudskin watch geds://scenes 2>pipe.err | head -1 >head.out &
    until grep -q " from " pipe.err; do read -r -t 0.05 <> <(:); done
    cloudskin put small geds://scenes/1 && cloudskin put small geds://scenes/2 && cloudskin put small geds://scenes/3
    wait; grep -q created head.out'
kill "$(pgrep -P "$all" || echo "$all")"
wait "$all"
finish
