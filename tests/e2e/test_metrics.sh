#!/usr/bin/env bash
# Metrics of a store: exact counts of known work, of both protocols and of a tier; what is served, to whom, and what is
# not; health. Read by Prometheus' own parsers.
set -uo pipefail
. "$E2E/lib.sh"
unset CLOUDSKIN_CONTROLLER
clients=$(python3 "$E2E/s3/clients.py") && parser=$(python3 "$E2E/s3/clients.py" "$E2E/metrics/parser") &&
    promtool=$("$E2E/metrics/promtool.sh") || {
    echo "boto3, prometheus_client or promtool cannot be had"
    exit 1
}
export AWS_CONFIG_FILE=$PWD/none AWS_SHARED_CREDENTIALS_FILE=$PWD/none AWS_EC2_METADATA_DISABLED=true
export XDG_STATE_HOME=$PWD/state XDG_RUNTIME_DIR=$PWD/run
mkdir -m 700 run state
far_socket=unix:$PWD/far.socket
trap 'cloudskin down >/dev/null 2>&1; far cloudskin down >/dev/null 2>&1' EXIT
page=$E2E/../../docs/ops/metrics.md

far() { # far COMMAND...: at the store that is the tier
    CLOUDSKIN_CONTROLLER=$far_socket "$@"
}
up() { # up OPTIONS: sets s3 and at
    timeout 60 cloudskin up -d --s3 127.0.0.1:0 "$@" >up.txt 2>up.err || return 1
    s3=http://$(sed -n 's/^# S3 at http:..\([^;]*\);.*/\1/p' up.txt)
    at=$(sed -n 's/^# metrics at \(.*\)\/metrics$/\1/p' up.txt)
}
check() {
    "$parser/python" "$E2E/metrics/check.py" "$at/metrics" "$@"
}
is() { # is SAMPLE VALUE
    local got
    got=$(check value "$1") && [ "$got" = "$2" ] || {
        echo "$1 is $got, not $2"
        return 1
    }
}
becomes() { # becomes SAMPLE VALUE: a request is counted when it is over, just after its client has the answer
    PATIENCE=20 eventually is "$1" "$2" || is "$1" "$2"
}
code() { # code CURL-OPTIONS PATH: the code of the answer
    curl -s -o body -w '%{http_code}' --max-time 20 "${@:1:$#-1}" "$at${!#}"
}

fact "it starts" up --metrics 127.0.0.1:0
fact "it says where metrics are" test -n "$at"
fact "so does stat" eval '[ "http://$(cloudskin stat --json | python3 -c "import json, sys; print(json.load(sys.stdin)[\"metrics\"])")" = "$at" ]'
fact "its log does, too" grep -q "metrics=${at#http://}" state/cloudskin/controller.log
eval "$(grep ^export up.txt)"
fact "the page is sound" check sound
fact "the documentation has all of it" check documented "$page"
fact "promtool has nothing to say" bash -c 'curl -s "$1/metrics" | "$2" check metrics >said 2>&1; code=$?; cat said; [ $code = 0 ] && [ ! -s said ]' _ "$at" "$promtool"
cat >samples.py <<'END'
import re, sys
for name, text in re.findall(r"```yaml\n# (\S+)\n(.*?)```", open(sys.argv[1]).read(), re.S):
    open(name, "w").write(text)
END
fact "the samples of the documentation are good" eval 'python3 samples.py "$page" && "$promtool" check config prometheus.yml && "$promtool" check rules cloudskin.rules.yml'
fact "alerts come when they should" eval 'cp "$E2E/metrics/alerts.yml" . && "$promtool" test rules alerts.yml'
fact "rules name metrics that there are" eval 'grep -o "cloudskin_[a-z_0-9]*" cloudskin.rules.yml | sed "s/_bucket$//" | sort -u | while read -r name; do grep -q "^. \`$name\`" "$page" || { echo "$name"; exit 1; }; done'

# requests of S3
cat >work.py <<'END'
import os, sys, boto3
from botocore.config import Config
from botocore.exceptions import ClientError
s3 = boto3.client("s3", endpoint_url=sys.argv[1], config=Config(retries={"max_attempts": 1}, request_checksum_calculation="when_required"))
s3.create_bucket(Bucket="metered")
for i in range(7):
    s3.put_object(Bucket="metered", Key=f"k{i}", Body=os.urandom(50000))
for i in range(5):
    assert len(s3.get_object(Bucket="metered", Key="k1")["Body"].read()) == 50000
s3.get_object(Bucket="metered", Key="k2", Range="bytes=100-199")["Body"].read()
for i in range(3):
    try:
        s3.get_object(Bucket="metered", Key="missing")
    except ClientError as e:
        assert e.response["Error"]["Code"] == "NoSuchKey"
s3.head_object(Bucket="metered", Key="k0")
s3.list_objects_v2(Bucket="metered")
s3.delete_object(Bucket="metered", Key="k6")
END
fact "S3 clients work" "$clients/python" work.py "$s3"
ops='cloudskin_s3_requests_total{operation='
fact "PUTs are counted" becomes "$ops\"PutObject\",code=\"2xx\"}" 7
fact "GETs are counted" becomes "$ops\"GetObject\",code=\"2xx\"}" 6
fact "GETs of what is missing are counted" becomes "$ops\"GetObject\",code=\"4xx\"}" 3
fact "so is their error" becomes 'cloudskin_s3_errors_total{code="NoSuchKey"}' 3
fact "a HEAD is counted" becomes "$ops\"HeadObject\",code=\"2xx\"}" 1
fact "a list is counted" becomes "$ops\"ListObjectsV2\",code=\"2xx\"}" 1
fact "a new bucket is counted" becomes "$ops\"CreateBucket\",code=\"2xx\"}" 1
fact "a delete is counted" becomes "$ops\"DeleteObject\",code=\"2xx\"}" 1
fact "nothing is broken" is "$ops\"GetObject\",code=\"broken\"}" 0
fact "bytes that came are counted" is 'cloudskin_s3_received_bytes_total{operation="PutObject"}' 350000
fact "bytes of a HEAD are none" is 'cloudskin_s3_sent_bytes_total{operation="HeadObject"}' 0
fact "times are counted" is 'cloudskin_s3_request_duration_seconds_count{operation="GetObject"}' 9
fact "nothing is in flight" becomes cloudskin_s3_requests_in_flight 0
before=$(check value 'cloudskin_s3_sent_bytes_total{operation="GetObject"}')
fact "a GET" "$clients/python" -c 'import sys, boto3; boto3.client("s3", endpoint_url=sys.argv[1]).get_object(Bucket="metered", Key="k1")["Body"].read()' "$s3"
fact "bytes that went are counted" becomes 'cloudskin_s3_sent_bytes_total{operation="GetObject"}' $((before + 50000))
fact "who has not signed is refused" eval '[ "$(curl -s -o body -w "%{http_code}" "$s3/")" = 403 ]'
fact "that is counted, as nothing known" becomes 'cloudskin_s3_requests_total{operation="ListBuckets",code="4xx"}' 1
fact "the store is told" eval 'is cloudskin_store_buckets 1 && is cloudskin_store_objects 6 && is cloudskin_store_object_bytes 300000'
fact "each commit has its changes" eval '[ "$(check value cloudskin_store_commits_total)" = "$(check value cloudskin_store_commit_changes_count)" ] && [ "$(check value cloudskin_store_changes_total)" = "$(check value cloudskin_store_commit_changes_sum)" ]'
fact "each has its time" eval '[ "$(check value cloudskin_store_commits_total)" = "$(check value cloudskin_store_commit_duration_seconds_count)" ]'
fact "each file had its sync" is cloudskin_store_sync_duration_seconds_count 7
fact "no sync failed" is cloudskin_store_failed_syncs_total 0

# a client that leaves in the middle of an answer
head -c 60000000 /dev/zero >large
fact "a large object" cloudskin put -q large geds://metered/large
fact "files are told, and one that is gone is not any more" eval 'is "cloudskin_tier_extents{place=\"local\"}" 7 && is "cloudskin_tier_bytes{place=\"local\"}" 60300000'
cat >leave.py <<'END'
import socket, struct, sys, boto3
from botocore.config import Config
url = boto3.client("s3", endpoint_url=sys.argv[1], config=Config(signature_version="s3v4")).generate_presigned_url("get_object", Params={"Bucket": "metered", "Key": "large"})
host, port = sys.argv[1][7:].split(":")
s = socket.create_connection((host, int(port)))
s.sendall(f"GET {url[len(sys.argv[1]):]} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
assert s.recv(15) == b"HTTP/1.1 200 OK"
s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
s.close()
END
fact "a client leaves" "$clients/python" leave.py "$s3"
fact "that is counted as broken" becomes "$ops\"GetObject\",code=\"broken\"}" 1
fact "it is not in flight any more" becomes cloudskin_s3_requests_in_flight 0
fact "nobody has it open" becomes cloudskin_store_open_objects 0

# the verbs' protocol
rpc='cloudskin_rpc_requests_total{operation='
head -c 2000000 /dev/urandom >file
puts=$(check value "$rpc\"put_commit\",status=\"ok\"}") bytes=$(check value 'cloudskin_rpc_received_bytes_total{operation="put_write"}')
verbs() {
    local i
    for i in 1 2 3; do
        cloudskin put -q file "geds://metered/v$i" || return 1
    done
    cloudskin rm geds://metered/v3 && cloudskin mv geds://metered/v2 geds://metered/v4 && ! cloudskin mb geds://metered
}
fact "verbs work" verbs
fact "their puts are counted" becomes "$rpc\"put_commit\",status=\"ok\"}" $((puts + 3))
fact "so are their bytes" becomes 'cloudskin_rpc_received_bytes_total{operation="put_write"}' $((bytes + 6000000))
fact "so is what is refused" becomes "$rpc\"bucket_create\",status=\"exists already\"}" 1
fact "so is a rename" becomes "$rpc\"rename\",status=\"ok\"}" 1
fact "nothing is in flight there" becomes cloudskin_rpc_requests_in_flight 0
fact "nobody is connected any more" becomes cloudskin_rpc_connections 0
fact "the page is sound still" check sound

# a client of the library, which reads hot objects without asking while it is connected
cat >lease.py <<'END'
import ctypes, os, sys
g = ctypes.CDLL(sys.argv[1])
store, obj = ctypes.c_void_p(), ctypes.c_void_p()
assert g.geds_connect(None, ctypes.byref(store), None) == 0
for again in range(5):
    g.geds_close(obj)
    assert g.geds_open(store, b"metered", b"k1", ctypes.byref(obj), None) == 0
g.geds_close(obj)
assert g.geds_open(store, b"metered", b"v1", ctypes.byref(obj), None) == 0
print("open", flush=True)
sys.stdin.read()
g.geds_close(obj)
g.geds_disconnect(store)
END
coproc client {
    # the library of a sanitizer has to be the first of a program
    [ -z "$SANITIZED" ] || export LD_PRELOAD=$(gcc -print-file-name=libasan.so) ASAN_OPTIONS=detect_leaks=0
    exec python3 lease.py "$(dirname "$(command -v cloudskin)")/../src/libcloudskin.so.0"
}
client_pid=$!
read -r -t 60 line <&"${client[0]}"
fact "a client has an object open" test "$line" = open
fact "it is told" becomes cloudskin_store_open_objects 1
fact "so are its connection and its lease" eval 'is cloudskin_rpc_connections 1 && is cloudskin_rpc_lease_holders 1'
eval "exec ${client[1]}>&-"
fact "the client ends" wait "$client_pid"
fact "it has nothing open any more" eval 'becomes cloudskin_store_open_objects 0 && becomes cloudskin_rpc_lease_holders 0 && becomes cloudskin_rpc_connections 0'

# what comes to the port
fact "health is ok" eval '[ "$(code /healthz)" = 200 ] && [ "$(cat body)" = ok ]'
fact "a query does not matter" eval '[ "$(code "/metrics?name[]=x")" = 200 ]'
fact "HEAD has the length" eval '[ "$(code -I /metrics)" = 200 ] && grep -qi "^content-length: [1-9][0-9]*" body'
fact "another path is not found" eval '[ "$(code /)" = 404 ] && [ "$(code /metrics/x)" = 404 ] && [ "$(code /METRICS)" = 404 ] && grep -q /healthz body'
for method in POST PUT DELETE OPTIONS; do
    fact "$method is not allowed" eval '[ "$(code -X $method -d x /metrics)" = 405 ]'
done
fact "a long path is refused" eval '[ "$(code "/$(head -c 20000 /dev/zero | tr "\0" x)")" = 414 ]'
fact "a longer one, too" eval 'c=$(code "/$(head -c 120000 /dev/zero | tr "\0" x)"); [ "$c" = 414 ]'
cat >hostile.py <<'END'
import socket, sys, urllib.request
host, port = sys.argv[1][7:].split(":")
def connect():
    return socket.create_connection((host, int(port)), timeout=30)
for junk in (b"\0" * 1000, b"GET\r\n\r\n", b"GET /metrics HTTP/9.9\r\n\r\n", b"GET /metrics HTTP/1.1\r\n" + b"a: b\r\n" * 100000 + b"\r\n",
             b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n", b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: " + b"," * 8000 + b"\r\n\r\n"):
    with connect() as s:
        try:
            s.sendall(junk)
            s.recv(100)
        except OSError:
            pass
# more than are served at a time: those that ask nothing are closed, and then there is room again
idle = [connect() for _ in range(60)]
for s in idle:
    s.close()
for attempt in range(1000):
    try:
        if urllib.request.urlopen(sys.argv[1] + "/healthz", timeout=30).read() == b"ok\n":
            break
    except OSError:
        pass
else:
    sys.exit("it does not answer any more")
END
fact "what is no request does no harm, nor do many connections" python3 hostile.py "$at"
cat >idle.py <<'END'
import socket, sys, time
host, port = sys.argv[1][7:].split(":")
idle = [socket.create_connection((host, int(port)), timeout=60) for _ in range(32)]
began = time.monotonic()
for s in idle:
    assert s.recv(1) == b""
assert time.monotonic() - began < 45
END
fact "who asks nothing is sent away" python3 idle.py "$at"
fact "then it answers" eval '[ "$(code /healthz)" = 200 ]'

# while others work
under_load() {
    local pids=() i ok=0
    for i in 1 2; do
        (for n in $(seq 1 20); do cloudskin put -q file "geds://metered/load$i-$n" || exit 1; done) &
        pids+=($!)
    done
    for i in $(seq 1 5); do
        check sound || ok=1
    done
    for i in "${pids[@]}"; do
        wait "$i" || ok=1
    done
    return $ok
}
puts=$(check value "$rpc\"put_commit\",status=\"ok\"}")
fact "pages are sound while others write" under_load
fact "all of that is counted" becomes "$rpc\"put_commit\",status=\"ok\"}" $((puts + 40))

# where it is
port=${at##*:}
refused() { # refused ADDRESS: what a second store says
    CLOUDSKIN_CONTROLLER=unix:$PWD/second.socket timeout 60 cloudskin up --state other --s3 127.0.0.1:0 --metrics "$1"
}
fact "an address that is taken is refused" says "choose another address with --metrics" refused "127.0.0.1:$port"
fact "with the code of the others" exits 71 refused "127.0.0.1:$port"
fact "an address that is none is refused" exits 64 refused nonsense
fact "down" cloudskin down
fact "none is none" up --metrics none
fact "it says nothing of it then" eval '! grep -q metrics up.txt && [ "$(cloudskin stat | awk "\$1 == \"metrics\" { print \$2 }")" = none ]'
fact "down again" cloudskin down
# hold the default address, as soon as no other test does
cat >hold.py <<'END'
import select, socket, sys
s, held = socket.socket(), False
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
print("here", flush=True)
while not select.select([sys.stdin], [], [], None if held else 0.02)[0]:
    try:
        s.bind(("127.0.0.1", 9464))
        s.listen()
        held = True
    except OSError:
        pass
END
coproc hold { python3 hold.py; }
read -r _ <&"${hold[0]}"
without_metrics() {
    local i
    for i in 1 2 3 4 5; do
        up || return 1
        ! grep -q "^# metrics at" up.txt && return
        cloudskin down
    done
    return 1
}
fact "it starts without metrics when nobody asked for their address" without_metrics
fact "and says why" grep -q "^# no metrics: 127.0.0.1:9464 is in use" up.txt
eval "exec ${hold[1]}>&-"
fact "down once more" cloudskin down

# a full disk, in a name space of its own; unit.geds.full has the rest
cat >full.sh <<'END'
mkdir small && mount -t tmpfs -o size=24m,mode=0700 small small || exit 1
. "$E2E/lib.sh"
cloudskin up -d --state "$PWD/small" --s3 127.0.0.1:0 --metrics 127.0.0.1:0 >up.txt || exit 1
at=$(sed -n 's/^# metrics at \(.*\)\/metrics$/\1/p' up.txt)
health() { # health CODE TEXT
    [ "$(curl -s -o body -w '%{http_code}' "$at/healthz")" = "$1" ] && grep -q "$2" body
}
cloudskin mb geds://box && health 200 '^ok$' || exit 1
n=0
while cloudskin put -q file "geds://box/$n"; do
    n=$((n + 1))
    [ "$n" -lt 20 ] || exit 1
done
health 503 '^the disk is full: ' && curl -s "$at/metrics" | finds -x 'cloudskin_store_full 1' || exit 1
cloudskin rm -r geds://box/ && cloudskin put -q up.txt geds://box/small && health 200 '^ok$'
code=$?
cloudskin down
exit $code
END
if unshare --user --map-root-user --mount true 2>/dev/null; then
    fact "a full disk is no health, until there is room" unshare --user --map-root-user --mount bash full.sh
fi

# a tier
fact "the tier is up" eval 'far timeout 60 cloudskin up -d --state "$PWD/far" --s3 127.0.0.1:0 --metrics 127.0.0.1:0 >far.txt'
far_s3=$(sed -n 's/^# S3 at \([^;]*\);.*/\1/p' far.txt) far_at=$(sed -n 's/^# metrics at \(.*\)\/metrics$/\1/p' far.txt)
far cloudskin mb geds://tier
far cloudskin keys --state "$PWD/far" | sed -n 's/^export AWS_[A-Z_]*=//p' | paste -sd ' ' >far.key
chmod 600 far.key
fact "a store with a tier" up --metrics 127.0.0.1:0 --state "$PWD/near" --tier s3://tier --tier-endpoint "$far_s3" \
    --tier-credentials far.key --local-bytes 100M --cache-bytes 16M
cloudskin mb geds://box
for i in 1 2 3; do
    cloudskin put -q file "geds://box/file$i"
done
fact "it has a tier" eval 'is cloudskin_tier_configured 1 && is cloudskin_tier_away 0 && is cloudskin_tier_cache_limit_bytes 16777216 && is cloudskin_tier_high_bytes 104857600'
fact "all is local" eval 'is "cloudskin_tier_bytes{place=\"local\"}" 6000000 && is "cloudskin_tier_extents{place=\"away\"}" 0'
fact "two are spilled" eval 'cloudskin spill geds://box/file1 && cloudskin spill geds://box/file2'
fact "that is counted" eval 'is cloudskin_tier_spilled_extents_total 2 && is cloudskin_tier_spilled_bytes_total 4000000 && is cloudskin_tier_dropped_extents_total 2 && is cloudskin_tier_dropped_bytes_total 4000000'
fact "they are away" eval 'is "cloudskin_tier_extents{place=\"away\"}" 2 && is "cloudskin_tier_bytes{place=\"away\"}" 4000000 && is "cloudskin_tier_bytes{place=\"local\"}" 2000000'
far_is() {
    at=$far_at becomes "$@"
}
fact "the tier has counted the same bytes" far_is cloudskin_store_object_bytes 4000000
fact "and the same requests" far_is "$ops\"PutObject\",code=\"2xx\"}" 2
fact "one is read" eval 'cloudskin get -q geds://box/file1 back && cmp file back'
fact "its bytes came from the tier" is cloudskin_tier_fetched_bytes_total 2000000
fact "and are in the cache" is cloudskin_tier_cache_bytes "$(check value cloudskin_tier_fetched_bytes_total)"
fact "the next read is one of the cache" eval 'n=$(check value "cloudskin_tier_reads_total{source=\"tier\"}"); cloudskin get -q geds://box/file1 back2 && [ "$(check value "cloudskin_tier_reads_total{source=\"cache\"}")" -gt 0 ] && is "cloudskin_tier_reads_total{source=\"tier\"}" "$n" && is cloudskin_tier_fetched_bytes_total 2000000'
fact "the other is recalled" cloudskin spill --recall geds://box/file2
fact "that is counted, too" eval 'is cloudskin_tier_recalled_extents_total 1 && is cloudskin_tier_recalled_bytes_total 2000000 && is "cloudskin_tier_bytes{place=\"both\"}" 2000000'
fact "one is pinned" cloudskin pin geds://box/file3
fact "it is told" eval 'is cloudskin_tier_pinned_extents 1 && is cloudskin_tier_pinned_bytes 2000000'
fact "the page with a tier is sound" check sound
fact "and documented" check documented "$page"
fact "the tier goes" far cloudskin down
fact "a spill fails then" eval '! timeout 100 cloudskin spill geds://box/file1 geds://box/file3 2>/dev/null; cloudskin pin --off geds://box/file3; ! timeout 100 cloudskin spill geds://box/file3'
fact "the tier is away" becomes cloudskin_tier_away 1
fact "since when is told" eval '[ "$(check value cloudskin_tier_away_since_seconds | cut -d . -f 1)" -gt 1700000000 ]'
fact "errors are counted" eval '[ "$(check value cloudskin_tier_errors_total)" -gt 0 ]'
fact "the store is healthy" eval '[ "$(code /healthz)" = 200 ]'
fact "it ends" cloudskin down
finish
