#!/usr/bin/env bash
# The store for other machines: TLS 1.3, certificates, tokens, roles; and who means harm.
set -uo pipefail
. "$E2E/lib.sh"
unset CLOUDSKIN_CONTROLLER CLOUDSKIN_TOKEN CLOUDSKIN_TOKEN_FILE CLOUDSKIN_CA CLOUDSKIN_CERT CLOUDSKIN_KEY AWS_PROFILE AWS_CA_BUNDLE
export XDG_STATE_HOME=$PWD/state XDG_RUNTIME_DIR=$PWD/run PYTHONDONTWRITEBYTECODE=1
mkdir -m 700 run state far
tls=$PWD/state/cloudskin/tls
root=$(cd "$E2E/../.." && pwd)
trap 'cloudskin down >/dev/null 2>&1' EXIT

up() { # up OPTIONS...: where it listens is in $port
    timeout 60 cloudskin up -d --s3 127.0.0.1:0 "$@" >up.txt && port=$(sed -n 's/^# other clients at .*:\([0-9]*\)$/\1/p' up.txt)
}
peer() { # peer WHAT [TOKEN]...
    timeout 120 python3 "$E2E/tls/peer.py" "$1" "$port" "$admin" "${@:2}"
}
store_pid() {
    env -u CLOUDSKIN_CONTROLLER cloudskin up 2>&1 | sed -n 's/.*as process \([0-9]*\).*/\1/p'
}
# far [NAME=VALUE]... COMMAND...: as from another machine, which has nothing of this one but the CA's certificate
far() {
    timeout 60 env -u CLOUDSKIN_TOKEN XDG_STATE_HOME="$PWD/far" XDG_RUNTIME_DIR="$PWD/far" \
        CLOUDSKIN_CONTROLLER="tls://127.0.0.1:$port" CLOUDSKIN_CA="$tls/ca.crt" "$@"
}
as() { # as NAME COMMAND...: with a certificate
    local name=$1
    shift
    far CLOUDSKIN_CERT="$PWD/certs/$name.crt" CLOUDSKIN_KEY="$PWD/certs/$name.key" "$@"
}
with() { # with TOKEN COMMAND...
    local token=$1
    shift
    far CLOUDSKIN_TOKEN="$token" "$@"
}

# Where it may listen.
fact "other machines are not served without certificates" exits 64 cloudskin up --s3 127.0.0.1:0 --listen 0.0.0.0:0
fact "what to do is said" says "cloudskin ca init" cloudskin up --s3 127.0.0.1:0 --listen '[::]:0'
fact "an address that is none is refused" exits 64 cloudskin up --s3 127.0.0.1:0 --listen nonsense
fact "a host's name is refused" says "not an IP address" cloudskin up --s3 127.0.0.1:0 --listen example.org:7700
fact "on this machine it needs none" up --listen 127.0.0.1:0
admin=$(cat state/cloudskin/admin-token)
fact "which is said" grep -q "^# other clients at tcp://127.0.0.1:$port" up.txt
fact "a token is needed there too" peer plain
fact "a token does" env CLOUDSKIN_CONTROLLER="tcp://127.0.0.1:$port" CLOUDSKIN_TOKEN="$admin" cloudskin mb geds://plain
fact "or in a file" env CLOUDSKIN_CONTROLLER="tcp://localhost:$port" CLOUDSKIN_TOKEN_FILE=state/cloudskin/admin-token cloudskin ls geds://plain
fact "without one it says so" says "wants a token" env CLOUDSKIN_CONTROLLER="tcp://127.0.0.1:$port" cloudskin ls
fact "tcp:// is no way to other machines" exits 64 cloudskin ls --controller tcp://192.0.2.1:7700
fact "that is said" says "another machine is tls://" cloudskin ls --controller tcp://192.0.2.1:7700
fact "nobody listens" exits 127 cloudskin ls --controller tcp://127.0.0.1:1
cloudskin ca init --dir strange --name strange >/dev/null
fact "it does not speak TLS" says "does not speak TLS 1.3" with "$admin" env CLOUDSKIN_CA="$PWD/strange/ca.crt" cloudskin ls
cloudskin down

fact "certificates" cloudskin ca init --host store.test
for role in read write admin; do
    cloudskin ca issue "$role" --role "$role" -o certs >/dev/null
done
cloudskin ca issue nobody -o certs >/dev/null
fact "a port that is taken is named" eval 'up --listen 127.0.0.1:0 && says "in use by another program" env CLOUDSKIN_CONTROLLER="unix:$PWD/x.socket" \
    cloudskin up --state other --s3 127.0.0.1:0 --listen "127.0.0.1:$port" --tls-cert "$tls/controller.crt" --tls-key "$tls/controller.key" --tls-ca "$tls/ca.crt"'
cloudskin down
fact "fsck does not take the store of this machine for one that cannot be reached" exits 127 \
    env CLOUDSKIN_CONTROLLER=tcp://127.0.0.1:1 cloudskin fsck --repair
fact "tokens are not made here for a store elsewhere" exits 64 \
    env CLOUDSKIN_CONTROLLER=tls://store.test cloudskin token create --role read elsewhere
mv "$tls/ca.crt" kept.crt
fact "a CA that is missing is no reason to do without TLS" says "ca.crt" cloudskin up --s3 127.0.0.1:0 --listen 127.0.0.1:0
mv kept.crt "$tls/ca.crt"
fact "half of the files is refused" exits 64 cloudskin up --s3 127.0.0.1:0 --listen 127.0.0.1:0 --tls-cert "$tls/controller.crt"
fact "files without --listen are refused" exits 64 cloudskin up --s3 127.0.0.1:0 --tls-cert a --tls-key b --tls-ca c
fact "a key of another certificate is refused" exits 65 cloudskin up --s3 127.0.0.1:0 --listen 127.0.0.1:0 \
    --tls-cert "$tls/controller.crt" --tls-key certs/read.key --tls-ca "$tls/ca.crt"
chmod 644 certs/read.key
fact "a key that others can read is refused" exits 71 cloudskin up --s3 127.0.0.1:0 --listen 127.0.0.1:0 \
    --tls-cert certs/read.crt --tls-key certs/read.key --tls-ca "$tls/ca.crt"
chmod 600 certs/read.key
fact "with certificates every address is served" up --listen 0.0.0.0:0
fact "through TLS" grep -q "^# other clients at tls://0.0.0.0:$port" up.txt
fact "the socket of this machine is there too" cloudskin ls

# openssl as a client.
s_client() {
    timeout 20 openssl s_client -connect "127.0.0.1:$port" -CAfile "$tls/ca.crt" -verify_return_error "$@" </dev/null 2>&1
}
fact "openssl believes its certificate" eval 's_client -verify_hostname store.test >s.log; grep -q "Verify return code: 0 (ok)" s.log && grep -q "TLSv1.3" s.log'
openssl_says() { # openssl_says TEXT OPTIONS...
    local text=$1 said
    shift
    said=$(s_client "$@")
    echo "$said"
    [[ $said == *"$text"* ]]
}
fact "but not for another host" openssl_says "ostname mismatch" -verify_hostname other.test
fact "TLS 1.2 is refused" openssl_says "protocol version" -tls1_2
fact "clients are asked for a certificate" grep -q "Acceptable client certificate CA names" s.log
fact "no tickets are given" peer s_client_has_no_ticket

# Who is who.
fact "without a token or certificate nobody gets in" exits 71 far cloudskin ls
fact "what is missing is said" says "wants a token (CLOUDSKIN_TOKEN" far cloudskin ls
fact "a certificate without a role needs a token" says 'certificate "nobody" has no role' as nobody cloudskin ls
fact "with it it gets in" as nobody env CLOUDSKIN_TOKEN="$admin" cloudskin ls
fact "a token does" with "$admin" cloudskin mb geds://scenes
fact "one with a line's end in a file, too" far CLOUDSKIN_TOKEN_FILE="$PWD/state/cloudskin/admin-token" cloudskin mb geds://other
cp state/cloudskin/admin-token open-token && chmod 644 open-token
fact "a token's file that others can read is refused" says "chmod 600" far CLOUDSKIN_TOKEN_FILE="$PWD/open-token" cloudskin ls
fact "a wrong token" says "none of this store" with "cst_$(printf 'A%.0s' {1..43})" cloudskin ls
fact "what is no token" exits 64 with "a b" cloudskin ls
head -c 3000000 /dev/urandom >big
fact "who may write does" as write cloudskin put big geds://scenes/
fact "who may read does" eval 'as read cloudskin get geds://scenes/big back && cmp big back'
fact "who may read does not write" exits 71 as read cloudskin put big geds://scenes/no
fact "which role is missing is said" says 'the certificate "read" has the role read: this needs write' as read cloudskin put big geds://scenes/no
fact "nor remove" exits 71 as read cloudskin rm geds://scenes/big
fact "who may write does not make buckets" says "this needs admin" as write cloudskin mb geds://more
fact "nor fsck" says "this needs admin" as write cloudskin fsck
fact "an admin does" as admin cloudskin fsck
fact "nothing was changed" prints "big" cloudskin ls -r geds://scenes
fact "status is for all" eval 'as read cloudskin stat | finds "^objects *1"'

# Tokens.
viewer=$(cloudskin token create --role read --bucket scenes --expires 30d viewer)
writer=$(cloudskin token create --bucket scenes --bucket plain writer)
short=$(cloudskin token create --expires 1500ms short)
fact "a token's hash is kept" grep -q "$(printf %s "$viewer" | sha256sum | cut -d ' ' -f 1)" state/cloudskin/tokens
fact "but not the token" bash -c "! grep -rqF '$viewer' state/cloudskin"
fact "its file is its owner's" test "$(stat -c %a state/cloudskin/tokens state/cloudskin/admin-token | tr '\n' ' ')" = "600 600 "
fact "a name is there once" exits 71 cloudskin token create viewer
fact "it reads its bucket" eval 'with "$viewer" cloudskin get geds://scenes/big back && cmp big back'
fact "and no other" says 'the token "viewer" is not for bucket "other"' with "$viewer" cloudskin ls geds://other
fact "and sees no other" prints "geds://scenes" with "$viewer" cloudskin ls
fact "nor counts of others" eval 'with "$viewer" cloudskin stat | finds "^objects *0"'
fact "it does not write" says "this needs write" with "$viewer" cloudskin put big geds://scenes/no
fact "a token for two buckets copies between them" with "$writer" cloudskin cp geds://scenes/big geds://plain/copy
fact "but not from a third" says 'not for bucket "other"' with "$writer" cloudskin cp geds://other/big geds://plain/copy
fact "nor to one" says 'not for bucket "other"' with "$writer" cloudskin mv geds://plain/copy geds://other/copy
fact "nor looks at the tier" says "for some buckets only" with "$writer" cloudskin tier
other_names() { # of a rename, who may see one bucket is told of a name that went or came
    local pid from
    with "$viewer" cloudskin watch --json --count 1 geds://scenes/first >first.json 2>watch.log &
    pid=$!
    eventually eval 'cloudskin cp geds://scenes/big geds://scenes/first && [ -s first.json ]'
    wait "$pid"
    from=$(python3 -c 'import json; print(json.load(open("first.json"))["number"])')
    cloudskin mv geds://scenes/first geds://scenes/h/1 && cloudskin mv geds://scenes/h/1 geds://other/hidden &&
        cloudskin mv geds://other/hidden geds://scenes/h/2 || return 1
    with "$viewer" cloudskin watch --json --count 3 --from "$from" geds://scenes/h/ >seen.json || return 1
    cloudskin rm geds://scenes/h/2
    cat seen.json
    ! grep -q 'hidden\|"other"' seen.json && [[ $(grep -o '"renamed"\|"deleted"\|"created"' seen.json | tr '\n' ' ') == '"renamed" "deleted" "created" ' ]]
}
fact "names of other buckets are not told" other_names
fact "a token that has ended is refused" eventually says 'the token "short" has ended' with "$short" cloudskin ls
listed() {
    cloudskin token list --json | python3 -c 'import json, sys, time
d = {t["name"]: t for t in json.load(sys.stdin)}
assert set(d) == {"admin", "viewer", "writer", "short"}, d
assert d["viewer"]["role"] == "read" and d["viewer"]["buckets"] == ["scenes"]
assert abs(d["viewer"]["ends"] - time.time() - 30 * 86400) < 120 and d["admin"]["ends"] == 0'
}
fact "they are listed" listed
fact "as text" eval 'cloudskin token list | finds "^short .*(over)" && cloudskin token list | finds "^writer *write *never *scenes plain"'
revoked_now() { # the connection stands, and is of no use
    local first second
    coproc timeout 60 python3 "$E2E/tls/peer.py" held "$port" "$viewer"
    read -r first <&"${COPROC[0]}"
    echo ask >&"${COPROC[1]}"
    read -r first <&"${COPROC[0]}"
    cloudskin token revoke viewer
    echo ask >&"${COPROC[1]}"
    read -r second <&"${COPROC[0]}"
    kill "$COPROC_PID"
    echo "$first / $second"
    [[ $first == 0* && $second == '7 the token "viewer" was revoked' ]]
}
fact "a token that is revoked is of no use, at once" revoked_now
fact "nor for a new connection" says "it was revoked" with "$viewer" cloudskin ls
fact "it cannot be revoked twice" exits 127 cloudskin token revoke viewer
fact "another one may have the name" cloudskin token create viewer
cp state/cloudskin/tokens tokens.good
echo nonsense >>state/cloudskin/tokens
fact "a damaged table lets nobody in" says "cannot read its tokens" with "$admin" cloudskin ls
for _ in 1 2 3; do
    with "$admin" cloudskin ls >/dev/null 2>&1
done
fact "the log says why once, not for each connection" [ "$(grep -c "access.tokens" state/cloudskin/controller.log)" = 1 ]
chmod 644 state/cloudskin/tokens
with "$admin" cloudskin ls >/dev/null 2>&1
fact "another reason is told" [ "$(grep -c "access.tokens" state/cloudskin/controller.log)" = 2 ]
chmod 600 state/cloudskin/tokens
fact "token says which line" says "line 6 is no token" cloudskin token list
fact "and changes nothing" exits 65 cloudskin token create more
fact "certificates still do" as read cloudskin ls
cp tokens.good state/cloudskin/tokens
fact "repaired, it lets in again" with "$admin" cloudskin ls
for wrong in '' nonsense create 'create a b' 'list a' revoke 'create --role king x' 'create --expires never x' 'create --expires 0d x' \
    'create --bucket a/b x' 'create a/b' 'create .x' '--nonsense'; do
    fact "wrong usage: token $wrong" exits 64 cloudskin token $wrong
done

# Certificates that are not right.
fact "another CA's server is not believed" says "certificate is refused" with "$admin" env CLOUDSKIN_CA="$PWD/strange/ca.crt" cloudskin ls
cloudskin ca issue stranger --dir strange --role admin >/dev/null
fact "another CA's client is refused" says "refused this client" far CLOUDSKIN_CERT="$PWD/strange/stranger.crt" CLOUDSKIN_KEY="$PWD/strange/stranger.key" cloudskin ls
fact "the log says why" eventually grep -q 'remote.refused.*unable to get local issuer\|remote.refused.*unable to verify' state/cloudskin/controller.log
fact "no CA, no connection" says "CLOUDSKIN_CA" far env -u CLOUDSKIN_CA cloudskin ls
fact "half of a pair is refused" exits 64 far CLOUDSKIN_CERT="$PWD/certs/read.crt" cloudskin ls
fact "a key of another is refused" exits 65 far CLOUDSKIN_CERT="$PWD/certs/read.crt" CLOUDSKIN_KEY="$PWD/certs/write.key" cloudskin ls
fact "a host that the certificate does not have is refused" says "IP address mismatch" with "$admin" cloudskin ls --controller "tls://127.0.0.2:$port"
fact "nobody listens there" exits 127 with "$admin" cloudskin ls --controller tls://127.0.0.1:1
echo "hosts: files" >nsswitch # what name servers say, or whether there are any, is not the test's
fact "no such host" exits 127 with "$admin" unshare --mount sh -c 'mount --bind "$0" /etc/nsswitch.conf && exec "$@"' nsswitch \
    cloudskin ls --controller tls://no-such-host.invalid
fact "an address that is none" exits 64 cloudskin ls --controller tls://
fact "nor with a port that is none" exits 64 cloudskin ls --controller tls://a:b
signed() { # signed NAME BEGIN END EXTENSIONS: by openssl itself, with our CA
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "certs/$1.key" -out req -subj "/CN=$1" 2>/dev/null &&
        printf '[ca]\ndefault_ca=d\n[d]\nnew_certs_dir=.\ndatabase=index\nserial=serial\npolicy=p\ndefault_md=sha256\n[p]\nCN=supplied\n[x]\n%b' "$4" >conf &&
        : >index && printf '%06d\n' "$RANDOM" >serial && chmod 600 "certs/$1.key" &&
        openssl ca -batch -config conf -cert "$tls/ca.crt" -keyfile "$tls/ca.key" -in req -out "certs/$1.crt" -notext -extensions x \
            -startdate "$2" -enddate "$3" 2>openssl.log || { cat openssl.log; return 1; }
}
client='extendedKeyUsage=clientAuth\nsubjectAltName=URI:cloudskin:role:admin\n'
server='extendedKeyUsage=serverAuth\nsubjectAltName=IP:127.0.0.1\n'
signed current 20200101000000Z 20360101000000Z "$client"
signed ended 20200101000000Z 20210101000000Z "$client"
signed early 20350101000000Z 20360101000000Z "$client"
signed wrong-use 20200101000000Z 20360101000000Z 'extendedKeyUsage=serverAuth\nsubjectAltName=URI:cloudskin:role:admin\n'
signed king 20200101000000Z 20360101000000Z 'extendedKeyUsage=clientAuth\nsubjectAltName=URI:cloudskin:role:king\n'
fact "openssl's own certificate of our CA does" as current cloudskin fsck
fact "one that has ended does not" says "certificate expired" as ended cloudskin ls
fact "one that has not begun does not" says "refused this client" as early cloudskin ls
fact "a server's is not a client's" says "refused this client" as wrong-use cloudskin ls
fact "a role that does not exist is none" says "has no role" as king cloudskin ls

# All that the verbs and libraries do, the same as on this machine.
fact "many objects" eval 'mkdir -p many && for i in {1..50}; do head -c $((i * 1000)) big >many/$i; done; as write cloudskin put -r many geds://scenes/many/ --quiet &&
    as read cloudskin get -r geds://scenes/many/ many.back --quiet && diff -r many many.back'
watched() {
    as read cloudskin watch --json --count 2 geds://scenes/ >events 2>watch.log &
    local pid=$!
    eventually grep -q . watch.log || true
    eventually eval 'cloudskin put big geds://scenes/w && [ -s events ]'
    cloudskin rm geds://scenes/w
    wait "$pid" && grep -q '"deleted"\|"overwritten"' events
}
fact "events are told" watched
python_client() {
    as admin env PYTHONPATH="$root/sdk/python" CLOUDSKIN_LIBRARY="$(dirname "$(dirname "$(command -v cloudskin)")")/src/libcloudskin.so" \
        ${SANITIZED:+LD_PRELOAD=$(gcc -print-file-name=libasan.so) ASAN_OPTIONS=detect_leaks=0} python3 - <<'END'
import threading, cloudskin
with cloudskin.connect() as store:
    data = open("big", "rb").read()
    for _ in range(3):
        with store.open("scenes", "big") as o:
            assert bytes(o.map()) == data if hasattr(o, "map") else o.read() == data
    assert store.get("scenes", "big", 12345, 1000) == data[12345:13345]
    def work(n):
        for i in range(20):
            store.put("scenes", f"t/{n}/{i}", data[:i * 5000])
            assert store.get("scenes", f"t/{n}/{i}") == data[:i * 5000]
    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    [t.start() for t in threads], [t.join() for t in threads]
    assert len(list(store.list("scenes", "t/"))) == 160
try:
    with cloudskin.connect() as store:
        store.get("scenes", "none")
except FileNotFoundError:
    pass
END
}
fact "Python does, with threads, and maps" python_client
children() { # the helper is nobody's child to wait for, and ends with its client
    as read python3 - <<'END'
import os, subprocess
subprocess.run(["cloudskin", "ls"], check=True, stdout=subprocess.DEVNULL)
try:
    os.waitpid(-1, os.WNOHANG)
    raise SystemExit("there is a child")
except ChildProcessError:
    pass
END
}
fact "no process is left to wait for" children
helpers_gone() {
    ! pgrep -f "tls.helper 127.0.0.1 $port" >/dev/null
}
fact "helpers end with their clients" eventually helpers_gone
cat >cat.c <<'END'
#include <stdio.h>
int main(int argc, char **argv)
{
    FILE *f = argc == 2 ? fopen(argv[1], "r") : NULL;
    for (int c; f != NULL && (c = getc(f)) != EOF;)
        putchar(c);
    return f == NULL;
}
END
cloudskin-cc -O1 cat.c -o cat.wasm || exit 1
fact "a cell has a bucket of another machine as a folder" eval 'as read cloudskin run --dir geds://scenes:/in cat.wasm /in/big >back && cmp big back'

cloudskin-cc -O1 "$E2E/guest/waits.c" -o waits.wasm || exit 1
frozen() { # the program gives its snapshot its name itself: it has what it needs since it was started
    mkfifo input
    exec 8<>input
    as write cloudskin run --name sleeper waits.wasm <input >waits.out 2>waits.err &
    local pid=$! code=0
    eventually grep -q sleeping waits.out && as write cloudskin freeze sleeper -o geds://scenes/sleeper || return 1
    wait "$pid" || code=$?
    echo hello >&8
    exec 9>input 8>&-
    as read cloudskin thaw geds://scenes/sleeper <input >waits.out 2>waits.err 9>&- &
    pid=$!
    echo hello >&9
    eventually grep -q "got hello" waits.out || { cat waits.out waits.err; return 1; }
    exec 9>&-
    wait "$pid" || true
    [ "$code" -eq 75 ]
}
fact "a program is frozen there, and thawed from there" frozen

# Who means harm.
for what in plaintext truncated old_tls hellos descriptors; do
    fact "harm: $what" peer "$what"
done
fact "harm: slow handshakes" peer slow
fact "harm: a flood" peer flood "$(cloudskin token create --role read second)" "$(cloudskin token create --role read third)"
fact "this machine's users notice nothing" cloudskin ls

# Certificates are changed while clients are connected.
reloaded() {
    local before after line
    before=$(s_client | openssl x509 -noout -serial)
    coproc timeout 60 python3 "$E2E/tls/peer.py" held "$port" "$admin"
    read -r line <&"${COPROC[0]}"
    cloudskin ca renew controller >/dev/null && kill -HUP "$(store_pid)" &&
        eventually grep -q tls.reloaded state/cloudskin/controller.log || return 1
    after=$(s_client | openssl x509 -noout -serial)
    echo ask >&"${COPROC[1]}"
    read -r line <&"${COPROC[0]}"
    kill "$COPROC_PID"
    echo "$before $after $line"
    [ "$before" != "$after" ] && [[ $line == 0* ]]
}
fact "SIGHUP takes a renewed certificate, and drops nobody" reloaded
broken_reload() {
    cp "$tls/controller.crt" good.crt && echo nonsense >"$tls/controller.crt" && kill -HUP "$(store_pid)" &&
        eventually grep -q 'error tls.reload' state/cloudskin/controller.log && with "$admin" cloudskin ls
    local code=$?
    cp good.crt "$tls/controller.crt"
    return $code
}
fact "one that is none changes nothing" broken_reload
killed() {
    local code=0 pid
    pid=$(store_pid)
    mkfifo pipe
    as write cloudskin put - geds://scenes/half <pipe >put.log 2>&1 &
    local put=$!
    exec 7>pipe
    cat big >&7
    kill -9 "$pid"
    cat big >&7 2>/dev/null
    exec 7>&-
    wait "$put" || code=$?
    cat put.log
    [ "$code" -ne 0 ] && grep -q "connection to the store is lost" put.log
}
fact "a store that is killed in the middle is told" killed
fact "it starts again" up --listen 127.0.0.1:0
fact "and has no half of an object" exits 127 with "$admin" cloudskin stat geds://scenes/half
fact "what was there is there" eval 'as read cloudskin get geds://scenes/big back && cmp big back'
cloudskin down

# S3 through TLS.
fact "S3 has no TLS without certificates" says "cloudskin ca init" env CLOUDSKIN_CONTROLLER="unix:$PWD/x.socket" cloudskin up --state other --s3-tls --s3 127.0.0.1:0
fact "S3 through TLS" up --s3-tls
s3_port=$(sed -n 's/^# S3 at https:.*:\([0-9]*\);.*/\1/p' up.txt)
eval "$(cloudskin keys)"
s3_curl() {
    curl -sS --max-time 20 "$@" -o out.txt -w '%{http_code}'
}
fact "curl believes it" prints 403 s3_curl --cacert "$tls/ca.crt" "https://localhost:$s3_port/"
fact "with TLS 1.2 too" prints 403 s3_curl --tls-max 1.2 --cacert "$tls/ca.crt" "https://localhost:$s3_port/"
fact "but not older" exits 35 s3_curl --tls-max 1.1 --cacert "$tls/ca.crt" "https://localhost:$s3_port/"
fact "another CA is not believed" exits 60 s3_curl --cacert strange/ca.crt "https://localhost:$s3_port/"
s3_plain() {
    [ "$(s3_curl "http://localhost:$s3_port/")" != 403 ]
}
fact "plain HTTP is not served" s3_plain
signed_put() {
    local sign=(--cacert "$tls/ca.crt" --aws-sigv4 aws:amz:us-east-1:s3 --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY")
    [ "$(s3_curl "${sign[@]}" -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' -T big "https://localhost:$s3_port/scenes/by-curl")" = 200 ] &&
        cloudskin get geds://scenes/by-curl back && cmp big back &&
        [ "$(s3_curl "${sign[@]}" -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' "https://localhost:$s3_port/scenes/big")" = 200 ] && cmp big out.txt
}
fact "objects pass both ways" signed_put
remote_clone() { # rclone, with a CA of its own
    RCLONE_CONFIG_X_TYPE=s3 RCLONE_CONFIG_X_PROVIDER=Other RCLONE_CONFIG_X_ENV_AUTH=true RCLONE_CONFIG_X_ENDPOINT="https://localhost:$s3_port" \
        RCLONE_CONFIG=/dev/null timeout 60 rclone --ca-cert "$tls/ca.crt" --retries 1 sync many x:scenes/many.s3 &&
        cloudskin get -r geds://scenes/many.s3/ many.s3 --quiet && diff -r many many.s3
}
fact "rclone does" remote_clone
cloudskin down

# A server whose certificate is not right.
signed server-ended 20200101000000Z 20210101000000Z "$server"
fact "a store with a certificate that has ended starts" up --listen 127.0.0.1:0 --tls-cert certs/server-ended.crt --tls-key certs/server-ended.key --tls-ca "$tls/ca.crt"
fact "its log warns" eventually grep -q "warn tls.certificate_ended " state/cloudskin/controller.log
fact "clients do not believe it" says "certificate is refused: certificate has expired" with "$admin" cloudskin ls
cloudskin down
signed server-early 20350101000000Z 20360101000000Z "$server"
up --listen 127.0.0.1:0 --tls-cert certs/server-early.crt --tls-key certs/server-early.key --tls-ca "$tls/ca.crt"
fact "nor one that has not begun" says "certificate is not yet valid" with "$admin" cloudskin ls
cloudskin down
up --listen 127.0.0.1:0 --tls-cert certs/current.crt --tls-key certs/current.key --tls-ca "$tls/ca.crt"
fact "nor a client's as a server's" says "certificate is refused" with "$admin" cloudskin ls
cloudskin down
signed soon 20200101000000Z "$(date -u -d '+132 hours' +%Y%m%d%H%M%SZ)" "$server"
up --listen 127.0.0.1:0 --tls-cert certs/soon.crt --tls-key certs/soon.key --tls-ca "$tls/ca.crt"
fact "an end that is near is warned of" eventually grep -q "tls.certificate_ends_soon.*days=5" state/cloudskin/controller.log
fact "and the certificate does" with "$admin" cloudskin ls
finish
