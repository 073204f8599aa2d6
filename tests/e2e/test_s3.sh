#!/usr/bin/env bash
# The S3 endpoint: unmodified clients, keys, restarts, kills, and what it refuses to start with.
set -uo pipefail
. "$E2E/lib.sh"
. "$E2E/s3/server.sh"
clients=$(python3 "$E2E/s3/clients.py") || {
    echo "the clients cannot be installed"
    exit 1
}

aws() {
    "$clients/aws" --endpoint-url "$endpoint" --region us-east-1 "$@"
}
same_after_the_way_there_and_back() {
    aws s3 cp --quiet "$1" "s3://scenes/$1" && aws s3 cp --quiet "s3://scenes/$1" back && cmp "$1" back
}
synced() {
    mkdir -p tree/a/b && echo 1 >tree/one && echo 2 >tree/a/b/two && echo 3 >"tree/a/sp ace+é"
    aws s3 sync --quiet tree s3://scenes/tree && aws s3 sync --quiet s3://scenes/tree copy && diff -r tree copy
}
there() {
    [ "$(aws s3 cp s3://scenes/small -)" = "$(cat small)" ]
}

fact "it starts" start
fact "the first start prints a key" grep -qx 'export AWS_ACCESS_KEY_ID=[A-Z2-7]*' keys
. ./keys
fact "the file of keys is the owner's" test "$(stat -c %a state/s3-keys)" = 600
fact "the folder of objects is the owner's" test "$(stat -c %a state/geds)" = 700

echo "ALICE secret alice" >>state/s3-keys
fact "a key of another user is taken" eval 'stop TERM 0 && start --sweep 1'
for program in check conformance; do
    "$clients/python" "$E2E/s3/$program.py" --alice ALICE:secret --endpoint "$endpoint" --access "$AWS_ACCESS_KEY_ID" \
        --secret "$AWS_SECRET_ACCESS_KEY" >facts
    sed '$d' facts
    passed=$((passed + $(grep -c '^ok ' facts)))
    failed=$((failed + $(grep -c '^FAIL ' facts)))
    fact "all facts of $program were looked at" grep -qE '^[0-9]+ passed, [0-9]+ failed$' facts
done

echo small >small
head -c 20000000 /dev/urandom >large
fact "aws makes a bucket" aws s3 mb s3://scenes
fact "aws copies a small file" same_after_the_way_there_and_back small
fact "aws copies a large file in parts" same_after_the_way_there_and_back large
fact "aws syncs folders" synced
fact "aws moves an object" aws s3 mv --quiet s3://scenes/tree/one s3://scenes/moved
fact "aws removes a prefix" aws s3 rm --quiet --recursive s3://scenes/tree
fact "aws lists what is left" prints "large moved small" \
    bash -c "'$clients/aws' --endpoint-url $endpoint --region us-east-1 s3 ls s3://scenes | awk '{print \$4}' | xargs"

fact "SIGTERM ends it well" stop TERM 0
fact "it starts again" start
fact "the second start prints no key" test ! -s keys
fact "objects are there after a restart" there
fact "a second one of the same state is refused" exits 71 timeout 30 cloudskin-controller --s3 127.0.0.1:0 --state "$PWD/state"
fact "a taken address is refused" exits 71 timeout 30 cloudskin-controller --s3 "${endpoint#http://}" --state "$PWD/other"
fact "SIGKILL ends it" stop KILL 137
fact "it starts after a kill" start
fact "objects are there after a kill" there
damaged() { # is a request that meets a lost file answered with 500, and told in the log?
    local id
    find state/geds/data -size +1M -delete
    id=$(aws s3api create-multipart-upload --bucket scenes --key copy --query UploadId --output text) &&
        ! aws s3api upload-part-copy --bucket scenes --key copy --upload-id "$id" --part-number 1 --copy-source scenes/large 2>answer &&
        grep -q InternalError answer && grep -q 's3.failed request=[0-9A-F]* method=PUT path=/scenes/copy error="extent .* has no file"' log
}
fact "a lost file is told in the log" damaged
fact "Ctrl-C ends it well" stop INT 0

chmod 644 state/s3-keys
fact "keys that others can read are refused" \
    says "chmod 600" timeout 30 cloudskin-controller --s3 127.0.0.1:0 --state "$PWD/state"
printf 'nonsense\n' >state/s3-keys
chmod 600 state/s3-keys
fact "a file that has no keys is refused" exits 65 timeout 30 cloudskin-controller --s3 127.0.0.1:0 --state "$PWD/state"
printf 'A secret\nB secret cloudskin\n' >state/s3-keys
fact "no user has the owner's name" \
    says "the user is cloudskin" timeout 30 cloudskin-controller --s3 127.0.0.1:0 --state "$PWD/state"
fact "an address that is none is refused" exits 64 cloudskin-controller --s3 nonsense --state "$PWD/third"
fact "an unknown option is refused" exits 64 cloudskin-controller --nonsense
fact "--help says what it does" bash -c 'cloudskin-controller --help | finds -- --s3'
finish
