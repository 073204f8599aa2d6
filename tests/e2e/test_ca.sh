#!/usr/bin/env bash
# cloudskin ca: what it makes is what openssl takes, and nothing is overwritten.
set -uo pipefail
. "$E2E/lib.sh"
export XDG_STATE_HOME=$PWD/state
tls=$PWD/state/cloudskin/tls
verify() { # verify PURPOSE FILE
    openssl verify -x509_strict -CAfile "$tls/ca.crt" -purpose "$1" "$2"
}
refused() {
    ! "$@"
}
same_key() { # same_key CERTIFICATE KEY
    [ "$(openssl x509 -in "$1" -noout -pubkey)" = "$(openssl pkey -in "$2" -pubout)" ]
}

fact "without a CA nothing is issued" exits 127 cloudskin ca issue one
fact "what to do is said" says "cloudskin ca init" cloudskin ca issue one
fact "nor shown" exits 127 cloudskin ca show
fact "a CA is made" cloudskin ca init --host store.example.org --host 192.0.2.7
fact "its key is its owner's" test "$(stat -c %a "$tls/ca.key") $(stat -c %a "$tls")" = "600 700"
fact "openssl takes the certificate of the controller" verify sslserver "$tls/controller.crt"
fact "it has the hosts" eval 'openssl x509 -in "$tls/controller.crt" -noout -checkhost store.example.org | finds "does match" &&
    openssl x509 -in "$tls/controller.crt" -noout -checkip 192.0.2.7 | finds "does match" &&
    openssl x509 -in "$tls/controller.crt" -noout -checkip ::1 | finds "does match" &&
    openssl x509 -in "$tls/controller.crt" -noout -checkhost example.org | finds "NOT match"'
fact "the key is that of the certificate" same_key "$tls/controller.crt" "$tls/controller.key"
before=$(cat "$tls"/* | sha256sum)
fact "a second CA is refused" exits 71 cloudskin ca init
fact "the file is named" says "ca.key is there already" cloudskin ca init
fact "and nothing was changed" test "$(cat "$tls"/* | sha256sum)" = "$before"

fact "a client's certificate" cloudskin ca issue laptop --role write --days 30 -o laptop
fact "openssl takes it of a client" verify sslclient laptop/laptop.crt
fact "but not of a server" refused verify sslserver laptop/laptop.crt
fact "its folder has the CA" cmp "$tls/ca.crt" laptop/ca.crt
fact "its key is its owner's" test "$(stat -c %a laptop/laptop.key)" = 600
fact "it ends when it was said" eval 'openssl x509 -in laptop/laptop.crt -noout -checkend $((29 * 86400)) &&
    ! openssl x509 -in laptop/laptop.crt -noout -checkend $((31 * 86400))'
fact "one that is there is not issued again" exits 71 cloudskin ca issue laptop -o laptop
described() {
    cloudskin ca show --json laptop/laptop.crt | python3 -c 'import json, sys, time
[d] = json.load(sys.stdin)
assert (d["name"], d["role"], d["kind"], d["hosts"], d["ended"]) == ("laptop", "write", "client", "", False), d
assert 29.9 * 86400 < d["ends"] - time.time() <= 30 * 86400, d
assert d["begins"] < time.time()
assert d["sha256"] == sys.argv[1].replace(":", "").lower(), d' \
        "$(openssl x509 -in laptop/laptop.crt -noout -fingerprint -sha256 | sed 's/.*=//')"
}
fact "show says what openssl says" described
fact "show lists them" eval 'cloudskin ca show | finds "^controller  *server .*store.example.org 192.0.2.7"'
serial=$(openssl x509 -in laptop/laptop.crt -noout -serial)
fact "it is renewed" cloudskin ca renew laptop --days 60 -o laptop
fact "openssl takes the new one" verify sslclient laptop/laptop.crt
fact "for the same key" same_key laptop/laptop.crt laptop/laptop.key
fact "as another certificate" test "$serial" != "$(openssl x509 -in laptop/laptop.crt -noout -serial)"
fact "which lasts longer" openssl x509 -in laptop/laptop.crt -noout -checkend $((59 * 86400))
fact "with the same role" eval 'cloudskin ca show laptop/laptop.crt | finds " write "'
fact "renewing keeps hosts" eval 'cloudskin ca renew controller && verify sslserver "$tls/controller.crt" &&
    openssl x509 -in "$tls/controller.crt" -noout -checkhost store.example.org | finds "does match"'
fact "no certificate outlives its CA" eval 'cloudskin ca issue long --days 3650 -o long && verify sslclient long/long.crt'

fact "another CA" cloudskin ca init --dir other --name other
fact "does not renew this one's" exits 65 cloudskin ca renew laptop --dir other -o laptop
fact "and does not issue where this one has" exits 71 cloudskin ca issue third --dir other -o laptop
fact "a refused certificate leaves no key" test ! -e laptop/third.key
fact "openssl refuses the other's" refused verify sslserver other/controller.crt
two() { # two at once: one of them makes the CA, whole
    local a=0 b=0 first
    cloudskin ca init --dir "$1" >/dev/null 2>&1 &
    first=$!
    cloudskin ca init --dir "$1" >/dev/null 2>&1 || b=$?
    wait "$first" || a=$?
    [ $((a + b)) -eq 71 ] && openssl verify -CAfile "$1/ca.crt" "$1/controller.crt" && same_key "$1/ca.crt" "$1/ca.key"
}
for i in 1 2 3; do
    fact "of two at once one makes it ($i)" two "two$i"
done
chmod 644 "$tls/ca.key"
fact "a CA's key that others can read is refused" says "chmod 600" cloudskin ca issue more
chmod 600 "$tls/ca.key"
cp other/ca.key "$tls/ca.key"
fact "a key of another CA is refused" exits 65 cloudskin ca issue more
echo nonsense >"$tls/ca.key"
fact "a damaged key is refused" exits 65 cloudskin ca issue more
echo nonsense >"$tls/ca.crt"
fact "a damaged certificate is refused" exits 65 cloudskin ca issue more
fact "nothing was made" test ! -e "$tls/more.key"
mkdir -m 500 closed
if [ "$(id -u)" -ne 0 ]; then
    fact "a folder that cannot be written to is refused" exits 71 cloudskin ca init --dir closed
fi
fact "a file in the way is refused" eval 'touch file; exits 71 cloudskin ca init --dir file/tls'
for name in '' . .. a/b 'a,b' 'a b' -x ca "$(printf 'x%.0s' {1..65})" $'a\nb'; do
    fact "no certificate has the name '${name:0:9}'" exits 64 cloudskin ca issue --dir other -- "$name"
done
for host in '' 'a,b' 'a b' 'DNS:x' $'a\nb' .x -x '*' '*.' '*.*' "$(printf 'x%.0s' {1..254})"; do
    fact "no certificate has the host '${host:0:9}'" exits 64 cloudskin ca issue new --dir other "--host=$host"
done
for wrong in '' nonsense 'issue' 'renew' 'init more' 'issue a b' 'issue a --days 0' 'issue a --days 3651' 'issue a --days x' \
    'issue a --role king' '--nonsense'; do
    fact "wrong usage: ca $wrong" exits 64 cloudskin ca $wrong
done
finish
