#!/usr/bin/env bash
# Encryption at rest: through the verbs and S3, with a tier, rotations, kills, missing and wrong keys, tampered bytes.
set -uo pipefail
. "$E2E/lib.sh"
unset CLOUDSKIN_CONTROLLER
export XDG_STATE_HOME=$PWD/state XDG_RUNTIME_DIR=$PWD/run
export AWS_EC2_METADATA_DISABLED=true AWS_CONFIG_FILE=$PWD/none AWS_SHARED_CREDENTIALS_FILE=$PWD/none
mkdir -m 700 run state
state=$PWD/state/cloudskin
far_socket=unix:$PWD/far.socket
trap 'cloudskin down >/dev/null 2>&1; CLOUDSKIN_CONTROLLER=$far_socket cloudskin down >/dev/null 2>&1' EXIT
clients=$(python3 "$E2E/s3/clients.py") || {
    echo "the clients cannot be installed"
    exit 1
}

far() { # far COMMAND...: at the store that is the tier
    CLOUDSKIN_CONTROLLER=$far_socket "$@"
}
metric() { # metric LINE
    timeout 20 curl -fsS "http://$(sed -n 's|^# metrics at http://\(.*\)/metrics$|\1|p' up.txt)/metrics" | finds -E "^$1\$"
}
up() {
    timeout 60 cloudskin up -d --s3 127.0.0.1:0 --metrics 127.0.0.1:0 "$@" >up.txt || return 1
    endpoint=$(sed -n 's/^# S3 at \(http:[^;]*\);.*/\1/p' up.txt)
}
down() {
    timeout 60 cloudskin down
}
same() { # same FILE PLACE: are these the same bytes?
    rm -f back && cloudskin get -q "$2" back && cmp "$1" back
}
newest() {
    cloudskin keys master | awk '$2 == "newest" {print $1}'
}
state_of() { # state_of ID: of a master key
    cloudskin keys master | awk -v id="$1" '$1 == id {print $2}'
}
hidden() { # hidden FOLDER...: is the marker nowhere in these?
    ! grep -rlaF "$marker" "$@"
}
refused_by_s3() {
    endpoint=$(sed -n 's/^# S3 at \(http:[^;]*\);.*/\1/p' up.txt)
    AWS_DEFAULT_REGION=us-east-1 "$clients/python" "$clients/aws" --endpoint-url "$endpoint" s3api get-object --bucket box --key large back >out 2>&1
    cat out
    grep -q 'AccessDenied.*master key' out
}
marker=the-plaintext-marker
yes "$marker" | head -c 100 >small
yes "$marker" | head -c 3000000 >large
yes "$marker" | head -c 100000 >middle

fact "a store is up" up
fact "it has a key file for its owner only" eval '[ "$(stat -c %a "$state/master.key")" = 600 ]'
fact "it has one master key" eval '[ "$(cloudskin keys master | wc -l)" = 1 ]'
eval "$(cloudskin keys)"
fact "boto3 encrypts" "$clients/python" "$E2E/s3/encryption.py" "$endpoint"

fact "a bucket" cloudskin mb geds://box
fact "it is told that it encrypts" prints "geds://box: watermark, encrypted" cloudskin tier --encrypt on geds://box
fact "the rule is on or off" exits 64 cloudskin tier --encrypt maybe geds://box
fact "the rule is of one bucket" exits 64 cloudskin tier --encrypt on
fact "files are put" cloudskin put -q small middle large geds://box/
fact "a small one is the same" same small geds://box/small
fact "a large one is the same" same large geds://box/large
fact "stat says that it is encrypted" eval 'cloudskin stat geds://box/small | finds -x "encrypted  yes" && cloudskin stat --json geds://box/large | finds "\"encrypted\": *true"'
fact "so does ls" eval '[ "$(cloudskin ls -l geds://box | awk "{ print \$4 }" | sort -u)" = encrypted ] && [ "$(cloudskin ls --json geds://box | grep -o "\"encrypted\": *true" | wc -l)" = 3 ]'
fact "and stat of the bucket" eval 'cloudskin stat geds://box | finds -x "encrypts   yes" && cloudskin stat --json geds://box | finds "\"encrypts\": *true"'
cloudskin mb geds://open
cloudskin put -q middle geds://open/middle
fact "what is not is told so" eval 'cloudskin stat geds://open/middle | finds -x "encrypted  no" && [ "$(cloudskin ls -l geds://open | awk "{ print \$4, \$5 }")" = "- middle" ] && cloudskin stat geds://open | finds -x "encrypts   no"'
told() { # told BUCKET: what events of its keys that begin with "told" say of a put, a copy and a rename
    local said=$1.watch pid
    timeout 60 cloudskin watch --json -n 3 "geds://$1/told" >"$1.json" 2>"$said" &
    pid=$!
    eventually grep -q from "$said" && cloudskin put -q small "geds://$1/told" &&
        cloudskin cp "geds://$1/told" "geds://$1/told2" && cloudskin mv "geds://$1/told2" "geds://$1/told3" && wait "$pid" &&
        cloudskin rm "geds://$1/told" "geds://$1/told3" && grep -o '"event": "[a-z]*"\|"encrypted": [a-z]*' "$1.json" | sed 's/.*: //' | paste -sd ' '
}
fact "so do events" prints '"created" true "created" true "renamed" true' told box
fact "also of what is not" prints '"created" false "created" false "renamed" false' told open
fact "and its time is as it was" eval 'cloudskin stat --json geds://box/small | finds "\"modified\": *\"$(date -u +%Y)-"'
fact "a bucket without the rule is not encrypted" eval '! hidden "$state/geds"'
fact "a file moves into the bucket" eval 'cloudskin mv geds://open/middle geds://box/moved && same middle geds://box/moved'
cloudskin rb --force geds://open >/dev/null 2>&1 || { cloudskin rm -r geds://open; cloudskin rb geds://open; }
fact "the store is sound" cloudskin fsck

# The master keys change
first=$(newest)
fact "the keys are rotated" cloudskin keys rotate
second=$(newest)
fact "the new one is another" eval '[ -n "$second" ] && [ "$first" != "$second" ]'
fact "nothing needs the old one" eval '[ "$(state_of "$first")" = unused ]'
fact "the newest stays" exits 71 cloudskin keys drop "$second"
fact "what is no key is not dropped" exits 64 cloudskin keys drop 12
fact "a key that is not there is not dropped" exits 127 cloudskin keys drop 0000000000000001
fact "the old one is dropped" cloudskin keys drop "$first"
fact "it is not there any more" eval '[ -z "$(state_of "$first")" ] && ! grep -q "^$first" "$state/master.key"'
fact "what was put before is the same" same large geds://box/large
fact "JSON says so" eval 'cloudskin keys master --json | python3 -c "import json, sys; k = json.load(sys.stdin); assert [x[\"state\"] for x in k] == [\"newest\"] and k[0][\"extents\"] > 5"'
fact "it ends" down

# A file somewhere else; missing and wrong keys
mkdir -m 700 safe
mv "$state/master.key" safe/key
fact "a start without the key says which is missing" says "$second" up
fact "it says so later" exits 65 cloudskin keys master
fact "and as numbers for Prometheus" eval 'metric "cloudskin_keys_missing 1" && metric "cloudskin_keys_locked_extents [1-9][0-9]*"'
fact "no new key was made" [ ! -e "$state/master.key" ]
fact "a read fails, and says why" says "$second" cloudskin get -q geds://box/large back
fact "so does one of a small object" says "$second" cloudskin get -q geds://box/small back
fact "nothing is put into an encrypting bucket" says "master key" cloudskin put -q small geds://box/more
fact "S3 says so before it sends anything" eval 'refused_by_s3'
fact "what is not encrypted is served" eval 'cloudskin mb geds://open && cloudskin put -q small geds://open/s && same small geds://open/s'
fact "the check finds what cannot be read" exits 65 cloudskin fsck
cloudskin rm -r geds://open && cloudskin rb geds://open
fact "it ends again" down
fact "a wrong key is another key" eval 'mkdir -m 700 other && (XDG_STATE_HOME=$PWD/other timeout 60 cloudskin up -d --s3 127.0.0.1:0 >/dev/null && cloudskin down)'
fact "it is told what is missing then, too" says "$second" up --master-key other/cloudskin/master.key
fact "a read with it fails" exits 71 cloudskin get -q geds://box/large back
down
own() { # in a state folder of its own
    XDG_STATE_HOME=$PWD/own "$@"
}
fact "a folder's own key file is not written down by its path" eval 'mkdir -m 700 own && own up --encrypt on && own down && [ "$(cat own/cloudskin/crypt.conf)" = "encrypt on" ]'
chmod 644 safe/key
fact "a key that others may read is refused" says "others may read it" up --master-key safe/key
chmod 600 safe/key
fact "with the right file all is there" eval 'up --master-key safe/key && same large geds://box/large && same small geds://box/small'
fact "a later start needs not be told" eval 'down && up && same middle geds://box/middle'

more_keys_than() {
    [ "$(grep -c '^[0-9a-f]' safe/key)" -gt "$1" ]
}
# Killed in a rotation: nothing is lost, and the next start goes on
for i in 1 2 3 4 5; do
    keys=$(grep -c '^[0-9a-f]' safe/key)
    process=$(cloudskin stat | awk '$1 == "process" { print $2 }')
    cloudskin keys rotate >/dev/null 2>&1 &
    rotation=$!
    [ "$i" -le 2 ] || eventually more_keys_than "$keys"
    kill -9 "$process"
    wait "$rotation"
    eventually eval '! kill -0 "$process" 2>/dev/null'
    fact "after kill $i it starts" up
    fact "and all is there" eval 'same large geds://box/large && same small geds://box/small && same middle geds://box/moved'
done
all_need_newest() {
    ! cloudskin keys master | finds needed
}
fact "the rotation is gone on with" eventually all_need_newest
fact "the store is sound after that" cloudskin fsck

# What lies there
fact "all is encrypted from now on" eval 'down && up --encrypt on && cloudskin mb geds://all && cloudskin put -q large small geds://all/'
cloudskin rm -r geds://plain >/dev/null && cloudskin rm -r geds://sse >/dev/null
down
rm -f "$state"/controller.log
fact "the marker is nowhere in the state folder" hidden "$state"
tamper() { # tamper FILE: a single byte could be the one that is there
    printf xxxxxxxx | dd of="$1" bs=1 seek=70000 conv=notrunc 2>/dev/null
}
tamper "$(find "$state/geds/data" -type f -size +2000k | head -1)"
up
fact "a tampered block is found" exits 65 cloudskin fsck
fact "it is an error with its place" eval '! { cloudskin get -q geds://all/large back && cloudskin get -q geds://box/large back; }'
down

# A tier has ciphertext only
far timeout 60 cloudskin up -d --state "$PWD/far" --s3 127.0.0.1:0 >far.txt
far cloudskin mb geds://tier
far cloudskin keys --state "$PWD/far" | sed -n 's/^export AWS_[A-Z_]*=//p' | paste -sd ' ' >far.key
chmod 600 far.key
fact "it has a tier" up --tier s3://tier --tier-endpoint "$(sed -n 's/^# S3 at \(http:[^;]*\);.*/\1/p' far.txt)" --tier-credentials "$PWD/far.key"
fact "a bucket goes there" eval 'cloudskin mb geds://away && cloudskin put -q large middle geds://away/ && cloudskin spill geds://away'
fact "it is read through" same large geds://away/large
fact "it comes back" eval 'cloudskin spill --recall geds://away/middle && same middle geds://away/middle'
fact "the marker is nowhere in the tier" hidden "$PWD/far"
tamper "$(find "$state/geds/data" -type f -size -150k -size +90k -newer far.txt | head -1)"
fact "damage here is read from the tier" same middle geds://away/middle

finish
