#!/usr/bin/env bash
# Unmodified s3cmd, rclone and s3fs against the S3 endpoint. aws and boto3 are in test_s3.sh.
set -uo pipefail
. "$E2E/lib.sh"
. "$E2E/s3/server.sh"
clients=$(python3 "$E2E/s3/clients.py") && s3fs=$(python3 "$E2E/s3/clients.py" s3fs) || {
    echo "the clients cannot be installed"
    exit 1
}

fact "it starts" start
. ./keys
host=${endpoint#http://}
mkdir -p tree/a/b
echo 1 >tree/one
echo 22 >tree/a/b/two
echo 333 >"tree/a/sp ace+é"
: >tree/empty
head -c 20000000 /dev/urandom >large

s3cmd() {
    "$clients/python" "$clients/s3cmd" --config="$PWD/none" --no-progress --access_key="$AWS_ACCESS_KEY_ID" \
        --secret_key="$AWS_SECRET_ACCESS_KEY" --host="$host" --host-bucket="$host" --no-ssl --region=us-east-1 "$@"
}
cmd_there_and_back() {
    s3cmd put "$@" "s3://cmd/file" && rm -f back && s3cmd get s3://cmd/file back && cmp "${!#}" back
}
cmd_synced() {
    s3cmd sync tree/ s3://cmd/tree/ && rm -rf copy && mkdir copy && s3cmd sync s3://cmd/tree/ copy/ && diff -r tree copy
}
cmd_sends_nothing_again() {
    s3cmd sync tree/ s3://cmd/tree/ >out && ! grep -q '^upload:' out
}
cmd_follows_a_removal() {
    rm -rf less && cp -r tree less && rm less/one && s3cmd sync --delete-removed less/ s3://cmd/tree/ &&
        ! s3cmd info s3://cmd/tree/one
}
cmd_listed() { # what is left, without times
    s3cmd ls --recursive s3://cmd/tree/ | awk '{print $3, $4}' | sed 's/ .*\// /' | sort | xargs
}
cmd_metadata() {
    s3cmd put --add-header=x-amz-meta-colour:red --mime-type=text/x-thing tree/one s3://cmd/meta && s3cmd info s3://cmd/meta >out &&
        cat out && grep -q 'text/x-thing' out && grep -q 'x-amz-meta-colour: red' out && s3cmd modify --add-header=x-amz-meta-colour:blue s3://cmd/meta &&
        s3cmd info s3://cmd/meta >out && cat out && grep -q 'x-amz-meta-colour: blue' out
}

fact "s3cmd makes a bucket" s3cmd mb s3://cmd
fact "s3cmd copies a small file" cmd_there_and_back tree/one
fact "s3cmd copies an empty file" cmd_there_and_back tree/empty
fact "s3cmd copies a large file in parts" cmd_there_and_back large
fact "s3cmd copies a large file as one" cmd_there_and_back --disable-multipart large
fact "s3cmd syncs folders" cmd_synced
fact "s3cmd sends nothing again" cmd_sends_nothing_again
fact "s3cmd carries metadata" cmd_metadata
fact "s3cmd copies and moves in the store" eval 's3cmd cp s3://cmd/meta s3://cmd/m2 && s3cmd mv s3://cmd/m2 s3://cmd/m3 && s3cmd get --force s3://cmd/m3 back && cmp tree/one back'
fact "s3cmd tells the size" eval '[ "$(s3cmd du s3://cmd/tree/ | awk "{print \$1}")" = 9 ]'
fact "s3cmd removes what was removed" cmd_follows_a_removal
fact "s3cmd tells about a bucket" s3cmd info s3://cmd
fact "s3cmd lists uploads" s3cmd multipart s3://cmd
fact "s3cmd removes a prefix" s3cmd del --recursive --force s3://cmd/tree/
fact "s3cmd removes a bucket with all in it" eval 's3cmd rb --recursive --force s3://cmd && ! s3cmd ls s3://cmd'

rc() {
    RCLONE_CONFIG_S_TYPE=s3 RCLONE_CONFIG_S_PROVIDER=${PROVIDER:-Other} RCLONE_CONFIG_S_ACCESS_KEY_ID=$AWS_ACCESS_KEY_ID \
        RCLONE_CONFIG_S_SECRET_ACCESS_KEY=$AWS_SECRET_ACCESS_KEY RCLONE_CONFIG_S_ENDPOINT=$endpoint RCLONE_CONFIG_S_REGION=us-east-1 \
        RCLONE_CONFIG_S_FORCE_PATH_STYLE=true timeout 120 rclone --config "$PWD/none" --retries 1 --low-level-retries 1 "$@"
}
rclone_there_and_back() {
    rc copy large s:rclone/files && rm -rf down && rc copy s:rclone/files/large down && cmp large down/large
}
rclone_synced() {
    rc sync tree s:rclone/tree && rc check --download tree s:rclone/tree && rm -rf copy && rc sync s:rclone/tree copy && diff -r tree copy
}
rclone_sends_nothing_again() {
    rc sync -v tree s:rclone/tree 2>&1 | tee out && ! grep -q Copied out
}
rclone_follows_changes() {
    cp -rp tree changed && echo new >changed/a/b/two && rm changed/one && rc sync changed s:rclone/tree && rc check changed s:rclone/tree &&
        ! rc check tree s:rclone/tree
}

fact "rclone makes a bucket" rc mkdir s:rclone
fact "rclone copies a large file in parts" rclone_there_and_back
fact "rclone syncs folders" rclone_synced
fact "rclone sends nothing again" rclone_sends_nothing_again
fact "rclone keeps times" eval '[ "$(rc lsf --format t s:rclone/tree/one)" = "$(date -r tree/one +"%Y-%m-%d %H:%M:%S")" ]'
fact "rclone syncs changes and removals" rclone_follows_changes
fact "rclone writes a stream of unknown length" eval 'head -c 7000000 large | rc rcat s:rclone/stream && rc cat s:rclone/stream | cmp - <(head -c 7000000 large)'
fact "rclone copies in the store" eval 'rc copyto s:rclone/stream s:rclone/stream2 && rc moveto s:rclone/stream2 s:rclone/stream3 && [ "$(rc lsf s:rclone | sort | xargs)" = "files/ stream stream3 tree/" ]'
fact "rclone copies between buckets" eval 'rc sync s:rclone/tree s:rclone-2/x && rc check s:rclone/tree s:rclone-2/x'
fact "rclone reads a range" eval '[ "$(rc cat --offset 1 --count 2 s:rclone/tree/a/b/two)" = "$(printf "ew")" ]'
fact "rclone tells sizes" eval 'rc size --json s:rclone-2 | finds "\"count\":3"'
fact "rclone deletes files" eval 'rc delete s:rclone/tree && [ -z "$(rc lsf -R --files-only s:rclone/tree)" ]'
fact "rclone cleans up uploads" rc cleanup s:rclone
fact "rclone purges a bucket" eval 'rc purge s:rclone-2 && ! rc lsf s:rclone-2'
fact "rclone works as with MinIO" eval 'PROVIDER=Minio rc sync tree s:rclone/minio && PROVIDER=Minio rc check tree s:rclone/minio'

"$s3fs/python" "$E2E/s3/s3fs_check.py" "$endpoint" "$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY" >facts
sed '$d' facts
passed=$((passed + $(grep -c '^ok ' facts)))
failed=$((failed + $(grep -c '^FAIL ' facts)))
fact "all of s3fs was looked at" grep -qE '^[0-9]+ passed, [0-9]+ failed$' facts
fact "SIGTERM ends it well" stop TERM 0
finish
