#!/usr/bin/env bash
# The verbs on objects: there and back, seen by S3 clients, kills in the middle, what is refused and how it is said.
set -uo pipefail
. "$E2E/lib.sh"
unset CLOUDSKIN_CONTROLLER AWS_PROFILE AWS_SESSION_TOKEN
export XDG_STATE_HOME=$PWD/state XDG_RUNTIME_DIR=$PWD/run
export AWS_CONFIG_FILE=$PWD/none AWS_SHARED_CREDENTIALS_FILE=$PWD/none AWS_EC2_METADATA_DISABLED=true
mkdir -m 700 run state
trap 'cloudskin down >/dev/null 2>&1' EXIT
clients=$(python3 "$E2E/s3/clients.py") || {
    echo "the clients cannot be installed"
    exit 1
}
up() {
    timeout 60 cloudskin up -d --s3 127.0.0.1:0 >up.txt || return 1
    endpoint=http://$(cloudskin stat | awk '$1 == "S3" { print $2 }')
}
aws() {
    "$clients/aws" --endpoint-url "$endpoint" --region us-east-1 "$@"
}
json() { # json EXPRESSION COMMAND...: is the output one JSON text, and this true of it?
    local expression=$1
    shift
    "$@" >out.json && python3 -c "import json; d = json.load(open('out.json')); assert $expression, d"
}
same() { # same FILE PLACE: are these the same bytes?
    rm -f back && cloudskin get "$2" back && cmp "$1" back
}

echo hello >small
: >empty
head -c 30000000 /dev/urandom >large
for verb in "put small geds://scenes/" "get geds://scenes/small" ls "rm geds://scenes/small" \
    "mv geds://scenes/a geds://scenes/b" "cp geds://scenes/a geds://scenes/b" stat "mb geds://scenes" "rb geds://scenes"; do
    fact "nothing is up: ${verb%% *} says what to do" says "cloudskin up" cloudskin $verb
done
fact "its exit code says so" exits 127 cloudskin ls
fact "it is up" up

fact "a bucket is missing: put says what to do" says "cloudskin mb geds://scenes" cloudskin put small geds://scenes/
fact "its exit code says so" exits 127 cloudskin put large geds://scenes/
fact "a bucket is made" cloudskin mb geds://scenes
fact "a second time it is there" exits 71 cloudskin mb geds://scenes
fact "which -f is content with" cloudskin mb -f geds://scenes
fact "buckets are listed" prints geds://scenes cloudskin ls
fact "files are put" cloudskin put small empty large geds://scenes/
for file in small empty large; do
    fact "$file comes back" same $file geds://scenes/$file
done
fact "standard input is put" bash -c 'cat large | cloudskin put - geds://scenes/a/b/piped'
fact "and is the same" same large geds://scenes/a/b/piped
to_output() {
    cloudskin get geds://scenes/large - | cmp - large
}
fact "standard output gets it" to_output
fact "folders are shown" prints $'a/\nempty\nlarge\nsmall' cloudskin ls geds://scenes
fact "and what is beneath them" prints a/b/piped cloudskin ls -r geds://scenes/a
fact "a prefix is listed" prints small cloudskin ls 'geds://scenes/sm*'
fact "an object is listed" prints small cloudskin ls geds://scenes/small
fact "what is not there is not listed" exits 127 cloudskin ls geds://scenes/sm
fact "ls -l has sizes" bash -c 'cloudskin ls -l geds://scenes | finds -E "^ *30000000 .* large$"'
fact "ls --json" json '[e.get("key", e.get("prefix")) for e in d] == ["a/", "empty", "large", "small"] and d[2]["size"] == 30000000' \
    cloudskin ls --json geds://scenes
fact "ls --json of buckets" json 'd[0]["bucket"] == "scenes" and d[0]["objects"] == 4' cloudskin ls --json
fact "ls --json of nothing" json 'd == []' bash -c 'cloudskin mb geds://void && cloudskin ls --json geds://void && cloudskin rb geds://void'
fact "a range" prints ell cloudskin get --range 1-3 geds://scenes/small -
fact "the rest" prints llo cloudskin get --range 2- geds://scenes/small -
fact "metadata is put" cloudskin put --type text/plain --meta Who=me --meta 'note=a = b' small geds://scenes/noted
fact "and shown" json 'd["type"] == "text/plain" and d["metadata"] == {"x-amz-meta-who": "me", "x-amz-meta-note": "a = b"} and d["size"] == 6' \
    cloudskin stat --json geds://scenes/noted
fact "stat of a bucket" json 'd["objects"] == 5' cloudskin stat --json geds://scenes
fact "stat of the store" json 'd["buckets"] == 1 and d["state"].endswith("state/cloudskin")' cloudskin stat --json
fact "-n refuses to replace" exits 71 cloudskin put -n large geds://scenes/noted
fact "and leaves what was there" same small geds://scenes/noted
etag=$(cloudskin stat geds://scenes/noted | awk '$1 == "etag" { print $2 }')
fact "--if-match refuses another etag" exits 71 cloudskin put --if-match 0123 empty geds://scenes/noted
fact "and takes the right one" cloudskin put --if-match "$etag" empty geds://scenes/noted

eval "$(cloudskin keys)"
fact "S3 sees what was put" bash -c "'$clients/aws' --endpoint-url $endpoint --region us-east-1 s3 cp --quiet s3://scenes/large seen && cmp large seen"
fact "and its metadata" bash -c "cloudskin put --meta who=me small geds://scenes/noted && '$clients/aws' --endpoint-url $endpoint --region us-east-1 \
    s3api head-object --bucket scenes --key noted | finds '\"who\": \"me\"'"
fact "what S3 puts in parts is there" bash -c "'$clients/aws' --endpoint-url $endpoint --region us-east-1 s3 cp --quiet large s3://scenes/parts"
fact "and is the same" same large geds://scenes/parts
fact "S3 metadata is shown" bash -c "'$clients/aws' --endpoint-url $endpoint --region us-east-1 s3 cp --quiet --metadata a=b small s3://scenes/from-s3 &&
    cloudskin stat geds://scenes/from-s3 | finds 'x-amz-meta-a: b'"

fact "an object is renamed" cloudskin mv geds://scenes/small geds://scenes/dir/
fact "its old name is gone" exits 127 cloudskin stat geds://scenes/small
fact "its new one is there" same small geds://scenes/dir/small
fact "an object is copied" cloudskin cp geds://scenes/large geds://scenes/dir/copy
fact "-n refuses to copy over one" exits 71 cloudskin cp -n geds://scenes/large geds://scenes/dir/copy
fact "a folder is copied" cloudskin cp -r geds://scenes/dir geds://scenes/dir2
fact "a folder is not copied into itself" exits 64 cloudskin cp -r geds://scenes/dir geds://scenes/dir/more
fact "a folder is renamed" cloudskin mv -r geds://scenes/dir2 geds://scenes/dir3
fact "to one step only" prints $'dir3/copy\ndir3/small' cloudskin ls -r geds://scenes/dir3
fact "not onto names that are taken" exits 71 cloudskin mv -r geds://scenes/dir3 geds://scenes/dir
cloudskin mb geds://other
fact "a folder is not moved to another bucket" exits 64 cloudskin mv -r geds://scenes/dir3 geds://other/dir3
fact "an object is" cloudskin mv geds://scenes/dir3/copy geds://other
fact "with its bytes" same large geds://other/copy
tree() {
    rm -rf tree && cloudskin get -r geds://scenes/dir tree && cmp tree/copy large && cmp tree/small small
}
fact "a folder is read" tree
put_tree() {
    rm -rf from to && mkdir -p from/a/b && echo 1 >from/one && echo 2 >from/a/b/two && echo 3 >"from/a/sp ace+é" && ln -s ../one from/a/link &&
        mkfifo from/pipe && cloudskin put -r from/ geds://scenes/tree 2>said && grep -q "from/*pipe: neither file nor folder" said &&
        cloudskin get -r geds://scenes/tree to && rm from/pipe from/a/link && cp from/one from/a/link && diff -r from to
}
fact "a folder is put" put_tree
fact "-r of a file is refused" exits 64 cloudskin put -r small geds://scenes/
fact "-r of nothing is missing" exits 127 cloudskin put -r nothing geds://scenes/
fact "rm says what is not there" exits 127 cloudskin rm geds://scenes/nothing
fact "which -f is content with" cloudskin rm -f geds://scenes/nothing
fact "the others are removed" bash -c 'cloudskin rm geds://other/nothing geds://other/copy; [ -z "$(cloudskin ls geds://other)" ]'
fact "a bucket that is not empty stays" says "rm -r" cloudskin rb geds://scenes
many() {
    local i
    for i in $(seq 60); do echo $i >many-$i; done
    cloudskin put many-* geds://other/many/ && cloudskin put small geds://other/manyfold &&
        [ "$(cloudskin ls -r geds://other/many | wc -l)" = 60 ]
}
fact "many files are put" many
fact "rm -r takes what is beneath" cloudskin rm -r geds://other/many
fact "and nothing else" prints manyfold cloudskin ls -r geds://other
fact "rm -r of nothing is missing" exits 127 cloudskin rm -r geds://other/many
fact "a bucket is emptied and removed" bash -c 'cloudskin rm -r geds://other && cloudskin rb geds://other'
fact "it is gone" exits 127 cloudskin ls geds://other

for bad in "put" "put small" "put small geds://" "put small nowhere" "put - geds://scenes/" "put . geds://scenes/" "put small large geds://scenes/one" \
    "get" "get small" "get geds://scenes" "get geds://scenes/a/" "get --range x geds://scenes/large" "get --range 5-3 geds://scenes/large" \
    "ls x" "ls geds://a geds://b" "rm" "rm geds://scenes" "rm x" "mv geds://scenes/a" "mv small geds://scenes/a" "cp geds://scenes/a small" \
    "stat x" "mb" "mb geds://scenes/key" "mb geds://No" "rb x" "put --nonsense" "get --nonsense" "ls --nonsense" "rm --nonsense" "mv --nonsense" \
    "stat --nonsense" "mb --nonsense" "fsck --nonsense" "fsck x" "put --meta x small geds://scenes/k" "ls --controller nonsense"; do
    fact "refused: $bad" exits 64 cloudskin $bad
done
fact "a key that is too long is refused" exits 64 cloudskin put small "geds://scenes/$(printf '%01025d' 1)"
fact "the longest is not" cloudskin put small "geds://scenes/$(printf '%01024d' 1)"
fact "a file that is not there" exits 127 cloudskin put nothing geds://scenes/
fact "an object that is not there" exits 127 cloudskin get geds://scenes/nothing
fact "leaves no file" test ! -e nothing
fact "get -n leaves a file" exits 71 cloudskin get -n geds://scenes/large small
fact "get into a folder that is not there" exits 127 cloudskin get geds://scenes/large no/where
fact "a full device is said" exits 71 bash -c 'cloudskin get geds://scenes/large - >/dev/full'
fact "no temporary is left" bash -c '! ls -A | finds "^\.\(small\|large\|back\)"'
escape() {
    printf x | cloudskin put - "geds://scenes/up/../../evil" && mkdir -p in && ! cloudskin get -r geds://scenes/up in && [ ! -e evil ] &&
        cloudskin rm -r geds://scenes/up
}
fact "a key does not lead out of the folder" escape
unshowable() {
    printf x | cloudskin put - "$1" 2>said
    [ $? = 64 ] && grep -q "UTF-8" said && [ "$(tr -d '\n' <said | grep -c $'[\x01-\x1f]')" = 0 ]
}
fact "a key with control characters is refused" unshowable $'geds://scenes/odd/a\nb\x1b[31m'
fact "and one that is not UTF-8" unshowable $'geds://scenes/odd/\xff'
fact "metadata that is no header is refused" exits 64 cloudskin put --meta $'a\tb=c' small geds://scenes/k
odd() {
    "$clients/aws" --endpoint-url "$endpoint" --region us-east-1 s3api put-object --bucket scenes --key $'odd/a\nb\x1b[31m' --body small >/dev/null && [ "$(cloudskin ls -r geds://scenes/odd)" = 'odd/a\x0ab\x1b[31m' ]
}
fact "control characters do not reach the terminal" odd

cat >use.c <<'END'
#include <cloudskin/geds.h>
#include <stdio.h>
#include <string.h>
int main(void)
{
    struct geds *store;
    struct geds_object *object;
    struct geds_error err;
    char back[6] = "";
    size_t n = 0;
    if (geds_connect(NULL, &store, &err) != GEDS_OK ||
        geds_put(store, "scenes", "from-c", NULL, NULL, "hello", 5, NULL, &err) != GEDS_OK ||
        geds_open(store, "scenes", "from-c", &object, &err) != GEDS_OK ||
        geds_pread(object, back, 5, 0, &n, &err) != GEDS_OK) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    geds_close(object);
    geds_disconnect(store);
    puts(back);
    return n == 5 && strcmp(back, "hello") == 0 ? 0 : 1;
}
END
libraries=$(dirname "$(command -v cloudskin)")/../src
include=$E2E/../../src/client/include
if [ -z "${SANITIZED:-}" ]; then
    fact "a C program links with libcloudskin.so" gcc -Wall -Wextra -Werror use.c -I"$include" -L"$libraries" -lcloudskin -o use
    fact "and runs" prints hello env LD_LIBRARY_PATH="$libraries" ./use
    fact "a C program links with libcloudskin.a" gcc -Wall -Werror use.c -I"$include" "$libraries/static/libcloudskin.a" -o use-static
    fact "and runs alone" prints hello ./use-static
    fact "a C++ program takes the header" g++ -Wall -Wextra -Werror -fsyntax-only -x c++ use.c -I"$include"
    fact "S3 sees what C wrote" prints hello aws s3 cp --quiet s3://scenes/from-c -
fi

complete_line() { # complete_line LINE CUR: what is offered for it
    COMP_LINE=$1 COMP_POINT=${#1} COMP_WORDS=(cloudskin "${1#cloudskin }" "$2") COMP_CWORD=2
    COMP_WORDS[1]=${COMP_WORDS[1]%% *}
    _cloudskin
    printf '%s\n' "${COMPREPLY[@]}"
}
. "$E2E/../../tools/completion/cloudskin.bash"
fact "completion has buckets" prints //scenes/ complete_line "cloudskin ls geds://sc" //sc
fact "completion has keys" prints $'//scenes/parts' complete_line "cloudskin get geds://scenes/par" //scenes/par
fact "completion has folders" prints $'//scenes/dir/\n//scenes/dir3/' complete_line "cloudskin ls geds://scenes/di" //scenes/di

fact "fsck of a store that is up" bash -c 'cloudskin fsck | finds " 0 findings"'
fact "fsck --json" json 'd["findings"] == [] and d["objects"] > 5' cloudskin fsck --json
fact "fsck --state of a store that is up is refused" exits 71 cloudskin fsck --state "$PWD/state/cloudskin"

# puts until the store is killed; what was acknowledged is written down
writer() {
    local i
    for i in $(seq 1 2000); do
        head -c $((i * 997 % 200000)) large | cloudskin put - "geds://scenes/w$1/$i" 2>/dev/null || return 0
        echo "$i" >>"acknowledged.$1"
    done
}
all_there() { # of the objects that were acknowledged
    local w i
    for w in 1 2 3; do
        while read -r i; do
            cloudskin get "geds://scenes/w$w/$i" - | cmp - <(head -c $((i * 997 % 200000)) large) || return 1
        done < <(tail -15 "acknowledged.$w")
    done
}
killed() {
    local pid
    pid=$(cloudskin stat | awk '$1 == "process" { print $2 }')
    : >acknowledged.1 && : >acknowledged.2 && : >acknowledged.3
    writer 1 &
    writer 2 &
    writer 3 &
    eventually bash -c "[ \$(cat acknowledged.* | wc -l) -gt $1 ]"
    kill -9 "$pid"
    wait
    eventually eval '! kill -0 "$pid" 2>/dev/null' # until then it takes connections
    [ -s acknowledged.1 ] && [ -s acknowledged.2 ]
}
for round in 1 2 3; do
    fact "the store is killed during puts ($round)" killed $((10 + 5 * round))
    fact "put says that nothing is up ($round)" exits 127 cloudskin put small geds://scenes/
    fact "it starts again ($round)" up
    fact "all that was acknowledged is there ($round)" all_there
    fact "fsck finds nothing ($round)" bash -c 'cloudskin fsck | finds " 0 findings"'
done
gone_in_the_middle() {
    local pid code=0
    pid=$(cloudskin stat | awk '$1 == "process" { print $2 }')
    (cat large; kill -9 "$pid"; cat large) | timeout 60 cloudskin put - geds://scenes/half 2>said || code=$?
    [ "$code" -eq 71 ] && grep -q "connection to the store is lost" said && up && ! cloudskin stat geds://scenes/half
}
fact "a store that goes away in the middle is said, and leaves nothing" gone_in_the_middle
interrupted() {
    local code=0
    mkfifo fifo
    exec 9<>fifo
    cloudskin put - geds://scenes/interrupted <fifo &
    local pid=$!
    cat small >&9
    eventually grep -q SigCgt.*2 "/proc/$pid/status"
    kill -TERM "$pid"
    exec 9>&-
    wait "$pid" || code=$?
    rm fifo
    [ "$code" -eq 143 ] && ! cloudskin stat geds://scenes/interrupted
}
fact "a put that is stopped leaves nothing" interrupted
progress() { # on a terminal, when it takes more than a second
    script -qec "bash -c '(head -c 5000000 large; read -r -t 1.3 <> <(:); head -c 9000000 large; read -r -t 0.5 <> <(:); cat small) | cloudskin put - geds://scenes/slow'" \
        /dev/null >shown 2>&1
    grep -q 'MiB/s' shown
}
if command -v script >/dev/null; then
    fact "a long transfer shows how far it is" progress
fi
fact "a short one is silent" bash -c '[ -z "$(cloudskin put small geds://scenes/ 2>&1)" ]'
fact "it stops" cloudskin down
fact "fsck of a store that is not up" bash -c 'cloudskin fsck | finds " 0 findings"'
fact "fsck of no store" exits 127 cloudskin fsck --state "$PWD/none"
damaged() {
    local file
    file=$(find state/cloudskin/geds/data -type f -size +20M | head -1)
    printf 'XXXXXXXX' | dd of="$file" bs=1 seek=10000000 conv=notrunc 2>/dev/null
    ! cloudskin fsck >found && grep -q "^extent .* byte 99[0-9]* *:\|^extent" found
}
fact "fsck finds damage" damaged
fact "its exit code says so" exits 65 cloudskin fsck
up
hands_out_nothing_wrong() {
    local key code
    for key in $(cloudskin ls -lr geds://scenes | awk '$1 == 30000000 { print $5 }'); do
        code=0
        cloudskin get "geds://scenes/$key" bad 2>/dev/null || code=$?
        [ "$code" -eq 65 ] && [ ! -e bad ] && return 0
        rm -f bad
    done
    return 1
}
fact "get of a damaged object is refused and leaves no file" hands_out_nothing_wrong
fact "fsck of the store that is up finds it too" exits 65 cloudskin fsck
finish
