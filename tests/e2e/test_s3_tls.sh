#!/usr/bin/env bash
# Unmodified S3 clients over https, against `cloudskin up --s3-tls`: boto3, aws, s3cmd, rclone, s3fs. Each with the CA given as its
# users give it, and each without.
set -uo pipefail
. "$E2E/lib.sh"
clients=$(python3 "$E2E/s3/clients.py") && s3fs=$(python3 "$E2E/s3/clients.py" s3fs) || {
    echo "the clients cannot be installed"
    exit 1
}
unset CLOUDSKIN_CONTROLLER AWS_PROFILE AWS_SESSION_TOKEN AWS_CA_BUNDLE REQUESTS_CA_BUNDLE SSL_CERT_FILE SSL_CERT_DIR
export XDG_STATE_HOME=$PWD/state XDG_RUNTIME_DIR=$PWD/run PYTHONDONTWRITEBYTECODE=1
export AWS_CONFIG_FILE=$PWD/none AWS_SHARED_CREDENTIALS_FILE=$PWD/none AWS_EC2_METADATA_DISABLED=true
mkdir -m 700 run state
ca=$PWD/state/cloudskin/tls/ca.crt
trap 'cloudskin down >/dev/null 2>&1' EXIT

fact "certificates" cloudskin ca init
fact "up" eval 'timeout 60 cloudskin up -d --s3 127.0.0.1:0 --s3-tls >up.txt'
endpoint=$(sed -n 's/^# S3 at \(https:[^;]*\);.*/\1/p' up.txt)
host=${endpoint#https://}
fact "where it is is told" [ -n "$host" ]
eval "$(cloudskin keys)"
echo small >small
head -c $((17 * 1024 * 1024 + 5)) /dev/urandom >large
mkdir -p tree/a/b
echo 1 >tree/one
echo 22 >"tree/a/b/sp ace+é"

python_facts() { # python_facts NAME COMMAND...: they are counted as ours
    local name=$1
    shift
    timeout 300 "$@" >facts
    sed '$d' facts
    passed=$((passed + $(grep -c '^ok ' facts)))
    failed=$((failed + $(grep -c '^FAIL ' facts)))
    fact "all of $name was looked at" grep -qE '^[0-9]+ passed, [0-9]+ failed$' facts
}
python_facts boto3 "$clients/python" "$E2E/s3/https.py" "$endpoint" "$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY" "$ca"

aws() { # its options first: aws [OPTIONS] SERVICE ...
    timeout 120 "$clients/aws" --endpoint-url "$endpoint" --region us-east-1 "$@"
}
trusting() {
    aws --ca-bundle "$ca" "$@"
}
there_and_back() {
    trusting s3 cp --quiet "$1" "s3://aws/$1" && rm -f back && trusting s3 cp --quiet "s3://aws/$1" back && cmp "$1" back
}
aws_in_parts() {
    there_and_back large && trusting s3api head-object --bucket aws --key large --query ETag --output text | finds -- '-3"$'
}
aws_synced() {
    trusting s3 sync --quiet tree s3://aws/tree && rm -rf copy && trusting s3 sync --quiet s3://aws/tree copy && diff -r tree copy
}
aws_presigned() { # version 1 of aws signs URLs by version 2 of the signature unless it is told
    local url
    printf '[default]\ns3 =\n    signature_version = s3v4\n' >aws.conf
    local -x AWS_CONFIG_FILE=$PWD/aws.conf
    url=$(trusting s3 presign s3://aws/small --expires-in 600) && [[ $url == https://* ]] || return 1
    [ "$(curl -sS --max-time 20 --cacert "$ca" "$url")" = small ] && exits 60 curl -sS --max-time 20 "$url"
}
refused_without_ca() { # refused_without_ca COMMAND...: it fails for the certificate, and nothing else
    local said
    said=$("$@" 2>&1) && {
        echo "it worked: $said"
        return 1
    }
    echo "$said"
    [[ $said == *CERTIFICATE_VERIFY_FAILED* || $said == *"certificate verify failed"* || $said == *"signed by unknown authority"* ]]
}
fact "aws makes a bucket" trusting s3 mb s3://aws
fact "aws copies a small file" there_and_back small
fact "aws copies a large file in parts" aws_in_parts
fact "aws syncs folders" aws_synced
fact "aws lists" eval '[ "$(trusting s3 ls --recursive s3://aws | awk "{print \$4}" | xargs)" = "large small tree/a/b/sp tree/one" ]'
fact "aws presigns" aws_presigned
fact "aws takes the CA from its environment" eval '[ "$(AWS_CA_BUNDLE="$ca" aws s3 cp s3://aws/small -)" = small ]'
fact "aws without the CA refuses the server" refused_without_ca aws s3 ls s3://aws
cloudskin ca init --dir strange --name strange >/dev/null
fact "so it does with another CA" refused_without_ca aws --ca-bundle strange/ca.crt s3 ls s3://aws
fact "aws removes all" eval 'trusting s3 rm --quiet --recursive s3://aws && [ -z "$(trusting s3 ls --recursive s3://aws)" ]'
fact "aws removes the bucket" eval 'trusting s3 rb s3://aws && ! trusting s3 ls s3://aws'

printf '[default]\nsignurl_use_https = True\n' >cmd.conf
s3cmd() {
    timeout 120 "$clients/python" "$clients/s3cmd" --config="$PWD/cmd.conf" --no-progress --access_key="$AWS_ACCESS_KEY_ID" \
        --secret_key="$AWS_SECRET_ACCESS_KEY" --host="$host" --host-bucket="$host" --ssl --region=us-east-1 "$@"
}
cmd() {
    s3cmd --ca-certs="$ca" "$@"
}
cmd_there_and_back() {
    cmd put "$1" s3://cmd/ && rm -f back && cmd get "s3://cmd/$1" back && cmp "$1" back
}
fact "s3cmd makes a bucket" cmd mb s3://cmd
fact "s3cmd copies a small file" cmd_there_and_back small
fact "s3cmd copies a large file in parts" cmd_there_and_back large
fact "s3cmd syncs folders" eval 'cmd sync tree/ s3://cmd/tree/ && rm -rf copy && mkdir copy && cmd sync s3://cmd/tree/ copy/ && diff -r tree copy'
fact "s3cmd lists" eval 'cmd ls s3://cmd | finds " s3://cmd/small$"'
fact "a URL that is signed by version 2 is refused, and told why" eval 'curl -sS --max-time 20 --cacert "$ca" "$(cmd signurl s3://cmd/small +600)" | finds "AWS4-HMAC-SHA256"'
fact "s3cmd without the CA refuses the server" refused_without_ca s3cmd ls s3://cmd
fact "s3cmd removes a bucket with all in it" eval 'cmd rb --recursive --force s3://cmd && ! cmd ls s3://cmd'

rc() {
    RCLONE_CONFIG_S_TYPE=s3 RCLONE_CONFIG_S_PROVIDER=Other RCLONE_CONFIG_S_ENV_AUTH=true RCLONE_CONFIG_S_ENDPOINT=$endpoint \
        RCLONE_CONFIG_S_REGION=us-east-1 timeout 120 rclone --config "$PWD/none" --retries 1 --low-level-retries 1 "$@"
}
trc() {
    rc --ca-cert "$ca" "$@"
}
fact "rclone makes a bucket" trc mkdir s:rclone
fact "rclone copies a large file in parts" eval 'trc --s3-upload-cutoff 5M copy large s:rclone && rm -rf down && trc copy s:rclone/large down && cmp large down/large'
fact "rclone syncs folders" eval 'trc sync tree s:rclone/tree && trc check --download tree s:rclone/tree'
fact "rclone lists" eval '[ "$(trc lsf s:rclone | sort | xargs)" = "large tree/" ]'
fact "rclone makes a link" eval '[ "$(curl -sS --max-time 20 --cacert "$ca" "$(trc link --expire 10m s:rclone/tree/one)")" = 1 ]'
fact "rclone without the CA refuses the server" refused_without_ca rc lsf s:rclone
fact "rclone purges a bucket" eval 'trc purge s:rclone && ! trc lsf s:rclone'

python_facts s3fs env AWS_CA_BUNDLE="$ca" "$s3fs/python" "$E2E/s3/s3fs_check.py" "$endpoint" "$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY"
fact "it ends" cloudskin down
finish
