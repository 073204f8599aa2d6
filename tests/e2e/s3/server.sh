# Sourced by tests of the S3 endpoint: a server of this folder's state.
unset AWS_PROFILE AWS_SESSION_TOKEN AWS_CA_BUNDLE
export AWS_CONFIG_FILE=$PWD/none AWS_SHARED_CREDENTIALS_FILE=$PWD/none AWS_EC2_METADATA_DISABLED=true

# start [OPTIONS]: sets server and endpoint
start() {
    rm -f log
    cloudskin-controller --s3 127.0.0.1:0 --state "$PWD/state" "$@" >keys 2>log &
    server=$!
    eventually grep -q controller.started log || return 1
    endpoint=http://127.0.0.1:$(sed -n 's/.* port=\([0-9]*\).*/\1/p' log)
}

stop() { # stop SIGNAL CODE: does it end with this code?
    kill "-$1" "$server"
    local got=0
    wait "$server" || got=$?
    [ "$got" -eq "$2" ]
}
